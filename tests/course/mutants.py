"""Generic mutants: small edits of every answer that no one thought of. Each must be caught.

    python -m tests.course.mutants [paper1_dreamerv1] [1.23 | rssm.py ...]

Prints each mutant that all checks let pass; exits with 1 if there is one. A mutant that computes
the same as the answer stands in tests/mutants/paperN.py with the reason: EQUIVALENT = {(exercise,
edit): reason}. A reason whose mutant no longer exists or no longer survives is an error too.
"""

import ast
import copy
import importlib.util
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from course.cli import selected
from course.grade import ROOT, Grader, Paper, files, passes

WORKERS = 2
LIMIT = 5.0  # seconds of one check: a mutant may run for ever
TWINS = {
    "mean": "sum", "sum": "mean", "elu": "relu", "relu": "elu", "square": "abs", "min": "max",
    "max": "min", "zeros_like": "ones_like", "ones_like": "zeros_like", "softplus": "relu",
    "tanh": "sigmoid", "sigmoid": "tanh", "rand_like": "randn_like", "randn_like": "rand_like",
}  # fmt: skip
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}  # fmt: skip
ONE = ast.Constant(1)


def edits(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node of a syntax tree."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="detach")):
            yield value
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in OPERATORS:
                yield ast.BinOp(left, OPERATORS[type(op)](), right)
            yield from (left, right)
            if isinstance(op, ast.Sub | ast.Div):
                yield ast.BinOp(right, op, left)
        case ast.Compare(left=left, ops=[op], comparators=rest) if type(op) in COMPARISONS:
            yield ast.Compare(left, [COMPARISONS[type(op)]()], rest)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from values
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 1.5)
        case ast.Slice(lower=lower, upper=upper):
            if lower:
                yield ast.Slice(None, upper)
            if upper:
                yield ast.Slice(lower, None)
        case ast.Tuple(elts=[first, second], ctx=ast.Load()):
            yield ast.Tuple([second, first], ast.Load())
        case ast.Attribute(value=value, attr=attr) if attr in TWINS:
            yield ast.Attribute(value, TWINS[attr], node.ctx)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
    if isinstance(node, ast.Call):
        for i in range(len(node.args) - 1):
            arguments = list(node.args)
            arguments[i : i + 2] = arguments[i + 1], arguments[i]
            yield ast.Call(node.func, arguments, node.keywords)
        for i in range(len(node.keywords)):
            yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        index = node.slice
        if isinstance(index, ast.Name | ast.BinOp):
            yield ast.Subscript(node.value, ast.BinOp(index, ast.Add(), ONE), node.ctx)
    if isinstance(node, ast.If):
        yield from (ast.If(ast.Constant(x), node.body, node.orelse) for x in (True, False))
    if isinstance(node, ast.Expr | ast.AugAssign) or (
        isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name)
    ):
        yield ast.Pass()


def mutants(body: str, indent: str) -> dict[str, str]:
    """{edit: body} of an answer: every edit at every place, each by itself."""
    tree = ast.parse("def f():\n" + textwrap.indent(textwrap.dedent(body), "    "))
    found: dict[str, str] = {}
    reference = ast.unparse(tree)
    for number, node in enumerate(ast.walk(tree)):
        for edit in edits(node):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[number]
            Put(target, edit).visit(changed)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text == reference:
                continue
            name = first = f"{one_line(node)} → {one_line(edit)}"
            count = 1
            while name in found:
                count += 1
                name = f"{first} #{count}"
            lines = textwrap.dedent("\n".join(text.splitlines()[1:]))
            found[name] = textwrap.indent(lines, indent) + "\n"
    return found


def one_line(node: ast.AST) -> str:
    return " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())


class Put(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node):
        return copy.deepcopy(self.new) if node is self.old else self.generic_visit(node)


def equivalent(paper: Paper) -> dict[tuple[str, str], str]:
    """The mutants of a paper that are known to compute the same, with the reasons."""
    found = {}
    for path in files(ROOT / "tests" / "mutants" / paper.folder.split("_")[0]).values():
        spec = importlib.util.spec_from_file_location(f"equivalent_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= module.EQUIVALENT
    return found


def run(paper: Paper, ids: list[str]) -> tuple[int, int, list[str]]:
    """(mutants tried, of these equivalent, lines to print: survivors and reasons without one)."""
    reasons, tried, problems = equivalent(paper), 0, []
    used = set()
    with Grader(paper, LIMIT) as grader:
        for id in ids:
            hole = paper.holes[id][1]
            for name, body in mutants(hole.body, hole.indent).items():
                tried += 1
                if passes(grader.worker.run(paper.job(id, {id: body}))):
                    used.add((id, name))
                    if (id, name) not in reasons:
                        problems.append(f"{id}  alive: {name}")
    gone = [key for key in reasons if key[0] in ids and key not in used]
    problems += [f"{id}  no such survivor: {name}" for id, name in gone]
    return tried, len(used & set(reasons)), problems


def dealt(ids: list[str]) -> list[list[str]]:
    """As many lists as there are workers, none of them empty."""
    return [ids[i::WORKERS] for i in range(min(WORKERS, len(ids)))]


def main(arguments: list[str]) -> int:
    folders = [word for word in arguments if word.startswith("paper")]
    status = 0
    for folder in folders or sorted(p.name for p in (ROOT / "course/mistakes").glob("paper*")):
        folder = next(p.name for p in sorted((ROOT / "solutions").glob(f"{folder}*")))
        paper = Paper(folder, ROOT)
        ids = selected(paper, [word for word in arguments if word not in folders])
        with ThreadPoolExecutor(WORKERS) as pool:  # each has a process for the answers
            parts = list(pool.map(lambda some, p=paper: run(p, some), dealt(ids)))
        tried, same = (sum(part[i] for part in parts) for i in (0, 1))
        problems = [line for part in parts for line in part[2]]
        alive = sum("alive" in line for line in problems)
        print(*problems, sep="\n", end="\n" if problems else "")
        print(f"{folder}: {tried} mutants, {tried - same - alive} killed, {same} equivalent, "
              f"{alive} alive")  # fmt: skip
        status |= bool(problems)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
