"""Where image bytes come from: a folder or a zip.

Owns reading, and how large the file of an image may be. Never writes, and never looks at what it has read: decoding.py
does.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from babycli.data.digests import new_hash
from babycli.data.names import leads_astray
from babycli.data.problems import ProblemKind
from babycli.data.zip_entry import Member, unreadable_why
from babycli.data.zips import CHANGED, MAX_MEMBER_BYTES, MemberError, ZipArchive
from babycli.errors import DataError
from babycli.files import is_hollow, raise_limit
from babycli.wording import without_middle

_BUFFER_BYTES = 1 << 18
_FEW_LOOKUPS = 10_000  # in a zip: a twentieth of a second
PROBES = 64  # names that are tried to choose a folder, which is then looked through whole
MAX_IMAGE_BYTES = MAX_MEMBER_BYTES  # a larger file is not read as an image, in a folder as in a zip


class ImageError(DataError):
    """An image that cannot be had; ``kind`` says how."""

    def __init__(self, kind: ProblemKind, path: str, detail: str = "") -> None:
        text = without_middle(f"{kind}: {path}" + (f": {detail}" if detail else ""))
        super().__init__(text, "see all such images:  babycli data verify")
        self.kind = kind
        self.path = path
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return ImageError, (self.kind, self.path, self.detail)


class ImageStore(Protocol):
    """Images by name, in a folder or a zip. A store can be pickled, for worker processes."""

    identity: str  # the real path, and the folder inside a zip

    def place(self, name: str) -> str:
        """Says where an image is, for messages."""

    def problem(self, name: str) -> ImageError | None:
        """Tells why an image cannot be read, without reading it; None if it can."""

    def read(self, name: str) -> bytes:
        """Reads the bytes of an image; an empty file is no image. Raises ImageError."""

    def scan(self) -> tuple[list[str], list[ImageError]]:
        """Lists the names of all files there, sorted, and what could not be looked into: folders, unsafe names."""

    def states(self, names: Sequence[str]) -> Iterator[os.stat_result | None]:
        """Gives the state of every file without reading it; None for one that is not there."""

    def digests(
        self, names: Sequence[str], algorithm: str, images: Collection[str] = ()
    ) -> Iterator[tuple[str | ImageError, os.stat_result | None]]:
        """Reads every file, and gives its digest (hexadecimal) or why it has none, and its state while it was read.

        Those named in ``images`` are not read, and have no digest, if they are larger than an image can be.
        """


class FolderStore:
    """Images in a folder. Names are checked by labels.py; here they are only joined."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = str(folder / "x")[:-1]
        self.identity = os.path.realpath(folder)

    def place(self, name: str) -> str:
        if not name or name[0] == "/" or name[-1] == "/" or "//" in name or "./" in name:
            return str(self._folder / name)
        return self._prefix + name  # a Path for each of 300,000 missing files takes half a minute

    def problem(self, name: str) -> ImageError | None:
        path = self._folder / name
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            detail = "a link that leads nowhere" if os.path.islink(path) else ""
            return ImageError(ProblemKind.MISSING, str(path), detail)
        except OSError as error:
            raise_limit(error)
            is_too_long = error.errno == errno.ENAMETOOLONG  # so no file can be there
            kind = ProblemKind.MISSING if is_too_long else ProblemKind.UNREADABLE
            return ImageError(kind, str(path), str(error.strerror))
        if not stat.S_ISREG(status.st_mode):
            return ImageError(ProblemKind.NOT_A_FILE, str(path), "a folder" if stat.S_ISDIR(status.st_mode) else "")
        return _size_problem(status.st_size, str(path))

    def read(self, name: str) -> bytes:
        path = f"{self._folder}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not wait for its writer
        except OSError as error:
            raise_limit(error)
            raise self.problem(name) or ImageError(ProblemKind.UNREADABLE, path, str(error.strerror)) from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= MAX_IMAGE_BYTES:
                raise self.problem(name) or _changed(path)
            with os.fdopen(fd, "rb", closefd=False) as stream:
                content = stream.read(status.st_size)
        except OSError as error:
            raise_limit(error)
            raise ImageError(ProblemKind.UNREADABLE, path, str(error.strerror)) from error
        finally:
            os.close(fd)
        if len(content) != status.st_size:
            raise _changed(path)
        return content

    def scan(self) -> tuple[list[str], list[ImageError]]:
        names: list[str] = []
        problems: list[ImageError] = []
        waiting = [""]
        while waiting:
            inside = waiting.pop()
            try:
                with os.scandir(self._folder / inside) as entries:
                    for entry in entries:
                        if not is_folder(entry):
                            names.append(inside + entry.name)
                        elif not entry.is_symlink():
                            waiting.append(f"{inside}{entry.name}/")
                        else:
                            detail = "a link to a folder, which could lead anywhere, back here too; "
                            where = self.place(inside + entry.name)
                            problems.append(
                                ImageError(ProblemKind.NOT_A_FILE, where, detail + "give that folder itself")
                            )
            except OSError as error:
                raise_limit(error)
                problems.append(ImageError(ProblemKind.UNREADABLE, str(error.filename), str(error.strerror)))
        names.sort()
        return names, problems

    def states(self, names: Sequence[str]) -> Iterator[os.stat_result | None]:
        prefix = f"{self._folder}/"
        for name in names:
            try:
                status = os.stat(prefix + name)  # noqa: PTH116  # a Path for each of 600,285 files takes seconds
            except OSError:
                yield None
            else:
                yield status

    def digests(
        self, names: Sequence[str], algorithm: str, images: Collection[str] = ()
    ) -> Iterator[tuple[str | ImageError, os.stat_result | None]]:
        prefix = f"{self._folder}/"
        buffer = memoryview(bytearray(_BUFFER_BYTES))  # a new one for each file would cost as much as its hash
        buffers = (buffer,)
        for name in names:
            path = prefix + name
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not wait for its writer
            except OSError as error:
                raise_limit(error)
                yield self.problem(name) or ImageError(ProblemKind.UNREADABLE, path, str(error.strerror)), None
                continue
            try:
                state = os.fstat(fd)
                if not stat.S_ISREG(state.st_mode):
                    yield self.problem(name) or ImageError(ProblemKind.NOT_A_FILE, path), state
                    continue
                if is_hollow(state):
                    detail = f"it claims {state.st_size:,} bytes, and nearly all of them are a hole on the disk"
                    yield ImageError(ProblemKind.SUSPICIOUS_SIZE, path, detail), state
                    continue
                left = state.st_size
                if left > MAX_IMAGE_BYTES and name in images:
                    yield _size_problem(left, path) or _changed(path), state
                    continue
                digest = new_hash(algorithm)
                while n := os.readv(fd, buffers):
                    digest.update(buffer[:n])
                    left -= n
                    if not left:
                        break  # a read that returns nothing would only confirm it
            except OSError as error:
                raise_limit(error)
                yield self.problem(name) or ImageError(ProblemKind.UNREADABLE, path, str(error.strerror)), state
            else:
                yield _changed(path) if left else digest.hexdigest(), state
            finally:
                os.close(fd)


def _size_problem(size_bytes: int, path: str) -> ImageError | None:
    if not size_bytes:
        return ImageError(ProblemKind.EMPTY, path, "0 bytes")
    if size_bytes > MAX_IMAGE_BYTES:
        detail = f"{size_bytes:,} bytes, and an image file has at most {MAX_IMAGE_BYTES:,}"
        return ImageError(ProblemKind.SUSPICIOUS_SIZE, path, detail)
    return None


def _changed(path: str) -> ImageError:
    return ImageError(ProblemKind.UNREADABLE, path, "it changed while it was read")


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tells whether an entry is a folder. A link that leads back to itself is not one: reading it fails later."""
    try:
        return entry.is_dir()
    except OSError:
        return False


class ZipStore:
    """Images in a folder of a zip, read when they are asked for; never unpacked onto the disk."""

    def __init__(self, archive: ZipArchive, folder: str) -> None:
        self.archive = archive
        self._prefix = f"{folder}/" if folder else ""
        self.identity = f"{os.path.realpath(archive.path)}/{self._prefix}"

    def place(self, name: str) -> str:
        return f"{self.archive.path}/{self._prefix}{name}"

    def problem(self, name: str) -> ImageError | None:
        try:
            self.member(name)
        except ImageError as problem:
            return problem
        return None

    def read(self, name: str) -> bytes:
        return self._read(name, self.member(name))

    def scan(self) -> tuple[list[str], list[ImageError]]:
        prefix = self._prefix
        names = [name[len(prefix) :] for name in self.archive.names() if name.startswith(prefix)]
        problems = []
        if not self.archive.is_plain:
            why = {name: leads_astray(name) for name in names}
            problems = [
                ImageError(ProblemKind.UNSAFE_NAME, self.place(name), why[name]) for name in sorted(names) if why[name]
            ]
            names = [name for name in names if not why[name]]
        return sorted(names), problems

    def states(self, names: Sequence[str]) -> Iterator[os.stat_result | None]:
        state = self.archive.state()  # a member cannot change without its archive
        for _ in names:
            yield state

    def digests(
        self, names: Sequence[str], algorithm: str, images: Collection[str] = ()
    ) -> Iterator[tuple[str | ImageError, os.stat_result | None]]:
        state = self.archive.state()
        for name in names:
            try:
                digest = new_hash(algorithm)
                for piece in self._pieces(name, name in images):
                    digest.update(piece)
                yield digest.hexdigest(), state
            except ImageError as problem:
                yield problem, state

    def _read(self, name: str, member: Member) -> bytes:
        try:
            return self.archive.read(member)
        except MemberError as error:
            raise ImageError(error.kind, self.place(name), str(error)) from error

    def _pieces(self, name: str, is_image: bool) -> Iterator[bytes]:
        member = self._find_any(name)
        if is_image and member.size_bytes > MAX_IMAGE_BYTES:
            member = self.member(name)  # says that it is too large
        try:
            if member.size_bytes <= MAX_MEMBER_BYTES:
                yield self.archive.read(member)
            else:
                yield from self.archive.pieces(member)
        except MemberError as error:
            raise ImageError(error.kind, self.place(name), str(error)) from error

    def member(self, name: str) -> Member:
        """Finds an image's entry in the zip. Raises ImageError for a missing, empty or too large one."""
        member = self._find_any(name)
        if 0 < member.size_bytes <= MAX_IMAGE_BYTES and member.is_readable:
            return member
        problem = _size_problem(member.size_bytes, self.place(name))
        raise problem or self._problem(name, ProblemKind.UNREADABLE, unreadable_why(member))

    def _find_any(self, name: str) -> Member:
        try:
            member = self.archive.find(self._prefix + name)
        except (MemberError, DataError, OSError) as error:
            raise self._problem(name, ProblemKind.UNREADABLE, str(error)) from error
        if member is None:
            raise self._problem(name, ProblemKind.MISSING)
        return member

    def _problem(self, name: str, kind: ProblemKind, detail: str = "") -> ImageError:
        """Gives what is wrong with a member's entry; where the file has changed since, that."""
        if self.archive.has_changed():
            kind, detail = ProblemKind.UNREADABLE, CHANGED
        return ImageError(kind, self.place(name), detail)


def open_store(place: Path, names: Sequence[str], index_folder: Path | None = None) -> ImageStore:
    """Opens a folder, or the folder of a zip that holds most of the names. Raises DataError."""
    if not place.is_file():
        return FolderStore(place)
    archive = open_archive(place, index_folder)
    return open_zip_store(archive, names)


def open_zip_store(archive: ZipArchive, names: Sequence[str]) -> ZipStore:
    """Opens the folder of a zip that holds most of the names."""
    probes = _probes(names)
    if len(archive.folders) * len(probes) <= max(len(archive), _FEW_LOOKUPS):
        stores = [ZipStore(archive, folder) for folder in archive.folders]
        return max(stores, key=lambda store: n_probes_found(store, names))
    found = _by_folder(archive, probes)
    n_found = Counter(folder for folder, name in found if ZipStore(archive, folder).problem(name) is None)
    return ZipStore(archive, max(archive.folders, key=n_found.__getitem__))


def _by_folder(archive: ZipArchive, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Finds each folder with each of these names that it holds, in one walk: thousands of folders cost no look-ups."""
    by_file_name: dict[str, list[str]] = {}
    for name in names:
        by_file_name.setdefault(name.rpartition("/")[2], []).append(name)
    for there in set(archive.names()):
        for name in by_file_name.get(there.rpartition("/")[2], ()):
            if there == name:
                yield "", name
            elif there.endswith(f"/{name}"):
                yield there[: -len(name) - 1], name


def _probes(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // PROBES)]


def n_probes_found(store: ImageStore, names: Sequence[str]) -> int:
    """Counts how many of a few names, evenly spread, a store has: enough to choose between stores."""
    return sum(store.problem(name) is None for name in _probes(names))


def open_archive(path: Path, index_folder: Path | None = None) -> ZipArchive:
    """Opens a zip. One that several links lead to is opened once, unless it changes. Raises DataError."""
    try:
        status = path.stat()
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    state = (status.st_size, status.st_mtime_ns, status.st_ino)
    return _open_archive(Path(os.path.realpath(path)), index_folder, *state)


@functools.lru_cache(maxsize=4)
def _open_archive(path: Path, index_folder: Path | None, *_state: int) -> ZipArchive:
    return ZipArchive(path, index_folder)
