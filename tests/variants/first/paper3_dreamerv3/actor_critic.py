"""Other correct answers to the exercises of actor_critic.py: library functions, few lines."""

import torch
from torch import Tensor, nn


class ContinuousActor:
    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 3.20: bound the mean and the standard deviation
        raw = self.mlp(feature)
        half = raw.shape[-1] // 2
        gate = nn.functional.sigmoid(raw[..., half:].add(2))
        return torch.concat(
            (raw[..., :half].tanh(), torch.lerp(0.1 + 0 * gate, 0 * gate + 1, gate)), -1
        )
        # END 3.20


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, is_last: Tensor, lambda_: float = 0.95
) -> Tensor:
    # EXERCISE 3.21: backwards from the last value; mind which state a reward belongs to
    # each return is what is known at once, and a share of the next: one triangular system
    trust = lambda_ * (1 - is_last[:, 1:])
    share = continues[:, 1:] * trust
    known = rewards[:, 1:] + continues[:, 1:] * (1 - trust) * values[:, 1:]
    known = known + nn.functional.pad(share[:, -1:] * values[:, -1:], (known.shape[1] - 1, 0))
    matrix = torch.diag_embed(torch.ones_like(known)) - torch.diag_embed(share[:, :-1], 1)
    return torch.linalg.solve_triangular(matrix, known.unsqueeze(-1), upper=True).squeeze(-1)
    # END 3.21


class ReturnNormalizer:
    @torch.no_grad()
    def update(self, returns: Tensor) -> None:
        # EXERCISE 3.22: both percentiles of the batch, then their averages
        self.low = (1 - self.rate) * self.low + self.rate * torch.quantile(returns, 0.05)
        self.high = (1 - self.rate) * self.high + self.rate * torch.quantile(returns, 0.95)
        # END 3.22

    def scale(self) -> Tensor:
        # EXERCISE 3.23: the range, or 1 (needs 3.22)
        return torch.maximum(torch.ones_like(self.low), self.high - self.low)
        # END 3.23


def imagination_weights(continues: Tensor) -> Tensor:
    # EXERCISE 3.24: a running product
    with torch.no_grad():
        return torch.exp(torch.cumsum(torch.log(continues), dim=-1))
    # END 3.24


def actor_loss(
    log_prob: Tensor, entropy: Tensor, advantage: Tensor, weight: Tensor, entropy_scale: float
) -> Tensor:
    # EXERCISE 3.25: weighted REINFORCE objective with entropy bonus, to be maximised
    with torch.no_grad():
        share = weight / weight.numel()
        gain = share * advantage
    bonus = torch.einsum("bt,bt->", share, entropy)
    return torch.einsum("bt,bt->", -gain, log_prob) - entropy_scale * bonus
    # END 3.25


def critic_loss(critic, logits: Tensor, target: Tensor, slow_value: Tensor, weight: Tensor):
    # EXERCISE 3.26: both cross-entropies, weighted (needs 3.4)
    weight = weight.detach()
    to_return = torch.mean(weight * critic.loss(logits, target.detach()))
    return to_return + torch.mean(weight * critic.loss(logits, slow_value.detach()))
    # END 3.26


@torch.no_grad()
def update_slow_critic(slow: nn.Module, fast: nn.Module, rate: float = 0.02) -> None:
    # EXERCISE 3.27: every parameter goes the share `rate` of the way
    torch._foreach_lerp_(list(slow.parameters()), list(fast.parameters()), rate)
    # END 3.27
