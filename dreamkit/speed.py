"""What makes updates fast on this machine: kept memory, half precision, compiled steps."""

import ctypes
import functools
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
    """Make the updates of an agent run in bf16, compiled, or both.

    precision   bf16: matrix products in half precision, by torch.autocast. Outputs of layers have
                its few digits; parameters, the recurrent state, and what is computed from outputs
                (probabilities, predictions, losses) are fp32
    compile     the steps of the RSSM by torch.compile: fewer, larger kernels. The first update of a
                run takes a minute longer, and random numbers are drawn in another way
    errors      UserError: unknown precision; an agent that computes in fp32 alone; no compiler
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}: one of {', '.join(PRECISIONS)}")
    if compile:
        check_compiler()
        agent.train_step = with_compiled_steps(agent.train_step, agent)
    if precision == "bf16":
        if not getattr(agent, "half_precision", False):
            name = type(agent).__module__.split(".")[-2].split("_", 1)[1]
            raise UserError(f"precision=bf16: {name} computes in fp32 alone")
        agent.train_step = in_bf16(agent.train_step, agent.device.type)


def in_bf16(function, device: str):
    """The function under torch.autocast."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        with torch.autocast(device, torch.bfloat16):
            return function(*args, **kwargs)

    return run


def with_compiled_steps(function, agent):
    """The function with compiled steps in the agent's RSSM, which elsewhere stay as they are.

    Updates have one shape. Acting and evaluating have many, and each would be compiled anew.
    """
    steps = [
        (module, name, torch.compile(getattr(module, name), dynamic=False))
        for module in agent.modules.modules()
        for name in next((names for names in STEPS if hasattr(module, names[0])), ())
    ]

    @functools.wraps(function)
    def run(*args, **kwargs):
        for module, name, compiled in steps:
            setattr(module, name, compiled)
        try:
            return function(*args, **kwargs)
        finally:
            for module, name, _ in steps:
                delattr(module, name)  # what is left is the method of its class

    return run


def check_compiler() -> None:
    """Compile one line. Errors: UserError, where torch.compile cannot work."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2))
    except Exception as error:
        raise UserError(f"compile=true does not work here: {first_line(error)}") from None
