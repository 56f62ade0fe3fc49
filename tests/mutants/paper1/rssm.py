"""Mutants of rssm.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    ("1.10", "-1 → 1"): "z and action are (B, ·): dimension 1 is the last one",
    ("1.10", "0 → -1"): "the GRU takes one step, so the first output is also the last",
    ("1.14", "0 → -1"): "the GRU has one layer, so its first state is also the last",
    ("1.15", "mean_p - mean_q → mean_q - mean_p"): "the difference is squared",
    (
        "1.27",
        "normal_loss(self.reward(feature), reward) → normal_loss(reward, self.reward(feature))",
    ): "half the squared difference is the same both ways, in value and gradient",
}
