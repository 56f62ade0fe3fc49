"""Faster functions equal the plain ones, serve updates alone, and step aside where they differ."""

import numpy as np
import pytest
import torch

from benchmarks import update
from dreamkit import speed
from solutions.paper3_dreamerv3 import fast, networks, rssm
from solutions.paper3_dreamerv3.networks import sample_one_hot


def make_rssm(**sizes) -> rssm.RSSM:
    torch.manual_seed(1)
    sizes = dict(deter=24, hidden=20, stoch=3, classes=5, blocks=4) | sizes
    model = rssm.RSSM(7, 2, **sizes)
    with torch.no_grad():  # away from zeros and ones
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.1))
    return model


def run(model, scan, is_first, dtype=torch.float32):
    """Results, and gradients of the inputs and of every parameter by name."""
    torch.manual_seed(2)
    b, t = is_first.shape
    embeds = torch.randn(b, t, 7, dtype=dtype, requires_grad=True)
    actions = (2 * torch.randn(b, t, 2, dtype=dtype)).requires_grad_()
    z = torch.randn(b, model.stoch, model.classes, dtype=dtype)
    out = scan(embeds, actions, is_first, (torch.randn(b, model.deter, dtype=dtype), z))
    sum((x * torch.randn_like(x)).sum() for x in out).backward()
    found = {"embeds": embeds.grad, "actions": actions.grad}
    found |= {name: p.grad for name, p in model.named_parameters()}
    return out, {name: grad for name, grad in found.items() if grad is not None}


FIRST = {
    "never": torch.zeros(3, 9),
    "some": torch.tensor([[0.0, 1, 0, 0, 1], [1, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 1, 1, 1]]),
    "one row, one step": torch.ones(1, 1),
}


@pytest.mark.parametrize("sizes", [dict(), dict(blocks=1, hidden=3), dict(ratio=0.3, stoch=1)])
@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("dtype, exact", [(torch.float32, 1), (torch.float64, 1e-8)])
def test_values_and_gradients_are_those_of_the_plain_scan(first, sizes, dtype, exact):
    plain, other = make_rssm(**sizes).to(dtype), make_rssm(**sizes).to(dtype)
    out, grads = run(plain, plain.observe, FIRST[first], dtype)
    fast_out, fast_grads = run(other, lambda *x: fast.observe(other, *x), FIRST[first], dtype)
    for x, y in zip(out, fast_out, strict=True):
        torch.testing.assert_close(y, x, rtol=1e-5 * exact, atol=1e-5 * exact)
    assert fast_grads.keys() == grads.keys() and len(grads) > 20
    for name, grad in grads.items():
        atol = 1e-4 * exact * grad.abs().max().item()
        torch.testing.assert_close(
            fast_grads[name], grad, rtol=1e-4 * exact, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_an_update_is_the_same():
    """The whole agent, from the same noise: the losses, and what the gradients change."""
    found = []
    for accelerate in (False, True):
        agent, batch = update.build(dict(update.DEFAULTS, size="tiny", batch=4, length=16), {})
        if accelerate:
            speed.accelerate(agent)
        torch.manual_seed(3)
        metrics, latents = agent.train_step(batch)
        grads = torch.cat([p.grad.flatten() for p in agent.parameters])
        found.append(({k: float(x) for k, x in metrics.items()}, latents["z"], grads))
    (plain, z, grads), (metrics, fast_z, fast_grads) = found
    assert metrics == pytest.approx(plain, rel=1e-4)
    assert torch.equal(z, fast_z)
    torch.testing.assert_close(fast_grads, grads, rtol=1e-4, atol=1e-4 * grads.abs().max().item())


def test_it_serves_updates_and_not_the_policy(monkeypatch):
    agent, batch = update.build(dict(update.DEFAULTS, size="tiny", batch=2, length=4), {})
    calls, plain = [], fast.observe
    speed.accelerate(agent)
    monkeypatch.setattr(
        fast.Observe,
        "forward",
        lambda *x, f=fast.Observe.forward: calls.append(1) or f(*x),
    )
    obs = {"vector": np.zeros((2, 24), np.float32), "is_first": np.ones(2, bool)}
    agent.act(obs, agent.initial_state(2))
    agent.dream(batch, context=2)
    assert not calls and plain is fast.observe
    agent.train_step(batch)
    assert calls == [1]
    assert "observe" not in vars(agent.world_model.rssm)


CHANGES = {
    "the GRU": ("gru_update", lambda h, r, c, u: h + torch.sigmoid(u) * (torch.tanh(c) - h)),
    "its bias": ("gru_update", lambda h, r, c, u, f=rssm.gru_update: f(h, r, c, u + 0.01)),
    "the mixture": ("unimix", lambda x, ratio: torch.softmax(x, -1)),
    "no straight-through gradient": (
        "sample_one_hot",
        lambda probs: sample_one_hot(probs.detach()),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_changes_the_rssm_gets_the_plain_scan(change, monkeypatch, capsys):
    assert fast.same_scan(make_rssm().double())
    monkeypatch.setattr(rssm, *CHANGES[change])
    agent, batch = update.build(dict(update.DEFAULTS, size="tiny", batch=2, length=4), {})
    speed.accelerate(agent)
    assert capsys.readouterr().err.count("observe: changed, so not replaced by fast.py") == 1
    monkeypatch.setattr(fast, "Observe", None)
    agent.train_step(batch)


def test_another_architecture_gets_the_plain_scan():
    model = make_rssm()
    model.h_in = torch.nn.Sequential(torch.nn.Linear(24, 20), torch.nn.ELU())
    assert not fast.same_scan(model.double())


def test_an_rssm_with_other_names_gets_the_plain_scan_and_only_that_is_said(capsys):
    agent, _ = update.build(dict(update.DEFAULTS, size="tiny"), {})
    model = agent.world_model.rssm
    model.another_norm, model.core_norm = model.core_norm, None
    assert [name for _, name, _ in fast.replacements(agent, scan=True)] == ["norm_act"]
    assert capsys.readouterr().err.startswith("observe: changed")
    assert len(fast.replacements(agent, scan=False)) == 1 and not capsys.readouterr().err


def test_the_comparison_leaves_the_random_numbers_and_the_model_alone():
    agent, _ = update.build(dict(update.DEFAULTS, size="tiny"), {})
    before = {k: x.clone() for k, x in agent.state_dict()["modules"].items()}
    state = torch.get_rng_state()
    assert len(fast.replacements(agent, scan=True)) == 2
    assert torch.equal(state, torch.get_rng_state())
    for key, x in agent.state_dict()["modules"].items():
        assert torch.equal(x, before[key]) and x.dtype == before[key].dtype
    assert all(p.grad is None for p in agent.parameters)


# --- norm_act -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [(), (5,), (2, 3), (50_000,)])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_fused_norm_is_the_plain_one(rows, transposed):
    """50,000 rows are more than one piece."""
    torch.manual_seed(4)
    x = torch.randn(*rows, 6, dtype=torch.float64)
    if transposed:
        x = torch.randn(6, *rows, dtype=torch.float64).movedim(0, -1)
    weight, up = torch.randn(6, dtype=torch.float64, requires_grad=True), torch.randn_like(x)
    x.requires_grad_()
    found = []
    for function in (networks.norm_act, fast.FusedNormAct.apply):
        out = function(x, weight, 1e-4)
        found.append([out, *torch.autograd.grad(out, (x, weight), up)])
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-6, atol=1e-6)


def test_large_inputs_take_the_fused_norm_in_updates_alone(monkeypatch):
    sizes = []
    forward = fast.FusedNormAct.forward
    monkeypatch.setattr(
        fast.FusedNormAct,
        "forward",
        lambda c, x, w, e: sizes.append(x.numel()) or forward(c, x, w, e),
    )
    agent, batch = update.build(dict(update.DEFAULTS, size="tiny", observation="image"), {})
    speed.accelerate(agent)
    sizes.clear()
    agent.dream(batch)
    assert sizes == []
    agent.train_step(batch)
    assert len(sizes) > 5 and min(sizes) >= 2**16


def test_whoever_changes_the_norm_keeps_the_change(monkeypatch, capsys):
    monkeypatch.setattr(networks, "norm_act", lambda x, weight, eps: torch.relu(x) * weight)
    agent, _ = update.build(dict(update.DEFAULTS, size="tiny"), {})
    found = fast.replacements(agent, scan=True)
    assert found == [] and "norm_act and observe: changed" in capsys.readouterr().err


def test_code_without_the_file_takes_the_plain_scan():
    agent, _ = update.build(dict(update.DEFAULTS, agent="dreamerv2", size="standard"), {})
    before = agent.train_step
    speed.accelerate(agent)
    assert agent.train_step == before
