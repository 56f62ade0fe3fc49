"""Compiled updates against plain ones, and the standard case against the published figure."""

import json
from pathlib import Path

import pytest
import torch
import torch._inductor.config

from benchmarks import update
from dreamkit import speed

# Compiled code draws random numbers in another way, unless told.
torch._inductor.config.fallback_random = True
RESULTS = Path(__file__).parents[2] / "docs" / "results"


def gradients(agent_name: str, compile: bool, precision: str = "fp32") -> torch.Tensor:
    agent, batch = update.build(
        dict(update.DEFAULTS, agent=agent_name, size="tiny", batch=4, length=8, horizon=5), {}
    )
    with torch.no_grad():
        for parameter in agent.parameters:
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.005))
    speed.accelerate(agent, precision, compile)
    torch.manual_seed(3)
    agent.train_step(batch)
    found = [p.grad.flatten() for p in agent.parameters if p.grad is not None]
    return torch.cat(found)


@pytest.mark.parametrize("agent", ["dreamerv1", "dreamerv2", "dreamerv3", "hdreamer"])
def test_a_compiled_update_has_the_gradients_of_a_plain_one(agent):
    plain, compiled = gradients(agent, False), gradients(agent, True)
    assert plain.abs().max() > 1e-3
    torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-4 * plain.abs().max().item())


def test_half_precision_and_compiled_steps_go_together():
    """Draws may differ by a digit, so gradients only point the same way."""
    plain, both = gradients("dreamerv3", False), gradients("dreamerv3", True, "bf16")
    assert torch.cosine_similarity(plain, both, 0) > 0.97


@pytest.mark.parametrize("observation", ["vector", "image"])
def test_an_update_is_not_slower_than_published(observation):
    """The best time over that of a matrix product in the same run: at most 30 % above."""

    def best_ratio(result: dict) -> float:
        return result["min_ms"] / 1e3 / (result["plain_flops"] / result["peak_flops"])

    path = RESULTS / f"update-{observation}.json"
    published = best_ratio(json.loads(path.read_text(encoding="utf-8")))
    options = dict(update.DEFAULTS, observation=observation, repeats=4)
    best = best_ratio(update.run_case(options, {}))
    assert best < 1.3 * published, f"{best:.2f} times the floor, {published:.2f} is published"
