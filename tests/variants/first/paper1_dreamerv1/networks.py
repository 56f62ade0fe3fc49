"""Other correct answers to the exercises of networks.py: library functions, few lines."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def preprocess_image(image: Tensor) -> Tensor:
    # EXERCISE 1.1: bytes to floats; 0 becomes -0.5 and 255 becomes 0.5
    return torch.sub(image / 255, 0.5)
    # END 1.1


class ConvEncoder(nn.Module):
    def __init__(self, channels: int = 3, depth: int = 32):
        super().__init__()
        # EXERCISE 1.2: four convolutions of kernel 4 and stride 2; channels double (needs 1.3)
        for i in range(4):
            out = depth << i
            self.add_module(f"conv{i + 1}", nn.Conv2d(channels, out, (4, 4), (2, 2)))
            channels = out
        self.relu = nn.ReLU()
        # END 1.2

    def forward(self, image: Tensor) -> Tensor:
        # EXERCISE 1.3: merge the leading dimensions, four times conv and ReLU, flatten (needs 1.2)
        layers = [self.conv1, nn.ReLU(), self.conv2, nn.ReLU()]
        layers += [self.conv3, nn.ReLU(), self.conv4, nn.ReLU(), nn.Flatten()]
        lead = image.shape[:-3]
        return nn.Sequential(*layers)(image.flatten(0, -4)).unflatten(0, lead)
        # END 1.3


class ConvDecoder(nn.Module):
    def __init__(self, inputs: int = 230, channels: int = 3, depth: int = 32):
        super().__init__()
        # EXERCISE 1.4: a dense layer to 32 × depth; transposed convolutions, stride 2 (needs 1.5)
        widths = [32 * depth, 4 * depth, 2 * depth, depth, channels]
        for i, kernel in enumerate((5, 5, 6, 6)):
            layer = nn.ConvTranspose2d(widths[i], widths[i + 1], kernel, 2 if i else 1)
            setattr(self, f"deconv{i + 1}", layer)
        self.fc = nn.Linear(inputs, widths[0])
        # END 1.4

    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 1.5: dense, one pixel, four transposed convolutions, ReLU between (needs 1.4)
        x = self.fc(feature.flatten(0, -2)).unflatten(-1, (-1, 1, 1))
        x = self.deconv3(self.deconv2(self.deconv1(x).clamp(min=0)).clamp(min=0)).clamp(min=0)
        return self.deconv4(x).unflatten(0, feature.shape[:-1])
        # END 1.5


class DenseDecoder(nn.Module):
    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 1.6: ELU after every hidden layer, none after the output
        layers = [part for layer in self.hidden for part in (layer, nn.ELU())]
        return nn.Sequential(*layers, self.output)(feature)
        # END 1.6


def normal_loss(mean: Tensor, target: Tensor) -> Tensor:
    # EXERCISE 1.7: half the squared error, summed over all but the dimensions (B, T)
    error = F.mse_loss(mean, target, reduction="none") / 2
    return torch.einsum("bt...->bt", error)
    # END 1.7


def continue_loss(logits: Tensor, is_terminal: Tensor, gamma: float) -> Tensor:
    # EXERCISE 1.8: the soft target, and the binary cross-entropy of logits, not of probabilities
    goes_on = is_terminal.eq(0).to(logits.dtype)
    return F.softplus(logits) - gamma * goes_on * logits
    # END 1.8
