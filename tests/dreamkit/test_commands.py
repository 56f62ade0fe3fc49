"""The commands: what they print and what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image

import dreamkit
from dreamkit import checkpoint

HERE = Path(__file__).parent


def rows(folder, kind) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of pixel CartPole, trained by the real command in a process of its own."""
    from conftest import AGENT, RUN

    folder = tmp_path_factory.mktemp("trained")
    arguments = [*AGENT, *RUN, "task=cartpole_pixels", "steps=60", "log_every=10", "run=run"]
    done = console("train", arguments, folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout, encoding="utf-8")
    return folder / "run"


def console(name: str, arguments: list, folder) -> subprocess.CompletedProcess:
    """A console script as its entry point calls it."""
    code = f"from dreamkit.cli import {name}; {name}()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help_that_names_its_options(train, evaluate, visualize, flag):
    for command, options in (
        (train, ["agent=", "task=", "size=", "run=", "steps=", "seed=", "device=", "until="]),
        (evaluate, ["checkpoint=", "episodes=", "seed=", "device="]),
        (visualize, ["checkpoint=", "out=", "context=", "length=", "seed=", "device="]),
    ):
        assert command(flag) == 0
        assert command.out.startswith("usage: dreamer-") and command.err == ""
        assert [option for option in options if option not in command.out] == []


def test_info_lists_agents_sizes_tasks_and_every_option(train):
    assert train("--info") == 0
    from solutions.paper3_dreamerv3.train import SIZES, Config

    words = train.out.replace(",", " ").replace(";", " ").split()
    assert "agent=dreamerv3" in words
    assert [size for size in SIZES if f"size={size}" not in words] == []
    assert {"cartpole", "cartpole_pixels", "cartpole_continuous", "pendulum"} <= set(words)
    for name, value in vars(Config()).items():
        assert f"agent.{name}={value}" in words
    for option in ("steps=", "envs=", "train_ratio=", "eval_every=", "save_every="):
        assert any(word.startswith(option) for word in words)


def test_info_counts_the_parameters_of_an_agent_with_continuous_actions_alone(train):
    assert train("--info") == 0
    lines = train.out[train.out.index("agent=dreamerv1") :].splitlines()
    sizes = [line.split()[0] for line in lines if line.startswith("  size=")][:2]
    assert sizes == ["size=tiny", "size=paper"]


def test_an_agent_that_cannot_use_a_task_says_so_in_one_line(train):
    message = train.error("agent=dreamerv1", "task=cartpole", "run=run")
    assert "dreamerv1 cannot use this task" in message and "2 discrete ones" in message


def test_help_and_info_write_nothing(train, tmp_path):
    train("--help"), train("--info")
    assert list(tmp_path.iterdir()) == []


# --- training -------------------------------------------------------------------------------------


def test_a_run_leaves_its_options_numbers_checkpoints_report_and_dream(trained):
    for name in (
        "config.yaml", "metrics.jsonl", "manifest.jsonl", "checkpoints/latest.pt",
        "checkpoints/best.pt", "replay/0-0.rows", "report.html", "report.png",
        "dreams/dream_image.gif", "dreams/dream_image.png", "dreams/dream_signals.png",
        "dreams/latents.png",
    ):  # fmt: skip
        assert (trained / name).stat().st_size > 0, name
    assert not list(trained.rglob("*.tmp"))


def test_the_configuration_is_complete_and_repeats_what_was_asked(trained):
    saved = yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))
    assert "task=cartpole_pixels" in saved["overrides"]
    config = saved["config"]
    assert config["agent_name"] == "dreamerv3" and config["size"] == "tiny"
    assert config["steps"] == 60 and config["agent"]["deter"] == 16
    assert config["agent"]["lambda_"] == 0.95  # a default
    assert config["task"] == {"name": "cartpole_pixels", "size": 32}


def test_the_numbers_are_one_json_object_a_line(trained):
    logged, evaluated = rows(trained, "train"), rows(trained, "eval")
    assert [row["step"] for row in logged] == [40, 50, 60]
    names = {f"loss/{x}" for x in ("dyn", "rep", "reward", "continue", "image", "policy", "value")}
    assert all(names | {"kl", "entropy", "updates", "seconds"} <= set(row) for row in logged)
    assert [row["step"] for row in evaluated] == [60]
    assert evaluated[0]["episodes"] == 2 and evaluated[0]["std"] >= 0


def test_the_manifest_names_versions_and_machine(trained):
    import torch

    (line,) = (trained / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    manifest = json.loads(line)
    assert manifest["torch"] == torch.__version__
    assert {"command", "started", "commit", "python", "numpy", "machine", "gpu"} <= set(manifest)


def test_the_command_prints_size_memory_evaluations_and_the_report(trained):
    out = (trained.parent / "stdout").read_text(encoding="utf-8")
    assert "parameters" in out and "rows of" in out
    evaluated = rows(trained, "eval")[0]
    assert f"evaluation {evaluated['return']:8.1f} ± {evaluated['std']:.1f}" in out
    assert out.splitlines()[-1] == "report: run/report.html"


def test_the_page_shows_the_picture_the_dream_and_the_command_again(trained):
    page = (trained / "report.html").read_text(encoding="utf-8")
    evaluated = rows(trained, "eval")[0]
    for text in (
        'src="report.png"', 'src="dreams/dream_image.gif"', "dreamer-train", "agent.deter",
        f"{evaluated['return']:.1f} ± {evaluated['std']:.1f}", "dreamerv3 on cartpole_pixels",
    ):  # fmt: skip
        assert text in page
    sources = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert all((trained / source).exists() for source in sources)


def frames(path) -> tuple[int, tuple[int, int]]:
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1), image.size


def test_the_dream_is_three_pictures_side_by_side_over_time(trained):
    count, (width, height) = frames(trained / "dreams" / "dream_image.gif")
    assert count > 5 and width == 3 * height
    assert frames(trained / "report.png")[1][0] > 800


# --- evaluating and looking -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        lambda run: [f"checkpoint={run}"],
        lambda run: ["--checkpoint", run],
        lambda run: [f"--checkpoint={run}"],
        lambda run: ["--checkpoint", run / "checkpoints" / "best.pt"],
    ],
)
def test_eval_prints_mean_and_spread_of_whole_episodes(evaluate, trained, arguments):
    options = ["device=cpu", "episodes=3", "seed=5"]
    assert evaluate(*arguments(trained), *options) == 0
    assert "best.pt: dreamerv3 on cartpole_pixels" in evaluate.out
    import numpy as np

    from dreamkit import make
    from dreamkit.checkpoint import build_agent, read, restore
    from dreamkit.collect import evaluate as play

    state = read(trained)
    agent = build_agent(state["header"], make("cartpole_pixels"))
    restore(agent, state, trained)
    scores = np.array(play(agent, lambda: make("cartpole_pixels"), 3, 5)["scores"])
    expected = f"return {scores.mean():.1f} ± {scores.std():.1f} over 3 episodes"
    assert expected in evaluate.out


def test_eval_of_the_latest_checkpoint_is_possible(evaluate, trained):
    path = trained / "checkpoints" / "latest.pt"
    assert evaluate(f"checkpoint={path}", "episodes=1", "device=cpu") == 0
    assert "latest.pt" in evaluate.out and "± 0.0 over 1 episodes" in evaluate.out


def test_eval_does_not_touch_the_run(evaluate, trained):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    evaluate(f"checkpoint={trained}", "episodes=1", "device=cpu")
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


@pytest.mark.parametrize("form", ["checkpoint={}", "--checkpoint {}"])
def test_viz_writes_a_film_and_pictures_and_names_them(visualize, trained, tmp_path, form):
    options = [f"out={tmp_path}/x", "length=9", "context=3", "device=cpu"]
    assert visualize(*form.format(trained).split(), *options) == 0
    names = ["dream_image.gif", "dream_image.png", "dream_image.mp4", "dream_signals.png"]
    names += ["latents.png"]
    assert visualize.out.split() == [f"{tmp_path}/x/{name}" for name in names]
    assert frames(tmp_path / "x" / "dream_image.gif")[0] == 9
    assert frames(tmp_path / "x" / "dream_image.png")[1][0] > 300


def test_viz_of_a_run_without_pictures_plots_its_signals(train, visualize, stub, tmp_path):
    assert train(*stub, "task=Toy/Counter-v0", "+task.length=9", "steps=60", "run=run") == 0
    (tmp_path / "run" / "dreams" / "dream_signals.png").unlink()
    assert visualize("checkpoint=run", "length=8") == 0
    assert visualize.out.split() == ["run/dreams/dream_signals.png"]
    assert visualize.err == "no latents.png: the agent has no method latent_statistics\n"
    assert "latents.png" not in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert frames(tmp_path / "run" / "dreams" / "dream_signals.png")[0] == 1


def test_a_loaded_run_plays_in_ten_lines(trained):
    policy, env = dreamkit.load(str(trained), device="cpu")
    obs, _ = env.reset(seed=0)
    policy.reset()
    score, done = 0.0, False
    while not done:
        obs, reward, terminated, truncated, _ = env.step(policy(obs))
        score += reward
        done = terminated or truncated
    assert 8 <= score <= 500


# --- more ways to train ---------------------------------------------------------------------------


def test_without_a_name_the_run_gets_a_folder_of_its_own(train, stub, tmp_path, no_report):
    assert train(*stub, "task=Toy/Counter-v0", "steps=8") == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-stub-Toy-Counter-v0")


def test_any_gymnasium_id_is_a_task_and_options_reach_the_environment(
    train, stub, tmp_path, no_report
):
    assert train(*stub, "task=Toy/Counter-v0", "+task.length=3", "steps=60", "run=run") == 0
    assert rows(tmp_path / "run", "eval")[0]["return"] == 6
    assert train(*stub, "task=Acrobot-v1", "steps=40", "run=acrobot", "eval_episodes=1") == 0


def test_a_module_before_a_colon_is_imported_for_its_tasks(train, stub, tmp_path, no_report):
    """Gymnasium's way to name an environment that must be registered first."""
    (tmp_path / "my_world.py").write_text(
        "import gymnasium, toy_environments\n"
        "gymnasium.register('Mine-v0', toy_environments.Counter, disable_env_checker=True)\n"
    )
    sys.path.insert(0, str(tmp_path))
    assert train(*stub, "task=my_world:Mine-v0", "steps=40", "run=run") == 0, train.err
    assert rows(tmp_path / "run", "eval")[0]["return"] == 15


def test_the_same_command_again_changes_nothing_in_a_finished_run(train, stub, tmp_path, no_report):
    command = [*stub, "task=Toy/Counter-v0", "steps=60", "run=run"]
    assert train(*command) == 0
    numbers = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    config = (tmp_path / "run" / "config.yaml").read_bytes()
    for _ in range(2):
        assert train(*command) == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == numbers
    assert (tmp_path / "run" / "config.yaml").read_bytes() == config


def test_a_run_continues_with_its_own_options_where_none_are_given(
    train, stub, tmp_path, no_report
):
    assert train(*stub, "task=Toy/Counter-v0", "+task.length=3", "steps=60", "run=run") == 0
    assert train("run=run", "steps=90") == 0
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert saved["config"]["steps"] == 90 and saved["config"]["task"]["length"] == 3
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")["trainer"]["step"] == 90


def test_a_task_with_very_short_episodes_still_ends_with_a_report(train, stub, tmp_path):
    command = [*stub, "task=Toy/Counter-v0", "+task.length=2", "steps=60", "run=run"]
    assert train(*command) == 0, train.err
    assert (tmp_path / "run" / "report.html").exists()


def test_a_run_that_ends_before_its_first_update_still_ends_with_a_report(train, stub, tmp_path):
    assert train(*stub, "task=Toy/Counter-v0", "steps=8", "run=run") == 0, train.err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "No evaluation was made" in page and train.err == ""


def test_sigterm_to_the_real_command_saves_and_names_the_way_on(tmp_path, tiny):
    code = "from dreamkit.cli import train; train()"
    arguments = [*tiny, "task=cartpole", "steps=1000000", "log_every=2", "run=run"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    log, end = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143 and err == ""
    assert out.splitlines()[-1].endswith("continue with: dreamer-train run=run")
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")["trainer"]["step"] > 0


@pytest.mark.long
def test_pong_trains_saves_and_resumes_through_the_generic_path(
    train, evaluate, tiny, tmp_path, no_report
):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    command = [
        *tiny, "task=ALE/Pong-v5", "+task.max_episode_steps=40", "train_ratio=4", "run=run",
        "eval_every=250", "save_every=100", "eval_episodes=1",
    ]  # fmt: skip
    assert train(*command, "steps=250") == 0, train.err
    first = checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")
    assert train(*command, "steps=500") == 0, train.err
    assert "continuing run at step 250" in train.out and "did not repeat" not in train.out
    second = checkpoint.read(tmp_path / "run" / "checkpoints" / "latest.pt")
    steps = [state["trainer"]["step"] for state in (first, second)]
    assert steps == [250, 500]
    assert second["trainer"]["updates"] > first["trainer"]["updates"] > 10
    assert [row["step"] for row in rows(tmp_path / "run", "eval")] == [250, 500]
    assert os.path.getsize(tmp_path / "run" / "replay" / "0-0.rows") > 250 * 3 * 64 * 64
    assert evaluate("checkpoint=run", "episodes=1", "device=cpu") == 0
    assert "dreamerv3 on ALE/Pong-v5" in evaluate.out
