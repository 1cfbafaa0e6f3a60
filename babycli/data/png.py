"""The structure of a PNG file (ISO/IEC 15948): its chunks are followed, and the rows that they hold are counted.

Owns what Pillow does not tell of a PNG: whether it has an end, whether it has data for all rows, and whether these are
damaged. Never decodes a pixel.

    signature (8) | IHDR: dimensions, form | chunk … | IDAT: compressed rows | IDAT … | chunk … | IEND
    a chunk: length of its data (4) | its kind (4) | data | CRC-32 (4)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # in a pixel, by the type of colour
_PIECE_BYTES = 1 << 20


def reaches_end(content: bytes) -> bool:
    """Tells whether the chunks of a PNG lead to the last one, IEND."""
    return any(kind == b"IEND" for kind, _, _ in _chunks(content))


def find_damage(content: bytes) -> int | None:
    """Finds the first part of a PNG's compressed rows whose CRC-32 is wrong: where it begins; None if all are right.

    Decoders that stop at the last row see no damage behind the bytes that they needed, and some of it shows.
    """
    for kind, start, end in _chunks(content):
        stated = content[end : end + 4]
        if kind == b"IDAT" and len(stated) == 4 and zlib.crc32(content[start - 4 : end]).to_bytes(4, "big") != stated:
            return start
    return None


def lacks_rows(content: bytes) -> bool:
    """Tells whether the compressed data of a PNG end properly, but before its last row.

    Decoders leave the rows that are missing black, and say nothing. Where rows are interlaced, Pillow does say it.
    """
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    depth, colour, is_interlaced = content[24], content[25], content[28]
    if is_interlaced or colour not in _SAMPLES:
        return False
    left = height * (1 + (width * _SAMPLES[colour] * depth + 7) // 8)
    stream = zlib.decompressobj()
    was_data = False
    for kind, start, end in _chunks(content):
        if kind != b"IDAT":
            if was_data:
                break  # decoders read no data behind another chunk
            continue
        was_data = True
        packed = content[start:end]
        while packed and left > 0:
            left -= len(stream.decompress(packed, _PIECE_BYTES))
            packed = stream.unconsumed_tail
    return left > 0


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Gives the kind of each chunk, and where its data begin and end, as far as they are whole."""
    at = len(PNG)
    while at + 12 <= len(content):
        start = at + 8
        end = start + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : start], start, end
        at = end + 4
