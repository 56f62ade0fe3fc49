"""Which token may see which: three rules, as matrices, and what depth makes of them.

A step of the world is four tokens, in this order: L0 (coarse), L1, L2 (fine), A (the action that is
taken). Position n is slot n % 4 of step n // 4. The rows of a mask are queries, its columns keys.

    causal   everything before, and oneself
    brief    details (L1, L2) of earlier steps are hidden from all rows but those of L0
    strict   L0 and A see L0 and A alone; L1 and L2 see details of their own step too

A mask is a graph. After two layers a row knows what the rows that it sees have seen: what a model
can know is the transitive closure; for the rule `brief` that is everything before (`reachable`).
Letters: T steps, N = 4 T positions.
"""

import torch
from torch import Tensor

SLOTS = 4  # tokens of a step
L0, L1, L2, ACTION = range(SLOTS)
RULES = ("causal", "brief", "strict")


def allowed(query: Tensor, key: Tensor, rule: str) -> Tensor:
    """Whether the token at position `query` may attend to that at position `key`.

    query, key   integer positions, of shapes that broadcast
    rule         one of RULES
    return       bool, of the broadcast shape: True where it may

    With t the step and s the slot of a position, q the one that reads and k the one that is read:

        causal   t_k < t_q, or t_k = t_q and s_k <= s_q
        brief    t_k = t_q and s_k <= s_q, or t_k < t_q and (s_k is L0 or A, or s_q is L0)
        strict   t_k < t_q and s_k is L0 or A, or
                 t_k = t_q and s_k <= s_q and (s_k is L0 or A, or s_q is L1 or L2)
    """
    # EXERCISE 4.28: steps and slots of both positions, then the rule
    t_q, s_q, t_k, s_k = query // SLOTS, query % SLOTS, key // SLOTS, key % SLOTS
    before, same = t_k < t_q, (t_k == t_q) & (s_k <= s_q)
    coarse = (s_k == L0) | (s_k == ACTION)  # the key is no detail
    if rule == "brief":
        return same | (before & (coarse | (s_q == L0)))
    if rule == "strict":
        return (before & coarse) | (same & (coarse | (s_q == L1) | (s_q == L2)))
    return before | same
    # END 4.28


def build_mask(steps: int, rule: str, device: str | torch.device = "cpu") -> Tensor:
    """The rule as a matrix for T steps: (4 T, 4 T) bool, True where attention is allowed."""
    if rule not in RULES:
        raise ValueError(f"unknown mask {rule!r}: one of {', '.join(RULES)}")
    position = torch.arange(SLOTS * steps, device=device)
    return allowed(position[:, None], position[None, :], rule)


def reachable(mask: Tensor, layers: int) -> Tensor:
    """From which positions information can have arrived after some layers of attention.

    mask     (N, N) bool   [q, k]: what one layer may see; every position sees itself. N may be
             hundreds
    layers   1 or more, hundreds too. Ways from one position to another are then more than any
             float32 or int64 can count: ask after each layer whether there is one
    return   (N, N) bool   [q, k]: the output at q can depend on the input at k
    """
    # EXERCISE 4.29: a boolean matrix product for each layer
    found = mask
    for _ in range(layers - 1):
        found = (found.float() @ mask.float()) > 0
    return found
    # END 4.29


if __name__ == "__main__":
    import course

    course.run(__file__)
