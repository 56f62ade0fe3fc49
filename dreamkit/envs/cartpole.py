"""CartPole as a picture, and with a continuous force."""

import gymnasium
import numpy as np
from gymnasium import spaces


class ContinuousForce(gymnasium.ActionWrapper):
    """CartPole pushed with any force in [-10, 10] newtons: action in [-1, 1]."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def action(self, action) -> int:
        force = 10 * float(np.clip(np.asarray(action).reshape(()), -1, 1))
        self.unwrapped.force_mag = abs(force)  # the environment applies ± force_mag
        return int(force > 0)


class PixelCartPole(gymnasium.ObservationWrapper):
    """One grey picture (1, size, size), drawn with numpy alone.

    A single frame hides every velocity, so a policy needs memory. The cart's track spans the
    width, -2.4 … 2.4 metres; the pole is 0.8 of the height long, so that one degree shows.
    """

    def __init__(self, env: gymnasium.Env, size: int = 32):
        super().__init__(env)
        self.size = size
        self.observation_space = spaces.Box(0, 255, (1, size, size), np.uint8)
        self.rows, self.columns = np.mgrid[0:size, 0:size].astype(np.float32)

    def observation(self, observation) -> np.ndarray:
        n = self.size
        x, _, angle, _ = (float(value) for value in observation)
        cart = (x / 2.4 * 0.45 + 0.5) * (n - 1)  # column of the cart's middle
        ground = 0.9 * (n - 1)
        # Distance of every pixel from the pole, a segment from the cart upwards.
        right, up = self.columns - cart, ground - self.rows
        sine, cosine = np.sin(angle), np.cos(angle)
        along = np.clip(right * sine + up * cosine, 0, 0.8 * n)
        distance = np.hypot(right - along * sine, up - along * cosine)
        pole = np.clip(n / 22 - distance, 0, 1)  # a soft edge makes sub-pixel motion visible
        half = np.clip(n / 8 + 0.5 - np.abs(right), 0, 1)
        body = half * np.clip(n / 16 + 0.5 - np.abs(up + n / 24), 0, 1)
        image = np.maximum(pole, 0.6 * body)
        return (255 * image).astype(np.uint8)[None]
