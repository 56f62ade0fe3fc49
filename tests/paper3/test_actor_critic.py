"""Checks of DreamerV3's bounded policy, λ-returns, return scale, weights, losses, slow critic.

Sources: arXiv:2301.04104v2, "Critic learning" and "Actor learning"; danijar/dreamerv3, agent.py,
`imag_loss`, `repl_loss`, `lambda_return`; heads.py, `bounded_normal`; utils.py, `Normalize`,
`SlowModel`.
"""

import math

import torch
from torch import nn

from course.checks import check, draws
from tests import oracle
from tests.numbers import F64, gradients, irregular


def double(numbers):
    return torch.tensor(numbers, dtype=F64)


def leaf(numbers):
    """A tensor whose gradient is asked for."""
    return double(numbers).requires_grad_()


def zeros(rows: list) -> list:
    return [[0.0] * len(row) for row in rows]


# --- 3.20 ContinuousActor.forward -----------------------------------------------------------------

RAW = [0.4, -1.7, 0.8, 1.3, -3.5, 0.2]  # m of three units, then s of three units


def policy_network(code, raw=RAW, features: int = 2):
    """An actor whose network answers `raw` for features of 0."""
    units = len(raw) // 2
    actor = code.actor_critic.ContinuousActor(features, 4, 1, units)
    actor.mlp = nn.Linear(features, 2 * units).double()
    with torch.no_grad():
        actor.mlp.weight.copy_(irregular(2 * units, features))
        actor.mlp.bias.copy_(double(raw))
    return actor


def bounded(raw: list[float]) -> list[float]:
    units = len(raw) // 2
    std = [0.9 * oracle.sigmoid(s + 2) + 0.1 for s in raw[units:]]
    return [math.tanh(m) for m in raw[:units]] + std


@check(
    "3.20",
    "where the network answers 0, the mean is 0 and the standard deviation 0.893",
    "a network of one action unit that answers [0 0]",
)
def first_policy(code):
    policy = policy_network(code, [0.0, 0.0])(torch.zeros(3, 2, dtype=F64))
    yield "mean and std", policy, [[0.0, 0.892717]] * 3


@check(
    "3.20",
    "mean = tanh(m) and std = 0.9 sigmoid(s + 2) + 0.1, first all means, then all stds",
    "three units: the network answers m = [0.4 -1.7 0.8], s = [1.3 -3.5 0.2]",
)
def bounded_mean_and_std(code):
    actor, feature = policy_network(code), torch.zeros(1, 2, dtype=F64)
    policy = actor(feature)
    yield "mean", policy[:, :3], [[0.379949, -0.935409, 0.664037]]
    yield "std", policy[:, 3:], [[0.967986, 0.264183, 0.910225]]
    yield "mean and std, asked again", actor(feature), [bounded(RAW)]
    with draws(normal=2.0):
        expected = [m + 2 * s for m, s in zip(bounded(RAW)[:3], bounded(RAW)[3:], strict=True)]
        yield "the action two std above the mean", actor.sample(policy), [expected]
    narrow = actor.float()(torch.zeros(1, 2))
    yield "dtype of float32 features", str(narrow.dtype), "torch.float32"


@check(
    "3.20",
    "features may have any leading dimensions; each has a policy of its own",
    "irregular features of shapes (3,), (1, 3) and (2, 4, 3), two action units",
)
def policies_of_many_states(code):
    raw = RAW[:2] + RAW[3:5]
    actor = policy_network(code, raw, 3)
    weight = actor.mlp.weight.tolist()
    for shape in ((3,), (1, 3), (2, 4, 3)):
        feature = irregular(*shape, phase=1.0)
        before = feature.tolist()
        rows = [oracle.linear(x, weight, raw) for x in feature.view(-1, 3).tolist()]
        expected = torch.tensor([bounded(row) for row in rows], dtype=F64).view(*shape[:-1], 4)
        yield f"policy for features {shape}", actor(feature), expected
        yield f"features {shape} after the call", feature, before


@check(
    "3.20",
    "however large the network's answer, mean and std stay within (-1, 1) and (0.1, 1)",
    "float32; the network answers m = [100 -100], s = [100 -100]",
)
def bounds(code):
    actor = policy_network(code, [100.0, -100.0, 100.0, -100.0]).float()
    policy = actor(torch.zeros(1, 2))
    yield "mean and std", policy, [[1.0, -1.0, 1.0, 0.1]]
    [slope] = gradients(policy.sum(), actor.mlp.bias)
    yield "the gradient is finite", slope.isfinite().all().item(), True


@check(
    "3.20",
    "the bounds are soft: near them there still is a gradient",
    "the network answers m = [0.3 -2.5 4], s = [1.2 -3.5 -6]; gradient of 100 · mean and of "
    "100 · std to its answer",
)
def gradient_of_the_policy(code):
    raw = [0.3, -2.5, 4.0, 1.2, -3.5, -6.0]
    actor = policy_network(code, raw)
    policy = 100 * actor(torch.zeros(1, 2, dtype=F64))
    to_mean = [100 * (1 - math.tanh(m) ** 2) for m in raw[:3]]
    shares = [oracle.sigmoid(s + 2) for s in raw[3:]]
    to_std = [100 * 0.9 * p * (1 - p) for p in shares]
    yield "gradient of the mean", *gradients(policy[:, :3].sum(), actor.mlp.bias), to_mean + [0] * 3
    yield "gradient of the std", *gradients(policy[:, 3:].sum(), actor.mlp.bias), [0] * 3 + to_std


# --- 3.21 compute_lambda_returns ------------------------------------------------------------------

REWARDS, VALUES = [[100.0, 1.0, 2.0, 3.0]], [[10.0, 20.0, 30.0, 40.0]]
HALF, NEVER = [[0.5] * 4], [[0.0] * 4]
SHORT = "rewards [100 1 2 3], values [10 20 30 40]"


def returns_of(code, rewards, values, continues, is_last, *lambda_):
    data = (double(x) for x in (rewards, values, continues, is_last))
    return code.actor_critic.compute_lambda_returns(*data, *lambda_)


@check(
    "3.21",
    "the return of a state begins with the reward on entering the next, whose value it trusts",
    SHORT + ", continues 0.5, never cut, λ=0.5; then also λ=0 and λ=1",
)
def returns_of_the_example(code):
    expected = {0.5: [9.8125, 15.25, 23.0], 0.0: [11.0, 17.0, 23.0], 1.0: [7.75, 13.5, 23.0]}
    for lambda_, row in expected.items():
        returns = returns_of(code, REWARDS, VALUES, HALF, NEVER, lambda_)
        yield f"returns with λ={lambda_:g}", returns, [row]


@check(
    "3.21",
    "what follows state t + 1 counts as much as that state's own continuation",
    SHORT + ", continues [0.7 0.9 0.6 0.8], never cut, λ=0.5",
)
def returns_with_irregular_continues(code):
    returns = returns_of(code, REWARDS, VALUES, [[0.7, 0.9, 0.6, 0.8]], NEVER, 0.5)
    yield "returns", returns, [[19.675, 21.5, 35.0]]


@check(
    "3.21",
    "a cut sequence is worth the value of its last state; after a death nothing follows",
    SHORT + ", continues 0.5, λ=0.5, cut at state 2; then dead there: its c is 0 as well",
)
def cut_and_death(code):
    cut = [[0.0, 0.0, 1.0, 0.0]]
    returns = returns_of(code, REWARDS, VALUES, HALF, cut, 0.5)
    yield "returns, cut at state 2", returns, [[10.25, 17.0, 23.0]]
    returns = returns_of(code, REWARDS, VALUES, [[0.5, 0.5, 0.0, 0.5]], cut, 0.5)
    yield "returns, dead in state 2", returns, [[6.5, 2.0, 23.0]]
    returns = returns_of(code, REWARDS, VALUES, HALF, cut, 1.0)
    yield "returns with λ=1, cut at state 2", returns, [[9.5, 17.0, 23.0]]
    for note, last in (("first", [1.0, 0.0, 0.0, 0.0]), ("last", [0.0, 0.0, 0.0, 1.0])):
        returns = returns_of(code, REWARDS, VALUES, HALF, [last], 0.5)
        yield f"returns, cut at the {note} state", returns, [[9.8125, 15.25, 23.0]]


@check(
    "3.21",
    "the discount is in the continues, and enters no second time",
    "rewards 1, values 0 but for the last, 5; continues 0.9, λ=1: 1 + 0.9 + 0.81 + 0.729 · 5",
)
def discount_enters_once(code):
    returns = returns_of(code, [[1.0] * 4], [[0.0, 0.0, 0.0, 5.0]], [[0.9] * 4], NEVER, 1.0)
    yield "returns", returns, [[6.355, 5.95, 5.5]]


@check(
    "3.21",
    "every sequence has returns of its own; λ = 0.95 unless another is given",
    "three irregular sequences of six states, two of them cut; then the first of them alone",
)
def returns_of_three_sequences(code):
    rewards, values = 3 * irregular(3, 6), 9 * irregular(3, 6, phase=1.0)
    continues = irregular(3, 6, phase=2.0).abs()
    is_last = double([[0.0] * 6, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    data = rewards, values, continues, is_last
    before = [x.tolist() for x in data]
    for note, lambda_, given in (("λ=0.7", 0.7, (0.7,)), ("the default λ", 0.95, ())):
        expected = [oracle.lambda_returns(*rows, lambda_) for rows in zip(*before, strict=True)]
        returns = code.actor_critic.compute_lambda_returns(*data, *given)
        yield f"returns with {note}", returns, expected
    names = ("rewards", "values", "continues", "is_last")
    for name, x, old in zip(names, data, before, strict=True):
        yield f"{name} after the calls", x, old
    single = code.actor_critic.compute_lambda_returns(*(x[:1] for x in data))
    yield "returns of the first sequence alone", single, expected[:1]
    yield "dtype", str(single.dtype), "torch.float64"
    single = code.actor_critic.compute_lambda_returns(*(x.float() for x in data))
    yield "dtype of returns from float32", str(single.dtype), "torch.float32"


@check(
    "3.21",
    "two states have one return; nothing of the first state enters it",
    "rewards [7 2] and [-4 3], values [5 3] and [6 2], continues [0.4 0.9] and [0.2 0.5]; then "
    "other rewards, values and continues of the first states",
)
def returns_of_two_states(code):
    none = [[0.0, 0.0], [0.0, 0.0]]
    data = [[7.0, 2.0], [-4.0, 3.0]], [[5.0, 3.0], [6.0, 2.0]], [[0.4, 0.9], [0.2, 0.5]]
    yield "returns", returns_of(code, *data, none), [[4.7], [4.0]]
    data = [[-9.0, 2.0], [8.0, 3.0]], [[60.0, 3.0], [70.0, 2.0]], [[0.1, 0.9], [1.0, 0.5]]
    yield "returns with other first states", returns_of(code, *data, none), [[4.7], [4.0]]


# --- 3.22 ReturnNormalizer.update -----------------------------------------------------------------


def normalizer_of(code, *rate):
    return code.actor_critic.ReturnNormalizer(*rate).double()


@check(
    "3.22",
    "averages start at 0 and take 1 % of each batch's 5th and 95th percentile",
    "returns 0, 1, ..., 100: percentiles 5 and 95; up to 20 updates with them",
)
def slow_averages(code):
    normalizer, returns = normalizer_of(code).float(), torch.arange(101.0)
    for n in range(1, 21):
        normalizer.update(returns)
        if n in (1, 2, 20):
            share = 1 - 0.99**n
            yield f"low after {n} updates", normalizer.low, 5 * share
            yield f"high after {n} updates", normalizer.high, 95 * share


@check(
    "3.22",
    "percentiles are of all returns of the batch together, interpolated between neighbours",
    "rate 0.25; irregular returns up to 40, of shapes (2, 11), (7,), (1, 9), (2, 3, 4) and (1, 1)",
)
def percentiles_of_the_batch(code):
    for shape in ((2, 11), (7,), (1, 9), (2, 3, 4), (1, 1)):
        normalizer, returns = normalizer_of(code, 0.25).float(), (40 * irregular(*shape)).float()
        before = returns.tolist()
        numbers = returns.flatten().tolist()
        low, high = (oracle.percentile(numbers, share) for share in (0.05, 0.95))
        normalizer.update(returns)
        yield f"low for {shape}", normalizer.low, low / 4
        yield f"high for {shape}", normalizer.high, high / 4
        yield f"returns {shape} after the update", returns, before


@check(
    "3.22",
    "low and high are averaged apart, and go down as well as up",
    "rate 0.5; three batches of eleven returns: -10 ... 10, then 30 ... 50, then all 2",
)
def averages_of_several_batches(code):
    normalizer, steps = normalizer_of(code, 0.5).float(), torch.arange(11.0)
    batches = (2 * steps - 10, 2 * steps + 30, 0 * steps + 2)
    wants = ((-4.5, 4.5), (13.25, 26.75), (7.625, 14.375))
    for returns, (low, high) in zip(batches, wants, strict=True):
        normalizer.update(returns)
        yield "low", normalizer.low, low
        yield "high", normalizer.high, high


@check(
    "3.22",
    "the averages are saved with the model, and are no parameters",
    "one update with returns -50 ... 50, which want a gradient; then its state_dict is loaded",
)
def averages_are_saved(code):
    normalizer = code.actor_critic.ReturnNormalizer()
    returns = torch.linspace(-50, 50, 101).requires_grad_()
    normalizer.update(returns)
    state = normalizer.state_dict()
    saved = {key: float(state[key]) for key in sorted(state)}
    yield "state_dict", saved, {"high": 0.45, "low": -0.45}
    yield "parameters", len(list(normalizer.parameters())), 0
    yield "shapes", [tuple(normalizer.low.shape), tuple(normalizer.high.shape)], [(), ()]
    yield "gradient is kept", normalizer.low.requires_grad or normalizer.high.requires_grad, False
    other = code.actor_critic.ReturnNormalizer()
    other.load_state_dict(state)
    other.update(returns)
    yield "high after loading and one more update", other.high, 0.8955
    yield "low after loading and one more update", other.low, -0.8955


# --- 3.23 ReturnNormalizer.scale ------------------------------------------------------------------


def normalizer_with(code, low: float, high: float):
    normalizer = normalizer_of(code)
    normalizer.load_state_dict({"low": double(low), "high": double(high)})
    return normalizer


@check(
    "3.23",
    "the scale is the range from low to high",
    "low and high: -3 and 9.5; 2 and 7; -8 and -5.5",
)
def range_of_returns(code):
    for low, high, want in ((-3.0, 9.5, 12.5), (2.0, 7.0, 5.0), (-8.0, -5.5, 2.5)):
        normalizer = normalizer_with(code, low, high)
        scale = normalizer.scale()
        yield f"scale for low {low:g} and high {high:g}", float(scale), want
        yield "scale, asked again", float(normalizer.scale()), want
        yield "low after the calls", normalizer.low, low
        yield "high after the calls", normalizer.high, high
        yield "shape of the scale", tuple(torch.as_tensor(scale).shape), ()


@check(
    "3.23",
    "returns of a range below 1 are not scaled up",
    "low and high: 0 and 0, as at the start; 0.2 and 0.3; 4 and 5; 4 and 5.001",
)
def no_scale_below_1(code):
    scale = torch.as_tensor(code.actor_critic.ReturnNormalizer().scale())
    yield "scale of a fresh one", float(scale), 1.0
    yield "an advantage of 0.01, divided by it", 0.01 / scale, 0.01
    for low, high, want in ((0.2, 0.3, 1.0), (4.0, 5.0, 1.0), (4.0, 5.001, 1.001)):
        normalizer = normalizer_with(code, low, high)
        yield f"scale for low {low:g} and high {high:g}", float(normalizer.scale()), want
        averages = [float(normalizer.low), float(normalizer.high)]
        yield "low and high after the call", averages, [low, high]


# --- 3.24 imagination_weights ---------------------------------------------------------------------


@check(
    "3.24",
    "the weight of a state is the product of the continues up to it, its own included",
    "continues [0.9 0.5 0.8 1]",
)
def product_of_continues(code):
    weights = code.actor_critic.imagination_weights(double([[0.9, 0.5, 0.8, 1.0]]))
    yield "weights", weights, [[0.9, 0.45, 0.36, 0.36]]


@check(
    "3.24",
    "a dream that starts in a dead state weighs nothing, nor does what follows a death",
    "continues [0 0.7 0.9 0.9] and [0.9 0.8 0 0.9]",
)
def weights_after_a_death(code):
    rows = [[0.0, 0.7, 0.9, 0.9], [0.9, 0.8, 0.0, 0.9]]
    weights = code.actor_critic.imagination_weights(double(rows))
    yield "weights", weights, [[0.0] * 4, [0.9, 0.72, 0.0, 0.0]]


@check(
    "3.24",
    "every dream has weights of its own",
    "irregular continues in [0, 1] of shapes (3, 5), (1, 4), (2, 1)",
)
def weights_of_several_dreams(code):
    for shape in ((3, 5), (1, 4), (2, 1)):
        continues = irregular(*shape, phase=3.0).abs()
        rows = continues.tolist()
        weights = code.actor_critic.imagination_weights(continues)
        yield f"weights {shape}", weights, [oracle.running_products(row) for row in rows]
        yield f"continues {shape} after the call", continues, rows
    yield "dtype", str(weights.dtype), "torch.float64"
    weights = code.actor_critic.imagination_weights(continues.float())
    yield "dtype of weights from float32", str(weights.dtype), "torch.float32"


@check("3.24", "no gradient goes through the weights", "continues [0.9 0.5 0.8] with gradient")
def weights_have_no_gradient(code):
    weights = code.actor_critic.imagination_weights(leaf([[0.9, 0.5, 0.8]]))
    yield "weights", weights, [[0.9, 0.45, 0.36]]
    yield "weights.requires_grad", weights.requires_grad, False


# --- 3.25 actor_loss ------------------------------------------------------------------------------

LOG_PROB, ENTROPY = [[-0.7, -1.2, -0.3]], [[0.5, 1.0, 0.8]]
ADVANTAGE, WEIGHT = [[2.0, -1.0, 0.5]], [[0.9, 0.6, 0.2]]
POLICY = "log π [-0.7 -1.2 -0.3], entropy [0.5 1 0.8]"
JUDGED = "advantage [2 -1 0.5], weight [0.9 0.6 0.2]"


def policies(*shape):
    """Irregular log π, entropy, advantage and weight."""
    return (
        irregular(*shape) - 1.5, irregular(*shape, phase=1.0).abs(),
        3 * irregular(*shape, phase=2.0), irregular(*shape, phase=3.0).abs(),
    )  # fmt: skip


@check(
    "3.25",
    "REINFORCE: the loss falls where a good action becomes likelier, a bad one less likely",
    f"{POLICY}, {JUDGED}, entropy_scale 0; three terms: 0.9 · -0.7 · 2, ...",
)
def reinforce_of_the_example(code):
    data = [double(x) for x in (LOG_PROB, ENTROPY, ADVANTAGE, WEIGHT)]
    loss = code.actor_critic.actor_loss(*data, 0.0)
    yield "loss", loss, -(0.9 * -1.4 + 0.6 * 1.2 + 0.2 * -0.15) / 3


@check(
    "3.25",
    "the entropy of a state is a bonus, and counts with the weight of the state",
    f"{POLICY}, advantage 0, weight [0.9 0.6 0.2], entropy_scale 0.1",
)
def entropy_of_the_example(code):
    data = [double(x) for x in (LOG_PROB, ENTROPY, zeros(ADVANTAGE), WEIGHT)]
    loss = code.actor_critic.actor_loss(*data, 0.1)
    yield "loss", loss, -0.1 * (0.45 + 0.6 + 0.16) / 3


@check(
    "3.25",
    "the loss is the mean over all states",
    "irregular numbers of shapes (2, 3), (1, 4), (3, 1); entropy_scale 0.3, 0.0003 and 2",
)
def actor_loss_of_several_shapes(code):
    for shape, scale in (((2, 3), 0.3), ((1, 4), 3e-4), ((3, 1), 2.0)):
        data = policies(*shape)
        rows = [x.tolist() for x in data]
        loss = code.actor_critic.actor_loss(*data, scale)
        yield f"loss for {shape}", loss, oracle.weighted_reinforce(*rows, scale)
        yield "loss, asked again", code.actor_critic.actor_loss(*data, scale), loss
        for name, x, before in zip(("log_prob", "entropy", "advantage", "weight"), data, rows,
                                   strict=True):  # fmt: skip
            yield f"{name} after the calls", x, before
    loss = code.actor_critic.actor_loss(*(x.float() for x in data), scale)
    yield "dtype", str(loss.dtype), "torch.float32"


@check(
    "3.25",
    "the policy learns through log π and entropy; advantage and weight are constants",
    f"{POLICY}, {JUDGED}, entropy_scale 0.1",
)
def gradients_of_the_actor_loss(code):
    data = [leaf(x) for x in (LOG_PROB, ENTROPY, ADVANTAGE, WEIGHT)]
    found = gradients(code.actor_critic.actor_loss(*data, 0.1), *data)
    yield "gradient to log_prob", found[0], [[-0.6, 0.2, -0.1 / 3]]
    yield "gradient to entropy", found[1], [[-0.03, -0.02, -0.02 / 3]]
    yield "gradient to advantage", found[2], [[0.0] * 3]
    yield "gradient to weight", found[3], [[0.0] * 3]


@check(
    "3.25",
    "a value that shares its network with the policy learns nothing from the actor's loss",
    "log π = θ · [-0.7 -1.2 -0.3], advantage = [2 -1 0.5] - θ, weight = θ · [0.9 0.6 0.2]; "
    "θ = 1, entropy 0",
)
def shared_parameter(code):
    theta = leaf(1.0)
    log_prob, advantage = theta * double(LOG_PROB), double(ADVANTAGE) - theta
    weight = theta * double(WEIGHT)
    loss = code.actor_critic.actor_loss(log_prob, 0 * log_prob, advantage, weight, 0.1)
    [slope] = gradients(loss, theta)
    yield "gradient to θ", slope, -(0.9 * -0.7 * 1 + 0.6 * -1.2 * -2 + 0.2 * -0.3 * -0.5) / 3


# --- 3.26 critic_loss -----------------------------------------------------------------------------


class Head:
    """What a TwoHotHead offers but its network; few bins, every target as a whole row of them."""

    def __init__(self, bins, dtype=F64):
        self.bins = torch.tensor(bins, dtype=dtype)

    def mean(self, logits):
        return (logits.softmax(-1) * self.bins).sum(-1)

    def loss(self, logits, *targets):
        log_probs = logits.log_softmax(-1)
        return sum(-(self.encoded(x) * log_probs).sum(-1) for x in targets)

    def encoded(self, target):
        x, bins = target.clamp(self.bins[0], self.bins[-1])[..., None], self.bins
        one, width = torch.ones_like(x), bins[1:] - bins[:-1]
        rising = torch.cat([one, (x - bins[:-1]) / width], -1)
        falling = torch.cat([(bins[1:] - x) / width, one], -1)
        return torch.minimum(rising, falling).clamp(min=0)


BINS = oracle.symexp_bins(7, 2.0)


def values_of(*shape):
    """Irregular logits, targets, slow values and weights; some targets beyond the bins."""
    return (
        2 * irregular(*shape, 7), 7 * irregular(*shape, phase=1.0),
        5 * irregular(*shape, phase=2.0), irregular(*shape, phase=3.0).abs(),
    )  # fmt: skip


@check(
    "3.26",
    "the critic learns the return, and as much to stay where the slow critic is",
    "bins [-1 0 2], probabilities [0.2 0.3 0.5], return 0.5: two-hot [0 0.75 0.25]; slow critic "
    "-0.4: two-hot [0.4 0.6 0]; weight 0.8",
)
def two_cross_entropies(code):
    head, logits = Head([-1.0, 0.0, 2.0]), double([[[0.2, 0.3, 0.5]]]).log()
    loss = code.actor_critic.critic_loss(
        head, logits, double([[0.5]]), double([[-0.4]]), double([[0.8]])
    )
    to_return = -(0.75 * math.log(0.3) + 0.25 * math.log(0.5))
    to_slow = -(0.4 * math.log(0.2) + 0.6 * math.log(0.3))
    yield "loss", loss, 0.8 * (to_return + to_slow)


@check(
    "3.26",
    "the loss is the mean over all states of weight times cross-entropies",
    "7 bins in [-6.4, 6.4], irregular numbers of shapes (2, 3), (1, 4), (3, 1)",
)
def critic_loss_of_several_shapes(code):
    for shape in ((2, 3), (1, 4), (3, 1)):
        data = values_of(*shape)
        rows = [x.tolist() for x in data]
        expected, _ = oracle.two_hot_value_loss(*rows, BINS)
        yield f"loss for {shape}", code.actor_critic.critic_loss(Head(BINS), *data), expected
        again = code.actor_critic.critic_loss(Head(BINS), *data)
        yield "loss, asked again", again, expected
        for name, x, before in zip(("logits", "target", "slow_value", "weight"), data, rows,
                                   strict=True):  # fmt: skip
            yield f"{name} after the calls", x, before
    single = [x.float() for x in data]
    loss = code.actor_critic.critic_loss(Head(BINS, torch.float32), *single)
    yield "dtype", str(loss.dtype), "torch.float32"


@check(
    "3.26",
    "the gradient goes to the logits; return, slow critic and weight are constants",
    "7 bins in [-6.4, 6.4], irregular numbers of shape (2, 3), all with gradient",
)
def gradients_of_the_critic_loss(code):
    data = [x.requires_grad_() for x in values_of(2, 3)]
    loss = code.actor_critic.critic_loss(Head(BINS), *data)
    _, expected = oracle.two_hot_value_loss(*(x.tolist() for x in data), BINS)
    found = gradients(loss, *data)
    yield "gradient to the logits", found[0], expected
    for name, slope in zip(("target", "slow_value", "weight"), found[1:], strict=True):
        yield f"gradient to {name}", slope, [[0.0] * 3] * 2


@check(
    "3.26",
    "a state of weight 0 teaches nothing",
    "return, slow critic and logits of two states; the second weighs 0 and then changes",
)
def critic_loss_of_weight_0(code):
    logits, target, slow, _ = values_of(1, 2)
    weight = double([[0.7, 0.0]])
    expected, _ = oracle.two_hot_value_loss(
        *(x.tolist() for x in (logits, target, slow, weight)), BINS
    )
    loss = code.actor_critic.critic_loss(Head(BINS), logits, target, slow, weight)
    yield "loss", loss, expected
    logits[:, 1], target[:, 1], slow[:, 1] = -logits[:, 1], 6.0, -6.0
    loss = code.actor_critic.critic_loss(Head(BINS), logits, target, slow, weight)
    yield "loss with other numbers in the second", loss, expected


@check(
    "3.26",
    "large returns are compared as they are: not normalised, not squashed",
    "31 bins in [-22025, 22025]; returns [1500 -4000], slow critic [900 -3000], weights [0.5 0.25]",
)
def large_returns(code):
    bins = oracle.symexp_bins(31, 10.0)
    logits, rest = 2 * irregular(1, 2, 31), ([[1500.0, -4000.0]], [[900.0, -3000.0]], [[0.5, 0.25]])
    expected, _ = oracle.two_hot_value_loss(logits.tolist(), *rest, bins)
    loss = code.actor_critic.critic_loss(Head(bins), logits, *(double(x) for x in rest))
    yield "loss", loss, expected


# --- 3.27 update_slow_critic ----------------------------------------------------------------------


class Critic(nn.Module):
    """Two layers and, as in a TwoHotHead, bins that are no parameters."""

    def __init__(self, phase: float):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1)).double()
        self.register_buffer("bins", irregular(5, phase=phase), persistent=False)
        with torch.no_grad():
            for n, parameter in enumerate(self.parameters()):
                parameter.copy_(3 * irregular(*parameter.shape, phase=phase + n))


def critics():
    """A slow critic and a fast one, all of whose numbers are different."""
    return Critic(1.0).requires_grad_(False), Critic(11.0)


def numbers(critic) -> list:
    return [x.tolist() for x in critic.state_dict().values()]


def moved(slow, fast, share: float) -> list:
    """Parameters `share` of the way from slow to fast."""
    pairs = zip(slow.parameters(), fast.parameters(), strict=True)
    return [((1 - share) * old + share * new).tolist() for old, new in pairs]


@check(
    "3.27",
    "after every update each parameter of the slow critic goes 2 % of the way to the critic",
    "all parameters of the slow critic are 0, those of the critic 1; two updates",
)
def two_percent_of_the_way(code):
    slow, fast = critics()
    with torch.no_grad():
        for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
            old.zero_(), new.fill_(1.0)
    for update, want in ((1, 0.02), (2, 0.0396)):
        code.actor_critic.update_slow_critic(slow, fast)
        for name, parameter in slow.named_parameters():
            expected = torch.full_like(parameter, want)
            yield f"{name} after update {update}", parameter, expected


@check(
    "3.27",
    "the rate is the caller's; the critic stays as it is",
    "irregular parameters; rates 0.25, 0 and 1, each with a fresh pair",
)
def other_rates(code):
    for rate in (0.25, 0.0, 1.0):
        slow, fast = critics()
        expected, before = moved(slow, fast, rate), numbers(fast)
        code.actor_critic.update_slow_critic(slow, fast, rate)
        yield f"slow critic, rate {rate:g}", numbers(slow), expected
        yield f"critic, rate {rate:g}", numbers(fast), before


@check(
    "3.27",
    "the slow critic is one of its own: when the critic learns on, it stays",
    "a move with rate 1; then all parameters of the critic grow by 1",
)
def parameters_of_its_own(code):
    slow, fast = critics()
    code.actor_critic.update_slow_critic(slow, fast, 1.0)
    expected = numbers(fast)
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.add_(1)
    yield "slow critic", numbers(slow), expected


@check(
    "3.27",
    "parameters move, and nothing else changes: no buffer, and who learns",
    "irregular parameters and bins; slow: requires_grad False; critic: True, with gradients of 1",
)
def what_stays(code):
    slow, fast = critics()
    for parameter in fast.parameters():
        parameter.grad = torch.ones_like(parameter)
    bins, others = slow.bins.tolist(), fast.bins.tolist()
    code.actor_critic.update_slow_critic(slow, fast)
    yield "bins of the slow critic", slow.bins, bins
    yield "bins of the critic", fast.bins, others
    yield "slow: requires_grad", [x.requires_grad for x in slow.parameters()], [False] * 6
    yield "critic: requires_grad", [x.requires_grad for x in fast.parameters()], [True] * 6
    kept = [x.grad is not None and bool((x.grad == 1).all()) for x in fast.parameters()]
    yield "critic: gradients are kept", kept, [True] * 6
