"""Runs of lmms-eval (BabyVLM's fork of v0.3, and 0.4 to 0.7), read for a report beside ours.

Owns results files as lmms-eval writes them, and finding the samples files that belong to one. Reads ours too, which
have the same shape: so older runs without outcomes can be recounted and all can be audited. Never writes, never raises
for what a file holds: what is wrong with it is a finding, and the rest of it counts.

    <folder>/<date>_results.json    <date>_samples_<task>.jsonl       lmms-eval and babycli
    <folder>/results_<date>.json    samples_<task>_<date>.jsonl       lm-evaluation-harness
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from babycli.data.labels import read_labels
from babycli.data.manifest import manifests
from babycli.data.root import DatasetRoot
from babycli.domain import Row
from babycli.report.findings import Finding, Kind
from babycli.report.sample_lines import LAYOUTS
from babycli.report.samples import Samples, decide, looks_like_ours, read_samples
from babycli.report.trials import TaskTrials
from babycli.tasks import all_tasks
from babycli.tasks.base import Task
from babycli.wording import Scoring

OURS = "babycli"
LMMS = "lmms-eval"
HARNESS = "lm-evaluation-harness"


@dataclass(frozen=True, slots=True)
class LoggedPrompt:
    """What lmms-eval put before and after the image token for a task."""

    text: str
    fell_back: bool  # empty by default, where the task has words for other models and this one is to be asked in words


@dataclass(frozen=True, slots=True)
class ForeignTask:
    """One task of a results file, and its trials where its samples were read."""

    task: str
    metrics: Mapping[str, float]  # as logged
    n_rows: int  # of its label file
    n_evaluated: int | None  # rows; None where the log does not say
    limit: int | None  # rows, or trials for a run of ours; None where no limit cut anything off
    version: str
    prompt: LoggedPrompt | None
    samples_path: Path
    nonfinite: int  # trials, as a run of ours logs it; its samples do not tell it for captions
    skipped: tuple[str, ...]  # trials of a run of ours that lack an image
    trials: TaskTrials | None
    faults: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """A results file with what belongs to it."""

    path: Path
    model: str
    family: str  # what --model said
    date: str
    limit: int | float | None  # as given: rows, or a share of them
    model_args: str
    program: str  # LMMS, HARNESS or OURS
    scoring: Scoring  # by which the logged numbers came about
    tasks: Mapping[str, ForeignTask]
    unknown_tasks: tuple[str, ...]
    is_control: bool  # a run of ours that was not to look
    faults: tuple[Finding, ...]  # of the run as a whole, and of tasks that were left out

    @property
    def results(self) -> dict[tuple[str, str], float]:
        """By (task, metric), as the log states them."""
        return {(task.task, name): value for task in self.tasks.values() for name, value in task.metrics.items()}

    @property
    def trials(self) -> dict[str, TaskTrials]:
        """By task, decided anew under fair scoring."""
        return {task.task: task.trials for task in self.tasks.values() if task.trials is not None}


def label_rows_of(root: DatasetRoot) -> dict[str, tuple[Row, ...]]:
    """The rows of the label files that are in a dataset folder and are published ones."""
    found = {task: read_labels(root.path / manifest.label_path, manifest) for task, manifest in manifests().items()}
    return {task: labels.rows for task, labels in found.items() if labels.edition is not None}


def read_foreign(
    path: Path,
    label_rows: Mapping[str, Sequence[Row]] | None = None,
    shared: dict[tuple[str, ...], tuple[str, ...]] | None = None,
) -> ForeignRun:
    """A results file and its samples. ``label_rows`` give what the samples lack, so sessions can be told.

    ``shared`` keeps one copy of what many runs have alike: ids and groups.
    """
    run = read_results(path)
    tasks = {}
    for name, task in run.tasks.items():
        samples = samples_of(task, label_rows)
        trials = decide(samples, Scoring.FAIR).as_trials()
        if trials is not None and shared is not None:
            groups = {kind: shared.setdefault(names, names) for kind, names in trials.groups.items()}
            ids = shared.setdefault(trials.trial_ids, trials.trial_ids)
            trials = replace(trials, trial_ids=ids, groups=groups)
        tasks[name] = replace(task, trials=trials, faults=task.faults + samples.findings)
    return replace(run, tasks=tasks)


def samples_of(task: ForeignTask, label_rows: Mapping[str, Sequence[Row]] | None) -> Samples:
    return read_samples(task.samples_path, task.task, task.n_rows, (label_rows or {}).get(task.task))


def read_results(path: Path) -> ForeignRun:
    """A results file alone."""
    document, faults = _document(path)
    program = OURS if "babycli" in document else HARNESS if path.name.startswith("results_") else LMMS
    config = _mapping(document.get("config"))
    results = _mapping(document.get("results"))
    if document and not results:
        faults.append(Finding("", Kind.UNREADABLE, f"{path}: holds no results"))
    is_fair = program == OURS and document.get("scoring") != Scoring.REFERENCE
    scoring = Scoring.FAIR if is_fair else Scoring.REFERENCE
    limit = _number(config.get("limit"))
    run = ForeignRun(
        path=path,
        model=_model(path, document, config, program),
        family=_text(config.get("model")) or _text(document.get("model_source")),
        date=_text(document.get("date")) if isinstance(document.get("date"), str) else _stamp(path),
        limit=limit if limit is not None and math.isfinite(limit) and limit >= 0 else None,
        model_args=_args(config.get("model_args")),
        program=program,
        scoring=scoring,
        tasks={},
        is_control=program == OURS and bool(document.get("control")),
        unknown_tasks=tuple(sorted(name for name in results if name not in LAYOUTS)),
        faults=tuple(faults),
    )
    tasks = {}
    for name in LAYOUTS:
        if name not in results:
            continue
        task = _task(run, document, all_tasks()[name])
        if _is_ours(task, _mapping(results[name])):
            tasks[name] = task
        else:
            detail = "left out: it lacks our task's metrics and samples, so it may be the leaderboard's task (V2)"
            faults.append(Finding(name, Kind.OTHER_TASK, detail))
    return replace(run, tasks=tasks, faults=tuple(faults))


def _document(path: Path) -> tuple[Mapping[str, Any], list[Finding]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        return {}, [Finding("", Kind.UNREADABLE, f"{path}: {error.strerror}")]
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        try:
            document = json.loads(content)  # slower, but knows NaN and Infinity, which Python's json writes
        except (ValueError, RecursionError):
            line = content.count(b"\n", 0, error.pos) + 1
            return {}, [Finding("", Kind.UNREADABLE, f"{path}:{line}: not whole JSON")]
    if not isinstance(document, dict):
        return {}, [Finding("", Kind.UNREADABLE, f"{path}:1: not a JSON object")]
    return document, []


def _task(run: ForeignRun, document: Mapping[str, Any], task: Task) -> ForeignTask:
    name = task.name
    metrics, faults = _metrics(run, _mapping(document["results"])[name], task)
    manifest, counts = manifests()[name], _mapping(_mapping(document.get("n-samples")).get(name))
    is_demo = run.program == OURS and document.get("data") == "demo"
    due = manifest.demo_n_rows if is_demo and manifest.demo_n_rows is not None else manifest.n_rows
    n_rows, n_evaluated = (_count(counts.get(key)) for key in ("original", "effective"))
    if n_rows is not None and n_rows != due:
        detail = f"the log's label file has {n_rows} rows, should have {due}: these are other trials"
        faults.append(Finding(name, Kind.LABELS_DIFFER, detail))
    n_rows = due if n_rows is None else n_rows
    skipped = _mapping(document.get("skipped")).get(name) if run.program == OURS else None
    return ForeignTask(
        task=name,
        metrics=metrics,
        n_rows=n_rows,
        n_evaluated=n_evaluated,
        limit=_limit(run, n_rows, n_evaluated, LAYOUTS[name].rows_per_trial),
        version=_text(_mapping(document.get("versions")).get(name)),
        prompt=_prompt(run, _mapping(_mapping(document.get("configs")).get(name)), task),
        samples_path=_samples_path(run.path, name),
        nonfinite=(_count(_mapping(document.get("nonfinite")).get(name)) or 0) if run.program == OURS else 0,
        skipped=tuple(str(trial) for trial in skipped) if isinstance(skipped, list) else (),
        trials=None,
        faults=tuple(faults),
    )


def _metrics(run: ForeignRun, logged: object, task: Task) -> tuple[dict[str, float], list[Finding]]:
    """The numbers under "<metric>,<filter>"; of several filters the first, as lmms-eval's own table has it."""
    metrics: dict[str, float] = {}
    wrong: dict[str, object] = {}
    for key, value in _mapping(logged).items():
        name = key.partition(",")[0]
        if "," not in key or name not in task.chance or name in metrics or name in wrong:
            continue
        number = _number(value)
        if number is None or not 0 <= number <= 1:
            wrong[name] = value
        else:
            metrics[name] = float(number)
    faults = [
        Finding(
            task.name, Kind.NO_NUMBER, f"{run.path}: {name} is {reprlib.repr(value)}, should be a number from 0 to 1"
        )
        for name, value in wrong.items()
    ]
    if not metrics and not wrong:
        faults.append(Finding(task.name, Kind.NO_NUMBER, f"{run.path}: {task.name} has none of its metrics"))
    return metrics, faults


def _limit(run: ForeignRun, n_rows: int, n_evaluated: int | None, rows_per_trial: int) -> int | None:
    """How many rows a limit left over; for a run of ours trials, since it counts those."""
    given = run.limit if run.limit is not None and run.limit > 0 else None
    if run.program == OURS:
        return int(given) if given is not None and given < n_rows // rows_per_trial else None
    if n_evaluated is None:
        n_evaluated = n_rows if given is None else math.ceil(n_rows * given) if given < 1 else int(given)
    return n_evaluated if n_evaluated < n_rows else None


def _prompt(run: ForeignRun, config: Mapping[str, Any], task: Task) -> LoggedPrompt | None:
    """lmms-eval writes the default's wording beside the models' where it took it, and only then.

    An empty default is right for a family that is asked with the picture alone: babyllava and the dual encoders.
    """
    wordings = _mapping(config.get("lmms_eval_specific_kwargs"))
    if not wordings:
        return None
    own = _mapping(wordings.get(run.family))
    took_default = "pre_prompt" in wordings or "post_prompt" in wordings or not own
    chosen = (wordings if "pre_prompt" in wordings else _mapping(wordings.get("default"))) if took_default else own
    others = [_wording(_mapping(w)) for name, w in wordings.items() if name != "default"]
    is_meant = task.prompts.get(run.family) == ""
    fell_back = bool(run.family) and took_default and not _wording(chosen) and any(others) and not is_meant
    return LoggedPrompt(_wording(chosen), fell_back)


def _wording(wording: Mapping[str, Any]) -> str:
    return "".join(_text(wording.get(key)) for key in ("pre_prompt", "post_prompt"))


def _is_ours(task: ForeignTask, logged: Mapping[str, Any]) -> bool:
    """The leaderboard's second edition has a task of the name baby_winoground, with other data and fewer metrics.

    An early version of the fork has the same metrics as that, so then the samples tell.
    """
    if task.task != "baby_winoground" or any(key.startswith("positive_context_group_score,") for key in logged):
        return True
    return looks_like_ours(task.samples_path) is True


def _samples_path(results: Path, task: str) -> Path:
    if results.name.startswith("results_"):
        return results.with_name(f"samples_{task}_{_stamp(results)}.jsonl")
    return results.with_name(f"{_stamp(results)}_samples_{task}.jsonl")


def _stamp(results: Path) -> str:
    return results.name.removesuffix(".json").removeprefix("results_").removesuffix("_results")


def _model(path: Path, document: Mapping[str, Any], config: Mapping[str, Any], program: str) -> str:
    named = [_text(document.get(key)) for key in ("model_name", "model_name_sanitized")]
    if program != OURS:
        words = [word.partition("=") for word in _args(config.get("model_args")).split(",")]
        named = [*(value.strip() for key, _, value in words if key.strip() == "pretrained"), *named]
    return next((name for name in named if name), path.absolute().parent.name)


def _args(value: object) -> str:
    """Text in most versions, an object in some."""
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else _text(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
