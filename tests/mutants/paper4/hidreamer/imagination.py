"""Mutants of imagination.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "4.35",
        "-1 → 1 #5",
    ): "squeeze(1): of (B, 1) that is the last dimension",
    (
        "4.35",
        "-1 → 1 #6",
    ): "stack(…, 1): three (B,) side by side, where the last dimension is number 1",
    (
        "4.35",
        "1 → 0 #6",
    ): "row -0 after L0: a call of one position has one row",
    (
        "4.35",
        "1 → 0 #7",
    ): "row -0 after L1: a call of one position has one row",
}
