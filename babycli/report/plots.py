"""Figures for a paper, as PDF, SVG or PNG, drawn by matplotlib.

Owns what is drawn and how it looks: intervals always, chance always. The same runs give the same bytes. Never computes
a number.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babycli.errors import DataError
from babycli.files import write_atomically
from babycli.report.breakdown import Breakdown, break_down, main_metric
from babycli.report.compare import Comparison
from babycli.report.measure import Interval
from babycli.report.rows import Column, TableRow, training_runs
from babycli.report.tables import Table, heading
from babycli.stats import wilson95
from babycli.tasks import all_tasks
from babycli.tasks.sessions import day_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 60  # of a forest plot: beyond that the names cannot be read
MAX_BANDS = 3  # intervals of so many lines can be told apart
_INK, _QUIET, _CONTROL = "#1f2933", "#8a94a0", "#b45309"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe & Ito: told apart by all
_STYLE: Any = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "axes.titlesize": 8,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "pdf.fonttype": 42,  # text stays text that can be searched and edited
    "svg.fonttype": "none",
    "svg.hashsalt": "babycli",
}


def draw(path: Path, made: Sequence[Table], comparisons: Sequence[Comparison], by: str | None) -> None:
    """Differences if models are compared, groups with ``by``, else a forest plot, and learning curves if there are any.

    Raises DataError where there is nothing to draw or ``path`` cannot be written.
    """
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure = _figure(made, comparisons, by)
        stream = io.BytesIO()
        dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        form = path.suffix.removeprefix(".")
        figure.savefig(stream, format=form, dpi=200, metadata=dated.get(form), bbox_inches="tight")
    write_atomically(path, stream.getvalue())


def _figure(made: Sequence[Table], comparisons: Sequence[Comparison], by: str | None) -> Figure:
    if comparisons:
        return _differences(comparisons)
    rows = [row for table in made for row in table.rows]
    if by is not None:
        found = break_down(rows, by)
        if not found:
            raise DataError(f"no run has trials by {by}", "leave out --plot, or evaluate other tasks")
        return _by_session(found) if by == "session" else _heat_maps(found)
    return _forest(made)


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _forest(made: Sequence[Table]) -> Figure:
    """A row of panels per table, one for each metric, models down; below them the learning curves."""
    curves = [(table, series) for table in made for series in training_runs(table.rows).values()]
    rows_of = {id(table): _shown(table) for table in made}
    heights = [0.7 + 0.22 * len(rows_of[id(table)]) for table in made] + [2.2] * len(curves)
    n_columns = max(len(table.columns) for table in made)
    figure = _new_figure(2.2 + 1.25 * n_columns, sum(heights))
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, table in zip(parts, made, strict=False):
        said = [f"{table.data} data: no results on SAYCam"] if table.data != "saycam" else []
        n_shown = len(rows_of[id(table)])
        said += [f"the latest {n_shown} of {len(table.rows)} models"] if n_shown < len(table.rows) else []
        if said:
            part.suptitle("; ".join(said), fontsize=8, color=_CONTROL)
        panels = part.subplots(1, len(table.columns), sharey=True, squeeze=False)[0]
        for panel, column in zip(panels, table.columns, strict=True):
            _forest_panel(panel, table, rows_of[id(table)], column)
    for part, (table, series) in zip(parts[len(made) :], curves, strict=True):
        part.suptitle(series[0].series, fontsize=8)
        panels = part.subplots(1, len(table.columns), squeeze=False)[0]
        for panel, column in zip(panels, table.columns, strict=True):
            _curve_panel(panel, series, column, table.chance(column))
    return figure


def _shown(table: Table) -> list[TableRow]:
    """All rows, or of very many those of the latest runs."""
    rows = list(table.rows)
    if len(rows) <= MAX_ROWS:
        return rows
    latest = sorted(rows, key=lambda row: row.runs[-1].date)[-MAX_ROWS:]
    return [row for row in rows if row in latest]


def _forest_panel(panel: Axes, table: Table, rows: Sequence[TableRow], column: Column) -> None:
    labels = [row.label for row in rows]
    labels += [f"{row.label} (published)" for row in table.published]
    for y, row in enumerate(rows):
        cell = row.cells.get(column)
        if cell is None:
            continue
        colour = _CONTROL if row.control else _COLOURS[0]
        if cell.interval is not None:
            low, high = cell.interval
            panel.hlines(y, 100 * low, 100 * high, color=colour, linewidth=1.2)
        panel.plot([100 * cell.value], [y], "s" if row.control else "o", color=colour, markersize=3.5)
    for y, other in enumerate(table.published, len(rows)):
        if column in other.values:
            panel.plot([100 * other.values[column]], [y], "D", color=_QUIET, markersize=3.5, fillstyle="none")
    _chance_line(panel, table.chance(column), vertical=True)
    panel.set_yticks(range(len(labels)), labels)
    panel.set_ylim(len(labels) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.set_title("\n".join(heading(column)))
    panel.grid(axis="x", color="#e5e7eb", linewidth=0.6)
    panel.set_axisbelow(True)


def _chance_line(panel: Axes, chance: float | None, vertical: bool) -> None:
    if chance is not None:
        line = panel.axvline if vertical else panel.axhline
        line(100 * chance, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))


def _curve_panel(panel: Axes, series: Sequence[TableRow], column: Column, chance: float | None) -> None:
    points = [(row.step or 0, row.cells[column]) for row in series if column in row.cells]
    steps = [step for step, _ in points]
    panel.plot(steps, [100 * cell.value for _, cell in points], "o-", color=_COLOURS[0], markersize=3, linewidth=1.2)
    _band(panel, steps, [cell.interval or (cell.value, cell.value) for _, cell in points], _COLOURS[0])
    _chance_line(panel, chance, vertical=False)
    panel.set_title("\n".join(heading(column)))
    panel.set_xlabel("step")
    panel.tick_params(axis="x", labelrotation=45)


def _band(panel: Axes, at: Any, intervals: Sequence[Interval], colour: str) -> None:
    low, high = ([100 * interval[end] for interval in intervals] for end in (0, 1))
    panel.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _differences(comparisons: Sequence[Comparison]) -> Figure:
    """Each difference with its interval, and zero."""
    pairs = list(dict.fromkeys((c.first.label, c.second.label) for c in comparisons))
    columns = list(dict.fromkeys((c.task, c.metric) for c in comparisons))
    figure = _new_figure(5.5, 0.8 + len(pairs) * (0.35 + 0.24 * len(columns)))
    panels = figure.subplots(len(pairs), 1, sharex=True, squeeze=False)[:, 0]
    for panel, pair in zip(panels, pairs, strict=True):
        of_pair = [c for c in comparisons if (c.first.label, c.second.label) == pair]
        for y, comparison in enumerate(of_pair):
            found = comparison.paired
            colour = _COLOURS[0] if comparison.is_significant else _QUIET
            low, high = found.ci95
            panel.hlines(y, 100 * low, 100 * high, color=colour, linewidth=1.2)
            face = colour if comparison.is_significant else "white"
            panel.plot([100 * found.difference], [y], "o", color=colour, markerfacecolor=face, markersize=4)
        panel.set_yticks(range(len(of_pair)), [" ".join(heading((c.task, c.metric))) for c in of_pair])
        panel.set_ylim(len(of_pair) - 0.4, -0.6)
        panel.axvline(0, color=_INK, linewidth=0.8)
        panel.set_title(f"{pair[0]} − {pair[1]}", loc="left")
        panel.grid(axis="x", color="#e5e7eb", linewidth=0.6)
        panel.set_axisbelow(True)
    panels[-1].set_xlabel("difference in points, 95 % interval; filled: p < 0.05 after Holm")
    return figure


def _heat_maps(found: Sequence[Breakdown]) -> Figure:
    """Models down, groups across, a map for each task; colours from chance on, numbers in the cells."""
    tasks = list(dict.fromkeys(each.task for each in found))
    maps = [[each for each in found if each.task == task] for task in tasks]
    groups = [list(dict.fromkeys(g.group for each in of for g in each.groups)) for of in maps]
    heights = [1.6 + 0.3 * len(of) for of in maps]
    figure = _new_figure(2.5 + 0.42 * max(len(names) for names in groups), sum(heights))
    panels = figure.subplots(len(maps), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, of, names in zip(panels, maps, groups, strict=True):
        values = np.full((len(of), len(names)), np.nan)
        for i, each in enumerate(of):
            for group in each.groups:
                values[i, names.index(group.group)] = 100 * group.value
        image = panel.imshow(values, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if not np.isnan(value):
                colour = "white" if value < 55 else _INK
                panel.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=6.5, color=colour)
        panel.set_yticks(range(len(of)), [each.row.label for each in of])
        panel.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        chance = all_tasks()[of[0].task].chance[of[0].metric]
        lead = " ".join(heading((of[0].task, of[0].metric)))
        panel.set_title(lead if chance is None else f"{lead}, chance {100 * chance:.0f} %")
        figure.colorbar(image, ax=panel, shrink=0.8)
    return figure


def _by_session(found: Sequence[Breakdown]) -> Figure:
    """The score over the month of recording, which is the child's age; a panel for each task, a line for each model."""
    tasks = list(dict.fromkeys(each.task for each in found))
    labels = list(dict.fromkeys(each.row.label for each in found))
    figure = _new_figure(8, 0.4 + 2.2 * len(tasks))
    panels = figure.subplots(len(tasks), 1, sharex=True, squeeze=False)[:, 0]
    lines = {}
    for panel, task in zip(panels, tasks, strict=True):
        for each in (of for of in found if of.task == task):
            months = by_month(each)
            at = np.array([month.month for month in months], dtype="datetime64[M]")
            number = labels.index(each.row.label)
            colour, style = _COLOURS[number % len(_COLOURS)], ("-", "--", ":")[number // len(_COLOURS) % 3]
            values = [100 * month.value for month in months]
            (lines[each.row.label],) = panel.plot(at, values, "o", linestyle=style, color=colour, markersize=3)
            if len(labels) <= MAX_BANDS:
                _band(panel, at, [month.ci95 or (month.value, month.value) for month in months], colour)
        _chance_line(panel, all_tasks()[task].chance[main_metric(task)], vertical=False)
        panel.set_title(" ".join(heading((task, main_metric(task)))), loc="left")
    bands = ", 95 % interval of a share of the month's trials" if len(labels) <= MAX_BANDS else ""
    panels[-1].set_xlabel(f"month of recording (the child's age){bands}")
    figure.legend([lines[label] for label in labels], labels, loc="outside right upper", frameon=False)
    return figure


@dataclass(frozen=True, slots=True)
class Month:
    month: str  # 2013-05
    value: float
    n_trials: int
    ci95: Interval | None  # of shares


def by_month(breakdown: Breakdown) -> list[Month]:
    """The sessions of each month taken together; sessions whose day is not known are left out."""
    sums: dict[str, tuple[float, int]] = {}
    for group in breakdown.groups:
        day = day_of(group.group)
        if day is not None:
            total, n = sums.get(f"{day:%Y-%m}", (0.0, 0))
            sums[f"{day:%Y-%m}"] = total + group.value * group.n_trials, n + group.n_trials
    is_share = all_tasks()[breakdown.task].chance[breakdown.metric] is not None
    months = []
    for month, (total, n) in sorted(sums.items()):
        value = min(1.0, total / n)
        months.append(Month(month, value, n, wilson95(value, n) if is_share else None))
    return months
