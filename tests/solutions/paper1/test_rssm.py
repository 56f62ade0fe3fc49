"""DreamerV1's recurrent state-space model: dynamics, latents, filtering, imagination, KL.

Rows follow the replay: actions[:, t] led to observation t. Sources: arXiv:1912.01603;
danijar/dreamer, models.py and dreamer.py.
"""

import math

import pytest
import torch

from solutions.paper1_dreamerv1.rssm import (
    RSSM,
    get_feature,
    kl_divergence,
    kl_loss,
    sample_normal,
)
from tests import oracle

B, T, E, A, H, Z = 2, 4, 7, 2, 5, 3


def irregular(*shape, scale=1.0, phase=0.0):
    numbers = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return (scale * torch.sin(1.7 * numbers**1.3 + phase)).view(*shape)


@pytest.fixture
def rssm():
    model = RSSM(A, E, state_dim=Z, rnn_hidden_dim=H, hidden_dim=6, min_std=0.1).double()
    for i, p in enumerate(model.parameters()):
        p.data = irregular(*p.shape, scale=0.8, phase=i)
    return model


@pytest.fixture
def sequence():
    return irregular(B, T, E, phase=2.0), irregular(B, T, A, phase=3.0)


@pytest.fixture
def state():
    return {"h": irregular(1, B, H, phase=4.0), "z": irregular(B, Z, phase=5.0)}


def parameters(model):
    return {name: value.tolist() for name, value in model.state_dict().items()}


# --- parts ----------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_official_code():
    model = RSSM(6)
    assert (model.rnn_hidden_dim, model.state_dim, model.min_std) == (200, 30, 0.1)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters() if "weight" in name}
    assert shapes == {
        "fc_in.weight": (200, 36),
        "rnn.weight_ih_l0": (600, 200), "rnn.weight_hh_l0": (600, 200),
        "fc_prior.weight": (200, 200),
        "fc_prior_mean.weight": (30, 200), "fc_prior_std.weight": (30, 200),
        "fc_post.weight": (200, 1224),
        "fc_post_mean.weight": (30, 200), "fc_post_std.weight": (30, 200),
    }  # fmt: skip


def test_the_feature_is_z_first_and_then_h():
    feature = get_feature(torch.zeros(2, 4, 3), torch.ones(2, 4, 2))
    assert feature.shape == (2, 4, 5)
    assert feature[..., :2].all() and not feature[..., 2:].any()


def test_a_sample_is_mean_plus_std_times_noise_with_gradient_to_both(draws):
    draws(normal=1.5)
    mean = torch.tensor([1.0, -2.0], requires_grad=True)
    std = torch.tensor([0.5, 3.0], requires_grad=True)
    sample = sample_normal(mean, std)
    assert sample.tolist() == [1.75, 2.5]
    (sample * torch.tensor([2.0, 3.0])).sum().backward()
    assert mean.grad.tolist() == [2.0, 3.0] and std.grad.tolist() == [3.0, 4.5]


def test_the_state_before_any_observation_is_zero(rssm):
    state = rssm.get_initial_state(3)
    assert state["h"].shape == (1, 3, H) and state["z"].shape == (3, Z)
    assert state["h"].dtype == state["z"].dtype == torch.float64
    assert not state["h"].any() and not state["z"].any()


def test_the_recurrent_step_is_a_dense_layer_and_a_gru(rssm, state):
    action = irregular(B, A)
    h_out, h_new = rssm.recurrent_step(state, action)
    assert h_out.shape == (B, H) and h_new.shape == (1, B, H)
    assert torch.equal(h_out, h_new[0])
    for b in range(B):
        expected = oracle.gaussian_rssm_step(
            state["h"][0, b].tolist(), state["z"][b].tolist(), action[b].tolist(), parameters(rssm)
        )
        assert h_out[b].tolist() == pytest.approx(expected, rel=1e-9)


def test_rows_of_a_batch_do_not_mix(rssm, state):
    action = irregular(B, A).requires_grad_()
    h_out, _ = rssm.recurrent_step(state, action)
    h_out[0].sum().backward()
    assert action.grad[0].abs().min() > 0 and not action.grad[1].any()


@pytest.mark.parametrize("name", ["fc_prior", "fc_post"])
def test_prior_and_posterior_are_networks_of_one_hidden_layer(rssm, name):
    h, embed, p = irregular(B, H), irregular(B, E, phase=1.0), parameters(rssm)
    mean, std = rssm.prior(h) if name == "fc_prior" else rssm.posterior(h, embed)
    assert mean.shape == std.shape == (B, Z)
    for b in range(B):
        inputs = h[b].tolist() + (embed[b].tolist() if name == "fc_post" else [])
        expected = oracle.gaussian_head(inputs, p, name, 0.1)
        assert mean[b].tolist() == pytest.approx(expected[0], rel=1e-9)
        assert std[b].tolist() == pytest.approx(expected[1], rel=1e-9)


def test_the_hidden_layer_of_the_prior_is_an_elu():
    model = RSSM(1, 1, state_dim=2, rnn_hidden_dim=2, hidden_dim=2).double()
    for layer in (model.fc_prior, model.fc_prior_mean):
        layer.weight.data, layer.bias.data = torch.eye(2).double(), torch.zeros(2).double()
    mean, _ = model.prior(torch.tensor([[-1.0, 2.0]], dtype=torch.float64))
    assert mean[0].tolist() == pytest.approx([math.exp(-1) - 1, 2.0])


@pytest.mark.parametrize("bias, expected", [(-100.0, 0.1), (0.0, math.log(2) + 0.1)])
def test_the_standard_deviation_never_falls_below_its_minimum(rssm, bias, expected):
    for layer in (rssm.fc_prior_std, rssm.fc_post_std):
        layer.weight.data.zero_()
        layer.bias.data.fill_(bias)
    for std in (
        rssm.prior(irregular(B, H))[1],
        rssm.posterior(irregular(B, H), irregular(B, E))[1],
    ):
        assert std.flatten().tolist() == pytest.approx([expected] * B * Z, abs=1e-9)


# --- rollout_observation --------------------------------------------------------------------------


def test_filtering_is_step_posterior_sample_at_every_time(rssm, sequence, state, draws):
    draws(normal=0.7)
    embeds, actions = sequence
    got = rssm.rollout_observation(embeds, actions, state=state)
    p = parameters(rssm)
    for b in range(B):
        h, z = state["h"][0, b].tolist(), state["z"][b].tolist()
        for t in range(T):
            h = oracle.gaussian_rssm_step(h, z, actions[b, t].tolist(), p)
            mean, std = oracle.gaussian_head([*h, *embeds[b, t].tolist()], p, "fc_post", 0.1)
            z = [m + 0.7 * s for m, s in zip(mean, std, strict=True)]
            prior = oracle.gaussian_head(h, p, "fc_prior", 0.1)
            for key, expected in (
                ("h", h), ("z", z), ("post_mean", mean), ("post_std", std),
                ("prior_mean", prior[0]), ("prior_std", prior[1]),
            ):  # fmt: skip
                assert got[key][b, t].tolist() == pytest.approx(expected, rel=1e-8), (key, t)


def test_without_a_state_filtering_starts_from_zero_every_time(rssm, sequence, draws):
    draws()
    first = rssm.rollout_observation(*sequence)
    again = rssm.rollout_observation(*sequence)
    given = rssm.rollout_observation(*sequence, state=rssm.get_initial_state(B))
    for key in first:
        assert torch.equal(first[key], again[key]) and torch.equal(first[key], given[key])


def test_the_prior_does_not_see_the_present_observation(rssm, sequence, draws):
    draws()
    embeds, actions = sequence
    other = embeds.clone()
    other[:, 2] += 1
    a, b = (rssm.rollout_observation(x, actions) for x in (embeds, other))
    changed = {key: [not torch.equal(a[key][:, t], b[key][:, t]) for t in range(T)] for key in a}
    assert changed["post_mean"] == [False, False, True, True]
    assert changed["prior_mean"] == changed["h"] == [False, False, False, True]


def test_the_action_of_a_row_led_to_its_observation(rssm, sequence, draws):
    draws()
    embeds, actions = sequence
    for k in range(T):
        other = actions.clone()
        other[:, k] += 1
        a, b = (rssm.rollout_observation(embeds, x)["h"] for x in (actions, other))
        changed = [not torch.equal(a[:, t], b[:, t]) for t in range(T)]
        assert changed == [t >= k for t in range(T)]


def test_where_an_episode_begins_nothing_before_counts(rssm, sequence, state, draws):
    draws()
    embeds, actions = sequence
    is_first = torch.zeros(B, T)
    is_first[0, 2] = 1
    got = rssm.rollout_observation(embeds, actions, is_first, state)
    fresh_actions = actions[:, 2:].clone()
    fresh_actions[:, 0] = 0
    fresh = rssm.rollout_observation(embeds[:, 2:], fresh_actions)
    plain = rssm.rollout_observation(embeds, actions, None, state)
    for key in got:
        torch.testing.assert_close(got[key][0, 2:], fresh[key][0])
        assert torch.equal(got[key][1], plain[key][1])  # the other row of the batch
        assert torch.equal(got[key][0, :2], plain[key][0, :2])


def test_flags_may_be_booleans(rssm, sequence, draws):
    draws()
    is_first = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0]])
    a = rssm.rollout_observation(*sequence, is_first.bool())
    b = rssm.rollout_observation(*sequence, is_first.double())
    assert torch.equal(a["h"], b["h"])


def test_one_sequence_of_one_step(rssm, sequence):
    got = rssm.rollout_observation(sequence[0][:1, :1], sequence[1][:1, :1])
    assert got["h"].shape == (1, 1, H) and got["prior_std"].shape == (1, 1, Z)


def test_gradients_reach_the_first_observation_through_time(rssm, sequence):
    embeds = sequence[0].requires_grad_()
    rssm.rollout_observation(embeds, sequence[1])["h"][:, -1].sum().backward()
    assert embeds.grad[:, 0].abs().min() > 0 and not embeds.grad[:, -1].any()


def test_the_gradient_through_time_is_that_of_finite_differences(rssm, sequence, draws):
    """Through h and z of every step, as far back as the sequence goes."""
    draws(normal=0.3)

    def end(embeds, actions):
        got = rssm.rollout_observation(embeds, actions)
        return (got["h"][:, -1].sum() + 0.7 * got["post_mean"][:, -1].sum(),)

    inputs = [x[:1, :3].clone().requires_grad_() for x in sequence]
    assert torch.autograd.gradcheck(end, inputs, eps=1e-6, atol=1e-6)


# --- rollout_imagination --------------------------------------------------------------------------


def test_a_dream_has_as_many_states_as_its_horizon_without_the_start(rssm, state):
    dream = rssm.rollout_imagination(state, lambda f: f[:, :A], 5)
    assert dream["h"].shape == (B, 5, H)
    assert dream["z"].shape == (B, 5, Z)
    assert dream["action"].shape == (B, 5, A)
    assert rssm.rollout_imagination(state, lambda f: f[:, :A], 1)["h"].shape == (B, 1, H)


def test_dreaming_is_act_step_prior_sample(rssm, state, draws):
    draws(normal=-0.4)
    weight = irregular(A, Z + H, phase=9.0)
    dream = rssm.rollout_imagination(state, lambda f: torch.tanh(f @ weight.T), 3)
    p = parameters(rssm)
    for b in range(B):
        h, z = state["h"][0, b].tolist(), state["z"][b].tolist()
        for t in range(3):
            action = [math.tanh(v) for v in oracle.linear([*z, *h], weight.tolist(), None)]
            h = oracle.gaussian_rssm_step(h, z, action, p)
            mean, std = oracle.gaussian_head(h, p, "fc_prior", 0.1)
            z = [m - 0.4 * s for m, s in zip(mean, std, strict=True)]
            assert dream["action"][b, t].tolist() == pytest.approx(action, rel=1e-8)
            assert dream["h"][b, t].tolist() == pytest.approx(h, rel=1e-8)
            assert dream["z"][b, t].tolist() == pytest.approx(z, rel=1e-8)


def test_the_actor_sees_its_state_without_gradient(rssm, state):
    seen = []

    def actor(feature):
        seen.append(feature.requires_grad)
        return feature[:, :A]

    state = {key: x.requires_grad_() for key, x in state.items()}
    rssm.rollout_imagination(state, actor, 3)
    assert seen == [False] * 3


def test_gradients_flow_from_later_states_into_earlier_actions(rssm, state):
    actions = [irregular(B, A, phase=i).requires_grad_() for i in range(3)]
    given = iter(actions)
    dream = rssm.rollout_imagination(state, lambda _: next(given), 3)
    dream["z"][:, 1].sum().backward()
    assert actions[0].grad.abs().min() > 0 and actions[1].grad.abs().min() > 0
    assert not actions[2].grad.any()


def test_the_gradient_of_a_dream_is_that_of_finite_differences(rssm, state, draws):
    """Through both h and z, over two steps."""
    draws(normal=0.3)

    def end(action):
        given = iter([action, torch.zeros_like(action)])
        dream = rssm.rollout_imagination(state, lambda _: next(given), 2)
        return (dream["z"][:, 1].sum() + 0.7 * dream["h"][:, 1].sum(),)

    action = irregular(B, A).requires_grad_()
    assert torch.autograd.gradcheck(end, action, eps=1e-6, atol=1e-6)


# --- KL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "p, q", [((0.3, 0.5), (-0.2, 1.4)), ((0.0, 2.0), (1.0, 0.7)), ((1.0, 1.0), (1.0, 1.0))]
)
def test_the_divergence_of_normals_is_its_integral(p, q):
    numbers = [torch.tensor([x], dtype=torch.float64) for x in (*p, *q)]
    got = kl_divergence(*numbers).item()
    assert got == pytest.approx(oracle.normal_kl(*p, *q), abs=1e-7)


def test_the_divergence_is_summed_over_units():
    mean_p, std_p = torch.tensor([0.3, -1.0]).double(), torch.tensor([0.5, 2.0]).double()
    mean_q, std_q = torch.tensor([1.0, 0.4]).double(), torch.tensor([1.5, 0.9]).double()
    expected = oracle.normal_kl(0.3, 0.5, 1.0, 1.5) + oracle.normal_kl(-1.0, 2.0, 0.4, 0.9)
    assert kl_divergence(mean_p, std_p, mean_q, std_q).item() == pytest.approx(expected, abs=1e-6)


def shifted(kls):
    """Arguments of kl_loss whose divergences are the given numbers: unit normals, shifted."""
    kl = torch.tensor(kls, dtype=torch.float64)[..., None]
    zero, one = torch.zeros_like(kl), torch.ones_like(kl)
    return [(2 * kl).sqrt().requires_grad_(), one, zero.requires_grad_(), one]


@pytest.mark.parametrize(
    "kls, free, loss",
    [
        ([[0.2, 0.2, 5.0]], 1.0, 1.8),  # the mean; per step it would be 2.3333
        ([[0.3, 0.3]], 1.0, 1.0),
        ([[5.0, 5.0]], 1.0, 5.0),
        ([[0.5, 4.5], [2.0, 1.0]], 3.0, 3.0),
    ],
)
def test_free_nats_are_granted_to_the_mean_of_batch_and_time(kls, free, loss):
    got, kl = kl_loss(*shifted(kls), free)
    assert got.shape == () and got.item() == pytest.approx(loss)
    assert kl.item() == pytest.approx(sum(map(sum, kls)) / sum(map(len, kls)))
    assert not kl.requires_grad


def test_below_the_free_nats_nothing_is_trained_above_both_sides_are():
    low, high = shifted([[0.3, 0.3]]), shifted([[5.0, 2.0]])
    kl_loss(*low, 1.0)[0].backward()
    assert not low[0].grad.any() and not low[2].grad.any()
    kl_loss(*high, 1.0)[0].backward()
    # d/dm of m² / 2, averaged over two steps
    assert high[0].grad.flatten().tolist() == pytest.approx([10**0.5 / 2, 1.0])
    assert high[2].grad.flatten().tolist() == pytest.approx([-(10**0.5) / 2, -1.0])


def test_the_loss_is_the_divergence_of_the_posterior_from_the_prior():
    numbers = [torch.full((1, 1, 1), x, dtype=torch.float64) for x in (0.3, 0.5, 1.0, 1.5)]
    loss, _ = kl_loss(*numbers, 0.0)
    assert loss.item() == pytest.approx(oracle.normal_kl(0.3, 0.5, 1.0, 1.5), abs=1e-7)


def test_three_nats_are_free_unless_another_number_is_given():
    assert kl_loss(*shifted([[0.5]]))[0].item() == 3.0
