"""Correct answers, written differently: a table of slots, pair by pair; sets of positions."""

import torch


def allowed(query, key, rule):
    # EXERCISE 4.28: steps and slots of both positions, then the rule
    earlier = {"causal": ["1111"] * 4, "brief": ["1111", "1001", "1001", "1001"]}
    same = {"strict": ["1000", "1100", "1110", "1001"]}
    query, key = torch.broadcast_tensors(query, key)
    found = []
    for q, k in zip(query.flatten().tolist(), key.flatten().tolist(), strict=True):
        step, slot = divmod(q, 4)
        if k // 4 > step:
            table = ["0000"] * 4
        elif k // 4 < step:
            table = earlier.get(rule, ["1001"] * 4)
        else:
            table = same.get(rule, ["1000", "1100", "1110", "1111"])
        found.append(table[slot][k % 4] == "1")
    return torch.tensor(found).view(query.shape)
    # END 4.28


def reachable(mask, layers):
    # EXERCISE 4.29: a boolean matrix product for each layer
    seen = [set(row.nonzero().flatten().tolist()) for row in mask]
    found = seen
    for _ in range(1, layers):
        found = [set().union(*(seen[i] for i in known)) for known in found]
    result = torch.zeros_like(mask)
    for query, known in enumerate(found):
        result[query, sorted(known)] = True
    return result
    # END 4.29
