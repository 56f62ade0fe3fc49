"""Wrong answers to the exercises of hrvq.py: (old text, new text, what the learner reads)."""

NEAREST = """\
    distance = codes.square().sum(-1) - 2 * x @ codes.T  # |x|² is the same for all codes
    return distance.argmin(-1)
"""
DISTANCE = "codes.square().sum(-1) - 2 * x @ codes.T"
SHARE = "torch.bincount(tokens.flatten(), minlength=count) / tokens.numel()"
EFFECTIVE = "float((-(share * share.log()).sum()).exp())"
SIZES = "self.size.lerp_(torch.bincount(tokens, minlength=count).to(x.dtype), self.rate)"
TOTALS = """\
        self.total.lerp_(torch.zeros_like(self.total).index_add_(0, tokens, x), self.rate)
"""
SUMS = "torch.zeros_like(self.total).index_add_(0, tokens, x)"
SMOOTH = "(self.size + self.eps) / (everything + count * self.eps) * everything"
CODES = "self.codes.copy_(self.total / smooth[:, None])"
LEFT = "rest, total = rest - code, total + code"
THROUGH = "return z + (total - z).detach(), torch.stack(tokens, -1), torch.stack(commitment)"
LAST = f"""\
            {LEFT}
            tokens.append(token)
        {THROUGH}
"""
COMMIT = "commitment.append((rest - code).square().mean())"

MISTAKES = {
    "4.22": [
        (
            ".argmin(-1)",
            ".argmax(-1)",
            "you take the code that is farthest away",
        ),
        (
            NEAREST,
            "    return (x @ codes.T).argmax(-1)\n",
            "you take the largest product: that prefers long codes. The distance has each code's "
            "own square too",
        ),
        (
            NEAREST,
            "    return (x @ codes.T / codes.norm(dim=-1)).argmax(-1)\n",
            "you take the code of the nearest direction: lengths count as well",
        ),
        (
            "- 2 * x @",
            "- x @",
            "your product is not doubled: |x - c|² = |x|² - 2 x·c + |c|²",
        ),
        (
            "- 2 * x @",
            "+ 2 * x @",
            "the sign of your product is wrong: |x - c|² = |x|² - 2 x·c + |c|²",
        ),
        (
            "codes.square().sum(-1)",
            "codes.norm(dim=-1)",
            "you add the codes' lengths: it is their squares, |x - c|² = |x|² - 2 x·c + |c|²",
        ),
        (
            NEAREST,
            "    return (x[:, None] - codes).abs().sum(-1).argmin(-1)\n",
            "you add up absolute differences: Euclidean distance has their squares",
        ),
        (
            NEAREST,
            "    return (x[:, None] - codes).abs().amax(-1).argmin(-1)\n",
            "you compare by the largest difference: Euclidean distance adds up all squares",
        ),
        (
            NEAREST,
            "    return (x[:, None] - codes).sum(-1).square().argmin(-1)\n",
            "you square the sum of the differences: square each, then add up",
        ),
        (
            NEAREST,
            f"    distance = {DISTANCE} + x.square().sum(-1, keepdim=True)\n"
            "    return distance.argmin(0)\n",
            "you look for the nearest vector of each code: it is the nearest code of each vector",
        ),
        (
            "return distance.argmin(-1)",
            "return distance.amin(-1)",
            "you return distances: it is the number of the nearest code",
        ),
        (
            "return distance.argmin(-1)",
            "return codes[distance.argmin(-1)]",
            "you return the codes themselves: their numbers are asked for",
        ),
        (
            "return distance.argmin(-1)",
            "return len(codes) - 1 - distance.flip(-1).argmin(-1)",
            "of codes that are equally near you take the last: it is the lowest number",
        ),
        (
            ".argmin(-1)",
            ".argmin(-1, keepdim=True)",
            "your numbers are (N, 1): they are (N,)",
        ),
        (
            ".argmin(-1)",
            ".argmin(-1).to(x.dtype)",
            "your numbers are of another dtype, such as that of x: they are int64",
        ),
        (
            NEAREST,
            "    if not hasattr(assign, 'squares'):\n"
            "        assign.squares = codes.square().sum(-1)\n"
            "    return (assign.squares[: len(codes)] - 2 * x @ codes.T).argmin(-1)\n",
            "you keep the squares of an earlier call: codes move with every batch, and each layer "
            "has its own",
        ),
        (
            NEAREST,
            "    distance = codes.half().square().sum(-1) - 2 * x.half() @ codes.half().T\n"
            "    return distance.argmin(-1)\n",
            "you compute in 16 bits: of codes that are almost equally near it is not the nearest",
        ),
    ],
    "4.23": [
        (
            ".sum()).exp())",
            ".sum()))",
            "you return the entropy: perplexity is exp of it",
        ),
        (
            "share.log()",
            "share.log2()",
            "you take exp of an entropy in bits: with the natural logarithm both fit",
        ),
        (
            EFFECTIVE,
            "float(2 ** -(share * share.log()).sum())",
            "you raise 2 to an entropy in nats: that needs bits",
        ),
        (
            "(-(share",
            "((share",
            "you forget the minus sign: this is 1 ÷ perplexity",
        ),
        (
            EFFECTIVE,
            "float(len(share))",
            "you count the codes that occur: a rare one counts less than one that is used often",
        ),
        (
            EFFECTIVE,
            "float(1 / share.square().sum())",
            "you take 1 ÷ Σ p², another count of what is used: perplexity is exp(-Σ p log p)",
        ),
        (
            "    share = share[share > 0]\n",
            "",
            "your codes that do not occur make 0 · log 0, which is nan: leave them out",
        ),
        (
            "/ tokens.numel()",
            "/ count",
            "you divide by the number of codes: frequencies are counts ÷ number of tokens",
        ),
        (
            "/ tokens.numel()",
            "/ len(tokens)",
            "you divide by len(tokens), the first dimension alone: divide by the number of all "
            "tokens",
        ),
        (
            ".flatten()",
            ".reshape(len(tokens), -1)[:, 0]",
            "you count the first column of the tokens alone",
        ),
        (
            "torch.bincount(tokens.flatten(), minlength=count) / tokens.numel()",
            "torch.bincount(tokens.flatten(), minlength=count).float().softmax(0)",
            "you take a softmax of the counts: frequencies are counts ÷ their sum",
        ),
        (
            "share.log()).sum()",
            "share.log()).mean()",
            "you take the mean of p log p: an entropy is the sum",
        ),
        (
            EFFECTIVE,
            "float((-share.log().mean()).exp())",
            "you forget to weigh the logarithms: each counts with its own frequency, p log p",
        ),
        (
            ".exp())",
            ".exp()) / count",
            "you divide by the number of codes: perplexity goes from 1 to K",
        ),
        (
            EFFECTIVE,
            "(-(share * share.log()).sum()).exp()",
            "you return a tensor or a number of NumPy's: it is a Python float",
        ),
        (
            SHARE,
            SHARE.replace(" /", ".byte() /"),
            "you count in 8 bits: 256 tokens of the same code are 0 again",
        ),
        (
            SHARE,
            "torch.zeros(count, dtype=torch.half).index_add_("
            "0, tokens.flatten(), torch.ones(tokens.numel(), dtype=torch.half)).float() / "
            "tokens.numel()",
            "you count in 16-bit floats: these stop at 2048, where 1 more is rounded off",
        ),
        (
            "share[share > 0]",
            "share[share > 0.01]",
            "you leave out rare codes: only those that do not occur at all add nothing",
        ),
    ],
    "4.24": [
        (
            SIZES + "\n" + TOTALS,
            (SIZES + "\n" + TOTALS).replace("self.rate)", "1 - self.rate)"),
            "your rate is the wrong way round: the share `rate` is the batch's, the rest is kept",
        ),
        (
            SUMS,
            SUMS.replace(", x)", ", self.codes[tokens])"),
            "you add up the codes: `total` is of the vectors that they stand for",
        ),
        (
            SUMS,
            f"{SUMS} / torch.bincount(tokens, minlength=count).clamp(min=1)[:, None]",
            "you move `total` to the mean of a code's vectors: it follows their sum, and the "
            "division by size comes last",
        ),
        (
            SUMS,
            "torch.zeros_like(self.total).index_put_((tokens,), x)",
            "of several vectors with the same code only the last counts in your `total`: indexing "
            "overwrites, where index_add_ adds",
        ),
        (
            SUMS,
            "self.total.clone().index_add_(0, tokens, x)",
            "your `total` never fades: both averages forget the share `rate` at each batch",
        ),
        (
            SIZES,
            SIZES.replace("lerp_", "add_").replace("self.rate", "alpha=self.rate"),
            "your `size` never fades: both averages forget the share `rate` at each batch",
        ),
        (
            SIZES + "\n" + TOTALS,
            (SIZES + "\n" + TOTALS).replace("self.rate)", "1.0)"),
            "you keep nothing of earlier batches: size and total go a share `rate` of the way",
        ),
        (
            TOTALS,
            "",
            "you do not move `total`",
        ),
        (
            SIZES,
            "self.size.lerp_((torch.bincount(tokens, minlength=count) / len(x)).to(x.dtype), "
            "self.rate)",
            "your `size` follows frequencies: it is how many vectors, as `total` is their sum",
        ),
        (
            SMOOTH,
            "self.size",
            "your sizes are not smoothed: a code that nothing uses is divided by 0",
        ),
        (
            SMOOTH,
            "self.size + self.eps",
            "you only add ε: smoothed sizes keep their sum, × Σ size ÷ (Σ size + K ε)",
        ),
        (
            " * everything",
            "",
            "your smoothed sizes are shares of 1: multiply with Σ size",
        ),
        (
            "everything + count * self.eps",
            "everything + self.eps",
            "you add ε once below, but to each of K sizes above: it is Σ size + K ε",
        ),
        (
            "self.size + self.eps",
            "self.size",
            "you add K ε below but nothing to the sizes above: a size of 0 stays 0",
        ),
        (
            CODES,
            "self.size.copy_(smooth)\n        " + CODES,
            "you keep the smoothed sizes: `size` is the average itself",
        ),
        (
            "        " + CODES + "\n",
            "",
            "you move size and total, but not the codes: a code is its total ÷ its size",
        ),
        (
            "self.total / smooth[:, None]",
            "self.total",
            "your codes are sums: divide by the smoothed sizes",
        ),
        (
            CODES,
            "mean = " + SUMS + " / torch.bincount(tokens, minlength=count)[:, None]\n"
            "        self.codes.copy_(torch.where(mean.isnan(), self.codes, "
            "self.codes.lerp(mean, self.rate)))",
            "you move each code towards the mean of its vectors: a code is total ÷ size, where one "
            "vector counts as much as another",
        ),
        (
            "self.total.lerp_(" + SUMS + ", self.rate)",
            "used = tokens.unique()\n"
            "        self.total[used] = self.total[used].lerp(" + SUMS + "[used], self.rate)",
            "your `total` fades only where a batch has vectors: an unused code's sum goes towards "
            "0, like its size",
        ),
        (
            SIZES + "\n" + TOTALS,
            (SIZES + "\n" + TOTALS).replace("self.rate)", "0.01)"),
            "you write the rate into the code: it is `self.rate`",
        ),
        (
            SMOOTH,
            SMOOTH.replace("self.eps", "1e-5"),
            "you write ε into the code: it is `self.eps`",
        ),
        (
            SIZES,
            "if not self.training:\n            return\n        " + SIZES,
            "in evaluation mode you move nothing: codebooks follow whenever they are asked to",
        ),
    ],
    "4.25": [
        (
            LEFT,
            "rest, total = rest - (rest + (code - rest).detach()), total + code",
            "after the first layer your residual has no gradient: it is detached, or less a code "
            "that carries it straight through. So later commitments pull at nothing",
        ),
        (
            LAST,
            LAST.replace("total + code", "total + rest + (code - rest).detach()").replace(
                "z + (total - z).detach()", "total"
            ),
            "you go straight through at every layer and add that up: the gradient comes back once "
            "for each layer. One straight-through, for the sum",
        ),
        (
            "return z + (total - z).detach(),",
            "return total,",
            "no gradient comes through: the codes are constants. The result is z plus a constant, "
            "whose value is the sum of the codes",
        ),
        (
            "return z + (total - z).detach(),",
            "return z.detach() + (total - z),",
            "you detach the wrong one: the gradient comes back with a minus sign",
        ),
        (
            "return z + (total - z).detach(),",
            "return z,",
            "you return z as it was: the value is the sum of the codes",
        ),
        (
            "return z + (total - z).detach(),",
            "return z + total.detach(),",
            "you add the codes to z: the value is the sum of the codes alone, the gradient z's",
        ),
        (
            LEFT,
            "total = total + code",
            "every layer of yours quantises z: from the second on it is what the others have left",
        ),
        (
            LEFT,
            "rest, total = rest + code, total + code",
            "you add the code to the residual: it is what is left, the difference",
        ),
        (
            LEFT,
            "rest, total = rest - code, code",
            "your result is the last layer's code: it is the sum of all layers' codes",
        ),
        (
            LEFT,
            "rest, total = code, total + code",
            "you pass the code on to the next layer: pass on what is left",
        ),
        (
            "(rest - code).square()",
            "(rest.detach() - code).square()",
            "you detach the residual: the commitment pulls at z, the codes are what stays",
        ),
        (
            ".square().mean())",
            ".square().sum())",
            "you add up the squares: commitment is their mean over N and E",
        ),
        (
            ".square().mean())",
            ".square().sum(-1).mean())",
            "you add up over the units: commitment is the mean over N and over E",
        ),
        (
            COMMIT,
            "commitment.append((rest - code).abs().mean())",
            "you take absolute differences: commitment has their squares",
        ),
        (
            COMMIT,
            "commitment.append((z - code).square().mean())",
            "you compare z with each layer's code: compare what that layer quantises, the residual",
        ),
        (
            "torch.stack(commitment)",
            "torch.stack(commitment).sum()",
            "you add up the layers' commitments: return one number for each layer",
        ),
        (
            "torch.stack(commitment)",
            "torch.stack(commitment) * torch.tensor(COMMITMENT[: len(commitment)]).to(z)",
            "you weigh the commitments already: return them as they are",
        ),
        (
            "torch.stack(tokens, -1)",
            "torch.stack(tokens)",
            "your tokens are (L, N): they are (N, L)",
        ),
        (
            "in self.books:",
            "in reversed(self.books):",
            "you begin with the last layer",
        ),
        (
            "in self.books:",
            "in [self.books[0]] * len(self.books):",
            "you use the first codebook in every layer",
        ),
        (
            COMMIT,
            COMMIT + "\n            book.follow(rest, token)",
            "your codebooks move while they quantise: `learn` does that",
        ),
        (
            THROUGH,
            "return torch.stack(tokens, -1), z + (total - z).detach(), torch.stack(commitment)",
            "you return the tokens first: quantised, tokens, commitment",
        ),
        (
            THROUGH,
            "if not self.training:\n            return total, "
            "torch.stack(tokens, -1), torch.stack(commitment)\n        " + THROUGH,
            "in evaluation mode no gradient comes through: both modes are alike",
        ),
        (
            THROUGH,
            "if not self.training:\n            commitment = [x.detach() for x in commitment]\n"
            "        " + THROUGH,
            "in evaluation mode your commitments have no gradient: both modes are alike",
        ),
        (
            "in self.books:",
            "in self.books[:3]:",
            "you take three layers, however many there are",
        ),
        (
            "book.codes[token].detach()",
            "book.codes.requires_grad_()[token]",
            "you make the codes ask for a gradient: `learn` moves them, no optimiser",
        ),
        (
            "return z + (total - z).detach(),",
            "return z + (total - z).detach() + (z - total).detach() * torch.randn_like(z),",
            "you add noise in the place of the error: the value is the sum of the codes itself",
        ),
    ],
}
