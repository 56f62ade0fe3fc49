"""Correct answers, written differently: explicit loops and elementary operations."""

import torch
import torch.nn.functional as F
from torch import nn


def sample_one_hot(logits):
    # EXERCISE 2.1: draw a class for each categorical, make it one-hot, pass the gradient through
    shifted = logits - logits.max(dim=-1, keepdim=True).values.detach()
    probs = shifted.exp() / shifted.exp().sum(dim=-1, keepdim=True)
    with torch.no_grad():
        noise = torch.empty_like(probs).exponential_()  # the Gumbel trick, without logarithms
        winner = (probs / noise.clamp(min=1e-30)).argmax(dim=-1)
        classes = torch.arange(logits.shape[-1], device=logits.device)
        one_hot = (classes == winner.unsqueeze(-1)).to(logits.dtype)
    return probs + (one_hot - probs).detach()
    # END 2.1


class LayerNormGRUCell(nn.Module):
    def forward(self, x, h):
        # EXERCISE 2.2: dense layer and norm of [x, h], three gates, the mixture of new and old
        inputs, units = x.shape[1], h.shape[1]
        raw = x @ self.layer.weight[:, :inputs].T + h @ self.layer.weight[:, inputs:].T
        raw = self.norm(raw + self.layer.bias)
        reset = 1 / (1 + torch.exp(-raw[:, :units]))
        update = 1 / (1 + torch.exp(1 - raw[:, 2 * units :]))
        candidate = torch.tanh(reset * raw[:, units : 2 * units])
        return h + update * (candidate - h)
        # END 2.2


class ConvEncoder(nn.Module):
    def forward(self, image):
        # EXERCISE 2.10: merge the leading dimensions; four times convolution, norm, ELU; flatten
        lead = image.shape[: image.ndim - 3]
        rows = []
        for picture in image.reshape(lead.numel(), *image.shape[-3:]):
            x = picture[None]
            for i in range(4):
                x = self.norms[i](self.convs[i](x))
                x = torch.where(x > 0, x, torch.expm1(x.clamp(max=0)))
            rows.append(x.flatten())
        return torch.stack(rows).reshape(*lead, len(rows[0]))
        # END 2.10


def continue_loss(logits, is_terminal, gamma: float):
    # EXERCISE 2.11: the soft target, and the cross-entropy of logits, not of probabilities
    goes_on = gamma - gamma * is_terminal
    return -goes_on * F.logsigmoid(logits) - (1 - goes_on) * F.logsigmoid(-logits)
    # END 2.11
