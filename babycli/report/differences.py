"""How comparisons are shown: the table of differences, the items that only one model got right, and their records.

Owns layout and words. The numbers come from compare.py, the items' texts from the samples of a run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.domain import Row
from babycli.report.compare import MCNEMAR, Comparison
from babycli.report.grid import Grid, Line
from babycli.report.lmms import read_results, samples_of
from babycli.report.samples import decide
from babycli.report.sheet import Sheet
from babycli.report.tables import heading, points
from babycli.wording import Scoring

_FIELDS = {  # what of a label row says which item it is
    "labeled_s": ("target_category", "image"),
    "vtwt": ("positive_phrase", "negative_phrase", "image"),
    "baby_winoground": ("positive_phrase", "negative_phrase", "image"),
    "saycam_caption": ("text", "image"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """A trial that only one of two models got right."""

    trial_id: str
    about: Mapping[str, str]  # fields of its label row
    image: str  # its first image, empty where the log does not name it


def p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def stars(p: float) -> str:
    return "***" if p < 0.001 else "**" if p < 0.01 else "*" if p < 0.05 else ""


def as_grid(comparisons: Sequence[Comparison]) -> Grid:
    """A line per comparison: difference, interval, p value, and how small a difference could have been seen."""
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
    notes = [
        "Differences in points (first minus second), METEOR x 100, over the same trials; paired 95 % interval"
        + (", by cluster." if any(c.paired.n_clusters for c in comparisons) else "."),
        f"p: {' for choices, '.join(tests)}{' for the rest' if len(tests) > 1 else ''}; adjusted for the "
        f"{len(comparisons)} comparisons here (Holm). * p < 0.05, ** p < 0.01, *** p < 0.001.",
        "can see: the smallest true difference that so many trials show with 80 % power. only: trials in which one "
        "got more than the other.",
    ]
    if MCNEMAR in tests and any(c.paired.n_clusters for c in comparisons):
        notes.append(
            "Stars need an interval without 0 too: McNemar's test takes trials for independent, the interval does not."
        )
    title = f"{pairs[0][0]} − {pairs[0][1]}" if len(pairs) == 1 else "differences"
    return Grid("task", heads, tuple(sections), tuple(notes), title)


def _line(comparison: Comparison, indent: str) -> Line:
    found = comparison.paired
    low, high = found.ci95
    name = " ".join(heading((comparison.task, comparison.metric)))
    return Line(
        indent + name,
        (
            str(found.n_trials),
            points(found.difference) + (stars(comparison.p_holm) if comparison.is_significant else ""),
            points(low),
            points(high),
            p_text(comparison.p_holm),
            "?" if found.detectable is None else f"{100 * found.detectable:.1f}",
            f"{len(found.only_first)}/{len(found.only_second)}",
        ),
    )


def records(comparisons: Sequence[Comparison], with_items: bool) -> list[dict[str, object]]:
    """One record per comparison, full precision; with the items that only one got right."""
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
        "items_only_first": [{"trial": item.trial_id} | dict(item.about) for item in first],
        "items_only_second": [{"trial": item.trial_id} | dict(item.about) for item in second],
    }


def items(comparison: Comparison) -> tuple[list[Item], list[Item]]:
    """The trials that only the first, and only the second, got right (or, of captions, got more for)."""
    run = comparison.first.run_of(comparison.task)
    other = comparison.second.run_of(comparison.task)
    assert run is not None
    assert other is not None
    rows = {**_first_rows(other.path, comparison.task), **_first_rows(run.path, comparison.task)}
    ids = run.trials[comparison.task].trial_ids
    found = comparison.paired
    return (
        [_item(comparison.task, ids[i], rows) for i in found.only_first],
        [_item(comparison.task, ids[i], rows) for i in found.only_second],
    )


@functools.lru_cache(maxsize=16)
def _first_rows(results: Path, task: str) -> dict[str, Row]:
    """The first label row of every trial, as the samples of a run tell it; kept, as a task has several metrics."""
    logged = read_results(results).tasks.get(task)
    if logged is None:
        return {}
    decided = decide(samples_of(logged, {}), Scoring.FAIR)
    return {trial.trial_id: decided.rows[trial.row_indices[0]] for trial in decided.trials}


def _item(task: str, trial_id: str, rows: Mapping[str, Row]) -> Item:
    row = rows.get(trial_id, {})
    return Item(trial_id, {field: row[field] for field in _FIELDS[task] if row.get(field)}, row.get("image", ""))


def items_grid(comparison: Comparison) -> Grid | None:
    """The items of one comparison; None where both got the same trials."""
    both = items(comparison)
    sections = []
    for label, found in zip((comparison.first.label, comparison.second.label), both, strict=True):
        if found:
            head = Line(f"only {label}", (f"{len(found)} items",))
            sections.append((head, *(Line(f"  {item.trial_id}", (", ".join(item.about.values()),)) for item in found)))
    if not sections:
        return None
    title = " ".join(heading((comparison.task, comparison.metric)))
    return Grid("trial", (("", "item"),), tuple(sections), (), title, left=(0,))


def sheet(comparisons: Sequence[Comparison], with_items: bool) -> Sheet:
    """The table of differences, followed by one of items for each comparison if they are asked for."""
    grids = [as_grid(comparisons)]
    if with_items:
        grids += [found for each in comparisons if (found := items_grid(each)) is not None]
    return Sheet(tuple(grids), tuple(records(comparisons, with_items)))
