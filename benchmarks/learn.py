"""Train one task with several seeds, and publish time, steps and return of each.

    python -m benchmarks.learn task=cartpole_pixels seeds=10 [parallel=2] [out=docs/results]
                               [runs=runs/learn] [key=value for dreamer-train ...]
    python -m benchmarks.learn task=cartpole seeds=3 agent=dreamerv3,sheeprl_tiny,ppo
                               [ppo.minutes=8] [sheeprl_tiny.steps=20000 ...]

Every seed is one `dreamer-train task=… seed=… until=GOAL threads=1`, `parallel` of them side by
side; a seed that is done is not run again. The best checkpoint of each then plays 100 fresh
episodes, because the first evaluation over the goal flatters a noisy curve. Writes
OUT/TASK.json and OUT/TASK.png, with the agent's name before them if it is not dreamerv3.

Several agents take turns, seed by seed, and share OUT/TASK-rivals.json, a picture and a table.
Agents of other libraries are in benchmarks/rivals.py; NAME.KEY=VALUE is for the agent NAME alone.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import rivals
from dreamkit import UserError
from dreamkit.cli import command
from dreamkit.config import resolve
from dreamkit.loggers import read_jsonl

TRAIN = [sys.executable, "-c", "from dreamkit.cli import train; train()"]
RIVAL = [sys.executable, "-m", "benchmarks.rivals"]


def options_of(agent: str, agents: list[str], extra: list[str]) -> list[str]:
    """What of the command line is for this agent: `NAME.KEY=VALUE` is for NAME alone.

    A rival takes of the options without a name those of the task and of the evaluation.
    """
    options = []
    for item in extra:
        name, _, rest = item.partition(".")
        if name == agent:
            options.append(rest)
        elif name not in agents:
            ours = agent not in rivals.LIBRARIES
            options += [item] if ours or item.startswith(("task.", "eval_")) else []
    return options


def program(agent: str, task: str, seed: int, goal: float, options: list[str]) -> list[str]:
    """The command that trains one seed of an agent; the folder of the run comes last."""
    start = [*RIVAL, agent] if agent in rivals.LIBRARIES else [*TRAIN, f"agent={agent}"]
    return [*start, f"task={task}", f"seed={seed}", f"until={goal}", "threads=1", *options]


def run_name(agent: str, task: str) -> str:
    """What the files of an agent on a task are called."""
    return task if agent == "dreamerv3" else f"{agent}-{task}"


def train_seed(folder: Path, command: list[str]) -> None:
    """Train one run, in a process of its own; a run that is done stays as it is."""
    if not any((folder / name).exists() for name in ("report.html", rivals.RESULT)):
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "log.txt", "w") as log:
            code = subprocess.run([*command, f"run={folder}"], stdout=log, stderr=log)
        if code.returncode:
            raise UserError(f"{folder} ended with code {code.returncode}: see {folder}/log.txt")


def play_again(folder: Path, episodes: int = 100) -> float:
    """Mean return of the best checkpoint over episodes that it was not chosen by."""
    if (folder / rivals.RESULT).exists():  # a rival has played them itself
        return json.loads((folder / rivals.RESULT).read_text())["fresh_100_episodes"]
    import torch

    from dreamkit import checkpoint, make
    from dreamkit.collect import evaluate

    torch.set_num_threads(1)

    state = checkpoint.read(folder)
    task = state["header"]["task"]
    agent = checkpoint.build_agent(state["header"], make(**task))
    checkpoint.restore(agent, state, folder)
    return float(np.mean(evaluate(agent, lambda: make(**task), episodes, rivals.FRESH)["scores"]))


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


def plot(path: Path, title: str, goal: float, episodes: int, agents: dict[str, list]) -> None:
    """Evaluation curves of all seeds, over steps and over time; of several agents, in colours."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    several = len(agents) > 1
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
    for axis, column, label in zip(axes, (0, 1), ("steps", "seconds"), strict=True):
        for place, (agent, seeds) in enumerate(agents.items()):
            for number, seed in enumerate(seeds):
                curve = np.array(seed["curve"], float)
                axis.plot(
                    curve[:, column], curve[:, 2], "o-", markersize=3,
                    color=f"C{place if several else number}",
                    label=(None if number else agent) if several else f"seed {number}",
                )  # fmt: skip
        axis.axhline(goal, color="0.4", linestyle=":")
        axis.set_xlabel(label)
        if several:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:,.6g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(f"evaluation return, mean of {episodes} episodes")
    axes[0].legend(fontsize=7, ncols=1 if several else 2)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def spread(values: list[float], digits: int = 0) -> str:
    """median (least to most)"""
    middle, low, high = (f"{f(values):,.{digits}f}" for f in (np.median, min, max))
    return f"{middle} ({low} to {high})"


def table(agents: dict[str, list]) -> str:
    """One line of Markdown for every agent. Where no seed was solved: after how much."""
    lines = ["| agent | seeds solved | steps | seconds | best evaluation | 100 fresh episodes |"]
    lines.append("|---" * 6 + "|")
    for agent, seeds in agents.items():
        solved = [seed for seed in seeds if seed["solved"]]
        cells = [agent, f"{len(solved)} of {len(seeds)}"]
        for place, key in enumerate(("steps", "seconds")):
            found = [seed[key] for seed in solved]
            last = max(seed["curve"][-1][place] for seed in seeds)
            digits = int(key == "seconds" and min(found, default=10) < 10)
            cells.append(spread(found, digits) if solved else f"none in {last:,.0f}")
        cells += [spread([s[key] for s in seeds], 1) for key in ("best", "fresh_100_episodes")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def read_run(folder: Path, goal: float) -> dict:
    """The summary of a run that is done."""
    return summarise(read_jsonl(folder / "metrics.jsonl", "eval"), play_again(folder), goal)


def about(folders: dict[str, Path]) -> dict:
    """{rival: its library's version and its settings}, from one run of each."""
    found = {agent: folder / rivals.RESULT for agent, folder in folders.items()}
    results = {agent: json.loads(x.read_text()) for agent, x in found.items() if x.exists()}
    keys = ("library", "settings")
    return {agent: {key: result[key] for key in keys} for agent, result in results.items()}


def check(task: str, agents: list[str], own: dict, extra: list[str]) -> tuple[dict, float]:
    """The configuration that names goal and evaluation, and the goal.

    It is the first of our agents'; dreamerv3's, where rivals are alone.
    errors   UserError: an agent, a library or an option is not there; a task without a goal
    """
    for agent in agents:
        if agent in rivals.LIBRARIES:
            rivals.need(agent)
    given = {agent: own[agent] for agent in agents if agent not in rivals.LIBRARIES}
    given = given or {"dreamerv3": options_of("dreamerv3", agents, extra)}
    cfgs = [resolve([f"task={task}", f"agent={agent}", *given[agent]]) for agent in given]
    if cfgs[0]["goal"] is None:
        raise UserError(f"task={task} has no goal: name one with goal=NUMBER")
    return cfgs[0], cfgs[0]["goal"]


def measure(arguments: list[str]) -> int:
    """The command."""
    options = dict(task="cartpole_pixels", seeds="10", parallel="2", out="docs/results")
    options |= dict(runs="runs/learn", agent="dreamerv3")
    extra = []
    for item in arguments:
        key, _, value = item.partition("=")
        if key in options:
            options[key] = value
        else:
            extra.append(item)
    task, agents = options["task"], options["agent"].split(",")
    own = {agent: options_of(agent, agents, extra) for agent in agents}
    cfg, goal = check(task, agents, own, extra)
    jobs = {
        (agent, seed): (
            Path(options["runs"]) / f"{run_name(agent, task)}-{seed}",
            program(agent, task, seed, goal, own[agent]),
        )
        for seed in range(int(options["seeds"]))
        for agent in agents
    }
    with ThreadPoolExecutor(int(options["parallel"])) as pool:
        list(pool.map(lambda job: train_seed(*job), jobs.values()))
    runs = {agent: [] for agent in agents}
    for (agent, _), (folder, _) in jobs.items():
        runs[agent].append(read_run(folder, goal))
    said = [item for item in arguments if item.partition("=")[0] not in ("out", "runs")]
    content = {"command": " ".join(["python -m benchmarks.learn", *said]), "goal": goal}
    if len(agents) == 1:
        name, content["seeds"] = run_name(agents[0], task), runs[agents[0]]
        who = f"{agents[0]} ({cfg['size']})" if agents[0] == cfg["agent_name"] else agents[0]
    else:
        name, who, content["agents"] = f"{task}-rivals", ", ".join(agents), runs
    if others := about({agent: jobs[agent, 0][0] for agent in agents}):
        content["rivals"] = others
    out = Path(options["out"])
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    plot(out / f"{name}.png", f"{who} on {task}", goal, cfg["eval_episodes"], runs)
    for agent in agents:
        for number, run in enumerate(runs[agent]):
            print(f"{agent}, seed {number}:", {key: run[key] for key in run if key != "curve"})
    print(table(runs))
    return 0


if __name__ == "__main__":
    command(measure)()
