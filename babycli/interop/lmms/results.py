"""Runs of lmms-eval (0.1 to 0.7, BabyVLM's fork of 0.3 among them), read for a report beside ours.

Owns results files as lmms-eval writes them, which of its tasks are ours, and finding the samples files that belong to
one. Never writes, never raises for what a file holds: what is wrong with it is a finding, and the rest of it counts.

    <folder>/<date>_results.json    <date>_samples_<task>.jsonl       lmms-eval from 0.3 on
    <folder>/results.json           <task>.json                       lmms-eval 0.1 and 0.2
    <folder>/results_<date>.json    samples_<task>_<date>.jsonl       lm-evaluation-harness

A task is ours under its own name, as BabyVLM's fork has it: a sample is a label row; and under that name behind
``babycli_``, as `babycli bridge lmms` has it: a sample is a trial, and the scoring is ours. Those of the DevCV Toolbox
have the names of its own fork, where a sample is a conversation and answers are written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.data.datasets import OWN, data_set_named
from babycli.interop.lmms.bridged_lines import read_bridged_samples
from babycli.interop.lmms.conversation_lines import read_conversations
from babycli.interop.lmms.findings import LmmsKind
from babycli.interop.lmms.sample_lines import has_rows_of, read_lmms_samples
from babycli.interop.lmms.trial_documents import PREFIX
from babycli.logs.content import plain_name
from babycli.logs.fields import count, mapping, text
from babycli.report.documents import (
    Document,
    date_of,
    faults_of,
    folder_name,
    given_limit,
    logged_metrics,
    n_rows_published,
    row_counts,
    samples_without_results,
    stamp,
    unknown_tasks,
)
from babycli.report.findings import Finding
from babycli.report.logged import Labels, LoggedRun, LoggedTask
from babycli.report.samples import Samples
from babycli.tasks import all_tasks
from babycli.tasks.base import Task
from babycli.wording import AnswerWay, Scoring

LMMS = "lmms-eval"
HARNESS = "lm-evaluation-harness"
RESULTS_OF_0_2 = "results.json"

# The second edition of the benchmark has a task of this name too, with other data, and without this metric.
_TWO_EDITIONS = {"baby_winoground": "positive_context_group_score"}
_WRITES = "generate"
# Items of test sets, by task: those of Ego4D, and those that the leaderboard's organizers hold back.
_N_ITEMS: Mapping[str, Mapping[str, int]] = {
    "ego4d": {
        "baby_pv": 346,
        "baby_localize": 992,
        "baby_leftright": 1009,
        "baby_spatialdetails": 1852,
        "baby_vdr_binary": 356,
        "baby_vdr_open": 356,
        "baby_compare_real": 939,
        "baby_compare_synthetic": 1049,
        "baby_count": 1015,
        "baby_memory": 200,
    },
    "saycam": {
        "baby_pv": 1132,
        "baby_localize": 2100,
        "baby_leftright": 2265,
        "baby_spatialdetails": 1243,
        "baby_vdr_binary": 465,
        "baby_vdr_open": 465,
        "baby_compare_real": 2199,
        "baby_compare_synthetic": 1832,
        "baby_count": 3019,
        "baby_memory": 250,
    },
}
_OTHERS = ("eval", "plan")  # what a log of Inspect has besides ``results``
_DATE = re.compile(r"[0-9]{4,8}_[0-9]{4,6}(?=_)")  # before the name of a folder of 0.1 or 0.2


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The words that lmms-eval put before and after the image token for a task."""

    text: str
    fell_back: bool  # empty by default, where the task has words for other models and this one is to be asked in words


@dataclass(frozen=True, slots=True)
class _Entry:
    """A task of ours in a log, under the name that it has there."""

    document: Document
    task: Task
    name: str

    @property
    def is_bridged(self) -> bool:
        return self.name != self.task.name

    @property
    def n_rows_each(self) -> int:
        """How many label rows a sample stands for."""
        return self.task.rows_per_item if self.is_bridged else 1

    @property
    def config(self) -> Mapping[str, Any]:
        return mapping(mapping(self.document.fields.get("configs")).get(self.name))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the bridge wrote into the task's YAML file: sign, set of data, digests."""
        return mapping(self.config.get("metadata")) if self.is_bridged else {}

    @property
    def n_rows_due(self) -> int | None:
        """How many rows its label file should have; None where nobody can say."""
        data = text(self.metadata.get("data"))
        return None if data == OWN else n_rows_published(self.task, is_demo=data_set_named(data).is_demo)

    @property
    def samples_path(self) -> Path:
        results = self.document.path
        if plain_name(results) == RESULTS_OF_0_2:
            return results.with_name(f"{self.name}.json")
        if results.name.startswith("results_"):
            return results.with_name(f"samples_{self.name}_{stamp(results)}.jsonl")
        return results.with_name(f"{stamp(results)}_samples_{self.name}.jsonl")

    @property
    def is_conversation(self) -> bool:
        """Tells whether it is a task of the DevCV Toolbox."""
        return AnswerWay.WRITTEN in self.task.ways

    def reading(self, labels: Labels, n_rows: int | None, logged: Mapping[str, float]) -> Callable[[], Samples]:
        """Gives what reads its samples; ``logged`` are its numbers, by metric."""
        if self.is_bridged:
            sign = text(self.metadata.get("sign"))
            return lambda: read_bridged_samples(self.samples_path, self.task, n_rows, self._rows(labels), sign)
        if self.is_conversation:
            return lambda: read_conversations(self.samples_path, self.task, n_rows, self._rows(labels))
        return lambda: read_lmms_samples(self.samples_path, self.task, n_rows, self._rows(labels), logged)

    def _rows(self, labels: Labels) -> Any:
        return labels().get(self.task.name)


def is_a_run(document: Document) -> bool:
    """Tells whether a results file is of lmms-eval or of the harness that it comes from, by their own marks.

    Having ``results`` is none: that is what many programs call what they write.
    """
    fields, config = document.fields, _config(document.fields)
    if all(key in fields for key in _OTHERS):
        return False
    if any(text(fields.get(key)) for key in ("model_source", "lm_eval_version")):
        return True
    if isinstance(fields.get("configs"), dict) and isinstance(fields.get("versions"), dict):
        return True
    tasks = list(mapping(fields.get("results")).values())
    names_a_model = isinstance(config.get("model"), str) or isinstance(config.get("model_args"), str)
    has_filters = isinstance(fields.get("config"), dict) and any("," in key for task in tasks for key in mapping(task))
    return (names_a_model or has_filters) and all(isinstance(task, dict) for task in tasks)


def read(document: Document, labels: Labels) -> LoggedRun:
    """Reads a results file; see babycli.report.readers."""
    fields, path = document.fields, document.path
    config, results = _config(fields), mapping(fields.get("results"))
    faults = [*faults_of(document), *samples_without_results(document)]
    tasks: dict[str, LoggedTask] = {}
    data = ""
    seen: set[str] = set()
    for name, task in all_tasks().items():
        if not _is_readable(task):
            continue
        task = _as_asked(task)
        there = [_Entry(document, task, logged_as) for logged_as in (PREFIX + name, name) if logged_as in results]
        seen |= {entry.name for entry in there}
        ours = [entry for entry in there if _is_ours(entry)]
        if ours:
            tasks[name] = _task(ours[0], labels)
            data = data or text(ours[0].metadata.get("data")) or _set_of(ours[0])
        for entry in there:
            if entry not in ours:
                why = "it lacks our task's metrics and samples, so it may be the leaderboard's task (V2)"
                faults.append(Finding(name, LmmsKind.OTHER_TASK, f"left out: {why}"))
            elif entry is not ours[0]:
                why = f"the log has {ours[0].name}, which is the same task"
                faults.append(Finding(name, LmmsKind.TWICE, f"{entry.name} is left out: {why}"))
    return LoggedRun(
        path=path,
        program=_program(document),
        model=_model(document),
        date=_date(document),
        limit=given_limit(config),
        model_args=_args(config.get("model_args")),
        tasks=tasks,
        unknown_tasks=unknown_tasks(fields, seen),
        is_control=False,
        faults=tuple(faults),
        wrapper=_wrapper(fields),
        offset=_offset(fields),
        data=data,
    )


def _program(document: Document) -> str:
    """Tells the two apart: by the name of the file, or by what only the harness notes."""
    fields = document.fields
    is_early = "num_fewshot" in mapping(fields.get("config")) and "configs" not in fields  # before 0.4
    notes = any(key in fields for key in ("lm_eval_version", "pretty_env_info", "transformers_version"))
    return HARNESS if is_early or notes or document.path.name.startswith("results_") else LMMS


def _is_readable(task: Task) -> bool:
    """Tells whether lmms-eval can log a task: as many answers with every row, none of which waits for another.

    Or those of the DevCV Toolbox, of which its fork logs all replies of a conversation together.
    """
    return AnswerWay.WRITTEN in task.ways or (task.n_row_answers is not None and task.needs.n_turns == 1)


def _as_asked(task: Task) -> Task:
    """Gives a task as lmms-eval asks it: where answers can be given in several ways, they are written."""
    return task.fitted((AnswerWay.WRITTEN,), (_WRITES,)) if AnswerWay.WRITTEN in task.ways else task


def _task(entry: _Entry, labels: Labels) -> LoggedTask:
    document, task = entry.document, entry.task
    metrics, faults = logged_metrics(document, task, entry.name)
    n_rows, n_evaluated, of_labels = row_counts(document, task, entry.n_rows_due, entry.name, entry.n_rows_each)
    window = _window(document.fields, n_rows, n_evaluated, entry.n_rows_each)
    prompt = _prompt(entry)
    return LoggedTask(
        task=task,
        metrics=metrics,
        n_rows=n_rows,
        n_evaluated=len(window) if window is not None else n_evaluated,
        limit=len(window) if window is not None else None,
        limit_is_of_rows=True,
        version=text(mapping(document.fields.get("versions")).get(entry.name)),
        prompt=None if prompt is None else prompt.text,
        nonfinite=0,
        skipped=(),
        scoring=Scoring.FAIR if entry.is_bridged else Scoring.REFERENCE,
        samples_path=entry.samples_path,
        samples=entry.reading(labels, n_rows, metrics),
        faults=(*faults, *of_labels),
        remarks=() if prompt is None or not prompt.fell_back else (_fall_back(_wrapper(document.fields), task),),
        offset=window.start if window is not None else 0,
        images_sha256=text(entry.metadata.get("images_sha256")),
    )


def _set_of(entry: _Entry) -> str:
    """Tells the set of data of a DevCV task by how many items its label file has; "" where that fits no known set."""
    n_samples = mapping(mapping(entry.document.fields.get("n-samples")).get(entry.name))
    n = count(n_samples.get("original"))
    return next((name for name, counts in _N_ITEMS.items() if n is not None and counts.get(entry.task.name) == n), "")


def _config(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Gives what the run was asked for: ``config`` or, in 0.1 and 0.2, ``model_configs``."""
    return mapping(fields.get("config")) or mapping(fields.get("model_configs"))


def _wrapper(fields: Mapping[str, Any]) -> str:
    """Gives the model as --model named it."""
    return text(_config(fields).get("model")) or text(fields.get("model_source"))


def _offset(fields: Mapping[str, Any]) -> int:
    """Gives the number of samples that --offset passed over, which 0.6 was the first to have."""
    return count(_config(fields).get("offset")) or 0


def _window(fields: Mapping[str, Any], n_rows: int | None, n_evaluated: int | None, n_each: int) -> range | None:
    """Gives the rows that a limit and an offset, both counted in samples, left; None where they cut nothing off.

    What the log calls "effective" is the limit alone: with an offset, fewer rows may be left.
    """
    given, offset = given_limit(_config(fields)) or None, _offset(fields) * n_each
    if n_rows is None:
        return None
    n = n_evaluated
    if n is None:
        n = n_rows if given is None else math.ceil(n_rows * given) if given < 1 else int(given) * n_each
    rows = range(min(offset, n_rows), min(offset + n, n_rows))
    return rows if len(rows) < n_rows else None


def _prompt(entry: _Entry) -> _Prompt | None:
    """Gives the prompt of a task; None where the log does not say it.

    lmms-eval writes the default's wording beside the models' where it took it, and only then. An empty default is right
    for a family that is asked with the picture alone: babyllava and the dual encoders. The bridge's own is right for
    any: it is the one that `babycli eval` has for a family without a wording.
    """
    family, task = _wrapper(entry.document.fields), entry.task
    wordings = mapping(entry.config.get("lmms_eval_specific_kwargs"))
    if not wordings:
        return None
    own = mapping(wordings.get(family))
    took_default = "pre_prompt" in wordings or "post_prompt" in wordings or not own
    chosen = (wordings if "pre_prompt" in wordings else mapping(wordings.get("default"))) if took_default else own
    others = [_wording(mapping(wording)) for name, wording in wordings.items() if name != "default"]
    is_meant = task.prompts.get(family) == "" or entry.is_bridged
    fell_back = bool(family) and took_default and not _wording(chosen) and any(others) and not is_meant
    return _Prompt(_wording(chosen), fell_back)


def _fall_back(family: str, task: Task) -> Finding:
    detail = f"the task has no wording for {family}, so it was asked with no words but the answers"
    if task.prompts.get(family):
        detail = f"{family} was asked with the empty default, and not with its own wording"
    return Finding(task.name, LmmsKind.PROMPT, detail)


def _wording(wording: Mapping[str, Any]) -> str:
    return "".join(text(wording.get(key)) for key in ("pre_prompt", "post_prompt"))


def _is_ours(entry: _Entry) -> bool:
    """Tells whether it is the task of the first edition; the samples tell where an early fork has fewer metrics."""
    metric = _TWO_EDITIONS.get(entry.task.name)
    logged = mapping(mapping(entry.document.fields.get("results")).get(entry.name))
    if metric is None or entry.is_bridged or any(key.startswith(f"{metric},") for key in logged):
        return True
    return has_rows_of(entry.samples_path, entry.task) is True


def _date(document: Document) -> str:
    """Gives the date; of 0.1 and 0.2 that in the name of the folder, "" where it has none."""
    if plain_name(document.path) != RESULTS_OF_0_2 or "date" in document.fields:
        return date_of(document)
    dated = _DATE.match(folder_name(document.path))
    return dated[0] if dated else ""


def _model(document: Document) -> str:
    """Names the model by what is most its own: its weights, else its wrapper, else its folder."""
    fields = document.fields
    words = [word.partition("=") for word in _args(_config(fields).get("model_args")).split(",")]
    named = [value.strip() for key, _, value in words if key.strip() == "pretrained"]
    named += [text(fields.get(key)) for key in ("model_name", "model_name_sanitized")]
    return next((name for name in [*named, _wrapper(fields)] if name), folder_name(document.path))


def _args(value: object) -> str:
    """Reads --model_args: text in most versions, an object in some."""
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else text(value)
