"""Tables and figures of what `analyse` finds: plain dictionaries in, Markdown and PNG out."""

from pathlib import Path

import numpy as np

from solutions.paper4_hdreamer import probes

LEVELS = ("top", "bottom")

# --- pages ----------------------------------------------------------------------------------------


def number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # + 0.0: no -0.00


def cell(value: list[float]) -> str:
    value, low, high = map(number, value)
    return f"{value} [{low}, {high}]"


def table(found: dict, corner: str = "") -> list[str]:
    """Markdown of {row: {column: [value, low, high] or number}}."""
    columns = list(next(iter(found.values())))
    lines = [f"| {' | '.join([corner, *columns])} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in found.items():
        cells = [cell(x) if isinstance(x, list) else number(x) for x in row.values()]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return [*lines, ""]


def turned(found: dict) -> dict:
    """{row: {column: x}} → {column: {row: x}}"""
    return {
        column: {row: x[column] for row, x in found.items()} for column in found[next(iter(found))]
    }


def head(title: str, report: dict) -> list[str]:
    """The first lines of a page: what was looked at."""
    top, bottom = len(report["top"]), len(report["bottom"])
    kind = (
        f"flat agent, {top} of its latents chosen at random as top, {bottom} as bottom"
        if report["flat"]
        else f"{top} latents on the top level, {bottom} on the bottom one"
    )
    what = f"{report['episodes']} new episodes, half of them at random, {report['rows']:,} rows; "
    return [f"# {title}", "", what + kind + ".", ""]


def probe_page(report: dict) -> str:
    lines = head("Linear probes", report) + [
        f"R² on held-out episodes ({probes.FOLDS} folds of whole episodes, a ridge penalty chosen",
        "on the training part); brackets: 95 % bootstrap over episodes. A factor's R² is the mean",
        "over its entries.",
        "",
    ]
    for title, found in report["r2"].items():
        lines += [f"## {title.capitalize()}", "", *table(found, "R² of")]
    lines += [
        "## Controls of the posterior",
        "",
        "Shuffled: the targets of other episodes. Untrained: the same network before its first",
        "update. Others: the larger level reduced to the size of the smaller one.",
        "",
        *table({f"{name}: {x}": y for name, f in report["controls"].items() for x, y in f.items()}),
    ]
    if report["accuracy"]:
        title = "Balanced accuracy of factors that are classes"
        lines += [f"## {title}", "", *table(report["accuracy"])]
        lines += ["Cross-entropy, nats:", "", *table(report["cross_entropy"])]
    lines += [
        "## Factorisation index",
        "",
        "F = ½ [R² of ego (top - bottom) + R² of world (bottom - top)]. 1: the top level has all",
        "of ego and nothing of the world, the bottom the reverse. 0: no such division. A larger",
        "level knows more of all: `posterior above dealt` is F minus that of levels of the same",
        "sizes, dealt out at random.",
        "",
    ]
    found = {name: {"F": x, "verdict": verdict(x)} for name, x in report["index"].items()}
    lines += ["| probe | F | |", "|---|---|---|"]
    lines += [f"| {name} | {cell(x['F'])} | {x['verdict']} |" for name, x in found.items()]
    return "\n".join(lines) + "\n"


def verdict(value: list[float]) -> str:
    """Whether an interval excludes 0, in words."""
    _, low, high = value
    return "above 0" if low > 0 else "below 0" if high < 0 else "not told from 0"


def information_page(report: dict) -> str:
    best = {f"best of {level}": x for level, x in report["best"].items()}
    lines = head("Mutual information", report) + [
        "Shares of a factor's entropy, I/H(y). Numbers are cut at 8 quantiles.",
        "",
        "## A level together",
        "",
        "H(y) minus the cross-entropy of a linear probe on held-out episodes, a lower bound;",
        "brackets: 95 % bootstrap over episodes. Negative: the probe has learned nothing.",
        "",
        *table(turned({"H(y), nats": report["entropy"]} | report["probe"])),
        "## One latent",
        "",
        f"Miller-Madow, minus the mean of {probes.PERMUTATIONS} permutations of whole episodes.",
        "All latents are in the picture.",
        "",
        *table(turned(best)),
        "## Redundancy of the levels",
        "",
        "Mean I/√(H H) of a latent of the top and one of the bottom: "
        f"{report['redundancy']['levels']:.3f}; by chance {report['redundancy']['floor']:.3f}.",
    ]
    return "\n".join(lines) + "\n"


# --- figures --------------------------------------------------------------------------------------


def figure_of(rows: int, columns: int, size: tuple[float, float], **options):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, layout="constrained", **options)


def save(figure, path: Path) -> Path:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
    return path


def bars(axis, found: dict[str, dict]) -> None:
    """Groups of bars with intervals: {series: {factor: [value, low, high]}}."""
    width = 0.8 / len(found)
    for place, (name, row) in enumerate(found.items()):
        values = np.array(list(row.values()))
        x = np.arange(len(values)) + (place - (len(found) - 1) / 2) * width
        axis.bar(x, np.maximum(values[:, 0], 0), width * 0.92, color=f"C{place}", label=name)
        axis.vlines(x, np.maximum(values[:, 1], 0), np.maximum(values[:, 2], 0), "0.2", lw=1)
    axis.set_xticks(range(len(values)), list(row), rotation=20, ha="right")
    axis.grid(alpha=0.25, axis="y")


def plot_probes(path: Path, report: dict) -> Path:
    """R² of the levels and their controls; over the horizon; and the factorisation index."""
    figure, axes = figure_of(1, 3, (15, 4.6), width_ratios=[2.2, 1.2, 1.6])
    now, controls = report["r2"]["posterior"], report["controls"]
    names = ("top", "bottom", "h", "full")
    bars(axes[0], {name: now[name] for name in names})
    for place, name in enumerate(names[:3]):
        x = np.arange(len(now[name])) + (place - 1.5) * 0.2
        for control, mark in (("untrained", "kx"), ("shuffled", "k_")):
            y = [max(0, value[0]) for value in controls[control][name].values()]
            axes[0].plot(x, y, mark, markersize=5, label=control if place == 0 else None)
    axes[0].set(title="posterior", ylabel="R² on held-out episodes", ylim=(0, 1.02))
    axes[0].legend(fontsize=8, ncols=2)
    for colour, level in enumerate(LEVELS):
        for kind, style in (("ego", "o-"), ("world", "s--")):
            lines = [
                np.mean([x[0] for key, x in found[level].items() if key.startswith(kind)])
                for found in report["r2"].values()
            ]
            axes[1].plot(lines, style, color=f"C{colour}", label=f"{level}: {kind}")
    ahead = ["0" if name == "posterior" else name.split()[1] for name in report["r2"]]
    axes[1].set_xticks(range(len(ahead)), ahead)
    axes[1].set(title="mean over factors", xlabel="steps ahead with the prior (0: posterior)")
    axes[1].set_ylim(min(-0.02, axes[1].get_ylim()[0]), max(0.1, axes[1].get_ylim()[1]))
    axes[1].legend(fontsize=8)
    axes[1].grid(alpha=0.25)
    index = report["index"]
    values, places = np.array(list(index.values())), np.arange(len(index))[::-1]
    axes[2].hlines(places, values[:, 1], values[:, 2], "C0", lw=2)
    axes[2].plot(values[:, 0], places, "C0o")
    axes[2].axvline(0, color="0.5", lw=1)
    axes[2].set_yticks(places, list(index))
    edge = max(0.1, 1.1 * np.abs(values).max())
    axes[2].set(title="factorisation index F", xlabel="reversed ← 0 → ego on top, world below")
    axes[2].set_xlim(-edge, edge)
    axes[2].locator_params(axis="x", nbins=6)
    axes[2].grid(alpha=0.25, axis="x")
    return save(figure, path)


def plot_information(path: Path, report: dict) -> Path:
    """Latents × factors as a heat map, and what the levels tell together."""
    factors, latents = list(report["latents"]), np.array(list(report["latents"].values())).T
    height = max(4.6, 0.22 * len(latents) + 2)
    figure, axes = figure_of(1, 2, (15, height), width_ratios=[1, 1.3])
    most = max(0.1, latents.max())  # noise is to look like noise
    image = axes[0].imshow(latents, aspect="auto", vmin=0, vmax=most, interpolation="nearest")
    figure.colorbar(image, ax=axes[0]).ax.set_title("I/H(y)", size=9)
    axes[0].axhline(len(report["top"]) - 0.5, color="w", lw=2)
    axes[0].set_xticks(range(len(factors)), factors, rotation=40, ha="right", size=8)
    names = [f"{level} {number}" for level in LEVELS for number in report[level]]
    axes[0].set_yticks(range(len(names)), names, size=8)
    axes[0].set_title("one latent, one factor")
    names = ("top", "bottom", "bottom given top", "top given bottom")
    bars(axes[1], {name: report["probe"][name] for name in names})
    axes[1].set(title="a level together (lower bound, by a linear probe)", ylabel="I/H(y)")
    axes[1].tick_params(axis="x", labelsize=8)
    axes[1].set_ylim(0, max(0.1, axes[1].get_ylim()[1]))
    axes[1].legend(fontsize=8)
    return save(figure, path)


def plot_openloop(path: Path, report: dict) -> Path:
    """Error over the horizon, a panel for each observation."""
    count = len(report["errors"])
    figure, axes = figure_of(1, count, (1.5 + 6 * count, 4.2), squeeze=False)
    for axis, (key, found) in zip(axes[0], report["errors"].items(), strict=True):
        for colour, (name, values) in enumerate(found.items()):
            values = np.array(values)
            x = np.arange(1, len(values) + 1)
            axis.plot(x, values[:, 0], color=f"C{colour}", label=name)
            axis.fill_between(x, values[:, 1], values[:, 2], color=f"C{colour}", alpha=0.2, lw=0)
        axis.axhline(report["mean"][key], color="0.5", ls=":", label="mean observation")
        axis.set(title=key, xlabel=f"steps after the first {report['context']} rows")
        axis.set(ylabel="squared error", ylim=(0, None))
        axis.grid(alpha=0.25)
    axes[0, 0].legend(fontsize=8)
    return save(figure, path)


def plot_pictures(path: Path, found: dict[str, np.ndarray]) -> Path:
    """A row for each entry, time from left to right."""
    rows = [
        np.concatenate(list(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=128)), 1)
        for x in found.values()
    ]
    figure, axis = figure_of(1, 1, (2.2 + len(found["real"]), 0.4 + len(found)))
    axis.imshow(np.concatenate(rows), interpolation="nearest")
    height = len(rows[0])
    axis.set_yticks((np.arange(len(rows)) + 0.5) * height - 0.5, list(found))
    axis.set_xticks([])
    axis.set_xlabel("time")
    axis.tick_params(length=0)
    return save(figure, path)
