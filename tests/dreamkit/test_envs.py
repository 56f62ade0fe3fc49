"""Environments: what an agent sees, and what its actions do."""

import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from dreamkit import UserError, make
from dreamkit.envs import CARTPOLE_RANGE, draw_without_screen
from dreamkit.envs.cartpole import PixelCartPole

SHAPES = [
    ("cartpole", {}, {"vector": (4,)}),
    ("cartpole_pixels", {}, {"image": (1, 32, 32)}),
    ("catch", {}, {"image": (1, 8, 8)}),
    ("gridworld", {}, {"image": (3, 16, 16)}),
    ("cartpole_pixels", {"size": 64}, {"image": (1, 64, 64)}),
    ("cartpole_continuous", {}, {"vector": (4,)}),
    ("cartpole_continuous_pixels", {"size": 64}, {"image": (1, 64, 64)}),
    ("pendulum", {}, {"vector": (3,)}),
    ("Acrobot-v1", {}, {"vector": (6,)}),
    ("Toy/Grey-v0", {}, {"image": (1, 64, 64)}),
    ("Toy/Colours-v0", {"size": 16}, {"image": (3, 16, 16)}),
    ("Toy/Offset-v0", {}, {"vector": (2,)}),
    (
        "Toy/Dictionary-v0",
        {"size": 32},
        {"camera": (1, 32, 32), "eye": (3, 32, 32), "speed": (3,), "grid": (4,), "gear": (4,)},
    ),
    ("ALE/Pong-v5", {}, {"image": (3, 64, 64)}),
]


def observations(env, steps: int = 12):
    """The first observation and those after random actions."""
    obs, _ = env.reset(seed=3)
    env.action_space.seed(3)
    yield obs
    for _ in range(steps):
        obs, _, terminated, truncated, _ = env.step(env.action_space.sample())
        yield obs
        if terminated or truncated:
            return


@pytest.mark.parametrize("name, options, shapes", SHAPES)
def test_the_observation_space_contains_what_the_environment_returns(name, options, shapes):
    env = make(name, **options)
    assert {key: space.shape for key, space in env.observation_space.items()} == shapes
    for obs in observations(env):
        assert set(obs) == set(shapes)
        for key, x in obs.items():
            expected = np.uint8 if len(shapes[key]) == 3 else np.float32
            assert x.dtype == expected and x.shape == shapes[key]
            assert env.observation_space[key].contains(x)
    env.close()


def test_a_resized_picture_keeps_its_colours_and_their_order():
    image = make("Toy/Colours-v0", size=16).reset()[0]["image"]
    assert [set(channel.ravel().tolist()) for channel in image] == [{10}, {20}, {30}]


def test_a_picture_of_the_right_size_is_only_turned():
    env = make("Toy/Colours-v0", size=16, height=16, width=16)
    image = env.reset()[0]["image"]
    assert image.shape == (3, 16, 16) and (image[1] == 20).all()


def test_a_discrete_part_of_an_observation_is_one_hot():
    gears = {tuple(obs["gear"]) for obs in observations(make("Toy/Dictionary-v0", size=8), 60)}
    assert gears == {tuple(row) for row in np.eye(4).tolist()}


def test_a_scaled_vector_is_the_raw_one_divided_entry_by_entry():
    raw, _ = gymnasium.make("Pendulum-v1").reset(seed=5)
    seen, _ = make("Pendulum-v1", scale=(1, 2, 4)).reset(seed=5)
    np.testing.assert_allclose(seen["vector"], raw / [1, 2, 4], rtol=1e-6)


def test_unscaled_vectors_are_passed_on_as_they_are():
    raw, _ = gymnasium.make("Acrobot-v1").reset(seed=5)
    np.testing.assert_array_equal(make("Acrobot-v1").reset(seed=5)[0]["vector"], raw)


# --- actions --------------------------------------------------------------------------------------


def test_a_discrete_action_gets_the_offset_of_its_space():
    env = make("Toy/Offset-v0")
    env.reset(seed=0)
    for action in range(3):
        env.step(action)
        assert env.unwrapped.last == 5 + action and type(env.unwrapped.last) is int


def test_a_discrete_action_space_counts_from_zero():
    """A sample of the space means the same to `step` as the agent's class number."""
    space = make("Toy/Offset-v0").action_space
    assert space.n == 3
    assert {int(space.sample()) for _ in range(50)} == {0, 1, 2}


@pytest.mark.parametrize("action, expected", [(1, 2), (-1, -2), (0, 0), (0.5, 1), (5, 2), (-7, -2)])
def test_actions_in_minus_one_to_one_span_the_bounds_and_are_clipped(action, expected):
    env = make("Toy/Bounds-v0")
    env.reset(seed=0)
    env.step(np.float32([action, 0, 0]))
    assert env.unwrapped.last[0] == pytest.approx(expected)


@pytest.mark.parametrize("action, expected", [(1, 1), (-1, 0), (0, 0.5), (-0.5, 0.25), (9, 1)])
def test_one_sided_bounds_are_spanned_too(action, expected):
    env = make("Toy/Bounds-v0")
    env.reset(seed=0)
    env.step(np.float32([0, action, 0]))
    assert env.unwrapped.last[1] == pytest.approx(expected)


@pytest.mark.parametrize("action", [-3.5, 0.25, 7.0])
def test_entries_without_bounds_pass_through(action):
    env = make("Toy/Bounds-v0")
    env.reset(seed=0)
    env.step(np.float32([0, 0, action]))
    assert env.unwrapped.last[2] == action


def test_agents_see_every_box_as_minus_one_to_one():
    space = make("pendulum").action_space
    assert isinstance(space, spaces.Box)
    assert space.low.tolist() == [-1] and space.high.tolist() == [1]


def test_full_action_is_full_torque_in_pendulum():
    ours, plain = make("pendulum"), gymnasium.make("Pendulum-v1")
    ours.reset(seed=1), plain.reset(seed=1)
    for action in (1.0, -1.0, 0.25):
        reward = ours.step(np.float32([action]))[1]
        assert reward == pytest.approx(plain.step(np.float32([2 * action]))[1], abs=1e-6)


# --- CartPole -------------------------------------------------------------------------------------


def balance(obs: np.ndarray) -> int:
    """A controller that keeps the pole up: push to where it falls, and against the motion."""
    x, velocity, angle, spin = obs * [2.4, 3.0, 0.21, 3.0]
    return int(10 * angle + 2 * spin + 0.3 * x + 0.6 * velocity > 0)


def test_balancing_cartpole_to_the_end_is_a_time_limit_and_not_a_death():
    env = make("cartpole")
    obs, _ = env.reset(seed=0)
    for step in range(1, 501):
        obs, reward, terminated, truncated, _ = env.step(balance(obs["vector"]))
        assert reward == 1 and not terminated
        assert truncated == (step == 500)


@pytest.mark.parametrize("name", ["cartpole", "cartpole_pixels"])
def test_a_fallen_pole_is_a_death_and_not_a_time_limit(name):
    env = make(name)
    env.reset(seed=0)
    terminated = truncated = False
    steps = 0
    while not (terminated or truncated):
        _, _, terminated, truncated, _ = env.step(1)
        steps += 1
    assert terminated and not truncated and steps < 15


def test_pendulum_never_terminates_and_is_cut_at_200_steps():
    env = make("pendulum")
    env.reset(seed=0)
    ends = [env.step(np.float32([0.3]))[2:4] for _ in range(200)]
    assert not any(terminated for terminated, _ in ends)
    assert [truncated for _, truncated in ends] == [False] * 199 + [True]


def draw(x=0.0, velocity=0.0, angle=0.0, spin=0.0, size=32) -> np.ndarray:
    env = PixelCartPole(gymnasium.make("CartPole-v1"), size)
    return env.observation(np.array([x, velocity, angle, spin]))[0].astype(float)


def column(image: np.ndarray) -> float:
    """Mean column of the light in a picture."""
    return float((image.sum(0) * np.arange(image.shape[1])).sum() / image.sum())


@pytest.mark.parametrize("size", [32, 64])
def test_pixels_hide_both_velocities(size):
    still = draw(0.3, 0, 0.05, 0, size)
    assert still.max() > 200
    np.testing.assert_array_equal(still, draw(0.3, 2.5, 0.05, 0, size))
    np.testing.assert_array_equal(still, draw(0.3, 0, 0.05, -3.0, size))


@pytest.mark.parametrize("size", [32, 64])
def test_pixels_show_the_position(size):
    places = [column(draw(x, size=size)) for x in (-2.3, -1, -0.05, 0, 0.05, 1, 2.3)]
    assert np.diff(places).min() > 0.01 * size / 32
    assert places[3] == pytest.approx((size - 1) / 2, abs=0.01)
    np.testing.assert_array_equal(draw(1.1, size=size), draw(-1.1, size=size)[:, ::-1])


@pytest.mark.parametrize("size", [32, 64])
def test_pixels_show_one_degree_of_the_angle(size):
    degree = np.pi / 180
    tips = [column(draw(angle=n * degree, size=size)[: size // 3]) for n in range(-12, 13)]
    assert np.diff(tips).min() > 0.2 * size / 32
    np.testing.assert_array_equal(draw(angle=0.1, size=size), draw(angle=-0.1, size=size)[:, ::-1])


def test_the_pole_is_whole_at_both_ends_of_the_track():
    pole = draw(0.0)[:20].sum()
    for x in (-2.4, 2.4):
        assert draw(x)[:20].sum() == pytest.approx(pole, rel=0.03)


def test_the_picture_follows_the_state_of_the_environment():
    env = make("cartpole_pixels")
    image = env.reset(seed=4)[0]["image"]
    for action in (1, 1, 1, 0, 1, 1):
        np.testing.assert_array_equal(image[0], draw(*env.unwrapped.state))
        image = env.step(action)[0]["image"]


def states(env, actions) -> np.ndarray:
    env.reset(seed=7)
    result = []
    for action in actions:
        env.step(action)
        result.append(np.array(env.unwrapped.state))
    return np.array(result)


def test_our_cartpole_is_gymnasiums_number_for_number():
    ours, theirs = make("cartpole"), gymnasium.make("CartPole-v1")
    random = np.random.default_rng(0)
    for seed in range(20):
        obs, _ = ours.reset(seed=seed)
        other, _ = theirs.reset(seed=seed)
        over = False
        while not over:
            np.testing.assert_array_equal(obs["vector"], other / np.float32(CARTPOLE_RANGE))
            action = int(random.integers(2))
            obs, *mine, _ = ours.step(action)
            other, *its, _ = theirs.step(action)
            assert mine == its
            over = mine[1]


@pytest.mark.parametrize("column", [0, 7, 15])
def test_a_ball_is_caught_where_the_paddle_stands_under_it(column):
    env = make("catch", size=16, seen=4)
    image = next(
        obs["image"] for seed in range(999)
        if (obs := env.reset(seed=seed)[0])["image"][0, 0, column]
    )  # fmt: skip
    rewards, balls = [], [image[0, :-1].sum() // 255]
    for paddle in [8] + [8 + np.sign(column - 8) * min(i, abs(column - 8)) for i in range(1, 15)]:
        now = int(image[0, -1].argmax())
        obs, reward, terminated, truncated, _ = env.step(int(np.sign(paddle - now)) + 1)
        image = obs["image"]
        rewards.append(reward)
        balls.append(image[0, :-1].sum() // 255)
    assert terminated and not truncated and rewards == [0] * 14 + [1]
    assert balls == [1] * 4 + [0] * 12  # hidden below the fourth row


def test_a_ball_that_is_missed_costs_one():
    env = make("catch", size=16)
    image = env.reset(seed=0)[0]["image"][0]
    away = 0 if image[0].argmax() >= 8 else 2
    steps = [env.step(away) for _ in range(15)]
    assert [reward for _, reward, *_ in steps] == [0] * 14 + [-1]
    assert all(obs["image"][0, row].any() for row, (obs, *_) in enumerate(steps, 1))


def test_a_continuous_force_of_one_is_a_discrete_push():
    pushes = [1, 0, 0, 1, 1, 0, 1, 1]
    forces = [np.float32([2 * push - 1]) for push in pushes]
    expected = states(gymnasium.make("CartPole-v1"), pushes)
    np.testing.assert_array_equal(states(make("cartpole_continuous"), forces), expected)
    np.testing.assert_array_equal(states(make("cartpole_continuous_pixels"), forces), expected)


def test_a_continuous_force_of_a_half_is_half_the_push():
    plain = gymnasium.make("CartPole-v1")
    plain.unwrapped.force_mag = 5.0
    forces = [np.float32([f]) for f in (0.5, -0.5, -0.5, 0.5)]
    np.testing.assert_array_equal(
        states(make("cartpole_continuous"), forces), states(plain, [1, 0, 0, 1])
    )


def test_no_force_leaves_the_cart_to_the_pole_and_large_forces_are_clipped():
    plain = gymnasium.make("CartPole-v1")
    plain.unwrapped.force_mag = 0.0
    none, large = [np.float32([0])] * 3, [np.float32([4])] * 3
    np.testing.assert_array_equal(states(make("cartpole_continuous"), none), states(plain, [0] * 3))
    full = states(gymnasium.make("CartPole-v1"), [1] * 3)
    np.testing.assert_array_equal(states(make("cartpole_continuous"), large), full)


# --- a machine without a screen -------------------------------------------------------------------

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "SDL_VIDEODRIVER")


@pytest.mark.parametrize("name, module", [("cartpole", "pygame"), ("vizdoom_basic", "vizdoom")])
def test_drawing_without_a_screen_says_nothing(name, module):
    pytest.importorskip(module, reason=f"{name} draws with it, and it is optional")
    code = f"import dreamkit; env = dreamkit.make({name!r}, draw=True); env.reset(seed=0); "
    environ = {key: value for key, value in os.environ.items() if key not in DISPLAYS}
    done = subprocess.run(
        [sys.executable, "-c", code + "print(env.render().std() > 1)"],
        env=environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize(
    "system, environ, driver",
    [
        ("linux", {}, "dummy"), ("linux", {"DISPLAY": ""}, "dummy"), ("darwin", {}, None),
        ("linux", {"DISPLAY": ":0"}, None), ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, None),
        ("linux", {"SDL_VIDEODRIVER": "offscreen"}, "offscreen"),
    ],
)  # fmt: skip
def test_a_screen_the_users_driver_and_other_systems_are_left_alone(
    monkeypatch, system, environ, driver
):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(os, "environ", dict(environ))
    draw_without_screen()
    assert os.environ.get("SDL_VIDEODRIVER") == driver


# --- what cannot be made --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cartpole_pixel", "Nothing-v0", "ALE/Nothing-v5", "CartPole-v99"])
def test_an_unknown_name_is_one_line_that_repeats_it(name):
    with pytest.raises(UserError) as error:
        make(name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_a_missing_emulator_is_one_line_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match="pip install"):
        make("ALE/Pong-v5")


def test_a_missing_opencv_is_one_line_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match="pip install"):
        make("Toy/Colours-v0").reset()


@pytest.mark.parametrize("name", ["Toy/ManyActions-v0", "Toy/BinaryActions-v0"])
def test_an_action_space_that_agents_cannot_use_is_refused(name):
    with pytest.raises(UserError, match="Discrete or a Box"):
        make(name)


def test_an_observation_without_a_fixed_size_is_refused():
    with pytest.raises(UserError, match="no fixed size"):
        make("Toy/Endless-v0")


def test_an_environment_that_cannot_be_built_is_one_line():
    with pytest.raises(UserError, match="the map file is missing") as error:
        make("Toy/Failing-v0", failure="constructor")
    assert "\n" not in str(error.value)


# --- the gridworld --------------------------------------------------------------------------------


def brightest(picture: np.ndarray) -> tuple[int, int]:
    """The cell in which a colour's first spot has its middle. (H, W)"""
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    return int(row) // 2, int(column) // 2


def cell(position: np.ndarray) -> tuple[int, int]:
    """Positions from -1 to 1 as cells of 8."""
    return tuple(int(x) for x in np.round((position + 1) * 3.5))


def test_catch_tells_where_its_two_pixels_are():
    env = make("catch", size=6)
    obs, _ = env.reset(seed=3)
    for action in (0, 0, 1, 2):
        found = env.unwrapped.factors()
        row, column = found["world/ball"].astype(int)
        assert obs["image"][0, row, column] == 255
        assert obs["image"][0, 5, int(found["ego/paddle"][0])] == 255
        obs, *_ = env.step(action)


def test_cartpole_tells_its_state():
    env, pixels = make("cartpole"), make("cartpole_pixels")
    obs, _ = env.reset(seed=1)
    pixels.reset(seed=1)
    for action in (0, 1, 1):
        state = np.concatenate(list(pixels.unwrapped.factors().values()))
        np.testing.assert_allclose(obs["vector"] * CARTPOLE_RANGE, state, atol=1e-6)
        obs, *_ = env.step(action)
        pixels.step(action)


def test_the_gridworld_shows_its_factors_and_they_move_as_they_say():
    env = make("gridworld")
    obs, _ = env.reset(seed=3)
    before = env.unwrapped.factors()
    assert (before["ego/velocity"] == 0).all() and before["world/balls"].shape == (4,)
    for action in (2, 2, 4, 0, 1):
        obs, *_ = env.step(action)
        now = env.unwrapped.factors()
        assert brightest(obs["image"][1]) == cell(now["ego/position"])
        assert brightest(obs["image"][2]) == cell(now["world/food"])
        assert brightest(obs["image"][0]) in [cell(x) for x in np.split(now["world/balls"], 2)]
        moved = (now["ego/position"] - before["ego/position"]) * 3.5
        np.testing.assert_allclose(moved, now["ego/velocity"], atol=1e-9)
        flown = (now["world/balls"] - before["world/balls"]) * 3.5
        np.testing.assert_allclose(flown, now["world/motion"], atol=1e-9)
        before = now


def test_oneself_glides_on_until_a_wall_and_balls_fly_whatever_one_does():
    env = make("gridworld")
    flights = []
    for actions in ([4] + [0] * 9, [1, 3] * 5):
        env.reset(seed=5)
        seen = []
        for action in actions:
            env.step(action)
            seen.append(env.unwrapped.factors()["world/balls"])
        flights.append(np.array(seen))
        if actions[1] == 0:  # one push to the right
            factors = env.unwrapped.factors()
            assert factors["ego/position"][1] == 1.0 and factors["ego/velocity"][1] == 0.0
    np.testing.assert_array_equal(*flights)


def test_food_gives_one_and_moves_and_a_ball_takes_one():
    world = make("gridworld").unwrapped
    world.reset(seed=0)
    world.position, world.velocity = np.array([3, 3]), np.array([0, 0])
    world.food = np.array([2, 5])  # beside the cell that the push leads to
    world.balls, world.motion = np.array([[0, 0], [7, 0]]), np.array([[1, 1], [-1, 1]])
    _, reward, *_ = world.step(4)
    assert reward == 1.0
    world.position, world.velocity = np.array([3, 3]), np.array([0, 0])
    world.food = np.array([0, 7])
    world.balls, world.motion = np.array([[2, 2], [2, 4]]), np.array([[1, 1], [1, -1]])
    assert world.step(0)[1] == -2.0


def test_the_gridworld_is_cut_after_its_length_and_never_dies():
    env = make("gridworld", length=5)
    env.reset(seed=1)
    ends = [env.step(0)[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]
