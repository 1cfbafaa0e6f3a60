"""The summary as a grid of texts: models down, means over tasks and metrics across, chance in its own row.

Owns which text stands in which cell. grid.py lays it out.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.report import values
from babycli.report.families import FamilyColumn, family_means, is_in_families
from babycli.report.grid import Grid, Line, Tone
from babycli.report.measure import Cell
from babycli.report.notes import in_short, legends, notes, warnings
from babycli.report.overall import chance_of
from babycli.report.rows import Column, TableRow
from babycli.report.tables import MARKS, NOT_FAIR, SUSPICIOUS, Table, short_heading
from babycli.tasks.about import metric_of
from babycli.wording import AnswerWay


def as_grid(table: Table, with_notes: bool) -> Grid:
    """Lays out model rows with their uncertainty, then published rows, then chance and n."""
    body: list[Line] = []
    means = table.overall_columns
    none = ("",) * len(means)
    for row in table.rows:
        suspicious = {(s.task, s.metric) for s in table.suspicions if s.label == row.label}
        cells = row.cells
        shown = (_number(c, cells.get(c)) + (SUSPICIOUS if c in suspicious else "") for c in table.columns)
        tone: Tone = "alarm" if _is_alarming(row) or suspicious else ""
        body.append(Line(row.label, (*overall_texts(table, row), *shown), tone))
        body.append(Line(" ± 95 %", (*none, *(_half(c, cells.get(c)) for c in table.columns)), "quiet"))
        gain = table.gains.get(row.label)
        if gain is not None and gain.by_column:
            pairs = [(c, gain.by_column.get(c)) for c in table.columns]
            gains = tuple("" if pair is None else _difference(c, pair.difference) for c, pair in pairs)
            ends = [tuple("" if p is None else _difference(c, p.ci95[end]) for c, p in pairs) for end in (0, 1)]
            body.append(Line(" visual gain", (*none, *gains)))
            body.append(Line(" gain, 95 % from", (*none, *ends[0]), "quiet"))
            body.append(Line(" gain, 95 % to", (*none, *ends[1]), "quiet"))
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
    return Grid(
        "model",
        heads,
        sections,
        (*notes(table), *legends(table)) if with_notes else (*warnings(table), in_short(table)),
        table.title,
    )


def overall_texts(table: Table, row: TableRow) -> list[str]:
    """Writes the means over tasks of a row."""
    return [table.mean_text(mean, row.label) for mean in table.overall_columns]


def overall_chances(table: Table) -> list[str]:
    """Writes the chance level of each mean over tasks, as far as it is known."""
    levels = chance_of(list(AnswerWay), table.chance)
    of_tasks = {column[0]: level for column in table.columns if (level := table.chance(column)) is not None}
    of_families = family_means({task: level for task, level in of_tasks.items() if is_in_families(task)})
    texts = []
    for mean in table.overall_columns:
        if isinstance(mean, FamilyColumn):
            texts.append(mean.text(of_families))
        else:
            texts.append(f"{100 * levels[mean.way]:.2f}" if mean.is_of_all and mean.way in levels else "")
    return texts


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
    return values.number(metric_of(*column), cell.value) + marks + (NOT_FAIR if cell.fair_value is not None else "")


def _difference(column: Column, value: float) -> str:
    return values.difference(metric_of(*column), value)


def _half(column: Column, cell: Cell | None) -> str:
    half = None if cell is None else cell.half_width
    return "" if half is None else values.half_width(metric_of(*column), half)
