"""The scores file of the DevCV leaderboard: ``{"results": {"<task>": {"<metric>": fraction}}}``.

Owns which numbers go into it. The leaderboard counts with the authors' code, so these are written answers, counted
by the authors' rules whatever the scoring of the run. A task that is not in the file counts 0 there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from babycli.data.datasets import data_set_named
from babycli.errors import DataError, UntrustedResultError, UsageError
from babycli.report.forms import Say, as_json
from babycli.report.measure import Cell
from babycli.report.overall import OF_WINOGROUND, RANKED, WINOGROUND, winoground_of
from babycli.report.provisos import provisos
from babycli.report.rows import TableRow
from babycli.report.runs import Run
from babycli.tasks.about import about
from babycli.wording import Scoring

# The leaderboard's names of metrics, where they are others than acc alone.
_METRICS: Mapping[str, tuple[str, ...]] = {
    WINOGROUND: ("group_score", "image_score", "text_score"),
    "baby_vdr_binary": ("acc_exact", "acc_adjacent"),
    "baby_vdr_open": ("acc_exact", "acc_adjacent"),
    "baby_memory": ("acc_learning", "acc_testing_raw", "acc_testing_adjusted"),
}
_AGREES = 5e-5  # what a difference in percent with two decimals begins with


def ranked_rows(rows: Iterable[TableRow]) -> list[TableRow]:
    """Gives the rows with a number that such a file can hold, Baby Winoground's apart."""
    return [row for row in rows if any(task != WINOGROUND and _written(row, task) for task in RANKED)]


def refuse_chosen(rows: Iterable[TableRow]) -> None:
    """Raises DataError for a row whose answers in these tasks were chosen and never written."""
    for row in rows:
        if any(task in RANKED and task != WINOGROUND for task, _ in row.cells):
            raise DataError(
                f"the answers of {row.label} were chosen, and the leaderboard counts written ones",
                "evaluate with  --answers written",
            )


def write(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    """Writes the file of one model on one set of data; Baby Winoground may come from another of ``every`` row.

    Raises UsageError for several, DataError for a control and for numbers of a part of the items, and
    UntrustedResultError for such as no leaderboard should show.
    """
    row = _only(rows)
    _check(row)
    entry: dict[str, dict[str, float]] = {}
    others = []
    for task in RANKED:
        source = winoground_of(row, every) if task == WINOGROUND else row
        found = {} if source is None else _written(source, task)
        if source is None or not found:
            continue
        _check_task(source, task)
        entry[task] = found
        others += [
            f"{task} {metric} {100 * found[metric]:.2f} (fair scoring: {100 * source.cells[task, metric].value:.2f})"
            for metric in found
            if abs(source.cells[task, metric].value - found[metric]) > _AGREES
        ]
    for note in (*_notes(row, entry, others), *provisos(row.runs)):
        say(f"note: {note}")
    return as_json({"results": entry})


def _only(rows: Sequence[TableRow]) -> TableRow:
    models = [row for row in rows if not row.control] or list(rows)
    if len(models) != 1:
        labels = "\n  ".join(f'--model "{row.label}"' for row in models[:20])
        raise UsageError(
            f"a scores file is of one model on one set of data, here are {len(models)}; one of:\n  {labels}",
            "choose one with  --model",
        )
    return models[0]


def _check(row: TableRow) -> None:
    run = row.runs[0]
    if row.control:
        raise DataError(f"{row.label} is a control, not a model", 'name the model\'s own row with  --model "LABEL"')
    if data_set_named(run.data).is_demo:
        raise DataError(f"{row.label} was run on the demo data", "evaluate on a set of the DevCV Toolbox")
    if run.limit is not None or run.sample is not None:
        raise DataError(f"{row.label} saw a part of the items only", "evaluate without --limit and --sample")


def _check_task(row: TableRow, task: str) -> None:
    run, cells = row.run_of(task), [cell for (of, _), cell in row.cells.items() if of == task]
    if any(cell.n_skipped for cell in cells):
        raise DataError(f"{task} of {row.label} lacks items", "evaluate all of them, without --skip-missing")
    are_none = run is not None and task in run.replies and run.replies[task].is_broken
    if are_none or any(_is_doubtful(cell, run) for cell in cells):
        raise UntrustedResultError(
            f"{task} of {row.label} must not be trusted", "babycli report --audit LOGS  says why"
        )


def _is_doubtful(cell: Cell, run: Run | None) -> bool:
    # Logs of another program have the authors' numbers, which fair scoring may not have.
    is_other = cell.fair_value is not None and run is not None and run.is_ours
    return cell.n_nonfinite > 0 or is_other


def _written(row: TableRow, task: str) -> dict[str, float]:
    """Gives the numbers of a task by the authors' rules; none where its answers were not written."""
    run = row.run_of(task)
    found = {}
    for name in _METRICS.get(task, ("acc",)) if run is not None else ():
        cell = row.cells.get((task, name))
        if cell is None:
            continue
        twin = next((metric.name for metric in about(task).metrics if metric.twin_of == name), None)
        is_by_them = run is not None and run.scoring == Scoring.REFERENCE
        by_them = cell if twin is None or is_by_them else row.cells.get((task, twin))
        if by_them is not None and math.isfinite(by_them.value) and 0 <= by_them.value <= 1:
            found[name] = by_them.value
    return found


def _notes(row: TableRow, entry: Mapping[str, Mapping[str, float]], others: Sequence[str]) -> list[str]:
    data = data_set_named(row.runs[0].data)
    told = [f"{row.label}: {len(entry)} of {len(RANKED)} tasks, written answers, counted by the authors' rules"]
    if data.name != OF_WINOGROUND:
        told.append(f"these are scores on {data.title}; the leaderboard runs its own held-out set of SAYCam")
    if others:
        told.append(f"fair scoring gives other numbers: {', '.join(others)}")
    if missing := [task for task in RANKED if task not in entry]:
        told.append(f"the leaderboard counts 0 for what is missing: {', '.join(missing)}")
    if WINOGROUND in entry:
        told.append(
            f"{WINOGROUND} is of the label file of BabyVLM; that the leaderboard's file is the very same was not "
            "established"
        )
    left_out = dict.fromkeys(task for task, _ in row.cells if task not in RANKED)
    if left_out:
        told.append(f"the leaderboard has no {', '.join(left_out)}")
    return told
