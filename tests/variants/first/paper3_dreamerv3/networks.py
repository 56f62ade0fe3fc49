"""Correct answers, written differently: terse, with library functions."""

import torch
import torch.nn.functional as F
from torch import nn


def symlog(x):
    # EXERCISE 3.1: the logarithm of 1 + |x|, with the sign of x
    return x.abs().log1p().copysign(x)
    # END 3.1


def symexp(x):
    # EXERCISE 3.2: the inverse of 3.1
    return torch.where(x < 0, -torch.expm1(-x), torch.expm1(x))
    # END 3.2


def symexp_bins(count, limit=20.0):
    # EXERCISE 3.3: the negative half, then its mirror image (needs 3.2)
    bins = symexp(torch.linspace(-limit, limit, count))
    return (bins - bins.flip(0)) / 2
    # END 3.3


def two_hot_loss(log_probs, target, bins):
    # EXERCISE 3.4: the two bins beside the target, and the weight of each
    above = torch.bucketize(target.contiguous(), bins).clamp(1, len(bins) - 1)
    share = (target.clamp(bins[0], bins[-1]) - bins[above - 1]) / bins.diff()[above - 1]
    low, high = (F.one_hot(i, len(bins)).to(log_probs) for i in (above - 1, above))
    two_hot = low * (1 - share)[..., None] + high * share[..., None]
    return -torch.einsum("...n,...n->...", two_hot, log_probs)
    # END 3.4


def two_hot_mean(logits, bins):
    # EXERCISE 3.5: expected value, each bin with its mirror image first
    terms = logits.softmax(-1) * bins
    return (terms + terms.flip(-1)).sum(-1) / 2
    # END 3.5


def unimix(logits, ratio=0.01):
    # EXERCISE 3.6: the softmax, mixed
    probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)
    return torch.lerp(probs, torch.full_like(probs, 1 / probs.shape[-1]), ratio)
    # END 3.6


class BlockLinear(nn.Module):
    def forward(self, x):
        # EXERCISE 3.7: a product and a bias for each block by itself
        return torch.einsum("...gi,gio->...go", x, self.weight) + self.bias.squeeze(1)
        # END 3.7


def norm_act(x, weight, eps):
    # EXERCISE 3.8: scale each row to a mean square of 1, times the gains, then SiLU
    y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight
    return y * y.sigmoid()
    # END 3.8


def reconstruction_loss(prediction, target, is_image):
    # EXERCISE 3.9: the target as predictions mean it, then one sum for each step (needs 3.1)
    wanted = target.to(prediction.dtype).div(255) if is_image else symlog(target)
    return F.mse_loss(prediction, wanted, reduction="none").flatten(2).sum(-1)
    # END 3.9


def continue_loss(logits, is_terminal, discount):
    # EXERCISE 3.10: binary cross-entropy of the logits against γ (1 - terminal)
    target = torch.where(is_terminal.bool(), 0.0, discount).to(logits)
    return -torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(target)
    # END 3.10
