"""Unpacking a zip into a folder: its members are checked first, and all of them are unpacked or none.

Owns what is refused, and how files get there. Never writes outside of the folder, never over a file.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.data.copying import RESERVED_NAME, assembling
from babycli.data.decoding import check_header
from babycli.data.images import ImageError
from babycli.data.names import MAX_DEPTH, folded_name, why_not_written
from babycli.data.problems import Problem, ProblemKind
from babycli.data.workers import chunks, map_in_processes
from babycli.data.zip_entry import Member, unreadable_why
from babycli.data.zips import MAX_MEMBER_BYTES, SYMLINK, MemberError, ZipArchive
from babycli.errors import DataError
from babycli.files import explained, raise_limit, read_file
from babycli.wording import listed

_CHUNK = 256  # members that one task unpacks
_MAX_RATIO = 1000  # DEFLATE packs at best 1032 to 1, and only an uncompressed image of one colour comes near that
_MAX_TRIED_BYTES = 1 << 30  # of members that are packed so well, unpacked to see whether they are images
_RATIO_COUNTS_BYTES = 1 << 20  # a smaller member does no harm
_SPARE_BYTES = 64 << 20  # left free on the disk
_MAX_PART_BYTES = 255  # of a name between slashes, on most file systems
_MAX_NAME_BYTES = 1024

_State = Literal["absent", "same", "other"]


@dataclass(frozen=True, slots=True)
class Extracted:
    """The result of unpacking."""

    n_files: int  # in the folder, or waiting beside it where there are problems
    n_written: int  # now; the others were there
    problems: tuple[Problem, ...]  # members that cannot be read


@dataclass(frozen=True, slots=True)
class _Work:
    archive: ZipArchive
    members: Sequence[Member]
    folder: Path


def check_members(archive: ZipArchive, members: Sequence[Member]) -> list[Problem]:
    """Finds the members that are not safe to unpack into any folder. The problems are sorted."""
    problems = []
    left_bytes = _MAX_TRIED_BYTES
    for member in members:
        wrong = _wrong(member)
        if wrong is None and member.size_bytes > max(_RATIO_COUNTS_BYTES, _MAX_RATIO * member.compressed_bytes):
            left_bytes -= member.size_bytes
            wrong = None if left_bytes >= 0 and _is_image(archive, member) else _as_bomb(member)
        if wrong is not None:
            problems.append(Problem("", wrong[0], f"{archive.path}/{member.name}", wrong[1]))
    names = [member.name for member in members if len(member.name) <= _MAX_NAME_BYTES and _depth(member) <= MAX_DEPTH]
    return sorted([*problems, *_collisions(archive, sorted(names))])


def extract(archive: ZipArchive, members: Sequence[Member], folder: Path, progress: Callable[[int], None]) -> Extracted:
    """Unpacks members that check_members() finds nothing wrong with. ``progress`` gets bytes.

    Files that exist with the same bytes are kept. If a member cannot be read, the others wait in the staging folder for
    the next run, as after an interruption. Raises DataError where a file with other bytes is in the way, or where the
    disk has no room.
    """
    members = sorted(members, key=lambda member: member.offset)  # as they lie on the disk
    with assembling(folder) as assembly:
        absent = members
        if not assembly.is_whole:
            states = _all_states(_Work(archive, members, assembly.folder))
            _refuse_others(assembly.folder, members, states)
            absent = [member for member, state in zip(members, states, strict=True) if state != "same"]
        names = {member.name for member in absent}
        if not names:
            progress(sum(member.size_bytes for member in members))
            return Extracted(len(members), 0, ())
        assembly.begin(names)
        states = _all_states(_Work(archive, absent, assembly.staging))
        left = [member for member, state in zip(absent, states, strict=True) if state != "same"]
        _check_room(assembly.staging, sum(member.size_bytes for member in left))
        progress(sum(member.size_bytes for member in members) - sum(member.size_bytes for member in left))
        problems = _unpack(_Work(archive, left, assembly.staging), progress)
        if problems:
            assembly.remove_empty_folders()
        else:
            assembly.finish(sorted(names))
    return Extracted(len(members) - len(problems), len(left) - len(problems), tuple(sorted(problems)))


def _depth(member: Member) -> int:
    return member.name.count("/")


def _wrong(member: Member) -> tuple[ProblemKind, str] | None:
    name = member.name
    parts = name.split("/")
    why_unreadable = unreadable_why(member)
    if why_unreadable:
        return ProblemKind.UNREADABLE, f"{why_unreadable}; unpack the zip with another program and give the folder"
    if len(os.fsencode(name)) > _MAX_NAME_BYTES or max(len(os.fsencode(part)) for part in parts) > _MAX_PART_BYTES:
        return ProblemKind.UNSAFE_NAME, "a name that is too long for many disks"
    if parts[0] == RESERVED_NAME:
        return ProblemKind.UNSAFE_NAME, "a name that babycli needs for itself"
    why = why_not_written(name)
    if why:
        return ProblemKind.UNSAFE_NAME, why
    if member.is_symlink:
        return ProblemKind.NOT_A_FILE, SYMLINK
    if member.size_bytes > MAX_MEMBER_BYTES:
        return ProblemKind.SUSPICIOUS_SIZE, f"it claims {member.size_bytes} bytes, more than any image has"
    return None


def _is_image(archive: ZipArchive, member: Member) -> bool:
    """Tells whether a member is an image after all: a black BMP packs as well as a bomb."""
    try:
        check_header(archive.read(member), member.name)
    except (MemberError, ImageError):
        return False
    return True


def _as_bomb(member: Member) -> tuple[ProblemKind, str]:
    detail = f"{member.compressed_bytes} bytes that claim to become {member.size_bytes}, as hardly any image does"
    return ProblemKind.SUSPICIOUS_SIZE, detail


def _collisions(archive: ZipArchive, names: Sequence[str]) -> list[Problem]:
    """Finds names that are one name on a disk that ignores case or composes accents, and files in a folder's place."""
    by_folded: dict[str, str] = {}
    folders: dict[str, str] = {}
    problems = []
    for name in names:
        folded = folded_name(name)
        if folded in by_folded:
            other = by_folded[folded]
            is_case = other.casefold() == name.casefold()
            why = f"on a disk that {'ignores case' if is_case else 'composes accents'}"
            detail = "twice in the zip" if other == name else f"the same as {other} {why}"
            problems.append(Problem("", ProblemKind.COLLISION, f"{archive.path}/{name}", detail))
        by_folded[folded] = name
        at = folded.find("/")
        while at >= 0:
            folders.setdefault(folded[:at], name)
            at = folded.find("/", at + 1)
    for folded, name in by_folded.items():
        if folded in folders:
            detail = f"a file where {folders[folded]} needs a folder"
            problems.append(Problem("", ProblemKind.COLLISION, f"{archive.path}/{name}", detail))
    return problems


def _refuse_others(folder: Path, members: Sequence[Member], states: Sequence[_State]) -> None:
    others = [str(folder / m.name) for m, state in zip(members, states, strict=True) if state == "other"]
    if others:
        raise DataError(
            f"{listed(others)}: there already, and not what is in the zip; nothing was overwritten",
            "move them away, or extract into another folder",
        )


def _all_states(work: _Work) -> list[_State]:
    """Tells which files are there already, by size and CRC-32."""
    bounds = chunks(len(work.members), _CHUNK)
    return [state for some in map_in_processes(_states, work, bounds) for state in some]


def _states(work: _Work, bounds: tuple[int, int]) -> list[_State]:
    return [_state(work.folder / member.name, member) for member in work.members[slice(*bounds)]]


def _state(place: Path, member: Member) -> _State:
    if not os.path.lexists(place):
        return "absent"
    try:
        if place.is_symlink() or not place.is_file() or place.stat().st_size != member.size_bytes:
            return "other"
        return "same" if zlib.crc32(read_file(place)) == member.crc32 else "other"
    except OSError as error:
        raise_limit(error)
        return "other"


def _unpack(work: _Work, progress: Callable[[int], None]) -> list[Problem]:
    with explained(work.folder):
        for parent in {(work.folder / member.name).parent for member in work.members}:
            parent.mkdir(parents=True, exist_ok=True)
    problems = []
    bounds = chunks(len(work.members), _CHUNK)
    for (start, end), unreadable in zip(bounds, map_in_processes(_unpack_some, work, bounds), strict=True):
        problems += unreadable
        progress(sum(member.size_bytes for member in work.members[start:end]))
    return problems


def _unpack_some(work: _Work, bounds: tuple[int, int]) -> list[Problem]:
    problems = []
    for member in work.members[slice(*bounds)]:
        try:
            content = work.archive.read(member)
        except MemberError as error:
            problems.append(Problem("", error.kind, f"{work.archive.path}/{member.name}", str(error)))
            continue
        place = work.folder / member.name
        with explained(place):
            place.write_bytes(content)
    return problems


def _check_room(folder: Path, n_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if n_bytes and n_bytes + _SPARE_BYTES > free_bytes:
        raise DataError(
            f"{folder.parent} needs {n_bytes / 1e6:,.1f} MB and {_SPARE_BYTES / 1e6:,.0f} MB to spare, and its disk "
            f"has {free_bytes / 1e6:,.1f} MB free",
            "make room, choose another disk, or take only what the tasks read: --only-needed",
        )
