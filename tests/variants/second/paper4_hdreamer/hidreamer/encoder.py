"""Correct answers, written differently: terse, with einsum and large negative numbers."""

import torch


def negative_mask(game, episode, step, margin):
    # EXERCISE 4.20: own partner, or far enough away
    distance = torch.cdist(step[:, None].double(), step[:, None].double(), p=1)
    alike = torch.eq(game[None], game[:, None]).logical_and(episode == episode.unsqueeze(1))
    near = alike & (distance < margin)
    return near.fill_diagonal_(False).logical_not()
    # END 4.20


def info_nce(anchor, partner, candidates, temperature):
    # EXERCISE 4.21: similarities, masked; cross-entropy with the diagonal, over rows and columns
    scores = torch.einsum("ie,je->ij", anchor, partner).div(temperature)
    scores = torch.where(candidates, scores, torch.finfo(scores.dtype).min)
    both = torch.stack([scores, scores.mT]).log_softmax(-1)
    return -both.diagonal(dim1=1, dim2=2).mean()
    # END 4.21
