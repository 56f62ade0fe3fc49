"""What the transformer can know is what its mask reaches: by derivatives, and by trying."""

import pytest
import torch

from solutions.paper4_hdreamer.hidreamer.mask import (
    ACTION,
    L0,
    L1,
    L2,
    RULES,
    SLOTS,
    build_mask,
    reachable,
)
from solutions.paper4_hdreamer.hidreamer.world_model import Sizes, Transformer

T = 4
N = SLOTS * T
CODES, ACTIONS = 5, 3
every_rule = pytest.mark.parametrize("rule", RULES)
depths = pytest.mark.parametrize("layers", [1, 2, 3])


def model_of(rule: str, layers: int) -> Transformer:
    """A small one in float64, with weights so large that no influence is lost in rounding."""
    sizes = Sizes(CODES, ACTIONS, 12, layers, 2, T, 0.0, rule, 7)
    model = Transformer(sizes).double().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.normal_(std=0.5)
    return model


def rows(count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(CODES, (count, T, 3)), torch.randint(ACTIONS, (count, T))


@every_rule
@depths
def test_the_derivatives_that_are_not_zero_are_what_is_reachable(rule, layers):
    """Of the sum of cubes: the sum of a normalised row is constant, whatever it depends on."""
    model = model_of(rule, layers)
    x = torch.randn(1, N, 12, dtype=torch.float64, requires_grad=True)
    hidden = model(x)
    support = torch.zeros(N, N, dtype=torch.bool)
    for query in range(N):
        (slope,) = torch.autograd.grad((hidden[0, query] ** 3).sum(), x, retain_graph=True)
        size = slope[0].abs().amax(-1)
        assert not ((size > 0) & (size < 1e-9)).any()  # zero or not: nothing in between
        support[query] = size > 0
    assert torch.equal(support, reachable(build_mask(T, rule), layers))


def test_the_sum_of_a_normalised_row_would_show_nothing():
    model = model_of("causal", 1)
    x = torch.randn(1, N, 12, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(model(x).sum(), x)
    assert slope.abs().max() < 1e-9


@every_rule
@depths
def test_another_token_changes_predictions_where_it_is_reachable_and_nowhere_else(rule, layers):
    model, reach = model_of(rule, layers), reachable(build_mask(T, rule), layers)
    tokens, actions = rows()

    def predictions(tokens, actions):
        """All heads on every row: (N, numbers)."""
        hidden = model(model.embedding(tokens, actions))[0]
        heads = [head(hidden) for head in (*model.heads, model.reward, model.goes_on)]
        return torch.cat(heads, -1)

    with torch.no_grad():
        before = predictions(tokens, actions)
        for position in range(N):
            step, slot = divmod(position, SLOTS)
            other_tokens, other_actions = tokens.clone(), actions.clone()
            if slot == ACTION:
                other_actions[0, step] = (actions[0, step] + 1) % ACTIONS
            else:
                other_tokens[0, step, slot] = (tokens[0, step, slot] + 1) % CODES
            changed = (predictions(other_tokens, other_actions) != before).any(-1)
            assert torch.equal(changed, reach[:, position])


@depths
def test_under_strict_l0_and_actions_do_not_depend_on_details(layers):
    model = model_of("strict", layers)
    tokens, actions = rows()
    others = torch.randint(CODES, (20, T, 3))
    others[..., L0] = tokens[..., L0]
    assert len(set(map(tuple, others.flatten(1).tolist()))) > 10
    with torch.no_grad():
        hidden = model(model.embedding(torch.cat([tokens, others]), actions.expand(21, T)))
    hidden = hidden.unflatten(1, (T, SLOTS))
    coarse, fine = hidden[:, :, [L0, ACTION]], hidden[:, :, [L1, L2]]
    assert torch.allclose(coarse, coarse[:1].expand_as(coarse), rtol=0, atol=1e-12)
    assert (fine - fine[:1]).abs().amax((1, 2, 3))[1:].min() > 1e-3


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_brief_is_causal_from_two_layers_on_and_strict_is_closed(steps):
    causal, brief, strict = (build_mask(steps, rule) for rule in RULES)
    for layers in (2, 3, 6):
        assert torch.equal(reachable(causal, layers), causal)
        assert torch.equal(reachable(brief, layers), causal)
        assert torch.equal(reachable(strict, layers), strict)
    assert torch.equal(brief, causal) == (steps == 1)


@every_rule
def test_the_mask_of_fewer_steps_is_the_corner_of_a_larger_one(rule):
    large = build_mask(6, rule)
    assert large.shape == (24, 24) and large.dtype == torch.bool
    assert torch.equal(build_mask(2, rule), large[:8, :8])


def test_a_rule_that_does_not_exist_is_an_error_that_names_those_that_do():
    with pytest.raises(ValueError, match="unknown mask 'strickt': one of causal, brief, strict"):
        build_mask(2, "strickt")
