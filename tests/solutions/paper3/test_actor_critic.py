"""DreamerV3's actors, lambda returns, return normalisation, actor and critic losses.

Sources: arXiv:2301.04104v2, "Critic learning" and "Actor learning"; danijar/dreamerv3, agent.py
(imag_loss, repl_loss, lambda_return), heads.py (bounded_normal), utils.py (Normalize, SlowModel).
"""

import math

import pytest
import torch
from torch import nn

from solutions.paper3_dreamerv3.actor_critic import (
    ContinuousActor,
    DiscreteActor,
    ReturnNormalizer,
    actor_loss,
    compute_lambda_returns,
    critic_loss,
    imagination_weights,
    update_slow_critic,
)
from solutions.paper3_dreamerv3.networks import TwoHotHead
from tests import oracle


def numbers(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def irregular(*shape, scale=1.0, phase=0.0):
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return (scale * torch.sin(1.7 * count**1.3 + phase)).view(*shape)


def constant_output(actor, *values):
    """Make the network of an actor answer these numbers for every state."""
    nn.init.zeros_(actor.mlp[-1].weight)
    actor.mlp[-1].bias.data = torch.tensor(values, dtype=actor.mlp[-1].bias.dtype)
    return actor


# --- discrete actor -------------------------------------------------------------------------------


def test_the_first_policy_is_nearly_uniform():
    actor = DiscreteActor(10, 32, 2, 4)
    policy = actor(torch.randn(50, 10))
    assert policy.shape == (50, 4)
    assert actor.entropy(policy).min() >= 0.99 * math.log(4)
    assert policy.std() > 0  # nearly: the output layer is scaled by 0.01, not zero


def test_every_action_keeps_its_share_of_one_percent():
    actor = constant_output(DiscreteActor(3, 4, 1, 3), 100.0, 0.0, 0.0)
    probs = actor(torch.randn(2, 3)).exp()
    torch.testing.assert_close(probs, torch.tensor([[0.99 + 0.01 / 3, 0.01 / 3, 0.01 / 3]] * 2))


def test_a_discrete_policy_has_the_log_probability_and_entropy_of_its_mixture():
    actor = constant_output(DiscreteActor(3, 4, 1, 3, ratio=0.1).double(), 1.0, -0.5, 0.2)
    policy = actor(torch.zeros(2, 5, 3).double())
    p = oracle.mixed([1.0, -0.5, 0.2], 0.1)
    action = torch.eye(3, dtype=torch.float64)[torch.tensor([[0, 1, 2, 1, 0], [2, 2, 1, 0, 1]])]
    log_prob, entropy = actor.log_prob(policy, action), actor.entropy(policy)
    assert log_prob.shape == entropy.shape == (2, 5)
    assert log_prob[0].tolist() == pytest.approx([math.log(p[i]) for i in (0, 1, 2, 1, 0)])
    assert log_prob[1].tolist() == pytest.approx([math.log(p[i]) for i in (2, 2, 1, 0, 1)])
    assert entropy.flatten().tolist() == pytest.approx([-sum(x * math.log(x) for x in p)] * 10)


def test_the_score_of_a_discrete_policy_is_one_hot_minus_probabilities():
    actor = constant_output(DiscreteActor(3, 4, 1, 3, ratio=0.0).double(), 1.0, -0.5, 0.2)
    actor.log_prob(actor(torch.zeros(3).double()), numbers(0.0, 1.0, 0.0)).backward()
    p = oracle.softmax([1.0, -0.5, 0.2])
    assert actor.mlp[-1].bias.grad.tolist() == pytest.approx([-p[0], 1 - p[1], -p[2]])


def test_discrete_actions_are_one_hot_draws_of_the_policy_without_gradient():
    actor = constant_output(
        DiscreteActor(3, 4, 1, 3, ratio=0.0), *torch.tensor([0.6, 0.3, 0.1]).log()
    )
    action = actor.sample(actor(torch.zeros(10000, 3)))
    assert not action.requires_grad
    assert ((action == 0) | (action == 1)).all() and (action.sum(-1) == 1).all()
    torch.testing.assert_close(action.mean(0), torch.tensor([0.6, 0.3, 0.1]), rtol=0, atol=0.02)


# --- continuous actor -----------------------------------------------------------------------------


def test_the_mean_is_bounded_by_tanh_and_the_standard_deviation_by_a_sigmoid():
    actor = constant_output(ContinuousActor(3, 4, 1, 3).double(), 0.0, 0.5, -60.0, 0.0, -60.0, 60.0)
    policy = actor(torch.zeros(2, 3).double())
    expected = [0.0, math.tanh(0.5), -1.0, 0.892717, 0.1, 1.0]
    assert policy.shape == (2, 6)
    assert policy[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_first_continuous_policy_is_centred_and_wide():
    mean, std = ContinuousActor(10, 32, 2, 2)(torch.randn(50, 10)).chunk(2, -1)
    assert mean.abs().max() < 0.05
    torch.testing.assert_close(std, torch.full((50, 2), 0.892717), rtol=0, atol=5e-3)


def test_continuous_actions_are_mean_plus_noise_not_squashed_and_without_gradient(draws):
    draws(normal=2.0)
    actor = ContinuousActor(3, 4, 1, 2)
    policy = torch.tensor([[0.9, -0.2, 0.5, 0.3]], requires_grad=True)
    action = actor.sample(policy)
    torch.testing.assert_close(action, torch.tensor([[1.9, 0.4]]))
    assert not action.requires_grad


def test_continuous_actions_spread_as_the_policy_says():
    policy = torch.tensor([0.5, -0.3, 0.2, 0.9]).expand(10000, 4)
    action = ContinuousActor(3, 4, 1, 2).sample(policy)
    torch.testing.assert_close(action.mean(0), torch.tensor([0.5, -0.3]), rtol=0, atol=0.03)
    torch.testing.assert_close(action.std(0), torch.tensor([0.2, 0.9]), rtol=0.03, atol=0)


def test_a_continuous_policy_has_the_log_density_and_entropy_of_independent_normals():
    actor = ContinuousActor(3, 4, 1, 2)
    policy, action = numbers([0.5, -0.3, 0.2, 0.9]), numbers([0.8, -2.0])
    expected = oracle.normal_log_density(0.8, 0.5, 0.2) + oracle.normal_log_density(-2.0, -0.3, 0.9)
    assert actor.log_prob(policy, action).tolist() == pytest.approx([expected])
    expected = 1 + math.log(2 * math.pi) + math.log(0.2 * 0.9)
    assert actor.entropy(policy).tolist() == pytest.approx([expected])


def test_the_score_of_a_normal_does_not_flow_through_the_sample():
    """d log p / d mean = (a - mean) / std²; a sample that carried gradient would give 0."""
    actor = ContinuousActor(3, 4, 1, 1).double()
    policy = numbers([0.3, 0.5]).requires_grad_()
    mean, std = policy.chunk(2, -1)
    action = mean + std * 0.8
    actor.log_prob(policy, action).sum().backward()
    assert policy.grad[0].tolist() == pytest.approx([0.8 / 0.5, (0.8**2 - 1) / 0.5])


# --- lambda returns -------------------------------------------------------------------------------

REWARDS = numbers([100.0, 1, 2, 3])
VALUES = numbers([10.0, 20, 30, 40])
HALF = torch.full((1, 4), 0.5, dtype=torch.float64)
NEVER = torch.zeros(1, 4, dtype=torch.float64)


@pytest.mark.parametrize(
    "lambda_, expected",
    [(0.5, [9.8125, 15.25, 23.0]), (0.0, [11.0, 17, 23]), (1.0, [7.75, 13.5, 23])],
)
def test_the_return_of_a_state_starts_with_the_reward_of_the_next(lambda_, expected):
    """Rewards 1, 2, 3 on entering states 1, 2, 3; continues hold a discount of one half."""
    returns = compute_lambda_returns(REWARDS, VALUES, HALF, NEVER, lambda_)
    assert returns.tolist() == [expected]


def test_the_mixture_parameter_is_095_unless_said_otherwise():
    expected = oracle.lambda_returns([0, 1, 2, 3], [10, 20, 30, 40], [0.5] * 4, [0] * 4, 0.95)
    returns = compute_lambda_returns(REWARDS, VALUES, HALF, NEVER)
    assert returns[0].tolist() == pytest.approx(expected)


def test_a_cut_sequence_continues_with_its_value_and_a_death_with_nothing():
    cut = numbers([0.0, 0, 1, 0])
    returns = compute_lambda_returns(REWARDS, VALUES, HALF, cut, 0.5)
    assert returns.tolist() == [[10.25, 17.0, 23.0]]
    returns = compute_lambda_returns(REWARDS, VALUES, HALF * (1 - cut), cut, 0.5)
    assert returns.tolist() == [[6.5, 2.0, 23.0]]


def test_the_discount_enters_once():
    """Reward 1 for ever, values 0, λ = 1: the return of three steps is 1 + γ + γ²."""
    g, ones = 0.9, torch.ones(1, 4, dtype=torch.float64)
    returns = compute_lambda_returns(ones, 0 * ones, g * ones, 0 * ones, 1.0)
    assert returns[0].tolist() == pytest.approx([1 + g + g * g, 1 + g, 1])


def test_rows_of_a_batch_have_returns_of_their_own():
    shape = (3, 6)
    rewards, values = irregular(*shape, scale=3.0), irregular(*shape, scale=9.0, phase=1.0)
    continues = irregular(*shape, phase=2.0).abs()
    is_last = (irregular(*shape, phase=3.0) > 0.6).double()
    assert 0 < is_last.sum() < 18
    returns = compute_lambda_returns(rewards, values, continues, is_last, 0.7)
    assert returns.shape == (3, 5)
    for b in range(3):
        expected = oracle.lambda_returns(
            *(x[b].tolist() for x in (rewards, values, continues, is_last)), 0.7
        )
        assert returns[b].tolist() == pytest.approx(expected, rel=1e-12)


def test_two_states_have_one_return():
    returns = compute_lambda_returns(
        numbers([7.0, 2.0]), numbers([5.0, 3.0]), numbers([0.4, 0.9]), numbers([0.0, 0.0]), 0.95
    )
    assert returns.shape == (1, 1) and returns.item() == pytest.approx(2 + 0.9 * 3)


def test_the_first_state_gives_a_return_nothing_of_its_own():
    inputs = [x.clone().requires_grad_() for x in (REWARDS, VALUES, HALF)]
    returns = compute_lambda_returns(*inputs, NEVER, 0.5)
    rewards, values, continues = torch.autograd.grad(returns[0, 0], inputs)
    assert rewards[0].tolist() == pytest.approx([0, 1, 0.25, 0.0625])
    assert values[0].tolist() == pytest.approx([0, 0.25, 0.0625, 0.03125])
    assert continues[0, 0] == 0 and continues[0, 1].item() == pytest.approx(17.625)
    first = NEVER.clone()
    first[0, 0] = 1
    again = compute_lambda_returns(REWARDS, VALUES, HALF, first, 0.5)
    assert again.tolist() == [[9.8125, 15.25, 23.0]]


# --- normaliser -----------------------------------------------------------------------------------


def test_returns_are_scaled_by_a_slow_average_of_their_percentile_range():
    """0 ... 100 once: averages 0.05 and 0.95. After n times the range is 90 (1 - 0.99^n)."""
    normalizer = ReturnNormalizer().double()
    returns = torch.arange(101, dtype=torch.float64)
    normalizer.update(returns)
    assert normalizer.low.item() == pytest.approx(0.05)
    assert normalizer.high.item() == pytest.approx(0.95)
    assert normalizer.scale().item() == 1.0
    for _ in range(199):
        normalizer.update(returns)
    assert (normalizer.high - normalizer.low).item() == pytest.approx(77.9418, abs=1e-4)
    assert normalizer.scale().item() == pytest.approx(77.9418, abs=1e-4)


def test_small_returns_are_not_scaled_up():
    normalizer = ReturnNormalizer(rate=1.0)
    normalizer.update(torch.linspace(0, 0.1, 50))
    assert normalizer.scale().item() == 1.0
    normalizer.update(torch.full((50,), 3.0))
    assert normalizer.scale().item() == 1.0


def test_percentiles_are_taken_over_all_numbers_of_the_batch_and_interpolated():
    normalizer = ReturnNormalizer(rate=0.25).double()
    returns = irregular(3, 7, scale=40.0)
    normalizer.update(returns)
    flat = returns.flatten().tolist()
    low, high = (0.25 * oracle.percentile(flat, share) for share in (0.05, 0.95))
    assert normalizer.low.item() == pytest.approx(low)
    assert normalizer.high.item() == pytest.approx(high)
    assert normalizer.scale().item() == pytest.approx(high - low)


def test_the_normaliser_is_saved_and_takes_no_gradient():
    normalizer = ReturnNormalizer()
    normalizer.update(torch.linspace(-50, 50, 9, requires_grad=True))
    state = normalizer.state_dict()
    assert sorted(state) == ["high", "low"] and state["low"] < 0 < state["high"]
    assert not normalizer.scale().requires_grad
    assert list(normalizer.parameters()) == []


# --- losses ---------------------------------------------------------------------------------------


def test_the_weight_of_a_state_includes_the_continuation_of_the_start():
    weights = imagination_weights(numbers([0.9, 0.5, 0.8, 1.0], [0.0, 0.7, 0.9, 0.9]))
    assert weights[0].tolist() == pytest.approx([0.9, 0.45, 0.36, 0.36])
    assert weights[1].tolist() == [0, 0, 0, 0]
    random = irregular(3, 5).abs()
    for row, got in zip(random.tolist(), imagination_weights(random).tolist(), strict=True):
        assert got == pytest.approx(oracle.running_products(row))


def test_weights_carry_no_gradient():
    assert not imagination_weights(torch.ones(2, 3, requires_grad=True)).requires_grad


def test_the_actor_loss_is_weighted_reinforce_with_an_entropy_bonus():
    log_prob, entropy = irregular(2, 3), irregular(2, 3, phase=1.0).abs()
    advantage, weight = irregular(2, 3, scale=3.0, phase=2.0), irregular(2, 3, phase=3.0).abs()
    inputs = [x.requires_grad_() for x in (log_prob, entropy, advantage, weight)]
    loss = actor_loss(*inputs, 0.01)
    expected = 0.0
    for b in range(2):
        for t in range(3):
            gain = log_prob[b, t] * advantage[b, t] + 0.01 * entropy[b, t]
            expected -= (weight[b, t] * gain).item() / 6
    assert loss.shape == () and loss.item() == pytest.approx(expected)
    loss.backward()
    torch.testing.assert_close(log_prob.grad, (-weight * advantage / 6).detach())
    torch.testing.assert_close(entropy.grad, (-0.01 * weight / 6).detach())
    assert advantage.grad is None and weight.grad is None


@pytest.mark.parametrize("advantage, direction", [(2.0, 1), (-2.0, -1)])
def test_a_step_down_the_actor_loss_makes_good_actions_more_probable(advantage, direction):
    for actor, action in (
        (DiscreteActor(3, 4, 1, 3), torch.tensor([[[0.0, 1.0, 0.0]]])),
        (ContinuousActor(3, 4, 1, 2), torch.tensor([[[0.7, -0.7]]])),
    ):
        state = torch.ones(1, 1, 3)
        before = actor.log_prob(actor(state), action)
        one = torch.ones(1, 1)
        actor_loss(before, actor.entropy(actor(state)), advantage * one, one, 0.0).backward()
        for p in actor.parameters():
            p.data -= 0.01 * p.grad
        change = actor.log_prob(actor(state), action) - before
        assert change.item() * direction > 0


def test_the_entropy_bonus_widens_the_policy():
    actor = constant_output(DiscreteActor(3, 4, 1, 3), 2.0, 0.0, 0.0)
    policy = actor(torch.ones(1, 1, 3))
    before = actor.entropy(policy).item()
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    actor_loss(0 * policy.sum(-1), actor.entropy(policy), zero, one, 1.0).backward()
    actor.mlp[-1].bias.data -= 0.1 * actor.mlp[-1].bias.grad
    assert actor.entropy(actor(torch.ones(1, 1, 3))).item() > before


def critic_and_inputs():
    critic = TwoHotHead(3, 4, 1, bins=7, limit=2.0).double()
    logits = irregular(2, 3, 7, scale=2.0).requires_grad_()
    target = irregular(2, 3, scale=7.0, phase=1.0).requires_grad_()
    slow = irregular(2, 3, scale=5.0, phase=2.0).requires_grad_()
    weight = irregular(2, 3, phase=3.0).abs().requires_grad_()
    return critic, logits, target, slow, weight


def test_the_critic_learns_from_the_return_and_from_the_slow_critic_alike():
    critic, logits, target, slow, weight = critic_and_inputs()
    loss = critic_loss(critic, logits, target, slow, weight)
    bins = critic.bins.tolist()
    expected, gradient = 0.0, torch.zeros(2, 3, 7, dtype=torch.float64)
    for b in range(2):
        for t in range(3):
            row, w = logits[b, t].tolist(), weight[b, t].item() / 6
            for y in (target[b, t].item(), slow[b, t].item()):
                two_hot = oracle.two_hot(y, bins)
                expected += w * oracle.cross_entropy(two_hot, row)
                for i, p in enumerate(oracle.softmax(row)):
                    gradient[b, t, i] += w * (p - two_hot[i])
    assert loss.shape == () and loss.item() == pytest.approx(expected)
    loss.backward()
    torch.testing.assert_close(logits.grad, gradient)


def test_targets_and_weights_of_the_critic_are_constants():
    critic, logits, target, slow, weight = critic_and_inputs()
    critic_loss(critic, logits, target, slow, weight).backward()
    assert target.grad is None and slow.grad is None and weight.grad is None


def test_states_of_weight_zero_teach_neither_actor_nor_critic():
    critic, logits, target, slow, weight = critic_and_inputs()
    weight = weight.detach().clone()
    weight[0, 1:] = 0
    critic_loss(critic, logits, target, slow, weight).backward()
    assert not logits.grad[0, 1:].any() and logits.grad[1].abs().min() > 0
    log_prob, entropy = (irregular(2, 3, phase=i).requires_grad_() for i in range(2))
    actor_loss(log_prob, entropy, target, weight, 0.1).backward()
    for gradient in (log_prob.grad, entropy.grad):
        assert not gradient[0, 1:].any() and gradient[1].abs().min() > 0


# --- slow critic ----------------------------------------------------------------------------------


def test_the_slow_critic_follows_by_two_percent_of_the_distance():
    slow, fast = nn.Linear(2, 3), nn.Linear(2, 3)
    for p in slow.parameters():
        nn.init.zeros_(p)
    for p in fast.parameters():
        nn.init.ones_(p)
    for expected in (0.02, 0.0396):
        update_slow_critic(slow, fast)
        for p in slow.parameters():
            torch.testing.assert_close(p.data, torch.full_like(p, expected))
    assert all((p == 1).all() for p in fast.parameters())
    update_slow_critic(slow, fast, rate=1.0)
    assert all(torch.equal(a, b) for a, b in zip(slow.parameters(), fast.parameters(), strict=True))
