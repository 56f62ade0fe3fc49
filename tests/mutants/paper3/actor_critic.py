"""Mutants of actor_critic.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    (
        "3.26",
        "critic.loss(logits, target.detach(), slow_value.detach()) → "
        "critic.loss(logits, slow_value.detach(), target.detach())",
    ): "critic.loss adds up its targets: a sum does not depend on their order",
    (
        "3.27",
        "zip(slow.parameters(), fast.parameters(), strict=True) → "
        "zip(slow.parameters(), fast.parameters())",
    ): "both critics have the same number of parameters",
    ("3.27", "True → False"): "both critics have the same number of parameters",
}
