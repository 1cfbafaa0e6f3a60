"""`babycli data extract`: everything or nothing, nothing unsafe, nothing overwritten, and it goes on."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from babycli.data import extract
from tests.conftest import REPOSITORY, Babycli
from tests.data.demo_copy import VTWT_FRAME, DemoCopy, skip_unless_permissions_count, snapshot
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

DEST = Path("dest")
STAGING = Path(".dest.babycli-partial")


def make_zip(members: dict[str, bytes] | list[tuple[str, bytes]], path: str = "a.zip") -> Path:
    """Members may share a name, and have any."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: the constructor would mend it
            archive.writestr(info, content)
    return Path(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_all_is_unpacked(babycli: Babycli, demo: DemoCopy, method: int) -> None:
    zip_folder(demo.labeled_s, Path("frames.txt"), "in/", method)
    ran = babycli("data", "extract", "frames.txt", DEST)
    assert (ran.code, ran.out) == (0, "")
    assert contents(DEST / "in") == contents(demo.labeled_s)
    assert "files in dest" in ran.err
    assert not STAGING.exists()


def test_only_what_tasks_read(babycli: Babycli, demo: DemoCopy) -> None:
    (demo.saycam / "S_20140420_1803_01_082_00.jpg").write_bytes(b"not read by any task")
    zip_folder(demo.saycam, Path("frames.txt"))
    words = ("data", "extract", "frames.txt", DEST, "--only-needed", "--from", demo.labels)
    assert babycli(*words).code == 0
    assert len(contents(DEST)) == 100
    ran = babycli("data", "extract", "frames.txt", DEST)  # the rest, later
    assert (ran.code, "100 of them there already" in ran.err) == (0, True)
    assert contents(DEST) == contents(demo.saycam)


def test_what_tasks_read_and_the_zip_lacks_is_named(babycli: Babycli, demo: DemoCopy) -> None:
    demo.frame.unlink()
    archive = zip_folder(demo.saycam, Path("frames.txt")).absolute()
    ran = babycli("data", "extract", archive, DEST, "--only-needed", "--from", demo.labels)
    assert (ran.code, ran.out) == (3, f"vtwt: Missing {archive}/{VTWT_FRAME}\n")
    assert len(contents(DEST)) == 99


def test_it_is_at_once_there_already(babycli: Babycli) -> None:
    make_zip({"a/b.jpg": b"1", "c.jpg": b"2"})
    assert babycli("data", "extract", "a.zip", DEST).code == 0
    before = snapshot(DEST)
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "2 of them there already" in ran.err) == (0, True)
    assert snapshot(DEST) == before


def test_it_goes_on_where_it_was_and_leaves_no_stranger(babycli: Babycli) -> None:
    make_zip({f"{i}.jpg": b"%d" % i for i in range(20)})
    STAGING.mkdir()
    (STAGING / "1.jpg").write_bytes(b"1")
    (STAGING / "2.jpg").write_bytes(b"half")
    (STAGING / "of_another_zip/deep").mkdir(parents=True)
    (STAGING / "of_another_zip/deep/x").touch()
    kept = (STAGING / "1.jpg").stat().st_ino
    assert babycli("data", "extract", "a.zip", DEST).code == 0
    assert contents(DEST) == {f"{i}.jpg": b"%d" % i for i in range(20)}
    assert (DEST / "1.jpg").stat().st_ino == kept
    assert not (DEST / "of_another_zip").exists()


UNSAFE = [
    ("../out.jpg", "UnsafeName"),
    ("a/../../out.jpg", "UnsafeName"),
    ("/tmp/out.jpg", "UnsafeName"),
    ("C:out.jpg", "UnsafeName"),
    ("c:\\out.jpg", "UnsafeName"),
    ("..\\out.jpg", "UnsafeName"),
    ("a\\b.jpg", "UnsafeName"),
    ("a\nb.jpg", "UnsafeName"),
    ("a\rb.jpg", "UnsafeName"),
    ("a\0b.jpg", "UnsafeName"),
    ("", "UnsafeName"),
    ("a/.", "UnsafeName"),
    ("./../b.jpg", "UnsafeName"),
    ("//b.jpg", "UnsafeName"),
    ("d/" * 33 + "x", "UnsafeName"),
    ("./good.jpg", "NameCollision"),
    ("folder//x.jpg", "NameCollision"),
    ("good.jpg", "NameCollision"),
    ("GOOD.jpg", "NameCollision"),
    ("e\u0301.jpg", "NameCollision"),
    ("STRASSE.jpg", "NameCollision"),
    ("\u03aa\u0301.jpg", "NameCollision"),
    ("x" * 300, "UnsafeName"),
    (".babycli-partial/x.jpg", "UnsafeName"),
    ("d/" * 600 + "x", "UnsafeName"),
    ("good.jpg/inside.jpg", "NameCollision"),
    ("Folder", "NameCollision"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("name", "kind"), UNSAFE, ids=lambda value: repr(value[:20]))
def test_a_member_that_is_unsafe_stops_all(babycli: Babycli, name: str, kind: str) -> None:
    sound = [("good.jpg", b"1"), ("é.jpg", b"2"), ("straße.jpg", b"3"), ("\u0390.jpg", b"4")]
    sound.append(("folder/x.jpg", b"5"))
    make_zip([*sound, (name, b"bad")])
    Path("out.jpg").write_bytes(b"mine")
    ran = babycli("data", "extract", "a.zip", DEST)
    assert ran.code == 3
    assert ran.out.count(kind) == 1
    assert "nothing was" in ran.err
    assert not DEST.exists()
    assert not STAGING.exists()
    assert Path("out.jpg").read_bytes() == b"mine"
    make_zip(sound)
    assert babycli("data", "extract", "a.zip", DEST).code == 0


@pytest.mark.parametrize(("name", "disk"), [("GOOD.jpg", "ignores case"), ("e\u0301.jpg", "composes accents")])
def test_why_two_names_may_be_one_is_told(babycli: Babycli, name: str, disk: str) -> None:
    make_zip([("good.jpg", b"1"), ("é.jpg", b"2"), (name, b"3")])
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, f"on a disk that {disk}" in ran.out) == (3, True)


def test_a_symbolic_link_is_refused(babycli: Babycli) -> None:
    with zipfile.ZipFile("a.zip", "w") as archive:
        info = zipfile.ZipInfo("link.jpg")
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/hostname")
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "symbolic link" in ran.out) == (3, True)
    assert not DEST.exists()


def claim(path: Path, size: int) -> None:
    """Makes the only member claim another size, in the directory and in its own header."""
    raw = bytearray(path.read_bytes())
    struct.pack_into("<L", raw, raw.index(b"PK\x01\x02") + 24, size)
    struct.pack_into("<L", raw, 22, size)
    path.write_bytes(raw)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("x.jpg", bytes(20 << 20))


def huge_claim(path: Path) -> None:
    make_zip({"x.jpg": b"1234"}, str(path))
    claim(path, 1 << 31)


@pytest.mark.parametrize("make", [bomb, huge_claim])
def test_a_size_that_no_image_has_is_refused(babycli: Babycli, make: Callable[[Path], None]) -> None:
    make(Path("a.zip"))
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, ran.out.count("SuspiciousSize")) == (3, 1)
    assert not DEST.exists()


def test_a_member_that_lies_about_its_size_is_named(babycli: Babycli) -> None:
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.jpg", b"0123456789" * 1000)
    claim(Path("a.zip"), 100)
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "Unreadable" in ran.out) == (3, True)
    assert not DEST.exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_disk_without_room_is_noticed_first(
    babycli: Babycli, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_zip({"x.jpg": b"1234"})
    if is_there:
        DEST.mkdir()
    monkeypatch.setattr(extract, "_SPARE_BYTES", 1 << 60)
    ran = babycli("data", "extract", "a.zip", DEST)
    assert ran.code == 3
    assert "--only-needed" in ran.err
    assert (DEST.exists(), list(Path().rglob("*partial*"))) == (is_there, [])


def test_a_corrupt_member_is_named_and_a_whole_zip_completes_the_rest(babycli: Babycli) -> None:
    members = {f"{i}.jpg": b"content %d" % i for i in range(9)}
    whole = make_zip(members).read_bytes()
    raw = bytearray(whole)
    raw[raw.index(b"content 4") + 3] ^= 1
    Path("a.zip").write_bytes(raw)
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, ran.out.count("\n")) == (4, 1)
    assert "ChecksumMismatch" in ran.out
    assert "4.jpg" in ran.out
    assert not DEST.exists()
    Path("a.zip").write_bytes(whole)
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "8 of them there already" in ran.err) == (0, True)
    assert contents(DEST) == members


def test_a_file_in_the_way_is_left_alone(babycli: Babycli) -> None:
    make_zip({"a.jpg": b"1", "b/c.jpg": b"2"})
    DEST.mkdir()
    (DEST / "a.jpg").write_bytes(b"mine")
    (DEST / "other.txt").write_bytes(b"mine too")
    before = snapshot(DEST)
    ran = babycli("data", "extract", "a.zip", DEST)
    assert ran.code == 3
    assert "dest/a.jpg" in ran.err
    assert snapshot(DEST) == before
    (DEST / "a.jpg").unlink()
    assert babycli("data", "extract", "a.zip", DEST).code == 0
    assert contents(DEST) == {"a.jpg": b"1", "b/c.jpg": b"2", "other.txt": b"mine too"}


@pytest.mark.parametrize("name", ["b", "b/b", "b/b/c.jpg", "."])
def test_a_link_in_the_folder_is_not_followed(babycli: Babycli, name: str) -> None:
    make_zip({"b/b/c.jpg": b"2"})
    Path("outside").mkdir()
    DEST.mkdir()
    (DEST / "keep").touch()
    if name != ".":
        (DEST / name).parent.mkdir(parents=True, exist_ok=True)
        (DEST / name).symlink_to(Path("outside").absolute() / ("c.jpg" if name.endswith("jpg") else ""))
        assert babycli("data", "extract", "a.zip", DEST).code == 3
    else:  # the folder itself may be a link: the user named it
        DEST.rename("real")
        DEST.symlink_to("real")
        assert babycli("data", "extract", "a.zip", DEST).code == 0
    assert list(Path("outside").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nowhere.zip", DEST), "no folder nowhere.zip"),
        (("text.txt", DEST), "neither a folder of images nor a zip"),
        ((".", DEST), "is a folder"),
        (("a.zip", "text.txt"), "text.txt is no folder"),
        (("a.zip", "text.txt/below"), "text.txt"),
        (("empty.zip", DEST), "holds no files"),
    ],
)
def test_what_cannot_be_done_is_explained(babycli: Babycli, words: tuple[object, ...], complaint: str) -> None:
    make_zip({"a.jpg": b"1"})
    make_zip({}, "empty.zip")
    Path("text.txt").write_text("hello")
    ran = babycli("data", "extract", *words)
    assert (ran.code, ran.out) == (3, "")
    assert complaint in ran.err


@pytest.mark.parametrize("dest", [".", "here", "link", "here/../here"])
def test_a_folder_that_is_there_and_empty_will_do(babycli: Babycli, dest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip({"a/b.jpg": b"1", "c.jpg": b"2"}).absolute()
    here = Path("here").absolute()
    here.mkdir(mode=0o700)
    if dest == ".":
        monkeypatch.chdir("here")
    elif dest == "link":
        Path(dest).symlink_to("here")
    assert babycli("data", "extract", archive, dest).code == 0
    assert contents(here) == {"a/b.jpg": b"1", "c.jpg": b"2"}
    assert here.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in here.iterdir()) == ["a", "c.jpg"]
    assert not list(here.parent.glob(".here*"))


def test_what_is_kept_of_a_damaged_zip_is_completed_from_anywhere(
    babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_zip({"a.jpg": b"one", "b.jpg": b"two"}).read_bytes()
    Path("bad.zip").write_bytes(whole.replace(b"two", b"twO"))
    DEST.mkdir()
    monkeypatch.chdir(DEST)
    assert babycli("data", "extract", "../bad.zip", ".").code == 4
    monkeypatch.chdir("..")
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "1 of them there already" in ran.err) == (0, True)
    assert contents(DEST) == {"a.jpg": b"one", "b.jpg": b"two"}


@pytest.mark.parametrize("n", [240, 300])
def test_a_long_name_is_used_or_refused(babycli: Babycli, n: int) -> None:
    make_zip({"a.jpg": b"1"})
    ran = babycli("data", "extract", "a.zip", "d" * n)
    assert ran.code == (0 if n < 256 else 3)
    assert Path("d" * 240).exists() == (n < 256)


def test_a_file_where_the_zip_has_a_folder_stops_all(babycli: Babycli) -> None:
    make_zip({"a/1.jpg": b"1", "b/c/2.jpg": b"2"})
    DEST.mkdir()
    (DEST / "b").write_bytes(b"mine")
    before = snapshot(DEST)
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "dest/b" in ran.err) == (3, True)
    assert snapshot(DEST) == before


def test_a_link_that_leads_nowhere_is_no_destination(babycli: Babycli) -> None:
    make_zip({"a.jpg": b"1"})
    DEST.symlink_to("nowhere")
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "leads nowhere" in ran.err) == (3, True)
    assert not Path("nowhere").exists()


def test_a_folder_that_is_complete_need_not_be_writable(babycli: Babycli, tmp_path: Path) -> None:
    skip_unless_permissions_count(tmp_path)
    make_zip({"a.jpg": b"1"})
    assert babycli("data", "extract", "a.zip", DEST).code == 0
    DEST.chmod(0o555)
    try:
        assert babycli("data", "extract", "a.zip", DEST).code == 0
    finally:
        DEST.chmod(0o755)


def test_an_empty_name_is_not_the_current_folder(babycli: Babycli) -> None:
    make_zip({"a.jpg": b"1"})
    ran = babycli("data", "extract", "a.zip", "")
    assert (ran.code, ran.out) == (2, "")
    assert not Path("a.jpg").exists()


def test_nothing_is_written_through_a_link_in_the_place_of_the_staging_folder(babycli: Babycli) -> None:
    make_zip({"a.jpg": b"1"})
    Path("victim").mkdir()
    Path("victim/thesis.txt").write_bytes(b"precious")
    STAGING.symlink_to("victim")
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, str(STAGING) in ran.err) == (3, True)
    assert contents(Path("victim")) == {"thesis.txt": b"precious"}


def test_another_zip_after_an_interruption_starts_from_what_fits(babycli: Babycli) -> None:
    """A file where the other has a folder, and the other way round."""
    STAGING.mkdir()
    (STAGING / "x").mkdir()
    (STAGING / "x/1.jpg").write_bytes(b"1")
    (STAGING / "y").write_bytes(b"a file")
    (STAGING / "z").symlink_to("/etc/hostname")
    make_zip({"x": b"a file", "y/2.jpg": b"2", "z": b"no link"})
    assert babycli("data", "extract", "a.zip", DEST).code == 0
    assert contents(DEST) == {"x": b"a file", "y/2.jpg": b"2", "z": b"no link"}
    assert not (DEST / "z").is_symlink()


def test_several_at_once_do_not_disturb_each_other(demo: DemoCopy) -> None:
    zip_folder(demo.labeled_s, Path("a.zip"))
    words = [sys.executable, "-m", "babycli", "data", "extract", "a.zip", str(DEST)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for is_there in (False, True):
        if is_there:
            DEST.rename("old")
            DEST.mkdir()
        several = [subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL) for _ in range(2)]
        assert [process.wait(timeout=60) for process in several] == [0, 0]
        assert contents(DEST) == contents(demo.labeled_s)
    assert not STAGING.exists()


@pytest.mark.parametrize("command", ["extract", "manifest", "link", "verify"])
def test_a_pipe_is_not_waited_for(babycli: Babycli, command: str) -> None:
    os.mkfifo("pipe")
    Path("list").write_text(f"{'0' * 64}  x\n")
    more = {"extract": "dest", "manifest": "-o m", "link": "", "verify": "--manifest list"}[command]
    ran = babycli("data", command, "pipe", *more.split())
    assert (ran.code, "cannot read pipe: it is a pipe, not a file" in ran.err) == (3, True)


@pytest.mark.parametrize("offset", [1 << 31, (1 << 32) - 2])
def test_a_member_that_begins_outside_of_the_zip_is_named(babycli: Babycli, offset: int) -> None:
    make_zip({"a.jpg": b"1", "b.jpg": b"2"})
    raw = bytearray(Path("a.zip").read_bytes())
    struct.pack_into("<L", raw, raw.index(b"PK\x01\x02") + 42, offset)
    Path("a.zip").write_bytes(raw)
    for words in (("extract", "a.zip", DEST), ("manifest", "a.zip", "-o", "m")):
        ran = babycli("data", *words)
        assert ran.code == 3
        assert "a.zip/a.jpg" in ran.out + ran.err
    assert not DEST.exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_where_no_member_can_be_read_nothing_is_left(babycli: Babycli, is_there: bool) -> None:
    make_zip({"sub/x.jpg": b"1234", "sub/deeper/y.jpg": b"5678"})
    content = Path("a.zip").read_bytes()
    Path("a.zip").write_bytes(content.replace(b"1234", b"12x4").replace(b"5678", b"56x8"))
    if is_there:
        DEST.mkdir()
    ran = babycli("data", "extract", "a.zip", DEST)
    assert (ran.code, "2 of 2 members cannot be read" in ran.err) == (4, True)
    assert (DEST.exists(), list(Path().rglob("*partial*"))) == (is_there, [])
