"""Play, and what is kept of it: single pictures, choices, and what they brought.

Letters: N rows, C pictures of a stack.
"""

from collections.abc import Callable

import numpy as np

from dreamkit.collect import Slot
from dreamkit.envs import make
from paper4_hdreamer.hidreamer.tokens import transitions

STACK = 4  # pictures that the encoder sees: the present one and those before it


def collect(
    options: dict, steps: int, seed: int, policy: Callable | None = None
) -> dict[str, np.ndarray]:
    """Play until there are `steps` choices, whole episodes.

    options   of the task, for `dreamkit.envs.make`
    policy    stack (C, H, W), … → action number; none: at random
    return    picture (N, H, W) uint8; action, reward, terminal, done, episode, score
    """
    env = make(**options)
    slot, random, found, score = Slot(env, 0, seed), np.random.default_rng(seed), [], []
    count, actions = 0, env.action_space.n
    while count < steps:
        slot.reset()
        rows, stack = [slot.row], Stack()
        while not slot.row["is_last"]:
            pictures = stack.add(slot.row["image"])
            action = int(random.integers(actions)) if policy is None else policy(pictures)
            slot.step(np.eye(actions, dtype=np.float32)[action])
            rows.append(slot.row)
        score.append(slot.score)
        joined = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
        found.append(transitions(joined | {"is_last": joined["is_last"]}))
        count += len(found[-1]["done"])
    env.close()
    return join(found, score)


def join(episodes: list[dict], scores: list[float]) -> dict[str, np.ndarray]:
    """Episodes one after the other, numbered; pictures as (N, H, W)."""
    rows = {key: np.concatenate([x[key] for x in episodes]) for key in episodes[0]}
    lengths = [len(x["done"]) for x in episodes]
    return {
        "picture": rows["image"].mean(1).astype(np.uint8), "action": rows["action"].argmax(-1),
        "reward": rows["reward"], "terminal": rows["terminal"], "done": rows["done"],
        "episode": np.repeat(np.arange(len(episodes)), lengths),
        "score": np.repeat(np.array(scores, np.float32), lengths),
    }  # fmt: skip


class Stack:
    """The newest pictures of an episode; before there are as many, its first one is repeated."""

    def __init__(self):
        self.pictures: list[np.ndarray] = []

    def add(self, image: np.ndarray) -> np.ndarray:
        """(channels, H, W) → (C, H, W), grey, the newest last."""
        grey = image.mean(0).astype(np.uint8)
        self.pictures = (self.pictures or [grey] * STACK)[1 - STACK :] + [grey]
        return np.stack(self.pictures)


def stack_at(picture: np.ndarray, episode: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The stacks that belong to some rows, as an episode's player saw them.

    picture    (N, H, W)
    episode    (N,)   numbers; rows of one follow each other
    index      (B,)
    return     (B, C, H, W)   before an episode begins, its first picture is repeated
    """
    starts = np.searchsorted(episode, episode[index])
    rows = np.maximum(index[:, None] - np.arange(STACK)[::-1], starts[:, None])
    return picture[rows]
