"""The commands around a run: compare, check, films, sinks; and the page on new environments."""

import json
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import yaml

from dreamkit import UserError, check, compare, make
from dreamkit.cli import compare_command
from dreamkit.sinks import open_sinks
from dreamkit.video import film

ROOT = Path(__file__).parents[2]


def a_run(folder: Path, returns: list[float], agent="dreamerv3", task="cartpole", extra=()) -> Path:
    """A run folder with evaluations at steps 100, 200, …"""
    folder.mkdir(parents=True)
    config = {"agent_name": agent, "size": "tiny", "task": {"name": task}}
    content = {"overrides": [f"seed={len(returns)}", *extra], "config": config}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    rows = [
        {"kind": "eval", "step": 100 * (i + 1), "seconds": 10.0 * (i + 1), "return": x}
        for i, x in enumerate(returns)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


# --- compare --------------------------------------------------------------------------------------


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert compare.iqm(np.array([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -50.0])) == 3.5
    assert compare.iqm(np.array([1.0, 2.0, 6.0])) == 3.0


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    """500 samples of ten standard normal numbers: the percentile bootstrap covers a little less."""
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        low, high = compare.interval([random.normal(size=10)], np.mean, trial)
        hits += low <= 0 <= high
    assert 82 <= hits <= 98


def test_a_stratum_keeps_its_number_of_runs():
    """Two tasks whose scores are constants: no resample can mix them."""
    assert compare.interval([np.zeros(3), np.ones(3)], np.mean) == (0.5, 0.5)


def test_runs_are_grouped_by_agent_size_and_options_whatever_their_seed(tmp_path):
    for seed in (1, 2):
        a_run(tmp_path / f"a{seed}", [1.0] * seed)
        a_run(tmp_path / f"b{seed}", [2.0] * seed, extra=["agent.gamma=0.9"])
    groups = compare.collect([f"{tmp_path}/*"])
    assert {label: len(runs) for label, runs in groups.items()} == {
        "dreamerv3 (tiny)": 2, "dreamerv3 (tiny) agent.gamma=0.9": 2,
    }  # fmt: skip


def test_compare_writes_a_table_a_picture_and_the_numbers(tmp_path, capsys):
    for seed, last in enumerate((10.0, 20.0, 60.0)):
        a_run(tmp_path / f"one{seed}", [0.0, last, last])
        a_run(tmp_path / f"two{seed}", [0.0, last + 100, last + 100], agent="dreamerv1")
    words = [f"{tmp_path}/one*", f"second={tmp_path}/two*", f"out={tmp_path / 'out'}", "last=2"]
    assert compare_command(words) == 0
    rows = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [(row["group"], row["mean"], row["runs"]) for row in rows] == [
        ("dreamerv3 (tiny)", 30.0, 3), ("second", 130.0, 3),
    ]  # fmt: skip
    assert rows[0]["mean_interval"][0] == 10.0 and rows[0]["mean_interval"][1] == 60.0
    assert "| second | 3 | 130 [110, 160]" in capsys.readouterr().out
    assert (tmp_path / "out" / "compare.png").stat().st_size > 10_000


def test_scores_of_several_tasks_are_scaled_before_they_are_averaged(tmp_path):
    for task, high in (("pong", 20.0), ("cartpole", 500.0)):
        a_run(tmp_path / f"bad-{task}", [0.0], task=task)
        a_run(tmp_path / f"good-{task}", [high], task=task)
    groups = compare.collect([f"bad={tmp_path}/bad*", f"good={tmp_path}/good*"])
    assert [row["mean"] for row in compare.table(groups, 3)] == [0.0, 1.0]


@pytest.mark.parametrize(
    "words, line",
    [
        (["nowhere*"], "no run folder is named nowhere"),
        (["x", "last=0"], "last=0 must be a positive number"),
    ],
)
def test_compare_refuses_in_one_line(words, line):
    with pytest.raises(UserError, match=line):
        compare_command(words)


def test_a_run_without_evaluations_or_with_a_broken_file_is_named(tmp_path):
    with pytest.raises(UserError, match="has no evaluation yet"):
        compare.collect([str(a_run(tmp_path / "a", []))])
    folder = a_run(tmp_path / "b", [1.0])
    (folder / "config.yaml").write_text("{")
    with pytest.raises(UserError, match="is not a run folder"):
        compare.collect([str(folder)])


# --- check ----------------------------------------------------------------------------------------


def test_check_says_what_works_what_is_missing_and_what_is_broken():
    row = ("x", "print('fine 1.0')", "json", False, "mend it")
    assert check.line(*row) == ("ok", "fine 1.0")
    row = ("x", "print('fine')", "no_such_library", True, "pip install it")
    assert check.line(*row) == ("missing", "not installed: pip install it")
    row = ("x", "raise ValueError('no driver')", "json", False, "apt install it")
    assert check.line(*row) == ("broken", "ValueError: no driver; apt install it")
    row = ("x", "import os; os._exit(139)", "json", False, "mend it")
    assert check.line(*row) == ("broken", "exit code 139; mend it")


def test_check_ends_what_hangs(monkeypatch):
    monkeypatch.setattr(check, "LIMIT", 1)
    row = ("x", "import time; time.sleep(60)", "json", True, "mend it")
    assert check.line(*row) == ("broken", "no answer within 1 s; mend it")


def test_check_prints_a_line_for_everything(capsys, monkeypatch):
    monkeypatch.setattr(
        check, "line", lambda name, *_: ("broken" if "Atari" in name else "ok", "?")
    )
    assert check.main() == 1
    out = capsys.readouterr().out
    assert "NO  Atari" in out and "ok  PyTorch" in out and "does not work: Atari" in out


# --- films ----------------------------------------------------------------------------------------


def test_a_film_has_the_frames_and_an_even_size(tmp_path):
    import imageio.v3 as iio

    frames = [np.full((33, 47, 3), 10 * i, np.uint8) for i in range(12)]
    video = iio.imread(film(tmp_path / "x.mp4", frames))
    assert len(video) == 12 and video.shape[1] % 2 == video.shape[2] % 2 == 0
    assert video[11].mean() > video[1].mean() + 50


def test_a_codec_that_fails_is_one_line(tmp_path, monkeypatch):
    import imageio.v3 as iio

    def fail(*_, **__):
        raise OSError("encoder libx264 not found\nmore")

    monkeypatch.setattr(iio, "imwrite", fail)
    with pytest.raises(UserError, match="encoder libx264 not found; see dreamer-check"):
        film(tmp_path / "x.mp4", [np.zeros((8, 8, 3), np.uint8)])


# --- sinks ----------------------------------------------------------------------------------------

CFG = {"agent_name": "dreamerv3", "task": {"name": "cartpole"}, "seed": 0}


def test_an_unknown_sink_is_one_line(tmp_path):
    with pytest.raises(UserError, match="log=paper: there are mlflow, tensorboard"):
        open_sinks(["paper"], tmp_path, CFG)


@pytest.mark.parametrize("name, module", [("mlflow", "mlflow"), ("tensorboard", "tensorboard")])
def test_a_missing_library_is_one_line_that_installs_it(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(UserError, match=rf"pip install -e '.\[{name}\]'"):
        open_sinks([name], tmp_path, CFG)


def test_a_continued_run_goes_on_in_the_same_mlflow_run(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is optional: pip install -e '.[mlflow]'")
    folder = tmp_path / "run"
    folder.mkdir()
    for step in (1, 2):
        [sink] = open_sinks(["mlflow"], folder, CFG)
        sink.write("eval", step, {"return": 10.0 * step})
        (folder / "report.png").write_bytes(b"png")
        sink.pictures(folder)
        sink.close("FINISHED")
    history = sink.client.get_metric_history(sink.run, "eval/return")
    assert [(x.step, x.value) for x in history] == [(1, 10.0), (2, 20.0)]
    run = sink.client.get_run(sink.run)
    assert run.data.params["task.name"] == "cartpole" and run.info.status == "FINISHED"
    assert [x.path for x in sink.client.list_artifacts(sink.run)] == ["report.png"]
    assert len(sink.client.search_runs([run.info.experiment_id])) == 1


# --- a new environment ----------------------------------------------------------------------------


def test_the_page_on_new_environments_works_as_written(tmp_path):
    page = (ROOT / "docs" / "add-your-environment.md").read_text("utf-8")
    code, _ = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "reach.py").write_text(code)
    command = re.search(r"dreamer-train (.*?run=runs/reach)", page, re.S)[1]
    words = command.replace("\\\n", " ").split()
    words = [word for word in words if not word.startswith(("steps=", "train_ratio=", "envs="))]
    program = "import sys; sys.path.remove(''); from dreamkit.cli import train; train()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "preset=debug"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "best evaluation" in done.stdout and (tmp_path / "runs/reach/report.html").exists()
    program = program.replace("train", "evaluate")
    done = subprocess.run(
        [sys.executable, "-c", program, "checkpoint=runs/reach", "episodes=1", "videos=1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert len(list((tmp_path / "runs/reach/videos").glob("*.mp4"))) == 1


def test_the_wrapper_of_the_page_makes_one_button_of_two(monkeypatch):
    page = (ROOT / "docs" / "add-your-environment.md").read_text("utf-8")
    _, code = re.findall(r"```python\n(.*?)```", page, re.S)
    pressed = []

    class Theirs(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        action_space = gymnasium.spaces.MultiDiscrete([3, 2])

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {}

        def step(self, action):
            pressed.append(tuple(action))
            return np.zeros(2, np.float32), 0.0, False, False, {}

    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    gymnasium.register("Theirs-v0", Theirs, disable_env_checker=True)
    exec(code, {})
    env = make("Mine-v0")
    env.reset(seed=0)
    for action in range(6):
        env.step(action)
    assert pressed == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
