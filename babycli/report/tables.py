"""The summary table: models down, metrics across, chance in its own row.

Owns what stands in which cell and what a reader is told below it. Never reads a log; grid.py lays it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from babycli.data.datasets import data_set_named
from babycli.domain import Metric
from babycli.report import values
from babycli.report.baselines import Baselines, PublishedRow
from babycli.report.gain import Gain, Suspicion, suspicions, visual_gain
from babycli.report.grid import Grid, Line, Tone
from babycli.report.load import Run
from babycli.report.measure import Cell
from babycli.report.overall import RANKED, Overall, chance_of, overalls
from babycli.report.overall import notes as overall_notes
from babycli.report.provisos import provisos
from babycli.report.rows import Column, TableRow, make_rows
from babycli.tasks.about import About, about, in_order, metric_of, with_siblings
from babycli.wording import AnswerWay, all_of


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
MARKS = (
    Mark("=", lambda cell: cell.n_ties, "ties", _ties_mean),
    Mark(
        "!",
        lambda cell: cell.n_nonfinite,
        "scores that are not finite",
        lambda tasks: "NON-FINITE scores: do not trust this number",
    ),
    UNANSWERED,
    NO_ANSWER,
    Mark("-", lambda cell: cell.n_skipped, "left out", lambda tasks: "trials left out because images are missing"),
)
_NOT_FAIR = "*"
_SUSPICIOUS = "^"


@dataclass(frozen=True, slots=True)
class OverallColumn:
    """A column of means over tasks, of answers given in one way: over all of a leaderboard, or those that were run."""

    way: AnswerWay
    is_of_all: bool

    @property
    def heading(self) -> tuple[str, str]:
        under = f"of {len(RANKED)}" if self.is_of_all else "of run"
        return "overall" if self.is_of_all else "mean", under if self.way == AnswerWay.WRITTEN else str(self.way)

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

    @property
    def overall_columns(self) -> list[OverallColumn]:
        """The columns of means over tasks; none where it has no tasks of a leaderboard."""
        ways = {overall.way for of_row in self.overalls.values() for overall in of_row}
        return [OverallColumn(way, is_of_all) for way in AnswerWay if way in ways for is_of_all in (True, False)]

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

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks, in the order of the columns."""
        return list(dict.fromkeys(task for task, _ in self.columns))

    @property
    def explained(self) -> list[About]:
        """The tasks that its notes explain: its own, and the others of their benchmarks."""
        return with_siblings(self.tasks)

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
        tables.append(Table(data, columns, rows, gains, tuple(suspicions(rows)), published, means, title))
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


def scales_note(tasks: Sequence[About]) -> str:
    """Says in which units the metrics of these tasks are shown: ``Shares of 100 %; METEOR x 100.``"""
    return f"{'; '.join(values.with_scales(metrics_of(tasks), shares='Shares of 100 %'))}."


def metrics_of(tasks: Sequence[About]) -> list[Metric]:
    """Gives the metrics of several tasks, in the order of a table."""
    return [metric for task in tasks for metric in task.metrics]


def scores_of(tasks: Sequence[About]) -> list[str]:
    """Gives the names of the metrics that are no shares, each once: ``METEOR``."""
    return list(dict.fromkeys(metric.title for metric in metrics_of(tasks) if not metric.is_share))


def as_grid(table: Table) -> Grid:
    """Lays out model rows with their uncertainty, then published rows, then chance and n."""
    body: list[Line] = []
    means = table.overall_columns
    none = ("",) * len(means)
    for row in table.rows:
        suspicious = {(s.task, s.metric) for s in table.suspicions if s.label == row.label}
        cells = row.cells
        shown = (_number(c, cells.get(c)) + (_SUSPICIOUS if c in suspicious else "") for c in table.columns)
        tone: Tone = "alarm" if _is_alarming(row) or suspicious else ""
        body.append(Line(row.label, (*overall_texts(table, row), *shown), tone))
        body.append(Line(" ± 95 %", (*none, *(_half(c, cells.get(c)) for c in table.columns)), "quiet"))
        gain = table.gains.get(row.label)
        if gain is not None:
            pairs = [(c, gain.by_column.get(c)) for c in table.columns]
            gains = tuple("" if pair is None else _difference(c, pair.difference) for c, pair in pairs)
            ends = [tuple("" if p is None else _difference(c, p.ci95[end]) for c, p in pairs) for end in (0, 1)]
            body.append(Line(" visual gain", (*none, *gains)))
            body.append(Line(" 95 % from", (*none, *ends[0]), "quiet"))
            body.append(Line(" to", (*none, *ends[1]), "quiet"))
    published = [
        Line(f"{row.label} (published)", (*none, *(_number_or_none(c, row.values.get(c)) for c in table.columns)))
        for row in table.published
    ]
    chances = tuple(_number_or_none(c, table.chance(c)) for c in table.columns)
    last = [
        Line("chance", (*overall_chances(table), *chances)),
        Line("n", (*none, *(_units(table.units(c)) for c in table.columns))),
    ]
    sections = tuple(tuple(lines) for lines in (body, published, last) if lines)
    heads = (*(mean.heading for mean in means), *(short_heading(c) for c in table.columns))
    return Grid("model", heads, sections, (*notes(table), *_legends(table)), table.title)


def overall_texts(table: Table, row: TableRow) -> list[str]:
    """Writes the means over tasks of a row."""
    return [mean.text(table.overalls.get(row.label, ())) for mean in table.overall_columns]


def overall_chances(table: Table) -> list[str]:
    """Writes the chance level of each mean over tasks, as far as it is known."""
    levels = chance_of(list(AnswerWay), table.chance)
    return [
        f"{100 * levels[mean.way]:.2f}" if mean.is_of_all and mean.way in levels else ""
        for mean in table.overall_columns
    ]


def _legends(table: Table) -> list[str]:
    """Says what the short heads of tasks with several columns mean."""
    legends = []
    for task in in_order(table.tasks):
        if len(task.metrics) > 1 and task.short != task.title:
            derived = "; ".join(f"{m.short}: {m.title}" for m in task.metrics if m.short != m.title)
            told = [f"{task.short}: {task.title}", task.legend or derived]
            legends.append(f"{'; '.join(text for text in told if text)}.")
    return legends


def _units(counts: Sequence[int]) -> str:
    return "differs" if len(counts) > 1 else "".join(map(str, counts))


def _is_alarming(row: TableRow) -> bool:
    if any(replies.is_broken for run in row.runs for replies in run.replies.values()):
        return True
    return any(cell.n_nonfinite or cell.fair_value is not None for cell in row.cells.values())


def _number_or_none(column: Column, value: float | None) -> str:
    return "" if value is None else values.number(metric_of(*column), value)


def _number(column: Column, cell: Cell | None) -> str:
    if cell is None:
        return ""
    marks = "".join(mark.sign for mark in MARKS if mark.count(cell))
    return values.number(metric_of(*column), cell.value) + marks + (_NOT_FAIR if cell.fair_value is not None else "")


def _difference(column: Column, value: float) -> str:
    return values.difference(metric_of(*column), value)


def _half(column: Column, cell: Cell | None) -> str:
    half = None if cell is None else cell.half_width
    return "" if half is None else values.half_width(metric_of(*column), half)


def notes(table: Table) -> list[str]:
    """Says what a reader must know, one line each."""
    told = [table.data_note] if table.data_note else []
    explained = table.explained
    told.append(f"{scales_note(explained)} n in {_units_told(explained)}, not rows.")
    told += overall_notes([(label, overall) for label, of_row in table.overalls.items() for overall in of_row])
    told += lower_notes(table)
    told += _n_notes(table)
    told += _interval_notes(table)
    cells = [(row.label, column, cell) for row in table.rows for column, cell in row.cells.items()]
    for mark in MARKS:
        if listed := counts_told(table, mark):
            told.append(f"{mark.sign}  {mark.meaning(explained)}: {listed}")
    unfair = [
        f"{label} {column[0]} {values.number(metric_of(*column), cell.fair_value)}"
        for label, column, cell in cells
        if cell.fair_value is not None
    ]
    if unfair:
        told.append(
            f"{_NOT_FAIR}  not what fair scoring of its own samples gives: {', '.join(unfair)}; "
            "babycli report --audit says why"
        )
    if any(run.scoring == "reference" and run.is_ours for run in table.runs):
        told.append("(reference): scored as the original code does, its way with ties and NaN included.")
    if any(run.limit is not None for run in table.runs):
        told.append("(limit N): only the first N trials of each task; of lmms-eval, rows.")
    if any(run.offset for run in table.runs):
        told.append("(offset M): the first M rows of each task were passed over, so these are other trials.")
    told += provisos(table.runs)
    if table.gains:
        told.append(
            "visual gain: the score less that of the same model without the image, on the same trials, with its "
            f"paired 95 % interval.{lower_gain_note(table)}"
        )
    told += [suspicion_note(each) for each in table.suspicions]
    if table.baselines is not None:
        told.append(f"(published): {table.baselines.title}, {table.baselines.source}; {table.baselines.note}.")
    return told


def counts_told(table: Table, mark: Mark) -> str:
    """Lists what a mark stands for in each row and task: ``lab/model vtwt 3``; "" where nothing has it."""
    counts: dict[tuple[str, str], int] = {}
    for row in table.rows:
        for (task, _), cell in row.cells.items():
            counts[row.label, task] = max(mark.count(cell), counts.get((row.label, task), 0))
    return ", ".join(f"{label} {task} {n}" for (label, task), n in counts.items() if n)


def _units_told(tasks: Sequence[About]) -> str:
    """Lists what one item is called: ``trials (instances, captions)``."""
    first, *others = dict.fromkeys(task.unit for task in tasks)
    return f"{first} ({', '.join(others)})" if others else first


def lower_notes(table: Table) -> list[str]:
    """Says of which metrics less is better; nothing where there are none."""
    lower = [column for column in table.columns if not metric_of(*column).higher_is_better]
    return [f"Less is better: {', '.join(' '.join(short_heading(column)) for column in lower)}."] if lower else []


def lower_gain_note(table: Table) -> str:
    """Says which sign of a visual gain is good where less is better; "" where there is no such gain."""
    columns = {column for gain in table.gains.values() for column in gain.by_column}
    is_less = any(not metric_of(*column).higher_is_better for column in columns)
    return " Where less is better, a gain below 0 is the good one." if is_less else ""


def _n_notes(table: Table) -> list[str]:
    """Says the n of every row, of the tasks in which it differs."""
    found = []
    for task in dict.fromkeys(task for task, _ in table.columns):
        counts = {row.label: cell.n_units for row in table.rows for (of, _), cell in row.cells.items() if of == task}
        if len(set(counts.values())) > 1:
            found.append(f"n of {task}: {', '.join(f'{label} {n}' for label, n in counts.items())}")
    return found


def _interval_notes(table: Table) -> list[str]:
    cells = [cell for row in table.rows for cell in row.cells.values()]
    notes = []
    if any(cell.ci95_clustered for cell in cells):
        clusters = {
            f"{heading((task, metric))[0]} by {about(task).cluster} ({cell.n_clusters})"
            for row in table.rows
            for (task, metric), cell in row.cells.items()
            if cell.ci95_clustered
        }
        notes.append(
            "± how far the 95 % interval reaches on its wider side; trials are not independent, so by cluster: "
            f"{_listed(clusters)}."
        )
    if any(cell.ci95 and not cell.ci95_clustered for cell in cells):
        lead = "± without clusters" if notes else "± how far the 95 % interval reaches on its wider side"
        is_share = any(metric.is_share for metric in metrics_of(table.explained))
        ways = ["Wilson's for shares of trials"] if is_share else []
        if scores := scores_of(table.explained):
            ways.append(f"bootstrap for {all_of(scores)}")
        notes.append(f"{lead}: {', '.join(ways)}.")
    return notes


def _listed(texts: set[str]) -> str:
    return ", ".join(sorted(texts))


def suspicion_headline(suspicion: Suspicion) -> str:
    """Says that a control is above chance."""
    cell, metric = suspicion.cell, metric_of(suspicion.task, suspicion.metric)
    assert cell.interval is not None
    assert cell.chance is not None
    why = (
        "It does not see the right image, so words or labels may give answers away (one control in 40 is above by luck)"
    )
    if suspicion.is_unread:
        why = "A control that never reads the question solves it"
    elif suspicion.is_by_ties:
        why = "Most of its trials are ties, which reference scoring counts as right where the right one comes first"
    side = "ABOVE" if metric.higher_is_better else "BETTER THAN"
    return (
        f"A CONTROL {side} CHANCE: {suspicion.label} gets {values.number(metric, cell.value)} on {suspicion.task} "
        f"{suspicion.metric} {values.interval(metric, cell.interval)}, chance is {values.number(metric, cell.chance)}. "
        f"{why}"
    )


def suspicion_note(suspicion: Suspicion) -> str:
    """Says the same, with what gives the answers away."""
    lead = f"{_SUSPICIOUS}  {suspicion_headline(suspicion)}"
    if suspicion.by is None or not suspicion.give_aways:
        return lead
    metric, is_word = metric_of(suspicion.task, suspicion.metric), suspicion.by.halves is not None
    ways = "; ".join(
        f"{way.what} ({values.number(metric, way.score)} of {way.n_trials}"
        + (f", in the right phrase of {way.n_right})" if is_word else ")")
        for way in suspicion.give_aways
    )
    return f"{lead}, most in the trials with the {'word' if is_word else suspicion.by.title} {ways}"
