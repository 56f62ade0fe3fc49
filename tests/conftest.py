"""pytest as a door to the grader: `pytest tests/paper1 [--code mine|solutions|PATH]`.

Files with checks (`@check`) become one item an exercise; all other tests are pytest's own. Whose
code is graded is the first line. An exercise that is not started is skipped with a word, and still
makes the exit code 1.
"""

from pathlib import Path

import pytest

from course import cli, report
from course.grade import Grader, Paper

HERE = Path(__file__).parent


def pytest_addoption(parser):
    text = "whose answers the graders judge: mine (default), solutions, or a folder"
    parser.addoption("--code", default="mine", help=text)


class CheckFile(pytest.File):
    """A file of checks: the exercises of one file of a paper."""

    def collect(self):
        config = self.config
        try:
            code = cli.code_folder(["--code", config.getoption("--code")])
            number, *folders = self.path.relative_to(HERE).parent.parts
            paper = next(p for p in cli.papers(code) if p.folder.startswith(f"{number}_"))
        except StopIteration:
            pytest.exit(f"error: {code} has no {number}", returncode=2)
        except (cli.CommandError, ValueError, OSError) as error:
            pytest.exit(f"error: {error}", returncode=2)
        stem = ".".join([*folders, self.path.stem.removeprefix("test_")])
        for id in paper.ids():
            if paper.holes[id][0] == stem:
                name = f"{id} {paper.holes[id][1].function}"
                yield Exercise.from_parent(self, name=name, paper=paper, id=id)


class Exercise(pytest.Item):
    """One exercise: it passes if all its checks do."""

    def __init__(self, *, paper: Paper, id: str, **rest):
        super().__init__(**rest)
        self.paper, self.exercise = paper, id

    def runtest(self):
        graders = self.config.stash.setdefault(GRADERS, {})
        if self.paper.folder not in graders:
            graders[self.paper.folder] = Grader(self.paper)
        outcome = graders[self.paper.folder].one(self.exercise)
        self.user_properties += [("exercise", self.exercise), ("status", outcome.status)]
        if outcome.status in ("todo", "blocked"):
            self.config.stash.setdefault(TODO, []).append(report.lines(outcome))
            pytest.skip(outcome.note or "not started")
        if outcome.status == "fail":
            raise Failed(outcome)

    def repr_failure(self, excinfo):
        if isinstance(excinfo.value, Failed):
            return report.lines(excinfo.value.args[0])
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, None, self.name


class Failed(Exception):
    """Carries the outcome to the report."""


GRADERS = pytest.StashKey[dict]()
TODO = pytest.StashKey[list]()


def pytest_pycollect_makemodule(module_path, parent):
    graders = module_path.relative_to(HERE).parts[0].startswith("paper")
    if graders and "@check(" in module_path.read_text("utf-8"):
        return CheckFile.from_parent(parent, path=module_path)
    return None


def pytest_collection_finish(session):
    papers = {item.paper.folder: item.paper for item in session.items if isinstance(item, Exercise)}
    for paper in papers.values():
        print(f"grading {paper.where}")
        for file, line in paper.outside():
            print(f"not graded: {file}: {line}  (put imports and helpers inside the hole)")


def pytest_sessionfinish(session, exitstatus):
    for grader in session.config.stash.get(GRADERS, {}).values():
        grader.worker.close()
    if exitstatus == 0 and session.config.stash.get(TODO, []):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(TODO, []):
        terminalreporter.write_line(line)
