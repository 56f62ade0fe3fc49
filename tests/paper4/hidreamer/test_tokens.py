"""Checks of windows of rows: none crosses the end of an episode, and whole episodes are held out.

Rows are of a choice and its consequence, so the row with `done` is the last one of its episode.
"""

import numpy as np

from course.checks import check
from tests.paper4.hidreamer import oracle_tokens as oracle

SHARES = (0.0, 0.137, 0.313, 0.619, 0.877)  # times the number of episodes never a whole number


def ends(*lengths, rest=0):
    return np.array(oracle.ends_of(*lengths, rest=rest))


def random_ends(seed: int) -> np.ndarray:
    """40 to 70 rows, of which about a fifth are ends."""
    rng = np.random.default_rng(seed)
    return rng.random(rng.integers(40, 71)) < 0.2


def kind(values) -> str:
    """int or float or bool, of whatever size."""
    if not isinstance(values, np.ndarray):
        return f"no array but {type(values).__name__}"
    return {"i": "int", "u": "int", "f": "float", "b": "bool"}.get(values.dtype.kind, "other")


# --- 4.26 valid_starts ----------------------------------------------------------------------------


def starts(code, done, length):
    """What is returned, as numbers; the error's name where no window fits."""
    try:
        return np.asarray(code.hidreamer.tokens.valid_starts(done.copy(), length)).tolist()
    except ValueError:
        return "ValueError"


@check(
    "4.26",
    "a window begins wherever all of its rows are of one episode",
    "14 rows, episodes of rows 0-3, 4-5, 6-10, and 11-13 of one that has not ended",
)
def windows_of_four_episodes(code):
    done = ends(4, 2, 5, rest=3)
    for length, want in (
        (3, [0, 1, 6, 7, 8, 11]),
        (2, [0, 1, 2, 4, 6, 7, 8, 9, 11, 12]),
        (4, [0, 6, 7]),
        (5, [6]),
        (1, list(range(14))),
    ):
        yield f"first rows of windows of {length}", starts(code, done, length), want


@check(
    "4.26",
    "an end may be the last row of a window, and no row before it",
    "7 rows with one end, windows of 4 rows; then windows of 2",
)
def one_end_at_each_row(code):
    four = [[1, 2, 3], [2, 3], [3], [0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    for row, want in enumerate(four):
        got = starts(code, np.arange(7) == row, 4)
        yield f"first rows of windows of 4, end in row {row}", got, want
    for row in range(7):
        want = [start for start in range(6) if start != row]
        yield f"windows of 2, end in row {row}", starts(code, np.arange(7) == row, 2), want


@check(
    "4.26",
    "an episode of n rows has n - L + 1 windows, or none",
    "whole episodes of 9 1 4 13 2 6 3 rows; L from 1 to 13",
)
def as_many_windows_as_fit(code):
    lengths = (9, 1, 4, 13, 2, 6, 3)
    for length in range(1, 14):
        got = starts(code, ends(*lengths), length)
        want = sum(max(0, n - length + 1) for n in lengths)
        yield f"windows of {length} rows", len(got), want


@check(
    "4.26",
    "the same as one finds by looking at each window row by row",
    "60 arrays of 40 to 70 rows with ends at random; L from 1 to 5",
)
def windows_of_random_episodes(code):
    for seed in range(60):
        done, length = random_ends(seed), 1 + seed % 5
        got, want = starts(code, done, length), oracle.windows(done, length)
        if got != want:
            break
    yield f"first rows of windows of {length}, in array {seed}", got, want


@check(
    "4.26",
    "where no episode is long enough, a ValueError",
    "episodes of 3, 5 and 2 rows, and 4 of one that has not ended; L of 5, 6, 14, 15 and 40",
)
def too_long_a_window(code):
    done = ends(3, 5, 2, rest=4)
    yield "windows of 5 rows", starts(code, done, 5), [3]
    for length in (6, 14, 15, 40):
        yield f"windows of {length} rows", starts(code, done, length), "ValueError"
    yield "windows of 4 rows where there are 3", starts(code, ends(rest=3), 4), "ValueError"
    yield "windows of 3 rows where there are 3", starts(code, ends(rest=3), 3), [0]


@check(
    "4.26",
    "many rows, many ends",
    "33000 rows that are all ends but row 32900, and windows of 2; 300 rows that are all ends, and "
    "windows of 257",
)
def windows_of_many_rows(code):
    yield "first rows of windows of 2", starts(code, np.arange(33000) != 32900, 2), [32900]
    yield "first rows of windows of 257", starts(code, ends(*[1] * 300), 257), "ValueError"


@check(
    "4.26",
    "row numbers in an array, and `done` stays as it is",
    "episodes of 2, 4 and 3 rows, and 2 of one that has not ended",
)
def windows_are_row_numbers(code):
    done = ends(2, 4, 3, rest=2)
    got = code.hidreamer.tokens.valid_starts(done, 2)
    yield "numbers", got, [0, 2, 3, 4, 6, 7, 9]
    yield "type", kind(got), "int"
    yield "done after the call", done, ends(2, 4, 3, rest=2)


# --- 4.27 split_by_episode ------------------------------------------------------------------------


def held_out(code, done, *share):
    """1 for each row that is held out, as numbers."""
    return np.asarray(code.hidreamer.tokens.split_by_episode(done.copy(), *share)).astype(int)


@check(
    "4.27",
    "the last episodes are held out, as many as the share allows",
    "15 rows, episodes of 3 1 4 2 5 rows; shares 0.45, 0.65, 0.9 and the usual 0.1; "
    "25 episodes of 2 rows",
)
def the_last_of_five_episodes(code):
    done = ends(3, 1, 4, 2, 5)
    for share, rows in ((0.45, 7), (0.65, 11), (0.9, 12)):
        got = held_out(code, done, share)
        yield f"held out, share {share}", got, [0] * (15 - rows) + [1] * rows
    yield "held out without a share", held_out(code, done), [0] * 10 + [1] * 5
    yield "25 episodes without a share", held_out(code, ends(*[2] * 25)), [0] * 46 + [1] * 4


@check(
    "4.27",
    "one episode at least is held out",
    "15 rows, episodes of 3 1 4 2 5 rows, share 0 and 0.15; the last episode of one row, share "
    "0.3; a single episode of 4 rows; one of 3 that has not ended",
)
def one_episode_at_least(code):
    for share in (0.0, 0.15):
        got = held_out(code, ends(3, 1, 4, 2, 5), share)
        yield f"held out, share {share}", got, [0] * 10 + [1] * 5
    yield "held out, last episode of one row", held_out(code, ends(4, 2, 1), 0.3), [0] * 6 + [1]
    yield "held out of a single episode", held_out(code, ends(4)), [1] * 4
    yield "of a single one that has not ended", held_out(code, ends(rest=3)), [1] * 3


@check(
    "4.27",
    "what follows the last end is an episode too",
    "11 rows, episodes of 2 4 3 rows and 2 of one that has not ended; shares 0.3, 0.6 and 0.8",
)
def an_episode_without_its_end(code):
    done = ends(2, 4, 3, rest=2)
    for share, rows in ((0.3, 2), (0.6, 5), (0.8, 9)):
        got = held_out(code, done, share)
        yield f"held out, share {share}", got, [0] * (11 - rows) + [1] * rows


@check(
    "4.27",
    "no episode is on both sides, and the share is of episodes, not of rows",
    "60 arrays of 40 to 70 rows with ends at random; shares 0, 0.137, 0.313, 0.619 and 0.877",
)
def splits_of_random_episodes(code):
    for seed in range(60):
        done, share = random_ends(seed), SHARES[seed % 5]
        got = held_out(code, done, share)
        want = np.array(oracle.held_out(done, share), int)
        if got.shape != want.shape or (got != want).any():
            break
    yield f"held out, share {share}, in array {seed}", got, want.tolist()


@check(
    "4.27",
    "True or False for each row, and `done` stays as it is",
    "episodes of 2, 4 and 3 rows, and 1 row of one that has not ended, share 0.8",
)
def a_split_says_yes_or_no(code):
    done = ends(2, 4, 3, rest=1)
    got = code.hidreamer.tokens.split_by_episode(done, 0.8)
    yield "type", kind(got), "bool"
    yield "held out", got, [False] * 2 + [True] * 8
    yield "done after the call", done, ends(2, 4, 3, rest=1)


@check(
    "4.27",
    "half of the episodes, all of them, half of very many",
    "4 episodes of 2 rows, shares 1/2 and 1; 600 episodes of one row, share 1/2",
)
def halves_and_wholes(code):
    for share, rows in ((0.5, 4), (1.0, 8)):
        got = held_out(code, ends(2, 2, 2, 2), share)
        yield f"held out, share {share}", got, [0] * (8 - rows) + [1] * rows
    got = held_out(code, ends(*[1] * 600), 0.5)
    yield "held out of 600 episodes", got, [0] * 300 + [1] * 300
