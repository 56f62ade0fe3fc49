"""The engine on a toy paper of three exercises: templates, grading, diagnosis, reports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course import cli, holes, report, templates
from course.grade import Grader, Paper, edited, vector

TOY = Path(__file__).with_name("toy")
PAPER = "paper1_toy"
PARTS = f"{PAPER}/parts.py"
ANSWERS = {
    "1.1": "    return x + x\n",
    "1.2": "        self.count = self.count + 1\n        return torch.normal(x, 1.0)\n",
    "1.3": "    y = double(x)\n    return Noise().add(double(y))\n",
}


@pytest.fixture
def toy(tmp_path):
    """A fresh copy of the toy course, with templates."""
    root = tmp_path / "toy"
    shutil.copytree(TOY, root, ignore=shutil.ignore_patterns("__pycache__"))
    templates.write(root)
    return root


@pytest.fixture(scope="module")
def grade():
    """Grade a folder with one worker for the whole module: starting one takes seconds."""
    keeper = []

    def grade(root, *ids, limit=10.0):
        paper = Paper(PAPER, root, root)
        if not keeper:
            keeper.append(Grader(paper, limit))
        grader = keeper[0]
        grader.paper, grader.edits, grader.worker.limit = paper, {}, limit
        return list(grader.grade(list(ids) or None))

    yield grade
    for grader in keeper:
        grader.worker.close()


def answer(root, **bodies):
    """Write bodies into the learner's files: e1_1="..."."""
    for key, body in bodies.items():
        id = key[1:].replace("_", ".")
        for path in (root / PAPER).glob("*.py"):
            text = path.read_text("utf-8")
            if id in holes.bodies(text):
                path.write_text(holes.fill(text, {id: body}), "utf-8")


def answer_all(root):
    answer(root, **{f"e{id.replace('.', '_')}": body for id, body in ANSWERS.items()})


# --- templates ------------------------------------------------------------------------------------


def test_a_template_is_the_solution_with_empty_holes_and_its_own_imports(toy):
    text = (toy / PAPER / "whole.py").read_text("utf-8")
    assert "from paper1_toy.parts import Noise, double" in text
    assert "solutions" not in text and "Noise().add" not in text
    assert templates.stale(toy, strict=True) == []


def test_writing_templates_again_keeps_answers_and_force_keeps_a_copy(toy):
    answer(toy, e1_1=ANSWERS["1.1"])
    assert templates.write(toy) == [] and "x + x" in (toy / PARTS).read_text("utf-8")
    assert templates.stale(toy) == [] and templates.stale(toy, strict=True) == [PARTS]
    assert templates.write(toy, force=True) == [toy / PARTS]
    assert "x + x" not in (toy / PARTS).read_text("utf-8")
    assert "x + x" in (toy / f"{PARTS}.orig").read_text("utf-8")


def test_an_edit_outside_the_holes_makes_a_template_stale(toy):
    path = toy / PARTS
    path.write_text(path.read_text("utf-8").replace("self.count = 0", "self.count = 1"), "utf-8")
    assert templates.stale(toy) == [PARTS]


def test_an_answer_that_shows_elsewhere_is_refused(toy):
    (toy / PAPER / "README.md").write_text("Use `return Noise().add(double(double(x)))`.", "utf-8")
    with pytest.raises(templates.LeakError, match="README.md shows the answer of 1.3"):
        templates.write(toy)


# --- grading --------------------------------------------------------------------------------------


def test_fresh_templates_are_all_to_do(toy, grade):
    assert [outcome.status for outcome in grade(toy)] == ["todo"] * 3


def test_answers_written_differently_pass(toy, grade):
    answer_all(toy)
    assert [(o.exercise, o.status) for o in grade(toy)] == [(id, "pass") for id in ANSWERS]


def test_each_exercise_passes_alone_with_the_rest_lent(toy, grade):
    answer(toy, e1_3=ANSWERS["1.3"])
    assert [outcome.status for outcome in grade(toy)] == ["todo", "todo", "pass"]


def test_a_mistake_in_one_exercise_does_not_hide_another(toy, grade):
    answer_all(toy)
    answer(toy, e1_1="    return x\n")
    assert [outcome.status for outcome in grade(toy)] == ["fail", "pass", "pass"]


def test_bodies_that_only_work_together_pass_at_the_second_chance(toy, grade):
    answer_all(toy)
    answer(
        toy,
        e1_2="        self.count += 1\n        self.half = x / 2\n        return x + 0 * x\n",
        e1_3="    noise = Noise()\n    noise.add(x)\n    return 8 * noise.half\n",
    )
    outcome = grade(toy, "1.3")[0]
    assert outcome.status == "pass" and outcome.note == "together with your 1.1, 1.2"


def test_every_known_mistake_is_caught_and_named_and_no_other(toy, grade):
    paper = Paper(PAPER, toy, toy)
    for id, mistakes in paper.mistakes.items():
        assert len(mistakes) >= 3
        for old, new, sentence in mistakes:
            body = edited(paper.holes[id][1].body, old, new)
            answer(toy, **{f"e{id.replace('.', '_')}": body})
            outcome = grade(toy, id)[0]
            assert (outcome.status, outcome.diagnosis) == ("fail", sentence)


def test_a_mistake_is_named_in_whatever_style_it_is_written(toy, grade):
    answer(toy, e1_1="    y = x ** 2\n    return y\n")
    assert grade(toy, "1.1")[0].diagnosis == "that is the square: twice x is 2 x"


def test_an_unknown_mistake_gets_no_name(toy, grade):
    answer(toy, e1_1="    return x + 1\n")
    outcome = grade(toy, "1.1")[0]
    assert (outcome.status, outcome.diagnosis) == ("fail", "")


def test_an_edit_that_no_longer_applies_is_an_error():
    with pytest.raises(ValueError, match="does not apply"):
        edited("return 2 * x\n", "3 * x", "x")


def test_lines_outside_the_holes_are_listed(toy):
    path = toy / PARTS
    path.write_text("import math\n" + path.read_text("utf-8"), "utf-8")
    answer(toy, e1_1=ANSWERS["1.1"])
    assert Paper(PAPER, toy, toy).outside() == [(PARTS, "import math")]


# --- code that breaks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, words",
    [
        ("    while True:\n        pass\n", "endless loop"),
        ("    import os\n    os._exit(0)\n", "ended the Python process"),
        ("    raise SystemExit(0)\n", "SystemExit"),
        ("    return 2 * (x\n", "SyntaxError"),
        ("    import no_such_library\n", "no_such_library"),
        ("    return x.foo\n", "no attribute 'foo'"),
        ("    raise NotImplementedError\n", "NotImplementedError"),
    ],
)
def test_code_that_breaks_is_one_line_and_the_rest_is_still_graded(toy, grade, body, words):
    answer_all(toy)
    answer(toy, e1_1=body)
    broken, *others = grade(toy, limit=4.0)
    assert broken.status == "fail" and words in broken.check["error"]
    assert "\n" not in broken.check["error"]
    assert [outcome.status for outcome in others] == ["pass", "pass"]


def test_what_student_code_prints_does_not_disturb_the_grading(toy, grade):
    answer(toy, e1_1="    print('{\"done\": true}', flush=True)\n    return x + x\n")
    assert grade(toy, "1.1")[0].status == "pass"


def test_an_error_is_placed_at_the_line_of_the_learner(toy, grade):
    path = toy / PARTS
    path.write_text(
        path.read_text("utf-8").replace("import torch\n", "import torch\n\n\n"), "utf-8"
    )
    answer(toy, e1_1="    a = 1\n    return a.foo\n")
    number = 1 + path.read_text("utf-8").splitlines().index("    return a.foo")
    assert grade(toy, "1.1")[0].place == f"{PARTS}:{number}"


def test_an_error_inside_lent_code_is_placed_at_the_learners_call(toy, grade):
    answer(toy, e1_3="    y = 1\n    z = double(None)\n    return z\n")
    lines = (toy / PAPER / "whole.py").read_text("utf-8").splitlines()
    place = f"{PAPER}/whole.py:{1 + lines.index('    z = double(None)')}"
    assert grade(toy, "1.3")[0].place == place


def test_a_syntax_error_names_its_line_once(toy, grade):
    answer(toy, e1_1="    a = 1\n    return 2 * (x\n")
    outcome = grade(toy, "1.1")[0]
    assert outcome.check["error"] == "SyntaxError: '(' was never closed"


def test_wrong_numbers_types_and_shapes_fail(toy, grade):
    for body in ("float('nan') * x", "(2 * x)[None]", "'2 x'", "(2 * x).tolist()[:1]"):
        answer(toy, e1_1=f"    return {body}\n")
        assert grade(toy, "1.1")[0].status == "fail", body


# --- without the solutions ------------------------------------------------------------------------


def test_without_solutions_a_complete_submission_passes(toy, grade):
    answer_all(toy)
    shutil.rmtree(toy / "solutions")
    assert [outcome.status for outcome in grade(toy)] == ["pass"] * 3


def test_without_solutions_what_builds_on_a_missing_answer_is_blocked(toy, grade):
    answer(toy, e1_3=ANSWERS["1.3"])
    shutil.rmtree(toy / "solutions")
    outcomes = {o.exercise: o for o in grade(toy)}
    assert outcomes["1.3"].status == "blocked" and outcomes["1.3"].note == "blocked by 1.1"


# --- reports --------------------------------------------------------------------------------------


def test_a_failure_reads_claim_given_expected_got_diagnosis_next(toy, grade):
    answer(toy, e1_1="    return x * x\n")
    text = report.lines(grade(toy, "1.1")[0])
    assert text.splitlines() == [
        "✗ 1.1   double                       doubles irregular numbers"
        "       paper1_toy/parts.py:9",
        "     the output is twice the input",
        "     given     x = [1.5, -2]",
        "     expected  2 x = [3  -4]",
        "     got       2 x = [2.25  4]  (2,)",
        "     diagnosis that is the square: twice x is 2 x",
        "     next      course hint 1.1",
    ]
    assert max(map(len, text.splitlines())) <= 90


def test_gradescope_counts_one_point_an_exercise(toy, grade):
    answer(toy, e1_1=ANSWERS["1.1"], e1_3=ANSWERS["1.3"])
    result = report.gradescope(grade(toy))
    assert result["score"] == 2.0 and len(result["tests"]) == 3
    assert {test["max_score"] for test in result["tests"]} == {1.0}


def test_a_paper_without_checks_is_not_graded(toy):
    assert [paper.folder for paper in cli.papers(toy, toy)] == [PAPER]
    for path in (toy / "tests" / "paper1").glob("*.py"):
        path.unlink()
    with pytest.raises(cli.CommandError, match="no paper has graders"):
        cli.papers(toy, toy)


def test_words_select_exercises_papers_and_files(toy):
    paper = Paper(PAPER, toy, toy)
    assert cli.selected(paper, []) == ["1.1", "1.2", "1.3"]
    assert cli.selected(paper, ["1.2"]) == ["1.2"]
    assert cli.selected(paper, ["1"]) == ["1.1", "1.2", "1.3"]
    assert cli.selected(paper, ["whole.py"]) == ["1.3"]
    assert cli.selected(paper, ["2"]) == []


def test_the_vector_of_observations_is_what_all_checks_saw():
    answers = [
        {"seen": [["a", 1, 2]]},
        {"seen": [["b", 3, 3, 0.1]], "raised": "KeyError", "error": "KeyError: 'x'"},
        {"seen": [], "raised": "KeyError", "error": "KeyError: 'x'"},
    ]
    assert vector(answers) == [[["a", 1], None], [["b", 3], "KeyError"], ["KeyError: 'x'"]]


# --- code that lies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "    from course import checks\n"
        "    checks.agrees = checks.same = lambda *_: True\n    return x\n",
        "    class Yes(float):\n        def __eq__(self, other):\n            return True\n"
        "    return [Yes(0), Yes(0)]\n",
        '    import os\n    os.write(1, b\'{"done": true, "clean": true}\\n\')\n    return x\n',
    ],
)
def test_code_that_meddles_with_the_comparison_fails(toy, grade, body):
    answer(toy, e1_1=body)
    assert grade(toy, "1.1")[0].status == "fail"


@pytest.mark.long
def test_what_one_answer_changes_in_torch_does_not_reach_the_next(toy, grade):
    answer_all(toy)
    for body, name in (
        ("torch.randn_like = None", "torch.randn_like"),
        ("torch.set_default_dtype(torch.float64)", "default dtype"),
        ("torch.set_default_device('meta')", "default device"),
        ("torch.nn.Linear.forward = None", "Linear.forward"),
        ("import sys; sys.modules['__main__'].plain = lambda x: 0", "plain"),
    ):
        answer(toy, e1_1=f"    {body}\n    return 2 * x\n")
        first, *others = grade(toy)
        assert [outcome.status for outcome in others] == ["pass", "pass"], body
        assert first.status == "fail", body
        assert name in first.check["error"] or "meta" in first.check["error"], body


@pytest.mark.parametrize(
    "body",
    [
        "    import os\n    for n in range(3, 12):\n        try:\n"
        '            os.write(n, b\'{"done": true, "changed": ""}\\nrubbish\\n\')\n'
        "        except OSError:\n            pass\n    return x\n",
        "    import os\n    os.close(0)\n    return x\n",
        "    return torch.complex(x, x)\n",
        "    class E(Exception):\n        def __str__(self):\n            raise ValueError\n"
        "    raise E\n",
    ],
)
def test_what_one_answer_does_to_the_process_does_not_reach_the_next(toy, grade, body):
    answer_all(toy)
    answer(toy, e1_1=body)
    assert [outcome.status for outcome in grade(toy)] == ["fail", "pass", "pass"]


def test_nothing_is_claimed_from_an_exception_that_says_something_else(toy, grade):
    path = toy / "course/mistakes/paper1/parts.py"
    text = path.read_text("utf-8").replace('("return 2 * x", "2 * x"', '("2 * x", "x @ x @ x"')
    path.write_text(text, "utf-8")
    answer(toy, e1_1="    return torch.cat([x, x], 3)\n")  # a RuntimeError too
    assert grade(toy, "1.1")[0].diagnosis == ""


def test_an_answer_that_wants_all_memory_is_one_line(toy, grade):
    answer_all(toy)
    answer(toy, e1_1="    return torch.zeros(10**10).new_ones(10**11) + x\n")
    broken, *others = grade(toy)
    assert broken.status == "fail" and "memory" in broken.check["error"].lower()
    assert [outcome.status for outcome in others] == ["pass", "pass"]


def test_a_file_that_is_not_utf8_is_graded_all_the_same(toy, grade):
    answer(toy, e1_1=ANSWERS["1.1"])
    path = toy / PARTS
    path.write_bytes(path.read_bytes() + b"# caf\xe9\n")
    assert grade(toy, "1.1")[0].status == "pass"


# --- a part: files in a folder below the paper's --------------------------------------------------

SOLUTION = """\
from solutions.paper1_toy.part.more import add
from solutions.paper1_toy.parts import double


def triple(x):
    # EXERCISE 1.5: 3 x, of its parts (needs 1.1, 1.4)
    return add(double(x), x)
    # END 1.5


def command(arguments):
    \"\"\"3 x: see the head of this file.\"\"\"
    print(triple(float(arguments[0].removeprefix("x="))))
    return 0


if __name__ == "__main__":
    import course

    course.run(__file__, command)
"""
MORE = """\
def add(x, y):
    # EXERCISE 1.4: the sum of both numbers, x first
    return x + y  # whatever they are
    # END 1.4
"""
CHECK = """\
from course.checks import check


@check("1.5", "three times the input", given="x = 2")
def triples(code):
    yield "3 x", code.part.parts.triple(2), 6


@check("1.5", "a short name is the paper's own file where both have it", given="x = 2")
def names_are_the_papers(code):
    yield "2 x", code.parts.double(2), 4
    yield "x + y", code.more.add(2, 3), 5
    yield "the same module", code.part.more is code.more, True
"""
MISTAKES = """\
MISTAKES = {"1.5": [("double(x), x", "x, x", "that is twice x")]}
"""
PART = f"{PAPER}/part/parts.py"


@pytest.fixture
def parted(toy):
    """The toy with a part, which has a parts.py too, and the engine that grades it."""
    for path, text in {
        f"solutions/{PAPER}/part/__init__.py": "",
        f"solutions/{PAPER}/part/parts.py": f'"""Three times."""\n\n{SOLUTION}',
        f"solutions/{PAPER}/part/more.py": MORE,
        "tests/paper1/part/test_parts.py": CHECK,
        "course/mistakes/paper1/part/parts.py": MISTAKES,
    }.items():
        (toy / path).parent.mkdir(exist_ok=True)
        (toy / path).write_text(text, "utf-8")
    for path in (cli.ROOT / "course").glob("*.py"):
        shutil.copy(path, toy / "course")
    templates.write(toy)
    return toy


def fill(path, body):
    """Write a body into the only hole of a learner's file."""
    text = path.read_text("utf-8")
    path.write_text(holes.fill(text, dict.fromkeys(holes.bodies(text), body)), "utf-8")


def python(root, *words):
    """python WORDS in a copy of the course: (exit code, output, errors)."""
    done = subprocess.run(
        [sys.executable, *words], cwd=root, capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_part_is_graded_and_its_mistakes_named(parted, grade):
    fill(parted / PART, "    return add(x, x)\n")
    outcome = grade(parted, "1.5")[0]
    assert (outcome.status, outcome.diagnosis) == ("fail", "that is twice x")
    assert outcome.place == f"{PART}:9"
    fill(parted / PART, "    y = double(x)\n    return y.no_such_name\n")
    assert grade(parted, "1.5")[0].place == f"{PART}:10"
    fill(parted / PART, "    return x + double(x)\n")
    assert [o.status for o in grade(parted, "1.1", "1.5")] == ["todo", "pass"]


def test_without_solutions_a_part_is_graded_within_the_learners_files(parted, grade):
    fill(parted / PART, "    return add(x, double(x))\n")
    fill(parted / PAPER / "part" / "more.py", "    return y + x\n")
    answer_all(parted)
    shutil.rmtree(parted / "solutions")
    (paper,) = cli.papers(parted, parted)
    assert len(paper.ids()) == 5 and grade(parted, "1.5")[0].status == "pass"


def test_a_line_outside_the_holes_of_a_part_is_named(parted):
    path = parted / PART
    path.write_text("import os\n" + path.read_text("utf-8"), "utf-8")
    assert Paper(PAPER, parted, parted).outside() == [(PART, "import os")]


def test_words_name_parts_and_their_files(parted):
    paper = Paper(PAPER, parted, parted)
    for word, ids in {
        "1": "1.1 1.2 1.3 1.4 1.5", PAPER: "1.1 1.2 1.3 1.4 1.5", f"{parted / PAPER}/": None,
        "part": "1.4 1.5", f"{PAPER}/part/": "1.4 1.5", str(parted / PAPER / "part"): "1.4 1.5",
        "more": "1.4", "more.py": "1.4", "part/more.py": "1.4", "part/more": "1.4",
        "parts.py": "1.1 1.2 1.5", PARTS: "1.1 1.2", str(parted / PARTS): "1.1 1.2",
        "part/parts.py": "1.5", PART: "1.5", str(parted / PART): "1.5",
        "other/parts.py": "", "other/part": "", "part/whole.py": "", "": "", ".": "", "/": "",
    }.items():  # fmt: skip
        assert cli.selected(paper, [word]) == (paper.ids() if ids is None else ids.split()), word


def test_what_an_editor_keeps_in_hidden_folders_is_no_part(parted):
    for name in (".ipynb_checkpoints", "__pycache__"):
        (parted / PAPER / name).mkdir()
        shutil.copy(parted / PARTS, parted / PAPER / name)
    stems = list(Paper(PAPER, parted, parted).paths)
    assert stems == ["__init__", "parts", "whole", "part.__init__", "part.more", "part.parts"]


def test_a_guide_lists_the_exercises_of_its_own_folder(parted):
    empty = "<!-- exercises -->\n<!-- end of exercises -->\n"
    guides = [parted / PAPER / "README.md", parted / PAPER / "part" / "README.md"]
    for guide in guides:
        guide.write_text(empty, "utf-8")
    assert templates.stale(parted) == [str(guide.relative_to(parted)) for guide in guides]
    assert templates.write(parted) == guides
    rows = [[row for row in x.read_text("utf-8").splitlines() if "`" in row] for x in guides]
    assert [row[:18] for row in rows[0]] == [
        "| 1.1 | `parts.py`", "| 1.2 | `parts.py`", "| 1.3 | `whole.py`",
    ]  # fmt: skip
    assert [row[:18] for row in rows[1]] == ["| 1.4 | `more.py` ", "| 1.5 | `parts.py`"]


@pytest.mark.parametrize("page", ["HINTS.md", "part/README.md", "part/walkthrough.py"])
def test_an_answer_of_a_part_that_shows_is_refused(parted, page):
    (parted / PAPER / page).write_text("return add(double(x), x)", "utf-8")
    with pytest.raises(templates.LeakError, match=f"{Path(page).name} shows the answer of 1.5"):
        templates.write(parted)


def test_an_answer_of_the_paper_that_shows_in_a_part_is_refused(parted):
    page = parted / PAPER / "part" / "README.md"
    page.write_text("return Noise().add(double(double(x)))", "utf-8")
    with pytest.raises(templates.LeakError, match="README.md shows the answer of 1.3"):
        templates.write(parted)


def test_starting_a_file_of_a_part_grades_it_and_no_other(parted):
    fill(parted / PART, "    return add(x, double(x))\n")
    code, out, _ = python(parted, PART)
    assert code == 0 and "1 passed, 0 failed, 0 to do" in out and "1.5" in out
    assert f"grading {parted / PAPER}\n" in out


def test_a_file_with_its_own_command_carries_it_out_with_lent_exercises(parted):
    code, _, said = python(parted, PART, "x=2")
    assert code == 2 and said.startswith("error: exercise 1.5 is not done yet")
    fill(parted / PAPER / "part" / "more.py", "    return x - y\n")  # the learner's, not the lent
    code, out, said = python(parted, PART, "x=5", "--borrow")
    assert (code, out.splitlines()[-1]) == (0, "5.0"), said
    assert "lent by the reference: 1.1, 1.2, 1.3, 1.5" in out
    code, out, _ = python(parted, PART, "--help")
    assert code == 0 and "Three times." in out and "--simple" not in out


def test_reset_empties_a_hole_of_a_part(parted):
    fill(parted / PART, "    return 3 * x\n")
    code, out, said = python(parted, "-c", "from course.cli import run; run()", "reset", "1.5")
    assert code == 0, said
    assert "3 * x" in (parted / f"{PART}.orig").read_text("utf-8")
    assert templates.stale(parted, strict=True) == []
