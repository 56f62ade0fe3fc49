"""Checks of the contrastive encoder: who counts as a wrong answer, and InfoNCE.

InfoNCE is van den Oord et al. 2018, arXiv:1807.03748, eq. 4, in both directions.
"""

import math

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular
from tests.paper4.hidreamer.oracle_encoder import candidates, info_nce

# --- 4.20 negative_mask ---------------------------------------------------------------------------

BOTH = ([7, 4, 7, 7, 4, 7, 4, 9, 7, 9, 4, 7], [0, 3, 1, 0, 0, 1, 3, 0, 0, 0, 3, 2])  # game, episode
STEPS = [12, 3, 5, 9, 12, 4, 7, 11, 19, 14, 2, 8]


def masked(code, game, episode, step, margin, dtype=torch.int64):
    numbers = (torch.tensor(x, dtype=dtype) for x in (game, episode, step))
    return code.hidreamer.encoder.negative_mask(*numbers, margin)


def excluded(mask) -> list:
    """The places [i, j] that are False, if it is a mask of pairs."""
    return [] if mask.dim() != 2 else torch.nonzero(mask == 0).tolist()


@check(
    "4.20",
    "what is less than `margin` steps away in the same episode of the same game is no candidate",
    "game 0 0 0 0 1 1 1, episode 0 0 0 1 0 0 0, step 3 5 8 4 5 30 29; margin 3: pairs 0 and 1 are "
    "too near, and 5 and 6",
)
def candidates_by_hand(code):
    numbers = [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0], [3, 5, 8, 4, 5, 30, 29]
    got = masked(code, *numbers, 3)
    yield "shape", tuple(got.shape), (7, 7)
    yield "is it bool?", got.dtype == torch.bool, True
    yield "no candidates, [i, j]", excluded(got), [[0, 1], [1, 0], [5, 6], [6, 5]]
    want = [[{i, j} not in ({0, 1}, {5, 6}) for j in range(7)] for i in range(7)]
    yield "candidates", got, want


@check(
    "4.20",
    "exactly `margin` steps are enough, in both directions of time; one's own partner always "
    "counts",
    "one episode, steps 9 4 6 5 2; margins 0 to 3 and 100. Then a single pair",
)
def margins(code):
    step = [9, 4, 6, 5, 2]
    for margin in (0, 1, 2, 3, 100):
        want = candidates([2] * 5, [3] * 5, step, margin)
        got = masked(code, [2] * 5, [3] * 5, step, margin)
        yield f"candidates for the margin {margin}", got, want
    twice = masked(code, [2, 2, 2], [3, 3, 3], [6, 6, 8], 1)
    yield "steps 6 6 8, margin 1", twice, [[True, False, True], [False, True, True], [True] * 3]
    yield "a single pair", masked(code, [5], [1], [17], 4), [[True]]


@check(
    "4.20",
    "an episode's number counts within its game, and the order of pairs does not matter",
    "12 pairs of 3 games: 7 4 7 7 4 7 4 9 7 9 4 7, episode 0 3 1 0 0 1 3 0 0 0 3 2, step 12 3 5 9 "
    "12 4 7 11 19 14 2 8; margins 1, 3, 4, 8; int64 and int32",
)
def candidates_of_three_games(code):
    for margin in (1, 3, 4, 8):
        want = candidates(*BOTH, STEPS, margin)
        yield f"candidates for the margin {margin}", masked(code, *BOTH, STEPS, margin), want
    got = masked(code, *BOTH, STEPS, 4, torch.int32)
    yield "candidates, of int32", got, candidates(*BOTH, STEPS, 4)
    numbers = [torch.tensor(x) for x in (*BOTH, STEPS)]
    code.hidreamer.encoder.negative_mask(*numbers, 4)
    yield "game, episode, step after the call", [x.tolist() for x in numbers], [*BOTH, STEPS]


# All others at step 32600 or 32856; then 24 moments of one episode.
MANY = [(i % 3, (0, 1, 10, 60, 100, 1000)[i // 3 % 6], 32600 + 256 * (i // 18)) for i in range(36)]
MANY += [(1, 7, 32600 + 5 * i % 29) for i in range(24)]


@check(
    "4.20",
    "numbers may be large: no two episodes become one, and no step is rounded",
    "60 pairs: episodes 0 1 10 60 100 1000 of games 0 to 2, each at steps 32600 and 32856; 24 "
    "moments of episode 7 of game 1, steps 32600 to 32628; margin 8",
)
def candidates_of_large_numbers(code):
    numbers = [list(x) for x in zip(*MANY, strict=True)]
    got, want = masked(code, *numbers, 8), candidates(*numbers, 8)
    yield "shape", tuple(got.shape), (60, 60)
    if tuple(got.shape) != (60, 60):
        return
    wrong = [[i, j] for i, row in enumerate(want) for j in range(60) if bool(got[i, j]) != row[j]]
    yield "pairs [i, j] that are wrong", wrong, []


# --- 4.21 info_nce --------------------------------------------------------------------------------

B, E = 5, 3
NEAR = {(0, 3), (3, 0), (1, 2), (2, 1), (2, 4), (4, 2)}
MASK = [[(i, j) not in NEAR for j in range(B)] for i in range(B)]


def unit(*shape, phase):
    x = irregular(*shape, phase=phase)
    return x / x.norm(dim=-1, keepdim=True)


def loss_of(code, anchor, partner, mask, temperature: float):
    return code.hidreamer.encoder.info_nce(anchor, partner, torch.as_tensor(mask), temperature)


def everyone(size: int) -> list:
    return [[True] * size] * size


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


@check(
    "4.21",
    "for each anchor -log softmax of its own partner, for each partner of its own anchor; the mean",
    "anchors [1 0] [0 1], partners [.6 .8] [.28 .96]: similarities .6 .28 | .8 .96; temperatures "
    ".5, 1 and .1",
)
def two_pairs(code):
    anchor, partner = torch.eye(2, dtype=F64), torch.tensor([[0.6, 0.8], [0.28, 0.96]], dtype=F64)
    for t in (0.5, 1.0, 0.1):
        rows = softplus((0.28 - 0.6) / t) + softplus((0.8 - 0.96) / t)
        columns = softplus((0.8 - 0.6) / t) + softplus((0.28 - 0.96) / t)
        got = loss_of(code, anchor, partner, everyone(2), t)
        yield f"loss for the temperature {t:g}", got, (rows + columns) / 4


@check(
    "4.21",
    "log B where nothing can be told apart, almost 0 where all is orthogonal, 0 without others",
    "5 pairs of the same vector; 4 orthogonal pairs, temperature .1: log(1 + 3 e^-10); 3 pairs "
    "with no candidate but their own; a single pair",
)
def extremes(code):
    same = torch.tensor([[0.6, 0.0, -0.8]], dtype=F64).expand(5, 3)
    yield "loss of 5 that are the same", loss_of(code, same, same, everyone(5), 0.1), math.log(5)
    apart = torch.eye(4, dtype=F64)
    want = math.log(1 + 3 * math.exp(-10))
    yield "loss of 4 orthogonal pairs", loss_of(code, apart, apart, everyone(4), 0.1), want, 1e-9
    alone = torch.eye(3, dtype=torch.bool)
    a, p = unit(3, E, phase=1.0), unit(3, E, phase=2.0)
    yield "loss of 3 without other candidates", loss_of(code, a, p, alone, 0.2), 0.0, 1e-9
    yield "loss of a single pair", loss_of(code, a[:1], p[:1], [[True]], 0.2), 0.0, 1e-9


@check(
    "4.21",
    "what is no candidate takes no part; both sides have their gradient",
    "5 irregular pairs, E = 3, temperature .3; 0 and 3, 1 and 2, 2 and 4 are no candidates for "
    "each other. Then temperature .7 with all candidates",
)
def loss_of_irregular_numbers(code):
    anchor, partner = unit(B, E, phase=1.0), unit(B, E, phase=2.0)
    for mask, t in ((MASK, 0.3), (everyone(B), 0.7)):
        inputs = [x.clone().requires_grad_() for x in (anchor, partner)]
        got = loss_of(code, *inputs, mask, t)
        rows = [x.tolist() for x in (anchor, partner)]
        yield f"loss for the temperature {t:g}", got, info_nce(*rows, mask, t)

        def slow(i: int, numbers: list, rows=rows, mask=mask, t=t) -> float:
            rows = list(rows)
            rows[i] = [numbers[k : k + E] for k in range(0, B * E, E)]
            return info_nce(*rows, mask, t)

        found = gradients(got, *inputs)
        for i, name in enumerate(("anchor", "partner")):
            want = oracle.slopes(lambda x, i=i: slow(i, x), sum(rows[i], []))
            yield f"gradient to {name}, temperature {t:g}", found[i].flatten(), want


@check(
    "4.21",
    "a partner that nobody else is asked about changes nothing and gets no gradient",
    "4 irregular pairs; the last is a candidate for none of the others, nor they for it; then its "
    "partner is another one",
)
def masked_pairs(code):
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[3, :3] = mask[:3, 3] = False
    anchor, partner = (unit(4, E, phase=p).requires_grad_() for p in (3.0, 4.0))
    before = [x.detach().clone() for x in (anchor, partner, mask)]
    loss = loss_of(code, anchor, partner, mask, 0.4)
    rows = [x.tolist() for x in (anchor, partner)]
    yield "loss, a mean over all 4", loss, info_nce(*rows, mask.tolist(), 0.4)
    found = gradients(loss, anchor, partner)
    yield "gradient to the last anchor", found[0][3], [0.0] * E, 1e-12
    yield "gradient to the last partner", found[1][3], [0.0] * E, 1e-12
    other = partner.detach().clone()
    other[3] = anchor.detach()[0]
    changed = loss_of(code, anchor.detach(), other, mask, 0.4)
    yield "loss with another partner, less the loss", changed - loss, 0.0, 1e-12
    now = zip(["anchor", "partner", "candidates"], (anchor, partner, mask), before, strict=True)
    unequal = [name for name, new, old in now if not torch.equal(new, old)]
    yield "inputs that were changed by the calls", unequal, []


@check(
    "4.21",
    "who is sure and wrong loses 2 ÷ temperature, in float32 too",
    "anchors [1 0] [-1 0], partners the other way round; temperatures .1 and .01: log(1 + e^20) "
    "and log(1 + e^200)",
)
def sure_and_wrong(code):
    anchor = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    for t in (0.1, 0.01):
        want = 2 / t + math.log(1 + math.exp(-2 / t))
        yield f"loss, temperature {t:g}", loss_of(code, anchor, -anchor, everyone(2), t), want


@check("4.21", "a scalar of the inputs' kind", "5 irregular pairs, float32 and float64")
def kind_of_loss(code):
    for dtype in (torch.float32, F64):
        pairs = [unit(B, E, phase=p).to(dtype) for p in (1.0, 2.0)]
        got = loss_of(code, *pairs, MASK, 0.3)
        yield "shape", tuple(got.shape), ()
        yield "is the dtype the inputs'?", got.dtype == dtype, True
        want = info_nce(*(x.tolist() for x in pairs), MASK, 0.3)
        yield f"loss of {dtype}", got, want
