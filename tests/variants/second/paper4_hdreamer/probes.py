"""Correct answers, written differently: explicit loops and elementary operations."""

import numpy as np


def episode_folds(episode, count, rng):
    # EXERCISE 4.15: deal out the episodes, not the rows
    left = list(dict.fromkeys(episode.tolist()))
    fold_of, turn = {}, 0
    while left:
        name = left.pop(int(rng.integers(len(left))))
        fold_of[name] = turn
        turn = (turn + 1) % count
    return np.array([fold_of[name] for name in episode.tolist()])
    # END 4.15


def mutual_information(x, y):
    # EXERCISE 4.16: three entropies from counts, each with its correction
    import math

    def corrected_entropy(symbols):
        counts = {}
        for symbol in symbols:
            counts[symbol] = counts.get(symbol, 0) + 1
        total = 0.0
        for number in counts.values():
            total += number * (math.log(len(symbols)) - math.log(number))
        return (total + 0.5 * (len(counts) - 1)) / len(symbols)

    x, y = x.tolist(), y.tolist()
    both = list(zip(x, y, strict=True))
    return corrected_entropy(x) + corrected_entropy(y) - corrected_entropy(both)
    # END 4.16


def shuffle_episodes(episode, rng):
    # EXERCISE 4.17: cut into episodes, then exchange them so that none stays
    pieces = []
    for row, name in enumerate(episode.tolist()):
        if row == 0 or name != episode[row - 1]:
            pieces.append([])
        pieces[-1].append(row)
    order = list(range(len(pieces)))
    for last in range(
        len(pieces) - 1, 0, -1
    ):  # Sattolo: exchange with a place before, never itself
        other = int(rng.integers(last))
        order[last], order[other] = order[other], order[last]
    rows = []
    for i in order:
        rows.extend(pieces[i])
    return np.array(rows)
    # END 4.17


def factorisation_index(top, bottom):
    # EXERCISE 4.18: means by the kind of factor, then both differences
    index = 0.0
    for kind, sign in (("ego/", 1.0), ("world/", -1.0)):
        count = sum(name[: len(kind)] == kind for name in top)
        for name in top:
            if name[: len(kind)] == kind:
                knows = np.where(np.asarray(top[name]) > 0, top[name], 0.0)
                other = np.where(np.asarray(bottom[name]) > 0, bottom[name], 0.0)
                index = index + sign * (knows - other) / (2 * count)
    return index
    # END 4.18
