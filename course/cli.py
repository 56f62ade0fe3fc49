"""course next | grade | hint | progress | diff | reset | update

    course grade [1.6 | 1 | file.py ...] [--code solutions|PATH] [--gradescope results.json]
    course next               the first exercise that can be done now
    course progress           a bar for every paper
    course hint 1.6 [1|2|3]   where to look, the steps in words, the skeleton
    course diff 1.6           the reference beside your answer
    course reset 1.6          an empty hole again; your answer is kept in .orig
    course update             the newest templates with your answers

Exit codes: 0 all graded exercises pass, 1 some do not, 2 the command could not be carried out.
"""

import difflib
import re
import sys
from pathlib import Path

from course import holes, report, templates
from course.grade import ROOT, Grader, Outcome, Paper


class CommandError(Exception):
    """One line for the user, exit code 2."""


def papers(code: Path, root: Path = ROOT) -> list[Paper]:
    """All papers that have exercises and checks for them, in order."""
    folders = {path.parent.name for path in templates.sources(root) if path.parent.parent == root}
    if not folders:  # solutions/ is gone: the learner's own files have the markers
        folders = {path.parent.name for path in code.glob("paper*_*/*.py")}
    found = [Paper(folder, code, root) for folder in sorted(folders)]
    return [paper for paper in found if paper.holes and paper.has_checks()]


def code_folder(arguments: list[str], root: Path = ROOT) -> Path:
    """The folder that --code names; the learner's own without it."""
    name = option(arguments, "--code") or "mine"
    folder = {"mine": root, "solutions": root / "solutions"}.get(name, Path(name))
    if not folder.is_dir():
        raise CommandError(f"--code {name}: there is no such folder")
    return folder.resolve()


def option(arguments: list[str], name: str) -> str:
    """Take `name VALUE` out of the arguments; an empty string if it is not there."""
    if name not in arguments:
        return ""
    place = arguments.index(name)
    if place + 1 == len(arguments):
        raise CommandError(f"{name} needs a value")
    value = arguments[place + 1]
    del arguments[place : place + 2]
    return value


def selected(paper: Paper, wanted: list[str]) -> list[str]:
    """The exercises that words name: 1.6, 1 (a paper), rssm.py (a file); all if there are none."""

    def matches(id: str, word: str) -> bool:
        stem = paper.holes[id][0]
        return word in (id, id.split(".")[0], paper.folder, stem, f"{stem}.py") or (
            Path(word).stem == stem and Path(word).parent.name == paper.folder
        )

    return [id for id in paper.ids() if not wanted or any(matches(id, w) for w in wanted)]


def find(id: str, code: Path) -> Paper:
    """The paper that has an exercise."""
    for paper in papers(code):
        if id in paper.holes:
            return paper
    raise CommandError(f"there is no exercise {id}")


def grade_all(arguments: list[str], show: bool = True) -> list[tuple[Paper, list[Outcome]]]:
    """Grade what the arguments name, printing each outcome as it comes."""
    code, results = code_folder(arguments), []
    for paper in papers(code):
        ids = selected(paper, arguments)
        if not ids:
            continue
        if show:
            lent = "" if paper.lent else "; solutions/ is not here: no lending, no diagnosis"
            print(f"grading {code / paper.folder}{lent}")
            for place, line in paper.outside():
                print(f"not graded: {place}: {line}  (put imports and helpers inside the hole)")
        with Grader(paper) as grader:
            outcomes = []
            for outcome in grader.grade(ids):
                outcomes.append(outcome)
                if show:
                    print(report.lines(outcome), flush=True)
        results.append((paper, outcomes))
    if not results:
        names = " ".join(arguments)
        raise CommandError(f"no exercise is named {names}" if names else "no paper has graders yet")
    return results


def grade(arguments: list[str]) -> int:
    target = option(arguments, "--gradescope")
    outcomes = [outcome for _, found in grade_all(arguments) for outcome in found]
    print(report.summary(outcomes))
    if target:
        report.write_gradescope(Path(target), outcomes)
    return int(any(outcome.status != "pass" for outcome in outcomes))


def progress(arguments: list[str]) -> int:
    for paper, outcomes in grade_all(arguments, show=False):
        print(report.bar(paper.folder, outcomes))
    return 0


def next_(arguments: list[str]) -> int:
    """The first exercise that does not pass; what it builds on may be lent."""
    found = papers(code_folder(arguments))
    if not found:
        raise CommandError("no paper has graders yet")
    for paper in found:
        with Grader(paper) as grader:
            for outcome in grader.grade():
                if outcome.status != "pass":
                    _, hole = paper.holes[outcome.exercise]
                    print(f"{outcome.exercise}  {hole.function}  {outcome.place}")
                    print(report.wrapped(hole.task))
                    print(f"     the reference takes {hole.size} lines; course hint {hole.id}")
                    return 0
    print("every exercise passes")
    return 0


def hint(arguments: list[str]) -> int:
    if not arguments:
        raise CommandError("course hint needs an exercise, such as 1.6")
    id, level = arguments[0], int(arguments[1]) if len(arguments) > 1 else 1
    paper = find(id, ROOT)
    page = ROOT / paper.folder / "HINTS.md"
    text = page.read_text("utf-8") if page.exists() else ""
    section = re.search(rf"^## {re.escape(id)}\b.*?(?=^## |\Z)", text, re.S | re.M)
    pattern = r"<summary>(.*?)</summary>\s*(.*?)\s*</details>"
    details = re.findall(pattern, section[0], re.S) if section else []
    if not 1 <= level <= len(details):
        raise CommandError(f"exercise {id} has {len(details)} hints")
    title, body = details[level - 1]
    print(f"{id}, hint {level} of {len(details)}: {title}\n\n{body}")
    return 0


def diff(arguments: list[str]) -> int:
    if not arguments:
        raise CommandError("course diff needs an exercise, such as 1.6")
    code = code_folder(arguments)
    paper = find(arguments[0], code)
    with Grader(paper) as grader:
        if grader.one(arguments[0]).status != "pass":
            raise CommandError(f"exercise {arguments[0]} does not pass yet: course hint first")
    mine = (paper.body(arguments[0]) or "").splitlines()
    reference = paper.holes[arguments[0]][1].body.splitlines()
    print("\n".join(difflib.unified_diff(mine, reference, "yours", "reference", lineterm="", n=99)))
    return 0


def reset(arguments: list[str]) -> int:
    if not arguments:
        raise CommandError("course reset needs an exercise, such as 1.6")
    paper = find(arguments[0], ROOT)
    stem = paper.holes[arguments[0]][0]
    path = ROOT / paper.folder / f"{stem}.py"
    new = templates.template(paper.reference[stem])
    old = path.read_text("utf-8") if path.exists() else ""
    kept = {id: body for id, body in holes.bodies(old).items() if id != arguments[0]}
    path.with_suffix(".py.orig").write_text(old, "utf-8")
    path.write_text(holes.fill(new, kept), "utf-8")
    print(f"{arguments[0]} is empty again; the old file is {path.name}.orig")
    return 0


def update(arguments: list[str]) -> int:
    for path in templates.write():
        print(f"updated {path.relative_to(ROOT)}; your answers are kept")
    return 0


COMMANDS = {
    "grade": grade, "next": next_, "progress": progress, "hint": hint, "diff": diff,
    "reset": reset, "update": update,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__)
        return 0 if arguments in ([], ["--help"], ["-h"]) else 2
    try:
        return COMMANDS[arguments[0]](arguments[1:])
    except (CommandError, holes.MarkerError, ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def run() -> None:
    sys.exit(main())
