"""`babycli data croissant`: every file that is named is there, and has the checksum that is told."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from babycli.data.manifest import manifests
from babycli.tasks import all_tasks
from tests.conftest import Babycli

pytestmark = pytest.mark.usefixtures("empty_folder")
BABYVLM = ("labeled_s", "vtwt", "baby_winoground", "saycam_caption")


def test_every_file_has_its_checksum(dataset: Path, babycli: Babycli) -> None:
    ran = babycli("data", "croissant", "--data", dataset)
    assert (ran.code, ran.err) == (0, "")
    document: dict[str, Any] = json.loads(ran.out)
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert "DEMO DATA" in document["description"]
    files = {entry["contentUrl"]: entry["sha256"] for entry in document["distribution"]}
    assert {path: hashlib.sha256((dataset / path).read_bytes()).hexdigest() for path in files} == files
    assert len(files) == len(document["distribution"]) == len({entry["@id"] for entry in document["distribution"]})
    assert [record["name"] for record in document["recordSet"]] == list(BABYVLM)
    for record in document["recordSet"]:
        task = all_tasks()[record["name"]]
        assert [field["source"]["extract"]["column"] for field in record["field"]] == list(task.columns)
        assert {field["source"]["fileObject"]["@id"] for field in record["field"]} == {task.label_path}
    assert files["vtwt/vtwt.csv"] == manifests()["vtwt"].demo_sha256


@pytest.mark.long
def test_mlcroissant_reads_the_label_files(dataset: Path, babycli: Babycli) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="the package mlcroissant is not installed")
    shutil.copytree(dataset, "dataset", symlinks=True)
    assert babycli("data", "croissant", "--output", "dataset/croissant.json").code == 0
    read = mlcroissant.Dataset(jsonld="dataset/croissant.json")
    assert not read.metadata.ctx.issues.errors
    assert len(list(read.records("vtwt"))) == manifests()["vtwt"].demo_n_rows


def test_a_file_and_some_tasks(dataset: Path, babycli: Babycli) -> None:
    ran = babycli("data", "croissant", "--data", dataset, "--tasks", "vtwt", "--output", "c.json")
    assert (ran.code, ran.out) == (0, "")
    document = json.loads(Path("c.json").read_text())
    assert {entry["@id"].split("/")[0] for entry in document["distribution"]} == {"vtwt"}
    assert f"{len(document['distribution'])} files of" in ran.err


def test_pictures_that_were_never_linked_have_no_checksum(dataset: Path, babycli: Babycli) -> None:
    shutil.copytree(dataset, "dataset", symlinks=True)
    Path("dataset/babycli.lock").unlink()
    ran = babycli("data", "croissant", "--tasks", "vtwt")
    assert (ran.code, ran.out) == (3, "")
    assert "there is no checksum of" in ran.err
    assert "mend: link them" in ran.err


def test_labels_that_are_not_there_are_said(babycli: Babycli) -> None:
    ran = babycli("data", "croissant")
    assert (ran.code, ran.out) == (3, "")
    assert "mend:" in ran.err
