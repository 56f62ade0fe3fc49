"""Mutants of buffer.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "1.18",
        "self.current = [] → pass #2",
    ): "the next row has is_first, which begins a new list, and stored arrays are copies",
    (
        "1.19",
        "max(0, len(e['reward']) - length + 1) → max(len(e['reward']) - length + 1, 0)",
    ): "the larger of two numbers, in whatever order they stand",
}
