"""What a latent knows, measured: linear probes, mutual information, and the controls of both.

    probe          a linear model learns to read a factor of the world off a latent, on some
                   episodes, and is judged on others: R², or balanced accuracy
    information    how many nats a code and a factor share, above what chance would give
    controls       targets of other episodes, an untrained network, levels dealt out at random

Steps of one episode resemble each other. So whatever is held out, shuffled or resampled here is
always a whole episode, never a step.

Sources: Alain & Bengio 2016, arXiv:1610.01644 (probes); Hewitt & Liang 2019, arXiv:1909.03368
(their controls); Miller 1955, "Note on the bias of information estimates".

Needs numpy, and scikit-learn for the logistic probe alone. Letters: N rows of all episodes, D units
of a feature, Y targets, C classes, R resamples. `episode` (N,) numbers each row's episode; the rows
of one follow each other.
"""

import numpy as np

FOLDS = 4  # of which each episode is once held out
ALPHAS = 10.0 ** np.arange(-3, 2)  # of the ridge, added to a correlation matrix
COSTS = (1e-4, 1e-2, 1.0)  # of the logistic probe: C of scikit-learn, the inverse of a penalty
RESAMPLES = 1000  # of the bootstrap
PERMUTATIONS = 200  # of the floor of the mutual information
BINS = 8  # quantiles of a continuous factor
SURE = 0.999  # share of the logistic probe in its prediction; the rest is uniform

# --- episodes -------------------------------------------------------------------------------------


def episode_folds(episode: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Deal out the episodes to folds of equal size, at random: the number of each row's fold.

    episode   (N,)   any numbers, in any order; the rows of one follow each other; not changed
    count     folds; not more than there are episodes
    rng       all that is random comes from it: the same seed, the same folds
    return    (N,) int, 0 to count - 1   one number for all rows of an episode; the folds' numbers
                                         of episodes differ by 1 at most; any two episodes may come
                                         together, and into any fold

    Neighbouring steps are near copies. With some of them in the training part, a probe of noise
    that merely changes slowly would look as if it knew something.
    """
    # EXERCISE 4.15: deal out the episodes, not the rows
    # TODO: your code here (the reference takes 3 lines)
    raise NotImplementedError("exercise 4.15")
    # END 4.15


def resamples(episode: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each episode counts. (1 + R, episodes); row 0: once each, the estimate itself."""
    count = len(np.unique(episode))
    drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return np.concatenate([np.ones((1, count)), drawn])


def per_episode(x: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Sums over the rows of each episode. (N, ...) → (episodes, ...)"""
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    return np.add.reduceat(x, starts, 0)


def interval(values: np.ndarray) -> list[float]:
    """[estimate, 2.5th, 97.5th percentile] of (1 + R,) values."""
    return [float(x) for x in (values[0], *np.nanpercentile(values[1:], [2.5, 97.5]))]


# --- probes ---------------------------------------------------------------------------------------


def ridge_weights(moments: np.ndarray, units: int, components: int = 0) -> np.ndarray:
    """Weights of the ridge regression, for every one of ALPHAS.

    moments      (1 + D + Y, 1 + D + Y)   [1, x, y]ᵀ [1, x, y] of the training part
    units        D; each is standardised
    components   keep so many principal components of x; 0: all
    return       (alphas, 1 + D, Y)   of [1, x]
    """
    mean = moments[0, 1:] / moments[0, 0]
    covariance = moments[1:, 1:] / moments[0, 0] - np.outer(mean, mean)
    scale = np.sqrt(np.maximum(np.diag(covariance)[:units], 0))
    scale[scale < 1e-6] = 1.0  # a unit that never changes
    correlation = covariance[:units, :units] / np.outer(scale, scale)
    targets = covariance[:units, units:] / scale[:, None]
    if components:
        basis = np.linalg.eigh(correlation)[1][:, -components:]
        correlation, targets = basis.T @ correlation @ basis, basis.T @ targets
    penalty = np.eye(len(correlation))
    weights = np.stack(
        [np.linalg.solve(correlation + alpha * penalty, targets) for alpha in ALPHAS]
    )
    weights = (basis @ weights if components else weights) / scale[:, None]
    bias = mean[units:] - mean[:units] @ weights  # (alphas, Y)
    return np.concatenate([bias[:, None], weights], 1)


def ridge(x: np.ndarray, y: np.ndarray, fold: np.ndarray, components: int = 0) -> np.ndarray:
    """What a linear probe says of each row, having learned from the other folds alone.

    x            (N, D)
    y            (N, Y)   continuous
    fold         (N,)     from `episode_folds`; three or more
    components   see `ridge_weights`
    return       (N, Y)

    Of each fold and target, the penalty is chosen by cross-validation among the other folds. All
    training sets are sums of folds, so second moments are computed once.
    """
    folds, units = range(fold.max() + 1), x.shape[1]
    shift = x.mean(0), y.mean(0)  # for precision: a linear probe does not mind
    x, y = (np.asarray(a, float) - b for a, b in zip((x, y), shift, strict=True))
    inputs = np.concatenate([np.ones((len(x), 1)), x], 1)
    rows = np.concatenate([inputs, y], 1)
    moments = [rows[fold == f].T @ rows[fold == f] for f in folds]
    total = sum(moments)
    errors = np.zeros((len(folds), len(ALPHAS), y.shape[1]))
    for f in folds:
        for g in folds[:f]:  # without both: judged on one for the sake of the other
            weights = ridge_weights(total - moments[f] - moments[g], units, components)
            for outer, inner in ((f, g), (g, f)):
                missed = inputs[fold == inner] @ weights - y[fold == inner]
                errors[outer] += (missed**2).sum(1)
    predicted = np.empty_like(y)
    for f in folds:
        weights = ridge_weights(total - moments[f], units, components)
        best = errors[f].argmin(0)  # (Y,)
        predicted[fold == f] = inputs[fold == f] @ weights[best, :, np.arange(y.shape[1])].T
    return predicted + shift[1]


def r_squared(
    y: np.ndarray, predicted: np.ndarray, episode: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Share of the variance that is predicted: 1 - squared error / variance.

    y, predicted   (N, Y)
    counts         (1 + R, episodes)   from `resamples`
    return         (1 + R, Y)   1: perfect; 0: like the mean; negative: worse than it
    """
    y, predicted = y - y.mean(0), predicted - y.mean(0)
    error, square, total, rows = (
        counts @ per_episode(a, episode)
        for a in ((y - predicted) ** 2, y**2, y, np.ones((len(y), 1)))
    )
    return 1 - error / np.maximum(square - total**2 / rows, 1e-12)


def logistic(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Probabilities that a linear softmax gives each row's classes, from the other folds alone.

    x        (N, D)
    y        (N,) int   classes from 0
    fold     (N,)       from `episode_folds`; three or more
    return   (N, C)

    Of each fold, the penalty is chosen on the next one.
    """
    probabilities = np.empty((len(x), y.max() + 1))
    count = fold.max() + 1
    for f in range(count):
        judge = fold == (f + 1) % count
        learn = (fold != f) & ~judge
        errors = [
            -np.log(softmax_fit(x, y, learn, judge, cost)[np.arange(judge.sum()), y[judge]]).mean()
            for cost in COSTS
        ]
        best = COSTS[int(np.argmin(errors))]
        probabilities[fold == f] = softmax_fit(x, y, fold != f, fold == f, best)
    return probabilities


def softmax_fit(
    x: np.ndarray, y: np.ndarray, learn: np.ndarray, judge: np.ndarray, cost: float
) -> np.ndarray:
    """Probabilities (rows of `judge`, C), by a model of the rows of `learn`; (N,) masks."""
    from sklearn.linear_model import LogisticRegression

    classes = y.max() + 1
    uniform = np.full((judge.sum(), classes), 1 / classes)
    seen = np.unique(y[learn])
    mean, std = x[learn].mean(0), x[learn].std(0)
    x = ((x - mean) / np.where(std < 1e-6, 1.0, std)).astype(np.float32)  # twice as fast
    found = np.zeros_like(uniform)
    if len(seen) == 1:
        found[:, seen] = 1.0
    else:
        model = LogisticRegression(C=cost, tol=1e-3, max_iter=300).fit(x[learn], y[learn])
        found[:, model.classes_] = model.predict_proba(x[judge])
    return SURE * found + (1 - SURE) * uniform


def cross_entropy(
    y: np.ndarray, probabilities: np.ndarray, episode: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Mean of -log p(y), nats. (N,), (N, C), (N,), (1 + R, episodes) → (1 + R,)"""
    surprise = -np.log(probabilities[np.arange(len(y)), y])
    return counts @ per_episode(surprise, episode) / (counts @ per_episode(y >= 0, episode))


def balanced_accuracy(
    y: np.ndarray, probabilities: np.ndarray, episode: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Share of right guesses, the mean over the classes that occur: 1 / C by chance.

    (N,), (N, C), (N,), (1 + R, episodes) → (1 + R,)
    """
    mine = np.eye(probabilities.shape[1])[y]
    right = mine * (probabilities.argmax(1) == y)[:, None]
    rows = counts @ per_episode(mine, episode)
    rows[rows == 0] = np.nan
    return np.nanmean(counts @ per_episode(right, episode) / rows, 1)


# --- information ----------------------------------------------------------------------------------


def quantile_bins(y: np.ndarray, count: int = BINS) -> np.ndarray:
    """Numbers as classes from 0: as they are where few values occur, else quantiles. (N,) → (N,)"""
    values, number = np.unique(y, return_inverse=True)
    if len(values) <= count:
        return number
    edges = np.unique(np.quantile(y, np.arange(1, count) / count))
    return np.unique(np.searchsorted(edges, y, side="right"), return_inverse=True)[1]


def mutual_information(x: np.ndarray, y: np.ndarray) -> float:
    """I(x; y) of two discrete variables from N pairs, in nats, with the Miller-Madow correction.

    x, y     (N,) int   classes from 0; some may never occur; not changed
    return   H(x) + H(y) - H(x, y), a Python float

    An entropy estimated by the frequencies of N draws is too small, by (m - 1) / 2N on average to
    first order: m is the number of the classes, or pairs of classes, that occur. Each of the three
    entropies is corrected so. The result may be slightly negative.
    """
    # EXERCISE 4.16: three entropies from counts, each with its correction
    # TODO: your code here (the reference takes 7 lines)
    raise NotImplementedError("exercise 4.16")
    # END 4.16


def entropy(y: np.ndarray) -> float:
    """H(y) in nats, corrected: what y tells of itself. (N,) int"""
    return mutual_information(y, y)


def shuffle_episodes(episode: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row numbers in which whole episodes have changed places: y[rows] belongs to others' x.

    episode   (N,)   any numbers, in any order; the rows of one follow each other; lengths may
                     differ; not changed
    rng       all that is random comes from it: the same seed, the same order
    return    (N,) int   a permutation of 0 to N - 1: each episode's rows in one piece and in their
                         order, the pieces in a random order in which none has its old place (the
                         first comes not first, the second not second, …; one alone stays).
                         It may come to any other. Moving all on by equally many is not enough

    What x and y[rows] still share is the floor of a measure: chance, given how slowly both change.
    Single steps in any order would give a floor that is too low. An episode that stays in its place
    would bring its true information into the floor.
    """
    # EXERCISE 4.17: cut into episodes, then exchange them so that none stays
    # TODO: your code here (the reference takes 5 lines)
    raise NotImplementedError("exercise 4.17")
    # END 4.17


def permutation_floor(
    x: np.ndarray, y: np.ndarray, episode: np.ndarray, rng: np.random.Generator,
    count: int = PERMUTATIONS,
) -> float:  # fmt: skip
    """Mean information, in nats, of x and of y with its episodes shuffled; (N,) int, (N,)."""
    shuffled = (shuffle_episodes(episode, rng) for _ in range(count))
    return float(np.mean([mutual_information(x, y[rows]) for rows in shuffled]))


def excess_information(
    x: np.ndarray, y: np.ndarray, episode: np.ndarray, rng: np.random.Generator
) -> float:
    """I(x; y) above its permutation floor, nats. (N,) int, (N,) int

    Too small by the floor where x does know y: a factor that stays the same for whole episodes has
    a high one, because a few episodes cannot prove much about it.
    """
    return mutual_information(x, y) - permutation_floor(x, y, episode, rng)


def redundancy(
    top: np.ndarray, bottom: np.ndarray, episode: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """What a code of the top level and one of the bottom have in common: mean over all pairs.

    top, bottom   (N, S_top), (N, S_bottom) int
    return        I / √(H H) in [0, 1], and its permutation floor; codes of one class have none
    """
    found, floors = [], []
    for x in top.T:
        for y in bottom.T:
            scale = np.sqrt(entropy(x) * entropy(y))
            if scale > 0:
                found.append(mutual_information(x, y) / scale)
                floors.append(permutation_floor(x, y, episode, rng, PERMUTATIONS // 10) / scale)
    return float(np.mean(found or [0.0])), float(np.mean(floors or [0.0]))


# --- two levels -----------------------------------------------------------------------------------


def factorisation_index(top: dict, bottom: dict):
    """Whether the top level holds what is about oneself, and the bottom what is about the world.

    top, bottom   {factor: R²} of a probe of this level, in any order; numbers or arrays of one
                  shape, not changed. Names that begin with `ego/` or `world/` count, no others;
                  both kinds are there
    return        ½ [(ego(top) - ego(bottom)) + (world(bottom) - world(top))], ego and world being
                  means over their factors; 1: fully as said, 0: no difference, -1: the reverse

    A negative R² counts as 0: a probe worse than a guess knows nothing. Levels of one size, dealt
    out at random, give 0 on average. A larger one knows more of whatever is known at all: compare
    with levels of the same sizes, dealt out at random.
    """
    # EXERCISE 4.18: means by the kind of factor, then both differences
    # TODO: your code here (the reference takes 8 lines)
    raise NotImplementedError("exercise 4.18")
    # END 4.18


if __name__ == "__main__":
    import course

    course.run(__file__)
