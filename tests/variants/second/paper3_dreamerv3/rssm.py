"""Correct answers, written differently: explicit loops and elementary operations."""

import torch
from torch import nn


def gru_update(h, reset, candidate, update):
    # EXERCISE 3.11: reset the candidate before its tanh, then mix it with h
    columns = []
    for i in range(h.shape[1]):
        opened = 1 / (1 + torch.exp(-reset[:, i]))
        proposal = 2 * torch.sigmoid(2 * opened * candidate[:, i]) - 1
        share = 1 / (1 + torch.exp(1 - update[:, i]))
        columns.append(share * proposal + (1 - share) * h[:, i])
    return torch.stack(columns, 1)
    # END 3.11


class RSSM(nn.Module):
    def sequence_model(self, h, z, action_in):
        # EXERCISE 3.12: the core of h, z and a, its norm, the gates of each block (needs 3.7 3.11)
        weight, core = self.core_in.weight, 0.0
        for i, x in enumerate((self.h_in(h), self.z_in(torch.cat(z.unbind(1), 1)), action_in)):
            width = x.shape[1]
            core = core + x @ weight[:, i * width : (i + 1) * width].T
        size = h.shape[1] // self.blocks
        own = []
        for g in range(self.blocks):
            block = h[:, g * size : (g + 1) * size]
            own.append(block @ self.core_h.weight[g] + self.core_h.bias[g])
        core = self.core_norm(core + torch.cat(own, 1))
        new = []
        for g in range(self.blocks):
            part = slice(g * size, (g + 1) * size)
            raw = torch.einsum("bi,io->bo", core[:, part], self.gates.weight[g])
            raw = raw + self.gates.bias[g, 0]
            gates = raw[:, :size], raw[:, size : 2 * size], raw[:, 2 * size :]
            new.append(gru_update(h[:, part], *gates))
        return torch.cat(new, 1)
        # END 3.12

    def posterior(self, h, embed_in):
        # EXERCISE 3.13: the product with h plus `embed_in`, then `post_out`, as categoricals
        x = torch.einsum("...i,oi->...o", h, self.post_h.weight) + self.post_h.bias + embed_in
        size = torch.sqrt((x * x).sum(-1, keepdim=True) / x.shape[-1] + 1e-4)
        x = x / size * self.post_out[0].weight
        x = x * torch.sigmoid(x)
        flat = x @ self.post_out[1].weight.T + self.post_out[1].bias
        k = self.classes
        return torch.stack([flat[..., i * k : (i + 1) * k] for i in range(self.stoch)], -2)
        # END 3.13

    def observe_step(self, h, z, keep, action_in, embed_in):
        # EXERCISE 3.14: forget h and z, then sequence model and posterior (needs 3.12 3.13)
        old_h, old_z = h.clone(), z.clone()
        for b in range(len(keep)):
            if keep[b] == 0:
                old_h[b] = 0
                old_z[b] = 0
        h = self.sequence_model(old_h, old_z, action_in)
        logits = self.posterior(h, embed_in)
        probs = unimix(logits, self.ratio)
        index = torch.multinomial(probs.detach().flatten(0, 1), 1).reshape(probs.shape[:-1])
        one_hot = torch.eye(self.classes, dtype=h.dtype)[index]
        return h, one_hot - probs.detach() + probs, logits
        # END 3.14

    def observe(self, embeds, actions, is_first, state):
        # EXERCISE 3.15: inputs for all T at once, then step by step (needs 3.14)
        hs, zs, posts = [], [], []
        for t in range(embeds.shape[1]):
            before = (hs[-1], zs[-1]) if t > 0 else state
            keep = 1.0 - is_first[:, t].float()
            action = actions[:, t].clone()
            size = action.detach().abs()
            action = torch.where(size > 1, action / size, action) * keep.to(action.dtype)[:, None]
            embed_in = embeds[:, t] @ self.post_embed.weight.T
            h, z, post = self.observe_step(*before, keep, self.a_in(action), embed_in)
            hs, zs, posts = [*hs, h], [*zs, z], [*posts, post]
        return torch.stack(hs, 1), torch.stack(zs, 1), torch.stack(posts, 1)
        # END 3.15

    def imagine_step(self, h, z, action):
        # EXERCISE 3.16: sequence model with the bounded action, a sample of the prior (needs 3.12)
        bounded = torch.empty_like(action)
        for i in range(action.shape[1]):
            bounded[:, i] = torch.minimum(torch.maximum(action[:, i], action.new_tensor(-1.0)),
                                          action.new_tensor(1.0))  # fmt: skip
        h = self.sequence_model(h, z, self.a_in(bounded))
        probs = unimix(self.prior(h), self.ratio)
        noise = -torch.log(-torch.log(torch.rand_like(probs)))  # Gumbel
        index = (torch.log(probs) + noise).argmax(-1)
        return h, (torch.arange(self.classes) == index[..., None]).to(h.dtype)
        # END 3.16

    def imagine(self, h, z, policy, horizon):
        # EXERCISE 3.17: act, step, act again; the last state has an action too (needs 3.16)
        hs, zs, actions = [h], [z], []
        for t in range(horizon):
            actions.append(policy(feature(hs[t], zs[t])))
            h, z = self.imagine_step(hs[t], zs[t], actions[t])
            hs.append(h)
            zs.append(z)
        actions.append(policy(feature(hs[horizon], zs[horizon])))
        width = hs[0].shape[1] + self.stoch * self.classes
        states = h.new_empty(len(h), 1 + horizon, width)
        for t in range(1 + horizon):
            states[:, t] = feature(hs[t], zs[t])
        return states, torch.cat([action.unsqueeze(1) for action in actions], 1)
        # END 3.17


def kl_loss(posterior, prior, free_nats=1.0, ratio=0.01):
    # EXERCISE 3.18: two KL divergences of the mixtures, each with its own stop-gradient (needs 3.6)
    losses = []
    for post, other in ((posterior.detach(), prior), (posterior, prior.detach())):
        total = 0.0
        for s in range(post.shape[-2]):
            p = unimix(post[..., s, :], ratio)
            q = unimix(other[..., s, :], ratio)
            for k in range(p.shape[-1]):
                total = total + p[..., k] * torch.log(p[..., k] / q[..., k])
        losses.append(torch.where(total < free_nats, torch.full_like(total, free_nats), total))
    return losses[0], losses[1]
    # END 3.18


class WorldModel(nn.Module):
    def loss(self, batch):
        c = self.config
        # EXERCISE 3.19: filter, then each loss (B, T) with its scale (needs 3.9 3.10 3.15 3.18)
        h, z, posterior = self.rssm.observe(
            self.encoder(batch), batch["action"], batch["is_first"], [batch["h"], batch["z"]]
        )
        priors, columns = [], {}
        for t in range(h.shape[1]):
            now = slice(t, t + 1)
            state = feature(h[:, now], z[:, now])
            priors.append(self.rssm.prior(h[:, t]))
            dyn, rep = kl_loss(posterior[:, now], priors[t][:, None], c.free_nats, c.unimix)
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
        # END 3.19
        return losses, prior


def feature(h, z):
    raise NotImplementedError


def unimix(logits, ratio=0.01):
    raise NotImplementedError


def continue_loss(logits, is_terminal, discount):
    raise NotImplementedError


def reconstruction_loss(prediction, target, is_image):
    raise NotImplementedError
