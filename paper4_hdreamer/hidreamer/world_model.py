"""A transformer that predicts the world token by token, coarse before fine.

A step is four tokens, [L0, L1, L2, A]. Each row predicts what comes next:

    row A_t     the coarse token of the next step, the reward of the action, whether life goes on
    row L0_t    L1_t                row L1_t    L2_t                row L2_t   nothing: the policy acts

The design is the user's; its parts are standard: GPT-2 blocks (Radford et al. 2019), reward and
continuation as in IRIS (Micheli et al. 2023, arXiv:2209.00588), two-hot rewards as in DreamerV3.

Letters: B sequences, T steps, N = 4 T positions, K codes, D width, H heads.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paper3_dreamerv3.networks import TwoHotHead
from paper4_hdreamer.hidreamer.mask import ACTION, SLOTS, build_mask

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
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.codes = nn.ModuleList(nn.Embedding(sizes.codes, sizes.width) for _ in range(LEVELS))
        self.actions = nn.Embedding(sizes.actions, sizes.width)
        self.slots = nn.Embedding(SLOTS, sizes.width)
        self.steps = nn.Embedding(sizes.steps, sizes.width)

    def forward(self, tokens: Tensor, actions: Tensor) -> Tensor:
        # EXERCISE 4.30: a table for each slot, in the order of a step; slot and step are added
        # TODO: your code here (the reference takes 4 lines)
        raise NotImplementedError("exercise 4.30")
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

        `qkv` makes queries, keys and values, side by side in this order; heads are slices of each.
        """
        # EXERCISE 4.31: heads apart, the cache, attention, heads together, `out` (needs 4.28)
        # TODO: your code here (the reference takes 7 lines)
        raise NotImplementedError("exercise 4.31")
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

        batch    tokens (B, T, 3), action (B, T), reward (B, T), terminal (B, T)
        return   scalar; {"ce0", "ce1", "ce2", "reward", "continue"}: nats, without the weights

        Row A_t is compared with L0 of step t + 1, so the last A has no target and the first L0 no
        prediction; row L0_t with L1_t, row L1_t with L2_t. Rewards and continuations are those of
        row A_t, all T of them. Each part is a mean over its rows; WEIGHTS are those of the levels.
        """
        tokens, actions = batch["tokens"], batch["action"]
        hidden = self(self.embedding(tokens, actions)).unflatten(1, (-1, SLOTS))  # (B, T, 4, D)
        # EXERCISE 4.32: the row before each target; cross-entropies, reward, continuation
        # TODO: your code here (the reference takes 13 lines)
        raise NotImplementedError("exercise 4.32")
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
    return              accuracy; copy: how often the token is that of the step before; change:
                        accuracy where it is not (NaN where it always is); stay: where it is

    accuracy = copy · stay + (1 - copy) · change
    """
    # EXERCISE 4.33: compare with the token before; accuracy among those that change
    # TODO: your code here (the reference takes 3 lines)
    raise NotImplementedError("exercise 4.33")
    # END 4.33


if __name__ == "__main__":
    import course

    course.run(__file__)
