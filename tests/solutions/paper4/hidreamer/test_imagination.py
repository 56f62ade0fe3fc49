"""Dreams: kept keys and values against computing everything again, with chance and without."""

import pytest
import torch

from solutions.paper4_hdreamer.hidreamer.imagination import (
    imagine,
    imagine_naive,
    likeliest,
    sampler,
)
from solutions.paper4_hdreamer.hidreamer.mask import RULES
from solutions.paper4_hdreamer.hidreamer.world_model import Sizes, Transformer

K, A, B, C, H = 13, 5, 4, 3, 6


def transformer(rule: str, seed: int = 0) -> Transformer:
    """Of random weights ten times the usual ones, so that contexts make a difference."""
    torch.manual_seed(seed)
    model = Transformer(Sizes(K, A, 24, 2, 3, C + H, 0.1, rule, 5)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model


def context(seed: int = 0) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(K, (B, C, 3), generator=generator)
    return tokens, torch.randint(A, (B, C - 1), generator=generator)


def policy(tokens):
    return tokens.sum(-1) % A


def equal(dream: dict, other: dict) -> bool:
    """Integers exactly, numbers to rounding."""
    whole = all(torch.equal(dream[key], other[key]) for key in ("tokens", "action"))
    near = (torch.allclose(dream[key], other[key], atol=1e-10) for key in ("reward", "continue"))
    return whole and all(near)


@pytest.mark.parametrize("rule", RULES)
def test_greedy_dreams_are_the_naive_ones(rule):
    model, data = transformer(rule), context()
    dream = imagine(model, policy, *data, H, likeliest)
    assert equal(dream, imagine_naive(model, policy, *data, H, likeliest))
    assert len(dream["tokens"].unique()) > 5, "a dream in which everything happens to be equal"


@pytest.mark.parametrize("rule", RULES)
def test_sampled_dreams_are_the_naive_ones_for_the_same_generator(rule):
    """Both draw in the same order; the policy's actions come from the same generator."""
    model, data, dreams = transformer(rule), context(), []
    for function in (imagine, imagine_naive):
        choose = sampler(torch.Generator().manual_seed(7))

        def act(tokens, choose=choose):
            return choose(torch.zeros(len(tokens), A, dtype=torch.float64))

        dreams.append(function(model, act, *data, H, choose))
    assert equal(*dreams)
    other = imagine(model, policy, *data, H, sampler(torch.Generator().manual_seed(8)))
    assert not torch.equal(other["tokens"], dreams[0]["tokens"])


def test_sampled_tokens_follow_the_probabilities_of_the_naive_first_step():
    """Of L0 after one action: shares of 5,000 draws within four standard deviations."""
    model, (tokens, actions), count = transformer("brief"), context(), 5_000
    tokens, actions = tokens[:1], actions[:1]
    many = tokens.expand(count, -1, -1), actions.expand(count, -1)
    dream = imagine(model, policy, *many, 1, sampler(torch.Generator().manual_seed(0)))
    found = torch.bincount(dream["tokens"][:, 1, 0], minlength=K) / count
    whole = torch.cat([actions, policy(tokens[:, -1])[:, None]], 1)
    with torch.no_grad():
        last = model(model.embedding(tokens, whole))[0, -1]
        expected = model.heads[0](last).softmax(-1)
    assert ((found - expected).abs() <= 4 * (expected * (1 - expected) / count).sqrt()).all()


def test_a_dream_computes_each_position_once_and_the_naive_one_again_and_again():
    def positions(function) -> list[int]:
        model, seen = transformer("causal"), []
        model.blocks[0].register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
        function(model, policy, *context(), H, likeliest)
        return seen

    seen = positions(imagine)
    assert len(seen) == 1 + 3 * H and sum(seen) == 4 * (C + H) - 2
    again = positions(imagine_naive)
    assert len(again) == 3 * H
    assert sum(again) == sum(3 * 4 * t + 3 for t in range(C, C + H))  # 4 t, 4 t + 1, 4 t + 2


def test_a_context_of_one_step_and_a_dream_as_long_as_the_model_has_positions():
    model, (tokens, _) = transformer("brief"), context()
    data = tokens[:, :1], torch.zeros(B, 0, dtype=torch.int64)
    horizon = C + H - 1
    dream = imagine(model, policy, *data, horizon, likeliest)
    assert equal(dream, imagine_naive(model, policy, *data, horizon, likeliest))
    assert dream["tokens"].shape == (B, 1 + horizon, 3)
    with pytest.raises(ValueError, match="9 steps"):
        imagine(model, policy, *data, horizon + 1, likeliest)


def test_the_past_of_a_dream_matters_and_its_parts_are_in_range():
    model, (tokens, actions) = transformer("causal"), context()
    dream = imagine(model, policy, tokens, actions, H, likeliest)
    other = imagine(model, policy, tokens, (actions + 1) % A, H, likeliest)
    assert not torch.equal(dream["reward"], other["reward"])
    assert torch.equal(dream["tokens"][:, 0], tokens[:, -1])
    assert torch.equal(dream["action"], policy(dream["tokens"][:, :-1]))
    assert ((dream["continue"] > 0) & (dream["continue"] < 1)).all()
    assert dream["tokens"].min() >= 0 and dream["tokens"].max() < K
