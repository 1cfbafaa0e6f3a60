"""Which files are there, against which should be: names, not contents.

Owns missing and unexpected files, and under what name a missing one is there after all. Never opens a file, except to
tell whether one that was moved is the one that is missing.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from babycli.data.checksums import ChecksumFile, Checksums
from babycli.data.examine import Finding
from babycli.data.images import PROBES, ImageError, ImageStore
from babycli.data.index import VerifyIndex
from babycli.data.names import folded_name
from babycli.data.problems import ProblemKind


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or a folder of a zip, and what is looked for in it."""

    store: ImageStore
    needed: tuple[str, ...]  # images that tasks read, sorted


@dataclass(frozen=True, slots=True)
class Inventory:
    """One place, looked through."""

    names: Sequence[str]  # the files to look into, sorted
    findings: tuple[Finding, ...]
    problems: tuple[ImageError, ...] = ()  # folders that could not be looked into
    prefix: str | None = None  # what a manifest has before the names; None where it does not speak of this place
    equal: Mapping[str, str] = field(default_factory=dict)  # digests that the manifest has for several needed images


def look_for_needed(place: Place) -> Inventory:
    """Only at the images that tasks read."""
    problems = {name: place.store.problem(name) for name in place.needed}
    findings = tuple(Finding(each.kind, name, each.detail) for name, each in problems.items() if each is not None)
    return Inventory([name for name, each in problems.items() if each is None], findings)


def look_through(places: Sequence[Place], manifest: ChecksumFile, index: VerifyIndex) -> list[Inventory]:
    """At all files of all places, which together must be those of the manifest.

    A file that the manifest has too much is missing from the place whose prefix it has; one that it lacks is told by
    examine(). What is behind one place inside of another counts for the inner one.
    """
    scans = [place.store.scan() for place in places]
    own = os.path.realpath(manifest.path)
    names = []
    for place, (found, _) in zip(places, scans, strict=True):
        inner = _inner_folders(place, places)
        kept = [name for name in found if not name.startswith(inner)] if inner else found
        names.append([name for name in kept if f"{place.store.identity}/{name}" != own] if _holds(place, own) else kept)
    key = _names_key(places, names)
    known = index.get(key)
    if known is None:
        known = _compare(places, names, manifest.checksums)
        index.put(key, known)
    prefixes, missing, equal = known
    return [
        Inventory(
            names[i],
            tuple(Finding(ProblemKind(kind), name) for at, kind, name in missing if at == i),
            tuple(scans[i][1]),
            prefixes[i],
            {name: digest for at, name, digest in equal if at == i},
        )
        for i in range(len(places))
    ]


def explain(
    findings: Iterable[Finding],
    listed: Mapping[str, str],
    others: Iterable[str],
    digest_of: Callable[[str], object],
) -> list[Finding]:
    """The findings of a place, with what is behind them.

    ``listed`` has the digests that its files should have; ``others`` are files there that should not be, or of which
    nothing is said. Of a file that is there under another name only the name that it should have is told.
    """
    findings = list(findings)
    if not findings:
        return []
    others = list(others)
    by_folded = {folded_name(name): name for name in others}
    by_file_name = {name.rsplit("/", 1)[-1]: name for name in others}
    unexpected = {each.digest: each.name for each in findings if each.kind == ProblemKind.UNEXPECTED}
    owners = {digest: name for name, digest in listed.items()} if any(each.digest for each in findings) else {}
    taken = set()
    explained = []
    for each in findings:
        wanted = listed.get(each.name)
        if each.kind == ProblemKind.MISSING and each.detail == "":
            same = by_folded.get(folded_name(each.name))
            moved = by_file_name.get(each.name.rsplit("/", 1)[-1])
            if same is not None:
                taken.add(same)
                differs = "" if wanted is None or digest_of(same) == wanted else ", with other bytes"
                each = replace(each, kind=ProblemKind.CASE, detail=f"it is there as {same}{differs}")
            elif moved is not None and (wanted is None or digest_of(moved) == wanted):
                taken.add(moved)
                each = replace(each, kind=ProblemKind.WRONG_FOLDER, detail=f"it is at {moved}")
            elif wanted in unexpected:
                each = replace(each, detail=f"its bytes are at {unexpected[wanted]}")
        elif (
            each.kind in (ProblemKind.CHECKSUM, ProblemKind.UNEXPECTED)
            and owners.get(each.digest, each.name) != each.name
        ):
            each = replace(each, detail=f"these are the bytes of {owners[each.digest]}")
        explained.append(each)
    return [each for each in explained if each.kind != ProblemKind.UNEXPECTED or each.name not in taken]


def _holds(place: Place, path: str) -> bool:
    return path.startswith(place.store.identity.rstrip("/") + "/")


def _inner_folders(place: Place, places: Sequence[Place]) -> tuple[str, ...]:
    outer = place.store.identity.rstrip("/") + "/"
    inner = [other.store.identity.rstrip("/") + "/" for other in places if other is not place]
    return tuple(each.removeprefix(outer) for each in inner if each.startswith(outer) and each != outer)


def _names_key(places: Sequence[Place], names: Sequence[Sequence[str]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for place, of_place in zip(places, names, strict=True):
        for part in ([place.store.identity], place.needed, of_place):
            digest.update(b"%d\n" % len(part) + "\0".join(part).encode("utf-8", "surrogateescape"))
    return "names-" + digest.hexdigest()


def _spread(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // PROBES)]


def _compare(
    places: Sequence[Place], names: Sequence[Sequence[str]], checksums: Checksums
) -> tuple[list[str | None], list[tuple[int, str, str]], list[tuple[int, str, str]]]:
    """For each place its prefix, then what is missing (place, kind, name), then equal digests (place, name, digest)."""
    needed = [frozenset(place.needed) for place in places]
    prefixes = [
        checksums.best_prefix([*_spread([name for name in of_place if name in of_needed]), *_spread(of_place)])
        for of_needed, of_place in zip(needed, names, strict=True)
    ]
    covered = [(prefix, i) for i, prefix in enumerate(prefixes) if prefix is not None]
    there = {prefix + name for prefix, i in covered for name in names[i]}
    folders = [{name.rpartition("/")[0] for name in of_place} for of_place in names]
    missing: set[tuple[int, str, str]] = set()
    for listed in checksums.by_name:
        of_prefix = [(prefix, i) for prefix, i in covered if listed.startswith(prefix)] if listed not in there else []
        if of_prefix:

            def claim(prefix: str, i: int, listed: str = listed) -> tuple[int, bool, bool]:
                name = listed[len(prefix) :]
                return len(prefix), name in needed[i], name.rpartition("/")[0] in folders[i]

            # Several places may share a prefix: one that needs the file is meant, or has others of its folder.
            prefix, i = max(of_prefix, key=lambda at: claim(*at))
            name = listed[len(prefix) :]
            is_unsafe = name.startswith("/") or ".." in name.split("/") or "\0" in name
            missing.add((i, (ProblemKind.UNSAFE_NAME if is_unsafe else ProblemKind.MISSING).value, name))
    for _, i in covered:
        missing |= {(i, ProblemKind.MISSING.value, name) for name in needed[i].difference(names[i])}
    digests = [(i, name, checksums.by_name.get(prefix + name)) for prefix, i in covered for name in places[i].needed]
    count = Counter(digest for _, _, digest in digests)
    equal = [(i, name, digest) for i, name, digest in digests if digest is not None and count[digest] > 1]
    return prefixes, sorted(missing), equal
