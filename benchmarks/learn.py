"""Train one task with several seeds, and publish time, steps and return of each.

    python -m benchmarks.learn task=cartpole_pixels seeds=10 [parallel=2] [out=docs/results]
                               [runs=runs/learn] [key=value for dreamer-train ...]

Every seed is one `dreamer-train task=… seed=… until=GOAL threads=1`, `parallel` of them side by
side; a seed that is done is not run again. The best checkpoint of each then plays 100 fresh
episodes, because the first evaluation over the goal flatters a noisy curve. Writes
OUT/TASK.json and OUT/TASK.png, with the agent's name before them if it is not dreamerv3.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dreamkit import UserError
from dreamkit.cli import command
from dreamkit.config import resolve
from dreamkit.loggers import read_jsonl

TRAIN = [sys.executable, "-c", "from dreamkit.cli import train; train()"]


def train_seed(folder: Path, overrides: list[str]) -> None:
    """Train one run, in a process of its own; a run that is done stays as it is."""
    if not (folder / "report.html").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "log.txt", "w") as log:
            code = subprocess.run([*TRAIN, *overrides, f"run={folder}"], stdout=log, stderr=log)
        if code.returncode:
            raise UserError(f"{folder} ended with code {code.returncode}: see {folder}/log.txt")


def play_again(folder: Path, episodes: int = 100) -> float:
    """Mean return of the best checkpoint over episodes that it was not chosen by."""
    import torch

    from dreamkit import checkpoint, make
    from dreamkit.collect import evaluate

    torch.set_num_threads(1)

    state = checkpoint.read(folder)
    task = state["header"]["task"]
    agent = checkpoint.build_agent(state["header"], make(**task))
    checkpoint.restore(agent, state, folder)
    return float(np.mean(evaluate(agent, lambda: make(**task), episodes, seed=77)["scores"]))


def summarise(evals: list[dict], fresh: float, goal: float) -> dict:
    """When a run first reached the goal, and what its best agent does afterwards."""
    solved = next((row for row in evals if row["return"] >= goal), None)
    return {
        "solved": solved is not None,
        "steps": solved["step"] if solved else None,
        "seconds": solved["seconds"] if solved else None,
        "best": max(row["return"] for row in evals),
        "fresh_100_episodes": float(f"{fresh:.4g}"),
        "curve": [[row["step"], row["seconds"], float(f"{row['return']:.4g}")] for row in evals],
    }


def plot(path: Path, title: str, goal: float, episodes: int, seeds: list[dict]) -> None:
    """Evaluation curves of all seeds, over steps and over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
    for axis, column, label in zip(axes, (0, 1), ("steps", "seconds"), strict=True):
        for number, seed in enumerate(seeds):
            curve = np.array(seed["curve"], float)
            axis.plot(curve[:, column], curve[:, 2], "o-", markersize=3, label=f"seed {number}")
        axis.axhline(goal, color="0.4", linestyle=":")
        axis.set_xlabel(label)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(f"evaluation return, mean of {episodes} episodes")
    axes[0].legend(fontsize=7, ncols=2)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def measure(arguments: list[str]) -> int:
    """The command."""
    options = dict(task="cartpole_pixels", seeds="10", parallel="2", out="docs/results")
    options["runs"] = "runs/learn"
    extra = []
    for item in arguments:
        key, _, value = item.partition("=")
        if key in options:
            options[key] = value
        else:
            extra.append(item)
    task, out = options["task"], Path(options["out"])
    cfg = resolve([f"task={task}", *extra])
    agent, goal = cfg["agent_name"], cfg["goal"]
    name = task if agent == "dreamerv3" else f"{agent}-{task}"
    if goal is None:
        raise UserError(f"task={task} has no goal: name one with goal=NUMBER")
    jobs = [
        (
            Path(options["runs"]) / f"{name}-{seed}",
            [f"task={task}", f"seed={seed}", f"until={goal}", "threads=1", *extra],
        )
        for seed in range(int(options["seeds"]))
    ]
    with ThreadPoolExecutor(int(options["parallel"])) as pool:
        list(pool.map(lambda job: train_seed(*job), jobs))
    evals = [read_jsonl(folder / "metrics.jsonl", "eval") for folder, _ in jobs]
    fresh = [play_again(folder) for folder, _ in jobs]
    seeds = [summarise(*both, goal) for both in zip(evals, fresh, strict=True)]
    out.mkdir(parents=True, exist_ok=True)
    said = [item for item in arguments if item.partition("=")[0] not in ("out", "runs")]
    line = " ".join(["python -m benchmarks.learn", *said])
    content = {"command": line, "goal": goal, "seeds": seeds}
    (out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    title = f"{agent} ({cfg['size']}) on {task}"
    plot(out / f"{name}.png", title, goal, cfg["eval_episodes"], seeds)
    for number, seed in enumerate(seeds):
        print(f"seed {number}:", {key: seed[key] for key in seed if key != "curve"})
    solved = [seed for seed in seeds if seed["solved"]]
    if solved:
        steps, seconds = (np.median([s[key] for s in solved]) for key in ("steps", "seconds"))
        print(f"solved {len(solved)}/{len(seeds)}; median {steps:.0f} steps, {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    command(measure)()
