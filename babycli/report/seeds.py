"""Checkpoints of one model that differ in the seed of their training alone, gathered to a mean and standard deviation.

Owns which rows they are: those whose names differ only in ``seed-1``, ``seed_1``, ``seed1`` or ``seed=1``; and how they
are shown. The standard deviation is that of a sample (n - 1): seeds are drawn from all that there could be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from babycli.data.sources.machine_devbench import MACHINE_DEVBENCH
from babycli.errors import DataError
from babycli.report import values
from babycli.report.compare import pairing_problem
from babycli.report.families import OVERALL, FamilyColumn, family_of, values_of
from babycli.report.grid import Grid, Line
from babycli.report.notes import lower_notes, scales_note, score_warnings
from babycli.report.records import names_of, settings_of
from babycli.report.rows import Column, TableRow
from babycli.report.sheet import Sheet
from babycli.report.tables import OverallColumn, Table, short_heading
from babycli.tasks.about import metric_of
from babycli.wording import listed, natural_order

# A word of its own, as that of a step: seedling2 and reseed1 are names. The seed of a sample of trials is no model's.
_SEED = re.compile(
    r"\bsample [0-9]+ seed [0-9]+|(?<![A-Za-z0-9])seed[-_= ]?([0-9]{1,18})(?![A-Za-z0-9])", re.IGNORECASE
)
_EACH = "seed-…"
STD = " ± std"
STD_NOTE = "± std: the standard deviation over seeds, of a sample (n - 1)"


@dataclass(frozen=True, slots=True)
class Seeds:
    """The rows of one model, by the seed of their training, in its order."""

    label: str
    rows: tuple[tuple[int, TableRow], ...]

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def numbers(self) -> str:
        """The seeds: ``1, 2, 3``."""
        return ", ".join(str(seed) for seed, _ in self.rows)

    @property
    def name(self) -> str:
        """The name of the model, without the word for the seed and what joined it."""
        series = _series(self.rows[0][1].name)
        return re.sub(rf"[-_/ ]*{re.escape(_EACH)}", "", series).strip("-_/ ") or "model"


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over seeds."""

    mean: float
    std: float | None  # None for a single seed
    each: tuple[float, ...]


def spread(each: Iterable[float]) -> Spread:
    """Computes mean and standard deviation of at least one number."""
    numbers = tuple(each)
    centre = math.fsum(numbers) / len(numbers)
    if len(numbers) < 2:
        return Spread(centre, None, numbers)
    variance = math.fsum((number - centre) ** 2 for number in numbers) / (len(numbers) - 1)
    return Spread(centre, math.sqrt(variance), numbers)


def _series(label: str) -> str:
    return _SEED.sub(lambda found: _EACH if found[1] else found[0], label)


def _seed(label: str) -> int | None:
    """Gives the seed of the training that a label tells, the last one; None where it tells none."""
    seeds = [seed for seed in _SEED.findall(label) if seed]
    return int(seeds[-1]) if seeds else None


def gather(rows: Sequence[TableRow]) -> tuple[list[Seeds], list[TableRow]]:
    """Gathers the rows whose names differ in a seed alone; and gives those whose names tell none.

    Raises DataError for two rows of one seed, and for seeds that were not run on the same data.
    """
    found: dict[str, list[tuple[int, TableRow]]] = {}
    others = []
    for row in rows:
        seed = _seed(row.label)
        if seed is None:
            others.append(row)
        else:
            found.setdefault(_series(row.label), []).append((seed, row))
    gathered = []
    for label, of_model in sorted(found.items(), key=lambda item: natural_order(item[0])):
        of_model.sort(key=lambda each: each[0])
        _check(of_model)
        gathered.append(Seeds(label, tuple(of_model)))
    return gathered, others


def _check(of_model: Sequence[tuple[int, TableRow]]) -> None:
    numbers = [seed for seed, _ in of_model]
    for seed in numbers:
        if numbers.count(seed) > 1:
            labels = [row.label for other, row in of_model if other == seed]
            raise DataError(
                f"seed {seed} is there {len(labels)} times: {listed(labels)}", "choose one of them with  --models"
            )
    firsts: dict[str, TableRow] = {}  # by task, the first seed that it was run of
    for _, row in of_model:
        for task in dict.fromkeys(task for task, _ in row.cells if row.trials(task)):
            first = firsts.setdefault(task, row)
            one, other = first.run_of(task), row.run_of(task)
            assert one is not None
            assert other is not None
            if first is not row and (problem := pairing_problem(task, one, other)):
                raise DataError(
                    f"{task} of {first.label} and {row.label} {problem}",
                    "evaluate all seeds on the same data, or choose with  --models",
                )


def same_weights(seeds: Seeds) -> list[str]:
    """Says which seeds have the same weights, so that they are no two trainings."""
    by_weights: dict[str, list[int]] = {}
    for seed, row in seeds.rows:
        if row.runs[0].fingerprint:
            by_weights.setdefault(row.runs[0].fingerprint, []).append(seed)
    return [
        f"THE SAME WEIGHTS under several seeds of {seeds.label}: {', '.join(map(str, same))}"
        for same in by_weights.values()
        if len(same) > 1
    ]


def sheet(tables: Sequence[Table]) -> Sheet:
    """Makes the report of ``--seeds``. Raises DataError where no name tells a seed, or as gather() does."""
    gathered = [(table, *gather(table.rows)) for table in tables]
    if not any(of_table for _, of_table, _ in gathered):
        labels = [row.label for table in tables for row in table.rows]
        raise DataError(
            f"no row is called after the seed of its training, as clip_seed-1 is; the rows: {listed(labels, 10)}",
            "name them so:  --rename 'OLD=NAME seed-1'",
        )
    grids = tuple(grid_of(table, of_table, others) for table, of_table, others in gathered if of_table)
    return Sheet(grids, tuple(record for table, of_table, _ in gathered for record in _records(table, of_table)))


def grid_of(table: Table, gathered: Sequence[Seeds], others: Sequence[TableRow]) -> Grid:
    """Lays out each model with its mean and, below, its standard deviation over seeds."""
    means = table.overall_columns
    lines = []
    for seeds in gathered:
        of_means = [_of_mean(table, mean, seeds) for mean in means]
        of_columns = [(column, _of_column(column, seeds)) for column in table.columns]
        texts = ["" if each is None else f"{100 * each.mean:.1f}" for each in of_means]
        texts += ["" if each is None else values.number(metric_of(*column), each.mean) for column, each in of_columns]
        below = ["" if each is None or each.std is None else f"±{100 * each.std:.1f}" for each in of_means]
        below += [
            "" if each is None or each.std is None else f"±{values.distance(metric_of(*column), each.std)}"
            for column, each in of_columns
        ]
        lines.append(Line(seeds.label, (str(seeds.n), *texts)))
        lines.append(Line(STD, ("", *below), "quiet"))
    heads = (("", "seeds"), *(mean.heading for mean in means), *map(short_heading, table.columns))
    of_seeds = replace(table, rows=tuple(row for seeds in gathered for _, row in seeds.rows))
    notes = [*score_warnings(of_seeds), scales_note(table.explained)]
    notes += [f"{STD_NOTE}: {'; '.join(f'{seeds.label} {seeds.numbers}' for seeds in gathered)}."]
    notes += [note for seeds in gathered for note in same_weights(seeds)]
    notes += _lacking(table, gathered)
    notes += lower_notes(table)
    if others:
        notes.append(f"Left out, as the name tells no seed: {listed([row.label for row in others], 10)}.")
    title = table.title or "over seeds"
    return Grid("model", heads, (tuple(lines),), tuple(notes), title, caption=" ".join(["Over seeds.", *notes]))


def _lacking(table: Table, gathered: Sequence[Seeds]) -> list[str]:
    """Says which tasks were not run of all seeds, and of how many."""
    told = []
    for seeds in gathered:
        counts = {task: sum(any(of == task for of, _ in row.cells) for _, row in seeds.rows) for task in table.tasks}
        fewer = [f"{task} {n}" for task, n in counts.items() if 0 < n < seeds.n]
        without = " Means over tasks that differ between seeds are left out." if table.overall_columns else ""
        told += [f"of fewer seeds of {seeds.label}: {', '.join(fewer)}.{without}"] if fewer else []
    return told


def _of_column(column: Column, seeds: Seeds) -> Spread | None:
    each = [row.cells[column].value for _, row in seeds.rows if column in row.cells]
    return spread(each) if each else None


def _of_mean(table: Table, mean: OverallColumn | FamilyColumn, seeds: Seeds) -> Spread | None:
    """Computes a mean over tasks, over seeds; None where it is of other tasks in one seed than in another."""
    found = [(row, table.mean_value(mean, row.label)) for _, row in seeds.rows]
    each = [(row, value) for row, value in found if value is not None]
    of_tasks = {_tasks_in(table, mean, row) for row, _ in each}
    return spread(value for _, value in each) if len(of_tasks) == 1 else None


def _tasks_in(table: Table, mean: OverallColumn | FamilyColumn, row: TableRow) -> frozenset[str]:
    """Gives what tells of which tasks a mean of a row is; nothing for one that counts a missing task as 0."""
    if isinstance(mean, FamilyColumn):
        return frozenset(task for task in values_of(row) if mean.family in (OVERALL, family_of(task)))
    if mean.is_of_all:
        return frozenset()
    of_way = (overall for overall in table.overalls.get(row.label, ()) if overall.way == mean.way)
    return frozenset(task for overall in of_way for task in overall.missing)


def _records(table: Table, gathered: Sequence[Seeds]) -> list[dict[str, object]]:
    """Makes a record for each model and number, with full precision."""
    found = []
    for seeds in gathered:
        first = seeds.rows[0][1]
        numbers = [(column, _of_column(column, seeds)) for column in table.columns]
        for mean in table.overall_columns:
            task, metric = (MACHINE_DEVBENCH, mean.family) if isinstance(mean, FamilyColumn) else ("devcv", mean.key)
            numbers.append(((task, metric), _of_mean(table, mean, seeds)))
        for (task, metric), each in numbers:
            if each is not None:
                found.append(
                    names_of(first)
                    | {"label": seeds.label, "data": table.data, "task": task, "metric": metric}
                    | {"value": each.mean, "std": each.std, "n_seeds": len(each.each), "seeds": seeds.numbers}
                    | {"seed_values": list(each.each), **settings_of(first.runs[0])}
                )
    return found
