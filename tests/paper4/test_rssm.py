"""Checks of hDreamer's world model: two levels of latents, filtering, dreams, the KL of levels.

There is no paper of this model: residual posteriors are from NVAE (arXiv:2007.03898), all else is
DreamerV3's (arXiv:2301.04104v2). Rows follow the replay: actions[:, t] led to observation t.

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
from tests.paper3.models import IMAGE, VECTOR, D, by_chance, near, put
from tests.paper4.models import (
    BOTTOM,
    RATIO,
    TOP,
    B,
    H,
    K,
    S,
    U,
    batch_of,
    options,
    rssm_of,
    small_rssm,
    start,
    strong,
    world_of,
)  # fmt: skip

F32 = torch.float32
SIZES = options()  # what the oracle asks: n_top, classes, unimix
NONE = [[0.0] * K] * TOP


def changed(before: list, after: list, names: str) -> list:
    """Names of the tensors that are no longer what they were."""
    rows = zip(names.split(), before, after, strict=True)
    return [name for name, old, new in rows if not torch.equal(old, new)]


def copies(inputs) -> list:
    """The same numbers in tensors that want a gradient."""
    return [x.clone().requires_grad_() for x in inputs]


def dot(a: list, b: list) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def flat(groups: list) -> list:
    return sum(groups, [])


def trained(model, loss) -> list:
    """The parts of an RSSM whose parameters have a gradient, by their first names."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = zip(names, gradients(loss, *parameters), strict=True)
    return sorted({name.split(".")[0] for name, gradient in found if gradient.any()})


# --- 4.4 bottom_prior -----------------------------------------------------------------------------


@check(
    "4.4",
    "the numbers are S_bottom groups of K logits, as they are",
    "only the bias of the last layer is not 0: [3 1 0 -2 5 1]; S_top = 1, S_bottom = 2, K = 3",
)
def groups_of_the_bottom_prior(code):
    numbers = {"bottom_prior_mlp.4.bias": [3.0, 1.0, 0.0, -2.0, 5.0, 1.0]}
    model = small_rssm(code, numbers, n_bottom=2, classes=3)
    got = model.bottom_prior(torch.ones(1, 1, dtype=F64), torch.ones(1, 1, 3, dtype=F64))
    yield "logits", got, [[[3.0, 1.0, 0.0], [-2.0, 5.0, 1.0]]]


def numbers_below(*lead, dtype=F64, seen=True) -> list:
    """h, top and the product with the embedding, of any leading dimensions."""
    h = irregular(*lead, H, phase=4.0, dtype=dtype)
    top = irregular(*lead, TOP, K, phase=5.0, dtype=dtype)
    return [h, top, irregular(*lead, U, phase=6.0, dtype=dtype)][: 3 if seen else 2]


@check(
    "4.4",
    "the bottom prior is a function of [h, z_top], with a gradient into both",
    "irregular parameters, B = 3, H = 6, S_top = 2, S_bottom = 3, K = 4; the loss is logits·w of "
    "row 1",
)
def bottom_prior_of_irregular_numbers(code):
    model, numbers = rssm_of(code), numbers_below(B, seen=False)
    inputs, p, w = copies(numbers), values(model), irregular(BOTTOM * K, phase=8.0)
    got = model.bottom_prior(*inputs)
    h, top = (x.tolist() for x in numbers)
    expected = [oracle.bottom_prior_logits(h[b], top[b], p, K) for b in range(B)]
    yield "logits", got, expected

    def loss(h: list, top: list) -> float:
        return dot(flat(oracle.bottom_prior_logits(h, top, p, K)), w.tolist())

    found = gradients(got[1].reshape(-1) @ w, *inputs)
    yield "gradient to h", found[0][1], oracle.slopes(lambda x: loss(x, top[1]), h[1])
    slopes = oracle.slopes(lambda x: loss(h[1], [x]), flat(top[1]))
    yield "gradient to top", found[1][1].flatten(), slopes
    yield "gradient to top of row 0", found[1][0], NONE
    yield "what is trained", trained(model, got[1].reshape(-1) @ w), ["bottom_prior_mlp"]
    yield "inputs that were changed by the call", changed(numbers, inputs, "h top"), []
    again = model.bottom_prior(*inputs)
    yield "a second result less the first", again - got, [[[0.0] * K] * BOTTOM] * B


@check(
    "4.4",
    "any leading dimensions: (..., H) and (..., S_top, K) make (..., S_bottom, K)",
    "irregular parameters; a single row, then (3, 5), float32 and float64",
)
def shapes_of_the_bottom_prior(code):
    for dtype in (F64, F32):
        model = rssm_of(code, dtype)
        h, top = numbers_below(3, 5, dtype=dtype, seen=False)
        got = model.bottom_prior(h, top)
        yield "shape for (3, 5)", tuple(got.shape), (3, 5, BOTTOM, K)
        yield "dtype", got.dtype == dtype, True
        row = h[2, 3].tolist(), top[2, 3].tolist()
        expected = oracle.bottom_prior_logits(*row, values(model), K)
        yield "logits of row (2, 3)", got[2, 3], expected, 1e-4
        yield "logits of this row alone", model.bottom_prior(h[2, 3], top[2, 3]), expected, 1e-4


# --- 4.5 bottom_posterior -------------------------------------------------------------------------

BELOW = [3.0, 1.0, 0.0, -2.0, 5.0, 1.0]
CHANGE = [0.1, 0.2, -0.4, 4.0, -3.0, 0.8]


@check(
    "4.5",
    "posterior logits = gate · prior logits + delta: raw logits, before any softmax",
    "S_bottom = 2, K = 3; prior [3 1 0 | -2 5 1] and delta [.1 .2 -.4 | 4 -3 .8], whatever is "
    "seen; gates 1, .5, 0 and -2",
)
def residual_by_hand(code):
    ones = torch.ones(1, 1, dtype=F64)
    for gate in (1.0, 0.5, 0.0, -2.0):
        numbers = {"bottom_prior_mlp.4.bias": BELOW, "delta.out.1.bias": CHANGE, "gate": gate}
        model = small_rssm(code, numbers, n_bottom=2, classes=3)
        got = model.bottom_posterior(ones, torch.ones(1, 1, 3, dtype=F64), ones)
        expected = [gate * a + b for a, b in zip(BELOW, CHANGE, strict=True)]
        yield f"logits for the gate {gate:g}", got, [[expected[:3], expected[3:]]]


@check(
    "4.5",
    "where the delta says nothing, the posterior is the prior: their KL is 0",
    "irregular parameters, gate 1, the delta's last layer 0; B = 3",
)
def posterior_without_a_delta(code):
    model = rssm_of(code)
    with torch.no_grad():
        model.gate.fill_(1.0)
        for parameter in model.delta.out[1].parameters():
            parameter.zero_()
    numbers = numbers_below(B)
    rows = zip(*(x.tolist() for x in numbers[:2]), strict=True)
    expected = [oracle.bottom_prior_logits(h, top, values(model), K) for h, top in rows]
    yield "logits", model.bottom_posterior(*numbers), expected


@torch.no_grad()
def put_gate(model, gate: float):
    model.gate.fill_(gate)
    return model


@check(
    "4.5",
    "all of h, z_top and the observation have a gradient through the delta; the prior is a "
    "constant, and the gate learns",
    "irregular parameters, gate .7 (then 1 and 0), B = 3, H = 6, S_top = 2, S_bottom = 3, K = 4; "
    "the loss is logits·w of row 1",
)
def gradient_of_the_residual(code):
    model, numbers = rssm_of(code), numbers_below(B)
    inputs, p, w = copies(numbers), values(model), irregular(BOTTOM * K, phase=8.0)
    got = model.bottom_posterior(*inputs)
    rows = list(zip(*(x.tolist() for x in numbers), strict=True))
    yield "logits", got, [oracle.bottom_posterior_logits(*row, p, K) for row in rows]
    loss = got[1].reshape(-1) @ w
    found = gradients(loss, *inputs, model.gate)
    h, top, embed_in = rows[1]
    prior = oracle.bottom_prior_logits(h, top, p, K)

    def slow(h: list, top: list, embed_in: list) -> float:
        logits = oracle.bottom_posterior_logits(h, top, embed_in, p, K, prior)
        return dot(flat(logits), w.tolist())

    yield "gradient to h", found[0][1], oracle.slopes(lambda x: slow(x, top, embed_in), h)
    slopes = oracle.slopes(lambda x: slow(h, [x], embed_in), flat(top))
    yield "gradient to top", found[1][1].flatten(), slopes
    yield "gradient to embed_in", found[2][1], oracle.slopes(lambda x: slow(h, top, x), embed_in)
    yield "gradient to top of row 0", found[1][0], NONE
    yield "gradient to the gate", found[3], dot(flat(prior), w.tolist())
    for gate in (1.0, 0.0):  # with which it starts
        other = put_gate(rssm_of(code), gate)
        found = gradients(other.bottom_posterior(*inputs)[1].reshape(-1) @ w, other.gate)
        yield f"gradient to a gate of {gate:g}", found[0], dot(flat(prior), w.tolist())
    yield "what is trained", trained(model, loss), ["delta", "gate"]
    unequal = changed(numbers, inputs, "h top embed_in")
    yield "inputs that were changed by the call", unequal, []
    again = model.bottom_posterior(*inputs)
    yield "a second result less the first", again - got, [[[0.0] * K] * BOTTOM] * B


@check(
    "4.5",
    "any leading dimensions",
    "irregular parameters; a single row, then (3, 5), float32 and float64",
)
def shapes_of_the_bottom_posterior(code):
    for dtype in (F64, F32):
        model, numbers = rssm_of(code, dtype), numbers_below(3, 5, dtype=dtype)
        got = model.bottom_posterior(*numbers)
        yield "shape for (3, 5)", tuple(got.shape), (3, 5, BOTTOM, K)
        yield "dtype", got.dtype == dtype, True
        row = [x[2, 3] for x in numbers]
        expected = oracle.bottom_posterior_logits(*(x.tolist() for x in row), values(model), K)
        yield "logits of row (2, 3)", got[2, 3], expected, 1e-4
        yield "logits of this row alone", model.bottom_posterior(*row), expected, 1e-4


# --- 4.6 observe_step -----------------------------------------------------------------------------

WEIGHTS = irregular(S * K, phase=8.0)


@check(
    "4.6",
    "predict h, then correct, the top level first: its sample is what the bottom posterior sees",
    "irregular parameters, B = 3, S_top = 2, S_bottom = 3, K = 4; an episode begins in row 1: its "
    "h and z count as zero, while action_in and embed_in are as given",
)
def step_of_the_filter(code):
    model = rssm_of(code)
    keep = torch.tensor([1.0, 0.0, 1.0], dtype=F64)
    actions, embeds = irregular(B, U, phase=6.0), irregular(B, 2 * U, phase=7.0)
    numbers = [*start(), keep, actions, embeds]
    inputs = [x.clone() for x in numbers]
    got = model.observe_step(*inputs)
    yield "number of results", len(got), 3
    if len(got) != 3:
        return
    p, expected = values(model), []
    for h, z, on, action_in, embed_in in zip(*(x.tolist() for x in numbers), strict=True):
        h, z = [on * x for x in h], [[on * x for x in group] for group in z]
        halves = embed_in[:U], embed_in[U:]
        step = oracle.two_level_step(h, z, None, *halves, p, SIZES, action_in=action_in)
        expected.append([step[name] for name in ("h", "z", "post")])
    for name, x, rows in zip(("h", "z", "logits"), got, zip(*expected, strict=True), strict=True):
        yield name, x, list(rows)
    unequal = changed(numbers, inputs, "h z keep action_in embed_in")
    yield "inputs that were changed by the call", unequal, []
    again = model.observe_step(*inputs)
    yield "h of a second call less that of the first", again[0] - got[0], [[0.0] * H] * B
    one = [x[:1].to(F32) for x in numbers]
    got = rssm_of(code, F32).observe_step(*one)
    yield "shapes for B = 1", [list(x.shape) for x in got], [[1, H], [1, S, K], [1, S, K]]
    yield "dtypes for float32", [str(x.dtype) for x in got], ["torch.float32"] * 3


@check(
    "4.6",
    "gradients pass through h and, straight through both samples, from z to all that it came from; "
    "the bottom level's pass through the sample of the top one",
    "irregular parameters, B = 2, an episode begins in row 1; the losses are the sums of h, z·w "
    "and logits·w",
)
def gradient_of_a_step(code):
    model = rssm_of(code)
    keep = torch.tensor([1.0, 0.0], dtype=F64)
    numbers = [*start(2), irregular(2, U, phase=6.0), irregular(2, 2 * U, phase=7.0)]
    h, z, action_in, embed_in = inputs = copies(numbers)
    got = model.observe_step(h, z, keep, action_in, embed_in)
    p, w = values(model), WEIGHTS.tolist()
    rows = [x[0].flatten().tolist() for x in numbers]

    def step(inputs: list, fixed=None) -> dict:
        h, z, action_in, embed_in = inputs
        halves = embed_in[:U], embed_in[U:]
        return oracle.two_level_step(h, [z], None, *halves, p, SIZES, fixed, action_in)

    fixed = step(rows)

    @functools.cache
    def sums(i: int, x: tuple) -> tuple:
        new = step([*rows[:i], [*x, *rows[i][len(x) :]], *rows[i + 1 :]], fixed)
        return sum(new["h"]), dot(flat(new["z"]), w), dot(flat(new["post"]), w)

    losses = got[0].sum(), (got[1].flatten(1) @ WEIGHTS).sum(), (got[2].flatten(1) @ WEIGHTS).sum()
    for k, label in enumerate(("h", "z·w", "logits·w")):
        found = gradients(losses[k], *inputs)
        for i, name in enumerate(("h", "z", "action_in", "embed_in")):
            slopes = oracle.slopes(lambda x, i=i, k=k: sums(i, tuple(x))[k], rows[i][:2])
            yield f"gradient of {label} to two numbers of {name}", found[i][0].flatten()[:2], slopes
        yield f"does {label} depend on the bottom half?", bool(found[3][0, U:].any()), k > 0
        count = sum(bool(x[1].any()) for x in found[:2])
        yield f"does {label} of row 1 depend on its old h or z?", count, 0
    top = ["post_h", "post_out"]
    bottom = ["delta", "gate"]
    w = WEIGHTS[: BOTTOM * K]
    for k, name in ((1, "z"), (2, "logits")):
        found = set(trained(model, (got[k][:, TOP:].flatten(1) @ w).sum()))
        names = [x for x in (*top, *bottom, "bottom_prior_mlp", "prior_mlp") if x in found]
        yield f"what the bottom level's {name} train but the sequence model", names, top + bottom


LOGITS, SHARE = [2.0, 0.0], 0.4
MIXED = "logits [2 0], mixed with a share of .4 of the uniform distribution: .728 and .272"
FIRST = 0.6 / (1 + math.exp(-2)) + 0.2
COPY = [[1.0, 0.0], [0.0, 1.0]]
PEAK = oracle.norm_silu([1.0, 0.0], [1.0, 1.0])[0]  # of [1 0], normed and activated
TWICE = oracle.norm_silu([PEAK, 0.0], [1.0, 1.0])[0]  # once more
AFTER = [[3.0, -1.0], [-2.0, 2.0]]  # logits of the bottom level after the top classes 0 and 1


def follower(code, numbers: dict, peak: float, name: str, count: int = 1):
    """An RSSM whose top level is drawn from [2 0], and whose bottom level follows its class."""
    columns = [[AFTER[k][i] / peak for k in (0, 1)] for i in (0, 1)] * count
    sizes = dict(deter=2, hidden=2, n_bottom=count, classes=2, ratio=SHARE)
    return small_rssm(code, numbers | {name: columns}, **sizes)


def following(code, count: int = 1):
    """The same for the posterior: the delta looks at z_top alone."""
    numbers = {
        "post_out.1.bias": LOGITS, "delta.top_in.weight": COPY, "delta.out.0.weight": [1.0, 1.0]
    }  # fmt: skip
    return follower(code, numbers, PEAK, "delta.out.1.weight", count)


def dreaming(code, count: int = 1):
    """The same for the prior."""
    numbers = {
        "prior_mlp.4.bias": LOGITS,
        "bottom_prior_mlp.0.weight": [[0.0, 0.0, *row] for row in COPY],
        "bottom_prior_mlp.1.weight": [1.0, 1.0],
        "bottom_prior_mlp.2.weight": COPY,
        "bottom_prior_mlp.3.weight": [1.0, 1.0],
    }
    return follower(code, numbers, TWICE, "bottom_prior_mlp.4.weight", count)


def shares_of(z) -> dict:
    """Whether z is one-hot, and how often class 0 comes: of the top level, of the bottom level's
    first categorical where the top one is of class 0 and 1, of the first two of three alike."""
    z = z.detach()
    one_hot = ((z - z.round()).abs() < 1e-6).all() and ((z.sum(-1) - 1).abs() < 1e-6).all()
    first = z[..., 0].round()
    top, bottom = first[:, 0] == 1, first[:, 1]
    return {
        "one-hot": bool(one_hot),
        "top": first[:, 0].mean(),
        "after 0": bottom[top].mean(),
        "after 1": bottom[~top].mean(),
        "alike": (first[top, 1] == first[top, 2]).double().mean(),
    }


def chances() -> tuple:
    """Of class 0 of the bottom level after the top classes 0 and 1, and of two that are alike."""
    a, b = (oracle.mixed(x, SHARE)[0] for x in AFTER)
    return a, b, a * a + (1 - a) * (1 - a)


FOLLOWS = f"6000 rows; the top level has {MIXED}; the bottom level's two categoricals have [3 -1] "
FOLLOWS += "where it is of class 0 and [-2 2] where it is of class 1, mixed alike: .789 and .211"


@check(
    "4.6",
    "each categorical is drawn by itself, from mixed distributions; the bottom posterior follows "
    "the very top sample that is returned",
    FOLLOWS,
)
def draws_of_a_step(code):
    model = following(code, 2)
    rows = torch.zeros(6000, 2, dtype=F64)
    old, embeds = torch.zeros(6000, 3, 2, dtype=F64), torch.zeros(6000, 4, dtype=F64)
    _, z, logits = by_chance(lambda: model.observe_step(rows, old, 1 + rows[:, 0], rows, embeds))
    found, (after_0, after_1, alike) = shares_of(z), chances()
    yield "is every z one-hot?", found["one-hot"], True
    yield "is the top z about .728 of the time class 0?", near(found["top"], FIRST), True
    yield (
        "is the bottom z, after a top of 0, about .789 class 0?",
        near(found["after 0"], after_0),
        True,
    )
    yield "and after a top of 1, about .211?", near(found["after 1"], after_1), True
    yield "are two bottom ones as often alike as by chance?", near(found["alike"], alike), True
    yield "logits of the top level in the first row", logits[0, 0], LOGITS
    rule = z[:, 0].detach().round() @ torch.tensor(AFTER, dtype=F64)
    off = (logits[:, 1:] - rule[:, None]).abs().max() > 1e-6
    yield "are there rows whose bottom logits are not those after their top z?", bool(off), False


# --- 4.7 prior ------------------------------------------------------------------------------------


def states(*lead, dtype=F64) -> list:
    """h and z along filtered states; z is no one-hot vector, which is all the same."""
    h = irregular(*lead, H, phase=4.0, dtype=dtype)
    return [h, irregular(*lead, S, K, phase=5.0, dtype=dtype)]


def slow_prior(h: list, z: list, p: dict) -> list:
    return oracle.prior_logits(h, p, K) + oracle.bottom_prior_logits(h, z[:TOP], p, K)


@check(
    "4.7",
    "the top prior of h, then the bottom prior of h and the given z_top, which is the posterior's; "
    "nothing is drawn",
    "irregular parameters, (B, T) = (3, 4), S_top = 2, S_bottom = 3, K = 4; then one row without "
    "leading dimensions",
)
def priors_of_irregular_numbers(code):
    model, numbers = rssm_of(code), states(3, 4)
    inputs, p = [x.clone() for x in numbers], values(model)
    got = model.prior(*inputs)
    h, z = (x.tolist() for x in numbers)
    rows = [list(zip(*pair, strict=True)) for pair in zip(h, z, strict=True)]
    expected = [[slow_prior(h, z, p) for h, z in row] for row in rows]
    yield "logits of the top level", got[..., :TOP, :], [[x[:TOP] for x in row] for row in expected]
    yield "logits of both levels", got, expected
    yield "logits of one row alone", model.prior(*(x[1, 2] for x in numbers)), expected[1][2]
    yield "inputs that were changed by the call", changed(numbers, inputs, "h z"), []
    again = model.prior(*inputs)
    yield "largest difference of a second call", (again - got).abs().max(), 0.0
    for dtype in (F32, F64):
        one = rssm_of(code, dtype).prior(*states(1, 1, dtype=dtype))
        yield "shape for B = T = 1", tuple(one.shape), (1, 1, S, K)
        yield "dtype", one.dtype == dtype, True


@check(
    "4.7",
    "the KL's bottom prior gives no gradient to z_top, and both priors give one to h",
    "irregular parameters, B = 1, T = 2; the loss is logits·w of both levels, then of the bottom "
    "one alone",
)
def gradient_of_the_priors(code):
    model, numbers = rssm_of(code), states(1, 2)
    inputs, p = copies(numbers), values(model)
    got = model.prior(*inputs)
    h, z = (x[0, 1].tolist() for x in numbers)
    for label, first in (("both levels", 0), ("the bottom level", TOP)):
        w = WEIGHTS[first * K :]

        def slow(x: list, first=first, w=w) -> float:
            return dot(flat(slow_prior(x, z, p)[first:]), w.tolist())

        loss = got[0, 1, first:].reshape(-1) @ w
        found = gradients(loss, *inputs)
        yield f"gradient of {label} to h", found[0][0], [[0.0] * H, oracle.slopes(slow, h)]
        yield f"gradient of {label} to z", found[1][0, 1], [[0.0] * K] * S
        names = ["bottom_prior_mlp", "prior_mlp"] if first == 0 else ["bottom_prior_mlp"]
        yield f"what {label} train", trained(model, loss), names


# --- 4.8 imagine_step -----------------------------------------------------------------------------


def dream_inputs() -> list:
    """h, z and action of three dreams; other classes are likely for them than for the new h."""
    actions = torch.tensor([[0.4, -2.0], [-1.0, 0.9], [5.0, 0.1]], dtype=F64)
    return [3 * irregular(B, H, phase=9.0), start()[1], actions]


@check(
    "4.8",
    "h by the sequence model with the bounded action; z_top a sample of the prior of the new h; "
    "z_bottom one of the bottom prior of the new h and the new z_top",
    "irregular parameters, N = 3, S_top = 2, S_bottom = 3, K = 4; actions [.4 -2], [-1 .9], [5 .1]",
)
def step_of_a_dream(code):
    model, numbers = rssm_of(code), dream_inputs()
    inputs = [x.clone() for x in numbers]
    got = model.imagine_step(*inputs)
    yield "number of results", len(got), 2
    if len(got) != 2:
        return
    p, expected = values(model), []
    for row in zip(*(x.tolist() for x in numbers), strict=True):
        expected.append(oracle.two_level_dream_step(*row, p, SIZES))
    for name, x, rows in zip(("h", "z"), got, zip(*expected, strict=True), strict=True):
        yield name, x, list(rows)
    yield "inputs that were changed by the call", changed(numbers, inputs, "h z action"), []
    again = model.imagine_step(*inputs)
    yield "h of a second call less that of the first", again[0] - got[0], [[0.0] * H] * B
    one = rssm_of(code, F32).imagine_step(*(x[:1].to(F32) for x in numbers))
    yield "shapes for N = 1", [list(x.shape) for x in one], [[1, H], [1, S, K]]
    yield "dtypes for float32", [str(x.dtype) for x in one], ["torch.float32"] * 2


@check(
    "4.8",
    "a dream has no observation: neither posterior nor delta nor gate has any part in it",
    "the same, but all their parameters are NaN",
)
def dream_without_posterior(code):
    model, numbers = rssm_of(code), dream_inputs()
    p = values(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.split(".")[0] in ("post_h", "post_embed", "post_out", "delta", "gate"):
                parameter.fill_(math.nan)
    h, z = model.imagine_step(*numbers)
    rows = zip(*(x.tolist() for x in numbers), strict=True)
    expected = [oracle.two_level_dream_step(*row, p, SIZES) for row in rows]
    yield "is h finite?", bool(h.isfinite().all()), True
    yield "z", z, [row[1] for row in expected]


@check(
    "4.8",
    "each categorical is drawn by itself, from mixed distributions; the bottom prior follows the "
    "very top sample that is returned",
    FOLLOWS,
)
def draws_of_a_dreamed_step(code):
    model = dreaming(code, 2)
    rows = torch.zeros(6000, 2, dtype=F64)
    old = torch.zeros(6000, 3, 2, dtype=F64)
    _, z = by_chance(lambda: model.imagine_step(rows, old, rows[:, :1]))
    found, (after_0, after_1, alike) = shares_of(z), chances()
    yield "is every z one-hot?", found["one-hot"], True
    yield "is the top z about .728 of the time class 0?", near(found["top"], FIRST), True
    yield (
        "is the bottom z, after a top of 0, about .789 class 0?",
        near(found["after 0"], after_0),
        True,
    )
    yield "and after a top of 1, about .211?", near(found["after 1"], after_1), True
    yield "are two bottom ones as often alike as by chance?", near(found["alike"], alike), True


# --- 4.9 split_free_nats --------------------------------------------------------------------------


@check(
    "4.9",
    "each level has as large a share of the free nats as of the categoricals",
    "1 nat for 4 + 8, 1.5 for 2 + 3 and for 3 + 2, 6 for 5 + 1, 1 for 1 + 1",
)
def shares_by_hand(code):
    for nats, top, bottom, expected in (
        (1.0, 4, 8, [1 / 3, 2 / 3]),
        (1.5, 2, 3, [0.6, 0.9]),
        (1.5, 3, 2, [0.9, 0.6]),
        (6.0, 5, 1, [5.0, 1.0]),
        (1.0, 1, 1, [0.5, 0.5]),
    ):
        found = code.rssm.split_free_nats(nats, top, bottom)
        yield (
            f"shares of {nats:g} nats, {top} + {bottom} categoricals",
            [float(x) for x in found],
            expected,
        )


@check(
    "4.9",
    "both levels together are as free as the flat model, whatever its free nats are",
    "0, .3 and 250 nats for 7 + 4",
)
def shares_add_up(code):
    for nats in (0.0, 0.3, 250.0):
        top, bottom = code.rssm.split_free_nats(nats, 7, 4)
        yield f"sum of the shares of {nats:g}", top + bottom, nats
        yield f"4 times the top share of {nats:g}, less 7 times the other", 4 * top - 7 * bottom, 0


# --- 4.10 level_kl_loss ---------------------------------------------------------------------------


def rows_with_kl(rows: list) -> tuple:
    """Logits (B, T, S, 2) with these KLs (B, T, S): posteriors e^-kl : 1 against priors."""
    post = torch.tensor([[[[40.0, 0.0] for _ in kls] for kls in row] for row in rows], dtype=F64)
    prior = [[[[-x, math.log(1 - math.exp(-x))] for x in kls] for kls in row] for row in rows]
    return post.requires_grad_(), torch.tensor(prior, dtype=F64).requires_grad_()


MODES = ("split", "each", "sum")


@check(
    "4.10",
    "each level is cut at its own free nats, then both add up",
    "rows of the KLs [top | bottom categoricals] .1 | 2 3, and .1 | .2 .3, 4 | .1 .1, .3 .4 | 2; "
    "3 free nats: split by the categoricals, for each level, or for the sum of both",
)
def free_nats_of_each_level(code):
    for kls, top, expected in (
        ([0.1, 2.0, 3.0], 1, (1 + 5.0, 3.0 + 5.0, 5.1)),
        ([0.1, 0.2, 0.3], 1, (1 + 2.0, 3.0 + 3.0, 3.0)),
        ([4.0, 0.1, 0.1], 1, (4.0 + 2, 4.0 + 3.0, 4.2)),
        ([0.3, 0.4, 2.0], 2, (2 + 2.0, 3.0 + 3.0, 3.0)),
    ):
        for mode, value in zip(MODES, expected, strict=True):
            dyn, rep = code.rssm.level_kl_loss(*rows_with_kl([[kls]]), top, 3.0, 0.0, mode)
            label = " ".join(map(str, kls[:top])) + " | " + " ".join(map(str, kls[top:]))
            yield f"dyn of {label}, mode {mode}", dyn, [[value]]
            yield f"rep of {label}, mode {mode}", rep, [[value]]


@check(
    "4.10",
    "every row (b, t) is cut by itself, and of each level all categoricals together",
    "B = T = 2, S_top = 2, S_bottom = 1: KLs .3 .9 | .1, .6 .1 | 2; .2 .1 | .1, 3 .2 | 5; "
    "1.5 free nats, split: 1 for the top level, .5 for the bottom one",
)
def rows_by_themselves(code):
    rows = [[[0.3, 0.9, 0.1], [0.6, 0.1, 2.0]], [[0.2, 0.1, 0.1], [3.0, 0.2, 5.0]]]
    losses = code.rssm.level_kl_loss(*rows_with_kl(rows), 2, 1.5, 0.0, "split")
    for name, loss in zip(("dyn", "rep"), losses, strict=True):
        yield name, loss, [[1.2 + 0.5, 1 + 2.0], [1 + 0.5, 3.2 + 5.0]]


LEVELS = dict(n_top=TOP, stoch=S, unimix=0.2)


@check(
    "4.10",
    "dyn trains the priors of both levels, rep their posteriors; a level below its free nats has "
    "no gradient, the other one has all of its own",
    "S_top = 2, S_bottom = 3, K = 4, mixed with a share of .2; posterior and prior of the top "
    "level alike, then of the bottom one, then of none; .7 free nats, in all modes",
)
def gradient_of_each_level(code):
    full = [2 * irregular(1, 1, S, K, phase=x) for x in (1.0, 2.0)]
    for alike in (slice(0, TOP), slice(TOP, S), slice(0, 0)):
        numbers = [x.clone() for x in full]
        numbers[1][..., alike, :] = numbers[0][..., alike, :] + 0.1 * numbers[1][..., alike, :]
        p, q = (x[0, 0].tolist() for x in numbers)
        for mode in MODES:
            c = options(free_nats=0.7, free_nats_mode=mode, **LEVELS)
            post, prior = copies(numbers)
            losses = code.rssm.level_kl_loss(post, prior, TOP, 0.7, 0.2, mode)
            label = {0: "none", TOP: "the top", BOTTOM: "the bottom"}[alike.stop - alike.start]
            label = f"mode {mode}, {label} alike"

            def slow_dyn(x: list, p=p, c=c) -> float:
                return oracle.level_kl(p, oracle.grouped(x, K), c)

            def slow_rep(x: list, q=q, c=c) -> float:
                return oracle.level_kl(oracle.grouped(x, K), q, c)

            to_prior, to_post = oracle.slopes(slow_dyn, flat(q)), oracle.slopes(slow_rep, flat(p))
            for name, loss in zip(("dyn", "rep"), losses, strict=True):
                yield f"{name}, {label}", loss, [[oracle.level_kl(p, q, c)]]
                found = [x.flatten() for x in gradients(loss.sum(), post, prior)]
                none = [0.0] * (S * K)
                wanted = [none, to_prior] if name == "dyn" else [to_post, none]
                yield f"gradient of {name} to the posterior, {label}", found[0], wanted[0]
                yield f"gradient of {name} to the prior, {label}", found[1], wanted[1]


@check(
    "4.10",
    "two losses (B, T), of raw logits of any size",
    "B = 3, T = 2, n_top = 3 and 1 of 5, K = 4, irregular logits in [-3, 3], 2 free nats, the "
    "share .05; float32",
)
def level_kl_of_irregular_numbers(code):
    inputs = [3 * irregular(3, 2, S, K, phase=x, dtype=F32) for x in (3.0, 5.0)]
    given = [x.clone() for x in inputs]
    p, q = (x.tolist() for x in inputs)
    for top in (3, 1):
        for mode in MODES[:2]:
            c = options(n_top=top, stoch=S, unimix=0.05, free_nats=2.0, free_nats_mode=mode)
            expected = [[oracle.level_kl(p[b][t], q[b][t], c) for t in (0, 1)] for b in range(3)]
            losses = code.rssm.level_kl_loss(*inputs, top, 2.0, 0.05, mode)
            yield "number of results", len(losses), 2
            for name, loss in zip(("dyn", "rep"), losses, strict=True):
                yield f"{name}, n_top = {top}, mode {mode}", loss, expected
                yield "dtype", str(loss.dtype), "torch.float32"
    yield "inputs that were changed by the call", changed(given, inputs, "posterior prior"), []


# --- 4.11 WorldModel.loss -------------------------------------------------------------------------

PARTS = ("dyn", "rep", "reward", "continue", "position")
POST, PRIOR = [2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]
BELOW_PRIOR, DELTA = [0.0, 2.0, 0.0, -2.0], [3.0, -0.5, 0.0, 0.0]  # with a gate of .5
BELOW_POST = [3.0, 0.5, 0.0, -1.0]


def slow_parts(model, batch, anchors=None, **changed) -> dict:
    """The parts of the loss, row by row; `changed` parameters take the place of the model's."""
    lists = {name: x.tolist() for name, x in batch.items() if name != "image"}
    rows = [{name: x[b] for name, x in lists.items()} for b in range(len(lists["reward"]))]
    return oracle.two_level_losses(rows, values(model) | changed, model.config, anchors)


def constant_world(code, space=None, **others):
    """A world model whose latents and predictions are the same whatever it sees."""
    model = world_of(code, space, **others)
    numbers = {
        "rssm.post_out.1.bias": POST * TOP,
        "rssm.prior_mlp.4.bias": PRIOR * TOP,
        "rssm.bottom_prior_mlp.4.bias": BELOW_PRIOR * BOTTOM,
        "rssm.delta.out.1.bias": DELTA * BOTTOM,
        "rssm.gate": 0.5,
        "reward.mlp.2.bias": [0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0],
        "continues.2.bias": [1.5],
    }
    if hasattr(model.decoder, "mlp"):
        numbers["decoder.mlp.2.bias"] = [0.2] * D
    if hasattr(model.decoder, "cnn"):
        name = [name for name, _ in model.named_parameters() if name.startswith("decoder.cnn")][-1]
        numbers[name] = [math.log(3)]
    return put(model, numbers)


def hand_parts(batch) -> dict:
    """The parts of the constant world's loss, before scales and free nats."""
    bins = oracle.symexp_bins(7, 2.0)
    rewards = [oracle.two_hot(x, bins) for x in batch["reward"].flatten().tolist()]
    logits = [0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0]
    ends = batch["is_terminal"].flatten().tolist()
    ends = [oracle.bernoulli_cross_entropy(1.5, 0.9 * (1 - x)) for x in ends]
    return {
        "kl_top": TOP * oracle.mixed_kl([POST], [PRIOR], RATIO),
        "kl_bottom": BOTTOM * oracle.mixed_kl([BELOW_POST], [BELOW_PRIOR], RATIO),
        "reward": sum(oracle.cross_entropy(x, logits) for x in rewards) / len(rewards),
        "continue": sum(ends) / len(ends),
        "position": D * (0.2 - math.log(1.7)) ** 2,
        "image": 64 * (0.75 - 0.2) ** 2,
    }


HAND = (
    "two top categoricals [2 0 0 0] against [0 1 0 0], three bottom ones [3 .5 0 -1] against "
    "[0 2 0 -2]"
)


@check(
    "4.11",
    "dyn, rep and the reconstructions have the config's scales, reward and continue have none",
    f"{HAND}; position .2 (target symlog(.7), 4 numbers), image .75 (target 51 / 255, 64 pixels), "
    "continue logit 1.5; scales: dyn .7, rep .2, image .5, vector 3; γ = .9",
)
def parts_by_hand(code):
    batch = batch_of(images=True)
    batch["position"] = torch.full((2, 3, D), 0.7)
    batch["image"] = torch.full_like(batch["image"], 51)
    loss, _, metrics = constant_world(code, IMAGE | VECTOR).loss(batch)
    parts = hand_parts(batch)
    kl = parts["kl_top"] + parts["kl_bottom"]
    expected = {
        "dyn": 0.7 * kl,
        "rep": 0.2 * kl,
        "reward": parts["reward"],
        "continue": parts["continue"],
        "image": 0.5 * parts["image"],
        "position": 3 * parts["position"],
    }
    for name, value in expected.items():
        yield f"part {name}", metrics.get(f"loss/{name}"), value
    found = {name[5:] for name in metrics if name.startswith("loss/")}
    yield "names of the parts", sorted(found), sorted(expected)
    for name in ("kl_top", "kl_bottom"):
        yield f"{name} for the log", metrics.get(name), parts[name]
    yield "length of the delta for the log", metrics.get("delta_norm"), math.sqrt(3 * 9.25)
    yield "loss", loss, sum(expected.values())


@check(
    "4.11",
    "the free nats are cut as the config's mode says",
    f"{HAND}: KLs of 1.35 and 4.50; one image, B = T = 1; 4 free nats in all modes, then 20, split",
)
def modes_of_the_loss(code):
    batch = batch_of(1, 1, images=True)
    batch["image"] = torch.full_like(batch["image"], 51)
    model, parts = constant_world(code, IMAGE), hand_parts(batch)
    top, bottom = parts["kl_top"], parts["kl_bottom"]
    for nats, mode in ((4.0, "split"), (4.0, "each"), (4.0, "sum"), (20.0, "split")):
        model.config.free_nats, model.config.free_nats_mode = nats, mode
        loss, (h, z), metrics = model.loss(batch)
        cut = {
            "split": max(top, 0.4 * nats) + max(bottom, 0.6 * nats),
            "each": max(top, nats) + max(bottom, nats),
            "sum": max(top + bottom, nats),
        }[mode]
        label = f"{nats:g} free nats, mode {mode}"
        yield f"part dyn, {label}", metrics.get("loss/dyn"), 0.7 * cut
        yield f"part rep, {label}", metrics.get("loss/rep"), 0.2 * cut
        rest = parts["reward"] + parts["continue"] + 0.5 * parts["image"]
        yield f"loss, {label}", loss, 0.9 * cut + rest
    yield "shapes of h and z", [list(x.shape) for x in (h, z)], [[1, 1, H], [1, 1, S, K]]
    model = constant_world(code, {"camera": IMAGE["image"]})
    metrics = model.loss(batch | {"camera": batch["image"]})[2]
    yield "part camera, an image of another name", metrics.get("loss/camera"), 0.5 * parts["image"]


@check(
    "4.11",
    "all predictions of a row are made from the state of this row, and so are both its priors",
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
    yield "loss", loss, sum(expected[name] for name in PARTS)
    for name, x in zip(("h", "z"), states, strict=True):
        yield f"{name} of all rows", x, [[s[name] for s in rows] for rows in expected["steps"]]
    unequal = sorted(name for name in batch if not torch.equal(batch[name], before[name]))
    yield "parts of the batch that were changed by the call", unequal, []
    again = model.loss(batch)[0]
    yield "a second loss less the first", again - loss, 0.0


@check(
    "4.11",
    "what is predicted and what is compared belong to the very states that are returned: nothing "
    "is drawn after filtering",
    "irregular numbers, B = 2, T = 3, logits so small that every class may be drawn, by real "
    "chance; from the returned h and z the parts are computed again",
)
def parts_of_drawn_states(code):
    model, batch = world_of(code, dtype=F64), batch_of(dtype=F64)
    c, rssm = model.config, model.rssm
    with torch.no_grad():
        for linear in (rssm.post_out[1], rssm.delta.out[1]):
            linear.weight.mul_(0.1)
    _, (h, z), metrics = by_chance(lambda: model.loss(batch))
    halves = rssm.post_embed(model.encoder(batch)).chunk(2, -1)
    top = rssm.top_posterior(h, halves[0])
    posterior = torch.cat([top, rssm.bottom_posterior(h, z[..., :TOP, :], halves[1])], -2)
    kl = code.rssm.level_kl_loss(
        posterior, rssm.prior(h, z), TOP, c.free_nats, c.unimix, c.free_nats_mode
    )
    seen = torch.cat([h, z.flatten(-2)], -1)
    yield "is every z one-hot?", bool((z.detach().round().sum(-1) == 1).all()), True
    yield "part dyn", metrics.get("loss/dyn"), c.scale_dyn * kl[0].mean()
    yield "part rep", metrics.get("loss/rep"), c.scale_rep * kl[1].mean()
    loss = model.reward.loss(model.reward(seen), batch["reward"])
    yield "part reward", metrics.get("loss/reward"), loss.mean()
    logits, ends = model.continues(seen).flatten().tolist(), batch["is_terminal"].flatten()
    goes_on = [model.discount * (1 - x) for x in ends.tolist()]
    found = [oracle.bernoulli_cross_entropy(*x) for x in zip(logits, goes_on, strict=True)]
    yield "part continue", metrics.get("loss/continue"), sum(found) / len(found)
    target = batch["position"].sign() * batch["position"].abs().log1p()
    error = (model.decoder(h, z)["position"] - target).square().sum(-1)
    yield "part position", metrics.get("loss/position"), c.scale_vector * error.mean()


@check(
    "4.11",
    "unimix, the discount and the number of top categoricals are the config's; with n_top = 0 the "
    "model is DreamerV3's",
    "irregular numbers, B = T = 1; n_top = 4 of 5, unimix .2, γ = .75; then n_top = 0",
)
def options_of_the_loss(code):
    batch = batch_of(1, 1, dtype=F64)
    model = world_of(code, dtype=F64, n_top=4, unimix=0.2, discount_horizon=4, free_nats=3.0)
    metrics, expected = model.loss(batch)[2], slow_parts(model, batch)
    for part in PARTS:
        yield f"part {part}", metrics.get(f"loss/{part}"), expected[part]
    model = world_of(code, dtype=F64, n_top=0)
    loss, _, metrics = model.loss(batch)
    rows = {name: x[0].tolist() for name, x in batch.items()}
    expected = oracle.world_losses([rows], values(model), model.config)
    yield "loss for n_top = 0", loss, sum(expected[name] for name in PARTS)
    yield "kl for n_top = 0", metrics.get("kl"), expected["kl"]


def learners(model, loss) -> list:
    """Parts of a world model whose parameters have a gradient. `post_embed` has two halves."""
    found = set()
    names, parameters = zip(*model.named_parameters(), strict=True)
    for name, gradient in zip(names, gradients(loss, *parameters), strict=True):
        first, *rest = name.split(".")
        if name == "rssm.post_embed.weight":
            size = len(gradient) // 2
            found |= {"top posterior"} if gradient[:size].any() else set()
            found |= {"delta"} if gradient[size:].any() else set()
        elif gradient.any():
            found.add(PLACE.get(rest[0], "recurrent") if first == "rssm" else first)
    return sorted(found)


PLACE = {
    "prior_mlp": "top prior", "bottom_prior_mlp": "bottom prior", "post_h": "top posterior",
    "post_out": "top posterior", "delta": "delta", "gate": "gate",
}  # fmt: skip
SCALES = ("scale_dyn", "scale_rep", "scale_vector")
ABOVE = ["encoder", "recurrent", "top posterior"]
BOTH = [*ABOVE, "delta", "gate"]


def without_top(rssm) -> None:
    """The top prior is the top posterior, and both are the same whatever is seen: no KL."""
    for linear in (rssm.post_out[1], rssm.prior_mlp[4]):
        linear.weight.mul_(1e-3)
        linear.bias.copy_(torch.tensor(POST * TOP))


def without_bottom(rssm) -> None:
    """The delta says nothing, so the bottom posterior is the prior."""
    rssm.gate.fill_(1.0)
    for parameter in rssm.delta.out[1].parameters():
        parameter.zero_()


@check(
    "4.11",
    "dyn trains the priors, each its own, and no posterior; rep trains what makes the posteriors, "
    "the bottom level's also the top posterior through the delta",
    "B = T = 1; of the KL both levels count, or only the one that is above its free nats; all "
    "other parts are 0",
)
def levels_that_learn(code):
    model, batch = world_of(code, dtype=F64), batch_of(1, 1, dtype=F64)
    for label, quiet, by_dyn, by_rep in (
        ("both levels", None, ["bottom prior", "recurrent", "top prior"], BOTH),
        ("the top level", without_bottom, ["recurrent", "top prior"], ABOVE),
        ("the bottom level", without_top, ["bottom prior", "recurrent"], BOTH),
    ):
        with torch.no_grad():
            strong(model)
            put(model.reward, {})
            put(model.continues, {})
            if quiet:
                quiet(model.rssm)
        for part, expected in (("dyn", by_dyn), ("rep", by_rep)):
            for name in SCALES:
                setattr(model.config, name, 1.0 if name.endswith(part) else 0.0)
            found = set(learners(model, model.loss(batch)[0])) - {"reward", "continues"}
            yield f"trained by {part} of {label}", sorted(found), sorted(expected)


@check(
    "4.11",
    "each prediction trains its own predictor and all below it but the priors",
    "B = T = 1; all other parts are 0, or have weights of 0",
)
def predictions_that_learn(code):
    model, batch = world_of(code, dtype=F64), batch_of(1, 1, dtype=F64)
    scale, weights = model.config.scale_vector, values(model)
    model.config.scale_dyn = model.config.scale_rep = 0.0
    for part, own in (("vector", "decoder"), ("reward", "reward"), ("continue", "continues")):
        model.config.scale_vector = scale if part == "vector" else 0.0
        for name in ("reward", "continues"):
            numbers = {
                key[len(name) + 1 :]: x for key, x in weights.items() if key.startswith(name)
            }
            put(model.get_submodule(name), numbers if name == own else {})
        # A head of zeros learns something, but passes nothing on.
        found = set(learners(model, model.loss(batch)[0])) - ({"reward", "continues"} - {own})
        yield f"trained by the part {part}", sorted(found), sorted([*BOTH, own])


ALONG = (
    "encoder.mlp.0.bias", "rssm.core_h.bias", "rssm.prior_mlp.4.bias",
    "rssm.bottom_prior_mlp.4.bias", "rssm.post_out.1.bias", "rssm.delta.out.1.bias", "rssm.gate",
    "decoder.mlp.2.bias", "reward.mlp.2.bias", "continues.2.bias",
)  # fmt: skip


@check(
    "4.11",
    "nothing is detached but what the priors, the residual and the KL detach; h and z are returned "
    "with their gradient",
    "irregular numbers, B = 1, T = 2; slopes of the whole loss, then of the sum of h and z·w, "
    "where a parameter moves along irregular numbers",
)
def gradient_of_the_loss(code):
    model, batch = world_of(code, dtype=F64), batch_of(1, 2, dtype=F64)
    loss, (h, z), _ = model.loss(batch)
    base = slow_parts(model, batch)
    w = irregular(*z.shape, phase=8.0)
    returned = h.sum() + (z * w).sum()
    w = w[0].flatten(1).tolist()
    for name in ALONG:
        parameter = model.get_parameter(name)
        origin = parameter.detach()
        w_p = irregular(*parameter.shape, phase=2.0) if parameter.ndim else torch.ones(())

        @functools.cache
        def slow(x: float, name=name, origin=origin, w_p=w_p) -> dict:
            return slow_parts(model, batch, base["steps"], **{name: (origin + x * w_p).tolist()})

        def total(x: list, slow=slow) -> float:
            return sum(slow(x[0])[part] for part in PARTS)

        def states(x: list, slow=slow) -> float:
            steps = slow(x[0])["steps"][0]
            return sum(sum(s["h"]) + dot(flat(s["z"]), w[t]) for t, s in enumerate(steps))

        found = (gradients(loss, parameter)[0] * w_p).sum()
        yield f"slope of the loss along {name}", found, oracle.slopes(total, [0.0])[0], 1e-4
        if name.startswith(("encoder", "rssm")):
            found = (gradients(returned, parameter)[0] * w_p).sum()
            yield f"slope of h and z along {name}", found, oracle.slopes(states, [0.0])[0], 1e-4
