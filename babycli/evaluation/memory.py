"""The batch size: how much goes through a model at once.

Owns how it changes: it is fixed by the user, or grows while the device has room, and is halved when memory runs out.
Never computes anything, and never ends a run unless a single row does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from babycli.errors import MORE_MEMORY, ModelError
from babycli.models.base import MemoryProbe
from babycli.models.machine_memory import address_space_bytes
from babycli.wording import first_line

MAX_ROWS = 1024
_MORE_ROOM = "use  --dtype bfloat16, a larger device, or several:  --model-args device_map=auto"
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")
_MAYBE_OUT_OF_MEMORY = "could not create a primitive"  # oneDNN's words also where a processor lacks an instruction
Entry = TypeVar("Entry")
Result = TypeVar("Result")


UNIT_IMAGES = {"cpu": 16}  # with --batch-size auto, by device
GPU_UNIT_IMAGES = 32  # of which several are computed at once where there is room


class Batching:
    """The number of rows that a batch may have, and of units that are computed at once.

    ``unit_images`` is fixed for a run, so that the plan's units stay the same. With ``auto``, several units are
    computed together where the device has room.
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
        self.events: list[str] = []  # changes of the size during the run; for run.json
        self.spare: Callable[[], bool] = lambda: False  # gives up what only saves time; tells whether there was any
        self._most: int | None = None  # the most rows that may fit, once a larger batch has failed
        self._probe = probe
        self._note = note

    @property
    def n_rows(self) -> int:
        wanted = self.unit_images * self.units_at_once
        return wanted if self._most is None else min(wanted, self._most)

    def begin(self) -> None:
        """Begins the measurement of memory; to be called before some units are computed."""
        if self._probe is not None and self.auto:
            self._probe.begin()

    def end(self) -> None:
        """Ends the measurement, after these units. If there is room, the next batch is twice as large."""
        if self._probe is None or not self.auto or self._most is not None or self.n_rows * 2 > MAX_ROWS:
            return
        if self._probe.room() >= 2:
            self.units_at_once *= 2
            self.events.append(f"batches of {self.n_rows}: there is room")

    def halving(self, compute: Callable[[Sequence[Entry]], list[Result]], items: Sequence[Entry]) -> list[Result]:
        """Computes ``compute(items)`` in batches of at most ``n_rows``; a batch that does not fit in memory is halved.

        Before that, ``spare`` is asked to make room. Raises ModelError where a single item does not fit.
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
                is_spared = self.spare()
                if len(batch) == 1 and not is_spared:
                    why = first_line(error, type(error).__name__)
                    message = f"there is not enough memory for one image and its texts: {why}"
                    raise ModelError(message, mend_of_memory()) from error
                failed = len(batch)
            else:
                start += len(batch)
                continue
            self._recover(failed, is_spared)  # outside of the handler, whose error keeps the allocated memory alive
        return results

    def _recover(self, failed: int, is_spared: bool) -> None:
        if is_spared:
            message = f"out of memory at a batch of {failed}: conversations that were kept are given up and read again"
        else:
            self._most = failed // 2
            self.units_at_once = max(1, self._most // self.unit_images)
            message = f"out of memory at a batch of {failed}: going on with {self._most}"
        self.events.append(message)
        self._note(message)
        if self._probe is not None:
            self._probe.release()


def mend_of_memory() -> str:
    """Says what gives a model more memory: where the process has a limit, a higher one."""
    return MORE_MEMORY if address_space_bytes() is not None else _MORE_ROOM


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether a device's or the machine's memory has run out. torch's errors are known by name and words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if not isinstance(error, RuntimeError):
        return False
    is_likely = _MAYBE_OUT_OF_MEMORY in str(error) and address_space_bytes() is not None
    return is_likely or any(words in str(error) for words in _OUT_OF_MEMORY)


def unit_images_of(device: str) -> int:
    """Gives the number of pictures in a unit with --batch-size auto, of a run that begins."""
    return UNIT_IMAGES.get(device, GPU_UNIT_IMAGES)
