"""How comparisons are shown: the table of differences, and their records; item_sheets.py shows the items.

Owns layout and words. The numbers come from compare.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.data.datasets import data_set_named
from babycli.report import item_sheets, values
from babycli.report.compare import MCNEMAR, Comparison
from babycli.report.grid import Grid, Line
from babycli.report.notes import coverage_notes
from babycli.report.overlapped import overlap_notes
from babycli.report.provisos import provisos
from babycli.report.sheet import Sheet
from babycli.report.tables import UNANSWERED, heading
from babycli.tasks.about import about, in_order, metric_of

UNKNOWN = "?"  # in the place of a detectable difference


def p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def stars(p: float) -> str:
    return "***" if p < 0.001 else "**" if p < 0.01 else "*" if p < 0.05 else ""


def as_grid(comparisons: Sequence[Comparison]) -> Grid:
    """Makes a line per comparison: difference, interval, p value, and how small a difference could have been seen."""
    pairs = list(dict.fromkeys((c.first.label, c.second.label) for c in comparisons))
    sections = []
    for first, second in pairs:
        of_pair = [c for c in comparisons if (c.first.label, c.second.label) == (first, second)]
        pair = f"{first} − {second}" if len(pairs) > 1 else ""
        lines = [Line(pair, ("",) * 7)] if pair else []
        sections.append((*lines, *(_line(c, "  " if pair else "") for c in of_pair)))
    heads = (
        ("", "n"),
        ("", "diff."),
        ("95 %", "from"),
        ("", "to"),
        ("p", "(Holm)"),
        ("detectable", "difference"),
        ("wins", "A/B"),
    )
    tests = sorted({c.paired.test for c in comparisons}, key=lambda test: test != MCNEMAR)
    lead, lead_of_paper = (_lead(comparisons, times) for times in ("x", "×"))
    n = len(comparisons)
    adjusted = f"; adjusted for the {n} comparisons here (Holm)" if n > 1 else ""
    notes = [
        lead,
        f"p: {' for choices, '.join(tests)}{' for the rest' if len(tests) > 1 else ''}{adjusted}. "
        "* p < 0.05, ** p < 0.01, *** p < 0.001.",
        "Detectable difference: the smallest true one that so many trials show with 80 % power. Wins: trials in which "
        f"only A, and only B, got more{_less(comparisons)}.",
    ]
    notes += _unknown(comparisons)
    if MCNEMAR in tests and any(c.paired.n_clusters for c in comparisons):
        notes.append(
            "Stars need an interval without 0 too: McNemar's test takes trials for independent, the interval does not."
        )
    notes += _unanswered(comparisons)
    runs = [run for c in comparisons for row in (c.first, c.second) for run in row.runs]
    notes += dict.fromkeys(note for run in runs if (note := data_set_named(run.data).note))
    if any(run.sample for run in runs):
        notes.append("(sample N): N trials of each task, even over its groups.")
    notes += overlap_notes(runs)
    notes += coverage_notes(runs)
    notes += provisos(runs)
    title = f"{pairs[0][0]} − {pairs[0][1]}" if len(pairs) == 1 else "differences"
    caption = " ".join([f"{title}.", lead_of_paper, *notes[1:]])
    return Grid("task", heads, tuple(sections), tuple(notes), title, caption=caption)


def _lead(comparisons: Sequence[Comparison], times: str) -> str:
    """Says what is subtracted from what, in which units, and what the interval is."""
    is_in_points, scales = units(comparisons, times)
    told = ", ".join([f"Differences{' in points' if is_in_points else ''}, A minus B (A is named first)", *scales])
    by = ", by cluster" if any(c.paired.n_clusters for c in comparisons) else ""
    return f"{told}, over the same trials; paired 95 % interval{by}."


def units(comparisons: Sequence[Comparison], times: str) -> tuple[bool, list[str]]:
    """Tells whether any of the compared metrics is counted in points, and how each score of them is shown."""
    compared = dict.fromkeys((c.task, c.metric) for c in comparisons)
    tasks = in_order(task for task, _ in compared)
    metrics = [metric for task in tasks for metric in task.metrics if (task.name, metric.name) in compared]
    return any(metric.shown_scale == 100 for metric in metrics), values.with_scales(metrics, times)


def _unknown(comparisons: Sequence[Comparison]) -> list[str]:
    """Says why no detectable difference is known where there is none."""
    without = [c.paired for c in comparisons if c.paired.detectable is None]
    alone = [pair for pair in without if 1 in (pair.n_clusters, pair.n_trials)]
    which = "cluster" if any(pair.n_clusters == 1 for pair in alone) else "trial"
    reasons = [
        *([f"a single {which} does not tell how much it varies, so the interval is all that can be"] if alone else []),
        *(["all trials differ by the same"] if len(without) > len(alone) else []),
    ]
    return [f"{UNKNOWN}: not known, as {', or '.join(reasons)}."] if reasons else []


def _unanswered(comparisons: Sequence[Comparison]) -> list[str]:
    """Says how many items each model could not take; nothing where there are none."""
    cells = {(row.label, c.task): row.cells[c.task, c.metric] for c in comparisons for row in (c.first, c.second)}
    told = [
        f"{label} {cell.n_unanswered} of {cell.n_units} in {task}"
        for (label, task), cell in cells.items()
        if cell.n_unanswered
    ]
    meaning = UNANSWERED.meaning([about(task) for _, task in cells])
    return [f"Could not be answered ({meaning}): {', '.join(told)}."] if told else []


def _less(comparisons: Sequence[Comparison]) -> str:
    """Says for which metrics it is less that counts."""
    columns = dict.fromkeys((c.task, c.metric) for c in comparisons if not metric_of(c.task, c.metric).higher_is_better)
    return f" (of {', '.join(' '.join(heading(column)) for column in columns)}, less)" if columns else ""


def _line(comparison: Comparison, indent: str) -> Line:
    found, metric = comparison.paired, metric_of(comparison.task, comparison.metric)
    low, high = found.ci95
    name = " ".join(heading((comparison.task, comparison.metric)))
    return Line(
        indent + name,
        (
            str(found.n_trials),
            values.difference(metric, found.difference)
            + (stars(comparison.p_holm) if comparison.is_significant else ""),
            values.difference(metric, low),
            values.difference(metric, high),
            p_text(comparison.p_holm),
            UNKNOWN if found.detectable is None else values.distance(metric, found.detectable),
            f"{len(found.only_first)}/{len(found.only_second)}",
        ),
    )


def records(comparisons: Sequence[Comparison], with_items: bool) -> list[dict[str, object]]:
    """Makes a record per comparison, with full precision; on demand with the items that only one got right."""
    return [_record(each) | (_item_record(each) if with_items else {}) for each in comparisons]


def _record(comparison: Comparison) -> dict[str, object]:
    found = comparison.paired
    return {
        "first": comparison.first.label,
        "second": comparison.second.label,
        "task": comparison.task,
        "metric": comparison.metric,
        "first_value": found.first_value,
        "second_value": found.second_value,
        "difference": found.difference,
        "ci95_low": found.ci95[0],
        "ci95_high": found.ci95[1],
        "n_units": found.n_trials,
        "n_clusters": found.n_clusters,
        "test": found.test,
        "p_value": found.p_value,
        "p_holm": comparison.p_holm,
        "significant": comparison.is_significant,
        "detectable_difference": found.detectable,
        "only_first": len(found.only_first),
        "only_second": len(found.only_second),
    }


def _item_record(comparison: Comparison) -> dict[str, object]:
    lists = {listed.only: listed for listed in item_sheets.of_comparison(comparison)}
    of_both = [lists.get(row.label) for row in (comparison.first, comparison.second)]
    first, second = ([] if of is None else [item_sheets.document(item) for item in of.items] for of in of_both)
    return {"items_only_first": first, "items_only_second": second}


def sheet(comparisons: Sequence[Comparison], with_items: bool) -> Sheet:
    """Makes the table of differences, followed by those of the items if they are asked for."""
    lists = [listed for each in comparisons for listed in item_sheets.of_comparison(each)] if with_items else []
    grids = (as_grid(comparisons), *map(item_sheets.as_grid, lists))
    tasks = [each.task for each in comparisons]
    lines = item_sheets.lines(lists, tasks, two=True) if with_items else None
    return Sheet(grids, tuple(records(comparisons, with_items)), lines=lines)
