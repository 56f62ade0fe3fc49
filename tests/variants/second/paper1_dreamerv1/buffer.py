"""Correct answers, written differently: explicit loops and elementary operations."""

import numpy as np


class SimpleBuffer:
    def sample(self, batch: int, length: int) -> dict[str, np.ndarray]:
        # EXERCISE 1.17: draw starts, gather the rows, stack them by name
        gathered = []
        for _ in range(batch):
            last = len(self.rows) - length
            start = int(self.random.random() * (last + 1))
            for step in range(length):
                gathered.append(self.rows[start + step])
        flat = stack(gathered)
        result = {}
        for name in flat:
            result[name] = flat[name].reshape(batch, length, *flat[name].shape[1:])
        return result
        # END 1.17


class ReplayBuffer:
    def add(self, row: dict) -> None:
        # EXERCISE 1.18: begin, append, and at is_last store the stacked episode and make room
        if row["is_first"]:
            self.current.clear()
        self.current.append(dict(row))
        if row["is_last"]:
            self.episodes.append(stack(self.current))
            total = 0
            for episode in self.episodes:
                total += len(episode["is_last"])
            while total > self.capacity and len(self.episodes) != 1:
                total -= len(self.episodes[0]["is_last"])
                del self.episodes[0]
        # END 1.18

    def sample(self, batch: int, length: int) -> dict[str, np.ndarray]:
        # EXERCISE 1.19: count the starts of every episode, draw among all, cut out, stack by name
        possible = []
        for episode in self.episodes:
            for start in range(len(episode["reward"]) - length + 1):
                possible.append((episode, start))
        result = {name: [] for name in self.episodes[0]}
        for _ in range(batch):
            episode, start = possible[self.random.integers(0, len(possible) - 1, endpoint=True)]
            for name in result:
                result[name].append(episode[name][start : start + length])
        return {name: np.stack(sequences) for name, sequences in result.items()}
        # END 1.19


def stack(rows: list[dict]) -> dict[str, np.ndarray]:
    raise NotImplementedError
