"""How alike a model's scores and people's choices are: the formulas.

Owns arithmetic on matrices: trials down, options across. Never knows what an option is. NumPy is imported with this
module, which is imported where a report holds people beside models.

Source of the divergence and its temperature: Tan et al. 2024 (DevBench, arXiv 2406.10215), in code
get_opt_kl, get_mean_kl_img and softmax_images in comparison/stats-helper.R of alvinwmtan/dev-bench @ 191438c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Interval = tuple[float, float]

LEAST, MOST = 0.025, 40.0  # the temperatures that DevBench looks through
RESAMPLES = 2_000  # an end of an interval has a Monte Carlo error of 6 % of a standard error
EQUAL = 1e-9  # divergences that differ by less are a tie
_HALVINGS = 60
_GRID = np.geomspace(LEAST, MOST, 97)
_FLAT = 1e-12  # slopes and variances below it are rounding
_DECIMALS = 12  # in which equal numbers are equal, for ranks
_CHUNK_CELLS = 2_000_000  # of resampled counts at once: 16 MB
_MOST_UNDEFINED = 0.05  # resamples without a correlation, with which it still has an interval
_FEW = 3  # trials below which every correlation is 1, -1 or nothing


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """People's shares and a model's scores of the options of the same trials, and which options are right.

    A trial with fewer options than another has no option in its last columns: ``is_option`` is False there, and what
    the other matrices hold there counts for nothing.
    """

    people: Floats  # shares; of a trial they sum to 1
    scores: Floats  # more is better: similarities, or mean losses with their sign turned
    is_option: NDArray[np.bool_]
    is_right: NDArray[np.bool_]

    @property
    def n(self) -> int:
        return len(self.people)

    @property
    def below_best(self) -> Floats:
        """The scores less the best of their trial, which no softmax sees; 0 where there is no option."""
        best = np.where(self.is_option, self.scores, -np.inf).max(axis=1, keepdims=True)
        return np.where(self.is_option, self.scores - best, 0.0)


@dataclass(frozen=True, slots=True)
class Fit:
    temperature: float | None  # None: all scores of each trial are equal, so that every temperature gives the same
    divergence: float

    @property
    def bound(self) -> str:
        """``<=`` or ``>=`` for a temperature at an end of what was looked through, beyond which it would fit better."""
        return "<=" if self.temperature == LEAST else ">=" if self.temperature == MOST else ""


@dataclass(frozen=True, slots=True)
class Correlation:
    """None: not defined, as one of both does not vary, or of too few trials."""

    value: float | None
    ci95: Interval | None


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike one model and one group of people are."""

    n_trials: int
    n_clusters: int | None
    fit: Fit
    ci95: Interval | None  # of the divergence
    uniform: float  # the divergence of a model that likes all options alike
    gain_ci95: Interval | None  # of what the divergence is below that of uniform
    pearson: Correlation
    spearman: Correlation
    model_right: float | None  # the share of trials in which its best option is right; several best ones share it
    people_right: float | None  # the mean share of people who chose what is right
    nearest_share: float | None  # of the resamples, those in which no other group is nearer to the model

    @property
    def is_beyond_uniform(self) -> bool:
        """Tells whether the model is surely nearer to these people than one that likes all options alike."""
        return self.gain_ci95 is not None and self.gain_ci95[0] > EQUAL


def probabilities(choices: Choices, temperature: float) -> Floats:
    """Computes softmax(temperature x score) over the options of each trial."""
    raised = np.where(choices.is_option, np.exp(temperature * choices.below_best), 0.0)
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def divergences(choices: Choices, temperature: float) -> Floats:
    """Computes the Kullback-Leibler divergence of the model's distribution from people's, for each trial, in nats.

    D(P || Q) = sum over options of p ln(p / q), where p are people's shares, q = softmax(temperature x score), and
    0 ln 0 = 0 (Kullback & Leibler 1951, Annals of Mathematical Statistics 22, 79-86). It is taken of the logarithms,
    so q is never 0; where DevBench's exp() falls to 0, philentropy puts 1e-5 in its place.
    """
    below = choices.below_best
    logs = np.log(np.where(choices.is_option, np.exp(temperature * below), 0.0).sum(axis=1))
    found: Floats = logs - temperature * (choices.people * below).sum(axis=1) - _entropies(choices)
    return found


def uniform_divergences(choices: Choices) -> Floats:
    """Computes the same for a model that likes all options of a trial alike: ln k less the entropy of people."""
    found: Floats = np.log(choices.is_option.sum(axis=1)) - _entropies(choices)
    return found


def _entropies(choices: Choices) -> Floats:
    from scipy.special import entr

    of_options: Floats = entr(choices.people)
    total: Floats = np.where(choices.is_option, of_options, 0.0).sum(axis=1)
    return total


def fit(choices: Choices) -> Fit:
    """Finds the temperature of 0.025 to 40 with the least mean divergence over the trials.

    DevBench has NLopt's DIRECT-L look for it, to 1e-4. The mean is convex in the temperature, with the slope
    E_q[score] - E_p[score]: halving the range by the sign of the slope finds it to the last digits.
    """
    below = choices.below_best
    of_people = float((choices.people * below).sum(axis=1).mean())

    def slope(temperature: float) -> float:
        return float((probabilities(choices, temperature) * below).sum(axis=1).mean()) - of_people

    low, high = LEAST, MOST
    if not bool((below < 0).any()):
        return Fit(None, float(uniform_divergences(choices).mean()))
    if slope(low) >= -_FLAT:
        found = low
    elif slope(high) <= _FLAT:
        found = high
    else:
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        found = (low + high) / 2
    return Fit(found, float(divergences(choices, found).mean()))


def pearson(x: Floats, y: Floats) -> float | None:
    """Computes the correlation of two rows of numbers; None where one does not vary, or for fewer than three pairs."""
    if len(x) < _FEW:
        return None
    found = float(_pearsons(x[None], y[None], np.ones((1, len(x))))[0])
    return None if np.isnan(found) else found


def spearman(x: Floats, y: Floats) -> float | None:
    """Computes the correlation of ranks, of which equal numbers share the mean; None as for ``pearson``."""
    once = np.ones((1, len(x)))
    return pearson(_ranks(x, once)[0], _ranks(y, once)[0])


def likenesses(
    groups: Sequence[Choices], places: Sequence[Ints], clusters: Ints | None, n_all: int, seed: int
) -> list[Likeness]:
    """Compares one model with several groups of people, each over its own trials.

    ``places`` say for each group where its trials are among ``n_all``, of which ``clusters`` has the clusters.

    Intervals are percentiles of a bootstrap over trials or, where they are known, clusters, which is drawn for all
    groups at once (Efron & Tibshirani 1993, chapter 13). The temperature is fitted anew in every resample, as the
    divergence is that of the best one; the correlations keep the temperature of all trials, whose probabilities they
    are of. None of a single trial or cluster.
    """
    fits = [fit(group) for group in groups]
    items = [_of_items(group, of.temperature) for group, of in zip(groups, fits, strict=True)]
    units = np.arange(n_all) if clusters is None else clusters
    n_units = int(units.max()) + 1
    drawn = _Drawn.of(groups, items, [units[of] for of in places], n_units, seed) if n_units > 1 else None
    found = []
    for i, (group, of, item) in enumerate(zip(groups, fits, items, strict=True)):
        uniform = float(uniform_divergences(group).mean())
        n_clusters = None if clusters is None else len(np.unique(clusters[places[i]]))
        is_alone = drawn is None or len(np.unique(units[places[i]])) < 2
        of_pearson, of_spearman = pearson(item.model, item.people), spearman(item.model, item.people)
        found.append(
            Likeness(
                n_trials=group.n,
                n_clusters=n_clusters,
                fit=of,
                ci95=None if drawn is None or is_alone else _percentiles(drawn.divergence[i], of.divergence),
                uniform=uniform,
                gain_ci95=None
                if drawn is None or is_alone
                else _percentiles(drawn.uniform[i] - drawn.divergence[i], uniform - of.divergence),
                pearson=Correlation(
                    of_pearson, None if drawn is None or is_alone else _percentiles(drawn.pearson[i], of_pearson)
                ),
                spearman=Correlation(
                    of_spearman, None if drawn is None or is_alone else _percentiles(drawn.spearman[i], of_spearman)
                ),
                model_right=_share_right(group),
                people_right=_people_right(group),
                nearest_share=None if drawn is None or len(groups) < 2 else drawn.nearest_share(i),
            )
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """What is correlated over trials: how likely the right option is, less what it is where all are alike."""

    model: Floats
    people: Floats


def _of_items(choices: Choices, temperature: float | None) -> _Items:
    """Gives both sides of the correlations; none where no option of some trial is right.

    The likelihood of guessing is taken away, so that trials with few options are not alike for that alone.
    """
    alike = choices.is_option / choices.is_option.sum(axis=1, keepdims=True)
    model = alike if temperature is None else probabilities(choices, temperature)
    sides = [((side - alike) * choices.is_right).sum(axis=1).round(_DECIMALS) for side in (model, choices.people)]
    is_told = bool(choices.is_right.any(axis=1).all())
    return _Items(*(side if is_told else np.zeros(choices.n) for side in sides))


def _share_right(choices: Choices) -> float | None:
    if not choices.is_right.any(axis=1).all():
        return None
    is_best = (choices.below_best == 0) & choices.is_option
    return float(((is_best & choices.is_right).sum(axis=1) / is_best.sum(axis=1)).mean())


def _people_right(choices: Choices) -> float | None:
    if not choices.is_right.any(axis=1).all():
        return None
    return float((choices.people * choices.is_right).sum(axis=1).mean())


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """What the resamples gave: groups down, resamples across; NaN where a resample has no trial of a group."""

    divergence: Floats
    uniform: Floats
    pearson: Floats
    spearman: Floats

    def nearest_share(self, group: int) -> float | None:
        least = np.nanmin(np.where(np.isnan(self.divergence), np.inf, self.divergence), axis=0)
        is_nearest = self.divergence[group] <= least + EQUAL
        is_drawn = ~np.isnan(self.divergence).any(axis=0)
        return float(is_nearest[is_drawn].mean()) if is_drawn.any() else None

    @classmethod
    def of(
        cls, groups: Sequence[Choices], items: Sequence[_Items], units: Sequence[Ints], n_units: int, seed: int
    ) -> _Drawn:
        """Draws the resamples. Divergences are summed over each cluster before, on a grid of temperatures."""
        sums = [_by_unit(_on_grid(group), of, n_units) for group, of in zip(groups, units, strict=True)]
        found: list[tuple[list[Floats], ...]] = [([], [], [], []) for _ in groups]
        widest = max(n_units, *(group.n for group in groups))
        for counts in _draws(n_units, seed, widest):
            for i, item in enumerate(items):
                divergence, uniform = _least(counts @ sums[i])
                of_trials = counts[:, units[i]]
                ranks = _ranks(item.model, of_trials), _ranks(item.people, of_trials)
                of_values = _pearsons(item.model[None], item.people[None], of_trials)
                values = (divergence, uniform, of_values, _pearsons(*ranks, of_trials))
                for kept, value in zip(found[i], values, strict=True):
                    kept.append(value)
        return cls(*(np.array([np.concatenate(of_group[k]) for of_group in found]) for k in range(4)))


def _draws(n: int, seed: int, widest: int) -> Iterator[Floats]:
    """Draws how often each resample holds each unit, some resamples at a time."""
    rng = np.random.default_rng(seed)
    at_once = max(1, min(RESAMPLES, _CHUNK_CELLS // widest))
    for start in range(0, RESAMPLES, at_once):
        n_rows = min(at_once, RESAMPLES - start)
        drawn = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_rows)]
        yield np.array(drawn, dtype=np.float64)


def _on_grid(choices: Choices) -> Floats:
    """Gives for each trial 1, its divergence of uniform, and its divergence at each temperature of the grid."""
    columns = [np.ones(choices.n), uniform_divergences(choices), *(divergences(choices, t) for t in _GRID)]
    return np.column_stack(columns)


def _by_unit(of_trials: Floats, units: Ints, n_units: int) -> Floats:
    summed = np.zeros((n_units, of_trials.shape[1]))
    np.add.at(summed, units, of_trials)
    return summed


def _least(sums: Floats) -> tuple[Floats, Floats]:
    """Gives the least mean divergence of each resample, and that of uniform.

    Between the points of the grid, a parabola through the lowest and its neighbours, over the logarithm of the
    temperature.
    """
    with np.errstate(invalid="ignore"):
        means = sums[:, 1:] / sums[:, :1]
    uniform, on_grid = means[:, 0], means[:, 1:]
    lowest = np.argmin(on_grid, axis=1)
    least = np.take_along_axis(on_grid, lowest[:, None], axis=1)[:, 0]
    inner = np.clip(lowest, 1, len(_GRID) - 2)
    before, at, after = (np.take_along_axis(on_grid, (inner + k)[:, None], axis=1)[:, 0] for k in (-1, 0, 1))
    bend = before - 2 * at + after
    dip = np.where(bend > _FLAT, (after - before) ** 2 / (8 * np.where(bend > _FLAT, bend, 1.0)), 0.0)
    return np.where(lowest == inner, least - dip, least), uniform


def _pearsons(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Computes the correlation of each resample, whose pairs count as often as ``counts`` says; NaN where none is."""
    n = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = (side - (counts * side).sum(axis=1, keepdims=True) / n for side in (x, y))
        xx, yy, xy = ((counts * product).sum(axis=1) / n[:, 0] for product in (x * x, y * y, x * y))
        found: Floats = np.where((xx > _FLAT) & (yy > _FLAT), xy / np.sqrt(xx * yy), np.nan)
    return np.clip(found, -1.0, 1.0)


def _ranks(values: Floats, counts: Floats) -> Floats:
    """Ranks numbers in each resample, whose values count as often as ``counts`` says; equal ones share the mean."""
    different, of_each = np.unique(values.round(_DECIMALS), return_inverse=True)
    in_order = np.argsort(of_each, kind="stable")
    starts = np.searchsorted(of_each[in_order], np.arange(len(different)))
    n_each = np.add.reduceat(counts[:, in_order], starts, axis=1)
    ranks: Floats = (np.cumsum(n_each, axis=1) - (n_each - 1) / 2)[:, of_each]
    return ranks


def _percentiles(drawn: NDArray[Any], value: float | None) -> Interval | None:
    """Gives the 2.5 and 97.5 % percentiles, which always enclose the value; None where too few resamples have one."""
    known = drawn[~np.isnan(drawn)]
    if value is None or len(known) < (1 - _MOST_UNDEFINED) * len(drawn):
        return None
    low, high = np.quantile(known, [0.025, 0.975]).tolist()
    return min(low, value), max(high, value)
