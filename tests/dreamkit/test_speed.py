"""What makes updates fast must not change them: half precision, kept memory, and bad options."""

import sys

import numpy as np
import pytest
import torch

from benchmarks import update
from dreamkit import UserError, speed
from solutions.paper3_dreamerv3 import rssm

SMALL = dict(size="tiny", batch=8, length=8)


def case(**options):
    """An agent with parameters away from their start, where zero layers hide mistakes; a batch."""
    agent, batch = update.build(dict(update.DEFAULTS, **SMALL) | options, {})
    with torch.no_grad():
        for parameter in agent.parameters:
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.005))
    return agent, batch


def one_update(agent, batch, precision="fp32"):
    """Metrics and gradients of one update."""
    speed.accelerate(agent, precision)
    torch.manual_seed(3)
    metrics, _ = agent.train_step(batch)
    return {name: float(x) for name, x in metrics.items()}, [p.grad for p in agent.parameters]


@pytest.fixture
def without_draws(monkeypatch):
    """Latents are their probabilities: a draw turns the last digit into another class."""
    monkeypatch.setattr(rssm, "sample_one_hot", lambda probs: probs)


@pytest.mark.parametrize("observation", ["vector", "image"])
def test_an_update_in_bf16_is_close_to_one_in_fp32(observation, without_draws):
    exact, gradients = one_update(*case(observation=observation))
    half, half_gradients = one_update(*case(observation=observation), precision="bf16")
    for name in (name for name in exact if name.startswith("loss/")):
        assert half[name] == pytest.approx(exact[name], rel=0.03, abs=0.01), name
    assert all(gradient.dtype == torch.float32 for gradient in half_gradients)
    exact, half = (torch.cat([g.flatten() for g in gs]) for gs in (gradients, half_gradients))
    assert torch.cosine_similarity(exact, half, 0) > 0.98


def test_in_bf16_every_parameter_still_learns():
    """Weights that autocast has cast without gradient must not be used where one is needed."""
    _, exact = one_update(*case())
    _, half = one_update(*case(), precision="bf16")
    for a, b in zip(exact, half, strict=True):
        assert (a.abs().sum() > 0) == (b.abs().sum() > 0)


def test_in_bf16_predictions_and_the_state_keep_full_precision():
    agent, batch = case()
    batch = agent.prepare(batch)
    with torch.autocast("cpu", torch.bfloat16):
        model = agent.world_model
        h, z, _ = model.rssm.observe(
            model.encoder(batch), batch["action"], batch["is_first"], (batch["h"], batch["z"])
        )
        state, policy, _, reward, continues = agent.imagine(h, z)
        value = agent.critic.mean(agent.critic(state))
    for x in (h, z, state, policy, reward, continues, value):
        assert x.dtype == torch.float32
        assert x is z or (x != x.bfloat16().float()).any()  # and more digits than bf16 has


@pytest.mark.parametrize("agent", ["dreamerv1", "dreamerv2"])
def test_an_agent_that_computes_in_fp32_alone_says_so(agent):
    agent, _ = case(agent=agent)
    with pytest.raises(UserError, match="computes in fp32 alone"):
        speed.accelerate(agent, "bf16")


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="one of fp32, bf16"):
        speed.accelerate(case()[0], "fp8")


def test_without_a_compiler_compile_is_refused_in_one_line(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no C++ compiler\nand a long trace")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(UserError, match="compile=true does not work here: .*no C") as error:
        speed.accelerate(case()[0], compile=True)
    assert "\n" not in str(error.value)


def test_steps_are_compiled_for_updates_alone(monkeypatch):
    """Acting has many shapes, and each would be compiled anew."""
    calls = []

    def fake(function, **options):
        return lambda *args: calls.append(function.__name__) or function(*args)

    monkeypatch.setattr(torch, "compile", fake)
    monkeypatch.setattr(speed, "check_compiler", lambda: None)
    agent, batch = case()
    speed.accelerate(agent, compile=True)
    obs = {"vector": np.zeros((2, 24), np.float32), "is_first": np.ones(2, bool)}
    agent.act(obs, agent.initial_state(2))
    assert calls == []
    agent.train_step(batch)
    assert calls.count("observe_step") == 8 and calls.count("imagine_step") == 15
    count = len(calls)
    agent.act(obs, agent.initial_state(2))
    assert len(calls) == count


def test_in_bf16_layers_compute_in_half_precision_within_an_update():
    agent, batch = case()
    speed.accelerate(agent, "bf16")
    types = []
    layer = agent.world_model.rssm.core_in
    layer.register_forward_hook(lambda layer, inputs, output: types.append(output.dtype))
    agent.train_step(batch)
    assert set(types) == {torch.bfloat16}


def test_glibc_is_told_to_keep_large_blocks_and_never_to_trim(monkeypatch):
    """The numbers are those of malloc.h: M_MMAP_MAX is -4, M_TRIM_THRESHOLD is -1."""
    calls = []

    class Library:
        def __init__(self, name):
            self.mallopt = lambda *pair: calls.append(pair) or 1

    monkeypatch.setattr(speed.ctypes, "CDLL", Library)
    monkeypatch.setattr(speed.sys, "platform", "linux")
    assert speed.keep_memory()
    assert sorted(calls) == [(-4, 0), (-1, -1)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_memory_is_kept_on_linux():
    assert speed.keep_memory()


@pytest.mark.parametrize("observation", ["vector", "image"])
def test_an_update_needs_little_more_memory_than_what_it_saves_for_its_gradient(observation):
    options = dict(update.DEFAULTS, observation=observation, batch=4, length=32)
    agent, batch = update.build(options, {})
    agent.train_step(batch)
    saved, live = update.saved_memory(agent, batch), update.live_memory(agent, batch)
    assert 20 < saved < live < 1.2 * saved
