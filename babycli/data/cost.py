"""What an image file may cost its decoder, besides its pixels: how many parts it has, and how slowly they are read.

Owns these bounds, each of which no picture comes near. Never decodes. What a JPEG may cost is in jpeg.py.

A file of a few kilobytes can keep a decoder busy for minutes, or take all memory: with a million segments, a thousand
compressed profiles, a list of sixty million strips. Pixels alone do not tell.
"""

from __future__ import annotations

import io
import struct

from PIL import Image

from babycli.data.images import ImageError
from babycli.data.jpeg import MAX_PIXELS
from babycli.data.png import PNG
from babycli.data.problems import ProblemKind

# Pillow reads pixels in pieces of 64 kB, and parts of a file (segments, chunks, blocks, tags) each with a few reads of
# some microseconds. 256 MiB of pixels take 4,096; the same in PNG chunks of 8 kB, which libpng writes, 98,304.
_MAX_READS = 200_000
_MAX_PACKED = 1_000  # texts and profiles, each a millisecond; programs write one profile and some texts
_PACKED_CHUNKS = (b"iCCP", b"zTXt", b"iTXt")
_MAX_NUMBERS = 1_000_000  # of a TIFF's tag: in tiles of 16 x 16 the largest picture has 700,000, with a number for each
_MAX_TAGS = 65_535  # as a TIFF can have; a BigTIFF could have more
_MAX_SLOW_BYTES = 64 << 20  # of what Pillow decodes in Python, at 10 MB in a second
_SLOW = frozenset(("bmp_rle", "ppm", "ppm_plain"))
_MAX_WIDE = 2 * MAX_PIXELS  # values of a JPEG 2000, which takes 4 bytes for each, and the picture besides

_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_BIG_TIFF = {b"II+\0": "<", b"MM\0+": ">"}
_BYTES = frozenset((1, 2, 6, 7))  # types of tags whose values stay as they are: bytes, texts


class Watched(io.BytesIO):
    """The bytes of an image file, of which a decoder may ask only so often. Raises ImageError when it goes on.

    Only where it ``is_slow``, and asks for each byte, may it ask as often as it likes.
    """

    is_slow = False

    def __init__(self, content: bytes, path: str) -> None:
        super().__init__(content)
        self._path = path
        self._n_reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._n_reads += 1
        if self._n_reads > _MAX_READS and not self.is_slow:
            raise _suspicious(self._path, "it is in more pieces than any image")
        return super().read(size)


def check_parts(content: bytes, path: str) -> None:
    """Checks what would cost much as soon as Pillow opens the file. Raises ImageError."""
    if content.startswith(PNG):
        n_packed = sum(content.count(chunk) for chunk in _PACKED_CHUNKS)
        if n_packed > _MAX_PACKED:
            raise _suspicious(path, f"{n_packed:,} compressed texts and profiles, and no image has so many")
    elif content[:4] in _TIFF or content[:4] in _BIG_TIFF:
        _check_tags(content, path)


def check_work(image: Image.Image, content: Watched, path: str) -> None:
    """Checks what would cost much when the pixels of an opened image are decoded. Raises ImageError."""
    content.is_slow = any(tile[0] in _SLOW for tile in getattr(image, "tile", ()))
    size_bytes = content.getbuffer().nbytes
    if content.is_slow and size_bytes > _MAX_SLOW_BYTES:
        detail = f"{size_bytes:,} bytes, and no image that is written like this has more than {_MAX_SLOW_BYTES:,}"
        raise _suspicious(path, detail)
    if image.format == "JPEG2000" and image.width * image.height * len(image.getbands()) > _MAX_WIDE:
        detail = f"{image.width:,} by {image.height:,} pixels, too many for the memory that a JPEG 2000 takes"
        raise _suspicious(path, detail)


def _check_tags(content: bytes, path: str) -> None:
    """Follows the first directory of a TIFF, the one that is read.

    II or MM, version | offset of the directory | … | number of tags | tag, type, count, value or its offset | tag, …
    TIFF:    4 bytes    4 bytes                       2 bytes          2 + 2 + 4 + 4 bytes
    BigTIFF: 4, then 4  8 bytes                       8 bytes          2 + 2 + 8 + 8 bytes
    """
    order = (_TIFF | _BIG_TIFF)[content[:4]]
    is_big = content[:4] in _BIG_TIFF
    head, length, entry = ("8xQ", "Q", "HHQ8x") if is_big else ("4xL", "H", "HHL4x")
    try:
        (at,) = struct.unpack_from(order + head, content)
        (n_tags,) = struct.unpack_from(order + length, content, at)
        if n_tags > _MAX_TAGS:
            raise _suspicious(path, f"{n_tags:,} tags, and no image has so many")
        at += struct.calcsize(order + length)
        for _ in range(n_tags):
            tag, kind, n_numbers = struct.unpack_from(order + entry, content, at)
            if n_numbers > _MAX_NUMBERS and kind not in _BYTES:
                raise _suspicious(path, f"{n_numbers:,} numbers in tag {tag}, and no image has so many")
            at += struct.calcsize(order + entry)
    except struct.error:  # the file ends before; Pillow says what it lacks
        return


def _suspicious(path: str, detail: str) -> ImageError:
    return ImageError(ProblemKind.SUSPICIOUS_SIZE, path, detail)
