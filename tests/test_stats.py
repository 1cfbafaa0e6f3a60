"""The formulas, against values worked by hand or published."""

from __future__ import annotations

import math

import pytest

from babycli.stats import mean, standard_error, wilson95


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
