"""The bytes of a log's file as it lies on disk: plain, packed, or a pointer that stands in its place.

Owns what is unpacked and how a pointer is told. Never decodes JSON.
"""

from __future__ import annotations

import errno
import io
import zlib
from pathlib import Path
from typing import Any

from babycli.files import MAX_FILE_BYTES, read_file

PACKED = (".gz", ".bz2", ".xz")
_UNPACKED_BY_HAND = {".zst": "unzstd", ".zip": "unzip", ".lz4": "unlz4"}
_POINTERS = {  # how the text begins that lies in a checkout until the file itself is fetched
    b"version https://git-lfs.github.com/spec/": ("Git LFS", "git lfs pull"),
    b"/annex/objects/": ("git-annex", "git annex get"),
}


def read_content(path: Path) -> bytes:
    """Reads a file or, where only a packed one lies beside its name, that one: ``x.jsonl.gz`` for ``x.jsonl``.

    Raises OSError whose ``strerror`` says what there is; FileNotFoundError where the content is not there, as with a
    pointer of Git LFS.
    """
    place = path if path.exists() else next((packed for packed in _packed(path) if packed.exists()), path)
    if place.suffix in _UNPACKED_BY_HAND and place != path:
        unpack = _UNPACKED_BY_HAND[place.suffix]
        raise FileNotFoundError(errno.ENOENT, f"there is only {place.name}; unpack it:  {unpack} {place}")
    content = read_file(place)
    for start, (program, command) in _POINTERS.items():
        if content.startswith(start):
            raise FileNotFoundError(errno.ENOENT, f"is a pointer of {program}, not the file; fetch it:  {command}")
    return _unpacked(content, place) if place.suffix in PACKED else content


def plain_name(path: Path) -> str:
    """Gives the name of a file without the ending of a packed one."""
    return path.stem if path.suffix in PACKED else path.name


def _packed(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in (*PACKED, *_UNPACKED_BY_HAND)]


def _unpacked(content: bytes, place: Path) -> bytes:
    import bz2
    import gzip
    import lzma

    opened: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[place.suffix]
    try:
        with opened(io.BytesIO(content)) as stream:
            unpacked: bytes = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise OSError(errno.EIO, f"is no whole {place.suffix} file") from error
    if len(unpacked) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"has more than {MAX_FILE_BYTES:,} bytes once it is unpacked, and no more are read")
    return unpacked
