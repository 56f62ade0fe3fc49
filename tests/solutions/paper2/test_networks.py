"""DreamerV2's networks: straight-through samples, the layer-norm GRU, encoder, heads, losses.

Sources: arXiv:2010.02193, Algorithm 1; danijar/dreamerv2, common/nets.py, common/dists.py.
"""

import math
from types import SimpleNamespace

import pytest
import torch

from solutions.paper2_dreamerv2.networks import (
    MLP,
    ContinuePredictor,
    ConvDecoder,
    ConvEncoder,
    Decoder,
    Encoder,
    LayerNormGRUCell,
    RewardPredictor,
    continue_loss,
    keras_init,
    normal_loss,
    preprocess_image,
    sample_one_hot,
)
from tests import oracle


def double(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


# --- categorical samples --------------------------------------------------------------------------


def test_a_sample_is_one_hot_over_the_last_dimension():
    sample = sample_one_hot(torch.randn(2, 3, 5, requires_grad=True))
    assert sample.shape == (2, 3, 5)
    assert set(sample.flatten().tolist()) == {0.0, 1.0}
    assert (sample.sum(-1) == 1).all()


def test_the_gradient_goes_straight_through_to_the_probabilities():
    logits = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 5, dtype=torch.float64)
    (got,) = torch.autograd.grad((sample_one_hot(logits) * weight).sum(), logits)
    (expected,) = torch.autograd.grad((logits.softmax(-1) * weight).sum(), logits)
    assert torch.equal(got, expected) and got.abs().min() > 0


def test_classes_are_drawn_as_often_as_they_are_likely_without_a_uniform_mixture():
    logits = double([2.0, 1.0, 1.0, -50.0]).expand(40_000, 4)
    share = sample_one_hot(logits).mean(0)
    assert share.tolist() == pytest.approx(oracle.softmax([2, 1, 1, -50]), abs=0.01)
    assert share[3] == 0


@pytest.mark.parametrize("u, index", [(0.0, 0), (0.29, 0), (0.31, 1), (0.69, 1), (0.71, 2)])
def test_a_uniform_number_picks_the_class(draws, u, index):
    draws(uniform=u)
    assert sample_one_hot(torch.log(double([0.3, 0.4, 0.3]))).argmax() == index


# --- the GRU --------------------------------------------------------------------------------------


def test_the_gru_is_its_formula():
    torch.manual_seed(1)
    inputs, units = 3, 4
    cell = LayerNormGRUCell(inputs, units).double()
    with torch.no_grad():
        for p in cell.parameters():
            p.normal_(0, 0.7)
    x, h = torch.randn(2, inputs).double(), torch.randn(2, units).double()
    got = cell(x, h)
    weight, bias = cell.layer.weight.tolist(), cell.layer.bias.tolist()
    gain, shift = cell.norm.weight.tolist(), cell.norm.bias.tolist()
    for b in range(2):
        raw = oracle.linear([*x[b].tolist(), *h[b].tolist()], weight, bias)
        mean = sum(raw) / len(raw)
        var = sum((v - mean) ** 2 for v in raw) / len(raw)
        raw = [g * (v - mean) / math.sqrt(var + 1e-3) + s
               for v, g, s in zip(raw, gain, shift, strict=True)]  # fmt: skip
        expected = [
            oracle.gru(h[b, i].item(), raw[i], raw[units + i], raw[2 * units + i])
            for i in range(units)
        ]
        assert got[b].tolist() == pytest.approx(expected)


def test_the_state_persists_at_first():
    """All gates 0: h' = (1 - sigmoid(-1)) h."""
    cell = LayerNormGRUCell(2, 3).double()
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
    h = cell(torch.ones(1, 2).double(), torch.ones(1, 3).double())
    assert h[0].tolist() == pytest.approx([0.731059] * 3, abs=1e-6)


# --- images ---------------------------------------------------------------------------------------


def test_pixels_lie_around_zero():
    assert preprocess_image(torch.tensor([0, 255]).byte()).tolist() == [-0.5, 0.5]


def test_the_encoder_has_the_sizes_of_the_official_code():
    encoder = ConvEncoder(1)
    shapes = [tuple(conv.weight.shape) for conv in encoder.convs]
    assert shapes == [(48, 1, 4, 4), (96, 48, 4, 4), (192, 96, 4, 4), (384, 192, 4, 4)]
    sizes = []
    for conv in encoder.convs:
        conv.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-1]))
    assert encoder(torch.zeros(2, 3, 1, 64, 64)).shape == (2, 3, 1536)
    assert sizes == [31, 14, 6, 2]


def test_encoder_and_decoder_treat_each_picture_by_itself():
    encoder, decoder = ConvEncoder(3, 2), ConvDecoder(5, 3, 2)
    image, feature = torch.rand(2, 3, 3, 64, 64) - 0.5, torch.randn(2, 3, 5)
    torch.testing.assert_close(encoder(image)[1, 2], encoder(image[1, 2]))
    assert decoder(feature).shape == (2, 3, 3, 64, 64)
    torch.testing.assert_close(decoder(feature)[1, 2], decoder(feature[1, 2]))


def test_activations_are_elu_and_not_relu():
    encoder, mlp = ConvEncoder(1, 1), MLP(2, 1, 2, 2)
    with torch.no_grad():
        for conv in encoder.convs:
            conv.weight.zero_()
            conv.bias.fill_(-1)
        mlp.hidden[0].weight.zero_()
        mlp.hidden[0].bias.fill_(-1)
        mlp.output.weight.copy_(torch.eye(2))
        mlp.output.bias.zero_()
    elu = math.exp(-1) - 1
    assert encoder(torch.zeros(1, 1, 64, 64))[0].tolist() == pytest.approx([elu] * 32)
    assert mlp(torch.zeros(2)).tolist() == pytest.approx([elu] * 2)


def test_the_last_layer_of_the_decoder_is_linear():
    decoder = ConvDecoder(2, 1, 1)
    with torch.no_grad():
        decoder.deconvs[-1].bias.fill_(-3)
        decoder.deconvs[-1].weight.zero_()
    assert (decoder(torch.zeros(1, 2)) == -3).all()


@pytest.mark.parametrize("size", [8, 32, 64])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_images_and_vectors_together(size, layer_norm):
    spaces = {"b": SimpleNamespace(shape=(3, size, size)), "a": SimpleNamespace(shape=(2,)),
              "c": SimpleNamespace(shape=(1, size, size))}  # fmt: skip
    encoder = Encoder(spaces, 2, 2, 7, layer_norm)
    decoder = Decoder(spaces, 5, 2, 2, 7, layer_norm)
    obs = {
        "a": torch.randn(2, 4, 2),
        "b": torch.zeros(2, 4, 3, size, size).byte(), "c": torch.zeros(2, 4, 1, size, size).byte(),
    }  # fmt: skip
    embed = encoder(obs)
    assert embed.shape == (2, 4, encoder.size)
    means = decoder(torch.randn(2, 4, 5))
    assert {key: x.shape for key, x in means.items()} == {key: x.shape for key, x in obs.items()}


@pytest.mark.parametrize("size", [4, 33, 96])
def test_images_of_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match="64×64"):
        Encoder({"image": SimpleNamespace(shape=(1, size, size))}, 2, 1, 4, False)


def test_layer_norm_is_off_outside_the_gru_unless_it_is_asked_for():
    def norms(module):
        return sum(isinstance(x, torch.nn.LayerNorm) for x in module.modules())

    assert norms(ConvEncoder()) == norms(MLP(2, 3, 4)) == norms(LayerNormGRUCell(2, 3)) - 1 == 0
    assert norms(MLP(2, 3, 4, layer_norm=True)) == 3
    assert norms(ConvEncoder(layer_norm=True)) == 4
    assert norms(ConvDecoder(layer_norm=True)) == 3


# --- heads and losses -----------------------------------------------------------------------------


@pytest.mark.parametrize("head", [RewardPredictor, ContinuePredictor])
def test_heads_have_four_layers_of_400_and_one_output(head):
    network = head()
    assert [tuple(x.weight.shape) for x in network.hidden] == [(400, 1224)] + [(400, 400)] * 3
    assert network(torch.zeros(2, 3, 1224)).shape == (2, 3)


def test_the_loss_sums_over_pixels():
    mean, target = torch.zeros(1, 2, 3, 64, 64), torch.full((1, 2, 3, 64, 64), 0.1)
    assert normal_loss(mean, target)[0].tolist() == pytest.approx([61.44, 61.44], rel=1e-4)
    assert normal_loss(double([[1.0]]), double([[4.0]])).item() == 4.5


@pytest.mark.parametrize("logit", [-3.0, 0.4, 200.0])
@pytest.mark.parametrize("terminal", [0.0, 1.0])
def test_the_continue_target_contains_gamma(logit, terminal):
    got = continue_loss(double([[logit]]), double([[terminal]]), 0.9)
    if abs(logit) < 100:
        expected = oracle.bernoulli_cross_entropy(logit, 0.9 * (1 - terminal))
        assert got.item() == pytest.approx(expected)
    assert got.isfinite()


def test_the_best_continue_prediction_is_gamma():
    logits = torch.logit(double([[0.85, 0.9, 0.95]]))
    losses = continue_loss(logits, torch.zeros(1, 3), 0.9)[0]
    assert losses[1] < losses[0] and losses[1] < losses[2]


def test_initial_weights_are_those_of_keras():
    model = torch.nn.Sequential(LayerNormGRUCell(30, 50), torch.nn.Conv2d(3, 8, 4)).apply(
        keras_init
    )
    cell, conv = model
    for weight, bound in (
        (cell.layer.weight, math.sqrt(6 / (80 + 150))),
        (conv.weight, math.sqrt(6 / (3 * 16 + 8 * 16))),
    ):
        assert 0.9 * bound < weight.abs().max() <= bound
    assert not cell.layer.bias.any() and not conv.bias.any()
    assert (cell.norm.weight == 1).all() and not cell.norm.bias.any()
