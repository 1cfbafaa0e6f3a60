"""Runs of a part of the trials whose run of all trials is there too: a try with --sample or --limit, then the real one.

Owns which rows a report leaves out for that. Never reads a log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from babycli.report.rows import TableRow, settings
from babycli.report.runs import Run


def told_by_whole(rows: Sequence[TableRow]) -> list[TableRow]:
    """Gives the rows of a part of the trials that say nothing beside those of all trials.

    Each of their tasks was run whole, with the same model, control, prompt, options and name. The row of a model stays
    where a control of the same part does: its gain is over that control.
    """
    whole = {
        question
        for row in rows
        if not row.is_of_part
        for run in row.runs
        for task in _tasks(run)
        if (question := _question(run, task)) is not None
    }
    told = [
        row
        for row in rows
        if row.is_of_part and all(_question(run, task) in whole for run in row.runs for task in _tasks(run))
    ]
    needed = {settings(row.runs[0]) for row in rows if row.control and row not in told}
    return [row for row in told if row.control or settings(row.runs[0]) not in needed]


def _tasks(run: Run) -> list[str]:
    return list(dict.fromkeys(task for task, _ in run.cells))


def _question(run: Run, task: str) -> tuple[object, ...] | None:
    """Gives what a run asked of whom in a task, whatever part of the trials it saw; None where its log says too little.

    Another program's run has no identity, and may have been asked in another way.
    """
    if run.identity is None or not run.fingerprint:
        return None
    of_task = run.only({column for column in run.cells if column[0] == task})
    asked = run.identity.question.tasks.get(task)
    question = replace(run.identity.question, sample=None, limit=None)
    unlimited = replace(of_task, limit=None, identity=replace(run.identity, question=question))
    labels = run.labels_sha256.get(task)
    ways = None if asked is None else (asked.version, asked.code, asked.prompt, asked.answers)
    return (task, labels, ways, run.control, run.name, *settings(unlimited))
