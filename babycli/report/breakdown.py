"""Scores by group: Labeled-S by category, frames by recording session, phrases by the word that differs.

Owns the grouping. Groups differ in size, so each has its own n and interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from babycli.errors import DataError
from babycli.report.grid import Grid, Line
from babycli.report.rows import TableRow
from babycli.report.sheet import Sheet
from babycli.report.tables import heading, percent
from babycli.report.trials import Floats, codes
from babycli.stats import mean_test, wilson95
from babycli.tasks import all_tasks
from babycli.tasks.sessions import day_of

MAX_COLUMNS = 6  # that fit into 80 columns beside the names of the groups
_TASKS_WITH = {
    "category": "labeled_s",
    "session": "vtwt,baby_winoground,saycam_caption",
    "word": "vtwt,baby_winoground",
}


@dataclass(frozen=True, slots=True)
class GroupScore:
    group: str
    value: float
    n_trials: int
    ci95: tuple[float, float] | None  # Wilson's for shares, Student's for METEOR; None for one caption


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One metric of one row, by group; sessions in the order of their days, else as in the label file."""

    row: TableRow
    task: str
    metric: str
    by: str
    groups: tuple[GroupScore, ...]


def main_metric(task: str) -> str:
    """The one to show where there is room for one."""
    chance = all_tasks()[task].chance
    return "group_score" if "group_score" in chance else next(iter(chance))


def break_down(rows: Sequence[TableRow], by: str) -> list[Breakdown]:
    """The main metric of every task that has such groups, task by task."""
    found = [of for row in rows for task in all_tasks() if (of := _of_task(row, task, by)) is not None]
    order = list(all_tasks())
    return sorted(found, key=lambda each: order.index(each.task))


def _of_task(row: TableRow, task: str, by: str) -> Breakdown | None:
    trials = row.trials(task)
    if trials is None or by not in trials.groups:
        return None
    metric = main_metric(task)
    names = list(dict.fromkeys(trials.groups[by]))
    numbers = codes(trials.groups[by])
    values = [trials.values[metric][numbers == i] for i in range(len(names))]
    is_share = all_tasks()[task].chance[metric] is not None
    of_names = zip(names, values, strict=True)
    groups = [GroupScore(name, float(of.mean()), len(of), _interval(of, is_share)) for name, of in of_names]
    return Breakdown(row, task, metric, by, tuple(sorted(groups, key=lambda g: g.group) if by == "session" else groups))


def _interval(values: Floats, is_share: bool) -> tuple[float, float] | None:
    if is_share:
        return wilson95(float(values.mean()), len(values))
    of_mean = mean_test(values, None)
    return None if of_mean is None else (max(0.0, of_mean.ci95[0]), of_mean.ci95[1])


def as_grids(breakdowns: Sequence[Breakdown]) -> list[Grid]:
    """Tables for each task: groups down, at most MAX_COLUMNS models across."""
    grids = []
    for task in dict.fromkeys(each.task for each in breakdowns):
        of_task = [each for each in breakdowns if each.task == task]
        grids += [_grid(of_task[i : i + MAX_COLUMNS], i) for i in range(0, len(of_task), MAX_COLUMNS)]
    return grids


def _grid(breakdowns: Sequence[Breakdown], n_before: int) -> Grid:
    first = breakdowns[0]
    names = list(dict.fromkeys(group.group for each in breakdowns for group in each.groups))
    if first.by == "session":
        names.sort()
    scores = [{group.group: group for group in each.groups} for each in breakdowns]
    lines = []
    for name in names:
        of_name = [of.get(name) for of in scores]
        n = sorted({group.n_trials for group in of_name if group is not None})
        shown = tuple("" if group is None else percent(group.value) for group in of_name)
        lines.append(Line(name, ("/".join(map(str, n)), *shown)))
    many = len(breakdowns) > 1 or n_before > 0
    numbers = range(n_before + 1, n_before + len(breakdowns) + 1)
    heads = [("", "n"), *((f"[{i}]", "") if many else ("", "score") for i in numbers)]
    legend = (
        [f"[{i}] {each.row.label}" for i, each in zip(numbers, breakdowns, strict=True)] if many else [first.row.label]
    )
    over, under = heading((first.task, first.metric))
    notes = [*legend, "Shares of 100 %; METEOR x 100. Few trials in a group tell little: --format csv has intervals."]
    days = [day for name in names if (day := day_of(name)) is not None] if first.by == "session" else []
    if days:
        notes.append(
            f"Sessions by the day of recording, {min(days)} to {max(days)}: the child's age goes down the table."
        )
    title = f"{over} {under} by {first.by}"
    return Grid(first.by, tuple(heads), (tuple(lines),), tuple(notes), title)


def records(breakdowns: Sequence[Breakdown]) -> list[dict[str, object]]:
    """One record per row, task and group, full precision."""
    return [
        {
            "model": each.row.label,
            "task": each.task,
            "metric": each.metric,
            "by": each.by,
            "group": group.group,
            "recorded_on": str(day) if (day := day_of(group.group)) else None,
            "value": group.value,
            "n_units": group.n_trials,
            "ci95_low": group.ci95[0] if group.ci95 else None,
            "ci95_high": group.ci95[1] if group.ci95 else None,
        }
        for each in breakdowns
        for group in each.groups
    ]


def sheet(rows: Sequence[TableRow], by: str) -> Sheet:
    """Raises DataError where no run has such groups."""
    broken_down = break_down(rows, by)
    if not broken_down:
        raise DataError(
            f"no run has trials by {by}: that is known for {_TASKS_WITH[by]}",
            f"evaluate them:  babycli eval --tasks {_TASKS_WITH[by]}",
        )
    return Sheet(tuple(as_grids(broken_down)), tuple(records(broken_down)))
