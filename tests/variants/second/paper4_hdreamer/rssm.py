"""Correct answers, written differently: explicit loops and elementary operations."""

import torch
from torch import nn


class HierarchicalRSSM(nn.Module):
    def bottom_prior(self, h, top):
        # EXERCISE 4.4: the network of h and the flat top latents, as categoricals
        x = torch.cat([h, *(top[..., s, :] for s in range(top.shape[-2]))], -1)
        for i in (0, 2):
            linear, gains = self.bottom_prior_mlp[i], self.bottom_prior_mlp[i + 1].weight
            x = torch.einsum("...i,oi->...o", x, linear.weight) + linear.bias
            x = x / torch.sqrt((x * x).sum(-1, keepdim=True) / x.shape[-1] + 1e-4) * gains
            x = x / (1 + torch.exp(-x))
        x, k = self.bottom_prior_mlp[4](x), self.classes
        return torch.stack([x[..., i : i + k] for i in range(0, x.shape[-1], k)], -2)
        # END 4.4

    def bottom_posterior(self, h, top, embed_in):
        # EXERCISE 4.5: residual of the bottom prior and the delta (needs 4.1 4.4)
        flat_top = torch.cat([top[..., s, :] for s in range(self.n_top)], -1)
        x = torch.einsum("...i,oi->...o", h, self.delta.h_in.weight) + self.delta.h_in.bias
        x = x + torch.einsum("...i,oi->...o", flat_top, self.delta.top_in.weight) + embed_in
        changes = self.delta.out(x)
        prior = self.bottom_prior(h, top).detach()
        k, logits = self.classes, []
        for s in range(prior.shape[-2]):
            change = changes[..., s * k : (s + 1) * k]
            logits.append(change + prior[..., s, :] * self.gate)
        return torch.stack(logits, -2)
        # END 4.5

    def observe_step(self, h, z, keep, action_in, embed_in):
        # EXERCISE 4.6: forget, sequence model, then posterior by posterior (needs 4.5)
        old_h, old_z = h.clone(), z.clone()
        for b in range(len(keep)):
            if keep[b] == 0:
                old_h[b] = 0
                old_z[b] = 0
        h = self.sequence_model(old_h, old_z, action_in)
        size, eye = embed_in.shape[1] // 2, torch.eye(self.classes, dtype=h.dtype)
        latents, logits = [], []
        for level in ("top", "bottom"):
            if level == "top":
                post = self.top_posterior(h, embed_in[:, :size])
            else:
                post = self.bottom_posterior(h, torch.stack(latents, 1), embed_in[:, size:])
            for s in range(post.shape[1]):
                probs = unimix(post[:, s], self.ratio)
                one_hot = eye[torch.multinomial(probs.detach(), 1)[:, 0]]
                latents.append(one_hot - probs.detach() + probs)
                logits.append(post[:, s])
        return h, torch.stack(latents, 1), torch.stack(logits, 1)
        # END 4.6

    def prior(self, h, z):
        # EXERCISE 4.7: the top prior of h, the bottom prior of h and the detached top (needs 4.4)
        given = torch.zeros_like(z[..., : self.n_top, :])
        for s in range(self.n_top):
            given[..., s, :] = z[..., s, :].detach()
        levels = []
        for prior in (self.top_prior(h), self.bottom_prior(h, given)):
            levels += [prior[..., s, :] for s in range(prior.shape[-2])]
        return torch.stack(levels, -2)
        # END 4.7

    def imagine_step(self, h, z, action):
        # EXERCISE 4.8: the sequence model, then one prior after the other (needs 4.4)
        size = action.detach().abs()
        h = self.sequence_model(h, z, self.a_in(torch.where(size > 1, action / size, action)))
        latents = []
        for level in ("top", "bottom"):
            if level == "top":
                logits = self.top_prior(h)
            else:
                logits = self.bottom_prior(h, torch.stack(latents, 1))
            for s in range(logits.shape[1]):
                probs = unimix(logits[:, s], self.ratio)
                noise = -torch.log(-torch.log(torch.rand_like(probs)))  # Gumbel
                index = (torch.log(probs) + noise).argmax(-1)
                latents.append((torch.arange(self.classes) == index[:, None]).to(h.dtype))
        return h, torch.stack(latents, 1)
        # END 4.8


def split_free_nats(free_nats, n_top, n_bottom):
    # EXERCISE 4.9: each level's share
    each = free_nats / (n_top + n_bottom)
    top = bottom = 0.0
    for _ in range(n_top):
        top += each
    for _ in range(n_bottom):
        bottom += each
    return top, bottom
    # END 4.9


def level_kl_loss(posterior, prior, n_top, free_nats, ratio, mode):
    n_bottom = posterior.shape[-2] - n_top
    # EXERCISE 4.10: kl_loss of each level with its own free nats, added up (needs 4.9)
    dyn, rep = 0.0, 0.0
    count = n_top + n_bottom
    for first, last in ((0, n_top), (n_top, count)):
        nats = free_nats * (last - first) / count if mode == "split" else free_nats
        losses = []
        for stop_post in (True, False):
            total = 0.0
            for s in range(first, last):
                p, q = unimix(posterior[..., s, :], ratio), unimix(prior[..., s, :], ratio)
                p, q = (p.detach(), q) if stop_post else (p, q.detach())
                for k in range(p.shape[-1]):
                    total = total + p[..., k] * torch.log(p[..., k] / q[..., k])
            losses.append(torch.where(total < nats, torch.full_like(total, nats), total))
        dyn, rep = dyn + losses[0], rep + losses[1]
    return dyn, rep
    # END 4.10


class WorldModel(nn.Module):
    def loss(self, batch):
        c = self.config
        # EXERCISE 4.11: paper 3's loss, with priors and KL of two levels (needs 4.6 4.7 4.10)
        h, z, posterior = self.rssm.observe(
            self.encoder(batch), batch["action"], batch["is_first"], [batch["h"], batch["z"]]
        )
        priors, columns = [], {}
        for t in range(h.shape[1]):
            now = slice(t, t + 1)
            state = feature(h[:, now], z[:, now])
            priors.append(self.rssm.prior(h[:, t], z[:, t]))
            dyn, rep = level_kl_loss(
                posterior[:, now], priors[t][:, None], c.n_top, c.free_nats, c.unimix,
                c.free_nats_mode,
            )  # fmt: skip
            row = {"dyn": dyn * c.scale_dyn, "rep": rep * c.scale_rep}
            row["reward"] = self.reward.loss(self.reward(state), batch["reward"][:, now])
            end = batch["is_terminal"][:, now]
            row["continue"] = continue_loss(self.continues(state)[:, :, 0], end, self.discount)
            for key, mean in self.decoder(h[:, now], z[:, now]).items():
                image = batch[key].ndim == 5
                error = reconstruction_loss(mean, batch[key][:, now], image)
                row[key] = error * (c.scale_image if image else c.scale_vector)
            for key, loss in row.items():
                columns.setdefault(key, []).append(loss)
        prior = torch.stack(priors, 1)
        losses = {key: torch.cat(parts, 1) for key, parts in columns.items()}
        # END 4.11
        return losses, prior


def feature(h, z):
    raise NotImplementedError


def unimix(logits, ratio=0.01):
    raise NotImplementedError


def continue_loss(logits, is_terminal, discount):
    raise NotImplementedError


def reconstruction_loss(prediction, target, is_image):
    raise NotImplementedError
