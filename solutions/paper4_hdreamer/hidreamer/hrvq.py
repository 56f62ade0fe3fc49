"""Vectors → three tokens: residual vector quantisation with codebooks that follow their data.

    r_0 = z;   i_l = the code nearest to r_l;   r_{l+1} = r_l - C_l[i_l];   z ≈ Σ_l C_l[i_l]

Each layer quantises what the one before has left. Sources: van den Oord et al. 2017,
arXiv:1711.00937 (quantisation, straight-through, moving averages); Zeghidour et al. 2021,
arXiv:2107.03312 (residual layers, k-means as a start, revival of codes that nobody uses).

Letters: N vectors, E units (384), K codes of a layer (256), L layers (3).
"""

import torch
from torch import Tensor, nn

COMMITMENT = (0.05, 0.25, 0.60)


def assign(x: Tensor, codes: Tensor) -> Tensor:
    """The number of the nearest code, by Euclidean distance. (N, E), (K, E) → (N,) int64

    Of codes that are equally near the one with the lowest number.
    """
    # EXERCISE 4.22: squared distances without their common part, then the smallest
    distance = codes.square().sum(-1) - 2 * x @ codes.T  # |x|² is the same for all codes
    return distance.argmin(-1)
    # END 4.22


def perplexity(tokens: Tensor, count: int) -> float:
    """How many codes are used in effect: exp(-Σ p log p). 1 for one code, K for all alike.

    tokens   integers of any shape, 0 to count - 1: all of them together
    return   a Python number, from 1 to count

    p are the frequencies, log is the natural one; codes that do not occur add nothing.
    """
    # EXERCISE 4.23: frequencies, entropy, exp
    share = torch.bincount(tokens.flatten(), minlength=count) / tokens.numel()
    share = share[share > 0]
    return float((-(share * share.log()).sum()).exp())
    # END 4.23


def kmeans(x: Tensor, count: int, generator: torch.Generator, rounds: int = 10) -> Tensor:
    """Lloyd's algorithm from random rows of x. (N, E) → (count, E)"""
    rows = torch.randperm(len(x), generator=generator)[:count]
    codes = x[rows.repeat(-(-count // len(rows)))[:count]].clone()
    for _ in range(rounds):
        nearest = assign(x, codes)
        size = torch.bincount(nearest, minlength=count)
        total = torch.zeros_like(codes).index_add_(0, nearest, x)
        codes = torch.where(size[:, None] > 0, total / size[:, None].clamp(min=1), codes)
    return codes


class Codebook(nn.Module):
    """K codes that are moving averages of the vectors they stand for. No optimiser moves them.

    codes    (K, E)   total ÷ smoothed size
    size     (K,)     moving average of how many vectors of a batch were nearest
    total    (K, E)   moving average of the sum of these vectors
    """

    def __init__(self, count: int, units: int, rate: float = 0.01, eps: float = 1e-5):
        super().__init__()
        self.rate, self.eps = rate, eps
        self.register_buffer("codes", torch.randn(count, units))
        self.register_buffer("size", torch.ones(count))
        self.register_buffer("total", self.codes.clone())

    @torch.no_grad()
    def start(self, x: Tensor, generator: torch.Generator) -> None:
        """Begin with k-means of x (N, E)."""
        self.codes.copy_(kmeans(x, len(self.codes), generator))
        self.size.fill_(1.0)
        self.total.copy_(self.codes)

    @torch.no_grad()
    def follow(self, x: Tensor, tokens: Tensor) -> None:
        """One step of the averages. x (N, E) and the numbers of their codes (N,)

        `size` and `total` go the share `self.rate` of the way to this batch's counts and sums,
        which are 0 for codes that it does not use. Then a code is its new total ÷ its new size,
        where sizes are smoothed so that none is 0: (size + ε) / (Σ size + K ε) · Σ size, with ε =
        `self.eps`. The smoothed sizes are not kept: `self.size` is the plain average. In training
        and evaluation mode alike.
        """
        # EXERCISE 4.24: counts and sums of this batch, both averages, then the codes
        count = len(self.codes)
        self.size.lerp_(torch.bincount(tokens, minlength=count).to(x.dtype), self.rate)
        self.total.lerp_(torch.zeros_like(self.total).index_add_(0, tokens, x), self.rate)
        everything = self.size.sum()
        smooth = (self.size + self.eps) / (everything + count * self.eps) * everything
        self.codes.copy_(self.total / smooth[:, None])
        # END 4.24

    @torch.no_grad()
    def revive(self, x: Tensor, generator: torch.Generator, least: float = 1.0) -> int:
        """Give codes that hardly any vector uses the place of a random one. How many there were.

        x   (N, E)   vectors of *this* layer: residuals, from the second layer on
        """
        dead = torch.nonzero(self.size < least)[:, 0]
        rows = torch.randint(len(x), (len(dead),), generator=generator)
        self.codes[dead] = self.total[dead] = x[rows]
        self.size[dead] = 1.0
        return len(dead)


class HRVQ(nn.Module):
    """L codebooks, each for what is left by those before."""

    def __init__(self, units: int = 384, count: int = 256, layers: int = 3):
        super().__init__()
        self.books = nn.ModuleList(Codebook(count, units) for _ in range(layers))

    @torch.no_grad()
    def start(self, z: Tensor, generator: torch.Generator) -> None:
        """k-means layer by layer, each on the residuals of the one before. z (N, E)"""
        for book in self.books:
            book.start(z, generator)
            z = z - book.codes[assign(z, book.codes)]

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise. Gradients of the result are those of z: one straight-through for the sum.

        z        (N, E)
        return   quantised (N, E), the sum of the codes; tokens (N, L) int64; commitment (L,), for
                 each layer the squared difference of residual and code, its mean over N and E,
                 with gradient into z alone; no weights yet

        The codes carry no gradient, neither to the residuals of the next layer nor to the sum. So
        the Jacobian of `quantised` is the identity, and every layer's commitment pulls at z.
        Codebooks stay as they are: `learn` moves them. In training and evaluation mode alike.
        """
        # EXERCISE 4.25: layer by layer on the residual; then one straight-through (needs 4.22)
        rest, total, tokens, commitment = z, torch.zeros_like(z), [], []
        for book in self.books:
            token = assign(rest.detach(), book.codes)
            code = book.codes[token].detach()
            commitment.append((rest - code).square().mean())
            rest, total = rest - code, total + code
            tokens.append(token)
        return z + (total - z).detach(), torch.stack(tokens, -1), torch.stack(commitment)
        # END 4.25

    def decode(self, tokens: Tensor) -> Tensor:
        """The sum of the codes of the first layers. (..., up to L) → (..., E)"""
        return sum(book.codes[x] for book, x in zip(self.books, tokens.unbind(-1), strict=False))

    @torch.no_grad()
    def learn(self, z: Tensor, generator: torch.Generator) -> int:
        """One batch: codebooks follow their residuals, unused codes are revived. How many were."""
        revived = 0
        for book in self.books:
            token = assign(z, book.codes)
            rest = z - book.codes[token]
            book.follow(z, token)
            revived += book.revive(z, generator)
            z = rest
        return revived


@torch.no_grad()
def unexplained(hrvq: HRVQ, z: Tensor) -> list[float]:
    """Share of the variance of z (N, E) that is left after 1, 2, … layers."""
    tokens = hrvq(z)[1]
    variance = (z - z.mean(0)).square().sum(-1).mean()
    prefixes = (tokens[:, : i + 1] for i in range(tokens.shape[1]))
    return [float((z - hrvq.decode(x)).square().sum(-1).mean() / variance) for x in prefixes]


if __name__ == "__main__":
    import course

    course.run(__file__)
