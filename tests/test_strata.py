"""The mean over groups' means and its uncertainty, against formulas of textbooks, SciPy, and simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babycli.stats import clustered95, clustered_stderr, wilson95
from babycli.strata import (
    effective_n,
    linearized,
    mean_of_groups,
    plain_mean,
    sampled_stratified95,
    stratified95,
    stratified_stderr,
)

VALUES = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5])
GROUPS = ["b", "b", "b", "a", "a", "c", "c", "c"]


def test_every_group_counts_alike() -> None:
    assert mean_of_groups(VALUES.tolist(), GROUPS) == pytest.approx((1 / 2 + 2 / 3 + 1 / 2) / 3)
    assert effective_n(GROUPS) == pytest.approx(9 / (1 / 2 + 1 / 3 + 1 / 3))
    assert effective_n(["a"] * 5) == pytest.approx(5)


def test_numbers_are_added_one_after_the_other_in_every_python() -> None:
    assert plain_mean([0.1] * 10) == 0.09999999999999999
    assert mean_of_groups([0.1] * 10, ["a"] * 10) == 0.09999999999999999


def test_the_standard_error_is_that_of_a_stratified_mean() -> None:
    """Cochran 1977, section 5.6: the sum over strata of W^2 s^2 / n, here with W = 1/3 each."""
    variances = [np.var(VALUES[np.array(GROUPS) == group], ddof=1) / GROUPS.count(group) for group in "abc"]
    assert stratified_stderr(VALUES, GROUPS) == pytest.approx(math.sqrt(sum(variances) / 9))
    assert stratified_stderr(VALUES[:1], GROUPS[:1]) is None
    assert stratified_stderr(VALUES, ["a"] * 8) == pytest.approx(VALUES.std(ddof=1) / math.sqrt(8))


def test_groups_of_one_trial_are_taken_together() -> None:
    values, groups = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0]), ["a", "b", "c", "d", "d", "d"]
    single, other = values[:3] / 4, values[3:] / 12
    expected = sum(len(of) / (len(of) - 1) * ((of - of.mean()) ** 2).sum() for of in (single, other))
    assert stratified_stderr(values, groups) == pytest.approx(math.sqrt(expected))
    # A lone one goes with the smallest other group; the mean of both is weighted, 1/2 * 1 + 1/6 * 2.
    weights = np.array([1 / 2, 1 / 6, 1 / 6, 1 / 6])
    residuals = weights * (values[2:] - (1 / 2 + 2 / 6))
    assert stratified_stderr(values[2:], groups[2:]) == pytest.approx(math.sqrt(4 / 3 * residuals @ residuals))
    assert stratified_stderr(np.ones(4), groups[2:]) == pytest.approx(0)


Numbers = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("abcd")), min_size=2, max_size=40)


@given(Numbers)
@settings(max_examples=200, deadline=None)
def test_linearized_numbers_have_the_mean_and_the_interval_holds_it(drawn: Any) -> None:
    values, groups = np.array([value for value, _ in drawn]), [group for _, group in drawn]
    centre = mean_of_groups(values.tolist(), groups)
    assert linearized(values, groups).mean() == pytest.approx(centre, abs=1e-12)
    interval = stratified95(values, groups, None, True)
    assert interval is not None
    low, high = interval
    assert 0 <= low <= centre + 1e-12
    assert centre - 1e-12 <= high <= 1
    # It is never narrower than Wilson's of as many trials of one kind, and n of groups is never above that of trials.
    plain_low, plain_high = wilson95(centre, len(values))
    assert (low, -high) <= (plain_low + 1e-9, -plain_high + 1e-9)
    assert effective_n(groups) <= len(values) + 1e-9


def test_equal_groups_are_a_plain_mean() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random(60) < 0.4).astype(float)
    groups = [f"g{i % 3}" for i in range(60)]
    clusters = np.array([i // 4 for i in range(60)])
    assert mean_of_groups(values.tolist(), groups) == pytest.approx(values.mean())
    # Residuals are from the groups' own means, so that only about as much is left as without groups.
    found, plain = stratified95(values, groups, clusters, True), clustered95(values, clusters, True)
    assert found is not None
    assert plain is not None
    assert found == pytest.approx(plain, abs=0.03)
    of_clusters = clustered_stderr(linearized(values, groups), clusters)
    assert of_clusters == pytest.approx(clustered_stderr(values, clusters), rel=0.15)


def test_a_sample_tells_of_all_trials() -> None:
    few, most = (sampled_stratified95(VALUES, GROUPS, n, True) for n in (1000, 9))
    assert few is not None
    assert most is not None
    assert most[1] - most[0] < few[1] - few[0]
    assert sampled_stratified95(VALUES, GROUPS, len(VALUES), True) is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """2,000 draws of seven unequal bins with unequal shares; 95 % of intervals, within what chance explains."""
    rng = np.random.default_rng(1)
    sizes, shares = [4, 9, 20, 35, 60, 80, 12], [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.4]
    groups = [f"g{i}" for i, n in enumerate(sizes) for _ in range(n)]
    p, truth = np.repeat(shares, sizes), sum(shares) / len(shares)
    held = 0
    for _ in range(2000):
        interval = stratified95((rng.random(len(p)) < p).astype(float), groups, None, True)
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
    assert 0.945 <= held / 2000 <= 0.99
