"""Scores for the BabyVLM 2026 leaderboard.

Owns the format that its collator takes: ``{"results": {"<task>": {"<metric>": fraction}}}``. The leaderboard's
``baby_winoground`` is another task (version 2 of the benchmark) under the same name, so ours never goes into it.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from babycli.data.manifest import manifests
from babycli.errors import DataError, UntrustedResultError, UsageError
from babycli.report.rows import TableRow
from babycli.report.samples import rows_per_trial

OTHER_TASK = "baby_winoground"
WHY_LEFT_OUT = (
    f"{OTHER_TASK} is left out: the leaderboard means another task by that name (other items, version 2 of the "
    "benchmark), and the two must not be mixed"
)


def scores(rows: Sequence[TableRow]) -> str:
    """The JSON of one model.

    Raises UsageError for several models, DataError for numbers that are not of the whole published data, and
    UntrustedResultError for such as no leaderboard should show.
    """
    if len(rows) != 1:
        labels = "\n  ".join(row.label for row in rows[:20])
        raise UsageError(
            f"a leaderboard entry is of one model, here are {len(rows)}:\n  {labels}",
            "name one run's folder:  babycli report logs/MODEL/DATE --format leaderboard",
        )
    (row,) = rows
    if row.control:
        raise DataError(f"{row.label} is a control, not a model", "name the folder of the model's own run")
    if row.runs[0].data != "saycam":
        raise DataError(f"{row.label} was run on the demo data", "evaluate on SAYCam")
    if row.runs[0].scoring != "fair" and row.runs[0].program == "babycli":
        raise UntrustedResultError(f"{row.label} counts ties as right", "evaluate with --scoring fair")
    entry: dict[str, dict[str, float]] = {}
    for (task, metric), cell in row.cells.items():
        n_due = manifests()[task].n_rows // rows_per_trial(task)
        if cell.n_units != n_due or row.trials(task) is None:
            raise DataError(
                f"{task} of {row.label} has {cell.n_units} of {n_due} trials that can be counted",
                "evaluate all of them, without --limit and --skip-missing",
            )
        if cell.n_nonfinite or cell.fair_value is not None:
            raise UntrustedResultError(
                f"{task} of {row.label} must not be trusted", "babycli report --audit LOGS  says why"
            )
        if task != OTHER_TASK:
            entry.setdefault(task, {})[metric] = cell.value
    if not entry:
        raise DataError(WHY_LEFT_OUT, "evaluate other tasks:  babycli eval --tasks labeled_s,vtwt,saycam_caption")
    return orjson.dumps({"results": entry}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
