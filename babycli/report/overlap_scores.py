"""A model's score on leaked and on clean trials, and the difference: the report of ``--by overlap``.

Owns these numbers and their layout. Which trials are leaked is found in overlapped.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from babycli.domain import Metric
from babycli.errors import DataError
from babycli.report import values
from babycli.report.breakdown import MAX_COLUMNS, with_names
from babycli.report.grid import Grid, Line
from babycli.report.measure import Cell, Interval, measured
from babycli.report.overlapped import CLEAN, LEAKED, trials_in
from babycli.report.records import names_of, settings_of
from babycli.report.rows import TableRow
from babycli.report.sheet import Sheet
from babycli.report.tables import heading
from babycli.stats import difference95
from babycli.tasks.about import about, in_order
from babycli.tasks.groups import OVERLAP
from babycli.wording import any_of

DIFFERENCE = "leaked − clean"
_INDEPENDENT = (
    "95 % intervals are by cluster where clusters are known. That of a difference is put together of those of both "
    "groups, which are taken for independent (Newcombe 1998; Zou and Donner 2008)."
)
_NO_CAUSE = (
    "Leaked and clean trials may differ in more than that they were seen: hold the difference against that of a model "
    "with another training set."
)


@dataclass(frozen=True, slots=True)
class OverlapScore:
    """The main metric of one task of one row, on leaked and on clean trials."""

    row: TableRow
    task: str
    metric: Metric
    cells: dict[str, Cell]  # by group; of one without trials there is none

    @property
    def difference(self) -> float | None:
        """Leaked less clean; None where one of the groups has no trials."""
        return self.cells[LEAKED].value - self.cells[CLEAN].value if len(self.cells) == 2 else None

    @property
    def ci95(self) -> Interval | None:
        """The interval of the difference; None where a group has none."""
        if len(self.cells) < 2:
            return None
        leaked, clean = self.cells[LEAKED], self.cells[CLEAN]
        if leaked.interval is None or clean.interval is None:
            return None
        return difference95(leaked.value, leaked.interval, clean.value, clean.interval)


def overlap_scores(rows: Sequence[TableRow]) -> list[OverlapScore]:
    """Gives the scores of every task whose trials are held against a training set, task by task."""
    tasks = in_order(task for row in rows for run in row.runs for task in run.trials)
    found = [_of_task(row, task.name) for task in tasks for row in rows]
    return [score for score in found if score is not None]


def _of_task(row: TableRow, task: str) -> OverlapScore | None:
    trials = row.trials(task)
    if trials is None or OVERLAP.name not in trials.groups:
        return None
    metric = about(task).main_of(trials.values)
    if metric is None:
        return None
    groups = {group: trials_in(trials, group) for group in (LEAKED, CLEAN)}
    cells = {group: measured(of_group, metric.name) for group, of_group in groups.items() if of_group.n}
    whole = row.cells.get((task, metric.name))
    chance = metric.chance if whole is None else whole.chance
    cells = {group: replace(cell, chance=chance) for group, cell in cells.items()}
    return OverlapScore(row, task, metric, cells)


def as_grids(scores: Sequence[OverlapScore]) -> list[Grid]:
    """Makes tables for each task: groups and their difference down, at most MAX_COLUMNS models across."""
    gathered: dict[tuple[str, str], list[OverlapScore]] = {}
    for score in scores:
        gathered.setdefault((score.task, score.metric.name), []).append(score)
    grids = []
    for of_metric in gathered.values():
        parts = [of_metric[i : i + MAX_COLUMNS] for i in range(0, len(of_metric), MAX_COLUMNS)]
        grids += [
            with_names(_grid(part, i * MAX_COLUMNS, len(of_metric) > 1), [score.row for score in part])
            for i, part in enumerate(parts)
        ]
    return grids


def _grid(scores: Sequence[OverlapScore], n_before: int, many: bool) -> Grid:
    first = scores[0]
    metric = first.metric
    sections = [section for group in (LEAKED, CLEAN) if (section := _section(scores, group))]
    differences = tuple("" if s.difference is None else values.difference(metric, s.difference) for s in scores)
    ends = [tuple("" if s.ci95 is None else values.difference(metric, s.ci95[end]) for s in scores) for end in (0, 1)]
    lines = [Line(DIFFERENCE, ("", *differences))]
    lines += [
        Line(f" 95 % {word}", ("", *texts), "quiet")
        for word, texts in zip(("from", "to"), ends, strict=True)
        if any(texts)
    ]
    sections += [tuple(lines)] if any(differences) else []
    numbers = range(n_before + 1, n_before + len(scores) + 1)
    heads = [("", "n"), *((f"[{i}]", "") if many else ("", "score") for i in numbers)]
    labels = [score.row.label for score in scores]
    legend = [f"[{i}] {label}" for i, label in zip(numbers, labels, strict=True)] if many else labels
    over, under = heading((first.task, metric.name))
    asides = [*notes(scores), _INDEPENDENT, _NO_CAUSE]
    scale = values.with_scales([metric], shares="Shares of 100 %")[0]
    of_whom = f": {'; '.join(legend)}" if len(legend) > 1 else f" of {legend[0]}"
    paper_scale = values.with_scales([metric], "×", "Shares of 100 %")[0]
    title = f"{over} {under} on leaked and clean trials"
    caption = " ".join([f"{title}{of_whom}.", f"{paper_scale}; n: {about(first.task).unit}.", *asides])
    return Grid(OVERLAP.name, tuple(heads), tuple(sections), (*legend, f"{scale}.", *asides), title, caption=caption)


def heads_in_full(grid: Grid) -> tuple[str, ...]:
    """Gives the heads of a table with the names of the models, for a place with room for them."""
    if grid.in_full:
        return tuple(f"{over} {under}".strip() for over, under in grid.in_full)
    (_, n), _ = grid.heads
    return n, grid.notes[0]


def _section(scores: Sequence[OverlapScore], group: str) -> tuple[Line, ...]:
    cells = [score.cells.get(group) for score in scores]
    if not any(cells):
        return ()
    metric = scores[0].metric
    n = any_of(map(str, sorted({cell.n_units for cell in cells if cell is not None})))
    ends = [
        tuple("" if c is None or c.interval is None else values.number(metric, c.interval[end]) for c in cells)
        for end in (0, 1)
    ]
    return (
        Line(group, (n, *("" if cell is None else values.number(metric, cell.value) for cell in cells))),
        *(
            Line(f" 95 % {word}", ("", *texts), "quiet")
            for word, texts in zip(("from", "to"), ends, strict=True)
            if any(texts)
        ),
    )


def notes(scores: Sequence[OverlapScore]) -> list[str]:
    """Says what leaked means, and which tasks have trials of one group alone."""
    told = dict.fromkeys(run.overlap.told for s in scores for run in s.row.runs if run.overlap is not None)
    lacking = dict.fromkeys(
        (score.task, group) for score in scores for group in (LEAKED, CLEAN) if group not in score.cells
    )
    return [
        *(f"Leaked: a picture of the trial is {each}." for each in told),
        *(f"No trial of {task} is {group}." for task, group in lacking),
    ]


def records(scores: Sequence[OverlapScore]) -> list[dict[str, object]]:
    """Makes a record for each row, task and group, and one for the difference, with full precision."""
    return [
        {
            **names_of(score.row),
            "data": score.row.runs[0].data,
            "task": score.task,
            "metric": score.metric.name,
            "by": OVERLAP.name,
            "group": group,
            "recorded_on": None,
            "value": value,
            "n_units": n,
            "ci95_low": ci95[0] if ci95 else None,
            "ci95_high": ci95[1] if ci95 else None,
            **settings_of(score.row.runs[0]),
            "prompt": score.row.runs[0].own_prompts.get(score.task),
            "overlap": score.row.runs[0].overlap.told if score.row.runs[0].overlap else None,
        }
        for score in scores
        for group, value, n, ci95 in _values(score)
    ]


def _values(score: OverlapScore) -> list[tuple[str, float, int, Interval | None]]:
    found = [(group, cell.value, cell.n_units, cell.interval) for group, cell in score.cells.items()]
    if score.difference is not None:
        n = sum(cell.n_units for cell in score.cells.values())
        found.append((DIFFERENCE, score.difference, n, score.ci95))
    return found


def sheet(rows: Sequence[TableRow]) -> Sheet:
    """Makes the report. Raises DataError where no trial of what is shown is held against a training set."""
    scores = overlap_scores(rows)
    if not scores:
        tasks = ", ".join(dict.fromkeys(task for row in rows for task, _ in row.cells))
        raise DataError(
            f"the list of overlaps tells of no trial of {tasks}",
            "make it of these tasks:  babycli data overlap TRAINING -o FILE",
        )
    return Sheet(tuple(as_grids(scores)), tuple(records(scores)))
