"""DreamerV3's optimiser: adaptive gradient clipping, LaProp, warm-up.

Sources: arXiv:2102.06171 (AGC), arXiv:2002.04839 (LaProp); danijar/dreamerv3, embodied/jax/opt.py.
"""

import copy

import pytest
import torch
from torch import nn

from solutions.paper3_dreamerv3.optim import LaProp, adaptive_gradient_clipping
from tests import oracle


def parameter(*values, grad=None):
    p = nn.Parameter(torch.tensor(values, dtype=torch.float64))
    if grad is not None:
        p.grad = torch.tensor(grad, dtype=torch.float64)
    return p


def follow(optimizer, p, gradients):
    """Positions of the first entry after each update."""
    positions = []
    for g in gradients:
        p.grad = torch.full_like(p, g)
        optimizer.step()
        positions.append(p.data.flatten()[0].item())
    return positions


# --- adaptive gradient clipping -------------------------------------------------------------------


def test_a_gradient_is_cut_to_a_share_of_the_norm_of_its_parameter():
    p = parameter(1.2, 1.6, grad=[6.0, -8.0])  # norms 2 and 10
    adaptive_gradient_clipping([p])
    assert p.grad.tolist() == pytest.approx([0.36, -0.48])  # norm 0.3 × 2
    adaptive_gradient_clipping([p], clip=0.1)
    assert p.grad.norm().item() == pytest.approx(0.2)


def test_a_small_gradient_is_left_alone():
    p = parameter(1.2, 1.6, grad=[0.3, -0.4])
    adaptive_gradient_clipping([p])
    assert p.grad.tolist() == [0.3, -0.4]


def test_a_zero_parameter_may_still_move():
    p = parameter(0.0, 0.0, 0.0, grad=[0.0, 6.0, 8.0])
    adaptive_gradient_clipping([p])
    assert p.grad.tolist() == pytest.approx([0.0, 1.8e-4, 2.4e-4])  # norm 0.3 × 1e-3


def test_each_tensor_is_clipped_for_itself():
    large, small = parameter(3.0, 4.0, grad=[0.3, 0.4]), parameter(0.1, grad=[50.0])
    matrix = nn.Parameter(torch.full((2, 2), 0.5).double())  # norm 1, whatever its rows
    matrix.grad = torch.tensor([[3.0, 0.0], [0.0, 4.0]]).double()
    adaptive_gradient_clipping([large, small, matrix])
    assert large.grad.tolist() == [0.3, 0.4]
    assert small.grad.tolist() == pytest.approx([0.03])
    assert matrix.grad.flatten().tolist() == pytest.approx([0.18, 0, 0, 0.24])


def test_missing_and_zero_gradients_are_harmless():
    missing, zero = parameter(1.0), parameter(0.0, grad=[0.0])
    adaptive_gradient_clipping([missing, zero])
    assert missing.grad is None and zero.grad.item() == 0.0


def test_parameters_may_come_as_a_generator_and_do_not_change():
    model = nn.Linear(2, 2)
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.full_like(p, 100.0)
    adaptive_gradient_clipping(model.parameters())
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, old) and p.grad.norm() <= 0.3 * p.norm() * 1.0001


# --- LaProp ---------------------------------------------------------------------------------------


def test_laprop_normalises_gradients_before_it_averages_them():
    """Adam, which averages first, would go to -1, -0.505810, -0.123800."""
    p = parameter(0.0)
    positions = follow(LaProp([p], lr=1.0, warmup=0), p, [1.0, -3.0, 0.0])
    assert positions == pytest.approx([-1.0, -0.767699, -0.621117], abs=1e-6)


@pytest.mark.parametrize("beta1, beta2, warmup", [(0.9, 0.999, 0), (0.6, 0.8, 3), (0.0, 0.5, 0)])
def test_laprop_follows_its_formula(beta1, beta2, warmup):
    p, gradients = parameter(0.7), [0.3, -2.0, 0.0, 5.0, 1e-4, -0.6]
    optimizer = LaProp([p], lr=0.03, beta1=beta1, beta2=beta2, warmup=warmup)
    expected = oracle.laprop(0.7, gradients, 0.03, beta1, beta2, warmup)
    assert follow(optimizer, p, gradients) == pytest.approx(expected, rel=1e-12)


def test_entries_of_a_tensor_have_averages_of_their_own():
    p = parameter(0.0, 0.0)
    optimizer = LaProp([p], lr=1.0, warmup=0)
    for row in ([1.0, 2.0], [-3.0, 0.5]):
        p.grad = torch.tensor(row, dtype=torch.float64)
        optimizer.step()
    expected = [oracle.laprop(0.0, g, 1.0, 0.9, 0.999)[-1] for g in ([1.0, -3.0], [2.0, 0.5])]
    assert p.tolist() == pytest.approx(expected)


def test_the_size_of_the_loss_does_not_matter():
    for size in (1e-12, 1e12):
        p = parameter(0.0)
        positions = follow(LaProp([p], lr=1.0, warmup=0), p, [size, -3 * size, 0.0])
        assert positions == pytest.approx([-1.0, -0.767699, -0.621117], abs=1e-6)


def test_a_gradient_of_zero_moves_nothing():
    p = nn.Parameter(torch.tensor([0.5]))
    assert follow(LaProp([p], lr=1.0, warmup=0), p, [0.0, 0.0]) == [0.5, 0.5]


def test_the_step_size_grows_linearly_from_exactly_zero():
    """With constant gradients every step has the size of the learning rate of the moment."""
    p = parameter(0.0)
    positions = follow(LaProp([p], lr=1.0, warmup=4), p, [2.0] * 7)
    steps = [b - a for a, b in zip([0.0, *positions], positions, strict=False)]
    assert steps[0] == 0.0
    assert steps == pytest.approx([0, -0.25, -0.5, -0.75, -1, -1, -1])


def test_the_defaults_are_those_of_the_official_code():
    group = LaProp([parameter(0.0)]).param_groups[0]
    expected = dict(lr=4e-5, beta1=0.9, beta2=0.999, eps=1e-20, warmup=1000)
    assert {key: group[key] for key in expected} == expected
    p = parameter(0.0)
    positions = follow(LaProp([p]), p, [1.0, 1.0])
    assert positions[0] == 0.0 and positions[1] == pytest.approx(-4e-8)


def test_parameters_without_gradient_stay_where_they_are():
    used, unused = parameter(1.0), parameter(2.0)
    optimizer = LaProp([used, unused], lr=0.1, warmup=0)
    used.grad = torch.ones(1).double()
    optimizer.step()
    assert used.item() == pytest.approx(0.9) and unused.item() == 2.0


def test_a_parameter_that_joins_late_is_corrected_for_its_own_number_of_updates():
    """As when the world model is trained alone first: the actor's first step has the usual size."""
    early, late = parameter(0.0), parameter(0.0)
    optimizer = LaProp([early, late], lr=1.0, warmup=0)
    follow(optimizer, early, [1.0] * 1000)
    assert follow(optimizer, late, [1.0, -3.0, 0.0]) == pytest.approx(
        [-1.0, -0.767699, -0.621117], abs=1e-6
    )


def test_a_restored_optimiser_makes_the_same_next_update():
    gradients = [0.3, -2.0, 1.0]
    p = parameter(0.7)
    optimizer = LaProp([p], lr=0.03, warmup=5)
    follow(optimizer, p, gradients)
    state, position = copy.deepcopy(optimizer.state_dict()), p.item()
    expected = follow(optimizer, p, [4.0, -0.1])
    q = parameter(position)
    restored = LaProp([q], lr=0.03, warmup=5)
    restored.load_state_dict(state)
    assert follow(restored, q, [4.0, -0.1]) == expected
