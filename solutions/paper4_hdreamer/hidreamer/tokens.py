"""Tokens of whole episodes, and windows of them for a transformer.

Rows of the replay hold the action that *led to* their picture. Here a row holds the action that was
taken *at* it, and what that brought: `transitions` shifts one into the other. Letters: N rows of
all episodes one after the other, L rows of a window, T tokens of a row.
"""

from dataclasses import dataclass, replace

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
    """From which rows on `length` of them lie in one episode. (N,) bool → (M,) int

    done     the episode ends with this row: it may be the last one of a window, never an earlier.
             What follows the last end is an episode too, whose end has not come yet
    return   `starts`, an array: the first rows of all such windows, in rising order; they overlap
    errors   ValueError, where no episode is long enough
    """
    # EXERCISE 4.26: `starts`: count the ends before each row; a window has none before its last row
    ends = np.concatenate([[0], np.cumsum(done)])  # before each row
    starts = np.arange(len(done) - length + 1)
    starts = starts[ends[starts + length - 1] == ends[starts]]
    # END 4.26
    if not len(starts):
        raise ValueError(f"no episode has {length} rows: take shorter windows")
    return starts


def split_by_episode(done: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Which rows are held out: those of the last episodes. (N,) bool → (N,) bool

    done     the episode ends with this row; what follows the last end is an episode too
    share    of the episodes, however long they are: rounded down, but one at least, even if it is
             the only one
    return   an array, True in all rows of the held-out episodes

    Windows that overlap are near copies. With some of them held out, a model that learned its
    episodes by heart would look as if it understood them.
    """
    # EXERCISE 4.27: number the episodes, hold out the last ones
    episode = np.cumsum(done) - done  # the row that ends an episode belongs to it
    count = episode[-1] + 1
    return episode >= count - max(1, int(count * share))
    # END 4.27


@dataclass
class Windows:
    """Windows of rows, each in one episode.

    rows     {name: (N, ...)}   tokens (N, T) int64, action (N,) int64, reward, terminal, done, game
    starts   (M,)               where windows begin
    ends     (N,)               the last row of each row's episode
    weight   (M,)               how often each is drawn, up to a factor
    """

    rows: dict[str, Tensor]
    starts: Tensor
    ends: Tensor
    weight: Tensor
    length: int

    @classmethod
    def of(
        cls, rows: dict[str, np.ndarray], length: int, balanced: bool = True, tails: bool = False
    ) -> "Windows":
        """All windows, each in one episode; balanced: every game is drawn equally often.

        tails    also windows that go on after a terminal end, where nothing changes any more: the
                 last row again, without reward, terminal. Without them an episode ends in the last
                 row of a window or not at all: the model would learn that nothing ends before
        errors   ValueError, where no episode is long enough
        """
        tensors = {key: torch.as_tensor(x) for key, x in rows.items()}
        done = rows["done"].astype(bool)
        last = np.append(np.flatnonzero(done), len(done) - 1)
        ends = last[np.searchsorted(last, np.arange(len(done)))]
        if tails:
            whole = np.arange(len(done)) + length - 1 <= ends
            starts = np.flatnonzero(whole | rows["terminal"].astype(bool)[ends])
        else:
            starts = valid_starts(done, length)
        starts = torch.as_tensor(starts)
        game = tensors["game"][starts]
        share = 1.0 / torch.bincount(game)[game] if balanced else torch.ones(len(starts))
        return cls(tensors, starts, torch.as_tensor(ends), share.float(), length)

    def __len__(self) -> int:
        return len(self.starts)

    def sample(self, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Windows drawn by their weight: {name: (batch, L, ...)}."""
        return self.at(torch.multinomial(self.weight, batch, True, generator=generator))

    def at(self, numbers: Tensor) -> dict[str, Tensor]:
        """Some windows by number: {name: (batch, L, ...)}."""
        index = self.starts[numbers][:, None] + torch.arange(self.length)
        past = index > self.ends[index[:, :1]]  # where the episode is over
        batch = {key: x[index.minimum(self.ends[index[:, :1]])] for key, x in self.rows.items()}
        return batch | {"reward": batch["reward"].masked_fill(past, 0)}

    def leak(self, share: float, generator: torch.Generator) -> tuple["Windows", "Windows"]:
        """Two sets of windows dealt out at random: the wrong way to hold something out.

        Windows of both overlap, so what is held out was almost seen. Kept to show what that does.
        """
        order = torch.randperm(len(self), generator=generator)
        cut = len(order) - int(len(order) * share)
        parts = (order[:cut], order[cut:])
        return tuple(
            replace(self, starts=self.starts[part], weight=self.weight[part]) for part in parts
        )


if __name__ == "__main__":
    import course

    course.run(__file__)
