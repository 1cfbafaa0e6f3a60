"""Lines on stderr: a message of babycli begins on a line of its own, also below somebody else's progress bar.

Owns whether the last line there is still open, and that no words of anybody turn text around or hide in it. Never
decides what is said.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from babycli.wording import printable


class _Watched:
    """A stream that remembers whether its last line has come to an end; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_open = False

    def write(self, text: str) -> int:
        # Colours and bars steer the terminal in ASCII; what does so beyond it comes from names.
        self._stream.write(text if text.isascii() else "".join(c if c.isascii() else printable(c) for c in text))
        if text:
            self.is_open = text[-1] not in "\r\n"  # a bar that ends with \r has wiped itself out
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def watching_stderr() -> Iterator[None]:
    """Watches all that is written to ``sys.stderr`` in the block, by whatever code."""
    before = sys.stderr
    if isinstance(before, _Watched):  # a command that runs another
        yield
        return
    sys.stderr = cast(TextIO, _Watched(before))
    try:
        yield
    finally:
        sys.stderr = before


def begin_line() -> None:
    """Ends the line on stderr that somebody has left open, as a progress bar does that never came to its end."""
    stream: object = sys.stderr
    if isinstance(stream, _Watched) and stream.is_open:
        stream.write("\n")
