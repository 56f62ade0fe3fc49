"""Checkpoints: whole or not at all, data and no code, and a clear refusal of what does not fit."""

import errno
import os
import pickle
import shutil

import numpy as np
import pytest
import torch

import dreamkit
from dreamkit import UserError, checkpoint, make
from dreamkit.cli import resolve
from dreamkit.trainer import Trainer


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of the stub agent."""
    from conftest import HERE, RUN

    folder = tmp_path_factory.mktemp("finished")
    cfg = resolve(
        ["agent=stub", f"code={HERE / 'stub_agents'}", "task=Toy/Counter-v0", *RUN]
        + ["steps=60", "eval_every=20", "envs=1"]
    )
    Trainer(cfg, folder, lambda: make(**cfg["task"])).run()
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, for one test to break."""
    return shutil.copytree(finished, tmp_path / "run")


def one_line(error) -> str:
    text = str(error.value)
    assert text and "\n" not in text
    return text


# --- writing --------------------------------------------------------------------------------------


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def broken_writer(*args, **kwargs):
    raise RuntimeError("[enforce fail at inline_container.cc:783] PytorchStreamWriter failed")


@pytest.mark.parametrize(
    "owner, name, failure",
    [
        (os, "fsync", full_disk),
        (os, "replace", full_disk),
        (torch, "save", full_disk),
        (torch, "save", broken_writer),
    ],
)
def test_a_write_that_fails_leaves_the_old_checkpoint_and_no_other_file(
    tmp_path, monkeypatch, owner, name, failure
):
    path = tmp_path / "latest.pt"
    checkpoint.save(path, {"header": {}, "x": torch.ones(3)})
    before = path.read_bytes()
    monkeypatch.setattr(owner, name, failure)
    with pytest.raises(OSError, match="could not be written"):
        checkpoint.save(path, {"header": {}, "x": torch.zeros(3000)})
    assert path.read_bytes() == before
    assert [x.name for x in tmp_path.iterdir()] == ["latest.pt"]


def test_a_first_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError):
        checkpoint.save(tmp_path / "latest.pt", {"header": {}})
    assert list(tmp_path.iterdir()) == []


def test_the_file_reaches_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("flush"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("name"), replace(a, b))[1])
    checkpoint.save(tmp_path / "latest.pt", {"header": {}})
    assert order == ["flush", "name"]


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    state = {
        "header": dict.fromkeys(checkpoint.HEADER, "a"),
        "x": torch.arange(5),
        "y": [1.5, "text", None],
    }
    checkpoint.save(tmp_path / "a.pt", state)
    loaded = checkpoint.read(tmp_path / "a.pt")
    assert torch.equal(loaded.pop("x"), state.pop("x"))
    assert loaded == state | {"format": checkpoint.FORMAT}


# --- damaged files --------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.99, 0.9999])
def test_a_truncated_file_is_refused_in_one_line(run, share):
    path = run / "checkpoints" / "latest.pt"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match="latest.pt is damaged") as error:
        checkpoint.read(path)
    one_line(error)


def test_random_bytes_are_refused_in_one_line(tmp_path):
    random, path = np.random.default_rng(0), tmp_path / "noise.pt"
    for number in range(400):
        data = random.bytes(int(random.integers(1, 200)))
        # Every first byte, and beginnings that look like a zip file or a pickle.
        path.write_bytes((bytes([number % 256]), b"PK\x03\x04", b"\x80\x02")[number % 3] + data)
        with pytest.raises(UserError, match="noise.pt") as error:
            checkpoint.read(path)
        one_line(error)


def test_a_flipped_byte_among_the_weights_is_noticed(run):
    path = run / "checkpoints" / "latest.pt"
    state = checkpoint.read(path)
    state["agent"]["weight"] = torch.full((1000,), 1.25)
    checkpoint.save(path, state)
    data = path.read_bytes()
    place = data.index(np.full(900, 1.25, np.float32).tobytes()) + 401
    path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
    with pytest.raises(UserError, match="damaged") as error:
        checkpoint.read(path)
    one_line(error)


class Payload:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["pickle", "torch", "inside a checkpoint"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run_it(tmp_path, form):
    path, trap = tmp_path / "bad.pt", tmp_path / "trap"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Payload(trap)))
    elif form == "torch":
        torch.save(Payload(trap), path)
    else:
        torch.save({"format": checkpoint.FORMAT, "header": Payload(trap)}, path)
    with pytest.raises(UserError, match="not loaded") as error:
        checkpoint.read(path)
    one_line(error)
    assert not trap.exists()
    torch.load(path, weights_only=False) if form != "pickle" else pickle.loads(path.read_bytes())
    assert trap.exists()  # the trap works: loading it carelessly would have run it


@pytest.mark.parametrize(
    "content",
    [
        {"format": checkpoint.FORMAT + 1, "header": {}},
        {"format": "1", "header": {}},
        {"header": {}},
        {"format": checkpoint.FORMAT},
        {"format": checkpoint.FORMAT, "header": {}},
        {"model": torch.ones(2)},
        [1, 2],
        torch.ones(2),
        3,
    ],
)
def test_another_format_or_another_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match="not a checkpoint that this version can read") as error:
        checkpoint.load_policy(path, "cpu")
    one_line(error)


# --- what does not fit ----------------------------------------------------------------------------


def change(path, **header) -> None:
    state = checkpoint.read(path)
    state["header"] |= header
    checkpoint.save(path, state)


def test_an_unknown_agent_is_refused_by_name(run):
    change(run / "checkpoints" / "best.pt", agent_name="dreamerv99")
    with pytest.raises(UserError, match="dreamerv99") as error:
        dreamkit.load(run, "cpu")
    one_line(error)


def test_an_unknown_task_is_refused_by_name(run):
    change(run / "checkpoints" / "best.pt", task={"name": "Gone-v0"})
    with pytest.raises(UserError, match="Gone-v0") as error:
        dreamkit.load(run, "cpu")
    one_line(error)


def test_an_option_that_the_agent_no_longer_has_is_refused_by_name(run):
    head = checkpoint.read(run)["header"]
    change(run / "checkpoints" / "best.pt", agent=head["agent"] | {"horizon": 15})
    with pytest.raises(UserError, match="horizon") as error:
        dreamkit.load(run, "cpu")
    one_line(error)


def small(**options) -> dict:
    sizes = dict(deter=16, hidden=8, stoch=4, classes=4, depth=2, units=8, blocks=4, bins=21)
    return sizes | options


@pytest.mark.parametrize(
    "option", [{"deter": 32}, {"classes": 8}, {"units": 16}, {"layers": 2}, {"bins": 41}]
)
def test_weights_of_another_size_are_refused_in_one_line(tmp_path, option):
    env = make("cartpole")
    head = {"agent_name": "dreamerv3", "code": "solutions", "task": {"name": "cartpole"}}
    agent = checkpoint.build_agent(head | {"agent": small()}, env)
    state = {"header": head | {"agent": small(**option)}, "agent": agent.state_dict()}
    checkpoint.save(tmp_path / "a.pt", state)
    with pytest.raises(UserError, match="does not fit") as error:
        dreamkit.load(tmp_path / "a.pt", "cpu")
    one_line(error)


def test_weights_of_another_agent_are_refused_in_one_line(tmp_path, run):
    state = checkpoint.read(run)
    head = {"agent_name": "dreamerv3", "code": "solutions", "task": {"name": "cartpole"}}
    checkpoint.save(tmp_path / "a.pt", state | {"header": head | {"agent": small()}})
    with pytest.raises(UserError, match="does not fit") as error:
        dreamkit.load(tmp_path / "a.pt", "cpu")
    one_line(error)


# --- finding --------------------------------------------------------------------------------------


def test_a_run_folder_means_its_best_checkpoint_and_else_its_latest(run):
    folder = run / "checkpoints"
    assert checkpoint.find(run) == checkpoint.find(folder) == folder / "best.pt"
    assert checkpoint.find(str(folder / "latest.pt")) == folder / "latest.pt"
    (folder / "best.pt").unlink()
    assert checkpoint.find(run) == folder / "latest.pt"
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.find(run)


def test_a_path_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="nowhere.pt"):
        checkpoint.find(tmp_path / "nowhere.pt")


# --- using ----------------------------------------------------------------------------------------


def test_a_loaded_policy_plays_an_episode_in_ten_lines(run):
    policy, env = dreamkit.load(str(run), device="cpu")
    obs, _ = env.reset(seed=0)
    policy.reset()
    score, done = 0.0, False
    while not done:
        obs, reward, terminated, truncated, _ = env.step(policy(obs))
        score += reward
        done = terminated or truncated
    assert score == 15


@pytest.mark.parametrize("task", ["cartpole", "cartpole_pixels", "pendulum"])
def test_a_loaded_policy_acts_like_the_agent_that_was_saved(tmp_path, task):
    env = make(task)
    head = {"agent_name": "dreamerv3", "code": "solutions", "task": {"name": task}}
    head["agent"] = small()
    agent = checkpoint.build_agent(head, env)
    for parameter in agent.modules.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    checkpoint.save(tmp_path / "a.pt", {"header": head, "agent": agent.state_dict()})
    policy, loaded_env = dreamkit.load(tmp_path / "a.pt", "cpu")
    obs, _ = loaded_env.reset(seed=1)
    state = agent.initial_state(1)
    for step in range(8):
        torch.manual_seed(step)
        taken = policy(obs)
        torch.manual_seed(step)
        batch = {key: x[None] for key, x in obs.items()} | {"is_first": np.array([step == 0])}
        action, state = agent.act(batch, state, explore=False)
        if task == "pendulum":
            np.testing.assert_array_equal(taken, action[0].numpy())
        else:
            assert taken == int(action[0].argmax())
        obs = loaded_env.step(taken)[0]


def test_resetting_a_policy_forgets_the_episode_before(run):
    policy, env = dreamkit.load(run, "cpu")
    obs, _ = env.reset(seed=0)
    for _ in range(3):
        policy(obs)
    assert policy.state["steps"].tolist() == [3]  # the stub agent counts
    policy.reset()
    policy(obs)
    assert policy.state["steps"].tolist() == [1]


@pytest.mark.parametrize("hip, name", [(None, "cuda:1 (Card)"), ("6.2", "cuda:1 (Card, ROCm)")])
def test_a_device_has_a_name(hip, name, monkeypatch):
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card")
    assert checkpoint.device_name("cuda:1") == name
    assert checkpoint.device_name("cpu") == "cpu"
