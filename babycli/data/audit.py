"""The audit of some places: which files are there and, to a chosen depth, whether their contents are right.

Owns bringing together the inventory, the examination, the checksums and the index. Never knows of tasks.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babycli.data.bags import Bag
from babycli.data.checksums import ChecksumFile
from babycli.data.examine import Contents, Examination, Finding, Listed, examine
from babycli.data.images import ImageError, ImageStore
from babycli.data.index import VerifyIndex
from babycli.data.inventory import Inventory, Place, explain, look_for_needed, look_through
from babycli.data.names import leads_astray
from babycli.data.problems import ProblemKind
from babycli.wording import Depth

Digests = Mapping[str, str]  # SHA-256 by name

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif", ".jp2")
_TRIED = 64  # files that may tell SHA-256 from BLAKE3


@dataclass(frozen=True, slots=True)
class Audit:
    """How closely to look, and what may be reused."""

    depth: Depth
    manifest: ChecksumFile | None
    index_folder: Path | None  # None: nothing is remembered
    full: bool  # read files that an earlier audit has read, too
    strict: bool  # an image of which no list says anything is a problem


@dataclass(frozen=True, slots=True)
class Audited:
    """The result of an audit, place by place."""

    findings: tuple[tuple[Finding, ...], ...]
    problems: tuple[ImageError, ...]  # folders that could not be looked into
    is_covered: tuple[bool, ...]  # the manifest covers this place
    known: tuple[Digests, ...]  # digests that needed images should have; perhaps only those that several images share
    n_hashed: int
    n_trusted: int


def audit(
    places: Sequence[Place], recorded: Sequence[Digests | None], how: Audit, progress: Callable[[int], None]
) -> Audited:
    """Compares the files of some places with the manifest or, where it does not cover a place, with ``recorded``.

    In a place that the manifest covers, every file is compared; elsewhere, only the needed images are. Raises
    DataError for a manifest that cannot be read.
    """
    index = VerifyIndex(how.index_folder if how.depth == Depth.CHECKSUM else None, _belongs_to(places, recorded, how))
    done = False
    try:
        inventories = _inventories(places, how.manifest, index, how.full)
        load = functools.cache(lambda: _listed_digests(places, inventories, recorded, how, index))
        examined = Examination(tuple(() for _ in places), 0, 0)
        if how.depth != Depth.NAMES:
            contents = [_contents(*pair, how) for pair in zip(places, inventories, strict=True)]
            examined = examine(contents, how.depth, load, index, how.full, progress)
        done = True
    finally:
        index.close(complete=done)
    bag = how.manifest.bag if how.manifest is not None else None
    findings = tuple(
        tuple(_explained_findings(place, inventory, [*inventory.findings, *examined_findings], i, load, bag))
        for i, (place, inventory, examined_findings) in enumerate(
            zip(places, inventories, examined.findings, strict=True)
        )
    )
    return Audited(
        findings,
        tuple(problem for inventory in inventories for problem in inventory.problems),
        tuple(inventory.prefix is not None for inventory in inventories),
        _known(places, inventories, findings, load),
        examined.n_hashed,
        examined.n_trusted,
    )


def _belongs_to(places: Sequence[Place], recorded: Sequence[Digests | None], how: Audit) -> str:
    lists = [sorted(digests.items()) if digests is not None else None for digests in recorded]
    manifest = [how.manifest.identity, os.path.realpath(how.manifest.path)] if how.manifest is not None else None
    parts = [how.depth, how.strict, manifest, [place.store.identity for place in places], lists]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _inventories(
    places: Sequence[Place], manifest: ChecksumFile | None, index: VerifyIndex, full: bool
) -> list[Inventory]:
    if manifest is None:
        return [look_for_needed(place) for place in places]
    inventories = look_through(places, manifest, index, full)
    return [
        inventory if inventory.prefix is not None else look_for_needed(place)
        for place, inventory in zip(places, inventories, strict=True)
    ]


def _contents(place: Place, inventory: Inventory, how: Audit) -> Contents:
    images = frozenset(place.needed)
    if not place.needed and how.depth != Depth.CHECKSUM:  # a download by itself: its images are told by their names
        images = frozenset(name for name in inventory.names if is_named_as_image(name))
    return Contents(place.store, inventory.names, images, inventory.prefix or "")


def is_named_as_image(name: str) -> bool:
    """Tells whether a file should be an image. In ``._x.jpg`` macOS keeps what it knows of x.jpg; it is no picture."""
    return name.lower().endswith(_IMAGE_SUFFIXES) and not name.rpartition("/")[2].startswith("._")


def _listed_digests(
    places: Sequence[Place],
    inventories: Sequence[Inventory],
    recorded: Sequence[Digests | None],
    how: Audit,
    index: VerifyIndex,
) -> list[Listed]:
    listed = []
    algorithm = _algorithm(places, inventories, how.manifest, index) if how.manifest is not None else ""
    for inventory, of_place in zip(inventories, recorded, strict=True):
        if inventory.prefix is not None and how.manifest is not None:
            listed.append(Listed(algorithm, how.manifest.checksums.by_name))
        else:
            listed.append(Listed("sha256", {} if of_place is None and how.strict else of_place))
    return listed


def _algorithm(
    places: Sequence[Place], inventories: Sequence[Inventory], manifest: ChecksumFile, index: VerifyIndex
) -> str:
    """Tells which algorithm made the digests of a manifest.

    The plain lines of sha256sum and b3sum look the same. Then some files are hashed with both, and the algorithm by
    which any file agrees is taken. Where no file agrees it is SHA-256, and nothing of this audit is remembered.
    """
    checksums = manifest.checksums
    if checksums.algorithm is not None:
        return checksums.algorithm
    known = index.get("algorithm")
    if isinstance(known, str):
        return known
    tried: list[tuple[ImageStore, str, str]] = []
    for place, inventory in zip(places, inventories, strict=True):
        prefix = inventory.prefix
        names = [name for name in inventory.names if prefix is not None and prefix + name in checksums.by_name]
        some = names[:: max(1, len(names) // _TRIED)]
        tried += [(place.store, name, checksums.by_name[f"{prefix}{name}"]) for name in some]
    for algorithm in ("sha256", "blake3"):
        if any(_file_digest(store, algorithm, name) == digest for store, name, digest in tried):
            index.put("algorithm", algorithm)
            return algorithm
    index.forget()
    return "sha256"


def _explained_findings(
    place: Place,
    inventory: Inventory,
    findings: list[Finding],
    i: int,
    load: Callable[[], Sequence[Listed]],
    bag: Bag | None,
) -> Iterable[Finding]:
    fetched = bag.fetched() if bag is not None and inventory.prefix == "" else {}
    # ~ is a home to some programs, and . is the bag itself, to which nothing can be fetched.
    astray = [name for name in fetched if name != "." and (leads_astray(name) or name.startswith("~"))]
    unsafe = [Finding(ProblemKind.UNSAFE_NAME, name, "in fetch.txt") for name in astray]
    if not findings:
        return unsafe
    listed = load()[i]
    digests = listed.digests or {}
    if inventory.prefix is None:
        missing = any(finding.kind == ProblemKind.MISSING for finding in findings)
        others = sorted(set(place.store.scan()[0]).difference(place.needed)) if missing else []
        digest_of = functools.partial(_file_digest, place.store, listed.algorithm)
        return [_in_words_of_the_lock(finding) for finding in explain(findings, digests, others, digest_of)]
    prefix = inventory.prefix
    of_place = {name[len(prefix) :]: digest for name, digest in digests.items() if name.startswith(prefix)}
    unexpected = {finding.name: finding.digest for finding in findings if finding.kind == ProblemKind.UNEXPECTED}
    explained = explain(findings, of_place, unexpected, unexpected.__getitem__)
    return [*(_with_address(finding, fetched) for finding in explained), *unsafe]


def _with_address(finding: Finding, fetched: Mapping[str, str]) -> Finding:
    """Adds to a missing file the address that the bag's fetch.txt has for it."""
    if finding.kind != ProblemKind.MISSING or finding.detail or finding.name not in fetched:
        return finding
    return replace(finding, detail=f"not fetched yet; fetch.txt has it at {fetched[finding.name]}")


def _in_words_of_the_lock(finding: Finding) -> Finding:
    if finding.kind != ProblemKind.UNEXPECTED:
        return finding
    return replace(finding, detail="no checksum of it is recorded; to record it, link again")


def _known(
    places: Sequence[Place],
    inventories: Sequence[Inventory],
    findings: Sequence[Sequence[Finding]],
    load: Callable[[], Sequence[Listed]],
) -> tuple[Digests, ...]:
    """Gives the digests that images should have, by which equal images are found.

    Where nothing is wrong and the manifest covers every place, the inventories know the equal ones already, and the
    manifest is not read again.
    """
    is_all_covered = all(inventory.prefix is not None for inventory in inventories)
    if is_all_covered and not any(finding.digest for of_place in findings for finding in of_place):
        return tuple(inventory.equal for inventory in inventories)
    known = []
    for place, inventory, listed in zip(places, inventories, load(), strict=True):
        digests, prefix = listed.digests or {}, inventory.prefix or ""
        known.append({name: digests[prefix + name] for name in place.needed if prefix + name in digests})
    return tuple(known)


def _file_digest(store: ImageStore, algorithm: str, name: str) -> str | ImageError:
    ((digest, _),) = store.digests([name], algorithm, [name] if is_named_as_image(name) else ())
    return digest
