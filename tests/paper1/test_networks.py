"""Checks of DreamerV1's networks and of the losses of their predictions.

Sources: arXiv:1912.01603; danijar/dreamer, models.py and dreamer.py.
"""

import functools
import math

import torch

from course.checks import check, draws
from tests import oracle
from tests.paper1.parameters import fill

# --- builders -------------------------------------------------------------------------------------


def irregular(*shape, dtype=torch.float32, phase=0.0):
    """Numbers in [-0.5, 0.5] without a pattern."""
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return (0.5 * torch.sin(1.7 * count**1.3 + phase)).view(*shape).to(dtype)


@torch.no_grad()
def put(module, **numbers):
    """Set all parameters to zero, then some: conv1_weight={(0, 1): 0.5} sets weight[0, 1]."""
    for parameter in module.parameters():
        parameter.zero_()
    for name, entries in numbers.items():
        parameter = module.get_parameter(name.replace("_", "."))
        for index, number in entries.items():
            parameter[index] = torch.as_tensor(number, dtype=parameter.dtype)
    return module


def shapes(module) -> dict:
    return {name: tuple(x.shape) for name, x in module.state_dict().items()}


def values(module) -> dict:
    return {name: x.tolist() for name, x in module.state_dict().items()}


def gradients(loss, *inputs) -> list:
    """The gradients of a loss; None for what it does not depend on."""
    if not loss.requires_grad:
        return [None] * len(inputs)
    return list(torch.autograd.grad(loss, inputs, allow_unused=True))


# --- 1.1 preprocess_image -------------------------------------------------------------------------

BYTES = [0, 51, 102, 173, 204, 255]
SCALED = [-0.5, -0.3, -0.1, 173 / 255 - 0.5, 0.3, 0.5]


@check("1.1", "black is -0.5, white is 0.5, and grey lies between", f"the bytes {BYTES}")
def range_of_pixels(code):
    image = torch.tensor(BYTES, dtype=torch.uint8).view(1, 3, 1, 2)
    scaled = code.networks.preprocess_image(image)
    yield "pixels", scaled.flatten(), SCALED
    yield "shape", tuple(scaled.shape), (1, 3, 1, 2)
    yield "dtype", str(scaled.dtype), "torch.float32"


@check("1.1", "a pixel's value depends on its own byte alone", "a dark and a bright picture")
def each_pixel_by_itself(code):
    image = torch.tensor([[3, 20], [230, 254]], dtype=torch.uint8).view(2, 1, 1, 2)
    expected = [[3 / 255 - 0.5, 20 / 255 - 0.5], [230 / 255 - 0.5, 254 / 255 - 0.5]]
    yield "pixels", code.networks.preprocess_image(image).view(2, 2), expected
    sequence = image.view(1, 2, 1, 1, 2)
    yield "pixels of a sequence", code.networks.preprocess_image(sequence).view(2, 2), expected
    yield "the bytes after the call", image.flatten(), [3, 20, 230, 254]


@check("1.1", "the result is on the device of the image", "an image on the device 'meta'")
def device_of_pixels(code):
    image = torch.zeros(2, 3, 4, 5, dtype=torch.uint8, device="meta")
    yield "device", str(code.networks.preprocess_image(image).device), "meta"


# --- 1.2 ConvEncoder.__init__ ---------------------------------------------------------------------

ENCODER = {
    "conv1.weight": (3, 5, 4, 4),
    "conv2.weight": (6, 3, 4, 4),
    "conv3.weight": (12, 6, 4, 4),
    "conv4.weight": (24, 12, 4, 4),
}


@check("1.2", "four convolutions with a bias each, and nothing else", "channels 5, depth 3")
def layers_of_the_encoder(code):
    encoder = code.networks.ConvEncoder(5, 3)
    found = shapes(encoder)
    expected = [f"conv{i}.{part}" for i in (1, 2, 3, 4) for part in ("bias", "weight")]
    yield "names", sorted(found), expected
    for name, shape in ENCODER.items():
        yield f"shape of {name}", found.get(name), shape
    yield "parameters that learn", sum(p.requires_grad for p in encoder.parameters()), 8


@check("1.2", "without padding the picture shrinks 64 → 31 → 14 → 6 → 2", "channels 5, depth 3")
def sizes_of_the_encoder(code):
    encoder, x = code.networks.ConvEncoder(5, 3), torch.zeros(1, 5, 64, 64)
    for i, size in enumerate((31, 14, 6, 2), 1):
        x = encoder.get_submodule(f"conv{i}")(x)
        yield f"height and width after conv{i}", tuple(x.shape[-2:]), (size, size)


@check("1.2", "at the paper's sizes the encoder has 690,144 parameters", "ConvEncoder()")
def count_of_the_encoder(code):
    encoder = code.networks.ConvEncoder()
    yield "parameters", sum(p.numel() for p in encoder.parameters()), 690_144


# --- 1.3 ConvEncoder.forward ----------------------------------------------------------------------

CORNERS = [(0, 0), (0, 16), (16, 0), (16, 16)]
COPY = {(0, 0, 0, 0): 1.0}  # a filter that copies the first pixel of each window


def copying_encoder(code):
    """Channel 0 of the last map is four pixels of the picture's second channel; 1 is twice 0."""
    return put(
        code.networks.ConvEncoder(2, 1),
        conv1_weight={(0, 1, 0, 0): 1.0},
        conv2_weight=COPY,
        conv3_weight=COPY,
        conv4_weight=COPY | {(1, 0, 0, 0): 2.0},
    )


def pictures(*lead, corners):
    """Pictures of two channels that are -0.2 but for the four pixels that the encoder copies."""
    image = torch.full((*lead, 2, 64, 64), -0.2)
    for (y, x), number in zip(CORNERS, corners, strict=True):
        image[..., 1, y, x] = number
    return image


@check(
    "1.3",
    "the last map is the embedding, in the order (channel, y, x)",
    "weights that copy: channel 0 of the last 2×2 map is the pixels .1 .2 (top) and "
    ".3 .4 (bottom), channel 1 is twice that",
)
def order_of_the_embedding(code):
    image = pictures(1, corners=[0.1, 0.2, 0.3, 0.4])
    embedding = copying_encoder(code)(image)
    yield "shape for one picture", tuple(embedding.shape), (1, 32)
    expected = [0.1, 0.2, 0.3, 0.4, 0.2, 0.4, 0.6, 0.8]
    yield "first 8 numbers", embedding[0, :8], expected
    yield "dtype", str(embedding.dtype), "torch.float32"
    seen = [image[0, 1, y, x].item() for y, x in CORNERS]
    yield "the four pixels after the call", seen, [0.1, 0.2, 0.3, 0.4]


@check(
    "1.3",
    "every picture of a batch and of a sequence is encoded by itself",
    "weights that copy pixel (0, 0), which is .1 .2 .3 in the pictures of row 0, .4 .5 .6 in row 1",
)
def leading_dimensions_of_the_encoder(code):
    encoder = copying_encoder(code)
    image = pictures(2, 3, corners=[0.0, 0.07, 0.08, 0.09])
    image[..., 1, 0, 0] = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    for name, part, lead, expected in (
        ("(B, T) = (2, 3)", image, (2, 3), [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
        ("(B,) = (3,)", image[1], (3,), [0.4, 0.5, 0.6]),
        ("(B, T) = (1, 1)", image[:1, 1:2], (1, 1), [[0.2]]),
        ("(B,) = (1,)", image[0, 2:], (1,), [0.3]),
    ):
        embedding = encoder(part)
        yield f"shape for {name}", tuple(embedding.shape), (*lead, 32)
        yield f"embedding[..., 0] for {name}", embedding[..., 0], expected


@check(
    "1.3",
    "a ReLU follows each of the four convolutions",
    "one convolution puts out -5 everywhere, the next computes 0.5 - x, later ones copy",
)
def relu_after_every_convolution(code):
    for i in (1, 2, 3, 4):
        numbers = {f"conv{j}_weight": COPY for j in range(1, 5) if j != i}
        numbers[f"conv{i}_bias"] = {(): -5.0}
        if i < 4:
            numbers[f"conv{i + 1}_weight"] = {(0, 0, 0, 0): -1.0}
            numbers[f"conv{i + 1}_bias"] = {(): 0.5}
        encoder = put(code.networks.ConvEncoder(2, 1), **numbers)
        embedding = encoder(pictures(1, corners=[0.1, 0.2, 0.3, 0.4]))
        yield f"embedding[0], with conv{i} at -5", embedding.flatten()[0], 0.5 if i < 4 else 0.0


@check(
    "1.3",
    "the embedding has a gradient wherever the ReLU lets a number pass",
    "weights that copy the pixels .1 .2 -.3 .4 to channel 0, and twice that to channel 1; "
    "the loss is the sum of both channels",
)
def gradient_of_the_encoder(code):
    encoder = copying_encoder(code)
    image = pictures(1, corners=[0.1, 0.2, -0.3, 0.4]).requires_grad_()
    loss = encoder(image)[0, :8].sum()
    pixels, bias = gradients(loss, image, encoder.get_parameter("conv1.bias"))
    if pixels is not None:
        pixels = [pixels[0, 1, y, x].item() for y, x in CORNERS]
    yield "gradient of the four pixels", pixels, [3.0, 3.0, 0.0, 3.0]
    yield "gradient of conv1.bias", bias, [9.0]


@functools.cache
def convolved():
    """(image, parameters, embedding by loops) of an encoder with filled parameters."""
    sizes = ((1, 2), (2, 1), (4, 2), (8, 4))
    net = torch.nn.Module()
    for i, (out, inputs) in enumerate(sizes, 1):
        net.add_module(f"conv{i}", torch.nn.Conv2d(inputs, out, 4))
    image = irregular(2, 64, 64, dtype=torch.float64)
    p = values(fill(net.double()))
    return image, p, oracle.conv_encoder(image.tolist(), p)


@check(
    "1.3",
    "the four layers follow one another, as a loop over pixels and filters computes them",
    "channels 2, depth 1, parameters and picture of irregular numbers, in float64",
)
def encoder_by_loops(code):
    image, p, expected = convolved()
    encoder = code.networks.ConvEncoder(2, 1).double()
    encoder.load_state_dict({name: torch.tensor(x) for name, x in p.items()})
    embedding = encoder(image[None])[0]
    for channel in range(0, 8, 2):
        part = slice(4 * channel, 4 * channel + 4)
        yield f"channel {channel} of the embedding", embedding[part], expected[part]


# --- 1.4 ConvDecoder.__init__ ---------------------------------------------------------------------

DECODER = {
    "fc.weight": (96, 7),
    "deconv1.weight": (96, 12, 5, 5),
    "deconv2.weight": (12, 6, 5, 5),
    "deconv3.weight": (6, 3, 6, 6),
    "deconv4.weight": (3, 5, 6, 6),
}


@check(
    "1.4",
    "a dense layer and four transposed convolutions with a bias each, and nothing else",
    "inputs 7, channels 5, depth 3",
)
def layers_of_the_decoder(code):
    decoder = code.networks.ConvDecoder(7, 5, 3)
    found = shapes(decoder)
    layers = ("deconv1", "deconv2", "deconv3", "deconv4", "fc")
    yield "names", sorted(found), [f"{x}.{part}" for x in layers for part in ("bias", "weight")]
    for name, shape in DECODER.items():
        yield f"shape of {name}", found.get(name), shape
    outputs = [found.get(f"{name}.bias") for name in layers]
    yield "shapes of the biases", outputs, [(12,), (6,), (3,), (5,), (96,)]
    yield "parameters that learn", sum(p.requires_grad for p in decoder.parameters()), 10


@check("1.4", "one pixel grows 1 → 5 → 13 → 30 → 64", "inputs 7, channels 5, depth 3")
def sizes_of_the_decoder(code):
    decoder = code.networks.ConvDecoder(7, 5, 3)
    x = torch.zeros(1, decoder.fc(torch.zeros(1, 7)).shape[-1], 1, 1)
    for i, size in enumerate((5, 13, 30, 64), 1):
        x = decoder.get_submodule(f"deconv{i}")(x)
        yield f"height and width after deconv{i}", tuple(x.shape[-2:]), (size, size)


@check("1.4", "at the paper's sizes the dense layer makes 1024 channels", "ConvDecoder()")
def count_of_the_decoder(code):
    found = shapes(code.networks.ConvDecoder())
    yield "shape of fc.weight", found.get("fc.weight"), (1024, 230)
    yield "shape of deconv4.weight", found.get("deconv4.weight"), (32, 3, 6, 6)


# --- 1.5 ConvDecoder.forward ----------------------------------------------------------------------

SPREAD = {
    (0, 0, 0, 0): 0.1,
    (0, 0, 0, 1): 0.2,
    (0, 0, 2, 4): 0.3,
    (0, 0, 4, 2): 0.4,
    (0, 0, 1, 1): -0.7,
}


def spreading_decoder(code, **more):
    """deconv1 spreads the pixel by its 5×5 kernel; number (y, x) of it arrives at (8 y, 8 x)."""
    numbers = dict(
        fc_weight={(0, 0): 1.0, (0, 1): 0.5},
        deconv1_weight=SPREAD,
        deconv2_weight=COPY,
        deconv3_weight=COPY,
        deconv4_weight=COPY | {(0, 1, 0, 0): 2.0},
    )
    return put(code.networks.ConvDecoder(2, 2, 1), **(numbers | more))


@check(
    "1.5",
    "one pixel grows to the picture: dense layer, then four transposed convolutions",
    "fc computes f0 + f1/2 = 2; deconv1's kernel has .1 .2 .3 .4 at (0,0) (0,1) (2,4) (4,2) and "
    "-.7 at (1,1); the others copy (y,x) to (2y,2x); channel 1 is doubled",
)
def layers_make_a_picture(code):
    decoder = spreading_decoder(code)
    feature = torch.tensor([[1.5, 1.0]])
    picture = decoder(feature)
    yield "shape for one feature", tuple(picture.shape), (1, 2, 64, 64)
    places = [(0, 0), (0, 8), (16, 32), (32, 16), (8, 8)]
    for channel, expected in ((0, [0.2, 0.4, 0.6, 0.8, 0.0]), (1, [0.4, 0.8, 1.2, 1.6, 0.0])):
        got = [picture[0, channel, y, x].item() for y, x in places]
        yield f"channel {channel} at (0,0) (0,8) (16,32) (32,16) (8,8)", got, expected
    yield "dtype", str(picture.dtype), "torch.float32"
    yield "the feature after the call", feature, [[1.5, 1.0]]


@check(
    "1.5",
    "the dense layer has no activation",
    "fc puts out -2; deconv1 multiplies it with -0.7 at (1, 1), and the others copy",
)
def dense_layer_is_linear(code):
    decoder = spreading_decoder(code)
    picture = decoder(torch.tensor([[-2.5, 1.0]]))
    yield "channel 0 at (8, 8)", picture[0, 0, 8, 8], 1.4
    yield "channel 0 at (0, 8)", picture[0, 0, 0, 8], 0.0


@check(
    "1.5",
    "pixels are linear outputs: no ReLU, no sigmoid, no tanh",
    "all weights 0, deconv4.bias [-0.3, 4]",
)
def pixels_are_linear(code):
    decoder = put(code.networks.ConvDecoder(2, 2, 1), deconv4_bias={0: -0.3, 1: 4.0})
    yield "pixel (5, 7) of both channels", decoder(torch.ones(1, 2))[0, :, 5, 7], [-0.3, 4.0]


@check(
    "1.5",
    "a ReLU follows each of the first three transposed convolutions",
    "one of them puts out -5 everywhere, the next computes 0.5 - x, later ones copy",
)
def relu_after_the_first_three(code):
    for i in (1, 2, 3):
        numbers = {
            f"deconv{i}_weight": {},
            f"deconv{i}_bias": {(): -5.0},
            f"deconv{i + 1}_weight": {(0, 0, 0, 0): -1.0},
            f"deconv{i + 1}_bias": {(): 0.5},
        }
        picture = spreading_decoder(code, **numbers)(torch.tensor([[1.5, 1.0]]))
        yield f"channel 0 at (0, 0), with deconv{i} at -5", picture[0, 0, 0, 0], 0.5


@check(
    "1.5",
    "every feature of a batch and of a sequence is decoded by itself",
    "a decoder whose pixel (0, 8) is a fifth of the feature's first number: "
    ".5 1 1.5 in row 0, 2 2.5 3 in row 1",
)
def leading_dimensions_of_the_decoder(code):
    decoder = spreading_decoder(code, fc_weight={(0, 0): 1.0})
    feature = torch.tensor([[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]])
    feature = torch.stack([feature, torch.full((2, 3), 7.0)], -1)
    for name, part, lead, expected in (
        ("(B, T) = (2, 3)", feature, (2, 3), [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
        ("(B,) = (3,)", feature[1], (3,), [0.4, 0.5, 0.6]),
        ("(B, T) = (1, 1)", feature[:1, 1:2], (1, 1), [[0.2]]),
        ("(B,) = (1,)", feature[0, 2:], (1,), [0.3]),
    ):
        picture = decoder(part)
        yield f"shape for {name}", tuple(picture.shape), (*lead, 2, 64, 64)
        yield f"channel 0 at (0, 8) for {name}", picture[..., 0, 0, 8], expected


@check(
    "1.5",
    "the error of the picture reaches the feature and the dense layer",
    "the sum of the picture; deconv1's positive numbers add up to 1, channel 0 counts them once "
    "and channel 1 twice, so the gradient of fc's output is 3, and fc computes f0 + f1 / 2",
)
def gradient_of_the_decoder(code):
    decoder = spreading_decoder(code)
    feature = torch.tensor([[1.5, 1.0]], requires_grad=True)
    wanted = [decoder.get_parameter(name) for name in ("fc.weight", "deconv4.bias")]
    loss = decoder(feature).sum()
    own, fc, bias = gradients(loss, feature, *wanted)
    yield "gradient of the feature", own, [[3.0, 1.5]]
    yield "gradient of fc.weight[0]", None if fc is None else fc[0], [4.5, 3.0]
    yield "gradient of deconv4.bias", bias, [4096.0, 4096.0]


@functools.cache
def deconvolved():
    """(feature, parameters, picture by loops) of a decoder with filled parameters."""
    sizes = ((32, 4, 5), (4, 2, 5), (2, 1, 6), (1, 2, 6))
    net = torch.nn.Module()
    net.fc = torch.nn.Linear(3, 32)
    for i, (inputs, out, kernel) in enumerate(sizes, 1):
        net.add_module(f"deconv{i}", torch.nn.ConvTranspose2d(inputs, out, kernel))
    p = values(fill(net.double()))
    feature = irregular(3, dtype=torch.float64)
    return feature, p, oracle.conv_decoder(feature.tolist(), p)


@check(
    "1.5",
    "the layers follow one another, as a loop over pixels and kernels computes them",
    "inputs 3, channels 2, depth 1, parameters and feature of irregular numbers, in float64",
)
def decoder_by_loops(code):
    feature, p, expected = deconvolved()
    decoder = code.networks.ConvDecoder(3, 2, 1).double()
    decoder.load_state_dict({name: torch.tensor(x) for name, x in p.items()})
    picture = decoder(feature[None])[0]
    for channel, y in ((0, 11), (1, 40)):
        got, want = picture[channel, y, 20:24], expected[channel][y][20:24]
        yield f"channel {channel}, row {y}, columns 20 to 23", got, want


# --- 1.6 DenseDecoder.forward ---------------------------------------------------------------------


def chain(code, layers: int, **numbers):
    """A network of one unit a layer, in which every layer copies."""
    copies = {f"hidden_{i}_weight": {(0, 0): 1.0} for i in range(layers)}
    copies |= {"output_weight": {(0, 0): 1.0}}
    return put(code.networks.DenseDecoder(1, layers, 1), **(copies | numbers))


@check(
    "1.6",
    "ELU after every hidden layer: below 0 it is exp(x) - 1, above 0 it is x",
    "one hidden layer that copies, an output layer that copies; the inputs -1 and 2",
)
def elu_after_a_hidden_layer(code):
    outputs = chain(code, 1)(torch.tensor([[-1.0], [2.0]]))
    yield "outputs", outputs, [[math.exp(-1) - 1], [2.0]]


@check(
    "1.6",
    "every hidden layer has its ELU, and the output is linear",
    "three hidden layers of one unit, which copy; one of them also adds -3; the input is 1; "
    "the output layer computes 2 x + 0.5",
)
def every_hidden_layer_has_its_elu(code):
    for i in range(3):
        more = {
            f"hidden_{i}_bias": {0: -3.0},
            "output_weight": {(0, 0): 2.0},
            "output_bias": {0: 0.5},
        }
        number = -2.0
        for _ in range(i, 3):
            number = oracle.elu(number)
        outputs = chain(code, 3, **more)(torch.tensor([[1.0]]))
        yield f"output, with -3 in hidden layer {i + 1}", outputs, [[2 * number + 0.5]]


@check(
    "1.6",
    "all layers follow one another, for any leading dimensions",
    "inputs 5, units 4, outputs 2, parameters and features of irregular numbers, in float64",
)
def dense_decoder_by_loops(code):
    for layers, lead in ((2, (2, 3)), (3, (1, 1)), (1, (1,))):
        network = fill(code.networks.DenseDecoder(5, layers, 4, 2).double())
        feature = 3 * irregular(*lead, 5, dtype=torch.float64, phase=layers)
        before = feature.flatten()[:3].tolist()
        rows, p = feature.view(-1, 5).tolist(), values(network)
        got = network(feature)
        yield f"shape, {layers} hidden, lead {lead}", tuple(got.shape), (*lead, 2)
        expected = [oracle.dense(row, p, layers) for row in rows]
        yield f"outputs, {layers} hidden, first rows", got.reshape(-1, 2)[:2], expected[:2]
        yield f"outputs, {layers} hidden, last row", got.reshape(-1, 2)[-1], expected[-1]
        yield "first numbers of the feature after the call", feature.flatten()[:3], before


@check(
    "1.6",
    "the gradient reaches the feature and the first layer",
    "one hidden layer that copies; the input is -1, where the slope of ELU is exp(-1)",
)
def gradient_of_the_dense_decoder(code):
    network, feature = chain(code, 1), torch.tensor([[-1.0]], requires_grad=True)
    outputs = network(feature)
    slope, bias = gradients(outputs.sum(), feature, network.get_parameter("hidden.0.bias"))
    yield "gradient of the feature", slope, [[math.exp(-1)]]
    yield "gradient of hidden[0].bias", bias, [math.exp(-1)]
    yield "dtype", str(outputs.dtype), "torch.float32"


def silent(loss, module) -> list[str]:
    """Names of the parameters in which a loss has no gradient."""
    named = list(module.named_parameters())
    found = gradients(loss, *(p for _, p in named))
    return [n for (n, _), g in zip(named, found, strict=True) if g is None or not g.any()]


@check("1.6", "every parameter of every layer learns", "two hidden layers, filled")
def every_layer_learns(code):
    network = fill(code.networks.DenseDecoder(3, 2, 4, 2))
    loss = network(irregular(5, 3)).square().sum()
    yield "parameters without a gradient", silent(loss, network), []


@check("1.3", "every parameter of every convolution learns", "depth 1, filled, one picture")
def every_convolution_learns(code):
    encoder = code.networks.ConvEncoder(1, 1)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            size = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.fill_(0.1 if name.endswith("bias") else 1 / size)
    loss = encoder(irregular(1, 1, 64, 64) + 0.5).square().sum()
    yield "parameters without a gradient", silent(loss, encoder), []


@check("1.5", "a decoded picture is not drawn, and every parameter learns", "depth 1, filled")
def every_layer_of_the_decoder_learns(code):
    decoder = code.networks.ConvDecoder(3, 1, 1)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            size = parameter.numel() ** 0.5
            parameter.fill_(0.1 if name.endswith("bias") else 1 / size)
    feature = irregular(2, 3) + 0.5
    picture = decoder(feature)
    yield "parameters without a gradient", silent(picture.square().sum(), decoder), []
    with draws(normal=1.5, uniform=0.9):
        far = (decoder(feature) - picture).abs().max()
    yield "largest change with other random numbers", float(far), 0.0


# --- 1.7 normal_loss ------------------------------------------------------------------------------


@check(
    "1.7",
    "the loss of a reward is half its squared error",
    "mean [1 2.5 -1], [0.3 4 2]; target [3 2.5 0], [0.7 1 -2]",
)
def loss_of_rewards(code):
    mean = torch.tensor([[1.0, 2.5, -1.0], [0.3, 4.0, 2.0]])
    target = torch.tensor([[3.0, 2.5, 0.0], [0.7, 1.0, -2.0]])
    got = code.networks.normal_loss(mean, target)
    yield "loss", got, [[2.0, 0.0, 0.5], [0.08, 4.5, 8.0]]
    yield "dtype", str(got.dtype), "torch.float32"
    yield "mean after the call", mean, [[1.0, 2.5, -1.0], [0.3, 4.0, 2.0]]
    yield "target after the call", target, [[3.0, 2.5, 0.0], [0.7, 1.0, -2.0]]
    got = code.networks.normal_loss(mean[:1, :1], target[:1, :1])
    yield "loss for (B, T) = (1, 1)", got, [[2.0]]


@check(
    "1.7",
    "the losses of all numbers of a vector are added, batch and time are kept",
    "B 2, T 3, errors [1 2], [3 -1], [.2 .4] in row 0 and [2 2], [-4 1], [.6 0] in row 1",
)
def loss_of_vectors(code):
    errors = [[[1.0, 2.0], [3.0, -1.0], [0.2, 0.4]], [[2.0, 2.0], [-4.0, 1.0], [0.6, 0.0]]]
    target = irregular(2, 3, 2, dtype=torch.float64)
    got = code.networks.normal_loss(target + torch.tensor(errors, dtype=torch.float64), target)
    yield "loss", got, [[2.5, 5.0, 0.1], [4.0, 8.5, 0.18]]


@check(
    "1.7",
    "pixels are summed, not averaged: (0.1² / 2) · 3 · 64 · 64 = 61.44",
    "B 1, T 2, images of 3×64×64, every pixel of the mean is 0.1 off",
)
def loss_of_images(code):
    target = irregular(1, 2, 3, 64, 64, dtype=torch.float64)
    got = code.networks.normal_loss(target + 0.1, target)
    yield "loss", got, [[61.44, 61.44]]


@check(
    "1.7",
    "the gradient of the mean is its error, so that the loss pulls it towards the target",
    "mean [0.5 -2], target [2 -3]; then an image that is 0.1 off, of B 2, T 3",
)
def gradient_of_the_normal_loss(code):
    mean = torch.tensor([[0.5, -2.0]], requires_grad=True)
    loss = code.networks.normal_loss(mean, torch.tensor([[2.0, -3.0]])).sum()
    yield "gradient of the mean", gradients(loss, mean)[0], [[-1.5, 1.0]]
    target = irregular(2, 3, 1, 4, 5, dtype=torch.float64)
    mean = (target + 0.1).requires_grad_()
    slope = gradients(code.networks.normal_loss(mean, target).sum(), mean)[0]
    yield "gradient of a pixel", None if slope is None else slope[1, 2, 0, 3, 4], 0.1


@check(
    "1.7",
    "up to a constant this is the negative log-likelihood under Normal(mean, 1)",
    "B 2, T 2, vectors of 3 irregular numbers, in float64; the constant is 3 · log(2π) / 2",
)
def likelihood(code):
    mean = irregular(2, 2, 3, dtype=torch.float64)
    target = irregular(2, 2, 3, dtype=torch.float64, phase=1.0)
    pairs = zip(mean.view(-1, 3).tolist(), target.view(-1, 3).tolist(), strict=True)
    expected = [
        -sum(oracle.normal_log_density(x, m, 1.0) for m, x in zip(ms, xs, strict=True))
        - 3 * math.log(2 * math.pi) / 2
        for ms, xs in pairs
    ]
    yield "loss", code.networks.normal_loss(mean, target).flatten(), expected


# --- 1.8 continue_loss ----------------------------------------------------------------------------

LOGITS = [[2.0, -1.3, 0.4], [-0.6, 3.0, 1.1]]
TERMINAL = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def continue_inputs():
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    return logits, torch.tensor(TERMINAL, dtype=torch.float64)


def continue_target(gamma: float) -> list:
    return [[0.0 if over else gamma for over in row] for row in TERMINAL]


@check(
    "1.8",
    "the target is γ where the episode goes on: -0.9 log σ(l) - 0.1 log(1 - σ(l))",
    "logits [2 -1.3], nothing terminal, γ=0.9; σ(2)=0.880797, σ(-1.3)=0.214165",
)
def target_where_it_goes_on(code):
    logits, flags = torch.tensor([[2.0, -1.3]]), torch.zeros(1, 2)
    got = code.networks.continue_loss(logits, flags, 0.9)
    expected = [[oracle.bernoulli_cross_entropy(x, 0.9) for x in (2.0, -1.3)]]
    yield "loss", got, expected
    yield "dtype", str(got.dtype), "torch.float32"
    yield "logits after the call", logits, [[2.0, -1.3]]
    yield "is_terminal after the call", flags, [[0.0, 0.0]]


@check(
    "1.8",
    "the target is 0 where the episode is over: -log(1 - σ(l))",
    "logits [2 -1.3], both terminal, γ=0.9; σ(2)=0.880797, σ(-1.3)=0.214165",
)
def target_where_it_is_over(code):
    flags = torch.ones(1, 2)
    got = code.networks.continue_loss(torch.tensor([[2.0, -1.3]]), flags, 0.9)
    yield "loss", got, [[oracle.bernoulli_cross_entropy(x, 0.0) for x in (2.0, -1.3)]]
    yield "is_terminal after the call", flags, [[1.0, 1.0]]


@check(
    "1.8",
    "every step has a loss of its own, of shape (B, T)",
    "logits [2 -1.3 .4], [-.6 3 1.1]; is_terminal [0 1 0], [1 0 0]; γ=0.99, then γ=1",
)
def continue_loss_of_every_step(code):
    logits, flags = continue_inputs()
    for gamma in (0.99, 1.0):
        rows = zip(LOGITS, continue_target(gamma), strict=True)
        expected = [
            [oracle.bernoulli_cross_entropy(x, y) for x, y in zip(xs, ys, strict=True)]
            for xs, ys in rows
        ]
        got = code.networks.continue_loss(logits, flags, gamma)
        yield f"loss, γ={gamma:g}", got, expected
    got = code.networks.continue_loss(logits[:1, :1], flags[:1, :1], 0.99)
    yield "loss for (B, T) = (1, 1)", got, [[oracle.bernoulli_cross_entropy(2.0, 0.99)]]


@check(
    "1.8",
    "the gradient of a logit is σ(logit) - target",
    "logits [2 -1.3 .4], [-.6 3 1.1]; is_terminal [0 1 0], [1 0 0]; γ=0.9",
)
def gradient_of_the_continue_loss(code):
    logits, flags = continue_inputs()
    loss = code.networks.continue_loss(logits, flags, 0.9).sum()
    rows = zip(LOGITS, continue_target(0.9), strict=True)
    expected = [[oracle.sigmoid(x) - y for x, y in zip(xs, ys, strict=True)] for xs, ys in rows]
    yield "gradient of the logits", gradients(loss, logits)[0], expected


@check(
    "1.8",
    "computed from logits, the loss stays exact where the sigmoid rounds to 0 or 1",
    "logits [200 -200], nothing terminal, γ=0.9, in float32: 0.1 · 200 and 0.9 · 200",
)
def extreme_logits(code):
    logits = torch.tensor([[200.0, -200.0]])
    got = code.networks.continue_loss(logits, torch.zeros(1, 2), 0.9)
    yield "loss", got, [[20.0, 180.0]]


@check(
    "1.8",
    "the gradient is finite and right for certain predictions too",
    given="logits [200 -200], not terminal, γ = 0.9; the gradient is sigmoid(logit) - 0.9",
)
def gradient_at_certain_predictions(code):
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = code.networks.continue_loss(logits, torch.zeros(1, 2), 0.9)
    yield "gradient", gradients(loss.sum(), logits)[0], [[0.1, -0.9]]
    large = torch.tensor([[1000.0, -1000.0]])
    loss = code.networks.continue_loss(large, torch.zeros(1, 2), 0.9)
    yield "loss at logits 1000 and -1000", loss, [[100.0, 900.0]]
