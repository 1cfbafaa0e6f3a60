"""The lock that `data link` writes, and what verify and eval say when the images are others than those of the lock.

The published label files are not part of the repository, and the demo's images have checksums of their own: the demo's
labels stand in for the published ones here, so that only the lock knows the images.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path

import pytest

from babycli.data import manifest
from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, VTWT_FRAME, DemoCopy, replace, snapshot

pytestmark = pytest.mark.usefixtures("empty_folder")

OTHER_FRAME = "demo_frame_046.png"
LOCK = DATASET / "babycli.lock"


@pytest.fixture(autouse=True)
def as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's label files count as the published ones."""
    published = {
        task: changed(m, sha256=m.demo_sha256 or "", demo_sha256=None, n_rows=m.demo_n_rows or 0)
        for task, m in manifest.manifests().items()
    }
    monkeypatch.setattr(manifest, "manifests", lambda: published)


@pytest.fixture
def linked(babycli: Babycli, demo: DemoCopy) -> DemoCopy:
    assert babycli(*demo.link_words).code == 0
    return demo


def verified(babycli: Babycli, *words: object) -> tuple[int, list[tuple[str, str, str]]]:
    ran = babycli("data", "verify", "--json", *words)
    return ran.code, [(p["task"], p["kind"], p["subject"]) for p in json.loads(ran.out)["problems"]]


def test_the_lock_says_what_was_there(linked: DemoCopy) -> None:
    links = json.loads(LOCK.read_bytes())["links"]
    assert {path: (link["files"], link["images"]) for path, link in links.items()} == {
        "SAYCam_caption/images": (100, 48),
        "baby_winoground/negative_images": (40, 40),
        "baby_winoground/positive_images": (100, 40),
        "labeled_s/images": (len([p for p in linked.labeled_s.rglob("*") if p.is_file()]), 126),
        "vtwt/images": (100, 100),
    }
    assert links["vtwt/images"]["source"] == str(linked.saycam)
    for name, digest in links["vtwt/images"]["sha256"].items():
        assert digest == hashlib.sha256((linked.saycam / name).read_bytes()).hexdigest()


def test_linking_again_writes_the_same_lock(babycli: Babycli, linked: DemoCopy) -> None:
    before = snapshot(DATASET)
    assert babycli(*linked.link_words).code == 0
    assert snapshot(DATASET) == before


def test_what_was_linked_is_compared_by_itself(babycli: Babycli, linked: DemoCopy) -> None:
    assert verified(babycli) == (0, [])
    assert json.loads(babycli("data", "verify", "--json").out)["depth"] == "checksum"


@pytest.mark.parametrize("model_words", [("--model", "babyllava-tiny", "--tasks", "vtwt")])
def test_a_swap_is_noticed_by_verify_and_by_eval(
    babycli: Babycli, linked: DemoCopy, model_words: Sequence[str]
) -> None:
    first, second = linked.frame.read_bytes(), (linked.saycam / OTHER_FRAME).read_bytes()
    replace(linked.frame, second)
    replace(linked.saycam / OTHER_FRAME, first)
    places = [str(DATASET / "vtwt/images" / name) for name in (VTWT_FRAME, OTHER_FRAME)]
    assert verified(babycli) == (4, [("vtwt", "ChecksumMismatch", place) for place in places])
    (DATASET / "labeled_s/images").unlink()  # the mend of the frames stays
    assert "if those that are there are right:  babycli data link SAYCAM-FOLDER" in babycli("data", "verify").err
    assert f"these are the bytes of {OTHER_FRAME}" in babycli("data", "verify").out
    ran = babycli("eval", *model_words)
    assert ran.code == 4
    assert all(place in ran.err for place in places)
    assert "babycli data link" in ran.err
    assert not Path("logs").exists()


def test_a_replaced_frame_is_right_once_it_is_linked_again(babycli: Babycli, linked: DemoCopy) -> None:
    replace(linked.frame, (linked.saycam / OTHER_FRAME).read_bytes())
    assert verified(babycli)[0] == 4
    ran = babycli(*linked.link_words)
    assert ran.code == 0
    assert f"1 images have other bytes than when they were linked before: vtwt/images/{VTWT_FRAME}" in ran.err
    assert verified(babycli) == (0, [])


def test_a_link_that_was_pointed_elsewhere_is_noticed_even_where_all_is_the_same(
    babycli: Babycli, linked: DemoCopy, tmp_path: Path
) -> None:
    shutil.copytree(linked.saycam, tmp_path / "other")
    place = DATASET / "vtwt/images"
    place.unlink()
    place.symlink_to(tmp_path / "other")
    assert verified(babycli) == (3, [("vtwt", "LinkChanged", str(place))])
    assert babycli("eval", "--model", "babyllava-tiny", "--tasks", "vtwt", "--limit", 2).code == 0
    (tmp_path / "other" / VTWT_FRAME).unlink()
    assert verified(babycli)[1] == [
        ("vtwt", "LinkChanged", str(place)),
        ("vtwt", "Missing", str(place / VTWT_FRAME)),
    ]


def test_another_way_to_the_same_folder_is_no_change(babycli: Babycli, linked: DemoCopy) -> None:
    place = DATASET / "vtwt/images"
    place.unlink()
    place.symlink_to(f"{linked.saycam}/")
    assert verified(babycli) == (0, [])


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_real_folder_in_the_place_of_a_link_is_a_change(babycli: Babycli, linked: DemoCopy, is_empty: bool) -> None:
    place = DATASET / "vtwt/images"
    place.unlink()
    if is_empty:
        place.mkdir()
    else:
        shutil.copytree(linked.saycam, place)
    assert verified(babycli) == (3, [("vtwt", "WrongFolder" if is_empty else "LinkChanged", str(place))])
    assert "it is a real folder" in babycli("data", "verify").out


def test_equal_images_are_named_when_a_manifest_speaks_of_one_of_them(babycli: Babycli, demo: DemoCopy) -> None:
    positive, negative = demo.saycam / "demo_frame_003.png", demo.synthetic / "demo_frame_003_neg.png"
    replace(negative, positive.read_bytes())
    assert babycli(*demo.link_words).code == 0
    assert babycli("data", "manifest", demo.saycam, "-o", "list").code == 0
    expected = [
        ("baby_winoground", "DuplicateContent", str(DATASET / "baby_winoground/negative_images" / negative.name))
    ]
    for _ in range(2):
        assert verified(babycli, "--manifest", "list") == (3, expected)


def test_an_image_that_came_after_linking_is_unexpected(babycli: Babycli, demo: DemoCopy) -> None:
    content = demo.frame.read_bytes()
    demo.frame.unlink()
    assert babycli(*demo.link_words, "--allow-missing").code == 0
    demo.frame.write_bytes(content)
    assert verified(babycli) == (3, [("vtwt", "Unexpected", str(DATASET / "vtwt/images" / VTWT_FRAME))])


def test_two_choices_of_a_trial_with_the_same_bytes_are_named(babycli: Babycli, demo: DemoCopy) -> None:
    """Equal from the start, so that the lock has them so."""
    positive, negative = demo.saycam / "demo_frame_003.png", demo.synthetic / "demo_frame_003_neg.png"
    replace(negative, positive.read_bytes())
    rows = [line.split(",") for line in (demo.labels / "labeled_s/labeled_s.csv").read_text().splitlines()[1:5]]
    one, two = rows[1][-1], rows[2][-1]
    replace(demo.labeled_s / two, (demo.labeled_s / one).read_bytes())
    assert babycli(*demo.link_words).code == 0
    code, problems = verified(babycli)
    winoground = str(DATASET / "baby_winoground/negative_images" / negative.name)
    assert code == 3
    assert ("baby_winoground", "DuplicateContent", winoground) in problems
    assert ("labeled_s", "DuplicateContent", str(DATASET / "labeled_s/images" / two)) in problems
    assert {(task, kind) for task, kind, _ in problems} == {
        ("baby_winoground", "DuplicateContent"),
        ("labeled_s", "DuplicateContent"),
    }
    assert verified(babycli, "--depth", "header") == (0, [])
    manifests = []
    for source in (demo.saycam, demo.labeled_s, demo.synthetic):
        assert babycli("data", "manifest", source, "-o", "part").code == 0
        manifests.append(Path("part").read_bytes())
    Path("m").write_bytes(b"".join(manifests))
    for _ in range(2):
        assert verified(babycli, "--manifest", "m") == (code, problems)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema": 1}',
        b'{"schema": 1, "links": {"a": {}}}',
        b'{"schema": 9, "links": {}}',
        b"\xff",
        b"[" * 5000,
    ],
)
def test_a_damaged_lock_is_an_error_that_names_it(babycli: Babycli, linked: DemoCopy, content: bytes) -> None:
    LOCK.write_bytes(content)
    for words in (("data", "verify"), ("eval", "--model", "babyllava-tiny"), linked.link_words):
        ran = babycli(*words)
        assert (ran.code, ran.out) == (3, "")
        assert str(LOCK) in ran.err
    assert babycli("data", "status").code == 0


def test_without_a_lock_verify_says_that_nothing_was_compared(babycli: Babycli, linked: DemoCopy) -> None:
    LOCK.unlink()
    ran = babycli("data", "verify")
    assert ran.code == 0
    assert "vtwt/images" in ran.err
    assert "babycli data link" in ran.err
    ran = babycli("data", "verify", "--depth", "checksum")
    assert (ran.code, ran.out) == (3, "")


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_images_can_be_put_into_the_dataset_folder(babycli: Babycli, demo: DemoCopy, mode: str) -> None:
    assert babycli(*demo.link_words, "--mode", mode).code == 0
    place = DATASET / "vtwt/images"
    assert os.readlink(place).startswith("../images/saycam-")
    assert (place / VTWT_FRAME).samefile(demo.frame) == (mode == "hardlink")
    assert not (place / VTWT_FRAME).is_symlink()
    assert verified(babycli) == (0, [])
    if mode == "copy":
        shutil.rmtree(demo.folder)
        assert verified(babycli) == (0, [])
        moved = DATASET.rename("elsewhere")
        assert verified(babycli, "--data", moved) == (0, [])


def test_images_that_no_link_leads_to_any_more_are_kept_and_named(babycli: Babycli, demo: DemoCopy) -> None:
    """They may be the only ones."""
    assert babycli(*demo.link_words, "--mode", "copy").code == 0
    copies = sorted((DATASET / "images").iterdir())
    before = snapshot(DATASET / "images")
    ran = babycli(*demo.link_words)
    assert (ran.code, ran.out.count("unchanged")) == (0, 0)
    assert all(f"rm -r {copy}" in ran.err for copy in copies)
    assert snapshot(DATASET / "images") == before
    assert os.readlink(DATASET / "vtwt/images") == str(demo.saycam)
    ran = babycli(*demo.link_words, "--mode", "copy")
    assert (ran.code, "rm -r" in ran.err) == (0, False)


def test_another_mode_is_another_folder(babycli: Babycli, demo: DemoCopy) -> None:
    for mode in ("copy", "hardlink"):
        ran = babycli(*demo.link_words, "--mode", mode)
        assert (ran.code, ran.out.count("unchanged")) == (0, 0)
    assert (DATASET / "vtwt/images" / VTWT_FRAME).samefile(demo.frame)


def test_relative_links_survive_a_move_of_all(babycli: Babycli, demo: DemoCopy, tmp_path: Path) -> None:
    Path("all").mkdir()
    demo.folder.rename("all/downloads")
    here = DemoCopy(Path("all/downloads"))
    assert babycli(*here.link_words, "--relative", "--data", "all/dataset").code == 0
    assert os.readlink("all/dataset/vtwt/images") == "../../downloads/saycam_images"
    Path("all").rename("moved")
    assert verified(babycli, "--data", "moved/dataset") == (0, [])


def test_a_reflink_or_a_clear_word_that_there_is_none(babycli: Babycli, demo: DemoCopy) -> None:
    ran = babycli(*demo.link_words, "--mode", "reflink")
    if ran.code == 0:
        assert (DATASET / "vtwt/images" / VTWT_FRAME).read_bytes() == demo.frame.read_bytes()
        return
    assert ran.code == 3
    assert "--mode copy" in ran.err
    assert not (DATASET / "vtwt/images").is_symlink()
    assert not list((DATASET / "images").iterdir())


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system at /dev/shm")
def test_another_file_system_is_no_place_for_hard_links(
    babycli: Babycli, demo: DemoCopy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Path("/dev/shm") / f"babycli-test-{os.getpid()}"
    other.mkdir()
    try:
        if other.stat().st_dev == demo.folder.stat().st_dev:
            pytest.skip("/dev/shm is on the file system of the tests")
        ran = babycli(*demo.link_words, "--mode", "hardlink", "--data", other / "dataset")
        assert (ran.code, "--mode copy" in ran.err) == (3, True)
        for mode in ("copy", "symlink"):
            assert babycli(*demo.link_words, "--mode", mode, "--data", other / "dataset").code == 0
            assert verified(babycli, "--data", other / "dataset") == (0, [])
    finally:
        shutil.rmtree(other)


def test_a_zip_is_copied_out_of_but_not_hard_linked(babycli: Babycli, demo: DemoCopy) -> None:
    shutil.make_archive("frames", "zip", demo.saycam)
    words = ("data", "link", "frames.zip", "--from", demo.labels)
    ran = babycli(*words, "--mode", "hardlink")
    assert (ran.code, "--mode copy" in ran.err) == (2, True)
    assert babycli(*words, "--mode", "copy").code == 0
    assert (DATASET / "vtwt/images" / VTWT_FRAME).read_bytes() == demo.frame.read_bytes()


def test_an_unknown_mode_is_a_usage_error(babycli: Babycli, demo: DemoCopy) -> None:
    ran = babycli(*demo.link_words, "--mode", "hardlnk")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean 'hardlink'?" in ran.err


def test_an_image_that_cannot_be_read_is_missing_at_linking(babycli: Babycli, demo: DemoCopy) -> None:
    shutil.make_archive("frames", "zip", demo.saycam)
    raw = bytearray(Path("frames.zip").read_bytes())
    at = raw.index(VTWT_FRAME.encode()) + 200
    raw[at] ^= 1
    Path("frames.zip").write_bytes(raw)
    ran = babycli("data", "link", "frames.zip", "--from", demo.labels)
    assert ran.code == 3
    assert f"missing: {VTWT_FRAME} (its CRC-32 is not what the zip says)" in ran.out


def test_a_link_in_the_source_that_leads_back_to_itself_is_passed_over(babycli: Babycli, demo: DemoCopy) -> None:
    (demo.saycam / "loop").symlink_to("loop")
    assert babycli(*demo.link_words).code == 0
    given = Path("loop")
    given.symlink_to("loop")
    ran = babycli("data", "link", given)
    assert (ran.code, "leads nowhere" in ran.err) == (3, True)
