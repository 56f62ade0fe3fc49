"""What a transformer of tokens computes, slowly: plain numbers, one loop per index."""

import math

from tests import oracle

SLOTS = 4
WEIGHTS = (1.0, 0.5, 0.1)


def embedded(tokens: list, actions: list, p: dict) -> list[list[float]]:
    """One sequence: the rows L0, L1, L2, A of step 0, then of step 1. tokens (T, 3)"""
    rows = []
    for t, (three, action) in enumerate(zip(tokens, actions, strict=True)):
        found = [p[f"codes.{level}.weight"][token] for level, token in enumerate(three)]
        found.append(p["actions.weight"][action])
        for slot, meaning in enumerate(found):
            parts = meaning, p["slots.weight"][slot], p["steps.weight"][t]
            rows.append([sum(x) for x in zip(*parts, strict=True)])
    return rows


def heads_of(x: list[list[float]], p: dict, heads: int) -> list:
    """Of each head its queries, keys and values: [head][0, 1 or 2][row]."""
    width = len(x[0])
    size = width // heads
    rows = [oracle.linear(row, p["qkv.weight"], p["qkv.bias"]) for row in x]
    return [
        [
            [row[kind * width + head * size :][:size] for row in rows]
            for kind in range(3)
        ]
        for head in range(heads)
    ]  # fmt: skip


def attention(x: list[list[float]], mask: list[list[bool]], p: dict, heads: int) -> list:
    """One sequence: each row reads those that its row of the mask allows."""
    joined: list[list[float]] = [[] for _ in x]
    for queries, keys, values in heads_of(x, p, heads):
        for q, query in enumerate(queries):
            seen = [k for k in range(len(keys)) if mask[q][k]]
            products = [sum(a * b for a, b in zip(query, keys[k], strict=True)) for k in seen]
            weights = oracle.softmax([x / math.sqrt(len(query)) for x in products])
            for i in range(len(query)):
                joined[q].append(sum(w * values[k][i] for w, k in zip(weights, seen, strict=True)))
    return [oracle.linear(row, p["out.weight"], p["out.bias"]) for row in joined]


def loss(hidden: list, tokens: list, rewards: list, terminals: list, p: dict, bins: list) -> dict:
    """Sequences of hidden states (B, 4 T, D): every part, the total, and its slopes (B, 4 T, D).

    The slope of a cross-entropy: probabilities less the target's, through the head's weights.
    """
    sums = dict.fromkeys(("ce0", "ce1", "ce2", "reward", "continue"), 0.0)
    steps = len(tokens[0])
    counts = dict.fromkeys(sums, len(tokens) * steps) | {"ce0": len(tokens) * (steps - 1)}
    scales = dict(zip(sums, (*WEIGHTS, 1.0, 1.0), strict=True))
    slopes = [[[0.0] * len(row) for row in rows] for rows in hidden]

    def learn(name: str, head: str, b: int, row: int, target: list[float]) -> None:
        weight, bias = p[f"{head}.weight"], p[f"{head}.bias"]
        logits = oracle.linear(hidden[b][row], weight, bias)
        if len(target) > 1:
            sums[name] += oracle.cross_entropy(target, logits)
            probs = oracle.softmax(logits)
        else:
            sums[name] += oracle.bernoulli_cross_entropy(logits[0], target[0])
            probs = [oracle.sigmoid(logits[0])]
        for error, weights in zip((a - b for a, b in zip(probs, target, strict=True)), weight,
                                  strict=True):  # fmt: skip
            for i, w in enumerate(weights):
                slopes[b][row][i] += scales[name] * error * w / counts[name]

    codes = len(p["heads.0.bias"])
    for b, window in enumerate(tokens):
        for t, three in enumerate(window):
            rows = (SLOTS * (t - 1) + 3, SLOTS * t, SLOTS * t + 1)
            for level, (row, token) in enumerate(zip(rows, three, strict=True)):
                if row >= 0:
                    one_hot = [float(k == token) for k in range(codes)]
                    learn(f"ce{level}", f"heads.{level}", b, row, one_hot)
            acted = SLOTS * t + 3
            learn("reward", "reward.mlp.0", b, acted, oracle.two_hot(rewards[b][t], bins))
            learn("continue", "goes_on", b, acted, [1.0 - terminals[b][t]])
    parts = {name: total / counts[name] for name, total in sums.items()}
    total = sum(scales[name] * x for name, x in parts.items())
    return parts | {"total": total, "slopes": slopes}


def accuracies(predicted: list[list[int]], tokens: list[list[int]]) -> dict[str, float]:
    """Shares by counting; NaN where there is nothing to count."""
    found: dict[str, list[bool]] = {"accuracy": [], "copy": [], "change": [], "stay": []}
    for guesses, row in zip(predicted, tokens, strict=True):
        for t in range(1, len(row)):
            right, same = guesses[t] == row[t], row[t] == row[t - 1]
            found["accuracy"].append(right)
            found["copy"].append(same)
            found["stay" if same else "change"].append(right)
    return {name: sum(x) / len(x) if x else math.nan for name, x in found.items()}


def bigram(before: list, action: list, after: list, codes: int, actions: int) -> list[list[int]]:
    """The most frequent token after every pair, the lowest of equals; itself without any."""
    triples = list(zip(before, action, after, strict=True))
    table = []
    for token in range(codes):
        table.append([])
        for a in range(actions):
            counts = [triples.count((token, a, next_)) for next_ in range(codes)]
            table[-1].append(counts.index(max(counts)) if any(counts) else token)
    return table
