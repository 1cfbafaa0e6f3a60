"""Lines of a samples file: a label row, or an item, with the model's answers about it.

Owns the content of a line, written and read. Never opens a file and decides no item.

    {"doc_id": 12, "doc": {the whole row}, "target": ..., "resps": [...], "prompt": ..., the metric's own field}

``resps`` has an entry for each answer, in the order asked:

    [2.31, false]           of a score: the mean loss, and whether the answer is the model's own first choice
    [0.27]                  of a similarity
    ["a red ball"]          of a text
    [{"cannot": why}]       of a request that the model could not take
    [{"no_reply": "null"}]  of a turn in which a recorded conversation has nothing; "end" where it ended before

Replies of a recorded conversation beyond an item's turns stand behind the answer of the last turn.

NaN and infinities are null, as JSON has no names for them.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from babycli.domain import Answer, CannotAnswer, Loglikelihood, NoReply, Row, Similarity, Text
from babycli.logs.fields import number
from babycli.tasks.base import Task
from babycli.typed import TOO_DEEP, from_json, is_deep

NO_OBJECT = "not a JSON object"
_FLOAT32_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of a samples file."""

    doc_id: int  # the place of its row in the label file
    row: Row
    answers: tuple[Answer, ...]  # in the order asked; empty where the line holds no numbers


def response(answer: Answer) -> list[Any]:
    """Gives the entry of an answer in ``resps``."""
    match answer:
        case CannotAnswer():
            return [{"cannot": answer.why}]
        case NoReply():
            return [{"no_reply": "end" if answer.is_beyond else "null"}, *answer.extra]
        case Text():
            return [answer.text, *answer.extra]
        case Similarity():
            return [answer.value]
        case Loglikelihood():
            return [answer.mean_loss, answer.is_greedy]


def parse_line(line: Mapping[str, Any], task: Task) -> Sample:
    """Reads a line that babycli wrote. Raises ValueError that tells what is wrong with it."""
    doc_id, doc, entries = doc_id_of(line), line.get("doc"), line.get("resps")
    if not isinstance(doc, dict):
        raise ValueError("holds no label row")
    lacking = [column for column in task.columns if column not in doc]
    if lacking:
        raise ValueError(f"its label row lacks {', '.join(lacking)}")
    row = {name: text_of_cell(value) for name, value in doc.items()} if task.label_format == "csv" else doc
    answers = tuple(_answer(entry, task) for entry in entries) if isinstance(entries, list) else ()
    # An item of several rows may have all its answers in the first of them.
    lacks_answers = not answers and task.rows_per_item == 1
    if lacks_answers or task.n_row_answers not in (None, len(answers)):
        raise ValueError(f"holds {len(answers)} answers, should hold {task.n_row_answers or 'some'}")
    return Sample(doc_id, row, answers)


def decoded(raw: bytes) -> Mapping[str, Any]:
    """Decodes the JSON object of a line or a whole file. Raises ValueError."""
    try:
        line = from_json(raw)
    except orjson.JSONDecodeError:
        try:
            line = json.loads(raw)  # slower, but knows NaN and Infinity, which Python's json writes
        except (ValueError, RecursionError) as error:
            raise ValueError("not whole JSON") from error
        if is_deep(line):
            raise ValueError(TOO_DEEP) from None
    if not isinstance(line, dict):
        raise ValueError(NO_OBJECT)
    return line


def doc_id_of(line: Mapping[str, Any]) -> int:
    """Gives the place of a line's row in the label file. Raises ValueError if the line has none."""
    doc_id = number(line.get("doc_id"))
    if not isinstance(doc_id, int):
        raise ValueError(f"doc_id is {reprlib.repr(line.get('doc_id'))}, should be a number")
    return doc_id


def text_of_cell(value: object) -> str:
    """Gives the text of a CSV cell, which logs may have as a number; "" for null."""
    return "" if value is None else str(value)


def number_of(value: object) -> float | None:
    """Reads a logged number; NaN for null, None for what is no number.

    A number beyond float32 is infinite, as it was where the loss was computed.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf
    return number if abs(number) <= _FLOAT32_MAX or number != number else math.copysign(math.inf, number)


def _answer(entry: object, task: Task) -> Answer:
    """Reads an entry of ``resps``. Raises ValueError for an entry that does not answer what the task asks."""
    writes = task.needs.answer == "write" or task.needs.writes_too
    scores = task.needs.answer != "write"
    if task.needs.n_turns > 1:
        writes = scores = True
    match entry:
        case [{"cannot": str(why)}]:
            return CannotAnswer(why)
        case [{"no_reply": ("end" | "null") as end}, *extra] if writes and _are_replies(extra):
            return NoReply(end == "end", tuple(extra))
        case [str(text), *extra] if writes and _are_replies(extra):
            return Text(text, (), True, tuple(extra))
        case [value] if scores and (number := number_of(value)) is not None:
            return Similarity(number)
        case [value, bool(is_greedy)] if scores and (number := number_of(value)) is not None:
            return Loglikelihood((-number,), is_greedy)
    raise ValueError(f"holds {reprlib.repr(entry)}, which is no answer")


def _are_replies(extra: list[object]) -> TypeGuard[list[str | None]]:
    return all(reply is None or isinstance(reply, str) for reply in extra)
