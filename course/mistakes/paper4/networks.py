"""Known mistakes in networks.py: {exercise: [(old text, new text, what is wrong)]}."""

MISTAKES = {
    "4.1": [
        (
            "prior.detach()",
            "prior",
            "you let the gradient run into the prior, so reconstruction trains it through the "
            "posterior: here the prior is a constant",
        ),
        (
            "prior.detach() + delta",
            "prior + delta.detach()",
            "you detach the wrong one: the delta learns, the prior does not",
        ),
        (
            "+ delta",
            "+ delta.detach()",
            "you detach the delta too, so the posterior could not learn anything",
        ),
        (
            "gate * prior.detach()",
            "(gate * prior).detach()",
            "you detach the product, gate and all: the gate is a parameter, and learns",
        ),
        (
            "prior.detach()",
            "prior.detach_()",
            "detach_ works in place: it cuts the prior off for everyone, and the dynamics loss "
            "could not train it any more. detach() cuts a copy",
        ),
        (
            "gate * prior.detach() + delta",
            "gate * prior.detach()",
            "the delta is missing: what you return knows nothing of the observation",
        ),
        (
            "gate * prior.detach() + delta",
            "delta",
            "the prior is missing: the posterior is to begin with what is expected, and add the "
            "delta",
        ),
        (
            "gate * prior.detach()",
            "prior.detach()",
            "the gate is missing: with g = 0, as after a conversion, the prior must not count",
        ),
        (
            "gate * prior.detach() + delta",
            "prior.detach() + gate * delta",
            "you put the gate on the delta: it scales the prior",
        ),
        (
            "gate * prior.detach() + delta",
            "gate * (prior.detach() + delta)",
            "you put the gate on the whole sum: it scales the prior alone",
        ),
        (
            "gate * prior.detach() + delta",
            "gate * prior.detach() + (1 - gate) * delta",
            "you mix prior and delta, so with g = 1 the observation would not count: the delta is "
            "added in full",
        ),
        (
            "gate * prior.detach() + delta",
            "delta - gate * prior.detach()",
            "you take the prior away: the delta comes on top of it",
        ),
        (
            "gate * prior.detach()",
            "gate * torch.softmax(prior.detach(), -1)",
            "you add the delta to probabilities: the residual is one of raw logits",
        ),
        (
            "gate * prior.detach()",
            "gate * torch.log_softmax(prior.detach(), -1)",
            "you normalise the prior's logits first: they are taken raw, as the network made them",
        ),
        (
            "gate * prior.detach() + delta",
            "delta.add_(gate * prior.detach())",
            "you change delta in place: it belongs to the caller",
        ),
        (
            "gate * prior.detach()",
            "gate.clamp(0, 1) * prior.detach()",
            "you clamp the gate: it is a free parameter, and may leave 0 to 1",
        ),
        (
            "gate * prior.detach()",
            "torch.sigmoid(gate) * prior.detach()",
            "you take a sigmoid of the gate: it is the factor itself, 1 at first",
        ),
        (
            "gate * prior.detach()",
            "(1 - gate) * prior.detach()",
            "you turn the gate round: at 1 the prior counts in full, at 0 not at all",
        ),
        (
            "return gate * prior.detach() + delta",
            "return delta if gate == 0 else gate * prior.detach() + delta",
            "you leave the prior out where the gate is 0: the gate has no gradient then, and "
            "could never leave 0",
        ),
    ],
    "4.2": [
        (
            "entropy(probs.flatten(0, -3).mean(0)).exp()",
            "entropy(probs).flatten(0, -2).mean(0).exp()",
            "you average the entropies: a categorical that is sure of another class at each step "
            "would seem to use one. The average of the probabilities comes first",
        ),
        (
            "entropy(probs.flatten(0, -3).mean(0)).exp()",
            "entropy(probs).exp().flatten(0, -2).mean(0)",
            "you average over rows at the very end: it is the first thing to do, on the "
            "probabilities",
        ),
        (
            ".exp()",
            "",
            "exp is missing: you return the entropy, in nats; exp makes a number of classes of it",
        ),
        (
            ".exp()",
            ".exp2()",
            "you raise 2 to the entropy: `entropy` is in nats, so the base is e",
        ),
        (
            "entropy(probs.flatten(0, -3).mean(0))",
            "(-entropy(probs.flatten(0, -3).mean(0)))",
            "the sign is wrong: `entropy` is positive already, and exp(-H) is the inverse of the "
            "number of classes",
        ),
        (
            ".mean(0)",
            ".sum(0)",
            "you sum over the rows: the average of probabilities is a distribution again, the sum "
            "is not",
        ),
        (
            "probs.flatten(0, -3).mean(0)",
            "probs.mean(0)",
            "you average over the first dimension alone: all leading dimensions are rows",
        ),
        (
            "probs.flatten(0, -3).mean(0)",
            "probs.flatten(0, -2).mean(0)",
            "you average over the categoricals as well: each has a perplexity of its own, (S,)",
        ),
        (
            "probs.flatten(0, -3).mean(0)",
            "probs.flatten(0, -3).mean(1)",
            "you average the categoricals of each row: the average runs over the rows, (S, K) is "
            "left",
        ),
        (
            ".exp()",
            ".exp().mean()",
            "you return one number for all categoricals: each keeps its own, (S,)",
        ),
        (
            "entropy(probs.flatten(0, -3).mean(0)).exp()",
            "(probs.flatten(0, -3).mean(0) > 0).to(probs.dtype).sum(-1)",
            "you count the classes that occur: perplexity weighs them, and a rare one adds little",
        ),
        (
            "entropy(probs.flatten(0, -3).mean(0)).exp()",
            "1 / probs.flatten(0, -3).mean(0).square().sum(-1)",
            "you take 1 / Σ p², another number of effective classes: perplexity is exp of the "
            "entropy",
        ),
        (
            "probs.flatten(0, -3).mean(0)",
            "torch.eye(probs.shape[-1]).to(probs)[probs.argmax(-1)].flatten(0, -3).mean(0)",
            "you count the most probable class of each row: average the probabilities themselves",
        ),
        (
            "entropy(probs.flatten(0, -3).mean(0)).exp()",
            "(probs * probs.log()).flatten(0, -3).mean(0).sum(-1).neg().exp()",
            "you take p log p of single rows, where a probability of 0 gives NaN: average first, "
            "then use `entropy`, which is ready for zeros",
        ),
    ],
    "4.3": [
        (
            "1 - is_first[:, 1:].float()",
            "torch.ones_like(is_first[:, 1:])",
            "you count the step from one episode into the next: where is_first is 1 the step "
            "before belongs to another one",
        ),
        (
            "1 - is_first[:, 1:].float()",
            "1 - is_first[:, :-1].float()",
            "you look at the flag of the earlier step: a pair is cut where the later one begins an "
            "episode",
        ),
        (
            "1 - is_first[:, 1:].float()",
            "is_first[:, 1:].float()",
            "you keep the pairs that are to be left out, and leave out the others",
        ),
        (
            "inside.sum().clamp(min=1)",
            "max(inside.numel(), 1)",
            "you divide by all pairs of neighbours: those between two episodes do not count below "
            "the line either",
        ),
        (
            "inside.sum().clamp(min=1)",
            "inside.sum()",
            "you divide 0 by 0 where no two steps are of one episode: that is to be 0, not NaN",
        ),
        (
            "(changed * inside).sum() / inside.sum().clamp(min=1)",
            "((changed * inside).sum(1) / inside.sum(1).clamp(min=1)).mean()",
            "you average each sequence first: every pair of neighbours counts the same, and some "
            "sequences have fewer",
        ),
        (
            ".float().mean(-1)",
            ".any(-1).float()",
            "you ask whether any categorical changes: it is the share of them that do",
        ),
        (
            ".float().mean(-1)",
            ".float().sum(-1)",
            "you count the categoricals that change: divide by how many there are",
        ),
        (
            "!=",
            "==",
            "you count what stays the same: the rate is of what changes",
        ),
        (
            "code[:, :-1]",
            "code[:, :1]",
            "you compare every step with the first one: compare it with the one before",
        ),
        (
            "z.argmax(-1)",
            "z.argmax(-2)",
            "your argmax runs over the categoricals: a class is found along the last dimension",
        ),
        (
            "z.argmax(-1)",
            "z.flatten(-2)",
            "you compare the entries of one-hot vectors: a change moves only two of K entries, so "
            "your rate is too low",
        ),
        (
            "(code[:, 1:] != code[:, :-1])",
            "(code[:, 1:] - code[:, :-1]).abs()",
            "you take the distance of class numbers: classes have no order, a change is a change",
        ),
        (
            "inside = 1 - is_first[:, 1:].float()",
            "inside = (is_first.cumsum(1)[:, 1:] == 0).float()",
            "you count the first episode of a sequence alone: those after it have pairs of "
            "neighbours too",
        ),
        (
            "(changed * inside).sum() / inside.sum().clamp(min=1)",
            "changed.mean()",
            "you average over all pairs: those between two episodes do not count, and where "
            "there is no pair at all it is 0, not NaN",
        ),
        (
            "(changed * inside).sum() / inside.sum().clamp(min=1)",
            "(changed * inside).mean()",
            "you set the pairs between two episodes to 0 and average over all: divide by those "
            "that count, and where there are none return 0",
        ),
        (
            "(code[:, 1:] != code[:, :-1]).float().mean(-1)",
            "(z[:, 1:] - z[:, :-1]).abs().sum(-1).mean(-1)",
            "you count each change twice: it moves two entries of a one-hot vector",
        ),
    ],
}
