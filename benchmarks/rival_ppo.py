"""PPO of Stable-Baselines3 on one of our tasks: see benchmarks/rivals.py.

Settings are those of DLR-RM/rl-baselines3-zoo, `hyperparams/ppo.yml`: those for CartPole-v1 on
CartPole from its state, those for Atari on pictures; elsewhere PPO's own defaults with four
environments. What was changed:

steps     with pictures 500,000 and not 10 million; rates marked `lin_` fall to zero over them
frames    PPO remembers nothing, and one picture hides all velocities: it sees the last four, as in
          the zoo's Atari. Dreamer sees one, and remembers
size      the library's convolutions want 36 pixels: a smaller picture has every pixel doubled
device    the CPU
"""

import copy

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack

from benchmarks.rivals import Watch
from dreamkit import make

ZOO = {
    "cartpole": dict(
        policy="MlpPolicy", n_envs=8, n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98,
        n_epochs=20, ent_coef=0.0, learning_rate="lin_0.001", clip_range="lin_0.2",
    ),
    "pictures": dict(
        policy="CnnPolicy", n_envs=8, n_steps=128, batch_size=256, n_epochs=4, vf_coef=0.5,
        ent_coef=0.01, learning_rate="lin_2.5e-4", clip_range="lin_0.1",
    ),
}  # fmt: skip
ELSE = dict(policy="MlpPolicy", n_envs=4)
FRAMES = 4


def scheduled(value):
    """`lin_0.1` → a function of the share of the run that is left; anything else as it is."""
    if isinstance(value, str) and value.startswith("lin_"):
        return lambda left: left * float(value.removeprefix("lin_"))
    return value


def only(obs: dict) -> np.ndarray:
    """The one observation, (..., D) or (..., C, H, W); a small picture is doubled."""
    (x,) = (x for key, x in obs.items() if key != "is_first")
    return x.repeat(2, -1).repeat(2, -2) if "image" in obs and x.shape[-1] < 36 else x


def environment(task: dict) -> gymnasium.Env:
    """Our environment, with a single observation in place of the dictionary."""
    env = make(**task)
    ((key, space),) = env.observation_space.items()
    shape = only({key: np.zeros(space.shape)}).shape
    box = gymnasium.spaces.Box(space.low.min(), space.high.max(), shape, space.dtype)
    return gymnasium.wrappers.TransformObservation(env, only, box)


class Player:
    """A policy; its state is the last pictures, zeros before the first."""

    device = torch.device("cpu")

    def __init__(self, policy):
        policy.action_dist.distribution = None  # of the last batch, and nothing to copy
        self.policy = copy.deepcopy(policy)

    def initial_state(self, n: int) -> np.ndarray | None:
        shape = self.policy.observation_space.shape
        return np.zeros((n, *shape), np.uint8) if len(shape) == 3 else None

    def act(self, obs: dict, state: np.ndarray | None, explore: bool = False):
        x = only(obs)
        if state is not None:
            x = state = np.concatenate([state[:, x.shape[1] :], x], 1)
        chosen, _ = self.policy.predict(x, deterministic=True)
        if chosen.ndim == 1:  # numbers of discrete actions
            chosen = np.eye(self.policy.action_space.n, dtype=np.float32)[chosen]
        return torch.as_tensor(chosen), state


class Look(BaseCallback):
    """Evaluates between two rollouts. Only a step can end the training: the next one does."""

    def __init__(self, watch: Watch):
        super().__init__()
        self.watch, self.due, self.over = watch, watch.every, False

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self.due:
            self.due = self.num_timesteps + self.watch.every
            self.over = self.watch.look(self.num_timesteps, Player(self.model.policy))

    def _on_step(self) -> bool:
        return not self.over

    def _on_training_end(self) -> None:
        if not self.over:
            self._on_rollout_start()


def train(watch: Watch, given: dict) -> dict:
    """Train until the watch or the number of steps ends it. Returns the settings."""
    pictures = "image" in make(**watch.task).observation_space.spaces
    settings = ZOO.get("pictures" if pictures else watch.task["name"], ELSE) | given
    steps = watch.steps or (500_000 if pictures else 100_000)
    arguments = {key: scheduled(x) for key, x in settings.items()}
    envs = make_vec_env(lambda: environment(watch.task), arguments.pop("n_envs"), watch.seed)
    if pictures:
        envs = VecFrameStack(envs, FRAMES, channels_order="first")
    model = PPO(env=envs, seed=watch.seed, device="cpu", **arguments)
    watch.begin()
    model.learn(steps, Look(watch))
    return settings | {"steps": steps}
