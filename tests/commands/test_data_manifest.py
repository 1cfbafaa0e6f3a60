"""`babycli data manifest`: against sha256sum, and read again by `verify`."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from babycli.data.checksums import checksum_text, parse_checksums
from babycli.errors import DataError
from tests.conftest import Babycli
from tests.data.demo_copy import VTWT_FRAME, DemoCopy, make_dataset, replace

pytestmark = pytest.mark.usefixtures("empty_folder")

ODD_NAMES = [b"a b.jpg", b" lead", b"back\\slash", b"new\nline", b"c\rr", b"\xff\xfe", "é".encode(), "e\u0301".encode()]
LINK_AND_FILE = {"a.jpg": b"a", "link.jpg": b"../secret"}
ODD_NAMES += [b"*star", b"sub/deep/x.jpg", b"\\n", b"end\\", b"SHA256 (x) = y"]


def odd_folder(folder: Path) -> dict[str, bytes]:
    contents = {os.fsdecode(name): b"%d" % i for i, name in enumerate(ODD_NAMES)} | {"empty": b""}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return contents


def test_a_folder_with_odd_names_is_listed_whole(babycli: Babycli) -> None:
    contents = odd_folder(Path("source"))
    ran = babycli("data", "manifest", "source", "-o", "source/list")
    assert (ran.code, ran.out) == (0, "")
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    text = Path("source/list").read_bytes()
    assert parse_checksums(text, "list").by_name == expected
    assert babycli("data", "manifest", "source", "-o", "source/list").code == 0
    assert Path("source/list").read_bytes() == text


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_sha256sum_reads_it_and_writes_the_same(babycli: Babycli) -> None:
    odd_folder(Path("source"))
    (Path("source") / "c\rr").unlink()  # escaped by newer coreutils only
    assert babycli("data", "manifest", "source", "-o", "list").code == 0
    assert (
        subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "../list"], cwd="source", check=False).returncode == 0
    )
    names = list(parse_checksums(Path("list").read_bytes(), "list").by_name)
    for option in ([], ["--tag"], ["--binary"]):
        theirs = subprocess.run(
            ["sha256sum", *option, "--", *names], cwd="source", capture_output=True, check=True
        ).stdout
        assert parse_checksums(theirs, "theirs").by_name == parse_checksums(Path("list").read_bytes(), "list").by_name
        if not option:
            assert theirs == Path("list").read_bytes()


def test_a_zip_gives_what_its_folder_gives(babycli: Babycli, demo: DemoCopy) -> None:
    with zipfile.ZipFile("frames.txt", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(demo.labeled_s.rglob("*")):
            archive.write(file, file.relative_to(demo.labeled_s))
    assert babycli("data", "manifest", "frames.txt", "-o", "of_zip").code == 0
    assert babycli("data", "manifest", demo.labeled_s, "-o", "of_folder").code == 0
    assert Path("of_zip").read_bytes() == Path("of_folder").read_bytes()


@pytest.mark.parametrize("n_bytes", [225, 226, 255])
def test_a_list_may_have_the_longest_name(babycli: Babycli, demo: DemoCopy, n_bytes: int) -> None:
    name = "l" * n_bytes
    for _ in range(2):  # anew, and in the place of another
        assert babycli("data", "manifest", demo.synthetic, "-o", name).code == 0
        assert [path.name for path in Path.cwd().glob("*l*")] == [name]
    ran = babycli("data", "manifest", demo.synthetic, "-o", f"{name}{'l' * 40}")
    assert (ran.code, "give a shorter name" in ran.err) == (3, True)


def test_verify_reads_it_and_sees_a_swap(babycli: Babycli, demo: DemoCopy) -> None:
    make_dataset(demo)
    assert babycli("data", "manifest", demo.folder, "-o", "list").code == 0
    words = ("data", "verify", "--depth", "checksum", "--manifest", "list")
    assert babycli(*words).code == 0
    other = demo.saycam / "demo_frame_046.png"
    first, second = demo.frame.read_bytes(), other.read_bytes()
    replace(demo.frame, second)
    replace(other, first)
    ran = babycli(*words)
    assert ran.code == 4
    assert ran.out.count("ChecksumMismatch") == 2
    assert VTWT_FRAME in ran.out
    assert other.name in ran.out


def test_a_good_list_is_not_thrown_away_for_a_wrong_folder(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "manifest", demo.saycam, "-o", "list")
    ran = babycli("data", "verify", demo.synthetic, "--manifest", "list")
    assert (ran.code, "list names none of the images" in ran.err) == (3, True)
    asked = f"mend: check that {demo.synthetic} is the right folder; if so, make the list anew:  babycli data manifest "
    assert f"{asked}{demo.synthetic} -o FILE\n" in ran.err
    make_dataset(demo)
    Path("other").mkdir()
    Path("other/x").write_text("1")
    babycli("data", "manifest", "other", "-o", "list")
    ran = babycli("data", "verify", "--manifest", "list")
    assert ran.code == 3
    assert "mend: check that the right folders are linked (babycli data status); if so, make the list anew:" in ran.err


@pytest.mark.parametrize("seed", range(50))
def test_any_names_survive_the_round_trip(seed: int) -> None:
    rng = random.Random(seed)
    names = {
        os.fsdecode(bytes(rng.choice(b"ab \\\n\r*/.\xff\xc3\xa9") for _ in range(rng.randint(1, 12))))
        for _ in range(40)
    }
    digests = {name: rng.randbytes(32).hex() for name in sorted(names) if os.path.normpath(name) == name}
    assert parse_checksums(checksum_text(digests), "text").by_name == digests


@pytest.mark.parametrize("line", ["d41d8cd98f00b204e9800998ecf8427e  a.jpg", "hello", "0" * 64, "0" * 64 + "  "])
def test_a_line_that_is_no_checksum_is_named(line: str) -> None:
    with pytest.raises(DataError, match="list, line 2"):
        parse_checksums(f"{'0' * 64}  a\n{line}\n".encode(), "list")


def test_what_cannot_be_listed_is_refused_and_nothing_is_written(babycli: Babycli) -> None:
    Path("empty").mkdir()
    Path("dangling").mkdir()
    Path("dangling/a.jpg").symlink_to("nowhere")
    Path("pipe").mkdir()
    os.mkfifo("pipe/a.jpg")
    Path("loop").mkdir()
    Path("loop/again").symlink_to("../loop")
    for source, word in [
        ("loop", "loop/again: a link"),
        ("nowhere", "no folder"),
        ("empty", "no files"),
        ("dangling", "a.jpg"),
        ("pipe", "NotAFile"),
    ]:
        ran = babycli("data", "manifest", source, "-o", "list")
        assert ran.code == 3
        assert word in ran.err
    assert not Path("list").exists()


def test_a_link_in_a_zip_is_no_file_to_any_command(babycli: Babycli) -> None:
    link = zipfile.ZipInfo("link.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("a.jpg", b"a")
        archive.writestr(link, b"../secret")
    ran = babycli("data", "manifest", "a.zip", "-o", "list")
    assert (ran.code, "NotAFile" in ran.err, "link.jpg: a symbolic link" in ran.err) == (3, True, True)
    assert not Path("list").exists()
    Path("list").write_text("".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in LINK_AND_FILE.items()))
    ran = babycli("data", "verify", "a.zip", "--manifest", "list")
    assert (ran.code, ran.out.count("NotAFile"), ran.out.count("a.jpg")) == (3, 1, 0)


def test_a_current_folder_that_is_gone_is_named_first(babycli: Babycli) -> None:
    here = Path.cwd()
    Path("source").mkdir()
    Path("source/x.jpg").write_bytes(b"1")
    Path("gone").mkdir()
    os.chdir("gone")
    try:
        Path(here, "gone").rmdir()
        all_ran = [babycli("data", "manifest", here / "source", "-o", "list"), babycli("data", "verify")]
        all_ran.append(babycli("doctor"))
        version = babycli("--version")
    finally:
        os.chdir(here)
    for ran in all_ran:
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == "babycli: the current folder is not there any more\n  mend: change into another:  cd ~\n"
    assert version.code == 0


def test_all_that_cannot_be_read_is_named_at_once_and_nothing_is_written(babycli: Babycli) -> None:
    Path("source").mkdir()
    for name in ("a", "b"):
        os.mkfifo(f"source/{name}")
    (Path("source") / "c").write_bytes(b"1")
    ran = babycli("data", "manifest", "source", "-o", "list")
    assert ran.code == 3
    assert [line for line in ran.err.splitlines() if "source/" in line] == [
        "babycli: NotAFile source/a",
        "NotAFile source/b",
    ]
    assert "mend: put readable files there, or take them away; then make the list again" in ran.err
    assert not Path("list").exists()
