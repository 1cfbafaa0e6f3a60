"""The figures of groups: heat maps, and lines over the months of groups that lie in time.

Owns what is drawn of a breakdown. Never computes the score of a group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from babycli.domain import Metric
from babycli.report import values
from babycli.report.breakdown import Breakdown
from babycli.report.measure import Interval
from babycli.report.plot_style import (
    CHANCE,
    INK,
    LINE_IN,
    TWO_COLUMNS,
    draw_band,
    draw_chance,
    height_of,
    in_words,
    n_lines,
    new_figure,
    on_lines,
    scale_told,
    set_ticks,
    width_of,
)
from babycli.report.tables import heading
from babycli.report.trials import Floats
from babycli.stats import wilson95
from babycli.tasks.groups import Grouping

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MAX_BANDS = 3  # intervals of so many lines can be told apart
MAX_MONTHS = 10  # that have room for their names side by side
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe & Ito: told apart by all
_CELL_IN = (0.21, 0.45)  # a cell of a heat map is wide, of two digits at least and at most
_BAR_IN = 0.75  # the bar of colours is wide, with its numbers
_LINE_ROOM = 90  # characters of a name over a figure of two columns


def draw_heat_maps(breakdowns: Sequence[Breakdown]) -> Figure:
    """Draws a map for each task, models down, groups across; colours only where a metric has bounds."""
    tasks = list(dict.fromkeys(each.task for each in breakdowns))
    maps = [[each for each in breakdowns if each.task == task] for task in tasks]
    groups = [list(dict.fromkeys(g.group for each in of for g in each.groups)) for of in maps]
    labels = [[on_lines(each.row.label) for each in of] for of in maps]
    below = [0.75 * min(width_of([in_words(name)]), 2.0) for name in map(_longest, groups)]  # names are aslant
    heights = [0.6 + room + LINE_IN * height_of(of) for of, room in zip(labels, below, strict=True)]
    for_names = 0.3 + max(map(width_of, labels)) + _BAR_IN
    most = max(len(names) for names in groups)
    wide = all(of[0].metric.shown_scale == 100 for of in maps)
    cell = max(_CELL_IN[0], min(_CELL_IN[1], (TWO_COLUMNS - for_names) / most)) if wide else _CELL_IN[1]
    figure = new_figure(for_names + cell * most, sum(heights))
    panels = figure.subplots(len(maps), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, of, of_rows, names in zip(panels, maps, labels, groups, strict=True):
        metric = of[0].metric
        scores = np.full((len(of), len(names)), np.nan)
        for i, each in enumerate(of):
            for group in each.groups:
                scores[i, names.index(group.group)] = metric.shown_scale * group.value
        image = _heat(panel, scores, metric)
        panel.set_yticks(range(len(of)), of_rows)
        panel.set_xticks(range(len(names)), list(map(in_words, names)), rotation=45, ha="right", rotation_mode="anchor")
        panel.tick_params(length=0)
        lead = in_words(" ".join(heading((of[0].task, metric.name))))
        panel.set_title(lead if metric.chance is None else f"{lead}, chance {_chance_told(metric)}")
        if image is not None:
            scale = scale_told(metric)
            bar = figure.colorbar(image, ax=panel, fraction=0.05, pad=0.02)
            bar.set_label(scale, rotation=0 if scale == "%" else 90)
    return figure


def _longest(names: Sequence[str]) -> str:
    return max(names, key=len)


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
            panel.text(j, i, text, ha="center", va="center", fontsize=6.5, color="white" if is_dark else INK)
    return image if has_colours else None


def _chance_told(metric: Metric) -> str:
    assert metric.chance is not None
    return f"{100 * metric.chance:.0f} %" if metric.is_share else values.number(metric, metric.chance)


def draw_over_time(breakdowns: Sequence[Breakdown]) -> Figure:
    """Draws scores over the months of their groups; a panel for each task, a line for each model."""
    from matplotlib.lines import Line2D

    tasks = list(dict.fromkeys(each.task for each in breakdowns))
    labels = list(dict.fromkeys(each.row.label for each in breakdowns))
    # The names stand above the panels: beside them, long ones would leave these no room.
    names = [on_lines(label, _LINE_ROOM) for label in labels]
    n_columns = max(1, int(TWO_COLUMNS / (width_of(names) + 0.6)))
    above = sum(map(n_lines, names)) / n_columns + 1.5
    figure = new_figure(TWO_COLUMNS, 0.4 + LINE_IN * 1.15 * above + 1.8 * len(tasks))
    panels = figure.subplots(len(tasks), 1, sharex=True, squeeze=False)[:, 0]
    lines, shown, has_chance = {}, set(), False
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
                draw_band(panel, at, [month.ci95 or (month.value, month.value) for month in months], metric, colour)
        draw_chance(panel, metric, vertical=False)
        panel.set_title(in_words(" ".join(heading((task, metric.name)))), loc="left")
        panel.set_ylabel(scale_told(metric))
        set_ticks(panel, "y", metric, most=5)
        has_chance = has_chance or metric.chance is not None
    if shown:
        ticks = _ticks(min(shown), max(shown))
        panels[-1].set_xticks(ticks, [str(month) for month in ticks])
    bands = ", 95 % interval of a share of the month's trials" if len(labels) <= MAX_BANDS else ""
    panels[-1].set_xlabel(f"{_months_told(breakdowns[0].by)}{bands}")
    handles = [lines[label] for label in labels]
    if has_chance:
        handles.append(Line2D([], [], **CHANCE))
        names.append("chance")
    figure.legend(handles, names, loc="outside upper left", frameon=False, ncols=n_columns)
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
