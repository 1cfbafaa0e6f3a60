"""How comparisons are shown: the table of differences, the items that only one model got right, and their records.

Owns layout and words. The numbers come from compare.py, the items' texts from the samples of a run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli import domain
from babycli.domain import ImageRef
from babycli.report import values
from babycli.report.compare import MCNEMAR, Comparison
from babycli.report.grid import Grid, Line
from babycli.report.logged import logged_items
from babycli.report.provisos import provisos
from babycli.report.sheet import Lines, Sheet
from babycli.report.tables import UNANSWERED, heading
from babycli.report.turns import LoggedTurn, logged_turns
from babycli.tasks.about import about, in_order, metric_of


@dataclass(frozen=True, slots=True)
class Item:
    """A trial that only one of two models got right, or did better in."""

    trial_id: str
    about: Mapping[str, str]  # what of its label row tells a reader which it is
    images: tuple[ImageRef, ...]  # those that a reader needs: of an item with turns all, else the first


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
        ("can", "see"),
        ("only", "1st/2nd"),
    )
    tests = sorted({c.paired.test for c in comparisons}, key=lambda test: test != MCNEMAR)
    is_in_points, scales = units(comparisons, "x")
    lead = ", ".join([f"Differences{' in points' if is_in_points else ''} (first minus second)", *scales])
    notes = [
        f"{lead}, over the same trials; paired 95 % interval"
        + (", by cluster." if any(c.paired.n_clusters for c in comparisons) else "."),
        f"p: {' for choices, '.join(tests)}{' for the rest' if len(tests) > 1 else ''}; adjusted for the "
        f"{len(comparisons)} comparisons here (Holm). * p < 0.05, ** p < 0.01, *** p < 0.001.",
        "can see: the smallest true difference that so many trials show with 80 % power. only: trials in which one "
        f"got more than the other{_less(comparisons)}.",
    ]
    if MCNEMAR in tests and any(c.paired.n_clusters for c in comparisons):
        notes.append(
            "Stars need an interval without 0 too: McNemar's test takes trials for independent, the interval does not."
        )
    notes += _unanswered(comparisons)
    notes += provisos([run for c in comparisons for row in (c.first, c.second) for run in row.runs])
    title = f"{pairs[0][0]} − {pairs[0][1]}" if len(pairs) == 1 else "differences"
    return Grid("task", heads, tuple(sections), tuple(notes), title)


def units(comparisons: Sequence[Comparison], times: str) -> tuple[bool, list[str]]:
    """Tells whether any of the compared metrics is counted in points, and how each score of them is shown."""
    compared = dict.fromkeys((c.task, c.metric) for c in comparisons)
    tasks = in_order(task for task, _ in compared)
    metrics = [metric for task in tasks for metric in task.metrics if (task.name, metric.name) in compared]
    return any(metric.shown_scale == 100 for metric in metrics), values.with_scales(metrics, times)


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
            "?" if found.detectable is None else values.distance(metric, found.detectable),
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
    first, second = items(comparison)
    return {
        "items_only_first": [_item_document(comparison, item) for item in first],
        "items_only_second": [_item_document(comparison, item) for item in second],
    }


def _item_document(comparison: Comparison, item: Item) -> dict[str, object]:
    of_first, of_second = turns(comparison, item.trial_id)
    of_turns = [_turn_document(*both) for both in zip(of_first, of_second, strict=False)]
    return {"trial": item.trial_id, **item.about, **({"turns": of_turns} if of_turns else {})}


def _turn_document(first: LoggedTurn, second: LoggedTurn) -> dict[str, str]:
    """Makes the record of a turn: what was asked, and what each said and was understood to say."""
    return {
        "question": first.question,
        "right": first.right,
        "first_said": first.said,
        "first_read": first.read,
        "second_said": second.said,
        "second_read": second.read,
    }


def items(comparison: Comparison) -> tuple[list[Item], list[Item]]:
    """Lists the trials that only the first, and only the second, got right, or did better in."""
    run = comparison.first.run_of(comparison.task)
    other = comparison.second.run_of(comparison.task)
    assert run is not None
    assert other is not None
    ids = run.trials[comparison.task].trial_ids
    logged = {**_logged_items(other.path, comparison.task, ids), **_logged_items(run.path, comparison.task, ids)}
    found = comparison.paired
    return (
        [_item(comparison.task, ids[i], logged.get(ids[i])) for i in found.only_first],
        [_item(comparison.task, ids[i], logged.get(ids[i])) for i in found.only_second],
    )


@functools.lru_cache(maxsize=16)
def _logged_items(results: Path, task: str, ids: tuple[str, ...]) -> dict[str, domain.Item]:
    """Reads the items of a task from the samples of a run; kept, as a task has several metrics."""
    return logged_items(results, task, ids)


def _item(task: str, trial_id: str, logged: domain.Item | None) -> Item:
    if logged is None:
        return Item(trial_id, {}, ())
    row = logged.rows[0]
    fields = {column: str(row[column]) for column in about(task).item_columns if row.get(column)}
    named = tuple(dict.fromkeys(image for image in logged.images if image.name))
    benchmark = about(task).benchmark
    return Item(trial_id, fields, named if benchmark is not None and benchmark.has_sets else named[:1])


def turns(comparison: Comparison, trial_id: str) -> tuple[Sequence[LoggedTurn], Sequence[LoggedTurn]]:
    """Gives the turns of a trial as both models answered them; none where their logs do not tell of turns."""
    runs = [row.run_of(comparison.task) for row in (comparison.first, comparison.second)]
    first, second = (
        () if run is None else logged_turns(run.path, comparison.task, comparison.metric, run.scoring).get(trial_id, ())
        for run in runs
    )
    return first, second


def item_lines(comparisons: Sequence[Comparison]) -> Lines:
    """Makes a line for each item that only one of two models got right, for forms that have no lists in a line."""
    names = ("first", "second", "task", "metric", "only", "trial")
    both = [items(comparison) for comparison in comparisons]
    columns: dict[str, None] = {}
    for comparison, (only_first, only_second) in zip(comparisons, both, strict=True):
        listed = [*only_first, *only_second]
        if not listed or any(item.about for item in listed):  # else nothing tells of the items
            columns |= dict.fromkeys(column for column in about(comparison.task).item_columns if column not in names)
    lines: list[Mapping[str, object]] = []
    for comparison, of_both in zip(comparisons, both, strict=True):
        first, second = comparison.first.label, comparison.second.label
        of_pair = {"first": first, "second": second, "task": comparison.task, "metric": comparison.metric}
        for label, of_label in zip((first, second), of_both, strict=True):
            for item in of_label:
                texts = {column: item.about[column] for column in columns if column in item.about}
                lines.append(of_pair | {"only": label, "trial": item.trial_id} | texts)
    return Lines((*names, *columns), tuple(lines))


def items_grid(comparison: Comparison) -> Grid | None:
    """Makes a table of the items of one comparison; None where both got the same trials."""
    both = items(comparison)
    sections = []
    for label, found in zip((comparison.first.label, comparison.second.label), both, strict=True):
        if found:
            head = Line(f"only {label}", (f"{len(found)} items",))
            sections.append((head, *(Line(f"  {item.trial_id}", (", ".join(item.about.values()),)) for item in found)))
    if not sections:
        return None
    title = " ".join(heading((comparison.task, comparison.metric)))
    is_told = any(item.about for found in both for item in found)
    return Grid("trial", (("", "item" if is_told else ""),), tuple(sections), (), title, left=(0,))


def sheet(comparisons: Sequence[Comparison], with_items: bool) -> Sheet:
    """Makes the table of differences, followed by one of items for each comparison if they are asked for."""
    grids = [as_grid(comparisons)]
    if with_items:
        grids += [found for each in comparisons if (found := items_grid(each)) is not None]
    lines = item_lines(comparisons) if with_items else None
    return Sheet(tuple(grids), tuple(records(comparisons, with_items)), lines=lines)
