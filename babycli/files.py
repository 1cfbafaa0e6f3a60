"""Files that are never half there, and never written by two at once.

Owns how a whole file takes its place, locks, and clones. Never knows what is in a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from babycli.errors import DataError

try:
    import fcntl
except ImportError:  # Windows, where only --help and --version are of use
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

_WAIT_S = 30
_FICLONE = 0x40049409  # Linux: _IOW(0x94, 9, int)


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
        if _HAS_LOCKS:
            with contextlib.suppress(OSError):  # some file systems have none
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


def lock_now(fd: int) -> bool:
    """Keeps an open file to this process without waiting; False where another process has it.

    True also where there are no locks: NFS has none for folders, other file systems have none at all.
    """
    if _HAS_LOCKS:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True


@contextlib.contextmanager
def locked(folder: Path, makes: bool = False) -> Iterator[None]:
    """Keeps other commands that ask for the same folder waiting. Raises DataError after half a minute.

    ``makes``: the folder is made where it is not there, also when the command that was waited for has removed it.
    """
    end = time.monotonic() + _WAIT_S
    while (fd := _lock(folder, makes)) is None:
        if time.monotonic() > end:
            raise DataError(f"another babycli is writing {folder}", "wait until it has ended")
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(fd)


def _lock(folder: Path, makes: bool) -> int | None:
    """An open folder that nobody else holds; None where that cannot be had now."""
    with explained(folder):
        if makes:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            if makes:
                return None  # removed by its holder, who is ending
            raise
    if not lock_now(fd):
        os.close(fd)
        return None
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(folder), os.fstat(fd)):  # noqa: PTH116
            return fd
    os.close(fd)
    return None


def clone(source: str, place: Path) -> None:
    """Makes a new file that shares its bytes on the disk with another. Raises OSError where that cannot be."""
    if sys.platform != "linux" or not _HAS_LOCKS:
        raise OSError(errno.EOPNOTSUPP, "only Linux file systems can do this here")
    with open(source, "rb") as original, place.open("wb") as copy:  # noqa: PTH123
        fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
