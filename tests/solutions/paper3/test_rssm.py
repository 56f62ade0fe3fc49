"""DreamerV3's recurrent state-space model: dynamics, latents, resets, imagination, KL losses.

Rows follow the replay: actions[:, t] led to observation t. Sources: arXiv:2301.04104v2;
danijar/dreamerv3, dreamerv3/rssm.py.
"""

import math

import pytest
import torch

from solutions.paper3_dreamerv3.rssm import RSSM, feature, gru_update, kl_loss
from tests import oracle

B, T, E, A, H, S, K = 2, 4, 7, 2, 12, 3, 5


def irregular(*shape, scale=1.0, phase=0.0):
    numbers = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return (scale * torch.sin(1.7 * numbers**1.3 + phase)).view(*shape)


@pytest.fixture
def rssm():
    """Small and in float64; every parameter irregular, biases and norms too."""
    model = RSSM(E, A, deter=H, hidden=6, stoch=S, classes=K, blocks=4).double()
    for i, p in enumerate(model.parameters()):
        p.data = irregular(*p.shape, scale=0.8, phase=i) + (0.9 if p.ndim == 1 else 0.0)
    return model


@pytest.fixture
def sequence():
    """embeds, actions, is_first, state: irregular, and no episode begins."""
    z = torch.eye(K, dtype=torch.float64)[torch.tensor([[0, 3, 1], [4, 2, 2]])]
    return (
        irregular(B, T, E, phase=2.0),
        irregular(B, T, A, scale=1.8, phase=3.0),
        torch.zeros(B, T),
        (irregular(B, H, phase=4.0), z),
    )


def parameters(model):
    return {name: value.tolist() for name, value in model.state_dict().items()}


# --- sequence model -------------------------------------------------------------------------------


def test_the_feature_is_h_first_and_then_z():
    x = feature(torch.zeros(2, 4, 3), torch.ones(2, 4, 2, 5))
    assert x.shape == (2, 4, 13)
    assert not x[..., :3].any() and x[..., 3:].all()
    z = torch.arange(10.0).view(2, 5)
    assert torch.equal(feature(torch.zeros(0), z), torch.arange(10.0))


def test_the_state_before_any_observation_is_zero(rssm):
    h, z = rssm.initial(3)
    assert h.shape == (3, H) and z.shape == (3, S, K)
    assert h.dtype == torch.float64 and not h.any() and not z.any()


@pytest.mark.parametrize(
    "h, reset, candidate, update, expected",
    [
        (1.0, 0.0, 0.0, 0.0, 0.731059),  # 1 - sigmoid(-1)
        (0.0, 0.0, 2.0, 60.0, 0.761594),  # tanh(sigmoid(0) × 2)
        (0.7, 0.0, 2.0, -60.0, 0.7),
        (0.0, -60.0, 5.0, 60.0, 0.0),  # the reset gate acts inside the tanh
    ],
)
def test_the_gru_mixes_old_state_and_candidate(h, reset, candidate, update, expected):
    numbers = [torch.tensor([[x]], dtype=torch.float64) for x in (h, reset, candidate, update)]
    assert gru_update(*numbers).item() == pytest.approx(expected, abs=1e-6)


def test_the_gru_is_its_formula_for_irregular_gates():
    h, reset, candidate, update = (irregular(2, 3, scale=2.0, phase=i) for i in range(4))
    got = gru_update(h, reset, candidate, update)
    for b in range(2):
        for i in range(3):
            expected = oracle.gru(*(x[b, i].item() for x in (h, reset, candidate, update)))
            assert got[b, i].item() == pytest.approx(expected, rel=1e-12)


def test_a_dead_network_keeps_most_of_its_state(rssm):
    for p in rssm.parameters():
        p.data.zero_()
    h = rssm.sequence_model(torch.ones(1, H).double(), torch.zeros(1, S, K).double(),
                            torch.zeros(1, 6).double())  # fmt: skip
    torch.testing.assert_close(h, torch.full((1, H), 0.7310585786).double())


def test_the_sequence_model_is_the_block_gru_of_the_paper(rssm, sequence):
    _, actions, _, (h, z) = sequence
    action = rssm.bound_action(actions[:, 1])
    got = rssm.sequence_model(h, z, rssm.a_in(action))
    for b in range(B):
        expected = oracle.block_gru(
            h[b].tolist(), z[b].flatten().tolist(), action[b].tolist(), parameters(rssm)
        )
        assert got[b].tolist() == pytest.approx(expected, rel=1e-9)


def test_an_action_beyond_one_counts_as_one(rssm):
    action = torch.tensor([[5.0, 0.5], [-7.0, -1.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 0.5], [-1.0, -1.0]], dtype=torch.float64)
    assert torch.equal(rssm.bound_action(action), expected)


def test_the_scale_of_a_large_action_carries_no_gradient(rssm):
    action = torch.tensor([5.0, 0.5, -4.0], dtype=torch.float64, requires_grad=True)
    rssm.bound_action(action).sum().backward()
    assert action.grad.tolist() == pytest.approx([0.2, 1.0, 0.25])


def test_large_actions_are_bounded_in_observation_and_in_imagination(rssm, sequence, draws):
    draws()
    embeds, actions, is_first, state = sequence
    large, ones = torch.full_like(actions, 5.0), torch.ones_like(actions)
    a, b = (rssm.observe(embeds, x, is_first, state)[0] for x in (large, ones))
    assert torch.equal(a, b)
    a, b = (rssm.imagine(*state, lambda _, x=x: x[:, 0], 2)[0] for x in (large, ones))
    assert torch.equal(a, b)


def test_weights_of_split_layers_start_with_the_fan_of_the_whole_layer():
    """The core sees h and, for every block again, the three embeddings; the posterior [h, x]."""
    model = RSSM(200, 4, deter=64, hidden=48, stoch=4, classes=4, blocks=4)
    for weight, fan in (
        (model.core_h.weight, 64 + 4 * 3 * 48),
        (model.core_in.weight, 64 + 4 * 3 * 48),
        (model.gates.weight, 64),
        (model.post_h.weight, 264),
        (model.post_embed.weight, 264),
    ):
        assert weight.std().item() == pytest.approx(1 / math.sqrt(fan), rel=0.05)


# --- prior and posterior --------------------------------------------------------------------------


def test_the_prior_is_a_network_of_two_hidden_layers_on_h_alone(rssm):
    h, p = irregular(B, H), parameters(rssm)
    logits = rssm.prior(h)
    assert logits.shape == (B, S, K)
    for b in range(B):
        x = h[b].tolist()
        for i in (0, 2):
            x = oracle.linear(x, p[f"prior_mlp.{i}.weight"], p[f"prior_mlp.{i}.bias"])
            x = oracle.norm_silu(x, p[f"prior_mlp.{i + 1}.weight"])
        x = oracle.linear(x, p["prior_mlp.4.weight"], p["prior_mlp.4.bias"])
        assert logits[b].flatten().tolist() == pytest.approx(x, rel=1e-9)
    assert rssm.prior(irregular(3, B, H)).shape == (3, B, S, K)


def test_the_posterior_is_a_network_of_one_hidden_layer_on_h_and_embedding(rssm):
    h, embed, p = irregular(B, H), irregular(B, E, phase=1.0), parameters(rssm)
    logits = rssm.posterior(h, rssm.post_embed(embed))
    assert logits.shape == (B, S, K)
    weight = [[*a, *b] for a, b in zip(p["post_h.weight"], p["post_embed.weight"], strict=True)]
    for b in range(B):
        x = oracle.linear([*h[b].tolist(), *embed[b].tolist()], weight, p["post_h.bias"])
        x = oracle.norm_silu(x, p["post_out.0.weight"])
        x = oracle.linear(x, p["post_out.1.weight"], p["post_out.1.bias"])
        assert logits[b].flatten().tolist() == pytest.approx(x, rel=1e-9)


def test_latents_are_drawn_from_the_mixed_distribution(rssm, draws):
    """Class 0 has 99.2 % of [100, 0, 0, 0, 0]; the last 0.8 % are shared by all five classes."""
    logits = torch.tensor([100.0, 0, 0, 0, 0], dtype=torch.float64)
    for uniform, drawn in ((0.5, 0), (0.991, 0), (0.993, 1), (0.995, 2), (0.999, 4)):
        draws(uniform)
        assert rssm.sample(logits).argmax() == drawn


def test_the_gradient_of_a_latent_is_that_of_its_mixed_probabilities(rssm):
    logits = irregular(B, S, K, scale=2.0).requires_grad_()
    weight = irregular(B, S, K, phase=1.0)
    (rssm.sample(logits) * weight).sum().backward()
    for b in range(B):
        for s in range(S):
            p = oracle.softmax(logits[b, s].tolist())
            w = weight[b, s].tolist()
            mean = sum(a * c for a, c in zip(p, w, strict=True))
            expected = [0.99 * a * (c - mean) for a, c in zip(p, w, strict=True)]
            assert logits.grad[b, s].tolist() == pytest.approx(expected, abs=1e-12)


# --- observe --------------------------------------------------------------------------------------


def test_observe_returns_every_step_of_the_sequence(rssm, sequence):
    h, z, logits = rssm.observe(*sequence)
    assert h.shape == (B, T, H) and z.shape == logits.shape == (B, T, S, K)
    assert ((z == 0) | (z == 1)).all() and (z.sum(-1) == 1).all()


def test_observe_steps_the_model_once_for_each_row(rssm, sequence, draws):
    """h_t = f(h_{t-1}, z_{t-1}, a_t), then the posterior of h_t and x_t, then its sample."""
    draws()
    embeds, actions, is_first, (h, z) = sequence
    hs, zs, logits = rssm.observe(*sequence)
    for t in range(T):
        h = rssm.sequence_model(h, z, rssm.a_in(rssm.bound_action(actions[:, t])))
        expected = rssm.posterior(h, rssm.post_embed(embeds[:, t]))
        z = rssm.sample(expected)
        torch.testing.assert_close(hs[:, t], h)
        torch.testing.assert_close(logits[:, t], expected)
        torch.testing.assert_close(zs[:, t], z)


def test_prior_and_posterior_share_one_pass_of_the_sequence_model(rssm, sequence, monkeypatch):
    real, calls = rssm.sequence_model, []
    monkeypatch.setattr(rssm, "sequence_model", lambda *x: calls.append(x) or real(*x))
    rssm.observe(*sequence)
    assert len(calls) == T
    rssm.imagine(*sequence[3], linear_policy, 3)
    assert len(calls) == T + 3


def test_a_sequence_can_be_observed_in_pieces(rssm, sequence, draws):
    draws()
    embeds, actions, is_first, state = sequence
    whole = rssm.observe(*sequence)
    first = rssm.observe(embeds[:, :1], actions[:, :1], is_first[:, :1], state)
    state = first[0][:, -1], first[1][:, -1]
    second = rssm.observe(embeds[:, 1:], actions[:, 1:], is_first[:, 1:], state)
    for a, b, c in zip(whole, first, second, strict=True):
        torch.testing.assert_close(a, torch.cat([b, c], 1))


def test_nothing_leaks_from_one_call_into_the_next(rssm, sequence, draws):
    draws()
    first = rssm.observe(*sequence)
    rssm.observe(-sequence[0], -sequence[1], sequence[2], rssm.initial(B))
    for a, b in zip(first, rssm.observe(*sequence), strict=True):
        assert torch.equal(a, b)


def test_sequences_of_a_batch_do_not_see_each_other(rssm, sequence, draws):
    draws()
    embeds, actions, is_first, (h, z) = sequence
    order = torch.tensor([1, 0])
    swapped = rssm.observe(embeds[order], actions[order], is_first[order], (h[order], z[order]))
    alone = rssm.observe(embeds[:1], actions[:1], is_first[:1], (h[:1], z[:1]))
    for a, b, c in zip(rssm.observe(*sequence), swapped, alone, strict=True):
        torch.testing.assert_close(a, b[order])
        torch.testing.assert_close(a[:1], c)


def reach(output, source):
    """Which steps of `source` (B, T, ...) have a gradient from `output`, for any sequence."""
    gradient = torch.autograd.grad(output.sum(), source, retain_graph=True)[0]
    return (gradient != 0).flatten(2).any(-1).any(0).tolist()


def test_the_posterior_sees_its_observation_and_the_prior_only_earlier_ones(rssm, sequence):
    embeds, actions, is_first, state = sequence
    embeds.requires_grad_()
    h, z, posterior = rssm.observe(embeds, actions, is_first, state)
    weight = irregular(S, K, phase=5.0)
    prior = rssm.prior(h)
    assert reach(h[:, 2], embeds) == [True, True, False, False]
    assert reach(prior[:, 2] * weight, embeds) == [True, True, False, False]
    assert reach(posterior[:, 2] * weight, embeds) == [True, True, True, False]
    assert reach(z[:, 2] * weight, embeds) == [True, True, True, False]
    assert reach(h[:, 0], embeds) == [False] * 4


def test_action_t_is_the_action_that_led_to_state_t(rssm, sequence):
    embeds, actions, is_first, state = sequence
    actions.requires_grad_()
    h, _, _ = rssm.observe(embeds, actions, is_first, state)
    for t in range(T):
        assert reach(h[:, t], actions) == [i <= t for i in range(T)]


def test_the_state_before_the_sequence_matters(rssm, sequence):
    embeds, actions, is_first, (h, z) = sequence
    h.requires_grad_(), z.requires_grad_()
    out = rssm.observe(embeds, actions, is_first, (h, z))[0]
    for gradient in torch.autograd.grad(out[:, 0].sum(), (h, z)):
        assert (gradient != 0).any()


def test_at_the_start_of_an_episode_h_z_and_action_before_it_count_as_zero(rssm, sequence, draws):
    """Row 0 begins an episode at t=2; row 1 does not and must not notice."""
    draws()
    embeds, actions, is_first, state = sequence
    plain = rssm.observe(*sequence)
    is_first[0, 2] = 1
    got = rssm.observe(embeds, actions, is_first, state)
    fresh = torch.cat([torch.zeros(1, 1, A).double(), actions[:1, 3:]], 1)
    expected = rssm.observe(embeds[:1, 2:], fresh, is_first[:1, 2:] * 0, rssm.initial(1))
    h0, z0 = rssm.initial(1)
    by_hand = rssm.sequence_model(h0, z0, rssm.a_in(torch.zeros(1, A).double()))
    torch.testing.assert_close(got[0][:1, 2], by_hand)
    for a, b, c in zip(got, expected, plain, strict=True):
        torch.testing.assert_close(a[:1, 2:], b)
        assert torch.equal(a[0, :2], c[0, :2])
        assert torch.equal(a[1], c[1])
    assert not torch.allclose(got[0][0, 2:], plain[0][0, 2:])


@pytest.mark.parametrize("what", ["h", "z", "action", "embeds"])
def test_nothing_from_before_the_start_of_an_episode_reaches_it(rssm, sequence, what):
    embeds, actions, is_first, (h, z) = sequence
    is_first[0, 1] = 1
    source = {"h": h, "z": z, "action": actions, "embeds": embeds}[what].requires_grad_()
    out = rssm.observe(embeds, actions, is_first, (h, z))[0]
    gradient = torch.autograd.grad(out[:, 1:].sum(), source)[0]
    before = (
        gradient[:, :2] if what == "action" else gradient[:, :1] if what == "embeds" else gradient
    )
    assert not before[0].any() and before[1].any()
    if what == "action":
        assert gradient[0, 2].any()  # the first action of the episode leads to its second row


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_is_first_may_come_in_any_type(rssm, sequence, draws, dtype):
    draws()
    embeds, actions, is_first, state = sequence
    is_first[:, 1] = 1
    a = rssm.observe(embeds, actions, is_first.double(), state)[0]
    assert torch.equal(a, rssm.observe(embeds, actions, is_first.to(dtype), state)[0])


def test_one_row_of_one_sequence_can_be_observed(rssm, sequence):
    embeds, actions, is_first, (h, z) = sequence
    out = rssm.observe(embeds[:1, :1], actions[:1, :1], is_first[:1, :1], (h[:1], z[:1]))
    assert [tuple(x.shape) for x in out] == [(1, 1, H), (1, 1, S, K), (1, 1, S, K)]


def test_gradients_travel_back_through_the_whole_sequence(rssm, sequence):
    """Through h and, straight through its samples, through z."""
    embeds, actions, is_first, (h, z) = sequence
    h.requires_grad_()
    out = rssm.observe(embeds.requires_grad_(), actions, is_first, (h, z))[0]
    for source in (h, embeds):
        gradient = torch.autograd.grad(out[:, -1].sum(), source, retain_graph=True)[0]
        assert gradient[:, 0].any()


# --- imagine --------------------------------------------------------------------------------------


def linear_policy(state):
    """An action that tells which state it was made for."""
    return torch.stack([state.sum(-1), (state * torch.arange(state.shape[-1])).sum(-1)], -1) / 50


def test_a_dream_holds_the_start_and_then_one_state_for_each_step(rssm, sequence):
    h, z = sequence[3]
    for horizon in (1, 3):
        states, actions = rssm.imagine(h, z, linear_policy, horizon)
        assert states.shape == (B, 1 + horizon, H + S * K)
        assert actions.shape == (B, 1 + horizon, A)
        assert torch.equal(states[:, 0], feature(h, z))
    assert rssm.imagine(h[:1], z[:1], linear_policy, 1)[0].shape == (1, 2, H + S * K)


def test_a_feature_can_be_split_into_its_state(rssm, sequence):
    h, z = rssm.split(feature(*sequence[3]))
    assert torch.equal(h, sequence[3][0]) and torch.equal(z, sequence[3][1])


def test_an_imagined_action_is_taken_at_its_state_and_leads_to_the_next(rssm, sequence, draws):
    draws()
    states, actions = rssm.imagine(*sequence[3], linear_policy, 3)
    hs, zs = rssm.split(states)
    for t in range(4):
        torch.testing.assert_close(actions[:, t], linear_policy(feature(hs[:, t], zs[:, t])))
    for t in range(3):
        action_in = rssm.a_in(rssm.bound_action(actions[:, t]))
        h = rssm.sequence_model(hs[:, t], zs[:, t], action_in)
        torch.testing.assert_close(hs[:, t + 1], h)
        assert torch.equal(zs[:, t + 1], rssm.sample(rssm.prior(h)))


def test_imagined_actions_are_kept_as_taken_though_the_model_bounds_them(rssm, sequence):
    _, actions = rssm.imagine(*sequence[3], lambda x: 3 * torch.ones(len(x), A).double(), 2)
    assert torch.equal(actions, torch.full((B, 3, A), 3.0).double())


def test_a_dream_uses_the_prior_alone(rssm, sequence, monkeypatch):
    def refuse(*_):
        raise AssertionError("the posterior needs an observation")

    monkeypatch.setattr(rssm, "posterior", refuse)
    monkeypatch.setattr(rssm.post_embed, "forward", refuse)
    rssm.imagine(*sequence[3], linear_policy, 2)


def test_imagined_latents_are_drawn_and_not_the_most_probable(rssm, sequence, draws):
    draws(0.9999)
    states, _ = rssm.imagine(*sequence[3], linear_policy, 1)
    assert (rssm.split(states)[1][:, 1].argmax(-1) == K - 1).all()


def test_a_dream_carries_no_gradient(rssm, sequence):
    h, z = sequence[3]
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    out = rssm.imagine(
        h.requires_grad_(), z.requires_grad_(), lambda x: scale * linear_policy(x), 2
    )
    assert not any(x.requires_grad for x in out)


# --- KL -------------------------------------------------------------------------------------------


def raw(*rows):
    """Logits (1, T, S, K) in float64."""
    return torch.tensor([rows], dtype=torch.float64)


def test_the_kl_goes_from_posterior_to_prior():
    dyn, rep = kl_loss(raw([[2.0, 0, 0]]), raw([[0.0, 1, 0]]), free_nats=0.0, ratio=0.0)
    assert dyn.item() == pytest.approx(0.779365, abs=1e-6)
    assert rep.item() == pytest.approx(0.779365, abs=1e-6)


def test_both_sides_of_the_kl_are_mixed_with_the_uniform_distribution():
    logits = raw([[100.0, 0, 0, 0]])
    dyn, rep = kl_loss(logits, logits.flip(-1))
    assert dyn.item() == pytest.approx(5.9241, abs=1e-4)
    assert rep.item() == pytest.approx(5.9241, abs=1e-4)


def test_the_kl_is_summed_over_categoricals_for_each_row():
    posterior, prior = irregular(B, T, S, K, scale=3.0), irregular(B, T, S, K, phase=1.0)
    dyn, rep = kl_loss(posterior, prior, free_nats=0.3, ratio=0.05)
    assert dyn.shape == rep.shape == (B, T)
    for b in range(B):
        for t in range(T):
            expected = sum(
                oracle.kl(
                    oracle.mixed(posterior[b, t, s].tolist(), 0.05),
                    oracle.mixed(prior[b, t, s].tolist(), 0.05),
                )
                for s in range(S)
            )
            assert dyn[b, t].item() == pytest.approx(max(0.3, expected), rel=1e-9)
            assert rep[b, t].item() == pytest.approx(max(0.3, expected), rel=1e-9)


def test_the_dynamics_loss_trains_the_prior_and_the_representation_loss_the_posterior():
    """Closed forms without mixing: q - p for the prior, p (log p/q - KL) for the posterior."""
    posterior = irregular(1, 2, S, K, scale=2.0).requires_grad_()
    prior = irregular(1, 2, S, K, phase=1.0).requires_grad_()
    dyn, rep = kl_loss(posterior, prior, free_nats=0.0, ratio=0.0)
    to_prior = torch.autograd.grad(dyn.sum(), prior, retain_graph=True)[0]
    to_posterior = torch.autograd.grad(rep.sum(), posterior, retain_graph=True)[0]
    for loss, other in ((dyn, posterior), (rep, prior)):
        none = torch.autograd.grad(loss.sum(), other, retain_graph=True, allow_unused=True)[0]
        assert none is None or not none.any()
    for t in range(2):
        for s in range(S):
            p, q = (oracle.softmax(x[0, t, s].tolist()) for x in (posterior, prior))
            kl = oracle.kl(p, q)
            expected = [b - a for a, b in zip(p, q, strict=True)]
            assert to_prior[0, t, s].tolist() == pytest.approx(expected, abs=1e-9)
            expected = [a * (math.log(a / b) - kl) for a, b in zip(p, q, strict=True)]
            assert to_posterior[0, t, s].tolist() == pytest.approx(expected, abs=1e-9)


def rows_with_kl(*kls):
    """One categorical of two classes a row; posterior [1, 0], prior e^-kl for class 0."""
    posterior = raw(*[[[60.0, 0.0]] for _ in kls]).requires_grad_()
    prior = raw(*[[[-k, math.log(1 - math.exp(-k))]] for k in kls]).requires_grad_()
    return posterior, prior


def test_free_nats_hold_for_each_row_and_not_for_the_mean():
    dyn, rep = kl_loss(*rows_with_kl(0.2, 0.2, 5.0), ratio=0.0)
    assert dyn[0].tolist() == pytest.approx([1, 1, 5])
    assert rep.mean().item() == pytest.approx(2.3333, abs=1e-4)


def test_free_nats_hold_for_the_sum_of_the_categoricals_and_not_for_each():
    """KLs 0.2, 0.3, 0.4 give 1 nat; 0.4, 0.5, 0.6 give 1.5 nats, not 3."""
    posterior, prior = rows_with_kl(0.2, 0.3, 0.4, 0.4, 0.5, 0.6)
    dyn, rep = kl_loss(posterior.view(1, 2, 3, 2), prior.view(1, 2, 3, 2), ratio=0.0)
    assert dyn[0].tolist() == pytest.approx([1.0, 1.5])
    assert rep[0].tolist() == pytest.approx([1.0, 1.5])


def test_below_the_free_nats_nothing_is_learned_and_above_nothing_is_subtracted():
    for i in range(2):
        posterior, prior = rows_with_kl(0.3, 5.0)
        posterior.data[..., 0] = 2.0
        kl_loss(posterior, prior, free_nats=1.0, ratio=0.0)[i].sum().backward()
        gradient = (prior, posterior)[i].grad
        assert not gradient[0, 0].any() and gradient[0, 1].abs().min() > 1e-3
