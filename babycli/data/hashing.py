"""The digests of many files of one store, in parallel.

Owns how the work is divided. verify.py says what a digest should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from babycli.data.decoding import check_header
from babycli.data.digests import new_hash
from babycli.data.images import ImageError, ImageStore
from babycli.data.workers import chunks, map_in_processes


@dataclass(frozen=True, slots=True)
class _Work:
    store: ImageStore
    names: Sequence[str]
    algorithm: str
    checks: bool
    are_images: bool


def hash_files(
    store: ImageStore,
    names: Sequence[str],
    progress: Callable[[int], None],
    algorithm: str = "sha256",
    checks: bool = False,
    are_images: bool = False,
) -> Iterator[tuple[str, str | ImageError]]:
    """Gives every name with its digest or the reason why it has none, in the order of the names.

    ``checks`` as for hash_each(). With ``are_images``, files that are larger than an image can be are not read.
    """
    bounds = chunks(len(names))
    work = _Work(store, names, algorithm, checks, are_images)
    for (start, end), digests in zip(bounds, map_in_processes(_hash, work, bounds), strict=True):
        yield from zip(names[start:end], digests, strict=True)
        progress(end - start)


def hash_each(
    wanted: Mapping[str, tuple[ImageStore, Sequence[str]]], progress: Callable[[int], None], checks: bool = False
) -> dict[str, dict[str, str | ImageError]]:
    """Gives the SHA-256 of the image files under each key. A file that several keys name is read once.

    With ``checks``, a file that does not begin and end as an image gets an error instead.
    """
    stores: dict[str, ImageStore] = {}
    names: dict[str, set[str]] = {}
    for store, of_key in wanted.values():
        stores[store.identity] = store
        names.setdefault(store.identity, set()).update(of_key)
    by_store = {
        identity: dict(hash_files(stores[identity], sorted(names[identity]), progress, checks=checks, are_images=True))
        for identity in names
    }
    return {key: {name: by_store[store.identity][name] for name in of_key} for key, (store, of_key) in wanted.items()}


def _hash(work: _Work, bounds: tuple[int, int]) -> list[str | ImageError]:
    names = work.names[slice(*bounds)]
    if work.checks:
        return [_checked_digest(work.store, name, work.algorithm) for name in names]
    images = frozenset(names) if work.are_images else frozenset()
    return [digest for digest, _ in work.store.digests(names, work.algorithm, images)]


def _checked_digest(store: ImageStore, name: str, algorithm: str) -> str | ImageError:
    """Hashes a file and checks that it begins and ends as an image, reading it once."""
    try:
        content = store.read(name)
        check_header(content, store.place(name))
    except ImageError as error:
        return error
    digest = new_hash(algorithm)
    digest.update(content)
    return digest.hexdigest()
