"""What is no file in the place of one that is read: a pipe, a socket, a device, a terabyte of nothing."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from babycli.errors import UnfitFileError
from babycli.files import is_hollow, read_file
from tests.conftest import Babycli

pytestmark = pytest.mark.usefixtures("empty_folder")

TERABYTE = 1 << 40


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def make_sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(TERABYTE)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (os.mkfifo, "it is a pipe, not a file"),
    "socket": (make_socket, "it is a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "sparse": (make_sparse, "1,099,511,627,776 bytes"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def put(kind: str, path: Path) -> str:
    """Puts it in the place of a file, and gives what is said of it."""
    if path.is_symlink() or path.exists():
        path.unlink()
    KINDS[kind][0](path)
    return KINDS[kind][1]


@pytest.fixture
def own_dataset(dataset: Path) -> Path:
    shutil.copytree(dataset, "dataset", symlinks=True)
    return Path("dataset")


def test_it_is_not_read(kind: str) -> None:
    detail = put(kind, Path("x"))
    with pytest.raises(UnfitFileError) as caught:
        read_file(Path("x"))
    assert detail in str(caught.value.strerror)
    assert caught.value.filename == "x"


def test_a_file_is_read_whole_up_to_its_bound() -> None:
    Path("x").write_bytes(b"12345")
    Path("link").symlink_to("x")
    assert read_file("x") == read_file(Path("link")) == read_file("x", 5) == b"12345"
    with pytest.raises(UnfitFileError, match="at most 4 are read"):
        read_file("x", 4)
    with pytest.raises(FileNotFoundError):
        read_file("y")
    with pytest.raises(IsADirectoryError):
        read_file(".")
    Path("empty").touch()
    assert read_file("empty") == b""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_a_file_that_does_not_know_its_size_is_read_whole() -> None:
    assert b"Threads" in read_file("/proc/self/status")
    with pytest.raises(UnfitFileError, match="more than 20 bytes"):
        read_file("/proc/self/status", 20)


@pytest.mark.parametrize("words", [("verify",), ("link", "saycam"), ("subset", "dest")])
def test_in_the_place_of_labels(
    babycli: Babycli, own_dataset: Path, downloads: Path, kind: str, words: tuple[str, ...]
) -> None:
    detail = put(kind, own_dataset / "vtwt/vtwt.csv")
    Path("saycam").symlink_to(downloads / "saycam_images")
    ran = babycli("data", *words, "--tasks", "vtwt")
    assert (ran.code, "vtwt.csv" in ran.out + ran.err, detail in ran.out + ran.err) == (3, True, True)


def test_in_the_place_of_the_lock(babycli: Babycli, own_dataset: Path, kind: str) -> None:
    detail = put(kind, own_dataset / "babycli.lock")
    ran = babycli("data", "verify", "--tasks", "vtwt")
    assert (ran.code, "babycli.lock" in ran.err, detail in ran.err) == (3, True, True)


def test_in_the_place_of_the_index_it_costs_only_time(
    babycli: Babycli, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").absolute()))
    Path("f").mkdir()
    Path("f/x.txt").write_text("x")
    os.utime("f/x.txt", (1, 1))
    assert babycli("data", "manifest", "f", "-o", "list").code == 0
    for _ in range(2):
        assert babycli("data", "verify", "f", "--manifest", "list").code == 0
        (index,) = Path("cache/babycli").glob("verified-*")
        put(kind, index)
    assert babycli("data", "verify", "f", "--manifest", "list").code == 0


def test_in_the_place_of_a_list_of_checksums(babycli: Babycli, kind: str) -> None:
    Path("f").mkdir()
    Path("f/x.txt").write_text("x")
    detail = put(kind, Path("list"))
    ran = babycli("data", "verify", "f", "--manifest", "list")
    assert (ran.code, ran.out) == (3, "")
    assert "list" in ran.err
    assert detail in ran.err


def test_in_the_place_of_a_bag_s_own_files(babycli: Babycli, kind: str) -> None:
    Path("bag/data").mkdir(parents=True)
    Path("bag/data/a").touch()
    Path("bag/manifest-md5.txt").write_text("d41d8cd98f00b204e9800998ecf8427e  data/a\n")
    words = ("data", "verify", "bag", "--manifest", "bag/manifest-md5.txt")
    for name, content in (("bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"), ("fetch.txt", "")):
        put(kind, Path("bag", name))
        ran = babycli(*words)
        assert (ran.code, f"cannot read bag/{name}" in ran.err) == (3, True)
        Path("bag", name).unlink()
        Path("bag", name).write_text(content)
    assert babycli(*words).code == 0


def test_in_the_place_of_a_zip(babycli: Babycli, kind: str) -> None:
    detail = put(kind, Path("frames.zip"))
    for words in (("link", "frames.zip"), ("extract", "frames.zip", "dest"), ("manifest", "frames.zip", "-o", "list")):
        ran = babycli("data", *words)
        assert (ran.code, "frames.zip" in ran.err) == (3, True)
        assert detail in ran.err or kind == "sparse"


def test_in_the_place_of_code_of_one_s_own(babycli: Babycli, kind: str) -> None:
    detail = put(kind, Path("x.py"))
    ran = babycli("eval", "--model", "control:length", "--tasks", "x.py:X")
    assert ran.code == 2
    assert (detail if kind == "sparse" else "there is no file x.py") in ran.err
    assert "UnfitFileError" not in ran.err


def test_among_the_files_of_a_folder(babycli: Babycli, kind: str) -> None:
    Path("f").mkdir()
    Path("f/a.txt").write_text("a")
    assert babycli("data", "manifest", "f", "-o", "list").code == 0
    put(kind, Path("f/odd"))
    ran = babycli("data", "manifest", "f", "-o", "list2")
    assert (ran.code, "f/odd" in ran.err) == (3, True)
    with Path("list").open("a") as stream:
        stream.write(f"{'0' * 64}  odd\n")
    ran = babycli("data", "verify", "f", "--manifest", "list")
    assert (ran.code, "f/odd" in ran.out) == (3, True)


def test_a_file_with_a_small_hole_is_a_file(babycli: Babycli) -> None:
    with Path("x").open("wb") as stream:
        stream.truncate(1 << 20)
    assert not is_hollow(Path("x").stat())
    Path("f").mkdir()
    Path("x").rename("f/x")
    assert babycli("data", "manifest", "f", "-o", "list").code == 0


def test_a_folder_of_any_depth_is_looked_through(babycli: Babycli) -> None:
    here = Path.cwd()
    Path("f").mkdir()
    os.chdir("f")
    depth = 1100
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.txt").write_text("x")
    os.chdir(here)
    try:
        assert babycli("data", "manifest", "f", "-o", "list").code == 0
        assert Path("list").read_text().endswith("d/x.txt\n")
        assert babycli("data", "verify", "f", "--manifest", "list").code == 0
    finally:  # what pytest would do, it cannot do so deep
        os.chdir("f/" + "d/" * depth)
        Path("x.txt").unlink()
        for _ in range(depth):
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(here)
