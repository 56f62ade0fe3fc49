"""Catch: a ball falls, a paddle must be where it lands. The smallest game of pixels and memory."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Catch(gymnasium.Env):
    """A ball falls one row a step in a picture (1, size, size); the paddle is on the last row.

    Reward comes once, at the end: +1 where the paddle is under the ball, else -1. Ball and paddle
    are one pixel each. After bsuite's catch (Osband et al. 2020, arXiv:1908.03568).

    seen      rows from the top in which the ball shows; it is hidden below, so that its column
              must be remembered. 0: it always shows
    actions   left, stay, right
    """

    def __init__(self, size: int = 8, seen: int = 0):
        self.size, self.seen = size, seen or size
        self.observation_space = spaces.Box(0, 255, (1, size, size), np.uint8)
        self.action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.row, self.column = 0, int(self.np_random.integers(self.size))
        self.paddle = self.size // 2
        return self._picture(), {}

    def step(self, action):
        self.row += 1
        self.paddle = min(max(self.paddle + int(action) - 1, 0), self.size - 1)
        landed = self.row == self.size - 1
        reward = (1.0 if self.paddle == self.column else -1.0) if landed else 0.0
        return self._picture(), reward, landed, False, {}

    def factors(self) -> dict[str, np.ndarray]:
        """Where paddle and ball are, from 0 to size - 1. An agent does not get to see them."""
        return {
            "ego/paddle": np.array([float(self.paddle)]),
            "world/ball": np.array([float(self.row), float(self.column)]),
        }

    def _picture(self) -> np.ndarray:
        image = np.zeros((1, self.size, self.size), np.uint8)
        image[0, -1, self.paddle] = 255
        if self.row < self.seen:
            image[0, self.row, self.column] = 255
        return image
