"""Generic mutants of actor_critic.py that compute the same as the answer."""

EQUIVALENT = {
    (
        "2.13",
        "action - self.mean → self.mean - action",
    ): "the distance is squared: value and gradient are the same",
    (
        "2.17",
        "critic(feature[:, :-1].detach()) - returns.detach() → "
        "returns.detach() - critic(feature[:, :-1].detach())",
    ): "the error is squared: value and gradient are the same",
}
