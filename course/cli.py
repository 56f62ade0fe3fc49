"""course next | grade | hint | progress | watch | diff | reset | update | batch

    course next [2 | ...]     the first exercise that can be done now
    course grade [1.6 | 1 | rssm.py | hidreamer ...] [--gradescope results.json]
    course hint 1.6 [1|2|3]   where to look, the steps in words, the skeleton
    course progress           a bar for every paper
    course watch [1.6 | ...]  grade a file again whenever it is saved
    course diff 1.6           the reference beside your answer, once it passes
    course reset 1.6          an empty hole again; your file is kept as .orig
    course update [REF]       the newest course with your answers; REF is a commit or branch
    course batch FOLDER [--out grades.csv]     instructors: grade a folder of submissions

    --code mine|solutions|PATH    whose answers: the folder that holds paper1_dreamerv1/

Exit codes: 0 all graded exercises pass, 1 some do not, 2 the command could not be carried out.
"""

import difflib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from course import holes, report, templates
from course.grade import ROOT, Grader, Outcome, Paper


class CommandError(Exception):
    """One line for the user, exit code 2."""


def fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


# --- what the words of a command name ---------------------------------------------------------


def papers(code: Path, root: Path = ROOT) -> list[Paper]:
    """All papers that have exercises and checks for them, in order."""
    folders = {path.relative_to(root).parts[0] for path in templates.sources(root)}
    if not folders:  # solutions/ is gone: the learner's own files have the markers
        folders = {path.name for path in code.glob("paper*_*/")}
    found = [Paper(folder, code, root) for folder in sorted(folders)]
    found = [paper for paper in found if paper.holes and paper.has_checks()]
    if not found:
        raise CommandError("no paper has graders yet")
    if not any(paper.mine for paper in found):
        names = " or ".join(paper.folder for paper in found)
        raise CommandError(f"{code} holds no {names}: name the folder that does with --code")
    return [paper for paper in found if paper.mine]


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
    """The exercises that words name: 1.6, 1 (a paper), rssm.py, hidreamer; all without words."""
    return [id for id in paper.ids() if not wanted or any(names(paper, id, w) for w in wanted)]


def names(paper: Paper, id: str, word: str) -> bool:
    """Whether a word names an exercise, its paper, or ends the path of its file or a folder."""
    parts = (paper.folder, *paper.holes[id][0].split("."))
    places = [parts[:end] for end in range(1, len(parts) + 1)]
    given = Path(word.removesuffix(".py")).parts
    return word in (id, id.split(".")[0]) or any(
        given[-len(place) :] == place[-len(given) :] for place in places
    )


def choose(code: Path, wanted: list[str]) -> list[tuple[Paper, list[str]]]:
    """Papers and exercises that words name. Errors: CommandError, a word that names none."""
    found = papers(code)
    for word in wanted:
        if not any(names(paper, id, word) for paper in found for id in paper.holes):
            raise CommandError(f"no exercise, file or paper is named {word}")
    chosen = [(paper, selected(paper, wanted)) for paper in found]
    return [(paper, ids) for paper, ids in chosen if ids]


def find(arguments: list[str], code: Path) -> tuple[Paper, str]:
    """The one exercise that a command is about, and its paper."""
    if not arguments:
        raise CommandError("name an exercise, such as 1.6")
    for paper in papers(code):
        if arguments[0] in paper.holes:
            return paper, arguments[0]
    raise CommandError(f"there is no exercise {arguments[0]}")


# --- grading ------------------------------------------------------------------------------------


def outcomes(paper: Paper, ids: list[str], show: bool = True) -> Iterator[Outcome]:
    """Grade exercises of a paper; with `show` print each as it comes."""
    if show:
        lent = "" if paper.lent else "; solutions/ is not here: no lending, no diagnosis"
        print(f"grading {paper.where}{lent}")
        for place, line in paper.outside():
            print(report.wrapped(f"not graded: {place}: {line}"))
            print("     (put imports and helpers inside the hole)")
    with Grader(paper) as grader:
        for outcome in grader.grade(ids):
            if show:
                print(report.lines(outcome), flush=True)
            yield outcome


def grade(arguments: list[str]) -> int:
    target = option(arguments, "--gradescope")
    code = code_folder(arguments)
    found = [o for paper, ids in choose(code, arguments) for o in outcomes(paper, ids)]
    print(report.summary(found))
    if target:
        report.write_gradescope(Path(target), found)
    return int(any(outcome.status != "pass" for outcome in found))


def progress(arguments: list[str]) -> int:
    for paper, ids in choose(code_folder(arguments), arguments):
        print(report.bar(paper.folder, list(outcomes(paper, ids, show=False))))
    return 0


def next_(arguments: list[str]) -> int:
    """The first exercise that does not pass; what it builds on is lent."""
    for paper, ids in choose(code_folder(arguments), arguments):
        for outcome in outcomes(paper, ids, show=False):
            if outcome.status == "pass":
                continue
            _, hole = paper.holes[outcome.exercise]
            if outcome.status == "fail":
                print(report.lines(outcome))
            else:
                print(f"{hole.id}  {hole.function}  {outcome.place}")
                print(report.wrapped(hole.task))
                print(f"     the reference takes {hole.lines}; course hint {hole.id}")
            return 0
    print("every exercise passes")
    return 0


def watch(arguments: list[str]) -> int:
    """Grade again what has been saved, until Ctrl-C."""
    code, seen = code_folder(arguments), {}
    try:
        while True:
            for paper, ids in choose(code, arguments):
                times = {stem: path.stat().st_mtime for stem, path in paper.paths.items()}
                old = seen.get(paper.folder, {})
                changed = {stem for stem in times if times[stem] != old.get(stem)}
                ids = [id for id in ids if paper.holes[id][0] in changed]
                seen[paper.folder] = times
                if ids:
                    print(report.summary(list(outcomes(paper, ids))), "· watching, Ctrl-C ends")
            time.sleep(0.5)  # notifications fail on network and WSL folders: ask
    except KeyboardInterrupt:
        return 0


# --- help ---------------------------------------------------------------------------------------


def hint(arguments: list[str]) -> int:
    paper, id = find(arguments, ROOT)
    level = arguments[1] if len(arguments) > 1 else "1"
    page = ROOT / paper.folder / "HINTS.md"
    text = page.read_text("utf-8") if page.exists() else ""
    section = re.search(rf"^## {re.escape(id)}\b.*?(?=^## |\Z)", text, re.S | re.M)
    pattern = r"<summary>(.*?)</summary>\s*(.*?)\s*</details>"
    details = re.findall(pattern, section[0], re.S) if section else []
    if level not in [str(n + 1) for n in range(len(details))]:
        raise CommandError(f"exercise {id} has {len(details)} hints, and none is named {level}")
    title, body = details[int(level) - 1]
    print(f"{id}, hint {level} of {len(details)}: {title}\n\n{body}")
    if int(level) < len(details):
        print(f"\nnext: course hint {id} {int(level) + 1}")
    return 0


def diff(arguments: list[str]) -> int:
    code = code_folder(arguments)
    paper, id = find(arguments, code)
    if not paper.lent:
        raise CommandError("solutions/ is not here: there is nothing to compare with")
    if next(outcomes(paper, [id], show=False)).status != "pass":
        raise CommandError(f"exercise {id} does not pass yet: course hint {id}")
    mine = paper.body(id).splitlines()
    reference = paper.holes[id][1].body.splitlines()
    lines = difflib.unified_diff(mine, reference, "yours", "reference", lineterm="", n=99)
    print("\n".join(lines) or "yours is the reference, line by line")
    return 0


# --- files --------------------------------------------------------------------------------------


def reset(arguments: list[str]) -> int:
    paper, id = find(arguments, ROOT)
    stem = paper.holes[id][0]
    if not paper.lent:
        raise CommandError("solutions/ is not here: the empty hole cannot be made again")
    path = ROOT / paper.file(stem)
    new = templates.template(paper.reference[stem])
    old = path.read_text("utf-8") if path.exists() else ""
    kept = {other: body for other, body in holes.bodies(old).items() if other != id}
    copy, number = path.with_suffix(".py.orig"), 1
    while copy.exists():  # what was kept before stays
        copy, number = path.with_suffix(f".py.orig{number}"), number + 1
    copy.write_text(old, "utf-8")
    path.write_text(holes.fill(new, kept), "utf-8")
    print(f"{id} is empty again; the file as it was is {copy.name}")
    return 0


def update(arguments: list[str]) -> int:
    from course import classroom

    return classroom.update(arguments[0] if arguments else "")


def batch(arguments: list[str]) -> int:
    from course import classroom

    out = Path(option(arguments, "--out") or "grades.csv")
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        raise CommandError("course batch needs one folder, which holds a folder a submission")
    return classroom.batch(Path(arguments[0]), out)


COMMANDS = {
    "next": next_, "grade": grade, "hint": hint, "progress": progress, "watch": watch,
    "diff": diff, "reset": reset, "update": update, "batch": batch,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    if arguments[0] not in COMMANDS:
        return fail(f"there is no command {arguments[0]}; there are {', '.join(COMMANDS)}")
    try:
        return COMMANDS[arguments[0]](arguments[1:])
    except SyntaxError as error:
        return fail(f"{error.filename}:{error.lineno}: {error.msg}")
    except (CommandError, ValueError, OSError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return fail("interrupted")


def run() -> None:
    sys.exit(main())
