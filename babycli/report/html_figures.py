"""The figures of the page as shapes: forest plots and learning curves, in the units of an SVG that is 360 wide.

Owns their geometry and their words. Never writes markup: page.html.j2 draws what is laid out here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from babycli.report.breakdown import main_metric
from babycli.report.measure import Cell
from babycli.report.rows import Column, TableRow, training_runs
from babycli.report.tables import Table, heading, percent

WIDTH = 360  # as wide as a small phone; a figure is scaled to the place that it has
N_MARKS = 40  # rows of a forest plot: what can still be looked through
N_SERIES = 6
_LEFT, _RIGHT = 12.0, 348.0  # of a forest plot's axis
_TOP, _ROW, _FOOT = 26.0, 36.0, 30.0
_LABEL_CHARS = 38  # that stand beside a value
_CURVE_HEIGHT = 200.0
_CURVE_LEFT, _CURVE_RIGHT, _CURVE_TOP, _CURVE_BOTTOM = 36.0, 346.0, 24.0, 166.0
_LOG_FROM = 16  # times the first step: then the early checkpoints would lie on one another

Kind = Literal["measured", "control", "published"]


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of a forest plot."""

    label: str
    short: str
    value: str  # "54.3 ±2.1"
    told: str  # all that the mark shows, in words
    kind: Kind
    y: float  # of the label's foot; the mark is drawn below it
    x: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Forest:
    title: str
    told: str
    height: float
    foot: float  # where the axis is
    ticks: tuple[Tick, ...]
    chance: Tick | None
    marks: tuple[Mark, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    told: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one training run over its checkpoints; ``others`` are the other runs', for comparison."""

    title: str
    told: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    chance: Tick | None
    band: str  # a polygon's points; empty where no interval is known
    line: str
    others: tuple[str, ...]
    points: tuple[Point, ...]
    last: Tick
    is_log: bool


@dataclass(frozen=True, slots=True)
class Series:
    label: str
    n_checkpoints: int
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    series: tuple[Series, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Row:
    """What a forest plot shows of a model, measured or published."""

    label: str
    kind: Kind
    value: float
    interval: tuple[float, float] | None
    half_width: float | None


def forests(table: Table) -> list[Forest]:
    """One for each metric: the best N_MARKS rows of it, best first."""
    cells = [(row, row.cells) for row in table.rows]
    found = []
    for column in table.columns:
        rows = [_measured(row, of[column]) for row, of in cells if column in of]
        for each in table.published:
            if column in each.values:
                rows.append(_Row(each.label, "published", each.values[column], None, None))
        rows = [row for row in rows if math.isfinite(row.value)]  # a log may say NaN
        if rows:
            found.append(_forest(column, sorted(rows, key=lambda row: -row.value), table.chance(column)))
    return found


def _measured(row: TableRow, cell: Cell) -> _Row:
    return _Row(row.label, "control" if row.control else "measured", cell.value, cell.interval, cell.half_width)


def _forest(column: Column, rows: Sequence[_Row], chance: float | None) -> Forest:
    shown = rows[:N_MARKS]
    ends = [end for row in shown for end in (row.value, *(row.interval or ()))]
    low, high, ticks = _axis([*ends, *([] if chance is None else [chance])])

    def x(value: float) -> float:
        return _between(value, low, high, _LEFT, _RIGHT)

    foot = _TOP + _ROW * len(shown)
    title = " ".join(heading(column))
    marks = tuple(
        Mark(
            label=row.label,
            short=_short(row.label),
            value=percent(row.value) + ("" if row.half_width is None else f" ±{100 * row.half_width:.1f}"),
            told=_told(row.label, row.value, row.interval) + (", published" if row.kind == "published" else ""),
            kind=row.kind,
            y=_TOP + _ROW * i + 14,
            x=x(row.value),
            low=None if row.interval is None else x(row.interval[0]),
            high=None if row.interval is None else x(row.interval[1]),
        )
        for i, row in enumerate(shown)
    )
    against = "" if chance is None else f" Chance is {percent(chance)}."
    return Forest(
        title=title,
        told=f"{title} of {len(shown)} rows, best first, from {marks[0].told} to {marks[-1].told}.{against}",
        height=foot + _FOOT,
        foot=foot,
        ticks=tuple(Tick(x(at), _number(at)) for at in ticks),
        chance=None if chance is None else Tick(x(chance), f"chance {percent(chance)}"),
        marks=marks,
        left_out=len(rows) - len(shown),
    )


def _told(label: str, value: float, interval: tuple[float, float] | None) -> str:
    between = "" if interval is None else f" (95 % interval {percent(interval[0])} to {percent(interval[1])})"
    return f"{label} {percent(value)}{between}"


def _short(label: str) -> str:
    """The end of a name tells more than its middle: there are the checkpoint and the settings."""
    return label if len(label) <= _LABEL_CHARS else f"{label[:10]}…{label[11 - _LABEL_CHARS :]}"


def learning_curves(table: Table) -> Curves:
    """The main metric of every task over the checkpoints of a training run, for runs with two of them or more.

    Where there are more than N_SERIES such runs, those with the most checkpoints, then those evaluated last.
    """
    found = training_runs(table.rows)
    order = sorted(found, key=lambda name: (len(found[name]), found[name][-1].runs[0].date), reverse=True)
    kept = {name: found[name] for name in order[:N_SERIES]}
    columns = [column for column in table.columns if column[1] == main_metric(column[0])]
    by_column = {column: _curves_of(column, kept, table.chance(column)) for column in columns}
    series = [
        Series(name, len(rows), tuple(of[name] for of in by_column.values() if name in of))
        for name, rows in kept.items()
    ]
    return Curves(tuple(each for each in series if each.curves), len(order) - len(kept))


def _curves_of(column: Column, kept: Mapping[str, Sequence[TableRow]], chance: float | None) -> dict[str, Curve]:
    """All of them on the same axes, so that they can be held side by side."""
    steps: dict[str, list[tuple[int, Cell]]] = {}
    for name, rows in kept.items():
        known = [(row.step or 0, row.cells[column]) for row in rows if column in row.cells]
        of_series = [(step, cell) for step, cell in known if math.isfinite(cell.value)]
        if len({step for step, _ in of_series}) > 1:
            steps[name] = of_series
    if not steps:
        return {}
    cells = [cell for of_series in steps.values() for _, cell in of_series]
    ends = [end for cell in cells for end in (cell.value, *(cell.interval or ()))]
    low, high, y_ticks = _axis([*ends, *([] if chance is None else [chance])])
    all_steps = sorted({step for of_series in steps.values() for step, _ in of_series})
    is_log = all_steps[0] > 0 and all_steps[-1] >= _LOG_FROM * all_steps[0]
    scale = (lambda step: math.log(step)) if is_log else float

    def x(step: float) -> float:
        return _between(scale(step), scale(all_steps[0]), scale(all_steps[-1]), _CURVE_LEFT + 6, _CURVE_RIGHT - 6)

    def y(value: float) -> float:
        return _between(value, low, high, _CURVE_BOTTOM, _CURVE_TOP)

    lines = {name: _points((x(s), y(c.value)) for s, c in of_series) for name, of_series in steps.items()}
    title = " ".join(heading(column))
    return {
        name: Curve(
            title=title,
            told=f"{title} over {len(of_series)} checkpoints: "
            + "; ".join(_told(f"step {step}", cell.value, cell.interval) for step, cell in of_series)
            + ("." if chance is None else f". Chance is {percent(chance)}."),
            x_ticks=_step_ticks(all_steps, x),
            y_ticks=tuple(Tick(y(at), _number(at)) for at in y_ticks),
            chance=None if chance is None else Tick(y(chance), f"chance {percent(chance)}"),
            band=_band(of_series, x, y),
            line=lines[name],
            others=tuple(line for other, line in lines.items() if other != name),
            points=tuple(Point(x(s), y(c.value), _told(f"step {s}", c.value, c.interval)) for s, c in of_series),
            last=Tick(y(of_series[-1][1].value), percent(of_series[-1][1].value)),
            is_log=is_log,
        )
        for name, of_series in steps.items()
    }


def _band(cells: Sequence[tuple[int, Cell]], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    known = [(step, cell.interval) for step, cell in cells if cell.interval is not None]
    upper = [(x(step), y(interval[1])) for step, interval in known]
    lower = [(x(step), y(interval[0])) for step, interval in reversed(known)]
    return _points([*upper, *lower])


def _step_ticks(steps: Sequence[int], x: Callable[[float], float]) -> tuple[Tick, ...]:
    """The first and the last step, and of those between them what leaves room for the texts."""
    kept = [Tick(x(steps[0]), _steps(steps[0]))]
    end = Tick(x(steps[-1]), _steps(steps[-1]))
    for step in steps[1:-1]:
        if x(step) - kept[-1].at > 44 and end.at - x(step) > 44:
            kept.append(Tick(x(step), _steps(step)))
    return (*kept, end)


def _steps(step: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if step >= size:
            return f"{step / size:.4g}{unit}"
    return str(step)


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _axis(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Ends and ticks that hold all values, none of which lies outside [0, 1]."""
    low, high = min(values), max(values)
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / s <= 5 or s == 0.2)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return first * step, last * step, [i * step for i in range(first, last + 1)]


def _between(value: float, low: float, high: float, start: float, end: float) -> float:
    return round(start + (value - low) / (high - low) * (end - start), 1)


def _number(share: float) -> str:
    return f"{100 * share:.0f}"
