"""Actor and critic of tokens: what is legal, sizes, two-hot values, returns, PPO and REINFORCE."""

import math

import pytest
import torch

from solutions.paper4_hdreamer.hidreamer.actor_critic import (
    Actor,
    Critic,
    TokenFeatures,
    dream_returns,
    entropy,
    ppo_loss,
    reinforce_loss,
)
from solutions.paper4_hdreamer.hidreamer.hrvq import HRVQ

F = 3 * 384
LEGAL = torch.tensor([1, 0, 1, 1, 0, 1]).bool()


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def actor_of(units: int = 24, scale: float = 1.0) -> Actor:
    actor = Actor(units, LEGAL)
    with torch.no_grad():
        actor.network[-1].weight.mul_(scale)
    return actor


# --- actor ----------------------------------------------------------------------------------------


def test_parameters():
    assert count(Actor(F, torch.ones(6))) == 858_374
    assert count(Critic(F)) == 986_111
    assert count(Actor(F, torch.arange(18) < 6)) == 858_374  # what is not legal has none
    layers = [(F, 512), (512, 512), (512, 6)]
    assert 2 * F + sum(i * o + o for i, o in layers) == 858_374


def test_illegal_actions_have_no_probability_are_never_taken_and_carry_no_gradient():
    actor = actor_of()
    log_policy = actor(torch.randn(5, 7, 24))
    assert log_policy.shape == (5, 7, 6)
    assert (log_policy[..., ~LEGAL] == -math.inf).all()
    assert log_policy[..., LEGAL].isfinite().all()
    torch.testing.assert_close(log_policy.exp().sum(-1), torch.ones(5, 7))
    drawn = torch.multinomial(log_policy.flatten(0, 1).exp(), 2000, replacement=True)
    assert set(drawn.unique().tolist()) == set(LEGAL.nonzero()[:, 0].tolist())
    action = drawn[:, 0].view(5, 7)
    loss = reinforce_loss(log_policy, action, torch.randn(5, 7), torch.rand(5, 7), 0.1)
    log_policy.retain_grad()
    loss.backward()
    assert (log_policy.grad[..., ~LEGAL] == 0).all() and log_policy.grad[..., LEGAL].all()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in actor.parameters())
    assert actor.network[-1].weight.grad.any(-1).tolist() == [True] * 4  # one row for each


def test_one_percent_of_the_legal_actions_is_uniform():
    """However sure the network is: at least 0.01 / 4 for each, at most 0.99 + 0.01 / 4."""
    probs = actor_of(scale=1e4)(torch.randn(50, 24)).exp()[:, LEGAL]
    torch.testing.assert_close(probs.amin(), torch.tensor(0.0025))
    torch.testing.assert_close(probs.amax(), torch.tensor(0.9925))


def test_logits_of_half_precision_make_a_policy_of_float32():
    actor = actor_of().to(torch.bfloat16)
    log_policy = actor(torch.randn(3, 24, dtype=torch.bfloat16))
    assert log_policy.dtype == torch.float32
    torch.testing.assert_close(log_policy.exp().sum(-1), torch.ones(3))


def test_entropy_of_legal_actions():
    actor = actor_of()
    with torch.no_grad():
        for parameter in actor.network[-1].parameters():
            parameter.zero_()
    log_policy = actor(torch.randn(3, 24))
    torch.testing.assert_close(entropy(log_policy), torch.full((3,), math.log(4)))
    sure = torch.tensor([-math.inf, 0.0, -math.inf])
    assert entropy(sure) == 0


def test_features_are_a_frozen_copy_of_the_codes():
    hrvq = HRVQ(units=8, count=5)
    for book in hrvq.books:
        torch.nn.init.normal_(book.codes)
    features, tokens = TokenFeatures(hrvq), torch.tensor([[3, 0, 4]])
    before = features(tokens).clone()
    torch.testing.assert_close(before[0].view(3, 8).sum(0), hrvq.decode(tokens)[0])
    hrvq.books[0].codes.zero_()
    assert torch.equal(features(tokens), before)
    assert list(features.parameters()) == [] and "codes" in features.state_dict()


# --- critic ---------------------------------------------------------------------------------------


def test_a_fresh_critic_predicts_0_exactly():
    critic = Critic(F)
    assert (critic.mean(critic(torch.randn(20, F))) == 0).all()


def test_two_hot_round_trip():
    """All weight on the two bins beside a target: the mean is the target, at any size."""
    critic = Critic(4)
    targets = torch.tensor([-2e4, -3.7, -0.01, 0.0, 0.3, 1.0, 77.7, 5e5])
    place = torch.searchsorted(critic.bins, targets, right=True) - 1
    low, high = critic.bins[place], critic.bins[place + 1]
    share = (targets - low) / (high - low)
    probs = torch.zeros(len(targets), 255)
    probs.scatter_(1, place[:, None], 1 - share[:, None])
    probs.scatter_add_(1, place[:, None] + 1, share[:, None])
    torch.testing.assert_close(critic.mean(probs.log()), targets, rtol=1e-4, atol=1e-5)


def test_the_loss_is_least_where_the_distribution_is_the_targets_two_bins():
    """Its gradient with respect to the logits is softmax - two-hot; 0 only there."""
    critic = Critic(4, bins=5, limit=2.0)
    bins = critic.bins.tolist()  # symexp of -2, -1, 0, 1, 2
    target = torch.tensor([0.25 * bins[3] + 0.75 * bins[4]])
    logits = torch.zeros(1, 5, requires_grad=True)
    [slope] = torch.autograd.grad(critic.loss(logits, target).sum(), logits)
    expected = torch.tensor([[0.2, 0.2, 0.2, 0.2 - 0.25, 0.2 - 0.75]])
    torch.testing.assert_close(slope, expected)
    best = torch.tensor([[1e-9, 1e-9, 1e-9, 0.25, 0.75]]).log().requires_grad_()
    [slope] = torch.autograd.grad(critic.loss(best, target).sum(), best)
    torch.testing.assert_close(slope, torch.zeros(1, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(critic.mean(best.detach()), target)


def test_two_targets_pull_with_the_same_force():
    """Return and slow value: at rest where half of the weight is on each, so halfway between."""
    critic = Critic(4, bins=7, limit=3.0)
    one, other = critic.bins[[5]], critic.bins[[1]]  # symexp of 2 and of -2: one bin alone each
    logits = torch.randn(1, 7)
    both = critic.loss(logits, one, other)
    torch.testing.assert_close(both, critic.loss(logits, one) + critic.loss(logits, other))
    logits = torch.tensor([[0, 0.5, 0, 0, 0, 0.5, 0]]).log().clamp(min=-30).requires_grad_()
    [slope] = torch.autograd.grad(critic.loss(logits, one, other).sum(), logits)
    torch.testing.assert_close(slope, torch.zeros(1, 7), atol=1e-6, rtol=0)
    torch.testing.assert_close(critic.mean(logits.detach()), torch.zeros(1), atol=1e-5, rtol=0)
    [slope] = torch.autograd.grad(critic.loss(logits, one, one).sum(), logits)
    torch.testing.assert_close(slope, torch.tensor([[0, 1.0, 0, 0, 0, -1.0, 0]]))


# --- returns --------------------------------------------------------------------------------------


def dreams(batch: int = 6, horizon: int = 9) -> tuple:
    shape = batch, horizon
    ends = (torch.rand(shape) > 0.15).double()
    return torch.randn(shape).double(), ends, torch.randn(batch, horizon + 1).double()


def test_returns_of_lambda_1_are_all_rewards_then_the_last_value():
    rewards, ends, values = dreams()
    returns, weights = dream_returns(rewards, ends, values, 0.9, 1.0)
    for b in range(len(rewards)):
        for t in range(rewards.shape[1]):
            total, share = 0.0, 1.0
            for s in range(t, rewards.shape[1]):
                total += share * rewards[b, s]
                share *= 0.9 * ends[b, s]
            torch.testing.assert_close(returns[b, t], total + share * values[b, -1])
            torch.testing.assert_close(weights[b, t], (0.9 * ends[b, :t]).prod())


def test_returns_of_lambda_0_are_one_step_and_the_value_of_the_next_state():
    rewards, ends, values = dreams()
    returns, _ = dream_returns(rewards, ends, values, 0.9, 0.0)
    torch.testing.assert_close(returns, rewards + 0.9 * ends * values[:, 1:])


def test_returns_of_discount_0_are_rewards_and_an_end_hides_what_comes_after():
    rewards, ends, values = dreams()
    assert torch.equal(dream_returns(rewards, ends, values, 0.0)[0], rewards)
    ends = torch.ones_like(ends)
    ends[:, 4] = 0
    one = dream_returns(rewards, ends, values, 0.9)
    rewards[:, 5:], values[:, 5:] = 100.0, -50.0
    two = dream_returns(rewards, ends, values, 0.9)
    torch.testing.assert_close(one[0][:, :5], two[0][:, :5])
    assert (two[1][:, 5:] == 0).all()


def test_returns_are_those_of_torchrl():
    functional = pytest.importorskip("torchrl.objectives.value.functional")
    rewards, ends, values = dreams()
    done = (ends == 0)[..., None]
    expected = functional.td_lambda_return_estimate(
        0.9, 0.8, values[:, 1:, None], rewards[..., None], done, done
    )
    returns, _ = dream_returns(rewards, ends, values, 0.9, 0.8)
    torch.testing.assert_close(returns, expected[..., 0])


# --- losses ---------------------------------------------------------------------------------------


def gradient(actor: Actor, loss) -> list:
    return torch.autograd.grad(loss, list(actor.parameters()))


def states() -> tuple:
    actor, feature = actor_of(scale=5.0).double(), torch.randn(6, 9, 24).double()
    probs = actor(feature).detach().exp()
    action = torch.multinomial(probs.flatten(0, 1), 1).view(6, 9)
    return actor, feature, action, torch.randn(6, 9).double(), torch.rand(6, 9).double()


def test_before_the_first_update_ppo_is_reinforce():
    """Every ratio is 1, so the gradients of all parameters agree."""
    actor, feature, action, advantage, weight = states()
    log_policy = actor(feature)
    before = log_policy.detach().gather(-1, action[..., None])[..., 0]
    rest = action, advantage, weight, 0.01
    one = gradient(actor, reinforce_loss(actor(feature), *rest))
    two = gradient(actor, ppo_loss(log_policy, before, *rest))
    for x, y in zip(one, two, strict=True):
        torch.testing.assert_close(x, y)


def test_ppo_stops_where_it_is_far_in_the_right_direction_and_only_there():
    actor, feature, action, _, weight = states()
    for gain, ratio, moves in ((1, 1.3, False), (-1, 1.3, True), (1, 0.7, True), (-1, 0.7, False)):
        log_policy = actor(feature)
        now = log_policy.detach().gather(-1, action[..., None])[..., 0]
        advantage = torch.full_like(weight, gain)
        loss = ppo_loss(log_policy, now - math.log(ratio), action, advantage, weight, 0.0)
        assert any(x.any() for x in gradient(actor, loss)) == moves, (gain, ratio)


def test_on_old_dreams_ppo_stays_nearer_than_reinforce():
    """Many updates on one batch: with PPO nothing is gained by a ratio beyond 1 ± clip."""

    def ratios(loss) -> torch.Tensor:
        torch.manual_seed(1)
        actor, feature, action, advantage, weight = states()
        before = actor(feature).detach().gather(-1, action[..., None])[..., 0]
        optimizer = torch.optim.SGD(actor.parameters(), 0.05)
        for _ in range(150):
            optimizer.zero_grad()
            loss(actor(feature), before, action, advantage, torch.ones_like(weight)).backward()
            optimizer.step()
        now = actor(feature).detach().gather(-1, action[..., None])[..., 0]
        return (now - before).exp()

    near = ratios(lambda p, before, *rest: ppo_loss(p, before, *rest, 0.0))
    far = ratios(lambda p, _, *rest: reinforce_loss(p, *rest, 0.0))
    assert (near - 1).abs().mean() < 0.5 * (far - 1).abs().mean()
