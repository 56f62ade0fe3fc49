"""How a check is written, and how its observations are compared.

    @check("1.23", "the return of step t continues in the next state", given="rewards [1 2 3], …")
    def fixed_example(code):
        returns = code.actor_critic.compute_lambda_returns(…)
        yield "returns", returns, [[9.8125, 15.25, 23.0]]

A check is a generator of observations: a name, what was got, what is expected. `code` holds the
paper's modules, filled with what is graded. Expectations are numbers, worked out by hand or by a
slow loop: never the reference.

All random numbers of torch answer with the centre of their distribution, in whatever way they are
drawn: a standard normal number is 0, a uniform one is 1/2. `with draws(normal=1.5): ...` moves
them: a Normal(mean, std) then answers mean + 1.5 std. So code that draws in another way, or in
another order, agrees.
"""

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-5  # relative and absolute, unless an observation brings its own as a fourth entry


DRAW = {"normal": 0.0, "uniform": 0.5}  # what every standard normal and uniform number is


@contextmanager
def draws(normal: float = 0.0, uniform: float = 0.5):
    """Inside, every standard normal number of torch is `normal`, every uniform one `uniform`."""
    before = dict(DRAW)
    DRAW.update(normal=normal, uniform=uniform)
    try:
        yield
    finally:
        DRAW.update(before)


@dataclass(frozen=True)
class Check:
    """One claim about one exercise."""

    exercise: str
    claim: str  # in the paper's words
    given: str  # the input, readable
    name: str
    run: Callable


def check(exercise: str, claim: str, given: str = "") -> Callable:
    """Mark a function of `code` as a check of an exercise."""

    def mark(function: Callable) -> Callable:
        name = function.__name__.replace("_", " ")
        function.check = Check(exercise, claim, given, name, function)
        return function

    return mark


def collect(module) -> list[Check]:
    """The checks of a loaded module, in the order in which they were written."""
    found = [value.check for value in vars(module).values() if hasattr(value, "check")]
    return [check for check in found if isinstance(check, Check)]


def plain(value: Any) -> Any:
    """A value as JSON can carry it: tensors and arrays become {"shape", "dtype", "values"}."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        dtype = str(value.dtype).removeprefix("torch.")
        if "complex" in dtype or dtype == "object":
            return repr(value)
        return {"shape": list(value.shape), "dtype": dtype, "values": value.tolist()}
    if isinstance(value, dict):
        return {str(key): plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return repr(value)


def same(a: Any, b: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two plain values agree: numbers within the tolerance, NaN with NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = set(a) - {"dtype"}
        return keys == set(b) - {"dtype"} and all(same(a[k], b[k], tolerance) for k in keys)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    numbers = (bool, int, float)
    if isinstance(a, numbers) and isinstance(b, numbers):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        near = tolerance * max(1.0, abs(a), abs(b))
        return a == b or (math.isfinite(near) and abs(a - b) <= near)
    return a == b


def agrees(got: Any, want: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether what was got is what is expected; an expected list may stand for a tensor."""
    if isinstance(got, dict) and "values" in got and not isinstance(want, dict):
        got = got["values"]
    if isinstance(want, dict) and "values" in want and not isinstance(got, dict):
        want = want["values"]
    return same(got, want, tolerance)


def show(value: Any, digits: int = 6) -> str:
    """A plain value on one line: [9.8125  15.25  23]"""
    if isinstance(value, dict) and "values" in value:
        return f"{show(value['values'], digits)}  {tuple(value['shape'])}"
    if isinstance(value, list):
        return "[" + "  ".join(show(x, digits) for x in value) + "]"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return str(value)
