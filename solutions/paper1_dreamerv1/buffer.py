"""Two replay buffers: rows in, sequences of rows out.

A row is what is known when an observation arrives, a dictionary of

    the observation   under its names, such as `image` (C, H, W) uint8 or `vector` (D,) float32
    action            (A,) float32, the action that led to this observation; zeros in a first row
    reward            the reward that came with the observation; 0 in a first row
    is_first          an episode begins here
    is_last           the episode ends here, for whatever reason, a time limit too
    is_terminal       the episode ends here and the future is worth nothing: not at a time limit

An episode of n actions has n + 1 rows. Images stay uint8: as floats they would need four times
the memory. Official code: danijar/dreamer, wrappers.py, `Collect` (rows), tools.py,
`load_episodes` (sequences).

Letters: B batch, T time (the length of a sequence).
"""

import numpy as np


class SimpleBuffer:
    """The first buffer that comes to mind: one long list of rows.

    Its sequences may run over the end of an episode into the next one, and the model would have
    to explain a jump that no action caused. ReplayBuffer does better.
    """

    def __init__(self, capacity: int = 100_000, seed: int = 0):
        self.capacity = capacity
        self.rows: list[dict] = []
        self.random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: dict) -> None:
        """Append a row; beyond the capacity the oldest row goes."""
        self.rows.append(row)
        if len(self.rows) > self.capacity:
            self.rows.pop(0)

    def sample(self, batch: int, length: int) -> dict[str, np.ndarray]:
        """Sequences of consecutive rows, every possible start equally likely.

        return   {name: (batch, length, ...)} for every name of a row, with the dtype of the rows
                 (Python's floats become float32: see `stack`)
        errors   ValueError where there are fewer than `length` rows

        `self.random.integers(n, size=batch)` draws from 0 ... n - 1. With N rows there are
        N - length + 1 starts. The official code never draws the last of them, by an oversight.
        """
        if len(self.rows) < length:
            raise ValueError(f"the buffer has {len(self.rows)} rows, a sequence needs {length}")
        # EXERCISE 1.17: draw starts, gather the rows, stack them by name
        starts = self.random.integers(len(self.rows) - length + 1, size=batch)
        sequences = [stack(self.rows[start : start + length]) for start in starts]
        return stack(sequences)
        # END 1.17


class ReplayBuffer:
    """Whole episodes: a sequence lies inside one of them.

    An episode can be sampled once it is over. With more rows than the capacity the oldest
    episodes go, but never the newest.
    """

    def __init__(self, capacity: int = 100_000, seed: int = 0):
        self.capacity = capacity
        self.episodes: list[dict[str, np.ndarray]] = []  # of arrays (rows, ...), by name
        self.current: list[dict] = []  # rows of the episode that is being played
        self.random = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Rows of finished episodes."""
        return sum(len(episode["reward"]) for episode in self.episodes)

    def add(self, row: dict) -> None:
        """Append a row to the current episode; store the episode if the row is its last.

        A row with is_first begins an episode: rows of an earlier one that was never finished are
        thrown away. `stack` turns a list of rows into {name: array (rows, ...)}. Afterwards the
        oldest episodes go while there are more rows than `capacity` and more than one episode.
        """
        # EXERCISE 1.18: begin, append, and at is_last store the stacked episode and make room
        if row["is_first"]:
            self.current = []
        self.current.append(row)
        if row["is_last"]:
            self.episodes.append(stack(self.current))
            self.current = []
            while len(self) > self.capacity and len(self.episodes) > 1:
                self.episodes.pop(0)
        # END 1.18

    def ready(self, length: int) -> bool:
        """Whether any episode is long enough."""
        return any(len(episode["reward"]) >= length for episode in self.episodes)

    def sample(self, batch: int, length: int) -> dict[str, np.ndarray]:
        """Sequences that lie inside one episode, every possible start of all equally likely.

        return   {name: (batch, length, ...)} for every name of a row, with the dtype of the rows
        errors   ValueError where no episode has `length` rows

        Episodes shorter than `length` are left out; one of n rows has n - length + 1 starts. The
        official code draws an episode first, which is the same where all are equally long.
        """
        if not self.ready(length):
            raise ValueError(f"no episode has {length} rows yet")
        # EXERCISE 1.19: count the starts of every episode, draw among all, cut out, stack by name
        starts = np.array([max(0, len(e["reward"]) - length + 1) for e in self.episodes])
        chosen = self.random.choice(len(starts), size=batch, p=starts / starts.sum())
        sequences = []
        for number in chosen:
            start = self.random.integers(starts[number])
            episode = self.episodes[number]
            sequences.append({key: x[start : start + length] for key, x in episode.items()})
        return stack(sequences)
        # END 1.19


def stack(rows: list[dict]) -> dict[str, np.ndarray]:
    """[{name: (...)}, ...] → {name: (n, ...)}; Python's numbers become float32, its bools bool."""
    stacked = {key: np.stack([np.asarray(row[key]) for row in rows]) for key in rows[0]}
    return {k: x.astype(np.float32) if x.dtype == np.float64 else x for k, x in stacked.items()}


if __name__ == "__main__":
    import course

    course.run(__file__)
