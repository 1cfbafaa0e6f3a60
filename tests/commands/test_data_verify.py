"""`babycli data verify`: every fault that a dataset can have is found, named, and has its exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Babycli
from tests.data.demo_copy import (
    DATASET,
    LABEL_FILES,
    LINKS,
    VTWT_FRAME,
    DemoCopy,
    copy_demo,
    make_dataset,
    replace,
    skip_unless_permissions_count,
    snapshot,
)

COLUMNS = {
    "labeled_s": ["trial_id", "target_category", "real_category", "image"],
    "vtwt": ["image", "positive_phrase", "negative_phrase"],
    "baby_winoground": ["instance_id", "positive_phrase", "negative_phrase", "image", "image_tag"],
    "saycam_caption": ["image", "text"],
}
TASKS = sorted(LABEL_FILES)
BOM = b"\xef\xbb\xbf"
NAMES = ("--depth", "names")  # the quick look, where labels are what matters


pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture
def demo(empty_folder: None, downloads: Path, tmp_path: Path) -> DemoCopy:
    """A copy of the demo data that is linked and sound, to plant faults in."""
    copied = copy_demo(downloads, tmp_path / "downloads")
    make_dataset(copied)
    return copied


def label_file(task: str) -> Path:
    return DATASET / LABEL_FILES[task]


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def write_rows(path: Path, rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def problems_in(babycli: Babycli, *words: object) -> tuple[int, list[dict[str, str]]]:
    """Exit code and problems as a program reads them."""
    ran = babycli("data", "verify", "--json", *words)
    document: dict[str, Any] = json.loads(ran.out)
    assert document["ok"] == (ran.code == 0) == (document["problems"] == [])
    return ran.code, document["problems"]


def kinds_in(babycli: Babycli, *words: object) -> tuple[int, set[tuple[str, str]]]:
    """Exit code and the (task, kind) of every problem."""
    code, problems = problems_in(babycli, *words)
    return code, {(problem["task"], problem["kind"]) for problem in problems}


# --- sound data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [None, "names", "header", "checksum", "decode"])
def test_sound_data_pass_at_every_depth(babycli: Babycli, demo: DemoCopy, depth: str | None) -> None:
    ran = babycli("data", "verify", *(("--depth", depth) if depth else ()))
    assert (ran.code, ran.err) == (0, "")
    assert [line.split(maxsplit=1) for line in ran.out.splitlines()] == [
        ["labeled_s", "480 rows (demo); 126 of 126 Labeled-S images sound"],
        ["vtwt", "100 rows (demo); 100 of 100 SAYCam frames sound"],
        ["baby_winoground", "80 rows (demo); 40 of 40 SAYCam frames sound, 40 of 40 synthetic images sound"],
        ["saycam_caption", "48 rows (demo); 48 of 48 SAYCam frames sound"],
    ]


def test_verify_writes_nothing(babycli: Babycli, demo: DemoCopy) -> None:
    before = snapshot(DATASET), snapshot(demo.folder)
    babycli("data", "verify", "--depth", "decode")
    assert (snapshot(DATASET), snapshot(demo.folder)) == before


def test_json_says_for_every_task_what_was_checked(babycli: Babycli, demo: DemoCopy) -> None:
    document = json.loads(babycli("data", "verify", "--json").out)
    assert document["ok"] is True
    assert {task: (t["data"], t["rows"]) for task, t in document["tasks"].items()} == {
        "labeled_s": ("demo", 480),
        "vtwt": ("demo", 100),
        "baby_winoground": ("demo", 80),
        "saycam_caption": ("demo", 48),
    }
    assert {path: link for task in document["tasks"].values() for path, link in task["links"].items()} == {
        "labeled_s/images": {"target": str(demo.labeled_s), "images": 126, "sound": 126},
        "vtwt/images": {"target": str(demo.saycam), "images": 100, "sound": 100},
        "baby_winoground/positive_images": {"target": str(demo.saycam), "images": 40, "sound": 40},
        "baby_winoground/negative_images": {"target": str(demo.synthetic), "images": 40, "sound": 40},
        "SAYCam_caption/images": {"target": str(demo.saycam), "images": 48, "sound": 48},
    }


def test_an_unknown_depth_is_a_usage_error(babycli: Babycli) -> None:
    ran = babycli("data", "verify", "--depth", "heder")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean 'header'?" in ran.err


# --- nothing there -------------------------------------------------------------------------------------------------


def test_an_empty_folder_lacks_every_label_file(babycli: Babycli) -> None:
    code, kinds = kinds_in(babycli)
    assert code == 3
    assert {task for task, kind in kinds if kind == "LabelsMissing"} == set(TASKS)
    assert {kind for _, kind in kinds} <= {"LabelsMissing", "LinkMissing"}
    assert "babycli data link SAYCAM-FOLDER" in babycli("data", "verify").err


def test_labels_without_links_lack_every_link(babycli: Babycli, downloads: Path) -> None:
    babycli("data", "labels", "--from", downloads / "labels")
    code, problems = problems_in(babycli)
    assert code == 3
    assert {(p["kind"], p["subject"]) for p in problems} == {("LinkMissing", str(DATASET / link)) for link in LINKS}
    assert "babycli data link" in babycli("data", "verify").err


@pytest.mark.parametrize("target", ["nowhere", "images", "a_file"])
def test_a_link_that_leads_to_no_folder_is_broken(babycli: Babycli, demo: DemoCopy, target: str) -> None:
    place = DATASET / "vtwt/images"
    (place.parent / "a_file").touch()
    place.unlink()
    place.symlink_to(target)
    code, problems = problems_in(babycli)
    assert code == 3
    assert [(p["task"], p["kind"], p["subject"]) for p in problems] == [("vtwt", "LinkBroken", str(place))]


# --- label files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_changed_byte_in_a_label_file_is_a_checksum_mismatch(babycli: Babycli, demo: DemoCopy, task: str) -> None:
    path = label_file(task)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"_0", b"_1", 1))  # names another image, and breaks no trial
    assert kinds_in(babycli, *NAMES) == (4, {(task, "LabelsChecksumMismatch")})
    ran = babycli("data", "verify", *NAMES)
    assert (ran.code, str(path) in ran.out) == (4, True)
    assert "images not checked" in ran.out
    assert "babycli data labels" in ran.err


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        pytest.param(lambda raw: raw.replace(b"\n", b"\r\n"), ["CRLF"], id="CRLF"),
        pytest.param(lambda raw: BOM + raw, ["byte-order mark"], id="BOM"),
        pytest.param(lambda raw: BOM + raw.replace(b"\n", b"\r\n"), ["byte-order mark", "CRLF"], id="both"),
    ],
)
@pytest.mark.parametrize("task", TASKS)
def test_what_an_editor_does_to_a_label_file_is_named(
    babycli: Babycli, demo: DemoCopy, task: str, spoil: Callable[[bytes], bytes], cause: list[str]
) -> None:
    path = label_file(task)
    path.write_bytes(spoil(path.read_bytes()))
    code, problems = problems_in(babycli, *NAMES)
    assert code == 4
    assert [(p["task"], p["kind"], p["subject"]) for p in problems] == [(task, "LabelsChecksumMismatch", str(path))]
    assert all(word in problems[0]["detail"] for word in cause)
    assert ("byte-order mark" in problems[0]["detail"]) == ("byte-order mark" in cause)
    assert ("CRLF" in problems[0]["detail"]) == ("CRLF" in cause)


@pytest.mark.parametrize(
    ("task", "column"), [(task, column) for task, of_task in COLUMNS.items() for column in of_task]
)
def test_a_missing_column_is_named(babycli: Babycli, demo: DemoCopy, task: str, column: str) -> None:
    path = label_file(task)
    at = COLUMNS[task].index(column)
    write_rows(path, [row[:at] + row[at + 1 :] for row in rows_of(path)])
    code, problems = problems_in(babycli, *NAMES)
    assert code == 3
    assert {p["task"] for p in problems} == {task}
    (malformed,) = [p for p in problems if p["kind"] == "LabelsMalformed"]
    assert f"column {column} is missing" in malformed["detail"]


@pytest.mark.parametrize(
    ("task", "rows_kept", "detail"),
    [
        ("labeled_s", 2, "trial 119 has 2 rows, should have 4"),
        ("labeled_s", 3, "trial 119 has 3 rows, should have 4"),
        ("baby_winoground", 1, "instance 39 has image_tag positive, should have one positive and one negative"),
    ],
)
def test_a_trial_that_is_not_whole_is_named(
    babycli: Babycli, demo: DemoCopy, task: str, rows_kept: int, detail: str
) -> None:
    path = label_file(task)
    rows = rows_of(path)
    whole = {"labeled_s": 4, "baby_winoground": 2}[task]
    write_rows(path, rows[: len(rows) - whole + rows_kept])
    code, problems = problems_in(babycli, *NAMES)
    assert code == 3
    assert detail in [p["detail"] for p in problems if (p["task"], p["kind"]) == (task, "TrialMalformed")]
    assert "images not checked" in babycli("data", "verify", *NAMES).out


@pytest.mark.parametrize("task", TASKS)
def test_a_lost_row_is_noticed(babycli: Babycli, demo: DemoCopy, task: str) -> None:
    path = label_file(task)
    rows = rows_of(path)
    write_rows(path, rows[:-1])
    code, problems = problems_in(babycli, *NAMES)
    assert code == 3
    assert any(f"{len(rows) - 2} rows" in p["detail"] for p in problems if p["kind"] == "LabelsMalformed")


@pytest.mark.parametrize(
    ("task", "line", "column", "value", "detail"),
    [
        ("labeled_s", 2, "real_category", "{target}", "2 rows whose real_category is the target"),
        ("labeled_s", 1, "real_category", "nothing", "0 rows whose real_category is the target"),
        ("labeled_s", 2, "target_category", "nothing", "more than one target_category"),
        ("labeled_s", 2, "image", "{image}", "shows an image twice"),
        ("baby_winoground", 2, "image_tag", "positive", "image_tag positive, positive"),
        ("baby_winoground", 2, "image_tag", "Negative", "image_tag Negative, positive"),
        ("baby_winoground", 2, "positive_phrase", "nothing", "other phrases in its second row"),
        ("vtwt", 1, "negative_phrase", "{positive}", "the same phrase twice"),
    ],
)
def test_a_trial_that_contradicts_itself_is_named(
    babycli: Babycli, demo: DemoCopy, task: str, line: int, column: str, value: str, detail: str
) -> None:
    path = label_file(task)
    rows = rows_of(path)
    first = dict(zip(rows[0], rows[1], strict=True))
    fill = {
        "target": first.get("target_category"),
        "image": first["image"],
        "positive": first.get("positive_phrase"),
    }
    rows[line][rows[0].index(column)] = value.format(**fill)
    write_rows(path, rows)
    code, problems = problems_in(babycli, *NAMES)
    assert code == 3
    (malformed,) = [p for p in problems if p["kind"] == "TrialMalformed"]
    assert (malformed["task"], malformed["subject"]) == (task, str(path))
    assert detail in malformed["detail"]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        pytest.param(
            b"image,positive_phrase,negative_phrase\na.png,b\n", "line 2 has 2 fields, should have 3", id="short"
        ),
        pytest.param(b"image,positive_phrase,negative_phrase\na,b,c,d\n", "line 2 has 4 fields", id="long"),
        pytest.param(
            b"image,positive_phrase,negative_phrase\na.png,,c\n", "nothing in positive_phrase", id="empty cell"
        ),
        pytest.param(b"image,positive_phrase,negative_phrase\n  ,b,c\n", "nothing in image", id="blank cell"),
        pytest.param(b"image,positive_phrase,negative_phrase\n\na.png,b,c\n", "line 2 has 0 fields", id="blank line"),
        pytest.param(b'image,positive_phrase,negative_phrase\na.png,"b,c\n', "line", id="open quote"),
        pytest.param(
            b"image,positive_phrase,negative_phrase\na.png,caf\xe9 b,c\n", "not UTF-8 at byte 47", id="latin-1"
        ),
        pytest.param("image,positive_phrase\n".encode("utf-16"), "not UTF-8 at byte 0", id="UTF-16"),
        pytest.param(b"image,positive_phrase,negative_phrase\n", "0 rows", id="header only"),
        pytest.param(b"", "columns image, positive_phrase, negative_phrase are missing", id="zero bytes"),
        pytest.param(b"PK\x03\x04\x00\x00", "columns image", id="a zip"),
        pytest.param(b"image;positive_phrase;negative_phrase\na.png;b;c\n", "columns image", id="semicolons"),
    ],
)
def test_a_malformed_label_file_is_explained(babycli: Babycli, demo: DemoCopy, content: bytes, detail: str) -> None:
    path = label_file("vtwt")
    path.write_bytes(content)
    code, problems = problems_in(babycli, *NAMES)
    assert code == 3
    assert {(p["task"], p["subject"]) for p in problems} == {("vtwt", str(path))}
    assert any(detail in p["detail"] for p in problems if p["kind"] == "LabelsMalformed")


def test_every_malformed_line_is_named(babycli: Babycli, demo: DemoCopy) -> None:
    rows = rows_of(label_file("vtwt"))
    for line in (5, 50, 100):
        rows[line - 1].pop()
    write_rows(label_file("vtwt"), rows)
    _, problems = problems_in(babycli, *NAMES)
    details = [p["detail"] for p in problems if p["kind"] == "LabelsMalformed"]
    assert sorted(details) == [f"line {line} has 2 fields, should have 3" for line in (100, 5, 50)]


@pytest.mark.parametrize(
    "name",
    [
        "ball/../../outside.png",
        "/etc/hostname",
        "C:\\outside.png",
        "a\0.png",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("../outside.png", "..", "..\\outside.png")),
    ],
)
def test_an_image_name_that_could_lead_out_of_the_folder_is_refused_and_never_opened(
    babycli: Babycli, demo: DemoCopy, name: str
) -> None:
    shutil.copy(demo.frame, demo.folder / "outside.png")
    rows = rows_of(label_file("vtwt"))
    rows[3][0] = name
    write_rows(label_file("vtwt"), rows)
    code, problems = problems_in(babycli, *NAMES)
    assert code == 3
    (unsafe,) = [p for p in problems if p["kind"] == "UnsafeName"]
    assert (unsafe["task"], unsafe["subject"]) == ("vtwt", name)
    assert "line 4" in unsafe["detail"]
    assert json.loads(babycli("data", "verify", "--json").out)["tasks"]["vtwt"]["images_checked"] is False


def test_lines_are_counted_past_malformed_ones_and_quoted_line_ends(babycli: Babycli, demo: DemoCopy) -> None:
    label_file("vtwt").write_bytes(
        b"image,positive_phrase,negative_phrase\n"
        b"a.png,b\n"  # line 2 lacks a field
        b'a.png,"b\nb\nb",c\n'  # lines 3 to 5
        b'a.png,,"c\nc"\n'  # lines 6 and 7 lack a phrase
        b"\n"
        b'../a.png,"b\nb",c\n'  # lines 9 and 10
        b"../b.png,b,c\n"
    )
    _, problems = problems_in(babycli, *NAMES)
    unsafe = {p["subject"]: p["detail"] for p in problems if p["kind"] == "UnsafeName"}
    path = label_file("vtwt")
    assert unsafe == {"../a.png": f"in line 9 of {path}", "../b.png": f"in line 11 of {path}"}
    malformed = [p["detail"] for p in problems if p["kind"] == "LabelsMalformed"]
    assert sorted(malformed) == [
        "line 2 has 2 fields, should have 3",
        "line 6 has nothing in positive_phrase",
        "line 8 has 0 fields, should have 3",
    ]


def test_a_folder_in_the_place_of_a_label_file_is_unreadable(babycli: Babycli, demo: DemoCopy) -> None:
    label_file("vtwt").unlink()
    label_file("vtwt").mkdir()
    code, problems = problems_in(babycli, *NAMES)
    assert code == 3
    assert [(p["task"], p["kind"], p["subject"]) for p in problems] == [("vtwt", "Unreadable", str(label_file("vtwt")))]
    assert "babycli data labels" in babycli("data", "verify", *NAMES).err


# --- images --------------------------------------------------------------------------------------------------------


def encoded(picture: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form)
    return stream.getvalue()


def plant_missing(image: Path) -> None:
    image.unlink()


def plant_dangling_link(image: Path) -> None:
    image.unlink()
    image.symlink_to("gone.png")


def plant_link_to_itself(image: Path) -> None:
    image.unlink()
    image.symlink_to(image.name)


def plant_zero_bytes(image: Path) -> None:
    replace(image, b"")


def plant_folder(image: Path) -> None:
    image.unlink()
    image.mkdir()


def plant_pipe(image: Path) -> None:
    image.unlink()
    os.mkfifo(image)


def plant_text(image: Path) -> None:
    replace(image, b"<!DOCTYPE html><title>404 Not Found</title>")


def plant_truncated_png(image: Path) -> None:
    content = image.read_bytes()
    replace(image, content[: len(content) // 2])


def plant_truncated_jpeg(image: Path) -> None:
    content = encoded(Image.effect_noise((64, 64), 80).convert("RGB"), "JPEG")
    replace(image, content[: len(content) // 2])


def plant_jpeg_of_zeros_at_the_end(image: Path) -> None:
    plant_truncated_jpeg(image)
    replace(image, image.read_bytes() + bytes(2000))


def plant_another_picture(image: Path) -> None:
    replace(image, encoded(Image.new("RGB", (64, 64), "red"), "PNG"))


def plant_damage_in_the_middle(image: Path) -> None:
    content = bytearray(image.read_bytes())
    middle = content.index(b"IDAT") + 40
    content[middle : middle + 8] = b"\xff" * 8
    replace(image, bytes(content))


def plant_unknown_texture(image: Path) -> None:
    """A DDS file of a kind that Pillow knows but has not implemented."""
    replace(image, b"DDS |\0\0\0" + bytes(120))


Fault = Callable[[Path], None]
DEPTHS = ["names", "header", "checksum", "decode"]
NO_FILE: dict[Fault, str] = {
    plant_missing: "Missing",
    plant_dangling_link: "Missing",
    plant_link_to_itself: "Unreadable",
    plant_zero_bytes: "Empty",
    plant_folder: "NotAFile",
    plant_pipe: "NotAFile",
}
NO_IMAGE: dict[Fault, str] = {
    plant_text: "NotAnImage",
    plant_truncated_png: "Truncated",
    plant_truncated_jpeg: "Truncated",
    plant_jpeg_of_zeros_at_the_end: "Truncated",
}
SOME_FAULTS = (plant_missing, plant_link_to_itself, plant_zero_bytes, plant_pipe, plant_text, plant_truncated_png)
ANOTHER_IMAGE: dict[Fault, str] = {
    plant_another_picture: "ChecksumMismatch",
    plant_damage_in_the_middle: "ChecksumMismatch",
}


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        pytest.param(plant, kind, marks=[] if plant in SOME_FAULTS else pytest.mark.long)
        for plant, kind in (NO_FILE | NO_IMAGE).items()
    ],
)
def test_a_broken_image_is_named_and_is_exit_3(babycli: Babycli, demo: DemoCopy, plant: Fault, kind: str) -> None:
    plant(demo.frame)
    code, problems = problems_in(babycli)
    assert code == 3
    subject = str(DATASET / "vtwt/images" / VTWT_FRAME)
    assert [(p["task"], p["kind"], p["subject"]) for p in problems] == [("vtwt", kind, subject)]


@pytest.mark.parametrize(("plant", "kind"), ANOTHER_IMAGE.items())
def test_an_image_that_is_not_the_same_is_named_and_is_exit_4(
    babycli: Babycli, demo: DemoCopy, plant: Fault, kind: str
) -> None:
    plant(demo.frame)
    code, problems = problems_in(babycli, "--depth", "checksum")
    assert code == 4
    subject = str(DATASET / "vtwt/images" / VTWT_FRAME)
    assert [(p["task"], p["kind"], p["subject"]) for p in problems] == [("vtwt", kind, subject)]


@pytest.mark.parametrize(
    ("depth", "seen"),
    [
        ("names", NO_FILE),
        ("header", NO_FILE | NO_IMAGE),
        ("checksum", NO_FILE | NO_IMAGE | ANOTHER_IMAGE),
        ("decode", NO_FILE | NO_IMAGE),
    ],
)
def test_what_a_depth_sees(babycli: Babycli, demo: DemoCopy, depth: str, seen: dict[Fault, str]) -> None:
    expected = {}
    for number, plant in enumerate(NO_FILE | NO_IMAGE | (ANOTHER_IMAGE if depth in ("names", "checksum") else {}), 40):
        name = f"demo_frame_{number:03}.png"  # 40 to 51 are VTWT's alone
        plant(demo.saycam / name)
        if plant in seen:
            expected[str(DATASET / "vtwt/images" / name)] = seen[plant]
    code, problems = problems_in(babycli, "--depth", depth)
    assert code == 3
    assert {p["subject"]: p["kind"] for p in problems} == expected


def test_names_does_not_look_into_files(babycli: Babycli, demo: DemoCopy) -> None:
    plant_text(demo.frame)
    assert problems_in(babycli, "--depth", "names") == (0, [])


def test_the_depth_is_header_unless_said_otherwise(babycli: Babycli, demo: DemoCopy) -> None:
    plant_truncated_png(demo.frame)
    assert babycli("data", "verify") == babycli("data", "verify", "--depth", "header")
    assert babycli("data", "verify").code == 3


def test_decode_sees_damage_in_the_middle(babycli: Babycli, demo: DemoCopy) -> None:
    plant_damage_in_the_middle(demo.frame)
    code, kinds = kinds_in(babycli, "--depth", "decode")
    assert code == 3
    assert kinds <= {("vtwt", "Undecodable"), ("vtwt", "Truncated")}


@pytest.mark.parametrize("depth", ["header", "decode"])
def test_an_image_of_a_kind_that_pillow_lacks_is_a_problem(babycli: Babycli, demo: DemoCopy, depth: str) -> None:
    plant_unknown_texture(demo.frame)
    code, kinds = kinds_in(babycli, "--depth", depth)
    assert code == 3
    assert kinds <= {("vtwt", "Undecodable"), ("vtwt", "NotAnImage")}


def test_an_image_that_may_not_be_read_is_unreadable(babycli: Babycli, demo: DemoCopy, tmp_path: Path) -> None:
    skip_unless_permissions_count(tmp_path)
    replace(demo.frame, demo.frame.read_bytes())
    demo.frame.chmod(0)
    assert kinds_in(babycli) == (3, {("vtwt", "Unreadable")})


def test_a_folder_of_images_that_may_not_be_entered_is_reported(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path
) -> None:
    skip_unless_permissions_count(tmp_path)
    demo.synthetic.chmod(0)
    try:
        code, kinds = kinds_in(babycli)
    finally:
        demo.synthetic.chmod(0o755)
    assert (code, kinds) == (3, {("baby_winoground", "Unreadable")})


@pytest.mark.parametrize("command", ["verify", "status"])
def test_a_dataset_folder_that_may_not_be_entered_is_reported(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path, command: str
) -> None:
    skip_unless_permissions_count(tmp_path)
    (DATASET / "vtwt").chmod(0)
    try:
        ran = babycli("data", command)
    finally:
        (DATASET / "vtwt").chmod(0o755)
    assert ran.code == {"verify": 3, "status": 0}[command]
    assert "Unreadable dataset/vtwt/vtwt.csv" in ran.out


def test_a_file_in_the_place_of_a_category_folder_loses_all_its_images(babycli: Babycli, demo: DemoCopy) -> None:
    n_balls = len({row[3] for row in rows_of(label_file("labeled_s")) if row[3].startswith("ball/")})
    shutil.rmtree(demo.labeled_s / "ball")
    (demo.labeled_s / "ball").touch()
    code, problems = problems_in(babycli)
    assert code == 3
    assert n_balls > 10
    assert len(problems) == n_balls
    assert {(p["task"], p["kind"]) for p in problems} == {("labeled_s", "Missing")}


@pytest.mark.parametrize(
    ("source", "name", "tasks"),
    [
        ("saycam", "demo_frame_000.png", {"vtwt", "baby_winoground"}),
        ("saycam", "demo_frame_099.png", {"vtwt", "saycam_caption"}),
        ("synthetic", "demo_frame_000_neg.png", {"baby_winoground"}),
    ],
)
def test_a_fault_is_reported_for_every_task_that_reads_the_image(
    babycli: Babycli, demo: DemoCopy, source: str, name: str, tasks: set[str]
) -> None:
    (demo.folder / f"{source}_images" / name).unlink()
    assert kinds_in(babycli) == (3, {(task, "Missing") for task in tasks})


def test_an_image_that_no_label_names_is_nobody_s_business(babycli: Babycli, demo: DemoCopy) -> None:
    (demo.saycam / "S_20140420_1803_01_082_00.jpg").write_text("not an image")
    assert problems_in(babycli, "--depth", "decode") == (0, [])


def test_images_of_any_mode_and_shape_can_be_decoded(babycli: Babycli, demo: DemoCopy, tmp_path: Path) -> None:
    modes = {
        "L": "JPEG",
        "CMYK": "JPEG",
        "RGB": "JPEG",
        "P": "PNG",
        "1": "PNG",
        "LA": "PNG",
        "RGBA": "PNG",
        "I;16": "PNG",
    }
    frames = [demo.saycam / f"demo_frame_{40 + i:03}.png" for i in range(len(modes))]
    for frame, (mode, form) in zip(frames, modes.items(), strict=True):
        replace(frame, encoded(Image.new(mode, (7, 50)), form))
    manifest = checksum_manifest(tmp_path / "mine", demo.saycam, demo.labeled_s, demo.synthetic)
    assert problems_in(babycli, "--depth", "decode", "--manifest", manifest) == (0, [])


@pytest.mark.parametrize(
    "form", ["PNG", "JPEG", *(pytest.param(form, marks=pytest.mark.long) for form in ("GIF", "WEBP", "BMP"))]
)
def test_no_damage_to_an_image_stops_the_others_from_being_checked(babycli: Babycli, demo: DemoCopy, form: str) -> None:
    rng = random.Random(f"damage {form}")
    whole = encoded(Image.effect_noise((32, 24), 60).convert("RGB"), form)
    for frame in sorted(demo.saycam.iterdir()):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 4, 30))):
            content[rng.randrange(rng.choice((40, len(content))))] = rng.randrange(256)
        replace(frame, bytes(content[: rng.choice((len(content), rng.randrange(1, len(content))))]))
    code, problems = problems_in(babycli, "--depth", "decode")
    assert code in (3, 4)
    assert len(problems) == 100 + 40 + 48


# --- all problems, in order ----------------------------------------------------------------------------------------


def plant_many(demo: DemoCopy) -> None:
    plant_zero_bytes(demo.saycam / "demo_frame_099.png")
    plant_text(demo.saycam / "demo_frame_000.png")
    plant_missing(demo.synthetic / "demo_frame_030_neg.png")
    plant_missing(demo.synthetic / "demo_frame_007_neg.png")
    plant_another_picture(demo.frame)
    label_file("labeled_s").write_bytes(BOM + label_file("labeled_s").read_bytes())


def test_all_problems_are_collected_sorted_and_printed(babycli: Babycli, demo: DemoCopy) -> None:
    plant_many(demo)
    code, problems = problems_in(babycli, "--depth", "checksum")
    assert code == 3  # not 4: more than checksums is wrong
    vtwt, winoground = DATASET / "vtwt/images", DATASET / "baby_winoground"
    assert [(p["task"], p["kind"], p["subject"]) for p in problems] == [
        ("baby_winoground", "Missing", str(winoground / "negative_images/demo_frame_007_neg.png")),
        ("baby_winoground", "Missing", str(winoground / "negative_images/demo_frame_030_neg.png")),
        ("baby_winoground", "NotAnImage", str(winoground / "positive_images/demo_frame_000.png")),
        ("labeled_s", "LabelsChecksumMismatch", str(label_file("labeled_s"))),
        ("saycam_caption", "Empty", str(DATASET / "SAYCam_caption/images/demo_frame_099.png")),
        ("vtwt", "ChecksumMismatch", str(vtwt / VTWT_FRAME)),
        ("vtwt", "Empty", str(vtwt / "demo_frame_099.png")),
        ("vtwt", "NotAnImage", str(vtwt / "demo_frame_000.png")),
    ]
    text = babycli("data", "verify", "--depth", "checksum")
    assert text.code == 3
    shown = [line for line in text.out.splitlines() if ": " in line]
    assert len(shown) == len(problems)
    for line, problem in zip(shown, problems, strict=True):
        assert line.startswith(f"{problem['task']}: {problem['kind']} {problem['subject']}")
    assert "8 problems" in text.err
    assert "38 of 40 synthetic images sound" in text.out
    assert "97 of 100 SAYCam frames sound" in text.out


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_same_faults_give_the_same_output(
    babycli: Babycli, demo: DemoCopy, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    plant_many(demo)
    first = babycli("data", "verify", *form)
    aside = demo.saycam.rename(demo.folder / "aside")
    demo.saycam.mkdir()
    for frame in sorted(aside.iterdir(), reverse=True):  # the folder lists its files in another order now
        frame.rename(demo.saycam / frame.name)
    assert babycli("data", "verify", *form) == first


def test_only_checksums_wrong_is_exit_4_whoever_they_belong_to(babycli: Babycli, demo: DemoCopy) -> None:
    plant_another_picture(demo.frame)
    label_file("labeled_s").write_bytes(BOM + label_file("labeled_s").read_bytes())
    code, kinds = kinds_in(babycli, "--depth", "checksum")
    assert (code, kinds) == (4, {("vtwt", "ChecksumMismatch"), ("labeled_s", "LabelsChecksumMismatch")})


# --- a checksum manifest of the user's own -------------------------------------------------------------------------


def checksum_manifest(manifest: Path, *trees: Path, words: tuple[str, ...] = ()) -> Path:
    """What `cd TREE; find . -type f | xargs sha256sum` writes for every tree, one after the other."""
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    with manifest.open("ab") as lines:
        for tree in trees:
            names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
            subprocess.run(["sha256sum", *words, *names], cwd=tree, stdout=lines, check=True)
    return manifest


@pytest.fixture
def manifest(demo: DemoCopy, tmp_path: Path) -> Path:
    """Checksums of all the images as they should be."""
    return checksum_manifest(tmp_path / "images.sha256", demo.saycam, demo.labeled_s, demo.synthetic)


@pytest.mark.parametrize(
    "depth", ["decode", *(pytest.param(d, marks=pytest.mark.long) for d in ("header", "checksum"))]
)
def test_images_that_agree_with_a_manifest_pass(babycli: Babycli, manifest: Path, depth: str) -> None:
    assert problems_in(babycli, "--depth", depth, "--manifest", manifest) == (0, [])


def upper(text: str) -> str:
    return "".join(line[:64].upper() + line[64:] for line in text.splitlines(keepends=True))


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(lambda text: text.replace("  ", " *"), id="binary", marks=pytest.mark.long),
        pytest.param(lambda text: text.replace("  ", "  ./"), id="from find"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: "\n" + text.replace("\n", "\n\n"), id="blank lines", marks=pytest.mark.long),
        pytest.param(upper, id="upper case"),
        pytest.param(
            lambda text: "".join(sorted(text.splitlines(keepends=True))), id="another order", marks=pytest.mark.long
        ),
    ],
)
def test_a_manifest_is_read_however_it_is_spelled(
    babycli: Babycli, manifest: Path, spelling: Callable[[str], str]
) -> None:
    text = spelling(manifest.read_text())
    assert text != manifest.read_text()
    manifest.write_text(text, newline="")
    assert problems_in(babycli, "--depth", "checksum", "--manifest", manifest) == (0, [])


@pytest.mark.parametrize(
    "depth", ["header", *(pytest.param(d, marks=pytest.mark.long) for d in ("checksum", "decode"))]
)
def test_an_image_that_disagrees_with_a_manifest_is_a_checksum_mismatch(
    babycli: Babycli, demo: DemoCopy, manifest: Path, depth: str
) -> None:
    plant_another_picture(demo.frame)
    plant_another_picture(demo.labeled_s / "ball/demo_ball_13.png")
    code, problems = problems_in(babycli, "--depth", depth, "--manifest", manifest)
    assert code == 4
    assert [(p["kind"], p["subject"]) for p in problems] == [
        ("ChecksumMismatch", str(DATASET / "labeled_s/images/ball/demo_ball_13.png")),
        ("ChecksumMismatch", str(DATASET / "vtwt/images" / VTWT_FRAME)),
    ]


def test_the_user_s_manifest_goes_before_the_demo_s_own_checksums(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path
) -> None:
    plant_another_picture(demo.frame)
    mine = checksum_manifest(tmp_path / "mine.sha256", demo.saycam, demo.labeled_s, demo.synthetic)
    assert problems_in(babycli, "--depth", "checksum", "--manifest", mine) == (0, [])


def test_at_depth_checksum_an_image_that_the_manifest_does_not_name_is_a_problem(
    babycli: Babycli, manifest: Path
) -> None:
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if VTWT_FRAME not in line))
    code, problems = problems_in(babycli, "--depth", "checksum", "--manifest", manifest)
    assert code in (3, 4)
    assert [p["subject"] for p in problems] == [str(DATASET / "vtwt/images" / VTWT_FRAME)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_manifest_that_disagrees_is_never_passed_over(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path, depth: str
) -> None:
    """Made one folder up, as `sha256sum saycam_images/*` does, and of other bytes."""
    other = tmp_path / "other"
    shutil.copytree(demo.folder, other, copy_function=os.link)
    plant_another_picture(DemoCopy(other).frame)
    manifest = checksum_manifest(tmp_path / "m", other)
    assert babycli("data", "verify", "--depth", depth, "--manifest", manifest).code != 0


def test_a_manifest_of_other_images_is_not_passed_over_in_silence(babycli: Babycli, demo: DemoCopy) -> None:
    Path("m.txt").write_text("a" * 64 + "  someone_else.png\n")
    ran = babycli("data", "verify", "--manifest", "m.txt")
    assert ran.code != 0 or "m.txt" in ran.err


def test_a_manifest_made_one_folder_up_is_understood_or_refused(
    babycli: Babycli, demo: DemoCopy, tmp_path: Path
) -> None:
    manifest = checksum_manifest(tmp_path / "m", demo.folder)
    ran = babycli("data", "verify", "--depth", "checksum", "--manifest", manifest)
    assert ran.code in (0, 3)  # the images are right: 4 would send the user after a fault that is not there


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"hello\n", "line 1", id="prose"),
        pytest.param(b"a" * 64 + b"  x.png\n" + b"b" * 63 + b"  y.png\n", "line 2", id="short digest"),
        pytest.param(b"g" * 64 + b"  x.png\n", "line 1", id="not hexadecimal"),
        pytest.param(b"a" * 64 + b"\n", "line 1", id="no name"),
        pytest.param(b"d" * 32 + b"  x.png\n", "line 1", id="md5"),
        pytest.param(b"\xff\xfe\x00", "UTF-16", id="not text"),
    ],
)
def test_a_file_that_is_no_manifest_is_named_with_the_line(
    babycli: Babycli, demo: DemoCopy, content: bytes, complaint: str
) -> None:
    Path("m.txt").write_bytes(content)
    ran = babycli("data", "verify", "--manifest", "m.txt")
    assert (ran.code, ran.out) == (3, "")
    assert "m.txt" in ran.err
    assert complaint in ran.err


@pytest.mark.parametrize("name", ["nowhere.txt", "a_folder"])
def test_a_manifest_that_cannot_be_read_is_named(babycli: Babycli, demo: DemoCopy, name: str) -> None:
    Path("a_folder").mkdir()
    ran = babycli("data", "verify", "--manifest", name)
    assert (ran.code, ran.out) == (3, "")
    assert name in ran.err
