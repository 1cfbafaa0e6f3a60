"""The index of a zip's directory: kept in memory and, for a large archive, on disk for the next opening.

Owns that file: a line of JSON and three arrays behind it, with a checksum of all. Never reads an archive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from babycli.errors import DataError
from babycli.files import open_to_read, read_file, write_atomically

_MAGIC = b"babycli zip index 2\n"
_DIGEST_BYTES = 32
_KINDS: tuple[Literal["I", "Q"], ...] = ("I", "Q", "Q")  # of the three arrays in the file


@dataclass(frozen=True, slots=True)
class Directory:
    """The members of an archive, sorted by the CRC-32 of their names: 20 bytes for each."""

    keys: array[int] | memoryview[int]  # CRC-32 of the name
    positions: array[int] | memoryview[int]  # of its entry in the directory
    offsets: array[int] | memoryview[int]  # of all local headers in the file, sorted by themselves
    folders: list[str]  # sorted
    is_plain: bool  # every name is ASCII and in its normal form, as the entry writes it


@dataclass(frozen=True, slots=True)
class IndexKey:
    """The state of an archive that an index belongs to."""

    size_bytes: int
    mtime_ns: int
    directory_sha256: str


def load_directory(path: Path, key: IndexKey) -> Directory | None:
    """Reads an index; None if there is none, or if it is damaged or of another archive."""
    try:
        raw = read_file(path)
    except OSError:
        return None
    body = memoryview(raw)[:-_DIGEST_BYTES]
    if not raw.startswith(_MAGIC) or hashlib.sha256(body).digest() != raw[-_DIGEST_BYTES:]:
        return None
    header_end = raw.index(b"\n", len(_MAGIC))
    header = json.loads(raw[len(_MAGIC) : header_end])  # sound, as its digest is
    if header["key"] != asdict(key) or header["byteorder"] != sys.byteorder:
        return None
    at = header_end + 1
    arrays: list[memoryview[int]] = []
    for kind, n in zip(_KINDS, header["lengths"], strict=True):
        end = at + n * array(kind).itemsize
        arrays.append(body[at:end].cast(kind))
        at = end
    keys, positions, offsets = arrays
    return Directory(keys, positions, offsets, header["folders"], header["plain"])


def save_directory(path: Path, key: IndexKey, directory: Directory) -> None:
    """Writes an index. If it cannot be written, the next opening takes a second longer."""
    arrays = (directory.keys, directory.positions, directory.offsets)
    header = {
        "key": asdict(key),
        "byteorder": sys.byteorder,
        "folders": directory.folders,
        "plain": directory.is_plain,
        "lengths": [len(values) for values in arrays],
    }
    body = b"".join([_MAGIC, json.dumps(header).encode(), b"\n", *(values.tobytes() for values in arrays)])
    with contextlib.suppress(DataError, OSError):
        if os.path.lexists(path):
            open_to_read(path).close()  # a pipe or a device is not written to
        write_atomically(path, body + hashlib.sha256(body).digest())
