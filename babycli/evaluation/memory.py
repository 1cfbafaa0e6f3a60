"""How much goes through a model at once, and what happens when that was too much.

Owns the batch size: fixed by the user, or grown while the device has room and halved when it has not. Never computes
anything and never ends a run: only a single row that does not fit does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from babycli.errors import ModelError
from babycli.models.base import MemoryProbe
from babycli.wording import first_line

MAX_ROWS = 1024
MORE_MEMORY = "use  --dtype bfloat16, a larger device, or several:  --model-args device_map=auto"
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Batching:
    """How many rows a batch may have, and how many units are computed at once.

    ``unit_images`` is fixed for a run: its borders are those of the plan. ``auto`` lets several units be computed
    together where the device has room.
    """

    def __init__(
        self,
        unit_images: int,
        auto: bool = False,
        probe: MemoryProbe | None = None,
        note: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.unit_images = unit_images
        self.auto = auto
        self.units_at_once = 1
        self.events: list[str] = []  # what was changed while running; goes into run.json
        self._most: int | None = None  # rows, once a larger batch has failed
        self._probe = probe
        self._note = note

    @property
    def n_rows(self) -> int:
        wanted = self.unit_images * self.units_at_once
        return wanted if self._most is None else min(wanted, self._most)

    def begin(self) -> None:
        """Called before the units of a batch are computed."""
        if self._probe is not None and self.auto:
            self._probe.begin()

    def end(self) -> None:
        """Called after that: twice as much next time, if there is room."""
        if self._probe is None or not self.auto or self._most is not None or self.n_rows * 2 > MAX_ROWS:
            return
        if self._probe.room() >= 2:
            self.units_at_once *= 2
            self.events.append(f"batches of {self.n_rows}: there is room")

    def halving(self, compute: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """``compute(items)`` in batches of at most ``n_rows``; one that does not fit in memory is halved.

        Raises ModelError where a single item does not fit.
        """
        results: list[Result] = []
        start = 0
        while start < len(items):
            batch = items[start : start + self.n_rows]
            try:
                results += compute(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    why = first_line(error, type(error).__name__)
                    message = f"there is not enough memory for one image and its texts: {why}"
                    raise ModelError(message, MORE_MEMORY) from error
                failed = len(batch)
            else:
                start += len(batch)
                continue
            self._shrink(failed)  # outside of the handler, whose error holds on to what was allocated
        return results

    def _shrink(self, failed: int) -> None:
        self._most = failed // 2
        self.units_at_once = max(1, self._most // self.unit_images)
        message = f"out of memory at a batch of {failed}: going on with {self._most}"
        self.events.append(message)
        self._note(message)
        if self._probe is not None:
            self._probe.release()


def is_out_of_memory(error: BaseException) -> bool:
    """Is it a device's or the machine's memory that has run out? torch's errors are told by name and words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def free_bytes() -> int:
    """Memory that this process may use without swapping: of the machine, or of the job's share; 0 where none tells.

    Processes on one machine divide it.
    """
    found = [room for room in (_machine_bytes(), *map(_group_bytes, _GROUPS)) if room is not None]
    return max(0, min(found, default=0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


# Limit and use of a container or batch job (cgroups 2 and 1), as seen from inside it.
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def _machine_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _group_bytes(files: tuple[str, str]) -> int | None:
    try:
        limit, used = (Path(file).read_text().strip() for file in files)
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdigit() else None
