"""What every trial of a task got in one run: the numbers that all of a report is made of.

Owns the type, and reading it from a run's outcomes file or making it from decided trials. Never decides a trial: the
tasks do.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babycli.domain import Outcome, Row, Trial
from babycli.tasks import all_tasks
from babycli.tasks.base import Task, groups_of

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class TaskTrials:
    """The outcomes of one task of one run. Everything is in the order of the trials."""

    task: str
    trial_ids: tuple[str, ...]
    values: Mapping[str, Floats]  # by metric, each trial's share of it, in [0, 1]
    groups: Mapping[str, tuple[str, ...]]  # "category", "session", "word": the group of each trial
    ties: tuple[int, ...]  # places of the trials in which the right candidate shares the best score
    nonfinite: tuple[int, ...]

    @property
    def n(self) -> int:
        return len(self.trial_ids)

    @property
    def clusters(self) -> Codes | None:
        """The cluster of each trial as a number from 0 on; None where it is not known."""
        names = self.groups.get(all_tasks()[self.task].cluster)
        return None if names is None else codes(names)


@functools.lru_cache(maxsize=64)
def codes(names: tuple[str, ...]) -> Codes:
    """Names as numbers from 0 on, in the order of their first appearance; kept, as runs on the same data share them."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    found = np.fromiter((numbers[name] for name in names), np.intp, len(names))
    found.flags.writeable = False
    return found


def from_outcomes(task: Task, trials: Sequence[Trial], rows: Sequence[Row], outcomes: Sequence[Outcome]) -> TaskTrials:
    """``rows`` is what the trials' indices point into."""
    return TaskTrials(
        task.name,
        tuple(trial.trial_id for trial in trials),
        {metric: np.array([o.values[metric] for o in outcomes]) for metric in task.chance},
        {kind: tuple(names) for kind, names in groups_of(task, trials, rows).items()},
        tuple(i for i, o in enumerate(outcomes) if o.is_tie),
        tuple(i for i, o in enumerate(outcomes) if not o.is_finite),
    )


def from_document(document: Mapping[str, Any], shared: dict[tuple[str, ...], tuple[str, ...]]) -> dict[str, TaskTrials]:
    """The tasks of an outcomes file. ``shared`` keeps one copy of what many runs have alike: ids and groups.

    Raises KeyError, TypeError or ValueError for a damaged one.
    """

    def one_copy(names: Sequence[str]) -> tuple[str, ...]:
        kept = tuple(names)
        return shared.setdefault(kept, kept)

    found = {}
    for task, raw in document["tasks"].items():
        ids = one_copy(raw["trials"])
        values = {metric: np.array(of_trials, dtype=np.float64) for metric, of_trials in raw["values"].items()}
        groups = {kind: one_copy(names) for kind, names in raw["groups"].items()}
        if not ids or not all(isinstance(name, str) for names in [ids, *groups.values()] for name in names):
            raise ValueError(f"{task} has no trials, or names that are not texts")
        lengths = {len(each) for each in values.values()} | {len(each) for each in groups.values()}
        if lengths - {len(ids)}:
            raise ValueError(f"{task} has lists of different lengths")
        ties, nonfinite = (_places(raw[kind], len(ids)) for kind in ("ties", "nonfinite"))
        if not all(bool(((each >= 0) & (each <= 1)).all()) for each in values.values()):
            raise ValueError(f"{task} has values outside of 0 to 1")
        found[task] = TaskTrials(task, ids, values, groups, ties, nonfinite)
    return found


def _places(raw: Sequence[int], n: int) -> tuple[int, ...]:
    """Places among n trials. Raises ValueError for others, or for one that is named twice."""
    if not all(isinstance(place, int) and 0 <= place < n for place in raw) or len(set(raw)) != len(raw):
        raise ValueError(f"{raw!r} are not places of {n} trials")
    return tuple(raw)
