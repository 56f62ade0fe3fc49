"""Parameters that depend on their names and shapes alone, whatever the order of construction."""

import zlib

import torch
from torch import nn


@torch.no_grad()
def fill(module: nn.Module) -> nn.Module:
    """Give every parameter irregular numbers in [-0.3, 0.3], in place; returns the module."""
    for name, parameter in module.named_parameters():
        phase = zlib.crc32(name.encode()) % 1000
        count = torch.arange(1, parameter.numel() + 1, dtype=torch.float64)
        parameter.copy_((0.3 * torch.sin(1.7 * count**1.3 + phase)).view(parameter.shape))
    return module
