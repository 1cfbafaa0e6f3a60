"""The structure of a JPEG file (ITU-T T.81, annex B): its markers walked, nothing decoded.

Owns what can be told about a JPEG in microseconds. Never looks at a pixel.

    SOI | segment … | SOF (dimensions) | segment … | SOS | coded data … | EOI
"""

from __future__ import annotations

_EOI, _SOS = 0xD9, 0xDA
_ALONE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))  # TEM, RST, SOI have no segment; 0xFF00 is no marker
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are DHT, JPG, DAC


class JpegError(Exception):
    """What is wrong with the structure."""

    def __init__(self, detail: str, is_truncated: bool = False) -> None:
        super().__init__(detail)
        self.is_truncated = is_truncated  # the file ends before the picture does


def is_jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff")


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises JpegError unless the markers lead from the start to an end."""
    size = None
    at = 2
    while True:
        if at + 4 > len(content):
            raise JpegError(f"{len(content)} bytes, and its header is not whole", is_truncated=True)
        marker = content[at + 1]
        if content[at] != 0xFF or marker == 0xFF:  # padding, or bytes between segments, which decoders pass over
            at += 1
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
        at += 2 + length
        if marker == _SOS:
            break
    if size is None:
        raise JpegError("it has no frame header")
    # The end must come after the start of the last scan: a thumbnail in the header has an end of its own.
    if content.rfind(b"\xff\xd9") <= max(at - 2, content.rfind(b"\xff\xda")):
        raise JpegError(f"{len(content)} bytes, and the end of the JPEG is not among them", is_truncated=True)
    return size
