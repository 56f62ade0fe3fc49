"""Correct answers, written differently: terse, with library functions."""

import torch


def residual_logits(prior, delta, gate):
    # EXERCISE 4.1: the delta on top of the gated prior, which is a constant here
    with torch.no_grad():
        constant = prior.clone()
    return torch.addcmul(delta, constant, gate.expand_as(delta))
    # END 4.1


def code_perplexity(probs):
    # EXERCISE 4.2: average over all rows, then the entropy, then exp
    average = probs.mean(tuple(range(probs.ndim - 2)))
    return torch.special.entr(average).sum(-1).exp()
    # END 4.2


def switch_rate(z, is_first):
    # EXERCISE 4.3: compare neighbours, and count only pairs of one episode
    stays = torch.einsum("btsk,btsk->bts", z[:, 1:], z[:, :-1])
    rates = 1 - stays[is_first[:, 1:] == 0]
    return rates.mean() if rates.numel() else z.new_zeros(())
    # END 4.3
