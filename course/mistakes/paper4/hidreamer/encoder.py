"""Wrong answers to the exercises of encoder.py: (old text, new text, what the learner reads)."""

OTHER = "(game[:, None] != game[None]) | (episode[:, None] != episode[None])"
FAR = "(step[:, None] - step[None]).abs() >= margin"
OWN = "torch.eye(len(step), dtype=torch.bool, device=step.device)"
JOINED = f"return other | far | {OWN}"
BOTH = "0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own))"
ANSWER = f"""\
    scores = (anchor @ partner.T / temperature).masked_fill(~candidates, float("-inf"))
    own = torch.arange(len(scores), device=scores.device)
    return {BOTH}
"""
MASKED = '.masked_fill(~candidates, float("-inf"))'

MISTAKES = {
    "4.20": [
        (
            f"return other | far | {OWN}",
            "return other | far",
            "your diagonal is missing: one's own partner is 0 steps away, and is the right answer",
        ),
        (
            f"return other | far | {OWN}",
            f"return (other | far) & ~{OWN}",
            "you take the diagonal away: among the candidates is also the right answer, one's own "
            "partner",
        ),
        (
            ".abs() >= margin",
            ".abs() > margin",
            "your margin is one step too wide: exactly `margin` steps away is far enough",
        ),
        (
            ".abs() >= margin",
            ".abs() >= margin - 1",
            "your margin is one step too narrow: `margin` - 1 steps away is too near",
        ),
        (
            ".abs() >= margin",
            " >= margin",
            "you forget the sign of the distance: a partner may be as near before as after",
        ),
        (
            ".abs() >= margin",
            ".abs() < margin",
            "you allow who is near and exclude who is far",
        ),
        (
            JOINED,
            f"return ~(other | far | {OWN})",
            "your mask is the wrong way round: True is for candidates",
        ),
        (
            OTHER,
            "game[:, None] != game[None]",
            "you forget the episodes: another episode of the same game is a candidate at any step",
        ),
        (
            OTHER,
            "episode[:, None] != episode[None]",
            "you forget the games: episode 0 of one game and episode 0 of another are two",
        ),
        (
            ") | (episode",
            ") & (episode",
            "you ask for another game and another episode at once: one of them is enough",
        ),
        (
            "return other | far |",
            "return far |",
            "you look at steps alone: in another game or episode the same step is another moment",
        ),
        (
            "return other | far |",
            "return other |",
            "you exclude a whole episode: `margin` steps away, its moments are candidates",
        ),
        (
            "return other | far |",
            "return other & far |",
            "you ask for another episode and for a distance: one of them is enough",
        ),
        (
            FAR,
            "(torch.arange(len(step))[:, None] - torch.arange(len(step))).abs() >= margin",
            "you take the distance of places in the batch: it is that of `step`, pairs come in any "
            "order",
        ),
        (
            JOINED,
            f"return (other | far | {OWN}).float()",
            "your mask holds numbers: it is bool",
        ),
        (
            JOINED,
            f"return other | far | {OWN} | (step[:, None] == step[None])",
            "you allow every pair with the same step: only one's own place in the batch is one's "
            "partner",
        ),
        (
            OTHER,
            "(100 * game + episode)[:, None] != 100 * game + episode",
            "you join game and episode to one number, which several pairs of them share: episode "
            "100 of a game is not episode 0 of the next one",
        ),
        (
            FAR,
            "torch.cdist(step[:, None].float(), step[:, None].float()) >= margin",
            "you ask torch.cdist: for many pairs it subtracts squares, in which small distances of "
            "large steps are lost. Subtract the integers",
        ),
        (
            FAR,
            "(step[:, None].half() - step.half()).abs() >= margin",
            "you make 16-bit floats of steps: above 2048 these leave numbers out. Subtract the "
            "integers",
        ),
        (
            FAR,
            "(step[:, None].to(torch.int8) - step.to(torch.int8)).abs() >= margin",
            "you make 8-bit integers of steps: 256 steps away is then no distance",
        ),
    ],
    "4.21": [
        (
            BOTH,
            "F.cross_entropy(scores, own)",
            "you ask in one direction: each partner has to find its anchor too, over columns",
        ),
        (
            BOTH,
            "F.cross_entropy(scores.T, own)",
            "you ask partners alone: each anchor has to find its partner too, over rows",
        ),
        (
            "0.5 * (F",
            "(F",
            "you add up both directions: take their mean",
        ),
        (
            BOTH,
            "0.5 * sum(F.cross_entropy(x, own, reduction='sum') for x in (scores, scores.T))",
            "you add up over the pairs: take their mean, so that the loss does not grow with B",
        ),
        (
            "partner.T / temperature",
            "partner.T * temperature",
            "you multiply with the temperature: similarities are divided by it, so that a small "
            "one makes them count more",
        ),
        (
            "partner.T / temperature",
            "partner.T",
            "you forget the temperature",
        ),
        (
            'float("-inf")',
            "0.0",
            "you set to 0 what is no candidate: e^0 = 1 is an answer like others. Its score is "
            "-inf, so that it has no share",
        ),
        (
            MASKED,
            "",
            "you do not use `candidates`: what looks alike is held against the encoder",
        ),
        (
            "~candidates",
            "candidates",
            "you exclude the candidates: `candidates` is True for what takes part",
        ),
        (
            ANSWER,
            "    scores = anchor @ partner.T / temperature\n"
            "    own = torch.arange(len(scores), device=scores.device)\n"
            '    rows = scores.masked_fill(~candidates, float("-inf"))\n'
            "    return 0.5 * (F.cross_entropy(rows, own) + F.cross_entropy(scores.T, own))\n",
            "you mask one direction only: what is no candidate takes part in neither",
        ),
        (
            "(~candidates, ",
            "(~candidates | torch.eye(len(anchor), dtype=torch.bool), ",
            "you exclude the diagonal: the right answer is among the candidates",
        ),
        (
            "own = torch.arange(len(scores), device=scores.device)",
            "own = torch.zeros(len(scores), dtype=torch.long, device=scores.device)",
            "your right answer is always pair 0: that of row i is i",
        ),
        (
            "0.5 * (F",
            "-0.5 * (F",
            "your sign is wrong: cross_entropy is -log of the share already, and is made small",
        ),
        (
            "(anchor @ partner.T",
            "(anchor @ partner.detach().T",
            "you detach the partners: the encoder learns from both sides",
        ),
        (
            "(anchor @ partner.T",
            "(anchor.detach() @ partner.T",
            "you detach the anchors: the encoder learns from both sides",
        ),
        (
            "(anchor @ partner.T",
            "(F.normalize(anchor, dim=-1) @ F.normalize(partner, dim=-1).T",
            "you normalise once more: they are unit vectors, and the encoder has taken care of the "
            "gradient. The product is the similarity",
        ),
        (
            "(anchor @ partner.T",
            "(-torch.cdist(anchor, partner)",
            "you compare by distance: similarity is the product of both vectors",
        ),
        (
            "(anchor @ partner.T",
            "(anchor @ anchor.T",
            "you compare anchors with anchors: each looks for its partner",
        ),
        (
            "return " + BOTH,
            "return scores.new_tensor(len(scores)).log() - " + BOTH,
            "you return the bound of the information, log B - loss: the loss is what is made small",
        ),
        (
            BOTH,
            "-0.5 * (scores.exp() / scores.exp().sum(1) + scores.exp() / scores.exp().sum(0))"
            ".diag().mean()",
            "you take the mean of the shares: it is that of their logarithms",
        ),
        (
            BOTH,
            "F.binary_cross_entropy_with_logits(scores.clamp(min=-50), "
            "torch.eye(len(own)).to(scores))",
            "you ask yes or no of each pair by itself: one right answer competes with all others "
            "of its row, in a softmax",
        ),
        (
            BOTH,
            "-0.5 * (scores.softmax(1).diag().log() + scores.softmax(0).diag().log()).mean()",
            "you take the logarithm of a share, which for who is sure and wrong is 0 in float32: "
            "the loss is infinite. log_softmax or cross_entropy does both at once",
        ),
        (
            BOTH,
            "-0.5 * sum(scores.softmax(i).diag().clamp(min=1e-6).log() for i in (0, 1)).mean()",
            "you keep shares above a small number: who is sure and wrong then loses too little, "
            "and gets no gradient",
        ),
        (
            "return " + BOTH,
            "some = candidates.sum(1) > 1\n"
            "    if not some.any():\n"
            "        return 0.0 * scores.diag().sum()\n"
            "    scores, own = scores[some][:, some], own[: int(some.sum())]\n"
            "    return " + BOTH,
            "you leave out pairs that have no other candidate: they add 0 to a mean over all pairs",
        ),
        (
            ANSWER,
            ANSWER.replace("/ temperature)", "/ max(temperature, 0.05))"),
            "you do not let the temperature fall below a number of your own",
        ),
    ],
}
