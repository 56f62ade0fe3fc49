"""What makes updates fast on this machine: kept memory, faster functions, bf16, compiled steps."""

import ctypes
import functools
import importlib
import sys

import torch

from dreamkit import UserError, first_line

PRECISIONS = ("fp32", "bf16")
UPDATES = ("train_step", "train_world_model", "train_behavior")  # an agent's kinds of updates
# What an RSSM calls once for every step of a sequence, from the outside in.
STEPS = (("observe_step", "imagine_step"), ("recurrent_step", "prior", "posterior"))


def keep_memory() -> bool:
    """Let glibc keep large blocks that are freed, instead of handing them back to the system.

    An update allocates the same blocks again each time, and the system must clear every page of
    them first. With images that was half of the time (docs/results/speed.md). The price: the
    process never shrinks below its peak. Returns whether it was possible; elsewhere than on Linux
    with glibc nothing changes.
    """
    trim_threshold, mmap_max = -1, -4  # parameters of mallopt, from malloc.h
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(mmap_max, 0) and mallopt(trim_threshold, -1))


def accelerate(agent, precision: str = "fp32", compile: bool = False) -> None:
    """Make the updates of an agent run in bf16, compiled, or both, and by its faster functions.

    Those are in a file fast.py beside the agent's code, if there is one.

    precision   bf16: matrix products in half precision, by torch.autocast. Outputs of layers have
                its few digits; parameters, the recurrent state, and what is computed from outputs
                (probabilities, predictions, losses) are fp32
    compile     the steps of the RSSM by torch.compile: fewer, larger kernels. The first update of a
                run takes a minute longer, and random numbers are drawn in another way
    errors      UserError: unknown precision; an agent that computes in fp32 alone; no compiler
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}: one of {', '.join(PRECISIONS)}")
    package = type(agent).__module__.rpartition(".")[0]

    def change(how) -> None:
        for name in filter(lambda name: hasattr(agent, name), UPDATES):
            setattr(agent, name, how(getattr(agent, name)))

    if compile:
        check_compiler()
        steps = compiled_steps(agent)
        change(lambda function: with_functions(function, steps))
    if precision == "bf16":
        if not getattr(agent, "half_precision", False):
            name = package.rpartition(".")[2].split("_", 1)[1]
            raise UserError(f"precision=bf16: {name} computes in fp32 alone")
        change(lambda function: in_bf16(function, agent.device.type))
    name = f"{package}.fast"
    try:
        fast = importlib.import_module(name) if package else None
    except ModuleNotFoundError as error:
        if not name.startswith(error.name):
            raise  # it is there, and misses something
        fast = None
    if not fast:
        return  # as with a learner's own code
    others = fast.replacements(agent, scan=precision == "fp32" and not compile)
    change(lambda function: with_functions(function, others))


def in_bf16(function, device: str):
    """The function under torch.autocast."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        with torch.autocast(device, torch.bfloat16):
            return function(*args, **kwargs)

    return run


def with_functions(function, others: list[tuple]):
    """The function with other functions in some modules, which elsewhere stay as they are.

    others   (owner, name, function), ...; the owner is an nn.Module or a Python module
    """

    @functools.wraps(function)
    def run(*args, **kwargs):
        before = [vars(owner).get(name) for owner, name, _ in others]
        for owner, name, other in others:
            setattr(owner, name, other)
        try:
            return function(*args, **kwargs)
        finally:
            for (owner, name, _), old in zip(others, before, strict=True):
                if old is None:
                    delattr(owner, name)  # what is left is the method of its class
                else:
                    setattr(owner, name, old)

    return run


def compiled_steps(agent) -> list[tuple]:
    """The steps of the agent's RSSM, compiled.

    For updates, which have one shape. Acting and evaluating have many: each would be compiled anew.
    """
    return [
        (module, name, torch.compile(getattr(module, name), dynamic=False))
        for module in agent.modules.modules()
        for name in next((names for names in STEPS if hasattr(module, names[0])), ())
    ]


def check_compiler() -> None:
    """Compile one line. Errors: UserError, where torch.compile cannot work."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2))
    except Exception as error:
        raise UserError(f"compile=true does not work here: {first_line(error)}") from None
