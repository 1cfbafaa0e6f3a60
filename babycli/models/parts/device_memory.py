"""How much of a GPU's memory a batch has taken, for batches that grow while there is room.

Owns the reading of CUDA's counters. Never decides how large a batch is.
"""

from __future__ import annotations

import gc

import torch

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
