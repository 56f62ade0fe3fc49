"""Exercises are holes in the reference solutions; everything is filling holes.

A hole is a marked region inside one function's body:

    # EXERCISE 1.6: what to do (needs 1.4)
    ... the answer ...
    # END 1.6

Template, graded program, known mistake, update: each is `fill`, the same source with other bodies.
"""

import ast
import re
from dataclasses import dataclass

HOLE = re.compile(
    r"(?P<head>^(?P<indent> *)# EXERCISE (?P<id>\d+\.\d+): (?P<task>[^\n]*)\n)"
    r"(?P<body>.*?)"
    r"(?P<tail>^ *# END (?P=id)\n)",
    re.S | re.M,
)
MARK = re.compile(r"^ *# (?:EXERCISE|END) \d+\.\d+", re.M)
NEEDS = re.compile(r"\(needs (?P<ids>[\d., ]+)\)\s*$")
LONGEST = 25  # lines of a hole


class MarkerError(ValueError):
    """Markers that are unbalanced, nested, duplicated, out of order or outside a function."""


@dataclass(frozen=True)
class Hole:
    """One exercise in one file."""

    id: str  # paper.step
    task: str  # what to do, from the marker line, without the needs
    needs: tuple[str, ...]  # exercises that it builds on
    body: str  # the lines between the markers
    indent: str
    line: int  # number of the body's first line, from 1
    function: str  # qualified name of the function that holds it

    @property
    def size(self) -> int:
        """Lines of the body that are not blank."""
        return size(self.body)

    @property
    def lines(self) -> str:
        """1 line, 2 lines"""
        return lines(self.body)


def size(body: str) -> int:
    return sum(bool(line.strip()) for line in body.splitlines())


def lines(body: str) -> str:
    return f"{size(body)} line{'s' * (size(body) != 1)}"


def is_todo(body: str) -> bool:
    return 'raise NotImplementedError("exercise ' in body


def order(id: str) -> tuple[int, int]:
    """Sorting key of an exercise: 1.10 comes after 1.9."""
    paper, step = id.split(".")
    return int(paper), int(step)


def holes(text: str) -> dict[str, Hole]:
    """{exercise: hole} of a source, in the order of the file.

    errors   MarkerError; SyntaxError if the source does not compile with empty holes
    """
    matches = list(HOLE.finditer(text))
    found = [match["id"] for match in matches]
    if len(MARK.findall(text)) != 2 * len(found) or len(set(found)) != len(found):
        raise MarkerError("EXERCISE and END markers are unbalanced, nested or duplicated")
    if found != sorted(found, key=order):
        raise MarkerError(f"exercises are out of order: {', '.join(found)}")
    functions = _functions(stub(text)) if found else []
    return {match["id"]: _hole(text, match, functions) for match in matches}


def _hole(text: str, match: re.Match, functions: list) -> Hole:
    task = match["task"].strip()
    needs = NEEDS.search(task)
    ids = tuple(re.split(r"[,\s]+", needs["ids"].strip())) if needs else ()
    name = next((name for name, ids_inside in functions if match["id"] in ids_inside), "")
    if not name:
        raise MarkerError(f"exercise {match['id']} is not inside one function, after its docstring")
    return Hole(
        id=match["id"],
        task=NEEDS.sub("", task).strip(),
        needs=ids,
        body=match["body"],
        indent=match["indent"],
        line=text.count("\n", 0, match.start("body")) + 1,
        function=name,
    )


def _functions(stubbed: str) -> list[tuple[str, set[str]]]:
    """(qualified name, exercises raised in its own body) of every function of a stub."""
    result = []

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                body = child.body[_docstring(child) :]
                inside = {_raised(node) for statement in body for node in _own(statement)}
                result.append((prefix + child.name, inside - {None}))
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(stubbed), "")
    return result


def _docstring(function: ast.FunctionDef) -> int:
    return int(ast.get_docstring(function) is not None)


def _own(node: ast.AST):
    """A statement and what is nested in it, but for inner functions and classes."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for child in ast.iter_child_nodes(node):
            yield from _own(child)


def _raised(statement: ast.AST) -> str | None:
    """The exercise that a `raise NotImplementedError("exercise 1.2")` names."""
    call = statement.exc if isinstance(statement, ast.Raise) else None
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "NotImplementedError":
        words = str(getattr(call.args[0], "value", "")).split() if call.args else []
        return words[1] if len(words) == 2 and words[0] == "exercise" else None
    return None


def fill(text: str, bodies: dict[str, str]) -> str:
    """The same source with some holes filled with other bodies: {exercise: lines}."""
    return HOLE.sub(lambda m: m["head"] + bodies.get(m["id"], m["body"]) + m["tail"], text)


def line_numbers(text: str, bodies: dict[str, str]) -> list[int]:
    """For each line of `fill(text, bodies)` the number of its line in `text`, from 1."""
    numbers, line, end = [], 1, 0
    for match in HOLE.finditer(text):
        before = text.count("\n", end, match.start("body"))
        numbers += range(line, line + before)
        line, end = line + before, match.end("body")
        old, new = match["body"].count("\n"), bodies.get(match["id"], match["body"]).count("\n")
        numbers += [line + min(i, old - 1) for i in range(new)]
        line += old
    return numbers + list(range(line, line + text.count("\n", end) + 1))


def bodies(text: str) -> dict[str, str]:
    """{exercise: body} of a source, however broken its Python is."""
    return {match["id"]: match["body"] for match in HOLE.finditer(text)}


def stub(text: str) -> str:
    """The template: every hole says how long the reference is, and raises."""

    def empty(match: re.Match) -> str:
        todo = f"# TODO: your code here (the reference takes {lines(match['body'])})"
        error = f'raise NotImplementedError("exercise {match["id"]}")'
        rows = "".join(f"{match['indent']}{row}\n" for row in (todo, error))
        return match["head"] + rows + match["tail"]

    return HOLE.sub(empty, text)
