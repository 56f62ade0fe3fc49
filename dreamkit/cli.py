"""The commands: dreamer-train, dreamer-eval, dreamer-viz.

All take Hydra's `key=value` overrides. What the user can mend ends in one line and exit code 2.
"""

import errno
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dreamkit import UserError
from dreamkit.config import info, resolve, saved_overrides, value_of, write_config

TRAIN_HELP = """usage: dreamer-train [agent=NAME] [size=NAME] [task=NAME] [key=value ...]

Train an agent. The same run folder again continues the run.

  agent=dreamerv3         which agent              size=tiny     how large (see --info)
  task=cartpole_pixels    or any Gymnasium id      code=solutions|mine|FOLDER
  run=runs/NAME           folder of the run        steps=N       decisions to take
  seed=0                  device=auto|cpu|cuda     until=475     stop at this evaluation
  agent.KEY=VALUE         an option of the agent   --info        list agents, sizes, tasks, options
  preset=debug            everything once, in a minute           log=[mlflow,tensorboard]
  mode=bootstrap          the world model alone, from random actions
  mode=dreamer checkpoint=RUN                      actor and critic alone, in that world model
  dry_run=true            keep nothing
  --multirun seed=range(5) agent.lr=1e-3,3e-4      every combination  [jobs=2] [run=FOLDER]
             [sweep=actor_critic|seeds] [launcher=joblib|submitit]
"""
EVAL_HELP = """usage: dreamer-eval checkpoint=PATH [episodes=20] [videos=0] [out=FOLDER] [seed=0]
                    [device=auto] [code=…]

Play whole episodes with a trained agent. PATH is a run folder or a checkpoint file. videos=N films
the first N episodes as MP4, in the run's folder `videos` or in `out`.
code=solutions|mine|FOLDER takes another code than the run had.
"""
VIZ_HELP = """usage: dreamer-viz checkpoint=PATH [out=FOLDER] [context=5] [length=50] [seed=0]
                   [device=auto] [code=solutions|mine|FOLDER]

Show what the model sees and what it dreams: real | reconstruction | open-loop imagination,
as GIF and PNG; and, as latents.png, what the latents carry. PATH is a run folder or a checkpoint
file.
"""

COMPARE_HELP = """usage: dreamer-compare [LABEL=]PATTERN [...] [out=runs/compare] [last=3]

Compare runs of several seeds: a table (mean, interquartile mean, 95 % intervals) and curves over
steps and over time. PATTERN is a run folder or a quoted pattern such as "runs/v1-pendulum-*". Runs
without a label are grouped by agent, size and options; the last LAST evaluations of a run count.
"""


def command(function: Callable[[list[str]], int]) -> Callable[[], None]:
    """Turn a function of the arguments into a console command with one-line errors."""

    def run() -> None:
        try:
            code = function(sys.argv[1:])
        except UserError as error:
            code = fail(str(error))
        except BrokenPipeError:  # its output goes to `head`, say
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except OSError as error:
            full = error.errno == errno.ENOSPC or "No space left" in str(error)
            code = fail(f"the disk is full: {error}" if full else str(error))
        except MemoryError:
            code = fail("out of memory: try a smaller size or replay_rows")
        except NotImplementedError as error:
            if not str(error).startswith("exercise "):
                raise
            code = fail(
                f"{error} is not done yet. Until it is, the reference can lend it: "
                "python train.py --borrow …, or code=solutions for a checkpoint"
            )
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


# --- commands -------------------------------------------------------------------------------------


def train_command(arguments: list[str]) -> int:
    """dreamer-train"""
    if "--help" in arguments or "-h" in arguments:
        print(TRAIN_HELP)
        return 0
    if "--info" in arguments:
        return info()
    if "--multirun" in arguments or "-m" in arguments:
        from dreamkit.sweep import multirun

        return multirun([item for item in arguments if item not in ("--multirun", "-m")])
    import torch
    from filelock import FileLock, Timeout

    from dreamkit.optimize import Ranks
    from dreamkit.speed import keep_memory
    from dreamkit.watchdog import watching

    run = value_of(arguments, "run", "")
    given = [item for item in arguments if not item.startswith("run=")]
    keys = {item.partition("=")[0] for item in given}
    saved = saved_overrides(Path(run)) if run else []
    overrides = [item for item in saved if item.partition("=")[0] not in keys] + given
    cfg = resolve(overrides)
    task = str(cfg["task"]["name"]).replace("/", "-").replace(":", "-")
    ranks = Ranks.meet()
    run = ranks.from_first(run or f"runs/{time.strftime('%m%d_%H%M%S')}-{cfg['agent_name']}-{task}")
    folder = Path(run)
    if cfg["threads"]:
        torch.set_num_threads(cfg["threads"])
    keep_memory()
    if cfg["dry_run"]:
        if value_of(arguments, "run", ""):
            raise UserError("dry_run=true keeps nothing: leave run= out")
        with tempfile.TemporaryDirectory() as folder, watching(cfg["env_timeout"]):
            cfg |= {"run": ranks.from_first(folder), "log": []}
            code = train_in(Path(cfg["run"]), cfg, overrides, ranks)
            ranks.wait()
        print("dry run: nothing was kept")
        return code
    cfg["run"] = str(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ranks.named(".lock"), timeout=0)
        with lock, watching(cfg["env_timeout"]):
            return train_in(folder, cfg, overrides, ranks)
    except Timeout:
        raise UserError(f"{folder} is in use by another process") from None


def train_in(folder: Path, cfg: dict, overrides: list[str], ranks) -> int:
    """Train in a folder that is ours alone; report at the end."""
    import json

    import numpy as np

    from dreamkit import report
    from dreamkit.envs import make, make_many
    from dreamkit.trainer import Trainer, manifest

    task = cfg["task"]
    trainer = Trainer(
        cfg, folder, lambda: make(**task), lambda count: make_many(count, **task), ranks
    )
    if ranks.rank == 0:
        write_config(folder, cfg, overrides)
        with open(folder / "manifest.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(manifest() | {"ranks": ranks.count}) + "\n")
    trainer.console.note(f"run: {folder}")
    try:
        summary = trainer.run()
    except BaseException:
        trainer.close("FAILED")
        raise
    if ranks.rank:
        return 0
    if summary["stop"].startswith("SIG"):
        trainer.close("KILLED")
        print(f"saved at step {summary['step']:,}; continue with: dreamer-train run={folder}")
        return 130 if summary["stop"] == "SIGINT" else 143
    page = report.write(folder)
    trainer.close()
    goal = f" (solved at {cfg['until']:g})" if summary["stop"] == "solved" else ""
    best = f"best evaluation {summary['best']:.1f}{goal}"
    print(
        f"{summary['step']:,} steps, {summary['updates']:,} updates, {summary['seconds']:.0f} s; "
        f"{best if np.isfinite(summary['best']) else 'no evaluation'}"
    )
    if not summary["updates"]:
        print("nothing was learned: the first update comes later. Raise steps, or train_ratio")
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
    if options["seed"] < 0:
        raise UserError(f"seed={options['seed']} must not be negative")
    if not options["checkpoint"]:
        raise UserError(f"name a checkpoint; {help_text.splitlines()[0]}")
    return options


def run_folder(path: Path) -> Path:
    """The run that a checkpoint file belongs to."""
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent


def open_checkpoint(options: dict, draw: bool = False):
    """(agent, header, maker of its environment, path of the file). `draw`: it can be filmed."""
    from dreamkit import checkpoint
    from dreamkit.envs import make

    device = checkpoint.choose_device(options["device"])
    path = checkpoint.find(options["checkpoint"])
    state = checkpoint.read(path, device)
    head = state["header"] | ({"code": options["code"]} if options["code"] else {})
    task = head["task"] | ({"draw": True} if draw else {})
    agent = checkpoint.build_agent(head, make(**task), device)
    checkpoint.restore(agent, state, path)
    return agent, head, lambda: make(**task), path


def eval_command(arguments: list[str]) -> int:
    """dreamer-eval"""
    if "--help" in arguments or "-h" in arguments:
        print(EVAL_HELP)
        return 0
    import numpy as np

    from dreamkit.collect import evaluate
    from dreamkit.watchdog import watching

    options = parse_options(
        arguments, EVAL_HELP, episodes=20, videos=0, out="", seed=0, device="auto", code=""
    )
    if options["episodes"] < 1 or not 0 <= options["videos"] <= options["episodes"]:
        raise UserError("episodes must be positive, and videos between 0 and episodes")
    agent, head, make_env, path = open_checkpoint(options, draw=options["videos"] > 0)
    with watching():
        result = evaluate(agent, make_env, options["episodes"], options["seed"], options["videos"])
    scores = np.array(result["scores"])
    print(f"{path}: {head['agent_name']} on {head['task']['name']}")
    print(
        f"return {scores.mean():.1f} ± {scores.std():.1f} over {len(scores)} episodes "
        f"(min {scores.min():.1f}, max {scores.max():.1f}); "
        f"mean length {np.mean(result['lengths']):.0f}"
    )
    from dreamkit import video

    folder = Path(options["out"] or run_folder(path) / "videos")
    for number, frames in enumerate(result["frames"]):
        print(video.film(folder / f"episode_{number}_{scores[number]:.0f}.mp4", frames))
    return 0


def viz_command(arguments: list[str]) -> int:
    """dreamer-viz"""
    if "--help" in arguments or "-h" in arguments:
        print(VIZ_HELP)
        return 0
    from dreamkit import latents, video
    from dreamkit.watchdog import watching

    options = parse_options(
        arguments, VIZ_HELP, out="", context=5, length=50, seed=0, device="auto", code=""
    )
    if not 0 < options["context"] < options["length"]:
        raise UserError("context must be at least 1 and less than length")
    agent, _, make_env, path = open_checkpoint(options)
    folder = Path(options["out"] or run_folder(path) / "dreams")
    with watching():
        views = video.dream(agent, make_env, options["length"], options["context"], options["seed"])
        for file in video.write(folder, views, options["context"]):
            print(file)
        try:
            print(latents.write(folder, agent, make_env, options["seed"]))
        except UserError as error:  # code without the method: the dreams are there all the same
            print(error, file=sys.stderr)
    return 0


def compare_command(arguments: list[str]) -> int:
    """dreamer-compare"""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(COMPARE_HELP)
        return 0 if arguments else 2
    from dreamkit import compare

    out = value_of(arguments, "out", "runs/compare")
    last = value_of(arguments, "last", "3")
    if not last.isdigit() or int(last) < 1:
        raise UserError(f"last={last} must be a positive number")
    words = [item for item in arguments if item.partition("=")[0] not in ("out", "last")]
    return compare.main(words, Path(out), int(last))


def check_command(arguments: list[str]) -> int:
    """dreamer-check"""
    from dreamkit import check

    if arguments:
        print("usage: dreamer-check\n\nWhat of this machine works, and what mends the rest.")
        return 0 if {"-h", "--help"} & set(arguments) else 2
    return check.main()


train = command(train_command)
evaluate = command(eval_command)
visualize = command(viz_command)
compare = command(compare_command)
check = command(check_command)
