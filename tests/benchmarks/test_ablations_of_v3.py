"""DreamerV3 with squared errors, and without normalised returns: what is changed, and only that.

In processes of their own, because importing an ablation may change the solution's modules.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

START = """
import copy, torch
from dreamkit import agents, make
env = make("cartpole_pixels", size=32)
def build(name, code):
    train = agents.load(name, code)
    config = train.Config(**train.SIZES["tiny"])
    return train.Agent(env.observation_space.spaces, env.action_space, config)
"""

SQUARED = """
agent = build("dreamerv3_squared", "benchmarks/ablations")
state = torch.randn(2, 3, 192)
for head in (agent.world_model.reward, agent.critic):
    out = head(state)
    assert out.shape == (2, 3, 1) and (head.mean(out) == 0).all()
    first, second = torch.full((2, 3), 4.0), torch.full((2, 3), -2.0)
    assert torch.allclose(head.loss(out, first), torch.tensor(8.0))
    assert torch.allclose(head.loss(out, first, second), torch.tensor(10.0))
    (slope,) = torch.autograd.grad(head.loss(out, first).sum(), out)
    assert torch.allclose(slope, torch.tensor(-4.0))
"""

UNSCALED = """
agent, whole = build("dreamerv3_unscaled", "benchmarks/ablations"), build("dreamerv3", "solutions")
whole.modules.load_state_dict(agent.modules.state_dict())
assert type(whole.normalizer) is not type(agent.normalizer)
policy, actions = torch.randn(4, 5, 2).log_softmax(-1), torch.eye(2)[torch.ones(4, 5).long()]
returns, zeros, ones = 100 * torch.rand(4, 5), torch.zeros(4, 5), torch.ones(4, 5)
for _ in range(300):
    for each in (agent, whole):
        loss, found = each.policy_loss(policy, actions, returns, zeros, ones)
        each.advantage = found["advantage_size"]
assert agent.normalizer.scale() == 1 and whole.normalizer.scale() > 50
assert torch.allclose(agent.normalizer.high, whole.normalizer.high)
assert torch.allclose(agent.advantage, returns.mean())
assert torch.allclose(whole.advantage * whole.normalizer.scale(), returns.mean())
"""


@pytest.mark.parametrize("facts", [SQUARED, UNSCALED], ids=["squared", "unscaled"])
def test_an_ablation_does_what_it_says(facts):
    code = [sys.executable, "-c", START + facts]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize("name", ["squared", "unscaled"])
def test_a_run_goes_through(name, tmp_path):
    command = [sys.executable, "-c", "from dreamkit.cli import train; train()"]
    options = [f"agent=dreamerv3_{name}", "code=benchmarks/ablations", "task=cartpole_pixels"]
    run = [*command, *options, "preset=debug", f"run={tmp_path}/run"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not replaced" not in done.stderr  # the solution's faster functions fit
