"""Actor and critic that see tokens. Returns, normaliser, two-hot values: DreamerV3's (paper 3).

Letters: B dreams, H actions of one, H + 1 states, F = 3 · 384 units of a feature, A actions.
"""

import torch
from torch import Tensor, nn

from solutions.paper3_dreamerv3.actor_critic import compute_lambda_returns, imagination_weights
from solutions.paper3_dreamerv3.networks import symexp_bins, two_hot_loss, two_hot_mean, unimix
from solutions.paper4_hdreamer.hidreamer.hrvq import HRVQ


class TokenFeatures(nn.Module):
    """Tokens → the codes they stand for, side by side; the codes are fixed.

    tokens   (..., 3) int64   L0, L1, L2
    return   (..., F)         the code of L0, then that of L1, then that of L2
    """

    def __init__(self, hrvq: HRVQ):
        super().__init__()
        codes = torch.stack([book.codes for book in hrvq.books]).clone()
        self.register_buffer("codes", codes)  # (3, K, F / 3): a codebook for each level

    def forward(self, tokens: Tensor) -> Tensor:
        # EXERCISE 4.36: each level's token in its own codebook, one after the other
        parts = [codes[x] for codes, x in zip(self.codes, tokens.unbind(-1), strict=True)]
        return torch.cat(parts, -1)
        # END 4.36


def head(inputs: int, outputs: int, units: int = 512) -> nn.Sequential:
    """LayerNorm and two hidden layers. (..., inputs) → (..., outputs)"""
    return nn.Sequential(
        nn.LayerNorm(inputs), nn.Linear(inputs, units), nn.SiLU(), nn.Linear(units, units),
        nn.SiLU(), nn.Linear(units, outputs),
    )  # fmt: skip


class Actor(nn.Module):
    """Log-probabilities of the legal actions. (..., F) → (..., A); 858,374 parameters for 6."""

    def __init__(self, inputs: int, legal: Tensor, units: int = 512, ratio: float = 0.01):
        super().__init__()
        self.network, self.ratio = head(inputs, int(legal.sum()), units), ratio
        self.register_buffer("legal", legal.bool())

    def forward(self, feature: Tensor) -> Tensor:
        """-inf for what is not legal; each legal action has at least ratio ÷ their number."""
        known = unimix(self.network(feature), self.ratio).log()
        found = known.new_full((*feature.shape[:-1], len(self.legal)), float("-inf"))
        found[..., self.legal] = known
        return found


class Critic(nn.Module):
    """Two-hot values, 0 at first. (..., F) → logits (..., bins); 986,111 parameters."""

    def __init__(self, inputs: int, bins: int = 255, units: int = 512, limit: float = 20.0):
        super().__init__()
        self.network = head(inputs, bins, units)
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
    values             (B, H + 1)   of every state, the last one too
    discount           γ; goes_on are probabilities without it
    return             returns (B, H), weights (B, H)

    R_t = r_t + γ c_t ((1 - λ) v_{t+1} + λ R_{t+1}), from R_H = v_H backwards; the weight of a state
    is the product of all γ c before it, so the first one is 1.

    Paper 3's rows hold what *led to* a state, so both are shifted by one; the start is certain.
    """
    # EXERCISE 4.37: rows that begin with nothing, then paper 3's returns and weights
    start = torch.zeros_like(rewards[:, :1])
    rewards = torch.cat([start, rewards], 1)
    continues = torch.cat([start + 1, discount * goes_on], 1)
    returns = compute_lambda_returns(rewards, values, continues, torch.zeros_like(rewards), lambda_)
    return returns, imagination_weights(continues)[:, :-1]
    # END 4.37


def entropy(log_policy: Tensor) -> Tensor:
    """Of the legal actions, in nats. (..., A), -inf where an action is not legal → (...)"""
    finite = log_policy.clamp(min=torch.finfo(log_policy.dtype).min)  # 0 · -inf is no number
    return -(log_policy.exp() * finite).sum(-1)


def reinforce_loss(
    log_policy: Tensor, action: Tensor, advantage: Tensor, weight: Tensor, entropy_scale: float
) -> Tensor:
    """REINFORCE with an entropy bonus, weighted; the mean over all B · H states.

    log_policy          (B, H, A)   log-probabilities; -inf where an action is not legal
    action              (B, H) int64
    advantage, weight   (B, H)      constants, whatever they were made of
    return              scalar, to be minimised
    """
    # EXERCISE 4.38: the action taken, times its advantage; and the entropy
    taken = log_policy.gather(-1, action[..., None]).squeeze(-1)
    gain = taken * advantage.detach() + entropy_scale * entropy(log_policy)
    return -(weight.detach() * gain).mean()
    # END 4.38


def ppo_loss(
    log_policy: Tensor, before: Tensor, action: Tensor, advantage: Tensor, weight: Tensor,
    entropy_scale: float, clip: float = 0.2,
) -> Tensor:  # fmt: skip
    """PPO's clipped objective (Schulman et al. 2017, arXiv:1707.06347, eq. 7): dreams serve twice.

    log_policy          (B, H, A)   of the policy as it is now; -inf where an action is not legal
    before              (B, H)      log-probability of the action when it was drawn; a constant
    action              (B, H) int64
    advantage, weight   (B, H)      constants
    return              scalar, to be minimised; entropy and weights as in REINFORCE

    The ratio of probabilities, now ÷ then, times the advantage; once more with the ratio clipped to
    1 ± clip. The smaller of both counts: nothing is gained by going further than that.
    """
    # EXERCISE 4.39: the ratio, both products, the smaller one; entropy and weight as before
    ratio = (log_policy.gather(-1, action[..., None]).squeeze(-1) - before.detach()).exp()
    near = ratio.clamp(1 - clip, 1 + clip)
    gain = torch.minimum(ratio * advantage.detach(), near * advantage.detach())
    return -(weight.detach() * (gain + entropy_scale * entropy(log_policy))).mean()
    # END 4.39


if __name__ == "__main__":
    import course

    course.run(__file__)
