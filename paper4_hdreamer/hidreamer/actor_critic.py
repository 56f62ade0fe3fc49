"""Actor and critic that see tokens. Returns, normaliser, two-hot values: DreamerV3's (paper 3).

Letters: B dreams, H actions of one, H + 1 states, F = 3 · 384 units of a feature, A actions.
"""

import torch
from torch import Tensor, nn

from paper3_dreamerv3.actor_critic import (
    ReturnNormalizer,
    compute_lambda_returns,
    imagination_weights,
)
from paper3_dreamerv3.networks import symexp_bins, two_hot_loss, two_hot_mean, unimix
from paper4_hdreamer.hidreamer.hrvq import HRVQ


class TokenFeatures(nn.Module):
    """Tokens → the codes that they stand for, side by side. (..., 3) → (..., F); codes are frozen."""

    def __init__(self, hrvq: HRVQ):
        super().__init__()
        self.register_buffer("codes", torch.stack([book.codes for book in hrvq.books]).clone())

    def forward(self, tokens: Tensor) -> Tensor:
        # EXERCISE 4.36: each level's token in its own codebook, one after the other
        # TODO: your code here (the reference takes 2 lines)
        raise NotImplementedError("exercise 4.36")
        # END 4.36


def head(inputs: int, outputs: int, units: int = 512) -> nn.Sequential:
    """LayerNorm and two hidden layers. (..., inputs) → (..., outputs)"""
    return nn.Sequential(
        nn.LayerNorm(inputs), nn.Linear(inputs, units), nn.SiLU(), nn.Linear(units, units),
        nn.SiLU(), nn.Linear(units, outputs),
    )  # fmt: skip


class Actor(nn.Module):
    """Log-probabilities of the legal actions. (..., F) → (..., A); 858,374 parameters for A = 6."""

    def __init__(self, inputs: int, legal: Tensor, ratio: float = 0.01):
        super().__init__()
        self.network, self.ratio = head(inputs, len(legal)), ratio
        self.register_buffer("legal", legal.bool())

    def forward(self, feature: Tensor) -> Tensor:
        """-inf for what is not legal; each legal action has at least ratio ÷ their number."""
        logits = self.network(feature)[..., self.legal]
        found = torch.full((*feature.shape[:-1], len(self.legal)), float("-inf")).to(logits)
        found[..., self.legal] = unimix(logits, self.ratio).log()
        return found


class Critic(nn.Module):
    """Two-hot values, 0 at first. (..., F) → logits (..., bins); 986,111 parameters."""

    def __init__(self, inputs: int, bins: int = 255, limit: float = 20.0):
        super().__init__()
        self.network = head(inputs, bins)
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)
        self.register_buffer("bins", symexp_bins(bins, limit), persistent=False)

    def forward(self, feature: Tensor) -> Tensor:
        return self.network(feature)

    def mean(self, logits: Tensor) -> Tensor:
        return two_hot_mean(logits, self.bins)

    def loss(self, logits: Tensor, *targets: Tensor) -> Tensor:
        log_probs = torch.log_softmax(logits, -1)
        return sum(two_hot_loss(log_probs, target, self.bins) for target in targets)


def dream_returns(
    rewards: Tensor, goes_on: Tensor, values: Tensor, discount: float, lambda_: float = 0.95
) -> tuple[Tensor, Tensor]:
    """λ-returns and weights of the states of a dream but the last.

    rewards, goes_on   (B, H)       of the action taken at each state, and whether life goes on
    values             (B, H + 1)
    return             returns (B, H), weights (B, H)

    Paper 3's rows hold what *led to* a state, so both are shifted by one; the start is certain.
    """
    # EXERCISE 4.37: rows that begin with nothing, then paper 3's returns and weights
    # TODO: your code here (the reference takes 5 lines)
    raise NotImplementedError("exercise 4.37")
    # END 4.37


def reinforce_loss(
    log_policy: Tensor, action: Tensor, advantage: Tensor, weight: Tensor, entropy_scale: float
) -> Tensor:
    """REINFORCE with an entropy bonus, each state with its weight; the mean over all states.

    log_policy          (B, H, A)   -inf where an action is not legal
    action              (B, H) int64
    advantage, weight   (B, H)      constants
    return              scalar, to be minimised
    """
    # EXERCISE 4.38: of the action taken, and of all legal ones
    # TODO: your code here (the reference takes 5 lines)
    raise NotImplementedError("exercise 4.38")
    # END 4.38


__all__ = ["ReturnNormalizer"]


if __name__ == "__main__":
    import course

    course.run(__file__)
