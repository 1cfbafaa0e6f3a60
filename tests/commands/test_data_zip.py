"""Zips in the place of folders: linked, verified and evaluated as they are."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, VTWT_FRAME, DemoCopy, links_in
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")


def link_zips(babycli: Babycli, demo: DemoCopy, inside: str = "") -> None:
    frames = zip_folder(demo.saycam, Path("frames.txt"), inside)
    labeled_s = zip_folder(demo.labeled_s, Path("labeled_s.zip"), inside)
    synthetic = zip_folder(demo.synthetic, Path("synthetic.zip"), inside)
    ran = babycli(
        "data", "link", frames, "--labeled-s", labeled_s, "--synthetic", synthetic, "--from", demo.labels
    )  # fmt: skip
    assert (ran.code, ran.out.count(" ready")) == (0, 4)
    n_frames = len(list(demo.saycam.iterdir()))
    assert f"frames.txt, a zip of {n_frames} files" in ran.out


@pytest.mark.parametrize("inside", [pytest.param("", marks=pytest.mark.long), "saycam/images/"])
@pytest.mark.parametrize(
    "depth", ["header", "decode", *(pytest.param(d, marks=pytest.mark.long) for d in ("names", "checksum"))]
)
def test_zips_pass_at_every_depth(babycli: Babycli, demo: DemoCopy, inside: str, depth: str) -> None:
    link_zips(babycli, demo, inside)
    ran = babycli("data", "verify", "--depth", depth)
    assert (ran.code, ran.err) == (0, "")
    assert links_in(DATASET)["vtwt/images"] == str(Path("frames.txt").absolute())


def test_a_run_from_zips_equals_one_from_folders(babycli: Babycli, demo: DemoCopy) -> None:
    link_zips(babycli, demo)
    assert babycli(*demo.link_words, "--data", "folders").code == 0
    results = []
    for data in ("dataset", "folders"):
        words = ("eval", "--model", "babyllava-tiny", "--limit", 4, "--data", data, "--output-path", f"logs-{data}")
        assert babycli(*words).code == 0
        (path,) = Path(f"logs-{data}").rglob("*_results.json")
        results.append(json.loads(path.read_bytes())["results"])
    assert results[0] == results[1]


def test_a_corrupt_member_is_a_checksum_mismatch(babycli: Babycli, demo: DemoCopy) -> None:
    link_zips(babycli, demo)
    with zipfile.ZipFile("frames.txt") as archive:
        at = archive.getinfo(VTWT_FRAME).header_offset + 200
    raw = bytearray(Path("frames.txt").read_bytes())
    raw[at] ^= 1
    Path("frames.txt").write_bytes(raw)
    ran = babycli("data", "verify")
    assert ran.code == 4
    assert f"vtwt: ChecksumMismatch {DATASET.absolute().parent}/frames.txt/{VTWT_FRAME}" in ran.out
    assert ran.out.count("Mismatch") == 1


def test_a_missing_member_is_named_and_nothing_is_linked(babycli: Babycli, demo: DemoCopy) -> None:
    demo.frame.unlink()
    ran = babycli("data", "link", zip_folder(demo.saycam, Path("frames.txt")), "--from", demo.labels)
    assert ran.code == 3
    assert f"missing: {VTWT_FRAME}" in ran.out
    assert "vtwt/images" not in links_in(DATASET)


def test_a_zip_that_was_cut_off_after_linking_is_a_broken_link(babycli: Babycli, demo: DemoCopy) -> None:
    link_zips(babycli, demo)
    raw = Path("synthetic.zip").read_bytes()
    Path("synthetic.zip").write_bytes(raw[:-1])
    ran = babycli("data", "verify")
    assert ran.code == 3
    assert "baby_winoground: LinkBroken dataset/baby_winoground/negative_images" in ran.out
    assert ran.out.count("LinkBroken") == 1
    assert babycli("eval", "--tasks", "baby_winoground", "--model", "babyllava-tiny").code == 3


def test_a_zip_that_is_replaced_is_opened_anew(babycli: Babycli, demo: DemoCopy) -> None:
    link_zips(babycli, demo)
    assert babycli("data", "verify").code == 0
    demo.frame.unlink()
    shutil.move(zip_folder(demo.saycam, Path("other.zip")), "frames.txt")
    ran = babycli("data", "verify")
    assert ran.code == 3
    assert f"Missing {DATASET.absolute().parent}/frames.txt/{VTWT_FRAME}" in ran.out
