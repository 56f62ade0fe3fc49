"""Correct answers, written differently: explicit loops and elementary operations."""

import torch
from torch import nn


class DiscreteRSSM(nn.Module):
    def recurrent_step(self, prev_state, prev_action):
        # EXERCISE 2.3: [z, a] → fc_in → ELU → one step of the GRU from the previous h (needs 2.2)
        z, h = prev_state["z"], prev_state["h"]
        weight = self.fc_in.weight
        x = z @ weight[:, : z.size(1)].T + prev_action @ weight[:, z.size(1) :].T
        x = x + self.fc_in.bias
        x = torch.where(x > 0, x, torch.expm1(x.clamp(max=0)))
        raw = torch.einsum("bi,oi->bo", torch.cat([x, h], 1), self.rnn.layer.weight)
        raw = raw + self.rnn.layer.bias
        centred = raw - raw.mean(1, keepdim=True)
        spread = (centred.pow(2).mean(1, keepdim=True) + self.rnn.norm.eps).sqrt()
        gates = centred / spread * self.rnn.norm.weight + self.rnn.norm.bias
        units = h.size(1)
        reset = 1 / (1 + torch.exp(-gates[:, :units]))
        candidate = torch.tanh(reset * gates[:, units : 2 * units])
        update = 1 / (1 + torch.exp(1 - gates[:, 2 * units :]))
        return h + update * (candidate - h)
        # END 2.3

    def prior(self, h):
        # EXERCISE 2.4: hidden layer with ELU, logits as (S, K), a flat sample of them (needs 2.1)
        x = h @ self.fc_prior.weight.T + self.fc_prior.bias
        x = x.clamp(min=0) + (x.clamp(max=0).exp() - 1)
        flat = x @ self.fc_prior_logits.weight.T + self.fc_prior_logits.bias
        size = self.shape[1]
        groups = [flat[..., i * size : (i + 1) * size] for i in range(self.shape[0])]
        samples = [sample_one_hot(group) for group in groups]
        return torch.cat(samples, -1), torch.stack(groups, -2)
        # END 2.4

    def posterior(self, h, embed):
        # EXERCISE 2.5: as the prior, from [h, embed] (needs 2.1)
        both = h.new_empty((*h.shape[:-1], h.shape[-1] + embed.shape[-1]))
        both[..., : h.shape[-1]] = h
        both[..., h.shape[-1] :] = embed
        x = self.fc_post(both)
        x = torch.where(x > 0, x, x.clamp(max=0).exp() - 1)
        logits = torch.stack(self.fc_post_logits(x).split(self.shape[1], -1), -2)
        gumbel = -torch.empty_like(logits.detach()).exponential_().log()
        index = (logits.detach() + gumbel).argmax(-1)
        probs = torch.softmax(logits, -1)
        z = torch.eye(self.shape[1], dtype=h.dtype)[index] - probs.detach() + probs
        return torch.cat(z.unbind(-2), -1), logits
        # END 2.5

    def rollout_observation(self, embeds, actions, is_first=None, state=None):
        hs, zs, logits, keep = [], [], [], is_first
        # EXERCISE 2.6: for every t: reset, step, posterior (needs 2.3 2.5)
        h, z = state["h"].clone(), state["z"].clone()
        for t in range(actions.size(1)):
            old = {"h": [], "z": [], "a": []}
            for b in range(actions.size(0)):
                first = bool(is_first[b, t])
                for name, x in (("h", h[b]), ("z", z[b]), ("a", actions[b, t])):
                    old[name].append(torch.zeros_like(x) if first else x)
            old = {name: torch.stack(rows) for name, rows in old.items()}
            h = self.recurrent_step({"h": old["h"], "z": old["z"]}, old["a"])
            z, post = self.posterior(h, embeds[:, t, :])
            hs += [h]
            zs += [z]
            logits += [post]
        # END 2.6
        return hs, zs, logits, keep

    def rollout_imagination(self, state, actor, horizon):
        h, z = state["h"], state["z"]
        hs, zs, actions = [h], [z], []
        # EXERCISE 2.7: act on the detached feature, step, sample the prior (needs 2.3 2.4)
        for t in range(1, horizon + 1):
            seen = torch.zeros(h.shape[0], z.shape[1] + h.shape[1], dtype=h.dtype, device=h.device)
            seen[:, : z.shape[1]] = z.detach()
            seen[:, z.shape[1] :] = h.detach()
            actions.insert(t, actor(seen))
            h = self.recurrent_step({"z": z, "h": h}, actions[t - 1])
            z, logits = self.prior(h)
            hs.insert(t, h)
            zs.insert(t, z)
        # END 2.7
        return hs, zs, actions


def kl_divergence(post_logits, prior_logits):
    # EXERCISE 2.8: log-probabilities of both, the weighted difference, summed over S and K
    total = 0.0
    for s in range(post_logits.shape[-2]):
        p, q = post_logits[..., s, :], prior_logits[..., s, :]
        p = p - torch.logsumexp(p, -1, keepdim=True)
        q = q - torch.logsumexp(q, -1, keepdim=True)
        for k in range(p.shape[-1]):
            total = total + torch.exp(p[..., k]) * (p[..., k] - q[..., k])
    return total
    # END 2.8


def kl_loss(post_logits, prior_logits, balance=0.8, free_nats=1.0):
    # EXERCISE 2.9: one term for each side; average, maximum, mixture (needs 2.8)
    loss = 0.0
    for share, post, prior in (
        (balance, post_logits.detach(), prior_logits),
        (1 - balance, post_logits, prior_logits.detach()),
    ):
        kl = kl_divergence(post, prior)
        mean = kl.sum() / kl.numel()
        if mean < free_nats:
            mean = torch.full_like(mean.detach(), free_nats)
        loss = loss + share * mean
    return loss, kl.detach().clone()
    # END 2.9


class WorldModel(nn.Module):
    def loss(self, batch):
        c, losses = self.config, {}
        # EXERCISE 2.19: filter the sequence, then the four parts (needs 2.6 2.9 2.11)
        embeds = self.encoder(batch)
        states = self.rssm.rollout_observation(embeds, batch["action"], batch["is_first"], None)
        batch_size, length = batch["reward"].shape
        rewards, seen, ends = [], [], []
        for t in range(length):
            feature = get_feature(states["h"][:, t : t + 1], states["z"][:, t : t + 1])
            row = {name: x[:, t : t + 1] for name, x in batch.items()}
            seen.append(self.reconstruction_loss(feature, row).sum())
            rewards.append((self.reward(feature) - row["reward"]).pow(2).sum() / 2)
            if c.use_continue:
                logit = self.continues(feature)
                ends.append(continue_loss(logit, row["is_terminal"], c.gamma).sum())
        part, kl = kl_loss(states["post_logits"], states["prior_logits"], c.kl_balance, c.free_nats)
        count = batch_size * length
        losses["reward"] = sum(rewards) / count
        losses["reconstruction"] = sum(seen) / count * c.reconstruction_scale
        losses["kl"] = part * c.kl_scale
        if c.use_continue:
            losses["continue"] = sum(ends) / count * c.continue_scale
        # END 2.19
        return losses, states, kl


def sample_one_hot(logits):
    raise NotImplementedError


def get_feature(h, z):
    raise NotImplementedError


def continue_loss(logits, is_terminal, gamma):
    raise NotImplementedError
