"""Answers from elsewhere: ``--model replay:FILE.jsonl`` plays back what a hosted model, another program, a person said.

    {"task": "baby_count", "item": 3, "replies": ["seven"]}

``item`` is the number of the row in the label file, from 0, as ids repeat. ``task`` may be left out where one task is
run. There is a reply for each turn; null is none, and there may be fewer or more: the scoring of the task decides what
that means. Other keys are for the reader.

Owns reading such a file, and which reply answers which turn. Never looks at a picture or at words: equal questions may
have been answered differently, so an answer belongs to its row.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from PIL.Image import Image

from babycli.domain import Context, NoReply, RowPlace, Text
from babycli.errors import DataError, UsageError
from babycli.files import in_home, raise_limit, read_file
from babycli.models.base import (
    Abilities,
    AskedTask,
    Family,
    Features,
    Model,
    ModelInfo,
    ModelSpec,
    Outline,
    Part,
)
from babycli.models.parts.prompts import all_words
from babycli.typed import from_json
from babycli.wording import did_you_mean, each_key_once, listed

PREFIX = "replay:"
ABILITIES = Abilities(writes=True, max_images=None, max_turns=None, plays_back=True)
MAX_BYTES = 1 << 30  # of a file of replies
_BOM = b"\xef\xbb\xbf"
_FORM = '{"task": "baby_count", "item": 3, "replies": ["seven"]}'
_MEND = f"write each line as  {_FORM}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: what was said about an item."""

    number: int  # from 1
    task: str | None  # None: the task that is run
    item: int
    replies: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of replies, with its lines in their order."""

    path: Path
    sha256: str
    lines: tuple[Line, ...]

    def place(self, line: Line) -> str:
        return f"{self.path}, line {line.number}"


class ReplayModel(Model):
    """A recording as a model. See babycli.models.base."""

    def __init__(self, recording: Recording, info: ModelInfo) -> None:
        self._recording = recording
        self._said: dict[tuple[str, int], Line] = {}  # by task and row
        self._n_turns: dict[str, tuple[int, ...]] = {}  # by task
        self.info = info

    def recorded_tasks(self, known: Collection[str]) -> frozenset[str] | None:
        named: set[str] = set()
        for line in self._recording.lines:
            if line.task is not None and line.task not in known:
                raise DataError(
                    f"{self._recording.place(line)}: there is no task {line.task!r:.80}."
                    f"{did_you_mean(line.task, list(known))}",
                    "babycli tasks   lists them; a task of your own is known where --tasks names its file",
                )
            named.add(line.task or "")
        return None if "" in named else frozenset(named)

    def begin(self, asked: Sequence[AskedTask]) -> list[str]:
        self._n_turns |= {task.name: task.n_turns for task in asked}
        of_run = _by_row(self._recording, asked)
        self._said |= of_run
        return list(_notes(self._recording, asked, of_run))

    def recorded(self, place: RowPlace) -> Text | NoReply:
        line = self._said.get((place.task, place.row_index))
        replies = line.replies if line is not None else ()
        if place.n >= len(replies):
            return NoReply(is_beyond=True)
        is_last = place.n + 1 == self._n_turns[place.task][place.row_index]
        reply, extra = replies[place.n], replies[place.n + 1 :] if is_last else ()
        return NoReply(False, extra) if reply is None else Text(reply, (), True, extra)

    def render(self, context: Context) -> str:
        return all_words(context)

    def preprocess(self, image: Image) -> None:
        raise AssertionError("what was recorded needs no picture")

    def encode(self, pixels: Sequence[None]) -> list[Features]:
        raise AssertionError("what was recorded needs no picture")


def _by_row(recording: Recording, asked: Sequence[AskedTask]) -> dict[tuple[str, int], Line]:
    """Gives the lines of the tasks that are run, by task and row. Raises DataError for one that belongs to no row."""
    tasks = {task.name: task for task in asked}
    found: dict[tuple[str, int], Line] = {}
    for line in recording.lines:
        if line.task is None and len(tasks) > 1:
            raise DataError(
                f"{recording.place(line)} names no task, and {len(tasks)} are run: {listed(tasks)}",
                f'choose one with  --tasks NAME,  or write  "task": "NAME"  into each line: {_FORM}',
            )
        task = next(iter(tasks)) if line.task is None else line.task
        if task not in tasks:
            continue
        n_rows = len(tasks[task].n_turns)
        if line.item >= n_rows:
            raise DataError(
                f"{recording.place(line)}: there is no item {line.item} of {task}: its label file has {n_rows:,}, "
                f"0 to {n_rows - 1}",
                "item is the number in the label file, from 0; was the file made for another set or split?",
            )
        if (task, line.item) in found:
            raise _twice(recording, found[task, line.item], line, task)
        found[task, line.item] = line
    return found


def _twice(recording: Recording, first: Line, second: Line, task: str | None) -> DataError:
    of_task = f" of {task}" if task is not None else ""
    return DataError(
        f"{recording.place(second)}: item {second.item}{of_task} is in line {first.number} already",
        "keep one of the two",
    )


def _notes(recording: Recording, asked: Sequence[AskedTask], found: dict[tuple[str, int], Line]) -> Iterator[str]:
    """Says of how many items there is no line, and how many have fewer or more replies than turns."""
    for task in asked:
        lines = {row: found[task.name, row] for row in task.row_indices if (task.name, row) in found}
        n_rows, surplus = len(task.row_indices), Counter[str]()
        for row, line in lines.items():
            difference = len(line.replies) - task.n_turns[row]
            surplus["fewer" if difference < 0 else "more" if difference else ""] += 1
        if len(lines) < n_rows:
            yield f"{task.name}: {recording.path} has no line for {n_rows - len(lines)} of {n_rows} items: no reply"
        for kind in ("fewer", "more"):
            if surplus[kind]:
                yield f"{task.name}: {surplus[kind]} of {n_rows} items have {kind} replies than turns"


def read_recording(path: Path) -> Recording:
    """Reads a file of replies. Raises DataError that names the file and the line."""
    try:
        content = read_file(path, MAX_BYTES)
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read {path}: {error.strerror}", f"--model {PREFIX}FILE.jsonl") from error
    lines: list[Line] = []
    first: dict[tuple[str | None, int], Line] = {}
    for number, raw in enumerate(content.removeprefix(_BOM).split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            line = _parse(number, raw)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}", _MEND) from error
        lines.append(line)
        if (line.task, line.item) in first:
            raise _twice(Recording(path, "", ()), first[line.task, line.item], line, line.task)
        first[line.task, line.item] = line
    if not lines:
        raise DataError(f"{path} has no lines", _MEND)
    return Recording(path, hashlib.sha256(content).hexdigest(), tuple(lines))


def _parse(number: int, raw: bytes) -> Line:
    """Reads a line. Raises ValueError that tells what is wrong with it."""
    try:
        fields: Any = from_json(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    json.loads(raw, object_pairs_hook=each_key_once)
    if not isinstance(fields, dict):
        raise ValueError(f"{reprlib.repr(fields)} is no JSON object")
    lacking = [key for key in ("item", "replies") if key not in fields]
    if lacking:
        raise ValueError(f"it has no {' and no '.join(map(repr, lacking))}")
    task, item, replies = fields.get("task"), fields["item"], fields["replies"]
    if not (task is None or (isinstance(task, str) and task)):
        raise ValueError(f"task is {reprlib.repr(task)}; expected is the name of a task")
    if not isinstance(item, int) or isinstance(item, bool) or item < 0:
        raise ValueError(f"item is {reprlib.repr(item)}; expected is a number in the label file, from 0")
    if not isinstance(replies, list):
        raise ValueError(f"replies is {reprlib.repr(replies)}; expected is a list of texts, one for each turn")
    for reply in replies:
        if not (reply is None or isinstance(reply, str)):
            raise ValueError(f"replies holds {reprlib.repr(reply)}; expected is a text, or null for no reply")
    return Line(number, task, item, tuple(replies))


def load(spec: ModelSpec, place: Path) -> ReplayModel:
    recording = read_recording(_path(spec.source))
    info = ModelInfo(
        family="replay",
        source=spec.source,
        fingerprint=recording.sha256,
        n_parameters=None,
        dtype="",
        device=spec.device,
        template="none",
        abilities=ABILITIES,
        notes=("answers from elsewhere: nothing is computed",),
    )
    return ReplayModel(recording, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    recording = read_recording(_path(spec.source))
    by_task = Counter(line.task or "the task that is run" for line in recording.lines)
    parts = tuple(Part("replies", f"{n:,} items of {task}", None) for task, n in by_task.items())
    return Outline("replay", parts, None, "none", ABILITIES, all_words)


def _path(source: str) -> Path:
    path = source.removeprefix(PREFIX)
    if not path:
        raise UsageError(f"--model {PREFIX} names no file", f"write  --model {PREFIX}FILE.jsonl")
    return in_home(path)


FAMILY = Family(
    name="replay",
    summary="answers from elsewhere: replay:FILE.jsonl, with lines like " + _FORM,
    abilities=ABILITIES,
    arguments={},
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=lambda name: name.startswith(PREFIX),
    has_checkpoints=False,
    computes_here=False,
    has_own_precision=True,
)
