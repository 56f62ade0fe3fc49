"""solutions/paperN/X.py → paperN/X.py: the templates that learners edit.

    python -m course.templates            write them; holes that a learner has filled stay filled
    python -m course.templates --force    write them empty; filled ones are kept as X.py.orig
    python -m course.templates --check    say which differ from what the solutions generate

The build refuses broken markers, templates that do not compile, and answers that show.
"""

import difflib
import re
import sys
from pathlib import Path

from course import holes

ROOT = Path(__file__).resolve().parents[1]
LEAK = 24  # an answer line of this many characters must not show in its paper's folder
SOLUTION_ONLY = {"fast.py"}  # the same in less time: nothing to write, and it would tell


class LeakError(ValueError):
    """A line of an answer that can be read in the template's folder."""


def sources(root: Path = ROOT) -> dict[Path, Path]:
    """{template: solution} of every file that has exercises, or stands in such a folder."""
    found = sorted((root / "solutions").glob("paper*/**/*.py"))
    folders = {path.parent for path in found if holes.MARK.search(path.read_text("utf-8"))}
    return {
        root / path.relative_to(root / "solutions"): path
        for path in found
        if path.parent in folders or path.parent.parent in folders
        if path.name not in SOLUTION_ONLY
    }


def template(solution: str) -> str:
    """The template of a solution's text.

    errors   MarkerError, SyntaxError, LeakError
    """
    found = holes.holes(solution)
    for hole in found.values():
        if hole.size > holes.LONGEST:
            raise holes.MarkerError(f"exercise {hole.id} has {hole.size} lines: split it")
    text = holes.stub(solution).replace("from solutions.paper", "from paper")
    compile(text, "template", "exec")
    shown = lines_of(text)
    for hole in found.values():
        leaked = answer_lines(hole, solution) & shown
        if leaked:
            raise LeakError(f"exercise {hole.id}: the template still shows «{min(leaked)}»")
    return text


def lines_of(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines()}


def answer_lines(hole: holes.Hole, solution: str) -> set[str]:
    """Lines of an answer that give it away: long ones that stand in no given part."""
    given = lines_of(holes.stub(solution))
    lines = {line for line in lines_of(hole.body) if not line.startswith("#")}
    return {line for line in lines if len(line) >= LEAK and line not in given}


def check_pages(root: Path, solution: Path, text: str) -> None:
    """No answer of a solution may show in its paper's guide, hints or notebook."""
    folder = root / solution.relative_to(root / "solutions").parts[0]
    for page in sorted(folder.rglob("*.md")) + sorted(folder.rglob("walkthrough.*")):
        shown = page.read_text("utf-8")
        for hole in holes.holes(text).values():
            leaked = [line for line in answer_lines(hole, text) if line in shown]
            if leaked:
                raise LeakError(f"{page.name} shows the answer of {hole.id}: «{leaked[0]}»")


def table(folder: Path, root: Path = ROOT) -> str:
    """The exercises of a folder's own files as a Markdown table."""
    found = [
        (holes.order(id), path.name, hole)
        for path in sorted((root / "solutions" / folder).glob("*.py"))
        for id, hole in holes.holes(path.read_text("utf-8")).items()
    ]
    bar = r"\|"  # a plain one would end the cell
    rows = [
        f"| {hole.id} | `{file}` | `{hole.function}` | {hole.task.replace('|', bar)} | {hole.size} "
        f"| {' '.join(hole.needs)} |"
        for _, file, hole in sorted(found, key=lambda row: row[0])
    ]
    head = ["| | file | function | what to do | lines | needs |", "|---|---|---|---|---|---|"]
    return "\n".join(head + rows) + "\n"


def with_table(guide: Path, root: Path = ROOT) -> str:
    """A guide with the newest table of exercises between its two comment lines."""
    pattern = r"(<!-- exercises -->\n).*?(<!-- end of exercises -->)"
    rows = table(guide.parent.relative_to(root), root)
    return re.sub(pattern, lambda m: m[1] + rows + m[2], guide.read_text("utf-8"), flags=re.S)


def guides(root: Path = ROOT) -> list[Path]:
    folders = {path.parent for path in sources(root)}
    return [folder / "README.md" for folder in sorted(folders) if (folder / "README.md").exists()]


def merge(new: str, mine: str) -> str:
    """A new template with the bodies that a learner has written."""
    written = {id: body for id, body in holes.bodies(mine).items() if not holes.is_todo(body)}
    return holes.fill(new, written)


def emptied(new: str, mine: str) -> str:
    """A learner's file with every hole as in the template."""
    return holes.fill(mine, holes.bodies(new))


def changed_outside(new: str, mine: str) -> list[str]:
    """Lines that a learner wrote outside the holes. They are not graded."""
    pairs = difflib.ndiff(new.splitlines(), emptied(new, mine).splitlines())
    return [line[2:].strip() for line in pairs if line.startswith("+ ") and line[2:].strip()]


def write(root: Path = ROOT, force: bool = False) -> list[Path]:
    """Write all templates. Returns those that changed."""
    changed = []
    for path, solution in sources(root).items():
        text = solution.read_text("utf-8")
        new = template(text)
        check_pages(root, solution, text)
        old = path.read_text("utf-8") if path.exists() else ""
        if old and force and old != new and merge(new, old) != new:
            path.with_suffix(".py.orig").write_text(old, "utf-8")
        elif old and not force:
            new = merge(new, old)
        if new != old or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(new, "utf-8")
            changed.append(path)
    for guide in guides(root):
        new = with_table(guide, root)
        if new != guide.read_text("utf-8"):
            guide.write_text(new, "utf-8")
            changed.append(guide)
    return changed


def stale(root: Path = ROOT, strict: bool = False) -> list[str]:
    """Templates that differ from what solutions generate; filled holes count only if strict."""
    result = []
    for path, solution in sources(root).items():
        new = template(solution.read_text("utf-8"))
        old = path.read_text("utf-8") if path.exists() else ""
        if (old if strict else emptied(new, old)) != new:
            result.append(str(path.relative_to(root)))
    for guide in guides(root):
        if with_table(guide, root) != guide.read_text("utf-8"):
            result.append(str(guide.relative_to(root)))
    return result


def main(arguments: list[str]) -> int:
    try:
        if "--check" in arguments:
            found = stale(strict="--strict" in arguments)
            for path in found:
                print(f"{path} is not what solutions/ generates: python -m course.templates")
            return 1 if found else 0
        for path in write(force="--force" in arguments):
            print(f"wrote {path.relative_to(ROOT)}")
    except (holes.MarkerError, LeakError, SyntaxError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
