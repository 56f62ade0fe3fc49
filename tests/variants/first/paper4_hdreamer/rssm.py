"""Correct answers, written differently: terse, with torch's distributions and functions."""

import torch
from torch import nn


class HierarchicalRSSM(nn.Module):
    def bottom_prior(self, h, top):
        # EXERCISE 4.4: the network of h and the flat top latents, as categoricals
        seen = torch.cat((h, top.reshape(*top.shape[:-2], -1)), dim=-1)
        return self.bottom_prior_mlp(seen).reshape(*h.shape[:-1], -1, self.classes)
        # END 4.4

    def bottom_posterior(self, h, top, embed_in):
        # EXERCISE 4.5: residual of the bottom prior and the delta (needs 4.1 4.4)
        with torch.no_grad():
            expected = self.bottom_prior(h, top)
        return torch.addcmul(
            self.delta(h, top, embed_in=embed_in).view_as(expected), self.gate, expected
        )
        # END 4.5

    def observe_step(self, h, z, keep, action_in, embed_in):
        # EXERCISE 4.6: forget, sequence model, then posterior by posterior (needs 4.5)
        begins = keep == 0
        h = h.masked_fill(begins[:, None], 0.0)
        h = self.sequence_model(h, z.masked_fill(begins[:, None, None], 0.0), action_in)
        half = embed_in.shape[1] // 2
        post = [self.top_posterior(h, embed_in[:, :half])]
        draw = torch.distributions.OneHotCategoricalStraightThrough
        levels = [draw(probs=unimix(post[0], self.ratio)).rsample()]
        post += [self.bottom_posterior(h, levels[0], embed_in[:, half:])]
        levels += [draw(probs=unimix(post[1], self.ratio)).rsample()]
        return h, torch.cat(levels, dim=1), torch.cat(post, dim=1)
        # END 4.6

    def prior(self, h, z):
        # EXERCISE 4.7: the top prior of h, the bottom prior of h and the detached top (needs 4.4)
        given = z.narrow(-2, 0, self.n_top).detach()
        return torch.cat((self.top_prior(h), self.bottom_prior(h, given)), dim=-2)
        # END 4.7

    def imagine_step(self, h, z, action):
        # EXERCISE 4.8: the sequence model, then one prior after the other (needs 4.4)
        h = self.sequence_model(h, z, self.a_in(action.clamp(min=-1, max=1)))
        draw = torch.distributions.OneHotCategorical
        top = draw(probs=unimix(self.top_prior(h), self.ratio)).sample()
        bottom = draw(probs=unimix(self.bottom_prior(h, top), self.ratio)).sample()
        return h, torch.cat((top, bottom), dim=1)
        # END 4.8


def split_free_nats(free_nats, n_top, n_bottom):
    # EXERCISE 4.9: each level's share
    share = n_top / (n_top + n_bottom)
    return share * free_nats, (1 - share) * free_nats
    # END 4.9


def level_kl_loss(posterior, prior, n_top, free_nats, ratio, mode):
    n_bottom = posterior.shape[-2] - n_top
    # EXERCISE 4.10: kl_loss of each level with its own free nats, added up (needs 4.9)
    free = [free_nats] * 2
    if mode == "split":
        free = split_free_nats(free_nats, n_top, n_bottom)
    posts, priors = (x.split([n_top, n_bottom], dim=-2) for x in (posterior, prior))
    losses = [torch.stack(kl_loss(*pair, ratio)) for pair in zip(posts, priors, free, strict=True)]
    return tuple(sum(losses))
    # END 4.10


class WorldModel(nn.Module):
    def loss(self, batch):
        c = self.config
        # EXERCISE 4.11: paper 3's loss, with priors and KL of two levels (needs 4.6 4.7 4.10)
        rows = dict(embeds=self.encoder(batch), actions=batch["action"])
        rows |= dict(is_first=batch["is_first"], state=tuple(batch[key] for key in "hz"))
        h, z, posterior = self.rssm.observe(**rows)
        prior, seen = self.rssm.prior(h, z), torch.cat((h, z.flatten(start_dim=2)), dim=2)
        nats = dict(free_nats=c.free_nats, ratio=c.unimix, mode=c.free_nats_mode)
        pair = level_kl_loss(posterior, prior, c.n_top, **nats)
        losses = {
            key: getattr(c, f"scale_{key}") * loss
            for key, loss in zip(("dyn", "rep"), pair, strict=True)
        }
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
        # END 4.11
        return losses, prior


def unimix(logits, ratio=0.01):
    raise NotImplementedError


def kl_loss(posterior, prior, free_nats=1.0, ratio=0.01):
    raise NotImplementedError


def continue_loss(logits, is_terminal, discount):
    raise NotImplementedError


def reconstruction_loss(prediction, target, is_image):
    raise NotImplementedError
