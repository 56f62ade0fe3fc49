"""DreamerV1's networks: sizes of the official convolutions, dense heads, losses by value.

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
    ConvDecoder,
    ConvEncoder,
    Decoder,
    DenseDecoder,
    Encoder,
    PaddedDecoder,
    PaddedEncoder,
    RewardPredictor,
    continue_loss,
    keras_init,
    normal_loss,
    preprocess_image,
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


# --- images ---------------------------------------------------------------------------------------


def test_black_is_minus_a_half_and_white_a_half():
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    got = preprocess_image(image)
    assert got.dtype == torch.float32 and got.shape == image.shape
    assert got.flatten().tolist() == pytest.approx([-0.5, -0.3, 0.5])


def test_the_encoder_halves_without_padding_to_1024_numbers(monkeypatch):
    sizes, real = [], nn.Conv2d.forward

    def record(self, x):
        y = real(self, x)
        sizes.append(tuple(y.shape[1:]))
        return y

    monkeypatch.setattr(nn.Conv2d, "forward", record)
    assert ConvEncoder()(torch.zeros(2, 3, 64, 64)).shape == (2, 1024)
    assert sizes == [(32, 31, 31), (64, 14, 14), (128, 6, 6), (256, 2, 2)]


def test_parameters_of_the_encoder_have_the_names_and_shapes_of_the_contract():
    assert shapes(ConvEncoder(channels=1, depth=2)) == {
        "conv1.weight": (2, 1, 4, 4), "conv1.bias": (2,),
        "conv2.weight": (4, 2, 4, 4), "conv2.bias": (4,),
        "conv3.weight": (8, 4, 4, 4), "conv3.bias": (8,),
        "conv4.weight": (16, 8, 4, 4), "conv4.bias": (16,),
    }  # fmt: skip
    assert sum(p.numel() for p in ConvEncoder().parameters()) == 690_144


def test_pictures_are_encoded_one_by_one():
    encoder, image = ConvEncoder(depth=2), torch.randn(2, 3, 3, 64, 64)
    together = encoder(image)
    assert together.shape == (2, 3, 64)
    for b in range(2):
        for t in range(3):
            torch.testing.assert_close(together[b, t], encoder(image[b, t][None])[0])


def test_every_convolution_of_the_encoder_ends_in_a_relu():
    encoder = ConvEncoder(channels=1, depth=1)
    with torch.no_grad():
        for p in encoder.parameters():
            p.fill_(1.0)
        encoder.conv4.bias.copy_(torch.arange(-4.0, 4.0))
        encoder.conv3.weight.fill_(-1.0)  # so that its output is negative: then conv4 sees zeros
    expected = torch.arange(-4.0, 4.0).clamp(min=0).repeat_interleave(4)
    assert torch.equal(encoder(torch.ones(1, 1, 64, 64))[0], expected)


def test_the_decoder_grows_one_pixel_to_64(monkeypatch):
    sizes, real = [], nn.ConvTranspose2d.forward

    def record(self, x):
        sizes.append(tuple(x.shape[1:]))
        return real(self, x)

    monkeypatch.setattr(nn.ConvTranspose2d, "forward", record)
    assert ConvDecoder()(torch.zeros(2, 5, 230)).shape == (2, 5, 3, 64, 64)
    assert sizes == [(1024, 1, 1), (128, 5, 5), (64, 13, 13), (32, 30, 30)]


def test_parameters_of_the_decoder_have_the_names_and_shapes_of_the_contract():
    assert shapes(ConvDecoder(7, channels=1, depth=2)) == {
        "fc.weight": (64, 7), "fc.bias": (64,),
        "deconv1.weight": (64, 8, 5, 5), "deconv1.bias": (8,),
        "deconv2.weight": (8, 4, 5, 5), "deconv2.bias": (4,),
        "deconv3.weight": (4, 2, 6, 6), "deconv3.bias": (2,),
        "deconv4.weight": (2, 1, 6, 6), "deconv4.bias": (1,),
    }  # fmt: skip


@pytest.mark.parametrize(
    "decoder, last",
    [(ConvDecoder(4, 1, 2), "deconv4"), (PaddedDecoder(4, 1, 2, 32), "deconvs.2")],
)
def test_pixels_are_a_linear_output(decoder, last):
    """Any value can be put out: no sigmoid, no tanh, no ReLU."""
    with torch.no_grad():
        for p in decoder.parameters():
            p.zero_()
        for bias in (-0.3, 4.0):
            decoder.get_parameter(f"{last}.bias").fill_(bias)
            assert torch.all(decoder(torch.ones(2, 4)) == bias)


def test_the_dense_layer_of_the_decoder_has_no_activation():
    decoder = ConvDecoder(1, 1, 1)
    with torch.no_grad():
        for p in decoder.parameters():
            p.fill_(0.01)
        decoder.fc.weight.fill_(1.0)
        decoder.deconv1.weight.fill_(-0.01)  # a negative pixel becomes positive here
    outputs = [decoder(torch.tensor([[x]])).sum().item() for x in (-3.0, -2.0, -1.0)]
    assert outputs[0] > outputs[1] > outputs[2]


# --- images of other sizes ------------------------------------------------------------------------


@pytest.mark.parametrize("size, flat", [(8, 2 * 16), (16, 4 * 16), (32, 8 * 16), (64, 16 * 16)])
def test_the_padded_encoder_halves_to_four_by_four(size, flat):
    encoder = PaddedEncoder(3, 2, size)
    assert encoder.size == flat
    assert encoder(torch.zeros(2, 5, 3, size, size)).shape == (2, 5, flat)
    assert PaddedDecoder(7, 3, 2, size)(torch.zeros(2, 5, 7)).shape == (2, 5, 3, size, size)


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


@pytest.mark.parametrize("layers", [1, 3])
def test_a_dense_decoder_has_elu_between_and_nothing_at_the_end(layers):
    network = fill(DenseDecoder(5, layers, 4, outputs=2))
    x = irregular(3, 2, 5, scale=2.0, phase=1.0)
    got, p = network(x), values(network)
    assert got.shape == (3, 2, 2)
    for b in range(3):
        for t in range(2):
            expected = oracle.dense(x[b, t].tolist(), p, layers)
            assert got[b, t].tolist() == pytest.approx(expected, rel=1e-9)


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


# --- losses ---------------------------------------------------------------------------------------


def test_the_loss_is_the_log_likelihood_of_a_unit_normal_but_for_a_constant():
    mean, target = irregular(2, 3, 4), irregular(2, 3, 4, phase=1.0)
    got = normal_loss(mean, target)
    assert got.shape == (2, 3)
    for b in range(2):
        for t in range(3):
            densities = [
                oracle.normal_log_density(target[b, t, i].item(), mean[b, t, i].item(), 1.0)
                for i in range(4)
            ]
            constant = 4 * math.log(2 * math.pi) / 2
            assert got[b, t].item() == pytest.approx(-sum(densities) - constant, rel=1e-9)


def test_pixels_are_summed():
    target = torch.zeros(2, 3, 3, 64, 64, dtype=torch.float64)
    assert normal_loss(target + 0.1, target).tolist() == [[pytest.approx(61.44)] * 3] * 2


def test_the_loss_of_rewards_keeps_its_shape():
    got = normal_loss(torch.tensor([[1.0, 2.0, -1.0]]), torch.tensor([[3.0, 2.0, 0.0]]))
    assert got.tolist() == [[2.0, 0.0, 0.5]]


def test_the_loss_pulls_the_mean_towards_the_target():
    mean = torch.tensor([[0.5, -2.0]], requires_grad=True)
    normal_loss(mean, torch.tensor([[2.0, -3.0]])).sum().backward()
    assert mean.grad.tolist() == [[-1.5, 1.0]]


@pytest.mark.parametrize("terminal, target", [(0.0, 0.9), (1.0, 0.0)])
def test_continuation_learns_the_discount_until_the_episode_is_over(terminal, target):
    logits = torch.tensor([[2.0, -1.3, 0.4]], dtype=torch.float64, requires_grad=True)
    got = continue_loss(logits, torch.full((1, 3), terminal, dtype=torch.float64), 0.9)
    assert got.shape == (1, 3)
    for t in range(3):
        expected = oracle.bernoulli_cross_entropy(logits[0, t].item(), target)
        assert got[0, t].item() == pytest.approx(expected, rel=1e-9)
    got.sum().backward()
    expected = [oracle.sigmoid(x) - target for x in logits[0].tolist()]
    assert logits.grad[0].tolist() == pytest.approx(expected, rel=1e-9)


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
