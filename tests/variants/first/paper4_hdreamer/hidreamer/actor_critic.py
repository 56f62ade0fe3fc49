"""Correct answers, written differently: terse, with library functions."""

import torch
from torch import nn

from solutions.paper3_dreamerv3.actor_critic import compute_lambda_returns, imagination_weights
from solutions.paper4_hdreamer.hidreamer.actor_critic import entropy


class TokenFeatures(nn.Module):
    def forward(self, tokens):
        # EXERCISE 4.36: each level's token in its own codebook, one after the other
        return self.codes[torch.arange(len(self.codes)), tokens].flatten(-2)
        # END 4.36


def dream_returns(rewards, goes_on, values, discount, lambda_=0.95):
    # EXERCISE 4.37: rows that begin with nothing, then paper 3's returns and weights
    follow = nn.functional.pad(goes_on * discount, (1, 0), value=1.0)
    led_to = nn.functional.pad(rewards, (1, 0))
    cut = rewards.new_zeros(values.shape)
    returns = compute_lambda_returns(led_to, values, follow, cut, lambda_)
    return returns, imagination_weights(follow[:, :-1])
    # END 4.37


def reinforce_loss(log_policy, action, advantage, weight, entropy_scale):
    # EXERCISE 4.38: the action taken, times its advantage; and the entropy
    policy = torch.distributions.Categorical(logits=log_policy)
    with torch.no_grad():
        up, bonus = weight * advantage, weight * entropy_scale
    total = (up * policy.log_prob(action)).sum() + (bonus * policy.entropy()).sum()
    return -total / action.numel()
    # END 4.38


def ppo_loss(log_policy, before, action, advantage, weight, entropy_scale, clip=0.2):
    # EXERCISE 4.39: the ratio, both products, the smaller one; entropy and weight as before
    before, advantage, weight = (x.detach() for x in (before, advantage, weight))
    legal = nn.functional.one_hot(action, log_policy.shape[-1]).bool()
    ratio = torch.exp(log_policy[legal].view_as(before) - before)
    bound = torch.where(advantage > 0, 1 + clip, 1 - clip)
    beyond = torch.where(advantage > 0, ratio > bound, ratio < bound)
    gain = advantage * torch.where(beyond, bound, ratio)
    return torch.mean(-weight * gain - weight * entropy_scale * entropy(log_policy))
    # END 4.39
