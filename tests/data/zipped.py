"""Folders as zips, for tests.

Owns no expectation.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path


def zip_folder(folder: Path, path: Path, inside: str = "", method: int = zipfile.ZIP_STORED) -> Path:
    """A zip of all files below a folder, named from it behind ``inside``."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, inside + str(file.relative_to(folder)))
    return path


def write_zip(tree: Mapping[str, bytes], path: Path, is_deflated: bool) -> None:
    """A zip as Info-ZIP on Unix writes it, names as the bytes they are: the standard library takes only UTF-8."""
    body, directory = b"", b""
    for name, content in tree.items():
        raw, packed = os.fsencode(name), content
        if is_deflated:
            packed = zlib.compress(content, wbits=-15)
        fields = (0, 8 if is_deflated else 0, 0, 0x21, zlib.crc32(content), len(packed), len(content), len(raw), 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 3 << 8, 20, *fields, 0, 0, 0, 0, len(body)) + raw
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, *fields) + raw + packed
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(tree), len(tree), len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
