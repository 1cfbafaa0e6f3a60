"""The progress bar of every command.

Owns when it shows: on a terminal, and nowhere else, so that logs of batch jobs stay readable.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from babycli.wording import printable


@contextlib.contextmanager
def progress_bar(
    what: str, total: int | None = None, unit: str = "", scaled: bool = False
) -> Iterator[Callable[[int], None]]:
    """Shows a bar, and gives the function that counts: call it with how many more are done.

    ``scaled`` writes large numbers with k, M and G.
    """
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own: processes may be forked while the bar shows
    is_hidden = not sys.stderr.isatty()
    with tqdm(desc=printable(what), total=total, unit=unit, unit_scale=scaled, disable=is_hidden, leave=False) as bar:

        def count(n: int) -> None:
            bar.update(n)

        yield count
