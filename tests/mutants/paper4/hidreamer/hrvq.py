"""Mutants of hrvq.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    ("4.22", "-1 → 1"): "codes are (K, E): dimension 1 is the last one",
    ("4.22", "-1 → 1 #2"): "distances are (N, K): dimension 1 is the last one",
    (
        "4.23",
        "torch.bincount(tokens.flatten(), minlength=count) → torch.bincount(tokens.flatten())",
    ): "codes beyond the largest token do not occur, and those that do not occur are left out",
    (
        "4.25",
        "book.codes[token].detach() → book.codes[token]",
    ): "codes are buffers without a gradient; the answer says so for who makes parameters of them",
    ("4.25", "rest.detach() → rest"): "the number of the nearest code has no gradient",
    ("4.25", "-1 → 1"): "each layer's tokens are (N,): a new dimension 1 is the last one",
    ("4.25", "rest - code → code - rest #2"): "it is squared",
}
