"""Mutants of networks.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "2.1",
        "below <= torch.rand_like(probs[..., :1]) → below < torch.rand_like(probs[..., :1])",
    ): "differs where u is exactly a cumulative probability; other ways to draw have no such u",
    ("2.1", "probs.detach() → probs #2"): "a comparison has no gradient",
    ("2.2", "-1 → 1"): "inputs are (B, ·): the last dimension is dimension 1",
    ("2.2", "-1 → 1 #2"): "inputs are (B, ·): the last dimension is dimension 1",
    (
        "2.10",
        "zip(self.convs, self.norms, strict=True) → zip(self.convs, self.norms)",
    ): "both lists have four entries",
    ("2.10", "True → False"): "both lists have four entries",
}
