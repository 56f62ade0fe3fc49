"""A flat DreamerV3 as an hDreamer: the same predictions, the command, training on."""

import re
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import dreamkit
from dreamkit import checkpoint, cli, latents
from dreamkit.envs import make
from solutions.paper3_dreamerv3 import train as paper3
from solutions.paper3_dreamerv3.rssm import feature
from solutions.paper4_hdreamer import convert as conversion
from solutions.paper4_hdreamer.convert import SIZES, convert
from solutions.paper4_hdreamer.networks import join_levels, split_levels
from solutions.paper4_hdreamer.train import Agent, Config

STEPS, B, S, K, A = 20, 2, 6, 4, 3
# Values up to symexp(10) = 22,025: of larger ones 1e-10 would be less than their last digit.
SMALL = dict(
    deter=16, hidden=8, stoch=S, classes=K, blocks=4, depth=2, units=8, layers=1, bins=21,
    bin_limit=10.0, batch_size=4, batch_length=8, imagine_length=3,
)  # fmt: skip
BOTH = {"image": SimpleNamespace(shape=(3, 16, 16)), "vector": SimpleNamespace(shape=(4,))}
ORDERS = {"first": list(range(S)), "random": [3, 0, 5, 1, 4, 2]}
by_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


def shaken(agent):
    """Weights without zeros: fresh heads are 0, and nothing would show."""
    for parameter in agent.modules.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return agent


def flat_agent(**options) -> paper3.Agent:
    torch.manual_seed(0)
    return shaken(paper3.Agent(BOTH, SimpleNamespace(n=A), paper3.Config(**SMALL | options)))


def two_levels(n_top: int = 2, **options) -> Agent:
    torch.manual_seed(1)
    return shaken(Agent(BOTH, SimpleNamespace(n=A), Config(**SMALL | options, n_top=n_top)))


def converted(flat: paper3.Agent, n_top: int = 2, order=None) -> Agent:
    agent = two_levels(n_top)
    order = None if order is None else torch.tensor(order)
    found = convert(flat.modules.state_dict(), asdict(flat.config), agent.config, order)
    agent.modules.load_state_dict(found)
    return agent


# --- the same predictions -------------------------------------------------------------------------


def predictions(agent, order: list[int]) -> dict[str, torch.Tensor]:
    """All that an agent predicts along given latents, STEPS after one another.

    order   the flat model's number of each categorical: z is given and logits are taken in it
    """
    random = torch.Generator().manual_seed(2)
    model, core = agent.world_model, agent.world_model.rssm
    codes = torch.randint(0, K, (B, STEPS + 1, S), generator=random)
    z = torch.eye(K).double()[codes][:, :, order]
    action = torch.eye(A).double()[torch.randint(0, A, (B, STEPS), generator=random)]
    h = torch.randn(B, 16, generator=random).double()
    embed = torch.randn(B, STEPS, model.encoder.size, generator=random).double()
    embed_in, back, found = core.post_embed(embed), torch.tensor(order).argsort(), {}
    for t in range(STEPS):
        h = core.sequence_model(h, z[:, t], core.a_in(action[:, t]))
        now, x = z[:, t + 1], embed_in[:, t]
        if hasattr(core, "n_top"):
            top, _ = split_levels(now, core.n_top)
            first, second = x.chunk(2, -1)
            levels = core.top_posterior(h, first), core.bottom_posterior(h, top, second)
            posterior, prior = join_levels(*levels), core.prior(h, now)
        else:
            posterior, prior = core.posterior(h, x), core.prior(h)
        state = feature(h, now)
        views = model.decoder(h, now)
        reward, continues = model.predict(state)
        found |= {
            f"h {t}": h, f"posterior {t}": posterior[:, back], f"prior {t}": prior[:, back],
            f"image {t}": views["image"], f"vector {t}": views["vector"], f"reward {t}": reward,
            f"continues {t}": continues, f"actor {t}": agent.actor(state),
            f"critic {t}": agent.critic(state), f"slow critic {t}": agent.slow_critic(state),
        }  # fmt: skip
    return {name: x.detach() for name, x in found.items()}


@by_order
@pytest.mark.parametrize("n_top", [1, 2, 5])
def test_a_converted_agent_predicts_what_the_flat_one_predicts(order, n_top):
    flat = flat_agent()
    agent = converted(flat, n_top, order)
    flat.modules.double()
    agent.modules.double()
    wanted, found = predictions(flat, ORDERS["first"]), predictions(agent, order)
    assert found.keys() == wanted.keys() and len(found) == 10 * STEPS
    worst = {name: float((found[name] - wanted[name]).abs().max()) for name in wanted}
    assert max(worst.values()) < 1e-10, max(worst, key=worst.get)
    assert min(float(x.std()) for x in wanted.values()) > 1e-3  # something was predicted


def test_what_sees_no_latents_is_copied():
    flat = flat_agent().modules.state_dict()
    found = converted(flat_agent(), 2, ORDERS["random"]).modules.state_dict()
    kept = [name for name in flat if name not in conversion.SEE_Z and "rssm" not in name]
    assert any(name.startswith("world_model.encoder") for name in kept)
    assert all(torch.equal(found[name], flat[name]) for name in kept)


def test_another_order_is_another_agent():
    flat = flat_agent()
    first, other = (converted(flat, 2, order).modules.state_dict() for order in ORDERS.values())
    changed = {name for name in first if not torch.equal(first[name], other[name])}
    assert set(conversion.SEE_Z) <= changed
    assert "world_model.rssm.delta.out.1.weight" in changed


def test_a_flat_agent_is_converted_to_itself_where_there_is_no_top_level():
    flat = flat_agent().modules.state_dict()
    found = converted(flat_agent(), n_top=0).modules.state_dict()
    assert list(found) == list(flat)
    assert all(torch.equal(found[name], x) for name, x in flat.items())


def test_the_flat_agent_is_not_changed_and_shares_no_weights():
    flat, fresh = flat_agent(), flat_agent().modules.state_dict()
    agent = converted(flat, 2, ORDERS["random"])
    for parameter in agent.modules.parameters():
        parameter.data.zero_()
    assert all(torch.equal(x, fresh[name]) for name, x in flat.modules.state_dict().items())


def test_what_a_conversion_adds_is_zero_and_learns():
    agent = converted(flat_agent())
    core = agent.world_model.rssm
    columns = core.bottom_prior_mlp[0].weight[:, 16:]
    for x in (core.gate, core.delta.top_in.weight, columns):
        assert not x.any()
    random = torch.Generator().manual_seed(3)
    size = (4, 8)
    flags = dict.fromkeys(("is_first", "is_last", "is_terminal"), torch.zeros(size))
    agent.train_step(
        flags
        | {
            "image": torch.randint(0, 256, (*size, 3, 16, 16), generator=random),
            "vector": torch.randn(*size, 4, generator=random),
            "action": torch.eye(A)[torch.randint(0, A, size, generator=random)],
            "reward": torch.randn(size, generator=random),
            "h": torch.zeros(4, 16), "z": torch.zeros(4, S),
        }
    )  # fmt: skip
    columns = core.bottom_prior_mlp[0].weight.grad[:, 16:]
    for gradient in (core.gate.grad, core.delta.top_in.weight.grad, columns):
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("key", SIZES)
def test_every_size_that_differs_is_refused_with_both_numbers(key):
    flat, config = flat_agent(), two_levels().config
    options = asdict(flat.config)
    options[key] = not options[key] if key == "strided" else options[key] + 2
    with pytest.raises(ValueError, match=f"{key}={options[key]}, not {getattr(config, key)}"):
        convert(flat.modules.state_dict(), options, config)


# --- the command ----------------------------------------------------------------------------------

HEAD = {
    "agent_name": "dreamerv3", "code": "solutions", "task": {"name": "cartpole"},
    "agent": asdict(paper3.Config(**SMALL)),
}  # fmt: skip


def run_of(folder, head: dict, **more):
    """A run folder with a checkpoint of an agent that was never trained."""
    torch.manual_seed(0)
    agent = shaken(checkpoint.build_agent(head, make(**head["task"])))
    state = {"header": head, "agent": agent.state_dict()} | more
    checkpoint.save(folder / "checkpoints" / "best.pt", state)
    return folder


@pytest.fixture(scope="module")
def flat_run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("flat"), HEAD, step=1234, **{"return": 56.5})


@pytest.fixture
def command(monkeypatch, capsys):
    """A console command in this process: function, arguments → exit code, output, errors."""
    monkeypatch.setattr("dreamkit.report.write", lambda folder: folder / "report.html")

    def call(function, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.command(function)()
        return end.value.code, *capsys.readouterr()

    return call


def modules_of(path) -> dict[str, torch.Tensor]:
    return checkpoint.read(path)["agent"]["modules"]


def test_the_command_writes_a_checkpoint_of_two_levels(flat_run, tmp_path, command):
    out = tmp_path / "new" / "converted.pt"
    code, said, _ = command(conversion.command, f"checkpoint={flat_run}", f"out={out}")
    state, flat = checkpoint.read(out), checkpoint.read(flat_run)
    count = len(state["agent"]["modules"])
    assert (code, said) == (0, f"{out}: {count} of {count} tensors from the flat agent or exact\n")
    head = state["header"]
    assert (head["agent_name"], head["task"]) == ("hdreamer", HEAD["task"])
    assert Config(**head["agent"]) == Config(**HEAD["agent"], n_top=2)  # a third of 6
    assert (state["step"], state["return"]) == (1234, 56.5)
    config = Config(**head["agent"])
    wanted = convert(flat["agent"]["modules"], HEAD["agent"], config)
    assert wanted.keys() == state["agent"]["modules"].keys()
    assert all(torch.equal(wanted[name], x) for name, x in state["agent"]["modules"].items())


@pytest.mark.parametrize("n_top", [0, 1, 5])
def test_the_command_takes_the_number_of_top_categoricals(n_top, flat_run, tmp_path, command):
    out = tmp_path / "converted.pt"
    given = [f"checkpoint={flat_run}", f"out={out}", f"n_top={n_top}"]
    assert command(conversion.command, *given)[0] == 0
    assert checkpoint.read(out)["header"]["agent"]["n_top"] == n_top
    assert ("world_model.rssm.gate" in modules_of(out)) == (n_top > 0)


def test_a_converted_file_can_be_played(flat_run, tmp_path, command):
    out = tmp_path / "converted.pt"
    command(conversion.command, f"checkpoint={flat_run}", f"out={out}", "assign=slow")
    policy, env = dreamkit.load(str(out), device="cpu")
    obs, _ = env.reset(seed=0)
    for _ in range(5):
        action = policy(obs)
        assert env.action_space.contains(action)
        obs, *_ = env.step(action)


def episode(*columns) -> dict:
    """What `latents.observe` says of an episode: one list of classes for each categorical."""
    return {"probs": np.eye(K)[np.array(columns).T]}


def test_slow_categoricals_are_those_that_change_their_class_least_often(monkeypatch):
    episodes = [
        episode([0, 1, 2, 3, 0], [1, 1, 1, 1, 1], [2, 2, 0, 0, 0]),
        episode([0, 0, 1], [1, 3, 3], [1, 1, 1]),
    ]
    # Share of steps with a change: 4/4 and 1/2, 0 and 1/2, 1/4 and 0.
    monkeypatch.setattr(latents, "observe", lambda agent, make_env, seed: episodes)
    assert conversion.slow_first(None, None).tolist() == [2, 1, 0]


def test_slow_categoricals_become_the_top_level(flat_run, tmp_path, command, monkeypatch):
    order = [4, 1, 5, 0, 2, 3]
    monkeypatch.setattr(conversion, "slow_first", lambda agent, make_env: torch.tensor(order))
    out = tmp_path / "converted.pt"
    command(conversion.command, f"checkpoint={flat_run}", f"out={out}", "assign=slow", "n_top=3")
    name, flat, found = "world_model.rssm.post_out.1.bias", modules_of(flat_run), modules_of(out)
    by_latent = flat[name].unflatten(0, (S, K))
    assert torch.equal(found[name].unflatten(0, (3, K)), by_latent[[4, 1, 5]])
    name = "world_model.rssm.delta.out.1.bias"
    assert torch.equal(found[name].unflatten(0, (3, K)), by_latent[[0, 2, 3]])


def test_where_sizes_differ_partial_takes_what_fits_and_names_the_rest(flat_run, tmp_path, command):
    given = [f"checkpoint={flat_run}", f"out={tmp_path / 'x.pt'}", "size=tiny", "partial=true"]
    code, said, _ = command(conversion.command, *given)
    first, *lines = said.splitlines()
    left = {line.removeprefix("  left out, fresh: ") for line in lines}
    flat, found = modules_of(flat_run), modules_of(tmp_path / "x.pt")
    same = {name for name, x in found.items() if name in flat and x.shape == flat[name].shape}
    assert code == 0 and len(lines) == len(left)
    assert left == set(found) - same and "world_model.rssm.gate" in left
    assert f"{len(same)} of {len(found)} tensors" in first and same
    assert all(torch.equal(found[name], flat[name]) for name in same)


REFUSED = {
    "mark": (["n_top"], "unknown option 'n_top': one of checkpoint, out, n_top"),
    "unknown": (["ntop=2"], "unknown option 'ntop=2': one of checkpoint, out, n_top"),
    "no file": (["out="], "name a flat agent and a new file: checkpoint=RUN out=FILE"),
    "no agent": (["checkpoint="], "name a flat agent and a new file: checkpoint=RUN out=FILE"),
    "nowhere": (["checkpoint=nowhere"], "there is no checkpoint nowhere"),
    "assign": (["assign=fast"], "assign is first or slow, partial is true or false"),
    "partial": (["partial=yes"], "assign is first or slow, partial is true or false"),
    "word": (["n_top=two"], "n_top=two is not a number of categoricals"),
    "negative": (["n_top=-1"], "n_top=-1 is not a number of categoricals"),
    "digit": (["n_top=²"], "n_top=² is not a number of categoricals"),
    "all": (["n_top=6"], "n_top=6 must be less than stoch=6, or 0"),
    "default sizes": (["size=hdreamer"], "deter=16, not 512, hidden=8, not 512.*must be equal"),
    "size": (["size=large"], "unknown size 'large': tiny, tiny_dreamerv3"),
    "other size": (["size=tiny"], "deter=16, not 128.*sizes must be equal; partial=true takes"),
    "code": (["code=nowhere"], "code=nowhere: there is no such folder"),
}


def refusal(found: tuple) -> str:
    """What a command says that must refuse: exit code 2, and one line."""
    code, said, error = found
    lines = error.splitlines()
    assert code == 2 and said == "" and len(lines) == 1 and lines[0].startswith("error: "), found
    return lines[0]


@pytest.mark.parametrize("given, message", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_converted_is_one_line(given, message, flat_run, tmp_path, command):
    out = tmp_path / "converted.pt"
    given = [f"checkpoint={flat_run}", f"out={out}", *given]
    assert re.search(message, refusal(command(conversion.command, *given)))
    assert not out.exists()


def test_only_a_flat_dreamerv3_is_converted(flat_run, tmp_path, command):
    out = tmp_path / "converted.pt"
    command(conversion.command, f"checkpoint={flat_run}", f"out={out}")
    again = [f"checkpoint={out}", f"out={tmp_path / 'again.pt'}"]
    assert "holds hdreamer, not a flat dreamerv3" in refusal(command(conversion.command, *again))


@pytest.mark.long
def test_the_file_is_a_program(flat_run, tmp_path):
    out = tmp_path / "converted.pt"
    line = [sys.executable, "-m", "solutions.paper4_hdreamer.convert", f"checkpoint={flat_run}"]
    done = subprocess.run([*line, f"out={out}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "" and str(out) in done.stdout
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.startswith("error: name a flat agent")


# --- training on ----------------------------------------------------------------------------------

RUN = [
    "agent=hdreamer", "task=cartpole", "device=cpu", "envs=2", "eval_episodes=1", "train_ratio=16",
    "eval_every=0", "save_every=0", "log_every=20", "agent.n_top=2",
    *(f"agent.{key}={value}" for key, value in SMALL.items()),
]  # fmt: skip


def test_training_converts_a_flat_agent_by_itself(flat_run, tmp_path, command):
    run = tmp_path / "run"
    given = [*RUN, f"checkpoint={flat_run}", f"run={run}", "steps=10"]  # no update yet
    code, said, _ = command(cli.train_command, *given)
    assert code == 0
    note = "converted: both levels predict what the flat model predicted, with the gate at 0"
    assert note in " ".join(said.split()) and "begins with the agent of" in said
    found = modules_of(run / "checkpoints" / "latest.pt")
    wanted = convert(modules_of(flat_run), HEAD["agent"], Config(**SMALL, n_top=2))
    assert all(torch.equal(found[name], x) for name, x in wanted.items())


def test_training_goes_on_from_a_flat_agent_and_from_a_converted_file(flat_run, tmp_path, command):
    out = tmp_path / "converted.pt"
    command(conversion.command, f"checkpoint={flat_run}", f"out={out}")
    for begin in (flat_run, out):
        run = tmp_path / f"from-{begin.stem}"
        given = [*RUN, f"checkpoint={begin}", f"run={run}", "steps=36", "agent.warmup=0"]
        assert command(cli.train_command, *given)[0] == 0
        found = modules_of(run / "checkpoints" / "latest.pt")
        assert found["world_model.rssm.gate"] != 0  # it has learned
        assert all(x.isfinite().all() for x in found.values())


@pytest.mark.parametrize(
    "given, message",
    [
        (["agent.hidden=10"], "cannot be taken over: the flat agent has hidden=8, not 10"),
        (["task=pendulum"], "has task {'name': 'cartpole'.*this run has {'name': 'pendulum'"),
    ],
)
def test_training_refuses_another_size_and_another_task(
    given, message, flat_run, tmp_path, command
):
    given = [*RUN, f"checkpoint={flat_run}", f"run={tmp_path / 'run'}", "steps=10", *given]
    code, _, error = command(cli.train_command, *given)
    assert code == 2 and len(error.splitlines()) == 1 and re.search(message, error), error


def test_training_refuses_an_agent_of_another_chapter(tmp_path, command):
    other = tmp_path / "v2.pt"
    head = HEAD | {"agent_name": "dreamerv2", "agent": {}}
    checkpoint.save(other, {"header": head, "agent": {}})  # what is in it is never looked at
    given = [*RUN, f"checkpoint={other}", f"run={tmp_path / 'run'}", "steps=10"]
    code, _, error = command(cli.train_command, *given)
    assert code == 2 and len(error.splitlines()) == 1
    assert "it holds dreamerv2; a flat dreamerv3 can be converted" in error
