"""Wrong answers to the exercises of probes.py: (old text, new text, what the learner reads)."""

DEAL = """\
    fold = rng.permutation(len(names)) % count
    return fold[number]
"""
PIECES = "pieces = np.split(np.arange(len(episode)), np.flatnonzero(np.diff(episode)) + 1)"
CIRCLE = """\
    circle = rng.permutation(len(pieces))
    order = np.empty_like(circle)
    order[circle] = np.roll(circle, 1)  # each place gets what stood before it in a random circle
"""
PLACED = CIRCLE + "    return np.concatenate([pieces[i] for i in order])\n"
MARGINALS = """\
        p = counts / len(x)
        entropies.append(-(p * np.log(p)).sum() + (len(p) - 1) / (2 * len(x)))
"""
CORRECTION = "(len(p) - 1) / (2 * len(x))"
JOIN = "float(entropies[0] + entropies[1] - entropies[2])"
CLIPPED = """\
            mine = [np.maximum(x, 0) for name, x in scores.items() if name.startswith(f"{kind}/")]
            known[level, kind] = sum(mine) / len(mine)
"""

MISTAKES = {
    "4.15": [
        (
            DEAL,
            "    return rng.permutation(len(episode)) % count\n",
            "you deal out rows: an episode's rows, near copies of each other, are then in "
            "several folds, and the probe is judged on what it has learned from",
        ),
        (
            DEAL,
            "    return np.arange(len(episode)) * count // len(episode)\n",
            "you cut the rows into equal parts: an episode at a cut is in two folds, and nothing "
            "is random",
        ),
        (
            "rng.permutation(len(names)) % count",
            "np.arange(len(names)) % count",
            "you deal out in turn: without `rng`, neighbouring episodes never meet in a fold",
        ),
        (
            DEAL,
            "    starts = np.diff(episode, prepend=episode[0] - 1) != 0\n"
            "    return (np.cumsum(starts) - 1) % count\n",
            "you deal out the episodes as they come, one after the other: those that are `count` "
            "places apart are always together. Shuffle them first",
        ),
        (
            DEAL,
            "    return episode % count\n",
            "you take the episode's number modulo the folds: numbers are any, so the folds may "
            "be of any size, and nothing is random",
        ),
        (
            "rng.permutation(len(names)) % count",
            "rng.integers(count, size=len(names))",
            "you draw each episode's fold by itself: the folds come out unequal, some empty. "
            "Shuffle the episodes, then deal them out in turn",
        ),
        (
            "rng.permutation(len(names)) % count",
            "rng.permutation(len(names)) // count",
            "you divide by the number of folds: that makes groups of `count` episodes, not "
            "`count` groups",
        ),
        (
            "return fold[number]",
            "return fold",
            "you return one number for each episode: there is one for each row",
        ),
        (
            "return fold[number]",
            "return fold[episode]",
            "you look up with the episode's number, which may be any: it is its place among the "
            "episodes that counts",
        ),
        (
            "return fold[number]",
            "return np.repeat(fold, np.unique(episode, return_counts=True)[1])",
            "you repeat the folds in the order of the sorted numbers: the episodes stand in "
            "another order, so some get rows of two folds",
        ),
        (
            "rng.permutation(len(names)) % count",
            "np.random.permutation(len(names)) % count",
            "you draw from numpy's global state: only `rng` makes the folds the same again",
        ),
        (
            "rng.permutation(len(names)) % count",
            "np.random.default_rng(0).permutation(len(names)) % count",
            "you draw from a generator of your own with a fixed seed: the folds are always the "
            "same",
        ),
        (
            "rng.permutation(len(names)) % count",
            "(np.arange(len(names)) + rng.integers(count)) % count",
            "you only choose with which fold to begin: the same episodes stay together",
        ),
        (
            "% count",
            "% count + 1",
            "you number the folds from 1: they are 0 to count - 1",
        ),
        (
            "% count",
            "% (count - 1)",
            "you deal out to one fold less: the last one is empty",
        ),
        (
            "return fold[number]",
            "return fold[number] == 0",
            "you return which rows are held out first: wanted is the number of the fold, since "
            "each is held out once",
        ),
        (
            "rng.permutation(len(names)) % count",
            "np.sort(rng.permutation(len(names)) % count)",
            "you sort what you have shuffled: neighbours are always together",
        ),
    ],
    "4.16": [
        (
            "sum() + (len(p) - 1)",
            "sum() - (len(p) - 1)",
            "your correction has the wrong sign: an estimated entropy is too small, so (m - 1) / "
            "2N is added to each",
        ),
        (
            " + " + CORRECTION,
            "",
            "you correct nothing: by chance alone, codes that know nothing of each other seem to "
            "share nats",
        ),
        (
            CORRECTION,
            "(len(p) - 1) / len(x)",
            "you divide the correction by N: it is 2N",
        ),
        (
            CORRECTION,
            "len(p) / (2 * len(x))",
            "you correct by m / 2N: it is m - 1, for shares that sum to 1 leave one less free",
        ),
        (
            CORRECTION,
            "(len(p) - 1) / (2 * len(p))",
            "you divide the correction by twice the number of classes: it is twice the number of "
            "pairs N",
        ),
        (
            CORRECTION,
            "(len(p) - 1) / (2 * len(x)) * (len(entropies) == 2)",
            "you correct the joint entropy alone: H(x) and H(y) are too small as well",
        ),
        (
            CORRECTION,
            "(len(p) - 1) / (2 * len(x)) * (len(entropies) < 2)",
            "you correct H(x) and H(y) alone: the joint entropy, with the most classes, is too "
            "small by most",
        ),
        (
            MARGINALS,
            """\
        p = counts / len(x)
        kinds = [len(np.bincount(a)) for a in (x, y)]
        cells = (*kinds, kinds[0] * kinds[1])
        entropies.append(
            -(p * np.log(p)).sum() + (cells[len(entropies)] - 1) / (2 * len(x))
        )
""",
            "you count all classes and all pairs of them: m is the number of those that occur",
        ),
        (
            MARGINALS,
            """\
        p = counts / len(x)
        kinds = [np.count_nonzero(np.bincount(a)) for a in (x, y)]
        cells = (*kinds, kinds[0] * kinds[1])
        entropies.append(
            -(p * np.log(p)).sum() + (cells[len(entropies)] - 1) / (2 * len(x))
        )
""",
            "you count every pair of the classes that occur: the joint entropy's m is the number "
            "of pairs that occur together",
        ),
        (
            "np.log(p)).sum()",
            "np.log2(p)).sum()",
            "you measure in bits, and correct in nats: take the natural logarithm",
        ),
        (
            JOIN,
            "float(entropies[0] + entropies[1] - entropies[2]) / np.log(2)",
            "you return bits: wanted are nats",
        ),
        (
            "y.max() + 1",
            "y.max()",
            "two pairs get one number: y has y.max() + 1 classes, because they begin with 0",
        ),
        (
            "x * (y.max() + 1) + y",
            "x * (x.max() + 1) + y",
            "you multiply x by its own number of classes: where y has more, two pairs get one "
            "number",
        ),
        (
            "x * (y.max() + 1) + y",
            "x + y",
            "you number a pair by its sum: 01 and 10 become one",
        ),
        (
            "        counts = counts[counts > 0]\n",
            "",
            "you take the logarithm of 0: a class that never occurs adds nothing, neither "
            "entropy nor correction",
        ),
        (
            JOIN,
            "float(entropies[2] - entropies[0] - entropies[1])",
            "you take it with the wrong sign: H(x) + H(y) - H(x, y)",
        ),
        (
            JOIN,
            "float(entropies[2] - entropies[1])",
            "you return H(x | y), what remains unknown of x: wanted is what y tells of it",
        ),
        (
            JOIN,
            "max(0.0, float(entropies[0] + entropies[1] - entropies[2]))",
            "you cut off at 0: then independent codes get more than 0 on average",
        ),
        (
            "p = counts / len(x)",
            "p = counts / len(counts)",
            "you divide the counts by the number of classes: shares are of all N pairs",
        ),
        (
            JOIN,
            "float((entropies[0] + entropies[1] - entropies[2]) / max(entropies[1], 1e-9))",
            "you return the share of H(y) that x tells: wanted are nats",
        ),
        (
            JOIN,
            "np.asarray(entropies[0] + entropies[1] - entropies[2])",
            "you return an array: wanted is a Python float",
        ),
    ],
    "4.17": [
        (
            CIRCLE,
            "    order = rng.permutation(len(pieces))\n",
            "an episode may keep its place in your order, and bring its true information into "
            "the floor",
        ),
        (
            PLACED,
            "    return rng.permutation(len(episode))\n",
            "you shuffle single steps: then nothing changes slowly any more, and the floor is "
            "too low. Whole episodes change places",
        ),
        (
            PLACED,
            "    return np.concatenate([rng.permutation(piece) for piece in pieces])\n",
            "you shuffle the steps of each episode and leave it in its place: steps stay, "
            "episodes move",
        ),
        (
            "[pieces[i] for i in order]",
            "[rng.permutation(pieces[i]) for i in order]",
            "you also shuffle the steps of each episode: they stay in their order",
        ),
        (
            "[pieces[i] for i in order]",
            "[pieces[i][::-1] for i in order]",
            "you turn each episode round: its steps stay in their order",
        ),
        (
            PLACED,
            "    return np.roll(np.arange(len(episode)), rng.integers(1, max(2, len(episode))))\n",
            "you move all rows on by a random number of steps, which cuts an episode in two: "
            "move whole episodes",
        ),
        (
            CIRCLE,
            "    order = np.roll(np.arange(len(pieces)), 1)\n",
            "each episode only moves on by one place, always: the order is to be random",
        ),
        (
            CIRCLE,
            "    order = np.roll(np.arange(len(pieces)), rng.integers(1, max(2, len(pieces))))\n",
            "you move all episodes on by one random number of places, so neighbours stay "
            "neighbours: the order is to be random",
        ),
        (
            CIRCLE,
            "    order = np.arange(len(pieces))[::-1]\n",
            "you reverse the episodes: nothing is random, and the middle one of an odd number "
            "stays",
        ),
        (
            "np.roll(circle, 1)",
            "np.roll(circle, 2)",
            "you go two places on in the circle: with two episodes that is where each was",
        ),
        (
            "np.flatnonzero(np.diff(episode)) + 1",
            "np.flatnonzero(np.diff(episode))",
            "you cut one row too early: np.diff(episode)[i] is between rows i and i + 1",
        ),
        (
            PIECES,
            "pieces = [np.flatnonzero(episode == i) for i in np.unique(episode)]",
            "np.unique sorts the episodes by number: none keeps its place among the sorted ones, "
            "but some do among the rows",
        ),
        (
            PIECES,
            "pieces = np.array_split(np.arange(len(episode)), len(np.unique(episode)))",
            "you cut the rows into equal parts: episodes may be of unequal length",
        ),
        (
            "return np.concatenate([pieces[i] for i in order])",
            "return episode[np.concatenate([pieces[i] for i in order])]",
            "you return the episode of each row: wanted are row numbers",
        ),
        (
            "return np.concatenate([pieces[i] for i in order])",
            "return order",
            "you return the order of the episodes: wanted are the numbers of all their rows",
        ),
        (
            CIRCLE,
            """\
    others = [[j for j in range(len(pieces)) if j != i] or [i] for i in range(len(pieces))]
    order = [rng.choice(choice) for choice in others]
""",
            "each place gets any other episode, drawn by itself: some come twice, some not at all",
        ),
        (
            "circle = rng.permutation",
            "circle = np.random.permutation",
            "you draw from numpy's global state: only `rng` makes the order the same again",
        ),
        (
            "circle = rng.permutation",
            "circle = np.random.default_rng(0).permutation",
            "you draw from a generator of your own with a fixed seed: 200 shuffles are then one",
        ),
        (
            PIECES,
            PIECES + "\n    rng.shuffle(episode)",
            "you shuffle `episode` itself: whoever called still needs it",
        ),
    ],
    "4.18": [
        (
            "0.5 * (ego + world)",
            "ego + world",
            "you leave out the ½: the index ends at 1",
        ),
        (
            "0.5 * (ego + world)",
            "-0.5 * (ego + world)",
            "your index has the wrong sign, as when levels or kinds are exchanged: it is "
            "positive where the top knows oneself and the bottom the world",
        ),
        (
            "0.5 * (ego + world)",
            "0.5 * (ego - world)",
            "you take top - bottom for both kinds, which says which level knows more at all: of "
            "the world it is bottom - top",
        ),
        (
            "0.5 * (ego + world)",
            "0.5 * ego",
            "you leave out the world: a top level that simply knows more of all would do well",
        ),
        (
            "0.5 * (ego + world)",
            "0.5 * world",
            "you leave out what is about oneself: a bottom level that simply knows more of all "
            "would do well",
        ),
        (
            "0.5 * (ego + world)",
            '0.5 * (known["top", "ego"] + known["bottom", "world"])',
            "you only add what each level should know: take off what the other level knows of it",
        ),
        (
            "np.maximum(x, 0)",
            "x",
            "you let negative R² count: one that is far below 0 says no more than 0, nothing is "
            "known, and would rule the mean",
        ),
        (
            CLIPPED,
            """\
            mine = [x for name, x in scores.items() if name.startswith(f"{kind}/")]
            known[level, kind] = np.maximum(sum(mine) / len(mine), 0)
""",
            "you cut off the mean at 0: cut off each factor's R² first, else a negative one "
            "takes from the others",
        ),
        (
            "np.maximum(x, 0)",
            "max(x, 0)",
            "you compare an array with max(x, 0), which is for single numbers: np.maximum(x, 0) "
            "does it entry by entry",
        ),
        (
            "np.maximum(x, 0)",
            "np.abs(x)",
            "you take the absolute value: a negative R² counts as 0",
        ),
        (
            "np.maximum(x, 0)",
            "np.maximum(x, 0, out=x if isinstance(x, np.ndarray) else None)",
            "you write the zeros into the caller's arrays: make new ones",
        ),
        (
            "sum(mine) / len(mine)",
            "sum(mine)",
            "you add up the factors: a kind with more of them would count more. Take the mean",
        ),
        (
            "sum(mine) / len(mine)",
            "sum(mine) / len(scores)",
            "you divide by the number of all factors: the mean is over those of this kind",
        ),
        (
            "sum(mine) / len(mine)",
            "np.mean(mine)",
            "you average over the entries of the arrays too: the mean is over factors, each "
            "entry by itself",
        ),
        (
            "sum(mine) / len(mine)",
            "np.max(mine, 0)",
            "you take the best-known factor: wanted is the mean over the factors",
        ),
        (
            "sum(mine) / len(mine)",
            "mine[0]",
            "you take the first factor of each kind: wanted is the mean over all of them",
        ),
        (
            'name.startswith(f"{kind}/")',
            "kind in name",
            "you look for the kind anywhere in the name: a name begins with it",
        ),
        (
            'name.startswith(f"{kind}/")',
            '(kind == "ego") == name.startswith("ego/")',
            "you count every name that is not ego/… as the world: only names with world/ are",
        ),
        (
            "0.5 * (ego + world)",
            "np.maximum(0.5 * (ego + world), 0)",
            "you cut off the index at 0: the reverse of what is said must be seen",
        ),
        (
            "0.5 * (ego + world)",
            "np.abs(0.5 * (ego + world))",
            "you take the absolute value of the index: -1 is the reverse of what is said",
        ),
        (
            "0.5 * (ego + world)",
            "float(0.5 * (ego + world))",
            "you make one number of the index: with arrays of R² it is an array",
        ),
    ],
}
