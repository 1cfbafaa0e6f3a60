"""The digests of many files of one store, in parallel.

Owns how the work is cut. What a digest should be is verify.py's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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


def hash_each(
    wanted: Mapping[str, tuple[ImageStore, Sequence[str]]], progress: Callable[[int], None]
) -> dict[str, dict[str, str | ImageError]]:
    """The SHA-256 of the names under every key. A file that several keys want is read once."""
    stores: dict[str, ImageStore] = {}
    names: dict[str, set[str]] = {}
    for store, of_key in wanted.values():
        stores[store.identity] = store
        names.setdefault(store.identity, set()).update(of_key)
    found = {identity: dict(hash_files(stores[identity], sorted(names[identity]), progress)) for identity in names}
    return {key: {name: found[store.identity][name] for name in of_key} for key, (store, of_key) in wanted.items()}


def _hash(work: _Work, bounds: tuple[int, int]) -> list[str | ImageError]:
    return [digest for digest, _ in work.store.digests(work.names[slice(*bounds)], work.algorithm)]
