"""What is given in buffer.py, and how its parts join; tests/paper1/test_buffer.py has the rest."""

import numpy as np
import pytest

from solutions.paper1_dreamerv1.buffer import ReplayBuffer, SimpleBuffer, stack


def rows_of_episode(number: int, actions: int) -> list[dict]:
    """An episode whose reward at row t is 100 × number + t."""
    return [
        {
            "image": np.full((1, 2, 2), number, np.uint8),
            "action": np.full(2, t, np.float32),
            "reward": 100.0 * number + t,
            "is_first": t == 0,
            "is_last": t == actions,
            "is_terminal": False,
        }
        for t in range(actions + 1)
    ]


def fill(buffer, lengths):
    for number, length in enumerate(lengths):
        for row in rows_of_episode(number, length):
            buffer.add(row)
    return buffer


def starts(buffer, length, draws=400):
    return set(buffer.sample(draws, length)["reward"][:, 0].tolist())


@pytest.mark.parametrize("kind", [SimpleBuffer, ReplayBuffer])
def test_what_was_added_is_sampled_row_by_row_in_its_own_type(kind):
    batch = fill(kind(), [6, 9]).sample(50, 4)
    assert np.array_equal(batch["action"][..., 0], batch["reward"] % 100)
    assert np.array_equal(batch["image"][..., 0, 0, 0], batch["reward"] // 100)
    assert np.array_equal(batch["is_first"], batch["reward"] % 100 == 0)
    assert [x.dtype.name for x in batch.values()] == ["uint8", "float32", "float32"] + ["bool"] * 3


def test_the_simple_buffer_forgets_the_oldest_rows():
    buffer = fill(SimpleBuffer(capacity=5), [2, 3])
    assert len(buffer) == 5 and starts(buffer, 1) == {2, 100, 101, 102, 103}


@pytest.mark.parametrize(("kind", "message"), [(SimpleBuffer, "7 rows"), (ReplayBuffer, "5 rows")])
def test_a_sequence_longer_than_all_is_refused(kind, message):
    buffer = fill(kind(), [2, 3])  # 7 rows, 4 of them in the longer episode
    with pytest.raises(ValueError, match=message):
        buffer.sample(1, 8 if kind is SimpleBuffer else 5)


def test_the_replay_buffer_is_ready_when_an_episode_is_long_enough():
    buffer = fill(ReplayBuffer(), [2, 4])
    assert len(buffer) == 8 and buffer.ready(5) and not buffer.ready(6)


def test_stacking_rows_keeps_order_and_small_types():
    got = stack([{"a": 1.0, "b": np.uint8(2)}, {"a": 3.0, "b": np.uint8(4)}])
    assert got["a"].tolist() == [1.0, 3.0] and got["a"].dtype == np.float32
    assert got["b"].dtype == np.uint8
