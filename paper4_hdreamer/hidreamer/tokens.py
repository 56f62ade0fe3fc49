"""Tokens of whole episodes, and windows of them for a transformer.

Rows of the replay hold the action that *led to* their picture. Here a row holds the action that was
taken *at* it, and what that brought: `transitions` shifts one into the other. Letters: N rows of
all episodes one after the other, L rows of a window, T tokens of a row.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def transitions(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Replay rows of one environment → rows of a choice and its consequence.

    rows     (N, ...)   action (led to the row), reward (came with it), is_first, is_last,
                        is_terminal, and observations; whole episodes, or the beginning of one
    return   (M, ...)   the same observations with the action taken at them; reward, `terminal` and
                        `done` are what it brought. The last row of an episode took no action: it
                        is left out, and so is the last row of all, whose action is not known yet
    """
    acts = ~rows["is_last"][:-1].astype(bool)
    after = {"action": "action", "reward": "reward", "terminal": "is_terminal", "done": "is_last"}
    found = {name: rows[key][1:][acts] for name, key in after.items()}
    flags = {*after.values(), "is_first"}
    return found | {key: x[:-1][acts] for key, x in rows.items() if key not in flags}


def valid_starts(done: np.ndarray, length: int) -> np.ndarray:
    """Where a window of `length` rows lies in one episode. (N,) bool → (M,) int

    done     the episode ends with this row. It may be the last one of a window, never an earlier
    errors   ValueError, where no episode is long enough
    """
    # EXERCISE 4.26: count the ends before each row; a window has none before its last row
    # TODO: your code here (the reference takes 3 lines)
    raise NotImplementedError("exercise 4.26")
    # END 4.26
    if not len(starts):
        raise ValueError(f"no episode has {length} rows: take shorter windows")
    return starts


def split_by_episode(done: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Which rows are held out: those of the last episodes. (N,) bool → (N,) bool

    share    of the episodes, at least one of them; what follows the last end is one too

    Windows that overlap are near copies. With some of them held out, a model that learned its
    episodes by heart would look as if it understood them.
    """
    # EXERCISE 4.27: number the episodes, hold out the last ones
    # TODO: your code here (the reference takes 3 lines)
    raise NotImplementedError("exercise 4.27")
    # END 4.27


@dataclass
class Windows:
    """Windows of rows, each in one episode.

    rows     {name: (N, ...)}   tokens (N, T) int64, action (N,) int64, reward, terminal, done
    starts   (M,)               where windows begin
    """

    rows: dict[str, Tensor]
    starts: Tensor
    length: int

    @classmethod
    def of(cls, rows: dict[str, np.ndarray], length: int) -> "Windows":
        tensors = {key: torch.as_tensor(x) for key, x in rows.items()}
        return cls(tensors, torch.as_tensor(valid_starts(rows["done"], length)), length)

    def __len__(self) -> int:
        return len(self.starts)

    def sample(self, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Windows drawn uniformly: {name: (batch, L, ...)}."""
        chosen = self.starts[torch.randint(len(self), (batch,), generator=generator)]
        index = chosen[:, None] + torch.arange(self.length)
        return {key: x[index] for key, x in self.rows.items()}


if __name__ == "__main__":
    import course

    course.run(__file__)
