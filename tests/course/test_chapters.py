"""Every chapter: fresh templates, answers in other styles, known mistakes, hints, no solutions."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course import cli, holes, templates
from course.grade import ROOT, Grader, Paper, edited, passes, vector

PAPERS = [
    paper
    for folder in sorted({path.relative_to(ROOT).parts[0] for path in templates.sources()})
    if (paper := Paper(folder, ROOT)).has_checks()
]
EXERCISES = [(paper, id) for paper in PAPERS for id in paper.ids()]
every_paper = pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.folder)
one_paper_now = pytest.mark.parametrize(  # the others in the long tests
    "paper",
    [pytest.param(p, marks=[pytest.mark.long] * (p is not PAPERS[0])) for p in PAPERS],
    ids=lambda paper: paper.folder,
)
every_exercise = pytest.mark.parametrize(
    "paper, id", EXERCISES, ids=[f"{paper.folder}-{id}" for paper, id in EXERCISES]
)


@pytest.fixture(scope="module")
def grader():
    """One worker for all: starting one takes seconds."""
    with Grader(PAPERS[0]) as grader:
        yield grader


def grade(grader, paper: Paper, id: str, body: str):
    """(whether it passes, the mistake that is named) of one answer."""
    if grader.paper is not paper:
        grader.paper, grader.edits = paper, {}
    answers = grader.worker.run(paper.job(id, {id: body}))
    return passes(answers), "" if passes(answers) else grader.diagnose(id, vector(answers)), answers


def failure(answers) -> str:
    """What a check that should have passed has to say."""
    failed = [a for a in answers if a["outcome"] != "pass"]
    return str([(a["check"], a.get("failed"), a.get("error")) for a in failed])


# --- templates ------------------------------------------------------------------------------------


def test_the_templates_are_what_the_solutions_generate_but_for_the_answers():
    assert templates.stale() == []


@every_paper
def test_fresh_templates_are_all_to_do_with_exit_code_1_and_no_traceback(paper, tmp_path):
    copy_of(tmp_path, paper, {})
    done = command(ROOT, "grade", paper.folder, "--code", str(tmp_path))
    assert done.returncode == 1 and done.stderr == ""
    assert f"0 passed, 0 failed, {len(paper.ids())} to do" in done.stdout
    assert "Traceback" not in done.stdout and max(map(len, done.stdout.splitlines()[1:])) <= 90


@one_paper_now
def test_pytest_is_a_door_to_the_same_grades(paper, tmp_path):
    last = paper.ids()[-1]  # chapter 4's is in a folder of its own
    copy_of(tmp_path / "mine", paper, {last: paper.holes[last][1].body})
    stem = paper.holes[last][0]
    report = tmp_path / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", paper.job(last, {})["checks"],
         "-p", "no:cacheprovider", "--code", str(tmp_path / "mine"), f"--junitxml={report}"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    count = sum(name == stem for name, _ in paper.holes.values())
    assert done.returncode == 1, done.stdout
    assert f"1 passed, {count - 1} skipped" in done.stdout
    assert f"grading {tmp_path / 'mine' / paper.folder}" in done.stdout
    page = report.read_text()
    assert f'tests="{count}"' in page and f'name="exercise" value="{last}"' in page


@one_paper_now
def test_starting_a_file_grades_it(paper):
    path = ROOT / "solutions" / paper.folder / "buffer.py"
    if not path.exists():
        path = ROOT / "solutions" / paper.folder / "networks.py"
    done = subprocess.run(
        [sys.executable, path], cwd=path.parent, capture_output=True, text=True, timeout=120
    )
    count = sum(stem == path.stem for stem, _ in paper.holes.values())
    assert done.returncode == 0 and f"{count} passed, 0 failed" in done.stdout


# --- answers --------------------------------------------------------------------------------------


@every_exercise
def test_the_solution_passes(paper, id, grader):
    right, _, answers = grade(grader, paper, id, paper.holes[id][1].body)
    assert right, failure(answers)
    assert len(answers) >= 2, "an exercise has two checks or more"


@every_exercise
@pytest.mark.long
@pytest.mark.parametrize("style", ["first", "second"])
def test_an_answer_in_another_style_passes(paper, id, style, grader):
    variant = Paper(paper.folder, ROOT / "tests" / "variants" / style)
    body = variant.body(id)
    assert body is not None, f"no {style} variant of {id}"
    assert body != paper.holes[id][1].body
    right, _, answers = grade(grader, paper, id, body)
    assert right, failure(answers)


@every_exercise
@pytest.mark.parametrize("count", [1, pytest.param(None, marks=pytest.mark.long)])
def test_every_known_mistake_is_caught_and_named_and_no_other(
    paper, id, count, grader, monkeypatch
):
    """Each is graded once, when the grader learns to know it, and one of them a second time.

    One of them here, all in the long tests.
    """
    mistakes = paper.mistakes.get(id, [])
    assert len(mistakes) >= 3
    mistakes = mistakes[:count]
    monkeypatch.setitem(paper.mistakes, id, mistakes)
    if grader.paper is not paper:
        grader.paper, grader.edits = paper, {}
    grader.edits.pop(id, None)
    graded, run = [], grader.worker.run
    with monkeypatch.context() as patch:
        patch.setattr(grader.worker, "run", lambda job: graded.append(run(job)) or graded[-1])
        known = grader.known(id)
    for (observed, sentence), answers in zip(known, graded, strict=True):
        assert not passes(answers), f"nothing notices: {sentence}"
        assert grader.diagnose(id, observed) == sentence
    assert [sentence for _, sentence in known] == [sentence for *_, sentence in mistakes]
    old, new, sentence = mistakes[-1]
    body = edited(paper.holes[id][1].body, old, new)
    assert grade(grader, paper, id, body)[1] == sentence


@every_paper
def test_no_sentence_is_used_twice_and_all_are_short_enough_to_read(paper):
    sentences = [(id, row[2]) for id, rows in paper.mistakes.items() for row in rows]
    assert len(set(sentences)) == len(sentences)
    assert [s for _, s in sentences if len(s) > 215] == []
    assert set(paper.mistakes) <= set(paper.ids())


@every_exercise
def test_three_hints(paper, id, capsys):
    for level in ("1", "2", "3"):
        assert cli.main(["hint", id, level]) == 0
        assert len(capsys.readouterr().out.splitlines()) >= 3
    assert cli.main(["hint", id, "4"]) == 2


# --- without the solutions ------------------------------------------------------------------------


@every_paper
def test_checks_import_no_paper(paper):
    for path in paper.checks.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or ""] + [a.name for a in node.names]
                assert not [n for n in names if re.match(r"(solutions|paper\d)", n)], path


@one_paper_now
def test_with_the_solutions_deleted_a_complete_submission_passes(paper, tmp_path):
    for name in ("course", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for each in (paper, *paper.extends):  # chapter 4 builds on one's own chapter 3
        variant = Paper(each.folder, ROOT / "tests" / "variants" / "first")
        copy_of(tmp_path, each, {id: variant.body(id) for id in each.ids()})
    done = command(tmp_path, "grade", paper.folder[5])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(paper.ids())} passed, 0 failed, 0 to do" in done.stdout
    assert "solutions/ is not here" in done.stdout


def copy_of(where: Path, paper: Paper, bodies: dict[str, str]) -> None:
    """A learner's folder: fresh templates, some holes filled."""
    for stem, text in paper.reference.items():
        path = where / paper.file(stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(holes.fill(templates.template(text), bodies), "utf-8")


def command(root: Path, *words: str) -> subprocess.CompletedProcess:
    """`course ...` of a copy of the project."""
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from course.cli import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=root, capture_output=True, text=True, timeout=300
    )
