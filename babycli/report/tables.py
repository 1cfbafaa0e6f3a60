"""The summary table: models down, metrics across, chance in its own row; as text, md, csv, json or latex.

Owns what stands in which cell and how each format writes it. Never reads a log.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from babycli.report.load import Cell, Run

# How a column is headed: task over metric, short enough for 80 columns.
_HEADINGS = {
    ("labeled_s", "acc"): ("Labeled-S", "acc"),
    ("vtwt", "acc"): ("VTWT", "acc"),
    ("baby_winoground", "image_score"): ("Winogr.", "image"),
    ("baby_winoground", "text_score"): ("Winogr.", "text"),
    ("baby_winoground", "group_score"): ("Winogr.", "group"),
    ("baby_winoground", "positive_context_group_score"): ("Winogr.", "pos.ctx"),
    ("baby_winoground", "negative_context_group_score"): ("Winogr.", "neg.ctx"),
    ("saycam_caption", "meteor"): ("Caption", "METEOR"),
}
_UNITS = {
    "labeled_s": "trials",
    "vtwt": "trials",
    "baby_winoground": "instances",
    "saycam_caption": "captions",
}
TIE_MARK, NONFINITE_MARK, SKIPPED_MARK = "=", "!", "-"

DATA_NOTES = {
    "demo": "DEMO DATA: drawn pictures that come with babycli; these are not results on SAYCam.",
    "saycam": "",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table; all rows are of one edition of the data. ``columns`` are (task, metric)."""

    data: str
    columns: tuple[tuple[str, str], ...]
    runs: tuple[Run, ...]
    labels: tuple[str, ...]  # the name of each run, made distinct

    def chance(self, column: tuple[str, str]) -> float | None:
        return next(run.cells[column].chance for run in self.runs if column in run.cells)

    def units(self, column: tuple[str, str]) -> list[int]:
        return sorted({run.cells[column].n_units for run in self.runs if column in run.cells})

    @property
    def notes(self) -> list[str]:
        """What a reader must know, one line each."""
        cells = [(run, column, cell) for run in self.runs for column, cell in run.cells.items()]
        notes = [DATA_NOTES[self.data]] if DATA_NOTES[self.data] else []
        notes.append("Shares of 100 %; METEOR x 100. n in trials (instances, captions), not rows.")
        marks = (
            (TIE_MARK, "n_ties", "ties: equal scores share the credit; in Winoground a tie is a miss"),
            (NONFINITE_MARK, "n_nonfinite", "NON-FINITE scores, counted as wrong: do not trust this number"),
            (SKIPPED_MARK, "n_skipped", "trials left out because images are missing"),
        )
        for mark, field, meaning in marks:
            per_task = {
                (self.labels[self.runs.index(run)], column[0]): getattr(cell, field) for run, column, cell in cells
            }
            told = ", ".join(f"{label} {task} {n}" for (label, task), n in per_task.items() if n)
            if told:
                notes.append(f"{mark}  {meaning}: {told}")
        if any(run.scoring == "reference" for run in self.runs):
            notes.append("(reference): scored as the original code does, its way with ties and NaN included.")
        if any(run.limit is not None for run in self.runs):
            notes.append("(limit N): only the first N trials of each task.")
        return notes


def make_tables(runs: Sequence[Run], column_order: Sequence[tuple[str, str]]) -> list[Table]:
    """A table per edition of the data, SAYCam first: demo numbers never stand beside real ones."""
    tables = []
    for data in sorted({run.data for run in runs}, key=lambda d: (d != "saycam", d)):
        of_data = tuple(run for run in runs if run.data == data)
        present = {column for run in of_data for column in run.cells}
        known = [column for column in column_order if column in present]
        columns = tuple(known + sorted(present - set(known)))
        tables.append(Table(data, columns, of_data, tuple(_labels(of_data))))
    return tables


def _labels(runs: Sequence[Run]) -> list[str]:
    """Model names, with what sets equal ones apart."""
    named = []
    for run in runs:
        short = "/".join(run.model.rstrip("/").split("/")[-2:]) if run.model.count("/") > 1 else run.model
        extra = [run.data] if run.data == "demo" else []
        extra += [run.scoring] if run.scoring != "fair" else []
        extra += [f"limit {run.limit}"] if run.limit is not None else []
        extra += [run.dtype] if run.dtype != "float32" else []
        named.append(short + (f" ({', '.join(extra)})" if extra else ""))
    return [f"{name} {run.date}" if named.count(name) > 1 else name for name, run in zip(named, runs, strict=True)]


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    marks = (TIE_MARK if cell.n_ties else "") + (NONFINITE_MARK if cell.n_nonfinite else "")
    return percent(cell.value) + marks + (SKIPPED_MARK if cell.n_skipped else "")


def _grid(table: Table) -> list[list[str]]:
    """Model rows, then chance and n."""
    rows = [
        [label, *(_cell(run.cells.get(c)) for c in table.columns)]
        for label, run in zip(table.labels, table.runs, strict=True)
    ]
    chances = [table.chance(column) for column in table.columns]
    rows.append(["chance", *("" if chance is None else percent(chance) for chance in chances)])
    rows.append(["n", *("/".join(str(n) for n in table.units(column)) for column in table.columns)])
    return rows


def _heading(column: tuple[str, str]) -> tuple[str, str]:
    return _HEADINGS.get(column, column)


def as_text(table: Table, width: int) -> str:
    """For a terminal: plain characters, no more than ``width`` columns where the names allow it."""
    grid = _grid(table)
    heads = [_heading(column) for column in table.columns]
    widths = [max(len(row[i + 1]) for row in grid) for i in range(len(heads))]
    widths = [max(w, len(top), len(sub)) for w, (top, sub) in zip(widths, heads, strict=True)]
    room = width - sum(w + 2 for w in widths)
    names = [_shortened(row[0], max(room, 12)) for row in grid]
    first = max(len("model"), *map(len, names))

    def line(name: str, cells: Sequence[str]) -> str:
        return (name.ljust(first) + "".join("  " + c.rjust(w) for c, w in zip(cells, widths, strict=True))).rstrip()

    rule = "-" * (first + sum(w + 2 for w in widths))
    tops = [top if i == 0 or heads[i - 1][0] != top else "" for i, (top, _) in enumerate(heads)]
    lines = [line("", tops), line("model", [sub for _, sub in heads]), rule]
    body = [line(name, row[1:]) for name, row in zip(names, grid, strict=True)]
    return "\n".join([*lines, *body[:-2], rule, *body[-2:], "", *table.notes]) + "\n"


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most // 2 - 1] + "…" + name[-(most - most // 2) :]


def as_markdown(table: Table) -> str:
    heads = [" ".join(_heading(column)) for column in table.columns]
    lines = ["| model | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    lines += ["| " + " | ".join(row).replace("  ", " ") + " |" for row in _grid(table)]
    return "\n".join([*lines, "", *(f"{note}  " for note in table.notes)]) + "\n"


def as_latex(table: Table) -> str:
    """A booktabs table; needs \\usepackage{booktabs}."""
    heads = [" ".join(_heading(column)) for column in table.columns]
    rows = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in _grid(table)]
    return (
        "\n".join(
            [
                rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
                r"\toprule",
                " & ".join(["model", *map(_latex, heads)]) + r" \\",
                r"\midrule",
                *rows[:-2],
                r"\midrule",
                *rows[-2:],
                r"\bottomrule",
                r"\end{tabular}",
                *(f"% {note}" for note in table.notes),
            ]
        )
        + "\n"
    )


def _latex(text: str) -> str:
    special = {c: "\\" + c for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\^{}",
    }
    return "".join(special.get(c, c) for c in text)


def records(table: Table) -> list[dict[str, object]]:
    """One record per run and metric, full precision; what csv and json carry."""
    return [
        {
            "model": run.model,
            "data": run.data,
            "task": task,
            "metric": metric,
            "value": cell.value,
            "chance": cell.chance,
            "ci95_low": cell.ci95[0] if cell.ci95 else None,
            "ci95_high": cell.ci95[1] if cell.ci95 else None,
            "n_units": cell.n_units,
            "unit": _UNITS.get(task, "units"),
            "ties": cell.n_ties,
            "nonfinite": cell.n_nonfinite,
            "skipped": cell.n_skipped,
            "scoring": run.scoring,
            "dtype": run.dtype,
            "limit": run.limit,
            "date": run.date,
            "results": str(run.path),
        }
        for run in table.runs
        for (task, metric), cell in sorted(run.cells.items(), key=lambda item: table.columns.index(item[0]))
    ]


def as_csv(tables: Sequence[Table]) -> str:
    rows = [record for table in tables for record in records(table)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def as_json(tables: Sequence[Table]) -> str:
    rows = [record for table in tables for record in records(table)]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def render(tables: Sequence[Table], form: str, width: int) -> str:
    """The tables in one of FORMATS."""
    return FORMATS[form](tables, width)


FORMATS: Mapping[str, Callable[[Sequence[Table], int], str]] = {
    "table": lambda tables, width: "\n".join(as_text(table, width) for table in tables),
    "md": lambda tables, _: "\n".join(as_markdown(table) for table in tables),
    "csv": lambda tables, _: as_csv(tables),
    "json": lambda tables, _: as_json(tables),
    "latex": lambda tables, _: "\n".join(as_latex(table) for table in tables),
}
