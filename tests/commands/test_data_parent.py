"""One folder with all pictures below it, and errors that say where data are looked for."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Babycli
from tests.data.demo_copy import DemoCopy


@pytest.fixture
def parent(demo: DemoCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "all of it"
    folder.mkdir()
    demo.saycam.rename(folder / "frames")
    (demo.folder / "labeled_s_images").rename(folder / "trials")
    with zipfile.ZipFile(folder / "drawn.zip", "w") as archive:
        for path in (demo.folder / "synthetic_images").iterdir():
            archive.write(path, path.name)
    return folder


def test_all_three_kinds_are_found(parent: Path, babycli: Babycli, demo: DemoCopy) -> None:
    ran = babycli("data", "link", parent, "--from", demo.labels, "--data", "there")
    assert ran.code == 0, ran.err
    assert ran.out.count("ready") == 4
    assert f"found synthetic images in {parent / 'drawn.zip'}" in ran.err


def test_two_places_with_the_same_are_not_guessed(parent: Path, babycli: Babycli, demo: DemoCopy) -> None:
    shutil.copy(parent / "drawn.zip", parent / "again.zip")
    ran = babycli("data", "link", parent, "--from", demo.labels, "--data", "there")
    assert ran.code == 2
    assert "drawn.zip" in ran.err
    assert "again.zip" in ran.err


def test_an_error_names_the_folder_and_just_what_is_missing(parent: Path, babycli: Babycli, demo: DemoCopy) -> None:
    (parent / "drawn.zip").unlink()
    shutil.rmtree(parent / "trials")
    babycli("data", "link", parent, "--from", demo.labels, "--data", "there")
    for task, words in (("baby_winoground", "--synthetic DIR"), ("labeled_s", "--labeled-s DIR")):
        ran = babycli("eval", "--model", "control:random", "--tasks", task, "--data", "there")
        assert ran.code == 3
        assert f"babycli data link {words} --data there" in ran.err
        assert f"the dataset folder is {Path('there').absolute()}; --data DIR or the variable $BABYCLI_DATA" in ran.err
    ran = babycli("eval", "--model", "control:random", "--tasks", "babyvlm", "--data", "there")
    assert ran.code == 3
    assert "(or evaluate what is there:  --tasks vtwt,saycam_caption)" in ran.err


def test_where_nothing_is_there_linking_brings_labels_and_pictures(babycli: Babycli, empty_folder: None) -> None:
    ran = babycli("eval", "--model", "control:random", "--tasks", "labeled_s", "--data", "none")
    assert ran.code == 3
    assert "mend: babycli data link" in ran.err
    assert "or evaluate what is there" not in ran.err
