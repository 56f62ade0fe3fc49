"""Correct answers, written differently: explicit loops and elementary operations."""

import torch
import torch.nn.functional as F
from torch import nn


def symlog(x):
    # EXERCISE 3.1: the logarithm of 1 + |x|, with the sign of x
    positive = torch.log1p(torch.clamp(x, min=0))
    negative = torch.log1p(torch.clamp(-x, min=0))
    return positive - negative
    # END 3.1


def symexp(x):
    # EXERCISE 3.2: the inverse of 3.1
    size = torch.maximum(x, -x)
    sign = (x > 0).to(x.dtype) - (x < 0).to(x.dtype)
    return sign * torch.special.expm1(size)
    # END 3.2


def symexp_bins(count, limit=20.0):
    # EXERCISE 3.3: the negative half, then its mirror image (needs 3.2)
    import math

    half = count // 2
    bins = torch.zeros(count)
    for i in range(1, half + 1):
        bins[half + i] = math.expm1(limit * i / half)
        bins[half - i] = -bins[half + i]
    return bins
    # END 3.3


def two_hot_loss(log_probs, target, bins):
    # EXERCISE 3.4: the two bins beside the target, and the weight of each
    with torch.no_grad():
        weights = torch.zeros_like(log_probs).reshape(-1, len(bins))
        for row, x in zip(weights, target.reshape(-1).tolist(), strict=True):
            x = min(max(x, bins[0].item()), bins[-1].item())
            for i in range(len(bins) - 1):
                low, high = bins[i].item(), bins[i + 1].item()
                if low <= x <= high:
                    row[i] = (high - x) / (high - low)
                    row[i + 1] = (x - low) / (high - low)
                    break
        weights = weights.reshape(log_probs.shape)
    return -(weights * log_probs).sum(-1)
    # END 3.4


def two_hot_mean(logits, bins):
    # EXERCISE 3.5: expected value, each bin with its mirror image first
    exponentials = (logits - logits.amax(-1, keepdim=True).detach()).exp()
    probs = exponentials / exponentials.sum(-1, keepdim=True)
    count = len(bins)
    total = probs[..., count // 2] * bins[count // 2]
    for i in range(count // 2):
        mirror = count - 1 - i
        total = total + (probs[..., i] * bins[i] + probs[..., mirror] * bins[mirror])
    return total
    # END 3.5


def unimix(logits, ratio=0.01):
    # EXERCISE 3.6: the softmax, mixed
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    shifted = torch.exp(logits - logits.max(dim=-1, keepdim=True).values.detach())
    probs = shifted / shifted.sum(dim=-1, keepdim=True)
    uniform = torch.ones_like(probs) / logits.size(-1)
    return (1 - ratio) * probs + ratio * uniform
    # END 3.6


class BlockLinear(nn.Module):
    def forward(self, x):
        # EXERCISE 3.7: a product and a bias for each block by itself
        blocks = []
        for g in range(len(self.weight)):
            blocks.append(x[..., g, :] @ self.weight[g] + self.bias[g, 0])
        return torch.stack(blocks, dim=-2)
        # END 3.7


def norm_act(x, weight, eps):
    # EXERCISE 3.8: scale each row to a mean square of 1, times the gains, then SiLU
    total = torch.zeros_like(x[..., 0])
    for i in range(x.shape[-1]):
        total = total + x[..., i] * x[..., i]
    root = torch.sqrt(total / x.shape[-1] + eps)
    normed = torch.stack([x[..., i] / root * weight[i] for i in range(x.shape[-1])], -1)
    return normed / (1 + torch.exp(-normed))
    # END 3.8


def reconstruction_loss(prediction, target, is_image):
    # EXERCISE 3.9: the target as predictions mean it, then one sum for each step (needs 3.1)
    rows = []
    for b in range(prediction.shape[0]):
        row = []
        for t in range(prediction.shape[1]):
            wanted = target[b, t]
            if is_image:
                wanted = wanted.to(prediction.dtype) * (1 / 255)
            else:
                wanted = torch.sign(wanted) * torch.log1p(wanted.abs())
            row.append(((prediction[b, t] - wanted) ** 2).sum())
        rows.append(torch.stack(row))
    return torch.stack(rows)
    # END 3.9


def continue_loss(logits, is_terminal, discount):
    # EXERCISE 3.10: binary cross-entropy of the logits against γ (1 - terminal)
    goes_on = discount - discount * is_terminal
    return F.softplus(logits) - goes_on * logits
    # END 3.10
