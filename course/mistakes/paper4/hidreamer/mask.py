"""Wrong answers to the exercises of mask.py: (old text, new text, what the learner reads)."""

PLACES = "query // SLOTS, query % SLOTS, key // SLOTS, key % SLOTS"
SAME = "(t_k == t_q) & (s_k <= s_q)"
COARSE = "(s_k == L0) | (s_k == ACTION)"
BRIEF = "same | (before & (coarse | (s_q == L0)))"
STRICT = "(before & coarse) | (same & (coarse | (s_q == L1) | (s_q == L2)))"
RULES = f"""\
    if rule == "brief":
        return {BRIEF}
    if rule == "strict":
        return {STRICT}
    return before | same
"""
STEP = "(found.float() @ mask.float()) > 0"
LAYERS = f"""\
    for _ in range(layers - 1):
        found = {STEP}
    return found
"""

MISTAKES = {
    "4.28": [
        (
            PLACES,
            "key // SLOTS, key % SLOTS, query // SLOTS, query % SLOTS",
            "you exchange query and key: your mask lies on its side, each position sees what comes "
            "after it",
        ),
        (
            PLACES,
            "query % SLOTS, query // SLOTS, key % SLOTS, key // SLOTS",
            "you exchange step and slot: position n is slot n % 4 of step n // 4",
        ),
        (
            PLACES,
            "query // 3, query % 3, key // 3, key % 3",
            "you count three tokens to a step: the action is the fourth",
        ),
        (
            "s_k <= s_q",
            "s_k < s_q",
            "you write < for <= between the slots of a step: a position then does not see itself",
        ),
        (
            SAME,
            "t_k == t_q",
            "you show the whole step to each of its tokens: those that come later in it are what "
            "is predicted",
        ),
        (
            "before, same = t_k < t_q",
            "before, same = t_k <= t_q",
            "you write <= for < between steps: later tokens of the same step are then seen",
        ),
        (
            SAME,
            "(t_k == t_q) & (s_k >= s_q)",
            "you turn the order inside a step round: a token sees those before it, and itself",
        ),
        (
            COARSE,
            "s_k == L0",
            "you treat A as a detail: actions are seen like L0, only L1 and L2 are details",
        ),
        (
            COARSE,
            "s_k == ACTION",
            "you treat L0 as a detail: only L1 and L2 are",
        ),
        (
            COARSE,
            "(s_k != L0) & (s_k != ACTION)",
            "you show the details and hide the rest: it is L1 and L2 that are hidden",
        ),
        (
            COARSE,
            "(s_q == L0) | (s_q == ACTION)",
            "you ask whether the slot that reads is a detail: it is the slot that is read, s_k",
        ),
        (
            BRIEF,
            BRIEF.replace("s_q == L0", "s_q == ACTION"),
            "in `brief` you free the row that predicts L0, which is A: the rule goes by the slot "
            "that reads, L0",
        ),
        (
            BRIEF,
            "same | (before & coarse)",
            "your `brief` forgets that L0 rows see the details of earlier steps too",
        ),
        (
            BRIEF,
            "same | (before & (s_q == L0))",
            "your `brief` shows earlier steps to L0 rows alone: L0 and A of earlier steps are for "
            "all rows",
        ),
        (
            BRIEF,
            BRIEF.replace("coarse |", "coarse &"),
            "your `brief` asks for both: it is enough that the key is L0 or A, or that the query "
            "is L0",
        ),
        (
            BRIEF,
            "(same | before) & (coarse | (s_q == L0))",
            "your `brief` also hides details of the same step: those before a token are seen by it",
        ),
        (
            STRICT,
            "same | (before & coarse)",
            "your `strict` shows A the details of its own step: through A they would reach all "
            "later steps",
        ),
        (
            STRICT,
            STRICT.replace("before & coarse", "before & (coarse | (s_q == L0))"),
            "your `strict` lets L0 see details of earlier steps, as in `brief`: here L0 and A "
            "never see any",
        ),
        (
            STRICT,
            "(before & coarse) | (same & coarse)",
            "in your `strict` no row sees a detail, not even L1 and L2 themselves: they see those "
            "of their own step",
        ),
        (
            STRICT,
            STRICT.replace(" | (s_q == L1)", ""),
            "in your `strict` L1 does not see itself: L1 and L2 both see details of their own step",
        ),
        (
            STRICT,
            STRICT.replace(" | (s_q == L2)", ""),
            "in your `strict` L2 sees no details: L1 and L2 both see those of their own step",
        ),
        (
            STRICT,
            STRICT.replace("before & coarse", "before & (coarse | (s_q == L1) | (s_q == L2))"),
            "in your `strict` L1 and L2 also see the details of earlier steps: only those of their "
            "own step",
        ),
        (
            "return before | same",
            "return before | (t_k == t_q) & (s_k == s_q)",
            "your `causal` shows only itself of a token's own step: what comes before it in the "
            "step is seen too",
        ),
        (
            "return before | same",
            "return same",
            "your `causal` ends with the step: all earlier steps are seen",
        ),
        (
            RULES,
            RULES.replace("return ", "return ~(").replace("\n", ")\n").replace(":)\n", ":\n"),
            "your mask is True where attention is forbidden: here True means that it is allowed",
        ),
        (
            RULES,
            RULES.replace("return ", "return 1.0 * (").replace("\n", ")\n").replace(":)\n", ":\n"),
            "you return 0 and 1 as floats: attention would add them to its scores, so return bool",
        ),
        (
            RULES,
            RULES.replace('"brief"', '"x"')
            .replace('"strict"', '"brief"')
            .replace('"x"', '"strict"'),
            "you exchange the rules `brief` and `strict`",
        ),
        (
            PLACES,
            "query.byte() // SLOTS, query % SLOTS, key.byte() // SLOTS, key % SLOTS",
            "you compute in 8 bits: position 256 is then 0 again",
        ),
        (
            PLACES,
            "query.half() // SLOTS, query.half() % SLOTS, key.half() // SLOTS, key.half() % SLOTS",
            "you compute in 16-bit floats: above 2048 these leave positions out",
        ),
        (
            "before, same = t_k < t_q",
            "before, same = (t_k < t_q) & (t_q - t_k < 8)",
            "you see some steps back only: all earlier steps count alike",
        ),
    ],
    "4.29": [
        (
            "range(layers - 1)",
            "range(layers)",
            "you go one layer too far: the mask itself is the first layer",
        ),
        (
            "range(layers - 1)",
            "range(layers - 2)",
            "you leave out a layer: after the first one, which is the mask, there are layers - 1",
        ),
        (
            STEP,
            "(found.float() * mask.float()) > 0",
            "you multiply element by element: that leaves the mask as it is. A way over a third "
            "position needs the matrix product",
        ),
        (
            "mask.float()",
            "mask.float().T",
            "you transpose the mask in the product: [q, m] and [m, k] make [q, k]",
        ),
        (
            "return found",
            "return found.T",
            "you return keys in rows: rows are the queries that read",
        ),
        (
            STEP,
            "found.float() @ mask.float()",
            "you return how many ways there are: compare with 0, for one is enough",
        ),
        (
            "> 0",
            "> 1",
            "you want more than one way: one is enough",
        ),
        (
            "> 0",
            "== 1",
            "you want exactly one way: there may be more",
        ),
        (
            "mask.float()",
            "found.float()",
            "you square what you found: that doubles the layers each time instead of adding one",
        ),
        (
            "range(layers - 1)",
            "range(len(mask))",
            "you go on until nothing changes: wanted is what has arrived after some layers",
        ),
        (
            LAYERS,
            f"    return {STEP} if layers > 1 else mask\n",
            "you take two layers, however many there are",
        ),
        (
            STEP,
            "(found.float() @ (mask & ~torch.eye(len(mask), dtype=torch.bool)).float()) > 0",
            "you take each position's sight of itself out of the mask: what is known stays known, "
            "the residual stream carries it on",
        ),
        (
            "return found",
            "return found & ~mask if layers > 1 else found",
            "you return only what is new after the first layer: what was seen before is still "
            "known",
        ),
        (
            STEP,
            "(found.byte() @ mask.byte()) > 0",
            "you count the ways in 8 bits: 256 of them are 0 again. Take float or long",
        ),
        (
            STEP,
            "(found.float() @ mask.float() / len(mask)).round() > 0",
            "you round a share of ways to 0: one way among many positions is enough",
        ),
        (
            LAYERS,
            f"""\
    for _ in range(layers - 1):
        found |= {STEP}
    return found
""",
            "you write into the caller's mask, which your product reads too: begin with a copy",
        ),
        (
            LAYERS,
            LAYERS.replace("return found", "return found.float()"),
            "you return 0 and 1 as floats: wanted is bool",
        ),
        (
            LAYERS,
            LAYERS.replace("return found", "return found | found.T"),
            "you forget that edges have a direction: that k reaches q does not mean that q "
            "reaches k",
        ),
        (
            LAYERS,
            "    return torch.linalg.matrix_power(mask.float(), layers) > 0\n",
            "you count the ways through all layers: they become too many for any number. Ask after "
            "each layer whether there is one",
        ),
        (
            LAYERS,
            "    share = mask.float() / mask.sum(1, keepdim=True)\n"
            "    found = share\n"
            "    for _ in range(layers - 1):\n"
            "        found = found @ share\n"
            "    return found > 0\n",
            "you multiply shares of attention: after many layers they are too small for float32. "
            "Ask after each layer whether there is a way",
        ),
    ],
}
