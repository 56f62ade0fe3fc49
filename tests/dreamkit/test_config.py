"""From overrides to the configuration of a run: defaults, size, task, what an agent asks for."""

import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from dreamkit import UserError
from dreamkit.config import SUITES, resolve, task_names
from dreamkit.trainer import RunConfig

AGENT = """
from dataclasses import dataclass

@dataclass
class Config:
    batch_size: int = 4
    batch_length: int = 8
    speed: float = 1.0
    depth: int = 1

SIZES = {"tiny": {"depth": 2}, "large": {"depth": 3}}
"""
TASKS = """
TASKS = {"tiny": {"pendulum": dict(pretrain=7, train_ratio=3, agent=dict(speed=5.0, depth=9))}}
"""


@pytest.fixture
def folder(tmp_path):
    """Two agents, one of which asks for something on a task."""
    for name, source in (("paper8_plain", AGENT), ("paper9_tuned", AGENT + TASKS)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.py").write_text(source)
    yield f"code={tmp_path}"
    for name in ("paper8_plain", "paper9_tuned"):
        sys.modules.pop(f"{name}.train", None)
        sys.modules.pop(name, None)


def test_an_agent_says_what_a_size_needs_on_a_task(folder):
    cfg = resolve([folder, "agent=tuned", "task=pendulum"])
    assert (cfg["agent"]["speed"], cfg["agent"]["depth"]) == (5.0, 9)
    assert (cfg["pretrain"], cfg["train_ratio"]) == (7, 3)
    assert cfg["steps"] == 10000  # of the task, for every agent


def test_another_task_or_size_or_agent_is_not_touched(folder):
    for name, size, task, depth in (
        ("tuned", "tiny", "cartpole", 2),
        ("tuned", "large", "pendulum", 3),
        ("plain", "tiny", "pendulum", 2),
    ):
        cfg = resolve([folder, f"agent={name}", f"size={size}", f"task={task}"])
        assert (cfg["agent"]["speed"], cfg["agent"]["depth"]) == (1.0, depth)
        assert cfg["pretrain"] == 0


def test_what_the_user_says_comes_last(folder):
    cfg = resolve([folder, "agent=tuned", "task=pendulum", "agent.speed=2", "pretrain=1"])
    assert (cfg["agent"]["speed"], cfg["agent"]["depth"], cfg["pretrain"]) == (2.0, 9, 1)


def test_no_task_file_speaks_of_an_agent(folder):
    """Every task works with an agent that knows no other option."""
    for task in task_names():
        given = ["task.name=CartPole-v1"] if task in ("gymnasium", *SUITES) else []
        assert resolve([folder, "agent=plain", f"task={task}", *given])["agent"]["depth"] == 2


@pytest.mark.parametrize("name", ["dreamerv1", "dreamerv2", "dreamerv3", "hdreamer"])
def test_tasks_that_agents_speak_of_are_there(name):
    from dreamkit import agents

    module = agents.load(name)
    for size, tasks in module.TASKS.items():
        assert size in module.SIZES and set(tasks) <= set(task_names())
        for task in tasks:
            example = {"dmc": "dmc_walker_walk", "dmc_pixels": "dmc_walker_walk_pixels",
                       "atari": "atari_pong"}  # fmt: skip
            resolve([f"agent={name}", f"size={size}", f"task={example.get(task, task)}"])


def test_a_negative_number_of_updates_is_refused():
    with pytest.raises(UserError, match="pretrain=-1"):
        resolve(["pretrain=-1"])


@pytest.mark.parametrize("page", ["troubleshooting.md", "fidelity.md", "training.md"])
def test_every_option_that_a_page_names_exists(page):
    """`key=value` in backticks or in a command, for one of the agents on one of the tasks."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    keys = "|".join(field.name for field in fields(RunConfig))
    found = set(re.findall(rf"[`\s](\+?(?:(?:agent|task)\.\w+|{keys})=(?:[\w.-]+|\[\w+\]))", text))
    bases = [
        [f"agent={agent}", f"task={task}", "checkpoint=x"]
        for agent in ("dreamerv3", "dreamerv1", "hdreamer")
        for task in ("atari_pong", "dmc_walker_walk_pixels")
    ]
    elsewhere = ("task=", "run=", "agent=")
    options = found - {option for option in found if option.startswith(elsewhere)}
    assert options
    for option in options:
        assert any(resolves([*base, option]) for base in bases), option


def resolves(overrides: list[str]) -> bool:
    try:
        return bool(resolve(overrides))
    except UserError:
        return False


@pytest.mark.parametrize("name", ["dreamerv1", "dreamerv2", "dreamerv3", "hdreamer"])
def test_the_debug_preset_makes_the_batches_of_every_agent_small(name):
    from dreamkit import agents

    given = [f"agent={name}", "task=pendulum", "preset=debug"]
    config = agents.load(name).Config(**resolve(given)["agent"])
    assert (config.batch_size, config.batch_length) == (4, 16)
    assert resolve([*given, "agent.batch_size=5"])["agent"]["batch_size"] == 5
