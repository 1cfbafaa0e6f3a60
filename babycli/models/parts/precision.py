"""The number format that a network computes in.

Owns casting and comparing weights, true float32 on GPUs, and the note on weights that hold NaN or infinity. Never
reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def torch_dtype(name: str) -> torch.dtype:
    """Gives torch's dtype for a word of babycli.wording.Dtype."""
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def in_dtype(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Gives the weights in ``dtype``; counters and other integers stay as they are."""
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def is_same(one: Tensor, other: Tensor) -> bool:
    """Tells whether two weights hold the same numbers, in whatever dtype each is saved."""
    return one is other or (one.shape == other.shape and torch.equal(one.float(), other.float()))


def full_precision() -> None:
    """Makes float32 mean float32 on a GPU too: cuDNN's convolutions take TensorFloat-32 unless told otherwise."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def notes_on_broken(weights: Iterable[Tensor]) -> tuple[str, ...]:
    """Gives a note for the reader of the numbers if weights hold NaN or infinity; else nothing."""
    n_broken = sum(not bool(tensor.isfinite().all()) for tensor in weights)
    return (f"{n_broken} weights hold NaN or infinity",) if n_broken else ()
