"""hDreamer networks: the residual network of the lower level, and what is measured of two levels.

Layers, encoder, decoder and heads are DreamerV3's (paper 3), imported where they are used.

Letters: B batch, T time, H deterministic units, S categoricals, K classes, U hidden units. z holds
both levels, (..., S, K): the top one first.
"""

import torch
from torch import Tensor, nn

from solutions.paper3_dreamerv3.networks import Linear, NormAct


def split_levels(z: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Both levels, in latents, logits or probabilities.

    z        (..., S, K)
    top      number of categoricals of the top level
    return   (..., top, K), (..., S - top, K)
    """
    return z[..., :top, :], z[..., top:, :]


def join_levels(top: Tensor, bottom: Tensor) -> Tensor:
    """The inverse of `split_levels`: top first, so that feature = [h, z_top, z_bottom]."""
    return torch.cat([top, bottom], -2)


def residual_logits(prior: Tensor, delta: Tensor, gate: Tensor) -> Tensor:
    """Posterior logits of the bottom level: g · prior + delta, with no gradient into the prior.

    prior    (..., S, K)   raw logits of p(z_bottom | h, z_top), before the uniform mixture
    delta    (..., S, K)   what the observation changes about them; it learns
    gate     scalar g      1: posterior = prior + delta; 0: the delta is a posterior by itself. It
                           is a parameter, and learns too
    return   (..., S, K)

    Without the stop-gradient reconstruction would train the prior through the posterior, and what
    the dynamics loss pulls together would be one network twice.
    """
    # EXERCISE 4.1: the delta on top of the gated prior, which is a constant here
    return gate * prior.detach() + delta
    # END 4.1


class Delta(nn.Module):
    """What an observation says of the bottom level beyond the prior: D(h, z_top, x).

    h          (..., H)
    top        (..., S_top, K)
    embed_in   (..., U)   the layer's product with the embedding, computed for all T at once
    return     (..., S_bottom · K)

    One hidden layer, as in DreamerV3's posterior, written as the sum of its three products.
    """

    def __init__(self, deter: int, top: int, embed: int, hidden: int, outputs: int):
        super().__init__()
        fan_in = deter + top + embed
        self.h_in = Linear(deter, hidden, fan_in=fan_in)
        self.top_in = Linear(top, hidden, bias=False, fan_in=fan_in)
        self.out = nn.Sequential(NormAct(hidden), Linear(hidden, outputs))

    def forward(self, h: Tensor, top: Tensor, embed_in: Tensor) -> Tensor:
        return self.out(self.h_in(h) + self.top_in(top.flatten(-2)) + embed_in)


# --- measures -------------------------------------------------------------------------------------


def entropy(probs: Tensor) -> Tensor:
    """Of each categorical, in nats. (..., K) → (...)"""
    return -(probs * probs.clamp(min=1e-12).log()).sum(-1)


def code_perplexity(probs: Tensor) -> Tensor:
    """How many classes a categorical uses over a batch: exp of the entropy of the average.

    probs    (..., S, K)   with one leading dimension at least: all of them are rows
    return   (S,)   1 where it is always the same class, K where all are used alike

    The average comes before the entropy: a categorical that is sure of another class at each step
    uses many, though each of its entropies is 0.
    """
    # EXERCISE 4.2: average over all rows, then the entropy, then exp
    return entropy(probs.flatten(0, -3).mean(0)).exp()
    # END 4.2


def switch_rate(z: Tensor, is_first: Tensor) -> Tensor:
    """Share of the categoricals whose class changes from one step to the next, within episodes.

    z          (B, T, S, K)   one-hot
    is_first   (B, T)         1 where an episode begins: what was before belongs to another one;
                              numbers 0 and 1
    return     scalar in [0, 1]; all pairs of neighbours in one episode count the same, wherever
               they are; 0 where there is no such pair
    """
    # EXERCISE 4.3: compare neighbours, and count only pairs of one episode
    code = z.argmax(-1)
    changed = (code[:, 1:] != code[:, :-1]).float().mean(-1)  # (B, T - 1)
    inside = 1 - is_first[:, 1:].float()
    return (changed * inside).sum() / inside.sum().clamp(min=1)
    # END 4.3


if __name__ == "__main__":
    import course

    course.run(__file__)
