"""The transformer of tokens: its size, its start, its cache, what dropout changes."""

import math

import pytest
import torch
from torch import nn

from solutions.paper4_hdreamer.hidreamer.mask import ACTION, RULES, SLOTS
from solutions.paper4_hdreamer.hidreamer.world_model import Cache, Sizes, Transformer

FEW = dict(codes=7, actions=5, width=12, layers=3, heads=2, steps=9, dropout=0.0, bins=5)


def model_of(dtype=torch.float64, **others) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(Sizes(**(FEW | others))).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # larger than at the start: every path counts
            parameter.add_(0.4 * torch.randn_like(parameter))
    return model


def window(batch=2, steps=9, codes=7, actions=5) -> dict:
    generator = torch.Generator().manual_seed(1)
    return {
        "tokens": torch.randint(codes, (batch, steps, 3), generator=generator),
        "action": torch.randint(actions, (batch, steps), generator=generator),
        "reward": torch.randn(batch, steps, generator=generator),
        "terminal": torch.zeros(batch, steps, dtype=torch.bool),
    }


def read(model: Transformer, batch: dict) -> torch.Tensor:
    """What the blocks are given. (B, N, D)"""
    return model.embedding(batch["tokens"], batch["action"])


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


# --- sizes and start ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full():
    torch.manual_seed(0)
    return Transformer(Sizes()).eval()


def test_the_full_size_has_11_271_168_parameters_and_98_560_more_for_reward_and_continuation(full):
    d = 384
    block = (d * 3 * d + 3 * d) + (d * d + d) + (d * 4 * d + 4 * d) + (4 * d * d + d) + 4 * d
    rows = 3 * 256 + 18 + 4 + 64  # codes, actions, slots, steps
    tokens = 6 * block + rows * d + 2 * d + 3 * (d * 256 + 256)
    assert tokens == 11_271_168
    outputs = full.reward, full.goes_on
    assert count(*outputs) == (d + 1) * (255 + 1) == 98_560
    assert count(full) - count(*outputs) == tokens


def test_the_original_layout_of_256_flat_positions_and_9_actions_would_have_70_272_more(full):
    flat = (256 - 64 + 9 - 18) * 384
    assert count(full) - count(full.reward, full.goes_on) + flat == 11_341_440


def test_the_loss_begins_where_nothing_is_known(full):
    """Logits of std .02 √384 = .39 cost ½ · .39² = .08 nats more than equal ones: 1.4 percent."""
    batch = window(2, 64, 256, 18)
    with torch.no_grad():
        total, parts = full.loss(batch)
    tokens = parts["ce0"] + 0.5 * parts["ce1"] + 0.1 * parts["ce2"]
    assert tokens == pytest.approx(1.6 * math.log(256), rel=0.03)
    assert parts["reward"] == pytest.approx(math.log(255), rel=1e-5)  # its head begins with zeros
    assert float(total) == pytest.approx(
        1.6 * math.log(256) + math.log(255) + math.log(2), rel=0.03
    )


def test_weights_begin_as_gpt_2_s_and_biases_at_zero(full):
    assert full.blocks[3].qkv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert full.embedding.codes[1].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not full.blocks[3].qkv.bias.any() and not full.heads[2].bias.any()


def test_the_mask_is_no_part_of_what_is_saved(full):
    assert "mask" not in full.state_dict()


# --- what is read ---------------------------------------------------------------------------------


def test_one_token_is_embedded_as_in_its_window():
    model, batch = model_of(), window()
    rows = read(model, batch).unflatten(1, (-1, SLOTS))
    for slot in range(SLOTS):
        for step in (0, 3, 8):
            token = batch["action"] if slot == ACTION else batch["tokens"][:, :, slot]
            one = model.embedding.one(slot, token[:, step], step)
            assert one.shape == (2, 1, 12) and torch.equal(one[:, 0], rows[:, step, slot])


@pytest.mark.parametrize("rule", RULES)
def test_in_training_mode_without_dropout_nothing_differs(rule):
    model = model_of(rule=rule)
    x = read(model, window())
    assert torch.equal(model(x), model.train()(x))


def test_dropout_is_off_in_evaluation_and_on_in_training():
    model, x = model_of(dropout=0.3), read(model_of(), window())
    assert torch.equal(model(x), model(x))
    without = model_of(dropout=0.0)
    assert torch.equal(model(x), without(x))
    model.train()
    assert not torch.allclose(model(x), model(x))


def test_parts_of_the_loss_hold_no_graph_and_the_total_trains_every_parameter():
    model = model_of(torch.float32)
    total, parts = model.loss(window())
    assert not any(x.requires_grad for x in parts.values())
    total.backward()
    assert [name for name, p in model.named_parameters() if not p.grad.any()] == []


# --- cache ----------------------------------------------------------------------------------------


def random_cuts(total: int, generator: torch.Generator) -> list[int]:
    cuts = []
    while sum(cuts) < total:
        most = min(11, total - sum(cuts))
        cuts.append(int(torch.randint(1, most + 1, (1,), generator=generator)))
    return cuts


@pytest.mark.parametrize("rule", RULES)
@torch.no_grad()
def test_in_any_portions_the_cache_gives_what_all_at_once_gives(rule):
    model, generator = model_of(rule=rule), torch.Generator().manual_seed(2)
    x = read(model, window(3))
    whole = model(x)
    for _ in range(20):
        cache, rows = Cache(model, 3, x.shape[1]), []
        for part in x.split(random_cuts(x.shape[1], generator), 1):
            before = cache.length
            rows.append(model(part, cache))
            assert cache.length == before + part.shape[1]
        assert (torch.cat(rows, 1) - whole).abs().max() < 1e-10


@torch.no_grad()
def test_a_cache_that_is_full_says_so_and_stays_as_it_was():
    model = model_of()
    x, cache = read(model, window()), Cache(model, 2, 10)
    model(x[:, :8], cache)
    kept = cache.memory.clone()
    with pytest.raises(ValueError, match="room for 10 positions, not 11"):
        model(x[:, 8:11], cache)
    assert cache.length == 8 and torch.equal(cache.memory, kept)
    model(x[:, 8:10], cache)
    assert cache.length == 10


@torch.no_grad()
def test_positions_that_were_never_learned_are_refused():
    model = model_of()
    x = torch.zeros(1, 37, 12, dtype=torch.float64)
    with pytest.raises(ValueError, match="37 positions: the model has learned 36"):
        model(x)
    cache = Cache(model, 1, 50)
    model(x[:, :36], cache)
    with pytest.raises(ValueError, match="37 positions: the model has learned 36"):
        model(x[:, 36:], cache)


@torch.no_grad()
def test_two_caches_of_one_model_do_not_touch_each_other():
    model = model_of()
    x = read(model, window())
    first, second = Cache(model, 2, 36), Cache(model, 2, 36)
    model(x[:, :8], first)
    model(x.flip(0)[:, :8], second)
    assert (model(x[:, 8:12], first) - model(x[:, :12])[:, 8:]).abs().max() < 1e-10


@torch.no_grad()
def test_a_cache_has_the_type_of_its_model():
    assert Cache(model_of(torch.float32), 2, 5).memory.dtype == torch.float32
    assert Cache(model_of(), 2, 5).memory.shape == (3, 2, 2, 2, 5, 6)
