"""Residual quantisation: k-means, revival, codebooks that follow, and what weights change."""

import math

import pytest
import torch
from torch import nn

from solutions.paper4_hdreamer.hidreamer.hrvq import (
    COMMITMENT,
    HRVQ,
    Codebook,
    assign,
    kmeans,
    perplexity,
    unexplained,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def mixture(rows: int, units: int = 12, centres: int = 16, spread: float = 0.4) -> torch.Tensor:
    """Vectors around some centres."""
    means = torch.randn(centres, units)
    return means[torch.randint(centres, (rows,))] + spread * torch.randn(rows, units)


def started(z: torch.Tensor, generator, count=16, layers=3) -> HRVQ:
    hrvq = HRVQ(z.shape[1], count, layers)
    hrvq.start(z, generator)
    return hrvq


def buffers(module) -> dict:
    return {name: x.clone() for name, x in module.state_dict().items()}


def equal(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


# --- sizes and kinds ------------------------------------------------------------------------------


def test_three_codebooks_of_256_codes_and_no_parameter():
    hrvq = HRVQ()
    assert sum(book.codes.numel() for book in hrvq.books) == 3 * 256 * 384 == 294_912
    assert list(hrvq.parameters()) == []
    assert sorted(hrvq.books[0].state_dict()) == ["codes", "size", "total"]


def test_a_loss_trains_what_is_before_the_codebooks_and_not_the_codebooks(generator):
    layer, x = nn.Linear(5, 12), torch.randn(30, 5)
    hrvq = started(layer(x).detach(), generator, 4)
    before = buffers(hrvq)
    quantised, _, commitment = hrvq(layer(x))
    (quantised.square().mean() + commitment.sum()).backward()
    assert layer.weight.grad.any()
    assert all(x.grad is None and not x.requires_grad for x in hrvq.buffers())
    assert equal(before, buffers(hrvq))


# --- kmeans ---------------------------------------------------------------------------------------


def test_clusters_that_lie_apart_are_found():
    """From three random rows; over ten seeds, for one start may have two rows of a cluster."""
    means = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    x = (means[:, None] + torch.randn(3, 20, 2)).reshape(60, 2)
    own = x.view(3, 20, 2).mean(1)
    found = [kmeans(x, 3, torch.Generator().manual_seed(seed)) for seed in range(10)]
    right = [torch.allclose(codes[assign(own, codes)], own, atol=1e-4) for codes in found]
    assert any(right)


def test_rounds_never_make_it_worse():
    x = mixture(300)

    def error(rounds: int) -> float:
        codes = kmeans(x, 12, torch.Generator().manual_seed(1), rounds)
        return float((x - codes[assign(x, codes)]).square().sum())

    errors = [error(rounds) for rounds in (0, 1, 2, 5, 10)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.9 * errors[0]


def test_codes_that_nothing_is_near_to_stay_where_they_were(generator):
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    codes = kmeans(x, 7, generator)
    assert codes.shape == (7, 2) and codes.isfinite().all()
    assert torch.equal(codes[assign(x, codes)], x)


# --- codebooks ------------------------------------------------------------------------------------


def test_following_a_fixed_batch_ends_at_the_means():
    x, tokens = torch.randn(40, 3), torch.arange(40) % 4
    book = Codebook(4, 3, rate=0.1)
    for _ in range(300):
        book.follow(x, tokens)
    means = torch.stack([x[tokens == k].mean(0) for k in range(4)])
    torch.testing.assert_close(book.codes, means, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(book.size, torch.full((4,), 10.0))


def test_revival_takes_vectors_for_codes_that_are_hardly_used_and_leaves_the_others(generator):
    book, x = Codebook(5, 3), 100 + torch.randn(8, 3)
    book.size.copy_(torch.tensor([3.0, 0.2, 1.0, 0.0, 0.999]))
    before, dead = buffers(book), [1, 3, 4]
    assert book.revive(x, generator) == 3
    for k in range(5):
        if k in dead:
            assert (x == book.codes[k]).all(-1).any()
            assert torch.equal(book.total[k], book.codes[k]) and book.size[k] == 1
        else:
            assert all(torch.equal(before[name][k], buffers(book)[name][k]) for name in before)
    assert book.revive(x, generator) == 0


# --- all layers -----------------------------------------------------------------------------------


def test_tokens_decode_to_what_was_quantised_and_the_rest_completes_it(generator):
    z = mixture(200).double()
    hrvq = started(z.float(), generator).double()
    quantised, tokens, _ = hrvq(z)
    assert tokens.shape == (200, 3)
    torch.testing.assert_close(hrvq.decode(tokens), quantised)
    rest, total = z, torch.zeros_like(z)
    for i, book in enumerate(hrvq.books):
        assert torch.equal(tokens[:, i], torch.cdist(rest, book.codes).argmin(-1))
        rest, total = rest - book.codes[tokens[:, i]], total + book.codes[tokens[:, i]]
        torch.testing.assert_close(hrvq.decode(tokens[:, : i + 1]), total)
    torch.testing.assert_close(total + rest, z, atol=1e-12, rtol=0)
    assert torch.equal(hrvq.decode(tokens.view(4, 50, 3)), hrvq.decode(tokens).view(4, 50, 12))


def test_each_layer_leaves_less_unexplained(generator):
    z = mixture(2000)
    left = unexplained(started(z, generator), z)
    assert 1 > left[0] > left[1] > left[2] > 0
    assert unexplained(started(z, generator, count=1, layers=1), z) == [pytest.approx(1, abs=1e-4)]
    few = z[:10]
    assert unexplained(started(few, generator, count=10, layers=1), few) == [
        pytest.approx(0, abs=1e-6)
    ]


def test_codes_of_later_layers_begin_at_residuals_not_at_the_data_itself(generator):
    """The same k-means in all layers is worse: residuals have other places, and are smaller."""
    z = mixture(2000)
    hrvq, same = started(z, generator), started(z, generator)
    for book in same.books[1:]:
        book.start(z, generator)
    assert hrvq.books[1].codes.norm(dim=-1).mean() < 0.6 * hrvq.books[0].codes.norm(dim=-1).mean()
    assert unexplained(hrvq, z)[2] < 0.8 * unexplained(same, z)[2]


def test_learning_moves_each_layer_by_its_own_residuals(generator):
    z = mixture(400)
    hrvq = started(z, generator)
    before = buffers(hrvq)
    rest, expected = z, []
    for i in range(3):
        codes = before[f"books.{i}.codes"]
        token = assign(rest, codes)
        counts = torch.bincount(token, minlength=16)
        expected.append(0.99 * before[f"books.{i}.size"] + 0.01 * counts)
        rest = rest - codes[token]
    assert min(size.min() for size in expected) >= 1, "none is revived, so sizes can be compared"
    assert hrvq.learn(z, generator) == 0
    for book, size in zip(hrvq.books, expected, strict=True):
        torch.testing.assert_close(book.size, size)


def test_with_k_means_and_revival_almost_all_codes_are_used(generator):
    z = mixture(6000, 12, 20, 0.5)
    hrvq = HRVQ(12, 32)
    hrvq.start(z[:1000], generator)
    hrvq.books[2].codes[5:] += 100.0  # most of a layer out of reach: revival brings it back
    hrvq.books[2].total[5:] += 100.0
    lost = perplexity(hrvq(z)[1][:, 2], 32)
    for _ in range(3):
        for batch in z[torch.randperm(6000, generator=generator)].split(500):
            hrvq.learn(batch, generator)
    tokens = hrvq(z)[1]
    for i in range(3):
        assert len(tokens[:, i].unique()) >= math.ceil(0.95 * 32)
        assert perplexity(tokens[:, i], 32) > 20
    assert lost <= 6


def test_perplexity_is_from_1_to_k_and_blind_to_the_codes_numbers():
    for count in (1, 3, 40):
        tokens = (torch.randn(70) * count / 3).abs().long().clamp(max=count - 1)
        found = perplexity(tokens, count)
        assert 1 - 1e-6 <= found <= count + 1e-4
        assert perplexity(torch.randperm(count)[tokens], count) == pytest.approx(found, rel=1e-5)


# --- what commitment weights do -------------------------------------------------------------------


def trained(weights: tuple, joint: bool) -> tuple[dict, torch.Tensor]:
    """Codebooks and the encoder after 20 updates with commitment; frozen: of a fixed encoder."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    x, encoder = mixture(600), nn.Linear(12, 6)
    hrvq = started(encoder(x).detach(), generator, 8)
    optimizer = torch.optim.SGD(encoder.parameters(), 0.1)
    for batch in x.repeat(4, 1).split(120):
        z = encoder(batch)
        _, _, commitment = hrvq(z)
        optimizer.zero_grad()
        (torch.tensor(weights) * commitment).sum().backward()
        if joint:
            optimizer.step()
        hrvq.learn(z.detach(), generator)
    return buffers(hrvq), encoder.weight.detach()


def test_with_a_frozen_encoder_commitment_weights_change_no_bit_of_the_codebooks():
    first, second = (trained(weights, joint=False) for weights in (COMMITMENT, (10.0, 0.0, 3.0)))
    assert equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_with_an_encoder_that_learns_they_do():
    first, second = (trained(weights, joint=True) for weights in (COMMITMENT, (10.0, 0.0, 3.0)))
    assert not equal(first[0], second[0]) and not torch.equal(first[1], second[1])


# --- another library ------------------------------------------------------------------------------


def test_tokens_and_sums_are_those_of_residual_vq(generator):
    """Of lucidrains' vector-quantize-pytorch, with the same codebooks. Values: gradients differ."""
    library = pytest.importorskip("vector_quantize_pytorch")
    z = mixture(300)
    hrvq = started(z, generator)
    other = library.ResidualVQ(dim=12, num_quantizers=3, codebook_size=16).eval()
    with torch.no_grad():
        for layer, book in zip(other.layers, hrvq.books, strict=True):
            layer._codebook.embed.copy_(book.codes[None])
        quantised, tokens, *_ = other(z[None])
    expected, numbers, _ = hrvq(z)
    assert torch.equal(tokens[0], numbers)
    torch.testing.assert_close(quantised[0], expected)
