"""From the trials of a task to the numbers of a table cell: value, uncertainty, and what must be known beside it.

Owns the cell. The formulas are those of babycli/stats.py; which of them a metric takes is decided here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from babycli.report.trials import Codes, Floats, TaskTrials
from babycli.stats import bootstrap95, clustered95, clustered_stderr, sampled95, wilson95
from babycli.strata import linearized, sampled_stratified95, stratified95, stratified_stderr
from babycli.tasks.about import about, is_of_chosen, metric_of

Interval = tuple[float, float]
SEED = 0  # of the bootstrap
_AGREES = 1e-6  # the original averages some outcomes in float32


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one run, as its log has it: shares in [0, 1], scores before they are scaled."""

    value: float
    n_units: int
    n_ties: int = 0
    n_nonfinite: int = 0
    n_unanswered: int = 0
    n_skipped: int = 0
    n_no_answer: int = 0  # replies without an answer in them
    chance: float | None = None
    stderr: float | None = None  # of independent trials
    ci95: Interval | None = None  # of independent trials: Wilson's of a share, bootstrap of a score
    stderr_clustered: float | None = None
    ci95_clustered: Interval | None = None  # of trials that are alike within a category or session
    n_clusters: int | None = None
    ci95_of_all: Interval | None = None  # of a sample: where the score of all trials of the task lies
    fair_value: float | None = None  # where the log says another number than its own trials do

    @property
    def interval(self) -> Interval | None:
        """The one to show: of a sample that of all trials, else cluster-aware where the clusters are known."""
        return self.ci95_of_all or self.interval_beyond

    @property
    def interval_beyond(self) -> Interval | None:
        """The one of what holds beyond the trials of the task, to be held against chance."""
        return self.ci95_clustered or self.ci95

    @property
    def is_by_cluster(self) -> bool:
        """Tells whether the interval to show is cluster-aware."""
        return self.ci95_of_all is None and self.ci95_clustered is not None

    @property
    def half_width(self) -> float | None:
        """How far the interval reaches from the value, to the farther side."""
        return None if self.interval is None else farther_side(self.value, self.interval)


def farther_side(value: float, interval: Interval) -> float:
    """Gives how far an interval reaches from a value, to the farther side."""
    low, high = interval
    return max(high - value, value - low)


def plain_stderr(values: Floats) -> float | None:
    """Gives the standard error of a mean of independent trials, as stats.standard_error but fast; None for one."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def of_sample(cell: Cell, trials: TaskTrials, metric: str, n_all: int) -> Cell:
    """Adds to the cell of a sample the interval of the score of all trials."""
    described = metric_of(trials.task, metric)
    if cell.ci95 is None:
        return cell
    values, strata, limits = trials.values[metric], trials.strata(metric), described.limits
    if strata is not None:
        return replace(cell, ci95_of_all=sampled_stratified95(values, strata, n_all, described.is_share, limits))
    return replace(cell, ci95_of_all=sampled95(values, n_all, described.is_share, limits))


def measured(trials: TaskTrials, metric: str, value: float | None = None, n_skipped: int = 0) -> Cell:
    """Makes the cell of a metric; ``value`` is what the run's results say, if they say anything.

    Where that is another number than the mean of the trials, it has no interval: it is not their mean.
    """
    values = trials.values[metric]
    fair = trials.mean(metric)
    described = metric_of(trials.task, metric)
    cell = Cell(
        value=fair if value is None else value,
        n_units=trials.n,
        n_ties=len(trials.ties) if is_of_chosen(metric) or about(trials.task).main_chosen() is None else 0,
        n_nonfinite=len(trials.nonfinite),
        n_unanswered=len(trials.unanswered),
        n_skipped=n_skipped,
        n_no_answer=0 if is_of_chosen(metric) else sum(trials.no_answer.values()),
        chance=described.chance,
    )
    if not math.isclose(cell.value, fair, abs_tol=_AGREES * max(1.0, abs(fair))):
        return replace(cell, fair_value=fair)
    is_share, clusters, strata = described.is_share, trials.clusters, trials.strata(metric)
    if strata is not None:
        return _of_strata(cell, values, strata, clusters, is_share, described.limits)
    plain = wilson95(cell.value, trials.n) if is_share else bootstrap95(values, SEED) if trials.n > 1 else None
    return replace(
        cell,
        stderr=plain_stderr(values),
        ci95=plain,
        stderr_clustered=None if clusters is None else clustered_stderr(values, clusters),
        ci95_clustered=None if clusters is None else clustered95(values, clusters, is_share, described.limits),
        n_clusters=None if clusters is None else int(clusters.max()) + 1,
    )


def _of_strata(
    cell: Cell, values: Floats, strata: tuple[str, ...], clusters: Codes | None, is_share: bool, limits: Interval
) -> Cell:
    """Adds to the cell of a mean over groups' means what is known of its uncertainty."""
    cell = replace(
        cell,
        stderr=stratified_stderr(values, strata),
        ci95=stratified95(values, strata, None, is_share, limits),
    )
    if clusters is None:
        return cell
    return replace(
        cell,
        stderr_clustered=clustered_stderr(linearized(values, strata, clusters), clusters),
        ci95_clustered=stratified95(values, strata, clusters, is_share, limits),
        n_clusters=int(clusters.max()) + 1,
    )
