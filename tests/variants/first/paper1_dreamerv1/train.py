"""Correct answers, written differently: terse, with library functions."""

import numpy as np
import torch

from solutions.paper1_dreamerv1.actor_critic import (
    actor_loss,
    compute_discount_weights,
    compute_lambda_returns,
    critic_loss,
)
from solutions.paper1_dreamerv1.rssm import get_feature


class DreamerV1:
    @torch.no_grad()
    def act(self, obs: dict, state: dict, explore: bool = True):
        policy = self.actor(state["z"])
        # EXERCISE 1.28: mode, random action, or noisy sample (needs 1.20)
        if explore and self.updates:
            scale = self.config.exploration_noise
            action = torch.normal(policy.rsample(), scale).clip(-1.0, 1.0)
        elif explore:
            action = torch.empty_like(policy.mean).uniform_(-1, 1)
        else:
            action = policy.mode()
        # END 1.28
        return action

    def starts(self, states: dict, is_terminal):
        rows = slice(-self.config.imagine_last or None, None)
        # EXERCISE 1.29: detach, take `rows`, merge B and T, leave out terminal starts
        kept = torch.ones_like(is_terminal[:, rows], dtype=torch.bool)
        if self.config.use_continue:
            kept = ~is_terminal[:, rows].bool()
        with torch.no_grad():
            h, z = (states[name][:, rows][kept] for name in "hz")
        return dict(h=h.detach().unsqueeze(0), z=z.detach())
        # END 1.29

    def train_actor_critic(self, start: dict) -> None:
        c = self.config

        # EXERCISE 1.30: dream, returns, weights, losses (needs 1.14 1.23 1.24 1.25 1.26)
        def policy(x):
            return self.actor(x).rsample()

        dream = self.world_model.rssm.rollout_imagination(start, policy, horizon=c.imagine_length)
        feature = get_feature(**{k: dream[k] for k in ("h", "z")})
        (rewards, discounts), values = self.world_model.predict(feature), self.critic(feature)
        inner = discounts.narrow(1, 0, c.imagine_length - 1)
        returns = compute_lambda_returns(
            rewards.narrow(1, 0, c.imagine_length - 1), values, inner, gamma=1.0, lambda_=c.lambda_
        )
        weights = compute_discount_weights(inner, gamma=1.0)
        policy_loss = actor_loss(returns, weights)
        fixed = self.critic(feature.detach())[:, :-1]
        value_loss = critic_loss(values=fixed, returns=returns, weights=weights)
        # END 1.30
        self.update("actor", policy_loss), self.update("critic", value_loss)

    def update(self, name: str, loss) -> None:
        parameters = list(self.modules[name].parameters())
        optimizer = self.optimizers[name]
        # EXERCISE 1.31: clear old gradients, backward into `parameters` alone, clip, step
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope
        torch.nn.utils.clip_grad_norm_(parameters, max_norm=self.config.clip)
        optimizer.step()
        # END 1.31


def next_row(env, action: np.ndarray) -> dict:
    # EXERCISE 1.32: the action, what it led to, and the three flags
    obs, reward, *ends, _ = env.step(action)
    row = {**obs, "action": action, "reward": reward, "is_first": False}
    return dict(row, is_last=any(ends), is_terminal=ends[0])
    # END 1.32


def train_simple(env, agent, buffer, steps: int, prefill: int = 500, train_every: int = 4) -> None:
    c, metrics = agent.config, {}
    row, state = first_row(env, agent.actions), agent.initial_state(1)
    score, scores = 0.0, []
    for step in range(1, steps + 1):
        # EXERCISE 1.33: act, store, reset where an episode ended, and learn (needs 1.18 1.19 1.32)
        names = {"is_first", *agent.keys}
        batch = {k: torch.as_tensor(np.expand_dims(row[k], 0)) for k in names}
        action, state = agent.act(batch, state, True)
        row = next_row(env, action.squeeze(0).numpy(force=True))
        buffer.add(row)
        score = score + row["reward"]
        if row["is_terminal"] or row["is_last"]:
            scores.append(score)
            buffer.add(row := first_row(env, agent.actions))
            score, state = 0, agent.initial_state(1)  # is_first does this too
        due = step > prefill and not step % train_every
        if due and buffer.ready(length=c.batch_length):
            metrics = agent.train_step(buffer.sample(batch=c.batch_size, length=c.batch_length))[0]
        # END 1.33
    return metrics


def first_row(env, action_dim: int, seed: int | None = None) -> dict:
    raise NotImplementedError
