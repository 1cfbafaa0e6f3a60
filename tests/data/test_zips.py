"""Zip archives against the standard library's writer and reader, and against every way they can be wrong."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from babycli.data.images import ImageError, ZipStore, open_store
from babycli.data.problems import ProblemKind
from babycli.data.zips import MemberError, ZipArchive, is_zip
from babycli.errors import DataError

NAMES = ["a.jpg", "sub/b.jpg", "sub/deeper/c d.jpg", "é.jpg", "日本.jpg", "sub/Z.JPG", "e\u0301.jpg"]


def make_zip(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_STORED, before: bytes = b"") -> Path:
    with path.open("wb") as stream:
        stream.write(before)
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
    return path


def random_contents(seed: int) -> dict[str, bytes]:
    rng = random.Random(seed)
    return {name: rng.randbytes(rng.randrange(5000)) + bytes(rng.randrange(5000)) for name in NAMES}


def content_of(archive: ZipArchive, name: str) -> bytes:
    member = archive.find(name)
    assert member is not None
    return archive.read(member)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n" * 100], ids=["plain", "behind a script"])
def test_members_are_what_was_written(tmp_path: Path, seed: int, method: int, before: bytes) -> None:
    contents = random_contents(seed)
    archive = ZipArchive(make_zip(tmp_path / "frames.txt", contents, method, before))
    assert len(archive) == len(contents)
    assert {name: content_of(archive, name) for name in contents} == contents
    assert archive.folders == ["", "sub", "sub/deeper"]
    assert archive.find("sub/B.jpg") is None
    assert archive.find("b.jpg") is None


def test_folder_entries_and_a_comment_are_no_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.mkdir("frames")
        archive.writestr("frames/a.jpg", b"abc")
        archive.comment = b"PK\x05\x06 is not the end here" * 50
    opened = ZipArchive(tmp_path / "x.zip")
    assert len(opened) == 1
    assert opened.folders == ["", "frames"]
    assert content_of(opened, "frames/a.jpg") == b"abc"


def test_an_archive_that_was_streamed_has_its_sizes_in_the_directory(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.written += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"abc" * 1000)
    path = tmp_path / "streamed.zip"
    path.write_bytes(pipe.written)
    assert content_of(ZipArchive(path), "a.jpg") == b"abc" * 1000


@pytest.mark.long
def test_zip64_by_number_of_entries(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "many.zip", {f"S_{i:06d}.jpg": b"%d" % i for i in range(70_000)})
    archive = ZipArchive(path)
    assert len(archive) == 70_000
    rng = random.Random(1)
    for i in rng.sample(range(70_000), 200):
        assert content_of(archive, f"S_{i:06d}.jpg") == b"%d" % i
    assert archive.find("S_070000.jpg") is None


def test_zip64_by_offset_beyond_4_gib(tmp_path: Path) -> None:
    hole = 5 << 30  # a sparse file: it takes no space
    path = tmp_path / "large.zip"
    with path.open("wb") as stream:
        os.truncate(path, hole)
        stream.seek(hole)
        with zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
            archive.start_dir = hole  # offsets counted from the beginning of the file, as in a large archive
            archive.writestr("late.jpg", b"late")
    with zipfile.ZipFile(path) as theirs:
        assert theirs.getinfo("late.jpg").header_offset >= hole
    assert content_of(ZipArchive(path), "late.jpg") == b"late"


def test_threads_and_a_pickled_copy_read_the_same(tmp_path: Path) -> None:
    contents = {f"{i}.jpg": random.Random(i).randbytes(3000) for i in range(300)}
    archive = ZipArchive(make_zip(tmp_path / "x.zip", contents, zipfile.ZIP_DEFLATED))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: content_of(archive, name), list(contents) * 4))
    assert found == list(contents.values()) * 4
    copy = pickle.loads(pickle.dumps(archive))
    assert {name: content_of(copy, name) for name in contents} == contents


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_is_never_passed_over(tmp_path: Path, seed: int) -> None:
    """Wherever it hits, what is read is what was written or an error; never other bytes."""
    contents = random_contents(seed)
    path = make_zip(tmp_path / "x.zip", contents, zipfile.ZIP_DEFLATED if seed % 2 else zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    rng = random.Random(seed)
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)
    try:
        archive = ZipArchive(path)
    except DataError:
        return
    for name, content in contents.items():
        try:
            member = archive.find(name)
            if member is not None:
                assert archive.read(member) == content
        except (MemberError, DataError):
            continue


@pytest.mark.parametrize("seed", range(40))
def test_a_zip_that_was_cut_off_does_not_open(tmp_path: Path, seed: int) -> None:
    path = make_zip(tmp_path / "x.zip", random_contents(seed))
    raw = path.read_bytes()
    path.write_bytes(raw[: random.Random(seed).randrange(len(raw))])
    assert not is_zip(path)
    with pytest.raises(DataError, match="cut off"):
        ZipArchive(path)


def patched(path: Path, at: int, content: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[at : at + len(content)] = content
    path.write_bytes(raw)


def entry_at(path: Path) -> int:
    """Where the first directory entry begins."""
    return path.read_bytes().index(b"PK\x01\x02")


@pytest.mark.parametrize(
    ("offset", "content", "detail"),
    [
        (8, struct.pack("<H", 1), "encrypted"),
        (10, struct.pack("<H", 9), "method Deflate64"),
        (16, struct.pack("<L", 1), "CRC-32"),
        (24, struct.pack("<L", 1 << 29), "more than any image"),
        (24, struct.pack("<L", 5), "other than the 5 bytes"),
        (20, struct.pack("<2L", 3000, 3000), "overlaps"),
        (42, struct.pack("<L", 7), "no member begins"),
    ],
)
def test_a_member_that_lies_is_refused(tmp_path: Path, offset: int, content: bytes, detail: str) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": b"a" * 2000, "b.jpg": b"b" * 2000})
    patched(path, entry_at(path) + offset, content)
    archive = ZipArchive(path)
    member = archive.find("a.jpg")
    assert member is not None
    with pytest.raises(MemberError, match=detail):
        archive.read(member)
    assert content_of(archive, "b.jpg") == b"b" * 2000


@pytest.mark.parametrize("own_name", [b"b.jpg", b"a.jpg.jpg", b"a.jp"])
def test_a_member_with_two_names_is_refused(tmp_path: Path, own_name: bytes) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": b"a" * 2000})
    content = path.read_bytes()
    local, rest = content[:30], content[35:]
    moved = len(own_name) - len(b"a.jpg")
    path.write_bytes(local[:26] + struct.pack("<H", len(own_name)) + local[28:] + own_name + rest)
    directory_at = int.from_bytes(content[-6:-2], "little")  # where the end record says that the directory begins
    patched(path, path.stat().st_size - 6, struct.pack("<L", directory_at + moved))
    archive = ZipArchive(path)
    member = archive.find("a.jpg")
    assert member is not None
    with pytest.raises(MemberError, match="another name in its own header"):
        archive.read(member)
    with pytest.raises(MemberError, match="another name in its own header"):
        list(archive.pieces(member))


def test_a_deflate_bomb_stops_at_the_size_it_claims(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    patched(path, entry_at(path) + 24, struct.pack("<L", 1000))
    archive = ZipArchive(path)
    member = archive.find("a.jpg")
    assert member is not None
    with pytest.raises(MemberError, match="1000 bytes"):
        archive.read(member)


def test_two_members_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": b"first", "b.jpg": b"second"})
    path.write_bytes(path.read_bytes().replace(b"b.jpg", b"a.jpg"))
    with pytest.raises(MemberError, match="2 members"):
        ZipArchive(path).find("a.jpg")


def test_two_members_of_one_place_overlap(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": b"abc", "b.jpg": b"xyz"})
    raw = path.read_bytes()
    second = raw.index(b"PK\x01\x02", entry_at(path) + 4)
    patched(path, second + 42, struct.pack("<L", 0))
    archive = ZipArchive(path)
    member = archive.find("a.jpg")
    assert member is not None
    with pytest.raises(MemberError, match="overlaps"):
        archive.read(member)


def test_names_without_a_word_on_their_encoding(tmp_path: Path) -> None:
    """Those of Unix are bytes as on its disks; others are code page 437, as the format has it."""
    path = make_zip(tmp_path / "x.zip", {"aXX.jpg": b"abc"})
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = path.read_bytes().index(mark)
        patched(path, path.read_bytes().index(b"aXX.jpg", at), b"a\xff\x82.jpg")
    assert content_of(ZipArchive(path), os.fsdecode(b"a\xff\x82.jpg")) == b"abc"
    patched(path, entry_at(path) + 5, b"\0")  # made by MS-DOS
    assert content_of(ZipArchive(path), "a\xa0é.jpg") == b"abc"


@pytest.mark.parametrize("folder", ["", "frames/", "saycam/frames/"])
def test_the_folder_that_holds_the_names_is_found(tmp_path: Path, folder: str) -> None:
    contents = {f"{folder}{i}.jpg": b"%d" % i for i in range(200)} | {"other/7.jpg": b"other", "readme.md": b"hello"}
    store = open_store(make_zip(tmp_path / "x.zip", contents), [f"{i}.jpg" for i in range(200)])
    assert isinstance(store, ZipStore)
    assert store.read("7.jpg") == b"7"
    assert store.place("7.jpg") == f"{tmp_path}/x.zip/{folder}7.jpg"
    problem = store.problem("200.jpg")
    assert problem is not None
    assert problem.kind == ProblemKind.MISSING


def test_an_empty_member_is_empty(tmp_path: Path) -> None:
    store = open_store(make_zip(tmp_path / "x.zip", {"a.jpg": b"", "b.jpg": b"b"}), ["a.jpg"])
    with pytest.raises(ImageError, match="Empty") as caught:
        store.read("a.jpg")
    assert caught.value.kind == ProblemKind.EMPTY
