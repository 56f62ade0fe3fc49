"""DreamerV2: the agent that joins world model, actor and critic, and its one training step.

Paper: Hafner et al. 2021, arXiv:2010.02193. Official code: danijar/dreamerv2, agent.py and
configs.yaml. Needs torch and numpy alone: environments, replay and logging live in `dreamkit`.

Letters: B batch, T time, H deterministic units, Z stochastic units, A action units, F = Z + H
feature, N dreams, L steps of a dream (which has L + 1 states).
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from solutions.paper2_dreamerv2.actor_critic import (
    Actor,
    Critic,
    compute_actor_loss,
    compute_critic_loss,
    compute_discount_weights,
    compute_lambda_returns,
    update_slow_critic,
)
from solutions.paper2_dreamerv2.networks import keras_init
from solutions.paper2_dreamerv2.rssm import WorldModel, get_feature, kl_divergence


@dataclass
class Config:
    """Every option of the agent. The defaults are those of the official code for control tasks.

    Source: configs.yaml, `defaults` and `dmc_vision`. SIZES["atari"] has what the paper's own
    experiments change.
    """

    # Sizes
    num_categoricals: int = 32  # S, categorical latents
    num_categories: int = 32  # K, classes of each
    rnn_hidden_dim: int = 200  # H, units of h
    rssm_hidden_dim: int = 200  # dense layers of the RSSM
    embed_dim: int = 1536  # of a 64×64 image; 32 times the channels of the first convolution
    hidden_dim: int = 400  # dense layers of the heads, and of the encoder of vectors
    head_layers: int = 4  # of reward, continuation, actor and critic
    vector_layers: int = 4  # encoder and decoder of vectors
    layer_norm: bool = False  # also outside the GRU; official for Crafter alone
    # Batch
    batch_size: int = 16  # sequences; the paper's Table D.1 has 50
    seq_len: int = 50  # rows of a sequence
    # World model
    kl_balance: float = 0.8  # share of the KL's gradient that goes to the prior
    kl_scale: float = 1.0
    free_nats: float = 1.0
    use_continue: bool = False  # predict ends of episodes; control tasks have none
    continue_scale: float = 5.0
    reward_transform: str = "none"  # or "tanh", or "symlog", which is V3's
    # Actor and critic
    imagination_horizon: int = 15  # steps of a dream
    gamma: float = 0.99
    lambda_: float = 0.95
    actor_grad: str = "auto"  # "reinforce", "dynamics", "both"; auto: by the kind of the actions
    rho: float = 0.9  # share of REINFORCE in "both"; the official actor_grad_mix is 1 - rho
    entropy_scale: float = 1e-4
    slow_interval: int = 100  # updates from one copy of the critic to the next
    # Three Adam optimisers with eps 1e-5
    world_model_lr: float = 3e-4
    actor_lr: float = 8e-5
    critic_lr: float = 8e-5
    clip: float = 100.0  # of the gradient's norm, for each optimiser
    weight_decay: float = 1e-6  # of every parameter at every update; not times the learning rate
    # Departures from the paper, all off here; small agents on short runs need some of them
    imagine_last: int = 0  # dream from the last n rows of each sequence; 0: from all
    reconstruction_scale: float = 1.0
    reward_scale: float = 1.0  # rewards are multiplied by it before they are transformed
    actor_delay: int = 0  # updates before the actor begins to learn

    def __post_init__(self):
        """Errors: ValueError, where options make no sense."""
        if self.actor_grad not in ("auto", "reinforce", "dynamics", "both"):
            raise ValueError(
                f"actor_grad={self.actor_grad} is neither auto, reinforce, dynamics nor both"
            )
        if self.reward_transform not in ("none", "tanh", "symlog"):
            raise ValueError(f"reward_transform={self.reward_transform}: none, tanh or symlog")
        if self.embed_dim < 32 or self.embed_dim % 32:
            raise ValueError(f"embed_dim={self.embed_dim} is not a multiple of 32")
        if self.batch_size < 1 or self.seq_len < 2 or self.imagination_horizon < 2:
            raise ValueError("batch_size must be at least 1, seq_len and imagination_horizon 2")
        if self.vector_layers < 1 or self.slow_interval < 1:
            raise ValueError("vector_layers and slow_interval must be at least 1")

    @property
    def state_dim(self) -> int:
        """Z, units of z: 1024."""
        return self.num_categoricals * self.num_categories

    @property
    def depth(self) -> int:
        """Convolution channels are depth × (1, 2, 4, 8): 48."""
        return self.embed_dim // 32

    @property
    def batch_length(self) -> int:
        """The trainer's name of seq_len: see NAMES."""
        return self.seq_len


SIZES = {
    # For a laptop: the algorithm of the paper, but small, with higher learning rates, and with
    # dreams from the last rows of each sequence alone, which is a departure.
    "tiny": dict(
        num_categoricals=8, num_categories=8, rnn_hidden_dim=128, rssm_hidden_dim=64,
        embed_dim=256, hidden_dim=64, head_layers=1, vector_layers=1, batch_size=32, seq_len=16,
        use_continue=True, gamma=0.997, entropy_scale=1e-3, world_model_lr=1e-3, actor_lr=1e-3,
        critic_lr=1e-3, imagine_last=4,
    ),
    "dmc": {},
    # configs.yaml, `atari`. The paper's Table D.1 has γ = 0.995, its text and the code 0.999.
    "atari": dict(
        rnn_hidden_dim=600, rssm_hidden_dim=600, kl_scale=0.1, free_nats=0.0, use_continue=True,
        reward_transform="tanh", gamma=0.999, entropy_scale=1e-3, world_model_lr=2e-4,
        actor_lr=4e-5, critic_lr=1e-4,
    ),
}  # fmt: skip

# What a size needs on a task: options of the run, and of the agent. train_ratio counts replayed
# rows for each decision: batches of 16 × 50 every 5 decisions (dmc_vision) or 16 (atari).
TASKS = {
    "tiny": {
        # A vector of three numbers weighs little beside one nat of free KL, and without the bonus
        # the policy runs to the bounds of its actions: both are departures, found by trying.
        "pendulum": dict(
            pretrain=100,
            agent=dict(
                use_continue=False,
                gamma=0.99,
                reconstruction_scale=100.0,
                reward_scale=0.1,
                entropy_scale=0.03,
                slow_interval=25,
            ),
        ),
        "cartpole": dict(agent=dict(reconstruction_scale=100.0)),
        "cartpole_continuous": dict(agent=dict(reconstruction_scale=100.0)),
    },
    "dmc": {"dmc_pixels": dict(envs=1, prefill=1000, pretrain=100, train_ratio=160)},
    "atari": {"atari": dict(envs=1, prefill=50_000, pretrain=1, train_ratio=50)},
}

# What the rest of the project calls two options of Config.
NAMES = {"batch_length": "seq_len", "imagine_length": "imagination_horizon"}


# --- rewards --------------------------------------------------------------------------------------


def symlog(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): an idea of DreamerV3 (arXiv:2301.04104), not of V2, where it is off.

    Here to be compared with tanh: neither lets a huge reward in, but tanh forgets how huge.
    """
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: Tensor) -> Tensor:
    """The inverse of symlog, sign(x) (exp|x| - 1); DreamerV3's too."""
    return torch.sign(x) * torch.expm1(torch.abs(x))


def transform_reward(reward: Tensor, kind: str) -> Tensor:
    """Rewards as the model learns them. Official agent.py, `preprocess`: clip_rewards.

    kind   "tanh" (Atari), "none" (control tasks) or "symlog"
    """
    return {"none": lambda x: x, "tanh": torch.tanh, "symlog": symlog}[kind](reward)


# --- the agent ------------------------------------------------------------------------------------


class DreamerV2:
    """The agent as the trainer sees it.

    obs_space      {name: space with .shape}; three dimensions mean an image (C, H, W) of uint8
    action_space   a space with .n (discrete) or .shape (continuous, in [-1, 1])
    """

    def __init__(self, obs_space: dict, action_space, config: Config, device: str = "cpu"):
        c = self.config = config
        self.device = torch.device(device)
        self.keys = sorted(obs_space)
        self.discrete = hasattr(action_space, "n")
        self.actions = int(action_space.n if self.discrete else np.prod(action_space.shape))
        kind = c.actor_grad
        if kind == "auto":
            kind = "reinforce" if self.discrete else "dynamics"
        self.rho = {"reinforce": 1.0, "dynamics": 0.0, "both": c.rho}[kind]
        inputs = c.state_dim + c.rnn_hidden_dim
        heads = (c.head_layers, c.hidden_dim, c.layer_norm)
        self.world_model = WorldModel(obs_space, self.actions, c)
        self.actor = Actor(inputs, self.actions, self.discrete, *heads)
        self.critic = Critic(inputs, *heads)
        learning = dict(model=self.world_model, actor=self.actor, critic=self.critic)
        self.modules = nn.ModuleDict(learning).apply(keras_init)
        self.slow_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.modules["slow_critic"] = self.slow_critic
        self.modules.to(self.device)
        self.parameters = [p for p in self.modules.parameters() if p.requires_grad]
        rates = dict(model=c.world_model_lr, actor=c.actor_lr, critic=c.critic_lr)
        self.optimizers = {
            name: torch.optim.Adam(self.modules[name].parameters(), rate, eps=1e-5)
            for name, rate in rates.items()
        }
        self.updates = 0

    # --- acting -----------------------------------------------------------------------------------

    def initial_state(self, batch_size: int) -> dict[str, Tensor]:
        """What the policy remembers: {'h': (B, H), 'z': (B, Z), 'action': (B, A)}, zeros."""
        state = self.world_model.rssm.get_initial_state(batch_size)
        return state | {"action": state["z"].new_zeros(batch_size, self.actions)}

    @torch.no_grad()
    def act(self, obs: dict, state: dict, explore: bool = True) -> tuple[Tensor, dict]:
        """One step of the policy for B environments.

        obs       {name: (B, ...)} arrays, and `is_first` (B,), which resets a row of the state
        explore   at evaluation, False, the policy's `mode()`. In training a sample of the policy,
                  without more noise; before the first update, random actions
        return    actions (B, A), one-hot or in [-1, 1]; the new state
        """
        obs = {key: torch.as_tensor(obs[key], device=self.device)[:, None] for key in obs}
        filtered = self.world_model.rssm.rollout_observation(
            self.world_model.encoder(obs), state["action"][:, None], obs["is_first"], state
        )
        h, z = filtered["h"][:, 0], filtered["z"][:, 0]
        policy = self.actor(get_feature(h, z))
        if not explore:
            action = policy.mode()
        elif self.updates == 0:
            action = self.random_action(policy.mode())
        else:
            action = policy.rsample()
        return action, {"h": h, "z": z, "action": action}

    def random_action(self, like: Tensor) -> Tensor:
        """Uniform random actions of the same shape: one-hot, or in [-1, 1]. (B, A) → (B, A)"""
        noise = torch.rand_like(like)
        if not self.discrete:
            return 2 * noise - 1
        return torch.zeros_like(like).scatter(-1, noise.argmax(-1, keepdim=True), 1.0)

    # --- learning ---------------------------------------------------------------------------------

    def train_step(self, batch: dict) -> tuple[dict[str, Tensor], None]:
        """One update of world model, actor and critic from one batch of replayed sequences.

        batch    rows (B, T, ...) as arrays
        return   metrics (scalars); None: there are no latents to keep in the replay
        """
        metrics, start = self.train_world_model(batch)
        metrics |= self.train_actor_critic(start)
        return metrics, None

    def train_world_model(self, batch: dict) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One update of the world model. Returns metrics, and states to dream from."""
        batch = self.prepare(batch)
        loss, states, metrics = self.world_model.loss(batch)
        self.update("model", loss)
        return metrics, self.starts(states, batch["is_terminal"])

    def starts(self, states: dict[str, Tensor], is_terminal: Tensor) -> dict[str, Tensor]:
        """Posterior states of a batch → states to dream from, cut off from the world model.

        return   {'h': (N, H), 'z': (N, Z), 'is_terminal': (N,)}, detached; N = B·T, or B times
                 `imagine_last` if that is not 0

        V1 left terminal starts out. V2 keeps them and lets their weights say that nothing follows.
        """
        rows = slice(-self.config.imagine_last or None, None)
        states = {"h": states["h"], "z": states["z"], "is_terminal": is_terminal}
        return {key: x[:, rows].detach().flatten(0, 1) for key, x in states.items()}

    def imagine(self, start: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Dreams of the current policy, and what is predicted along them.

        start    of `starts`
        return   feature (N, L + 1, F), action (N, L + 1, A), and (N, L + 1) each: rewards,
                 continues with γ in them, values of the slow critic

        Rewards and continues are those of `self.world_model.predict`. At the start there is no
        need to predict whether the episode goes on: with a continue predictor, the true
        γ (1 - is_terminal) stands there instead. L is `imagination_horizon`, and the dream's policy
        a sample, `rsample()`, of `self.actor(feature)`. Detach nothing: dynamics backpropagation
        learns through all five. REINFORCE alone (`rho` 1) needs no gradient through a dream, which
        makes it much cheaper. Official agent.py, `imagine` and `target`.
        """
        c = self.config
        with torch.set_grad_enabled(self.rho < 1):
            # EXERCISE 2.20: dream with policy samples, predict, correct the start (needs 2.7)
            dream = self.world_model.rssm.rollout_imagination(
                start, lambda feature: self.actor(feature).rsample(), c.imagination_horizon
            )
            feature = get_feature(dream["h"], dream["z"])
            rewards, continues = self.world_model.predict(feature)
            if c.use_continue:
                first = c.gamma * (1 - start["is_terminal"])
                continues = torch.cat([first[:, None], continues[:, 1:]], 1)
            values = self.slow_critic(feature)
            # END 2.20
        return feature, dream["action"], rewards, continues, values

    def train_behavior(self, batch: dict) -> tuple[dict[str, Tensor], None]:
        """One update of actor and critic in the world model as it is, as `train_step` returns."""
        batch = self.prepare(batch)
        with torch.no_grad():
            _, states, _ = self.world_model.loss(batch)
        return self.train_actor_critic(self.starts(states, batch["is_terminal"])), None

    def train_actor_critic(self, start: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of actor and critic on dreams in the world model, which stays as it is.

        start    {'h': (N, H), 'z': (N, Z), 'is_terminal': (N,)} of `starts`
        return   metrics

        A dream has L + 1 states. Returns exist for all but the last, whose value is the
        bootstrap: so the last reward and continuation are left out. The continuations contain γ:
        pass gamma=1. The two losses take whole dreams and slice and detach them themselves. ρ is
        this agent's, `self.rho`; λ (`lambda_`) and `entropy_scale` are options. What follows needs
        `returns` (N, L), `policy_loss`, `entropy` and `value_loss`.
        Official agent.py, `ActorCritic.train`.
        """
        c = self.config
        feature, action, rewards, continues, values = self.imagine(start)
        # EXERCISE 2.21: returns, weights, the two losses (needs 2.14 2.15 2.16 2.17)
        returns = compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)
        weights = compute_discount_weights(continues)
        policy_loss, entropy = compute_actor_loss(
            self.actor, feature, action, returns, values, weights, self.rho, c.entropy_scale
        )
        value_loss = compute_critic_loss(self.critic, feature, returns, weights)
        # END 2.21
        if self.updates >= c.actor_delay:
            self.update("actor", policy_loss)
        self.update("critic", value_loss)
        update_slow_critic(self.slow_critic, self.critic, self.updates, c.slow_interval)
        self.updates += 1
        return {
            "loss/policy": policy_loss.detach(), "loss/value": value_loss.detach(),
            "entropy": entropy.detach().mean(), "value": values.detach().mean(),
            "return": returns.detach().mean(), "reward": rewards.detach().mean(),
        }  # fmt: skip

    def update(self, name: str, loss: Tensor) -> None:
        """One Adam step on the parameters of one part: "model", "actor" or "critic".

        The gradient may flow *through* other parts, and must not be left *in* them:
        `loss.backward(inputs=parameters)` stores it in the given parameters alone. Its norm, of
        all these parameters together, is cut at `clip`. Then every parameter, biases too, is
        multiplied by 1 - weight_decay, and then comes the step: decay is neither part of the
        gradient nor scaled by the learning rate, so torch's AdamW would need weight_decay / lr.
        Official tfutils.py, `Optimizer`.
        """
        parameters = list(self.modules[name].parameters())
        optimizer = self.optimizers[name]
        # EXERCISE 2.22: clear old gradients, backward into `parameters` alone, clip, decay, step
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=parameters)
        nn.utils.clip_grad_norm_(parameters, self.config.clip)
        with torch.no_grad():
            for parameter in parameters:
                parameter.mul_(1 - self.config.weight_decay)
        optimizer.step()
        # END 2.22

    def prepare(self, batch: dict) -> dict[str, Tensor]:
        """Arrays of the replay → tensors on the device: flags as floats, rewards transformed."""
        c = self.config
        batch = {key: torch.as_tensor(x).to(self.device) for key, x in batch.items()}
        flags = {key: batch[key].float() for key in ("is_first", "is_last", "is_terminal")}
        reward = transform_reward(c.reward_scale * batch["reward"], c.reward_transform)
        return batch | flags | {"reward": reward}

    # --- looking ----------------------------------------------------------------------------------

    @torch.no_grad()
    def dream(self, batch: dict, context: int = 5) -> dict[str, dict[str, np.ndarray]]:
        """What the model sees and what it expects: the first rows observed, the rest imagined.

        batch     rows (B, T, ...) as for `train_step`
        context   rows that the open-loop prediction may see
        return    {name: {"real", "reconstruction", "imagination"}}, each (B, T, ...); images as
                  uint8, vectors as they are, `reward` as the model learns it: scaled and
                  transformed. The imagined sequence follows the actions that were really taken
        """
        batch = self.prepare(batch)
        model = self.world_model
        seen = model.rssm.rollout_observation(
            model.encoder(batch), batch["action"], batch["is_first"]
        )
        taken = iter(batch["action"][:, context:].unbind(1))
        last = {key: seen[key][:, context - 1] for key in ("h", "z")}
        steps = seen["h"].shape[1] - context
        ahead = model.rssm.rollout_imagination(last, lambda _: next(taken), steps)
        imagined = {
            key: torch.cat([seen[key][:, :context], ahead[key][:, 1:]], 1) for key in ("h", "z")
        }
        views = {}
        for name, states in {"reconstruction": seen, "imagination": imagined}.items():
            feature = get_feature(states["h"], states["z"])
            for key, x in model.decoder(feature).items():
                if key in model.decoder.images:
                    x = ((x + 0.5).clamp(0, 1) * 255).byte()
                views.setdefault(key, {"real": batch[key]})[name] = x
            views.setdefault("reward", {"real": batch["reward"]})[name] = model.reward(feature)
        return {key: {k: x.cpu().numpy() for k, x in v.items()} for key, v in views.items()}

    @torch.no_grad()
    def latent_statistics(self, batch: dict) -> dict[str, np.ndarray]:
        """How much each latent learns from the observations, and which classes it takes.

        batch    rows (B, T, ...) as for `train_step`
        return   {"kl": (B, T, S), "probs": (B, T, S, K)}   KL(posterior ‖ prior) of every
                 categorical by itself, nats; the posterior's probabilities
        """
        batch = self.prepare(batch)
        model = self.world_model
        states = model.rssm.rollout_observation(
            model.encoder(batch), batch["action"], batch["is_first"]
        )
        post, prior = states["post_logits"], states["prior_logits"]
        kl = kl_divergence(post[..., None, :], prior[..., None, :])  # sums over one
        return {"kl": kl.cpu().numpy(), "probs": post.softmax(-1).cpu().numpy()}

    # --- saving -----------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """All that training changes: modules, three optimisers and the number of updates."""
        optimizers = {name: x.state_dict() for name, x in self.optimizers.items()}
        return {
            "modules": self.modules.state_dict(), "optimizers": optimizers, "updates": self.updates
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Errors: RuntimeError (torch) where names or shapes differ."""
        self.modules.load_state_dict(state["modules"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.updates = state["updates"]


Agent = DreamerV2


if __name__ == "__main__":
    import course

    course.run(__file__)
