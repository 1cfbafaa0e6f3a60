"""A run as its own files state it: what the results file says, and the samples behind it.

Owns these records, which any program's logs become, and reading those of babycli. Never judges a number, never
raises for what a file holds: what is wrong with it is a finding, and the rest of it counts.
"""

from __future__ import annotations

import functools
import glob
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.data.names import is_plain
from babycli.domain import Item, Row
from babycli.logs.content import plain_name, read_content
from babycli.logs.fields import count, mapping, text
from babycli.logs.identity import Coverage
from babycli.logs.samples import decoded, doc_id_of, text_of_cell
from babycli.logs.schema import RUN_FILE
from babycli.models import all_families
from babycli.report.documents import (
    Document,
    date_of,
    faults_of,
    folder_name,
    given_limit,
    logged_metrics,
    n_rows_published,
    read_document,
    row_counts,
    samples_without_results,
    stamp,
    unknown_tasks,
)
from babycli.report.findings import Finding, Kind
from babycli.report.readers import programs, reader_of
from babycli.report.samples import Samples, decide, read_samples
from babycli.tasks import all_tasks
from babycli.tasks.base import Asking, Task
from babycli.typed import read_as
from babycli.wording import AnswerWay, History, Scoring, any_of

OURS = "babycli"
_WRITTEN = "generate"  # among the words of a log for how a task was answered
_DATED = re.compile(r"[0-9]{8}_[0-9]{4,6}_.*results\.json|results_[0-9]{4}-?[0-9]{2}-?[0-9]{2}.*\.json")
LabelRows = Mapping[str, Sequence[Row]]  # the label rows of each task, where the user has them
Labels = Callable[[], LabelRows]


@dataclass(frozen=True, slots=True)
class LoggedTask:
    """One task of a results file."""

    task: Task
    metrics: Mapping[str, float]  # as logged
    n_rows: int | None  # of its label file; None where nothing says it
    n_evaluated: int | None  # rows; None where the log does not say
    limit: int | None  # None where no limit cut anything off
    limit_is_of_rows: bool  # else of items
    version: str
    prompt: str | None  # what it was asked with, where known
    nonfinite: int  # items, as a run of ours logs it; its samples do not tell it for captions
    skipped: tuple[str, ...]  # items of a run of ours that lack an image
    scoring: Scoring  # by which the logged numbers came about
    samples_path: Path
    samples: Callable[[], Samples]  # reads them
    faults: tuple[Finding, ...]  # in what the results file says
    remarks: tuple[Finding, ...] = ()  # what else makes its numbers untrustworthy
    offset: int = 0  # the first row that was evaluated; those before it were passed over on purpose
    covers: str = ""  # what a limit or a sample left of the task, where a run of ours says it
    images_sha256: str = ""  # the digest of its pictures, as runs of babycli have it; "" where the log has none

    @property
    def n_items_in_file(self) -> int | None:
        return None if self.n_rows is None else self.n_rows // self.task.rows_per_item

    @property
    def n_rows_due(self) -> int | None:
        """How many rows the samples should have; None where nothing says it."""
        if self.n_evaluated is not None or self.n_rows is None:
            return self.n_evaluated
        if self.limit is None:
            return self.n_rows - self.offset
        return self.limit if self.limit_is_of_rows else min(self.limit * self.task.rows_per_item, self.n_rows)

    @property
    def rows_due(self) -> range:
        """The rows that the samples should have, as places in the label file; none where nothing says it."""
        return range(self.offset, self.offset + (self.n_rows_due or 0))

    @property
    def n_rows_cut(self) -> int:
        """How many rows of its first and last item a limit or an offset cut off.

        With two rows to an item, offset 3 and limit 4:   (0 1) (2 [3) (4 5) (6] 7)   2 rows: the 2nd and the 7th
        """
        is_cut = self.limit is not None and self.limit_is_of_rows
        if not is_cut:
            return 0
        n, due = self.task.rows_per_item, self.rows_due
        return due.start % n + -due.stop % n


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A results file with what belongs to it."""

    path: Path
    program: str
    model: str
    date: str
    limit: int | float | None  # as given
    model_args: str
    tasks: Mapping[str, LoggedTask]
    unknown_tasks: tuple[str, ...]
    is_control: bool  # it was not to look
    faults: tuple[Finding, ...]  # of the run as a whole, and of tasks that were left out
    wrapper: str = ""  # the name of the model's code in another program, which it has beside the weights'
    offset: int = 0  # as given
    data: str = ""  # the set of data, where the log says it
    control: str = ""  # which one it is, where the log says it

    @property
    def results(self) -> dict[tuple[str, str], float]:
        """By (task, metric), as the log states them."""
        return {(name, metric): value for name, task in self.tasks.items() for metric, value in task.metrics.items()}

    @property
    def scoring(self) -> Scoring:
        """Gives fair scoring where all of its numbers came about by it."""
        is_fair = self.tasks and all(task.scoring == Scoring.FAIR for task in self.tasks.values())
        return Scoring.FAIR if is_fair else Scoring.REFERENCE


def read_logged(path: Path, labels: Labels = dict) -> LoggedRun:
    """Reads the run of a results file, of whatever program; ``labels`` give those of others what they lack."""
    document = read_document(path)
    return read_own(document) if is_own(document) else read_by_another(document, labels)


def logged_items(path: Path, task: str, item_ids: Sequence[str]) -> dict[str, Item]:
    """Reads the items of a task from the samples of a run, by id; none where they do not tell of any."""
    if task not in all_tasks():
        return _items_of_unknown(path, task, item_ids)
    logged = read_logged(path).tasks.get(task)
    items = decide(logged.samples(), Scoring.FAIR).items if logged is not None else ()
    return {item.item_id: item for item in items}


def _items_of_unknown(path: Path, task: str, item_ids: Sequence[str]) -> dict[str, Item]:
    """Reads the first label row of each item of a task that only its runs know, and no pictures.

    An item is called after the place of its row or after a column. None where neither, or both and differently, fit.
    """
    docs = _docs(path, task)
    columns = dict.fromkeys(column for doc in docs.values() for column in doc)
    namings = [{doc_id: str(doc_id) for doc_id in docs}]
    namings += [{doc_id: text(doc[column]) for doc_id, doc in docs.items() if column in doc} for column in columns]
    fitting = [naming for naming in namings if set(naming.values()) == set(item_ids)]
    if not fitting or any(naming != fitting[0] for naming in fitting):
        return {}
    items: dict[str, Item] = {}
    for doc_id, item_id in fitting[0].items():
        items.setdefault(item_id, Item(item_id, (doc_id,), (docs[doc_id],), ()))
    return items


def _docs(path: Path, task: str) -> dict[int, Row]:
    """Reads the label rows in a samples file of babycli, in the order of the label file; no line that is damaged."""
    docs = {}
    try:
        content = read_content(path.with_name(f"{stamp(path)}_samples_{task}.jsonl"))
    except (OSError, ValueError):  # the second for a name of a task that no file can have
        return {}
    for raw in content.split(b"\n"):
        try:
            line = decoded(raw)
            docs[doc_id_of(line)] = {name: _cell_of(value) for name, value in mapping(line.get("doc")).items()}
        except ValueError:
            continue
    return dict(sorted(docs.items()))


def _cell_of(value: object) -> object:
    """Gives a cell as its task would read it, whose format nobody knows: simple values as text."""
    return value if isinstance(value, list | dict) else text_of_cell(value)


def is_own(document: Document) -> bool:
    """Tells whether babycli wrote it."""
    return OURS in document.fields


def why_no_run(document: Document) -> str:
    """Says why a file is no run, though its name may be that of a results file; "" for a run, damaged ones included.

    Many programs write a ``*_results.json`` that is none, so a program is told by its own marks. What cannot be read
    has no marks: it is a damaged run where it is named like one, or lies beside other files of a run.
    """
    if is_own(document) or reader_of(document) is not None:
        return ""
    if document.is_read:
        return f"is of no program that is known here: it has no mark of {any_of((OURS, *programs()))}"
    return "" if _lies_like_a_run(document.path) else f"is no results file: {document.why}"


def _lies_like_a_run(path: Path) -> bool:
    beside = path.parent.glob(f"{glob.escape(stamp(path))}_samples_*")
    return bool(_DATED.fullmatch(plain_name(path))) or (path.parent / RUN_FILE).exists() or any(beside)


def read_own(document: Document) -> LoggedRun:
    """Reads a results file of babycli."""
    fields, path = document.fields, document.path
    results, config = mapping(fields.get("results")), mapping(fields.get("config"))
    scoring = Scoring.REFERENCE if fields.get("scoring") == Scoring.REFERENCE else Scoring.FAIR
    limit = given_limit(config)
    tasks = {name: _as_asked(document, task) for name, task in all_tasks().items() if name in results}
    named = (text(fields.get("model_name")), text(fields.get("model_name_sanitized")), folder_name(path))
    return LoggedRun(
        path=path,
        program=OURS,
        model=next(name for name in named if name),
        date=date_of(document),
        limit=limit,
        model_args=text(config.get("model_args")),
        tasks={name: _own_task(document, task, limit, scoring) for name, task in tasks.items()},
        unknown_tasks=unknown_tasks(fields, all_tasks()),
        is_control=bool(fields.get("control")),
        control=text(mapping(fields.get("control")).get("kind")) or text(fields.get("control")),
        faults=(*faults_of(document), *samples_without_results(document)),
    )


def ways_of(answers: str) -> tuple[AnswerWay, ...]:
    """Gives the ways in which a task was answered, as an identity has it: "generate", "generate+loglikelihood"."""
    words = answers.split("+") if answers else []
    written = [AnswerWay.WRITTEN] if _WRITTEN in words else []
    return (*written, *([AnswerWay.CHOSEN] if len(words) > len(written) else []))


def on_set(task: Task, data: str) -> Task:
    """Gives a task for the set of data that a log names; the task itself where it has no such sets."""
    return task.of_set(data) if task.sets_of and is_plain(data) else task


def _as_asked(document: Document, task: Task) -> Task:
    """Gives a task as the model of a run of ours was asked in it: on its set of data, with its ways of answering."""
    bound = on_set(task, text(document.fields.get("data")))
    answers = text(mapping(mapping(_question(document).get("tasks")).get(task.name)).get("answers"))
    return bound.fitted(ways_of(answers), answers.split("+")) if bound.ways and answers else bound


def _question(document: Document) -> Mapping[str, Any]:
    return mapping(mapping(document.fields.get("identity")).get("question"))


def _asking(document: Document) -> Asking:
    """Gives the way the items of a run of ours were played."""
    question = _question(document)
    history = History.GOLD if question.get("history") == History.GOLD else History.OWN
    model = mapping(mapping(document.fields.get("identity")).get("model"))
    family = all_families().get(text(model.get("family")))
    is_recorded = family is not None and family.abilities.plays_back
    return Asking(history=history, max_new_tokens=count(question.get("max_new_tokens")), is_recorded=is_recorded)


def _own_task(document: Document, task: Task, limit: int | float | None, scoring: Scoring) -> LoggedTask:
    fields, name = document.fields, task.name

    def of_task(key: str) -> Any:
        return mapping(fields.get(key)).get(name)

    metrics, faults = logged_metrics(document, task)
    due = n_rows_published(task, is_demo=fields.get("data") == "demo")
    n_rows, n_evaluated, of_labels = row_counts(document, task, due)
    skipped, prompt = of_task("skipped"), of_task("prompts")
    samples = document.path.with_name(f"{stamp(document.path)}_samples_{name}.jsonl")
    n_items = None if n_rows is None else n_rows // task.rows_per_item
    return LoggedTask(
        task=task,
        metrics=metrics,
        n_rows=n_rows,
        n_evaluated=n_evaluated,
        limit=int(limit) if limit and (n_items is None or limit < n_items) else None,
        limit_is_of_rows=False,
        version=text(of_task("versions")),
        prompt=prompt if isinstance(prompt, str) else None,
        nonfinite=count(of_task("nonfinite")) or 0,
        skipped=tuple(str(item_id) for item_id in skipped) if isinstance(skipped, list) else (),
        scoring=scoring,
        samples_path=samples,
        samples=functools.partial(read_samples, samples, task, n_rows, asking=_asking(document)),
        faults=(*faults, *of_labels),
        covers=_covers(document, task, n_evaluated),
    )


def _covers(document: Document, task: Task, n_rows: int | None) -> str:
    """Says what a part of the trials covers, as the identity of a run has it; "" where it does not."""
    asked = mapping(mapping(_question(document).get("tasks")).get(task.name))
    raw, skipped = asked.get("coverage"), asked.get("skipped")
    try:
        coverage = None if raw is None else read_as(Coverage, raw)
    except (TypeError, ValueError):
        return ""
    if coverage is None or n_rows is None:
        return ""
    n_left_out = len(skipped) if isinstance(skipped, list) else 0  # a finding of their own
    return coverage.told(n_rows // task.rows_per_item + n_left_out, task.unit)


def read_by_another(document: Document, labels: Labels) -> LoggedRun:
    """Reads the run of a program that has registered a reader; one without tasks where none has."""
    reader = reader_of(document)
    if reader is not None and not document.fault:
        return reader.read(document, labels)
    path = document.path
    faults = faults_of(document) or (Finding("", Kind.UNREADABLE, f"{path}: is of no program that is known here"),)
    return LoggedRun(path, "", "", "", None, "", {}, (), False, faults)
