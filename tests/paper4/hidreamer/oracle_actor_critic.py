"""Returns of dreams and policy losses by loops over states; plain numbers in, plain numbers out.

Imports nothing of the papers.
"""

import math


def dream_returns(rewards, goes_on, values, discount: float, lambda_: float) -> tuple:
    """One dream: rewards, goes_on (H,), values (H + 1,) → returns (H,), weights (H,)"""
    returns, weights, weight = [], [], 1.0
    for t in range(len(rewards)):
        future, share = 0.0, 1.0  # the λ-return as a sum over where it stops
        for s in range(t, len(rewards)):
            future += share * rewards[s]
            share *= discount * goes_on[s]
            stops = 1.0 if s == len(rewards) - 1 else 1 - lambda_
            future += share * stops * values[s + 1]
            share *= lambda_
        returns.append(future)
        weights.append(weight)
        weight *= discount * goes_on[t]
    return returns, weights


def log_softmax(logits: list) -> list:
    """Log-probabilities; None stands for an action that is not legal, and stays."""
    total = sum(math.exp(x) for x in logits if x is not None)
    return [x if x is None else x - math.log(total) for x in logits]


def nats(logs: list) -> float:
    """The entropy of the legal actions."""
    return -sum(math.exp(x) * x for x in logs if x is not None)


def slopes_of_log(logs: list, action: int) -> list:
    """Of log π(action) with respect to the logits; 0 where an action is not legal."""
    return [
        0.0 if x is None else (i == action) - math.exp(x)
        for i, x in enumerate(logs)
    ]  # fmt: skip


def slopes_of_entropy(logs: list) -> list:
    """Of the entropy with respect to the logits: -π (log π + entropy)."""
    whole = nats(logs)
    return [0.0 if x is None else -math.exp(x) * (x + whole) for x in logs]


def policy_loss(logits, action, advantage, weight, scale: float, before=None, clip=0.2) -> tuple:
    """REINFORCE, or PPO where `before` is given. Nested lists (B, H, A) and (B, H).

    return   the loss, and its slopes with respect to the logits (B, H, A)
    """
    count, total, slopes = sum(map(len, action)), 0.0, []
    for b, rows in enumerate(logits):
        slopes.append([])
        for t, row in enumerate(rows):
            logs, a, gain, w = log_softmax(row), action[b][t], advantage[b][t], weight[b][t]
            if before is None:
                value, slope = logs[a] * gain, gain
            else:
                ratio = math.exp(logs[a] - before[b][t])
                if gain > 0 and ratio > 1 + clip:
                    value, slope = (1 + clip) * gain, 0.0
                elif gain < 0 and ratio < 1 - clip:
                    value, slope = (1 - clip) * gain, 0.0
                else:
                    value, slope = ratio * gain, ratio * gain
            total -= w * (value + scale * nats(logs)) / count
            both = zip(slopes_of_log(logs, a), slopes_of_entropy(logs), strict=True)
            slopes[b].append([-w * (slope * x + scale * y) / count for x, y in both])
    return total, slopes
