"""Correct answers, written differently: explicit loops and elementary operations."""

import torch

from solutions.paper2_dreamerv2.actor_critic import compute_actor_loss


class DreamerV2:
    def imagine(self, start: dict):
        c = self.config
        with torch.set_grad_enabled(self.rho < 1):
            # EXERCISE 2.20: dream with policy samples, predict, correct the start (needs 2.7)
            state = {"h": start["h"], "z": start["z"]}
            dream = self.world_model.rssm.rollout_imagination(
                state, lambda x: self.modules["actor"](x).rsample(), c.imagination_horizon
            )
            feature = torch.cat((dream["z"], dream["h"]), dim=2)
            rewards, continues, values = [], [], []
            for i in range(c.imagination_horizon + 1):
                reward, goes_on = self.world_model.predict(feature[:, i])
                if i == 0 and c.use_continue:
                    goes_on = c.gamma - c.gamma * start["is_terminal"]
                rewards.append(reward)
                continues.append(goes_on)
                values.append(self.modules["slow_critic"](feature[:, i]))
            rewards, continues, values = (torch.stack(x, 1) for x in (rewards, continues, values))
            # END 2.20
        return feature, dream["action"], rewards, continues, values

    def train_actor_critic(self, start: dict):
        c = self.config
        feature, action, rewards, continues, values = self.imagine(start)
        # EXERCISE 2.21: returns, weights, the two losses (needs 2.14 2.15 2.16 2.17)
        last = c.imagination_horizon
        returns, future = [], values[:, last]
        weights = [torch.ones_like(continues[:, 0])]
        for i in range(last):
            t = last - 1 - i
            mixed = (1 - c.lambda_) * values[:, t + 1] + c.lambda_ * future
            future = rewards[:, t] + continues[:, t] * mixed
            returns.insert(0, future)
            weights.append(weights[i] * continues[:, i].detach())
        returns, weights = torch.stack(returns, dim=1), torch.stack(weights, dim=1)
        policy_loss, entropy = compute_actor_loss(
            self.actor, feature, action, returns, values, weights, self.rho, c.entropy_scale
        )
        value_loss = 0.0
        for t in range(last):
            error = self.modules["critic"](feature[:, t].detach()) - returns[:, t].detach()
            value_loss = value_loss + (weights[:, t] * error**2).mean() / 2 / last
        # END 2.21
        return returns, policy_loss, entropy, value_loss

    def update(self, name: str, loss) -> None:
        parameters = list(self.modules[name].parameters())
        optimizer = self.optimizers[name]
        # EXERCISE 2.22: clear old gradients, backward into `parameters` alone, clip, decay, step
        for parameter in parameters:
            parameter.grad = None
        loss.backward(inputs=parameters)
        squares = [p.grad.square().sum() for p in parameters if p.grad is not None]
        norm = torch.stack(squares).sum().sqrt()
        for parameter in parameters:
            if norm > self.config.clip and parameter.grad is not None:
                parameter.grad.mul_(self.config.clip / norm)
            with torch.no_grad():
                parameter.sub_(self.config.weight_decay * parameter)
        optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        # END 2.22
