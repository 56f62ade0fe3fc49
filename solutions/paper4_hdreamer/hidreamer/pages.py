"""Pages and figures of what `analyse` finds: dictionaries and arrays in, Markdown and PNG out.

Letters: T moments, n pictures.
"""

from pathlib import Path

import numpy as np

from dreamkit.video import VIEWS, enlarge, strip
from solutions.paper4_hdreamer.hidreamer.diagnostics import table
from solutions.paper4_hdreamer.pages import figure_of, save

# --- pages ----------------------------------------------------------------------------------------


def codes_page(report: dict) -> str:
    """Use of codes, what they tell of the game, and of each factor."""
    text = f"# Codes\n\n{report['rows']:,} rows of random play: {', '.join(report['games'])}.\n"
    lines = [[level, x["codes"], x["perplexity"]] for level, x in report["use"].items()]
    text += table(["", "codes used", "perplexity"], lines)
    if report["game"]:
        text += "\n## The game\n"
        lines = [[level, x["bits"], x["shared"]] for level, x in report["game"].items()]
        head = ["", "information about the game, bits", "codes that all games share"]
        text += table(head, lines)
        text += f"\nAt most {np.log2(len(report['games'])):.2f} bits. A code is shared where each "
        text += "game has a tenth or more of its rows, games weighing alike.\n"
    for game, found in report["factors"].items():
        if not found:
            continue
        text += f"\n## Factors of {game}\n\nBits that a code tells of a factor (cut at quantiles); "
        text += "in brackets the same with whole episodes shuffled: that much is chance, or the "
        text += "time that an episode has lasted.\n"
        levels = list(report["use"])
        lines = [
            [name, next(iter(x.values()))[2], *(f"{x[k][0]:.3f} ({x[k][1]:.3f})" for k in levels)]
            for name, x in found.items()
        ]
        text += table(["", "the factor has", *levels], lines)
    return text


def pictures_page(report: dict) -> str:
    text = f"# Pictures from codes\n\n{report['rows']:,} held-out pictures; one decoder, which has "
    text += f"learned from unquantised vectors of other episodes in {report['updates']:,} updates. "
    text += "Pixels from 0 to 1.\n"
    lines = [[k, f"{x['error']:.5f}", x["share"]] for k, x in report["views"].items()]
    return text + table(["drawn from", "mean squared error", "share of the mean picture's"], lines)


def dreams_page(report: dict) -> str:
    errors = report["errors"]
    steps = len(next(iter(errors.values())))
    text = f"# Dreams\n\n{report['dreams']} dreams from held-out contexts of {report['context']} "
    text += "rows, with the real actions. Mean squared error of the pictures, in thousandths; what "
    text += "the real tokens leave is the tokens' and the decoder's.\n"
    lines = [[name, *(1000 * x for x in row)] for name, row in errors.items()]
    return text + table(["steps ahead", *(str(i + 1) for i in range(steps))], lines)


def leak_page(report: dict) -> str:
    """The verdict first, then every point."""
    text = f"# What is held out\n\n{report['verdict']}\n\n"
    text += f"Two world models of one size, which begin alike; {report['episodes']} episodes are "
    text += "new to both, and to encoder and tokenizer, so that a part of a gap may be theirs. "
    text += "Brackets: 95 % of a bootstrap over stretches of episodes. Windows go on after an end, "
    text += "as in training: there nothing changes.\n"
    lines = [
        [x["model"], x["updates"], x["judged"], x["loss"], " / ".join(f"{c:.2f}" for c in x["ce"]),
         *(" / ".join(shown(level[k]) for k in ("accuracy", "copy", "change"))
           for level in x["levels"])]
        for x in report["rows"]
    ]  # fmt: skip
    levels = [f"L{i}: accuracy / copy / change" for i in range(len(report["rows"][0]["levels"]))]
    return text + table(
        ["model", "updates", "judged on", "loss", "CE L0 / L1 / L2, nats", *levels], lines
    )


def shown(share: float) -> str:
    return "–" if np.isnan(share) else f"{share:.3f}"


def seeds_page(report: dict, folders: list[Path]) -> str:
    """Means of each run, and what the seeds together say."""
    o = report["options"]
    text = f"# Hi-Dreamer: {report['task']}\n\nSeeds: {len(folders)}, of the same options. A score "
    text += f"is the mean of {o['episodes']} episodes, the same for policy and random play"
    text += f"; sticky actions {o['sticky']}.\n" if o["sticky"] >= 0 else ".\n"
    for stage, x in report["stages"].items():
        text += f"\n## After {stage}\n\n**{x['verdict']}**\n"
        mean, low, high = x["difference"]
        lines = [[seed, *row] for seed, row in x["seeds"].items()]
        policy, random, _ = np.mean(list(x["seeds"].values()), 0)
        lines.append(["mean", policy, random, f"{mean:.3f} [{low:.3f}, {high:.3f}]"])
        text += table(["seed", "policy", "random", "difference"], lines)
    return text + "\nBrackets: 95 % of a bootstrap over seeds.\n"


# --- figures --------------------------------------------------------------------------------------


def plot_codes(path: Path, panels: dict, what: str, labels: list[str]) -> Path:
    """A panel for each level: codes × classes, the share of each code's rows."""
    figure, axes = figure_of(1, len(panels), (4.2 * len(panels), 5.2))
    for axis, (level, found) in zip(axes, panels.items(), strict=True):
        image = axis.imshow(found, aspect="auto", vmin=0, vmax=1, interpolation="nearest")
        axis.set_xticks(range(len(labels)), labels, rotation=40, ha="right", size=8)
        axis.set(title=f"{level}: {len(found)} codes", xlabel=what)
        axis.set_yticks([])
    axes[0].set_ylabel("codes, in order of their mean class")
    figure.colorbar(image, ax=axes[-1]).ax.set_title("share of\na code's rows", size=8)
    return save(figure, path)


def as_grey(picture: np.ndarray) -> np.ndarray:
    """(..., H, W) in [0, 1] → (..., H', W', 3) uint8, 64 pixels high or more"""
    grey = (255 * np.clip(picture, 0, 1)).round().astype(np.uint8)
    return enlarge(np.repeat(grey[..., None], 3, -1), 64)


def plot_pictures(path: Path, views: dict) -> Path:
    """A row for each view, a column for each picture. {name: (n, H, W) in [0, 1]}"""
    rows = []
    for x in views.values():
        frames = np.pad(as_grey(x), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=128)
        rows.append(np.concatenate(list(frames), 1))
    figure, axis = figure_of(1, 1, (2.2 + len(frames), 0.3 + len(rows)))
    axis.imshow(np.concatenate(rows), interpolation="nearest")
    height = len(rows[0])
    axis.set_yticks((np.arange(len(rows)) + 0.5) * height - 0.5, list(views))
    axis.set_xticks([])
    axis.tick_params(length=0)
    return save(figure, path)


def plot_dreams(path: Path, views: dict, context: int) -> Path:
    """Dreams one below the other: real, its tokens, dreamed. {name: (n, T, H, W) in [0, 1]}"""
    names, strips = list(views), []
    for number in range(len(views["real"])):
        one = [np.moveaxis(as_grey(x[number]), -1, 1) for x in views.values()]  # (T, 3, H, W)
        strips.append(strip(dict(zip(VIEWS, one, strict=True)), context))
    height = len(strips[0]) / len(names)
    gap = np.full((max(1, round(height / 4)), strips[0].shape[1], 3), 255, np.uint8)
    image = np.concatenate([part for x in strips for part in (x, gap)][:-1])
    columns = strips[0].shape[1] / height
    figure, axis = figure_of(1, 1, (1.5 + columns, 0.5 + len(image) / height))
    axis.imshow(image, interpolation="nearest")
    step = len(strips[0]) + len(gap)
    places = [n * step + (i + 0.5) * height for n in range(len(strips)) for i in range(len(names))]
    axis.set_yticks(places, names * len(strips))
    axis.set_xticks([])
    axis.set_xlabel("time; the dream goes on after the white line")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return save(figure, path)


def film_dreams(path: Path, views: dict, context: int) -> Path:
    """A GIF: the real pictures above, the dreams below; a frame of orange where it dreams."""
    import imageio.v3 as iio

    frames = []
    for moment in range(views["real"].shape[1]):
        seen = ((96, 96, 96), (96, 96, 96) if moment < context else (255, 140, 0))
        rows = [
            np.concatenate([framed(x, colour) for x in as_grey(views[name][:, moment])], 1)
            for name, colour in zip(("real", "dreamed"), seen, strict=True)
        ]
        frames.append(np.concatenate(rows))
    iio.imwrite(path, np.stack(frames), duration=250 if len(frames) < 12 else 100, loop=0)
    return path


def framed(picture: np.ndarray, colour: tuple) -> np.ndarray:
    """A picture (H, W, 3), large and in a frame of a colour."""
    large = enlarge(picture)
    found = np.empty((large.shape[0] + 8, large.shape[1] + 8, 3), np.uint8)
    found[:] = colour
    found[4:-4, 4:-4] = large
    return found


def plot_leak(path: Path, report: dict) -> Path:
    """Loss, and accuracy of L0 where it changes, over the updates, for each model and set."""
    figure, axes = figure_of(1, 2, (11, 4.2))
    curves: dict = {}
    for x in report["rows"]:
        curves.setdefault(f"{x['model']}; judged on {x['judged']}", []).append(x)
    for number, (name, points) in enumerate(curves.items()):
        updates = [x["updates"] for x in points]
        style = dict(color=f"C{number}", label=name, marker="o", markersize=4)
        axes[0].plot(updates, [x["loss"] for x in points], "-" if number < 2 else "--", **style)
        change = [x["levels"][0]["change"] for x in points]
        axes[1].plot(updates, change, "-" if number < 2 else "--", **style)
    axes[0].set(title="loss", ylabel="nats", xlabel="updates", ylim=(0, None))
    axes[1].set(title="L0 where it changes", ylabel="accuracy", xlabel="updates", ylim=(0, 1))
    for axis in axes:
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=8)
    return save(figure, path)
