"""What the course commands do to files, and what they say when they cannot."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course import classroom, cli, holes, lend, templates
from course.grade import ROOT, Paper

PAPER = "paper1_dreamerv1"
ANSWER = "    return image.float().div(255).sub(0.5)\n"


@pytest.fixture
def mine(tmp_path) -> Path:
    """A learner's folder with fresh templates."""
    folder = tmp_path / "mine" / PAPER
    folder.mkdir(parents=True)
    for path in (ROOT / "solutions" / PAPER).glob("*.py"):
        text = templates.template(path.read_text("utf-8"))
        (folder / path.name).write_text(text, "utf-8")
    return folder.parent


def answer(where: Path, id: str, body: str) -> None:
    for path in (where / PAPER).glob("*.py"):
        text = path.read_text("utf-8")
        if id in holes.bodies(text):
            path.write_text(holes.fill(text, {id: body}), "utf-8")


def python(*words, cwd: Path = ROOT, timeout: int = 120) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=timeout
    )


# --- one line for what cannot be done -------------------------------------------------------------


@pytest.mark.parametrize(
    "words, line",
    [
        (["fly"], "there is no command fly"),
        (["grade", "1.99"], "no exercise, file or paper is named 1.99"),
        (["grade", "1.1", "nets.py"], "no exercise, file or paper is named nets.py"),
        (["grade", "--code"], "--code needs a value"),
        (["grade", "--code", "/nowhere"], "there is no such folder"),
        (["grade", "--code", "docs"], "docs holds no paper1_dreamerv1"),
        (["hint"], "name an exercise"),
        (["hint", "9.9"], "there is no exercise 9.9"),
        (["hint", "1.1", "seven"], "none is named seven"),
        (["reset", "0.1"], "there is no exercise 0.1"),
        (["batch"], "course batch needs one folder"),
        (["update", "no-such-branch"], "git diff"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(words, line, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(classroom, "git", fail_at_diff)
    assert cli.main(words) == 2
    out = capsys.readouterr()
    assert line in out.err and out.err.count("\n") == 1 and "Traceback" not in out.out


def fail_at_diff(*words):
    if words[0] == "diff":
        raise cli.CommandError("git diff: unknown revision")
    return []


def test_help_lists_every_command(capsys):
    assert cli.main([]) == 0 and cli.main(["--help"]) == 0
    page = capsys.readouterr().out
    assert [name for name in cli.COMMANDS if f"course {name}" not in page] == []


# --- looking --------------------------------------------------------------------------------------


def test_next_names_place_task_and_hint(mine, capsys):
    assert cli.main(["next", "--code", str(mine)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1.1  preprocess_image  paper1_dreamerv1/networks.py:")
    assert "the reference takes 1 line; course hint 1.1" in out


def test_next_shows_the_failure_where_there_is_one(mine, capsys):
    answer(mine, "1.1", "    return image / 255\n")
    assert cli.main(["next", "--code", str(mine)]) == 0
    assert capsys.readouterr().out.startswith("✗ 1.1")


def test_diff_shows_the_reference_after_passing_and_not_before(mine, capsys):
    assert cli.main(["diff", "1.1", "--code", str(mine)]) == 2
    answer(mine, "1.1", ANSWER)
    assert cli.main(["diff", "1.1", "--code", str(mine)]) == 0
    assert "+    return image.float() / 255 - 0.5" in capsys.readouterr().out


def test_lines_outside_the_holes_are_named_before_grading(mine, capsys):
    path = mine / PAPER / "networks.py"
    path.write_text("import os\n" + path.read_text("utf-8"), "utf-8")
    cli.main(["grade", "1.1", "--code", str(mine)])
    assert "not graded: paper1_dreamerv1/networks.py: import os" in capsys.readouterr().out


def test_a_hole_without_markers_is_named_and_the_rest_graded(mine, capsys):
    path = mine / PAPER / "networks.py"
    text = path.read_text("utf-8").replace("    # END 1.1\n", "")
    path.write_text(text, "utf-8")
    answer(mine, "1.9", "    return mean + std * torch.randn_like(std)\n")
    assert cli.main(["grade", "1.1", "1.9", "--code", str(mine)]) == 1
    out = capsys.readouterr().out
    assert "its markers are gone: course reset 1.1" in out and "✓ 1.9" in out


# --- lending --------------------------------------------------------------------------------------


def test_lending_fills_what_is_missing_and_says_what(mine, capsys):
    import torch

    answer(mine, "1.1", "    return image.float() * 0 + 7\n")
    modules = lend.code(PAPER, mine)
    assert modules.networks.preprocess_image(torch.zeros(1)) == 7  # the learner's, right or wrong
    out = capsys.readouterr().out
    assert "your code for 1 of 33 exercises" in out
    assert "1.2" in out and "1.1," not in out
    assert max(map(len, out.splitlines())) <= 90


def test_an_error_in_lent_code_shows_the_line(mine):
    answer(mine, "1.1", "    return image.no_such_method()\n")
    code = f"from course import lend; from pathlib import Path\nm = lend.code({PAPER!r}, Path({str(mine)!r}))\nimport torch\nm.networks.preprocess_image(torch.zeros(1))"  # fmt: skip # noqa: E501
    done = python("-c", code)
    assert "return image.no_such_method()" in done.stderr


def test_without_borrowing_training_stops_at_the_first_missing_exercise_in_one_line(mine, tmp_path):
    words = ["task=pendulum", "steps=60", f"run={tmp_path / 'run'}", "agent.batch_length=8"]
    done = python(mine / PAPER / "train.py", *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "is not done yet" in done.stderr and "--borrow" in done.stderr


@pytest.mark.long
def test_with_borrowing_a_fresh_template_trains_evaluates_and_shows_dreams(mine, tmp_path):
    run = tmp_path / "run"
    small = ["agent.batch_length=8", "agent.batch_size=4", "eval_episodes=1", "pretrain=0"]
    words = ["--borrow", "task=pendulum", "steps=560", "prefill=500", f"run={run}", *small]
    done = python(mine / PAPER / "train.py", *words)
    assert done.returncode == 0, done.stderr
    assert "lent by the reference: all of them" in done.stdout and (run / "report.html").exists()
    play = "from dreamkit.cli import evaluate; evaluate()"
    done = python("-c", play, f"checkpoint={run}", "episodes=1", "code=solutions")
    assert done.returncode == 0 and "dreamerv1 on pendulum" in done.stdout


def test_the_short_loop_can_be_run(mine, tmp_path):
    small = ["agent.batch_length=8", "agent.batch_size=4"]
    words = ["--borrow", "--simple", "task=pendulum", "steps=520", f"run={tmp_path}", *small]
    done = python(mine / PAPER / "train.py", *words)
    assert done.returncode == 0, done.stderr
    assert "step 500" in done.stdout and (tmp_path / "agent.pt").exists()


def test_only_train_takes_options(mine):
    done = python(mine / PAPER / "rssm.py", "task=pendulum")
    assert done.returncode == 2 and "to train: python train.py" in done.stderr


# --- instructors ----------------------------------------------------------------------------------


def test_a_batch_has_a_line_for_everyone_whatever_they_handed_in(mine, tmp_path, capsys):
    folder = tmp_path / "submissions"
    answer(mine, "1.1", ANSWER)
    shutil.copytree(mine, folder / "ada" / "deep" / "inside")
    (folder / "empty").mkdir()
    broken = folder / "bob" / PAPER
    broken.mkdir(parents=True)
    (broken / "networks.py").write_bytes(b"\xff\xfe what is this")
    assert cli.main(["batch", str(folder), "--out", str(tmp_path / "grades.csv")]) == 1
    rows = list(csv.DictReader((tmp_path / "grades.csv").read_text().splitlines()))
    assert [(row["name"], row["score"]) for row in rows] == [
        ("ada", "1"),
        ("bob", "0"),
        ("empty", "0"),
    ]
    assert rows[0]["1.1"] == "1" and rows[0]["1.2"] == "0" and rows[2]["note"] == "no paper folder"
    result = json.loads((tmp_path / "grades-ada.json").read_text())
    assert result["score"] == 1 and len(result["tests"]) == len(Paper(PAPER, ROOT).ids())
    assert capsys.readouterr().out.count("\n") == 4


# --- update and reset -----------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path) -> Path:
    """A learner's clone of this project, with one answer that is not committed."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone: course update REF cannot be tried")
    where = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(ROOT), str(where))
    for key, value in (("user.name", "x"), ("user.email", "x@example.org")):
        git(where, "config", key, value)
    answer(where, "1.1", ANSWER)
    return where


def git(cwd: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True)


def course(where: Path, *words: str) -> subprocess.CompletedProcess:
    code = f"import sys; sys.path.insert(0, {str(where)!r}); from course.cli import run; run()"
    return python("-c", code, *words, cwd=where)


def test_update_takes_the_newer_course_and_keeps_the_answers(clone):
    git(clone, "stash", "-q")
    git(clone, "checkout", "-q", "-b", "newer")
    solution = clone / "solutions" / PAPER / "networks.py"
    text = solution.read_text("utf-8").replace("black is -0.5, white 0.5", "black -0.5, white 0.5")
    solution.write_text(text, "utf-8")
    (clone / "docs" / "new.md").write_text("new\n")
    (clone / "AGENTS.md").unlink()
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "newer")
    git(clone, "checkout", "-q", "-")
    git(clone, "stash", "pop", "-q")
    done = course(clone, "update", "newer")
    assert done.returncode == 0, done.stderr
    mine = (clone / PAPER / "networks.py").read_text("utf-8")
    assert ANSWER in mine and "black -0.5, white 0.5" in mine
    assert (clone / "docs" / "new.md").exists() and not (clone / "AGENTS.md").exists()


def test_update_refuses_what_would_be_lost(clone):
    (clone / "README.md").write_text("mine\n")
    done = course(clone, "update", "HEAD")
    assert done.returncode == 2 and "README.md has changes that are not committed" in done.stderr
    assert (clone / "README.md").read_text() == "mine\n"


def test_reset_empties_one_hole_and_keeps_the_file(clone):
    done = course(clone, "reset", "1.1")
    assert done.returncode == 0, done.stderr
    folder = clone / PAPER
    assert ANSWER not in (folder / "networks.py").read_text("utf-8")
    assert ANSWER in (folder / "networks.py.orig").read_text("utf-8")
    assert course(clone, "reset", "1.2").returncode == 0
    assert ANSWER in (folder / "networks.py.orig").read_text("utf-8")  # the first copy stays
    assert (folder / "networks.py.orig1").exists()
