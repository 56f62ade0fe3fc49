"""DreamerV1's networks, as far as they are given: padded convolutions, heads, initialisation.

The exercises have their checks in tests/paper1/test_networks.py.

Sources: arXiv:1912.01603; danijar/dreamer, models.py and dreamer.py.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from solutions.paper1_dreamerv1 import networks
from solutions.paper1_dreamerv1.networks import (
    ContinuePredictor,
    ConvEncoder,
    Decoder,
    Encoder,
    PaddedDecoder,
    PaddedEncoder,
    RewardPredictor,
    keras_init,
)
from tests import oracle


def irregular(*shape, scale=1.0, phase=0.0):
    numbers = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return (scale * torch.sin(1.7 * numbers**1.3 + phase)).view(*shape)


def fill(module: nn.Module) -> nn.Module:
    module.double()
    for i, p in enumerate(module.parameters()):
        p.data = irregular(*p.shape, scale=0.5, phase=i)
    return module


def values(module: nn.Module) -> dict:
    return {name: x.tolist() for name, x in module.state_dict().items()}


def shapes(module: nn.Module) -> dict:
    return {name: tuple(x.shape) for name, x in module.state_dict().items()}


# --- images of other sizes ------------------------------------------------------------------------


@pytest.mark.parametrize("size, flat", [(8, 2 * 16), (16, 4 * 16), (32, 8 * 16), (64, 16 * 16)])
def test_the_padded_encoder_halves_to_four_by_four(size, flat):
    encoder = PaddedEncoder(3, 2, size)
    assert encoder.size == flat
    assert encoder(torch.zeros(2, 5, 3, size, size)).shape == (2, 5, flat)
    assert PaddedDecoder(7, 3, 2, size)(torch.zeros(2, 5, 7)).shape == (2, 5, 3, size, size)


def test_pixels_of_the_padded_decoder_are_a_linear_output():
    decoder = PaddedDecoder(4, 1, 2, 32)
    with torch.no_grad():
        for p in decoder.parameters():
            p.zero_()
        for bias in (-0.3, 4.0):
            decoder.get_parameter("deconvs.2.bias").fill_(bias)
            assert torch.all(decoder(torch.ones(2, 4)) == bias)


def test_the_quickstart_encoder_keeps_the_contract_with_a_dense_layer():
    encoder = PaddedEncoder(3, 32, 64, 1024)
    assert encoder(torch.zeros(1, 3, 64, 64)).shape == (1, 1024)
    assert encoder.fc.weight.shape == (1024, 4096)
    assert (encoder(torch.randn(4, 3, 64, 64)) >= 0).all()


@pytest.mark.parametrize("size", [4, 30, 96, 128])
def test_other_sizes_are_refused_in_one_line(size):
    space = {"image": SimpleNamespace(shape=(3, size, size))}
    with pytest.raises(ValueError, match=f"{size}×{size}"):
        Encoder(space, 4, 1, 8, "official")


def test_images_of_different_sizes_are_refused():
    space = {"a": SimpleNamespace(shape=(3, 64, 64)), "b": SimpleNamespace(shape=(3, 32, 32))}
    with pytest.raises(ValueError, match="same height and width"):
        Encoder(space, 4, 1, 8, "official")


# --- whole observations ---------------------------------------------------------------------------

SPACES = {
    "wrist": SimpleNamespace(shape=(1, 64, 64)),
    "camera": SimpleNamespace(shape=(3, 64, 64)),
    "speed": SimpleNamespace(shape=(2,)),
    "angle": SimpleNamespace(shape=(5,)),
}


def observation(*lead):
    return {
        "wrist": torch.randint(0, 256, (*lead, 1, 64, 64), dtype=torch.uint8),
        "camera": torch.randint(0, 256, (*lead, 3, 64, 64), dtype=torch.uint8),
        "speed": torch.randn(*lead, 2),
        "angle": torch.randn(*lead, 5),
    }


@pytest.mark.parametrize("arch, cnn", [("official", ConvEncoder), ("quickstart", PaddedEncoder)])
def test_images_and_vectors_share_one_embedding(arch, cnn):
    encoder = Encoder(SPACES, depth=2, layers=1, units=6, arch=arch)
    assert isinstance(encoder.cnn, cnn)
    assert encoder.size == 64 + 6
    obs = observation(2, 3)
    embed = encoder(obs)
    assert embed.shape == (2, 3, 70)
    image = torch.cat([obs["camera"], obs["wrist"]], -3).float() / 255 - 0.5
    torch.testing.assert_close(embed[..., :64], encoder.cnn(image))
    vector = torch.cat([obs["angle"], obs["speed"]], -1)
    torch.testing.assert_close(embed[..., 64:], torch.nn.functional.elu(encoder.mlp(vector)))


def test_the_decoder_predicts_every_part_in_its_own_shape():
    decoder = Decoder(SPACES, 9, depth=2, layers=1, units=6, arch="official")
    means = decoder(torch.randn(2, 3, 9))
    for key, space in SPACES.items():
        assert means[key].shape == (2, 3, *space.shape)


def test_small_images_use_the_padded_networks():
    space = {"image": SimpleNamespace(shape=(1, 32, 32))}
    encoder = Encoder(space, 8, 2, 64, "official")
    assert isinstance(encoder.cnn, PaddedEncoder) and encoder.cnn.fc is None
    assert encoder.size == 32 * 4 * 4
    assert isinstance(Decoder(space, 9, 8, 2, 64, "official").cnn, PaddedDecoder)


# --- dense networks -------------------------------------------------------------------------------


@pytest.mark.parametrize("head, layers", [(RewardPredictor, 2), (ContinuePredictor, 3)])
def test_heads_have_the_layers_of_the_official_code_and_drop_the_last_dimension(head, layers):
    network = head()
    assert shapes(network)["hidden.0.weight"] == (400, 230)
    assert len(network.hidden) == layers
    assert network(torch.zeros(2, 5, 230)).shape == (2, 5)
    small = fill(head(5, layers, 4))
    x = irregular(2, 5)
    expected = [oracle.dense(row.tolist(), values(small), layers)[0] for row in x]
    assert small(x).tolist() == pytest.approx(expected, rel=1e-9)


# --- initialisation -------------------------------------------------------------------------------


def test_weights_start_glorot_uniform_and_biases_at_zero():
    for module, fans in (
        (nn.Linear(50, 70), 120),
        (nn.Conv2d(6, 10, 4), 16 * 16),
        (nn.ConvTranspose2d(6, 10, 4), 16 * 16),
    ):
        keras_init(module)
        limit = math.sqrt(6 / fans)
        assert 0.97 * limit < module.weight.abs().max() <= limit
        assert module.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
        assert not module.bias.any()


def test_the_recurrent_weights_start_orthogonal():
    gru = nn.GRU(5, 7)
    gru.apply(networks.keras_init)
    square = gru.weight_hh_l0.T @ gru.weight_hh_l0
    torch.testing.assert_close(square, torch.eye(7), atol=1e-5, rtol=0)
    assert not gru.bias_hh_l0.any() and not gru.bias_ih_l0.any()
