"""Figures for a paper, as PDF, SVG or PNG, drawn by matplotlib.

Owns which figure is drawn, and that of differences. The same runs give the same bytes. Never computes a number.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli.domain import Metric
from babycli.files import write_atomically
from babycli.report.breakdown import break_down, no_such_groups
from babycli.report.compare import Comparison
from babycli.report.forest_plots import draw_forest
from babycli.report.group_plots import draw_heat_maps, draw_over_time
from babycli.report.plot_style import (
    GRID,
    INK,
    LINE_IN,
    MODEL,
    ONE_COLUMN,
    QUIET,
    STYLE,
    height_of,
    middles_of,
    n_lines,
    new_figure,
    on_lines,
    set_ticks,
)
from babycli.report.tables import Table, heading
from babycli.tasks.about import metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAIR_ROOM = 50  # characters of a pair's names on one line


def draw(path: Path, tables: Sequence[Table], comparisons: Sequence[Comparison], by: str | None) -> None:
    """Draws differences if models are compared, groups with ``by``, else a forest plot and learning curves if any.

    Raises DataError where there is nothing to draw or ``path`` cannot be written.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font does not have, and of names that need much room
        figure = _figure(tables, comparisons, by)
        _settle(figure)
        stream = io.BytesIO()
        dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        form = path.suffix.removeprefix(".")
        figure.savefig(stream, format=form, dpi=200, metadata=dated.get(form), bbox_inches="tight", pad_inches=0.05)
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
        return draw_over_time(in_time) if in_time else draw_heat_maps(found)
    return draw_forest(tables)


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
    titles = [_pair_told(first, second) for first, second in pairs]
    heights = []
    for i, part in enumerate(parts):
        n_above = n_lines(titles[i // len(units)]) if i % len(units) == 0 else 0
        n_below = 3 if len(units) > 1 or i == len(parts) - 1 else 1
        heights.append(LINE_IN * (n_above + n_below + 1.5 + height_of(_names(part))))
    figure = new_figure(ONE_COLUMN, sum(heights))
    panels = figure.subplots(len(parts), 1, sharex=len(units) == 1, squeeze=False, height_ratios=heights)[:, 0]
    for i, (panel, part) in enumerate(zip(panels, parts, strict=True)):
        if i >= len(units) > 1:
            panel.sharex(panels[i % len(units)])  # before anything is drawn: an axis is not widened afterwards
        _differences_panel(panel, part)
        if i % len(units) == 0:
            panel.set_title(titles[i // len(units)], loc="right")
    for panel, unit in zip(panels[-len(units) :], units, strict=True):
        panel.set_xlabel(f"difference in {unit}, 95 % interval\nfilled: p < 0.05 after Holm")
    return figure


def _pair_told(first: str, second: str) -> str:
    """Writes ``A − B``, on lines of their own where they are long."""
    is_short = len(f"{first} − {second}") <= _PAIR_ROOM
    return on_lines(first, _PAIR_ROOM) + (" − " if is_short else "\n− ") + on_lines(second, _PAIR_ROOM)


def _unit(metric: Metric) -> str:
    """Names what a difference is counted in: points for all metrics of 0 to 100, else the metric itself."""
    return "points" if metric.shown_scale == 100 else metric.title


def _names(comparisons: Sequence[Comparison]) -> list[str]:
    return [on_lines(" ".join(heading((c.task, c.metric)))) for c in comparisons]


def _differences_panel(panel: Axes, comparisons: Sequence[Comparison]) -> None:
    names = _names(comparisons)
    places = middles_of(names)
    for y, comparison in zip(places, comparisons, strict=True):
        paired, scale = comparison.paired, metric_of(comparison.task, comparison.metric).shown_scale
        colour = MODEL if comparison.is_significant else QUIET
        low, high = paired.ci95
        if math.isfinite(low):  # a single trial without bounds tells nothing
            panel.hlines(y, scale * low, scale * high, color=colour, linewidth=1.2)
        face = colour if comparison.is_significant else "white"
        panel.plot([scale * paired.difference], [y], "o", color=colour, markerfacecolor=face, markersize=4)
    panel.set_yticks(places, names)
    panel.tick_params(axis="y", length=0)
    panel.margins(x=0.08)
    set_ticks(panel, "x", metric_of(comparisons[0].task, comparisons[0].metric), most=5)
    panel.set_ylim(height_of(names), 0)
    panel.axvline(0, color=INK, linewidth=0.8)
    panel.grid(axis="x", **GRID)
    panel.set_axisbelow(True)
