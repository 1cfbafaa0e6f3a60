"""Runs whose trials are held against a training set: which are leaked, and numbers of the clean or the leaked alone.

Owns joining runs with a list of `data overlap`, and what is said of that. The list is checked by
babycli/data/overlap_file.py, numbers are made by measure.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from babycli.data.overlap_file import Overlap, OverlapFile, TaskOverlap
from babycli.data.overlap_levels import LEAKING, Level
from babycli.errors import ChecksumError, DataError
from babycli.report.measure import Cell, measured
from babycli.report.runs import Overlapped, Run
from babycli.report.trials import TaskTrials
from babycli.tasks.about import about
from babycli.tasks.groups import OVERLAP
from babycli.wording import all_of, any_of, listed

CLEAN, LEAKED = "clean", "leaked"
_ANEW = "babycli data overlap TRAINING -o FILE"


@dataclass(frozen=True, slots=True)
class Against:
    """A list of overlaps, and how it is to be used."""

    file: OverlapFile
    levels: tuple[Level, ...]  # that count as leaked; (): those that usually do
    only: str  # "clean", "leaked", or "" for all


def held_against(
    runs: Sequence[Run], against: Against, shown: Collection[str], say: Callable[[str], None]
) -> list[Run]:
    """Gives the runs with the group of each trial, and with ``only`` the numbers of that group alone.

    ``shown`` are the tasks that are to be shown: of others nothing is said.

    Raises ChecksumError where the list is of other labels than a run, DataError where it lacks a trial of a run, a
    level that was asked for, or all tasks.
    """
    overlap = against.file.overlap
    levels = _levels(against)
    told = _told(against, levels)
    found, unsplit = [], dict[str, None]()
    for run in runs:
        trials: dict[str, TaskTrials] = {}
        left_out = []
        tasks = dict.fromkeys(task for task, _ in run.cells)
        for task in tasks:
            of_task = _task_of(against.file, run, task)
            split = None if of_task is None else _split(run, task, of_task, levels, against)
            if split is None:
                left_out.append(task)
            else:
                trials[task] = split
        unsplit |= dict.fromkeys(left_out)
        found.append(_with_trials(run, trials, left_out, told, against.only))
    splits = [run.overlap for run in found if run.overlap is not None]
    if not any(task in shown for split in splits for task in split.kept):
        names = all_of(dict.fromkeys(task.task for task in overlap.tasks))
        raise DataError(
            f"{against.file.path} tells of no trial of {listed(shown, 20)}; it is of {names}",
            f"name the tasks of the runs, and own ones by their files:  {_ANEW} --tasks A,FILE.jsonl:DIR",
        )
    if unknown := [task for task in unsplit if task in shown]:
        say(f"note: {against.file.path} does not tell which trials of {listed(unknown, 20)} are leaked")
    kept = [run for run in found if run.cells]
    if not any(task in shown for run in kept for task, _ in run.cells):
        raise DataError(
            f"no trial of {listed(shown, 20)} is {against.only}, by {_any_level(overlap, levels)}",
            "leave out --only, or choose the levels that count:  --level sha256,name",
        )
    empty = dict.fromkeys(task for split in splits for task, (n, _) in split.kept.items() if not n and task in shown)
    if empty:
        say(f"note: none of the trials of {listed(empty, 20)} is {against.only}, so they are left out")
    lost = dict.fromkeys(
        f"{task} {metric}"
        for run, split in zip(runs, found, strict=True)
        for task, metric in run.cells
        if against.only and task in shown and task in split.trials and (task, metric) not in split.cells
    )
    if lost:
        say(f"note: without numbers of single trials, and so left out: {', '.join(lost)}")
    return kept


def _levels(against: Against) -> tuple[Level, ...]:
    """Gives the levels that count. Raises DataError for one at which the list tells nothing."""
    overlap = against.file.overlap
    told = [level for level in Level if any(level in task.told for task in overlap.tasks)]
    for level in against.levels:
        if level not in told:
            why = next(task.untold[level] for task in overlap.tasks)
            raise DataError(
                f"{against.file.path} tells nothing at the level {level}: {why}", f"one of: {', '.join(told)}"
            )
    levels = against.levels or tuple(level for level in LEAKING if level in told)
    if not levels:
        raise DataError(f"{against.file.path} tells at no level whether a trial is leaked", _ANEW)
    return levels


def _any_level(overlap: Overlap, levels: Iterable[Level]) -> str:
    return any_of(overlap.level_told(level) for level in levels)


def _told(against: Against, levels: Sequence[Level]) -> str:
    overlap = against.file.overlap
    training = all_of(f"{each.path} ({each.form})" for each in overlap.training)
    return f"in {training}, by {_any_level(overlap, levels)}, as {against.file.path.name} says"


def _task_of(file: OverlapFile, run: Run, task: str) -> TaskOverlap | None:
    """Finds a run's task in the list; None where it is not there. Raises ChecksumError where its labels are others."""
    of_name = [each for each in file.overlap.tasks if each.task == task]
    labels = run.labels_sha256.get(task)
    if not of_name:
        return None
    if labels is None:  # of another program, whose logs have no digest: then the trials decide
        return of_name[0] if len(of_name) == 1 else None
    fitting = next((each for each in of_name if each.labels_sha256 == labels), None)
    if fitting is None:
        others = any_of(f"{each.labels_sha256[:12]}…" for each in of_name)
        raise ChecksumError(
            f"{file.path} is of other labels of {task} ({others}) than the run {run.path} ({labels[:12]}…)",
            f"name the runs that it is of, or make it of the data that this one saw:  {_ANEW}",
        )
    return fitting


def _split(run: Run, task: str, of_task: TaskOverlap, levels: Sequence[Level], against: Against) -> TaskTrials | None:
    """Gives the trials of a run with the group of each; None where nothing tells it."""
    trials = run.trials.get(task)
    if trials is None or not any(level in of_task.told for level in levels):
        return None
    leaked = {each.trial: each.is_leaked(levels) for each in of_task.trials}
    unknown = [trial for trial in trials.trial_ids if trial not in leaked]
    if unknown:
        raise DataError(
            f"{against.file.path} has no trial {listed(map(repr, unknown))} of {task}, which the run {run.path} has",
            f"make it of the data that the run saw:  {_ANEW}",
        )
    groups = tuple(LEAKED if leaked[trial] else CLEAN for trial in trials.trial_ids)
    return replace(trials, groups={**trials.groups, OVERLAP.name: groups})


def _with_trials(run: Run, split: dict[str, TaskTrials], left_out: Sequence[str], told: str, only: str) -> Run:
    if not only:
        kept = {task: (trials.n, trials.n) for task, trials in split.items()}
        overlap = Overlapped(told, "", kept, tuple(left_out), run.trials)
        return replace(run, trials={**run.trials, **split}, overlap=overlap)
    chosen = {task: trials_in(trials, only) for task, trials in split.items()}
    cells = {
        (task, metric): _cell(cell, chosen[task], metric)
        for (task, metric), cell in run.cells.items()
        if task in chosen and chosen[task].n and metric in chosen[task].values
    }
    kept = {task: (chosen[task].n, trials.n) for task, trials in split.items()}
    tasks = {task for task, _ in cells}
    return replace(
        run,
        cells=cells,
        trials={task: trials for task, trials in chosen.items() if task in tasks},
        replies={},  # they are counted over all trials
        own_prompts={task: prompt for task, prompt in run.own_prompts.items() if task in tasks},
        overlap=Overlapped(told, only, kept, tuple(left_out), run.trials),
    )


def trials_in(trials: TaskTrials, group: str) -> TaskTrials:
    """Gives the trials that are leaked, or those that are clean."""
    groups = zip(trials.trial_ids, trials.groups[OVERLAP.name], strict=True)
    return trials.only({trial for trial, name in groups if name == group})


def _cell(whole: Cell, trials: TaskTrials, metric: str) -> Cell:
    cell = measured(trials, metric, n_skipped=whole.n_skipped)
    return cell if cell.chance is not None else replace(cell, chance=whole.chance)


def overlap_notes(runs: Sequence[Run]) -> list[str]:
    """Says which trials numbers are of where others were left out; nothing where all are there."""
    told: dict[str, dict[str, None]] = {}
    left_out: dict[str, None] = {}
    for run in runs:
        overlap = run.overlap
        if overlap is not None and overlap.only:
            no = "no" if overlap.only == CLEAN else "a"
            lead = f"(only {overlap.only}): trials of which {no} picture is {overlap.told}"
            of_tasks = told.setdefault(lead, {})
            shown = {task for task, _ in run.cells}
            kept = {task: counts for task, counts in overlap.kept.items() if task in shown}
            of_tasks |= {f"{about(task).short} {n:,} of {n_all:,}": None for task, (n, n_all) in kept.items()}
            left_out |= dict.fromkeys(overlap.left_out)
    notes = [f"{lead}: {', '.join(of_tasks)}." for lead, of_tasks in told.items()]
    if left_out:
        notes.append(f"Left out, as nothing tells which of their trials are leaked: {', '.join(left_out)}.")
    return notes
