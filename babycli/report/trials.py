"""The result of every trial of a task in one run: the numbers that all of a report is made of.

Owns the type, and reading it from a run's outcomes file or making it from decided trials. Never decides a trial: the
tasks do.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babycli.domain import Item, Outcome
from babycli.strata import mean_of_groups
from babycli.tasks.about import about, is_known
from babycli.tasks.base import Task, groups_of

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class TaskTrials:
    """The outcomes of one task of one run. Everything is in the order of the trials."""

    task: str
    trial_ids: tuple[str, ...]
    values: Mapping[str, Floats]  # by metric, what each trial got of it; of a share, in [0, 1]
    groups: Mapping[str, tuple[str, ...]]  # "category", "session", "word": the group of each trial
    ties: tuple[int, ...]  # places of the trials in which the right candidate shares the best score
    nonfinite: tuple[int, ...]
    unanswered: tuple[int, ...] = ()  # the model could not take a request of them
    no_answer: Mapping[int, int] = field(default_factory=dict)  # by trial, the replies without an answer in them

    @property
    def n(self) -> int:
        return len(self.trial_ids)

    def strata(self, metric: str) -> tuple[str, ...] | None:
        """The group of each trial over whose groups' means a metric is the mean; None for one over all trials.

        A log that does not tell the groups is read as if the metric were a plain mean.
        """
        return self.groups.get(about(self.task).metric(metric).mean_over)

    def mean(self, metric: str) -> float:
        """Gives what the trials make of a metric."""
        values, strata = self.values[metric], self.strata(metric)
        return float(values.mean()) if strata is None else mean_of_groups(values.tolist(), strata)

    def only(self, trial_ids: Collection[str]) -> TaskTrials:
        """Gives some of these trials, in the same order."""
        places = [place for place, trial_id in enumerate(self.trial_ids) if trial_id in trial_ids]
        new = {old: place for place, old in enumerate(places)}
        ties, nonfinite, unanswered = (
            tuple(new[place] for place in of if place in new) for of in (self.ties, self.nonfinite, self.unanswered)
        )
        return TaskTrials(
            self.task,
            tuple(self.trial_ids[place] for place in places),
            {metric: values[places] for metric, values in self.values.items()},
            {kind: tuple(names[place] for place in places) for kind, names in self.groups.items()},
            ties,
            nonfinite,
            unanswered,
            {new[place]: n for place, n in self.no_answer.items() if place in new},
        )

    @property
    def clusters(self) -> Codes | None:
        """The cluster of each trial as a number from 0 on; None where it is not known."""
        names = self.groups.get(about(self.task).cluster)
        return None if names is None else codes(names)


@functools.lru_cache(maxsize=64)
def codes(names: tuple[str, ...]) -> Codes:
    """Numbers names from 0 on, in the order of their first appearance; kept, as runs on the same data share them."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    found = np.fromiter((numbers[name] for name in names), np.intp, len(names))
    found.flags.writeable = False
    return found


def from_outcomes(task: Task, items: Sequence[Item], outcomes: Sequence[Outcome]) -> TaskTrials:
    """Makes it from the items of a task and what each of them got."""
    return TaskTrials(
        task.name,
        tuple(item.item_id for item in items),
        {metric.name: np.array([o.values[metric.name] for o in outcomes]) for metric in task.metrics},
        {kind: tuple(names) for kind, names in groups_of(items).items()},
        tuple(i for i, o in enumerate(outcomes) if o.is_tie),
        tuple(i for i, o in enumerate(outcomes) if not o.is_finite),
        tuple(i for i, o in enumerate(outcomes) if not o.is_answered),
        {i: o.n_no_answer for i, o in enumerate(outcomes) if o.n_no_answer},
    )


def from_document(document: Mapping[str, Any], shared: dict[tuple[str, ...], tuple[str, ...]]) -> dict[str, TaskTrials]:
    """Reads an outcomes file; tasks of which nothing is known are left out.

    ``shared`` keeps one copy of what many runs have alike: ids and groups. Raises KeyError, TypeError or ValueError for
    a damaged one.
    """

    def one_copy(names: Sequence[str]) -> tuple[str, ...]:
        kept = tuple(names)
        return shared.setdefault(kept, kept)

    found = {}
    for task, raw in document["tasks"].items():
        if not is_known(task):
            continue
        ids = one_copy(raw["trials"])
        values = {metric: np.array(of_trials, dtype=np.float64) for metric, of_trials in raw["values"].items()}
        groups = {kind: one_copy(names) for kind, names in raw["groups"].items()}
        if not ids or not all(isinstance(name, str) for names in [ids, *groups.values()] for name in names):
            raise ValueError(f"{task} has no trials, or names that are not texts")
        if len(set(ids)) != len(ids):
            raise ValueError(f"{task} has a trial twice")
        lengths = {len(each) for each in values.values()} | {len(each) for each in groups.values()}
        if lengths - {len(ids)}:
            raise ValueError(f"{task} has lists of different lengths")
        # Runs of 0.1.0 do not tell of requests that were too long: such a run ended with an error.
        ties, nonfinite, unanswered = (
            _places(places, len(ids)) for places in (raw["ties"], raw["nonfinite"], raw.get("unanswered", ()))
        )
        for metric, of_trials in values.items():
            low, high = about(task).metric(metric).limits
            if not bool((np.isfinite(of_trials) & (of_trials >= low) & (of_trials <= high)).all()):
                raise ValueError(f"{task} has values of {metric} outside of {low:g} to {high:g}")
        no_answer = {int(place): _count(n) for place, n in raw.get("no_answer", {}).items()}
        _places(tuple(no_answer), len(ids))
        found[task] = TaskTrials(task, ids, values, groups, ties, nonfinite, unanswered, no_answer)
    return found


def _places(raw: Sequence[int], n: int) -> tuple[int, ...]:
    """Checks places among n trials. Raises ValueError for others, or for one that is named twice."""
    if not all(isinstance(place, int) and 0 <= place < n for place in raw) or len(set(raw)) != len(raw):
        raise ValueError(f"{raw!r} are not places of {n} trials")
    return tuple(raw)


def _count(raw: object) -> int:
    """Checks a count of replies. Raises ValueError."""
    if not isinstance(raw, int) or isinstance(raw, bool) or raw < 1:
        raise ValueError(f"{raw!r} is no number of replies")
    return raw
