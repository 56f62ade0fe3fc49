"""Correct answers, written differently: slowly, with loops and plain arithmetic."""

import torch
from torch import Tensor

SLOTS, LEVELS, ACTION = 4, 3, 3
WEIGHTS = (1.0, 0.5, 0.1)


class Embedding:
    def forward(self, tokens: Tensor, actions: Tensor) -> Tensor:
        # EXERCISE 4.30: a table for each slot, in the order of a step; slot and step are added
        rows = []
        for step in range(actions.shape[1]):
            for slot in range(SLOTS):
                if slot < SLOTS - 1:
                    row = self.codes[slot].weight[tokens[:, step, slot]]
                else:
                    row = self.actions.weight[actions[:, step]]
                rows.append(row + self.slots.weight[slot] + self.steps.weight[step])
        return torch.stack(rows, dim=1)
        # END 4.30


class Block:
    def attention(self, x: Tensor, mask: Tensor, cache) -> Tensor:
        # EXERCISE 4.31: heads apart, the cache, attention, heads together, `out` (needs 4.28)
        import math

        width = x.shape[-1]
        size = width // self.heads
        everything = self.qkv(x)
        parts = []
        for kind in range(3):
            start = kind * width
            heads = [
                everything[..., start + h * size : start + (h + 1) * size]
                for h in range(self.heads)
            ]
            parts.append(torch.stack(heads, dim=1))
        query, key, value = parts
        if cache:
            key, value = cache.extend(self.number, key, value)
        scores = query @ key.mT / math.sqrt(size)
        scores = scores + torch.zeros_like(scores).masked_fill(mask.logical_not(), -math.inf)
        weights = torch.exp(scores - scores.amax(-1, keepdim=True))
        weights = weights / weights.sum(-1, keepdim=True)
        if self.training and self.dropout > 0:
            weights = weights * (torch.rand_like(weights) >= self.dropout) / (1 - self.dropout)
        read = weights @ value
        return self.out(torch.cat([read[:, h] for h in range(self.heads)], dim=-1))
        # END 4.31


class Transformer:
    def loss(self, batch: dict) -> tuple[Tensor, dict]:
        tokens, actions = batch["tokens"], batch["action"]
        hidden = self(self.embedding(tokens, actions)).unflatten(1, (-1, SLOTS))  # (B, T, 4, D)
        # EXERCISE 4.32: make `parts` and `total`; the row of a target is the one before it
        count, length = actions.shape
        sums = dict.fromkeys(("ce0", "ce1", "ce2", "reward", "continue"), 0.0)
        for t in range(length):
            three = tokens[:, t]
            before = [hidden[:, t - 1, ACTION], hidden[:, t, 0], hidden[:, t, 1]]
            for level in range(LEVELS):
                if level > 0 or t > 0:
                    surprise = -self.heads[level](before[level]).log_softmax(-1)
                    right = surprise.gather(-1, three[:, level : level + 1])
                    sums[f"ce{level}"] = sums[f"ce{level}"] + right.sum()
            after = hidden[:, t, ACTION]
            reward = self.reward.loss(self.reward(after), batch["reward"][:, t])
            sums["reward"] = sums["reward"] + reward.sum()
            lives = self.goes_on(after)[:, 0]
            right = torch.where(batch["terminal"][:, t] > 0, -lives, lives)
            sums["continue"] = sums["continue"] - torch.nn.functional.logsigmoid(right).sum()
        parts = {name: x / (count * (length - (name == "ce0"))) for name, x in sums.items()}
        scale = dict(zip(parts, (*WEIGHTS, 1, 1), strict=True))
        total = sum(scale[name] * x for name, x in parts.items())
        # END 4.32
        return total, parts


def token_accuracy(predicted: Tensor, tokens: Tensor) -> dict[str, float]:
    # EXERCISE 4.33: compare with the token before; accuracy among those that change
    found = {"accuracy": [], "copy": [], "change": [], "stay": []}
    for guesses, row in zip(predicted.tolist(), tokens.tolist(), strict=True):
        for guess, token, before in zip(guesses[1:], row[1:], row[:-1], strict=True):
            found["accuracy"].append(guess == token)
            found["copy"].append(token == before)
            found["stay" if token == before else "change"].append(guess == token)
    return {k: sum(x) / len(x) if x else float("nan") for k, x in found.items()}
    # END 4.33


def bigram(before: Tensor, action: Tensor, after: Tensor, codes: int, actions: int) -> Tensor:
    # EXERCISE 4.34: count triples, then the most frequent of each pair
    table = torch.arange(codes).repeat_interleave(actions).view(codes, actions)
    for token in range(codes):
        for choice in range(actions):
            came = after[(before == token) & (action == choice)].tolist()
            if came:
                table[token, choice] = min(came, key=lambda x: (-came.count(x), x))
    return table
    # END 4.34
