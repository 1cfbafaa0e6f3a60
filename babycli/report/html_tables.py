"""The tables of the page as texts and numbers: the summary, and scores by group with their colours.

Owns what stands in which cell. Never writes markup: page.html.j2 does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from babycli.report.breakdown import Breakdown, break_down
from babycli.report.compare import Paired
from babycli.report.gain import Suspicion
from babycli.report.measure import Cell, Interval
from babycli.report.rows import TableRow
from babycli.report.tables import (
    DATA_NOTES,
    MARKS,
    Table,
    heading,
    notes,
    percent,
    points,
    suspicion_headline,
    suspicion_note,
)

N_HEAT = 40  # rows of a heat map
N_COLOURS = 10
N_SUSPECTS = 3  # shown at once; the others are folded
LONG_NOTE = 400  # characters: one that lists hundreds of runs is folded


@dataclass(frozen=True, slots=True)
class Head:
    text: str
    long: str  # in full, for who hears the table


@dataclass(frozen=True, slots=True)
class Group:
    """The columns of one task."""

    text: str
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A cell of the summary; all texts are empty where the run does not have the metric."""

    sort: str = ""  # full precision
    value: str = ""
    marks: str = ""
    marks_told: str = ""
    is_alarming: bool = False
    half: str = ""
    clustered: str = ""  # intervals
    independent: str = ""
    gain: str = ""
    gain_between: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    kind: Literal["measured", "control", "published"]
    is_alarming: bool
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    folded: str = ""  # the rest of a long one


@dataclass(frozen=True, slots=True)
class Suspect:
    """A control above chance."""

    told: str
    score_of: str
    ways: tuple[tuple[str, str, str, str, str], ...]  # what, trials, with it right, score, trials above chance


@dataclass(frozen=True, slots=True)
class Summary:
    data: str
    stamp: str  # what must be said before anything else
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    chance: tuple[str, ...]
    n: tuple[str, ...]
    notes: tuple[Note, ...]
    suspects: tuple[Suspect, ...]
    has_gains: bool


@dataclass(frozen=True, slots=True)
class HeatCell:
    text: str
    sort: str = ""
    colour: int = 0  # 0 at chance and below, up to N_COLOURS


@dataclass(frozen=True, slots=True)
class HeatLine:
    label: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """Models down, groups across."""

    title: str
    by: str
    heads: tuple[Head, ...]
    lines: tuple[HeatLine, ...]
    chance: str
    left_out: int


def summary(table: Table) -> Summary:
    of_suspicions = {suspicion_note(suspicion) for suspicion in table.suspicions}
    stamp = DATA_NOTES.get(table.data, "")
    told = [note for note in notes(table) if note not in of_suspicions and note != stamp]
    published = [
        Line(row.label, "published", False, tuple(_published(row.values.get(column)) for column in table.columns))
        for row in table.published
    ]
    return Summary(
        data={"saycam": "SAYCam", "demo": "Demo data"}.get(table.data, table.data),
        stamp=stamp,
        groups=tuple(_groups(table)),
        lines=(*(_line(table, row) for row in table.rows), *published),
        chance=tuple("" if (chance := table.chance(c)) is None else percent(chance) for c in table.columns),
        n=tuple("/".join(str(n) for n in table.units(c)) for c in table.columns),
        notes=tuple(_folded(note) for note in told),
        suspects=tuple(_suspect(suspicion) for suspicion in table.suspicions),
        has_gains=bool(table.gains),
    )


def _groups(table: Table) -> list[Group]:
    headings = [heading(column) for column in table.columns]
    return [
        Group(task, tuple(Head(metric, f"{task} {metric}") for _, metric in of))
        for task, of in groupby(headings, key=lambda each: each[0])
    ]


def _line(table: Table, row: TableRow) -> Line:
    cells = row.cells
    gain = table.gains.get(row.label)
    suspicious = {(s.task, s.metric) for s in table.suspicions if s.label == row.label}
    numbers = tuple(
        _number(cells[c], gain.by_column.get(c) if gain else None, c in suspicious) if c in cells else Number()
        for c in table.columns
    )
    alarming = bool(suspicious) or any(_is_alarming(cell) for cell in cells.values())
    return Line(row.label, "control" if row.control else "measured", alarming, numbers)


def _is_alarming(cell: Cell) -> bool:
    return cell.n_nonfinite > 0 or cell.fair_value is not None


def _number(cell: Cell, gain: Paired | None, is_suspicious: bool) -> Number:
    marks = [(m.sign, f"{getattr(cell, m.field)} {m.short}") for m in MARKS if getattr(cell, m.field)]
    if cell.fair_value is not None:
        marks.append(("*", f"fair scoring gives {percent(cell.fair_value)}"))
    if is_suspicious:
        marks.append(("^", "a control above chance"))
    return Number(
        sort=f"{cell.value:.9g}",
        value=percent(cell.value),
        marks="".join(mark for mark, _ in marks),
        marks_told=", ".join(what for _, what in marks),
        is_alarming=is_suspicious or _is_alarming(cell),
        half="" if cell.half_width is None else f"±{100 * cell.half_width:.1f}",
        clustered=_interval(cell.ci95_clustered),
        independent=_interval(cell.ci95),
        gain="" if gain is None else points(gain.difference),
        gain_between="" if gain is None else f"[{points(gain.ci95[0])}, {points(gain.ci95[1])}]",
    )


def _published(value: float | None) -> Number:
    return Number() if value is None else Number(sort=f"{value:.9g}", value=percent(value))


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"[{percent(interval[0])}, {percent(interval[1])}]"


def _folded(note: str) -> Note:
    if len(note) <= LONG_NOTE:
        return Note(note)
    at = note.rfind(", ", 0, LONG_NOTE // 2) + 1 or LONG_NOTE // 2
    return Note(note[:at], note[at:].strip())


def _suspect(suspicion: Suspicion) -> Suspect:
    ways = tuple(
        (way.what, str(way.n_trials), str(way.n_right), percent(way.score), f"{way.excess:+.1f}")
        for way in suspicion.give_aways
    )
    told = f"{suspicion_headline(suspicion)}."
    return Suspect(told, f"{suspicion.label}, {' '.join(heading((suspicion.task, suspicion.metric)))}", ways)


def heat_maps(table: Table) -> list[Heat]:
    """Labeled-S by category, and the tasks with two phrases by the word in which these differ."""
    found = []
    for by in ("category", "word"):
        broken_down = break_down(table.rows, by)
        for task in dict.fromkeys(each.task for each in broken_down):
            found.append(_heat([each for each in broken_down if each.task == task], table))
    return found


def _heat(breakdowns: Sequence[Breakdown], table: Table) -> Heat:
    first = breakdowns[0]
    column = (first.task, first.metric)
    best = sorted(breakdowns, key=lambda each: -each.row.cells[column].value)[:N_HEAT]
    kept = [each for each in breakdowns if any(each is of for of in best)]  # in the order of the summary
    counts: dict[str, set[int]] = {}
    for each in kept:
        for group in each.groups:
            counts.setdefault(group.group, set()).add(group.n_trials)
    chance = table.chance(column) or 0.0
    lines = []
    for each in kept:
        scores = {group.group: group.value for group in each.groups}
        lines.append(HeatLine(each.row.label, tuple(_heat_cell(scores.get(name), chance) for name in counts)))
    return Heat(
        title=f"{' '.join(heading(column))} by {first.by}",
        by=first.by,
        heads=tuple(Head(name, f"n {'/'.join(map(str, sorted(ns)))}") for name, ns in counts.items()),
        lines=tuple(lines),
        chance=percent(chance),
        left_out=len(breakdowns) - len(kept),
    )


def _heat_cell(value: float | None, chance: float) -> HeatCell:
    if value is None:
        return HeatCell("")
    above = (value - chance) / (1 - chance)
    return HeatCell(f"{100 * value:.0f}", f"{value:.9g}", max(0, min(N_COLOURS, round(N_COLOURS * above))))
