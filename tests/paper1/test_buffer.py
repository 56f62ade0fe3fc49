"""Exercises of buffer.py: rows in, sequences of rows out.

The reward of row t of episode n is 100 n + t, so that a reward says which row it is. A program may
draw in any order and by any function of `self.random`: what is observed is what must hold however
it draws, such as the starts that occur in many draws.
"""

import numpy as np

from course.checks import check

ONE_PLACE = "one start or one episode in the whole batch"  # seen where several are wanted


def episode(number: int, rows: int, terminal: bool = False, finished: bool = True) -> list[dict]:
    """Rows of one episode; one that is not finished breaks off."""
    return [
        {
            "image": np.full((1, 2, 3), 40 * number + t, np.uint8),
            "action": np.array([number + t / 8, -t / 4], np.float32),
            "reward": 100.0 * number + t,
            "is_first": t == 0,
            "is_last": finished and t == rows - 1,
            "is_terminal": terminal and t == rows - 1,
        }
        for t in range(rows)
    ]


def simple(code, *lengths, **options):
    """A SimpleBuffer with episodes 1, 2, … of these numbers of rows."""
    buffer = code.buffer.SimpleBuffer(**options)
    for number, length in enumerate(lengths, 1):
        for row in episode(number, length, terminal=True):
            buffer.add(row)
    return buffer


def replay(code, *lengths, **options):
    """A ReplayBuffer with episodes 1, 2, … of these numbers of rows, put there by hand."""
    buffer = code.buffer.ReplayBuffer(**options)
    for number, length in enumerate(lengths, 1):
        rows = episode(number, length, terminal=True)
        arrays = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        arrays["reward"] = arrays["reward"].astype(np.float32)
        buffer.episodes.append(arrays)
    return buffer


def played(code, *episodes, **options):
    """A ReplayBuffer to which the rows of these episodes were added."""
    buffer = code.buffer.ReplayBuffer(**options)
    for row in [row for rows in episodes for row in rows]:
        buffer.add(row)
    return buffer


def stored(buffer) -> list:
    """The rewards of every stored episode."""
    return [np.asarray(rows["reward"]).tolist() for rows in buffer.episodes]


# --- what many draws show -------------------------------------------------------------------------


def drawn(buffer, length: int, batch: int = 300):
    """Rewards of many sequences, (batch, length); None if they have another shape."""
    rewards = np.asarray(buffer.sample(batch, length)["reward"])
    return rewards if rewards.shape == (batch, length) else None


def starts(buffer, length: int):
    """The rewards with which sequences begin, each once."""
    rewards = drawn(buffer, length)
    if rewards is None:
        return "no rewards of shape (batch, length)"
    found = sorted(set(rewards[:, 0].tolist()))
    return found if len({x // 100 for x in found}) > 1 else ONE_PLACE


def followers(buffer, length: int, rows: list[int]):
    """For each of these rewards those that come next in a sequence, each once."""
    rewards = drawn(buffer, length)
    if rewards is None or len({x // 100 for x in rewards[:, 0].tolist()}) == 1:
        return ONE_PLACE
    pairs = {pair for row in rewards.tolist() for pair in zip(row, row[1:], strict=False)}
    return [sorted(after for before, after in pairs if before == row) for row in rows]


def how_often(rewards, groups: list[list], words: list[str]):
    """For each group of rewards how often sequences begin with one of them.

    The group's word, "1 in 4", where it is so within five standard deviations.
    """
    begins = [] if rewards is None else rewards[:, 0].tolist()
    counts = [sum(x in group for x in begins) for group in groups]
    if 0 in counts:
        return "some are never drawn"
    found = []
    for count, word in zip(counts, words, strict=True):
        share = int(word[0]) / int(word[-1])
        off = count / sum(counts) - share
        margin = 5 * (share * (1 - share) / sum(counts)) ** 0.5
        found.append(word if abs(off) <= margin else "too often" if off > 0 else "too rarely")
    return found


def same_in_all(x):
    """One sequence of a batch whose sequences must all be the same one."""
    x = np.asarray(x)
    return x[0].tolist() if (x == x[:1]).all() else "not the same in every sequence"


def draws_of_seeds(make):
    """Observations: what a seed decides. `make(seed)` builds a buffer."""
    one, twin, other = (make(seed) for seed in (5, 5, 6))
    first = drawn(one, 12, 60).tolist()
    yield "two buffers of seed 5 draw the same", first == drawn(twin, 12, 60).tolist(), True
    yield "a buffer of seed 6 draws the same too", first == drawn(other, 12, 60).tolist(), False
    yield "the next sample is the same again", first == drawn(one, 12, 60).tolist(), False


# --- 1.17 SimpleBuffer.sample ---------------------------------------------------------------------

SEVEN = [100, 101, 102, 200, 201, 202, 203]


@check(
    "1.17",
    "N rows have N - length + 1 starts, and each of them is drawn, the last one too",
    given="7 rows with the rewards 100 101 102 200 201 202 203; a batch of 300 sequences",
)
def every_start(code):
    buffer = simple(code, 3, 4)
    yield "starts of length 1", starts(buffer, 1), SEVEN
    yield "starts of length 3", starts(buffer, 3), [100, 101, 102, 200, 201]
    yield "starts of length 4", starts(buffer, 4), [100, 101, 102, 200]


@check(
    "1.17",
    "a sequence is made of consecutive rows of the list",
    given="7 rows with the rewards 100 101 102 200 201 202 203; a batch of 300 sequences",
)
def consecutive_rows(code):
    buffer = simple(code, 3, 4)
    yield "what follows 100, 101", followers(buffer, 3, [100, 101]), [[101], [102]]
    yield "what follows 102, 200", followers(buffer, 3, [102, 200]), [[200], [201]]
    yield "what follows 202, 203", followers(buffer, 3, [202, 203]), [[203], []]


@check(
    "1.17",
    "all names of the rows are stacked, (batch, length, …), in the types that `stack` gives them",
    given="5 rows, so all 40 sequences of length 5 are the same; images uint8, rewards floats",
)
def names_and_types(code):
    buffer = simple(code, 2, 3)
    batch = buffer.sample(40, 5)
    yield "names", sorted(batch), sorted(buffer.rows[0])
    yield "shape of image", list(batch["image"].shape), [40, 5, 1, 2, 3]
    yield "shape of reward", list(batch["reward"].shape), [40, 5]
    yield "dtype of image", str(batch["image"].dtype), "uint8"
    yield "dtype of action", str(batch["action"].dtype), "float32"
    yield "dtype of reward", str(batch["reward"].dtype), "float32"
    yield "dtype of is_first", str(batch["is_first"].dtype), "bool"
    yield "reward", same_in_all(batch["reward"]), [100, 101, 200, 201, 202]
    yield "a pixel", same_in_all(batch["image"][..., 0, 1, 2]), [40, 41, 80, 81, 82]
    yield "action[0]", same_in_all(batch["action"][..., 0]), [1, 1.125, 2, 2.125, 2.25]
    yield "is_first", same_in_all(batch["is_first"]), [True, False, True, False, False]
    yield "is_last", same_in_all(batch["is_last"]), [False, True, False, False, True]
    yield "is_terminal", same_in_all(batch["is_terminal"]), [False, True, False, False, True]
    batch["image"][:] = 7
    yield "pixel of the buffer, sample edited", int(buffer.rows[0]["image"][0, 0, 0]), 40
    yield "rows in the buffer", len(buffer), 5
    yield "shape of one sequence", list(buffer.sample(1, 2)["image"].shape), [1, 2, 1, 2, 3]


@check(
    "1.17",
    "every start is equally likely",
    given="rewards 100 101 102 200 201, length 3: starts 100, 101 and 102; 1200 draws",
)
def equally_likely_starts(code):
    rewards = drawn(simple(code, 3, 2), 3, 1200)
    shares = how_often(rewards, [[100], [101], [102]], ["1 in 3"] * 3)
    yield "how often each start is drawn", shares, ["1 in 3", "1 in 3", "1 in 3"]


@check(
    "1.17", "the draws come from `self.random`", given="40 rows; batches of 60 sequences of 12 rows"
)
def simple_seeds(code):
    yield from draws_of_seeds(lambda seed: simple(code, 25, 15, seed=seed))


# --- 1.18 ReplayBuffer.add ------------------------------------------------------------------------


@check(
    "1.18",
    "an episode of n actions is stored as n + 1 rows, from the row of is_first to that of is_last",
    given="episodes of 3 and 2 rows, rewards 100 101 102 and 200 201; both end by a time limit",
)
def whole_episodes(code):
    buffer = played(code, episode(1, 3), episode(2, 2))
    yield "rewards of the episodes", stored(buffer), [[100, 101, 102], [200, 201]]
    yield "rows", len(buffer), 5
    buffer.add(episode(3, 1)[0])
    yield "with one row, first and last", stored(buffer)[2:], [[300]]


@check(
    "1.18",
    "an episode counts once it is over, and not before",
    given="rewards 100 101 102 of an episode of 4 rows, then its last one",
)
def only_finished_episodes(code):
    rows = episode(1, 4, terminal=True)
    buffer = played(code, rows[:3])
    yield "episodes before the last row", len(buffer.episodes), 0
    yield "ready for length 1", buffer.ready(1), False
    buffer.add(rows[3])
    yield "rewards after it", stored(buffer), [[100, 101, 102, 103]]


@check(
    "1.18",
    "is_first begins an episode: rows of one that was never finished are thrown away",
    given="3 rows that break off (100 101 102), then an episode of 2 rows (200 201)",
)
def unfinished_episodes(code):
    buffer = played(code, episode(1, 3, finished=False), episode(2, 2))
    yield "rewards of the episodes", stored(buffer), [[200, 201]]


@check(
    "1.18",
    "an episode is stored as arrays by name, in the types that `stack` gives them",
    given="an episode of 3 rows that ends by death; images uint8 (1, 2, 3), rewards floats",
)
def stored_arrays(code):
    rows = episode(1, 3, terminal=True)
    [arrays] = played(code, rows).episodes
    yield "names", sorted(arrays), sorted(rows[0])
    yield "shape of image", list(arrays["image"].shape), [3, 1, 2, 3]
    yield "dtype of image", str(arrays["image"].dtype), "uint8"
    yield "dtype of reward", str(arrays["reward"].dtype), "float32"
    yield "dtype of is_last", str(arrays["is_last"].dtype), "bool"
    yield "a pixel", arrays["image"][:, 0, 1, 2], [40, 41, 42]
    yield "action[1]", arrays["action"][:, 1], [0, -0.25, -0.5]
    yield "is_first", arrays["is_first"], [True, False, False]
    yield "is_last", arrays["is_last"], [False, False, True]
    yield "is_terminal", arrays["is_terminal"], [False, False, True]
    yield "names of a row that was added", sorted(rows[1]), sorted(episode(1, 3)[1])


@check(
    "1.18",
    "with more rows than the capacity the oldest episodes go, as many as must",
    given="capacity 7; episodes 1, 2, 3 of 3, 4 and 2 rows, then episode 4 of 6",
)
def room_for_the_newest(code):
    def kept(*lengths):
        buffer = played(code, *(episode(n, rows) for n, rows in enumerate(lengths, 1)), capacity=7)
        return [int(rewards[0]) // 100 for rewards in stored(buffer)]

    yield "episodes kept with 3 + 4 rows", kept(3, 4), [1, 2]
    yield "episodes kept with 3 + 4 + 2 rows", kept(3, 4, 2), [2, 3]
    yield "episodes kept with 3 + 4 + 2 + 6 rows", kept(3, 4, 2, 6), [4]


@check(
    "1.18",
    "the newest episode stays, even if it alone has more rows than the capacity",
    given="capacity 4; an episode of 6 rows, then one of 5",
)
def newest_stays(code):
    buffer = played(code, episode(1, 6), capacity=4)
    yield "rows after the first", len(buffer), 6
    for row in episode(2, 5):
        buffer.add(row)
    yield "rewards after the second", stored(buffer), [[200, 201, 202, 203, 204]]


# --- 1.19 ReplayBuffer.sample ---------------------------------------------------------------------

ELEVEN = [[100, 101, 102], [200, 201, 202, 203, 204, 205], [300, 301]]


@check(
    "1.19",
    "an episode of n rows has n - length + 1 starts, none if it is too short; all are drawn",
    given="episodes of 3, 6 and 2 rows: rewards 100-102, 200-205, 300-301; 300 draws",
)
def every_start_of_every_episode(code):
    buffer = replay(code, 3, 6, 2)
    yield "starts of length 2", starts(buffer, 2), [100, 101, 200, 201, 202, 203, 204, 300]
    yield "starts of length 3", starts(buffer, 3), [100, 200, 201, 202, 203]
    yield "starts of length 1", starts(buffer, 1), sum(ELEVEN, [])


@check(
    "1.19",
    "a sequence is made of consecutive rows of one episode and never runs into the next",
    given="episodes of 3, 6 and 4 rows: rewards 100-102, 200-205, 300-303; 300 draws",
)
def inside_one_episode(code):
    buffer = replay(code, 3, 6, 4)
    yield "what follows 100, 101", followers(buffer, 3, [100, 101]), [[101], [102]]
    yield "what follows 204, 302", followers(buffer, 3, [204, 302]), [[205], [303]]
    yield "what follows 102, 205, 303", followers(buffer, 3, [102, 205, 303]), [[], [], []]
    batch = buffer.sample(300, 3)
    yield "an is_first inside a sequence", bool(batch["is_first"][:, 1:].any()), False
    yield "an is_last before the end of one", bool(batch["is_last"][:, :-1].any()), False


@check(
    "1.19",
    "all names are stacked, (batch, length, …), in the types of the stored episodes",
    given="episodes of 2 and 4 rows: the only sequence of length 4 has rewards 200-203",
)
def names_and_types_of_episodes(code):
    buffer = replay(code, 2, 4)
    batch = buffer.sample(40, 4)
    yield "names", sorted(batch), sorted(buffer.episodes[0])
    yield "shape of image", list(batch["image"].shape), [40, 4, 1, 2, 3]
    yield "shape of reward", list(batch["reward"].shape), [40, 4]
    yield "dtype of image", str(batch["image"].dtype), "uint8"
    yield "dtype of action", str(batch["action"].dtype), "float32"
    yield "dtype of reward", str(batch["reward"].dtype), "float32"
    yield "dtype of is_last", str(batch["is_last"].dtype), "bool"
    yield "reward", same_in_all(batch["reward"]), [200, 201, 202, 203]
    yield "a pixel", same_in_all(batch["image"][..., 0, 1, 2]), [80, 81, 82, 83]
    yield "action[0]", same_in_all(batch["action"][..., 0]), [2, 2.125, 2.25, 2.375]
    yield "is_first", same_in_all(batch["is_first"]), [True, False, False, False]
    yield "is_terminal", same_in_all(batch["is_terminal"]), [False, False, False, True]
    batch["image"][:] = 7
    yield "pixel of the buffer, sample edited", int(buffer.episodes[1]["image"][0, 0, 0, 0]), 80
    yield "shape of one sequence", list(buffer.sample(1, 2)["reward"].shape), [1, 2]


@check(
    "1.19",
    "every start is equally likely, so longer episodes are drawn more often",
    given="episodes of 9 and 11 rows, length 9: starts 100 | 200, 201, 202; 2000 draws",
)
def equally_likely_starts_of_all(code):
    rewards = drawn(replay(code, 9, 11), 9, 2000)
    episodes = how_often(rewards, [[100], [200, 201, 202]], ["1 in 4", "3 in 4"])
    yield "sequences of each episode", episodes, ["1 in 4", "3 in 4"]
    inside = how_often(rewards, [[200], [201], [202]], ["1 in 3"] * 3)
    inside = inside if isinstance(episodes, list) else episodes  # it may never have been drawn
    yield "starts 200, 201, 202 among themselves", inside, ["1 in 3"] * 3
    single = drawn(replay(code, 20, 60), 1, 2000)
    groups = [[100 + t for t in range(20)], [200 + t for t in range(60)]]
    shares = how_often(single, groups, ["1 in 4", "3 in 4"])
    yield "episodes of 20 and 60 rows, length 1", shares, ["1 in 4", "3 in 4"]


@check(
    "1.19",
    "the draws come from `self.random`",
    given="episodes of 25 and 15 rows; batches of 60 sequences of 12",
)
def replay_seeds(code):
    yield from draws_of_seeds(lambda seed: replay(code, 25, 15, seed=seed))
