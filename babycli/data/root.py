"""The dataset folder: where it is, its links, and how files get into it without ever being half there.

Owns the layout on disk. Never reads the content of a label file or an image.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.errors import DataError

DEFAULT_FOLDER = "dataset"
ENVIRONMENT_VARIABLE = "BABYCLI_DATA"
INDEX_FOLDER = ".babycli"

LinkState = Literal["missing", "link", "broken", "folder", "other"]


@dataclass(frozen=True, slots=True)
class DatasetRoot:
    """A dataset folder; it need not exist yet."""

    path: Path
    words: str = ""  # what to add to a command so that it means this folder, " --data DIR" or nothing

    @classmethod
    def find(cls, option: Path | None) -> DatasetRoot:
        """The folder that --data names, else $BABYCLI_DATA, else ./dataset."""
        if option is not None:
            return cls(option.expanduser(), f" --data {shlex.quote(str(option))}")
        return cls(Path(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_FOLDER).expanduser())

    @property
    def index_folder(self) -> Path:
        """Where indexes lie: in the dataset folder, else in the user's cache."""
        if self.path.is_dir():
            return self.path / INDEX_FOLDER
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "babycli"

    def link_state(self, link_path: str) -> LinkState:
        place = self.path / link_path  # os.path's checks, unlike Path's, are false where we may not look
        if os.path.islink(place):
            return "link" if os.path.exists(place) else "broken"
        if os.path.isdir(place):
            return "folder"
        return "other" if os.path.lexists(place) else "missing"

    def link_target(self, link_path: str) -> Path:
        """Where a link points, as it is written; the place itself for a real folder."""
        return Path(self.link_text(link_path) or self.path / link_path)

    def link_text(self, link_path: str) -> str:
        """A link as it is written; "" for what is none."""
        place = self.path / link_path
        return os.readlink(place) if place.is_symlink() else ""

    def is_loop(self, link_path: str) -> bool:
        """A link that leads back to itself."""
        try:
            (self.path / link_path).stat()
        except OSError as error:
            return error.errno == errno.ELOOP
        return False

    def check_place(self, link_path: str) -> None:
        """Raises DataError where a file stands in a link's place: it is left alone."""
        place = self.path / link_path
        if self.link_state(link_path) == "other":
            raise DataError(
                f"{place} is a file, where a link to images should be; it is left as it is",
                f"move it away, for instance: mv {place} {place}.mine",
            )

    def link_text_to(self, link_path: str, target: Path, relative: bool) -> str:
        """What a link must say to lead to a real path: that path, or the way there from the link's folder."""
        # Symlinks on the way are followed now: one of them may be a link of ours, and the new one a loop.
        real = os.path.realpath(target)
        return os.path.relpath(real, os.path.realpath((self.path / link_path).parent)) if relative else real

    def leads_to(self, link_path: str, target: Path) -> bool:
        place = self.path / link_path
        return place.is_symlink() and os.path.realpath(place) == os.path.realpath(target)

    def set_links(self, texts: Mapping[str, str]) -> None:
        """Makes links or points them elsewhere, each in one step. All are made ready before the first is set.

        Killed between two of them, the others are as they were: the lock, which is written last, tells. Something that
        is not a link is never replaced: the system refuses, and that is a DataError.
        """
        ready = []
        try:
            for link_path, text in texts.items():
                place = self.path / link_path
                fresh = aside_of(place)
                with explained(place):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    fresh.unlink(missing_ok=True)
                    ready.append((fresh, place))
                    fresh.symlink_to(text, target_is_directory=True)
            for fresh, place in ready:
                with explained(place):
                    os.replace(fresh, place)
        finally:
            for fresh, _ in ready:
                fresh.unlink(missing_ok=True)

    def remove_link(self, link_path: str) -> bool:
        """Removes a link, never what it points to. False when there is none; a real folder is left alone."""
        place = self.path / link_path
        if not place.is_symlink():
            return False
        with explained(place):
            place.unlink()
        return True


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file: after a crash there is the old one or the new one. Raises DataError.

    A link is followed. What is no regular file, a pipe or a device, is written to as it is.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with explained(path):
            path.write_bytes(content)
        return
    with written_aside(Path(os.path.realpath(path)), content) as put_in_place:
        put_in_place()


def aside_of(path: Path) -> Path:
    """Where a file is written before it takes its place. One that a killed command left is used again."""
    return path.with_name(f".{path.name}.babycli.tmp")


@contextlib.contextmanager
def written_aside(path: Path, content: bytes) -> Iterator[Callable[[], None]]:
    """Writes a file beside its place, and gives the function that puts it there. Raises DataError."""
    aside = aside_of(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = _open_alone(aside)
    try:
        with explained(path):
            os.ftruncate(fd, 0)
            with os.fdopen(os.dup(fd), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())

        def put_in_place() -> None:
            with explained(path):
                os.replace(aside, path)

        yield put_in_place
    finally:
        with contextlib.suppress(OSError):
            if os.path.samestat(aside.lstat(), os.fstat(fd)):
                aside.unlink()
        os.close(fd)


def _open_alone(path: Path) -> int:
    """A new file, or one that nobody else is writing: waits for who is."""
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(fd, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.lstat(), os.fstat(fd)):
                return fd
        os.close(fd)  # it has just taken its place


def keep_old(path: Path) -> None:
    """Puts what is at a path, if anything, beside it as ``<name>.old``. Raises DataError.

    A file stays in place too, until the new one replaces it: whatever fails on the way, nothing is lost.
    """
    names = (path.with_name(f"{path.name}.old{n or ''}") for n in range(1000))
    with explained(path):
        old = next(name for name in names if not os.path.lexists(name))
        if path.is_file():
            write_atomically(old, path.read_bytes())
        elif os.path.lexists(path):
            os.replace(path, old)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """An OSError on the way to a place becomes a DataError that names it."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}",
            "make room or make that place writable, or name another (--data for the dataset, --output for a table)",
        ) from error
