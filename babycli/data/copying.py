"""Copying files into a folder: written to a staging folder, and moved to their places when all are there.

Owns the staging folder, how an image is copied, hard-linked or cloned, and that two commands never write at once. Never
decides which files, and never writes over, or through a link to, what it has not made itself.

A new folder is made beside its place and appears in one step. For a folder that exists, the staging folder lies inside
it, and each file is moved in one step.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.data.images import MAX_IMAGE_BYTES, ImageStore
from babycli.data.problems import ProblemKind
from babycli.data.workers import chunks, map_in_processes
from babycli.errors import SHORTER, ChecksumError, DataError
from babycli.files import clone, explained, locked, raise_limit, read_file
from babycli.wording import LinkMode

CopyMode = Literal[LinkMode.COPY, LinkMode.HARDLINK, LinkMode.REFLINK]

_PARTIAL = "babycli-partial"
RESERVED_NAME = f".{_PARTIAL}"  # the staging folder in a folder that is there
_MAX_STEM_BYTES = 200
_NO_CLONE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EXDEV}


@dataclass(frozen=True, slots=True)
class Assembly:
    """A folder that is being filled."""

    folder: Path  # real path
    staging: Path
    is_whole: bool  # the staging folder becomes the folder

    @property
    def is_in_use(self) -> bool:
        """True if the folder holds files, other than those of an interrupted run."""
        if self.is_whole:
            return False
        with explained(self.folder), os.scandir(self.folder) as entries:
            return any(entry.name != RESERVED_NAME for entry in entries)

    def begin(self, files: Collection[str], links: Collection[str] = ()) -> None:
        """Makes the staging folder, and removes all that an interrupted run left there but these files and links.

        Raises DataError where the path of one of them leads through a link or a file in the folder.
        """
        for inner in _folders_of([*files, *links]) if not self.is_whole else ():
            place = self.folder / inner
            if place.is_symlink() or (os.path.lexists(place) and not os.path.isdir(place)):
                raise DataError(f"{place} is a link or no folder; nothing was written", "move it away")
        with explained(self.staging):
            if self.staging.is_symlink():
                raise DataError(f"{self.staging} is in the way", "move it away")
            self.staging.mkdir(parents=True, exist_ok=True)
            for place in _inside_out(self.staging):
                path = str(place)[len(f"{self.staging}/") :]
                if place.is_symlink():
                    wanted = path in links
                elif place.is_dir():
                    with contextlib.suppress(OSError):
                        place.rmdir()  # only where nothing is left in it
                    wanted = True
                else:
                    wanted = path in files and place.is_file()
                if not wanted:
                    place.unlink()

    def remove_empty_folders(self) -> None:
        """Removes the folders in which nothing is left; of a staging folder without any file, all but itself."""
        with explained(self.staging):
            for place in _inside_out(self.staging):
                if place.is_dir() and not place.is_symlink():
                    with contextlib.suppress(OSError):
                        place.rmdir()

    def finish(self, names: Iterable[str]) -> None:
        """Moves the files and links of these names to their places, in this order, over those that are there."""
        if self.is_whole:
            with explained(self.folder):
                os.replace(self.staging, self.folder)
            return
        for name in names:
            place = self.folder / name
            with explained(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self.staging / name, place)
        with contextlib.suppress(OSError):
            for place in [*_inside_out(self.staging), self.staging]:
                place.rmdir()  # all files have been moved away


def _inside_out(folder: Path) -> list[Path]:
    """Lists all that is in a folder, each folder behind what is in it; however deep they are. Raises OSError."""
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                found.append(Path(entry.path))
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(found[-1])
    return found[::-1]


@contextlib.contextmanager
def assembling(folder: Path) -> Iterator[Assembly]:
    """Gives a folder to write to, which no other command writes to meanwhile. Raises DataError.

    Also waits for the worker processes of a killed command: they end on their own, but not at once.
    """
    real = Path(os.path.realpath(folder))
    while True:
        is_there = _is_there(real, folder)
        staging = real / RESERVED_NAME if is_there else real.with_name(f".{_short_name(real.name)}.{_PARTIAL}")
        with locked(real if is_there else staging, makes=not is_there):
            try:
                if _is_there(real, folder) == is_there:  # else another command has just finished or removed it
                    yield Assembly(real, staging, is_whole=not is_there)
                    return
            finally:
                with contextlib.suppress(OSError):
                    staging.rmdir()  # only where nothing was put into it


def _folders_of(names: Iterable[str]) -> list[str]:
    """Lists every folder that the names need, outer ones first."""
    needed: set[str] = set()
    for folder in {name.rpartition("/")[0] for name in names}:
        while folder and folder not in needed:
            needed.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(needed)


def _short_name(name: str) -> str:
    """Shortens a folder's name, so that more can be added to it: the name itself or, if it is long, its SHA-256."""
    return name if len(os.fsencode(name)) <= _MAX_STEM_BYTES else hashlib.sha256(os.fsencode(name)).hexdigest()


def _is_there(real: Path, folder: Path) -> bool:
    """Tells whether a folder exists.

    Raises DataError for a file in its place, a link that leads nowhere, and a path that may not be read.
    """
    with explained(folder):
        try:
            status = os.stat(real)  # noqa: PTH116  # Path.exists hides or raises errors as it sees fit
        except FileNotFoundError:
            if os.path.islink(folder):
                raise DataError(f"{folder} is a link that leads nowhere", "name another folder") from None
            return False
    if not stat.S_ISDIR(status.st_mode):
        raise DataError(f"{folder} is no folder", "name another")
    return True


@dataclass(frozen=True, slots=True)
class _Work:
    store: ImageStore
    names: Sequence[str]
    sha256: Mapping[str, str]
    folder: Path
    mode: CopyMode


def lacking(folder: Path, sha256: Mapping[str, str]) -> dict[str, str]:
    """Finds the files, given by name and SHA-256, that a folder lacks or has with other bytes."""
    names = sorted(sha256)
    bounds = chunks(len(names)) if folder.is_dir() else []
    there = {name for some in map_in_processes(_names_with_bytes, (folder, names, sha256), bounds) for name in some}
    return {name: sha256[name] for name in names if name not in there}


def _names_with_bytes(work: tuple[Path, Sequence[str], Mapping[str, str]], bounds: tuple[int, int]) -> list[str]:
    folder, names, sha256 = work
    return [name for name in names[slice(*bounds)] if _has(folder / name, sha256[name])]


def _has(place: Path, sha256: str) -> bool:
    try:
        status = place.lstat()
        is_own = stat.S_ISREG(status.st_mode) and status.st_size <= MAX_IMAGE_BYTES
        return is_own and hashlib.sha256(read_file(place)).hexdigest() == sha256
    except OSError as error:
        raise_limit(error)
        return False


def put_images(
    store: ImageStore, sha256: Mapping[str, str], folder: Path, mode: CopyMode, progress: Callable[[int], None]
) -> None:
    """Puts images under their names into a folder inside the staging folder; those that are right already are kept.

    Raises ChecksumError for an image that no longer has the given SHA-256, DataError for one that cannot be written.
    """
    missing = sorted(lacking(folder, sha256))
    progress(len(sha256) - len(missing))
    with explained(folder):
        for parent in {(folder / name).parent for name in missing}:
            parent.mkdir(parents=True, exist_ok=True)
    for n in map_in_processes(_put_all, _Work(store, missing, sha256, folder, mode), chunks(len(missing))):
        progress(n)


def _put_all(work: _Work, bounds: tuple[int, int]) -> int:
    for name in work.names[slice(*bounds)]:
        place = work.folder / name
        try:
            place.unlink(missing_ok=True)
            _put_image(work, name, place)
        except OSError as error:
            raise_limit(error)
            raise _write_error(error, work.mode, place) from error
        if work.mode != LinkMode.COPY and not _has(place, work.sha256[name]):
            raise _changed(work.store.place(name))
    return bounds[1] - bounds[0]


def _put_image(work: _Work, name: str, place: Path) -> None:
    if work.mode == LinkMode.COPY:
        content = work.store.read(name)
        if hashlib.sha256(content).hexdigest() != work.sha256[name]:
            raise _changed(work.store.place(name))
        place.write_bytes(content)
        return
    source = os.path.realpath(work.store.place(name))  # a link to a file: the file
    if work.mode == LinkMode.HARDLINK:
        os.link(source, place)
        return
    clone(source, place)


def _changed(place: str) -> ChecksumError:
    return ChecksumError(
        f"{ProblemKind.CHECKSUM}: {place}: its bytes are not those that were found first",
        "see all such images:  babycli data verify",
    )


def _write_error(error: OSError, mode: CopyMode, place: Path) -> DataError:
    if mode == LinkMode.HARDLINK and error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK):
        return DataError(
            f"cannot make a hard link at {place}: {error.strerror}; images and dataset must be on one file system",
            "use --mode symlink or --mode copy",
        )
    if mode == LinkMode.REFLINK and error.errno in _NO_CLONE:
        return DataError(
            f"cannot make a reflink at {place}: this file system has none ({error.strerror}); btrfs and XFS do",
            "use --mode symlink or --mode copy",
        )
    mend = SHORTER if error.errno == errno.ENAMETOOLONG else "make room, or make that place writable"
    return DataError(f"cannot write {place}: {error.strerror}", mend)
