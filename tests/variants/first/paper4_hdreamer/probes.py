"""Correct answers, written differently: terse, with library functions."""

import numpy as np


def episode_folds(episode, count, rng):
    # EXERCISE 4.15: deal out the episodes, not the rows
    fold = np.empty(len(episode), int)
    for i, names in enumerate(np.array_split(rng.permutation(np.unique(episode)), count)):
        fold[np.isin(episode, names)] = i
    return fold
    # END 4.15


def mutual_information(x, y):
    # EXERCISE 4.16: three entropies from counts, each with its correction
    table = np.zeros((x.max() + 1, y.max() + 1))
    np.add.at(table, (x, y), 1)
    joint, n = table / len(x), len(x)
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    plug_in = np.sum(joint[there] * np.log(joint[there] / independent[there]))
    classes = there.any(1).sum() + there.any(0).sum() - there.sum() - 1
    return float(plug_in + classes / (2 * n))
    # END 4.16


def shuffle_episodes(episode, rng):
    # EXERCISE 4.17: cut into episodes, then exchange them so that none stays
    names, first = np.unique(episode, return_index=True)
    names = names[np.argsort(first)]
    place = np.arange(len(names))
    order = place
    while len(names) > 1 and (order == place).any():  # any order in which none stays, as likely
        order = rng.random(len(names)).argsort()
    return np.concatenate([np.flatnonzero(episode == names[i]) for i in order])
    # END 4.17


def factorisation_index(top, bottom):
    # EXERCISE 4.18: means by the kind of factor, then both differences
    more = {name: np.clip(x, 0, None) - np.clip(bottom[name], 0, None) for name, x in top.items()}
    ego, world = (
        np.mean([x for name, x in more.items() if name.startswith(kind)], axis=0)
        for kind in ("ego/", "world/")
    )
    return (ego - world) / 2
    # END 4.18
