"""Where image bytes come from, and how they become pictures.

Owns reading and decoding. Never writes, never resizes: what a model wants of a picture is the model's business.
"""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Protocol

from PIL import Image, UnidentifiedImageError

from babycli.data.problems import ProblemKind
from babycli.errors import DataError

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
        """The bytes of an image. Raises ImageError."""


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
        path = self._folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise ImageError(ProblemKind.UNREADABLE, str(path), str(error.strerror)) from error


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
