"""Two replay buffers: rows in, sequences out, episodes kept apart."""

import numpy as np
import pytest

from solutions.paper1_dreamerv1.buffer import ReplayBuffer, SimpleBuffer, stack


def rows_of_episode(number: int, actions: int, terminal: bool = False) -> list[dict]:
    """An episode whose reward at row t is 100 × number + t."""
    return [
        {
            "image": np.full((1, 2, 2), number, np.uint8),
            "action": np.full(2, t, np.float32),
            "reward": 100.0 * number + t,
            "is_first": t == 0,
            "is_last": t == actions,
            "is_terminal": terminal and t == actions,
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
def test_a_sample_holds_every_name_of_a_row_in_its_own_type(kind):
    batch = fill(kind(), [6, 9]).sample(5, 3)
    assert {key: (x.shape, x.dtype.name) for key, x in batch.items()} == {
        "image": ((5, 3, 1, 2, 2), "uint8"),
        "action": ((5, 3, 2), "float32"),
        "reward": ((5, 3), "float32"),
        "is_first": ((5, 3), "bool"),
        "is_last": ((5, 3), "bool"),
        "is_terminal": ((5, 3), "bool"),
    }


@pytest.mark.parametrize("kind", [SimpleBuffer, ReplayBuffer])
def test_rows_of_a_sequence_belong_together(kind):
    batch = fill(kind(), [6, 9]).sample(50, 4)
    assert np.array_equal(batch["action"][..., 0], batch["reward"] % 100)
    assert np.array_equal(batch["image"][..., 0, 0, 0], batch["reward"] // 100)
    assert np.array_equal(batch["is_first"], batch["reward"] % 100 == 0)


@pytest.mark.parametrize("kind", [SimpleBuffer, ReplayBuffer])
def test_the_same_seed_draws_the_same(kind):
    a, b, c = (fill(kind(seed=s), [30, 30]).sample(20, 5)["reward"] for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_the_simple_buffer_draws_every_start_and_crosses_episodes():
    buffer = fill(SimpleBuffer(), [2, 3])  # rows 0 1 2 100 101 102 103
    assert len(buffer) == 7
    assert starts(buffer, 3) == {0, 1, 2, 100, 101}
    assert starts(buffer, 7) == {0}
    with pytest.raises(ValueError, match="7 rows"):
        buffer.sample(1, 8)


def test_the_simple_buffer_forgets_the_oldest_rows():
    buffer = fill(SimpleBuffer(capacity=5), [2, 3])
    assert len(buffer) == 5 and starts(buffer, 1) == {2, 100, 101, 102, 103}


def test_a_sequence_lies_inside_one_episode_and_every_start_is_drawn():
    buffer = fill(ReplayBuffer(), [2, 5, 1])  # 3, 6 and 2 rows
    assert len(buffer) == 11
    batch = buffer.sample(400, 3)
    assert np.all(np.diff(batch["reward"], axis=1) == 1)
    assert set(batch["reward"][:, 0].tolist()) == {0, 100, 101, 102, 103}
    assert starts(buffer, 2) == {0, 1, 100, 101, 102, 103, 104, 200}
    assert starts(buffer, 6) == {100}


def test_every_start_is_equally_likely():
    buffer = fill(ReplayBuffer(), [2, 8])  # 1 and 7 starts of length 3
    share = (buffer.sample(4000, 3)["reward"][:, 0] < 100).mean()
    assert share == pytest.approx(1 / 8, abs=0.03)


def test_only_finished_episodes_count():
    buffer = ReplayBuffer()
    rows = rows_of_episode(0, 4)
    for row in rows[:-1]:
        buffer.add(row)
    assert len(buffer) == 0 and not buffer.ready(1)
    buffer.add(rows[-1])
    assert len(buffer) == 5 and buffer.ready(5) and not buffer.ready(6)
    with pytest.raises(ValueError, match="6 rows"):
        buffer.sample(1, 6)


def test_an_episode_that_was_never_finished_is_dropped():
    buffer = ReplayBuffer()
    for row in rows_of_episode(7, 4)[:3] + rows_of_episode(1, 2):
        buffer.add(row)
    assert len(buffer) == 3 and starts(buffer, 1) == {100, 101, 102}


def test_whole_episodes_are_forgotten_but_never_the_newest():
    buffer = fill(ReplayBuffer(capacity=8), [2, 3, 3])
    assert len(buffer) == 8 and starts(buffer, 1) == {100, 101, 102, 103, 200, 201, 202, 203}
    fill(buffer, [20])
    assert len(buffer) == 21


def test_the_last_row_and_its_flags_can_be_sampled():
    buffer = ReplayBuffer()
    for row in rows_of_episode(0, 3, terminal=True):
        buffer.add(row)
    batch = buffer.sample(1, 4)
    assert batch["is_terminal"].tolist() == batch["is_last"].tolist() == [[False] * 3 + [True]]


def test_stacking_rows_keeps_order_and_small_types():
    got = stack([{"a": 1.0, "b": np.uint8(2)}, {"a": 3.0, "b": np.uint8(4)}])
    assert got["a"].tolist() == [1.0, 3.0] and got["a"].dtype == np.float32
    assert got["b"].dtype == np.uint8
