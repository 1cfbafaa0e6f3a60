"""The index of a large zip: the same members, at once; and never those of another archive."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path

import pytest

from babycli.data import zips
from babycli.data.zip_end import ZipEnd
from babycli.data.zips import ZipArchive
from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, VTWT_FRAME, DemoCopy
from tests.data.zipped import zip_folder

NAMES = [f"{folder}{i}.jpg" for folder in ("", "a/", "a/é/", "b/c/d/") for i in range(20)]


@pytest.fixture(autouse=True)
def every_zip_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "_INDEXED_MEMBERS", 1)


def write(path: Path, names: list[str], content: bytes = b"content") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, content + name.encode())


def all_of(archive: ZipArchive) -> tuple[list[str], list[str], list[bytes]]:
    members = list(archive.members())
    assert [member.name for member in members] == list(archive.names())
    assert all(archive.find(member.name) == member for member in members)
    return archive.folders, [member.name for member in members], [archive.read(member) for member in members]


def count_walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    walks: list[int] = []
    real = ZipArchive._read_directory

    def counted(self: ZipArchive, end: ZipEnd) -> object:
        walks.append(end.size_bytes)
        return real(self, end)

    monkeypatch.setattr(ZipArchive, "_read_directory", counted)
    return walks


def test_the_second_opening_does_not_walk_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "zip", NAMES)
    walks = count_walks(monkeypatch)
    found = [all_of(ZipArchive(tmp_path / "zip", folder)) for folder in (None, tmp_path / "i", tmp_path / "i")]
    assert found[0] == found[1] == found[2]
    assert len(walks) == 2


@pytest.mark.parametrize("keeps_time", [True, False])
def test_another_archive_in_its_place_is_walked(tmp_path: Path, keeps_time: bool) -> None:
    write(tmp_path / "zip", NAMES)
    ZipArchive(tmp_path / "zip", tmp_path / "i")
    status = (tmp_path / "zip").stat()
    others = [name.swapcase() for name in NAMES]  # the same size
    write(tmp_path / "zip", others)
    assert (tmp_path / "zip").stat().st_size == status.st_size
    if keeps_time:
        os.utime(tmp_path / "zip", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert all_of(ZipArchive(tmp_path / "zip", tmp_path / "i"))[1] == others


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_index_is_passed_over_and_written_anew(tmp_path: Path, seed: int) -> None:
    write(tmp_path / "zip", NAMES)
    expected = all_of(ZipArchive(tmp_path / "zip", tmp_path / "i"))
    (path,) = (tmp_path / "i").iterdir()
    whole, rng = path.read_bytes(), random.Random(seed)
    harmed = bytearray(whole)
    at = rng.randrange(len(harmed))
    if seed % 3 == 0:
        harmed[at] ^= 1 << rng.randrange(8)
    elif seed % 3 == 1:
        del harmed[at:]
    else:
        harmed = bytearray(rng.randbytes(at))
    path.write_bytes(harmed)
    assert all_of(ZipArchive(tmp_path / "zip", tmp_path / "i")) == expected
    assert path.read_bytes() == whole


def test_a_place_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    write(tmp_path / "zip", NAMES)
    (tmp_path / "i").write_text("a file")
    assert len(ZipArchive(tmp_path / "zip", tmp_path / "i")) == len(NAMES)


@pytest.mark.usefixtures("empty_folder")
def test_it_lies_in_the_dataset_folder(babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = zip_folder(demo.saycam, Path("frames.txt"))
    assert babycli("data", "link", frames, "--from", demo.labels, "--allow-missing").code == 0
    assert len(list((DATASET / ".babycli").glob("zip-*.index"))) == 1
    walks = count_walks(monkeypatch)
    assert babycli("data", "extract", frames, "dest", "--only-needed").code == 0
    assert Path("dest", VTWT_FRAME).read_bytes() == demo.frame.read_bytes()
    assert walks == []
