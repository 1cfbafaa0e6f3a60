"""One line of a samples file, ours or lmms-eval's of any version: which row it is of, and the scores in it.

Owns what a line looks like in each version. Never opens a file and decides no trial. What is wrong with a line is a
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
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from babycli.data.manifest import manifests
from babycli.domain import Generation, Loglikelihood, Row, Score, Similarity
from babycli.tasks import all_tasks
from babycli.tasks.labeled_s import PICTURES_PER_TRIAL

_PAIR_AS_TEXT = re.compile(r"\(\s*(?:[\w.]+\()?\s*([-+]?[\w.+-]+)")  # (2.31, False) or (tensor(2.31), ...)
_FLOAT32_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class Layout:
    """What a task's lines hold."""

    n_answers: int
    columns: Mapping[str, str]  # name in the metric's own field -> column of the label file
    needed: tuple[str, ...]  # columns without which a row belongs to no trial
    rows_per_trial: int


LAYOUTS: Mapping[str, Layout] = {
    "labeled_s": Layout(
        1,
        {name: name for name in ("trial_id", "target_category", "real_category")},
        ("trial_id", "target_category", "real_category"),
        PICTURES_PER_TRIAL,
    ),
    "vtwt": Layout(2, {}, (), 1),
    "baby_winoground": Layout(2, {"instance_id": "instance_id"}, ("instance_id", "image_tag"), 2),
    "saycam_caption": Layout(1, {"gt": "text"}, ("text",), 1),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of a samples file."""

    doc_id: int  # the place of its row in the label file
    row: Row  # the columns that are known
    scores: tuple[Score, ...]  # none where what stands there holds no number
    is_text: bool  # a string stands where a number belongs


def decoded(raw: bytes) -> Mapping[str, Any]:
    """The object of a line. Raises ValueError."""
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            line = json.loads(raw)  # slower, but knows NaN and Infinity, which Python's json writes
        except (ValueError, RecursionError) as error:
            raise ValueError("not whole JSON") from error
    if not isinstance(line, dict):
        raise ValueError("not a JSON object")
    return line


def parse_line(line: Mapping[str, Any], task: str) -> Sample:
    """Raises ValueError."""
    doc_id = line.get("doc_id")
    if not isinstance(doc_id, int) or isinstance(doc_id, bool):
        raise ValueError(f"doc_id is {reprlib.repr(doc_id)}, should be a number")
    field = metric_field(line, task)
    row = _row(line, field, task)
    if task == "saycam_caption":
        return Sample(doc_id, row, (Generation(_caption(line, field), (), True),), False)
    answers = next((line[key] for key in ("resps", "filtered_resps") if line.get(key) is not None), None)
    scores, is_text = _scores(answers) if answers is not None else _field_scores(field)
    due = LAYOUTS[task].n_answers
    if len(scores) != due and not is_text:
        raise ValueError(f"holds {len(scores)} scores, should hold {due}")
    is_text = is_text or _field_scores(field)[1]
    return Sample(doc_id, row, tuple(scores) if len(scores) == due else (), is_text)


def metric_field(line: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    """The field of a metric's own name; the original logs the same in each of Winoground's."""
    found = (line.get(metric) for metric in all_tasks()[task].chance)
    return next((field for field in found if isinstance(field, dict)), {})


def _row(line: Mapping[str, Any], field: Mapping[str, Any], task: str) -> Row:
    """The columns that the line tells."""
    doc, layout = line.get("doc"), LAYOUTS[task]
    row = {column: _cell(field[name]) for name, column in layout.columns.items() if name in field}
    if isinstance(doc, dict):
        row |= {column: _cell(doc[column]) for column in manifests()[task].columns if column in doc}
    if task == "baby_winoground" and "image_tag" not in row:
        tag = tag_of(field) or line.get("target")
        if tag in ("positive", "negative"):
            row["image_tag"] = tag
    return row


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def tag_of(field: Mapping[str, Any]) -> str:
    """Which picture of an instance the losses of a Winoground line are for."""
    if "instance_id" not in field:
        return ""
    tags = {"positive": "img0_phrase0_", "negative": "img1_phrase0_"}
    return next((tag for tag, start in tags.items() if any(name.startswith(start) for name in field)), "")


def _caption(line: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    found = field.get("pred")
    for key in ("filtered_resps", "resps"):
        leaves = _leaves(line.get(key)) if found is None else []
        found = leaves[0] if leaves else found
    if not isinstance(found, str):
        raise ValueError("holds no caption")
    return found


def _field_scores(field: Mapping[str, Any]) -> tuple[list[Score], bool]:
    """The scores in the metric's own field, in the order of the answers, and whether one stands there as text."""
    scores: list[Score] = []
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


def _scores(answers: object) -> tuple[list[Score], bool]:
    """The scores among nested lists of numbers and flags, and whether one of them stands there as text.

    Behind a loss there is a flag: is it greedy? A number without one is a similarity of ours.
    """
    scores: list[Score] = []
    is_text = False
    for leaf in _leaves(answers):
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
    """None for what is no number. What float32 cannot hold is infinite, as it was where the loss was computed."""
    if leaf is None or leaf == "None":
        return math.nan
    if not isinstance(leaf, int | float | str):
        return None
    try:
        value = float(leaf)
    except ValueError:
        return None
    except OverflowError:
        return math.inf
    return value if abs(value) <= _FLOAT32_MAX or value != value else math.copysign(math.inf, value)


def _leaves(value: object) -> list[Any]:
    """What nested lists hold, in order."""
    leaves, stack = [], [value] if value is not None else []
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))
        else:
            leaves.append(item)
    return leaves
