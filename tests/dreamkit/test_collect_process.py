"""collect=process: the same rows as inline, weights that arrive, waiting, and crashes."""

import os
import signal
import time

import numpy as np
import pytest
import torch

from dreamkit import checkpoint, make
from dreamkit.collect import Collector, EnvironmentFailure, Player
from dreamkit.collect_process import Crash, RemotePlayer
from dreamkit.config import resolve
from dreamkit.loggers import read_jsonl
from dreamkit.trainer import Trainer

QUICK = ["preset=debug", "device=cpu", "envs=2", "collect=process", "save_every=0"]


@pytest.fixture
def remote():
    """remote("task=cartpole", ahead=3): a RemotePlayer, and what it was made of."""
    opened = []

    def build(*overrides, ahead=3, seed=5):
        cfg = resolve([*QUICK, *overrides])
        torch.manual_seed(1)
        agent = checkpoint.build_agent(checkpoint.header(cfg), make(**cfg["task"]))
        opened.append(RemotePlayer(cfg, seed, agent, ahead))
        return opened[-1], agent, cfg

    yield build
    for player in opened:
        player.close()


def collected(player, iterations: int) -> list:
    rows, done = [], 0
    while done < iterations:
        done += player.step(lambda *row: rows.append(row))[0]
    return rows


@pytest.mark.parametrize("mode", [[], pytest.param(["mode=bootstrap"], marks=pytest.mark.long)])
def test_the_rows_are_those_of_inline_collection(mode, remote):
    player, agent, cfg = remote("task=cartpole", *mode)
    player.publish()
    there = collected(player, 30)
    inline = Player(agent, Collector([make(**cfg["task"]) for _ in range(2)], 5), bool(mode))
    torch.manual_seed(5)
    here = collected(inline, 30)
    assert len(there) == len(here) > 60
    for (a, row, latents), (b, other, other_latents) in zip(there, here, strict=True):
        assert a == b and row.keys() == other.keys()
        for key in row:
            np.testing.assert_array_equal(row[key], other[key])
        assert (latents is None) == (other_latents is None)
        for key in latents or {}:
            np.testing.assert_array_equal(latents[key], other_latents[key])


def test_the_policy_takes_the_newest_weights(remote):
    """An actor that is pushed to one side acts so, some iterations later."""
    player, agent, _ = remote("task=cartpole", ahead=2)
    player.publish()
    collected(player, 5)
    with torch.no_grad():
        agent.actor.mlp[-1].weight.zero_()
        agent.actor.mlp[-1].bias.copy_(torch.tensor([-50.0, 50.0]))
    player.publish()
    collected(player, 4)  # what was on its way
    rows = [row for _, row, _ in collected(player, 30) if not row["is_first"]]
    assert np.mean([row["action"][1] for row in rows]) > 0.9  # one percent of unimix is left


def test_it_waits_when_it_is_ahead(remote):
    player, _, _ = remote("task=cartpole", ahead=4)
    collected(player, 1)
    time.sleep(1)
    waiting = 0
    while player.connection.poll(0.2):
        player.take(lambda *row: None)
        waiting += 1
    assert waiting == 3  # of the four that it was allowed


@pytest.mark.long
def test_without_a_limit_it_does_not_wait(remote):
    player, _, _ = remote("task=cartpole", ahead=0)
    player.publish()
    count, end = 0, time.time() + 20
    while count < 60 and time.time() < end:
        count += player.step(lambda *row: None)[0]
    assert count >= 60


def test_an_environment_that_fails_is_named(remote):
    player, _, _ = remote("task=toy_environments:Toy/Failing-v0", "+task.failure=step")
    with pytest.raises(EnvironmentFailure, match="environment 0 .*failed"):
        collected(player, 100)


def test_what_failed_ahead_of_time_does_not_keep_a_run_from_being_saved(remote):
    task = ["task=toy_environments:Toy/Failing-v0", "+task.failure=step"]
    player, _, _ = remote(*task, ahead=10)
    rows = []
    assert player.step(lambda *row: rows.append(row)) == (1, [])
    time.sleep(1)  # it fails at the third step
    state = player.save(lambda *row: rows.append(row))
    assert player.take_news() == (1, []) and len(rows) == 2 * 2
    assert [len(slot["actions"]) for slot in state["collector"]] == [2, 2]
    with pytest.raises(EnvironmentFailure):
        collected(player, 1)


def test_a_process_that_dies_is_a_crash_and_can_begin_again(remote):
    player, _, _ = remote("task=cartpole")
    collected(player, 3)
    os.kill(player.process.pid, signal.SIGKILL)
    with pytest.raises(Crash, match="ended with exit code -9"):
        collected(player, 20)
    player.restart()
    rows = collected(player, 3)
    assert rows[0][1]["is_first"] and rows[1][1]["is_first"]


def trainer(tmp_path, *overrides) -> Trainer:
    cfg = resolve([*QUICK, "task=cartpole", *overrides])
    return Trainer(cfg, tmp_path, lambda: make(**cfg["task"]))


@pytest.mark.long
def test_a_run_survives_one_crash_and_stops_with_a_checkpoint_at_the_second(tmp_path, monkeypatch):
    run = trainer(tmp_path, "steps=3000", "collect_ahead=0.5", "eval_every=0", "log_every=0")
    notes, step = [], run.player.step
    monkeypatch.setattr(run.console, "note", notes.append)
    calls = []

    def killing(store):
        calls.append(1)
        if len(calls) in (100, 200):
            run.player.process.kill()
        return step(store)

    monkeypatch.setattr(run.player, "step", killing)
    with pytest.raises(Exception, match="ended with exit code -9 again; saved at step"):
        run.run()
    assert sum("it was started again" in note for note in notes) == 1
    state = checkpoint.read(tmp_path / "checkpoints" / "latest.pt")
    assert state["trainer"]["step"] == run.step > 300


@pytest.mark.long
def test_a_crash_that_shows_while_saving_costs_no_checkpoint(tmp_path):
    run = trainer(tmp_path, "steps=400")
    run.start = time.time()
    for _ in range(20):
        run.collect()
    run.player.process.kill()
    run.player.process.join()
    run.save()
    state = checkpoint.read(tmp_path / "checkpoints" / "latest.pt")
    assert state["trainer"]["step"] == run.step >= 40
    assert [len(slot["actions"]) for slot in state["player"]["collector"]] == [0, 0]
    run.player.close()


@pytest.mark.long
def test_a_run_trains_waits_for_its_ratio_and_goes_on(train, tmp_path, no_report):
    run = tmp_path / "run"
    for steps in (300, 600):
        assert train("task=cartpole", *QUICK, f"steps={steps}", f"run={run}") == 0
    rows = read_jsonl(run / "metrics.jsonl", "train")
    assert "continuing" in train.out and "did not repeat" not in train.out
    assert 6 < rows[-1]["train_ratio"] <= 8  # preset=debug asks for 8


@pytest.mark.long
def test_a_free_running_collector_is_logged(train, tmp_path, no_report):
    given = ["steps=2000", "collect_ahead=0", f"run={tmp_path / 'run'}"]
    assert train("task=cartpole", *QUICK, *given) == 0
    rows = read_jsonl(tmp_path / "run" / "metrics.jsonl", "train")
    assert rows[-1]["train_ratio"] > 0 and rows[-1]["updates"] > 5
