"""Dreams as pictures: real | reconstruction | open-loop imagination, as GIF, PNG and plots."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from dreamkit import UserError, first_line
from dreamkit.collect import Slot

VIEWS = ("real", "reconstruction", "imagination")


def play(agent, slot: Slot, length: int) -> list[dict]:
    """The rows of one episode that the agent plays, cut at `length`."""
    slot.reset()
    rows, state = [slot.row], agent.initial_state(1)
    while len(rows) < length and not slot.row["is_last"]:
        obs = {key: np.asarray(x)[None] for key, x in slot.row.items() if key not in SKIP}
        action, state = agent.act(obs, state, explore=False)
        slot.step(action[0].cpu().numpy())
        rows.append(slot.row)
    return rows


def as_batch(agent, rows: list[dict]) -> dict:
    """Rows of one episode as a batch (1, T, ...) of the replay's form."""
    batch = {key: np.stack([np.asarray(row[key]) for row in rows])[None] for key in rows[0]}
    batch["reward"] = batch["reward"].astype(np.float32)
    for name, (shape, dtype) in getattr(agent, "latent_space", {}).items():
        batch[name] = np.zeros((1, *shape), dtype)
    return batch


def play_long(agent, make_env: Callable, length: int, seed: int, attempts: int = 10) -> dict:
    """The longest of some episodes, cut at `length`, as a batch for `dream`."""
    slot = Slot(make_env(), 0, seed)
    best: list[dict] = []
    for _ in range(attempts):
        best = max(best, play(agent, slot, length), key=len)
        if len(best) == length:
            break
    slot.env.close()
    return as_batch(agent, best)


SKIP = ("action", "reward", "is_last", "is_terminal")


def dream(agent, make_env: Callable, length: int, context: int, seed: int) -> dict:
    """{name: {view: (T, ...)}} of one episode that the agent plays; images as uint8."""
    devices = [agent.device] if agent.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        batch = play_long(agent, make_env, length, seed)
        if batch["reward"].shape[1] <= context:
            raise UserError(f"no episode is longer than {context} steps: take a smaller context")
        views = agent.dream(batch, context)
    return {key: {view: views[key][view][0] for view in VIEWS} for key in views}


def as_rgb(images: np.ndarray) -> np.ndarray:
    """(..., C, H, W) → (..., H, W, 3), by the first three channels or the first one as grey."""
    channels = images[..., :3, :, :] if images.shape[-3] >= 3 else images[..., :1, :, :]
    rgb = np.moveaxis(channels, -3, -1)
    return np.repeat(rgb, 3, -1) if rgb.shape[-1] == 1 else rgb


def strip(views: dict, context: int, columns: int = 12) -> np.ndarray:
    """One picture (H, W, 3): a row for each view, time from left to right.

    The first columns, up to `context` of them, are what the imagination was allowed to see; a
    white line follows them.
    """
    length = len(views["real"])
    seen = np.linspace(0, context - 1, min(3, context)).astype(int)
    ahead = np.linspace(context, length - 1, min(columns - len(seen), length - context)).astype(int)
    rows = []
    for view in VIEWS:
        frames = as_rgb(views[view])
        frames = np.pad(frames, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=64)
        line = np.full((frames.shape[1], 3, 3), 255, np.uint8)
        rows.append(np.concatenate([*frames[seen], line, *frames[ahead]], 1))
    return np.concatenate(rows, 0)


def enlarge(image: np.ndarray, size: int = 128) -> np.ndarray:
    """Repeat pixels until the height of one frame is at least `size`. (..., H, W, 3)"""
    factor = max(1, round(size / image.shape[-3]))
    return image.repeat(factor, -3).repeat(factor, -2)


def film(path: Path, frames: list[np.ndarray], rate: int = 30) -> Path:
    """Pictures (H, W, 3) as an MP4, sides even and 256 pixels or more. Returns the file.

    errors   UserError, where the video cannot be written
    """
    import imageio.v3 as iio

    path.parent.mkdir(parents=True, exist_ok=True)
    large = enlarge(np.stack(frames), 256)
    height, width = (side - side % 2 for side in large.shape[1:3])  # the codec wants even sides
    try:
        iio.imwrite(path, large[:, :height, :width], fps=rate, codec="libx264", macro_block_size=2)
    except Exception as error:  # whatever ffmpeg or the plugin says
        raise UserError(
            f"{path} cannot be written: {first_line(error)}; see dreamer-check"
        ) from None
    return path


def write(folder: Path, views: dict, context: int) -> list[Path]:
    """Write GIF and PNG of every image, and one plot of all signals. Returns the files."""
    import imageio.v3 as iio

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for key, view in views.items():
        if view["real"].ndim != 4:
            continue
        frames = np.concatenate([enlarge(as_rgb(view[name])) for name in VIEWS], 2)
        iio.imwrite(folder / f"dream_{key}.gif", frames, duration=80, loop=0)
        iio.imwrite(folder / f"dream_{key}.png", enlarge(strip(view, context), 192))
        files += [folder / f"dream_{key}.gif", folder / f"dream_{key}.png"]
        with suppress(UserError):  # the GIF shows the same
            files.append(film(folder / f"dream_{key}.mp4", list(frames), rate=12))
    signals = {key: view for key, view in views.items() if view["real"].ndim < 4}
    files.append(plot_signals(folder / "dream_signals.png", signals, context))
    return files


def plot_signals(path: Path, signals: dict, context: int) -> Path:
    """Reward and vector entries over time: real, reconstructed and imagined."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = []
    for key, view in signals.items():
        flat = {name: view[name].reshape(len(view[name]), -1) for name in VIEWS}
        count = min(8, flat["real"].shape[1])
        lines += [
            (key if count == 1 else f"{key}[{i}]", {n: flat[n][:, i] for n in VIEWS})
            for i in range(count)
        ]
    figure, axes = plt.subplots(len(lines), 1, figsize=(8, 1.6 * len(lines) + 0.6), squeeze=False)
    styles = {"real": "k-", "reconstruction": "C0--", "imagination": "C1-"}
    for axis, (name, line) in zip(axes[:, 0], lines, strict=True):
        for view, style in styles.items():
            axis.plot(line[view], style, label=view, linewidth=1.2)
        axis.axvline(context - 0.5, color="0.7", linewidth=1)
        axis.set_ylabel(name)
    axes[0, 0].legend(loc="lower right", fontsize=8, ncols=3)
    axes[-1, 0].set_xlabel(f"step (the imagination sees the first {context})")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
