"""People beside models: how alike what a model prefers and what people chose are, over the same trials.

Owns which lines of a people's file belong to which trials of which runs, and what is told of those that belong to none.
The numbers are those of babycli/likeness.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from babycli.data.datasets import data_set_named
from babycli.errors import DataError
from babycli.likeness import EQUAL, Choices, Likeness, likenesses
from babycli.report.humans_file import Key, People, shares_of
from babycli.report.logged import Labels
from babycli.report.measure import SEED
from babycli.report.option_scores import NO_CHOICE, ScoredChoice, ScoredTask, scored_choices
from babycli.report.rows import TableRow
from babycli.report.tables import Table
from babycli.report.trials import Codes, codes
from babycli.tasks.about import about, is_known, known
from babycli.wording import all_of, did_you_mean, listed


@dataclass(frozen=True, slots=True)
class Agreement:
    """One row beside the people of one age group."""

    age: str  # "" where the file has no age groups
    likeness: Likeness
    n_people: tuple[int, int] | None  # least and most who answered a trial; None where the file does not say it


@dataclass(frozen=True, slots=True)
class RowBeside:
    """One row beside all age groups of which it has trials."""

    row: TableRow
    of_ages: tuple[Agreement, ...]
    trials_differ: bool = False  # the age groups were asked others

    @property
    def nearest(self) -> tuple[Agreement, ...]:
        """The age groups with the lowest divergence, several where they tie.

        None where there is one group alone, of a control, and where the row is not surely nearer to them than a model
        that likes all options alike: that one is nearest to those who guess most.
        """
        if len(self.of_ages) < 2 or self.row.control:
            return ()
        least = min(each.likeness.fit.divergence for each in self.of_ages)
        found = tuple(each for each in self.of_ages if each.likeness.fit.divergence <= least + EQUAL)
        return found if all(each.likeness.is_beyond_uniform for each in found) else ()


@dataclass(frozen=True, slots=True)
class Beside:
    """All rows of a table beside people, in one task."""

    data: str
    task: str
    ages: tuple[str, ...]
    rows: tuple[RowBeside, ...]
    silent: tuple[tuple[str, str], ...]  # labels of rows without a distribution, and why
    unscored: tuple[tuple[str, int], ...]  # labels of rows with trials whose scores are missing or not finite
    n_unknown: int  # trials of the file that none of the rows has
    unknown: tuple[str, ...]  # the first of them
    n_trials: int  # of the file, by which people were asked


def beside_people(tables: Sequence[Table], people: People, labels: Labels) -> list[Beside]:
    """Holds the rows of the tables against what people chose, task by task.

    Raises DataError for a file that does not tell which task it is of, or of whose trials no row has any.
    """
    named = {key.task for key in people.said} if people.has_tasks else set[str]()
    _check_tasks(people, named)
    scored: dict[tuple[str, str], dict[str, ScoredTask]] = {}  # by data and task, then by label
    for table in tables:
        for task in (task for task in table.tasks if not named or task in named):
            rows = {row.label: run for row in table.rows if (run := row.run_of(task)) is not None}
            scored[table.data, task] = {label: scored_choices(run, task, labels) for label, run in rows.items()}
    telling = [of for of, by_row in scored.items() if any(each.choices for each in by_row.values())]
    if not telling:
        raise _nothing_to_compare(people, scored, named)
    _check_told_apart(people, telling)
    found = []
    for table in tables:
        for task in table.tasks:
            if (table.data, task) in telling:
                found.append(_of_task(table, task, people, scored[table.data, task]))
    if not any(of.rows for of in found):
        of_files, of_runs = ([*of][:5] for of in (dict.fromkeys(k.trial for k in people.said), _ids(scored, telling)))
        raise DataError(
            f"{people.path}: no trial in it is one of the runs: it has {listed(map(repr, of_files))}, they have "
            f"{listed(map(repr, of_runs))}",
            "call the trials as  babycli report --items  does",
        )
    return found


def tasks_not_compared(people: People, found: Sequence[Beside]) -> dict[str, int]:
    """Counts, for each task that the file names and no run could be held against, its trials."""
    there = {of.task for of in found}
    trials: dict[str, set[str]] = {}
    for key in people.said:
        if key.task and key.task not in there:
            trials.setdefault(key.task, set()).add(key.trial)
    return {task: len(of_task) for task, of_task in trials.items()}


def _ids(scored: Mapping[tuple[str, str], Mapping[str, ScoredTask]], of: Sequence[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(trial for each in of for row in scored[each].values() for trial in row.choices))


def _check_tasks(people: People, named: set[str]) -> None:
    """Raises DataError for a task that nobody knows."""
    names = [task.name for task in known()]
    for key, said in people.said.items():
        if key.task in named and not is_known(key.task):
            raise DataError(
                f"{people.path}:{said[0].line}: unknown task {key.task!r:.40}.{did_you_mean(key.task, names)}",
                "babycli tasks  lists them; --tasks FILE:TASK names one of your own",
            )


def _nothing_to_compare(
    people: People, scored: Mapping[tuple[str, str], Mapping[str, ScoredTask]], named: set[str]
) -> DataError:
    if not scored:
        tasks = f" of {all_of(sorted(named))}" if named else ""
        mend = f"babycli eval --tasks {','.join(sorted(named))}" if named else "evaluate a model first"
        return DataError(f"there is no run{tasks} to hold {people.path} against", mend)
    reasons = {
        f"{label}: {task} {each.why_none or 'has no trial with finite scores'}": None
        for (_, task), by_row in scored.items()
        for label, each in by_row.items()
    }
    return DataError(
        f"no run has a distribution to hold {people.path} against. {'; '.join(list(reasons)[:5])}",
        "evaluate a task of single choices, as labeled_s or vtwt; one of DevCV with  --answers chosen",
    )


def _check_told_apart(people: People, telling: Sequence[tuple[str, str]]) -> None:
    """Raises DataError where the file does not say which of several tasks or sets of data its trials are of."""
    tasks = list(dict.fromkeys(task for _, task in telling))
    if not people.has_tasks and len(tasks) > 1:
        raise DataError(
            f"{people.path} does not say which task its trials are of: {listed(tasks, 10)}",
            f"add a column task, or choose one:  --tasks {tasks[0]}",
        )
    for task in tasks:
        sets = [data_set_named(data).title for data, of in telling if of == task]
        if len(sets) > 1:
            raise DataError(
                f"{people.path} does not say which set of data its trials of {task} are of: {all_of(sets)}",
                "name the folders of runs on one of them",
            )


def _of_task(table: Table, task: str, people: People, scored: Mapping[str, ScoredTask]) -> Beside:
    keys = [key for key in people.said if key.task in ("", task)]
    trials = dict.fromkeys(key.trial for key in keys)
    there = {trial for each in scored.values() for trial in (*each.choices, *each.without_scores, *each.left_out)}
    unknown = [trial for trial in trials if trial not in there]
    by_options: dict[tuple[Key, tuple[str, ...]], tuple[float, ...]] = {}
    rows = [row for row in table.rows if row.label in scored and scored[row.label].choices]
    made = [_of_row(row, task, people, keys, scored[row.label].choices, by_options) for row in rows]
    return Beside(
        data=table.data,
        task=task,
        ages=tuple(age for age in people.ages if any(key.age == age for key in keys)),
        rows=tuple(each for each in made if each.of_ages),
        silent=(
            *((label, each.why_none) for label, each in scored.items() if each.why_none and each.why_none != NO_CHOICE),
            *((each.row.label, "has none of these trials") for each in made if not each.of_ages),
        ),
        unscored=tuple(
            (label, n) for label, each in scored.items() if (n := sum(trial in trials for trial in each.without_scores))
        ),
        n_unknown=len(unknown),
        unknown=tuple(unknown[:5]),
        n_trials=len(trials),
    )


def _of_row(
    row: TableRow,
    task: str,
    people: People,
    keys: Sequence[Key],
    choices: Mapping[str, ScoredChoice],
    by_options: dict[tuple[Key, tuple[str, ...]], tuple[float, ...]],
) -> RowBeside:
    """Compares a row with each age group; ``by_options`` keeps what was read of a trial with the same options."""
    of_ages: dict[str, list[Key]] = {}
    for key in keys:
        if key.trial in choices:
            of_ages.setdefault(key.age, []).append(key)
    ages = [age for age in people.ages if age in of_ages]
    union = list(dict.fromkeys(key.trial for age in ages for key in of_ages[age]))
    if not union:
        return RowBeside(row, ())
    place_of = {trial: place for place, trial in enumerate(union)}
    groups = []
    for age in ages:
        shares = []
        for key in of_ages[age]:
            options = choices[key.trial].options
            if (key, options) not in by_options:
                by_options[key, options] = shares_of(people.path, key, people.said[key], options)
            shares.append(by_options[key, options])
        groups.append(_as_matrices(shares, [choices[key.trial] for key in of_ages[age]]))
    places = [np.array([place_of[key.trial] for key in of_ages[age]], dtype=np.intp) for age in ages]
    likeness = likenesses(groups, places, _clusters(row, task, union), len(union), SEED)
    n_people = [_n_people(people, of_ages[age]) for age in ages]
    of_each = {frozenset(key.trial for key in of_ages[age]) for age in ages}
    agreements = tuple(Agreement(*each) for each in zip(ages, likeness, n_people, strict=True))
    return RowBeside(row, agreements, len(of_each) > 1)


def _as_matrices(shares: Sequence[tuple[float, ...]], choices: Sequence[ScoredChoice]) -> Choices:
    shape = len(choices), max(len(choice.options) for choice in choices)
    people, scores = np.zeros(shape), np.zeros(shape)
    is_option, is_right = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for i, (of_people, choice) in enumerate(zip(shares, choices, strict=True)):
        k = len(choice.options)
        people[i, :k], scores[i, :k], is_option[i, :k], is_right[i, :k] = (
            of_people,
            choice.scores,
            True,
            choice.is_right,
        )
    return Choices(people, scores, is_option, is_right)


def _clusters(row: TableRow, task: str, trials: Sequence[str]) -> Codes | None:
    """Gives the cluster of each of these trials; None where the run does not know them."""
    of_run = row.trials(task)
    names = None if of_run is None else of_run.groups.get(about(task).cluster)
    if of_run is None or names is None:
        return None
    by_trial = dict(zip(of_run.trial_ids, names, strict=True))
    return codes(tuple(by_trial[trial] for trial in trials)) if all(trial in by_trial for trial in trials) else None


def _n_people(people: People, keys: Sequence[Key]) -> tuple[int, int] | None:
    counts = [people.said[key][0].n for key in keys]
    told = [n for n in counts if n is not None]
    return (min(told), max(told)) if told and len(told) == len(counts) else None
