"""DeepMind Control, Atari and ViZDoom: steps, seeds, ends of episodes, pictures."""

import ctypes.util
import os
import sys

import numpy as np
import pytest

from dreamkit import UserError, make
from dreamkit.config import resolve
from dreamkit.envs import dmc
from dreamkit.envs.atari import Atari
from dreamkit.envs.dmc import DMC


def roll(env, seed: int, steps: int = 60) -> list:
    """What happens when the same actions are taken: sums of observations, and rewards."""
    rng = np.random.default_rng(1)
    obs, _ = env.reset(seed=seed)
    seen = [float(np.sum(obs, dtype=np.float64))]
    for _ in range(steps):
        action = (
            rng.integers(env.action_space.n)
            if hasattr(env.action_space, "n")
            else rng.uniform(-1, 1, env.action_space.shape)
        )
        obs, reward, terminated, truncated, _ = env.step(action)
        seen += [float(np.sum(obs, dtype=np.float64)), reward]
        if terminated or truncated:
            break
    return seen


# --- DeepMind Control -----------------------------------------------------------------------------


def test_dmc_from_the_state_has_one_vector_and_bounded_actions():
    env = make("dmc_walker_walk")
    obs, _ = env.reset(seed=0)
    assert obs["vector"].shape == (24,) and obs["vector"].dtype == np.float32
    assert env.action_space.shape == (6,) and (env.action_space.low == -1).all()


def test_dmc_repeats_an_action_and_sums_its_rewards():
    once, twice = DMC("cartpole_balance", repeat=1), DMC("cartpole_balance", repeat=2)
    once.reset(seed=3), twice.reset(seed=3)
    action = np.array([0.3])
    rewards = [once.step(action)[1] for _ in range(6)]
    sums = [twice.step(action)[1] for _ in range(3)]
    assert sums == pytest.approx([sum(rewards[i : i + 2]) for i in (0, 2, 4)])


def test_a_seed_decides_a_dmc_episode_whatever_was_played_before():
    env, other = DMC("reacher_easy"), DMC("reacher_easy")
    first = roll(env, 5)
    roll(env, 6, 11)
    assert roll(env, 5) == first == roll(other, 5) != roll(other, 6)


def test_the_linear_systems_that_dmc_draws_are_the_same_for_every_instance():
    assert roll(DMC("lqr_lqr_6_2"), 5) == roll(DMC("lqr_lqr_6_2"), 5)


def test_a_dmc_episode_is_cut_after_1000_steps_and_has_not_ended():
    env = DMC("cartpole_balance", repeat=8)
    env.reset(seed=0)
    ends = [env.step(np.zeros(1))[2:4] for _ in range(125)]
    assert ends[-1] == (False, True) and not any(a or b for a, b in ends[:-1])


def test_dmc_draws_pictures_fast_and_faithfully():
    pictures = {}
    for render in ("fast", "faithful"):
        try:
            env = make("dmc_walker_walk_pixels", render=render, size=48)
            pictures[render] = env.reset(seed=2)[0]["image"].astype(float)
        except UserError as error:
            pytest.skip(f"this machine cannot render: {error}")
    assert pictures["fast"].shape == (3, 48, 48) and pictures["fast"].std() > 10
    # Shadows differ, the scene does not.
    assert 0 < np.abs(pictures["fast"] - pictures["faithful"]).mean() < 40


def test_an_unknown_dmc_task_or_option_is_one_line():
    with pytest.raises(UserError, match="no task walker_fly; there are walker_"):
        make("dmc_walker_fly")
    with pytest.raises(UserError, match="wings"):
        make("dmc_walker_walk", wings=2)
    with pytest.raises(UserError, match="render=pretty is neither"):
        make("dmc_walker_walk", render="pretty")


@pytest.mark.parametrize(
    "libraries, chosen", [("EGL OSMesa", "egl"), ("OSMesa", "osmesa"), ("", "disabled")]
)
def test_the_renderer_is_chosen_by_what_is_installed(monkeypatch, libraries, chosen):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(
        ctypes.util, "find_library", lambda x: x if x in libraries.split() else None
    )
    monkeypatch.setattr(os, "environ", {})
    assert dmc.choose_renderer() == chosen


def test_the_users_renderer_a_screen_and_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda x: x)
    for system, environ in (
        ("linux", {"MUJOCO_GL": "glfw"}), ("linux", {"DISPLAY": ":0"}), ("darwin", {}),
    ):  # fmt: skip
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(os, "environ", dict(environ))
        dmc.choose_renderer()
        assert os.environ == environ


# --- Atari ----------------------------------------------------------------------------------------


def test_an_atari_picture_has_the_size_and_colours_asked_for():
    for gray, size, channels in ((True, 64, 1), (False, 96, 3)):
        obs, _ = make("atari_pong", gray=gray, size=size).reset(seed=0)
        assert obs["image"].shape == (channels, size, size) and obs["image"].dtype == np.uint8


def test_actions_are_all_18_or_those_that_the_game_needs():
    assert make("atari_pong").action_space.n == 18
    assert make("atari_pong", actions="needed").action_space.n == 6


@pytest.mark.parametrize("game", ["pong", "frostbite", "qbert"])
def test_a_seed_decides_an_atari_episode_with_its_sticky_actions(game):
    """frostbite keeps memory over a reset, qbert of ever having been played; our reset does not."""
    env = Atari(game)
    first = roll(env, 5)
    roll(env, 6, 33)
    assert roll(env, 5) == first == roll(Atari(game), 5) != roll(env, 6)


def test_without_noops_and_stickiness_all_episodes_begin_and_go_on_alike():
    env = Atari("pong", noops=0, sticky=0.0)
    assert roll(env, 1) == roll(env, 2)


def test_rewards_of_the_repeated_frames_are_summed():
    single, whole = (Atari("pong", sticky=0.0, noops=0, repeat=n) for n in (1, 4))
    single.reset(seed=0), whole.reset(seed=0)
    rewards = [single.step(0)[1] for _ in range(400)]
    sums = [whole.step(0)[1] for _ in range(100)]
    assert sums == [sum(rewards[i : i + 4]) for i in range(0, 400, 4)]
    assert min(sums) == -1


def test_the_picture_is_the_maximum_of_the_last_two_frames():
    single, whole = (Atari("breakout", sticky=0.0, noops=0, repeat=n, size=160) for n in (1, 4))
    single.reset(seed=0), whole.reset(seed=0)
    screens = []
    for _ in range(40):
        single.step(1)
        screens.append(single.screens[0].copy())
    for step in range(10):
        whole.step(1)
        pair = np.maximum(screens[4 * step + 2], screens[4 * step + 3])
        assert np.array_equal(np.maximum(*whole.screens), pair)


def test_the_first_picture_shows_no_frame_of_the_episode_before():
    env = Atari("breakout", noops=0)
    fresh = env.reset(seed=0)[0].copy()
    for _ in range(30):
        env.step(1)
    assert np.array_equal(env.reset(seed=0)[0], fresh)


def test_an_episode_that_is_cut_by_the_time_limit_has_not_ended():
    env = Atari("pong", frames=10)
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]


def test_a_lost_life_ends_an_episode_if_asked_and_the_game_goes_on():
    env = Atari("breakout", lives="terminal", actions="needed", sticky=0.0)
    lives = []
    for episode in range(6):
        _, info = env.reset(seed=episode)
        lives.append(info["lives"])
        for step in range(400):
            terminated, truncated = env.step(1 if step < 2 else 0)[2:4]
            if terminated:
                break
        assert terminated and not truncated
    assert lives == [5, 4, 3, 2, 1, 5]


def test_bytes_of_the_console_say_where_the_paddle_is():
    """Pong's byte 51 counts lines from above: it follows the right paddle in the picture."""
    pytest.importorskip("ale_py")
    env = make("atari_pong", size=84, sticky=0.0)
    obs, _ = env.reset(seed=0)
    places, bytes_ = [], []
    for step in range(90):
        obs, *_ = env.step(3 + step // 20 % 2)  # up, then down
        column = obs["image"][0, 15:77, 74].astype(int)  # the right paddle's
        bright = np.flatnonzero(column > np.median(column) + 20)
        if step > 20 and len(bright):
            places.append(bright.mean())
            bytes_.append(env.unwrapped.factors()["ego/player_y"][0])
    assert len(places) > 40 and np.corrcoef(places, bytes_)[0, 1] > 0.95
    assert make("atari_qbert").unwrapped.factors() == {}


def test_unknown_atari_games_and_options_are_one_line():
    with pytest.raises(UserError, match="no Atari game pongg; there are pong"):
        make("atari_pongg")
    for options in (dict(actions="some"), dict(lives="many"), dict(sticky=2), dict(repeat=0)):
        with pytest.raises(UserError):
            make("atari_pong", **options)


# --- ViZDoom --------------------------------------------------------------------------------------


@pytest.fixture
def doom(tmp_path, monkeypatch):
    pytest.importorskip("vizdoom", reason="ViZDoom is optional: pip install -e '.[vizdoom]'")
    monkeypatch.chdir(tmp_path)
    env = make("vizdoom_basic")
    yield env
    env.close()
    assert list(tmp_path.iterdir()) == []  # no litter


def test_doom_counts_a_time_limit_as_a_cut_and_keeps_its_last_picture(doom):
    doom.reset(seed=1)
    for _ in range(75):
        obs, _, terminated, truncated, _ = doom.step(0)
    assert (terminated, truncated) == (False, True)
    assert obs["image"].mean() > 20  # the library's own last picture is black


def test_doom_says_where_one_is_and_where_the_monster_is(doom):
    doom.reset(seed=1)
    before = doom.unwrapped.factors()
    doom.step(1)
    now = doom.unwrapped.factors()
    assert (before["ego/position"] != now["ego/position"]).any()
    assert (before["world/nearest"] == now["world/nearest"]).all()
    assert now["world/count"] == 1 and now["ego/direction"] == pytest.approx([1, 0])


def test_a_seed_decides_a_doom_episode(doom):
    inner = doom.unwrapped
    first = roll(inner, 3, 20)
    assert roll(inner, 4, 20) != first == roll(inner, 3, 20)


def test_an_unknown_scenario_is_one_line():
    pytest.importorskip("vizdoom", reason="ViZDoom is optional: pip install -e '.[vizdoom]'")
    with pytest.raises(UserError, match="no scenario moon for one player; there are .*basic"):
        make("vizdoom_moon")


# --- configuration --------------------------------------------------------------------------------


def test_the_papers_sizes_take_the_papers_schedule():
    cfg = resolve(["task=dmc_walker_walk", "size=12M"])
    assert (cfg["train_ratio"], cfg["envs"], cfg["task"]["repeat"]) == (1024, 16, 1)
    cfg = resolve(["task=atari_pong", "size=12M", "train_ratio=64"])
    assert (cfg["train_ratio"], cfg["task"]["size"]) == (64, 96)  # the command line wins
    assert resolve(["task=dmc_walker_walk"])["task"]["repeat"] == 2


@pytest.mark.parametrize(
    "task, name, option, value",
    [
        ("dmc_cheetah_run", "dmc_cheetah_run", "repeat", 2),
        ("dmc_cheetah_run_pixels", "dmc_cheetah_run_pixels", "render", "fast"),
        ("atari_ms_pacman", "atari_ms_pacman", "sticky", 0.25),
        ("vizdoom_basic", "vizdoom_basic", "repeat", 4),
    ],
)
def test_a_task_of_a_suite_takes_the_suites_options(task, name, option, value):
    cfg = resolve([f"task={task}"])
    assert cfg["task"]["name"] == name and cfg["task"][option] == value
    assert resolve([f"task={task}", f"task.{option}={value}"])["task"] == cfg["task"]
