"""The figures of the page as shapes: forest plots and learning curves, in the units of an SVG that is 360 wide.

Owns their geometry and their words. Never writes markup: page.html.j2 draws what is laid out here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from babycli.domain import Metric
from babycli.report import values
from babycli.report.breakdown import GroupScore, break_down
from babycli.report.measure import Cell
from babycli.report.rows import Column, TableRow, training_runs
from babycli.report.tables import Table, heading
from babycli.tasks.about import about, drawn_groupings, metric_of

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
    x_title: str


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
    """A line of a forest plot: a model, measured or published."""

    label: str
    kind: Kind
    value: float
    interval: tuple[float, float] | None
    half_width: float | None


def forests(table: Table) -> list[Forest]:
    """Draws one for each metric: the best N_MARKS rows of it, in the order of the table, as all figures have it."""
    cells = [(row, row.cells) for row in table.rows]
    found = []
    for column in (column for column in table.columns if not metric_of(*column).twin_of):
        rows = [_measured(row, of[column]) for row, of in cells if column in of]
        for each in table.published:
            if column in each.values:
                rows.append(_Row(each.label, "published", each.values[column], None, None))
        rows = [row for row in rows if math.isfinite(row.value)]  # a log may say NaN
        if rows:
            metric = table.metric(column)
            best = sorted(rows, key=lambda row: -values.goodness(metric, row.value))[:N_MARKS]
            kept = [row for row in rows if any(row is of for of in best)]
            found.append(_forest(" ".join(heading(column)), metric, kept, len(rows) - len(kept)))
    return found


def _measured(row: TableRow, cell: Cell) -> _Row:
    return _Row(row.label, "control" if row.control else "measured", cell.value, cell.interval, cell.half_width)


def _forest(title: str, metric: Metric, shown: Sequence[_Row], left_out: int) -> Forest:
    axis = _axis(metric, [end for row in shown for end in (row.value, *(row.interval or ()))])

    def x(value: float) -> float:
        return axis.between(value, _LEFT, _RIGHT)

    foot = _TOP + _ROW * len(shown)
    marks = tuple(
        Mark(
            label=row.label,
            short=_short(row.label),
            value=_with_half_width(metric, row),
            told=_told(metric, row.label, row.value, row.interval) + (", published" if row.kind == "published" else ""),
            kind=row.kind,
            y=_TOP + _ROW * i + 14,
            x=x(row.value),
            low=None if row.interval is None else x(row.interval[0]),
            high=None if row.interval is None else x(row.interval[1]),
        )
        for i, row in enumerate(shown)
    )
    against = "" if metric.chance is None else f" Chance is {values.number(metric, metric.chance)}."
    return Forest(
        title=title,
        told=f"{title} of {len(shown)} rows, from {marks[0].told} to {marks[-1].told}.{against}",
        height=foot + _FOOT,
        foot=foot,
        ticks=tuple(Tick(x(at), text) for at, text in axis.ticks),
        chance=_chance(metric, x),
        marks=marks,
        left_out=left_out,
    )


def _with_half_width(metric: Metric, row: _Row) -> str:
    half = "" if row.half_width is None else f" {values.half_width(metric, row.half_width)}"
    return values.number(metric, row.value) + half


def _chance(metric: Metric, place: Callable[[float], float]) -> Tick | None:
    if metric.chance is None:
        return None
    return Tick(place(metric.chance), f"chance {values.number(metric, metric.chance)}")


def _told(metric: Metric, label: str, value: float, interval: tuple[float, float] | None) -> str:
    low, high = (values.number(metric, end) for end in interval or (value, value))
    between = "" if interval is None else f" (95 % interval {low} to {high})"
    return f"{label} {values.number(metric, value)}{between}"


def _short(label: str) -> str:
    """Cuts a name in its middle: the end, with checkpoint and settings, tells more."""
    return label if len(label) <= _LABEL_CHARS else f"{label[:10]}…{label[11 - _LABEL_CHARS :]}"


def learning_curves(table: Table) -> Curves:
    """Draws the main metric of every task over the checkpoints of each training run that has two or more.

    Where there are more than N_SERIES such runs, those with the most checkpoints, then those evaluated last.
    """
    found = training_runs(table.rows)
    order = sorted(found, key=lambda name: (len(found[name]), found[name][-1].runs[0].date), reverse=True)
    places = {row: place for place, row in enumerate(table.rows)}
    kept = {
        name: found[name] for name in sorted(order[:N_SERIES], key=lambda name: min(places[r] for r in found[name]))
    }
    main = {task: about(task).main_of(metric for of, metric in table.columns if of == task) for task in table.tasks}
    columns = [(task, metric.name) for task, metric in main.items() if metric is not None]
    by_column = {column: _curves_of(column, kept) for column in columns}
    series = [
        Series(name, len(rows), tuple(of[name] for of in by_column.values() if name in of))
        for name, rows in kept.items()
    ]
    return Curves(tuple(each for each in series if each.curves), len(order) - len(kept))


def _curves_of(column: Column, kept: Mapping[str, Sequence[TableRow]]) -> dict[str, Curve]:
    metric = metric_of(*column)
    steps: dict[str, list[tuple[int, Cell]]] = {}
    for name, rows in kept.items():
        known = [(row.step or 0, row.cells[column]) for row in rows if column in row.cells]
        of_series = [(step, cell) for step, cell in known if math.isfinite(cell.value)]
        if len({step for step, _ in of_series}) > 1:
            steps[name] = of_series
    return _curves(" ".join(heading(column)), metric, "step", "checkpoints", steps)


def turn_curves(table: Table) -> Curves:
    """Draws the score of each turn of the tasks that have several, for the best N_SERIES rows.

    The rows are those of the models; controls are drawn where there is nothing else.
    """
    found = [each for kind in drawn_groupings() for each in break_down(table.rows, kind) if each.by.is_of_turns]
    series: list[Series] = []
    n_left_out = 0
    for task in dict.fromkeys(each.task for each in found):
        of_task = [each for each in found if each.task == task and not each.row.control]
        of_task = of_task or [each for each in found if each.task == task]
        best = sorted(of_task, key=lambda each: -each.row.cells[each.task, each.metric.name].value)[:N_SERIES]
        kept = [each for each in of_task if any(each is of for of in best)]
        n_left_out += len(of_task) - len(kept)
        steps = {each.row.label: [_at_turn(group) for group in each.groups] for each in kept}
        title, metric = f"{about(task).title}, turn by turn", kept[0].metric
        curves = _curves(title, metric, "turn", "turns", {k: of for k, of in steps.items() if len(of) > 1})
        series += [Series(label, len(steps[label]), (curve,)) for label, curve in curves.items()]
    return Curves(tuple(series), n_left_out)


def _at_turn(group: GroupScore) -> tuple[int, Cell]:
    return int(group.group), Cell(group.value, group.n_trials, ci95=group.ci95)


def _curves(
    title: str, metric: Metric, step_word: str, steps_word: str, steps: Mapping[str, Sequence[tuple[int, Cell]]]
) -> dict[str, Curve]:
    """Draws all series on the same axes, so that they can be held side by side."""
    if not steps:
        return {}
    cells = [cell for of_series in steps.values() for _, cell in of_series]
    axis = _axis(metric, [end for cell in cells for end in (cell.value, *(cell.interval or ()))])
    all_steps = sorted({step for of_series in steps.values() for step, _ in of_series})
    is_log = step_word == "step" and is_logarithmic(all_steps)
    scale = (lambda step: math.log(step)) if is_log else float

    def x(step: float) -> float:
        return _between(scale(step), scale(all_steps[0]), scale(all_steps[-1]), _CURVE_LEFT + 6, _CURVE_RIGHT - 6)

    def y(value: float) -> float:
        return axis.between(value, _CURVE_BOTTOM, _CURVE_TOP)

    lines = {name: _points((x(s), y(c.value)) for s, c in of_series) for name, of_series in steps.items()}
    return {
        name: Curve(
            title=title,
            told=f"{title} over {len(of_series)} {steps_word}: "
            + "; ".join(_told(metric, f"{step_word} {step}", cell.value, cell.interval) for step, cell in of_series)
            + ("." if metric.chance is None else f". Chance is {values.number(metric, metric.chance)}."),
            x_ticks=_step_ticks(all_steps, x),
            y_ticks=tuple(Tick(y(at), text) for at, text in axis.ticks),
            chance=_chance(metric, y),
            band=_band(of_series, x, y),
            line=lines[name],
            others=tuple(line for other, line in lines.items() if other != name),
            points=tuple(
                Point(x(s), y(c.value), _told(metric, f"{step_word} {s}", c.value, c.interval)) for s, c in of_series
            ),
            last=Tick(y(of_series[-1][1].value), values.number(metric, of_series[-1][1].value)),
            x_title="turn" if step_word == "turn" else f"training step{' (logarithmic)' if is_log else ''}",
        )
        for name, of_series in steps.items()
    }


def _band(cells: Sequence[tuple[int, Cell]], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    known = [(step, cell.interval) for step, cell in cells if cell.interval is not None]
    upper = [(x(step), y(interval[1])) for step, interval in known]
    lower = [(x(step), y(interval[0])) for step, interval in reversed(known)]
    return _points([*upper, *lower])


def _step_ticks(steps: Sequence[int], x: Callable[[float], float]) -> tuple[Tick, ...]:
    """Marks the first and the last step, and of those between them what leaves room for the texts."""
    kept = [Tick(x(steps[0]), step_text(steps[0]))]
    end = Tick(x(steps[-1]), step_text(steps[-1]))
    for step in steps[1:-1]:
        if x(step) - kept[-1].at > 44 and end.at - x(step) > 44:
            kept.append(Tick(x(step), step_text(step)))
    return (*kept, end)


def is_logarithmic(steps: Sequence[int]) -> bool:
    """Tells whether steps, in their order, would lie on one another on an even axis."""
    return bool(steps) and steps[0] > 0 and steps[-1] >= _LOG_FROM * steps[0]


def step_text(step: int) -> str:
    """Writes a step as there is room for it: ``500``, ``20k``, ``1.5M``."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if step >= size:
            return f"{step / size:.4g}{unit}"
    return str(step)


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Ends that hold all values, and ticks with what stands beside them."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def between(self, value: float, start: float, end: float) -> float:
        return _between(value, self.low, self.high, start, end)


def _axis(metric: Metric, ends: Sequence[float]) -> _Axis:
    """Lays an axis under values and chance, whatever their range: at most about six ticks, at round numbers."""
    places = [*ends, *([] if metric.chance is None else [metric.chance])]
    low, high = min(places), max(places)
    step, decimals = _round_step(high - low, max(abs(low), abs(high)), metric.shown_scale)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    at = [i * step for i in range(first, last + 1)]
    texts = [f"{metric.shown_scale * place:.{decimals}f}".replace("-", "−") for place in at]
    return _Axis(first * step, last * step, tuple(zip(at, texts, strict=True)))


def _round_step(wide: float, far: float, scale: float) -> tuple[float, int]:
    """Gives the distance of ticks and the decimals that tell them apart: 1, 2 or 5 times a power of ten as shown.

    Percents have no decimals, so their ticks are 1 apart at least.
    """
    spread = wide if wide > far * 1e-6 else far  # equal values have an axis too
    power = 0 if scale == 100 else math.floor(math.log10(scale * spread or 1.0)) - 1
    while True:
        for digit in (1, 2, 5):
            step = digit * 10.0**power / scale
            if wide / step <= 5:
                return step, max(0, -power)
        power += 1


def _between(value: float, low: float, high: float, start: float, end: float) -> float:
    return round(start + (value - low) / (high - low) * (end - start), 1)
