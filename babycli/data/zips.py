"""Zip archives as they are delivered: the directory of names, and the bytes of one member, checked.

Owns the way through the file (PKWARE APPNOTE 6.3). How the directory is found is in zip_end.py, what an entry of it
says in zip_entry.py, how bytes are unpacked in unpacking.py. Never writes an archive, and never unpacks more than a
member says it holds. The standard library's reader takes several times as long and as much memory to open SAYCam's
600,285 frames (benchmarks/data.py), shares one file position between its readers, and reads overlapping members.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babycli.data.problems import ProblemKind
from babycli.data.unpacking import Unpacker, UnpackError
from babycli.data.zip_end import ZipEnd, find_end
from babycli.data.zip_entry import (
    ENTRY,
    FULL16,
    FULL32,
    LENGTHS,
    MAYBE_NAME_FIELD,
    STORED,
    Member,
    entry_bytes,
    n_name_and_extra,
    parse_entry,
    unreadable_why,
)
from babycli.data.zip_index import Directory, IndexKey, load_directory, save_directory
from babycli.data.zip_names import ZipNames
from babycli.errors import DataError
from babycli.files import HOLLOW_BYTES, is_hollow, open_to_read, raise_limit

MAX_MEMBER_BYTES = 1 << 28  # no image is larger than 256 MiB: a member that claims to be is an attack or damaged
SYMLINK, CHANGED = "a symbolic link", "the zip was changed while it was read"
_USUAL_BYTES = 256  # more than name and extra fields of most entries
_SCAN = struct.Struct("<L24x4H6xL")  # of an entry: its signature, lengths, disk and offset
_ENTRY_SIGNATURE = 0x02014B50
_LOCAL = struct.Struct("<4s5H3L2H")  # local file header
_MAX_DIRECTORY_BYTES = 256 << 20  # of 3 million images; it is read at once
_MEAN_ENTRY_BYTES = 80
_MAX_ALIKE = 64  # members whose names have one CRC-32, by chance or on purpose; each look-up reads all of them

_INDEXED_MEMBERS = 20_000  # a smaller archive opens at once
_NAMES_AT_ONCE = 4_096
_PIECE_BYTES = 1 << 20


class MemberError(Exception):
    """An error that says why a member cannot be read."""

    def __init__(self, detail: str, kind: ProblemKind = ProblemKind.UNREADABLE) -> None:
        super().__init__(detail)
        self.kind = kind  # CHECKSUM: all bytes were read, and their CRC-32 is wrong


def is_zip(path: Path) -> bool:
    """Tells whether a file ends as a zip does, whatever its name. A file that cannot be read is not a zip."""
    try:
        with open_to_read(path) as stream:
            return find_end(stream.fileno()) is not None
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
        self._is_plain = False  # not known until the directory has been read
        try:
            with open_to_read(path) as stream:
                self._fd = os.dup(stream.fileno())
            self._opened = _stamp(self.state())
        except OSError as error:
            raise_limit(error)
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        try:
            self._open()
            self._is_plain = self._directory.is_plain
        except OSError as error:
            raise_limit(error)
            raise self._broken(str(error.strerror)) from error
        except struct.error as error:
            raise self._cut_off("its directory is damaged") from error

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def __reduce__(self) -> Any:
        return ZipArchive, (self.path, self._index_folder)

    @property
    def folders(self) -> list[str]:
        """Every folder in it, sorted; "" for the outermost."""
        return self._directory.folders

    @property
    def is_plain(self) -> bool:
        """True if every name is ASCII and in its normal form, so that none leads astray."""
        return self._directory.is_plain

    def __len__(self) -> int:
        """Counts the members, without folders."""
        return len(self._directory.positions)

    def find(self, name: str) -> Member | None:
        """Finds the member of this name; None if there is none. Raises MemberError if there are several."""
        key = zlib.crc32(name.encode("utf-8", "surrogateescape"))
        keys, positions = self._directory.keys, self._directory.positions
        start, n = bisect_left(keys, key), len(keys)
        if start == n or keys[start] != key:
            return None
        if start + 1 == n or keys[start + 1] != key:
            member = self._member(positions[start])
            return member if member.name == name else None
        end = bisect_right(keys, key, start)
        if end - start > _MAX_ALIKE:
            raise MemberError(f"the zip holds {end - start} members of this name, or of names with its CRC-32")
        matches = [member for member in map(self._member, positions[start:end]) if member.name == name]
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
        if self._directory.is_plain:
            for position in sorted(self._directory.positions):
                at = position - start + ENTRY.size
                if at > len(window) or at + int.from_bytes(window[at - 18 : at - 16], "little") > len(window):
                    window, start = os.pread(self._fd, _PIECE_BYTES, self._directory_start + position), position
                    at = ENTRY.size
                raw = window[at : at + int.from_bytes(window[at - 18 : at - 16], "little")]
                yield raw.decode("utf-8", "surrogateescape")  # not ASCII where the file was changed meanwhile
            return
        for position in sorted(self._directory.positions):
            at = position - start + ENTRY.size
            end = at + n_name_and_extra(window, at)
            if at > len(window) or end > len(window):
                window, start = os.pread(self._fd, _PIECE_BYTES, self._directory_start + position), position
                at = ENTRY.size
                end = at + n_name_and_extra(window, at)
            yield self._parse(window[at - ENTRY.size : end]).name

    def state(self) -> os.stat_result:
        """Gives the size, times and inode of the file."""
        return os.fstat(self._fd)

    def has_changed(self) -> bool:
        """Tells whether the file was written to, in place, since it was opened: what is read may be of either."""
        return _stamp(self.state()) != self._opened

    def read(self, member: Member) -> bytes:
        """Reads the bytes of a member and checks its CRC-32. Raises MemberError."""
        try:
            return self._read(member)
        except MemberError as error:
            raise self._plainer(error) from error

    def pieces(self, member: Member) -> Iterator[bytes]:
        """Reads a member of any size piece by piece, and checks its CRC-32 at the end. Raises MemberError."""
        try:
            yield from self._pieces(member)
        except MemberError as error:
            raise self._plainer(error) from error

    def _plainer(self, error: MemberError) -> MemberError:
        """Gives the cause of an error where the file has changed: whatever is wrong then, is wrong because of that."""
        return MemberError(CHANGED) if self.has_changed() else error

    def _read(self, member: Member) -> bytes:
        self._check(member)
        most_bytes = max(member.size_bytes, member.compressed_bytes)
        if most_bytes > MAX_MEMBER_BYTES:
            raise MemberError(f"it claims {most_bytes} bytes, more than any image has")
        try:
            packed = self._packed(member)
        except OSError as error:
            raise_limit(error)
            raise MemberError(f"it cannot be read: {error.strerror}") from error
        content = self._unpacked(member, packed)
        if zlib.crc32(content) != member.crc32:
            raise MemberError("its CRC-32 is not what the zip says", ProblemKind.CHECKSUM)
        return content

    def _pieces(self, member: Member) -> Iterator[bytes]:
        self._check(member)
        try:
            if member.size_bytes >= HOLLOW_BYTES and is_hollow(self.state()):
                raise MemberError(f"it claims {member.size_bytes} bytes, and most of the zip is a hole on the disk")
            head = os.pread(self._fd, _LOCAL.size + len(member.raw_name), member.offset)
            start = member.offset + self._start(member, head)
            crc32, n_bytes = 0, 0
            for piece in self._unpacked_pieces(member, start):
                crc32, n_bytes = zlib.crc32(piece, crc32), n_bytes + len(piece)
                if n_bytes > member.size_bytes:
                    break
                yield piece
        except OSError as error:
            raise_limit(error)
            raise MemberError(f"it cannot be read: {error}") from error
        except UnpackError as error:
            raise MemberError(f"it cannot be unpacked: {error}") from error
        if n_bytes != member.size_bytes:
            raise MemberError(f"it holds other than the {member.size_bytes} bytes that the zip says")
        if crc32 != member.crc32:
            raise MemberError("its CRC-32 is not what the zip says", ProblemKind.CHECKSUM)

    def _check(self, member: Member) -> None:
        if not member.is_readable:
            raise MemberError(unreadable_why(member))
        if member.is_symlink:
            raise MemberError(SYMLINK, ProblemKind.NOT_A_FILE)
        if not 0 <= member.offset < self._directory_start:
            raise MemberError("no member begins where the zip says")

    def _unpacked_pieces(self, member: Member, start: int) -> Iterator[bytes]:
        unpacker = Unpacker(member.method, member.size_bytes) if member.method != STORED else None
        for at in range(0, member.compressed_bytes, _PIECE_BYTES):
            piece = os.pread(self._fd, min(_PIECE_BYTES, member.compressed_bytes - at), start + at)
            if unpacker is None:
                yield piece
            else:
                yield from unpacker.feed(piece, _PIECE_BYTES)

    def _packed(self, member: Member) -> bytes:
        head = os.pread(self._fd, _LOCAL.size + len(member.raw_name), member.offset)
        return os.pread(self._fd, member.compressed_bytes, member.offset + self._start(member, head))

    def _start(self, member: Member, raw: bytes) -> int:
        """Gives the offset of the packed bytes, counted from the local header, which must name the member.

        local header (30) | name | extra | packed bytes
        """
        head = _LOCAL.size + len(member.raw_name)
        if len(raw) < head or raw[:4] != b"PK\x03\x04":
            raise MemberError("no member begins where the zip says")
        if int.from_bytes(raw[26:28], "little") != len(member.raw_name) or raw[_LOCAL.size : head] != member.raw_name:
            raise MemberError("it has another name in its own header than in the directory of the zip")
        start = head + int.from_bytes(raw[28:30], "little")
        if member.offset + start + member.compressed_bytes > self._limit(member.offset):
            raise MemberError("it overlaps another member of the zip")
        return start

    def _unpacked(self, member: Member, packed: bytes) -> bytes:
        content = packed
        if member.method != STORED:
            try:
                content = Unpacker(member.method, member.size_bytes).whole(packed)
            except UnpackError as error:
                raise MemberError(f"it cannot be unpacked: {error}") from error
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
        end = find_end(self._fd)
        if end is None:
            raise self._cut_off("its end is missing, so it was cut off or is no zip")
        if end.is_part:
            raise self._one_part()
        if end.fault:
            raise self._cut_off(end.fault)
        if end.size_bytes > _MAX_DIRECTORY_BYTES:
            detail = f"its directory claims {end.size_bytes:,} bytes; at most {_MAX_DIRECTORY_BYTES:,} are read"
            raise DataError(f"cannot read the zip {self.path}: {detail}", "unpack it, and give the folder")
        self._directory_start, self._shift = self._place_of_directory(end)
        if self._index_folder is None or end.size_bytes < _INDEXED_MEMBERS * _MEAN_ENTRY_BYTES:
            self._directory = self._read_directory(end)
            return
        place = hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:16]
        index, key = self._index_folder / f"zip-{place}.index", self._index_key(end.size_bytes)
        known = load_directory(index, key)
        self._directory = known or self._read_directory(end)
        if known is None:
            save_directory(index, key, self._directory)

    def _place_of_directory(self, end: ZipEnd) -> tuple[int, int]:
        """Gives the directory's offset in the file, and how far all offsets that the archive states are shifted.

        Other bytes before the archive (in a self-extracting one) shift them:

            other bytes | members | directory | end
                        ^ offset 0            ^ end.at
        """
        directory_start = end.at - end.size_bytes
        shift = directory_start - end.declared_start
        if not end.size_bytes and shift >= 0:
            return directory_start, shift
        first = os.pread(self._fd, 4, directory_start) if directory_start >= 0 else b""
        fits_as_declared = shift and first != b"PK\x01\x02" and end.declared_start + end.size_bytes <= end.at
        if fits_as_declared and os.pread(self._fd, 4, end.declared_start) == b"PK\x01\x02":
            return end.declared_start, 0  # other bytes lie behind the directory: a signature, for one
        if directory_start < 0 or shift < 0:
            raise self._cut_off(
                f"its directory should begin at byte {end.declared_start}, and the file is too short for that: bytes "
                "before it are missing, as in the last part of a split zip"
            )
        if shift and end.n_behind and os.pread(self._fd, 4, 0) == b"PK\x03\x04":
            raise self._cut_off("it was cut off behind another zip that is inside it")
        return directory_start, shift

    def _read_directory(self, end: ZipEnd) -> Directory:
        names, offsets = ZipNames(), array("Q")
        self._walk_directory(end, names, offsets)
        names.keyed.sort()
        return Directory(
            array("I", (key >> 40 for key in names.keyed)),
            array("Q", (key & (1 << 40) - 1 for key in names.keyed)),
            array("Q", sorted(offsets)),
            sorted(os.fsdecode(folder) for folder in _with_parents(names.folders)),
            names.are_plain,
        )

    def _walk_directory(self, end: ZipEnd, names: ZipNames, offsets: array[int]) -> None:
        """Walks the directory once, as its entries have no fixed length, and adds what each has.

        Goes by the directory's size. The stated number of entries, of which only the last 16 bits may be there (the
        macOS Archive Utility), counts only where the comment of the last entry would go on behind the directory.
        """
        size = end.size_bytes
        directory = os.pread(self._fd, size, self._directory_start)
        if len(directory) != size:
            raise self._cut_off("its directory is cut off")
        has_name_fields = MAYBE_NAME_FIELD.search(directory) is not None
        at = n_comment = 0
        scan, shift, head = _SCAN.unpack_from, self._shift, ENTRY.size
        while at < size:
            raw_names: list[bytes] = []
            positions: list[int] = []
            for _ in range(_NAMES_AT_ONCE):
                if at >= size:
                    break
                signature, n_name, n_extra, n_comment, disk, offset = scan(directory, at)
                if signature != _ENTRY_SIGNATURE:
                    raise self._cut_off(f"its directory is damaged at byte {self._directory_start + at}")
                if disk != end.disk and end.disk and disk != FULL16:
                    raise self._one_part()
                after_name = at + head + n_name
                raw_names.append(directory[at + head : after_name])
                positions.append(at)
                if offset == FULL32:
                    offsets.append(self._parse_at(directory, at).offset)
                else:
                    offsets.append(offset + shift)
                at = after_name + n_extra + n_comment
            names.add(raw_names, positions, lambda at: self._parse_at(directory, at).name, has_name_fields)
        if at - n_comment > size or (at > size and (len(offsets) - end.n_entries) & FULL16):
            raise self._cut_off("its last entry goes on behind its directory")

    def _index_key(self, directory_bytes: int) -> IndexKey:
        digest = hashlib.sha256()
        for start in range(0, directory_bytes, _PIECE_BYTES):
            n = min(_PIECE_BYTES, directory_bytes - start)
            digest.update(os.pread(self._fd, n, self._directory_start + start))
        state = self.state()
        return IndexKey(state.st_size, state.st_mtime_ns, digest.hexdigest())

    def _member(self, position: int) -> Member:
        raw = os.pread(self._fd, ENTRY.size + _USUAL_BYTES, self._directory_start + position)
        if len(raw) == ENTRY.size + _USUAL_BYTES and sum(LENGTHS.unpack_from(raw)) > _USUAL_BYTES:
            raw = os.pread(self._fd, entry_bytes(raw, 0), self._directory_start + position)
        return self._parse(raw)

    def _parse_at(self, directory: bytes, at: int) -> Member:
        return self._parse(directory[at : at + entry_bytes(directory, at)])

    def _parse(self, entry: bytes) -> Member:
        if len(entry) < ENTRY.size:
            raise self._cut_off("its directory is not there any more, so it has changed since it was opened")
        return parse_entry(entry, self._shift, self._is_plain)

    def _cut_off(self, detail: str) -> DataError:
        return DataError(
            f"cannot read the zip {self.path}: {detail}",
            "download or copy it again; if that is the same, repair it with  zip -FF, or unpack it and give the folder",
        )

    def _broken(self, detail: str) -> DataError:
        return DataError(f"cannot read the zip {self.path}: {detail}", "copy it to another disk, or download it again")

    def _one_part(self) -> DataError:
        return DataError(
            f"cannot read the zip {self.path}: it is one part of a split zip, and most members lie in other parts",
            f"put all parts into one folder and join them:  zip -s 0 {shlex.quote(str(self.path))} --out whole.zip",
        )


def _stamp(state: os.stat_result) -> tuple[int, int]:
    return state.st_size, state.st_mtime_ns


def _with_parents(folders: set[bytes]) -> set[bytes]:
    """Gives the folders with all folders around them."""
    gathered = {b""}
    for folder in folders:
        while folder not in gathered:
            gathered.add(folder)
            folder = folder.rpartition(b"/")[0]
    return gathered
