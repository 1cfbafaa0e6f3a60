"""A zip unpacked into a folder: checked before anything is written, and whole or not at all.

Owns what is refused, and how files get there. Never writes outside of the folder, never over a file.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.data.copying import drop_strangers, held, move_into_place, staging_of
from babycli.data.problems import Problem, ProblemKind
from babycli.data.workers import chunks, map_in_processes
from babycli.data.zips import MAX_MEMBER_BYTES, Member, MemberError, ZipArchive
from babycli.errors import DataError

_CHUNK = 256  # members a task
_MAX_RATIO = 1000  # DEFLATE packs at best 1032 to 1, and no image near that
_RATIO_COUNTS_BYTES = 1 << 20  # a smaller member does no harm
_DRIVE = re.compile(r"[A-Za-z]:")
_SPARE_BYTES = 64 << 20  # left free on the disk

_State = Literal["absent", "same", "other"]


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of the members."""

    n_files: int  # in the folder, or in the staging folder where there are problems
    n_written: int  # now; the others were there
    problems: tuple[Problem, ...]  # members that cannot be read


@dataclass(frozen=True, slots=True)
class _Work:
    archive: ZipArchive
    members: Sequence[Member]
    folder: Path
    is_staging: bool  # nobody looks at it yet, so a file in it may be half written


def check_members(archive: ZipArchive, members: Sequence[Member]) -> list[Problem]:
    """What must not be unpacked, anywhere: sorted."""
    problems = []
    for member in members:
        wrong = _wrong(member)
        if wrong is not None:
            problems.append(Problem("", wrong[0], f"{archive.path}/{member.name}", wrong[1]))
    return sorted([*problems, *_collisions(archive, members)])


def extract(archive: ZipArchive, members: Sequence[Member], folder: Path, progress: Callable[[int], None]) -> Extracted:
    """Unpacks members that check_members() finds nothing wrong with. ``progress`` gets bytes.

    A folder that is absent or empty appears whole, from a staging folder beside it that an interrupted run leaves and
    the next one completes. Into a folder with files in it, each file is put in one step; those that are there with the
    same bytes are kept. Raises DataError where a file with other bytes is in the way, or the disk has no room.
    """
    members = sorted(members, key=lambda member: member.offset)  # as they lie on the disk
    if os.path.lexists(folder) and not folder.is_dir():
        raise DataError(f"{folder} is no folder", "name another")
    if folder.is_dir() and any(folder.iterdir()):
        return _fill(_Work(archive, members, folder, is_staging=False), progress)
    staging = staging_of(folder)
    with held(staging):
        done = _fill(_Work(archive, members, staging, is_staging=True), progress)
        if not done.problems:
            drop_strangers(staging, {member.name for member in members})
            move_into_place(staging, folder)
    return done


def _wrong(member: Member) -> tuple[ProblemKind, str] | None:
    name = member.name
    parts = name.split("/")
    if name.startswith("/") or _DRIVE.match(name):
        return ProblemKind.UNSAFE_NAME, "an absolute name"
    if ".." in parts:
        return ProblemKind.UNSAFE_NAME, "it leads out of the folder"
    if any(character in name for character in "\\\0\n\r") or "" in parts or "." in parts:
        return ProblemKind.UNSAFE_NAME, "a name that not every system reads alike"
    if member.is_symlink:
        return ProblemKind.NOT_A_FILE, "a symbolic link"
    if member.size_bytes > MAX_MEMBER_BYTES:
        return ProblemKind.SUSPICIOUS_SIZE, f"it claims {member.size_bytes} bytes, more than any image has"
    if member.size_bytes > max(_RATIO_COUNTS_BYTES, _MAX_RATIO * member.compressed_bytes):
        detail = f"{member.compressed_bytes} bytes that claim to become {member.size_bytes}, as no image does"
        return ProblemKind.SUSPICIOUS_SIZE, detail
    return None


def _collisions(archive: ZipArchive, members: Sequence[Member]) -> list[Problem]:
    """Names that are one to a disk that ignores case or composes accents, and files where folders must be."""
    by_folded: dict[str, str] = {}
    folders: dict[str, str] = {}
    problems = []
    for name in sorted(member.name for member in members):
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in by_folded:
            other = by_folded[folded]
            detail = "twice in the zip" if other == name else f"the same as {other} on a disk that ignores case"
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


def _fill(work: _Work, progress: Callable[[int], None]) -> Extracted:
    parents = {(work.folder / member.name).parent for member in work.members}
    real = Path(os.path.realpath(work.folder))
    for parent in sorted(parents):
        if os.path.realpath(parent) != str(real / parent.relative_to(work.folder)):
            raise DataError(f"{parent} is behind a link, and could lead anywhere", "extract into another folder")
    bounds = chunks(len(work.members), _CHUNK)
    states = [state for found in map_in_processes(_states, work, bounds) for state in found]
    others = [str(work.folder / m.name) for m, s in zip(work.members, states, strict=True) if s == "other"]
    if others and not work.is_staging:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        raise DataError(
            f"{', '.join(others[:5])}{more}: there already, with other bytes than in the zip; nothing was overwritten",
            "move them away, or extract into another folder",
        )
    left = [member for member, state in zip(work.members, states, strict=True) if state != "same"]
    progress(sum(m.size_bytes for m in work.members) - sum(m.size_bytes for m in left))
    _check_room(work.folder, sum(member.size_bytes for member in left))
    for parent in parents:
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot make the folder {parent}: {error.strerror}", "name another folder") from error
    work = _Work(work.archive, left, work.folder, work.is_staging)
    problems = []
    n_written = 0
    bounds = chunks(len(left), _CHUNK)
    for (start, end), found in zip(bounds, map_in_processes(_extract, work, bounds), strict=True):
        problems += found
        n_written += end - start - len(found)
        progress(sum(member.size_bytes for member in left[start:end]))
    return Extracted(len(states) - len(problems), n_written, tuple(sorted(problems)))


def _states(work: _Work, bounds: tuple[int, int]) -> list[_State]:
    """Which files are there already, told by size and CRC-32."""
    return [_state(work.folder / member.name, member) for member in work.members[slice(*bounds)]]


def _state(place: Path, member: Member) -> _State:
    if not os.path.lexists(place):
        return "absent"
    if place.is_symlink() or not place.is_file() or place.stat().st_size != member.size_bytes:
        return "other"
    return "same" if zlib.crc32(place.read_bytes()) == member.crc32 else "other"


def _extract(work: _Work, bounds: tuple[int, int]) -> list[Problem]:
    problems = []
    for member in work.members[slice(*bounds)]:
        place = work.folder / member.name
        try:
            content = work.archive.read(member)
        except MemberError as error:
            kind = ProblemKind.CHECKSUM if error.is_checksum else ProblemKind.UNREADABLE
            problems.append(Problem("", kind, f"{work.archive.path}/{member.name}", str(error)))
            continue
        try:
            if work.is_staging:
                place.write_bytes(content)
            else:
                aside = place.with_name(f".{place.name}.partial")
                aside.write_bytes(content)
                os.replace(aside, place)
        except OSError as error:
            raise DataError(
                f"cannot write {place}: {error.strerror}", "make room or make it writable, and run the command again"
            ) from error
    return problems


def _check_room(folder: Path, n_bytes: int) -> None:
    there = folder
    while not there.exists():
        there = there.parent
    free_bytes = shutil.disk_usage(there).free
    if n_bytes and n_bytes + _SPARE_BYTES > free_bytes:
        raise DataError(
            f"{folder} needs {n_bytes / 1e9:.1f} GB, and its disk has {free_bytes / 1e9:.1f} GB free",
            "make room, choose another disk, or take only what the tasks read: --only-needed",
        )
