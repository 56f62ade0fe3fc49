"""Correct answers, written differently: explicit loops and elementary operations."""

import numpy as np
import torch

from solutions.paper1_dreamerv1.actor_critic import (
    actor_loss,
    compute_discount_weights,
    compute_lambda_returns,
    critic_loss,
)


class DreamerV1:
    @torch.no_grad()
    def act(self, obs: dict, state: dict, explore: bool = True):
        policy = self.actor(state["z"])
        # EXERCISE 1.28: mode, random action, or noisy sample (needs 1.20)
        if explore is False:
            action = policy.mode()
        if explore is True and self.updates == 0:
            low, high = -torch.ones_like(policy.std), torch.ones_like(policy.std)
            action = low + (high - low) * torch.rand(policy.std.shape)
        if explore is True and self.updates != 0:
            action = policy.rsample()
            noise = torch.randn(action.shape) * self.config.exploration_noise
            action = torch.minimum(torch.maximum(action + noise, -torch.ones(1)), torch.ones(1))
        # END 1.28
        return action

    def starts(self, states: dict, is_terminal):
        rows = slice(-self.config.imagine_last or None, None)
        # EXERCISE 1.29: detach, take `rows`, merge B and T, leave out terminal starts
        h = [states["h"].new_zeros(0, states["h"].shape[2])]
        z = [states["z"].new_zeros(0, states["z"].shape[2])]
        batch, time = is_terminal.shape
        for b in range(batch):
            for t in range(time)[rows]:
                if self.config.use_continue and is_terminal[b, t] > 0.5:
                    continue
                h.append(states["h"][b : b + 1, t])
                z.append(states["z"][b : b + 1, t])
        return {
            "h": torch.cat(h).detach().reshape(1, -1, h[0].shape[1]),
            "z": torch.cat(z).detach(),
        }
        # END 1.29

    def train_actor_critic(self, start: dict) -> None:
        c = self.config
        # EXERCISE 1.30: dream, returns, weights, losses (needs 1.14 1.23 1.24 1.25 1.26)
        rssm = self.world_model.rssm
        dream = rssm.rollout_imagination(start, lambda x: self.actor(x).rsample(), c.imagine_length)
        feature = torch.cat((dream["z"], dream["h"]), dim=2)
        reward_of_all, continue_of_all = self.world_model.predict(feature)
        last = c.imagine_length - 1
        values = torch.stack([self.critic(feature[:, t]) for t in range(last + 1)], dim=1)
        returns = compute_lambda_returns(
            reward_of_all[:, :last], values, continue_of_all[:, :last], 1.0, c.lambda_
        )
        weights = compute_discount_weights(continue_of_all[:, :last], 1.0).detach()
        policy_loss = actor_loss(returns, weights)
        predicted = self.critic(feature.detach()[:, :last])
        value_loss = critic_loss(predicted, returns.detach(), weights)
        # END 1.30
        self.update("actor", policy_loss), self.update("critic", value_loss)

    def update(self, name: str, loss) -> None:
        parameters = list(self.modules[name].parameters())
        optimizer = self.optimizers[name]
        # EXERCISE 1.31: clear old gradients, backward into `parameters` alone, clip, step
        for parameter in parameters:
            parameter.grad = None
        loss.backward(inputs=parameters)
        total = torch.sqrt(sum((p.grad**2).sum() for p in parameters if p.grad is not None))
        if total > self.config.clip:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self.config.clip / total)
        optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        # END 1.31


def next_row(env, action: np.ndarray) -> dict:
    # EXERCISE 1.32: the action, what it led to, and the three flags
    result = env.step(action)
    row = {}
    for name in result[0]:
        row[name] = result[0][name]
    row["reward"] = np.float32(result[1])
    row["action"] = np.array(action, dtype=np.float32)
    row["is_first"] = np.False_
    row["is_terminal"] = np.bool_(result[2])
    row["is_last"] = np.bool_(False)
    if result[2] or result[3]:
        row["is_last"] = np.bool_(True)
    return row
    # END 1.32


def train_simple(env, agent, buffer, steps: int, prefill: int = 500, train_every: int = 4) -> None:
    c, metrics = agent.config, {}
    row, state = {}, agent.initial_state(1)
    score, scores = 0.0, []
    for step in range(1, steps + 1):
        # EXERCISE 1.33: act, store, reset where an episode ended, and learn (needs 1.18 1.19 1.32)
        batch = {}
        for name in row:  # the agent may see the whole row
            batch[name] = np.stack([np.asarray(row[name])])
        action, state = agent.act(batch, state, explore=True)
        action = np.array(action[0].tolist(), dtype=np.float32)
        obs, reward, terminated, truncated, _ = env.step(action)
        row = dict(obs)
        row["action"] = action
        row["reward"] = float(reward)
        row["is_first"] = False
        row["is_last"] = terminated or truncated
        row["is_terminal"] = terminated
        score += reward
        buffer.add(row)
        if terminated or truncated:
            scores += [score]
            score = 0.0
            obs = env.reset()[0]
            nothing = np.zeros(agent.actions, np.float32)
            row = dict(obs, action=nothing, reward=0.0)
            row.update(is_first=True, is_last=False, is_terminal=False)
            buffer.add(row)
        ready = buffer.ready(c.batch_length)
        if ready and step // train_every * train_every == step and step >= prefill + 1:
            sample = buffer.sample(c.batch_size, c.batch_length)
            metrics, latents = agent.train_step(sample)
        # END 1.33
    return metrics
