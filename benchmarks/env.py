"""Steps per second of every environment: raw, through our wrappers, and in the collector.

    python -m benchmarks.env [tasks=cartpole,atari_pong,...] [seconds=3] [envs=8]
    python -m benchmarks.env learning=cartpole_pixels,dmc_walker_walk_pixels [seconds=20]

raw         the library's own environment with random actions and the same action repeat: it draws
            and resizes nothing that it would not by itself
wrapped     dreamkit.make: dictionaries, resizing, bounded actions
collected   a Collector of `envs` environments with random actions, rows stored in the replay;
            atari_pong:threads steps them at once, in ale-py's C++ threads
share       wrapped ÷ raw, and collected ÷ raw

Decisions a second, an action repeat counted once. The three are measured in turns, nine times, and
the medians are shown.

learning=TASKS times whole training of DreamerV3, size=tiny, from the first update on: decisions a
second with the environments in this process (inline) and in one of their own (process).
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch

from dreamkit import UserError, make
from dreamkit.cli import command
from dreamkit.collect import Collector, action_size, row_fields
from dreamkit.config import resolve
from dreamkit.envs import make_many
from dreamkit.replay import Replay
from dreamkit.trainer import Trainer

TASKS = (
    "cartpole,cartpole_pixels,pendulum,dmc_walker_walk,dmc_walker_walk_pixels,atari_pong,"
    "atari_pong:threads,vizdoom_basic"
)

TURNS = 9


def raw(task: str) -> Callable[[], None]:
    """A decision in the library's own environment, with the same action repeat."""
    suite, _, name = task.partition("_")
    if suite == "dmc":
        return dm_control(name)
    if suite == "atari":
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        gymnasium.register_envs(ale_py)
        title = "".join(part.capitalize() for part in name.split("_"))
        return stepper(gymnasium.make(f"ALE/{title}-v5", frameskip=4, obs_type="grayscale"))
    if suite == "vizdoom":
        import vizdoom.gymnasium_wrapper  # noqa: F401  (it registers the names)

        title = "".join(part.capitalize() for part in name.split("_"))
        return stepper(gymnasium.make(f"Vizdoom{title}-v1", frame_skip=4))
    return stepper(gymnasium.make({"pendulum": "Pendulum-v1"}.get(task, "CartPole-v1")))


def dm_control(name: str) -> Callable[[], None]:
    """Two physics steps of the suite, and a picture if the task is one of pixels."""
    env = make(f"dmc_{name}").unwrapped.env
    spec, random = env.action_spec(), np.random.default_rng(0)
    actions = random.uniform(spec.minimum, spec.maximum, (512, *spec.shape))
    env.reset()
    count = [0]

    def step():
        count[0] += 1
        for _ in range(2):
            if env.step(actions[count[0] % 512]).last():
                env.reset()
        if name.endswith("_pixels"):
            env.physics.render(64, 64, camera_id=0)

    return step


def stepper(env) -> Callable[[], None]:
    """One decision with a random action, and a reset where an episode ended."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(512)]
    state = {"done": True, "step": 0}

    def step():
        if state["done"]:
            env.reset(seed=state["step"])
        *_, terminated, truncated, _ = env.step(actions[state["step"] % 512])
        state["done"] = terminated or truncated
        state["step"] += 1

    step.close = env.close
    return step


def collector(task: str, envs: int, folder: Path) -> Callable[[], None]:
    """One decision in each of `envs` environments, rows stored."""
    name, _, threads = task.partition(":")
    found = Collector(make_many(envs, name, threads=bool(threads)), 0)
    env = found.slots[0].env
    fields = row_fields(env.observation_space.spaces, action_size(found.space))
    replay = Replay(fields, {}, envs, 10_000, folder, 10_000, 2**30, 0)
    size = action_size(found.space)
    random = np.random.default_rng(0).uniform(-1, 1, (512, envs, size)).astype(np.float32)
    if hasattr(found.space, "n"):
        random = np.eye(size, dtype=np.float32)[random.argmax(-1)]
    state = {"step": 0}

    def step():
        found.step(random[state["step"] % 512], {}, replay.add)
        state["step"] += 1

    return step


def speed(step: Callable[[], None], seconds: float, count: int = 1) -> float:
    """Decisions a second; `count` of them happen in one call."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for _ in range(10):
            step()
        calls += 10
    return count * calls / elapsed


def learning(task: str, collect: str, seconds: float) -> float:
    """Decisions a second of a run that learns as it collects."""
    given = ["device=cpu", "steps=1000000", "eval_every=0", "save_every=0", f"collect={collect}"]
    cfg = resolve([f"task={task}", *given])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        task = cfg["task"]
        run = Trainer(cfg, Path(folder), lambda: make(**task), lambda n: make_many(n, **task))
        while run.updates < 5:
            run.iterate()
        before, start = run.step, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            run.iterate()
        run.player.close()
        return (run.step - before) / elapsed


def measure(arguments: list[str]) -> int:
    """The command."""
    options = {"tasks": TASKS, "seconds": "3", "envs": "8", "learning": ""}
    for item in arguments:
        key, _, value = item.partition("=")
        if key not in options or not value:
            raise UserError(f"unknown option {item!r}; see benchmarks/env.py")
        options[key] = value
    seconds, envs = float(options["seconds"]), int(options["envs"])
    if options["learning"]:
        print("task                      inline   process   process ÷ inline")
        for task in options["learning"].split(","):
            rates = [
                [learning(task, collect, seconds) for collect in ("inline", "process")]
                for _ in range(3)
            ]
            inline, process = np.median(rates, 0)
            print(f"{task:<24} {inline:7.1f} {process:9.1f} {process / inline:12.2f}", flush=True)
        return 0
    print("task                         raw     wrapped   share   collected   share")
    for task in options["tasks"].split(","):
        # ViZDoom's own environment writes files where it stands.
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            name = task.partition(":")[0]
            steps = (
                (raw(name), 1), (stepper(make(name)), 1),
                (collector(task, envs, Path(folder)), envs),
            )  # fmt: skip
            rates = [[speed(step, seconds / TURNS, n) for step, n in steps] for _ in range(TURNS)]
            for step, _ in steps[:2]:
                getattr(step, "close", lambda: None)()
        own, wrapped, collected = np.median(rates, 0)
        print(
            f"{task:<24} {own:9,.0f} {wrapped:11,.0f} {wrapped / own:7.0%} {collected:11,.0f} "
            f"{collected / own:7.0%}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    command(measure)()
