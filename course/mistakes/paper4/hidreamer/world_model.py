"""Wrong answers to the exercises of world_model.py: (old text, new text, what a learner reads)."""

PARTS = "[*parts, self.actions(actions)]"
ROWS = "parts = [table(x) for table, x in zip(self.codes, tokens.unbind(-1), strict=True)]"
STEPS = "steps = self.steps(torch.arange(x.shape[1], device=x.device))"
SUM = "(x + self.slots.weight + steps[:, None])"
APART = """\
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, n, 3, H, D/H)
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
"""
EXTEND = "key, value = cache.extend(self.number, key, value)"
READ = (
    "read = F.scaled_dot_product_attention("
    "query, key, value, attn_mask=mask, dropout_p=dropout)"
)  # fmt: skip
BY_HAND = """\
scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        weights = {weights}
        read = {read}"""
HIDDEN = "scores.masked_fill(~mask, float('-inf'))"
TOGETHER = "read.transpose(1, 2).flatten(2)"
ROW_OF_L0 = "hidden[:, :-1, ACTION], hidden[:, :, 0], hidden[:, :, 1]"
TARGETS = "targets = tokens[:, 1:, 0], tokens[:, :, 1], tokens[:, :, 2]"
ENTROPY = "F.cross_entropy(head(row).flatten(0, 1), target.flatten())"
REWARD = 'self.reward.loss(self.reward(acted), batch["reward"])'
GOES_ON = "goes_on = 1 - batch["
LEVELS = 'sum(weight * parts[f"ce{level}"] for level, weight in enumerate(WEIGHTS))'
TOTAL = 'total = levels + parts["reward"] + parts["continue"]'
SAME = "tokens[:, 1:] == tokens[:, :-1]"
SHARE = "float(x.double().mean())"
TRIPLE = "(before * actions + action) * codes + after"
TABLE = "torch.where(count.sum(-1) > 0, count.argmax(-1), itself)"
FIRST_SEEN = """\
seen = {x: i for i, x in reversed(list(enumerate(triple.flatten().tolist())))}
    first = torch.tensor([seen.get(i, 0) for i in range(count.numel())]).view_as(count)
    return torch.where(count.sum(-1) > 0, (count * triple.numel() - first).argmax(-1), itself)"""

MISTAKES = {
    "4.30": [
        (
            PARTS,
            "[self.actions(actions), *parts]",
            "you put the action first: a step is L0, L1, L2, A, since A is chosen after seeing "
            "the tokens",
        ),
        (
            PARTS,
            "[*parts[::-1], self.actions(actions)]",
            "you put the fine token first: a step is L0, L1, L2, A",
        ),
        (
            ROWS,
            ROWS.replace("self.codes,", "reversed(self.codes),"),
            "you exchange the tables: codes[0] is that of L0, codes[2] that of L2",
        ),
        (
            ROWS,
            "parts = [self.codes[0](x) for x in tokens.unbind(-1)]",
            "you look all levels up in the table of L0: code 7 means something else on each level, "
            "so each has a table",
        ),
        (
            PARTS,
            "[*parts, self.codes[0](actions)]",
            "you look the actions up in a table of codes: they have a table of their own",
        ),
        (
            PARTS,
            "[*parts, self.actions(actions.roll(1, 1))]",
            "your row A of step t holds the action before: it is the one chosen at step t",
        ),
        (
            STEPS + "\n        return " + SUM,
            STEPS.replace("x.shape[1]", "4 * x.shape[1]")
            + "\n        return (x + self.slots.weight + steps.view(x.shape[1], 4, -1))",
            "you number flat positions: the four tokens of a step share one row of the table of "
            "steps; which of the four it is, the slot says",
        ),
        (
            SUM,
            "(x + steps[:, None])",
            "you leave out the slots: nothing says which row is L0, and which L2",
        ),
        (
            SUM,
            "(x + self.slots.weight)",
            "you leave out the steps: attention itself knows no order",
        ),
        (
            SUM,
            "(x + self.slots.weight[torch.arange(x.shape[1]) % 4, None] + steps[:, None])",
            "you add the slots along the steps: all four tokens of a step get one slot",
        ),
        (
            SUM,
            "(x + self.slots.weight + self.steps.weight[:4])",
            "you add the steps along the slots: row s of the table of steps is not slot s",
        ),
        (
            "torch.arange(x.shape[1], device=x.device)",
            "torch.arange(x.shape[1], device=x.device).flip(0)",
            "you count steps from the window's end: its first step is 0",
        ),
        (
            "torch.arange(x.shape[1], device=x.device)",
            "torch.arange(x.shape[1], device=x.device) + 1",
            "you count steps from 1: the first is 0",
        ),
        (
            "steps[:, None]).flatten(1, 2)",
            "steps[:, None]).transpose(1, 2).flatten(1, 2)",
            "you put all L0 first, then all L1: positions go step by step, the four slots of each "
            "together",
        ),
        (
            "steps[:, None]).flatten(1, 2)",
            "steps[:, None])",
            "you return (B, T, 4, D): steps and slots become one dimension of 4 T positions",
        ),
        (
            "steps[:, None]).flatten(1, 2)",
            "steps[:, None]).flatten(2)",
            "you join the four tokens of a step into one wide row: each is a position",
        ),
        (
            SUM,
            "(x * self.slots.weight * steps[:, None])",
            "you multiply with slot and step: all three are added",
        ),
        (
            SUM,
            "(x * x.shape[-1] ** 0.5 + self.slots.weight + steps[:, None])",
            "you scale the tables by √D, as the first transformer did: here nothing is scaled",
        ),
        (
            SUM,
            "(x + (self.slots.weight + steps[:, None]).detach())",
            "you detach slots and steps: these tables learn like the others",
        ),
    ],
    "4.31": [
        (
            APART,
            """\
        qkv = self.qkv(x).unflatten(-1, (self.heads, 3, -1))
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(3))
""",
            "you cut qkv into heads first: it is all queries, all keys, all values; each of these "
            "is then cut into heads",
        ),
        (
            "unflatten(-1, (3, self.heads, -1))",
            "unflatten(-1, (3, -1, self.heads)).transpose(-2, -1)",
            "you give each head every H-th number: a head is D/H neighbours",
        ),
        (
            "query, key, value = (part",
            "key, query, value = (part",
            "you exchange queries and keys: qkv makes queries first",
        ),
        (
            "query, key, value = (part",
            "query, value, key = (part",
            "you exchange keys and values: qkv makes queries, keys, values, in this order",
        ),
        (
            "query, key, value, attn_mask",
            "query * query.shape[-1] ** -0.5, key, value, attn_mask",
            "you scale twice: scaled_dot_product_attention divides by √(D/H) itself",
        ),
        (
            "dropout_p=dropout)",
            "dropout_p=dropout, scale=1.0)",
            "you do not scale: scores are divided by √(D/H), else wide heads see one position only",
        ),
        (
            "dropout_p=dropout)",
            "dropout_p=dropout, scale=x.shape[-1] ** -0.5)",
            "you divide scores by √D: a head's products have D/H terms, so it is √(D/H)",
        ),
        (
            "attn_mask=mask",
            "attn_mask=~mask",
            "you turn the mask round: True is allowed",
        ),
        (
            "attn_mask=mask",
            "attn_mask=mask.T",
            "you transpose the mask: its rows are the new positions, its columns what they read",
        ),
        (
            "attn_mask=mask, ",
            "",
            "you do not use the mask: every position sees everything, the future too",
        ),
        (
            "attn_mask=mask",
            "is_causal=True",
            "you replace the mask by the causal one: rules may hide more than the future, and with "
            "a cache row 0 is not position 0",
        ),
        (
            "attn_mask=mask",
            "attn_mask=mask.to(x.dtype)",
            "you add the mask as numbers: 1 more for what is allowed hides nothing. A bool mask "
            "hides, or one of 0 and -inf",
        ),
        (
            READ,
            BY_HAND.format(
                weights="scores.softmax(-1) * mask",
                read="F.dropout(weights, dropout) @ value",
            ),
            "you mask after the softmax: then the weights of a row no longer sum to 1. Hidden "
            "scores become -inf before it",
        ),
        (
            READ,
            BY_HAND.format(
                weights=HIDDEN + ".softmax(-2).nan_to_num()",
                read="F.dropout(weights, dropout) @ value",
            ),
            "your softmax runs over the queries: the weights of one query, over all keys, sum to 1",
        ),
        (
            "if cache:",
            "if False:",
            "you ignore the cache: new positions do not see earlier ones, and nothing is kept for "
            "later",
        ),
        (
            EXTEND,
            "cache.extend(self.number, key, value)",
            "you store keys and values, but go on with the new ones alone: `extend` returns all "
            "of them",
        ),
        (
            EXTEND,
            "key, value = cache.extend(self.number, value, key)",
            "you hand the values to the cache as keys: `extend` takes the keys first",
        ),
        (
            "cache.extend(self.number,",
            "cache.extend(0,",
            "all your blocks share the cache's first place and overwrite each other: hand over "
            "self.number",
        ),
        (
            EXTEND,
            EXTEND + "\n            cache.length += x.shape[1]",
            "you move the cache's length on: `Transformer.forward` does, after the last block; "
            "the blocks above yours still need the old one",
        ),
        (
            "self.dropout if self.training else 0.0",
            "self.dropout",
            "you drop weights in evaluation too: dropout_p knows nothing of self.training",
        ),
        (
            "self.dropout if self.training else 0.0",
            "0.0",
            "you never drop a weight: in training each becomes 0 with probability self.dropout",
        ),
        (
            "self.dropout if self.training else 0.0",
            "1 - self.dropout if self.training else 0.0",
            "you keep weights with probability self.dropout: that is the share that goes",
        ),
        (
            READ,
            READ.replace("dropout_p=dropout", "dropout_p=0.0")
            + "\n        read = F.dropout(read, dropout)",
            "you drop what was read: here it is the weights; `forward` drops results",
        ),
        (
            "return self.out(" + TOGETHER + ")",
            "return " + TOGETHER,
            "you leave out `out`: it mixes what the heads have read",
        ),
        (
            TOGETHER,
            "read.reshape(x.shape)",
            "you put (B, H, n, D/H) into another shape without moving the heads back: a row gets "
            "numbers of other positions",
        ),
        (
            TOGETHER,
            "read.permute(0, 2, 3, 1).flatten(2)",
            "you deal the heads out number by number: each head's numbers stay neighbours",
        ),
        (
            TOGETHER,
            "read.flip(1).transpose(1, 2).flatten(2)",
            "your heads stand in the reverse order before `out`",
        ),
        (
            "return self.out(",
            "return x + self.out(",
            "you add x: `forward` does, and it adds what was not normed",
        ),
        (
            "self.qkv(x)",
            "self.qkv(self.norm1(x))",
            "you norm x: `forward` has done it",
        ),
        (
            "query, key, value, attn_mask",
            "query, key.detach(), value.detach(), attn_mask",
            "you detach keys and values: earlier positions learn what later ones need of them",
        ),
        (
            READ,
            BY_HAND.format(
                weights="scores.exp() * mask / (scores.exp() * mask).sum(-1, keepdim=True)",
                read="F.dropout(weights, dropout) @ value",
            ),
            "you take exp of the scores themselves: of 89 it is infinite in float32. softmax "
            "subtracts the row's largest score first",
        ),
        (
            READ,
            BY_HAND.format(
                weights="(scores.softmax(-1) * mask / (scores.softmax(-1) * mask).sum(-1, True))",
                read="F.dropout(weights, dropout) @ value",
            ),
            "you mask after the softmax, then divide by what is left: where a hidden score is far "
            "larger, that is 0 / 0. Hidden scores become -inf before it",
        ),
        (
            READ,
            BY_HAND.format(
                weights="scores.masked_fill(~mask, -100.0).softmax(-1)",
                read="F.dropout(weights, dropout) @ value",
            ),
            "you hide scores by a number that others may be below: -inf hides, whatever they are",
        ),
        (
            READ,
            BY_HAND.format(
                weights="scores.masked_fill(mask.logical_not_(), float('-inf')).softmax(-1)",
                read="F.dropout(weights, dropout) @ value",
            ),
            "you turn the mask round in place: it is the model's own, and the next block reads it "
            "too",
        ),
        (
            READ,
            BY_HAND.format(
                weights="F.dropout(scores, dropout).masked_fill(~mask, float('-inf')).softmax(-1)",
                read="weights @ value",
            ),
            "you drop scores: a score of 0 is still a weight. Drop weights, after the softmax",
        ),
        (
            READ,
            BY_HAND.format(
                weights=HIDDEN + ".softmax(-1)",
                read="(weights * F.dropout(torch.ones_like(weights[:, :1]), dropout)) @ value",
            ),
            "all heads drop the same weights: each weight of each head has a chance of its own",
        ),
        (
            READ,
            BY_HAND.format(
                weights=HIDDEN + ".softmax(-1)",
                read="(weights * F.dropout(torch.ones_like(weights[:, :, :1]), dropout)) @ value",
            ),
            "all rows drop the same positions: each weight of each row has a chance of its own",
        ),
    ],
    "4.32": [
        (
            LEVELS,
            'sum(parts[f"ce{level}"] for level in range(3))',
            "you leave out the levels' weights: they are 1, .5 and .1",
        ),
        (
            "enumerate(WEIGHTS)",
            "enumerate(WEIGHTS[::-1])",
            "you turn the weights round: the coarse level counts most",
        ),
        (
            ROW_OF_L0 + "\n        " + TARGETS,
            ROW_OF_L0.replace(":-1, ACTION", ":, ACTION")
            + "\n        "
            + TARGETS.replace("1:, 0", ":, 0"),
            "your row A predicts L0 of its own step, which it can see: it predicts the next one",
        ),
        (
            "hidden[:, :-1, ACTION]",
            "hidden[:, :-1, 2]",
            "your row L2 predicts the next L0: it does not know the action; row A is the one",
        ),
        (
            "hidden[:, :-1, ACTION]",
            "hidden[:, 1:, 0]",
            "your row L0 predicts itself, which it can see: the A of the step before predicts it",
        ),
        (
            "hidden[:, :, 0], hidden[:, :, 1]",
            "hidden[:, :, 1], hidden[:, :, 2]",
            "your rows L1 and L2 predict what they have just read: L0_t predicts L1_t, L1_t "
            "predicts L2_t",
        ),
        (
            "hidden[:, :, 0], hidden[:, :, 1]",
            "hidden[:, :, 0], hidden[:, :, 0]",
            "your row L0 predicts L2 as well: it does not know L1; row L1 does",
        ),
        (
            "hidden[:, :, 0], hidden[:, :, 1]",
            "hidden[:, :, ACTION], hidden[:, :, ACTION]",
            "your row A predicts L1 and L2 of its step, which it may see: the rows before them do",
        ),
        (
            ROW_OF_L0 + "\n        " + TARGETS,
            ROW_OF_L0.replace(":-1, ACTION", "1:, ACTION")
            + "\n        "
            + TARGETS.replace("1:, 0", ":-1, 0"),
            "your row A predicts the L0 of the step before it: it is the next one",
        ),
        (
            ROW_OF_L0 + "\n        " + TARGETS,
            ROW_OF_L0.replace(":-1, ACTION", ":, ACTION")
            + "\n        "
            + TARGETS.replace("tokens[:, 1:, 0]", "tokens[:, :, 0].roll(-1, 1)"),
            "your last row A predicts the window's first L0: the last one has no target",
        ),
        (
            TARGETS,
            TARGETS.replace("[:, :, 1], tokens[:, :, 2]", "[:, :, 2], tokens[:, :, 1]"),
            "you exchange the targets L1 and L2",
        ),
        (
            "zip(self.heads, rows",
            "zip(reversed(self.heads), rows",
            "you exchange the heads: heads[0] predicts L0, heads[2] predicts L2",
        ),
        (
            ENTROPY,
            ENTROPY.replace("target.flatten())", 'target.flatten(), reduction="sum")'),
            "you sum over rows: each part is a mean",
        ),
        (
            ENTROPY,
            ENTROPY + " * target.shape[1] / tokens.shape[1]",
            "you divide the loss of L0 by T rows: there are only T - 1, since nothing predicts the "
            "first L0",
        ),
        (
            ENTROPY,
            ENTROPY + " / 0.6931471805599453",
            "you measure tokens in bits: wanted are nats",
        ),
        (
            "self.reward(acted)",
            "self.reward(hidden[:, :, 0])",
            "you read the reward off row L0: it does not know the action; row A does",
        ),
        (
            REWARD,
            'self.reward.loss(self.reward(acted[:, :-1]), batch["reward"][:, 1:])',
            "you compare row A_t with the reward of step t + 1: reward t is what action t brought",
        ),
        (
            REWARD,
            'self.reward.loss(self.reward(acted[:, :-1]), batch["reward"][:, :-1])',
            "you leave out the last reward: only L0 has no target there",
        ),
        (
            REWARD,
            '(self.reward.mean(self.reward(acted)) - batch["reward"]).square()',
            "you take the squared error of the mean reward: self.reward.loss compares "
            "distributions, so rare rewards stay visible",
        ),
        (
            "self.reward(acted)",
            "self.reward(acted.detach())",
            "you detach the state that predicts the reward: the transformer learns from rewards "
            "too",
        ),
        (
            GOES_ON,
            "goes_on = batch[",
            "you predict the end: wanted is whether life goes on, 1 - terminal",
        ),
        (
            GOES_ON,
            "goes_on = 1 - 0.01 - 0.99 * batch[",
            "you put a discount into the target: it is 1 - terminal",
        ),
        (
            "self.goes_on(acted)",
            "self.goes_on(hidden[:, :, 0])",
            "you read the continuation off row L0: it does not know the action; row A does",
        ),
        (
            TOTAL,
            'total = levels + parts["continue"]',
            "you leave the reward out of the total",
        ),
        (
            TOTAL,
            'total = levels + parts["reward"]',
            "you leave the continuation out of the total",
        ),
        (
            "        levels = " + LEVELS,
            '        parts["ce1"], parts["ce2"] = parts["ce1"] / 2, parts["ce2"] / 10\n'
            '        levels = sum(parts[f"ce{level}"] for level in range(3))',
            "you weight the parts that you return: those are nats, without weights",
        ),
        (
            TOTAL,
            TOTAL.replace("levels + ", "(levels + ") + ") / 5",
            "you average the five parts: they are added",
        ),
        (
            TOTAL,
            TOTAL.replace("levels + ", "levels / sum(WEIGHTS) + "),
            "you divide the levels by the sum of their weights: they are only weighted",
        ),
        (
            'goes_on = 1 - batch["terminal"].to(acted.dtype)',
            'goes_on = batch["terminal"].to(acted.dtype).neg_().add_(1)',
            "you change `terminal` in place: where it has the right type, `to` makes no copy, and "
            "the batch is another one afterwards",
        ),
        (
            "logit = self.goes_on(acted).squeeze(-1)",
            "logit = self.goes_on(acted).squeeze()",
            "you squeeze all dimensions of 1, with one window also that of the batch: squeeze(-1)",
        ),
        (
            ENTROPY,
            "-head(row).softmax(-1).log().gather(-1, target[..., None]).mean()",
            "you take the logarithm of the softmax: probabilities below 1e-45 are 0 there, and the "
            "loss is infinite. log_softmax or cross_entropy take logits",
        ),
        (
            ENTROPY,
            "-(head(row).softmax(-1) + 1e-8).log().gather(-1, target[..., None]).mean()",
            "you add a small number before the logarithm: beyond 18 nats the loss, and its "
            "gradient, grow no more. Take log_softmax or cross_entropy",
        ),
        (
            ENTROPY,
            "(head(row).exp().sum(-1).log() - head(row).gather(-1, target[..., None])[..., 0])"
            ".mean()",
            "your exp overflows: of 89 it is infinite in float32. Take logsumexp, log_softmax or "
            "cross_entropy",
        ),
        (
            "F.binary_cross_entropy_with_logits(logit, goes_on)",
            "F.binary_cross_entropy(torch.sigmoid(logit), goes_on)",
            "you take the sigmoid first: where it rounds to 0 or 1, the loss is cut at 100 nats "
            "and has no gradient. binary_cross_entropy_with_logits takes the logit",
        ),
    ],
    "4.33": [
        (
            "predicted[:, 1:] == tokens[:, 1:]",
            "predicted == tokens",
            "you count step 0 in the accuracy: it has no earlier one, so it counts nowhere",
        ),
        (
            "right, same = predicted[:, 1:] == tokens[:, 1:], " + SAME,
            "right, same = predicted == tokens, tokens == tokens.roll(1, 1)",
            "you compare step 0 with the window's last step: it counts nowhere",
        ),
        (
            SAME,
            "predicted[:, 1:] == predicted[:, :-1]",
            "you ask whether predictions stay: it is tokens that stay or change",
        ),
        (
            SAME,
            "predicted[:, 1:] == tokens[:, :-1]",
            "you ask whether the prediction is the token before: wanted is whether the token is",
        ),
        (
            SAME,
            "tokens[:, 1:] != tokens[:, :-1]",
            "you exchange what stays and what changes: copy is how often a token is that of the "
            "step before",
        ),
        (
            "predicted[:, 1:] == tokens[:, 1:]",
            "predicted[:, :-1] == tokens[:, 1:]",
            "you compare a prediction with the next token: predicted[:, t] is of step t",
        ),
        (
            "predicted[:, 1:] == tokens[:, 1:]",
            "predicted[:, 1:] == tokens[:, :-1]",
            "you compare predictions with the token before: accuracy is against the token itself",
        ),
        (
            '"change": right[~same]',
            '"change": right & ~same',
            "you divide the changes that are found by all steps: it is by the number of changes",
        ),
        (
            '"change": right[~same], "stay": right[same]',
            '"change": right & ~same, "stay": right & same',
            "you divide by all steps: change is a share of the tokens that change, stay of those "
            "that stay",
        ),
        (
            '"change": right[~same], "stay": right[same]',
            '"change": right[same], "stay": right[~same]',
            "you exchange change and stay",
        ),
        (
            "right[~same]",
            "right[predicted[:, 1:] != tokens[:, :-1]]",
            "you take those steps where a change was predicted: wanted are those where one came",
        ),
        (
            "right[~same]",
            "right",
            "your change-only accuracy is of all steps: only those count at which the token "
            "changes",
        ),
        (
            '"copy": same',
            '"copy": ~same',
            "your copy is how often tokens change: it is how often they stay",
        ),
        (
            SHARE,
            "float(x.double().mean().nan_to_num())",
            "you make 0 of NaN: where nothing changes, nobody knows how well changes are found",
        ),
        (
            SHARE,
            "float(x.double().mean().nan_to_num(1.0))",
            "you make 1 of NaN: where nothing changes, nobody knows how well changes are found",
        ),
        (
            SHARE,
            SHARE + " * 100",
            "you return percent: wanted are shares from 0 to 1",
        ),
        (
            SHARE,
            "x.double().mean()",
            "you return tensors: wanted are Python floats",
        ),
        (
            SHARE,
            "float(x.double().sum())",
            "you return counts: wanted are shares",
        ),
        (
            "right, same = predicted[:, 1:] == tokens[:, 1:], " + SAME,
            "predicted, tokens = predicted.flatten(), tokens.flatten()\n"
            "    right, same = predicted[1:] == tokens[1:], tokens[1:] == tokens[:-1]",
            "you flatten first: then the first step of a window comes after the last one of "
            "another",
        ),
        (
            "right, same = predicted[:, 1:] == tokens[:, 1:], " + SAME,
            "right, same = predicted[1:] == tokens[1:], tokens[1:] == tokens[:-1]",
            "you compare windows with each other: steps are the second dimension",
        ),
    ],
    "4.34": [
        (
            TABLE,
            TABLE.replace("count.argmax(-1)", "count.sum(1, keepdim=True).argmax(-1)"),
            "you count without the action: every action gets the same token",
        ),
        (
            "return " + TABLE,
            "return " + TABLE + ".T.contiguous()",
            "your table is (actions, codes): tokens are its rows, actions its columns",
        ),
        (
            ", itself)",
            ", itself * 0)",
            "you write 0 where a pair never came: there it is the token itself",
        ),
        (
            ", itself)",
            ", itself * 0 - 1)",
            "you write -1 where a pair never came: there it is the token itself",
        ),
        (
            ", itself)",
            ", count.sum(1).argmax(-1, keepdim=True))",
            "where a pair never came, you take what follows the token after other actions: wanted "
            "is the token itself",
        ),
        (
            ", itself)",
            ", count.sum((0, 1)).argmax())",
            "where a pair never came, you take the most frequent token of all: wanted is the token "
            "itself",
        ),
        (
            "[:, None]\n",
            "[:, None] * 0 + torch.arange(actions)\n",
            "where a pair never came, you write the number of the action: wanted is the token",
        ),
        (
            TRIPLE,
            "(after * actions + action) * codes + before",
            "you count what came before a token: the table says what comes after it",
        ),
        (
            TRIPLE,
            "(action * codes + before) * codes + after",
            "you number pairs by the action first, but read them by the token first: number "
            "(before, action, after) in this order",
        ),
        (
            TRIPLE,
            "(before * codes + action) * codes + after",
            "you multiply the token by the number of codes: after it come `actions` columns",
        ),
        (
            TRIPLE,
            "(before * actions + action) * actions + after",
            "you multiply the pair by the number of actions: after it come `codes` tokens",
        ),
        (
            "count.argmax(-1)",
            "codes - 1 - count.flip(-1).argmax(-1)",
            "of equally frequent tokens you take the highest: it is the lowest",
        ),
        (
            "count.argmax(-1)",
            "(count * torch.arange(codes)).sum(-1) // count.sum(-1).clamp(min=1)",
            "you average the tokens: numbers of codes are names, so take the most frequent",
        ),
        (
            "count.argmax(-1)",
            "(count > 0).to(torch.int64).argmax(-1)",
            "you take the lowest token that ever came, as if each triple came once: it is the most "
            "frequent one (count[index] += 1 does not count repeats)",
        ),
        (
            "count.sum(-1) > 0",
            "count.sum(-1) > 1",
            "you count a pair only from the second time on: once is enough",
        ),
        (
            "    itself = torch",
            "    count[torch.arange(codes), :, torch.arange(codes)] = 0\n    itself = torch",
            "you do not count tokens that stay: whatever comes most often, it may be the token "
            "itself",
        ),
        (
            "return " + TABLE,
            "return " + TABLE.replace("count.argmax(-1)", "count.amax(-1)"),
            "you return how often the token came: wanted is which one",
        ),
        (
            "return " + TABLE,
            "return count / count.sum(-1, keepdim=True).clamp(min=1)",
            "you return shares (codes, actions, codes): wanted is the most frequent token of each "
            "pair",
        ),
        (
            "return " + TABLE,
            FIRST_SEEN,
            "of equally frequent tokens you take the one that came first (Counter.most_common "
            "does): it is the lowest",
        ),
        (
            "(before * actions + action) * codes + after",
            "((before * actions + action) * codes + after).short().relu()",
            "you number triples in 16 bits: 256 codes and 18 actions make 1,179,648 of them",
        ),
        (
            "count = count.view(codes, actions, codes)",
            "count = count.view(codes, actions, codes).to(torch.uint8)",
            "you count in 8 bits, and after 255 comes 0: a pair comes thousands of times",
        ),
        (
            "count = count.view(codes, actions, codes)",
            "count = count.view(codes, actions, codes).clamp(max=2048)",
            "your counts stop growing, as sums of ones do in half precision: count in integers",
        ),
    ],
}
