"""The tables of the page as texts and numbers: the summary, and scores by group with their colours.

Owns what stands in which cell. Never writes markup: page.html.j2 does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from babycli.data.datasets import data_set_named
from babycli.domain import Metric
from babycli.report import values
from babycli.report.breakdown import RIGHT, Breakdown, break_down, gathered
from babycli.report.compare import Paired
from babycli.report.gain import Suspicion
from babycli.report.measure import Cell, Interval
from babycli.report.notes import gain_baselines, gain_told, notes, suspicion_headline, suspicion_note
from babycli.report.rows import Column, TableRow
from babycli.report.table_grid import overall_chances, overall_texts
from babycli.report.tables import MARKS, Table, heading, metrics_of
from babycli.tasks.about import drawn_groupings, is_of_chosen, known, metric_of
from babycli.wording import any_of

N_HEAT = 40  # rows of a heat map
N_COLOURS = 10
N_SUSPECTS = 3  # shown at once; the others are folded
LONG_NOTE = 400  # characters: one that lists hundreds of runs is folded


@dataclass(frozen=True, slots=True)
class Head:
    text: str
    long: str  # in full, for screen readers and when a reader sorts by it


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
    of_all: str = ""  # intervals; of a sample, that of all trials
    clustered: str = ""
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
    what: str  # "word or category": what the ways are
    unit: str  # of a score: "%"
    ways: tuple[tuple[str, str, str, str, str], ...]  # what, trials, with it right, score, trials above chance


@dataclass(frozen=True, slots=True)
class Summary:
    data: str
    scales: str  # what is counted in what
    stamp: str  # what must be said before anything else
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    chance: tuple[str, ...]
    n: tuple[str, ...]
    notes: tuple[Note, ...]
    suspects: tuple[Suspect, ...]
    gain_told: str  # what a gain is; "" where there is none


@dataclass(frozen=True, slots=True)
class HeatCell:
    text: str
    sort: str = ""
    colour: int = 0  # 0 at chance and below, up to N_COLOURS; 0 where a metric has no bounds


@dataclass(frozen=True, slots=True)
class HeatLine:
    label: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """Models down, groups across."""

    title: str
    told: str  # in which unit, and what the colours mean
    by: str
    heads: tuple[Head, ...]
    lines: tuple[HeatLine, ...]
    left_out: int


def summary(table: Table) -> Summary:
    """Lays out the summary table of one edition of the data."""
    of_suspicions = {suspicion_note(suspicion) for suspicion in table.suspicions}
    stamp = table.data_note
    shown = [note for note in notes(table) if note not in of_suspicions and note != stamp]
    none = (Number(),) * len(table.overall_columns)
    published = [
        Line(row.label, "published", False, (*none, *(_published(c, row.values.get(c)) for c in table.columns)))
        for row in table.published
    ]
    return Summary(
        data=data_set_named(table.data).title,
        scales=", ".join(values.with_scales(metrics_of(table.explained), "×", "%")),
        stamp=stamp,
        groups=(*_overall_groups(table), *_groups(table)),
        lines=(*(_line(table, row) for row in table.rows), *published),
        chance=(
            *overall_chances(table),
            *(
                "" if (chance := table.chance(c)) is None else values.number(metric_of(*c), chance)
                for c in table.columns
            ),
        ),
        n=(*("" for _ in none), *(any_of(map(str, table.units(c))) for c in table.columns)),
        notes=tuple(_folded(note) for note in shown),
        suspects=tuple(_suspect(suspicion) for suspicion in table.suspicions),
        gain_told=f"{told}; here over {gain_baselines(table)}" if (told := gain_told(table)) else "",
    )


def _overall_groups(table: Table) -> list[Group]:
    heads = [mean.heading for mean in table.overall_columns]
    return [Group(over, (Head(under, f"{over} {under}"),)) for over, under in heads]


def _overall_numbers(table: Table, row: TableRow) -> Iterator[Number]:
    for mean, text in zip(table.overall_columns, overall_texts(table, row), strict=True):
        value = table.mean_value(mean, row.label)
        yield Number() if value is None else Number(sort=f"{value:.9g}", value=text)


def _groups(table: Table) -> list[Group]:
    heads = []
    for column in table.columns:
        task, metric = heading(column)
        described = metric_of(*column)
        is_variant = described.twin_of or is_of_chosen(described.name)
        heads.append((task, Head(described.short if is_variant else metric, f"{task} {metric}")))
    return [Group(task, tuple(head for _, head in of)) for task, of in groupby(heads, key=lambda each: each[0])]


def _line(table: Table, row: TableRow) -> Line:
    cells = row.cells
    gain = table.gains.get(row.label)
    suspicious = {(s.task, s.metric) for s in table.suspicions if s.label == row.label}
    numbers = tuple(
        _number(c, cells[c], gain.by_column.get(c) if gain else None, c in suspicious) if c in cells else Number()
        for c in table.columns
    )
    alarming = bool(suspicious) or any(_is_alarming(cell) for cell in cells.values())
    kind: Literal["measured", "control"] = "control" if row.control else "measured"
    return Line(row.label, kind, alarming, (*_overall_numbers(table, row), *numbers))


def _is_alarming(cell: Cell) -> bool:
    return cell.n_nonfinite > 0 or cell.fair_value is not None


def _number(column: Column, cell: Cell, gain: Paired | None, is_suspicious: bool) -> Number:
    metric = metric_of(*column)
    marks = [(mark.sign, f"{mark.count(cell)} {mark.short}") for mark in MARKS if mark.count(cell)]
    if cell.fair_value is not None:
        marks.append(("*", f"fair scoring gives {values.number(metric, cell.fair_value)}"))
    if is_suspicious:
        marks.append(("^", "a control above chance"))
    return Number(
        sort=f"{cell.value:.9g}",
        value=values.number(metric, cell.value),
        marks="".join(mark for mark, _ in marks),
        marks_told=", ".join(what for _, what in marks),
        is_alarming=is_suspicious or _is_alarming(cell),
        half="" if cell.half_width is None else values.half_width(metric, cell.half_width),
        of_all=_interval(metric, cell.ci95_of_all),
        clustered=_interval(metric, cell.ci95_clustered),
        independent=_interval(metric, cell.ci95),
        gain="" if gain is None else values.difference(metric, gain.difference),
        gain_between="" if gain is None else f"[{', '.join(values.difference(metric, end) for end in gain.ci95)}]",
    )


def _published(column: Column, value: float | None) -> Number:
    return Number() if value is None else Number(f"{value:.9g}", values.number(metric_of(*column), value))


def _interval(metric: Metric, interval: Interval | None) -> str:
    return "" if interval is None else values.interval(metric, interval)


def _folded(note: str) -> Note:
    if len(note) <= LONG_NOTE:
        return Note(note)
    at = note.rfind(", ", 0, LONG_NOTE // 2) + 1 or LONG_NOTE // 2
    return Note(note[:at], note[at:].strip())


def _suspect(suspicion: Suspicion) -> Suspect:
    metric = metric_of(suspicion.task, suspicion.metric)
    ways = tuple(
        (way.what, str(way.n_trials), str(way.n_right), values.number(metric, way.score), f"{way.excess:+.1f}")
        for way in suspicion.give_aways
    )
    told = f"{suspicion_headline(suspicion)}."
    score_of = f"{suspicion.label}, {' '.join(heading((suspicion.task, suspicion.metric)))}"
    return Suspect(told, score_of, _ways_told(), "%" if metric.is_share else metric.title, ways)


def _ways_told() -> str:
    """Names all that may give answers away: ``word or category``."""
    kinds = [kind for task in known() for kind in task.groupings]
    words = ["word"] if any(kind.halves is not None for kind in kinds) else []
    return any_of([*words, *dict.fromkeys(kind.title for kind in kinds if kind.is_drawn and not kind.is_derived)])


def heat_maps(table: Table) -> list[Heat]:
    """Gives a map for each task and each kind of group that it wants drawn."""
    found = []
    for by in drawn_groupings():
        broken_down = [each for each in break_down(table.rows, by) if each.by.is_drawn]
        for of_metric in gathered(broken_down):
            found.append(_heat(of_metric))
    return found


def _heat(breakdowns: Sequence[Breakdown]) -> Heat:
    first = breakdowns[0]
    column, metric = (first.task, first.metric.name), first.metric
    best = sorted(breakdowns, key=lambda each: -values.goodness(metric, each.row.cells[column].value))[:N_HEAT]
    kept = [each for each in breakdowns if any(each is of for of in best)]  # in the order of the summary
    counts: dict[str, set[int]] = {}
    for each in kept:
        for group in each.groups:
            counts.setdefault(group.group, set()).add(group.n_trials)
    lines = []
    for each in kept:
        scores = {group.group: group.value for group in each.groups}
        lines.append(HeatLine(each.row.label, tuple(_heat_cell(metric, scores.get(name)) for name in counts)))
    return Heat(
        title=f"{heading(column)[0]} {RIGHT if first.by.is_of_turns else heading(column)[1]} by {first.by.name}",
        told=_heat_told(metric),
        by=first.by.name,
        heads=tuple(Head(name, f"n {any_of(map(str, sorted(ns)))}") for name, ns in counts.items()),
        lines=tuple(lines),
        left_out=len(breakdowns) - len(kept),
    )


def _heat_ends(metric: Metric) -> tuple[float, float]:
    """Gives what has no colour (chance, or else the worst), and what has the strongest (the best)."""
    low, high = metric.limits
    worst, best = (low, high) if metric.higher_is_better else (high, low)
    return worst if metric.chance is None else metric.chance, best


def _heat_told(metric: Metric) -> str:
    unit = "%" if metric.is_share else " ".join(values.with_scales([metric], "×"))
    worst, best = _heat_ends(metric)
    if not (math.isfinite(worst) and math.isfinite(best)):
        return f"in {unit}."
    end = values.number(metric, worst)
    if metric.chance is None:
        return f"in {unit}. The stronger the fill, the further from the worst ({end})."
    side, other = ("above", "below") if metric.higher_is_better else ("below", "above")
    return f"in {unit}. The stronger the fill, the further {side} chance ({end}); no fill: at chance or {other}."


def _heat_cell(metric: Metric, value: float | None) -> HeatCell:
    if value is None:
        return HeatCell("")
    worst, best = _heat_ends(metric)
    colour = 0
    if math.isfinite(worst) and math.isfinite(best) and best != worst:
        colour = max(0, min(N_COLOURS, round(N_COLOURS * ((value - worst) / (best - worst)))))
    text = f"{100 * value:.0f}" if metric.is_share else values.number(metric, value)
    return HeatCell(text, f"{value:.9g}", colour)
