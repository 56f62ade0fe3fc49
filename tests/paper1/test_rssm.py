"""Checks of DreamerV1's world model: the recurrent state-space model, and its loss.

Sources: arXiv:1912.01603, Section 3 and Appendix A; danijar/dreamer, models.py and dreamer.py.
Rows follow the replay: actions[:, t] led to observation t.
"""

import math
from types import SimpleNamespace

import torch
from torch.distributions import Distribution
from torch.utils._python_dispatch import TorchDispatchMode

from course.checks import check, draws
from tests import oracle
from tests.paper1.parameters import fill

B, T, A, Z, H, U, E = 2, 4, 2, 3, 5, 6, 7
F64 = torch.float64

# --- builders -------------------------------------------------------------------------------------


def irregular(*shape, phase=0.0, dtype=F64):
    """Numbers in [-1, 1] without a pattern."""
    count = torch.arange(1, math.prod(shape) + 1, dtype=F64)
    return torch.sin(1.7 * count**1.3 + phase).view(*shape).to(dtype)


@torch.no_grad()
def strong(module):
    """Parameters in [-0.9, 0.9], so that every path through a network counts."""
    for parameter in fill(module).parameters():
        parameter.mul_(3)
    return module


def rssm_of(code, dtype=F64):
    sizes = dict(state_dim=Z, rnn_hidden_dim=H, hidden_dim=U, min_std=0.2)
    return strong(code.rssm.RSSM(A, E, **sizes).to(dtype))


@torch.no_grad()
def put(module, numbers: dict):
    """Set all parameters to zero, then those named."""
    for name, parameter in module.named_parameters():
        parameter.zero_()
        if name in numbers:
            parameter.copy_(torch.tensor(numbers[name], dtype=parameter.dtype))
    return module


def values(module) -> dict:
    return {name: x.tolist() for name, x in module.state_dict().items()}


def start(batch=B, dtype=F64) -> dict:
    """A state that is not zero."""
    h = irregular(1, batch, H, phase=4.0, dtype=dtype)
    return {"h": h, "z": irregular(batch, Z, phase=5.0, dtype=dtype)}


def gradients(loss, *inputs) -> list:
    """The gradients of a loss; zeros for what it does not depend on."""
    if not getattr(loss, "requires_grad", False):
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def leaves(*numbers) -> list:
    """Tensors that want a gradient."""
    return [torch.tensor(x, dtype=F64, requires_grad=True) for x in numbers]


def softplus_inverse(x: float) -> float:
    return math.log(math.exp(x) - 1)


# --- 1.9 sample_normal ----------------------------------------------------------------------------


@check("1.9", "a sample is the mean plus std times the noise", "means [1 -2], stds [0.5 3]")
def sample_by_hand(code):
    mean, std = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    for noise, expected in ((1.5, [1.75, 2.5]), (-0.25, [0.875, -2.75])):
        with draws(normal=noise):
            sample = code.rssm.sample_normal(mean, std)
        yield f"sample where the noise is {noise}", sample, expected
    yield "dtype", str(sample.dtype), "torch.float32"
    yield "mean after the call", mean, [1.0, -2.0]


@check(
    "1.9",
    "gradients pass through the sample: 1 to the mean, the noise to the std",
    "noise 1.5; the loss is 2·sample₀ + 3·sample₁",
)
def gradient_of_a_sample(code):
    mean, std = leaves([1.0, -2.0], [0.5, 3.0])
    with draws(normal=1.5):
        sample = code.rssm.sample_normal(mean, std)
    to_mean, to_std = gradients(sample @ torch.tensor([2.0, 3.0], dtype=F64), mean, std)
    yield "gradient to the mean", to_mean, [2.0, 3.0]
    yield "gradient to the std", to_std, [3.0, 4.5]


class Irregular(TorchDispatchMode):
    """Every standard normal number of torch is another one."""

    drawn = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        names = ("randn", "randn_like", "normal", "normal_", "normal_functional")
        if function.overloadpacket.__name__ not in names:
            return function(*args, **kwargs)
        with draws(normal=0.0):
            low = function(*args, **kwargs).clone()
        with draws(normal=1.0):
            result = function(*args, **kwargs)
        count = torch.arange(self.drawn, self.drawn + result.numel(), dtype=F64)
        self.drawn += result.numel()
        noise = torch.sin(1.7 * (count + 1) ** 1.3).view(result.shape)
        return result.copy_(low + noise * (result - low))


@check("1.9", "every number has noise of its own", "2 × 3 numbers, all of mean 1 and std 2")
def noise_of_its_own(code):
    mean, std = torch.full((2, 3), 1.0), torch.full((2, 3), 2.0)
    with Irregular():
        sample = code.rssm.sample_normal(mean, std)
    yield "shape", tuple(sample.shape), (2, 3)
    noise = {round(x, 4) for x in ((sample - 1) / 2).flatten().tolist()}
    yield "different numbers among the six", len(noise), 6


@check("1.9", "the noise is drawn on the device of its inputs", "tensors on the device 'meta'")
def device_of_a_sample(code):
    mean, std = torch.zeros(2, 3, device="meta"), torch.ones(2, 3, device="meta")
    Distribution.set_default_validate_args(False)  # it would have to look at the numbers
    try:
        sample = code.rssm.sample_normal(mean, std)
    finally:
        Distribution.set_default_validate_args(__debug__)
    yield "device", str(sample.device), "meta"


# --- 1.10 recurrent_step --------------------------------------------------------------------------


def small_rssm(code, numbers: dict, **sizes):
    """An RSSM of few units, in which only the named parameters are not zero."""
    sizes = dict(state_dim=1, rnn_hidden_dim=2, hidden_dim=2, min_std=0.25) | sizes
    return put(code.rssm.RSSM(1, 2, **sizes).double(), numbers)


@check(
    "1.10",
    "the GRU starts from the previous h: without any weights it keeps half of it",
    "all parameters 0, so that r = u = 1/2 and n = 0; h = [0.6 -0.8]",
)
def half_of_h(code):
    model = small_rssm(code, {})
    state = {"h": torch.tensor([[[0.6, -0.8]]], dtype=F64), "z": torch.ones(1, 1, dtype=F64)}
    h_out, h_new = model.recurrent_step(state, torch.ones(1, 1, dtype=F64))
    yield "h_out", h_out, [[0.3, -0.4]]
    yield "h_new", h_new, [[[0.3, -0.4]]]


@check(
    "1.10",
    "what enters the GRU is ELU(fc_in([z, a])), z first",
    "fc_in copies, and the GRU puts out tanh of its input; z = -1, a = 2, ELU(-1) = 1/e - 1",
)
def elu_of_z_and_a(code):
    numbers = {
        "fc_in.weight": [[1.0, 0.0], [0.0, 1.0]],
        "rnn.weight_ih_l0": [[0.0, 0.0]] * 4 + [[1.0, 0.0], [0.0, 1.0]],
        "rnn.bias_ih_l0": [0.0, 0.0, -99.0, -99.0, 0.0, 0.0],  # u = 0: nothing is kept
    }
    state = {"h": torch.full((1, 1, 2), 0.5, dtype=F64), "z": torch.tensor([[-1.0]], dtype=F64)}
    h_out, _ = small_rssm(code, numbers).recurrent_step(state, torch.tensor([[2.0]], dtype=F64))
    yield "h_out", h_out, [[math.tanh(math.exp(-1) - 1), math.tanh(2)]]


@check("1.10", "h_out is (B, H), and h_new the same numbers as (1, B, H)", "B = 2 and 1, H = 5")
def shapes_of_a_step(code):
    model = rssm_of(code, torch.float32)
    for batch in (2, 1):
        action = irregular(batch, A, dtype=torch.float32)
        h_out, h_new = model.recurrent_step(start(batch, torch.float32), action)
        yield f"shape of h_out for B = {batch}", tuple(h_out.shape), (batch, H)
        yield f"shape of h_new for B = {batch}", tuple(h_new.shape), (1, batch, H)
        yield f"h_new - h_out for B = {batch}", h_new[0] - h_out, [[0.0] * H] * batch
    yield "dtype", str(h_out.dtype), "torch.float32"


@check(
    "1.10",
    "one step of a GRU, for every row of the batch by itself",
    "irregular parameters, B = 2, A = 2, Z = 3, H = 5; the loss is the sum of h_out[1]",
)
def step_of_irregular_numbers(code):
    model, state, action = rssm_of(code), start(), irregular(B, A)
    p, h, z = values(model), state["h"][0].tolist(), state["z"].tolist()
    inputs = [x.clone().requires_grad_() for x in (state["h"], state["z"], action)]
    h_out, _ = model.recurrent_step({"h": inputs[0], "z": inputs[1]}, inputs[2])
    for b in range(B):
        expected = oracle.gaussian_rssm_step(h[b], z[b], action[b].tolist(), p)
        yield f"h_out of row {b}", h_out[b], expected

    def loss(x: list) -> float:
        return sum(oracle.gaussian_rssm_step(x[:H], x[H : H + Z], x[H + Z :], p))

    expected = oracle.slopes(loss, [*h[1], *z[1], *action[1].tolist()])
    to_h, to_z, to_action = gradients(h_out[1].sum(), *inputs)
    yield "gradient to h of row 1", to_h[0, 1], expected[:H]
    yield "gradient to z of row 1", to_z[1], expected[H : H + Z]
    yield "gradient to the action of row 1", to_action[1], expected[H + Z :]
    yield "gradient to the action of row 0", to_action[0], [0.0] * A


# --- 1.11 prior, 1.12 posterior -------------------------------------------------------------------

EYE = [[1.0, 0.0], [0.0, 1.0]]
COPY = dict(state_dim=2, rnn_hidden_dim=2, hidden_dim=2)
STDS = [(0.0, math.log(2) + 0.25), (-99.0, 0.25), (2.0, math.log(1 + math.exp(2)) + 0.25)]


@check(
    "1.11",
    "the mean is linear in a hidden layer with ELU",
    "both layers copy their input; h = [-1 2], ELU(-1) = 1/e - 1",
)
def mean_of_the_prior(code):
    model = small_rssm(code, {"fc_prior.weight": EYE, "fc_prior_mean.weight": EYE}, **COPY)
    mean, _ = model.prior(torch.tensor([[-1.0, 2.0]], dtype=F64))
    yield "mean", mean, [[math.exp(-1) - 1, 2.0]]


@check(
    "1.11",
    "the std is softplus(raw) + min_std, so it never falls below min_std",
    "min_std = 0.25; raw = 0, -99 and 2; softplus(0) = ln 2",
)
def std_of_the_prior(code):
    for raw, expected in STDS:
        model = small_rssm(code, {"fc_prior_std.bias": [raw, raw]}, **COPY)
        _, std = model.prior(torch.tensor([[0.4, -0.7]], dtype=F64))
        yield f"std where raw is {raw:g}", std, [[expected] * 2]


@check(
    "1.11",
    "mean and std have a linear layer each, on the same hidden layer",
    "irregular parameters, B = 2, T = 3, H = 5, Z = 3, min_std = 0.2",
)
def prior_of_irregular_numbers(code):
    model, h = rssm_of(code), irregular(2, 3, H).requires_grad_()
    p = values(model)
    mean, std = model.prior(h)
    yield "shapes", (tuple(mean.shape), tuple(std.shape)), ((2, 3, Z), (2, 3, Z))
    expected_mean, expected_std = oracle.gaussian_head(h[1, 2].tolist(), p, "fc_prior", 0.2)
    yield "mean at h[1, 2]", mean[1, 2], expected_mean
    yield "std at h[1, 2]", std[1, 2], expected_std
    flat_mean, flat_std = model.prior(h[:, 2])
    yield "mean of one step, h (B, H)", flat_mean[1], expected_mean
    yield "std of one step, h (B, H)", flat_std[1], expected_std
    x = h[1, 2].tolist()
    for name, got, which in (("mean", mean, 0), ("std", std, 1)):
        slopes = oracle.slopes(
            lambda x, which=which: sum(oracle.gaussian_head(x, p, "fc_prior", 0.2)[which]), x
        )
        yield f"gradient of the {name} to h", gradients(got[1, 2].sum(), h)[0][1, 2], slopes


@check("1.11", "float32 in, float32 out", "h of float32")
def dtype_of_the_prior(code):
    mean, std = rssm_of(code, torch.float32).prior(irregular(2, H, dtype=torch.float32))
    yield "dtypes", (str(mean.dtype), str(std.dtype)), ("torch.float32", "torch.float32")


@check(
    "1.12",
    "the posterior sees h and the embedding, h first, through a layer with ELU",
    "fc_post adds 10 h₀ + h₁ + x₀/10 + x₁/100; h = [1 2], x = [3 4]; then h = [-.1 0], x = [0 0]",
)
def mean_of_the_posterior(code):
    numbers = {
        "fc_post.weight": [[10.0, 1.0, 0.1, 0.01]],
        "fc_post_mean.weight": [[1.0]],
    }
    model = small_rssm(code, numbers, hidden_dim=1)
    for h, x, expected in (
        ([1.0, 2.0], [3.0, 4.0], 12.34),
        ([-0.1, 0.0], [0.0, 0.0], math.exp(-1) - 1),
    ):
        h, x = torch.tensor([h], dtype=F64), torch.tensor([x], dtype=F64)
        yield f"mean where h₀ is {h[0, 0]:g}", model.posterior(h, x)[0], [[expected]]


@check(
    "1.12",
    "the std is softplus(raw) + min_std, so it never falls below min_std",
    "min_std = 0.25; raw = 0, -99 and 2; softplus(0) = ln 2",
)
def std_of_the_posterior(code):
    for raw, expected in STDS:
        model = small_rssm(code, {"fc_post_std.bias": [raw, raw]}, **COPY)
        h, x = torch.tensor([[[0.4, -0.7]], [[-0.3, 0.2]]], dtype=F64)
        yield f"std where raw is {raw:g}", model.posterior(h, x)[1], [[expected] * 2]


@check(
    "1.12",
    "mean and std have layers of their own, not the prior's",
    "irregular parameters, B = 2, T = 3, H = 5, E = 7, Z = 3, min_std = 0.2",
)
def posterior_of_irregular_numbers(code):
    model, p = rssm_of(code), values(rssm_of(code))
    h, embed = irregular(2, 3, H).requires_grad_(), irregular(2, 3, E, phase=1.0).requires_grad_()
    mean, std = model.posterior(h, embed)
    yield "shapes", (tuple(mean.shape), tuple(std.shape)), ((2, 3, Z), (2, 3, Z))
    x = [*h[1, 2].tolist(), *embed[1, 2].tolist()]
    expected_mean, expected_std = oracle.gaussian_head(x, p, "fc_post", 0.2)
    yield "mean at [1, 2]", mean[1, 2], expected_mean
    yield "std at [1, 2]", std[1, 2], expected_std
    flat_mean, flat_std = model.posterior(h[:, 2], embed[:, 2])
    yield "mean of one step, h (B, H)", flat_mean[1], expected_mean
    yield "std of one step, h (B, H)", flat_std[1], expected_std
    for name, got, which in (("mean", mean, 0), ("std", std, 1)):
        slopes = oracle.slopes(
            lambda x, which=which: sum(oracle.gaussian_head(x, p, "fc_post", 0.2)[which]), x
        )
        to_h, to_embed = gradients(got[1, 2].sum(), h, embed)
        yield f"gradient of the {name} to h", to_h[1, 2], slopes[:H]
        yield f"gradient of the {name} to the embedding", to_embed[1, 2], slopes[H:]


@check("1.12", "float32 in, float32 out", "h and embedding of float32")
def dtype_of_the_posterior(code):
    h, x = irregular(2, H, dtype=torch.float32), irregular(2, E, dtype=torch.float32)
    mean, std = rssm_of(code, torch.float32).posterior(h, x)
    yield "dtypes", (str(mean.dtype), str(std.dtype)), ("torch.float32", "torch.float32")


def silent(loss, module, prefixes) -> list[str]:
    """Names of the parameters, among those that begin so, in which a loss has no gradient."""
    named = [(n, p) for n, p in module.named_parameters() if n.startswith(prefixes)]
    found = gradients(loss, *(p for _, p in named))
    return [n for (n, _), g in zip(named, found, strict=True) if g is None or not g.any()]


@check("1.10", "every parameter of fc_in and of the GRU learns", "a filled RSSM, h and z not zero")
def the_step_learns(code):
    model = rssm_of(code)
    action = irregular(B, model.action_dim, phase=3.0)
    h_out, _ = model.recurrent_step(start(), action)
    yield "parameters without a gradient", silent(h_out.square().sum(), model, ("fc_in", "rnn")), []


@check("1.11", "every parameter of the prior learns, and nothing is drawn", "a filled RSSM")
def the_prior_learns(code):
    model = rssm_of(code)
    h = start()["h"][0]
    mean, std = model.prior(h)
    loss = mean.square().sum() + std.square().sum()
    yield "parameters without a gradient", silent(loss, model, ("fc_prior",)), []
    with draws(normal=1.5, uniform=0.9):
        again = model.prior(h)
    yield "mean and std with other random numbers", [again[0], again[1]], [mean, std]


@check("1.12", "every parameter of the posterior learns, and nothing is drawn", "a filled RSSM")
def the_posterior_learns(code):
    model = rssm_of(code)
    h = start()["h"][0]
    embed = irregular(B, model.fc_post.in_features - h.shape[-1], phase=4.0)
    mean, std = model.posterior(h, embed)
    loss = mean.square().sum() + std.square().sum()
    yield "parameters without a gradient", silent(loss, model, ("fc_post",)), []
    with draws(normal=1.5, uniform=0.9):
        again = model.posterior(h, embed)
    yield "mean and std with other random numbers", [again[0], again[1]], [mean, std]


# --- 1.13 rollout_observation ---------------------------------------------------------------------

HAND = "weights that make h = (h₋ + tanh(z₋ + a)) / 2"  # h₋, z₋: of the step before


def rssm_by_hand(code):
    """One unit each: prior mean h and std 0.5, posterior mean h + embedding and std 0.4."""
    numbers = {
        "fc_in.weight": [[1.0, 1.0]],
        "rnn.weight_ih_l0": [[0.0], [0.0], [1.0]],  # r = u = 1/2, n = tanh of the input
        "fc_prior.weight": [[1.0]],
        "fc_prior_mean.weight": [[1.0]],
        "fc_prior_std.bias": [softplus_inverse(0.4)],
        "fc_post.weight": [[1.0, 1.0]],
        "fc_post_mean.weight": [[1.0]],
        "fc_post_std.bias": [softplus_inverse(0.3)],
    }
    model = code.rssm.RSSM(1, 1, state_dim=1, rnn_hidden_dim=1, hidden_dim=1, min_std=0.1)
    return put(model.double(), numbers)


def column(*numbers):
    """A batch of sequences of one number each. Lists of T → (B, T, 1)"""
    return torch.tensor(numbers, dtype=F64)[..., None]


def one_start(*rows):
    """[(h, z), ...] → the state of a batch with one unit each."""
    h, z = zip(*rows, strict=True)
    return {"h": torch.tensor([h], dtype=F64)[..., None], "z": torch.tensor(z, dtype=F64)[:, None]}


def halfway(h: float, z: float, action: float) -> float:
    return (h + math.tanh(z + action)) / 2


@check(
    "1.13",
    "each step: h from the previous h, z and the action of its row; z from the posterior",
    f"{HAND}, z ~ Normal(h + x, 0.4), noise 1; first h₋ .6, z₋ .2; a = [.3 .1 .5], x = [.1 .4 .2]",
)
def filter_by_hand(code):
    with draws(normal=1.0):
        got = rssm_by_hand(code).rollout_observation(
            column([0.1, 0.4, 0.2]), column([0.3, 0.1, 0.5]), state=one_start((0.6, 0.2))
        )
    h0 = halfway(0.6, 0.2, 0.3)
    h1 = halfway(h0, h0 + 0.1 + 0.4, 0.1)
    h2 = halfway(h1, h1 + 0.4 + 0.4, 0.5)
    yield "h of steps 0 to 2", got["h"].flatten(), [h0, h1, h2]
    yield "post_mean of steps 0 to 2", got["post_mean"].flatten(), [h0 + 0.1, h1 + 0.4, h2 + 0.2]
    yield "post_std of steps 0 to 2", got["post_std"].flatten(), [0.4, 0.4, 0.4]
    yield "z of steps 0 to 2", got["z"].flatten(), [h0 + 0.5, h1 + 0.8, h2 + 0.6]


@check(
    "1.13",
    "where an episode begins, the previous h, z and action count as zero",
    f"{HAND}, z ~ Normal(h + x, 0.4), noise 1; first h₋ .6, z₋ .2; a = [.3 .1 .5], "
    "x = [.1 .4 .2], is_first[1] = 1",
)
def reset_by_hand(code):
    is_first = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], dtype=F64)
    with draws(normal=1.0):
        got = rssm_by_hand(code).rollout_observation(
            column([0.1, 0.4, 0.2], [0.1, 0.4, 0.2]),
            column([0.3, 0.1, 0.5], [0.3, 0.1, 0.5]),
            is_first,
            one_start((0.6, 0.2), (0.6, 0.2)),
        )
    h0 = halfway(0.6, 0.2, 0.3)
    h = got["h"][..., 0]
    yield "h of steps 0 to 2", h[0], [h0, 0.0, halfway(0.0, 0.8, 0.5)]
    yield "z of steps 0 to 2", got["z"][0, :, 0], [h0 + 0.5, 0.8, halfway(0.0, 0.8, 0.5) + 0.6]
    h1 = halfway(h0, h0 + 0.5, 0.1)
    other = [h0, h1, halfway(h1, h1 + 0.8, 0.5)]
    yield "h of a second sequence, which goes on", h[1], other


def sequences(dtype=F64):
    return irregular(B, T, E, phase=2.0, dtype=dtype), irregular(B, T, A, phase=3.0, dtype=dtype)


@check(
    "1.13",
    "every row of every sequence, with a new episode inside the second one",
    "irregular numbers, B = 2, T = 4, noise 0.75, is_first[1, 2] = 1; both sequences are shown",
)
def filter_of_irregular_numbers(code):
    model, state, (embeds, actions) = rssm_of(code), start(), sequences()
    is_first = torch.zeros(B, T, dtype=F64)
    is_first[1, 2] = 1
    before = [x.clone() for x in (embeds, actions, is_first, *state.values())]
    with draws(normal=0.75):
        got = model.rollout_observation(embeds, actions, is_first, state)
    expected = [
        oracle.gaussian_filter(
            embeds[b].tolist(), actions[b].tolist(), is_first[b].tolist(),
            before[3][0, b].tolist(), before[4][b].tolist(), values(model), 0.2, 0.75,
        )
        for b in range(B)
    ]  # fmt: skip
    for t in range(T):
        for key in ("h", "post_mean", "post_std", "z", "prior_mean"):
            yield f"{key} at step {t}", got[key][:, t], [rows[t][key] for rows in expected]
    changed = [
        name
        for name, old, new in zip(
            ("embeds", "actions", "is_first", "h", "z"),
            before, (embeds, actions, is_first, *state.values()), strict=True,
        )
        if not torch.equal(old, new)
    ]  # fmt: skip
    yield "inputs that were changed by the call", changed, []


@check(
    "1.13",
    "observation t is seen by the posterior of step t, by h and the prior only after it; "
    "action t by h of step t",
    "T = 4; at which steps is a number influenced by the input of step 1?",
)
def influence_of_one_row(code):
    model, (embeds, actions) = rssm_of(code), sequences()
    other_embeds, other_actions = embeds.clone(), actions.clone()
    other_embeds[:, 1] += 1
    other_actions[:, 1] += 1
    with draws(normal=0.25):
        got = model.rollout_observation(embeds, actions)
        seen = model.rollout_observation(other_embeds, actions)
        acted = model.rollout_observation(embeds, other_actions)

    def steps(key: str, other: dict) -> list:
        """The steps at which got[key] is another one."""
        return [t for t in range(T) if (got[key] - other[key])[:, t].abs().max() > 1e-6]

    yield "steps of post_mean that see observation 1", steps("post_mean", seen), [1, 2, 3]
    yield "steps of h that see observation 1", steps("h", seen), [2, 3]
    yield "steps of prior_mean that see observation 1", steps("prior_mean", seen), [2, 3]
    yield "steps of h that see action 1", steps("h", acted), [1, 2, 3]


@check(
    "1.13",
    "gradients flow back through time, through h and through the sampled z",
    "irregular numbers, T = 3, noise 0.75; the sum of h of the last step, then other sums",
)
def gradient_through_time(code):
    model = rssm_of(code)
    embeds, actions = (x[:1, :3].clone().requires_grad_() for x in sequences())
    state = {key: x.clone().requires_grad_() for key, x in start(1).items()}
    with draws(normal=0.75):
        got = model.rollout_observation(embeds, actions, state=state)
    p, rows, acts = values(model), embeds[0].tolist(), actions[0].tolist()
    h, z = state["h"][0, 0].tolist(), state["z"][0].tolist()

    def last(rows, h, z) -> float:
        return sum(oracle.gaussian_filter(rows, acts, [0, 0, 0], h, z, p, 0.2, 0.75)[-1]["h"])

    to_embeds, to_h, to_z = gradients(got["h"][0, -1].sum(), embeds, state["h"], state["z"])
    expected = oracle.slopes(lambda x: last([[*x, *rows[0][3:]], *rows[1:]], h, z), rows[0][:3])
    yield "gradient to the first three numbers of embeds[0, 0]", to_embeds[0, 0, :3], expected
    expected = oracle.slopes(lambda x: last(rows, [*x, *h[3:]], z), h[:3])
    yield "gradient to the first three numbers of h before", to_h[0, 0, :3], expected
    yield "gradient to z before", to_z[0], oracle.slopes(lambda x: last(rows, h, x), z)
    x = [*got["h"][0, -1].tolist(), *rows[-1]]
    for name, weights in (("post_mean", (1, 0)), ("post_std", (0, 1)), ("z", (1, 0.75))):

        def posterior(embed: list, weights=weights) -> float:
            mean, std = oracle.gaussian_head([*x[:H], *embed, *x[H + 2 :]], p, "fc_post", 0.2)
            return weights[0] * sum(mean) + weights[1] * sum(std)

        to_last = gradients(got[name][0, -1].sum(), embeds)[0][0, -1, :2]
        label = f"gradient of {name} to its own row of embeds, two numbers"
        yield label, to_last, oracle.slopes(posterior, rows[-1][:2])


@check(
    "1.13",
    "without a state every call begins from zeros, and nothing is left over from the last call",
    f"{HAND}; two calls of one sequence of one step: B = 1, T = 1, a = .3, x = .1, float64; "
    "then float32",
)
def calls_are_independent(code):
    model, inputs = rssm_by_hand(code), (column([0.1]), column([0.3]))
    for call in ("first", "second"):
        got = model.rollout_observation(*inputs)
        yield f"h of the {call} call", got["h"], [[[math.tanh(0.3) / 2]]]
    got = rssm_of(code, torch.float32).rollout_observation(*sequences(torch.float32))
    yield (
        "shapes of h and z",
        (tuple(got["h"].shape), tuple(got["z"].shape)),
        ((B, T, H), (B, T, Z)),
    )
    yield "dtypes", (str(got["h"].dtype), str(got["z"].dtype)), ("torch.float32", "torch.float32")


# --- 1.14 rollout_imagination ---------------------------------------------------------------------


@check(
    "1.14",
    "each step: the actor acts in the last state, then h, then z from the prior",
    f"{HAND}, z ~ Normal(h, 0.5), noise 1; the start is h .6, z .2; the actor doubles z, the "
    "first number of the feature",
)
def dream_by_hand(code):
    with draws(normal=1.0):
        got = rssm_by_hand(code).rollout_imagination(
            one_start((0.6, 0.2)), lambda feature: 2 * feature[:, :1], 3
        )
    h1 = halfway(0.6, 0.2, 0.4)
    h2 = halfway(h1, h1 + 0.5, 2 * h1 + 1)
    h3 = halfway(h2, h2 + 0.5, 2 * h2 + 1)
    yield "action that led to states 1 to 3", got["action"].flatten(), [0.4, 2 * h1 + 1, 2 * h2 + 1]
    yield "h of states 1 to 3", got["h"].flatten(), [h1, h2, h3]
    yield "z of states 1 to 3", got["z"].flatten(), [h1 + 0.5, h2 + 0.5, h3 + 0.5]


@check(
    "1.14",
    "a dream of `horizon` steps has the states after the start, without the start itself",
    "horizon 3 with N = 2, and horizon 1 with N = 1; A = 2, Z = 3, H = 5; float32",
)
def length_of_a_dream(code):
    model = rssm_of(code, torch.float32)
    for count, horizon in ((2, 3), (1, 1)):
        got = model.rollout_imagination(
            start(count, torch.float32), lambda feature: feature[:, 1 : 1 + A], horizon
        )
        for key, size in (("h", H), ("z", Z), ("action", A)):
            name = f"shape of {key} for N = {count}, horizon {horizon}"
            yield name, tuple(got[key].shape), (count, horizon, size)
    yield "dtype", str(got["z"].dtype), "torch.float32"


@check(
    "1.14",
    "gradients flow from later states into earlier actions, but not through what the actor saw",
    "irregular numbers, N = 2, horizon 3, noise -0.375, action = tanh(W·feature); "
    "the loss is the sum of z and h of the last state",
)
def dream_of_irregular_numbers(code):
    model, state, w = rssm_of(code), start(), irregular(A, Z + H, phase=9.0)
    p, weight = values(model), w.clone().requires_grad_()
    h, z = state["h"][0].tolist(), state["z"].tolist()
    seen = []

    def actor(feature):
        seen.append(bool(feature.requires_grad))
        return torch.tanh(feature @ weight.T)

    start_state = {key: x.clone().requires_grad_() for key, x in state.items()}
    with draws(normal=-0.375):
        got = model.rollout_imagination(start_state, actor, 3)
    features, w = [], w.tolist()

    def policy(_, feature):
        features.append(feature)
        return [math.tanh(v) for v in oracle.linear(feature, w, None)]

    expected = [oracle.gaussian_dream(h[n], z[n], policy, 3, p, 0.2, -0.375) for n in range(2)]
    for t in range(3):
        for key in ("action", "h", "z"):
            found = got[key][:, t]
            yield f"{key} of state {t + 1}", found, [rows[t][key] for rows in expected]
    yield "does the actor's input carry a gradient?", any(seen), False

    def last(row: list) -> float:
        """Sum of the last z of both dreams, if the actor's first row of W is another one."""
        total = 0.0
        for n in range(2):
            rows = oracle.gaussian_dream(
                h[n],
                z[n],
                lambda t, _, n=n: [
                    math.tanh(v) for v in oracle.linear(features[3 * n + t], [row, w[1]], None)
                ],
                3, p, 0.2, -0.375,
            )  # fmt: skip
            total += sum(rows[-1]["z"] + rows[-1]["h"])
        return total

    loss = got["z"][:, -1].sum() + got["h"][:, -1].sum()
    to_w, to_h = gradients(loss, weight, start_state["h"])
    slopes = oracle.slopes(lambda x: last([*x, *w[0][4:]]), w[0][:4])
    yield "gradient to the first four weights of the actor", to_w[0, :4], slopes

    def from_start(x: list) -> float:
        rows = oracle.gaussian_dream(
            [*x, *h[1][3:]], z[1],
            lambda t, _: [math.tanh(v) for v in oracle.linear(features[3 + t], w, None)],
            3, p, 0.2, -0.375,
        )  # fmt: skip
        return sum(rows[-1]["z"] + rows[-1]["h"])

    slopes = oracle.slopes(from_start, h[1][:3])
    yield "gradient to the first three numbers of h before", to_h[0, 1, :3], slopes
    same = all(torch.equal(start_state[key], state[key]) for key in state)
    yield "is the start as it was?", same, True


# --- 1.15 kl_divergence ---------------------------------------------------------------------------


def normals(mean_p, std_p, mean_q, std_q, dtype=F64) -> list:
    return [torch.tensor(x, dtype=dtype) for x in (mean_p, std_p, mean_q, std_q)]


@check("1.15", "the divergence of one unit, in nats", "p and q as (mean, std), one unit")
def divergence_by_hand(code):
    for p, q, expected in (
        ((1.0, 1.0), (0.0, 1.0), 0.5),
        ((0.0, 2.0), (0.0, 1.0), 1.5 - math.log(2)),
        ((0.0, 1.0), (0.0, 2.0), math.log(2) - 3 / 8),
        ((1.3, 0.7), (1.3, 0.7), 0.0),
    ):
        numbers = normals([p[0]], [p[1]], [q[0]], [q[1]])
        name = "KL({:g}, {:g} ‖ {:g}, {:g})".format(*p, *q)
        yield name, code.rssm.kl_divergence(*numbers), expected


@check(
    "1.15",
    "the divergence is the integral of p log(p/q), summed over the units of each row",
    "B = 2, T = 3, Z = 2; row [1, 2]: p = (.3, .5) (-1, 2), q = (1, 1.5) (.4, .9)",
)
def divergence_by_integration(code):
    numbers = [1.0 + irregular(2, 3, 2, phase=x) / 2 for x in (1.0, 2.0, 3.0, 4.0)]
    rows = ([0.3, -1.0], [0.5, 2.0], [1.0, 0.4], [1.5, 0.9])
    for x, row in zip(numbers, rows, strict=True):
        x[1, 2] = torch.tensor(row)
    found = code.rssm.kl_divergence(*numbers)
    yield "shape", tuple(found.shape), (2, 3)
    expected = sum(oracle.normal_kl(*unit, steps=600) for unit in zip(*rows, strict=True))
    yield "KL of row [1, 2]", found[1, 2], expected
    first = [x[0, 0].tolist() for x in numbers]
    yield "KL of row [0, 0]", found[0, 0], oracle.normal_kl_closed(*first)
    yield "shape for a single row (Z,)", tuple(code.rssm.kl_divergence(*normals(*rows)).shape), ()


@check(
    "1.15",
    "both sides get a gradient, to their means and to their stds",
    "one unit, p = (.3, .5), q = (1, 1.5)",
)
def gradient_of_the_divergence(code):
    numbers = leaves([0.3], [0.5], [1.0], [1.5])
    found = gradients(code.rssm.kl_divergence(*numbers).sum(), *numbers)
    yield "gradient to the mean of p", found[0], [-0.7 / 1.5**2]
    yield "gradient to the std of p", found[1], [-1 / 0.5 + 0.5 / 1.5**2]
    yield "gradient to the mean of q", found[2], [0.7 / 1.5**2]
    yield "gradient to the std of q", found[3], [1 / 1.5 - (0.5**2 + 0.7**2) / 1.5**3]


@check("1.15", "float32 in, float32 out", "p = (.3, .5), q = (1, 1.5) of float32")
def dtype_of_the_divergence(code):
    numbers = normals([0.3], [0.5], [1.0], [1.5], dtype=torch.float32)
    yield "dtype", str(code.rssm.kl_divergence(*numbers).dtype), "torch.float32"


# --- 1.16 kl_loss ---------------------------------------------------------------------------------


def shifted(kls: list) -> list:
    """Arguments of kl_loss with these divergences: std 1 everywhere, the prior's means 0."""
    kl = torch.tensor(kls, dtype=F64)[..., None]
    post = (2 * kl).sqrt().requires_grad_()
    prior = torch.zeros_like(kl).requires_grad_()
    return [post, torch.ones_like(kl), prior, torch.ones_like(kl)]


@check(
    "1.16",
    "first the mean over batch and time, then not below the free nats",
    "KLs of one or two sequences; clipping each step of [.2 .2 5] at 1 would give 2.3333",
)
def free_nats_of_the_mean(code):
    for kls, free, expected in (
        ([[0.2, 0.2, 5.0]], 1.0, 1.8),
        ([[0.3, 0.4]], 1.0, 1.0),
        ([[5.0, 4.0]], 1.0, 4.5),
        ([[0.5, 4.5], [2.0, 1.4]], 3.0, 3.0),
        ([[0.5, 4.5], [2.0, 1.4]], 2.0, 2.1),
    ):
        loss, mean = code.rssm.kl_loss(*shifted(kls), free)
        rows = " | ".join(" ".join(f"{x:g}" for x in row) for row in kls)
        yield f"loss of KLs [{rows}], {free:g} free", loss, expected
        yield "is the loss a tensor?", isinstance(loss, torch.Tensor), True
        flat = [x for row in kls for x in row]
        yield f"mean of KLs [{rows}], for the log", mean, sum(flat) / len(flat)


@check(
    "1.16",
    "above the free nats both sides are trained, below them neither",
    "std 1, KL of two steps 4.5 and 2: posterior means [3 2], prior means [0 0]",
)
def gradient_of_the_kl_loss(code):
    high = shifted([[4.5, 2.0]])
    loss, mean = code.rssm.kl_loss(*high, 1.0)
    to_post, to_prior = gradients(loss, high[0], high[2])
    yield "gradient to the posterior's means, 1 free", to_post.flatten(), [1.5, 1.0]
    yield "gradient to the prior's means, 1 free", to_prior.flatten(), [-1.5, -1.0]
    yield (
        "does the mean for the log carry a gradient?",
        bool(getattr(mean, "requires_grad", False)),
        False,
    )
    low = shifted([[4.5, 2.0]])
    loss, mean = code.rssm.kl_loss(*low, 4.0)
    to_post, to_prior = gradients(loss, low[0], low[2])
    yield "gradient to the posterior's means, 4 free", to_post.flatten(), [0.0, 0.0]
    yield "gradient to the prior's means, 4 free", to_prior.flatten(), [0.0, 0.0]


@check(
    "1.16",
    "the divergence is KL(posterior ‖ prior), in this order",
    "posterior (0, 2), prior (0, 1): 1.5 - ln 2 = 0.8069; the other way 0.3181",
)
def direction_of_the_kl_loss(code):
    numbers = normals([[[0.0]]], [[[2.0]]], [[[0.0]]], [[[1.0]]])
    loss, mean = code.rssm.kl_loss(*numbers, 0.1)
    yield "loss", loss, 1.5 - math.log(2)
    yield "mean for the log", mean, 1.5 - math.log(2)


@check(
    "1.16",
    "the units of a latent are summed, the rows averaged; three nats are free by default",
    "std 1, prior means 0, B = 2, T = 3, Z = 2; posterior means 1 and 3 in each row: KL 5",
)
def units_and_rows(code):
    post = torch.tensor([1.0, 3.0]).expand(2, 3, 2)
    numbers = [post, torch.ones(2, 3, 2), torch.zeros(2, 3, 2), torch.ones(2, 3, 2)]
    loss, mean = code.rssm.kl_loss(*numbers)
    yield "loss", loss, 5.0
    yield (
        "shapes of loss and mean",
        [tuple(torch.as_tensor(x).shape) for x in (loss, mean)],
        [(), ()],
    )
    yield "dtype", str(loss.dtype), "torch.float32"
    yield "loss where the KL is 1.25", code.rssm.kl_loss(post / 2, *numbers[1:])[0], 3.0


# --- 1.27 WorldModel.loss -------------------------------------------------------------------------

D = 4  # numbers of an observation


def options(**others) -> SimpleNamespace:
    c = dict(
        state_dim=2, rnn_hidden_dim=3, hidden_dim=5, min_std=0.2, depth=2, units=6, arch="official",
        vector_layers=1, reward_layers=1, continue_layers=1, use_continue=True, gamma=0.9,
        free_nats=0.05, kl_scale=0.7, reconstruction_scale=3.0, reward_scale=0.1,
        continue_scale=5.0,
    )  # fmt: skip
    return SimpleNamespace(**c | others)


def world_of(code, **others):
    """A world model for observations {"position": D numbers} and two actions."""
    space = {"position": SimpleNamespace(shape=(D,))}
    return strong(code.rssm.WorldModel(space, 2, options(**others)))


def batch_of(count=2, length=3) -> dict:
    """Rows without a pattern; sequence 0 is cut at its end, 1 has a death, then a new episode."""
    f32 = torch.float32
    rows = {
        "position": irregular(count, length, D, phase=6.0, dtype=f32),
        "action": irregular(count, length, 2, phase=7.0, dtype=f32),
        "reward": 10 * irregular(count, length, phase=8.0, dtype=f32),
    }
    flags = {name: torch.zeros(count, length) for name in ("is_first", "is_last", "is_terminal")}
    if count > 1:
        flags["is_last"][0, -1] = 1
        flags["is_last"][1, 1] = flags["is_terminal"][1, 1] = flags["is_first"][1, 2] = 1
    return rows | flags


def slow_parts(model, batch, noise, **changed) -> dict:
    """The parts of the loss, row by row; `changed` parameters take the place of the model's."""
    lists = {name: x.tolist() for name, x in batch.items()}
    rows = [{name: x[b] for name, x in lists.items()} for b in range(len(batch["reward"]))]
    parameters = values(model) | changed
    return oracle.gaussian_world_model(rows, parameters, model.config, noise)


PARTS = ("kl", "reconstruction", "reward", "continue")


@check(
    "1.27",
    "the loss has four parts, each with its own scale; the reward's scale is on its target",
    "predictions: position .2, reward .5, logit 1.5; targets: position .7 (4 numbers), rewards "
    "[2 0 15 | 0 5 5], one death in six rows, γ .9; the KL is 1; scales: kl .7, "
    "reconstruction 3, reward .1, continue 5",
)
def parts_by_hand(code):
    model = put(
        world_of(code, min_std=0.4),
        {
            "rssm.fc_post_mean.bias": [1.0, 1.0],
            "rssm.fc_post_std.bias": [softplus_inverse(0.6)] * 2,
            "rssm.fc_prior_std.bias": [softplus_inverse(0.6)] * 2,
            "decoder.mlp.output.bias": [0.2] * D,
            "reward.output.bias": [0.5],
            "continues.output.bias": [1.5],
        },
    )
    batch = batch_of() | {
        "position": torch.full((2, 3, D), 0.7),
        "reward": torch.tensor([[2.0, 0.0, 15.0], [0.0, 5.0, 5.0]]),
    }
    loss, _, metrics = model.loss(batch)
    expected = {
        "kl": 0.7 * (2 * 0.5),
        "reconstruction": 3 * (D * 0.5**2 / 2),
        "reward": (0.3**2 + 0.5**2 + 1.0**2 + 0.5**2) / 2 / 6,
        "continue": 5 * (
            5 * oracle.bernoulli_cross_entropy(1.5, 0.9)
            + oracle.bernoulli_cross_entropy(1.5, 0.0)  # one death among the six rows
        ) / 6,
    }  # fmt: skip
    for name in PARTS:
        yield f"part {name}", metrics.get(f"loss/{name}"), expected[name]
    yield "kl for the log", metrics.get("kl"), 1.0
    yield "loss", loss, sum(expected.values())


@check(
    "1.27",
    "all predictions of a row are made from the state of this row",
    "irregular numbers, B = 2, T = 3, noise 0.25; the second sequence has a death at step 1 and "
    "a new episode at step 2, the first is cut off at step 2",
)
def parts_of_irregular_numbers(code):
    model, batch = world_of(code), batch_of()
    with draws(normal=0.25):
        loss, states, metrics = model.loss(batch)
    expected = slow_parts(model, batch, 0.25)
    for name in PARTS:
        yield f"part {name}", metrics.get(f"loss/{name}"), expected[name]
    yield "kl for the log", metrics.get("kl"), expected["kl_mean"]
    yield "loss", loss, sum(expected[name] for name in PARTS)
    yield "dtype", str(loss.dtype), "torch.float32"
    keys = ["h", "post_mean", "post_std", "prior_mean", "prior_std", "z"]
    yield "what the states hold", sorted(states), keys
    yield "do the returned states carry a gradient?", states["z"].requires_grad, True
    one = batch_of(1, 1)
    expected = slow_parts(model, one, 0.0)
    yield "loss for B = T = 1", model.loss(one)[0], sum(expected[name] for name in PARTS)


@check(
    "1.27",
    "free nats and continue predictor are options",
    "free nats 50, more than the KL, kl_scale .7; and a model without `self.continues`",
)
def optional_parts(code):
    model, batch = world_of(code, free_nats=50.0), batch_of()
    _, _, metrics = model.loss(batch)
    yield "part kl", metrics.get("loss/kl"), 35.0
    yield "kl for the log", metrics.get("kl"), slow_parts(model, batch, 0.0)["kl_mean"]
    _, _, metrics = world_of(code, use_continue=False).loss(batch)
    names = ["kl", "loss/kl", "loss/reconstruction", "loss/reward"]
    yield "metrics without a continue predictor", sorted(metrics), names


def group(name: str) -> str:
    """Part of the world model to which a parameter belongs."""
    if "rssm" not in name:
        return name.split(".")[0]
    return "prior" if "prior" in name else "posterior" if "post" in name else "recurrent"


@check(
    "1.27",
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
    "encoder.mlp.output.bias", "rssm.fc_in.bias", "rssm.fc_prior_mean.bias",
    "rssm.fc_post_std.bias", "decoder.mlp.output.bias", "reward.output.bias",
    "continues.output.bias",
)  # fmt: skip


@check(
    "1.27",
    "nothing is detached: every part of the world model learns from all that depends on it",
    "irregular numbers, B = 1, T = 2, noise 0.25; gradients of the whole loss",
)
def gradient_of_the_loss(code):
    model, batch = world_of(code), batch_of(1, 2)
    with draws(normal=0.25):
        loss = model.loss(batch)[0]
    for name in BIASES:
        bias = model.get_parameter(name)
        first, *rest = bias.tolist()

        def total(x: list, name=name, rest=rest) -> float:
            parts = slow_parts(model, batch, 0.25, **{name: [*x, *rest]})
            return sum(parts[part] for part in PARTS)

        yield (
            f"gradient to {name}[0]",
            gradients(loss, bias)[0][0],
            oracle.slopes(total, [first])[0],
            1e-4,
        )
