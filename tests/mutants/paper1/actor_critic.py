"""Generic mutants of actor_critic.py that compute the same as the answer."""

EQUIVALENT = {
    (
        "1.26",
        "values - returns.detach() → returns.detach() - values",
    ): "the difference is squared: value and gradient are the same",
}
