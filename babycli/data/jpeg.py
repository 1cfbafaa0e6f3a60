"""The structure of a JPEG file (ITU-T T.81, annex B): its markers are followed, nothing is decoded.

Owns what can be told about a JPEG in microseconds. Never looks at a pixel.

    SOI | segment … | SOF (dimensions) | segment … | SOS | coded data … | EOI
"""

from __future__ import annotations

import re

_EOI, _SOS = 0xD9, 0xDA
_ALONE = frozenset((0x00, 0x01, *range(0xD0, 0xD9), 0xFF))  # no segment: TEM, RST, SOI, fill bytes; 0xFF00 is no marker
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are DHT, JPG, DAC
_BETWEEN_SCANS = frozenset((0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE))  # and no other, see B.2.1
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")


class JpegError(Exception):
    """A fault of the structure."""

    def __init__(self, detail: str, is_truncated: bool = False, lacks_end: bool = False) -> None:
        super().__init__(detail)
        self.is_truncated = is_truncated  # the file ends before the picture does
        self.lacks_end = lacks_end  # all is sound up to the coded data, and no end marker follows them


def is_jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff")


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Reads width and height in pixels. Raises JpegError unless the markers lead from the start to an end."""
    size = None
    at = 2
    while True:
        at = content.find(b"\xff", at)  # decoders pass over bytes between segments
        if at < 0 or at + 4 > len(content):
            raise JpegError(f"{len(content)} bytes, and its header leads beyond them", _is_cut_off(content))
        marker = content[at + 1]
        if marker in _ALONE:
            at += 1 if marker == 0xFF else 2
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
        at += 2 + length
        if marker == _SOS:
            break
    if size is None:
        raise JpegError("it has no frame header")
    if not _ends(content, at):
        raise JpegError(f"{len(content)} bytes, and its markers lead to no end among them", _is_cut_off(content), True)
    return size


def _ends(content: bytes, at: int) -> bool:
    """Tells whether the coded data that begin at ``at``, and the scans that follow, come to an end marker."""
    while match := _MARKER.search(content, at):
        marker = content[match.start() + 1]
        if marker == _EOI:
            return True
        at = match.end()
        if marker in _BETWEEN_SCANS:
            at += int.from_bytes(content[at : at + 2], "big")
    return False


def _is_cut_off(content: bytes) -> bool:
    """Tells whether the end of the file is missing; if it is there, something before it is damaged."""
    return not content.rstrip(b"\0").endswith(b"\xff\xd9")
