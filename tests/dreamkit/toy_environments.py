"""Small environments, each with one property that a test needs. Importing registers them."""

import os
import time
from contextlib import suppress

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit


class Counter(gymnasium.Env):
    """Episodes of `length` steps. The observation is the last action (one-hot) and the time.

    ending    "terminated" or "truncated": how an episode ends
    Rewards are 1, 2, 3, ... so that a lost or shifted one shows. Seeds, actions and steps are kept.
    """

    def __init__(self, length: int = 5, ending: str = "terminated", actions: int = 3):
        self.length, self.ending = length, ending
        self.observation_space = spaces.Box(-np.inf, np.inf, (actions + 1,), np.float32)
        self.action_space = spaces.Discrete(actions)
        self.seeds: list[int] = []
        self.taken: list = []
        self.over = True

    def _observation(self, action: int | None) -> np.ndarray:
        x = np.zeros(self.observation_space.shape, np.float32)
        if action is not None:
            x[action] = 1
        x[-1] = self.time
        return x

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.time, self.over = 0, False
        return self._observation(None), {}

    def step(self, action):
        assert not self.over, "stepped after the end of an episode"
        self.taken.append(action)
        self.time += 1
        self.over = self.time == self.length
        ends = (self.over and self.ending == kind for kind in ("terminated", "truncated"))
        return self._observation(int(action)), float(self.time), *ends, {}


class Noisy(Counter):
    """Repeats nothing: its observation comes from the operating system's random numbers."""

    def _observation(self, action):
        x = super()._observation(action)
        x[-1] = int.from_bytes(os.urandom(3), "little")
        return x


class Failing(Counter):
    """Raises, hangs or returns NaN at one step of one episode, or fails when it is built."""

    def __init__(self, failure: str, episode: int = 0, step: int = 3):
        if failure == "constructor":
            raise RuntimeError("the map file is missing\nand this is a second line")
        super().__init__(length=20)
        self.failure, self.where = failure, (episode, step)

    def reset(self, seed=None, options=None):
        result = super().reset(seed, options)
        if self.failure == "reset" and len(self.seeds) - 1 == self.where[0]:
            raise ValueError("the motor is broken")
        return result

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        if (len(self.seeds) - 1, self.time) == self.where:
            if self.failure == "step":
                raise ValueError("the motor is broken\nand this is a second line")
            while self.failure == "hang":
                time.sleep(0.01)
            while self.failure == "hang for ever":
                with suppress(Exception):
                    time.sleep(0.01)
            if self.failure == "observation":
                obs = obs * np.nan
            if self.failure == "reward":
                reward = float("nan")
        return obs, reward, terminated, truncated, info


class Liar(Counter):
    """Declares three numbers and returns four."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def _observation(self, action):
        return np.zeros(4, np.float32)


class Spaces(gymnasium.Env):
    """Any pair of spaces. Observations are seeded samples; the last action is kept."""

    def __init__(self, observation_space, action_space=None):
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2)
        self.last = None

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.last = action
        return self.observation_space.sample(), 0.0, False, False, {}


class Colours(Spaces):
    """A picture (H, W, 3) with one value for each colour."""

    def __init__(self, height: int = 30, width: int = 40):
        super().__init__(spaces.Box(0, 255, (height, width, 3), np.uint8))

    def reset(self, seed=None, options=None):
        return self._picture(), {}

    def step(self, action):
        return self._picture(), 0.0, False, False, {}

    def _picture(self):
        return np.broadcast_to(np.uint8([10, 20, 30]), self.observation_space.shape).copy()


def dictionary() -> Spaces:
    parts = {
        "camera": spaces.Box(0, 255, (20, 24), np.uint8),
        "eye": spaces.Box(0, 255, (20, 24, 3), np.uint8),
        "speed": spaces.Box(-5, 5, (3,), np.float64),
        "grid": spaces.Box(-5, 5, (2, 2), np.float32),
        "gear": spaces.Discrete(4),
    }
    return Spaces(spaces.Dict(parts))


BOUNDS = dict(
    low=np.float32([-2, 0, -np.inf]), high=np.float32([2, 1, np.inf])
)  # two bounded entries and a free one
VECTOR = spaces.Box(-1, 1, (2,), np.float32)

for name, entry in {
    "Counter": Counter,
    "Noisy": Noisy,
    "Failing": Failing,
    "Colours": Colours,
    "Dictionary": dictionary,
    "Seen": lambda: TimeLimit(Spaces(spaces.Box(0, 255, (30, 40), np.uint8)), 5),
    "Grey": lambda: Spaces(spaces.Box(0, 255, (30, 40), np.uint8)),
    "Offset": lambda: Spaces(VECTOR, spaces.Discrete(3, start=5)),
    "Bounds": lambda: Spaces(VECTOR, spaces.Box(dtype=np.float32, **BOUNDS)),
    "ManyActions": lambda: Spaces(VECTOR, spaces.MultiDiscrete([2, 3])),
    "BinaryActions": lambda: Spaces(VECTOR, spaces.MultiBinary(3)),
    "Words": lambda: Spaces(spaces.Text(20)),
    "Liar": Liar,
    "Endless": lambda: Spaces(spaces.Sequence(spaces.Discrete(3))),
    "Floats": lambda: Spaces(spaces.Dict({"eye": spaces.Box(0, 1, (9, 9, 3), np.float32)})),
    "Stack": lambda: Spaces(spaces.Box(0, 255, (4, 9, 9, 3), np.uint8)),
    "Long": lambda: Spaces(spaces.Box(0, 1, (120, 120), np.float32)),
    "TakenName": lambda: Spaces(spaces.Dict({"action": VECTOR, "z": VECTOR})),
}.items():
    gymnasium.register(f"Toy/{name}-v0", entry_point=entry, disable_env_checker=True)
