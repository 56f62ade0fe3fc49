"""Correct answers, written differently: terse, with library functions."""

import torch

from solutions.paper2_dreamerv2.actor_critic import (
    compute_actor_loss,
    compute_critic_loss,
    compute_discount_weights,
    compute_lambda_returns,
)
from solutions.paper2_dreamerv2.rssm import get_feature


class DreamerV2:
    def imagine(self, start: dict):
        c = self.config
        with torch.set_grad_enabled(self.rho < 1):
            # EXERCISE 2.20: dream with policy samples, predict, correct the start (needs 2.7)
            def policy(x):
                return self.actor(x).rsample()

            dream = self.world_model.rssm.rollout_imagination(
                start, policy, horizon=c.imagination_horizon
            )
            feature = get_feature(**{name: dream[name] for name in "hz"})
            rewards, continues = self.world_model.predict(feature)
            values = self.slow_critic(feature)
            if self.world_model.continues is not None:
                at_start = torch.arange(continues.shape[1], device=continues.device) == 0
                truth = torch.where(start["is_terminal"].bool(), 0.0, c.gamma).to(continues)
                continues = torch.where(at_start, truth.unsqueeze(1), continues)
            # END 2.20
        return feature, dream["action"], rewards, continues, values

    def train_actor_critic(self, start: dict):
        c = self.config
        feature, action, rewards, continues, values = self.imagine(start)
        # EXERCISE 2.21: returns, weights, the two losses (needs 2.14 2.15 2.16 2.17)
        steps = rewards.shape[1] - 1
        reward, goes_on = (x.narrow(1, 0, steps) for x in (rewards, continues))
        returns = compute_lambda_returns(
            rewards=reward, values=values, continues=goes_on, gamma=1.0, lambda_=c.lambda_
        )
        weights = compute_discount_weights(continues)
        shared = dict(feature=feature, returns=returns, weights=weights)
        value_loss = compute_critic_loss(self.critic, **shared)
        policy_loss, entropy = compute_actor_loss(
            actor=self.actor, action=action, values=values, rho=self.rho,
            entropy_scale=c.entropy_scale, **shared
        )  # fmt: skip
        # END 2.21
        return returns, policy_loss, entropy, value_loss

    def update(self, name: str, loss) -> None:
        parameters = list(self.modules[name].parameters())
        optimizer = self.optimizers[name]
        # EXERCISE 2.22: clear old gradients, backward into `parameters` alone, clip, decay, step
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope
        torch.nn.utils.clip_grad_norm_(parameters, max_norm=self.config.clip)
        for parameter in parameters:
            parameter.data *= 1 - self.config.weight_decay
        optimizer.step()
        # END 2.22
