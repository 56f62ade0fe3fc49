"""What the checks of DreamerV3's world model share: models of few units, rows, real chance."""

import zlib
from types import SimpleNamespace

import torch
from torch.utils._python_dispatch import _disable_current_modes

from tests.numbers import F64, irregular

# Rows, embedding, action; units of h in G blocks, categoricals of K classes, hidden units.
B, T, E, A = 3, 4, 8, 2
H, G, S, K, U = 6, 2, 2, 5, 7
Z, F = S * K, H + S * K
RATIO = 0.04  # share of the uniform distribution: not the default
LOGITS = ("post_out.1.weight", "prior_mlp.4.weight")


@torch.no_grad()
def strong(module, peak: float = 6.0):
    """Parameters in [-0.9, 0.9] by name and shape; gains of norms near 1, logits `peak` times.

    So every path through a network counts, and one class has most of the probability, not all:
    more than 0.6 of it in all states of the checks, which is why the phase has its 22.8.
    """
    for name, parameter in module.named_parameters():
        phase = zlib.crc32(name.encode()) % 1000 + 22.8
        gain = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        scale = 0.9 * (peak if name.endswith(LOGITS) else 0.5 if gain else 1.0)
        parameter.copy_(gain + scale * irregular(*parameter.shape, phase=phase))
    return module


@torch.no_grad()
def put(module, numbers: dict):
    """Set all parameters to zero, then those named."""
    for name, parameter in module.named_parameters():
        parameter.zero_()
        if name in numbers:
            parameter.copy_(torch.tensor(numbers[name], dtype=parameter.dtype))
    return module


def rssm_of(code, dtype=F64, peak: float = 6.0, ratio: float = RATIO):
    """An RSSM of irregular parameters."""
    sizes = dict(deter=H, hidden=U, stoch=S, classes=K, blocks=G, ratio=ratio)
    return strong(code.rssm.RSSM(E, A, **sizes).to(dtype), peak)


def small_rssm(code, numbers: dict, actions=1, embed=1, dtype=F64, **sizes):
    """An RSSM of few units, in which only the named parameters are not zero."""
    defaults = dict(deter=1, hidden=1, stoch=1, classes=2, blocks=1, ratio=RATIO)
    return put(code.rssm.RSSM(embed, actions, **(defaults | sizes)).to(dtype), numbers)


def start(batch=B, dtype=F64) -> tuple:
    """h and z of a state that is not zero; its z is no one-hot vector, which is all the same."""
    h = irregular(batch, H, phase=4.0, dtype=dtype)
    return h, irregular(batch, S, K, phase=5.0, dtype=dtype)


def leaves(*numbers, dtype=F64) -> list:
    """Tensors that want a gradient."""
    return [torch.tensor(x, dtype=dtype, requires_grad=True) for x in numbers]


def by_chance(function):
    """What a function returns where random numbers of torch are random, from a fixed seed."""
    with _disable_current_modes():
        torch.manual_seed(3)
        return function()


def near(share, expected: float) -> bool:
    """Whether a share of some thousands of draws is what its probability makes likely."""
    return abs(float(share) - expected) < 0.05


# --- the world model ------------------------------------------------------------------------------

D = 4  # numbers of an observation
VECTOR = {"position": SimpleNamespace(shape=(D,))}
IMAGE = {"image": SimpleNamespace(shape=(1, 8, 8))}


def options(**others) -> SimpleNamespace:
    """What WorldModel asks of a Config; no scale is 1, and none is like another."""
    c = dict(
        deter=4, hidden=5, stoch=2, classes=3, blocks=2, depth=1, units=6, layers=1, head_layers=1,
        bins=7, bin_limit=2.0, strided=True, unimix=RATIO, free_nats=0.05, scale_dyn=0.7,
        scale_rep=0.2, scale_image=0.5, scale_vector=3.0, discount_horizon=10,
    )  # fmt: skip
    return SimpleNamespace(**(c | others))


def world_of(code, space=None, actions=2, dtype=torch.float32, peak=6.0, **others):
    """A world model of irregular parameters; its observations are {"position": D numbers}."""
    model = code.rssm.WorldModel(space or VECTOR, actions, options(**others))
    return strong(model.to(dtype), peak)


def batch_of(count=2, length=3, dtype=torch.float32, images=False, actions=2) -> dict:
    """Rows without a pattern, and the state before them, which is not zero.

    Sequence 0 is cut at its end; 1 has a death in its second row, then a new episode.
    """
    rows = {
        "position": irregular(count, length, D, phase=6.0, dtype=dtype),
        "action": 1.5 * irregular(count, length, actions, phase=7.0, dtype=dtype),
        "reward": 2 * irregular(count, length, phase=8.0, dtype=dtype),
        "h": irregular(count, options().deter, phase=4.0, dtype=dtype),
        "z": irregular(count, options().stoch, options().classes, phase=5.0, dtype=dtype),
    }
    if images:
        pixels = 127 + 120 * irregular(count, length, 1, 8, 8, phase=9.0)
        rows["image"] = pixels.to(torch.uint8)
    names = ("is_first", "is_last", "is_terminal")
    flags = {name: torch.zeros(count, length, dtype=dtype) for name in names}
    if count > 1 and length > 1:
        flags["is_last"][0, -1] = 1
        flags["is_last"][1, 1] = flags["is_terminal"][1, 1] = 1
        if length > 2:
            flags["is_first"][1, 2] = 1
    return rows | flags
