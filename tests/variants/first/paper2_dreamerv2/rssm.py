"""Correct answers, written differently: terse, with torch's distributions and functions."""

import torch
import torch.nn.functional as F
from torch import nn


class DiscreteRSSM(nn.Module):
    def recurrent_step(self, prev_state, prev_action):
        # EXERCISE 2.3: [z, a] → fc_in → ELU → one step of the GRU from the previous h (needs 2.2)
        inputs = nn.ELU()(self.fc_in(torch.hstack((prev_state["z"], prev_action))))
        return self.rnn.forward(inputs, h=prev_state["h"])
        # END 2.3

    def prior(self, h):
        # EXERCISE 2.4: hidden layer with ELU, logits as (S, K), a flat sample of them (needs 2.1)
        logits = self.fc_prior_logits(nn.functional.elu(self.fc_prior(h)))
        logits = logits.reshape(h.shape[:-1] + self.shape)
        chance = torch.distributions.OneHotCategoricalStraightThrough(logits=logits)
        return chance.rsample().reshape(*h.shape[:-1], -1), logits
        # END 2.4

    def posterior(self, h, embed):
        # EXERCISE 2.5: as the prior, from [h, embed] (needs 2.1)
        from_h, from_embed = self.fc_post.weight.split([h.shape[-1], embed.shape[-1]], 1)
        x = F.elu(F.linear(h, from_h, self.fc_post.bias) + F.linear(embed, from_embed))
        logits = self.fc_post_logits(x).view(*x.shape[:-1], *self.shape)
        hard = torch.distributions.OneHotCategorical(logits=logits.detach()).sample()
        probs = logits.softmax(-1)
        z = hard + probs - probs.detach()
        return z.flatten(start_dim=-2), logits
        # END 2.5

    def rollout_observation(self, embeds, actions, is_first=None, state=None):
        keep, hs, zs, logits = is_first, [], [], []
        # EXERCISE 2.6: for every t: reset, step, posterior (needs 2.3 2.5)
        for embed, action, on in zip(*(x.unbind(1) for x in (embeds, actions, keep)), strict=True):
            state = {key: torch.where(on[:, None] > 0, x, 0.0) for key, x in state.items()}
            h = self.recurrent_step(state, torch.where(on[:, None] > 0, action, 0.0))
            state = dict(zip("zh", (self.posterior(h, embed)[0], h), strict=True))
            hs += [h]
            zs += [state["z"]]
            x = torch.cat((h, embed), dim=-1)
            logits += [self.fc_post_logits(F.elu(self.fc_post(x))).unflatten(1, self.shape)]
        # END 2.6
        return hs, zs, logits

    def rollout_imagination(self, state, actor, horizon):
        h, z = state["h"], state["z"]
        hs, zs, actions = [h], [z], []
        # EXERCISE 2.7: act on the detached feature, step, sample the prior (needs 2.3 2.4)
        while len(actions) < horizon:
            with torch.no_grad():
                feature = torch.cat([zs[-1], hs[-1]], -1)
            actions += [actor(feature)]
            hs += [self.recurrent_step(dict(z=zs[-1], h=hs[-1]), actions[-1])]
            zs += [self.prior(hs[-1])[0]]
        # END 2.7
        return hs, zs, actions


def kl_divergence(post_logits, prior_logits):
    # EXERCISE 2.8: log-probabilities of both, the weighted difference, summed over S and K
    p, q = (torch.distributions.OneHotCategorical(logits=x) for x in (post_logits, prior_logits))
    p, q = (torch.distributions.Independent(x, 1) for x in (p, q))
    return torch.distributions.kl_divergence(p, q)
    # END 2.8


def kl_loss(post_logits, prior_logits, balance=0.8, free_nats=1.0):
    # EXERCISE 2.9: one term for each side; average, maximum, mixture (needs 2.8)
    pairs = (post_logits.detach(), prior_logits), (post_logits, prior_logits.detach())
    means = torch.stack([kl_divergence(*pair).mean() for pair in pairs])
    loss = torch.maximum(means, torch.full_like(means, free_nats))
    with torch.no_grad():
        kl = kl_divergence(post_logits, prior_logits)
    return loss @ loss.new_tensor([balance, 1 - balance]), kl
    # END 2.9


class WorldModel(nn.Module):
    def loss(self, batch):
        c, losses = self.config, {}
        # EXERCISE 2.19: filter the sequence, then the four parts (needs 2.6 2.9 2.11)
        states = self.rssm.rollout_observation(
            embeds=self.encoder(batch), actions=batch["action"], is_first=batch["is_first"].bool()
        )
        feature = torch.cat((states["z"], states["h"]), dim=-1)
        latents = {f"{side}_logits": states[f"{side}_logits"] for side in ("prior", "post")}
        part, kl = kl_loss(**latents, free_nats=c.free_nats, balance=c.kl_balance)
        losses |= {
            "reward": F.mse_loss(self.reward(feature), batch["reward"]) / 2,
            "kl": part * c.kl_scale,
            "reconstruction": self.reconstruction_loss(feature, batch)
            .mul(c.reconstruction_scale)
            .mean(),
        }
        if self.continues:
            ends = continue_loss(self.continues(feature), batch["is_terminal"], gamma=c.gamma)
            losses |= {"continue": ends.mul(c.continue_scale).mean()}
        # END 2.19
        return losses, states, kl


def continue_loss(logits, is_terminal, gamma):
    raise NotImplementedError
