"""What a run of a control tells by itself: how it stands to chance, and what the model gains with pictures.

Owns these sentences. The gain is that of gain.py, which the report shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.report import values
from babycli.report.gain import Gain, is_above, visual_gain
from babycli.report.rows import Column, TableRow, controls_of, make_rows
from babycli.report.runs import Run
from babycli.report.tables import short_heading
from babycli.tasks.about import in_order, metric_of

_MOST = 4  # sentences of one run


def control_notes(control: Run, beside: Sequence[Run]) -> list[str]:
    """Says of each main metric of a control what it tells, at most four; ``beside`` are the runs in the same logs."""
    alike = [run for run in beside if (run.model, run.data) == (control.model, control.data)]
    rows = make_rows(alike)
    own = next((row for row in rows if any(run.path == control.path for run in row.runs)), None)
    gains = [] if own is None else _gains_over(own, rows)
    mains = [
        (task.name, metric.name)
        for task in in_order(task for task, _ in control.cells)
        if (metric := task.main_of(name for of, name in control.cells if of == task.name)) is not None
    ]
    return [_sentence(control, column, gains) for column in mains[:_MOST]]


def _gains_over(control: TableRow, rows: Sequence[TableRow]) -> list[Gain]:
    """Finds the gains of the models that this is a control of, the latest first."""
    seeing = [row for row in rows if control in controls_of(row, rows, control.control)]
    return [gain for row in reversed(seeing) if (gain := visual_gain(row, rows)) is not None]


def _sentence(control: Run, column: Column, gains: Sequence[Gain]) -> str:
    """Writes ``blind: VTWT acc 44.0 ±9.8, not above chance (50.0); with pictures 97.0, gain +47.0 [..] over ...``."""
    cell, metric = control.cells[column], metric_of(*column)
    half = "" if cell.half_width is None else f" {values.half_width(metric, cell.half_width)}"
    lead = f"{control.control}: {' '.join(short_heading(column))} {values.number(metric, cell.value)}{half}"
    if cell.chance is None:
        told = [f"{lead}, which has no chance level"]
    else:
        chance = values.number(metric, cell.chance)
        if cell.interval_beyond is None:
            told = [f"{lead}, chance is {chance}"]
        else:
            side = "above" if metric.higher_is_better else "better than"
            told = [f"{lead}, {'' if is_above(metric, cell) else 'not '}{side} chance ({chance})"]
    for gain in gains:
        if column in gain.by_column:
            pair = gain.by_column[column]
            low, high = (values.difference(metric, end) for end in pair.ci95)
            over = {"shuffled": "wrong pictures", "blind": "no pictures", "chance": "chance"}[gain.over[column]]
            told.append(
                f"with pictures {values.number(metric, pair.first_value)}, "
                f"gain {values.difference(metric, pair.difference)} [{low}, {high}] over {over}"
            )
            break
    return "; ".join(told)
