"""The world model of DreamerV3: its recurrent state-space model (RSSM), and what it predicts.

    sequence model   h_t = f(h_{t-1}, z_{t-1}, a_{t-1})      block-diagonal GRU
    prior            z_t ~ p(z_t | h_t)                      what will happen
    posterior        z_t ~ q(z_t | h_t, x_t)                 what did happen

Paper: arXiv:2301.04104v2, section "World model learning". Official code: dreamerv3/rssm.py, `RSSM`.
Rows follow the convention of the replay: `actions[:, t]` is the action that led to observation t.

Letters: B batch, T time, H deterministic units, S categoricals, K classes, E embedding, A action
units, N starts of imagination. feature = [h, z], h first.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from solutions.paper3_dreamerv3.networks import (
    MLP,
    BlockLinear,
    Decoder,
    Encoder,
    Linear,
    NormAct,
    TwoHotHead,
    continue_loss,
    reconstruction_loss,
    sample_one_hot,
    unimix,
)


def feature(h: Tensor, z: Tensor) -> Tensor:
    """The model state as one vector, as every head sees it. (..., H), (..., S, K) → (..., F)"""
    return torch.cat([h, z.flatten(-2)], -1)


def gru_update(h: Tensor, reset: Tensor, candidate: Tensor, update: Tensor) -> Tensor:
    """The GRU's new state from the raw values of its three gates, all (B, H).

    The candidate is tanh(sigmoid(reset) · candidate); h goes the share sigmoid(update - 1) of the
    way to it, 0.27 at first, so that the state persists. Official rssm.py, `_core`.
    """
    # EXERCISE 3.11: reset the candidate before its tanh, then mix it with h
    candidate = torch.tanh(torch.sigmoid(reset) * candidate)
    update = torch.sigmoid(update - 1)
    return h + update * (candidate - h)
    # END 3.11


class RSSM(nn.Module):
    """Block-GRU dynamics with S categorical latents of K classes each.

    embed, actions   sizes of the encoder's output and of the action vector
    deter, hidden    units of h and of the hidden layers; deter is divisible by blocks
    ratio            share of the uniform distribution in every categorical
    """

    def __init__(
        self, embed: int, actions: int, deter: int, hidden: int,
        stoch: int, classes: int, blocks: int, ratio: float = 0.01,
    ):  # fmt: skip
        super().__init__()
        self.deter, self.stoch, self.classes = deter, stoch, classes
        self.blocks, self.ratio = blocks, ratio
        # Sequence model: one embedding each of h, z and a; then a layer in which every block of h
        # sees itself and all three embeddings; then the gates, each block for itself.
        self.h_in = nn.Sequential(Linear(deter, hidden), NormAct(hidden))
        self.z_in = nn.Sequential(Linear(stoch * classes, hidden), NormAct(hidden))
        self.a_in = nn.Sequential(Linear(actions, hidden), NormAct(hidden))
        fan_in = deter + blocks * 3 * hidden  # the official layer repeats its input for each block
        self.core_h = BlockLinear(deter, deter, blocks, fan_in)
        self.core_in = Linear(3 * hidden, deter, bias=False, fan_in=fan_in)
        self.core_norm = NormAct(deter)
        self.gates = BlockLinear(deter, 3 * deter, blocks)
        # Prior: two hidden layers. Posterior: one, of [h, embedding], as the sum of two products,
        # because the product with the embedding needs no recurrence.
        self.prior_mlp = MLP(deter, hidden, 2, stoch * classes)
        self.post_h = Linear(deter, hidden, fan_in=deter + embed)
        self.post_embed = Linear(embed, hidden, bias=False, fan_in=deter + embed)
        self.post_out = nn.Sequential(NormAct(hidden), Linear(hidden, stoch * classes))

    def initial(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """The state before any observation: zeros. h (B, H), z (B, S, K)"""
        zeros = self.core_norm.weight.new_zeros
        return zeros(batch_size, self.deter), zeros(batch_size, self.stoch, self.classes)

    def bound_action(self, action: Tensor) -> Tensor:
        """Scale entries beyond ±1 back to ±1; the scale carries no gradient. (..., A) → (..., A)"""
        return action / action.detach().abs().clamp(min=1)

    def sequence_model(self, h: Tensor, z: Tensor, action_in: Tensor) -> Tensor:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}).

        h           (B, H)
        z           (B, S, K)
        action_in   (B, hidden)   `self.a_in` of the bounded action
        return      (B, H)

        `core_h` of h in blocks and `core_in` of [h_in(h), z_in(z), action_in] add up to the core,
        which `core_norm` normalises. `gates` makes 3 H / G numbers of each of its blocks: reset,
        candidate and update of this block's units, in this order. Official rssm.py, `_core`.
        """
        # EXERCISE 3.12: the core of h, z and a, its norm, the gates of each block (needs 3.7 3.11)
        x = torch.cat([self.h_in(h), self.z_in(z.flatten(-2)), action_in], -1)
        x = self.core_h(self.to_blocks(h)).flatten(-2) + self.core_in(x)
        gates = self.gates(self.to_blocks(self.core_norm(x)))  # (B, G, 3 H / G)
        reset, candidate, update = (gate.flatten(-2) for gate in gates.chunk(3, -1))
        return gru_update(h, reset, candidate, update)
        # END 3.12

    def split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of `feature`. (..., F) → h (..., H), z (..., S, K)"""
        h, z = state.split([self.deter, self.stoch * self.classes], -1)
        return h, z.unflatten(-1, (self.stoch, self.classes))

    def to_blocks(self, x: Tensor) -> Tensor:
        """(B, H) → (B, G, H / G)"""
        return x.unflatten(-1, (self.blocks, -1))

    def prior(self, h: Tensor) -> Tensor:
        """Logits of p(z_t | h_t). (..., H) → (..., S, K)"""
        return self.prior_mlp(h).unflatten(-1, (self.stoch, self.classes))

    def posterior(self, h: Tensor, embed_in: Tensor) -> Tensor:
        """Logits of q(z_t | h_t, x_t).

        h          (..., H)
        embed_in   (..., hidden)   `self.post_embed` of the embedding, computed for all T at once
        return     (..., S, K)
        """
        # EXERCISE 3.13: the product with h plus `embed_in`, then `post_out`, as categoricals
        logits = self.post_out(self.post_h(h) + embed_in)
        return logits.unflatten(-1, (self.stoch, self.classes))
        # END 3.13

    def sample(self, logits: Tensor) -> Tensor:
        """One-hot latents with straight-through gradients. (..., S, K) → (..., S, K)"""
        return sample_one_hot(unimix(logits, self.ratio))

    def observe_step(
        self, h: Tensor, z: Tensor, keep: Tensor, action_in: Tensor, embed_in: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of filtering: forget where an episode begins, predict, then correct.

        h, z                  (B, H), (B, S, K)
        keep                  (B,)   0 where an episode begins
        action_in, embed_in   (B, hidden)
        return                h (B, H), z (B, S, K), posterior logits (B, S, K)

        `action_in` has forgotten already: `observe` makes it, and `embed_in`, for all T at once.
        """
        # EXERCISE 3.14: forget h and z, then sequence model and posterior (needs 3.12 3.13)
        h = self.sequence_model(h * keep[:, None], z * keep[:, None, None], action_in)
        logits = self.posterior(h, embed_in)
        return h, self.sample(logits), logits
        # END 3.14

    def observe(
        self, embeds: Tensor, actions: Tensor, is_first: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Filter a sequence: the posterior states, given the observations.

        embeds     (B, T, E)
        actions    (B, T, A)   the action that led to observation t
        is_first   (B, T)      1 where an episode begins: h, z and action before it count as zero
        state      h (B, H), z (B, S, K) of the step before the sequence
        return     h (B, T, H), z (B, T, S, K), posterior logits (B, T, S, K)

        `observe_step` takes `a_in` of the bounded action, which is 0 where an episode begins, and
        `post_embed` of the embedding. Neither needs the recurrent state.
        """
        # EXERCISE 3.15: inputs for all T at once, then step by step (needs 3.14)
        h, z = state
        keep = 1 - is_first.to(h.dtype)
        action_in = self.a_in(self.bound_action(actions) * keep[..., None])  # (B, T, hidden)
        embed_in = self.post_embed(embeds)  # (B, T, hidden)
        steps = []
        for now in zip(keep.unbind(1), action_in.unbind(1), embed_in.unbind(1), strict=True):
            h, z, logits = self.observe_step(h, z, *now)
            steps.append((h, z, logits))
        hs, zs, logits = (torch.stack(x, 1) for x in zip(*steps, strict=True))
        return hs, zs, logits
        # END 3.15

    def imagine_step(self, h: Tensor, z: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """The next state of a dream. (N, H), (N, S, K), (N, A) → (N, H), (N, S, K)"""
        # EXERCISE 3.16: sequence model with the bounded action, a sample of the prior (needs 3.12)
        h = self.sequence_model(h, z, self.a_in(self.bound_action(action)))
        return h, self.sample(self.prior(h))
        # END 3.16

    @torch.no_grad()
    def imagine(
        self, h: Tensor, z: Tensor, policy: Callable[[Tensor], Tensor], horizon: int
    ) -> tuple[Tensor, Tensor]:
        """Dream ahead with the prior. No gradient: V3's actor learns by REINFORCE alone.

        h, z      (N, H), (N, S, K)   states to start from
        policy    feature (N, F) → action (N, A)
        return    features (N, 1 + horizon, F), actions (N, 1 + horizon, A)

        State 0 is the start. `actions[:, t]` is taken at state t and leads to state t + 1. The
        policy is asked once for each state, in their order, and its actions are returned as they
        are. It may keep a feature for its own gradient: do not write into it afterwards.
        """
        # EXERCISE 3.17: act, step, act again; the last state has an action too (needs 3.16)
        states = [feature(h, z)]
        actions = [policy(states[0])]
        for _ in range(horizon):
            h, z = self.imagine_step(h, z, actions[-1])
            states.append(feature(h, z))
            actions.append(policy(states[-1]))
        return torch.stack(states, 1), torch.stack(actions, 1)
        # END 3.17


def kl_loss(
    posterior: Tensor, prior: Tensor, free_nats: float = 1.0, ratio: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Dynamics and representation loss: one KL divergence, two stop-gradients.

    posterior, prior   (B, T, S, K)   raw logits; both are mixed with the uniform distribution here
    return             dyn (B, T) trains the prior, rep (B, T) trains the posterior; nats

    KL(posterior ‖ prior), summed over the S categoricals, and not below `free_nats` for each (b, t)
    alone: below it a term has no gradient. Paper: section "World model learning".
    """
    # EXERCISE 3.18: two KL divergences of the mixtures, each with its own stop-gradient (needs 3.6)
    posterior, prior = unimix(posterior, ratio), unimix(prior, ratio)
    dyn = kl_divergence(posterior.detach(), prior)
    rep = kl_divergence(posterior, prior.detach())
    return dyn.clamp(min=free_nats), rep.clamp(min=free_nats)
    # END 3.18


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Σ p (log p - log q) over categoricals and classes. (..., S, K), (..., S, K) → (...)"""
    return (p * (p.log() - q.log())).sum((-2, -1))


class WorldModel(nn.Module):
    """Encoder, RSSM, decoder, reward and continue predictor, and the loss that trains them.

    obs_space   {name: space with .shape}
    actions     size of the action vector
    config      the agent's Config
    """

    def __init__(self, obs_space: dict, actions: int, config):
        super().__init__()
        c = self.config = config
        stoch = c.stoch * c.classes
        self.encoder = Encoder(obs_space, c.depth, c.units, c.layers, c.strided)
        self.rssm = RSSM(
            self.encoder.size, actions, c.deter, c.hidden, c.stoch, c.classes, c.blocks, c.unimix
        )
        self.decoder = Decoder(
            obs_space, c.deter, stoch, c.blocks, c.depth, c.units, c.layers, c.strided
        )
        self.reward = TwoHotHead(c.deter + stoch, c.units, c.head_layers, c.bins, c.bin_limit)
        self.continues = MLP(c.deter + stoch, c.units, c.head_layers, 1)
        self.discount = 1 - 1 / c.discount_horizon

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor], dict]:
        """The loss of a batch of sequences, and the posterior states for all that follows.

        batch    rows (B, T, ...) with the state before the first row as `h` (B, H), `z` (B, S, K)
        return   scalar; h (B, T, H) and z (B, T, S, K) with gradient; metrics

        `losses` are (B, T) each, with their scales: dyn, rep, reward, continue, and one of each key
        that the decoder predicts. The config scales dyn, rep, images and vectors, and has the
        `free_nats` and `unimix` of the KL. What follows the hole needs `h`, `z`, and the raw logits
        `posterior` and `prior`, under these names.
        """
        c = self.config
        # EXERCISE 3.19: filter, then each loss (B, T) with its scale (needs 3.9 3.10 3.15 3.18)
        h, z, posterior = self.rssm.observe(
            self.encoder(batch), batch["action"], batch["is_first"], (batch["h"], batch["z"])
        )
        state = feature(h, z)
        prior = self.rssm.prior(h)
        dyn, rep = kl_loss(posterior, prior, c.free_nats, c.unimix)
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
        # END 3.19
        losses = {key: loss.mean() for key, loss in losses.items()}
        metrics = {f"loss/{key}": loss.detach() for key, loss in losses.items()}
        with torch.no_grad():  # without the free nats
            probs = unimix(posterior, c.unimix), unimix(prior, c.unimix)
            metrics["kl"] = kl_divergence(*probs).mean()
        return sum(losses.values()), (h, z), metrics

    def predict(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Reward on entering a state, and its continuation: (..., F) → (...), (...)

        The second is γ times the probability that the episode goes on.
        """
        reward = self.reward.mean(self.reward(state))
        return reward, torch.sigmoid(self.continues(state).squeeze(-1))


if __name__ == "__main__":
    import course

    course.run(__file__)
