"""Checks of DreamerV2's truncated normal, λ-returns, weights, losses, and of the slow critic.

Sources: arXiv:2010.02193, Section 2.2 and Appendix A; danijar/dreamerv2, agent.py, `ActorCritic`;
common/dists.py, `TruncNormalDist`; common/other.py, `lambda_return`.
"""

import math
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributions import Distribution
from torch.utils._python_dispatch import _disable_current_modes as real_random_numbers

from course.checks import check, draws
from tests import oracle

# --- builders -------------------------------------------------------------------------------------


def double(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def leaf(numbers):
    """A tensor whose gradient is asked for."""
    return double(numbers).requires_grad_()


def gradients(result, *inputs) -> list:
    """The gradient of a result's sum to each input; "none" where nothing flows."""
    if not result.requires_grad:
        return ["none"] * len(inputs)
    found = torch.autograd.grad(result.sum(), inputs, retain_graph=True, allow_unused=True)
    return ["none" if x is None or not x.any() else x for x in found]


def irregular(*shape) -> list:
    """Numbers in [-1, 1] without a pattern, as nested lists."""
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(2.3 * count**1.4).view(shape).tolist()


@contextmanager
def without_validation():
    """torch.distributions look at the numbers that they are given; 'meta' tensors have none."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


# --- 2.12 TruncatedNormal.rsample -----------------------------------------------------------------

MEAN, STD = [0.2, -0.7, 0.95], [0.4, 1.3, 0.3]


def places(u: float) -> list[float]:
    return [oracle.cut_normal_quantile(u, m, s) for m, s in zip(MEAN, STD, strict=True)]


@check(
    "2.12",
    "an action is the place with the share u of the cut bell below it",
    f"mean {MEAN}, std {STD}; the uniform number u is 0.2, then 0.8; at last 0.5",
)
def inverse_of_the_cumulative_distribution(code):
    mean, std = double([MEAN]), double([STD])
    policy = code.actor_critic.TruncatedNormal(mean, std)
    found = []
    for u in (0.2, 0.8):
        with draws(normal=-1.3, uniform=u):
            found += [policy.rsample()]
    found = torch.cat(found).sort(0).values  # whoever takes 1 - u for u is right as well
    yield "actions with u = 0.2 and 0.8, sorted", found, [places(0.2), places(0.8)]
    for note in ("", ", again"):
        with draws(normal=-1.3, uniform=0.5):
            yield f"action with u = 0.5{note}", policy.rsample(), [places(0.5)]
    yield "mean after the calls", mean, [MEAN]
    yield "std after the calls", std, [STD]
    below = [oracle.normal_below((-1 - m) / s) for m, s in zip(MEAN, STD, strict=True)]
    yield "policy.below after the calls", policy.below, [below]
    single = code.actor_critic.TruncatedNormal(mean.float(), std.float()).rsample()
    yield "dtype", str(single.dtype), "torch.float32"


@check(
    "2.12",
    "the gradient of an action reaches mean and std, also through what is cut off",
    f"mean {MEAN}, std {STD}; u is 0.5; then one unit of mean 0.95, std 0.3, u 0.0001 and 0.9999",
)
def gradient_of_an_action(code):
    mean, std = leaf([MEAN]), leaf([STD])
    with draws(normal=-1.3, uniform=0.5):
        action = code.actor_critic.TruncatedNormal(mean, std).rsample()
    slopes = [
        oracle.slopes(lambda x: oracle.cut_normal_quantile(0.5, *x), [m, s])
        for m, s in zip(MEAN, STD, strict=True)
    ]
    to_mean, to_std = gradients(action, mean, std)
    yield "gradient to the mean", to_mean, [[slope for slope, _ in slopes]]
    yield "gradient to the std", to_std, [[slope for _, slope in slopes]]
    mean, std, ends = leaf([[0.95]]), leaf([[0.3]]), (0.0001, 0.9999)
    actions = []
    for u in ends:
        with draws(uniform=u):
            actions += [code.actor_critic.TruncatedNormal(mean, std).rsample()]
    places = [[oracle.cut_normal_quantile(u, 0.95, 0.3)] for u in ends]
    yield "actions in the far tails, sorted", torch.cat(actions).sort(0).values, places, 1e-4
    slopes = [
        oracle.slopes(lambda x, u=u: oracle.cut_normal_quantile(u, *x), [0.95, 0.3]) for u in ends
    ]
    both = gradients(sum(actions), mean, std)
    for name, got, want in zip(("mean", "std"), both, zip(*slopes, strict=True), strict=True):
        yield f"gradient of their sum to the {name}", got, [[sum(want)]], 1e-3


@check(
    "2.12",
    "a narrow bell has tails: they are drawn from as well",
    "mean 0, std 0.1; u is 0.00001, then 0.99999",
)
def far_tails(code):
    policy, found = code.actor_critic.TruncatedNormal(double([[0.0]]), double([[0.1]])), []
    for u in (0.00001, 0.99999):
        with draws(uniform=u):
            found += [policy.rsample()]
    expected = [[oracle.cut_normal_quantile(u, 0.0, 0.1)] for u in (0.00001, 0.99999)]
    yield "both actions, sorted", torch.cat(found).sort(0).values, expected, 1e-4


@check(
    "2.12",
    "actions and their gradients are finite and within the bounds, whatever u is",
    "float32, means [1 -1 0.5 -0.5 -0.97], std 0.1; u is 0, then the largest below 1 that there is",
)
def bounds_of_actions(code):
    for name, u in (("0", 0.0), ("almost 1", 1 - 2**-24)):
        mean = torch.tensor([[1.0, -1.0, 0.5, -0.5, -0.97]], requires_grad=True)
        std = torch.full((1, 5), 0.1, requires_grad=True)
        with draws(uniform=u):
            action = code.actor_critic.TruncatedNormal(mean, std).rsample()
        yield f"action with u = {name} is finite", action.isfinite().tolist(), [[True] * 5]
        yield f"within (-1, 1) with u = {name}", (action.abs() < 1).tolist(), [[True] * 5]
        for what, x in zip(("mean", "std"), gradients(action, mean, std), strict=True):
            finite = x if isinstance(x, str) else bool(x.isfinite().all() and x.abs().max() < 100)
            yield f"gradient to the {what} with u = {name} is finite", finite, True


@check(
    "2.12",
    "each of the 24 numbers of a batch of actions has a random number of its own",
    "mean 0.1 and std 0.5 everywhere, shape (2, 3, 4); real random numbers",
)
def random_numbers_of_their_own(code):
    policy = code.actor_critic.TruncatedNormal(
        torch.full((2, 3, 4), 0.1), torch.full((2, 3, 4), 0.5)
    )
    with real_random_numbers():
        action, again = policy.rsample(), policy.rsample()
        different, new = action.unique().numel(), bool((action != again).all())
    yield "shape", tuple(action.shape), (2, 3, 4)
    yield "different numbers", different, 24
    yield "a second sample differs everywhere", new, True


@check(
    "2.12",
    "the random numbers are on the device of mean and std",
    "mean and std on the device 'meta', whose tensors mix with no other device's",
)
def device_of_an_action(code):
    policy = code.actor_critic.TruncatedNormal(*torch.ones(2, 5, 3, device="meta"))
    with without_validation():
        yield "device", str(policy.rsample().device), "meta"


# --- 2.13 TruncatedNormal.log_prob ----------------------------------------------------------------

MEANS, STDS = [[0.2, -0.7], [0.95, 0.0], [-0.4, 0.6]], [[0.4, 1.3], [0.3, 2.1], [0.15, 0.8]]
ACTIONS = [[0.5, -0.9], [0.1, 0.3], [-0.6, -0.2]]


def log_densities(actions, means, stds) -> list[float]:
    return [
        sum(oracle.cut_normal_log_density(*x) for x in zip(*rows, strict=True))
        for rows in zip(actions, means, stds, strict=True)
    ]


@check(
    "2.13",
    "the log-density is that of the Normal, minus the log of the mass between the bounds",
    "one unit, mean 0.2, std 0.4, action 0.5; then mean 0, std 2.1, action 0.3",
)
def density_of_one_unit(code):
    policy = code.actor_critic.TruncatedNormal(double([[0.2], [0.0]]), double([[0.4], [2.1]]))
    expected = log_densities([[0.5], [0.3]], [[0.2], [0.0]], [[0.4], [2.1]])
    yield "log_prob", policy.log_prob(double([[0.5], [0.3]])), expected


@check(
    "2.13",
    "units are independent: their log-densities add up, and an action has one number",
    "three policies of two units: means [0.2 -0.7], [0.95 0], [-0.4 0.6], "
    "stds [0.4 1.3], [0.3 2.1], [0.15 0.8]; actions [0.5 -0.9], [0.1 0.3], [-0.6 -0.2]",
)
def density_of_several_units(code):
    mean, std, action = double(MEANS), double(STDS), double(ACTIONS)
    make, expected = code.actor_critic.TruncatedNormal, log_densities(ACTIONS, MEANS, STDS)
    policy = make(mean, std)
    yield "log_prob for (B,) = (3,)", policy.log_prob(action), expected
    yield "log_prob, asked again", policy.log_prob(action), expected
    lead = make(mean[None], std[None]).log_prob(action[None])
    yield "log_prob for (B, T) = (1, 3)", lead, [expected]
    lead = make(mean[:, None], std[:, None]).log_prob(action[:, None])
    yield "log_prob for (B, T) = (3, 1)", lead, [[x] for x in expected]
    yield "log_prob of a single action", make(mean[1], std[1]).log_prob(action[1]), expected[1]
    for name, x, before in (("action", action, ACTIONS), ("mean", mean, MEANS), ("std", std, STDS)):
        yield f"{name} after the calls", x, before
    single = make(mean.float(), std.float()).log_prob(action.float())
    yield "dtype", str(single.dtype), "torch.float32"


@check(
    "2.13",
    "the gradient reaches mean, std and the action; the mass depends on mean and std too",
    "mean [0.2 -0.7], std [0.4 1.3], action [0.5 -0.9]",
)
def gradient_of_the_density(code):
    mean, std, action = leaf(MEANS[:1]), leaf(STDS[:1]), leaf(ACTIONS[:1])
    log_prob = code.actor_critic.TruncatedNormal(mean, std).log_prob(action)
    expected = [
        oracle.slopes(lambda x: oracle.cut_normal_log_density(*x), list(unit))
        for unit in zip(ACTIONS[0], MEANS[0], STDS[0], strict=True)
    ]
    names = zip(("action", "mean", "std"), gradients(log_prob, action, mean, std), strict=True)
    for i, (name, got) in enumerate(names):
        yield f"gradient to the {name}", got, [[slopes[i] for slopes in expected]]


@check(
    "2.13",
    "an unlikely action has a finite log-density, and finite gradients",
    "float32, means [1 -1], std 0.1 each, actions [-0.99 0.99]; the density itself is below e^-190",
)
def unlikely_actions(code):
    mean = torch.tensor([[1.0], [-1.0]], requires_grad=True)
    std = torch.full((2, 1), 0.1, requires_grad=True)
    log_prob = code.actor_critic.TruncatedNormal(mean, std).log_prob(
        double([[-0.99], [0.99]]).float()
    )
    expected = oracle.cut_normal_log_density(-0.99, 1.0, 0.1)
    yield "log_prob", log_prob, [expected, expected]
    to_mean, to_std = gradients(log_prob, mean, std)
    slopes = oracle.slopes(lambda x: oracle.cut_normal_log_density(-0.99, *x), [1.0, 0.1], 1e-5)
    yield "gradient to the mean", to_mean, [[slopes[0]], [-slopes[0]]], 1e-4
    yield "gradient to the std", to_std, [[slopes[1]], [slopes[1]]], 1e-4


@check(
    "2.13",
    "the density over all actions from -1 to 1 adds up to 1",
    "mean 0.95, std 0.3; then mean -0.4, std 2.1; the sum over 2,000 actions, times their distance",
)
def density_adds_up_to_one(code):
    action = (torch.arange(2000, dtype=torch.float64)[:, None] + 0.5) / 1000 - 1
    for mean, std in ((0.95, 0.3), (-0.4, 2.1)):
        policy = code.actor_critic.TruncatedNormal(
            torch.full_like(action, mean), torch.full_like(action, std)
        )
        total = policy.log_prob(action).exp().sum() / 1000
        yield f"sum for mean {mean}, std {std}", total, 1.0


# --- 2.14 compute_lambda_returns ------------------------------------------------------------------

REWARDS, VALUES, CONTINUES = [[1.0, 2.0, 3.0]], [[10.0, 20.0, 30.0, 40.0]], [[0.9, 0.6, 0.8]]
ONES = [[1.0, 1.0, 1.0]]
SHORT = "rewards [1 2 3], values [10 20 30 | 40]"


def returns_of(code, rewards, values, continues, *settings):
    compute = code.actor_critic.compute_lambda_returns
    return compute(double(rewards), double(values), double(continues), *settings)


@check(
    "2.14",
    "a return is the reward of its own state, then a mixture of the next state's value and return",
    SHORT + ", continues [1 1 1], γ=0.5, λ=0.5; then also λ=0 and λ=1",
)
def returns_of_the_example(code):
    expected = {0.5: [9.8125, 15.25, 23.0], 0.0: [11.0, 17.0, 23.0], 1.0: [7.75, 13.5, 23.0]}
    for lambda_, row in expected.items():
        returns = returns_of(code, REWARDS, VALUES, ONES, 0.5, lambda_)
        yield f"returns with λ={lambda_:g}", returns, [row]


@check(
    "2.14",
    "all that follows state t is multiplied by γ and by c_t",
    SHORT + ", continues [0.9 0.6 0.8], γ=0.5, λ=0.8; then with a death: continues [0.9 0 0.8]",
)
def returns_with_irregular_continues(code):
    returns = returns_of(code, REWARDS, VALUES, CONTINUES, 0.5, 0.8)
    yield "returns", returns, [[5.8096, 8.36, 19.0]]
    returns = returns_of(code, REWARDS, VALUES, [[0.9, 0.0, 0.8]], 0.5, 0.8)
    yield "returns with continues [0.9 0 0.8]", returns, [[3.52, 2.0, 19.0]]


@check(
    "2.14",
    "a dream of one step: the reward, and γ c times the bootstrap",
    "rewards [2] and [3], values [9 | 5] and [8 | 7], continues [0.5] and [0.7], γ=0.8, λ=0.3",
)
def returns_of_one_step(code):
    data = [[2.0], [3.0]], [[9.0, 5.0], [8.0, 7.0]], [[0.5], [0.7]]
    yield "returns, N=2", returns_of(code, *data, 0.8, 0.3), [[4.0], [6.92]]
    yield "returns, N=1", returns_of(code, *(x[:1] for x in data), 0.8, 0.3), [[4.0]]


@check(
    "2.14",
    "with γ = 1 the discount is that inside the continues, and no other",
    "rewards [1 1 1], values [5 5 5 | 5], continues [0.9 0.9 0.9], γ=1, λ=1: "
    "1 + 0.9 + 0.81 + 0.729 · 5 at the first state",
)
def returns_with_the_discount_in_the_continues(code):
    returns = returns_of(code, ONES, [[5.0] * 4], [[0.9] * 3], 1.0, 1.0)
    yield "returns", returns, [[6.355, 5.95, 5.5]]


@check(
    "2.14",
    "every dream has returns of its own; γ = 0.99 and λ = 0.95 unless others are given",
    "three irregular dreams of two steps; expected is the λ-mixture of all n-step returns",
)
def returns_of_three_dreams(code):
    rewards, values = irregular(3, 2), irregular(3, 3)
    continues = [[0.9, 0.35], [0.8, 0.6], [0.55, 0.7]]
    for note, settings, given in (("γ=0.9, λ=0.8", (0.9, 0.8), (0.9, 0.8)),
                                  ("the defaults", (0.99, 0.95), ())):  # fmt: skip
        returns = returns_of(code, rewards, values, continues, *given)
        expected = [
            oracle.lambda_returns_own_reward(*row, *settings)
            for row in zip(rewards, values, continues, strict=True)
        ]
        yield f"returns with {note}", returns, expected


@check(
    "2.14",
    "the gradient of a return reaches rewards, values and continues",
    SHORT + ", continues [0.9 0.6 0.8], γ=0.5, λ=0.8; gradient of the first return",
)
def gradient_of_the_return(code):
    data = leaf(REWARDS), leaf(VALUES), leaf(CONTINUES)
    returns = code.actor_critic.compute_lambda_returns(*data, 0.5, 0.8)
    to_rewards, to_values, to_continues = gradients(returns[0, 0], *data)
    yield "gradient to the rewards", to_rewards, [[1.0, 0.36, 0.0864]]
    yield "gradient to the values", to_values, [[0.0, 0.09, 0.0216, 0.03456]]
    yield "gradient to the continues", to_continues, [[5.344, 3.816, 1.728]]


@check(
    "2.14",
    "returns have the type and the device of the inputs; no input is changed",
    SHORT + ", continues [0.9 0.6 0.8], in float32; then on the device 'meta', whose tensors mix "
    "with no other device's",
)
def types_of_the_returns(code):
    data = [torch.tensor(x) for x in (REWARDS, VALUES, CONTINUES)]
    returns = code.actor_critic.compute_lambda_returns(*data)
    yield "dtype", str(returns.dtype), "torch.float32"
    double = code.actor_critic.compute_lambda_returns(*(x.double() for x in data))
    yield "dtype of returns from float64", str(double.dtype), "torch.float64"
    for name, x, before in zip(("rewards", "values", "continues"), data,
                               (REWARDS, VALUES, CONTINUES), strict=True):  # fmt: skip
        yield f"{name} after the call", x, before
    returns = code.actor_critic.compute_lambda_returns(*(x.to("meta") for x in data))
    yield "device of returns from inputs on 'meta'", str(returns.device), "meta"


# --- 2.15 compute_discount_weights ----------------------------------------------------------------


@check(
    "2.15",
    "the weight of a state is the product of the continues of all states before it",
    "continues [0.5 0.25 0.5 0.8 0.9]",
)
def product_of_the_states_before(code):
    weights = code.actor_critic.compute_discount_weights(double([[0.5, 0.25, 0.5, 0.8, 0.9]]))
    yield "weights", weights, [[1.0, 0.5, 0.125, 0.0625, 0.05]]


@check(
    "2.15",
    "every dream has weights of its own; the discount is in the continues already",
    "continues [0.99 0.99 0.99 0.99], [0.9 0.8 0.7 0.6] and [1 0.5 1 0.3]",
)
def weights_of_three_dreams(code):
    rows = [[0.99] * 4, [0.9, 0.8, 0.7, 0.6], [1.0, 0.5, 1.0, 0.3]]
    continues, compute = double(rows), code.actor_critic.compute_discount_weights
    expected = [[1.0, 0.99, 0.9801, 0.970299], [1.0, 0.9, 0.72, 0.504], [1.0, 1.0, 0.5, 0.5]]
    yield "weights", compute(continues), expected
    yield "continues after the call", continues, rows
    yield "weights of the last two dreams", compute(continues[1:]), expected[1:]


@check(
    "2.15",
    "a state of death still counts, those after it do not; after a dead start only the start does",
    "continues [1 0.9 0 1 1], then [0 0.9 0.9 0.9 0.9]",
)
def weights_after_a_death(code):
    compute = code.actor_critic.compute_discount_weights
    yield "weights", compute(double([[1.0, 0.9, 0.0, 1.0, 1.0]])), [[1.0, 1.0, 0.9, 0.0, 0.0]]
    yield "weights after a dead start", compute(double([[0.0] + [0.9] * 4])), [[1.0] + [0.0] * 4]


@check("2.15", "a dream of the start alone has the weight 1", "continues [0.3]; then also [0.4]")
def weights_of_the_start_alone(code):
    compute = code.actor_critic.compute_discount_weights
    yield "weights, N=1", compute(double([[0.3]])), [[1.0]]
    yield "weights, N=2", compute(double([[0.3], [0.4]])), [[1.0], [1.0]]


@check("2.15", "no gradient goes through the weights", "continues [0.5 0.8 0.3 0.7]")
def weights_have_no_gradient(code):
    continues = leaf([[0.5, 0.8, 0.3, 0.7]])
    weights = code.actor_critic.compute_discount_weights(continues)
    yield "gradient to the continues", gradients(weights, continues)[0], "none"
    yield "weights.requires_grad", weights.requires_grad, False


@check(
    "2.15",
    "weights have the type and the device of the continues",
    "float32; then the device 'meta', whose tensors mix with no other device's",
)
def types_of_the_weights(code):
    compute = code.actor_critic.compute_discount_weights
    for kind in (torch.float32, torch.float64):
        weights = compute(torch.tensor([[0.5, 0.8, 0.3]], dtype=kind))
        yield f"dtype from {kind}", str(weights.dtype), str(kind)
    yield "device", str(compute(torch.ones(2, 3, device="meta")).device), "meta"


# --- 2.16 compute_actor_loss ----------------------------------------------------------------------

FEATURE = [[[0.0, math.log(3)], [math.log(4), 0.0], [0.0, math.log(9)], [math.log(7), 0.0]]]
CHOSEN = [[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]]
GAINS, BASELINE, COUNTS = [[100.0, 5.0, 2.0]], [[2.0, 3.0, 50.0, 60.0]], [[0.8, 0.5, 0.25, 0.1]]
DREAM = (
    "L=3; action 1 has probability 0.75, 0.2, 0.9, 0.125 in states 0 ... 3; "
    "actions [- 1 1 0], returns [100 5 2], values [2 3 50 60], weights [0.8 0.5 0.25 0.1]"
)
N, L, F, A = 2, 5, 7, 3  # of the larger dream: unequal, so that no axis is taken for another


class Shift(nn.Module):
    """The policy whose logits are the feature plus a bias."""

    def __init__(self, code, units: int = 2):
        super().__init__()
        self.kind, self.bias = code.actor_critic.OneHot, nn.Parameter(torch.zeros(units).double())

    def forward(self, feature):
        return self.kind(feature + self.bias)


class Bell(nn.Module):
    """A continuous policy: Normal(feature · weight, std), independent for each unit."""

    def __init__(self, weight, std):
        super().__init__()
        self.weight, self.std = nn.Parameter(double(weight)), nn.Parameter(double(std))

    def forward(self, feature):
        policy = Bell.Policy()
        policy.mean, policy.std = feature @ self.weight, self.std
        return policy

    class Policy:
        def rsample(self):
            return self.mean + self.std * torch.randn_like(self.mean)

        def log_prob(self, action):
            distance = (action - self.mean) / self.std
            scale = torch.log(self.std) + 0.5 * math.log(2 * math.pi)
            return (-0.5 * distance.square() - scale).sum(-1)

        def entropy(self):
            one = torch.log(self.std).sum() + len(self.std) * 0.5 * math.log(2 * math.pi * math.e)
            return one.expand(self.mean.shape[:-1])


def large_dream():
    """Feature, one-hot actions, returns, values, weights, as nested lists."""
    feature, returns = irregular(N, L + 1, F), [[3 * x + 1 for x in row] for row in irregular(N, L)]
    kinds = [[0, 2, 1, 1, 0, 2], [1, 0, 0, 2, 1, 1]]
    action = [[[float(a == k) for a in range(A)] for k in row] for row in kinds]
    values = [[1.5 - 2 * x for x in row] for row in irregular(N, L + 1)]
    weights = [[1.0, 0.9, 0.7, 0.6, 0.35, 0.2], [0.95, 0.8, 0.75, 0.4, 0.3, 0.15]]
    return feature, action, returns, values, weights


def categorical(feature, action, bias) -> tuple[list, list]:
    """Log-probability of the action after each state but the last, and entropies."""
    log_prob, entropy = [], []
    for states, actions in zip(feature, action, strict=True):
        p = [oracle.softmax([x + b for x, b in zip(f, bias, strict=True)]) for f in states]
        pairs = list(zip(p[:-1], actions[1:], strict=True))
        log_prob.append(
            [math.log(sum(x * a for x, a in zip(*pair, strict=True))) for pair in pairs]
        )
        entropy.append([-sum(x * math.log(x) for x in row) for row in p])
    return log_prob, entropy


def expected_loss(dream, bias, rho, scale) -> float:
    feature, action, *rest = dream
    return oracle.mixed_actor_loss(*categorical(feature, action, bias), *rest, rho, scale)


def discrete_dream() -> tuple:
    """The large dream with features that are logits."""
    feature, *rest = large_dream()
    return [[[2 * x for x in state[:A]] for state in row] for row in feature], *rest


@check(
    "2.16",
    "REINFORCE: what the policy chose at state i led to state i + 1, and its return tells how good",
    DREAM + "; ρ=1; two terms: 0.8 ln 0.75 (5 - 2), 0.5 ln 0.2 (2 - 3)",
)
def reinforce_of_the_example(code):
    data = [double(x) for x in (FEATURE, CHOSEN, GAINS, BASELINE, COUNTS)]
    loss, _ = code.actor_critic.compute_actor_loss(Shift(code), *data, 1.0, 0.0)
    expected = -(0.8 * math.log(0.75) * 3 + 0.5 * math.log(0.2) * -1) / 2
    yield "loss", loss, expected
    again, _ = code.actor_critic.compute_actor_loss(Shift(code), *data, 1.0, 0.0)
    yield "loss, asked again", again, expected
    names = ("feature", "action", "returns", "values", "weights")
    for name, x, before in zip(names, data, (FEATURE, CHOSEN, GAINS, BASELINE, COUNTS),
                               strict=True):  # fmt: skip
        yield f"{name} after the calls", x, before


@check(
    "2.16",
    "dynamics backpropagation: minus the weighted return of the state that the action led to",
    DREAM + "; ρ=0; two terms: 0.8 · 5 and 0.5 · 2",
)
def dynamics_of_the_example(code):
    data = [double(x) for x in (FEATURE, CHOSEN, GAINS, BASELINE, COUNTS)]
    loss, _ = code.actor_critic.compute_actor_loss(Shift(code), *data, 0.0, 0.0)
    yield "loss", loss, -2.5


@check(
    "2.16",
    "the entropy at state i is a bonus of weight i; all entropies are returned as well",
    DREAM + "; ρ=1, entropy_scale 0.5, all values equal to the next state's return",
)
def entropy_of_the_example(code):
    data = [double(x) for x in (FEATURE, CHOSEN, GAINS, [[5.0, 2.0, 7.0, 7.0]], COUNTS)]
    actor = Shift(code)
    loss, entropy = code.actor_critic.compute_actor_loss(actor, *data, 1.0, 0.5)
    spread = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in (0.75, 0.2)]
    yield "loss", loss, -0.5 * (0.8 * spread[0] + 0.5 * spread[1]) / 2
    yield "entropy", entropy, [spread]
    slopes = oracle.slopes(
        lambda bias: sum(categorical(FEATURE, CHOSEN, bias)[1][0][:2]), [0.0, 0.0]
    )
    yield "gradient of the entropy to the policy", gradients(entropy, actor.bias)[0], slopes


@check(
    "2.16",
    "ρ mixes the two, entropy_scale adds the bonus; ρ = 1 and 0.001 unless others are given",
    f"{N} dreams of {L} steps, {A} actions, irregular numbers",
)
def mixture_of_both(code):
    dream = discrete_dream()
    data = [double(x) for x in dream]
    for note, settings, given in (("ρ=0.3 and entropy_scale 0.2", (0.3, 0.2), (0.3, 0.2)),
                                  ("ρ=0.8 and entropy_scale 0", (0.8, 0.0), (0.8, 0.0)),
                                  ("ρ=0 and entropy_scale 2", (0.0, 2.0), (0.0, 2.0)),
                                  ("the defaults", (1.0, 0.001), ())):  # fmt: skip
        loss, entropy = code.actor_critic.compute_actor_loss(Shift(code, A), *data, *given)
        yield f"loss with {note}", loss, expected_loss(dream, [0.0] * A, *settings), 1e-6
        expected = [row[: L - 1] for row in categorical(*dream[:2], [0.0] * A)[1]]
        yield f"entropy with {note}", entropy, expected


@check(
    "2.16",
    "the policy learns from log-probability and entropy, the dream through returns times 1 - ρ",
    f"{N} dreams of {L} steps, {A} actions, irregular numbers; ρ=0.3, entropy_scale 0.2, then ρ=1",
)
def gradients_of_the_actor_loss(code):
    dream = discrete_dream()
    names = ("feature", "action", "values", "weights")
    for rho in (0.3, 1.0):
        actor = Shift(code, A)
        feature, action, returns, values, weights = (leaf(x) for x in dream)
        loss, _ = code.actor_critic.compute_actor_loss(
            actor, feature, action, returns, values, weights, rho, 0.2
        )
        slopes = oracle.slopes(lambda b, r=rho: expected_loss(dream, b, r, 0.2), [0.0] * A)
        yield f"gradient to the policy, ρ={rho:g}", gradients(loss, actor.bias)[0], slopes
        share = -(1 - rho) / (N * (L - 1))
        expected = [[0.0] + [share * w for w in row[: L - 1]] for row in dream[4]]
        to_returns, *others = gradients(loss, returns, feature, action, values, weights)
        yield f"gradient to the returns, ρ={rho:g}", to_returns, expected if rho < 1 else "none"
        for name, got in zip(names, others, strict=True):
            yield f"gradient to {name}, ρ={rho:g}", got, "none"


@check(
    "2.16",
    "an action drawn with gradient is a fixed number in log π: else part of the gradient cancels",
    "a Normal policy of two units, its actions reparameterised samples (noise 0.7) at the states "
    f"before; {N} dreams of {L} steps, ρ=1, no entropy",
)
def reparameterised_actions(code):
    states, _, returns, values, weights = large_dream()
    feature = double(states)[..., :A]
    weight, std = irregular(A, 2), [0.5, 1.2]
    actor = Bell(weight, std)
    with draws(normal=0.7):
        chosen = actor(feature[:, :-1]).rsample()
    action = torch.cat([torch.zeros_like(chosen[:, :1]), chosen], 1)
    loss, _ = code.actor_critic.compute_actor_loss(
        actor, feature, action, double(returns), double(values), double(weights), 1.0, 0.0
    )

    def density(x, n: int, i: int) -> float:
        total = 0.0
        for unit in range(2):
            mean = sum(feature[n, i, j].item() * x[2 * j + unit] for j in range(A))
            total += oracle.normal_log_density(action[n, i + 1, unit].item(), mean, x[2 * A + unit])
        return total

    def whole(x) -> float:
        log_prob = [[density(x, n, i) for i in range(L)] for n in range(N)]
        none = [[0.0] * L for _ in range(N)]
        return oracle.mixed_actor_loss(log_prob, none, returns, values, weights, 1.0, 0.0)

    flat = [w for row in weight for w in row]
    slopes = oracle.slopes(whole, [*flat, *std])
    to_weight, to_std = gradients(loss, actor.weight, actor.std)
    yield "loss", loss, whole([*flat, *std])
    yield "gradient to the weight", to_weight, [slopes[2 * j : 2 * j + 2] for j in range(A)]
    yield "gradient to the std", to_std, slopes[2 * A :]


@check(
    "2.16",
    "what lies behind a death does not count; the last state's values and weights never do",
    DREAM + "; the weight of state 1 is 0. Then other numbers in what must not matter",
)
def what_does_not_count(code):
    feature, action, values = double(FEATURE), double(CHOSEN), double(BASELINE)
    weights = double([[0.8, 0.0, 0.0, 0.0]])
    want = -0.8 * math.log(0.75) * 3 / 2
    loss, _ = code.actor_critic.compute_actor_loss(
        Shift(code), feature, action, double(GAINS), values, weights, 1.0, 0.0
    )
    yield "loss", loss, want
    feature[:, 1:], action[:, 2:] = 1 - feature[:, 1:], 1 - action[:, 2:]
    values[:, 1:], weights[:, 2:] = -9.0, 77.0
    action[:, 0] = double([0.0, 1.0])
    loss, _ = code.actor_critic.compute_actor_loss(
        Shift(code), feature, action, double([[-7.0, 5.0, 600.0]]), values, weights, 1.0, 0.0
    )
    yield "loss with other numbers", loss, want


@check(
    "2.16",
    "a dream of two steps has one term; three dreams are averaged",
    "L=2; logits [0 ln 3], action 1, return 5, value 2, weight 0.8; then three such dreams with "
    "returns 5, 6, 8; float32 stays float32",
)
def shortest_dream(code):
    for gains in ([5.0], [5.0, 6.0, 8.0]):
        count = len(gains)
        data = (
            double(FEATURE)[:, :3].repeat(count, 1, 1), double(CHOSEN)[:, :3].repeat(count, 1, 1),
            double([[100.0, x] for x in gains]), double(BASELINE)[:, :3].repeat(count, 1),
            double(COUNTS)[:, :3].repeat(count, 1),
        )  # fmt: skip
        loss, entropy = code.actor_critic.compute_actor_loss(Shift(code), *data, 1.0, 0.0)
        mean = sum(gains) / count
        yield f"loss, N={count}", loss, -0.8 * math.log(0.75) * (mean - 2)
        yield f"shape of the entropy, N={count}", tuple(entropy.shape), (count, 1)
    loss, entropy = code.actor_critic.compute_actor_loss(
        Shift(code).float(), *(x.float() for x in data)
    )
    yield "dtypes", [str(loss.dtype), str(entropy.dtype)], ["torch.float32"] * 2


# --- 2.17 compute_critic_loss ---------------------------------------------------------------------

SEEN = [[[1.0], [2.0], [-1.0], [40.0]], [[3.0], [-1.5], [0.5], [-60.0]]]
TARGETS = [[2.0, 0.0, -1.5], [3.5, 1.0, 1.7]]
WEIGHTS = [[0.8, 0.5, 0.25, 0.1], [0.7, 0.9, 0.4, 0.3]]
CRITIC_INPUT = (
    "values of the states [1 2 -1 40] and [3 -1.5 0.5 -60], returns [2 0 -1.5] and [3.5 1 1.7], "
    "weights [0.8 0.5 0.25 0.1] and [0.7 0.9 0.4 0.3]"
)


class Line(nn.Module):
    """The critic feature · weight + bias."""

    def __init__(self, weight=(1.0,)):
        super().__init__()
        self.weight = nn.Parameter(double(list(weight)))
        self.bias = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, feature):
        return (feature * self.weight).sum(-1) + self.bias


@check(
    "2.17",
    "the loss is the mean of weight · (value - return)² / 2 over all states but the last",
    CRITIC_INPUT,
)
def half_the_weighted_squares(code):
    data = double(SEEN), double(TARGETS), double(WEIGHTS)
    loss = code.actor_critic.compute_critic_loss(Line(), *data)
    yield "loss", loss, (0.8 + 2.0 + 0.0625 + 0.175 + 5.625 + 0.576) / 2 / 6
    yield "loss, asked again", code.actor_critic.compute_critic_loss(Line(), *data), loss
    for name, x, before in zip(("feature", "returns", "weights"), data,
                               (SEEN, TARGETS, WEIGHTS), strict=True):  # fmt: skip
        yield f"{name} after the calls", x, before
    single = code.actor_critic.compute_critic_loss(Line().float(), *(x.float() for x in data))
    yield "dtype", str(single.dtype), "torch.float32"


@check(
    "2.17",
    "the critic gets the gradient; features, returns and weights get none",
    CRITIC_INPUT + "; values are 1 · feature + 0",
)
def gradients_of_the_critic_loss(code):
    critic, feature, returns, weights = Line(), leaf(SEEN), leaf(TARGETS), leaf(WEIGHTS)
    loss = code.actor_critic.compute_critic_loss(critic, feature, returns, weights)
    differences = [[-1.0, 2.0, 0.5], [-0.5, -2.5, -1.2]]
    parts = [
        (w * d / 6, f[0])
        for states, weight_row, row in zip(SEEN, WEIGHTS, differences, strict=True)
        for f, w, d in zip(states, weight_row, row, strict=False)
    ]
    to_weight, to_bias = gradients(loss, critic.weight, critic.bias)
    yield "gradient to the critic's weight", to_weight, [sum(g * f for g, f in parts)]
    yield "gradient to the critic's bias", to_bias, sum(g for g, _ in parts)
    names = ("feature", "returns", "weights")
    others = gradients(loss, feature, returns, weights)
    for name, got in zip(names, others, strict=True):
        yield f"gradient to {name}", got, "none"


@check(
    "2.17",
    "a value meets the return and the weight of its own dream and state",
    "three dreams of two steps, features of four numbers; then one dream of five steps",
)
def critic_loss_of_other_shapes(code):
    slope = [0.5, -2.0, 1.5, 0.3]
    for dreams, steps in ((3, 2), (1, 5), (4, 1)):
        feature, returns = irregular(dreams, steps + 1, 4), irregular(dreams, steps)
        weights = [[0.5 + x / 3 for x in row] for row in irregular(dreams, steps + 1)]
        values = [
            [sum(x * s for x, s in zip(f, slope, strict=True)) for f in states]
            for states in feature
        ]
        loss = code.actor_critic.compute_critic_loss(
            Line(slope), double(feature), double(returns), double(weights)
        )
        expected = oracle.weighted_half_square(values, returns, weights)
        yield f"loss for (N, L) = ({dreams}, {steps})", loss, expected


@check(
    "2.17",
    "without an error there is no loss; a state of weight 0 does not count",
    "values and returns are both [2 -3]; then the value of a state with weight 0 is off by 100",
)
def critic_loss_without_error(code):
    compute, weights = code.actor_critic.compute_critic_loss, double([[0.7, 0.0, 0.5]])
    targets = double([[2.0, -3.0]])
    yield "loss", compute(Line(), double([[[2.0], [-3.0], [9.0]]]), targets, weights), 0.0
    loss = compute(Line(), double([[[2.0], [97.0], [9.0]]]), targets, weights)
    yield "loss with 100 at weight 0", loss, 0.0


@check(
    "2.17",
    "large errors count by their square: no error is cut off",
    "float32, one state, value 1000 and return -3000, weight 0.5; expected is 0.5 · 4000² / 2",
)
def large_errors(code):
    loss = code.actor_critic.compute_critic_loss(
        Line().float(), torch.tensor([[[1000.0], [0.0]]]), torch.tensor([[-3000.0]]),
        torch.tensor([[0.5, 0.5]]),
    )  # fmt: skip
    yield "loss", loss, 4e6


# --- 2.18 update_slow_critic ----------------------------------------------------------------------


def twins():
    """A slow critic of zeros, and a fast one whose parameters are all different."""
    slow, fast = (nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1)) for _ in "ab")
    with torch.no_grad():
        for number, (old, new) in enumerate(zip(slow.parameters(), fast.parameters(), strict=True)):
            old.zero_()
            new.copy_(torch.arange(1.0, new.numel() + 1).view_as(new) + 10 * number)
    return slow.requires_grad_(False), fast


def numbers(critic) -> list:
    return [x.tolist() for x in critic.state_dict().values()]


def state(slow, fast) -> str:
    """What the slow critic is, in words."""
    if numbers(slow) == numbers(fast):
        return "a copy"
    same = [(x == 0).all().item() for x in slow.parameters()]
    return "as before" if all(same) else f"{sum(x.sum().item() for x in slow.parameters()):g}"


@check(
    "2.18",
    "the slow critic becomes a copy after update 0, 100, 200, and is left alone in between",
    "the slow critic's parameters are all 0, the fast one's are not; a fresh pair for each call",
)
def every_hundred_updates(code):
    wants = dict.fromkeys((0, 100, 200, 1300), "a copy")
    wants |= dict.fromkeys((1, 50, 99, 101, 150, 199, 201), "as before")
    for updates in (0, 1, 50, 99, 100, 101, 150, 199, 200, 201, 1300):
        slow, fast = twins()
        before = numbers(fast)
        code.actor_critic.update_slow_critic(slow, fast, updates)
        yield f"the slow critic after update {updates}", state(slow, fast), wants[updates]
        yield f"the critic is unchanged, update {updates}", numbers(fast) == before, True


@check(
    "2.18",
    "the interval is the caller's",
    "interval 3, updates 0 ... 7; interval 1, updates 5 and 6; interval 250, updates 100, 250; "
    "a fresh pair for each call",
)
def other_intervals(code):
    rows = [(3, n, n in (0, 3, 6)) for n in range(8)] + [(1, 5, True), (1, 6, True)]
    rows += [(250, 100, False), (250, 250, True)]
    for interval, updates, copied in rows:
        slow, fast = twins()
        code.actor_critic.update_slow_critic(slow, fast, updates, interval)
        want = "a copy" if copied else "as before"
        yield f"interval {interval}, update {updates}", state(slow, fast), want


@check(
    "2.18",
    "the copy is whole and its own: when the critic learns on, the slow one stays",
    "a copy after update 0; then all of the critic's parameters grow by 1",
)
def a_copy_of_its_own(code):
    slow, fast = twins()
    code.actor_critic.update_slow_critic(slow, fast, 0)
    copied = numbers(fast)
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.add_(1)
    yield "parameters of the slow critic", numbers(slow), copied
    code.actor_critic.update_slow_critic(slow, fast, 1)
    yield "the same after update 1", numbers(slow) == copied, True
    code.actor_critic.update_slow_critic(slow, fast, 100)
    yield "a copy again after update 100", numbers(slow) == numbers(fast), True


@check(
    "2.18",
    "the slow critic learns nothing by itself, the critic goes on learning",
    "slow: requires_grad False; fast: True, with gradients of 1; a copy after update 0",
)
def what_learns(code):
    slow, fast = twins()
    for parameter in fast.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = [id(x) for x in fast.parameters()]
    code.actor_critic.update_slow_critic(slow, fast, 0)
    yield "slow: requires_grad", [x.requires_grad for x in slow.parameters()], [False] * 6
    yield "fast: requires_grad", [x.requires_grad for x in fast.parameters()], [True] * 6
    yield "fast: the same parameters", [id(x) for x in fast.parameters()] == before, True
    sums = [float((x.grad == 1).all()) if x.grad is not None else None for x in fast.parameters()]
    yield "fast: gradients are kept", sums, [1.0] * 6
