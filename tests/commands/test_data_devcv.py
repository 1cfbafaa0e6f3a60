"""`babycli data link --devcv`: which label files are found, where their pictures lie, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babycli.data import manifest
from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, DemoCopy, snapshot
from tests.data.devcv_sets import (
    TASKS,
    TOOLBOX,
    Entry,
    count,
    entry,
    left_right,
    make_set,
    memory,
    picture,
    vocabulary,
    write_labels,
    write_pictures,
)
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture
def toolbox(tmp_path: Path) -> Path:
    """A download of the toolbox's form, by a name that says whose pictures it has."""
    return make_set(tmp_path / "devcv_toolbox_ego4d", TOOLBOX)


def lock() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATASET / "babycli.lock").read_bytes())
    return document


def labels_of(task: str, data_set: str = "ego4d") -> list[Entry]:
    entries: list[Entry] = json.loads((DATASET / "devcv" / data_set / f"{task}.json").read_bytes())
    return entries


def sets_linked() -> list[str]:
    folder = DATASET / "devcv"
    return sorted(place.name for place in folder.iterdir()) if folder.is_dir() else []


def states(out: str) -> dict[str, str]:
    lines = (line.split(maxsplit=1) for line in out.splitlines() if not line.startswith(" "))
    return {name: state.strip() for name, state in lines}


def pictures_behind(task: str, data_set: str = "ego4d") -> list[bytes]:
    """The bytes that a task reads, in the order of its entries."""
    folder = DATASET / "devcv" / data_set / "images"
    return [(folder / name).read_bytes() for each in labels_of(task, data_set) for name in each["image"]]


# --- what is found -------------------------------------------------------------------------------------------------


def test_a_download_of_the_toolbox_is_linked_and_its_label_files_stay_as_they_are(
    babycli: Babycli, toolbox: Path
) -> None:
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 0, ran.err
    assert states(ran.out) == {f"{task}@ego4d": "ready" for task in TASKS}
    assert f"{toolbox} is linked as the set 'ego4d', after the name of the folder" in ran.err
    assert "    4 of 4 pictures of Ego4D in" in ran.out
    assert "    4 of 4 items have all of their pictures" in ran.out
    assert os.readlink(DATASET / "devcv/ego4d/images") == str(toolbox)
    for name, task in zip(TOOLBOX, TASKS, strict=True):
        assert (DATASET / f"devcv/ego4d/{task}.json").read_bytes() == (toolbox / name).read_bytes()


def test_the_lock_has_labels_and_pictures(babycli: Babycli, toolbox: Path) -> None:
    assert babycli("data", "link", "--devcv", toolbox).code == 0
    document = lock()
    assert document["schema"] == 2
    digest = hashlib.sha256((toolbox / "count_test.json").read_bytes()).hexdigest()
    assert document["labels"]["devcv/ego4d/baby_count.json"] == {
        "sha256": digest,
        "origin": str(toolbox / "count_test.json"),
        "origin_sha256": digest,
    }
    of_link = document["links"]["devcv/ego4d/images"]["sha256"]
    names = {name for entries in TOOLBOX.values() for each in entries for name in each["image"]}
    assert of_link == {name: hashlib.sha256((toolbox / name).read_bytes()).hexdigest() for name in names}


def test_a_second_link_changes_nothing(babycli: Babycli, toolbox: Path) -> None:
    assert babycli("data", "link", "--devcv", toolbox).code == 0
    before = snapshot(DATASET)
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 0
    assert "unchanged" in ran.out
    assert {name: at for name, at in snapshot(DATASET).items() if ".babycli" not in name} == before


def test_the_tutorial_has_a_folder_for_each_task(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(
        tmp_path / "ego4d_sample",
        {"count/data.json": [count(0), count(1)], "picture_vocabulary/data.json": [vocabulary(0)]},
    )
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 0, ran.err
    assert "names of pictures rewritten" in ran.out
    written, original = labels_of("baby_count"), json.loads((folder / "count/data.json").read_bytes())
    assert [each["image"] for each in written] == [["count/images/count_0000.jpg"], ["count/images/count_0001.jpg"]]
    assert [each | {"image": []} for each in written] == [each | {"image": []} for each in original]
    record = lock()["labels"]["devcv/ego4d/baby_count.json"]
    assert record["origin_sha256"] == hashlib.sha256((folder / "count/data.json").read_bytes()).hexdigest()
    assert record["sha256"] == hashlib.sha256((DATASET / "devcv/ego4d/baby_count.json").read_bytes()).hexdigest()
    assert pictures_behind("baby_count") == [(folder / f"count/images/count_000{i}.jpg").read_bytes() for i in (0, 1)]
    assert babycli("data", "verify").code == 0


def test_a_task_folder_that_is_given_by_itself(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "mine/count", {"data.json": [count(0)]})
    ran = babycli("data", "link", "--devcv", f"mine={folder}")
    assert (ran.code, states(ran.out)) == (0, {"baby_count@mine": "ready"})


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("picture_vocabulary_v2/dataset_seen.json", "baby_pv"),
        ("localize_4_crop_instructions_abc_test.json", "baby_localize"),
        ("interleaved_leftright_instructions_abc_test.json", "baby_leftright"),
        ("abc_interleaved_spatialdetails_instructions_test.json", "baby_spatialdetails"),
        ("binary_dataset_test.json", "baby_vdr_binary"),
        ("open_dataset_test.json", "baby_vdr_open"),
        ("whohasmore_naturalistic.json", "baby_compare_real"),
        ("compare_synthetic_instructions_test_abc.json", "baby_compare_synthetic"),
        ("count_v2_test.json", "baby_count"),
        ("memory_task_test_base5_p5_250.json", "baby_memory"),
        ("memory_task_test_final_250.json", "baby_memory"),
        ("localize_test.json", "baby_localize"),
        ("spatialdetails_test.json", "baby_spatialdetails"),
        ("vdr_binary_test.json", "baby_vdr_binary"),
        ("compare_real_test.json", "baby_compare_real"),
        ("compare_synthetic_test.json", "baby_compare_synthetic"),
        ("subitize_test.json", "baby_subitize"),
        ("test/whohasmore_synthetic/data.json", "baby_compare_synthetic"),
        ("vdr-binary/data.json", "baby_vdr_binary"),
        ("all/who_has_more.json", "baby_compare_real"),
        ("baby_count.json", "baby_count"),
    ],
)
def test_names_under_which_label_files_are_published(babycli: Babycli, tmp_path: Path, name: str, task: str) -> None:
    """A broken file is named with the task that it was taken for."""
    write_labels(tmp_path / "held_out" / name, [{"id": "x"}])
    ran = babycli("data", "link", "--devcv", tmp_path / "held_out")
    assert ran.code == 3
    assert f"{task}@held_out: LabelsMalformed {tmp_path / 'held_out' / name}: item 1 lacks" in ran.err
    assert not DATASET.exists()


def test_files_that_are_no_label_files_are_named(babycli: Babycli, toolbox: Path) -> None:
    (toolbox / "dataset_infos.json").write_text("{}")
    (toolbox / ".cache").mkdir()
    (toolbox / ".cache/count_test.json").write_text("{}")
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 0
    assert "not read, as no task has a label file of that name: dataset_infos.json" in ran.err


def test_a_folder_without_label_files_is_an_error(babycli: Babycli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.json").write_text("[]")
    ran = babycli("data", "link", "--devcv", tmp_path / "empty")
    assert ran.code == 3
    assert f"{tmp_path / 'empty'} has no label file of DevCV" in ran.err
    assert "notes.json" in ran.err


# --- splits and doubles --------------------------------------------------------------------------------------------


def test_a_split_is_a_set_of_its_own(babycli: Babycli, toolbox: Path) -> None:
    write_pictures(toolbox, [count(7)])
    write_labels(toolbox / "count_val.json", [count(7)])
    ran = babycli("data", "link", "--devcv", toolbox)
    assert "1 label files of val in" in ran.err
    assert babycli("data", "link", "--devcv", toolbox, "--split", "val").code == 0
    assert sets_linked() == ["ego4d", "ego4d_val"]
    assert [each["id"] for each in labels_of("baby_count", "ego4d_val")] == ["count_7"]
    assert [each["id"] for each in labels_of("baby_count")] == [f"count_{i}" for i in range(4)]


def test_the_folder_that_is_given_may_be_that_of_a_split(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "saycam_data/val", {"count/data.json": [count(0)]})
    assert babycli("data", "link", "--devcv", folder).code == 0
    assert sets_linked() == ["saycam_val"]


def test_a_split_that_is_not_there_is_an_error(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "ego4d", {"count_train.json": [count(0)]})
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 3
    assert "has no label files of the split 'test', but of train" in ran.err
    assert "--split train" in ran.err


def test_of_the_nih_vocabulary_the_whole_is_taken_and_that_is_said(babycli: Babycli, tmp_path: Path) -> None:
    files = {"picture_vocab/data.json": [vocabulary(0)], "picture_vocab_selected/data.json": [vocabulary(1)]}
    folder = make_set(tmp_path / "nih", files)
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 0
    assert "left out, and to be linked as a set of its own: picture_vocab_selected/data.json" in ran.err
    assert [each["id"] for each in labels_of("baby_pv", "nih")] == ["picture_vocabulary_0"]
    selected = folder / "picture_vocab_selected/data.json"
    assert babycli("data", "link", "--devcv", f"nih_selected={selected}").code == 0
    assert [each["id"] for each in labels_of("baby_pv", "nih_selected")] == ["picture_vocabulary_1"]


def test_two_label_files_of_one_task_are_refused(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "ego4d", {"count/data.json": [count(0)], "count_v2_test.json": [count(1)]})
    make_set(folder, {"b/count_test.json": [count(2)]})
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 3
    assert "has 2 label files of baby_count: b/count_test.json, count_v2_test.json" in ran.err
    assert not DATASET.exists()


def test_the_same_label_file_twice_is_one(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "ego4d", {"a/count.json": [count(0)], "b/count.json": [count(0)]})
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 0
    assert "the same label file twice: a/count.json, b/count.json" in ran.err


# --- names of sets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("EGO4D", "ego4d"),
        ("nih_toolbox_sample_later", "nih"),
        ("BabyView-2025", "babyview"),
        ("saycam_data_sample", "saycam"),
        ("finnish children", "finnish_children"),
        ("ego4d_and_nih", "ego4d_and_nih"),
    ],
)
def test_the_name_of_a_set_is_guessed_from_its_folder(babycli: Babycli, tmp_path: Path, folder: str, name: str) -> None:
    ran = babycli("data", "link", "--devcv", make_set(tmp_path / folder, {"count.json": [count(0)]}))
    assert ran.code == 0
    assert sets_linked() == [name]
    assert f"is linked as the set {name!r}" in ran.err


@pytest.mark.parametrize("name", ["demo", "own"])
def test_names_that_mean_something_else_are_refused(babycli: Babycli, toolbox: Path, name: str) -> None:
    ran = babycli("data", "link", "--devcv", f"{name}={toolbox}")
    assert ran.code == 2
    assert f"{name!r} is a name that babycli keeps for itself" in ran.err


def test_a_name_that_is_none_is_refused(babycli: Babycli, toolbox: Path) -> None:
    assert babycli("data", "link", "--devcv", f"my set={toolbox}").code == 2
    assert babycli("data", "link", "--devcv", "ego4d=").code == 2
    ran = babycli("data", "link", "--devcv", make_set(toolbox.parent / "…", {"count.json": [count(0)]}))
    assert ran.code == 2
    assert "--devcv NAME=" in ran.err


def test_two_folders_of_one_set_are_refused(babycli: Babycli, toolbox: Path) -> None:
    other = make_set(toolbox.parent / "ego4d_later", {"count.json": [count(0)]})
    ran = babycli("data", "link", "--devcv", toolbox, "--devcv", other)
    assert ran.code == 2
    assert "two folders are given for the set 'ego4d'" in ran.err
    assert babycli("data", "link", "--devcv", toolbox, "--devcv", f"later={other}").code == 0
    assert sets_linked() == ["ego4d", "later"]


def test_options_that_need_a_set(babycli: Babycli, toolbox: Path) -> None:
    assert babycli("data", "link", "--split", "val").code == 2
    assert babycli("data", "link", "--devcv-images", toolbox).code == 2
    assert babycli("data", "link", "--devcv", toolbox, "--devcv-images", f"nih={toolbox}").code == 2
    ran = babycli("data", "link", "--devcv", toolbox, "--tasks", "vtwt")
    assert (ran.code, "--tasks names no task of devcv" in ran.err) == (2, True)


def test_only_some_tasks_of_a_set(babycli: Babycli, toolbox: Path) -> None:
    ran = babycli("data", "link", "--devcv", toolbox, "--tasks", "baby_count,baby_pv")
    assert (ran.code, sorted(states(ran.out))) == (0, ["baby_count@ego4d", "baby_pv@ego4d"])
    assert babycli("data", "link", "--devcv", toolbox, "--tasks", "baby_memory").code == 0
    assert sorted(json.loads(babycli("data", "status", "--json").out)) == [
        "baby_count@ego4d",
        "baby_memory@ego4d",
        "baby_pv@ego4d",
    ]
    ran = babycli("data", "link", "--devcv", toolbox, "--tasks", "baby_localize")
    assert (ran.code, "has no label file of baby_localize" in ran.err) == (3, True)


# --- where pictures lie --------------------------------------------------------------------------------------------


def test_absolute_paths_of_another_machine_are_followed_by_their_longest_ending(
    babycli: Babycli, tmp_path: Path
) -> None:
    folder = tmp_path / "ego4d"
    names = ["/data/lab/ego4d/frames/a/1.jpg", "C:\\lab\\frames\\b\\1.jpg", "/elsewhere/1.jpg"]
    for place in ("frames/a/1.jpg", "frames/b/1.jpg", "a/1.jpg", "1.jpg"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(picture(place))
    write_labels(folder / "count_test.json", [count(i) | {"image": [name]} for i, name in enumerate(names)])
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 0, ran.err
    assert [each["image"] for each in labels_of("baby_count")] == [["frames/a/1.jpg"], ["frames/b/1.jpg"], ["1.jpg"]]
    assert pictures_behind("baby_count") == [picture(name) for name in ("frames/a/1.jpg", "frames/b/1.jpg", "1.jpg")]


def test_an_ending_that_leads_to_two_different_files_is_refused(babycli: Babycli, tmp_path: Path) -> None:
    folder = tmp_path / "ego4d"
    for place in ("count/images/1.jpg", "images/1.jpg"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(picture(place))
    write_labels(folder / "count/data.json", [count(0) | {"image": ["/lab/images/1.jpg"]}])
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 3
    assert "/lab/images/1.jpg leads to different files" in ran.err
    assert "count/images/1.jpg and images/1.jpg" in ran.err
    (folder / "images/1.jpg").write_bytes(picture("count/images/1.jpg"))
    assert babycli("data", "link", "--devcv", folder).code == 0


@pytest.mark.parametrize("inside", ["images", "count/images", "test/images"])
def test_pictures_apart_from_their_labels(babycli: Babycli, tmp_path: Path, inside: str) -> None:
    labels = write_labels(tmp_path / "labels/count_test.json", [count(0), count(1)]).parent
    pictures = tmp_path / "pictures"
    folder = (pictures / inside).parent
    folder = pictures / {"images": "", "count/images": "count_test", "test/images": ""}[inside]
    write_pictures(folder, [count(0), count(1)])
    ran = babycli("data", "link", "--devcv", f"ego4d={labels}", "--devcv-images", pictures)
    assert ran.code == 0, ran.err
    assert pictures_behind("baby_count") == [(folder / count(i)["image"][0]).read_bytes() for i in (0, 1)]
    assert not list(labels.glob("images"))


def test_names_that_climb_stay_in_the_folder(babycli: Babycli, tmp_path: Path) -> None:
    folder = tmp_path / "ego4d"
    write_pictures(folder, [count(0)])
    write_labels(folder / "labels/count_test.json", [count(0) | {"image": ["../images/count_0000.jpg"]}])
    assert babycli("data", "link", "--devcv", folder).code == 0
    assert labels_of("baby_count")[0]["image"] == ["images/count_0000.jpg"]


@pytest.mark.parametrize("name", ["../../secret.png", "images/../../../secret.png", "a\\..\\..\\secret.png", "x\0.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(babycli: Babycli, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(picture("secret"))
    folder = make_set(tmp_path / "ego4d", {"count/data.json": [count(0)]})
    write_labels(folder / "count/data.json", [count(0), count(1) | {"image": [name]}])
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 3
    assert "UnsafeName" in ran.err
    assert f"in item 2 (count_1) of {folder / 'count/data.json'}" in ran.err
    assert not DATASET.exists()


@pytest.mark.parametrize("name", ["https://example.org/a.png", "file:///a.png", "data:image/png;base64,iVBORw0KGgo="])
def test_an_address_in_the_place_of_a_name_is_called_so(babycli: Babycli, tmp_path: Path, name: str) -> None:
    folder = make_set(tmp_path / "ego4d", {"count/data.json": [count(0)]})
    write_labels(folder / "count/data.json", [count(0), count(1) | {"image": [name]}])
    ran = babycli("data", "link", "--devcv", folder)
    assert (ran.code, f"UnsafeName {name}: an address" in ran.err) == (3, True)
    assert f"in item 2 (count_1) of {folder / 'count/data.json'}" in ran.err
    assert not DATASET.exists()


@pytest.mark.parametrize("name", [f"images/{'x' * 300}.png", f"images/{'x' * 5_000}.png", "/a" * 100_000])
def test_a_name_that_no_file_can_have_is_missing(babycli: Babycli, tmp_path: Path, name: str) -> None:
    folder = make_set(tmp_path / "ego4d", {"count/data.json": [count(0)]})
    write_labels(folder / "count/data.json", [count(0), count(1) | {"image": [name]}])
    ran = babycli("data", "link", "--devcv", folder)
    assert (ran.code, "    1 of 2 pictures of Ego4D" in ran.out) == (3, True)
    assert f"missing: {name.removeprefix('/')[:300]}" in ran.out
    assert "(File name too long)" in ran.out
    assert len(ran.out + ran.err) < 10_000


@pytest.mark.parametrize("wrapper", ["", "wrapped/deep/"])
@pytest.mark.parametrize("tutorial", [False, True])
def test_a_zip_serves_as_well_as_a_folder(babycli: Babycli, tmp_path: Path, wrapper: str, tutorial: bool) -> None:
    files: dict[str, Sequence[Entry]] = dict(TOOLBOX)
    if tutorial:
        files = {f"{name.removesuffix('_test.json')}/data.json": entries for name, entries in TOOLBOX.items()}
    folder = make_set(tmp_path / f"whole/{wrapper}", files)
    archive = zip_folder(tmp_path / "whole", tmp_path / "ego4d.zip")
    ran = babycli("data", "link", "--devcv", archive)
    assert ran.code == 0, ran.err
    assert states(ran.out) == {f"{task}@ego4d": "ready" for task in TASKS}
    ran = babycli("data", "verify", "--depth", "checksum")
    assert ran.code == 0, ran.out
    recorded = lock()["links"]["devcv/ego4d/images"]["sha256"]
    first = labels_of("baby_count")[0]["image"][0]
    of_count = folder / ("count" if tutorial else "") / "images/count_0000.jpg"
    assert recorded[first] == hashlib.sha256(of_count.read_bytes()).hexdigest()


def test_a_zip_with_two_folders_of_equal_names_gives_the_pictures_beside_the_labels(
    babycli: Babycli, tmp_path: Path
) -> None:
    whole = make_set(tmp_path / "whole", {"val/count.json": [count(0)], "test/count.json": [count(0)]})
    archive = zip_folder(whole, tmp_path / "ego4d.zip")
    for split, data_set in (("val", "ego4d_val"), ("test", "ego4d")):
        assert babycli("data", "link", "--devcv", archive, "--split", split).code == 0
        (digest,) = lock()["links"][f"devcv/{data_set}/images"]["sha256"].values()
        assert digest == hashlib.sha256((whole / split / "images/count_0000.jpg").read_bytes()).hexdigest()
        assert babycli("data", "verify", "--set", data_set).code == 0
        assert f'"{digest}"' in (DATASET / "babycli.lock").read_text()


# --- what is missing or broken -------------------------------------------------------------------------------------


def test_a_task_that_lacks_a_picture_is_not_linked(babycli: Babycli, toolbox: Path) -> None:
    (toolbox / "images/count_0002.jpg").unlink()
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 3
    told = states(ran.out)
    assert told.pop("baby_count@ego4d") == "NOT LINKED"
    assert set(told.values()) == {"ready"}
    assert "    3 of 4 pictures of Ego4D" in ran.out
    assert "missing: images/count_0002.jpg" in ran.out
    assert "    3 of 4 items have all of their pictures" in ran.out
    assert not (DATASET / "devcv/ego4d/baby_count.json").exists()
    assert babycli("data", "verify").code == 0
    ran = babycli("data", "link", "--devcv", toolbox, "--allow-missing")
    assert (ran.code, states(ran.out)["baby_count@ego4d"]) == (0, "linked, images missing")
    assert (DATASET / "devcv/ego4d/baby_count.json").exists()


def test_an_incomplete_set_of_one_task_leaves_nothing(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "ego4d", {"count.json": [count(0), count(1)]})
    (folder / "images/count_0001.jpg").write_bytes(b"no picture")
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 3
    assert "broken: images/count_0001.jpg" in ran.out
    assert not (DATASET / "devcv/ego4d/images").is_symlink()
    assert not (DATASET / "devcv/ego4d/baby_count.json").exists()


def test_pictures_that_are_nowhere_are_an_error(babycli: Babycli, tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "ego4d/count.json", [count(0)]).parent
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 3
    assert "none of 1 names was found" in ran.err


def changed(**more: object) -> list[Entry]:
    return [count(0), count(1) | more]


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "no JSON": ("count_test.json", b'[{"id": "x",]', "item 1:"),
    "cut off": ("count_test.json", json.dumps([count(0), count(1)]).encode()[:-30], "item 2:"),
    "an object": ("count_test.json", b'{"data": []}', "should be a list of objects"),
    "a number": ("count_test.json", b"7", "should be a list of objects"),
    "no items": ("count_test.json", b"[]", "it has no items"),
    "nothing": ("count_test.json", b"", "should be a list of objects"),
    "a text as an item": ("count_test.json", b'["x"]', "item 1 is"),
    "a key twice": (
        "count_test.json",
        json.dumps([count(0), count(1)]).replace('"count_1"', '"count_1", "id": "x"').encode(),
        "item 2: the key 'id' stands twice",
    ),
    "too deep": ("count_test.json", b"[" * 100_000, "too many levels deep"),
    "half a character": (
        "count_test.json",
        json.dumps(changed(id="\\ud800")).replace("\\\\", "\\").encode(),
        "item 2 has half of a character",
    ),
    "NaN": ("count_test.json", json.dumps(changed(bb=[float("nan")])).encode(), "item 2: NaN is no number"),
    "not UTF-8": ("count_test.json", json.dumps(changed(id="\xe9"), ensure_ascii=False).encode("latin-1"), "not UTF-8"),
    "no pictures key": ("count_test.json", json.dumps([{"id": "x", "conversations": [1]}]).encode(), "lacks image"),
}
for _name, _entries, _detail in (
    ("a picture too few", [count(0), entry("x", [("<image> <image> How many of cup do you see?", "1")], ["a.png"])],
     "2 places for pictures in its words, and 1 pictures"),
    ("an answer of no number", changed(conversations=[{"from": "human", "value": "<image> How many?"},
                                                      {"from": "gpt", "value": "many"}]), "has the answer 'many'"),
    ("no answer", changed(conversations=[{"from": "human", "value": "<image> Which?"}]), "should end with its answer"),
    ("names of no text", changed(image=[5]), "should have a list of names"),
    ("pictures that are no list", changed(image="images/count_0001.jpg"), "should have a list of names"),
    ("messages that are no list", changed(conversations={"from": "human"}), "should have a list of messages"),
    ("an id of a number", changed(id=7), "should have a text"),
):  # fmt: skip
    BROKEN[_name] = ("count_test.json", json.dumps(_entries).encode(), _detail)
_SAME = left_right(1) | {"image": ["images/q.png", "images/a.png", "images/a.png", "images/b.png"]}
BROKEN["the same picture twice by name"] = (
    "leftright_test.json", json.dumps([left_right(0), _SAME]).encode(), "offers the same picture twice",
)  # fmt: skip
_SHORT = memory(1) | {"labels": [["thing0"]]}
BROKEN["labels of too few turns"] = ("memory_test.json", json.dumps([memory(0), _SHORT]).encode(), "labels for 1 turns")
_LETTER = vocabulary(1)
_LETTER["conversations"][1]["value"] = "E"
BROKEN["a letter that is not offered"] = (
    "pv_test.json", json.dumps([vocabulary(0), _LETTER]).encode(), "has the answer 'E'",
)  # fmt: skip


@pytest.mark.parametrize("form", BROKEN)
def test_a_broken_label_file_is_named_with_its_item(babycli: Babycli, toolbox: Path, form: str) -> None:
    name, content, detail = BROKEN[form]
    assert babycli("data", "link", "--devcv", toolbox).code == 0
    before = snapshot(DATASET)
    (toolbox / name).write_bytes(content)
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 3
    assert str(toolbox / name) in ran.err
    assert detail in ran.err
    if form not in ("an object", "a number", "no items", "nothing", "not UTF-8", "too deep"):
        assert "item" in ran.err
    assert {path: at for path, at in snapshot(DATASET).items() if ".babycli" not in path} == before


# One of a file without items, one of its encoding, one of an item, one of an answer.
_LATER = ("no items", "not UTF-8", "the same picture twice by name", "a letter that is not offered")


@pytest.mark.parametrize(
    "form", [form if form in _LATER else pytest.param(form, marks=pytest.mark.long) for form in BROKEN]
)
def test_a_label_file_that_is_broken_later_is_named_too(babycli: Babycli, toolbox: Path, form: str) -> None:
    name, content, detail = BROKEN[form]
    assert babycli("data", "link", "--devcv", toolbox).code == 0
    task = TASKS[list(TOOLBOX).index(name)]
    (DATASET / f"devcv/ego4d/{task}.json").write_bytes(content)
    ran = babycli("data", "verify")
    assert ran.code == 3
    assert detail in ran.out or form == "no items"
    ran = babycli("eval", "--model", "control:constant", "--tasks", task)
    assert ran.code == 3


def test_a_byte_order_mark_is_read(babycli: Babycli, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "ego4d", {"count.json": [count(0)]})
    path = folder / "count.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert babycli("data", "link", "--devcv", folder).code == 0
    assert babycli("data", "verify").code == 0


def test_a_label_file_that_claims_too_many_bytes_is_not_read(babycli: Babycli, toolbox: Path) -> None:
    with (toolbox / "count_test.json").open("r+b") as stream:
        stream.truncate(1 << 30)
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 3
    assert f"cannot read {toolbox / 'count_test.json'}" in ran.err


def test_ids_that_stand_twice_are_named_and_no_fault(babycli: Babycli, tmp_path: Path) -> None:
    twice = [count(0), count(1) | {"id": "count_0"}, count(2)]
    folder = make_set(tmp_path / "ego4d", {"count.json": twice})
    ran = babycli("data", "link", "--devcv", folder)
    assert ran.code == 0
    assert "baby_count@ego4d: several items have the same id: count_0" in ran.err


# --- the same picture twice ----------------------------------------------------------------------------------------


def test_two_options_of_the_same_bytes_are_named(babycli: Babycli, toolbox: Path) -> None:
    shutil.copy(toolbox / "images/pv_0001_0.png", toolbox / "images/pv_0001_3.png")
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 0
    assert "baby_pv@ego4d: item 1 (from 0), 'picture_vocabulary_1', cannot be decided" in ran.err
    assert "images/pv_0001_0.png and images/pv_0001_3.png are the same picture" in ran.err
    problems = json.loads(babycli("data", "verify", "--json").out)["problems"]
    assert [(each["task"], each["kind"]) for each in problems] == [("baby_pv@ego4d", "DuplicateContent")]


def test_the_query_may_be_its_right_option(babycli: Babycli, toolbox: Path) -> None:
    shutil.copy(toolbox / "images/lr_0000_0.jpeg", toolbox / "images/lr_0000_1.jpeg")
    ran = babycli("data", "link", "--devcv", toolbox)
    assert (ran.code, "same picture" in ran.err) == (0, False)
    assert babycli("data", "verify").code == 0


def test_memory_shows_old_pictures_again_but_no_two_equal_ones_in_a_turn(babycli: Babycli, toolbox: Path) -> None:
    assert len(set(pictures(toolbox, memory(0)))) < len(memory(0)["image"])
    assert babycli("data", "link", "--devcv", toolbox).code == 0
    assert babycli("data", "verify").code == 0
    shutil.copy(toolbox / memory(0)["image"][1], toolbox / memory(0)["image"][2])
    ran = babycli("data", "link", "--devcv", toolbox)
    assert "item 0 (from 0), 'memory_task_0', cannot be decided" in ran.err


def pictures(folder: Path, of: Entry) -> list[bytes]:
    return [(folder / name).read_bytes() for name in of["image"]]


# --- with SAYCam ---------------------------------------------------------------------------------------------------


def test_saycam_and_a_set_in_one_command(babycli: Babycli, demo: DemoCopy, toolbox: Path) -> None:
    ran = babycli(*demo.link_words, "--devcv", toolbox)
    assert ran.code == 0, ran.err
    assert set(states(ran.out).values()) == {"ready"}
    assert len(states(ran.out)) == 4 + len(TASKS)
    assert len(lock()["links"]) == 6
    assert babycli("data", "verify").code == 0
    assert babycli(*demo.link_words).code == 0
    assert lock()["labels"].keys() == {f"devcv/ego4d/{task}.json" for task in TASKS}


def test_a_lock_without_sets_is_as_it_ever_was(babycli: Babycli, demo: DemoCopy) -> None:
    assert babycli(*demo.link_words).code == 0
    assert (lock()["schema"], sorted(lock())) == (1, ["links", "schema"])


# --- the demo, and how folders are given ---------------------------------------------------------------------------


def test_label_files_of_the_demo_make_the_set_demo(
    babycli: Babycli, toolbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = dict(zip(TASKS, TOOLBOX, strict=True))
    digests = {task: hashlib.sha256((toolbox / name).read_bytes()).hexdigest() for task, name in names.items()}
    of_demo = {task: {"sha256": digest, "rows": 1} for task, digest in digests.items()}
    monkeypatch.setattr(manifest, "_demo_labels", lambda: of_demo)
    ran = babycli("data", "link", "--devcv", toolbox)
    assert ran.code == 0, ran.err
    assert "is linked as the set 'demo', as its label files are the demo's" in ran.err
    assert sets_linked() == ["demo"]
    assert json.loads(babycli("data", "status", "--json").out)["baby_count@demo"]["data"] == "demo"
    of_demo["baby_count"]["sha256"] = "0"
    assert babycli("data", "link", "--devcv", f"demo={toolbox}").code == 2


def test_the_folder_may_be_the_one_that_one_is_in(
    babycli: Babycli, toolbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toolbox)
    assert babycli("data", "link", "--devcv", ".", "--data", toolbox.parent / "data").code == 0
    assert (toolbox.parent / "data/devcv/ego4d/images").readlink() == toolbox


def test_pictures_in_a_zip_apart_from_their_labels(babycli: Babycli, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "ego4d/count_test.json", [count(0), count(1)]).parent
    archive = zip_folder(write_pictures(tmp_path / "pictures", [count(0), count(1)]), tmp_path / "pictures.zip")
    ran = babycli("data", "link", "--devcv", labels, "--devcv-images", archive)
    assert ran.code == 0, ran.err
    assert (DATASET / "devcv/ego4d/baby_count.json").read_bytes() == (labels / "count_test.json").read_bytes()
    assert babycli("data", "verify").code == 0
    ran = babycli("eval", "--model", "control:constant", "--tasks", "baby_count")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", None])
def test_what_is_no_folder_is_refused(babycli: Babycli, tmp_path: Path, content: bytes | None) -> None:
    given = tmp_path / "ego4d.zip"
    if content is not None:
        given.write_bytes(content)
    ran = babycli("data", "link", "--devcv", given)
    assert ran.code == 3
    assert str(given) in ran.err
    assert not DATASET.exists()
