"""Checks of DreamerV2's networks: categorical samples, the GRU, the encoder, the continue loss.

Sources: arXiv:2010.02193, Algorithm 1 and Appendix C; danijar/dreamerv2, common/nets.py,
common/dists.py and agent.py.

A sample of a categorical is drawn in many ways. In the centre of chance all of them take the class
with more than half of the probability; where the draw itself is in question, chance is real.
"""

import functools
import math
from contextlib import contextmanager

import torch
from torch.distributions import Distribution
from torch.utils._python_dispatch import _disable_current_modes as real_random_numbers

from course.checks import check, draws
from tests import oracle
from tests.numbers import F64, gradients, irregular, values
from tests.paper2.agents import fill, put

# --- 2.1 sample_one_hot ---------------------------------------------------------------------------

# (B, S, K) = (2, 3, 4): one class of each categorical has more than half of the probability
GROUPS = [
    [[2.0, -1.0, 0.0, 0.3], [-0.5, 0.1, 2.5, 0.2], [-3.0, -2.0, -1.9, 1.1]],
    [[0.0, 3.0, 1.0, 0.5], [4.0, 0.0, 1.0, -2.0], [0.2, 0.1, -0.4, 2.6]],
]
CHANCES = [0.3, 0.25, 0.45]


@contextmanager
def without_validation():
    """torch.distributions look at the numbers that they are given; 'meta' tensors have none."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def likely(group: list) -> list:
    return [float(x == max(group)) for x in group]


def slope_of_probs(logits: list, weights: list) -> list:
    """The gradient of softmax(logits) · w."""
    probs = oracle.softmax(logits)
    mean = sum(p * w for p, w in zip(probs, weights, strict=True))
    return [p * (w - mean) for p, w in zip(probs, weights, strict=True)]


@check(
    "2.1",
    "a sample is one class of each categorical, one-hot; the last dimension holds the classes",
    "logits (B, S, K) = (2, 3, 4), then (3, 4) and (4,) of them; one class with more than half of "
    "the probability; the centre of chance lies in it",
)
def one_class_of_each(code):
    logits = torch.tensor(GROUPS, dtype=F64)
    want = [[likely(group) for group in row] for row in GROUPS]
    for note in ("", ", again"):
        yield f"sample{note}", code.networks.sample_one_hot(logits), want
    yield "sample of the second row", code.networks.sample_one_hot(logits[1]), want[1]
    yield "sample of one categorical", code.networks.sample_one_hot(logits[0, 1]), want[0][1]
    yield "logits after the calls", logits, GROUPS
    single = code.networks.sample_one_hot(logits.float())
    yield "sample in float32", single, want
    yield "dtype of it", str(single.dtype), "torch.float32"
    double = str(code.networks.sample_one_hot(logits).dtype)
    yield "dtype of a sample of float64", double, "torch.float64"


@check(
    "2.1",
    "classes are drawn with their probabilities, and every categorical has a draw of its own",
    "9,000 rows of two categoricals each, probabilities .3 .25 .45 and .45 .25 .3, then .97 .03; "
    "real chance",
)
def shares_of_the_classes(code):
    rows = [[math.log(p) for p in CHANCES], [math.log(p) + 3 for p in CHANCES[::-1]]]
    logits = torch.tensor(rows, dtype=F64).expand(9000, 2, 3).contiguous()
    with real_random_numbers():
        torch.manual_seed(3)
        sample = code.networks.sample_one_hot(logits)
        again = [code.networks.sample_one_hot(logits[0]) for _ in range(40)]
        one_hot = bool(((sample - 1).abs().lt(1e-6) | sample.abs().lt(1e-6)).all())
        sums = bool((sample.sum(-1) - 1).abs().max() < 1e-6)
        shares, both = sample.mean(0), (sample[:, 0, 0] * sample[:, 1, 0]).mean()
        drawn = sample[:, 0].argmax(-1).unique().tolist()
        later = torch.stack(again)[:, 0].argmax(-1).unique().tolist()
        rare = torch.tensor([math.log(0.97), math.log(0.03)], dtype=F64).expand(9000, 2)
        share = float(code.networks.sample_one_hot(rare.contiguous())[:, 1].mean())
    yield "shape", tuple(sample.shape), (9000, 2, 3)
    yield "is every number 0 or 1?", one_hot, True
    yield "does every sample add up to 1?", sums, True
    for s, chances in enumerate((CHANCES, CHANCES[::-1])):
        for k, p in enumerate(chances):
            near = abs(float(shares[s, k]) - p) < 0.02
            yield f"is about {p} of categorical {s} class {k}?", near, True
    yield "are about .3 · .45 of the rows class 0 twice?", abs(float(both) - 0.135) < 0.02, True
    yield "is a class of probability .03 drawn about as often?", abs(share - 0.03) < 0.01, True
    yield "classes that are drawn at all for categorical 0", drawn, [0, 1, 2]
    yield "the same for one row in 40 calls", later, [0, 1, 2]


@check(
    "2.1",
    "going backward a sample counts as its probabilities, whichever class was drawn",
    "Σ w · sample, w irregular; expected: the gradient of Σ w · softmax(logits); first in the "
    "centre of chance, then with real random numbers",
)
def straight_through_gradient(code):
    weights = irregular(2, 3, 4, phase=2.0)
    want = [
        [slope_of_probs(g, w) for g, w in zip(row, ws, strict=True)]
        for row, ws in zip(GROUPS, weights.tolist(), strict=True)
    ]
    logits = torch.tensor(GROUPS, dtype=F64, requires_grad=True)
    sample = code.networks.sample_one_hot(logits)
    yield "gradient", gradients((sample * weights).sum(), logits)[0], want
    with real_random_numbers():
        torch.manual_seed(5)
        # flat probabilities, so that unlikely classes are drawn as well
        flat = (0.1 * torch.tensor(GROUPS, dtype=F64)).requires_grad_()
        found = gradients((code.networks.sample_one_hot(flat) * weights).sum(), flat)[0]
    want = [
        [slope_of_probs([0.1 * x for x in g], w) for g, w in zip(row, ws, strict=True)]
        for row, ws in zip(GROUPS, weights.tolist(), strict=True)
    ]
    yield "gradient where logits are a tenth and any class may be drawn", found, want


@check(
    "2.1",
    "samples and gradients are finite for any logits",
    "logits [1000 0 -1000] and [-1000 -1000 0], w = [1 2 4], in float32 and float64",
)
def large_logits(code):
    for dtype in (torch.float32, F64):
        rows = [[1000.0, 0.0, -1000.0], [-1000.0, -1000.0, 0.0]]
        logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
        sample = code.networks.sample_one_hot(logits)
        yield f"sample, {dtype}", sample, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        [slope] = gradients((sample * torch.tensor([1.0, 2.0, 4.0], dtype=dtype)).sum(), logits)
        yield f"gradient, {dtype}", slope, [[0.0] * 3] * 2


@check(
    "2.1",
    "a class always comes out, though cumulative probabilities may end a little below 1",
    "float32, 200 categoricals of 32 classes; every uniform number is the largest below 1",
)
def largest_uniform_number(code):
    with draws(uniform=1 - 2**-24):
        sample = code.networks.sample_one_hot(3 * irregular(200, 32, dtype=torch.float32))
    yield "shape", tuple(sample.shape), (200, 32)
    yield "sums that are not 1", int(((sample.sum(-1) - 1).abs() > 1e-5).sum()), 0
    yield "largest number of each is 1", int(((sample.amax(-1) - 1).abs() > 1e-5).sum()), 0


@check("2.1", "the sample is on the device of the logits", "logits on the device 'meta'")
def device_of_a_sample(code):
    with without_validation():
        sample = code.networks.sample_one_hot(torch.zeros(2, 3, 4, device="meta"))
    yield "device", str(sample.device), "meta"
    yield "shape", tuple(sample.shape), (2, 3, 4)


# --- 2.2 LayerNormGRUCell.forward -----------------------------------------------------------------


def gates_of(code, bias: list):
    """A cell of two units whose raw gates are known: the norm's gain is 0, its bias the gates."""
    cell = code.networks.LayerNormGRUCell(1, 2).double()
    with torch.no_grad():
        cell.norm.weight.zero_()
        cell.norm.bias.copy_(torch.tensor(bias, dtype=F64))
    return cell


@check(
    "2.2",
    "without any weights the cell keeps 1 - sigmoid(-1) of h: it writes little at first",
    "raw gates 0, h = [0.6 -0.8]; update = sigmoid(-1) = 0.268941, candidate = 0",
)
def what_is_kept(code):
    h = torch.tensor([[0.6, -0.8]], dtype=F64)
    got = gates_of(code, [0.0] * 6)(torch.ones(1, 1, dtype=F64), h)
    kept = 1 / (1 + math.exp(-1))
    yield "next h", got, [[0.6 * kept, -0.8 * kept]]
    yield "h after the call", h, [[0.6, -0.8]]


@check(
    "2.2",
    "reset, candidate, update, in this order; the reset gate multiplies the raw candidate",
    "raw reset [0.4 -1.2], candidate [2 -0.7], update [0.5 1.7]; h = [0.6 -0.8]",
)
def three_gates(code):
    gates = [0.4, -1.2, 2.0, -0.7, 0.5, 1.7]
    h = [0.6, -0.8]
    got = gates_of(code, gates)(torch.ones(1, 1, dtype=F64), torch.tensor([h], dtype=F64))
    yield "next h", got, [[oracle.gru(h[i], *gates[i::2]) for i in (0, 1)]]


def cell_and_inputs(code, dtype=F64, inputs=3, units=4, batch=2):
    cell = fill(code.networks.LayerNormGRUCell(inputs, units), 0.9).to(dtype)
    x, h = irregular(batch, inputs, phase=1.0), irregular(batch, units, phase=2.0)
    return cell, x.to(dtype), h.to(dtype)


@check(
    "2.2",
    "one dense layer of [x, h], x first, and one norm over all its 3 H numbers",
    "irregular parameters and inputs, three inputs, H=4, B=2, then 1",
)
def step_of_the_cell(code):
    for batch in (2, 1):
        cell, x, h = cell_and_inputs(code, batch=batch)
        before = h.clone(), x.clone()
        want = [
            oracle.normed_gru(*row, values(cell))
            for row in zip(x.tolist(), h.tolist(), strict=True)
        ]
        yield f"next h, B={batch}", cell(x, h), want
        yield f"next h, B={batch}, again", cell(x, h), want
        same = torch.equal(before[0], h) and torch.equal(before[1], x)
        yield "are the inputs as they were?", same, True
    cell, x, h = cell_and_inputs(code, torch.float32)
    got = cell(x, h)
    rows = zip(x.tolist(), h.tolist(), strict=True)
    yield "in float32", got, [oracle.normed_gru(*row, values(cell)) for row in rows], 1e-4
    yield "dtype", str(got.dtype), "torch.float32"


@check(
    "2.2",
    "as many inputs as units: x and h cannot be told apart by their sizes",
    "irregular parameters, two inputs, H=2, B=3",
)
def square_cell(code):
    cell, x, h = cell_and_inputs(code, inputs=2, units=2, batch=3)
    rows = zip(x.tolist(), h.tolist(), strict=True)
    yield "next h", cell(x, h), [oracle.normed_gru(*row, values(cell)) for row in rows]


@check(
    "2.2",
    "the gradient reaches x, h and all parameters, through every gate",
    "irregular parameters; the slope of Σ w · next h of row 1; expected: finite differences",
)
def gradient_of_the_cell(code):
    cell, x, h = cell_and_inputs(code)
    weights, p = irregular(4, phase=3.0).tolist(), values(cell)
    x.requires_grad_(), h.requires_grad_()

    def total(numbers, p=p):
        row = oracle.normed_gru(numbers[:3], numbers[3:], p)
        return sum(w * v for w, v in zip(weights, row, strict=True))

    loss = (cell(x, h)[1] * torch.tensor(weights, dtype=F64)).sum()
    at = [*x[1].tolist(), *h[1].tolist()]
    slopes = oracle.slopes(total, at)
    to_x, to_h = gradients(loss, x, h)
    yield "slopes along x of row 1", to_x[1], slopes[:3]
    yield "slopes along h of row 1", to_h[1], slopes[3:]
    yield "slopes along row 0", [float(to_x[0].abs().max()), float(to_h[0].abs().max())], [0.0, 0.0]
    for name in ("layer.bias", "norm.weight", "norm.bias"):
        [found] = gradients(loss, cell.get_parameter(name))
        want = oracle.slopes(lambda b, name=name: total(at, p | {name: b}), p[name])
        yield f"slopes along {name}", found, want


@check(
    "2.2",
    "values and gradients are finite for large inputs",
    "x 1e6 · irregular, h irregular, in float32 and float64; raw gates of ±1000",
)
def large_inputs(code):
    for dtype in (torch.float32, F64):
        cell, x, h = cell_and_inputs(code, dtype)
        x = (1e6 * x).requires_grad_()
        got = cell(x, h)
        rows = zip(x.tolist(), h.tolist(), strict=True)
        want = [oracle.normed_gru(*row, values(cell)) for row in rows]
        yield f"next h, {dtype}", got, want, 1e-4
        finite = bool(gradients(got.sum(), x)[0].isfinite().all())
        yield f"is the gradient finite, {dtype}?", finite, True
    cell = gates_of(code, [1000.0, -1000.0, 1000.0, 5.0, 1000.0, -1000.0])
    h = torch.tensor([[0.6, -0.8]], dtype=F64)
    yield "next h with raw gates ±1000", cell(torch.ones(1, 1, dtype=F64), h), [[1.0, -0.8]]


# --- 2.10 ConvEncoder.forward ---------------------------------------------------------------------

CORNERS = [(0, 0), (0, 16), (16, 0), (16, 16)]
COPY = {(0, 0, 0, 0): 1.0}  # a filter that copies the first pixel of each window


def copying_encoder(code):
    """Channel 0 of the last map is four pixels of the picture's second channel; 1 is twice 0."""
    numbers = {f"convs.{i}.weight": COPY for i in (1, 2)}
    numbers["convs.0.weight"] = {(0, 1, 0, 0): 1.0}
    numbers["convs.3.weight"] = COPY | {(1, 0, 0, 0): 2.0}
    return put(code.networks.ConvEncoder(2, 1), numbers)


def pictures(*lead, corners):
    """Pictures of two channels that are -0.2 but for the four pixels that the encoder copies."""
    image = torch.full((*lead, 2, 64, 64), -0.2)
    for (y, x), number in zip(CORNERS, corners, strict=True):
        image[..., 1, y, x] = number
    return image


@check(
    "2.10",
    "the last map is the embedding, in the order (channel, y, x)",
    "weights that copy: channel 0 of the last 2×2 map is the pixels .1 .2 (top) and .3 .4 "
    "(bottom), channel 1 is twice that",
)
def order_of_the_embedding(code):
    image = pictures(1, corners=[0.1, 0.2, 0.3, 0.4])
    embedding = copying_encoder(code)(image)
    yield "shape for one picture", tuple(embedding.shape), (1, 32)
    yield "first 8 numbers", embedding[0, :8], [0.1, 0.2, 0.3, 0.4, 0.2, 0.4, 0.6, 0.8]
    yield "dtype", str(embedding.dtype), "torch.float32"
    seen = [image[0, 1, y, x].item() for y, x in CORNERS]
    yield "the four pixels after the call", seen, [0.1, 0.2, 0.3, 0.4]


@check(
    "2.10",
    "every picture of a batch and of a sequence is encoded by itself",
    "weights that copy pixel (0, 0), which is .1 .2 .3 in the pictures of row 0, .4 .5 .6 in row 1",
)
def leading_dimensions(code):
    encoder = copying_encoder(code)
    image = pictures(2, 3, corners=[0.0, 0.07, 0.08, 0.09])
    image[..., 1, 0, 0] = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    for name, part, lead, expected in (
        ("(B, T) = (2, 3)", image, (2, 3), [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
        ("(B,) = (3,)", image[1], (3,), [0.4, 0.5, 0.6]),
        ("(B, T) = (1, 1)", image[:1, 1:2], (1, 1), [[0.2]]),
        ("a slice of time", image[:, 1:], (2, 2), [[0.2, 0.3], [0.5, 0.6]]),
    ):
        embedding = encoder(part)
        yield f"shape for {name}", tuple(embedding.shape), (*lead, 32)
        yield f"embedding[..., 0] for {name}", embedding[..., 0], expected


@check(
    "2.10",
    "an ELU follows each of the four convolutions: -5 becomes e^-5 - 1",
    "one convolution puts out -5 everywhere, the next computes 0.5 - x, later ones copy",
)
def elu_after_every_convolution(code):
    low = math.exp(-5) - 1
    for i in range(4):
        numbers = {f"convs.{j}.weight": COPY for j in range(4) if j != i}
        numbers[f"convs.{i}.bias"] = {(): -5.0}
        if i < 3:
            numbers[f"convs.{i + 1}.weight"] = {(0, 0, 0, 0): -1.0}
            numbers[f"convs.{i + 1}.bias"] = {(): 0.5}
        encoder = put(code.networks.ConvEncoder(2, 1), numbers)
        embedding = encoder(pictures(1, corners=[0.1, 0.2, 0.3, 0.4]))
        yield f"embedding[0], with convs[{i}] at -5", embedding[0, 0], 0.5 - low if i < 3 else low


@check(
    "2.10",
    "with layer_norm a norm stands between each convolution and its ELU",
    "depth 2, no weights, biases of convs[i] irregular: the norm over the channels of a pixel can "
    "be worked out by hand",
)
def norm_before_the_elu(code):
    encoder = code.networks.ConvEncoder(2, 2, layer_norm=True)
    biases = {f"convs.{i}.bias": {(): irregular(2 * 2**i, phase=i)} for i in range(4)}
    gains = {f"norms.{i}.weight": {(): 1.5 + irregular(2 * 2**i, phase=9 + i)} for i in range(4)}
    put(encoder, biases | gains | {"norms.3.bias": {(): irregular(16, phase=20.0)}}).double()
    with torch.no_grad():
        for i, conv in enumerate(encoder.convs):
            conv.weight.copy_(0.2 * irregular(*conv.weight.shape, phase=30.0 + i))
    row = irregular(1, 2, 1, 1, phase=5.0).expand(1, 2, 64, 64)  # a picture of one colour
    maps = row[0, :, 0, 0].tolist()
    for i, conv in enumerate(encoder.convs):
        sums = oracle.linear(maps, conv.weight.sum((2, 3)).tolist(), conv.bias.tolist())
        mean = sum(sums) / len(sums)
        spread = math.sqrt(sum((v - mean) ** 2 for v in sums) / len(sums) + 1e-3)
        norm = encoder.norms[i]
        pairs = zip(sums, norm.weight.tolist(), norm.bias.tolist(), strict=True)
        maps = [oracle.elu(g * (v - mean) / spread + b) for v, g, b in pairs]
    want = [v for v in maps for _ in range(4)]  # each channel fills its 2×2 pixels
    yield "embedding of a picture of one colour", encoder(row), [want]


@check(
    "2.10",
    "the embedding has a gradient to pixels and parameters; where x < 0 it is that of ELU, e^x",
    "weights that copy the pixels .1 .2 -.3 .4 to channel 0, and twice that to channel 1; the loss "
    "is the sum of both channels",
)
def gradient_of_the_encoder(code):
    encoder = copying_encoder(code).double()
    image = pictures(1, corners=[0.1, 0.2, -0.3, 0.4]).double().requires_grad_()
    loss = encoder(image)[0, :8].sum()

    def path(x: list) -> float:  # ELU after ELU, and channel 1 is twice channel 0
        v = oracle.elu(oracle.elu(oracle.elu(x[0])))
        return oracle.elu(v) + oracle.elu(2 * v)

    slopes = [oracle.slopes(path, [x])[0] for x in (0.1, 0.2, -0.3, 0.4)]
    pixels, bias = gradients(loss, image, encoder.get_parameter("convs.0.bias"))
    yield "gradient of the four pixels", [pixels[0, 1, y, x].item() for y, x in CORNERS], slopes
    yield "gradient of the bias of convs[0]", bias, [sum(slopes)]


@functools.cache
def convolved():
    """(image, parameters, embedding by loops) of an encoder with filled parameters."""
    net = torch.nn.Module()
    sizes = ((1, 2), (2, 1), (4, 2), (8, 4))
    net.convs = torch.nn.ModuleList([torch.nn.Conv2d(i, o, 4) for o, i in sizes])
    image, p = irregular(2, 64, 64) / 2, values(fill(net.double(), 0.3))
    maps = image.tolist()
    for i in range(4):
        maps = oracle.convolution(maps, p[f"convs.{i}.weight"], p[f"convs.{i}.bias"])
        maps = [[[oracle.elu(v) for v in row] for row in channel] for channel in maps]
    return image, p, [v for channel in maps for row in channel for v in row]


@check(
    "2.10",
    "the four layers follow one another, as a loop over pixels and filters computes them",
    "channels 2, depth 1, parameters and picture of irregular numbers, in float64",
)
def encoder_by_loops(code):
    image, p, expected = convolved()
    encoder = code.networks.ConvEncoder(2, 1).double()
    encoder.load_state_dict({name: torch.tensor(x, dtype=F64) for name, x in p.items()})
    embedding = encoder(image[None])[0]
    for channel in range(0, 8, 2):
        part = slice(4 * channel, 4 * channel + 4)
        yield f"channel {channel} of the embedding", embedding[part], expected[part]


# --- 2.11 continue_loss ---------------------------------------------------------------------------

LOGITS = [[2.0, -1.3, 0.4], [-0.6, 3.0, 1.1]]
TERMINAL = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def continue_inputs(dtype=F64):
    return torch.tensor(LOGITS, dtype=dtype).requires_grad_(), torch.tensor(TERMINAL, dtype=dtype)


def by_step(function, gamma: float) -> list:
    """function(logit, target) for every step."""
    rows = zip(LOGITS, TERMINAL, strict=True)
    return [[function(x, gamma * (1 - e)) for x, e in zip(xs, es, strict=True)] for xs, es in rows]


@check(
    "2.11",
    "the target is γ where the episode goes on: -0.9 log σ(l) - 0.1 log(1 - σ(l))",
    "logits [2 -1.3], nothing terminal, γ=0.9; σ(2)=0.880797, σ(-1.3)=0.214165",
)
def target_where_it_goes_on(code):
    logits, flags = torch.tensor([[2.0, -1.3]]), torch.zeros(1, 2)
    got = code.networks.continue_loss(logits, flags, 0.9)
    yield "loss", got, [[oracle.bernoulli_cross_entropy(x, 0.9) for x in (2.0, -1.3)]]
    yield "dtype", str(got.dtype), "torch.float32"
    yield "logits after the call", logits, [[2.0, -1.3]]
    yield "is_terminal after the call", flags, [[0.0, 0.0]]


@check(
    "2.11",
    "the target is 0 where the episode is over: -log(1 - σ(l))",
    "logits [2 -1.3], both terminal, γ=0.9; σ(2)=0.880797, σ(-1.3)=0.214165",
)
def target_where_it_is_over(code):
    flags = torch.ones(1, 2)
    got = code.networks.continue_loss(torch.tensor([[2.0, -1.3]]), flags, 0.9)
    yield "loss", got, [[oracle.bernoulli_cross_entropy(x, 0.0) for x in (2.0, -1.3)]]
    yield "is_terminal after the call", flags, [[1.0, 1.0]]


@check(
    "2.11",
    "every step has a loss of its own, of shape (B, T)",
    "logits [2 -1.3 .4], [-.6 3 1.1]; is_terminal [0 1 0], [1 0 0]; γ=0.99, then γ=1",
)
def continue_loss_of_every_step(code):
    logits, flags = continue_inputs()
    for gamma in (0.99, 1.0):
        got = code.networks.continue_loss(logits, flags, gamma)
        yield f"loss, γ={gamma:g}", got, by_step(oracle.bernoulli_cross_entropy, gamma)
    got = code.networks.continue_loss(logits[:1, :1], flags[:1, :1], 0.99)
    yield "loss for (B, T) = (1, 1)", got, [[oracle.bernoulli_cross_entropy(2.0, 0.99)]]


@check(
    "2.11",
    "the gradient of a logit is σ(logit) - target",
    "logits [2 -1.3 .4], [-.6 3 1.1]; is_terminal [0 1 0], [1 0 0]; γ=0.9",
)
def gradient_of_the_continue_loss(code):
    logits, flags = continue_inputs()
    loss = code.networks.continue_loss(logits, flags, 0.9).sum()
    want = by_step(lambda x, target: oracle.sigmoid(x) - target, 0.9)
    yield "gradient of the logits", gradients(loss, logits)[0], want


@check(
    "2.11",
    "value and gradient stay exact where the sigmoid rounds to 0 or 1",
    "logits ±200 and ±1000, not terminal, then terminal; γ=0.9; in float32 and float64",
)
def extreme_logits(code):
    for dtype in (torch.float32, F64):
        logits = torch.tensor([[200.0, -200.0, 1000.0, -1000.0]], dtype=dtype).requires_grad_()
        flags = torch.zeros(1, 4, dtype=dtype)
        loss = code.networks.continue_loss(logits, flags, 0.9)
        yield f"loss, {dtype}", loss, [[20.0, 180.0, 100.0, 900.0]]
        yield f"gradient, {dtype}", gradients(loss.sum(), logits)[0], [[0.1, -0.9, 0.1, -0.9]]
        loss = code.networks.continue_loss(logits, flags + 1, 0.9)
        yield f"loss where it is over, {dtype}", loss, [[200.0, 0.0, 1000.0, 0.0]]
        slope = gradients(loss.sum(), logits)[0]
        yield f"gradient where it is over, {dtype}", slope, [[1.0, 0.0, 1.0, 0.0]]
