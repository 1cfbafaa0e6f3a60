"""Conversations that a language model has read, kept for their next turns.

Owns the keys and values of contexts, as far as memory allows. Never computes any. A context that does not fit is not
kept, and is read again: the first ones stay, so that a round over many conversations does not drop each of them just
before it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

Element = int | bytes  # a token's id, or the digest of a picture's features
Layer = tuple[Tensor, Tensor]  # keys and values, (1, heads, positions, size)


@dataclass(frozen=True, slots=True)
class KeptPrefix:
    """A text that was read: its elements, and the keys and values of each layer."""

    elements: tuple[Element, ...]
    layers: tuple[Layer, ...]

    @property
    def n_bytes(self) -> int:
        return sum(tensor.nbytes for layer in self.layers for tensor in layer)


@dataclass(frozen=True, slots=True)
class Reused:
    """The beginning of a text that need not be read again."""

    n_elements: int
    layers: tuple[Layer, ...]  # of the positions of these elements

    @property
    def n_positions(self) -> int:
        return int(self.layers[0][0].shape[2]) if self.layers else 0


NOTHING = Reused(0, ())


class KeptPrefixes:
    """Texts by their contexts: each is a context and the answer to it, so that the next turn finds both."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: dict[tuple[Element, ...], KeptPrefix] = {}
        self._gone_on_from: dict[tuple[Element, ...], None] = {}  # the oldest first
        self._n_bytes = 0

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    @property
    def is_empty(self) -> bool:
        return not self._kept

    def reuse(self, parent: tuple[Element, ...], elements: Sequence[Element], image_positions: int) -> Reused:
        """Gives the kept text of ``parent``, as far as ``elements`` begin with it, but never the last element.

            kept      [ 2  a7  f1 | 31  3 ]          the context, and the reply that was written
            elements  [ 2  a7  f1 | 31  3 | 12  9 ]  the next turn
            reused      x  x   x    x   x            as far as both are the same

        ``image_positions`` is the number of positions that a picture (bytes) takes.
        """
        kept = self._kept.get(parent)
        if kept is None:
            return NOTHING
        n = 0
        for kept_element, element in zip(kept.elements, elements[:-1], strict=False):
            if kept_element != element:
                break
            n += 1
        n_positions = sum(image_positions if isinstance(e, bytes) else 1 for e in elements[:n])
        if not n_positions:
            return NOTHING
        return Reused(n, tuple((keys[:, :, :n_positions], values[:, :, :n_positions]) for keys, values in kept.layers))

    def keep(self, context: tuple[Element, ...], parent: tuple[Element, ...], read: KeptPrefix) -> None:
        """Keeps the text that was read of a context, if there is room.

        If there is none, contexts that were continued already are dropped, the oldest first: other conversations may
        have begun in the same way, but they can be read again.
        """
        if parent in self._kept:
            self._gone_on_from[parent] = None
        self.drop(context)
        while self._n_bytes + read.n_bytes > self._max_bytes and self._gone_on_from:
            self.drop(next(iter(self._gone_on_from)))
        if self._n_bytes + read.n_bytes <= self._max_bytes:
            self._kept[context] = read
            self._n_bytes += read.n_bytes

    def drop(self, context: tuple[Element, ...]) -> None:
        """Drops what was read of a context, if it is kept."""
        self._gone_on_from.pop(context, None)
        gone = self._kept.pop(context, None)
        self._n_bytes -= gone.n_bytes if gone else 0

    def give_up(self) -> bool:
        """Drops all texts, and keeps half as many bytes from now on; tells whether there were any."""
        had_any = bool(self._kept)
        self._max_bytes = self._n_bytes // 2
        self.clear()
        return had_any

    def clear(self) -> None:
        self._kept.clear()
        self._gone_on_from.clear()
        self._n_bytes = 0


def stacked(rows: Sequence[Reused]) -> DynamicCache:
    """Puts keys and values of rows of equal length into one batch, which can be extended without changing the rows."""
    cache = DynamicCache()
    for i in range(len(rows[0].layers)):
        keys, values = rows[0].layers[i] if len(rows) == 1 else _joined([row.layers[i] for row in rows])
        cache.update(keys, values, i)
    return cache


def _joined(layers: Sequence[Layer]) -> Layer:
    return torch.cat([keys for keys, _ in layers]), torch.cat([values for _, values in layers])


def row_of(cache: DynamicCache, row: int, n_positions: int) -> tuple[Layer, ...]:
    """Copies a row of a batch, cut to its own length."""
    own = slice(row, row + 1)
    layers: Any = cache.layers  # its types know of layers without keys
    return tuple(
        (layer.keys[own, :, :n_positions].clone(), layer.values[own, :, :n_positions].clone()) for layer in layers
    )
