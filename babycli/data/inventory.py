"""The inventory of some places: which files are there and which should be, by name and not by content.

Owns missing and unexpected files, and finding a missing file under another name. Never opens a file, except to tell
whether a moved file is the missing one.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from babycli.data.bags import PAYLOAD
from babycli.data.checksums import ChecksumFile
from babycli.data.examine import Finding
from babycli.data.images import PROBES, ImageError, ImageStore
from babycli.data.index import VerifyIndex
from babycli.data.names import folded_name, leads_astray
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
    prefix: str | None = None  # that a manifest puts before the names; None where it does not cover this place
    equal: Mapping[str, str] = field(default_factory=dict)  # digests that several needed images share in the manifest


def look_for_needed(place: Place) -> Inventory:
    """Looks for the images that tasks read, and for no other files."""
    problems = {name: place.store.problem(name) for name in place.needed}
    findings = tuple(
        Finding(problem.kind, name, problem.detail) for name, problem in problems.items() if problem is not None
    )
    return Inventory([name for name, problem in problems.items() if problem is None], findings)


def look_through(places: Sequence[Place], manifest: ChecksumFile, index: VerifyIndex, full: bool) -> list[Inventory]:
    """Lists the files of all places and compares their names with the manifest: together they must be its names.

    A name that only the manifest has is missing from the place whose prefix it begins with. Files that the manifest
    does not name are found by examine(). Where one place lies inside another, its files belong to the inner one alone.
    """
    scans = [place.store.scan() for place in places]
    names: list[list[str]] = []
    problems: list[list[ImageError]] = []
    for place, (files, unread) in zip(places, scans, strict=True):
        names.append(_its_business(files, manifest, place, places, index))
        above = place.store.place("")
        by_folder = {problem.path.removeprefix(above).removeprefix("/") + "/": problem for problem in unread}
        known = ["/", *_its_business(sorted(by_folder), manifest, place, places, index)]
        problems.append([problem for folder, problem in sorted(by_folder.items()) if folder in known])
    key = _names_key(places, names, problems)
    compared = index.get(key) if not full else None
    if compared is None:
        compared = _compare_names(places, names, problems, manifest)
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
    """Keeps the names of a place (files, sorted, or folders such as "data/") that the manifest should list.

    It leaves out the names of a place inside this one, the files that verify itself keeps, and the manifest. A
    manifest that lies right in the place, as in a bag or a subset, covers the folders that it names, nothing else.
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
    covers = index.get("covers")
    if covers is None:
        covers = _covered_by(manifest)
        index.put("covers", covers)
    tops, single = (frozenset(part) for part in covers)
    return [name for name in names if (name.split("/", 1)[0] if "/" in name else "") in tops or name in single]


def _covered_by(manifest: ChecksumFile) -> tuple[list[str], list[str]]:
    """Gives the folders of a place, "" for the place itself, whose files a manifest right in it should all list.

    Behind them, the other files that it lists. The manifests of a bag cover its payload and need not list other files;
    a tag manifest never lists another one (RFC 8493, sections 2.1.3 and 2.2.1).
    """
    listed = manifest.checksums.by_name
    if manifest.bag is None:
        own = [name for name in listed if not leads_astray(name)]
        return sorted({name.split("/", 1)[0] if "/" in name else "" for name in own}), []
    if manifest.bag.lists_tags:
        return [], sorted(listed)
    return [PAYLOAD], sorted(name for name in listed if not name.startswith(f"{PAYLOAD}/"))


def explain(
    findings: Iterable[Finding],
    listed: Mapping[str, str],
    others: Iterable[str],
    digest_of: Callable[[str], object],
) -> list[Finding]:
    """Explains the findings of a place by the other files there.

    ``listed`` has the digests that its files should have; ``others`` are files that should not be there, or that no
    list mentions. A file that is there under a name of other case or in another folder is reported once, under the
    name that it should have.
    """
    findings = list(findings)
    if not findings:
        return []
    others = list(others)
    by_folded = {folded_name(name): name for name in others}
    by_file_name: dict[str, list[str]] = {}
    for name in others:
        by_file_name.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    unexpected = {finding.digest: finding.name for finding in findings if finding.kind == ProblemKind.UNEXPECTED}
    owners = {digest: name for name, digest in listed.items()} if any(finding.digest for finding in findings) else {}
    taken = set()
    explained = []
    for finding in findings:
        wanted = listed.get(finding.name)
        if finding.kind == ProblemKind.MISSING and finding.detail == "":
            same = by_folded.get(folded_name(finding.name))
            namesakes = by_file_name.get(finding.name.rsplit("/", 1)[-1], [])
            moved = next((name for name in namesakes if wanted is None or digest_of(name) == wanted), None)
            if same is not None:
                taken.add(same)
                differs = "" if wanted is None or digest_of(same) == wanted else ", with other bytes"
                finding = replace(finding, kind=ProblemKind.CASE, detail=f"it is there as {same}{differs}")
            elif moved is not None:
                taken.add(moved)
                finding = replace(finding, kind=ProblemKind.WRONG_FOLDER, detail=f"it is at {moved}")
            elif wanted in unexpected:
                finding = replace(finding, detail=f"its bytes are at {unexpected[wanted]}")
        elif (
            finding.kind in (ProblemKind.CHECKSUM, ProblemKind.UNEXPECTED)
            and owners.get(finding.digest, finding.name) != finding.name
        ):
            finding = replace(finding, detail=f"these are the bytes of {owners[finding.digest]}")
        explained.append(finding)
    return [finding for finding in explained if finding.kind != ProblemKind.UNEXPECTED or finding.name not in taken]


def _inner_folders(place: Place, places: Sequence[Place]) -> tuple[str, ...]:
    outer = place.store.identity.rstrip("/") + "/"
    inner = [other.store.identity.rstrip("/") + "/" for other in places if other is not place]
    return tuple(folder.removeprefix(outer) for folder in inner if folder.startswith(outer) and folder != outer)


def _names_key(
    places: Sequence[Place], names: Sequence[Sequence[str]], problems: Sequence[Sequence[ImageError]]
) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for place, of_place, unread in zip(places, names, problems, strict=True):
        for part in ([place.store.identity], place.needed, of_place, [problem.path for problem in unread]):
            digest.update(b"%d\n" % len(part) + "\0".join(part).encode("utf-8", "surrogateescape"))
    return "names-" + digest.hexdigest()


def _absent(listed: Mapping[str, str], there: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Lists the names that are in the manifest and in no place.

    Mostly there are none, and then no set of (for SAYCam) 600,285 names is made.
    """
    if len(there) == 1:
        ((prefix, names),) = there
        if len(names) == len(listed) and all(map(listed.__contains__, map(prefix.__add__, names))):
            return []
    present = {prefix + name for prefix, names in there for name in names}
    return [name for name in listed if name not in present]


def _spread(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // PROBES)]


def _compare_names(
    places: Sequence[Place],
    names: Sequence[Sequence[str]],
    problems: Sequence[Sequence[ImageError]],
    manifest: ChecksumFile,
) -> tuple[list[str | None], list[tuple[int, str, str]], list[tuple[int, str, str]]]:
    """Gives the prefix of each place, missing files (place, kind, name) and equal digests (place, name, digest)."""
    checksums, own = manifest.checksums, os.path.realpath(manifest.path)
    needed = [frozenset(place.needed) for place in places]
    prefixes: list[str | None] = []
    for place, of_needed, of_place in zip(places, needed, names, strict=True):
        known = [name for name in of_place if name in of_needed]
        prefix = checksums.best_prefix([*_spread(known), *_spread(of_place)], place.store.identity)
        prefixes.append("" if len(places) == 1 and not of_place else prefix)  # an empty folder lacks all files
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

            # Several places may share a prefix: the one is meant that needs the file, or has other files of its folder.
            prefix, i = max(of_prefix, key=lambda at: claim(*at))
            name = listed[len(prefix) :]
            where = places[i].store.place(name) if problems[i] else ""
            if any(where.startswith(f"{problem.path}/") for problem in problems[i]):
                continue  # it could not be looked for
            is_unsafe = bool(leads_astray(name))
            if not is_unsafe and f"{places[i].store.identity}/{name}" == own:
                continue  # the manifest, listed in itself while it was written
            missing.add((i, (ProblemKind.UNSAFE_NAME if is_unsafe else ProblemKind.MISSING).value, name))
    for _, i in covered:
        missing |= {(i, ProblemKind.MISSING.value, name) for name in needed[i].difference(names[i])}
    digests = [(i, name, checksums.by_name.get(prefix + name)) for prefix, i in covered for name in places[i].needed]
    count = Counter(digest for _, _, digest in digests)
    equal = [(i, name, digest) for i, name, digest in digests if digest is not None and count[digest] > 1]
    return prefixes, sorted(missing), equal
