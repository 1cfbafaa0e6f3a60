"""The findings of an earlier verify, kept so that a later one need not read unchanged files again.

Owns the file. Its lines are appended as work is done, so that an interrupted verify goes on where it was; each has its
own checksum, so that a torn or foreign line is passed over. Never decides whether a file has changed: a key is made of
the state of files, so the key of changed files is not found.

    <CRC-32 of the rest> {"schema": 1, "belongs_to": "…"}
    <CRC-32 of the rest> ["<key>", <the finding>]
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

from babycli.errors import DataError
from babycli.files import open_to_read, read_file, write_atomically

_SCHEMA = 1
_KEPT_FILES = 8  # a file for each list of checksums that a dataset was compared with


class VerifyIndex:
    """Values by key, on disk. An index without a folder holds nothing and keeps nothing."""

    def __init__(self, folder: Path | None, belongs_to: str) -> None:
        """Opens the index. ``belongs_to`` is the digest of all that the findings depend on, except the files."""
        self._header = {"schema": _SCHEMA, "belongs_to": belongs_to}
        self._path = folder / f"verified-{belongs_to[:16]}.jsonl" if folder is not None else None
        self._used: dict[str, Any] = {}
        self._stream = -1
        self._n_lines = 0  # behind the header, damaged ones included
        self._found = self._read()

    @property
    def keeps(self) -> bool:
        """True if a later command will find the values that are put now."""
        return self._path is not None

    def __bool__(self) -> bool:
        return bool(self._found)

    def get(self, key: str) -> Any:
        """Gives the value of a key; None for an unknown one."""
        if key not in self._found:
            return None
        self._used[key] = self._found[key]
        return self._found[key]

    def put(self, key: str, value: Any) -> None:
        """Keeps a value, on disk too. A disk that cannot be written is no error: it only costs time later."""
        self._used[key] = value
        if self._path is None:
            return
        with contextlib.suppress(OSError, DataError):
            if self._stream < 0:
                self._stream = self._open(self._path)
            os.write(self._stream, _to_line([key, value]))
            self._n_lines += 1

    def forget(self) -> None:
        """Removes all that is kept, and keeps nothing more."""
        self.close(complete=False)
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._path = None

    def close(self, complete: bool) -> None:
        """Ends writing. After a ``complete`` verify, keys that it did not use are removed."""
        if self._stream >= 0:
            os.close(self._stream)
            self._stream = -1
        if complete and self._path is not None and self._n_lines != len(self._used):
            lines = [_to_line(self._header), *(_to_line([key, value]) for key, value in self._used.items())]
            with contextlib.suppress(OSError, DataError):
                _check_file(self._path)
                write_atomically(self._path, b"".join(lines))

    def _open(self, path: Path) -> int:
        _check_file(path)
        if not self._found:
            write_atomically(path, _to_line(self._header))
            others = sorted(path.parent.glob("verified-*.jsonl"), key=lambda other: other.stat().st_mtime_ns)
            for other in others[:-_KEPT_FILES]:
                other.unlink(missing_ok=True)
        stream = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        size_bytes = os.fstat(stream).st_size
        if os.pread(stream, 1, max(0, size_bytes - 1)) != b"\n":
            os.write(stream, b"\n")  # the last line was torn
        return stream

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            lines = read_file(self._path).split(b"\n")
        except OSError:
            return {}
        if _value(lines[0]) != self._header:
            return {}
        self._n_lines = sum(bool(line) for line in lines[1:])
        values = [value for value in map(_value, lines[1:]) if isinstance(value, list) and len(value) == 2]
        return {key: value for key, value in values if isinstance(key, str)}


def _check_file(path: Path) -> None:
    """Raises an OSError for what is no file: a pipe or a device is not written to."""
    if os.path.lexists(path):
        open_to_read(path).close()


def _to_line(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _value(line: bytes) -> Any:
    """Reads a line; None for one that is not as it was written."""
    checksum, _, text = line.partition(b" ")
    if not text or checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
