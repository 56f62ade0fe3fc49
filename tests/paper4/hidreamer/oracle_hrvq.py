"""Expected values for hrvq.py, computed slowly: Python numbers, a loop for each index."""

import math


def squared_distance(a: list[float], b: list[float]) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def nearest(x: list[float], codes: list[list[float]]) -> int:
    """The first code that no other is nearer than."""
    best = 0
    for k in range(len(codes)):
        if squared_distance(x, codes[k]) < squared_distance(x, codes[best]):
            best = k
    return best


def perplexity(counts: list[int]) -> float:
    shares = [count / sum(counts) for count in counts if count]
    return math.exp(-sum(p * math.log(p) for p in shares))


def followed(size: list, total: list, x: list, tokens: list, rate: float, eps: float) -> tuple:
    """size, total and codes after one batch."""
    size, total, units = list(size), [list(row) for row in total], len(x[0])
    for k in range(len(size)):
        mine = [row for row, token in zip(x, tokens, strict=True) if token == k]
        size[k] = (1 - rate) * size[k] + rate * len(mine)
        for e in range(units):
            total[k][e] = (1 - rate) * total[k][e] + rate * sum(row[e] for row in mine)
    everything = sum(size)
    smooth = [(n + eps) / (everything + len(size) * eps) * everything for n in size]
    codes = [[v / n for v in row] for row, n in zip(total, smooth, strict=True)]
    return size, total, codes


def quantised(z: list[float], books: list) -> tuple[list[float], list[int], list[list[float]]]:
    """The sum of the codes of one vector, their numbers, and what each layer leaves."""
    rest, tokens, left = list(z), [], []
    for codes in books:
        tokens.append(nearest(rest, codes))
        rest = [a - b for a, b in zip(rest, codes[tokens[-1]], strict=True)]
        left.append(rest)
    return [a - b for a, b in zip(z, rest, strict=True)], tokens, left
