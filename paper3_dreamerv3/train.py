"""DreamerV3: the agent that joins world model, actor and critic, and its one training step.

Paper: Hafner et al. 2023, arXiv:2301.04104v2; Nature 640 (2025). Where the paper and the official
code (danijar/dreamerv3, May 2026) differ, the docstring at that place says what was chosen.
Needs torch and numpy alone: environments, replay and logging live in `dreamkit`.

Letters: B batch, T time, H deterministic units, S categoricals, K classes, A action units.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from paper3_dreamerv3.actor_critic import (
    ContinuousActor,
    DiscreteActor,
    ReturnNormalizer,
    actor_loss,
    compute_lambda_returns,
    critic_loss,
    imagination_weights,
    update_slow_critic,
)
from paper3_dreamerv3.networks import TwoHotHead, symexp, unimix
from paper3_dreamerv3.optim import LaProp, adaptive_gradient_clipping
from paper3_dreamerv3.rssm import WorldModel, feature, kl_divergence


@dataclass
class Config:
    """Every option of the agent. The defaults are the paper's, at its 200M size.

    Source: Nature, Extended Data Tables 2 and 4; official configs.yaml.
    """

    # Sizes
    deter: int = 8192  # units of h
    hidden: int = 1024  # hidden units of the RSSM
    stoch: int = 32  # categoricals of z
    classes: int = 64  # classes of each
    blocks: int = 8  # diagonal blocks of the GRU
    depth: int = 64  # convolution channels are depth × (2, 3, 4, 4)
    units: int = 1024  # hidden units of encoder, decoder and heads
    layers: int = 3  # of encoder, decoder (vectors), actor and critic
    head_layers: int = 1  # of reward and continue predictor
    bins: int = 255  # of the two-hot predictions
    bin_limit: float = 20.0  # bins reach from -symexp(limit) to symexp(limit)
    strided: bool = True  # stride-2 convolutions (paper); False: stride 1 and pooling (code)
    # Batch
    batch_size: int = 16  # sequences
    batch_length: int = 64  # rows of a sequence
    # World model
    unimix: float = 0.01  # uniform share of every categorical
    free_nats: float = 1.0  # KL below this is not reduced further
    scale_dyn: float = 1.0
    scale_rep: float = 0.1
    scale_image: float = 1.0
    scale_vector: float = 1.0
    # Actor and critic
    imagine_length: int = 15
    imagine_last: int = 0  # imagine from the last n states of each sequence; 0: from all of them
    discount_horizon: int = 333  # γ = 1 - 1 / discount_horizon
    lambda_: float = 0.95
    entropy_scale: float = 3e-4
    scale_replay_value: float = 0.3
    slow_rate: float = 0.02
    # Optimiser
    lr: float = 4e-5
    warmup: int = 1000  # updates
    agc: float = 0.3  # adaptive gradient clipping

    def __post_init__(self):
        """Errors: ValueError, where sizes do not fit each other."""
        if self.deter % self.blocks:
            raise ValueError(f"deter={self.deter} is not divisible by blocks={self.blocks}")
        if self.batch_size < 1 or self.batch_length < 2 or self.imagine_last == 1:
            raise ValueError("batch_size must be at least 1, batch_length and imagine_last 2")
        if self.bins % 2 == 0:
            raise ValueError(f"bins={self.bins} must be odd, so that one of them is 0")


def _size(d: int) -> dict:
    """The paper scales every width with one number d: Nature, Extended Data Table 4."""
    return dict(deter=8 * d, hidden=d, classes=d // 16, depth=d // 16, units=d)


SIZES = {
    "tiny": dict(
        deter=128, hidden=64, stoch=8, classes=8, depth=4, units=64, layers=1, bins=63,
        bin_limit=10.0, batch_size=32, batch_length=16, imagine_last=4, lr=1e-3, warmup=100,
    ),
    "1M": _size(64), "12M": _size(256), "25M": _size(384), "50M": _size(512),
    "100M": _size(768), "200M": _size(1024), "400M": _size(1536),
}  # fmt: skip

# What a size needs on a task: options of the run, and of the agent.
_CARTPOLE = dict(entropy_scale=1e-3, slow_rate=0.1)
# Larger sizes: Nature 2025, Extended Data Table 2, and the official configs.yaml.
_PAPER = {
    "atari": dict(train_ratio=32, task=dict(size=96)),
    "dmc": dict(train_ratio=1024, envs=16, task=dict(repeat=1)),
    "dmc_pixels": dict(train_ratio=256, envs=16, task=dict(repeat=1)),
}
TASKS = {
    "tiny": {
        "cartpole": dict(agent=_CARTPOLE | dict(scale_vector=10.0)),
        "cartpole_continuous": dict(agent=_CARTPOLE | dict(scale_vector=10.0)),
        "cartpole_continuous_pixels": dict(agent=_CARTPOLE),
        "cartpole_pixels": dict(agent=_CARTPOLE),
        "pendulum": dict(agent=dict(discount_horizon=100, scale_vector=10.0)),
        # Two pixels in a picture: the actor must not decide before the model sees them.
        "catch": dict(agent=dict(entropy_scale=0.05, slow_rate=0.1, scale_image=10.0)),
        "gridworld": dict(agent=dict(entropy_scale=1e-2, slow_rate=0.1, scale_image=20.0)),
        "dmc": dict(
            steps=20_000,
            prefill=500,
            eval_every=500,
            agent=_CARTPOLE | dict(discount_horizon=100, scale_vector=10.0),
        ),
    }
} | {size: _PAPER for size in SIZES if size != "tiny"}


class Agent:
    """DreamerV3 as the trainer sees it.

    obs_space      {name: space with .shape}; three dimensions mean an image (C, H, W) of uint8
    action_space   a space with .n (discrete) or .shape (continuous, in [-1, 1])
    """

    half_precision = True  # train_step may run under torch.autocast
    world_model_type = WorldModel  # a subclass may have another

    def __init__(self, obs_space: dict, action_space, config: Config, device: str = "cpu"):
        c = self.config = config
        self.device = torch.device(device)
        self.keys = sorted(obs_space)
        discrete = hasattr(action_space, "n")
        self.actions = int(action_space.n if discrete else np.prod(action_space.shape))
        inputs = c.deter + c.stoch * c.classes
        self.world_model = self.world_model_type(obs_space, self.actions, c)
        if discrete:
            self.actor = DiscreteActor(inputs, c.units, c.layers, self.actions, c.unimix)
        else:
            self.actor = ContinuousActor(inputs, c.units, c.layers, self.actions)
        self.critic = TwoHotHead(inputs, c.units, c.layers, c.bins, c.bin_limit)
        self.slow_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.normalizer = ReturnNormalizer()
        self.modules = nn.ModuleDict(
            dict(
                world_model=self.world_model, actor=self.actor, critic=self.critic,
                slow_critic=self.slow_critic, normalizer=self.normalizer,
            )
        ).to(self.device)  # fmt: skip
        self.parameters = [p for p in self.modules.parameters() if p.requires_grad]
        self.optimizer = LaProp(self.parameters, c.lr, warmup=c.warmup)
        # What the replay stores of each row, so that a sequence can start in the middle.
        self.latent_space = {"h": ((c.deter,), "float16"), "z": ((c.stoch,), "uint8")}

    # --- acting -----------------------------------------------------------------------------------

    def initial_state(self, batch_size: int) -> dict[str, Tensor]:
        """What the policy remembers: latents and the previous action, (B, ...) each."""
        h, z = self.world_model.rssm.initial(batch_size)
        return {"h": h, "z": z, "action": h.new_zeros(batch_size, self.actions)}

    @torch.inference_mode()
    def act(self, obs: dict, state: dict, explore: bool = True) -> tuple[Tensor, dict]:
        """One step of the policy for B environments.

        obs       {name: (B, ...)} arrays, and `is_first` (B,), which resets a row of the state
        explore   V3 samples from its policy in training and evaluation alike: no difference
        return    actions (B, A), one-hot or in [-1, 1] but for noise; the new state
        """
        obs = {key: torch.as_tensor(obs[key], device=self.device)[:, None] for key in obs}
        h, z, _ = self.world_model.rssm.observe(
            self.world_model.encoder(obs), state["action"][:, None],
            obs["is_first"].float(), (state["h"], state["z"]),
        )  # fmt: skip
        h, z = h[:, 0], z[:, 0]
        action = self.actor.sample(self.actor(feature(h, z)))
        return action, {"h": h, "z": z, "action": action}

    def latents(self, state: dict) -> dict[str, Tensor]:
        """States as the replay keeps them: h in half precision, z as class numbers."""
        h, z = state["h"].detach(), state["z"].detach()
        return {"h": h.half(), "z": z.argmax(-1).to(torch.uint8)}

    # --- learning ---------------------------------------------------------------------------------

    def imagine(self, h: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Dreams of the current policy from every state given.

        h, z     (B, T, H), (B, T, S, K)
        return   features (N, L, F), the actor's outputs (N, L, ...) and its actions (N, L, A),
                 predicted rewards and continuations (N, L);
                 N = B T dreams of L = 1 + imagine_length states, the start among them; dream
                 b T + t starts at row t of sequence b

        Only the actor's outputs have a gradient: kept for its loss, they need no second pass.
        """
        # EXERCISE 3.30: dreams from detached states; the actor keeps its gradient (needs 3.17)
        # TODO: your code here (the reference takes 10 lines)
        raise NotImplementedError("exercise 3.30")
        # END 3.30

    def policy_loss(
        self, policy: Tensor, actions: Tensor, returns: Tensor, values: Tensor, weight: Tensor
    ) -> tuple[Tensor, dict]:
        """The actor's loss: the action taken at state t, judged by the return of state t.

        policy, actions           (N, L, ...), (N, L, A)   of the actor, along the dream
        returns, values, weight   (N, L)   in the units of the rewards: the advantage alone is
                                           normalised, by the normaliser's scale after its
                                           one update with these returns
        return                    scalar, metrics; made of `loss`, `entropy` and `advantage`
        """
        # EXERCISE 3.31: normaliser, advantage and loss of the actor (needs 3.22 3.23 3.25)
        # TODO: your code here (the reference takes 4 lines)
        raise NotImplementedError("exercise 3.31")
        # END 3.31
        return loss, {
            "loss/policy": loss.detach(),
            "entropy": entropy.detach().mean(),
            "return_scale": self.normalizer.scale(),
            "advantage_size": advantage.detach().abs().mean(),
        }

    def replay_value_loss(self, state: Tensor, rows: dict, bootstrap: Tensor) -> Tensor:
        """The critic's loss on replayed states, with gradient into the world model.

        state       (B, T, F)   posterior states, attached
        rows        reward, is_terminal, is_last (B, T) of these states
        bootstrap   (B, T)      return of a dream from each state: the values of its λ-returns
        return      scalar

        The last row of an episode has no next one to learn from, so it weighs 0. γ is
        `self.world_model.discount`, λ the config's `lambda_`. Official agent.py, `repl_loss`;
        paper: section "Critic learning", scale 0.3.
        """
        # EXERCISE 3.32: λ-returns of the rows, and the loss of all but the last (needs 3.21 3.26)
        # TODO: your code here (the reference takes 8 lines)
        raise NotImplementedError("exercise 3.32")
        # END 3.32

    def behavior_loss(self, batch: dict, h: Tensor, z: Tensor) -> tuple[Tensor, Tensor, dict]:
        """Losses of actor and critic, on dreams that start at replayed states and on these states.

        h, z     (B, T, H), (B, T, S, K)   posterior states, attached: the replay loss trains them
        return   scalar on dreams, scalar on replayed states, metrics

        Dreams start at the last `imagine_last` rows. Their returns start from the critic's `values`
        (the slow critic's are for its loss alone) and belong to all states of a dream but its last.
        The replay loss judges the same rows; the value of a row is the return of its dream.
        What follows needs `values`, `returns`, `metrics`, and `policy_loss`, `value_loss` and
        `replay_loss`.
        """
        c = self.config
        last = c.imagine_last or h.shape[1]
        h, z = h[:, -last:], z[:, -last:]
        # EXERCISE 3.33: dream, returns, weights, three losses (needs 3.21 3.24 3.26 3.30 3.31 3.32)
        # TODO: your code here (the reference takes 15 lines)
        raise NotImplementedError("exercise 3.33")
        # END 3.33
        metrics |= {
            "loss/value": value_loss.detach(),
            "loss/replay_value": replay_loss.detach(),
            "value": values.detach().mean(),
            "return": returns.detach().mean(),
        }
        return policy_loss + value_loss, replay_loss, metrics

    def train_step(self, batch: dict) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One update of world model, actor and critic from one batch of replayed sequences.

        batch    rows (B, T, ...) as arrays, and the stored latents before them as `h`, `z`
        return   metrics (scalars), and new latents (B, T, ...) for the replay

        `prepare` makes tensors, `update` takes the step, `latents` is what the replay stores. All
        losses are one sum, in which the replay loss counts `scale_replay_value`.
        """
        # EXERCISE 3.34: all losses, one update, then the slow critic (needs 3.19 3.27 3.33)
        # TODO: your code here (the reference takes 6 lines)
        raise NotImplementedError("exercise 3.34")
        # END 3.34

    def train_world_model(self, batch: dict) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One update of the world model alone; its return value is that of `train_step`."""
        loss, (h, z), metrics = self.world_model.loss(self.prepare(batch))
        self.update(loss)
        return metrics, self.latents({"h": h, "z": z})

    def train_behavior(self, batch: dict) -> tuple[dict[str, Tensor], None]:
        """One update of actor and critic in the world model as it is. Returns metrics, None."""
        batch = self.prepare(batch)
        with torch.no_grad():
            _, (h, z), _ = self.world_model.loss(batch)
        dream_loss, replay_loss, metrics = self.behavior_loss(batch, h, z)
        self.update(dream_loss + self.config.scale_replay_value * replay_loss)
        update_slow_critic(self.slow_critic, self.critic, self.config.slow_rate)
        return metrics, None

    def update(self, loss: Tensor) -> None:
        """One optimiser step on all parameters that the loss reaches."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        adaptive_gradient_clipping(self.parameters, self.config.agc)
        self.optimizer.step()

    def prepare(self, batch: dict) -> dict[str, Tensor]:
        """Arrays of the replay → tensors on the device: flags as floats, z as one-hot vectors."""
        batch = {key: torch.as_tensor(x).to(self.device) for key, x in batch.items()}
        for key in ("is_first", "is_last", "is_terminal"):
            batch[key] = batch[key].float()
        batch["h"] = batch["h"].float()
        batch["z"] = nn.functional.one_hot(batch["z"].long(), self.config.classes).float()
        return batch

    # --- looking ----------------------------------------------------------------------------------

    @torch.no_grad()
    def dream(self, batch: dict, context: int = 5) -> dict[str, dict[str, np.ndarray]]:
        """What the model sees and what it expects: the first rows observed, the rest imagined.

        batch     rows (B, T, ...) as for `train_step`
        context   rows that the open-loop prediction may see
        return    {name: {"real", "reconstruction", "imagination"}}, each (B, T, ...); images as
                  uint8, vectors in their own units, `reward` among them. The imagined sequence
                  follows the actions that were really taken
        """
        batch = self.prepare(batch)
        model = self.world_model
        h, z, _ = model.rssm.observe(
            model.encoder(batch), batch["action"], batch["is_first"], (batch["h"], batch["z"])
        )
        steps = h.shape[1] - context
        taken = iter(batch["action"][:, context:].unbind(1))
        last = torch.zeros_like(batch["action"][:, 0])  # no action is left after the last row
        imagined, _ = model.rssm.imagine(
            h[:, context - 1], z[:, context - 1], lambda _: next(taken, last), steps
        )
        filtered = feature(h, z)
        imagined = torch.cat([filtered[:, :context], imagined[:, 1:]], 1)
        views = {}
        for name, state in {"reconstruction": filtered, "imagination": imagined}.items():
            predictions = model.decoder(*model.rssm.split(state))
            for key, x in predictions.items():
                x = (x * 255).byte() if key in model.decoder.images else symexp(x)
                views.setdefault(key, {"real": batch[key]})[name] = x
            reward = model.predict(state)[0]
            views.setdefault("reward", {"real": batch["reward"]})[name] = reward
        return {key: {k: x.cpu().numpy() for k, x in v.items()} for key, v in views.items()}

    @torch.no_grad()
    def latent_statistics(self, batch: dict) -> dict[str, np.ndarray]:
        """How much each latent learns from the observations, and which classes it takes.

        batch    rows (B, T, ...) as for `train_step`
        return   {"kl": (B, T, S), "probs": (B, T, S, K)}   KL(posterior ‖ prior) of every
                 categorical by itself, nats; the posterior's probabilities
        """
        batch = self.prepare(batch)
        model, ratio = self.world_model, self.config.unimix
        h, _, posterior = model.rssm.observe(
            model.encoder(batch), batch["action"], batch["is_first"], (batch["h"], batch["z"])
        )
        posterior, prior = unimix(posterior, ratio), unimix(model.rssm.prior(h), ratio)
        kl = kl_divergence(posterior[..., None, :], prior[..., None, :])  # sums over one
        return {"kl": kl.cpu().numpy(), "probs": posterior.cpu().numpy()}

    # --- saving -----------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """All that training changes: modules (normaliser and slow critic too) and optimiser."""
        return {"modules": self.modules.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Errors: RuntimeError (torch) where names or shapes differ."""
        self.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])


if __name__ == "__main__":
    import course

    course.run(__file__)
