"""The formulas, against values worked by hand or published."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babycli.stats import (
    Z80,
    Z95,
    bootstrap95,
    clustered95,
    clustered_stderr,
    detectable_difference,
    holm,
    mcnemar,
    mean,
    paired95,
    paired_bootstrap,
    standard_error,
    wilson95,
)

if TYPE_CHECKING:
    from babycli.stats import Floats, Ints

# SciPy and statsmodels, which some tests compare with, come with the dev extra.


def trials_in_clusters(credits: tuple[float, ...] = (0.0, 1.0)) -> st.SearchStrategy[tuple[Floats, Ints]]:
    """Credits of 2 to 60 trials and the codes of their clusters, of which there are at least two."""
    trial = st.tuples(st.sampled_from(credits), st.integers(0, 7))
    ends = st.tuples(st.sampled_from(credits), st.sampled_from(credits))
    return st.tuples(st.lists(trial, max_size=58), ends).map(
        lambda drawn: (
            np.array([value for value, _ in drawn[0]] + list(drawn[1])),
            np.array([code for _, code in drawn[0]] + [8, 9]),
        )
    )


def test_import_does_not_wait_for_numpy() -> None:
    code = "import sys, babycli.stats; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_intervals_do_not_wait_for_scipy_stats() -> None:
    code = """
import sys, numpy as np, babycli.stats as stats
values, clusters = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0, 0, 1, 2])
stats.clustered95(values, clusters, True), stats.clustered95(values, clusters, False), stats.bootstrap95(values, 0)
stats.paired95(values, clusters), stats.paired_bootstrap(values, 0)
sys.exit('scipy.stats' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean([])


def test_standard_error_is_that_of_the_original_vtwt_run() -> None:
    # 22 of 40 right: the original logs acc_stderr 0.07966275068156915 for its 40-row run.
    assert standard_error([1.0] * 22 + [0.0] * 18) == pytest.approx(0.07966275068156915, abs=1e-15)


def test_standard_error_needs_two_values() -> None:
    assert standard_error([1.0]) is None


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [
        (0.5, 10, 0.2366, 0.7634),  # Agresti & Coull 1998 tabulate Wilson's interval for 5 of 10
        (0.0, 10, 0.0, 0.2775),
        (1.0, 10, 0.7225, 1.0),
        (15 / 148, 148, 0.0624, 0.1605),  # Newcombe 1998, table I
    ],
)
def test_wilson_interval(share: float, n: int, low: float, high: float) -> None:
    assert wilson95(share, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_contains_every_share() -> None:
    for n in range(1, 60):
        for k in range(n + 1):
            low, high = wilson95(k / n, n)
            assert 0.0 <= low <= k / n <= high <= 1.0
            assert not math.isnan(low + high)


def test_wilson_interval_agrees_with_statsmodels_on_fractional_credit() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for count, n in ((0, 7), (3.5, 10), (29.25, 30), (365, 365)):
        assert wilson95(count / n, n) == pytest.approx(proportion.proportion_confint(count, n, method="wilson"))


def test_clustered_standard_error_by_hand() -> None:
    # Mean 1/2; deviations sum to 1 in the first cluster, -1 in the second: sqrt(2/1 * (1 + 1) / 16) = 1/2.
    assert clustered_stderr(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])) == 0.5
    # Clusters that are alike tell of no spread between clusters.
    assert clustered_stderr(np.array([1.0, 0.0, 0.0, 1.0]), np.array([0, 0, 1, 1])) == 0.0


def test_clustered_standard_error_of_single_trials_is_the_plain_one() -> None:
    values = [1.0] * 22 + [0.0] * 18
    assert clustered_stderr(np.array(values), np.arange(40)) == pytest.approx(standard_error(values))


@pytest.mark.parametrize("seed", range(5))
def test_clustered_standard_error_agrees_with_statsmodels(seed: int) -> None:
    api = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(seed)
    clusters = np.concatenate([np.arange(12), rng.integers(12, size=88)])
    values = rng.choice([0.0, 0.5, 1.0], size=100)
    fit = api.OLS(values, np.ones(100)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert clustered_stderr(values, clusters) == pytest.approx(fit.bse[0], rel=1e-12)


def test_clusters_without_trials_do_not_count() -> None:
    values = np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    full, gaps = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 5, 5, 9])
    assert clustered_stderr(values, full) == clustered_stderr(values, gaps)
    assert clustered95(values, full, True) == clustered95(values, gaps, True)


def test_one_cluster_has_no_clustered_interval() -> None:
    values, clusters = np.array([1.0, 0.0, 1.0]), np.zeros(3, np.int64)
    assert clustered_stderr(values, clusters) is None
    assert clustered95(values, clusters, True) is None
    assert clustered95(values, clusters, False) is None
    assert paired95(values, clusters) == (-1.0, 1.0)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_clustered_interval_of_none_or_all_right_is_wilsons(share: float) -> None:
    assert clustered95(np.full(30, share), np.repeat(np.arange(10), 3), True) == wilson95(share, 30)


def test_clusters_that_differ_less_than_chance_do_not_narrow_the_interval() -> None:
    # One right of two in each cluster: the clustered variance is 0.
    assert clustered95(np.tile([1.0, 0.0], 20), np.repeat(np.arange(20), 2), True) == wilson95(0.5, 40)


def test_clustered_interval_by_hand() -> None:
    # Four clusters of five, two all right and two all wrong. Their totals are +-2.5, so the clustered variance is
    # 4/3 * 25 / 400 = 1/12, that of 20 trials 1/80 and the design effect 20/3. Totals of one size have kurtosis 1, so
    # t has C - 1 = 3 degrees of freedom: t = 3.182446. Then n over 1 + 17/3 * (3.182446 / 1.959964)^2 = 15.9401.
    values, clusters = np.repeat([1.0, 0.0, 1.0, 0.0], 5), np.repeat(np.arange(4), 5)
    interval = clustered95(values, clusters, True)
    z2, n = Z95**2, 20 / 15.9401
    half = Z95 / (1 + z2 / n) * math.sqrt(0.25 / n + z2 / (4 * n * n))
    assert interval == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)
    # The mean and 3.182446 * sqrt(1/12) = 0.919, clipped.
    assert clustered95(values, clusters, False) == (0.0, 1.0)


def test_few_clusters_that_vary_most_cost_degrees_of_freedom() -> None:
    # Totals of 20 clusters of ten: one is 0.95 * 10, nineteen are -0.05 * 10. Shares of their squares: 0.95 and
    # 0.05 / 19 each, so k = 20 * (0.9025 + 0.0025 / 19) = 18.0526 and 2C / (k - 1) = 2.34568 degrees of freedom.
    special = pytest.importorskip("scipy.special")
    values, clusters = np.repeat([1.0] + [0.0] * 19, 10), np.repeat(np.arange(20), 10)
    stderr = clustered_stderr(values, clusters)
    assert stderr == pytest.approx(0.05)
    # Of independent trials the variance would be 0.0475 / 199; what clusters add to it is 0.0025 less that, and takes t
    # with so few degrees of freedom in place of 1.96.
    added = (0.0025 - 0.0475 / 199) * (special.stdtrit(2.34568, 0.975) / 1.959964) ** 2
    half = special.stdtrit(199, 0.975) * math.sqrt(0.0475 / 199 + added)
    assert clustered95(values, clusters, False) == pytest.approx((0.0, 0.05 + half), abs=1e-5)


def test_one_success_is_not_taken_for_a_cluster_effect() -> None:
    # The design effect of a single success is about 1, so that the interval hardly exceeds Wilson's.
    values, clusters = np.zeros(365), np.arange(365) % 80
    values[0] = 1.0
    assert clustered95(values, clusters, True) == pytest.approx(wilson95(1 / 365, 365), rel=0.05)


@settings(deadline=None)  # the first example imports what the function needs
@given(trials_in_clusters((0.0, 0.25, 1 / 3, 0.5, 1.0)))
def test_clustered_interval_contains_wilsons_and_the_mean(trials: tuple[Floats, Ints]) -> None:
    values, clusters = trials
    centre = float(values.mean())
    shares, means = clustered95(values, clusters, True), clustered95(values, clusters, False)
    narrowest = wilson95(centre, len(values))
    assert shares is not None
    assert means is not None
    assert 0.0 <= shares[0] <= narrowest[0] + 1e-12
    assert narrowest[1] - 1e-12 <= shares[1] <= 1.0
    assert 0.0 <= means[0] <= centre <= means[1] <= 1.0


@settings(deadline=None)  # the first example imports what the function needs
@given(trials_in_clusters())
def test_clustered_interval_mirrors_wrong_for_right(trials: tuple[Floats, Ints]) -> None:
    values, clusters = trials
    right, wrong = clustered95(values, clusters, True), clustered95(1 - values, clusters, True)
    assert right is not None
    assert wrong is not None
    assert right == pytest.approx((1 - wrong[1], 1 - wrong[0]), abs=1e-9)


@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (0.5, 4.5)])
def test_bootstrap_agrees_with_scipy(a: float, b: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).beta(a, b, 294)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
    # An end of 10,000 resamples has a Monte Carlo error of 0.027 standard errors, so 0.15 is four of a difference.
    assert bootstrap95(values, 0) == pytest.approx(tuple(theirs), abs=0.15 * float(values.std()) / math.sqrt(294))


def test_bootstrap_of_many_values_agrees_with_the_normal_interval() -> None:
    # Too many values for their counts to be kept.
    values = np.random.default_rng(1).random(3_500)
    half = Z95 * float(values.std()) / math.sqrt(3_500)
    centre = float(values.mean())
    assert bootstrap95(values, 0) == pytest.approx((centre - half, centre + half), abs=0.25 * half / Z95)
    assert bootstrap95(values, 0) == bootstrap95(values, 0)


def test_bootstrap_depends_on_its_seed_alone() -> None:
    values = np.random.default_rng(1).random(50)
    first = bootstrap95(values, 0)
    assert bootstrap95(values, 1) != first
    assert bootstrap95(values, 0) == first


@settings(deadline=None, max_examples=40)  # the first example imports what the function needs
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 1))
def test_bootstrap_lies_within_the_values_and_contains_their_mean(values: list[float], seed: int) -> None:
    low, high = bootstrap95(np.array(values), seed)
    assert min(values) <= low <= float(np.mean(values)) + 1e-15
    assert float(np.mean(values)) - 1e-15 <= high <= max(values)


def test_bootstrap_of_equal_values_has_no_width() -> None:
    assert bootstrap95(np.full(294, 0.3), 0) == pytest.approx((0.3, 0.3), abs=1e-15)


def test_paired_interval_by_hand() -> None:
    # 8 trials only the first gets right, 2 only the second, of 20. With one of each added: (9 - 3) / 22 = 0.272727,
    # variance ((9 + 3) / 22 - 0.272727^2) / 22 = 0.0214124.
    differences = np.array([1.0] * 8 + [-1.0] * 2 + [0.0] * 10)
    half = 1.959964 * math.sqrt(0.0214124)
    assert paired95(differences, None) == pytest.approx((0.272727 - half, 0.272727 + half), abs=1e-6)


@pytest.mark.parametrize("difference", [-1.0, 0.0, 1.0])
def test_paired_interval_of_one_difference_everywhere(difference: float) -> None:
    low, high = paired95(np.full(30, difference), None)
    assert -1.0 <= low <= difference <= high <= 1.0
    assert high - low > 0.05
    assert paired95(np.full(30, difference), np.repeat(np.arange(10), 3)) == (low, high)


@settings(deadline=None)  # the first example imports what the function needs
@given(trials_in_clusters((-1.0, -0.5, 0.0, 0.25, 1.0)))
def test_paired_interval_contains_the_difference_and_clusters_never_narrow_it(trials: tuple[Floats, Ints]) -> None:
    differences, clusters = trials
    plain, clustered = paired95(differences, None), paired95(differences, clusters)
    assert -1.0 <= clustered[0] <= plain[0] <= float(differences.mean()) <= plain[1] <= clustered[1] <= 1.0


@settings(deadline=None)  # the first example imports what the function needs
@given(trials_in_clusters((-1.0, 0.0, 1.0)))
def test_paired_interval_mirrors_second_for_first(trials: tuple[Floats, Ints]) -> None:
    differences, clusters = trials
    low, high = paired95(differences, clusters)
    assert paired95(-differences, clusters) == pytest.approx((-high, -low))


def test_paired_bootstrap_finds_a_difference_and_its_absence() -> None:
    rng = np.random.default_rng(1)
    differences = rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], size=300)
    clear = np.clip(differences + 0.5, -1, 1)
    (low, high), p = paired_bootstrap(clear, 0)
    assert low > 0
    assert p == 1 / 10_001  # no resample lies that far away
    assert (low, high) == bootstrap95(clear, 0)
    even = np.concatenate([differences, -differences])
    (low, high), p = paired_bootstrap(even, 0)
    assert low < 0 < high
    assert p == 1.0


def test_paired_bootstrap_p_is_near_that_of_the_normal_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    differences = np.random.default_rng(4).normal(0.05, 0.3, 294)
    z = float(differences.mean()) / (float(differences.std()) / math.sqrt(294))
    _, p = paired_bootstrap(differences, 0)
    # Ten thousand resamples estimate p to within 0.005 (one standard error) at most.
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.01)


def test_paired_bootstrap_counts_ties() -> None:
    # The mean is 1/3. A resample lies as far from it only with a mean of 0, which takes the third trial three times.
    _, p = paired_bootstrap(np.array([0.5, 0.5, 0.0]), 0)
    assert p == pytest.approx(1 / 27, abs=0.008)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (8, 2), (2, 8), (40, 40), (61, 30)])
def test_mcnemar_agrees_with_statsmodels(first: int, second: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    theirs = 1.0 if first == second == 0 else tables.mcnemar([[5, first], [second, 7]], exact=True).pvalue
    assert mcnemar(first, second) == pytest.approx(theirs)


def test_mcnemar_by_hand() -> None:
    pytest.importorskip("scipy.stats")
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(1, 7) == pytest.approx(2 * (1 + 8) / 256)
    assert mcnemar(0, 0) == 1.0


def test_holm_by_hand() -> None:
    # Smallest first: 4 * 0.005, 3 * 0.01, 2 * 0.03, then 0.04, which may not fall below its predecessor.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(deadline=None, max_examples=25)  # theirs takes 20 ms
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    assert holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1].tolist())


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_raises_p_values_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(raw <= corrected <= 1.0 for raw, corrected in zip(p_values, adjusted, strict=True))
    assert [pair[1] for pair in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)


def test_detectable_difference_is_found_four_times_in_five() -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    found = power.normal_power(detectable_difference(0.02) / 0.02, nobs=1, alpha=0.05, sigma=1.0)
    assert found == pytest.approx(0.8, abs=1e-5)  # theirs counts the 2e-7 of differences found in the wrong direction


def test_detectable_difference_by_hand() -> None:
    assert detectable_difference(0.01) == pytest.approx(0.0280159, abs=1e-7)
    assert pytest.approx(0.8) == 0.5 * (1 + math.erf(Z80 / math.sqrt(2)))
