"""The world model of DreamerV1: the recurrent state-space model (RSSM), and its loss.

    recurrent step   h_t = f(h_{t-1}, z_{t-1}, a_{t-1})      one dense layer and a GRU
    prior            z_t ~ p(z_t | h_t)                      what will happen
    posterior        z_t ~ q(z_t | h_t, x_t)                 what did happen

Paper: arXiv:1912.01603, Section 3 and Appendix A; the model comes from PlaNet (arXiv:1811.04551).
Official code: danijar/dreamer, models.py, `RSSM`. Rows follow the replay's convention:
`actions[:, t]` is the action that led to observation t.

Letters: B batch, T time, H deterministic units (200), Z stochastic units (30), A action units,
E embedding (1024), N starts of imagination. feature = [z, h], z first, F = Z + H (230).
A state is {'h': (1, B, H), 'z': (B, Z)}: the first dimension of h is the number of GRU layers, as
nn.GRU wants it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.paper1_dreamerv1.networks import (
    ContinuePredictor,
    Decoder,
    Encoder,
    RewardPredictor,
    continue_loss,
    normal_loss,
    preprocess_image,
)


def get_feature(h: Tensor, z: Tensor) -> Tensor:
    """The model state as every head sees it, z first. (..., H), (..., Z) → (..., F)"""
    return torch.cat([z, h], -1)


def sample_normal(mean: Tensor, std: Tensor) -> Tensor:
    """One sample of Normal(mean, std) that passes gradients to both: the reparameterisation trick.

    mean, std   (..., Z)
    return      (..., Z)   its gradient with respect to the mean is 1, to std the noise drawn
    Paper: Section 3 ("reparameterized"); Kingma and Welling, arXiv:1312.6114.
    """
    # EXERCISE 1.9: the mean, plus std times standard normal noise
    return mean + std * torch.randn_like(std)
    # END 1.9


class RSSM(nn.Module):
    """Gaussian latents on top of a GRU.

    embed_dim, action_dim   sizes of the encoder's output and of the action vector
    state_dim               Z, stochastic units
    rnn_hidden_dim          H, deterministic units
    hidden_dim              units of the dense layers between
    min_std                 no standard deviation is smaller than this
    """

    def __init__(
        self, action_dim: int, embed_dim: int = 1024, state_dim: int = 30,
        rnn_hidden_dim: int = 200, hidden_dim: int = 200, min_std: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.action_dim, self.state_dim = action_dim, state_dim
        self.rnn_hidden_dim, self.min_std = rnn_hidden_dim, min_std
        # recurrent step
        self.fc_in = nn.Linear(state_dim + action_dim, hidden_dim)
        self.rnn = nn.GRU(hidden_dim, rnn_hidden_dim, batch_first=True)
        # prior, from h alone
        self.fc_prior = nn.Linear(rnn_hidden_dim, hidden_dim)
        self.fc_prior_mean = nn.Linear(hidden_dim, state_dim)
        self.fc_prior_std = nn.Linear(hidden_dim, state_dim)
        # posterior, from [h, embedding]
        self.fc_post = nn.Linear(rnn_hidden_dim + embed_dim, hidden_dim)
        self.fc_post_mean = nn.Linear(hidden_dim, state_dim)
        self.fc_post_std = nn.Linear(hidden_dim, state_dim)

    def get_initial_state(self, batch_size: int, device=None) -> dict[str, Tensor]:
        """The state before any observation: zeros.

        device   where the tensors are made; None: where the parameters are
        return   {'h': (1, B, H), 'z': (B, Z)}, of the parameters' dtype
        Official models.py, `RSSM.initial`.
        """
        zeros = self.fc_in.weight.new_zeros
        return {
            "h": zeros(1, batch_size, self.rnn_hidden_dim, device=device),
            "z": zeros(batch_size, self.state_dim, device=device),
        }

    def recurrent_step(
        self, prev_state: dict[str, Tensor], prev_action: Tensor
    ) -> tuple[Tensor, Tensor]:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}): one step of time, before anything is observed.

        prev_state    {'h': (1, B, H), 'z': (B, Z)}
        prev_action   (B, A)   the action that leads from the previous state to this one
        return        h_out (B, H) for the heads, and h_new (1, B, H) for the next step: the same
                      numbers in two shapes

        [z, a] goes through `fc_in` and ELU, then one step of `rnn`, a GRU with batch_first=True:
        its input is (B, 1, hidden), and its own state is prev_state['h']. Leave prev_state as it
        is.
        Official models.py, `RSSM.img_step`.
        """
        # EXERCISE 1.10: [z, a] → fc_in → ELU → one step of the GRU from prev_state['h']
        x = torch.cat([prev_state["z"], prev_action], -1)
        x = F.elu(self.fc_in(x))
        h_out, h_new = self.rnn(x[:, None], prev_state["h"])  # (B, 1, H), (1, B, H)
        return h_out[:, 0], h_new
        # END 1.10

    def prior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the latent from the past alone, p(z_t | h_t).

        h        (..., H)
        return   mean (..., Z), std (..., Z) with std = softplus(raw) + min_std

        One hidden layer with ELU (`fc_prior`), then two linear layers side by side:
        `fc_prior_mean`, and `fc_prior_std` for the raw std. Official models.py, `RSSM.img_step`.
        """
        # EXERCISE 1.11: hidden layer with ELU; linear mean; softplus, then min_std, for the std
        x = F.elu(self.fc_prior(h))
        return self.fc_prior_mean(x), F.softplus(self.fc_prior_std(x)) + self.min_std
        # END 1.11

    def posterior(self, h: Tensor, embed: Tensor) -> tuple[Tensor, Tensor]:
        """Infer the latent from the past and the present observation, q(z_t | h_t, x_t).

        h        (..., H)
        embed    (..., E)
        return   mean (..., Z), std (..., Z) with std = softplus(raw) + min_std

        The network has the form of the prior's: `fc_post` of [h, embed] with h first,
        `fc_post_mean`, `fc_post_std`. Official models.py, `RSSM.obs_step`.
        """
        # EXERCISE 1.12: as the prior, from [h, embed]
        x = F.elu(self.fc_post(torch.cat([h, embed], -1)))
        return self.fc_post_mean(x), F.softplus(self.fc_post_std(x)) + self.min_std
        # END 1.12

    def rollout_observation(
        self, embeds: Tensor, actions: Tensor, is_first: Tensor | None = None,
        state: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Filter a sequence: at each step predict, then correct with what was observed.

        embeds     (B, T, E)
        actions    (B, T, A)   actions[:, t] led to observation t
        is_first   (B, T)      1 where an episode begins; None: nowhere
        state      of the step before the sequence; None: get_initial_state
        return     {'h': (B, T, H), 'z': (B, T, Z), 'post_mean', 'post_std', 'prior_mean',
                   'prior_std': (B, T, Z)}; z is a sample of the posterior, and the next step
                   starts from it

        Official models.py, `RSSM.observe`. Its sequences never leave an episode; ours may, and
        then the previous h, z and action count as zero where an episode begins: `keep` (B, T) is
        0 there, else 1. `state` is that of the step before. Fill the four lists with (B, H) and
        (B, Z) tensors.
        """
        if is_first is None:
            is_first = embeds.new_zeros(embeds.shape[:2])
        keep = 1 - is_first.to(embeds.dtype)  # (B, T)
        state = state or self.get_initial_state(len(embeds), embeds.device)
        hs, zs, means, stds = [], [], [], []  # one entry for each t: h, z, mean and std of z
        # EXERCISE 1.13: for every t: reset, step, posterior, sample (needs 1.9 1.10 1.12)
        for t in range(embeds.shape[1]):
            mask = keep[:, t, None]  # (B, 1)
            previous = {"h": state["h"] * mask, "z": state["z"] * mask}
            h, h_new = self.recurrent_step(previous, actions[:, t] * mask)
            mean, std = self.posterior(h, embeds[:, t])
            state = {"h": h_new, "z": sample_normal(mean, std)}
            hs.append(h)
            zs.append(state["z"])
            means.append(mean)
            stds.append(std)
        # END 1.13
        h, z, mean, std = (torch.stack(x, 1) for x in (hs, zs, means, stds))
        prior_mean, prior_std = self.prior(h)  # for all T at once: the prior needs h alone
        return {
            "h": h, "z": z, "post_mean": mean, "post_std": std,
            "prior_mean": prior_mean, "prior_std": prior_std,
        }  # fmt: skip

    def rollout_imagination(
        self, state: dict[str, Tensor], actor: Callable[[Tensor], Tensor], horizon: int
    ) -> dict[str, Tensor]:
        """Dream ahead with the prior. Gradients flow through every step: V1's actor needs them.

        state    {'h': (1, N, H), 'z': (N, Z)} to start from
        actor    feature (N, F) → sampled action (N, A)
        return   {'h': (N, horizon, H), 'z': (N, horizon, Z), 'action': (N, horizon, A)}: the
                 states s_1 ... s_horizon, without the start s_0; action[:, t] led to state t

        The actor sees the feature (`get_feature`) *detached*: the gradient of the returns reaches
        an action through what it causes, not through what the policy saw. The action itself stays
        attached. The latent is a sample
        of the prior (`sample_normal`). Fill the lists with (N, H), (N, Z) and (N, A) tensors.
        Paper: Algorithm 1, "Imagine trajectories"; official dreamer.py, `_imagine_ahead`.
        """
        hs, zs, actions = [], [], []  # one entry for each step of the dream
        # EXERCISE 1.14: act on the detached feature, step, sample the prior (needs 1.9 1.10 1.11)
        h = state["h"][0]
        for _ in range(horizon):
            action = actor(get_feature(h, state["z"]).detach())
            h, h_new = self.recurrent_step(state, action)
            state = {"h": h_new, "z": sample_normal(*self.prior(h))}
            hs.append(h)
            zs.append(state["z"])
            actions.append(action)
        # END 1.14
        h, z, action = (torch.stack(x, 1) for x in (hs, zs, actions))
        return {"h": h, "z": z, "action": action}


def kl_divergence(mean_p: Tensor, std_p: Tensor, mean_q: Tensor, std_q: Tensor) -> Tensor:
    """KL(p ‖ q) of two diagonal Normals, summed over their units.

    mean, std   (..., Z) of p and of q
    return      (...)    nats

    For each unit: log(std_q / std_p) + (std_p² + (mean_p - mean_q)²) / (2 std_q²) - 1/2.
    """
    # EXERCISE 1.15: the closed form of every unit, then the sum over units
    distance = (mean_p - mean_q).square()
    ratio = (std_p.square() + distance) / (2 * std_q.square())
    return (torch.log(std_q / std_p) + ratio - 0.5).sum(-1)
    # END 1.15


def kl_loss(
    post_mean: Tensor, post_std: Tensor, prior_mean: Tensor, prior_std: Tensor,
    free_nats: float = 3.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """How far the posterior strays from the prior, KL(posterior ‖ prior), with free nats.

    four times (B, T, Z)
    free_nats   a mean below this is not reduced further: the loss is then constant, without
                gradient
    return      loss, a scalar tensor: the mean over (B, T), but not below free_nats; and the mean
                itself, detached, for the log. Nats

    One loss trains both sides: the prior learns to predict, the posterior to be predictable.
    Paper: Section 4 and Appendix A; official dreamer.py, `train`: first the mean, then the maximum.
    """
    # EXERCISE 1.16: KL(posterior ‖ prior), averaged, then the maximum (needs 1.15)
    kl = kl_divergence(post_mean, post_std, prior_mean, prior_std).mean()
    return kl.clamp(min=free_nats), kl.detach()
    # END 1.16


class WorldModel(nn.Module):
    """Encoder, RSSM, decoder, reward and (optional) continue predictor, and their loss.

    config   the agent's options, `Config` of train.py
    """

    def __init__(self, obs_space: dict, action_dim: int, config):
        super().__init__()
        c = self.config = config
        inputs = c.state_dim + c.rnn_hidden_dim
        self.encoder = Encoder(obs_space, c.depth, c.vector_layers, c.units, c.arch)
        self.rssm = RSSM(
            action_dim, self.encoder.size, c.state_dim, c.rnn_hidden_dim, c.hidden_dim, c.min_std
        )
        self.decoder = Decoder(obs_space, inputs, c.depth, c.vector_layers, c.units, c.arch)
        self.reward = RewardPredictor(inputs, c.reward_layers, c.units)
        self.continues = (
            ContinuePredictor(inputs, c.continue_layers, c.units) if c.use_continue else None
        )

    def reconstruction_loss(self, feature: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Loss of all parts of the observation together. (B, T, F) → (B, T)"""
        means = self.decoder(feature)
        images = self.decoder.images
        targets = {key: preprocess_image(batch[key]) if key in images else batch[key]
                   for key in means}  # fmt: skip
        return sum(normal_loss(means[key], targets[key]) for key in means)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor], dict]:
        """The loss of a batch of sequences, and the states for all that follows.

        batch    rows (B, T, ...)
        return   scalar; what `rollout_observation` returned, attached; metrics

        The sum of four parts, each a mean over (B, T) and in the dictionary `losses` by name:
            kl               kl_scale × kl_loss of the states, with the configured free_nats
            reconstruction   reconstruction_scale × reconstruction_loss
            reward           normal_loss of `self.reward` at the state of the reward's own row,
                             against reward_scale × reward
            continue         if there is `self.continues`: continue_scale × continue_loss
        What follows needs `losses`, `states` (of rollout_observation) and `kl_mean` (of kl_loss).
        Official dreamer.py, `train`.
        """
        c, losses = self.config, {}
        # EXERCISE 1.27: filter the sequence, then the four parts (needs 1.7 1.8 1.13 1.16)
        states = self.rssm.rollout_observation(
            self.encoder(batch), batch["action"], batch["is_first"]
        )
        feature = get_feature(states["h"], states["z"])
        kl, kl_mean = kl_loss(
            states["post_mean"], states["post_std"], states["prior_mean"], states["prior_std"],
            c.free_nats,
        )  # fmt: skip
        losses["kl"] = c.kl_scale * kl
        losses["reconstruction"] = (
            c.reconstruction_scale * self.reconstruction_loss(feature, batch).mean()
        )
        reward = c.reward_scale * batch["reward"]
        losses["reward"] = normal_loss(self.reward(feature), reward).mean()
        if self.continues is not None:
            logits = self.continues(feature)
            ends = continue_loss(logits, batch["is_terminal"], c.gamma)
            losses["continue"] = c.continue_scale * ends.mean()
        # END 1.27
        metrics = {f"loss/{name}": loss.detach() for name, loss in losses.items()}
        return sum(losses.values()), states, metrics | {"kl": kl_mean}

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
