"""The world model alone, then actor and critic alone; and runs that leave nothing."""

import os

import pytest
import torch

from dreamkit import checkpoint, make
from dreamkit.cli import resolve
from dreamkit.loggers import read_jsonl
from dreamkit.trainer import Trainer
from solutions.paper3_dreamerv3.train import Agent

pytestmark = pytest.mark.usefixtures("no_report")
AGENTS = ["dreamerv1", "dreamerv2", "dreamerv3", "hdreamer"]
SHORT = ["device=cpu", "preset=debug", "steps=160", "prefill=60", "save_every=0", "log_every=40"]
TASK = {"dreamerv1": ["task=pendulum", "agent.actor_delay=0"]}


def options(agent: str) -> list[str]:
    return [f"agent={agent}", *TASK.get(agent, ["task=cartpole"]), *SHORT]


def parts(run) -> dict[str, torch.Tensor]:
    """{what a parameter belongs to: all of its numbers} of the last checkpoint."""
    state = checkpoint.read(run / "checkpoints" / "latest.pt")["agent"]
    modules = state["modules"] if "modules" in state else state["model"]
    found = {}
    for name, x in sorted(modules.items()):
        found.setdefault(name.split(".")[0], []).append(x.double().flatten())
    return {name: torch.cat(x) for name, x in found.items()}


def losses(run) -> set[str]:
    rows = read_jsonl(run / "metrics.jsonl", "train")
    return {name for row in rows for name in row if name.startswith("loss/")}


@pytest.mark.parametrize("agent", AGENTS)
def test_bootstrap_trains_the_world_model_and_dreamer_the_rest(agent, train, tmp_path):
    assert train(*options(agent), "mode=bootstrap", f"run={tmp_path / 'model'}") == 0
    model = parts(tmp_path / "model")
    assert not read_jsonl(tmp_path / "model" / "metrics.jsonl", "eval")  # there is no policy
    names = losses(tmp_path / "model")
    assert names and not {"loss/policy", "loss/value"} & names
    extra = ["mode=dreamer", f"checkpoint={tmp_path / 'model'}", f"run={tmp_path / 'policy'}"]
    assert train(*options(agent), *extra) == 0
    policy = parts(tmp_path / "policy")
    changed = {name for name in model if not torch.equal(model[name], policy[name])}
    assert "world_model" not in changed and {"actor", "critic"} <= changed
    assert "loss/policy" in losses(tmp_path / "policy") and not names & losses(tmp_path / "policy")
    assert "begins with the agent of" in train.out


@pytest.mark.parametrize("task", ["cartpole", "cartpole_continuous"])
def test_bootstrap_acts_at_random_and_the_state_remembers_what_was_done(task, tmp_path):
    cfg = resolve([f"task={task}", *SHORT, "mode=bootstrap", "envs=2", "steps=500"])
    run = Trainer(cfg, tmp_path, lambda: make(**cfg["task"]))
    actions = []
    for _ in range(200):
        run.collect()
        actions.append(run.player.state["action"])
    actions = torch.stack(actions).flatten(0, 1)
    stored = run.replay.sample(64, 2)
    stored = stored["action"][~stored["is_first"]]
    assert {tuple(x) for x in stored} <= {tuple(x) for x in actions.numpy()}
    if task == "cartpole":
        assert set(map(tuple, actions.tolist())) == {(0.0, 1.0), (1.0, 0.0)}
        assert 0.4 < actions[:, 0].mean() < 0.6
    else:
        assert actions.abs().max() <= 1 and 0.5 < actions.std() < 0.65  # 1/√3 = 0.577
        assert abs(actions.mean()) < 0.1


def test_dreamer_goes_on_where_it_was_stopped(train, tmp_path):
    model, run = tmp_path / "model", tmp_path / "policy"
    assert train(*options("dreamerv3"), "mode=bootstrap", f"run={model}") == 0
    extra = ["mode=dreamer", f"checkpoint={model}"]
    assert train(*options("dreamerv3"), *extra, f"run={tmp_path / 'whole'}") == 0
    assert train(*options("dreamerv3"), *extra, f"run={run}", "steps=120") == 0
    assert train(f"run={run}", "steps=160") == 0
    whole, pieces = parts(tmp_path / "whole"), parts(run)
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_the_world_model_can_have_a_start(train, tmp_path):
    run = tmp_path / "run"
    assert train(*options("dreamerv3"), "model_first=3", f"run={run}") == 0
    rows = read_jsonl(run / "metrics.jsonl", "train")
    assert "loss/policy" in rows[-1] and rows[-1]["updates"] > 3


@pytest.mark.parametrize(
    "given, message",
    [
        (["mode=dream"], "mode=dream: one of train, bootstrap, dreamer"),
        (["mode=dreamer"], "mode=dreamer needs a world model: checkpoint="),
        (["mode=dreamer", "checkpoint=nowhere"], "there is no checkpoint nowhere"),
        (["model_first=-1"], "model_first=-1 must not be negative"),
        (["dry_run=true", "run=runs/x"], "dry_run=true keeps nothing"),
    ],
)
def test_what_makes_no_sense_is_one_line(given, message, train):
    assert message in train.error("task=cartpole", *SHORT, *given)


def test_the_agent_of_another_task_is_refused(train, tmp_path):
    assert train(*options("dreamerv3"), "mode=bootstrap", f"run={tmp_path / 'model'}") == 0
    extra = ["mode=dreamer", f"checkpoint={tmp_path / 'model'}", f"run={tmp_path / 'policy'}"]
    assert "this run has" in train.error("task=catch", *SHORT, *extra)


def test_an_agent_of_another_kind_is_refused(stub, train, tmp_path):
    assert train("task=cartpole", *stub, "steps=40", f"run={tmp_path / 'stub'}") == 0
    extra = [f"checkpoint={tmp_path / 'stub'}", f"run={tmp_path / 'run'}"]
    message = train.error(*options("dreamerv3"), *extra)
    assert message.endswith("has agent stub, this run has dreamerv3")


def test_an_agent_that_can_adopt_another_kind_is_asked(stub, train, tmp_path, monkeypatch):
    """It gets the other's name, options and state; what it says is a note, or one line."""
    asked = []

    def adopt(agent, *given) -> str:
        asked.append(given)
        if len(asked) > 1:
            raise ValueError("two is too much")
        return "adopted: one weight"

    monkeypatch.setattr(Agent, "adopt", adopt, raising=False)
    assert train("task=cartpole", *stub, "steps=40", f"run={tmp_path / 'stub'}") == 0
    extra = [f"checkpoint={tmp_path / 'stub'}", "mode=bootstrap", "steps=20"]
    assert train(*options("dreamerv3"), *extra, f"run={tmp_path / 'run'}") == 0
    [(name, given, state)] = asked
    assert name == "stub" and given["lr"] == 0.1 and set(state) == {"weight"}
    assert "adopted: one weight" in train.out and "begins with the agent of" in train.out
    message = train.error(*options("dreamerv3"), *extra, f"run={tmp_path / 'again'}")
    assert message.endswith("cannot be taken over: two is too much")
    message = train.error("task=catch", *options("dreamerv3")[2:], *extra)
    assert "has task" in message and len(asked) == 2


def test_a_dry_run_leaves_nothing(train, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert train("task=cartpole", *SHORT, "dry_run=true", "log=[mlflow]") == 0
    assert [path for path, *_ in os.walk(tmp_path)] == [str(tmp_path), str(tmp_path / "tmp")]
    assert "dry run: nothing was kept" in train.out
