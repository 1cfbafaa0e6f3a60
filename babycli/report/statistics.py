"""Which statistics the numbers of a table rest on, and the papers that these come from.

Owns this one list: the methods paragraph of the page says it in words, `babycli cite` as BibTeX.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from babycli.bibliography import (
    BONETT_PRICE,
    COCHRAN,
    DAVISON_HINKLEY,
    EFRON_TIBSHIRANI,
    HOLM,
    KORN_GRAUBARD,
    MCNEMAR,
    MILLER,
    WILSON,
    Paper,
)
from babycli.report import compare
from babycli.report.measure import Cell
from babycli.report.rows import Column
from babycli.report.tables import Table
from babycli.tasks.about import about, metric_of


@dataclass(frozen=True, slots=True)
class Intervals:
    """The kinds of intervals in a table, those of samples apart."""

    cells: tuple[tuple[Column, Cell], ...]

    def has(self, *, shares: bool, by_cluster: bool) -> bool:
        """Tells whether there is one of such a metric, found in such a way."""
        return any(
            metric_of(*column).is_share == shares and bool(cell.ci95_clustered) == by_cluster
            for column, cell in self.cells
        )

    @property
    def over_groups(self) -> tuple[str, ...]:
        """The kinds of groups over whose means some of the metrics are means, as they are called in a sentence."""
        kinds = {
            metric.mean_over: about(task).grouping(metric.mean_over)
            for (task, _), metric in ((column, metric_of(*column)) for column, _ in self.cells)
            if metric.mean_over
        }
        return tuple(name if kind is None else kind.title for name, kind in kinds.items())

    @property
    def papers(self) -> tuple[Paper, ...]:
        """The papers of these kinds."""
        used = [COCHRAN] if self.over_groups else []
        if self.has(shares=True, by_cluster=True):
            used += [WILSON, MILLER, KORN_GRAUBARD]
        if self.has(shares=True, by_cluster=False):
            used.append(WILSON)
        if self.has(shares=False, by_cluster=True):
            used.append(MILLER)
        if self.has(shares=False, by_cluster=False):
            used.append(EFRON_TIBSHIRANI)
        return tuple(dict.fromkeys(used))


def intervals_of(table: Table) -> Intervals:
    """Finds the intervals of a table that hold beyond the trials of its tasks."""
    return Intervals(
        tuple(
            (column, cell)
            for row in table.rows
            for column, cell in row.cells.items()
            if cell.interval_beyond and not cell.ci95_of_all
        )
    )


def papers_of_samples(table: Table) -> tuple[Paper, ...]:
    """Gives the papers of the intervals of samples: a share has Wilson's, with another n."""
    columns = [column for row in table.rows for column, cell in row.cells.items() if cell.ci95_of_all]
    of_shares = (WILSON,) if any(metric_of(*column).is_share for column in columns) else ()
    return (COCHRAN, *of_shares) if columns else ()


def papers_of_tests(pairs: Sequence[tuple[Column, compare.Paired]]) -> tuple[Paper, ...]:
    """Gives the papers of the tests and intervals of some differences."""
    tests = {pair.test for _, pair in pairs}
    used = [MCNEMAR] if compare.MCNEMAR in tests else []
    used += [DAVISON_HINKLEY] if compare.BOOTSTRAP in tests else []
    used += [HOLM] if pairs else []
    used += [BONETT_PRICE] if any(metric_of(*column).is_share for column, _ in pairs) else []
    return tuple(used)


def papers_of(table: Table) -> tuple[Paper, ...]:
    """Gives the papers of all statistics of a table: intervals, samples, visual gains, and the tests of the best."""
    return tuple(
        dict.fromkeys([*intervals_of(table).papers, *papers_of_samples(table), *papers_of_tests(list(_pairs(table)))])
    )


def _pairs(table: Table) -> Iterator[tuple[Column, compare.Paired]]:
    for column, best in compare.best_of_columns(table.rows, table.columns).items():
        for pair in best.paired.values():
            yield column, pair
    for gain in table.gains.values():
        yield from gain.by_column.items()
