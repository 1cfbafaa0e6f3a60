"""The digests of many files of one store, in parallel.

Owns how the work is cut. What a digest should be is verify.py's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from babycli.data.images import ImageError, ImageStore
from babycli.data.workers import chunks, map_in_processes


@dataclass(frozen=True, slots=True)
class _Work:
    store: ImageStore
    names: Sequence[str]
    algorithm: str


def hash_files(
    store: ImageStore, names: Sequence[str], progress: Callable[[int], None], algorithm: str = "sha256"
) -> Iterator[tuple[str, str | ImageError]]:
    """Every name with its digest, or with why it has none, in the order of the names."""
    bounds = chunks(len(names))
    work = _Work(store, names, algorithm)
    for (start, end), found in zip(bounds, map_in_processes(_hash, work, bounds), strict=True):
        yield from zip(names[start:end], found, strict=True)
        progress(end - start)


def _hash(work: _Work, bounds: tuple[int, int]) -> list[str | ImageError]:
    return [digest for digest, _ in work.store.digests(work.names[slice(*bounds)], work.algorithm)]
