"""DreamerV3 networks: squashing, two-hot predictions, categoricals, layers, encoder, decoder.

Sources: arXiv:2301.04104v2; danijar/dreamerv3, embodied/jax/nets.py, outs.py, heads.py.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from solutions.paper3_dreamerv3 import networks
from tests import oracle


def space(*shape):
    return SimpleNamespace(shape=shape)


def irregular(*shape, scale=1.0):
    """Numbers in float64 without zeros, ties or order."""
    count = math.prod(shape)
    return (scale * torch.sin(1.7 * torch.arange(1, count + 1, dtype=torch.float64) ** 1.3)).view(
        *shape
    )


def fill(module):
    """Every parameter irregular, biases and norms too, in float64."""
    module.double()
    for p in module.parameters():
        p.data = irregular(*p.shape) + (1.2 if p.ndim == 1 else 0.0)
    return module


# --- squashing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, expected",
    [(-10.0, -2.397895), (0.0, 0.0), (1e4, 9.210440), (0.5, 0.405465), (-1.0, -0.693147)],
)
def test_symlog_is_the_logarithm_of_one_plus_size_and_keeps_the_sign(x, expected):
    assert networks.symlog(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("x", [-8.5, -1.0, 0.0, 0.3, 9.0])
def test_symexp_is_exp_of_size_minus_one_and_keeps_the_sign(x):
    got = networks.symexp(torch.tensor(x, dtype=torch.float64)).item()
    assert got == pytest.approx(oracle.symexp(x), rel=1e-12)


def test_symexp_inverts_symlog_in_single_precision():
    x = torch.tensor([-1e6, -3.3, -1e-8, 1e-8, 0.7, 1e4])
    torch.testing.assert_close(networks.symexp(networks.symlog(x)), x, rtol=1e-5, atol=0)


def test_symlog_and_symexp_do_not_lose_tiny_numbers_in_single_precision():
    tiny = torch.tensor([1e-8, -1e-8])
    torch.testing.assert_close(networks.symlog(tiny), tiny, rtol=1e-6, atol=0)
    torch.testing.assert_close(networks.symexp(tiny), tiny, rtol=1e-6, atol=0)


def test_the_slope_of_symlog_falls_with_size():
    x = torch.tensor([-3.0, 0.25, 99.0], dtype=torch.float64, requires_grad=True)
    networks.symlog(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.25, 0.8, 0.01], dtype=torch.float64))


# --- two-hot --------------------------------------------------------------------------------------


def test_the_bins_are_symexp_of_equidistant_numbers():
    expected = torch.tensor(oracle.symexp_bins(255, 20.0), dtype=torch.float64)
    bins = networks.symexp_bins(255, 20.0).double()
    torch.testing.assert_close(bins, expected, rtol=1e-5, atol=1e-6)
    assert (bins.diff() > 0).all()
    e = math.e
    small = networks.symexp_bins(5, 2.0)
    hand = torch.tensor([1 - e * e, 1 - e, 0.0, e - 1, e * e - 1])
    torch.testing.assert_close(small, hand)


@pytest.mark.parametrize("count, limit", [(255, 20.0), (63, 10.0), (11, 3.0), (3, 1.0)])
def test_the_bins_are_exactly_antisymmetric_with_a_zero_in_the_middle(count, limit):
    bins = networks.symexp_bins(count, limit)
    assert len(bins) == count
    assert torch.equal(bins, -bins.flip(0))
    assert bins[count // 2] == 0


def weights_of(target, bins):
    """The two-hot weights, read from the gradient softmax(logits) - weights of the loss."""
    logits = irregular(len(bins)).to(bins.dtype).requires_grad_()
    target = torch.as_tensor(target, dtype=bins.dtype)
    networks.two_hot_loss(torch.log_softmax(logits, -1), target, bins).backward()
    return torch.softmax(logits.detach(), -1) - logits.grad


LINE = torch.arange(-2.0, 3.0, dtype=torch.float64)


def test_the_nearer_bin_gets_the_larger_weight():
    expected = torch.tensor([0, 0, 0.7, 0.3, 0], dtype=torch.float64)
    torch.testing.assert_close(weights_of(0.3, LINE), expected)
    expected = torch.tensor([0.4, 0.6, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(weights_of(-1.4, LINE), expected)


def test_weights_are_linear_between_bins_in_the_units_of_the_reward():
    weights = weights_of(0.1, networks.symexp_bins(255).double())
    assert weights[127].item() == pytest.approx(0.4137, abs=1e-4)
    assert weights[128].item() == pytest.approx(0.5863, abs=1e-4)
    assert weights.sum().item() == pytest.approx(1, abs=1e-9)


def test_a_target_on_a_bin_gives_this_bin_all_weight():
    for i, x in enumerate(LINE.tolist()):
        torch.testing.assert_close(weights_of(x, LINE), torch.eye(5, dtype=torch.float64)[i])


def test_a_target_beyond_the_bins_counts_as_the_outer_bin():
    torch.testing.assert_close(weights_of(7.0, LINE), torch.eye(5, dtype=torch.float64)[4])
    torch.testing.assert_close(weights_of(-99.0, LINE), torch.eye(5, dtype=torch.float64)[0])


def test_the_mean_of_the_two_hot_weights_is_the_target():
    bins = networks.symexp_bins(11, 3.0).double()
    for x in torch.linspace(-19.0, 19.0, 97, dtype=torch.float64):
        torch.testing.assert_close(weights_of(x, bins) @ bins, x)


def test_the_two_hot_loss_is_the_cross_entropy_with_the_two_hot_weights():
    bins = networks.symexp_bins(11, 3.0).double()
    logits, target = irregular(2, 3, 11, scale=3.0), irregular(2, 3, scale=25.0)
    loss = networks.two_hot_loss(torch.log_softmax(logits, -1), target, bins)
    assert loss.shape == (2, 3)
    for b in range(2):
        for t in range(3):
            weights = oracle.two_hot(target[b, t].item(), bins.tolist())
            expected = oracle.cross_entropy(weights, logits[b, t].tolist())
            assert loss[b, t].item() == pytest.approx(expected, rel=1e-9)


def test_the_two_hot_loss_survives_huge_logits():
    head = networks.TwoHotHead(3, 4, 1, bins=5)
    head.bins = LINE.float()
    loss = head.loss(torch.tensor([1000.0, 0, 0, 0, -1000.0]), torch.tensor(1.5))
    assert loss.item() == pytest.approx(1500)  # 0.5 × 1000 + 0.5 × 2000


def test_the_prediction_is_the_mean_of_the_bins_and_not_symexp_of_a_mean():
    logits = torch.full((255,), -torch.inf, dtype=torch.float64)
    logits[127] = logits[167] = 0.0
    got = networks.two_hot_mean(logits, networks.symexp_bins(255).double())
    assert got.item() == pytest.approx(271.5716, rel=1e-4)


def test_the_uniform_distribution_predicts_exactly_zero_in_single_precision():
    got = networks.two_hot_mean(torch.zeros(3, 2, 255), networks.symexp_bins(255))
    assert torch.equal(got, torch.zeros(3, 2))


def test_the_prediction_and_its_gradient_are_those_of_an_expectation():
    """d mean / d logit_i = p_i (bin_i - mean)."""
    bins = networks.symexp_bins(11, 3.0).double()
    logits = irregular(2, 11).requires_grad_()
    got = networks.two_hot_mean(logits, bins)
    got.sum().backward()
    for b in range(2):
        probs = oracle.softmax(logits[b].tolist())
        mean = sum(p * x for p, x in zip(probs, bins.tolist(), strict=True))
        assert got[b].item() == pytest.approx(mean, rel=1e-9)
        expected = [p * (x - mean) for p, x in zip(probs, bins.tolist(), strict=True)]
        assert logits.grad[b].tolist() == pytest.approx(expected, abs=1e-12)


# --- categoricals ---------------------------------------------------------------------------------


def test_no_class_gets_less_than_its_share_of_one_percent():
    probs = networks.unimix(torch.tensor([100.0, 0, 0, 0]))
    torch.testing.assert_close(probs, torch.tensor([0.9925, 0.0025, 0.0025, 0.0025]))
    probs = networks.unimix(torch.tensor([100.0, 0]), 0.3)
    torch.testing.assert_close(probs, torch.tensor([0.85, 0.15]))


def test_mixing_happens_over_the_classes_of_each_categorical():
    logits = irregular(2, 3, 5, scale=4.0)
    probs = networks.unimix(logits, 0.07)
    torch.testing.assert_close(probs.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    for b in range(2):
        for s in range(3):
            expected = oracle.mixed(logits[b, s].tolist(), 0.07)
            assert probs[b, s].tolist() == pytest.approx(expected, rel=1e-12)


def test_without_a_uniform_share_the_categorical_is_the_softmax():
    logits = torch.tensor([2.0, 1, 1], dtype=torch.float64)
    probs = networks.unimix(logits, 0.0)
    assert probs[0].item() == pytest.approx(0.576117, abs=1e-6)


def test_a_sample_is_exactly_one_hot():
    sample = networks.sample_one_hot(networks.unimix(torch.randn(7, 3, 5, requires_grad=True)))
    assert sample.shape == (7, 3, 5)
    assert ((sample == 0) | (sample == 1)).all()
    assert torch.equal(sample.sum(-1), torch.ones(7, 3))


def test_the_straight_through_gradient_is_exactly_that_of_the_mixed_probabilities():
    weight = irregular(2, 3, 5)
    a, b = (irregular(2, 3, 5, scale=2.0).requires_grad_() for _ in range(2))
    (networks.sample_one_hot(networks.unimix(a, 0.05)) * weight).sum().backward()
    (networks.unimix(b, 0.05) * weight).sum().backward()
    assert torch.equal(a.grad, b.grad)
    assert (a.grad != 0).all()


def test_classes_are_drawn_as_often_as_they_are_probable():
    probs = torch.tensor([0.7, 0.1, 0.2]).expand(20000, 3)
    frequency = networks.sample_one_hot(probs).mean(0)
    torch.testing.assert_close(frequency, torch.tensor([0.7, 0.1, 0.2]), rtol=0, atol=0.015)


def test_every_categorical_draws_for_itself():
    sample = networks.sample_one_hot(torch.full((5000, 2, 2), 0.5))[..., 0]
    first, second = sample[:, 0], sample[:, 1]
    assert (first == second).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (first[1:] == first[:-1]).float().mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
def test_a_class_of_probability_zero_is_never_drawn(draws, uniform):
    draws(uniform)
    sample = networks.sample_one_hot(torch.tensor([0.0, 0.25, 0.75, 0.0]))
    assert sample[0] == 0 and sample[3] == 0 and sample.sum() == 1


# --- layers ---------------------------------------------------------------------------------------


def check_init(weight, std):
    """Truncated at two standard deviations of the parent normal, whose std is 1.1368 times std."""
    assert weight.std().item() == pytest.approx(std, rel=0.03)
    assert weight.abs().max().item() <= 2 * 1.1368 * std * (1 + 1e-5)
    assert weight.abs().max().item() >= 1.9 * 1.1368 * std
    assert weight.mean().item() == pytest.approx(0, abs=0.05 * std)


def test_dense_weights_start_as_a_truncated_normal_of_the_fan_in():
    layer = networks.Linear(50, 400)
    check_init(layer.weight, 1 / math.sqrt(50))
    assert not layer.bias.any()
    check_init(networks.Linear(50, 400, fan_in=200).weight, 1 / math.sqrt(200))
    check_init(networks.Linear(50, 400, scale=0.01).weight, 0.01 / math.sqrt(50))
    assert not networks.Linear(50, 40, scale=0.0).weight.any()


def test_block_weights_start_with_the_fan_of_all_inputs():
    layer = networks.BlockLinear(80, 800, 4)
    check_init(layer.weight, 1 / math.sqrt(80))
    assert not layer.bias.any()
    check_init(networks.BlockLinear(80, 800, 4, fan_in=500).weight, 1 / math.sqrt(500))


@pytest.mark.parametrize("strided", [True, False])
def test_convolutions_start_with_the_fan_of_their_receptive_field(strided):
    spaces = {"image": space(3, 16, 16)}
    encoder = networks.Encoder(spaces, 16, 8, 1, strided)
    check_init(encoder.cnn[0].weight, 1 / math.sqrt(3 * 25))
    decoder = networks.Decoder(spaces, 8, 6, 4, 16, 8, 1, strided)
    convs = [m for m in decoder.cnn if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    check_init(convs[0].weight, 1 / math.sqrt(48 * 25))
    assert not convs[0].bias.any() and not encoder.cnn[0].bias.any()


def test_a_block_linear_layer_is_several_small_layers_side_by_side():
    layer = fill(networks.BlockLinear(6, 12, 3))
    x = irregular(2, 5, 3, 2)
    out = layer(x)
    assert out.shape == (2, 5, 3, 4)
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    for b in range(2):
        for t in range(5):
            expected = oracle.block_linear(x[b, t].flatten().tolist(), weight, bias)
            got = out[b, t].tolist()
            for g in range(3):
                assert got[g] == pytest.approx(expected[g], rel=1e-12)


@pytest.mark.parametrize("rows", [16, 4096])
def test_the_norm_of_half_precision_is_exact(rows):
    layer, x = networks.NormAct(64), torch.randn(rows, 64).bfloat16()
    torch.testing.assert_close(layer(x), layer.double()(x.double()).float())


def test_hidden_layers_end_with_rms_norm_and_silu():
    layer = networks.NormAct(2).double()
    x = torch.tensor([[3.0, -4.0], [0.01, -0.01]], dtype=torch.float64)
    out = layer(x)
    expected = [oracle.norm_silu(row, [1.0, 1.0]) for row in x.tolist()]
    assert out[0].tolist() == pytest.approx(expected[0], rel=1e-9)
    a = 3 / math.sqrt(12.5 + 1e-4)
    assert out[0, 0].item() == pytest.approx(a / (1 + math.exp(-a)), rel=1e-9)
    half = math.sqrt(0.5)  # eps = 1e-4 equals the mean square of the second row
    assert out[1, 0].item() == pytest.approx(half / (1 + math.exp(-half)), rel=1e-9)


def test_images_are_normalised_over_the_channels_of_each_pixel():
    layer = fill(networks.ImageNormAct(3))
    x = irregular(2, 3, 4, 5)
    out = layer(x)
    assert out.shape == x.shape
    for b in range(2):
        for i in range(4):
            for j in range(5):
                expected = oracle.norm_silu(x[b, :, i, j].tolist(), layer.weight.tolist())
                assert out[b, :, i, j].tolist() == pytest.approx(expected, rel=1e-9)


def test_an_mlp_is_linear_norm_silu_for_each_layer_and_a_plain_output():
    mlp = fill(networks.MLP(3, 4, 2, 5))
    x = irregular(2, 3)
    p = {name: value.tolist() for name, value in mlp.state_dict().items()}
    for b in range(2):
        y = oracle.norm_silu(
            oracle.linear(x[b].tolist(), p["0.weight"], p["0.bias"]), p["1.weight"]
        )
        y = oracle.norm_silu(oracle.linear(y, p["2.weight"], p["2.bias"]), p["3.weight"])
        y = oracle.linear(y, p["4.weight"], p["4.bias"])
        assert mlp(x)[b].tolist() == pytest.approx(y, rel=1e-9)
    assert networks.MLP(3, 4, 2)(torch.ones(7, 2, 3)).shape == (7, 2, 4)


# --- encoder --------------------------------------------------------------------------------------


def input_of(module, call):
    """What reaches `module` during call()."""
    seen = []
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    call()
    handle.remove()
    return seen[0]


def test_images_enter_the_encoder_between_minus_and_plus_one_half():
    encoder = networks.Encoder({"image": space(1, 8, 8)}, 2, 4, 1)
    image = torch.full((1, 1, 8, 8), 51, dtype=torch.uint8)
    image[0, 0, 0, :2] = torch.tensor([0, 255])
    seen = input_of(encoder.cnn, lambda: encoder({"image": image}))
    assert seen[0, 0, 0].tolist() == pytest.approx([-0.5, 0.5] + [-0.3] * 6)


def test_vectors_enter_the_encoder_as_symlog():
    encoder = networks.Encoder({"vector": space(3)}, 2, 4, 1)
    vector = torch.tensor([[1e4, -10.0, 0.0]])
    seen = input_of(encoder.mlp, lambda: encoder({"vector": vector}))
    assert seen[0].tolist() == pytest.approx([9.210440, -2.397895, 0.0])


@pytest.mark.parametrize("strided", [True, False])
@pytest.mark.parametrize(
    "size, smallest, channels",
    [
        ((64, 64), (4, 4), 8),
        ((96, 96), (6, 6), 8),
        ((32, 32), (4, 4), 8),
        ((16, 16), (4, 4), 6),
        ((8, 8), (4, 4), 4),
        ((64, 80), (4, 5), 8),
    ],
)
def test_images_are_halved_until_the_smallest_map_has_at_least_four_pixels(
    size, smallest, channels, strided
):
    encoder = networks.Encoder({"image": space(3, *size)}, 2, 4, 1, strided)
    image = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    maps = encoder.cnn(image / 255 - 0.5)
    assert maps.shape == (2, channels, *smallest)
    assert encoder.size == channels * smallest[0] * smallest[1]
    assert encoder({"image": image}).shape == (2, encoder.size)
    decoder = networks.Decoder({"image": space(3, *size)}, 8, 6, 4, 2, 4, 1, strided)
    assert decoder(torch.zeros(2, 8), torch.zeros(2, 2, 3))["image"].shape == (2, 3, *size)


def test_channels_grow_as_two_three_four_four_times_the_depth():
    for strided in (True, False):
        encoder = networks.Encoder({"image": space(3, 64, 64)}, 5, 4, 1, strided)
        convs = [m for m in encoder.cnn if isinstance(m, nn.Conv2d)]
        assert [m.out_channels for m in convs] == [10, 15, 20, 20]
        assert all(m.kernel_size == (5, 5) for m in convs)
        assert {m.stride for m in convs} == {(2, 2) if strided else (1, 1)}
        assert sum(isinstance(m, nn.MaxPool2d) for m in encoder.cnn) == (0 if strided else 4)


@pytest.mark.parametrize("size", [(63, 64), (64, 66), (50, 50), (4, 4), (7, 7), (84, 84), (2, 64)])
def test_images_that_cannot_be_halved_are_refused(size):
    with pytest.raises(ValueError, match="halved"):
        networks.Encoder({"image": space(3, *size)}, 2, 4, 1)
    with pytest.raises(ValueError, match="halved"):
        networks.Decoder({"image": space(3, *size)}, 8, 6, 4, 2, 4, 1)


def test_images_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="same height and width"):
        networks.Encoder({"a": space(3, 64, 64), "b": space(3, 32, 32)}, 2, 4, 1)


def mixed_observation():
    """Two images, two vectors, B=2, T=3."""
    spaces = {"pos": space(2), "eye": space(3, 16, 16), "depth": space(1, 16, 16), "vel": space(4)}
    obs = {
        key: (255 * torch.rand(2, 3, *s.shape)).byte()
        if len(s.shape) == 3
        else torch.randn(2, 3, *s.shape)
        for key, s in spaces.items()
    }
    return spaces, obs


@pytest.mark.parametrize("strided", [True, False])
def test_any_leading_dimensions_give_what_each_frame_gives_alone(strided):
    spaces, obs = mixed_observation()
    encoder = networks.Encoder(spaces, 2, 5, 1, strided)
    out = encoder(obs)
    assert out.shape == (2, 3, encoder.size)
    for b in range(2):
        for t in range(3):
            alone = encoder({key: x[b, t] for key, x in obs.items()})
            torch.testing.assert_close(out[b, t], alone, rtol=1e-4, atol=1e-5)


def test_images_and_vectors_are_embedded_side_by_side():
    spaces, obs = mixed_observation()
    encoder = networks.Encoder(spaces, 2, 5, 1)
    assert encoder.size == 6 * 4 * 4 + 5
    out = encoder(obs)
    for key in spaces:
        changed = encoder(obs | {key: 255 - obs[key] if key in ("eye", "depth") else -obs[key]})
        image_part, vector_part = (out != changed).any(0).any(0).split([96, 5])
        assert image_part.any() == (key in ("eye", "depth"))
        assert vector_part.any() == (key in ("pos", "vel"))


def test_the_order_of_the_observation_dict_does_not_matter():
    spaces, obs = mixed_observation()
    encoder = networks.Encoder(spaces, 2, 5, 1)
    backwards = networks.Encoder(dict(reversed(spaces.items())), 2, 5, 1)
    backwards.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(obs), backwards(dict(reversed(obs.items()))))


@pytest.mark.parametrize("shape", [(1,), (2, 3), ()])
def test_a_vector_of_any_shape_is_embedded(shape):
    encoder = networks.Encoder({"vector": space(*shape)}, 2, 5, 1)
    vector = torch.randn(2, 4, *shape)
    assert encoder({"vector": vector}).shape == (2, 4, 5)


# --- decoder --------------------------------------------------------------------------------------


def mixed_decoder(strided=True):
    spaces, _ = mixed_observation()
    return networks.Decoder(spaces, deter=8, stoch=15, blocks=4, depth=2, units=5, layers=1,
                            strided=strided)  # fmt: skip


@pytest.mark.parametrize("strided", [True, False])
def test_the_decoder_predicts_every_observation_with_any_leading_dimensions(strided):
    decoder = mixed_decoder(strided)
    h, z = torch.randn(2, 3, 8), torch.randn(2, 3, 3, 5)
    out = decoder(h, z)
    shapes = {key: tuple(x.shape) for key, x in out.items()}
    assert shapes == {"pos": (2, 3, 2), "vel": (2, 3, 4), "eye": (2, 3, 3, 16, 16),
                      "depth": (2, 3, 1, 16, 16)}  # fmt: skip
    for b in range(2):
        for t in range(3):
            alone = decoder(h[b, t], z[b, t])
            for key in out:
                torch.testing.assert_close(out[key][b, t], alone[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strided", [True, False])
def test_decoded_images_lie_between_zero_and_one(strided):
    decoder = mixed_decoder(strided)
    last = decoder.cnn[-1]
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([2.0, -2.0, 0.0, 1.0])  # depth has 1 channel, eye 3
    out = decoder(torch.randn(1, 8), torch.randn(1, 3, 5))
    assert out["depth"].unique().tolist() == pytest.approx([0.880797])
    for channel, expected in enumerate([0.119203, 0.5, 0.731059]):
        assert out["eye"][0, channel].unique().tolist() == pytest.approx([expected])


def test_the_pooled_variant_upsamples_by_repeating_pixels_before_it_convolves():
    decoder = mixed_decoder(strided=False)
    small = torch.randn(1, 6, 4, 4)  # 16×16 images have two levels: depth × 3 channels
    convs = [m for m in decoder.cnn if isinstance(m, nn.Conv2d)]
    seen = input_of(convs[0], lambda: decoder.cnn(small))
    assert torch.equal(seen, small.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_decoded_vectors_are_not_squashed():
    decoder = mixed_decoder()
    last = decoder.mlp[-1]
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([9.2, -0.3, 0.5, -7.0, 0.0, 3.0])
    out = decoder(torch.randn(1, 8), torch.randn(1, 3, 5))
    assert out["pos"][0].tolist() == pytest.approx([9.2, -0.3])
    assert out["vel"][0].tolist() == pytest.approx([0.5, -7.0, 0.0, 3.0])


@pytest.mark.parametrize("strided", [True, False])
def test_every_prediction_depends_on_both_halves_of_the_state(strided):
    decoder = mixed_decoder(strided)
    h, z = torch.randn(2, 8, requires_grad=True), torch.randn(2, 3, 5, requires_grad=True)
    for prediction in decoder(h, z).values():
        for gradient in torch.autograd.grad(prediction.sum(), (h, z), retain_graph=True):
            assert (gradient != 0).all()


def test_each_block_of_h_draws_its_own_channels_of_the_first_feature_map():
    decoder = mixed_decoder()
    nn.init.zeros_(decoder.from_z[-1].weight)
    h = torch.randn(1, 8)
    other = h.clone()
    other[0, 2:4] += 1  # block 1 of 4
    z = torch.zeros(1, 3, 5)
    a, b = (input_of(decoder.norm, lambda x=x: decoder(x, z)).flatten() for x in (h, other))
    changed = (a != b).reshape(4, -1)
    assert changed[1].all() and not changed[[0, 2, 3]].any()


# --- losses ---------------------------------------------------------------------------------------


def test_the_image_loss_is_a_sum_over_pixels_without_one_half():
    target = torch.randint(0, 200, (2, 3, 3, 64, 64), dtype=torch.uint8)
    loss = networks.reconstruction_loss(target / 255 + 0.1, target, True)
    assert loss.shape == (2, 3)
    torch.testing.assert_close(loss, torch.full((2, 3), 122.88), rtol=1e-4, atol=0)


def test_the_image_target_is_in_zero_to_one_though_the_encoder_sees_one_half_less():
    target = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 3, 1, 1)
    prediction = torch.tensor([0.0, 0.2, 1.0]).view(1, 1, 3, 1, 1)
    assert networks.reconstruction_loss(prediction, target, True).item() < 1e-12


def test_the_vector_loss_compares_with_symlog_and_sums_over_entries():
    target = torch.tensor([[[1e4, -10.0], [0.0, 3.0]]], dtype=torch.float64)
    perfect = [[[oracle.symlog(x) for x in row] for row in target[0].tolist()]]
    prediction = torch.tensor(perfect, dtype=torch.float64, requires_grad=True)
    assert networks.reconstruction_loss(prediction, target, False).abs().max() < 1e-20
    off = (prediction.detach() + torch.tensor([0.3, -0.4])).requires_grad_()
    loss = networks.reconstruction_loss(off, target, False)
    assert loss.flatten().tolist() == pytest.approx([0.25, 0.25], abs=1e-7)
    loss.sum().backward()
    assert off.grad.flatten().tolist() == pytest.approx([0.6, -0.8, 0.6, -0.8], abs=1e-6)


def test_a_fresh_head_predicts_exactly_zero_and_its_loss_is_the_log_of_the_bins():
    head = networks.TwoHotHead(7, 6, 2)
    logits = head(torch.randn(2, 3, 7))
    assert logits.shape == (2, 3, 255)
    assert torch.equal(head.mean(logits), torch.zeros(2, 3))
    loss = head.loss(logits, torch.tensor([[0.0, 5.0, -1e6], [1e12, 0.1, 3.0]]))
    torch.testing.assert_close(loss, torch.full((2, 3), 5.541264))


def test_a_head_learns_from_its_first_gradient_on():
    head = networks.TwoHotHead(7, 6, 1, bins=11, limit=3.0)
    head.loss(head(torch.randn(4, 7)), torch.ones(4)).mean().backward()
    assert head.mlp[-1].weight.grad.abs().max() > 1e-4


def test_a_head_reads_its_logits_on_the_bins_of_its_own_limit():
    head = networks.TwoHotHead(7, 6, 1, bins=5, limit=2.0)
    logits = torch.full((5,), -100.0)
    logits[4] = 100.0
    assert head.mean(logits).item() == pytest.approx(math.e**2 - 1, rel=1e-5)
    assert head.loss(logits, torch.tensor(50.0)).item() == pytest.approx(0, abs=1e-5)


def test_the_continue_target_is_the_discount_or_zero_at_a_death():
    logits = torch.tensor([[2.0, 2.0, -0.7]], dtype=torch.float64, requires_grad=True)
    terminal = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    loss = networks.continue_loss(logits, terminal, 0.75)
    expected = [
        oracle.bernoulli_cross_entropy(x, y) for x, y in ((2, 0.75), (2, 0.0), (-0.7, 0.75))
    ]
    assert loss.shape == (1, 3)
    assert loss[0].tolist() == pytest.approx(expected, rel=1e-9)
    assert loss[0, 1].item() == pytest.approx(2.126928, abs=1e-6)
    loss.sum().backward()  # sigmoid(logit) - target
    assert logits.grad[0].tolist() == pytest.approx([0.130797, 0.880797, -0.418188], abs=1e-6)


def test_the_continue_loss_is_least_where_the_probability_is_the_discount():
    logit = torch.tensor(math.log(0.75 / 0.25), requires_grad=True)
    networks.continue_loss(logit, torch.tensor(0.0), 0.75).backward()
    assert logit.grad.item() == pytest.approx(0, abs=1e-7)
