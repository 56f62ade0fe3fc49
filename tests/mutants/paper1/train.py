"""Mutants of train.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "1.28",
        "2 * torch.rand_like(policy.mean) - 1 → 1 - 2 * torch.rand_like(policy.mean)",
    ): "1 - 2 u is as uniform as 2 u - 1",
    ("1.30", ":-1 → : #2"): "the returns have as many steps as rewards: one more is not looked at",
    (
        "1.31",
        "optimizer.zero_grad(set_to_none=True) → optimizer.zero_grad()",
    ): "that is torch's default",
    ("1.31", "True → False"): "gradients of zero, to which the new ones are added",
    ("1.33", "0 → -1 #2"): "a batch of one action: the first is the last",
}
