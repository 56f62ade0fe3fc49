"""A flat DreamerV3 and an hDreamer, trained beside each other over seeds → one page.

    python -m solutions.paper4_hdreamer.compare [task=gridworld] [steps=10000] [seeds=2]
           [models=flat,levels,matched] [scale=tiny|large] [parallel=2] [episodes=40]
           [out=docs/results/hdreamer] [runs=runs/hdreamer] [key=value for dreamer-train ...]

flat      DreamerV3 with the latents of both levels in one (tiny: 12×32, large: 32×32)
levels    hDreamer (tiny: 4×32 above 8×32; large: 16×32 above 16×32)
matched   flat, and as wide in its RSSM as it takes to have the parameters of `levels`

Defaults are the quick comparison; `steps=200000 seeds=5` is the full one. The same command again
goes on where it was interrupted. Every seed is one `dreamer-train agent=hdreamer`; then its last
agent is probed on held-out episodes (`analyse probes`), if the task says its factors.

Writes OUT/TASK.md, .json and .png. The verdict may be "no difference".
"""

import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from solutions.paper4_hdreamer.train import SIZES, Agent, Config

TRAIN = [sys.executable, "-c", "from dreamkit.cli import train; train()"]
MODELS = ("flat", "levels", "matched")
SCALES = {
    "tiny": {"flat": "tiny_dreamerv3", "levels": "tiny_hdreamer"},
    "large": {"flat": "defaults", "levels": "hdreamer"},
}
LEVELS = ("top", "bottom")
ENOUGH = 5  # seeds: a bootstrap over fewer has intervals that are too narrow
REPEATS = 9  # updates that are timed
LAST = 3  # evaluations that count as what a run reached
CODE = "solutions" if __package__.startswith("solutions") else "mine"


# --- the models -----------------------------------------------------------------------------------


def parameters(config: Config, spaces: tuple) -> int:
    """Trained parameters of an agent, without allocating them."""
    with torch.device("meta"):
        agent = Agent(*spaces, config, "meta")
    return sum(parameter.numel() for parameter in agent.parameters)


def matched_width(flat: Config, wanted: int, spaces: tuple) -> int:
    """Hidden units of the RSSM with which a flat agent has most nearly `wanted` parameters."""
    low, high = flat.hidden, 16 * flat.hidden
    while low < high:  # the first width that has at least as many
        middle = (low + high) // 2
        enough = parameters(replace(flat, hidden=middle), spaces) >= wanted
        low, high = (low, middle) if enough else (middle + 1, high)
    counts = {w: parameters(replace(flat, hidden=w), spaces) for w in (low - 1, low)}
    return min(counts, key=lambda width: abs(counts[width] - wanted))


def options_of(cfg: dict, spaces: tuple, scale: str) -> dict[str, list[str]]:
    """{model: what makes it, for dreamer-train}.

    cfg   resolved configuration of the task with the flat size
    """
    sizes = SCALES[scale]
    flat = Config(**cfg["agent"])
    levels = replace(flat, n_top=SIZES[sizes["levels"]]["n_top"])
    width = matched_width(flat, parameters(levels, spaces), spaces)
    return {
        "flat": [f"size={sizes['flat']}"],
        "levels": [f"size={sizes['levels']}"],
        "matched": [f"size={sizes['flat']}", f"agent.hidden={width}"],
    }


# --- running --------------------------------------------------------------------------------------


def done(folder: Path, cfg: dict) -> bool:
    """Whether a run has all of its steps.

    errors   UserError, where the folder holds a run with other settings: it cannot be compared
    """
    import yaml

    from dreamkit import UserError, compare

    if not (folder / "report.html").exists():
        return False
    kept = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["config"]
    for key in cfg.keys() - {"steps", "run", "threads", "device"}:
        if kept.get(key) != cfg[key]:
            raise UserError(f"{folder} was made with another {key}: take another runs=FOLDER")
    return compare.read(folder)["steps"][-1] >= cfg["steps"]


def train_one(folder: Path, command: list[str], cfg: dict) -> None:
    """Train a run in a process of its own, or go on with it; one that is done stays as it is."""
    from dreamkit import UserError

    if done(folder, cfg):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "log.txt", "a") as log:
        code = subprocess.run([*command, f"run={folder}"], stdout=log, stderr=log).returncode
    if code:
        raise UserError(f"{folder} ended with code {code}: see {folder}/log.txt")
    print(f"trained {folder}", flush=True)


def probe_one(folder: Path, n_top: int, episodes: int) -> dict | None:
    """What the levels of a run's last agent know; None where the task does not say its factors.

    The answer is kept in the folder of the run.
    """
    from dreamkit import checkpoint, make
    from solutions.paper4_hdreamer.analyse import probe

    state = checkpoint.read(folder / "checkpoints" / "latest.pt")
    kept = folder / "analysis" / f"probes-{episodes}-{state['trainer']['step']}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    task = state["header"]["task"]
    env = make(**task)
    if not hasattr(env.unwrapped, "factors"):
        return None
    agent = checkpoint.build_agent(state["header"], env)
    checkpoint.restore(agent, state, folder)
    found = probe(agent, lambda: make(**task), episodes, seed=0, n_top=n_top)
    kept.parent.mkdir(exist_ok=True)
    found = {"index": found["index"], "r2": {"posterior": found["r2"]["posterior"]}}
    kept.write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(f"probed {folder}", flush=True)
    return found


def update_times(configs: dict[str, Config], spaces: tuple, device: str) -> dict[str, float]:
    """Median milliseconds of an update of each model, timed in turns, on random rows."""
    from dreamkit.speed import accelerate, keep_memory

    keep_memory()
    agents = {name: Agent(*spaces, config, device) for name, config in configs.items()}
    for agent in agents.values():
        accelerate(agent)
    times = {name: [] for name in agents}
    for turn in range(REPEATS + 2):
        for name, agent in agents.items():
            batch = random_rows(agent, *spaces)
            start = time.perf_counter()
            metrics, _ = agent.train_step(batch)
            float(metrics["grad_norm"])  # a GPU is done then
            if turn > 1:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def random_rows(agent: Agent, obs_space: dict, action_space) -> dict[str, np.ndarray]:
    """A batch as the replay gives it, of noise."""
    c, random = agent.config, np.random.default_rng(0)
    size = (c.batch_size, c.batch_length)
    rows = {
        key: random.integers(0, 256, (*size, *space.shape), np.uint8)
        if len(space.shape) == 3
        else random.normal(size=(*size, *space.shape)).astype(np.float32)
        for key, space in obs_space.items()
    }
    never = np.zeros(size, bool)
    taken = random.integers(agent.actions, size=size)
    return rows | {
        "action": np.eye(agent.actions, dtype=np.float32)[taken],
        "reward": random.normal(size=size).astype(np.float32),
        "is_first": never, "is_last": never, "is_terminal": never,
        "h": np.zeros((c.batch_size, c.deter), np.float16),
        "z": np.zeros((c.batch_size, c.stoch), np.uint8),
    }  # fmt: skip


# --- the page -------------------------------------------------------------------------------------


def summary(folder: Path) -> dict:
    """What a run came to: return, and means of the last tenth of its log."""
    from dreamkit import compare
    from dreamkit.loggers import read_jsonl

    run = compare.read(folder)
    rows = read_jsonl(folder / "metrics.jsonl", "train")
    rows = rows[-max(1, len(rows) // 10) :]
    wanted = ("loss/", "kl", "active_", "switch_", "code_", "gate", "delta_rel", "grad", "clip")
    means = {
        key: float(np.mean([row[key] for row in rows]))
        for key in rows[-1]
        if key.startswith(wanted)
    }
    curve = np.stack([run["steps"], run["seconds"], run["returns"]], 1).tolist()
    return {"return": compare.final(run, LAST), "curve": curve} | means


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean over seeds, and the 95 % interval of a bootstrap over them."""
    from dreamkit import compare

    return float(np.mean(values)), *compare.interval([np.array(values)], np.mean)


def difference(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Mean difference, and the 95 % interval of a bootstrap over the seeds of both."""
    random = np.random.default_rng(0)
    draws = [
        np.array(x)[random.integers(len(x), size=(10_000, len(x)))].mean(1) for x in (ours, theirs)
    ]
    low, high = np.percentile(draws[0] - draws[1], [2.5, 97.5])
    return float(np.mean(ours) - np.mean(theirs)), float(low), float(high)


def shown(found: tuple[float, float, float], digits: int = 2) -> str:
    """mean [low, high]"""
    middle, low, high = (f"{x:.{digits}f}" for x in found)
    return f"{middle} [{low}, {high}]"


def sentence(
    what: str, found: tuple[float, float, float], other: str, seeds: int, digits: int = 2
) -> str:
    """A verdict in words on one difference."""
    if found[1] <= 0 <= found[2]:
        return f"{what}: no difference was found from {other} ({shown(found, digits)})."
    word = "higher than" if found[1] > 0 else "lower than"
    few = f" in these {seeds} seeds, too few for a claim" if seeds < ENOUGH else ""
    return f"{what}: {word} {other}{few}, by {shown(found, digits)}."


def factorisation(model: dict) -> list[float]:
    """The factorisation index of every seed; empty where nothing was probed.

    What latents that are dealt out at random have is taken away: a larger level knows more of
    everything, which alone can make the index positive.
    """
    found = [run["probes"]["index"] for run in model["runs"] if run["probes"]]
    return [index["posterior above dealt"][0] for index in found]


def verdict(found: dict[str, dict]) -> list[str]:
    """What the runs say of the three hypotheses, a sentence each."""
    returns = {name: [run["return"] for run in model["runs"]] for name, model in found.items()}
    seeds = min(len(scores) for scores in returns.values())
    levels, said = found["levels"], []
    for other in ("flat", "matched"):
        if other in found:
            gap = difference(returns["levels"], returns[other])
            said.append(sentence("Return of two levels", gap, f"`{other}`", seeds))
            ratio = levels["update_ms"] / found[other]["update_ms"]
            said.append(f"An update of two levels takes {ratio:.2f} times as long as `{other}`'s.")
    index = factorisation(levels)
    if index and "flat" in found:
        what = "Factorisation index of two levels (own state above, the world below)"
        gap = difference(index, factorisation(found["flat"]))
        said.append(sentence(what, gap, "`flat`'s latents dealt out at random", seeds, 3))
    if seeds < ENOUGH:
        said.append(
            f"These are {seeds} seeds: a bootstrap over so few gives intervals that are too "
            "narrow, and small effects cannot show."
        )
    return said


def table(found: dict[str, dict]) -> str:
    """The models side by side, as Markdown."""

    def spread(model: dict, value, digits: int = 2) -> str:
        return shown(interval([value(run) for run in model["runs"]]), digits)

    def error(model: dict) -> str:
        return spread(model, lambda run: sum(run[key] for key in model["reconstruction"]))

    def gate(model: dict) -> str:
        return spread(model, lambda run: run["gate_g"]) if "gate_g" in model["runs"][0] else ""

    def index(model: dict) -> str:
        return shown(interval(factorisation(model)), 3) if factorisation(model) else ""

    rows = {
        "parameters": lambda m: f"{m['parameters']:,}",
        "milliseconds an update, median": lambda m: f"{m['update_ms']:.0f}",
        f"return, last {LAST} evaluations": lambda m: spread(m, lambda run: run["return"]),
        "error of the reconstruction": error,
        "KL, nats": lambda m: spread(m, lambda run: run["kl"]),
        "KL of top and bottom": lambda m: per_level(m, "kl_{}"),
        "share of latents that switch a step": lambda m: per_level(m, "switch_rate_{}"),
        "classes in use": lambda m: per_level(m, "code_perplexity_{}", 1),
        "gate of the residual, 1 at first": gate,
        "factorisation index": index,
    }
    lines = [f"| | {' | '.join(f'`{name}`' for name in found)} |", "|---" * (len(found) + 1) + "|"]
    lines += [
        f"| {what} | {' | '.join(cell(model) for model in found.values())} |"
        for what, cell in rows.items()
    ]
    return "\n".join(lines)


def probe_table(found: dict[str, dict]) -> str:
    """R² of each level's probe for each factor, the mean over the seeds; empty without probes."""
    lines = []
    for name, model in found.items():
        scores = [run["probes"]["r2"]["posterior"] for run in model["runs"] if run["probes"]]
        for part in ("h", *LEVELS) if scores else ():
            factors = scores[0][part]
            means = [np.mean([score[part][factor][0] for score in scores]) for factor in factors]
            if not lines:
                lines = [
                    f"| R² of a probe | {' | '.join(factors)} |",
                    "|---" * (len(factors) + 1) + "|",
                ]
            lines.append(f"| `{name}`: {part} | {' | '.join(f'{x:.2f}' for x in means)} |")
    return "\n".join(lines)


def per_level(model: dict, key: str, digits: int = 2) -> str:
    """Means over the seeds of a number of both levels; empty for a flat model."""
    runs = [run for run in model["runs"] if key.format("top") in run]
    means = [np.mean([run[key.format(level)] for run in runs]) for level in LEVELS if runs]
    return " and ".join(f"{x:.{digits}f}" for x in means)


PAGE = """# Two levels beside one: {task}

    {command}

{steps:,} steps, {seeds} seeds a model, the same seeds for all. Brackets: 95 % interval of a
bootstrap over seeds.

{verdict}

{table}

{probes}

![curves]({file}.png)

`flat`: DreamerV3, its latents in one level. `levels`: hDreamer, the same latents in two. `matched`:
flat with a wider RSSM, so that it has the parameters of `levels`. The error is the decoder's scaled
squared error in the last tenth of training. The factorisation index is positive where a linear
probe finds the agent's own state in the top level rather than in the bottom, and the rest of the
world in the bottom rather than in the top. Of it is taken what the same latents have when they are
dealt out at random to two groups of these sizes; a flat model's levels are such groups themselves.
Speed is in the milliseconds, which are measured in turns; the curves over seconds show whatever
else the machine did.
"""


def page(task: str, file: str, command: str, found: dict[str, dict], steps: int) -> str:
    """What the comparison found, as Markdown."""
    said = verdict(found) if "levels" in found else []
    return PAGE.format(
        task=task, file=file, command=command, steps=steps, table=table(found),
        seeds=len(next(iter(found.values()))["runs"]),
        verdict="\n".join(f"- {line}" for line in said), probes=probe_table(found),
    )  # fmt: skip


def plot(path: Path, task: str, found: dict[str, dict]) -> None:
    """Evaluation return of every seed, and the mean of each model with its interval."""
    from dreamkit import compare

    groups = {name: [] for name in found}
    for name, model in found.items():
        for run in model["runs"]:
            steps, seconds, returns = np.array(run["curve"]).T
            line = {"task": task, "steps": steps, "seconds": seconds, "returns": returns}
            groups[name].append(line)
    compare.plot(path, groups)


# --- the command ----------------------------------------------------------------------------------


def parse(arguments: list[str]) -> tuple[dict, list[str]]:
    """(options, what is for dreamer-train). Errors: UserError."""
    from dreamkit import UserError

    options = dict(task="gridworld", steps=10_000, seeds=2, parallel=2, episodes=40)
    options |= dict(models=",".join(MODELS), scale="tiny", out="docs/results/hdreamer")
    options |= dict(runs="runs/hdreamer")
    extra = []
    for item in arguments:
        key, mark, value = item.partition("=")
        if key not in options:
            extra.append(item)
            continue
        try:
            options[key] = type(options[key])(value)
        except ValueError:
            raise UserError(f"{item} is not a number") from None
    decided = ("agent=", "size=", "seed=", "agent.n_top=", "agent.hidden=", "code=", "run=")
    if taken := [item for item in extra if item.startswith(decided)]:
        raise UserError(f"{taken[0]}: that is for the comparison to decide")
    options["models"] = options["models"].split(",")
    for key, known in (("models", MODELS), ("scale", tuple(SCALES))):
        wanted = options[key] if key == "models" else [options[key]]
        if not set(wanted) <= set(known):
            raise UserError(f"{key} are {', '.join(known)}; not {', '.join(wanted)}")
    if min(options[key] for key in ("steps", "seeds", "parallel", "episodes")) < 1:
        raise UserError("steps, seeds, parallel and episodes must be positive")
    return options, extra


def measure(arguments: list[str]) -> int:
    """The command."""
    from dreamkit import checkpoint, make
    from dreamkit.config import resolve

    options, extra = parse(arguments)
    task, scale = options["task"], options["scale"]
    fixed = [f"task={task}", f"steps={options['steps']}", *extra]
    cfg = resolve(["agent=hdreamer", f"size={SCALES[scale]['flat']}", *fixed])
    env = make(**cfg["task"])
    spaces = env.observation_space.spaces, env.action_space
    env.close()
    made = options_of(cfg, spaces, scale)
    folders = {
        (name, seed): Path(options["runs"]) / f"{task}-{scale}-{name}-{seed}"
        for seed in range(options["seeds"])
        for name in options["models"]
    }
    common = ["agent=hdreamer", f"code={CODE}", *fixed]
    cfgs = {name: resolve([*common, *made[name]]) for name in options["models"]}
    with ThreadPoolExecutor(options["parallel"]) as pool:
        jobs = [
            pool.submit(
                train_one,
                folder,
                [*TRAIN, "threads=1", *common, *made[name], f"seed={seed}"],
                cfgs[name] | {"seed": seed},
            )
            for (name, seed), folder in folders.items()
        ]
        try:
            for job in jobs:
                job.result()
        except BaseException:  # Ctrl-C too: what has begun saves itself, nothing else begins
            pool.shutdown(cancel_futures=True)
            raise
    torch.set_num_threads(1)
    configs = {name: Config(**cfgs[name]["agent"]) for name in options["models"]}
    times = update_times(configs, spaces, checkpoint.choose_device(cfg["device"]))
    found = {}
    for name, config in configs.items():
        n_top = config.n_top or SIZES[SCALES[scale]["levels"]]["n_top"]
        runs = [
            summary(folder) | {"probes": probe_one(folder, n_top, options["episodes"])}
            for (other, _), folder in folders.items()
            if other == name
        ]
        known = {key for key in runs[0] if key.startswith("loss/")}
        found[name] = {
            "parameters": parameters(config, spaces), "update_ms": times[name],
            "reconstruction": sorted(known & {f"loss/{key}" for key in spaces[0]}), "runs": runs,
        }  # fmt: skip
    write(options, arguments, found)
    return 0


def write(options: dict, arguments: list[str], found: dict[str, dict]) -> None:
    """The page, its numbers and its picture; the page is printed too."""
    out, task = Path(options["out"]), options["task"].replace("/", "-").replace(":", "-")
    out.mkdir(parents=True, exist_ok=True)
    said = [item for item in arguments if not item.startswith(("out=", "runs=", "parallel="))]
    command = " ".join([f"python -m {__package__}.compare", *said])
    text = page(options["task"], task, command, found, options["steps"])
    content = {"command": command, "models": found}
    (out / f"{task}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / f"{task}.md").write_text(text, encoding="utf-8")
    plot(out / f"{task}.png", task, found)
    print(text)
    print(f"wrote {out / task}.md, .json and .png")


if __name__ == "__main__":
    from dreamkit.cli import command

    command(measure)()
