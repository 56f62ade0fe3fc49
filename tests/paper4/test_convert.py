"""Checks of the conversion: a flat DreamerV3's prior and posterior as those of two levels.

What must hold is the equality of two networks' logits, computed by the slow loops of tests/oracle.
"""

import torch

from course.checks import check, draws
from tests import oracle
from tests.numbers import F64, irregular

# --- 4.12 rows_of ---------------------------------------------------------------------------------


def numbered(*shape):
    """0, 1, 2, … in this shape."""
    return torch.arange(float(torch.Size(shape).numel()), dtype=F64).view(*shape)


def latents(*numbers):
    return torch.tensor(numbers)


@check(
    "4.12",
    "the K rows of each categorical, in the order that is asked for",
    "4 categoricals of 3 classes: rows 0 … 11; wanted are 2 and 0: rows 6 7 8, then 0 1 2",
)
def rows_of_two(code):
    bias = numbered(12)
    for note in ("", ", again"):
        got = code.convert.rows_of(bias, latents(2, 0), 3)
        yield f"bias{note}", got, [6.0, 7.0, 8.0, 0.0, 1.0, 2.0]
    weight = torch.stack([bias, bias + 100], 1)  # (12, 2)
    before = weight.tolist()
    got = code.convert.rows_of(weight, latents(3, 1), 3)
    yield "weight", got, [[float(i), 100.0 + i] for i in (9, 10, 11, 3, 4, 5)]
    yield "weight after the call", weight, before
    yield "bias after the calls", bias, [float(i) for i in range(12)]
    yield "dtype", str(code.convert.rows_of(bias.float(), latents(1), 3).dtype), "torch.float32"


@check(
    "4.12",
    "any number of categoricals, of any number of classes",
    "5 categoricals: all of K=2 but number 1; one of K=4; the last of K=1; all of K=3, reversed",
)
def rows_of_some(code):
    for wanted, k in (((0, 2, 3, 4), 2), ((3,), 4), ((4,), 1), ((4, 3, 2, 1, 0), 3)):
        got = code.convert.rows_of(numbered(5 * k, 2), latents(*wanted), k)
        rows = [i * k + j for i in wanted for j in range(k)]
        yield f"categoricals {wanted}, K={k}", got, [[2.0 * i, 2.0 * i + 1] for i in rows]


@check(
    "4.12",
    "the smaller layer makes the logits of these categoricals",
    "a layer of 4 inputs and 3 categoricals of 5 classes, wanted are 1 and 2; h irregular",
)
def smaller_layer(code):
    weight, bias, h = irregular(15, 4), irregular(15, phase=1.0), irregular(4, phase=2.0).tolist()
    logits = oracle.linear(h, weight.tolist(), bias.tolist())
    small = [code.convert.rows_of(x, latents(1, 2), 5).tolist() for x in (weight, bias)]
    yield "logits", oracle.linear(h, *small), logits[5:]


# --- 4.13 widened ---------------------------------------------------------------------------------


@check(
    "4.13",
    "the old columns, then one column of zeros for each new input",
    "weight [1 2 3], [4 5 6] and 2 more inputs; a random number is 1.5, not 0",
)
def zeros_behind(code):
    weight = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=F64)
    with draws(normal=1.5, uniform=0.9):
        for note in ("", ", again"):
            got = code.convert.widened(weight, 2)
            yield f"weight{note}", got, [[1.0, 2.0, 3.0, 0.0, 0.0], [4.0, 5.0, 6.0, 0.0, 0.0]]
    yield "weight before, after the calls", weight, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    yield "dtype", str(got.dtype), "torch.float64"
    yield "dtype of float32", str(code.convert.widened(weight.float(), 2).dtype), "torch.float32"


@check(
    "4.13",
    "the same function of the first inputs, whatever the new ones are",
    "weights (3, 2), (1, 4) and (3, 3) with 5, 1 and 3 more inputs, which are not 0",
)
def same_function(code):
    for (units, inputs), more in (((3, 2), 5), ((1, 4), 1), ((3, 3), 3)):
        weight, x = irregular(units, inputs), irregular(inputs, phase=1.0).tolist()
        extra = (2 + irregular(more, phase=2.0)).tolist()
        got = code.convert.widened(weight, more)
        yield f"shape of {(units, inputs)} and {more}", tuple(got.shape), (units, inputs + more)
        if tuple(got.shape) != (units, inputs + more):
            return
        want = oracle.linear(x, weight.tolist(), None)
        yield f"output of {(units, inputs)}", oracle.linear(x + extra, got.tolist(), None), want


# --- 4.14 convert_rssm ----------------------------------------------------------------------------

H, U, E, S, K = 4, 5, 6, 5, 3  # units of h, hidden, embedding; categoricals, classes
SHAPES = {
    "prior_mlp.0.weight": (U, H), "prior_mlp.0.bias": (U,), "prior_mlp.1.weight": (U,),
    "prior_mlp.2.weight": (U, U), "prior_mlp.2.bias": (U,), "prior_mlp.3.weight": (U,),
    "prior_mlp.4.weight": (S * K, U), "prior_mlp.4.bias": (S * K,),
    "post_h.weight": (U, H), "post_h.bias": (U,), "post_embed.weight": (U, E),
    "post_out.0.weight": (U,), "post_out.1.weight": (S * K, U), "post_out.1.bias": (S * K,),
}  # fmt: skip
ORDERS = {
    "as they are": ([0, 1, 2, 3, 4], 2),
    "in another order": ([3, 0, 4, 1, 2], 2),
    "reversed": ([4, 3, 2, 1, 0], 4),
    "one at the top": ([2, 4, 1, 0, 3], 1),
}


def flat_rssm() -> dict:
    """The tensors of a flat RSSM's prior and posterior, all of them irregular."""
    named = enumerate(SHAPES.items())
    return {name: irregular(*shape, phase=5.0 + 0.7 * i) for i, (name, shape) in named}


def converted(code, order: list[int], n_top: int) -> tuple[dict, dict]:
    """The flat tensors, and those of two levels: the converted ones beside all that stays."""
    rssm = flat_rssm()
    found = code.convert.convert_rssm(rssm, torch.tensor(order), n_top, K)
    return rssm, rssm | found


def shapes_of_two_levels(n_top: int) -> dict[str, tuple]:
    top, bottom = n_top * K, (S - n_top) * K
    same = {f"bottom_{k}": v for k, v in SHAPES.items() if k.startswith("prior_mlp")}
    return same | {
        "bottom_prior_mlp.0.weight": (U, H + top), "bottom_prior_mlp.4.weight": (bottom, U),
        "bottom_prior_mlp.4.bias": (bottom,), "prior_mlp.4.weight": (top, U),
        "prior_mlp.4.bias": (top,), "post_out.1.weight": (top, U), "post_out.1.bias": (top,),
        "post_embed.weight": (2 * U, E), "delta.h_in.weight": (U, H), "delta.h_in.bias": (U,),
        "delta.top_in.weight": (U, top), "delta.out.0.weight": (U,),
        "delta.out.1.weight": (bottom, U), "delta.out.1.bias": (bottom,), "gate": (),
    }  # fmt: skip


@check(
    "4.14",
    "every tensor that two levels have and a flat model has not, in its shape",
    "H=4, 5 hidden units, embedding 6, 5 categoricals of 3 classes; 2 at the top, then 4 and 1",
)
def names_and_shapes(code):
    for name, (order, n_top) in ORDERS.items():
        found = code.convert.convert_rssm(flat_rssm(), torch.tensor(order), n_top, K)
        wanted = shapes_of_two_levels(n_top)
        yield f"missing, {name}", sorted(set(wanted) - set(found)), []
        yield f"in no two-level model, {name}", sorted(set(found) - set(wanted) - set(SHAPES)), []
        for key, shape in wanted.items():
            yield f"shape of {key}, {name}", tuple(found[key].shape), shape


@check(
    "4.14",
    "both priors and both posteriors have the flat model's logits, each level its own part",
    "the same sizes; order [0 1 2 3 4], [3 0 4 1 2] and others: number i of the two levels is "
    "order[i] of the flat model; h, embedding and z_top irregular",
)
def same_logits(code):
    h, embed = irregular(H, phase=1.0).tolist(), irregular(E, phase=2.0).tolist()
    for name, (order, n_top) in ORDERS.items():
        rssm, found = converted(code, order, n_top)
        flat, two = ({k: x.tolist() for k, x in p.items()} for p in (rssm, found))
        top = (2 * irregular(n_top * K, phase=3.0)).tolist()
        got = oracle.two_level_logits(h, top, embed, two)
        prior = oracle.two_hidden_layers(h, flat, "prior_mlp")
        posterior = oracle.flat_posterior(h, embed, flat)
        rows = [i * K + k for i in order for k in range(K)]
        want = [[logits[i] for i in rows] for logits in (prior, posterior)]
        cut = n_top * K
        yield f"top prior, {name}", got[0], want[0][:cut]
        yield f"bottom prior, {name}", got[1], want[0][cut:]
        yield f"top posterior, {name}", got[2], want[1][:cut]
        yield f"bottom posterior, {name}", got[3], want[1][cut:]


@check(
    "4.14",
    "what is new does not speak yet: the gate is 0, so are the weights of z_top",
    "the same sizes, order [3 0 4 1 2], 2 at the top; a random number is 1.5, not 0",
)
def new_weights_are_zero(code):
    with draws(normal=1.5, uniform=0.9):
        _, found = converted(code, *ORDERS["in another order"])
    yield "gate", found["gate"], 0.0
    first = found["bottom_prior_mlp.0.weight"]
    yield "columns of z_top, bottom prior", first[:, H:], [[0.0] * 2 * K] * U
    yield "delta.top_in.weight", found["delta.top_in.weight"], [[0.0] * 2 * K] * U


@check(
    "4.14",
    "the flat model's tensors stay as they are, and a second call gives the same",
    "the same sizes, order [4 3 2 1 0], 4 at the top; shown are sums of numbers times 1, 2, 3 …",
)
def nothing_is_changed(code):
    def digest(tensors: dict) -> dict:
        """One number for each tensor, which depends on the place of every entry."""
        weights = {k: torch.arange(1, x.numel() + 1) for k, x in tensors.items()}
        return {k: float((x.flatten() * weights[k]).sum()) for k, x in tensors.items()}

    rssm = flat_rssm()
    order, n_top = ORDERS["reversed"]
    order = torch.tensor(order)
    first = digest(code.convert.convert_rssm(rssm, order, n_top, K))
    yield "flat tensors after the call", digest(rssm), digest(flat_rssm())
    yield "order after the call", order, [4, 3, 2, 1, 0]
    yield "second call", digest(code.convert.convert_rssm(rssm, order, n_top, K)), first
