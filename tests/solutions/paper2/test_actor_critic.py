"""DreamerV2's policies, returns, weights and losses: which index meets which.

Sources: arXiv:2010.02193, Equations 4 to 6; danijar/dreamerv2, agent.py, `ActorCritic`.
"""

import copy
import itertools
import math

import pytest
import torch

from solutions.paper2_dreamerv2.actor_critic import (
    Actor,
    Critic,
    OneHot,
    TruncatedNormal,
    compute_actor_loss,
    compute_critic_loss,
    compute_discount_weights,
    compute_lambda_returns,
    update_slow_critic,
)
from tests import oracle


def double(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


# --- discrete policy ------------------------------------------------------------------------------


def test_the_discrete_policy_is_a_categorical():
    logits = [2.0, -1.0, 0.5]
    policy, p = OneHot(double([logits])), oracle.softmax(logits)
    for index in range(3):
        action = torch.eye(3).double()[index][None]
        assert policy.log_prob(action).item() == pytest.approx(math.log(p[index]))
    assert policy.entropy().item() == pytest.approx(-sum(x * math.log(x) for x in p))
    assert policy.mode().tolist() == [[1, 0, 0]]
    assert policy.rsample().shape == (1, 3)


# --- continuous policy: the truncated normal ------------------------------------------------------

POLICIES = [(0.0, 1.1), (0.9, 0.1), (-0.99, 2.1), (0.3, 0.4), (-0.6, 0.15)]


def density(x: float, mean: float, std: float, steps: int = 4000) -> float:
    """Of the Normal between -1 and 1, divided by its mass there, by summation."""
    width = 2 / steps
    inside = (-1 + (i + 0.5) * width for i in range(steps))
    mass = sum(math.exp(oracle.normal_log_density(y, mean, std)) for y in inside) * width
    return math.exp(oracle.normal_log_density(x, mean, std)) / mass


@pytest.mark.parametrize("mean, std", POLICIES)
def test_log_prob_is_that_of_the_cut_normal(mean, std):
    policy = TruncatedNormal(double([[mean]]), double([[std]]))
    for x in (-0.97, -0.2, 0.4, 0.999):
        expected = math.log(density(x, mean, std))
        assert policy.log_prob(double([[x]])).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("mean, std", POLICIES)
def test_entropy_is_minus_the_integral_of_p_log_p(mean, std):
    x = torch.linspace(-1, 1, 20_001).double()[:, None]
    log_p = TruncatedNormal(double([[mean]]), double([[std]])).log_prob(x)
    expected = -torch.trapezoid(log_p.exp() * log_p, x[:, 0]).item()
    assert torch.trapezoid(log_p.exp(), x[:, 0]).item() == pytest.approx(1, abs=1e-5)
    got = TruncatedNormal(double([[mean]]), double([[std]])).entropy().item()
    assert got == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("mean, std", POLICIES)
def test_samples_follow_the_density(mean, std):
    policy = TruncatedNormal(torch.full((40_000, 1), mean), torch.full((40_000, 1), std))
    sample = policy.rsample()[:, 0]
    assert sample.abs().max() < 1
    x = torch.linspace(-1, 1, 20_001).double()
    p = TruncatedNormal(double([[mean]]), double([[std]])).log_prob(x[:, None]).exp()
    for power in (1, 2, 3):
        expected = torch.trapezoid(p * x**power, x).item()
        assert sample.double().pow(power).mean().item() == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("mean, std", POLICIES)
@pytest.mark.parametrize("u", [0.02, 0.5, 0.97])
def test_a_sample_has_the_gradient_of_the_inverse_cumulative_distribution(draws, mean, std, u):
    draws(uniform=u)
    inputs = double([mean, std])

    def sample(parameters):
        return TruncatedNormal(*(parameters[i].reshape(1, 1) for i in (0, 1))).rsample().squeeze()

    x = inputs.clone().requires_grad_()
    (got,) = torch.autograd.grad(sample(x), x)
    for i, step in itertools.product((0, 1), (1e-6,)):
        shift = torch.zeros(2).double()
        shift[i] = step
        slope = (sample(inputs + shift) - sample(inputs - shift)) / (2 * step)
        assert got[i].item() == pytest.approx(slope.item(), abs=1e-5)


def test_samples_gradients_and_log_probs_are_finite_in_float32():
    mean = torch.tanh(torch.tensor([-50.0, -3, 0, 3, 50])).repeat(20_000).requires_grad_()
    std = torch.tensor([0.1, 0.1, 2.1, 0.1, 0.1]).repeat(20_000).requires_grad_()
    policy = TruncatedNormal(mean, std)
    sample = policy.rsample()
    (policy.entropy() + policy.log_prob(sample.detach())).backward(retain_graph=True)
    assert mean.grad.isfinite().all() and std.grad.isfinite().all()
    for grad in torch.autograd.grad(sample.sum(), (mean, std)):
        assert grad.isfinite().all() and grad.abs().max() < 100
    assert sample.abs().max() < 1


def test_the_policy_covers_several_units_as_a_product():
    mean, std, x = double([[0.1, -0.5]]), double([[0.3, 0.9]]), double([[0.2, 0.4]])
    both = TruncatedNormal(mean, std)
    parts = [TruncatedNormal(mean[:, i : i + 1], std[:, i : i + 1]) for i in (0, 1)]
    assert both.log_prob(x).shape == (1,)
    torch.testing.assert_close(
        both.log_prob(x), sum(p.log_prob(x[:, i : i + 1]) for i, p in enumerate(parts))
    )
    torch.testing.assert_close(both.entropy(), sum(p.entropy() for p in parts))


# --- actor and critic -----------------------------------------------------------------------------


def test_actor_and_critic_have_the_layers_of_the_official_code():
    actor, discrete, critic = Actor(1224, 6), Actor(1624, 6, discrete=True), Critic()
    assert len(actor.mlp.hidden) == len(critic.mlp.hidden) == 4
    assert actor.mlp.output.weight.shape == (12, 400)
    assert discrete.mlp.output.weight.shape == (6, 400)
    assert critic(torch.zeros(2, 7, 1224)).shape == (2, 7)
    assert isinstance(discrete(torch.zeros(2, 1624)), OneHot)


@pytest.mark.parametrize("raw, mean, std", [(0.0, 0.0, 1.1), (100, 1, 2.1), (-100, -1, 0.1)])
def test_mean_and_std_of_the_continuous_policy_are_bounded(raw, mean, std):
    actor = Actor(3, 2)
    with torch.no_grad():
        actor.mlp.output.weight.zero_()
        actor.mlp.output.bias.fill_(raw)
    policy = actor(torch.ones(1, 3))
    assert policy.mean[0].tolist() == pytest.approx([mean] * 2)
    assert policy.std[0].tolist() == pytest.approx([std] * 2)
    assert torch.equal(policy.mode(), policy.mean)


# --- returns and weights --------------------------------------------------------------------------


def test_returns_of_the_example():
    got = compute_lambda_returns(
        double([[1, 2, 3]]), double([[10, 20, 30, 40]]), double([[1, 1, 1]]), 0.5, 0.5
    )
    assert got.tolist() == [[9.8125, 15.25, 23.0]]


@pytest.mark.parametrize("lambda_", [0.0, 0.3, 0.95, 1.0])
@pytest.mark.parametrize("steps", [1, 5])
def test_returns_are_the_mixture_of_all_n_step_returns(steps, lambda_):
    rewards, continues = torch.randn(2, steps).double(), torch.rand(2, steps).double()
    values = torch.randn(2, steps + 1).double()
    got = compute_lambda_returns(rewards, values, continues, 0.9, lambda_)
    for n in range(2):
        expected = oracle.lambda_returns_own_reward(
            rewards[n].tolist(), values[n].tolist(), continues[n].tolist(), 0.9, lambda_
        )
        assert got[n].tolist() == pytest.approx(expected)


def test_gradient_flows_through_returns():
    inputs = [torch.rand(1, n).double().requires_grad_() for n in (3, 4, 3)]
    returns = compute_lambda_returns(*inputs)
    rewards, values, continues = torch.autograd.grad(returns[0, 0], inputs)
    assert rewards[0, 0] == 1 and (rewards > 0).all() and (continues > 0).all()
    assert values[0, 0] == 0 and (values[0, 1:] > 0).all()


def test_weights_are_products_of_all_continues_before():
    weights = compute_discount_weights(double([[0.5, 0.25, 0.5, 1, 1]]).requires_grad_())
    assert weights.tolist() == [[1, 0.5, 0.125, 0.0625, 0.0625]] and not weights.requires_grad


def test_after_a_start_that_is_an_end_nothing_counts():
    assert compute_discount_weights(double([[0, 0.9, 0.9]])).tolist() == [[1, 0, 0]]


# --- losses ---------------------------------------------------------------------------------------

N, L, F, A = 2, 4, 3, 3


class Spy(torch.nn.Module):
    """A policy that remembers what it saw; log-probability of an action: p · action."""

    def __init__(self, slope: float = 1.0):
        super().__init__()
        self.p = torch.nn.Parameter(double([slope]))

    def forward(self, feature):
        self.feature = feature
        return self

    def log_prob(self, action):
        self.action = action
        return (self.p * action).sum(-1)

    def entropy(self):
        return self.p * self.feature.sum(-1)


def random_dream():
    torch.manual_seed(7)
    return (
        torch.randn(N, L + 1, F).double(), torch.randn(N, L + 1, 1).double(),
        torch.randn(N, L).double(), torch.randn(N, L + 1).double(), torch.rand(N, L + 1).double(),
    )  # fmt: skip


def test_reinforce_pairs_action_return_value_and_weight_of_the_right_states():
    """By hand: action i + 1 at state i, return i + 1, value i, weight i, for i = 0 ... L - 2."""
    feature, action, returns, values, weights = random_dream()
    actor = Spy(0.7)
    loss, entropy = compute_actor_loss(actor, feature, action, returns, values, weights, 1.0, 0.1)
    total = 0.0
    for n, i in itertools.product(range(N), range(L - 1)):
        log_prob = 0.7 * action[n, i + 1, 0].item()
        bonus = 0.7 * sum(feature[n, i].tolist())
        assert entropy[n, i].item() == pytest.approx(bonus)
        advantage = (returns[n, i + 1] - values[n, i]).item()
        total += weights[n, i].item() * (log_prob * advantage + 0.1 * bonus)
    assert loss.item() == pytest.approx(-total / (N * (L - 1)))
    assert torch.equal(actor.feature, feature[:, :-2])
    assert torch.equal(actor.action, action[:, 1:-1])


@pytest.mark.parametrize("rho", [0.0, 0.4, 1.0])
def test_rho_mixes_the_two_gradients(rho):
    parts = []
    for share in (0.0, 1.0, rho):
        feature, action, returns, values, weights = random_dream()
        actor, returns = Spy(0.7), returns.requires_grad_()
        loss, _ = compute_actor_loss(actor, feature, action, returns, values, weights, share, 0.0)
        through_policy = torch.autograd.grad(
            loss, (actor.p, returns), allow_unused=True, materialize_grads=True
        )
        parts.append((loss.detach(), *through_policy))
    for dynamics, reinforce, mixed in zip(*parts, strict=True):
        torch.testing.assert_close(mixed, (1 - rho) * dynamics + rho * reinforce)
    assert parts[0][1].abs().max() == 0 < parts[0][2].abs().max()
    assert parts[1][2].abs().max() == 0 < parts[1][1].abs().max()


def test_dynamics_backpropagation_weighs_return_one_with_weight_zero():
    feature, action, returns, values, weights = random_dream()
    returns.requires_grad_()
    loss, _ = compute_actor_loss(Spy(), feature, action, returns, values, weights, 0.0, 0.0)
    (grad,) = torch.autograd.grad(loss, returns)
    assert not grad[:, 0].any()
    torch.testing.assert_close(grad[:, 1:], -weights[:, :-2] / (N * (L - 1)))


def test_nothing_but_the_policy_gets_gradient_from_reinforce():
    """A reparameterised action is stopped: d log π / d mean is (a - mean) / σ² without the cut."""
    feature, _, returns, values, weights = (x.requires_grad_() for x in random_dream())
    actor = Actor(F, 1, layers=1, units=4).double()
    action = actor(feature).rsample()
    loss, _ = compute_actor_loss(actor, feature, action, returns, values, weights, 1.0, 0.1)
    grads = torch.autograd.grad(
        loss, (feature, action, values, weights, returns), retain_graph=True,
        allow_unused=True, materialize_grads=True,
    )  # fmt: skip
    assert not any(grad.any() for grad in grads)
    got = torch.autograd.grad(loss, list(actor.parameters()))
    stopped, _ = compute_actor_loss(
        actor, feature, action.detach(), returns, values, weights, 1.0, 0.1
    )
    expected = torch.autograd.grad(stopped, list(actor.parameters()))
    assert all(torch.equal(a, b) and a.any() for a, b in zip(got, expected, strict=True))


def test_an_action_that_went_well_becomes_more_likely():
    logits = torch.zeros(1, 3, 2).double().requires_grad_()
    action = torch.eye(2).double()[[0, 1, 0]][None]  # action 1 of the dream leads to state 1
    returns, values = double([[0, 5]]), double([[2, 0, 0]])
    actor = lambda feature: OneHot(logits[:, :1])  # noqa: E731
    loss, _ = compute_actor_loss(
        actor, torch.zeros(1, 3, F), action, returns, values, torch.ones(1, 3), 1.0, 0.0
    )
    (grad,) = torch.autograd.grad(loss, logits)
    assert grad[0, 0].tolist() == pytest.approx([1.5, -1.5])  # (π - a) · advantage 3


def test_the_critic_learns_all_states_but_the_last():
    feature, _, returns, _, weights = random_dream()
    critic = Critic(F, 1, 4).double()
    feature.requires_grad_(), returns.requires_grad_(), weights.requires_grad_()
    loss = compute_critic_loss(critic, feature, returns, weights)
    values = critic(feature)
    total = sum(
        weights[n, i].item() * 0.5 * (values[n, i] - returns[n, i]).item() ** 2
        for n, i in itertools.product(range(N), range(L))
    )
    assert loss.item() == pytest.approx(total / (N * L))
    loss.backward()
    assert feature.grad is returns.grad is weights.grad is None
    assert all(p.grad.any() for p in critic.parameters())


def test_what_follows_a_death_counts_for_the_dead_alone():
    """Weight i lacks the continuation of state i itself: a policy in a dead state still learns."""
    losses, slopes = [], []
    for late in (0.0, 100.0):
        feature, _, _, values, _ = random_dream()
        continues = double([[0.9, 0.0, 0.9, 0.9, 0.9]] * N)  # every dream dies in state 1
        rewards = double([[1.0, 2.0, 3.0, late]] * N)
        returns = compute_lambda_returns(rewards, values, continues[:, :-1], 1)
        weights = compute_discount_weights(continues)
        torch.manual_seed(0)
        losses.append(compute_critic_loss(Critic(F, 1, 4).double(), feature, returns, weights))
        logits = torch.zeros(N, L - 1, A).double().requires_grad_()
        action = torch.eye(A).double()[torch.ones(N, L + 1, dtype=torch.long)]
        policy = lambda _, logits=logits: OneHot(logits)  # noqa: E731
        loss, _ = compute_actor_loss(policy, feature, action, returns, values, weights)
        slopes.append(torch.autograd.grad(loss, logits)[0])
    assert torch.equal(*losses)
    changed = (slopes[0] != slopes[1]).any(-1)
    assert changed.tolist() == [[False, True, False]] * N


def test_the_slow_critic_is_copied_after_update_0_and_every_100():
    fast = Critic(F, 1, 4)
    slow = copy.deepcopy(fast)
    copied = []
    for update in range(301):
        with torch.no_grad():
            for p in fast.parameters():
                p.add_(1)
        before = copy.deepcopy(slow.state_dict())
        update_slow_critic(slow, fast, update)
        same = [
            torch.equal(x, y) for x, y in zip(slow.parameters(), fast.parameters(), strict=True)
        ]
        assert all(same) or all(
            torch.equal(x, y) for x, y in zip(slow.parameters(), before.values(), strict=True)
        )
        copied += [update] if all(same) else []
    assert copied == [0, 100, 200, 300]
