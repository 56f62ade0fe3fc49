"""DreamerV1 networks: encoder, decoder and prediction heads, and the losses of their predictions.

Paper: Hafner et al. 2020, "Dream to Control: Learning Behaviors by Latent Imagination",
arXiv:1912.01603. Official code: danijar/dreamer, files models.py (networks) and dreamer.py
(losses). Where they differ the code is followed: the paper has three dense layers of 300 units
everywhere, the code two to four of 400. There is no normalisation layer anywhere.

Letters: B batch, T time, C channels of an image, E embedding, F feature (F = Z + H = 230 at the
paper's size). `...` stands for any leading dimensions.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# --- images ---------------------------------------------------------------------------------------


def preprocess_image(image: Tensor) -> Tensor:
    """Bring pixels into the range that encoder and decoder work in: black is -0.5, white 0.5.

    image    (..., C, H, W) uint8, 0 ... 255
    return   (..., C, H, W) float32 in [-0.5, 0.5]

    The decoder is linear and learns this range too, so there is no sigmoid and no other range
    anywhere. Official dreamer.py, `preprocess`.
    """
    # EXERCISE 1.1: bytes to floats; 0 becomes -0.5 and 255 becomes 0.5
    # TODO: your code here (the reference takes 1 line)
    raise NotImplementedError("exercise 1.1")
    # END 1.1


class ConvEncoder(nn.Module):
    """64×64 image → embedding of 32 × depth numbers: 1024 at the paper's depth of 32.

    Four convolutions with kernel 4, stride 2 and no padding, a ReLU after each: the picture
    shrinks 64 → 31 → 14 → 6 → 2. The last map, 8 × depth channels of 2×2, is the embedding as it
    is: no dense layer and no norm follow. Paper: Appendix A; official models.py, `ConvEncoder`.
    """

    def __init__(self, channels: int = 3, depth: int = 32):
        """Build `conv1` ... `conv4`, of depth × 1, 2, 4 and 8 channels.

        parameters   conv1.weight (depth, channels, 4, 4), conv2.weight (2 depth, depth, 4, 4), ...
                     and a bias each
        """
        super().__init__()
        # EXERCISE 1.2: four convolutions of kernel 4 and stride 2; channels double (needs 1.3)
        # TODO: your code here (the reference takes 4 lines)
        raise NotImplementedError("exercise 1.2")
        # END 1.2

    def forward(self, image: Tensor) -> Tensor:
        """Encode each picture by itself.

        image    (..., C, 64, 64)   in [-0.5, 0.5]; the leading dimensions are (B,) or (B, T)
        return   (..., 32 × depth)  with the same leading dimensions, in the order (channel, y, x)
        """
        # EXERCISE 1.3: merge the leading dimensions, four times conv and ReLU, flatten (needs 1.2)
        # TODO: your code here (the reference takes 4 lines)
        raise NotImplementedError("exercise 1.3")
        # END 1.3


class ConvDecoder(nn.Module):
    """Feature → mean of a 64×64 image, in [-0.5, 0.5] once trained. (..., F) → (..., C, 64, 64)

    A dense layer without activation makes one pixel of 32 × depth channels; transposed
    convolutions of stride 2 with kernels 5, 5, 6, 6 grow it 1 → 5 → 13 → 30 → 64. ReLU after the
    first three, nothing after the last. Official models.py, `ConvDecoder`.
    """

    def __init__(self, inputs: int = 230, channels: int = 3, depth: int = 32):
        """Build the dense layer `fc` and `deconv1` ... `deconv4`.

        parameters   fc.weight (32 depth, inputs), deconv1.weight (32 depth, 4 depth, 5, 5),
                     deconv2.weight (4 depth, 2 depth, 5, 5), deconv3.weight (2 depth, depth, 6, 6),
                     deconv4.weight (depth, channels, 6, 6), and a bias each
        """
        super().__init__()
        # EXERCISE 1.4: a dense layer to 32 × depth; transposed convolutions, stride 2 (needs 1.5)
        # TODO: your code here (the reference takes 5 lines)
        raise NotImplementedError("exercise 1.4")
        # END 1.4

    def forward(self, feature: Tensor) -> Tensor:
        """Decode each feature by itself.

        feature   (..., inputs)   the leading dimensions are (B,) or (B, T)
        return    (..., C, 64, 64) with the same leading dimensions
        """
        # EXERCISE 1.5: dense, one pixel, four transposed convolutions, ReLU between (needs 1.4)
        # TODO: your code here (the reference takes 6 lines)
        raise NotImplementedError("exercise 1.5")
        # END 1.5


class PaddedEncoder(nn.Module):
    """Convolutions with padding, which halve the picture exactly. (..., C, S, S) → (..., E)

    For images smaller than 64×64, which the paper's encoder cannot take: 32 → 16 → 8 → 4. With
    `outputs` a dense layer and a ReLU follow, and 64×64 images go 64 → 32 → 16 → 8 → 4: a popular
    design that meets the contract of ConvEncoder with 4.2 million more parameters.
    """

    def __init__(self, channels: int, depth: int, size: int, outputs: int = 0):
        super().__init__()
        widths = [channels] + [depth * 2**i for i in range(padded_levels(size))]
        pairs = zip(widths, widths[1:], strict=False)
        self.convs = nn.ModuleList([nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in pairs])
        flat = widths[-1] * (size >> len(self.convs)) ** 2
        self.fc = nn.Linear(flat, outputs) if outputs else None
        self.size = outputs or flat

    def forward(self, image: Tensor) -> Tensor:
        x = image.reshape(-1, *image.shape[-3:])
        for conv in self.convs:
            x = F.relu(conv(x))
        x = x.flatten(1) if self.fc is None else F.relu(self.fc(x.flatten(1)))
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
        x = F.relu(self.fc(feature.reshape(-1, feature.shape[-1]))).unflatten(-1, self.map)
        for number, deconv in enumerate(self.deconvs):
            x = deconv(x) if number == len(self.deconvs) - 1 else F.relu(deconv(x))
        return x.reshape(*feature.shape[:-1], *x.shape[1:])


def padded_levels(size: int) -> int:
    """How often a picture is halved, to 4×4 or a little more. Errors: ValueError, bad size."""
    levels = max(1, int(math.log2(max(size, 1) / 4))) if size >= 8 else 0
    if not levels or size > 64 or size % 2**levels:
        raise ValueError(f"images must be 64×64, or smaller like 32×32; these are {size}×{size}")
    return levels


# --- dense networks -------------------------------------------------------------------------------


class DenseDecoder(nn.Module):
    """A plain network: `layers` times dense + ELU, then a linear output.

    All predictions of a number from the feature are made with it: two hidden layers for the
    reward, three for value and continuation, four for the actor, of 400 units each.
    Official models.py, `DenseDecoder`.
    """

    def __init__(self, inputs: int, layers: int, units: int, outputs: int = 1):
        super().__init__()
        sizes = [inputs] + [units] * layers
        pairs = zip(sizes, sizes[1:], strict=False)
        self.hidden = nn.ModuleList([nn.Linear(i, o) for i, o in pairs])
        self.output = nn.Linear(sizes[-1], outputs)

    def forward(self, feature: Tensor) -> Tensor:
        """Apply the layers of `self.hidden`, a list, then `self.output`.

        feature   (..., inputs)
        return    (..., outputs)
        """
        # EXERCISE 1.6: ELU after every hidden layer, none after the output
        # TODO: your code here (the reference takes 3 lines)
        raise NotImplementedError("exercise 1.6")
        # END 1.6


class RewardPredictor(DenseDecoder):
    """Feature → mean of a Normal(·, 1) over the reward. (..., F) → (...)"""

    def __init__(self, inputs: int = 230, layers: int = 2, units: int = 400):
        super().__init__(inputs, layers, units)

    def forward(self, feature: Tensor) -> Tensor:
        return super().forward(feature).squeeze(-1)


class ContinuePredictor(RewardPredictor):
    """Feature → logit of the discounted probability that the episode goes on. (..., F) → (...)

    Its sigmoid predicts γ (1 - terminal): the discount is already in it. Optional, as in the
    official code (`pcont`), where it is off for the control tasks, whose episodes never end.
    """

    def __init__(self, inputs: int = 230, layers: int = 3, units: int = 400):
        super().__init__(inputs, layers, units)


# --- losses of predictions ------------------------------------------------------------------------


def normal_loss(mean: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of the target under Normal(mean, 1), without its constant.

    mean, target   (B, T, ...)   images in [-0.5, 0.5], vectors, or rewards (B, T)
    return         (B, T)        nats

    -log N(target; mean, 1) = (target - mean)² / 2 + log(2π) / 2; the second part has no gradient
    and is left out. Pixels are independent, so their losses are summed, never averaged.
    Official dreamer.py, `train`: `image_pred.log_prob(image)`.
    """
    # EXERCISE 1.7: half the squared error, summed over all but the dimensions (B, T)
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 1.7")
    # END 1.7


def continue_loss(logits: Tensor, is_terminal: Tensor, gamma: float) -> Tensor:
    """Cross-entropy of a Bernoulli against a soft target that contains the discount.

    logits        (B, T)   of ContinuePredictor
    is_terminal   (B, T)   1 where the future is worth nothing. A time limit is not that
    gamma         discount: the target is γ where the episode goes on, 0 where it is over
    return        (B, T)   nats, to be minimised; finite for any logit

    Official dreamer.py, `train`: `pcont_target = self._c.discount * data['discount']`.
    """
    # EXERCISE 1.8: the soft target, and the binary cross-entropy of logits, not of probabilities
    # TODO: your code here (the reference takes 2 lines)
    raise NotImplementedError("exercise 1.8")
    # END 1.8


# --- whole observations ---------------------------------------------------------------------------


class Encoder(nn.Module):
    """Observation → embedding: convolutions for images, a dense network for vectors.

    obs      {name: (..., C, S, S) uint8 or (..., D) float}
    return   (..., E), E = self.size

    The paper has images of 64×64 alone. Vectors, and images of less than 64×64 (PaddedEncoder),
    are an addition of this project, for tasks that a laptop learns in minutes.
    arch     "official", or "quickstart" for the padded encoder with a dense layer at 64×64
    """

    def __init__(self, obs_space: dict, depth: int, layers: int, units: int, arch: str):
        super().__init__()
        self.images, self.vectors = split_keys(obs_space)
        self.size = 0
        if self.images:
            channels, size = image_shape(obs_space, self.images)
            if arch == "official" and size == 64:
                self.cnn = ConvEncoder(channels, depth)
                self.size += 32 * depth
            else:
                dense = 32 * depth if arch == "quickstart" else 0
                self.cnn = PaddedEncoder(channels, depth, size, dense)
                self.size += self.cnn.size
        if self.vectors:
            inputs = sum(math.prod(obs_space[key].shape) for key in self.vectors)
            self.mlp = DenseDecoder(inputs, layers, units, units)
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
        self, obs_space: dict, inputs: int, depth: int, layers: int, units: int, arch: str
    ):
        super().__init__()
        self.images, self.vectors = split_keys(obs_space)
        self.sizes = {key: obs_space[key].shape[0] for key in obs_space}
        if self.images:
            channels, size = image_shape(obs_space, self.images)
            if arch == "official" and size == 64:
                self.cnn = ConvDecoder(inputs, channels, depth)
            else:
                self.cnn = PaddedDecoder(inputs, channels, depth, size)
        if self.vectors:
            outputs = sum(self.sizes[key] for key in self.vectors)
            self.mlp = DenseDecoder(inputs, layers, units, outputs)

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

    Weights are Glorot uniform, biases zero, and the GRU's recurrent weights orthogonal.
    """
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim < 2:
            nn.init.zeros_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.xavier_uniform_(parameter)


if __name__ == "__main__":
    import course

    course.run(__file__)
