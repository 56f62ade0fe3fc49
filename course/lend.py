"""Lending: the learner's program, with the exercises that are not done yet from the reference."""

import importlib
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from course import holes
from course.grade import ROOT, Paper
from course.worker import load

USAGE = """\
usage: python {file} [EXERCISE ...]          grade this file, or some of its exercises
"""
COMMAND = """\
       python {file} [--borrow] key=value ... its own command, with this code

--borrow    exercises that are not done yet are lent by the reference

{about}"""
TRAIN = """\
       python {file} [--borrow] [--simple] task=pendulum [key=value ...]
                                             train with this code

--borrow    exercises that are not done yet are lent by the reference
--simple    the short loop and the buffer of this folder instead of dreamkit's trainer
key=value   as for dreamer-train: steps=6000 seed=0 run=runs/mine agent.gamma=0.98
"""


def code(folder: str, where: Path | None = None, quiet: bool = False) -> SimpleNamespace:
    """The modules of a paper, imported when first used: `code("paper1_dreamerv1").rssm.RSSM`.

    folder   name of the paper's folder
    where    the folder that holds it; None: this project's, which the learner edits

    Exercises without an answer get the reference's, and a line says which. What is imported later
    under the paper's name, by dreamkit too, is this code.
    """
    where = where or ROOT
    paper = Paper(folder, where)
    if not paper.mine:
        raise FileNotFoundError(f"there is no {folder} in {where}")
    modules = {}
    for each in (paper, *paper.extends):  # what a paper extends is the learner's too
        modules |= with_lent(each, quiet)
    return load({"modules": modules})


def with_lent(paper: Paper, quiet: bool) -> dict[str, dict]:
    """Sources of a paper for `course.worker.load`: the learner's, with what is missing lent."""
    missing = [id for id in paper.ids() if paper.body(id) is None]
    if missing:
        raise ValueError(f"the markers of {missing[0]} are gone: course reset {missing[0]}")
    todo = [id for id in paper.ids() if holes.is_todo(paper.body(id))]
    if todo and not paper.lent:
        raise ValueError(f"{todo[0]} is not done yet, and without solutions/ nothing can be lent")
    lent = {id: paper.holes[id][1].body for id in todo}
    modules = {}
    for stem, text in paper.mine.items():
        modules[f"{paper.folder}.{stem}"] = {
            "text": holes.fill(text, lent),
            "path": str(paper.paths[stem]),
            "lines": holes.line_numbers(text, lent),  # a traceback shows the learner's line
        }
    if not quiet:
        done = len(paper.ids()) - len(todo)
        print(f"{paper.folder}: your code for {done} of {len(paper.ids())} exercises")
        if todo:
            names = ", ".join(todo) if done else "all of them"
            print(textwrap.fill(f"lent by the reference: {names}", 90, subsequent_indent="  "))
    return modules


def run(file: str, command: Callable[[list[str]], int] | None = None) -> None:
    """`python paper1_dreamerv1/rssm.py`: grade the file; `train.py` with options: train.

    command   what options of the form key=value are for, in a file that has a use of its own
    """
    from course import cli

    path = Path(file).resolve()
    folder, arguments = folder_of(path), sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        about = command.__globals__["__doc__"] if command else ""
        print((USAGE + (COMMAND if command else TRAIN)).format(file=path.name, about=about))
        sys.exit(0)
    if any("=" in word or word in ("--borrow", "--simple") for word in arguments):
        if command:
            with_own(command, path)
        if path != folder / "train.py":
            sys.exit(cli.fail(f"{path.name} takes exercises; to train: python train.py task=…"))
        train(path, arguments)
    words = arguments or [str(path)]
    sys.exit(cli.main(["grade", *words, "--code", str(folder.parent)]))


def folder_of(file: Path) -> Path:
    """The paper's folder that a file stands in, however deep."""
    return next(folder for folder in file.parents if re.match(r"paper\d+_", folder.name))


def borrow(folder: Path) -> None:
    """From here on a paper's modules are those with lent exercises."""
    from course import cli

    try:
        code(folder.name, folder.parent)
    except (OSError, ValueError) as error:
        sys.exit(cli.fail(str(error)))


def with_own(command: Callable[[list[str]], int], path: Path) -> None:
    """Carry out a file's own command. Ends the process."""
    from dreamkit.cli import command as with_clear_errors

    if "--borrow" in sys.argv:
        sys.argv.remove("--borrow")
        folder = folder_of(path)
        borrow(folder)
        module = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        command = getattr(importlib.import_module(module), command.__name__)
    with_clear_errors(command)()


def train(path: Path, arguments: list[str]) -> None:
    """Train with the code of a folder. Ends the process."""
    from dreamkit.cli import command, train_command

    folder, where = path.parent.name, path.parent.parent
    options = [word for word in arguments if word not in ("--borrow", "--simple")]
    if "--borrow" in arguments:
        borrow(path.parent)
    name = {ROOT: "mine", ROOT / "solutions": "solutions"}.get(where, str(where))
    options = [f"agent={folder.split('_', 1)[1]}", f"code={name}", *options]
    command(lambda _: (simple if "--simple" in arguments else train_command)(options))()


def simple(options: list[str]) -> int:
    """The short loop of train.py with the folder's own buffer; then twenty episodes."""
    import numpy as np
    import torch

    from dreamkit import UserError, agents
    from dreamkit.collect import evaluate
    from dreamkit.config import resolve
    from dreamkit.envs import make

    cfg = resolve(options)
    module = agents.load(cfg["agent_name"], cfg["code"])
    if not hasattr(module, "train_simple"):
        raise UserError(f"{cfg['agent_name']} has no short loop: leave --simple out")
    torch.set_num_threads(1)
    torch.manual_seed(cfg["seed"])
    env = make(**cfg["task"])
    try:
        config = module.Config(**cfg["agent"])
        agent = module.Agent(env.observation_space.spaces, env.action_space, config)
    except ValueError as error:
        raise UserError(f"{cfg['agent_name']} cannot use this task: {error}") from None
    buffer = importlib.import_module(module.__name__.replace(".train", ".buffer"))
    path = Path(cfg["run"] or f"runs/simple-{cfg['task']['name']}")
    path.mkdir(parents=True, exist_ok=True)
    replay = buffer.ReplayBuffer(cfg["replay_rows"], cfg["seed"])
    log = module.train_simple(env, agent, replay, cfg["steps"], path=str(path / "agent.pt"))
    scores = evaluate(agent, lambda: make(**cfg["task"]), 20, cfg["seed"])["scores"]
    print(f"{len(log)} log lines; evaluation {np.mean(scores):.1f} ± {np.std(scores):.1f}")
    print(f"saved {path / 'agent.pt'}")
    return 0
