"""The files of a run: run.json, scores.rank<r>.jsonl, results, samples and outcomes.

Owns their names and format (the contract that report/load.py reads) and that one process writes each. Never computes a
number. Whole files are replaced atomically; scores are appended and given to the operating system one by one, so that
what was scored before a kill can be read, and forced to the disk every few seconds.
"""

from __future__ import annotations

import contextlib
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
from babycli.evaluation.plan import Key
from babycli.evaluation.scorefile import Scored, merged, to_line, whole_bytes
from babycli.files import lock_now, write_atomically

SCHEMA_VERSION = 1
RUN_FILE = "run.json"
NAME_FORMAT = "%Y%m%d_%H%M%S"  # in UTC: local time repeats an hour when summer ends
_SYNC_S = 2.0


def log_name(source: str) -> str:
    """The folder of a model: the last two parts of its path or hub id, joined by ``__``."""
    parts = Path(source).expanduser().parts
    if any(part in (".", "..") for part in parts) or not parts:
        parts = Path(source).resolve().parts
    kept = [re.sub(r"[^\w.+-]", "_", part) for part in parts if part != "/"][-2:]
    return "__".join(kept)


def new_folder(output: Path, model: str) -> Path:
    """Makes a run's folder, ``<output>/<model>/<YYYYMMDD_HHMMSS>/`` in UTC. Raises OutputError."""
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


def read_run(folder: Path) -> dict[str, Any] | None:
    """run.json of a folder; None where there is none that can be read."""
    try:
        run = orjson.loads((folder / RUN_FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return run if isinstance(run, dict) else None


class RunLog:
    """One run's folder as one of its processes writes it. Use as a context manager.

    Raises OutputError when the disk is full or may not be written, ResumeError when another process writes it.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder = folder
        self.timestamp = folder.name
        self.provenance: dict[str, Any] = read_run(folder) or {}
        self._scores_path = folder / f"scores.rank{rank}.jsonl"
        self._synced = time.monotonic()
        with _explained(self._scores_path):
            self._scores: BinaryIO = self._scores_path.open("ab")
            self._lock()
            self._scores.truncate(whole_bytes(self._scores_path.read_bytes()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what could be flushed has been; a full disk was reported when met
            self._scores.close()

    def write_provenance(self, **fields: Any) -> None:
        """Adds to run.json and writes it."""
        self.provenance |= {"schema_version": SCHEMA_VERSION} | fields
        self._write(self.folder / RUN_FILE, _pretty(self.provenance))

    def append_score(self, scored: Scored) -> None:
        """A line of this process's scores, given to the operating system before this returns."""
        with _explained(self._scores_path):
            self._scores.write(to_line(scored))
            self._scores.flush()
            if time.monotonic() - self._synced > _SYNC_S:
                os.fsync(self._scores.fileno())
                self._synced = time.monotonic()

    def sync(self) -> None:
        """Forces this process's scores to the disk, for the others to read."""
        with _explained(self._scores_path):
            os.fsync(self._scores.fileno())

    def scores(self) -> dict[Key, Scored]:
        """What all processes of the run, of this time and of earlier ones, have scored. Raises DataError."""
        return merged(sorted(self.folder.glob("scores.rank*.jsonl")))

    def write_results(self, results: Mapping[str, Any]) -> Path:
        path = self.folder / f"{self.timestamp}_results.json"
        self._write(path, _pretty(results))
        return path

    def write_outcomes(self, outcomes: Mapping[str, Any]) -> None:
        self._write(self.folder / f"{self.timestamp}_outcomes.json", orjson.dumps(outcomes))

    def write_samples(self, task: str, lines: Iterable[Mapping[str, Any]]) -> None:
        content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        self._write(self.folder / f"{self.timestamp}_samples_{task}.jsonl", content)

    def _lock(self) -> None:
        if not lock_now(self._scores.fileno()):
            self._scores.close()
            raise ResumeError(
                f"{self.folder} is being written by another process",
                "wait for it, or start a run of its own:  --no-resume",
            )

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_atomically(path, content)
        except DataError as error:
            raise OutputError(error.message, _MEND) from error


def _pretty(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


_MEND = "choose another place with --output-path DIR, or free some space"


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", _MEND) from error
