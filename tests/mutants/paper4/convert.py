"""Mutants of convert.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "4.14",
        "('weight', 'bias') → ('bias', 'weight')",
    ): "weights and biases are converted independently of each other, in either order",
}
