"""From scores to numbers, and to the words of a run's log.

Owns the metrics of a task (mean over trials, interval) and the content of run.json, samples and results. Never
touches a file: runlog.py writes what this composes.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from babycli import __version__
from babycli.domain import AppliedControl, Generation, ImageRef, Metric, Outcome, Score, Similarity, TaskResult
from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.evaluation.plan import Key, Plan, key_of
from babycli.evaluation.runlog import SCHEMA_VERSION
from babycli.models.base import Model, ModelSpec
from babycli.stats import bootstrap95, mean, standard_error, wilson95
from babycli.tasks.base import Task, as_float32, groups_of
from babycli.wording import Scoring

SEED = 0  # of what is drawn at random: the trials of the batch check, the bootstrap, the order of shuffled images
_PACKAGES = ("torch", "transformers", "tokenizers", "sentencepiece", "safetensors", "pillow", "numpy", "nltk")


@dataclass(frozen=True, slots=True)
class Decided:
    """A task with its answers and outcomes by row index, and the outcomes of its trials in order."""

    item: TaskInput
    answers: Mapping[int, Sequence[Score]]
    outcomes: Mapping[int, Outcome]
    trials: Sequence[Outcome]
    result: TaskResult


def decide(item: TaskInput, scores: Mapping[Key, Score], sha256: Mapping[ImageRef, str], scoring: Scoring) -> Decided:
    """Decides every trial of a task. ``scores`` must hold every request of it."""
    task, rows = item.task, item.labels.rows
    answers = {i: [scores[key_of(r, sha256)] for r in item.requests(i)] for i in item.row_indices}
    by_trial = []
    by_row: dict[int, Outcome] = {}
    for trial in item.trials:
        of_trial = [answers[i] for i in trial.row_indices]
        outcome = task.outcome(trial, [rows[i] for i in trial.row_indices], of_trial, scoring)
        by_trial.append(outcome)
        by_row |= dict.fromkeys(trial.row_indices, outcome)
    result = TaskResult(
        task=task.name,
        metrics={m: _metric(task, [o.values[m] for o in by_trial], c, scoring) for m, c in task.chance.items()},
        n_units=len(by_trial),
        n_rows=len(item.row_indices),
        n_rows_in_file=len(rows),
        ties=sum(outcome.is_tie for outcome in by_trial),
        nonfinite=sum(not outcome.is_finite for outcome in by_trial),
        skipped=item.skipped,
    )
    return Decided(item, answers, by_row, by_trial, result)


def _metric(task: Task, values: Sequence[float], chance: float | None, scoring: Scoring) -> Metric:
    """Mean with its uncertainty: Wilson's interval for shares of trials, bootstrap for METEOR."""
    centre = mean(values)
    if scoring == Scoring.REFERENCE and task.reference_is_float32:
        centre = as_float32(centre)
    stderr = standard_error(values)
    if chance is not None:
        return Metric(centre, stderr, wilson95(centre, len(values)), chance)
    if stderr is None:
        return Metric(centre, None, None, None)
    import numpy as np  # which other commands need not wait for

    return Metric(centre, stderr, bootstrap95(np.array(values), SEED), None)


def sample_lines(decided: Decided, model: Model) -> Iterator[dict[str, Any]]:
    """The lines of a samples file: one per label row, in file order."""
    task, rows = decided.item.task, decided.item.labels.rows
    prompt = model.render(decided.item.prompt.text)
    for i in decided.item.row_indices:
        answers = decided.answers[i]
        yield {
            "doc_id": i,
            "doc": {k: int(v) if k in task.integer_columns and v.isdigit() else v for k, v in rows[i].items()},
            "target": task.target(rows[i]),
            "resps": [_response(a) for a in answers],
            "prompt": prompt,
        } | task.sample_fields(rows[i], answers, decided.outcomes[i])


def outcomes_document(decided: Sequence[Decided]) -> dict[str, Any]:
    """What every trial of a run got, for reports: small, where the samples are large."""
    return {"schema_version": SCHEMA_VERSION, "tasks": {each.result.task: _outcomes(each) for each in decided}}


def _outcomes(decided: Decided) -> dict[str, Any]:
    item, trials = decided.item, decided.trials
    return {
        "trials": [trial.trial_id for trial in trials],
        "groups": groups_of(item.task, item.trials, item.labels.rows),
        "values": {metric: [trial.values[metric] for trial in trials] for metric in item.task.chance},
        "ties": [i for i, trial in enumerate(trials) if trial.is_tie],
        "nonfinite": [i for i, trial in enumerate(trials) if not trial.is_finite],
    }


def _response(score: Score) -> list[Any]:
    match score:
        case Generation():
            return [score.text]
        case Similarity():
            return [score.value]
        case _:
            return [score.mean_loss, score.is_greedy]


def provenance(
    inputs: Inputs, plan: Plan, model: Model, spec: ModelSpec, limit: int | None, control: AppliedControl | None
) -> dict[str, Any]:
    """What run.json says about where the numbers come from."""
    from importlib.metadata import version  # slow to import, and every command imports this module

    versions = {package: version(package) for package in _PACKAGES}
    return {
        "babycli_version": __version__,
        "data": inputs.edition,
        "demo": inputs.edition == "demo",
        "model": {"name": spec.name, "args": dict(spec.args)} | asdict(model.info),
        "control": None if control is None else asdict(control),
        "scoring": spec.scoring,
        "limit": limit,
        "seed": SEED,
        "plan": {
            "images": len(plan.work),
            "prefixes": plan.n_prefixes,
            "texts": plan.n_texts,
            "requests": plan.n_requests,
        },
        "tasks": {
            item.task.name: {
                "version": item.task.version,
                "labels_sha256": item.labels.sha256,
                "images_sha256": inputs.images_digest(item.images),
                "n_units": len(item.trials),
                "skipped": list(item.skipped),
                "prompt": item.prompt.text,
                "prompt_origin": item.prompt.origin,
                "rendered_prompt": model.render(item.prompt.text),
            }
            for item in inputs.tasks
        },
        "images": {"n": len(inputs.own_sha256), "sha256": inputs.images_digest()},
        "libraries": {"python": platform.python_version()} | versions,
        "platform": platform.platform(),
    }


def results_document(
    run: Mapping[str, Any], results: Sequence[TaskResult], timestamp: str, log_name: str
) -> dict[str, Any]:
    """A results file that lmms-eval's readers understand, with what they lack beside it."""
    sessions = [[datetime.fromisoformat(s[key]) for key in ("start", "end")] for s in run["sessions"] if "end" in s]
    model = run["model"]
    return {
        "results": {r.task: {"alias": r.task} | _lmms_metrics(r) for r in results},
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
        "total_evaluation_time_seconds": str(sum((end - start).total_seconds() for start, end in sessions)),
        # From here on babycli's own.
        "babycli": {"schema_version": SCHEMA_VERSION, "version": run["babycli_version"]},
        "data": run["data"],
        "demo": run["demo"],
        "control": run.get("control"),
        "labels_sha256": {r.task: run["tasks"][r.task]["labels_sha256"] for r in results},
        "prompts": {name: task["prompt"] for name, task in run["tasks"].items()},
        "images_sha256": {r.task: run["tasks"][r.task]["images_sha256"] for r in results},
        "scoring": run["scoring"],
        "dtype": model["dtype"],
        "fingerprint": model["fingerprint"],
        "model_args": model["args"],
        "n_units": {r.task: r.n_units for r in results},
        "ties": {r.task: r.ties for r in results},
        "nonfinite": {r.task: r.nonfinite for r in results},
        "skipped": {r.task: list(r.skipped) for r in results},
        "chance": {r.task: {name: metric.chance for name, metric in r.metrics.items()} for r in results},
        "batch_check": run.get("batch_check", {}),
        "ci95": {r.task: {name: metric.ci95 for name, metric in r.metrics.items()} for r in results},
    }


def _lmms_metrics(result: TaskResult) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, metric in result.metrics.items():
        named[f"{name},none"] = metric.value
        named[f"{name}_stderr,none"] = "N/A" if metric.stderr is None else metric.stderr
    return named
