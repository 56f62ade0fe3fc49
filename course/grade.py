"""Decides: fills holes, runs checks in a worker, explains failures, names known mistakes.

Exercise X is graded as the reference with the learner's body of X; where that fails and X builds on
others, once more with the learner's bodies of all of these. Sibling modules are the reference's, so
one mistake never hides another. Without solutions/ the learner's own files are graded as they are.
"""

import importlib.util
import json
import queue
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course import holes, templates
from course.checks import agrees, same

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 10.0  # seconds of one check
START = 60.0  # seconds of a worker's start, which imports torch


@dataclass
class Outcome:
    """What grading one exercise came to."""

    exercise: str
    function: str
    status: str  # pass, fail, todo, blocked
    check: dict = field(default_factory=dict)  # the first failing check's answer
    diagnosis: str = ""
    place: str = ""  # file and line in the learner's folder
    note: str = ""


class Worker:
    """The process that runs student code; it is replaced when it hangs or dies."""

    def __init__(self, limit: float = LIMIT):
        self.limit = limit
        self.process = None

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "course.worker"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.lines: queue.Queue = queue.Queue()
        process, lines = self.process, self.lines

        def read():
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            self.lines.get(timeout=START)  # ready
        except queue.Empty:
            self.close()
            raise OSError(f"the grading process did not start within {START:g} s") from None

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def run(self, job: dict) -> list[dict]:
        """The answers of all checks of a job; a hang or a crash is an answer too."""
        answers: list[dict] = []
        fresh, token = self.process is None, secrets.token_hex(8)
        if fresh:
            self._start()
        try:
            self.process.stdin.write(json.dumps(job | {"token": token}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        started = None
        while True:
            try:
                line = self.lines.get(timeout=self.limit)
            except queue.Empty:
                line, ended = None, f"stopped after {self.limit:g} s: is there an endless loop?"
            else:
                ended = "ended the Python process (os._exit, a crash, or no memory left)"
            if line is None:
                self.close()
                if started is None and not fresh:  # an earlier answer left the process dying
                    return self.run(job)
                return [*answers, failed(started or "", ended)]
            answer = parsed(line, token)
            if "done" in answer:
                if answer["changed"]:
                    self.close()
                    text = f"your code changes {answer['changed']}, which all code shares"
                    answers.append(failed(started or "", text))
                return answers
            if "started" in answer:
                started = answer["started"]
            elif answer:
                answers.append(judged(answer))


def parsed(line: str, token: str) -> dict:
    """A worker's line; empty if it is not the worker's."""
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    ours = isinstance(answer, dict) and answer.pop("token", None) == token
    return answer if ours else {}


def failed(check: str, error: str) -> dict:
    """The answer of a check that could not give one."""
    answer = {"check": check, "claim": "", "given": "", "seen": [], "at": None}
    return judged(answer | {"error": error, "raised": error.split()[0]})


def judged(answer: dict) -> dict:
    """A worker's answer with the verdict: the first observation that disagrees, if any."""
    for name, got, want, *tolerance in answer["seen"]:
        if not agrees(got, want, *tolerance):
            answer["failed"] = {"name": name, "got": got, "want": want}
            break
    passed = "failed" not in answer and "error" not in answer
    answer["outcome"] = "pass" if passed else "todo" if answer.get("todo") else "fail"
    return answer


class Paper:
    """One paper's sources: the reference, the learner's, the checks and the known mistakes.

    folder   name of the paper's folder, such as paper1_dreamerv1
    code     folder that holds the learner's paper folders
    root     of the project
    """

    def __init__(self, folder: str, code: Path, root: Path = ROOT):
        self.folder, self.root = folder, root
        self.where = code / folder
        self.reference = {
            stem: path.read_text("utf-8")
            for stem, path in files(root / "solutions" / folder).items()
            if path.name not in templates.SOLUTION_ONLY
        }
        self.paths = files(self.where)
        self.mine = {
            stem: path.read_text("utf-8", errors="replace") for stem, path in self.paths.items()
        }
        self.lent = bool(self.reference)  # whether there is a reference to grade within
        others = extended(self.reference or self.mine, folder)
        self.extends = [Paper(name, code, root) for name in others]  # siblings, as in the reference
        shown = self.reference or self.mine
        self.holes = {
            id: (stem, hole)
            for stem, text in shown.items()
            for id, hole in holes.holes(text).items()
        }
        self.checks = root / "tests" / folder.split("_")[0]
        self.mistakes = load_mistakes(root, folder)

    def file(self, stem: str) -> str:
        """paper1_dreamerv1/rssm.py of rssm, paper4_hdreamer/hidreamer/mask.py of hidreamer.mask"""
        return f"{self.folder}/{stem.replace('.', '/')}.py"

    def ids(self) -> list[str]:
        return sorted(self.holes, key=holes.order)

    def outside(self) -> list[tuple[str, str]]:
        """(file, line) of every line that a learner wrote outside the holes."""
        found = []
        for stem, mine in self.mine.items():
            if stem in self.reference and "EXERCISE" in mine:
                if mine == self.reference[stem]:
                    continue
                new = templates.template(self.reference[stem])
                lines = templates.changed_outside(new, mine)
                found += [(self.file(stem), line) for line in lines]
        return found

    def has_checks(self) -> bool:
        """Whether there is anything to grade with; ordinary tests do not count."""
        found = self.checks.rglob("test_*.py")
        return any("@check(" in path.read_text("utf-8") for path in found)

    def needs(self, id: str) -> set[str]:
        """All exercises that this one builds on, directly or not."""
        found, open_ = set(), [id]
        while open_:
            for need in self.holes[open_.pop()][1].needs:
                if need in self.holes and need not in found:
                    found.add(need)
                    open_.append(need)
        return found

    def body(self, id: str) -> str | None:
        """The learner's body of an exercise; None where it is missing."""
        return holes.bodies(self.mine.get(self.holes[id][0], "")).get(id)

    def modules(self, bodies: dict[str, str]) -> dict[str, dict]:
        """Sources for a worker: the reference (or the learner's files) with these bodies."""
        sources = self.reference if self.lent else self.mine
        prefix = "solutions." if self.lent else ""
        found = {
            f"{prefix}{self.folder}.{stem}": {
                "text": holes.fill(text, bodies),
                "path": self.file(stem),
            }
            for stem, text in sources.items()
        }
        for paper in self.extends:
            found |= paper.modules({})
        return found

    def job(self, id: str, bodies: dict[str, str]) -> dict:
        *folders, name = self.holes[id][0].split(".")
        return {
            "modules": self.modules(bodies),
            "checks": str(self.checks.joinpath(*folders, f"test_{name}.py")),
            "exercise": id,
        }

    def place(self, id: str, at: list | None, bodies: dict[str, str]) -> str:
        """file:line of the learner for a line of a filled source, or the hole's first line."""
        stem, _ = self.holes[id]
        start = line_of(self.mine.get(stem, ""), id)
        for module, line in reversed(at or []):  # the last of the learner's own lines
            filled = self.modules(bodies)[module]["text"]
            inside = line - line_of(filled, id)
            if module.endswith(f"{self.folder}.{stem}") and 0 <= inside < bodies[id].count("\n"):
                start += inside
                break
        return f"{self.file(stem)}:{start}"


def files(folder: Path) -> dict[str, Path]:
    """{rssm: its path} of a paper's own files, then {hidreamer.mask: its path} of its parts'."""
    found = [*sorted(folder.glob("*.py")), *sorted(folder.glob("[a-z]*/*.py"))]
    return {".".join(path.relative_to(folder).with_suffix("").parts): path for path in found}


def extended(sources: dict[str, str], folder: str) -> list[str]:
    """Other papers that a paper's sources import, such as paper3_dreamerv3."""
    text = "\n".join(sources.values())
    found = re.findall(r"^from (?:solutions\.)?(paper\d_\w+)", text, re.M)
    return sorted(set(found) - {folder})


def line_of(text: str, id: str) -> int:
    """Number of the first line of a hole's body, from 1."""
    match = next((m for m in holes.HOLE.finditer(text) if m["id"] == id), None)
    return text.count("\n", 0, match.start("body")) + 1 if match else 1


def load_mistakes(root: Path, folder: str) -> dict[str, list[tuple[str, str, str]]]:
    """{exercise: [(old, new, sentence)]} of course/mistakes/paperN/, a file for each file."""
    found = {}
    for path in files(root / "course" / "mistakes" / folder.split("_")[0]).values():
        spec = importlib.util.spec_from_file_location(f"mistakes_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= module.MISTAKES
    return found


def edited(body: str, old: str, new: str) -> str:
    """A body with one edit. Errors: ValueError unless `old` occurs exactly once."""
    if body.count(old) != 1:
        raise ValueError(f"the edit does not apply: {old!r} occurs {body.count(old)} times")
    return body.replace(old, new)


def vector(answers: list[dict]) -> list:
    """All that a program was seen to do: the observations of every check, exceptions by type.

    Where a check saw nothing before the exception, its text counts too: many mistakes end in the
    same type of error.
    """
    return [
        [
            *([name, got] for name, got, *_ in answer["seen"]),
            answer.get("raised") if answer["seen"] else answer.get("error"),
        ]
        for answer in answers
    ]


class Grader:
    """Grades exercises of one paper with one worker. Use it as a context."""

    def __init__(self, paper: Paper, limit: float = LIMIT):
        self.paper, self.worker = paper, Worker(limit)
        self.edits: dict[str, list] = {}  # {exercise: [(vector, sentence)]}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.worker.close()

    def grade(self, ids: list[str] | None = None) -> Iterator[Outcome]:
        for id in ids or self.paper.ids():
            yield self.one(id)

    def one(self, id: str) -> Outcome:
        """Decide one exercise."""
        paper = self.paper
        _, hole = paper.holes[id]
        body = paper.body(id)
        outcome = Outcome(id, hole.function, "todo", place=paper.place(id, None, {}))
        if body is None:
            lost = "its markers are" if paper.holes[id][0] in paper.mine else "its file is"
            outcome.note = f"{lost} gone: course reset {id} brings that back"
            return outcome
        if holes.is_todo(body):
            return outcome
        bodies = {id: body}
        answers = self.worker.run(paper.job(id, bodies))
        if passes(answers):
            outcome.status = "pass"
            return outcome
        own = {need: paper.body(need) for need in paper.needs(id)}
        ended = answers[-1].get("raised") in ("stopped", "ended") if answers else False
        if own and not ended and not any(x is None or holes.is_todo(x) for x in own.values()):
            again = self.worker.run(paper.job(id, bodies | own))
            if passes(again):
                outcome.status, outcome.note = (
                    "pass",
                    "together with your " + ", ".join(sorted(own)),
                )
                return outcome
        failed = next((a for a in answers if a["outcome"] != "pass"), {})
        blocked = failed.get("todo")
        if blocked and blocked != id:
            outcome.status, outcome.note = "blocked", f"blocked by {blocked}"
            return outcome
        outcome.status, outcome.check = "fail", failed
        outcome.place = paper.place(id, failed.get("at"), bodies)
        outcome.diagnosis = self.diagnose(id, vector(answers))
        return outcome

    def diagnose(self, id: str, seen: list) -> str:
        """The sentence of the known mistake that behaves exactly like this; empty if none does."""
        for observed, sentence in self.known(id):
            if same(observed, seen, 1e-6):
                return sentence
        return ""

    def known(self, id: str) -> list:
        """(vector of observations, sentence) of every known mistake of an exercise."""
        if id not in self.edits and self.paper.lent:
            reference = self.paper.holes[id][1].body
            self.edits[id] = [
                (
                    vector(self.worker.run(self.paper.job(id, {id: edited(reference, old, new)}))),
                    why,
                )
                for old, new, why in self.paper.mistakes.get(id, [])
            ]
        return self.edits.get(id, [])


def passes(answers: list[dict]) -> bool:
    return bool(answers) and all(answer["outcome"] == "pass" for answer in answers)
