"""The names in a zip's directory, gathered for later look-ups, many at once.

Owns which names are plain: ASCII, and written as they are looked up. Never reads an archive.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence

from babycli.data.names import MAX_DEPTH, MAX_NAME_BYTES, leads_astray

_ODD = re.compile(rb"[\\\0\x80-\xff]|//|\./|\A/|\.\Z|\A\Z")  # of a name that may have another form, or an unsafe one
_ODD_AMONG_MANY = (b"\\", b"\0", b"//", b"./", b"\n/", b".\n", b"\n\n")  # the same, with a line end around each name


class ZipNames:
    """The names of members, but not of folders, and the folders around them."""

    def __init__(self) -> None:
        self.keyed: list[int] = []  # CRC-32 of the name << 40 | position of its entry: one sort orders both
        self.folders = {b""}
        self.are_plain = True

    def add(
        self, names: Sequence[bytes], positions: Sequence[int], name_at: Callable[[int], str], may_differ: bool
    ) -> None:
        """Adds names as their entries write them, and the positions of these.

        ``name_at`` reads the name of an entry in its normal form: for odd ones and, with ``may_differ``, for all.
        """
        joined = b"\n".join((b"", *names, b""))
        if (
            may_differ
            or not joined.isascii()
            or joined.count(b"\n") != len(names) + 1
            or max(map(len, names)) > MAX_NAME_BYTES
            or any(odd in joined for odd in _ODD_AMONG_MANY)
        ):
            for name, position in zip(names, positions, strict=True):
                if may_differ or _ODD.search(name) or len(name) > MAX_NAME_BYTES:
                    self._add_odd(name_at(position), position)
                else:
                    self._add_plain((name,), (position,), may_have_folders=True)
        else:
            self._add_plain(names, positions, may_have_folders=b"/" in joined)

    def _add_plain(self, names: Sequence[bytes], positions: Sequence[int], may_have_folders: bool) -> None:
        crc32 = zlib.crc32
        if not may_have_folders:
            self.keyed += [crc32(name) << 40 | position for name, position in zip(names, positions, strict=True)]
            return
        members = [member for member in zip(names, positions, strict=True) if member[0][-1:] != b"/"]
        self.keyed += [crc32(name) << 40 | position for name, position in members]
        for folder in {name.rpartition(b"/")[0] for name, _ in members} - self.folders:
            self._add_folder(folder)

    def _add_odd(self, name: str, position: int) -> None:
        self.are_plain = False
        raw = name.encode("utf-8", "surrogateescape")
        if raw[-1:] == b"/":
            return
        self.keyed.append(zlib.crc32(raw) << 40 | position)
        if not leads_astray(name):
            self._add_folder(raw.rpartition(b"/")[0])

    def _add_folder(self, folder: bytes) -> None:
        if folder.count(b"/") < MAX_DEPTH:
            self.folders.add(folder)
