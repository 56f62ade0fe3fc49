"""--multirun: every combination is a run, by either launcher; a mistake stops all beforehand."""

import sys

import pytest

from dreamkit import sweep
from dreamkit.config import resolve

QUICK = ["task=cartpole", "preset=debug", "device=cpu", "steps=120"]


@pytest.fixture
def runs(monkeypatch):
    """Instead of starting runs: what each would be started with. Runs with seed=7 fail."""
    started = []

    def run_one(arguments):
        started.append(arguments)
        return int("seed=7" in arguments)

    monkeypatch.setattr(sweep, "run_one", run_one)
    return started


def test_every_combination_is_a_run_with_a_folder_of_its_own(train, runs):
    given = ["seed=range(2)", "agent.entropy_scale=1e-4,0.001", "run=runs/x"]
    assert train("--multirun", *QUICK, *given) == 0
    assert [run[:4] for run in runs] == [QUICK] * 4
    assert sorted(run[4:] for run in runs) == [
        [f"seed={seed}", f"agent.entropy_scale={scale}",
         f"run=runs/x/seed-{seed}_entropy_scale-{scale}"]
        for seed in (0, 1) for scale in ("0.0001", "0.001")
    ]  # fmt: skip
    for run in runs:
        cfg = resolve(run)
        assert f"seed={cfg['seed']}" in run
    assert "4 of 4 runs are done" in train.out and 'dreamer-compare "runs/x/*"' in train.out


def test_without_a_list_there_is_one_run(train, runs):
    assert train("-m", *QUICK) == 0
    assert runs == [[*QUICK, "run=runs/sweep/run"]]


@pytest.mark.parametrize("name, count", [("seeds", 5), ("actor_critic", 16)])
def test_named_sweeps_and_what_the_command_line_says_instead(name, count, train, runs):
    assert train("--multirun", *QUICK, f"sweep={name}") == 0
    assert len({run[-1] for run in runs}) == len(runs) == count
    runs.clear()
    assert train("--multirun", *QUICK, f"sweep={name}", "seed=3", "agent.slow_rate=0.5") == 0
    assert all("seed=3" in run and "agent.slow_rate=0.5" in run for run in runs)


def test_a_failed_run_is_named_and_the_others_are_done(train, runs):
    assert train("--multirun", *QUICK, "seed=6,7") == 1
    assert "failed: run=runs/sweep/seed-7" in train.out and "1 of 2 runs are done" in train.out


@pytest.mark.parametrize(
    "given, message",
    [
        (["sweep=everything"], "unknown sweep 'everything': one of actor_critic, seeds"),
        (["agent.lr=interval(0,1)"], "an interval has no list of values"),
        (["seed=0,1", "launcher=cloud"], "launcher is one of joblib, submitit"),
        (["seed=0,1", "jobs=0"], "jobs is a number from 1 on"),
        (["agent.speed=1,2"], "unknown option 'agent.speed'"),
        (["seed=0,-1"], "seed=-1 must not be negative"),
        (["seed=range("], "'seed=range(': "),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(given, message, train, runs, tmp_path):
    assert message in train.error("--multirun", *QUICK, *given)
    assert not runs and not (tmp_path / "runs").exists()


@pytest.mark.long
@pytest.mark.parametrize("launcher", [["joblib"], ["submitit", "launcher.cluster=local"]])
def test_both_launchers_run_and_continue(launcher, train, tmp_path):
    pytest.importorskip(launcher[0])
    given = ["seed=0,1", "jobs=2", f"launcher={launcher[0]}", *launcher[1:]]
    for steps in (120, 160):
        assert train("--multirun", *QUICK[:-1], f"steps={steps}", *given) == 0, train.out
    for seed in (0, 1):
        output = (tmp_path / f"runs/sweep/seed-{seed}/output.txt").read_text()
        assert "120 steps" in output and "continuing" in output and "160 steps" in output


def test_without_submitit_the_message_names_the_extra(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    error = train.error("--multirun", *QUICK, "seed=0,1", "launcher=submitit")
    assert 'pip install -e ".[slurm]"' in error
