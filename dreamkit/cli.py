"""The commands: dreamer-train, dreamer-eval, dreamer-viz.

All take Hydra's `key=value` overrides. What the user can mend ends in one line and exit code 2.
"""

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dreamkit import UserError

TRAIN_HELP = """usage: dreamer-train [agent=NAME] [size=NAME] [task=NAME] [key=value ...]

Train an agent. The same run folder again continues the run.

  agent=dreamerv3         which agent              size=tiny     how large (see --info)
  task=cartpole_pixels    or any Gymnasium id      code=solutions|mine|FOLDER
  run=runs/NAME           folder of the run        steps=N       decisions to take
  seed=0                  device=auto|cpu|cuda     until=475     stop at this evaluation
  agent.KEY=VALUE         an option of the agent   --info        list agents, sizes, tasks, options
"""
EVAL_HELP = """usage: dreamer-eval checkpoint=PATH [episodes=20] [seed=0] [device=auto]

Play whole episodes with a trained agent. PATH is a run folder or a checkpoint file.
"""
VIZ_HELP = """usage: dreamer-viz checkpoint=PATH [out=FOLDER] [context=5] [length=50] [seed=0]
                   [device=auto]

Show what the model sees and what it dreams: real | reconstruction | open-loop imagination,
as GIF and PNG. PATH is a run folder or a checkpoint file.
"""


def command(function: Callable[[list[str]], int]) -> Callable[[], None]:
    """Turn a function of the arguments into a console command with one-line errors."""

    def run() -> None:
        try:
            code = function(sys.argv[1:])
        except UserError as error:
            code = fail(str(error))
        except OSError as error:
            full = error.errno == errno.ENOSPC or "No space left" in str(error)
            code = fail(f"the disk is full: {error}" if full else str(error))
        except MemoryError:
            code = fail("out of memory: try a smaller size or replay_rows")
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            code = fail("the GPU is out of memory: try a smaller size or agent.batch_size")
        except KeyboardInterrupt:
            code = fail("interrupted", 130)
        sys.stdout.flush()
        sys.exit(code)

    return run


def fail(message: str, code: int = 2) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


# --- configuration --------------------------------------------------------------------------------


def task_names() -> list[str]:
    return sorted(p.stem for p in (Path(__file__).parent / "config" / "task").glob("*.yaml"))


def value_of(overrides: list[str], key: str, default: str) -> str:
    """The value that the last `key=value` gives."""
    values = [item.split("=", 1)[1] for item in overrides if item.split("=", 1)[0] == key]
    return values[-1] if values else default


def expand_task(overrides: list[str]) -> list[str]:
    """task=SOME/Gymnasium-id → task=gymnasium task.name=SOME/Gymnasium-id."""
    result = []
    for item in overrides:
        key, value = item.split("=", 1)
        if key == "task" and value not in task_names():
            import gymnasium

            if value.startswith("ALE/") or value.split(":")[-1] in gymnasium.registry:
                result += ["task=gymnasium", f"task.name={value}"]
                continue
            known = ", ".join(task_names())
            raise UserError(f"unknown task {value!r}: use one of {known}, or a Gymnasium id")
        result.append(item)
    return result


def resolve(overrides: list[str]) -> dict:
    """Command-line overrides → the complete configuration of a run, as a plain dictionary.

    errors   UserError: unknown names or options, values of the wrong type
    """
    from hydra import compose, initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from dreamkit import agents
    from dreamkit.trainer import RunConfig

    for item in overrides:
        if "=" not in item:
            raise UserError(f"{item!r} is not of the form key=value; see --help")
    overrides = expand_task(overrides)
    code = value_of(overrides, "code", "solutions")
    overrides = [item for item in overrides if not item.startswith("code=")]
    name = value_of(overrides, "agent", "dreamerv3")
    module = agents.load(name, code)
    size = value_of(overrides, "size", "tiny")
    if size not in module.SIZES:
        raise UserError(f"unknown size {size!r}: {name} has {', '.join(module.SIZES)}")
    store = ConfigStore.instance()
    store.store(name="run", node=RunConfig)
    store.store(group="agent", name=name, node=OmegaConf.structured(module.Config))
    for key, options in module.SIZES.items():
        store.store(group="size", name=key, node={"agent": options}, package="_global_")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("dreamkit.config", version_base=None):
            cfg = compose("config", overrides=overrides)
        cfg = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from None
    for key in ("steps", "envs", "train_ratio", "eval_episodes"):
        if cfg[key] <= 0:
            raise UserError(f"{key}={cfg[key]} must be positive")
    return cfg | {"agent_name": name, "size": size, "code": code}


def explain(error: Exception) -> str:
    """Hydra's message, in one line that says what to do."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__ or "").splitlines()
    if "Could not override" in lines[0]:
        key = lines[0].split("'")[1]
        detail = f": {cause[0]}" if cause and "is not in" not in cause[0] else ""
        return f"unknown option {key!r}{detail}; dreamer-train --info lists all"
    if "Missing mandatory value" in lines[0]:
        return f"a value is missing: {lines[0].rsplit(': ')[-1]}=...; see dreamer-train --help"
    where = [x.split(":")[1] for x in lines + cause if x.strip().startswith("full_key:")]
    key = f"{where[0].strip()}: " if where else ""
    return f"{key}{cause[0] if cause else lines[0]}; see dreamer-train --info"


def info() -> int:
    """Agents, sizes, tasks and options, as they are in this code."""
    from dataclasses import fields

    from dreamkit import agents
    from dreamkit.trainer import RunConfig

    for name in agents.names():
        module = agents.load(name)
        print(f"agent={name}")
        for size, options in module.SIZES.items():
            count = parameter_count(module, options)
            print(f"  size={size:<6} {count:>13,} parameters with 64×64×3 images and 18 actions")
        for option in fields(module.Config):
            print(f"  agent.{option.name}={option.default}")
    print("tasks: " + ", ".join(task_names()) + "; or any Gymnasium id, such as task=Acrobot-v1")
    print("training:")
    for option in fields(RunConfig):
        if option.name not in ("agent", "task"):
            print(f"  {option.name}={option.default}")
    return 0


def parameter_count(module, options: dict) -> int:
    """Trained parameters of a size, without allocating them."""
    from types import SimpleNamespace as Space

    import torch

    image = {"image": Space(shape=(3, 64, 64))}
    with torch.device("meta"):
        agent = module.Agent(image, Space(n=18), module.Config(**options), "meta")
    return sum(parameter.numel() for parameter in agent.parameters)


# --- commands -------------------------------------------------------------------------------------

FIXED = ("agent_name", "size", "code", "agent", "task", "seed", "envs")


def saved_overrides(folder: Path) -> list[str]:
    """The overrides that a run was started with; none for a new folder."""
    import yaml

    path = folder / "config.yaml"
    if not path.exists():
        return []
    return list((yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("overrides", []))


def write_config(folder: Path, cfg: dict, overrides: list[str]) -> None:
    """Save the resolved configuration; refuse to change what a run cannot change."""
    import yaml

    path = folder / "config.yaml"
    if path.exists() and (folder / "checkpoints" / "latest.pt").exists():
        old = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in FIXED:
            if old["config"][key] != cfg[key]:
                was, now = old["config"][key], cfg[key]
                if isinstance(was, dict):
                    names = sorted(k for k in was | now if was.get(k) != now.get(k))
                    key, was, now = f"{key}.{names[0]}", was.get(names[0]), now.get(names[0])
                raise UserError(
                    f"{folder} was started with {key}={was}, not {now}: a run keeps its agent, "
                    "size, task, seed and envs. Take another run folder, or drop the option"
                )
    temporary = path.with_suffix(".tmp")
    text = yaml.safe_dump({"overrides": overrides, "config": cfg}, sort_keys=False)
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def train_command(arguments: list[str]) -> int:
    """dreamer-train"""
    if "--help" in arguments or "-h" in arguments:
        print(TRAIN_HELP)
        return 0
    if "--info" in arguments:
        return info()
    import torch
    from filelock import FileLock, Timeout

    run = value_of(arguments, "run", "")
    overrides = (saved_overrides(Path(run)) if run else []) + [
        item for item in arguments if not item.startswith("run=")
    ]
    cfg = resolve(overrides)
    task = str(cfg["task"]["name"]).replace("/", "-")
    folder = Path(run or f"runs/{time.strftime('%m%d_%H%M%S')}-{cfg['agent_name']}-{task}")
    cfg["run"] = str(folder)
    if cfg["threads"]:
        torch.set_num_threads(cfg["threads"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        with lock:
            return train_in(folder, cfg, overrides)
    except Timeout:
        raise UserError(f"{folder} is in use by another process") from None


def train_in(folder: Path, cfg: dict, overrides: list[str]) -> int:
    """Train in a folder that is ours alone; report at the end."""
    import json

    import numpy as np

    from dreamkit import report
    from dreamkit.envs import make
    from dreamkit.trainer import Trainer, manifest

    trainer = Trainer(cfg, folder, lambda: make(**cfg["task"]))
    write_config(folder, cfg, overrides)
    with open(folder / "manifest.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(manifest()) + "\n")
    trainer.console.note(f"run: {folder}")
    summary = trainer.run()
    if summary["stop"].startswith("SIG"):
        print(f"saved at step {summary['step']:,}; continue with: dreamer-train run={folder}")
        return 130 if summary["stop"] == "SIGINT" else 143
    page = report.write(folder)
    goal = f" (solved at {cfg['until']:g})" if summary["stop"] == "solved" else ""
    best = f"best evaluation {summary['best']:.1f}{goal}"
    print(
        f"{summary['step']:,} steps, {summary['updates']:,} updates, {summary['seconds']:.0f} s; "
        f"{best if np.isfinite(summary['best']) else 'no evaluation'}"
    )
    print(f"report: {page}")
    return 0


def parse_options(arguments: list[str], help_text: str, **defaults):
    """`key=value` and `--key value` of the commands that only read a checkpoint."""
    items, rest = [], list(arguments)
    while rest:
        item = rest.pop(0)
        if item.startswith("--") and "=" not in item:
            if not rest:
                raise UserError(f"{item} needs a value")
            item = f"{item}={rest.pop(0)}"
        items.append(item.removeprefix("--"))
    options = {"checkpoint": ""} | defaults
    for item in items:
        key, _, value = item.partition("=")
        if key not in options or not value:
            raise UserError(f"unknown option {item!r}; {help_text.splitlines()[0]}")
        try:
            options[key] = type(options[key])(value)
        except ValueError:
            raise UserError(f"{key}={value} is not a number") from None
    if not options["checkpoint"]:
        raise UserError(f"name a checkpoint; {help_text.splitlines()[0]}")
    return options


def open_checkpoint(options: dict):
    """(agent, header, maker of its environment, path of the file)"""
    from dreamkit import checkpoint
    from dreamkit.envs import make

    device = checkpoint.choose_device(options["device"])
    path = checkpoint.find(options["checkpoint"])
    state = checkpoint.read(path, device)
    head = state["header"]
    env = make(**head["task"])
    agent = checkpoint.build_agent(head, env, device)
    checkpoint.restore(agent, state, path)
    return agent, head, lambda: make(**head["task"]), path


def eval_command(arguments: list[str]) -> int:
    """dreamer-eval"""
    if "--help" in arguments or "-h" in arguments:
        print(EVAL_HELP)
        return 0
    import numpy as np

    from dreamkit.collect import evaluate

    options = parse_options(arguments, EVAL_HELP, episodes=20, seed=0, device="auto")
    if options["episodes"] < 1:
        raise UserError("episodes must be positive")
    agent, head, make_env, path = open_checkpoint(options)
    result = evaluate(agent, make_env, options["episodes"], options["seed"])
    scores = np.array(result["scores"])
    print(f"{path}: {head['agent_name']} on {head['task']['name']}")
    print(
        f"return {scores.mean():.1f} ± {scores.std():.1f} over {len(scores)} episodes "
        f"(min {scores.min():.1f}, max {scores.max():.1f}); "
        f"mean length {np.mean(result['lengths']):.0f}"
    )
    return 0


def viz_command(arguments: list[str]) -> int:
    """dreamer-viz"""
    if "--help" in arguments or "-h" in arguments:
        print(VIZ_HELP)
        return 0
    from dreamkit import video

    options = parse_options(
        arguments, VIZ_HELP, out="", context=5, length=50, seed=0, device="auto"
    )
    if not 0 < options["context"] < options["length"]:
        raise UserError("context must be at least 1 and less than length")
    agent, _, make_env, path = open_checkpoint(options)
    folder = Path(options["out"] or path.parent.parent / "dreams")
    views = video.dream(agent, make_env, options["length"], options["context"], options["seed"])
    for file in video.write(folder, views, options["context"]):
        print(file)
    return 0


train = command(train_command)
evaluate = command(eval_command)
visualize = command(viz_command)
