"""DreamerV2 networks: categorical samples, the GRU, encoder, decoder and prediction heads.

Paper: Hafner et al. 2021, "Mastering Atari with Discrete World Models", arXiv:2010.02193.
Official code: danijar/dreamerv2, files common/nets.py (networks), common/dists.py (distributions)
and agent.py (losses). Activations are ELU everywhere. There is no normalisation but for the one
inside the GRU; the official option `norm: layer`, used for Crafter alone, is `layer_norm` here.

Letters: B batch, T time, S categoricals, K classes of each (32 and 32), H deterministic units,
C channels of an image, E embedding, F feature. `...` stands for any leading dimensions.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# --- categorical samples --------------------------------------------------------------------------


def sample_one_hot(logits: Tensor) -> Tensor:
    """One sample of each categorical, a one-hot vector, with straight-through gradients.

    logits   (..., K)   of softmax(logits), the last dimension alone; any numbers
    return   (..., K)   one-hot going forward, but for rounding. Going backward it counts
                        as the probabilities: for any w, the gradient of (sample · w) with
                        respect to the logits is that of (softmax(logits) · w)

    A sample has no slope of its own. `sample + probs - probs.detach()` has the value of the first
    and the gradient of the second. To draw: one uniform number u for each categorical
    (`torch.rand_like` of a tensor (..., 1)); its class is how many of the first K - 1 cumulative
    probabilities are not above u. `torch.distributions` does as well. Keep the type of the logits.
    Paper: Algorithm 1; official dists.py, `OneHotDist.sample`. V2 has no uniform mixture.
    """
    # EXERCISE 2.1: draw a class for each categorical, make it one-hot, pass the gradient through
    probs = torch.softmax(logits, -1)
    below = probs.detach().cumsum(-1)[..., :-1]
    index = (below <= torch.rand_like(probs[..., :1])).sum(-1, keepdim=True)
    one_hot = torch.zeros_like(probs).scatter(-1, index, 1.0)
    return one_hot + (probs - probs.detach())
    # END 2.1


class LayerNormGRUCell(nn.Module):
    """One step of a GRU whose three gates come from one dense layer, normalised together.

    layer   nn.Linear(inputs + units, 3 units), of [x, h]
    norm    nn.LayerNorm(3 units), over all three gates at once; eps 1e-3 is that of Keras

    Official nets.py, `GRUCell` with norm=True. The paper (Appendix C) saw no or marginal benefits
    from the normalisation; the code has it always.
    """

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.layer = nn.Linear(inputs + units, 3 * units)
        self.norm = nn.LayerNorm(3 * units, eps=1e-3)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """The next h.

        x        (B, inputs)
        h        (B, H)
        return   (B, H)   update · candidate + (1 - update) · h

        `layer` of [x, h], x first, then `norm`, gives 3 H numbers: reset, candidate, update, in
        this order, H of each.
            reset      = sigmoid(raw reset)
            candidate  = tanh(reset · raw candidate)
            update     = sigmoid(raw update - 1): 0.27 where raw is 0, so h persists at first
        torch's own GRU differs in three points: it has no norm, resets h and not the sum, and
        its update gate keeps instead of writes.
        """
        # EXERCISE 2.2: dense layer and norm of [x, h], three gates, the mixture of new and old
        gates = self.norm(self.layer(torch.cat([x, h], -1)))
        reset, candidate, update = gates.chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        update = torch.sigmoid(update - 1)
        return update * candidate + (1 - update) * h
        # END 2.2


# --- images ---------------------------------------------------------------------------------------


def preprocess_image(image: Tensor) -> Tensor:
    """Pixels as encoder and decoder see them: 0 ... 255 → -0.5 ... 0.5. (..., C, H, W) both"""
    return image.float() / 255 - 0.5


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel. (B, C, H, W) → (B, C, H, W)"""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def channel_norm(channels: int, layer_norm: bool) -> nn.Module:
    return ChannelNorm(channels, eps=1e-3) if layer_norm else nn.Identity()


class ConvEncoder(nn.Module):
    """64×64 image → embedding of 32 × depth numbers: 1536 at the paper's depth of 48.

    Four convolutions with kernel 4, stride 2 and no padding, an ELU after each: the picture
    shrinks 64 → 31 → 14 → 6 → 2, the channels are depth × 1, 2, 4, 8. No dense layer follows.
    V1 had depth 32 and ReLU. Official nets.py, `ConvEncoder`.

    convs   list of the four convolutions
    norms   list of four norms, which do nothing unless `layer_norm` is set
    """

    def __init__(self, channels: int = 3, depth: int = 48, layer_norm: bool = False):
        super().__init__()
        widths = [channels, depth, 2 * depth, 4 * depth, 8 * depth]
        pairs = zip(widths, widths[1:], strict=False)
        self.convs = nn.ModuleList([nn.Conv2d(i, o, 4, stride=2) for i, o in pairs])
        self.norms = nn.ModuleList([channel_norm(o, layer_norm) for o in widths[1:]])

    def forward(self, image: Tensor) -> Tensor:
        """Encode each picture by itself.

        image    (..., C, 64, 64)   in [-0.5, 0.5]; the leading dimensions are (B,) or (B, T)
        return   (..., 32 × depth)  with the same leading dimensions, in the order (channel, y, x)

        `zip(self.convs, self.norms, strict=True)` gives each convolution with its norm.
        """
        # EXERCISE 2.10: merge the leading dimensions; four times convolution, norm, ELU; flatten
        x = image.reshape(-1, *image.shape[-3:])  # (B·T, C, 64, 64)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.elu(norm(conv(x)))
        return x.reshape(*image.shape[:-3], -1)
        # END 2.10


class ConvDecoder(nn.Module):
    """Feature → mean of a 64×64 image, in [-0.5, 0.5] once trained. (..., F) → (..., C, 64, 64)

    A dense layer without activation makes one pixel of 32 × depth channels; transposed
    convolutions of stride 2 with kernels 5, 5, 6, 6 grow it 1 → 5 → 13 → 30 → 64. ELU after the
    first three, nothing after the last. Official nets.py, `ConvDecoder`.
    """

    def __init__(
        self, inputs: int = 1224, channels: int = 3, depth: int = 48, layer_norm: bool = False
    ):
        super().__init__()
        self.fc = nn.Linear(inputs, 32 * depth)
        widths = [32 * depth, 4 * depth, 2 * depth, depth, channels]
        layers = zip(widths, widths[1:], (5, 5, 6, 6), strict=False)
        self.deconvs = nn.ModuleList(
            [nn.ConvTranspose2d(i, o, kernel, stride=2) for i, o, kernel in layers]
        )
        self.norms = nn.ModuleList([channel_norm(o, layer_norm) for o in widths[1:-1]])

    def forward(self, feature: Tensor) -> Tensor:
        x = self.fc(feature.reshape(-1, feature.shape[-1]))[..., None, None]
        for deconv, norm in zip(self.deconvs, self.norms, strict=False):
            x = F.elu(norm(deconv(x)))
        x = self.deconvs[-1](x)
        return x.reshape(*feature.shape[:-1], *x.shape[1:])


class PaddedEncoder(nn.Module):
    """Convolutions with padding, which halve the picture exactly. (..., C, S, S) → (..., E)

    For images smaller than 64×64, which the paper's encoder cannot take: 32 → 16 → 8 → 4.
    """

    def __init__(self, channels: int, depth: int, size: int):
        super().__init__()
        widths = [channels] + [depth * 2**i for i in range(padded_levels(size))]
        pairs = zip(widths, widths[1:], strict=False)
        self.convs = nn.ModuleList([nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in pairs])
        self.size = widths[-1] * (size >> len(self.convs)) ** 2

    def forward(self, image: Tensor) -> Tensor:
        x = image.reshape(-1, *image.shape[-3:])
        for conv in self.convs:
            x = F.elu(conv(x))
        return x.reshape(*image.shape[:-3], -1)


class PaddedDecoder(nn.Module):
    """The counterpart of PaddedEncoder; its output is linear as well. (..., F) → (..., C, S, S)"""

    def __init__(self, inputs: int, channels: int, depth: int, size: int):
        super().__init__()
        widths = [depth * 2**i for i in reversed(range(padded_levels(size)))] + [channels]
        self.map = (widths[0], size >> (len(widths) - 1), size >> (len(widths) - 1))
        self.fc = nn.Linear(inputs, math.prod(self.map))
        pairs = zip(widths, widths[1:], strict=False)
        self.deconvs = nn.ModuleList(
            [nn.ConvTranspose2d(i, o, 4, stride=2, padding=1) for i, o in pairs]
        )

    def forward(self, feature: Tensor) -> Tensor:
        x = F.elu(self.fc(feature.reshape(-1, feature.shape[-1]))).unflatten(-1, self.map)
        for number, deconv in enumerate(self.deconvs):
            x = deconv(x) if number == len(self.deconvs) - 1 else F.elu(deconv(x))
        return x.reshape(*feature.shape[:-1], *x.shape[1:])


def padded_levels(size: int) -> int:
    """How often a picture is halved, to 4×4 or a little more. Errors: ValueError, bad size."""
    levels = max(1, int(math.log2(max(size, 1) / 4))) if size >= 8 else 0
    if not levels or size > 64 or size % 2**levels:
        raise ValueError(f"images must be 64×64, or smaller like 32×32; these are {size}×{size}")
    return levels


# --- dense networks -------------------------------------------------------------------------------


class MLP(nn.Module):
    """`layers` times dense + ELU, then a linear output. (..., inputs) → (..., outputs)

    All predictions from the feature are made with it: reward, discount, actor and critic, four
    hidden layers of 400 units each. Official nets.py, `MLP`.
    """

    def __init__(
        self, inputs: int, layers: int, units: int, outputs: int = 1, layer_norm: bool = False
    ):
        super().__init__()
        sizes = [inputs] + [units] * layers
        pairs = zip(sizes, sizes[1:], strict=False)
        self.hidden = nn.ModuleList([nn.Linear(i, o) for i, o in pairs])
        norm = nn.LayerNorm if layer_norm else nn.Identity
        self.norms = nn.ModuleList([norm(units, eps=1e-3) for _ in self.hidden])
        self.output = nn.Linear(sizes[-1], outputs)

    def forward(self, feature: Tensor) -> Tensor:
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            feature = F.elu(norm(layer(feature)))
        return self.output(feature)


class RewardPredictor(MLP):
    """Feature → mean of a Normal(·, 1) over the transformed reward. (..., F) → (...)"""

    def __init__(
        self, inputs: int = 1224, layers: int = 4, units: int = 400, layer_norm: bool = False
    ):
        super().__init__(inputs, layers, units, 1, layer_norm)

    def forward(self, feature: Tensor) -> Tensor:
        return super().forward(feature).squeeze(-1)


class ContinuePredictor(RewardPredictor):
    """Feature → logit of the discounted probability that the episode goes on. (..., F) → (...)

    Its sigmoid predicts γ (1 - terminal): the discount is already in it. The official code calls
    it the discount head. Atari has it; the control tasks, whose episodes never end, do without.
    """


# --- losses of predictions ------------------------------------------------------------------------


def normal_loss(mean: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood under Normal(mean, 1), without its constant: half squared errors.

    mean, target   (B, T, ...)   images in [-0.5, 0.5], vectors, or rewards (B, T)
    return         (B, T)        nats, summed over pixels or entries
    """
    error = 0.5 * (mean - target).square()
    return error.reshape(*error.shape[:2], -1).sum(-1)


def continue_loss(logits: Tensor, is_terminal: Tensor, gamma: float) -> Tensor:
    """Cross-entropy of a Bernoulli against a soft target that contains the discount.

    logits        (B, T)   of ContinuePredictor
    is_terminal   (B, T)   1 where the future is worth nothing. A time limit is not that
    gamma         discount: the target is γ where the episode goes on, 0 where it is over
    return        (B, T)   nats, to be minimised; finite for any logit

    With the target y: -y log p - (1 - y) log(1 - p), p = sigmoid(logit). At its minimum p is y.
    Official agent.py, `WorldModel`: `obs['discount'] *= self.config.discount`.
    """
    # EXERCISE 2.11: the soft target, and the cross-entropy of logits, not of probabilities
    target = gamma * (1 - is_terminal)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # END 2.11


# --- whole observations ---------------------------------------------------------------------------


class Encoder(nn.Module):
    """Observation → embedding: convolutions for images, a dense network for vectors.

    obs      {name: (..., C, S, S) uint8 or (..., D) float}
    return   (..., E), E = self.size

    Images of less than 64×64 (PaddedEncoder) are an addition of this project, for tasks that a
    laptop learns in minutes. Official nets.py, `Encoder`.
    """

    def __init__(self, obs_space: dict, depth: int, layers: int, units: int, layer_norm: bool):
        super().__init__()
        self.images, self.vectors = split_keys(obs_space)
        self.size = 0
        if self.images:
            channels, size = image_shape(obs_space, self.images)
            if size == 64:
                self.cnn = ConvEncoder(channels, depth, layer_norm)
            else:
                self.cnn = PaddedEncoder(channels, depth, size)
            self.size += 32 * depth if size == 64 else self.cnn.size
        if self.vectors:
            inputs = sum(math.prod(obs_space[key].shape) for key in self.vectors)
            self.mlp = MLP(inputs, layers - 1, units, units, layer_norm)
            self.size += units

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        parts = []
        if self.images:
            parts.append(self.cnn(preprocess_image(torch.cat([obs[k] for k in self.images], -3))))
        if self.vectors:
            vector = torch.cat([obs[key].float() for key in self.vectors], -1)
            parts.append(F.elu(self.mlp(vector)))
        return torch.cat(parts, -1)


class Decoder(nn.Module):
    """Feature → means of all parts of the observation. (..., F) → {name: (..., *shape)}"""

    def __init__(
        self, obs_space: dict, inputs: int, depth: int, layers: int, units: int, layer_norm: bool
    ):
        super().__init__()
        self.images, self.vectors = split_keys(obs_space)
        self.sizes = {key: obs_space[key].shape[0] for key in obs_space}
        if self.images:
            channels, size = image_shape(obs_space, self.images)
            if size == 64:
                self.cnn = ConvDecoder(inputs, channels, depth, layer_norm)
            else:
                self.cnn = PaddedDecoder(inputs, channels, depth, size)
        if self.vectors:
            outputs = sum(self.sizes[key] for key in self.vectors)
            self.mlp = MLP(inputs, layers, units, outputs, layer_norm)

    def forward(self, feature: Tensor) -> dict[str, Tensor]:
        means = {}
        if self.images:
            parts = self.cnn(feature).split([self.sizes[key] for key in self.images], -3)
            means |= dict(zip(self.images, parts, strict=True))
        if self.vectors:
            parts = self.mlp(feature).split([self.sizes[key] for key in self.vectors], -1)
            means |= dict(zip(self.vectors, parts, strict=True))
        return means


def split_keys(obs_space: dict) -> tuple[list[str], list[str]]:
    """Names of the images (C, H, W) and of the vectors (D,), in sorted order."""
    images = sorted(key for key, space in obs_space.items() if len(space.shape) == 3)
    return images, sorted(key for key in obs_space if key not in images)


def image_shape(obs_space: dict, images: list[str]) -> tuple[int, int]:
    """Channels of all images, and their size. Errors: ValueError, unequal or not square."""
    sizes = {size for key in images for size in obs_space[key].shape[1:]}
    if len(sizes) > 1:
        raise ValueError("all images of an observation need the same height and width")
    return sum(obs_space[key].shape[0] for key in images), sizes.pop()


@torch.no_grad()
def keras_init(module: nn.Module) -> None:
    """The initialisation of the official code, which is that of Keras; call it as net.apply(...).

    Weights are Glorot uniform, biases zero. A layer norm starts with gain 1, as torch has it.
    """
    for parameter in () if isinstance(module, nn.LayerNorm) else module.parameters(recurse=False):
        if parameter.ndim < 2:
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_uniform_(parameter)


if __name__ == "__main__":
    import course

    course.run(__file__)
