"""The sentences below a summary: what a reader must know before believing or comparing its numbers.

Owns these sentences, for terminals, pages and papers. Never lays out a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from babycli.bibliography import COCHRAN
from babycli.domain import Metric
from babycli.report import families, overall, values
from babycli.report.gain import Baseline, Suspicion
from babycli.report.overlapped import overlap_notes
from babycli.report.provisos import provisos, reply_notes, software_notes
from babycli.report.rows import Column
from babycli.report.runs import Run
from babycli.report.tables import (
    LEFT_OUT,
    MARKS,
    NONFINITE,
    NOT_FAIR,
    SUSPICIOUS,
    Mark,
    Table,
    heading,
    metrics_of,
    scores_of,
    short_heading,
)
from babycli.tasks.about import About, about, in_order, is_of_chosen, metric_of
from babycli.wording import all_of, any_of

SAMPLED = (
    "N trials of each task, even over its groups; their 95 % intervals are of the score of all of its trials, drawn "
    f"without replacement ({COCHRAN.short})"
)
_MANY = 4  # tasks that are told one by one
_FEW_MISSING = 2


def notes(table: Table) -> list[str]:
    """Says what a reader must know, one line each."""
    told = [table.data_note] if table.data_note else []
    explained = table.explained
    told.append(f"{scales_note(explained)} n in {_units_told(explained)}, not rows.")
    told += overall.notes([(label, mean) for label, of_row in table.overalls.items() for mean in of_row])
    told += families.notes(table.overall_columns)
    told += _variant_notes(table)
    told += lower_notes(table)
    told += _n_notes(table)
    told += _interval_notes(table)
    told += [_mark_note(table, mark) for mark in MARKS if counts_told(table, mark)]
    told += _unfair_notes(table)
    if any(run.scoring == "reference" and run.is_ours for run in table.runs):
        told.append("(reference): scored as the original code does, its way with ties and NaN included.")
    told += part_notes(table.runs)
    told += overlap_notes(table.runs)
    told += coverage_notes(table.runs)
    told += _equal_notes(table)
    told += parts_left_out(table)
    told += provisos(table.runs)
    told += [*gain_notes(table), *untold_gain_notes(table)]
    told += [suspicion_note(each) for each in table.suspicions]
    return told + _published_notes(table)


def warnings(table: Table) -> list[str]:
    """Says those of the notes without which a number would be believed that must not be; for a table without notes."""
    return [
        *score_warnings(table),
        *overlap_notes(table.runs),
        *coverage_notes(table.runs),
        *_sample_notes(table.runs),
        *_equal_notes(table),
        *parts_left_out(table),
        *reply_notes(table.runs),
        *software_notes(table.runs),
        *(suspicion_note(each) for each in table.suspicions),
        *_published_notes(table),
    ]


def score_warnings(table: Table) -> list[str]:
    """Says those of the warnings that are of the data and of scores, which hold for a mean over rows, too."""
    return [
        *([table.data_note] if table.data_note else []),
        *(_mark_note(table, mark) for mark in MARKS if mark in (NONFINITE, LEFT_OUT) and counts_told(table, mark)),
        *_unfair_notes(table),
    ]


def in_short(table: Table) -> str:
    """Says in one line how to read a table: units, intervals, marks, and where the rest is."""
    parts = values.with_scales(metrics_of(in_order(table.tasks)), shares="%")
    cells = [cell for row in table.rows for cell in row.cells.values()]
    intervals = [cell for cell in cells if cell.interval is not None]
    by_cluster = " by cluster" if any(cell.is_by_cluster for cell in intervals) else ""
    parts += [f"± 95 % interval{by_cluster}"] if intervals else []
    parts += [f"visual gain over {over}"] if (over := gain_baselines(table)) else []
    if table.overalls:
        lacking = list(dict.fromkeys(task for of_row in table.overalls.values() for o in of_row for task in o.missing))
        which = f" ({', '.join(about(task).title for task in lacking)})" if 0 < len(lacking) <= _FEW_MISSING else ""
        parts.append(f"overall: a missing task{which} counts 0")
    marks = [mark for mark in MARKS if mark not in (NONFINITE, LEFT_OUT) and any(map(mark.count, cells))]
    parts += [f"{mark.sign} {mark.short}" for mark in marks]
    differ = any(len(table.units(column)) > 1 for column in table.columns)
    return f"{'; '.join(parts)}. More{', and n of each row' if differ else ''}: babycli report --notes"


def _mark_note(table: Table, mark: Mark) -> str:
    return f"{mark.sign}  {mark.meaning(table.explained)}: {counts_told(table, mark)}"


def _unfair_notes(table: Table) -> list[str]:
    unfair = [
        f"{row.label} {column[0]} {values.number(metric_of(*column), cell.fair_value)}"
        for row in table.rows
        for column, cell in row.cells.items()
        if cell.fair_value is not None
    ]
    lead = f"{NOT_FAIR}  not what fair scoring of its own samples gives"
    return [f"{lead}: {', '.join(unfair)}; babycli report --audit says why"] if unfair else []


def _published_notes(table: Table) -> list[str]:
    of = table.baselines
    return [] if of is None else [f"(published): {of.told}."]


def _equal_notes(table: Table) -> list[str]:
    """Says of which tasks there are several runs that differ in nothing; of a row that is so as a whole, how many."""
    equal = []
    for row in table.rows:
        n_equal = {task: n for run in row.runs for task, n in run.n_equal.items()}
        for n in sorted({n for n in n_equal.values() if n > 1}):
            tasks = [task for task in n_equal if n_equal[task] == n]
            equal.append(f"{row.label} {n}" + (f" of {' and '.join(tasks)}" if len(tasks) < len(n_equal) else ""))
    lead = "equal runs (the same model, settings, data, software and numbers), of which the latest is shown"
    return [f"{lead}: {', '.join(equal)}; --all-runs shows all."] if equal else []


def parts_left_out(table: Table) -> list[str]:
    """Says how many runs of a part of the trials are not shown."""
    n = table.n_parts_left_out
    runs, whole = ("run", "one is") if n == 1 else ("runs", "ones are")
    left = f"{n} {runs} of a part of the trials {'is' if n == 1 else 'are'} left out, as the whole {whole} here"
    return [f"{left}: --all-runs shows {'it' if n == 1 else 'them'}."] if n else []


def part_notes(runs: Sequence[Run]) -> list[str]:
    """Says which trials those runs saw that did not see all of them."""
    notes = []
    if any(run.limit is not None for run in runs):
        of_rows = "; of lmms-eval, rows" if any(not run.is_ours for run in runs) else ""
        notes.append(f"(limit N): only the first N trials of each task{of_rows}.")
    if any(run.offset for run in runs):
        notes.append("(offset M): the first M rows of each task were passed over, so these are other trials.")
    return notes + _sample_notes(runs)


def _sample_notes(runs: Sequence[Run]) -> list[str]:
    return [f"(sample N): {SAMPLED}."] if are_sampled(runs) else []


def coverage_notes(runs: Sequence[Run]) -> list[str]:
    """Says what the trials of runs cover that saw a part of a task, a line for each limit and sample."""
    return [f"({which}) covers: {covered}." for which, covered in coverage(runs).items()]


def coverage(runs: Sequence[Run]) -> dict[str, str]:
    """Lists what each limit and sample left of the tasks: ``VTWT 20 of 967 trials; Caption 20 of 294 captions``."""
    told: dict[str, dict[str, None]] = {}
    for run in runs:
        for task in in_order(task for task, _ in run.cells):
            of_task = run.coverage(task.name)
            if of_task is not None:
                cell = next(cell for (of, _), cell in run.cells.items() if of == task.name)
                which = run.sample.told if run.sample else f"limit {run.limit:g}" if run.limit else "a part"
                covered = of_task.told(cell.n_units + cell.n_skipped, task.unit)
                lacks = f", {cell.n_skipped} of them left out" if cell.n_skipped else ""
                told.setdefault(which, {})[f"{task.short} {covered}{lacks}"] = None
    return {which: "; ".join(covered) for which, covered in told.items()}


def are_sampled(runs: Sequence[Run]) -> bool:
    """Tells whether some runs have intervals of a sample."""
    return any(run.sample and any(cell.ci95_of_all for cell in run.cells.values()) for run in runs)


def legends(table: Table) -> list[str]:
    """Says what the short heads of tasks and metrics mean, as far as they are shown."""
    told, names = [], []
    shown = [metric_of(*column) for column in table.columns]
    for task in in_order(table.tasks):
        own = [metric for metric in task.metrics if metric in shown and not _is_variant(metric)]
        if len(task.metrics) > 1 and task.short != task.title:
            names.append(f"{task.short}: {task.title}")
        derived = "; ".join(f"{m.short}: {m.title}" for m in own if m.short != m.title)
        meaning = task.legend or derived
        if len(own) > 1 and meaning:
            lead = f"{task.short}: {task.title}; " if task.short != task.title else f"{task.short}: "
            names = [name for name in names if name != lead.removesuffix("; ")]
            told.append(f"{lead}{meaning}.")
    return [*([f"{'; '.join(names)}."] if names else []), *told]


def _variant_notes(table: Table) -> list[str]:
    """Says what columns beside those of written answers are."""
    told, shown = [], [metric_of(*column) for column in table.columns]
    if any(metric.twin_of for metric in shown):
        told.append("(ref.): by the rules of the authors' code, where these give another number.")
    if any(is_of_chosen(metric.name) for metric in shown):
        told.append("(chosen): not written; the answer of the closed set that the model prefers.")
    return told


def _is_variant(metric: Metric) -> bool:
    return bool(metric.twin_of) or is_of_chosen(metric.name)


def counts_told(table: Table, mark: Mark) -> str:
    """Lists what a mark stands for in each row and task: ``lab/model vtwt 3``; "" where nothing has it.

    A row with many tasks is named once: ``lab/model vtwt 3, labeled_s 2; lab/other vtwt 5``.
    """
    counts: dict[tuple[str, str], int] = {}
    for row in table.rows:
        for (task, _), cell in row.cells.items():
            counts[row.label, task] = max(mark.count(cell), counts.get((row.label, task), 0))
    found: dict[str, list[str]] = {}
    for (label, task), n in counts.items():
        if n:
            found.setdefault(label, []).append(f"{task} {n}")
    has_many = any(len(of_row) > 1 for of_row in found.values())
    return ("; " if has_many else ", ").join(f"{label} {', '.join(of_row)}" for label, of_row in found.items())


def _units_told(tasks: Sequence[About]) -> str:
    """Lists what one item is called: ``trials (instances, captions)``."""
    first, *others = dict.fromkeys(task.unit for task in tasks)
    return f"{first} ({', '.join(others)})" if others else first


def lower_notes(table: Table) -> list[str]:
    """Says of which metrics less is better; nothing where there are none."""
    lower = [column for column in table.columns if not metric_of(*column).higher_is_better]
    return [f"Less is better: {', '.join(' '.join(short_heading(column)) for column in lower)}."] if lower else []


def gain_told(table: Table) -> str:
    """Says what a visual gain of this table is; "" where there is none."""
    over = {over for gain in table.gains.values() for over in gain.over.values()}
    of_shuffled = "the score less that of the same model with wrong pictures"
    of_blind = "the better of chance and the same model without pictures"
    if "shuffled" not in over:
        return f"the score less {of_blind}" if over else ""
    return of_shuffled if len(over) == 1 else f"{of_shuffled} or, where that was not run, {of_blind}"


def gain_notes(table: Table, lead: str = "visual gain: ") -> list[str]:
    """Says the same in a note, with what it is over in which column; none where there is no gain."""
    told = gain_told(table)
    whole = f"{lead}{told}, on the same trials; paired 95 % interval. Here it is over {gain_baselines(table)}."
    return [f"{whole}{_lower_gain_note(table)}"] if told else []


def gain_baselines(table: Table) -> str:
    """Lists what the gains of each column are over: ``chance in Wino image, Wino text; over shuffled in VTWT acc``."""
    found: dict[str, list[str]] = {}
    for column in table.columns:
        over = {label: gain.over[column] for label, gain in table.gains.items() if column in gain.over}
        kinds = [kind for kind in get_args(Baseline) if kind in over.values()]
        rows = [[label for label, of in over.items() if of == kind] for kind in kinds]
        name = " ".join(short_heading(column))
        if len(kinds) > 1 and len(over) > _MANY:  # of many rows, csv and json say it of each
            found.setdefault(f"{any_of(kinds)} (csv and json say which)", []).append(name)
            continue
        for kind, labels in zip(kinds, rows, strict=True):
            found.setdefault(kind, []).append(name if len(kinds) == 1 else f"{name} ({', '.join(labels)})")
    if not found:
        return ""
    if len(found) == 1:
        return next(iter(found))
    return "; over ".join(f"{kind} in {', '.join(names)}" for kind, names in sorted(found.items()))


def untold_gain_notes(table: Table) -> list[str]:
    """Says which visual gains a run without pictures does not tell; none where it tells all."""
    untold = dict.fromkeys(column for gain in table.gains.values() for column in gain.untold)
    if not untold:
        return []
    named = ", ".join(" ".join(short_heading(column)) for column in untold)
    does = "one with wrong pictures (control: shuffled) does"
    return [f"A run without pictures does not tell the visual gain of {named}: {does}."]


def _lower_gain_note(table: Table) -> str:
    """Says which sign of a visual gain is good where less is better; "" where there is no such gain."""
    columns = {column for gain in table.gains.values() for column in gain.by_column}
    is_less = any(not metric_of(*column).higher_is_better for column in columns)
    return " Where less is better, a gain below 0 is the good one." if is_less else ""


def _n_notes(table: Table) -> list[str]:
    """Says the n of every row, of the tasks in which it differs."""
    found = []
    for task in dict.fromkeys(task for task, _ in table.columns):
        counts = {row.label: cell.n_units for row in table.rows for (of, _), cell in row.cells.items() if of == task}
        if len(set(counts.values())) > 1:
            found.append(f"n of {task}: {', '.join(f'{label} {n}' for label, n in counts.items())}")
    return found


def _interval_notes(table: Table) -> list[str]:
    cells = [cell for row in table.rows for cell in row.cells.values() if not cell.ci95_of_all]
    notes = []
    if any(cell.is_by_cluster for cell in cells):
        but = " (but for samples)" if are_sampled(table.runs) else ""
        notes.append(
            "± how far the 95 % interval reaches on its wider side; trials are not independent, so by cluster"
            f"{but}: {_clusters_told(table)}."
        )
    if any(cell.ci95 and not cell.ci95_clustered for cell in cells):
        lead = "± without clusters" if notes else "± how far the 95 % interval reaches on its wider side"
        is_share = any(metric.is_share for metric in metrics_of(table.explained))
        ways = ["Wilson's for shares of trials"] if is_share else []
        if scores := scores_of(table.explained):
            ways.append(f"bootstrap for {all_of(scores)}")
        notes.append(f"{lead}: {', '.join(ways)}.")
    single: dict[str, dict[str, None]] = {}
    for row in table.rows:
        for column, cell in row.cells.items():
            if cell.ci95 and not cell.ci95_of_all and cell.n_clusters == 1 and cell.n_units > 1:
                single.setdefault(short_heading(column)[0], {})[row.label] = None
    if single:
        n_rows = len(table.rows)
        told = [f"{task}{f' of {all_of(of)}' if len(of) < n_rows else ''}" for task, of in single.items()]
        notes.append(
            f"All in one cluster: {', '.join(told)}. There ± takes trials for independent, which is too narrow, and "
            "of a difference nothing can be told (−100 to +100)."
        )
    return notes


def _clusters_told(table: Table) -> str:
    """Lists the kinds of clusters and how many there are: ``Labeled-S by category (22), VTWT by session (74)``.

    Where many tasks have clusters of one kind, the kind is told once, and the tasks by their short names.
    """
    by_kind: dict[str, dict[Column, set[int]]] = {}
    for row in table.rows:
        for column, cell in row.cells.items():
            if cell.is_by_cluster:
                of_kind = by_kind.setdefault(about(column[0]).cluster, {})
                of_kind.setdefault(column, set()).add(cell.n_clusters or 0)
    told = set()
    for kind, counts in by_kind.items():
        grouping = about(next(iter(counts))[0]).grouping(kind)
        is_plain = grouping is None or grouping.is_offered  # its name is a word that readers know
        if is_plain and len({task for task, _ in counts}) <= _MANY:
            told |= {f"{heading(column)[0]} by {kind} ({_or(ns)})" for column, ns in counts.items()}
        else:
            tasks = dict.fromkeys(f"{short_heading(column)[0]} {_or(ns)}" for column, ns in counts.items())
            told.add(f"{grouping.title if grouping else kind} ({', '.join(tasks)})")
    return ", ".join(sorted(told))


def _or(numbers: Iterable[int]) -> str:
    return any_of(map(str, sorted(numbers)))


def suspicion_headline(suspicion: Suspicion) -> str:
    """Says that a control is above chance."""
    cell, metric = suspicion.cell, metric_of(suspicion.task, suspicion.metric)
    assert cell.interval_beyond is not None
    assert cell.chance is not None
    why = (
        "It does not see the right image, so words or labels may give answers away (one control in 40 is above by luck)"
    )
    if suspicion.is_unread:
        why = "A control that never reads the question solves it"
    elif suspicion.is_by_ties:
        why = "Most of its trials are ties, which reference scoring counts as right where the right one comes first"
    side = "ABOVE" if metric.higher_is_better else "BETTER THAN"
    return (
        f"A CONTROL {side} CHANCE: {suspicion.label} gets {values.number(metric, cell.value)} on {suspicion.task} "
        f"{suspicion.metric} {values.interval(metric, cell.interval_beyond)}, chance is "
        f"{values.number(metric, cell.chance)}. {why}"
    )


def suspicion_note(suspicion: Suspicion) -> str:
    """Says the same, with what gives the answers away."""
    lead = f"{SUSPICIOUS}  {suspicion_headline(suspicion)}"
    if suspicion.by is None or not suspicion.give_aways:
        return lead
    metric, is_word = metric_of(suspicion.task, suspicion.metric), suspicion.by.halves is not None
    ways = "; ".join(
        f"{way.what} ({values.number(metric, way.score)} of {way.n_trials}"
        + (f", in the right phrase of {way.n_right})" if is_word else ")")
        for way in suspicion.give_aways
    )
    return f"{lead}, most in the trials with the {'word' if is_word else suspicion.by.title} {ways}"


def scales_note(tasks: Sequence[About]) -> str:
    """Says in which units the metrics of these tasks are shown: ``Shares of 100 %; METEOR x 100.``"""
    return f"{'; '.join(values.with_scales(metrics_of(tasks), shares='Shares of 100 %'))}."
