"""Runs as they lie on disk, read for a report.

Owns finding runs and turning each into a Run: babycli's own, and those of programs that have registered a reader. Never
writes. A run that cannot be read is listed with the reason and hides no other; a run without results (still going,
killed, out of disk) is listed too, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babycli.data.datasets import OWN
from babycli.data.labels import read_labels
from babycli.data.manifest import published
from babycli.data.root import DatasetRoot
from babycli.data.sets import linked_sets
from babycli.errors import DataError
from babycli.logs.content import read_content
from babycli.logs.fields import count, mapping, number, text
from babycli.logs.identity import PROMPT_OPTION, Identity
from babycli.logs.run_name import name_of
from babycli.logs.schema import check_schema, read_run
from babycli.report.documents import Document, read_document, stamp
from babycli.report.findings import Finding
from babycli.report.logged import (
    OURS,
    LabelRows,
    Labels,
    LoggedRun,
    LoggedTask,
    is_own,
    read_by_another,
    read_own,
    why_no_run,
)
from babycli.report.measure import Cell, measured, of_sample
from babycli.report.places import results_of
from babycli.report.readers import closed_folders, programs, reader_of, run_folders
from babycli.report.runs import Logs, Run, Unread
from babycli.report.same_runs import titled
from babycli.report.samples import Samples, count_texts, decide
from babycli.report.trials import TaskTrials, from_document
from babycli.tasks import all_tasks
from babycli.tasks.about import About, about, is_known, is_of_chosen, learn
from babycli.tasks.base import Task
from babycli.tasks.replies import Replies
from babycli.typed import from_json
from babycli.wording import Scoring, any_of, first_line, listed, printable

_DAMAGE = (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError)  # over a log of another form
_MEND_OF_DAMAGE = "copy that run again, or evaluate again"

EVALUATE = "run  babycli eval  first, or name the folder given to --output-path"
Shared = dict[tuple[str, ...], tuple[str, ...]]  # one copy of what many runs have alike: ids and groups


def load_logs(folder: Path, labels: Labels = dict) -> Logs:
    """Reads all runs below a folder, or the one of a results file, sorted by model and date.

    ``labels`` gives the logs of other programs what they lack, and is asked where there are any. Raises DataError where
    no run can be read.
    """
    return load_places((folder,), labels)


def load_places(places: Sequence[Path], labels: Labels = dict) -> Logs:
    """Reads all runs at several places as ``load_logs`` does those at one, each once."""
    files, unread = results_of(places)
    shared: Shared = {}
    runs: list[Run] = []
    for file in files:
        try:
            run, notes = _read(file, labels, shared)
            runs.append(run)
            unread += [Unread(file, note) for note in notes]
        except DataError as error:
            unread.append(Unread(file, error.message, error.mend))
    unread += unfinished_runs(places, files)
    unread += _closed(places)
    if not runs:
        raise nothing_to_report(places, unread)
    return Logs(tuple(titled(sorted(runs, key=lambda r: (r.data, r.model, r.date)))), tuple(unread))


def nothing_to_report(places: Sequence[Path], unread: Sequence[Unread]) -> DataError:
    """Makes the error for places without a run that a report can show: what is there, and what mends the first."""
    why = "".join(f"\n  {printable(f'{run.path}: {run.why}')}" for run in unread[:5])
    more = f"\n  and {len(unread) - 5} more" if len(unread) > 5 else ""
    mend = next((run.mend for run in unread if run.mend), EVALUATE)
    return DataError(f"no results in {listed(places)}{why}{more}", mend)


def unfinished_runs(places: Sequence[Path], files: Sequence[Path]) -> list[Unread]:
    """Finds the runs at some places that have none of these results files."""
    done, unfinished = {file.parent.resolve() for file in files}, []
    for path in (folder for place in places for folder in run_folders(place)):
        if path.resolve() not in done:
            done.add(path.resolve())
            status = (read_run(path) or {}).get("status")
            was = "was stopped" if status == "stopped" else "was stopped or is still going"
            unfinished.append(Unread(path, f"has no results: the run {was}"))
    return unfinished


def _closed(places: Sequence[Path]) -> list[Unread]:
    closed = dict(folder for place in places for folder in closed_folders(place))
    mend = "get the right to read that folder, or name the other ones"
    return [
        Unread(folder, f"cannot be looked into, so its runs are missing: {why}", mend) for folder, why in closed.items()
    ]


def label_rows_of(root: DatasetRoot) -> LabelRows:
    """Reads the label files in a dataset folder; one that should be another is left out.

    So are those of a task with label files of several sets: logs of other programs do not say which one they are of.
    """
    tasks = {name: _on_its_set(root, task) for name, task in all_tasks().items()}
    read = {name: read_labels(root.path / task.label_path, task) for name, task in tasks.items() if task is not None}
    return {name: labels.rows for name, labels in read.items() if labels.data_set is not None}


def _on_its_set(root: DatasetRoot, task: Task) -> Task | None:
    """Gives a task on the one set that it has a label file of, as it is if it has no sets; None for several or none."""
    if not task.sets_of:
        return task
    on_sets = [task.of_set(name) for name in linked_sets(root, task.sets_of)]
    there = [bound for bound in on_sets if (root.path / bound.label_path).exists()]
    return there[0] if len(there) == 1 else None


def _read(file: Path, labels: Labels, shared: Shared) -> tuple[Run, list[str]]:
    """Reads a run, and notes what of it is not in the report. Raises DataError."""
    document = read_document(file)
    if no_run := why_no_run(document):
        raise DataError(no_run, f"name a folder with runs of {any_of((OURS, *programs()))}")
    if document.why:
        why = document.why if document.fields else f"cannot be read: {document.why}"
        raise DataError(why, "evaluate again, or move that file away")
    if not is_own(document):
        return _read_foreign(document, labels, shared)
    own = document.fields[OURS]
    check_schema(own.get("schema_version") if isinstance(own, dict) else None)
    try:
        run = _own(document, shared)
        return run, _others(document.fields["chance"])
    except _DAMAGE as error:
        raise DataError(f"is damaged: {_told(error)}", _MEND_OF_DAMAGE) from error


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    return f"it lacks {error}" if isinstance(error, KeyError) else first_line(error, type(error).__name__)


def _others(logged: Mapping[str, Iterable[str]]) -> list[str]:
    """Notes which tasks and metrics of a log, metrics by task, are in no report."""
    tasks = sorted(name for name in logged if not is_known(name))
    metrics = sorted(
        f"{task} {metric}" for task, names in logged.items() for metric in names if not _is_reported(task, metric)
    )
    return [
        *([f"also has tasks that a report does not read: {', '.join(tasks)}"] if tasks else []),
        *([f"also has metrics that are none of their tasks': {', '.join(metrics)}"] if metrics else []),
    ]


def _is_reported(task: str, metric: str) -> bool:
    return not is_known(task) or any(known.name == metric for known in about(task).metrics)


def _own(document: Document, shared: Shared) -> Run:
    file, fields = document.path, document.fields
    for name, described in mapping(fields.get("tasks")).items():
        if name not in all_tasks():
            learn(name, About.from_document(name, described))
    trials = _trials(document, shared)
    run = read_run(file.parent) or {}
    identity = _identity(fields, run)
    model, question = identity.model, identity.question
    prompts = {name: task.prompt for name, task in question.tasks.items()} if "prompts" in fields else {}
    return Run(
        path=file,
        program=OURS,
        model=_text(fields["model_name"]),
        fingerprint=model.fingerprint,
        data=identity.data.name,
        scoring=question.scoring,
        dtype=model.dtype,
        limit=question.limit,
        control=question.control.kind if question.control else "",
        args=tuple(f"{key}={value}" for key, value in sorted(model.args.items())),
        date=_text(fields["date"]),
        cells={
            (task, metric): _with_all(
                identity, trials.get(task), _cell(fields, trials.get(task), task, metric, chance), metric
            )
            for task, metrics in fields["chance"].items()
            if is_known(task)
            for metric, chance in metrics.items()
            if _is_reported(task, metric)
        },
        trials=trials,
        labels_sha256=identity.data.labels_sha256,
        images_sha256=identity.data.images_sha256,
        prompts=prompts,
        own_prompts={name: prompts[name] for name in _asked_by_user(fields, run) if name in prompts},
        identity=identity,
        replies=_replies(document),
        name=name_of(run),
        model_type=text(mapping(run.get("model")).get("model_type")),
    )


def _replies(document: Document) -> Mapping[str, Replies]:
    """Reads what the model wrote, counted; of a run from before that was logged, counts it in the samples."""
    counted = document.fields.get("replies")
    if counted is not None:
        return {task: Replies.from_document(of_task) for task, of_task in counted.items()}
    tasks = {name: task for name, task in read_own(document).tasks.items() if task.task.needs.answer == "write"}
    found = {name: count_texts(task.samples()) for name, task in tasks.items()}
    return {name: replies for name, replies in found.items() if replies is not None}


def _identity(fields: Mapping[str, Any], run: Mapping[str, Any]) -> Identity:
    if "identity" in fields:
        return Identity.from_document(fields["identity"])
    return Identity.of_version_1(fields, run)


def _asked_by_user(fields: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Lists the tasks whose prompt --prompt gave; in a run of 0.1.0, run.json says so."""
    origins = fields.get("prompt_origins")
    if origins is None:
        origins = {name: mapping(task).get("prompt_origin") for name, task in mapping(run.get("tasks")).items()}
    return [name for name, origin in mapping(origins).items() if origin == PROMPT_OPTION]


def _trials(document: Document, shared: Shared) -> Mapping[str, TaskTrials]:
    """Reads the outcomes file or, of a run made before there was one, decides the samples."""
    file = document.path
    path = file.with_name(f"{stamp(file)}_outcomes.json")
    try:
        return from_document(from_json(read_content(path)), shared)
    except FileNotFoundError:
        if path.exists():  # a pointer in its place: what it says must not be guessed
            raise
        run = read_own(document)
        decided = {name: decide(task.samples(), task.scoring).as_trials() for name, task in run.tasks.items()}
        return {task: trials for task, trials in decided.items() if trials is not None}
    except _DAMAGE as error:
        raise DataError(f"is not shown, as {path.name} is damaged: {_told(error)}", _MEND_OF_DAMAGE) from error


def _cell(fields: Mapping[str, Any], trials: TaskTrials | None, task: str, metric: str, chance: object) -> Cell:
    limits = about(task).metric(metric).limits
    value = _within(fields["results"][task][f"{metric},none"], limits)
    chance = None if chance is None else _within(chance, limits)
    n_skipped = len(fields["skipped"][task])
    if trials is not None:
        cell = measured(trials, metric, value, n_skipped)
        if cell.fair_value is not None:
            raise ValueError(f"{task} {metric} is {value}, its trials give {cell.fair_value}")
        return cell if cell.chance is not None else replace(cell, chance=chance)  # it may depend on the items
    interval = fields["ci95"][task][metric]
    stderr = number(fields["results"][task].get(f"{metric}_stderr,none"))
    return Cell(
        value=value,
        n_units=_count(fields["n_units"][task]),
        n_ties=_count(fields["ties"][task]),
        n_nonfinite=_count(fields["nonfinite"][task]),
        n_unanswered=_count(fields.get("unanswered", {}).get(task, 0)),
        n_skipped=n_skipped,
        n_no_answer=0 if is_of_chosen(metric) else _count(fields.get("no_answer", {}).get(task, 0)),
        chance=chance,
        stderr=stderr if stderr is not None and math.isfinite(stderr) else None,
        ci95=None if interval is None else (_within(interval[0]), _within(interval[1])),
    )


def _with_all(identity: Identity, trials: TaskTrials | None, cell: Cell, metric: str) -> Cell:
    """Adds the interval of all trials, where the run saw a sample of them."""
    if trials is None or identity.question.sample is None:
        return cell
    coverage = identity.question.tasks[trials.task].coverage
    return cell if coverage is None else of_sample(cell, trials, metric, coverage.n_items_in_file)


def _within(value: object, limits: tuple[float, float] = (-math.inf, math.inf)) -> float:
    """Checks a number of a log. Raises ValueError."""
    given = number(value)
    if given is None or not limits[0] <= given <= limits[1] or not math.isfinite(given):
        raise ValueError(f"{value!r:.80} is no number of {limits[0]:g} to {limits[1]:g}")
    return float(given)


def _count(value: object) -> int:
    """Checks a number of things. Raises ValueError."""
    given = count(value)
    if given is None:
        raise ValueError(f"{value!r:.80} is no number of items")
    return given


def _read_foreign(document: Document, labels: Labels, shared: Shared) -> tuple[Run, list[str]]:
    """Reads the run of another program: its logged numbers, with what the samples tell of them. Raises DataError."""
    file, reader = document.path, reader_of(document)
    logged = read_by_another(document, labels)
    told = [_witness(task, shared) for task in logged.tasks.values()]
    cells = {(witness.task.task.name, metric): cell for witness in told for metric, cell in witness.cells().items()}
    if not cells:
        why = "; ".join(fault.detail.removeprefix(f"{file}: ") for fault in logged.faults)
        others = listed(logged.unknown_tasks, 10)
        raise DataError(
            why or (f"holds no task that is known here: {others}" if others else "holds no task at all"),
            "evaluate one of the tasks that  babycli tasks  lists, or name the logs of another run",
        )
    args = (part for part in logged.model_args.split(",") if part and not part.startswith("pretrained="))
    run = Run(
        path=file,
        program=reader.program if reader else "",
        model=logged.model,
        fingerprint="",
        data=_published_data(logged),
        scoring=logged.scoring,
        dtype="",
        limit=logged.limit,
        control="",
        args=tuple(args),
        date=logged.date,
        cells=cells,
        trials={witness.task.task.name: witness.trials for witness in told if witness.trials is not None},
        labels_sha256={},
        images_sha256={name: task.images_sha256 for name, task in logged.tasks.items() if task.images_sha256},
        prompts={},
        own_prompts={},
        identity=None,
        replies={witness.task.task.name: witness.replies for witness in told if witness.replies is not None},
        wrapper=logged.wrapper,
        offset=logged.offset,
    )
    faults = [*logged.faults, *(fault for witness in told for fault in witness.faults)]
    kinds = ", ".join(dict.fromkeys(str(fault.kind) for fault in faults))
    audit = f"has findings ({kinds}): babycli report --audit {file}   names them"
    return run, _others(dict.fromkeys(logged.unknown_tasks, ())) + ([audit] if faults else [])


def _published_data(logged: LoggedRun) -> str:
    """Names the set of data: as the log says, else the published one, for other programs have none but that."""
    if logged.data:
        return logged.data
    known = (published(name) for name in logged.tasks)
    return next((labels.data_set for labels in known if labels is not None), OWN)


@dataclass(frozen=True, slots=True)
class _Witness:
    """A task of another program's log, its samples, and the items fairly decided from them."""

    task: LoggedTask
    samples: Samples
    trials: TaskTrials | None

    @property
    def replies(self) -> Replies | None:
        return count_texts(self.samples)

    @property
    def faults(self) -> tuple[Finding, ...]:
        return (*self.task.faults, *self.samples.findings)

    def cells(self) -> dict[str, Cell]:
        """Makes cells of the logged numbers. One that only the original's rules explain has the interval of those."""
        cells = {}
        task = self.task.task
        as_logged: TaskTrials | None = None
        for metric in task.metrics:
            logged = self.task.metrics.get(metric.name)
            if self.trials is not None:
                cell = measured(self.trials, metric.name, logged)
                if cell.fair_value is not None:
                    as_logged = as_logged or decide(self.samples, Scoring.REFERENCE).as_trials()
                    assert as_logged is not None  # items are whole or not under either rule
                    cell = replace(measured(as_logged, metric.name, logged), fair_value=cell.fair_value)
                cells[metric.name] = cell
            elif logged is not None:
                n_rows = self.task.n_rows_due or 0
                cells[metric.name] = Cell(logged, n_rows // task.rows_per_item, chance=metric.chance)
        return cells


def _witness(task: LoggedTask, shared: Shared) -> _Witness:
    samples = task.samples()
    trials = decide(samples, Scoring.FAIR).as_trials()
    if trials is not None:
        groups = {kind: shared.setdefault(names, names) for kind, names in trials.groups.items()}
        trials = replace(trials, trial_ids=shared.setdefault(trials.trial_ids, trials.trial_ids), groups=groups)
    return _Witness(task, samples, trials)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
