"""A transformer that predicts the world token by token, coarse before fine.

A step is four tokens, [L0, L1, L2, A]. Each row predicts what comes next:

    row A_t    the coarse token of the next step, the reward of the action, whether life goes on
    row L0_t   L1_t
    row L1_t   L2_t
    row L2_t   nothing: the policy acts

No paper has this design; its parts are standard: GPT-2's blocks (Radford et al. 2019), a world as a
sequence of tokens (IRIS, Micheli et al. 2023, arXiv:2209.00588), two-hot rewards (DreamerV3).

Letters: B sequences, T steps, N = 4 T positions, K codes, D width, H heads.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.paper3_dreamerv3.networks import TwoHotHead
from solutions.paper4_hdreamer.hidreamer.mask import ACTION, SLOTS, build_mask

LEVELS = SLOTS - 1
WEIGHTS = (1.0, 0.5, 0.1)  # of the losses of L0, L1, L2


@dataclass
class Sizes:
    """Of the transformer. The defaults are those of tier `full`."""

    codes: int = 256
    actions: int = 18
    width: int = 384
    layers: int = 6
    heads: int = 6
    steps: int = 64  # positions that are learned
    dropout: float = 0.1
    rule: str = "brief"
    bins: int = 255


class Embedding(nn.Module):
    """Tokens and actions → what the transformer reads: meaning, slot and step, added.

    tokens    (B, T, 3) int64
    actions   (B, T) int64
    return    (B, 4 T, D)   L0, L1, L2, A of step 0, then of step 1, …

    Four kinds of tables: `codes`, one (K, D) for each level; `actions` (A, D), a row for each
    action; `slots` (4, D), a row for each of L0, L1, L2, A; `steps` (S, D), a row for each step,
    the window's first is 0, and T <= S. Nothing is scaled.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.codes = nn.ModuleList(nn.Embedding(sizes.codes, sizes.width) for _ in range(LEVELS))
        self.actions = nn.Embedding(sizes.actions, sizes.width)
        self.slots = nn.Embedding(SLOTS, sizes.width)
        self.steps = nn.Embedding(sizes.steps, sizes.width)

    def forward(self, tokens: Tensor, actions: Tensor) -> Tensor:
        # EXERCISE 4.30: a table for each slot, in the order of a step; slot and step are added
        parts = [table(x) for table, x in zip(self.codes, tokens.unbind(-1), strict=True)]
        x = torch.stack([*parts, self.actions(actions)], 2)  # (B, T, 4, D)
        steps = self.steps(torch.arange(x.shape[1], device=x.device))
        return (x + self.slots.weight + steps[:, None]).flatten(1, 2)
        # END 4.30

    def one(self, slot: int, token: Tensor, step: int) -> Tensor:
        """The same for one token of one slot at one step. (B,) int64 → (B, 1, D)"""
        table = self.actions if slot == ACTION else self.codes[slot]
        return (table(token) + self.slots.weight[slot] + self.steps.weight[step])[:, None]


class Cache:
    """Keys and values of the positions so far, for every block: each is computed once.

    length   positions that are there; at most `room`
    """

    def __init__(self, model: "Transformer", batch: int, room: int):
        s, weight = model.sizes, model.embedding.slots.weight
        shape = (s.layers, 2, batch, s.heads, room, s.width // s.heads)
        self.memory, self.room, self.length = weight.new_zeros(shape), room, 0

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store what is new of a block, and return all of it. (B, H, n, D/H) → (B, H, length, D/H)

        `length` moves on when the last block is done (`Transformer.forward`).
        errors   ValueError, where there is no room
        """
        end = self.length + key.shape[2]
        if end > self.room:
            raise ValueError(f"the cache has room for {self.room} positions, not {end}")
        self.memory[layer, 0, :, :, self.length : end] = key
        self.memory[layer, 1, :, :, self.length : end] = value
        return self.memory[layer, 0, :, :, :end], self.memory[layer, 1, :, :, :end]


class Block(nn.Module):
    """Attention, then two layers on each position by itself; both add to what they read."""

    def __init__(self, sizes: Sizes, number: int):
        super().__init__()
        d = sizes.width
        self.heads, self.number, self.dropout = sizes.heads, number, sizes.dropout
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.feed = nn.Sequential(
            nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d), nn.Dropout(sizes.dropout)
        )

    def attention(self, x: Tensor, mask: Tensor, cache: Cache | None) -> Tensor:
        """Each position reads those that its row of the mask allows.

        x        (B, n, D)   new positions
        mask     (n, m) bool   of the new ones; m: all positions so far, with these
        cache    earlier positions, if there is one; it takes up the new ones
        return   (B, n, D)

        `qkv` makes queries, keys and values, side by side in this order; heads are slices of each,
        D/H neighbours, and stand in this order again before `out`. The weights of a head are
        softmax(query · key / √(D/H)) over the allowed positions; in training each of them becomes 0
        with probability `self.dropout`, and those that stay grow by 1 / (1 - dropout).
        """
        # EXERCISE 4.31: heads apart, the cache, attention, heads together, `out` (needs 4.28)
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, n, 3, H, D/H)
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
        if cache:
            key, value = cache.extend(self.number, key, value)
        dropout = self.dropout if self.training else 0.0
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return self.out(read.transpose(1, 2).flatten(2))
        # END 4.31

    def forward(self, x: Tensor, mask: Tensor, cache: Cache | None) -> Tensor:
        x = x + F.dropout(self.attention(self.norm1(x), mask, cache), self.dropout, self.training)
        return x + self.feed(self.norm2(x))


class Transformer(nn.Module):
    """The world model. 11,271,168 parameters without `reward` and `goes_on` at tier `full`."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.embedding = Embedding(sizes)
        self.blocks = nn.ModuleList(Block(sizes, i) for i in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.heads = nn.ModuleList(nn.Linear(sizes.width, sizes.codes) for _ in range(LEVELS))
        self.apply(begin)
        self.reward = TwoHotHead(sizes.width, 0, 0, sizes.bins)
        self.goes_on = nn.Linear(sizes.width, 1)
        self.register_buffer("mask", build_mask(sizes.steps, sizes.rule), persistent=False)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """Embedded new positions (B, n, D) → hidden states (B, n, D), after those of the cache."""
        start = cache.length if cache else 0
        end = start + x.shape[1]
        if end > len(self.mask):
            raise ValueError(f"{end} positions: the model has learned {len(self.mask)}")
        for block in self.blocks:
            x = block(x, self.mask[start:end, :end], cache)
        if cache:
            cache.length = end
        return self.norm(x)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """The weighted loss of windows, and each part of it.

        batch    tokens (B, T, 3), action (B, T), reward (B, T), terminal (B, T) bool or float;
                 T is 2 or more
        return   scalar; {"ce0", "ce1", "ce2", "reward", "continue"}: nats, without the weights

        Row A_t is compared with L0 of step t + 1, so the last A has no target and the first L0 no
        prediction; row L0_t with L1_t, row L1_t with L2_t. Rewards and continuations are those of
        row A_t, all T of them: what the action brought, and 1 - terminal, without a discount. Each
        part is a mean over its rows. The total weights the levels with WEIGHTS, reward and
        continuation with 1.
        """
        tokens, actions = batch["tokens"], batch["action"]
        hidden = self(self.embedding(tokens, actions)).unflatten(1, (-1, SLOTS))  # (B, T, 4, D)
        # EXERCISE 4.32: make `parts` and `total`; the row of a target is the one before it
        rows = hidden[:, :-1, ACTION], hidden[:, :, 0], hidden[:, :, 1]
        targets = tokens[:, 1:, 0], tokens[:, :, 1], tokens[:, :, 2]
        parts = {
            f"ce{level}": F.cross_entropy(head(row).flatten(0, 1), target.flatten())
            for level, (head, row, target) in enumerate(zip(self.heads, rows, targets, strict=True))
        }
        acted = hidden[:, :, ACTION]
        parts["reward"] = self.reward.loss(self.reward(acted), batch["reward"]).mean()
        goes_on = 1 - batch["terminal"].to(acted.dtype)
        logit = self.goes_on(acted).squeeze(-1)
        parts["continue"] = F.binary_cross_entropy_with_logits(logit, goes_on)
        levels = sum(weight * parts[f"ce{level}"] for level, weight in enumerate(WEIGHTS))
        total = levels + parts["reward"] + parts["continue"]
        # END 4.32
        return total, {key: x.detach() for key, x in parts.items()}


def begin(module: nn.Module) -> None:
    """GPT-2's initialisation: normal weights of 0.02, biases of 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def token_accuracy(predicted: Tensor, tokens: Tensor) -> dict[str, float]:
    """How often a token is predicted, beside the baseline that nothing ever changes.

    predicted, tokens   (B, T) int64   of one level; step 0 has no earlier one and does not count
    return              Python floats: accuracy; copy: how often the token is that of the step
                        before; change: accuracy where it is not (NaN where it always is); stay:
                        accuracy where it is (NaN where it never is)

    accuracy = copy · stay + (1 - copy) · change
    """
    # EXERCISE 4.33: compare with the token before; accuracy among those that change
    right, same = predicted[:, 1:] == tokens[:, 1:], tokens[:, 1:] == tokens[:, :-1]
    parts = {"accuracy": right, "copy": same, "change": right[~same], "stay": right[same]}
    return {name: float(x.double().mean()) for name, x in parts.items()}
    # END 4.33


def bigram(before: Tensor, action: Tensor, after: Tensor, codes: int, actions: int) -> Tensor:
    """The table that a world model must beat: the token that came most often after a pair.

    before, action, after   integers of one shape: a token, the action taken there, the next token
    return                  (codes, actions) int64   of pairs that never came: the token itself
                            again; of tokens that came equally often the lowest
    """
    # EXERCISE 4.34: count triples, then the most frequent of each pair
    triple = (before * actions + action) * codes + after
    count = torch.bincount(triple.flatten(), minlength=codes * actions * codes)
    count = count.view(codes, actions, codes)
    itself = torch.arange(codes, device=count.device)[:, None]
    return torch.where(count.sum(-1) > 0, count.argmax(-1), itself)
    # END 4.34


if __name__ == "__main__":
    import course

    course.run(__file__)
