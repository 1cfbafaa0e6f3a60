"""Tests of mean differences, against SciPy and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from babycli.stats import clustered_stderr, mean_test, paired_stderr


def test_a_mean_of_differences_is_tested_as_scipy_does() -> None:
    stats = pytest.importorskip("scipy.stats")
    differences = np.random.default_rng(4).normal(0.03, 0.2, 60)
    expected = stats.ttest_1samp(differences, 0.0)
    found = mean_test(differences, None)
    assert found is not None
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.95)
    assert found.ci95 == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_clusters_make_a_mean_of_differences_less_sure() -> None:
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(20), 15)
    differences = rng.normal(0.05, 0.1, 300) + rng.normal(0, 0.1, 20)[clusters]
    alone, clustered = mean_test(differences, None), mean_test(differences, clusters)
    assert alone is not None
    assert clustered is not None
    # Above that of a regression by what few clusters leave open: t of 19 degrees or fewer over z is 1.07 or more.
    of_regression = clustered_stderr(differences, clusters)
    assert of_regression is not None
    assert of_regression < clustered.stderr < 1.2 * of_regression
    assert clustered.stderr > 2 * alone.stderr
    assert clustered.p_value > alone.p_value


def test_what_tells_nothing_is_not_tested() -> None:
    assert mean_test(np.array([0.5]), None) is None
    assert mean_test(np.array([0.5, 0.1]), np.array([0, 0])) is None
    assert paired_stderr(np.array([1.0, 0.0]), np.array([0, 0])) is None


def test_equal_models_do_not_differ() -> None:
    found = mean_test(np.zeros(50), None)
    assert found is not None
    assert (found.p_value, found.ci95) == (1.0, (0.0, 0.0))


@pytest.mark.parametrize("n_clusters", [5, 10, 25, 81])
def test_a_mean_of_clustered_differences_is_covered(n_clusters: int) -> None:
    """No true difference, half of the variance between clusters of a few trials: 2,000 seeded simulations."""
    rng = np.random.default_rng(n_clusters)
    sizes = rng.integers(2, 6, n_clusters)
    clusters = np.repeat(np.arange(n_clusters), sizes)
    covered = false_alarms = 0
    for _ in range(2000):
        differences = rng.normal(0, 0.1, len(clusters)) + rng.normal(0, 0.1, n_clusters)[clusters]
        found = mean_test(differences.clip(-1, 1), clusters)
        assert found is not None
        covered += found.ci95[0] <= 0 <= found.ci95[1]
        false_alarms += found.p_value < 0.05
    assert (0.92 if n_clusters == 5 else 0.93) <= covered / 2000 <= 0.97  # five clusters tell little
    assert false_alarms == 2000 - covered
