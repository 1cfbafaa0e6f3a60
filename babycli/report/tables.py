"""The summary table: models down, metrics across, chance in its own row; as text, md, csv, json or latex.

Owns what stands in which cell and how each format writes it. Never reads a log.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from babycli.report.load import Cell, Run
from babycli.tasks import all_tasks

# How a column is headed: task over metric, short enough for 80 columns.
_HEADINGS = {
    ("labeled_s", "acc"): ("Labeled-S", "acc"),
    ("vtwt", "acc"): ("VTWT", "acc"),
    ("baby_winoground", "image_score"): ("Baby Winoground", "image"),
    ("baby_winoground", "text_score"): ("Baby Winoground", "text"),
    ("baby_winoground", "group_score"): ("Baby Winoground", "group"),
    ("baby_winoground", "positive_context_group_score"): ("Baby Winoground", "pos.ctx"),
    ("baby_winoground", "negative_context_group_score"): ("Baby Winoground", "neg.ctx"),
    ("saycam_caption", "meteor"): ("Caption", "METEOR"),
}
# What is marked behind a number: the mark, the field of Cell that counts it, and what it means.
_MARKS = (
    (
        "=",
        "n_ties",
        "ties: equal scores share the credit; in Winoground a tie is a miss (under reference, the first wins)",
    ),
    ("!", "n_nonfinite", "NON-FINITE scores: do not trust this number"),
    ("-", "n_skipped", "trials left out because images are missing"),
)

DATA_NOTES = {
    "demo": "DEMO DATA: drawn pictures that come with babycli; these are not results on SAYCam.",
}


@dataclass(frozen=True, slots=True)
class TableRow:
    """A model as it was evaluated; runs of other tasks with the same settings share a row."""

    label: str
    cells: Mapping[tuple[str, str], Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """One table; all rows are of one edition of the data. ``columns`` are (task, metric)."""

    data: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[TableRow, ...]
    runs: tuple[Run, ...]  # all that the rows are made of

    def chance(self, column: tuple[str, str]) -> float | None:
        return next(row.cells[column].chance for row in self.rows if column in row.cells)

    def units(self, column: tuple[str, str]) -> list[int]:
        return sorted({row.cells[column].n_units for row in self.rows if column in row.cells})

    @property
    def notes(self) -> list[str]:
        """What a reader must know, one line each."""
        notes = [DATA_NOTES[self.data]] if self.data in DATA_NOTES else []
        notes.append("Shares of 100 %; METEOR x 100. n in trials (instances, captions), not rows.")
        for mark, field, meaning in _MARKS:
            told = {
                (row.label, task): getattr(cell, field) for row in self.rows for (task, _), cell in row.cells.items()
            }
            listed = ", ".join(f"{label} {task} {n}" for (label, task), n in told.items() if n)
            if listed:
                notes.append(f"{mark}  {meaning}: {listed}")
        if any(run.scoring == "reference" for run in self.runs):
            notes.append("(reference): scored as the original code does, its way with ties and NaN included.")
        if any(run.limit is not None for run in self.runs):
            notes.append("(limit N): only the first N trials of each task.")
        return notes


def make_tables(runs: Sequence[Run]) -> list[Table]:
    """A table per edition of the data, SAYCam first: demo numbers never stand beside real ones."""
    column_order = [(task.name, metric) for task in all_tasks().values() for metric in task.chance]
    tables = []
    for data in sorted({run.data for run in runs}, key=lambda d: (d != "saycam", d)):
        of_data = tuple(run for run in runs if run.data == data)
        present = {column for run in of_data for column in run.cells}
        known = [column for column in column_order if column in present]
        columns = tuple(known + sorted(present - set(known)))
        tables.append(Table(data, columns, tuple(_rows(of_data)), of_data))
    return tables


def _rows(runs: Sequence[Run]) -> list[TableRow]:
    """Runs of one model under the same settings in one row, unless they evaluated the same task twice."""
    merged: list[Run] = []
    for run in runs:
        for i, row in enumerate(merged):
            if _settings(row) == _settings(run) and not row.cells.keys() & run.cells.keys():
                merged[i] = replace(row, cells={**row.cells, **run.cells})
                break
        else:
            merged.append(run)
    names = [_name(run) for run in merged]
    return [
        TableRow(f"{name} {run.date}" if names.count(name) > 1 else name, run.cells)
        for name, run in zip(names, merged, strict=True)
    ]


def _settings(run: Run) -> tuple[object, ...]:
    return (run.model, run.fingerprint, run.scoring, run.dtype, run.limit, run.args)


def _name(run: Run) -> str:
    """The last two parts of the model's path, and every setting that is not the default."""
    settings = [
        *(["demo"] if run.data == "demo" else []),
        *([run.scoring] if run.scoring != "fair" else []),
        *([f"limit {run.limit}"] if run.limit is not None else []),
        *([run.dtype] if run.dtype != "float32" else []),
        *run.args,
    ]
    return "/".join(run.model.strip("/").split("/")[-2:]) + (f" ({', '.join(settings)})" if settings else "")


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return percent(cell.value) + "".join(mark for mark, field, _ in _MARKS if getattr(cell, field))


def _grid(table: Table) -> list[list[str]]:
    """Model rows, then chance and n."""
    rows = [[row.label, *(_cell(row.cells.get(column)) for column in table.columns)] for row in table.rows]
    chances = [table.chance(column) for column in table.columns]
    rows.append(["chance", *("" if chance is None else percent(chance) for chance in chances)])
    rows.append(["n", *("/".join(str(n) for n in table.units(column)) for column in table.columns)])
    return rows


def _heading(column: tuple[str, str]) -> tuple[str, str]:
    return _HEADINGS.get(column, column)


def as_text(table: Table, width: int) -> str:
    """For a terminal. A name that does not fit beside its numbers within ``width`` gets a line of its own."""
    grid = _grid(table)
    heads = [_heading(column) for column in table.columns]
    columns = list(zip([sub for _, sub in heads], *(_aligned(row[1:], grid) for row in grid), strict=True))
    widths = _widened([max(map(len, column)) for column in columns], [top for top, _ in heads])
    room = max(width - sum(w + 2 for w in widths), len("chance"))
    first = max(len(row[0]) if len(row[0]) <= room else len("chance") for row in grid)

    def line(name: str, cells: Sequence[str]) -> str:
        beside = name if len(name) <= room else ""
        text = beside.ljust(first) + "".join("  " + c.rjust(w) for c, w in zip(cells, widths, strict=True))
        return text.rstrip() if beside or not name else f"{name}\n{text.rstrip()}"

    rule = "-" * (first + sum(w + 2 for w in widths))
    sub, *cells = zip(*columns, strict=True)
    head = " " * first + _over_groups([top for top, _ in heads], widths)
    body = [line(row[0], of_row) for row, of_row in zip(grid, cells, strict=True)]
    return "\n".join([head, line("model", sub), rule, *body[:-2], rule, *body[-2:], "", *table.notes]) + "\n"


def _groups(tops: Sequence[str]) -> list[range]:
    """The runs of neighbouring columns under one heading, as ranges of indices."""
    starts = [i for i, top in enumerate(tops) if i == 0 or tops[i - 1] != top]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(tops)], strict=True)]


def _widened(widths: Sequence[int], tops: Sequence[str]) -> list[int]:
    """Widths with which every heading fits over its columns."""
    wide = list(widths)
    for group in _groups(tops):
        span = sum(wide[i] for i in group) + 2 * (len(group) - 1)
        wide[group[0]] += max(0, len(tops[group[0]]) - span)
    return wide


def _over_groups(tops: Sequence[str], widths: Sequence[int]) -> str:
    """The line of headings: each over its columns, with dashes to show how far it reaches."""
    line = ""
    for group in _groups(tops):
        span = sum(widths[i] for i in group) + 2 * (len(group) - 1)
        top = tops[group[0]]
        line += "  " + (f" {top} ".center(span, "-") if len(group) > 1 and span > len(top) + 2 else top.rjust(span))
    return line


def _aligned(cells: Sequence[str], grid: Sequence[Sequence[str]]) -> list[str]:
    """Cells of a row with room behind the digits for the marks of their column, so that points line up."""

    def n_marks(text: str) -> int:
        return len(text) - len(text.rstrip("".join(mark for mark, _, _ in _MARKS)))

    most = [max(n_marks(row[i + 1]) for row in grid) for i in range(len(cells))]
    return [cell + " " * (n - n_marks(cell)) for cell, n in zip(cells, most, strict=True)]


def as_markdown(table: Table) -> str:
    heads = [" ".join(_heading(column)) for column in table.columns]
    lines = ["| model | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _grid(table)]
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
            "unit": all_tasks()[task].unit if task in all_tasks() else "units",
            "ties": cell.n_ties,
            "nonfinite": cell.n_nonfinite,
            "skipped": cell.n_skipped,
            "scoring": run.scoring,
            "dtype": run.dtype,
            "limit": run.limit,
            "model_args": ",".join(run.args),
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
