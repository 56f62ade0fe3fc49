"""The process in which student code runs: it loads filled sources and runs their checks.

It says `ready`, then reads one job a line (JSON) from standard input, and answers with two lines a
check, when it starts and what it came to, then `done`:

    {"modules": {name: {"text", "path"}}, "package": "paper1_dreamerv1", "checks": path,
     "exercise": "1.14", "only": [names] or null, "seed": 0}

What the code prints goes to standard error. The parent ends this process when it takes too long.
"""

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

from course.checks import DRAW, agrees, collect, plain


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
            exec(compiled(source["text"], source["path"]), module.__dict__)


@functools.lru_cache(256)
def compiled(text: str, path: str):
    return compile(text, path, "exec")


def load(job: dict) -> SimpleNamespace:
    """The paper's modules by their short names, imported when first used."""
    roots = {name.split(".")[0] for name in job["modules"]}
    for name in [n for n in sys.modules if n.split(".")[0] in roots]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Sources)]
    sys.meta_path.insert(0, Sources(job["modules"]))

    class Code(SimpleNamespace):
        def __getattr__(self, short):
            name = next((n for n in job["modules"] if n.endswith(f".{short}")), None)
            if name is None:
                raise AttributeError(f"the paper has no module {short}")
            return importlib.import_module(name)

    return Code()


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
                result.copy_(torch.as_tensor(mean + std * DRAW["normal"]))
            elif name in ("exponential_", "exponential"):
                result.fill_(-math.log(1 - DRAW["uniform"]))
            elif name == "multinomial":
                result.copy_(args[0].argmax(-1, keepdim=True).expand_as(result))
            elif name == "bernoulli":
                result.copy_((args[0] > 0.5).to(result.dtype))
            return result

    return Centre()


def run(check, job: dict) -> dict:
    """One check: all that it observed, the first observation that disagrees, or what it raised."""
    import torch

    answer = {"check": check.name, "claim": check.claim, "given": check.given, "observed": []}
    torch.manual_seed(job.get("seed", 0))
    try:
        with centred():
            for name, got, want, *tolerance in check.run(load(job)):
                got, want = plain(got), plain(want)
                answer["observed"].append([name, got])
                if not agrees(got, want, *tolerance) and "failed" not in answer:
                    answer["failed"] = {"name": name, "got": got, "want": want}
    except BaseException as error:  # also SystemExit: student code ends nothing but itself
        answer |= describe(error, job)
        answer["observed"].append(["raised", type(error).__name__])
    passed = not ({"failed", "error"} & set(answer))
    answer["outcome"] = "pass" if passed else "todo" if answer.get("todo") else "fail"
    return answer


def describe(error: BaseException, job: dict) -> dict:
    """What an exception says, and where in the graded sources it was raised."""
    paths = {source["path"]: name for name, source in job["modules"].items()}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in paths]
    at = [paths[frames[-1].filename], frames[-1].lineno] if frames else None
    if isinstance(error, SyntaxError) and error.filename in paths:
        at = [paths[error.filename], error.lineno]
    lines = [line for line in str(error).splitlines() if line.strip()]
    todo = isinstance(error, NotImplementedError) and str(error).startswith("exercise ")
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return {"error": text, "at": at, "todo": str(error).split()[1] if todo else None}


def main() -> None:
    faulthandler.enable(sys.stderr)
    answers = os.fdopen(os.dup(1), "w")  # student code may print: that goes to standard error
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with centred():  # what torch does only once must not count as a check's time
        torch.rand(1)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        spec = importlib.util.spec_from_file_location(
            f"checks_{Path(job['checks']).stem}", job["checks"]
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for check in collect(module):
            if check.exercise == job["exercise"]:
                print(json.dumps({"started": check.name}), file=answers, flush=True)
                print(json.dumps(run(check, job)), file=answers, flush=True)
        print(json.dumps({"done": True}), file=answers, flush=True)


if __name__ == "__main__":
    main()
