"""Other correct answers to the exercises of actor_critic.py: loops and elementary operations."""

import math

import torch
from torch import Tensor, nn


class TruncatedNormal:
    def rsample(self) -> Tensor:
        tiny = torch.finfo(self.mean.dtype).eps
        # EXERCISE 2.12: the cumulative probability p at a random place, the action there
        u = torch.empty_like(self.below).uniform_()
        p = (1 - u) * self.below + u * torch.special.ndtr(self.right)
        p = torch.minimum(torch.maximum(p, 0 * p + tiny), 0 * p + (1 - tiny))
        distance = math.sqrt(2) * torch.erfinv(2 * p - 1)
        action = distance * self.std + self.mean
        # END 2.12
        return action

    def log_prob(self, action: Tensor) -> Tensor:
        # EXERCISE 2.13: the log-density of the Normal, corrected for the cut; sum over units
        total = 0.0
        for unit in range(action.shape[-1]):
            mean, std = self.mean[..., unit], self.std[..., unit]
            total = total - (action[..., unit] - mean) ** 2 / (2 * std**2)
            total = total - std.log() - self.mass[..., unit].log()
        return total - action.shape[-1] * math.log(math.sqrt(2 * math.pi))
        # END 2.13


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, gamma: float = 0.99, lambda_: float = 0.95
) -> Tensor:
    # EXERCISE 2.14: the recursion from the last step to the first; the result in order of time
    rows = []
    for reward, value, go_on in zip(rewards, values, continues, strict=True):
        row = [value[-1]]
        for t in reversed(range(reward.shape[0])):
            later = (1 - lambda_) * value[t + 1] + lambda_ * row[0]
            row.insert(0, reward[t] + go_on[t] * gamma * later)
        rows.append(torch.stack(row[:-1]))
    return torch.stack(rows)
    # END 2.14


def compute_discount_weights(continues: Tensor) -> Tensor:
    # EXERCISE 2.15: a cumulative product that starts with 1 and leaves out the last c
    weights = torch.ones_like(continues)
    for t in range(1, continues.shape[1]):
        weights[:, t] = weights[:, t - 1] * continues[:, t - 1].detach()
    return weights
    # END 2.15


def compute_actor_loss(
    actor: nn.Module, feature: Tensor, action: Tensor, returns: Tensor, values: Tensor,
    weights: Tensor, rho: float = 1.0, entropy_scale: float = 1e-3,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    # EXERCISE 2.16: the policy of states 0 ... L - 2, its log-probabilities, the weighted mean
    loss, entropies = 0.0, []
    steps = returns.shape[1] - 1
    for i in range(steps):
        policy = actor(feature[:, i].detach())
        advantage = returns[:, i + 1].detach() - values[:, i].detach()
        spread = policy.entropy()
        gain = policy.log_prob(action[:, i + 1].detach()) * advantage * rho
        gain = gain + returns[:, i + 1] * (1 - rho) + spread * entropy_scale
        loss = loss - (gain * weights[:, i].detach()).mean() / steps
        entropies.append(spread)
    return loss, torch.stack(entropies, dim=1)
    # END 2.16


def compute_critic_loss(
    critic: nn.Module, feature: Tensor, returns: Tensor, weights: Tensor
) -> Tensor:
    # EXERCISE 2.17: values of all states but the last, half squared errors, weighted, averaged
    losses = []
    for n in range(returns.shape[0]):
        for t in range(returns.shape[1]):
            error = critic(feature[n, t].detach()) - returns[n, t].item()
            losses.append(weights[n, t].item() * error * error / 2)
    return torch.stack(losses).mean()
    # END 2.17


@torch.no_grad()
def update_slow_critic(slow: nn.Module, fast: nn.Module, updates: int, interval: int = 100) -> None:
    # EXERCISE 2.18: at every multiple of the interval a full copy
    if updates != interval * (updates // interval):
        return
    newest = dict(fast.named_parameters())
    for name, parameter in slow.named_parameters():
        parameter.data = newest[name].detach().clone()
    # END 2.18
