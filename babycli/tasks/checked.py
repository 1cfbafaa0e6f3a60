"""Checks of what a task says of itself, before anything is done with it.

Owns these checks: what they let pass breaks no file name, no log and no report. Never makes or plays an item.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, get_args

from babycli.data.names import is_safe_name
from babycli.domain import Metric
from babycli.errors import TaskError
from babycli.tasks.base import Benchmark, LabelFormat, Need, Needs, Task
from babycli.tasks.groups import Grouping
from babycli.wording import any_of

MEND = "docs/add_a_task.md has an example"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # it becomes part of the names of files, and of keys in logs
_NAME_WORDS = "a name of letters, digits, _, - and ., which begins with neither - nor ."
_NEEDED = ("name", "title", "question", "metrics", "needs", "label_path", "columns", "links")
_LINE_KEYS = ("doc_id", "doc", "target", "resps", "prompt")  # of a line in the samples log, beside the metrics
_WIDTH = 80  # a longer value is not shown
_Fault = tuple[str, object, str]  # the attribute, its value, and what is expected


def checked_task(candidate: object, what: str) -> Task:
    """Checks that an object is a task with all that a task must have, and gives it. Raises TaskError."""
    if not isinstance(candidate, Task):
        raise TaskError(
            f"{what} is {candidate!r:.80}; expected is an object of a class of babycli.tasks.base.Task", MEND
        )
    missing = [name for name in _NEEDED if not hasattr(candidate, name)]
    if missing:
        raise TaskError(f"{what} does not say its {', '.join(missing)}", MEND)
    for attribute, value, expected in _faults(candidate):  # the first is enough to mend
        raise TaskError(f"{what}: its {attribute} is {_shown(value)}; expected is {expected}", MEND)
    return candidate


def _faults(task: Any) -> Iterator[_Fault]:
    """Finds what is wrong with the attributes of a task."""
    if not _is_name(task.name):
        yield "name", task.name, _NAME_WORDS
    for name in ("title", "question", "unit"):
        if not _is_text(getattr(task, name)):
            yield name, getattr(task, name), "a text that is not empty"
    for name in ("short", "cluster", "scored", "tie_rule", "tie_note", "legend"):
        if not isinstance(getattr(task, name), str):
            yield name, getattr(task, name), "a text"
    for name in ("version", "order", "rows_per_item"):
        if not _is_count(getattr(task, name), 1 if name == "rows_per_item" else None):
            yield name, getattr(task, name), "a whole number"
    if task.n_row_answers is not None and not _is_count(task.n_row_answers, 0):
        yield "n_row_answers", task.n_row_answers, "a whole number or None"
    yield from metrics_faults(task.metrics)
    if not isinstance(task.needs, Needs):
        yield "needs", task.needs, 'Needs("score") or Needs("write")'
    elif task.needs.answer not in get_args(Need):
        yield "needs.answer", task.needs.answer, any_of(map(repr, get_args(Need)))
    elif not (_is_count(task.needs.n_images, 0) and _is_count(task.needs.n_turns, 1)):
        yield "needs", task.needs, "whole numbers of images (0 or more) and turns (1 or more)"
    yield from _data_faults(task)
    if not _are(task.groupings, Grouping):
        yield "groupings", task.groupings, "a tuple of Grouping, as in  (SESSION,)"
    elif task.cluster and task.cluster not in [grouping.name for grouping in task.groupings]:
        yield "cluster", task.cluster, "the name of one of its groupings"
    else:
        yield from _mean_faults(task)
    if not isinstance(task.prompts, Mapping) or not all(
        _is_text(k) and isinstance(v, str) for k, v in task.prompts.items()
    ):
        yield "prompts", task.prompts, "a wording for each model family, as in  {'default': 'What is it?'}"
    if not (task.benchmark is None or isinstance(task.benchmark, Benchmark)):
        yield "benchmark", task.benchmark, "a Benchmark or None"


def _mean_faults(task: Any) -> Iterator[_Fault]:
    """Finds metrics that are means over groups that the items do not have."""
    kinds = ["", *(grouping.name for grouping in task.groupings)]
    for i, metric in enumerate(task.metrics if _are(task.metrics, Metric) else ()):
        if metric.mean_over not in kinds:
            yield f"metrics[{i}].mean_over", metric.mean_over, "the name of one of its groupings, or nothing"


def _data_faults(task: Any) -> Iterator[_Fault]:
    if not _is_path(task.label_path):
        yield "label_path", task.label_path, "a path inside the dataset folder, relative and without .."
    if task.label_format not in get_args(LabelFormat):
        yield "label_format", task.label_format, any_of(map(repr, get_args(LabelFormat)))
    for name in ("columns", "item_columns"):
        if not _are(getattr(task, name), str):
            yield name, getattr(task, name), 'a tuple of texts, as in  ("id",)'
    if isinstance(task.integer_columns, str):
        yield "integer_columns", task.integer_columns, "a set of texts"
    if not isinstance(task.links, Mapping):
        yield "links", task.links, "a link for each source of pictures, as in  {'saycam': 'new_picture/images'}"
        return
    for source, path in task.links.items():
        if not _is_text(source):
            yield "links", task.links, "a text for each source of pictures"
        if not _is_path(path):
            yield f"links[{source!r}]", path, "a path inside the dataset folder, relative and without .."


def metrics_faults(metrics: Any) -> Iterator[_Fault]:
    """Finds what is wrong with the metrics of a task."""
    if not _are(metrics, Metric) or not metrics:
        yield "metrics", metrics, "a tuple of at least one Metric, as in  (Metric(...),)"
        return
    names = [metric.name for metric in metrics]
    for i, metric in enumerate(metrics):
        of_metric = f"metrics[{i}]"
        if not _is_name(metric.name):
            yield f"{of_metric}.name", metric.name, _NAME_WORDS
        elif metric.name in _LINE_KEYS:
            yield f"{of_metric}.name", metric.name, f"another name than {', '.join(_LINE_KEYS)}"
        elif metric.name in names[:i]:
            yield f"{of_metric}.name", metric.name, "a name that no other of its metrics has"
        if metric.kind not in ("share", "score"):
            yield f"{of_metric}.kind", metric.kind, "'share' or 'score'"
        for text in ("title", "short"):
            if not _is_text(getattr(metric, text)):
                yield f"{of_metric}.{text}", getattr(metric, text), "a text that is not empty"
        yield from _number_faults(metric, of_metric)
    if sum(bool(metric.is_main) for metric in metrics) > 1:
        yield "metrics with is_main", [metric.name for metric in metrics if metric.is_main], "one main metric"


def _number_faults(metric: Any, of_metric: str) -> Iterator[_Fault]:
    bounds = metric.bounds
    if bounds is not None and not (_are(bounds, int | float) and len(bounds) == 2 and bounds[0] < bounds[1]):
        yield f"{of_metric}.bounds", bounds, "the least and the most that an item can get, or None"
        return
    low, high = metric.limits
    if metric.chance is not None and not (_is_number(metric.chance) and low <= metric.chance <= high):
        yield f"{of_metric}.chance", metric.chance, f"None or a finite number from {low:g} to {high:g}"
    if not (_is_number(metric.scale) and metric.scale > 0):
        yield f"{of_metric}.scale", metric.scale, "a finite number above 0"
    if not (_is_number(metric.log_tolerance) and metric.log_tolerance >= 0):
        yield f"{of_metric}.log_tolerance", metric.log_tolerance, "a finite number, 0 or above"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _WIDTH else f"an object of {type(value).__name__}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def _is_path(value: object) -> bool:
    """Tells whether a value is the path of something inside a folder."""
    return isinstance(value, str) and is_safe_name(value) and bool(PurePosixPath(value).parts)


def _is_count(value: object, least: int | None) -> bool:
    return type(value) is int and (least is None or value >= least)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _are(values: object, kind: Any) -> bool:
    """Tells whether a value is a tuple or list of values of a kind."""
    return isinstance(values, tuple | list) and all(isinstance(value, kind) for value in values)
