"""The picture of the latents: KL over an episode, and which of them carry something."""

import math

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from stub_agents.paper9_stub.train import Agent, Config

import dreamkit
from dreamkit import UserError, latents


@pytest.fixture
def axes():
    plt.switch_backend("Agg")
    figure, axes = plt.subplots(1, 2)
    yield axes
    plt.close(figure)


class Talking(Agent):
    """A stub whose latents are known: the KL of each is the step's reward, and its double."""

    def latent_statistics(self, batch):
        reward = batch["reward"]
        return {"kl": np.stack([reward, 2 * reward], -1)}


def an_agent(kind):
    return kind({}, gymnasium.spaces.Discrete(2), Config())


def cartpole():
    return dreamkit.make("cartpole")


def test_the_effective_number_of_classes():
    assert latents.perplexity(np.full((3, 5), 0.2)) == pytest.approx(np.full(3, 5.0))
    assert latents.perplexity(np.eye(5)) == pytest.approx(np.ones(5))
    assert latents.perplexity(np.array([0.5, 0.5, 0, 0])) == pytest.approx(2)
    expected = math.exp(-0.9 * math.log(0.9) - 0.1 * math.log(0.1))
    assert latents.perplexity(np.array([0.9, 0.1])) == pytest.approx(expected)


def test_the_kl_drawn_is_that_of_all_latents_together(axes):
    kl = np.array([[3.0, 1.0], [0.5, 0.25], [0.0, 2.0]])
    latents.plot_episode(axes, {"kl": kl, "reward": np.array([0.0, 5.0, -1.0])})
    line, mean = axes[0].lines
    assert line.get_ydata().tolist() == [4, 0.75, 2]
    assert mean.get_ydata()[0] == pytest.approx(2.25) and "2.25" in mean.get_label()
    [reward] = axes[1].lines  # no action led to the first row
    assert (list(reward.get_xdata()), list(reward.get_ydata())) == ([1, 2], [5, -1])


def test_a_categorical_that_changes_and_one_that_is_noise_use_as_many_classes(axes):
    """Only the second number, of one step, tells them apart; a third is constant."""
    probs = np.zeros((4, 3, 4))
    probs[range(4), 0, range(4)] = 1
    probs[:, 1] = 0.25
    probs[:, 2, 3] = 1
    latents.plot_categories(axes, probs)
    assert [bar.get_width() for bar in axes[1].patches] == pytest.approx([4, 4, 1])
    assert axes[1].lines[0].get_xdata() == pytest.approx([1, 4, 1])
    expected = [[0.25] * 4, [0.25] * 4, [1, 0, 0, 0]]  # the most used class first
    assert np.asarray(axes[0].images[0].get_array()) == pytest.approx(np.array(expected))


def test_gaussian_units_are_sorted_and_those_that_learn_something_are_counted(axes):
    kl = np.array([[0.0, 0.5, 0.004], [0.0, 1.5, 0.04]])
    latents.plot_units(axes[0], kl)
    assert [bar.get_height() for bar in axes[0].patches] == pytest.approx([1, 0.022, 0])
    assert axes[0].get_title() == "2 of 3 units above 0.01 nats"


def test_the_statistics_are_of_the_episodes_played_row_by_row():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    episodes = latents.observe(an_agent(Talking), cartpole, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(episodes) == latents.EPISODES
    lengths = [len(episode["reward"]) for episode in episodes]
    assert all(8 < length < latents.LENGTH for length in lengths) and len(set(lengths)) > 1
    for episode in episodes:
        assert episode["reward"].tolist() == [0] + [1] * (len(episode["reward"]) - 1)
        assert np.array_equal(episode["kl"], np.outer(episode["reward"], [1, 2]))
    again = latents.observe(an_agent(Talking), cartpole, seed=1)
    assert [len(episode["reward"]) for episode in again] == lengths


def test_an_episode_is_cut(monkeypatch):
    monkeypatch.setattr(latents, "LENGTH", 6)
    episodes = latents.observe(an_agent(Talking), cartpole, seed=1)
    assert [episode["kl"].shape for episode in episodes] == [(6, 2)] * latents.EPISODES


def test_both_kinds_of_latents_are_one_picture(tmp_path):
    path = latents.write(tmp_path / "new", an_agent(Talking), cartpole, 0)
    assert path == tmp_path / "new" / "latents.png"
    with Image.open(path) as picture:
        size = picture.size
    random = np.random.default_rng(0)
    statistics = {"kl": random.random((9, 32)), "reward": random.random(9)}
    statistics |= {"probs": random.dirichlet(np.ones(64), (9, 32))}
    with Image.open(latents.plot(tmp_path / "x.png", [statistics])) as picture:
        assert picture.size == size and size[0] > 1000


def test_an_agent_that_cannot_tell_is_one_line_and_other_errors_stay(tmp_path):
    class Open(Agent):
        def latent_statistics(self, batch):
            raise NotImplementedError("exercise 1.15")

    class Broken(Agent):
        def latent_statistics(self, batch):
            raise NotImplementedError("conv on this device")

    with pytest.raises(UserError, match="no latents.png: .* has no method latent_statistics"):
        latents.write(tmp_path, an_agent(Agent), cartpole, 0)
    with pytest.raises(UserError, match="no latents.png: exercise 1.15 is not done yet"):
        latents.write(tmp_path, an_agent(Open), cartpole, 0)
    with pytest.raises(NotImplementedError, match="conv"):
        latents.write(tmp_path, an_agent(Broken), cartpole, 0)
    assert not list(tmp_path.iterdir())
