"""The training loop: collect, update at the train ratio, evaluate, log, save, resume."""

import math
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamkit import UserError, checkpoint
from dreamkit.collect import (
    Collector,
    EnvironmentFailure,
    Player,
    action_size,
    evaluate,
    row_fields,
)
from dreamkit.collect_process import Crash, RemotePlayer
from dreamkit.loggers import Console, JsonLines, Silent
from dreamkit.optimize import Ranks
from dreamkit.replay import LATENTS_SAVED, Replay
from dreamkit.sinks import open_sinks
from dreamkit.speed import accelerate

EVALUATION = 1_000_003  # added to the run's seed: evaluation never meets training episodes
RANK = 7_919  # times its rank, added to the seed of a process: no two play the same episodes


@dataclass
class RunConfig:
    """Every option of the training loop. Steps are the agent's decisions in all environments."""

    mode: str = "train"  # bootstrap: the world model alone; dreamer: actor and critic alone
    checkpoint: str | None = None  # start from this agent: a run or a file. mode=dreamer needs one
    model_first: int = 0  # in mode=train, this many updates of the world model alone come first
    dry_run: bool = False  # everything in a temporary folder, which is gone in the end
    steps: int = 100_000
    seed: int = 0
    run: str | None = None  # folder; null: runs/ with date, agent and task
    device: str = "auto"
    threads: int = 1  # of torch on the CPU; small agents are slower with more. 0: torch decides
    precision: str = "fp32"  # bf16: matrix products of updates in half precision
    compile: bool = False  # the RSSM's steps by torch.compile: faster after a minute
    envs: int = 4
    collect: str = "inline"  # process: environments and a copy of the policy in their own process
    collect_ahead: float = 2.0  # updates by which that process may be ahead; 0: never wait
    train_ratio: float = 32.0  # replayed rows per collected row
    prefill: int = 0  # rows before the first update; 0: as many as one batch
    pretrain: int = 0  # updates at the end of the prefill, beyond the train ratio
    env_timeout: float = 120.0  # seconds an environment may take for one step; 0: no limit
    replay_rows: int = 1_000_000
    replay_memory: float = 2.0  # GiB of rows to keep in memory; more is mapped from files
    log_every: int = 250
    eval_every: int = 250
    eval_episodes: int = 20
    save_every: int = 2500
    until: float | None = None  # stop at this mean return of an evaluation
    goal: float | None = None  # return that counts as solved: a line in the report
    log: list[str] = field(default_factory=list)  # more places for numbers: mlflow, tensorboard
    agent: Any = None  # options of the agent
    task: dict[str, Any] = field(default_factory=dict)  # arguments of dreamkit.envs.make


def manifest() -> dict:
    """Versions, commit and machine: what a result depends on."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = ""
    return {
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "commit": commit or "unknown",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


class Metrics:
    """Means of the agent's metrics since the last log; they stay on its device until then."""

    def __init__(self):
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0

    def add(self, metrics: dict) -> None:
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0) + value
        self.count += 1

    def take(self) -> dict[str, float]:
        means = {name: float(x) / self.count for name, x in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


class Trainer:
    """Trains one agent in one run folder; a folder with a checkpoint is continued.

    cfg        resolved configuration: RunConfig with `agent_name` and `code`, a plain dictionary
    folder     of the run
    make_env   builds one environment
    make_many  builds as many as it is told; none: by calling make_env so often
    ranks      the processes that share the run; none: this one
    """

    def __init__(
        self, cfg: dict, folder: Path, make_env: Callable, make_many: Callable | None = None,
        ranks: Ranks | None = None,
    ):  # fmt: skip
        self.cfg, self.folder, self.make_env = cfg, folder, make_env
        self.ranks = ranks or Ranks()
        self.device = self.ranks.device_of(checkpoint.choose_device(cfg["device"]))
        seed = cfg["seed"] + RANK * self.ranks.rank
        self._seed(cfg["seed"])
        make_many = make_many or (lambda count: [make_env() for _ in range(count)])
        remote = cfg["collect"] == "process"
        collector = None if remote else Collector(make_many(cfg["envs"]), seed)
        env = make_env() if remote else collector.slots[0].env
        self.agent = checkpoint.build_agent(checkpoint.header(cfg), env, self.device)
        accelerate(self.agent, cfg["precision"], cfg["compile"])
        self.ranks.join(self.agent)
        options = self.agent.config
        self.batch = (self.ranks.share("batch_size", options.batch_size), options.batch_length)
        self.latent_space = getattr(self.agent, "latent_space", {})
        if remote:
            env.close()
            rows = cfg["collect_ahead"] * self.batch[0] * self.batch[1] / cfg["train_ratio"]
            ahead = math.ceil(rows / cfg["envs"])
            self.player = RemotePlayer(cfg, seed, self.agent, ahead)
        else:
            self.player = Player(self.agent, collector, cfg["mode"] == "bootstrap")
        self.replay = Replay(
            row_fields(env.observation_space.spaces, action_size(env.action_space)),
            self.latent_space, cfg["envs"], cfg["replay_rows"] // self.ranks.count,
            folder / self.ranks.named("replay"), cfg["steps"], int(cfg["replay_memory"] * 2**30),
            seed,
        )  # fmt: skip
        self.prefill = cfg["prefill"] // self.ranks.count or self.batch[0] * self.batch[1]
        self.evaluates = cfg["mode"] != "bootstrap"  # which trains no policy
        self.step = 0  # decisions so far
        self.updates = 0
        self.first_update = -1  # step at which training began
        self.seconds = 0.0  # spent before this process
        self.start = time.time()
        self.best = -float("inf")
        self.evaluated = -1  # step of the last evaluation
        self.metrics = Metrics()
        self.episodes: list[tuple[float, int]] = []  # (score, length) since the last log
        self.stop = ""
        first = self.ranks.rank == 0
        self.jsonl = JsonLines(folder / "metrics.jsonl") if first else Silent()
        self.sinks = open_sinks(cfg["log"], folder, cfg) if first else []
        self.console = Console(cfg["steps"]) if first else Silent()
        if self.ranks.rank:
            self._seed(seed)  # the agents are equal, what they see and draw is not

    def _seed(self, seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    # --- the loop ---------------------------------------------------------------------------------

    def run(self) -> dict:
        """Train until `steps`, `until` or a signal; save; return a summary."""
        latest = self.folder / "checkpoints" / "latest.pt"
        if latest.exists():
            self.load(latest)
        else:
            self.jsonl.truncate(0)
            count = sum(parameter.numel() for parameter in self.agent.parameters)
            self.console.note(
                f"agent: {count:,} parameters, on {checkpoint.device_name(self.device)}"
            )
            self.console.note(self.replay.describe())
            if self.cfg["checkpoint"]:
                self.begin_from(checkpoint.find(self.cfg["checkpoint"]))
        self.start = time.time() - self.seconds
        with self._signals(), self.console:
            if self.cfg["until"] is not None and self.best >= self.cfg["until"]:
                self.stop = "solved"
            try:
                stop = self.ranks.any(self.stop)  # all ranks leave the loop, or none does
                while self.step < self.cfg["steps"] and not stop:
                    self.iterate()
                    stop = self.ranks.any(self.stop)
                self.stop = stop
            except EnvironmentFailure as error:
                self.save()  # all that was collected before
                raise UserError(f"{error}; saved at step {self.step:,}") from error
            if self.updates and not self.stop.startswith("SIG"):
                self.log()
                if not self.stop and self.evaluated != self.step and self.evaluates:
                    self.evaluate()
            self.save()
        self.player.close()
        return {
            "step": self.step, "updates": self.updates, "best": self.best,
            "seconds": time.time() - self.start, "stop": self.stop or "steps",
        }  # fmt: skip

    def iterate(self) -> None:
        """One decision in every environment, and what is due after it."""
        before = self.step
        self.collect_on_all_ranks()
        due = self.updates_due()
        for _ in range(due):
            self.update()
        if due > 0:
            self.player.publish()
        for every, action in (
            (self.cfg["log_every"], self.log),
            (self.cfg["eval_every"] if self.evaluates else 0, self.evaluate),
            (self.cfg["save_every"], self.save),
        ):
            if self.updates and every and before // every < self.step // every:
                action()
        self.console.update(self.step, time.time() - self.start)

    def collect_on_all_ranks(self) -> None:
        """`collect`; where an environment of one rank fails, all ranks stop and save."""
        mine = None
        try:
            self.collect()
        except EnvironmentFailure as error:
            mine = error
        failure = self.ranks.any(str(mine or ""))
        if failure:
            raise mine or EnvironmentFailure(failure)

    def collect(self) -> None:
        """Act once in every environment and store the rows."""
        try:
            self.count(*self.player.step(self.replay.add))
        except Crash as crash:
            self.recover(crash)

    def count(self, iterations: int, ended: list) -> None:
        """Rows that came in: the steps that they are, and the episodes that ended with them."""
        self.episodes += ended
        self.step += iterations * len(self.player) * self.ranks.count

    def recover(self, crash: Crash) -> None:
        """The collecting process is gone: begin again, once."""
        self.count(*self.player.take_news())
        for stream in range(len(self.player)):
            self.replay.cut(stream)
        self.player.restart()
        if self.player.restarts > 1:
            raise EnvironmentFailure(f"{crash} again") from None
        self.console.note(f"{crash}; it was started again, with new episodes")

    def updates_due(self) -> int:
        """Updates owed: replayed rows ÷ collected rows = train_ratio, from the prefill's end on.

        Fractions carry over. Rows collected before the first update are not made up for, but by
        `pretrain` updates.
        """
        if self.first_update < 0:
            ready = len(self.replay) >= self.prefill and self.replay.ready(self.batch[1])
            if not self.ranks.least(ready):
                return 0
            self.first_update = self.step
        rows = (self.step - self.first_update) * self.cfg["train_ratio"]
        if not self.cfg["collect_ahead"] and self.cfg["collect"] == "process":
            return 1  # free-running: the learner waits for nobody either
        replayed = self.batch[0] * self.batch[1] * self.ranks.count
        due = self.cfg["pretrain"] + int(rows / replayed)
        return due - self.updates

    def update(self) -> None:
        """One training step of the agent on one batch."""
        batch = self.replay.sample(*self.batch)
        index = batch.pop("index")
        metrics, latents = self.train_method()(batch)
        if self.latent_space and latents is not None:
            self.replay.refresh(index, {name: x.cpu().numpy() for name, x in latents.items()})
        self.metrics.add(metrics)
        self.updates += 1

    def train_method(self) -> Callable:
        """What an update is in this mode, at this point."""
        mode = self.cfg["mode"]
        if mode == "bootstrap" or mode == "train" and self.updates < self.cfg["model_first"]:
            return self.agent.train_world_model
        return self.agent.train_behavior if mode == "dreamer" else self.agent.train_step

    def begin_from(self, path: Path) -> None:
        """Take over the agent of another run; one of another kind, where this agent can `adopt` it.

        agent.adopt(agent_name, options, state) takes the name, the options and the `state_dict` of
        the other agent, and returns a remark. Errors: ValueError, where it cannot.
        """
        state = checkpoint.read(path, self.device)
        theirs, mine = state["header"], checkpoint.header(self.cfg)
        adopts = theirs["agent_name"] != mine["agent_name"] and hasattr(self.agent, "adopt")
        for key in ("task",) if adopts else ("agent_name", "task"):
            if theirs[key] != mine[key]:
                raise UserError(
                    f"{path} has {key.removesuffix('_name')} {theirs[key]}, "
                    f"this run has {mine[key]}"
                )
        if adopts:
            try:
                remark = self.agent.adopt(theirs["agent_name"], theirs["agent"], state["agent"])
            except ValueError as error:
                raise UserError(f"{path} cannot be taken over: {error}") from None
            self.console.note(remark)
        else:
            checkpoint.restore(self.agent, state, path)
        self.console.note(f"begins with the agent of {path}")

    def evaluate(self) -> None:
        """Play evaluation episodes; keep the agent if it is the best so far."""
        cfg = self.cfg
        self.evaluated = self.step
        if self.ranks.rank:
            return  # rank 0 plays, and says what comes of it
        seed = cfg["seed"] + EVALUATION + self.step
        result = evaluate(self.agent, self.make_env, cfg["eval_episodes"], seed)
        scores = np.array(result["scores"])
        mean = float(scores.mean())
        self.write("eval", {"return": mean, "std": float(scores.std()), "episodes": len(scores)})
        self.console.evaluated(self.step, mean, float(scores.std()), time.time() - self.start)
        if mean >= self.best:
            self.best = mean
            checkpoint.save(
                self.folder / "checkpoints" / "best.pt",
                {
                    "header": checkpoint.header(cfg), "agent": self.agent.state_dict(),
                    "step": self.step, "return": mean,
                },
            )  # fmt: skip
        if cfg["until"] is not None and mean >= cfg["until"]:
            self.stop = "solved"

    def log(self) -> None:
        """Write the means since the last log."""
        if not self.metrics.count:
            return
        self.check_finite()
        row = self.metrics.take() | {"updates": self.updates}
        if self.cfg["collect"] == "process" and self.step > self.first_update:
            replayed = self.updates * self.batch[0] * self.batch[1] * self.ranks.count
            row["train_ratio"] = replayed / (self.step - self.first_update)
        if self.episodes:
            scores, lengths = np.array(self.episodes, np.float64).T
            row |= {"episode_return": scores.mean(), "episode_length": lengths.mean()}
            self.episodes = []
        self.write("train", row)

    def check_finite(self) -> None:
        """Stop a run whose losses are not numbers any more, before it is saved."""
        bad = [name for name, x in self.metrics.sums.items() if not np.isfinite(float(x))]
        if bad:
            raise UserError(
                f"training diverged at step {self.step}: {', '.join(bad)} not finite; "
                "the last checkpoint is intact. Try a smaller agent.lr"
            )

    def write(self, kind: str, row: dict) -> None:
        seconds = round(time.time() - self.start, 2)
        self.jsonl.write({"kind": kind, "step": self.step, "seconds": seconds} | row)
        for sink in self.sinks:
            sink.write(kind, self.step, {"seconds": seconds} | row)

    def close(self, status: str = "FINISHED") -> None:
        """Hand the pictures to the sinks and close them."""
        for sink in self.sinks:
            sink.pictures(self.folder)
            sink.close(status)

    @contextmanager
    def _signals(self):
        """Ctrl-C and SIGTERM end the loop after the current step, so that it can save."""

        def stop(number, frame):
            if self.stop:
                raise KeyboardInterrupt
            self.stop = signal.Signals(number).name
            self.console.note(f"{self.stop}: saving")

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- saving and resuming ----------------------------------------------------------------------

    def save(self) -> None:
        """Everything needed to continue. Rows first, then the checkpoint that refers to them."""
        self.check_finite()
        player = self.player_state()
        state = {
            "header": checkpoint.header(self.cfg),
            "agent": self.agent.state_dict(),
            "trainer": {
                "step": self.step, "updates": self.updates, "first_update": self.first_update,
                "ranks": self.ranks.count,
                "seconds": time.time() - self.start, "best": self.best,
                "evaluated": self.evaluated,
                "sums": {name: float(x) for name, x in self.metrics.sums.items()},
                "count": self.metrics.count, "episodes": [list(x) for x in self.episodes],
            },
            "player": player,
            "replay": self.replay.save(),
            "random": {
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state_all() if self.device == "cuda" else [],
            },
            "jsonl": self.jsonl.size(),
        }  # fmt: skip
        self.save_on_all_ranks(state)
        self.replay.clean()

    def player_state(self) -> dict:
        """Where policy and environments are; rows that were on their way count from now on."""
        try:
            state = self.player.save(self.replay.add)
        except Crash as crash:
            self.recover(crash)
            state = self.player.save(self.replay.add)
        self.count(*self.player.take_news())
        return state

    def save_on_all_ranks(self, state: dict) -> None:
        """Rank 0 writes latest.pt, the others, before it, what is theirs alone."""
        folder = self.folder / "checkpoints"
        mine = folder / self.ranks.named(f"step-{self.step}.pt")
        if self.ranks.rank:
            own = ("header", "trainer", "player", "replay", "random")
            checkpoint.save(mine, {key: state[key] for key in own})
        self.ranks.wait()
        if self.ranks.rank == 0:
            checkpoint.save(folder / "latest.pt", state)
        self.ranks.wait()
        if self.ranks.rank:
            for path in folder.glob(self.ranks.named("step-*.pt")):
                if path != mine:
                    path.unlink()

    def load(self, path: Path) -> None:
        """Continue where a checkpoint was saved."""
        state = checkpoint.read(path, self.device)
        if "trainer" not in state:
            raise UserError(f"{path} holds an agent, not a run that can be continued")
        if "player" not in state:
            raise UserError(f"{path} cannot be continued: {checkpoint.REBUILD}")
        checkpoint.restore(self.agent, state, path)
        count = state["trainer"].get("ranks", 1)
        if count != self.ranks.count:
            raise UserError(
                f"{self.folder} was trained by {count} process{'es' * (count > 1)}, each with rows "
                f"of its own: it cannot go on with {self.ranks.count}"
            )
        if self.ranks.rank:
            step = state["trainer"]["step"]
            own = path.parent / self.ranks.named(f"step-{step}.pt")
            state |= checkpoint.read(own, self.device)
        trainer = state["trainer"]
        for name in ("step", "updates", "first_update", "seconds", "best", "evaluated"):
            setattr(self, name, trainer[name])
        self.metrics.sums, self.metrics.count = dict(trainer["sums"]), trainer["count"]
        self.episodes = [tuple(x) for x in trainer["episodes"]]
        try:
            self.replay.load(_to_cpu(state["replay"]))
        except (ValueError, OSError) as error:
            raise UserError(f"the replay of {self.folder} cannot be continued: {error}") from None
        for number in self.player.load(_to_cpu(state["player"])):
            self.replay.cut(number)
            self.console.note(
                f"environment {number} did not repeat its episode: it was cut, a new one begins"
            )
        torch.set_rng_state(state["random"]["torch"].cpu())
        for number, x in enumerate(state["random"]["cuda"]):
            torch.cuda.set_rng_state(x.cpu(), number)
        self.jsonl.truncate(state.get("jsonl", 0))
        self.console.note(f"continuing {self.folder} at step {self.step:,}")
        if len(self.replay) * self.replay.latent.itemsize > LATENTS_SAVED:
            self.console.note("stored latents were too large to save: sequences start from zero")


def _to_cpu(tree):
    """The same nested dictionaries and lists, with tensors on the CPU."""
    if isinstance(tree, torch.Tensor):
        return tree.cpu()
    if isinstance(tree, dict):
        return {key: _to_cpu(value) for key, value in tree.items()}
    return [_to_cpu(value) for value in tree] if isinstance(tree, list) else tree
