"""The list that `data overlap` writes and `report --overlap` reads: each trial, and what of it is in a training.

Owns the format and the checks of a file of it. Never compares a picture.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babycli.data.overlap_levels import Level
from babycli.errors import DataError
from babycli.files import raise_limit, read_file
from babycli.typed import from_json, read_as
from babycli.wording import all_of, as_utf8

OVERLAP_SCHEMA = 1
_KIND = "overlap"
_MEND = "make it anew:  babycli data overlap TRAINING -o FILE"


@dataclass(frozen=True, slots=True)
class Found:
    """A picture of a trial, and the picture of a training by which it is told at one level."""

    level: Level
    picture: str
    training: str
    distance: int | None = None  # of the perceptual hashes, in bits
    is_mirrored: bool = False
    seconds: float | None = None  # between two frames of one utterance


@dataclass(frozen=True, slots=True)
class TrialOverlap:
    """A trial; without anything found it is clean at all levels that were looked at."""

    trial: str
    found: tuple[Found, ...] = ()

    def is_leaked(self, levels: Collection[Level]) -> bool:
        """Tells whether one of its pictures was found at any of these levels."""
        return any(found.level in levels for found in self.found)


@dataclass(frozen=True, slots=True)
class TaskOverlap:
    """The trials of one task, in the order of its label file."""

    task: str
    data_set: str  # that the task is bound to; "" for one that has one set of data
    labels_sha256: str
    n_pictures: int
    untold: Mapping[str, str]  # by level, why nothing is known at it
    trials: tuple[TrialOverlap, ...]

    def n_leaked(self, levels: Collection[Level]) -> int:
        return sum(trial.is_leaked(levels) for trial in self.trials)

    @property
    def told(self) -> tuple[Level, ...]:
        """The levels at which something is known."""
        return tuple(level for level in Level if level not in self.untold)


@dataclass(frozen=True, slots=True)
class TrainingTold:
    """A training set that was compared."""

    path: str
    form: str
    n_pictures: int
    n_films: int
    n_entries: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """All that was found."""

    schema_version: int
    kind: str
    babycli_version: str
    within_s: int
    distance: int  # bits in which the hashes of pictures that are alike may differ
    hashed_by: str  # the perceptual hash, with its version; "" where none was made
    training: tuple[TrainingTold, ...]
    tasks: tuple[TaskOverlap, ...]
    notes: tuple[str, ...]

    def level_told(self, level: Level) -> str:
        """Writes a level as a reader is told it: ``within 5 s``, ``near 40``."""
        bounds = {Level.WITHIN: f" {self.within_s} s", Level.NEAR: f" {self.distance}"}
        return f"{level}{bounds.get(level, '')}"


@dataclass(frozen=True, slots=True)
class OverlapFile:
    """A file of it, as it was given to a report."""

    path: Path
    sha256: str
    overlap: Overlap


def new_overlap(
    version: str,
    within_s: int,
    distance: int,
    hashed_by: str,
    training: tuple[TrainingTold, ...],
    tasks: tuple[TaskOverlap, ...],
    notes: tuple[str, ...],
) -> Overlap:
    """Makes the whole of what was found."""
    return Overlap(OVERLAP_SCHEMA, _KIND, version, within_s, distance, hashed_by, training, tasks, notes)


def as_document(overlap: Overlap) -> dict[str, Any]:
    """Gives it in values of JSON; what is no Unicode in the name of a file is told as ``\\udcff``."""
    document: dict[str, Any] = _in_unicode(asdict(overlap))
    return document


def content_of(overlap: Overlap) -> bytes:
    """Writes the bytes of its file."""
    return json.dumps(as_document(overlap), indent=1).encode() + b"\n"


def read_overlap(path: Path) -> OverlapFile:
    """Reads a file of it. Raises DataError for any other file, and for one that is damaged."""
    try:
        content = read_file(path)
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read {path}: {error.strerror}", _MEND) from error
    try:
        document = from_json(content)
    except ValueError as error:
        raise DataError(f"{path} is no list of overlaps: it is no sound JSON: {error}", _MEND) from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise DataError(f"{path} is no list of overlaps", _MEND)
    if document.get("schema_version") != OVERLAP_SCHEMA:
        raise DataError(
            f"{path} is of schema {document.get('schema_version')!r:.40}, and this babycli knows {OVERLAP_SCHEMA}",
            f"use the babycli that wrote it, or {_MEND}",
        )
    try:
        overlap = read_as(Overlap, document)
        _check(overlap)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}", _MEND) from error
    return OverlapFile(path, hashlib.sha256(content).hexdigest(), overlap)


def _check(overlap: Overlap) -> None:
    """Checks what types do not tell. Raises ValueError."""
    if not overlap.tasks:
        raise ValueError("it has no tasks")
    names = Counter((task.task, task.data_set, task.labels_sha256) for task in overlap.tasks)
    for name, n in names.items():
        if n > 1:
            raise ValueError(f"it has the task {name[0]!r:.80} twice")
    for task in overlap.tasks:
        unknown = [level for level in task.untold if level not in list(Level)]
        if unknown:
            raise ValueError(f"{task.task!r:.80} has the level {unknown[0]!r:.40}; there are {all_of(Level)}")
        if not task.trials:
            raise ValueError(f"{task.task!r:.80} has no trials")
        for trial, n in Counter(trial.trial for trial in task.trials).items():
            if n > 1:
                raise ValueError(f"{task.task!r:.80} has the trial {trial!r:.80} twice")
        for each in task.trials:
            told = next((found.level for found in each.found if found.level in task.untold), None)
            if told is not None:
                raise ValueError(f"trial {each.trial!r:.80} of {task.task!r:.80} is found at {told}, which is untold")


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else as_utf8(value).encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {str(key): _in_unicode(inner) for key, inner in value.items()}
    return [_in_unicode(inner) for inner in value] if isinstance(value, list | tuple) else value
