"""A finished run as one picture and one page."""

import html
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from dreamkit import UserError, checkpoint, latents, video
from dreamkit.envs import make
from dreamkit.loggers import clock, read_jsonl

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222}}img{{max-width:100%}}table{{border-collapse:collapse}}td{{padding:.1rem 1rem .1rem 0;
vertical-align:top}}code{{background:#f3f3f3;padding:.1rem .3rem}}h1{{font-weight:600}}
summary{{cursor:pointer}}</style>
<h1>{title}</h1><p>{verdict}</p>
<p><img src="report.png" alt="return, losses, KL and a dream strip"></p>
{dream}
<h2>The run</h2><table>{facts}</table>
<details><summary>All options</summary><table>{options}</table></details></html>
"""


def write(folder: Path) -> Path:
    """report.html and report.png of a run folder, with the dream of its best agent.

    Returns the page. A run without a checkpoint that can dream gets the curves alone.
    """
    import yaml

    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    cfg = config["config"]
    train = read_jsonl(folder / "metrics.jsonl", "train")
    evals = read_jsonl(folder / "metrics.jsonl", "eval")
    views, context = {}, 5
    if (folder / "checkpoints" / "best.pt").exists():
        head = checkpoint.read(folder / "checkpoints" / "best.pt")
        env = make(**head["header"]["task"])
        agent = checkpoint.build_agent(head["header"], env)
        checkpoint.restore(agent, head, folder)
        with suppress(UserError):  # episodes too short to dream of
            views = video.dream(agent, lambda: make(**cfg["task"]), 50, context, cfg["seed"])
            video.write(folder / "dreams", views, context)
        with suppress(UserError):  # an agent that cannot tell
            latents.write(folder / "dreams", agent, lambda: make(**cfg["task"]), cfg["seed"])
    picture(folder / "report.png", cfg, train, evals, views, context)
    page = folder / "report.html"
    page.write_text(text(folder, cfg, config["overrides"], evals, views), encoding="utf-8")
    return page


def picture(path: Path, cfg: dict, train: list, evals: list, views: dict, context: int) -> None:
    """Return, losses, KL and entropy over steps; below, the dream strip, if there are images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    image = next((view for view in views.values() if view["real"].ndim == 4), None)
    figure = plt.figure(figsize=(12, 7.2 if image else 3.8))
    grid = figure.add_gridspec(2 if image else 1, 3, height_ratios=[1, 1.05] if image else [1])
    axes = [figure.add_subplot(grid[0, column]) for column in range(3)]
    plot_returns(axes[0], cfg, train, evals)
    names = sorted({name for row in train for name in row if name.startswith("loss/")})
    for number, name in enumerate(names):
        steps, values = series(train, name)
        if np.nanmax(np.abs(values), initial=0) > 0:
            axes[1].plot(
                steps, np.abs(values), label=name.removeprefix("loss/"), color=f"C{number}"
            )
    axes[1].set(title="losses (size)", yscale="log", xlabel="steps")
    for name, label in (("kl", "KL(posterior ‖ prior), nats"), ("entropy", "policy entropy, nats")):
        axes[2].plot(*series(train, name), label=label)
    axes[2].set(title="information", xlabel="steps")
    for axis in axes:
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize=7, ncols=2 if axis is axes[1] else 1)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    if image:
        axis = figure.add_subplot(grid[1, :])
        axis.imshow(video.strip(image, context), interpolation="nearest")
        height = image["real"].shape[-2] + 2
        axis.set_yticks(
            [height * (i + 0.5) for i in range(3)], ["real", "seen and\nredrawn", "dreamed"]
        )
        axis.set_xticks([])
        axis.spines[:].set_visible(False)
        axis.set_title(f"a dream: the third row has seen the first {context} frames alone", size=10)
    figure.suptitle(
        f"{cfg['agent_name']} ({cfg['size']}) on {cfg['task']['name']}, seed {cfg['seed']}"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def series(rows: list, name: str) -> tuple[list, np.ndarray]:
    """Steps and values of one metric."""
    rows = [row for row in rows if name in row]
    return [row["step"] for row in rows], np.array([row[name] for row in rows], float)


def plot_returns(axis, cfg: dict, train: list, evals: list) -> None:
    axis.plot(*series(train, "episode_return"), color="0.6", label="while training")
    steps, means = series(evals, "return")
    spread = series(evals, "std")[1]
    axis.plot(steps, means, "C0o-", markersize=3, label="evaluation, mean ± std")
    axis.fill_between(steps, means - spread, means + spread, color="C0", alpha=0.15)
    if cfg["goal"] is not None:
        axis.axhline(cfg["goal"], color="C2", linestyle=":", label=f"solved: {cfg['goal']:g}")
    axis.set(title="return", xlabel="steps")


def text(folder: Path, cfg: dict, overrides: list, evals: list, views: dict) -> str:
    """The page around the picture."""
    best = max(evals, key=lambda row: row["return"], default=None)
    verdict = "No evaluation was made."
    if best:
        solved = next(
            (r for r in evals if cfg["goal"] is not None and r["return"] >= cfg["goal"]), None
        )
        verdict = (
            f"Best evaluation: mean return {best['return']:.1f} ± {best['std']:.1f} over "
            f"{best['episodes']} episodes, at step {best['step']:,}."
        )
        if solved:
            verdict += (
                f" Solved (≥ {cfg['goal']:g}) after {solved['step']:,} steps "
                f"and {clock(solved['seconds'])} minutes."
            )
    gifs = [f"dreams/dream_{key}.gif" for key, view in views.items() if view["real"].ndim == 4]
    dream = "".join(
        f'<p><img src="{gif}" alt="dream"><br>Real, reconstruction, imagination.</p>'
        for gif in gifs
    )
    if views:
        dream += '<p><img src="dreams/dream_signals.png" alt="signals"></p>'
    if (folder / "dreams" / "latents.png").exists():
        dream += '<p><img src="dreams/latents.png" alt="KL and use of the latents"></p>'
    manifest = json.loads((folder / "manifest.jsonl").read_text().splitlines()[-1])
    facts = {"again": "dreamer-train " + " ".join(overrides)} | manifest
    return PAGE.format(
        title=html.escape(f"{cfg['agent_name']} on {cfg['task']['name']}"),
        verdict=verdict, dream=dream, facts=rows(facts), options=rows(flat(cfg)),
    )  # fmt: skip


def rows(table: dict) -> str:
    cells = ((html.escape(str(k)), html.escape(str(v))) for k, v in table.items())
    return "".join(f"<tr><td>{key}</td><td><code>{value}</code></td></tr>" for key, value in cells)


def flat(tree: dict, prefix: str = "") -> dict:
    """{"agent": {"lr": 1}} → {"agent.lr": 1}"""
    result = {}
    for key, value in tree.items():
        inner = isinstance(value, dict)
        result |= flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return result
