"""DreamerV3 whose rewards and values are single numbers, learned by squared error, as in V1 and V2.

    dreamer-train agent=dreamerv3_squared code=benchmarks/ablations task=cartpole_pixels

All else is the solution's. The error is that of V1 and V2, half a square in the units of the
rewards, without symlog. Nothing was tuned for it.

Importing this file changes the solution's modules in this process: it is for runs alone.
"""

from torch import Tensor, nn

from solutions.paper3_dreamerv3 import rssm, train
from solutions.paper3_dreamerv3.networks import MLP
from solutions.paper3_dreamerv3.train import SIZES, TASKS, Agent, Config  # noqa: F401


class NumberHead(nn.Module):
    """In the place of TwoHotHead: one number instead of logits of bins. Starts at zero, too."""

    def __init__(self, inputs: int, units: int, layers: int, bins: int, limit: float):
        super().__init__()
        self.mlp = MLP(inputs, units, layers, 1, scale=0.0)

    def forward(self, feature: Tensor) -> Tensor:
        return self.mlp(feature)

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1)

    def loss(self, outputs: Tensor, *targets: Tensor) -> Tensor:
        """The sum of half the squared errors to all targets, each (...). → (...)"""
        return sum(0.5 * (self.mean(outputs) - target).square() for target in targets)


rssm.TwoHotHead = train.TwoHotHead = NumberHead
