"""DreamerV3 networks: squashing functions, layers, encoder, decoder and prediction heads.

Paper: Hafner et al. 2023, "Mastering Diverse Domains through World Models", arXiv:2301.04104v2
(Nature 2025). Official code: danijar/dreamerv3, files dreamerv3/rssm.py (encoder, decoder),
embodied/jax/nets.py (layers), embodied/jax/heads.py and outs.py (heads and their losses).

Letters: B batch, T time, H deterministic units, S categoricals, K classes, E embedding,
A action units, N two-hot bins. `...` stands for any leading dimensions.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def full_precision(x: Tensor) -> Tensor:
    """Half precision → float32, so that what is computed from x is exact; other types stay.

    Digits that x has lost stay lost.
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


# --- squashing functions --------------------------------------------------------------------------


def symlog(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): like x near zero, logarithmic far from it, for either sign.

    Tiny numbers keep their digits, though 1 + 1e-8 is 1 in float32.
    Paper: section "Robust predictions".
    """
    # EXERCISE 3.1: the logarithm of 1 + |x|, with the sign of x
    return torch.sign(x) * torch.log1p(torch.abs(x))
    # END 3.1


def symexp(x: Tensor) -> Tensor:
    """The inverse of symlog: sign(x) (exp|x| - 1). Tiny numbers keep their digits here too."""
    # EXERCISE 3.2: the inverse of 3.1
    return torch.sign(x) * torch.expm1(torch.abs(x))
    # END 3.2


# --- two-hot predictions of rewards and values ----------------------------------------------------


def symexp_bins(count: int, limit: float = 20.0) -> Tensor:
    """Bin positions symexp(-limit) ... symexp(limit), exactly antisymmetric.

    count    odd number of bins N
    return   (N,) float32, rising; equally spaced before symexp, with a 0 in the middle

    The negative half is mirrored, because symexp(linspace(...)) in float32 is not antisymmetric:
    its middle bin is not 0. Official heads.py, `symexp_twohot`.
    """
    # EXERCISE 3.3: the negative half, then its mirror image (needs 3.2)
    negative = symexp(torch.linspace(-limit, 0, count // 2 + 1))
    return torch.cat([negative, -negative[:-1].flip(0)])
    # END 3.3


def two_hot_loss(log_probs: Tensor, target: Tensor, bins: Tensor) -> Tensor:
    """Cross-entropy between a distribution over the bins and the two-hot encoding of the target.

    log_probs   (..., N)   normalised
    target      (...)      in the units of the bins; beyond them it counts as the outer bin
    bins        (N,)       rising, not equally spaced
    return      (...)      nats

    The target's weight is shared by its two neighbouring bins so that their weighted mean is the
    target. Only these two log-probabilities are needed, so no (..., N) target is built.
    Paper: section "Robust predictions"; official outs.py, `TwoHot`.
    """
    # EXERCISE 3.4: the two bins beside the target, and the weight of each
    target = target.clamp(bins[0], bins[-1])
    below = (torch.searchsorted(bins, target, right=True) - 1).clamp(0, len(bins) - 2)
    weight = (target - bins[below]) / (bins[below + 1] - bins[below])  # of the bin above
    neighbours = torch.gather(log_probs, -1, torch.stack([below, below + 1], -1))  # (..., 2)
    return -torch.lerp(neighbours[..., 0], neighbours[..., 1], weight)
    # END 3.4


def two_hot_mean(logits: Tensor, bins: Tensor) -> Tensor:
    """Expected value of the bins, summed in mirrored pairs.

    logits   (..., N)
    bins     (N,)     antisymmetric: of a bin and its mirror image only the difference of their
                      probabilities counts
    return   (...)    in the units of the bins

    A naive sum of huge terms of both signs loses digits: the uniform distribution would not give
    exactly 0. Official outs.py, `TwoHot.pred`, sums symmetrically for this reason.
    """
    # EXERCISE 3.5: expected value, each bin with its mirror image first
    probs = torch.softmax(logits, -1)
    half = len(bins) // 2
    pairs = probs[..., half + 1 :] - probs[..., :half].flip(-1)
    return (pairs * bins[half + 1 :]).sum(-1)  # not @, which autocast would do in bfloat16
    # END 3.5


# --- categorical distributions --------------------------------------------------------------------


def unimix(logits: Tensor, ratio: float = 0.01) -> Tensor:
    """Probabilities softmax(logits), mixed with `ratio` parts of the uniform distribution.

    (..., K) → (..., K), float32 if logits have half precision (`full_precision`). No class ever
    gets less than ratio / K, so that KL divergences and log-probabilities stay finite. Official
    outs.py, `Categorical` and `OneHot`.
    """
    # EXERCISE 3.6: the softmax, mixed
    return torch.softmax(full_precision(logits), -1) * (1 - ratio) + ratio / logits.shape[-1]
    # END 3.6


def sample_one_hot(probs: Tensor) -> Tensor:
    """One sample of each categorical as a one-hot vector, with straight-through gradients.

    probs    (..., K)   sum to 1
    return   (..., K)   one-hot; its gradient is that of the probabilities

    One uniform number per categorical and the inverse of the cumulative distribution.
    """
    total = probs.detach().cumsum(-1)
    uniform = torch.rand_like(total[..., :1]) * total[..., -1:]
    index = (total[..., :-1] <= uniform).sum(-1, keepdim=True)
    one_hot = torch.zeros_like(total).scatter_(-1, index, 1.0)
    return one_hot + (probs - probs.detach()) if probs.requires_grad else one_hot


# --- layers ---------------------------------------------------------------------------------------


def init_weight(weight: Tensor, fan_in: int, scale: float = 1.0) -> None:
    """Truncated normal with variance scale² / fan_in, cut at two standard deviations.

    A unit normal cut at ±2 has standard deviation 0.8796; 1.1368 makes up for it.
    Official nets.py, `Initializer`, trunc_normal with fan in.
    """
    std = 1.1368 * scale / math.sqrt(fan_in)
    if std == 0:
        nn.init.zeros_(weight)
    else:
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class Linear(nn.Linear):
    """A dense layer with V3's initialisation. `scale=0` starts it at zero, for unbiased heads."""

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, scale: float = 1.0, fan_in: int = 0
    ):
        super().__init__(inputs, outputs, bias)
        init_weight(self.weight, fan_in or inputs, scale)
        if bias:
            nn.init.zeros_(self.bias)


class BlockLinear(nn.Module):
    """A dense layer whose weight matrix is block-diagonal: G smaller layers side by side.

    (..., G, inputs / G) → (..., G, outputs / G). weight (G, inputs / G, outputs / G) and
    bias (G, 1, outputs / G): one small layer in a row. The initialisation's `fan_in` is all inputs,
    not those of one block, as in official nets.py, `BlockLinear`.
    """

    def __init__(self, inputs: int, outputs: int, blocks: int, fan_in: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(blocks, inputs // blocks, outputs // blocks))
        self.bias = nn.Parameter(torch.zeros(blocks, 1, outputs // blocks))
        init_weight(self.weight, fan_in or inputs)

    def forward(self, x: Tensor) -> Tensor:
        # EXERCISE 3.7: a product and a bias for each block by itself
        lead = x.shape[:-2]
        x = x.reshape(-1, *x.shape[-2:]).transpose(0, 1)  # (G, B, inputs / G)
        x = torch.baddbmm(self.bias, x, self.weight)  # (G, B, outputs / G)
        return x.transpose(0, 1).reshape(*lead, *self.weight.shape[::2])
        # END 3.7


def norm_act(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm over the last dimension, then SiLU: what follows every hidden layer of V3.

    x        (..., U)
    weight   (U,)       a gain for each unit
    return   (..., U)   silu(weight · x / √(mean(x²) + ε)), silu(y) = y · sigmoid(y)

    No mean is taken away and no bias is added, unlike in LayerNorm. Official nets.py, `Norm`, rms.
    """
    # EXERCISE 3.8: scale each row to a mean square of 1, times the gains, then SiLU
    return F.silu(F.rms_norm(x, weight.shape, weight, eps))
    # END 3.8


class NormAct(nn.RMSNorm):
    """`norm_act` with gains that start at 1. (..., U) → (..., U)"""

    def __init__(self, units: int):
        super().__init__(units, eps=1e-4)

    def forward(self, x: Tensor) -> Tensor:
        return norm_act(full_precision(x), self.weight, self.eps)


class ImageNormAct(NormAct):
    """The same for images: each pixel's channels are normalised. (B, C, H, W) → (B, C, H, W)

    A convolution that was given channels last in memory returns them so: nothing is copied then.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1).contiguous()).movedim(-1, 1)


class MLP(nn.Sequential):
    """`layers` times Linear → RMSNorm → SiLU, then a linear output. (..., inputs) → (..., outputs)

    scale    factor on the output weights at the start: 0 for reward and critic, 0.01 for the actor
    """

    def __init__(self, inputs: int, units: int, layers: int, outputs: int = 0, scale: float = 1.0):
        sizes = [inputs] + [units] * layers
        hidden = [(Linear(i, o), NormAct(o)) for i, o in zip(sizes, sizes[1:], strict=False)]
        output = [Linear(sizes[-1], outputs, scale=scale)] if outputs else []
        super().__init__(*[module for pair in hidden for module in pair], *output)

    def forward(self, x: Tensor) -> Tensor:
        return full_precision(super().forward(x))


# --- encoder and decoder --------------------------------------------------------------------------


def split_keys(obs_space: dict) -> tuple[list[str], list[str]]:
    """Names of the images (C, H, W) and of the vectors (any other shape), in sorted order."""
    images = sorted(key for key, space in obs_space.items() if len(space.shape) == 3)
    vectors = sorted(key for key in obs_space if key not in images)
    return images, vectors


def conv_channels(obs_space: dict, images: list[str], depth: int) -> tuple[list[int], int, int]:
    """Channels of each level, and height and width of the smallest feature map.

    The paper halves 64×64 images four times, to 4×4, with channels depth × (2, 3, 4, 4). A smaller
    image has fewer levels, so that the smallest map keeps at least 4×4 pixels.
    """
    height, width = obs_space[images[0]].shape[1:]
    levels = max(1, min(4, int(math.log2(min(height, width) / 4))))
    if any(obs_space[key].shape[1:] != (height, width) for key in images):
        raise ValueError("all images of an observation need the same height and width")
    if height % 2**levels or width % 2**levels or min(height, width) < 8:
        raise ValueError(
            f"images of {height}×{width} cannot be halved {levels} times: "
            "use a multiple of 16, such as 64×64 (or 32×32)"
        )
    channels = [depth * factor for factor in (2, 3, 4, 4)[:levels]]
    return channels, height >> levels, width >> levels


class Encoder(nn.Module):
    """Observation → embedding. Images go through convolutions, vectors through an MLP.

    obs      {name: (..., C, H, W) uint8 or (..., D) float}
    return   (..., E), E = self.size

    Images enter as x / 255 - 0.5, vectors as symlog(x). The paper's convolutions have stride 2;
    the official code has stride 1 followed by 2×2 max pooling (`strided=False`), which costs about
    ten times as much. Official rssm.py, `Encoder`.
    """

    def __init__(self, obs_space: dict, depth: int, units: int, layers: int, strided: bool = True):
        super().__init__()
        self.images, self.vectors = split_keys(obs_space)
        self.size = 0
        if self.images:
            channels, height, width = conv_channels(obs_space, self.images, depth)
            inputs = sum(obs_space[key].shape[0] for key in self.images)
            stages = []
            for outputs in channels:
                conv = nn.Conv2d(inputs, outputs, 5, stride=2 if strided else 1, padding=2)
                init_weight(conv.weight, inputs * 25)
                nn.init.zeros_(conv.bias)
                pool = [] if strided else [nn.MaxPool2d(2)]
                stages += [conv, *pool, ImageNormAct(outputs)]
                inputs = outputs
            self.cnn = nn.Sequential(*stages)
            self.size += inputs * height * width
        if self.vectors:
            inputs = sum(math.prod(obs_space[key].shape) for key in self.vectors)
            self.dimensions = len(obs_space[self.vectors[0]].shape)
            self.mlp = MLP(inputs, units, layers)
            self.size += units

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        parts = []
        if self.images:
            image = torch.cat([obs[key] for key in self.images], -3)
            lead = image.shape[:-3]
            image = image.reshape(-1, *image.shape[-3:]).float() / 255 - 0.5
            image = image.contiguous(memory_format=torch.channels_last)
            parts.append(self.cnn(image).reshape(*lead, -1))
        if self.vectors:
            first = obs[self.vectors[0]]
            lead = first.shape[: first.ndim - self.dimensions]
            vector = torch.cat([obs[key].reshape(*lead, -1) for key in self.vectors], -1)
            parts.append(self.mlp(symlog(vector)))
        return torch.cat(parts, -1)


class Decoder(nn.Module):
    """Latent state → predicted observation: the means of the reconstruction losses.

    h        (..., H)      deterministic state
    z        (..., S, K)   stochastic state
    return   {name: (..., C, H, W) in (0, 1), or (..., D) in symlog space}

    The first feature map is the sum of a block-linear function of h and a two-layer function of z.
    Then transposed convolutions of stride 2 as in the paper, or nearest upsampling and
    convolutions as in the official code (`strided=False`). Official rssm.py, `Decoder`.
    """

    def __init__(
        self, obs_space: dict, deter: int, stoch: int, blocks: int,
        depth: int, units: int, layers: int, strided: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.images, self.vectors = split_keys(obs_space)
        self.shapes = {key: tuple(obs_space[key].shape) for key in obs_space}
        if self.images:
            channels, self.height, self.width = conv_channels(obs_space, self.images, depth)
            self.channels = channels[-1]
            outputs = self.channels * self.height * self.width
            self.from_h = BlockLinear(deter, outputs, blocks)
            self.from_z = MLP(stoch, 2 * units, 1, outputs)
            self.norm = ImageNormAct(self.channels)
            image_channels = sum(self.shapes[key][0] for key in self.images)
            stages, inputs = [], self.channels
            for outputs in [*channels[-2::-1], image_channels]:
                stages += self._upscale(inputs, outputs, strided) + [ImageNormAct(outputs)]
                inputs = outputs
            self.cnn = nn.Sequential(*stages[:-1])  # no norm after the last layer
        if self.vectors:
            outputs = sum(math.prod(self.shapes[key]) for key in self.vectors)
            self.mlp = MLP(deter + stoch, units, layers, outputs)

    @staticmethod
    def _upscale(inputs: int, outputs: int, strided: bool) -> list[nn.Module]:
        """Layers that double height and width."""
        if strided:
            conv = nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)
        else:
            conv = nn.Conv2d(inputs, outputs, 5, padding=2)
        init_weight(conv.weight, inputs * 25)
        nn.init.zeros_(conv.bias)
        return [conv] if strided else [nn.Upsample(scale_factor=2), conv]

    def forward(self, h: Tensor, z: Tensor) -> dict[str, Tensor]:
        lead = h.shape[:-1]
        h, z = h.reshape(-1, h.shape[-1]), z.reshape(-1, z.shape[-2] * z.shape[-1])
        predictions = {}
        if self.images:
            blocks = len(self.from_h.weight)
            from_h = self.from_h(h.reshape(len(h), blocks, -1)).reshape(len(h), -1)
            x = (from_h + self.from_z(z)).reshape(-1, self.channels, self.height, self.width)
            image = torch.sigmoid(full_precision(self.cnn(self.norm(x))))
            sizes = [self.shapes[key][0] for key in self.images]
            predictions |= dict(zip(self.images, image.split(sizes, 1), strict=True))
        if self.vectors:
            sizes = [math.prod(self.shapes[key]) for key in self.vectors]
            vectors = self.mlp(torch.cat([h, z], -1)).split(sizes, -1)
            predictions |= dict(zip(self.vectors, vectors, strict=True))
        return {key: x.reshape(*lead, *self.shapes[key]) for key, x in predictions.items()}


def reconstruction_loss(prediction: Tensor, target: Tensor, is_image: bool) -> Tensor:
    """Squared error, summed over pixels or vector entries, without the factor 1/2.

    prediction, target   (B, T, ...)
    return               (B, T)

    Images: prediction in (0, 1) against uint8 / 255, though the encoder saw x / 255 - 0.5.
    Vectors: prediction in symlog space against symlog(x). Official outs.py, `MSE`.
    """
    # EXERCISE 3.9: the target as predictions mean it, then one sum for each step (needs 3.1)
    target = target / 255 if is_image else symlog(target)
    error = (prediction - target).square()
    return error.reshape(*error.shape[:2], -1).sum(-1)
    # END 3.9


# --- prediction heads -----------------------------------------------------------------------------


class TwoHotHead(nn.Module):
    """Predicts a scalar of any size as a distribution over symexp bins: rewards and values.

    feature   (..., F)
    return    logits (..., N); `mean` turns them into numbers, `loss` compares them with numbers

    The output layer starts at zero, so that the first predictions are exactly 0.
    """

    def __init__(self, inputs: int, units: int, layers: int, bins: int = 255, limit: float = 20.0):
        super().__init__()
        self.mlp = MLP(inputs, units, layers, bins, scale=0.0)
        self.register_buffer("bins", symexp_bins(bins, limit), persistent=False)

    def forward(self, feature: Tensor) -> Tensor:
        return self.mlp(feature)

    def mean(self, logits: Tensor) -> Tensor:
        return two_hot_mean(logits, self.bins)

    def loss(self, logits: Tensor, *targets: Tensor) -> Tensor:
        """The sum of the losses of all targets, each (...). → (...)"""
        log_probs = torch.log_softmax(logits, -1)
        return sum(two_hot_loss(log_probs, target, self.bins) for target in targets)


def continue_loss(logits: Tensor, is_terminal: Tensor, discount: float) -> Tensor:
    """Binary cross-entropy against a soft target that already contains the discount.

    logits        (B, T)
    is_terminal   (B, T)   1 where the value of the future is zero; a time limit is not that
    discount      γ = 1 - 1 / horizon: the head learns γ (1 - terminal), so no γ enters later
    return        (B, T)

    Official agent.py, `contdisc`; the paper keeps γ apart, with the same product.
    """
    # EXERCISE 3.10: binary cross-entropy of the logits against γ (1 - terminal)
    target = discount * (1 - is_terminal)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # END 3.10


if __name__ == "__main__":
    import course

    course.run(__file__)
