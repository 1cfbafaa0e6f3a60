"""What verify remembers: an unchanged tree is only looked at, and nothing that changed is believed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from babycli.data import examine, images
from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, VTWT_FRAME, DemoCopy, copy_demo, make_dataset, replace, snapshot
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

INDEX = DATASET / ".babycli"


@pytest.fixture
def demo(downloads: Path, tmp_path: Path) -> DemoCopy:
    """Copies: a hard link that another process makes changes the time of a file that both share."""
    return copy_demo(downloads, tmp_path / "downloads", copies=True)


@pytest.fixture
def old(demo: DemoCopy, monkeypatch: pytest.MonkeyPatch) -> DemoCopy:
    """A linked dataset whose files count as old enough to be known by their times."""
    make_dataset(demo)
    monkeypatch.setattr(examine, "_RACY_NS", 0)
    return demo


def verified(babycli: Babycli, *words: object) -> tuple[int, str, list[str]]:
    """Exit code, by what it was verified, and the kinds of problems."""
    ran = babycli("data", "verify", "--json", *words)
    document: dict[str, Any] = json.loads(ran.out)
    return ran.code, document["verified_by"], [problem["kind"] for problem in document["problems"]]


def test_the_second_verify_reads_no_file(babycli: Babycli, old: DemoCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verified(babycli) == (0, "hash", [])

    def fail(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(images.FolderStore, "digests", fail)
    assert verified(babycli) == (0, "stat", [])


@pytest.mark.long
def test_files_that_were_just_written_are_not_trusted(babycli: Babycli, demo: DemoCopy) -> None:
    make_dataset(demo)
    for _ in range(2):
        assert verified(babycli) == (0, "hash", [])
    time.sleep(2.1)
    assert verified(babycli) == (0, "hash", [])
    assert verified(babycli) == (0, "stat", [])


def test_an_edit_with_the_old_size_and_time_is_seen(babycli: Babycli, old: DemoCopy) -> None:
    replace(old.frame, old.frame.read_bytes())
    assert verified(babycli)[0] == 0
    status, content = old.frame.stat(), bytearray(old.frame.read_bytes())
    content[len(content) // 2] ^= 1
    with old.frame.open("r+b") as stream:
        stream.write(content)
    os.utime(old.frame, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert old.frame.stat().st_ino == status.st_ino
    assert verified(babycli)[::2] == (4, ["ChecksumMismatch"])


def test_what_is_known_to_be_bad_stays_bad_unread(
    babycli: Babycli, old: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(old.frame, (old.saycam / "demo_frame_046.png").read_bytes())
    first = babycli("data", "verify")
    assert first.code == 4
    monkeypatch.setattr(images.FolderStore, "digests", None)
    assert babycli("data", "verify") == first


@pytest.mark.parametrize("option", ["--full", "--no-index"])
def test_bit_rot_that_leaves_no_trace_is_seen_by_reading_again(
    babycli: Babycli, old: DemoCopy, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verified(babycli)[0] == 0
    status = old.frame.stat()
    content = bytearray(old.frame.read_bytes())
    content[len(content) // 2] ^= 1
    replace(old.frame, bytes(content))
    real = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **more: status if str(path).endswith(VTWT_FRAME) else real(path, **more)
    )
    assert verified(babycli)[:2] == (0, "stat")  # the file system says that nothing changed
    assert verified(babycli, option) == (4, "hash", ["ChecksumMismatch"])


def test_no_index_writes_nothing(babycli: Babycli, old: DemoCopy) -> None:
    before = snapshot(DATASET)
    assert verified(babycli, "--no-index") == (0, "hash", [])
    assert snapshot(DATASET) == before


@pytest.mark.parametrize("depth", ["names", "header", "decode"])
def test_only_checksums_are_remembered(babycli: Babycli, old: DemoCopy, depth: str) -> None:
    assert babycli("data", "verify", "--depth", depth).code == 0
    assert not INDEX.exists()


@pytest.mark.parametrize(
    "harm",
    [
        "flipped",
        "foreign",
        "folder",
        *(pytest.param(h, marks=pytest.mark.long) for h in ("torn", "null", "empty", "binary")),
    ],
)
def test_a_damaged_index_is_passed_over_and_mended(babycli: Babycli, old: DemoCopy, harm: str) -> None:
    assert verified(babycli)[0] == 0
    (path,) = INDEX.glob("verified-*")
    whole = path.read_bytes()
    if harm == "folder":
        path.unlink()
        path.mkdir()
    else:
        harmed = {
            "torn": whole[:-7],
            "flipped": whole[:-7] + bytes([whole[-7] ^ 1]) + whole[-6:],
            "foreign": b'00000000 {"schema": 2}\n' + whole,
            "null": whole + b'00000000\n00000000 \n4a3f1d57 ["only a key"]\n',
            "empty": b"",
            "binary": bytes(range(256)),
        }[harm]
        path.write_bytes(harmed)
    assert verified(babycli)[::2] == (0, [])
    if harm != "folder":
        assert verified(babycli) == (0, "stat", [])
        assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_an_interrupted_verify_goes_on_where_it_was(
    babycli: Babycli, old: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place is a group of its own or more; the second of them stops the first run."""
    real = examine._examine
    seen = []

    def stopping(work: Any, group: Any) -> Any:
        seen.append(group)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(work, group)

    def counting(work: Any, group: Any) -> Any:
        seen.append(group)
        return real(work, group)

    def in_this_process(function: Any, shared: Any, tasks: Any) -> Any:
        return (function(shared, task) for task in tasks)

    monkeypatch.setattr(examine, "map_in_processes", in_this_process)
    monkeypatch.setattr(examine, "_examine", stopping)
    assert babycli("data", "verify").code == 130
    monkeypatch.setattr(examine, "_examine", counting)
    assert babycli("data", "verify").code == 0
    assert seen.count(seen[0]) == 1


def test_another_manifest_is_another_matter(babycli: Babycli, old: DemoCopy) -> None:
    assert babycli("data", "manifest", old.folder, "-o", "good").code == 0
    lines = Path("good").read_text().splitlines(keepends=True)
    Path("bad").write_text("".join("0" * 64 + line[64:] if VTWT_FRAME in line else line for line in lines))
    for _ in range(2):
        assert verified(babycli, "--manifest", "good")[::2] == (0, [])
        assert verified(babycli, "--manifest", "bad")[::2] == (4, ["ChecksumMismatch"])
        assert verified(babycli)[::2] == (0, [])


def test_a_file_that_comes_or_goes_is_seen_by_its_name(babycli: Babycli, old: DemoCopy) -> None:
    assert babycli("data", "manifest", old.folder, "-o", "list").code == 0
    words = ("--manifest", "list")
    assert verified(babycli, *words)[0] == 0
    extra = old.saycam / "S_20140420_1803_01_082_00.jpg"
    extra.write_bytes(b"more")
    assert verified(babycli, *words)[::2] == (3, ["Unexpected"])
    extra.unlink()
    assert verified(babycli, *words) == (0, "stat", [])
    old.frame.rename(old.folder / "aside")
    assert verified(babycli, *words)[::2] == (3, ["Missing"])


def test_a_dataset_folder_that_cannot_be_written_is_verified_all_the_same(babycli: Babycli, old: DemoCopy) -> None:
    INDEX.write_text("a file where the folder of the index should be")
    for _ in range(2):
        assert verified(babycli) == (0, "hash", [])


def test_a_source_by_itself_is_remembered_in_the_user_s_cache(
    babycli: Babycli, old: DemoCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert babycli("data", "manifest", old.labeled_s, "-o", "list").code == 0
    words = (old.labeled_s, "--manifest", "list", "--data", "no_dataset")
    assert verified(babycli, *words) == (0, "hash", [])
    assert verified(babycli, *words) == (0, "stat", [])
    assert list((tmp_path / "cache/babycli").iterdir())
    (old.labeled_s / "ball/demo_ball_13.png").unlink()
    assert verified(babycli, *words)[::2] == (3, ["Missing"])


def test_a_zip_is_known_by_its_own_times(babycli: Babycli, old: DemoCopy) -> None:
    zip_folder(old.saycam, Path("frames.zip"))
    assert babycli("data", "manifest", "frames.zip", "-o", "list").code == 0
    words = ("frames.zip", "--manifest", "list")
    assert [verified(babycli, *words)[:2] for _ in range(2)] == [(0, "hash"), (0, "stat")]
    raw = bytearray(Path("frames.zip").read_bytes())
    raw[raw.index(VTWT_FRAME.encode()) + 200] ^= 1
    Path("frames.zip").write_bytes(raw)
    for _ in range(2):
        assert verified(babycli, *words)[::2] == (4, ["ChecksumMismatch"])


def test_a_list_that_is_read_in_another_way_is_another(babycli: Babycli, old: DemoCopy) -> None:
    """As a bag's, the same lines mean other names."""
    old.saycam.rename("data")
    assert babycli("data", "manifest", "data", "-o", "plain").code == 0
    lines = Path("plain").read_text().splitlines(keepends=True)
    Path("plain").write_text("".join(f"{line[:66]}data/{line[66:]}" for line in lines))
    assert verified(babycli, "data", "--manifest", "plain")[::2] == (0, [])
    first = Path("data") / lines[0][66:].strip()
    first.rename("data/a%25")
    Path("plain").write_text(Path("plain").read_text().replace(first.name, "a%25"))
    assert verified(babycli, "data", "--manifest", "plain")[::2] == (0, [])
    Path("bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    Path("plain").rename("manifest-sha256.txt")
    kinds = verified(babycli, "data", "--manifest", "manifest-sha256.txt")[2]
    assert sorted(kinds) == ["Missing", "Unexpected"]


def test_what_verify_keeps_is_not_part_of_a_source(babycli: Babycli, old: DemoCopy) -> None:
    assert babycli("data", "manifest", old.labeled_s, "-o", "list").code == 0
    for _ in range(3):
        words = (old.labeled_s, "--manifest", "list", "--data", old.labeled_s)
        assert verified(babycli, *words)[::2] == (0, [])
    assert (old.labeled_s / ".babycli").is_dir()
