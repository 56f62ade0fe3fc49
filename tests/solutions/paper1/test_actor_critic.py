"""What is given in actor_critic.py, and how its parts join; tests/paper1 has the rest.

Sources: arXiv:1912.01603, Equations 6 to 8; danijar/dreamer, models.py, dreamer.py.
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


def double(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


# --- policy ---------------------------------------------------------------------------------------


def test_actions_are_squashed_samples():
    actions = TanhNormal(torch.zeros(5000, 2), 5 * torch.ones(5000, 2)).rsample()
    assert actions.shape == (5000, 2) and actions.abs().max() <= 1
    assert (actions.abs() > 0.99).float().mean() > 0.5  # a std of 5 explores at the bounds


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


# --- how the parts join ---------------------------------------------------------------------------


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


def test_the_actor_moves_towards_the_reward(draws):
    """A world in which the reward of every state is the action taken in it."""
    draws(normal=0.5)
    actor, feature = Actor(3, 1, layers=1, units=4), torch.ones(2, 5, 3)
    optimizer = torch.optim.Adam(actor.parameters(), 0.01)
    means = []
    for _ in range(20):
        policy = actor(feature)
        rewards = policy.rsample().squeeze(-1)
        returns = compute_lambda_returns(rewards, torch.zeros(2, 6), torch.ones(2, 5))
        loss = actor_loss(returns, compute_discount_weights(torch.ones(2, 5)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        means.append(policy.mode().mean().item())
    assert means[-1] > means[0] + 0.1
