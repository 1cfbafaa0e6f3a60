"""One folder with all pictures below it, and errors that say where data are looked for."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from babycli.commands.demo import DEVCV
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


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ("labeled_s", "--labeled-s DIR"),
        ("vtwt", "SAYCAM-FOLDER"),
        ("labeled_s,vtwt", "SAYCAM-FOLDER"),
    ],
)
@pytest.mark.parametrize("has_labels", [False, True])
def test_where_nothing_is_there_just_what_a_task_reads_is_asked_for(
    tasks: str, words: str, has_labels: bool, babycli: Babycli, empty_folder: None, demo: DemoCopy
) -> None:
    if has_labels:
        assert babycli("data", "labels", "--from", demo.labels).code == 0
    for command in (
        ("eval", "--model", "control:random"),
        ("data", "status"),
        ("data", "verify"),
        ("data", "subset", "s"),
    ):
        ran = babycli(*command, "--tasks", tasks)
        first = re.search(r"babycli data link (SAYCAM-FOLDER|--\S+ DIR)", ran.out + ran.err)
        assert first is not None, command
        assert first[1] == words, command


def test_sets_of_devcv_are_found_in_a_folder_of_several_kinds(parent: Path, babycli: Babycli, demo: DemoCopy) -> None:
    with zipfile.ZipFile(DEVCV) as archive:
        archive.extractall(parent / "toolbox")
    (parent / "broken").mkdir()
    (parent / "broken" / "count_test.json").write_text("[{")
    words = ("data", "link", parent, "--from", demo.labels, "--tasks", "vtwt,baby_count", "--data", "there")
    ran = babycli(*words)
    assert ran.code == 0, ran.err
    assert f"found label files of devcv in {parent / 'toolbox'}\n" in ran.err
    assert f"{parent / 'broken'} is left out: " in ran.err
    assert f"to link it:  babycli data link --devcv SET='{parent / 'broken'}' --data there\n" in ran.err
    assert [line.split() for line in ran.out.splitlines() if line.endswith("ready")] == [
        ["vtwt", "ready"],
        ["baby_count@demo", "ready"],
    ]
    assert Path("there/devcv/demo/images").samefile(parent / "toolbox")
    again = babycli("data", "link", parent / "frames", "--from", demo.labels, "--tasks", "vtwt", "--data", "there")
    assert "label files of devcv" not in again.err


@pytest.mark.parametrize(
    "words",
    [
        ("data", "subset", "copy"),
        ("data", "subset", "copy", "--set", "nih"),
        ("data", "status", "--set", "nih"),
        ("data", "verify"),
        ("data", "unlink"),
        ("data", "croissant"),
        ("eval", "--model", "control:constant"),
        ("eval", "--model", "control:constant", "--tasks", "baby_pv", "--set", "nih"),
        ("eval", "--model", "control:constant", "--tasks", "baby_pv"),
        ("bridge", "lmms", "bridge"),
    ],
    ids=" ".join,
)
def test_what_lacks_data_says_where_it_looked(words: tuple[str, ...], empty_folder: None, babycli: Babycli) -> None:
    ran = babycli(*words)
    assert ran.code == (0 if "unlink" in words else 3)
    place = Path("dataset").absolute()
    what = f"the dataset folder is {place}, which does not exist"
    assert f"{what}; --data DIR or the variable $BABYCLI_DATA names another\n" in ran.err
    if "unlink" not in words:
        demo = r"(   \(or try it without data:  babycli demo\))?"
        assert re.search(rf"(mend: |To mend:  )babycli data link (SAYCAM-FOLDER|--devcv \w+=DIR){demo}\n", ran.err)
    if words[0] == "eval" and "--set" not in words:
        assert "babycli demo" in ran.err


def test_a_folder_that_holds_the_dataset_folder_says_so(demo: DemoCopy, tmp_path: Path, babycli: Babycli) -> None:
    folder = tmp_path / "mine"
    assert babycli(*demo.link_words, "--data", folder / "dataset").code == 0
    ran = babycli("eval", "--model", "control:constant", "--tasks", "vtwt", "--data", folder)
    assert ran.code == 3
    assert f"perhaps you mean the folder in it:  --data {folder / 'dataset'}\n" in ran.err


def test_status_says_where_it_looked_and_what_mends_it(empty_folder: None, babycli: Babycli) -> None:
    ran = babycli("data", "status")
    assert ran.out.startswith(f"dataset folder: {Path('dataset').absolute()}, which does not exist\n")
    assert ran.out.endswith(
        "To mend:  babycli data link SAYCAM-FOLDER\n"
        "--data DIR or the variable $BABYCLI_DATA names another dataset folder\n"
    )
