"""Mutants of train.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    ("2.21", ":-1 → : #2"): "the returns have as many steps as rewards: one more is not looked at",
    (
        "2.22",
        "optimizer.zero_grad(set_to_none=True) → optimizer.zero_grad()",
    ): "that is torch's default",
    ("2.22", "True → False"): "gradients of zero, to which the new ones are added",
}
