"""The records of `babycli report --format json` as types.

Owns these types; tools/build_schemas.py makes the published JSON Schema from them. csv has the same fields, without
lists. Never makes a record: each kind is made where its numbers are.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class ScoreRecord(TypedDict):
    """A row and metric of the summary; a published row has only its value, and what it is of."""

    schema_version: int
    model: str
    label: str
    path: str | None
    data: str
    task: str
    metric: str
    value: float
    chance: float | None
    ci95_low: float | None
    ci95_high: float | None
    stderr: float | None
    ci95_clustered_low: float | None
    ci95_clustered_high: float | None
    stderr_clustered: float | None
    ci95_of_all_low: float | None
    ci95_of_all_high: float | None
    n_clusters: int | None
    n_units: int | None
    unit: str | None
    ties: int | None
    nonfinite: int | None
    unanswered: int | None
    no_answer: int | None
    skipped: int | None
    fair_value: float | None
    control: str | None
    scoring: str | None
    dtype: str | None
    limit: float | None
    only: NotRequired[str | None]
    offset: int | None
    sample: int | None
    sample_seed: int | None
    covers: str | None
    model_args: str | None
    answers: str | None
    history: str | None
    max_new_tokens: int | None
    prompt: str | None
    software: str | None
    date: str | None
    program: str | None
    wrapper: str | None
    name: str | None
    n_equal_runs: int | None
    results: str | None
    mean_of_run: NotRequired[float | None]
    missing: NotRequired[str | None]
    visual_gain: NotRequired[float | None]
    visual_gain_low: NotRequired[float | None]
    visual_gain_high: NotRequired[float | None]
    visual_gain_p_holm: NotRequired[float | None]
    visual_gain_significant: NotRequired[bool | None]
    visual_gain_over: NotRequired[float | str | None]
    age: NotRequired[str | None]
    people_low: NotRequired[int | None]
    people_high: NotRequired[int | None]
    model_right: NotRequired[float | None]
    people_right: NotRequired[float | None]
    temperature: NotRequired[float | None]
    temperature_bound: NotRequired[str | None]
    nearest: NotRequired[bool | None]
    nearest_share: NotRequired[float | None]


class DifferenceRecord(TypedDict):
    """A difference of ``--compare``, of the first minus the second."""

    schema_version: int
    first: str
    second: str
    task: str
    metric: str
    first_value: float
    second_value: float
    difference: float
    ci95_low: float | None
    ci95_high: float | None
    n_units: int
    n_clusters: int | None
    test: str
    p_value: float
    p_holm: float
    significant: bool
    detectable_difference: float | None
    only_first: int
    only_second: int
    items_only_first: NotRequired[list[Any]]
    items_only_second: NotRequired[list[Any]]


class GroupRecord(TypedDict):
    """A group of ``--by``."""

    schema_version: int
    model: str
    label: str
    path: str
    data: str
    task: str
    metric: str
    by: str
    group: str
    recorded_on: str | None
    value: float
    n_units: int  # of a mean over tasks, tasks
    ci95_low: float | None
    ci95_high: float | None
    control: str | None
    scoring: str
    dtype: str
    limit: float | None
    only: NotRequired[str | None]
    prompt: str | None
    overlap: NotRequired[str | None]


class SeedsRecord(TypedDict):
    """A number of a model over the seeds of its training, of ``--seeds``."""

    schema_version: int
    model: str
    label: str
    path: str
    data: str
    task: str
    metric: str
    value: float
    std: float | None
    n_seeds: int
    seeds: str
    seed_values: list[float]
    control: str | None
    scoring: str
    dtype: str
    limit: float | None


class ItemsRecord(TypedDict):
    """What a model got wrong, of ``--wrong``."""

    schema_version: int
    model: str
    label: str
    path: str
    task: str
    metric: str
    items: list[Any]


class AuditRecord(TypedDict):
    """A number of ``--audit``, or a finding."""

    schema_version: int
    model: str
    path: str
    program: str
    date: str
    results: str
    task: str | None
    metric: str | None
    logged: float | None
    fair: float | None
    n_units: int | None
    finding: str | None
    detail: str | None
    grave: bool | None


Report = list[ScoreRecord | DifferenceRecord | GroupRecord | SeedsRecord | ItemsRecord | AuditRecord]
