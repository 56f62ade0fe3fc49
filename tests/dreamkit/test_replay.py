"""Replay: which rows a batch holds, and that files bring them back."""

from collections import Counter

import numpy as np
import pytest

from dreamkit import replay as module
from dreamkit.replay import Replay

FIELDS = {
    "image": ((1, 2, 2), "uint8"),
    "stream": ((), "int32"),
    "position": ((), "int32"),  # since the first row ever of its stream
    "action": ((2,), "float32"),
    "reward": ((), "float32"),
    **dict.fromkeys(("is_first", "is_last", "is_terminal"), ((), "bool")),
}
ROW_BYTES = 4 + 4 + 4 + 8 + 4 + 3
LATENTS = {"h": ((3,), "float16"), "z": ((2,), "uint8")}
EPISODE = 7  # rows of an episode


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Eight rows a chunk, so that every test crosses borders."""
    monkeypatch.setattr(module, "CHUNK", 8)


def row(stream: int, position: int) -> dict:
    return {
        "image": np.full((1, 2, 2), position % 256, np.uint8),
        "stream": stream,
        "position": position,
        "action": np.float32([position, -stream]),
        "reward": position / 8,
        "is_first": position % EPISODE == 0,
        "is_last": position % EPISODE == EPISODE - 1,
        "is_terminal": position % (2 * EPISODE) == EPISODE - 1,
    }


def latents(stream: int, position: int, version: int = 0) -> dict:
    return {
        "h": np.float16([stream, position, version]),
        "z": np.uint8([position % 200, version]),
    }


def fill(replay: Replay, stream: int, count: int) -> None:
    """Append the next `count` rows of a stream."""
    end = replay.streams[stream].end
    for position in range(end, end + count):
        replay.add(stream, row(stream, position), latents(stream, position))


def build(counts=(21, 13), **options) -> Replay:
    replay = Replay(FIELDS, LATENTS, len(counts), **options)
    for stream, count in enumerate(counts):
        fill(replay, stream, count)
    return replay


def check(batch: dict) -> None:
    """Every row of a batch is the row that was added at its place."""
    for b, (stream, start) in enumerate(batch["index"]):
        for t in range(batch["reward"].shape[1]):
            for key, value in row(stream, start + t).items():
                np.testing.assert_array_equal(batch[key][b, t], value, err_msg=key)


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


# --- what a batch holds ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 5, 8, 13])
def test_a_sequence_is_consecutive_rows_of_one_environment(length):
    replay = build((40, 29, 60))
    for _ in range(30):
        batch = replay.sample(6, length)
        assert batch["reward"].shape == (6, length)
        check(batch)


def test_a_sequence_crosses_into_the_next_episode_only_with_is_first():
    batch = build((60, 60)).sample(64, 12)
    joints = batch["is_last"][:, :-1]
    assert joints.any()
    np.testing.assert_array_equal(batch["is_first"][:, 1:], joints)


@pytest.mark.parametrize("counts", [(21, 13, 37), (30,), (8, 64)])
def test_every_start_is_equally_likely_first_and_last_included(counts):
    length = 5
    replay = build(counts)
    drawn = Counter()
    for _ in range(150):
        batch = replay.sample(101, length)
        drawn.update(map(tuple, batch["index"][1:].tolist()))  # the first is the newest, always
    starts = [(s, p) for s, count in enumerate(counts) for p in range(count - length + 1)]
    assert set(drawn) == set(starts)
    expected = 150 * 100 / len(starts)
    chi_square = sum((drawn[start] - expected) ** 2 / expected for start in starts)
    freedom = len(starts) - 1
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom)


def test_streams_that_are_too_short_are_never_drawn():
    replay = build((4, 20, 0, 3))
    assert {stream for stream, _ in replay.sample(200, 5)["index"].tolist()} == {1}


def test_a_stream_of_exactly_one_sequence_is_drawn():
    assert build((5,)).sample(3, 5)["index"].tolist() == [[0, 0]] * 3


def test_every_batch_holds_a_newest_sequence_and_the_environments_take_turns():
    replay = build((21, 13, 9))
    seen = []
    for _ in range(9):
        for stream in range(3):
            fill(replay, stream, 1)
        newest = {(n, replay.streams[n].end - 6) for n in range(3)}
        batch = replay.sample(4, 6)
        check(batch)
        assert tuple(batch["index"][0]) in newest
        seen.append(int(batch["index"][0, 0]))
    assert Counter(seen) == {0: 3, 1: 3, 2: 3}


def test_a_row_can_be_sampled_as_soon_as_it_is_added():
    replay = build((30,))
    fill(replay, 0, 1)
    assert replay.sample(1, 4)["position"][0].tolist() == [27, 28, 29, 30]


def test_without_a_whole_sequence_there_is_no_batch():
    replay = build((5, 3))
    assert replay.ready(5) and not replay.ready(6)
    with pytest.raises(ValueError, match="no sequence of 6 rows"):
        replay.sample(2, 6)


def test_the_same_seed_draws_the_same_batches_and_another_seed_others():
    one, two, three = (build(seed=seed).sample(16, 4)["index"].tolist() for seed in (1, 1, 2))
    assert one == two != three


def test_pictures_stay_bytes():
    replay = build((21,))
    assert replay.row.itemsize == ROW_BYTES
    assert replay.streams[0].chunks[0].rows.nbytes == 8 * ROW_BYTES
    batch = replay.sample(4, 6)
    assert batch["image"].dtype == np.uint8 and batch["image"].nbytes == 4 * 6 * 4


def test_a_batch_is_a_copy():
    replay = build((9,))
    replay.sample(1, 9)["image"][:] = 255
    check(replay.sample(1, 9))


def test_the_description_names_rows_and_memory():
    replay = Replay({"image": ((3, 64, 64), "uint8")}, {}, 1, expected=2**20, capacity=2**21)
    assert "1,048,576 rows" in replay.describe() and "12.0 GiB" in replay.describe()


# --- capacity -------------------------------------------------------------------------------------


def test_the_oldest_rows_go_first_and_positions_stay_right():
    replay = build((0, 0), capacity=48)
    for _ in range(100):
        for stream in range(2):
            fill(replay, stream, 1)
        if replay.ready(6):
            check(replay.sample(5, 6))
        assert len(replay) < 48 + 2 * 8  # only whole chunks go, and each stream has one open
    assert len(replay) >= 48 - 8
    for stream in replay.streams:
        assert stream.end == 100 and 0 < stream.begin == 100 - (stream.end - stream.begin)
    starts = {tuple(x) for _ in range(40) for x in replay.sample(40, 6)["index"].tolist()}
    for number, stream in enumerate(replay.streams):
        mine = {start for n, start in starts if n == number}
        assert min(mine) == stream.begin and max(mine) == 94


def test_a_stream_that_is_longer_gives_its_rows_first():
    replay = build((16, 0), capacity=40)
    fill(replay, 1, 64)
    assert replay.streams[0].begin == 0
    assert len(replay) <= 40 and replay.streams[1].end == 64


# --- latents --------------------------------------------------------------------------------------


def test_a_sequence_brings_the_latents_of_the_row_before_it_and_zeros_where_there_is_none():
    batch = build((21, 13)).sample(200, 6)
    assert (batch["index"][:, 1] == 0).any()
    for b, (stream, start) in enumerate(batch["index"]):
        expected = latents(stream, start - 1) if start else {"h": np.zeros(3), "z": np.zeros(2)}
        for key in ("h", "z"):
            np.testing.assert_array_equal(batch[key][b], expected[key])
    assert batch["h"].dtype == np.float16 and batch["z"].dtype == np.uint8


def test_after_an_eviction_the_oldest_start_has_no_latents_before_it():
    replay = build((104,), capacity=24)
    begin = replay.streams[0].begin
    batch = replay.sample(200, 6)
    oldest = batch["index"][:, 1] == begin
    assert begin > 0 and oldest.any() and not batch["h"][oldest].any()
    assert batch["h"][~oldest, 1].all()


def test_refreshed_latents_replace_those_of_exactly_these_rows():
    replay = build((40, 29))
    truth = {(s, p): latents(s, p) for s, n in ((0, 40), (1, 29)) for p in range(n)}
    for version in range(1, 40):
        batch = replay.sample(3, 11)
        for b, (stream, start) in enumerate(batch["index"].tolist()):
            before = truth.get((stream, start - 1), {"h": np.zeros(3), "z": np.zeros(2)})
            np.testing.assert_array_equal(batch["h"][b], before["h"])
            np.testing.assert_array_equal(batch["z"][b], before["z"])
        new = {"h": np.zeros((3, 11, 3), np.float16), "z": np.zeros((3, 11, 2), np.uint8)}
        for b, (stream, start) in enumerate(batch["index"].tolist()):
            for t in range(11):
                row_latents = latents(stream, start + t, version)
                new["h"][b, t], new["z"][b, t] = row_latents["h"], row_latents["z"]
                truth[stream, start + t] = row_latents
        replay.refresh(batch["index"], new)
    check(replay.sample(50, 11))


def test_a_row_without_latents_has_zeros():
    replay = Replay(FIELDS, LATENTS, 1)
    for position in range(6):
        replay.add(0, row(0, position), None if position == 2 else latents(0, position))
    batch = replay.sample(1, 3)  # the newest: rows 3 to 5
    assert batch["index"].tolist() == [[0, 3]] and not batch["h"].any() and not batch["z"].any()


def test_an_agent_without_latents_needs_none():
    replay = Replay(FIELDS, {}, 1)
    for position in range(9):
        replay.add(0, row(0, position))
    assert set(replay.sample(2, 4)) == {*FIELDS, "index"}


# --- files ----------------------------------------------------------------------------------------


def files(folder) -> dict[str, tuple]:
    """{name: (inode, time of the last change, bytes)}"""
    result = {}
    for path in sorted(folder.iterdir()):
        status = path.stat()
        result[path.name] = (status.st_ino, status.st_mtime_ns, path.read_bytes())
    return result


def reload(state: dict, folder, counts=2, **options) -> Replay:
    replay = Replay(FIELDS, LATENTS, counts, folder=folder, **options)
    replay.load(state)
    return replay


@pytest.mark.parametrize("capacity", [1000, 40])
def test_mapped_files_give_the_same_batches_as_memory(tmp_path, capacity):
    options = dict(capacity=capacity, expected=1000, seed=3)
    memory = Replay(FIELDS, LATENTS, 2, **options)
    mapped = Replay(FIELDS, LATENTS, 2, folder=tmp_path, memory=0, **options)
    assert mapped.mapped and not memory.mapped
    for step in range(60):
        for replay in (memory, mapped):
            fill(replay, 0, 1)
            fill(replay, 1, 2)
        if step > 5:
            one, other = memory.sample(4, 10), mapped.sample(4, 10)
            assert_same(one, other)
            new = {name: one[name][:, None].repeat(10, 1) + 1 for name in LATENTS}
            memory.refresh(one["index"], new), mapped.refresh(other["index"], new)
    full = [chunk for stream in mapped.streams for chunk in stream.chunks if chunk.count == 8]
    assert full and all(isinstance(chunk.rows, np.memmap) for chunk in full)


def test_only_what_exceeds_the_memory_is_mapped(tmp_path):
    for memory, mapped in ((100 * ROW_BYTES, False), (100 * ROW_BYTES - 1, True)):
        options = dict(folder=tmp_path, expected=100, memory=memory)
        assert Replay(FIELDS, LATENTS, 1, **options).mapped == mapped
    assert not Replay(FIELDS, LATENTS, 1, folder=None, expected=100, memory=0).mapped


def test_a_save_writes_the_rows_once_and_nothing_else(tmp_path):
    replay = build((21, 13), folder=tmp_path)
    replay.save()
    before = files(tmp_path)
    assert sum(len(data) for _, _, data in before.values()) == 34 * ROW_BYTES
    marked = tmp_path / "0-2.rows"  # not full: what it has is not written again
    marked.write_bytes(b"marked" + marked.read_bytes()[6:])
    before = files(tmp_path)
    fill(replay, 0, 6)  # rows 21 to 26: chunk 2 becomes full, chunk 3 begins
    replay.save()
    after = files(tmp_path)
    unchanged = {name for name in before if before[name] == after[name]}
    assert unchanged == {"0-0.rows", "0-1.rows", "1-0.rows", "1-1.rows"}
    assert after["0-2.rows"][2].startswith(before["0-2.rows"][2])
    assert sum(len(data) for _, _, data in after.values()) == 40 * ROW_BYTES


@pytest.mark.parametrize("memory", [2**30, 0])
@pytest.mark.parametrize("capacity", [1000, 40])
def test_a_loaded_replay_goes_on_with_the_same_batches(tmp_path, memory, capacity):
    options = dict(memory=memory, capacity=capacity)
    one = build((40, 29), folder=tmp_path, seed=5, **options)
    for _ in range(7):
        batch = one.sample(3, 6)
        one.refresh(
            batch["index"],
            {"h": np.full((3, 6, 3), 7, np.float16), "z": np.full((3, 6, 2), 9, np.uint8)},
        )
    other = reload(one.save(), tmp_path, seed=99, **options)
    assert len(one) == len(other) <= capacity + 16
    for _ in range(20):
        assert_same(one.sample(4, 9), other.sample(4, 9))
        fill(one, 0, 2), fill(one, 1, 1)
        fill(other, 0, 2), fill(other, 1, 1)


@pytest.mark.parametrize("memory", [2**30, 0])
def test_rows_that_were_written_after_the_save_are_forgotten(tmp_path, memory):
    one = build((21, 13), folder=tmp_path, memory=memory)
    state = one.save()
    fill(one, 0, 30)
    fill(one, 1, 2)
    one.save()
    other = reload(state, tmp_path, memory=memory)
    assert [stream.end for stream in other.streams] == [21, 13]
    # From here on another history: the same positions with other rewards.
    for position in range(21, 45):
        other.add(0, row(0, position) | {"reward": -1.0}, latents(0, position))
    third = reload(other.save(), tmp_path, memory=memory)
    assert [stream.end for stream in third.streams] == [45, 13]
    batch = third.sample(100, 8)
    late = (batch["position"] >= 21) & (batch["stream"] == 0)
    assert late.any() and (batch["reward"][late] == -1).all()
    assert (batch["reward"][~late] == batch["position"][~late] / 8).all()


def test_a_half_written_row_at_the_end_of_a_file_is_forgotten(tmp_path):
    replay = build((21, 13), folder=tmp_path)
    state = replay.save()
    with open(tmp_path / "0-2.rows", "ab") as file:
        file.write(b"\xff" * (ROW_BYTES // 2))
    with open(tmp_path / "1-1.rows", "ab") as file:
        file.write(b"\xff" * (ROW_BYTES * 5 // 2))
    other = reload(state, tmp_path)
    fill(other, 0, 12), fill(other, 1, 1)
    third = reload(other.save(), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 47 * ROW_BYTES
    for _ in range(10):
        check(third.sample(20, 5))


def test_files_of_dropped_chunks_stay_until_no_checkpoint_needs_them(tmp_path):
    replay = build((40,), folder=tmp_path, capacity=40)
    state = replay.save()
    kept = {path.name for path in tmp_path.iterdir()}
    fill(replay, 0, 24)
    assert replay.streams[0].dropped == 3
    assert kept <= {path.name for path in tmp_path.iterdir()}
    reload(state, tmp_path, counts=1, capacity=40).sample(4, 8)  # still whole
    newer = replay.save()
    replay.clean()
    assert {path.name for path in tmp_path.iterdir()} == {f"0-{n}.rows" for n in (3, 4, 5, 6, 7)}
    check(reload(newer, tmp_path, counts=1, capacity=40).sample(30, 8))


@pytest.mark.parametrize("memory", [2**30, 0])
@pytest.mark.parametrize("count", [1, 5, 8, 16, 19])
def test_a_cut_ends_the_episode_at_the_newest_row_in_memory_and_in_the_file(
    tmp_path, memory, count
):
    replay = build((count,), folder=tmp_path, memory=memory)
    replay.save()
    replay = reload(replay.save(), tmp_path, counts=1, memory=memory)
    replay.cut(0)
    state = replay.save()
    for one in (replay, reload(state, tmp_path, counts=1, memory=memory)):
        batch = one.sample(1, count)
        last = [row(0, p)["is_last"] for p in range(count - 1)] + [True]
        assert batch["is_last"][0].tolist() == last
        assert batch["position"][0].tolist() == list(range(count))
        assert batch["is_terminal"][0, -1] == row(0, count - 1)["is_terminal"]


def test_a_stream_without_rows_can_be_cut():
    replay = build((0, 3))
    replay.cut(0)
    assert len(replay) == 3


def test_a_replay_with_other_fields_is_refused(tmp_path):
    state = build((21, 13), folder=tmp_path).save()
    other = Replay(FIELDS | {"action": ((5,), "float32")}, LATENTS, 2, folder=tmp_path)
    with pytest.raises(ValueError, match="rows of another form"):
        other.load(state)


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_missing_and_short_files_are_noticed(tmp_path, damage):
    state = build((21, 13), folder=tmp_path).save()
    path = tmp_path / "0-1.rows"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises((OSError, ValueError)):
        reload(state, tmp_path)


def test_latents_that_are_too_large_to_save_are_zeros_after_a_load(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LATENTS_SAVED", 10)
    state = build((21, 13), folder=tmp_path).save()
    assert state["latents"].numel() < 10
    other = reload(state, tmp_path)
    batch = other.sample(50, 4)
    check(batch)
    assert not batch["h"].any()
