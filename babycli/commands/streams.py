"""Standard output and error when they cannot be written: closed, on a full disk, or with a reader that is gone.

Owns what then happens: the command goes on to its end, and standard output that lost something is told. Never prints.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator


class Stream(io.TextIOBase):
    """A stream that drops what it cannot write, and keeps the first error."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        with self._kept():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._kept():
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = self.failure or error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def guard_streams() -> Stream:
    """Puts a Stream in the place of standard output and error, and gives that of standard output.

    A stream that was closed gets its number back before another file takes it; what is written there fails.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
    out, err = (_guarded(stream, fd) for fd, stream in ((1, sys.stdout), (2, sys.stderr)))
    sys.stdout, sys.stderr = out, err
    return out


def _guarded(stream: object, fd: int) -> Stream:
    if not isinstance(stream, io.TextIOWrapper):
        stream = io.TextIOWrapper(open(fd, "wb", closefd=False), encoding="utf-8")  # noqa: SIM115
    stream.reconfigure(errors="backslashreplace")  # an odd file name must not end a command
    return Stream(stream)
