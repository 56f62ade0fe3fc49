"""Bad input ends in one line that says what to do, with exit code 2 and nothing half-written."""

import ctypes.util
import errno
import os
import pickle
import sys

import pytest
import torch
from filelock import FileLock
from processes import Started

from dreamkit import checkpoint
from dreamkit.envs.dmc import APT

COUNTER = "task=Toy/Counter-v0"


def everything(folder) -> dict:
    """{path: content} of all files, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# --- names and options ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["task=cartpol"], ["unknown task 'cartpol'", "cartpole_pixels"]),
        (["task=Nothing-v0"], ["unknown task 'Nothing-v0'"]),
        (["task=ALE/Nothing-v5"], ["ALE/Nothing-v5"]),
        (["task="], ["task"]),
        (["agent=dreamerv9"], ["unknown agent 'dreamerv9'", "dreamerv3"]),
        (["size=huge"], ["unknown size 'huge'", "tiny", "400M"]),
        (["stepps=100"], ["unknown option 'stepps'", "--info"]),
        (["agent.detter=16"], ["unknown option 'agent.detter'", "--info"]),
        (["agent.lr.x=16"], ["agent.lr"]),
        (["task.colour=red"], ["unknown option 'task.colour'"]),
        (["code=/no/such/folder"], ["/no/such/folder"]),
        (["steps=abc"], ["steps", "abc"]),
        (["steps=1.5"], ["steps", "1.5"]),
        (["agent.deter=big"], ["agent.deter", "big"]),
        (["steps=-1"], ["steps=-1", "positive"]),
        (["steps=0"], ["steps=0", "positive"]),
        (["envs=0"], ["envs=0", "positive"]),
        (["train_ratio=-2"], ["train_ratio=-2", "positive"]),
        (["eval_episodes=0"], ["eval_episodes=0", "positive"]),
        (["seed=-1"], ["seed"]),
        (["threads=-1"], ["threads"]),
        (["replay_rows=0"], ["replay_rows"]),
        (["agent.batch_size=0"], ["batch_size"]),
        (["agent.batch_length=0"], ["batch_length"]),
        (["agent.blocks=3"], ["blocks"]),
        (["steps"], ["'steps'", "key=value"]),
        (["--steps", "100"], ["'--steps'", "key=value"]),
        (["steps=[1"], ["[1"]),
        (["=3"], ["=3"]),
        (["device=cuda:99"], ["device=cuda:99", "device=cpu"]),
        (["device=abacus"], ["device=abacus", "device=cpu"]),
    ],
    ids=lambda value: " ".join(value) if "=" in value[0] or len(value) > 1 else "",
)
def test_a_bad_argument_is_one_line_that_names_it(train, tmp_path, arguments, words):
    message = train.error("task=cartpole", "run=run", "steps=20", *arguments)
    assert [word for word in words if word not in message] == [], message
    assert everything(tmp_path) == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_one_line_that_offers_the_cpu(train, evaluate, stub, tmp_path):
    assert "device=cpu" in train.error("task=cartpole", "device=cuda", "run=run")
    assert everything(tmp_path) == {}
    train(*stub, COUNTER, "steps=8", "run=run")
    assert "device=cpu" in evaluate.error("checkpoint=run", "device=cuda")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["checkpoint"]),
        (["checkpoint=nowhere"], ["nowhere"]),
        (["--checkpoint"], ["--checkpoint needs a value"]),
        (["checkpoint="], ["checkpoint"]),
        (["checkpoint=run", "episode=3"], ["'episode=3'"]),
        (["checkpoint=run", "nonsense"], ["'nonsense'"]),
        (["checkpoint=run", "seed=x"], ["seed=x", "number"]),
        (["checkpoint=run", "seed=-1"], ["seed"]),
    ],
)
def test_bad_arguments_of_eval_and_viz_are_one_line(
    train, evaluate, visualize, stub, tmp_path, no_report, arguments, words
):
    train(*stub, COUNTER, "steps=8", "run=run")
    before = everything(tmp_path)
    for command in (evaluate, visualize):
        message = command.error(*arguments)
        assert [word for word in words if word not in message] == [], message
    assert everything(tmp_path) == before


def test_numbers_that_make_no_sense_are_refused_by_eval_and_viz(
    train, evaluate, visualize, stub, tmp_path, no_report
):
    train(*stub, COUNTER, "steps=8", "run=run")
    assert "episodes" in evaluate.error("checkpoint=run", "episodes=0")
    for options in (["context=0"], ["context=9", "length=9"], ["context=9", "length=5"]):
        assert "context" in visualize.error("checkpoint=run", *options)
    assert "smaller context" in visualize.error("checkpoint=run", "context=20", "length=30")


# --- what is not installed ------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["ale_py", "cv2"])
def test_a_missing_library_is_one_line_with_the_command_that_installs_it(
    train, tmp_path, monkeypatch, library
):
    monkeypatch.setitem(sys.modules, library, None)
    message = train.error("task=ALE/Pong-v5", "run=run", "steps=20")
    assert "pip install" in message and "atari" in message
    assert everything(tmp_path) == {}


@pytest.mark.parametrize(
    "library, task, extra",
    [
        ("ale_py", "atari_pong", "atari"),
        ("cv2", "atari_pong", "atari"),
        ("vizdoom", "vizdoom_basic", "vizdoom"),
        ("cv2", "vizdoom_basic", "vizdoom"),
        ("dm_control", "dmc_walker_walk", "dmc"),
        ("mujoco", "dmc_walker_walk_pixels", "dmc"),
    ],
)
def test_a_suite_without_its_library_is_one_line_with_the_extra_that_installs_it(
    train, tmp_path, monkeypatch, library, task, extra
):
    for name in [name for name in sys.modules if name.partition(".")[0] in (library, "dm_control")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    message = train.error(f"task={task}", "run=run", "preset=debug")
    assert library in message and message.endswith(f"pip install -e '.[{extra}]'")
    assert everything(tmp_path) == {}


# --- games, screens and codecs --------------------------------------------------------------------


@pytest.mark.parametrize("content, words", [(None, "No such file"), (b"no game", "hash")])
def test_a_missing_or_damaged_rom_is_one_line(train, tmp_path, monkeypatch, content, words):
    pytest.importorskip("ale_py", reason="Atari is optional: pip install -e '.[atari]'")
    roms = tmp_path.parent / f"{tmp_path.name}-roms"
    roms.mkdir()
    if content:
        (roms / "pong.bin").write_bytes(content)
    monkeypatch.setenv("ALE_ROMS_DIR", str(roms))
    message = train.error("task=atari_pong", "run=run", "preset=debug")
    assert words in message and "unset ALE_ROMS_DIR, or pip install" in message
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("task", ["atari_combat", "vizdoom_cig"])
def test_a_game_for_several_players_is_refused_before_the_library_ends_the_process(train, task):
    pytest.importorskip({"atari": "ale_py", "vizdoom": "vizdoom"}[task.split("_")[0]])
    message = train.error(f"task={task}", "run=run", "preset=debug")
    assert "a game for two" in message or "for one player; there are basic" in message


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bring their own OpenGL")
@pytest.mark.parametrize(
    "environ, hidden, words",
    [
        ({"MUJOCO_GL": "nonsense"}, "", "must be one of"),
        ({"MUJOCO_GL": "disabled"}, "", "No OpenGL rendering backend"),
        ({"MUJOCO_GL": None, "DISPLAY": ":99"}, "", "a valid OpenGL context has not been created"),
        ({"MUJOCO_GL": "egl"}, "EGL", "eglQueryString"),
        ({"MUJOCO_GL": None, "DISPLAY": None}, "GL", "No OpenGL rendering backend"),
        ({"MUJOCO_GL": None, "DISPLAY": None}, "Mesa", ""),
    ],
    ids=["unknown", "disabled", "no screen", "no EGL", "no library at all", "EGL alone"],
)
def test_pictures_without_opengl_are_one_line_that_says_what_to_do(
    tmp_path, environ, hidden, words
):
    pytest.importorskip("dm_control", reason="optional: pip install -e '.[dmc]'")
    task = ["task=dmc_cartpole_balance_pixels", "preset=debug", "steps=4", "task.size=16"]
    run = Started([*task, "run=run"], tmp_path, environ=environ, hidden=hidden)
    code, egl = run.wait(), ctypes.util.find_library("EGL") and "GL" not in hidden
    if not words:
        assert code == (0 if egl else 2)
        return
    assert code == 2, run.stdout
    [line] = [x for x in run.stderr.splitlines() if "GLFW" not in x and "warnings.warn" not in x]
    assert line.startswith("error: ") and words in line
    assert line.endswith("set MUJOCO_GL=egl" if egl and "egl" not in environ.values() else APT)


def test_tasks_from_the_state_need_no_opengl(tmp_path):
    pytest.importorskip("dm_control", reason="optional: pip install -e '.[dmc]'")
    task = ["task=dmc_cartpole_balance", "preset=debug", "steps=4", "run=run"]
    run = Started(task, tmp_path, environ={"MUJOCO_GL": None, "DISPLAY": None}, hidden="GL")
    assert run.wait() == 0, run.stderr


@pytest.mark.parametrize("display", [None, ":99"])
def test_doom_and_atari_draw_without_a_screen(tmp_path, display, tiny):
    for task, library in (("vizdoom_basic", "vizdoom"), ("atari_pong", "ale_py")):
        pytest.importorskip(library)
        arguments = [*tiny, f"task={task}", "steps=4", f"run={task}"]
        run = Started(arguments, tmp_path, environ={"DISPLAY": display, "WAYLAND_DISPLAY": None})
        assert run.wait() == 0, run.stderr


PROGRAMS = {
    "missing": None,
    "not a program": "junk",
    "without the codec": "#!/bin/sh\necho \"Unknown encoder 'libx264'\" >&2\nexit 1\n",
}


@pytest.mark.skipif(os.name != "posix", reason="the broken program is a shell script")
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_broken_video_program_is_one_line_after_the_numbers(
    train, evaluate, stub, tmp_path, monkeypatch, program, no_report
):
    pytest.importorskip("ale_py", reason="Atari is optional: pip install -e '.[atari]'")
    task = ["task=atari_pong", "+task.frames=8"]
    assert train(*stub, *task, "steps=8", "run=run") == 0, train.err
    broken = tmp_path / "ffmpeg"
    if PROGRAMS[program]:
        broken.write_text(PROGRAMS[program])
        broken.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(broken))
    message = evaluate.error("checkpoint=run", "episodes=1", "videos=1", "device=cpu")
    assert "episode_0_" in message and message.endswith("see dreamer-check")
    assert "return " in evaluate.out
    assert not list(tmp_path.rglob("*.mp4"))


# --- agents of one's own --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, source, word",
    [
        ("lonely", "import no_such_library\n", "no_such_library"),
        ("broken", "def broken(:\n", "line 1"),
        ("unfinished", "raise NotImplementedError('exercise 3.1')\n", "exercise 3.1"),
    ],
)
def test_an_agent_that_cannot_be_imported_is_one_line(train, tmp_path, name, source, word):
    folder = tmp_path / "code" / f"paper8_{name}"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(source)
    message = train.error(f"agent={name}", "code=code", "task=cartpole", "run=run")
    assert word in message
    assert not (tmp_path / "run").exists()


# --- checkpoints that do not fit ------------------------------------------------------------------


@pytest.fixture
def run(train, stub, tmp_path, no_report):
    """A finished run of the stub agent, and the command that made it."""
    command = [*stub, COUNTER, "steps=60", "run=run"]
    assert train(*command) == 0, train.err
    return command


def assert_refused(train, command, tmp_path, *words) -> None:
    """Continuing is refused, and leaves the run as it was."""
    before = everything(tmp_path)
    message = train.error(*command, "steps=90")
    assert [word for word in words if word not in message] == [], message
    after = everything(tmp_path)
    for name in before:
        if name not in ("run/manifest.jsonl", "run/config.yaml"):
            assert after[name] == before[name], name
    assert set(after) == set(before)


@pytest.mark.parametrize(
    "option, word",
    [
        ("seed=7", "seed"),
        ("envs=5", "envs"),
        ("size=paper", "size=tiny"),
        ("agent.lr=0.5", "agent.lr"),
        ("+task.length=9", "task.length"),
        ("task=Acrobot-v1", "task.name"),
    ],
)
def test_a_run_keeps_its_agent_size_task_seed_and_environments(train, run, tmp_path, option, word):
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    assert_refused(train, [*run, option], tmp_path, word)
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before


def test_another_agent_in_the_folder_of_a_run_is_refused(train, run, tmp_path, tiny):
    arguments = ["agent=dreamerv3", "code=solutions", *tiny, COUNTER, "run=run"]
    assert_refused(train, arguments, tmp_path, "agent_name=stub", "dreamerv3")


def test_a_checkpoint_of_another_size_in_the_folder_is_refused(train, tiny, tmp_path, no_report):
    for name, size in (("one", "agent.deter=16"), ("two", "agent.deter=32")):
        assert train(*tiny, size, "task=cartpole", "steps=8", f"run={name}") == 0, train.err
    other = (tmp_path / "two" / "checkpoints" / "latest.pt").read_bytes()
    (tmp_path / "one" / "checkpoints" / "latest.pt").write_bytes(other)
    message = train.error("run=one", "steps=40")
    assert "does not fit" in message
    assert (tmp_path / "one" / "checkpoints" / "latest.pt").read_bytes() == other


def test_a_checkpoint_of_another_agent_in_the_folder_is_refused(
    train, run, tiny, tmp_path, no_report
):
    assert train(*tiny, "agent=dreamerv3", COUNTER, "steps=8", "run=other") == 0, train.err
    latest = tmp_path / "run" / "checkpoints" / "latest.pt"
    latest.write_bytes((tmp_path / "other" / "checkpoints" / "latest.pt").read_bytes())
    assert_refused(train, run, tmp_path, "latest.pt")


def test_a_checkpoint_without_a_run_is_refused(train, run, tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    (folder / "latest.pt").write_bytes((folder / "best.pt").read_bytes())
    assert_refused(train, run, tmp_path, "latest.pt")


def test_a_truncated_checkpoint_is_refused_by_every_command(
    train, evaluate, visualize, run, tmp_path
):
    path = tmp_path / "run" / "checkpoints" / "latest.pt"
    for share in (0, 0.5):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        assert_refused(train, run, tmp_path, "latest.pt is damaged")
        for command in (evaluate, visualize):
            assert "latest.pt is damaged" in command.error(f"checkpoint={path}")


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_malicious_checkpoint_is_refused_by_every_command_and_runs_nothing(
    train, evaluate, visualize, run, tmp_path, form
):
    path, trap = tmp_path / "run" / "checkpoints" / "latest.pt", tmp_path / "trap"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Payload(trap)))
    else:
        torch.save({"format": checkpoint.FORMAT, "header": Payload(trap)}, path)
    assert_refused(train, run, tmp_path, "not loaded")
    for command in (evaluate, visualize):
        assert "not loaded" in command.error("--checkpoint", path)
    assert not trap.exists()


def test_missing_rows_are_refused_by_name(train, run, tmp_path):
    (tmp_path / "run" / "replay" / "1-0.rows").unlink()
    assert_refused(train, run, tmp_path, "replay")


def test_a_damaged_configuration_is_refused_by_name(train, run, tmp_path):
    (tmp_path / "run" / "config.yaml").write_text("overrides: [a, {b\n")
    assert "config.yaml" in train.error("run=run", "steps=90")


# --- the disk and other processes -----------------------------------------------------------------


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(
    train, run, tmp_path, monkeypatch, place
):
    latest = tmp_path / "run" / "checkpoints" / "latest.pt"
    before, real = latest.read_bytes(), getattr(os, place)

    def full(*arguments):
        if place == "replace" and not str(arguments[1]).endswith("latest.pt"):
            return real(*arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, place, full)
    assert "the disk is full" in train.error(*run, "steps=90")
    assert latest.read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert train(*run, "steps=90") == 0, train.err
    assert checkpoint.read(latest)["trainer"]["step"] == 90


def test_a_full_disk_at_the_very_first_file_leaves_no_half_of_it(
    train, stub, tmp_path, monkeypatch
):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "the disk is full" in train.error(*stub, COUNTER, "run=run", "steps=8")
    assert everything(tmp_path) == {}


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
@pytest.mark.parametrize("limit", [600, 2000])
def test_files_that_cannot_grow_are_one_line(tmp_path, stub, limit):
    """The first write that fails is that of the configuration, or of a checkpoint."""
    done = Started([*stub, COUNTER, "steps=60", "run=run"], tmp_path, file_limit=limit)
    assert done.wait() == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("latest.pt"))


def test_a_run_in_use_by_another_process_is_refused_and_left_alone(tmp_path, stub, train):
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"):
        other = Started([*stub, COUNTER, "steps=8", "run=run"], tmp_path)
        assert other.wait() == 2
        assert other.stderr == "error: run is in use by another process\n"
        assert set(everything(tmp_path / "run")) == set()
    assert Started([*stub, COUNTER, "steps=8", "run=run"], tmp_path).wait() == 0


def test_a_run_that_is_a_file_is_refused_by_name(train, stub, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert "run" in train.error(*stub, COUNTER, "run=run", "steps=8")
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_line(train, stub, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "closed" in train.error(*stub, COUNTER, "run=closed/run", "steps=8")


# --- environments that fail -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure, words",
    [
        ("step", ["environment 0", "episode 1", "ValueError", "the motor is broken"]),
        ("reset", ["environment 0", "episode 1", "ValueError", "the motor is broken"]),
        ("observation", ["environment 0", "episode 1", "NaN"]),
        ("reward", ["environment 0", "episode 1", "NaN"]),
    ],
)
def test_an_environment_that_fails_is_one_line_that_says_where(
    train, stub, tmp_path, failure, words
):
    task = ["task=Toy/Failing-v0", f"+task.failure={failure}", "+task.episode=1"]
    message = train.error(*stub, *task, "run=run", "steps=200", "eval_every=1000")
    assert [word for word in words if word not in message] == [], message
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("failure", ["step", "observation", "reward"])
def test_nothing_is_lost_when_an_environment_fails(train, stub, tmp_path, failure):
    task = ["task=Toy/Failing-v0", f"+task.failure={failure}", "+task.episode=1"]
    train.error(*stub, *task, "run=run", "steps=200", "eval_every=1000")
    state = checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")
    # An episode is 20 steps; the third of the second one fails, before anything of it is stored.
    assert state["trainer"]["step"] == 2 * 22
    assert [end for _, end in state["replay"]["streams"]] == [21 + 2] * 2
    assert [len(slot["actions"]) for slot in state["player"]["collector"]] == [2, 2]


def test_an_environment_that_hangs_is_interrupted_and_nothing_is_lost(train, stub, tmp_path):
    task = ["task=Toy/Failing-v0", "+task.failure=hang", "+task.episode=1", "env_timeout=0.5"]
    message = train.error(*stub, *task, "run=run", "steps=200", "eval_every=1000")
    for words in ("environment 0 (episode 1, step 2)", "no answer within 0.5 seconds"):
        assert words in message
    state = checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")
    assert state["trainer"]["step"] == 2 * 22


def test_an_environment_that_cannot_be_interrupted_ends_the_process(train, stub, tmp_path):
    task = ["task=Toy/Failing-v0", "+task.failure=hang for ever", "+task.episode=1", "save_every=4"]
    command = [*stub, *task, "env_timeout=0.5", "run=run", "steps=200", "eval_every=1000"]
    done = Started(command, tmp_path)
    assert done.wait() == 2
    last = done.stderr.splitlines()[-1]
    assert "environment 0 (episode 1, step 2)" in last and "cannot be interrupted" in last
    # What was saved before is there; the rest cannot be.
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")["trainer"]["step"] > 0


def test_a_slow_environment_within_the_limit_is_left_alone(train, stub, tmp_path):
    assert train(*stub, COUNTER, "run=run", "steps=40", "env_timeout=0.5") == 0


def test_an_environment_that_fails_at_its_very_first_step_is_one_line(train, stub, tmp_path):
    task = ["task=Toy/Failing-v0", "+task.failure=step", "+task.step=1"]
    assert "episode 0" in train.error(*stub, *task, "run=run", "steps=200")
    task = ["task=Toy/Failing-v0", "+task.failure=reset"]
    assert "episode 0" in train.error(*stub, *task, "run=other", "steps=200")


@pytest.mark.parametrize("failure", ["step", "observation", "reward"])
def test_an_environment_that_fails_in_evaluation_is_one_line(evaluate, tmp_path, run, failure):
    path = tmp_path / "run" / "checkpoints" / "best.pt"
    state = checkpoint.read(path)
    state["header"]["task"] = {"name": "Toy/Failing-v0", "failure": failure}
    checkpoint.save(path, state)
    assert "episode 0" in evaluate.error("checkpoint=run", "device=cpu")


def test_an_environment_that_cannot_be_built_is_one_line(train, stub, tmp_path):
    task = ["task=Toy/Failing-v0", "+task.failure=constructor"]
    assert "the map file is missing" in train.error(*stub, *task, "run=run")
    assert everything(tmp_path) == {}


def test_an_option_that_the_environment_does_not_have_is_one_line(train, stub, tmp_path):
    assert "colour" in train.error(*stub, COUNTER, "+task.colour=red", "run=run")
    assert everything(tmp_path) == {}


@pytest.mark.parametrize(
    "task, word",
    [
        ("ManyActions", "MultiDiscrete"),
        ("BinaryActions", "MultiBinary"),
        ("Words", "the observation is text"),
        ("Endless", "the observation has no fixed size"),
        ("Floats", "'eye' of shape (9, 9, 3) looks like a picture of float32: return uint8"),
        ("Stack", "the observation of shape (4, 9, 9, 3) looks like a stack of pictures: leave"),
        ("Long", "the observation has 14,400 entries"),
        ("Liar", "'vector' has shape (4,), and its space declares (3,)"),
    ],
)
def test_spaces_that_agents_cannot_use_are_refused(train, stub, tmp_path, task, word):
    assert word in train.error(*stub, f"task=Toy/{task}-v0", "run=run")
    assert everything(tmp_path) == {}


def test_observations_named_like_parts_of_a_row_are_refused_by_name(train, tiny, tmp_path):
    """An observation called `action`, or `z`, would be overwritten in the replay."""
    message = train.error(*tiny, "task=Toy/TakenName-v0", "run=run", "steps=40")
    assert "action" in message or "'z'" in message
    assert everything(tmp_path) == {}


def test_a_run_that_diverges_is_one_line_and_keeps_the_last_checkpoint(train, tiny, tmp_path):
    command = [*tiny, "task=pendulum", "steps=60", "eval_every=1000", "save_every=36", "run=run"]
    message = train.error(*command, "agent.lr=1e30", "agent.warmup=0", "log_every=1000")
    assert "diverged" in message and "agent.lr" in message
    for path in tmp_path.rglob("*.pt"):
        weights = checkpoint.read(path)["agent"]["modules"].values()
        assert all(torch.isfinite(x).all() for x in weights)
