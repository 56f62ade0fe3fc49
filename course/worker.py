"""The process in which student code runs: it loads filled sources and runs their checks.

It says `ready`, then reads one job a line (JSON) from standard input, and answers with two lines a
check, when it starts and what it came to, then `done`:

    {"modules": {name: {"text", "path"}}, "package": "paper1_dreamerv1", "checks": path,
     "exercise": "1.14", "only": [names] or null, "seed": 0}

What the code prints goes to standard error. The parent ends this process when it takes too long.
"""

import ast
import builtins
import faulthandler
import functools
import importlib.abc
import importlib.util
import json
import math
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

from course.checks import DRAW, collect, plain


class Sources(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the given sources instead of the files of their names."""

    def __init__(self, modules: dict[str, dict]):
        self.modules = modules

    def find_spec(self, name, path=None, target=None):
        package = any(other.startswith(name + ".") for other in self.modules)
        if name in self.modules or package:
            return importlib.util.spec_from_loader(name, self, is_package=package)
        return None

    def exec_module(self, module):
        source = self.modules.get(module.__name__)
        if source:
            module.__file__ = source["path"]
            lines = tuple(source.get("lines", ()))
            exec(compiled(source["text"], source["path"], lines), module.__dict__)


@functools.lru_cache(256)
def compiled(text: str, path: str, lines: tuple[int, ...] = ()):
    """Code of a source. `lines`: for each line its number in the file, where that differs."""
    tree = ast.parse(text, path)
    for node in ast.walk(tree) if lines else ():
        if hasattr(node, "lineno"):
            node.lineno, node.end_lineno = lines[node.lineno - 1], lines[node.end_lineno - 1]
            if node.lineno == node.end_lineno:  # several lines have become one
                node.end_col_offset = max(node.col_offset, node.end_col_offset)
    return compile(tree, path, "exec")


def load(job: dict) -> SimpleNamespace:
    """The paper's modules by their short names, imported when first used."""
    roots = {name.split(".")[0] for name in job["modules"]}
    for name in [n for n in sys.modules if n.split(".")[0] in roots]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Sources)]
    sys.meta_path.insert(0, Sources(job["modules"]))

    return Code(names=list(job["modules"]))


class Code(SimpleNamespace):
    """Modules by their short names, imported when first used; those of a part by its name too.

    `code.mask` and `code.hidreamer.mask` are one; a short name of several is the paper's own file.
    """

    def __getattr__(self, short):
        for name in self.names:
            if name.endswith(f".{short}"):
                return importlib.import_module(name)
        inside = [name for name in self.names if f".{short}." in name]
        if not inside:
            raise AttributeError(f"the paper has no module {short}")
        return Code(names=inside)


def centred():
    """A mode in which every random operation answers with `draws`, or the centre."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Centre(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            name = function.overloadpacket.__name__
            kwargs = kwargs or {}
            if name in ("rand", "rand_like"):
                result.fill_(DRAW["uniform"])
            elif name in ("uniform", "uniform_"):
                low, high = (*args[1:3], *(0.0, 1.0)[len(args[1:3]) :])
                low, high = kwargs.get("from", low), kwargs.get("to", high)
                result.fill_(low + (high - low) * DRAW["uniform"])
            elif name in ("randn", "randn_like"):
                result.fill_(DRAW["normal"])
            elif name in ("normal", "normal_", "normal_functional"):
                # torch.normal(mean, std), or x.normal_(mean, std) with the tensor in front
                rest = args if function._overloadname[:6] in ("Tensor", "float_") else args[1:]
                mean = kwargs.get("mean", rest[0] if rest else 0.0)
                std = kwargs.get("std", rest[1] if len(rest) > 1 else 1.0)
                result.copy_(torch.as_tensor(mean + std * DRAW["normal"], dtype=result.dtype))
            elif name in ("exponential_", "exponential"):
                result.fill_(-math.log(1 - DRAW["uniform"]))
            elif name == "multinomial":
                result.copy_(args[0].argmax(-1, keepdim=True).expand_as(result))
            elif name == "bernoulli":
                result.copy_((args[0] > 0.5).to(result.dtype))
            return result

    return Centre()


def run(check, job: dict) -> dict:
    """One check: all that it saw, and what it raised. The parent decides."""
    import torch

    answer = {"check": check.name, "claim": check.claim, "given": check.given, "seen": []}
    torch.manual_seed(job.get("seed", 0))
    try:
        with centred():
            for name, got, want, *tolerance in check.run(load(job)):
                seen = [name, plain(got), plain(want), *tolerance]
                answer["seen"].append(json.loads(json.dumps(seen)))
    except BaseException as error:  # also SystemExit: student code ends nothing but itself
        answer |= describe(error, job)
    return answer


def describe(error: BaseException, job: dict) -> dict:
    """What an exception says, and the lines of the graded sources that led to it."""
    paths = {source["path"]: name for name, source in job["modules"].items()}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in paths]
    at = [[paths[frame.filename], frame.lineno] for frame in frames]
    broken = isinstance(error, SyntaxError) and error.filename in paths
    if broken:
        at = [[paths[error.filename], error.lineno]]
    try:
        said = error.msg if broken else str(error)  # the place is said elsewhere
    except BaseException:
        said = "its text cannot be shown"
    lines = [line for line in said.splitlines() if line.strip()]
    todo = isinstance(error, NotImplementedError) and said.startswith("exercise ")
    text = f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
    todo = said.split()[1] if todo else None
    return {"error": text, "raised": type(error).__name__, "at": at, "todo": todo}


def shared_state() -> dict:
    """What all exercises share, and one could change: {name: identity or value}."""
    import random

    import numpy as np
    import torch

    spaces = [torch, torch.nn, torch.nn.functional, torch.nn.init, torch.Tensor, torch.autograd]
    spaces += [torch.distributions, torch.optim, np, np.random, math, random, json, builtins]
    spaces += [x for x in vars(torch.nn).values() if isinstance(x, type)]
    spaces += [x for name, x in sys.modules.items() if name.startswith(("tests.", "course."))]
    spaces += [sys.modules[__name__], Code, Sources]
    found = {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's threads": torch.get_num_threads(),
    }
    hooks = vars(torch.nn.modules.module)
    found |= {f"torch.nn's {key}": len(x) for key, x in hooks.items() if key.endswith("_hooks")}
    return found | {f"{s.__name__}.{key}": id(x) for s in spaces for key, x in vars(s).items()}


def changed(before: dict) -> str:
    """The first shared thing that is not as it was; new names are nothing bad."""
    now = shared_state()
    return next((name for name, x in before.items() if now.get(name) != x), "")


def limit_memory(extra: int = 4 << 30) -> None:
    """Let this process grow by `extra` bytes at most, where the system can say so."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + extra
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, OSError, ValueError):
        pass


def main() -> None:
    faulthandler.enable(sys.stderr)
    answers = os.fdopen(os.dup(1), "w")  # student code may print: that goes to standard error
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with centred():  # what torch does only once must not count as a check's time
        torch.rand(1)
    limit_memory()
    print(json.dumps({"ready": True}), file=answers, flush=True)
    before = None
    for line in sys.stdin:
        job = json.loads(line)
        checks = [check for check in all_checks(job["checks"]) if check.exercise == job["exercise"]]
        before = before or shared_state()
        token = job.pop("token")  # what student code writes to our pipe does not have it

        def say(token=token, **answer):
            print(json.dumps(answer | {"token": token}), file=answers, flush=True)

        for check in checks:
            say(started=check.name)
            say(**run(check, job))
        say(done=True, changed=changed(before))


@functools.lru_cache(16)
def all_checks(path: str) -> list:
    """The checks of a file."""
    spec = importlib.util.spec_from_file_location(f"checks_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return collect(module)


if __name__ == "__main__":
    main()
