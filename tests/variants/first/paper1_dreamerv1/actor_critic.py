"""Other correct answers to the exercises of actor_critic.py: library functions, few lines."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TanhNormal:
    def __init__(self, mean: Tensor, std: Tensor):
        self.mean, self.std = mean, std

    def rsample(self) -> Tensor:
        # EXERCISE 1.20: a reparameterised sample of Normal(mean, std), then tanh
        from torch.distributions import Normal, TanhTransform, TransformedDistribution

        return TransformedDistribution(Normal(self.mean, self.std), TanhTransform()).rsample()
        # END 1.20


class Actor(nn.Module):
    def forward(self, feature: Tensor) -> TanhNormal:
        # EXERCISE 1.21: split the output in two; bound the mean, make the std positive
        raw = self.mlp(feature)
        first, second = torch.tensor_split(raw, 2, dim=-1)
        shifted = second.add(math.log(math.expm1(self.init_std)))
        std = torch.logaddexp(shifted, torch.zeros_like(shifted)).add(self.min_std)
        return TanhNormal(std=std, mean=first.div(self.mean_scale).tanh().mul(self.mean_scale))
        # END 1.21


class Critic(nn.Module):
    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 1.22: the network, without its last dimension
        return self.mlp(feature)[..., 0]
        # END 1.22


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, gamma: float = 0.99, lambda_: float = 0.95
) -> Tensor:
    # EXERCISE 1.23: from the last step to the first; then put them in order of time
    # R = known + factor · (R of the next state), as one triangular system for all steps
    discount = gamma * continues
    known = rewards + (1 - lambda_) * discount * values[:, 1:]
    known = known + F.pad(lambda_ * discount[:, -1:] * values[:, -1:], (rewards.shape[1] - 1, 0))
    step = torch.diag_embed(lambda_ * discount[:, :-1], offset=1)
    system = torch.eye(rewards.shape[1], dtype=rewards.dtype, device=rewards.device) - step
    return torch.linalg.solve_triangular(system, known[..., None], upper=True)[..., 0]
    # END 1.23


def compute_discount_weights(continues: Tensor, gamma: float = 0.99) -> Tensor:
    # EXERCISE 1.24: a cumulative product that starts with 1 and leaves out the last c
    with torch.no_grad():
        return F.pad(gamma * continues[:, :-1], (1, 0), value=1.0).cumprod(-1)
    # END 1.24


def actor_loss(returns: Tensor, weights: Tensor) -> Tensor:
    # EXERCISE 1.25: the mean over all dreams and steps, to be minimised
    return torch.einsum("bh,bh->", weights.detach(), returns) / -returns.numel()
    # END 1.25


def critic_loss(values: Tensor, returns: Tensor, weights: Tensor) -> Tensor:
    # EXERCISE 1.26: half the squared error to the fixed target, weighted, averaged
    likelihood = torch.distributions.Normal(values, 1.0).log_prob(returns.detach())
    return -(weights.detach() * (likelihood + 0.5 * math.log(2 * math.pi))).mean()
    # END 1.26
