"""For whoever keeps a course: grade a folder of submissions; bring a learner's clone up to date."""

import csv
import subprocess
import sys
from pathlib import Path

from course import cli, report, templates
from course.grade import ROOT


def batch(folder: Path, out: Path) -> int:
    """Grade every submission: a table with a line each, and Gradescope's JSON beside it.

    folder   FOLDER/NAME/paper1_dreamerv1/*.py, or FOLDER/NAME/anything/paper1_dreamerv1/*.py
    out      CSV: name, score, one column an exercise (1 or 0), note

    Only what stands in the holes is taken; graders and given code are this clone's.
    """
    names = sorted(path for path in folder.iterdir() if path.is_dir())
    if not names:
        raise cli.CommandError(f"{folder} holds no folders")
    rows, columns, below = [], [], 0
    for name in names:
        row = {"name": name.name}
        places = sorted(name.glob("**/paper[0-9]_*"), key=lambda path: len(path.parts))
        places = [path for path in places if path.parent.name != "solutions"]
        try:
            if not places:
                raise cli.CommandError("no paper folder")
            found = [
                outcome
                for paper, ids in cli.choose(places[0].parent, [])
                for outcome in cli.outcomes(paper, ids, show=False)
            ]
            row |= {outcome.exercise: int(outcome.status == "pass") for outcome in found}
            row["score"] = sum(outcome.status == "pass" for outcome in found)
            report.write_gradescope(out.with_name(f"{out.stem}-{name.name}.json"), found)
            print(f"{name.name:<24} {row['score']:>3} of {len(found)}", flush=True)
            columns += [o.exercise for o in found if o.exercise not in columns]
            below += row["score"] < len(found)
        except (cli.CommandError, OSError, ValueError) as error:
            row |= {"score": 0, "note": str(error)}
            print(f"{name.name:<24}   0  {error}", flush=True)
            below += 1
        rows.append(row)
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["name", "score", *columns, "note"], restval="")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {out}")
    return int(below > 0)


def update(ref: str) -> int:
    """Everything but the templates from a commit; then new templates with the learner's answers."""
    if ref:
        mine = {str(path.relative_to(ROOT)) for path in templates.sources(ROOT)}
        edited = {line[3:].strip('"') for line in git("status", "--porcelain", "-uno")}
        if edited - mine:
            raise cli.CommandError(
                f"{min(edited - mine)} has changes that are not committed: commit them or undo "
                "them first. Answers in the templates may stay as they are"
            )
        for line in git("diff", "--name-status", "--no-renames", "HEAD", ref):
            kind, path = line.split("\t")
            if path not in mine:
                git(*(("rm", "-q", "--") if kind == "D" else ("checkout", ref, "--")), path)
    # a process of its own: the engine itself may be new now
    done = subprocess.run([sys.executable, "-m", "course.templates"], cwd=ROOT, text=True)
    if ref and not done.returncode:
        print(f"the course is that of {ref}, with your answers; nothing is committed yet")
    return 2 if done.returncode else 0


def git(*arguments: str) -> list[str]:
    """Lines of a git command in this project. Errors: CommandError with git's first line."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise cli.CommandError(f"git {arguments[0]}: {done.stderr.strip().splitlines()[0]}")
    return done.stdout.rstrip("\n").split("\n") if done.stdout.strip() else []
