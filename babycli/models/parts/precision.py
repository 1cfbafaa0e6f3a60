"""The number format that a network computes in.

Owns casting weights, float32 that means float32, and the note on weights that hold no number. Never reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def torch_dtype(name: str) -> torch.dtype:
    """torch's dtype of one of babycli.wording.Dtype."""
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def in_dtype(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights in ``dtype``; counters and other whole numbers as they are."""
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def full_precision() -> None:
    """Makes float32 mean float32 on a GPU too: cuDNN's convolutions take TensorFloat-32 unless told otherwise."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def notes_on_broken(weights: Iterable[Tensor]) -> tuple[str, ...]:
    """What a reader of the numbers should know of weights that hold NaN or infinity; nothing if none does."""
    n_broken = sum(not bool(tensor.isfinite().all()) for tensor in weights)
    return (f"{n_broken} weights hold NaN or infinity",) if n_broken else ()
