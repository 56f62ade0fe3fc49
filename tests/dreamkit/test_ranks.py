"""Several processes, one agent: half batches with averaged gradients are one whole batch."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
# Every rank makes the same whole batch and the same agent and takes its part of the rows. There is
# no noise: latents and actions are the means of their distributions.
UPDATES = """
    import torch
    torch.set_num_threads(1)
    from benchmarks import update
    from dreamkit.optimize import Ranks
    from solutions.paper3_dreamerv3 import actor_critic, rssm

    rssm.sample_one_hot = lambda probs: probs
    actor_critic.ContinuousActor.sample = lambda self, policy: policy.chunk(2, -1)[0]
    ranks = Ranks.meet()
    options = dict(update.DEFAULTS, size="tiny", batch=6, length=7, horizon=4)
    agent, batch = update.build(options, {"warmup": 0, "lr": 1e-3})
    with torch.no_grad():
        for p in agent.parameters:
            p.add_(torch.empty_like(p).normal_(0, 0.02))
    if ranks.rank:  # what `join` must mend
        agent.modules.load_state_dict({k: x + 1 for k, x in agent.modules.state_dict().items()})
    ranks.join(agent)
    n = ranks.share("batch_size", 6)
    part = {key: x[n * ranks.rank : n * (ranks.rank + 1)] for key, x in batch.items()}
    metrics = [agent.train_step(part)[0] for _ in range(4)]
    assert agent.normalizer.high > 0
    torch.save({"modules": agent.modules.state_dict(), "metrics": metrics}, FILE)
"""


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def start(code: str, rank: int, count: int, port: str) -> subprocess.Popen:
    env = os.environ | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=env, cwd=ROOT)


def test_two_half_batches_are_one_whole_batch(tmp_path):
    """Parameters, slow critic and percentiles of returns after four updates."""
    port = free_port()
    jobs = [
        start(
            UPDATES.replace("FILE", repr(str(tmp_path / f"{count}-{rank}.pt"))), rank, count, port
        )
        for count, rank in ((2, 0), (2, 1), (1, 0))
    ]
    assert [job.wait(120) for job in jobs] == [0, 0, 0]
    first, second, whole = (
        torch.load(tmp_path / f"{name}.pt")["modules"] for name in ("2-0", "2-1", "1-0")
    )
    assert whole["normalizer.high"] > whole["normalizer.low"]
    for name, x in whole.items():
        torch.testing.assert_close(first[name], x, rtol=1e-5, atol=1e-5, msg=name)
        assert torch.equal(first[name], second[name]), name


@pytest.mark.long
def test_without_averaging_they_are_not(tmp_path):
    """The comparison above can fail."""
    code = UPDATES.replace("ranks.join(agent)", "").replace("if ranks.rank:", "if False:")
    jobs = [
        start(code.replace("FILE", repr(str(tmp_path / f"{rank}.pt"))), rank, 2, port)
        for port in [free_port()]
        for rank in (0, 1)
    ]
    assert [job.wait(120) for job in jobs] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt")["modules"] for rank in (0, 1))
    differences = [(first[name] - x).abs().max() for name, x in second.items()]
    assert max(differences) > 1e-3


def torchrun(*options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", free_port(), "-m", "dreamkit.optimize", *options]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.long
def test_two_processes_train_stop_go_on_exactly_and_only_together(tmp_path, train):
    options = ["task=cartpole", "preset=debug", "device=cpu", "envs=2", "save_every=0"]
    for name, steps in (("whole", 480), ("pieces", 240), ("pieces", 480)):
        done = torchrun(*options, f"run={tmp_path / name}", f"steps={steps}")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(f"{steps} steps") == 1  # rank 0 speaks for both
    whole, pieces = (
        torch.load(tmp_path / name / "checkpoints/latest.pt") for name in ("whole", "pieces")
    )
    assert whole["trainer"]["updates"] == pieces["trainer"]["updates"] > 5
    for name, x in whole["agent"]["modules"].items():
        assert torch.equal(x, pieces["agent"]["modules"][name]), name
    assert sorted(x.name for x in (tmp_path / "pieces/checkpoints").glob("rank*")) == [
        "rank1-step-480.pt"
    ]
    rows = (tmp_path / "pieces" / "rank1-replay").glob("*")
    assert any(path.stat().st_size for path in rows)
    assert "trained by 2 processes" in train.error(f"run={tmp_path / 'pieces'}", "steps=600")


@pytest.mark.long
def test_a_run_that_is_solved_stays_so_on_all_ranks(tmp_path):
    """Only rank 0 knows the best evaluation; the others must not wait for it for ever."""
    for _ in range(2):
        done = torchrun(
            "task=cartpole", "preset=debug", "device=cpu", "until=5", f"run={tmp_path / 'x'}"
        )
        assert done.returncode == 0 and "solved at 5" in done.stdout, done.stderr


@pytest.mark.long
def test_a_batch_that_cannot_be_divided_is_one_line(tmp_path):
    done = torchrun("task=cartpole", "preset=debug", "agent.batch_size=5", f"run={tmp_path / 'x'}")
    assert done.returncode
    assert "error: batch_size=5 cannot be divided among 2 processes" in done.stderr
