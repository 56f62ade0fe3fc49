"""Atari games stepped at once in C++ threads: the same protocol as our own, game by game."""

import numpy as np
import pytest

from dreamkit import UserError
from dreamkit.collect import Collector
from dreamkit.envs import make, make_many
from dreamkit.loggers import read_jsonl

pytest.importorskip("ale_py")
SURE = dict(sticky=0.0, noops=0)


def roll(envs, steps: int, seed: int = 3) -> list:
    """Rows of all environments under the same random actions."""
    collector, rows = Collector(envs, seed), []
    random = np.random.default_rng(0)
    for _ in range(steps):
        actions = np.eye(18, dtype=np.float32)[random.integers(18, size=len(envs))]
        collector.step(actions, {}, lambda n, row, _: rows.append((n, row)))
    return rows


def sums(rows: list) -> list:
    return [(n, int(row["image"].sum()), row["reward"], row["is_last"]) for n, row in rows]


def test_a_seed_decides_every_game_and_games_differ():
    first, again, other = (
        sums(roll(make_many(3, "atari_pong", threads=True), 30, seed)) for seed in (3, 3, 4)
    )
    assert first == again != other
    assert len({total for n, total, *_ in first[-3:]}) > 1


def test_the_pictures_are_those_of_our_own_adapter():
    ours = roll([make("atari_pong", **SURE)], 40)
    theirs = roll(make_many(1, "atari_pong", threads=True, **SURE), 40)
    for (_, mine), (_, its) in zip(ours, theirs, strict=True):
        assert mine["image"].shape == its["image"].shape == (1, 64, 64)
        assert mine["image"].dtype == its["image"].dtype
        # Grey values and a frame at the start differ a little; the court and the score do not.
        difference = np.abs(mine["image"].astype(float) - its["image"])
        assert np.median(difference) < 3 and difference.mean() < 6
        assert mine["reward"] == its["reward"]


def test_a_time_limit_is_not_a_death_and_the_next_episode_begins_at_once():
    rows = roll(make_many(2, "atari_pong", threads=True, frames=40), 25)
    mine = [row for n, row in rows if n == 0]
    first = [i for i, row in enumerate(mine) if row["is_first"]]
    assert first == [0, 11, 22]  # ten steps of four frames are eleven rows
    assert [i for i, row in enumerate(mine) if row["is_last"]] == [10, 21]
    assert not any(row["is_terminal"] for row in mine)


def test_rewards_are_not_clipped_and_all_actions_are_there():
    envs = make_many(1, "atari_ms_pacman", threads=True)
    assert envs[0].action_space.n == 18
    assert make_many(1, "atari_pong", threads=True, actions="needed")[0].action_space.n == 6
    assert max(row["reward"] for _, row in roll(envs, 150)) >= 10


def test_colour_and_size():
    envs = make_many(2, "atari_pong", threads=True, gray=False, size=48)
    assert envs[1].reset(seed=1)[0]["image"].shape == (3, 48, 48)


@pytest.mark.long
def test_a_run_with_threads_trains_and_goes_on_in_new_episodes(train, tmp_path):
    command = ["task=atari_pong", "task.threads=true", "task.size=32", "preset=debug", "run=run"]
    size = ["agent.deter=16", "agent.hidden=8", "agent.blocks=4", "agent.depth=2"]
    train(*command, *size, "steps=240", "log_every=40")
    assert train("run=run", "steps=320") == 0
    rows = read_jsonl(tmp_path / "run" / "metrics.jsonl", "train")
    assert rows[-1]["step"] == 320


@pytest.mark.parametrize("task, word", [("cartpole", "Atari"), ("atari_pongg", "pongg")])
def test_what_cannot_run_in_threads_is_one_line(train, task, word):
    with pytest.raises(UserError, match=word):
        make_many(2, task, threads=True)
