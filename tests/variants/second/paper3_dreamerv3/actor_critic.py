"""Other correct answers to the exercises of actor_critic.py: loops and elementary operations."""

import torch
from torch import Tensor, nn


class ContinuousActor:
    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 3.20: bound the mean and the standard deviation
        outputs = self.mlp(feature).unbind(-1)
        count = len(outputs) // 2
        policy = []
        for unit, raw in enumerate(outputs):
            if unit < count:
                policy.append(2 / (1 + torch.exp(-2 * raw.clamp(-40, 40))) - 1)
            else:
                policy.append(1 - 0.9 / (1 + torch.exp((raw + 2).clamp(-40, 40))))
        return torch.stack(policy, dim=-1)
        # END 3.20


def compute_lambda_returns(
    rewards: Tensor, values: Tensor, continues: Tensor, is_last: Tensor, lambda_: float = 0.95
) -> Tensor:
    # EXERCISE 3.21: backwards from the last value; mind which state a reward belongs to
    sequences, states = values.shape
    returns = values.new_zeros(sequences, states - 1)
    for b in range(sequences):
        following = values[b, states - 1]
        for t in range(states - 2, -1, -1):
            if is_last[b, t + 1]:
                following = values[b, t + 1]
            else:
                following = values[b, t + 1] + lambda_ * (following - values[b, t + 1])
            following = rewards[b, t + 1] + continues[b, t + 1] * following
            returns[b, t] = following
    return returns
    # END 3.21


class ReturnNormalizer:
    @torch.no_grad()
    def update(self, returns: Tensor) -> None:
        # EXERCISE 3.22: both percentiles of the batch, then their averages
        ordered = returns.reshape(-1).sort().values
        for average, share in ((self.low, 0.05), (self.high, 0.95)):
            place = share * (len(ordered) - 1)
            below = int(place)
            above = min(below + 1, len(ordered) - 1)
            part = place - below
            number = (1 - part) * ordered[below] + part * ordered[above]
            average += self.rate * (number - average)
        # END 3.22

    def scale(self) -> Tensor:
        # EXERCISE 3.23: the range, or 1 (needs 3.22)
        spread = self.high - self.low
        return spread if spread > 1 else torch.tensor(1.0)
        # END 3.23


def imagination_weights(continues: Tensor) -> Tensor:
    # EXERCISE 3.24: a running product
    weights = []
    alive = 1.0
    for t in range(continues.shape[1]):
        alive = alive * continues[:, t].detach()
        weights.append(alive)
    return torch.stack(weights, dim=1)
    # END 3.24


def actor_loss(
    log_prob: Tensor, entropy: Tensor, advantage: Tensor, weight: Tensor, entropy_scale: float
) -> Tensor:
    # EXERCISE 3.25: weighted REINFORCE objective with entropy bonus, to be maximised
    loss = 0.0
    for b in range(log_prob.shape[0]):
        for t in range(log_prob.shape[1]):
            loss = loss - log_prob[b, t] * weight[b, t].item() * advantage[b, t].item()
            loss = loss - entropy[b, t] * weight[b, t].item() * entropy_scale
    return loss / log_prob.numel()
    # END 3.25


def critic_loss(critic, logits: Tensor, target: Tensor, slow_value: Tensor, weight: Tensor):
    # EXERCISE 3.26: both cross-entropies, weighted (needs 3.4)
    losses = []
    for t in range(logits.shape[1]):
        for number in (target, slow_value):
            nats = critic.loss(logits[:, t], number[:, t].detach())
            losses.append(2 * nats * weight[:, t].detach())
    return torch.stack(losses).mean()
    # END 3.26


@torch.no_grad()
def update_slow_critic(slow: nn.Module, fast: nn.Module, rate: float = 0.02) -> None:
    # EXERCISE 3.27: every parameter goes the share `rate` of the way
    newest = dict(fast.named_parameters())
    for name, old in slow.named_parameters():
        old.data = old.data * (1 - rate) + newest[name].data * rate
    # END 3.27
