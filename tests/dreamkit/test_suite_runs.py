"""The agents on the suites: train, stop in the middle, go on in another process, evaluate."""

import re
import signal

import pytest
from conftest import AGENT
from processes import Started
from test_resume import assert_same_run, metrics

from dreamkit import UserError, checkpoint, make

V1 = [
    *["agent=dreamerv1", "agent.rnn_hidden_dim=16", "agent.state_dim=4", "agent.hidden_dim=16"],
    *["agent.depth=2", "agent.units=16", "agent.actor_delay=0"],
]
V2 = [
    *["agent=dreamerv2", "agent.rnn_hidden_dim=16", "agent.rssm_hidden_dim=16"],
    *["agent.num_categoricals=4", "agent.num_categories=4", "agent.hidden_dim=16"],
    "agent.embed_dim=64",
]
V3 = ["agent=dreamerv3", *(option for option in AGENT if "batch" not in option)]
SHORT = [
    *["preset=debug", "steps=64", "prefill=48", "train_ratio=16", "log_every=4", "eval_every=56"],
    *["agent.batch_size=4", "agent.batch_length=8", "agent.imagine_length=3", "device=cpu"],
]
# Each with the decisions of one episode: the run meets several ends.
TASKS = {
    "atari_pong": (["task.size=16", "+task.frames=44"], 11),
    "dmc_walker_walk": (["task.repeat=60"], 17),
    "dmc_walker_walk_pixels": (["task.repeat=60", "task.size=16"], 17),
    "vizdoom_basic": (["task.size=16", "task.repeat=20"], 15),
}


@pytest.mark.parametrize(
    "agent, task",
    [
        (V2, "atari_pong"),
        (V3, "atari_pong"),
        pytest.param(V1, "dmc_walker_walk", marks=pytest.mark.long),
        (V3, "dmc_walker_walk"),
        pytest.param(V1, "dmc_walker_walk_pixels", marks=pytest.mark.long),
        pytest.param(V2, "dmc_walker_walk_pixels", marks=pytest.mark.long),
        pytest.param(V3, "dmc_walker_walk_pixels", marks=pytest.mark.long),
        (V3, "vizdoom_basic"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_an_agent_trains_stops_goes_on_exactly_and_is_evaluated(
    train, evaluate, tmp_path, agent, task, no_report
):
    options, length = TASKS[task]
    try:
        env = make(task, size=16)
        env.reset(seed=0)
        env.close()
    except UserError as error:  # a library or OpenGL is missing
        pytest.skip(str(error))
    command = [f"task={task}", *agent, *SHORT, *options]
    if agent is V2:  # its own names, which are those of its paper
        names = {"agent.batch_length": "agent.seq_len"}
        names["agent.imagine_length"] = "agent.imagination_horizon"
        pairs = (item.split("=", 1) for item in command)
        command = ["=".join([names.get(key, key), value]) for key, value in pairs]
    assert train(*command, "run=whole") == 0, train.err

    stopped = Started([*command, "run=run"], tmp_path, die_at=("update", 4, signal.SIGTERM))
    assert stopped.wait() == 143, stopped.stderr
    state = checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")
    assert state["trainer"]["updates"] == 4
    for slot in state["player"]["collector"]:  # inside a later episode
        assert slot["episode"] > 0 and 0 < len(slot["actions"]) < length

    assert train("run=run") == 0, train.err
    assert "continuing run at step" in train.out and "was cut" not in train.out
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    logged = metrics(tmp_path / "run")
    assert [row["step"] for row in logged if row["kind"] == "eval"] == [56, 64]
    assert [row["step"] for row in logged if row["kind"] == "train"][-4:] == [52, 56, 60, 64]

    assert evaluate("checkpoint=run", "episodes=2", "device=cpu") == 0, evaluate.err
    played = re.search(r"over 2 episodes .*mean length (\d+)", evaluate.out)
    assert task in evaluate.out and 0 < int(played[1]) <= length
