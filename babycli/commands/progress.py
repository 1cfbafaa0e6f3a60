"""The progress bar of every command.

Owns when it shows: on a terminal, and nowhere else, so that logs of batch jobs stay readable.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(what: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Gives a function that takes how many more are done."""
    from tqdm import tqdm

    with tqdm(desc=what, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False) as bar:

        def count(n: int) -> None:
            bar.update(n)

        yield count
