"""Which files are there, against which should be: names, not contents.

Owns missing and unexpected files, and under what name a missing one is there after all. Never opens a file, except to
tell whether one that was moved is the one that is missing.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from babycli.data.checksums import ChecksumFile
from babycli.data.examine import Finding
from babycli.data.images import PROBES, ImageError, ImageStore
from babycli.data.index import VerifyIndex
from babycli.data.names import folded_name
from babycli.data.problems import ProblemKind
from babycli.data.root import INDEX_FOLDER


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


def look_through(places: Sequence[Place], manifest: ChecksumFile, index: VerifyIndex, full: bool) -> list[Inventory]:
    """At all files of all places, which together must be those of the manifest.

    A file that the manifest has too much is missing from the place whose prefix it has; one that it lacks is told by
    examine(). What is behind one place inside of another counts for the inner one.
    """
    scans = [place.store.scan() for place in places]
    names: list[list[str]] = []
    problems: list[list[ImageError]] = []
    for place, (found, unread) in zip(places, scans, strict=True):
        names.append(_its_business(found, manifest, place, places, index))
        above = place.store.place("")
        by_folder = {each.path.removeprefix(above).removeprefix("/") + "/": each for each in unread}
        known = ["/", *_its_business(sorted(by_folder), manifest, place, places, index)]
        problems.append([each for folder, each in sorted(by_folder.items()) if folder in known])
    key = _names_key(places, names, problems)
    compared = index.get(key) if not full else None
    if compared is None:
        compared = _compare(places, names, problems, manifest)
        index.put(key, compared)
    prefixes, missing, equal = compared
    return [
        Inventory(
            names[i],
            tuple(Finding(ProblemKind(kind), name) for at, kind, name in missing if at == i),
            tuple(problems[i]),
            prefixes[i],
            {name: digest for at, name, digest in equal if at == i},
        )
        for i in range(len(places))
    ]


def _its_business(
    names: list[str], manifest: ChecksumFile, place: Place, places: Sequence[Place], index: VerifyIndex
) -> list[str]:
    """Which of the files of a place, sorted, and of its folders ("data/"), the manifest should list.

    Not those of a place inside of this one, nor what verify itself keeps, nor the manifest. One that lies right in the
    place, as that of a bag or of a subset does, speaks of the folders that it names, and not of what lies beside them.
    """
    own = os.path.realpath(manifest.path).removeprefix(f"{place.store.identity}/")
    for inner in (*_inner_folders(place, places), f"{INDEX_FOLDER}/"):
        start, end = bisect_left(names, inner), bisect_left(names, inner[:-1] + chr(ord("/") + 1))
        names = names[:start] + names[end:] if start < end else names
    at = bisect_left(names, own)
    if names[at : at + 1] == [own]:
        names = names[:at] + names[at + 1 :]
    if "/" in own:
        return names
    tops = index.get("tops")
    if tops is None:
        tops = sorted({name.split("/", 1)[0] if "/" in name else "" for name in manifest.checksums.by_name})
        index.put("tops", tops)
    return [name for name in names if (name.split("/", 1)[0] if "/" in name else "") in tops]


def explain(
    findings: Iterable[Finding],
    listed: Mapping[str, str],
    others: Iterable[str],
    digest_of: Callable[[str], object],
) -> list[Finding]:
    """The findings of a place, with what is behind them.

    ``listed`` has the digests that its files should have; ``others`` are files there that should not be, or of which
    nothing is said. A file that differs from its name only by case or by its folder is told once, by the name that it
    should have.
    """
    findings = list(findings)
    if not findings:
        return []
    others = list(others)
    by_folded = {folded_name(name): name for name in others}
    by_file_name: dict[str, list[str]] = {}
    for name in others:
        by_file_name.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    unexpected = {each.digest: each.name for each in findings if each.kind == ProblemKind.UNEXPECTED}
    owners = {digest: name for name, digest in listed.items()} if any(each.digest for each in findings) else {}
    taken = set()
    explained = []
    for each in findings:
        wanted = listed.get(each.name)
        if each.kind == ProblemKind.MISSING and each.detail == "":
            same = by_folded.get(folded_name(each.name))
            namesakes = by_file_name.get(each.name.rsplit("/", 1)[-1], [])
            moved = next((name for name in namesakes if wanted is None or digest_of(name) == wanted), None)
            if same is not None:
                taken.add(same)
                differs = "" if wanted is None or digest_of(same) == wanted else ", with other bytes"
                each = replace(each, kind=ProblemKind.CASE, detail=f"it is there as {same}{differs}")
            elif moved is not None:
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


def _inner_folders(place: Place, places: Sequence[Place]) -> tuple[str, ...]:
    outer = place.store.identity.rstrip("/") + "/"
    inner = [other.store.identity.rstrip("/") + "/" for other in places if other is not place]
    return tuple(each.removeprefix(outer) for each in inner if each.startswith(outer) and each != outer)


def _names_key(
    places: Sequence[Place], names: Sequence[Sequence[str]], problems: Sequence[Sequence[ImageError]]
) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for place, of_place, unread in zip(places, names, problems, strict=True):
        for part in ([place.store.identity], place.needed, of_place, [each.path for each in unread]):
            digest.update(b"%d\n" % len(part) + "\0".join(part).encode("utf-8", "surrogateescape"))
    return "names-" + digest.hexdigest()


def _absent(listed: Mapping[str, str], there: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """What is listed and nowhere there. Mostly nothing is, and that is told without making a set of 600,285 names."""
    if len(there) == 1:
        ((prefix, names),) = there
        if len(names) == len(listed) and all(map(listed.__contains__, map(prefix.__add__, names))):
            return []
    found = {prefix + name for prefix, names in there for name in names}
    return [name for name in listed if name not in found]


def _spread(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // PROBES)]


def _compare(
    places: Sequence[Place],
    names: Sequence[Sequence[str]],
    problems: Sequence[Sequence[ImageError]],
    manifest: ChecksumFile,
) -> tuple[list[str | None], list[tuple[int, str, str]], list[tuple[int, str, str]]]:
    """For each place its prefix, then what is missing (place, kind, name), then equal digests (place, name, digest)."""
    checksums, own = manifest.checksums, os.path.realpath(manifest.path)
    needed = [frozenset(place.needed) for place in places]
    prefixes: list[str | None] = []
    for place, of_needed, of_place in zip(places, needed, names, strict=True):
        known = [name for name in of_place if name in of_needed]
        prefix = checksums.best_prefix([*_spread(known), *_spread(of_place)], place.store.identity)
        prefixes.append("" if len(places) == 1 and not of_place else prefix)  # an emptied folder lacks them all
    covered = [(prefix, i) for i, prefix in enumerate(prefixes) if prefix is not None]
    absent = _absent(checksums.by_name, [(prefix, names[i]) for prefix, i in covered])
    folders = [{name.rpartition("/")[0] for name in of_place} if absent else set() for of_place in names]
    missing: set[tuple[int, str, str]] = set()
    for listed in absent:
        of_prefix = [(prefix, i) for prefix, i in covered if listed.startswith(prefix)]
        if of_prefix:

            def claim(prefix: str, i: int, listed: str = listed) -> tuple[int, bool, bool]:
                name = listed[len(prefix) :]
                return len(prefix), name in needed[i], name.rpartition("/")[0] in folders[i]

            # Several places may share a prefix: one that needs the file is meant, or has others of its folder.
            prefix, i = max(of_prefix, key=lambda at: claim(*at))
            name = listed[len(prefix) :]
            where = places[i].store.place(name)
            if any(where.startswith(f"{each.path}/") for each in problems[i]):
                continue  # it could not be looked for
            is_unsafe = name.startswith("/") or ".." in name.split("/") or "\0" in name
            if not is_unsafe and f"{places[i].store.identity}/{name}" == own:
                continue  # the manifest, listed in itself while it was written
            missing.add((i, (ProblemKind.UNSAFE_NAME if is_unsafe else ProblemKind.MISSING).value, name))
    for _, i in covered:
        missing |= {(i, ProblemKind.MISSING.value, name) for name in needed[i].difference(names[i])}
    digests = [(i, name, checksums.by_name.get(prefix + name)) for prefix, i in covered for name in places[i].needed]
    count = Counter(digest for _, _, digest in digests)
    equal = [(i, name, digest) for i, name, digest in digests if digest is not None and count[digest] > 1]
    return prefixes, sorted(missing), equal
