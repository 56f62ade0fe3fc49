"""Correct answers, written out: loops and elementary operations."""

import torch

from solutions.paper3_dreamerv3.actor_critic import update_slow_critic
from solutions.paper3_dreamerv3.rssm import feature


class Agent:
    def imagine(self, h, z):
        # EXERCISE 3.30: dreams from detached states; the actor keeps its gradient (needs 3.17)
        batch, time = h.shape[0], h.shape[1]
        h_now = torch.cat([h[b].detach() for b in range(batch)], 0)
        z_now = torch.cat([z[b].detach() for b in range(batch)], 0)
        states, policies, actions, rewards, continues = [], [], [], [], []
        for step in range(self.config.imagine_length + 1):
            with torch.no_grad():
                if step > 0:
                    h_now, z_now = self.world_model.rssm.imagine_step(h_now, z_now, actions[-1])
                state = feature(h_now, z_now)
                reward, goes_on = self.world_model.predict(state)
            out = self.actor(state)
            states.append(state)
            policies.append(out)
            actions.append(self.actor.sample(out))
            rewards.append(reward)
            continues.append(goes_on)
        assert len(states[0]) == batch * time
        parts = (states, policies, actions, rewards, continues)
        return tuple(torch.stack(part, dim=1) for part in parts)
        # END 3.30

    def policy_loss(self, policy, actions, returns, values, weight):
        # EXERCISE 3.31: normaliser, advantage and loss of the actor (needs 3.22 3.23 3.25)
        self.normalizer.update(returns)
        s = self.normalizer.scale()
        advantage = returns.detach() / s - values.detach() / s
        entropy = self.actor.entropy(policy)
        bonus = self.config.entropy_scale * entropy
        gain = 0.0
        for t in range(returns.shape[1]):
            score = self.actor.log_prob(policy[:, t], actions[:, t].detach()) * advantage[:, t]
            gain = gain + (weight[:, t].detach() * (score + bonus[:, t])).sum()
        loss = -gain / returns.numel()
        # END 3.31
        return loss, entropy, advantage

    def replay_value_loss(self, state, rows, bootstrap):
        # EXERCISE 3.32: λ-returns of the rows, and the loss of all but the last (needs 3.21 3.26)
        worth = bootstrap.detach()
        count = worth.shape[1]
        future, losses = worth[:, count - 1], []
        for t in range(count - 1, 0, -1):
            cut = rows["is_last"][:, t] > 0.5
            death = rows["is_terminal"][:, t] > 0.5
            mixed = 1.0 * worth[:, t]
            mixed[~cut] += self.config.lambda_ * (future - worth[:, t])[~cut]
            mixed = self.world_model.discount * mixed
            mixed[death] = 0.0
            future = rows["reward"][:, t] + mixed
            before = state[:, t - 1]
            slow = self.slow_critic.mean(self.slow_critic(before)).detach()
            loss = self.critic.loss(self.critic(before), future)
            loss = loss + self.critic.loss(self.critic(before), slow)
            losses.insert(0, loss * (1 - rows["is_last"][:, t - 1]))
        return sum(loss.mean() for loss in losses) / len(losses)
        # END 3.32

    def behavior_loss(self, batch, h, z):
        c = self.config
        last = c.imagine_last or h.shape[1]
        h, z = h[:, -last:], z[:, -last:]
        # EXERCISE 3.33: dream, returns, weights, three losses (needs 3.21 3.24 3.26 3.30 3.31 3.32)
        state, policy, actions, rewards, continues = self.imagine(h.detach(), z.detach())
        steps = rewards.shape[1] - 1
        values = self.critic.mean(self.critic(state)).detach()
        slow = self.slow_critic.mean(self.slow_critic(state)).detach()
        returns, future = [], values[:, steps]
        for t in range(steps, 0, -1):
            future = (1 - c.lambda_) * values[:, t] + c.lambda_ * future
            future = rewards[:, t] + continues[:, t] * future
            returns.insert(0, future)
        alive, weights, value_loss = 1.0, [], 0.0
        for t in range(steps):
            alive = alive * continues[:, t].detach()
            weights.append(alive)
            logits = self.critic(state[:, t])
            value_loss = value_loss + (alive * self.critic.loss(logits, returns[t])).mean() / steps
            regular = self.critic.loss(logits, slow[:, t])
            value_loss = value_loss + (alive * regular).mean() / steps
        returns, weight = torch.stack(returns, 1), torch.stack(weights, 1)
        values = values[:, 0:steps]
        policy_loss, metrics = self.policy_loss(
            policy[:, 0:steps], actions[:, 0:steps], returns, values, weight
        )
        bootstrap = torch.zeros_like(batch["reward"][:, -last:]).to(returns)
        for b in range(bootstrap.shape[0]):
            for t in range(last):
                bootstrap[b, t] = returns[b * last + t, 0]
        rows = {}
        for key in batch:
            if key in ("reward", "is_terminal", "is_last"):
                rows[key] = batch[key][:, batch[key].shape[1] - last :]
        posterior = torch.cat([h, z.reshape(z.shape[0], last, -1)], dim=2)
        replay_loss = self.replay_value_loss(posterior, rows, bootstrap)
        # END 3.33
        return policy_loss, value_loss, replay_loss, metrics, values

    def train_step(self, batch):
        # EXERCISE 3.34: all losses, one update, then the slow critic (needs 3.19 3.27 3.33)
        batch = self.prepare(batch)
        world_loss, states, world_metrics = self.world_model.loss(batch)
        h, z = states
        dream_loss, replay_loss, metrics = self.behavior_loss(batch, h, z)
        total = self.config.scale_replay_value * replay_loss
        total = total + dream_loss
        total = total + world_loss
        self.update(total)
        update_slow_critic(self.slow_critic, self.critic, rate=self.config.slow_rate)
        for name in world_metrics:
            metrics[name] = world_metrics[name]
        new = self.latents({"z": z, "h": h})
        return metrics, new
        # END 3.34
