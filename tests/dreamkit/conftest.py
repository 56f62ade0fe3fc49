"""What the tests of dreamkit share: the smallest agent, commands in this process, toy worlds."""

import os
import random
import signal
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
import toy_environments  # noqa: E402, F401

torch.set_num_threads(1)

AGENT = [
    *["agent.deter=16", "agent.hidden=8", "agent.stoch=4", "agent.classes=4", "agent.depth=2"],
    *["agent.units=8", "agent.blocks=4", "agent.bins=21", "agent.imagine_length=3"],
    *["agent.batch_size=4", "agent.batch_length=8"],
]
RUN = ["device=cpu", "threads=1", "envs=2", "eval_episodes=2", "train_ratio=16"]


@pytest.fixture(autouse=True)
def leave_no_trace(monkeypatch):
    """Training sets signal handlers, seeds and a search path: put them back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    path = list(sys.path)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])
    sys.path[:] = path


@pytest.fixture
def tiny() -> list[str]:
    """Options of a DreamerV3 that trains in a second."""
    return [*AGENT, *RUN]


@pytest.fixture
def stub() -> list[str]:
    """Options of an agent that is not Dreamer and costs nothing."""
    return ["agent=stub", f"code={HERE / 'stub_agents'}", *RUN]


class Command:
    """A command in this process: `train("steps=10")` → exit code, with `out` and `err` as text."""

    def __init__(self, name: str, capsys, monkeypatch):
        self.name, self.capsys, self.monkeypatch = name, capsys, monkeypatch

    def __call__(self, *arguments: str) -> int:
        from dreamkit import cli

        self.monkeypatch.setattr(sys, "argv", ["dreamer", *map(str, arguments)])
        self.capsys.readouterr()
        with warnings.catch_warnings(record=True) as shown, pytest.raises(SystemExit) as end:
            warnings.simplefilter("default")
            getattr(cli, self.name)()
        self.out, self.err = self.capsys.readouterr()
        self.warnings = [str(x.message) for x in shown if issubclass(x.category, UserWarning)]
        return end.value.code

    def error(self, *arguments: str) -> str:
        """The message of a command that must refuse: exit code 2 and one line."""
        code = self(*arguments)
        assert code == 2, (code, self.out, self.err)
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), self.err
        assert "Traceback" not in self.out
        assert self.warnings == []  # a person would see them beside the one line
        return lines[0]


@pytest.fixture
def train(capsys, monkeypatch, tmp_path) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command("train", capsys, monkeypatch)


@pytest.fixture
def evaluate(capsys, monkeypatch) -> Command:
    return Command("evaluate", capsys, monkeypatch)


@pytest.fixture
def visualize(capsys, monkeypatch) -> Command:
    return Command("visualize", capsys, monkeypatch)


@pytest.fixture
def no_report(monkeypatch):
    """Skip the pictures at the end of a run: they take longer than a small run."""
    from dreamkit import report

    monkeypatch.setattr(report, "write", lambda folder: folder / "report.html")
