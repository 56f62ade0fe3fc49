"""Mutants of probes.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    ("4.16", "1 → 2"): "x * (y.max() + 2) + y also numbers pairs so that no two are the same",
    (
        "4.18",
        "(('top', top), ('bottom', bottom)) → (('bottom', bottom), ('top', top))",
    ): "all four means are there before one is used",
    ("4.18", "('ego', 'world') → ('world', 'ego')"): "all four means are there before one is used",
    ("4.18", "np.maximum(x, 0) → np.maximum(0, x)"): "the larger of two numbers, in either order",
}
