"""Checks of the probes: folds, information, exchanged episodes, the factorisation index.

numpy's random numbers are real ones here. What is random is shown over many seeds, as something
that holds for all of them or that occurs in some: so an answer may draw in any way and order.
"""

import math
from itertools import combinations

import numpy as np

from course.checks import check
from tests import oracle

SEEDS = 100


def episodes(numbers, lengths) -> np.ndarray:
    """The number of each row's episode."""
    return np.repeat(numbers, lengths)


def plain(value):
    """Python's numbers and lists: a float of numpy is as good."""
    return np.asarray(value).tolist()


def kind(values) -> str:
    """int or float or bool, of whatever size."""
    return {"i": "int", "u": "int", "f": "float", "b": "bool"}.get(values.dtype.kind, "other")


# --- 4.15 episode_folds ---------------------------------------------------------------------------

SEVEN = ([7, 3, 12, 5, 9, 100, 2], [4, 1, 6, 2, 5, 3, 7])  # numbers and lengths
GIVEN = "28 rows of 7 episodes: numbers 7 3 12 5 9 100 2, lengths 4 1 6 2 5 3 7"


def deals(code, count: int, numbers, lengths, seeds: int = SEEDS) -> list[np.ndarray]:
    """The folds of all rows, for many seeds."""
    episode = episodes(numbers, lengths)
    generators = (np.random.default_rng(seed) for seed in range(seeds))
    return [np.asarray(code.probes.episode_folds(episode, count, rng)) for rng in generators]


def folds_of(fold: np.ndarray, numbers, lengths) -> list[int]:
    """The fold of each episode's first row."""
    starts = np.cumsum([0, *lengths[:-1]])
    return [int(fold[i]) for i in starts]


@check(
    "4.15",
    "one number for each row, the same for all rows of an episode",
    f"{GIVEN}; 3 folds, 100 seeds",
)
def whole_episodes_in_folds(code):
    dealt = deals(code, 3, *SEVEN)
    shapes = {fold.shape for fold in dealt}
    yield "shapes", sorted(shapes), [(28,)]
    yield "type", kind(dealt[0]), "int"
    if shapes != {(28,)}:
        return
    episode = episodes(*SEVEN)
    spread = [len(set(fold[episode == i].tolist())) for fold in dealt for i in SEVEN[0]]
    yield "most folds that one episode is in", max(spread), 1
    yield "numbers of the folds", sorted({int(f) for fold in dealt for f in fold}), [0, 1, 2]


@check(
    "4.15",
    "the folds hold equally many episodes, or one more",
    "7 episodes in 3 folds, 7 in 7, 5 in 4, 4 in 2, 3 in 1; lengths 4 1 6 2 5 3 7, 100 seeds",
)
def folds_of_equal_size(code):
    for total, count in ((7, 3), (7, 7), (5, 4), (4, 2), (3, 1)):
        some = [part[:total] for part in SEVEN]
        dealt = deals(code, count, *some)
        if any(fold.shape != (sum(some[1]),) for fold in dealt):
            yield f"is there a fold of each row? {total} in {count}", False, True
            continue
        found = [folds_of(fold, *some) for fold in dealt]
        sizes = [[folds.count(f) for f in range(count)] for folds in found]
        yield f"fewest episodes in a fold, {total} in {count}", min(map(min, sizes)), total // count
        near = all(max(s) - min(s) <= 1 and sum(s) == total for s in sizes)
        yield f"do all sizes differ by 1 at most? {total} in {count}", near, True


@check(
    "4.15",
    "dealt out at random: each episode comes into each fold, each two come together or not",
    f"{GIVEN}; 3 folds, 100 seeds",
)
def folds_at_random(code):
    dealt = deals(code, 3, *SEVEN)
    if any(fold.shape != (28,) for fold in dealt):
        yield "is there a fold of each row?", False, True
        return
    found = [folds_of(fold, *SEVEN) for fold in dealt]
    seen = [sorted(set(folds)) for folds in zip(*found, strict=True)]
    yield "folds that each episode was in", seen, [[0, 1, 2]] * 7
    pairs = combinations(zip(*found, strict=True), 2)
    both = sum({a == b for a, b in zip(*p, strict=True)} == {True, False} for p in pairs)
    yield "pairs of episodes that were together with some seeds, apart with others", both, 21


@check(
    "4.15",
    "all randomness comes from `rng`, and `episode` stays as it is",
    f"{GIVEN}; 3 folds, 100 seeds, each of them twice",
)
def folds_of_a_seed(code):
    first, second = (deals(code, 3, *SEVEN) for _ in range(2))
    again = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    yield "are the folds of the same seed the same?", again, True
    episode = episodes(*SEVEN)
    code.probes.episode_folds(episode, 3, np.random.default_rng(0))
    yield "episode after the call", episode, episodes(*SEVEN)


# --- 4.16 mutual_information ----------------------------------------------------------------------

X = [2, 0, 3, 3, 5, 2, 0, 2, 5, 3, 2, 2, 0, 3, 5, 2, 3, 0, 2, 3, 3, 5, 2]  # of 0 2 3 5
Y = [1, 0, 1, 4, 1, 1, 0, 4, 0, 1, 1, 0, 0, 1, 1, 1, 4, 1, 1, 1, 0, 0, 4]  # of 0 1 4


def information(code, x, y):
    return plain(code.probes.mutual_information(np.array(x), np.array(y)))


def entropy_of(*counts: int) -> float:
    """By the frequencies, without correction."""
    return -sum(c / sum(counts) * math.log(c / sum(counts)) for c in counts)


@check(
    "4.16",
    "H(x) + H(y) - H(x, y) in nats, each with its correction (m - 1) / 2N",
    "8 pairs: 00 four times, 01 once, 10 once, 11 twice; so x has counts 5 3, y 5 3, both 4 1 1 2",
)
def information_by_hand(code):
    x, y = [0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 0, 1, 1]
    want = 2 * entropy_of(5, 3) - entropy_of(4, 1, 1, 2) + (1 + 1 - 3) / 16
    yield "I(x; y)", information(code, x, y), want  # .110118 - .0625
    x, y = [0, 0, 0, 0, 1, 1, 1], [0, 0, 2, 1, 3, 3, 3]
    want = entropy_of(4, 3) + (1 + 3 - 3) / 14
    yield "7 pairs, 00 00 02 01 13 13 13: y tells x", information(code, x, y), want
    yield (
        "of 7 numbers 0 0 2 1 3 3 3 and themselves",
        information(code, y, y),
        (entropy_of(2, 1, 1, 3) + 3 / 14),
    )


@check(
    "4.16",
    "the correction takes from what chance gives: the result may be negative",
    "4 pairs 00 01 10 11; 6 pairs with every pair of 2 and 3 classes once; x always 0; one pair",
)
def information_of_nothing(code):
    yield "00 01 10 11", information(code, [0, 0, 1, 1], [0, 1, 0, 1]), -1 / 8
    x, y = [0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]
    yield "all 6 pairs of 2 and 3 classes", information(code, x, y), (1 + 2 - 5) / 12
    yield "x always 0", information(code, [0] * 5, [2, 0, 1, 1, 2]), 0.0
    yield "y always 3", information(code, [2, 0, 1, 1, 2], [3] * 5), 0.0
    yield "one pair", information(code, [1], [2]), 0.0


@check(
    "4.16",
    "only classes and pairs that occur count, whatever their numbers",
    "23 pairs; x of 0 2 3 5, y of 0 1 4, in 10 of 12 combinations; then other numbers for the same",
)
def classes_that_occur(code):
    want = oracle.corrected_information(X, Y)
    yield "I(x; y)", information(code, X, Y), want
    yield "I(y; x)", information(code, Y, X), want
    yield (
        "numbers 3 x and 7 y + 2",
        information(code, [3 * a for a in X], [7 * b + 2 for b in Y]),
        (want),
    )
    yield "numbers 5 - x and 4 - y", information(code, [5 - a for a in X], [4 - b for b in Y]), want
    want = oracle.corrected_information(X[:9], Y[:9])
    yield "the first 9 pairs", information(code, X[:9], Y[:9]), want


@check(
    "4.16",
    "a Python float; x and y stay as they are, and a second call gives the same",
    "the same 23 pairs",
)
def information_is_a_number(code):
    x, y = np.array(X), np.array(Y)
    got = code.probes.mutual_information(x, y)
    yield "is it a float?", isinstance(got, float), True
    want = oracle.corrected_information(X, Y)
    yield "second call", plain(code.probes.mutual_information(x, y)), want
    yield "x after the calls", x, X
    yield "y after the calls", y, Y


# --- 4.17 shuffle_episodes ------------------------------------------------------------------------

FIVE = ([5, 2, 9, 4, 7], [3, 1, 4, 2, 5])


def orders(code, numbers, lengths) -> list[list[int]]:
    """The row numbers, for many seeds."""
    episode = episodes(numbers, lengths)
    generators = (np.random.default_rng(seed) for seed in range(SEEDS))
    found = [np.asarray(code.probes.shuffle_episodes(episode, rng)) for rng in generators]
    return [rows.tolist() for rows in found]


def seen(found: list[list[int]]):
    """All orders that occur, if they are few."""
    different = sorted({tuple(rows) for rows in found})
    return different if len(different) <= 6 else "more than 6 orders"


def places(rows: list[int], numbers, lengths) -> list[int]:
    """Where each episode comes: 0 for the first that is met."""
    met = list(dict.fromkeys(episodes(numbers, lengths)[rows].tolist()))
    return [met.index(i) for i in numbers]


def pieces(lengths) -> list[list[int]]:
    """The rows of each episode."""
    return [x.tolist() for x in np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])]


@check(
    "4.17",
    "two episodes change places, one alone stays",
    "rows 0 1 | 2 3 4 of episodes 3 and 8, then of 8 and 3; rows 0 1 2 of one; all orders of 100 "
    "seeds",
)
def two_episodes(code):
    for numbers in ([3, 8], [8, 3]):
        got = seen(orders(code, numbers, [2, 3]))
        yield f"orders of episodes {numbers}", got, [[2, 3, 4, 0, 1]]
    yield "orders of one episode", seen(orders(code, [4], [3])), [[0, 1, 2]]


@check(
    "4.17",
    "three episodes have two orders in which none has its old place, and both occur",
    "rows 0 1 | 2 | 3 4 5 of episodes 4, 9 and 1; all orders of 100 seeds",
)
def three_episodes(code):
    got = seen(orders(code, [4, 9, 1], [2, 1, 3]))
    yield "orders", got, [[2, 3, 4, 5, 0, 1], [3, 4, 5, 0, 1, 2]]


@check(
    "4.17",
    "each episode in one piece and in its order, in any place but its own",
    "15 rows of 5 episodes: numbers 5 2 9 4 7, lengths 3 1 4 2 5; 100 seeds",
)
def five_episodes(code):
    found = orders(code, *FIVE)
    once = all(sorted(rows) == list(range(15)) for rows in found)
    yield "is each of the rows 0 to 14 there once?", once, True
    if not once:
        return
    met = [[[r for r in rows if r in mine] for mine in pieces(FIVE[1])] for rows in found]
    joined = all(
        max(at) - min(at) + 1 == len(at)
        for rows in found
        for at in ([rows.index(r) for r in mine] for mine in pieces(FIVE[1]))
    )
    yield "is each episode in one piece?", joined, True
    yield "is each in its order?", all(m == pieces(FIVE[1]) for m in met), True
    if not joined:
        return
    came = [places(rows, *FIVE) for rows in found]
    others = [[p for p in range(5) if p != i] for i in range(5)]
    got = [sorted(set(at)) for at in zip(*came, strict=True)]
    yield "places of each episode", got, others
    yield "are there more than 10 orders?", len({tuple(x) for x in came}) > 10, True


@check(
    "4.17",
    "all randomness comes from `rng`, and `episode` stays as it is",
    "the same 5 episodes; 100 seeds, each of them twice",
)
def order_of_a_seed(code):
    first, second = (orders(code, *FIVE) for _ in range(2))
    yield "are the orders of the same seed the same?", first == second, True
    episode = episodes(*FIVE)
    rows = np.asarray(code.probes.shuffle_episodes(episode, np.random.default_rng(0)))
    yield "episode after the call", episode, episodes(*FIVE)
    yield "shape", rows.shape, (15,)
    yield "type", kind(rows), "int"


@check(
    "4.17",
    "no x keeps the y of its own episode, where episodes are equally long",
    "4 episodes of 3 rows; x and y are the number of the episode; 100 seeds",
)
def nothing_of_its_own(code):
    x = episodes([6, 1, 8, 2], [3, 3, 3, 3])
    found = orders(code, [6, 1, 8, 2], [3, 3, 3, 3])
    stays = any(bool((x[[r % 12 for r in rows]] == x[: len(rows)]).any()) for rows in found)
    yield "does any?", stays, False


# --- 4.18 factorisation_index ---------------------------------------------------------------------


def index(code, top: dict, bottom: dict):
    return plain(code.probes.factorisation_index(top, bottom))


def scores(ego, world, **others) -> dict:
    """R² by factor. One name of the world has `ego` inside."""
    names = ["ego/position", "ego/velocity", "ego/heading"][: len(ego)]
    names += ["world/food", "world/lego"][: len(world)]
    return dict(zip(names, [*ego, *world], strict=True)) | others


@check(
    "4.18",
    "half of: what the top knows more of oneself + what the bottom knows more of the world",
    "top: ego .9 .5 .1, world .3 .1; bottom: ego .4 .1 .1, world .8 .4: ½ [(.5 - .2) + (.6 - .2)]",
)
def index_by_hand(code):
    top = scores([0.9, 0.5, 0.1], [0.3, 0.1])
    bottom = scores([0.4, 0.1, 0.1], [0.8, 0.4])
    yield "index", index(code, top, bottom), 0.35
    yield "levels exchanged", index(code, bottom, top), -0.35
    yield "top against itself", index(code, top, top), 0.0
    flat = scores([0.2], [0.7])
    yield "both the same of the world", index(code, scores([0.8], [0.7]), flat), 0.3
    yield "both the same of oneself", index(code, scores([0.2], [0.1]), flat), 0.3
    backwards = dict(reversed(bottom.items()))
    yield "factors of the bottom named in reverse", index(code, top, backwards), 0.35


@check(
    "4.18",
    "1 is fully as said, -1 the reverse; a negative R² counts as 0, factor by factor",
    "top: ego 1, world 0; bottom: ego 0, world 1. Then top: ego .6 -2, world -.4; bottom: ego -9 "
    ".2, world .5: ½ [(.3 - .1) + (.5 - 0)]",
)
def index_of_extremes(code):
    top, bottom = scores([1.0], [0.0]), scores([0.0], [1.0])
    yield "index", index(code, top, bottom), 1.0
    yield "levels exchanged", index(code, bottom, top), -1.0
    top, bottom = scores([0.6, -2.0], [-0.4]), scores([-9.0, 0.2], [0.5])
    yield "index with negative R²", index(code, top, bottom), 0.35


@check(
    "4.18",
    "arrays of R², entry by entry",
    "3 resamples; top: ego [.9 .5 -1] [.1 .3 .6], world [.2 0 .4]; bottom: ego [.2 .4 0] "
    "[0 .2 .5], world [.6 -2 .1]",
)
def index_of_arrays(code):
    top = scores([np.array([0.9, 0.5, -1.0]), np.array([0.1, 0.3, 0.6])], [np.array([0.2, 0, 0.4])])
    bottom = scores(
        [np.array([0.2, 0.4, 0.0]), np.array([0.0, 0.2, 0.5])], [np.array([0.6, -2.0, 0.1])]
    )
    yield "index", index(code, top, bottom), [0.4, 0.05, -0.125]
    square = [{k: np.stack([x, x[::-1]]) for k, x in part.items()} for part in (top, bottom)]
    want = [[0.4, 0.05, -0.125], [-0.125, 0.05, 0.4]]
    yield "of arrays (2, 3)", index(code, *square), want
    yield "top's first factor after the calls", top["ego/position"], [0.9, 0.5, -1.0]
    yield "bottom's last after the calls", bottom["world/food"], [0.6, -2.0, 0.1]


@check(
    "4.18",
    "names that do not begin with ego/ or world/ do not count",
    "top: ego .8, world .1, action 1; bottom: ego .2, world .5, action 0",
)
def other_names(code):
    top = scores([0.8], [0.1], action=1.0, reward=0.3)
    bottom = scores([0.2], [0.5], action=0.0, reward=0.7)
    before = dict(top)
    yield "index", index(code, top, bottom), 0.5
    yield "top after the call", top, before
