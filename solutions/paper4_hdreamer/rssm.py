"""The world model of hDreamer: DreamerV3's RSSM with two levels of categorical latents.

    sequence model     h_t = f(h_{t-1}, [z^top, z^bottom]_{t-1}, a_{t-1})        paper 3's block GRU
    prior              z^top ~ p(z^top | h_t)             z^bottom ~ p(z^bottom | h_t, z^top)
    posterior          z^top ~ q(z^top | h_t, x_t)        z^bottom ~ q(z^bottom | h_t, z^top, x_t)
    residual           logits of q(z^bottom) = g · logits of p(z^bottom) + delta(h_t, z^top, x_t)

Both levels tick at every step. Everything that is not here is DreamerV3's: filtering and dreaming
over time, the losses of the heads, actor and critic. There is no paper of this model: residual
posteriors are from NVAE (Vahdat & Kautz 2020, arXiv:2007.03898), all else is paper 3.

Letters: B batch, T time, H deterministic units, S categoricals of both levels, S_top of the top
one, K classes, E embedding, A action units, U hidden units, N starts of imagination.
"""

import torch
from torch import Tensor, nn

from solutions.paper3_dreamerv3 import rssm as flat
from solutions.paper3_dreamerv3.networks import (
    MLP,
    Linear,
    NormAct,
    continue_loss,
    reconstruction_loss,
    unimix,
)
from solutions.paper3_dreamerv3.rssm import feature, kl_divergence, kl_loss
from solutions.paper4_hdreamer.networks import (
    Delta,
    code_perplexity,
    entropy,
    join_levels,
    residual_logits,
    split_levels,
    switch_rate,
)

ACTIVE = 0.01  # nats: a categorical whose mean KL is below adds nothing to the prediction


class HierarchicalRSSM(flat.RSSM):
    """Block-GRU dynamics with a top and a bottom level of categoricals.

    n_top, n_bottom   categoricals of each level; all others as for paper 3's RSSM

    `initial`, `sequence_model`, `sample` and `imagine` are paper 3's: z is one tensor (..., S, K)
    with the top level first, and the two steps are what changes.
    """

    def __init__(
        self, embed: int, actions: int, deter: int, hidden: int,
        n_top: int, n_bottom: int, classes: int, blocks: int, ratio: float = 0.01,
    ):  # fmt: skip
        super().__init__(embed, actions, deter, hidden, n_top + n_bottom, classes, blocks, ratio)
        self.n_top, self.n_bottom = n_top, n_bottom
        top, bottom = n_top * classes, n_bottom * classes
        # The prior of a level has two hidden layers, the posterior one: as in paper 3.
        self.prior_mlp = MLP(deter, hidden, 2, top)
        self.bottom_prior_mlp = MLP(deter + top, hidden, 2, bottom)
        # Of the embedding, for all T at once: one half for the top posterior, one for the delta.
        self.post_embed = Linear(embed, 2 * hidden, bias=False, fan_in=deter + embed)
        self.post_out = nn.Sequential(NormAct(hidden), Linear(hidden, top))
        self.delta = Delta(deter, top, embed, hidden, bottom)
        self.gate = nn.Parameter(torch.ones(()))  # 0 after a conversion, see convert.py

    def top_prior(self, h: Tensor) -> Tensor:
        """Logits of p(z_top | h): `prior_mlp`. (..., H) → (..., S_top, K)"""
        return self.prior_mlp(h).unflatten(-1, (-1, self.classes))

    def bottom_prior(self, h: Tensor, top: Tensor) -> Tensor:
        """Logits of p(z_bottom | h, z_top): `bottom_prior_mlp` of [h, z_top].

        h, top   (..., H), (..., S_top, K)   with gradient into both
        return   (..., S_bottom, K)
        """
        # EXERCISE 4.4: the network of h and the flat top latents, as categoricals
        logits = self.bottom_prior_mlp(torch.cat([h, top.flatten(-2)], -1))
        return logits.unflatten(-1, (-1, self.classes))
        # END 4.4

    def top_posterior(self, h: Tensor, embed_in: Tensor) -> Tensor:
        """Logits of q(z_top | h, x). (..., H), (..., U) → (..., S_top, K)"""
        return self.post_out(self.post_h(h) + embed_in).unflatten(-1, (-1, self.classes))

    def bottom_posterior(self, h: Tensor, top: Tensor, embed_in: Tensor) -> Tensor:
        """Logits of q(z_bottom | h, z_top, x): `self.gate` times the bottom prior, plus the delta.

        h, top     (..., H), (..., S_top, K)   top: a sample of the top posterior
        embed_in   (..., U)   the half of `post_embed` that is the delta's
        return     (..., S_bottom, K)   raw logits

        `self.delta` returns flat logits. It keeps the gradient of `top`, through which the top
        level learns what helps below; the prior gives none (`residual_logits`).
        """
        # EXERCISE 4.5: residual of the bottom prior and the delta (needs 4.1 4.4)
        delta = self.delta(h, top, embed_in).unflatten(-1, (-1, self.classes))
        return residual_logits(self.bottom_prior(h, top), delta, self.gate)
        # END 4.5

    def observe_step(
        self, h: Tensor, z: Tensor, keep: Tensor, action_in: Tensor, embed_in: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of filtering: forget where an episode begins, predict, then correct, top first.

        h, z        (B, H), (B, S, K)
        keep        (B,)     0 where an episode begins
        action_in   (B, U)   has forgotten already
        embed_in    (B, 2 U)   the half of the top posterior, then that of the delta
        return      h (B, H), z (B, S, K), raw posterior logits (B, S, K), the top level first

        The bottom posterior sees the sample of the top level that is returned in z, with its
        gradient.
        """
        # EXERCISE 4.6: forget, sequence model, then posterior by posterior (needs 4.5)
        h = self.sequence_model(h * keep[:, None], z * keep[:, None, None], action_in)
        top_in, bottom_in = embed_in.chunk(2, -1)
        top_logits = self.top_posterior(h, top_in)
        top = self.sample(top_logits)
        bottom_logits = self.bottom_posterior(h, top, bottom_in)
        z = join_levels(top, self.sample(bottom_logits))
        return h, z, join_levels(top_logits, bottom_logits)
        # END 4.6

    def observe(
        self, embeds: Tensor, actions: Tensor, is_first: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Filter a sequence, as paper 3's `observe` does: here by `observe_step`, which differs.

        A right answer to 3.15 need not ask `observe_step`; this model must.
        """
        h, z = state
        keep = 1 - is_first.to(h.dtype)
        action_in = self.a_in(self.bound_action(actions) * keep[..., None])
        embed_in, steps = self.post_embed(embeds), []
        for t in range(keep.shape[1]):
            h, z, logits = self.observe_step(h, z, keep[:, t], action_in[:, t], embed_in[:, t])
            steps.append((h, z, logits))
        hs, zs, logits = (torch.stack(x, 1) for x in zip(*steps, strict=True))
        return hs, zs, logits

    def prior(self, h: Tensor, z: Tensor) -> Tensor:
        """Logits of both priors along filtered states, for the KL. (..., H), (..., S, K) → like z

        z_top is the posterior's sample: KL_top + KL_bottom is then an estimate, from one sample, of
        the KL of both levels together (the chain rule). It is a constant here: the bottom KL must
        not shape the top posterior through the gradient of its sample.
        """
        # EXERCISE 4.7: the top prior of h, the bottom prior of h and the detached top (needs 4.4)
        top, _ = split_levels(z, self.n_top)
        return join_levels(self.top_prior(h), self.bottom_prior(h, top.detach()))
        # END 4.7

    def imagine_step(self, h: Tensor, z: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """The next state of a dream: no observation, so no posterior and no delta.

        (N, H), (N, S, K), (N, A) → (N, H), (N, S, K)

        `sequence_model` takes `a_in` of the bounded action. z_bottom is drawn from its prior given
        the z_top that has just been drawn.
        """
        # EXERCISE 4.8: the sequence model, then one prior after the other (needs 4.4)
        h = self.sequence_model(h, z, self.a_in(self.bound_action(action)))
        top = self.sample(self.top_prior(h))
        return h, join_levels(top, self.sample(self.bottom_prior(h, top)))
        # END 4.8


def split_free_nats(free_nats: float, n_top: int, n_bottom: int) -> tuple[float, float]:
    """The flat model's free nats, shared by the levels in proportion to their categoricals.

    So neither level can hide behind the other, and both together are as free as a flat model.
    """
    # EXERCISE 4.9: each level's share
    total = n_top + n_bottom
    return free_nats * n_top / total, free_nats * n_bottom / total
    # END 4.9


def level_kl_loss(
    posterior: Tensor, prior: Tensor, n_top: int, free_nats: float, ratio: float, mode: str
) -> tuple[Tensor, Tensor]:
    """Dynamics and representation loss of both levels together, in nats. Paper 3's, level by level.

    posterior, prior   (B, T, S, K)   raw logits
    mode               split: each level has its share of the free nats; each: each has all of
                       them; sum: the levels have them together, as in the flat model
    return             dyn (B, T), rep (B, T)

    `kl_loss` is paper 3's: it mixes with the uniform distribution, stops gradients, and clips.
    """
    if mode == "sum":
        return kl_loss(posterior, prior, free_nats, ratio)
    n_bottom = posterior.shape[-2] - n_top
    # EXERCISE 4.10: kl_loss of each level with its own free nats, added up (needs 4.9)
    shares = split_free_nats(free_nats, n_top, n_bottom)
    free = (free_nats, free_nats) if mode == "each" else shares
    levels = zip(split_levels(posterior, n_top), split_levels(prior, n_top), free, strict=True)
    (dyn_top, rep_top), (dyn_bottom, rep_bottom) = (kl_loss(q, p, f, ratio) for q, p, f in levels)
    return dyn_top + dyn_bottom, rep_top + rep_bottom
    # END 4.10


class WorldModel(flat.WorldModel):
    """Paper 3's world model around the two-level RSSM; with n_top = 0 it is paper 3's alone."""

    def __init__(self, obs_space: dict, actions: int, config):
        super().__init__(obs_space, actions, config)
        c = config
        if c.n_top:
            self.rssm = HierarchicalRSSM(
                self.encoder.size, actions, c.deter, c.hidden,
                c.n_top, c.stoch - c.n_top, c.classes, c.blocks, c.unimix,
            )  # fmt: skip

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor], dict]:
        """As paper 3's `WorldModel.loss`, with the KL of two levels and what to watch of them.

        batch    rows (B, T, ...) with the state before the first row as `h` (B, H), `z` (B, S, K)
        return   scalar; h (B, T, H) and z (B, T, S, K) with gradient; metrics

        `losses` are (B, T) each, with their scales: dyn, rep, reward, continue, and one of each key
        that the decoder predicts. The config scales dyn, rep, images and vectors, and has `n_top`,
        `free_nats`, `unimix` and `free_nats_mode` for the KL. What follows the hole needs `h`, `z`,
        and the raw logits `posterior` and `prior` of both levels, under these names.
        """
        if not self.config.n_top:
            return super().loss(batch)
        c = self.config
        # EXERCISE 4.11: paper 3's loss, with priors and KL of two levels (needs 4.6 4.7 4.10)
        h, z, posterior = self.rssm.observe(
            self.encoder(batch), batch["action"], batch["is_first"], (batch["h"], batch["z"])
        )
        state = feature(h, z)
        prior = self.rssm.prior(h, z)
        dyn, rep = level_kl_loss(posterior, prior, c.n_top, c.free_nats, c.unimix, c.free_nats_mode)
        losses = {
            "dyn": c.scale_dyn * dyn,
            "rep": c.scale_rep * rep,
            "reward": self.reward.loss(self.reward(state), batch["reward"]),
            "continue": continue_loss(
                self.continues(state).squeeze(-1), batch["is_terminal"], self.discount
            ),
        }
        for key, prediction in self.decoder(h, z).items():
            is_image = key in self.decoder.images
            scale = c.scale_image if is_image else c.scale_vector
            losses[key] = scale * reconstruction_loss(prediction, batch[key], is_image)
        # END 4.11
        losses = {key: loss.mean() for key, loss in losses.items()}
        metrics = {f"loss/{key}": loss.detach() for key, loss in losses.items()}
        with torch.no_grad():
            metrics |= self.level_metrics(posterior, prior, z, batch["is_first"])
        return sum(losses.values()), (h, z), metrics

    def level_metrics(
        self, posterior: Tensor, prior: Tensor, z: Tensor, is_first: Tensor
    ) -> dict[str, Tensor]:
        """What shows whether both levels are used; scalars. Logits and z (B, T, S, K).

        kl, kl_LEVEL               KL(posterior ‖ prior), nats, before the free nats
        kl_LEVEL_frac_free         share of the states whose KL is below the level's free nats
        prior_ent_, post_ent_      mean entropy of a categorical, nats
        active_latents_            categoricals whose mean KL is above 0.01 nats
        code_perplexity_           classes that a categorical uses over the batch, mean
        switch_rate_               share of the categoricals that change from step to step
        delta_norm, delta_rel      length of the delta, and that ÷ length of the bottom prior's
                                   logits; gate_g the gate
        """
        c, n_top = self.config, self.config.n_top
        gate, found = self.rssm.gate, {}
        bottom_prior = prior[..., n_top:, :]
        delta = (posterior[..., n_top:, :] - gate * bottom_prior).flatten(-2).norm(dim=-1)
        posterior, prior = unimix(posterior, c.unimix), unimix(prior, c.unimix)
        shares = split_free_nats(c.free_nats, n_top, c.stoch - n_top)
        free = shares if c.free_nats_mode == "split" else (c.free_nats, c.free_nats)
        levels = [split_levels(x, n_top) for x in (posterior, prior, z)]
        for name, q, p, code, nats in zip(("top", "bottom"), *levels, free, strict=True):
            kl = kl_divergence(q[..., None, :], p[..., None, :])  # of each categorical
            found |= {
                f"kl_{name}": kl.sum(-1).mean(),
                f"kl_{name}_frac_free": (kl.sum(-1) < nats).float().mean(),
                f"prior_ent_{name}": entropy(p).mean(),
                f"post_ent_{name}": entropy(q).mean(),
                f"active_latents_{name}": (kl.flatten(0, 1).mean(0) > ACTIVE).float().sum(),
                f"code_perplexity_{name}": code_perplexity(q).mean(),
                f"switch_rate_{name}": switch_rate(code, is_first),
            }
        length = bottom_prior.flatten(-2).norm(dim=-1)
        return found | {
            "kl": found["kl_top"] + found["kl_bottom"],
            "delta_norm": delta.mean(),
            "delta_rel": (delta / length.clamp(min=1e-6)).mean(),
            "gate_g": gate.detach().clone(),
        }


if __name__ == "__main__":
    import course

    course.run(__file__)
