"""One evaluation from end to end: check the data, plan, run the model, decide, write the log.

Owns the order of these steps. Each step's knowledge lies elsewhere: trials and credit in tasks/, batching in
engine.py, file formats in runlog.py.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from PIL.Image import Image

from babycli import __version__
from babycli.data.images import ImageStore, decode
from babycli.data.labels import Labels
from babycli.data.manifest import Edition, manifests
from babycli.data.problems import Problem, exit_code
from babycli.data.root import DatasetRoot
from babycli.data.verify import checked_labels, link_problem, open_link
from babycli.domain import Generation, ImageRef, Metric, Outcome, Request, Score, Scoring, TaskResult, Trial
from babycli.errors import BabycliError, ChecksumError, DataError, ExitCode
from babycli.evaluation import engine
from babycli.evaluation.plan import Key, Plan, key_of, make_plan
from babycli.evaluation.runlog import RunLog
from babycli.models.base import Model
from babycli.stats import mean, normal95, standard_error, wilson95
from babycli.tasks import structure_problems
from babycli.tasks.base import Task, as_float32

SEED = 0  # nothing is drawn at random yet; in run.json so that a reader need not wonder
SHOWN_PROBLEMS = 5
_PACKAGES = ("torch", "transformers", "tokenizers", "sentencepiece", "safetensors", "pillow", "numpy", "nltk")

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class TaskInput:
    """A task with what of its labels will be evaluated."""

    task: Task
    labels: Labels
    trials: tuple[Trial, ...]
    skipped: tuple[str, ...]  # trial ids left out because an image of theirs cannot be read

    @property
    def row_indices(self) -> list[int]:
        """The rows in file order."""
        return sorted(i for trial in self.trials for i in trial.row_indices)

    def requests(self, row_index: int) -> tuple[Request, ...]:
        return self.task.requests(self.labels.rows[row_index])


@dataclass(frozen=True, slots=True)
class Inputs:
    """All tasks of a run, all of one edition of the data, and the images they name."""

    edition: Edition
    tasks: tuple[TaskInput, ...]
    stores: Mapping[str, ImageStore]  # by link
    sha256: Mapping[ImageRef, str]

    def all_requests(self) -> list[Request]:
        return [request for t in self.tasks for i in t.row_indices for request in t.requests(i)]

    def open_image(self, image: ImageRef) -> Image:
        store = self.stores[image.link]
        return decode(store.read(image.name), store.place(image.name))

    @property
    def images_digest(self) -> str:
        """SHA-256 over name and bytes of every image used."""
        lines = [f"{ref.link}/{ref.name}\0{digest}\n" for ref, digest in sorted(self.sha256.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_inputs(
    root: DatasetRoot, tasks: Sequence[Task], limit: int | None, skip_missing: bool, progress: Progress
) -> Inputs:
    """Checks labels, links and images of the tasks, and reads every image once for its digest.

    ``limit`` keeps the first trials of each task. Raises DataError or ChecksumError naming the first few problems.
    """
    stores: dict[str, ImageStore] = {}
    prepared = []
    for task in tasks:
        manifest = manifests()[task.name]
        labels = checked_labels(root, manifest, structure_problems)
        _raise_for(list(labels.problems), "babycli data labels")
        broken = [p for p in (link_problem(root, task.name, link) for link in manifest.links) if p is not None]
        _raise_for(broken, f"babycli data link SAYCAM-FOLDER   (or choose other tasks than {task.name} with --tasks)")
        stores |= {link.path: open_link(root, link) for link in manifest.links}
        prepared.append(_select(task, labels, stores, limit, skip_missing))
    editions = {labels.edition for labels in (p.labels for p in prepared) if labels.edition}
    if len(editions) != 1:
        raise DataError(f"{root.path} mixes label files of the demo with those of SAYCam", "babycli data labels")
    refs = dict.fromkeys(request.image for p in prepared for i in p.row_indices for request in p.requests(i))
    sha256 = {}
    for ref in refs:
        sha256[ref] = hashlib.sha256(stores[ref.link].read(ref.name)).hexdigest()
        progress(1)
    return Inputs(editions.pop(), tuple(prepared), stores, sha256)


def _select(
    task: Task, labels: Labels, stores: Mapping[str, ImageStore], limit: int | None, skip_missing: bool
) -> TaskInput:
    """The first ``limit`` trials, without those of which an image is missing if that is allowed."""
    trials = task.trials(labels.rows)[:limit]
    problems: dict[str, list[Problem]] = {}
    for trial in trials:
        for i in trial.row_indices:
            for image in dict.fromkeys(request.image for request in task.requests(labels.rows[i])):
                found = stores[image.link].problem(image.name)
                if found is not None:
                    problem = Problem(task.name, found.kind, found.path, found.detail)
                    problems.setdefault(trial.trial_id, []).append(problem)
    if problems and not skip_missing:
        several = sorted({problem for of_trial in problems.values() for problem in of_trial})
        _raise_for(
            several,
            "babycli data verify   shows all of them; --skip-missing evaluates the complete trials only",
        )
    kept = tuple(trial for trial in trials if trial.trial_id not in problems)
    if not kept:
        raise DataError(f"{task.name}: no trial has all of its images", "babycli data verify")
    return TaskInput(task, labels, kept, tuple(problems))


def _raise_for(problems: Sequence[Problem], mend: str) -> None:
    if not problems:
        return
    lines = [str(problem) for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"and {len(problems) - SHOWN_PROBLEMS} more")
    kind: type[BabycliError] = ChecksumError if exit_code(problems) == ExitCode.CHECKSUM else DataError
    raise kind("\n".join(lines), mend)


def plan_of(inputs: Inputs) -> Plan:
    return make_plan(inputs.all_requests(), inputs.sha256)


def run(
    inputs: Inputs,
    plan: Plan,
    model: Model,
    scoring: Scoring,
    batch_size: int,
    log: RunLog,
    progress: Progress,
) -> list[TaskResult]:
    """Scores the plan, decides every trial, and writes samples. Scores are on disk as they come."""
    scores: dict[Key, Score] = {}

    def keep(key: Key, score: Score) -> None:
        scores[key] = score
        log.append_score(key, score)
        log.flush()
        progress(1)

    engine.run(plan, model, inputs.open_image, batch_size, keep)
    return [_decide(item, inputs, scores, model, scoring, log) for item in inputs.tasks]


def _decide(
    item: TaskInput, inputs: Inputs, scores: Mapping[Key, Score], model: Model, scoring: Scoring, log: RunLog
) -> TaskResult:
    task, rows = item.task, item.labels.rows
    answers = {i: [scores[key_of(r, inputs.sha256)] for r in item.requests(i)] for i in item.row_indices}
    outcomes: dict[int, Outcome] = {}
    in_order = []
    for trial in item.trials:
        of_trial = [answers[i] for i in trial.row_indices]
        outcome = task.outcome(trial, [rows[i] for i in trial.row_indices], of_trial, scoring)
        in_order.append(outcome)
        outcomes |= dict.fromkeys(trial.row_indices, outcome)
    log.write_samples(
        task.name,
        (
            {
                "doc_id": i,
                "doc": {k: int(v) if k in task.integer_columns and v.isdigit() else v for k, v in rows[i].items()},
                "target": task.target(rows[i]),
                "resps": [_response(score) for score in answers[i]],
                "prompt": model.render(item.requests(i)[0].prompt),
            }
            | task.sample_fields(rows[i], answers[i], outcomes[i])
            for i in item.row_indices
        ),
    )
    return TaskResult(
        task=task.name,
        metrics={m: _metric(task, [o.values[m] for o in in_order], c, scoring) for m, c in task.chance.items()},
        n_units=len(in_order),
        n_rows=len(item.row_indices),
        n_rows_in_file=len(rows),
        ties=sum(outcome.is_tie for outcome in in_order),
        nonfinite=sum(not outcome.is_finite for outcome in in_order),
        skipped=item.skipped,
    )


def _response(score: Score) -> list[Any]:
    return [score.text] if isinstance(score, Generation) else [score.mean_loss, score.is_greedy]


def _metric(task: Task, values: Sequence[float], chance: float | None, scoring: Scoring) -> Metric:
    """Mean with its uncertainty: Wilson's interval for shares of trials, the normal one for METEOR."""
    centre = mean(values)
    if scoring == "reference" and task.reference_is_float32:
        centre = as_float32(centre)
    stderr = standard_error(values)
    if chance is not None:
        return Metric(centre, stderr, wilson95(centre, len(values)), chance)
    return Metric(centre, stderr, normal95(centre, stderr) if stderr is not None else None, None)


def provenance(
    inputs: Inputs, model: Model, command: Sequence[str], model_name: str, model_args: Mapping[str, str],
    scoring: Scoring, batch_size: int, limit: int | None,
) -> dict[str, Any]:  # fmt: skip
    """What run.json says about where the numbers come from."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        versions[package] = importlib.metadata.version(package)
    return {
        "babycli_version": __version__,
        "command": list(command),
        "data": inputs.edition,
        "demo": inputs.edition == "demo",
        "model": {"name": model_name, "args": dict(model_args)} | asdict(model.info),
        "scoring": scoring,
        "batch_size": batch_size,
        "limit": limit,
        "seed": SEED,
        "tasks": {
            item.task.name: {
                "version": item.task.version,
                "labels_sha256": item.labels.sha256,
                "n_units": len(item.trials),
                "skipped": list(item.skipped),
            }
            for item in inputs.tasks
        },
        "images": {"n": len(inputs.sha256), "sha256": inputs.images_digest},
        "libraries": versions,
        "platform": platform.platform(),
    }


def results_document(
    run: Mapping[str, Any], results: Sequence[TaskResult], timestamp: str, log_name: str
) -> dict[str, Any]:
    """A results file that lmms-eval's readers understand, with what they lack beside it."""
    started, ended = datetime.fromisoformat(run["start"]), datetime.fromisoformat(run["end"])
    model = run["model"]
    return {
        "results": {
            r.task: {"alias": r.task}
            | {
                key: value
                for name, metric in r.metrics.items()
                for key, value in (
                    (f"{name},none", metric.value),
                    (f"{name}_stderr,none", "N/A" if metric.stderr is None else metric.stderr),
                )
            }
            for r in results
        },
        "group_subtasks": {r.task: [] for r in results},
        "configs": {r.task: {"task": r.task, "num_fewshot": 0} for r in results},
        "versions": {r.task: run["tasks"][r.task]["version"] for r in results},
        "n-shot": {r.task: 0 for r in results},
        "higher_is_better": {r.task: dict.fromkeys(r.metrics, True) for r in results},
        "n-samples": {r.task: {"original": r.n_rows_in_file, "effective": r.n_rows} for r in results},
        "config": {
            "model": model["family"],
            "model_args": ",".join(f"{k}={v}" for k, v in ({"pretrained": model["source"]} | model["args"]).items()),
            "batch_size": run["batch_size"],
            "device": model["device"],
            "limit": run["limit"],
            "random_seed": run["seed"],
        },
        "git_hash": None,
        "date": timestamp,
        "model_source": model["family"],
        "model_name": model["name"],
        "model_name_sanitized": log_name,
        "total_evaluation_time_seconds": str((ended - started).total_seconds()),
        # From here on babycli's own.
        "babycli": {"schema_version": run["schema_version"], "version": run["babycli_version"]},
        "data": run["data"],
        "demo": run["demo"],
        "scoring": run["scoring"],
        "dtype": model["dtype"],
        "n_units": {r.task: r.n_units for r in results},
        "ties": {r.task: r.ties for r in results},
        "nonfinite": {r.task: r.nonfinite for r in results},
        "skipped": {r.task: list(r.skipped) for r in results},
        "chance": {r.task: {name: metric.chance for name, metric in r.metrics.items()} for r in results},
        "ci95": {r.task: {name: metric.ci95 for name, metric in r.metrics.items()} for r in results},
    }


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
