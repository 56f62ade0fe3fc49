"""What the checks of several chapters share: numbers without a pattern, gradients."""

import math

import torch

F64 = torch.float64


def irregular(*shape, phase=0.0, dtype=F64):
    """Numbers in [-1, 1] without a pattern."""
    count = torch.arange(1, math.prod(shape) + 1, dtype=F64)
    return torch.sin(1.7 * count**1.3 + phase).view(*shape).to(dtype)


def values(module) -> dict:
    return {name: x.tolist() for name, x in module.state_dict().items()}


def gradients(loss, *inputs) -> list:
    """The gradients of a loss; zeros for what it does not depend on."""
    if not getattr(loss, "requires_grad", False):
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]
