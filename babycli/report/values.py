"""How a number of a metric is written: in which unit, with how many digits, and with which sign.

Owns these texts. A share is shown as percent, a score times its scale; how many digits follow from the range that a
metric has, so that a column and its intervals line up. Never computes a statistic.

    share                    0.5432  ->  54.3
    score of 0 to 1, x 100   0.1234  ->  12.3
    score of 0 to 30         7.3125  ->  7.31
    score without bounds     -0.0521 ->  −0.0521    three digits that count, whatever its size
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from babycli.domain import Metric

Bounds = tuple[float, float]
_DIGITS = 3  # that count: a range of 1 to 10 has a hundred steps a unit
_MOST_DECIMALS = 9


def number(metric: Metric, value: float) -> str:
    """Writes a value of a metric."""
    return _text(metric, value, "")


def difference(metric: Metric, value: float) -> str:
    """Writes a difference of two values, with its sign."""
    return _text(metric, value, "+")


def half_width(metric: Metric, value: float) -> str:
    """Writes how far an interval reaches: ``±2.0``; two digits that count, where a metric has no bounds."""
    return f"±{_text(metric, value, '', _DIGITS - 1)}"


def interval(metric: Metric, ends: Bounds) -> str:
    """Writes both ends of an interval: ``[52.1, 56.5]``."""
    return f"[{number(metric, ends[0])}, {number(metric, ends[1])}]"


def distance(metric: Metric, value: float) -> str:
    """Writes a difference that has no direction."""
    return _text(metric, abs(value), "")


def plain(text: str) -> str:
    """Gives the number with the minus sign of a keyboard, for LaTeX."""
    return text.replace("−", "-")


def span(metric: Metric) -> float:
    """Gives the largest difference that two items can have."""
    low, high = metric.limits
    return high - low


def goodness(metric: Metric, value: float) -> float:
    """Gives a number that is higher for what is better, to sort by."""
    return value if metric.higher_is_better else -value


def decimals(metric: Metric) -> int | None:
    """Gives how many digits stand behind the point; None where each number decides for itself."""
    scale = metric.shown_scale
    if scale == 100:
        return 1
    wide = span(metric) * scale
    if not math.isfinite(wide) or wide <= 0:
        return None
    return max(0, min(_MOST_DECIMALS, _DIGITS - math.floor(math.log10(wide))))


def with_scales(metrics: Iterable[Metric], times: str = "x", shares: str = "") -> list[str]:
    """Says of each score how it is shown: ``METEOR x 100``, or ``value as it is``; before them ``shares``, if any."""
    told = {}
    metrics = list(metrics)
    for metric in metrics:
        if not metric.is_share:
            told[metric.title] = "as it is" if metric.scale == 1 else f"{times} {metric.scale:g}"
    lead = [shares] if shares and any(metric.is_share for metric in metrics) else []
    return [*lead, *(f"{title} {how}" for title, how in told.items())]


def _text(metric: Metric, value: float, sign: str, n_digits: int = _DIGITS) -> str:
    shown = metric.shown_scale * value
    if math.isinf(shown):
        return f"{'−' if shown < 0 else sign}∞"
    digits = decimals(metric)
    if digits is None:
        digits = _decimals_for(shown, n_digits)
    return f"{shown:{sign}.{digits}f}".replace("-", "−")


def _decimals_for(shown: float, n_digits: int) -> int:
    """Gives the decimals with which so many digits of a number count."""
    if shown == 0 or math.isnan(shown):
        return n_digits - 1
    return max(0, min(_MOST_DECIMALS, n_digits - 1 - math.floor(math.log10(abs(shown)))))
