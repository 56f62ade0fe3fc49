"""Rows of a choice and its consequence, and windows of them that lie in one episode."""

import numpy as np
import pytest
import torch

from solutions.paper4_hdreamer.hidreamer.tokens import Windows, split_by_episode, transitions


def replay(seed: int) -> dict[str, np.ndarray]:
    """Rows as a replay holds them: episodes at random, the last one perhaps not over.

    The observation `number` is the row's own; `picture` is another one.
    """
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 60))
    first, last = np.zeros(count, bool), rng.random(count) < rng.choice([0.1, 0.3])
    first[0], last[0] = True, False
    for row in range(1, count):
        first[row] = last[row - 1]
        last[row] &= not first[row]  # a reset ends nothing
    action = np.eye(3, dtype=np.float32)[rng.integers(3, size=count)]
    action[first] = 0.0
    return {
        "number": np.arange(count),
        "picture": rng.integers(256, size=(count, 1, 2, 2), dtype=np.uint8),
        "action": action,
        "reward": np.where(first, 0, rng.normal(size=count)).astype(np.float32),
        "is_first": first,
        "is_last": last,
        "is_terminal": last & (rng.random(count) < 0.5),
    }


def naive(rows: dict) -> list[dict]:
    """Row by row: what was seen, what was done there, and what came of it."""
    found = []
    for now in range(len(rows["number"]) - 1):
        if rows["is_last"][now]:
            continue
        assert not rows["is_first"][now + 1]
        found.append(
            {
                "number": rows["number"][now],
                "picture": rows["picture"][now],
                "action": rows["action"][now + 1],
                "reward": rows["reward"][now + 1],
                "terminal": rows["is_terminal"][now + 1],
                "done": rows["is_last"][now + 1],
            }
        )
    return found


# --- transitions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_transitions_are_what_a_loop_over_the_rows_finds(seed):
    rows = replay(seed)
    got, want = transitions(rows), naive(rows)
    assert set(got) == {"number", "picture", "action", "reward", "terminal", "done"}
    assert {key: len(x) for key, x in got.items()} == dict.fromkeys(got, len(want))
    for row, expected in enumerate(want):
        for key, x in expected.items():
            np.testing.assert_array_equal(got[key][row], x)
    assert all(got[key].dtype == rows[key].dtype for key in ("picture", "action", "reward"))
    assert got["done"].dtype == got["terminal"].dtype == bool


def test_a_time_limit_is_done_and_not_terminal_and_a_death_is_both():
    rows = {
        # An episode that is cut after two choices, one that ends by death after one, a third begun.
        "number": np.arange(7),
        "action": np.eye(8, dtype=np.float32)[[0, 1, 2, 0, 4, 0, 6]],
        "reward": np.array([0, 10, 20, 0, 40, 0, 60], np.float32),
        "is_first": np.array([1, 0, 0, 1, 0, 1, 0], bool),
        "is_last": np.array([0, 0, 1, 0, 1, 0, 0], bool),
        "is_terminal": np.array([0, 0, 0, 0, 1, 0, 0], bool),
    }
    got = transitions(rows)
    assert got["number"].tolist() == [0, 1, 3, 5]  # rows 2, 4: no choice; row 6: not known yet
    assert got["action"].argmax(-1).tolist() == [1, 2, 4, 6]
    assert got["reward"].tolist() == [10, 20, 40, 60]
    assert got["done"].tolist() == [False, True, True, False]
    assert got["terminal"].tolist() == [False, False, True, False]


def test_of_a_reset_alone_nothing_is_known_yet():
    rows = {key: x[:1] for key, x in replay(0).items()}
    assert {key: len(x) for key, x in transitions(rows).items()} == dict.fromkeys(
        ["number", "picture", "action", "reward", "terminal", "done"], 0
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_row_and_the_next_are_neighbours_exactly_where_the_first_is_not_done(seed):
    """So a pair of neighbours, as the encoder learns from, never crosses the end of an episode."""
    rows = replay(seed)
    got = transitions(rows)
    episode = np.cumsum(rows["is_first"])[got["number"]]
    together = episode[1:] == episode[:-1]
    np.testing.assert_array_equal(together, ~got["done"][:-1])
    assert (np.diff(got["number"])[together] == 1).all()
    assert rows["is_first"][got["number"][1:][~together]].all()


# --- windows --------------------------------------------------------------------------------------

LENGTHS = ((9, 5, 14, 6), (22, 7), (5, 8, 4, 11, 6))  # of the episodes of three games


def games(lengths=LENGTHS) -> dict[str, np.ndarray]:
    """Episodes of three games one after the other; `row` and `episode` say where one is."""
    flat = sum(lengths, ())
    count = sum(flat)
    done = np.zeros(count, bool)
    done[np.cumsum(flat) - 1] = True
    rng = np.random.default_rng(1)
    return {
        "row": np.arange(count),
        "episode": np.repeat(np.arange(len(flat)), flat),
        "game": np.repeat(np.arange(3), [sum(x) for x in lengths]),
        "tokens": rng.integers(8, size=(count, 3)),
        "action": rng.integers(4, size=count),
        "reward": rng.normal(size=count).astype(np.float32),
        "terminal": done & (rng.random(count) < 0.5),
        "done": done,
    }


def steps_of(windows: Windows) -> set[int]:
    """All rows that its windows hold."""
    return set(windows.at(torch.arange(len(windows)))["row"].flatten().tolist())


@pytest.mark.parametrize("length", [1, 2, 6, 11, 22])
def test_windows_are_neighbouring_rows_of_one_episode_and_all_of_them(length):
    rows = games()
    windows = Windows.of(rows, length)
    assert len(windows) == sum(max(0, n - length + 1) for n in sum(LENGTHS, ()))
    batch = windows.at(torch.arange(len(windows)))
    assert (batch["row"] - batch["row"][:, :1] == torch.arange(length)).all()
    assert (batch["episode"] == batch["episode"][:, :1]).all()
    assert len(set(batch["row"][:, 0].tolist())) == len(windows)
    assert not batch["done"][:, :-1].any()
    for key, x in rows.items():
        np.testing.assert_array_equal(batch[key], x[batch["row"].numpy()])
    assert batch["tokens"].dtype == batch["action"].dtype == torch.int64


def test_no_windows_where_no_episode_is_long_enough():
    with pytest.raises(ValueError, match="no episode has 23 rows"):
        Windows.of(games(), 23)


DRAWS = 20_000


def drawn(windows: Windows, seed: int = 0) -> dict[str, torch.Tensor]:
    return windows.sample(DRAWS, torch.Generator().manual_seed(seed))


def near(count: int, share: float) -> bool:
    """Within four standard deviations of a binomial distribution."""
    return abs(count - DRAWS * share) < 4 * (DRAWS * share * (1 - share)) ** 0.5


def test_balanced_windows_come_equally_often_from_each_game_and_equally_within_it():
    windows = Windows.of(games(), 5)
    assert torch.bincount(windows.rows["game"][windows.starts]).tolist() == [18, 21, 14]
    batch = drawn(windows)
    assert batch["tokens"].shape == (DRAWS, 5, 3) and batch["reward"].shape == (DRAWS, 5)
    assert all(near(int((batch["game"][:, 0] == game).sum()), 1 / 3) for game in range(3))
    for start in windows.starts.tolist():
        share = 1 / 3 / [18, 21, 14][int(windows.rows["game"][start])]
        assert near(int((batch["row"][:, 0] == start).sum()), share)


def test_a_game_without_a_window_leaves_the_others_balanced():
    batch = drawn(Windows.of(games(), 12))  # three windows of game 0, eleven of game 1
    assert near(int((batch["game"][:, 0] == 0).sum()), 1 / 2)
    assert near(int((batch["game"][:, 0] == 1).sum()), 1 / 2)


def test_natural_windows_come_from_a_game_as_often_as_it_has_windows():
    batch = drawn(Windows.of(games(), 5, balanced=False))
    for game, count in enumerate((18, 21, 14)):
        assert near(int((batch["game"][:, 0] == game).sum()), count / 53)


def test_the_same_generator_draws_the_same_windows():
    windows = Windows.of(games(), 5)
    first, again, other = (drawn(windows, seed)["row"] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


# --- what is held out -----------------------------------------------------------------------------


def parts_of(rows: dict, length: int) -> list[Windows]:
    """Windows of the rows that stay, and of those that are held out."""
    held = split_by_episode(rows["done"], 0.3)
    return [Windows.of({key: x[part] for key, x in rows.items()}, length) for part in (~held, held)]


@pytest.mark.parametrize("length", [2, 4, 6])
def test_windows_of_a_split_by_episode_share_no_row(length):
    rows = games()
    kept, held = map(steps_of, parts_of(rows, length))
    assert kept and held and not kept & held
    assert not {rows["episode"][i] for i in kept} & {rows["episode"][i] for i in held}


def test_windows_of_the_leak_share_nearly_all_of_their_rows():
    """What the leak is there to show: no window is in both parts, and yet they are the same rows.

    A row that is not near an end lies in 8 windows; all of them are held out once in 10^8 times.
    """
    windows = Windows.of(games(((40, 35), (50,), (30, 45))), 8)
    kept, held = windows.leak(0.1, torch.Generator().manual_seed(0))
    assert len(held) == int(0.1 * len(windows)) and len(kept) == len(windows) - len(held)
    starts = [set(part.starts.tolist()) for part in (kept, held)]
    assert not starts[0] & starts[1]
    assert starts[0] | starts[1] == set(windows.starts.tolist())
    both = steps_of(kept) & steps_of(held)
    assert len(both) > 0.95 * len(steps_of(held))


def test_windows_of_the_leak_keep_their_weight_and_are_dealt_out_at_random():
    windows = Windows.of(games(), 5)
    weight = dict(zip(windows.starts.tolist(), windows.weight.tolist(), strict=True))
    dealt = [windows.leak(0.3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    for part in dealt[0]:
        assert part.weight.tolist() == [weight[start] for start in part.starts.tolist()]
        assert part.length == 5 and part.rows is windows.rows
    held = [part[1].starts.tolist() for part in dealt]
    assert held[0] == held[1] and set(held[0]) != set(held[2])
