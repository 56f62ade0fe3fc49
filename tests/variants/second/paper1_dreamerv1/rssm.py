"""Correct answers, written differently: explicit loops and elementary operations."""

import torch
from torch import nn


def sample_normal(mean, std):
    # EXERCISE 1.9: the mean, plus std times standard normal noise
    noise = torch.empty_like(mean.detach())
    noise.normal_()
    return torch.addcmul(mean, noise, std)
    # END 1.9


class RSSM(nn.Module):
    def recurrent_step(self, prev_state, prev_action):
        # EXERCISE 1.10: [z, a] → fc_in → ELU → one step of the GRU from prev_state['h']
        units = prev_state["z"].size(-1)
        weight = self.fc_in.weight
        x = prev_state["z"] @ weight[:, :units].T + prev_action @ weight[:, units:].T
        x = x + self.fc_in.bias
        x = torch.where(x > 0, x, torch.expm1(x.clamp(max=0)))
        h = prev_state["h"][0]
        gates_x = x @ self.rnn.weight_ih_l0.T + self.rnn.bias_ih_l0
        gates_h = h @ self.rnn.weight_hh_l0.T + self.rnn.bias_hh_l0
        rx, ux, nx = torch.chunk(gates_x, 3, dim=1)
        rh, uh, nh = torch.chunk(gates_h, 3, dim=1)
        update = 1 / (1 + torch.exp(-(ux + uh)))
        new = torch.tanh(nx + nh / (1 + torch.exp(-(rx + rh))))
        h = update * h + (1 - update) * new
        return h, h.reshape(1, h.shape[0], h.shape[1])
        # END 1.10

    def prior(self, h):
        # EXERCISE 1.11: hidden layer with ELU; linear mean; softplus, then min_std, for the std
        x = h @ self.fc_prior.weight.T + self.fc_prior.bias
        x = x.clamp(min=0) + (x.clamp(max=0).exp() - 1)
        mean = x @ self.fc_prior_mean.weight.T + self.fc_prior_mean.bias
        raw = x @ self.fc_prior_std.weight.T + self.fc_prior_std.bias
        return mean, torch.logaddexp(raw, torch.zeros_like(raw)) + self.min_std
        # END 1.11

    def posterior(self, h, embed):
        # EXERCISE 1.12: as the prior, from [h, embed]
        shape = (*h.shape[:-1], h.shape[-1] + embed.shape[-1])
        both = h.new_empty(shape)
        both[..., : h.shape[-1]] = h
        both[..., h.shape[-1] :] = embed
        x = self.fc_post(both)
        x = torch.where(x > 0, x, x.clamp(max=0).exp() - 1)
        mean, std = self.fc_post_mean(x), self.fc_post_std(x)
        std = std.clamp(min=0) + torch.log1p(torch.exp(-std.abs()))
        return mean, std + torch.full_like(std, self.min_std)
        # END 1.12

    def rollout_observation(self, embeds, actions, is_first=None, state=None):
        hs, zs, means, stds, keep = [], [], [], [], is_first
        # EXERCISE 1.13: for every t: reset, step, posterior, sample (needs 1.9 1.10 1.12)
        h, z = state["h"].clone(), state["z"].clone()
        zero = self.get_initial_state(1, embeds.device)
        for t in range(actions.size(1)):
            old = {"h": [], "z": [], "a": []}
            for b in range(actions.size(0)):
                first = bool(is_first[b, t])
                old["h"].append(zero["h"][0, 0] if first else h[0, b])
                old["z"].append(zero["z"][0] if first else z[b])
                old["a"].append(torch.zeros_like(actions[b, t]) if first else actions[b, t])
            old = {name: torch.stack(rows) for name, rows in old.items()}
            out, h = self.recurrent_step({"h": old["h"][None], "z": old["z"]}, old["a"])
            mean, std = self.posterior(h[0], embeds[:, t, :])
            z = sample_normal(mean, std)
            hs += [out]
            zs += [z]
            means += [mean]
            stds += [std]
        # END 1.13
        return hs, zs, means, stds, keep

    def rollout_imagination(self, state, actor, horizon):
        hs, zs, actions = [], [], []
        # EXERCISE 1.14: act on the detached feature, step, sample the prior (needs 1.9 1.10 1.11)
        h, z = state["h"], state["z"]
        for t in range(1, horizon + 1):
            seen = torch.zeros(h.shape[1], z.shape[1] + h.shape[2], dtype=h.dtype, device=h.device)
            seen[:, : z.shape[1]] = z.detach()
            seen[:, z.shape[1] :] = h[0].detach()
            actions.insert(t, actor(seen))
            out, h = self.recurrent_step({"z": z, "h": h}, actions[t - 1])
            mean, std = self.prior(h)  # (1, N, Z)
            z = sample_normal(mean[0], std[0])
            hs.insert(t, out)
            zs.insert(t, z)
        # END 1.14
        return hs, zs, actions


def kl_divergence(mean_p, std_p, mean_q, std_q):
    # EXERCISE 1.15: the closed form of every unit, then the sum over units
    import math

    total = 0.0
    for unit in range(mean_p.shape[-1]):
        m, s = mean_p[..., unit], std_p[..., unit]
        n, r = mean_q[..., unit], std_q[..., unit]
        entropy = torch.log(s) + (math.log(2 * math.pi) + 1) / 2
        crossed = torch.log(r) + math.log(2 * math.pi) / 2 + (s**2 + (m - n) ** 2) / (r**2) / 2
        total = total + crossed - entropy
    return total
    # END 1.15


def kl_loss(post_mean, post_std, prior_mean, prior_std, free_nats=3.0):
    # EXERCISE 1.16: KL(posterior ‖ prior), averaged, then the maximum (needs 1.15)
    kl = kl_divergence(post_mean, post_std, prior_mean, prior_std)
    mean = kl.sum() / kl.numel()
    log = mean.detach().clone()
    if log < free_nats:
        mean = torch.full_like(log, free_nats)
    return mean, log
    # END 1.16


class WorldModel(nn.Module):
    def loss(self, batch):
        c, losses = self.config, {}
        # EXERCISE 1.27: filter the sequence, then the four parts (needs 1.7 1.8 1.13 1.16)
        embeds = self.encoder(batch)
        states = self.rssm.rollout_observation(embeds, batch["action"], batch["is_first"], None)
        batch_size, length = batch["reward"].shape
        rewards, seen, ends = [], [], []
        for t in range(length):
            feature = get_feature(states["h"][:, t : t + 1], states["z"][:, t : t + 1])
            row = {name: x[:, t : t + 1] for name, x in batch.items()}
            seen.append(self.reconstruction_loss(feature, row).sum())
            target = row["reward"] * c.reward_scale
            rewards.append((self.reward(feature) - target).pow(2).sum() / 2)
            if c.use_continue:
                logit = self.continues(feature)
                ends.append(continue_loss(logit, row["is_terminal"], c.gamma).sum())
        names = ("post_mean", "post_std", "prior_mean", "prior_std")
        kl, kl_mean = kl_loss(*[states[name] for name in names], c.free_nats)
        count = batch_size * length
        losses["reward"] = sum(rewards) / count
        losses["reconstruction"] = sum(seen) / count * c.reconstruction_scale
        losses["kl"] = kl * c.kl_scale
        if c.use_continue:
            losses["continue"] = sum(ends) / count * c.continue_scale
        # END 1.27
        return losses, states, kl_mean


def get_feature(h, z):
    raise NotImplementedError


def continue_loss(logits, is_terminal, gamma):
    raise NotImplementedError
