"""A source and a task that only these tests register go through every data command, as the built-in ones do."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from babycli import tasks
from babycli.data import manifest, sources
from babycli.data.manifest import Published
from babycli.data.sources.base import Source
from babycli.domain import ImageRef, Item, Row
from babycli.tasks.base import LabelFormat, StructureProblem
from tests.conftest import REPOSITORY, Babycli
from tests.data.demo_copy import DATASET, LABEL_FILES, LINKS, DemoCopy, links_in, replace, snapshot
from tests.data.sea_task import LABELS, LINK, SEA, SHARED_LINK, SeenBefore, rows_of, write_labels, write_pictures
from tests.data.zipped import zip_folder

N_ITEMS = 6
pytestmark = pytest.mark.usefixtures("empty_folder")


@dataclass(frozen=True, slots=True)
class Sea:
    """The demo's downloads, and a folder with pictures of the sea beside them."""

    demo: DemoCopy
    folder: Path

    @property
    def link_words(self) -> tuple[object, ...]:
        return (*self.demo.link_words, "--source", f"sea={self.folder}")


@pytest.fixture
def unknown(demo: DemoCopy, monkeypatch: pytest.MonkeyPatch) -> Sea:
    """The pictures are there; neither the source nor the task is registered."""
    monkeypatch.setattr(sources, "_registered", {})
    monkeypatch.setattr(tasks, "_registered", {})
    pictures = [path.read_bytes() for path in sorted(demo.synthetic.iterdir())]
    return Sea(demo, write_pictures(demo.folder / "the sea", pictures[: 2 * N_ITEMS]))


@pytest.fixture
def sea(unknown: Sea) -> Sea:
    """Source and task are registered, and the label file is in its place."""
    sources.register(SEA)
    tasks.register(SeenBefore())
    write_labels(rows_of(N_ITEMS))
    return unknown


@pytest.fixture
def linked(babycli: Babycli, sea: Sea) -> Sea:
    ran = babycli(*sea.link_words)
    assert ran.code == 0, ran.err
    return sea


def problems_in(babycli: Babycli, *words: object) -> tuple[int, list[tuple[str, str, str]]]:
    ran = babycli("data", "verify", "--json", *words)
    return ran.code, [(p["task"], p["kind"], p["detail"]) for p in json.loads(ran.out)["problems"]]


def lock(dataset: Path = DATASET) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((dataset / "babycli.lock").read_bytes())["links"]
    return document


# --- every command -------------------------------------------------------------------------------------------------


def test_link_checks_the_pictures_and_links_the_folder(babycli: Babycli, sea: Sea) -> None:
    ran = babycli(*sea.link_words)
    assert ran.code == 0
    lines = [line.split() for line in ran.out.splitlines() if not line.startswith(" ")]
    assert lines == [[name, "ready"] for name in (*LABEL_FILES, "seen_before")]
    assert f"12 of 12 pictures of the sea in {sea.folder}" in ran.out
    assert f"6 of 6 SAYCam frames in {sea.demo.saycam}, unchanged" not in ran.out
    assert os.readlink(DATASET / LINK) == str(sea.folder)
    assert len(links_in(DATASET)) == len(LINKS)
    assert {path: link["images"] for path, link in lock().items() if path in (LINK, SHARED_LINK)} == {
        LINK: 2 * N_ITEMS,
        SHARED_LINK: 100,
    }


def test_what_is_wanted_is_asked_for_by_its_option(babycli: Babycli, sea: Sea) -> None:
    ran = babycli(*sea.demo.link_words)
    assert ran.code == 0
    assert "seen_before      wants pictures of the sea" in ran.out
    assert f"{DATASET / LINK}: give --source sea=DIR" in ran.out
    assert f"for the rest:  babycli data link {sea.demo.saycam} --source sea=DIR" in ran.err


def test_status_and_verify_know_the_task(babycli: Babycli, linked: Sea) -> None:
    text = babycli("data", "status").out
    assert "seen_before      ready\n" in text
    assert f"{LINK} -> {linked.folder}  12 of 12 images there" in text
    told = json.loads(babycli("data", "status", "--json").out)["seen_before"]
    assert (told["ready"], told["data"], told["rows"]) == (True, "own", N_ITEMS)
    assert {path: (of["images"], of["sound"]) for path, of in told["links"].items()} == {
        LINK: (12, 12),
        SHARED_LINK: (6, 6),
    }
    ran = babycli("data", "verify")
    assert ran.code == 0
    assert "seen_before      6 rows; 12 of 12 pictures of the sea sound, 6 of 6 SAYCam frames sound" in ran.out


def test_verify_compares_with_what_was_linked(babycli: Babycli, linked: Sea) -> None:
    replace(linked.folder / "north/sea_03.png", (linked.folder / "north/sea_04.png").read_bytes())
    (linked.folder / "south/sea_01.png").unlink()
    code, problems = problems_in(babycli)
    assert code == 3
    assert sorted((task, kind) for task, kind, _ in problems) == [
        ("seen_before", "ChecksumMismatch"),
        ("seen_before", "Missing"),
    ]


def test_the_same_bytes_twice_in_one_item_are_a_problem(babycli: Babycli, sea: Sea) -> None:
    replace(sea.folder / "north/sea_03.png", (sea.folder / "south/sea_03.png").read_bytes())
    replace(sea.folder / "north/sea_02.png", (sea.demo.saycam / "demo_frame_002.png").read_bytes())
    assert babycli(*sea.link_words).code == 0
    code, problems = problems_in(babycli)
    assert (code, [kind for _, kind, _ in problems]) == (3, ["DuplicateContent", "DuplicateContent"])
    assert any("in trial s3, where they must differ" in detail for _, _, detail in problems)
    assert any("in trial s2, where they must differ" in detail for _, _, detail in problems)


def test_a_subset_has_the_source_too_and_stands_alone(babycli: Babycli, linked: Sea) -> None:
    assert babycli("data", "subset", "dest").code == 0
    assert os.readlink(f"dest/{LINK}") == "../../sea_images"
    assert len(list(Path("dest/sea_images").glob("*/*.png"))) == 2 * N_ITEMS
    shutil.rmtree(linked.demo.folder)
    shutil.rmtree(DATASET)
    assert problems_in(babycli, "--data", Path("dest").rename("moved")) == (0, [])
    assert lock(Path("moved"))[LINK]["target"] == "../../sea_images"


def test_a_subset_of_two_tasks_behind_one_link_has_the_pictures_of_both(babycli: Babycli, linked: Sea) -> None:
    frame = linked.demo.saycam / "frame_of_mine.png"
    frame.write_bytes(linked.demo.frame.read_bytes())
    write_labels([*rows_of(2), {"id": "x", "pictures": ["north/sea_02.png", "south/sea_02.png"], "frame": frame.name}])
    assert babycli(*linked.link_words).code == 0
    for chosen, n_frames in (("vtwt,seen_before", 101), ("seen_before,vtwt", 101), ("seen_before", 3), ("vtwt", 100)):
        assert babycli("data", "subset", chosen, "--tasks", chosen).code == 0
        assert len(list(Path(chosen, "saycam_images").iterdir())) == n_frames
        assert lock(Path(chosen))[SHARED_LINK]["images"] == n_frames
        assert problems_in(babycli, "--data", chosen, "--tasks", chosen) == (0, [])


def test_extract_unpacks_what_the_task_reads(babycli: Babycli, sea: Sea) -> None:
    (sea.folder / "north/nobody_reads_me.png").write_bytes(sea.demo.frame.read_bytes())
    zip_folder(sea.folder, Path("sea.zip"), "inside/")
    ran = babycli("data", "extract", "sea.zip", "dest", "--only-needed", "--tasks", "seen_before")
    assert ran.code == 0
    assert len(list(Path("dest/inside").glob("*/*.png"))) == 2 * N_ITEMS
    ran = babycli("data", "extract", "sea.zip", "dest", "--tasks", "seen_before")
    assert (ran.code, "--only-needed" in ran.err) == (2, True)


def test_a_zip_serves_as_well(babycli: Babycli, sea: Sea) -> None:
    zipped = zip_folder(sea.folder, Path("sea.zip"), "inside/")
    assert babycli(*sea.demo.link_words, "--source", f"sea={zipped}").code == 0
    assert problems_in(babycli) == (0, [])


def test_unlink_removes_its_links_too(babycli: Babycli, linked: Sea) -> None:
    assert babycli("data", "unlink", "--tasks", "seen_before").out.splitlines() == [
        f"removed {DATASET / LINK}",
        f"removed {DATASET / SHARED_LINK}",
    ]
    babycli("data", "unlink")
    assert not any(path.is_symlink() for path in DATASET.rglob("*"))


# --- the words of --source -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--source", "sea"], "cannot read --source 'sea'"),
        (["--source", "sea="], "cannot read --source 'sea='"),
        (["--source", "seas=x"], "unknown source 'seas'. Did you mean 'sea'?"),
        (["--source", "sea=x", "--source", "sea=y"], "two folders are given for sea"),
        (["x", "--source", "saycam=y"], "two folders are given for saycam"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_source_that_cannot_be_understood_is_a_usage_error(
    babycli: Babycli, sea: Sea, words: list[str], told: str
) -> None:
    before = snapshot(DATASET)
    ran = babycli("data", "link", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert snapshot(DATASET) == before


def test_any_source_may_be_given_by_its_name(babycli: Babycli, sea: Sea) -> None:
    named = {
        "saycam": sea.demo.saycam,
        "labeled_s": sea.demo.labeled_s,
        "synthetic": sea.demo.synthetic,
        "sea": sea.folder,
    }
    words = [word for name, folder in named.items() for word in ("--source", f"{name}={folder}")]
    assert babycli("data", "link", *words, "--from", sea.demo.labels).code == 0
    assert links_in(DATASET) == {link: str(sea.demo.folder / folder) for link, folder in LINKS.items()}


def test_a_source_inside_of_another_is_found_there(babycli: Babycli, sea: Sea) -> None:
    sources.register(Source("sea", "pictures of the sea", inside="saycam"))
    sea.folder.rename(sea.demo.saycam / "sea")
    assert babycli(*sea.demo.link_words).code == 0
    assert os.readlink(DATASET / LINK) == str(sea.demo.saycam / "sea")


def test_a_source_that_nobody_has_described_is_called_by_its_name(babycli: Babycli, unknown: Sea) -> None:
    tasks.register(SeenBefore())
    write_labels(rows_of(N_ITEMS))
    assert "give --source sea=DIR" in babycli(*unknown.demo.link_words).out
    assert "12 of 12 sea images" in babycli("data", "link", "--source", f"sea={unknown.folder}").out


def test_a_built_in_source_cannot_be_described_anew(unknown: Sea) -> None:
    with pytest.raises(Exception, match="there is a source 'saycam' already"):
        sources.register(Source("saycam", "other frames"))


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
def test_images_are_put_into_the_dataset_and_unused_ones_are_named(babycli: Babycli, sea: Sea, mode: str) -> None:
    words = ("data", "link", "--source", f"sea={sea.folder}", "--tasks", "seen_before", "--mode", mode, sea.demo.saycam)
    ran = babycli(*words)
    assert (ran.code, "no link leads to" in ran.err) == (0, False)
    (folder,) = (DATASET / "images").glob("sea-*")
    assert (DATASET / LINK).resolve() == folder.resolve()
    write_labels(rows_of(3))
    ran = babycli(*words)
    assert ran.code == 0
    assert f"no link leads to {folder} any more" in ran.err
    ran = babycli("data", "link", "--labeled-s", sea.demo.labeled_s, "--from", sea.demo.labels)
    assert ran.err.count("no link leads to") == 2  # the frames of six items are not needed any more, either
    assert f"no link leads to {(DATASET / LINK).resolve()}" not in ran.err


# --- label files of one's own ---------------------------------------------------------------------------------------


def test_without_its_label_file_the_task_is_left_out_and_said(babycli: Babycli, sea: Sea) -> None:
    (DATASET / LABELS).unlink()
    ran = babycli(*sea.demo.link_words)
    assert ran.code == 0
    assert f"seen_before is left out: there is no {DATASET / LABELS}" in ran.err
    assert "seen_before" not in ran.out
    for words in (("verify",), ("subset", "dest")):
        ran = babycli("data", *words)
        assert (ran.code, "seen_before is left out" in ran.err) == (0, True)
    assert "seen_before      not ready" in babycli("data", "status").out
    ran = babycli("data", "verify", "--tasks", "seen_before")
    assert (ran.code, "LabelsMissing" in ran.out) == (3, True)
    assert f"write {DATASET / LABELS}, the label file of" in ran.err
    ran = babycli(*sea.demo.link_words, "--tasks", "seen_before")
    assert (ran.code, "LabelsMissing" in ran.err) == (3, True)


@pytest.mark.parametrize("place", [LABELS, Path(LABELS).name])
def test_its_label_file_is_taken_from_a_folder_that_has_it(babycli: Babycli, sea: Sea, place: str) -> None:
    content = (DATASET / LABELS).read_bytes()
    shutil.rmtree(DATASET)
    assert "not there      dataset/kits" in babycli("data", "labels", "--from", sea.demo.labels).out
    (sea.demo.labels / place).parent.mkdir(parents=True, exist_ok=True)
    (sea.demo.labels / place).write_bytes(content)
    assert "copied         dataset/kits" in babycli("data", "labels", "--from", sea.demo.labels).out
    assert (DATASET / LABELS).read_bytes() == content
    ran = babycli("data", "labels", "--from", sea.demo.labels)
    assert ran.out.count("already there") == 5


def test_a_label_file_that_is_not_sound_is_not_taken(babycli: Babycli, sea: Sea) -> None:
    (DATASET / LABELS).rename(sea.demo.labels / "seen_before.json")
    (sea.demo.labels / "seen_before.json").write_text('[{"id": "s1", "pictures": [], "frame": "a.png"}]')
    before = snapshot(DATASET)
    ran = babycli("data", "labels", "--from", sea.demo.labels)
    assert ran.code == 3
    assert "item s1 shows 0 pictures, should show 2" in ran.err
    assert snapshot(DATASET) == before


def test_own_labels_go_with_the_demo_s_and_with_published_ones(
    babycli: Babycli, linked: Sea, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = json.loads(babycli("data", "verify", "--json").out)["tasks"]
    assert {name: task["data"] for name, task in told.items()} == dict.fromkeys(LABEL_FILES, "demo") | {
        "seen_before": "own"
    }
    shutil.rmtree(DATASET / "vtwt")
    ran = babycli("data", "labels", "--from", linked.demo.labels)
    assert (ran.code, "mix" in ran.err) == (0, False)


GOOD = '{"id": "s0", "pictures": ["north/sea_00.png", "south/sea_00.png"], "frame": "demo_frame_000.png"}'


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("", "it begins with '', should be a list of objects: [{...}, ...]"),
        (GOOD, 'it begins with \'{"id": "s0", "pictur\', should be a list of objects: [{...}, ...]'),
        ("[]", "it has no rows"),
        (f"[{GOOD}, 3]", "item 2 is 3, should be an object"),
        (f"[{GOOD}, [1]]", "item 2 is [1], should be an object"),
        (f'[{GOOD}, {{"id": "s1", "frame": "a.png"}}]', "item 2 lacks pictures; its keys are id, frame"),
        (f"[{GOOD}, {{}}]", "item 2 lacks id, pictures, frame; its keys are none"),
        (f'[{GOOD}, {{"id": "s1", "pictures": null, "frame": " "}}]', "item 2 has nothing in pictures, frame"),
        (f'[{GOOD}, {{"id": NaN}}]', "item 2: NaN is no number that JSON knows"),
        (f'[{GOOD}, {{"id": -Infinity}}]', "item 2: -Infinity is no number that JSON knows"),
        (f'[{GOOD}, {{"id": 1e999}}]', "item 2: 1e999 is too large a number"),
        (f'[{GOOD}, {{"id": {2**64}}}]', f"item 2: {2**64} is too large a number"),
        ("[" + GOOD + ', {"id": -' + "9" * 5000 + "}]", f"item 2: -{'9' * 39} is too large a number"),
        (f'[{GOOD}, {{"id": "a", "id": "b"}}]', "item 2: the key 'id' stands twice in one object"),
        (f'[{GOOD}, {{"more": {{"x": 1, "x": 1}}}}]', "item 2: the key 'x' stands twice in one object"),
        (f"[{GOOD.replace('s0', chr(92) + 'ud800')}]", "item 1 has half of a character, as \\ud800 is"),
        (f"[{GOOD},]", "item 2: Expecting value in line 1"),
        (f"[{GOOD}\n{GOOD}]", "after item 1, in line 2: no comma and no end of the list"),
        (f"[{GOOD}", "after item 1, in line 1: no comma and no end of the list"),
        (f"[{GOOD}, {GOOD[:30]}", "item 2: Unterminated string"),
        (f"[{GOOD}] [", "after the list there is '['"),
        ("[" * 100_000, "item 1: has objects in objects, too many levels deep"),
    ],
)
def test_a_malformed_json_label_file_names_the_item(babycli: Babycli, sea: Sea, content: str, detail: str) -> None:
    (DATASET / LABELS).write_text(content)
    ran = babycli("data", "verify", "--json", "--tasks", "seen_before", "--depth", "names")
    document = json.loads(ran.out)
    details = [p["detail"] for p in document["problems"] if p["kind"] == "LabelsMalformed"]
    assert (ran.code, len(details)) == (3, 1)
    assert details[0].startswith(detail)
    assert {p["subject"] for p in document["problems"] if p["kind"] == "LabelsMalformed"} == {str(DATASET / LABELS)}
    assert document["tasks"]["seen_before"]["images_checked"] is False


def test_every_item_that_is_wrong_is_named(babycli: Babycli, sea: Sea) -> None:
    rows: list[object] = [*rows_of(3), "x", {"id": 4}]
    path = DATASET / LABELS
    path.write_text(json.dumps(rows).replace("north/sea_01", "../north/sea_01").replace("frame_002", "frame\\\\2"))
    _, problems = problems_in(babycli, "--tasks", "seen_before", "--depth", "names")
    assert [(kind, detail) for _, kind, detail in problems if kind != "LinkMissing"] == [
        ("LabelsMalformed", 'item 4 is "x", should be an object'),
        ("LabelsMalformed", "item 5 lacks pictures, frame; its keys are id"),
        ("UnsafeName", f"in item 2 of {path}"),
        ("UnsafeName", f"in item 3 of {path}"),
    ]


@pytest.mark.parametrize("name", ["5", "null", '["a.png"]'])
def test_a_picture_s_name_that_is_no_text_is_unsafe(babycli: Babycli, sea: Sea, name: str) -> None:
    text = json.dumps(rows_of(2)).replace('"north/sea_01.png"', name)
    (DATASET / LABELS).write_text(text)
    _, problems = problems_in(babycli, "--tasks", "seen_before", "--depth", "names")
    assert ("seen_before", "UnsafeName", f"in item 2 of {DATASET / LABELS}") in problems


def test_what_a_task_says_of_its_items_is_a_problem(babycli: Babycli, sea: Sea) -> None:
    write_labels([*rows_of(1), {"id": "s1", "pictures": ["a.png"], "frame": "b.png"}])
    _, problems = problems_in(babycli, "--tasks", "seen_before", "--depth", "names")
    assert ("seen_before", "TrialMalformed", "item s1 shows 1 pictures, should show 2") in problems


class OfCsv(SeenBefore):
    name = "of_csv"
    label_path = "of_csv/labels.csv"
    label_format: LabelFormat = "csv"
    columns = ("id", "one", "two")
    links = {"sea": LINK}  # noqa: RUF012

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return [
            Item(row["id"], (i,), (row,), (ImageRef("sea", row["one"]), ImageRef("sea", row["two"])))
            for i, row in enumerate(rows)
        ]

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        return []


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"id,one,two\r\ns0,north/sea_00.png,south/sea_00.png\r\n", None),
        (b'\xef\xbb\xbfid,one,two,more\ns0,north/sea_00.png,south/sea_00.png,"a, b"\n', None),
        (b"id,one,two\n", "it has no rows"),
        (b"id,one\ns0,a.png\n", "the column two is missing; the header is 'id,one'"),
        (b"id,one,two,one\ns0,a.png,b.png,c.png\n", "the header 'id,one,two,one' has one twice"),
        (b"id,one,two,more,more\ns0,a.png,b.png,c,d\n", "the header 'id,one,two,more,more' has more twice"),
        (b"id,one,two,,\ns0,a.png,b.png,,\n", "the header 'id,one,two,,' has a column without a name twice"),
        (b"", "the columns id, one, two are missing; the header is ''"),
    ],
)
def test_a_csv_label_file_of_one_s_own_may_be_any_that_is_sound(
    babycli: Babycli, sea: Sea, content: bytes, detail: str | None
) -> None:
    tasks.register(OfCsv())
    path = DATASET / OfCsv.label_path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    _, problems = problems_in(babycli, "--tasks", "of_csv", "--depth", "names")
    expected = [] if detail is None else [("of_csv", "LabelsMalformed", detail)]
    assert [problem for problem in problems if problem[1] != "LinkMissing"] == expected


def test_a_picture_of_a_source_without_a_link_is_an_error_of_the_task(babycli: Babycli, sea: Sea) -> None:
    class Adrift(OfCsv):
        name = "adrift"
        links = {"saycam": "adrift/images"}  # noqa: RUF012

    tasks.register(Adrift())
    path = DATASET / OfCsv.label_path
    path.parent.mkdir(parents=True)
    path.write_text("id,one,two\ns0,a.png,b.png\n")
    ran = babycli("data", "verify", "--tasks", "adrift")
    assert (ran.code, ran.out) == (2, "")
    assert "adrift shows pictures of 'sea', and its links have no place for them" in ran.err


def test_a_published_label_file_that_comes_with_its_pictures_is_not_fetched(
    babycli: Babycli, sea: Sea, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (DATASET / LABELS).read_bytes()
    known = Published(
        "seen_before", "sea", hashlib.sha256(content).hexdigest(), N_ITEMS, {"sea": 12, "saycam": 6}, None
    )
    everything = {**manifest.manifests(), "seen_before": known}
    monkeypatch.setattr(manifest, "manifests", lambda: everything)
    ran = babycli(*sea.link_words, "--tasks", "seen_before")
    assert ran.code == 0, ran.err
    assert json.loads(babycli("data", "status", "--json").out)["seen_before"]["data"] == "sea"
    write_labels(rows_of(N_ITEMS - 1))
    _, problems = problems_in(babycli, "--tasks", "seen_before")
    assert [kind for _, kind, _ in problems] == ["LabelsChecksumMismatch", "LabelsMalformed"]
    (sea.demo.labels / "seen_before.json").write_bytes((DATASET / LABELS).read_bytes())
    ran = babycli("data", "labels", "--from", sea.demo.labels)
    assert (ran.code, "LabelsChecksumMismatch" in ran.err) == (3, True)
    (sea.demo.labels / "seen_before.json").write_bytes(content)
    ran = babycli("data", "labels", "--from", sea.demo.labels)
    assert (ran.code, "would mix label files of the demo with those of sea" in ran.err) == (3, True)


# --- several tasks, some of them now --------------------------------------------------------------------------------


def test_linking_one_task_keeps_what_is_known_of_the_others(babycli: Babycli, linked: Sea) -> None:
    before = lock()
    ran = babycli("data", "link", linked.demo.saycam, "--source", f"sea={linked.folder}", "--tasks", "seen_before")
    assert ran.code == 0
    assert ran.out.count("unchanged") == 2
    assert lock() == before
    assert problems_in(babycli) == (0, [])


def test_a_task_in_a_file_is_linked_and_its_lock_outlives_other_commands(
    babycli: Babycli, unknown: Sea, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.py").write_text("from tests.data.sea_task import SeenBefore\nTASK = SeenBefore()\n")
    monkeypatch.syspath_prepend(str(REPOSITORY))
    write_labels(rows_of(N_ITEMS))
    given = ("--source", f"sea={unknown.folder}", unknown.demo.saycam)
    ran = babycli("data", "link", *given, "--tasks", "mine.py:TASK")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "seen_before      ready")
    (DATASET / LINK).unlink()
    for words, folder in ((("verify",), ""), (("link", unknown.demo.saycam), f"{unknown.demo.saycam} ")):
        ran = babycli("data", *words, "--tasks", "mine.py:TASK")
        assert f"babycli data link {folder}--source sea=DIR --tasks mine.py:TASK" in ran.err
    assert babycli("data", "link", *given, "--tasks", "mine.py:TASK").code == 0
    monkeypatch.setattr(tasks, "_registered", {})
    assert babycli(*unknown.demo.link_words).code == 0
    assert lock()[LINK]["images"] == 2 * N_ITEMS
    assert lock()[SHARED_LINK]["images"] == 100
    assert problems_in(babycli, "--tasks", "mine.py", "--depth", "checksum") == (0, [])


def test_a_link_that_one_of_its_tasks_is_content_with_is_set(babycli: Babycli, sea: Sea) -> None:
    write_labels([*rows_of(2), {"id": "x", "pictures": ["north/sea_02.png", "south/sea_02.png"], "frame": "none.png"}])
    ran = babycli(*sea.link_words)
    assert ran.code == 3
    assert f"2 of 3 SAYCam frames in {sea.demo.saycam}" in ran.out
    assert "missing: none.png" in ran.out
    assert links_in(DATASET)[SHARED_LINK] == str(sea.demo.saycam)
    assert not (DATASET / LINK).is_symlink()  # withheld: its task is not complete
    assert "not linked because its task is not complete" in ran.out
    assert problems_in(babycli, "--tasks", ",".join(LABEL_FILES)) == (0, [])


def test_checksums_that_nobody_knows_are_not_compared_with(babycli: Babycli, sea: Sea) -> None:
    write_labels(rows_of(N_ITEMS))
    (DATASET / LINK).symlink_to(sea.folder)
    tasks.register(OfCsv())
    path = DATASET / OfCsv.label_path
    path.parent.mkdir(parents=True)
    path.write_text("id,one,two\ns0,north/sea_00.png,south/sea_00.png\n")
    ran = babycli("data", "verify", "--tasks", "of_csv", "--depth", "checksum")
    assert ran.code == 3
    assert "checksums of pictures of the sea are not known" in ran.err
    assert "babycli data link --source sea=DIR" in ran.err
