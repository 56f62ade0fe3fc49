"""DreamerV1's policy, λ-returns, weights, and losses by value and by gradient.

Sources: arXiv:1912.01603, Equations 6 to 8; danijar/dreamer, models.py, tools.py, dreamer.py.
"""

import math

import pytest
import torch

from solutions.paper1_dreamerv1.actor_critic import (
    Actor,
    Critic,
    TanhNormal,
    actor_loss,
    add_exploration_noise,
    compute_discount_weights,
    compute_lambda_returns,
    critic_loss,
)
from tests import oracle


def double(numbers, **options):
    return torch.tensor(numbers, dtype=torch.float64, **options)


# --- policy ---------------------------------------------------------------------------------------


def test_actions_are_squashed_samples():
    actions = TanhNormal(torch.zeros(5000, 2), 5 * torch.ones(5000, 2)).rsample()
    assert actions.shape == (5000, 2) and actions.abs().max() <= 1
    assert (actions.abs() > 0.99).float().mean() > 0.5  # a std of 5 explores at the bounds


def test_a_sample_is_the_tanh_of_mean_plus_noise_with_gradient(draws):
    draws(normal=0.5)
    mean, std = double([[0.2, -1.0]], requires_grad=True), double([[0.4, 2.0]], requires_grad=True)
    action = TanhNormal(mean, std).rsample()
    assert action[0].tolist() == pytest.approx([math.tanh(0.4), 0.0])
    action.sum().backward()
    slopes = [1 - math.tanh(0.4) ** 2, 1.0]
    assert mean.grad[0].tolist() == pytest.approx(slopes)
    assert std.grad[0].tolist() == pytest.approx([0.5 * s for s in slopes])


def test_the_mode_is_the_tanh_of_the_mean_and_not_random():
    policy = TanhNormal(double([[0.5, -2.0]]), double([[3.0, 3.0]]))
    assert policy.mode()[0].tolist() == pytest.approx([math.tanh(0.5), math.tanh(-2.0)])


@pytest.mark.parametrize("mean, std", [(0.0, 0.3), (1.2, 0.5), (0.0, 5.0)])
def test_the_entropy_is_that_of_the_squashed_distribution(mean, std):
    """-∫ p log p over u, with the density of tanh(u)."""
    steps, low, width = 4000, mean - 10 * std, 20 * std / 4000
    expected = 0.0
    for i in range(steps):
        u = low + (i + 0.5) * width
        log_p = oracle.normal_log_density(u, mean, std)
        slope = 2 * (math.log(2) - abs(u) - math.log1p(math.exp(-2 * abs(u))))
        expected -= math.exp(log_p) * (log_p - slope) * width
    got = TanhNormal(double([[mean]]), double([[std]])).entropy(samples=20_000)
    assert got.shape == (1,)
    assert got.item() == pytest.approx(expected, abs=0.15)


def test_the_first_policy_is_centred_and_wide():
    actor = Actor(3, 2, layers=1, units=4).double()
    for p in actor.parameters():
        p.data.zero_()
    policy = actor(double([[1.0, 2.0, 3.0]]))
    assert policy.mean.tolist() == [[0.0, 0.0]]
    assert policy.std[0].tolist() == pytest.approx([5.0001, 5.0001])


def test_the_mean_is_bounded_and_the_std_positive():
    actor = Actor(1, 2, layers=1, units=1).double()
    for p in actor.parameters():
        p.data.zero_()
    raw = [100.0, -2.0, 3.0, -100.0]  # two means, then two stds
    actor.mlp.output.bias.data = double(raw)
    policy = actor(double([[0.0]]))
    assert policy.mean[0].tolist() == pytest.approx([5.0, 5 * math.tanh(-0.4)])
    wide = oracle.softplus(3.0 + math.log(math.exp(5) - 1)) + 1e-4
    assert policy.std[0].tolist() == pytest.approx([wide, 1e-4])


def test_actor_and_critic_have_the_layers_of_the_official_code():
    actor, critic = Actor(230, 6), Critic()
    assert len(actor.mlp.hidden) == 4 and len(critic.mlp.hidden) == 3
    assert actor.mlp.output.weight.shape == (12, 400)
    assert critic.mlp.output.weight.shape == (1, 400)
    assert actor(torch.zeros(2, 7, 230)).rsample().shape == (2, 7, 6)
    assert critic(torch.zeros(2, 7, 230)).shape == (2, 7)


def test_exploration_noise_is_added_and_clipped(draws):
    draws(normal=1.0)
    got = add_exploration_noise(torch.tensor([[0.0, 0.9, -0.5]]), 0.3)
    assert got[0].tolist() == pytest.approx([0.3, 1.0, -0.2])
    draws(normal=-2.0)
    got = add_exploration_noise(torch.tensor([[0.0, 0.9, -0.5]]), 0.3)
    assert got[0].tolist() == pytest.approx([-0.6, 0.3, -1.0])


# --- returns --------------------------------------------------------------------------------------

EXAMPLE = dict(
    rewards=double([[1.0, 2.0, 3.0]]),
    values=double([[10.0, 20.0, 30.0, 40.0]]),
    continues=double([[1.0, 1.0, 1.0]]),
)


@pytest.mark.parametrize(
    "lambda_, expected",
    [(0.5, [9.8125, 15.25, 23.0]), (0.0, [11.0, 17.0, 23.0]), (1.0, [7.75, 13.5, 23.0])],
)
def test_returns_of_a_worked_example(lambda_, expected):
    got = compute_lambda_returns(**EXAMPLE, gamma=0.5, lambda_=lambda_)
    assert got[0].tolist() == expected


def test_returns_are_the_mixture_of_n_step_returns():
    rewards = double([[0.7, -1.3, 0.2, 2.1], [1.1, 0.4, -0.6, 0.3]])
    values = double([[3.0, -2.0, 1.5, 0.8, 2.2], [0.5, 1.7, -1.1, 2.6, -0.9]])
    continues = double([[0.9, 0.35, 0.8, 0.6], [1.0, 0.7, 0.0, 0.95]])
    got = compute_lambda_returns(rewards, values, continues, 0.9, 0.8)
    assert got.shape == (2, 4)
    for b in range(2):
        expected = oracle.lambda_returns_own_reward(
            rewards[b].tolist(), values[b].tolist(), continues[b].tolist(), 0.9, 0.8
        )
        assert got[b].tolist() == pytest.approx(expected, rel=1e-12)


def test_the_discounts_of_the_paper_unless_others_are_given():
    got = compute_lambda_returns(**EXAMPLE)
    expected = oracle.lambda_returns_own_reward([1, 2, 3], [10, 20, 30, 40], [1, 1, 1], 0.99, 0.95)
    assert got[0].tolist() == pytest.approx(expected)


def test_a_dream_of_one_step():
    got = compute_lambda_returns(double([[2.0]]), double([[9.0, 5.0]]), double([[0.5]]), 0.8, 0.3)
    assert got.tolist() == [[4.0]]


def test_a_discount_that_the_head_already_holds_enters_once():
    gamma = 0.9
    rewards, head = torch.ones(1, 3).double(), gamma * torch.ones(1, 3).double()
    got = compute_lambda_returns(rewards, torch.zeros(1, 4).double(), head, 1.0, 1.0)
    assert got[0, 0].item() == pytest.approx(1 + gamma + gamma**2)


def test_returns_carry_gradient_to_rewards_values_and_continuations():
    data = {key: x.clone().requires_grad_() for key, x in EXAMPLE.items()}
    compute_lambda_returns(**data, gamma=0.5, lambda_=0.5)[0, 0].backward()
    assert data["rewards"].grad[0].tolist() == [1.0, 0.25, 0.0625]
    assert data["values"].grad[0].tolist() == [0.0, 0.25, 0.0625, 0.03125]
    # γ times what follows: (1 - λ) v + λ R of the next state
    assert data["continues"].grad[0].tolist() == [17.625 * 0.5, 26.5 * 0.125, 40 * 0.03125]


def test_the_weight_of_a_state_is_the_product_before_it():
    got = compute_discount_weights(double([[0.5, 0.25, 0.5, 1.0]]), 1.0)
    assert got[0].tolist() == [1.0, 0.5, 0.125, 0.0625]
    got = compute_discount_weights(double([[1.0, 1.0, 1.0]]), 0.9)
    assert got[0].tolist() == pytest.approx([1.0, 0.9, 0.81])
    assert compute_discount_weights(double([[0.3]])).tolist() == [[1.0]]


def test_weights_have_no_gradient_and_stop_at_a_death():
    continues = double([[1.0, 0.0, 1.0], [0.9, 0.8, 0.7]], requires_grad=True)
    got = compute_discount_weights(continues)
    assert not got.requires_grad
    assert got[0].tolist() == pytest.approx([1.0, 0.99, 0.0])
    assert got[1].tolist() == pytest.approx([1.0, 0.99 * 0.9, 0.99**2 * 0.72])


# --- losses ---------------------------------------------------------------------------------------


def test_the_actor_raises_the_weighted_return():
    returns = double([[1.0, 2.0, -3.0], [0.5, 4.0, 1.5]], requires_grad=True)
    weights = double([[1.0, 0.5, 0.25], [1.0, 0.9, 0.8]], requires_grad=True)
    loss = actor_loss(returns, weights)
    assert loss.item() == pytest.approx(-(1 + 1 - 0.75 + 0.5 + 3.6 + 1.2) / 6, rel=1e-12)
    loss.backward()
    assert torch.allclose(returns.grad, -weights.detach() / 6)
    assert weights.grad is None or not weights.grad.any()


def test_the_critic_regresses_to_a_fixed_target():
    values = double([[1.0, 2.0], [3.0, -1.0]], requires_grad=True)
    returns = double([[2.0, 0.0], [3.5, 1.0]], requires_grad=True)
    weights = double([[1.0, 0.5], [1.0, 0.2]])
    loss = critic_loss(values, returns, weights)
    assert loss.item() == pytest.approx((0.5 + 1.0 + 0.125 + 0.4) / 4, rel=1e-12)
    loss.backward()
    assert returns.grad is None or not returns.grad.any()
    expected = double([[-1.0, 1.0], [-0.5, -0.4]]) / 4
    assert torch.allclose(values.grad, expected)


def test_what_follows_a_death_does_not_count():
    continues = double([[1.0, 0.0, 1.0, 1.0]])
    losses = []
    for reward in (0.0, 100.0):
        rewards, values = double([[1.0, 2.0, 3.0, reward]]), double([[1.0, 2.0, 3.0, 4.0, 5.0]])
        returns = compute_lambda_returns(rewards, values, continues)
        weights = compute_discount_weights(continues)
        losses.append(
            (actor_loss(returns, weights).item(), critic_loss(values[:, :-1], returns, weights))
        )
    assert losses[0][0] == losses[1][0] and torch.equal(losses[0][1], losses[1][1])
