"""Checks of DreamerV1's policy, critic, λ-returns, weights, and of the losses on dreamed states.

Sources: arXiv:1912.01603, Section 3; danijar/dreamer, models.py, tools.py and dreamer.py.
"""

import math
from contextlib import contextmanager

import torch
from torch.distributions import Distribution
from torch.utils._python_dispatch import _disable_current_modes as real_random_numbers

from course.checks import check, draws
from tests import oracle
from tests.paper1.parameters import fill

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


@contextmanager
def without_validation():
    """torch.distributions look at the numbers that they are given; 'meta' tensors have none."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@torch.no_grad()
def put(module, weight, bias):
    """Set the weight and the bias of a network that has no hidden layer."""
    layer = module.double().mlp.output
    layer.weight.copy_(double(weight))
    layer.bias.copy_(double(bias))
    return module


def parameters_of(module) -> dict:
    return {name: x.tolist() for name, x in module.state_dict().items()}


# --- 1.20 TanhNormal.rsample ----------------------------------------------------------------------

MEAN, STD = [0.2, -0.7, 1.1], [0.4, 1.3, 0.3]


@check(
    "1.20",
    "an action is tanh(mean + std · noise)",
    f"mean {MEAN}, std {STD}; all noise is 1.5, then -0.5",
)
def squashed_sample(code):
    mean, std = double([MEAN]), double([STD])
    policy = code.actor_critic.TanhNormal(mean, std)
    for noise in (1.5, -0.5):
        with draws(normal=noise):
            action = policy.rsample()
        expected = [math.tanh(m + noise * s) for m, s in zip(MEAN, STD, strict=True)]
        yield f"action with noise {noise}", action, [expected]
    yield "mean after the calls", mean, [MEAN]
    single = code.actor_critic.TanhNormal(mean.float(), std.float()).rsample()
    yield "dtype", str(single.dtype), "torch.float32"


@check(
    "1.20",
    "the gradient of a sample reaches the mean and, times the noise, the std",
    f"mean {MEAN}, std {STD}; all noise is 1.5; the slope of tanh(u) is 1 - tanh²(u)",
)
def gradient_of_a_sample(code):
    mean, std = leaf([MEAN]), leaf([STD])
    with draws(normal=1.5):
        action = code.actor_critic.TanhNormal(mean, std).rsample()
    to_mean, to_std = gradients(action, mean, std)
    slopes = [1 - math.tanh(m + 1.5 * s) ** 2 for m, s in zip(MEAN, STD, strict=True)]
    yield "gradient to the mean", to_mean, [slopes]
    yield "gradient to the std", to_std, [[1.5 * slope for slope in slopes]]


@check(
    "1.20",
    "each of the 24 numbers of a batch of actions has noise of its own",
    "mean 0 and std 0.5 everywhere, shape (2, 3, 4); real random numbers",
)
def noise_of_its_own(code):
    policy = code.actor_critic.TanhNormal(torch.zeros(2, 3, 4), torch.full((2, 3, 4), 0.5))
    with real_random_numbers():
        action = policy.rsample()
        again = policy.rsample()
        different, new = action.unique().numel(), bool((action != again).all())
    yield "different numbers", different, 24
    yield "a second sample differs everywhere", new, True


@check(
    "1.20",
    "the noise is on the device of mean and std",
    "mean and std on the device 'meta', whose tensors mix with no other device's",
)
def device_of_a_sample(code):
    policy = code.actor_critic.TanhNormal(*torch.ones(2, 5, 3, device="meta"))
    with without_validation():
        yield "device", str(policy.rsample().device), "meta"


# --- 1.21 Actor.forward ---------------------------------------------------------------------------

RAW_MEAN, RAW_STD = [2.0, -0.7, 40.0], [-3.0, 0.5, -60.0]


def constant_actor(code, raw, **options):
    """An actor whose network puts out `raw` for every feature of two numbers."""
    actor = code.actor_critic.Actor(2, len(raw) // 2, layers=0, **options)
    return put(actor, [[0.0, 0.0]] * len(raw), raw)


def stds(raw, init_std, min_std) -> list[float]:
    offset = math.log(math.exp(init_std) - 1)
    return [oracle.softplus(x + offset) + min_std for x in raw]


@check(
    "1.21",
    "at first the policy is centred, and wide enough to explore",
    "the network puts out 0; init_std 5, min_std 0.0001, as in the paper's code",
)
def first_policy(code):
    policy = constant_actor(code, [0.0] * 6)(double([[0.3, -0.4]]))
    yield "mean", policy.mean, [[0.0, 0.0, 0.0]]
    yield "std", policy.std, [[5.0001, 5.0001, 5.0001]]


@check(
    "1.21",
    "first come the raw means, bounded by mean_scale; then the raw stds, made positive",
    f"the network puts out {RAW_MEAN + RAW_STD}; mean_scale 5, init_std 5, min_std 0.0001",
)
def mean_and_std(code):
    policy = constant_actor(code, RAW_MEAN + RAW_STD)(double([[0.3, -0.4]]))
    yield "mean", policy.mean, [[5 * math.tanh(x / 5) for x in RAW_MEAN]]
    yield "std", policy.std, [stds(RAW_STD, 5.0, 1e-4)]
    with draws(normal=-0.5):
        action = policy.rsample()
    means = [5 * math.tanh(x / 5) for x in RAW_MEAN]
    pairs = zip(means, stds(RAW_STD, 5.0, 1e-4), strict=True)
    yield "action with noise -0.5", action, [[math.tanh(m - 0.5 * s) for m, s in pairs]]


@check(
    "1.21",
    "init_std, min_std and mean_scale are the actor's own",
    f"the network puts out {RAW_MEAN + RAW_STD}; mean_scale 1.5, init_std 0.8, min_std 0.3",
)
def other_settings(code):
    options = dict(init_std=0.8, min_std=0.3, mean_scale=1.5)
    policy = constant_actor(code, RAW_MEAN + RAW_STD, **options)(double([[0.3, -0.4]]))
    yield "mean", policy.mean, [[1.5 * math.tanh(x / 1.5) for x in RAW_MEAN]]
    yield "std", policy.std, [stds(RAW_STD, 0.8, 0.3)]


@check(
    "1.21",
    "every feature gets its own mean and std, whatever the leading dimensions",
    "5 numbers a feature, 3 actions, two hidden layers of 4 units",
)
def policy_of_every_feature(code):
    actor = fill(code.actor_critic.Actor(5, 3, layers=2, units=4)).double()
    feature = torch.sin(torch.arange(1.0, 31.0, dtype=torch.float64) ** 1.3).view(2, 3, 5)
    policy = actor(feature)
    yield "shape for (B, H) = (2, 3)", tuple(policy.mean.shape), (2, 3, 3)
    for b, t in ((0, 2), (1, 0)):
        raw = oracle.dense(feature[b, t].tolist(), parameters_of(actor), 2, "mlp.")
        yield f"mean at [{b}, {t}]", policy.mean[b, t], [5 * math.tanh(x / 5) for x in raw[:3]]
        yield f"std at [{b}, {t}]", policy.std[b, t], stds(raw[3:], 5.0, 1e-4)
    for lead in ((1,), (1, 1)):
        policy = actor(feature[:1, 1].view(*lead, 5))
        raw = oracle.dense(feature[0, 1].tolist(), parameters_of(actor), 2, "mlp.")
        expected = double([5 * math.tanh(x / 5) for x in raw[:3]]).view(*lead, 3).tolist()
        yield f"mean for leading dimensions {lead}", policy.mean, expected
    policy = actor.float()(feature.float())
    dtypes = [str(policy.mean.dtype), str(policy.std.dtype)]
    yield "dtypes of mean and std", dtypes, ["torch.float32", "torch.float32"]


@check(
    "1.21",
    "the gradient reaches the network through the mean and through the std",
    "the network puts out [2 -0.7 | -3 0.5]; mean_scale 5, init_std 5; the slopes are "
    "1 - tanh²(raw / 5) and sigmoid(raw + 4.99324)",
)
def gradient_of_the_policy(code):
    actor = constant_actor(code, [2.0, -0.7, -3.0, 0.5])
    policy = actor(double([[0.3, -0.4]]))
    bias = actor.mlp.output.bias
    slopes = [1 - math.tanh(x / 5) ** 2 for x in (2.0, -0.7)]
    yield "gradient of the mean", gradients(policy.mean, bias)[0], [*slopes, 0.0, 0.0]
    offset = math.log(math.exp(5.0) - 1)
    slopes = [oracle.sigmoid(x + offset) for x in (-3.0, 0.5)]
    yield "gradient of the std", gradients(policy.std, bias)[0], [0.0, 0.0, *slopes]


# --- 1.22 Critic.forward --------------------------------------------------------------------------


def linear_critic(code):
    return put(code.actor_critic.Critic(3, layers=0), [[0.5, -2.0, 4.0]], [0.25])


FEATURES = [[[0.2, 0.1, 0.3], [-0.4, 0.6, -0.5]], [[0.7, -0.9, -0.1], [0.8, 0.3, -0.2]]]
LINEAR = "the network is 0.25 + [0.5 -2 4] · feature"


@check("1.22", "one feature has one value: the last dimension is gone, and only that", LINEAR)
def shape_of_values(code):
    critic, feature = linear_critic(code), double(FEATURES)
    yield "values for (B, H) = (2, 2)", critic(feature), [[1.35, -3.15], [2.0, -0.75]]
    yield "values for (B, H) = (2, 1)", critic(feature[:, 1:]), [[-3.15], [-0.75]]
    yield "values for (B, H) = (1, 2)", critic(feature[1:]), [[2.0, -0.75]]
    yield "values for (B, H) = (1, 1)", critic(feature[:1, :1]), [[1.35]]
    yield "values for (B,) = (2,)", critic(feature[0]), [1.35, -3.15]
    yield "values for (B,) = (1,)", critic(feature[0, 1:]), [-3.15]
    yield "value for a single feature", critic(feature[1, 0]), 2.0


@check(
    "1.22",
    "a value is the output of the whole network",
    "5 numbers a feature, two hidden layers of 4 units",
)
def values_of_a_network(code):
    critic = fill(code.actor_critic.Critic(5, layers=2, units=4)).double()
    feature = torch.sin(torch.arange(1.0, 16.0, dtype=torch.float64) ** 1.3).view(3, 5)
    expected = [oracle.dense(x.tolist(), parameters_of(critic), 2, "mlp.")[0] for x in feature]
    yield "values", critic(feature), expected
    yield "dtype", str(critic.float()(feature.float()).dtype), "torch.float32"


@check(
    "1.22",
    "the gradient of a value reaches the critic and the feature: the actor learns through it",
    LINEAR + "; the features are [0.2 0.1 0.3] and [-0.4 0.6 -0.5], their values are summed",
)
def gradient_of_values(code):
    critic, feature = linear_critic(code), leaf(FEATURES[0])
    to_feature, to_weight, to_bias = gradients(critic(feature), feature, *critic.parameters())
    yield "gradient to the features", to_feature, [[0.5, -2.0, 4.0], [0.5, -2.0, 4.0]]
    yield "gradient to the weights", to_weight, [[-0.2, 0.7, -0.2]]
    yield "gradient to the bias", to_bias, [2.0]


@check(
    "1.22", "a value is a number of the feature alone: nothing is drawn", "normal numbers 0, 1.5"
)
def a_value_is_not_drawn(code):
    critic = fill(code.actor_critic.Critic(3, 1, 4))
    feature = torch.tensor([[0.3, -0.8, 1.7]])
    value = critic(feature)
    with draws(normal=1.5, uniform=0.9):
        yield "value with other random numbers", critic(feature), value


@check("1.21", "mean and std are numbers of the feature alone: nothing is drawn", "numbers 0, 1.5")
def a_policy_is_not_drawn(code):
    actor = fill(code.actor_critic.Actor(3, 2, 1, 4))
    feature = torch.tensor([[0.3, -0.8, 1.7]])
    policy = actor(feature)
    with draws(normal=1.5, uniform=0.9):
        again = actor(feature)
    yield "mean with other random numbers", again.mean, policy.mean
    yield "std with other random numbers", again.std, policy.std


# --- 1.23 compute_lambda_returns ------------------------------------------------------------------

REWARDS, VALUES, CONTINUES = [[1.0, 2.0, 3.0]], [[10.0, 20.0, 30.0, 40.0]], [[0.9, 0.6, 0.8]]
ONES = [[1.0, 1.0, 1.0]]
SHORT = "rewards [1 2 3], values [10 20 30 | 40]"


def returns_of(code, rewards, values, continues, *settings):
    compute = code.actor_critic.compute_lambda_returns
    return compute(double(rewards), double(values), double(continues), *settings)


@check(
    "1.23",
    "the return of step t continues in the next state: in λ of its return, 1 - λ of its value",
    SHORT + ", continues [1 1 1], γ=0.5, λ=0.5; then also λ=0 and λ=1",
)
def fixed_example(code):
    expected = {0.5: [9.8125, 15.25, 23.0], 0.0: [11.0, 17.0, 23.0], 1.0: [7.75, 13.5, 23.0]}
    for lambda_, row in expected.items():
        returns = returns_of(code, REWARDS, VALUES, ONES, 0.5, lambda_)
        yield f"returns with λ={lambda_:g}", returns, [row]


@check(
    "1.23",
    "what follows step t counts as much as the episode is likely to go on, c_t",
    SHORT + ", continues [0.9 0.6 0.8], γ=0.5, λ=0.8",
)
def irregular_continues(code):
    returns = returns_of(code, REWARDS, VALUES, CONTINUES, 0.5, 0.8)
    yield "returns", returns, [[5.8096, 8.36, 19.0]]
    returns = returns_of(code, REWARDS, VALUES, [[0.9, 0.0, 0.8]], 0.5, 0.8)
    yield "returns with continues [0.9 0 0.8]", returns, [[3.52, 2.0, 19.0]]


@check(
    "1.23",
    "a dream of one step: the reward, and γ c times the bootstrap",
    "rewards [2] and [3], values [9 | 5] and [8 | 7], continues [0.5] and [0.7], γ=0.8, λ=0.3",
)
def one_step(code):
    data = [[2.0], [3.0]], [[9.0, 5.0], [8.0, 7.0]], [[0.5], [0.7]]
    yield "returns, B=2", returns_of(code, *data, 0.8, 0.3), [[4.0], [6.92]]
    yield "returns, B=1", returns_of(code, *(x[:1] for x in data), 0.8, 0.3), [[4.0]]


@check(
    "1.23",
    "γ enters once for each step: none is added where the continues already hold it",
    "rewards [1 1 1], values [5 5 5 | 5], continues [0.9 0.9 0.9], γ=1, λ=1: "
    "1 + 0.9 + 0.81 + 0.729 · 5 at the first step",
)
def discount_inside_the_continues(code):
    returns = returns_of(code, ONES, [[5.0] * 4], [[0.9] * 3], 1.0, 1.0)
    yield "returns", returns, [[6.355, 5.95, 5.5]]


@check(
    "1.23",
    "every dream has returns of its own; γ = 0.99 and λ = 0.95 unless others are given",
    "two irregular dreams of four steps; expected is the λ-mixture of all n-step returns",
)
def two_dreams(code):
    rewards = [[0.7, -1.3, 0.2, 2.1], [1.1, 0.4, -0.6, 0.3]]
    values = [[3.0, -2.0, 1.5, 0.8, 2.2], [0.5, 1.7, -1.1, 2.6, -0.9]]
    continues = [[0.9, 0.35, 0.8, 0.6], [0.55, 0.7, 0.45, 0.95]]
    for note, settings, given in (("γ=0.9, λ=0.8", (0.9, 0.8), (0.9, 0.8)),
                                  ("the defaults", (0.99, 0.95), ())):  # fmt: skip
        returns = returns_of(code, rewards, values, continues, *given)
        yield f"shape with {note}", tuple(returns.shape), (2, 4)
        for b in (0, 1):
            row = rewards[b], values[b], continues[b]
            expected = oracle.lambda_returns_own_reward(*row, *settings)
            yield f"returns of dream {b} with {note}", returns[b], expected


@check(
    "1.23",
    "the gradient of a return reaches rewards, values and continues: the actor learns by it",
    SHORT + ", continues [0.9 0.6 0.8], γ=0.5, λ=0.8; gradient of the first return",
)
def gradient_of_the_first_return(code):
    data = leaf(REWARDS), leaf(VALUES), leaf(CONTINUES)
    returns = code.actor_critic.compute_lambda_returns(*data, 0.5, 0.8)
    to_rewards, to_values, to_continues = gradients(returns[0, 0], *data)
    yield "gradient to the rewards", to_rewards, [[1.0, 0.36, 0.0864]]
    yield "gradient to the values", to_values, [[0.0, 0.09, 0.0216, 0.03456]]
    yield "gradient to the continues", to_continues, [[5.344, 3.816, 1.728]]


@check(
    "1.23",
    "returns have the type and the device of the inputs; no input is changed",
    SHORT + ", continues [0.9 0.6 0.8], in float32; then on the device 'meta', whose tensors mix "
    "with no other device's",
)
def types_of_returns(code):
    data = [torch.tensor(x) for x in (REWARDS, VALUES, CONTINUES)]
    returns = code.actor_critic.compute_lambda_returns(*data)
    yield "dtype", str(returns.dtype), "torch.float32"
    for name, x, before in zip(("rewards", "values", "continues"), data,
                               (REWARDS, VALUES, CONTINUES), strict=True):  # fmt: skip
        yield f"{name} after the call", x, before
    returns = code.actor_critic.compute_lambda_returns(*(x.to("meta") for x in data))
    yield "device of returns from inputs on 'meta'", str(returns.device), "meta"


# --- 1.24 compute_discount_weights ----------------------------------------------------------------


@check(
    "1.24",
    "the weight of a state is the product of γ c over all states before it",
    "continues [0.5 0.8 0.3 0.7], γ=0.5",
)
def product_before_a_state(code):
    weights = code.actor_critic.compute_discount_weights(double([[0.5, 0.8, 0.3, 0.7]]), 0.5)
    yield "weights", weights, [[1.0, 0.25, 0.1, 0.015]]


@check(
    "1.24",
    "every dream has weights of its own; γ = 0.99 unless another is given",
    "continues [1 1 1] and [0.9 0.8 0.7]",
)
def weights_of_two_dreams(code):
    continues = double([[1.0, 1.0, 1.0], [0.9, 0.8, 0.7]])
    weights = code.actor_critic.compute_discount_weights(continues)
    yield "weights", weights, [[1.0, 0.99, 0.9801], [1.0, 0.891, 0.705672]]
    yield "continues after the call", continues, [[1.0, 1.0, 1.0], [0.9, 0.8, 0.7]]


@check(
    "1.24",
    "the state that ends the episode still counts, those after it do not",
    "continues [1 0.9 0 1 1], γ=1",
)
def weights_after_an_end(code):
    weights = code.actor_critic.compute_discount_weights(double([[1.0, 0.9, 0.0, 1.0, 1.0]]), 1.0)
    yield "weights", weights, [[1.0, 1.0, 0.9, 0.0, 0.0]]


@check("1.24", "in a dream of one step the only weight is 1", "continues [0.3]; then also [0.4]")
def weights_of_one_step(code):
    compute = code.actor_critic.compute_discount_weights
    yield "weights, B=1", compute(double([[0.3]]), 0.5), [[1.0]]
    yield "weights, B=2", compute(double([[0.3], [0.4]]), 0.5), [[1.0], [1.0]]


@check("1.24", "no gradient goes through the weights", "continues [0.5 0.8 0.3 0.7], γ=0.5")
def weights_are_constants(code):
    continues = leaf([[0.5, 0.8, 0.3, 0.7]])
    weights = code.actor_critic.compute_discount_weights(continues, 0.5)
    yield "gradient to the continues", gradients(weights, continues)[0], "none"
    yield "weights.requires_grad", weights.requires_grad, False


@check(
    "1.24",
    "weights have the type and the device of the continues",
    "float32; then the device 'meta', whose tensors mix with no other device's",
)
def types_of_weights(code):
    compute = code.actor_critic.compute_discount_weights
    yield "dtype", str(compute(torch.tensor([[0.5, 0.8, 0.3]])).dtype), "torch.float32"
    yield "device", str(compute(torch.ones(2, 3, device="meta")).device), "meta"


# --- 1.25 actor_loss ------------------------------------------------------------------------------

RETURNS = [[1.0, 2.0, -3.0], [0.5, 4.0, 1.5]]
WEIGHTS = [[0.8, 0.5, 0.25], [0.7, 0.9, 0.4]]
LOSS_INPUT = "returns [1 2 -3] and [0.5 4 1.5], weights [0.8 0.5 0.25] and [0.7 0.9 0.4]"


@check(
    "1.25",
    "the loss is minus the mean of weight times return over all dreams and steps",
    LOSS_INPUT,
)
def minus_the_weighted_return(code):
    returns, weights = double(RETURNS), double(WEIGHTS)
    loss = code.actor_critic.actor_loss(returns, weights)
    yield "loss", loss, -(0.8 + 1.0 - 0.75 + 0.35 + 3.6 + 0.6) / 6
    yield "returns after the call", returns, RETURNS
    yield "weights after the call", weights, WEIGHTS
    single = code.actor_critic.actor_loss(returns.float(), weights.float())
    yield "dtype", str(single.dtype), "torch.float32"


@check(
    "1.25",
    "the loss falls as a return rises, by weight / 6 each; the weights get no gradient",
    LOSS_INPUT,
)
def gradient_of_the_actor_loss(code):
    returns, weights = leaf(RETURNS), leaf(WEIGHTS)
    loss = code.actor_critic.actor_loss(returns, weights)
    to_returns, to_weights = gradients(loss, returns, weights)
    yield "gradient to the returns", to_returns, [[-w / 6 for w in row] for row in WEIGHTS]
    yield "gradient to the weights", to_weights, "none"


@check("1.25", "one dream of one step has a loss too", "return 2.5, weight 0.6")
def actor_loss_of_one_step(code):
    yield "loss", code.actor_critic.actor_loss(double([[2.5]]), double([[0.6]])), -1.5


@check(
    "1.25",
    "a state of weight 0 lies after the end of its episode: what it returns does not matter",
    "returns [1 2 100], then [1 2 -100], weights [1 0.5 0]",
)
def actor_loss_after_an_end(code):
    for last in (100.0, -100.0):
        loss = code.actor_critic.actor_loss(double([[1.0, 2.0, last]]), double([[1.0, 0.5, 0.0]]))
        yield f"loss with {last:g} at the end", loss, -2 / 3


# --- 1.26 critic_loss -----------------------------------------------------------------------------

PREDICTED = [[1.0, 2.0, -1.0], [3.0, -1.5, 0.5]]
TARGETS = [[2.0, 0.0, -1.5], [3.5, 1.0, 1.7]]
CRITIC_INPUT = (
    "values [1 2 -1] and [3 -1.5 0.5], returns [2 0 -1.5] and [3.5 1 1.7], "
    "weights [0.8 0.5 0.25] and [0.7 0.9 0.4]"
)


@check(
    "1.26",
    "the loss is the mean of weight · (value - return)² / 2 over all dreams and steps",
    CRITIC_INPUT,
)
def half_the_weighted_square(code):
    data = double(PREDICTED), double(TARGETS), double(WEIGHTS)
    loss = code.actor_critic.critic_loss(*data)
    yield "loss", loss, (0.8 + 2.0 + 0.0625 + 0.175 + 5.625 + 0.576) / 2 / 6
    for name, x, before in zip(("values", "returns", "weights"), data,
                               (PREDICTED, TARGETS, WEIGHTS), strict=True):  # fmt: skip
        yield f"{name} after the call", x, before
    single = code.actor_critic.critic_loss(*(x.float() for x in data))
    yield "dtype", str(single.dtype), "torch.float32"


@check(
    "1.26",
    "the values get the gradient weight · (value - return) / 6; targets and weights get none",
    CRITIC_INPUT,
)
def gradient_of_the_critic_loss(code):
    values, returns, weights = leaf(PREDICTED), leaf(TARGETS), leaf(WEIGHTS)
    loss = code.actor_critic.critic_loss(values, returns, weights)
    to_values, to_returns, to_weights = gradients(loss, values, returns, weights)
    differences = [[-1.0, 2.0, 0.5], [-0.5, -2.5, -1.2]]
    expected = (double(WEIGHTS) * double(differences) / 6).tolist()
    yield "gradient to the values", to_values, expected
    yield "gradient to the returns", to_returns, "none"
    yield "gradient to the weights", to_weights, "none"


@check("1.26", "one dream of one step has a loss too", "value 2.5, return 1, weight 0.6")
def critic_loss_of_one_step(code):
    data = double([[2.5]]), double([[1.0]]), double([[0.6]])
    yield "loss", code.actor_critic.critic_loss(*data), 0.675


@check(
    "1.26",
    "without an error there is no loss: the Normal's constant is left out",
    "values and returns are both [2 -3]; then the value of a state with weight 0 is off by 100",
)
def critic_loss_of_nothing(code):
    compute, weights = code.actor_critic.critic_loss, double([[0.7, 0.0]])
    targets = double([[2.0, -3.0]])
    yield "loss", compute(targets.clone(), targets, weights), 0.0
    yield "loss with 100 at weight 0", compute(double([[2.0, 97.0]]), targets, weights), 0.0
