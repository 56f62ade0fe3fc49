"""DreamerV1: the agent that joins world model, actor and critic, and a short training loop.

Paper: Hafner et al. 2020, arXiv:1912.01603, Algorithm 1. Official code: danijar/dreamer,
dreamer.py. Needs torch and numpy alone. `train_simple` is a whole training loop on one page, for
one environment and the buffer of this folder; long runs use dreamkit's trainer, which also
evaluates, resumes and draws.

Letters: B batch, T time, H deterministic units, Z stochastic units, A action units, F = Z + H
feature, N dreams, L states of a dream.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from solutions.paper1_dreamerv1.actor_critic import (
    Actor,
    Critic,
    actor_loss,
    add_exploration_noise,
    compute_discount_weights,
    compute_lambda_returns,
    critic_loss,
)
from solutions.paper1_dreamerv1.networks import keras_init
from solutions.paper1_dreamerv1.rssm import WorldModel, get_feature, kl_divergence


@dataclass
class Config:
    """Every option of the agent. The defaults are those of the official code for control tasks."""

    # Sizes
    rnn_hidden_dim: int = 200  # H, units of h
    state_dim: int = 30  # Z, units of z
    hidden_dim: int = 200  # dense layers of the RSSM
    min_std: float = 0.1  # of prior and posterior
    depth: int = 32  # convolution channels are depth × (1, 2, 4, 8)
    units: int = 400  # dense layers of the heads
    vector_layers: int = 2  # encoder and decoder of vectors (not in the paper)
    reward_layers: int = 2
    continue_layers: int = 3
    critic_layers: int = 3
    actor_layers: int = 4
    arch: str = "official"  # of the 64×64 encoder, or "quickstart": padded, with a dense layer
    # Batch
    batch_size: int = 50  # sequences
    batch_length: int = 50  # rows of a sequence
    # World model
    free_nats: float = 3.0
    kl_scale: float = 1.0
    use_continue: bool = False  # predict ends of episodes; control tasks have none
    continue_scale: float = 10.0
    # Actor and critic
    imagine_length: int = 15  # states of a dream, which give one return less
    gamma: float = 0.99
    lambda_: float = 0.95
    actor_init_std: float = 5.0
    exploration_noise: float = 0.3
    # Three Adam optimisers
    model_lr: float = 6e-4
    actor_lr: float = 8e-5
    critic_lr: float = 8e-5
    clip: float = 100.0  # of the gradient's norm, for each optimiser
    # Departures from the paper, all off here; small agents on short runs need some of them
    imagine_last: int = 0  # dream from the last n rows of each sequence; 0: from all
    reconstruction_scale: float = 1.0
    reward_scale: float = 1.0  # rewards are multiplied by it before they are learned
    entropy_scale: float = 0.0  # bonus for the policy's entropy
    actor_delay: int = 0  # updates before the actor begins to learn

    def __post_init__(self):
        """Errors: ValueError, where options make no sense."""
        if self.arch not in ("official", "quickstart"):
            raise ValueError(f"arch={self.arch} is neither official nor quickstart")
        if self.batch_size < 1 or self.batch_length < 2 or self.imagine_length < 2:
            raise ValueError("batch_size must be at least 1, batch_length and imagine_length 2")
        if self.imagine_last == 1:
            raise ValueError("imagine_last must be 0 (all rows) or at least 2")


SIZES = {
    # For a laptop. The last four are departures from the paper: with a short schedule the policy
    # saturates at the bounds of its actions unless its entropy is rewarded.
    "tiny": dict(
        rnn_hidden_dim=64, state_dim=16, hidden_dim=64, depth=8, units=64, vector_layers=1,
        continue_layers=2, critic_layers=2, actor_layers=2, batch_size=32, batch_length=16,
        model_lr=1e-3, actor_lr=1e-3, critic_lr=1e-3,
        free_nats=1.0, imagine_last=4, entropy_scale=0.1, actor_delay=100,
    ),
    "paper": {},
}  # fmt: skip

# What a size needs on a task: options of the run, and of the agent.
TASKS = {
    "tiny": {
        "pendulum": dict(
            pretrain=100,
            agent=dict(state_dim=8, reconstruction_scale=100.0, reward_scale=0.1),
        ),
        "cartpole_continuous": dict(
            pretrain=100, agent=dict(state_dim=8, use_continue=True, reconstruction_scale=100.0)
        ),
        "cartpole_continuous_pixels": dict(
            pretrain=100, agent=dict(use_continue=True, reconstruction_scale=10.0)
        ),
    },
    # 5,000 random frames, then 100 updates before and after every 1,000 frames: official dreamer.py
    "paper": {"dmc_pixels": dict(envs=1, prefill=2500, pretrain=100, train_ratio=500)},
}


class DreamerV1:
    """The agent as the trainer sees it.

    obs_space      {name: space with .shape}; three dimensions mean an image (C, H, W) of uint8
    action_space   a space with .shape, in [-1, 1]
    """

    def __init__(self, obs_space: dict, action_space, config: Config, device: str = "cpu"):
        """Errors: ValueError for discrete actions, through which no gradient flows."""
        if hasattr(action_space, "n"):
            raise ValueError(
                f"its actor learns through continuous actions and these are {action_space.n} "
                "discrete ones; take agent=dreamerv2 or dreamerv3, or a task such as "
                "cartpole_continuous"
            )
        c = self.config = config
        self.device = torch.device(device)
        self.keys = sorted(obs_space)
        self.actions = int(np.prod(action_space.shape))
        inputs = c.state_dim + c.rnn_hidden_dim
        self.world_model = WorldModel(obs_space, self.actions, c)
        self.actor = Actor(inputs, self.actions, c.actor_layers, c.units, c.actor_init_std)
        self.critic = Critic(inputs, c.critic_layers, c.units)
        self.modules = nn.ModuleDict(
            dict(model=self.world_model, actor=self.actor, critic=self.critic)
        )
        self.modules.apply(keras_init).to(self.device)
        self.parameters = list(self.modules.parameters())
        rates = dict(model=c.model_lr, actor=c.actor_lr, critic=c.critic_lr)
        self.optimizers = {
            name: torch.optim.Adam(self.modules[name].parameters(), rate, eps=1e-7)
            for name, rate in rates.items()
        }
        self.updates = 0

    # --- acting -----------------------------------------------------------------------------------

    def initial_state(self, batch_size: int) -> dict[str, Tensor]:
        """What the policy remembers: {'h': (1, B, H), 'z': (B, Z), 'action': (B, A)}, zeros."""
        state = self.world_model.rssm.get_initial_state(batch_size)
        return state | {"action": state["z"].new_zeros(batch_size, self.actions)}

    @torch.no_grad()
    def act(self, obs: dict, state: dict, explore: bool = True) -> tuple[Tensor, dict]:
        """One step of the policy for B environments.

        obs       {name: (B, ...)} arrays, and `is_first` (B,), which resets a row of the state
        explore   at evaluation, False, the policy's `mode()`. In training before the first update
                  (`self.updates` counts them) uniform random actions in [-1, 1], which fill the
                  buffer; then a sample of the policy with exploration noise
        return    actions (B, A) in [-1, 1]; the new state
        """
        obs = {key: torch.as_tensor(obs[key], device=self.device)[:, None] for key in obs}
        filtered = self.world_model.rssm.rollout_observation(
            self.world_model.encoder(obs), state["action"][:, None], obs["is_first"], state
        )
        h, z = filtered["h"][:, 0], filtered["z"][:, 0]
        policy = self.actor(get_feature(h, z))
        # EXERCISE 1.28: mode, random action, or noisy sample (needs 1.20)
        if not explore:
            action = policy.mode()
        elif self.updates == 0:
            action = 2 * torch.rand_like(policy.mean) - 1
        else:
            action = add_exploration_noise(policy.rsample(), self.config.exploration_noise)
        # END 1.28
        return action, {"h": h[None], "z": z, "action": action}

    # --- learning ---------------------------------------------------------------------------------

    def train_step(self, batch: dict) -> tuple[dict[str, Tensor], None]:
        """One update of world model, actor and critic from one batch of replayed sequences.

        batch    rows (B, T, ...) as arrays
        return   metrics (scalars); None: there are no latents to keep in the replay

        The official code computes all three gradients before the first step; here the dream
        already happens in the updated world model.
        """
        metrics, start = self.train_world_model(batch)
        metrics |= self.train_actor_critic(start)
        self.updates += 1
        return metrics, None

    def train_world_model(self, batch: dict) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One update of the world model. Returns metrics, and states to dream from."""
        batch = self.prepare(batch)
        loss, states, metrics = self.world_model.loss(batch)
        self.update("model", loss)
        return metrics, self.starts(states, batch["is_terminal"])

    def starts(self, states: dict[str, Tensor], is_terminal: Tensor) -> dict[str, Tensor]:
        """Posterior states of a batch → states to dream from, cut off from the world model.

        states        'h' (B, T, H), 'z' (B, T, Z), attached
        is_terminal   (B, T)   1 or 0, floats
        return        {'h': (1, N, H), 'z': (N, Z)}, detached; N = B·T if no row is left out

        Only the last `imagine_last` rows count, if that is not 0. With a continue predictor no
        dream starts at a terminal state, where no action matters (the official code leaves out
        the last row of every sequence, the only one that can be terminal there).
        """
        rows = slice(-self.config.imagine_last or None, None)
        # EXERCISE 1.29: detach, take `rows`, merge B and T, leave out terminal starts
        h = states["h"][:, rows].detach().flatten(0, 1)
        z = states["z"][:, rows].detach().flatten(0, 1)
        if self.config.use_continue:
            alive = is_terminal[:, rows].flatten() == 0
            h, z = h[alive], z[alive]
        return {"h": h[None], "z": z}
        # END 1.29

    def train_behavior(self, batch: dict) -> tuple[dict[str, Tensor], None]:
        """One update of actor and critic in the world model as it is, as `train_step` returns."""
        batch = self.prepare(batch)
        with torch.no_grad():
            _, states, _ = self.world_model.loss(batch)
        metrics = self.train_actor_critic(self.starts(states, batch["is_terminal"]))
        self.updates += 1
        return metrics, None

    def train_actor_critic(self, start: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of actor and critic on dreams in the world model, which stays as it is.

        start    {'h': (1, N, H), 'z': (N, Z)} of `starts`
        return   metrics

        The dream has L states, without the start. Reward, continuation and value are predicted
        at each of them, attached, by `self.world_model.predict` and `self.critic`. Returns exist
        for all but the last, whose value is the bootstrap: so drop the last reward and
        continuation. The continuations contain γ: pass gamma=1. The critic's own predictions are
        made at the *detached* features. What follows needs `dream` (of rollout_imagination),
        `feature` (N, L, F), `values` (N, L), `returns` and `weights` (N, L - 1), and the two
        losses `policy_loss` and `value_loss`. Official dreamer.py, `train`.
        """
        c = self.config
        # EXERCISE 1.30: dream, returns, weights, losses (needs 1.14 1.23 1.24 1.25 1.26)
        dream = self.world_model.rssm.rollout_imagination(
            start, lambda feature: self.actor(feature).rsample(), c.imagine_length
        )
        feature = get_feature(dream["h"], dream["z"])  # (N, L, F)
        rewards, continues = self.world_model.predict(feature)  # (N, L)
        values = self.critic(feature)
        returns = compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)
        weights = compute_discount_weights(continues[:, :-1], 1)
        policy_loss = actor_loss(returns, weights)
        value_loss = critic_loss(self.critic(feature[:, :-1].detach()), returns, weights)
        # END 1.30
        entropy = self.actor(feature[:, :-1].detach()).entropy()
        if c.entropy_scale:
            policy_loss = policy_loss - c.entropy_scale * (weights * entropy).mean()
        if self.updates >= c.actor_delay:
            self.update("actor", policy_loss)
        self.update("critic", value_loss)
        return {
            "loss/policy": policy_loss.detach(), "loss/value": value_loss.detach(),
            "entropy": entropy.detach().mean(), "value": values.detach().mean(),
            "return": returns.detach().mean(),
            "action_size": dream["action"].detach().abs().mean(),
        }  # fmt: skip

    def update(self, name: str, loss: Tensor) -> None:
        """One Adam step on the parameters of one part: "model", "actor" or "critic".

        The gradient may flow *through* other parts, and must not be left *in* them:
        `loss.backward(inputs=parameters)` stores it in the given parameters alone. Its norm, of
        all these parameters together, is cut at `clip` before the step.
        """
        parameters = list(self.modules[name].parameters())
        optimizer = self.optimizers[name]
        # EXERCISE 1.31: clear old gradients, backward into `parameters` alone, clip, step
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=parameters)
        nn.utils.clip_grad_norm_(parameters, self.config.clip)
        optimizer.step()
        # END 1.31

    def prepare(self, batch: dict) -> dict[str, Tensor]:
        """Arrays of the replay → tensors on the device, with flags as floats."""
        batch = {key: torch.as_tensor(x).to(self.device) for key, x in batch.items()}
        flags = {key: batch[key].float() for key in ("is_first", "is_last", "is_terminal")}
        return batch | flags

    # --- looking ----------------------------------------------------------------------------------

    @torch.no_grad()
    def dream(self, batch: dict, context: int = 5) -> dict[str, dict[str, np.ndarray]]:
        """What the model sees and what it expects: the first rows observed, the rest imagined.

        batch     rows (B, T, ...) as for `train_step`
        context   rows that the open-loop prediction may see
        return    {name: {"real", "reconstruction", "imagination"}}, each (B, T, ...); images as
                  uint8, vectors as they are, `reward` among them. The imagined sequence follows
                  the actions that were really taken
        """
        batch = self.prepare(batch)
        model = self.world_model
        seen = model.rssm.rollout_observation(
            model.encoder(batch), batch["action"], batch["is_first"]
        )
        taken = iter(batch["action"][:, context:].unbind(1))
        last = {"h": seen["h"][:, context - 1][None], "z": seen["z"][:, context - 1]}
        steps = seen["h"].shape[1] - context
        ahead = model.rssm.rollout_imagination(last, lambda _: next(taken), steps)
        imagined = {key: torch.cat([seen[key][:, :context], ahead[key]], 1) for key in ("h", "z")}
        views = {}
        for name, states in {"reconstruction": seen, "imagination": imagined}.items():
            feature = get_feature(states["h"], states["z"])
            for key, x in model.decoder(feature).items():
                if key in model.decoder.images:
                    x = ((x + 0.5).clamp(0, 1) * 255).byte()
                views.setdefault(key, {"real": batch[key]})[name] = x
            reward = model.reward(feature) / self.config.reward_scale
            views.setdefault("reward", {"real": batch["reward"]})[name] = reward
        return {key: {k: x.cpu().numpy() for k, x in v.items()} for key, v in views.items()}

    @torch.no_grad()
    def latent_statistics(self, batch: dict) -> dict[str, np.ndarray]:
        """How much each latent learns from the observations, beyond what was predicted.

        batch    rows (B, T, ...) as for `train_step`
        return   {"kl": (B, T, Z)}   KL(posterior ‖ prior) of every unit of z by itself, nats
        """
        batch = self.prepare(batch)
        model = self.world_model
        states = model.rssm.rollout_observation(
            model.encoder(batch), batch["action"], batch["is_first"]
        )
        names = ("post_mean", "post_std", "prior_mean", "prior_std")
        kl = kl_divergence(*(states[name][..., None] for name in names))  # sums over one unit
        return {"kl": kl.cpu().numpy()}

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


Agent = DreamerV1


# --- the whole loop on one page -------------------------------------------------------------------


def first_row(env, action_dim: int, seed: int | None = None) -> dict:
    """Begin an episode: the row of its first observation, which no action led to."""
    obs, _ = env.reset(seed=seed)
    flags = {"is_first": True, "is_last": False, "is_terminal": False}
    return obs | {"action": np.zeros(action_dim, np.float32), "reward": 0.0} | flags


def next_row(env, action: np.ndarray) -> dict:
    """Act, and make the row of the observation that the action leads to.

    env      `env.step(action)` returns obs (a dictionary), reward, terminated, truncated, info
    action   (A,) in [-1, 1]
    return   the entries of obs, and action, reward, is_first, is_last, is_terminal

    `terminated`: the future is worth nothing. `truncated`: a time limit; the future was only not
    played. Both end the episode.
    """
    # EXERCISE 1.32: the action, what it led to, and the three flags
    obs, reward, terminated, truncated, _ = env.step(action)
    outcome = {"action": action, "reward": float(reward)}
    last = bool(terminated or truncated)
    return obs | outcome | {"is_first": False, "is_last": last, "is_terminal": bool(terminated)}
    # END 1.32


def train_simple(
    env, agent: DreamerV1, buffer, steps: int, prefill: int = 500, train_every: int = 4,
    log_every: int = 500, path: str | None = None, seed: int = 0,
) -> list[dict]:  # fmt: skip
    """Train one agent in one environment: collect, learn, log, save.

    env      of dreamkit.make, or of the same form
    buffer   a ReplayBuffer
    prefill  steps of random actions before the first update: `agent.act` takes care of them
    path     file to save the agent's state_dict in, at the end
    return   [{"step", "episode_return", metrics ...}, ...], one entry each `log_every` steps

    In each of `steps` steps: act (the observation as a batch of one), add the row it leads to, and
    begin the next episode where one ended (only the first reset has the seed). At every step
    greater than `prefill` that `train_every` divides, if the buffer is ready: one `train_step` on
    a sample of the agent's batch_size and batch_length.
    """
    c, log, metrics = agent.config, [], {}
    row, state = first_row(env, agent.actions, seed), agent.initial_state(1)
    buffer.add(row)
    score, scores = 0.0, []  # of the current episode; of those that ended since the last log
    for step in range(1, steps + 1):
        # EXERCISE 1.33: act, store, reset where an episode ended, and learn (needs 1.18 1.19 1.32)
        obs = {key: np.asarray(row[key])[None] for key in [*agent.keys, "is_first"]}
        action, state = agent.act(obs, state)
        row = next_row(env, action[0].cpu().numpy())
        buffer.add(row)
        score += row["reward"]
        if row["is_last"]:
            scores, score = [*scores, score], 0.0
            row = first_row(env, agent.actions)
            buffer.add(row)
        if step > prefill and step % train_every == 0 and buffer.ready(c.batch_length):
            metrics, _ = agent.train_step(buffer.sample(c.batch_size, c.batch_length))
        # END 1.33
        if step % log_every == 0:
            entry = {"step": step, "episode_return": float(np.mean(scores or [np.nan]))}
            log.append(entry | {name: float(x) for name, x in metrics.items()})
            shown = ("step", "episode_return", "kl", "loss/reconstruction", "value", "entropy")
            print("  ".join(f"{key} {log[-1][key]:.4g}" for key in shown if key in log[-1]))
            scores = []
    if path:
        torch.save(agent.state_dict(), path)
    return log


if __name__ == "__main__":
    import course

    course.run(__file__)
