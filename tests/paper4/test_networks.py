"""Checks of hDreamer's networks: the residual posterior, and what is measured of the levels.

Sources: residual posteriors, arXiv:2007.03898, section 3.2; everything else is this model's own
definition, as the docstrings give it.
"""

import math

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular

# --- 4.1 residual_logits --------------------------------------------------------------------------

PRIOR = [[2.0, -1.0, 30.0], [0.5, 4.0, -7.0]]
DELTA = [[1.0, 0.25, -3.0], [-2.0, 0.5, 6.0]]


def by_entry(function, *rows):
    """function(x, y, ...) of nested lists, number by number."""
    if not isinstance(rows[0], list):
        return function(*rows)
    return [by_entry(function, *x) for x in zip(*rows, strict=True)]


@check(
    "4.1",
    "posterior logits = g · prior logits + delta, entry by entry",
    "2 categoricals of 3 classes: prior [2 -1 30], [.5 4 -7], delta [1 .25 -3], [-2 .5 6]; "
    "g = 1, 0, 1.5, -.5 and .5",
)
def prior_plus_delta(code):
    prior, delta = torch.tensor(PRIOR, dtype=F64), torch.tensor(DELTA, dtype=F64)
    wanted = {
        1.0: [[3.0, -0.75, 27.0], [-1.5, 4.5, -1.0]],
        0.0: DELTA,
        1.5: [[4.0, -1.25, 42.0], [-1.25, 6.5, -4.5]],
        -0.5: [[0.0, 0.75, -18.0], [-2.25, -1.5, 9.5]],
        0.5: [[2.0, -0.25, 12.0], [-1.75, 2.5, 2.5]],
    }
    for gate, want in wanted.items():
        gate = torch.tensor(gate, dtype=F64)
        for note in ("", ", again"):
            got = code.networks.residual_logits(prior, delta, gate)
            yield f"logits, g = {gate.item():g}{note}", got, want
    yield "prior after the calls", prior, PRIOR
    yield "delta after the calls", delta, DELTA
    yield "g after the calls", gate, 0.5


@check(
    "4.1",
    "where the delta is 0 and g is 1 the posterior is the prior, to the last digit",
    "prior (2, 3, 2, 5), (1, 1, 1, 4) and (3, 2) of float32, delta 0; no tolerance",
)
def no_delta(code):
    for shape in ((2, 3, 2, 5), (1, 1, 1, 4), (3, 2)):
        prior = 9 * irregular(*shape, dtype=torch.float32)
        got = code.networks.residual_logits(prior, torch.zeros(shape), torch.ones(()))
        yield f"shape for {shape}", tuple(got.shape), shape
        yield f"dtype for {shape}", str(got.dtype), "torch.float32"
        yield f"largest difference for {shape}", float((got - prior).abs().max()), 0.0, 0


@check(
    "4.1",
    "the delta and the gate learn, the prior does not: here it is a constant",
    "B=2, T=1, S=3, K=4, g = .7, then 1, 0 and -.4; the loss is Σ w · logits: its gradient is w "
    "for the delta, Σ w · prior for the gate, whatever it is, and 0 for the prior",
)
def gradients_of_the_residual(code):
    prior, delta, w = (irregular(2, 1, 3, 4, phase=x) for x in (0.0, 1.0, 2.0))
    prior.requires_grad_()
    delta.requires_grad_()
    flat = zip(w.flatten().tolist(), prior.flatten().tolist(), strict=True)
    slope = sum(a * b for a, b in flat)
    for g in (0.7, 1.0, 0.0, -0.4):
        gate = torch.tensor(g, dtype=F64, requires_grad=True)
        loss = (w * code.networks.residual_logits(prior, delta, gate)).sum()
        of_prior, of_delta, of_gate = gradients(loss, prior, delta, gate)
        yield f"gradient of the prior, g = {g:g}", of_prior, torch.zeros_like(w)
        yield f"gradient of the delta, g = {g:g}", of_delta, w
        yield f"gradient of the gate, g = {g:g}", of_gate, slope


@check(
    "4.1",
    "the prior stays what it was to everyone else: the dynamics loss still trains it",
    "S=2, K=3; prior = 2 x; after the call the gradient of Σ w · prior in x is 2 w",
)
def prior_of_the_others(code):
    x, w = irregular(2, 3).requires_grad_(), irregular(2, 3, phase=1.0)
    prior = 2 * x
    code.networks.residual_logits(prior, irregular(2, 3, phase=2.0), torch.ones((), dtype=F64))
    yield "gradient of x", gradients((w * prior).sum(), x)[0], 2 * w


# --- 4.2 code_perplexity --------------------------------------------------------------------------


def one_hot(codes, classes: int, dtype=F64):
    """Nested lists of class numbers as one-hot vectors."""
    return torch.eye(classes, dtype=dtype)[torch.tensor(codes)]


def probabilities(*shape, phase=0.0):
    """Unlike each other, none of them 0. (..., S, K)"""
    return torch.softmax(3 * irregular(*shape, phase=phase), -1)


@check(
    "4.2",
    "sure of another class at each step: as many classes as there are steps, though no step is "
    "uncertain",
    "4 steps, K=4, one-hot; 3 categoricals with the classes [0 1 2 3], [2 2 2 2], [1 1 3 1]",
)
def sure_of_another_class(code):
    probs = one_hot([[0, 2, 1], [1, 2, 1], [2, 2, 3], [3, 2, 1]], 4)
    want = [4.0, 1.0, math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))]
    before = probs.tolist()
    for note in ("", ", again"):
        yield f"perplexity (S,){note}", code.networks.code_perplexity(probs), want
    yield "probabilities after the calls", probs, before


@check(
    "4.2",
    "exp of the entropy of the average distribution, for each categorical by itself",
    "S=2, K=3; two rows: [.5 .5 0], [.2 .3 .5] and [.1 .9 0], [.6 .1 .3]",
)
def two_rows(code):
    rows = [[[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], [[0.1, 0.9, 0.0], [0.6, 0.1, 0.3]]]
    got = code.networks.code_perplexity(torch.tensor(rows, dtype=F64))
    yield "shape", tuple(got.shape), (2,)
    average = [[0.3, 0.7, 0.0], [0.4, 0.2, 0.4]]
    yield "perplexity", got, [oracle.perplexity(p) for p in average]
    got = code.networks.code_perplexity(torch.tensor(rows, dtype=torch.float32))
    yield "dtype of float32", str(got.dtype), "torch.float32"


@check(
    "4.2",
    "all leading dimensions are rows, and each row counts the same",
    "S=3, K=5; shapes (4, 3, 5), (2, 3, 3, 5), (2, 1, 3, 3, 5) and a single row, (1, 1, 3, 5)",
)
def leading_dimensions_of_codes(code):
    for lead in ((4,), (2, 3), (2, 1, 3), (1, 1)):
        probs = probabilities(*lead, 3, 5, phase=float(len(lead)))
        rows = probs.flatten(0, -3).tolist()
        want = [oracle.perplexity(oracle.average([row[s] for row in rows])) for s in range(3)]
        yield f"perplexity of {(*lead, 3, 5)}", code.networks.code_perplexity(probs), want


# --- 4.3 switch_rate ------------------------------------------------------------------------------

# Classes of 3 categoricals at 5 steps of two sequences, K=4.
STEPS = [
    [[0, 1, 2], [0, 3, 2], [1, 3, 0], [1, 3, 0], [1, 3, 3]],
    [[2, 2, 1], [0, 1, 3], [0, 1, 3], [3, 1, 3], [3, 1, 3]],
]
CHANGED = [[1, 2, 0, 1], [3, 0, 1, 0]]  # of 3, between neighbours


def flags(*firsts, length=5, count=2):
    """is_first (B, T): 1 at the (sequence, step) pairs given."""
    found = torch.zeros(count, length, dtype=F64)
    for b, t in firsts:
        found[b, t] = 1
    return found


@check(
    "4.3",
    "the share of categoricals whose class is another one than a step before",
    "B=2, T=5, S=3, K=4, one episode each; between neighbours [1 2 0 1] and [3 0 1 0] of 3 change: "
    "8 of 24",
)
def changes_between_neighbours(code):
    z, is_first = one_hot(STEPS, 4), flags()
    before = z.tolist()
    for note in ("", ", again"):
        yield f"rate{note}", code.networks.switch_rate(z, is_first), 8 / 24
    yield "z after the calls", z, before
    yield "is_first after the calls", is_first, flags()
    for b, want in ((0, 4 / 12), (1, 4 / 12)):
        got = code.networks.switch_rate(z[b : b + 1], is_first[b : b + 1])
        yield f"rate of sequence {b} alone", got, want
    yield "rate of its first two steps", code.networks.switch_rate(z[1:, :2], flags()[1:, :2]), 1.0
    got = code.networks.switch_rate(one_hot(STEPS, 4, torch.float32), flags().float())
    yield "rate in float32", got, 8 / 24


@check(
    "4.3",
    "a step that begins an episode is not compared with the one before: the pair does not count",
    "the same steps; episodes begin at steps 0 and 1 of sequence 1 (3 of 3 would change there), "
    "then also at steps 3 and 4 of sequence 0; a pair counts 1 whichever sequence it is of",
)
def changes_within_episodes(code):
    z = one_hot(STEPS, 4)
    for firsts in (
        [(1, 0), (1, 1)],
        [(1, 0), (1, 1), (0, 0), (0, 3), (0, 4)],
        [(0, 1), (0, 2), (0, 3)],
        [(1, 4)],
    ):
        pairs = [(b, t) for b in (0, 1) for t in (1, 2, 3, 4) if (b, t) not in firsts]
        want = sum(CHANGED[b][t - 1] for b, t in pairs) / (3 * len(pairs))
        name = ", ".join(f"({b}, {t})" for b, t in firsts)
        yield f"rate, is_first at {name}", code.networks.switch_rate(z, flags(*firsts)), want


@check(
    "4.3",
    "the first flag of a sequence says nothing: there is no step before",
    "the same steps; is_first 0 or 1 at step 0 of each sequence: 8 of 24",
)
def first_flag(code):
    for firsts in ([(0, 0)], [(1, 0)], [(0, 0), (1, 0)]):
        got = code.networks.switch_rate(one_hot(STEPS, 4), flags(*firsts))
        yield f"rate with {len(firsts)} flags at step 0", got, 8 / 24


@check(
    "4.3",
    "0, no NaN, where no two steps are of one episode",
    "T=1; then T=5 with an episode that begins at every step",
)
def no_pairs(code):
    z = one_hot(STEPS, 4)
    yield "rate of T=1", code.networks.switch_rate(z[:, :1], flags()[:, :1]), 0.0
    every = torch.ones(2, 5, dtype=F64)
    yield "rate of episodes of one step", code.networks.switch_rate(z, every), 0.0


@check(
    "4.3",
    "classes have no order: from 0 to 3 is one change, as from 0 to 1",
    "B=1, T=3, S=2, K=4: classes [0 3], [3 3], [3 1]: 2 of 4",
)
def classes_have_no_order(code):
    z = one_hot([[[0, 3], [3, 3], [3, 1]]], 4)
    yield "rate", code.networks.switch_rate(z, flags(count=1, length=3)), 0.5
