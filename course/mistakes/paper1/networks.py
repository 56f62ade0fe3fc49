"""Classic wrong answers to the exercises of networks.py."""

CONVS = """\
        self.conv1 = nn.Conv2d(channels, depth, 4, stride=2)
        self.conv2 = nn.Conv2d(depth, 2 * depth, 4, stride=2)
        self.conv3 = nn.Conv2d(2 * depth, 4 * depth, 4, stride=2)
        self.conv4 = nn.Conv2d(4 * depth, 8 * depth, 4, stride=2)
"""
UNLISTED = """\
        sizes = [channels, depth, 2 * depth, 4 * depth, 8 * depth]
        self.convs = [nn.Conv2d(i, o, 4, stride=2) for i, o in zip(sizes, sizes[1:])]
"""
DECONVS = """\
        self.deconv1 = nn.ConvTranspose2d(32 * depth, 4 * depth, 5, stride=2)
        self.deconv2 = nn.ConvTranspose2d(4 * depth, 2 * depth, 5, stride=2)
        self.deconv3 = nn.ConvTranspose2d(2 * depth, depth, 6, stride=2)
        self.deconv4 = nn.ConvTranspose2d(depth, channels, 6, stride=2)
"""

MISTAKES = {
    "1.1": [
        ("/ 255 - 0.5", "/ 255", "your pixels lie in [0, 1]: black must be -0.5, so take 0.5 away"),
        (
            "/ 255 - 0.5",
            "/ 127.5 - 1",
            "your pixels lie in [-1, 1]; DreamerV1 works in [-0.5, 0.5], which is half as wide",
        ),
        ("/ 255", "/ 256", "you divide by 256; the largest byte is 255, and it must become 0.5"),
        (
            "image.float() / 255 - 0.5",
            "(image.float() - 0.5) / 255",
            "you take 0.5 away before you divide; divide by 255 first",
        ),
        (
            "image.float() / 255 - 0.5",
            "(image - 128) / 255",
            "you subtract from bytes, and bytes below 0 wrap round to 255; turn them into floats "
            "first",
        ),
        (
            "image.float() / 255 - 0.5",
            "image // 255 - 0.5",
            "you divide whole numbers, and the fraction is lost: only white is left of all greys",
        ),
        ("image.float()", "image.double()", "you make float64; networks and learning use float32"),
        (
            "return image.float() / 255 - 0.5",
            "x = image.float()\n    return (x - x.mean()) / x.std()",
            "you standardise by the picture's own mean and spread; the range is fixed: 0 becomes "
            "-0.5 and 255 becomes 0.5, in every picture",
        ),
    ],
    "1.2": [
        (
            CONVS,
            CONVS.replace("stride=2", "stride=2, padding=1"),
            "your convolutions pad, and the picture is halved to 32, 16, 8, 4; the official "
            "encoder has no padding and ends at 2×2",
        ),
        (
            CONVS,
            CONVS.replace(", stride=2", ""),
            "your convolutions have stride 1, which is torch's default; with stride 2 each of them "
            "halves the picture",
        ),
        (CONVS, CONVS.replace(" 4, s", " 3, s"), "your kernels are 3×3; all four must be 4×4"),
        (
            CONVS,
            CONVS.replace("channels, depth", "3, depth"),
            "you fix the picture's channels at 3; use `channels`: a grey picture has one",
        ),
        (
            CONVS,
            CONVS.replace("8 * depth", "256").replace("4 * depth", "128")
            .replace("2 * depth", "64").replace("depth", "32"),
            "you fix the widths at 32, 64, 128, 256; they are depth × 1, 2, 4, 8 for any `depth`",
        ),
        (
            CONVS,
            CONVS + "        self.fc = nn.Linear(32 * depth, 32 * depth)\n",
            "you add a dense layer; the last map, flattened, is the embedding as it is",
        ),
        (
            CONVS,
            CONVS.replace("stride=2", "stride=2, bias=False"),
            "your convolutions have no bias; leave it at torch's default, which is to have one",
        ),
        (
            CONVS,
            UNLISTED,
            "your layers are in a Python list, which torch does not look into, so they would never "
            "learn; make each an attribute: conv1, conv2, conv3, conv4",
        ),
    ],
    "1.3": [
        ("F.relu", "F.elu", "you use ELU; in DreamerV1 convolutions have ReLU, dense layers ELU"),
        ("F.relu(conv(x))", "conv(x)", "there is no ReLU after your convolutions"),
        (
            "x = F.relu(conv(x))",
            "x = conv(x) if conv is self.conv4 else F.relu(conv(x))",
            "the ReLU after the last convolution is missing; all four have one",
        ),
        (
            "return x.reshape",
            "return x.permute(0, 2, 3, 1).reshape",
            "you flatten with the channels last; the order is (channel, y, x), as torch has it",
        ),
        (
            "return x.reshape(*image.shape[:-3], -1)",
            "return x.reshape(len(x), -1)",
            "batch and time stay merged in your result; give them back as (B, T, E)",
        ),
        (
            "return x.reshape(*image.shape[:-3], -1)",
            "return x.reshape(len(image), -1)",
            "you flatten the time steps of a sequence into one embedding; each has its own",
        ),
        (
            "image.reshape(-1,",
            "image.transpose(0, -4).reshape(-1,",
            "you merge with time in front of batch and split with batch in front, so pictures "
            "change places",
        ),
        (
            "image.reshape(-1, *image.shape[-3:])",
            "image",
            "you hand a sequence (B, T, C, 64, 64) to a convolution, which takes four dimensions; "
            "merge B and T first, and split them again at the end",
        ),
        (
            "x = image.reshape",
            "x = preprocess_image(image).reshape",
            "you preprocess the picture again; it comes in [-0.5, 0.5] already",
        ),
        (
            "return x.reshape",
            "return x.detach().reshape",
            "you detach the embedding, so the encoder would never learn",
        ),
    ],
    "1.4": [
        (
            DECONVS,
            DECONVS.replace("stride=2", "stride=2, padding=1"),
            "your transposed convolutions pad, which cuts a border off every map; from one pixel "
            "to 64×64 there is no padding",
        ),
        (
            DECONVS,
            DECONVS.replace(", stride=2", ""),
            "your transposed convolutions have stride 1, torch's default, and the picture hardly "
            "grows; the stride is 2",
        ),
        (
            DECONVS,
            DECONVS.replace(" 5, s", " 4, s").replace(" 6, s", " 4, s"),
            "your kernels are 4×4 as in the encoder; the decoder's are 5, 5, 6, 6, so that 1 pixel "
            "becomes 64×64",
        ),
        (
            DECONVS,
            DECONVS.replace("depth, 6, s", "depth, 5, s"),
            "your third kernel is 5×5; the kernels are 5, 5, 6, 6",
        ),
        (
            DECONVS,
            DECONVS.replace("ConvTranspose2d", "Conv2d"),
            "these are ordinary convolutions, which shrink a map; the decoder grows it with "
            "nn.ConvTranspose2d",
        ),
        ("nn.Linear(inputs, 32 * depth)", "nn.Linear(inputs, 1024)",
         "you fix the dense layer at 1024; it makes 32 × depth channels for any `depth`"),
        (
            "nn.ConvTranspose2d(depth, channels,",
            "nn.ConvTranspose2d(depth, 3,",
            "you fix the picture's channels at 3; use `channels`: a grey picture has one",
        ),
        (
            DECONVS,
            DECONVS.replace("32 * depth,", "8 * depth,"),
            "your first map has 8 × depth channels, the encoder's last; here the dense layer "
            "makes a single pixel, of 32 × depth channels",
        ),
    ],
    "1.5": [
        (
            "x = self.fc(feature.reshape(-1, feature.shape[-1]))",
            "x = F.relu(self.fc(feature.reshape(-1, feature.shape[-1])))",
            "you apply ReLU to the dense layer; it is linear, its negative numbers count",
        ),
        (
            "x = self.fc(feature.reshape(-1, feature.shape[-1]))",
            "x = F.elu(self.fc(feature.reshape(-1, feature.shape[-1])))",
            "you apply ELU to the dense layer; in the decoder it has no activation",
        ),
        ("F.relu", "F.elu", "you use ELU; in DreamerV1 convolutions have ReLU, dense layers ELU"),
        ("F.relu(deconv(x))", "deconv(x)", "there is no ReLU between your layers"),
        (
            "x = self.deconv4(x)",
            "x = F.relu(self.deconv4(x))",
            "you apply ReLU to the picture: no pixel can be below 0, but half the range is",
        ),
        (
            "x = self.deconv4(x)",
            "x = torch.sigmoid(self.deconv4(x))",
            "you apply a sigmoid to the picture; pixels are linear outputs that learn the range "
            "[-0.5, 0.5]",
        ),
        (
            "self.fc(feature.reshape(-1, feature.shape[-1]))",
            "self.fc(feature)",
            "you hand maps of a sequence (B, T, …) to a convolution, which takes four dimensions; "
            "merge B and T first, and split them again at the end",
        ),
        (
            "return x.reshape(*feature.shape[:-1], *x.shape[1:])",
            "return x",
            "batch and time stay merged in your pictures; give them back as (B, T, C, 64, 64)",
        ),
        (
            "feature.reshape(-1,",
            "feature.transpose(0, -2).reshape(-1,",
            "you merge with time in front of batch and split with batch in front, so pictures "
            "change places",
        ),
        (
            "x = self.fc(feature.reshape",
            "x = self.fc(feature.detach().reshape",
            "you detach the feature; the error of the picture must reach the latent state",
        ),
    ],
    "1.6": [
        ("F.elu", "F.relu", "you use ReLU; in DreamerV1 dense layers have ELU, convolutions ReLU"),
        ("F.elu(layer(feature))", "layer(feature)",
         "there is no ELU between your layers, and layers without it are one linear layer"),
        (
            "return self.output(feature)",
            "return F.elu(self.output(feature))",
            "you apply ELU to the output too; it is linear, for rewards and values below -1 exist",
        ),
        (
            "F.elu(layer(feature))",
            "layer(F.elu(feature))",
            "you apply ELU before a layer; the feature goes in as it is, ELU comes after",
        ),
        (
            "feature = F.elu(layer(feature))",
            "feature = layer(feature) if layer is self.hidden[-1] else F.elu(layer(feature))",
            "the last hidden layer has no ELU; only the output layer is linear",
        ),
        ("F.elu", "torch.tanh", "you use tanh; DreamerV1's dense layers have ELU"),
        (
            "return self.output(feature)",
            "return self.output(feature).squeeze(-1)",
            "you drop the last dimension; it stays here, and RewardPredictor drops it",
        ),
        (
            "layer(feature)",
            "layer(feature.detach())",
            "you detach on the way, so that earlier layers and the world model would not learn",
        ),
    ],
    "1.7": [
        (".sum(-1)", ".mean(-1)",
         "you average over the pixels, which makes the picture's loss thousands of times smaller "
         "than its KL term expects; they are independent, so their losses are summed"),
        ("0.5 * ", "", "the half is missing: -log N(x; mean, 1) has (x - mean)² / 2"),
        (
            "return error.reshape(*error.shape[:2], -1).sum(-1)",
            "return error.sum()",
            "you sum over batch and time as well; each step keeps a loss of its own, (B, T)",
        ),
        (
            "return error.reshape(*error.shape[:2], -1).sum(-1)",
            "return error.mean()",
            "you average over everything; sum over the numbers of one step, and keep (B, T)",
        ),
        (
            "error.reshape(*error.shape[:2], -1).sum(-1)",
            "error.sum(-1)",
            "you sum over the last dimension alone: an image has three, and rewards (B, T) have "
            "none beside batch and time",
        ),
        (
            "error.reshape(*error.shape[:2], -1).sum(-1)",
            "error.flatten(2).sum(-1)",
            "you need a third dimension, which rewards of shape (B, T) do not have",
        ),
        (
            "error.reshape(*error.shape[:2], -1).sum(-1)",
            "error.reshape(len(error), -1).sum(-1)",
            "you sum over time as well; each step keeps a loss of its own, (B, T)",
        ),
        (
            "0.5 * (mean - target).square()",
            "0.5 * (mean - target).square() + 0.5 * math.log(2 * math.pi)",
            "you keep the constant log(2π) / 2 of every number; it has no gradient and is left out",
        ),
        ("0.5 *", "-0.5 *", "this is the log-likelihood; a loss is its negative"),
        (".square()", ".abs()", "you take the absolute error; a Normal has the squared one"),
        ("(mean -", "(mean.detach() -", "you detach the mean, so nothing would learn from it"),
    ],
    "1.8": [
        (
            "gamma * (1 - is_terminal)",
            "1 - is_terminal",
            "your target is 1 where the episode goes on; it must be γ, because the discount is "
            "learned with it",
        ),
        (
            "gamma * (1 - is_terminal)",
            "gamma * is_terminal",
            "your target is turned round: γ where the episode goes on, 0 where it is over",
        ),
        (
            "gamma * (1 - is_terminal)",
            "gamma - is_terminal",
            "your target is γ - 1 where the episode is over, below 0; it must be 0 there",
        ),
        (
            "gamma * (1 - is_terminal)",
            "gamma * gamma * (1 - is_terminal)",
            "γ is in your target twice; it belongs there once",
        ),
        (
            "    target = gamma * (1 - is_terminal)\n    return F",
            "    target = 1 - is_terminal\n    return gamma * F",
            "you multiply the loss by γ; it is the target that contains γ",
        ),
        (
            "logits(logits, target",
            "logits(torch.sigmoid(logits), target",
            "you take the sigmoid twice: binary_cross_entropy_with_logits takes the first one",
        ),
        (
            "binary_cross_entropy_with_logits(logits, target",
            "binary_cross_entropy(torch.sigmoid(logits), target",
            "you go through probabilities, which round to 0 and 1 for large logits; the function "
            "for logits stays exact",
        ),
        (
            "return F",
            "return -F",
            "the sign is wrong: this falls when the prediction gets worse",
        ),
        (
            ', reduction="none"',
            "",
            "you average over batch and time; each step keeps a loss of its own, (B, T)",
        ),
        (
            'reduction="none"',
            'reduction="sum"',
            "you sum over batch and time; each step keeps a loss of its own, (B, T)",
        ),
        (
            "logits(logits, target",
            "logits(logits.detach(), target",
            "you detach the logits, so nothing would learn from this loss",
        ),
    ],
}  # fmt: skip
