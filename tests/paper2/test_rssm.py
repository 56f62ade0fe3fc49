"""Checks of DreamerV2's world model: the RSSM with categorical latents, KL balancing, the loss.

Sources: arXiv:2010.02193, Section 2.1 and Algorithms 1 and 2; danijar/dreamerv2, common/nets.py
and agent.py. Rows follow the replay: actions[:, t] led to observation t.

A sample of a categorical is drawn in many ways. In the centre of chance all of them take the class
with more than half of the probability, so every latent here has such a class; where the draw itself
is in question, chance is real, and shares of thousands of draws are compared.
"""

import math
from types import SimpleNamespace

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular, values
from tests.paper2.models import (
    A,
    B,
    E,
    H,
    K,
    S,
    T,
    Z,
    by_chance,
    leaves,
    near,
    options,
    put,
    rssm_of,
    small_rssm,
    start,
    strong,
)  # fmt: skip

KEPT = 1 / (1 + math.exp(-1))  # 1 - sigmoid(-1): what a GRU without weights keeps of h
EYE = [[1.0, 0.0], [0.0, 1.0]]


def unchanged(before: list, after: list, names: str) -> list:
    """Names of the tensors that are no longer what they were."""
    rows = zip(names.split(), before, after, strict=True)
    return [name for name, old, new in rows if not torch.equal(old, new)]


# --- 2.3 recurrent_step ---------------------------------------------------------------------------


@check(
    "2.3",
    "the GRU starts from the previous h: without any weights it keeps 1 - sigmoid(-1) of it",
    "all parameters 0, so that candidate = 0 and update = sigmoid(-1) = 0.268941; h = [0.6 -0.8]",
)
def what_is_kept_of_h(code):
    model = small_rssm(code, {}, rnn_hidden_dim=2)
    state = {"h": torch.tensor([[0.6, -0.8]], dtype=F64), "z": torch.ones(1, 2, dtype=F64)}
    h = model.recurrent_step(state, torch.ones(1, 1, dtype=F64))
    yield "h", h, [[0.6 * KEPT, -0.8 * KEPT]]


@check(
    "2.3",
    "what enters the GRU is ELU(fc_in([z, a])), z first",
    "fc_in copies z = -1 and a = 2 to the candidates of two units; ELU(-1) = 1/e - 1; h = [.5 .5]",
)
def elu_of_z_and_a(code):
    # rnn.layer sees [x₀ x₁ h₀ h₁]; its rows: two resets, two candidates, two updates
    rows = [[0.0] * 4] * 2 + [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]] + [[0.0] * 4] * 2
    numbers = {"fc_in.weight": EYE, "rnn.layer.weight": rows, "rnn.norm.weight": [1.0] * 6}
    sizes = dict(num_categories=1, rnn_hidden_dim=2, hidden_dim=2)
    model = small_rssm(code, numbers, **sizes)
    state = {"h": torch.full((1, 2), 0.5, dtype=F64), "z": torch.tensor([[-1.0]], dtype=F64)}
    h = model.recurrent_step(state, torch.tensor([[2.0]], dtype=F64))
    yield "h", h, [oracle.layer_norm_gru([math.exp(-1) - 1, 2.0], [0.5, 0.5], values(model))]


@check("2.3", "h is (B, H), of the dtype of its inputs", "B = 3 and 1, A = 2, Z = 10, H = 6")
def shape_of_a_step(code):
    for dtype in (torch.float32, F64):
        model = rssm_of(code, dtype)
        for batch in (B, 1):
            h = model.recurrent_step(start(batch, dtype), irregular(batch, A, dtype=dtype))
            yield f"shape of h for B = {batch}", tuple(h.shape), (batch, H)
            yield "dtype", h.dtype == dtype, True


@check(
    "2.3",
    "one step of the GRU, for every row of the batch by itself",
    "irregular parameters, B = 3, A = 2, Z = 10, H = 6; the loss is the sum of h[1]",
)
def step_of_irregular_numbers(code):
    model, state, action = rssm_of(code), start(), irregular(B, A)
    p, h, z, a = values(model), state["h"].tolist(), state["z"].tolist(), action.tolist()
    inputs = [x.clone().requires_grad_() for x in (state["h"], state["z"], action)]
    given = {"h": inputs[0], "z": inputs[1]}
    got = model.recurrent_step(given, inputs[2])
    for b in range(B):
        yield f"h of row {b}", got[b], oracle.discrete_step(h[b], z[b], a[b], p)

    def loss(x: list) -> float:
        return sum(oracle.discrete_step(x[:H], x[H : H + Z], x[H + Z :], p))

    slopes = oracle.slopes(loss, [*h[1], *z[1], *a[1]])
    to_h, to_z, to_action = gradients(got[1].sum(), *inputs)
    yield "gradient to h of row 1", to_h[1], slopes[:H]
    yield "gradient to z of row 1", to_z[1], slopes[H : H + Z]
    yield "gradient to the action of row 1", to_action[1], slopes[H + Z :]
    yield "gradient to the action of row 0", to_action[0], [0.0] * A
    again = model.recurrent_step(given, inputs[2])
    yield "h of a second call less that of the first", again - got, [[0.0] * H] * B
    after = [given["h"], given["z"], inputs[2]]
    changed = unchanged([state["h"], state["z"], action], after, "h z action")
    yield "inputs that were changed by the call", changed, []


@check(
    "2.3",
    "value and gradient are finite for large inputs",
    "fc_in copies z = 1000 and a = -1000, where exp(1000) is infinite; float32 and float64",
)
def step_of_large_numbers(code):
    rows = [[0.0] * 4] * 2 + [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]] + [[0.0] * 4] * 2
    numbers = {"fc_in.weight": EYE, "rnn.layer.weight": rows, "rnn.norm.weight": [1.0] * 6}
    for dtype in (torch.float32, F64):
        sizes = dict(num_categories=1, rnn_hidden_dim=2, hidden_dim=2, dtype=dtype)
        model = small_rssm(code, numbers, **sizes)
        z, action = leaves([[1000.0]], [[-1000.0]], dtype=dtype)
        h = model.recurrent_step({"h": torch.zeros(1, 2, dtype=dtype), "z": z}, action)
        yield "h", h, [oracle.layer_norm_gru([1000.0, -1.0], [0.0, 0.0], values(model))]
        finite = [bool(g.isfinite().all()) for g in gradients(h.sum(), z, action)]
        yield "are the gradients to z and a finite?", finite, [True, True]


# --- 2.4 prior, 2.5 posterior ---------------------------------------------------------------------


def grouped_logits(call, model):
    """The same for both: (S, K) from a bias, and the flat sample."""
    z, logits = call(model, torch.zeros(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64))
    yield "logits", logits, [[[3.0, 1.0, 0.0], [0.0, 5.0, 1.0]]]
    yield "z", z, [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]]


def real_draws(call, model):
    """Shares of 6000 rows, two categoricals each: probabilities .7 .3 and .6 .4."""
    rows = torch.zeros(6000, 1, dtype=F64)
    z, logits = by_chance(lambda: call(model, rows, rows))
    z, logits = z.detach(), logits.detach()
    yield "shape of z", tuple(z.shape), (6000, 4)
    sums = z.unflatten(-1, (2, 2)).sum(-1)
    one_hot = bool(((z.abs() < 1e-6) | ((z - 1).abs() < 1e-6)).all() and (sums - 1).abs().max() < 1)
    yield "is every sample one-hot?", one_hot, True
    yield "is about 0.7 of the first categorical class 0?", near(z[:, 0].mean(), 0.7), True
    yield "is about 0.6 of the second categorical class 0?", near(z[:, 2].mean(), 0.6), True
    both = (z[:, 0] * z[:, 2]).mean()
    yield "are about 0.7 · 0.6 of the rows class 0 twice?", near(both, 0.42), True
    yield "are the logits of all rows the same?", bool((logits == logits[:1]).all()), True


CHANCES = [math.log(0.7), math.log(0.3), math.log(0.6), math.log(0.4)]


def irregular_logits(call, model, name: str, inputs: list, sizes: list):
    """The same for both: values and gradients of a network, for (B, ·) inputs."""
    p = values(model)
    copies = [x.clone().requires_grad_() for x in inputs]
    z, logits = call(model, *copies)
    rows = [sum((x[b].tolist() for x in inputs), []) for b in range(B)]
    expected = [oracle.discrete_logits(row, p, name, K) for row in rows]
    yield "logits", logits, expected
    yield "z", z, [oracle.straight_through(x) for x in expected]
    weights = irregular(Z, phase=8.0)

    def sample(x: list) -> float:
        z = oracle.straight_through(oracle.discrete_logits(x, p, name, K), expected[1])
        return sum(a * b for a, b in zip(z, weights.tolist(), strict=True))

    def total(x: list) -> float:
        groups = oracle.discrete_logits(x, p, name, K)
        return sum(a * b for a, b in zip(sum(groups, []), weights.tolist(), strict=True))

    for label, loss, f in (
        ("logits·w", logits[1].reshape(-1) @ weights, total),
        ("z·w", z[1] @ weights, sample),
    ):
        slopes, found = oracle.slopes(f, rows[1]), gradients(loss, *copies)
        for x, size, what in zip(found, sizes, ("h", "embed"), strict=False):
            yield f"gradient of {label} of row 1 to {what}", x[1], slopes[:size]
            slopes = slopes[size:]
        yield f"gradient of {label} of row 1 to row 0", found[0][0], [0.0] * sizes[0]
    names = " ".join(("h", "embed")[: len(inputs)])
    yield "inputs that were changed by the call", unchanged(inputs, copies, names), []
    again = call(model, *copies)[1]
    yield "logits of a second call less those of the first", again - logits, [[[0.0] * K] * S] * B


def leading_dimensions(call, model_of, code):
    """The same for both: (..., Z) and (..., S, K) for any leading dimensions and both dtypes."""
    for dtype in (torch.float32, F64):
        for shape in ((), (3,), (3, 2)):
            h, embed = irregular(*shape, H, dtype=dtype), irregular(*shape, E, dtype=dtype)
            z, logits = call(model_of(code, dtype), h, embed)
            yield f"shape of z for {(*shape, H)}", tuple(z.shape), (*shape, Z)
            yield f"shape of the logits for {(*shape, H)}", tuple(logits.shape), (*shape, S, K)
            yield "dtypes", [x.dtype == dtype for x in (z, logits)], [True, True]


def ask_prior(model, h, embed=None):
    return model.prior(h)


def ask_posterior(model, h, embed):
    return model.posterior(h, embed)


PAIR = dict(num_categoricals=2, num_categories=3)
COPY = dict(num_categories=2, rnn_hidden_dim=2, hidden_dim=2)


@check(
    "2.4",
    "the Z numbers are S groups of K logits; z is the groups' samples side by side",
    "fc_prior_logits has the bias [3 1 0 0 5 1] and no weights; S = 2, K = 3; the likely classes "
    "are drawn",
)
def groups_of_the_prior(code):
    numbers = {"fc_prior_logits.bias": [3.0, 1.0, 0.0, 0.0, 5.0, 1.0]}
    yield from grouped_logits(ask_prior, small_rssm(code, numbers, **PAIR))


@check(
    "2.4",
    "the logits are linear in a hidden layer with ELU",
    "both layers copy their input; h = [-1 2], ELU(-1) = 1/e - 1",
)
def hidden_layer_of_the_prior(code):
    numbers = {"fc_prior.weight": EYE, "fc_prior_logits.weight": EYE}
    z, logits = small_rssm(code, numbers, **COPY).prior(torch.tensor([[-1.0, 2.0]], dtype=F64))
    yield "logits", logits, [[[math.exp(-1) - 1, 2.0]]]
    yield "z", z, [[0.0, 1.0]]


@check(
    "2.4",
    "z is drawn from the probabilities, for each row and each categorical by itself",
    "6000 rows, S = K = 2; the probabilities are .7 .3 and .6 .4",
)
def draws_of_the_prior(code):
    numbers = {"fc_prior_logits.bias": CHANCES}
    yield from real_draws(ask_prior, small_rssm(code, numbers, num_categoricals=2))


@check("2.4", "z is (..., Z), the logits are (..., S, K)", "S = 2, K = 5, H = 6")
def shapes_of_the_prior(code):
    yield from leading_dimensions(ask_prior, rssm_of, code)


@check(
    "2.4",
    "gradients reach h, through the logits and straight through the sample",
    "irregular numbers, B = 3, H = 6, S = 2, K = 5, w ten numbers",
)
def prior_of_irregular_numbers(code):
    inputs = [irregular(B, H, phase=4.0)]
    yield from irregular_logits(ask_prior, rssm_of(code), "fc_prior", inputs, [H])


@check(
    "2.4",
    "value and gradient are finite for large numbers",
    "both layers copy; h = [1000 -1000], where exp(1000) is infinite; float32 and float64",
)
def prior_of_large_numbers(code):
    numbers = {"fc_prior.weight": EYE, "fc_prior_logits.weight": EYE}
    for dtype in (torch.float32, F64):
        [h] = leaves([[1000.0, -1000.0]], dtype=dtype)
        z, logits = small_rssm(code, numbers, dtype=dtype, **COPY).prior(h)
        yield "logits", logits, [[[1000.0, -1.0]]]
        yield "z", z, [[1.0, 0.0]]
        yield "gradient of the logits' sum to h", gradients(logits.sum(), h)[0], [[1.0, 0.0]]


@check(
    "2.5",
    "the Z numbers are S groups of K logits; z is the groups' samples side by side",
    "fc_post_logits has the bias [3 1 0 0 5 1] and no weights; S = 2, K = 3; the likely classes "
    "are drawn",
)
def groups_of_the_posterior(code):
    numbers = {"fc_post_logits.bias": [3.0, 1.0, 0.0, 0.0, 5.0, 1.0]}
    yield from grouped_logits(ask_posterior, small_rssm(code, numbers, **PAIR))


@check(
    "2.5",
    "the logits are linear in a hidden layer with ELU of [h, embed], h first",
    "both layers copy their input; h = -1, embed = 2, ELU(-1) = 1/e - 1",
)
def hidden_layer_of_the_posterior(code):
    numbers = {"fc_post.weight": EYE, "fc_post_logits.weight": EYE}
    model = small_rssm(code, numbers, num_categories=2, hidden_dim=2)
    h, embed = torch.tensor([[-1.0]], dtype=F64), torch.tensor([[2.0]], dtype=F64)
    z, logits = model.posterior(h, embed)
    yield "logits", logits, [[[math.exp(-1) - 1, 2.0]]]
    yield "z", z, [[0.0, 1.0]]


@check(
    "2.5",
    "z is drawn from the probabilities, for each row and each categorical by itself",
    "6000 rows, S = K = 2; the probabilities are .7 .3 and .6 .4",
)
def draws_of_the_posterior(code):
    numbers = {"fc_post_logits.bias": CHANCES}
    yield from real_draws(ask_posterior, small_rssm(code, numbers, num_categoricals=2))


@check("2.5", "z is (..., Z), the logits are (..., S, K)", "S = 2, K = 5, H = 6, E = 8")
def shapes_of_the_posterior(code):
    yield from leading_dimensions(ask_posterior, rssm_of, code)


@check(
    "2.5",
    "gradients reach h and the embedding, through the logits and straight through the sample",
    "irregular numbers, B = 3, H = 6, E = 8, S = 2, K = 5, w ten numbers",
)
def posterior_of_irregular_numbers(code):
    inputs = [irregular(B, H, phase=4.0), irregular(B, E, phase=2.5)]
    yield from irregular_logits(ask_posterior, rssm_of(code), "fc_post", inputs, [H, E])


@check(
    "2.5",
    "value and gradient are finite for large numbers",
    "both layers copy; h = 1000, embed = -1000, where exp(1000) is infinite; float32 and float64",
)
def posterior_of_large_numbers(code):
    numbers = {"fc_post.weight": EYE, "fc_post_logits.weight": EYE}
    for dtype in (torch.float32, F64):
        h, embed = leaves([[1000.0]], [[-1000.0]], dtype=dtype)
        z, logits = small_rssm(code, numbers, hidden_dim=2, dtype=dtype).posterior(h, embed)
        yield "logits", logits, [[[1000.0, -1.0]]]
        yield "z", z, [[1.0, 0.0]]
        found = [g.tolist() for g in gradients(logits.sum(), h, embed)]
        yield "gradients of the logits' sum to h and embed", found, [[[1.0]], [[0.0]]]


# --- 2.6 rollout_observation ----------------------------------------------------------------------

HAND = (
    "weights that make h = step(h₋, z₋[0] + a), the GRU with candidate x alone; posterior logits "
    "[8(h + x), 0]; z = [1 0] where h + x > 0, else [0 1]"
)  # h₋, z₋: of the step before


def rssm_by_hand(code):
    """One unit, one categorical of two classes: posterior logits 8 (h + e), prior logits 8 h."""
    numbers = {
        "fc_in.weight": [[1.0, 0.0, 1.0]],
        "rnn.layer.weight": [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]],
        "rnn.norm.weight": [1.0, 1.0, 1.0],
        "fc_prior.weight": [[1.0]],
        "fc_prior_logits.weight": [[8.0], [0.0]],
        "fc_post.weight": [[1.0, 1.0]],
        "fc_post_logits.weight": [[8.0], [0.0]],
    }
    return small_rssm(code, numbers)


def hand_step(h: float, z: float, action: float) -> float:
    """Three gates of which one sees x: after the norm -x/3, 2x/3, -x/3 over their spread."""
    x = oracle.elu(z + action)
    spread = math.sqrt(2 * x * x / 9 + 1e-3)
    return oracle.gru(h, -x / 3 / spread, 2 * x / 3 / spread, -x / 3 / spread)


def column(*numbers):
    """A batch of sequences of one number each. Lists of T → (B, T, 1)"""
    return torch.tensor(numbers, dtype=F64)[..., None]


def one_start(*rows):
    """[(h, z[0]), ...] → the state of a batch with one unit each."""
    h, z = zip(*rows, strict=True)
    z = torch.tensor(z, dtype=F64)[:, None]
    return {"h": torch.tensor(h, dtype=F64)[:, None], "z": torch.cat([z, 1 - z], -1)}


@check(
    "2.6",
    "each step: h from the previous h, z and the action of its row; z from the posterior",
    f"{HAND}; first h₋ .6, z₋ [1 0]; a = [.3 -.7 .4], x = [-.9 .5 -1.2]",
)
def filter_by_hand(code):
    x, a = [-0.9, 0.5, -1.2], [0.3, -0.7, 0.4]
    got = rssm_by_hand(code).rollout_observation(column(x), column(a), state=one_start((0.6, 1)))
    h0 = hand_step(0.6, 1, 0.3)
    h1 = hand_step(h0, 0, -0.7)
    h2 = hand_step(h1, 1, 0.4)
    posts = [oracle.elu(h + e) for h, e in zip((h0, h1, h2), x, strict=True)]
    yield "h of steps 0 to 2", got["h"].flatten(), [h0, h1, h2]
    yield "posterior logits of class 0", got["post_logits"][0, :, 0, 0], [8 * v for v in posts]
    yield "z of steps 0 to 2", got["z"][0], [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]


@check(
    "2.6",
    "where an episode begins, the previous h, z and action count as zero",
    f"{HAND}; two sequences: first h₋ .6, z₋ [1 0]; a = [.3 .7 .4], x = [.9 .5 -1.2], "
    "is_first[0, 1] = 1",
)
def reset_by_hand(code):
    x, a = [0.9, 0.5, -1.2], [0.3, 0.7, 0.4]
    is_first = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], dtype=F64)
    for name, kind in (("floats", is_first), ("bools", is_first.bool())):
        got = rssm_by_hand(code).rollout_observation(
            column(x, x), column(a, a), kind, one_start((0.6, 1), (0.6, 1))
        )
        h0, h2 = hand_step(0.6, 1, 0.3), hand_step(0.0, 1, 0.4)
        h = got["h"][..., 0]
        yield f"h of steps 0 to 2, is_first as {name}", h[0], [h0, 0.0, h2]
        yield f"z[0] of steps 0 to 2, is_first as {name}", got["z"][0, :, 0], [1.0, 1.0, 0.0]
        h1 = hand_step(h0, 1, 0.7)
        yield "h of the second sequence, which goes on", h[1], [h0, h1, hand_step(h1, 1, 0.4)]


def sequences(dtype=F64):
    return irregular(B, T, E, phase=2.0, dtype=dtype), irregular(B, T, A, phase=3.0, dtype=dtype)


def slow_filter(model, embeds, actions, is_first, state) -> list:
    p = values(model)
    rows = zip(embeds, actions, is_first, state["h"], state["z"], strict=True)
    return [oracle.discrete_filter(*(x.tolist() for x in row), p, K) for row in rows]


@check(
    "2.6",
    "every row of every sequence, with new episodes inside the second and at the start of the last",
    "irregular numbers, B = 3, T = 4, is_first[1, 2] = is_first[2, 0] = 1; all sequences are shown",
)
def filter_of_irregular_numbers(code):
    model, state, (embeds, actions) = rssm_of(code), start(), sequences()
    is_first = torch.zeros(B, T, dtype=F64)
    is_first[1, 2] = is_first[2, 0] = 1
    inputs = [embeds, actions, is_first, *state.values()]
    before = [x.clone() for x in inputs]
    expected = slow_filter(model, embeds, actions, is_first, state)
    given = dict(state)
    got = model.rollout_observation(embeds, actions, is_first, given)
    replaced = [key for key in state if given[key] is not state[key]]
    yield "parts that the call replaced in the dictionary `state` it was given", replaced, []
    keys = dict(h="h", post_logits="post", z="z", prior_logits="prior")
    for t in range(T):
        for key, name in keys.items():
            yield f"{key} at step {t}", got[key][:, t], [rows[t][name] for rows in expected]
    changed = unchanged(before, inputs, "embeds actions is_first h z")
    yield "inputs that were changed by the call", changed, []


def by_real_chance(code):
    """The RSSM by hand, but both latents have the probabilities .7 and .3 in every state."""
    model = rssm_by_hand(code)
    for layer in (model.fc_prior_logits, model.fc_post_logits):
        layer.weight.data.zero_()
        layer.bias.data.copy_(torch.tensor(CHANCES[:2]))
    return model


def follows(h, z) -> bool:
    """Whether h of the second step is that which the z of the first leads to, for all rows."""
    first = hand_step(0.0, 0.0, 0.3)
    after = torch.tensor([hand_step(first, 1.0, 0.3), hand_step(first, 0.0, 0.3)], dtype=F64)
    return bool((h[:, 1, 0] - z[:, 0].round() @ after).abs().max() < 1e-5)


@check(
    "2.6",
    "z of every step is drawn from the posterior, once for each sequence; the next h builds on it",
    "6000 sequences of 2 steps, one categorical with the probabilities .7 .3 in every state; "
    "h = step(h₋, z₋[0] + a), a = .3",
)
def draws_of_the_filter(code):
    rows = torch.full((6000, 2, 1), 0.3, dtype=F64)
    got = by_chance(lambda: by_real_chance(code).rollout_observation(rows, rows))
    z = got["z"].detach()
    yield "is every z one-hot?", bool(((z - z.round()).abs() < 1e-6).all()), True
    for t in (0, 1):
        yield f"is about 0.7 of step {t} class 0?", near(z[:, t, 0].mean(), 0.7), True
    both = (z[:, 0, 0] * z[:, 1, 0]).mean()
    yield "are about 0.7 · 0.7 of the sequences class 0 twice?", near(both, 0.49), True
    name = "is h of step 1 always that which the returned z of step 0 leads to?"
    yield name, follows(got["h"].detach(), z), True


@check(
    "2.6",
    "observation t is seen by the posterior of step t, by h only after it; action t by h of step t",
    "T = 4; at which steps is a number influenced by the input of step 1?",
)
def influence_of_one_row(code):
    model, (embeds, actions) = rssm_of(code), sequences()
    other_embeds, other_actions = embeds.clone(), actions.clone()
    other_embeds[:, 1] = -embeds[:, 1] - 1
    other_actions[:, 1] += 1
    got = model.rollout_observation(embeds, actions)
    seen = model.rollout_observation(other_embeds, actions)
    acted = model.rollout_observation(embeds, other_actions)

    def steps(key: str, other: dict) -> list:
        """The steps at which got[key] is another one."""
        return [t for t in range(T) if (got[key] - other[key])[:, t].abs().max() > 1e-6]

    yield "steps of post_logits that see observation 1", steps("post_logits", seen), [1, 2, 3]
    yield "steps of h that see observation 1", steps("h", seen), [2, 3]
    yield "steps of prior_logits that see observation 1", steps("prior_logits", seen), [2, 3]
    yield "steps of h that see action 1", steps("h", acted), [1, 2, 3]


@check(
    "2.6",
    "gradients flow back through time, through h and straight through the sampled z",
    "irregular numbers, B = 1, T = 3; the sum of h of the last step, then other sums",
)
def gradient_through_time(code):
    model = rssm_of(code)
    embeds, actions = (x[1:2, :3].clone().requires_grad_() for x in sequences())
    state = {key: x[1:2].clone().requires_grad_() for key, x in start().items()}
    got = model.rollout_observation(embeds, actions, state=dict(state))
    p, rows, acts = values(model), embeds[0].tolist(), actions[0].tolist()
    h, z = state["h"][0].tolist(), state["z"][0].tolist()
    base = oracle.discrete_filter(rows, acts, [0, 0, 0], h, z, p, K)
    weights = irregular(Z, phase=8.0)

    def run(rows, acts, h, z) -> list:
        return oracle.discrete_filter(rows, acts, [0, 0, 0], h, z, p, K, base)

    def last(*inputs) -> float:
        return sum(run(*inputs)[-1]["h"])

    loss = got["h"][0, -1].sum()
    to_embeds, to_acts, to_h, to_z = gradients(loss, embeds, actions, state["h"], state["z"])
    for t in (0, 1):

        def embedded(x, t=t) -> float:
            return last([*rows[:t], [*x, *rows[t][3:]], *rows[t + 1 :]], acts, h, z)

        expected = oracle.slopes(embedded, rows[t][:3])
        yield f"gradient to three numbers of embeds[0, {t}]", to_embeds[0, t, :3], expected
    expected = oracle.slopes(lambda x: last(rows, [x, *acts[1:]], h, z), acts[0])
    yield "gradient to actions[0, 0]", to_acts[0, 0], expected
    expected = oracle.slopes(lambda x: last(rows, acts, [*x, *h[3:]], z), h[:3])
    yield "gradient to the first three numbers of h before", to_h[0, :3], expected
    expected = oracle.slopes(lambda x: last(rows, acts, h, [*x, *z[3:]]), z[:3])
    yield "gradient to the first three numbers of z before", to_z[0, :3], expected

    def weighted(numbers: list) -> float:
        return sum(a * b for a, b in zip(numbers, weights.tolist(), strict=True))

    for name, of in (("z", lambda s: s["z"]), ("post_logits", lambda s: sum(s["post"], []))):

        def posterior(x: list, of=of) -> float:
            return weighted(of(run([*rows[:-1], [*x, *rows[-1][2:]]], acts, h, z)[-1]))

        found = gradients(got[name][0, -1].reshape(-1) @ weights, embeds)[0][0, -1, :2]
        label = f"gradient of {name}·w to its own row of embeds, two numbers"
        yield label, found, oracle.slopes(posterior, rows[-1][:2])


@check(
    "2.6",
    "without a state every call begins from zeros, and nothing is left over from the last call",
    f"{HAND}; two calls of one sequence of one step: B = 1, T = 1, a = .3, x = .1, float64; "
    "then float32, B = 3, T = 4",
)
def calls_are_independent(code):
    model, inputs = rssm_by_hand(code), (column([0.1]), column([0.3]))
    for call in ("first", "second"):
        got = model.rollout_observation(*inputs)
        yield f"h of the {call} call", got["h"], [[[hand_step(0.0, 0.0, 0.3)]]]
    got = rssm_of(code, torch.float32).rollout_observation(*sequences(torch.float32))
    sizes = dict(h=(H,), z=(Z,), post_logits=(S, K), prior_logits=(S, K))
    for key, size in sizes.items():
        yield f"shape of {key}", tuple(got[key].shape), (B, T, *size)
        yield f"dtype of {key}", str(got[key].dtype), "torch.float32"


# --- 2.7 rollout_imagination ----------------------------------------------------------------------


@check(
    "2.7",
    "each step: the actor acts in the last state, then h, then z from the prior",
    "weights that make h = step(h₋, z₋[0] + a) and prior logits [8h 0], so z = [1 0] where h > 0; "
    "the start is h -.6, z [1 0]; the action is 1 - 2·(first number of the feature) + h/2",
)
def dream_by_hand(code):
    got = rssm_by_hand(code).rollout_imagination(
        one_start((-0.6, 1)), lambda feature: 1 - 2 * feature[:, :1] + feature[:, 2:] / 2, 3
    )
    h, z, hs, zs, actions = -0.6, 1.0, [-0.6], [1.0], [0.0]
    for _ in range(3):
        actions.append(1 - 2 * z + h / 2)
        h = hand_step(h, z, actions[-1])
        z = float(h > 0)
        hs.append(h)
        zs.append(z)
    yield "action that led to states 0 to 3", got["action"].flatten(), actions
    yield "h of states 0 to 3", got["h"].flatten(), hs
    yield "z[0] of states 0 to 3", got["z"][0, :, 0], zs


@check(
    "2.7",
    "a dream of `horizon` steps has horizon + 1 states, of which the start is the first",
    "horizon 4 with N = 3, and horizon 1 with N = 1; A = 2, Z = 10, H = 6; float32",
)
def length_of_a_dream(code):
    model = rssm_of(code, torch.float32)
    for count, horizon in ((3, 4), (1, 1)):
        state, asked = start(count, torch.float32), []

        def actor(feature, asked=asked):
            asked.append(tuple(feature.shape))
            return feature[:, 1 : 1 + A]

        got = model.rollout_imagination(state, actor, horizon)
        for key, size in (("h", H), ("z", Z), ("action", A)):
            name = f"shape of {key} for N = {count}, horizon {horizon}"
            yield name, tuple(got[key].shape), (count, horizon + 1, size)
            yield f"dtype of {key}", str(got[key].dtype), "torch.float32"
        yield "features that the actor was asked for", asked, [(count, Z + H)] * horizon
        yield "h of state 0", got["h"][:, 0], state["h"].tolist()
        yield "z of state 0", got["z"][:, 0], state["z"].tolist()


@check(
    "2.7",
    "z of every step is drawn from the prior, once for each dream; actor and next h build on it",
    "6000 dreams of 2 steps, one categorical with the probabilities .7 .3 in every state; "
    "h = step(h₋, z₋[0] + a), a = .3",
)
def draws_of_the_dream(code):
    rows = {"h": torch.zeros(6000, 1, dtype=F64), "z": torch.zeros(6000, 2, dtype=F64)}
    seen = []

    def actor(feature):
        seen.append(feature.detach())
        return torch.full_like(feature[:, :1], 0.3)

    dream = by_chance(lambda: by_real_chance(code).rollout_imagination(rows, actor, 2))
    z = dream["z"].detach()
    yield "is every z one-hot?", bool(((z - z.round()).abs() < 1e-6).all()), True
    for t in (1, 2):
        yield f"is about 0.7 of state {t} class 0?", near(z[:, t, 0].mean(), 0.7), True
    both = (z[:, 1, 0] * z[:, 2, 0]).mean()
    yield "are about 0.7 · 0.7 of the dreams class 0 twice?", near(both, 0.49), True
    name = "is h of state 2 always that which the returned z of state 1 leads to?"
    yield name, follows(dream["h"].detach()[:, 1:], z[:, 1:]), True
    wanted = torch.cat([z[:, 1], dream["h"].detach()[:, 1]], -1)
    same = len(seen) > 1 and seen[1].shape == wanted.shape and bool(
        torch.allclose(seen[1], wanted)
    )  # fmt: skip
    yield "has the actor seen the state 1 that is returned?", same, True


@check(
    "2.7",
    "gradients flow from later states into earlier actions, but not through what the actor saw",
    "irregular numbers, N = 3, horizon 3, action = tanh(W·feature); the loss is the sum of z·w "
    "and h of the last state",
)
def dream_of_irregular_numbers(code):
    model, state, w = rssm_of(code, peak=4.0), start(), irregular(A, Z + H, phase=9.0)
    p, weight, count = values(model), w.clone().requires_grad_(), 3
    h, z, w = state["h"].tolist(), state["z"].tolist(), w.tolist()
    seen = []

    def actor(feature):
        seen.append(bool(feature.requires_grad))
        return torch.tanh(feature @ weight.T)

    given = {key: x.clone().requires_grad_() for key, x in state.items()}
    got = model.rollout_imagination(given, actor, count)

    def acted(feature: list, w: list) -> list:
        return [math.tanh(v) for v in oracle.linear(feature, w, None)]

    features: list = [[] for _ in range(B)]

    def watched(n: int):
        def policy(t: int, feature: list) -> list:
            features[n].append(feature)
            return acted(feature, w)

        return policy

    base = [oracle.discrete_dream(h[n], z[n], watched(n), count, p, K) for n in range(B)]
    for t in range(count):
        for key in ("action", "h", "z"):
            expected = [rows[t][key] for rows in base]
            yield f"{key} of state {t + 1}", got[key][:, t + 1], expected
    yield "does the actor see an attached feature?", seen, [False] * count
    mix = irregular(Z, phase=8.0).tolist()

    def last(n: int, h: list, z: list, w: list) -> float:
        def policy(t: int, _) -> list:
            return acted(features[n][t], w)

        end = oracle.discrete_dream(h, z, policy, count, p, K, base[n])[-1]
        return sum(end["h"]) + sum(a * b for a, b in zip(end["z"], mix, strict=True))

    loss = got["h"][:, -1].sum() + (got["z"][:, -1] @ torch.tensor(mix, dtype=F64)).sum()
    to_weight, to_h, to_z = gradients(loss, weight, given["h"], given["z"])

    def all_dreams(x: list) -> float:
        return sum(last(n, h[n], z[n], [[*x, *w[0][3:]], w[1]]) for n in range(B))

    slopes = oracle.slopes(all_dreams, w[0][:3])
    yield "gradient to the first three weights of the actor", to_weight[0, :3], slopes
    slopes = oracle.slopes(lambda x: last(1, [*x, *h[1][3:]], z[1], w), h[1][:3])
    yield "gradient to the first three numbers of h before", to_h[1, :3], slopes
    slopes = oracle.slopes(lambda x: last(1, h[1], [*x, *z[1][3:]], w), z[1][:3])
    yield "gradient to the first three numbers of z before", to_z[1, :3], slopes
    changed = unchanged([*state.values()], [given[key] for key in state], "h z")
    yield "parts of the start that were changed by the call", changed, []
    again = model.rollout_imagination(given, actor, count)
    yield "is a second dream the same?", bool(torch.allclose(again["h"], got["h"])), True


# --- 2.8 kl_divergence ----------------------------------------------------------------------------


def logits_of(*probs) -> torch.Tensor:
    """Lists of probabilities, one for each categorical → logits (S, K)."""
    return torch.tensor(probs, dtype=F64).log()


@check(
    "2.8",
    "Σ p (log p - log q) of one categorical, in nats; p is the posterior",
    "S = 1; posterior and prior as probabilities of the classes",
)
def divergence_by_hand(code):
    for p, q, expected in (
        ([0.5, 0.5], [0.25, 0.75], 0.5 * math.log(2) + 0.5 * math.log(2 / 3)),
        ([0.25, 0.75], [0.5, 0.5], 0.25 * math.log(0.5) + 0.75 * math.log(1.5)),
        ([0.7, 0.2, 0.1], [0.7, 0.2, 0.1], 0.0),
        ([0.8, 0.1, 0.1], [0.2, 0.4, 0.4], 0.8 * math.log(4) - 0.2 * math.log(4)),
    ):
        found = code.rssm.kl_divergence(logits_of(p), logits_of(q))
        yield f"KL of {p} from {q}", found, expected


@check(
    "2.8",
    "the logits need not be normalised, and the S divergences are summed",
    "S = 2, posterior [2 0 0] and [1 1 1], prior [0 1 0] and [0 0 4]; the first KL is 0.779365",
)
def two_categoricals(code):
    post = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=F64)
    prior = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 4.0]], dtype=F64)
    yield "KL of the first alone", code.rssm.kl_divergence(post[:1], prior[:1]), 0.779365, 1e-6
    expected = oracle.categorical_kl(post.tolist(), prior.tolist())
    yield "KL of both", code.rssm.kl_divergence(post, prior), expected
    shifted = code.rssm.kl_divergence(post + 7, prior - 3)
    yield "KL where 7 is added to one and 3 taken from the other", shifted, expected


@check(
    "2.8",
    "one number for each row, whatever the leading dimensions",
    "irregular logits, S = 2, K = 5: (3, 4, 2, 5), (3, 2, 5) and (2, 5); float32 and float64",
)
def divergence_of_rows(code):
    for dtype in (torch.float32, F64):
        post = 3 * irregular(B, T, S, K, phase=1.0, dtype=dtype)
        prior = 3 * irregular(B, T, S, K, phase=2.0, dtype=dtype)
        before = [post.clone(), prior.clone()]
        found = code.rssm.kl_divergence(post, prior)
        yield "shape for (B, T, S, K)", tuple(found.shape), (B, T)
        yield "dtype", found.dtype == dtype, True
        for b, t in ((0, 0), (1, 2), (2, 3)):
            expected = oracle.categorical_kl(before[0][b, t].tolist(), before[1][b, t].tolist())
            yield f"KL of row [{b}, {t}]", found[b, t], expected
        changed = unchanged(before, [post, prior], "posterior prior")
        yield "inputs that were changed by the call", changed, []
    yield "shape for (B, S, K)", tuple(code.rssm.kl_divergence(post[0], prior[0]).shape), (T,)
    yield "shape for (S, K)", tuple(code.rssm.kl_divergence(post[0, 0], prior[0, 0]).shape), ()


@check(
    "2.8",
    "both sides get a gradient",
    "two rows, S = 1, K = 3: posterior [2 0 0] and [0 1 -1], prior [0 1 0] and [1 0 0]",
)
def gradient_of_the_divergence(code):
    numbers = [[[2.0, 0.0, 0.0]], [[0.0, 1.0, -1.0]]], [[[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]]
    post, prior = leaves(*numbers)
    found = gradients(code.rssm.kl_divergence(post, prior)[1], post, prior)
    p, q = numbers[0][1], numbers[1][1]
    to_post = oracle.slopes(lambda x: oracle.categorical_kl([x], q), p[0])
    to_prior = oracle.slopes(lambda x: oracle.categorical_kl(p, [x]), q[0])
    yield "gradient of row 1 to the posterior", found[0], [[[0.0] * 3], [to_post]]
    yield "gradient of row 1 to the prior", found[1], [[[0.0] * 3], [to_prior]]


@check(
    "2.8",
    "value and gradient stay finite where a probability is almost 0",
    "S = 1, K = 2: posterior [0 -800] against [0 0], [1000 0] against [1000 960], [0 0] against "
    "[0 -60], [-1000 -1003] against [500 500]; float32 and float64",
)
def extreme_logits(code):
    for p, q, expected in (
        ([0.0, -800.0], [0.0, 0.0], math.log(2)),
        ([1000.0, 0.0], [1000.0, 960.0], 0.0),
        ([0.0, 0.0], [0.0, -60.0], 30 - math.log(2)),
        ([-1000.0, -1003.0], [500.0, 500.0], oracle.kl(oracle.softmax([0.0, -3.0]), [0.5, 0.5])),
    ):
        for dtype in (torch.float32, F64):
            post, prior = leaves([p], [q], dtype=dtype)
            found = code.rssm.kl_divergence(post, prior)
            yield f"KL of {p} from {q}", found, expected
            finite = [bool(g.isfinite().all()) for g in gradients(found, post, prior)]
            yield "are the gradients to both sides finite?", finite, [True, True]


# --- 2.9 kl_loss ----------------------------------------------------------------------------------

POST, PRIOR = [2.0, 0.0, 0.0], [0.0, 1.0, 0.0]


def one_categorical(rows: list) -> torch.Tensor:
    """Logits of rows (B, T) as (B, T, 1, K), that want a gradient."""
    return torch.tensor(rows, dtype=F64)[..., None, :].requires_grad_()


def tilted(kls: list) -> tuple:
    """Logits whose divergences are these, for B rows of T: a posterior against [0 0]."""

    def logit(kl: float) -> float:
        low, high = 0.0, 40.0
        for _ in range(80):
            middle = (low + high) / 2
            value = oracle.kl(oracle.softmax([middle, 0.0]), [0.5, 0.5])
            low, high = (middle, high) if value < kl else (low, middle)
        return low

    many = 8  # equal categoricals, each of which can have no more than ln 2
    post = torch.tensor([[[logit(x / many), 0.0] for x in row] for row in kls], dtype=F64)
    post = post[:, :, None].expand(-1, -1, many, -1).clone().requires_grad_()
    return post, torch.zeros_like(post).requires_grad_()


@check(
    "2.9",
    "both terms are KL(posterior ‖ prior), so the value does not depend on the balance",
    "B = T = S = 1, posterior [2 0 0], prior [0 1 0]: KL(post ‖ prior) = 0.779365, "
    "KL(prior ‖ post) = 0.840336; no free nats",
)
def value_of_the_mixture(code):
    truth = oracle.categorical_kl([POST], [PRIOR])
    for balance in (0.8, 0.5, 0.0, 1.0):
        post, prior = one_categorical([[POST]]), one_categorical([[PRIOR]])
        loss, kl = code.rssm.kl_loss(post, prior, balance, 0.0)
        yield f"loss for balance {balance}", loss, truth
        yield "KL for the log", kl, [[truth]]


@check(
    "2.9",
    "the prior gets the share `balance` of its gradient, the posterior the rest of its own",
    "two rows, K = 3, balance .8, no free nats; the plain gradients are those of the mean KL",
)
def shares_of_the_gradient(code):
    rows = [[POST, [0.0, 1.0, -1.0]]], [[PRIOR, [1.0, 0.0, 0.0]]]
    plain = []
    for p, q in zip(rows[0][0], rows[1][0], strict=True):
        to_post = oracle.slopes(lambda x, q=q: oracle.categorical_kl([x], [q]) / 2, p)
        to_prior = oracle.slopes(lambda x, p=p: oracle.categorical_kl([p], [x]) / 2, q)
        plain.append((to_post, to_prior))
    for balance in (0.8, 0.0, 1.0):
        post, prior = (one_categorical(x) for x in rows)
        found = gradients(code.rssm.kl_loss(post, prior, balance, 0.0)[0], post, prior)
        to_prior = [[balance * v for v in x] for _, x in plain]
        to_post = [[(1 - balance) * v for v in x] for x, _ in plain]
        yield f"gradient to the prior, balance {balance}", found[1][0, :, 0], to_prior
        yield f"gradient to the posterior, balance {balance}", found[0][0, :, 0], to_post


@check(
    "2.9",
    "first the mean over batch and time, then not below the free nats",
    "KLs of one or two sequences; clipping each step of [.2 .2 5] at 1 would give 2.3333",
)
def free_nats_of_the_mean(code):
    for kls, free, expected in (
        ([[0.2, 0.2, 5.0]], 1.0, 1.8),
        ([[0.3, 0.4]], 1.0, 1.0),
        ([[5.0, 4.0]], 1.0, 4.5),
        ([[0.5, 4.5], [2.0, 1.4]], 3.0, 3.0),
        ([[0.1, 0.3], [4.0, 3.6]], 1.5, 2.0),
    ):
        loss, kl = code.rssm.kl_loss(*tilted(kls), 0.8, free)
        rows = " | ".join(" ".join(f"{x:g}" for x in row) for row in kls)
        yield f"loss of KLs [{rows}], {free:g} free", loss, expected
        yield f"KLs for the log [{rows}], {free:g} free", kl, kls
    yield "is the loss a tensor?", isinstance(loss, torch.Tensor), True
    yield "shape of the loss", tuple(torch.as_tensor(loss).shape), ()
    yield "does the KL for the log carry a gradient?", bool(kl.requires_grad), False


@check(
    "2.9",
    "above the free nats both sides are trained, below them neither",
    "posterior [2 0 0], prior [0 1 0], KL 0.779365; free nats .5, then 1",
)
def gradient_and_free_nats(code):
    for free, trained in ((0.5, True), (1.0, False)):
        post, prior = one_categorical([[POST]]), one_categorical([[PRIOR]])
        loss, _ = code.rssm.kl_loss(post, prior, 0.8, free)
        found = [bool(g.abs().max() > 1e-6) for g in gradients(loss, post, prior)]
        yield f"are posterior and prior trained, {free:g} free?", found, [trained] * 2
        yield f"loss, {free:g} free", loss, max(free, oracle.categorical_kl([POST], [PRIOR]))


@check(
    "2.9",
    "the defaults, the shapes and what is left alone",
    "irregular logits, B = 3, T = 4, S = 2, K = 5, in float32; balance and free nats by default",
)
def defaults_of_the_kl_loss(code):
    f32 = torch.float32
    post, prior = (4 * irregular(B, T, S, K, phase=x, dtype=f32) for x in (1.0, 2.0))
    before = [post.clone(), prior.clone()]
    inputs = [x.clone().requires_grad_() for x in before]
    loss, kl = code.rssm.kl_loss(*inputs)
    rows = [(post[b, t].tolist(), prior[b, t].tolist()) for b in range(B) for t in range(T)]
    yield "loss", loss, oracle.balanced_kl(rows, 0.8, 1.0)
    flat = [oracle.categorical_kl(*row) for row in rows]
    yield "KL for the log", kl, [flat[b * T : b * T + T] for b in range(B)]
    yield "dtypes", [str(x.dtype) for x in (loss, kl)], ["torch.float32"] * 2

    def mean(x: list) -> float:
        return oracle.balanced_kl([(rows[0][0], [x, rows[0][1][1]]), *rows[1:]], 0.8, 1.0, rows)

    found = gradients(loss, inputs[1])[0][0, 0, 0]
    yield "gradient to the prior of row [0, 0]", found, oracle.slopes(mean, rows[0][1][0])
    yield "inputs that were changed", unchanged(before, inputs, "posterior prior"), []


# --- 2.19 WorldModel.loss -------------------------------------------------------------------------

D = 4  # numbers of an observation
PARTS = ("kl", "reconstruction", "reward", "continue")


def world_of(code, peak=3.0, **others):
    """A world model for observations {"position": D numbers} and two actions."""
    space = {"position": SimpleNamespace(shape=(D,))}
    return strong(code.rssm.WorldModel(space, 2, options(**others)), peak)


def batch_of(count=2, length=3) -> dict:
    """Rows without a pattern; sequence 0 is cut at its end, 1 has a death, then a new episode."""
    f32 = torch.float32
    rows = {
        "position": irregular(count, length, D, phase=6.0, dtype=f32),
        "action": irregular(count, length, 2, phase=7.0, dtype=f32),
        "reward": 2 * irregular(count, length, phase=8.0, dtype=f32),
    }
    flags = {name: torch.zeros(count, length) for name in ("is_first", "is_last", "is_terminal")}
    if count > 1:
        flags["is_last"][0, -1] = 1
        flags["is_last"][1, 1] = flags["is_terminal"][1, 1] = flags["is_first"][1, 2] = 1
    return rows | flags


def slow_parts(model, batch, anchors=None, **changed) -> dict:
    """The parts of the loss, row by row; `changed` parameters take the place of the model's."""
    lists = {name: x.tolist() for name, x in batch.items()}
    rows = [{name: x[b] for name, x in lists.items()} for b in range(len(batch["reward"]))]
    return oracle.discrete_world_model(rows, values(model) | changed, model.config, anchors)


@check(
    "2.19",
    "the loss has four parts, three of them with a scale",
    "predictions: position .2, reward .5, logit 1.5; targets: position .7 (4 numbers), rewards "
    "[.2 0 1.5 | 0 .5 .5], one death in six rows, γ .9; logits of both categoricals [2 0 0], prior "
    "[0 1 0]; scales: kl .7, reconstruction 3, continue 5",
)
def parts_by_hand(code):
    model = put(
        world_of(code),
        {
            "rssm.fc_post_logits.bias": POST * 2,
            "rssm.fc_prior_logits.bias": PRIOR * 2,
            "decoder.mlp.output.bias": [0.2] * D,
            "reward.output.bias": [0.5],
            "continues.output.bias": [1.5],
        },
    )
    batch = batch_of() | {
        "position": torch.full((2, 3, D), 0.7),
        "reward": torch.tensor([[0.2, 0.0, 1.5], [0.0, 0.5, 0.5]]),
    }
    loss, _, metrics = model.loss(batch)
    kl = 2 * oracle.categorical_kl([POST], [PRIOR])
    ends = [5 * oracle.bernoulli_cross_entropy(1.5, 0.9), oracle.bernoulli_cross_entropy(1.5, 0.0)]
    expected = {
        "kl": 0.7 * kl,
        "reconstruction": 3 * (D * 0.5**2 / 2),
        "reward": (0.3**2 + 0.5**2 + 1.0**2 + 0.5**2) / 2 / 6,
        "continue": 5 * sum(ends) / 6,  # one death among the six rows
    }
    for name in PARTS:
        yield f"part {name}", metrics.get(f"loss/{name}"), expected[name]
    yield "kl for the log", metrics.get("kl"), kl
    yield "loss", loss, sum(expected.values())


@check(
    "2.19",
    "all predictions of a row are made from the state of this row",
    "irregular numbers, B = 2, T = 3; the second sequence has a death at step 1 and a new episode "
    "at step 2, the first is cut off at step 2",
)
def parts_of_irregular_numbers(code):
    model, batch = world_of(code), batch_of()
    before = {name: x.clone() for name, x in batch.items()}
    loss, states, metrics = model.loss(batch)
    expected = slow_parts(model, before)
    for name in PARTS:
        yield f"part {name}", metrics.get(f"loss/{name}"), expected[name]
    yield "kl for the log", metrics.get("kl"), expected["kl_mean"]
    yield "loss", loss, sum(expected[name] for name in PARTS)
    yield "dtype", str(loss.dtype), "torch.float32"
    yield "what the states hold", sorted(states), ["h", "post_logits", "prior_logits", "z"]
    steps = [[s["h"] for s in rows] for rows in expected["steps"]]
    yield "h of the states", states["h"], steps
    yield "do the returned states carry a gradient?", states["z"].requires_grad, True
    changed = sorted(name for name in batch if not torch.equal(batch[name], before[name]))
    yield "parts of the batch that were changed by the call", changed, []
    one = batch_of(1, 1)
    expected = slow_parts(model, one)
    yield "loss for B = T = 1", model.loss(one)[0], sum(expected[name] for name in PARTS)
    again = model.loss(batch)[0]
    yield "a second loss less the first", again - loss, 0.0


@check(
    "2.19",
    "free nats, balance and the continue predictor are options",
    "free nats 50, more than the KL, kl_scale .7; and a model without `self.continues`",
)
def optional_parts(code):
    model, batch = world_of(code, free_nats=50.0), batch_of()
    _, _, metrics = model.loss(batch)
    yield "part kl", metrics.get("loss/kl"), 35.0
    yield "kl for the log", metrics.get("kl"), slow_parts(model, batch)["kl_mean"]
    _, _, metrics = world_of(code, use_continue=False).loss(batch)
    names = ["kl", "loss/kl", "loss/reconstruction", "loss/reward", "post_entropy", "prior_entropy"]
    yield "metrics without a continue predictor", sorted(metrics), names


def group(name: str) -> str:
    """Part of the world model to which a parameter belongs."""
    if "rssm" not in name:
        return name.split(".")[0]
    return "prior" if "prior" in name else "posterior" if "post" in name else "recurrent"


@check(
    "2.19",
    "each part trains its own predictor; all train encoder, posterior and GRU, the KL the prior",
    "one part at a time: the other scales are 0, and the reward predictor's weights are 0",
)
def parts_that_learn(code):
    scales = ("kl_scale", "reconstruction_scale", "continue_scale")
    for part, trained in (
        ("kl", ["encoder", "posterior", "prior", "recurrent"]),
        ("reconstruction", ["decoder", "encoder", "posterior", "recurrent"]),
        ("continue", ["continues", "encoder", "posterior", "recurrent"]),
        ("reward", ["encoder", "posterior", "recurrent", "reward"]),
    ):
        off = {name: 0.0 for name in scales if not name.startswith(part)}
        model, batch = world_of(code, **off), batch_of(1, 2)
        if part != "reward":
            put(model.reward, {})
            batch["reward"] *= 0  # a reward predictor of zeros, with nothing to learn
        loss = model.loss(batch)[0]
        names, parameters = zip(*model.named_parameters(), strict=True)
        found = zip(names, gradients(loss, *parameters), strict=True)
        learning = {group(name) for name, gradient in found if gradient.any()}
        yield f"trained by the part {part}", sorted(learning), trained


BIASES = (
    "encoder.mlp.output.bias", "rssm.fc_in.bias", "rssm.fc_prior_logits.bias",
    "rssm.fc_post_logits.bias", "decoder.mlp.output.bias", "reward.output.bias",
    "continues.output.bias",
)  # fmt: skip


@check(
    "2.19",
    "the KL is balanced, and nothing else is detached: all learn from all that depends on them",
    "irregular numbers, B = 1, T = 2, balance .75; gradients of the whole loss",
)
def gradient_of_the_loss(code):
    model, batch = world_of(code), batch_of(1, 2)
    loss, base = model.loss(batch)[0], slow_parts(model, batch)
    for name in BIASES:
        bias = model.get_parameter(name)
        first, *rest = bias.tolist()

        def total(x: list, name=name, rest=rest) -> float:
            parts = slow_parts(model, batch, base["steps"], **{name: [*x, *rest]})
            return sum(parts[part] for part in PARTS)

        found = gradients(loss, bias)[0][0]
        yield f"gradient to {name}[0]", found, oracle.slopes(total, [first])[0], 1e-4
