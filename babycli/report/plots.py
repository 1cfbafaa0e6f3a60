"""Figures for a paper, as PDF, SVG or PNG, drawn by matplotlib.

Owns what is drawn and how it looks: intervals always, chance where there is one, each metric in the unit of the tables.
The same runs give the same bytes. Never computes a number.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babycli.data.datasets import data_set_named
from babycli.domain import Metric
from babycli.files import write_atomically
from babycli.report import values
from babycli.report.baselines import PublishedRow
from babycli.report.breakdown import Breakdown, break_down, no_such_groups
from babycli.report.compare import Comparison
from babycli.report.measure import Interval
from babycli.report.rows import Column, TableRow, training_runs
from babycli.report.tables import Table, heading, short_heading
from babycli.report.trials import Floats
from babycli.stats import wilson95
from babycli.tasks.about import metric_of
from babycli.tasks.groups import Grouping
from babycli.wording import printable, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

MAX_ROWS = 60  # of a forest plot: beyond that the names cannot be read
MAX_PANELS = 8  # side by side
MAX_BANDS = 3  # intervals of so many lines can be told apart
MAX_MONTHS = 12  # that have room for their names side by side
_MOST_CHARACTERS = 100  # of a name
_CHARACTER_IN = 0.065  # a letter of a name is wide
_WIDEST_IN = 300  # as wide or high as a picture of 200 dots an inch can be
_INK, _QUIET, _CONTROL = "#1f2933", "#8a94a0", "#b45309"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe & Ito: told apart by all
_PUBLISHED: Any = {"marker": "D", "color": _QUIET, "markersize": 3.5, "fillstyle": "none"}
_CHANCE: Any = {"color": _INK, "linewidth": 0.8, "linestyle": (0, (4, 3))}
_STYLE: Any = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "axes.titlesize": 8,
    "text.color": _INK,
    "text.parse_math": False,  # a $ in a name is one
    "xtick.color": _INK,
    "ytick.color": _INK,
    "pdf.fonttype": 42,  # text stays text that can be searched and edited
    "svg.fonttype": "none",
    "svg.hashsalt": "babycli",
}


def draw(path: Path, tables: Sequence[Table], comparisons: Sequence[Comparison], by: str | None) -> None:
    """Draws differences if models are compared, groups with ``by``, else a forest plot and learning curves if any.

    Raises DataError where there is nothing to draw or ``path`` cannot be written.
    """
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font does not have, and of names that need much room
        figure = _figure(tables, comparisons, by)
        _settle(figure)
        stream = io.BytesIO()
        dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        form = path.suffix.removeprefix(".")
        figure.savefig(stream, format=form, dpi=200, metadata=dated.get(form), bbox_inches="tight")
    write_atomically(path, stream.getvalue())


def _figure(tables: Sequence[Table], comparisons: Sequence[Comparison], by: str | None) -> Figure:
    if comparisons:
        return _differences(comparisons)
    rows = [row for table in tables for row in table.rows]
    if by is not None:
        found = break_down(rows, by)
        if not found:
            raise no_such_groups(by, rows)
        in_time = [each for each in found if each.by.day_of is not None]
        return _over_time(in_time) if in_time else _heat_maps(found)
    return _forest(tables)


def _settle(figure: Figure) -> None:
    """Lays a figure out once, and rounds all places: the last digits of matplotlib's solver depend on chance."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    parts: Sequence[Any] = figure.subfigs
    for part in parts:  # matplotlib has no public way to place one
        part._redo_transform_rel_fig(Bbox.from_bounds(*map(_rounded, part.bbox_relative.bounds)))
    for text in [text for part in (figure, *parts) for text in part.texts]:
        text.set_position([_rounded(value) for value in text.get_position()])
    for panel in figure.axes:
        x, y, width, height = map(_rounded, panel.get_position().bounds)
        panel.set_position((x, y, width, height))


def _rounded(place: float) -> float:
    return round(place, 6)


def _words(text: str) -> str:
    """Gives a name as there is room for it; no font has what steers a terminal."""
    return shortened(printable(text), _MOST_CHARACTERS)


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, _WIDEST_IN), min(height, _WIDEST_IN)), layout="constrained")


@dataclass(frozen=True, slots=True)
class _Strip:
    """Panels side by side: columns of one table, and the rows that have a number there."""

    table: Table
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    published: tuple[PublishedRow, ...]
    said: str  # above it
    is_warning: bool

    @property
    def names(self) -> list[str]:
        return [*(_words(row.label) for row in self.rows), *(f"{row.label} (published)" for row in self.published)]


def _forest(tables: Sequence[Table]) -> Figure:
    """Draws a row of panels per table, one for each metric, models down; below them the learning curves and a key."""
    strips = [strip for table in tables for strip in _strips_of(table)]
    curves = [(series, of.columns) for of in strips for series in training_runs(of.table.rows).values()]
    heights = [0.9 + 0.2 * bool(strip.said) + 0.22 * len(strip.names) for strip in strips] + [2.2] * len(curves) + [0.4]
    n_columns = max(len(strip.columns) for strip in strips)
    longest = max(len(name) for strip in strips for name in strip.names)
    figure = _new_figure(0.4 + _CHARACTER_IN * longest + 1.4 * n_columns, sum(heights))
    *parts, key = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, strip in zip(parts, strips, strict=False):
        if strip.said:
            part.suptitle(_words(strip.said), fontsize=8, **({"color": _CONTROL} if strip.is_warning else {}))
        for panel, column in _panels(part, strip.columns, n_columns, share_rows=True):
            _forest_panel(panel, strip, column)
    for part, (series, columns) in zip(parts[len(strips) :], curves, strict=True):
        part.suptitle(_words(series[0].series), fontsize=8)
        for panel, column in _panels(part, columns, n_columns, share_rows=False):
            _curve_panel(panel, series, column)
    key.legend(handles=_key(strips), loc="center", ncols=4, frameon=False)
    return figure


def _panels(
    part: SubFigure, columns: Sequence[Column], n_columns: int, share_rows: bool
) -> Iterator[tuple[Axes, Column]]:
    """Gives a panel for each column; of the ``n_columns`` that there is room for, the others are hidden."""
    panels = part.subplots(1, n_columns, sharey=share_rows, squeeze=False)[0]
    for panel in panels[len(columns) :]:
        panel.set_visible(False)
    yield from zip(panels, columns, strict=False)


def _key(strips: Sequence[_Strip]) -> list[Line2D]:
    """Makes the key of what is drawn in these strips."""
    from matplotlib.lines import Line2D

    rows = [row for strip in strips for row in strip.rows]
    chances = [strip.table.metric(column).chance for strip in strips for column in strip.columns]
    whole: Any = {"linewidth": 1.2, "markersize": 3.5}
    known = (
        (any(not row.control for row in rows), "model, 95 % interval", {"marker": "o", "color": _COLOURS[0], **whole}),
        (any(row.control for row in rows), "control, 95 % interval", {"marker": "s", "color": _CONTROL, **whole}),
        (any(strip.published for strip in strips), "published", _PUBLISHED | {"linestyle": "none"}),
        (any(chance is not None for chance in chances), "chance", _CHANCE),
    )
    return [Line2D([], [], label=label, **style) for is_drawn, label, style in known if is_drawn]


def _strips_of(table: Table) -> list[_Strip]:
    """Divides a table, with what must be said of it above the first of its strips."""
    demo = f"{data_set_named(table.data).title}: no results on SAYCam"
    is_demo = data_set_named(table.data).is_demo
    said = [demo] if is_demo else [table.title] if table.title else []
    shown = _shown(table)
    said += [f"the latest {len(shown)} of {len(table.rows)} models"] if len(shown) < len(table.rows) else []
    is_warning = said != [table.title]
    strips: list[_Strip] = []
    for columns in _strips(table):
        rows = tuple(row for row in shown if any(column in row.cells for column in columns))
        published = tuple(row for row in table.published if any(column in row.values for column in columns))
        if rows or published:
            strips.append(_Strip(table, columns, rows, published, "" if strips else "; ".join(said), is_warning))
    return strips


def _strips(table: Table) -> list[tuple[Column, ...]]:
    """Gives the columns of a table in strips of panels; those by the authors' rules are no other score."""
    columns = [column for column in table.columns if not metric_of(*column).twin_of]
    return [tuple(columns[i : i + MAX_PANELS]) for i in range(0, len(columns), MAX_PANELS)]


def _shown(table: Table) -> list[TableRow]:
    """Gives all rows, or of very many those of the latest runs."""
    rows = list(table.rows)
    if len(rows) <= MAX_ROWS:
        return rows
    latest = sorted(rows, key=lambda row: row.runs[-1].date)[-MAX_ROWS:]
    return [row for row in rows if row in latest]


def _forest_panel(panel: Axes, strip: _Strip, column: Column) -> None:
    metric = metric_of(*column)
    scale = metric.shown_scale
    for y, row in enumerate(strip.rows):
        cell = row.cells.get(column)
        if cell is None:
            continue
        colour = _CONTROL if row.control else _COLOURS[0]
        if cell.interval is not None:
            low, high = cell.interval
            panel.hlines(y, scale * low, scale * high, color=colour, linewidth=1.2)
        panel.plot([scale * cell.value], [y], "s" if row.control else "o", color=colour, markersize=3.5)
    for y, other in enumerate(strip.published, len(strip.rows)):
        if column in other.values:
            panel.plot([scale * other.values[column]], [y], **_PUBLISHED)
    _chance_line(panel, strip.table.metric(column), vertical=True)
    names = strip.names
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.locator_params(axis="x", nbins=3)  # as many as numbers have room for
    panel.set_xlabel(_scale(metric))
    heads = heading if len(_strips(strip.table)) == 1 else short_heading
    panel.set_title("\n".join(map(_words, heads(column))))
    panel.grid(axis="x", color="#e5e7eb", linewidth=0.6)
    panel.set_axisbelow(True)


def _scale(metric: Metric) -> str:
    """Says what stands along an axis: ``%``, or ``METEOR × 100``."""
    return values.with_scales([metric], "×", "%")[0]


def _chance_line(panel: Axes, metric: Metric, vertical: bool) -> None:
    if metric.chance is not None:
        line = panel.axvline if vertical else panel.axhline
        line(metric.shown_scale * metric.chance, **_CHANCE)


def _curve_panel(panel: Axes, series: Sequence[TableRow], column: Column) -> None:
    metric = metric_of(*column)
    points = [(row.step or 0, row.cells[column]) for row in series if column in row.cells]
    steps = [step for step, _ in points]
    heights = [metric.shown_scale * cell.value for _, cell in points]
    panel.plot(steps, heights, "o-", color=_COLOURS[0], markersize=3, linewidth=1.2)
    _band(panel, steps, [cell.interval or (cell.value, cell.value) for _, cell in points], metric, _COLOURS[0])
    _chance_line(panel, metric, vertical=False)
    panel.set_title("\n".join(map(_words, heading(column))))
    panel.set_xlabel("step")
    panel.set_ylabel(_scale(metric))
    panel.tick_params(axis="x", labelrotation=45)


def _band(panel: Axes, at: Any, intervals: Sequence[Interval], metric: Metric, colour: str) -> None:
    low, high = ([metric.shown_scale * interval[end] for interval in intervals] for end in (0, 1))
    panel.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _differences(comparisons: Sequence[Comparison]) -> Figure:
    """Draws each difference with its interval, and zero; a panel for each pair and unit, as units share no axis."""
    pairs = list(dict.fromkeys((c.first.label, c.second.label) for c in comparisons))
    units = list(dict.fromkeys(_unit(metric_of(c.task, c.metric)) for c in comparisons))
    parts = [
        [
            c
            for c in comparisons
            if (c.first.label, c.second.label) == pair and _unit(metric_of(c.task, c.metric)) == unit
        ]
        for pair in pairs
        for unit in units
    ]
    columns = {(c.task, c.metric) for c in comparisons}
    figure = _new_figure(5.5, 0.8 * len(units) + len(pairs) * (0.35 * len(units) + 0.24 * len(columns)))
    panels = figure.subplots(
        len(parts),
        1,
        sharex=len(units) == 1,
        squeeze=False,
        height_ratios=None if len(units) == 1 else [0.6 + len(part) for part in parts],
    )[:, 0]
    for i, (panel, part) in enumerate(zip(panels, parts, strict=True)):
        if i >= len(units) > 1:
            panel.sharex(panels[i % len(units)])  # before anything is drawn: an axis is not widened afterwards
        _differences_panel(panel, part)
        if i % len(units) == 0:
            first, second = pairs[i // len(units)]
            panel.set_title(f"{_words(first)} − {_words(second)}", loc="left")
    for panel, unit in zip(panels[-len(units) :], units, strict=True):
        panel.set_xlabel(f"difference in {unit}, 95 % interval; filled: p < 0.05 after Holm")
    return figure


def _unit(metric: Metric) -> str:
    """Names what a difference is counted in: points for all metrics of 0 to 100, else the metric itself."""
    return "points" if metric.shown_scale == 100 else metric.title


def _differences_panel(panel: Axes, comparisons: Sequence[Comparison]) -> None:
    for y, comparison in enumerate(comparisons):
        paired, scale = comparison.paired, metric_of(comparison.task, comparison.metric).shown_scale
        colour = _COLOURS[0] if comparison.is_significant else _QUIET
        low, high = paired.ci95
        if math.isfinite(low):  # a single trial without bounds tells nothing
            panel.hlines(y, scale * low, scale * high, color=colour, linewidth=1.2)
        face = colour if comparison.is_significant else "white"
        panel.plot([scale * paired.difference], [y], "o", color=colour, markerfacecolor=face, markersize=4)
    panel.set_yticks(range(len(comparisons)), [_words(" ".join(heading((c.task, c.metric)))) for c in comparisons])
    panel.set_ylim(len(comparisons) - 0.4, -0.6)
    panel.axvline(0, color=_INK, linewidth=0.8)
    panel.grid(axis="x", color="#e5e7eb", linewidth=0.6)
    panel.set_axisbelow(True)


def _heat_maps(breakdowns: Sequence[Breakdown]) -> Figure:
    """Draws a map for each task, models down, groups across; colours only where a metric has bounds."""
    tasks = list(dict.fromkeys(each.task for each in breakdowns))
    maps = [[each for each in breakdowns if each.task == task] for task in tasks]
    groups = [list(dict.fromkeys(g.group for each in of for g in each.groups)) for of in maps]
    heights = [1.6 + 0.3 * len(of) for of in maps]
    figure = _new_figure(2.5 + 0.42 * max(len(names) for names in groups), sum(heights))
    panels = figure.subplots(len(maps), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, of, names in zip(panels, maps, groups, strict=True):
        metric = of[0].metric
        scores = np.full((len(of), len(names)), np.nan)
        for i, each in enumerate(of):
            for group in each.groups:
                scores[i, names.index(group.group)] = metric.shown_scale * group.value
        image = _heat(panel, scores, metric)
        panel.set_yticks(range(len(of)), [_words(each.row.label) for each in of])
        panel.set_xticks(range(len(names)), list(map(_words, names)), rotation=45, ha="right", rotation_mode="anchor")
        lead = _words(" ".join(heading((of[0].task, metric.name))))
        panel.set_title(lead if metric.chance is None else f"{lead}, chance {_chance_told(metric)}")
        if image is not None:
            figure.colorbar(image, ax=panel, shrink=0.8)
    return figure


def _heat(panel: Axes, scores: Floats, metric: Metric) -> AxesImage | None:
    """Draws the cells; the colours of a metric without bounds would mean nothing, so there are none."""
    low, high = (metric.shown_scale * end for end in metric.limits)
    has_colours = math.isfinite(low) and math.isfinite(high)
    if has_colours:
        colours = "cividis" if metric.higher_is_better else "cividis_r"
        image = panel.imshow(scores, cmap=colours, vmin=low, vmax=high, aspect="auto")
    else:
        image = panel.imshow(np.zeros_like(scores), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for (i, j), score in np.ndenumerate(scores):
        if not np.isnan(score):
            from_worst = score - low if metric.higher_is_better else high - score
            is_dark = has_colours and from_worst < 55 * (high - low) / 100
            text = f"{score:.0f}" if metric.shown_scale == 100 else values.number(metric, score / metric.shown_scale)
            panel.text(j, i, text, ha="center", va="center", fontsize=6.5, color="white" if is_dark else _INK)
    return image if has_colours else None


def _chance_told(metric: Metric) -> str:
    assert metric.chance is not None
    return f"{100 * metric.chance:.0f} %" if metric.is_share else values.number(metric, metric.chance)


def _over_time(breakdowns: Sequence[Breakdown]) -> Figure:
    """Draws scores over the months of their groups; a panel for each task, a line for each model."""
    tasks = list(dict.fromkeys(each.task for each in breakdowns))
    labels = list(dict.fromkeys(each.row.label for each in breakdowns))
    # The names stand above the panels: beside them, long ones would leave these no room.
    figure = _new_figure(8, 0.4 + 0.17 * len(labels) + 2.2 * len(tasks))
    panels = figure.subplots(len(tasks), 1, sharex=True, squeeze=False)[:, 0]
    lines, shown = {}, set()
    for panel, task in zip(panels, tasks, strict=True):
        of_task = [each for each in breakdowns if each.task == task]
        metric = of_task[0].metric
        for each in of_task:
            months = by_month(each)
            at = np.array([month.month for month in months], dtype="datetime64[M]")
            shown |= {*at}
            number = labels.index(each.row.label)
            colour, style = _COLOURS[number % len(_COLOURS)], ("-", "--", ":")[number // len(_COLOURS) % 3]
            heights = [metric.shown_scale * month.value for month in months]
            (lines[each.row.label],) = panel.plot(at, heights, "o", linestyle=style, color=colour, markersize=3)
            if len(labels) <= MAX_BANDS:
                _band(panel, at, [month.ci95 or (month.value, month.value) for month in months], metric, colour)
        _chance_line(panel, metric, vertical=False)
        panel.set_title(_words(" ".join(heading((task, metric.name)))), loc="left")
    if shown:
        ticks = _ticks(min(shown), max(shown))
        panels[-1].set_xticks(ticks, [str(month) for month in ticks])
    bands = ", 95 % interval of a share of the month's trials" if len(labels) <= MAX_BANDS else ""
    panels[-1].set_xlabel(f"{_months_told(breakdowns[0].by)}{bands}")
    figure.legend(
        [lines[label] for label in labels], list(map(_words, labels)), loc="outside upper left", frameon=False
    )
    return figure


def _ticks(first: np.datetime64, last: np.datetime64) -> list[np.datetime64]:
    """Gives the months that are named: every month, or every second, third, ... of a longer time."""
    needed = (int((last - first).astype(int)) + MAX_MONTHS) // MAX_MONTHS
    step = next((step for step in (1, 2, 3, 4, 6) if step >= needed), -(-needed // 12) * 12)
    return list(np.arange(first, last + 1, step))


def _months_told(by: Grouping) -> str:
    """Writes ``month of recording (the child's age)``."""
    return f"month{f' of {by.dated_by}' if by.dated_by else ''}{f' ({by.age})' if by.age else ''}"


@dataclass(frozen=True, slots=True)
class Month:
    month: str  # 2013-05
    value: float
    n_trials: int
    ci95: Interval | None  # of shares


def by_month(breakdown: Breakdown) -> list[Month]:
    """Takes the groups of each month together; those whose day is not known are left out."""
    sums: dict[str, tuple[float, int]] = {}
    for group in breakdown.groups:
        if group.day is not None:
            total, n = sums.get(f"{group.day:%Y-%m}", (0.0, 0))
            sums[f"{group.day:%Y-%m}"] = total + group.value * group.n_trials, n + group.n_trials
    low, high = breakdown.metric.limits
    months = []
    for month, (total, n) in sorted(sums.items()):
        value = max(low, min(high, total / n))
        months.append(Month(month, value, n, wilson95(value, n) if breakdown.metric.is_share else None))
    return months
