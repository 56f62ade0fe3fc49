"""Wrong answers to the exercise of imagination.py: (old text, new text, what the learner reads)."""

STEPS = "range(context - 1, context - 1 + horizon)"
ACTED = "acted = model(torch.cat([*fresh, one(ACTION, action, step)], 1), cache)[:, -1]"
L0_ROW = "        row = model(one(L0, coarse, step + 1), cache)[:, -1]\n"
L1_ROW = "        row = model(one(L1, middle, step + 1), cache)[:, -1]\n"
COARSE = "coarse = choose(model.heads[L0](acted))"
MIDDLE = "middle = choose(model.heads[L1](row))"
FINE = "fine = choose(model.heads[L2](row))"
FRESH = "fresh = [one(L2, fine, step + 1)]"
REWARD = "        reward = model.reward.mean(model.reward(acted))\n"
LATER = f"        {MIDDLE}\n{L1_ROW}        {FINE}\n        {FRESH}\n{REWARD}"
GOES_ON = "torch.sigmoid(model.goes_on(acted).squeeze(-1))"
STATE = "states.append(torch.stack([coarse, middle, fine], -1))"
FOUND = "found.append((action, reward, goes_on))"
ACT = "        action = policy(states[-1])\n"

MISTAKES = {
    "4.35": [
        (
            ACTED,
            ACTED.replace("[:, -1]", "[:, 0]"),
            "you read the first row of [L2, A]: what comes next is predicted by the row of the "
            "action, the last",
        ),
        (
            "one(ACTION, action, step)",
            "one(ACTION, action, step + 1)",
            "you embed the action at the next step; it belongs to the step in which it is taken",
        ),
        (
            "one(L0, coarse, step + 1)",
            "one(L0, coarse, step)",
            "you embed L0 at the step that it came from; it is the first token of the next one",
        ),
        (
            "one(L1, middle, step + 1)",
            "one(L1, middle, step)",
            "you embed L1 at the step that it came from; it belongs to the next one, like its L0",
        ),
        (
            FRESH,
            "fresh = [one(L2, fine, step)]",
            "you embed L2 at the step that it came from; it belongs to the next one, like its L0",
        ),
        (
            "one(L0, coarse, step + 1)",
            "one(L1, coarse, step + 1)",
            "you read L0 as if it were an L1: each slot has a table of its own, give `one` L0",
        ),
        (
            STEPS,
            "range(context, context + horizon)",
            "your steps are one too high: the context's last step is number C - 1, and there the "
            "policy acts first",
        ),
        (
            STEPS,
            "range(horizon)",
            "you count the steps from 0: a dream goes on where the context ends, at step C - 1",
        ),
        (
            FRESH,
            "fresh = []",
            "you forget the L2 of every step: it is read together with the next action",
        ),
        (
            FRESH,
            "fresh = [*fresh, one(L2, fine, step + 1)]",
            "you read every earlier L2 again with each action: of those only the newest is unread",
        ),
        (
            "[*fresh, one(ACTION, action, step)]",
            "[one(ACTION, action, step), *fresh]",
            "you read the action before L2: the order of a step is L0, L1, L2, A",
        ),
        (
            ACTED,
            ACTED.replace(", cache)", ")"),
            "you do not give the cache with the action: the model then sees these positions alone",
        ),
        (
            L0_ROW,
            L0_ROW.replace(", cache)", ")"),
            "you do not give the cache with L0: the model then sees this position alone",
        ),
        (
            L1_ROW,
            L1_ROW.replace(", cache)", ")"),
            "you do not give the cache with L1: the model then sees this position alone",
        ),
        (
            ACT,
            "        return imagine_naive(model, policy, tokens, actions, horizon, choose)\n" + ACT,
            "your dream is right, but you ask for the whole sequence again for every token: with "
            "the cache each position is computed once",
        ),
        (
            COARSE,
            COARSE.replace("heads[L0]", "heads[L1]"),
            "you choose L0 by the head of L1: each level has a head of its own",
        ),
        (
            MIDDLE,
            MIDDLE.replace("heads[L1]", "heads[L0]"),
            "you choose L1 by the head of L0, which is named after the row and not the target: "
            "heads[L1] predicts L1",
        ),
        (
            FINE,
            FINE.replace("heads[L2]", "heads[L1]"),
            "you choose L2 by the head of L1: heads[L2] predicts L2",
        ),
        (
            MIDDLE,
            MIDDLE.replace("(row)", "(acted)"),
            "you choose L1 by the row of the action, which does not know L0; the row of L0 does",
        ),
        (
            FINE,
            FINE.replace("(row)", "(acted)"),
            "you choose L2 by the row of the action, which knows neither L0 nor L1",
        ),
        (
            FINE + "\n",
            f"row = model({FRESH[9:-1].replace('fine', 'middle')}, cache)[:, -1]\n        {FINE}\n",
            "you read a token of slot L2 before you choose L2: its head stands on the row of L1",
        ),
        (
            COARSE,
            "coarse = model.heads[L0](acted).argmax(-1)",
            "your L0 is always the likeliest: a token is what `choose` makes of the logits",
        ),
        (
            MIDDLE,
            "middle = model.heads[L1](row).argmax(-1)",
            "your L1 is always the likeliest: a token is what `choose` makes of the logits",
        ),
        (
            FINE,
            "fine = model.heads[L2](row).argmax(-1)",
            "your L2 is always the likeliest: a token is what `choose` makes of the logits",
        ),
        (
            COARSE,
            "coarse = choose(model.heads[L0](acted).softmax(-1))",
            "you give `choose` probabilities for L0: it takes logits",
        ),
        (
            REWARD,
            REWARD.replace("(acted)", "(row)"),
            "you read the reward at the row of L1; it is that of the action, so at the action's "
            "row",
        ),
        (
            LATER,
            REWARD.replace("(acted)", "(row)") + LATER.replace(REWARD, ""),
            "you read the reward at the row of L0; it is that of the action, so at the action's "
            "row",
        ),
        (
            GOES_ON,
            GOES_ON.replace("acted", "row"),
            "you read whether life goes on at the row of L1; it is that of the action",
        ),
        (
            REWARD,
            "        reward = model.reward(acted)\n",
            "your reward is the logits of its bins: `model.reward.mean` makes a number of them",
        ),
        (
            GOES_ON,
            "model.goes_on(acted).squeeze(-1)",
            "your continue is a logit: a sigmoid makes it a probability",
        ),
        (
            GOES_ON,
            "torch.sigmoid(model.goes_on(acted))",
            "your continue has a dimension too many, (B, H, 1): take the last one of `goes_on` "
            "away",
        ),
        (
            GOES_ON,
            f"({GOES_ON} > 0.5).to(acted)",
            "you round continue to 0 or 1: it is a probability",
        ),
        (
            GOES_ON,
            GOES_ON.replace("model.goes_on", "-model.goes_on"),
            "your continue is the probability of an end; asked for is that life goes on",
        ),
        (
            ACT,
            ACT.replace("-1", "0"),
            "your policy always sees the state in which the dream begins: it acts on the newest",
        ),
        (
            ACT,
            ACT.replace("states[-1]", "states[max(len(states) - 2, 0)]"),
            "your policy sees the state before the present one",
        ),
        (
            FOUND,
            FOUND.replace("action,", "policy(states[-1]),"),
            "you keep the action of the next state; with a state goes the action that is taken in "
            "it",
        ),
        (
            STATE,
            STATE.replace("coarse, middle, fine", "fine, middle, coarse"),
            "your states are [L2, L1, L0]; the order is L0, L1, L2",
        ),
        (
            FOUND,
            f"{FOUND}\n    states.pop(0)",
            "your states begin after the first action; the last one of the context is the first",
        ),
        (
            MIDDLE,
            MIDDLE + "[:1].expand(len(tokens))",
            "all your dreams take the L1 of the first: each has tokens of its own",
        ),
        (
            "model.goes_on(acted).squeeze(-1)",
            "model.goes_on(acted).squeeze()",
            "you squeeze all dimensions of 1, with one dream also that of the batch: squeeze(-1)",
        ),
    ]
}
