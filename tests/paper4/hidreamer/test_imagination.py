"""Checks of dreams of tokens: what is read when, what every token is made of, and the cost.

There is no paper of this model. Imagination with kept keys and values: IRIS (Micheli et al. 2023,
arXiv:2209.00588). The world of the first checks can be worked out with a pencil (PaperWorld); later
ones ask a transformer for the whole sequence, again for every token.
"""

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64
from tests.paper4.hidreamer.oracle_imagination import PaperWorld, paper_dream, slow_dream, strong

KEYS = ["tokens", "action", "reward", "continue"]


def best(logits):
    return logits.argmax(-1)


def second(logits):
    """The second likeliest: what is chosen need not be the likeliest."""
    return logits.topk(2).indices[..., 1]


def integers(rows):
    return torch.tensor(rows, dtype=torch.int64)


def no_actions(batch: int):
    return torch.zeros(batch, 0, dtype=torch.int64)


def by_weights(tokens):
    """A policy of 5 actions that depends on all three tokens. (B, 3) → (B,)"""
    return (tokens * torch.tensor([1, 2, 3])).sum(-1) % 5


def weighted(state: list) -> int:
    return (state[0] + 2 * state[1] + 3 * state[2]) % 5


def dreamed(code, world, *rest):
    return code.hidreamer.imagination.imagine(world, *rest)


# --- 4.35 imagine ---------------------------------------------------------------------------------


@check(
    "4.35",
    "act, then L0 from the row of the action, L1 from that of L0, L2 from that of L1; the reward "
    "and whether life goes on are read at the row of the action",
    "a position is worth (slot + 1)(token + 1), a row knows the sum so far: head l says (sum + l) "
    "mod 7, the reward is sum / 10. L0, L1, L2 = 2, 0, 1: 3 + 2 + 6 = 11; the policy takes 3: 27",
)
def one_step_by_hand(code):
    dream = dreamed(
        code, PaperWorld(), lambda x: x[:, 0] + 1, integers([[[2, 0, 1]]]), no_actions(1), 1, best
    )
    yield "names", sorted(dream), sorted(KEYS)
    yield "action", dream["action"], [[3]]
    yield "tokens", dream["tokens"], [[[2, 0, 1], [6, 0, 3]]]  # 27, then 34 + 1, then 36 + 2
    yield "reward", dream["reward"], [[2.7]]
    yield "continue", dream["continue"], [[oracle.sigmoid(-0.7)]]


# No token of one dream is that of the other in the same place
CONTEXT, DONE = [[[2, 0, 1], [5, 3, 4]], [[1, 6, 0], [0, 3, 6]]], [[4], [1]]


@check(
    "4.35",
    "after the context every position is read once, in its order and at its step: A, then L0, L1, "
    "L2, A of the next step, and so on",
    "the same world, two dreams, two steps of context, three steps ahead; [slot, token, step] of "
    "what is read in the first dream",
)
def what_is_read_one_after_the_other(code):
    world = PaperWorld()
    data = integers(CONTEXT), integers(DONE)
    dream = dreamed(code, world, by_weights, *data, 3, best)
    rows = zip(CONTEXT, DONE, strict=True)
    expected = [paper_dream(*row, weighted, 3) for row in rows]
    read = [position for call in world.calls[1:] for position in call]
    needed = [position for call in expected[0]["calls"] for position in call]
    yield "what is read", read[: len(needed)], needed
    yield "what is read beyond the last L2", read[len(needed) + 1 :], []
    for name in KEYS[:3]:
        yield name, dream[name], [row[name] for row in expected]
    logits = [row["logit"] for row in expected]
    yield "continue", dream["continue"], [[oracle.sigmoid(x) for x in row] for row in logits]
    yield "tokens after the call", data[0], CONTEXT
    yield "actions after the call", data[1], DONE


@check(
    "4.35",
    "the policy is asked once a step, for the state in which the action is taken; every token is "
    "what `choose` makes of its logits",
    "the same world and contexts; `choose` takes the token after the likeliest, and notes it; the "
    "policy notes the states",
)
def policy_and_choose_decide(code):
    asked, likeliest, surer = [], [], []

    def policy(tokens):
        asked.append(tokens.tolist())
        return by_weights(tokens)

    def choose(logits):
        likeliest.append(logits.argmax(-1).tolist())
        surer.append((logits.amax(-1) - logits.amin(-1)).tolist())
        return (logits.argmax(-1) + 1) % 7

    dream = dreamed(code, PaperWorld(), policy, integers(CONTEXT), integers(DONE), 3, choose)
    rows = zip(CONTEXT, DONE, strict=True)
    expected = [paper_dream(*row, weighted, 3, lambda x: (x + 1) % 7) for row in rows]
    yield (
        "states that the policy was asked for",
        asked,
        [[row["tokens"][t] for row in expected] for t in range(3)],
    )
    yield (
        "likeliest tokens that `choose` was asked for",
        likeliest,
        [
            [(row["tokens"][t + 1][level] - 1) % 7 for row in expected]
            for t in range(3)
            for level in range(3)
        ],
    )
    yield "largest logit less the smallest", surer, [[9.0] * 2] * 9
    yield "tokens", dream["tokens"], [row["tokens"] for row in expected]
    yield "action", dream["action"], [row["action"] for row in expected]


RULES = (("causal", best, 1), ("brief", second, 3), ("strict", best, 2))
B, H, K, A = 2, 3, 11, 5


def transformer(code, rule: str, dtype=F64):
    model = code.hidreamer.world_model
    sizes = model.Sizes(K, A, 12, 2, 3, 7, 0.0, rule, 5)
    return strong(model.Transformer(sizes).to(dtype))


def context_of(steps: int, batch: int = B):
    numbers = torch.arange(batch * steps * 4).view(batch, steps, 4) ** 2 + 3
    return numbers[..., :3] % K, numbers[:, :-1, 3] % A


@check(
    "4.35",
    "the dream is that of asking the transformer for the whole sequence, again for every token",
    "a transformer of 2 layers and irregular parameters, each rule of the mask, B = 2, H = 3, "
    "C = 1, 3 and 2; `choose` takes the likeliest, for `brief` the second",
)
def dream_of_a_transformer(code):
    for rule, choose, steps in RULES:
        model, data = transformer(code, rule), context_of(steps)
        dream = dreamed(code, model, by_weights, *data, H, choose)
        slow = slow_dream(model, by_weights, *data, H, choose)
        for name in KEYS:
            yield f"{name}, rule {rule}", dream[name], slow[name], 1e-9


@check(
    "4.35",
    "each position is computed once: H steps take 4 H - 1 positions, or 4 H where the last L2 is "
    "read too, beside the context's 4 C - 1",
    "the same transformer, C = 2, H = 1, 2 and 5; what its first block is given",
)
def every_position_once(code):
    for horizon in (1, 2, 5):
        model, seen = transformer(code, "causal"), []
        model.blocks[0].register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0].shape))
        dreamed(code, model, by_weights, *context_of(2), horizon, best)
        total = sum(shape[1] for shape in seen)
        least = 4 * (2 + horizon) - 2
        yield f"positions for H = {horizon}", total - (total == least + 1), least


@check(
    "4.35",
    "a dream has the states of 1 + H steps and H of all else; it carries no gradient",
    "float32; B = 1, C = 1, H = 1, then B = 3, C = 2, H = 4",
)
def shapes_of_a_dream(code):
    for batch, steps, horizon in ((1, 1, 1), (3, 2, 4)):
        model = transformer(code, "brief", torch.float32)
        dream = dreamed(code, model, by_weights, *context_of(steps, batch), horizon, best)
        shapes = [list(dream[name].shape) for name in KEYS]
        yield "shapes", shapes, [[batch, 1 + horizon, 3], *[[batch, horizon]] * 3]
        dtypes = [str(dream[name].dtype) for name in KEYS]
        yield "dtypes", dtypes, ["torch.int64"] * 2 + ["torch.float32"] * 2
        gradient = [name for name in KEYS if dream[name].requires_grad]
        yield "what has a gradient", gradient, []
