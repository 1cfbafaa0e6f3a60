"""The digests of many files of one store, in parallel.

Owns how the work is cut. What a digest should be is verify.py's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from babycli.data.digests import new_hash
from babycli.data.images import ImageError, ImageStore, check_header
from babycli.data.workers import chunks, map_in_processes


@dataclass(frozen=True, slots=True)
class _Work:
    store: ImageStore
    names: Sequence[str]
    algorithm: str
    checks: bool


def hash_files(
    store: ImageStore,
    names: Sequence[str],
    progress: Callable[[int], None],
    algorithm: str = "sha256",
    checks: bool = False,
) -> Iterator[tuple[str, str | ImageError]]:
    """Every name with its digest, or with why it has none, in the order of the names. ``checks`` as for hash_each()."""
    bounds = chunks(len(names))
    work = _Work(store, names, algorithm, checks)
    for (start, end), found in zip(bounds, map_in_processes(_hash, work, bounds), strict=True):
        yield from zip(names[start:end], found, strict=True)
        progress(end - start)


def hash_each(
    wanted: Mapping[str, tuple[ImageStore, Sequence[str]]], progress: Callable[[int], None], checks: bool = False
) -> dict[str, dict[str, str | ImageError]]:
    """The SHA-256 of the names under every key. A file that several keys want is read once.

    ``checks``: a file that does not begin and end as an image has none.
    """
    stores: dict[str, ImageStore] = {}
    names: dict[str, set[str]] = {}
    for store, of_key in wanted.values():
        stores[store.identity] = store
        names.setdefault(store.identity, set()).update(of_key)
    found = {
        identity: dict(hash_files(stores[identity], sorted(names[identity]), progress, checks=checks))
        for identity in names
    }
    return {key: {name: found[store.identity][name] for name in of_key} for key, (store, of_key) in wanted.items()}


def _hash(work: _Work, bounds: tuple[int, int]) -> list[str | ImageError]:
    names = work.names[slice(*bounds)]
    if work.checks:
        return [_checked(work.store, name, work.algorithm) for name in names]
    return [digest for digest, _ in work.store.digests(names, work.algorithm)]


def _checked(store: ImageStore, name: str, algorithm: str) -> str | ImageError:
    """Hashes and looks at the same bytes, which are read once."""
    try:
        content = store.read(name)
        check_header(content, store.place(name))
    except ImageError as error:
        return error
    digest = new_hash(algorithm)
    digest.update(content)
    return digest.hexdigest()
