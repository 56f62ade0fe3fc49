"""Correct answers, written differently: explicit loops and elementary operations."""

import torch
from torch import nn


class TokenFeatures(nn.Module):
    def forward(self, tokens):
        # EXERCISE 4.36: each level's token in its own codebook, one after the other
        count = self.codes.shape[1]
        parts = []
        for level in range(3):
            which = nn.functional.one_hot(tokens[..., level], count).to(self.codes.dtype)
            parts.append(which @ self.codes[level])
        return torch.cat(parts, dim=tokens.ndim - 1)
        # END 4.36


def dream_returns(rewards, goes_on, values, discount, lambda_=0.95):
    # EXERCISE 4.37: rows that begin with nothing, then paper 3's returns and weights
    horizon = rewards.shape[1]
    future, weight = values[:, horizon], torch.ones_like(rewards[:, 0])
    returns, weights = [], []
    for t in range(horizon - 1, -1, -1):
        ahead = values[:, t + 1] * (1 - lambda_) + future * lambda_
        future = rewards[:, t] + ahead * goes_on[:, t] * discount
        returns.insert(0, future)
    for t in range(horizon):
        weights.append(weight)
        weight = weight * goes_on[:, t] * discount
    return torch.stack(returns, dim=1), torch.stack(weights, dim=1)
    # END 4.37


def reinforce_loss(log_policy, action, advantage, weight, entropy_scale):
    # EXERCISE 4.38: the action taken, times its advantage; and the entropy
    total = 0.0
    for b in range(action.shape[0]):
        for t in range(action.shape[1]):
            row = log_policy[b, t]
            legal = row[torch.isfinite(row)]
            bonus = -torch.dot(legal.exp(), legal)
            gain = row[action[b, t]] * advantage[b, t].item() + entropy_scale * bonus
            total = total - weight[b, t].item() * gain
    return total / action.numel()
    # END 4.38


def ppo_loss(log_policy, before, action, advantage, weight, entropy_scale, clip=0.2):
    # EXERCISE 4.39: the ratio, both products, the smaller one; entropy and weight as before
    total = 0.0
    for b in range(action.shape[0]):
        for t in range(action.shape[1]):
            row, gain = log_policy[b, t], advantage[b, t].item()
            ratio = row[action[b, t]].exp() / before[b, t].detach().exp()
            if gain > 0:
                ratio = ratio.clamp(max=1 + clip)
            if gain <= 0:
                ratio = ratio.clamp(min=1 - clip)
            legal = row[row > float("-inf")]
            bonus = -(legal.exp() * legal).sum()
            total = total - weight[b, t].item() * (ratio * gain + entropy_scale * bonus)
    return total / action.numel()
    # END 4.39
