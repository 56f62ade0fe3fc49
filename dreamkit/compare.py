"""dreamer-compare: runs of several seeds, agents or options → one table and one picture.

Statistics: Agarwal et al. 2021, arXiv:2108.13264 (interquartile mean, stratified bootstrap).
"""

import json
from glob import glob
from pathlib import Path

import numpy as np

from dreamkit import UserError
from dreamkit.loggers import clock, read_jsonl

RESAMPLES = 2000
POINTS = 200  # of a curve


def iqm(scores: np.ndarray) -> float:
    """Mean without the lowest and highest quarter; with fewer than four scores, of all."""
    ordered = np.sort(scores)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def interval(strata: list[np.ndarray], statistic, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of a statistic of all scores, resampled within each stratum.

    strata      scores of one task each; with a single run there is no interval, and both ends are
                the score itself
    """
    rng = np.random.default_rng(seed)
    values = [
        statistic(np.concatenate([rng.choice(x, len(x)) for x in strata])) for _ in range(RESAMPLES)
    ]
    return tuple(float(x) for x in np.percentile(values, [2.5, 97.5]))


def read(folder: Path) -> dict:
    """A run: its task, its label if none is given, and its evaluations."""
    import yaml

    try:
        content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        cfg, overrides = content["config"], content["overrides"]
        evals = read_jsonl(folder / "metrics.jsonl", "eval")
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        raise UserError(f"{folder} is not a run folder") from None
    if not evals:
        raise UserError(f"{folder} has no evaluation yet")
    skip = ("seed=", "run=", "agent=", "size=", "task=", "steps=", "until=", "threads=", "device=")
    rest = sorted(item for item in overrides if not item.startswith(skip))
    return {
        "folder": folder,
        "task": cfg["task"]["name"],
        "label": " ".join([f"{cfg['agent_name']} ({cfg['size']})", *rest]),
        "steps": np.array([row["step"] for row in evals], float),
        "seconds": np.array([row["seconds"] for row in evals], float),
        "returns": np.array([row["return"] for row in evals], float),
    }


def collect(words: list[str]) -> dict[str, list[dict]]:
    """{label: runs} of `PATTERN` or `LABEL=PATTERN`. Errors: UserError, nothing is found."""
    groups: dict[str, list[dict]] = {}
    for word in words:
        label, mark, pattern = word.partition("=")
        pattern = pattern if mark else word
        folders = sorted(Path(x) for x in glob(pattern) if Path(x, "config.yaml").exists())
        if not folders:
            raise UserError(f"no run folder is named {pattern}")
        for folder in folders:
            run = read(folder)
            groups.setdefault(label if mark else run["label"], []).append(run)
    return groups


def final(run: dict, last: int) -> float:
    """What a run reached: the mean of its last evaluations."""
    return float(run["returns"][-last:].mean())


def table(groups: dict[str, list[dict]], last: int) -> list[dict]:
    """A row for each group: runs, final return, its mean, IQM and interval, steps and time.

    With several tasks the scores are scaled, for each task, from the lowest (0) to the highest (1)
    score of all runs that are compared.
    """
    runs = [run for group in groups.values() for run in group]
    tasks = sorted({run["task"] for run in runs})
    scale = {}
    for task in tasks:
        scores = [final(run, last) for run in runs if run["task"] == task]
        low, high = min(scores), max(scores)
        scale[task] = (low, high - low or 1.0) if len(tasks) > 1 else (0.0, 1.0)
    rows = []
    for label, group in groups.items():
        strata = []
        for task in sorted({run["task"] for run in group}):
            low, width = scale[task]
            scores = [final(run, last) for run in group if run["task"] == task]
            strata.append((np.array(scores) - low) / width)
        scores = np.concatenate(strata)
        rows.append(
            {
                "group": label, "runs": len(group), "tasks": len(strata),
                "mean": float(scores.mean()), "iqm": iqm(scores),
                "mean_interval": interval(strata, np.mean),
                "iqm_interval": interval(strata, iqm),
                "steps": float(np.median([run["steps"][-1] for run in group])),
                "seconds": float(np.median([run["seconds"][-1] for run in group])),
            }
        )  # fmt: skip
    return rows


def markdown(rows: list[dict], last: int) -> str:
    """The table as a page."""
    lines = [
        f"Return: mean of the last {last} evaluations of each run. Brackets: 95 % interval of a",
        f"bootstrap over runs ({RESAMPLES:,} resamples, within tasks).",
        "",
        "| group | runs | mean | IQM | steps | time |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        mean, middle = (
            f"{row[key]:.3g} [{row[f'{key}_interval'][0]:.3g}, {row[f'{key}_interval'][1]:.3g}]"
            for key in ("mean", "iqm")
        )
        lines.append(
            f"| {row['group']} | {row['runs']} | {mean} | {middle} | {row['steps']:,.0f} "
            f"| {clock(row['seconds'])} |"
        )
    return "\n".join(lines) + "\n"


def curve(group: list[dict], axis: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean return and its interval over steps or seconds, as far as all runs of a group go."""
    start = max(run[axis][0] for run in group)
    places = np.linspace(start, min(run[axis][-1] for run in group), POINTS)
    lines = np.array([np.interp(places, run[axis], run["returns"]) for run in group])
    picks = np.random.default_rng(0).integers(len(group), size=(500, len(group)))
    low, high = np.percentile(lines[picks].mean(1), [2.5, 97.5], axis=0)
    return places, lines.mean(0), low, high


def plot(path: Path, groups: dict[str, list[dict]]) -> None:
    """Every run as a thin line, every group as its mean and interval; a row for each task."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = sorted({run["task"] for group in groups.values() for run in group})
    figure, axes = plt.subplots(
        len(tasks), 2, figsize=(11, 3.8 * len(tasks)), squeeze=False, sharey="row"
    )
    for number, task in enumerate(tasks):
        for axis, key in zip(axes[number], ("steps", "seconds"), strict=True):
            for colour, (label, group) in enumerate(groups.items()):
                runs = [run for run in group if run["task"] == task]
                if not runs:
                    continue
                for run in runs:
                    axis.plot(run[key], run["returns"], color=f"C{colour}", alpha=0.3, lw=0.8)
                places, mean, low, high = curve(runs, key)
                axis.plot(places, mean, color=f"C{colour}", label=f"{label}, {len(runs)} runs")
                axis.fill_between(places, low, high, color=f"C{colour}", alpha=0.2, lw=0)
            axis.set_xlabel(key)
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        axes[number, 0].set(ylabel="evaluation return", title=task)
        axes[number, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(words: list[str], out: Path, last: int) -> int:
    """Write compare.md, compare.json and compare.png; print the table."""
    groups = collect(words)
    rows = table(groups, last)
    out.mkdir(parents=True, exist_ok=True)
    page = markdown(rows, last)
    (out / "compare.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    plot(out / "compare.png", groups)
    (out / "compare.md").write_text(page + "\n![curves](compare.png)\n", encoding="utf-8")
    print(page)
    print(f"{out / 'compare.png'}\n{out / 'compare.md'}")
    return 0
