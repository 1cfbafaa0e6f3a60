"""Zips of many kinds, sound and damaged: read as zipfile and unzip read them, or refused; unpacked nowhere else.

What both of them read alike babycli must read, too, but for the names and members that it refuses on purpose; what it
reads, one of them must read. Its own commands must agree: the files that `data extract` writes have the digests that
`data manifest` writes, and `data verify` finds nothing else.
"""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import io
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzz_target import Target, commanded, damaged, files_in

from babycli.data.names import leads_astray, normal_name
from babycli.data.zips import MemberError, ZipArchive
from babycli.errors import DataError

_NAMES = (
    *("a.jpg", "b.jpg", "f/a.jpg", "f/g/a.jpg", "f/", "f/g/", "Säugling/é.jpg", "日本/é.jpg", "Ã©.jpg", "é.jpg"),
    *("./c.jpg", "f//d.jpg", "f/./e.jpg", "f\\a.jpg", "f\\", "f\\..\\..\\x", "../x", "f/../../x", "/x", "//x", "/"),
    *("C:\\x", "C:x", "f/.", "f/..", "..", ".", "", "a.jpg/x", "A.JPG", "a.jpg.", "a.jpg ", "a\0b", "a\nb", "a\x1b[1m"),
    *("x" * 300, "d/" * 40 + "x", "con", "-", "~", "a:b", "*?", "._a.jpg", ".babycli-partial/x", "f", "F/a.jpg"),
)
_CONTENTS = (b"", b"x", b"PK\5\6" + bytes(18), b"PK\3\4PK\1\2", b"words " * 300, bytes(5000))
_SYSTEMS = (0, 3, 3, 3, 10, 11, 19)
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_TIMES = struct.pack("<2HBL", 0x5455, 5, 1, 0x5F000000)
_REFUSED = (  # on purpose, whatever others make of it: words of the reasons
    *("different things", "members lie in other parts", "overlaps another", "members of this name"),
    *("it claims", "it holds other than", "behind another zip", "goes on behind its directory", "a symbolic link"),
)


@dataclass(frozen=True, slots=True)
class _Way:
    """How an archive is written, as a whole."""

    before: bytes  # what lies before it
    counts_before: bool  # offsets count that
    comment: bytes
    comment_bytes: int | None  # as it is stated; None for the truth
    behind: bytes
    zip64: bool
    zip64_more: bytes
    plain_is_full: bool  # the plain end refers to the zip64 record
    n_more: int  # by which the number of entries is wrong
    disk: int
    before_end: bytes


def _way(rng: Random) -> _Way:
    def rarely(first: bytes, *others: bytes) -> bytes:
        return rng.choice(others) if rng.random() < 0.15 else first

    return _Way(
        rarely(b"", b"#!/bin/sh\nexit\n", bytes(100), b"PK00", b"\xff\xd8\xff"),
        rng.random() < 0.5,
        rarely(b"", b"a comment", b"PK\5\6" + bytes(30), bytes(500)),
        rng.choice((0, 1, 30, _FULL16)) if rng.random() < 0.05 else None,
        rarely(b"", b"\n", b"\r\n", bytes(1000), b"\xff" * 70_000),
        rng.random() < 0.2,
        rarely(b"", b"more" * 7),
        rng.random() < 0.7,
        rng.choice((1, -1, 65_536, 300)) if rng.random() < 0.05 else 0,
        rng.choice((1, 2, _FULL16)) if rng.random() < 0.05 else 0,
        rarely(b"", b"PK\5\5\3\0sig", b"PK\6\x08" + bytes(8)),
    )


def _packed(method: int, content: bytes) -> bytes:
    match method:
        case 8:
            return zlib.compress(content, wbits=-zlib.MAX_WBITS)
        case 12:
            return bz2.compress(content)
        case 14:
            chain: list[Mapping[str, int]] = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}]
            body = lzma.compress(content, lzma.FORMAT_RAW, filters=chain)
            return struct.pack("<2HBL", 9, 5, 93, 1 << 16) + body
        case _:
            return content


def _unicode_field(rng: Random, raw: bytes) -> bytes:
    crc32 = zlib.crc32(raw) if rng.random() < 0.8 else 0
    field = b"\1" + struct.pack("<L", crc32) + rng.choice(_NAMES).encode()
    return struct.pack("<2H", 0x7075, len(field)) + field


def _entry(rng: Random, offset: int) -> tuple[bytes, bytes]:
    """Gives a member and its entry in the directory."""
    name, content = rng.choice(_NAMES), rng.choice(_CONTENTS)
    if rng.random() < 0.7:
        name = f"{rng.randrange(100)}{name}"  # most are there once
    encoding = rng.choice(("utf-8", "utf-8", "cp437", "latin-1"))
    raw = name.encode(encoding, "replace")
    flags = 0x800 if (encoding == "utf-8" and rng.random() < 0.5) or rng.random() < 0.05 else 0
    method = rng.choice((0, 0, 8, 8, 12, 14))
    if name.endswith("/") and rng.random() < 0.9:
        content, method = b"", 0
    packed, crc32 = _packed(method, content), zlib.crc32(content)
    n_packed, n = len(packed), len(content)
    extra = rng.choice((b"", b"", _TIMES))
    if rng.random() < 0.1:
        extra += _unicode_field(rng, raw)
    local = (crc32, n_packed, n)
    local_extra, descriptor = extra, b""
    if rng.random() < 0.2:  # a data descriptor behind the member
        flags |= 8
        local = (0, 0, 0)
        mark = rng.choice((b"PK\7\x08", b"PK\7\x08", b""))
        descriptor = mark + struct.pack(rng.choice(("<3L", "<L2Q")), crc32, n_packed, n)
    stated = [n_packed, n, offset]
    if rng.random() < 0.15:
        wide = [i for i in (1, 0, 2) if rng.random() < 0.6]
        values = b"".join(struct.pack("<Q", stated[i]) for i in wide)
        extra += struct.pack("<2H", 1, len(values)) + values
        stated = [_FULL32 if i in wide else number for i, number in enumerate(stated)]
        if rng.random() < 0.5:
            local_extra += struct.pack("<2H2Q", 1, 16, n, n_packed)
            local = (local[0], _FULL32, _FULL32)
    flags |= 1 if rng.random() < 0.02 else 0
    kind = rng.choice((0o100644, 0o100644, 0o100644, 0, 0o120777, 0o040755)) << 16
    comment = rng.choice((b"", b"", b"", b"of a member"))
    head = (20, flags, method, 0, 0x21)
    member = struct.pack("<4s5H3L2H", b"PK\3\4", *head, *local, len(raw), len(local_extra)) + raw + local_extra
    system = rng.choice(_SYSTEMS) << 8 | 20
    sizes = (crc32, *stated[:2], len(raw), len(extra), len(comment), 0, 0, kind, stated[2])
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", system, *head, *sizes) + raw + extra + comment
    return member + packed + descriptor, entry


def _archive(rng: Random) -> bytes:
    way = _way(rng)
    start = len(way.before) if way.counts_before else 0
    body, directory = bytearray(), bytearray()
    n = rng.choice((0, 1, 1, 2, 3, 5, 9))
    for _ in range(n):
        member, entry = _entry(rng, start + len(body))
        body += member
        directory += entry
    at = start + len(body)
    end, numbers = way.before_end, (n + way.n_more & _FULL16, len(directory), at)
    if way.zip64:
        record_at = at + len(directory) + len(end)
        size = 44 + len(way.zip64_more)
        end += struct.pack("<4sQ2H2L4Q", b"PK\6\6", size, 45, 45, 0, 0, n, n, len(directory), at) + way.zip64_more
        end += struct.pack("<4sLQL", b"PK\6\7", 0, record_at, 1)
        numbers = (_FULL16, _FULL32, _FULL32) if way.plain_is_full else numbers
    stated = len(way.comment) if way.comment_bytes is None else way.comment_bytes
    end += struct.pack("<4s4H2LH", b"PK\5\6", way.disk, way.disk, numbers[0], *numbers, stated)
    return way.before + bytes(body + directory) + end + way.comment + way.behind


def _samples() -> list[bytes]:
    rng = Random(1)
    return [_archive(rng) for _ in range(20)]


def _damaged(rng: Random, sample: bytes, samples: Sequence[bytes]) -> bytes:
    """Writes an archive, and damages two of three: often the directory and the end alone, which are read with care."""
    content = _archive(rng)
    match rng.randrange(3):
        case 0:
            return content
        case 1:
            return damaged(rng, content, samples)
        case _:
            at = max(0, content.find(b"PK\1\2"))
            return content[:at] + damaged(rng, content[at:], samples)


def _attempt(content: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="babycli-fuzz-zips-") as name:
        folder = Path(name)
        path = folder / "a.zip"
        path.write_bytes(content)
        return _wrong_reading(path) or _wrong_commands(path)


_Files = frozenset[tuple[str, bytes]]  # names, with slashes for backslashes, and contents


@dataclass(frozen=True, slots=True)
class _Read:
    """What babycli reads in an archive."""

    files: _Files
    spared: frozenset[str]  # names that are refused on purpose, as others cut or change them
    common: _Files  # those that every program should read
    displaced: frozenset[str]  # names of members that do not begin where the archive says


def _wrong_reading(path: Path) -> str:
    ours, (theirs, is_whole) = _read(path), _zipfile_s(path)
    if isinstance(ours, str):
        if not theirs or any(reason in ours for reason in _REFUSED):
            return ""
        also = theirs & _unzip_s(path)
        return f"zipfile and unzip read {sorted(also)!r:.300}; babycli says {ours}" if also else ""
    if ours.files == theirs:
        return ""
    of_unzip = _unzip_s(path)
    spared = ours.spared if is_whole else ours.spared | ours.displaced  # some are, and each program searches in its way
    lacking = {(name, content) for name, content in (theirs & of_unzip) - ours.files if name not in spared}
    if lacking:
        return f"zipfile and unzip read {sorted(lacking)!r:.500}, and babycli does not"
    if theirs and is_whole:
        alone = {content for _, content in ours.common} - {content for _, content in theirs | of_unzip}
        return f"neither zipfile nor unzip reads what babycli reads: {alone!r:.300}" if alone - {b""} else ""
    return ""


def _slashed(name: str) -> str:
    return normal_name(name.replace("\\", "/"))


def _read(path: Path) -> _Read | str:
    """Reads all members; gives the reason where the archive is refused."""
    try:
        archive = ZipArchive(path)
    except DataError as error:
        return error.message
    members = list(archive.members())
    if [member.name for member in members] != list(archive.names()):
        raise AssertionError("members and names differ")
    n_of_name = Counter(_slashed(member.name) for member in members)
    spared = {name for name, n in n_of_name.items() if n > 1}
    for member in members:
        if leads_astray(member.name) or b"\0" in member.raw_name:
            spared |= {_slashed(member.name), _slashed(os.fsdecode(member.raw_name.split(b"\0")[0]))}
    files, common, displaced = set(), set(), set()
    for member in members:
        name = _slashed(member.name)
        try:
            content = archive.read(member)
            if content != b"".join(archive.pieces(member)):
                raise AssertionError(f"{member.name!r} has other bytes in pieces")
            files.add((name, content))
            # A folder to zipfile, which reads no Unicode path field, may have a file's name in there.
            is_file = not name.endswith("/") and not member.raw_name.endswith((b"/", b"\\"))
            if name not in spared and is_file and len(name) < 200 and member.method in (0, 8):
                common.add((name, content))
        except MemberError as error:
            if any(reason in str(error) for reason in _REFUSED):
                spared.add(name)
            if "no member begins" in str(error):
                displaced.add(name)
    return _Read(frozenset(files), frozenset(spared), frozenset(common), frozenset(displaced))


def _zipfile_s(path: Path) -> tuple[_Files, bool]:
    """Reads what the standard library reads, and tells whether it reads all; what it raises does not matter."""
    files, n = set(), 0
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                n += 1
                with contextlib.suppress(Exception):
                    content = archive.read(info)
                    n -= 1
                    if not info.filename.endswith(("/", "\\")):
                        files.add((_slashed(info.filename), content))
    return frozenset(files), not n


def _unzip_s(path: Path) -> _Files:
    """Reads what Info-ZIP's unzip writes to the disk; nothing where it is not installed."""
    if shutil.which("unzip") is None:
        return frozenset()
    into = path.with_name("unzipped")
    words = ["unzip", "-qq", "-o", "-P", "x", str(path), "-d", str(into)]
    with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for ever behind some damage
        subprocess.run(words, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=5)
    return frozenset((_slashed(name), content) for name, content in files_in(into).items())


def _wrong_commands(path: Path) -> str:
    """Runs the commands on the archive, and tells where they do not agree, or write where they must not."""
    folder = path.parent
    listing, into = folder / "listing", folder / "into"
    shutil.rmtree(folder / "unzipped", ignore_errors=True)
    made = commanded("data", "manifest", path, "-o", listing)
    verified = commanded("data", "verify", path, "--manifest", listing, "--data", folder / "data") if not made else 3
    extracted = commanded("data", "extract", path, into, "--data", folder / "data")
    left = ".into.babycli-partial" if extracted else ""  # what could be unpacked waits there
    others = {entry.name for entry in os.scandir(folder)} - {"a.zip", "listing", "into", "data", left}
    if others:
        return f"extract or manifest wrote {others}"
    if {made, verified, extracted} - {0, 3, 4}:
        return f"manifest, verify and extract ended with {made}, {verified}, {extracted}"
    if extracted == 0:
        if made:
            return "extract takes what manifest refuses"
        listed = {
            line[66:].removeprefix("./"): line[:64]
            for line in io.StringIO(listing.read_text("utf-8", "surrogateescape"))
        }
        written = {f"{name}\n": hashlib.sha256(content).hexdigest() for name, content in files_in(into).items()}
        if listed != written:
            return f"extract wrote other files than manifest lists: {written.keys() ^ listed.keys()}"
    elif into.exists():
        return "extract failed, and left a folder"
    return "manifest lists what verify does not find" if made == 0 and verified else ""


TARGET = Target("zips", _samples, _attempt, _damaged)
