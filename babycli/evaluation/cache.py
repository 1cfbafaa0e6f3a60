"""A cache of answers across runs: the same weights, precision, software and request give the same answer.

    DIR/<digest of model, settings and software>/<time>-<random>.jsonl          answer lines, as in the log of a run

Owns where a model's answers lie. Never decides whether one is right. Every run that adds scores writes a file of its
own, so nothing is locked; a torn last line is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from babycli.errors import DataError, OutputError
from babycli.logs.answers import Answered, Key, Logged, is_planted, merged, to_line
from babycli.logs.identity import Identity

_MEND = "choose another folder:  --cache DIR"


class AnswerCache:
    """The answers of one model in one folder of caches."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self._answers_digest = identity.answers_digest
        self.folder = folder / self._answers_digest[:32]
        self.damaged: tuple[str, ...] = ()
        self._had: set[Key] = set()

    def read(self) -> dict[Key, Answered]:
        """Reads all answers. Raises DataError for an unreadable file, OutputError where the folder cannot be written.

        A damaged line is passed over; afterwards ``damaged`` names it.
        """
        self._check_place()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {error.strerror}", _MEND) from error
        if not os.access(self.folder, os.W_OK):
            raise OutputError(f"cannot write {self.folder}", _MEND)
        logged = self._logged()
        self._had, self.damaged = set(logged.answers), logged.damaged
        return logged.answers

    def peek(self) -> Iterable[Key]:
        """Gives the requests of all answers, and makes no folder. Raises as read() does."""
        self._check_place()
        return self._logged().answers

    def _check_place(self) -> None:
        """Checks that nothing but a folder stands in the place of the folder or of one above it. Raises OutputError."""
        there = next(place for place in (self.folder, *self.folder.absolute().parents) if os.path.lexists(place))
        if not there.is_dir():
            raise OutputError(f"cannot write {self.folder}: {there} is no folder", _MEND)

    def _logged(self) -> Logged:
        paths = sorted(self.folder.glob("*.jsonl"))
        for path in filter(is_planted, paths):
            raise DataError(
                f"{path} is a link, a pipe or a device, not a file of answers",
                "move it away; its answers are computed again",
            )
        return merged(paths, self._answers_digest)

    def add(self, answers: Iterable[Answered]) -> None:
        """Adds the answers that were not there when the cache was read. Raises OutputError."""
        new = [answered for answered in answers if answered.key not in self._had]
        if not new:
            return
        path = self.folder / f"{datetime.now(UTC):%Y%m%d_%H%M%S}-{uuid4().hex[:12]}.jsonl"
        try:
            with path.open("xb") as stream:
                stream.writelines(to_line(answered, self._answers_digest) for answered in new)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}", _MEND) from error
