"""What a program reads of models beside people: a record for each row and age group.

Owns its fields. The numbers are those of humans.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.report.frames import Records
from babycli.report.humans import Beside


@dataclass(frozen=True, slots=True)
class HumanLikeness:
    """How alike one model and the people of one age group are, in one task. docs/humans.md has the formulas."""

    path: Path  # the results file
    label: str
    model: str
    control: str | None
    task: str
    age: str | None  # None where the file has no age groups
    divergence: float  # Kullback-Leibler, nats, at the temperature
    divergence_low: float | None  # 95 %
    divergence_high: float | None
    divergence_of_uniform: float  # of a model that likes all options alike
    temperature: float | None  # None: all scores are alike, and every one gives the same
    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    model_right: float | None  # shares of 1
    people_right: float | None
    n_trials: int
    n_clusters: int | None
    is_nearest: bool | None  # None where there is one age group alone


def likeness_records(found: Sequence[Beside]) -> Records[HumanLikeness]:
    """Makes the records, in the order of a report."""
    records = []
    for beside in found:
        for row in beside.rows:
            run = row.row.run_of(beside.task)
            assert run is not None  # it has scores of the task
            nearest = row.nearest
            for each in row.of_ages:
                like = each.likeness
                ends = [of or (None, None) for of in (like.ci95, like.pearson.ci95, like.spearman.ci95)]
                records.append(
                    HumanLikeness(
                        path=run.path,
                        label=row.row.label,
                        model=run.model,
                        control=run.control or None,
                        task=beside.task,
                        age=each.age or None,
                        divergence=like.fit.divergence,
                        divergence_low=ends[0][0],
                        divergence_high=ends[0][1],
                        divergence_of_uniform=like.uniform,
                        temperature=like.fit.temperature,
                        pearson=like.pearson.value,
                        pearson_low=ends[1][0],
                        pearson_high=ends[1][1],
                        spearman=like.spearman.value,
                        spearman_low=ends[2][0],
                        spearman_high=ends[2][1],
                        model_right=like.model_right,
                        people_right=like.people_right,
                        n_trials=like.n_trials,
                        n_clusters=like.n_clusters,
                        is_nearest=each in nearest if len(row.of_ages) > 1 else None,
                    )
                )
    return Records(HumanLikeness, records)
