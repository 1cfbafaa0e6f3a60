"""Files that must stay as they are while a model is loaded: a training may save it again at that very moment.

Owns noticing it, and noting which files there are. Never reads a file: size, times and inode tell. What was read before
the change would have the digest of what stands there after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from babycli.errors import ModelError
from babycli.models.base import FilesRead

_MAX_FILES = 10_000  # of a folder: a checkpoint has fewer, and an argument may name a folder of pictures
_State = tuple[int, int, int, int]


@dataclass(slots=True)
class Watch:
    """The files that are watched, as they were at first, and those that were hashed since."""

    places: Sequence[Path]
    listing: str
    states: dict[Path, _State] = field(default_factory=dict)
    hashed: list[str] = field(default_factory=list)

    @property
    def files(self) -> FilesRead | None:
        """The files for the log; None where none was hashed, or a name is no text that a log can hold."""
        read = FilesRead(tuple(map(str, self.places)), self.listing, tuple(self.hashed))
        names = "".join((*read.places, *read.hashed))
        is_text = not any("\ud800" <= c <= "\udfff" for c in names)
        return read if self.hashed and is_text else None


_at_first: ContextVar[Watch] = ContextVar("at_first")


@contextlib.contextmanager
def watching(places: Iterable[Path]) -> Iterator[Watch]:
    """Notes, for the block, how the files are now: these, and those in the folders among these."""
    listed = list(places)
    watch = Watch(listed, listing_of(listed))
    for path in itertools.chain.from_iterable(map(_files_at, listed)):
        with contextlib.suppress(OSError):  # of what is not there, its reader tells
            watch.states[path] = _state(path)
    token = _at_first.set(watch)
    try:
        yield watch
    finally:
        _at_first.reset(token)


def listing_of(places: Iterable[Path]) -> str:
    """Gives the SHA-256 over the names of the files at some places."""
    names = sorted(str(path) for place in places for path in _files_at(place))
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def note_hashed(file: Path) -> None:
    """Notes a file that is hashed, and checks that it is as it was at first. Raises ModelError, OSError."""
    watch = _at_first.get(None)
    if watch is None:
        return
    watch.hashed.append(str(file))
    before = watch.states.get(file)
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
