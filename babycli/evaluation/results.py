"""The results of a run: from played items to numbers, and to the documents of the run's log.

Owns the numbers of a task (mean over items, interval) and the content of run.json, samples, outcomes and results. Never
touches a file: logs/runlog.py writes the documents.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from babycli.data.datasets import data_set_named
from babycli.data.digests import digest_of_places
from babycli.data.manifest import logged_place
from babycli.domain import Estimate, Exchange, Metric, Outcome, Row, TaskResult, ask
from babycli.errors import TaskError
from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.evaluation.plan import Plan
from babycli.evaluation.rounds import Played
from babycli.foreign import explained_for, is_own
from babycli.logs.documents import OutcomesFile, OutcomesOfTask, ResultsFile
from babycli.logs.identity import Identity
from babycli.logs.samples import response
from babycli.logs.schema import SCHEMA_VERSION
from babycli.models.base import Model, ModelSpec
from babycli.stats import bootstrap95, mean, standard_error, wilson95
from babycli.strata import mean_of_groups, stratified95, stratified_stderr
from babycli.tasks.about import About
from babycli.tasks.base import Task, as_float32, by_row, groups_of, row_as_logged, texts_of
from babycli.tasks.replies import Replies, Reply, count_replies
from babycli.wording import Scoring

SEED = 0  # of what is drawn at random: the trials of the batch check, the bootstrap, the order of shuffled images
_PACKAGES = ("torch", "transformers", "tokenizers", "sentencepiece", "safetensors", "pillow", "numpy", "nltk")


@dataclass(frozen=True, slots=True)
class Decided:
    """A task with its played items and its numbers."""

    input: TaskInput
    played: Sequence[Played]
    result: TaskResult
    replies: Replies | None  # what the model wrote, counted; None where it wrote nothing

    @property
    def outcomes(self) -> list[Outcome]:
        return [play.outcome for play in self.played]


def decide(task_input: TaskInput, played: Sequence[Played], scoring: Scoring) -> Decided:
    """Computes the numbers of a task, all of whose items have been played."""
    task = task_input.task
    items, outcomes = [play.item for play in played], [play.outcome for play in played]
    groups = groups_of(items)

    def estimate(metric: Metric) -> Estimate:
        values, chance = [outcome.values[metric.name] for outcome in outcomes], task.chance_of(metric, items)
        return _estimate(task, metric, values, groups.get(metric.mean_over), chance, scoring)

    result = TaskResult(
        task=task.name,
        metrics={metric.name: estimate(metric) for metric in task.metrics},
        n_units=len(outcomes),
        n_rows=len(task_input.row_indices),
        n_rows_in_file=len(task_input.labels.rows),
        ties=sum(outcome.is_tie for outcome in outcomes),
        nonfinite=sum(not outcome.is_finite for outcome in outcomes),
        unanswered=sum(not outcome.is_answered for outcome in outcomes),
        no_answer=sum(outcome.n_no_answer for outcome in outcomes),
        skipped=task_input.skipped,
    )
    replies = list(_replies(task, played))
    return Decided(task_input, played, result, count_replies(replies) if replies else None)


def _replies(task: Task, played: Sequence[Played]) -> Iterator[Reply]:
    """Gives the texts that a model wrote, each with its row."""
    for play in played:
        item = play.item
        for row_index, row, exchanges in zip(item.row_indices, item.rows, by_row(item, play.exchanges), strict=True):
            yield from task.replies(row_index, row, texts_of([exchange.answer for exchange in exchanges]))


def _estimate(
    task: Task,
    metric: Metric,
    values: Sequence[float],
    groups: Sequence[str] | None,
    chance: float | None,
    scoring: Scoring,
) -> Estimate:
    """Computes a mean with its uncertainty: Wilson's interval for a share of items, bootstrap for any other score.

    With ``groups``, one for each value, it is the mean of their means.
    """
    if groups is not None:
        import numpy as np  # which other commands need not wait for

        centre, numbers = mean_of_groups(values, groups), np.array(values)
        of_groups = stratified95(numbers, groups, None, metric.is_share, metric.limits)
        return Estimate(centre, stratified_stderr(numbers, groups), of_groups, chance)
    centre = mean(values)
    if scoring == Scoring.REFERENCE and task.reference_is_float32:
        centre = as_float32(centre)
    stderr = standard_error(values)
    if metric.is_share:
        return Estimate(centre, stderr, wilson95(centre, len(values)), chance)
    if stderr is None:
        return Estimate(centre, None, None, chance)
    import numpy as np  # which other commands need not wait for

    return Estimate(centre, stderr, bootstrap95(np.array(values), SEED), chance)


def sample_lines(decided: Decided, model: Model) -> Iterator[dict[str, Any]]:
    """Makes the lines of a samples file: one for each label row, in file order."""
    task = decided.input.task
    rendered: dict[str, str] = {}  # by the wording's own text
    lines: dict[int, dict[str, Any]] = {}
    for play in decided.played:
        for i, row, exchanges in zip(
            play.item.row_indices, play.item.rows, by_row(play.item, play.exchanges), strict=True
        ):
            context = exchanges[-1].request.context.wording if exchanges else ask("")
            key = repr(context)
            if key not in rendered:
                rendered[key] = model.render(context)
            lines[i] = {
                "doc_id": i,
                "doc": row_as_logged(task, row),
                "target": task.target(row),
                "resps": [response(exchange.answer) for exchange in exchanges],
                "prompt": rendered[key],
            } | _sample_fields(task, row, exchanges, play.outcome)
    return (lines[i] for i in sorted(lines))


def _sample_fields(task: Task, row: Row, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
    """Gives the fields that a task adds to a line. Raises TaskError for those of a user's that no log can hold."""
    with explained_for(task, f"{task.name}: sample_fields() fails for item {outcome.item_id}", TaskError):
        fields = task.sample_fields(row, exchanges, outcome)
    if not is_own(task) and not (isinstance(fields, dict) and _is_json(fields)):
        raise TaskError(
            f"{task.name}: sample_fields() gives {fields!r:.80} for item {outcome.item_id}; expected is a dict of what "
            "JSON can hold"
        )
    return fields


def _is_json(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def outcomes_document(decided: Sequence[Decided]) -> OutcomesFile:
    """Makes the document with the outcome of every item, for reports: it is small, where the samples are large."""
    return {"schema_version": SCHEMA_VERSION, "tasks": {entry.result.task: _outcomes(entry) for entry in decided}}


def _outcomes(decided: Decided) -> OutcomesOfTask:
    outcomes = decided.outcomes
    no_answer = {str(i): outcome.n_no_answer for i, outcome in enumerate(outcomes) if outcome.n_no_answer}
    document: OutcomesOfTask = {
        "trials": [outcome.item_id for outcome in outcomes],
        "groups": groups_of([play.item for play in decided.played]),
        "values": {m.name: [outcome.values[m.name] for outcome in outcomes] for m in decided.input.task.metrics},
        "ties": [i for i, outcome in enumerate(outcomes) if outcome.is_tie],
        "nonfinite": [i for i, outcome in enumerate(outcomes) if not outcome.is_finite],
        "unanswered": [i for i, outcome in enumerate(outcomes) if not outcome.is_answered],
    }
    if no_answer:
        document["no_answer"] = no_answer
    return document


@functools.cache
def _versions() -> dict[str, str]:
    from importlib.metadata import version  # slow to import, and every command imports this module

    return {package: version(package) for package in _PACKAGES}


def provenance(inputs: Inputs, plan: Plan, model: Model, spec: ModelSpec, identity: Identity) -> dict[str, Any]:
    """Makes the part of run.json that says where the numbers come from: the identity, and more for a reader."""
    question, data = identity.question, identity.data
    origins = {task_input.task.name: task_input.prompt.origin for task_input in inputs.tasks}
    return {
        "identity": identity.to_document(),
        "babycli_version": identity.software.babycli,
        "data": inputs.data_set,
        "demo": data_set_named(inputs.data_set).is_demo,
        "model": {"name": spec.name, "args": dict(spec.args)} | asdict(model.info),
        "control": None if question.control is None else asdict(question.control),
        "scoring": spec.scoring,
        "limit": question.limit,
        "sample": None if question.sample is None else asdict(question.sample),
        "seed": SEED,
        "plan": plan_counts([plan]),
        "tasks": {
            name: {
                "version": task.version,
                "labels_sha256": data.labels_sha256[name],
                "images_sha256": data.images_sha256[name],
                "n_units": task.n_units,
                "skipped": list(task.skipped),
                "prompt": task.prompt,
                "prompt_origin": origins[name],
                "rendered_prompt": task.rendered_prompt,
            }
            for name, task in question.tasks.items()
        },
        "images": _images(inputs),
        "libraries": {"python": platform.python_version()} | _versions(),
        "platform": platform.platform(),
    }


def plan_counts(plans: Sequence[Plan]) -> dict[str, int]:
    """Counts what the rounds so far have asked: distinct pictures, contexts, texts and requests."""
    whole = Plan(tuple(work for plan in plans for work in plan.work))
    return {
        "rounds": len(plans),
        "images": whole.n_images,
        "prefixes": whole.n_prefixes,
        "texts": whole.n_texts,
        "requests": whole.n_requests,
    }


def _images(inputs: Inputs) -> dict[str, Any]:
    """Counts the pictures of the items (one behind two links counts twice), and digests their places and bytes."""
    names = sorted(
        {(logged_place(t.task.links, i.source), i.name, inputs.own_sha256[i]) for t in inputs.tasks for i in t.images}
    )
    return {"n": len(names), "sha256": digest_of_places(names)}


def results_document(run: Mapping[str, Any], decided: Sequence[Decided], timestamp: str, log_name: str) -> ResultsFile:
    """Makes a results file that lmms-eval's readers understand, with babycli's own fields added."""
    sessions = [[datetime.fromisoformat(s[key]) for key in ("start", "end")] for s in run["sessions"] if "end" in s]
    model = run["model"]
    results = [entry.result for entry in decided]
    return {
        "results": {r.task: {"alias": r.task} | _lmms_metrics(r) for r in results},
        "group_subtasks": {r.task: [] for r in results},
        "configs": {r.task: {"task": r.task, "num_fewshot": 0} for r in results},
        "versions": {r.task: run["tasks"][r.task]["version"] for r in results},
        "n-shot": {r.task: 0 for r in results},
        "higher_is_better": {
            entry.result.task: {m.name: m.higher_is_better for m in entry.input.task.metrics} for entry in decided
        },
        "n-samples": {r.task: {"original": r.n_rows_in_file, "effective": r.n_rows} for r in results},
        "config": {
            "model": model["family"],
            "model_args": ",".join(f"{k}={v}" for k, v in ({"pretrained": model["source"]} | model["args"]).items()),
            "batch_size": run["batch_size"],
            "device": model["device"],
            "limit": run["limit"],
            "random_seed": run["seed"],
        },
        "git_hash": run["identity"]["software"]["revision"],
        "date": timestamp,
        "model_source": model["family"],
        "model_name": model["name"],
        "model_name_sanitized": log_name,
        "total_evaluation_time_seconds": str(sum((end - start).total_seconds() for start, end in sessions)),
        # From here on babycli's own.
        "babycli": {"schema_version": SCHEMA_VERSION, "version": run["babycli_version"]},
        "identity": run["identity"],
        "tasks": {entry.result.task: About.of(entry.input.task).to_document() for entry in decided},
        "data": run["data"],
        "demo": run["demo"],
        "control": run.get("control"),
        "labels_sha256": {r.task: run["tasks"][r.task]["labels_sha256"] for r in results},
        "prompts": {name: task["prompt"] for name, task in run["tasks"].items()},
        "prompt_origins": {name: task["prompt_origin"] for name, task in run["tasks"].items()},
        "images_sha256": {r.task: run["tasks"][r.task]["images_sha256"] for r in results},
        "scoring": run["scoring"],
        "dtype": model["dtype"],
        "fingerprint": model["fingerprint"],
        "model_args": model["args"],
        "n_units": {r.task: r.n_units for r in results},
        "ties": {r.task: r.ties for r in results},
        "nonfinite": {r.task: r.nonfinite for r in results},
        "unanswered": {r.task: r.unanswered for r in results},
        "no_answer": {r.task: r.no_answer for r in results},
        "replies": {e.result.task: e.replies.to_document() for e in decided if e.replies is not None},
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
