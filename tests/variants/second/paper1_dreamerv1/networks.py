"""Other correct answers to the exercises of networks.py: loops and elementary operations."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def preprocess_image(image: Tensor) -> Tensor:
    # EXERCISE 1.1: bytes to floats; 0 becomes -0.5 and 255 becomes 0.5
    black, white = -0.5, 0.5
    x = image.to(torch.float64)
    return (black * (255 - x) / 255 + white * x / 255).to(torch.float32)
    # END 1.1


class ConvEncoder(nn.Module):
    def __init__(self, channels: int = 3, depth: int = 32):
        super().__init__()
        # EXERCISE 1.2: four convolutions of kernel 4 and stride 2; channels double (needs 1.3)
        self.conv4 = nn.LazyConv2d(8 * depth, kernel_size=4, stride=2)
        self.conv3 = nn.LazyConv2d(4 * depth, kernel_size=4, stride=2)
        self.conv2 = nn.LazyConv2d(2 * depth, kernel_size=4, stride=2)
        self.conv1 = nn.LazyConv2d(depth, kernel_size=4, stride=2)
        x = torch.ones(1, channels, 64, 64)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).detach()
        # END 1.2

    def forward(self, image: Tensor) -> Tensor:
        # EXERCISE 1.3: merge the leading dimensions, four times conv and ReLU, flatten (needs 1.2)
        if image.dim() == 5:  # one sequence after the other
            return torch.stack([self(sequence) for sequence in image])
        embeddings = []
        for picture in image:
            x = picture.unsqueeze(0)
            for i in range(1, 5):
                conv = getattr(self, f"conv{i}")
                x = F.conv2d(x, conv.weight, conv.bias, stride=2)
                x = torch.where(x > 0, x, torch.zeros_like(x))
            channels = [x[0, c, y, z] for c in range(x.size(1)) for y in (0, 1) for z in (0, 1)]
            embeddings.append(torch.stack(channels))
        return torch.stack(embeddings)
        # END 1.3


class ConvDecoder(nn.Module):
    def __init__(self, inputs: int = 230, channels: int = 3, depth: int = 32):
        super().__init__()
        # EXERCISE 1.4: a dense layer to 32 × depth; transposed convolutions, stride 2 (needs 1.5)
        self.deconv4 = nn.ConvTranspose2d(depth, channels, kernel_size=(6, 6), stride=(2, 2))
        self.deconv3 = nn.ConvTranspose2d(depth + depth, depth, kernel_size=(6, 6), stride=(2, 2))
        self.deconv2 = nn.ConvTranspose2d(4 * depth, depth + depth, (5, 5), stride=(2, 2))
        self.deconv1 = nn.ConvTranspose2d(8 * 4 * depth, 4 * depth, (5, 5), stride=(2, 2))
        self.fc = nn.LazyLinear(8 * 4 * depth)
        self.fc(torch.zeros(1, inputs))
        # END 1.4

    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 1.5: dense, one pixel, four transposed convolutions, ReLU between (needs 1.4)
        if feature.dim() > 1:
            return torch.stack([self.forward(part) for part in feature])
        w = self.deconv1.weight  # one pixel: its kernel, scaled
        x = torch.einsum("i,ioyx->oyx", self.fc.weight @ feature + self.fc.bias, w)
        x = x + self.deconv1.bias[:, None, None]
        for deconv in (self.deconv2, self.deconv3, self.deconv4):
            x = F.conv_transpose2d(x.relu().unsqueeze(0), deconv.weight, deconv.bias, 2).squeeze(0)
        return x
        # END 1.5


class DenseDecoder(nn.Module):
    def forward(self, feature: Tensor) -> Tensor:
        # EXERCISE 1.6: ELU after every hidden layer, none after the output
        x = feature
        for i in range(len(self.hidden)):
            x = x @ self.hidden[i].weight.T + self.hidden[i].bias
            x = torch.where(x > 0, x, torch.exp(x.clamp(max=0)) - 1)
        return torch.einsum("...i,oi->...o", x, self.output.weight) + self.output.bias
        # END 1.6


def normal_loss(mean: Tensor, target: Tensor) -> Tensor:
    # EXERCISE 1.7: half the squared error, summed over all but the dimensions (B, T)
    normal = torch.distributions.Normal(mean, 1.0)
    # The first term is the constant: its gradient is zero at this point.
    loss = normal.log_prob(mean.detach()) - normal.log_prob(target)
    while loss.dim() > 2:
        loss = loss.sum(dim=2)
    return loss
    # END 1.7


def continue_loss(logits: Tensor, is_terminal: Tensor, gamma: float) -> Tensor:
    # EXERCISE 1.8: the soft target, and the binary cross-entropy of logits, not of probabilities
    rows = []
    for b in range(logits.shape[0]):
        row = []
        for t in range(logits.shape[1]):
            target = 0.0 if is_terminal[b, t] else gamma
            yes, no = F.logsigmoid(logits[b, t]), F.logsigmoid(-logits[b, t])
            row.append(-target * yes - (1 - target) * no)
        rows.append(torch.stack(row))
    return torch.stack(rows)
    # END 1.8
