"""Known mistakes in networks.py: {exercise: [(old text, new text, what is wrong)]}."""

MISTAKES = {
    "3.1": [
        (
            "torch.sign(x) * torch.log1p(torch.abs(x))",
            "torch.log1p(x)",
            "you take log(1 + x), which is no number below -1: |x| goes into the logarithm, and "
            "the sign of x comes back in front",
        ),
        (
            "torch.sign(x) * ",
            "",
            "the sign is lost: symlog(-10) is -2.4, not 2.4",
        ),
        (
            "torch.log1p(torch.abs(x))",
            "torch.log(torch.abs(x))",
            "you take log|x|, which falls to minus infinity at 0: it is log(1 + |x|)",
        ),
        (
            "torch.log1p(torch.abs(x))",
            "torch.log(1 + torch.abs(x))",
            "you add 1 before the logarithm: in float32 1 + 1e-8 is 1, and the number is gone. "
            "torch.log1p keeps it",
        ),
        (
            "torch.log1p(torch.abs(x))",
            "torch.log10(1 + torch.abs(x))",
            "your logarithm has base 10: it is the natural one",
        ),
        (
            "torch.log1p",
            "torch.expm1",
            "you compute symexp, the inverse: symlog makes large numbers small",
        ),
        (
            "torch.sign(x) * torch.log1p(torch.abs(x))",
            "torch.asinh(x)",
            "you use asinh, another curve of this kind: symlog is sign(x) log(1 + |x|)",
        ),
        (
            "torch.log1p(torch.abs(x))",
            "(torch.sqrt(torch.abs(x) + 1) - 1) + 0.001 * x",
            "you use MuZero's square root: DreamerV3 squashes with a logarithm",
        ),
        (
            "torch.sign(x) * torch.log1p(torch.abs(x))",
            "torch.log1p(x.clamp(min=0))",
            "all negative numbers become 0: symlog is defined for either sign",
        ),
        (
            "torch.log1p(torch.abs(x))",
            "torch.log1p(torch.abs(x)).detach()",
            "you detach the result, so no gradient goes back through symlog",
        ),
        (
            "torch.log1p(torch.abs(x))",
            "torch.log1p(x.detach().abs_())",
            "you change x itself: abs_ works in place, and x belongs to the caller",
        ),
    ],
    "3.2": [
        (
            "torch.sign(x) * ",
            "",
            "the sign is lost: symexp(-2) is -6.4, not 6.4",
        ),
        (
            "torch.expm1(torch.abs(x))",
            "torch.exp(torch.abs(x))",
            "the -1 is missing: symexp takes log(1 + |x|) back, and symexp(0) is 0",
        ),
        (
            "torch.expm1(torch.abs(x))",
            "(torch.exp(torch.abs(x)) - 1)",
            "you take 1 away after exp: in float32 exp(1e-8) is 1, and the number is gone. "
            "torch.expm1 keeps it",
        ),
        (
            "torch.expm1(torch.abs(x))",
            "torch.exp(torch.abs(x)) - 1",
            "brackets are missing: the sign multiplies exp|x| - 1 as a whole",
        ),
        (
            "torch.sign(x) * torch.expm1(torch.abs(x))",
            "torch.expm1(x)",
            "you take exp(x) - 1 for either sign, which never falls below -1: take |x| inside and "
            "the sign in front",
        ),
        (
            "torch.abs(x)",
            "x",
            "|x| is missing inside: for a negative x the exponential has to grow as well",
        ),
        (
            "torch.expm1(torch.abs(x))",
            "torch.exp(torch.abs(x) - 1)",
            "your -1 stands in the exponent: it is exp|x| and then -1",
        ),
        (
            "torch.expm1",
            "torch.log1p",
            "you compute symlog again: its inverse is an exponential",
        ),
        (
            "torch.sign(x) * torch.expm1(torch.abs(x))",
            "torch.sinh(x)",
            "you use sinh, another curve of this kind: symexp is sign(x) (exp|x| - 1)",
        ),
        (
            "torch.expm1(torch.abs(x))",
            "(10 ** torch.abs(x) - 1)",
            "your power has base 10: symlog has the natural logarithm, so it is exp",
        ),
        (
            "torch.expm1(torch.abs(x))",
            "torch.expm1(torch.abs(x)).detach()",
            "you detach the result, so no gradient goes back through symexp",
        ),
        (
            "torch.expm1(torch.abs(x))",
            "torch.expm1(x.detach().abs_())",
            "abs_ works in place and changes x, which belongs to the caller",
        ),
    ],
    "3.3": [
        (
            "    negative = symexp(",
            "    return symexp(torch.linspace(-limit, limit, count))\n    negative = symexp(",
            "you compute both halves: in float32 they are not mirror images, and the middle bin is "
            "not 0. Compute one half and mirror it",
        ),
        (
            "symexp(torch.linspace(-limit, 0, count // 2 + 1))",
            "torch.linspace(-limit, 0, count // 2 + 1)",
            "your bins are equally spaced from -limit to limit, as in the V3 of 2023: now they are "
            "symexp of that",
        ),
        (
            "symexp(torch.linspace(-limit, 0, count // 2 + 1))",
            "torch.linspace(-math.expm1(limit), 0, count // 2 + 1)",
            "your bins reach symexp(limit) in equal steps: the steps are equal before symexp, so "
            "that bins are dense near 0",
        ),
        (
            "symexp(torch.linspace(-limit, 0, count // 2 + 1))",
            "-torch.exp(-torch.linspace(-limit, 0, count // 2 + 1))",
            "you use exp: without symexp's -1 there is no bin at 0, and none between -1 and 1",
        ),
        (
            "symexp(torch",
            "symlog(torch",
            "you squash the positions with symlog: symexp stretches them",
        ),
        (
            "negative[:-1].flip(0)",
            "negative.flip(0)",
            "the middle bin, 0, is there twice: leave it out of one of the halves",
        ),
        (
            "negative[:-1].flip(0)",
            "negative[1:].flip(0)",
            "you leave out the outer bin of the positive half: it is the bin at 0 that must not "
            "come twice",
        ),
        (
            "negative[:-1].flip(0)",
            "negative[:-1]",
            "your positive half falls: the mirror image has the order turned round as well",
        ),
        (
            "-negative[:-1]",
            "negative[:-1]",
            "the second half is negative too: the mirror image has the other sign",
        ),
        (
            "[negative, -negative[:-1].flip(0)]",
            "[-negative[:-1].flip(0), negative]",
            "your positive half comes first: the bins rise from -symexp(limit) to symexp(limit)",
        ),
        (
            "linspace(-limit,",
            "linspace(-20.0,",
            "you fix the limit at 20: it is an argument",
        ),
        (
            "count // 2 + 1",
            "count // 2",
            "you have two bins too few: the negative half with the 0 has count // 2 + 1",
        ),
        (
            "count // 2 + 1)",
            "count // 2 + 1, dtype=torch.float64)",
            "your bins are in float64: all else in the network is float32",
        ),
    ],
    "3.4": [
        (
            "    target = target.clamp(bins[0], bins[-1])\n",
            "",
            "a target beyond the bins gets weights outside 0 … 1: it counts as the outer bin, so "
            "clamp it",
        ),
        (
            "neighbours[..., 0], neighbours[..., 1], weight",
            "neighbours[..., 1], neighbours[..., 0], weight",
            "you exchange the weights: the nearer bin gets the larger one, so each gets the "
            "distance to the *other* bin",
        ),
        (
            "return -torch",
            "return torch",
            "the minus is missing: a cross-entropy is -Σ weight · log-probability, never negative",
        ),
        (
            "(target - bins[below]) / (bins[below + 1] - bins[below])",
            "(symlog(target) - symlog(bins[below])) / (symlog(bins[below + 1]) - "
            "symlog(bins[below]))",
            "you share the weight in symlog space: the bins are numbers of the reward's units, and "
            "so are the distances to them",
        ),
        (
            "    target = target.clamp",
            "    low, high = symlog(bins[0]).item(), symlog(bins[-1]).item()\n"
            "    bins = torch.linspace(low, high, len(bins), dtype=bins.dtype)\n"
            "    target = symlog(target).clamp",
            "that is the V3 of 2023, symlog of the target on equally spaced bins: now target and "
            "bins are used as they are",
        ),
        (
            "target.clamp(bins",
            "symlog(target).clamp(bins",
            "you take symlog of the target: it is compared with bins that are in its own units",
        ),
        (
            "target.clamp(bins[0], bins[-1])",
            "target.clamp(-20.0, 20.0)",
            "you clamp the target at ±20: that is the bins' limit before symexp. Here it is the "
            "first and the last bin",
        ),
        (
            "neighbours[..., 1], weight",
            "neighbours[..., 1], weight.round()",
            "the nearest bin gets all the weight: two-hot shares it, so that the mean is the "
            "target",
        ),
        (
            "neighbours[..., 1], weight",
            "neighbours[..., 1], torch.zeros_like(weight)",
            "the bin below gets all the weight: the bin above has a share as well",
        ),
        (
            "neighbours[..., 1], weight",
            "neighbours[..., 1], torch.full_like(weight, 0.5)",
            "both neighbours get a half, wherever the target lies between them",
        ),
        (
            "-torch.lerp(neighbours[..., 0], neighbours[..., 1], weight)",
            "-torch.lerp(neighbours[..., 0].exp(), neighbours[..., 1].exp(), weight).log()",
            "you take the logarithm of the weighted probability: a cross-entropy weights the "
            "logarithms",
        ),
        (
            "-torch.lerp(neighbours[..., 0], neighbours[..., 1], weight)",
            "-torch.lerp(neighbours[..., 0].exp(), neighbours[..., 1].exp(), weight)",
            "you weight probabilities: a cross-entropy weights log-probabilities",
        ),
        (
            "right=True) - 1)",
            "right=True))",
            "your lower bin lies above the target: searchsorted counts the bins that are not "
            "larger, so their last one has this number less 1",
        ),
        (
            ".clamp(0, len(bins) - 2)",
            "",
            "at the last bin you look for one above it, which does not exist: keep the lower one "
            "at N - 2",
        ),
        (
            "(torch.searchsorted(bins, target, right=True) - 1)",
            "((target - bins[0]) / (bins[-1] - bins[0]) * (len(bins) - 1)).long()",
            "you find the bin as if all were equally far apart: search for it",
        ),
        (
            " / (bins[below + 1] - bins[below])",
            "",
            "your weight is a distance: divide it by the distance of the two bins",
        ),
        (
            "target.clamp(",
            "target.detach().clamp_(",
            "clamp_ works in place and changes the caller's target: clamp makes a new one",
        ),
        (
            "gather(log_probs,",
            "gather(log_probs.detach(),",
            "you detach the log-probabilities, so the head would not learn",
        ),
        (
            "neighbours[..., 1], weight)",
            "neighbours[..., 1], weight).mean()",
            "you average: each target has a loss of its own",
        ),
        (
            "    below = (",
            "    return ((log_probs.exp() * bins).sum(-1) - target).square()\n    below = (",
            "you take the squared error of the mean: the loss is the cross-entropy with the "
            "two-hot target, so that its gradient does not grow with the reward",
        ),
    ],
    "3.5": [
        (
            "(pairs * bins[half + 1 :]).sum(-1)",
            "(probs * bins).sum(-1)",
            "you sum all bins in a row: in float32 the uniform distribution then gives about -.3, "
            "not 0. Take each bin with its mirror image first",
        ),
        (
            "(pairs * bins[half + 1 :]).sum(-1)",
            "symexp((probs * symlog(bins)).sum(-1))",
            "that is the V3 of 2023, symexp of the mean in symlog space: now the bins themselves "
            "are averaged",
        ),
        (
            "(pairs * bins[half + 1 :]).sum(-1)",
            "bins[probs.argmax(-1)]",
            "you take the likeliest bin: the prediction is the mean of all",
        ),
        (
            "torch.softmax(logits, -1)",
            "torch.softmax(logits, 0)",
            "your softmax runs over the batch: the bins are in the last dimension",
        ),
        (
            "torch.softmax(logits, -1)",
            "logits.exp()",
            "you use exp(logits) as probabilities: they have to sum to 1, which takes a softmax",
        ),
        (
            "torch.softmax(logits, -1)",
            "torch.sigmoid(logits)",
            "you take a sigmoid: the bins exclude one another, so a softmax turns logits into "
            "probabilities",
        ),
        (
            "torch.softmax(logits, -1)",
            "torch.log_softmax(logits, -1)",
            "you weight the bins by logits or log-probabilities: a mean takes probabilities",
        ),
        (
            "probs[..., :half].flip(-1)",
            "probs[..., :half]",
            "you pair the bins in the wrong order: the outermost bins belong together, so one half "
            "is flipped",
        ),
        (
            " - probs[..., :half]",
            " + probs[..., :half]",
            "you add the probabilities of mirrored bins: one of the two bins is negative, so "
            "take the difference",
        ),
        (
            "(pairs * bins",
            "(-pairs * bins",
            "your sign is turned round: the positive bin's probability counts plus",
        ),
        (
            ".sum(-1)",
            ".mean(-1)",
            "you divide by the number of bins: the probabilities are the weights already, so sum",
        ),
        (
            "* bins[half + 1 :]",
            "* bins[half:-1]",
            "each pair meets the bin before its own: behind the middle bin, 0, start at half + 1",
        ),
        (
            "bins[half + 1 :])",
            "symexp(bins[half + 1 :]))",
            "you apply symexp to the bins: they are stretched already",
        ),
        (
            "(pairs * bins[half + 1 :]).sum(-1)",
            "(pairs * bins[half + 1 :]).sum(-1).detach()",
            "you detach the prediction: its gradient is asked for as well",
        ),
        (
            "(pairs * bins[half + 1 :]).sum(-1)",
            "(pairs * bins[half + 1 :]).sum()",
            "you sum over the batch as well: every distribution has a mean of its own",
        ),
        (
            "torch.softmax(logits, -1)",
            "(e := (logits - logits.max()).exp()) / e.sum(-1, keepdim=True)",
            "you take the largest of all logits away: a row far below it becomes 0 / 0. Each "
            "distribution has a largest logit of its own, or softmax sees to it",
        ),
    ],
    "3.6": [
        (
            "torch.softmax(full_precision(logits), -1) * (1 - ratio) + ratio / logits.shape[-1]",
            "torch.softmax(\n"
            "        full_precision(logits) * (1 - ratio) + ratio / logits.shape[-1], -1\n"
            "    )",
            "you mix the logits: a number added to all of them changes nothing. Mix the "
            "probabilities",
        ),
        (
            "ratio / logits.shape[-1]",
            "ratio",
            "1 / K is forgotten: every class gets its share of the ratio, or the sum exceeds 1",
        ),
        (
            " * (1 - ratio)",
            "",
            "the softmax has to make room: without the factor 1 - ratio the sum is 1 + ratio",
        ),
        (
            "* (1 - ratio) + ratio / logits",
            "* ratio + (1 - ratio) / logits",
            "you exchange ratio and 1 - ratio: one percent is uniform, not 99",
        ),
        (
            "(logits), -1)",
            "(logits), 0)",
            "your softmax runs over the first dimension: the classes are the last",
        ),
        (
            "(logits), -1)",
            "(logits), -2 if logits.ndim > 1 else -1)",
            "your softmax runs over the categoricals: the classes of each are in the last "
            "dimension",
        ),
        (
            "ratio / logits.shape[-1]",
            "ratio / logits.shape[0]",
            "you share the ratio by the size of the first dimension: K is the size of the last",
        ),
        (
            "ratio / logits.shape[-1]",
            "ratio / logits.numel()",
            "you share the ratio among the classes of all categoricals together: each categorical "
            "has its own",
        ),
        (
            "* (1 - ratio) + ratio",
            "* 0.99 + 0.01",
            "you fix the ratio at .01: it is an argument",
        ),
        (
            " * (1 - ratio) + ratio / logits.shape[-1]",
            ".clamp(min=ratio / logits.shape[-1])",
            "you clamp small probabilities: the sum is then above 1, and they have no gradient. "
            "Mix instead",
        ),
        (
            "return torch.softmax(full_precision(logits), -1) * (1 - ratio) + ratio / "
            "logits.shape[-1]",
            "return (\n"
            "        torch.softmax(full_precision(logits), -1) * (1 - ratio)\n"
            "        + ratio / logits.shape[-1]\n"
            "    ).log()",
            "you return log-probabilities: here it is probabilities",
        ),
        (
            "torch.softmax(full_precision(logits), -1)",
            "full_precision(logits)",
            "you mix without a softmax: logits are no probabilities",
        ),
        (
            "torch.softmax(full_precision(logits), -1)",
            "torch.sigmoid(full_precision(logits))",
            "you take a sigmoid: classes of a categorical exclude one another, which is a softmax",
        ),
        (
            "torch.softmax(full_precision(logits), -1)",
            "torch.softmax(full_precision(logits).detach(), -1)",
            "you detach the logits: the straight-through gradient runs through these probabilities",
        ),
        (
            "torch.softmax(full_precision(logits), -1)",
            "full_precision(logits).exp() / full_precision(logits).exp().sum(-1, keepdim=True)",
            "your softmax overflows: exp(1000) is infinite. torch.softmax takes the largest logit "
            "away first",
        ),
        (
            "full_precision(logits)",
            "logits",
            "you stay in half precision, which has three digits: call full_precision first",
        ),
    ],
    "3.7": [
        (
            "torch.baddbmm(self.bias, x, self.weight)",
            "torch.bmm(x, self.weight)",
            "the bias is missing: each block has one of its own",
        ),
        (
            "x, self.weight)",
            "x, self.weight.transpose(1, 2))",
            "you transpose the weights, as nn.Linear does: here they are (inputs, outputs) already",
        ),
        (
            "x, self.weight)",
            "x, self.weight[:1].expand_as(self.weight))",
            "all blocks use the weights of the first: each has its own",
        ),
        (
            "baddbmm(self.bias,",
            "baddbmm(self.bias[:1],",
            "all blocks use the bias of the first",
        ),
        (
            "x.transpose(0, 1).reshape(*lead",
            "x.reshape(*lead",
            "after the product the blocks come first: put the rows in front again before you split "
            "them, or rows and blocks are mixed up",
        ),
        (
            "x.reshape(-1, *x.shape[-2:]).transpose(0, 1)",
            "x.reshape(x.shape[-2], -1, x.shape[-1])",
            "you bring the blocks to the front with reshape, which mixes rows and blocks: it takes "
            "a transpose",
        ),
        (
            "x.reshape(-1, *x.shape[-2:]).transpose(0, 1)",
            "x.reshape(-1, *x.shape[:-3:-1]).movedim(-1, 0)",
            "your blocks take turns, number after number: block g is x[..., g, :]",
        ),
        (
            "*self.weight.shape[::2])",
            "-1)",
            "you join the blocks: the output is (..., G, outputs / G)",
        ),
        (
            "x.shape[:-2]",
            "x.shape[:1]",
            "you count on exactly one leading dimension; there may be none or several",
        ),
        (
            "x = x.reshape(",
            "x = x.view(",
            "view fails where x is a slice of something larger: reshape copies if it has to",
        ),
        (
            "(self.bias, x, self.weight)",
            "(self.bias, x.sum(0, keepdim=True).expand_as(x), self.weight)",
            "you sum over the blocks, so each output sees all inputs: a block sees its own part "
            "alone",
        ),
        (
            "torch.baddbmm(self.bias, x, self.weight)",
            "F.silu(torch.baddbmm(self.bias, x, self.weight))",
            "you apply SiLU: this layer is linear, norm and activation follow outside",
        ),
        (
            "x, self.weight)",
            "x, self.weight.detach())",
            "you detach the weights, so they would not learn",
        ),
    ],
    "3.8": [
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "F.layer_norm(x, weight.shape, weight, None, eps)",
            "you take the mean away, as LayerNorm and the V3 of 2023 do: RMSNorm only scales",
        ),
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "weight * x / (x.var(-1, correction=0, keepdim=True) + eps).sqrt()",
            "you divide by the standard deviation: it is the root of the mean of x²",
        ),
        (
            "weight, eps)",
            "weight, 0.0)",
            "ε is missing: a row of zeros gives NaN",
        ),
        (
            "weight, eps)",
            "weight)",
            "ε is not passed on: torch then takes its own, which is far smaller",
        ),
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "weight * x / (x.square().mean(-1, keepdim=True).sqrt() + eps)",
            "you add ε to the root: it belongs inside, to the mean of x²",
        ),
        (
            "F.silu(",
            "F.relu(",
            "you use ReLU: V3 has SiLU",
        ),
        (
            "F.silu(",
            "F.elu(",
            "you use ELU, which is V2's: V3 has SiLU",
        ),
        (
            "F.silu(",
            "F.gelu(",
            "you use GELU, a similar curve: V3 has SiLU, y · sigmoid(y)",
        ),
        (
            "F.silu(F.rms_norm(x, weight.shape, weight, eps))",
            "F.rms_norm(x, weight.shape, weight, eps)",
            "the activation is missing: SiLU follows the norm",
        ),
        (
            "F.silu(",
            "torch.sigmoid(",
            "you return the sigmoid: SiLU is y · sigmoid(y)",
        ),
        (
            "F.silu(F.rms_norm(x, weight.shape, weight, eps))",
            "weight * F.silu(F.rms_norm(x, weight.shape, None, eps))",
            "your gains come after SiLU: they belong to the norm, before it",
        ),
        (
            "weight, eps)",
            "None, eps)",
            "the gains are missing: every unit has one",
        ),
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "weight * x / (x.square().mean(0, keepdim=True) + eps).sqrt()",
            "you normalise over the first dimension: each row by itself, over its last dimension",
        ),
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "weight * x / (x.square().mean() + eps).sqrt()",
            "you take one mean square for all rows together: each row has its own",
        ),
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "weight * x / (x.square().sum(-1, keepdim=True) + eps).sqrt()",
            "you divide by the length of the row: it is the root of the *mean* square",
        ),
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "weight * x / (x.square().mean(-1, keepdim=True) + eps)",
            "the root is missing: you divide by the mean square itself",
        ),
        (
            "F.rms_norm(x, weight.shape, weight, eps)",
            "weight * x / (x.detach().square().mean(-1, keepdim=True) + eps).sqrt()",
            "you detach the mean square: the gradient runs through it as well",
        ),
        (
            "F.silu(F.rms_norm(x, weight.shape, weight, eps))",
            "F.rms_norm(F.silu(x), weight.shape, weight, eps)",
            "your SiLU comes before the norm: norm first",
        ),
    ],
    "3.9": [
        (
            ".sum(-1)",
            ".mean(-1)",
            "you average over pixels or entries: they are summed, as the likelihood of independent "
            "numbers has it",
        ),
        (
            "    error = (prediction - target).square()\n",
            "    error = (prediction - target).square() / 2\n",
            "you halve the squares, as V1 and V2 do: V3 has no factor 1/2",
        ),
        (
            "target / 255 if",
            "target / 255 - 0.5 if",
            "you shift the pixels by -.5, as the encoder's input: predictions lie in 0 … 1, and so "
            "does the target",
        ),
        (
            "target / 255 if is_image else symlog(target)",
            "target if is_image else symlog(target)",
            "your pixels reach from 0 to 255: divide them by 255",
        ),
        (
            "target / 255 if",
            "target / 256 if",
            "you divide pixels by 256: 255 is to become 1",
        ),
        (
            "target / 255 if",
            "target // 255 if",
            "your division of pixels drops the fraction: use /, not //",
        ),
        (
            "else symlog(target)",
            "else target",
            "symlog is missing: the decoder predicts vectors in symlog space",
        ),
        (
            "(prediction - target)",
            "((prediction if is_image else symlog(prediction)) - target)",
            "you squash the prediction of a vector: it is in symlog space already, only the target "
            "is not",
        ),
        (
            "else symlog(target)",
            "else symexp(target)",
            "you stretch the target with symexp: symlog takes it to the prediction's space",
        ),
        (
            "symlog(target)",
            "target\n    prediction = prediction if is_image else symexp(prediction)",
            "you compare in the units of the vector: errors are squared in symlog space, where "
            "large numbers do not rule",
        ),
        (
            "target / 255 if is_image else symlog(target)",
            "symlog(target / 255 if is_image else target)",
            "you squash the image with symlog: only vectors are",
        ),
        (
            "if is_image",
            "if not is_image",
            "you exchange the two cases: pixels are divided by 255, vectors go through symlog",
        ),
        (
            ".square()",
            ".abs()",
            "you take the absolute error: it is the squared one",
        ),
        (
            "error.reshape(*error.shape[:2], -1).sum(-1)",
            "error.sum()",
            "you sum over batch and time as well: each step keeps a loss of its own, (B, T)",
        ),
        (
            "error.reshape(*error.shape[:2], -1).sum(-1)",
            "error.sum(-1)",
            "you sum over the last dimension alone: an image has three of them, and all are summed",
        ),
        (
            "error.shape[:2], -1).sum(-1)",
            "error.shape[:2], -1).sum(-1).mean(1, keepdim=True).expand(error.shape[:2])",
            "you average over time: each step keeps a loss of its own",
        ),
        (
            "(prediction - target)",
            "(prediction.detach() - target)",
            "you detach the prediction, so the decoder would not learn",
        ),
        (
            "return error.reshape(*error.shape[:2], -1).sum(-1)",
            "error = error / 2 + 0.5 * math.log(2 * math.pi)\n"
            "    return error.reshape(*error.shape[:2], -1).sum(-1)",
            "you take the density of a Normal, as V1 does: V3's loss is the plain squared error, "
            "without constant and 1/2",
        ),
        (
            "if is_image",
            "if target.dtype == torch.uint8",
            "you go by the dtype: a vector may be of uint8 too, and is no image for that. "
            "`is_image` tells them apart",
        ),
    ],
    "3.10": [
        (
            "discount * (1 - is_terminal)",
            "1 - is_terminal",
            "your target is 1 where the episode goes on, as in the V3 of 2023: now it is γ, since "
            "the head learns the discount too",
        ),
        (
            "discount * (1 - is_terminal)",
            "discount * is_terminal",
            "your target is turned round: 0 at a terminal state, γ elsewhere",
        ),
        (
            "discount * (1 - is_terminal)",
            "discount - is_terminal",
            "your target is γ - 1 at a terminal state, below 0: brackets are missing",
        ),
        (
            "discount * (1 - is_terminal)",
            "1 - discount * is_terminal",
            "your target is 1 - γ at a terminal state and 1 elsewhere: it is 0 and γ",
        ),
        (
            "discount * (1 - is_terminal)",
            "(1 - 1 / 333) * (1 - is_terminal)",
            "you fix γ at 1 - 1/333: it is the argument discount",
        ),
        (
            "discount * (1 - is_terminal)",
            "(1 - 1 / discount) * (1 - is_terminal)",
            "you take `discount` for the horizon: it is γ itself",
        ),
        (
            "    target = discount * (1 - is_terminal)\n    return F",
            "    target = 1 - is_terminal\n    return discount * F",
            "you multiply the loss by γ: γ belongs into the target",
        ),
        (
            "logits(logits, target",
            "logits(torch.sigmoid(logits), target",
            "you take the sigmoid twice: the function for logits takes one itself",
        ),
        (
            "binary_cross_entropy_with_logits(logits, target",
            "binary_cross_entropy(torch.sigmoid(logits), target",
            "you go through probabilities, which round to 0 and 1 for large logits: use the "
            "function for logits",
        ),
        (
            "binary_cross_entropy_with_logits(logits, target",
            "binary_cross_entropy(logits.clamp(0, 1), target",
            "you take the logits for probabilities: they are any real numbers",
        ),
        (
            "return F",
            "return -F",
            "the sign is wrong: your loss falls when the prediction gets worse",
        ),
        (
            ', reduction="none"',
            "",
            "you average over batch and time: every step has a loss, (B, T)",
        ),
        (
            'reduction="none"',
            'reduction="sum"',
            "you sum over batch and time: every step has a loss, (B, T)",
        ),
        (
            "logits(logits, target",
            "logits(logits.detach(), target",
            "you detach the logits, so the continue predictor would not learn",
        ),
        (
            'F.binary_cross_entropy_with_logits(logits, target, reduction="none")',
            "(torch.sigmoid(logits) - target).square()",
            "you take the squared error of the probability: a Bernoulli has the cross-entropy",
        ),
        (
            'F.binary_cross_entropy_with_logits(logits, target, reduction="none")',
            "-target * F.logsigmoid(logits)",
            "one half is missing: -(1 - target) log(1 - p) belongs to the cross-entropy too",
        ),
        (
            'F.binary_cross_entropy_with_logits(logits, target, reduction="none")',
            "-(target * torch.log(torch.sigmoid(logits) + 1e-8)\n"
            "        + (1 - target) * torch.log(1 - torch.sigmoid(logits) + 1e-8))",
            "you take logarithms of probabilities, kept from 0 by a small number: for large logits "
            "value and gradient are wrong. Use the function for logits",
        ),
    ],
}
