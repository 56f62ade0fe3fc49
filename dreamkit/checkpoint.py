"""Checkpoints: written whole or not at all, read without running code, refused if they do not fit.

A checkpoint is one file of tensors, numbers and strings, which torch loads with `weights_only`.
Its header names the agent and all of its options, so that the file alone is enough to play.
"""

import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import torch

from dreamkit import UserError, agents, first_line
from dreamkit.collect import to_environment
from dreamkit.envs import make

FORMAT = 1
HEADER = ("agent_name", "code", "agent", "task")
REBUILD = "it was made by another version of the project: train again, or use that version"


def choose_device(name: str) -> str:
    """`auto` is a GPU (CUDA or ROCm) where torch sees one, else the CPU."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros((), device=name)
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise UserError(f"device={name} cannot be used: {reason}; try device=cpu") from None
    return name


def device_name(device: str) -> str:
    """What a person wants to know of it: cuda:0 (NVIDIA …), cuda (AMD …, ROCm), cpu."""
    if not device.startswith("cuda"):
        return device
    rocm = ", ROCm" if torch.version.hip else ""
    return f"{device} ({torch.cuda.get_device_name(device)}{rocm})"


def write_whole(path: Path, write: Callable) -> None:
    """Call write(file) on a temporary file, flush it to the disk, and only then name it `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} could not be written: {error}") from error


def save(path: Path, state: dict) -> None:
    """Write a checkpoint, whole or not at all."""
    write_whole(path, lambda file: torch.save({"format": FORMAT} | state, file))


def find(path: str | Path) -> Path:
    """The checkpoint that a path means: the file itself, or the best one of a run folder."""
    path = Path(path)
    if path.is_dir():
        for name in ("best.pt", "latest.pt"):
            for folder in (path / "checkpoints", path):
                if (folder / name).exists():
                    return folder / name
        raise UserError(f"{path} has no checkpoint")
    if not path.exists():
        raise UserError(f"there is no checkpoint {path}")
    return path


def read(path: str | Path, device: str = "cpu") -> dict:
    """The content of a checkpoint. Only tensors and plain values are accepted: no code runs.

    errors   UserError: truncated, of another kind, or of another version
    """
    path = find(path)
    damaged = f"{path} is damaged, or is no checkpoint: it was not loaded"
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():  # torch itself does not compare the checksums
                raise UserError(damaged)
        state = torch.load(path, map_location=device, weights_only=True)
    except UserError:
        raise
    except Exception as error:
        raise UserError(damaged) from error
    known = isinstance(state, dict) and state.get("format") == FORMAT
    if not known or set(state.get("header", ())) != set(HEADER):
        raise UserError(f"{path} is not a checkpoint that this version can read: {REBUILD}")
    return state


def header(cfg) -> dict:
    """What a checkpoint says of itself; `cfg` is the resolved configuration of the run."""
    return {key: cfg[key] for key in HEADER}


def build_agent(head: dict, env, device: str = "cpu"):
    """The agent that a header describes, for an environment's spaces."""
    module = agents.load(head["agent_name"], head["code"])
    known = {field.name for field in fields(module.Config)}
    if set(head["agent"]) - known:
        names = ", ".join(sorted(set(head["agent"]) - known))
        raise UserError(f"{head['agent_name']} has no option {names}: {REBUILD}")
    config = module.Config(**head["agent"])
    try:
        return module.Agent(env.observation_space.spaces, env.action_space, config, device)
    except ValueError as error:
        raise UserError(f"{head['agent_name']} cannot use this task: {error}") from None


def restore(agent, state: dict, path: str | Path) -> None:
    """Load an agent's state from a checkpoint's content; one line where it does not fit."""
    try:
        agent.load_state_dict(state["agent"])
    except (RuntimeError, KeyError, ValueError) as error:
        detail = " ".join(str(error).split())[:150]
        raise UserError(f"{path} does not fit {asdict(agent.config)}: {detail}") from None


class Policy:
    """A trained agent for one environment: call it with an observation, get an action.

    Call `reset` when an episode begins.
    """

    def __init__(self, agent, space):
        self.agent, self.space = agent, space
        self.reset()

    def reset(self) -> None:
        self.state, self.first = self.agent.initial_state(1), True

    def __call__(self, obs: dict):
        """{name: array} → what env.step takes."""
        batch = {key: x[None] for key, x in obs.items()} | {"is_first": torch.tensor([self.first])}
        action, self.state = self.agent.act(batch, self.state, explore=False)
        self.first = False
        return to_environment(action.cpu().numpy(), self.space)[0]


def load_policy(path: str | Path, device: str = "auto"):
    """(Policy, environment) of a run folder (its best checkpoint) or of a checkpoint file."""
    device = choose_device(device)
    state = read(path, device)
    env = make(**state["header"]["task"])
    agent = build_agent(state["header"], env, device)
    restore(agent, state, path)
    return Policy(agent, env.action_space), env
