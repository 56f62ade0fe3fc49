"""Mutants of rssm.py that compute the same as the answer, with the reasons."""

SAME_LENGTH = "all parts have the length T, or three of them: nothing is left for `strict` to say"

EQUIVALENT = {
    ("3.12", "-1 → 1"): "the three embeddings are (B, ·): dimension 1 is the last one",
    (
        "3.15",
        "zip(keep.unbind(1), action_in.unbind(1), embed_in.unbind(1), strict=True) → "
        "zip(keep.unbind(1), action_in.unbind(1), embed_in.unbind(1))",
    ): SAME_LENGTH,
    ("3.15", "True → False"): SAME_LENGTH,
    ("3.15", "zip(*steps, strict=True) → zip(*steps)"): SAME_LENGTH,
    ("3.15", "True → False #2"): SAME_LENGTH,
    ("3.17", "0 → -1"): "there is one state at this moment: it is the first and the last",
}
