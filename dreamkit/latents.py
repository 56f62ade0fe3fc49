"""How an agent uses its latents: KL over an episode, and which of them carry something, as PNG."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dreamkit import UserError
from dreamkit.collect import Slot
from dreamkit.video import as_batch, play

EPISODES, LENGTH = 3, 200  # that are played for the picture, and where they are cut
ACTIVE = 0.01  # nats; of a Gaussian latent: below, it adds nothing to the prediction


def write(folder: Path, agent, make_env: Callable, seed: int) -> Path:
    """Play some episodes and write `latents.png`. Returns the file.

    errors   UserError, where the agent cannot tell; everything else works without this picture
    """
    if not hasattr(agent, "latent_statistics"):
        raise UserError("no latents.png: the agent has no method latent_statistics")
    try:
        episodes = observe(agent, make_env, seed)
    except NotImplementedError as error:
        if not str(error).startswith("exercise "):
            raise
        raise UserError(f"no latents.png: {error} is not done yet") from None
    folder.mkdir(parents=True, exist_ok=True)
    return plot(folder / "latents.png", episodes)


def observe(agent, make_env: Callable, seed: int) -> list[dict]:
    """What `agent.latent_statistics` says of each of EPISODES episodes, and their rewards.

    return   [{"reward": (T,), "kl": (T, S), "probs": (T, S, K)}], without probs if the latents
             are Gaussian; T differs between episodes
    """
    devices = [agent.device] if agent.device.type == "cuda" else []
    slot, episodes = Slot(make_env(), 0, seed), []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for _ in range(EPISODES):
            batch = as_batch(agent, play(agent, slot, LENGTH))
            found = agent.latent_statistics(batch) | {"reward": batch["reward"]}
            episodes.append({key: x[0] for key, x in found.items()})
    slot.env.close()
    return episodes


def perplexity(probs: np.ndarray) -> np.ndarray:
    """exp(entropy), the effective number of classes: 1 for one class, K for all alike.

    (..., K) → (...)
    """
    return np.exp(-(probs * np.log(np.maximum(probs, 1e-30))).sum(-1))


def plot(path: Path, episodes: list[dict]) -> Path:
    """Above, the KL and the reward over the longest episode; below, the use of the latents."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    longest = max(episodes, key=lambda episode: len(episode["kl"]))
    steps = sum(len(episode["kl"]) for episode in episodes)
    figure = plt.figure(figsize=(9, 8.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.3])
    plot_episode(above.subplots(2, 1, sharex=True, height_ratios=[2, 1]), longest)
    if "probs" in longest:
        probs = np.concatenate([episode["probs"] for episode in episodes])
        plot_categories(below.subplots(1, 2, sharey=True, width_ratios=[1.6, 1]), probs)
    else:
        plot_units(below.subplots(), np.concatenate([episode["kl"] for episode in episodes]))
    below.suptitle(f"use of the latents in {len(episodes)} episodes, {steps} steps")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def plot_episode(axes, episode: dict) -> None:
    """KL(posterior ‖ prior) of all latents together, and the reward, at every step."""
    kl = episode["kl"].sum(-1)
    axes[0].plot(kl, "C0", linewidth=1.2)
    axes[0].axhline(kl.mean(), color="0.6", linestyle=":", label=f"mean {kl.mean():.2f}")
    axes[0].legend(fontsize=8)
    title = "KL(posterior ‖ prior) of an episode: what each observation adds to the prediction"
    axes[0].set(title=title, ylabel="nats", ylim=(0, None))
    axes[1].plot(range(1, len(kl)), episode["reward"][1:], "C2", linewidth=1.2)  # row 0 has none
    axes[1].set(xlabel="step of the episode", ylabel="reward", xlim=(0, len(kl) - 1))
    for axis in axes:
        axis.grid(alpha=0.25)


def plot_categories(axes, probs: np.ndarray) -> None:
    """How often each class is drawn, and how many classes that are in effect. probs (N, S, K)

    The effective number in all steps together, divided by that in one step, is exp of the mutual
    information of class and step. Where both are equal, the categorical is constant, or noise.
    """
    from matplotlib.colors import PowerNorm

    use = probs.mean(0)  # (S, K), as often as a sample of the posterior is of this class
    count, classes = use.shape
    image = axes[0].imshow(
        -np.sort(-use), aspect="auto", norm=PowerNorm(0.5, 0, use.max()), interpolation="nearest",
        extent=(0.5, classes + 0.5, count - 0.5, -0.5),
    )  # fmt: skip
    bar = axes[0].figure.colorbar(image, ax=axes[0])
    bar.ax.set_title("share", size=9)
    axes[0].set(xlabel="class, the most used of each categorical first", ylabel="categorical")
    together, alone = perplexity(use), np.exp(np.log(perplexity(probs)).mean(0))
    numbers = np.arange(count)
    axes[1].barh(numbers, together, color="C0", label="all steps together")
    axes[1].plot(alone, numbers, "C1o", markersize=4, label="one step")
    axes[1].axvline(classes, color="0.6", linestyle=":")
    label = f"effective classes: mean {together.mean():.1f} of {classes}"
    axes[1].set(xlabel=label, xlim=(1, classes * 1.02))
    axes[1].legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def plot_units(axis, kl: np.ndarray) -> None:
    """Mean KL of each Gaussian latent, the largest first. kl (N, Z), nats"""
    mean = np.sort(kl.mean(0))[::-1]
    axis.bar(np.arange(1, len(mean) + 1), mean, color=np.where(mean > ACTIVE, "C0", "0.7"))
    axis.set(xlabel="unit of z, sorted", ylabel="mean KL, nats", xlim=(0.3, len(mean) + 0.7))
    axis.set_title(f"{(mean > ACTIVE).sum()} of {len(mean)} units above {ACTIVE} nats", size=10)
    axis.grid(alpha=0.25, axis="y")
