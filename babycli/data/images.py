"""Where image bytes come from, and how they become pictures.

Owns reading and decoding. Never writes, never resizes: what a model wants of a picture is the model's business.
"""

from __future__ import annotations

import functools
import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image, UnidentifiedImageError

from babycli.data.digests import new_hash
from babycli.data.jpeg import JpegError, is_jpeg, jpeg_size
from babycli.data.problems import ProblemKind
from babycli.data.zips import MAX_MEMBER_BYTES, Member, MemberError, ZipArchive
from babycli.errors import DataError

_BUFFER_BYTES = 1 << 18
PROBES = 64  # names that are tried to choose a folder, which is then looked through whole
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
# What Pillow raises for damaged files of these formats.
_DECODER_ERRORS = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


class ImageError(DataError):
    """An image that cannot be had; ``kind`` says how."""

    def __init__(self, kind: ProblemKind, path: str, detail: str = "") -> None:
        super().__init__(
            f"{kind}: {path}" + (f": {detail}" if detail else ""), "see all such images:  babycli data verify"
        )
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
        """Lists the names of all files there, sorted, and the folders that could not be read."""

    def states(self, names: Sequence[str]) -> Iterator[os.stat_result | None]:
        """Gives the state of every file without reading it; None for one that is not there."""

    def digests(self, names: Sequence[str], algorithm: str) -> Iterator[tuple[str | ImageError, os.stat_result | None]]:
        """Reads every file, and gives its digest (hexadecimal) or why it has none, and its state while it was read."""


class FolderStore:
    """Images in a folder. Names are checked by labels.py; here they are only joined."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.identity = os.path.realpath(folder)

    def place(self, name: str) -> str:
        return str(self._folder / name)

    def problem(self, name: str) -> ImageError | None:
        path = self._folder / name
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            detail = "a link that leads nowhere" if os.path.islink(path) else ""
            return ImageError(ProblemKind.MISSING, str(path), detail)
        except OSError as error:
            return ImageError(ProblemKind.UNREADABLE, str(path), str(error.strerror))
        if not stat.S_ISREG(status.st_mode):
            return ImageError(ProblemKind.NOT_A_FILE, str(path), "a folder" if stat.S_ISDIR(status.st_mode) else "")
        return None if status.st_size else ImageError(ProblemKind.EMPTY, str(path), "0 bytes")

    def read(self, name: str) -> bytes:
        problem = self.problem(name)
        if problem is not None:
            raise problem
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise ImageError(ProblemKind.UNREADABLE, self.place(name), str(error.strerror)) from error

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

    def digests(self, names: Sequence[str], algorithm: str) -> Iterator[tuple[str | ImageError, os.stat_result | None]]:
        prefix = f"{self._folder}/"
        buffer = memoryview(bytearray(_BUFFER_BYTES))  # a new one for each file would cost as much as its hash
        buffers = (buffer,)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not wait for its writer
        for name in names:
            path = prefix + name
            try:
                fd = os.open(path, flags)
            except OSError as error:
                yield self.problem(name) or ImageError(ProblemKind.UNREADABLE, path, str(error.strerror)), None
                continue
            try:
                state = os.fstat(fd)
                if not stat.S_ISREG(state.st_mode):
                    yield self.problem(name) or ImageError(ProblemKind.NOT_A_FILE, path), state
                    continue
                left = state.st_size
                digest = new_hash(algorithm)
                while n := os.readv(fd, buffers):
                    digest.update(buffer[:n])
                    left -= n
                    if not left:
                        break  # a read that returns nothing would only confirm it
            except OSError as error:
                yield self.problem(name) or ImageError(ProblemKind.UNREADABLE, path, str(error.strerror)), state
            else:
                changed = ImageError(ProblemKind.UNREADABLE, path, "it changed while it was read") if left else None
                yield changed or digest.hexdigest(), state
            finally:
                os.close(fd)


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
        return sorted(name[len(prefix) :] for name in self.archive.names() if name.startswith(prefix)), []

    def states(self, names: Sequence[str]) -> Iterator[os.stat_result | None]:
        state = self.archive.state()  # a member cannot change without its archive
        for _ in names:
            yield state

    def digests(self, names: Sequence[str], algorithm: str) -> Iterator[tuple[str | ImageError, os.stat_result | None]]:
        state = self.archive.state()
        for name in names:
            try:
                digest = new_hash(algorithm)
                for piece in self._pieces(name):
                    digest.update(piece)
                yield digest.hexdigest(), state
            except ImageError as problem:
                yield problem, state

    def _read(self, name: str, member: Member) -> bytes:
        try:
            return self.archive.read(member)
        except MemberError as error:
            raise ImageError(error.kind, self.place(name), str(error)) from error

    def _pieces(self, name: str) -> Iterator[bytes]:
        member = self._find_any(name)
        try:
            if member.size_bytes <= MAX_MEMBER_BYTES:
                yield self.archive.read(member)
            else:
                yield from self.archive.pieces(member)
        except MemberError as error:
            raise ImageError(error.kind, self.place(name), str(error)) from error

    def member(self, name: str) -> Member:
        """Finds an image's entry in the zip. Raises ImageError for a missing or empty one."""
        member = self._find_any(name)
        if not member.size_bytes:
            raise ImageError(ProblemKind.EMPTY, self.place(name), "0 bytes")
        return member

    def _find_any(self, name: str) -> Member:
        try:
            member = self.archive.find(self._prefix + name)
        except (MemberError, OSError) as error:
            raise ImageError(ProblemKind.UNREADABLE, self.place(name), str(error)) from error
        if member is None:
            raise ImageError(ProblemKind.MISSING, self.place(name))
        return member


def open_store(place: Path, names: Sequence[str], index_folder: Path | None = None) -> ImageStore:
    """Opens a folder, or the folder of a zip that holds most of the names. Raises DataError."""
    if not place.is_file():
        return FolderStore(place)
    archive = open_archive(place, index_folder)
    return open_zip_store(archive, names)


def open_zip_store(archive: ZipArchive, names: Sequence[str]) -> ZipStore:
    """Opens the folder of a zip that holds most of the names."""
    stores = [ZipStore(archive, folder) for folder in archive.folders]
    return max(stores, key=lambda store: n_probes_found(store, names))


def n_probes_found(store: ImageStore, names: Sequence[str]) -> int:
    """Counts how many of a few names, evenly spread, a store has: enough to choose between stores."""
    return sum(store.problem(name) is None for name in names[:: max(1, len(names) // PROBES)])


def open_archive(path: Path, index_folder: Path | None = None) -> ZipArchive:
    """Opens a zip. One that several links lead to is opened once, unless it changes. Raises DataError."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    state = (status.st_size, status.st_mtime_ns, status.st_ino)
    return _open_archive(Path(os.path.realpath(path)), index_folder, *state)


@functools.lru_cache(maxsize=4)
def _open_archive(path: Path, index_folder: Path | None, *_state: int) -> ZipArchive:
    return ZipArchive(path, index_folder)


def check_header(content: bytes, path: str) -> None:
    """Checks that the bytes begin and end as an image. Raises ImageError.

    It notices a text file, a JPEG whose markers lead nowhere, and a JPEG or PNG that was cut off; it does not notice
    damage to the pixels in between.
    """
    if is_jpeg(content):
        try:
            jpeg_size(content)
        except JpegError as error:
            kind = ProblemKind.TRUNCATED if error.is_truncated else ProblemKind.UNDECODABLE
            raise ImageError(kind, path, str(error)) from error
        return
    if _open(content, path).format == "PNG" and b"IEND" not in content[-1024:]:
        detail = f"{len(content)} bytes, and the end of the PNG is not among them"
        raise ImageError(ProblemKind.TRUNCATED, path, detail)


def decode(content: bytes, path: str) -> Image.Image:
    """Decodes a picture to RGB, EXIF orientation not applied (as the original). Raises ImageError."""
    image = _open(content, path)
    try:
        return image.convert("RGB")
    except _DECODER_ERRORS as error:
        kind = ProblemKind.TRUNCATED if "truncated" in str(error) else ProblemKind.UNDECODABLE
        raise ImageError(kind, path, str(error)) from error


def _open(content: bytes, path: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a large picture or odd EXIF data is no news to the user
            return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(ProblemKind.NOT_AN_IMAGE, path) from error
    except _DECODER_ERRORS as error:
        raise ImageError(ProblemKind.UNDECODABLE, path, str(error)) from error
