"""DreamerV2 with Normal latents: everything else is the solution's, down to the last line.

    dreamer-train agent=dreamerv2_gaussian code=benchmarks/ablations task=cartpole_pixels

z has as many units as the categoricals have classes together, so that all other layers keep their
sizes; prior and posterior put out a mean and a standard deviation for each, twice the numbers.
Standard deviations are 2 sigmoid(x / 2) + 0.1, as in the official code with `discrete: False`
(danijar/dreamerv2, common/nets.py, `sigmoid2`). The KL is balanced as before.

Importing this file changes the solution's modules in this process: it is for runs alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.paper2_dreamerv2 import rssm, train
from solutions.paper2_dreamerv2.train import NAMES, SIZES, TASKS, Config  # noqa: F401


def sample(statistics: Tensor) -> Tensor:
    """Reparameterised. (..., Z, 2) → (..., Z)"""
    mean, std = split(statistics)
    return mean + std * torch.randn_like(std)


def split(statistics: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation. (..., Z, 2) → (..., Z) twice"""
    mean, raw = statistics.unbind(-1)
    return mean, 2 * torch.sigmoid(raw / 2) + 0.1


def kl_divergence(post: Tensor, prior: Tensor) -> Tensor:
    """KL(posterior ‖ prior), summed over the units. (..., Z, 2) twice → (...)"""
    (mean, std), (other, wide) = split(post), split(prior)
    ratio, distance = (std / wide).square(), ((mean - other) / wide).square()
    return 0.5 * (ratio + distance - 1 - ratio.log()).sum(-1)


class GaussianRSSM(rssm.DiscreteRSSM):
    """Z Normal units. What the solution calls logits are means and raw deviations, (..., Z, 2)."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.shape = (self.state_dim, 2)
        hidden = self.fc_prior_logits.in_features
        self.fc_prior_logits = nn.Linear(hidden, 2 * self.state_dim)
        self.fc_post_logits = nn.Linear(hidden, 2 * self.state_dim)

    def prior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        statistics = self.fc_prior_logits(F.elu(self.fc_prior(h))).unflatten(-1, self.shape)
        return sample(statistics), statistics

    def posterior(self, h: Tensor, embed: Tensor) -> tuple[Tensor, Tensor]:
        x = F.elu(self.fc_post(torch.cat([h, embed], -1)))
        statistics = self.fc_post_logits(x).unflatten(-1, self.shape)
        return sample(statistics), statistics


class Agent(train.DreamerV2):
    """The solution's agent in a world of Normal latents."""

    def latent_statistics(self, batch: dict) -> dict:
        """KL of every unit (B, T, Z), nats."""
        return {"kl": super().latent_statistics(batch)["kl"]}


rssm.DiscreteRSSM, rssm.kl_divergence = GaussianRSSM, kl_divergence
rssm.WorldModel.latent_entropies = lambda self, states: {}
