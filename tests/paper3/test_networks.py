"""Checks of DreamerV3's networks: squashing, two-hot predictions, unimix, layers, two losses.

Sources: arXiv:2301.04104v2, sections "Robust predictions" and "World model learning", with the
appendix; danijar/dreamerv3, embodied/jax/nets.py, heads.py and outs.py.
"""

import math

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular

F32 = torch.float32


def by_entry(function, rows):
    """function(x) of every number of nested lists."""
    return [by_entry(function, x) for x in rows] if isinstance(rows, list) else function(rows)


def dot(a: list, b: list) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


# --- 3.1 symlog -----------------------------------------------------------------------------------

SIZES = [[-10.0, -1.0, -0.25], [0.0, 0.5, 1e4]]


@check(
    "3.1",
    "symlog(x) = sign(x) log(1 + |x|)",
    "x = [-10 -1 -.25], [0 .5 10000]; symlog(-10) = -log 11 = -2.397895",
)
def logarithm_of_either_sign(code):
    x = torch.tensor(SIZES, dtype=F64)
    want = [[-math.log(11), -math.log(2), -math.log(1.25)], [0, math.log(1.5), math.log(10001)]]
    for note in ("", ", again"):
        yield f"symlog(x){note}", code.networks.symlog(x), want
    yield "x after the calls", x, SIZES
    yield "symlog of a single number", code.networks.symlog(x[0, 0]), want[0][0]
    got = code.networks.symlog(x.float())
    yield "in float32", got, want
    yield "dtype", str(got.dtype), "torch.float32"


@check(
    "3.1",
    "its slope is 1 / (1 + |x|) for either sign",
    "x = [-3 -1.5 .25 99 -400], in float64, then in float32",
)
def slope_of_symlog(code):
    for dtype in (F64, F32):
        x = torch.tensor([-3.0, -1.5, 0.25, 99.0, -400.0], dtype=dtype, requires_grad=True)
        [slope] = gradients(code.networks.symlog(x).sum(), x)
        yield f"slopes, {dtype}", slope, [0.25, 0.4, 0.8, 0.01, 1 / 401]


@check(
    "3.1",
    "near zero it is x itself, and no digits are lost",
    "x = ±1e-8 and ±3e-10 in float32, where 1 + |x| is 1; shown is symlog(x) / x",
)
def tiny_numbers_of_symlog(code):
    x = torch.tensor([1e-8, -1e-8, 3e-10, -3e-10])
    yield "symlog(x) / x", code.networks.symlog(x) / x, [1.0] * 4


# --- 3.2 symexp -----------------------------------------------------------------------------------


@check(
    "3.2",
    "symexp(x) = sign(x) (exp|x| - 1)",
    "x = [-2 -1 -.25], [0 .5 9]; symexp(-2) = 1 - e² = -6.389056",
)
def exponential_of_either_sign(code):
    rows = [[-2.0, -1.0, -0.25], [0.0, 0.5, 9.0]]
    x = torch.tensor(rows, dtype=F64)
    want = by_entry(lambda v: math.copysign(math.exp(abs(v)) - 1, v), rows)
    for note in ("", ", again"):
        yield f"symexp(x){note}", code.networks.symexp(x), want
    yield "x after the calls", x, rows
    yield "symexp of a single number", code.networks.symexp(x[0, 0]), want[0][0]
    got = code.networks.symexp(x.float())
    yield "in float32", got, want
    yield "dtype", str(got.dtype), "torch.float32"


@check(
    "3.2",
    "it takes symlog back, from one in a hundred million to a hundred million",
    "symexp of log(1 + |y|) with the sign of y; shown is the result / y; float64",
)
def takes_symlog_back(code):
    numbers = [-1e8, -4e4, -3.3, -1e-8, 1e-8, 0.7, 1e3, 1e8]
    x = torch.tensor([math.copysign(math.log1p(abs(y)), y) for y in numbers], dtype=F64)
    got = code.networks.symexp(x) / torch.tensor(numbers, dtype=F64)
    yield "symexp(symlog(y)) / y", got, [1.0] * len(numbers)


@check(
    "3.2",
    "its slope is exp|x| for either sign",
    "x = [-3 -1 .25 8 -50], in float64, then in float32; shown is the slope / exp|x|",
)
def slope_of_symexp(code):
    for dtype in (F64, F32):
        x = torch.tensor([-3.0, -1.0, 0.25, 8.0, -50.0], dtype=dtype, requires_grad=True)
        [slope] = gradients(code.networks.symexp(x).sum(), x)
        expected = x.detach().double().abs().exp()
        yield f"slope / exp|x|, {dtype}", slope.double() / expected, [1.0] * 5


@check(
    "3.2",
    "near zero it is x itself, and no digits are lost",
    "x = ±1e-8 and ±3e-10 in float32, where exp|x| is 1; shown is symexp(x) / x",
)
def tiny_numbers_of_symexp(code):
    x = torch.tensor([1e-8, -1e-8, 3e-10, -3e-10])
    yield "symexp(x) / x", code.networks.symexp(x) / x, [1.0] * 4


# --- 3.3 symexp_bins ------------------------------------------------------------------------------


@check(
    "3.3",
    "the bins are symexp of equally spaced numbers from -limit to limit",
    "5 bins, limit 2: symexp of [-2 -1 0 1 2]; 7 bins, limit 4.5; 3 bins, limit 1.5",
)
def a_few_bins(code):
    e = math.e
    got = code.networks.symexp_bins(5, 2.0)
    yield "5 bins", got, [1 - e * e, 1 - e, 0.0, e - 1, e * e - 1]
    yield "dtype", str(got.dtype), "torch.float32"
    for count, limit in ((7, 4.5), (3, 1.5), (5, 2.0)):
        want = oracle.symexp_bins(count, limit)
        yield f"{count} bins up to symexp({limit})", code.networks.symexp_bins(count, limit), want


@check(
    "3.3",
    "255 bins reach from -4.9e8 to 4.9e8, dense near zero; the limit is 20 unless another is given",
    "the default limit; shown is each bin / the expected one, the middle left out",
)
def all_bins(code):
    bins = code.networks.symexp_bins(255)
    yield "shape", tuple(bins.shape), (255,)
    want = torch.tensor(oracle.symexp_bins(255, 20.0), dtype=F64)
    outer = torch.arange(255) != 127
    yield "bin / expected", (bins.double() / want)[outer], [1.0] * 254
    yield "bins that are not above the one before", int((bins.diff() <= 0).sum()), 0


@check(
    "3.3",
    "bin i and its mirror image add up to exactly 0, and the middle bin is exactly 0",
    "float32; 255 bins up to symexp(20), 63 to 10, 11 to 3, 3 to 1; no tolerance",
)
def antisymmetric_bins(code):
    for count, limit in ((255, 20.0), (63, 10.0), (11, 3.0), (3, 1.0)):
        bins = code.networks.symexp_bins(count, limit)
        sums = (bins + bins.flip(0)).abs()
        yield f"largest |bin + mirror image| of {count}", float(sums.max()), 0.0, 0
        yield f"middle bin of {count}", float(bins[count // 2]), 0.0, 0


# --- 3.4 two_hot_loss -----------------------------------------------------------------------------

LINE = [-2.0, -1.0, 0.0, 1.0, 2.0]
UNEVEN = [-7.0, -2.5, -0.5, 1.0, 4.0, 11.0]
SHARES = [0.1, 0.2, 0.3, 0.15, 0.25]


def two_hot_case(code, targets, bins, dtype=F64, phase=0.0):
    """(loss, weights) of random logits, and what both should be.

    The weights are read from the gradient of the logits, which is softmax - weights.
    """
    targets, bins = torch.tensor(targets, dtype=dtype), torch.tensor(bins, dtype=dtype)
    logits = 3 * irregular(*targets.shape, len(bins), phase=phase)
    logits = logits.to(dtype).requires_grad_()
    loss = code.networks.two_hot_loss(torch.log_softmax(logits, -1), targets, bins)
    weights = torch.softmax(logits.detach(), -1) - gradients(loss.sum(), logits)[0]
    want = by_entry(lambda x: oracle.two_hot(x, bins.tolist()), targets.tolist())
    shares = torch.tensor(want, dtype=F64).view(-1, len(bins)).tolist()
    rows = zip(shares, logits.detach().view(-1, len(bins)).tolist(), strict=True)
    losses = torch.tensor([oracle.cross_entropy(*row) for row in rows], dtype=F64)
    return loss, weights, losses.view(targets.shape), want


@check(
    "3.4",
    "the nearer of the two neighbouring bins gets the larger weight",
    "bins [-2 -1 0 1 2], probabilities [.1 .2 .3 .15 .25]; target .3 is .7 of bin 0 and .3 of bin "
    "1, target -1.4 is .4 of bin -2 and .6 of bin -1",
)
def two_neighbours(code):
    log_probs = torch.tensor([SHARES, SHARES], dtype=F64).log()
    target, bins = torch.tensor([0.3, -1.4], dtype=F64), torch.tensor(LINE, dtype=F64)
    got = code.networks.two_hot_loss(log_probs, target, bins)
    log = math.log
    want = [-0.7 * log(0.3) - 0.3 * log(0.15), -0.4 * log(0.1) - 0.6 * log(0.2)]
    yield "loss", got, want
    yield "loss, again", code.networks.two_hot_loss(log_probs, target, bins), want
    yield "target after the calls", target, [0.3, -1.4]
    yield "log_probs after the calls", log_probs.exp(), [SHARES, SHARES]
    yield "bins after the calls", bins, LINE


@check(
    "3.4",
    "weights are linear between the bins, in their units: the weighted mean is the target",
    "bins [-7 -2.5 -.5 1 4 11], targets [-6 -1 .3], [.9 3.9 10]; the weights are read from the "
    "gradient of the logits, which is probabilities - weights",
)
def bins_of_unequal_distance(code):
    case = two_hot_case(code, [[-6.0, -1.0, 0.3], [0.9, 3.9, 10.0]], UNEVEN)
    loss, weights, losses, want = case
    yield "loss (B, T)", loss, losses
    yield "weights (B, T, N)", weights, want
    yield (
        "Σ weight · bin",
        weights @ torch.tensor(UNEVEN, dtype=F64),
        [
            [-6.0, -1.0, 0.3],
            [0.9, 3.9, 10.0],
        ],
    )


@check(
    "3.4",
    "a target on a bin gives this bin all the weight, the first and the last bin too",
    "bins [-7 -2.5 -.5 1 4 11], each of them as target",
)
def targets_on_the_bins(code):
    loss, weights, losses, _ = two_hot_case(code, UNEVEN, UNEVEN, phase=1.0)
    yield "loss", loss, losses
    for i, x in enumerate(UNEVEN):
        yield f"weights of the target {x:g}", weights[i], [float(k == i) for k in range(6)]


@check(
    "3.4",
    "a target beyond the bins counts as the outer bin",
    "bins [-7 -2.5 -.5 1 4 11], targets -7.1, -50, 11.1 and 3000",
)
def targets_beyond_the_bins(code):
    targets = [-7.1, -50.0, 11.1, 3000.0]
    loss, weights, losses, _ = two_hot_case(code, targets, UNEVEN, phase=2.0)
    yield "loss", loss, losses
    for i, x in enumerate(targets):
        outer = 0 if x < 0 else 5
        yield f"weights of the target {x:g}", weights[i], [float(k == outer) for k in range(6)]
    target, log_probs = torch.tensor(targets), torch.tensor(SHARES).log().expand(4, 5)
    code.networks.two_hot_loss(log_probs, target, torch.tensor(LINE))
    yield "targets after a call", target, targets


@check(
    "3.4",
    "between the paper's 255 bins a target is shared in the units of the reward, not in symlog",
    "bins symexp(-20 … 20), float32; target .1 is .4137 of bin 127, at 0, and .5863 of bin 128, at "
    ".1706",
)
def bins_of_the_paper(code):
    targets = [0.1, 0.0, -12.5, 1e6, -3e8]
    positions = torch.tensor(oracle.symexp_bins(255, 20.0), dtype=F32).tolist()
    loss, weights, losses, want = two_hot_case(code, targets, positions, F32, phase=3.0)
    yield "weights of bins 127 and 128 for .1", weights[0, 127:129], [0.4137, 0.5863], 1e-4
    yield "loss", loss, losses, 1e-4
    for i, x in enumerate(targets):
        lowest = next(k for k, w in enumerate(want[i]) if w)
        place = slice(lowest, lowest + 2)
        name = f"weights of bins {lowest} and {lowest + 1} for {x:g}"
        yield name, weights[i, place], want[i][place], 1e-4
        others = weights[i].abs().sum() - weights[i, place].abs().sum()
        yield f"weight of all other bins for {x:g}", others, 0.0, 1e-4
    yield "dtype", str(loss.dtype), "torch.float32"


@check(
    "3.4",
    "any leading dimensions: each target has a loss of its own",
    "bins [-7 -2.5 -.5 1 4 11]; targets of shape (), (3,), (1, 1) and (2, 1, 3)",
)
def leading_dimensions_of_targets(code):
    for targets in (
        0.7,
        [0.7, -3.0, 6.0],
        [[2.2]],
        [[[0.7, -3.0, 6.0]], [[-0.4, 9.0, 1.1]]],
    ):
        loss, _, losses, _ = two_hot_case(code, targets, UNEVEN, phase=4.0)
        shape = tuple(losses.shape)
        yield f"shape for {shape}", tuple(loss.shape), shape
        yield f"loss for {shape}", loss, losses


@check(
    "3.4",
    "logarithms are used as they come: probabilities would round to 0",
    "bins [-2 … 2], log-probabilities [0 -1000 -1000 -1000 -2000], target 1.5, float32: "
    ".5 · 1000 + .5 · 2000",
)
def tiny_probabilities(code):
    log_probs = torch.tensor([0.0, -1000.0, -1000.0, -1000.0, -2000.0])
    got = code.networks.two_hot_loss(log_probs, torch.tensor(1.5), torch.tensor(LINE))
    yield "loss", got, 1500.0


# --- 3.5 two_hot_mean -----------------------------------------------------------------------------

MIRRORED = [-9.0, -4.0, -0.5, 0.0, 0.5, 4.0, 9.0]


def paper_bins(dtype=F32):
    """255 bins, the negative half mirrored, so that they are exactly antisymmetric."""
    half = torch.tensor(oracle.symexp_bins(255, 20.0)[:127], dtype=dtype)
    return torch.cat([half, torch.zeros(1, dtype=dtype), -half.flip(0)])


@check(
    "3.5",
    "the prediction is the mean of the bins, in their units: Σ p_i b_i",
    "bins [-9 -4 -.5 0 .5 4 9]; irregular logits (2, 3, 7), (7,) and (1, 7)",
)
def mean_of_the_bins(code):
    logits, bins = 2 * irregular(2, 3, 7), torch.tensor(MIRRORED, dtype=F64)
    rows = logits.tolist()
    want = [[dot(oracle.softmax(x), MIRRORED) for x in row] for row in rows]
    for note in ("", ", again"):
        yield f"mean{note}", code.networks.two_hot_mean(logits, bins), want
    yield "logits after the calls", logits, rows
    yield "bins after the calls", bins, MIRRORED
    yield "mean of one distribution", code.networks.two_hot_mean(logits[1, 0], bins), want[1][0]
    yield "mean of a batch of one", code.networks.two_hot_mean(logits[1, :1], bins), want[1][:1]
    three = code.networks.two_hot_mean(logits[..., :3], bins[[0, 3, 6]])
    want = [[dot(oracle.softmax(x[:3]), [-9.0, 0.0, 9.0]) for x in row] for row in rows]
    yield "mean of three bins [-9 0 9]", three, want


@check(
    "3.5",
    "bins are averaged as they are, not in symlog space with a symexp at the end",
    "half of the mass on bin 127, at 0, half on bin 167, at 543.143: the mean is 271.572; float64",
)
def mean_of_two_distant_bins(code):
    logits = torch.full((255,), -1000.0, dtype=F64)
    logits[127] = logits[167] = 3.0
    got = code.networks.two_hot_mean(logits, paper_bins(F64))
    yield "mean", got, (math.exp(20 * 40 / 127) - 1) / 2
    logits[127], logits[30] = -1000.0, 4.0  # more mass on a negative bin
    probs = [math.e / (1 + math.e), 1 / (1 + math.e)]
    places = [1 - math.exp(20 * 97 / 127), math.exp(20 * 40 / 127) - 1]
    yield (
        "mean of bins 30 and 167",
        code.networks.two_hot_mean(logits, paper_bins(F64)) / dot(probs, places),
        1.0,
    )


@check(
    "3.5",
    "the uniform distribution predicts exactly 0, so that a fresh head starts at 0",
    "255 bins up to ±4.9e8 in float32, logits 0 of shape (3, 2, 255), then all 7; no tolerance: a "
    "naive sum is off by about .3",
)
def mean_of_the_uniform_distribution(code):
    for level in (0.0, 7.0):
        got = code.networks.two_hot_mean(torch.full((3, 2, 255), level), paper_bins())
        yield f"mean, logits {level:g}", got, [[0.0, 0.0]] * 3, 0
    yield "dtype", str(got.dtype), "torch.float32"


@check(
    "3.5",
    "small predictions keep their digits beside huge bins",
    "float32; logits 0 but for bin 150 at -1: the mean is (1/e - 1) / (254 + 1/e) times this bin",
)
def mean_of_an_almost_uniform_distribution(code):
    for place in (150, 100, 128):
        logits = torch.zeros(255)
        logits[place] = -1.0
        want = (1 / math.e - 1) / (254 + 1 / math.e) * oracle.symexp_bins(255, 20.0)[place]
        yield f"mean, bin {place}", code.networks.two_hot_mean(logits, paper_bins()), want


@check(
    "3.5",
    "the slope along logit i is p_i (b_i - mean)",
    "bins [-9 -4 -.5 0 .5 4 9]; irregular logits (2, 7), the means weighted by 1 and -.7",
)
def gradient_of_the_mean(code):
    logits = irregular(2, 7, phase=1.0).requires_grad_()
    mean = code.networks.two_hot_mean(logits, torch.tensor(MIRRORED, dtype=F64))
    want = []
    for scale, row in zip((1.0, -0.7), logits.tolist(), strict=True):
        probs = oracle.softmax(row)
        middle = dot(probs, MIRRORED)
        pairs = zip(probs, MIRRORED, strict=True)
        want.append([scale * p * (b - middle) for p, b in pairs])
    loss = (mean * torch.tensor([1.0, -0.7], dtype=F64)).sum()
    yield "gradient of the logits", gradients(loss, logits)[0], want


@check(
    "3.5",
    "large logits give finite predictions, each distribution by itself",
    "bins [-9 -4 -.5 0 .5 4 9], float32; logit 1000 of one bin, the others 0; then row n of these "
    "logits is 300 n lower",
)
def mean_of_large_logits(code):
    logits, bins = 1000 * torch.eye(7), torch.tensor(MIRRORED)
    yield "mean", code.networks.two_hot_mean(logits, bins), MIRRORED
    lower = logits - 300 * torch.arange(7.0)[:, None]
    yield "mean of rows at different levels", code.networks.two_hot_mean(lower, bins), MIRRORED


# --- 3.6 unimix -----------------------------------------------------------------------------------


@check(
    "3.6",
    "no class gets less than ratio / K: one percent is shared by all classes",
    "logits [100 0 0 0], ratio .01 by default; then [100 0], ratio .3",
)
def least_probability(code):
    logits = torch.tensor([100.0, 0.0, 0.0, 0.0])
    for note in ("", ", again"):
        yield f"probabilities{note}", code.networks.unimix(logits), [0.9925, 0.0025, 0.0025, 0.0025]
    yield "logits after the calls", logits, [100.0, 0.0, 0.0, 0.0]
    yield "dtype", str(code.networks.unimix(logits).dtype), "torch.float32"
    two = torch.tensor([100.0, 0.0], dtype=F64)
    yield "probabilities of two classes, ratio .3", code.networks.unimix(two, 0.3), [0.85, 0.15]
    yield "dtype of them", str(code.networks.unimix(two, 0.3).dtype), "torch.float64"


@check(
    "3.6",
    "(1 - ratio) softmax(logits) + ratio / K, for each categorical by itself",
    "irregular logits (B, S, K) = (2, 3, 5), ratio .07, then 0 and 1; then (1, 5) and (5,) of them",
)
def mixture_of_each_categorical(code):
    logits = 4 * irregular(2, 3, 5)
    for ratio in (0.07, 0.0, 1.0):
        want = [[oracle.mixed(x, ratio) for x in row] for row in logits.tolist()]
        yield f"probabilities, ratio {ratio:g}", code.networks.unimix(logits, ratio), want
    want = oracle.mixed(logits[1, 2].tolist(), 0.07)
    yield "of one categorical", code.networks.unimix(logits[1, 2], 0.07), want
    yield "of (1, 5)", code.networks.unimix(logits[1, 2:], 0.07), [want]


@check(
    "3.6",
    "the gradient is that of the softmax, times 1 - ratio",
    "irregular logits (2, 3, 5), ratio .2, Σ w · probabilities with irregular w",
)
def gradient_of_the_mixture(code):
    logits = (2 * irregular(2, 3, 5, phase=1.0)).requires_grad_()
    weights = irregular(2, 3, 5, phase=2.0)
    [got] = gradients((code.networks.unimix(logits, 0.2) * weights).sum(), logits)
    want = []
    for group, w in zip(logits.view(6, 5).tolist(), weights.view(6, 5).tolist(), strict=True):
        probs = oracle.softmax(group)
        mean = dot(probs, w)
        want.append([0.8 * p * (v - mean) for p, v in zip(probs, w, strict=True)])
    yield "gradient of the logits", got.reshape(6, 5), want


@check(
    "3.6",
    "any logits give finite probabilities and gradients",
    "logits [1000 0 -1000] and [-1000 -1000 0] in float32, ratio .03; the loss is the sum of the "
    "logarithms of all probabilities",
)
def mixture_of_large_logits(code):
    rows = [[1000.0, 0.0, -1000.0], [-1000.0, -1000.0, 0.0]]
    logits = torch.tensor(rows, requires_grad=True)
    probs = code.networks.unimix(logits, 0.03)
    yield "probabilities", probs, [[0.98, 0.01, 0.01], [0.01, 0.01, 0.98]]
    yield "gradient of the logits", gradients(probs.log().sum(), logits)[0], [[0.0] * 3] * 2


@check(
    "3.6",
    "logits of half precision give probabilities in float32",
    "bfloat16 logits [2 -1 .5 0], ratio .01",
)
def mixture_in_half_precision(code):
    got = code.networks.unimix(torch.tensor([2.0, -1.0, 0.5, 0.0], dtype=torch.bfloat16))
    yield "dtype", str(got.dtype), "torch.float32"
    yield "probabilities", got, oracle.mixed([2.0, -1.0, 0.5, 0.0], 0.01)


# --- 3.7 BlockLinear.forward ----------------------------------------------------------------------


def block_layer(code, inputs: int, outputs: int, blocks: int, dtype=F64, phase=0.0):
    layer = code.networks.BlockLinear(inputs, outputs, blocks).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(irregular(*layer.weight.shape, phase=phase))
        layer.bias.copy_(1 + irregular(*layer.bias.shape, phase=phase + 1))
    return layer


def block_rows(layer, x) -> list:
    """The layer of each row of x (rows, G, inputs / G), by loops."""
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [oracle.block_linear(row.flatten().tolist(), weight, bias) for row in x]


@check(
    "3.7",
    "block g of the output sees block g of the input, through weights and biases of its own",
    "two blocks of two inputs and one output: weights [1 10] and [100 1000], biases .5 and .25; "
    "x = [[1 2] [3 4]]",
)
def two_blocks(code):
    layer = code.networks.BlockLinear(4, 2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[1.0], [10.0]], [[100.0], [1000.0]]]))
        layer.bias.copy_(torch.tensor([[[0.5]], [[0.25]]]))
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    for note in ("", ", again"):
        yield f"output (1, 2, 1){note}", layer(x), [[[21.5], [4300.25]]]
    yield "x after the calls", x, [[[1.0, 2.0], [3.0, 4.0]]]
    yield "dtype", str(layer(x).dtype), "torch.float32"


@check(
    "3.7",
    "any leading dimensions stay as they are; every row is computed by itself",
    "G=3 blocks of 2 inputs and 4 outputs, irregular; x (2, 5, 3, 2), then (1, 3, 2), (3, 2), and "
    "a slice of time",
)
def rows_of_blocks(code):
    layer, x = block_layer(code, 6, 12, 3), irregular(2, 5, 3, 2, phase=3.0)
    rows = block_rows(layer, x.view(10, 3, 2))
    got = layer(x)
    yield "shape for (2, 5, 3, 2)", tuple(got.shape), (2, 5, 3, 4)
    yield "output for (2, 5, 3, 2)", got, [rows[:5], rows[5:]]
    yield "output for (1, 3, 2)", layer(x[1, 2:3]), rows[7:8]
    yield "output for (3, 2)", layer(x[1, 2]), rows[7]
    yield "output for x[:, 1:4]", layer(x[:, 1:4]), [rows[1:4], rows[6:9]]


@check(
    "3.7",
    "sizes that are alike are not mixed up",
    "G=3 blocks of 3 inputs and 3 outputs, irregular; x (3, 3, 3)",
)
def blocks_of_equal_sizes(code):
    layer, x = block_layer(code, 9, 9, 3, phase=4.0), irregular(3, 3, 3, phase=5.0)
    yield "output", layer(x), block_rows(layer, x)
    layer, x = block_layer(code, 4, 4, 1, phase=6.0), irregular(2, 1, 4, phase=7.0)
    yield "output of a single block", layer(x), block_rows(layer, x)


@check(
    "3.7",
    "the gradient of an output reaches the inputs, weights and biases of its own block alone",
    "G=3 blocks of 2 inputs and 2 outputs, x (2, 3, 2); the slope of output 1 of block 1 of row 0",
)
def gradient_of_one_block(code):
    layer, x = block_layer(code, 6, 6, 3, phase=8.0), irregular(2, 3, 2, phase=9.0)
    x.requires_grad_()
    found = gradients(layer(x)[0, 1, 1], x, layer.weight, layer.bias)
    to_x, to_weight, to_bias = (torch.zeros_like(v) for v in (x, layer.weight, layer.bias))
    to_x[0, 1] = layer.weight.detach()[1, :, 1]
    to_weight[1, :, 1] = x.detach()[0, 1]
    to_bias[1, 0, 1] = 1
    yield "slopes along x", found[0], to_x
    yield "slopes along the weights", found[1], to_weight
    yield "slopes along the biases", found[2], to_bias


# --- 3.8 norm_act ---------------------------------------------------------------------------------


def silu(x: float) -> float:
    return x / (1 + math.exp(-x))


@check(
    "3.8",
    "a row is divided by the root of its mean square, nothing is taken away from it; then SiLU",
    "x = [3 -4], mean square 12.5, ε=1e-8; x / √12.5 = [.848528 -1.131371]",
)
def mean_square_of_one(code):
    x, gains = torch.tensor([[3.0, -4.0]], dtype=F64), torch.ones(2, dtype=F64)
    want = [[silu(3 / math.sqrt(12.5)), silu(-4 / math.sqrt(12.5))]]
    for note in ("", ", again"):
        yield f"output{note}", code.networks.norm_act(x, gains, 1e-8), want
    yield "x after the calls", x, [[3.0, -4.0]]
    yield "gains after the calls", gains, [1.0, 1.0]


@check(
    "3.8",
    "ε is added to the mean square, inside the root",
    "ε=1e-4, x = [.01 -.01] with the same mean square: x / √(2e-4) = ±.707107; then x = 0",
)
def epsilon_inside_the_root(code):
    x, gains = torch.tensor([[0.01, -0.01]], dtype=F64), torch.ones(2, dtype=F64)
    half = math.sqrt(0.5)
    yield "output", code.networks.norm_act(x, gains, 1e-4), [[silu(half), silu(-half)]]
    x = torch.zeros(1, 2, dtype=F64, requires_grad=True)
    got = code.networks.norm_act(x, gains, 1e-4)
    yield "output for x = 0", got, [[0.0, 0.0]]
    # the slope of SiLU at 0 is 1/2, and x / √ε has the slope 100
    yield "slopes at x = 0", gradients(got.sum(), x)[0], [[50.0, 50.0]]


@check(
    "3.8",
    "every unit has a gain of its own, before SiLU; every row is normalised by itself",
    "irregular x (2, 3, 4), then (1, 4) and (4,); gains [.5 -1.3 2 .8], ε=.05; then x (4, 4)",
)
def gains_and_rows(code):
    x, gains = 2 * irregular(2, 3, 4, phase=1.0), [0.5, -1.3, 2.0, 0.8]
    weight = torch.tensor(gains, dtype=F64)
    want = [[oracle.norm_silu(row, gains, 0.05) for row in rows] for rows in x.tolist()]
    yield "output (2, 3, 4)", code.networks.norm_act(x, weight, 0.05), want
    yield "output (1, 4)", code.networks.norm_act(x[1, :1], weight, 0.05), want[1][:1]
    yield "output (4,)", code.networks.norm_act(x[1, 2], weight, 0.05), want[1][2]
    x = irregular(4, 4, phase=2.0)
    want = [oracle.norm_silu(row, gains, 0.05) for row in x.tolist()]
    yield "output (4, 4)", code.networks.norm_act(x, weight, 0.05), want
    got = code.networks.norm_act(x.float(), weight.float(), 0.05)
    yield "output in float32", got, want
    yield "dtype", str(got.dtype), "torch.float32"


@check(
    "3.8",
    "the gradient runs through x, through its mean square, and to the gains",
    "irregular x (2, 3), gains [.5 -1.3 2], ε=.05; the slope of Σ w · output of row 1; expected: "
    "finite differences",
)
def gradient_of_the_norm(code):
    gains, w = [0.5, -1.3, 2.0], [0.9, -0.4, 1.7]
    x = irregular(2, 3, phase=3.0).requires_grad_()
    weight = torch.tensor(gains, dtype=F64, requires_grad=True)
    loss = (code.networks.norm_act(x, weight, 0.05)[1] * torch.tensor(w, dtype=F64)).sum()
    row = x[1].tolist()
    to_x, to_weight = gradients(loss, x, weight)
    along = oracle.slopes(lambda v: dot(w, oracle.norm_silu(v, gains, 0.05)), row)
    yield "slopes along x", to_x, [[0.0] * 3, along]
    along = oracle.slopes(lambda g: dot(w, oracle.norm_silu(row, g, 0.05)), gains)
    yield "slopes along the gains", to_weight, along


@check(
    "3.8",
    "the size of a row does not matter where it is far above √ε",
    "x = [3 -4 1] times 1, 1e6 and 1e15, float32, ε=1e-4",
)
def large_rows(code):
    row, gains = [3.0, -4.0, 1.0], torch.ones(3)
    x = torch.tensor([row]) * torch.tensor([[1.0], [1e6], [1e15]])
    want = [oracle.norm_silu([scale * v for v in row], [1.0] * 3) for scale in (1.0, 1e6, 1e15)]
    yield "output", code.networks.norm_act(x, gains, 1e-4), want


# --- 3.9 reconstruction_loss ----------------------------------------------------------------------


def squared_errors(prediction, target, scale) -> list:
    """Σ (prediction - scale(target))² of each step, by loops."""
    steps = []
    for row, wanted in zip(prediction.flatten(2).tolist(), target.flatten(2).tolist(), strict=True):
        steps.append([
            sum((p - scale(x)) ** 2 for p, x in zip(numbers, values, strict=True))
            for numbers, values in zip(row, wanted, strict=True)
        ])  # fmt: skip
    return steps


def picture(*shape):
    """uint8 without a pattern."""
    return ((irregular(*shape, phase=0.4) + 1) * 127.5).round().to(torch.uint8)


@check(
    "3.9",
    "an image's loss is the sum of the squared errors over channels and pixels, without 1/2",
    "(B, T, C, H, W) = (2, 1, 2, 3, 4); prediction .3 everywhere, pixels 51 (row 0) and 255 (row "
    "1): 24 · .1² and 24 · .7²",
)
def sum_over_pixels(code):
    prediction = torch.full((2, 1, 2, 3, 4), 0.3)
    target = torch.full((2, 1, 2, 3, 4), 51, dtype=torch.uint8)
    target[1] = 255
    got = code.networks.reconstruction_loss(prediction, target, True)
    yield "loss", got, [[0.24], [11.76]]
    yield "dtype", str(got.dtype), "torch.float32"
    yield "dtype of the target after the call", str(target.dtype), "torch.uint8"


@check(
    "3.9",
    "pixels are compared as uint8 / 255, in 0 … 1",
    "irregular prediction and uint8 target (2, 3, 2, 4, 5), then (1, 1, 1, 2, 2)",
)
def loss_of_images(code):
    for shape in ((2, 3, 2, 4, 5), (1, 1, 1, 2, 2)):
        prediction, target = (irregular(*shape) + 1) / 2, picture(*shape)
        before = prediction.tolist(), target.tolist()
        want = squared_errors(prediction, target, lambda x: x / 255)
        for note in ("", ", again"):
            got = code.networks.reconstruction_loss(prediction, target, True)
            yield f"loss for {shape}{note}", got, want
        yield "prediction after the calls", prediction, before[0]
        yield "target after the calls", target, before[1]


@check(
    "3.9",
    "a vector's prediction is compared with symlog(x)",
    "x = [e - 1, 1 - e, 0], [9999 -99 .5], prediction [1 -1 0], [9 -4 .5]: the first is perfect; "
    "then x = [3 0 200] in uint8, which is no image: is_image says so",
)
def loss_of_vectors(code):
    e = math.e
    target = torch.tensor([[[e - 1, 1 - e, 0.0], [9999.0, -99.0, 0.5]]], dtype=F64)
    prediction = torch.tensor([[[1.0, -1.0, 0.0], [9.0, -4.0, 0.5]]], dtype=F64)
    want = squared_errors(prediction, target, oracle.symlog)
    got = code.networks.reconstruction_loss(prediction, target, False)
    yield "loss", got, want
    yield "loss of the perfect prediction", got[0, 0], 0.0
    yield "target after the call", target[0, 1], [9999.0, -99.0, 0.5]
    memory = torch.tensor([[[3, 0, 200]]], dtype=torch.uint8)  # a vector too, such as Atari's RAM
    prediction = torch.tensor([[[1.0, -1.0, 0.5]]])
    want = squared_errors(prediction, memory, oracle.symlog)
    got = code.networks.reconstruction_loss(prediction, memory, False)
    yield "loss of a vector of uint8", got, want


@check(
    "3.9",
    "vectors may have several dimensions; every step has a loss of its own, (B, T)",
    "prediction and target (2, 3, 2, 2) and (2, 1, 5), irregular, targets times 20; float32 too",
)
def loss_of_tables(code):
    for shape in ((2, 3, 2, 2), (2, 1, 5)):
        prediction, target = irregular(*shape, phase=1.0), 20 * irregular(*shape, phase=2.0)
        want = squared_errors(prediction, target, oracle.symlog)
        yield (
            f"loss for {shape}",
            code.networks.reconstruction_loss(prediction, target, False),
            want,
        )
        got = code.networks.reconstruction_loss(prediction.float(), target.float(), False)
        yield f"in float32 for {shape}", got, want


@check(
    "3.9",
    "the gradient of a prediction is 2 (prediction - target), at its own step alone",
    "irregular images (2, 2, 1, 2, 3) and vectors (2, 2, 3); the loss of row 1, step 0",
)
def gradient_of_the_reconstruction(code):
    prediction, target = (irregular(2, 2, 1, 2, 3) + 1) / 2, picture(2, 2, 1, 2, 3)
    want = torch.zeros_like(prediction)
    want[1, 0] = 2 * (prediction - target.double() / 255)[1, 0]
    prediction.requires_grad_()
    loss = code.networks.reconstruction_loss(prediction, target, True)[1, 0]
    yield "gradient of the image", gradients(loss, prediction)[0], want
    prediction, target = irregular(2, 2, 3, phase=3.0), 20 * irregular(2, 2, 3, phase=4.0)
    want = torch.zeros_like(prediction)
    goal = torch.tensor([oracle.symlog(x) for x in target[1, 0].tolist()], dtype=F64)
    want[1, 0] = 2 * (prediction[1, 0] - goal)
    prediction.requires_grad_()
    loss = code.networks.reconstruction_loss(prediction, target, False)[1, 0]
    yield "gradient of the vector", gradients(loss, prediction)[0], want


# --- 3.10 continue_loss ---------------------------------------------------------------------------

LOGITS = [[2.0, -1.3, 0.4], [-0.6, 3.0, 1.1]]
TERMINAL = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def continue_inputs():
    return torch.tensor(LOGITS, dtype=F64).requires_grad_(), torch.tensor(TERMINAL, dtype=F64)


def by_step(function, discount: float) -> list:
    """function(logit, target) of every step."""
    rows = zip(LOGITS, TERMINAL, strict=True)
    return [
        [function(x, discount * (1 - e)) for x, e in zip(xs, es, strict=True)] for xs, es in rows
    ]


@check(
    "3.10",
    "the target is γ where the episode goes on: -γ log σ(l) - (1 - γ) log(1 - σ(l))",
    "logits [2 -1.3], nothing terminal, γ = 1 - 1/8 = .875; σ(2)=.880797, σ(-1.3)=.214165",
)
def discounted_target(code):
    logits, flags = torch.tensor([[2.0, -1.3]]), torch.zeros(1, 2)
    got = code.networks.continue_loss(logits, flags, 0.875)
    yield "loss", got, [[oracle.bernoulli_cross_entropy(x, 0.875) for x in (2.0, -1.3)]]
    yield "dtype", str(got.dtype), "torch.float32"
    yield "logits after the call", logits, [[2.0, -1.3]]
    yield "is_terminal after the call", flags, [[0.0, 0.0]]


@check(
    "3.10",
    "the target is 0 where the episode is over: -log(1 - σ(l))",
    "logits [2 -1.3], both terminal, γ=.875",
)
def target_of_a_terminal_state(code):
    flags = torch.ones(1, 2)
    got = code.networks.continue_loss(torch.tensor([[2.0, -1.3]]), flags, 0.875)
    yield "loss", got, [[oracle.bernoulli_cross_entropy(x, 0.0) for x in (2.0, -1.3)]]
    yield "is_terminal after the call", flags, [[1.0, 1.0]]


@check(
    "3.10",
    "every step has a loss of its own, of shape (B, T)",
    "logits [2 -1.3 .4], [-.6 3 1.1]; is_terminal [0 1 0], [1 0 0]; γ = 1 - 1/333, then 1",
)
def continue_loss_of_every_step(code):
    logits, flags = continue_inputs()
    for discount in (1 - 1 / 333, 1.0):
        got = code.networks.continue_loss(logits, flags, discount)
        yield f"loss, γ={discount:.4g}", got, by_step(oracle.bernoulli_cross_entropy, discount)
    got = code.networks.continue_loss(logits[:1, :1], flags[:1, :1], 0.9)
    yield "loss for (B, T) = (1, 1)", got, [[oracle.bernoulli_cross_entropy(2.0, 0.9)]]


@check(
    "3.10",
    "the gradient of a logit is σ(logit) - target",
    "logits [2 -1.3 .4], [-.6 3 1.1]; is_terminal [0 1 0], [1 0 0]; γ=.9",
)
def gradient_of_the_continue_loss(code):
    logits, flags = continue_inputs()
    loss = code.networks.continue_loss(logits, flags, 0.9).sum()
    want = by_step(lambda x, target: oracle.sigmoid(x) - target, 0.9)
    yield "gradient of the logits", gradients(loss, logits)[0], want


@check(
    "3.10",
    "value and gradient stay exact where the sigmoid rounds to 0 or 1",
    "logits ±200 and ±1000, not terminal, then terminal; γ=.9; in float32 and float64",
)
def extreme_logits(code):
    for dtype in (F32, F64):
        logits = torch.tensor([[200.0, -200.0, 1000.0, -1000.0]], dtype=dtype).requires_grad_()
        flags = torch.zeros(1, 4, dtype=dtype)
        loss = code.networks.continue_loss(logits, flags, 0.9)
        yield f"loss, {dtype}", loss, [[20.0, 180.0, 100.0, 900.0]]
        yield f"gradient, {dtype}", gradients(loss.sum(), logits)[0], [[0.1, -0.9, 0.1, -0.9]]
        loss = code.networks.continue_loss(logits, flags + 1, 0.9)
        yield f"loss where it is over, {dtype}", loss, [[200.0, 0.0, 1000.0, 0.0]]
        slope = gradients(loss.sum(), logits)[0]
        yield f"gradient where it is over, {dtype}", slope, [[1.0, 0.0, 1.0, 0.0]]
