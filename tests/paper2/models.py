"""What the checks of DreamerV2's world model share: models of few units, real chance."""

import zlib
from types import SimpleNamespace

import torch
from torch.utils._python_dispatch import _disable_current_modes

from tests.numbers import F64, irregular

B, T, A, S, K, H, U, E = 3, 4, 2, 2, 5, 6, 7, 8
Z = S * K
HEADS = ("fc_prior_logits.weight", "fc_post_logits.weight")


@torch.no_grad()
def strong(module, peak: float = 3.0):
    """Parameters in [-0.9, 0.9] by name and shape; logits `peak` times as large.

    So every path through a network counts, and one class has most of the probability, not all.
    """
    for name, parameter in module.named_parameters():
        phase = zlib.crc32(name.encode()) % 1000
        scale = 0.9 * (peak if name.endswith(HEADS) else 1.0)
        parameter.copy_(scale * irregular(*parameter.shape, phase=phase))
    return module


def rssm_of(code, dtype=F64, peak: float = 3.0):
    sizes = dict(num_categoricals=S, num_categories=K, rnn_hidden_dim=H, hidden_dim=U)
    return strong(code.rssm.DiscreteRSSM(A, E, **sizes).to(dtype), peak)


@torch.no_grad()
def put(module, numbers: dict):
    """Set all parameters to zero, then those named."""
    for name, parameter in module.named_parameters():
        parameter.zero_()
        if name in numbers:
            parameter.copy_(torch.tensor(numbers[name], dtype=parameter.dtype))
    return module


def small_rssm(code, numbers: dict, actions=1, embed=1, dtype=F64, **sizes):
    """An RSSM of few units, in which only the named parameters are not zero."""
    defaults = dict(num_categoricals=1, num_categories=2, rnn_hidden_dim=1, hidden_dim=1)
    model = code.rssm.DiscreteRSSM(actions, embed, **(defaults | sizes))
    return put(model.to(dtype), numbers)


def start(batch=B, dtype=F64) -> dict:
    """A state that is not zero; its z is no one-hot vector, which is all the same."""
    h = irregular(batch, H, phase=4.0, dtype=dtype)
    return {"h": h, "z": irregular(batch, Z, phase=5.0, dtype=dtype)}


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


def options(**others) -> SimpleNamespace:
    c = dict(
        num_categoricals=2, num_categories=3, rnn_hidden_dim=3, rssm_hidden_dim=5, hidden_dim=6,
        depth=2, vector_layers=2, head_layers=1, layer_norm=False, use_continue=True, gamma=0.9,
        kl_scale=0.7, kl_balance=0.75, free_nats=0.05, reconstruction_scale=3.0,
        continue_scale=5.0,
    ) | others  # fmt: skip
    return SimpleNamespace(**c, state_dim=c["num_categoricals"] * c["num_categories"])
