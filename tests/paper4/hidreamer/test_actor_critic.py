"""Checks of features of tokens, returns of dreams and both policy losses.

Sources: λ-returns, weights and REINFORCE as in DreamerV3 (arXiv:2301.04104v2, "Critic learning",
"Actor learning"), with rows in which reward and continuation belong to the state in which the
action is taken; the clipped objective: Schulman et al. 2017, arXiv:1707.06347, equation 7.
"""

import math
from types import SimpleNamespace

import torch

from course.checks import check
from tests.numbers import F64, gradients, irregular
from tests.paper4.hidreamer import oracle_actor_critic as oracle


def double(numbers):
    return torch.tensor(numbers, dtype=F64)


def leaf(numbers):
    """A tensor whose gradient is asked for."""
    return double(numbers).requires_grad_()


def part(code):
    return code.hidreamer.actor_critic


# --- 4.36 TokenFeatures.forward -------------------------------------------------------------------


def features_of(code, codes):
    """TokenFeatures with these codes (3, K, E)."""
    books = [SimpleNamespace(codes=x) for x in codes]
    return part(code).TokenFeatures(SimpleNamespace(books=books))


@check(
    "4.36",
    "the feature is the code of L0, then that of L1, then that of L2",
    "two codes of two units for each level: L0 [1 2] [3 4], L1 [5 6] [7 8], L2 [9 10] [11 12]; "
    "tokens [1 0 1], then [0 1 0]",
)
def features_by_hand(code):
    codes = torch.arange(1.0, 13.0).view(3, 2, 2)
    features = features_of(code, codes)
    yield "features", features(torch.tensor([[1, 0, 1], [0, 1, 0]])), [
        [3.0, 4.0, 5.0, 6.0, 11.0, 12.0], [1.0, 2.0, 7.0, 8.0, 9.0, 10.0],
    ]  # fmt: skip


@check(
    "4.36",
    "tokens may have any leading dimensions: (..., 3) becomes (..., F)",
    "7 irregular codes of 4 units a level; tokens of shapes (3,), (5, 3), (3, 3), (1, 3), "
    "(2, 6, 3), (3, 3, 3), (1, 1, 3); float32 and float64",
)
def features_of_many_tokens(code):
    codes = irregular(3, 7, 4)
    features = features_of(code, codes)
    for shape in ((3,), (5, 3), (3, 3), (1, 3), (2, 6, 3), (3, 3, 3), (1, 1, 3)):
        tokens = (torch.arange(math.prod(shape)) ** 2 + 1).view(shape) % 7
        before = tokens.tolist()
        rows = [
            sum((codes[level, x].tolist() for level, x in enumerate(row)), [])
            for row in tokens.view(-1, 3).tolist()
        ]
        expected = double(rows).view(*shape[:-1], 12)
        yield f"features of tokens {shape}", features(tokens), expected
        yield f"tokens {shape} after the call", tokens, before
    got = features_of(code, codes.float())(tokens)
    yield "dtype for codes of float32", str(got.dtype), "torch.float32"
    yield "codes after the calls", features.codes, codes


# --- 4.37 dream_returns ---------------------------------------------------------------------------

REWARDS, GOES_ON, VALUES = [[1.0, 2.0, 3.0]], [[0.5, 0.8, 0.4]], [[10.0, 20.0, 30.0, 40.0]]
SHORT = "rewards [1 2 3], goes_on [.5 .8 .4], values [10 20 30 | 40]"


def returns_of(code, rewards, goes_on, values, *rest):
    return part(code).dream_returns(double(rewards), double(goes_on), double(values), *rest)


@check(
    "4.37",
    "the return of a state begins with the reward of its own action, and trusts the value of the "
    "next state; λ = 0: one step, λ = 1: all rewards, then the last value",
    f"{SHORT}, γ = 0.5; λ = 0, 1 and 0.5",
)
def returns_by_hand(code):
    rows = {0.0: [6.0, 14.0, 11.0], 1.0: [2.6, 6.4, 11.0], 0.5: [4.775, 10.2, 11.0]}
    for lambda_, row in rows.items():
        returns, weights = returns_of(code, REWARDS, GOES_ON, VALUES, 0.5, lambda_)
        yield f"returns with λ = {lambda_:g}", returns, [row]
        yield "weights", weights, [[1.0, 0.25, 0.1]]


@check(
    "4.37",
    "where γ = 0 only the reward counts; where life ends nothing follows, and what comes after "
    "weighs nothing",
    f"{SHORT}, but γ = 0; then γ = 0.9 and goes_on [1 0 1], λ = 0.7",
)
def nothing_follows(code):
    returns, weights = returns_of(code, REWARDS, GOES_ON, VALUES, 0.0, 0.7)
    yield "returns with γ = 0", returns, REWARDS
    yield "weights with γ = 0", weights, [[1.0, 0.0, 0.0]]
    returns, weights = returns_of(code, REWARDS, [[1.0, 0.0, 1.0]], VALUES, 0.9, 0.7)
    # 1 + .9 (.3 · 20 + .7 · 2), then 2 alone, then 3 + .9 · 40
    yield "returns with an end after the second action", returns, [[7.66, 2.0, 39.0]]
    yield "weights with an end after the second action", weights, [[1.0, 0.9, 0.0]]


@check(
    "4.37",
    "every dream has returns and weights of its own; λ = 0.95 unless another is given",
    "irregular rewards, values and goes_on of three dreams of five actions, γ = 0.97; then one "
    "dream of one action",
)
def returns_of_irregular_dreams(code):
    for shape in ((3, 5), (1, 1)):
        rewards, goes_on = 3 * irregular(*shape), irregular(*shape, phase=1.0).abs()
        values = 9 * irregular(shape[0], shape[1] + 1, phase=2.0)
        data = rewards, goes_on, values
        rows = [x.tolist() for x in data]
        for note, lambda_, given in (("λ = 0.7", 0.7, (0.7,)), ("the default λ", 0.95, ())):
            got = part(code).dream_returns(*data, 0.97, *given)
            expected = zip(
                *(oracle.dream_returns(*row, 0.97, lambda_) for row in zip(*rows, strict=True)),
                strict=True,
            )
            names = (f"returns with {note}", f"weights with {note}")
            for name, x, want in zip(names, got, expected, strict=True):
                yield f"{name}, {shape}", x, list(want)
        for name, x, old in zip(("rewards", "goes_on", "values"), data, rows, strict=True):
            yield f"{name} after the calls", x, old
    got = part(code).dream_returns(*(x.float() for x in data), 0.97)
    yield "dtypes of float32", [str(x.dtype) for x in got], ["torch.float32"] * 2


# --- 4.38 reinforce_loss, 4.39 ppo_loss -----------------------------------------------------------

HALF, QUARTER = math.log(0.5), math.log(0.25)
# Two states, three actions; the second action is legal in neither: probabilities .5 . .5, .25 . .75
PAIR = [[HALF, -math.inf, HALF], [QUARTER, -math.inf, math.log(0.75)]]
ENTROPY = [math.log(2), -0.25 * QUARTER - 0.75 * math.log(0.75)]
POLICY = "probabilities [.5 0 .5] and [.25 0 .75], actions 0 and 2"


def policy_of(logits, legal):
    """Log-probabilities, -inf where an action is not legal."""
    return torch.log_softmax(logits.masked_fill(~legal, -math.inf), -1)


def rows_of(logits, legal) -> list:
    """What the oracle takes: None where an action is not legal."""
    hidden = legal.expand_as(logits).tolist()
    return [
        [
            [x if on else None for x, on in zip(*row, strict=True)]
            for row in zip(*dream, strict=True)
        ]
        for dream in zip(logits.tolist(), hidden, strict=True)
    ]


def states(batch: int, horizon: int, actions: int, phase=0.0):
    """Irregular logits, legal, action, advantage, weight. Every third action is not legal."""
    legal = torch.arange(actions) % 3 != 1
    allowed = legal.nonzero()[:, 0]
    shape = batch, horizon
    chosen = (torch.arange(batch * horizon) ** 2 + batch).view(shape) % len(allowed)
    advantage = 3 * irregular(*shape, phase=phase + 2)
    weight = irregular(*shape, phase=phase + 3).abs()
    return 2 * irregular(*shape, actions, phase=phase), legal, allowed[chosen], advantage, weight


SHAPES = (((2, 3, 5), 0.3), ((1, 4, 6), 3e-4), ((3, 1, 3), 2.0))
NUMBERS = "irregular numbers of shapes (2, 3), (1, 4), (3, 1) with 5, 6 and 3 actions, every third "


@check(
    "4.38",
    "the log-probability of the action taken times its advantage is to grow; the entropy of the "
    "legal actions is a bonus; both count with the weight of the state; the mean over all states",
    f"{POLICY}, advantage [2 -3], weight [1 .4], entropy_scale 0, then 0.1",
)
def reinforce_by_hand(code):
    data = [PAIR], [[0, 2]], [[2.0, -3.0]], [[1.0, 0.4]]
    for scale in (0.0, 0.1):
        first = 2 * HALF + scale * ENTROPY[0]
        second = -3 * math.log(0.75) + scale * ENTROPY[1]
        log_policy, action, *rest = (torch.tensor(x) for x in data)
        loss = part(code).reinforce_loss(log_policy, action, *rest, scale)
        yield f"loss with entropy_scale {scale:g}", loss, -(first + 0.4 * second) / 2


@check(
    "4.38",
    "actions that are not legal count nowhere; the gradient to the logits of the legal ones is "
    "weight · (advantage · (one-hot - π) - entropy_scale · π (log π + H)) ÷ -(B · H)",
    NUMBERS + "of them not legal; entropy_scale 0.3, 0.0003 and 2",
)
def reinforce_of_irregular_numbers(code):
    for (batch, horizon, actions), scale in SHAPES:
        logits, legal, *rest = states(batch, horizon, actions)
        lists = [x.tolist() for x in rest]
        loss, slopes = oracle.policy_loss(rows_of(logits, legal), *lists, scale)
        logits.requires_grad_()
        got = part(code).reinforce_loss(policy_of(logits, legal), *rest, scale)
        yield f"loss for {batch, horizon}", got, loss
        yield "gradient to the logits", *gradients(got, logits), slopes
        for name, x, before in zip(("action", "advantage", "weight"), rest, lists, strict=True):
            yield f"{name} after the call", x, before
    single = [x.float() if x.is_floating_point() else x for x in rest]
    got = part(code).reinforce_loss(policy_of(logits.float(), legal), *single, scale)
    yield "dtype of float32", str(got.dtype), "torch.float32"


@check(
    "4.38",
    "advantage and weight are constants, though both came out of networks",
    f"{POLICY}; advantage [2 -3] and weight [1 .4] with gradient, entropy_scale 0.1",
)
def constants_of_reinforce(code):
    advantage, weight = leaf([[2.0, -3.0]]), leaf([[1.0, 0.4]])
    logits = leaf([PAIR])
    loss = part(code).reinforce_loss(
        logits, torch.tensor([[0, 2]]), advantage, weight, 0.1
    )  # fmt: skip
    found = gradients(loss, advantage, weight, logits)
    yield "gradient to advantage", found[0], [[0.0, 0.0]]
    yield "gradient to weight", found[1], [[0.0, 0.0]]
    yield "is there a gradient to the policy?", bool(found[2][..., [0, 2]].all()), True


@check(
    "4.39",
    "the ratio is the probability now ÷ that at the time; the smaller of ratio · advantage and the "
    "clipped ratio · advantage counts",
    f"{POLICY}; the actions had probabilities .4 and .5 then: ratios 1.25 and 1.5; advantage "
    "[2 2], then [-2 -2], weight [1 .4], entropy_scale 0, clip 0.3, then 0.2",
)
def clipped_ratios_by_hand(code):
    log_policy, action = double([PAIR]), torch.tensor([[0, 2]])
    before, weight = double([[0.4, 0.5]]).log(), double([[1.0, 0.4]])
    rows = {
        (2.0, 0.3): (1.25, 1.3), (2.0, 0.2): (1.2, 1.2),
        (-2.0, 0.3): (1.25, 1.5), (-2.0, 0.2): (1.25, 1.5),
    }  # fmt: skip
    for (gain, clip), ratios in rows.items():
        advantage = double([[gain, gain]])
        loss = part(code).ppo_loss(log_policy, before, action, advantage, weight, 0.0, clip)
        expected = -(1.0 * ratios[0] + 0.4 * ratios[1]) * gain / 2
        yield f"loss for advantage {gain:g}, clip {clip:g}", loss, expected
    loss = part(code).ppo_loss(log_policy, before, action, advantage, weight, 0.1)
    expected -= 0.1 * (ENTROPY[0] + 0.4 * ENTROPY[1]) / 2
    yield "loss with entropy_scale 0.1", loss, expected


@check(
    "4.39",
    "before the first update all ratios are 1, and the gradient is REINFORCE's",
    NUMBERS + "of them not legal; entropy_scale 0.3, 0.0003 and 2; `before` is the policy's own",
)
def first_epoch(code):
    for (batch, horizon, actions), scale in SHAPES:
        logits, legal, action, advantage, weight = states(batch, horizon, actions)
        _, slopes = oracle.policy_loss(
            rows_of(logits, legal), *(x.tolist() for x in (action, advantage, weight)), scale
        )
        logits.requires_grad_()
        log_policy = policy_of(logits, legal)
        before = log_policy.gather(-1, action[..., None])[..., 0]
        got = part(code).ppo_loss(log_policy, before, action, advantage, weight, scale)
        yield f"gradient to the logits for {batch, horizon}", *gradients(got, logits), slopes


@check(
    "4.39",
    "clipping takes the gradient where a good action is likelier by more than 1 + clip, or a bad "
    "one less likely than 1 - clip; not where there is something to make good",
    "one dream of eight states; ratios [.6 1.1 1.5 .6 .9 1.5 .1 8], advantage [2 2 2 -2 -2 -2 2 "
    "-2], weight irregular, entropy_scale 0, clip 0.2 by default",
)
def which_side_is_clipped(code):
    logits, legal, action, _, weight = states(1, 8, 5)
    advantage = double([[2.0, 2.0, 2.0, -2.0, -2.0, -2.0, 2.0, -2.0]])
    ratios = double([[0.6, 1.1, 1.5, 0.6, 0.9, 1.5, 0.1, 8.0]])
    logits.requires_grad_()
    log_policy = policy_of(logits, legal)
    before = log_policy.detach().gather(-1, action[..., None])[..., 0] - ratios.log()
    got = part(code).ppo_loss(log_policy, before, action, advantage, weight, 0.0)
    [slope] = gradients(got, logits)
    yield (
        "states with a gradient",
        slope.any(-1),
        [[True, True, False, False, True, True, True, True]],
    )
    lists = [x.tolist() for x in (action, advantage, weight)]
    loss, slopes = oracle.policy_loss(rows_of(logits, legal), *lists, 0.0, before.tolist())
    yield "loss", got, loss
    yield "gradient to the logits", slope, slopes


@check(
    "4.39",
    "actions that are not legal count nowhere; the entropy is no part of what is clipped; both "
    "count with the weight of the state; the mean over all states",
    NUMBERS + "of them not legal; entropy_scale 0.3, 0.0003 and 2, clip 0.2, 0.1 and 0.4",
)
def ppo_of_irregular_numbers(code):
    for ((batch, horizon, actions), scale), clip in zip(SHAPES, (0.2, 0.1, 0.4), strict=True):
        logits, legal, *rest = states(batch, horizon, actions)
        now = policy_of(logits, legal).gather(-1, rest[0][..., None])[..., 0]
        before = now + 0.6 * irregular(batch, horizon, phase=5.0)
        data = before, *rest
        lists = [x.tolist() for x in data]
        loss, slopes = oracle.policy_loss(
            rows_of(logits, legal), *lists[1:], scale, lists[0], clip
        )  # fmt: skip
        logits.requires_grad_()
        got = part(code).ppo_loss(policy_of(logits, legal), *data, scale, clip)
        yield f"loss for {batch, horizon}", got, loss
        yield "gradient to the logits", *gradients(got, logits), slopes
        names = ("before", "action", "advantage", "weight")
        for name, x, old in zip(names, data, lists, strict=True):
            yield f"{name} after the call", x, old
    single = [x.float() if x.is_floating_point() else x for x in data]
    got = part(code).ppo_loss(policy_of(logits.float(), legal), *single, scale, clip)
    yield "dtype of float32", str(got.dtype), "torch.float32"


@check(
    "4.39",
    "the probability then, advantage and weight are constants",
    f"{POLICY}; the actions had probabilities .55 and .7; advantage [2 -3], weight [1 .4], all "
    "with gradient, entropy_scale 0.1",
)
def constants_of_ppo(code):
    before, advantage = leaf([[math.log(0.55), math.log(0.7)]]), leaf([[2.0, -3.0]])
    weight, logits = leaf([[1.0, 0.4]]), leaf([PAIR])
    action = torch.tensor([[0, 2]])
    loss = part(code).ppo_loss(logits, before, action, advantage, weight, 0.1)
    found = gradients(loss, before, advantage, weight, logits)
    for name, slope in zip(("before", "advantage", "weight"), found, strict=False):
        yield f"gradient to {name}", slope, [[0.0, 0.0]]
    yield "is there a gradient to the policy?", bool(found[3][..., [0, 2]].all()), True
