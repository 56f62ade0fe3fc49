"""What grading came to, for a person (90 columns, with or without colour) and for machines."""

import json
import os
import sys
import textwrap
from pathlib import Path

from course.checks import show
from course.grade import Outcome

SYMBOL = {"pass": "✓", "fail": "✗", "todo": "·", "blocked": "·"}
COLOUR = {"pass": "32", "fail": "31", "todo": "90", "blocked": "90"}
WIDTH = 90


def paint(text: str, status: str) -> str:
    """Colour, where a terminal shows it and NO_COLOR is not set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{COLOUR[status]}m{text}\033[0m"


def lines(outcome: Outcome) -> str:
    """One outcome: a line, and for a failure what was claimed, given, expected and got."""
    word = {"pass": "", "fail": "", "todo": "not started", "blocked": outcome.note}
    note = f"({outcome.note})" if outcome.note and outcome.status != "blocked" else ""
    head = f"{SYMBOL[outcome.status]} {outcome.exercise:<5} {outcome.function:<28} "
    if outcome.status != "fail":
        return paint((head + f"{word[outcome.status]} {note}".strip()).rstrip(), outcome.status)
    check = outcome.check
    head += check.get("check", "")
    pad = WIDTH - len(head) - len(outcome.place)
    if pad > 0:
        rows = [paint(head + " " * pad + outcome.place, "fail")]
    else:
        rows = [paint(head, "fail"), " " * (WIDTH - len(outcome.place)) + outcome.place]
    if check.get("claim"):
        rows.append(wrapped(check["claim"]))
    if check.get("given"):
        rows.append(row("given", check["given"]))
    if "failed" in check:
        failed = check["failed"]
        rows.append(row("expected", f"{failed['name']} = {show(failed['want'])}"))
        rows.append(row("got", f"{failed['name']} = {show(failed['got'])}"))
    if check.get("error"):
        rows.append(row("error", check["error"]))
    if outcome.diagnosis:
        rows.append(row("diagnosis", outcome.diagnosis))
    rows.append(row("next", f"course hint {outcome.exercise}"))
    return "\n".join(rows)


def row(name: str, text: str) -> str:
    return wrapped(f"{name:<10}{text}", 10)


def wrapped(text: str, indent: int = 0) -> str:
    """Text under the head line, at most three lines of it."""
    return textwrap.fill(
        text, WIDTH, initial_indent=" " * 5, subsequent_indent=" " * (5 + indent),
        max_lines=3, placeholder=" …", drop_whitespace=True, break_on_hyphens=False,
    )  # fmt: skip


def bar(folder: str, outcomes: list[Outcome]) -> str:
    """paper1_dreamerv1   ████████░░░░   8/12"""
    done = sum(outcome.status == "pass" for outcome in outcomes)
    blocks = round(24 * done / max(1, len(outcomes)))
    return f"{folder:<20} {'█' * blocks}{'░' * (24 - blocks)}  {done:>2}/{len(outcomes)}"


def summary(outcomes: list[Outcome]) -> str:
    counts = [
        f"{sum(o.status == status for o in outcomes)} {word}"
        for status, word in (("pass", "passed"), ("fail", "failed"), ("todo", "to do"))
    ]
    blocked = sum(o.status == "blocked" for o in outcomes)
    return ", ".join(counts) + (f", {blocked} blocked" if blocked else "")


def gradescope(outcomes: list[Outcome]) -> dict:
    """Gradescope's results.json: one point an exercise."""
    tests = [
        {
            "name": f"{outcome.exercise} {outcome.function}",
            "score": float(outcome.status == "pass"),
            "max_score": 1.0,
            "output": lines(outcome),
        }
        for outcome in outcomes
    ]
    return {"score": sum(test["score"] for test in tests), "tests": tests}


def write_gradescope(path: Path, outcomes: list[Outcome]) -> None:
    path.write_text(json.dumps(gradescope(outcomes), indent=1) + "\n", "utf-8")
