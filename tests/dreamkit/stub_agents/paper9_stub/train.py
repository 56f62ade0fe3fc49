"""The least that the trainer asks of an agent, without latents for the replay."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass
class Config:
    batch_size: int = 4
    batch_length: int = 8
    lr: float = 0.1


SIZES = {"tiny": {}, "paper": {"batch_size": 16, "batch_length": 64}}


class Agent:
    """Acts at random. `weight` moves towards the mean reward of its batches."""

    def __init__(self, obs_space, action_space, config, device="cpu"):
        self.config, self.device = config, torch.device(device)
        self.discrete = hasattr(action_space, "n")
        self.actions = int(action_space.n if self.discrete else np.prod(action_space.shape))
        self.weight = torch.zeros(())
        self.parameters = [self.weight]  # to count them
        self.batches = []

    def initial_state(self, batch_size):
        return {"steps": torch.zeros(batch_size)}

    def act(self, obs, state, explore=True):
        first = torch.as_tensor(obs["is_first"])
        steps = torch.where(first, 0.0, state["steps"]) + 1
        if self.discrete:
            numbers = torch.randint(self.actions, first.shape)
            action = torch.nn.functional.one_hot(numbers, self.actions).float()
        else:
            action = 2 * torch.rand(*first.shape, self.actions) - 1
        return action, {"steps": steps}

    def train_step(self, batch):
        self.batches.append(batch)
        error = torch.as_tensor(batch["reward"]).float().mean() - self.weight
        self.weight = self.weight + self.config.lr * error
        return {"loss/reward": error**2}, None

    def dream(self, batch, context=5):
        views = ("real", "reconstruction", "imagination")
        return {"reward": dict.fromkeys(views, np.asarray(batch["reward"]))}

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight = state["weight"]
