"""The memory that batches are computed in: how much of a GPU's one has taken, and what a CPU's is kept for the next.

Owns the way from the one to the other, the reading of CUDA's counters and the settings of the C library's allocator.
Never decides how large a batch is.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Sequence

import torch
from torch import Tensor

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT_FREE = 0.1  # of the memory that is free; fragments cannot be used


class CudaMemory:
    """See babycli.models.base.MemoryProbe."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._before = 0

    def begin(self) -> None:
        self._before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def room(self) -> float:
        taken = torch.cuda.max_memory_allocated(self._device) - self._before
        reserved = torch.cuda.memory_reserved(self._device) - self._before  # what torch holds for the next batch
        usable = (torch.cuda.mem_get_info(self._device)[0] + reserved) * (1 - _KEPT_FREE)
        return usable / max(1, taken)

    def release(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()


def keep_freed_memory() -> None:
    """Lets glibc keep what one batch has freed for the next, as CUDA's allocator does; elsewhere it does nothing.

    A page that is given back to the system and asked for anew costs a page fault: a tenth of the time of a ResNeXt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if mallopt(_MMAP_THRESHOLD, 1 << 30) or mallopt(_MMAP_THRESHOLD, 1 << 25):  # older versions take no more
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_TOP_PAD, 1 << 26)


def on_device(rows: Sequence[Tensor], device: str, dtype: torch.dtype) -> Tensor:
    """Rows of one shape as a batch on a device; to a GPU through pinned memory, while the CPU goes on."""
    batch = torch.stack(list(rows))
    if device.startswith("cuda"):
        return batch.pin_memory().to(device, non_blocking=True).to(dtype)
    return batch.to(device, dtype)
