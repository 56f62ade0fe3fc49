"""Mutants of tokens.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "4.27",
        "max(1, int(count * share)) → max(int(count * share), 1)",
    ): "the larger of two numbers, in either order",
}
