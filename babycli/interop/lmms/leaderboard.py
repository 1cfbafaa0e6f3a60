"""Scores for a leaderboard: those of DevCV tasks where a report has some, else those of BabyVLM's.

Owns the choice, and entries of BabyVLM's tasks: ``{"results": {"<task>": {"<metric>": fraction}}}``. Such an entry
never has ``baby_winoground``, a name that two editions of the benchmark share; a file of devcv_scores.py may have it.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.data.datasets import data_set_named
from babycli.data.manifest import manifests
from babycli.errors import DataError, UntrustedResultError
from babycli.interop.lmms import devcv_scores
from babycli.report.forms import Say, as_json
from babycli.report.one_model import only_row
from babycli.report.provisos import provisos
from babycli.report.rows import TableRow
from babycli.tasks import all_tasks
from babycli.tasks.babyvlm import BABYVLM
from babycli.wording import Scoring, all_of

OTHER_TASK = "baby_winoground"
WHY_LEFT_OUT = (
    f"{OTHER_TASK} is left out: the leaderboard means another task by that name (other items, version 2 of the "
    "benchmark), and the two must not be mixed"
)


def write(rows: Sequence[TableRow], every: Sequence[TableRow], say: Say) -> str:
    """Writes the entry of one model; its controls are passed over, and tasks of other benchmarks are left out.

    ``rows`` are those that the user chose of ``every`` row.

    Raises UsageError for several models, DataError for numbers that are not of the whole published data, and
    UntrustedResultError for such as no leaderboard should show.
    """
    if of_devcv := devcv_scores.ranked_rows(rows):
        return devcv_scores.write(of_devcv, every, say)
    devcv_scores.refuse_chosen(rows)
    row = only_row(rows, "leaderboard")
    if data_set_named(row.runs[0].data).is_demo:
        raise DataError(f"{row.label} was run on the demo data", "evaluate on SAYCam")
    if row.runs[0].scoring != Scoring.FAIR and row.runs[0].is_ours:
        raise UntrustedResultError(f"{row.label} counts ties as right", "evaluate with --scoring fair")
    entry: dict[str, dict[str, float]] = {}
    others = dict.fromkeys(task for task, _ in row.cells if not _is_of_the_benchmark(task))
    for (task, metric), cell in row.cells.items():
        if task in others:
            continue
        n_due = manifests()[task].n_rows // all_tasks()[task].rows_per_item
        if cell.n_units != n_due or row.trials(task) is None:
            raise DataError(
                f"{task} of {row.label} has {cell.n_units} of {n_due} trials that can be counted",
                "evaluate all of them, without --limit, --sample and --skip-missing",
            )
        run = row.run_of(task)
        are_none = run is not None and task in run.replies and run.replies[task].is_broken
        if cell.n_nonfinite or cell.fair_value is not None or are_none:
            raise UntrustedResultError(
                f"{task} of {row.label} must not be trusted", "babycli report --audit LOGS  says why"
            )
        if task != OTHER_TASK:
            entry.setdefault(task, {})[metric] = cell.value
    left_out = [WHY_LEFT_OUT] if any(task == OTHER_TASK for task, _ in row.cells) else []
    left_out += [f"the leaderboard has no {all_of(others)}"] if others else []
    if not entry:
        raise DataError("; ".join(left_out), f"evaluate other tasks:  babycli eval --tasks {_wanted()}")
    for note in (*left_out, *provisos(row.runs)):
        say(f"note: {note}")
    return as_json({"results": entry})


def _is_of_the_benchmark(task: str) -> bool:
    """Tells whether a task is of BabyVLM and published; what a user adds to it has no place in an entry."""
    return task in all_tasks() and all_tasks()[task].benchmark == BABYVLM and task in manifests()


def _wanted() -> str:
    """Names the tasks that the leaderboard has."""
    return ",".join(task for task in all_tasks() if _is_of_the_benchmark(task) and task != OTHER_TASK)
