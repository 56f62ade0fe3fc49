"""Mutants of rssm.py that compute the same as the answer, with the reasons."""

SAME_LENGTH = "posterior, prior and free nats have two levels each: nothing is left for `strict`"

EQUIVALENT = {
    ("4.6", "-1 → 1"): "embed_in is (B, 2 U): dimension 1 is the last one",
    (
        "4.10",
        "zip(split_levels(posterior, n_top), split_levels(prior, n_top), free, strict=True) → "
        "zip(split_levels(posterior, n_top), split_levels(prior, n_top), free)",
    ): SAME_LENGTH,
    ("4.10", "True → False"): SAME_LENGTH,
}
