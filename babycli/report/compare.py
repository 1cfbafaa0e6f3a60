"""Two models on the same items: the difference, how sure it is, and what could have been seen at all.

Owns pairing (and refusing to pair), and which test a metric takes. The formulas are those of babycli/stats.py.
"""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from babycli.errors import DataError, UsageError
from babycli.report.measure import SEED, Interval, farther_side
from babycli.report.rows import Column, TableRow
from babycli.report.runs import Run
from babycli.report.samples_of_tasks import (
    are_parts_of_one,
    limit_problem,
    on_common_trials,
    row_with,
    sampling_problem,
)
from babycli.report.trials import Floats, TaskTrials
from babycli.report.values import goodness, span
from babycli.stats import (
    by_cluster,
    detectable_difference,
    holm,
    mcnemar,
    mean_test,
    paired95,
    paired_bootstrap,
    paired_stderr,
)
from babycli.strata import linearized, mean_of_groups
from babycli.tasks.about import about, metric_of
from babycli.wording import any_of, did_you_mean, listed, printable

MCNEMAR = "exact McNemar"
BOOTSTRAP = "paired bootstrap"
SIGNIFICANT = 0.05
_NAMED = 10  # rows in a message


@dataclass(frozen=True, slots=True)
class Paired:
    """The difference of a metric between two models, over the trials that both were given."""

    difference: float  # first minus second
    ci95: Interval  # cluster-aware where the clusters are known
    n_trials: int
    n_clusters: int | None
    test: str
    p_value: float
    detectable: float | None  # the smallest true difference that these trials show with 80 % power; None: not known
    only_first: tuple[int, ...]  # places of the trials in which the first did better than the second
    only_second: tuple[int, ...]
    first_value: float  # the means of these trials
    second_value: float

    @property
    def half_width(self) -> float:
        """How far the interval reaches from the difference, to the farther side."""
        return farther_side(self.difference, self.ci95)


@dataclass(frozen=True, slots=True)
class Comparison:
    first: TableRow
    second: TableRow
    task: str
    metric: str
    paired: Paired
    p_holm: float  # adjusted for all comparisons made beside it

    @property
    def is_significant(self) -> bool:
        return is_significant(self.paired, self.p_holm)


def is_significant(pair: Paired, p_holm: float) -> bool:
    """Asks the test, and the interval, which knows of clusters where McNemar's test does not."""
    low, high = pair.ci95
    return p_holm < SIGNIFICANT and not low <= 0 <= high


def paired(first: TaskTrials, second: TaskTrials, metric: str) -> Paired:
    """Compares a metric over the trials of two runs, which must be the same in the same order."""
    described = metric_of(first.task, metric)
    a, b = first.values[metric], second.values[metric]
    differences = a - b
    clusters = first.clusters if first.clusters is not None else second.clusters
    strata = first.strata(metric)
    counted = differences if strata is None else linearized(differences, strata, clusters)  # whose mean is taken
    better = differences if described.higher_is_better else -differences
    only_first, only_second = np.flatnonzero(better > 0), np.flatnonzero(better < 0)
    widest = span(described)
    of_mean = mean_test(counted, clusters, (-widest, widest))
    stderr = paired_stderr(counted, clusters) if described.is_share else of_mean.stderr if of_mean else None
    of_any: Interval = of_mean.ci95 if of_mean else (-widest, widest)
    interval = paired95(counted, clusters) if described.is_share else of_any
    if described.is_share and strata is None and _is_whole(a) and _is_whole(b):
        test, p_value = MCNEMAR, mcnemar(len(only_first), len(only_second))
    else:
        # Few clusters make a bootstrap too sure of itself, so it must not be surer than Student's t.
        test = BOOTSTRAP
        largest = widest if math.isfinite(widest) else float(abs(differences).max())
        independent = counted if clusters is None else by_cluster(counted, clusters)
        _, p_value = paired_bootstrap(independent, SEED, largest)
        p_value = max(p_value, of_mean.p_value) if of_mean else 1.0
    return Paired(
        difference=float(differences.mean()) if strata is None else mean_of_groups(differences.tolist(), strata),
        ci95=interval,
        n_trials=len(differences),
        n_clusters=None if clusters is None else int(clusters.max()) + 1,
        test=test,
        p_value=p_value,
        detectable=detectable_difference(stderr) if stderr else None,
        only_first=tuple(only_first.tolist()),
        only_second=tuple(only_second.tolist()),
        first_value=first.mean(metric),
        second_value=second.mean(metric),
    )


def _is_whole(values: Floats) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def pairing_problem(task: str, first: Run, second: Run) -> str | None:
    """Says why the trials of two runs cannot be paired; None where they can."""
    if first.data == second.data and (chosen := sampling_problem(first, second)):
        return chosen
    if first.data != second.data:
        return f"were run on different data ({first.data} and {second.data})"
    for what, a, b in (
        ("label files", first.labels_sha256.get(task), second.labels_sha256.get(task)),
        ("images", first.images_sha256.get(task), second.images_sha256.get(task)),
    ):
        if what == "images" and are_parts_of_one(first, second):
            continue  # the digest is of all pictures that a run saw, and these runs saw more or fewer
        if a is not None and b is not None and a != b:
            # So many pictures more or fewer are no other pictures.
            if what == "images" and (limited := limit_problem(first, second)):
                return limited
            return f"were run on different {what} ({a[:12]}… and {b[:12]}…)"
    if first.identity is not None and second.identity is not None:
        asked, other_asked = (identity.question.tasks.get(task) for identity in (first.identity, second.identity))
        if asked and other_asked and (asked.version, asked.code) != (other_asked.version, other_asked.code):
            return f"were run with different files or versions of the task {task}"
    for run in (first, second):
        if task not in run.trials:
            return f"cannot be paired: {run.path} has no outcomes and no samples of {task}"
    one, other = first.trials[task], second.trials[task]
    for kind in sorted(kind.name for kind in about(task).groupings if not kind.is_derived):
        names, other_names = one.groups.get(kind, ()), other.groups.get(kind, ())
        if len(names) == len(other_names) and names != other_names:
            n_others = sum(a != b for a, b in zip(names, other_names, strict=True))
            return f"were run on different items: {kind} of {n_others} trials differ"
    ids, others = one.trial_ids, other.trial_ids
    if ids != others:
        if limited := limit_problem(first, second):
            return limited
        return f"were run on different items: {len(ids)} and {len(others)}, {len({*ids} & {*others})} of them the same"
    return None


def compare(rows: Sequence[TableRow], columns: Sequence[Column]) -> list[Comparison]:
    """Compares every pair of rows on every column that both have, in this order, with Holm's correction over all of it.

    Raises DataError where two rows were run on different labels, images or items, or have no task in common.
    """
    found: list[tuple[TableRow, TableRow, str, str, Paired]] = []
    for first, second in itertools.combinations(rows, 2):
        shared = [column for column in dict.fromkeys(columns) if column in first.cells and column in second.cells]
        if not shared:
            tasks = ",".join(dict.fromkeys(task for task, _ in first.cells))
            raise DataError(
                f"{first.label} and {second.label} have no task in common",
                f"babycli eval --model {shlex.quote(second.runs[0].model)} --tasks {tasks}",
            )
        for task in dict.fromkeys(task for task, _ in shared):
            one, other = on_common_trials(_run(first, task), _run(second, task), task)
            problem = pairing_problem(task, one, other)
            if problem is not None:
                is_of_parts = problem in (sampling_problem(one, other), limit_problem(one, other))
                raise DataError(
                    f"{task}: {first.label} and {second.label} {problem}",
                    f"evaluate both {'with the same --limit or --sample' if is_of_parts else 'on the same data'}",
                )
            for metric in (m for of, m in shared if of == task and not metric_of(task, m).twin_of):
                both = row_with(first, one), row_with(second, other)
                found.append((*both, task, metric, paired(one.trials[task], other.trials[task], metric)))
    adjusted = holm([each[-1].p_value for each in found])
    return [Comparison(*each, p_holm=p) for each, p in zip(found, adjusted, strict=True)]


def _run(row: TableRow, task: str) -> Run:
    run = row.run_of(task)
    assert run is not None  # the row has a cell of the task
    return run


@dataclass(frozen=True, slots=True)
class Best:
    """The best row of a column, and how it differs from each other row, by label."""

    label: str
    paired: Mapping[str, Paired]
    p_holm: Mapping[str, float]

    def is_clear_of(self, label: str) -> bool:
        return is_significant(self.paired[label], self.p_holm[label])

    @property
    def is_clear(self) -> bool:
        return all(self.is_clear_of(label) for label in self.paired)


def best_of_columns(rows: Sequence[TableRow], columns: Sequence[Column]) -> Mapping[Column, Best]:
    """Finds the best row of every column, and how sure it is that each other one is worse: Holm over the whole table.

    Controls take no part. A column whose trials cannot be paired has no entry.
    """
    found: dict[Column, tuple[str, dict[str, Paired]]] = {}
    for column in columns:
        metric = metric_of(*column)
        of_column = [row for row in rows if column in row.cells and not row.control and not metric.twin_of]
        if len(of_column) > 1:
            best = max(of_column, key=lambda row: goodness(metric, row.cells[column].value))
            others = _paired_with(best, [row for row in of_column if row is not best], column)
            if others is not None:
                found[column] = best.label, others
    adjusted = iter(holm([each.p_value for _, others in found.values() for each in others.values()]))
    return {
        column: Best(label, others, {other: next(adjusted) for other in others})
        for column, (label, others) in found.items()
    }


def _paired_with(best: TableRow, others: Sequence[TableRow], column: Column) -> dict[str, Paired] | None:
    """Compares the best row with each other one; None where one of them was run on something else."""
    task, metric = column
    one = _run(best, task)
    if any(pairing_problem(task, one, _run(other, task)) for other in others):
        return None
    return {other.label: paired(one.trials[task], _run(other, task).trials[task], metric) for other in others}


def find_rows(names: Sequence[str], rows: Sequence[TableRow], say: Callable[[str], None]) -> list[TableRow]:
    """Finds the rows that a user means. A name is a label, a model's name or the end of it, or a run's folder.

    Of several rows of a model that a name fits, it is the one that saw all trials, and ``say`` gets a note of that; see
    _preferred(). Raises UsageError for a name that fits none or several, or fewer than two rows.
    """
    found: list[TableRow] = []
    notes: list[str] = []
    for name in names:
        fitting = rows_of(name, rows)
        row = _preferred(fitting)
        if row is None:
            labels = [row.label for row in fitting]
            raise UsageError(
                f"{name!r} fits {len(labels)} rows",
                f"give one of these in quotes, or the folder of its run:  {any_of(map(shlex.quote, labels[:_NAMED]))}",
            )
        if len(fitting) > 1:
            others = [other.label for other in fitting if other is not row]
            notes.append(f"note: {name!r} is taken for {row.label}; it also fits {listed(others, _NAMED)}")
        found += [row] if row not in found else []
    if len(found) < 2:
        raise UsageError("--compare needs two different models", "write  --compare A B")
    for note in dict.fromkeys(notes):
        say(printable(note))
    return found


def _preferred(rows: Sequence[TableRow]) -> TableRow | None:
    """Chooses among the rows that a name fits; None where none is to be preferred.

    Those that saw all trials come first, then those that were asked in the usual way, then those without a name of
    their own. Between models, and between parts of the trials where no row saw all of them, nothing is chosen.
    """
    firsts = [row.runs[0] for row in rows]
    if len({run.model for run in firsts}) > 1 and len({run.fingerprint for run in firsts}) > 1:
        return None
    few = [row for row in rows if not row.is_of_part] or [*rows]
    if len({(row.runs[0].limit, row.runs[0].sample, row.runs[0].offset) for row in few}) > 1:
        return None
    usual = [row for row in few if row.is_asked_as_usual]
    plain = [row for row in usual if not row.runs[0].name]
    return next((narrowed[0] for narrowed in (few, usual, plain) if len(narrowed) == 1), None)


def rows_of(name: str, rows: Sequence[TableRow]) -> list[TableRow]:
    """Finds the rows that a name fits. Raises UsageError where there are none."""
    fitting = _fitting(name, rows)
    if not fitting:
        labels = [row.label for row in rows]
        raise UsageError(
            f"no run is of a model {name!r}.{did_you_mean(name, labels)}", f"one of: {', '.join(labels[:20])}"
        )
    return fitting


def _lies_at(run: Run, place: Path) -> bool:
    """Tells whether a place is the run's folder or results file, or the end of its folder's path."""
    folder = run.path.parent
    ends_so = not place.is_absolute() and place.parts == folder.parts[len(folder.parts) - len(place.parts) :]
    return bool(place.parts) and (ends_so or place.resolve() in (folder.resolve(), run.path.resolve()))


def _fitting(name: str, rows: Sequence[TableRow]) -> list[TableRow]:
    """Gives the rows that a name fits, by the first of these tests that any row passes."""
    wanted = name.strip("/")
    tests: tuple[Callable[[TableRow], bool], ...] = (
        lambda row: row.label == printable(name),
        lambda row: any(_lies_at(run, Path(name)) for run in row.runs),
        lambda row: row.is_model and row.runs[0].model.strip("/") == wanted,
        lambda row: row.is_model and row.runs[0].model.strip("/").endswith("/" + wanted),
        lambda row: row.is_model and row.name.rsplit("/", 1)[-1].startswith(wanted),
        lambda row: row.is_model and wanted in row.label,
    )
    return next((found for fits in tests if (found := [row for row in rows if fits(row)])), [])
