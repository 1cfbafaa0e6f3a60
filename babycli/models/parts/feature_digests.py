"""Digests of features, which tell them apart without moving large tensors off a GPU.

Owns the digests of rows: the same on every device. Equal rows have equal digests; two different rows have equal digests
with a probability of about 2**-64.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

_SEED = 20140420


def row_digests(rows: Tensor) -> list[bytes]:
    """Computes a digest of each row (n, ...) of floats: two sums of its words, each word times a random number.

    Each place in a row has its own random number. Sums are modulo 2**64. Words have 16 or 32 bits: with 64 bits, the
    factor would push a difference in the highest bits of a word out of the sum.
    """
    flat = rows.contiguous().flatten(1)
    words = flat.view(torch.int32 if flat.element_size() == 4 else torch.int16).long()
    sums = [(words * factors).sum(1) for factors in _factors(words.shape[1], words.device)]
    return [row.numpy().tobytes() for row in torch.stack(sums, dim=1).cpu()]


@functools.lru_cache(maxsize=2)  # all batches of a model have rows of one size: made and moved to a GPU once
def _factors(n_words: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Gives the two random numbers, both odd, of each place in a row."""
    generator = torch.Generator().manual_seed(_SEED)
    one, other = (torch.randint(-(1 << 62), 1 << 62, (n_words,), generator=generator) * 2 + 1 for _ in range(2))
    return one.to(device), other.to(device)
