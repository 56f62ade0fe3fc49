"""Mutants of optim.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "3.29",
        "(state['square'], state['momentum']) → (state['momentum'], state['square'])",
    ): "both start at zero and are used here alone: the names are exchanged, the numbers are not",
}
