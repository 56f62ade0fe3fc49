"""Known mistakes in networks.py: {exercise: [(old text, new text, what is wrong)]}."""

MISTAKES = {
    "2.1": [
        (
            "    return one_hot + (probs - probs.detach())\n",
            "    return one_hot\n",
            "no gradient goes back: a sample has no slope of its own, so add probs - "
            "probs.detach()",
        ),
        (
            "    return one_hot + (probs - probs.detach())\n",
            "    return probs\n",
            "you return the probabilities: forward the latent must be one class, a one-hot vector",
        ),
        (
            "one_hot + (probs - probs.detach())",
            "one_hot + probs",
            "your sample is not one-hot: the probabilities are added and not taken away again. "
            "Subtract them detached",
        ),
        (
            "(probs - probs.detach())",
            "(probs.detach() - probs)",
            "your gradient has the wrong sign: the attached probabilities are added, the "
            "detached ones taken away",
        ),
        (
            "(probs - probs.detach())",
            "(logits - logits.detach())",
            "your gradient is that of the logits: the sample counts as the *probabilities*, so "
            "it goes through the softmax",
        ),
        (
            "(probs - probs.detach())",
            "(probs.log() - probs.log().detach())",
            "your gradient is that of the log-probabilities: the sample counts as the "
            "probabilities themselves",
        ),
        (
            "    return one_hot + (probs - probs.detach())\n",
            "    return one_hot * probs / probs.detach()\n",
            "you let only the drawn class pass a gradient: the sample counts as all "
            "probabilities, the classes not drawn too",
        ),
        (
            "    index = (below <= torch.rand_like(probs[..., :1])).sum(-1, keepdim=True)\n",
            "    index = probs.argmax(-1, keepdim=True)\n",
            "you take the likeliest class every time: draw, or the model never sees that "
            "another one is possible",
        ),
        (
            "    index = (below <= torch.rand_like(probs[..., :1])).sum(-1, keepdim=True)\n",
            "    index = torch.randint_like(probs[..., :1], probs.shape[-1]).long()\n",
            "you draw all classes alike: draw them with their probabilities",
        ),
        (
            "probs[..., :1]))",
            "probs))",
            "you compare each cumulative probability with a random number of its own: one "
            "number decides for a whole categorical",
        ),
        (
            "torch.rand_like(probs[..., :1])",
            "torch.rand_like(probs.flatten()[:1])",
            "all categoricals share one random number, so they are drawn together: each has its "
            "own",
        ),
        (
            "torch.rand_like(probs[..., :1])",
            "torch.randn_like(probs[..., :1])",
            "your random number is normal: cumulative probabilities are compared with a uniform "
            "one",
        ),
        (
            "torch.rand_like(probs[..., :1])",
            "0.5",
            "you compare with a half and not with a random number: every call gives the same class",
        ),
        (
            "cumsum(-1)[..., :-1]",
            "cumsum(-1)",
            "you count the last cumulative probability as well: rounding may leave it below u, "
            "and the class is one too many",
        ),
        (
            "(below <= torch",
            "(below > torch",
            "you count the cumulative probabilities above u, which turns the order of the "
            "classes round: count those not above it",
        ),
        (
            "torch.softmax(logits, -1)",
            "torch.softmax(logits, 0)",
            "your softmax runs over the first dimension: the classes are in the last one",
        ),
        (
            "torch.softmax(logits, -1)",
            "torch.softmax(logits, -2 if logits.ndim > 1 else -1)",
            "your softmax runs over the categoricals: the classes of each are in the last "
            "dimension",
        ),
        (
            "torch.softmax(logits, -1)",
            "0.99 * torch.softmax(logits, -1) + 0.01 / logits.shape[-1]",
            "you mix in a share of the uniform distribution: that is DreamerV3's idea, V2 has none",
        ),
        (
            "torch.softmax(logits, -1)",
            "logits.exp() / logits.exp().sum(-1, keepdim=True)",
            "your softmax overflows: exp(1000) is infinite. torch.softmax takes the largest "
            "logit away first",
        ),
        (
            "torch.softmax(logits, -1)",
            "torch.sigmoid(logits)",
            "you take a sigmoid: the classes exclude one another, so their probabilities are a "
            "softmax",
        ),
        (
            "    return one_hot + (probs - probs.detach())\n",
            "    return F.gumbel_softmax(logits, hard=True)\n",
            "your gradient is that of a softmax with noise (gumbel_softmax): V2's "
            "straight-through gradient is that of the probabilities alone",
        ),
    ],
    "2.2": [
        (
            "torch.cat([x, h], -1)",
            "torch.cat([h, x], -1)",
            "your dense layer sees h first: the order is [x, h]",
        ),
        (
            "self.norm(self.layer(torch.cat([x, h], -1)))",
            "self.layer(torch.cat([x, h], -1))",
            "the norm is missing: it stands between the dense layer and the gates",
        ),
        (
            "        gates = self.norm(self.layer(torch.cat([x, h], -1)))\n",
            "        gates = self.layer(torch.cat([x, h], -1)).unflatten(-1, (3, -1))\n"
            "        gates = F.layer_norm(gates, gates.shape[-1:], eps=1e-3).flatten(-2)\n"
            "        gates = gates * self.norm.weight + self.norm.bias\n",
            "you normalise each gate by itself: one norm goes over the numbers of all three "
            "together",
        ),
        (
            "reset, candidate, update = gates",
            "reset, update, candidate = gates",
            "your gates are in the order of other texts: here reset, candidate, update",
        ),
        (
            "reset, candidate, update = gates",
            "update, candidate, reset = gates",
            "you swap reset and update: the order is reset, candidate, update",
        ),
        (
            "reset, candidate, update = gates",
            "candidate, reset, update = gates",
            "you swap reset and candidate: the order is reset, candidate, update",
        ),
        (
            "        reset, candidate, update = gates.chunk(3, -1)\n",
            "        reset, candidate, update = gates.unflatten(-1, (-1, 3)).unbind(-1)\n",
            "your gates take turns, unit after unit: the first H numbers are reset, then H of "
            "candidate, H of update",
        ),
        (
            "update - 1",
            "update",
            "the -1 in the update gate is missing: with it h persists at first",
        ),
        (
            "update - 1",
            "update + 1",
            "you add 1 to the update gate, as if it kept h: here it writes, so take 1 away",
        ),
        (
            "torch.sigmoid(update - 1)",
            "torch.sigmoid(update) - 1",
            "you subtract 1 from the gate and not from its raw number: the -1 belongs inside "
            "the sigmoid",
        ),
        (
            "update * candidate + (1 - update) * h",
            "(1 - update) * candidate + update * h",
            "your update gate keeps h, as torch's own GRU does: here update is the share of the "
            "candidate",
        ),
        (
            "update * candidate + (1 - update) * h",
            "update * candidate + h",
            "you only add: what is written takes the place of h, so h counts 1 - update",
        ),
        (
            "update * candidate + (1 - update) * h",
            "update * candidate + (1 - update) * h.detach()",
            "h is detached where it is kept: gradients have to run back through time",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.sigmoid(reset) * torch.tanh(candidate)",
            "you reset after the tanh: the reset gate multiplies the raw candidate",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.tanh(candidate)",
            "the reset gate is missing: it multiplies the raw candidate before the tanh",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.tanh(reset * candidate)",
            "the sigmoid of the reset gate is missing: a gate lies in 0 … 1",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.sigmoid(reset) * candidate",
            "the tanh is missing: the candidate lies in -1 … 1",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "F.elu(torch.sigmoid(reset) * candidate)",
            "you use ELU for the candidate: inside the GRU it is tanh",
        ),
        (
            "        gates = self.norm(self.layer(torch.cat([x, h], -1)))\n",
            "        gates = self.norm(self.layer(torch.cat([x, h * 0], -1)))\n",
            "h does not reach the gates: the dense layer sees [x, h]",
        ),
    ],
    "2.10": [
        (
            "x.reshape(*image.shape[:-3], -1)",
            "x.reshape(image.shape[0], image.shape[1], -1)",
            "you count on two leading dimensions; there may be one, two or none",
        ),
        (
            "F.elu(",
            "F.relu(",
            "you use ReLU as V1 did: V2 has ELU everywhere, in convolutions too",
        ),
        (
            "F.elu(norm(conv(x)))",
            "norm(conv(x))",
            "there is no ELU after your convolutions",
        ),
        (
            "x = F.elu(norm(conv(x)))",
            "x = norm(conv(x)) if conv is self.convs[-1] else F.elu(norm(conv(x)))",
            "the ELU after the last convolution is missing: all four have one",
        ),
        (
            "F.elu(norm(conv(x)))",
            "norm(F.elu(conv(x)))",
            "your norm comes after the ELU: the order is convolution, norm, ELU",
        ),
        (
            "F.elu(norm(conv(x)))",
            "F.elu(conv(x))",
            "you leave the norms out: without the option they do nothing, with it they count",
        ),
        (
            "F.elu(norm(conv(x)))",
            "F.silu(norm(conv(x)))",
            "you use SiLU, which is V3's: V2 has ELU",
        ),
        (
            "return x.reshape",
            "return x.permute(0, 2, 3, 1).reshape",
            "you flatten with the channels last, as TensorFlow has it: here the order is "
            "(channel, y, x)",
        ),
        (
            "return x.reshape(*image.shape[:-3], -1)",
            "return x.reshape(len(x), -1)",
            "batch and time stay merged in your result: give them back as (B, T, E)",
        ),
        (
            "return x.reshape(*image.shape[:-3], -1)",
            "return x.reshape(len(image), -1)",
            "you flatten the time steps of a sequence into one embedding: each has its own",
        ),
        (
            "return x.reshape(*image.shape[:-3], -1)",
            "return x.mean((-2, -1)).reshape(*image.shape[:-3], -1)",
            "you average over the last map's pixels: the embedding keeps all of them, 32 × "
            "depth numbers",
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
            "you hand a sequence (B, T, C, 64, 64) to a convolution, which takes four "
            "dimensions: merge B and T first, and split them again at the end",
        ),
        (
            "image.reshape(-1, *image.shape[-3:])",
            "image.view(-1, *image.shape[-3:])",
            "you merge with view, which fails where time was sliced: reshape copies if it has to",
        ),
        (
            "x = image.reshape",
            "x = preprocess_image(image).reshape",
            "you preprocess the picture again: it comes in [-0.5, 0.5] already",
        ),
        (
            "return x.reshape",
            "return x.detach().reshape",
            "you detach the embedding, so the encoder would never learn",
        ),
    ],
    "2.11": [
        (
            "gamma * (1 - is_terminal)",
            "1 - is_terminal",
            "your target is 1 where the episode goes on: it must be γ, because the discount is "
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
            "your target is γ - 1 where the episode is over, below 0: it must be 0 there",
        ),
        (
            "gamma * (1 - is_terminal)",
            "1 - gamma * is_terminal",
            "your target is 1 - γ where the episode is over, and 1 elsewhere: it is 0 and γ",
        ),
        (
            "gamma * (1 - is_terminal)",
            "gamma * gamma * (1 - is_terminal)",
            "γ is in your target twice: it belongs there once",
        ),
        (
            "gamma * (1 - is_terminal)",
            "0.99 * (1 - is_terminal)",
            "you fix γ at 0.99: it is the argument gamma",
        ),
        (
            "    target = gamma * (1 - is_terminal)\n    return F",
            "    target = 1 - is_terminal\n    return gamma * F",
            "you multiply the loss by γ: it is the target that contains γ",
        ),
        (
            "logits(logits, target",
            "logits(torch.sigmoid(logits), target",
            "you take the sigmoid twice: binary_cross_entropy_with_logits takes the first one",
        ),
        (
            "binary_cross_entropy_with_logits(logits, target",
            "binary_cross_entropy(torch.sigmoid(logits), target",
            "you go through probabilities, which round to 0 and 1 for large logits: the "
            "function for logits stays exact",
        ),
        (
            "return F",
            "return -F",
            "the sign is wrong: this falls when the prediction gets worse",
        ),
        (
            ', reduction="none"',
            "",
            "you average over batch and time: each step keeps a loss of its own, (B, T)",
        ),
        (
            'reduction="none"',
            'reduction="sum"',
            "you sum over batch and time: each step keeps a loss of its own, (B, T)",
        ),
        (
            "logits(logits, target",
            "logits(logits.detach(), target",
            "you detach the logits, so nothing would learn from this loss",
        ),
        (
            'F.binary_cross_entropy_with_logits(logits, target, reduction="none")',
            "0.5 * (torch.sigmoid(logits) - target).square()",
            "you take the squared error of the probability: the likelihood of a Bernoulli is "
            "the cross-entropy",
        ),
        (
            'F.binary_cross_entropy_with_logits(logits, target, reduction="none")',
            "-target * F.logsigmoid(logits)",
            "one half is missing: the cross-entropy also has -(1 - y) log(1 - p)",
        ),
    ],
}
