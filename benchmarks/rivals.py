"""Train an agent of another library on one of our tasks, measured as dreamer-train measures ours.

    python -m benchmarks.rivals ppo|sheeprl|sheeprl_tiny task=cartpole seed=0 run=FOLDER
                                [until=475] [threads=1] [steps=N] [minutes=15] [KEY=VALUE ...]

`python -m benchmarks.learn agent=dreamerv3,sheeprl,ppo` starts this for every seed. It writes
FOLDER/metrics.jsonl with the evaluation rows of dreamer-train, and FOLDER/result.json.

    ppo            PPO of Stable-Baselines3: benchmarks/rival_ppo.py
    sheeprl        DreamerV3 of sheeprl at its smallest size: benchmarks/rival_sheeprl.py
    sheeprl_tiny   the same code with the sizes and settings of our size=tiny

What is the same for all: the environment (`dreamkit.make`), the evaluation (`dreamkit.collect`: the
mean of 20 episodes, and the first one at the goal ends the run) and the step, one decision in one
environment. The best agent then plays 100 fresh episodes. Each library's agent acts in evaluations
as that library has it act: PPO without sampling, both Dreamers with.

Seconds are those of training, from the first step on. A rival's evaluations are not counted; those
of dreamer-train are. `steps` and `minutes` (of such seconds; 0: no limit) end a run that does not
reach the goal. `task.…`, `eval_every` and `eval_episodes` are ours; any other KEY=VALUE goes to the
library: an argument of PPO, an override of sheeprl's configuration.
"""

import importlib
import json
import time
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dreamkit import UserError, make
from dreamkit.cli import command

LIBRARIES = {"ppo": "stable_baselines3", "sheeprl": "sheeprl", "sheeprl_tiny": "sheeprl"}
RESULT = "result.json"  # written when a run is done
FRESH = 77  # seed of the 100 fresh episodes


def need(agent: str) -> None:
    """Errors: UserError, where the library of a rival is not installed."""
    if find_spec(LIBRARIES[agent]) is None:
        name = LIBRARIES[agent].replace("_", "-")
        raise UserError(f"agent={agent} needs {name}: pip install -e '.[rivals]'")


class Watch:
    """Evaluates a player on the way, with the clock stopped, and says when to end.

    A player is to `dreamkit.collect.evaluate` what an agent is: `device`, `initial_state`, `act`.

    options   of this command
    cfg       resolved configuration of dreamer-train for the task
    """

    def __init__(self, options: dict, cfg: dict):
        self.cfg, self.task, self.every = cfg, cfg["task"], cfg["eval_every"]
        self.seed, self.until, self.steps = options["seed"], options["until"], options["steps"]
        self.limit = 60 * options["minutes"] or float("inf")
        self.folder = Path(options["run"])
        self.best, self.player = -float("inf"), None
        self.begin()

    def begin(self) -> None:
        """Training starts now."""
        from dreamkit.loggers import JsonLines

        self.rows = JsonLines(self.folder / "metrics.jsonl")
        self.rows.truncate(0)
        self.start = time.perf_counter()

    @contextmanager
    def pause(self):
        """What happens in here takes no time."""
        before = time.perf_counter()
        yield
        self.start += time.perf_counter() - before

    def play(self, player, episodes: int, seed: int) -> np.ndarray:
        """Scores of whole episodes."""
        from dreamkit.collect import evaluate

        return np.array(evaluate(player, lambda: make(**self.task), episodes, seed)["scores"])

    def look(self, step: int, player) -> bool:
        """Evaluate. True: the goal or the time limit is reached. The player must stay as it is."""
        from dreamkit.trainer import EVALUATION

        seconds, episodes = time.perf_counter() - self.start, self.cfg["eval_episodes"]
        with self.pause():
            scores = self.play(player, episodes, self.seed + EVALUATION + step)
        mean, std = float(scores.mean()), float(scores.std())
        row = {"kind": "eval", "step": step, "seconds": round(seconds, 2), "return": mean}
        self.rows.write(row | {"std": std, "episodes": episodes})
        print(f"{seconds:8.1f} s  step {step:>8,}  evaluation {mean:8.1f} ± {std:.1f}", flush=True)
        if mean >= self.best:
            self.best, self.player = mean, player
        return mean >= self.until or seconds >= self.limit


def value(text: str):
    """A number, true, false or null where it is one; else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def train_rival(arguments: list[str]) -> int:
    """The command."""
    agent, *items = arguments or [""]
    if agent not in LIBRARIES:
        raise UserError(f"unknown rival {agent!r}: name one of {', '.join(LIBRARIES)}")
    need(agent)
    import torch

    from dreamkit.config import resolve

    options = dict(seed=0, run="", until=float("inf"), threads=1, steps=0, minutes=15)
    ours, given = [], {}
    for item in items:
        key, sign, text = item.partition("=")
        if not sign:
            raise UserError(f"{item!r} is not of the form key=value")
        if key in options:
            options[key] = text if key == "run" else value(text)
        elif key.split(".")[0] in ("task", "eval_every", "eval_episodes"):
            ours.append(item)
        else:
            given[key] = value(text)
    if not options["run"]:
        raise UserError("name a folder: run=FOLDER")
    torch.set_num_threads(options["threads"])
    watch = Watch(options, resolve(ours))
    module = importlib.import_module(f"benchmarks.rival_{agent.removesuffix('_tiny')}")
    settings = module.train(watch, given, *["tiny"] * agent.endswith("_tiny"))
    if watch.player is None:
        raise UserError("the run ended before its first evaluation: raise steps")
    library = LIBRARIES[agent]
    result = {
        "fresh_100_episodes": float(watch.play(watch.player, 100, FRESH).mean()),
        "library": f"{library} {version(library)}",
        "settings": settings,
    }
    text = json.dumps(result, indent=1) + "\n"
    (watch.folder / RESULT).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    command(train_rival)()
