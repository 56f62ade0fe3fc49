"""Mutants of rssm.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    ("2.3", "-1 → 1"): "z and action are (B, ·): dimension 1 is the last one",
    ("2.8", "(-2, -1) → (-1, -2)"): "a sum over two dimensions does not depend on their order",
    (
        "2.19",
        "normal_loss(self.reward(feature), batch['reward']) → "
        "normal_loss(batch['reward'], self.reward(feature))",
    ): "half the squared difference is the same both ways, in value and gradient",
}
