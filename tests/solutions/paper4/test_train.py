"""hDreamer's agent: flat where it is said to be, its numbers, its options, and that it learns."""

from dataclasses import replace

import pytest
import torch

from dreamkit import UserError
from dreamkit.config import resolve
from solutions.paper3_dreamerv3.networks import unimix
from solutions.paper4_hdreamer import check
from solutions.paper4_hdreamer.rssm import level_kl_loss, split_free_nats
from solutions.paper4_hdreamer.train import SIZES, Config


def agent_of(**options):
    return check.agent_of("cpu", n_top=2, **options)


def test_two_levels_have_the_latents_and_the_feature_of_one():
    flat, levels = (Config(**SIZES[name]) for name in ("tiny_dreamerv3", "tiny_hdreamer"))
    assert levels == replace(flat, n_top=4) and (flat.stoch, flat.classes) == (12, 32)
    flat, levels = (Config(**SIZES[name]) for name in ("defaults", "hdreamer"))
    assert levels == replace(flat, n_top=16) and (flat.stoch, flat.classes) == (32, 32)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["agent.n_top=8"], "n_top=8 must be less than stoch=8"),
        (["agent.n_top=-1"], "n_top=-1 must be less"),
        (["agent.free_nats_mode=none"], "one of split, each, sum"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options, line):
    with pytest.raises(UserError, match=line):
        resolve(["agent=hdreamer", "task=cartpole", *options])


def test_the_numbers_of_the_levels_are_what_their_names_say():
    agent = agent_of(free_nats=0.3)
    model = agent.world_model
    posterior, prior = 2 * torch.randn(2, 3, 5, 6, 8)
    z = torch.eye(8)[torch.randint(0, 8, (3, 5, 6))]
    is_first = torch.zeros(3, 5)
    is_first[1, 2] = 1
    model.rssm.gate.data.fill_(0.5)
    found = model.level_metrics(posterior, prior, z, is_first)
    q, p = unimix(posterior), unimix(prior)
    kl = (q * (q.log() - p.log())).sum(-1)  # (3, 5, 6)
    close = dict(rtol=1e-5, atol=1e-6)
    for name, part, free in (("top", slice(0, 2), 0.1), ("bottom", slice(2, 6), 0.2)):
        level = kl[..., part].sum(-1)
        assert_equal(found[f"kl_{name}"], level.mean(), **close)
        assert_equal(found[f"kl_{name}_frac_free"], (level < free).double().mean(), **close)
        entropy = -(q * q.log()).sum(-1)[..., part].mean()
        assert_equal(found[f"post_ent_{name}"], entropy, **close)
        changes, pairs = 0.0, 0
        for b in range(3):
            for t in range(1, 5):
                if not is_first[b, t]:
                    pairs += 1
                    changed = (z[b, t, part] != z[b, t - 1, part]).any(-1)
                    changes += float(changed.double().mean())
        assert_equal(found[f"switch_rate_{name}"], torch.tensor(changes / pairs), **close)
        active = sum(float(kl[..., s].mean()) > 0.01 for s in range(*part.indices(6)))
        assert float(found[f"active_latents_{name}"]) == active
    delta = (posterior - 0.5 * prior)[..., 2:, :].flatten(-2).norm(dim=-1)
    assert_equal(found["delta_norm"], delta.mean(), **close)
    length = prior[..., 2:, :].flatten(-2).norm(dim=-1)
    assert_equal(found["delta_rel"], (delta / length).mean(), **close)
    assert float(found["gate_g"]) == 0.5
    assert_equal(found["kl"], kl.sum(-1).mean(), **close)


def assert_equal(found, wanted, **close):
    torch.testing.assert_close(torch.as_tensor(found).double(), wanted.double(), **close)


def test_flat_latents_have_flat_numbers_and_no_gate():
    agent = check.agent_of("cpu", n_top=0)
    metrics, _ = agent.train_step(check.batch_of(agent))
    assert "kl" in metrics and {"grad_norm", "clip_frac"} <= set(metrics)
    assert not [name for name in metrics if name.endswith(("_top", "_bottom", "_g"))]


def test_the_kl_of_the_levels_adds_up_to_the_flat_kl_where_nothing_is_free():
    posterior, prior = torch.randn(2, 3, 4, 6, 8).double()
    split = level_kl_loss(posterior, prior, 2, 0.0, 0.01, "split")
    whole = level_kl_loss(posterior, prior, 2, 0.0, 0.01, "sum")
    for level_by_level, together in zip(split, whole, strict=True):
        torch.testing.assert_close(level_by_level, together)
    assert sum(split_free_nats(1.0, 5, 7)) == pytest.approx(1.0)


def test_the_share_of_clipped_gradients_counts_tensors():
    agent = agent_of(agc=1e-9)
    metrics, _ = agent.train_step(check.batch_of(agent))
    assert float(metrics["clip_frac"]) > 0.9
    agent = agent_of(agc=1e9)
    metrics, _ = agent.train_step(check.batch_of(agent))
    assert float(metrics["clip_frac"]) == 0.0
    lengths = [p.grad.norm() for p in agent.parameters if p.grad is not None]
    torch.testing.assert_close(metrics["grad_norm"], torch.stack(lengths).norm())


@pytest.mark.long
def test_the_model_fits_a_batch_and_both_levels_take_part():
    """The same rows again and again: errors fall, and either level carries something."""
    agent = agent_of(lr=3e-3, free_nats=0.1)
    batch = check.batch_of(agent)
    grey = torch.randint(0, 4, (3, 8, 1, 1, 1), generator=torch.Generator().manual_seed(2))
    batch["image"] = (60 * grey).expand(3, 8, 3, 16, 16).to(torch.uint8)
    torch.manual_seed(0)
    errors = []
    for _ in range(150):
        metrics, _ = agent.train_world_model(batch)
        errors.append(float(metrics["loss/image"]))
    assert sum(errors[-5:]) < 0.2 * sum(errors[:5])
    assert min(float(metrics[f"active_latents_{level}"]) for level in ("top", "bottom")) >= 1


def test_the_latents_of_the_picture_are_those_of_the_loss():
    agent = agent_of()
    batch = check.batch_of(agent)
    torch.manual_seed(1)
    found = agent.latent_statistics(batch)
    assert found["kl"].shape == (3, 8, 6) and found["probs"].shape == (3, 8, 6, 8)
    torch.manual_seed(1)
    with torch.no_grad():
        metrics = agent.world_model.loss(agent.prepare(batch))[2]
    assert found["kl"].sum(-1).mean() == pytest.approx(float(metrics["kl"]), rel=1e-4)
