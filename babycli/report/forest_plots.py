"""The figure of a summary: forest plots, with learning curves below them where there are checkpoints.

Owns which panels it has, and what stands in them: intervals always, chance where there is one. Never computes a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babycli.data.datasets import data_set_named
from babycli.report.baselines import PublishedRow
from babycli.report.html_figures import is_logarithmic, step_text
from babycli.report.plot_style import (
    CHANCE,
    GRID,
    INK,
    LINE_IN,
    MODEL,
    ONE_COLUMN,
    QUIET,
    TWO_COLUMNS,
    draw_band,
    draw_chance,
    height_of,
    middles_of,
    n_lines,
    new_figure,
    on_lines,
    scale_told,
    set_ticks,
    width_of,
)
from babycli.report.rows import Column, TableRow, training_runs
from babycli.report.tables import Table, heading, short_heading
from babycli.tasks.about import metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

MAX_ROWS = 60  # of a forest plot: beyond that the names cannot be read
MAX_PANELS = 4  # side by side, so that a figure fits the two columns of a paper
_PANEL_IN = 1.3  # a panel is wide
_TITLE_ROOM = 18  # characters of a panel's title on one line
_MIDDLE = 0.2  # of an axis: so far from the middle, a name does not run into those at the ends
_MARKS: Any = {"linewidth": 1.2, "markersize": 3.8}
_MEASURED: Any = {"marker": "o", "color": MODEL, **_MARKS}
_CONTROL: Any = {"marker": "o", "color": QUIET, "markerfacecolor": "white", **_MARKS}
_PUBLISHED: Any = {"marker": "D", "color": INK, "markerfacecolor": "white", "markersize": 3.8, "linestyle": "none"}


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
        labels = [*(row.label for row in self.rows), *(f"{row.label} (published)" for row in self.published)]
        return list(map(on_lines, labels))

    @property
    def titles(self) -> dict[Column, str]:
        """What stands above each panel."""
        return {column: "\n".join(on_lines(part, _TITLE_ROOM) for part in _heads(column)) for column in self.columns}

    @property
    def height(self) -> float:
        lines = max(map(n_lines, self.titles.values())) + bool(self.said)
        return 0.5 + LINE_IN * (lines + height_of(self.names))


def _heads(column: Column) -> tuple[str, str]:
    """Gives task and metric, in short where they do not fit above a panel."""
    in_full = heading(column)
    return in_full if max(map(len, in_full)) <= _TITLE_ROOM else short_heading(column)


def draw_forest(tables: Sequence[Table]) -> Figure:
    """Draws a row of panels per table, one for each metric, models down; below them the learning curves and a key."""
    strips = [strip for table in tables for strip in _strips_of(table)]
    curves = [(series, of) for of in strips for series in training_runs(of.table.rows).values()]
    n_columns = max(len(strip.columns) for strip in strips)
    names = width_of(name for strip in strips for name in strip.names)
    width = max(ONE_COLUMN, min(TWO_COLUMNS, 0.3 + names + _PANEL_IN * n_columns))
    key_columns = 2 if width < 2 * ONE_COLUMN - 1 else 4
    key = _key(strips)
    key_height = LINE_IN * (-(-len(key) // key_columns) + 1)
    heights = [strip.height for strip in strips] + [1.9] * len(curves) + [key_height]
    figure = new_figure(width, sum(heights))
    *parts, foot = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, strip in zip(parts, strips, strict=False):
        if strip.said:
            weight = "bold" if strip.is_warning else "normal"
            part.suptitle(on_lines(strip.said, int(width / width_of(["n"]))), fontsize=8, fontweight=weight)
        for panel, column in _panels(part, strip.columns, n_columns, share_rows=True):
            _forest_panel(panel, strip, column)
    for part, (series, of) in zip(parts[len(strips) :], curves, strict=True):
        part.suptitle(on_lines(series[0].series, int(width / width_of(["n"]))), fontsize=8)
        for panel, column in _panels(part, of.columns, n_columns, share_rows=False):
            _curve_panel(panel, series, of, column)
    foot.legend(handles=key, loc="center", ncols=key_columns, frameon=False)
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
    known = (
        (any(not row.control for row in rows), "model, 95 % interval", _MEASURED),
        (any(row.control for row in rows), "control, 95 % interval", _CONTROL),
        (any(strip.published for strip in strips), "published", _PUBLISHED),
        (any(chance is not None for chance in chances), "chance", CHANCE),
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
    """Gives the columns of a table in strips of about equal width; those by the authors' rules are no other score."""
    columns = [column for column in table.columns if not metric_of(*column).twin_of]
    n_strips = -(-len(columns) // MAX_PANELS)
    wide = -(-len(columns) // max(1, n_strips))
    return [tuple(columns[i : i + wide]) for i in range(0, len(columns), wide)] if columns else []


def _shown(table: Table) -> list[TableRow]:
    """Gives all rows, or of very many those of the latest runs."""
    rows = list(table.rows)
    if len(rows) <= MAX_ROWS:
        return rows
    latest = sorted(rows, key=lambda row: row.runs[-1].date)[-MAX_ROWS:]
    return [row for row in rows if row in latest]


def _forest_panel(panel: Axes, strip: _Strip, column: Column) -> None:
    metric = metric_of(*column)
    scale, names = metric.shown_scale, strip.names
    places = middles_of(names)
    for y, row in zip(places, strip.rows, strict=False):
        cell = row.cells.get(column)
        if cell is None:
            continue
        style = _CONTROL if row.control else _MEASURED
        if cell.interval is not None:
            low, high = cell.interval
            panel.hlines(y, scale * low, scale * high, color=style["color"], linewidth=1.2)
        panel.plot([scale * cell.value], [y], **style)
    for y, other in zip(places[len(strip.rows) :], strip.published, strict=True):
        if column in other.values:
            panel.plot([scale * other.values[column]], [y], **_PUBLISHED)
    draw_chance(panel, strip.table.metric(column), vertical=True)
    panel.set_yticks(places, names)
    for text, row in zip(panel.get_yticklabels(), strip.rows, strict=False):
        text.set_fontstyle("italic" if row.control else "normal")
    panel.set_ylim(height_of(names), 0)
    panel.tick_params(axis="y", length=0)
    panel.margins(x=0.08)
    set_ticks(panel, "x", metric, most=4)
    panel.set_xlabel(scale_told(metric))
    panel.set_title(strip.titles[column])
    panel.grid(axis="x", **GRID)
    panel.set_axisbelow(True)


def _curve_panel(panel: Axes, series: Sequence[TableRow], strip: _Strip, column: Column) -> None:
    metric = metric_of(*column)
    points = [(row.step or 0, row.cells[column]) for row in series if column in row.cells]
    steps = [step for step, _ in points]
    heights = [metric.shown_scale * cell.value for _, cell in points]
    panel.plot(steps, heights, "o-", color=MODEL, markersize=3, linewidth=1.2)
    draw_band(panel, steps, [cell.interval or (cell.value, cell.value) for _, cell in points], metric, MODEL)
    draw_chance(panel, metric, vertical=False)
    panel.set_title(strip.titles[column])
    panel.set_ylabel(scale_told(metric))
    set_ticks(panel, "y", metric, most=5)
    is_log = is_logarithmic(steps)
    if is_log:
        panel.set_xscale("log")
    panel.set_xlabel("step (logarithmic)" if is_log else "step")
    _name_steps(panel, sorted(set(steps)), is_log)


def _name_steps(panel: Axes, steps: Sequence[int], is_log: bool) -> None:
    """Names the first and the last step, and one about in the middle between them, if there is any."""
    from matplotlib.ticker import NullLocator

    at = [math.log(step) if is_log else float(step) for step in steps]
    first, last = at[0], at[-1]
    far = [abs(place - (first + last) / 2) / ((last - first) or 1) for place in at]
    nearest = min(range(len(steps)), key=far.__getitem__)
    named = sorted({0, *([nearest] if far[nearest] < _MIDDLE else []), len(steps) - 1})
    panel.set_xticks([steps[i] for i in named], [step_text(steps[i]) for i in named])
    panel.xaxis.set_minor_locator(NullLocator())
