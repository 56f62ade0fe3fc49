"""Play, and what is kept of it: single pictures, choices, and what they brought.

Rows are written as the project's replay keeps them and read as `transitions` turns them. Pictures
are kept one by one; a stack is put together when it is needed. Letters: N rows, C pictures of a
stack, A actions.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dreamkit import UserError
from dreamkit.collect import Slot, row_fields
from dreamkit.envs import make
from dreamkit.replay import Replay
from paper4_hdreamer.hidreamer.tokens import transitions

STACK = 4  # pictures that the encoder sees: the present one and those before it


class Game:
    """One game: the environment, its replay, and which actions do something.

    options   of the task, for `dreamkit.envs.make`
    folder    where the rows are kept; None: in memory alone
    legal     (A,) bool   Atari games have all 18 actions, so that a number means the same in each;
                          those that a game does not know are not chosen
    errors    UserError, where there are no pictures, or actions have no numbers
    """

    def __init__(self, options: dict, seed: int, folder: Path | None = None):
        self.env, self.name = make(**options), options["name"]
        pictures = "image" in self.env.observation_space.spaces
        if not pictures or not hasattr(self.env.action_space, "n"):
            raise UserError(f"task {self.name!r} must have pictures and numbered actions")
        self.env.reset(seed=seed)  # for the names of its factors; episodes have seeds of their own
        self.slot = Slot(self.env, 0, seed)
        space = self.env.observation_space["image"]
        self.fields = row_fields({"image": space}, self.env.action_space.n)
        self.names = [f"{key}[{i}]" for key, x in factors(self.env).items() for i in range(x.size)]
        self.fields["factors"] = ((len(self.names),), "float32")
        self.replay = Replay(self.fields, {}, 1, folder=folder)
        self.scores: list[float] = []  # of whole episodes
        self.random = np.random.default_rng(seed)
        self.legal = legal_actions(self.env)

    def play(self, steps: int, policy: Callable | None = None) -> list[float]:
        """Whole episodes until there are `steps` choices more. Returns their scores.

        policy   stack (C, H, W) → action number; none: at random among the legal ones
        """
        actions, legal, first = len(self.legal), np.flatnonzero(self.legal), len(self.scores)
        while steps > 0:
            self.slot.reset()
            self.keep()
            stack = Stack()
            while not self.slot.row["is_last"]:
                pictures = stack.add(self.slot.row["image"])
                number = policy(pictures) if policy else int(self.random.choice(legal))
                self.slot.step(np.eye(actions, dtype=np.float32)[number])
                self.keep()
                steps -= 1
            self.scores.append(self.slot.score)
        return self.scores[first:]

    def keep(self) -> None:
        known = np.concatenate([[], *(x.ravel() for x in factors(self.env).values())])
        self.replay.add(0, self.slot.row | {"factors": known})

    def rows(self) -> dict[str, np.ndarray]:
        """All that was played, as choices and what they brought.

        picture (N, H, W) uint8; action, reward, terminal, done (N,); episode (N,) numbers from 0;
        factors (N, K)
        """
        stream = self.replay.streams[0]
        kept = np.concatenate([chunk.rows[: chunk.count] for chunk in stream.chunks])
        rows = transitions({key: kept[key] for key in kept.dtype.names})
        return {
            "picture": grey(rows["image"]), "action": rows["action"].argmax(-1),
            "reward": rows["reward"], "terminal": rows["terminal"], "done": rows["done"],
            "episode": np.cumsum(rows["done"]) - rows["done"], "factors": rows["factors"],
        }  # fmt: skip

    def save(self) -> dict:
        return {
            "replay": self.replay.save(), "scores": self.scores, "episode": self.slot.episode,
            "random": repr(self.random.bit_generator.state),
        }  # fmt: skip

    def load(self, state: dict) -> None:
        import ast

        self.replay.load(state["replay"])
        self.scores, self.slot.episode = list(state["scores"]), state["episode"]
        self.random.bit_generator.state = ast.literal_eval(state["random"])


def join(games: list[dict]) -> dict[str, np.ndarray]:
    """Rows of several games one after the other: `game` (N,), and episodes that stay apart.

    Factors are each game's own: they are left out where there are several games.
    """
    rows = {key: np.concatenate([x[key] for x in games]) for key in games[0] if key != "factors"}
    counts = [len(x["done"]) for x in games]
    before = np.cumsum([0] + [x["episode"][-1] + 1 for x in games[:-1]])
    rows["episode"] = rows["episode"] + np.repeat(before, counts)
    rows["game"] = np.repeat(np.arange(len(games)), counts)
    return rows | ({"factors": games[0]["factors"]} if len(games) == 1 else {})


def factors(env) -> dict[str, np.ndarray]:
    """What an environment tells of its present state, apart from the observation; may be empty."""
    found = getattr(env.unwrapped, "factors", dict)()
    return {key: np.asarray(x, np.float32) for key, x in found.items()}


def legal_actions(env) -> np.ndarray:
    """Which actions do something: all, but in an Atari game. (A,) bool"""
    game = getattr(env.unwrapped, "game", None)
    if not hasattr(game, "getMinimalActionSet"):
        return np.ones(env.action_space.n, bool)
    return np.isin(env.unwrapped.actions, game.getMinimalActionSet())


def grey(image: np.ndarray) -> np.ndarray:
    """(..., channels, H, W) uint8 → (..., H, W) uint8"""
    return image[..., 0, :, :] if image.shape[-3] == 1 else image.mean(-3).astype(np.uint8)


class Stack:
    """The newest pictures of an episode; before there are as many, its first one is repeated."""

    def __init__(self):
        self.pictures: list[np.ndarray] = []

    def add(self, image: np.ndarray) -> np.ndarray:
        """(channels, H, W) → (C, H, W), grey, the newest last."""
        picture = grey(image)
        self.pictures = (self.pictures or [picture] * STACK)[1 - STACK :] + [picture]
        return np.stack(self.pictures)


def stack_at(picture: np.ndarray, episode: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The stacks that belong to some rows, as an episode's player saw them.

    picture    (N, H, W)
    episode    (N,)   numbers that rise, also from game to game (`join`)
    index      (B,)
    return     (B, C, H, W)   before an episode begins, its first picture is repeated
    """
    starts = np.searchsorted(episode, episode[index])
    rows = np.maximum(index[:, None] - np.arange(STACK)[::-1], starts[:, None])
    return picture[rows]
