"""Several sets of DevCV that are linked: every data command, eval, and what has changed since."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.commands.test_data_devcv import labels_of, lock, sets_linked, states
from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, DemoCopy
from tests.data.devcv_sets import TASKS, TOOLBOX, count, make_set, picture, vocabulary, write_labels
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

NIH = {"count.json": [count(i) for i in range(2)], "picture_vocab.json": [vocabulary(8)]}
ALL = sorted([*(f"{task}@ego4d" for task in TASKS), "baby_count@nih", "baby_pv@nih"])


@pytest.fixture
def two(babycli: Babycli, tmp_path: Path, empty_folder: None) -> tuple[Path, Path]:
    """Two sets, whose pictures and label files have the same names."""
    folders = make_set(tmp_path / "ego4d", TOOLBOX), make_set(tmp_path / "nih", NIH)
    ran = babycli("data", "link", "--devcv", folders[0], "--devcv", folders[1])
    assert ran.code == 0, ran.err
    return folders


def problems_in(babycli: Babycli, *words: object) -> list[tuple[str, str]]:
    found = json.loads(babycli("data", "verify", "--json", *words).out)["problems"]
    return [(each["task"], each["kind"]) for each in found]


# --- looking -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("two")
def test_status_and_verify_tell_tasks_of_different_sets_apart(babycli: Babycli) -> None:
    told = json.loads(babycli("data", "status", "--json").out)
    assert sorted(told) == ALL
    assert {name: (of["data"], of["rows"], of["ready"]) for name, of in told.items() if "count" in name} == {
        "baby_count@ego4d": ("ego4d", 4, True),
        "baby_count@nih": ("nih", 2, True),
    }
    verified = json.loads(babycli("data", "verify", "--json").out)
    assert (verified["ok"], verified["depth"], sorted(verified["tasks"])) == (True, "checksum", ALL)
    assert verified["tasks"]["baby_count@nih"]["links"] == {
        "devcv/nih/images": {"target": os_target("nih"), "images": 2, "sound": 2}
    }
    out = babycli("data", "verify", "--set", "nih").out
    assert states(out) == {
        "baby_pv@nih": "1 rows; 4 of 4 pictures of NIH Baby Toolbox sound",
        "baby_count@nih": "2 rows; 2 of 2 pictures of NIH Baby Toolbox sound",
    }


def os_target(name: str) -> str:
    return str((DATASET / "devcv" / name / "images").readlink())


@pytest.mark.usefixtures("two")
def test_a_set_that_is_not_linked_is_named_with_those_that_are(babycli: Babycli) -> None:
    for command in ("status", "verify", "unlink"):
        ran = babycli("data", command, "--set", "nhi")
        assert ran.code == 3
        assert "there is no set 'nhi'" in ran.err
        assert "Did you mean 'nih'?" in ran.err
        assert "babycli data link --devcv nhi=DIR" in ran.err


def test_a_fault_is_that_of_its_set_alone(babycli: Babycli, two: tuple[Path, Path]) -> None:
    ego4d, nih = two
    (nih / "images/count_0001.jpg").write_bytes(picture("another"))
    assert problems_in(babycli) == [("baby_count@nih", "ChecksumMismatch")]
    ran = babycli("data", "verify")
    assert ran.code == 4
    assert states(ran.out)["baby_count@ego4d"] == "4 rows; 4 of 4 pictures of Ego4D sound"
    assert "if those that are there are right:  babycli data link --devcv nih=DIR" in ran.err
    (ego4d / "images/count_0003.jpg").unlink()
    assert sorted(problems_in(babycli)) == [("baby_count@ego4d", "Missing"), ("baby_count@nih", "ChecksumMismatch")]
    assert problems_in(babycli, "--set", "nih") == [("baby_count@nih", "ChecksumMismatch")]


@pytest.mark.usefixtures("two")
def test_labels_have_nothing_to_fetch(babycli: Babycli) -> None:
    ran = babycli("data", "labels", "--tasks", "devcv")
    assert (ran.code, ran.out) == (0, "")
    assert "come with their pictures:  babycli data link --devcv SET=DIR" in ran.err


# --- what has changed ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("two")
def test_a_label_file_that_has_changed_is_exit_4(babycli: Babycli) -> None:
    path = DATASET / "devcv/nih/baby_count.json"
    write_labels(path, [count(0), count(1, answer=9)])
    assert problems_in(babycli) == [("baby_count@nih", "LabelsChecksumMismatch")]
    ran = babycli("data", "verify")
    assert ran.code == 4
    assert states(ran.out)["baby_count@nih"] == "2 rows; images not checked until the label file is right"
    assert "To mend:  babycli data link --devcv nih=DIR" in ran.err
    assert babycli("data", "verify", "--depth", "names").code == 4
    assert babycli("data", "verify", "--set", "ego4d").code == 0
    ran = babycli("eval", "--model", "control:constant", "--tasks", "baby_count", "--set", "nih")
    assert ran.code == 4
    assert f"LabelsChecksumMismatch {path}" in ran.err
    assert babycli("data", "subset", "elsewhere", "--set", "nih").code == 4
    assert not json.loads(babycli("data", "status", "--json").out)["baby_count@nih"]["ready"]


def test_a_picture_that_has_changed_is_exit_4_in_an_evaluation(babycli: Babycli, two: tuple[Path, Path]) -> None:
    (two[1] / "images/count_0001.jpg").write_bytes(picture("another"))
    ran = babycli("eval", "--model", "control:constant", "--tasks", "baby_count", "--set", "nih")
    assert (ran.code, "ChecksumMismatch" in ran.err) == (4, True)


def test_new_label_files_take_the_place_of_the_old_which_are_kept(babycli: Babycli, two: tuple[Path, Path]) -> None:
    old = (DATASET / "devcv/nih/baby_count.json").read_bytes()
    write_labels(two[1] / "count.json", [count(1), count(0)])
    assert babycli("data", "link", "--devcv", two[1]).code == 0
    assert [each["id"] for each in labels_of("baby_count", "nih")] == ["count_1", "count_0"]
    assert (DATASET / "devcv/nih/baby_count.json.old").read_bytes() == old
    assert babycli("data", "verify").code == 0
    assert sorted(json.loads(babycli("data", "status", "--json").out)) == ALL


def test_another_folder_for_a_set_must_have_all_of_its_tasks(babycli: Babycli, two: tuple[Path, Path]) -> None:
    other = make_set(two[1].parent / "nih_later", {"count.json": [count(0)]})
    before = os_target("nih")
    ran = babycli("data", "link", "--devcv", other)
    assert ran.code == 3
    assert f"has baby_pv too, with pictures in {two[1]}" in ran.err
    assert "babycli data unlink --set nih" in ran.err
    assert os_target("nih") == before
    assert babycli("data", "unlink", "--set", "nih").code == 0
    assert babycli("data", "link", "--devcv", other).code == 0
    assert os_target("nih") == str(other)
    assert problems_in(babycli) == []


@pytest.mark.usefixtures("two")
def test_a_lock_of_before_is_read(babycli: Babycli) -> None:
    document = lock()
    del document["labels"]
    (DATASET / "babycli.lock").write_text(json.dumps(document | {"schema": 1}))
    assert babycli("data", "verify").code == 0
    (DATASET / "babycli.lock").write_text(json.dumps(document | {"schema": 3}))
    ran = babycli("data", "verify")
    assert (ran.code, "is of schema 3, and this babycli knows 1 and 2" in ran.err) == (3, True)
    (DATASET / "babycli.lock").write_text(json.dumps(document | {"labels": {"devcv/nih/baby_count.json": 7}}))
    ran = babycli("data", "verify")
    assert (ran.code, "babycli.lock is damaged" in ran.err) == (3, True)


# --- copies, and taking away ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("two")
def test_a_subset_has_all_sets_and_stands_alone(babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("data", "subset", "cluster")
    assert ran.code == 0, ran.err
    subprocess.run(["sha256sum", "-c", "--quiet", "manifest-sha256.txt"], cwd="cluster", check=True)
    for folder in ("ego4d", "nih"):
        (tmp_path / folder).rename(tmp_path / f"{folder}_away")
    Path("cluster").rename("moved")
    ran = babycli("data", "verify", "--data", "moved")
    assert (ran.code, len(states(ran.out))) == (0, len(ALL))
    assert json.loads(Path("moved/babycli.lock").read_bytes())["labels"] == lock()["labels"]
    assert babycli("data", "subset", "one", "--set", "nih", "--data", "moved").code == 0
    assert sorted(json.loads(babycli("data", "status", "--json", "--data", "one").out)) == [
        "baby_count@nih",
        "baby_pv@nih",
    ]
    Path("moved/devcv/nih/baby_count.json").write_bytes(b"[]")
    assert babycli("data", "verify", "--data", "moved", "--set", "nih").code == 3


def test_only_what_a_set_needs_is_extracted(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "ego4d", TOOLBOX)
    (folder / "images/unneeded.jpg").write_bytes(picture("unneeded"))
    archive = zip_folder(folder, tmp_path / "ego4d.zip")
    assert babycli("data", "link", "--devcv", archive).code == 0
    ran = babycli("data", "extract", archive, "out", "--only-needed", "--tasks", "baby_count")
    assert ran.code == 0, ran.err
    names = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file())
    assert names == [f"images/count_{i:04}.jpg" for i in range(4)]
    assert babycli("data", "extract", archive, "all", "--only-needed").code == 0
    assert len([path for path in Path("all").rglob("*") if path.is_file()]) == len(
        {name for entries in TOOLBOX.values() for each in entries for name in each["image"]}
    )


def test_a_manifest_of_a_set_is_what_verify_compares_with(babycli: Babycli, two: tuple[Path, Path]) -> None:
    assert babycli("data", "manifest", two[1], "-o", "nih.txt").code == 0
    assert babycli("data", "verify", "--set", "nih", "--manifest", "nih.txt").code == 0
    (two[1] / "images/count_0001.jpg").write_bytes(picture("another"))
    assert babycli("data", "verify", "--set", "nih", "--manifest", "nih.txt").code == 4


@pytest.mark.usefixtures("two")
def test_unlink_takes_away_what_link_has_put_there(babycli: Babycli) -> None:
    ran = babycli("data", "unlink", "--set", "nih", "--tasks", "baby_pv")
    assert ran.code == 0
    assert "removed dataset/devcv/nih/baby_pv.json" in ran.out
    assert "kept    dataset/devcv/nih/images, for the other tasks of its set" in ran.out
    assert babycli("data", "verify").code == 0
    ran = babycli("data", "unlink", "--set", "nih")
    assert "removed dataset/devcv/nih/images" in ran.out
    assert sorted(json.loads(babycli("data", "status", "--json").out)) == sorted(f"{task}@ego4d" for task in TASKS)
    assert [path for path in lock()["labels"] if "nih" in path] == []
    assert not (DATASET / "devcv/nih").exists()
    assert babycli("data", "unlink").code == 0
    assert not (DATASET / "devcv").exists()
    assert [place for place in DATASET.rglob("*") if place.is_symlink()] == []


@pytest.mark.usefixtures("two")
def test_unlink_keeps_a_label_file_that_is_not_as_it_was_linked(babycli: Babycli) -> None:
    mine = write_labels(DATASET / "devcv/nih/baby_count.json", [count(1)])
    ran = babycli("data", "unlink", "--set", "nih")
    assert (ran.code, f"kept    {mine}, not as linked" in ran.out) == (0, True)
    assert mine.exists()
    assert sets_linked() == ["ego4d", "nih"]


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
def test_pictures_of_a_set_can_be_put_into_the_dataset_folder(babycli: Babycli, tmp_path: Path, mode: str) -> None:
    folder = make_set(tmp_path / "mine", {"count/data.json": [count(0)], "pv/data.json": [vocabulary(0)]})
    assert babycli("data", "link", "--devcv", folder, "--mode", mode).code == 0
    folder.rename(tmp_path / "away")
    assert babycli("data", "verify").code == 0
    name = labels_of("baby_count", "mine")[0]["image"][0]
    there = DATASET / "devcv/mine/images" / name
    assert there.read_bytes() == (tmp_path / "away/count/images/count_0000.jpg").read_bytes()


# --- evaluating ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("two")
def test_each_set_is_a_run_of_its_own(babycli: Babycli) -> None:
    ran = babycli("eval", "--model", "control:constant", "--tasks", "baby_count", "--output-path", "logs")
    assert ran.code == 0, ran.err
    runs = [json.loads(path.read_bytes()) for path in Path("logs").rglob("run.json")]
    by_set = {run["identity"]["data"]["name"]: run["identity"]["data"] for run in runs}
    assert sorted(by_set) == ["ego4d", "nih"]
    digest = hashlib.sha256((DATASET / "devcv/nih/baby_count.json").read_bytes()).hexdigest()
    assert by_set["nih"]["labels_sha256"]["baby_count"] == digest


def test_sets_alone_do_not_ask_for_saycam(babycli: Babycli, two: tuple[Path, Path], demo: DemoCopy) -> None:
    assert sorted(json.loads(babycli("data", "status", "--json").out)) == ALL
    assert babycli(*demo.link_words).code == 0
    assert len(json.loads(babycli("data", "status", "--json").out)) == len(ALL) + 4
    assert sorted(json.loads(babycli("data", "status", "--json", "--set", "nih").out)) == [
        "baby_count@nih",
        "baby_pv@nih",
    ]


@pytest.mark.usefixtures("two")
def test_a_task_that_one_set_lacks_is_that_of_the_others(babycli: Babycli) -> None:
    told = json.loads(babycli("data", "status", "--json", "--tasks", "baby_memory,baby_count").out)
    assert sorted(told) == ["baby_count@ego4d", "baby_count@nih", "baby_memory@ego4d"]
    assert problems_in(babycli, "--tasks", "baby_memory", "--set", "nih") == [("baby_memory@nih", "LabelsMissing")]
    ran = babycli("eval", "--model", "control:constant", "--tasks", "baby_localize")
    assert ran.code == 3
    assert "LabelsMissing dataset/devcv/ego4d/baby_localize.json" in ran.err
    assert "babycli data link --devcv ego4d=DIR" in ran.err


def test_a_set_is_linked_from_another_dataset_folder(babycli: Babycli, two: tuple[Path, Path]) -> None:
    assert babycli("data", "subset", "cluster").code == 0
    ran = babycli("data", "link", "--devcv", "cluster/devcv/nih", "--data", "again")
    assert ran.code == 0, ran.err
    assert states(ran.out) == {"baby_pv@nih": "ready", "baby_count@nih": "ready"}
    labels = Path("again/devcv/nih/baby_count.json")
    assert labels.read_bytes() == (two[1] / "count.json").read_bytes()
    name = json.loads(labels.read_bytes())[0]["image"][0]
    assert (Path("again/devcv/nih/images") / name).read_bytes() == (two[1] / name).read_bytes()
