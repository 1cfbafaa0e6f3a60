"""The summary table as a paper prints it: booktabs, numbers aligned by siunitx, a caption that says what was tested.

Owns the LaTeX of that table. Bold means better than every other model beyond chance, never just the largest number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from babycli.report.compare import BOOTSTRAP, MCNEMAR, Best, best_of_columns
from babycli.report.differences import stars
from babycli.report.grid import latex_table, latex_text
from babycli.report.measure import Cell
from babycli.report.rows import Column, TableRow
from babycli.report.tables import DATA_NOTES, Table, heading, percent
from babycli.tasks import all_tasks

PREAMBLE = (
    "% Needs in the preamble:",
    r"%   \usepackage{booktabs,siunitx,etoolbox,graphicx,longtable}",
    r"%   \robustify\bfseries",
    r"%   \sisetup{detect-weight=true,mode=text}",
)


def as_environment(table: Table, number: int) -> str:
    """A table environment; ``number`` tells several in one file apart."""
    best = best_of_columns(table.rows, table.columns)
    n = len(table.columns)
    last = [
        " & ".join(["chance", *(_plain(table.chance(c)) for c in table.columns)]) + r" \\",
        " & ".join(["$n$", *("{" + "/".join(map(str, table.units(c))) + "}" for c in table.columns)]) + r" \\",
    ]
    of_others = [
        " & ".join(
            [rf"\textit{{{latex_text(row.label)}}}\textsuperscript{{\dag}}"]
            + [_plain(row.values.get(c)) for c in table.columns]
        )
        + r" \\"
        for row in table.published
    ]
    sections = [[line for row in table.rows for line in _row(row, table, best)], of_others, last]
    body = [line for i, lines in enumerate(s for s in sections if s) for line in ([r"\midrule"] if i else []) + lines]
    suffix = f"-{number}" if number > 1 else ""
    numbers = rf"*{{{n}}}{{S[table-format=2.1,table-space-text-post={{$^{{***}}$}}]}}"
    label = f"tab:babyvlm{suffix}"
    return "\n".join([*latex_table(_caption(table, best), label, f"l{numbers}", _heads(table.columns), body), ""])


def _heads(columns: Sequence[Column]) -> list[str]:
    """Tasks over metrics; a task of several columns is underlined."""
    overs, rules = [], []
    at = 2
    for over, group in groupby(heading(c)[0] for c in columns):
        width = len(list(group))
        overs.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(over)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    unders = ["{" + latex_text(heading(c)[1]) + "}" for c in columns]
    return [" & ".join(["", *overs]) + r" \\", "".join(rules), " & ".join(["model", *unders]) + r" \\"]


def _row(row: TableRow, table: Table, best: Mapping[Column, Best]) -> list[str]:
    cells = [row.cells.get(c) for c in table.columns]
    shown = [_number(cell, row.label, best.get(c)) for cell, c in zip(cells, table.columns, strict=True)]
    halves = ["" if c is None or c.half_width is None else _half(c.half_width) for c in cells]
    lines = [" & ".join([latex_text(row.label), *shown]) + r" \\"]
    if any(halves):
        lines.append(" & ".join(["", *halves]) + r" \\")
    gain = table.gains.get(row.label)
    if gain is not None:
        of_column = [gain.by_column.get(c) for c in table.columns]
        texts = ["" if p is None else rf"{{\scriptsize ${100 * p.difference:+.1f}$}}" for p in of_column]
        lines.append(" & ".join([r"\quad\scriptsize visual gain", *texts]) + r" \\")
    return lines


def _number(cell: Cell | None, label: str, best: Best | None) -> str:
    if cell is None:
        return ""
    text = percent(cell.value)
    if cell.n_nonfinite or cell.fair_value is not None:
        return text + "{$^{!}$}"
    if best is None:
        return text
    if label == best.label:
        return rf"\bfseries {text}" if best.is_clear else text
    marks = stars(best.p_holm[label]) if label in best.p_holm and best.is_clear_of(label) else ""
    return text + (f"{{$^{{{marks}}}$}}" if marks else "")


def _half(half_width: float) -> str:
    return rf"{{\scriptsize $\pm${100 * half_width:.1f}}}"


def _plain(value: float | None) -> str:
    return "" if value is None else percent(value)


def _caption(table: Table, best: Mapping[Column, Best]) -> str:
    tasks = all_tasks()
    units = "; ".join(
        f"{all_tasks()[task].title}: {'/'.join(map(str, n))} {all_tasks()[task].unit}"
        for task, n in _units(table).items()
    )
    sentences = [DATA_NOTES[table.data]] if table.data in DATA_NOTES else []
    sentences.append(f"Scores in % (METEOR x 100) with the wider arm of the 95 % interval below. n: {units}.")
    cells = [cell for row in table.rows for cell in row.cells.values()]
    if any(cell.ci95_clustered for cell in cells):
        sentences.append(
            "Intervals are cluster-aware: trials of one category (Labeled-S) or recording session (frames) are alike."
        )
    if best:
        tests = f"{MCNEMAR} test for choices, {BOOTSTRAP} for METEOR and ties, Holm-corrected over the table"
        sentences.append(
            "Bold: better than every other measured model (p < 0.05). Stars: worse than the best of the column at "
            f"p < 0.05 (*), 0.01 (**), 0.001 (***); {tests}."
        )
    if table.gains:
        sentences.append("Visual gain: score less that of the same model without the image.")
    if any(cell.n_nonfinite or cell.fair_value is not None for cell in cells):
        sentences.append("!: not to be trusted, see the report.")
    if table.suspicions:
        told = ", ".join(f"{s.label} on {tasks[s.task].title} ({percent(s.cell.value)})" for s in table.suspicions)
        sentences.append(f"CONTROLS ABOVE CHANCE, so words or labels may give answers away: {told}.")
    caption = " ".join(latex_text(sentence) for sentence in sentences)
    if table.baselines is not None:
        about = latex_text(f" {table.baselines.title}, {table.baselines.source}; {table.baselines.note}.")
        caption += r" \textsuperscript{\dag}" + about
    return caption


def _units(table: Table) -> dict[str, list[int]]:
    return {task: table.units((task, metric)) for task, metric in table.columns if table.units((task, metric))}
