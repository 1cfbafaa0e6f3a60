"""The few formulas behind a number's uncertainty.

Owns arithmetic on plain numbers. Never knows what the numbers mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean. Raises ValueError for no values: a mean of nothing is no number."""
    if not values:
        raise ValueError("mean of no values")
    return sum(values) / len(values)


def standard_error(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1) over the square root of n; None for fewer than two values.

    Same as mean_stderr in lmms-eval's lmms_eval/api/metrics.py.
    """
    n = len(values)
    if n < 2:
        return None
    centre = mean(values)
    return math.sqrt(sum((x - centre) ** 2 for x in values) / (n - 1) / n)


def wilson95(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of n trials (Wilson 1927, JASA 22, 209-212).

    ``share`` may come from fractional credit; the interval is then that of the same share of whole successes.
    """
    z2 = Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # Rounding may carry an end at 0 or 1 past it, or past the share itself.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def normal95(centre: float, stderr: float) -> tuple[float, float]:
    """Mean plus and minus 1.96 standard errors."""
    return centre - Z95 * stderr, centre + Z95 * stderr
