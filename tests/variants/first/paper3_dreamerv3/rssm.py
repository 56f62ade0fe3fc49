"""Correct answers, written differently: terse, with torch's distributions and functions."""

import torch
from torch import nn


def gru_update(h, reset, candidate, update):
    # EXERCISE 3.11: reset the candidate before its tanh, then mix it with h
    proposal = reset.sigmoid().mul(candidate).tanh()
    return torch.lerp(h, proposal, update.sub(1).sigmoid())
    # END 3.11


class RSSM(nn.Module):
    def sequence_model(self, h, z, action_in):
        # EXERCISE 3.12: the core of h, z and a, its norm, the gates of each block (needs 3.7 3.11)
        shape = (len(h), self.blocks, -1)
        inputs = torch.hstack((self.h_in(h), self.z_in(z.reshape(len(h), -1)), action_in))
        core = self.core_in(inputs) + self.core_h(h.reshape(shape)).reshape(len(h), -1)
        gates = self.gates(self.core_norm(core).reshape(shape))
        gates = gates.reshape(len(h), self.blocks, 3, -1).movedim(2, 0).flatten(2)
        return gru_update(h, *gates)
        # END 3.12

    def posterior(self, h, embed_in):
        # EXERCISE 3.13: the product with h plus `embed_in`, then `post_out`, as categoricals
        norm, last = self.post_out
        return last(norm(torch.add(embed_in, self.post_h(h)))).reshape(
            *h.shape[:-1], self.stoch, self.classes
        )
        # END 3.13

    def observe_step(self, h, z, keep, action_in, embed_in):
        # EXERCISE 3.14: forget h and z, then sequence model and posterior (needs 3.12 3.13)
        goes_on = keep.bool()
        h = torch.where(goes_on[:, None], h, 0.0)
        z = z.masked_fill(~goes_on[:, None, None], 0.0)
        h = self.sequence_model(h, z, action_in=action_in)
        post = self.posterior(h, embed_in=embed_in)
        probs = torch.softmax(post, -1).mul(1 - self.ratio).add(self.ratio / self.classes)
        chance = torch.distributions.OneHotCategoricalStraightThrough(probs=probs)
        return h, chance.rsample(), post
        # END 3.14

    def observe(self, embeds, actions, is_first, state):
        # EXERCISE 3.15: inputs for all T at once, then step by step (needs 3.14)
        (h, z), track = state, []
        for t, first in enumerate(is_first.bool().unbind(dim=1)):
            h, z = torch.where(first[:, None], 0.0, h), torch.where(first[:, None, None], 0.0, z)
            action = torch.where(first[:, None], 0.0, self.bound_action(actions[:, t]))
            h = self.sequence_model(h, z, self.a_in(action))
            post = self.posterior(h, self.post_embed(embeds[:, t]))
            z = self.sample(post)
            track += [(h, z, post)]
        return tuple(torch.stack([x[i] for x in track], dim=1) for i in range(3))
        # END 3.15

    def imagine_step(self, h, z, action):
        # EXERCISE 3.16: sequence model with the bounded action, a sample of the prior (needs 3.12)
        after = self.sequence_model(h, z, action_in=self.a_in(action.clamp(min=-1, max=1)))
        chance = torch.distributions.OneHotCategorical(probs=unimix(self.prior(after), self.ratio))
        return after, chance.sample()
        # END 3.16

    def imagine(self, h, z, policy, horizon):
        # EXERCISE 3.17: act, step, act again; the last state has an action too (needs 3.16)
        track = []
        while len(track) <= horizon:
            if track:
                h, z = self.imagine_step(h, z, track[-1][1])
            state = torch.cat((h, z.flatten(1)), dim=1)
            track += [(state, policy(state))]
        states, actions = zip(*track, strict=True)
        return torch.stack(states, dim=1), torch.stack(actions, dim=1)
        # END 3.17


def kl_loss(posterior, prior, free_nats=1.0, ratio=0.01):
    # EXERCISE 3.18: two KL divergences of the mixtures, each with its own stop-gradient (needs 3.6)
    def divergence(post, prior):
        p, q = (
            torch.distributions.Independent(
                torch.distributions.Categorical(probs=unimix(x, ratio=ratio)), 1
            )
            for x in (post, prior)
        )
        kl = torch.distributions.kl_divergence(p, q)
        return torch.maximum(kl, torch.full_like(kl, free_nats))

    return divergence(posterior.detach(), prior), divergence(posterior, prior.detach())
    # END 3.18


class WorldModel(nn.Module):
    def loss(self, batch):
        c = self.config
        # EXERCISE 3.19: filter, then each loss (B, T) with its scale (needs 3.9 3.10 3.15 3.18)
        rows = dict(embeds=self.encoder(batch), actions=batch["action"])
        rows |= dict(is_first=batch["is_first"], state=tuple(batch[key] for key in "hz"))
        h, z, posterior = self.rssm.observe(**rows)
        prior, seen = self.rssm.prior(h), torch.cat((h, z.flatten(start_dim=2)), dim=2)
        losses = dict(zip(
            ("dyn", "rep"), kl_loss(posterior, prior, free_nats=c.free_nats, ratio=c.unimix),
            strict=True,
        ))  # fmt: skip
        losses = {key: loss * getattr(c, f"scale_{key}") for key, loss in losses.items()}
        losses["reward"] = self.reward.loss(self.reward(seen), batch["reward"])
        logits, discount = self.continues(seen)[..., 0], 1 - 1 / c.discount_horizon
        losses["continue"] = continue_loss(logits, batch["is_terminal"], discount)
        means = self.decoder(h, z)
        for keys, scale, is_image in (
            (self.decoder.images, c.scale_image, True),
            (self.decoder.vectors, c.scale_vector, False),
        ):
            errors = {k: reconstruction_loss(means[k], batch[k], is_image) for k in keys}
            losses |= {k: error.mul(scale) for k, error in errors.items()}
        # END 3.19
        return losses, prior


def unimix(logits, ratio=0.01):
    raise NotImplementedError


def continue_loss(logits, is_terminal, discount):
    raise NotImplementedError


def reconstruction_loss(prediction, target, is_image):
    raise NotImplementedError
