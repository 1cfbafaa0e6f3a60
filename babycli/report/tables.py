"""The summary table: models down, metrics across, chance in its own row.

Owns what stands in which cell and what a reader is told below it. Never reads a log; grid.py lays it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from babycli.report.baselines import Baselines, PublishedRow
from babycli.report.compare import Paired, is_significant
from babycli.report.gain import Gain, Suspicion, suspicions, visual_gain
from babycli.report.grid import Grid, Line
from babycli.report.load import Run
from babycli.report.measure import Cell
from babycli.report.rows import Column, TableRow, make_rows
from babycli.stats import holm
from babycli.tasks import all_tasks

# How a column is headed: task over metric, short enough for 80 columns; and in full.
_SHORT = {
    ("labeled_s", "acc"): ("Labeled-S", "acc"),
    ("vtwt", "acc"): ("VTWT", "acc"),
    ("baby_winoground", "image_score"): ("Wino", "image"),
    ("baby_winoground", "text_score"): ("Wino", "text"),
    ("baby_winoground", "group_score"): ("Wino", "group"),
    ("baby_winoground", "positive_context_group_score"): ("Wino", "pos"),
    ("baby_winoground", "negative_context_group_score"): ("Wino", "neg"),
    ("saycam_caption", "meteor"): ("Caption", "METEOR"),
}
_LONG = {
    ("baby_winoground", "image_score"): ("Baby Winoground", "image"),
    ("baby_winoground", "text_score"): ("Baby Winoground", "text"),
    ("baby_winoground", "group_score"): ("Baby Winoground", "group"),
    ("baby_winoground", "positive_context_group_score"): ("Baby Winoground", "pos.ctx"),
    ("baby_winoground", "negative_context_group_score"): ("Baby Winoground", "neg.ctx"),
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What is marked behind a number."""

    sign: str
    field: str  # of Cell, which counts it
    short: str
    meaning: str


MARKS = (
    Mark(
        "=",
        "n_ties",
        "ties",
        "ties: equal scores share the credit (under reference and in lmms-eval the first wins); in Winoground a tie is "
        "a miss",
    ),
    Mark("!", "n_nonfinite", "scores that are not finite", "NON-FINITE scores: do not trust this number"),
    Mark("-", "n_skipped", "left out", "trials left out because images are missing"),
)
_NOT_FAIR = "*"
_SUSPICIOUS = "^"

DATA_NOTES = {
    "demo": "DEMO DATA: drawn pictures that come with babycli; these are not results on SAYCam.",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table; all rows are of one edition of the data. ``columns`` are (task, metric)."""

    data: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    gains: Mapping[str, Gain]  # by the label of the row
    suspicions: tuple[Suspicion, ...]
    baselines: Baselines | None

    @property
    def runs(self) -> list[Run]:
        return [run for row in self.rows for run in row.runs]

    @property
    def published(self) -> list[PublishedRow]:
        """The published models; chance, which is published as well, is a row of its own."""
        return [row for row in (self.baselines.rows if self.baselines else ()) if row.label != "chance"]

    def chance(self, column: Column) -> float | None:
        task, metric = column
        return all_tasks()[task].chance.get(metric)

    def units(self, column: Column) -> list[int]:
        return sorted({row.cells[column].n_units for row in self.rows if column in row.cells})


def make_tables(runs: Sequence[Run], baselines: Baselines | None = None) -> list[Table]:
    """A table per edition of the data, SAYCam first: demo numbers never stand beside real or published ones."""
    order = [(task.name, metric) for task in all_tasks().values() for metric in task.chance]
    tables = []
    for data in sorted({run.data for run in runs}, key=lambda d: (d != "saycam", d)):
        of_data = [run for run in runs if run.data == data]
        published = baselines if data == "saycam" else None
        present = {column for run in of_data for column in run.cells}
        present |= {column for row in (published.rows if published else ()) for column in row.values}
        known = [column for column in order if column in present]
        rows = tuple(make_rows(of_data))
        gains = {row.label: gain for row in rows if (gain := visual_gain(row, rows)) is not None}
        columns = tuple(known + sorted(present - set(known)))
        tables.append(Table(data, columns, rows, gains, tuple(suspicions(rows)), published))
    return tables


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """A difference of two shares."""
    return f"{100 * value:+.1f}".replace("-", "−")


def heading(column: Column) -> tuple[str, str]:
    """Task and metric in full."""
    return (_SHORT | _LONG).get(column, column)


def as_grid(table: Table) -> Grid:
    """Model rows with their uncertainty, then published rows, then chance and n."""
    body: list[Line] = []
    for row in table.rows:
        suspicious = {(s.task, s.metric) for s in table.suspicions if s.label == row.label}
        cells = row.cells
        shown = (_number(cells.get(c)) + (_SUSPICIOUS if c in suspicious else "") for c in table.columns)
        body.append(Line(row.label, tuple(shown), "alarm" if _is_alarming(row) or suspicious else ""))
        body.append(Line(" ± 95 %", tuple(_half(cells.get(c)) for c in table.columns), "quiet"))
        gain = table.gains.get(row.label)
        if gain is not None:
            of_column = [gain.by_column.get(c) for c in table.columns]
            body.append(Line(" visual gain", tuple("" if p is None else points(p.difference) for p in of_column)))
            body.append(Line(" 95 % from", tuple("" if p is None else points(p.ci95[0]) for p in of_column), "quiet"))
            body.append(Line(" to", tuple("" if p is None else points(p.ci95[1]) for p in of_column), "quiet"))
    published = [
        Line(f"{row.label} (published)", tuple(_percent_or_none(row.values.get(c)) for c in table.columns))
        for row in table.published
    ]
    last = [
        Line("chance", tuple(_percent_or_none(table.chance(c)) for c in table.columns)),
        Line("n", tuple(_units(table.units(c)) for c in table.columns)),
    ]
    sections = tuple(tuple(lines) for lines in (body, published, last) if lines)
    heads = tuple(_SHORT.get(c, c) for c in table.columns)
    is_short = any(over == "Wino" for over, _ in heads)
    legend = ["Wino: Baby Winoground; pos, neg: positive and negative context."] if is_short else []
    return Grid("model", heads, sections, (*notes(table), *legend))


def _units(counts: Sequence[int]) -> str:
    return "differs" if len(counts) > 1 else "".join(map(str, counts))


def _is_alarming(row: TableRow) -> bool:
    return any(cell.n_nonfinite or cell.fair_value is not None for cell in row.cells.values())


def _percent_or_none(value: float | None) -> str:
    return "" if value is None else percent(value)


def _number(cell: Cell | None) -> str:
    if cell is None:
        return ""
    marks = "".join(mark.sign for mark in MARKS if getattr(cell, mark.field))
    return percent(cell.value) + marks + (_NOT_FAIR if cell.fair_value is not None else "")


def _half(cell: Cell | None) -> str:
    return "" if cell is None or cell.half_width is None else f"±{100 * cell.half_width:.1f}"


def notes(table: Table) -> list[str]:
    """What a reader must know, one line each."""
    told = [DATA_NOTES[table.data]] if table.data in DATA_NOTES else []
    told.append("Shares of 100 %; METEOR x 100. n in trials (instances, captions), not rows.")
    told += _n_notes(table)
    told += _interval_notes(table)
    cells = [(row.label, task, cell) for row in table.rows for (task, _), cell in row.cells.items()]
    for mark in MARKS:
        counts = {(label, task): getattr(cell, mark.field) for label, task, cell in cells}
        listed = ", ".join(f"{label} {task} {n}" for (label, task), n in counts.items() if n)
        if listed:
            told.append(f"{mark.sign}  {mark.meaning}: {listed}")
    unfair = [
        f"{label} {task} {percent(cell.fair_value)}" for label, task, cell in cells if cell.fair_value is not None
    ]
    if unfair:
        told.append(
            f"{_NOT_FAIR}  not what fair scoring of its own samples gives: {', '.join(unfair)}; "
            "babycli report --audit says why"
        )
    if any(run.scoring == "reference" and run.program == "babycli" for run in table.runs):
        told.append("(reference): scored as the original code does, its way with ties and NaN included.")
    if any(run.limit is not None for run in table.runs):
        told.append("(limit N): only the first N trials of each task; of lmms-eval, rows.")
    if table.gains:
        told.append(
            "visual gain: the score less that of the same model without the image, on the same trials, with its "
            "paired 95 % interval."
        )
    told += [suspicion_note(each) for each in table.suspicions]
    if table.baselines is not None:
        told.append(f"(published): {table.baselines.title}, {table.baselines.source}; {table.baselines.note}.")
    return told


def _n_notes(table: Table) -> list[str]:
    """The n of every row, of the tasks in which it differs."""
    found = []
    for task in dict.fromkeys(task for task, _ in table.columns):
        counts = {row.label: cell.n_units for row in table.rows for (of, _), cell in row.cells.items() if of == task}
        if len(set(counts.values())) > 1:
            found.append(f"n of {task}: {', '.join(f'{label} {n}' for label, n in counts.items())}")
    return found


def _interval_notes(table: Table) -> list[str]:
    cells = [cell for row in table.rows for cell in row.cells.values()]
    notes = []
    if any(cell.ci95_clustered for cell in cells):
        clusters = {
            f"{heading((task, metric))[0]} by {all_tasks()[task].cluster} ({cell.n_clusters})"
            for row in table.rows
            for (task, metric), cell in row.cells.items()
            if cell.ci95_clustered
        }
        notes.append(
            "± how far the 95 % interval reaches on its wider side; trials are not independent, so by cluster: "
            f"{_listed(clusters)}."
        )
    if any(cell.ci95 and not cell.ci95_clustered for cell in cells):
        lead = "± without clusters" if notes else "± how far the 95 % interval reaches on its wider side"
        notes.append(f"{lead}: Wilson's for shares of trials, bootstrap for METEOR.")
    return notes


def _listed(texts: set[str]) -> str:
    return ", ".join(sorted(texts))


def suspicion_headline(suspicion: Suspicion) -> str:
    """That a control is above chance."""
    cell = suspicion.cell
    assert cell.interval is not None
    assert cell.chance is not None
    low, high = cell.interval
    why = (
        "Most of its trials are ties, which reference scoring counts as right where the right one comes first"
        if suspicion.is_by_ties
        else "It does not see the right image, so words or labels may give answers away (one control in 40 is above by "
        "luck)"
    )
    return (
        f"A CONTROL ABOVE CHANCE: {suspicion.label} gets {percent(cell.value)} on {suspicion.task} {suspicion.metric} "
        f"[{percent(low)}, {percent(high)}], chance is {percent(cell.chance)}. {why}"
    )


def suspicion_note(suspicion: Suspicion) -> str:
    """The same, with what gives the answers away."""
    is_word = suspicion.task != "labeled_s"
    ways = "; ".join(
        f"{way.what} ({percent(way.score)} of {way.n_trials}"
        + (f", in the right phrase of {way.n_right})" if is_word else ")")
        for way in suspicion.give_aways
    )
    most = f", most in the trials with {'the word' if is_word else 'the category'} {ways}" if ways else ""
    return f"{_SUSPICIOUS}  {suspicion_headline(suspicion)}{most}"


def records(table: Table) -> list[dict[str, object]]:
    """One record per row and metric, full precision; what csv and json carry."""
    found: list[dict[str, object]] = []
    for row in table.rows:
        gain = table.gains.get(row.label)
        adjusted = _adjusted(gain)
        for run in row.runs:
            for column, cell in sorted(run.cells.items(), key=lambda item: table.columns.index(item[0])):
                of_gain = gain.by_column.get(column) if gain else None
                found.append(_record(table.data, run, column, cell) | _gain_record(of_gain, adjusted.get(column)))
    for published in table.baselines.rows if table.baselines else ():
        for column, value in published.values.items():
            empty: dict[str, object] = dict.fromkeys(found[0]) if found else {}
            task, metric = column
            found.append(
                empty
                | {"model": published.label, "data": table.data, "task": task, "metric": metric, "value": value}
                | {"chance": table.chance(column), "program": "published"}
                | {"results": table.baselines.source if table.baselines else ""}
            )
    return found


def _adjusted(gain: Gain | None) -> dict[Column, float]:
    if gain is None:
        return {}
    return dict(zip(gain.by_column, holm([p.p_value for p in gain.by_column.values()]), strict=True))


def _record(data: str, run: Run, column: Column, cell: Cell) -> dict[str, object]:
    task, metric = column
    plain, clustered = cell.ci95 or (None, None), cell.ci95_clustered or (None, None)
    return {
        "model": run.model,
        "data": data,
        "task": task,
        "metric": metric,
        "value": cell.value,
        "chance": cell.chance,
        "ci95_low": plain[0],
        "ci95_high": plain[1],
        "stderr": cell.stderr,
        "ci95_clustered_low": clustered[0],
        "ci95_clustered_high": clustered[1],
        "stderr_clustered": cell.stderr_clustered,
        "n_clusters": cell.n_clusters,
        "n_units": cell.n_units,
        "unit": all_tasks()[task].unit,
        "ties": cell.n_ties,
        "nonfinite": cell.n_nonfinite,
        "skipped": cell.n_skipped,
        "fair_value": _fair_value(run, task, cell),
        "control": run.control or None,
        "scoring": run.scoring,
        "dtype": run.dtype,
        "limit": run.limit,
        "model_args": ",".join(run.args),
        "date": run.date,
        "program": run.program,
        "results": str(run.path),
    }


def _fair_value(run: Run, task: str, cell: Cell) -> float | None:
    """What fair scoring gives; None where that is not known: of a reference run, and of a number without its trials."""
    if cell.fair_value is not None:
        return cell.fair_value
    is_fair = run.scoring == "fair" or run.program == "lmms-eval"  # whose trials are decided anew
    return cell.value if is_fair and task in run.trials else None


def _gain_record(gain: Paired | None, p_holm: float | None) -> dict[str, object]:
    low, high = gain.ci95 if gain else (None, None)
    return {
        "visual_gain": gain.difference if gain else None,
        "visual_gain_low": low,
        "visual_gain_high": high,
        "visual_gain_p_holm": p_holm,
        "visual_gain_significant": None if gain is None or p_holm is None else is_significant(gain, p_holm),
    }
