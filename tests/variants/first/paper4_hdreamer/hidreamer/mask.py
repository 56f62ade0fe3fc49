"""Correct answers, written differently: by what a rule hides; powers of a matrix."""

import torch


def allowed(query, key, rule):
    # EXERCISE 4.28: steps and slots of both positions, then the rule
    detail = torch.isin(key % 4, torch.tensor([1, 2]))
    earlier = torch.div(key, 4, rounding_mode="floor") < torch.div(query, 4, rounding_mode="floor")
    hidden = {
        "causal": torch.zeros_like(earlier),
        "brief": detail & earlier & (query % 4).bool(),
        "strict": detail & (earlier | (query % 4 == 3) | (query % 4 == 0)),
    }[rule]
    return torch.ge(query, key) & ~hidden
    # END 4.28


def reachable(mask, layers):
    # EXERCISE 4.29: a boolean matrix product for each layer
    return torch.linalg.matrix_power(mask.double(), layers) != 0
    # END 4.29
