"""DreamerV2's state-space model: rollouts, resets, and the balanced KL.

Sources: arXiv:2010.02193, Section 2.1, Algorithm 2; danijar/dreamerv2, common/nets.py.
"""

import pytest
import torch

from solutions.paper2_dreamerv2.rssm import DiscreteRSSM, get_feature, kl_divergence, kl_loss
from tests import oracle

B, T, E, A, H, S, K = 2, 4, 7, 2, 5, 3, 4


def small():
    torch.manual_seed(0)
    model = DiscreteRSSM(A, E, S, K, rnn_hidden_dim=H, hidden_dim=6).double()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0, 0.6)
    return model


def rows(seed=3):
    torch.manual_seed(seed)
    return torch.randn(B, T, E).double(), torch.randn(B, T, A).double()


def test_sizes_are_those_of_the_official_code():
    model = DiscreteRSSM(6)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters() if p.ndim == 2}
    assert shapes == {
        "fc_in.weight": (200, 1030), "rnn.layer.weight": (600, 400),
        "fc_prior.weight": (200, 200), "fc_prior_logits.weight": (1024, 200),
        "fc_post.weight": (200, 1736), "fc_post_logits.weight": (1024, 200),
    }  # fmt: skip


def test_the_feature_is_z_first_and_then_h():
    feature = get_feature(torch.zeros(2, 4, 3), torch.ones(2, 4, 2))
    assert feature.shape == (2, 4, 5)
    assert feature[..., :2].all() and not feature[..., 2:].any()


def test_prior_and_posterior_are_one_hidden_layer_with_elu(draws):
    draws()
    model = small()
    p = {name: x.tolist() for name, x in model.named_parameters()}
    h, embed = torch.randn(H).double(), torch.randn(E).double()
    for name, x, (z, logits) in (
        ("prior", h, model.prior(h)),
        ("post", torch.cat([h, embed]), model.posterior(h, embed)),
    ):
        hidden = oracle.linear(x.tolist(), p[f"fc_{name}.weight"], p[f"fc_{name}.bias"])
        hidden = [oracle.elu(v) for v in hidden]
        expected = oracle.linear(hidden, p[f"fc_{name}_logits.weight"], p[f"fc_{name}_logits.bias"])
        assert logits.shape == (S, K) and z.shape == (S * K,)
        assert logits.flatten().tolist() == pytest.approx(expected)
        assert (z.unflatten(-1, (S, K)).sum(-1) == 1).all()


def test_the_step_sees_z_then_action_and_h():
    model = small()
    state = {"h": torch.randn(1, H).double(), "z": torch.randn(1, S * K).double()}
    action = torch.randn(1, A).double()
    x = oracle.linear(
        [*state["z"][0].tolist(), *action[0].tolist()],
        model.fc_in.weight.tolist(), model.fc_in.bias.tolist(),
    )  # fmt: skip
    x = torch.tensor([[oracle.elu(v) for v in x]]).double()
    torch.testing.assert_close(model.recurrent_step(state, action), model.rnn(x, state["h"]))


def test_a_beginning_resets_state_and_action(draws):
    """From an episode's first row on nothing depends on what was before."""
    draws()
    model = small()
    embeds, actions = rows()
    is_first = torch.zeros(B, T)
    is_first[0, 2] = 1
    got = model.rollout_observation(embeds, actions, is_first)
    fresh = model.rollout_observation(embeds[:1, 2:], torch.cat(
        [torch.zeros(1, 1, A).double(), actions[:1, 3:]], 1))  # fmt: skip
    torch.testing.assert_close(got["h"][:1, 2:], fresh["h"])
    torch.testing.assert_close(got["z"][:1, 2:], fresh["z"])
    other = model.rollout_observation(embeds, actions + 9 * is_first[..., None], is_first.bool())
    assert all(torch.equal(got[key], other[key]) for key in got)


def test_an_action_changes_the_state_that_it_led_to_and_later_ones(draws):
    draws()
    model = small()
    embeds, actions = rows()
    before = model.rollout_observation(embeds, actions)["h"]
    actions[:, 2] += 1
    after = model.rollout_observation(embeds, actions)["h"]
    assert torch.equal(before[:, :2], after[:, :2])
    assert ((before[:, 2:] - after[:, 2:]).abs().amax(-1) > 0).all()


def test_the_prior_does_not_see_the_present_observation(draws):
    draws()
    model = small()
    embeds, actions = rows()
    before = model.rollout_observation(embeds, actions)
    embeds[:, 2] += 5
    after = model.rollout_observation(embeds, actions)
    assert torch.equal(before["prior_logits"][:, :3], after["prior_logits"][:, :3])
    assert not torch.equal(before["post_logits"][:, 2], after["post_logits"][:, 2])


def test_a_state_carries_over():
    model = small()
    embeds, actions = rows()
    torch.manual_seed(5)
    model.rollout_observation(embeds[:, :2], actions[:, :2])
    state = {"h": torch.randn(B, H).double(), "z": torch.randn(B, S * K).double()}
    got = model.rollout_observation(embeds[:, :1], actions[:, :1], None, state)["h"][:, 0]
    torch.testing.assert_close(got, model.recurrent_step(state, actions[:, 0]))


# --- imagination ----------------------------------------------------------------------------------


def test_a_dream_holds_its_start_and_no_action_led_to_it(draws):
    draws()
    model = small()
    state = {"h": torch.randn(6, H).double(), "z": torch.randn(6, S * K).double()}
    seen = []

    def actor(feature):
        seen.append(feature)
        return torch.full((6, A), float(len(seen))).double()

    dream = model.rollout_imagination(state, actor, 3)
    assert {key: x.shape[:2] for key, x in dream.items()} == dict.fromkeys(dream, (6, 4))
    assert torch.equal(dream["h"][:, 0], state["h"]) and torch.equal(dream["z"][:, 0], state["z"])
    assert dream["action"][0, :, 0].tolist() == [0, 1, 2, 3]
    assert len(seen) == 3  # nobody acts in the last state
    for i in range(3):
        before = {key: dream[key][:, i] for key in ("h", "z")}
        h = model.recurrent_step(before, dream["action"][:, i + 1])
        torch.testing.assert_close(dream["h"][:, i + 1], h)
        torch.testing.assert_close(dream["z"][:, i + 1], model.prior(h)[0])
        assert torch.equal(seen[i], get_feature(before["h"], before["z"]))


def test_the_actor_sees_detached_features_and_its_action_stays_attached():
    model, policy = small(), torch.nn.Linear(S * K + H, A).double()
    state = {"h": torch.randn(2, H).double().requires_grad_(), "z": torch.randn(2, S * K).double()}
    features = []

    def actor(feature):
        features.append(feature)
        return policy(feature)

    dream = model.rollout_imagination(state, actor, 2)
    assert not any(feature.requires_grad for feature in features)
    (grad,) = torch.autograd.grad(dream["h"][:, -1].sum(), policy.weight, retain_graph=True)
    assert grad.abs().max() > 0
    (grad,) = torch.autograd.grad(dream["z"][:, -1, 0].sum(), policy.weight)  # straight through
    assert grad.abs().max() > 0


# --- Kullback-Leibler divergence ------------------------------------------------------------------


def pair():
    torch.manual_seed(4)
    make = lambda: torch.randn(B, T, S, K).double().requires_grad_()  # noqa: E731
    return make(), make()


def test_the_kl_is_that_of_posterior_and_prior_summed_over_categoricals():
    post, prior = pair()
    got = kl_divergence(post, prior)
    assert got.shape == (B, T)
    for b in range(B):
        for t in range(T):
            expected = sum(
                oracle.kl(oracle.softmax(p), oracle.softmax(q))
                for p, q in zip(post[b, t].tolist(), prior[b, t].tolist(), strict=True)
            )
            assert got[b, t].item() == pytest.approx(expected)


def test_the_kl_is_finite_where_a_class_is_almost_impossible():
    post, prior = torch.tensor([[200.0, 0.0]]), torch.tensor([[0.0, 200.0]])
    assert kl_divergence(post, prior).item() == pytest.approx(200)


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_the_balanced_kl_equals_the_plain_kl_for_every_balance(balance):
    post, prior = pair()
    loss, kl = kl_loss(post, prior, balance, free_nats=0.0)
    assert loss.item() == pytest.approx(kl_divergence(post, prior).mean().item())
    torch.testing.assert_close(kl, kl_divergence(post, prior).detach())
    post, prior = torch.tensor([[[[2.0, 0, 0]]]]), torch.tensor([[[[0.0, 1, 0]]]])
    assert kl_loss(post, prior, balance, 0.0)[0].item() == pytest.approx(0.779365, abs=1e-6)


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.8, 1.0])
def test_balancing_scales_the_two_gradients(balance):
    post, prior = pair()
    to_post, to_prior = torch.autograd.grad(kl_divergence(post, prior).mean(), (post, prior))
    got = torch.autograd.grad(kl_loss(post, prior, balance, 0.0)[0], (post, prior))
    torch.testing.assert_close(got[0], (1 - balance) * to_post)
    torch.testing.assert_close(got[1], balance * to_prior)


def test_free_nats_are_applied_to_the_mean():
    """KL 0.2, 0.2 and 5: their mean is 1.8, though two are below one nat."""
    p = torch.tensor([[[[0.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]]).double()
    # KL of a fair coin to logits (x, 0) is log cosh(x / 2).
    x = 2 * torch.acosh(torch.exp(torch.tensor([0.2, 0.2, 5.0]).double()))
    q = torch.stack([x, torch.zeros(3).double()], -1)[None, :, None]
    loss, kl = kl_loss(p, q, 0.8, 1.0)
    assert kl[0].tolist() == pytest.approx([0.2, 0.2, 5.0])
    assert loss.item() == pytest.approx(1.8)


@pytest.mark.parametrize("free, share", [(0.01, 1.0), (1000.0, 0.0)])
def test_below_the_free_nats_nothing_is_trained(free, share):
    post, prior = pair()
    loss, kl = kl_loss(post, prior, 0.8, free)
    grads = torch.autograd.grad(loss, (post, prior))
    assert loss.item() == pytest.approx(max(free, kl.mean().item()))
    assert all((grad.abs().max() > 0) == bool(share) for grad in grads)
    assert not kl.requires_grad
