"""The time that each phase of a run took.

Owns the clock. The phases decode and preprocess are seconds of threads that work beside the model; the others are
seconds of the run itself, and idle those in which it waited for pictures.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Literal

Phase = Literal["decode", "preprocess", "vision", "prefix", "continuation", "generate", "write", "idle"]
PHASES: tuple[Phase, ...] = (
    "decode",
    "preprocess",
    "vision",
    "prefix",
    "continuation",
    "generate",
    "write",
    "idle",
)
BESIDE = ("decode", "preprocess")  # in threads, while the run does something else
_WHAT = {
    "decode": "read and decode images",
    "preprocess": "resize and normalise them",
    "vision": "encode images",
    "prefix": "read image and prompt",
    "continuation": "read the texts to be scored",
    "generate": "write captions",
    "write": "write scores",
    "idle": "wait for images",
}


class _Within(threading.local):
    """The seconds of the blocks that have ended within the one that is open in this thread."""

    seconds = 0.0


class Timings:
    """Seconds by phase. Safe to use from any thread."""

    def __init__(self) -> None:
        self.seconds: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
        self._lock = threading.Lock()
        self._within = _Within()

    def add(self, phase: Phase, seconds: float) -> None:
        with self._lock:
            self.seconds[phase] += seconds

    @contextlib.contextmanager
    def of(self, phase: Phase) -> Iterator[None]:
        """Counts the time of a block, failed or not, less that of the blocks within it: no second counts twice."""
        before, self._within.seconds = self._within.seconds, 0.0
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.add(phase, seconds - self._within.seconds)
            self._within.seconds = before + seconds

    @contextlib.contextmanager
    def of_scores(self, n_prefix: int, n_answer: int) -> Iterator[None]:
        """Counts the time of a pass over prefixes and answers, divided in proportion to their positions."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            share = n_prefix / max(1, n_prefix + n_answer)
            self.add("prefix", seconds * share)
            self.add("continuation", seconds * (1 - share))


def as_table(seconds: Mapping[Phase, float]) -> str:
    """Writes a table for people: the seconds of each phase, and its share of the run."""
    whole = sum(seconds[phase] for phase in PHASES if phase not in BESIDE)
    lines = [f"{'phase':<14}{'seconds':>9}{'share':>8}"]
    for phase in PHASES:
        share = "beside" if phase in BESIDE else f"{seconds[phase] / max(whole, 1e-9):.1%}"
        lines.append(f"{phase:<14}{seconds[phase]:>9.2f}{share:>8}  {_WHAT[phase]}")
    return "\n".join([*lines, f"{'sum':<14}{whole:>9.2f}"])
