"""Comparing runs on samples of a task (`--sample`) with each other and with runs on all of it.

Owns what is common to them. A larger sample holds a smaller one of the same seed, and all trials hold every sample: so
two such runs are compared on the trials of the smaller one.
"""

from __future__ import annotations

from dataclasses import replace

from babycli.report.rows import TableRow
from babycli.report.runs import Run


def sampling_problem(first: Run, second: Run) -> str:
    """Says why runs of which one saw a sample saw other trials; "" where they did not."""
    samples = [run.sample for run in (first, second) if run.sample is not None]
    limits = [run.limit for run in (first, second) if run.limit is not None]
    if samples and limits:
        return (
            f"saw other trials: one the first {limits[0]:g} of each task (--limit), the other {samples[0].n} of all "
            "groups (--sample)"
        )
    seeds = sorted({sample.seed for sample in samples})
    return f"saw samples of other seeds ({seeds[0]} and {seeds[1]})" if len(seeds) > 1 else ""


def limit_problem(first: Run, second: Run) -> str:
    """Says that runs saw other trials because of other limits; "" where their limits are the same."""
    if first.limit == second.limit:
        return ""
    one, other = ("all" if run.limit is None else f"the first {run.limit:g}" for run in (first, second))
    return f"saw other trials: {one} and {other} of each task (--limit)"


def are_parts_of_one(first: Run, second: Run) -> bool:
    """Tells whether one of two runs holds the trials of the other, because that saw a smaller sample."""
    return first.sample != second.sample and not sampling_problem(first, second)


def on_common_trials(first: Run, second: Run, task: str) -> tuple[Run, Run]:
    """Gives two runs with the trials of a task that both saw, where one saw a smaller sample; else as they are."""
    is_known = all(task in run.trials for run in (first, second))
    if not is_known or not are_parts_of_one(first, second):
        return first, second
    both = {*first.trials[task].trial_ids} & {*second.trials[task].trial_ids}
    if not both:
        return first, second
    one, other = (replace(run, trials={**run.trials, task: run.trials[task].only(both)}) for run in (first, second))
    return one, other


def row_with(row: TableRow, run: Run) -> TableRow:
    """Gives a row with this run in the place of its own of the same log."""
    return replace(row, runs=tuple(run if each.path == run.path else each for each in row.runs))
