"""One entry of the directory of a zip: the member's name, its sizes and where it lies.

Owns the entry's format (PKWARE APPNOTE 6.3: stored, deflated, bzip2 and LZMA members, zip64) and the name's. Never
opens a file.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from babycli.data.names import normal_name
from babycli.data.unpacking import METHODS, name_of_method

ENTRY = struct.Struct("<5xB2x2H4x3L2H6x2L")  # central directory file header, as far as it is of use
LENGTHS = struct.Struct("<28x2H")  # of an entry: how many bytes its name and its extra fields have
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 field"
_FULL64 = (1 << 64) - 1
_ENCRYPTED, _UTF8 = 0x1, 0x800
STORED = 0
_READABLE = frozenset((STORED, *METHODS))
_UNIX_SYSTEMS = (3, 19)  # Unix and macOS: names are bytes as on their disks, and a backslash is a letter like others
_ZIP64_FIELD = 0x0001
_NAME_FIELD = 0x7075  # Info-ZIP's: the name in UTF-8
MAYBE_NAME_FIELD = re.compile(rb"up..\x01", re.DOTALL)
_SYMLINK, _TYPE_OF_FILE = 0o120000, 0o170000


class Member(NamedTuple):  # made for each read, and faster than a dataclass
    """One entry of the central directory. Sizes in bytes; ``offset`` is that of the local header in the file."""

    raw_name: bytes
    name: str
    method: int
    flags: int
    crc32: int
    compressed_bytes: int
    size_bytes: int
    offset: int
    is_symlink: bool

    @property
    def is_readable(self) -> bool:
        """True if nothing in its entry says that it cannot be read; else unreadable_why() says why."""
        return self.method in _READABLE and not self.flags & _ENCRYPTED


def parse_entry(entry: bytes, shift: int, has_plain_name: bool) -> Member:
    """Reads an entry: 46 bytes | name | extra. Sizes and offset may stand in the extra's zip64 field.

    What lies behind it, as in a window of the directory, is passed over. ``shift`` bytes lie before the archive.
    """
    made_by, flags, method, crc32, compressed, size, n_name, n_extra, attributes, offset = ENTRY.unpack_from(entry)
    name_end = ENTRY.size + n_name
    raw_name = entry[ENTRY.size : name_end]
    extra = entry[name_end : name_end + n_extra]
    if FULL32 in (compressed, size, offset):
        wide = _extra_field(extra, _ZIP64_FIELD)
        values = iter(struct.unpack_from(f"<{len(wide) // 8}Q", wide))
        # In this order, and only those that did not fit; where one is lacking, this member cannot be read.
        size = next(values, size) if size == FULL32 else size
        compressed = next(values, compressed) if compressed == FULL32 else compressed
        offset = next(values, offset) if offset == FULL32 else offset
    name = raw_name.decode("utf-8", "surrogateescape") if has_plain_name else _name_of(raw_name, made_by, flags, extra)
    is_symlink = made_by in _UNIX_SYSTEMS and attributes >> 16 & _TYPE_OF_FILE == _SYMLINK
    return Member(raw_name, name, method, flags, crc32, compressed, size, min(offset + shift, _FULL64), is_symlink)


def unreadable_why(member: Member) -> str:
    """Tells why a member cannot be read, from its entry alone; "" if it can."""
    if member.flags & _ENCRYPTED:
        return "it is encrypted"
    if member.method != STORED and member.method not in METHODS:
        known = ", ".join(["stored", *map(name_of_method, METHODS)])
        return f"compression method {name_of_method(member.method)} is not supported; supported: {known}"
    return ""


def n_name_and_extra(window: bytes, at: int) -> int:
    """Reads the lengths of an entry's name, which begins at ``at``, and of its extra fields; gives their sum."""
    return int.from_bytes(window[at - 18 : at - 16], "little") + int.from_bytes(window[at - 16 : at - 14], "little")


def entry_bytes(directory: bytes, at: int) -> int:
    """Gives the length of a directory entry, without its comment."""
    return ENTRY.size + n_name_and_extra(directory, at + ENTRY.size)


def _extra_field(extra: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _name_of(raw: bytes, made_by: int, flags: int, extra: bytes) -> str:
    """Gives the name of a member in its normal form, as Info-ZIP's unzip does.

    Bytes that say UTF-8, or come from a Unix disk, are UTF-8; others are code page 437, the format's own, where no
    extra field has the name in UTF-8 (APPNOTE 4.6.9, valid while it fits the bytes of the entry). Where a system other
    than Unix has written backslashes and no slash, they are the slashes (.NET until 4.6).
    """
    if flags & _UTF8:
        name = raw.decode("utf-8", "surrogateescape")
    elif extra and (in_unicode := _unicode_name(raw, extra)) is not None:
        name = in_unicode
    elif made_by in _UNIX_SYSTEMS or raw.isascii():
        name = raw.decode("utf-8", "surrogateescape")
    else:
        name = raw.decode("cp437")
    if "\\" in name and "/" not in name and made_by not in _UNIX_SYSTEMS:
        name = name.replace("\\", "/")
    return normal_name(name)


def _unicode_name(raw: bytes, extra: bytes) -> str | None:
    """Reads the extra field with the name in UTF-8: version (1) | CRC-32 of the entry's name, to its NUL (4) | name."""
    field = _extra_field(extra, _NAME_FIELD)
    if len(field) <= 5 or field[0] != 1 or int.from_bytes(field[1:5], "little") != zlib.crc32(raw.partition(b"\0")[0]):
        return None
    try:
        return field[5:].decode("utf-8")
    except UnicodeDecodeError:
        return None
