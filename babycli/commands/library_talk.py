"""Warnings and log lines of libraries: a user cannot act on them, so they are not shown.

Owns which of them reach stderr: those of the user's own files, each on one line. What a user needs to know of a
library's doings is said in babycli's own words. Who sets PYTHONWARNINGS or TRANSFORMERS_VERBOSITY gets what these say.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from babycli.commands.options import say
from babycli.wording import shortened

_LIBRARIES = tuple(os.path.join(sysconfig.get_path(kind), "") for kind in ("stdlib", "purelib", "platlib"))  # noqa: PTH118
_OWN = os.path.join(Path(__file__).parent.parent, "")  # noqa: PTH118  # installed, it is among the libraries


@contextlib.contextmanager
def without_library_talk() -> Iterator[None]:
    """Keeps warnings and log lines of libraries off stderr in the block."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")  # it has a handler of its own, and reads this on import
    show, last_resort = warnings.showwarning, logging.lastResort
    if not sys.warnoptions:
        warnings.showwarning = _show
    logging.lastResort = _LastResort(logging.WARNING)
    try:
        yield
    finally:
        warnings.showwarning, logging.lastResort = show, last_resort


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if not filename.startswith((*_LIBRARIES, _OWN)):  # some libraries warn in the name of whoever calls them
        say(f"{filename}:{lineno}: {category.__name__}: {shortened(str(message))}")


class _LastResort(logging.Handler):
    """What Python uses for loggers without a handler."""

    def emit(self, record: logging.LogRecord) -> None:
        if not record.pathname.startswith(_LIBRARIES) or record.pathname.startswith(_OWN):
            say(f"{record.name}: {shortened(record.getMessage())}")
