"""Runs as they lie on disk, read for a report.

Owns finding runs and turning each into a Run: babycli's own and, through lmms.py, those of lmms-eval. Never writes. A
run that cannot be read is listed with the reason and hides no other; a run without results (still going, killed, out
of disk) is listed too, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from babycli.domain import Row
from babycli.errors import DataError
from babycli.evaluation.runlog import RUN_FILE, SCHEMA_VERSION, read_run
from babycli.report.lmms import ForeignRun, ForeignTask, read_foreign, read_results, samples_of
from babycli.report.measure import Cell, measured
from babycli.report.sample_lines import decoded
from babycli.report.samples import decide, rows_per_trial
from babycli.report.trials import TaskTrials, from_document
from babycli.tasks import all_tasks
from babycli.wording import Scoring

Program = Literal["babycli", "lmms-eval"]
Labels = Mapping[str, Sequence[Row]]  # the label rows of each task, where the user has them


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One evaluated model; ``cells`` by (task, metric)."""

    path: Path  # the results file
    program: Program
    model: str
    fingerprint: str  # of the weights: the same name may have meant another checkpoint
    data: str  # "saycam" or "demo"
    scoring: str
    dtype: str
    limit: float | None
    control: str  # "blind", "shuffled", "constant", else empty
    args: tuple[str, ...]  # --model-args as "key=value", pretrained left out
    date: str
    cells: Mapping[tuple[str, str], Cell]
    trials: Mapping[str, TaskTrials]  # by task; none where neither outcomes nor samples are there
    labels_sha256: Mapping[str, str]  # by task, where known
    images_sha256: Mapping[str, str]
    prompts: Mapping[str, str]  # what the model was asked, by task, where known


@dataclass(frozen=True, slots=True)
class Unread:
    """A run without numbers."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Logs:
    runs: tuple[Run, ...]
    unread: tuple[Unread, ...]


def load_logs(folder: Path, labels: Callable[[], Labels] = dict) -> Logs:
    """All runs below a folder, or the one of a results file, sorted by model and date.

    ``labels`` gives the logs of lmms-eval the names of the images, and is asked where there are any. Raises DataError
    where no run can be read.
    """
    if not folder.exists():
        raise DataError(
            f"there is no folder {folder}",
            "run  babycli eval  first, or name the folder given to --output-path",
        )
    files = [folder] if folder.is_file() else results_files(folder)
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    runs: list[Run] = []
    unread: list[Unread] = []
    for file in files:
        try:
            run, notes = _read(file, labels, shared)
            runs.append(run)
            unread += [Unread(file, note) for note in notes]
        except DataError as error:
            unread.append(Unread(file, error.message))
    if not folder.is_file():
        unread += unfinished_runs(folder, files)
    if not runs:
        why = "".join(f"\n  {each.path}: {each.why}" for each in unread[:5])
        raise DataError(f"no results in {folder}{why}", "run  babycli eval  first; damaged files can be moved away")
    return Logs(tuple(sorted(runs, key=lambda r: (r.data, r.model, r.date))), tuple(unread))


def results_files(folder: Path) -> list[Path]:
    """The results files below a folder: babycli's, lmms-eval's, and those named as lm-evaluation-harness does."""
    found = {*folder.rglob("*_results.json"), *folder.rglob("results_*.json")}
    return sorted(path for path in found if path.is_file())


def unfinished_runs(folder: Path, files: Sequence[Path]) -> list[Unread]:
    """The runs below a folder that have none of these results files."""
    done, found = {file.parent for file in files}, []
    for path in sorted(file.parent for file in folder.rglob(RUN_FILE)):
        if path not in done:
            status = (read_run(path) or {}).get("status")
            was = "was stopped" if status == "stopped" else "was stopped or is still going"
            found.append(Unread(path, f"has no results: the run {was}"))
    return found


def _document(file: Path) -> dict[str, Any]:
    """A results file as JSON. Raises DataError for one that is damaged or no such file."""
    try:
        document = dict(decoded(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", "evaluate again, or move that file away") from error
    if not isinstance(document.get("results"), dict):
        raise DataError("is not a results file", "move that file away")
    return document


def _read(
    file: Path, labels: Callable[[], Labels], shared: dict[tuple[str, ...], tuple[str, ...]]
) -> tuple[Run, list[str]]:
    """A run, and what of it is not in the report. Raises DataError."""
    document = _document(file)
    if "babycli" not in document:
        rows = labels()
        run = read_foreign(file, rows, shared)
        faults = {str(f.kind): None for f in [*run.faults, *(f for task in run.tasks.values() for f in task.faults)]}
        told = f"has findings ({', '.join(faults)}): babycli report --audit {file}   names them"
        return _foreign(run, rows), _others(run.unknown_tasks) + ([told] if faults else [])
    own = document["babycli"]
    schema = own.get("schema_version") if isinstance(own, dict) else None
    if schema != SCHEMA_VERSION:
        raise DataError(
            f"has schema version {schema}, this babycli reads {SCHEMA_VERSION}: pip install --upgrade babycli"
        )
    try:
        return _own(file, document, shared), _others(sorted(set(document["chance"]) - set(all_tasks())))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"is damaged: {error!r}") from error


def _others(tasks: Sequence[str]) -> list[str]:
    return [f"also has tasks that a report does not read: {', '.join(tasks)}"] if tasks else []


def _own(file: Path, document: dict[str, Any], shared: dict[tuple[str, ...], tuple[str, ...]]) -> Run:
    trials = _trials(file, document, shared)
    control = document.get("control")
    return Run(
        path=file,
        program="babycli",
        model=_text(document["model_name"]),
        fingerprint=_text(document["fingerprint"]),
        data=_text(document["data"]),
        scoring=_text(document["scoring"]),
        dtype=_text(document["dtype"]),
        limit=_limit(document["config"]["limit"]),
        control=_text(control["kind"]) if control else "",
        args=tuple(f"{k}={v}" for k, v in sorted(document["model_args"].items()) if k != "pretrained"),
        date=_text(document["date"]),
        cells={
            (task, metric): _cell(document, trials.get(task), task, metric, chance)
            for task, metrics in document["chance"].items()
            if task in all_tasks()
            for metric, chance in metrics.items()
        },
        trials=trials,
        labels_sha256=_texts(document.get("labels_sha256", {})),
        images_sha256=_texts(document.get("images_sha256", {})),
        prompts=_texts(document.get("prompts", {})),
    )


def _foreign(run: ForeignRun, labels: Labels) -> Run:
    """The logged numbers, with what the samples tell of them."""
    cells = {
        (name, metric): cell
        for name, task in run.tasks.items()
        for metric, cell in _foreign_cells(task, labels).items()
    }
    if not cells:
        why = "; ".join(fault.detail.removeprefix(f"{run.path}: ") for fault in run.faults)
        raise DataError(why or "holds none of the BabyVLM tasks: " + ", ".join(run.unknown_tasks))
    args = (part for part in run.model_args.split(",") if part and not part.startswith("pretrained="))
    return Run(
        path=run.path,
        program="lmms-eval",
        model=run.model,
        fingerprint="",
        data="saycam",
        scoring=run.scoring,
        dtype="",
        limit=run.limit,
        control="",
        args=tuple(args),
        date=run.date,
        cells=cells,
        trials=run.trials,
        labels_sha256={},
        images_sha256={},
        prompts={},
    )


def _foreign_cells(task: ForeignTask, labels: Labels) -> dict[str, Cell]:
    """The logged numbers. One that the original's rules explain, but not ours, has the interval of the original's."""
    cells = {}
    as_logged: TaskTrials | None = None
    for metric, chance in all_tasks()[task.task].chance.items():
        logged = task.metrics.get(metric)
        if task.trials is not None:
            cell = measured(task.trials, metric, logged)
            if cell.fair_value is not None:
                as_logged = as_logged or decide(samples_of(task, labels), Scoring.REFERENCE).as_trials()
                assert as_logged is not None  # trials are whole or not under either rule
                cell = replace(measured(as_logged, metric, logged), fair_value=cell.fair_value)
            cells[metric] = cell
        elif logged is not None:
            n = (task.n_evaluated or task.limit or task.n_rows) // rows_per_trial(task.task)
            cells[metric] = Cell(logged, n, chance=chance)
    return cells


def _trials(
    file: Path, document: dict[str, Any], shared: dict[tuple[str, ...], tuple[str, ...]]
) -> Mapping[str, TaskTrials]:
    """From the outcomes file or, in a run made before there was one, from the samples."""
    path = file.with_name(file.name.replace("_results.json", "_outcomes.json"))
    try:
        return from_document(orjson.loads(path.read_bytes()), shared)
    except FileNotFoundError:
        run = read_results(file)
        decided = {name: decide(samples_of(task, {}), run.scoring).as_trials() for name, task in run.tasks.items()}
        return {task: trials for task, trials in decided.items() if trials is not None}


def _cell(document: dict[str, Any], trials: TaskTrials | None, task: str, metric: str, chance: float | None) -> Cell:
    value = float(document["results"][task][f"{metric},none"])
    n_skipped = len(document["skipped"][task])
    if trials is not None:
        cell = measured(trials, metric, value, n_skipped)
        if cell.fair_value is not None:
            raise ValueError(f"{task} {metric} is {value}, its trials give {cell.fair_value}")
        return cell
    interval = document["ci95"][task][metric]
    stderr = document["results"][task].get(f"{metric}_stderr,none")
    return Cell(
        value=value,
        n_units=int(document["n_units"][task]),
        n_ties=int(document["ties"][task]),
        n_nonfinite=int(document["nonfinite"][task]),
        n_skipped=n_skipped,
        chance=None if chance is None else float(chance),
        stderr=stderr if isinstance(stderr, float) and math.isfinite(stderr) else None,
        ci95=None if interval is None else (float(interval[0]), float(interval[1])),
    )


def _limit(value: object) -> float | None:
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no limit")
    return value


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TypeError(f"{value!r} is not a text for each task")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
