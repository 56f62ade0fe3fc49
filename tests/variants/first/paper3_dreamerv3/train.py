"""Correct answers, written differently: terse, with library functions."""

import torch

from solutions.paper3_dreamerv3.actor_critic import (
    actor_loss,
    compute_lambda_returns,
    critic_loss,
    imagination_weights,
    update_slow_critic,
)
from solutions.paper3_dreamerv3.rssm import feature


class Agent:
    def imagine(self, h, z):
        # EXERCISE 3.30: dreams from detached states; the actor keeps its gradient (needs 3.17)
        states, actions = self.world_model.rssm.imagine(
            h=h.detach().reshape(-1, *h.shape[2:]),
            z=z.detach().reshape(-1, *z.shape[2:]),
            policy=lambda x: self.actor.sample(self.actor(x)),
            horizon=self.config.imagine_length,
        )
        states = states.detach()
        with torch.no_grad():
            predictions = self.world_model.predict(states)
        return (states, self.actor(states), actions, *predictions)
        # END 3.30

    def policy_loss(self, policy, actions, returns, values, weight):
        # EXERCISE 3.31: normaliser, advantage and loss of the actor (needs 3.22 3.23 3.25)
        with torch.no_grad():
            self.normalizer.update(returns.flatten())
            advantage = torch.sub(returns, values).div(self.normalizer.scale())
        entropy = self.actor.entropy(policy)
        loss = actor_loss(
            self.actor.log_prob(policy, actions), entropy, advantage=advantage, weight=weight,
            entropy_scale=self.config.entropy_scale,
        )  # fmt: skip
        # END 3.31
        return loss, entropy, advantage

    def replay_value_loss(self, state, rows, bootstrap):
        # EXERCISE 3.32: λ-returns of the rows, and the loss of all but the last (needs 3.21 3.26)
        gamma = 1 - 1 / self.config.discount_horizon
        with torch.no_grad():
            target = compute_lambda_returns(
                rewards=rows["reward"], values=bootstrap,
                continues=torch.where(rows["is_terminal"] > 0, 0.0, gamma).to(bootstrap),
                is_last=rows["is_last"], lambda_=self.config.lambda_,
            )  # fmt: skip
            slow = self.slow_critic.mean(self.slow_critic(state))
        logits = self.critic(state)
        losses = self.critic.loss(logits[:, :-1], target) + self.critic.loss(logits, slow)[:, :-1]
        return losses.masked_fill(rows["is_last"][:, :-1].bool(), 0.0).mean()
        # END 3.32

    def behavior_loss(self, batch, h, z):
        c = self.config
        last = c.imagine_last or h.shape[1]
        h, z = h[:, -last:], z[:, -last:]
        # EXERCISE 3.33: dream, returns, weights, three losses (needs 3.21 3.24 3.26 3.30 3.31 3.32)
        state, policy, actions, rewards, continues = self.imagine(h=h, z=z)
        logits = self.critic(state)
        with torch.no_grad():
            value, slow = (m.mean(m(state)) for m in (self.critic, self.slow_critic))
            returns = compute_lambda_returns(
                rewards, value, continues, is_last=torch.zeros_like(value), lambda_=c.lambda_
            )
            steps = slice(returns.shape[1])
            weight = imagination_weights(continues[:, steps])
        values = value[:, steps]
        policy_loss, metrics = self.policy_loss(
            policy[:, steps], actions[:, steps], returns=returns, values=values, weight=weight
        )
        value_loss = critic_loss(
            self.critic, logits=logits[:, steps], target=returns, slow_value=slow[:, steps],
            weight=weight,
        )  # fmt: skip
        replay_loss = self.replay_value_loss(
            state=feature(h, z),
            rows={
                key: batch[key].narrow(1, batch[key].shape[1] - last, last)
                for key in ("reward", "is_last", "is_terminal")
            },
            bootstrap=returns.select(1, 0).view(-1, last),
        )
        # END 3.33
        return policy_loss, value_loss, replay_loss, metrics, values

    def train_step(self, batch):
        # EXERCISE 3.34: all losses, one update, then the slow critic (needs 3.19 3.27 3.33)
        rows = self.prepare(batch)
        loss, latents, metrics = self.world_model.loss(rows)
        dreams, replay, more = self.behavior_loss(rows, *latents)
        loss = torch.stack([loss, dreams, replay]) @ loss.new_tensor(
            [1, 1, self.config.scale_replay_value]
        )
        self.update(loss)
        update_slow_critic(slow=self.slow_critic, fast=self.critic, rate=self.config.slow_rate)
        return {**metrics, **more}, self.latents(dict(zip("hz", latents, strict=True)))
        # END 3.34
