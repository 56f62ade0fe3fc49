"""From pictures to unit vectors: a convolutional encoder that learns by telling moments apart.

A pair is a picture and the one after it. The encoder is to recognise its own partner among those of
a batch (InfoNCE, van den Oord et al. 2018, arXiv:1807.03748). What the others are decides what is
learned: where they come from other games or levels, the score and the wall are enough.

Letters: B pairs of a batch, C channels (a stack of the newest pictures), E embedding (384).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING = 384


class Encoder(nn.Module):
    """Stacked pictures → unit vectors: the trunk of Mnih et al. 2015 and a head of two layers.

    (..., C, size, size) uint8 → (..., E). 1,881,888 parameters for 4 pictures of 84×84.
    """

    def __init__(self, channels: int = 4, size: int = 84, units: int = 512):
        super().__init__()
        shapes = ((8, 4), (4, 2), (3, 1)) if size >= 64 else ((4, 2), (4, 2), (3, 1))
        if size < 24:  # kernel, stride, padding: small pictures keep their detail
            shapes = ((3, 1, 1), (3, 2, 1), (3, 1, 1))
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, 32, *shapes[0]), nn.ReLU(),
            nn.Conv2d(32, 64, *shapes[1]), nn.ReLU(),
            nn.Conv2d(64, 64, *shapes[2]), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        width = self.trunk(torch.zeros(1, channels, size, size)).shape[1]
        self.head = nn.Sequential(
            nn.Linear(width, units), nn.ReLU(), nn.Linear(units, EMBEDDING), nn.LayerNorm(EMBEDDING)
        )

    def forward(self, picture: Tensor) -> Tensor:
        lead = picture.shape[:-3]
        x = picture.reshape(-1, *picture.shape[-3:]).float() / 255
        return F.normalize(self.head(self.trunk(x)), dim=-1).reshape(*lead, EMBEDDING)


def negative_mask(game: Tensor, episode: Tensor, step: Tensor, margin: int) -> Tensor:
    """Which other partners count as wrong answers.

    game, episode, step   (B,) integers of each pair, in any order and as large as they like;
                          episodes are numbered within a game: 0 of one and 0 of another are two
    margin                steps; what is nearer in the same episode looks alike and is no mistake
    return                (B, B) bool   [i, j]: partner j is a candidate for i; the diagonal is True

    j is one for i if it is i's own, of another game, of another episode, or `margin` steps or more
    away, before or after. So [i, j] and [j, i] are the same.
    """
    # EXERCISE 4.20: own partner, or far enough away
    # TODO: your code here (the reference takes 3 lines)
    raise NotImplementedError("exercise 4.20")
    # END 4.20


def info_nce(anchor: Tensor, partner: Tensor, candidates: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding one's partner, and of the partner finding its anchor.

    anchor, partner   (B, E)   unit vectors: their product is the similarity, as they are
    candidates        (B, B) bool   from `negative_mask`: symmetric, with a diagonal of True
    return            scalar of the dtype of both, nats; log B minus it is a lower bound of their
                      mutual information

    Similarities are divided by the temperature; what is no candidate takes no part, in either
    direction, and gets no gradient. A mean over all pairs, also those without another candidate
    (they add 0), and the mean of both directions; gradients go to both sides. The loss is right in
    float32 where the encoder is sure and wrong, at temperatures down to 0.01: a share of e^-200
    has a logarithm, though it is 0 as a number.
    """
    # EXERCISE 4.21: similarities, masked; cross-entropy with the diagonal, over rows and columns
    # TODO: your code here (the reference takes 3 lines)
    raise NotImplementedError("exercise 4.21")
    # END 4.21


# --- what is said of embeddings -------------------------------------------------------------------


def temporal_ratio(z: Tensor, is_first: Tensor, generator: torch.Generator) -> float:
    """Distance of neighbouring moments ÷ that of random ones. Small is called smooth.

    z          (N, E)   in the order of time
    is_first   (N,)     1 where an episode begins: no pair goes across
    """
    near = (z[1:] - z[:-1]).norm(dim=-1)[is_first[1:] == 0].mean()
    other = z[torch.randperm(len(z), generator=generator)]
    return float(near / (z - other).norm(dim=-1).mean())


def diversity(z: Tensor, generator: torch.Generator) -> float:
    """Mean distance of random pairs. For unit vectors at most √2, where their mean is 0."""
    other = z[torch.randperm(len(z), generator=generator)]
    return float((z - other).norm(dim=-1).mean())


if __name__ == "__main__":
    import course

    course.run(__file__)
