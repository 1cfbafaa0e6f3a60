"""Comparing the files of some places with what they should be, in parallel; unchanged files are not read again.

Owns reading and comparing, and which comparisons an index spares. Never knows of tasks or label files.

Files are examined in groups. A group begins at each name whose CRC-32 is a multiple of 512, so that a new or removed
file changes no other group. The key of a group holds all that its result depends on: the name, size, mtime, ctime and
inode of its files, and how deeply they were examined.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from babycli.data.decoding import check_header, check_pixels
from babycli.data.images import ImageError, ImageStore
from babycli.data.index import VerifyIndex
from babycli.data.problems import ProblemKind
from babycli.data.workers import CHUNK, map_in_processes
from babycli.wording import Depth

_RACY_NS = 2_000_000_000  # a file this young could be written again and keep the same times (git's rule)
_KEYS_A_TASK = 8  # groups whose keys one task computes
_MAX_CHECKED_BYTES = 64 << 20  # a larger file that need not be an image is not looked at as one


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of one file of a place."""

    kind: ProblemKind
    name: str
    detail: str = ""
    digest: str = ""  # the actual one, where it is not the listed one


@dataclass(frozen=True, slots=True)
class Contents:
    """Files of one place to look into."""

    store: ImageStore
    names: Sequence[str]  # sorted
    images: frozenset[str]  # those that must be images
    prefix: str = ""  # that the list of digests puts before a name


@dataclass(frozen=True, slots=True)
class Examination:
    findings: tuple[tuple[Finding, ...], ...]  # place by place
    n_hashed: int  # files that were read now
    n_trusted: int  # files whose state is that of an earlier examination


_Group = tuple[int, int, int]  # a place, and the range of its names


@dataclass(frozen=True, slots=True)
class Listed:
    """The digests that the files of a place should have, by prefix and name; None where nothing is listed."""

    algorithm: str
    digests: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class _Work:
    places: Sequence[Contents]
    depth: Depth
    listed: Sequence[Listed] = ()  # for each place
    has_keys: bool = False  # the keys of groups are wanted


def examine(
    places: Sequence[Contents],
    depth: Depth,
    load: Callable[[], Sequence[Listed]],
    index: VerifyIndex,
    full: bool,
    progress: Callable[[int], None],
) -> Examination:
    """Compares every file. ``load`` is called only if a file must be read; ``full`` reads all of them."""
    groups = [group for i, place in enumerate(places) for group in _groups(i, place.names)]
    by_group: dict[_Group, tuple[Finding, ...]] = {}
    if index and not full:
        bunches = [groups[i : i + _KEYS_A_TASK] for i in range(0, len(groups), _KEYS_A_TASK)]
        work = _Work(places, depth)
        for bunch, keys in zip(bunches, map_in_processes(_keys, work, bunches), strict=True):
            for group, key in zip(bunch, keys, strict=True):
                known = index.get(key)
                if known is not None:
                    by_group[group] = tuple(Finding(ProblemKind(kind), *rest) for kind, *rest in known)
                    progress(group[2] - group[1])
    unknown = [group for group in groups if group not in by_group]
    if unknown:
        work = _Work(places, depth, load(), index.keeps)
        for group, (new_key, findings) in zip(unknown, map_in_processes(_examine, work, unknown), strict=True):
            by_group[group] = findings
            if new_key is not None:
                index.put(
                    new_key,
                    [[finding.kind.value, finding.name, finding.detail, finding.digest] for finding in findings],
                )
            progress(group[2] - group[1])
    n_hashed = sum(end - start for _, start, end in unknown)
    by_place: list[list[Finding]] = [[] for _ in places]
    for group in groups:
        by_place[group[0]] += by_group[group]
    return Examination(tuple(map(tuple, by_place)), n_hashed, sum(len(place.names) for place in places) - n_hashed)


def _groups(place: int, names: Sequence[str]) -> list[_Group]:
    if not names:
        return []
    starts = [i for i, name in enumerate(names) if not zlib.crc32(name.encode("utf-8", "surrogateescape")) % CHUNK]
    bounds = [*([] if starts[:1] == [0] else [0]), *starts, len(names)]
    return [(place, start, end) for start, end in pairwise(bounds)]


def _keys(work: _Work, groups: Sequence[_Group]) -> list[str]:
    keys = []
    for place, start, end in groups:
        of_place = work.places[place]
        names = of_place.names[start:end]
        keys.append(_key(of_place, work.depth, names, list(of_place.store.states(names))))
    return keys


def _key(place: Contents, depth: Depth, names: Sequence[str], states: Sequence[os.stat_result | None]) -> str:
    images = place.images
    lines = [f"{place.store.identity}\0{place.prefix}\0{depth}"]
    for name, state in zip(names, states, strict=True):
        lines.append(
            f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ctime_ns}\0{state.st_ino}\0{name in images}"
            if state is not None
            else name
        )
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _examine(work: _Work, group: _Group) -> tuple[str | None, tuple[Finding, ...]]:
    """Compares the files of a group. Gives its key too, if the files are old enough to be told by their times."""
    place, start, end = group
    of_place, listed = work.places[place], work.listed[place].digests
    names = of_place.names[start:end]
    began_ns = time.time_ns()
    findings = []
    states: list[os.stat_result | None] = []
    if listed is None:  # nothing to compare with
        checked = [_fault_of(of_place, name, "", "", work.depth) for name in names]
        return None, tuple(finding for finding in checked if finding is not None)
    algorithm = work.listed[place].algorithm
    found = of_place.store.digests(names, algorithm, of_place.images)
    for name, (digest, state) in zip(names, found, strict=True):
        states.append(state)
        wanted = listed.get(of_place.prefix + name)
        if isinstance(digest, ImageError):
            findings.append(Finding(digest.kind, name, digest.detail))
        elif digest != wanted or name in of_place.images:
            is_small = state is None or state.st_size <= _MAX_CHECKED_BYTES
            fault = _fault_of(of_place, name, digest, wanted, work.depth, is_small)
            findings += [fault] if fault is not None else []
    if not work.has_keys:
        return None, tuple(findings)
    is_old = all(state is not None and is_settled(state, began_ns) for state in states)
    return (_key(of_place, work.depth, names, states) if is_old else None), tuple(findings)


def is_settled(state: os.stat_result, at_ns: int) -> bool:
    """Tells whether a file was old enough at a time that a later change of it would change its times."""
    return max(state.st_mtime_ns, state.st_ctime_ns) < at_ns - _RACY_NS


def _fault_of(
    place: Contents, name: str, digest: str, wanted: str | None, depth: Depth, is_small: bool = True
) -> Finding | None:
    """Tells what is wrong with a file that has another digest than wanted, or that must be an image; None if sound.

    An image that is cut off, or is no image, is called so; any other file with other bytes is a checksum mismatch.
    """
    is_image, is_same = name in place.images, digest == wanted
    broken = _image_fault(place.store, name, depth == Depth.DECODE and is_image) if is_image or is_small else None
    if broken is not None and (is_image if is_same or wanted is None else _is_worse(broken, is_image, depth)):
        return Finding(broken.kind, name, broken.detail, digest)
    if is_same:
        return None
    if wanted is None:
        return Finding(ProblemKind.UNEXPECTED, name, "the list of checksums does not name it", digest)
    detail = f"its digest is {digest[:16]}…, should be {wanted[:16]}…"
    return Finding(ProblemKind.CHECKSUM, name, f"{detail}; {broken.kind}" if broken else detail, digest)


def _image_fault(store: ImageStore, name: str, decodes: bool) -> ImageError | None:
    try:
        content = store.read(name)
        (check_pixels if decodes else check_header)(content, "")
    except ImageError as error:
        return error
    return None


def _is_worse(broken: ImageError, is_image: bool, depth: Depth) -> bool:
    """Tells whether this fault says more than a checksum mismatch does."""
    if broken.kind == ProblemKind.EMPTY:
        return True
    if broken.kind == ProblemKind.UNDECODABLE and depth != Depth.DECODE:
        return False  # damage to the header is damage like any other
    return is_image or broken.kind == ProblemKind.TRUNCATED
