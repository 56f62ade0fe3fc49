"""Mutants of train.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {
    ("3.30", "h.detach() → h"): "rssm.imagine runs without gradient: all that it makes is detached",
    ("3.30", "z.detach() → z"): "rssm.imagine runs without gradient: all that it makes is detached",
    (
        "3.32",
        "critic_loss(self.critic, logits, target, slow_value, 1 - rows['is_last'][:, :-1]) → "
        "critic_loss(self.critic, logits, slow_value, target, 1 - rows['is_last'][:, :-1])",
    ): "the two cross-entropies are added up",
    ("3.32", "state.detach() → state"): "critic_loss detaches the slow critic's values",
    (
        "3.33",
        "critic_loss(self.critic, value_logits, returns, slow_values, weight) → "
        "critic_loss(self.critic, value_logits, slow_values, returns, weight)",
    ): "the two cross-entropies are added up",
    (
        "3.33",
        "value_logits.detach() → value_logits",
    ): "the three losses detach returns, values and bootstraps; only metrics would carry a graph",
    ("3.33", ":-1 → : #5"): "two_hot_loss picks as many logits as there are targets",
}
