"""Images put into a folder of their own: copied, hard-linked or cloned.

Owns how a file gets there, and that a folder is there whole or not at all. Never decides which files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.data.images import ImageStore
from babycli.data.problems import ProblemKind
from babycli.data.workers import CHUNK, chunks, map_in_processes
from babycli.errors import ChecksumError, DataError

CopyMode = Literal["copy", "hardlink", "reflink"]

_FICLONE = 0x40049409  # Linux: _IOW(0x94, 9, int)
_WAIT_S = 30
_NO_CLONE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EXDEV}


@dataclass(frozen=True, slots=True)
class _Work:
    store: ImageStore
    names: Sequence[str]
    sha256: Mapping[str, str]
    folder: Path
    mode: CopyMode


def copy_images(
    store: ImageStore, sha256: Mapping[str, str], folder: Path, mode: CopyMode, progress: Callable[[int], None]
) -> None:
    """Puts images into a folder, under their names; those that are there already, with these bytes, are kept.

    Raises ChecksumError where an image no longer has the SHA-256 that was given, DataError where it cannot be written.
    """
    names = sorted(sha256)
    for parent in {(folder / name).parent for name in names}:
        parent.mkdir(parents=True, exist_ok=True)
    bounds = chunks(len(names), CHUNK)
    for n in map_in_processes(_copy, _Work(store, names, sha256, folder, mode), bounds):
        progress(n)


def _copy(work: _Work, bounds: tuple[int, int]) -> int:
    for name in work.names[slice(*bounds)]:
        place = work.folder / name
        if place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() == work.sha256[name]:
            continue
        place.unlink(missing_ok=True)
        try:
            _put(work, name, place)
        except OSError as error:
            raise _explained(error, work.mode, place) from error
        if work.mode != "copy" and hashlib.sha256(place.read_bytes()).hexdigest() != work.sha256[name]:
            raise _changed(work.store.place(name))
    return bounds[1] - bounds[0]


def _put(work: _Work, name: str, place: Path) -> None:
    if work.mode == "copy":
        content = work.store.read(name)
        if hashlib.sha256(content).hexdigest() != work.sha256[name]:
            raise _changed(work.store.place(name))
        place.write_bytes(content)
        return
    source = os.path.realpath(work.store.place(name))  # a link to a file: the file
    if work.mode == "hardlink":
        os.link(source, place)
        return
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, "only Linux file systems can do this here")
    with open(source, "rb") as original, place.open("wb") as clone:  # noqa: PTH123
        fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())


def _changed(place: str) -> ChecksumError:
    return ChecksumError(
        f"{ProblemKind.CHECKSUM}: {place}: its bytes are not those that were found first",
        "see all such images:  babycli data verify",
    )


def _explained(error: OSError, mode: CopyMode, place: Path) -> DataError:
    if mode == "hardlink" and error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK):
        return DataError(
            f"cannot make a hard link at {place}: {error.strerror}; images and dataset must be on one file system",
            "use --mode symlink or --mode copy",
        )
    if mode == "reflink" and error.errno in _NO_CLONE:
        return DataError(
            f"cannot make a reflink at {place}: this file system has none ({error.strerror}); btrfs and XFS do",
            "use --mode symlink or --mode copy",
        )
    return DataError(f"cannot write {place}: {error.strerror}", "make room, or make that place writable")


def staging_of(folder: Path) -> Path:
    """Where a folder is made before it is moved to its place in one step."""
    return folder.with_name(f".{folder.name}.partial")


@contextlib.contextmanager
def held(staging: Path) -> Iterator[None]:
    """Makes the staging folder, for this command and its processes alone. Raises DataError.

    Waits for the processes of a command that was killed: they end on their own, but not at once.
    """
    fd = -1
    try:
        while fd < 0:
            staging.mkdir(parents=True, exist_ok=True)
            fd = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _lock(fd, staging)
            if not staging.exists() or not os.path.samestat(staging.stat(), os.fstat(fd)):
                os.close(fd)  # its holder has just moved it into place
                fd = -1
    except OSError as error:
        raise DataError(f"cannot write {staging}: {error.strerror}", "make that place writable") from error
    try:
        yield
    finally:
        os.close(fd)


def _lock(fd: int, staging: Path) -> None:
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise DataError(f"another babycli is writing {staging}", "wait until it has ended") from error
            time.sleep(0.05)
        except OSError:
            return  # NFS cannot lock a folder
        else:
            return


def move_into_place(staging: Path, folder: Path) -> None:
    """One step: before it the folder is absent or empty, after it complete. Raises DataError."""
    try:
        os.replace(staging, folder)
    except OSError as error:
        raise DataError(f"cannot move {staging} to {folder}: {error.strerror}") from error


def drop_strangers(staging: Path, names: Collection[str]) -> None:
    """Removes what an interrupted run left in a staging folder: all files but those of these names."""
    for parent, folders, files in os.walk(staging, topdown=False):
        inside = os.path.relpath(parent, staging)
        for name in [*files, *folders]:
            place = Path(parent, name)
            if place.is_dir() and not place.is_symlink():
                with contextlib.suppress(OSError):
                    place.rmdir()  # only where nothing is left in it
            elif (name if inside == "." else f"{inside}/{name}") not in names:
                place.unlink()


def forget(folder: Path) -> None:
    """Removes a folder of images that nothing leads to any more."""
    shutil.rmtree(folder, ignore_errors=True)
