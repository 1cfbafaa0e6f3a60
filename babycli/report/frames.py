"""What a program reads of runs: flat records of runs, scores, trials and differences, and data frames of them.

Owns their fields. Never computes a number: those are of measure.py and compare.py. pandas is imported where a frame
is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from babycli.errors import UsageError
from babycli.report.compare import Comparison
from babycli.report.rows import TableRow
from babycli.report.runs import Run, Unread
from babycli.report.same_runs import latest_of_equal
from babycli.report.tables import Table, make_tables
from babycli.tasks.about import about

if TYPE_CHECKING:
    import pandas

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One evaluation of one model."""

    path: Path  # the results file
    label: str  # of its row in a report; all records have it, so that they can be joined
    model: str  # as it was named
    step: int | None  # of a training, where the model's name says so
    tasks: tuple[str, ...]
    data: str  # "saycam", "demo": the set of data
    program: str  # that made the run
    date: str
    fingerprint: str  # of the weights
    dtype: str
    scoring: str
    control: str | None
    limit: float | None
    sample: int | None  # trials of each task that --sample chose
    sample_seed: int | None
    prompts: Mapping[str, str]  # by task, those that --prompt gave
    model_args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """One metric of one task of a run. A share is in [0, 1]."""

    path: Path
    label: str
    model: str
    step: int | None
    control: str | None
    task: str
    metric: str
    is_main: bool  # the metric that stands for its task where there is room for one
    value: float
    chance: float | None
    ci95_low: float | None  # cluster-aware where the clusters are known
    ci95_high: float | None
    stderr: float | None  # of independent trials
    stderr_clustered: float | None
    n_units: int
    n_ties: int
    n_nonfinite: int
    n_unanswered: int
    n_no_answer: int
    n_skipped: int


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What a model got in one trial, of one metric."""

    path: Path
    label: str
    model: str
    task: str
    trial: str
    metric: str
    value: float
    is_tie: bool
    is_finite: bool
    is_answered: bool
    groups: Mapping[str, str]  # by kind: category, session, word


@dataclass(frozen=True, slots=True)
class Difference:
    """Two models on the same trials: the first minus the second, and how sure it is."""

    first: str  # labels
    second: str
    task: str
    metric: str
    first_value: float
    second_value: float
    difference: float
    ci95_low: float
    ci95_high: float
    test: str
    p_value: float
    p_holm: float  # adjusted for all differences of one comparison
    is_significant: bool
    detectable: float | None  # the smallest true difference that so many trials show with 80 % power
    n_trials: int
    n_clusters: int | None
    only_first: tuple[str, ...]  # the trials in which the first did better
    only_second: tuple[str, ...]


class Records(Sequence[Record], Generic[Record]):
    """Records in their order, and a data frame of them."""

    def __init__(self, kind: type[Record], records: Iterable[Record]) -> None:
        self._kind, self._records = kind, tuple(records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Records[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Records[Record]:
        found = self._records[index]
        return Records(self._kind, found) if isinstance(index, slice) else found  # type: ignore[arg-type, return-value]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __eq__(self, other: object) -> bool:
        return self._records == other._records if isinstance(other, Records) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._records)

    def __repr__(self) -> str:
        return f"<{len(self)} records of {self._kind.__name__}; to_pandas() makes a data frame of them>"

    def to_pandas(self) -> pandas.DataFrame:
        """Makes a data frame with a column for each field. Raises UsageError without pandas."""
        try:
            import pandas
        except ImportError as error:
            raise UsageError("data frames need pandas, which is not installed", "pip install pandas") from error
        columns: dict[str, list[Any]] = {
            field.name: [_plain(getattr(record, field.name)) for record in self._records]
            for field in fields(self._kind)  # type: ignore[arg-type]
        }
        kinds = {kind: None for groups in columns.pop("groups", ()) for kind in groups}
        of_groups = {kind: [record.groups.get(kind) for record in self._records] for kind in kinds}  # type: ignore[attr-defined]
        return pandas.DataFrame(columns | of_groups)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


class Runs:
    """All runs of some logs. ``runs``, ``scores`` and ``trials`` are records, made when they are asked for."""

    def __init__(self, runs: Sequence[Run], unread: Sequence[Unread] = ()) -> None:
        self._runs = tuple(runs)
        self.unread = tuple(unread)  # what has no numbers, and why

    @property
    def as_read(self) -> tuple[Run, ...]:
        """The runs as a report reads them."""
        return self._runs

    @cached_property
    def tables(self) -> Sequence[Table]:
        """The tables of a report, one for each set of data."""
        return make_tables(self._runs)

    @property
    def rows(self) -> list[TableRow]:
        return [row for table in self.tables for row in table.rows]

    @cached_property
    def latest_rows(self) -> list[TableRow]:
        """The rows with what is equal in several runs once, as a report shows them."""
        return [row for table in make_tables(latest_of_equal(self._runs)) for row in table.rows]

    @cached_property
    def runs(self) -> Records[RunRecord]:
        return Records(RunRecord, (_run(row, run) for row in self.rows for run in row.runs))

    @cached_property
    def scores(self) -> Records[ScoreRecord]:
        return Records(ScoreRecord, (score for row in self.rows for run in row.runs for score in _scores(row, run)))

    @cached_property
    def trials(self) -> Records[TrialRecord]:
        return Records(TrialRecord, (trial for row in self.rows for run in row.runs for trial in _trials(row, run)))

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        scores = [s for s in self.scores if s.is_main]
        said = "".join(f"\n  {s.label}: {s.task} {s.metric} {s.value:.4g} (n {s.n_units})" for s in scores[:20])
        return f"<{len(self)} run{'' if len(self) == 1 else 's'}{said}{' …' if len(scores) > 20 else ''}>"


def _run(row: TableRow, run: Run) -> RunRecord:
    return RunRecord(
        path=run.path,
        label=row.label,
        model=run.model,
        step=row.step,
        tasks=tuple(dict.fromkeys(task for task, _ in run.cells)),
        data=run.data,
        program=run.program,
        date=run.date,
        fingerprint=run.fingerprint,
        dtype=run.dtype,
        scoring=run.scoring,
        control=run.control or None,
        limit=run.limit,
        sample=run.sample.n if run.sample else None,
        sample_seed=run.sample.seed if run.sample else None,
        prompts=run.own_prompts,
        model_args=run.args,
    )


def _scores(row: TableRow, run: Run) -> Iterator[ScoreRecord]:
    names: dict[str, list[str]] = {}
    for task, metric in run.cells:
        names.setdefault(task, []).append(metric)
    main = {task: about(task).main_of(there) for task, there in names.items()}
    for (task, metric), cell in run.cells.items():
        low, high = cell.interval or (None, None)
        yield ScoreRecord(
            path=run.path,
            label=row.label,
            model=run.model,
            step=row.step,
            control=run.control or None,
            task=task,
            metric=metric,
            is_main=main[task] == about(task).metric(metric),
            value=cell.value,
            chance=cell.chance,
            ci95_low=low,
            ci95_high=high,
            stderr=cell.stderr,
            stderr_clustered=cell.stderr_clustered,
            n_units=cell.n_units,
            n_ties=cell.n_ties,
            n_nonfinite=cell.n_nonfinite,
            n_unanswered=cell.n_unanswered,
            n_no_answer=cell.n_no_answer,
            n_skipped=cell.n_skipped,
        )


def _trials(row: TableRow, run: Run) -> Iterator[TrialRecord]:
    for task, of_task in run.trials.items():
        ties, nonfinite, unanswered = map(set, (of_task.ties, of_task.nonfinite, of_task.unanswered))
        for metric, values in of_task.values.items():
            for i, (trial, value) in enumerate(zip(of_task.trial_ids, values.tolist(), strict=True)):
                groups = {kind: names[i] for kind, names in of_task.groups.items()}
                flags = (i in ties, i not in nonfinite, i not in unanswered)
                yield TrialRecord(run.path, row.label, run.model, task, trial, metric, value, *flags, groups)


def differences(comparisons: Sequence[Comparison]) -> Records[Difference]:
    """Makes records of comparisons; trials are named, not counted."""
    return Records(Difference, map(_difference, comparisons))


def _difference(comparison: Comparison) -> Difference:
    paired, trials = comparison.paired, comparison.first.trials(comparison.task)
    ids = trials.trial_ids if trials is not None else ()
    return Difference(
        first=comparison.first.label,
        second=comparison.second.label,
        task=comparison.task,
        metric=comparison.metric,
        first_value=paired.first_value,
        second_value=paired.second_value,
        difference=paired.difference,
        ci95_low=paired.ci95[0],
        ci95_high=paired.ci95[1],
        test=paired.test,
        p_value=paired.p_value,
        p_holm=comparison.p_holm,
        is_significant=bool(comparison.is_significant),
        detectable=paired.detectable,
        n_trials=paired.n_trials,
        n_clusters=paired.n_clusters,
        only_first=tuple(ids[i] for i in paired.only_first),
        only_second=tuple(ids[i] for i in paired.only_second),
    )
