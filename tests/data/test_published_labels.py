"""The label files as BabyVLM's authors publish them, where the folder beside the repository holds them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from babycli.tasks import all_tasks
from tests.conftest import REPOSITORY, Babycli
from tests.data.demo_copy import DATASET, LABEL_FILES, links_in, snapshot

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture
def imported(empty_folder: None, babycli: Babycli, shared: Path) -> None:
    """The published label files in ./dataset."""
    ran = babycli("data", "labels", "--from", shared / "labels")
    assert (ran.code, ran.err) == (0, "")


def rows(task: str) -> list[dict[str, str]]:
    with (DATASET / LABEL_FILES[task]).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def verified(babycli: Babycli) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(babycli("data", "verify", "--json").out)["tasks"]
    return document


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("task", LABEL_FILES)
def test_a_label_file_has_the_sha256_and_size_of_its_manifest(task: str) -> None:
    manifest = json.loads((REPOSITORY / "manifests" / f"{task}.json").read_bytes())
    raw = (DATASET / LABEL_FILES[task]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == manifest["sha256"]
    assert len(raw) == manifest["size_bytes"]
    assert list(rows(task)[0]) == list(all_tasks()[task].columns)
    assert all_tasks()[task].label_path == LABEL_FILES[task]
    assert manifest["upstream"] == {
        "repository": "ShawnKing98/babylmms-eval",
        "commit": "82118a809a2036e658cb7e030b9776d7f620048d",
        "path": f"dataset/{LABEL_FILES[task]}",
    }


@pytest.mark.usefixtures("imported")
def test_four_files_are_imported_and_no_more() -> None:
    files = [path for path in snapshot(DATASET) if (DATASET / path).is_file()]
    assert sorted(files) == sorted(LABEL_FILES.values())


@pytest.mark.usefixtures("imported")
def test_rows_and_images_are_as_the_paper_counts_them(babycli: Babycli) -> None:
    tasks = verified(babycli)
    assert {task: (t["data"], t["rows"]) for task, t in tasks.items()} == {
        "labeled_s": ("saycam", 8800),
        "vtwt": ("saycam", 967),
        "baby_winoground": ("saycam", 730),
        "saycam_caption": ("saycam", 294),
    }
    assert {path: link["images"] for t in tasks.values() for path, link in t["links"].items()} == {
        "labeled_s/images": 6846,
        "vtwt/images": 967,
        "baby_winoground/positive_images": 365,
        "baby_winoground/negative_images": 365,
        "SAYCam_caption/images": 294,
    }


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("task", LABEL_FILES)
def test_the_manifest_s_image_counts_are_those_of_the_label_file(task: str) -> None:
    manifest = json.loads((REPOSITORY / "manifests" / f"{task}.json").read_bytes())
    sources = {"labeled_s": "labeled_s", "vtwt": "saycam", "saycam_caption": "saycam"}
    of_tags = {"positive": "saycam", "negative": "synthetic"}
    names: dict[str, set[str]] = {}
    for row in rows(task):
        names.setdefault(sources.get(task) or of_tags[row["image_tag"]], set()).add(row["image"])
    assert {source: len(of_source) for source, of_source in names.items()} == manifest["pictures"]


@pytest.mark.usefixtures("imported")
def test_labeled_s_has_a_hundred_trials_of_each_of_22_categories() -> None:
    trials = {row["trial_id"]: row["target_category"] for row in rows("labeled_s")}
    assert len(trials) == 2200
    assert sorted(Counter(trials.values()).values()) == [100] * 22
    assert set(Counter(row["trial_id"] for row in rows("labeled_s")).values()) == {4}


@pytest.mark.usefixtures("imported")
def test_vtwt_and_baby_winoground_share_their_frames() -> None:
    vtwt = {row["image"] for row in rows("vtwt")}
    frames = {row["image"] for row in rows("baby_winoground") if row["image_tag"] == "positive"}
    synthetic = {row["image"] for row in rows("baby_winoground") if row["image_tag"] == "negative"}
    assert frames <= vtwt
    assert {name.removesuffix("_neg.jpeg") for name in synthetic} == {name.rpartition(".")[0] for name in frames}
    assert len(vtwt | frames | {row["image"] for row in rows("saycam_caption")}) == 1244


@pytest.mark.usefixtures("imported")
def test_demo_images_are_not_taken_for_saycam(babycli: Babycli, downloads: Path) -> None:
    ran = babycli("data", "link", downloads / "saycam_images")
    assert ran.code == 3
    assert links_in(DATASET) == {}
    assert "(demo)" not in babycli("data", "status").out


def test_demo_labels_and_published_labels_do_not_mix(
    babycli: Babycli, shared: Path, downloads: Path, tmp_path: Path
) -> None:
    source = tmp_path / "mixed"
    shutil.copytree(shared / "labels", source)
    shutil.copy(downloads / "labels/vtwt/vtwt.csv", source / "vtwt/vtwt.csv")
    ran = babycli("data", "labels", "--from", source)
    assert ran.code == 3
    assert "mix label files" in ran.err
    assert snapshot(DATASET) == {}


def test_a_demo_label_file_that_is_missing_is_not_replaced_by_a_published_one(
    babycli: Babycli, shared: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    babycli("data", "labels", "--from", downloads / "labels")
    (DATASET / "vtwt/vtwt.csv").unlink()

    def published(url: str, timeout: float | None = None) -> io.BytesIO:
        return io.BytesIO((shared / "labels" / url.partition("/dataset/")[2]).read_bytes())

    monkeypatch.setattr(urllib.request, "urlopen", published)
    babycli("data", "link", downloads / "saycam_images")
    document = json.loads(babycli("data", "status", "--json").out)
    assert {task["data"] for task in document.values()} != {"demo", "saycam"}


@pytest.mark.usefixtures("imported")
def test_checksums_of_saycam_images_must_be_the_user_s_own(babycli: Babycli) -> None:
    for link in ("vtwt/images", "labeled_s/images"):
        (DATASET / link).mkdir()
    ran = babycli("data", "verify", "--depth", "checksum")
    assert (ran.code, ran.out) == (3, "")
    assert "--manifest" in ran.err
