"""The summary table as a paper prints it: booktabs, numbers aligned by siunitx, a caption that says what was tested.

Owns the LaTeX of that table. Bold means better than every other model beyond chance, never just the best number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import groupby

from babycli import __version__
from babycli.data.datasets import data_set_named
from babycli.report import families, overall, values
from babycli.report.compare import BOOTSTRAP, MCNEMAR, Best, Paired, best_of_columns
from babycli.report.differences import stars
from babycli.report.folding import fold
from babycli.report.grid import APART, latex_table
from babycli.report.latex_text import latex_text
from babycli.report.measure import Cell
from babycli.report.notes import (
    counts_told,
    coverage_notes,
    gain_notes,
    legends,
    lower_notes,
    part_notes,
    parts_left_out,
    untold_gain_notes,
)
from babycli.report.overlapped import overlap_notes
from babycli.report.provisos import broken_reply_notes, prompt_notes, reply_notes, software_notes
from babycli.report.rows import Column, TableRow
from babycli.report.table_grid import overall_chances, overall_texts
from babycli.report.tables import NO_ANSWER, TIES, UNANSWERED, Table, heading, metrics_of, scores_of, short_heading
from babycli.tasks.about import About, about, in_order, metric_of
from babycli.tasks.groups import Grouping
from babycli.wording import Scoring, all_of, any_of, printable

_COUNTED = (TIES, UNANSWERED, NO_ANSWER)  # told in the caption: of a sound run, what is neither right nor wrong
_IN_MATH = {"~": r"\sim"}  # others are written as they are
_MARK = re.compile(r"\\sim|[*!?=]")
_WIDTHS = {"*": 50, "!": 28, "?": 47, "=": 78, r"\sim": 78}  # of a hundred of a letter, as TeX's fonts have them
_TOLD = 160  # characters of counts that a caption has room for
_NAME_ROOM = 32  # characters of a name on one line
_FEW = 6  # tasks whose n are told one by one
MANY = 12  # columns that have room for their titles, and can be read on a page
_HEADS = 100  # characters of heads side by side, with which a table can be read
PREAMBLE = (
    "% Needs in the preamble:",
    r"%   \usepackage{booktabs,siunitx,etoolbox,graphicx,longtable}",
    r"%   \robustify\bfseries",
    r"%   \sisetup{detect-weight=true,mode=text}",
)


def as_environment(table: Table, number: int) -> str:
    """Writes a table environment; ``number`` tells several in one file apart."""
    best = best_of_columns(table.rows, table.columns)
    none = [""] * len(table.overall_columns)
    chances = [f"{{{text}}}" if text else "" for text in overall_chances(table)]
    last = [
        " & ".join(["chance", *chances, *(_plain(c, table.chance(c)) for c in table.columns)]) + r" \\",
        " & ".join(["$n$", *none, *(_units_of(table.units(c)) for c in table.columns)]) + r" \\",
    ]
    of_others = [
        " & ".join(
            [rf"\textit{{{latex_text(row.label)}}}\textsuperscript{{\dag}}", *none]
            + [_plain(c, row.values.get(c)) for c in table.columns]
        )
        + r" \\"
        for row in table.published
    ]
    rows = [_row(row, table, best) for row in table.rows]
    of_models = [line for i, lines in enumerate(rows) for line in ([APART] if i else []) + lines]
    sections = [of_models, of_others, last]
    body = [line for i, lines in enumerate(s for s in sections if s) for line in ([r"\midrule"] if i else []) + lines]
    suffix = f"-{number}" if number > 1 else ""
    kinds = groupby(
        f"{_number_format(table, c)},retain-explicit-plus{_room_of_marks(table, c, best.get(c))}" for c in table.columns
    )
    numbers = "".join(f"*{{{len(list(alike))}}}{{S[table-format={kind}]}}" for kind, alike in kinds)
    label = f"tab:{_benchmarks(table)}{suffix}"
    kinds_of_all = f"l{'r' * len(none)}{numbers}"
    in_caption = broken_reply_notes(table.runs)
    asides = [note for note in (*reply_notes(table.runs), *software_notes(table.runs)) if note not in in_caption]
    asides += coverage_notes(table.runs)
    asides += parts_left_out(table)
    asides += untold_gain_notes(table)
    counted = {mark.sign: counts_told(table, mark) for mark in _COUNTED}
    asides += [f"{sign}: {told}" for sign, told in counted.items() if len(told) > _TOLD]
    told = [f"% {printable(note)}" for note in asides]  # for who sets the table, and no words of a caption
    return "\n".join([*told, *latex_table(_caption(table, best), label, kinds_of_all, _heads(table), body), ""])


def _benchmarks(table: Table) -> str:
    """Names the benchmarks of the table's tasks for a label; "results" where they have none."""
    names = dict.fromkeys(task.benchmark.name for task in in_order(table.tasks) if task.benchmark)
    return "-".join(re.sub(r"[^A-Za-z0-9]+", "-", name) for name in names) or "results"


def _heads(table: Table) -> list[str]:
    """Writes the heads, tasks over metrics, means over tasks first; a task of several columns is underlined."""
    overs, rules = [], []
    at = 2
    in_full = heading if _has_room_for_titles(table) else short_heading
    heads = [*(mean.heading for mean in table.overall_columns), *(in_full(column) for column in table.columns)]
    for over, group in groupby(over for over, _ in heads):
        width = len(list(group))
        overs.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(over)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    unders = ["{" + latex_text(under) + "}" for _, under in heads]
    return [" & ".join(["", *overs]) + r" \\", "".join(rules), " & ".join(["model", *unders]) + r" \\"]


def _has_room_for_titles(table: Table) -> bool:
    """Tells whether the titles of tasks and metrics fit over a table that can be read; else short ones stand there."""
    groups = groupby(map(heading, table.columns), key=lambda head: head[0])
    wide = sum(max(len(task), sum(len(metric) for _, metric in heads)) for task, heads in groups)
    return len(table.columns) <= MANY and wide <= _HEADS


def _row(row: TableRow, table: Table, best: Mapping[Column, Best]) -> list[str]:
    cells = [row.cells.get(c) for c in table.columns]
    means = [f"{{{text}}}" if text else "" for text in overall_texts(table, row)]
    none = [""] * len(means)
    shown = [_number(c, cell, row.label, best.get(c)) for cell, c in zip(cells, table.columns, strict=True)]
    halves = [_half(c, cell.half_width if cell else None) for cell, c in zip(cells, table.columns, strict=True)]
    of_row = [[*means, *shown], *([[*none, *halves]] if any(halves) else [])]
    names = [latex_text(part) for part in fold(row.label, _NAME_ROOM)]  # a long one goes on beside its interval
    n_lines = max(len(of_row), len(names))
    names += [""] * (n_lines - len(names))
    of_row += [[""] * len(of_row[0])] * (n_lines - len(of_row))
    lines = [" & ".join([name, *texts]) + r" \\" for name, texts in zip(names, of_row, strict=True)]
    gain = table.gains.get(row.label)
    if gain is not None and gain.by_column:
        pairs = [gain.by_column.get(c) for c in table.columns]
        texts = [_gain(c, pair) for pair, c in zip(pairs, table.columns, strict=True)]
        halves = [_half(c, pair.half_width if pair else None) for pair, c in zip(pairs, table.columns, strict=True)]
        lines.append(" & ".join([r"\quad visual gain", *none, *texts]) + r" \\")
        lines.append(" & ".join(["", *none, *halves]) + r" \\")
    return lines


def _number(column: Column, cell: Cell | None, label: str, best: Best | None) -> str:
    if cell is None:
        return ""
    text, marks = _plain(column, cell.value), ""
    if cell.n_nonfinite or cell.fair_value is not None:
        marks = "!"
    elif best is not None and label == best.label:
        text = rf"\bfseries {text}" if best.is_clear else text
    elif best is not None and label in best.p_holm and best.is_clear_of(label):
        marks = stars(best.p_holm[label])
    marks += "".join(_IN_MATH.get(mark.sign, mark.sign) for mark in _COUNTED if mark.count(cell))
    return text + (f"{{$^{{{marks}}}$}}" if marks else "")


def _half(column: Column, half: float | None) -> str:
    text = "" if half is None else values.half_width(metric_of(*column), half).removeprefix("±")
    if not text or half is None:
        return ""
    return rf"\pm {text}" if math.isfinite(half) else r"{$\pm\infty$}"


def _gain(column: Column, gain: Paired | None) -> str:
    return "" if gain is None else values.plain(values.difference(metric_of(*column), gain.difference))


def _plain(column: Column, value: float | None) -> str:
    return "" if value is None else values.plain(values.number(metric_of(*column), value))


def _number_format(table: Table, column: Column) -> str:
    """Gives siunitx the digits of a column; a sign has room, as that of ±."""
    cells = [row.cells[column] for row in table.rows if column in row.cells]
    numbers = [*(cell.value for cell in cells), *(row.values.get(column) for row in table.published)]
    texts = [_plain(column, value) for value in (*numbers, table.chance(column)) if value is not None]
    gains = [gain.by_column[column] for gain in table.gains.values() if column in gain.by_column]
    texts += [_gain(column, gain) for gain in gains]
    halves = [*(cell.half_width for cell in cells), *(gain.half_width for gain in gains)]
    texts += [_half(column, half).removeprefix(r"\pm ") for half in halves if half is not None]
    parts = [text.lstrip("+-").partition(".") for text in texts if text[-1:].isdigit()]
    n_wholes = [len(whole) for whole, _, _ in parts]
    return f"+{max(n_wholes, default=1)}.{max((len(rest) for _, _, rest in parts), default=0)}"


def _room_of_marks(table: Table, column: Column, best: Best | None) -> str:
    """Gives siunitx the longest marks behind the numbers of a column; nothing where there are none."""
    shown = (_number(column, row.cells.get(column), row.label, best) for row in table.rows)
    marks = [text.partition("{")[2].removesuffix("}") for text in shown if text.endswith("$}")]
    widest = max(marks, key=lambda text: sum(_WIDTHS[mark] for mark in _MARK.findall(text)), default="")
    return f",table-space-text-post={{{widest}}}" if widest else ""


def _units_of(counts: Sequence[int]) -> str:
    """Writes the n of a column under its head: its point would move a whole number to the left."""
    return f"{{{any_of(map(str, counts))}}}" if counts else ""


def _caption(table: Table, best: Mapping[Column, Best]) -> str:
    explained = table.explained
    shown = in_order(table.tasks)
    cells = [cell for row in table.rows for cell in row.cells.values()]
    sentences = [table.data_note] if table.data_note else []
    sentences.append(_lead(table))
    sentences += overall.notes([(label, mean) for label, of_row in table.overalls.items() for mean in of_row])
    sentences += families.notes(table.overall_columns)
    sentences += lower_notes(table)
    sentences += part_notes(table.runs)
    sentences += overlap_notes(table.runs)
    sentences += _scoring(table, shown)
    if best:
        for_others = all_of([*scores_of(shown), "ties"])
        n = sum(len(each.p_holm) for each in best.values())
        sentences.append(
            "Bold: better than every other measured model (p < 0.05). Stars: worse than the best at p < 0.05 (*), "
            f"0.01 (**), 0.001 (***); {MCNEMAR}, {BOOTSTRAP} for {for_others}"
            + (f", Holm's correction over the {n} comparisons of this table." if n > 1 else ".")
            + (" Controls take no part in these tests." if any(row.control for row in table.rows) else "")
        )
    sentences += [*broken_reply_notes(table.runs), *prompt_notes(table.runs)]
    sentences += gain_notes(table, "Visual gain: ")
    if any(cell.n_nonfinite or cell.fair_value is not None for cell in cells):
        sentences.append("!: not to be trusted, see the report.")
    sentences += [] if _has_room_for_titles(table) else legends(table)
    for mark in _COUNTED:
        if counted := counts_told(table, mark):
            told = f": {counted}" if len(counted) <= _TOLD else ""
            sentences.append(f"{mark.sign}: {mark.meaning(explained)}{told}.")
    for is_unread, why in ((False, "so words or labels may give answers away"), (True, "without the question")):
        found = [suspicion for suspicion in table.suspicions if suspicion.is_unread == is_unread]
        told = ", ".join(
            f"{s.label} on {about(s.task).title} ({values.number(metric_of(s.task, s.metric), s.cell.value)})"
            for s in found
        )
        is_less = any(not metric_of(s.task, s.metric).higher_is_better for s in found)
        side = "BETTER THAN" if is_less else "ABOVE"
        sentences += [f"CONTROLS {side} CHANCE, {why}: {told}."] if found else []
    caption = " ".join(latex_text(sentence) for sentence in sentences)
    if table.baselines is not None:
        source = latex_text(f" {table.baselines.told}.")
        caption += r" \textsuperscript{\dag}" + source
    return caption


def _lead(table: Table) -> str:
    """Says what the numbers are, of how many items, and what their intervals are."""
    shown = in_order(table.tasks)
    names = all_of(dict.fromkeys(task.benchmark.title for task in shown if task.benchmark)) or "Scores"
    scales = ", ".join(values.with_scales(metrics_of(shown), "×", "%"))
    data = data_set_named(table.data).title
    told = [f"{names}{f' on {data}' if data != names else ''}, {scales}"]
    cells = [cell for row in table.rows for cell in row.cells.values()]
    if any(cell.interval is not None for cell in cells):
        is_clustered = any(cell.is_by_cluster for cell in cells)
        by = f", cluster-aware by {_clusters(shown)}" if is_clustered else ""
        told.append(f"±: the wider arm of the 95 % interval{by}")
    told.append(f"n: {'; '.join(_units_told(_units(table)))}")
    return f"{'; '.join(told)}."


def _units_told(units: Sequence[tuple[About, list[int]]]) -> list[str]:
    """Says what is counted of each task; of many only the words, as the table has the numbers."""
    if len(units) > _FEW:
        return list(dict.fromkeys(task.unit for task, _ in units))
    return [f"{any_of(map(str, n))} {task.unit} of {task.title}" for task, n in units]


def _scoring(table: Table, tasks: Sequence[About]) -> list[str]:
    """Says how answers were decided, and with which version."""
    rules = "; ".join(dict.fromkeys(task.tie_rule for task in tasks if task.tie_rule))
    scorings = {run.scoring for run in table.runs if run.is_ours}
    told = []
    if Scoring.FAIR in scorings:
        told.append(f"Fair scoring{f': {rules}' if rules else ''}")
    if Scoring.REFERENCE in scorings:
        told.append("(reference): scored as the authors' code does")
    versions = all_of(sorted({run.program for run in table.runs if not run.is_ours}))
    told.append(f"babycli {__version__}{f' from logs of {versions}' if versions else ''}")
    return [f"{'; '.join(told)}."]


def _clusters(tasks: Sequence[About]) -> str:
    """Names the kinds of clusters and what belongs to them: ``category (Labeled-S) or recording session (frames)``."""
    members: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        if task.cluster:
            kind = task.grouping(task.cluster) or Grouping(task.cluster, task.cluster)
            members.setdefault((kind.title, kind.holds), []).append(task.title)
    return any_of(f"{title} ({holds or ', '.join(titles)})" for (title, holds), titles in members.items())


def _units(table: Table) -> list[tuple[About, list[int]]]:
    """Gives the numbers of trials of each task that has any."""
    units = {task: table.units((task, metric)) for task, metric in table.columns if table.units((task, metric))}
    return [(about(task), n) for task, n in units.items()]
