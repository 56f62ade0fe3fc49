"""Probes and information find what is there, and nothing where there is nothing."""

import subprocess
import sys

import numpy as np
import pytest

from solutions.paper4_hdreamer import probes
from solutions.paper4_hdreamer.probes import (
    balanced_accuracy,
    cross_entropy,
    entropy,
    episode_folds,
    excess_information,
    factorisation_index,
    interval,
    logistic,
    mutual_information,
    per_episode,
    permutation_floor,
    quantile_bins,
    r_squared,
    redundancy,
    resamples,
    ridge,
    shuffle_episodes,
)

EPISODES, LENGTH = 40, 100
EPISODE = np.repeat(np.arange(EPISODES), LENGTH)
N = len(EPISODE)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def fold(rng):
    return episode_folds(EPISODE, 4, rng)


def once(episodes=EPISODES):
    return np.ones((1, episodes))


def walks(rng, units):
    """Signals that change slowly and begin anew with each episode. (N, units)"""
    steps = rng.normal(size=(EPISODES, LENGTH, units))
    return steps.cumsum(1).reshape(N, units)


def slow_codes(rng, count, classes=32, stay=5):
    """Codes (N, count) that change their class every `stay` steps, independent of each other."""
    drawn = rng.integers(classes, size=(EPISODES, LENGTH // stay, count))
    return drawn.repeat(stay, 1).reshape(N, count)


def one_hot(codes, classes=32):
    return np.eye(classes)[codes].reshape(len(codes), -1)


# --- episodes -------------------------------------------------------------------------------------


def test_all_rows_of_an_episode_are_in_one_fold_and_folds_are_of_equal_size(rng):
    episode = np.repeat([7, 3, 12, 5, 9, 100, 2], [4, 1, 6, 2, 5, 3, 7])
    fold = episode_folds(episode, 3, rng)
    of_each = {number: set(fold[episode == number]) for number in set(episode)}
    assert all(len(folds) == 1 for folds in of_each.values())
    assert sorted(np.bincount([folds.pop() for folds in of_each.values()])) == [2, 2, 3]


def test_folds_are_dealt_out_at_random():
    dealt = [episode_folds(EPISODE, 4, np.random.default_rng(i)) for i in range(3)]
    assert not np.array_equal(dealt[0], dealt[1]) and not np.array_equal(dealt[1], dealt[2])
    assert np.array_equal(dealt[0], episode_folds(EPISODE, 4, np.random.default_rng(0)))


def test_a_split_by_step_leaks_and_one_by_episode_does_not(rng, fold):
    x, y = walks(rng, 80), walks(rng, 2)  # independent of each other
    by_step = rng.permutation(N) % 4
    leaked = r_squared(y, ridge(x, y, by_step), EPISODE, once())
    honest = r_squared(y, ridge(x, y, fold), EPISODE, once())
    assert leaked.min() > 0.3
    assert honest.max() < 0.02


def test_sums_are_of_each_episode(rng):
    x = rng.normal(size=(9, 2))
    found = per_episode(x, np.array([4, 4, 4, 1, 1, 8, 8, 8, 8]))
    assert np.allclose(found, [x[:3].sum(0), x[3:5].sum(0), x[5:].sum(0)])


def test_the_first_of_the_resamples_is_the_data_itself_and_all_have_as_many_episodes(rng):
    counts = resamples(EPISODE, rng)
    assert counts.shape == (1 + probes.RESAMPLES, EPISODES)
    assert (counts[0] == 1).all() and (counts.sum(1) == EPISODES).all()
    assert counts[1:].std() == pytest.approx(1, abs=0.05)  # with replacement


def test_an_interval_is_the_estimate_and_two_percentiles():
    values = np.concatenate([[7.0], np.arange(1001)])
    assert interval(values) == [7.0, 25.0, 975.0]


# --- ridge ----------------------------------------------------------------------------------------


def test_independent_targets_are_not_predicted(rng, fold):
    x = np.concatenate([walks(rng, 40), one_hot(slow_codes(rng, 6))], 1)
    found = r_squared(y := rng.normal(size=(N, 5)), ridge(x, y, fold), EPISODE, once())
    assert found.max() <= 0.02
    assert found.min() > -0.1  # the penalty is chosen so that noise is not believed


def test_a_linear_target_is_predicted_whatever_its_units(rng, fold):
    x = rng.normal(size=(N, 6)) * [1, 100, 0.01, 1, 1, 1] + 50
    y = np.stack([x @ [1, 0.01, 100, 2, 0, -1] + 1000, 1e-3 * x[:, 4] - 9], 1)
    predicted = ridge(x, y, fold)
    assert r_squared(y, predicted, EPISODE, once()).min() > 0.99999
    assert predicted.mean(0) == pytest.approx(y.mean(0), rel=1e-3)


def test_a_ridge_is_that_of_another_library(rng, fold, monkeypatch):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setattr(probes, "ALPHAS", np.array([0.3]))
    x, y = walks(rng, 7), walks(rng, 3)
    found = ridge(x, y, fold)
    for f in range(4):
        learn = fold != f
        model = make_pipeline(StandardScaler(), Ridge(0.3 * learn.sum())).fit(x[learn], y[learn])
        assert np.allclose(found[~learn], model.predict(x[~learn]), atol=1e-9)


def test_the_penalty_is_chosen_for_each_target_without_the_held_out_fold(rng, fold, monkeypatch):
    monkeypatch.setattr(probes, "ALPHAS", np.array([1e-6, 1e6]))
    x = rng.normal(size=(N, 30))
    y = np.stack([x[:, 0], rng.normal(size=N)], 1)
    found = ridge(x, y, fold)
    assert np.allclose(found[:, 0], y[:, 0], atol=1e-3)  # little penalty
    assert found[:, 1].std() < 0.05 and found[:, 0].std() > 0.9  # much
    y[fold == 2] = 1e3 * rng.normal(size=(int((fold == 2).sum()), 2))
    assert np.allclose(ridge(x, y, fold)[fold == 2], found[fold == 2], atol=1e-6)


def test_a_unit_that_never_changes_does_no_harm(rng, fold):
    x = rng.normal(size=(N, 3))
    x[:, 1] = 4.0
    y = x[:, :1] + 1
    assert r_squared(y, ridge(x, y, fold), EPISODE, once()).min() > 0.9999


def test_principal_components_are_the_widest_directions_of_the_standardised_features(rng, fold):
    hidden = rng.normal(size=(N, 2))
    x = hidden @ rng.normal(size=(2, 9)) + 0.3 * rng.normal(size=(N, 9))
    y = np.concatenate([hidden, x[:, :1] - hidden @ np.linalg.lstsq(hidden, x[:, :1])[0]], 1)
    found = r_squared(y, ridge(x, y, fold, 2), EPISODE, once())[0]
    assert (found[:2] > 0.9).all() and found[2] < 0.6
    assert np.allclose(ridge(x, y, fold, 9), ridge(x, y, fold), atol=1e-6)


# --- scores ---------------------------------------------------------------------------------------


def test_r_squared_is_that_of_another_library(rng):
    from sklearn.metrics import r2_score

    y = walks(rng, 3) + 5
    predicted = y + rng.normal(size=y.shape) * [0.1, 3, 30]
    found = r_squared(y, predicted, EPISODE, once())[0]
    assert np.allclose(found, r2_score(y, predicted, multioutput="raw_values"))


def test_an_episode_that_counts_twice_is_one_that_is_there_twice(rng):
    y, predicted = walks(rng, 2), walks(rng, 2)
    labels, chances = rng.integers(3, size=N), rng.dirichlet(np.ones(3), N)
    counts = once()
    counts[0, 5], counts[0, 8] = 2, 0
    rows = np.concatenate([np.flatnonzero(EPISODE != 8), np.flatnonzero(EPISODE == 5)])
    order = np.repeat(np.arange(EPISODES), LENGTH)[: len(rows)]
    for score, truth, guess in (
        (r_squared, y, predicted), (cross_entropy, labels, chances),
        (balanced_accuracy, labels, chances),
    ):  # fmt: skip
        found = score(truth, guess, EPISODE, counts)
        assert np.allclose(found, score(truth[rows], guess[rows], order, once()))


def test_cross_entropy_and_balanced_accuracy_by_hand():
    y, episode = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    guess = np.array([[0.5, 0.5], [0.8, 0.2], [0.4, 0.6], [0.25, 0.75]])
    mean = -np.log([0.5, 0.8, 0.4, 0.75]).mean()
    assert cross_entropy(y, guess, episode, once(2)) == pytest.approx(mean)
    assert balanced_accuracy(y, guess, episode, once(2)) == pytest.approx((2 / 3 + 1) / 2)


def test_a_class_that_a_resample_lacks_does_not_count():
    y, episode = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    guess = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9]])
    assert balanced_accuracy(y, guess, episode, np.array([[1, 0]])) == pytest.approx(0.5)


# --- logistic -------------------------------------------------------------------------------------


def test_a_code_is_read_off_its_own_level_and_not_off_another(rng, fold):
    top, bottom = slow_codes(rng, 4), slow_codes(rng, 8)
    y = quantile_bins(top[:, 2])
    read, blind = logistic(one_hot(top), y, fold), logistic(one_hot(bottom), y, fold)
    assert cross_entropy(y, read, EPISODE, once()) < 0.1
    assert balanced_accuracy(y, read, EPISODE, once()) > 0.97
    assert cross_entropy(y, blind, EPISODE, once()) == pytest.approx(np.log(8), abs=0.05)
    assert balanced_accuracy(y, blind, EPISODE, once()) == pytest.approx(1 / 8, abs=0.04)
    assert np.allclose(read.sum(1), 1) and read.shape == (N, 8)


def test_a_class_of_one_episode_is_not_fatal(rng, fold):
    y = np.zeros(N, int)
    y[EPISODE == 3] = 1
    found = logistic(rng.normal(size=(N, 2)), y, fold)
    assert np.isfinite(np.log(found)).all()


# --- information ----------------------------------------------------------------------------------


def test_bins_hold_equally_many_and_few_values_stay_as_they_are(rng):
    assert (np.bincount(quantile_bins(rng.normal(size=800))) == 100).all()
    assert quantile_bins(np.array([0.5, -2.0, 7.0, 0.5])).tolist() == [1, 0, 2, 1]
    many = quantile_bins(np.concatenate([np.zeros(700), rng.normal(size=300)]))
    assert set(many) == set(range(many.max() + 1))  # classes from 0, none left out


def test_information_by_hand():
    """Pairs 00 00 00 01 11 11: H(x) of 4:2, H(y) of 3:3, H(x, y) of 3:1:2."""
    x, y = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    h = lambda *counts: -sum(c / 6 * np.log(c / 6) for c in counts)  # noqa: E731
    plug_in = h(4, 2) + h(3, 3) - h(3, 1, 2)
    assert mutual_information(x, y) == pytest.approx(plug_in + (2 + 2 - 3 - 1) / 12)
    three = np.array([0, 0, 0, 1, 2, 2])  # determined by the pair above: 4 - 3 + … = 2
    assert mutual_information(x, three) == pytest.approx(h(4, 2) + (2 + 3 - 3 - 1) / 12)


def test_information_is_symmetric_and_does_not_mind_classes_that_never_occur(rng):
    x, y = rng.integers(5, size=400), rng.integers(3, size=400)
    assert mutual_information(x, y) == pytest.approx(mutual_information(y, x))
    assert mutual_information(3 * x, 7 * y + 2) == pytest.approx(mutual_information(x, y))


def test_independent_codes_share_nothing_once_the_bias_is_corrected(rng):
    codes = rng.integers(32, size=(N, 2))
    plug_in_bias = 31 * 31 / (2 * N)
    assert plug_in_bias > 0.1
    assert abs(mutual_information(*codes.T)) < 0.03
    assert abs(excess_information(*codes.T, EPISODE, rng)) < 0.02


def test_slow_independent_codes_share_nothing_above_the_floor(rng):
    x, y = slow_codes(rng, 2, classes=4, stay=20).T
    floor = permutation_floor(x, y, EPISODE, rng)
    by_step = np.mean([mutual_information(x, rng.permutation(y)) for _ in range(50)])
    assert floor > 0.02 > by_step + 0.015  # single steps in any order hide the slowness
    assert abs(excess_information(x, y, EPISODE, rng)) < 0.02


def test_a_factor_that_is_a_latent_of_the_top_level_is_known_there_alone(rng):
    top, bottom = slow_codes(rng, 4, stay=2), slow_codes(rng, 8, stay=2)
    y = quantile_bins(top[:, 1])
    total = np.log(8)
    known = [excess_information(code, y, EPISODE, rng) for code in top.T]
    assert known[1] == pytest.approx(total, rel=0.03)
    assert max(excess_information(code, y, EPISODE, rng) for code in bottom.T) < 0.02
    assert entropy(y) == pytest.approx(total, rel=0.01)


def test_whole_episodes_change_places_and_none_stays():
    episode = np.repeat([5, 2, 9, 4], [3, 1, 4, 2])
    orders = set()
    for seed in range(40):
        rows = shuffle_episodes(episode, np.random.default_rng(seed))
        assert sorted(rows) == list(range(10))
        moved = episode[rows]
        pieces = moved[np.flatnonzero(np.diff(moved, prepend=-1))]
        assert len(pieces) == 4 and not (pieces == [5, 2, 9, 4]).any()
        steps = np.diff(rows)[np.diff(moved) == 0]
        assert (steps == 1).all()  # in their order
        orders.add(tuple(pieces))
    assert len(orders) >= 5
    assert shuffle_episodes(np.zeros(3, int), np.random.default_rng(0)).tolist() == [0, 1, 2]


def test_redundancy_is_1_of_equal_codes_and_the_floor_of_independent_ones(rng):
    code = slow_codes(rng, 1, classes=8, stay=2)
    found, floor = redundancy(code, code, EPISODE, rng)
    assert found == pytest.approx(1) and abs(floor) < 0.02
    found, floor = redundancy(code, slow_codes(rng, 3, classes=8, stay=2), EPISODE, rng)
    assert found == pytest.approx(floor, abs=0.02)
    assert redundancy(code, np.zeros((N, 2), int), EPISODE, rng) == (0.0, 0.0)


# --- two levels -----------------------------------------------------------------------------------


def test_the_factorisation_index_by_hand():
    top = {"ego/position": 0.9, "ego/velocity": 0.5, "world/food": 0.2, "action": 1.0}
    bottom = {"ego/position": 0.3, "ego/velocity": 0.1, "world/food": 0.8, "action": 0.0}
    assert factorisation_index(top, bottom) == pytest.approx(0.5 * ((0.7 - 0.2) + (0.8 - 0.2)))
    assert factorisation_index(bottom, top) == pytest.approx(-0.55)
    assert factorisation_index(top, top) == 0


def test_the_factorisation_index_ends_at_1_and_counts_no_negative_r_squared():
    best = {"ego/a": 1.0, "world/b": 0.0}, {"ego/a": 0.0, "world/b": 1.0}
    assert factorisation_index(*best) == 1 and factorisation_index(*best[::-1]) == -1
    bad = {"ego/a": np.array([1.0, 0.5]), "world/b": np.array([-3.0, 0.0])}
    good = {"ego/a": np.array([-9.0, 0.5]), "world/b": np.array([1.0, 1.0])}
    assert factorisation_index(bad, good).tolist() == [1.0, 0.5]


def test_importing_the_probes_needs_numpy_alone():
    code = "import sys, solutions.paper4_hdreamer.probes; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "numpy" in loaded and not loaded & {"sklearn", "scipy", "torch", "dreamkit", "course"}
