"""DreamerV3 without normalised returns: S = 1, and all else the solution's.

    dreamer-train agent=dreamerv3_unscaled code=benchmarks/ablations task=cartpole_pixels

A step of LaProp does not depend on how long the gradients are, so what changes for the actor is how
much the entropy bonus weighs beside the advantage.
"""

import torch
from torch import Tensor

from solutions.paper3_dreamerv3 import train
from solutions.paper3_dreamerv3.actor_critic import ReturnNormalizer
from solutions.paper3_dreamerv3.train import SIZES, TASKS, Config  # noqa: F401


class NoNormalizer(ReturnNormalizer):
    """Keeps the percentiles, and divides by 1."""

    def scale(self) -> Tensor:
        return torch.ones_like(self.high)


class Agent(train.Agent):
    """The solution's agent, whose advantages stay in the units of the rewards."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.normalizer = self.modules["normalizer"] = NoNormalizer().to(self.device)
