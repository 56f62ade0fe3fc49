"""The analysis of an agent whose levels are known, and of real ones; its files and its refusals."""

import json
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import dreamkit
from dreamkit import UserError, checkpoint
from solutions.paper4_hdreamer import analyse
from solutions.paper4_hdreamer.analyse import (
    Levels,
    draw,
    filtered,
    information,
    need_factors,
    openloop,
    pictures,
    play,
    probe,
    states,
)
from solutions.paper4_hdreamer.train import Agent, Config

EPISODES = 12
SMALL = dict(
    deter=16, hidden=8, stoch=6, classes=4, n_top=2, blocks=4, depth=2, units=8, layers=1, bins=21,
)  # fmt: skip


class Drift(gymnasium.Env):
    """One's own place follows the actions, another's goes its own way; both are observed."""

    render_mode = None
    observation_space = spaces.Dict({"vector": spaces.Box(-9, 9, (2,), np.float32)})
    action_space = spaces.Discrete(3)

    def __init__(self, length=40):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, (self.mine, self.other) = 0, self.np_random.uniform(-1, 1, 2)
        self.heading = 0
        return self._observation(), {}

    def step(self, action):
        self.steps += 1
        self.heading = int(action)
        self.mine = float(np.clip(self.mine + 0.3 * (action - 1), -1, 1))
        self.other = self.np_random.uniform(-1, 1) if self.steps % 4 == 0 else self.other
        return self._observation(), 0.0, False, self.steps >= self.length, {}

    def _observation(self):
        return {"vector": np.array([self.mine, self.other], np.float32)}

    def factors(self):
        return {
            "ego/position": np.array([self.mine]), "ego/heading": np.array(self.heading),
            "world/position": np.array([self.other]), "world/constant": np.ones(2),
        }  # fmt: skip


class Silent(Drift):
    factors = None


class KnownLevels:
    """A stand-in for an agent: latent 0, the top level, is one's own place; latent 1 the other's.

    A dream stays where it began. Made anew, as an untrained one, it draws latents at random.
    """

    latent_space: dict = {}
    device = torch.device("cpu")

    def __init__(self, obs_space, action_space, config, device, trained=False):
        self.config, self.trained = config, trained
        self.world_model = SimpleNamespace(encoder=lambda batch: batch["vector"], rssm=self)
        self.post_embed = torch.nn.Identity()

    def initial_state(self, count):
        return {"action": torch.zeros(count, 3)}

    def act(self, obs, state, explore):
        return torch.eye(3)[[1] * len(obs["vector"])], state

    def prepare(self, batch):
        return {key: torch.as_tensor(x) for key, x in batch.items()}

    def initial(self, count):
        return None

    def observe(self, embed, action, is_first, before):
        place = ((embed + 1) * 4).long().clamp(0, 7)
        code = place if self.trained else torch.randint_like(place, 8)
        return torch.zeros(*embed.shape[:2], 2), torch.eye(8)[code], None

    def imagine_step(self, h, z, action):
        return h, z


def known(n_top=1):
    return KnownLevels({}, None, SimpleNamespace(stoch=2, classes=8, n_top=n_top), "cpu", True)


def an_agent(env, **options):
    torch.manual_seed(0)
    return Agent(env.observation_space.spaces, env.action_space, Config(**SMALL | options), "cpu")


def gridworld():
    return dreamkit.make("gridworld", length=20)


# --- episodes -------------------------------------------------------------------------------------


def test_every_second_episode_is_the_agents_and_the_others_are_random():
    played = play(known(), Drift, EPISODES, 0)
    taken = played.batch["action"].argmax(-1)[:, 1:]
    assert (taken[1::2] == 1).all()  # this agent stands still
    assert np.bincount(taken[::2].ravel()).min() > 40
    assert played.batch["vector"].shape == (EPISODES, 41, 2) and played.inside.all()
    assert np.allclose(played.factors["ego/position"][..., 0], played.batch["vector"][..., 0])
    assert (played.factors["action"][..., 0][:, 1:] == taken).all()
    again, other = play(known(), Drift, EPISODES, 0), play(known(), Drift, EPISODES, 1)
    assert np.array_equal(played.batch["vector"], again.batch["vector"])
    assert not np.array_equal(played.batch["vector"], other.batch["vector"])


def test_shorter_episodes_are_padded_and_the_padding_is_not_inside():
    lengths = iter([3, 9] * EPISODES)
    played = play(known(), lambda: Drift(next(lengths)), 4, 0)
    assert played.inside.sum(1).tolist() == [4, 10, 4, 10]
    assert (played.batch["vector"][0, 4:] == played.batch["vector"][0, 3]).all()
    report = probe(known(), lambda: Drift(next(lengths)), EPISODES)
    assert report["rows"] == (EPISODES // 2) * (3 + 9)
    assert list(report["r2"]) == ["posterior", "prior, 1 ahead", "prior, 5 ahead"]


def test_states_of_the_prior_stand_at_the_rows_that_they_predict():
    """An agent whose dream counts its steps and adds up the actions it is told."""

    class Counting(KnownLevels):
        def imagine_step(self, h, z, action):
            return h + torch.stack([torch.ones(len(h)), action.argmax(-1).float()], -1), z

    agent = Counting({}, None, known().config, "cpu", True)
    played = play(agent, Drift, EPISODES, 0)
    found = states(agent, played)
    taken = played.batch["action"].argmax(-1)
    assert list(found) == [0, 1, 5, 15]
    for k, (h, codes) in found.items():
        assert h.shape == (EPISODES, 41 - k, 2) and codes.shape == (EPISODES, 41 - k, 2)
        assert (h[..., 0] == k).all()
        told = np.stack([taken[:, t - k + 1 : t + 1].sum(1) for t in range(k, 41)], 1)
        assert (h[..., 1] == told).all()


# --- probes and information -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def report():
    return probe(known(), Drift, 20)


def test_each_level_knows_its_own_factor_and_no_other(report):
    found = report["r2"]["posterior"]
    assert found["top"]["ego/position"][0] > 0.9 and found["bottom"]["world/position"][0] > 0.9
    assert found["top"]["world/position"][0] < 0.05 > found["bottom"]["ego/position"][0]
    assert min(x[0] for x in found["top+bottom"].values()) > 0.9
    assert found["h"]["ego/position"][0] < 0.05
    value, low, high = report["index"]["posterior"]
    assert value > 0.9 and low > 0.85 and low <= value <= high


def test_the_controls_know_nothing(report):
    for name in ("shuffled", "untrained"):
        for level in ("top", "bottom"):
            assert max(x[0] for x in report["controls"][name][level].values()) < 0.05
        assert abs(report["index"][name][0]) < 0.05
    assert set(report["controls"]) == {"shuffled", "untrained"}  # levels are of one size


def test_a_prior_that_stands_still_knows_less_the_further_it_looks(report):
    ego = [found["top"]["ego/position"][0] for found in report["r2"].values()]
    assert len(ego) == 4 and ego[0] > ego[1] > ego[2] > ego[3]


def test_classes_are_judged_by_accuracy_and_constants_not_at_all(report):
    assert set(report["factors"]) == {"ego/position", "world/position"}
    assert set(report["accuracy"]["top"]) == {"ego/heading", "action"}
    for level in ("top", "bottom"):  # with one's place alone the last action is not known
        assert 0.2 < report["accuracy"][level]["action"][0] < 0.7


def test_a_flat_agent_is_dealt_out_and_says_so():
    signs = set()
    for top in (0, 1):  # which latent becomes the top one is chance
        seed = next(
            seed for seed in range(99)
            if Levels.of(known(0), 1, np.random.default_rng(seed)).top == [top]
        )  # fmt: skip
        report = probe(known(0), Drift, EPISODES, seed, n_top=1)
        assert report["flat"] and report["top"] == [top]
        signs.add(np.sign(report["index"]["posterior"][0]))
    assert signs == {1, -1}


@pytest.mark.long
def test_the_larger_level_is_reduced_to_the_size_of_the_smaller_one():
    agent = an_agent(Drift())
    report = probe(agent, Drift, EPISODES)
    names = ["bottom: 8 components", "bottom: 2 latents"]
    assert list(report["controls"]) == ["shuffled", "untrained", *names]
    top = report["r2"]["posterior"]["top"]
    assert all(report["controls"][name]["top"] == top for name in names)
    assert {"dealt at random", *names} < set(report["index"])
    f, chance, above = (
        report["index"][name][0]
        for name in ("posterior", "dealt at random", "posterior above dealt")
    )
    assert above == pytest.approx(f - chance, abs=2e-4)
    again = probe(agent, Drift, EPISODES)
    assert again == report  # nothing is left to chance but the seed


@pytest.mark.long
def test_a_level_has_the_information_of_its_factor():
    report = information(known(), Drift, 20)
    played = play(known(), Drift, 20, 0)
    for number, factor in enumerate(("ego/position", "world/position")):
        x = played.factors[factor][:, 1:].ravel()
        code, y = ((x + 1) * 4).astype(int).clip(0, 7), analyse.probes.quantile_bins(x)
        joint = np.histogram2d(code, y, bins=(8, y.max() + 1))[0] / len(x)
        alone = joint.sum(1, keepdims=True) * joint.sum(0)
        here = joint > 0
        nats = (joint[here] * np.log(joint[here] / alone[here])).sum()
        p = joint.sum(0)
        share = nats / -(p * np.log(p)).sum()  # the code's widths are equal, quantiles are not
        found = report["latents"][factor]
        if number:
            assert found[1] == pytest.approx(share, abs=0.06)
        else:  # this agent stands still: the floor of what is constant in an episode is high
            assert share / 2 < found[0] < share - 0.06
        assert abs(found[1 - number]) < 0.05
    assert report["best"]["bottom"]["world/position"] == report["latents"]["world/position"][1]
    given = report["probe"]
    assert given["bottom given top"]["world/position"][0] > 0.7
    assert given["top given bottom"]["ego/position"][0] > 0.3
    assert given["bottom"]["ego/position"][0] < 0.05 > given["top"]["world/position"][0]
    assert given["both"]["world/position"][0] > 0.7
    assert report["redundancy"]["levels"] == pytest.approx(report["redundancy"]["floor"], abs=0.03)
    assert report["entropy"]["ego/heading"] == pytest.approx(
        -np.log([1 / 6, 2 / 3]) @ [1 / 3, 2 / 3], abs=0.1
    )


def test_levels_dealt_at_random_are_the_zero_of_the_index():
    """12 latents that know the world alone: a larger bottom level looks factorised, and is not."""
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=(600, 12))
    world = codes.sum(1, keepdims=True).astype(float)
    numbers = {"ego/x": rng.normal(size=(600, 1)), "world/y": world}
    episode = np.repeat(np.arange(20), 30)
    fold = analyse.probes.episode_folds(episode, 4, rng)
    counts = analyse.probes.resamples(episode, rng)
    rows = analyse.Rows(np.zeros((600, 1)), codes, numbers, {}, fold, episode, counts)
    found = analyse.dealt(rows, Levels(np.arange(4), np.arange(4, 12)), 4, rng)
    assert found[0] == pytest.approx(0.5 * (8 / 12 - 4 / 12), abs=0.03)
    assert found.shape == (1 + analyse.probes.RESAMPLES,) and found[1:].std() < 0.05


# --- levels at work -------------------------------------------------------------------------------


def test_a_level_is_drawn_from_where_it_is_said():
    agent = an_agent(Drift())
    core, asked = agent.world_model.rssm, []
    for name in ("top_prior", "top_posterior", "bottom_prior", "bottom_posterior"):
        inner = getattr(core, name)
        setattr(core, name, lambda *x, name=name, inner=inner: asked.append(name) or inner(*x))
    levels = Levels.of(agent, 0, np.random.default_rng(0))
    h, embed_in = torch.randn(5, 16), torch.randn(5, 16)
    top = torch.eye(4)[torch.randint(4, (5, 2))]
    assert torch.equal(draw(agent, levels, h, embed_in, top, "prior")[:, :2], top)
    assert asked == ["bottom_prior"]
    asked.clear()
    draw(agent, levels, h, embed_in, "prior", "posterior")
    assert asked[0] == "top_prior" and "bottom_posterior" in asked and "top_posterior" not in asked


def test_a_flat_agents_latents_stay_in_their_places():
    agent = an_agent(Drift(), n_top=0)
    levels = Levels(np.array([1, 4]), np.array([0, 2, 3, 5]))
    top = torch.eye(4)[torch.randint(4, (5, 2))]
    bottom = torch.eye(4)[torch.randint(4, (5, 4))]
    z = draw(agent, levels, torch.randn(5, 16), torch.randn(5, 8), top, bottom)
    assert torch.equal(z[:, [1, 4]], top) and torch.equal(z[:, [0, 2, 3, 5]], bottom)
    z = draw(agent, levels, torch.randn(5, 16), torch.randn(5, 8), "prior", bottom)
    assert torch.equal(z[:, [0, 2, 3, 5]], bottom) and torch.equal(z.sum(-1), torch.ones(5, 6))


@pytest.mark.parametrize("n_top", [2, 0])
def test_the_open_loop_error_is_that_of_the_models_own_pictures(n_top):
    agent = an_agent(gridworld(), n_top=n_top)
    report = openloop(agent, gridworld, EPISODES, n_top=2)
    (errors,) = report["errors"].values()
    assert list(errors) == [
        "reconstruction", "both from the prior", "bottom from the prior", "top of another episode",
    ]  # fmt: skip
    assert {len(values) for values in errors.values()} == {21 - report["context"]}
    played = play(agent, gridworld, EPISODES, 0)
    drawn = []
    for seed in range(20):  # other samples of the same posterior
        torch.manual_seed(seed)
        batch, h, z, _ = filtered(agent, played.batch)
        with torch.no_grad():
            wrong = agent.world_model.decoder(h, z)["image"] - batch["image"] / 255
        drawn.append(float((wrong[:, -1] ** 2).mean()))
    error = errors["reconstruction"][-1][0]
    assert abs(error - np.mean(drawn)) < 5 * np.std(drawn) < 0.2 * error
    mean = (batch["image"] / 255).flatten(0, 1).double().var(0, correction=0).mean()
    assert report["mean"]["image"] == pytest.approx(float(mean), rel=1e-3)


def test_pictures_keep_one_level_and_draw_the_other():
    agent = an_agent(gridworld())
    found = pictures(agent, gridworld)
    assert len(found) == 2 + 2 * analyse.ROWS
    assert {x.shape for x in found.values()} == {(analyse.COLUMNS, 16, 16, 3)}
    assert found["real"].min() == 128 and found["real"].max() > 240  # lights on grey
    with pytest.raises(UserError, match="sees no pictures"):
        pictures(an_agent(Drift()), Drift)


# --- refusals and files ---------------------------------------------------------------------------


def test_a_task_that_does_not_tell_its_factors_is_refused_in_one_line():
    with pytest.raises(UserError, match="gridworld") as error:
        probe(known(), Silent, EPISODES)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="factors"):
        need_factors(lambda: dreamkit.make("cartpole"))


def test_factors_of_both_kinds_must_change():
    class Still(Drift):
        def factors(self):
            return {"ego/position": np.zeros(2), "world/position": np.array([self.other])}

    with pytest.raises(UserError, match="ego/ never change"):
        probe(known(), Still, EPISODES)


def test_n_top_is_for_flat_agents():
    rng = np.random.default_rng(0)
    assert Levels.of(known(), 0, rng).bottom.tolist() == [1]
    for agent, n_top in ((known(0), 0), (known(0), 2), (known(), 2)):
        with pytest.raises(UserError, match="n_top=|levels"):
            Levels.of(agent, n_top, rng)
    flat = Levels.of(an_agent(Drift(), n_top=0), 2, rng)
    assert sorted([*flat.top, *flat.bottom]) == list(range(6)) and len(flat.top) == 2


@pytest.mark.parametrize(
    "words",
    [["guess"], ["probes"], ["probes", "checkpoint=none"], ["probes", "checkpoint=none", "x=1"],
     ["probes", "checkpoint=none", "episodes=3"]],
)  # fmt: skip
def test_a_command_that_cannot_be_is_refused(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        analyse.command(words)


@pytest.mark.long
def test_every_command_writes_its_files(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(analyse.probes, "COSTS", (1e-2,))  # in half the time
    agent = an_agent(gridworld())
    head = dict(agent_name="hdreamer", code="solutions", agent=SMALL)
    head["task"] = {"name": "gridworld", "length": 20}
    path = tmp_path / "run" / "checkpoints" / "latest.pt"
    checkpoint.save(path, {"header": head, "agent": agent.state_dict()})
    for name in analyse.WRITERS:
        assert analyse.command([name, f"checkpoint={path.parents[1]}", "episodes=10"]) == 0
    folder = tmp_path / "run" / "analysis"
    for name in ("probes", "information", "openloop"):
        assert json.loads((folder / f"{name}.json").read_text())
    assert "| ego/position |" in (folder / "information.md").read_text().replace("[0]", "")
    page = (folder / "probes.md").read_text()
    assert "| posterior | " in page and "nan" not in page and "-0.00" not in page
    shown = capsys.readouterr().out
    for name in analyse.WRITERS:
        assert (folder / f"{name}.png").stat().st_size > 5000 and f"{name}.png" in shown
