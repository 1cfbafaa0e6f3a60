"""`babycli data status` and `babycli data unlink`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli
from tests.data.demo_copy import DATASET, LABEL_FILES, LINKS, DemoCopy, links_in, replace, snapshot

pytestmark = pytest.mark.usefixtures("empty_folder")


def readiness(babycli: Babycli) -> dict[str, bool]:
    """Which tasks are ready, as the screen and the JSON say; they must agree."""
    text, document = babycli("data", "status"), babycli("data", "status", "--json")
    assert (text.code, text.err, document.code, document.err) == (0, "", 0, "")
    told: dict[str, Any] = json.loads(document.out)
    ready = {task: told[task]["ready"] for task in LABEL_FILES}
    for task, is_ready in ready.items():
        (line,) = [line for line in text.out.splitlines() if line.split()[0] == task]
        assert line.split(maxsplit=1)[1].startswith("ready" if is_ready else "not ready")
    return ready


def test_in_an_empty_folder_nothing_is_ready_and_nothing_is_made(babycli: Babycli) -> None:
    told = json.loads(babycli("data", "status", "--json").out)
    assert [task["ready"] for task in told.values()] == [False] * 4
    problems = " ".join(problem for task in told.values() for problem in task["problems"])
    assert (problems.count("LabelsMissing"), problems.count("LinkMissing")) == (4, 5)
    assert not DATASET.exists()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda place: None, "which does not exist"),
        (lambda place: place.symlink_to("nowhere"), "which is a link that leads nowhere"),
    ],
)
def test_a_dataset_folder_that_is_not_there_is_the_only_cause_told(
    make: Callable[[Path], None], why: str, babycli: Babycli, empty_folder: None
) -> None:
    place = Path("nope")
    make(place)
    link = "babycli data link --labeled-s DIR --data nope"
    another = "--data DIR or the variable $BABYCLI_DATA names another"
    ran = babycli("data", "status", "--data", "nope", "-t", "labeled_s")
    assert (ran.code, ran.err) == (0, "")
    first = f"dataset folder: {place.absolute()}, {why}"
    assert ran.out.splitlines() == [first, f"To mend:  {link}", f"{another} dataset folder"]
    for words in (("verify",), ("croissant",), ("subset", "copy")):
        ran = babycli("data", *words, "--data", "nope", "-t", "labeled_s")
        assert (ran.code, ran.out) == (3, "")
        cause = f"the dataset folder is {place.absolute()}, {why}; {another}"
        assert ran.err.startswith(f"babycli: {cause}\n  mend: {link}")
    ran = babycli("data", "verify", "--data", "nope", "--json")
    assert (ran.code, len(json.loads(ran.out)["problems"])) == (3, 9)


FILE_AS_DATASET = (  # every command that takes a dataset folder
    ("data", "labels"),
    ("data", "link", "."),
    ("data", "status"),
    ("data", "verify"),
    ("data", "croissant"),
    ("data", "extract", "zip", "dest"),
    ("data", "subset", "copy"),
    ("data", "unlink"),
    ("eval", "--model", "control:random"),
    ("report",),
    ("bridge", "lmms", "folder"),
    ("submission", "write", "folder", "--model", "babyllava-tiny"),
    ("submission", "check", "model.py"),
)


@pytest.mark.parametrize(
    "words",
    [pytest.param(w, marks=pytest.mark.long) if w[:2] == ("submission", "write") else w for w in FILE_AS_DATASET],
    ids=" ".join,
)
@pytest.mark.parametrize("named_by", ["--data", "the variable"])
def test_a_file_where_the_dataset_folder_should_be(
    words: tuple[str, ...], named_by: str, babycli: Babycli, empty_folder: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a file").write_text("mine")
    if named_by == "the variable":
        monkeypatch.setenv("BABYCLI_DATA", "a file")
    ran = babycli(*words, *(("--data", "a file") if named_by == "--data" else ()))
    if words[0] == "submission" and named_by == "the variable":  # it takes the demo's data then
        return
    assert (ran.code, ran.out) == (3, "")
    said, mend = ran.err.splitlines()[-2:]
    assert said == "babycli: a file is a file, where the dataset folder should be; it is left as it is"
    assert mend == (
        "  mend: --data DIR or the variable $BABYCLI_DATA names another; or move it away:  mv 'a file' 'a file'.mine"
    )
    assert [path.name for path in Path().iterdir()] == ["a file"]
    assert Path("a file").read_text() == "mine"


def test_a_file_at_the_default_place_is_in_the_way_of_links_alone(babycli: Babycli, empty_folder: None) -> None:
    DATASET.write_text("mine")
    for words in (("link", "."), ("labels",)):
        ran = babycli("data", *words)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith("babycli: dataset is a file, where the dataset folder should be; it is left as it is")
    assert "which is no folder" in babycli("data", "status").out
    ran = babycli("report", "logs")
    assert (ran.code, "dataset" in ran.err) == (3, False)  # there are no logs


def test_a_dataset_folder_that_cannot_be_read_is_not_said_to_be_missing(babycli: Babycli, empty_folder: None) -> None:
    Path("loop").symlink_to("loop")
    ran = babycli("data", "status", "--data", "loop")
    assert "loop, which cannot be read: Too many levels of symbolic links\n" in ran.out
    assert "does not exist" not in ran.out


def test_with_labels_alone_nothing_is_ready(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "labels", "--from", demo.labels)
    assert readiness(babycli) == dict.fromkeys(LABEL_FILES, False)
    assert babycli("data", "status").out.count("LinkMissing") == 5


def test_with_saycam_alone_two_tasks_are_ready(babycli: Babycli, demo: DemoCopy) -> None:
    babycli("data", "link", demo.saycam, "--from", demo.labels)
    assert readiness(babycli) == {"labeled_s": False, "vtwt": True, "baby_winoground": False, "saycam_caption": True}


def test_with_all_linked_all_are_ready_and_the_demo_is_called_demo(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    assert readiness(babycli) == dict.fromkeys(LABEL_FILES, True)
    document = json.loads(babycli("data", "status", "--json").out)
    assert [task["data"] for task in document.values()] == ["demo"] * 4
    assert [task["problems"] for task in document.values()] == [[]] * 4
    targets = {path: link["target"] for task in document.values() for path, link in task["links"].items()}
    assert targets == {link: str(demo.folder / source) for link, source in LINKS.items()}
    text = babycli("data", "status").out
    assert text.count("(demo)") == 4
    for link, target in targets.items():
        assert f"{link} -> {target}" in text


def test_a_changed_label_file_makes_its_task_not_ready(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    path = DATASET / LABEL_FILES["vtwt"]
    path.write_bytes(path.read_bytes() + b"demo_frame_000.png,a,b\n")
    assert [task for task, ready in readiness(babycli).items() if not ready] == ["vtwt"]
    assert f"LabelsChecksumMismatch {path}" in babycli("data", "status").out


def test_a_link_whose_folder_has_gone_makes_its_tasks_not_ready(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    demo.synthetic.rename(demo.folder / "moved")
    assert [task for task, ready in readiness(babycli).items() if not ready] == ["baby_winoground"]
    ran = babycli("data", "status")
    assert "LinkBroken" in ran.out
    assert f"images -> {demo.synthetic}  0 of" in ran.out


def test_a_real_folder_serves_as_well_as_a_link(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    (DATASET / "vtwt/images").unlink()
    shutil.copytree(demo.saycam, DATASET / "vtwt/images")
    assert readiness(babycli) == dict.fromkeys(LABEL_FILES, True)


def test_a_task_that_was_linked_with_images_missing_is_not_ready(babycli: Babycli, demo: DemoCopy) -> None:
    demo.frame.unlink()
    babycli(*demo.link_words, "--allow-missing")
    assert [task for task, ready in readiness(babycli).items() if not ready] == ["vtwt"]


@pytest.mark.parametrize("is_broken", [False, True])
@pytest.mark.parametrize("mode", ["symlink", "copy"])
def test_with_images_missing_status_and_link_say_how_the_others_are_evaluated(
    is_broken: bool, mode: str, babycli: Babycli, demo: DemoCopy
) -> None:
    (demo.saycam / "demo_frame_046.png").unlink()
    if is_broken:
        replace(demo.frame, demo.frame.read_bytes()[:200])
    linked = babycli(*demo.link_words, "--allow-missing", "--mode", mode)
    assert f"{98 if is_broken else 99} of 100 SAYCam frames" in linked.out
    is_in_way = is_broken and mode == "symlink"
    first = " (move the broken images away first)" if is_in_way else ""
    command = "babycli eval --model MODEL --tasks vtwt --skip-missing"
    assert f"To evaluate the complete trials{first}:  {command}\n" in linked.err
    if is_in_way:
        told = babycli("data", "status")
        assert f"vtwt/images -> {demo.saycam}  99 of 100 images there by name\n" in told.out
        assert "Whether the images are sound:  babycli data verify\n" in told.out
        demo.frame.unlink()
    told = babycli("data", "status")
    assert f"To evaluate the complete trials:  {command}\n" in told.out
    words = command.replace("MODEL", "control:constant").split()[1:]
    assert babycli(*words, "--output-path", "out").code == 0


def test_how_the_others_are_evaluated_is_not_said_where_there_are_none(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    assert "To evaluate" not in babycli("data", "status").out
    for folder, kept in ((demo.saycam, 0), (demo.synthetic, -1)):  # of two trials
        files = sorted(folder.iterdir())
        for file in files:
            if file != files[kept]:
                file.unlink()
    linked = babycli(*demo.link_words, "--allow-missing", "-t", "baby_winoground")
    assert linked.code == 0
    assert "linked, images missing" in linked.out
    told = babycli("data", "status", "-t", "baby_winoground")
    assert "To evaluate" not in linked.err + told.out
    ran = babycli("eval", "--model", "control:constant", "--tasks", "baby_winoground", "--skip-missing")
    assert (ran.code, "no trial has all of its images" in ran.err) == (3, True)


def test_status_changes_nothing(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    before = snapshot(DATASET), snapshot(demo.folder)
    readiness(babycli)
    assert (snapshot(DATASET), snapshot(demo.folder)) == before


def test_status_of_another_dataset_folder(babycli: Babycli, demo: DemoCopy, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    babycli(*demo.link_words, "--data", elsewhere)
    ran = babycli("data", "status", "--data", elsewhere)
    assert ran.out.startswith(f"dataset folder: {elsewhere}\n")
    assert ran.out.count(" ready  (demo)\n") == 4
    assert babycli("data", "status").out.startswith(f"dataset folder: {DATASET.absolute()}, which does not exist\n")


# --- unlink --------------------------------------------------------------------------------------------------------


def test_unlink_removes_the_links_and_nothing_else(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    images, before = snapshot(demo.folder), snapshot(DATASET)
    ran = babycli("data", "unlink")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(ran.out.splitlines()) == sorted(f"removed {DATASET / link}" for link in LINKS)
    assert links_in(DATASET) == {}
    assert snapshot(demo.folder) == images
    left = snapshot(DATASET)
    assert {path: left[path] for path in LABEL_FILES.values()} == {path: before[path] for path in LABEL_FILES.values()}
    assert set(before) - set(left) == set(LINKS)


def test_unlink_twice_is_done_once(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    babycli("data", "unlink")
    before = snapshot(DATASET)
    ran = babycli("data", "unlink")
    assert (ran.code, "removed" in ran.out) == (0, False)
    assert snapshot(DATASET) == before


def test_unlink_without_a_dataset_does_nothing(babycli: Babycli) -> None:
    assert babycli("data", "unlink").code == 0
    assert not DATASET.exists()


@pytest.mark.parametrize("link", LINKS)
def test_unlink_leaves_a_real_folder(babycli: Babycli, demo: DemoCopy, link: str) -> None:
    place = DATASET / link
    place.mkdir(parents=True)
    (place / "mine.png").write_text("mine")
    babycli(*demo.link_words, "--allow-missing")
    before = snapshot(place)
    ran = babycli("data", "unlink")
    assert ran.code == 0
    assert str(place) in ran.out
    assert f"removed {place}" not in ran.out
    assert snapshot(place) == before
    assert links_in(DATASET) == {}


def test_unlink_removes_links_that_lead_nowhere(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    shutil.rmtree(demo.folder)
    assert babycli("data", "unlink").code == 0
    assert links_in(DATASET) == {}


def test_after_unlink_the_data_can_be_linked_again(babycli: Babycli, demo: DemoCopy) -> None:
    babycli(*demo.link_words)
    before = links_in(DATASET)
    babycli("data", "unlink")
    assert babycli(*demo.link_words).code == 0
    assert links_in(DATASET) == before
