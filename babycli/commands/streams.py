"""Standard output and error: what cannot be written there, and where a line begins.

Owns what happens when one is closed, on a full disk, or has lost its reader: the command goes on to its end, and
standard output that lost something is told. Owns whether the last line is still open, so that a message begins on a
line of its own, also below somebody else's progress bar, that no words of anybody on stderr turn text around or hide in
it, and how a sign is told that the stream's encoding does not have. Owns that a name of several lines stays on one.
Never decides what is said.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import TextIO

from babycli.wording import printable, written_in

_BETWEEN_PARTS = re.compile(r"[/=,:]")  # of a path, or of what an option takes
_BREAKS_LINE = re.compile(r"[\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029]")
_broken_names: ContextVar[tuple[str, ...]] = ContextVar("_broken_names", default=())


class Stream(io.TextIOBase):
    """A stream that drops what it cannot write, and keeps the first error; ``is_talk``: it is for people alone."""

    def __init__(self, stream: TextIO, is_talk: bool) -> None:
        self._stream = stream
        self._is_talk = is_talk
        self.failure: OSError | None = None
        self.is_open = False  # its last line has not come to an end

    def write(self, text: str) -> int:
        shown = text
        if self._is_talk and not text.isascii():  # colours and bars are ASCII; what steers beyond it comes from names
            shown = "".join(c if c.isascii() else printable(c) for c in text)
        if not text.isascii():
            shown = written_in(shown, self.encoding)
        with self._kept():
            self._stream.write(shown)
        if text:
            self.is_open = text[-1] not in "\r\n"  # a bar that ends with \r has wiped itself out
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
        return self._stream.encoding or "utf-8"  # a stream in memory has none

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
    return Stream(stream, is_talk=fd == 2)


@contextlib.contextmanager
def watching_stderr() -> Iterator[None]:
    """Watches all that is written to ``sys.stderr`` in the block, by whatever code."""
    before = sys.stderr
    if isinstance(before, Stream):  # that of the process, or of a command that runs another
        yield
        return
    sys.stderr = Stream(before, is_talk=True)
    try:
        yield
    finally:
        sys.stderr = before


@contextlib.contextmanager
def naming(words: Sequence[str]) -> Iterator[None]:
    """Lets ``on_one_line`` know, in the block, which names a user has typed or works in."""
    told = [*words, os.environ.get("BABYCLI_DATA", ""), *_here()]
    parts = {part for word in told for part in _BETWEEN_PARTS.split(word) if part.strip() and _BREAKS_LINE.search(part)}
    before = _broken_names.set(tuple(sorted(parts, key=len, reverse=True)))
    try:
        yield
    finally:
        _broken_names.reset(before)


def _here() -> list[str]:
    try:
        return [os.getcwd()]  # noqa: PTH109
    except OSError:  # the folder has been removed
        return []


def on_one_line(text: str) -> str:
    """Gives a message in which no name that a user has typed begins a new line: ``a\\nb``."""
    for name in _broken_names.get():
        text = text.replace(name, "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name))
    return text


def begin_line() -> None:
    """Ends the line on stderr that somebody has left open, as a progress bar does that never came to its end."""
    stream: object = sys.stderr
    if isinstance(stream, Stream) and stream.is_open:
        stream.write("\n")
