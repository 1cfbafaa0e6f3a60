"""The end of a zip: the record that says where its directory lies.

Owns the end record and its zip64 form (PKWARE APPNOTE 6.3, sections 4.3.14 to 4.3.16). Never reads the directory.

    members | directory | zip64 record | zip64 locator | end record, its comment | other bytes
                        ^ at, with zip64               ^ at, without
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END_MARK, _LOCATOR_MARK, _END64_MARK = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 record"
_MAX_COMMENT_BYTES = 0xFFFF
_MAX_BEHIND_BYTES = 1 << 20  # after the comment: a disk block of zeros that a copy filled up, a signature
_MAX_END64_BYTES = 1 << 16  # of a zip64 record with fields of later versions


@dataclass(frozen=True, slots=True)
class ZipEnd:
    """What the end of a zip says of the directory, and where it says so."""

    at: int  # offset of the first record of the end: the directory ends there, or before
    size_bytes: int  # of the directory
    n_entries: int  # in it; without a zip64 record, only the last 16 bits need be right
    declared_start: int  # offset of the directory as the archive counts, which may lie behind other bytes
    disk: int  # number of this part, from 0
    is_part: bool  # the directory, or some of the members, lie in other parts
    n_behind: int  # bytes behind the end record and its comment
    fault: str = ""  # why the directory cannot be told from it


def find_end(fd: int) -> ZipEnd | None:
    """Finds the end of an open zip; None for what has none. Raises OSError.

    As unzip does, it takes the last record, also where other bytes follow (a line end, padding), and where the comment
    is shorter than it says. A record whose comment ends just where the file does goes before that, so that a comment
    may hold the mark of a record.
    """
    file_size = os.fstat(fd).st_size
    start = max(0, file_size - _END.size - _MAX_COMMENT_BYTES - _MAX_BEHIND_BYTES)
    tail = os.pread(fd, file_size - start, start)
    last = None
    first_with_comment = max(0, len(tail) - _END.size - _MAX_COMMENT_BYTES)  # whose comment can reach the end
    at = tail.rfind(_END_MARK)
    while at >= (0 if last is None else first_with_comment):
        if at + _END.size <= len(tail):
            n_behind = len(tail) - at - _END.size - _END.unpack_from(tail, at)[7]
            if n_behind == 0:
                return _read_end(fd, tail, at, start, 0)
            if last is None:
                last = at, max(0, n_behind)
        at = tail.rfind(_END_MARK, 0, at)
    return _read_end(fd, tail, last[0], start, last[1]) if last is not None else None


def _read_end(fd: int, tail: bytes, at: int, tail_start: int, n_behind: int) -> ZipEnd:
    _, disk, directory_disk, n_here, n_entries, size, declared_start, _ = _END.unpack_from(tail, at)
    end_at = tail_start + at
    is_part = disk not in (0, _FULL16) and (directory_disk not in (disk, _FULL16) or n_here != n_entries)
    plain = ZipEnd(end_at, size, n_entries, declared_start, 0 if disk == _FULL16 else disk, is_part, n_behind)
    locator_at = end_at - _END64_LOCATOR.size
    locator = os.pread(fd, _END64_LOCATOR.size, locator_at) if locator_at >= 0 else b""
    if locator[:4] != _LOCATOR_MARK:
        return plain
    _, _, record_offset, n_disks = _END64_LOCATOR.unpack(locator)
    found = _find_end64(fd, locator_at, record_offset)
    if found is None:
        if n_disks > 1:
            return replace(plain, is_part=True)
        return replace(plain, fault="its zip64 record is missing") if _FULL32 in (size, declared_start) else plain
    record_at, record = found
    wide_disk, wide_directory_disk, wide_n_here, wide_n_entries, wide_size, wide_start = _END64.unpack(record)[4:10]
    is_part = n_disks > 1 or (wide_disk > 0 and (wide_directory_disk != wide_disk or wide_n_here != wide_n_entries))
    fault = ""
    if size not in (_FULL32, wide_size & _FULL32) or declared_start not in (_FULL32, wide_start & _FULL32):
        fault = "its two end records say different things, so that what it holds depends on the reader"
    disk = min(wide_disk, _FULL16 - 1)
    return ZipEnd(record_at, wide_size, wide_n_entries, wide_start, disk, is_part, n_behind, fault)


def _find_end64(fd: int, locator_at: int, record_offset: int) -> tuple[int, bytes] | None:
    """Finds the zip64 record before its locator: its offset in the file, and its first 56 bytes.

    The locator's offset does not count bytes before the archive, so the record is looked for right before the locator
    first; a longer record is known by the length that it states.
    """
    places = [locator_at - _END64.size]
    if 0 <= record_offset <= locator_at - _END64.size:
        places.append(record_offset)
    before = max(0, locator_at - _MAX_END64_BYTES)
    window = os.pread(fd, locator_at - before, before)
    at = window.rfind(_END64_MARK, 0, max(0, len(window) - _END64.size) + len(_END64_MARK))
    while at >= 0:
        if (
            len(window) - at >= _END64.size
            and 12 + int.from_bytes(window[at + 4 : at + 12], "little") == len(window) - at
        ):
            places.insert(0, before + at)
            break
        at = window.rfind(_END64_MARK, 0, at)
    for place in places:
        record = os.pread(fd, _END64.size, place) if place >= 0 else b""
        if len(record) == _END64.size and record[:4] == _END64_MARK:
            return place, record
    return None
