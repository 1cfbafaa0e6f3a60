"""The summary tables: which rows and columns they have, and what is marked in them.

Owns the table of a set of data. Never reads a log; table_grid.py and notes.py make texts of it, html_tables.py a page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from babycli.data.datasets import data_set_named
from babycli.domain import Metric
from babycli.report.baselines import Baselines, PublishedRow
from babycli.report.families import FamilyColumn, FamilyMean, family_columns, family_means, values_of
from babycli.report.gain import Gain, Suspicion, suspicions, visual_gain
from babycli.report.measure import Cell
from babycli.report.overall import RANKED, Overall, overalls
from babycli.report.rows import Column, TableRow, make_rows
from babycli.report.runs import Run
from babycli.tasks.about import About, about, in_order, metric_of
from babycli.wording import AnswerWay


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark behind a number, such as ``!``, and the count that it stands for."""

    sign: str
    count: Callable[[Cell], int]
    short: str
    meaning: Callable[[Sequence[About]], str]  # for the tasks of a table and their siblings


def _ties_mean(tasks: Sequence[About]) -> str:
    notes = dict.fromkeys(task.tie_note for task in tasks if task.tie_note)
    return f"ties: {'; '.join(notes) or 'the right answer shares the best score'}"


UNANSWERED = Mark(
    "?",
    lambda cell: cell.n_unanswered,
    "could not be answered",
    lambda tasks: "too long for the model, or a picture too many; they count as misses",
)
NO_ANSWER = Mark(
    "~",
    lambda cell: cell.n_no_answer,
    "replies without an answer",
    lambda tasks: "replies without an answer in them; they count as wrong",
)
NONFINITE = Mark(
    "!",
    lambda cell: cell.n_nonfinite,
    "scores that are not finite",
    lambda tasks: "NON-FINITE scores: do not trust this number",
)
LEFT_OUT = Mark(
    "-", lambda cell: cell.n_skipped, "left out", lambda tasks: "trials left out because images are missing"
)
TIES = Mark("=", lambda cell: cell.n_ties, "ties", _ties_mean)
MARKS = (
    TIES,
    NONFINITE,
    UNANSWERED,
    NO_ANSWER,
    LEFT_OUT,
)
NOT_FAIR = "*"
SUSPICIOUS = "^"


@dataclass(frozen=True, slots=True)
class OverallColumn:
    """A column of means over tasks, of answers given in one way: over all of a leaderboard, or those that were run."""

    way: AnswerWay
    is_of_all: bool

    @property
    def heading(self) -> tuple[str, str]:
        under = f"of {len(RANKED)}" if self.is_of_all else "of run"
        return "overall" if self.is_of_all else "mean", under if self.way == AnswerWay.WRITTEN else str(self.way)

    @property
    def key(self) -> str:
        """The name of its number in records."""
        name = "overall" if self.is_of_all else "mean_of_run"
        return name if self.way == AnswerWay.WRITTEN else f"{name}_{self.way}"

    def value(self, of_row: Sequence[Overall]) -> float | None:
        """Gives the number of a row; None where it has none."""
        overall = next((overall for overall in of_row if overall.way == self.way), None)
        return None if overall is None else overall.of_all if self.is_of_all else overall.of_run

    def text(self, of_row: Sequence[Overall]) -> str:
        """Writes the number times 100, as the leaderboard does; behind a mean of those run, how many they are."""
        value = self.value(of_row)
        n = sum(overall.n_run for overall in of_row if overall.way == self.way)
        return "" if value is None else f"{100 * value:.2f}{'' if self.is_of_all else f' ({n})'}"


@dataclass(frozen=True, slots=True)
class Table:
    """One table; all rows are of one edition of the data. ``columns`` are (task, metric)."""

    data: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    gains: Mapping[str, Gain]  # by the label of the row
    suspicions: tuple[Suspicion, ...]
    baselines: Baselines | None
    overalls: Mapping[str, tuple[Overall, ...]]  # by the label of the row
    title: str  # the name of the data, where tables of several sets may stand side by side; else ""
    n_parts_left_out: int = 0  # runs of a part of the trials that are not shown, as the whole ones are here
    families: Mapping[str, tuple[FamilyMean, ...]] = field(default_factory=dict)  # by the label of the row

    @property
    def overall_columns(self) -> list[OverallColumn | FamilyColumn]:
        """The columns of means over tasks; none where it has no tasks of a leaderboard."""
        ways = {overall.way for of_row in self.overalls.values() for overall in of_row}
        of_ways = [OverallColumn(way, is_of_all) for way in AnswerWay if way in ways for is_of_all in (True, False)]
        return [*of_ways, *(family_columns(self.tasks) if self.families else ())]

    def mean_value(self, mean: OverallColumn | FamilyColumn, label: str) -> float | None:
        """Gives the number of a row in a column of means; None where it has none."""
        if isinstance(mean, FamilyColumn):
            return mean.value(self.families.get(label, ()))
        return mean.value(self.overalls.get(label, ()))

    def mean_text(self, mean: OverallColumn | FamilyColumn, label: str) -> str:
        """Writes the number of a row in a column of means."""
        if isinstance(mean, FamilyColumn):
            return mean.text(self.families.get(label, ()))
        return mean.text(self.overalls.get(label, ()))

    @property
    def data_note(self) -> str:
        """The warning that stands before a table of these data; "" for none."""
        return data_set_named(self.data).note

    @property
    def runs(self) -> list[Run]:
        return [run for row in self.rows for run in row.runs]

    @property
    def published(self) -> list[PublishedRow]:
        """The published models; chance, which is published as well, is a row of its own."""
        return [row for row in (self.baselines.rows if self.baselines else ()) if row.label != "chance"]

    def chance(self, column: Column) -> float | None:
        known = metric_of(*column).chance
        # Of some metrics it depends on the items.
        logged = {row.cells[column].chance for row in self.rows if column in row.cells} if known is None else set()
        return next(iter(logged)) if len(logged) == 1 else known

    def metric(self, column: Column) -> Metric:
        """Gives the metric of a column with its chance level here."""
        return replace(metric_of(*column), chance=self.chance(column))

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks, in the order of the columns."""
        return list(dict.fromkeys(task for task, _ in self.columns))

    @property
    def explained(self) -> list[About]:
        """The tasks that its notes explain, in the order of the table."""
        return in_order(self.tasks)

    def units(self, column: Column) -> list[int]:
        return sorted({row.cells[column].n_units for row in self.rows if column in row.cells})


def make_tables(runs: Sequence[Run], baselines: Baselines | None = None) -> list[Table]:
    """Makes a table per set of data, SAYCam first: demo numbers never stand beside real or published ones."""
    tables = []
    has_sets = any(task.benchmark and task.benchmark.has_sets for task in in_order(t for r in runs for t, _ in r.cells))
    of_each = {data: make_rows([run for run in runs if run.data == data]) for data in {run.data for run in runs}}
    every = [row for rows in of_each.values() for row in rows]
    for data in sorted({run.data for run in runs}, key=lambda name: (data_set_named(name).order, name)):
        of_data = [run for run in runs if run.data == data]
        published = baselines if baselines and baselines.data_set == data else None
        present = {column for run in of_data for column in run.cells}
        present |= {column for row in (published.rows if published else ()) for column in row.values}
        rows = tuple(of_each[data])
        gains = {row.label: gain for row in rows if (gain := visual_gain(row, rows)) is not None}
        columns = tuple(c for c in in_table_order(present) if c in present and not _is_as_its_twin(c, rows))
        means = {row.label: found for row in rows if (found := overalls(row, every))}
        title = data_set_named(data).title if has_sets else ""
        families = {row.label: of_row for row in rows if (of_row := family_means(values_of(row)))}
        suspicious = tuple(suspicions(rows))
        tables.append(Table(data, columns, rows, gains, suspicious, published, means, title, families=families))
    return tables


def in_table_order(present: Iterable[Column]) -> list[Column]:
    """Gives all columns of the tasks that are there, in the order of a table."""
    tasks = in_order(task for task, _ in present)
    return [(task.name, metric.name) for task in tasks for metric in task.metrics]


def _is_as_its_twin(column: Column, rows: Sequence[TableRow]) -> bool:
    """Tells whether a metric is the twin of another and nowhere differs from it, so that a column would say nothing."""
    task, metric = column
    twin = metric_of(task, metric).twin_of
    both = ((row.cells[column], row.cells.get((task, twin))) for row in rows if column in row.cells)
    return bool(twin) and all(other is not None and math.isclose(cell.value, other.value) for cell, other in both)


def heading(column: Column) -> tuple[str, str]:
    """Gives task and metric in full; of a task with a single column, as short as its name must be there."""
    task = about(column[0])
    return task.title if len(task.metrics) > 1 else task.short, metric_of(*column).title


def short_heading(column: Column) -> tuple[str, str]:
    """Gives task and metric, short enough for a column of numbers."""
    return about(column[0]).short, metric_of(*column).short


def metrics_of(tasks: Sequence[About]) -> list[Metric]:
    """Gives the metrics of several tasks, in the order of a table."""
    return [metric for task in tasks for metric in task.metrics]


def scores_of(tasks: Sequence[About]) -> list[str]:
    """Gives the names of the metrics that are no shares, each once: ``METEOR``."""
    return list(dict.fromkeys(metric.title for metric in metrics_of(tasks) if not metric.is_share))
