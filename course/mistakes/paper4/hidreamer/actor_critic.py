"""Wrong answers to the exercises of actor_critic.py: (old text, new text, what is read)."""

PARTS = "[codes[x] for codes, x in zip(self.codes, tokens.unbind(-1), strict=True)]"
JOIN = "torch.cat(parts, -1)"

REWARDS = "torch.cat([start, rewards], 1)"
CONTINUES = "torch.cat([start + 1, discount * goes_on], 1)"
NEVER = "torch.zeros_like(rewards), lambda_"
RETURNS = f"compute_lambda_returns(rewards, values, continues, {NEVER})"
WEIGHTS = "imagination_weights(continues)[:, :-1]"

TAKEN = "log_policy.gather(-1, action[..., None]).squeeze(-1)"
GAIN = "taken * advantage.detach() + entropy_scale * entropy(log_policy)"
REINFORCE = "-(weight.detach() * gain).mean()"

RATIO = f"({TAKEN} - before.detach()).exp()"
NEAR = "ratio.clamp(1 - clip, 1 + clip)"
LOWER = "torch.minimum(ratio * advantage.detach(), near * advantage.detach())"
PPO = "-(weight.detach() * (gain + entropy_scale * entropy(log_policy))).mean()"

MISTAKES = {
    "4.36": [
        (
            PARTS,
            "[self.codes[0][x] for x in tokens.unbind(-1)]",
            "you look up all tokens in the codebook of L0: each level has one of its own",
        ),
        (
            "zip(self.codes,",
            "zip(self.codes.flip(0),",
            "you look up L0 in the codebook of L2: the codebooks stand in the order of the levels",
        ),
        (
            JOIN,
            "sum(parts)",
            "you add the codes up; they stand side by side, so that each level can be told apart",
        ),
        (
            JOIN,
            "sum(parts) / 3",
            "you average the codes; they stand side by side",
        ),
        (
            JOIN,
            "torch.cat(parts[::-1], -1)",
            "your feature begins with the code of L2: the order is L0, L1, L2",
        ),
        (
            JOIN,
            "torch.stack(parts, -2)",
            "you stack the codes, (..., 3, E); asked for is one dimension, side by side",
        ),
        (
            JOIN,
            "torch.stack(parts, -1).flatten(-2)",
            "you mix the levels unit by unit: the whole code of L0 first, then L1's, then L2's",
        ),
        (
            JOIN,
            "torch.cat(parts)",
            "you put the codes one after the other along the first dimension; they stand side by "
            "side in the last",
        ),
        (
            JOIN,
            "parts[0]",
            "your feature is the code of L0 alone: the policy sees no details",
        ),
        (
            JOIN,
            "parts[-1]",
            "your feature is the code of L2 alone",
        ),
        (
            "tokens.unbind(-1)",
            "tokens.unbind(0)",
            "you take the first dimension of the tokens for the levels; they are in the last",
        ),
        (
            "tokens.unbind(-1)",
            "tokens.unbind(min(1, tokens.ndim - 1))",
            "you take dimension 1 for the levels, but that is time where tokens are (B, T, 3); "
            "levels are in the last",
        ),
        (
            JOIN,
            "torch.nn.functional.normalize(torch.cat(parts, -1), dim=-1)",
            "you scale the feature to length 1: it is the codes as they are; the network has a "
            "LayerNorm of its own",
        ),
        (
            PARTS,
            "[codes.cumsum(0)[x] for codes, x in zip(self.codes, tokens.unbind(-1))]",
            "you add up the codes before the token: look up the row of the token itself",
        ),
        (
            JOIN,
            JOIN + ".squeeze()",
            "you squeeze: a batch of one, (1, 3), becomes (1, F), and not (F,)",
        ),
    ],
    "4.37": [
        (
            REWARDS,
            "torch.cat([rewards, start], 1)",
            "you put the empty reward at the end: paper 3's rows hold what led to a state, and "
            "nothing led to the first",
        ),
        (
            CONTINUES,
            "torch.cat([discount * goes_on, start + 1], 1)",
            "your continues are one step too early: the first row is the start's, which is "
            "certain, and goes_on follows",
        ),
        (
            f"{REWARDS}\n    continues = {CONTINUES}",
            "torch.cat([rewards, start], 1)\n    "
            "continues = torch.cat([discount * goes_on, start + 1], 1)",
            "you shift neither rewards nor continues: paper 3 would take those of the state "
            "before for those that lead to it",
        ),
        (
            CONTINUES,
            "torch.cat([start + 1, goes_on], 1)",
            "you never discount: goes_on is a probability without γ",
        ),
        (
            CONTINUES,
            "torch.cat([start + 1, discount * discount * goes_on], 1)",
            "you discount twice",
        ),
        (
            CONTINUES,
            "discount * torch.cat([start + 1, goes_on], 1)",
            "you discount the start as well: its weight is 1",
        ),
        (
            CONTINUES,
            "torch.cat([start, discount * goes_on], 1)",
            "your start has a continuation of 0, so all weights are 0: the start is certain, 1",
        ),
        (
            CONTINUES,
            "torch.cat([start + 1, start + discount * torch.ones_like(goes_on)], 1)",
            "you do not use goes_on: after an end nothing follows",
        ),
        (
            CONTINUES,
            "torch.cat([start + 1, discount * (goes_on > 0.5).to(goes_on)], 1)",
            "you round goes_on to 0 or 1: it is a probability",
        ),
        (
            CONTINUES,
            "torch.cat([start + 1, discount * (1 - goes_on)], 1)",
            "you take goes_on for the probability of an end",
        ),
        (
            NEVER,
            "torch.zeros_like(rewards)",
            "you do not pass λ on: paper 3's is 0.95 unless another is given",
        ),
        (
            NEVER,
            "torch.ones_like(rewards), lambda_",
            "you say that every row is the last of its sequence: then λ is 0; none was cut",
        ),
        (
            NEVER,
            "1 - continues, lambda_",
            "you give 1 - c for `is_last`, but a state that may be the end is not where a "
            "sequence was cut",
        ),
        (
            RETURNS,
            RETURNS.replace("values,", "torch.cat([start, values[:, :-1]], 1),"),
            "you trust the value of the state itself: a return goes on with the next state's",
        ),
        (
            RETURNS,
            RETURNS.replace("values,", "torch.cat([values[:, :-1], start], 1),"),
            "you leave out the last value: a dream is cut after H steps, and its last state is "
            "worth what the critic says",
        ),
        (
            WEIGHTS,
            "imagination_weights(continues)",
            "you give the last state a weight: there is no action in it, so weights are (B, H)",
        ),
        (
            WEIGHTS,
            "imagination_weights(continues)[:, 1:]",
            "you count a state's own action in its weight: the product ends before it, and the "
            "first weight is 1",
        ),
        (
            WEIGHTS,
            "continues[:, :-1]",
            "your weights are single continues: all steps before have to have gone on, a product",
        ),
        (
            WEIGHTS,
            "torch.ones_like(returns)",
            "your weights are all 1: what comes after an end would count in full",
        ),
        (
            f"return returns, {WEIGHTS}",
            f"return {WEIGHTS}, returns",
            "you return the weights first: returns, then weights",
        ),
    ],
    "4.38": [
        (
            REINFORCE,
            REINFORCE[1:],
            "your sign is wrong: what is to grow is multiplied by -1, for a loss is minimised",
        ),
        (
            TAKEN,
            f"{TAKEN}.exp()",
            "you multiply by the probability of the action; REINFORCE takes its logarithm",
        ),
        (
            TAKEN,
            f"{TAKEN}.detach()",
            "you detach the log-probability: it is what REINFORCE learns by",
        ),
        (
            TAKEN,
            "log_policy.amax(-1)",
            "you take the likeliest action: what counts is the action that was taken",
        ),
        (
            TAKEN,
            "log_policy.clamp(min=-100).sum(-1)",
            "you sum over all actions: only the action that was taken counts",
        ),
        (
            TAKEN,
            "torch.log_softmax(log_policy.exp(), -1).gather(-1, action[..., None]).squeeze(-1)",
            "you take the softmax once more, of probabilities: log_policy is log π already",
        ),
        (
            TAKEN,
            "log_policy.gather(-1, action[..., None])",
            "you keep the last dimension of gather: (B, H, 1) times (B, H) is (B, H, H), every "
            "action with every advantage",
        ),
        (
            "advantage.detach()",
            "advantage",
            "your advantage has a gradient: it is a constant, detach it",
        ),
        (
            "advantage.detach()",
            "advantage.detach().clamp(min=0)",
            "you forget bad actions: a negative advantage makes its action less likely",
        ),
        (
            "advantage.detach()",
            "(advantage.detach() - advantage.detach().mean())",
            "you take the mean of the batch from the advantage; it is given as it is to be used",
        ),
        (
            GAIN,
            "advantage.detach() + entropy_scale * entropy(log_policy)",
            "you left out log π: without it no action becomes likelier",
        ),
        (
            GAIN,
            GAIN.replace(" + ", " - "),
            "your entropy has the wrong sign: it is a bonus, and the loss falls as it rises",
        ),
        (
            GAIN,
            "taken * advantage.detach()",
            "you left out the entropy",
        ),
        (
            "entropy_scale * entropy(log_policy)",
            "entropy(log_policy)",
            "you left out entropy_scale",
        ),
        (
            "entropy_scale * entropy(log_policy)",
            "entropy_scale * entropy(log_policy).detach()",
            "your entropy has no gradient: the policy cannot learn to keep it up",
        ),
        (
            "entropy(log_policy)",
            "-(log_policy.exp() * log_policy).sum(-1)",
            "your entropy is NaN where an action is not legal, for 0 · -inf is no number: take "
            "`entropy`",
        ),
        (
            "entropy(log_policy)",
            "-taken",
            "your entropy is -log π of the action taken; take the mean over all actions: `entropy`",
        ),
        (
            GAIN,
            "(taken + entropy_scale * entropy(log_policy)) * advantage.detach()",
            "you multiply the entropy by the advantage; it is a bonus whatever the action was "
            "worth",
        ),
        (
            REINFORCE,
            "-gain.mean()",
            "you do not use the weights: what comes after an end counts in full",
        ),
        (
            f"gain = {GAIN}\n    return {REINFORCE}",
            "gain = taken * advantage.detach()\n"
            f"    return {REINFORCE} - entropy_scale * entropy(log_policy).mean()",
            "your entropy is not weighted: that of a state counts with its weight, like the rest",
        ),
        (
            "weight.detach()",
            "weight",
            "your weights have a gradient: they are constants, detach them",
        ),
        (
            REINFORCE,
            REINFORCE.replace("mean()", "sum()"),
            "you sum over all states: take the mean",
        ),
        (
            REINFORCE,
            REINFORCE.replace("mean()", "sum(1).mean()"),
            "you sum over the states of a dream: take the mean over all states",
        ),
        (
            REINFORCE,
            REINFORCE.replace("mean()", "mean(1)"),
            "your loss has a number for each dream: take the mean over all states",
        ),
        (
            REINFORCE,
            REINFORCE.replace("mean()", "sum() / weight.detach().sum()"),
            "you divide by the sum of the weights: take the plain mean over states",
        ),
        (
            "entropy(log_policy)",
            "-(log_policy.exp() * log_policy).nan_to_num().sum(-1)",
            "your entropy is a number, but its gradient is not: 0 · -inf stays in the backward "
            "pass. Replace -inf before multiplying, as `entropy` does",
        ),
        (
            TAKEN,
            TAKEN.replace("squeeze(-1)", "squeeze()"),
            "you squeeze all dimensions of 1, where dreams have one state also that of time: "
            "squeeze(-1)",
        ),
    ],
    "4.39": [
        (
            RATIO,
            RATIO.removesuffix(".exp()"),
            "your ratio is its logarithm: exp of the difference of both log-probabilities",
        ),
        (
            RATIO,
            f"{TAKEN}.exp()",
            "you left out the probability then: the ratio is now ÷ then",
        ),
        (
            RATIO,
            f"(before.detach() - {TAKEN}).exp()",
            "your ratio is then ÷ now; it is now ÷ then",
        ),
        (
            RATIO,
            f"{TAKEN} / before.detach()",
            "you divide log-probabilities: the ratio is that of probabilities, exp of the "
            "difference",
        ),
        (
            "before.detach()",
            "before",
            "the probability then has a gradient: it is a constant, detach it",
        ),
        (
            RATIO,
            f"{RATIO}.detach()",
            "your ratio has no gradient: it is what the policy learns by",
        ),
        (
            NEAR,
            "ratio.clamp(max=1 + clip)",
            "you clip above alone: a bad action that is unlikely enough is pushed on",
        ),
        (
            NEAR,
            "ratio.clamp(min=1 - clip)",
            "you clip below alone: a good action that is likely enough is pushed on",
        ),
        (
            NEAR,
            "ratio.clamp(-clip, clip)",
            "you clip around 0: a ratio of 1 is no change, so 1 ± clip",
        ),
        (
            NEAR,
            "ratio.log().clamp(-clip, clip).exp()",
            "you clip the logarithm of the ratio: it is the ratio that stays within 1 ± clip",
        ),
        (
            NEAR,
            "ratio.clamp(0.8, 1.2)",
            "you clip at 0.2 whatever the caller gives",
        ),
        (
            NEAR,
            "ratio.clamp(1 / (1 + clip), 1 + clip)",
            "you clip below at 1 / (1 + clip); the bound is 1 - clip",
        ),
        (
            LOWER,
            LOWER.replace("minimum", "maximum"),
            "you take the larger of both products: the smaller one counts, so that going further "
            "gains nothing",
        ),
        (
            LOWER,
            "near * advantage.detach()",
            "you take the clipped product alone: where a step went the wrong way, no gradient "
            "leads back",
        ),
        (
            LOWER,
            "ratio * advantage.detach()",
            "you take the product without clipping alone: nothing keeps the policy near",
        ),
        (
            LOWER,
            "torch.minimum(ratio, near) * advantage.detach()",
            "you take the smaller ratio, then multiply: with a negative advantage that is the "
            "larger product",
        ),
        (
            LOWER,
            LOWER.replace("advantage.detach()", "advantage"),
            "your advantage has a gradient: it is a constant, detach it",
        ),
        (
            LOWER,
            LOWER.replace("advantage.detach()", "advantage.detach().abs()"),
            "you drop the sign of the advantage: bad actions are to become less likely",
        ),
        (
            PPO,
            PPO[1:],
            "your sign is wrong: what is to grow is multiplied by -1, for a loss is minimised",
        ),
        (
            "gain + entropy_scale * entropy(log_policy)",
            "gain - entropy_scale * entropy(log_policy)",
            "your entropy has the wrong sign: it is a bonus, and the loss falls as it rises",
        ),
        (
            "gain + entropy_scale * entropy(log_policy)",
            "gain",
            "you left out the entropy: as in REINFORCE it is a bonus",
        ),
        (
            "entropy_scale * entropy(log_policy)",
            "entropy(log_policy)",
            "you left out entropy_scale",
        ),
        (
            "entropy(log_policy)",
            "-(log_policy.exp() * log_policy).sum(-1)",
            "your entropy is NaN where an action is not legal: 0 · -inf is no number, which "
            "`entropy` takes care of",
        ),
        (
            LOWER,
            "torch.minimum(*((x * advantage.detach()).mean() for x in (ratio, near)))",
            "you take the mean before the smaller of both: compare state by state",
        ),
        (
            PPO,
            "-(gain + entropy_scale * entropy(log_policy)).mean()",
            "you left out the weights: what comes after an end counts in full",
        ),
        (
            PPO,
            "-(weight.detach() * gain).mean() - entropy_scale * entropy(log_policy).mean()",
            "your entropy is not weighted: it counts with the weight of its state, as in REINFORCE",
        ),
        (
            "weight.detach()",
            "weight",
            "the weights have a gradient here: they are constants, detach them",
        ),
        (
            PPO,
            PPO.replace("mean()", "sum()"),
            "you add up all states: take the mean",
        ),
        (
            PPO,
            PPO.replace("mean()", "sum(1).mean()"),
            "you add up the states of a dream: take the mean over all states",
        ),
        (
            PPO,
            PPO.replace("mean()", "sum() / weight.detach().sum()"),
            "you divide by the weights' sum: take the plain mean over states",
        ),
        (
            "entropy(log_policy)",
            "-(log_policy.exp() * log_policy).nan_to_num().sum(-1)",
            "your entropy is a number, but its gradient is NaN: 0 · -inf stays in the backward "
            "pass. Replace -inf before multiplying, as `entropy` does",
        ),
        (
            TAKEN,
            TAKEN.replace("squeeze(-1)", "squeeze()"),
            "squeeze() takes all dimensions of 1, where dreams have one state also that of time: "
            "squeeze(-1)",
        ),
        (
            LOWER,
            LOWER + ".maximum(3 * advantage.detach().clamp(max=0) - 9e9 * (advantage > 0))",
            "you bound the loss of bad actions too (dual clip): equation 7 does not, so that what "
            "has become too likely is taken back",
        ),
        (
            RATIO,
            RATIO.replace(").exp()", ").clamp(-1, 1).exp()"),
            "you clip the logarithm of the ratio as well: where it is far off, nothing leads back",
        ),
    ],
}
