"""Mutants of networks.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    ("3.3", "0 → -1 #2"): "the bins have one dimension, which is the first and the last",
    ("3.4", "0 → -1"): "the target is not below the first bin, so the lower bin is never -1",
    (
        "3.4",
        "torch.searchsorted(bins, target, right=True) → torch.searchsorted(bins, target)",
    ): "differs on a bin alone, which then has all the weight as the upper neighbour",
    ("3.4", "True → False"): "differs on a bin alone, which then is the upper neighbour",
    (
        "3.7",
        "x.reshape(-1, *x.shape[-2:]).transpose(0, 1) → "
        "x.reshape(-1, *x.shape[-2:]).transpose(1, 0)",
    ): "a transpose does not depend on the order in which its dimensions are named",
    (
        "3.7",
        "x.transpose(0, 1) → x.transpose(1, 0)",
    ): "a transpose does not depend on the order in which its dimensions are named",
    (
        "3.9",
        "prediction - target → target - prediction",
    ): "the difference is squared: value and gradient are the same",
}
