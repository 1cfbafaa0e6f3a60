"""The formulas of likeness between models and people: worked by hand, by SciPy, and the fast way against the slow."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import entropy, pearsonr, spearmanr

from babycli import likeness
from babycli.likeness import Choices, Floats, divergences, fit, likenesses, pearson, spearman, uniform_divergences


def choices(people: object, scores: object, right: object = 0) -> Choices:
    """Trials of equally many options; ``right`` is the place of the right one."""
    shares, of_model = np.array(people, dtype=float), np.array(scores, dtype=float)
    places = np.broadcast_to(np.array(right), len(shares))
    is_right = np.arange(shares.shape[1]) == places[:, None]
    return Choices(shares, of_model, np.ones(shares.shape, dtype=bool), is_right)


def drawn(seed: int, n: int, k: int) -> Choices:
    rng = np.random.default_rng(seed)
    people = rng.dirichlet(np.ones(k), n)
    return choices(people, np.log(people + 0.1) / 2 + rng.normal(size=(n, k)), rng.integers(k, size=n))


def some(of: Choices, places: likeness.Ints) -> Choices:
    return Choices(of.people[places], of.scores[places], of.is_option[places], of.is_right[places])


def alone(of: Choices, clusters: likeness.Ints | None = None) -> likeness.Likeness:
    (found,) = likenesses([of], [np.arange(of.n)], clusters, of.n, seed=0)
    return found


def test_a_matrix_worked_by_hand() -> None:
    """Both models like the first option by 1, so q = e^beta / (e^beta + 1), best where it is people's mean, 3/4.

    beta = ln 3; KL of the first trial .9 ln(.9/.75) + .1 ln(.1/.25) = .16409 - .09163 = .07246,
    of the second .6 ln(.6/.75) + .4 ln(.4/.25) = -.13389 + .18800 = .05412; the mean is .06329.
    Uniform: .9 ln 1.8 + .1 ln .2 = .36806 and .6 ln 1.2 + .4 ln .8 = .02014; the mean is .19410.
    """
    of = choices([[0.9, 0.1], [0.6, 0.4]], [[1, 0], [-4, -5]])
    found = fit(of)
    assert found.temperature == pytest.approx(math.log(3), abs=1e-9)
    assert divergences(of, math.log(3)) == pytest.approx([0.07246, 0.05412], abs=1e-5)
    assert found.divergence == pytest.approx(0.06329, abs=1e-5)
    assert uniform_divergences(of) == pytest.approx([0.36806, 0.02014], abs=1e-5)
    assert found.bound == ""


def test_the_divergence_is_that_of_the_model_from_people() -> None:
    """The other direction would be infinite here: nobody chose the second option. 1 ln(1 / (3/4)) = ln(4/3)."""
    of = choices([[1.0, 0.0]], [[math.log(3), 0.0]])
    assert divergences(of, 1.0) == pytest.approx([math.log(4 / 3)])


@pytest.mark.parametrize(("seed", "n", "k"), [(1, 12, 4), (2, 40, 2), (3, 25, 3), (4, 500, 5)])
def test_the_formulas_agree_with_scipy(seed: int, n: int, k: int) -> None:
    of = drawn(seed, n, k)

    def mean_kl(beta: float) -> float:
        return float(entropy(of.people, softmax(beta * of.scores, axis=1), axis=1).mean())

    best = minimize_scalar(mean_kl, bounds=(0.025, 40), method="bounded", options={"xatol": 1e-11})
    found = fit(of)
    assert found.temperature == pytest.approx(best.x, rel=1e-5)
    assert found.divergence == pytest.approx(best.fun, abs=1e-12)
    assert float(divergences(of, 1.0).mean()) == pytest.approx(mean_kl(1.0))
    assert float(uniform_divergences(of).mean()) == pytest.approx(mean_kl(0.0))
    alike = alone(of)
    q = softmax(best.x * of.scores, axis=1)
    of_model, of_people = ((each * of.is_right).sum(axis=1) for each in (q, of.people))
    assert alike.pearson.value == pytest.approx(pearsonr(of_model, of_people)[0], abs=1e-6)
    assert alike.spearman.value == pytest.approx(spearmanr(of_model, of_people)[0], abs=1e-9)


def test_ranks_share_ties_as_scipy_has_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(5, size=(2, 30)).astype(float)
        assert spearman(x, y) == pytest.approx(spearmanr(x, y)[0])
        assert pearson(x, y) == pytest.approx(pearsonr(x, y)[0])


def test_resamples_agree_with_fits_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid of temperatures and its parabola against the fit of each resample; ranks against SciPy's."""
    monkeypatch.setattr(likeness, "RESAMPLES", 40)
    of = drawn(5, 30, 4)
    counts = np.concatenate(list(likeness._draws(30, 0, 30)))
    summed = likeness._by_unit(likeness._on_grid(of), np.arange(30), 30)
    fast, uniform = likeness._least(counts @ summed)
    of_people, of_model = (likeness._ranks(side, counts) for side in (of.people[:, 0], of.scores[:, 0]))
    of_ranks = likeness._pearsons(of_people, of_model, counts)
    for i, count in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(30), count)
        one = some(of, again)
        assert fast[i] == pytest.approx(fit(one).divergence, abs=1e-4)
        assert uniform[i] == pytest.approx(uniform_divergences(one).mean())
        assert of_ranks[i] == pytest.approx(spearmanr(one.people[:, 0], one.scores[:, 0])[0])


def test_temperatures_stay_within_those_of_devbench() -> None:
    """Who is sure and right would be fitted without end, who is sure and wrong would get a negative one."""
    sure, wrong = (choices([[1.0, 0.0]] * 4, [[gap, 0.0]] * 4) for gap in (1.0, -1.0))
    assert (fit(sure).temperature, fit(sure).bound) == (40.0, ">=")
    assert (fit(wrong).temperature, fit(wrong).bound) == (0.025, "<=")


def test_a_model_that_likes_all_alike_gets_what_uniform_gets() -> None:
    people = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    found = alone(choices(people, np.repeat(np.arange(50.0)[:, None], 3, axis=1)))
    assert found.fit.temperature is None
    assert found.fit.divergence == pytest.approx(found.uniform)
    assert found.pearson.value is None
    assert found.spearman.value is None
    assert found.model_right == pytest.approx(1 / 3)
    assert not found.is_beyond_uniform


def test_trials_with_few_options_are_not_alike_for_that_alone() -> None:
    """Two and four options: without taking away 1/k, a model that guesses correlates with people who guess."""
    is_option = np.array([[True, True, False, False], [True] * 4] * 20)
    people = np.where(is_option, 1 / is_option.sum(axis=1, keepdims=True), 0.0)
    jitter = np.random.default_rng(0).normal(0, 0.01, 40)
    people[:, 0] += jitter
    people[:, 1] -= jitter
    is_right = np.zeros_like(is_option)
    is_right[:, 0] = True
    found = alone(Choices(people, np.full(is_option.shape, 3.0), is_option, is_right))
    assert found.pearson.value is None
    padded = np.where(is_option, 3.0, 1e9)  # what stands where no option is counts for nothing
    assert alone(Choices(people, padded, is_option, is_right)).fit == found.fit


def test_clusters_widen_intervals() -> None:
    """Ten copies of each of 12 trials are 12 clusters, and tell no more than the 12."""
    few = drawn(7, 12, 3)
    many = some(few, np.repeat(np.arange(12), 10))
    clusters = np.repeat(np.arange(12), 10)
    independent, clustered, of_few = alone(many), alone(many, clusters), alone(few)
    assert clustered.ci95 == pytest.approx(of_few.ci95)
    assert (clustered.n_clusters, independent.n_clusters) == (12, None)
    assert _width(clustered.ci95) > 2 * _width(independent.ci95)


def _width(interval: likeness.Interval | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


@pytest.mark.long
def test_intervals_hold_the_truth() -> None:
    """200 samples of 60 trials of a world in which a model is as it is: the KL of all is in about 95 % of intervals."""
    world = drawn(11, 5_000, 3)
    truth = fit(world).divergence
    rng = np.random.default_rng(0)
    n_held = 0
    for _ in range(200):
        of = rng.integers(world.n, size=60)
        found = alone(some(world, of))
        assert found.ci95 is not None
        n_held += found.ci95[0] <= truth <= found.ci95[1]
    assert 178 <= n_held <= 198


def test_one_trial_or_one_cluster_has_no_interval() -> None:
    found = alone(choices([[0.5, 0.5]], [[1.0, 0.0]]))
    assert (found.ci95, found.pearson.value, found.nearest_share) == (None, None, None)
    found = alone(drawn(1, 20, 2), np.zeros(20, dtype=np.intp))
    assert (found.ci95, found.n_clusters) == (None, 1)


def test_the_nearest_of_groups_is_counted_in_the_resamples() -> None:
    of = drawn(3, 60, 3)
    near = Choices(softmax(of.scores, axis=1), of.scores, of.is_option, of.is_right)
    groups, places = [of, near, near], [np.arange(60)] * 3
    shares = [each.nearest_share for each in likenesses(groups, places, None, 60, seed=0)]
    assert shares == [0.0, 1.0, 1.0]  # equal groups are nearest together


def test_the_same_seed_gives_the_same() -> None:
    assert alone(drawn(1, 30, 4)) == alone(drawn(1, 30, 4))


def test_scores_far_apart_are_no_nan() -> None:
    """exp(40 x 1000) is beyond any float, and exp(-40 x 1000) is 0."""
    of = choices([[0.5, 0.5], [0.2, 0.8]], [[1000.0, 0.0], [0.0, 1000.0]])
    found: Floats = divergences(of, 40.0)
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(0.5 * 40_000 - math.log(2))


def test_scipy_stats_is_not_waited_for() -> None:
    code = """
import sys, numpy as np
from babycli.likeness import Choices, likenesses
ones = np.ones((9, 2), dtype=bool)
likenesses([Choices(np.full((9, 2), .5), np.random.rand(9, 2), ones, ones)], [np.arange(9)], None, 9, 0)
sys.exit('scipy.stats' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
