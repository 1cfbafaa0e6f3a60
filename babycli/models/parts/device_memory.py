"""Memory for batches: how much a batch takes on a GPU, and freed memory that is kept for the next batch on a CPU.

Owns moving a batch to a device, reading CUDA's counters, and the settings of the C library's allocator. Never decides
how large a batch is.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Sequence

import torch
from torch import Tensor

from babycli.models.machine_memory import free_bytes

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT_FREE = 0.1  # the part of free memory that is not counted on, as fragments cannot be used


class CudaMemory:
    """The memory of a CUDA device; see babycli.models.base.MemoryProbe."""

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


def free_bytes_of(device: str) -> int:
    """Gives the free bytes of a device's memory; 0 if they are not known."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return free_bytes()


def keep_freed_memory() -> None:
    """Lets glibc keep the memory that one batch has freed for the next, as CUDA's allocator does; else does nothing.

    A page that is given back to the system and taken again costs a page fault; all of them cost a ResNeXt a tenth of
    its time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if mallopt(_MMAP_THRESHOLD, 1 << 30) or mallopt(_MMAP_THRESHOLD, 1 << 25):  # older versions take no more
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_TOP_PAD, 1 << 26)


def on_device(rows: Sequence[Tensor], device: str, dtype: torch.dtype) -> Tensor:
    """Puts rows of one shape on a device as a batch; to a GPU through pinned memory, while the CPU goes on."""
    batch = torch.stack(list(rows))
    if device.startswith("cuda"):
        return batch.pin_memory().to(device, non_blocking=True).to(dtype)
    return batch.to(device, dtype)
