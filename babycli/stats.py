"""The formulas behind a number's uncertainty.

Owns arithmetic on plain numbers. Never knows what the numbers mean.

NumPy and SciPy are imported where they are used, so that a command which computes nothing does not wait for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.integer[Any]]

Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
Z80 = 0.8416212335729143  # 80 % quantile
KEPT_COUNTS = 6_000_000  # cells of the largest matrix of resamples that is kept: 24 MB, and four at most


def mean(values: Sequence[float]) -> float:
    """Computes the arithmetic mean. Raises ValueError for no values: they have no mean."""
    if not values:
        raise ValueError("mean of no values")
    return sum(values) / len(values)


def standard_error(values: Sequence[float]) -> float | None:
    """Computes the sample standard deviation (n - 1) over the square root of n; None for fewer than two values.

    Same as mean_stderr in lmms-eval's lmms_eval/api/metrics.py.
    """
    n = len(values)
    if n < 2:
        return None
    centre = mean(values)
    return math.sqrt(sum((x - centre) ** 2 for x in values) / (n - 1) / n)


def wilson95(share: float, n: float) -> tuple[float, float]:
    """Computes Wilson's 95 % score interval of a share of n trials (Wilson 1927, JASA 22, 209-212).

    ``share`` may come from fractional credit; the interval is then that of the same share of whole successes. An
    effective number of trials need not be whole.
    """
    return _score95(share, n)


def clustered_stderr(values: Floats, clusters: Ints) -> float | None:
    """Computes the standard error of a mean of trials that come in clusters; None for fewer than two clusters.

    Square root of C / (C - 1) * sum over clusters of (sum of deviations from the mean)^2 / n^2: the clustered formula
    of Miller 2024 (arXiv 2411.00640) with the usual correction for C clusters.
    """
    totals = _cluster_totals(values, clusters)
    return None if len(totals) < 2 else math.sqrt(_clustered_variance(totals, len(values)))


def clustered95(
    values: Floats,
    clusters: Ints,
    is_share: bool,
    bounds: tuple[float, float] = (0.0, 1.0),
    n_effective: float | None = None,
) -> tuple[float, float] | None:
    """Computes a 95 % interval of a mean of trials that come in clusters; None for fewer than two clusters.

    A trial's value lies within the bounds, which may be infinite; of a share, in [0, 1]. ``n_effective`` stands for the
    number of trials of a share where they do not count alike (strata.py).

    For a share, Wilson's interval with n over the design effect in place of n (Korn & Graubard 1998, Survey
    Methodology 24, 193-201; Dean & Pagano 2015, Journal of Survey Statistics and Methodology 3, 484-503); see
    _inflation for the design effect. It is never narrower than Wilson's interval of independent trials, and is that
    interval at 0 and 1. For another mean, mean plus and minus t standard errors, inflated in the same way.

    tests/test_stats_coverage.py shows how often either holds the truth: 93 to 97 % of the time with two exceptions that
    it names. It is less often where one of few clusters holds a quarter of the trials or more.
    """
    totals = _cluster_totals(values, clusters)
    if len(totals) < 2:
        return None
    n = len(values)
    centre = float(values.mean())
    if is_share:
        n_own = n if n_effective is None else n_effective
        return _score95(centre, n_own / _inflation(totals, n, centre * (1 - centre) / n_own))
    half = _t975(n - 1) * _mean_stderr(values, totals)
    return max(bounds[0], centre - half), min(bounds[1], centre + half)


def bootstrap95(values: Floats, seed: int) -> tuple[float, float]:
    """Computes the 95 % percentile bootstrap interval of the mean (Efron & Tibshirani 1993, chapter 13)."""
    return _percentiles95(values, _resampled_deviations(values, seed))


def sampled95(
    values: Floats, n_all: int, is_share: bool, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float] | None:
    """Computes a 95 % interval of the mean of all ``n_all`` trials, of which these were drawn without replacement.

    The variance of a share is P (1 - P) / n times (n_all - n) / (n_all - 1), of another mean S^2 / n times
    1 - n / n_all (Cochran 1977, Sampling Techniques, 3rd edition, sections 3.2 and 2.5). So a share has Wilson's
    interval with n (n_all - 1) / (n_all - n) in place of n, another mean t standard errors. A sample that is even over
    groups is at least as sure, so the interval is on the safe side. None where nothing is left to tell.
    """
    n = len(values)
    if n >= n_all or (n < 2 and not is_share):
        return None
    centre = float(values.mean())
    if is_share:
        return _score95(centre, n * (n_all - 1) / (n_all - n))
    half = _t975(n - 1) * math.sqrt(float(values.var(ddof=1)) / n * (1 - n / n_all))
    return max(bounds[0], centre - half), min(bounds[1], centre + half)


def difference95(
    first: float, of_first: tuple[float, float], second: float, of_second: tuple[float, float]
) -> tuple[float, float]:
    """Computes the 95 % interval of a difference of two means over other trials, from the intervals of each.

    Takes both for independent, and adds the squares of their arms: Newcombe 1998 (Statistics in Medicine 17, 873-890,
    method 10) of Wilson's intervals of shares, Zou and Donner 2008 (Statistics in Medicine 27, 1693-1702) of any.
    """
    difference = first - second
    below = math.hypot(first - of_first[0], of_second[1] - second)
    above = math.hypot(of_first[1] - first, second - of_second[0])
    return difference - below, difference + above


def paired95(differences: Floats, clusters: Ints | None) -> tuple[float, float]:
    """Computes a 95 % interval of a mean difference of two shares of the same trials, each difference in [-1, 1].

    Bonett & Price 2012 (Journal of Educational and Behavioral Statistics 37, 479-488), which Fagerland, Lydersen &
    Laake 2014 (Statistics in Medicine 33, 2850-2875) recommend: Wald's interval after adding one trial of +1 and one of
    -1. Clusters multiply its variance as in _inflation; from a single cluster nothing can be told, so it is [-1, 1].
    """
    stderr = paired_stderr(differences, clusters)
    if stderr is None:
        return -1.0, 1.0
    observed = float(differences.mean())
    centre = float(differences.sum()) / (len(differences) + 2)
    half = Z95 * stderr
    # The two added trials draw the centre towards 0, so an end near 1 or -1 may fall short of what was observed.
    return max(-1.0, min(observed, centre - half)), min(1.0, max(observed, centre + half))


def paired_stderr(differences: Floats, clusters: Ints | None) -> float | None:
    """Computes the standard error behind ``paired95``, never 0; None for a single cluster, which tells nothing."""
    n = len(differences)
    squares = float(differences @ differences)
    centre = float(differences.sum()) / (n + 2)
    variance = ((squares + 2) / (n + 2) - centre**2) / (n + 2)
    if clusters is not None:
        totals = _cluster_totals(differences, clusters)
        if len(totals) < 2:
            return None
        variance *= _inflation(totals, n, (squares / n - float(differences.mean()) ** 2) / n)
    return math.sqrt(variance)


@dataclass(frozen=True, slots=True)
class MeanTest:
    """The test of a mean of differences: standard error, 95 % interval, and two-sided p value against 0."""

    stderr: float
    ci95: tuple[float, float]
    p_value: float


def mean_test(differences: Floats, clusters: Ints | None, bounds: tuple[float, float] = (-1.0, 1.0)) -> MeanTest | None:
    """Tests a mean difference with Student's t; None for fewer than two trials or clusters, which tell nothing.

    A trial's difference lies within the bounds, which may be infinite. With clusters as in ``clustered95`` for
    another mean than a share.
    """
    n = len(differences)
    totals = None if clusters is None else _cluster_totals(differences, clusters)
    if n < 2 or (totals is not None and len(totals) < 2):
        return None
    stderr = _mean_stderr(differences, totals)
    centre = float(differences.mean())
    half = _t975(n - 1) * stderr
    p_value = 1.0 if centre == 0 else 0.0 if stderr == 0 else 2 * _t_below(n - 1, -abs(centre) / stderr)
    return MeanTest(stderr, (max(bounds[0], centre - half), min(bounds[1], centre + half)), p_value)


def paired_bootstrap(differences: Floats, seed: int, largest: float = 1.0) -> tuple[tuple[float, float], float]:
    """Computes the 95 % percentile interval and two-sided p value of a mean paired difference.

    ``largest`` is the largest possible difference: numbers that differ by less than a millionth of it count as equal.

    p is the share of resamples of the differences less their mean whose own mean lies as far from 0 as the observed
    one, itself counted: (1 + count) / (B + 1) (Davison & Hinkley 1997, section 4.4).
    """
    deviations = _resampled_deviations(differences, seed)
    # Resampled means are sums in single precision: a mean that ties with the observed one must count as a tie.
    as_far = int((abs(deviations) >= abs(float(differences.mean())) - 1e-6 * largest).sum())
    return _percentiles95(differences, deviations), (1 + as_far) / (len(deviations) + 1)


def by_cluster(values: Floats, clusters: Ints) -> Floats:
    """Computes a number for each cluster, with the same mean and the clustered variance, for a bootstrap to draw from.

    It is the mean plus the cluster's share of the deviations from it. A bootstrap of single trials would treat the
    trials of a cluster as independent.
    """
    totals = _cluster_totals(values, clusters)
    of_clusters: Floats = values.mean() + totals * len(totals) / len(values)
    return of_clusters


def mcnemar(only_first: int, only_second: int) -> float:
    """Computes the exact two-sided p value of McNemar's test (1947, Psychometrika 12, 153-157).

    The counts are those of the trials that only the first, and only the second, got right.

    Twice the binomial probability of at most the smaller count, as both are equally likely under the null.
    """
    from scipy.special import bdtr

    smaller, differing = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(smaller, differing, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p values for their number, in the order given (Holm 1979, Scand. J. Statist. 6, 65-70)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def detectable_difference(stderr: float) -> float:
    """Computes the smallest true difference that a two-sided test at 5 % finds with 80 % power.

    It is (z.975 + z.80) standard errors.
    """
    return (Z95 + Z80) * stderr


def _score95(share: float, n: float) -> tuple[float, float]:
    """Computes Wilson's interval; n need not be whole, as an effective number of trials is not."""
    z2 = Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # Rounding may carry an end at 0 or 1 past it, or past the share itself.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def _mean_stderr(values: Floats, totals: Floats | None) -> float:
    """Computes the standard error of a mean; with the totals of clusters, the variance is multiplied by _inflation."""
    n = len(values)
    plain = float(values.var(ddof=1)) / n
    return math.sqrt(plain if totals is None else plain * _inflation(totals, n, plain))


def _cluster_totals(values: Floats, clusters: Ints) -> Floats:
    """Sums each cluster's deviations from the mean of all trials. Codes that no trial has are not clusters."""
    import numpy as np

    totals: Floats = np.bincount(clusters, weights=values - values.mean()).astype(np.float64)  # the stubs say integers
    return totals[np.bincount(clusters) > 0]


def _clustered_variance(totals: Floats, n: int) -> float:
    """Computes the variance of the mean of n trials from their clusters' totals."""
    count = len(totals)
    return count / (count - 1) * float(totals @ totals) / n**2


def _degrees_of_freedom(totals: Floats) -> float:
    """Computes the degrees of freedom of the clustered variance: 2C / (k - 1), k the totals' kurtosis; at most C - 1.

    It is Satterthwaite's 2 * mean^2 / variance (1946, Biometrics Bulletin 2, 110-114) of C squared totals. If a few
    clusters are large or hold most of the successes, the variance is less certain than the number of clusters says.
    """
    count = len(totals)
    squares = totals**2
    sum_of_squares = float(squares.sum())
    if sum_of_squares == 0.0:
        return count - 1
    parts = squares / sum_of_squares
    excess = count * float(parts @ parts) - 1  # k - 1, never below 0 but for rounding
    return count - 1 if excess * (count - 1) <= 2 * count else 2 * count / excess


def _inflation(totals: Floats, n: int, independent: float) -> float:
    """Computes the factor by which clusters multiply ``independent``, the variance of the mean of independent trials.

    1 + max(0, design effect - 1) * (t / z)^2, where the design effect is the clustered variance over ``independent``.
    Only the part that clusters add is estimated from few clusters and needs t. The variance of independent trials
    follows from the mean, and the result is never below it: a design effect below 1 is taken for chance, as is one
    that cannot be estimated.
    """
    if independent <= 0.0:
        return 1.0
    added = max(0.0, _clustered_variance(totals, n) / independent - 1)
    return 1 + added * (_t975(_degrees_of_freedom(totals)) / Z95) ** 2


def _t975(degrees: float) -> float:
    """Computes the 97.5 % quantile of Student's t distribution (scipy.stats would take a second to import)."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def _t_below(degrees: float, value: float) -> float:
    """Computes the probability that Student's t is at most a value."""
    from scipy.special import stdtr

    return float(stdtr(degrees, value))


def _resampled_deviations(values: Floats, seed: int) -> NDArray[np.floating[Any]]:
    """Computes the means of resamples of the values, less the mean of the values.

    An end of the interval has a Monte Carlo error of 3 % of a standard error with 10,000 resamples and 6 % with 2,000.
    Up to 3,000 values take less than a millisecond once their counts are made; more are drawn anew each time.
    """
    import numpy as np

    n = len(values)
    deviations = values - values.mean()
    if _resamples(n) * n <= KEPT_COUNTS:
        # Not @, whose threads make it take ten times as long where other processes use the cores.
        sums: NDArray[np.floating[Any]] = np.einsum("ij,j->i", _counts(n, seed), deviations.astype(np.float32))
        return sums / np.float32(n)
    return np.array([deviations[drawn].mean() for drawn in _draws(n, seed)])


def _resamples(n: int) -> int:
    """Gives the number of resamples of n values: 10,000 or, so that counts can be kept, fewer; at least 2,000."""
    return max(2_000, min(10_000, KEPT_COUNTS // n))


def _draws(n: int, seed: int) -> Iterator[Ints]:
    """Draws the resamples: for each, the indices of the n values that it holds."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for _ in range(_resamples(n)):
        yield rng.integers(n, size=n)


@lru_cache(maxsize=4)
def _counts(n: int, seed: int) -> NDArray[np.float32]:
    """Counts how often each resample holds each value. All arrays of one length share the counts, which saves time."""
    import numpy as np

    counts = np.empty((_resamples(n), n), np.float32)  # single precision, as the product with it waits for memory
    for row, drawn in zip(counts, _draws(n, seed), strict=True):
        row[:] = np.bincount(drawn, minlength=n)
    return counts


def _percentiles95(values: Floats, deviations: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Computes the 2.5 and 97.5 % percentiles of resampled means; they always enclose the mean of the values."""
    import numpy as np

    centre = float(values.mean())
    low, high = np.quantile(deviations, [0.025, 0.975]).tolist()
    # Single precision must not carry an end past the smallest or the largest value.
    return max(float(values.min()), centre + min(0.0, low)), min(float(values.max()), centre + max(0.0, high))
