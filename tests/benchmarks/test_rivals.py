"""Agents of other libraries beside ours: what is started, what is measured, what is printed."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks import learn, rivals
from dreamkit import UserError
from dreamkit.config import resolve
from dreamkit.loggers import read_jsonl


class Still:
    """A player that always pushes to the right."""

    device = torch.device("cpu")

    def initial_state(self, n):
        self.n = n

    def act(self, obs, state, explore=False):
        return torch.tensor([[0.0, 1.0]]).expand(self.n, 2), None


def watching(folder, **options):
    defaults = dict(run=str(folder), seed=0, until=475, steps=0, minutes=0)
    return rivals.Watch(defaults | options, resolve(["task=cartpole"]))


def row(step, value):
    return {"step": step, "seconds": step / 10, "return": value}


# --- without the libraries ------------------------------------------------------------------------


@pytest.mark.parametrize("agent, library", [("ppo", "stable-baselines3"), ("sheeprl", "sheeprl")])
def test_a_missing_library_is_one_line_with_the_command(monkeypatch, agent, library):
    monkeypatch.setattr(rivals, "find_spec", lambda _: None)
    line = rf"agent={agent} needs {library}: pip install -e '.\[rivals\]'"
    with pytest.raises(UserError, match=line):
        learn.measure(["task=cartpole", f"agent=dreamerv3,{agent}"])


def test_the_command_ends_with_code_2():
    command = [sys.executable, "-m", "benchmarks.rivals", "nobody", "run=nowhere"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        "error: unknown rival 'nobody': name one of ppo, sheeprl, sheeprl_tiny"
    )


def test_an_option_with_a_name_is_for_that_agent_alone():
    extra = ["task.size=16", "eval_every=500", "agent.lr=1e-3", "ppo.minutes=8", "ppo.gamma=0.9"]
    agents = ["dreamerv3", "sheeprl", "ppo"]
    assert learn.options_of("ppo", agents, extra) == [*extra[:2], "minutes=8", "gamma=0.9"]
    assert learn.options_of("sheeprl", agents, extra) == extra[:2]
    assert learn.options_of("dreamerv3", agents, extra) == extra[:3]


def test_agents_take_turns_seed_by_seed_and_share_their_files(monkeypatch, tmp_path, capsys):
    started = []
    monkeypatch.setattr(rivals, "find_spec", lambda _: True)
    monkeypatch.setattr(learn, "train_seed", lambda *job: started.append(job))
    monkeypatch.setattr(learn, "play_again", lambda _: 480.0)
    rows = {"ppo": [row(256, 20.0), row(512, 500.0)], "cartpole": [row(500, 20.0)]}
    monkeypatch.setattr(learn, "read_jsonl", lambda path, _: rows[path.parent.name.split("-")[0]])
    agents = "agent=dreamerv3,ppo"
    learn.measure(["task=cartpole", "seeds=2", "parallel=1", agents, f"out={tmp_path}"])
    names = [folder.name for folder, _ in started]
    assert names == ["cartpole-0", "ppo-cartpole-0", "cartpole-1", "ppo-cartpole-1"]
    command = started[1][1]
    assert command[1:4] == ["-m", "benchmarks.rivals", "ppo"]
    assert {"task=cartpole", "seed=0", "until=475.0", "threads=1"} <= {*command}
    assert {path.name for path in tmp_path.iterdir()} == {
        "cartpole-rivals.json", "cartpole-rivals.png"
    }  # fmt: skip
    content = json.loads((tmp_path / "cartpole-rivals.json").read_text())
    assert [seed["solved"] for seed in content["agents"]["ppo"]] == [True, True]
    printed = capsys.readouterr().out
    assert "| dreamerv3 | 0 of 2 | none in 500 | none in 50 | 20.0 (20.0 to 20.0) |" in printed
    assert "| ppo | 2 of 2 | 512 (512 to 512) | 51 (51 to 51) | 500.0 (500.0 to 500.0) |" in printed


def test_evaluations_are_those_of_our_runs_and_take_no_time(tmp_path):
    watch = watching(tmp_path)
    assert not watch.look(250, Still())
    assert not watch.look(500, Still())
    rows = read_jsonl(tmp_path / "metrics.jsonl", "eval")
    assert [row["step"] for row in rows] == [250, 500]
    assert all(8 <= row["return"] <= 11 for row in rows)
    assert rows[1]["seconds"] - rows[0]["seconds"] < 0.05


def test_the_goal_or_the_time_ends_a_run(tmp_path):
    assert watching(tmp_path, until=5).look(250, Still())
    watch = watching(tmp_path, minutes=1)
    watch.start -= 61
    assert watch.look(250, Still())


# --- with them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("task, steps", [("cartpole", 300), ("cartpole_pixels", 100)])
def test_ppo_trains_and_plays_fresh_episodes(tmp_path, task, steps):
    pytest.importorskip("stable_baselines3")
    rest = ["ppo", f"run={tmp_path}", f"task={task}", f"steps={steps}", "eval_every=64"]
    assert rivals.train_rival([*rest, "n_envs=2", "n_steps=32", "batch_size=64"]) == 0
    rows = read_jsonl(tmp_path / "metrics.jsonl", "eval")
    assert rows[0]["step"] == 64 and rows[0]["return"] > 5
    result = json.loads((tmp_path / rivals.RESULT).read_text())
    assert result["library"].startswith("stable_baselines3 2.")
    assert result["settings"]["n_steps"] == 32


def test_ppo_sees_the_last_four_pictures_in_evaluation_as_in_training():
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecFrameStack

    from benchmarks import rival_ppo
    from dreamkit import make

    task = {"name": "cartpole_pixels"}
    envs = make_vec_env(lambda: rival_ppo.environment(task), 1, seed=3)
    envs = VecFrameStack(envs, 4, channels_order="first")
    seen = []

    class Policy:
        observation_space, action_space = envs.observation_space, envs.action_space
        action_dist = type("Distribution", (), {})()

        def predict(self, x, deterministic):
            seen.append(x)
            return np.array([1]), None

    player = rival_ppo.Player(Policy())
    env = make(**task)
    state = player.initial_state(1)
    obs, _ = env.reset(seed=3)
    stacked = envs.reset()
    for _ in range(6):
        x = {"image": obs["image"][None], "is_first": np.array([False])}
        _, state = player.act(x, state)
        assert np.array_equal(seen[-1], stacked)
        obs, *_ = env.step(1)
        stacked, *_ = envs.step([1])


@pytest.mark.parametrize("task", ["cartpole", "cartpole_pixels"])
def test_sheeprl_trains_and_plays_fresh_episodes(tmp_path, task):
    pytest.importorskip("sheeprl")
    small = [
        "algo.per_rank_batch_size=2", "algo.per_rank_sequence_length=4", "algo.learning_starts=16",
        "algo.replay_ratio=0.1", "algo.horizon=3",
    ]  # fmt: skip
    arguments = [f"run={tmp_path}", f"task={task}", "steps=40", "eval_every=20", *small]
    assert rivals.train_rival(["sheeprl_tiny", *arguments]) == 0
    rows = read_jsonl(tmp_path / "metrics.jsonl", "eval")
    assert [row["step"] for row in rows] == [20, 40]
    settings = json.loads((tmp_path / rivals.RESULT).read_text())["settings"]
    assert settings["algo.world_model.recurrent_model.recurrent_state_size"] == 128
    assert not list(tmp_path.rglob("*.ckpt"))
