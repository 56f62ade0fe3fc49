"""What the checks of hDreamer share: world models of two levels, of few units, and rows for them.

The top level has fewer categoricals than the bottom one, and neither has as many as classes.
"""

import zlib
from types import SimpleNamespace

import torch

from tests.numbers import F64, irregular
from tests.paper3 import models as flat
from tests.paper3.models import VECTOR, put

# Rows, embedding, action; units of h in G blocks, categoricals of K classes, hidden units.
B, T, E, A = 3, 4, 8, 2
H, G, TOP, BOTTOM, K, U = 6, 2, 2, 3, 4, 7
S = TOP + BOTTOM
RATIO = 0.04  # share of the uniform distribution: not the default
GATE = 0.7  # neither of the numbers with which it starts
LAST = ("post_out.1.weight", "prior_mlp.4.weight", "delta.out.1.weight")  # they make logits


@torch.no_grad()
def strong(module, shift: float = 4.0):
    """Parameters in [-0.9, 0.9] by name and shape; gains of norms near 1, logits nine times.

    So every path through a network counts, and one class has most of the probability, not all:
    more than 0.57 of it in all states of the checks, which is why the phase has its shift.
    """
    for name, parameter in module.named_parameters():
        if name.endswith("gate"):
            parameter.fill_(GATE)
            continue
        phase = zlib.crc32(name.encode()) % 1000 + shift
        gain = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        scale = 0.9 * (9.0 if name.endswith(LAST) else 0.5 if gain else 1.0)
        parameter.copy_(gain + scale * irregular(*parameter.shape, phase=phase))
    return module


def sizes(**others) -> dict:
    """Of an RSSM that is not small enough to be worked out by hand."""
    c = dict(deter=H, hidden=U, n_top=TOP, n_bottom=BOTTOM, classes=K, blocks=G, ratio=RATIO)
    return c | others


def rssm_of(code, dtype=F64):
    """A two-level RSSM of irregular parameters."""
    return strong(code.rssm.HierarchicalRSSM(E, A, **sizes()).to(dtype), 20.7)


def small_rssm(code, numbers: dict, actions=1, embed=1, dtype=F64, **others):
    """A two-level RSSM of few units, in which only the named parameters are not zero."""
    few = dict(deter=1, hidden=1, n_top=1, n_bottom=1, classes=2, blocks=1) | others
    return put(code.rssm.HierarchicalRSSM(embed, actions, **sizes(**few)).to(dtype), numbers)


def start(batch=B, dtype=F64) -> tuple:
    """h and z of a state that is not zero; its z is no one-hot vector, which is all the same."""
    h = irregular(batch, H, phase=4.0, dtype=dtype)
    return h, irregular(batch, S, K, phase=5.0, dtype=dtype)


def options(**others) -> SimpleNamespace:
    """What WorldModel asks of a Config; no scale is 1, and none is like another."""
    few = dict(deter=6, stoch=S, n_top=TOP, classes=K, free_nats=0.05, free_nats_mode="split")
    return flat.options(**(few | others))


def world_of(code, space=None, dtype=torch.float32, **others):
    """A world model of irregular parameters; its observations are {"position": D numbers}."""
    model = code.rssm.WorldModel(space or VECTOR, A, options(**others))
    return strong(model.to(dtype))


def batch_of(count=2, length=3, dtype=torch.float32, images=False) -> dict:
    """Rows without a pattern, and the state before them, which is not zero: see paper 3's."""
    h, z = start(count, dtype)
    return flat.batch_of(count, length, dtype, images) | {"h": h, "z": z}
