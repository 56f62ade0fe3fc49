"""What the parts of Hi-Dreamer learn in seconds, and what they cannot learn. All long."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.paper4_hdreamer.hidreamer.mask import ACTION, L0, L1, SLOTS
from solutions.paper4_hdreamer.hidreamer.world_model import Sizes, Transformer, token_accuracy

pytestmark = pytest.mark.long

ROWS = (ACTION, L0, L1)  # that predict L0 (of the next step), L1, L2


@pytest.fixture(autouse=True)
def one_thread():
    """Small models are faster so, and results do not depend on the machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@torch.no_grad()
def guesses(model: Transformer, batch: dict[str, Tensor], level: int) -> Tensor:
    """The likeliest tokens of a level (B, T); L0 of step 0, which nothing predicts, as it is."""
    hidden = model.eval()(model.embedding(batch["tokens"], batch["action"]))
    found = model.heads[level](hidden.unflatten(1, (-1, SLOTS))[:, :, ROWS[level]]).argmax(-1)
    model.train()
    return torch.cat([batch["tokens"][:, :1, 0], found[:, :-1]], 1) if level == 0 else found


# --- the world model ------------------------------------------------------------------------------


def test_a_small_transformer_learns_eight_windows_by_heart():
    """More than 99 percent of the tokens that change, on every level; 32 codes, width 64."""
    torch.manual_seed(0)
    tokens = torch.randint(32, (8, 12, 3))
    for t in range(1, 12):  # six of ten tokens stay, as in a game
        stays = torch.rand(8, 3) < 0.6
        tokens[:, t] = torch.where(stays, tokens[:, t - 1], tokens[:, t])
    batch = {"tokens": tokens, "action": torch.randint(4, (8, 12))}
    batch |= {"reward": torch.randn(8, 12), "terminal": torch.zeros(8, 12)}
    model = Transformer(Sizes(32, 4, 64, 2, 4, 12, 0.0, "brief", 15))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(150):
        loss, _ = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    for level in range(3):
        found = token_accuracy(guesses(model, batch, level), tokens[:, :, level])
        assert found["copy"] < 0.75 and found["change"] > 0.99


# --- counters: what a mask hides, and for how long ------------------------------------------------

CHANCE = 1 / 8
LENGTH = 6


def counters(count: int, level: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Windows in which one level counts modulo 8, from anywhere; all else is chance."""
    tokens = torch.randint(8, (count, LENGTH, 3), generator=generator)
    tokens[:, :, level] = (tokens[:, :1, level] + torch.arange(LENGTH)) % 8
    return {"tokens": tokens, "action": torch.randint(3, (count, LENGTH), generator=generator)}


def accuracy(rule: str, layers: int, level: int, updates: int) -> float:
    """Of a counter on a level, in windows never seen, after training on this level alone."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = Transformer(Sizes(8, 3, 32, layers, 4, LENGTH, 0.0, rule, 5))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(updates):
        batch = counters(32, level, generator)
        hidden = model(model.embedding(batch["tokens"], batch["action"]))
        row = hidden.unflatten(1, (-1, SLOTS))[:, :, ROWS[level]]
        target = batch["tokens"][:, :, level]
        loss = F.cross_entropy(model.heads[level](row).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    batch = counters(512, level, generator)
    found = guesses(model, batch, level), batch["tokens"][:, :, level]
    return token_accuracy(*found)["accuracy"]


def test_without_a_rule_one_layer_learns_a_counter_of_details():
    assert accuracy("causal", 1, 2, 120) > 0.95


def test_one_layer_of_brief_cannot_see_earlier_details():
    assert accuracy("brief", 1, 2, 360) < CHANCE + 0.05  # of 2,560 tokens: 7.6 standard errors


def test_one_layer_of_brief_does_see_them_where_l1_is_predicted():
    """Row L0 predicts L1, and row L0 is the one that may see everything."""
    assert accuracy("brief", 1, 1, 120) > 0.95


def test_in_two_layers_of_brief_details_arrive_by_way_of_l0():
    assert accuracy("brief", 2, 2, 360) > 0.95


@pytest.mark.parametrize("layers", [1, 3])
def test_strict_hides_earlier_details_at_any_depth(layers):
    assert accuracy("strict", layers, 2, 360) < CHANCE + 0.05


@torch.no_grad()
def test_what_strict_hides_changes_not_one_bit_in_six_layers():
    torch.manual_seed(0)
    batch = counters(16, 2, torch.Generator().manual_seed(1))
    other = batch | {"tokens": batch["tokens"].clone()}
    other["tokens"][:, :-1, 1:] = (other["tokens"][:, :-1, 1:] + 3) % 8
    for rule, equal in (("strict", True), ("brief", False)):
        model = Transformer(Sizes(8, 3, 32, 6, 4, LENGTH, 0.0, rule, 5)).eval()
        last = [
            model(model.embedding(b["tokens"], b["action"]))[:, -SLOTS:] for b in (batch, other)
        ]
        assert torch.equal(*last) == equal
