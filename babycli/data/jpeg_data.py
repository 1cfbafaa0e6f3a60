"""Whether the coded data of a JPEG are those of a whole picture.

Owns the tests that libjpeg's silence makes necessary. Never changes what a picture looks like, and never reads a file.

libjpeg fills up what is missing with grey, and passes over what is too much, with a warning that Pillow does not show.
But it takes only the bytes that it needs:

    coded data of a whole picture | 10 more bytes     it stops behind the data, after a few of the more
    half of the coded data | 10 more bytes            it asks for more than there are
    data with a hole                                  the rest comes too early or too late: the same, or bytes are left

The last of these is a matter of chance. A hole of zeros, what is left where a part of a file was never written, is seen
for sure, unless zeros are the code of a plane of one colour.

A picture in several scans (a progressive one) is read to its end marker in any case. There, more bytes are put behind
every scan: they change a picture only where a scan needs more than it has.

Data with arithmetic coding may leave out zeros at their end, so that some zeros are put first, more than those of a
whole picture. A progressive one may leave out as many as half a picture lacks, and is only decoded.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from babycli.data.jpeg import JpegBombError, JpegError

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_SOF_HUFFMAN = frozenset((0xC0, 0xC1, 0xC2))
_SOF_ARITHMETIC = 0xC9  # not progressive
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _EOI, _DRI, _DHT = 0xDA, 0xD9, 0xDD, 0xC4
_RST = frozenset(range(0xD0, 0xD8))
_END = bytes((0xFF, _EOI))
_ALONE = frozenset((0x01, *_RST, 0xD8))
_END_OF_BLOCK = 0  # the symbol for "no more coefficients"
_MORE_BYTES = 10  # libjpeg looks 7 bytes ahead, at most
_MORE = b"\x00\x55" * (_MORE_BYTES // 2)
_LONG_MORE = bytes(256) + b"\x55\x2a\x66" * 4096  # the zeros are what libjpeg itself takes for the block it is in
_ARITHMETIC_MORE = bytes(32) + b"\x55\x2a\x66" * 32  # a whole picture leaves out up to 8 zeros, half of one hundreds
_MAX_ARITHMETIC_BYTES = 1 << 16  # of a file, that Pillow reads: libjpeg must have the whole of it at once
_PIECE_BYTES = 1024
_SMALL_PIECE_BYTES = 8  # near the end
_BAND_ROWS = 256
_MAX_RESTARTS = 1 << 23  # as many blocks has the largest picture that is decoded, in its three colours
_HOLE = bytes(64)  # more than two blocks, in which every coefficient would be -1


@dataclass(frozen=True, slots=True)
class _Scan:
    """Where the data of a scan are."""

    start: int
    end: int
    restarts: bytes  # its restart markers, in their order
    n_restarts: int | None  # how many there should be; None where it is not known

    def is_in_order(self) -> bool:
        """Tells whether the restart markers are those that there should be, numbered from 0 to 7 again and again."""
        return self.n_restarts is None or self.restarts == bytes(0xD0 + i % 8 for i in range(self.n_restarts))


@dataclass(frozen=True, slots=True)
class _Coded:
    """The coded data of a picture."""

    scans: tuple[_Scan, ...]
    zeros_are_plain: bool  # the code of a block that has one colour may begin with a zero
    is_huffman: bool
    is_arithmetic: bool  # and not progressive


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the frame header says."""

    width: int
    height: int
    factors: Mapping[int, tuple[int, int]]  # by component: how many blocks it has across and down in a unit


class _Pieces(io.BytesIO):
    """Bytes that are given in pieces once ``is_slow``, so that it shows how many of them a decoder has needed."""

    def __init__(self, content: bytes, end: int) -> None:
        super().__init__(content)
        self.is_slow = False
        self._slow_from = end - 8 * _SMALL_PIECE_BYTES
        self._end = end

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.is_slow or size is None or size < 0:
            return super().read(size)
        at = self.tell()
        if at < self._slow_from:
            return super().read(min(size, _PIECE_BYTES, self._slow_from - at))
        return super().read(min(size, _SMALL_PIECE_BYTES, self._end - at) if at < self._end else 1)


def check_coded_data(content: bytes) -> None:
    """Decodes a JPEG, and checks that it has data for all of its picture. Raises JpegError, or what Pillow raises.

    One without an end marker is only decoded: where its data should end is not known.
    """
    coded = _find_coded(content)
    if coded is not None and not all(scan.is_in_order() for scan in coded.scans):
        raise JpegError("parts of its data are missing, or not in order")
    if coded is not None and coded.is_huffman and len(coded.scans) == 1:
        _check_scan(content, coded.scans[0], coded.zeros_are_plain)
    elif coded is not None and coded.is_huffman:
        _check_scans(content, coded, _LONG_MORE)
    elif coded is not None and coded.is_arithmetic:
        _check_scans(content, coded, _ARITHMETIC_MORE, _MAX_ARITHMETIC_BYTES)
    else:
        Image.open(io.BytesIO(content), formats=("JPEG",)).load()


def _check_scan(content: bytes, scan: _Scan, zeros_are_plain: bool) -> None:
    end = scan.end
    stream = _Pieces(content[:end] + _MORE, end)
    image = Image.open(stream, formats=("JPEG",))
    stream.is_slow = True
    try:
        image.load()
    except OSError as error:
        if stream.tell() < end + _MORE_BYTES:
            raise
        raise JpegError("its data end before the picture does, and the rest is grey", is_truncated=True) from error
    if stream.tell() >= end + _MORE_BYTES:
        raise JpegError("its data end before the picture does", is_truncated=True)
    left = content[stream.tell() : end]
    if len(set(left)) > 1:  # bytes of one kind are an encoder's padding
        raise JpegError("its data go on behind the end of the picture: a part of them is damaged")
    hole = content.find(_HOLE, scan.start, end)
    if hole >= 0 and not zeros_are_plain:
        raise JpegError(f"its data have a hole at byte {hole}")
    if content[end : end + 2] != _END:  # what follows may be more than libjpeg takes
        Image.open(io.BytesIO(content), formats=("JPEG",)).load()


def _check_scans(content: bytes, coded: _Coded, more: bytes, max_bytes: int | None = None) -> None:
    parts, at = [], 0
    for scan in coded.scans:
        parts += [content[at : scan.end], more]
        at = scan.end
    longer = b"".join([*parts, content[at:]])
    digest = _digest_pixels(content)
    if (max_bytes is None or len(longer) <= max_bytes) and digest != _digest_pixels(longer):
        raise JpegError("the data of a part end before the picture does", is_truncated=True)


def _digest_pixels(content: bytes) -> bytes:
    """Gives a digest of the pixels, of which a large picture would have half a gigabyte."""
    picture = Image.open(io.BytesIO(content), formats=("JPEG",))
    digest = hashlib.blake2b()
    for y in range(0, picture.height, _BAND_ROWS):
        digest.update(picture.crop((0, y, picture.width, min(y + _BAND_ROWS, picture.height))).tobytes())
    return digest.digest()


def _find_coded(content: bytes) -> _Coded | None:
    """Finds the coded data; None where no end marker follows them."""
    scans: list[_Scan] = []
    restarts = bytearray()
    n_all_restarts = 0
    start = interval = 0
    frame = n_restarts = None
    is_huffman, is_arithmetic, zeros_are_plain = False, False, True
    first_symbols: dict[int, int] = {}  # of the tables for AC coefficients: what a code of zeros alone means
    at = 2
    while match := _MARKER.search(content, at):
        marker, at = content[match.start() + 1], match.end()
        if marker in _RST:
            restarts.append(marker)
            n_all_restarts += 1
            if n_all_restarts > _MAX_RESTARTS:
                raise JpegBombError(f"more than {_MAX_RESTARTS:,} restart markers, and no image has so many")
        if marker in _ALONE:
            continue
        if start:
            scans.append(_Scan(start, match.start(), bytes(restarts), n_restarts))
            start = 0
        if marker == _EOI:
            return _Coded(tuple(scans), zeros_are_plain, is_huffman, is_arithmetic) if scans else None
        length = int.from_bytes(content[at : at + 2], "big")
        segment = content[at + 2 : at + length]
        at += length
        if marker == _DRI:
            interval = int.from_bytes(segment[:2], "big")
        elif marker == _DHT:
            first_symbols |= _read_first_symbols(segment)
        elif marker in _SOF:
            is_huffman, is_arithmetic = marker in _SOF_HUFFMAN, marker == _SOF_ARITHMETIC
            frame = _read_frame(segment)
        elif marker == _SOS:
            start = at
            restarts.clear()
            n_units = _count_units(frame, segment) if frame is not None else 0
            n_restarts = (n_units - 1) // interval if interval and n_units else None
            if not scans:
                table = segment[2] & 15 if len(segment) > 2 else -1
                zeros_are_plain = first_symbols.get(table, _END_OF_BLOCK) == _END_OF_BLOCK
    return None


def _read_first_symbols(tables: bytes) -> dict[int, int]:
    """Reads the first symbol of each Huffman table for AC coefficients, by its number (ITU-T T.81, B.2.4.2).

    class (4 bits), number (4 bits) | how many codes have 1 to 16 bits (16 bytes) | their symbols | next table …
    """
    found = {}
    at = 0
    while at + 18 <= len(tables):
        kind, number = tables[at] >> 4, tables[at] & 15
        if kind == 1:
            found[number] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return found


def _read_frame(frame: bytes) -> _Frame | None:
    """Reads a frame header (ITU-T T.81, B.2.2); None if it is damaged.

    precision (1 byte) | height (2) | width (2) | n components (1) | id (1), factors (4 bits each), table (1) | id …
    """
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    factors = {number: (byte >> 4, byte & 15) for number, byte in zip(frame[6::3], frame[7::3], strict=False)}
    is_whole = len(frame) >= 6 and len(factors) == frame[5] > 0 and all(h and v for h, v in factors.values())
    return _Frame(width, height, factors) if is_whole else None


def _count_units(frame: _Frame, scan: bytes) -> int:
    """Counts the coded units (MCUs) of a scan from its header (ITU-T T.81, A.2); 0 for a damaged one.

    A scan of several components has units of several blocks of 8 x 8; of one component, each of its blocks is a unit.
    """
    most_across = max(h for h, _ in frame.factors.values())
    most_down = max(v for _, v in frame.factors.values())
    if not scan or scan[0] != 1:
        return -(-frame.width // (8 * most_across)) * -(-frame.height // (8 * most_down))
    if len(scan) < 2 or scan[1] not in frame.factors:
        return 0
    across, down = frame.factors[scan[1]]
    width, height = -(-frame.width * across // most_across), -(-frame.height * down // most_down)
    return -(-width // 8) * -(-height // 8)
