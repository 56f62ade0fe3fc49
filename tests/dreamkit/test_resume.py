"""A run that was interrupted, in whatever way, ends exactly like one that was not."""

import json
import os
import signal
import time

import numpy as np
import pytest
import torch
from processes import Started

from dreamkit import checkpoint, make
from dreamkit import replay as replay_module
from dreamkit.cli import resolve
from dreamkit.trainer import Trainer

SCHEDULE = ["steps=72", "log_every=4", "eval_every=30", "save_every=10", "run=run"]


def metrics(folder) -> list[dict]:
    """The log without the times, which differ."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def assert_equal(one, other, where="") -> None:
    """Nested values of two checkpoints, bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}/{i}")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    else:
        assert one == other, where


def content(folder, name: str = "latest.pt") -> dict:
    """All of a checkpoint but the time and the length of the log, which contains times."""
    state = checkpoint.read(folder / "checkpoints" / name)
    state.pop("jsonl", None)
    state.get("trainer", {}).pop("seconds", None)
    return state


def assert_same_run(folder, reference) -> None:
    assert metrics(folder) == metrics(reference)
    for name in ("latest.pt", "best.pt"):
        assert_equal(content(folder, name), content(reference, name), name)
    for path in (reference / "replay").iterdir():
        assert (folder / "replay" / path.name).read_bytes() == path.read_bytes(), path.name
    leftovers = [path.name for path in folder.rglob("*.tmp")]
    assert leftovers == []


# --- kill -9 --------------------------------------------------------------------------------------

MAPPED = ["task=cartpole_pixels", "replay_memory=0", "replay_rows=40", *SCHEDULE]
PLAIN = ["task=cartpole", *SCHEDULE]


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Folders of runs that were not interrupted: references("plain", options)."""
    made = {}

    def reference(name: str, options: list[str]):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            run = Started(options, made[name], chunk=options.count("replay_memory=0") * 8)
            assert run.wait() == 0, run.stderr
        return made[name] / "run"

    return reference


@pytest.fixture
def reference(references, tiny):
    return references("plain", [*PLAIN, *tiny])


def kill_and_continue(arguments, folder, moments: list, **options) -> list[bool]:
    """The same command again after each kill, and once more until it is done.

    Returns whether there was a checkpoint at each kill.
    """
    saved = []
    for moment in moments:
        run = Started(arguments, folder, die_at=moment, **options)
        assert run.wait() == -signal.SIGKILL, (moment, run.stdout, run.stderr)
        saved.append((folder / "run" / "checkpoints" / "latest.pt").exists())
    run = Started(arguments, folder, **options)
    assert run.wait() == 0, run.stderr
    return saved


@pytest.mark.parametrize(
    "moment, saved",
    [
        (("half a line of metrics", 1), False),
        (("update", 3), False),
        (("half a checkpoint", 1), False),
        (("update", 9), True),
        (("half a row", 4), True),
        (("row file flushed", 5), True),
        (("half a checkpoint", 3), True),
        (("checkpoint written but not named", 5), True),
        (("best written but not named", 1), True),
        (("checkpoint named", 3), True),
    ],
    ids=lambda value: f"{value[0]} {value[1]}" if isinstance(value, tuple) else "",
)
def test_a_run_that_was_killed_goes_on_exactly(tmp_path, tiny, reference, moment, saved):
    assert kill_and_continue([*PLAIN, *tiny], tmp_path, [moment]) == [saved]
    assert_same_run(tmp_path / "run", reference)


def test_a_run_that_was_killed_again_and_again_goes_on_exactly(tmp_path, tiny, reference):
    moments = [
        ("half a line of metrics", 1),  # nothing saved yet: it starts anew
        ("checkpoint named", 1),
        ("half a row", 2),
        ("half a checkpoint", 1),  # the same checkpoint again
        ("update", 9),
    ]
    saved = kill_and_continue([*PLAIN, *tiny], tmp_path, moments)
    assert saved == [False, True, True, True, True]
    assert_same_run(tmp_path / "run", reference)


def test_a_run_with_mapped_rows_and_dropped_chunks_goes_on_exactly(tmp_path, tiny, references):
    arguments = [*MAPPED, *tiny]
    expected = references("mapped", arguments)
    names = {path.name for path in (expected / "replay").iterdir()}
    assert "0-4.rows" in names and "0-0.rows" not in names and "1-0.rows" not in names
    moments = [("update", 2), ("checkpoint named", 2), ("half a row", 2), ("half a checkpoint", 1)]
    kill_and_continue(arguments, tmp_path, moments, chunk=8)
    assert_same_run(tmp_path / "run", expected)


def test_a_run_that_was_killed_from_outside_goes_on_exactly(tmp_path, tiny, reference):
    run = Started([*PLAIN, *tiny], tmp_path)
    wait_for_lines(tmp_path / "run", 5)
    run.signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    kill_and_continue([*PLAIN, *tiny], tmp_path, [])
    assert_same_run(tmp_path / "run", reference)


# --- signals --------------------------------------------------------------------------------------


def wait_for_lines(folder, count: int, seconds: float = 60) -> None:
    """Wait until the log of a running process has this many lines."""
    path, end = folder / "metrics.jsonl", time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.005)
    raise TimeoutError(f"{path} has no {count} lines after {seconds} seconds")


@pytest.mark.parametrize(
    "number, code, update", [(signal.SIGTERM, 143, 3), (signal.SIGINT, 130, 9)]
)
def test_a_run_that_was_asked_to_stop_saves_and_goes_on_exactly(
    tmp_path, tiny, reference, number, code, update
):
    arguments = [*PLAIN, *tiny, "save_every=1000"]  # nothing is saved but by the signal
    run = Started(arguments, tmp_path, die_at=("update", update, number))
    assert run.wait() == code, run.stderr
    assert run.stderr == ""
    last = run.stdout.splitlines()[-1]
    assert last.startswith("saved at step") and last.endswith("dreamer-train run=run")
    step = checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")["trainer"]["step"]
    assert 0 < step < 72
    again = Started(["run=run"], tmp_path)  # the command that it named
    assert again.wait() == 0, again.stderr
    assert f"continuing run at step {step}" in again.stdout
    assert_same_run(tmp_path / "run", reference)


def test_a_run_that_was_asked_to_stop_during_the_prefill_saves_its_rows(tmp_path, tiny):
    arguments = ["task=cartpole", *tiny, *SCHEDULE, "steps=1000000", "prefill=900000"]
    run = Started(arguments, tmp_path)
    while not (tmp_path / "run" / "manifest.jsonl").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    run.signal(signal.SIGTERM)
    assert run.wait() == 143
    state = checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")
    assert state["trainer"]["step"] > 0 and state["trainer"]["updates"] == 0
    rows = sum(end for _, end in state["replay"]["streams"])
    assert rows >= state["trainer"]["step"]
    assert sum(p.stat().st_size for p in (tmp_path / "run" / "replay").iterdir()) == rows * 31


def test_a_finished_run_can_be_made_longer(tmp_path, tiny):
    for steps in (42, 72):
        run = Started([*PLAIN, *tiny, f"steps={steps}", "eval_every=42"], tmp_path)
        assert run.wait() == 0, run.stderr
    logged = [row["step"] for row in metrics(tmp_path / "run") if row["kind"] == "eval"]
    assert logged == [42, 72]
    assert content(tmp_path / "run")["trainer"]["step"] == 72
    assert len((tmp_path / "run" / "manifest.jsonl").read_text().splitlines()) == 2


# --- a full disk ----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
def test_a_run_whose_disk_was_full_goes_on_exactly(tmp_path, tiny, reference):
    """Files may grow to half a checkpoint: the first save fails."""
    size = (reference / "checkpoints" / "latest.pt").stat().st_size
    run = Started([*PLAIN, *tiny], tmp_path, file_limit=size // 2)
    assert run.wait() == 2
    assert run.stderr.count("\n") == 1 and run.stderr.startswith("error: ")
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("*.pt"))
    kill_and_continue([*PLAIN, *tiny], tmp_path, [])
    assert_same_run(tmp_path / "run", reference)


# --- in this process ------------------------------------------------------------------------------


def trained(folder, options, iterations=None, save=None) -> Trainer:
    """A trainer after some iterations of its own; None: after its whole run."""
    cfg = resolve(options)
    trainer = Trainer(cfg, folder, lambda: make(**cfg["task"]))
    if iterations is None:
        trainer.run()
        return trainer
    trainer.start = time.time()
    for _ in range(iterations):
        trainer.iterate()
    if save:
        trainer.save()
    return trainer


@pytest.mark.parametrize(
    "iterations, task",
    [
        (5, ["task=pendulum", "+task.max_episode_steps=9"]),  # in the prefill
        (21, ["task=gymnasium", "task.name=cartpole_continuous_pixels", "task.size=32"]),
        (30, ["task=Toy/Dictionary-v0", "task.size=16", "+task.max_episode_steps=9"]),
    ],
)
def test_a_checkpoint_is_enough_to_go_on_exactly(tmp_path, tiny, task, iterations, monkeypatch):
    monkeypatch.setattr(replay_module, "CHUNK", 8)
    options = [*tiny, *task, "steps=68", "log_every=10", "eval_every=40", "eval_episodes=1"]
    trained(tmp_path / "whole", options)
    trained(tmp_path / "parts", options, iterations, save=True)
    trained(tmp_path / "parts", options)
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    assert_equal(content(tmp_path / "parts"), content(tmp_path / "whole"))


def test_another_seed_is_another_run(tmp_path, tiny):
    options = [*tiny, "task=pendulum", "steps=60", "eval_every=1000"]
    one = trained(tmp_path / "one", options, 25).agent.state_dict()
    two = trained(tmp_path / "two", options, 25).agent.state_dict()
    three = trained(tmp_path / "three", [*options, "seed=1"], 25).agent.state_dict()
    assert_equal(one, two)
    with pytest.raises(AssertionError):
        assert_equal(one, three)


def test_an_environment_that_does_not_repeat_itself_is_cut_with_a_word(tmp_path, stub, capsys):
    options = [*stub, "task=Toy/Noisy-v0", "steps=80", "+task.length=7", "eval_every=1000"]
    first = trained(tmp_path, options, 17, save=True)
    ends = [stream.end for stream in first.replay.streams]
    old = [first.replay._gather(np.array([[n, 0]]), end) for n, end in enumerate(ends)]
    assert not any(batch["is_last"][0, -1] for batch in old)
    capsys.readouterr()
    second = trained(tmp_path, options)
    out = capsys.readouterr().out
    for number in range(2):
        assert f"environment {number} did not repeat its episode" in out
    assert second.step == 80
    for number, end in enumerate(ends):
        new = second.replay._gather(np.array([[number, 0]]), end + 1)
        for key in ("vector", "action", "reward", "is_first", "is_terminal"):
            np.testing.assert_array_equal(new[key][:, :end], old[number][key], err_msg=key)
        assert new["is_last"][0, end - 1] and not new["is_terminal"][0, end - 1]
        assert new["is_first"][0, end]
        seeds = second.player.collector.slots[number].env.unwrapped.seeds
        assert len(seeds) == len(set(seeds))


def test_repeating_environments_are_not_cut(tmp_path, stub, capsys):
    options = [*stub, "task=Toy/Counter-v0", "steps=80", "+task.length=7", "eval_every=1000"]
    trained(tmp_path, options, 17, save=True)
    trained(tmp_path, options)
    assert "cut" not in capsys.readouterr().out
