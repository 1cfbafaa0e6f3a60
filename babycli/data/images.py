"""Where image bytes come from, and how they become pictures.

Owns reading and decoding. Never writes, never resizes: what a model wants of a picture is the model's business.
"""

from __future__ import annotations

import functools
import io
import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image, UnidentifiedImageError

from babycli.data.problems import ProblemKind
from babycli.data.zips import Member, MemberError, ZipArchive
from babycli.errors import DataError

PROBES = 64  # so many names decide which folder is looked through whole
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


class ImageStore(Protocol):
    """Images by name, wherever they lie."""

    def place(self, name: str) -> str:
        """Where an image is, for messages."""

    def problem(self, name: str) -> ImageError | None:
        """Why an image cannot be read, judged without reading it; None when it can."""

    def read(self, name: str) -> bytes:
        """The bytes of an image; an empty file is none. Raises ImageError."""

    def names(self) -> list[str]:
        """Every file there, sorted. Raises ImageError for a folder that cannot be read."""

    def read_any(self, name: str) -> bytes:
        """The bytes of any file, an empty one too. Raises ImageError."""


class FolderStore:
    """Images in a folder. Names are checked by labels.py; here they are only joined."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, name: str) -> str:
        return str(self._folder / name)

    def problem(self, name: str) -> ImageError | None:
        path = self._folder / name
        try:
            size_bytes = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return ImageError(ProblemKind.MISSING, str(path))
        except OSError as error:
            return ImageError(ProblemKind.UNREADABLE, str(path), str(error.strerror))
        if not path.is_file():
            return ImageError(ProblemKind.NOT_A_FILE, str(path), "a folder" if path.is_dir() else "")
        return None if size_bytes else ImageError(ProblemKind.EMPTY, str(path), "0 bytes")

    def read(self, name: str) -> bytes:
        problem = self.problem(name)
        if problem is not None:
            raise problem
        return self._bytes(self._folder / name)

    def names(self) -> list[str]:
        def refuse(error: OSError) -> None:
            raise ImageError(ProblemKind.UNREADABLE, str(error.filename), str(error.strerror)) from error

        found = []
        for parent, folders, files in os.walk(self._folder, onerror=refuse):
            for linked in (path for path in (Path(parent, folder) for folder in folders) if path.is_symlink()):
                detail = "a link to a folder, which could lead anywhere, back here too; give that folder itself"
                raise ImageError(ProblemKind.NOT_A_FILE, str(linked), detail)
            inside = os.path.relpath(parent, self._folder)
            found += files if inside == "." else [f"{inside}/{file}" for file in files]
        return sorted(found)

    def read_any(self, name: str) -> bytes:
        path = self._folder / name
        if os.path.exists(path) and not path.is_file():  # a pipe would wait for its writer
            raise ImageError(ProblemKind.NOT_A_FILE, str(path))
        return self._bytes(path)

    def _bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise ImageError(ProblemKind.UNREADABLE, str(path), str(error.strerror)) from error


class ZipStore:
    """Images in a folder of a zip, read from it as they are asked for; never unpacked onto the disk."""

    def __init__(self, archive: ZipArchive, folder: str) -> None:
        self._archive = archive
        self._prefix = f"{folder}/" if folder else ""

    def place(self, name: str) -> str:
        return f"{self._archive.path}/{self._prefix}{name}"

    def problem(self, name: str) -> ImageError | None:
        try:
            self._find(name)
        except ImageError as problem:
            return problem
        return None

    def read(self, name: str) -> bytes:
        return self._read(name, self._find(name))

    def names(self) -> list[str]:
        found = [member.name for member in self._archive.members()]
        return sorted(name.removeprefix(self._prefix) for name in found if name.startswith(self._prefix))

    def read_any(self, name: str) -> bytes:
        return self._read(name, self._find_any(name))

    def _read(self, name: str, member: Member) -> bytes:
        try:
            return self._archive.read(member)
        except MemberError as error:
            kind = ProblemKind.CHECKSUM if error.is_checksum else ProblemKind.UNREADABLE
            raise ImageError(kind, self.place(name), str(error)) from error
        except OSError as error:
            raise ImageError(ProblemKind.UNREADABLE, self.place(name), str(error.strerror)) from error

    def _find(self, name: str) -> Member:
        member = self._find_any(name)
        if not member.size_bytes:
            raise ImageError(ProblemKind.EMPTY, self.place(name), "0 bytes")
        return member

    def _find_any(self, name: str) -> Member:
        try:
            member = self._archive.find(self._prefix + name)
        except (MemberError, OSError) as error:
            raise ImageError(ProblemKind.UNREADABLE, self.place(name), str(error)) from error
        if member is None:
            raise ImageError(ProblemKind.MISSING, self.place(name))
        return member


def open_store(place: Path, names: Sequence[str]) -> ImageStore:
    """The images in a folder, or in that folder of a zip which holds most of the names. Raises DataError."""
    if not place.is_file():
        return FolderStore(place)
    archive = open_archive(place)
    stores = [ZipStore(archive, folder) for folder in archive.folders]
    return max(stores, key=lambda store: n_probes_found(store, names))


def n_probes_found(store: ImageStore, names: Sequence[str]) -> int:
    """How many of a few of the names, evenly spread, a store has: enough to choose between stores."""
    return sum(store.problem(name) is None for name in names[:: max(1, len(names) // PROBES)])


def open_archive(path: Path) -> ZipArchive:
    """An archive that several links lead to is opened once, for as long as it does not change. Raises DataError."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return _open_archive(Path(os.path.realpath(path)), status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=4)
def _open_archive(path: Path, *_state: int) -> ZipArchive:
    return ZipArchive(path)


def check_header(content: bytes, path: str) -> None:
    """Raises ImageError unless the bytes begin as an image and end as one.

    Sees a text file, and a JPEG or PNG that was cut off; does not see damage in the middle.
    """
    kind = _open(content, path).format
    # The end must come after the start of the last scan: a thumbnail in the header has an end of its own.
    ends = {"JPEG": content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda"), "PNG": b"IEND" in content[-1024:]}
    if not ends.get(kind or "", True):
        detail = f"{len(content)} bytes, and the end of the {kind} is not among them"
        raise ImageError(ProblemKind.TRUNCATED, path, detail)


def decode(content: bytes, path: str) -> Image.Image:
    """The picture as RGB, EXIF orientation not applied (as the original). Raises ImageError."""
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
