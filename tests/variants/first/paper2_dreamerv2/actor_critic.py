"""Other correct answers to the exercises of actor_critic.py: library functions, few lines."""

import math

import torch
from torch import Tensor, nn


class TruncatedNormal:
    def rsample(self) -> Tensor:
        tiny = torch.finfo(self.mean.dtype).eps
        # EXERCISE 2.12: the cumulative probability p at a random place, the action there
        from torch.distributions import Normal

        u = torch.rand(self.mean.shape, dtype=self.mean.dtype, device=self.mean.device)
        p = torch.lerp(self.below, self.below + self.mass, u)
        action = Normal(self.mean, self.std).icdf(torch.clip(p, min=tiny, max=1 - tiny))
        # END 2.12
        return action

    def log_prob(self, action: Tensor) -> Tensor:
        # EXERCISE 2.13: the log-density of the Normal, corrected for the cut; sum over units
        normal = torch.distributions.Normal(self.mean, self.std)
        return normal.log_prob(action).sub(self.mass.log()).sum(dim=-1)
        # END 2.13


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, gamma: float = 0.99, lambda_: float = 0.95
) -> Tensor:
    # EXERCISE 2.14: the recursion from the last step to the first; the result in order of time
    # the return of a state is what is known there, and a share of the next: one triangular system
    steps, factor = rewards.shape[1], gamma * continues
    known = rewards + factor * (1 - lambda_) * values[:, 1:]
    last = factor[:, -1:] * lambda_ * values[:, -1:]
    known = torch.cat([known[:, :-1], known[:, -1:] + last], 1)
    matrix = torch.eye(steps, dtype=rewards.dtype, device=rewards.device)
    matrix = matrix - torch.diag_embed(lambda_ * factor[:, :-1], 1)
    return torch.linalg.solve_triangular(matrix, known.unsqueeze(-1), upper=True).squeeze(-1)
    # END 2.14


def compute_discount_weights(continues: Tensor) -> Tensor:
    # EXERCISE 2.15: a cumulative product that starts with 1 and leaves out the last c
    with torch.no_grad():
        return nn.functional.pad(continues, (1, -1), value=1.0).cumprod(-1)
    # END 2.15


def compute_actor_loss(
    actor: nn.Module, feature: Tensor, action: Tensor, returns: Tensor, values: Tensor,
    weights: Tensor, rho: float = 1.0, entropy_scale: float = 1e-3,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    # EXERCISE 2.16: the policy of states 0 ... L - 2, its log-probabilities, the weighted mean
    policy = actor(feature.detach()[:, :-1])  # one state too many, cut off below
    entropy = policy.entropy()[:, :-1]
    with torch.no_grad():
        advantage = torch.sub(returns[:, 1:], values.narrow(1, 0, returns.shape[1] - 1))
        count = weights[:, :-2] / advantage.numel()
    log_prob = policy.log_prob(action.detach()[:, 1:])[:, :-1]
    terms = {
        "reinforce": torch.einsum("nl,nl,nl->", count, log_prob, advantage) * rho,
        "dynamics": torch.einsum("nl,nl->", count, returns[:, 1:]) * (1 - rho),
        "bonus": torch.einsum("nl,nl->", count, entropy) * entropy_scale,
    }
    return sum(-x for x in terms.values()), entropy
    # END 2.16


def compute_critic_loss(
    critic: nn.Module, feature: Tensor, returns: Tensor, weights: Tensor
) -> Tensor:
    # EXERCISE 2.17: values of all states but the last, half squared errors, weighted, averaged
    values = critic(feature.detach())[:, : returns.shape[1]]
    density = torch.distributions.Normal(values, 1.0).log_prob(returns.detach())
    return -torch.mean(weights.detach()[:, :-1] * (density + math.log(2 * math.pi) / 2))
    # END 2.17


@torch.no_grad()
def update_slow_critic(slow: nn.Module, fast: nn.Module, updates: int, interval: int = 100) -> None:
    # EXERCISE 2.18: at every multiple of the interval a full copy
    if not divmod(updates, interval)[1]:
        torch._foreach_copy_(list(slow.parameters()), list(fast.parameters()))
    # END 2.18
