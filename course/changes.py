"""What a paper changed in the one before, function by function → docs/changes.md.

    python -m course.changes [--check]

The code comes from the two solutions; docs/changes.toml holds a sentence on each function that is
new, gone or different, and pairs functions that changed their names. A function without a sentence,
or a sentence without a function, is an error: so the page cannot fall behind the code.
"""

import argparse
import ast
import difflib
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("networks.py", "rssm.py", "buffer.py", "actor_critic.py", "optim.py", "train.py")


def functions(folder: Path) -> dict[str, tuple[str, str]]:
    """{file:Class.function: (what it does, its lines of code)}, neither with docstring nor comment.

    The first is equal for two functions that do the same.
    """
    found = {}
    for file in FILES:
        path = folder / file
        if not path.exists():
            continue
        source = path.read_text("utf-8")
        tree = ast.parse(source)
        owners = [("", tree)] + [
            (f"{node.name}.", node) for node in tree.body if isinstance(node, ast.ClassDef)
        ]
        for prefix, owner in owners:
            for node in owner.body:
                if isinstance(node, ast.FunctionDef):
                    name = f"{file}:{prefix}{node.name}"
                    found[name] = (without_docstring(node), code(node, source.splitlines()))
    return found


def docstring(node: ast.FunctionDef) -> ast.Expr | None:
    return node.body[0] if ast.get_docstring(node) is not None else None


def without_docstring(node: ast.FunctionDef) -> str:
    text = docstring(node)
    body = [part for part in node.body if part is not text]
    return "\n".join(map(ast.unparse, [node.args, *body]))


def code(node: ast.FunctionDef, lines: list[str]) -> str:
    """Its lines, moved to the left margin."""
    text = docstring(node)
    skip = range(text.lineno, text.end_lineno + 1) if text else ()
    begin = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    kept = [
        lines[number - 1][node.col_offset :].rstrip()
        for number in range(begin, node.end_lineno + 1)
        if number not in skip and not lines[number - 1].lstrip().startswith("#")
    ]
    return "\n".join(line for line in kept if line)


class Chapter:
    """Two papers' functions, matched by name; docs/changes.toml says which names changed.

    rows    [(entry, kind, {name now: name before})] in the order of the entries; kind is changed,
            new or gone
    same    names of functions that do not differ

    Errors: ValueError, with all functions that lack a sentence and sentences that lack a function.
    """

    def __init__(self, content: dict, root: Path = ROOT):
        self.title, self.text = content["title"], content["text"].strip()
        self.old, self.new = (functions(root / "solutions" / content[k]) for k in ("old", "new"))
        renamed = {before: now for now, before in content["names"].items()}
        pairs = {self._renamed(name, renamed): name for name in self.old}
        self.same = [n for n in self.new if n in pairs and self.new[n][0] == self.old[pairs[n]][0]]
        kinds = {name: "new" for name in self.new if name not in pairs}
        kinds |= {name: "gone" for name in pairs if name not in self.new}
        kinds |= {n: "changed" for n in self.new if n in pairs and n not in self.same}
        self.rows, problems = [], []
        for entry in content["changes"]:
            covered = [name for name in kinds if self._entry(name, content) is entry]
            found = {kinds[name] for name in covered}
            if len(found) == 1:
                self.rows.append((entry, found.pop(), {name: pairs.get(name) for name in covered}))
            else:
                is_are = ", ".join(sorted(found)) or "no change"
                problems.append(f"{entry['of']}: a sentence on {is_are}")
        problems += [f"{n} is {kinds[n]}: why?" for n in kinds if not self._entry(n, content)]
        if problems:
            raise ValueError("docs/changes.toml, " + content["title"] + ": " + "; ".join(problems))

    @staticmethod
    def _renamed(name: str, renamed: dict) -> str:
        file, _, function = name.partition(":")
        owner, dot, method = function.rpartition(".")
        return renamed.get(name, f"{file}:{renamed.get(owner, owner)}{dot}{method}")

    @staticmethod
    def _entry(name: str, content: dict) -> dict | None:
        """The sentence on a function: its own, or that on its class, or that on its file."""
        covering = [
            entry
            for entry in content["changes"]
            if name == entry["of"] or name.startswith((f"{entry['of']}.", f"{entry['of']}:"))
        ]
        return max(covering, key=lambda entry: len(entry["of"]), default=None)

    def lines(self) -> list[str]:
        out = [f"## {self.title}", "", self.text, ""]
        for file in dict.fromkeys(entry["of"].partition(":")[0] for entry, *_ in self.rows):
            out += [f"### `{file}`", "", "| | what | why |", "|---|---|---|"]
            out += [
                f"| {kind} | `{entry['of'].partition(':')[2] or file}` | {entry['why'].strip()} |"
                for entry, kind, _ in self.rows
                if entry["of"].partition(":")[0] == file
            ]
            kept = [name.partition(":")[2] for name in self.same if name.startswith(file)]
            out += ["", f"The same: {', '.join(f'`{name}`' for name in kept)}." if kept else "", ""]
        out += [f"### {self.title}, the code", "", self._code(), ""]
        return out

    def _code(self) -> str:
        """The lines of every function that changed, one after the other."""
        parts = []
        for _, kind, names in self.rows:
            if kind == "changed":
                for now, before in names.items():
                    lines = difference(self.old[before][1], self.new[now][1])
                    parts += [f"`{now}`", "", "```diff", *lines, "```", ""]
        return "\n".join(parts)


def difference(old: str, new: str) -> list[str]:
    """All lines of both, marked."""
    return [line.rstrip() for line in difflib.ndiff(old.splitlines(), new.splitlines())
            if not line.startswith("?")]  # fmt: skip


def page(root: Path = ROOT) -> str:
    """Errors: ValueError, where sentences and solutions do not belong together."""
    content = tomllib.loads((root / "docs/changes.toml").read_text("utf-8"))
    out = ["# What each paper changed", "", content["text"].strip(), ""]
    for chapter in content["chapter"]:
        out += Chapter(chapter, root).lines()
    return re.sub("\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course.changes", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="is docs/changes.md what is made?")
    check = parser.parse_args(arguments).check
    path = ROOT / "docs/changes.md"
    try:
        text = page()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if check:
        if path.exists() and path.read_text("utf-8") == text:
            return 0
        print("docs/changes.md is stale: python -m course.changes", file=sys.stderr)
        return 1
    path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
