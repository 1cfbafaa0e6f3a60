"""The progress bar of every command, and the lines that stand for it in a file.

Owns when a bar shows: on a terminal. Elsewhere a line a minute tells how far a command is, so that logs of batch jobs
stay readable. Owns how long the rest will take, too: the pace from the end of the first batch on tells, for what comes
before it is loading and warming up.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from babycli.commands.streams import begin_line
from babycli.wording import printable

if TYPE_CHECKING:
    from babycli.evaluation.options import Count

_LINE_S = 60.0  # between two lines in a file
_PAUSE_S = 0.02  # without an answer: a batch has ended before it
_WINDOW_S = 2.0  # after which a stream without pauses is measured
_LEAST_S = 0.5  # that a pace is measured over
_WHOLE = "{desc}: {percentage:3.0f}%|{bar}| "


class Pace:
    """The pace of some work, from the end of its first batch to that of its latest one."""

    def __init__(self) -> None:
        self.done = 0.0
        self._begun: float | None = None  # the first count
        self._at: float | None = None  # the latest count
        self._first: tuple[float, float] | None = None  # the time at which a batch ended, and what was done by then
        self._last: tuple[float, float] = (0.0, 0.0)

    def pass_over(self, weight: float) -> None:
        """Counts what was done before, which says nothing about the pace."""
        self.done += weight
        if self._first is not None:
            self._first = self._first[0], self._first[1] + weight
            self._last = self._last[0], self._last[1] + weight

    def count(self, weight: float) -> None:
        now = time.monotonic()
        if self._at is not None and self._begun is not None:
            since = self._last[0] if self._first is not None else self._begun
            if now - self._at > _PAUSE_S or self._at - since > _WINDOW_S:
                self._last = self._at, self.done
                self._first = self._first or self._last
        self._begun = now if self._begun is None else self._begun
        self._at = now
        self.done += weight

    def left(self, whole: float) -> float | None:
        """Gives the seconds that the rest of the whole will take; None where there is no measure yet."""
        if self._first is None:
            return None
        seconds, weight = self._last[0] - self._first[0], self._last[1] - self._first[1]
        if seconds < _LEAST_S or weight <= 0:
            return None
        return max(0.0, whole - self.done) * seconds / weight


class _Shown:
    """How far some work is, on a terminal or in lines of a file."""

    def __init__(self, what: str, total: int | None, unit: str, whole: float | None, bar: Any) -> None:
        self._what, self._now, self._total, self._unit, self._bar = what, "", total, unit.strip(), bar
        self._whole = total if whole is None else whole
        self._n = 0
        self._pace = Pace()
        self._told = time.monotonic()

    def count(
        self, n: int, weight: float | None = None, *, now: str = "", is_new: bool = True, more: float = 0.0
    ) -> None:
        """Counts ``n`` more; see babycli.evaluation.options.Count."""
        weight = n if weight is None else weight
        (self._pace.count if is_new else self._pace.pass_over)(weight)
        self._n += n
        self._now = now or self._now
        if self._whole is not None:
            self._whole += more
        if self._bar is not None:
            self._show(n)
        elif time.monotonic() - self._told >= _LINE_S:
            self._told = time.monotonic()
            begin_line()
            print(printable(f"{self._title}: {self._text}"), file=sys.stderr, flush=True)

    @property
    def _title(self) -> str:
        return f"{self._what} {self._now}".rstrip()

    @property
    def _text(self) -> str:
        unit = f" {self._unit}" if self._unit else ""
        if self._total is None or self._whole is None:
            return f"{self._n}{unit}"
        done = min(1.0, self._pace.done / max(self._whole, 1e-9))
        of_what = "" if self._whole == self._total else " of the work"  # requests take very different times
        share = "" if self._bar is not None else f" ({done:.0%}{of_what})"
        left = self._pace.left(self._whole)
        return f"{self._n} of {self._total}{unit}{share}" + ("" if left is None else f", {duration(left)} left")

    def _show(self, n: int) -> None:
        if self._total is None or self._whole is None:
            self._bar.update(n)
            return
        self._bar.total = max(self._whole, self._pace.done)
        self._bar.set_description_str(printable(self._title), refresh=False)
        self._bar.bar_format = _WHOLE + self._text
        self._bar.update(self._pace.done - self._bar.n)


def duration(seconds: float) -> str:
    """Writes a time for people, no more exactly than an estimate is: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


@contextlib.contextmanager
def progress_bar(
    what: str, total: int | None = None, unit: str = "", scaled: bool = False, whole: float | None = None
) -> Iterator[Count]:
    """Shows a bar, and gives the function that counts: call it with how many more are done.

    ``scaled`` writes large numbers with k, M and G, of bytes. ``whole`` is the weight of all, where one thing takes
    longer than another.
    """
    if not sys.stderr.isatty():
        yield _Shown(what, None if scaled else total, unit, whole, None).count
        return
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own: processes may be forked while the bar shows
    is_plain = total is None or scaled
    with tqdm(
        desc=printable(what),
        total=total if whole is None else whole,
        unit=unit,
        unit_scale=scaled,
        leave=False,
        bar_format=None if is_plain else _WHOLE,
        dynamic_ncols=True,
    ) as bar:
        yield _Shown(what, None if is_plain else total, unit, whole, bar).count
