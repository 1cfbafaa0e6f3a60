"""Samples files of lmms-eval, of any version: which row a line is of, and the answers in it.

Owns what a line looks like in each version, and what a row lacks there. Decides no item. What is wrong with a line is a
ValueError that says so.

What stands where one Labeled-S loss belongs, by version (VTWT and Winoground have two):

    babycli          resps            [[2.31, false]], or [[0.27]] for a similarity
    0.3              resps            [[["2.31", "False"]]]
    0.4 to 0.6       filtered_resps   ["2.31", "False"], resps left out where it says the same
    0.7              filtered_resps   "(2.31, False)"
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babycli.domain import Answer, Loglikelihood, Row, Similarity, Text
from babycli.errors import TaskError
from babycli.files import MAX_FILE_BYTES, open_to_read
from babycli.foreign import explained_for
from babycli.interop.lmms.findings import LmmsKind
from babycli.logs.samples import Sample, decoded, doc_id_of, number_of, text_of_cell
from babycli.report.findings import Finding, Kind
from babycli.report.samples import Samples, decide, read_samples
from babycli.tasks.base import Task
from babycli.wording import Scoring, listed

_PAIR_AS_TEXT = re.compile(r"\(\s*(?:[\w.]+\()?\s*([-+]?[\w.+-]+)")  # (2.31, False) or (tensor(2.31), ...)

# Columns without which a row belongs to no item or cannot be decided, where these are not all but the pictures: what
# the phrases are does not matter, as the right one comes first.
_NEEDED: Mapping[str, tuple[str, ...]] = {"vtwt": (), "baby_winoground": ("instance_id", "image_tag")}
_TAGS = ("positive", "negative")
_AGREES = 1e-6


@dataclass(frozen=True, slots=True)
class TextSample(Sample):
    """A line in which a text stands where a number belongs."""


def read_lmms_samples(
    path: Path, task: Task, n_rows: int | None, label_rows: Sequence[Row] | None, logged: Mapping[str, float]
) -> Samples:
    """Reads a samples file. ``label_rows`` give what it lacks, names of images above all, where they agree with it.

    ``logged`` are the numbers of the results file, by metric; they tell how the log took log-probabilities.
    """
    lines_of = _entries if path.suffix == ".json" else _lines
    read = read_samples(path, task, n_rows, lambda line, of: (parse_line(line, of),), lines_of)
    findings: list[Finding] = []
    samples: Sequence[Sample] = read.lines
    if label_rows is not None and not all("image" in sample.row for sample in samples):
        samples, findings = _joined(samples, task, n_rows, label_rows)
    needed = _NEEDED.get(task.name, tuple(column for column in task.columns if "image" not in column))
    placed = [sample for sample in samples if all(column in sample.row for column in needed)]
    if len(placed) < len(samples):
        lost = [sample.doc_id for sample in samples if not all(column in sample.row for column in needed)]
        what = f"{path}: nothing tells {', '.join(needed)} of rows {listed(lost)}; label files would"
        findings.append(Finding(task.name, Kind.UNREADABLE, what))
    whole = [replace(sample, row={**dict.fromkeys(task.columns, ""), **sample.row}) for sample in placed]
    known, of_sign = _as_losses(whole, task, logged)
    texts = _texts(task, placed)
    return Samples(
        task,
        tuple(known),
        read.n_unread + len(samples) - len(placed),
        (*findings, *read.findings, *texts, *of_sign),
        is_comparable=not texts and not of_sign,
    )


def _lines(content: bytes) -> list[bytes]:
    return content.split(b"\n")


def _entries(content: bytes) -> list[bytes]:
    """Gives the samples of a file of 0.1 or 0.2, which is one object of JSON, a line each. Raises ValueError."""
    entries = decoded(content).get("logs")
    if not isinstance(entries, list):
        raise ValueError('holds no list "logs"')
    return [json.dumps(entry).encode() for entry in entries]


def _as_losses(
    samples: Sequence[Sample], task: Task, logged: Mapping[str, float]
) -> tuple[Sequence[Sample], list[Finding]]:
    """Turns log-probabilities that stand where losses belong into losses: all are at most 0, and no loss is below 0.

    The fork's tasks take the lowest number, so their log has every choice turned around; unless its own numbers are
    those of the highest.
    """
    losses = [a.mean_loss for sample in samples for a in sample.answers if isinstance(a, Loglikelihood)]
    n_below = sum(loss < 0 for loss in losses)
    if not n_below or any(loss > 0 for loss in losses):
        return samples, []
    turned = [replace(sample, answers=tuple(map(turned_around, sample.answers))) for sample in samples]
    decided = decide(Samples(task, tuple(turned), 0, ()), Scoring.FAIR)
    means = {metric.name: decided.mean(metric) for metric in task.metrics} if decided.items else {}
    told = f"{n_below} of {len(losses)} are negative and none is positive, which no mean loss is"
    if means and all(abs(logged.get(name, math.nan) - value) <= _AGREES for name, value in means.items()):
        detail = f"{told}; the log takes the highest, so its choices are right"
        return turned, [Finding(task.name, LmmsKind.SIGN, detail, is_grave=False)]
    other = ", ".join(f"{name} {value:.4f}" for name, value in means.items())
    instead = f"; with the other sign:  {other}" if other else ""
    detail = (
        f"{told}; the log takes the lowest, the least likely{instead} (if they are sums over tokens, they favour short "
        "answers)"
    )
    return turned, [Finding(task.name, LmmsKind.SIGN, detail)]


def turned_around(answer: Answer) -> Answer:
    """Gives an answer with its loss times -1; a text stays as it is."""
    return Loglikelihood((answer.mean_loss,), answer.is_greedy) if isinstance(answer, Loglikelihood) else answer


def parse_line(line: Mapping[str, Any], task: Task) -> Sample:
    """Reads the columns that a line tells, and its answers. Raises ValueError."""
    doc_id, field = doc_id_of(line), metric_field(line, task)
    row = _row(line, field, task)
    if task.needs.answer == "write":
        return Sample(doc_id, row, (Text(_caption(line, field), (), True),))
    answers = next((line[key] for key in ("resps", "filtered_resps") if line.get(key) is not None), None)
    scores, is_text = _scores(answers) if answers is not None else _field_scores(field)
    due = task.n_row_answers
    if len(scores) != due and not is_text:
        raise ValueError(f"holds {len(scores)} scores, should hold {due}")
    kept = tuple(scores) if len(scores) == due else ()
    return (TextSample if is_text or _field_scores(field)[1] else Sample)(doc_id, row, kept)


def answers_of(line: Mapping[str, Any]) -> list[Answer]:
    """Reads the scores of a line, in the order asked; those that are numbers."""
    answers = next((line[key] for key in ("resps", "filtered_resps") if line.get(key) is not None), None)
    return _scores(answers)[0]


def text_of(line: Mapping[str, Any]) -> str:
    """Reads what the model wrote. Raises ValueError."""
    return _caption(line, {})


def metric_field(line: Mapping[str, Any], task: Task) -> Mapping[str, Any]:
    """Finds the field of a metric's own name; the original logs the same in all of Winoground's."""
    fields = (line.get(metric.name) for metric in task.metrics)
    return next((field for field in fields if isinstance(field, dict)), {})


def has_rows_of(path: Path, task: Task) -> bool | None:
    """Tells whether the first line of a samples file is of a row of this task; None where nothing can be read."""
    try:
        with open_to_read(path) as stream:
            line = decoded(stream.readline(MAX_FILE_BYTES))
    except (OSError, ValueError):
        return None
    fields = _row_of_fields(metric_field(line, task), task)
    return all(column in fields for column in _NEEDED.get(task.name, ()))


def _row_of_fields(field: Mapping[str, Any], task: Task) -> dict[str, Any]:
    with explained_for(task, f"{task.name}: row_of_fields() fails for a line of a log", TaskError):
        return task.row_of_fields(field)


def _row(line: Mapping[str, Any], field: Mapping[str, Any], task: Task) -> Row:
    """Reads the columns that the line tells."""
    doc = line.get("doc")
    row = {column: text_of_cell(value) for column, value in _row_of_fields(field, task).items()}
    if isinstance(doc, dict):
        row |= {column: text_of_cell(doc[column]) for column in task.columns if column in doc}
    if "image_tag" in task.columns and "image_tag" not in row and line.get("target") in _TAGS:
        row["image_tag"] = line["target"]
    return row


def _caption(line: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    caption = field.get("pred")
    for key in ("filtered_resps", "resps"):
        leaves = leaves_of(line.get(key)) if caption is None else []
        caption = leaves[0] if leaves else caption
    if not isinstance(caption, str):
        raise ValueError("holds no caption")
    return caption


def _field_scores(field: Mapping[str, Any]) -> tuple[list[Answer], bool]:
    """Reads the scores in the metric's own field, in the order of the answers, and whether one stands there as text."""
    scores: list[Answer] = []
    is_text = False
    for name, value in sorted(field.items()):
        if not name.endswith(("loss", "similarity")):
            continue
        number = _parsed(value)
        # A string is compared letter by letter; but "nan" and "inf" are how strict JSON says what it cannot.
        is_text = is_text or number is None or (isinstance(value, str) and math.isfinite(number))
        if number is not None:
            scores.append(_loss(number) if name.endswith("loss") else Similarity(number))
    return scores, is_text


def _scores(answers: object) -> tuple[list[Answer], bool]:
    """Reads the scores among nested lists of numbers and flags, and whether one of them stands there as text.

    Behind a loss there is a flag: is it greedy? A number without one is a similarity of ours.
    """
    scores: list[Answer] = []
    is_text = False
    for leaf in leaves_of(answers):
        if isinstance(leaf, bool) or leaf in ("True", "False"):
            if scores and isinstance(scores[-1], Similarity):
                scores[-1] = _loss(scores[-1].value, leaf in (True, "True"))
            continue
        number = _parsed(leaf)
        if number is not None:
            scores.append(_loss(number) if isinstance(leaf, str) else Similarity(number))
            continue
        is_text = True
        pair = _PAIR_AS_TEXT.match(leaf) if isinstance(leaf, str) else None
        number = _parsed(pair[1]) if pair is not None else None
        if number is not None:
            scores.append(_loss(number))
    return scores, is_text


def _loss(value: float, is_greedy: bool = False) -> Loglikelihood:
    return Loglikelihood((-value,), is_greedy)


def _parsed(leaf: object) -> float | None:
    """Reads a number, also one that stands there as text; None for what is no number."""
    if not isinstance(leaf, str):
        return float(leaf) if isinstance(leaf, bool) else number_of(leaf)
    if leaf == "None":
        return math.nan
    try:
        return number_of(float(leaf))
    except ValueError:
        return None


def leaves_of(value: object) -> list[Any]:
    """Gives the values in nested lists, in order."""
    leaves, stack = [], [value] if value is not None else []
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))
        else:
            leaves.append(item)
    return leaves


def _texts(task: Task, samples: Sequence[Sample]) -> list[Finding]:
    texts = [sample for sample in samples if isinstance(sample, TextSample)]
    if not texts:
        return []
    lost = sum(not sample.answers for sample in texts)
    rest = f"; in {lost} of them no number can be found" if lost else "; the losses can be read back from them"
    detail = f"{len(texts)} of {len(samples)} rows hold text, so the logged score compares letters{rest}"
    return [Finding(task.name, LmmsKind.STRINGS, detail)]


def _joined(
    samples: Sequence[Sample], task: Task, n_rows: int | None, label_rows: Sequence[Row]
) -> tuple[list[Sample], list[Finding]]:
    """Gives the samples the rows of the label file, if the log was made with these."""
    if len(label_rows) != n_rows:
        detail = f"the label file in the dataset folder has {len(label_rows)} rows, the log's has {n_rows}; not used"
        return list(samples), [Finding(task.name, Kind.LABELS_DIFFER, detail)]
    other = [s.doc_id for s in samples if any(label_rows[s.doc_id].get(k) != v for k, v in s.row.items())]
    if other:
        which = listed(sorted(other))
        detail = f"rows {which} are not those of the label file in the dataset folder, which is not used"
        return list(samples), [Finding(task.name, Kind.LABELS_DIFFER, detail)]
    return [replace(sample, row=label_rows[sample.doc_id]) for sample in samples], []
