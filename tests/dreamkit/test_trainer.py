"""The training loop: how many updates, and when it evaluates, logs and saves."""

import json
from collections import Counter

import numpy as np
import pytest

from dreamkit import UserError, make
from dreamkit.cli import resolve
from dreamkit.trainer import Trainer


@pytest.fixture
def trainer(stub, tmp_path):
    """A trainer with the stub agent: trainer("train_ratio=32", ...)"""

    def build(*overrides, task="Toy/Counter-v0"):
        cfg = resolve([*stub, f"task={task}", *overrides])
        return Trainer(cfg, tmp_path, lambda: make(**cfg["task"]))

    return build


def updates(trainer: Trainer, iterations: int) -> list[int]:
    """Updates after each iteration of collecting alone."""
    counts = []
    for _ in range(iterations):
        trainer.collect()
        for _ in range(trainer.updates_due()):
            trainer.update()
        counts.append(trainer.updates)
    return counts


def test_ratio_32_with_batches_of_16_by_64_is_one_update_in_32_decisions(trainer):
    run = trainer("size=paper", "train_ratio=32", "envs=1")
    counts = updates(run, 2000)
    began = run.first_update
    assert began < 1024  # rows are more than decisions: every episode has one more
    for decisions, count in enumerate(counts, 1):
        assert count == max(0, decisions - began) // 32
    assert counts[began + 1000 - 1] == 31


def test_decisions_in_all_environments_count(trainer):
    run = trainer("size=paper", "train_ratio=32", "envs=8", "prefill=512", "steps=10")
    counts = np.array(updates(run, 260))
    began = run.first_update // 8
    assert counts[began - 1] == 0
    assert counts[began + 39] == 40 * 8 // 32


def test_fractions_of_an_update_are_carried_over(trainer):
    """Ratio 12 with 4 × 8 rows: an update for every 2⅔ decisions."""
    run = trainer("train_ratio=12", "envs=1")
    counts = updates(run, 150)
    began = run.first_update
    assert counts[began + 7] == 3 and counts[began + 15] == 6 and counts[began + 79] == 30
    assert set(np.diff(counts[began - 1 :])) == {0, 1}


def test_a_high_ratio_is_several_updates_after_each_decision(trainer):
    run = trainer("train_ratio=128", "envs=1")
    counts = updates(run, 60)
    assert counts[run.first_update + 4] == 20


def test_updates_begin_when_the_replay_holds_one_batch_of_rows(trainer):
    run = trainer("train_ratio=32", "envs=1")
    while run.updates_due() == 0:
        assert len(run.replay) < 32 + 3
        run.collect()
    assert len(run.replay) >= 32


def test_a_longer_prefill_waits_longer_and_is_not_made_up_for(trainer):
    run = trainer("train_ratio=32", "envs=1", "prefill=200")
    counts = updates(run, 300)
    assert 200 * 5 / 6 - 2 < run.first_update <= 200
    assert max(np.diff(counts)) == 1
    assert counts[-1] == 300 - run.first_update


def test_pretraining_is_done_at_once_and_then_the_ratio_holds(trainer):
    plain, run = (
        trainer("train_ratio=32", "envs=1"),
        trainer("train_ratio=32", "envs=1", "pretrain=9"),
    )
    without, counts = updates(plain, 100), updates(run, 100)
    began = run.first_update - 1  # the iteration after which training began
    assert began == plain.first_update - 1
    assert counts[began - 1] == 0 and counts[began] == 9
    assert [a - b for a, b in zip(counts[began:], without[began:], strict=True)] == [9] * (
        100 - began
    )


def test_updates_wait_for_a_whole_sequence_of_one_environment(trainer):
    run = trainer("train_ratio=32", "envs=8", "prefill=8")
    counts = updates(run, 30)
    assert counts[5] == 0 and counts[-1] > 0


def test_the_agent_gets_consecutive_rows_as_arrays(trainer):
    run = trainer("envs=3")
    updates(run, 40)
    batch = run.agent.batches[-1]
    assert batch["vector"].shape == (4, 8, 4) and batch["action"].shape == (4, 8, 3)
    assert "index" not in batch
    times = batch["vector"][..., 3]
    follows = times[:, 1:] == times[:, :-1] + 1
    np.testing.assert_array_equal(follows, ~batch["is_first"][:, 1:])
    np.testing.assert_array_equal(batch["reward"], times)


def rows(folder, kind) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def test_logs_evaluations_and_saves_come_at_their_steps(trainer, tmp_path):
    run = trainer("steps=200", "log_every=50", "eval_every=80", "save_every=100", "envs=4")
    saved = []
    save = run.save
    run.save = lambda: (saved.append(run.step), save())
    summary = run.run()
    assert [row["step"] for row in rows(tmp_path, "train")] == [52, 100, 152, 200]
    assert [row["step"] for row in rows(tmp_path, "eval")] == [80, 160, 200]
    assert saved == [100, 200, 200] or saved == [100, 200]
    assert summary["step"] == 200 and summary["stop"] == "steps"


@pytest.mark.parametrize("steps, eval_every", [(80, 80), (81, 81), (61, 30), (100, 30), (60, 7)])
def test_the_last_step_is_evaluated_and_no_step_twice(trainer, tmp_path, steps, eval_every):
    run = trainer(f"steps={steps}", f"eval_every={eval_every}", "envs=4")
    run.run()
    counts = Counter(row["step"] for row in rows(tmp_path, "eval"))
    assert run.step in counts
    assert set(counts.values()) == {1}


def test_a_finished_run_that_is_started_again_changes_nothing(trainer, tmp_path):
    trainer("steps=100", "eval_every=30").run()
    before = (tmp_path / "metrics.jsonl").read_bytes()
    summary = trainer("steps=100", "eval_every=30").run()
    assert summary["step"] == 100
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_training_stops_at_the_wanted_return(trainer, tmp_path):
    summary = trainer("steps=5000", "until=15", "eval_every=40").run()
    assert summary["stop"] == "solved" and summary["step"] == 40 and summary["best"] == 15


def test_the_best_agent_is_kept_and_not_the_last(trainer, tmp_path):
    from dreamkit import checkpoint

    run = trainer("steps=120", "eval_every=40", "eval_episodes=1")
    scores = iter([3.0, 9.0, 5.0])
    make_env = run.make_env

    def scored():
        env = make_env()
        bonus = next(scores)
        step = env.step
        env.step = lambda action: (*(x := step(action))[:1], bonus, *x[2:])
        return env

    run.make_env = scored
    run.run()
    assert [row["return"] for row in rows(tmp_path, "eval")] == [15, 45, 25]
    best = checkpoint.read(tmp_path / "checkpoints" / "best.pt")
    assert best["step"] == 80 and best["return"] == 45
    assert checkpoint.read(tmp_path / "checkpoints" / "latest.pt")["trainer"]["step"] == 120


def test_training_episodes_are_logged_with_their_mean_return_and_length(trainer, tmp_path):
    trainer("steps=200", "log_every=50").run()
    logged = rows(tmp_path, "train")
    assert len(logged) == 4
    assert all(row["episode_return"] == 15 and row["episode_length"] == 5 for row in logged)


def test_the_log_holds_means_since_the_last_log(trainer, tmp_path):
    run = trainer("steps=100", "log_every=50")
    numbers = iter(np.arange(1000.0))
    train_step = run.agent.train_step
    run.agent.train_step = lambda batch: (train_step(batch)[0] | {"n": next(numbers)}, None)
    run.run()
    first, second = rows(tmp_path, "train")
    assert first["n"] == (first["updates"] - 1) / 2
    assert second["n"] == (first["updates"] + second["updates"] - 1) / 2


def test_a_loss_that_is_not_a_number_ends_the_run_and_spares_the_checkpoint(trainer, tmp_path):
    trainer("steps=60", "log_every=20").run()
    before = (tmp_path / "checkpoints" / "latest.pt").read_bytes()
    run = trainer("steps=120", "log_every=20")
    run.agent.train_step = lambda batch: ({"loss/reward": float("nan")}, None)
    with pytest.raises(UserError, match="loss/reward"):
        run.run()
    assert (tmp_path / "checkpoints" / "latest.pt").read_bytes() == before


def test_evaluation_episodes_are_not_training_episodes(trainer):
    run = trainer("steps=100", "eval_every=20", "eval_episodes=3", "envs=2")
    made, make_env = [], run.make_env
    run.make_env = lambda: made.append(make_env()) or made[-1]
    run.run()
    trained = {seed for slot in run.player.collector.slots for seed in slot.env.unwrapped.seeds}
    evaluated = [seed for env in made for seed in env.unwrapped.seeds]
    assert len(evaluated) == 12 and len(set(evaluated)) == 12  # no updates yet at step 20
    assert not trained & set(evaluated)
