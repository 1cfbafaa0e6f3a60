"""Zips in forms that others write: read as unzip and zipfile read them, or refused with the true reason.

What a member holds is told by what was written; that unzip agrees is tested where it is installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from babycli.data import images
from babycli.data.images import open_zip_store
from babycli.data.unpacking import Unpacker, UnpackError
from babycli.data.zip_entry import Member
from babycli.data.zips import ZipArchive
from babycli.errors import DataError
from tests.conftest import Babycli
from tests.data.demo_copy import DemoCopy
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

UNIX, DOS, NTFS, MACOS = 3, 0, 11, 19
CONTENTS = {"frames/a.jpg": b"a" * 300, "frames/b.jpg": b"bb", "c.txt": b""}


@dataclass(frozen=True, slots=True)
class Entry:
    """A member whose name is written as these bytes."""

    raw: bytes
    content: bytes = b"x"
    system: int = UNIX
    flags: int = 0
    extra: bytes = b""
    disk: int = 0


def write_entries(entries: list[Entry], path: Path, disk: int = 0) -> None:
    body, directory = bytearray(), bytearray()
    for e in entries:
        fields = (e.flags, 0, 0, 0x21, zlib.crc32(e.content), len(e.content), len(e.content), len(e.raw))
        head = struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", e.system << 8, 20, *fields, len(e.extra), 0, e.disk, 0, 0, len(body)
        )
        directory += head + e.raw + e.extra
        body += struct.pack("<4s5H3L2H", b"PK\3\4", 20, *fields, 0) + e.raw + e.content
    n = len(entries) & 0xFFFF
    end = struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, n, n, len(directory), len(body), 0)
    path.write_bytes(body + directory + end)


def unicode_path(raw: bytes, name: str) -> bytes:
    field = b"\1" + struct.pack("<L", zlib.crc32(raw)) + name.encode()
    return struct.pack("<2H", 0x7075, len(field)) + field


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_read_as(babycli: Babycli, path: Path, expected: Mapping[str, bytes], unzip_agrees: bool = True) -> None:
    """Manifest, verify and extract give these members, and so does unzip."""
    assert babycli("data", "manifest", path, "-o", "listing").code == 0
    listed = Path("listing").read_text("utf-8", "surrogateescape").splitlines()
    assert sorted(listed) == sorted(f"{hashlib.sha256(c).hexdigest()}  {name}" for name, c in expected.items())
    assert babycli("data", "verify", path, "--manifest", "listing").code == 0
    ran = babycli("data", "extract", path, "dest")
    assert (ran.code, ran.out) == (0, "")
    assert contents(Path("dest")) == expected
    if unzip_agrees and shutil.which("unzip"):
        words = ["unzip", "-qq", "-o", str(path), "-d", "theirs"]
        ended = subprocess.run(words, check=False, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
        assert ended.returncode in (0, 1)  # 1: it warns
        assert contents(Path("theirs")) == expected


# --- the end of the archive ----------------------------------------------------------------------------------------


def end_of(raw: bytes) -> tuple[int, int, int, int]:
    """Where the end record is, the number of entries, the size and the start of the directory."""
    at = raw.rindex(b"PK\5\6")
    return at, *struct.unpack("<H2L", raw[at + 10 : at + 20])


def with_zip64(raw: bytes, more: bytes = b"", plain: tuple[int, int, int] | None = None) -> bytes:
    """The archive with a zip64 record before its end; ``plain``: what the end says instead of the numbers."""
    at, n, size, start = end_of(raw)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44 + len(more), 45, 45, 0, 0, n, n, size, start) + more
    n, size, start = plain or (n, size, start)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, n, n, size, start, 0)
    return raw[:at] + record + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1) + end


def with_last_entry_s_comment(raw: bytes) -> bytes:
    at = raw.rindex(b"PK\1\2")
    return raw[: at + 32] + struct.pack("<H", 500) + raw[at + 34 :]


def with_comment_length(raw: bytes, length: int) -> bytes:
    return raw[:-2] + struct.pack("<H", length)


FULL = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
ENDS: dict[str, Callable[[bytes], bytes]] = {
    "a line end behind": lambda raw: raw + b"\r\n",
    "padding behind": lambda raw: raw + bytes(10_000),
    "much padding behind": lambda raw: raw + bytes(1 << 20),
    "the longest comment and a line end behind": lambda raw: with_comment_length(raw, 65_535) + b"c" * 65_535 + b"\r\n",
    "a comment shorter than it says": lambda raw: with_comment_length(raw, 30) + b"short",
    "no comment where one is said": lambda raw: with_comment_length(raw, 5),
    "other bytes before and behind": lambda raw: b"#!/bin/sh\nexit\n" + raw + b"\n",
    "a wrong number of entries": lambda raw: raw.replace(struct.pack("<2H", 3, 3), struct.pack("<2H", 1, 1)),
    "a comment of the last entry that goes on behind it": with_last_entry_s_comment,
    "zip64": lambda raw: with_zip64(raw, plain=FULL),
    "zip64 beside a plain end": with_zip64,
    "a longer zip64 record": lambda raw: with_zip64(raw, b"more" * 7, FULL),
    "a longer zip64 record behind other bytes": lambda raw: b"#!/bin/sh\n" + with_zip64(raw, b"more" * 7, FULL),
}
WARNED_OF = ("behind", "number", "longer")  # unzip or zipfile read them, not both


@pytest.mark.parametrize("kind", ENDS)
def test_an_odd_end_is_read(babycli: Babycli, kind: str) -> None:
    with zipfile.ZipFile("a.zip", "w") as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
    Path("a.zip").write_bytes(ENDS[kind](Path("a.zip").read_bytes()))
    assert_read_as(babycli, Path("a.zip"), CONTENTS, unzip_agrees=not any(word in kind for word in WARNED_OF))
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile("a.zip") as theirs:
        assert {name: theirs.read(name) for name in theirs.namelist()} == CONTENTS


def test_bytes_between_directory_and_end_do_no_harm(babycli: Babycli) -> None:
    write_entries([Entry(b"a.jpg"), Entry(b"b.jpg", b"2")], Path("a.zip"))
    raw = Path("a.zip").read_bytes()
    at = end_of(raw)[0]
    Path("a.zip").write_bytes(raw[:at] + b"PK\5\5\3\0sig" + raw[at:])
    assert_read_as(babycli, Path("a.zip"), {"a.jpg": b"x", "b.jpg": b"2"}, unzip_agrees=False)


def test_more_members_than_an_end_without_zip64_can_count(babycli: Babycli) -> None:
    names = [f"{i:05d}" for i in range(65_540)]
    write_entries([Entry(name.encode()) for name in names], Path("a.zip"))
    assert sorted(ZipArchive(Path("a.zip")).names()) == names


def two_truths(raw: bytes) -> bytes:
    _, n, size, start = end_of(raw)
    return with_zip64(raw, plain=(n, size - 46, start))


REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "two ends that differ": (two_truths, "different things"),
    "without its beginning": (lambda raw: raw[100:], "bytes before it are missing"),
    "a huge directory": (lambda raw: raw[:-10] + struct.pack("<2LH", 1 << 31, 0, 0), "directory claims"),
    "of several disks": (lambda raw: raw.replace(b"PK\5\6\0\0\0\0", b"PK\5\6\2\0\1\0"), "split"),
    "cut off behind a zip inside": (lambda raw: raw[: raw.rindex(b"inner") + 30] + raw + b"cut", "behind another zip"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_end_that_cannot_be_trusted_is_refused_with_the_reason(babycli: Babycli, kind: str) -> None:
    write_entries([Entry(b"a.jpg", b"1" * 200), Entry(b"inner", b"2" * 200)], Path("a.zip"))
    make, reason = REFUSED[kind]
    Path("a.zip").write_bytes(make(Path("a.zip").read_bytes()))
    ran = babycli("data", "manifest", "a.zip", "-o", "listing")
    assert (ran.code, ran.out) == (3, "")
    assert reason in ran.err
    assert "a.zip" in ran.err


def test_a_directory_of_a_terabyte_is_refused_at_once(babycli: Babycli) -> None:
    size = 1 << 40
    with Path("a.zip").open("wb") as stream:
        stream.truncate(size)
        stream.seek(size)
        stream.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 9, 9, size, 0))
        stream.write(struct.pack("<4sLQL", b"PK\6\7", 0, size, 1))
        stream.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *FULL[:1], *FULL, 0))
    ran = babycli("data", "extract", "a.zip", "dest")
    assert (ran.code, "its directory claims" in ran.err) == (3, True)


@pytest.mark.skipif(shutil.which("zip") is None, reason="zip is not installed")
def test_a_part_of_a_split_zip_is_called_so(babycli: Babycli) -> None:
    Path("frames").mkdir()
    for i in range(4):
        Path(f"frames/{i}.jpg").write_bytes(random.Random(i).randbytes(40_000))
    subprocess.run(["zip", "-q", "-0", "-s", "64k", "-r", "s.zip", "frames"], check=True)
    for part in ("s.zip", "s.z01", "s.z02"):
        ran = babycli("data", "link", part)
        assert (ran.code, "one part of a split zip" in ran.err, "zip -s 0" in ran.err) == (3, True, True)
    subprocess.run(["zip", "-q", "-s", "0", "s.zip", "--out", "whole.zip"], check=True)
    assert_read_as(babycli, Path("whole.zip"), {f"frames/{name}": c for name, c in contents(Path("frames")).items()})


# --- names ---------------------------------------------------------------------------------------------------------

CP437 = "Säuglinge/é.jpg".encode("cp437")
NAMES = {
    "code page 437": (Entry(CP437, system=DOS), "Säuglinge/é.jpg"),
    "UTF-8 of Unix": (Entry("Säugling/é.jpg".encode()), "Säugling/é.jpg"),
    "UTF-8 of macOS": (Entry("Säugling/é.jpg".encode(), system=MACOS), "Säugling/é.jpg"),
    "UTF-8, said so": (Entry("日本/é.jpg".encode(), system=DOS, flags=0x800), "日本/é.jpg"),
    "Unicode path": (Entry(b"f/_.jpg", system=DOS, extra=unicode_path(b"f/_.jpg", "f/日.jpg")), "f/日.jpg"),
    "Unicode path of another name": (Entry(b"f/_.jpg", extra=unicode_path(b"other", "f/日.jpg")), "f/_.jpg"),
    "./": (Entry(b"./f/a.jpg"), "f/a.jpg"),
    "/./": (Entry(b"f/./a.jpg"), "f/a.jpg"),
    "//": (Entry(b"f//g///a.jpg"), "f/g/a.jpg"),
    "backslashes of Windows": (Entry(b"f\\g\\a.jpg", system=DOS), "f/g/a.jpg"),
}


UNZIP_ERRS = ("code page 437", "UTF-8, said so")  # unzip 6.0 takes the second for bytes of DOS; zipfile does not


@pytest.mark.parametrize("kind", NAMES)
def test_a_member_has_the_name_that_unzip_gives_it(babycli: Babycli, kind: str) -> None:
    entry, name = NAMES[kind]
    write_entries([Entry(b"other/plain.jpg", b"1"), entry], Path("a.zip"))
    assert_read_as(babycli, Path("a.zip"), {"other/plain.jpg": b"1", name: b"x"}, unzip_agrees=kind not in UNZIP_ERRS)
    archive = ZipArchive(Path("a.zip"))
    folder, _, file_name = name.rpartition("/")
    assert open_zip_store(archive, [file_name]).read(file_name) == b"x"
    assert folder in archive.folders


def test_folders_in_any_of_these_forms_are_no_members(babycli: Babycli) -> None:
    folders = [Entry(raw, b"") for raw in (b"./", b"f/", b".//f/", b"//")]
    write_entries([*folders, Entry(b"g\\", b"", DOS), Entry(b"f/a.jpg")], Path("a.zip"))
    assert_read_as(babycli, Path("a.zip"), {"f/a.jpg": b"x"}, unzip_agrees=False)


@pytest.mark.parametrize("raw", [b"../a.jpg", b"f/../../a.jpg", b"/f/a.jpg", b"", b"f/.", b"f/a\0.jpg", b"..\\a.jpg"])
def test_an_unsafe_name_is_unsafe_to_every_command(babycli: Babycli, raw: bytes) -> None:
    extra = unicode_path(raw, "other.jpg") if b"\0" in raw else b""  # fits the bytes, and not the name that they make
    write_entries([Entry(b"good.jpg"), Entry(raw, system=DOS, extra=extra)], Path("a.zip"))
    Path("listing").write_text(f"{hashlib.sha256(b'x').hexdigest()}  good.jpg\n")
    told = [
        babycli("data", "manifest", "a.zip", "-o", "own"),
        babycli("data", "verify", "a.zip", "--manifest", "listing"),
        babycli("data", "extract", "a.zip", "dest"),
    ]
    assert [ran.code for ran in told] == [3, 3, 3]
    assert "UnsafeName " in told[0].err
    assert [ran.out.count("UnsafeName") for ran in told[1:]] == [1, 1]
    assert not Path("own").exists()
    assert not Path("dest").exists()


@pytest.mark.parametrize("form", ["./saycam/{}", "saycam//x/{}", "{}"])
def test_frames_are_linked_under_any_form_of_their_names(babycli: Babycli, demo: DemoCopy, form: str) -> None:
    frames = [Entry(form.format(path.name).encode(), path.read_bytes()) for path in sorted(demo.saycam.iterdir())]
    write_entries(frames, Path("frames.zip"))
    words = ("data", "link", "frames.zip", "--tasks", "vtwt", "--from", demo.labels)
    assert babycli(*words).code == 0
    assert babycli("data", "verify", "--tasks", "vtwt", "--depth", "decode").code == 0


# --- compression ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_packed_by_bzip2_and_lzma_are_read(babycli: Babycli, demo: DemoCopy, method: int) -> None:
    frames = zip_folder(demo.saycam, Path("frames.zip"), "in/", method)
    assert babycli("data", "link", frames, "--tasks", "vtwt", "--from", demo.labels).code == 0
    with zipfile.ZipFile("a.zip", "w", method) as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
    assert_read_as(babycli, Path("a.zip"), CONTENTS, unzip_agrees=method == zipfile.ZIP_BZIP2)


@pytest.mark.parametrize(
    ("method", "module", "words"),
    [(zipfile.ZIP_BZIP2, "bz2", "without bzip2"), (zipfile.ZIP_LZMA, "lzma", "without LZMA")],
)
def test_a_python_without_a_method_refuses_the_members_that_need_it(
    babycli: Babycli, monkeypatch: pytest.MonkeyPatch, method: int, module: str, words: str
) -> None:
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("plain", b"1")
        archive.writestr("packed", b"2", method)
    monkeypatch.setitem(sys.modules, module, None)
    ran = babycli("data", "manifest", "a.zip", "-o", "list")
    assert ran.code == 3
    assert f"a.zip/packed: it cannot be unpacked: this Python was built {words}" in ran.err
    assert "a.zip/plain" not in ran.err


@pytest.mark.parametrize("method", [8, 12, 14])
@pytest.mark.parametrize("seed", range(30))
def test_unpacking_in_pieces_or_at_once_gives_what_zipfile_gives(method: int, seed: int) -> None:
    """A flipped bit gives an error or other bytes, no other kind of exception, and never more than was asked for."""
    rng = random.Random(seed)
    content = rng.randbytes(rng.randrange(2000)) + bytes(rng.randrange(20_000))
    with zipfile.ZipFile("a.zip", "w", method) as archive:
        archive.writestr("a", content)
    member = next(ZipArchive(Path("a.zip")).members())
    raw = Path("a.zip").read_bytes()
    packed = raw[31 : 31 + member.compressed_bytes]
    assert Unpacker(method, len(content)).whole(packed) == content
    unpacker = Unpacker(method, len(content))
    pieces = [piece for i in range(0, len(packed), 7) for piece in unpacker.feed(packed[i : i + 7], 100)]
    assert b"".join(pieces) == content
    assert max(map(len, pieces), default=0) <= 100
    harmed = bytearray(packed)
    harmed[rng.randrange(len(harmed))] ^= 1 << rng.randrange(8)
    with contextlib.suppress(UnpackError):
        assert len(Unpacker(method, 500).whole(bytes(harmed))) <= 501


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_what_cannot_be_unpacked_is_said_before_anything_is_written(babycli: Babycli, is_encrypted: bool) -> None:
    write_entries([Entry(b"%d.jpg" % i, flags=is_encrypted) for i in range(40)], Path("a.zip"))
    if not is_encrypted:
        raw = bytearray(Path("a.zip").read_bytes())
        at = raw.find(b"PK\1\2")
        while at >= 0:
            raw[at + 10] = 9
            at = raw.find(b"PK\1\2", at + 1)
        Path("a.zip").write_bytes(raw)
    ran = babycli("data", "extract", "a.zip", "dest")
    reason = "it is encrypted" if is_encrypted else "method Deflate64 is not supported"
    assert (ran.code, reason in ran.out, ran.out.count("\n")) == (3, True, 20)
    assert ran.out.rstrip().endswith("and 20 more of this kind")
    assert "whole zip" not in ran.err
    assert sorted(path.name for path in Path().iterdir()) == ["a.zip"]


def test_an_entry_without_its_zip64_field_spoils_no_other_member(babycli: Babycli) -> None:
    write_entries([Entry(b"a.jpg"), Entry(b"b.jpg", b"2")], Path("a.zip"))
    raw = Path("a.zip").read_bytes()
    at = raw.rindex(b"PK\1\2")
    Path("a.zip").write_bytes(raw[: at + 20] + b"\xff" * 8 + raw[at + 28 :])
    Path("listing").write_text(f"{hashlib.sha256(b'x').hexdigest()}  a.jpg\n")
    ran = babycli("data", "verify", "a.zip", "--manifest", "listing")
    assert (ran.code, ran.out.count("\n"), ran.out.count("Unreadable"), ran.out.count("/b.jpg: ")) == (3, 2, 1, 1)


def test_frames_that_cannot_be_unpacked_are_not_called_absent(babycli: Babycli, demo: DemoCopy) -> None:
    frames = [Entry(path.name.encode(), path.read_bytes(), flags=1) for path in sorted(demo.saycam.iterdir())]
    write_entries(frames, Path("frames.zip"))
    ran = babycli("data", "link", "frames.zip", "--tasks", "vtwt", "--from", demo.labels)
    assert (ran.code, "it is encrypted" in ran.err, "unpack it" in ran.err) == (3, True, True)


@pytest.mark.parametrize(
    ("entry", "told"),
    [(Entry(b"", flags=1), "it is encrypted"), (Entry(b"", b""), "0 bytes")],
    ids=["encrypted", "empty"],
)
def test_frames_that_are_there_are_not_called_absent(babycli: Babycli, demo: DemoCopy, entry: Entry, told: str) -> None:
    names = [path.name.encode() for path in sorted(demo.saycam.iterdir())]
    write_entries([replace(entry, raw=name) for name in names], Path("frames.zip"))
    words = ("--tasks", "vtwt", "--from", demo.labels)
    linked = babycli("data", "link", "frames.zip", *words)
    unpacked = babycli("data", "extract", "frames.zip", "dest", "--only-needed", *words)
    assert (linked.code, unpacked.code) == (3, 3)
    for ran in (linked, unpacked):
        assert told in ran.err
        assert not any(word in ran.err for word in ("was found", "holds none"))
    assert not Path("dest").exists()


# --- many and deep -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_folder_that_is_found_in_one_walk_is_that_of_the_look_ups(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    folders = ["", "a/", "a/b/", "./c//", "d/a/"]
    raws = {rng.choice(folders) + rng.choice(["", "s/"]) + f"{i}.jpg" for i in range(8) for _ in range(3)}
    write_entries([Entry(raw.encode(), rng.choice([b"", b"x"])) for raw in sorted(raws)], Path("a.zip"))
    archive = ZipArchive(Path("a.zip"))
    names = sorted(rng.choice(["", "s/"]) + f"{i}.jpg" for i in range(8))
    found = []
    for few in (1 << 30, -1):
        monkeypatch.setattr(images, "_FEW_LOOKUPS", few)
        monkeypatch.setattr(ZipArchive, "__len__", lambda self: 0)
        found.append(open_zip_store(archive, names).identity)
    assert found[0] == found[1]


def test_thousands_of_folders_cost_no_look_up_each(monkeypatch: pytest.MonkeyPatch) -> None:
    write_entries([Entry(b"f%d/x.jpg" % i) for i in range(3000)], Path("a.zip"))
    archive = ZipArchive(Path("a.zip"))
    looked_up: list[str] = []
    real = ZipArchive.find

    def counted(self: ZipArchive, name: str) -> Member | None:
        looked_up.append(name)
        return real(self, name)

    monkeypatch.setattr(ZipArchive, "find", counted)
    assert open_zip_store(archive, [f"{i}.jpg" for i in range(64)] + ["x.jpg"]).read("x.jpg") == b"x"
    assert len(looked_up) < 3100


def test_names_too_deep_to_unpack_are_refused_as_one_cause(babycli: Babycli) -> None:
    write_entries([Entry(b"%d/" % i + b"a/" * 400 + b"x") for i in range(50)], Path("a.zip"))
    ran = babycli("data", "extract", "a.zip", "dest")
    assert (ran.code, ran.out.count("\n")) == (3, 20)
    assert "folders deep" in ran.out


def test_of_names_that_no_disk_takes_only_they_are_blamed_and_cut_short(babycli: Babycli) -> None:
    names = [b"%d" % i + b"n" * 65_000 for i in range(50)]
    write_entries([Entry(b"a.jpg"), *map(Entry, names)], Path("a.zip"))
    Path("listing").write_text(f"{hashlib.sha256(b'x').hexdigest()}  a.jpg\n")
    verified = babycli("data", "verify", "a.zip", "--manifest", "listing")
    extracted = babycli("data", "extract", "a.zip", "dest")
    listed = babycli("data", "manifest", "a.zip", "-o", "own")
    assert [ran.code for ran in (verified, extracted, listed)] == [3, 3, 3]
    assert [ran.out.count("UnsafeName") for ran in (verified, extracted)] == [20, 20]
    assert "; and 30 more of this kind\n" in verified.out
    assert max(map(len, (verified.out + extracted.out + listed.err).splitlines())) < 2500


@pytest.mark.parametrize("n", [2, 65])
def test_a_name_that_many_members_have_costs_no_look_at_all_of_them_for_each(
    babycli: Babycli, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    write_entries([Entry(b"a.jpg")] * n, Path("a.zip"))
    looked_at: list[int] = []
    real = ZipArchive._member

    def counted(self: ZipArchive, position: int) -> Member:
        looked_at.append(position)
        return real(self, position)

    monkeypatch.setattr(ZipArchive, "_member", counted)
    ran = babycli("data", "manifest", "a.zip", "-o", "own")
    assert (ran.code, f"the zip holds {n} members of this name" in ran.err) == (3, True)
    assert len(looked_at) < 200


def test_a_staging_folder_of_any_depth_is_cleared(babycli: Babycli) -> None:
    write_entries([Entry(b"a.jpg")], Path("a.zip"))
    Path("dest").mkdir()
    staging = Path("dest/.babycli-partial")
    staging.mkdir()
    here = Path.cwd()
    try:
        os.chdir(staging)
        for _ in range(400):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(here)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 250)
    try:
        assert babycli("data", "extract", "a.zip", "dest").code == 0
    finally:
        sys.setrecursionlimit(limit)
    assert contents(Path("dest")) == {"a.jpg": b"x"}
    assert not staging.exists()


def test_a_damaged_directory_is_a_data_error() -> None:
    """Wherever bytes of the directory or the end are changed, the archive opens or is refused; it is never a bug."""
    write_entries([Entry(b"./f/%d.jpg" % i, extra=unicode_path(b"x", "y")) for i in range(3)], Path("a.zip"))
    whole = Path("a.zip").read_bytes()
    start = whole.index(b"PK\1\2")
    rng = random.Random(5)
    for _ in range(250):
        harmed = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            harmed[rng.randrange(start, len(harmed))] = rng.choice([0, 1, 0x2E, 0x2F, 0xFF, rng.randrange(256)])
        Path("a.zip").write_bytes(harmed)
        with contextlib.suppress(DataError):
            archive = ZipArchive(Path("a.zip"))
            assert len(list(archive.names())) == len(archive)


@pytest.mark.parametrize(
    ("content", "what", "mend"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7-Zip archive", "unpack it"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(40), "a RAR archive", "unpack it"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip file", "unpack it"),
        (b"frames/".ljust(257, b"\0") + b"ustar" + bytes(300), "a tar archive", "unpack it"),
        (b"<!DOCTYPE html><html>log in</html>", "a web page", "get the file again"),
        (b"PK\x03\x04" + bytes(40), "nor a zip", "it was cut off"),
    ],
)
def test_what_is_no_zip_is_named(babycli: Babycli, content: bytes, what: str, mend: str) -> None:
    Path("frames.zip").write_bytes(content)
    for words in (["extract", "frames.zip", "to"], ["manifest", "frames.zip", "-o", "list"], ["link", "frames.zip"]):
        ran = babycli("data", *words)
        assert ran.code == 3
        assert what in ran.err
        assert mend in ran.err
