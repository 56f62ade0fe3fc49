"""What makes updates fast on this machine: kept memory, fast scans, half precision, compilation."""

import ctypes
import functools
import importlib
import sys

import torch

from dreamkit import UserError, first_line

PRECISIONS = ("fp32", "bf16")
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
    """Make the updates of an agent run in bf16, compiled, or both; or else by its fast scan.

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
    if compile:
        check_compiler()
        agent.train_step = with_methods(agent.train_step, compiled_steps(agent))
    if precision == "bf16":
        if not getattr(agent, "half_precision", False):
            name = package.rpartition(".")[2].split("_", 1)[1]
            raise UserError(f"precision=bf16: {name} computes in fp32 alone")
        agent.train_step = in_bf16(agent.train_step, agent.device.type)
    if precision == "fp32" and not compile:
        agent.train_step = with_methods(agent.train_step, fast_scan(agent, package))


def in_bf16(function, device: str):
    """The function under torch.autocast."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        with torch.autocast(device, torch.bfloat16):
            return function(*args, **kwargs)

    return run


def with_methods(function, methods: list[tuple]):
    """The function with other methods in some modules, which elsewhere stay as they are.

    methods   (module, name, method), ...
    """
    if not methods:
        return function

    @functools.wraps(function)
    def run(*args, **kwargs):
        for module, name, method in methods:
            setattr(module, name, method)
        try:
            return function(*args, **kwargs)
        finally:
            for module, name, _ in methods:
                delattr(module, name)  # what is left is the method of its class

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


def fast_scan(agent, package: str) -> list[tuple]:
    """The `observe` of the file fast_scan.py beside the agent's code.

    Nothing where there is none, as beside a learner's own code, or where it computes something
    else than the agent's RSSM, which somebody may have changed.
    """
    try:
        module = importlib.import_module(f"{package}.fast_scan")
    except ModuleNotFoundError:
        return []
    rssm = agent.world_model.rssm
    if not module.agrees(rssm):
        print(f"{package}: updates take the plain scan, since fast_scan.py does not compute the "
              "same as rssm.py", file=sys.stderr)  # fmt: skip
        return []
    return [(rssm, "observe", functools.partial(module.observe, rssm))]


def check_compiler() -> None:
    """Compile one line. Errors: UserError, where torch.compile cannot work."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2))
    except Exception as error:
        raise UserError(f"compile=true does not work here: {first_line(error)}") from None
