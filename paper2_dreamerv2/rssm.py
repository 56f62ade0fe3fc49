"""The world model of DreamerV2: an RSSM with categorical latents, KL balancing, and the loss.

    recurrent step   h_t = f(h_{t-1}, z_{t-1}, a_{t-1})      a dense layer and a layer-norm GRU
    prior            z_t ~ p(z_t | h_t)                      what will happen
    posterior        z_t ~ q(z_t | h_t, x_t)                 what did happen

Paper: arXiv:2010.02193, Section 2.1. Official code: danijar/dreamerv2, common/nets.py,
`EnsembleRSSM` (with an ensemble of one), and agent.py, `WorldModel`. Rows follow the replay's
convention: `actions[:, t]` is the action that led to observation t.

Letters: B batch, T time, S categoricals, K classes of each (32 and 32), Z = S · K (1024),
H deterministic units (600 for Atari, 200 for control tasks), A action units, E embedding,
N starts of imagination, L steps of a dream. feature = [z, h], z first, F = Z + H.
A state is {'h': (B, H), 'z': (B, Z)}; z is S one-hot vectors side by side.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paper2_dreamerv2.networks import (
    ContinuePredictor,
    Decoder,
    Encoder,
    LayerNormGRUCell,
    RewardPredictor,
    continue_loss,
    normal_loss,
    preprocess_image,
    sample_one_hot,
)


def get_feature(h: Tensor, z: Tensor) -> Tensor:
    """The model state as every head sees it, z first. (..., H), (..., Z) → (..., F)"""
    return torch.cat([z, h], -1)


class DiscreteRSSM(nn.Module):
    """S categorical latents of K classes each, on top of a GRU.

    embed_dim, action_dim   sizes of the encoder's output and of the action vector
    num_categoricals        S
    num_categories          K
    rnn_hidden_dim          H
    hidden_dim              units of the dense layers between
    """

    def __init__(
        self, action_dim: int, embed_dim: int = 1536, num_categoricals: int = 32,
        num_categories: int = 32, rnn_hidden_dim: int = 200, hidden_dim: int = 200,
    ):  # fmt: skip
        super().__init__()
        self.shape = (num_categoricals, num_categories)
        self.state_dim, self.rnn_hidden_dim = num_categoricals * num_categories, rnn_hidden_dim
        # recurrent step
        self.fc_in = nn.Linear(self.state_dim + action_dim, hidden_dim)
        self.rnn = LayerNormGRUCell(hidden_dim, rnn_hidden_dim)
        # prior, from h alone
        self.fc_prior = nn.Linear(rnn_hidden_dim, hidden_dim)
        self.fc_prior_logits = nn.Linear(hidden_dim, self.state_dim)
        # posterior, from [h, embedding]
        self.fc_post = nn.Linear(rnn_hidden_dim + embed_dim, hidden_dim)
        self.fc_post_logits = nn.Linear(hidden_dim, self.state_dim)

    def get_initial_state(self, batch_size: int, device=None) -> dict[str, Tensor]:
        """The state before any observation: zeros, which is no class at all.

        return   {'h': (B, H), 'z': (B, Z)}, where the parameters are unless `device` is given
        """
        zeros = self.fc_in.weight.new_zeros
        return {
            "h": zeros(batch_size, self.rnn_hidden_dim, device=device),
            "z": zeros(batch_size, self.state_dim, device=device),
        }

    def recurrent_step(self, prev_state: dict[str, Tensor], prev_action: Tensor) -> Tensor:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}): one step of time, before anything is observed.

        prev_state    {'h': (B, H), 'z': (B, Z)}
        prev_action   (B, A)   the action that leads from the previous state to this one
        return        (B, H)

        [z, a], z first, goes through `fc_in` and ELU; `rnn(x, h)` is one step of the GRU.
        Official nets.py, `img_step`.
        """
        # EXERCISE 2.3: [z, a] → fc_in → ELU → one step of the GRU from the previous h (needs 2.2)
        # TODO: your code here (the reference takes 2 lines)
        raise NotImplementedError("exercise 2.3")
        # END 2.3

    def prior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the latent from the past alone, p(z_t | h_t).

        h        (..., H)
        return   z (..., Z), a sample (`sample_one_hot`); logits (..., S, K)

        One hidden layer with ELU (`fc_prior`), then `fc_prior_logits`: its Z numbers are S groups
        of K logits. `self.shape` is (S, K); `x.unflatten(-1, shape)` splits the last dimension,
        `x.flatten(-2)` joins the last two. Official nets.py, `img_step`.
        """
        # EXERCISE 2.4: hidden layer with ELU, logits as (S, K), a flat sample of them (needs 2.1)
        # TODO: your code here (the reference takes 2 lines)
        raise NotImplementedError("exercise 2.4")
        # END 2.4

    def posterior(self, h: Tensor, embed: Tensor) -> tuple[Tensor, Tensor]:
        """Infer the latent from the past and the present observation, q(z_t | h_t, x_t).

        h        (..., H)
        embed    (..., E)
        return   z (..., Z), a sample; logits (..., S, K)

        The network has the form of the prior's: `fc_post` of [h, embed] with h first, then
        `fc_post_logits`. Official nets.py, `obs_step`.
        """
        # EXERCISE 2.5: as the prior, from [h, embed] (needs 2.1)
        # TODO: your code here (the reference takes 3 lines)
        raise NotImplementedError("exercise 2.5")
        # END 2.5

    def rollout_observation(
        self, embeds: Tensor, actions: Tensor, is_first: Tensor | None = None,
        state: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Filter a sequence: at each step predict, then correct with what was observed.

        embeds     (B, T, E)
        actions    (B, T, A)   actions[:, t] led to observation t
        is_first   (B, T)      1 where an episode begins; None: nowhere
        state      of the step before the sequence; None: get_initial_state
        return     {'h': (B, T, H), 'z': (B, T, Z), 'post_logits', 'prior_logits': (B, T, S, K)};
                   z is a sample of the posterior, and the next step starts from it

        Where an episode begins, the previous h, z *and action* count as zero: `keep` (B, T) is 0
        there, else 1. Fill the three lists with (B, H), (B, Z) and (B, S, K) tensors.
        Official nets.py, `observe` and `obs_step`.
        """
        if is_first is None:
            is_first = embeds.new_zeros(embeds.shape[:2])
        keep = 1 - is_first.to(embeds.dtype)  # (B, T)
        state = state or self.get_initial_state(len(embeds), embeds.device)
        hs, zs, logits = [], [], []  # one entry for each t: h, z, posterior logits
        # EXERCISE 2.6: for every t: reset, step, posterior (needs 2.3 2.5)
        # TODO: your code here (the reference takes 9 lines)
        raise NotImplementedError("exercise 2.6")
        # END 2.6
        h, z, post_logits = (torch.stack(x, 1) for x in (hs, zs, logits))
        _, prior_logits = self.prior(h)  # for all T at once: the prior needs h alone
        return {"h": h, "z": z, "post_logits": post_logits, "prior_logits": prior_logits}

    def rollout_imagination(
        self, state: dict[str, Tensor], actor: Callable[[Tensor], Tensor], horizon: int
    ) -> dict[str, Tensor]:
        """Dream ahead with the prior. Gradients flow through every step, if they are switched on.

        state    {'h': (N, H), 'z': (N, Z)} to start from
        actor    feature (N, F) → sampled action (N, A)
        return   {'h': (N, L + 1, H), 'z': (N, L + 1, Z), 'action': (N, L + 1, A)} with L = horizon

        State 0 is the start itself: V1 left it out. action[:, i] *led to* state i, as in the
        replay, so action[:, 0] is zeros. The actor sees the feature (`get_feature`) detached; the
        action stays attached. The lists begin with the start and get one entry for each step.
        Official agent.py, `WorldModel.imagine`.
        """
        h, z = state["h"], state["z"]
        hs, zs, actions = [h], [z], []
        # EXERCISE 2.7: act on the detached feature, step, sample the prior (needs 2.3 2.4)
        # TODO: your code here (the reference takes 6 lines)
        raise NotImplementedError("exercise 2.7")
        # END 2.7
        actions = [torch.zeros_like(actions[0]), *actions]
        h, z, action = (torch.stack(x, 1) for x in (hs, zs, actions))
        return {"h": h, "z": z, "action": action}


# --- Kullback-Leibler divergence ------------------------------------------------------------------


def kl_divergence(post_logits: Tensor, prior_logits: Tensor) -> Tensor:
    """KL(posterior ‖ prior) of S independent categoricals, summed over them.

    post_logits, prior_logits   (..., S, K)   any numbers, not normalised
    return                      (...)         nats

    For each categorical Σ_k p_k (log p_k - log q_k), p = softmax(post), q = softmax(prior).
    `torch.log_softmax` stays finite where a probability is almost 0.
    """
    # EXERCISE 2.8: log-probabilities of both, the weighted difference, summed over S and K
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 2.8")
    # END 2.8


def kl_loss(
    post_logits: Tensor, prior_logits: Tensor, balance: float = 0.8, free_nats: float = 1.0
) -> tuple[Tensor, Tensor]:
    """KL balancing: the prior learns faster towards the posterior than the other way round.

    post_logits, prior_logits   (B, T, S, K)
    balance     α, the share of the gradient that goes to the prior
    free_nats   a mean below this is not reduced further: constant, without gradient
    return      loss, a scalar; and KL(posterior ‖ prior) (B, T), detached, for the log. Nats

        α KL(sg(posterior) ‖ prior) + (1 - α) KL(posterior ‖ sg(prior))

    sg is `detach`. Both terms are the *same* divergence in the same direction, so the value does
    not depend on α: what differs is whom each of them trains. Many texts print the second term
    with its sides exchanged, which is another function. Each term is first averaged over (B, T),
    then not let below `free_nats` (the official option `free_avg`).
    Paper: Section 2.1, Algorithm 2; official nets.py, `kl_loss`. Atari has no free nats.
    """
    # EXERCISE 2.9: one term for each side; average, maximum, mixture (needs 2.8)
    # TODO: your code here (the reference takes 5 lines)
    raise NotImplementedError("exercise 2.9")
    # END 2.9


# --- the whole model ------------------------------------------------------------------------------


class WorldModel(nn.Module):
    """Encoder, RSSM, decoder, reward and (optional) continue predictor, and their loss.

    config   the agent's options, `Config` of train.py
    """

    def __init__(self, obs_space: dict, action_dim: int, config):
        super().__init__()
        c = self.config = config
        inputs = c.state_dim + c.rnn_hidden_dim
        vectors = (c.vector_layers, c.hidden_dim, c.layer_norm)
        heads = (c.head_layers, c.hidden_dim, c.layer_norm)
        self.encoder = Encoder(obs_space, c.depth, *vectors)
        self.rssm = DiscreteRSSM(
            action_dim, self.encoder.size, c.num_categoricals, c.num_categories,
            c.rnn_hidden_dim, c.rssm_hidden_dim,
        )  # fmt: skip
        self.decoder = Decoder(obs_space, inputs, c.depth, *vectors)
        self.reward = RewardPredictor(inputs, *heads)
        self.continues = ContinuePredictor(inputs, *heads) if c.use_continue else None

    def reconstruction_loss(self, feature: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Loss of all parts of the observation together. (B, T, F) → (B, T)"""
        means = self.decoder(feature)
        images = self.decoder.images
        targets = {key: preprocess_image(batch[key]) if key in images else batch[key]
                   for key in means}  # fmt: skip
        return sum(normal_loss(means[key], targets[key]) for key in means)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor], dict]:
        """The loss of a batch of sequences, and the states for all that follows.

        batch    rows (B, T, ...): the observation's parts by name, `action`, `reward` (transformed
                 already), `is_first`, `is_terminal`; `self.encoder` takes all of it
        return   scalar; what `rollout_observation` returned, attached; metrics

        The sum of four parts, each a mean over (B, T) and in the dictionary `losses` by name:
            kl               kl_scale × kl_loss of the logits, with kl_balance and free_nats
            reconstruction   reconstruction_scale × reconstruction_loss
            reward           normal_loss of `self.reward` at the state of the reward's own row
            continue         if there is `self.continues`: continue_scale × continue_loss
        What follows needs `losses`, `states` (of rollout_observation) and `kl` (B, T).
        Official agent.py, `WorldModel.loss`.
        """
        c, losses = self.config, {}
        # EXERCISE 2.19: filter the sequence, then the four parts (needs 2.6 2.9 2.11)
        # TODO: your code here (the reference takes 15 lines)
        raise NotImplementedError("exercise 2.19")
        # END 2.19
        metrics = {f"loss/{name}": loss.detach() for name, loss in losses.items()}
        metrics |= {"kl": kl.mean()} | self.latent_entropies(states)
        return sum(losses.values()), states, metrics

    @torch.no_grad()
    def latent_entropies(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean entropy of one categorical, before and after the observation: 0 ... log K nats."""

        def entropy(logits: Tensor) -> Tensor:
            log_p = torch.log_softmax(logits, -1)
            return -(log_p.exp() * log_p).sum(-1).mean()

        return {f"{side}_entropy": entropy(states[f"{side}_logits"]) for side in ("prior", "post")}

    def predict(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Reward of a state, and its continuation with the discount γ in it. (..., F) → (...) twice

        Without a continue predictor the second is γ everywhere.
        """
        reward = self.reward(feature)
        if self.continues is None:
            return reward, torch.full_like(reward, self.config.gamma)
        return reward, torch.sigmoid(self.continues(feature))


if __name__ == "__main__":
    import course

    course.run(__file__)
