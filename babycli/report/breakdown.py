"""Scores by group: of a category, of a recording session, of the word in which phrases differ, or whatever a task has.

Owns the grouping. Groups differ in size, so each has its own n and interval.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from babycli.data.sources.machine_devbench import MACHINE_DEVBENCH
from babycli.domain import Metric
from babycli.errors import DataError
from babycli.report import values
from babycli.report.families import FamilyColumn, FamilyMean, family_means, is_in_families
from babycli.report.families import notes as family_notes
from babycli.report.grid import Grid, Line
from babycli.report.overlapped import overlap_notes
from babycli.report.records import names_of, settings_of
from babycli.report.rows import Column, TableRow
from babycli.report.sheet import Sheet
from babycli.report.tables import heading
from babycli.report.trials import Floats, TaskTrials
from babycli.report.turns import turn_scores
from babycli.stats import mean_test, wilson95
from babycli.strata import mean_of_groups, stratified95
from babycli.tasks.about import about, in_order, known
from babycli.tasks.groups import Grouping
from babycli.wording import any_of, listed, natural_order

RIGHT = "right"  # what a turn is or is not, in the place of a metric
_NUMBER = re.compile(r"-?[0-9]+")
MAX_COLUMNS = 6  # that fit into 80 columns beside the names of the groups


@dataclass(frozen=True, slots=True)
class GroupScore:
    group: str
    value: float
    n_trials: int
    ci95: tuple[float, float] | None  # Wilson's of a share, Student's of a score; None for a single trial of the latter
    day: date | None  # of a group that lies in time


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The main metric of one task of one row, by group; in the order of time if they have one, else of the labels."""

    row: TableRow
    task: str
    metric: Metric
    by: Grouping
    groups: tuple[GroupScore, ...]


def break_down(rows: Sequence[TableRow], by: str) -> list[Breakdown]:
    """Gives the main metric of every task that has such groups, task by task."""
    tasks = in_order(task for row in rows for run in row.runs for task in run.trials)
    found = [_of_task(row, task.name, by) for task in tasks for row in rows]
    return [breakdown for breakdown in found if breakdown is not None]


def _of_task(row: TableRow, task: str, by: str) -> Breakdown | None:
    trials, kind = row.trials(task), about(task).grouping(by)
    if trials is None or kind is None or not (kind.is_of_turns or (kind.is_offered and by in trials.groups)):
        return None
    metric = about(task).main_of(trials.values)
    if metric is None:
        return None
    metric = replace(metric, chance=row.cells[task, metric.name].chance)
    if kind.is_of_turns:
        of_turns = _by_turn(row, task, metric)
        # The first metric of a task with turns is of single ones, so its chance level is theirs.
        of_one = replace(metric, title=RIGHT, short=RIGHT, chance=about(task).metrics[0].chance)
        return Breakdown(row, task, of_one, kind, of_turns) if of_turns else None
    names = list(dict.fromkeys(trials.groups[by]))
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    if kind.is_by_number:
        names.sort(key=_by_number)
    of_trials = np.array(trials.groups[by])
    groups = [_score(name, trials, of_trials == name, metric, kind) for name in names]
    if kind.day_of is not None:
        groups.sort(key=lambda group: group.group)
    return Breakdown(row, task, metric, kind, tuple(groups))


def _by_turn(row: TableRow, task: str, metric: Metric) -> tuple[GroupScore, ...]:
    """Gives the score of each turn, with Wilson's interval over conversations."""
    run = row.run_of(task)
    among = frozenset(run.trials[task].trial_ids) if run is not None and run.overlap is not None else None
    scores = [] if run is None else turn_scores(run.path, task, metric.name, run.scoring, among)
    return tuple(GroupScore(str(of.turn), of.value, of.n, wilson95(of.value, of.n), None) for of in scores)


def _score(name: str, trials: TaskTrials, is_in: NDArray[np.bool_], metric: Metric, kind: Grouping) -> GroupScore:
    day = None if kind.day_of is None else kind.day_of(name)
    of_trials = trials.values[metric.name][is_in]
    strata = trials.strata(metric.name) if kind.is_of_wholes else None
    if strata is not None:
        own = [stratum for stratum, is_own in zip(strata, is_in.tolist(), strict=True) if is_own]
        interval = stratified95(of_trials, own, None, metric.is_share, metric.limits)
        return GroupScore(name, mean_of_groups(of_trials.tolist(), own), len(of_trials), interval, day)
    return GroupScore(name, float(of_trials.mean()), len(of_trials), _interval(of_trials, metric), day)


def _by_number(name: str) -> tuple[float, str]:
    """Makes a key that sorts names by the first number in them; those without one come last."""
    number = _NUMBER.search(name)
    return (float(number[0]) if number else math.inf), name


def _interval(of_trials: Floats, metric: Metric) -> tuple[float, float] | None:
    if metric.is_share:
        return wilson95(float(of_trials.mean()), len(of_trials))
    low, high = metric.limits
    test = mean_test(of_trials, None, (low, high))
    return None if test is None else test.ci95


def as_grids(breakdowns: Sequence[Breakdown]) -> list[Grid]:
    """Makes tables for each task: groups down, at most MAX_COLUMNS models across."""
    grids = []
    for of_metric in gathered(breakdowns):
        parts = [of_metric[i : i + MAX_COLUMNS] for i in range(0, len(of_metric), MAX_COLUMNS)]
        grids += [with_names(_grid(part, i * MAX_COLUMNS), [each.row for each in part]) for i, part in enumerate(parts)]
    return grids


def with_names(grid: Grid, rows: Sequence[TableRow]) -> Grid:
    """Gives a table of several models that has their names over the columns too, for a place with room for them."""
    first, *shorts = grid.heads
    if not shorts[0][0]:
        return grid
    labels = [row.label for row in rows]
    parts = [label.partition("(") for label in labels]
    names = [(name.strip(), f"({settings}") if settings else ("", name) for name, _, settings in parts]
    legend = tuple(f"{short} {label}" for (short, _), label in zip(shorts, labels, strict=True))
    return replace(grid, in_full=(first, *names), legend=legend)


def gathered(breakdowns: Sequence[Breakdown]) -> list[list[Breakdown]]:
    """Gathers those of one task and metric: of models that only chose among answers it is another metric."""
    of_metric: dict[Column, list[Breakdown]] = {}
    for each in breakdowns:
        of_metric.setdefault((each.task, each.metric.name), []).append(each)
    return list(of_metric.values())


def _grid(breakdowns: Sequence[Breakdown], n_before: int) -> Grid:
    first = breakdowns[0]
    names = list(dict.fromkeys(group.group for breakdown in breakdowns for group in breakdown.groups))
    if first.by.is_by_number:
        names.sort(key=_by_number)
    elif first.by.day_of is not None or all(name.isdecimal() for name in names):
        names.sort(key=natural_order)
    scores = [{group.group: group for group in breakdown.groups} for breakdown in breakdowns]
    lines = []
    for name in names:
        of_name = [by_group.get(name) for by_group in scores]
        n = sorted({group.n_trials for group in of_name if group is not None})
        shown = tuple("" if group is None else values.number(first.metric, group.value) for group in of_name)
        lines.append(Line(name, (any_of(map(str, n)), *shown)))
    many = len(breakdowns) > 1 or n_before > 0
    numbers = range(n_before + 1, n_before + len(breakdowns) + 1)
    heads = [("", "n"), *((f"[{i}]", "") if many else ("", "score") for i in numbers)]
    labels = [breakdown.row.label for breakdown in breakdowns]
    legend = [f"[{i}] {label}" for i, label in zip(numbers, labels, strict=True)] if many else labels
    over, under = heading((first.task, first.metric.name))
    under = RIGHT if first.by.is_of_turns else under  # in a turn, the answer is right or not
    scales = values.with_scales([first.metric], shares="Shares of 100 %")[0]
    notes = [*legend, f"{scales}. Few trials in a group tell little: --format csv has intervals."]
    notes += _time_notes(breakdowns)
    runs = [run for breakdown in breakdowns for run in breakdown.row.runs]
    notes += overlap_notes(runs)
    title = f"{over} {under} by {first.by.name}"
    caption = _caption(first, f"{over} {under}", legend, [*_time_notes(breakdowns), *overlap_notes(runs)])
    return Grid(first.by.name, tuple(heads), (tuple(lines),), tuple(notes), title, caption=caption)


def _caption(first: Breakdown, score: str, legend: Sequence[str], asides: Sequence[str]) -> str:
    """Says what a table in a paper shows: of whom, in which unit, and what n counts."""
    of_whom = f": {'; '.join(legend)}" if len(legend) > 1 else f" of {legend[0]}"
    scale = values.with_scales([first.metric], "×", "Shares of 100 %")[0]
    unit = "conversations" if first.by.is_of_turns else about(first.task).unit
    told = [f"{score} by {first.by.name}{of_whom}.", f"{scale}; n: {unit} in a group.", *asides]
    return " ".join(told)


def _time_notes(breakdowns: Sequence[Breakdown]) -> list[str]:
    days = [group.day for breakdown in breakdowns for group in breakdown.groups if group.day is not None]
    if not days:
        return []
    by = breakdowns[0].by
    what = f"the day of {by.dated_by}" if by.dated_by else "day"
    kinds = f"{by.name[:1].upper()}{by.name[1:]}s"
    return [f"{kinds} by {what}, {min(days)} to {max(days)}: {by.age or 'time'} goes down the table."]


def records(breakdowns: Sequence[Breakdown]) -> list[dict[str, object]]:
    """Makes one record for each row, task and group, with full precision."""
    return [
        {
            **names_of(breakdown.row),
            "data": breakdown.row.runs[0].data,
            "task": breakdown.task,
            "metric": RIGHT if breakdown.by.is_of_turns else breakdown.metric.name,
            "by": breakdown.by.name,
            "group": group.group,
            "recorded_on": None if group.day is None else str(group.day),
            "value": group.value,
            "n_units": group.n_trials,
            "ci95_low": group.ci95[0] if group.ci95 else None,
            "ci95_high": group.ci95[1] if group.ci95 else None,
            **settings_of(breakdown.row.runs[0]),
            "prompt": breakdown.row.runs[0].own_prompts.get(breakdown.task),
        }
        for breakdown in breakdowns
        for group in breakdown.groups
    ]


def sheet(rows: Sequence[TableRow], by: str) -> Sheet:
    """Makes the report of ``--by``. Raises DataError where no run has such groups."""
    broken_down = break_down(rows, by)
    if not broken_down:
        raise no_such_groups(by, rows)
    means = _family_means(broken_down)
    of_families = [_family_grid(means, broken_down[0].by)] if means else []
    made = (*records(broken_down), *_family_records(means, broken_down))
    return Sheet((*as_grids(broken_down), *of_families), made)


def family_grid(rows: Sequence[TableRow], by: str) -> Grid | None:
    """Makes the table of means over tasks in each group; None where there are none."""
    broken_down = break_down(rows, by)
    means = _family_means(broken_down)
    return _family_grid(means, broken_down[0].by) if means else None


_Means = dict[TableRow, dict[str, tuple[FamilyMean, ...]]]  # of each row, by group


def _family_means(breakdowns: Sequence[Breakdown]) -> _Means:
    """Gives the means over tasks in each group that is a whole benchmark; none where a row has a single task."""
    values: dict[TableRow, dict[str, dict[str, float]]] = {}
    for each in breakdowns:
        for group in each.groups if each.by.is_of_wholes and is_in_families(each.task) else ():
            values.setdefault(each.row, {}).setdefault(group.group, {})[each.task] = group.value
    return {
        row: {group: family_means(of_tasks) for group, of_tasks in of_row.items()}
        for row, of_row in values.items()
        if len({task for of_tasks in of_row.values() for task in of_tasks}) > 1
    }


def _family_grid(means: _Means, by: Grouping) -> Grid:
    """Makes a table of these means: models with their groups down, families across."""
    n_due: dict[str, int] = {}
    for mean in (mean for of_row in means.values() for of_group in of_row.values() for mean in of_group):
        n_due[mean.family] = max(mean.n_tasks, n_due.get(mean.family, 0))
    columns = [FamilyColumn(family, n) for family, n in n_due.items()]
    sections = []
    for row, of_row in means.items():
        lines = [
            Line(f"  {group}", tuple(column.text(of_group) for column in columns)) for group, of_group in of_row.items()
        ]
        sections.append((Line(row.label, ("",) * len(columns)), *lines))
    notes = ["Shares of 100 %.", *family_notes(columns)]
    title = f"means over tasks by {by.name}"
    caption = " ".join([f"Means over tasks by {by.name}.", *notes])
    heads = tuple(column.heading for column in columns)
    return Grid("model", heads, tuple(sections), tuple(notes), title, caption=caption)


def _family_records(means: _Means, breakdowns: Sequence[Breakdown]) -> list[dict[str, object]]:
    empty: dict[str, object] = dict.fromkeys(records(breakdowns[:1])[0]) if means else {}
    return [
        empty
        | names_of(row)
        | settings_of(row.runs[0])
        | {"data": row.runs[0].data, "task": MACHINE_DEVBENCH, "metric": mean.family, "by": breakdowns[0].by.name}
        | {"group": group, "value": mean.value, "n_units": mean.n_tasks}
        for row, of_row in means.items()
        for group, of_group in of_row.items()
        for mean in of_group
    ]


def no_such_groups(by: str, rows: Sequence[TableRow]) -> DataError:
    """Makes the error that no run has such groups: it names the tasks of which they are known.

    Where such a task was run, its items do not tell the group: names of pictures may be other ones.
    """
    kinds = {task.name: task.grouping(by) for task in known()}
    tasks = [name for name, kind in kinds.items() if kind is not None and kind.is_offered]
    there = [name for name in tasks if any(row.trials(name) is not None for row in rows)]
    if there:
        others = list(dict.fromkeys(kind for row in rows for name in there for kind in _kinds_of(row, name)))
        mend = f"break them down  --by {any_of(others)}" if others else "evaluate data of which it is known"
        return DataError(f"the runs of {listed(there)} do not tell the {by} of any trial", mend)
    return DataError(
        f"no run has trials by {by}: that is known for {', '.join(tasks)}",
        f"evaluate them:  babycli eval --tasks {','.join(tasks)}",
    )


def _kinds_of(row: TableRow, task: str) -> list[str]:
    """Lists the kinds of groups that the trials of a run tell."""
    trials = row.trials(task)
    kinds = [kind for kind in about(task).groupings if kind.is_offered and not kind.is_of_turns]
    return [] if trials is None else [kind.name for kind in kinds if kind.name in trials.groups]
