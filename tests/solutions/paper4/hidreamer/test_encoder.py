"""The contrastive encoder: its sizes, what it makes of pictures, what is said of embeddings."""

import math

import pytest
import torch

from solutions.paper4_hdreamer.hidreamer.encoder import (
    EMBEDDING,
    Encoder,
    diversity,
    info_nce,
    negative_mask,
    temporal_ratio,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def pictures(*shape) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def unit(*shape) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape), dim=-1)


# --- Encoder --------------------------------------------------------------------------------------


def test_it_has_the_trunk_of_mnih_et_al_and_a_head_of_two_layers():
    encoder = Encoder()
    counts = [
        sum(p.numel() for p in layer.parameters()) for layer in (*encoder.trunk, *encoder.head)
    ]
    convolutions = [8 * 8 * 4 * 32 + 32, 4 * 4 * 32 * 64 + 64, 3 * 3 * 64 * 64 + 64]
    dense = [7 * 7 * 64 * 512 + 512, 512 * 384 + 384, 2 * 384]
    assert [count for count in counts if count] == convolutions + dense
    assert sum(counts) == 1_881_888


@pytest.mark.parametrize("size", [84, 64, 32, 16])
def test_pictures_of_any_leading_dimensions_become_unit_vectors(size):
    encoder = Encoder(4, size, 32)
    z = encoder(pictures(2, 3, 4, size, size))
    assert z.shape == (2, 3, EMBEDDING)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(2, 3), atol=1e-5, rtol=0)


def test_a_picture_by_itself_is_embedded_as_in_a_batch():
    encoder, x = Encoder(4, 32, 32), pictures(5, 4, 32, 32)
    torch.testing.assert_close(encoder(x[3]), encoder(x)[3])


def test_the_type_of_pixels_does_not_matter_their_range_is_0_to_255():
    encoder, x = Encoder(4, 32, 32), pictures(3, 4, 32, 32)
    assert torch.equal(encoder(x), encoder(x.float()))
    seen = []
    encoder.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder(torch.full((1, 4, 32, 32), 255, dtype=torch.uint8))
    assert torch.equal(seen[0], torch.ones(1, 4, 32, 32))


def test_the_scale_of_the_norm_is_redundant_as_vectors_get_unit_length():
    encoder, x = Encoder(4, 32, 32), pictures(3, 4, 32, 32)
    before = encoder(x)
    with torch.no_grad():
        for parameter in encoder.head[-1].parameters():
            parameter.mul_(3.0)
    torch.testing.assert_close(encoder(x), before)


def test_every_parameter_learns_from_the_contrastive_loss():
    encoder, x = Encoder(4, 32, 32), pictures(2, 8, 4, 32, 32)
    step = torch.arange(8)
    mask = negative_mask(torch.zeros(8), torch.zeros(8), step, 4)
    info_nce(encoder(x[0]), encoder(x[1]), mask, 0.1).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in encoder.parameters())


def test_a_few_updates_find_the_partner():
    """Pictures that differ in the place of a bright square; partners are the same but for noise."""
    encoder = Encoder(1, 16, 32)
    optimizer = torch.optim.AdamW(encoder.parameters(), 1e-3)
    mask = torch.ones(16, 16, dtype=torch.bool)
    losses = []
    for _ in range(30):
        anchor, partner = (pictures(16, 1, 16, 16) // 4 for _ in range(2))
        for i in range(16):
            row, column = 4 * (i // 4), 4 * (i % 4)
            anchor[i, 0, row : row + 4, column : column + 4] = 255
            partner[i, 0, row : row + 4, column : column + 4] = 255
        loss = info_nce(encoder(anchor), encoder(partner), mask, 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * math.log(16) < losses[0]


# --- info_nce as a bound --------------------------------------------------------------------------


def test_log_b_minus_the_loss_is_at_most_log_b_and_below_0_for_unrelated_pairs():
    """A lower bound of what partners tell: of unrelated ones, nothing. The loss is above log B."""
    losses = [
        info_nce(unit(32, 8), unit(32, 8), torch.ones(32, 32, dtype=torch.bool), 0.3)
        for _ in range(50)
    ]
    assert min(losses) > 0 and torch.stack(losses).mean() > math.log(32)


def test_fewer_candidates_make_a_smaller_loss():
    anchor, partner, step = unit(20, 8), unit(20, 8), torch.arange(20)
    same = torch.zeros(20, dtype=torch.long)
    losses = [
        info_nce(anchor, partner, negative_mask(same, same, step, margin), 0.2).item()
        for margin in (1, 4, 10, 20)
    ]
    assert losses == sorted(losses, reverse=True) and losses[-1] == 0


# --- temporal_ratio and diversity -----------------------------------------------------------------


def test_only_neighbours_of_the_same_episode_count_as_near(generator):
    z = torch.eye(4).repeat_interleave(25, 0)  # four episodes, each of one vector
    is_first = torch.zeros(100)
    is_first[::25] = 1
    assert temporal_ratio(z, is_first, generator) == 0.0
    assert temporal_ratio(z, torch.zeros(100), generator) > 0


def test_vectors_in_no_order_are_as_far_from_their_neighbours_as_from_others(generator):
    ratio = temporal_ratio(unit(4000, 16), torch.zeros(4000), generator)
    assert ratio == pytest.approx(1, abs=0.03)


def test_neighbours_on_a_circle(generator):
    """Chords: 2 sin(step / 2) of neighbours, 4/π on average of random points."""
    angle = torch.arange(3600) * 2 * math.pi / 3600
    z = torch.stack([angle.cos(), angle.sin()], -1)
    ratio = temporal_ratio(z, torch.zeros(3600), generator)
    assert ratio == pytest.approx(2 * math.sin(math.pi / 3600) / (4 / math.pi), rel=0.05)


def test_diversity_is_at_most_the_root_of_two_without_a_mean(generator):
    z = unit(3000, 384)
    assert diversity(z, generator) == pytest.approx(math.sqrt(2), rel=0.01)
    centre = torch.zeros(384)
    centre[0] = 1.0
    shifted = torch.nn.functional.normalize(z + centre, dim=-1)
    limit = math.sqrt(2 * (1 - shifted.mean(0).square().sum()))  # E|a - b|² = 2 (1 - |E z|²)
    assert diversity(shifted, generator) == pytest.approx(limit, rel=0.01)
    assert diversity(centre.expand(50, 384), generator) == 0.0
