"""Checks of DreamerV3's world model: the block-GRU, its latents, filtering, dreams, the losses.

Sources: arXiv:2301.04104v2, section "World model learning"; danijar/dreamerv3, dreamerv3/rssm.py
and agent.py. Rows follow the replay: actions[:, t] led to observation t; in a dream actions[:, t]
is taken at state t.

A sample of a categorical is drawn in many ways. In the centre of chance all of them take the class
with more than half of the probability, so every latent here has such a class; where the draw itself
is in question, chance is real, and shares of thousands of draws are compared.
"""

import functools
import math

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular, values
from tests.paper3.models import (
    IMAGE,
    RATIO,
    VECTOR,
    A,
    B,
    D,
    E,
    F,
    H,
    K,
    S,
    T,
    U,
    batch_of,
    by_chance,
    leaves,
    near,
    put,
    rssm_of,
    small_rssm,
    start,
    strong,
    world_of,
)  # fmt: skip

F32 = torch.float32
KEPT = 1 / (1 + math.exp(-1))  # 1 - sigmoid(-1): what the GRU keeps of h where its gates are 0


def unchanged(before: list, after: list, names: str) -> list:
    """Names of the tensors that are no longer what they were."""
    rows = zip(names.split(), before, after, strict=True)
    return [name for name, old, new in rows if not torch.equal(old, new)]


def copies(inputs) -> list:
    """The same numbers in tensors that want a gradient."""
    return [x.clone().requires_grad_() for x in inputs]


def dot(a: list, b: list) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


# --- 3.11 gru_update ------------------------------------------------------------------------------


def gates_of(*numbers, dtype=F64) -> list:
    """h, reset, candidate, update of one unit."""
    return [torch.tensor([[x]], dtype=dtype) for x in numbers]


@check(
    "3.11",
    "h' = u · tanh(sigmoid(reset) · candidate) + (1 - u) · h, with u = sigmoid(update - 1)",
    "one unit, [h reset candidate update]; sigmoid(-1) = .268941, sigmoid(0) = .5",
)
def gru_by_hand(code):
    u = 1 - KEPT
    for numbers, expected in (
        ((1.0, 0.0, 0.0, 0.0), KEPT),
        ((-0.6, 0.0, 0.0, 1.0), -0.3),
        ((0.0, 0.0, 2.0, 1.0), math.tanh(1.0) / 2),
        ((0.0, math.log(3), 2.0, 0.0), u * math.tanh(1.5)),
        ((0.4, math.log(3), -2.0, 1.0), 0.2 - math.tanh(1.5) / 2),
    ):
        found = code.rssm.gru_update(*gates_of(*numbers))
        yield f"h' of [{' '.join(f'{x:.4g}' for x in numbers)}]", found, [[expected]]


@check(
    "3.11",
    "a gate far on one side is open or shut, and nothing overflows",
    "[h reset candidate update] with gates of ±60 and candidates of ±1000; float32 and float64",
)
def gates_far_out(code):
    for numbers, expected in (
        ((0.7, 0.0, 2.0, -60.0), 0.7),
        ((0.7, 60.0, 2.0, 60.0), math.tanh(2.0)),
        ((0.7, -60.0, 5.0, 60.0), 0.0),
        ((0.7, 0.0, -1000.0, 60.0), -1.0),
        ((-0.5, 60.0, 1000.0, 1.0), 0.25),
    ):
        for dtype in (F32, F64):
            inputs = copies(gates_of(*numbers, dtype=dtype))
            found = code.rssm.gru_update(*inputs)
            label = f"[{' '.join(f'{x:.4g}' for x in numbers)}], {dtype}"
            yield f"h' of {label}", found, [[expected]]
            finite = [bool(x.isfinite().all()) for x in gradients(found.sum(), *inputs)]
            yield f"are the gradients finite? {label}", finite, [True] * 4


@check(
    "3.11",
    "every unit of every row by itself; all four inputs get their gradient",
    "irregular numbers in [-2, 2], B = 3, H = 6; the loss is h'·w of row 1",
)
def gru_of_irregular_numbers(code):
    numbers = [2 * irregular(B, H, phase=x) for x in (0.0, 1.0, 2.0, 3.0)]
    inputs = copies(numbers)
    got = code.rssm.gru_update(*inputs)
    units = [[[x[b, i].item() for x in numbers] for i in range(H)] for b in range(B)]
    yield "h'", got, [[oracle.gru(*unit) for unit in row] for row in units]
    w = irregular(H, phase=8.0)
    found = gradients(got[1] @ w, *inputs)
    slopes = [oracle.slopes(lambda x: oracle.gru(*x), unit) for unit in units[1]]
    for k, name in enumerate(("h", "reset", "candidate", "update")):
        expected = [w[i].item() * slopes[i][k] for i in range(H)]
        yield f"gradient to {name}", found[k], [[0.0] * H, expected, [0.0] * H]
    changed = unchanged(numbers, inputs, "h reset candidate update")
    yield "inputs that were changed by the call", changed, []
    again = code.rssm.gru_update(*inputs)
    yield "a second result less the first", again - got, [[0.0] * H] * B
    one = code.rssm.gru_update(*(x[:1].to(F32) for x in numbers))
    yield "shape for B = 1", tuple(one.shape), (1, H)
    yield "dtype for float32", str(one.dtype), "torch.float32"


# --- 3.12 sequence_model --------------------------------------------------------------------------


@check(
    "3.12",
    "the GRU starts from the previous h: without any weights it keeps 1 - sigmoid(-1) of it",
    "all parameters 0, so that all gates are 0; H = 4 in 2 blocks and in 1, h = [.6 -.8 .3 1]",
)
def what_is_kept_of_h(code):
    h, z = torch.tensor([[0.6, -0.8, 0.3, 1.0]], dtype=F64), torch.ones(1, 1, 2, dtype=F64)
    for blocks in (2, 1):
        model = small_rssm(code, {}, deter=4, blocks=blocks)
        got = model.sequence_model(h, z, torch.ones(1, 1, dtype=F64))
        yield f"h' for {blocks} blocks", got, [[0.6 * KEPT, -0.8 * KEPT, 0.3 * KEPT, KEPT]]


@check(
    "3.12",
    "each block's gates are [reset, candidate, update] of its own units",
    "only the bias of `gates` is not 0: for the first block reset [.1 .2], candidate [.3 .4], "
    "update [.5 .6], for the second ten times that with a minus; h = [.6 -.8 .3 1]",
)
def layout_of_the_gates(code):
    first = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    second = [-10 * x for x in first]
    model = small_rssm(code, {"gates.bias": [[first], [second]]}, deter=4, blocks=2)
    h = [0.6, -0.8, 0.3, 1.0]
    got = model.sequence_model(
        torch.tensor([h], dtype=F64), torch.ones(1, 1, 2, dtype=F64), torch.ones(1, 1, dtype=F64)
    )
    expected = [
        oracle.gru(0.6, 0.1, 0.3, 0.5),
        oracle.gru(-0.8, 0.2, 0.4, 0.6),
        oracle.gru(0.3, -1.0, -3.0, -5.0),
        oracle.gru(1.0, -2.0, -4.0, -6.0),
    ]
    yield "h'", got, [expected]


@check(
    "3.12",
    "core_in sees [h_in(h), z_in(z), action_in]; core_h sees the block of h alone",
    "irregular parameters, H = 6 in 2 blocks; some weights are 0; which inputs influence block 0?",
)
def who_sees_what(code):
    numbers = [*start(1), irregular(1, U, phase=6.0)]
    shifted = [x + 0.7 for x in numbers]
    other_block = numbers[0].clone()
    other_block[:, H // 2 :] += 0.7
    parts = {"h": slice(0, U), "z": slice(U, 2 * U), "action_in": slice(2 * U, 3 * U)}

    def block(model, h, z, action_in):
        return model.sequence_model(h, z, action_in)[:, : H // 2]

    for name, columns in [*parts.items(), ("none", slice(0, 0))]:
        model = rssm_of(code)
        with torch.no_grad():
            weight = model.core_in.weight.clone()
            model.core_in.weight.zero_()
            model.core_in.weight[:, columns] = weight[:, columns]
            model.core_norm.weight.fill_(0.8)
            model.core_h.weight[1].zero_()  # else the norm lets block 0 feel block 1
            before = block(model, *numbers)
            seen = []
            for i, part in enumerate(("h", "z", "action_in")):
                inputs = [*numbers]
                inputs[i] = other_block if part == "h" else shifted[i]
                if (block(model, *inputs) - before).abs().max() > 1e-6:
                    seen.append("h of block 1" if part == "h" else part)
        expected = {"h": ["h of block 1"], "z": ["z"], "action_in": ["action_in"], "none": []}
        label = f"the columns of {name}" if name != "none" else "no columns"
        yield f"what block 0 sees where core_in has {label}", seen, expected[name]


@check(
    "3.12",
    "one step of the block-GRU, for every row of the batch by itself",
    "irregular parameters, B = 3, H = 6 in 2 blocks, S = 2, K = 5; the loss is h'·w of row 1",
)
def step_of_irregular_numbers(code):
    model, numbers = rssm_of(code), [*start(), irregular(B, U, phase=6.0)]
    inputs, p, w = copies(numbers), values(model), irregular(H, phase=8.0)
    got = model.sequence_model(*inputs)
    h, z, action_in = (x.flatten(1).tolist() for x in numbers)

    def step(h: list, z: list, action_in: list) -> list:
        return oracle.block_gru(h, z, None, p, action_in)

    for b in range(B):
        yield f"h' of row {b}", got[b], step(h[b], z[b], action_in[b])

    def loss(h: list, z: list, action_in: list) -> float:
        return dot(step(h, z, action_in), w.tolist())

    to_h, to_z, to_action = gradients(got[1] @ w, *inputs)
    some = 3
    slopes = oracle.slopes(lambda x: loss([*x, *h[1][some:]], z[1], action_in[1]), h[1][:some])
    yield "gradient to the first three numbers of h", to_h[1, :some], slopes
    slopes = oracle.slopes(lambda x: loss(h[1], [*x, *z[1][some:]], action_in[1]), z[1][:some])
    yield "gradient to the first three numbers of z", to_z[1, 0, :some], slopes
    slopes = oracle.slopes(
        lambda x: loss(h[1], z[1], [*x, *action_in[1][some:]]), action_in[1][:some]
    )
    yield "gradient to the first three numbers of action_in", to_action[1, :some], slopes
    yield "gradient to action_in of row 0", to_action[0], [0.0] * U
    changed = unchanged(numbers, inputs, "h z action_in")
    yield "inputs that were changed by the call", changed, []
    again = model.sequence_model(*inputs)
    yield "h' of a second call less that of the first", again - got, [[0.0] * H] * B


@check("3.12", "h' is (B, H), of the dtype of its inputs", "B = 3 and 1; float32 and float64")
def shape_of_a_step(code):
    for dtype in (F32, F64):
        model = rssm_of(code, dtype)
        for batch in (B, 1):
            action_in = irregular(batch, U, dtype=dtype)
            got = model.sequence_model(*start(batch, dtype), action_in)
            yield f"shape for B = {batch}", tuple(got.shape), (batch, H)
            yield "dtype", got.dtype == dtype, True


# --- 3.13 posterior -------------------------------------------------------------------------------


@check(
    "3.13",
    "the numbers are S groups of K logits, as they are",
    "only the bias of the last layer is not 0: [3 1 0 -2 5 1]; S = 2, K = 3",
)
def groups_of_the_posterior(code):
    numbers = {"post_out.1.bias": [3.0, 1.0, 0.0, -2.0, 5.0, 1.0]}
    model = small_rssm(code, numbers, stoch=2, classes=3)
    got = model.posterior(torch.ones(1, 1, dtype=F64), torch.ones(1, 1, dtype=F64))
    yield "logits", got, [[[3.0, 1.0, 0.0], [-2.0, 5.0, 1.0]]]


@check(
    "3.13",
    "the product with h and `embed_in` add up; norm and SiLU follow once, then the logits",
    "post_h and the last layer copy two units; h = [3 -1], embed_in = [1 -2]: norm and SiLU of "
    "[4 -3], whose root mean square is √12.5",
)
def sum_of_two_products(code):
    eye = [[1.0, 0.0], [0.0, 1.0]]
    numbers = {"post_h.weight": eye, "post_out.0.weight": [1.0, 1.0], "post_out.1.weight": eye}
    model = small_rssm(code, numbers, deter=2, hidden=2)
    h = torch.tensor([[3.0, -1.0]], dtype=F64)
    got = model.posterior(h, torch.tensor([[1.0, -2.0]], dtype=F64))
    normed = [x / math.sqrt(12.5 + 1e-4) for x in (4.0, -3.0)]
    yield "logits", got, [[[x / (1 + math.exp(-x)) for x in normed]]]


@check(
    "3.13",
    "gradients reach both h and the embedding, for any leading dimensions",
    "irregular parameters, B = 3, H = 6, S = 2, K = 5; then (H,) and (3, 4, H); the loss is "
    "logits·w of row 1",
)
def posterior_of_irregular_numbers(code):
    model, numbers = rssm_of(code), [irregular(B, H, phase=4.0), irregular(B, U, phase=6.0)]
    inputs, p, w = copies(numbers), values(model), irregular(S * K, phase=8.0)
    got = model.posterior(*inputs)
    h, embed_in = (x.tolist() for x in numbers)
    expected = [oracle.posterior_logits(h[b], embed_in[b], p, K) for b in range(B)]
    yield "logits", got, expected

    def loss(h: list, embed_in: list) -> float:
        return dot(sum(oracle.posterior_logits(h, embed_in, p, K), []), w.tolist())

    found = gradients(got[1].reshape(-1) @ w, *inputs)
    yield "gradient to h", found[0][1], oracle.slopes(lambda x: loss(x, embed_in[1]), h[1])
    slopes = oracle.slopes(lambda x: loss(h[1], x), embed_in[1])
    yield "gradient to embed_in", found[1][1], slopes
    yield "gradient to h of row 0", found[0][0], [0.0] * H
    yield "inputs that were changed by the call", unchanged(numbers, inputs, "h embed_in"), []
    again = model.posterior(*inputs)
    yield "logits of a second call less those of the first", again - got, [[[0.0] * K] * S] * B
    yield "logits of a single row (H,)", model.posterior(*(x[1] for x in numbers)), expected[1]
    for dtype in (F32, F64):
        many = irregular(3, 4, H, dtype=dtype), irregular(3, 4, U, dtype=dtype)
        logits = rssm_of(code, dtype).posterior(*many)
        yield "shape for (3, 4, H)", tuple(logits.shape), (3, 4, S, K)
        yield "dtype", logits.dtype == dtype, True


# --- 3.14 observe_step ----------------------------------------------------------------------------

WEIGHTS = irregular(S * K, phase=8.0)


@check(
    "3.14",
    "predict h, then correct: the posterior of the new h and the observation, and a sample of it",
    "irregular parameters, B = 3, H = 6, S = 2, K = 5; an episode begins in row 1: its h and z "
    "count as zero, while action_in and embed_in are as given",
)
def step_of_the_filter(code):
    model, p = rssm_of(code), None
    keep = torch.tensor([1.0, 0.0, 1.0], dtype=F64)
    actions, embeds = irregular(B, U, phase=6.0), irregular(B, U, phase=7.0)
    numbers = [*start(), keep, actions, embeds]
    inputs = [x.clone() for x in numbers]
    got = model.observe_step(*inputs)
    yield "number of results", len(got), 3
    p, expected = values(model), []
    for h, z, on, action_in, embed_in in zip(*(x.tolist() for x in numbers), strict=True):
        h = oracle.block_gru([on * x for x in h], [on * x for x in sum(z, [])], None, p, action_in)
        post = oracle.posterior_logits(h, embed_in, p, K)
        expected.append((h, oracle.mixed_sample(post, RATIO), post))
    for name, x, rows in zip(("h", "z", "logits"), got, zip(*expected, strict=True), strict=True):
        yield name, x, list(rows)
    changed = unchanged(numbers, inputs, "h z keep action_in embed_in")
    yield "inputs that were changed by the call", changed, []
    again = model.observe_step(*inputs)
    yield "h of a second call less that of the first", again[0] - got[0], [[0.0] * H] * B
    one = [x[:1].to(F32) for x in numbers]
    got = rssm_of(code, F32).observe_step(*one)
    yield "shapes for B = 1", [list(x.shape) for x in got], [[1, H], [1, S, K], [1, S, K]]
    yield "dtypes for float32", [str(x.dtype) for x in got], ["torch.float32"] * 3


@check(
    "3.14",
    "gradients pass through h and, straight through the sample, from z to all that it came from",
    "irregular parameters, B = 2, an episode begins in row 1; the losses are the sums of h, "
    "z·w and logits·w",
)
def gradient_of_a_step(code):
    model = rssm_of(code)
    keep = torch.tensor([1.0, 0.0], dtype=F64)
    numbers = [*start(2), irregular(2, U, phase=6.0), irregular(2, U, phase=7.0)]
    h, z, action_in, embed_in = inputs = copies(numbers)
    got = model.observe_step(h, z, keep, action_in, embed_in)
    p, w = values(model), WEIGHTS.tolist()
    rows = [x[0].flatten().tolist() for x in numbers]
    new = oracle.block_gru(rows[0], rows[1], None, p, rows[2])
    fixed = oracle.posterior_logits(new, rows[3], p, K)

    def step(inputs: list) -> tuple:
        h = oracle.block_gru(inputs[0], inputs[1], None, p, inputs[2])
        post = oracle.posterior_logits(h, inputs[3], p, K)
        return (
            sum(h),
            dot(sum(oracle.mixed_sample(post, RATIO, fixed), []), w),
            dot(sum(post, []), w),
        )

    sums = got[0].sum(), (got[1].flatten(1) @ WEIGHTS).sum(), (got[2].flatten(1) @ WEIGHTS).sum()
    for k, label in enumerate(("h", "z·w", "logits·w")):
        found = gradients(sums[k], *inputs)
        for i, name in enumerate(("h", "z", "action_in", "embed_in")):

            def moved(x: list, i=i, k=k) -> float:
                return step([*rows[:i], [*x, *rows[i][2:]], *rows[i + 1 :]])[k]

            slopes = oracle.slopes(moved, rows[i][:2])
            yield f"gradient of {label} to two numbers of {name}", found[i][0].flatten()[:2], slopes
        count = sum(bool(x[1].any()) for x in found[:2])
        yield f"does {label} of row 1 depend on its old h or z?", count, 0


def fixed_chances(code, where: str, logits: list, ratio: float, count: int = 1):
    """An RSSM with `count` categoricals whose logits are the same in every state."""
    model = strong(code.rssm.RSSM(1, 1, 2, 2, count, len(logits), 1, ratio).double())
    layer = model.get_submodule(where)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor(logits * count))
    return model


def shares(z) -> list:
    """Whether z is one-hot in every row, and the share of every class."""
    z = z.detach()
    one_hot = bool(((z - z.round()).abs() < 1e-6).all() and ((z.sum(-1) - 1).abs() < 1e-6).all())
    return [one_hot, *z.flatten(0, -2).mean(0).tolist()]


LOGITS, SHARE = [2.0, 0.0], 0.4
MIXED = "logits [2 0], mixed with a share of .4 of the uniform distribution: .728 and .272"
FIRST = 0.6 / (1 + math.exp(-2)) + 0.2


@check(
    "3.14",
    "each categorical of each row is drawn by itself, from the mixed distribution; the logits are "
    "returned as they are",
    f"6000 rows of two categoricals; {MIXED}",
)
def draws_of_a_step(code):
    model = fixed_chances(code, "post_out.1", LOGITS, SHARE, 2)
    rows = torch.zeros(6000, 2, dtype=F64)
    old = torch.zeros(6000, 2, 2, dtype=F64)
    _, z, logits = by_chance(lambda: model.observe_step(rows, old, 1 + rows[:, 0], rows, rows))
    one_hot, first, second = shares(z)
    yield "is every z one-hot?", one_hot, True
    yield "is z about .728 of the time class 0?", near(first, FIRST), True
    yield "is z ever class 1?", second > 0, True
    both = z.detach()[..., 0].prod(-1).mean()
    yield "are both class 0 about .728 · .728 of the time?", near(both, FIRST**2), True
    yield "logits of the first row", logits[0], [LOGITS] * 2


# --- 3.15 observe ---------------------------------------------------------------------------------


def sequences(dtype=F64) -> tuple:
    """Embeddings and actions, of which some are beyond ±1."""
    embeds = irregular(B, T, E, phase=2.0, dtype=dtype)
    return embeds, 2 * irregular(B, T, A, phase=3.0, dtype=dtype)


def slow_filter(model, embeds, actions, is_first, state, anchors=None) -> list:
    p, found = values(model), []
    rows = zip(*(x.tolist() for x in (embeds, actions, is_first, *state)), strict=True)
    for b, row in enumerate(rows):
        found.append(oracle.world_filter(*row, p, K, RATIO, anchors and anchors[b]))
    return found


@check(
    "3.15",
    "every row of every sequence; where an episode begins, h, z and action before it count as zero",
    "irregular numbers, B = 3, T = 4, actions in [-2, 2], is_first[1, 2] = is_first[2, 0] = 1; all "
    "sequences are shown",
)
def filter_of_irregular_numbers(code):
    model, (embeds, actions) = rssm_of(code), sequences()
    for dtype in (F64, F32):
        is_first = torch.zeros(B, T, dtype=dtype)
        is_first[1, 2] = is_first[2, 0] = 1
        state = start()
        inputs = [embeds.clone(), actions.clone(), is_first.clone(), *(x.clone() for x in state)]
        got = model.observe(*inputs[:3], (inputs[3], inputs[4]))
        yield "number of results", len(got), 3
        expected = slow_filter(model, embeds, actions, is_first, state)
        for t in range(T):
            for name, x in zip(("h", "z", "post"), got, strict=True):
                yield f"{name} at step {t}", x[:, t], [rows[t][name] for rows in expected]
        before = [embeds, actions, is_first, *state]
        changed = unchanged(before, inputs, "embeds actions is_first h z")
        yield "inputs that were changed by the call", changed, []
        if dtype == F64:
            again = model.observe(*inputs[:3], (inputs[3], inputs[4]))
            more = (again[0] - got[0]).abs().max() < 1e-9
            yield "is the h of a second call that of the first?", bool(more), True


@check(
    "3.15",
    "observation t is seen by the posterior of step t, by h only after it; action t by h of step "
    "t; beyond ±1 an action counts as ±1",
    "T = 4; at which steps is a number influenced by the input of step 1?",
)
def influence_of_one_row(code):
    model, (embeds, actions) = rssm_of(code), sequences()
    actions[:, 1] = torch.tensor([3.0, -0.5])
    other_embeds, other_actions, same_actions = embeds.clone(), actions.clone(), actions.clone()
    other_embeds[:, 1] = -embeds[:, 1] - 1
    other_actions[:, 1] = torch.tensor([-0.2, 0.9])
    same_actions[:, 1] = torch.tensor([1.0, -0.5])
    never = torch.zeros(B, T, dtype=F64)
    got = model.observe(embeds, actions, never, start())

    def steps(k: int, embeds, actions) -> list:
        """The steps at which a result is another one."""
        other = model.observe(embeds, actions, never, start())
        return [t for t in range(T) if (got[k] - other[k])[:, t].abs().max() > 1e-6]

    yield "steps of the logits that see observation 1", steps(2, other_embeds, actions), [1, 2, 3]
    yield "steps of h that see observation 1", steps(0, other_embeds, actions), [2, 3]
    yield "steps of h that see action 1", steps(0, embeds, other_actions), [1, 2, 3]
    label = "steps of h that see the difference of an action 3 and an action 1"
    yield label, steps(0, embeds, same_actions), []


@check(
    "3.15",
    "gradients flow back through time into embeddings, actions and the first state, but not past "
    "the beginning of an episode; the scale of a large action has none",
    "irregular numbers, B = 2, T = 3, a new episode in row [1, 2]; the sum of h of the last step",
)
def gradient_through_time(code):
    model, (embeds, actions) = rssm_of(code), sequences()
    embeds, actions, (h, z) = embeds[1:, :3], actions[1:, :3], start(2)
    is_first = torch.zeros(2, 3, dtype=F64)
    is_first[1, 2] = 1
    inputs = copies([embeds, actions, h, z])
    got = model.observe(inputs[0], inputs[1], is_first, (inputs[2], inputs[3]))
    p = values(model)
    e, a, h, z = (x[0].tolist() for x in (embeds, actions, h, z))
    base = oracle.world_filter(e, a, [0, 0, 0], h, z, p, K, RATIO)

    def run(embeds, actions, h, z) -> list:
        return oracle.world_filter(embeds, actions, [0, 0, 0], h, z, p, K, RATIO, base)

    def last(*inputs) -> float:
        return sum(run(*inputs)[-1]["h"])

    to_embeds, to_actions, to_h, to_z = gradients(got[0][:, -1].sum(), *inputs)
    for t in (0, 1):
        slopes = oracle.slopes(
            lambda x, t=t: last([*e[:t], [*x, *e[t][2:]], *e[t + 1 :]], a, h, z), e[t][:2]
        )
        yield f"gradient to two numbers of embeds[0, {t}]", to_embeds[0, t, :2], slopes
        slopes = oracle.slopes(lambda x, t=t: last(e, [*a[:t], x, *a[t + 1 :]], h, z), a[t])
        yield (
            f"gradient to actions[0, {t}] = [{a[t][0]:.3f} {a[t][1]:.3f}]",
            to_actions[0, t],
            slopes,
        )
    slopes = oracle.slopes(lambda x: last(e, a, [*x, *h[2:]], z), h[:2])
    yield "gradient to two numbers of the first h", to_h[0, :2], slopes
    slopes = oracle.slopes(lambda x: last(e, a, h, [[*x, *z[0][2:]], z[1]]), z[0][:2])
    yield "gradient to two numbers of the first z", to_z[0, 0, :2], slopes
    passed = [name for name, x in zip(
        ("embeds", "actions", "h", "z"), (to_embeds, to_actions, to_h, to_z), strict=True
    ) if x[1].any()]  # fmt: skip
    yield "what the h of row [1, 2], where an episode begins, depends on", passed, []
    w = WEIGHTS.tolist()
    for k, name in ((1, "z"), (2, "post")):
        slopes = oracle.slopes(
            lambda x, name=name: dot(sum(run([*e[:2], [*x, *e[2][2:]]], a, h, z)[-1][name], []), w),
            e[2][:2],
        )
        found = gradients(got[k][0, -1].reshape(-1) @ WEIGHTS, inputs[0])[0][0, -1, :2]
        yield f"gradient of {name}·w to two numbers of its own embedding", found, slopes


@check(
    "3.15",
    "z of every step is drawn once for each sequence; the next h builds on it",
    f"6000 sequences of 2 steps; {MIXED}, in every state",
)
def draws_of_the_filter(code):
    model = fixed_chances(code, "post_out.1", LOGITS, SHARE)
    rows = torch.full((6000, 2, 1), 0.3, dtype=F64)
    state = torch.zeros(6000, 2, dtype=F64), torch.zeros(6000, 1, 2, dtype=F64)
    h, z, _ = by_chance(lambda: model.observe(rows, rows, rows[..., 0] * 0, state))
    h, z = h.detach(), z.detach()
    for t in (0, 1):
        one_hot, first, _ = shares(z[:, t])
        yield f"is every z of step {t} one-hot?", one_hot, True
        yield f"is about .728 of step {t} class 0?", near(first, FIRST), True
    yield "is z of step 0 ever class 1?", bool(z[:, 0, 0, 1].any()), True
    both = (z[:, 0, 0, 0] * z[:, 1, 0, 0]).mean()
    yield "are about .728 · .728 of the sequences class 0 twice?", near(both, FIRST**2), True
    name = "is h of step 1 always that which the returned z of step 0 leads to?"
    yield name, follows(model, h[:, 0], z[:, 0], h[:, 1], 0.3), True


def follows(model, h, z, after, action: float) -> bool:
    """Whether `after` is the h to which z leads, where all rows begin with the same h."""
    p = values(model)
    ends = [oracle.block_gru(h[0].tolist(), x, [action], p) for x in ([1.0, 0.0], [0.0, 1.0])]
    return bool((after - z[:, 0].round() @ torch.tensor(ends, dtype=F64)).abs().max() < 1e-5)


@check(
    "3.15",
    "a batch of one sequence of one row has the same dimensions as any other",
    "B = 3, T = 4, then B = T = 1; float32 and float64",
)
def shapes_of_the_filter(code):
    for dtype in (F32, F64):
        embeds, actions = sequences(dtype)
        for b, t in ((B, T), (1, 1)):
            flags = torch.zeros(b, t, dtype=dtype)
            got = rssm_of(code, dtype).observe(
                embeds[:b, :t], actions[:b, :t], flags, start(b, dtype)
            )
            sizes = [[b, t, H], [b, t, S, K], [b, t, S, K]]
            yield (
                f"shapes of h, z, logits for B = {b}, T = {t}",
                [list(x.shape) for x in got],
                sizes,
            )
            yield "dtypes", [x.dtype == dtype for x in got], [True] * 3


# --- 3.16 imagine_step ----------------------------------------------------------------------------


@check(
    "3.16",
    "h by the sequence model with the bounded action, z a sample of the prior of this new h",
    "irregular parameters, N = 3, H = 6, S = 2, K = 5; actions [.4 -2], [-1 .9] and [5 .1]",
)
def step_of_a_dream(code):
    model = rssm_of(code)
    actions = torch.tensor([[0.4, -2.0], [-1.0, 0.9], [5.0, 0.1]], dtype=F64)
    h = 3 * irregular(B, H, phase=9.0)  # another class is likely for it than for the new h
    numbers = [h, start()[1], actions]
    inputs = [x.clone() for x in numbers]
    got = model.imagine_step(*inputs)
    yield "number of results", len(got), 2
    p, expected = values(model), []
    for h, z, action in zip(*(x.tolist() for x in numbers), strict=True):
        h = oracle.block_gru(h, sum(z, []), oracle.bounded(action), p)
        expected.append((h, oracle.mixed_sample(oracle.prior_logits(h, p, K), RATIO)))
    for name, x, rows in zip(("h", "z"), got, zip(*expected, strict=True), strict=True):
        yield name, x, list(rows)
    changed = unchanged(numbers, inputs, "h z action")
    yield "inputs that were changed by the call", changed, []
    again = model.imagine_step(*inputs)
    yield "h of a second call less that of the first", again[0] - got[0], [[0.0] * H] * B
    one = rssm_of(code, F32).imagine_step(*(x[:1].to(F32) for x in numbers))
    yield "shapes for N = 1", [list(x.shape) for x in one], [[1, H], [1, S, K]]
    yield "dtypes for float32", [str(x.dtype) for x in one], ["torch.float32"] * 2


@check(
    "3.16",
    "a dream has no observation: z comes from the prior, drawn from its mixed distribution",
    f"6000 rows; the prior has {MIXED}; the posterior has the logits [-9 9]",
)
def draws_of_a_dreamed_step(code):
    model = fixed_chances(code, "prior_mlp.4", LOGITS, SHARE)
    with torch.no_grad():
        model.post_out[1].weight.zero_()
        model.post_out[1].bias.copy_(torch.tensor([-9.0, 9.0]))
    rows = torch.zeros(6000, 2, dtype=F64)
    _, z = by_chance(lambda: model.imagine_step(rows, rows[:, None], rows[:, :1]))
    one_hot, first, second = shares(z)
    yield "is every z one-hot?", one_hot, True
    yield "is z about .728 of the time class 0?", near(first, FIRST), True
    yield "is z ever class 1?", second > 0, True


# --- 3.17 imagine ---------------------------------------------------------------------------------

MIX = irregular(F, A, phase=9.0)


def mixing_policy(feature):
    """An action that tells the feature it was made for; some are beyond ±1."""
    return 1.5 * torch.sin(feature @ MIX)


def slow_policy(feature: list) -> list:
    return [1.5 * math.sin(dot(feature, column)) for column in MIX.T.tolist()]


@check(
    "3.17",
    "the action at state t is the policy's for [h, z] of state t, and leads to state t + 1",
    "irregular numbers, N = 3, horizon 3, action = 1.5 sin(W·feature); state 0 is the start",
)
def dream_of_irregular_numbers(code):
    model, (h, z) = rssm_of(code), start()
    given = h.clone(), z.clone()
    states, actions = model.imagine(*given, mixing_policy, 3)
    p = values(model)
    rows = [
        oracle.world_dream(h[n].tolist(), z[n].tolist(), slow_policy, 3, p, K, RATIO)
        for n in range(B)
    ]
    yield "shapes", [list(x.shape) for x in (states, actions)], [[B, 4, F], [B, 4, A]]
    for t in range(4):
        expected = [[*dream[t]["h"], *sum(dream[t]["z"], [])] for dream in rows]
        yield f"feature of state {t}", states[:, t], expected
        yield f"action at state {t}", actions[:, t], [dream[t]["action"] for dream in rows]
    yield "parts of the start that were changed by the call", unchanged([h, z], given, "h z"), []
    again = model.imagine(*given, mixing_policy, 3)[0]
    yield "is a second dream the same?", bool((again - states).abs().max() < 1e-9), True


@check(
    "3.17",
    "1 + horizon states and actions; the policy is asked once for each state, in their order",
    "horizon 4 with N = 3, and horizon 1 with N = 1; the k-th answer of the policy is k",
)
def calls_of_the_policy(code):
    model = rssm_of(code, F32)
    for count, horizon in ((3, 4), (1, 1)):
        seen = []

        def policy(feature, seen=seen, count=count):
            seen.append(feature.clone())
            return torch.full((count, A), float(len(seen)))

        states, actions = model.imagine(*start(count, F32), policy, horizon)
        label = f"for N = {count}, horizon {horizon}"
        expected = [[count, 1 + horizon, F], [count, 1 + horizon, A]]
        yield f"shapes {label}", [list(x.shape) for x in (states, actions)], expected
        yield f"how often the policy was asked {label}", len(seen), 1 + horizon
        yield f"actions of dream 0 {label}", actions[0, :, 0], [1.0 + k for k in range(1 + horizon)]
        same = [bool(torch.equal(states[:, k], x)) for k, x in enumerate(seen[: 1 + horizon])]
        yield f"was the k-th feature that of state k? {label}", same, [True] * (1 + horizon)
        yield f"dtypes {label}", [str(x.dtype) for x in (states, actions)], ["torch.float32"] * 2


@check(
    "3.17",
    "a dream has no gradient; what the policy was given stays as it was, for the actor's loss",
    "N = 3, horizon 2; the policy switches gradients on and keeps W·feature",
)
def policy_with_a_gradient(code):
    model, kept = rssm_of(code), []
    weight = MIX.clone().requires_grad_()

    def policy(feature):
        with torch.enable_grad():
            kept.append(feature @ weight)
        return torch.sin(kept[-1])

    h, z = copies(start())
    states, actions = model.imagine(h, z, policy, 2)
    attached = [x.requires_grad for x in (states, actions)]
    yield "do the features and actions carry a gradient?", attached, [False, False]
    [found] = gradients(torch.stack(kept, 1).sum(), weight)
    total = [0.0] * F
    for row in states.flatten(0, 1).tolist():
        total = [a + x for a, x in zip(total, row, strict=True)]
    yield "gradient of what was kept to W: the sum of all features", found[:, 0], total


@check(
    "3.17",
    "z of every state is drawn once for each dream; policy, feature and next h share it",
    f"6000 dreams of 2 steps; the prior has {MIXED}, in every state",
)
def draws_of_the_dream(code):
    model, seen = fixed_chances(code, "prior_mlp.4", LOGITS, SHARE), []

    def policy(feature):
        seen.append(feature.clone())
        return torch.full_like(feature[:, :1], 0.3)

    rows = torch.zeros(6000, 2, dtype=F64)
    states, _ = by_chance(lambda: model.imagine(rows, rows[:, None], policy, 2))
    h, z = states[..., :2], states[..., None, 2:]
    for t in (1, 2):
        one_hot, first, _ = shares(z[:, t])
        yield f"is every z of state {t} one-hot?", one_hot, True
        yield f"is about .728 of state {t} class 0?", near(first, FIRST), True
    both = (z[:, 1, 0, 0] * z[:, 2, 0, 0]).mean()
    yield "are about .728 · .728 of the dreams class 0 twice?", near(both, FIRST**2), True
    name = "is h of state 2 always that which the returned z of state 1 leads to?"
    yield name, follows(model, h[:, 1], z[:, 1], h[:, 2], 0.3), True
    same = len(seen) > 1 and bool(torch.equal(seen[1], states[:, 1]))
    yield "has the policy seen the state 1 that is returned?", same, True


# --- 3.18 kl_loss ---------------------------------------------------------------------------------

POST, PRIOR = [2.0, 0.0, 0.0], [0.0, 1.0, 0.0]
PLAIN = dict(free_nats=0.0, ratio=0.0)


def one_categorical(rows: list) -> torch.Tensor:
    """Logits of rows (B, T) as (B, T, 1, K), that want a gradient."""
    return torch.tensor(rows, dtype=F64)[..., None, :].requires_grad_()


@check(
    "3.18",
    "both losses are KL(posterior ‖ prior), in nats",
    "B = T = S = 1, posterior [2 0 0], prior [0 1 0]: KL(post ‖ prior) = 0.779365, "
    "KL(prior ‖ post) = 0.840336; nothing mixed, no free nats; then the two exchanged",
)
def value_of_the_kl(code):
    for p, q in ((POST, PRIOR), (PRIOR, POST), (POST, POST)):
        dyn, rep = code.rssm.kl_loss(one_categorical([[p]]), one_categorical([[q]]), **PLAIN)
        truth = oracle.categorical_kl([p], [q])
        yield f"dyn of {p} and {q}", dyn, [[truth]]
        yield f"rep of {p} and {q}", rep, [[truth]]


@check(
    "3.18",
    "dyn trains the prior alone, rep the posterior alone",
    "two rows, K = 3: posterior [2 0 0] and [0 1 -1], prior [0 1 0] and [1 0 0]; the share .1 of "
    "the uniform distribution, no free nats; the loss is the first row plus 3 times the second",
)
def sides_of_the_gradient(code):
    rows = [[POST, [0.0, 1.0, -1.0]]], [[PRIOR, [1.0, 0.0, 0.0]]]
    post, prior = (one_categorical(x) for x in rows)
    dyn, rep = code.rssm.kl_loss(post, prior, free_nats=0.0, ratio=0.1)
    to_post, to_prior = [], []
    for p, q, w in zip(rows[0][0], rows[1][0], (1.0, 3.0), strict=True):
        to_post.append(oracle.slopes(lambda x, q=q, w=w: w * oracle.mixed_kl([x], [q], 0.1), p))
        to_prior.append(oracle.slopes(lambda x, p=p, w=w: w * oracle.mixed_kl([p], [x], 0.1), q))
    none = [[0.0] * 3] * 2
    weights = torch.tensor([[1.0, 3.0]], dtype=F64)
    found = gradients((dyn * weights).sum(), post, prior)
    yield "gradient of dyn to the posterior", found[0][0, :, 0], none
    yield "gradient of dyn to the prior", found[1][0, :, 0], to_prior
    found = gradients((rep * weights).sum(), post, prior)
    yield "gradient of rep to the posterior", found[0][0, :, 0], to_post
    yield "gradient of rep to the prior", found[1][0, :, 0], none


def rows_with_kl(rows: list) -> tuple:
    """Logits (B, T, S, 2) with these KLs (B, T, S): posteriors e^-kl : 1 against priors."""
    post = torch.tensor([[[[40.0, 0.0] for _ in kls] for kls in row] for row in rows], dtype=F64)
    prior = [[[[-x, math.log(1 - math.exp(-x))] for x in kls] for kls in row] for row in rows]
    return post.requires_grad_(), torch.tensor(prior, dtype=F64).requires_grad_()


@check(
    "3.18",
    "first the sum over the categoricals, then for each row by itself not below the free nats",
    "KLs of the categoricals (S = 3) of two rows [.2 .3 .4] and [.4 .5 .6], and of one sequence "
    "with S = 1: [.2 .2 5], whose mean 1.8 is not cut; nothing mixed",
)
def free_nats_of_each_row(code):
    for rows, free, expected in (
        ([[[0.2, 0.3, 0.4], [0.4, 0.5, 0.6]]], 1.0, [[1.0, 1.5]]),
        ([[[0.2], [0.2], [5.0]]], 1.0, [[1.0, 1.0, 5.0]]),
        ([[[0.2], [0.2], [5.0]]], 0.1, [[0.2, 0.2, 5.0]]),
        ([[[0.3], [4.0]], [[2.5], [0.1]]], 2.0, [[2.0, 4.0], [2.5, 2.0]]),
    ):
        dyn, rep = code.rssm.kl_loss(*rows_with_kl(rows), free_nats=free, ratio=0.0)
        label = " | ".join(" ".join(str(x) for x in row).replace(",", "") for row in rows)
        yield f"dyn of KLs {label}, {free:g} free", dyn, expected
        yield f"rep of KLs {label}, {free:g} free", rep, expected


@check(
    "3.18",
    "below the free nats a row has no gradient, above them the whole one",
    "T = 2, the row [0 0 0] against [0 1 0] has a KL of .19, [2 0 0] against [0 1 0] of .779; free "
    "nats .5; nothing mixed",
)
def gradient_and_free_nats(code):
    small = [0.0, 0.0, 0.0]
    post, prior = one_categorical([[small, POST]]), one_categorical([[PRIOR, PRIOR]])
    dyn, rep = code.rssm.kl_loss(post, prior, free_nats=0.5, ratio=0.0)
    yield "dyn", dyn, [[0.5, oracle.categorical_kl([POST], [PRIOR])]]
    to_prior = oracle.slopes(lambda x: oracle.categorical_kl([POST], [x]), PRIOR)
    to_post = oracle.slopes(lambda x: oracle.categorical_kl([x], [PRIOR]), POST)
    [found] = gradients(dyn.sum(), prior)
    yield "gradient of dyn to the prior, row 0 and 1", found[0, :, 0], [[0.0] * 3, to_prior]
    [found] = gradients(rep.sum(), post)
    yield "gradient of rep to the posterior, row 0 and 1", found[0, :, 0], [[0.0] * 3, to_post]


@check(
    "3.18",
    "both sides are mixed with the uniform distribution, so that the KL stays finite",
    "S = 1, K = 4: logits [100 0 0 0] against [0 0 0 100] have a KL of 5.9241 with the default "
    "share .01, of 100 without; then shares .3 and .05, both ways round",
)
def mixed_distributions(code):
    far, back = [100.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 100.0]
    dyn, rep = code.rssm.kl_loss(one_categorical([[far]]), one_categorical([[back]]))
    yield "dyn with the defaults", dyn, [[oracle.mixed_kl([far], [back], 0.01)]]
    yield "rep with the defaults", rep, [[oracle.mixed_kl([far], [back], 0.01)]]
    for ratio in (0.3, 0.05):
        for p, q in ((far, [1.0, 0.0, 2.0, 0.0]), ([1.0, 0.0, 2.0, 0.0], far), (far, far)):
            post, prior = one_categorical([[p]]), one_categorical([[q]])
            dyn, rep = code.rssm.kl_loss(post, prior, 0.0, ratio)
            expected = [[oracle.mixed_kl([p], [q], ratio)]]
            yield f"dyn of {p} and {q}, share {ratio}", dyn, expected
            yield f"rep of {p} and {q}, share {ratio}", rep, expected


@check(
    "3.18",
    "value and gradient are finite for large logits, and each row counts by itself",
    "B = 3, T = 4, S = 2, K = 5, irregular logits in [-4, 4], then in [-1000, 1000]; float32, the "
    "defaults: one free nat, the share .01",
)
def defaults_of_the_kl_loss(code):
    for scale in (4.0, 1000.0):
        inputs = [scale * irregular(B, T, S, K, phase=x, dtype=F32) for x in (1.0, 2.0)]
        post, prior = leaves(*(x.tolist() for x in inputs), dtype=F32)
        losses = code.rssm.kl_loss(post, prior)
        p, q = (x.tolist() for x in inputs)
        expected = [
            [max(1.0, oracle.mixed_kl(p[b][t], q[b][t], 0.01)) for t in range(T)] for b in range(B)
        ]
        for name, loss in zip(("dyn", "rep"), losses, strict=True):
            yield f"{name}, logits in ±{scale:g}", loss, expected
            finite = [bool(x.isfinite().all()) for x in gradients(loss.sum(), post, prior)]
            yield "are the gradients finite?", finite, [True, True]
            yield "dtype", str(loss.dtype), "torch.float32"
        changed = unchanged(inputs, [post, prior], "posterior prior")
        yield "inputs that were changed by the call", changed, []


# --- 3.19 WorldModel.loss -------------------------------------------------------------------------

PARTS = ("dyn", "rep", "reward", "continue", "position")


def slow_parts(model, batch, anchors=None, **changed) -> dict:
    """The parts of the loss, row by row; `changed` parameters take the place of the model's."""
    lists = {name: x.tolist() for name, x in batch.items() if name != "image"}
    rows = [{name: x[b] for name, x in lists.items()} for b in range(len(lists["reward"]))]
    return oracle.world_losses(rows, values(model) | changed, model.config, anchors)


def constant_world(code, space=None, **others):
    """A world model whose latents and predictions are the same whatever it sees."""
    numbers = {
        "rssm.post_out.1.bias": POST * 2,
        "rssm.prior_mlp.4.bias": PRIOR * 2,
        "reward.mlp.2.bias": [0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0],
        "continues.2.bias": [1.5],
    }
    model = world_of(code, space, **others)
    if hasattr(model.decoder, "mlp"):
        numbers["decoder.mlp.2.bias"] = [0.2] * D
    if hasattr(model.decoder, "cnn"):
        name = [name for name, _ in model.named_parameters() if name.startswith("decoder.cnn")][-1]
        numbers[name] = [math.log(3)]
    return put(model, numbers)


def hand_parts(batch, **others) -> dict:
    """The parts of the constant world's loss, before their scales."""
    bins = oracle.symexp_bins(7, 2.0)
    rewards = [oracle.two_hot(x, bins) for x in batch["reward"].flatten().tolist()]
    logits = [0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0]
    ends = batch["is_terminal"].flatten().tolist()
    ends = [oracle.bernoulli_cross_entropy(1.5, 0.9 * (1 - x)) for x in ends]
    kl = 2 * oracle.mixed_kl([POST], [PRIOR], RATIO)
    return {
        "kl": kl,
        "reward": sum(oracle.cross_entropy(x, logits) for x in rewards) / len(rewards),
        "continue": sum(ends) / len(ends),
        "position": D * (0.2 - math.log(1.7)) ** 2,
        "image": 64 * (0.75 - 0.2) ** 2,
    }


@check(
    "3.19",
    "dyn, rep and the reconstructions have the config's scales, reward and continue have none",
    "predictions: position .2 (target symlog(.7), 4 numbers), image sigmoid(ln 3) = .75 (target "
    "51 / 255, 64 pixels), continue logit 1.5, two-hot logits [0 0 2 1 0 0 0]; scales: dyn .7, rep "
    ".2, image .5, vector 3; γ = .9",
)
def parts_by_hand(code):
    batch = batch_of(images=True)
    batch["position"] = torch.full((2, 3, D), 0.7)
    batch["image"] = torch.full_like(batch["image"], 51)
    loss, _, metrics = constant_world(code, IMAGE | VECTOR).loss(batch)
    parts = hand_parts(batch)
    expected = {
        "dyn": 0.7 * parts["kl"],
        "rep": 0.2 * parts["kl"],
        "reward": parts["reward"],
        "continue": parts["continue"],
        "image": 0.5 * parts["image"],
        "position": 3 * parts["position"],
    }
    for name, value in expected.items():
        yield f"part {name}", metrics.get(f"loss/{name}"), value
    yield "kl for the log", metrics.get("kl"), parts["kl"]
    yield "loss", loss, sum(expected.values())
    names = sorted(["kl", *(f"loss/{name}" for name in expected)])
    yield "names of the metrics", sorted(metrics), names


@check(
    "3.19",
    "observations of images alone have one reconstruction loss",
    "one image of 8×8 pixels, B = T = 1; image sigmoid(ln 3) = .75, target 51 / 255; free nats 50",
)
def images_alone(code):
    batch = batch_of(1, 1, images=True)
    batch["image"] = torch.full_like(batch["image"], 51)
    loss, (h, z), metrics = constant_world(code, IMAGE, free_nats=50.0).loss(batch)
    parts = hand_parts(batch)
    expected = {
        "dyn": 35.0, "rep": 10.0, "reward": parts["reward"], "continue": parts["continue"],
        "image": parts["image"] / 2,
    }  # fmt: skip
    found = {name[5:]: x for name, x in metrics.items() if name.startswith("loss/")}
    yield "names of the parts", sorted(found), sorted(expected)
    for name, value in expected.items():
        yield f"part {name}", found.get(name), value
    yield "kl for the log, without the free nats", metrics.get("kl"), parts["kl"]
    yield "loss", loss, sum(expected.values())
    yield "shapes of h and z", [list(x.shape) for x in (h, z)], [[1, 1, 4], [1, 1, 2, 3]]


@check(
    "3.19",
    "all predictions of a row are made from the state of this row",
    "irregular numbers, B = 2, T = 3; the second sequence has a death at step 1 and a new episode "
    "at step 2, the first is cut off at step 2; the state before the rows is not zero",
)
def parts_of_irregular_numbers(code):
    model, batch = world_of(code, dtype=F64), batch_of(dtype=F64)
    before = {name: x.clone() for name, x in batch.items()}
    loss, states, metrics = model.loss(batch)
    expected = slow_parts(model, before)
    for name in PARTS:
        yield f"part {name}", metrics.get(f"loss/{name}"), expected[name]
    yield "kl for the log", metrics.get("kl"), expected["kl"]
    yield "loss", loss, sum(expected[name] for name in PARTS)
    for name, x in zip(("h", "z"), states, strict=True):
        yield f"{name} of all rows", x, [[s[name] for s in rows] for rows in expected["steps"]]
    changed = sorted(name for name in batch if not torch.equal(batch[name], before[name]))
    yield "parts of the batch that were changed by the call", changed, []
    again = model.loss(batch)[0]
    yield "a second loss less the first", again - loss, 0.0


@check(
    "3.19",
    "unimix and the discount are the config's",
    "irregular numbers, B = T = 1; unimix .2, γ = .75",
)
def options_of_the_loss(code):
    model = world_of(code, dtype=F64, unimix=0.2, discount_horizon=4)
    batch = batch_of(1, 1, dtype=F64)
    metrics, expected = model.loss(batch)[2], slow_parts(model, batch)
    for part in ("dyn", "rep", "continue"):
        yield f"part {part}", metrics.get(f"loss/{part}"), expected[part]


def group(name: str) -> str:
    """Part of the world model to which a parameter belongs."""
    if "rssm" not in name:
        return name.split(".")[0]
    return "prior" if "prior" in name else "posterior" if "post" in name else "recurrent"


SCALES = ("scale_dyn", "scale_rep", "scale_vector")


@check(
    "3.19",
    "dyn trains the prior, rep posterior and encoder, each prediction its own predictor and all "
    "below; all train the sequence model",
    "B = T = 1; all other parts are 0, or have weights of 0",
)
def parts_that_learn(code):
    model, batch = world_of(code, dtype=F64), batch_of(1, 1, dtype=F64)
    scales, weights = vars(model.config).copy(), values(model)
    names, parameters = zip(*model.named_parameters(), strict=True)
    below = ["encoder", "posterior", "recurrent"]
    for part, trained in (
        ("dyn", ["prior", "recurrent"]),
        ("rep", below),
        ("vector", [*below, "decoder"]),
        ("reward", [*below, "reward"]),
        ("continue", [*below, "continues"]),
    ):
        for name in SCALES:
            setattr(model.config, name, scales[name] if name.endswith(part) else 0.0)
        for name in ("reward", "continues"):
            own = {key[len(name) + 1 :]: x for key, x in weights.items() if key.startswith(name)}
            put(model.get_submodule(name), own if name.startswith(part) else {})
        found = zip(names, gradients(model.loss(batch)[0], *parameters), strict=True)
        # A head of zeros learns something, but passes nothing on.
        idle = {"reward", "continues"} - set(trained)
        learning = {group(name) for name, gradient in found if gradient.any()} - idle
        yield f"trained by the part {part}", sorted(learning), sorted(trained)


BIASES = (
    "encoder.mlp.0.bias", "rssm.core_h.bias", "rssm.prior_mlp.4.bias", "rssm.post_out.1.bias",
    "decoder.mlp.2.bias", "reward.mlp.2.bias", "continues.2.bias",
)  # fmt: skip


@check(
    "3.19",
    "nothing is detached but what the KL losses detach; h and z are returned with their gradient",
    "irregular numbers, B = 1, T = 2; gradients of the whole loss, then of the sum of h and z·w",
)
def gradient_of_the_loss(code):
    model, batch = world_of(code, dtype=F64), batch_of(1, 2, dtype=F64)
    loss, (h, z), _ = model.loss(batch)
    base = slow_parts(model, batch)
    w = irregular(*z.shape, phase=8.0)
    returned = h.sum() + (z * w).sum()
    w = w[0].flatten(1).tolist()
    for name in BIASES:
        bias = model.get_parameter(name)
        numbers = bias.tolist()

        @functools.cache
        def slow(x: float, name=name, numbers=numbers) -> dict:
            new = [x, *numbers[1:]]
            if isinstance(numbers[0], list):  # of blocks: its very first number
                new = [[[x, *numbers[0][0][1:]]], *numbers[1:]]
            return slow_parts(model, batch, base["steps"], **{name: new})

        def total(x: list, slow=slow) -> float:
            parts = slow(x[0])
            return sum(parts[part] for part in PARTS)

        def states(x: list, slow=slow) -> float:
            steps = slow(x[0])["steps"][0]
            return sum(sum(s["h"]) + dot(sum(s["z"], []), w[t]) for t, s in enumerate(steps))

        first = bias.flatten()[:1].tolist()
        found = gradients(loss, bias)[0].flatten()[0]
        yield f"gradient of the loss to {name}[0]", found, oracle.slopes(total, first)[0], 1e-4
        if name.startswith(("encoder", "rssm")):
            found = gradients(returned, bias)[0].flatten()[0]
            yield f"gradient of h and z to {name}[0]", found, oracle.slopes(states, first)[0], 1e-4


@check(
    "3.19",
    "what is predicted and what is compared belong to the very states that are returned: nothing "
    "is drawn after filtering",
    "irregular numbers, B = 2, T = 3, logits so small that every class may be drawn, by real "
    "chance; from the returned h and z the parts are computed again",
)
def parts_of_drawn_states(code):
    model, batch = world_of(code, dtype=F64), batch_of(dtype=F64)
    c, rssm = model.config, model.rssm
    with torch.no_grad():
        rssm.post_out[1].weight.mul_(0.1)
    _, (h, z), metrics = by_chance(lambda: model.loss(batch))
    keep = 1 - batch["is_first"][:, 1:].flatten()
    before = (
        h[:, :-1].flatten(0, 1) * keep[:, None],
        z[:, :-1].flatten(0, 1) * keep[:, None, None],
    )
    action_in = rssm.a_in(batch["action"][:, 1:].flatten(0, 1).clamp(-1, 1) * keep[:, None])
    after = rssm.sequence_model(*before, action_in)
    yield "h of the next row, made of the z that is returned", h[:, 1:].flatten(0, 1), after
    posterior = rssm.posterior(h, rssm.post_embed(model.encoder(batch)))
    dyn, rep = code.rssm.kl_loss(posterior, rssm.prior(h), c.free_nats, c.unimix)
    seen = torch.cat([h, z.flatten(-2)], -1)
    yield "part dyn", metrics.get("loss/dyn"), c.scale_dyn * dyn.mean()
    yield "part rep", metrics.get("loss/rep"), c.scale_rep * rep.mean()
    loss = model.reward.loss(model.reward(seen), batch["reward"])
    yield "part reward", metrics.get("loss/reward"), loss.mean()
    logits, ends = model.continues(seen).flatten().tolist(), batch["is_terminal"].flatten()
    goes_on = [model.discount * (1 - x) for x in ends.tolist()]
    found = [oracle.bernoulli_cross_entropy(*x) for x in zip(logits, goes_on, strict=True)]
    yield "part continue", metrics.get("loss/continue"), sum(found) / len(found)
    ((key, prediction),) = model.decoder(h, z).items()
    target = batch[key].sign() * batch[key].abs().log1p()
    error = (prediction - target).square().sum(-1)
    yield f"part {key}", metrics.get(f"loss/{key}"), c.scale_vector * error.mean()
