"""Correct answers, written differently: terse, with NumPy's functions."""

import numpy as np


class SimpleBuffer:
    def sample(self, batch: int, length: int) -> dict[str, np.ndarray]:
        # EXERCISE 1.17: draw starts, gather the rows, stack them by name
        first = self.random.choice(np.arange(len(self) - length + 1), size=(batch, 1))
        index = first + np.arange(length)
        return {name: x[index] for name, x in stack(self.rows).items()}
        # END 1.17


class ReplayBuffer:
    def add(self, row: dict) -> None:
        # EXERCISE 1.18: begin, append, and at is_last store the stacked episode and make room
        self.current = [row] if row["is_first"] else [*self.current, row]
        if not row["is_last"]:
            return
        self.episodes = [*self.episodes, stack(self.current)]
        rows = np.cumsum([len(rows["is_first"]) for rows in self.episodes[::-1]])
        fit = max(1, int(np.searchsorted(rows, self.capacity, side="right")))
        self.episodes = self.episodes[-fit:]
        # END 1.18

    def sample(self, batch: int, length: int) -> dict[str, np.ndarray]:
        # EXERCISE 1.19: count the starts of every episode, draw among all, cut out, stack by name
        whole = {k: np.concatenate([e[k] for e in self.episodes]) for k in self.episodes[0]}
        sizes = np.array([len(e["reward"]) for e in self.episodes])
        left = np.concatenate([np.arange(n, 0, -1) for n in sizes])  # rows to the episode's end
        start = self.random.choice(np.flatnonzero(left >= length), size=batch, shuffle=False)
        return {k: x[start[:, None] + np.arange(length)] for k, x in whole.items()}
        # END 1.19


def stack(rows: list[dict]) -> dict[str, np.ndarray]:
    raise NotImplementedError
