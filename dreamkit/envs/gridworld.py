"""A small world with two kinds of causes: oneself, and all else. It says what it is made of."""

import gymnasium
import numpy as np
from gymnasium import spaces

PUSHES = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])  # of the actions, in cells per step²
BALLS = np.array([1.0, 0.5])  # how bright: which is which must be seen to be known
GREY = 128  # what is empty, and nothing to an encoder that takes 0.5 away. On black a model
# predicted the mean picture for its first 190 updates at least; on grey it sees at once
SPREAD = 1.5  # pixels: how far a spot shines; single pixels give hardly any error to learn from


class GridWorld(gymnasium.Env):
    """Eat, and keep away from the balls. A picture (3, size, size) a step.

    Oneself (green) has mass: an action pushes, and one glides on until a push or a wall stops it.
    So a single picture does not show where one is going. Balls (red, one brighter) fly diagonally
    and bounce off the walls, whatever one does. Food (blue) waits, and appears elsewhere once it is
    eaten.

    reward    1 for food in one's cell or beside it, -1 for each ball in one's cell
    actions   nothing, push up, down, left, right
    size      pixels of a side; a cell is 2×2 of them
    length    steps of an episode, after which it is cut
    """

    def __init__(self, size: int = 16, length: int = 100):
        self.cells, self.length = size // 2, length
        self.observation_space = spaces.Box(0, 255, (3, size, size), np.uint8)
        self.action_space = spaces.Discrete(len(PUSHES))
        pixels, centres = np.arange(size), 2 * np.arange(self.cells)[:, None] + 0.5
        self.spots = np.exp(-0.5 * ((pixels - centres) / SPREAD) ** 2)  # (cell, pixel)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.position, self.velocity = self._cell(), np.zeros(2, int)
        self.balls = np.stack([self._cell() for _ in BALLS])
        self.motion = self.np_random.choice((-1, 1), (len(BALLS), 2))
        self.food = self._cell()
        return self._picture(), {}

    def step(self, action):
        self.steps += 1
        self.velocity = np.clip(self.velocity + PUSHES[int(action)], -1, 1)
        wanted = self.position + self.velocity
        self.position = np.clip(wanted, 0, self.cells - 1)
        self.velocity[self.position != wanted] = 0
        beyond = self.balls + self.motion
        self.motion = np.where((beyond < 0) | (beyond >= self.cells), -self.motion, self.motion)
        self.balls = self.balls + self.motion
        reward = -float((self.balls == self.position).all(1).sum())
        if np.abs(self.food - self.position).max() <= 1:
            reward += 1.0
            self.food = self._cell()
        return self._picture(), reward, False, self.steps >= self.length, {}

    def factors(self) -> dict[str, np.ndarray]:
        """What the present picture and motion are made of: `ego/…` and `world/…`.

        Positions from -1 to 1, velocities in cells per step. An agent does not get to see them.
        """
        scale = (self.cells - 1) / 2
        return {
            "ego/position": self.position / scale - 1,
            "ego/velocity": self.velocity.astype(float),
            "world/balls": (self.balls / scale - 1).flatten(),
            "world/motion": self.motion.astype(float).flatten(),
            "world/food": self.food / scale - 1,
        }

    def _cell(self) -> np.ndarray:
        return self.np_random.integers(self.cells, size=2)

    def _picture(self) -> np.ndarray:
        balls = BALLS[:, None, None] * self._spots(self.balls)
        places = np.stack([self.position, self.food])
        light = np.concatenate([balls.max(0, keepdims=True), self._spots(places)])
        return (GREY + (255 - GREY) * light).astype(np.uint8)

    def _spots(self, places: np.ndarray) -> np.ndarray:
        """Soft spots in some cells, 1 in their middle. (n, 2) → (n, H, W)"""
        across = self.spots[places]  # (n, 2, H): how bright each row and each column is
        return across[:, 0, :, None] * across[:, 1, None, :]
