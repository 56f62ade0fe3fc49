"""Other correct answers to the exercises of actor_critic.py: loops and elementary operations."""

import math

import torch
from torch import Tensor, nn


class TanhNormal:
    def __init__(self, mean: Tensor, std: Tensor):
        self.mean, self.std = mean, std

    def rsample(self) -> Tensor:
        # EXERCISE 1.20: a reparameterised sample of Normal(mean, std), then tanh
        noise = torch.empty_like(self.mean).normal_()
        grown = torch.exp(2 * (noise * self.std + self.mean))
        return 1 - 2 / (grown + 1)
        # END 1.20


class Actor(nn.Module):
    def forward(self, feature: Tensor) -> TanhNormal:
        # EXERCISE 1.21: split the output in two; bound the mean, make the std positive
        out = self.mlp(feature)
        actions = out.shape[-1] // 2
        mean = out[..., :actions]
        raw = out[..., actions:] + math.log(math.exp(self.init_std) - 1)
        mean = self.mean_scale * (2 * torch.sigmoid(2 * mean / self.mean_scale) - 1)
        std = torch.log(1 + torch.exp(raw)) + self.min_std
        return TanhNormal(mean, std)
        # END 1.21


class Critic(nn.Module):
    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 1.22: the network, without its last dimension
        flat = feature.reshape(-1, feature.shape[-1])
        return self.mlp(flat).reshape(feature.shape[:-1])
        # END 1.22


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, gamma: float = 0.99, lambda_: float = 0.95
) -> Tensor:
    # EXERCISE 1.23: from the last step to the first; then put them in order of time
    returns = torch.zeros_like(values)
    returns[:, -1] = values[:, -1]
    for b in range(len(rewards)):
        t = rewards.shape[1] - 1
        while t >= 0:
            value, later = values[b, t + 1], returns[b, t + 1].clone()
            discount = continues[b, t] * gamma
            returns[b, t] = rewards[b, t] + discount * (value + lambda_ * (later - value))
            t -= 1
    return returns[:, :-1]
    # END 1.23


def compute_discount_weights(continues: Tensor, gamma: float = 0.99) -> Tensor:
    # EXERCISE 1.24: a cumulative product that starts with 1 and leaves out the last c
    constant = continues.detach()
    weights = [torch.ones_like(constant[:, 0])]
    for t in range(constant.shape[1] - 1):
        weights.append(weights[-1] * constant[:, t] * gamma)
    return torch.stack(weights, dim=1)
    # END 1.24


def actor_loss(returns: Tensor, weights: Tensor) -> Tensor:
    # EXERCISE 1.25: the mean over all dreams and steps, to be minimised
    total = 0.0
    for row, row_weights in zip(returns, weights.detach(), strict=True):
        for value, weight in zip(row, row_weights, strict=True):
            total = total - value * weight
    return total / (returns.shape[0] * returns.shape[1])
    # END 1.25


def critic_loss(values: Tensor, returns: Tensor, weights: Tensor) -> Tensor:
    # EXERCISE 1.26: half the squared error to the fixed target, weighted, averaged
    target, losses = returns.detach(), []
    for b in range(values.shape[0]):
        for t in range(values.shape[1]):
            error = target[b, t] - values[b, t]
            losses.append(weights[b, t].item() * error * error)
    return sum(losses) / len(losses) / 2
    # END 1.26
