"""From a samples file to decided items.

Owns reading the lines of a file, putting rows back where the label file has them, and which items are whole. Never
looks at a results file, never judges a number, and decides no item itself: the tasks do. A line that cannot be read is
a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babycli.domain import Answer, Item, Metric, Outcome
from babycli.errors import TaskError
from babycli.files import in_memory
from babycli.foreign import explained_for
from babycli.logs.content import read_content
from babycli.logs.samples import Sample, decoded, parse_line
from babycli.report.findings import Finding, Kind
from babycli.report.trials import TaskTrials, from_outcomes
from babycli.stats import mean
from babycli.strata import mean_of_groups
from babycli.tasks.base import Asking, Task, groups_of, replay, texts_of
from babycli.tasks.replies import Replies, Reply, count_replies
from babycli.wording import Scoring, listed

# Reads the samples, one a row, that a line tells of; raises ValueError that says what is wrong with it.
Parse = Callable[[Mapping[str, Any], Task], Sequence[Sample]]
_AS_IT_IS = Asking()  # with nothing of the user's


@dataclass(frozen=True, slots=True)
class Samples:
    """A samples file as far as it can be read."""

    task: Task
    lines: tuple[Sample, ...]  # in the order of the file, repeated rows included
    n_unread: int  # lines left out: not readable, or of rows that no label file has
    findings: tuple[Finding, ...]
    is_comparable: bool = True  # the logged number was computed from what stands here, as it is understood here
    texts: tuple[Reply, ...] = ()  # of lines that were left out: what the model wrote is known all the same
    asking: Asking = _AS_IT_IS  # how its items were played, but for the scoring

    def tidy(self) -> list[Sample]:
        """Gives each row once, in the order of the label file: several GPUs log rank by rank, and repeat rows."""
        return sorted(self.each_once(), key=lambda sample: sample.doc_id)

    def each_once(self) -> list[Sample]:
        """Gives each row once, in the order of the file."""
        once: dict[int, Sample] = {}
        for sample in self.lines:
            once.setdefault(sample.doc_id, sample)
        return list(once.values())


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item that cannot be decided."""

    item_id: str
    why: str
    n_lacking: int  # rows that it lacks
    lacks_numbers: bool  # it has all rows, but an answer holds no number


@dataclass(frozen=True, slots=True)
class Decided:
    """The items that are whole, with their outcomes and all of their answers; and the others."""

    task: Task
    items: Sequence[Item]
    outcomes: Sequence[Outcome]
    answers: Sequence[Sequence[Answer]]
    left_out: Sequence[LeftOut]

    def mean(self, metric: Metric) -> float:
        """Gives what the whole items make of a metric. Raises ValueError where there are none."""
        values = [outcome.values[metric.name] for outcome in self.outcomes]
        groups = groups_of(self.items).get(metric.mean_over)
        return mean(values) if groups is None else mean_of_groups(values, groups)

    def as_trials(self) -> TaskTrials | None:
        """Makes what reports compute with; None where no item is whole."""
        return from_outcomes(self.task, self.items, self.outcomes) if self.items else None


def read_samples(
    path: Path,
    task: Task,
    n_rows: int | None,
    parse: Parse = lambda line, task: (parse_line(line, task),),
    lines_of: Callable[[bytes], list[bytes]] = lambda content: content.split(b"\n"),
    asking: Asking = _AS_IT_IS,
) -> Samples:
    """Reads a samples file. ``n_rows`` is how many rows the label file has, None where nothing says it.

    ``lines_of`` finds the JSON objects in it; raises ValueError where it cannot.
    """
    try:
        lines = lines_of(read_content(path))
    except OSError as error:
        kind = Kind.SAMPLES_MISSING if isinstance(error, FileNotFoundError) else Kind.UNREADABLE
        return Samples(task, (), 0, (Finding(task.name, kind, f"{path}: {error.strerror}"),))
    except ValueError as error:
        return Samples(task, (), 0, (Finding(task.name, Kind.UNREADABLE, f"{path}: {error}"),))
    samples: list[Sample] = []
    wrong: list[tuple[int, str]] = []
    unknown: list[int] = []
    with in_memory(path):
        for number, raw in enumerate(lines, start=1):
            if not raw.strip():
                continue
            try:
                parsed = parse(decoded(raw), task)
            except ValueError as error:
                wrong.append((number, str(error)))
                continue
            for sample in parsed:
                if sample.doc_id >= 0 and (n_rows is None or sample.doc_id < n_rows):
                    samples.append(sample)
                else:
                    unknown.append(sample.doc_id)
    findings: list[Finding] = []
    if wrong:
        (line, why), more = wrong[0], len(wrong) - 1
        also = f"; so are lines {listed(n for n, _ in wrong[1:])}" if more else ""
        findings.append(Finding(task.name, Kind.UNREADABLE, f"{path}:{line}: {why}{also}"))
    if unknown:
        detail = f"doc_id {listed(unknown)}, and the label file has {n_rows} rows; left out"
        findings.append(Finding(task.name, Kind.ROWS_UNKNOWN, detail))
    read = Samples(task, tuple(samples), len(wrong) + len(unknown), (), asking=asking)
    return replace(read, findings=tuple(findings + _repeated(read)))


def count_texts(samples: Samples) -> Replies | None:
    """Counts what the model wrote; None where it wrote nothing."""
    task = samples.task
    replies = list(samples.texts)
    for sample in samples.tidy():
        texts = texts_of(sample.answers)
        if texts:
            with explained_for(task, f"{task.name}: replies() fails for row {sample.doc_id} of a log", TaskError):
                replies += task.replies(sample.doc_id, sample.row, texts)
    return count_replies(replies) if replies else None


def decide(samples: Samples, scoring: Scoring) -> Decided:
    """Decides every item that is whole, rows in the order of the label file, each counted once."""
    return _decide(samples.task, samples.tidy(), replace(samples.asking, scoring=scoring))


def decide_as_logged(samples: Samples) -> Decided:
    """Decides as the original does: rows in the order of the file, and one that is logged twice is an item twice."""
    in_order = samples.each_once() if samples.task.rows_per_item > 1 else samples.lines
    return _decide(samples.task, in_order, replace(samples.asking, scoring=Scoring.REFERENCE))


def _decide(task: Task, samples: Sequence[Sample], asking: Asking) -> Decided:
    decided = Decided(task, items := [], outcomes := [], answers := [], left_out := [])
    for item in _named_as_in_the_label_file(task, samples):
        members = [samples[i] for i in item.row_indices]
        given = [answer for sample in members for answer in sample.answers]
        lacking = _not_whole(task, item, members)
        if lacking is None:
            with explained_for(task, f"{task.name}: play() fails for item {item.item_id} of a log", TaskError):
                try:
                    outcome = replay(task, item, asking, given)
                except ValueError as error:
                    lacking = LeftOut(item.item_id, str(error), 0, False)
        if lacking is not None:
            left_out.append(lacking)
            continue
        items.append(item)
        outcomes.append(outcome)
        answers.append(given)
    return decided


def _named_as_in_the_label_file(task: Task, samples: Sequence[Sample]) -> list[Item]:
    """Makes the items; one that is called after the place of its row gets that in the label file, not here."""
    with explained_for(task, f"{task.name}: items() fails for the rows of a log", TaskError):
        items = list(task.items([sample.row for sample in samples]))
    if task.rows_per_item == 1 and all(item.item_id == str(item.row_indices[0]) for item in items):
        return [replace(item, item_id=str(samples[item.row_indices[0]].doc_id)) for item in items]
    return items


def _not_whole(task: Task, item: Item, members: Sequence[Sample]) -> LeftOut | None:
    with explained_for(task, f"{task.name}: why_undecidable() fails for item {item.item_id} of a log", TaskError):
        why = task.why_undecidable(item.rows)
    if why:
        return LeftOut(item.item_id, why, max(0, task.rows_per_item - len(members)), False)
    answered = [bool(sample.answers) for sample in members]
    if not (any(answered) if task.n_row_answers is None else all(answered)):  # several rows may share their answers
        return LeftOut(item.item_id, "has scores that hold no number", 0, True)
    return None


def _repeated(samples: Samples) -> list[Finding]:
    first: dict[int, Sample] = {}
    repeated: dict[int, bool] = {}  # whether the answers are others the second time
    for sample in samples.lines:
        kept = first.setdefault(sample.doc_id, sample)
        if kept is not sample:
            differs = repr(kept.answers) != repr(sample.answers)  # repr, because NaN is not NaN
            repeated[sample.doc_id] = repeated.get(sample.doc_id, False) or differs
    if not repeated:
        return []
    n_other = sum(repeated.values())
    other = f"; {n_other} of them with other scores, of which the first count" if n_other else ""
    which = listed(sorted(repeated))
    detail = f"{len(repeated)} rows are logged more than once, {which}; each counts once{other}"
    return [Finding(samples.task.name, Kind.ROWS_REPEATED, detail)]
