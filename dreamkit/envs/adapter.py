"""Wrappers that bring any Gymnasium environment into the form that agents expect."""

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamkit import UserError

# Names that rows, stored latents and losses have already.
RESERVED = {
    "action", "reward", "is_first", "is_last", "is_terminal", "index", "h", "z",
    "dyn", "rep", "continue",
}  # fmt: skip


def is_image(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)


def channels_first(space: spaces.Box) -> bool:
    """Whether an image has its channels first, (C, H, W), as our own environments draw it."""
    return len(space.shape) == 3 and space.shape[0] in (1, 3, 4) and space.shape[2] > 4


class DictObservation(gymnasium.ObservationWrapper):
    """Observations as a dictionary of images and vectors.

    A uint8 box of two or three dimensions is an image: it is resized to size × size and turned to
    (C, H, W). Anything else becomes a float32 vector, as gymnasium's `flatten` orders it.
    A single observation is called `image` or `vector`.
    """

    def __init__(self, env: gymnasium.Env, size: int = 64, scale: tuple | None = None):
        super().__init__(env)
        self.size, self.scale = size, scale
        self.named = isinstance(env.observation_space, spaces.Dict)
        self.parts = self._named(env.observation_space)
        if RESERVED & set(self.parts):
            names = ", ".join(sorted(RESERVED & set(self.parts)))
            raise UserError(f"an observation cannot be called {names}: rename it in a wrapper")
        self.observation_space = spaces.Dict(
            {key: self._space(key, space) for key, space in self.parts.items()}
        )

    def _named(self, value):
        """A dictionary stays one; a single observation, or space, gets its name."""
        if self.named:
            return dict(value.items())
        return {"image" if is_image(self.env.observation_space) else "vector": value}

    def _space(self, key: str, space: spaces.Space) -> spaces.Box:
        if is_image(space):
            channels = (*space.shape, 1)[0 if channels_first(space) else 2]
            return spaces.Box(0, 255, (channels, self.size, self.size), np.uint8)
        try:
            size = spaces.flatdim(space)
        except (ValueError, NotImplementedError):
            raise UserError(f"the observation {key!r} has no fixed size: {space}") from None
        return spaces.Box(-np.inf, np.inf, (size,), np.float32)

    def observation(self, observation) -> dict[str, np.ndarray]:
        named = self._named(observation)
        return {key: self._convert(named[key], space) for key, space in self.parts.items()}

    def _convert(self, x, space: spaces.Space) -> np.ndarray:
        if not is_image(space):
            vector = np.asarray(spaces.flatten(space, x), np.float32)
            return vector / np.asarray(self.scale, np.float32) if self.scale else vector
        if channels_first(space):
            x = np.moveaxis(x, 0, -1)
        if x.shape[:2] != (self.size, self.size):
            try:
                import cv2
            except ImportError:
                raise UserError("resizing needs OpenCV: pip install -e '.[atari]'") from None
            x = cv2.resize(x, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(np.moveaxis(x.reshape(self.size, self.size, -1), -1, 0))


class BoundedAction(gymnasium.ActionWrapper):
    """Continuous actions in [-1, 1], clipped and mapped to the environment's own bounds.

    Entries without finite bounds are passed on as they are.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        space = env.action_space
        self.discrete = isinstance(space, spaces.Discrete)
        if self.discrete:
            self.action_space = spaces.Discrete(space.n)
            return
        if not isinstance(space, spaces.Box):
            raise UserError(f"agents act in a Discrete or a Box space; this one is {space}")
        self.bounded = np.isfinite(space.low) & np.isfinite(space.high)
        self.low = np.where(self.bounded, space.low, -1).astype(np.float32)
        self.high = np.where(self.bounded, space.high, 1).astype(np.float32)
        self.action_space = spaces.Box(-1, 1, space.shape, np.float32)

    def action(self, action):
        if self.discrete:
            return int(action) + int(self.env.action_space.start)
        action = np.asarray(action, np.float32).reshape(self.low.shape)
        inside = (np.clip(action, -1, 1) + 1) / 2
        return np.where(self.bounded, self.low + inside * (self.high - self.low), action)
