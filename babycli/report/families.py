"""The means of Machine-DevBench over its tasks: lexical, grammatical, and overall, the mean of these two.

Owns which tasks are in them, and how they are shown. Never rounds but for a table.

Source: ResultAggregator in evaluation/multimodal/machine_devbench/metrics.py of facebookresearch/egobabyvlm @ 33ce498.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from babycli.data.sources.machine_devbench import MACHINE_DEVBENCH
from babycli.report.rows import TableRow
from babycli.strata import plain_mean
from babycli.tasks.about import about

LEXICAL, GRAMMATICAL, OVERALL = "lexical", "grammatical", "overall"
_STARTS = {LEXICAL: "lex_", GRAMMATICAL: "gram_"}  # of the names of their tasks
_SHORT = {LEXICAL: "lexical", GRAMMATICAL: "grammat.", OVERALL: "overall"}


@dataclass(frozen=True, slots=True)
class FamilyMean:
    """A mean over tasks of one row; a fraction."""

    family: str
    value: float
    n_tasks: int


@dataclass(frozen=True, slots=True)
class FamilyColumn:
    """A column of such means, of a table whose rows have ``n_due`` tasks of them."""

    family: str
    n_due: int

    @property
    def heading(self) -> tuple[str, str]:
        return "mean", _SHORT[self.family]

    def value(self, of_row: Sequence[FamilyMean]) -> float | None:
        """Gives the number of a row; None where it has none."""
        return next((mean.value for mean in of_row if mean.family == self.family), None)

    def text(self, of_row: Sequence[FamilyMean]) -> str:
        """Writes the number in percent; behind it, of how many tasks it is, where that is not all of the table."""
        mean = next((mean for mean in of_row if mean.family == self.family), None)
        if mean is None:
            return ""
        return f"{100 * mean.value:.1f}{'' if mean.n_tasks == self.n_due else f' ({mean.n_tasks})'}"


def is_in_families(task: str) -> bool:
    """Tells whether a task is one of those that the means are over."""
    benchmark = about(task).benchmark
    return benchmark is not None and benchmark.name == MACHINE_DEVBENCH and family_of(task) != ""


def family_of(task: str) -> str:
    """Gives the family of a task by its name; "" for none."""
    return next((family for family, start in _STARTS.items() if task.startswith(start)), "")


def family_means(values: Mapping[str, float]) -> tuple[FamilyMean, ...]:
    """Computes the means of tasks' values, added up in the order of their names; of a family that is not there, none.

    Overall is the mean of the two families, or the one that is there.
    """
    found = []
    for family in _STARTS:
        own = [values[task] for task in sorted(values) if family_of(task) == family]
        if own:
            found.append(FamilyMean(family, plain_mean(own), len(own)))
    if not found:
        return ()
    overall = plain_mean([mean.value for mean in found])
    return (*found, FamilyMean(OVERALL, overall, sum(mean.n_tasks for mean in found)))


def values_of(row: TableRow) -> dict[str, float]:
    """Gives the accuracy of each of a row's tasks that the means are over."""
    found: dict[str, float] = {}
    for (task, metric), cell in row.cells.items():
        if is_in_families(task) and metric == about(task).main_metric.name:
            found[task] = cell.value
    return found


def family_columns(tasks: Iterable[str]) -> list[FamilyColumn]:
    """Gives the columns of a table of these tasks; none where no mean would be over several."""
    own = [task for task in dict.fromkeys(tasks) if is_in_families(task)]
    if len(own) < 2:
        return []
    found = [FamilyColumn(family, n) for family in _STARTS if (n := sum(family_of(task) == family for task in own))]
    return [*found, FamilyColumn(OVERALL, len(own))]


def notes(columns: Sequence[object]) -> list[str]:
    """Says what these columns are; nothing where there are none."""
    if not any(isinstance(column, FamilyColumn) for column in columns):
        return []
    return [
        "lexical, grammatical: the mean of their tasks, of a lexical task that over frequency bins; overall: the mean "
        "of both, or the one that is there. (n): of n tasks, where not all were run."
    ]
