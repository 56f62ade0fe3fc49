"""Mutants of actor_critic.py that compute the same as the answer, with the reasons."""

CODES = "zip(self.codes, tokens.unbind(-1), strict=True)"
NEAR, FREE = "near * advantage.detach()", "ratio * advantage.detach()"

EQUIVALENT = {
    (
        "4.36",
        f"{CODES} → zip(self.codes, tokens.unbind(-1))",
    ): "both have a row for each of the three levels, whether zip makes sure of it or not",
    (
        "4.36",
        "True → False",
    ): "both have a row for each of the three levels, whether zip makes sure of it or not",
    (
        "4.39",
        f"torch.minimum({FREE}, {NEAR}) → torch.minimum({NEAR}, {FREE})",
    ): "the smaller of two, whichever comes first; where they are equal nothing is clipped",
}
