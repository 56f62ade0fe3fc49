"""Stacks of pictures: those that a player saw, found again from single pictures."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import FrameStackObservation

from solutions.paper4_hdreamer.hidreamer.data import STACK, Stack, join, stack_at


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


@pytest.fixture
def joined():
    """Two episodes, of three choices and of one, with scores 7.5 and -2."""
    rng = np.random.default_rng(0)

    def episode(count, terminal):
        return {
            "image": rng.integers(256, size=(count, 3, 2, 2), dtype=np.uint8),
            "action": np.eye(4, dtype=np.float32)[rng.integers(4, size=count)],
            "reward": rng.normal(size=count).astype(np.float32),
            "terminal": np.arange(count) == (count - 1 if terminal else -1),
            "done": np.arange(count) == count - 1,
        }

    episodes = [episode(3, False), episode(1, True)]
    return episodes, join(episodes, [7.5, -2.0])


def test_joined_episodes_are_numbered_and_each_row_has_the_score_of_its_episode(joined):
    _, rows = joined
    assert rows["episode"].tolist() == [0, 0, 0, 1]
    assert rows["score"].tolist() == [7.5, 7.5, 7.5, -2.0]
    assert rows["done"].tolist() == [False, False, True, True]
    assert rows["terminal"].tolist() == [False, False, False, True]


def test_joined_pictures_are_those_that_the_player_saw(joined):
    episodes, rows = joined
    seen = []
    for episode in episodes:
        stack = Stack()
        seen += [stack.add(image) for image in episode["image"]]
    got = stack_at(rows["picture"], rows["episode"], np.arange(4))
    np.testing.assert_array_equal(got, seen)


def test_joined_actions_are_numbers(joined):
    episodes, rows = joined
    one_hot = np.concatenate([episode["action"] for episode in episodes])
    np.testing.assert_array_equal(np.eye(4)[rows["action"]], one_hot)
