"""Checks of DreamerV3's optimiser: adaptive gradient clipping, LaProp.

Sources: arXiv:2102.06171 (AGC), arXiv:2002.04839 (LaProp); arXiv:2301.04104v2, appendix;
danijar/dreamerv3, embodied/jax/opt.py.
"""

import copy

import torch
from torch import nn

from course.checks import check
from tests import oracle
from tests.numbers import F64, irregular


def parameter(values, grad=None, dtype=F64):
    p = nn.Parameter(torch.tensor(values, dtype=dtype))
    p.grad = None if grad is None else torch.tensor(grad, dtype=dtype)
    return p


# --- 3.28 adaptive_gradient_clipping --------------------------------------------------------------


@check(
    "3.28",
    "a gradient of larger norm is shrunk to clip times the norm of its parameter; its direction "
    "stays",
    "parameter [1.2 1.6] of norm 2, gradient [6 -8] of norm 10; clip .3 by default, then .1 and 4",
)
def large_gradient(code):
    clip = code.optim.adaptive_gradient_clipping
    p = parameter([1.2, 1.6], [6.0, -8.0])
    clip([p])
    yield "gradient", p.grad, [0.36, -0.48]
    clip([p])
    yield "gradient after a second call", p.grad, [0.36, -0.48]
    clip([p], clip=0.1)
    yield "gradient, clip .1", p.grad, [0.12, -0.16]
    p.grad = torch.tensor([6.0, -8.0], dtype=F64)
    clip([p], 4.0)
    yield "gradient, clip 4", p.grad, [4.8, -6.4]
    yield "parameter after the calls", p, [1.2, 1.6]


@check(
    "3.28",
    "a gradient below the limit stays as it is",
    "parameter [1.2 1.6], so the limit is .6; gradients [.3 -.4], [.35 -.48] and [1e-9 0]",
)
def small_gradient(code):
    for grad in ([0.3, -0.4], [0.35, -0.48], [1e-9, 0.0]):
        p = parameter([1.2, 1.6], grad)
        code.optim.adaptive_gradient_clipping([p])
        yield f"gradient / {grad[0]:g}", p.grad / grad[0], [1.0, grad[1] / grad[0]]


@check(
    "3.28",
    "a parameter of smaller norm counts as `minimum`, so that what starts at zero can move",
    "parameter 0, gradient [0 6 8]: the limit is .3 · .001 by default; then minimum .5; then "
    "parameter [.0003 .0004 0]; shown is the gradient / its limit",
)
def zero_parameter(code):
    clip = code.optim.adaptive_gradient_clipping
    for values in ([0.0, 0.0, 0.0], [0.0003, 0.0004, 0.0]):
        p = parameter(values, [0.0, 6.0, 8.0])
        clip([p])
        yield f"gradient / 3e-4 of {values}", p.grad / 3e-4, [0.0, 0.6, 0.8]
        p = parameter(values, [0.0, 6.0, 8.0])
        clip([p], 0.2, 0.5)
        yield f"gradient / .1 of {values}, clip .2, minimum .5", p.grad / 0.1, [0.0, 0.6, 0.8]
    p = parameter([0.3, 0.4], [6.0, 8.0])  # norm .5, far above the minimum
    clip([p], 0.2)
    yield "gradient of [.3 .4], clip .2", p.grad, [0.06, 0.08]
    for values in ([0.3, 0.4], [0.0, 0.0]):
        p = parameter(values, [1e-4, 0.0])
        clip([p], 0.2)
        yield f"gradient [1e-4 0] of {values} / 1e-4, clip .2", p.grad / 1e-4, [1.0, 0.0]


@check(
    "3.28",
    "each tensor is clipped for itself, as one: not all together, not row by row",
    "[3 4] with gradient [.3 .4], [.1] with 50, and a 2×2 matrix of norm 1 with [[3 0] [0 4]]",
)
def each_tensor_by_itself(code):
    large, small = parameter([3.0, 4.0], [0.3, 0.4]), parameter([0.1], [50.0])
    matrix = parameter([[0.1, 0.5], [0.5, 0.7]], [[3.0, 0.0], [0.0, 4.0]])
    code.optim.adaptive_gradient_clipping([large, small, matrix])
    yield "gradient of [3 4]", large.grad, [0.3, 0.4]
    yield "gradient of [.1]", small.grad, [0.03]
    yield "gradient of the matrix", matrix.grad, [[0.18, 0.0], [0.0, 0.24]]


@check(
    "3.28",
    "a gradient of zero stays zero, and a parameter without a gradient is left alone",
    "gradients [0 0] of [1 2] and of [0 0]; one parameter without a gradient, before one with one",
)
def missing_and_zero_gradients(code):
    missing, zero = parameter([1.0]), parameter([1.0, 2.0], [0.0, 0.0])
    both, last = parameter([0.0, 0.0], [0.0, 0.0]), parameter([1.0], [-5.0])
    code.optim.adaptive_gradient_clipping([missing, zero, both, last])
    yield "gradient that is missing", missing.grad, None
    yield "gradient 0 of [1 2]", zero.grad, [0.0, 0.0]
    yield "gradient 0 of [0 0]", both.grad, [0.0, 0.0]
    yield "gradient of the last", last.grad, [-0.3]


@check(
    "3.28",
    "parameters may come as a generator, as from model.parameters(), in float32",
    "a Linear layer of 3 inputs and 2 outputs, all gradients 100; shown are the norms of the "
    "gradients / those of the parameters",
)
def parameters_of_a_model(code):
    model = nn.Linear(3, 2)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(irregular(*p.shape))
            p.grad = torch.full_like(p, 100.0)
    before = [p.detach().clone() for p in model.parameters()]
    code.optim.adaptive_gradient_clipping(model.parameters())
    shares = [float(p.grad.norm() / p.norm()) for p in model.parameters()]
    yield "norms of gradients / norms of parameters", shares, [0.3, 0.3]
    pairs = zip(model.parameters(), before, strict=True)
    yield "are the parameters as they were?", all(torch.equal(p, x) for p, x in pairs), True
    yield "dtype of a gradient", str(model.bias.grad.dtype), "torch.float32"


# --- 3.29 LaProp._update --------------------------------------------------------------------------


def follow(optimizer, p, gradients) -> list:
    """Positions after each update."""
    positions = []
    for g in gradients:
        p.grad = torch.as_tensor(g, dtype=p.dtype).expand_as(p).clone()
        optimizer.step()
        positions.append(p.detach().clone().tolist())
    return positions


@check(
    "3.29",
    "gradients are normalised first and averaged then, the other way round than in Adam",
    "start 0, gradients 1 -3 0, lr 1, β₁=.9, β₂=.999, no warm-up; Adam would go to -1, -.50581, "
    "-.1238",
)
def three_updates(code):
    p = parameter([0.0])
    optimizer = code.optim.LaProp([p], lr=1.0, warmup=0)
    got = follow(optimizer, p, [1.0, -3.0, 0.0])
    yield "positions", got, [[-1.0], [-0.767699], [-0.621117]]


@check(
    "3.29",
    "v ← β₂ v + (1 - β₂) g², m ← β₁ m + (1 - β₁) g / (√v + ε), both corrected; θ ← θ - rate m",
    "start .7, gradients .3 -2 0 5 .0001 -.6; rates: lr .03, with a warm-up of 3 for the second",
)
def six_updates(code):
    gradients = [0.3, -2.0, 0.0, 5.0, 1e-4, -0.6]
    warm = [0.0, 0.01, 0.02, 0.03, 0.03, 0.03]
    for beta1, beta2, warmup in ((0.9, 0.999, 0), (0.6, 0.8, 3), (0.0, 0.5, 0), (0.7, 0.0, 0)):
        p = parameter([0.7])
        optimizer = code.optim.LaProp([p], 0.03, beta1, beta2, warmup=warmup)
        rates = warm if warmup else [0.03] * 6
        want = [[x] for x in oracle.laprop_path(0.7, gradients, rates, beta1, beta2)]
        name = f"positions, β₁={beta1:g}, β₂={beta2:g}, warm-up {warmup}"
        yield name, follow(optimizer, p, gradients), want


@check(
    "3.29",
    "ε is added to √v, after the correction",
    "start .7, gradients .3 -2 0 5; lr 1, β₁=.6, β₂=.8, ε=.25",
)
def epsilon_beside_the_root(code):
    p, gradients = parameter([0.7]), [0.3, -2.0, 0.0, 5.0]
    optimizer = code.optim.LaProp([p], 1.0, 0.6, 0.8, eps=0.25, warmup=0)
    want = [[x] for x in oracle.laprop_path(0.7, gradients, [1.0] * 4, 0.6, 0.8, 0.25)]
    yield "positions", follow(optimizer, p, gradients), want


@check(
    "3.29",
    "the size of the gradients does not matter, and a gradient of zero moves nothing",
    "gradients 1 -3 0 times 1e-12 and 1e12, then 0 0, in float32; lr 1",
)
def size_of_the_gradients(code):
    for size in (1e-12, 1e12):
        p = parameter([0.0], dtype=torch.float32)
        got = follow(code.optim.LaProp([p], 1.0, warmup=0), p, [size, -3 * size, 0.0])
        yield f"positions, gradients times {size:g}", got, [[-1.0], [-0.767699], [-0.621117]]
    p = parameter([0.5, -2.0], dtype=torch.float32)
    got = follow(code.optim.LaProp([p], 1.0, warmup=0), p, [0.0, 0.0])
    yield "positions with gradients 0", got, [[0.5, -2.0]] * 2
    yield "dtype", str(p.dtype), "torch.float32"


@check(
    "3.29",
    "every number of a tensor has averages of its own",
    "a 2×3 matrix, irregular gradients; lr .1, β₁=.6, β₂=.8; three updates",
)
def numbers_of_a_matrix(code):
    start, seen = irregular(2, 3), [irregular(2, 3, phase=1.0 + i) for i in range(3)]
    p = nn.Parameter(start.clone())
    got = follow(code.optim.LaProp([p], 0.1, 0.6, 0.8, warmup=0), p, seen)
    want = [
        [
            oracle.laprop_path(x, [g[i, k].item() for g in seen], [0.1] * 3, 0.6, 0.8)
            for k, x in enumerate(row)
        ]
        for i, row in enumerate(start.tolist())
    ]
    for n in range(3):
        yield f"matrix after update {n + 1}", got[n], [[x[n] for x in row] for row in want]
    yield "gradient after the last update", p.grad, seen[2]


@check(
    "3.29",
    "each parameter counts its own updates: one that joins late is corrected as at the start",
    "start 0, lr 1; 20 updates of another parameter alone, then gradients 1 -3 0 of this one; "
    "then the next ones of the other",
)
def parameter_that_joins_late(code):
    early, late = parameter([0.0]), parameter([0.0])
    optimizer = code.optim.LaProp([early, late], 1.0, warmup=0)
    before = follow(optimizer, early, [1.0] * 20)[-1]
    yield "position of the early one after 20 updates", before, [-20.0]
    early.grad = None
    got = follow(optimizer, late, [1.0, -3.0, 0.0])
    yield "positions of the late one", got, [[-1.0], [-0.767699], [-0.621117]]
    yield "position of the early one, which had no gradient", early, [-20.0]
    late.grad = None
    want = oracle.laprop_path(0.0, [1.0] * 20 + [-2.0, 0.0], [1.0] * 22, 0.9, 0.999)
    yield "its next positions", follow(optimizer, early, [-2.0, 0.0]), [[x] for x in want[-2:]]


@check(
    "3.29",
    "groups have options of their own",
    "two parameters at 0, gradients 1 -3 each; lr 1, β₁=.9, β₂=.999 and lr .1, β₁=.5, β₂=.6",
)
def options_of_the_group(code):
    first, second = parameter([0.0]), parameter([0.0])
    other = {"params": [second], "lr": 0.1, "beta1": 0.5, "beta2": 0.6}
    optimizer = code.optim.LaProp([{"params": [first]}, other], lr=1.0, warmup=0)
    for g in (1.0, -3.0):
        first.grad, second.grad = (torch.tensor([g], dtype=F64) for _ in range(2))
        optimizer.step()
    yield "first parameter", first, [-0.767699]
    want = oracle.laprop_path(0.0, [1.0, -3.0], [0.1, 0.1], 0.5, 0.6)[-1:]
    yield "second parameter", second, want


@check(
    "3.29",
    "all that is remembered is in the optimiser's state: a restored one goes on as if nothing was",
    "start .7, gradients .3 -2 1, saved and restored, then 4 -.1; lr .03, warm-up 5",
)
def restored_optimizer(code):
    p, gradients = parameter([0.7]), [0.3, -2.0, 1.0, 4.0, -0.1]
    optimizer = code.optim.LaProp([p], 0.03, 0.6, 0.8, warmup=5)
    middle = follow(optimizer, p, gradients[:3])[-1]
    state = copy.deepcopy(optimizer.state_dict())
    rates = [0.03 * n / 5 for n in range(5)]
    want = [[x] for x in oracle.laprop_path(0.7, gradients, rates, 0.6, 0.8)]
    yield "position before", middle, want[2]
    q = parameter(middle)
    restored = code.optim.LaProp([q], 0.03, 0.6, 0.8, warmup=5)
    restored.load_state_dict(state)
    yield "positions afterwards", follow(restored, q, gradients[3:]), want[3:]
