"""hDreamer: DreamerV3 with two levels of categorical latents. What differs from paper 3's agent.

A hypothesis to test, not a published method: does a hierarchy inside the latent help, and is it
real? `check` says whether the code is right, `compare` trains it beside the flat agent, `analyse`
asks a trained agent what each level knows. With n_top = 0 it is DreamerV3, bit for bit.

Needs torch and numpy alone. Letters: B batch, T time, H deterministic units, S categoricals of
both levels, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from solutions.paper3_dreamerv3 import train as flat
from solutions.paper3_dreamerv3.networks import unimix
from solutions.paper3_dreamerv3.rssm import kl_divergence
from solutions.paper4_hdreamer.convert import convert
from solutions.paper4_hdreamer.rssm import WorldModel

MODES = ("split", "each", "sum")


@dataclass
class Config(flat.Config):
    """DreamerV3's options, and those of the levels. The sizes are those of `hdreamer`."""

    n_top: int = 16  # categoricals of the top level, of the `stoch` of both; 0: flat, as paper 3
    free_nats_mode: str = "split"  # each: every level has all of free_nats; sum: both together
    deter: int = 512
    hidden: int = 512
    stoch: int = 32
    classes: int = 32
    depth: int = 32
    units: int = 512

    def __post_init__(self):
        """Errors: ValueError, where sizes do not fit each other."""
        super().__post_init__()
        if not 0 <= self.n_top < self.stoch:
            raise ValueError(f"n_top={self.n_top} must be less than stoch={self.stoch}, or 0")
        if self.free_nats_mode not in MODES:
            raise ValueError(f"free_nats_mode={self.free_nats_mode}: one of {', '.join(MODES)}")


_LEARNING = ("batch_size", "batch_length", "imagine_last", "lr", "warmup", "bins", "bin_limit")
# Small enough for a laptop: learning as in paper 3's `tiny`, latents as in the comparison's tasks.
_TINY = {key: flat.SIZES["tiny"][key] for key in _LEARNING} | dict(
    deter=256, hidden=128, stoch=12, classes=32, depth=8, units=128, layers=1
)
SIZES = {
    "tiny": flat.SIZES["tiny"] | dict(n_top=3),  # paper 3's `tiny`, in two levels
    "tiny_dreamerv3": _TINY | dict(n_top=0),  # flat
    "tiny_hdreamer": _TINY | dict(n_top=4),  # the same latents and the same feature
    "hdreamer": dict(n_top=16),
    "defaults": dict(n_top=0),
}
_FLAT_TASKS = flat.TASKS["tiny"]
_GRIDWORLD = dict(agent=dict(entropy_scale=1e-2, slow_rate=0.1, scale_image=20.0))
TASKS = {
    size: _FLAT_TASKS | {"gridworld": _GRIDWORLD} for size in SIZES if size.startswith("tiny")
} | dict.fromkeys(("hdreamer", "defaults"), flat.TASKS["12M"])


class Agent(flat.Agent):
    """DreamerV3's agent around a world model of two levels."""

    world_model_type = WorldModel

    def train_step(self, batch: dict) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """As paper 3's, and metrics of the gradients: `grad_norm`, `clip_frac`."""
        metrics, latents = super().train_step(batch)
        return metrics | self.gradients, latents

    def train_world_model(self, batch: dict) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        metrics, latents = super().train_world_model(batch)
        return metrics | self.gradients, latents

    def update(self, loss: Tensor) -> None:
        """Paper 3's step. What is measured: the length of all gradients together, and the share of
        parameter tensors that adaptive clipping shortens."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        moved = [p for p in self.parameters if p.grad is not None]
        lengths = torch.stack([p.grad.norm() for p in moved])
        flat.adaptive_gradient_clipping(self.parameters, self.config.agc)
        clipped = torch.stack([p.grad.norm() for p in moved]) < 0.999 * lengths
        self.gradients = {"grad_norm": lengths.norm(), "clip_frac": clipped.float().mean()}
        self.optimizer.step()

    @torch.no_grad()
    def latent_statistics(self, batch: dict) -> dict[str, np.ndarray]:
        """As paper 3's: categoricals 0 to n_top - 1 are the top level."""
        if not self.config.n_top:
            return super().latent_statistics(batch)
        batch = self.prepare(batch)
        model, ratio = self.world_model, self.config.unimix
        h, z, posterior = model.rssm.observe(
            model.encoder(batch), batch["action"], batch["is_first"], (batch["h"], batch["z"])
        )
        posterior, prior = unimix(posterior, ratio), unimix(model.rssm.prior(h, z), ratio)
        kl = kl_divergence(posterior[..., None, :], prior[..., None, :])
        return {"kl": kl.cpu().numpy(), "probs": posterior.cpu().numpy()}

    def adopt(self, agent_name: str, options: dict, state: dict) -> str:
        """Take over a trained DreamerV3: the same predictions, in two levels. Returns a remark.

        agent_name, options, state   of the checkpoint: its agent, its Config, its `state_dict`
        errors                       ValueError: another agent, or sizes that differ
        """
        if agent_name != "dreamerv3":
            raise ValueError(f"it holds {agent_name}; a flat dreamerv3 can be converted")
        modules = convert(state["modules"], options, self.config)
        self.modules.load_state_dict(modules)
        return (
            "converted: both levels predict what the flat model predicted, with the gate at 0; "
            "the optimiser begins anew"
        )


if __name__ == "__main__":
    import course

    course.run(__file__)
