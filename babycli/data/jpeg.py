"""The structure of a JPEG file (ITU-T T.81, annex B): its markers are followed, nothing is decoded.

Owns what can be told about a JPEG in microseconds. Never looks at a pixel.

    SOI | segment … | SOF (dimensions) | segment … | SOS | coded data … | EOI
"""

from __future__ import annotations

import itertools
import re

_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
_ALONE = frozenset((0x00, 0x01, *range(0xD0, 0xD9), 0xFF))  # no segment: TEM, RST, SOI, fill bytes; 0xFF00 is no marker
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are DHT, JPG, DAC
_RARE_FRAME = _FRAME - frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA))  # hierarchical or lossless: libjpeg has no such
_LAYERS = (1, 3, 4)
_BETWEEN_SCANS = frozenset((0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE))  # and no other, see B.2.1
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
_FILL = re.compile(rb"\xff+")
_EXIF = b"Exif\0\0"
_SCAN = b"\xff\xda"

MAX_PIXELS = 178_956_970  # where Pillow, and so the original code, refuses an image: 2 * 1024**3 // 4 // 3
# What is more than this is made to keep a decoder busy: a file of 1 MB can hold 10,000 scans, and each goes through the
# whole picture.
_MAX_PARTS = 1_000  # segments and lone markers; the largest known, depth maps in XMP, take some hundred
_MAX_EXIF = 64  # segments of 64 kB of one EXIF, which cameras write in one
_MAX_SCANS = 200  # libjpeg writes 10, and programs that look for the smallest file some 60
_FEW_SCANS = 20
_MAX_SCANNED = _FEW_SCANS * MAX_PIXELS  # pixels times scans: 20 scans of the largest picture that is decoded


class JpegError(Exception):
    """A fault of the structure."""

    def __init__(self, detail: str, is_truncated: bool = False, lacks_end: bool = False) -> None:
        super().__init__(detail)
        self.is_truncated = is_truncated  # the file ends before the picture does
        self.lacks_end = lacks_end  # all is sound up to the coded data, and no end marker follows them


class JpegBombError(JpegError):
    """The file has parts that no picture has, so many that following or decoding them would take minutes."""


def is_jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff")


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Reads width and height in pixels.

    Raises JpegError for a form that Pillow does not read, and unless the markers lead from the start to an end.
    """
    size = None
    at = 2
    n_exif = 0
    for n_parts in itertools.count():
        if n_parts > _MAX_PARTS:
            raise JpegBombError(f"more than {_MAX_PARTS:,} segments before its picture, and no image has so many")
        at = content.find(b"\xff", at)  # decoders pass over bytes between segments
        if at < 0 or at + 4 > len(content):
            raise JpegError(f"{len(content)} bytes, and its header leads beyond them", _is_cut_off(content))
        marker = content[at + 1]
        if marker == 0xFF:
            at = _first_other(content, at) - 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        if marker == _EOI:
            raise JpegError(f"it ends at byte {at}, before its picture begins")
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if length < 2:
            raise JpegError(f"a segment of {length} bytes at byte {at}")
        if marker in _FRAME and at + 9 <= len(content):
            size = int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
            if not all(size):
                raise JpegError(f"its dimensions are {size[0]} by {size[1]} pixels")
            _check_form(marker, content[at + 4], content[at + 9 : at + 10])
        if marker == _APP1 and content.startswith(_EXIF, at + 4):
            n_exif += 1
            if n_exif > _MAX_EXIF:
                raise JpegBombError(f"more than {_MAX_EXIF} segments of EXIF, and no image has so many")
        at += 2 + length
        if marker == _SOS:
            break
    if size is None:
        raise JpegError("it has no frame header")
    if not _ends(content, at, size[0] * size[1]):
        raise JpegError(f"{len(content)} bytes, and its markers lead to no end among them", _is_cut_off(content), True)
    return size


def _check_form(marker: int, n_bits: int, n_layers: bytes) -> None:
    """Checks what a frame header says of a JPEG's form: it may be sound, and of a kind that Pillow does not read."""
    if n_bits != 8:
        raise JpegError(f"it is a JPEG of {n_bits} bits, and those of 8 bits are read")
    if n_layers and n_layers[0] not in _LAYERS:
        raise JpegError(f"it is a JPEG of {n_layers[0]} layers, and those of 1, 3 or 4 are read")
    if marker in _RARE_FRAME:
        raise JpegError(f"it is a JPEG with a coding that is not read (SOF{marker - 0xC0})")


def check_scans(content: bytes) -> None:
    """Checks that a JPEG has not more scans than pictures have; of other faults it says nothing. Raises JpegBombError.

    Its markers are followed only where they might be too many.
    """
    if content.count(_SCAN) > _FEW_SCANS or content.count(_EXIF) > _MAX_EXIF:
        try:
            jpeg_size(content)
        except JpegBombError:
            raise
        except JpegError:
            return


def _first_other(content: bytes, at: int) -> int:
    """Gives the place of the first byte behind a row of fill bytes."""
    match = _FILL.match(content, at)
    return match.end() if match else at


def _ends(content: bytes, at: int, n_pixels: int) -> bool:
    """Tells whether the coded data that begin at ``at``, and the scans that follow, come to an end marker."""
    n_parts, n_scans = 0, 1
    while match := _MARKER.search(content, at):
        marker = content[match.start() + 1]
        if marker == _EOI:
            return True
        at = match.end()
        n_parts += 1
        n_scans += marker == _SOS
        if n_scans > _MAX_SCANS or n_scans * n_pixels > _MAX_SCANNED or n_parts > _MAX_PARTS:
            raise JpegBombError(f"more than {n_scans - 1} scans, and no image has so many")
        if marker in _BETWEEN_SCANS:
            at += int.from_bytes(content[at : at + 2], "big")
    return False


def _is_cut_off(content: bytes) -> bool:
    """Tells whether the end of the file is missing; if it is there, something before it is damaged."""
    return not content.rstrip(b"\0").endswith(b"\xff\xd9")
