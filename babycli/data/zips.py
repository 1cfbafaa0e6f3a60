"""Zip archives as they are delivered: the directory of names, and the bytes of one member, checked.

Owns the format (PKWARE APPNOTE 6.3: stored and deflated members, zip64, an archive behind other bytes). Never writes an
archive, and never unpacks more than a member says it holds. The standard library's reader takes several times as long
and as much memory to open SAYCam's 600,285 frames (benchmarks/data.py), shares one file position between its readers,
and reads overlapping members.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.data.problems import ProblemKind
from babycli.data.zip_index import Directory, IndexKey, load_directory, save_directory
from babycli.errors import DataError

MAX_MEMBER_BYTES = 1 << 28  # no image is larger than 256 MiB: a member that claims to be is an attack or damaged
_END = struct.Struct("<4s4H2LH")  # end of central directory
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s4B4H3L5H2L")  # central directory file header
_SCAN = struct.Struct("<L24x3H8xL")  # of an entry: its signature, lengths and offset
_ENTRY_SIGNATURE = 0x02014B50
_LOCAL = struct.Struct("<4s5H3L2H")  # local file header
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 field"
_MAX_COMMENT_BYTES = 0xFFFF
_MAX_NAME_BYTES = 4096  # no system has longer paths
_MAX_DEPTH = 32  # images lie in no deeper folder
_ENCRYPTED, _UTF8 = 0x1, 0x800
_STORED, _DEFLATED = 0, 8
_UNIX = 3
_SYMLINK, _TYPE_OF_FILE = 0o120000, 0o170000

_INDEXED_MEMBERS = 20_000  # a smaller archive opens at once
_PIECE_BYTES = 1 << 20


class MemberError(Exception):
    """An error that says why a member cannot be read."""

    def __init__(self, detail: str, is_checksum: bool = False) -> None:
        super().__init__(detail)
        # is_checksum: all bytes were read, and their CRC-32 is wrong.
        self.kind = ProblemKind.CHECKSUM if is_checksum else ProblemKind.UNREADABLE


@dataclass(frozen=True, slots=True)
class Member:
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


def is_zip(path: Path) -> bool:
    """Tells whether a file ends as a zip does, whatever its name. A file that cannot be read is not a zip."""
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return False
        with path.open("rb") as stream:
            return _find_end(stream.fileno()) is not None
    except OSError:
        return False


class ZipArchive:
    """An open zip file. Any number of threads and forked processes may read at once; a pickled one opens anew.

    Keeps 20 bytes for each member (see zip_index.Directory). The rest stays in the file.
    """

    def __init__(self, path: Path, index_folder: Path | None = None) -> None:
        """Opens a zip. Raises DataError for a file that is no zip, or was cut off or changed.

        The index of a large archive is read from ``index_folder``, and written there where it is out of date.
        """
        self.path = path
        self._index_folder = index_folder
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        try:
            self._open()
        except OSError as error:
            raise self._broken(str(error.strerror)) from error
        except struct.error as error:
            raise self._broken("its directory is damaged") from error

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def __reduce__(self) -> Any:
        return ZipArchive, (self.path, self._index_folder)

    @property
    def folders(self) -> list[str]:
        """Every folder in it, sorted; "" for the outermost."""
        return self._directory.folders

    def __len__(self) -> int:
        """Counts the members, without folders."""
        return len(self._directory.positions)

    def find(self, name: str) -> Member | None:
        """Finds the member of this name; None if there is none. Raises MemberError if there are several."""
        raw = name.encode("utf-8", "surrogateescape")
        key = zlib.crc32(raw)
        matches = []
        at = bisect_left(self._directory.keys, key)
        while at < len(self._directory.keys) and self._directory.keys[at] == key:
            member = self._member(self._directory.positions[at])
            if member.name == name:
                matches.append(member)
            at += 1
        if len(matches) > 1:
            raise MemberError(f"the zip holds {len(matches)} members of this name")
        return matches[0] if matches else None

    def members(self) -> Iterator[Member]:
        """Reads every member's entry, in the order of the directory."""
        for position in sorted(self._directory.positions):
            yield self._member(position)

    def names(self) -> Iterator[str]:
        """Reads the name of every member, in the order of the directory; much faster than members()."""
        window, start = b"", 0
        for position in sorted(self._directory.positions):
            at = position - start + _ENTRY.size
            if at > len(window) or at + int.from_bytes(window[at - 18 : at - 16], "little") > len(window):
                window, start = os.pread(self._fd, _PIECE_BYTES, self._directory_start + position), position
                at = _ENTRY.size
            raw = window[at : at + int.from_bytes(window[at - 18 : at - 16], "little")]
            yield raw.decode("ascii") if raw.isascii() else self._member(position).name

    def state(self) -> os.stat_result:
        """Gives the size, times and inode of the file."""
        return os.fstat(self._fd)

    def read(self, member: Member) -> bytes:
        """Reads the bytes of a member and checks its CRC-32. Raises MemberError."""
        self._check(member)
        if member.size_bytes > MAX_MEMBER_BYTES or member.compressed_bytes > MAX_MEMBER_BYTES:
            raise MemberError(f"it claims {member.size_bytes} bytes, more than any image has")
        try:
            packed = self._packed(member)
        except OSError as error:
            raise MemberError(f"it cannot be read: {error.strerror}") from error
        content = self._unpacked(member, packed)
        if zlib.crc32(content) != member.crc32:
            raise MemberError("its CRC-32 is not what the zip says", is_checksum=True)
        return content

    def pieces(self, member: Member) -> Iterator[bytes]:
        """Reads a member of any size piece by piece, and checks its CRC-32 at the end. Raises MemberError."""
        self._check(member)
        try:
            head = os.pread(self._fd, _LOCAL.size + len(member.raw_name), member.offset)
            start = member.offset + self._start(member, head)
            crc32, n_bytes = 0, 0
            for piece in self._inflated(member, start):
                crc32, n_bytes = zlib.crc32(piece, crc32), n_bytes + len(piece)
                if n_bytes > member.size_bytes:
                    break
                yield piece
        except (OSError, zlib.error) as error:
            raise MemberError(f"it cannot be read: {error}") from error
        if n_bytes != member.size_bytes:
            raise MemberError(f"it holds other than the {member.size_bytes} bytes that the zip says")
        if crc32 != member.crc32:
            raise MemberError("its CRC-32 is not what the zip says", is_checksum=True)

    def _check(self, member: Member) -> None:
        if member.flags & _ENCRYPTED:
            raise MemberError("it is encrypted")
        if member.method not in (_STORED, _DEFLATED):
            raise MemberError(f"compression method {member.method} is not supported; only stored and deflated are")
        if not 0 <= member.offset < self._directory_start:
            raise MemberError("no member begins where the zip says")

    def _inflated(self, member: Member, start: int) -> Iterator[bytes]:
        stream = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
        for at in range(0, member.compressed_bytes, _PIECE_BYTES):
            piece = os.pread(self._fd, min(_PIECE_BYTES, member.compressed_bytes - at), start + at)
            if stream is None:
                yield piece
                continue
            while piece:
                yield stream.decompress(piece, _PIECE_BYTES)
                piece = stream.unconsumed_tail
        while stream is not None and (piece := stream.decompress(b"", _PIECE_BYTES)):
            yield piece  # the rest that the decompressor holds after the last input

    def _packed(self, member: Member) -> bytes:
        # Most archives have at most 32 bytes of extra field there, so that one read is enough.
        head = _LOCAL.size + len(member.raw_name)
        raw = os.pread(self._fd, head + 32 + member.compressed_bytes, member.offset)
        start = self._start(member, raw)
        if len(raw) < start + member.compressed_bytes:
            raw = os.pread(self._fd, start + member.compressed_bytes, member.offset)
        return raw[start : start + member.compressed_bytes]

    def _start(self, member: Member, raw: bytes) -> int:
        """Gives the offset of the packed bytes, counted from the local header, which must name the member.

        local header (30) | name | extra | packed bytes
        """
        head = _LOCAL.size + len(member.raw_name)
        if len(raw) < head or raw[:4] != b"PK\x03\x04" or raw[_LOCAL.size : head] != member.raw_name:
            raise MemberError("no member begins where the zip says")
        start = head + int.from_bytes(raw[28:30], "little")
        if member.offset + start + member.compressed_bytes > self._limit(member.offset):
            raise MemberError("it overlaps another member of the zip")
        return start

    def _unpacked(self, member: Member, packed: bytes) -> bytes:
        content = packed
        if member.method == _DEFLATED:
            stream = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                content = stream.decompress(packed, member.size_bytes + 1)
            except zlib.error as error:
                raise MemberError(f"it cannot be inflated: {error}") from error
        if len(content) != member.size_bytes:
            raise MemberError(f"it holds other than the {member.size_bytes} bytes that the zip says")
        return content

    def _limit(self, offset: int) -> int:
        """Gives the offset that a member's bytes must not pass: the start of the next member or of the directory.

        For two members that claim the same offset it is that very offset, so that neither of them can be read.
        """
        following = bisect_left(self._directory.offsets, offset) + 1
        return self._directory.offsets[following] if following < len(self._directory.offsets) else self._directory_start

    def _open(self) -> None:
        end = _find_end(self._fd)
        if end is None:
            raise self._broken("its end is missing, so it was cut off or is no zip")
        n_entries, size, declared_start, end_at = end
        self._directory_start = end_at - size
        # Other bytes before the archive (in a self-extracting one) shift all offsets that it states.
        self._shift = self._directory_start - declared_start
        if self._directory_start < 0 or self._shift < 0:
            raise self._broken("its directory lies outside of the file")
        if self._index_folder is None or n_entries < _INDEXED_MEMBERS:
            self._directory = self._read_directory(n_entries, size)
            return
        place = hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:16]
        index, key = self._index_folder / f"zip-{place}.index", self._index_key(size)
        known = load_directory(index, key)
        self._directory = known or self._read_directory(n_entries, size)
        if known is None:
            save_directory(index, key, self._directory)

    def _read_directory(self, n_entries: int, size: int) -> Directory:
        """Walks the directory once: its entries have no fixed length."""
        directory = os.pread(self._fd, size, self._directory_start)
        if len(directory) != size:
            raise self._broken("its directory is cut off")
        keyed: list[int] = []  # CRC-32 of the name << 40 | position: one sort orders both
        offsets = array("Q")
        folders = {b""}
        at = 0
        scan, crc32, shift, head = _SCAN.unpack_from, zlib.crc32, self._shift, _ENTRY.size
        for _ in range(n_entries):
            signature, n_name, n_extra, n_comment, offset = scan(directory, at)
            if signature != _ENTRY_SIGNATURE:
                raise self._broken(f"its directory is damaged at byte {self._directory_start + at}")
            after_name = at + head + n_name
            name = directory[at + head : after_name]
            if offset == _FULL32:
                offsets.append(self._parse(directory[at : after_name + n_extra]).offset)
            else:
                offsets.append(offset + shift)
            if name[-1:] != b"/":
                if n_name > _MAX_NAME_BYTES:
                    raise self._broken(f"it has a name of {n_name} bytes")
                if b"/" in name and name.count(b"/") <= _MAX_DEPTH:
                    folders.add(name.rpartition(b"/")[0])
                if not name.isascii():
                    name = self._parse(directory[at : after_name + n_extra]).name.encode("utf-8", "surrogateescape")
                keyed.append(crc32(name) << 40 | at)
            at = after_name + n_extra + n_comment
        if at != size:
            raise self._broken(f"its directory has {size - at} bytes too many")
        del directory
        keyed.sort()
        return Directory(
            array("I", [key >> 40 for key in keyed]),
            array("Q", [key & (1 << 40) - 1 for key in keyed]),
            array("Q", sorted(offsets)),
            sorted(os.fsdecode(folder) for folder in _with_parents(folders)),
        )

    def _index_key(self, directory_bytes: int) -> IndexKey:
        digest = hashlib.sha256()
        for start in range(0, directory_bytes, _PIECE_BYTES):
            n = min(_PIECE_BYTES, directory_bytes - start)
            digest.update(os.pread(self._fd, n, self._directory_start + start))
        state = self.state()
        return IndexKey(state.st_size, state.st_mtime_ns, digest.hexdigest())

    def _member(self, position: int) -> Member:
        raw = os.pread(self._fd, _ENTRY.size + 256, self._directory_start + position)
        n_name, n_extra = struct.unpack_from("<2H", raw, 28)
        length = _ENTRY.size + n_name + n_extra
        if len(raw) < length:
            raw = os.pread(self._fd, length, self._directory_start + position)
        return self._parse(raw[:length])

    def _parse(self, entry: bytes) -> Member:
        """Reads a directory entry: 46 bytes | name | extra. Sizes and offset may stand in the extra's zip64 field."""
        fields = _ENTRY.unpack_from(entry)
        made_by, flags, method, crc32 = fields[2], fields[5], fields[6], fields[9]
        compressed, size, n_name, attributes, offset = fields[10], fields[11], fields[12], fields[17], fields[18]
        raw_name = entry[_ENTRY.size : _ENTRY.size + n_name]
        if _FULL32 in (compressed, size, offset):
            wide = _zip64_field(entry[_ENTRY.size + n_name :])
            values = iter(struct.unpack_from(f"<{len(wide) // 8}Q", wide))
            try:  # in this order, and only those that did not fit
                size = next(values) if size == _FULL32 else size
                compressed = next(values) if compressed == _FULL32 else compressed
                offset = next(values) if offset == _FULL32 else offset
            except StopIteration:
                raise self._broken("an entry lacks its zip64 field") from None
        name = _decoded_name(raw_name, made_by, flags)
        is_symlink = made_by == _UNIX and attributes >> 16 & _TYPE_OF_FILE == _SYMLINK
        return Member(raw_name, name, method, flags, crc32, compressed, size, offset + self._shift, is_symlink)

    def _broken(self, detail: str) -> DataError:
        return DataError(f"cannot read the zip {self.path}: {detail}", "download or copy it again")


def _find_end(fd: int) -> tuple[int, int, int, int] | None:
    """Finds the directory: its number of entries, size, declared start and actual end; None for what is no zip."""
    file_size = os.fstat(fd).st_size
    start = max(0, file_size - _END.size - _MAX_COMMENT_BYTES)
    tail = os.pread(fd, file_size - start, start)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and (at + _END.size > len(tail) or at + _END.size + _END.unpack_from(tail, at)[7] != len(tail)):
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        return None
    _, disk, _, _, n_entries, size, declared_start, _ = _END.unpack_from(tail, at)
    end_at = start + at
    if disk in (0, _FULL16) and (n_entries == _FULL16 or _FULL32 in (size, declared_start)):
        locator = os.pread(fd, _END64_LOCATOR.size, max(0, end_at - _END64_LOCATOR.size))
        if locator[:4] == b"PK\x06\x07":
            # The locator's offset does not count bytes before the archive: look for the record right before it.
            end_at -= _END64_LOCATOR.size + _END64.size
            record = os.pread(fd, _END64.size, max(0, end_at))
            if end_at < 0 or record[:4] != b"PK\x06\x06":
                return None
            fields = _END64.unpack(record)
            n_entries, size, declared_start = fields[7], fields[8], fields[9]
    return n_entries, size, declared_start, end_at


def _zip64_field(extra: bytes) -> bytes:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _decoded_name(raw: bytes, made_by: int, flags: int) -> str:
    """Decodes a name: as UTF-8 if the entry or its maker's system says so, else as code page 437, the format's own."""
    if flags & _UTF8 or made_by == _UNIX or raw.isascii():
        return raw.decode("utf-8", "surrogateescape")
    return raw.decode("cp437")


def _with_parents(folders: set[bytes]) -> set[bytes]:
    """Gives the folders with all folders around them."""
    gathered = {b""}
    for folder in folders:
        while folder not in gathered:
            gathered.add(folder)
            folder = folder.rpartition(b"/")[0]
    return gathered
