"""DreamerV1's recurrent state-space model: what is given. The exercises have checks.

Sources: arXiv:1912.01603; danijar/dreamer, models.py.
"""

import torch

from solutions.paper1_dreamerv1.rssm import RSSM, get_feature

B, T, E, A, H, Z = 2, 4, 7, 2, 5, 3


def small():
    torch.manual_seed(0)
    return RSSM(A, E, state_dim=Z, rnn_hidden_dim=H, hidden_dim=6).double()


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


def test_the_state_before_any_observation_is_zero():
    state = small().get_initial_state(3)
    assert state["h"].shape == (1, 3, H) and state["z"].shape == (3, Z)
    assert state["h"].dtype == state["z"].dtype == torch.float64
    assert not state["h"].any() and not state["z"].any()


def test_flags_may_be_booleans(draws):
    draws()
    model = small()
    embeds, actions = torch.randn(B, T, E).double(), torch.randn(B, T, A).double()
    is_first = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0]])
    a = model.rollout_observation(embeds, actions, is_first.bool())
    b = model.rollout_observation(embeds, actions, is_first.double())
    assert torch.equal(a["h"], b["h"])


def test_a_dream_goes_on_from_a_filtered_state(draws):
    """Filtering and dreaming the same actions agree in h, as far as z is the same."""
    draws()
    model = small()
    embeds, actions = torch.randn(B, T, E).double(), torch.randn(B, T, A).double()
    seen = model.rollout_observation(embeds, actions)
    start = {"h": seen["h"][None, :, -2], "z": seen["z"][:, -2]}
    dream = model.rollout_imagination(start, lambda _: actions[:, -1], 1)
    torch.testing.assert_close(dream["h"][:, 0], seen["h"][:, -1])
    torch.testing.assert_close(dream["z"][:, 0], seen["prior_mean"][:, -1])
