"""Runs of lmms-eval (BabyVLM's fork of v0.3, and 0.4 to 0.7), read for a report beside ours.

Owns results files as lmms-eval writes them, and finding the samples files that belong to one. Never writes, never
raises for what a file holds: what is wrong with it is a finding, and the rest of it counts.

    <folder>/<date>_results.json    <date>_samples_<task>.jsonl       lmms-eval
    <folder>/results_<date>.json    samples_<task>_<date>.jsonl       lm-evaluation-harness
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.interop.lmms.findings import LmmsKind
from babycli.interop.lmms.sample_lines import has_rows_of, read_lmms_samples
from babycli.logs.fields import mapping, text
from babycli.report.findings import Finding
from babycli.report.logged import (
    Document,
    Labels,
    LoggedRun,
    LoggedTask,
    date_of,
    faults_of,
    folder_name,
    given_limit,
    logged_metrics,
    n_rows_published,
    row_counts,
    stamp,
    unknown_tasks,
)
from babycli.report.samples import Samples
from babycli.tasks import all_tasks
from babycli.tasks.base import Task
from babycli.wording import Scoring

LMMS = "lmms-eval"
HARNESS = "lm-evaluation-harness"

# The second edition of the benchmark has a task of this name too, with other data, and without this metric.
_TWO_EDITIONS = {"baby_winoground": "positive_context_group_score"}


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The words that lmms-eval put before and after the image token for a task."""

    text: str
    fell_back: bool  # empty by default, where the task has words for other models and this one is to be asked in words


def read(document: Document, labels: Labels) -> LoggedRun:
    """Reads a results file; see babycli.report.readers."""
    fields, path = document.fields, document.path
    config, results = mapping(fields.get("config")), mapping(fields.get("results"))
    faults = list(faults_of(document))
    tasks: dict[str, LoggedTask] = {}
    readable = {name: task for name, task in all_tasks().items() if _is_readable(task)}
    for name, task in readable.items():
        if name not in results:
            continue
        if _is_ours(document, task):
            tasks[name] = _task(document, task, labels)
        else:
            detail = "left out: it lacks our task's metrics and samples, so it may be the leaderboard's task (V2)"
            faults.append(Finding(name, LmmsKind.OTHER_TASK, detail))
    return LoggedRun(
        path=path,
        program=HARNESS if path.name.startswith("results_") else LMMS,
        model=_model(document),
        date=date_of(document),
        limit=given_limit(config),
        model_args=_args(config.get("model_args")),
        scoring=Scoring.REFERENCE,
        tasks=tasks,
        unknown_tasks=(*unknown_tasks(fields), *(n for n in all_tasks() if n in results and n not in readable)),
        is_control=False,
        faults=tuple(faults),
    )


def _is_readable(task: Task) -> bool:
    """Tells whether lmms-eval can log a task: as many answers with every row, none of which waits for another."""
    return task.n_row_answers is not None and task.needs.n_turns == 1


def _task(document: Document, task: Task, labels: Labels) -> LoggedTask:
    fields, name = document.fields, task.name
    metrics, faults = logged_metrics(document, task)
    n_rows, n_evaluated, of_labels = row_counts(document, task, n_rows_published(task))
    prompt = _prompt(fields, task)

    def read_samples() -> Samples:
        return read_lmms_samples(_samples_path(document.path, name), task, n_rows, labels().get(name))

    return LoggedTask(
        task=task,
        metrics=metrics,
        n_rows=n_rows,
        n_evaluated=n_evaluated,
        limit=_limit(fields, n_rows, n_evaluated),
        limit_is_of_rows=True,
        version=text(mapping(fields.get("versions")).get(name)),
        prompt=None if prompt is None else prompt.text,
        nonfinite=0,
        skipped=(),
        samples=read_samples,
        faults=(*faults, *of_labels),
        remarks=() if prompt is None or not prompt.fell_back else (_fall_back(_family(fields), task),),
    )


def _family(fields: Mapping[str, Any]) -> str:
    """Gives the model as --model named it."""
    return text(mapping(fields.get("config")).get("model")) or text(fields.get("model_source"))


def _limit(fields: Mapping[str, Any], n_rows: int | None, n_evaluated: int | None) -> int | None:
    """Gives the number of rows that a limit left; None where it cut nothing off."""
    given = given_limit(mapping(fields.get("config"))) or None
    if n_rows is None:
        return None
    if n_evaluated is None:
        n_evaluated = n_rows if given is None else math.ceil(n_rows * given) if given < 1 else int(given)
    return n_evaluated if n_evaluated < n_rows else None


def _prompt(fields: Mapping[str, Any], task: Task) -> _Prompt | None:
    """Gives the prompt of a task; None where the log does not say it.

    lmms-eval writes the default's wording beside the models' where it took it, and only then. An empty default is right
    for a family that is asked with the picture alone: babyllava and the dual encoders.
    """
    family = _family(fields)
    wordings = mapping(mapping(mapping(fields.get("configs")).get(task.name)).get("lmms_eval_specific_kwargs"))
    if not wordings:
        return None
    own = mapping(wordings.get(family))
    took_default = "pre_prompt" in wordings or "post_prompt" in wordings or not own
    chosen = (wordings if "pre_prompt" in wordings else mapping(wordings.get("default"))) if took_default else own
    others = [_wording(mapping(wording)) for name, wording in wordings.items() if name != "default"]
    is_meant = task.prompts.get(family) == ""
    fell_back = bool(family) and took_default and not _wording(chosen) and any(others) and not is_meant
    return _Prompt(_wording(chosen), fell_back)


def _fall_back(family: str, task: Task) -> Finding:
    detail = f"the task has no wording for {family}, so it was asked with no words but the answers"
    if task.prompts.get(family):
        detail = f"{family} was asked with the empty default, and not with its own wording"
    return Finding(task.name, LmmsKind.PROMPT, detail)


def _wording(wording: Mapping[str, Any]) -> str:
    return "".join(text(wording.get(key)) for key in ("pre_prompt", "post_prompt"))


def _is_ours(document: Document, task: Task) -> bool:
    """Tells whether it is the task of the first edition; the samples tell where an early fork has fewer metrics."""
    metric = _TWO_EDITIONS.get(task.name)
    logged = mapping(mapping(document.fields.get("results")).get(task.name))
    if metric is None or any(key.startswith(f"{metric},") for key in logged):
        return True
    return has_rows_of(_samples_path(document.path, task.name), task) is True


def _samples_path(results: Path, task: str) -> Path:
    if results.name.startswith("results_"):
        return results.with_name(f"samples_{task}_{stamp(results)}.jsonl")
    return results.with_name(f"{stamp(results)}_samples_{task}.jsonl")


def _model(document: Document) -> str:
    fields = document.fields
    words = [word.partition("=") for word in _args(mapping(fields.get("config")).get("model_args")).split(",")]
    named = [value.strip() for key, _, value in words if key.strip() == "pretrained"]
    named += [text(fields.get(key)) for key in ("model_name", "model_name_sanitized")]
    return next((name for name in named if name), folder_name(document.path))


def _args(value: object) -> str:
    """Reads --model_args: text in most versions, an object in some."""
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else text(value)
