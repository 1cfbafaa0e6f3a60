"""A results file as JSON, of whatever program, and what can be read in it before one knows the program.

Owns reading the file, its date and name, and the numbers, counts and names of tasks that all programs write alike. What
is wrong with it is a finding. Never reads samples.
"""

from __future__ import annotations

import glob
import math
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from babycli.data.manifest import manifests
from babycli.logs.content import plain_name, read_content
from babycli.logs.fields import count, mapping, number
from babycli.logs.samples import NO_OBJECT, decoded
from babycli.report.findings import Finding, Kind
from babycli.tasks.base import Task
from babycli.wording import listed


@dataclass(frozen=True, slots=True)
class Document:
    """A results file as JSON."""

    path: Path
    fields: Mapping[str, Any]
    why: str = ""  # why there is nothing in it
    line: int | None = None  # where it stops being JSON
    is_read: bool = True  # it could be read, and is whole JSON

    @property
    def fault(self) -> str:
        """The same with the place; "" of a sound file."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.why}" if self.why else ""


def read_document(path: Path) -> Document:
    """Reads a results file."""
    try:
        content = read_content(path)
    except OSError as error:
        return Document(path, {}, str(error.strerror), is_read=False)
    try:
        fields = decoded(content)
    except ValueError as error:
        return Document(path, {}, str(error), _line_of(content), is_read=str(error) == NO_OBJECT)
    return Document(path, fields, "" if mapping(fields.get("results")) else "holds no results")


def faults_of(document: Document) -> tuple[Finding, ...]:
    """Gives the fault of the file as a whole, if it has one."""
    return (Finding("", Kind.UNREADABLE, document.fault),) if document.fault else ()


def samples_without_results(document: Document) -> list[Finding]:
    """Finds samples files of the run whose task has no number in its results: nobody looks at them."""
    start, results = f"{stamp(document.path)}_samples_", mapping(document.fields.get("results"))
    files = sorted(document.path.parent.glob(f"{glob.escape(start)}*.jsonl*"))
    others = [f for f in files if plain_name(f).removeprefix(start).removesuffix(".jsonl") not in results]
    if document.fault or not others:
        return []
    detail = f"the results have no number of {listed(file.name for file in others)}"
    return [Finding("", Kind.NOT_LOOKED_AT, detail, is_grave=False)]


def unknown_tasks(fields: Mapping[str, Any], known: Collection[str]) -> tuple[str, ...]:
    """Lists the tasks of a results file that are not read, ``known`` being its names of those that are.

    A group of tasks is none, where a member of it has results of its own.
    """
    results, groups = mapping(fields.get("results")), mapping(fields.get("group_subtasks"))
    return tuple(sorted(name for name in results if name not in known and not _has_members(name, groups, results)))


def _has_members(name: str, groups: Mapping[str, Any], results: Mapping[str, Any]) -> bool:
    """Tells whether a task is a group of which a member, or a member of a member, has results."""
    seen, left = {name}, [name]
    while left:
        members = groups.get(left.pop())
        for member in members if isinstance(members, list) else ():
            if isinstance(member, str) and member not in seen:
                if member in results and not groups.get(member):
                    return True
                seen.add(member)
                left.append(member)
    return False


def logged_metrics(
    document: Document, task: Task, logged_as: str | None = None
) -> tuple[dict[str, float], list[Finding]]:
    """Reads the numbers under "<metric>,<filter>"; of several filters the first, as lmms-eval's own table has it.

    ``logged_as`` is the name of the task in the log, where that is another. A number that is no metric's is named.
    """
    metrics: dict[str, float] = {}
    wrong: dict[str, object] = {}
    others: list[str] = []
    known = {metric.name: metric for metric in task.metrics}
    for key, value in mapping(mapping(document.fields.get("results")).get(logged_as or task.name)).items():
        name = key.partition(",")[0]
        if "," not in key or name in wrong:
            continue
        if name not in known or name in metrics:
            others += [key] if number(value) is not None and "_stderr" not in name else []
            continue
        given = number(value)
        low, high = task.metric(name).limits
        if given is None or not math.isfinite(given) or not low <= given <= high:
            wrong[name] = value
        else:
            metrics[name] = float(given)
    faults = [
        Finding(task.name, Kind.NO_NUMBER, f"{document.path}: {name} is {reprlib.repr(value)}, {_should(task, name)}")
        for name, value in wrong.items()
    ]
    if not metrics and not wrong:
        faults.append(Finding(task.name, Kind.NO_NUMBER, f"{document.path}: {task.name} has none of its metrics"))
    if others:
        faults.append(Finding(task.name, Kind.NOT_LOOKED_AT, listed(others), is_grave=False))
    return metrics, faults


def _should(task: Task, name: str) -> str:
    low, high = task.metric(name).limits
    within = "" if math.isinf(low) else f" from {low:g} to {high:g}"
    return f"should be a number{within}"


def row_counts(
    document: Document, task: Task, due: int | None, logged_as: str | None = None, n_rows_each: int = 1
) -> tuple[int | None, int | None, list[Finding]]:
    """Counts the rows of the label file and those evaluated; adds a finding where the first are not ``due``.

    ``logged_as`` is the name of the task in the log, and ``n_rows_each`` how many rows one of its samples stands for.
    """
    counts = mapping(mapping(document.fields.get("n-samples")).get(logged_as or task.name))
    given = [count(counts.get(key)) for key in ("original", "effective")]
    n_rows, n_evaluated = (None if n is None else n * n_rows_each for n in given)
    if n_rows is None or due is None or n_rows == due:
        return due if n_rows is None else n_rows, n_evaluated, []
    detail = f"the log's label file has {n_rows} rows, should have {due}: these are other trials"
    return n_rows, n_evaluated, [Finding(task.name, Kind.LABELS_DIFFER, detail)]


def n_rows_published(task: Task, is_demo: bool = False) -> int | None:
    """Counts the rows of the published label file, or of the demo's; None for a task without one."""
    manifest = manifests().get(task.name)
    if manifest is None:
        return None
    return manifest.demo_n_rows if is_demo else manifest.n_rows


def given_limit(config: Mapping[str, Any]) -> int | float | None:
    """Gives the number that --limit was given, if it can be one."""
    limit = number(config.get("limit"))
    return limit if limit is not None and math.isfinite(limit) and limit >= 0 else None


def date_of(document: Document) -> str:
    """Gives the date that the file states, else the one in its name."""
    date = document.fields.get("date")
    return date if isinstance(date, str) else stamp(document.path)


def stamp(results: Path) -> str:
    """Gives the date in the name of a results file, which its other files share."""
    return plain_name(results).removesuffix(".json").removeprefix("results_").removesuffix("_results")


def folder_name(results: Path) -> str:
    return results.absolute().parent.name


def _line_of(content: bytes) -> int:
    """Finds the line on which a file stops being JSON."""
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError as place:
        return content.count(b"\n", 0, place.pos) + 1
    return 1
