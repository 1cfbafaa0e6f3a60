"""The overall mean of the DevCV leaderboard, of its eleven tasks, beside that of the tasks that were run.

Owns which tasks and which number of each are in it, and where Baby Winoground's comes from. The leaderboard counts a
task that is missing as 0. Never rounds: the forms do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from babycli.data.datasets import data_set_named
from babycli.report.measure import Cell
from babycli.report.rows import Column, TableRow, settings_of_scores
from babycli.tasks.about import about, is_known
from babycli.wording import AnswerWay

BENCHMARK = "devcv"
WINOGROUND = "baby_winoground"  # of BabyVLM, and on its pictures; the leaderboard counts it among the eleven
RANKED = (
    "baby_pv",
    WINOGROUND,
    "baby_localize",
    "baby_leftright",
    "baby_spatialdetails",
    "baby_vdr_binary",
    "baby_vdr_open",
    "baby_compare_real",
    "baby_compare_synthetic",
    "baby_count",
    "baby_memory",
)
OF_WINOGROUND = "saycam"  # the data set that its label file is of


@dataclass(frozen=True, slots=True)
class Overall:
    """The means of one row, of answers given in one way; fractions."""

    way: AnswerWay
    of_all: float  # over all eleven, a missing one counts 0
    of_run: float
    missing: tuple[str, ...]
    winoground_from: str = ""  # the data set of the run that Baby Winoground's number is of, if it is another

    @property
    def n_run(self) -> int:
        return len(RANKED) - len(self.missing)


def overalls(row: TableRow, others: Iterable[TableRow]) -> tuple[Overall, ...]:
    """Gives the means of a row, one for each way of answering; none where it has no DevCV task of the leaderboard.

    ``others`` are all rows of a report: one of the same model may have Baby Winoground.
    """
    rows = list(others)
    found = (_of_way(row, rows, way) for way in AnswerWay)
    return tuple(overall for overall in found if overall is not None)


def counted_metric(task: str, way: AnswerWay) -> str | None:
    """Names the metric of a task that is in the mean; None where answers given in that way have none."""
    if task == WINOGROUND or way == AnswerWay.WRITTEN:
        return about(task).main_metric.name
    chosen = about(task).main_chosen()
    return None if chosen is None else chosen.name


def winoground_of(row: TableRow, others: Iterable[TableRow]) -> TableRow | None:
    """Finds the row of the same model and control that has Baby Winoground: itself, or that on BabyVLM's data."""
    column = _column(WINOGROUND, AnswerWay.WRITTEN)
    if column in row.cells:
        return row
    wanted = settings_of_scores(row.runs[0])
    fitting = (other for other in others if column in other.cells and other.runs[0].data == OF_WINOGROUND)
    return next((o for o in fitting if o.control == row.control and settings_of_scores(o.runs[0]) == wanted), None)


def chance_of(ways: Sequence[AnswerWay], chance: Callable[[Column], float | None]) -> dict[AnswerWay, float]:
    """Gives the mean of the chance levels of all eleven, for each way of which all of them are known."""
    found = {}
    for way in ways:
        levels = [None if column is None else chance(column) for column in (_column(task, way) for task in RANKED)]
        known = [level for level in levels if level is not None]
        if len(known) == len(RANKED):
            found[way] = sum(known) / len(known)
    return found


def notes(found: Sequence[tuple[str, Overall]]) -> list[str]:
    """Says what the means are, and of which rows they lack what; nothing where there are none."""
    if not found:
        return []
    told = [
        f"overall: the mean of the {len(RANKED)} tasks of the DevCV leaderboard ({about(WINOGROUND).title}: "
        f"{about(WINOGROUND).main_metric.title}), in which a missing task counts 0; beside it the mean of those that "
        "were run, and how many they are."
    ]
    lacking: dict[tuple[str, ...], list[str]] = {}
    for label, overall in found:
        if overall.missing:
            lacking.setdefault(overall.missing, []).append(label)
    told += [f"missing: {', '.join(tasks)} of {', '.join(dict.fromkeys(of))}." for tasks, of in lacking.items()]
    elsewhere = dict.fromkeys((overall.winoground_from, label) for label, overall in found if overall.winoground_from)
    for data in dict.fromkeys(data for data, _ in elsewhere):
        labels = [label for of, label in elsewhere if of == data]
        told.append(
            f"{about(WINOGROUND).title} in the overall mean is of a run of the same model on "
            f"{data_set_named(data).title}: {', '.join(labels)}."
        )
    return told


def _of_way(row: TableRow, others: Sequence[TableRow], way: AnswerWay) -> Overall | None:
    cells = row.cells
    values = {}
    for task in RANKED:
        column = _column(task, way)
        if task != WINOGROUND and column is not None and column in cells:
            values[task] = cells[column].value
    values = {task: value for task, value in values.items() if math.isfinite(value)}
    if not values:
        return None
    of_winoground = winoground_of(row, others)
    if of_winoground is not None:
        values[WINOGROUND] = _cell(of_winoground).value
    is_elsewhere = of_winoground is not None and of_winoground.runs[0].data != row.runs[0].data
    total = sum(values.values())
    return Overall(
        way,
        total / len(RANKED),
        total / len(values),
        tuple(task for task in RANKED if task not in values),
        OF_WINOGROUND if is_elsewhere else "",
    )


def _cell(row: TableRow) -> Cell:
    column = _column(WINOGROUND, AnswerWay.WRITTEN)
    assert column is not None
    return row.cells[column]


def _column(task: str, way: AnswerWay) -> Column | None:
    metric = counted_metric(task, way) if is_known(task) else None
    return None if metric is None else (task, metric)
