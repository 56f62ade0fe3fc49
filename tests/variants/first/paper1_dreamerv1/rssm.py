"""Correct answers, written differently: terse, with torch's distributions and functions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sample_normal(mean: Tensor, std: Tensor) -> Tensor:
    # EXERCISE 1.9: the mean, plus std times standard normal noise
    return torch.distributions.Normal(mean, std).rsample()
    # END 1.9


class RSSM(nn.Module):
    def recurrent_step(self, prev_state, prev_action):
        # EXERCISE 1.10: [z, a] → fc_in → ELU → one step of the GRU from prev_state['h']
        inputs = torch.hstack((prev_state["z"], prev_action))
        _, new = self.rnn(nn.functional.elu(self.fc_in(inputs)).unsqueeze(1), prev_state["h"])
        return new.squeeze(0), new
        # END 1.10

    def prior(self, h):
        # EXERCISE 1.11: hidden layer with ELU; linear mean; softplus, then min_std, for the std
        hidden = nn.ELU()(self.fc_prior(h))
        std = nn.Softplus()(self.fc_prior_std(hidden)).add(self.min_std)
        return self.fc_prior_mean(hidden), std
        # END 1.11

    def posterior(self, h, embed):
        # EXERCISE 1.12: as the prior, from [h, embed]
        from_h, from_embed = self.fc_post.weight.split([h.shape[-1], embed.shape[-1]], 1)
        hidden = F.elu(F.linear(h, from_h, self.fc_post.bias) + F.linear(embed, from_embed))
        both = torch.cat([self.fc_post_mean.weight, self.fc_post_std.weight])
        bias = torch.cat([self.fc_post_mean.bias, self.fc_post_std.bias])
        mean, raw = F.linear(hidden, both, bias).chunk(2, -1)
        return mean, self.min_std + F.softplus(raw)
        # END 1.12

    def rollout_observation(self, embeds, actions, is_first=None, state=None):
        hs, zs, means, stds, keep = [], [], [], [], is_first
        # EXERCISE 1.13: for every t: reset, step, posterior, sample (needs 1.9 1.10 1.12)
        for embed, action, on in zip(*(x.unbind(1) for x in (embeds, actions, keep)), strict=True):
            state = {key: torch.where(on[:, None] > 0, x, 0.0) for key, x in state.items()}
            out, new = self.recurrent_step(state, torch.where(on[:, None] > 0, action, 0.0))
            dist = torch.distributions.Normal(*self.posterior(out, embed))
            state = dict(h=new, z=dist.rsample())
            for entries, x in zip(
                (hs, zs, means, stds), (out, state["z"], dist.mean, dist.stddev), strict=True
            ):
                entries += [x]
        # END 1.13
        return hs, zs, means, stds

    def rollout_imagination(self, state, actor, horizon):
        hs, zs, actions = [], [], []
        # EXERCISE 1.14: act on the detached feature, step, sample the prior (needs 1.9 1.10 1.11)
        while len(hs) < horizon:
            with torch.no_grad():
                feature = torch.cat([state["z"], state["h"].squeeze(0)], -1)
            actions.append(actor(feature))
            out, new = self.recurrent_step(state, actions[-1])
            state = dict(h=new, z=sample_normal(*self.prior(out)))
            hs.append(out)
            zs.append(state["z"])
        # END 1.14
        return hs, zs, actions


def kl_divergence(mean_p, std_p, mean_q, std_q):
    # EXERCISE 1.15: the closed form of every unit, then the sum over units
    p, q = (torch.distributions.Normal(*x) for x in ((mean_p, std_p), (mean_q, std_q)))
    p, q = (torch.distributions.Independent(x, 1) for x in (p, q))
    return torch.distributions.kl_divergence(p, q)
    # END 1.15


def kl_loss(post_mean, post_std, prior_mean, prior_std, free_nats=3.0):
    # EXERCISE 1.16: KL(posterior ‖ prior), averaged, then the maximum (needs 1.15)
    mean = kl_divergence(post_mean, post_std, prior_mean, prior_std).mean()
    return torch.maximum(mean, mean.new_tensor(free_nats)), mean.detach()
    # END 1.16


class WorldModel(nn.Module):
    def loss(self, batch):
        c, losses = self.config, {}
        # EXERCISE 1.27: filter the sequence, then the four parts (needs 1.7 1.8 1.13 1.16)
        states = self.rssm.rollout_observation(
            embeds=self.encoder(batch), actions=batch["action"], is_first=batch["is_first"].bool()
        )
        feature = torch.cat((states["z"], states["h"]), dim=-1)
        p, q = ((states[f"{x}_mean"], states[f"{x}_std"]) for x in ("post", "prior"))
        kl, kl_mean = kl_loss(*p, *q, free_nats=c.free_nats)
        error = self.reward(feature) - batch["reward"] * c.reward_scale
        losses |= {
            "kl": kl * c.kl_scale,
            "reconstruction": self.reconstruction_loss(feature, batch)
            .mean()
            .mul(c.reconstruction_scale),
            "reward": 0.5 * F.mse_loss(error, torch.zeros_like(error)),
        }
        if self.continues:
            ends = continue_loss(self.continues(feature), batch["is_terminal"], gamma=c.gamma)
            losses |= {"continue": ends.mul(c.continue_scale).mean()}
        # END 1.27
        return losses, states, kl_mean


def continue_loss(logits, is_terminal, gamma):
    raise NotImplementedError
