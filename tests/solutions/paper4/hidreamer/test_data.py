"""Stacks of pictures: those that a player saw, found again from single pictures."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import FrameStackObservation

from solutions.paper4_hdreamer.hidreamer.data import STACK, Game, Stack, join, stack_at


class Pictures(gymnasium.Env):
    """Episodes of known lengths; each picture is another one."""

    observation_space = gymnasium.spaces.Box(0, 255, (2, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, lengths):
        self.lengths, self.random = iter(lengths), np.random.default_rng(0)

    def picture(self):
        return self.random.integers(256, size=(2, 3), dtype=np.uint8)

    def reset(self, *, seed=None, options=None):
        self.left = next(self.lengths)
        return self.picture(), {}

    def step(self, action):
        self.left -= 1
        return self.picture(), 0.0, self.left == 0, False, {}


LENGTHS = (6, 1, 2, 9, 3, 4)  # choices


def play():
    """(stacks of gymnasium, stacks of Stack, single pictures, episode numbers) of every choice."""
    env = FrameStackObservation(Pictures(LENGTHS), STACK, padding_type="reset")
    theirs, ours, single, episode = [], [], [], []
    for number in range(len(LENGTHS)):
        seen, over = env.reset()[0], False
        stack = Stack()
        while not over:
            theirs.append(np.array(seen))
            ours.append(stack.add(seen[-1][None]))
            single.append(seen[-1])
            episode.append(3 * number + 2)  # any numbers that rise
            seen, _, over, _, _ = env.step(0)
    return map(np.array, (theirs, ours, single, episode))


def test_stacks_are_those_of_gymnasium_with_the_reset_picture_repeated():
    theirs, ours, single, episode = play()
    assert len(theirs) == sum(LENGTHS)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(stack_at(single, episode, np.arange(len(single))), theirs)


def test_the_first_rows_of_an_episode_repeat_its_first_picture():
    _, _, single, episode = play()
    begin = 9  # of the fourth one, nine rows
    rows = [[9, 9, 9, 9], [9, 9, 9, 10], [9, 9, 10, 11], [9, 10, 11, 12], [10, 11, 12, 13]]
    got = stack_at(single, episode, begin + np.arange(5))
    np.testing.assert_array_equal(got, single[np.array(rows)])


def test_stacks_of_some_rows_in_any_order():
    theirs, _, single, episode = play()
    index = np.array([14, 3, 3, 24, 0, 7])
    got = stack_at(single, episode, index)
    np.testing.assert_array_equal(got, theirs[index])
    assert got.shape == (6, STACK, 2, 3) and got.dtype == np.uint8


def test_a_stack_is_the_mean_of_colours_the_newest_last():
    first = np.array([[[10]], [[20]], [[60]]], np.uint8)  # three channels of one pixel
    stack = Stack()
    assert stack.add(first)[:, 0, 0].tolist() == [30, 30, 30, 30]
    assert stack.add(first + 3)[:, 0, 0].tolist() == [30, 30, 30, 33]
    for more in (6, 9, 12):
        got = stack.add(first + more)
    assert got[:, 0, 0].tolist() == [33, 36, 39, 42] and got.dtype == np.uint8


def test_a_stack_that_was_given_out_does_not_change():
    stack = Stack()
    before = stack.add(np.full((1, 1, 1), 5, np.uint8))
    stack.add(np.full((1, 1, 1), 9, np.uint8))
    assert before.flatten().tolist() == [5, 5, 5, 5]


def test_games_one_after_the_other_keep_their_episodes_apart():
    one = {"done": np.array([0, 1, 0, 1], bool), "episode": np.array([0, 0, 1, 1])}
    two = {"done": np.array([1, 0, 1], bool), "episode": np.array([0, 1, 1])}
    rows = join([one, two])
    assert rows["episode"].tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert rows["game"].tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_factors_are_left_out_where_games_have_different_ones():
    one = {"done": np.ones(1, bool), "episode": np.zeros(1, int), "factors": np.ones((1, 2))}
    two = one | {"factors": np.ones((1, 3))}
    assert "factors" in join([one]) and "factors" not in join([one, two])


@pytest.fixture
def catch(tmp_path):
    game = Game({"name": "catch", "size": 8}, 3, tmp_path / "replay")
    game.play(20)
    return game


def test_a_row_holds_the_choice_at_its_picture_and_what_that_brought(catch):
    rows = catch.rows()
    assert len(rows["done"]) == 21 and rows["done"].tolist() == [*([False] * 6), True] * 3
    assert rows["reward"][~rows["done"]].tolist() == [0] * 18
    assert rows["reward"][rows["done"]].tolist() == catch.scores
    paddle = rows["picture"][:, -1].argmax(-1)
    moved = np.clip(paddle[:-1] + rows["action"][:-1] - 1, 0, 7)
    np.testing.assert_array_equal(moved[~rows["done"][:-1]], paddle[1:][~rows["done"][:-1]])


def test_factors_are_those_of_the_picture(catch):
    rows = catch.rows()
    assert catch.names == ["ego/paddle[0]", "world/ball[0]", "world/ball[1]"]
    np.testing.assert_array_equal(rows["factors"][:, 0], rows["picture"][:, -1].argmax(-1))
    ball = rows["picture"][:, :-1].reshape(21, -1).argmax(-1)
    np.testing.assert_array_equal(rows["factors"][:, 1] * 8 + rows["factors"][:, 2], ball)


def test_a_policy_sees_stacks_and_its_choices_are_kept():
    seen = []

    def policy(pictures):
        seen.append(pictures)
        return len(seen) % 3

    game = Game({"name": "catch", "size": 8}, 0)
    game.play(1, policy)
    rows = game.rows()
    assert rows["action"].tolist() == [1, 2, 0, 1, 2, 0, 1]
    stacks = stack_at(rows["picture"], rows["episode"], np.arange(7))
    np.testing.assert_array_equal(stacks, seen)


def test_a_game_that_was_saved_goes_on_as_if_nothing_had_been(catch, tmp_path):
    again = Game({"name": "catch", "size": 8}, 3, tmp_path / "replay")
    again.load(catch.save())
    catch.play(14)
    again.play(14)
    for key, x in catch.rows().items():
        np.testing.assert_array_equal(again.rows()[key], x, key)
    assert again.scores == catch.scores


def test_only_actions_that_do_something_are_legal_in_an_atari_game():
    pytest.importorskip("ale_py")
    game = Game({"name": "atari_pong", "size": 84}, 0)
    assert len(game.legal) == 18 and np.flatnonzero(game.legal).tolist() == [0, 1, 3, 4, 11, 12]
    assert game.names[0] == "ego/player_y[0]"
