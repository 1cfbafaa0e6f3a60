"""`babycli data subset`: a dataset folder of its own with what the tasks read, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from babycli.data.hashing import hash_each
from tests.conftest import REPOSITORY, Babycli
from tests.data.demo_copy import DATASET, LABEL_FILES, LINKS, VTWT_FRAME, DemoCopy, replace, snapshot
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

DEST = Path("dest")
N_IMAGES = 100 + 126 + 40


@pytest.fixture
def linked(babycli: Babycli, demo: DemoCopy) -> DemoCopy:
    (demo.saycam / "S_20140420_1803_01_082_00.jpg").write_bytes(b"not read by any task")
    assert babycli(*demo.link_words).code == 0
    return demo


def images_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.glob("*_images/**/*") if p.is_file())


def test_it_is_a_dataset_that_stands_alone(babycli: Babycli, linked: DemoCopy) -> None:
    ran = babycli("data", "subset", DEST)
    assert (ran.code, ran.out) == (0, "")
    assert f"{N_IMAGES} images in dest" in ran.err
    assert len(images_in(DEST)) == N_IMAGES
    assert {os.readlink(DEST / link) for link in LINKS} == {
        "../labeled_s_images",
        "../saycam_images",
        "../synthetic_images",
    }
    everything = {str(p.relative_to(DEST)) for p in DEST.rglob("*") if p.is_file()}
    beside = everything - set(images_in(DEST))
    assert beside == {*LABEL_FILES.values(), "babycli.lock", "manifest-sha256.txt"}
    shutil.rmtree(linked.folder)
    shutil.rmtree(DATASET)
    moved = DEST.rename("moved")
    for words in ((), ("--manifest", moved / "manifest-sha256.txt"), ("--depth", "decode")):
        ran = babycli("data", "verify", "--data", moved, "--json", *words)
        assert (ran.code, json.loads(ran.out)["problems"]) == (0, [])
    assert babycli("eval", "--data", moved, "--model", "babyllava-tiny", "--limit", 2).code == 0


def test_a_label_file_that_is_edited_meanwhile_is_not_copied(
    babycli: Babycli, linked: DemoCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = DATASET / LABEL_FILES["vtwt"]

    def hash_and_edit(*arguments: Any) -> Any:
        labels.write_bytes(labels.read_bytes() + b"\n")
        return hash_each(*arguments)

    monkeypatch.setattr("babycli.data.subset.hash_each", hash_and_edit)
    ran = babycli("data", "subset", DEST)
    assert ran.code == 4
    assert f"{labels} has changed since this command began" in ran.err
    assert not DEST.exists()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_its_manifest_is_sha256sum_s_and_lists_all_images(babycli: Babycli, linked: DemoCopy) -> None:
    assert babycli("data", "subset", DEST).code == 0
    words = ["sha256sum", "-c", "--strict", "--quiet", "manifest-sha256.txt"]
    assert subprocess.run(words, cwd=DEST, check=False).returncode == 0
    listed = [line[66:] for line in (DEST / "manifest-sha256.txt").read_text().splitlines()]
    assert listed == images_in(DEST)


def test_it_is_taken_from_zips_too(babycli: Babycli, demo: DemoCopy) -> None:
    zips = [zip_folder(source, Path(f"{source.name}.zip")) for source in (demo.saycam, demo.labeled_s, demo.synthetic)]
    words = ("data", "link", zips[0], "--labeled-s", zips[1], "--synthetic", zips[2], "--from", demo.labels)
    assert babycli(*words).code == 0
    assert babycli("data", "subset", DEST).code == 0
    assert len(images_in(DEST)) == N_IMAGES
    assert (DEST / "saycam_images" / VTWT_FRAME).read_bytes() == demo.frame.read_bytes()


def test_a_subset_of_some_tasks(babycli: Babycli, linked: DemoCopy) -> None:
    assert babycli("data", "subset", DEST, "--tasks", "vtwt").code == 0
    assert len(images_in(DEST)) == 100
    assert not (DEST / "labeled_s").exists()
    words = ("eval", "--data", DEST, "--tasks", "vtwt", "--model", "babyllava-tiny", "--limit", 2)
    assert babycli(*words).code == 0


def test_made_again_it_is_there_already_or_mended(babycli: Babycli, linked: DemoCopy) -> None:
    assert babycli("data", "subset", DEST).code == 0
    frame = DEST / "saycam_images" / VTWT_FRAME
    inodes = {name: (DEST / name).stat().st_ino for name in images_in(DEST)}
    good = frame.read_bytes()
    frame.write_bytes(b"spoiled")
    ran = babycli("data", "subset", DEST)
    assert (ran.code, "1 images were put right" in ran.err) == (0, True)
    assert "nothing was wrong" in babycli("data", "subset", DEST).err
    assert frame.read_bytes() == good
    del inodes[f"saycam_images/{VTWT_FRAME}"]
    assert {name: (DEST / name).stat().st_ino for name in inodes} == inodes


@pytest.mark.parametrize("what", ["file", "other files"])
def test_a_place_in_use_is_left_alone(babycli: Babycli, linked: DemoCopy, what: str) -> None:
    Path("all").mkdir()
    place = Path("all/dest")
    if what == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "mine.txt").write_text("mine")
    before = snapshot(Path("all"))
    ran = babycli("data", "subset", place)
    assert (ran.code, str(place) in ran.err) == (3, True)
    assert snapshot(Path("all")) == before


def test_what_an_interrupted_run_left_is_not_in_it(babycli: Babycli, linked: DemoCopy) -> None:
    staging = Path(".dest.babycli-partial")
    (staging / "vtwt").mkdir(parents=True)
    (staging / "vtwt/.vtwt.csv.babycli.tmp").write_text("half")
    (staging / "vtwt/.images.babycli.tmp").symlink_to("nowhere")
    (staging / "saycam_images").mkdir()
    (staging / "saycam_images" / VTWT_FRAME).write_bytes(b"half")
    assert babycli("data", "subset", DEST).code == 0
    assert not staging.exists()
    assert sorted(p.name for p in (DEST / "vtwt").iterdir()) == ["images", "vtwt.csv"]
    assert babycli("data", "verify", "--data", DEST).code == 0


@pytest.mark.parametrize(
    ("spoil", "code", "word"),
    [
        ("missing", 3, "Missing"),
        ("other", 4, "ChecksumMismatch"),
        ("no link", 3, "LinkMissing"),
        ("labels", 4, "LabelsChecksumMismatch"),
    ],
)
def test_a_dataset_that_is_not_sound_is_not_copied(
    babycli: Babycli, linked: DemoCopy, spoil: str, code: int, word: str
) -> None:
    if spoil == "missing":
        linked.frame.unlink()
    elif spoil == "other":
        replace(linked.frame, (linked.saycam / "demo_frame_046.png").read_bytes())
    elif spoil == "no link":
        (DATASET / "vtwt/images").unlink()
    else:
        path = DATASET / "vtwt/vtwt.csv"
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    ran = babycli("data", "subset", DEST)
    assert (ran.code, word in ran.err) == (code, True)
    assert "mend" in ran.err
    assert not DEST.exists()


def test_a_subset_of_other_tasks_is_another(babycli: Babycli, linked: DemoCopy) -> None:
    """The captions' frames are among those of the Visual Two-Word Test: the images are the same."""
    assert babycli("data", "subset", DEST, "--tasks", "vtwt,saycam_caption").code == 0
    before = snapshot(DEST)
    ran = babycli("data", "subset", DEST, "--tasks", "vtwt")
    assert (ran.code, "is not the subset" in ran.err) == (3, True)
    assert snapshot(DEST) == before


@pytest.mark.parametrize("spoil", ["folder", "unreadable", "file for a folder"])
def test_whatever_is_in_the_place_of_an_image_is_mended_or_named(
    babycli: Babycli, linked: DemoCopy, spoil: str
) -> None:
    assert babycli("data", "subset", DEST).code == 0
    frame = DEST / "saycam_images" / VTWT_FRAME
    if spoil == "unreadable":
        frame.chmod(0)
    elif spoil == "folder":
        frame.unlink()
        frame.mkdir()
    else:
        shutil.rmtree(DEST / "labeled_s_images/ball")
        (DEST / "labeled_s_images/ball").touch()
    ran = babycli("data", "subset", DEST)
    if ran.code:
        assert ran.code == 3
        assert "dest/" in ran.err
    else:
        assert babycli("data", "verify", "--data", DEST).code == 0


def test_nothing_is_mended_through_a_link(babycli: Babycli, linked: DemoCopy) -> None:
    assert babycli("data", "subset", DEST).code == 0
    outside = (DEST / "saycam_images").rename("outside")
    (DEST / "saycam_images").symlink_to("../outside")
    (outside / VTWT_FRAME).write_bytes(b"mine")
    ran = babycli("data", "subset", DEST)
    assert (ran.code, "dest/saycam_images" in ran.err) == (3, True)
    assert (outside / VTWT_FRAME).read_bytes() == b"mine"


@pytest.mark.parametrize("n_moved", [0, 2, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 5, 60))])
def test_a_folder_that_was_there_is_completed_after_a_kill_at_the_end(
    babycli: Babycli, linked: DemoCopy, n_moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    DEST.mkdir()
    real, moved = os.replace, []

    def killed(source: Path, target: Path) -> None:
        if ".babycli-partial" in str(source) and ".babycli-partial" not in str(target):
            moved.append(target)
            if len(moved) > n_moved:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    assert babycli("data", "subset", DEST).code == 130
    monkeypatch.setattr(os, "replace", real)
    assert babycli("data", "subset", DEST).code == 0
    assert babycli("data", "verify", "--data", DEST).code == 0
    assert not (DEST / ".babycli-partial").exists()


def test_two_of_other_tasks_at_once_leave_one(linked: DemoCopy) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    words = [sys.executable, "-m", "babycli", "data", "subset", str(DEST), "--tasks"]
    both = [
        subprocess.Popen([*words, task], env=env, stderr=subprocess.DEVNULL) for task in ("vtwt", "baby_winoground")
    ]
    assert sorted(process.wait(timeout=60) for process in both) == [0, 3]
