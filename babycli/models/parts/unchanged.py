"""Files that must stay as they are while a model is loaded: a training may save it again at that very moment.

Owns noticing it. Never reads a file: size, times and inode tell. What was read before the change would have the digest
of what stands there after it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from babycli.errors import ModelError

_MAX_FILES = 10_000  # of a folder: a checkpoint has fewer, and an argument may name a folder of pictures
_State = tuple[int, int, int, int]
_at_first: ContextVar[dict[Path, _State]] = ContextVar("at_first")


@contextlib.contextmanager
def watching(places: Iterable[Path]) -> Iterator[None]:
    """Notes, for the block, how the files are now: these, and those in the folders among these."""
    states: dict[Path, _State] = {}
    for path in itertools.chain.from_iterable(map(_files_at, places)):
        with contextlib.suppress(OSError):  # of what is not there, its reader tells
            states[path] = _state(path)
    token = _at_first.set(states)
    try:
        yield
    finally:
        _at_first.reset(token)


def check_unchanged(file: Path) -> None:
    """Checks that a file is as it was when the block of ``watching`` began. Raises ModelError, OSError."""
    before = _at_first.get({}).get(file)
    if before is not None and _state(file) != before:
        raise ModelError(
            f"{file} has changed while the model was being loaded",
            "wait until it is whole, and give the same command again",
        )


def _files_at(place: Path) -> Iterable[Path]:
    try:
        return list(itertools.islice(place.iterdir(), _MAX_FILES))
    except (OSError, ValueError):
        return [place]


def _state(path: Path) -> _State:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
