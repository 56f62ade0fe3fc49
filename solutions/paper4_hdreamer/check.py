"""The core test of hDreamer: one command, seconds, and plain words for what was checked.

    python -m solutions.paper4_hdreamer.check [device=cpu|cuda]

It says whether the model is what it is said to be. Whether two levels help is another question:
`python -m solutions.paper4_hdreamer.compare`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import SimpleNamespace

import torch
from torch import Tensor

from solutions.paper3_dreamerv3 import train as paper3
from solutions.paper3_dreamerv3.rssm import feature
from solutions.paper4_hdreamer import networks, rssm
from solutions.paper4_hdreamer.convert import convert
from solutions.paper4_hdreamer.networks import join_levels, split_levels
from solutions.paper4_hdreamer.rssm import level_kl_loss, split_free_nats
from solutions.paper4_hdreamer.train import SIZES, Agent, Config

OBSERVATION = {"image": SimpleNamespace(shape=(3, 16, 16))}
ACTIONS = SimpleNamespace(n=5)
STEPS = 20  # of the teacher-forced comparison
SMALL = dict(
    deter=32, hidden=24, stoch=6, classes=8, blocks=4, depth=4, units=24, layers=1, bins=31,
    batch_size=3, batch_length=8, imagine_length=4, lr=1e-3, warmup=1,
)  # fmt: skip


def agent_of(device: str, **options) -> Agent:
    """A small agent with fixed random weights."""
    torch.manual_seed(0)
    return Agent(OBSERVATION, ACTIONS, Config(**SMALL | options), device)


def flat_agent(device: str) -> paper3.Agent:
    """Paper 3's agent of the same size, with the same random weights as far as it has them."""
    torch.manual_seed(0)
    return paper3.Agent(OBSERVATION, ACTIONS, paper3.Config(**SMALL), device)


def batch_of(agent) -> dict[str, Tensor]:
    """Random rows as the replay gives them, with episodes that begin in the middle."""
    c, random = agent.config, torch.Generator().manual_seed(1)
    size = (c.batch_size, c.batch_length)
    is_first = torch.rand(size, generator=random) < 0.2
    return {
        "image": torch.randint(0, 256, (*size, 3, 16, 16), generator=random, dtype=torch.uint8),
        "action": torch.eye(5)[torch.randint(0, 5, size, generator=random)],
        "reward": torch.randn(size, generator=random), "is_first": is_first,
        "is_last": is_first.roll(-1, 1), "is_terminal": torch.zeros(size, dtype=torch.bool),
        "h": torch.randn(c.batch_size, c.deter, generator=random).half(),
        "z": torch.randint(0, c.classes, (c.batch_size, c.stoch), generator=random),
    }  # fmt: skip


def check_sizes(device: str) -> str:
    sizes = [Config(**SIZES[name]) for name in ("tiny_dreamerv3", "tiny_hdreamer")]
    latents = [c.stoch * c.classes for c in sizes]
    features = [c.deter + c.stoch * c.classes for c in sizes]
    assert latents == [384, 384] and features == [640, 640], (latents, features)
    agent = agent_of(device, n_top=2)
    h, z = agent.world_model.rssm.initial(1)
    top, bottom = split_levels(z + torch.arange(6, device=device)[:, None], 2)
    found = feature(h, join_levels(top, bottom))[0, 32:]
    assert torch.equal(found, torch.arange(6.0, device=device).repeat_interleave(8))
    return "tiny_dreamerv3 and tiny_hdreamer both have 384 latents and 640 features: h, top, bottom"


def check_flat(device: str) -> str:
    ours, theirs = agent_of(device, n_top=0), flat_agent(device)
    names = list(ours.modules.state_dict())
    assert names == list(theirs.modules.state_dict()), "names of tensors differ"
    for agent in (ours, theirs):
        torch.manual_seed(2)
        for _ in range(3):
            agent.train_step(batch_of(agent))
    found, wanted = ours.modules.state_dict(), theirs.modules.state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in names), "updates differ"
    return f"n_top=0 is DreamerV3: after three updates {len(names)} tensors are equal bit for bit"


def logits_along(model, h: Tensor, z: Tensor, embed: Tensor, action: Tensor) -> list[Tensor]:
    """Everything that a model predicts along given latents: teacher forcing, so that no random
    number decides. h (B, H), z (B, T, S, K), embed (B, T, E), action (B, T, A)"""
    core, found = model.rssm, []
    embed_in = core.post_embed(embed)
    for t in range(z.shape[1] - 1):
        h = core.sequence_model(h, z[:, t], core.a_in(core.bound_action(action[:, t])))
        now, x = z[:, t + 1], embed_in[:, t]
        if hasattr(core, "n_top"):
            top, _ = split_levels(now, core.n_top)
            top_in, bottom_in = x.chunk(2, -1)
            posterior = join_levels(
                core.top_posterior(h, top_in), core.bottom_posterior(h, top, bottom_in)
            )
            prior = core.prior(h, now)
        else:
            posterior, prior = core.posterior(h, x), core.prior(h)
        state = feature(h, now)
        heads = model.decoder(h, now)["image"].flatten(1), *model.predict(state)
        found += [h, posterior, prior, *heads]
    return found


def check_conversion(device: str) -> str:
    device = "cpu"  # not every GPU has double precision
    theirs, ours = flat_agent(device), agent_of(device, n_top=2)
    for parameter in theirs.modules.parameters():  # heads begin at zero: nothing would show
        parameter.data += 0.1 * torch.randn_like(parameter)
    ours.modules.load_state_dict(
        convert(theirs.modules.state_dict(), asdict(theirs.config), ours.config)
    )
    flat, mine = theirs.world_model.double(), ours.world_model.double()
    c = ours.config
    z = torch.eye(c.classes)[torch.randint(0, c.classes, (2, STEPS + 1, c.stoch))].double()
    embed = torch.randn(2, STEPS, flat.encoder.size).double()
    action = torch.randn(2, STEPS, 5).double()
    given = torch.randn(2, c.deter).double(), z, embed, action
    pairs = zip(logits_along(flat, *given), logits_along(mine, *given), strict=True)
    worst = max(float((x - y).detach().abs().max()) for x, y in pairs)
    assert worst < 1e-10, f"a converted model differs by {worst}"
    return (
        f"a converted DreamerV3 predicts the same: largest difference {worst:.1e} over {STEPS} "
        "steps in float64 (h, posterior, prior, picture, reward, continuation)"
    )


def check_residual(device: str) -> str:
    agent = agent_of(device, n_top=2)
    core = agent.world_model.rssm
    for parameter in core.delta.out[-1].parameters():
        parameter.data.zero_()
    h = torch.randn(3, 32, device=device)
    top = core.sample(core.top_prior(h))
    posterior = core.bottom_posterior(h, top, torch.randn(3, 24, device=device))
    prior = core.bottom_prior(h, top)
    assert torch.equal(posterior, prior)
    kl = rssm.kl_divergence(rssm.unimix(posterior), rssm.unimix(prior))
    assert float(kl.detach().abs().max()) == 0.0
    return "where the delta is 0 the bottom posterior is the bottom prior, and its KL exactly 0"


def check_gradients(device: str) -> str:
    agent = agent_of(device, n_top=2, free_nats=0.0)
    core = agent.world_model.rssm
    embed = torch.randn(2, 1, agent.world_model.encoder.size, device=device)
    before = torch.randn(2, 32, device=device), core.initial(2)[1]
    action, is_first = torch.zeros(2, 1, 5, device=device), torch.zeros(2, 1, device=device)
    h, z, posterior = core.observe(embed, action, is_first, before)
    dyn, rep = level_kl_loss(posterior, core.prior(h, z), 2, 0.0, 0.01, "split")
    posteriors = [core.post_out[1].weight, core.delta.out[1].weight]
    priors = [core.prior_mlp[4].weight, core.bottom_prior_mlp[4].weight]
    assert not any(reached(dyn, posteriors)), "the dynamics loss trains a posterior"
    assert all(reached(dyn, priors)), "the dynamics loss misses a prior"
    assert not any(reached(rep, priors)), "the representation loss trains a prior"
    assert all(reached(rep, posteriors)), "the representation loss misses a posterior"
    top = core.sample(core.top_prior(h[:, 0])).detach().requires_grad_()
    seen = core.bottom_prior(h[:, 0], top).square()
    assert all(reached(seen, [top])), "the bottom prior does not see z_top"
    return (
        "the dynamics loss trains both priors alone, the representation loss both posteriors "
        "alone; the bottom prior sees z_top"
    )


def reached(loss: Tensor, inputs: list[Tensor]) -> list[bool]:
    """Whether the sum of a loss has a gradient in each of the inputs."""
    found = torch.autograd.grad(loss.sum(), inputs, retain_graph=True, allow_unused=True)
    return [gradient is not None and bool(gradient.any()) for gradient in found]


def check_imagination(device: str) -> str:
    agent = agent_of(device, n_top=2)
    core, called = agent.world_model.rssm, []
    for name in ("top_posterior", "bottom_posterior"):
        setattr(core, name, lambda *args, name=name: called.append(name))
    core.delta.register_forward_hook(lambda *args: called.append("delta"))
    h, z = core.initial(4)
    states, _ = core.imagine(h, z, lambda s: torch.eye(5, device=device)[[0, 1, 2, 3]], 6)
    assert not called, f"a dream asks {called[0]}"
    _, z = core.split(states)
    assert torch.equal(z[:, 1:].sum(-1), torch.ones_like(z[:, 1:, :, 0]))
    return "dreams ask the priors alone, never an encoder, a posterior or the delta"


def check_free_nats(device: str) -> str:
    assert split_free_nats(1.0, 4, 8) == (1 / 3, 2 / 3)
    found = networks.switch_rate(
        torch.eye(3)[torch.tensor([[0, 0, 1, 1]])][:, :, None], torch.zeros(1, 4)
    )
    assert abs(float(found) - 1 / 3) < 1e-6
    return "4 of 12 categoricals have a third of the free nats; a step in three switches a class"


def check_training(device: str) -> str:
    agent = agent_of(device, n_top=2)
    for _ in range(3):
        metrics, latents = agent.train_step(batch_of(agent))
    bad = [name for name, x in metrics.items() if not torch.isfinite(torch.as_tensor(x)).all()]
    assert not bad, f"not finite: {bad}"
    assert latents["z"].shape == (3, 8, 6)
    without = [
        name
        for name, p in agent.modules.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not without, f"no gradient reaches {without}"
    levels = sorted(name for name in metrics if name.endswith(("_top", "_bottom")))
    return f"three updates: all parameters learn, {len(metrics)} finite numbers, " + (
        f"{len(levels)} of them of one level"
    )


CHECKS: tuple[Callable[[str], str], ...] = (
    check_sizes, check_flat, check_conversion, check_residual, check_gradients,
    check_imagination, check_free_nats, check_training,
)  # fmt: skip


def run(device: str) -> Iterator[tuple[bool, str]]:
    """(whether it holds, what was found) of every check."""
    for check in CHECKS:
        try:
            yield True, check(device)
        except NotImplementedError:
            raise  # an exercise that is not done yet: the command says so
        except Exception as error:  # whatever a learner's code may raise
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            yield False, f"{check.__name__.removeprefix('check_')}: {kind}{error}"


def command(arguments: list[str]) -> int:
    """The command."""
    from dreamkit import UserError, checkpoint

    device = "cpu"
    for item in arguments:
        key, _, device = item.partition("=")
        if key != "device" or not device:
            raise UserError(f"unknown option {item!r}: device=cpu or device=cuda")
    device, failed = checkpoint.choose_device(device), 0
    torch.set_num_threads(1)
    for holds, text in run(device):
        print(("  ok    " if holds else "  FAILS ") + text, flush=True)
        failed += not holds
    if failed:
        print(f"{failed} of {len(CHECKS)} checks failed")
        return 1
    print("🎉 All tests passed! hDreamer implementation is working correctly.")
    print("Ready for training experiments!")
    return 0


if __name__ == "__main__":
    from dreamkit import cli

    cli.command(command)()
