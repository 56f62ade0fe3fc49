"""Normal latents in DreamerV2: the KL is right, gradients flow, and a run goes through.

In a process of its own, because importing the ablation changes the solution's modules.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FACTS = """
import torch
from torch.distributions import Normal, kl_divergence
from dreamkit import agents
train = agents.load("dreamerv2_gaussian", "benchmarks/ablations")
from solutions.paper2_dreamerv2 import rssm

torch.manual_seed(0)
post, prior = torch.randn(2, 3, 4, 5, 2).requires_grad_()
want = kl_divergence(Normal(*train.split(post)), Normal(*train.split(prior))).sum(-1)
assert torch.allclose(rssm.kl_divergence(post, prior), want, atol=1e-5)
loss, _ = rssm.kl_loss(post, prior, 0.8, 0.0)  # the solution's own balancing, of this KL
assert torch.allclose(loss, want.mean(), atol=1e-5)

model = rssm.DiscreteRSSM(2, 6, 4, 5, 8, 7)
assert type(model) is train.GaussianRSSM
out = model.rollout_observation(torch.randn(3, 4, 6), torch.randn(3, 4, 2))
assert out["z"].shape == (3, 4, 20) and out["post_logits"].shape == (3, 4, 20, 2)
out["z"].sum().backward()
assert model.fc_post_logits.weight.grad.abs().min() > 0
draws = torch.stack([train.sample(post.detach()) for _ in range(4000)])
mean, std = train.split(post.detach())
assert ((draws.mean(0) - mean) / std).abs().max() < 0.1
assert (draws.std(0) / std - 1).abs().max() < 0.1
"""


def test_normal_latents_do_what_they_say():
    done = subprocess.run([sys.executable, "-c", FACTS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_a_run_with_normal_latents_goes_through(tmp_path):
    command = [sys.executable, "-c", "from dreamkit.cli import train; train()"]
    options = ["agent=dreamerv2_gaussian", "code=benchmarks/ablations", "task=cartpole_pixels"]
    run = [*command, *options, "preset=debug", f"run={tmp_path}/run"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/dreams/latents.png").exists()
