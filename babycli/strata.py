"""The mean of the means of groups, and its uncertainty: a group of three trials counts as much as one of three hundred.

Owns this arithmetic, on plain numbers and the names of their groups. Never knows what the groups are.

With G groups, of which group g has n_g trials, a trial has the weight w = 1 / (G n_g). The variance of the mean is
that of a stratified sample with equal strata, the sum of s_g^2 / n_g over G^2 (Cochran 1977, Sampling Techniques, 3rd
edition, section 5.6). A group of a single trial tells no variance: such groups are taken together, a lone one with the
smallest other (collapsed strata, section 5A.12).

Everything that is computed of plain means (clusters, tests, bootstrap) is computed here of ``linearized`` numbers: they
have this mean as their plain mean, and scatter about it as it scatters.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from babycli.stats import clustered95, mean_test, sampled95, wilson95

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.intp]


def mean_of_groups(values: Sequence[float], groups: Sequence[str]) -> float:
    """Computes the mean of the means of the groups, added up in the order of their names."""
    of_group: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        of_group.setdefault(group, []).append(value)
    return plain_mean([plain_mean(of_group[group]) for group in sorted(of_group)])


def plain_mean(values: Sequence[float]) -> float:
    """Computes a mean, adding one number after the other.

    Python's ``sum`` does so up to 3.11 and is more exact from 3.12 on, so that the last digit would depend on it.
    """
    return functools.reduce(operator.add, values, 0.0) / len(values)


def effective_n(groups: Sequence[str]) -> float:
    """Computes how many equally weighted trials tell as much: 1 over the sum of squared weights (Kish 1965)."""
    sizes = _sizes(groups)
    return len(sizes) ** 2 / sum(1 / n for n in sizes.values())


def linearized(values: Floats, groups: Sequence[str], clusters: Ints | None = None) -> Floats:
    """Computes numbers whose plain mean is the mean of the groups' means, and which scatter about it as it scatters.

    Deviations in a stratum are from its own mean, which takes away one of its trials or, where trials come in
    clusters, one of its clusters; they are larger by the root of m / (m - 1) for that.
    """
    import numpy as np

    sizes = _sizes(groups)
    weights = np.array([1 / (len(sizes) * sizes[group]) for group in groups])
    strata = np.array(_strata(groups, sizes))
    numbers = np.full(len(values), float(weights @ values))
    for stratum in range(int(strata.max()) + 1):
        own = strata == stratum
        n_own = int(own.sum())
        m = n_own if clusters is None else len(np.unique(clusters[own]))
        m = m if m > 1 else n_own
        if m > 1:
            centre = float(weights[own] @ values[own]) / float(weights[own].sum())
            numbers[own] += len(values) * math.sqrt(m / (m - 1)) * weights[own] * (values[own] - centre)
    return numbers


def stratified_stderr(values: Floats, groups: Sequence[str]) -> float | None:
    """Computes the standard error of the mean of the groups' means; None for a single trial."""
    if len(values) < 2:
        return None
    deviations = linearized(values, groups)
    return float(math.sqrt(((deviations - deviations.mean()) ** 2).sum())) / len(values)


def stratified95(
    values: Floats,
    groups: Sequence[str],
    clusters: Ints | None,
    is_share: bool,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float] | None:
    """Computes a 95 % interval of the mean of the groups' means; None where nothing tells it.

    For a share, Wilson's interval with ``effective_n`` over the design effect in place of n, as stats.clustered95 has
    it: never narrower than that of as many trials of one kind. For another mean, Student's t.
    """
    numbers = linearized(values, groups, clusters)
    n_effective = effective_n(groups)
    if clusters is not None:
        return clustered95(numbers, clusters, is_share, bounds, n_effective)
    if not is_share:
        test = mean_test(numbers, None, bounds)
        return None if test is None else test.ci95
    share = min(1.0, max(0.0, mean_of_groups(values.tolist(), groups)))
    independent = share * (1 - share) / n_effective
    stderr = stratified_stderr(values, groups) or 0.0
    effect = max(1.0, stderr**2 / independent) if independent > 0 else 1.0
    return wilson95(share, n_effective / effect)


def sampled_stratified95(
    values: Floats, groups: Sequence[str], n_all: int, is_share: bool, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float] | None:
    """Computes a 95 % interval of the mean of the groups' means of all ``n_all`` trials, of which these were drawn.

    As stats.sampled95, with ``effective_n`` in place of n. A group of which nothing was drawn is not in it.
    """
    n = len(values)
    if not is_share or n >= n_all:
        return sampled95(linearized(values, groups), n_all, is_share, bounds)
    share = min(1.0, max(0.0, mean_of_groups(values.tolist(), groups)))
    return wilson95(share, effective_n(groups) * (n_all - 1) / (n_all - n))


def _sizes(groups: Sequence[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    return sizes


def _strata(groups: Sequence[str], sizes: dict[str, int]) -> list[int]:
    """Numbers the strata from 0 on: groups, but for those of a single trial, which are together in one."""
    single = [group for group, n in sizes.items() if n == 1]
    others = sorted((group for group, n in sizes.items() if n > 1), key=lambda group: (sizes[group], group))
    together = {*single, *(others[:1] if len(single) == 1 else [])}
    number = dict.fromkeys(together, 0)
    for group in sizes:
        if group not in together:
            number[group] = len(set(number.values()))
    return [number[group] for group in groups]
