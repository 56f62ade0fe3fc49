"""The wrapper that brings any Gymnasium environment into the form that agents expect."""

from collections.abc import Callable

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamkit import UserError

# Names that rows, stored latents and losses have already.
RESERVED = {
    "action", "reward", "is_first", "is_last", "is_terminal", "index", "h", "z",
    "dyn", "rep", "continue",
}  # fmt: skip
LARGEST = 10_000  # entries of a vector; what is longer was meant to be a picture


def is_image(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)


def channels_first(space: spaces.Box) -> bool:
    """Whether an image has its channels first, (C, H, W), as our own environments draw it."""
    return len(space.shape) == 3 and space.shape[0] in (1, 3, 4) and space.shape[2] > 4


class Adapter(gymnasium.Wrapper):
    """Observations as a dictionary of images and vectors; actions Discrete, or in [-1, 1].

    observation   A uint8 box of two or three dimensions is an image: it is resized to size × size
                  and turned to (C, H, W). Anything else becomes a float32 vector, as gymnasium's
                  `flatten` orders it. A single observation is called `image` or `vector`.
    action        Continuous ones are clipped to [-1, 1] and mapped to the environment's own bounds;
                  entries without finite bounds are passed on as they are.
    scale         divides a vector, entry by entry
    """

    def __init__(self, env: gymnasium.Env, size: int = 64, scale: tuple | None = None):
        super().__init__(env)
        space = env.observation_space
        self.named = isinstance(space, spaces.Dict)
        parts = (
            dict(space.items()) if self.named else {"image" if is_image(space) else "vector": space}
        )
        if RESERVED & set(parts):
            names = ", ".join(sorted(RESERVED & set(parts)))
            raise UserError(f"an observation cannot be called {names}: rename it in a wrapper")
        self.observation_space = spaces.Dict(
            {
                key: image_space(part, size)
                if is_image(part)
                else vector_space(
                    f"the observation {key!r}" if self.named else "the observation", part
                )
                for key, part in parts.items()
            }
        )
        self.convert = {
            key: image_converter(part, size) if is_image(part) else vector_converter(part, scale)
            for key, part in parts.items()
        }
        self.single = None if self.named else next(iter(self.convert.items()))
        self.action_space, self.native = action_converter(env.action_space)

    def reset(self, *, seed=None, options=None):
        observation, info = self.env.reset(seed=seed, options=options)
        return self._observe(observation), info

    def step(self, action):
        observation, *rest = self.env.step(self.native(action))
        return self._observe(observation), *rest

    def _observe(self, observation) -> dict[str, np.ndarray]:
        if self.single:
            name, convert = self.single
            return {name: convert(observation)}
        return {name: convert(observation[name]) for name, convert in self.convert.items()}


def image_space(space: spaces.Box, size: int) -> spaces.Box:
    channels = (*space.shape, 1)[0 if channels_first(space) else 2]
    return spaces.Box(0, 255, (channels, size, size), np.uint8)


def vector_space(what: str, space: spaces.Space) -> spaces.Box:
    """Errors: UserError, where a space is not a vector and was not meant to be one."""
    shape = getattr(space, "shape", None) or ()
    if isinstance(space, spaces.Box) and len(shape) > 2:
        kind = (
            "a stack of pictures: leave the stacking out, the agent remembers"
            if space.dtype == np.uint8
            else f"a picture of {space.dtype}: return uint8, 0 … 255"
        )
        raise UserError(f"{what} of shape {shape} looks like {kind}")
    if isinstance(space, spaces.Text):
        raise UserError(f"{what} is text: turn it into numbers in a wrapper")
    try:
        size = spaces.flatdim(space)
    except (ValueError, NotImplementedError):
        raise UserError(
            f"{what} has no fixed size ({space}): turn it into a Box in a wrapper"
        ) from None
    if size > LARGEST:
        raise UserError(
            f"{what} has {size:,} entries ({space}), too many for a vector of "
            f"{LARGEST:,}: return a uint8 picture, or leave it out in a wrapper"
        )
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def vector_converter(space: spaces.Space, scale: tuple | None) -> Callable:
    """A function: observation → float32 vector, a copy."""
    flat = isinstance(space, spaces.Box) and len(space.shape) == 1
    if scale:
        divisor = np.asarray(scale, np.float32)
        if flat and space.dtype == np.float32:
            return lambda x: x / divisor
        return lambda x: np.asarray(spaces.flatten(space, x), np.float32) / divisor
    if flat:
        return lambda x: np.array(x, np.float32)
    return lambda x: np.array(spaces.flatten(space, x), np.float32)


def image_converter(space: spaces.Box, size: int) -> Callable:
    """A function: picture → (C, size, size) uint8, a copy."""
    first = channels_first(space)

    def convert(x: np.ndarray) -> np.ndarray:
        if x.shape == (1, size, size):
            return x.copy()
        if first:
            x = np.moveaxis(x, 0, -1)
        if x.shape[:2] != (size, size):
            x = resize(x, size)
        return np.array(np.moveaxis(x.reshape(size, size, -1), -1, 0), order="C")

    return convert


def resize(x: np.ndarray, size: int) -> np.ndarray:
    """(H, W, ...) → (size, size, ...), each pixel the mean of what it covers."""
    try:
        import cv2
    except ImportError:
        raise UserError("resizing needs OpenCV: pip install -e '.[atari]'") from None
    return cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA)


def action_converter(space: spaces.Space) -> tuple[spaces.Space, Callable]:
    """The space that the agent acts in, and a function: its action → the environment's."""
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return spaces.Discrete(space.n), lambda action: int(action) + start
    if not isinstance(space, spaces.Box):
        raise UserError(
            f"agents act in a Discrete or a Box space; this one is {space}: map it in a wrapper"
        )
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    low = np.where(bounded, space.low, -1).astype(np.float32)
    half = (np.where(bounded, space.high, 1).astype(np.float32) - low) / 2
    every, shape = bool(bounded.all()), low.shape

    def native(action) -> np.ndarray:
        action = np.asarray(action, np.float32).reshape(shape)
        inside = np.minimum(np.maximum(action, -1), 1)  # np.clip is slower
        inside += 1
        inside *= half
        inside += low
        return inside if every else np.where(bounded, inside, action)

    return spaces.Box(-1, 1, space.shape, np.float32), native
