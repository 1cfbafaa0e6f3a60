"""Writing a run: run.json, scores.rank<r>.jsonl, results, samples and outcomes.

Owns that one process writes each file, and that none is ever half there. Never computes a number and never decides
what is in a file. Whole files are replaced atomically. Answers are appended and passed to the operating system one by
one, so that a kill loses none of them, and are forced to the disk every few seconds.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from babycli.errors import DataError, OutputError, ResumeError
from babycli.files import in_home, lock_now, read_file, replace_file
from babycli.logs.answers import Answered, Key, is_planted, merged, to_line, whole_bytes
from babycli.logs.json_bytes import json_bytes
from babycli.logs.run_name import NAME
from babycli.logs.schema import NAME_FORMAT, RUN_FILE, SCHEMA_VERSION, read_run

_SYNC_S = 2.0


def log_name(source: str) -> str:
    """Gives the name of a model's log folder: the last two parts of its path or hub id, joined by ``__``."""
    parts = in_home(source).parts
    if any(part in (".", "..") for part in parts) or not parts:
        parts = Path(source).resolve().parts
    kept = [re.sub(r"[^\w.+-]", "_", part) for part in parts if part != "/"][-2:]
    return "__".join(kept)


def new_folder(output: Path, model: str) -> Path:
    """Makes the folder of a run, ``<output>/<model>/<YYYYMMDD_HHMMSS>/`` in UTC. Raises OutputError."""
    with _explained(output):
        while True:
            folder = output / model / datetime.now(UTC).strftime(NAME_FORMAT)
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                time.sleep(0.1)  # another run began in this very second
            else:
                return folder


def check_place(output: Path, place: Path) -> None:
    """Checks that a run can be written in a place below ``output``, and writes nothing. Raises OutputError."""
    there = next(each for each in (place, *place.absolute().parents) if os.path.lexists(each))
    with _explained(output):
        number = 0
        if not there.is_dir():
            number = errno.ENOTDIR if there != place and there.exists() else errno.EEXIST
        elif not os.access(there, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
        if number:
            raise OSError(number, os.strerror(number))


def mark_watched(folder: Path, digest: str) -> None:
    """Writes into the run.json of a finished run what a watch knows it by. Raises OutputError."""
    run = read_run(folder)
    if run is not None:
        with _said():
            replace_file(folder / RUN_FILE, _pretty(run | {"watched": digest}))


def rename_run(folder: Path, name: str) -> None:
    """Gives a run that nobody is writing another name; "": its model's. Raises OutputError."""
    run = (read_run(folder) or {}) | {NAME: name}
    with _said():
        replace_file(folder / RUN_FILE, _pretty(run))


class RunLog:
    """The folder of a run, as one of its processes writes it. A context manager.

    ``answers_digest`` stands in each answer; one in which another stands is damaged. Raises OutputError if the disk is
    full or may not be written, ResumeError if another process writes the folder.
    """

    def __init__(self, folder: Path, answers_digest: str, rank: int = 0) -> None:
        self.folder = folder
        self._answers_digest = answers_digest
        self.timestamp = folder.name
        self.provenance: dict[str, Any] = read_run(folder) or {}
        self._scores_path = folder / f"scores.rank{rank}.jsonl"
        self._synced = time.monotonic()
        self._known: dict[Key, Answered] | None = None
        self._files: dict[str, str] = {}  # SHA-256 of those that a finished run has, by name
        self.damaged: tuple[str, ...] = ()  # lines that the last answers() passed over
        with _explained(self._scores_path):
            _check_own(self._scores_path)
            self._scores: BinaryIO = self._scores_path.open("ab")
            self._lock()
            self._scores.truncate(whole_bytes(read_file(self._scores_path)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # all that could be written is written; a full disk has been reported
            self._scores.close()

    def write_provenance(self, **fields: Any) -> None:
        """Adds fields to run.json and writes it."""
        self.provenance |= {"schema_version": SCHEMA_VERSION} | fields
        self._write(self.folder / RUN_FILE, _pretty(self.provenance))

    def append(self, answered: Answered) -> None:
        """Appends an answer of this process; the operating system has it when this returns."""
        with _explained(self._scores_path):
            self._scores.write(to_line(answered, self._answers_digest))
            self._scores.flush()
            if self._known is not None:
                self._known.setdefault(answered.key, answered)
            if time.monotonic() - self._synced > _SYNC_S:
                os.fsync(self._scores.fileno())
                self._synced = time.monotonic()

    def sync(self) -> None:
        """Forces this process's answers to the disk, for the other processes to read."""
        with _explained(self._scores_path):
            os.fsync(self._scores.fileno())

    def answers(self) -> dict[Key, Answered]:
        """Gives the answers that all processes of the run have logged, now and in earlier sessions. Raises DataError.

        They are read from the disk once; those that this process appends are added. After ``reread`` they are read
        again, with those of the other processes.
        """
        if self._known is None:
            paths = sorted(self.folder.glob("scores.rank*.jsonl"))
            for path in paths:
                _check_own(path)
            logged = merged(paths, self._answers_digest)
            self._known, self.damaged = logged.answers, logged.damaged
        return self._known

    def reread(self) -> None:
        self._known = None

    def write_results(self, results: Mapping[str, Any]) -> Path:
        """Writes the results, and before them the digests of all files of a finished run into run.json."""
        path, content = self.folder / f"{self.timestamp}_results.json", _pretty(results)
        self._note(path, content)
        self.write_provenance(files=self._files)
        self._write(path, content)
        return path

    def write_outcomes(self, outcomes: Mapping[str, Any]) -> None:
        self._write_noted(self.folder / f"{self.timestamp}_outcomes.json", json_bytes(outcomes))

    def write_samples(self, task: str, lines: Iterable[Mapping[str, Any]]) -> None:
        content = b"".join(json_bytes(line) + b"\n" for line in lines)
        self._write_noted(self.folder / f"{self.timestamp}_samples_{task}.jsonl", content)

    def _write_noted(self, path: Path, content: bytes) -> None:
        self._note(path, content)
        self._write(path, content)

    def _note(self, path: Path, content: bytes) -> None:
        self._files[path.name] = hashlib.sha256(content).hexdigest()

    def _lock(self) -> None:
        if not lock_now(self._scores.fileno()):
            self._scores.close()
            raise ResumeError(
                f"{self.folder} is being written by another process",
                "wait for it, or start a run of its own:  --no-resume",
            )

    def _write(self, path: Path, content: bytes) -> None:
        with _said():
            replace_file(path, content)  # never through a link, which would lead out of the folder


def _check_own(path: Path) -> None:
    """Checks that a score file is none or a file, and no link that leads out of the run. Raises ResumeError."""
    if is_planted(path):
        raise ResumeError(
            f"{path} is a link, a pipe or a device, not a score file of babycli",
            "move it away; its answers are computed again",
        )


def _pretty(value: object) -> bytes:
    return json_bytes(value, orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


_MEND = "choose another place with --output-path DIR, or free some space"


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Turns a DataError of the block into the OutputError of a run."""
    try:
        yield
    except DataError as error:
        raise OutputError(error.message, _MEND) from error


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", _MEND) from error
