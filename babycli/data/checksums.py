"""Checksum manifests: the text that ``sha256sum`` writes and ``sha256sum -c`` reads.

Owns that format, and hashing a whole download. Never decides what must be in it: that is verify.py's.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from babycli.data.images import ImageStore
from babycli.errors import DataError

_CHUNK = 256  # files a task: a task for each file would cost more than its hash
_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)", re.DOTALL)
_TAGGED = re.compile(r"SHA256 \((?P<name>.+)\) = (?P<digest>[0-9a-fA-F]{64})", re.DOTALL)  # sha256sum --tag
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}  # as GNU coreutils: such a line begins with a backslash
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}


class Digests:
    """SHA-256 of images by the end of their path: the list may have been made some folders up."""

    def __init__(self, by_path: Mapping[str, str]) -> None:
        self._by_file_name: dict[str, list[tuple[str, str]]] = {}
        for path, digest in by_path.items():
            self._by_file_name.setdefault(path.rsplit("/", 1)[-1], []).append((path, digest))

    def of(self, name: str) -> set[str]:
        """The digests listed for an image; empty for one that is not listed."""
        listed = self._by_file_name.get(name.rsplit("/", 1)[-1], [])
        return {digest for path, digest in listed if path == name or path.endswith(f"/{name}")}


def hash_source(store: ImageStore, progress: Callable[[int], None]) -> dict[str, str]:
    """SHA-256 of every file of a download, by name, sorted. Raises ImageError for one that cannot be read."""
    names = store.names()

    def hashed(start: int) -> list[str]:
        found = [hashlib.sha256(store.read_any(name)).hexdigest() for name in names[start : start + _CHUNK]]
        progress(len(found))
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = [digest for found in pool.map(hashed, range(0, len(names), _CHUNK)) for digest in found]
    return dict(zip(names, digests, strict=True))


def checksum_text(digests: Mapping[str, str]) -> bytes:
    """What ``sha256sum`` would write for these files."""
    lines = []
    for name, digest in digests.items():
        escaped = "".join(_ESCAPES.get(c, c) for c in name)
        lines.append(f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n")
    return os.fsencode("".join(lines))


def parse_checksums(text: bytes, origin: str) -> dict[str, str]:
    """SHA-256 by file name, in the order of the lines. Raises DataError naming the line it cannot read."""
    digests = {}
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = os.fsdecode(raw.removesuffix(b"\r"))  # no name ends so: a carriage return in one is escaped
        if not line.strip():
            continue
        plain = line.removeprefix("\\")
        found = _TAGGED.fullmatch(plain) or _LINE.fullmatch(plain)
        if found is None:
            raise DataError(f"{origin}, line {number}: expected a SHA-256 and a file name, got {line[:60]!r}")
        name = found["name"]
        if plain != line:
            name = re.sub(r"\\[\\nr]", lambda escaped: _UNESCAPES[escaped.group()], name)
        digests[name.removeprefix("./")] = found["digest"].lower()
    return digests


def read_digests(path: Path) -> Digests:
    """The checksums in a file. Raises DataError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the checksum manifest {path}: {error.strerror}") from error
    return Digests(parse_checksums(text, str(path)))
