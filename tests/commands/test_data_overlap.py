"""`babycli data overlap`: what is planted in a training set is found at its level, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image, ImageOps

from babycli.data.overlap_pictures import has_hashes
from tests.conftest import REPOSITORY, Babycli
from tests.data.frames_task import NAMES, TASK, drawn, write_frames

pytestmark = pytest.mark.usefixtures("empty_folder")
needs_hashes = pytest.mark.skipif(not has_hashes(), reason="the package ImageHash is not installed")
IMAGES = Path("dataset/frames/images")


def found(babycli: Babycli, *words: object) -> dict[str, dict[str, dict[str, Any]]]:
    """What --json says: by trial and level, what was found."""
    ran = babycli("data", "overlap", *words, *TASK, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    schema = json.loads((REPOSITORY / "docs" / "schemas" / "overlap.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    (task,) = document["tasks"]
    return {trial["trial"]: {each["level"]: each for each in trial["found"]} for trial in task["trials"]}


def levels(babycli: Babycli, *words: object) -> dict[str, set[str]]:
    return {trial: set(of) for trial, of in found(babycli, *words).items() if of}


def in_list(names: Iterable[str]) -> Path:
    Path("list.txt").write_text("".join(f"{name}\n" for name in names))
    return Path("list.txt")


def test_each_kind_is_found_at_its_level_and_nothing_else(babycli: Babycli) -> None:
    write_frames()
    training = Path("training")
    training.mkdir()
    shutil.copy(IMAGES / NAMES[0], training)  # the same
    shutil.copy(IMAGES / NAMES[1], training / "renamed.png")
    drawn(1000).save(training / "S_20140420_1803_01_008_01.jpg")  # frame 1 beside frame 0; another picture
    Image.open(IMAGES / NAMES[4]).save(training / "small.jpg", quality=60)
    ImageOps.mirror(Image.open(IMAGES / NAMES[5])).save(training / "mirror.jpg", quality=90)
    for i in range(30):
        drawn(2000 + i).save(training / f"other{i}.jpg")
    of = found(babycli, training, "--within", "1")
    told = {trial: set(by_level) - {"near", "recording"} for trial, by_level in of.items()}
    assert told == {
        "t0": {"sha256", "name", "within"},
        "t1": {"sha256"},
        "t2": {"within"},
        **{trial: set() for trial in ("t3", "t4", "t5", "t6", "t7")},
    }
    assert {trial for trial in of if "recording" in of[trial]} == {"t0", "t1", "t2", "t3"}
    assert (of["t2"]["within"]["training"], of["t2"]["within"]["seconds"]) == ("S_20140420_1803_01_008_01.jpg", 0.2)
    if has_hashes():
        near = {trial: by_level["near"] for trial, by_level in of.items() if "near" in by_level}
        assert {trial: (each["training"], each["is_mirrored"]) for trial, each in near.items()} == {
            "t0": (NAMES[0], False),
            "t1": ("renamed.png", False),
            "t4": ("small.jpg", False),
            "t5": ("mirror.jpg", True),
        }
        assert near["t0"]["distance"] == near["t1"]["distance"] == 0


@needs_hashes
def test_pictures_of_one_colour_are_like_nothing(babycli: Babycli) -> None:
    write_frames(["black.png"])
    Image.new("RGB", (224, 224)).save(IMAGES / "black.png")
    Path("training").mkdir()
    for i, colour in enumerate(["black", "white", "#010101"]):
        Image.new("RGB", (300, 200), colour).save(f"training/{i}.jpg")
    ran = babycli("data", "overlap", "training", *TASK, "--json")
    (task,) = json.loads(ran.out)["tasks"]
    assert task["trials"] == [{"trial": "t0", "found": []}]
    assert "3 pictures are not compared by look" in json.loads(ran.out)["notes"][0]


@needs_hashes
def test_unrelated_pictures_are_not_alike(babycli: Babycli) -> None:
    write_frames([f"{i}.png" for i in range(60)])
    Path("training").mkdir()
    for i in range(60):
        drawn(5000 + i).save(f"training/other{i}.jpg")
    assert levels(babycli, "training", "--level", "near") == {}


def test_without_imagehash_the_level_is_left_out_and_the_mend_told(
    babycli: Babycli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames()
    monkeypatch.setattr("babycli.data.overlap.has_hashes", lambda: False)
    monkeypatch.setattr("babycli.data.overlap_pictures.has_hashes", lambda: False)
    ran = babycli("data", "overlap", IMAGES, *TASK)
    assert ran.code == 0
    assert "ImageHash is not installed: pip install 'babycli[overlap]': near." in " ".join(ran.out.split())
    ran = babycli("data", "overlap", IMAGES, *TASK, "--level", "near")
    assert (ran.code, ran.out) == (2, "")
    assert "mend: pip install 'babycli[overlap]'" in ran.err


def test_names_tell_the_same_in_every_form(babycli: Babycli) -> None:
    write_frames()
    names = [f"train/{NAMES[0]}", NAMES[3].replace("10.jpg", "20.PNG"), "other.jpg"]
    both = {"within", "recording"}
    expected = {"t0": {"name", *both}, "t1": both, "t2": {"recording"}, "t3": both}
    talk = [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "a dog"}]
    llava = [{"id": str(i), "image": name, "conversations": talk} for i, name in enumerate(names)]
    llava.append({"id": "text", "conversations": talk})
    parts = [{"role": "user", "content": [{"type": "image", "image": name} for name in names]}]
    forms: dict[str, str] = {
        "list.txt": "\ufeff# frames\n" + "\r\n".join(names) + "\n",
        "crumbs.txt": "\0".join(names) + "\0",
        "windows.txt": "\n".join(f"C:\\train\\{name.replace('/', chr(92))}" for name in names),
        "llava.json": json.dumps(llava, indent=1),
        "several.json": json.dumps([{"id": "0", "image": names}]),
        "lines.jsonl": "\n".join(json.dumps({"images": [name], "messages": []}) for name in names),
        "one_line.jsonl": json.dumps({"images": names}),
        "messages.json": json.dumps([{"messages": parts}]),
        "paths.jsonl": "\n".join(json.dumps({"images": [{"path": name, "bytes": None}]}) for name in names),
        "coco.json": json.dumps({"images": [{"id": 1, "file_name": name} for name in names], "annotations": []}),
        "saycam.json": json.dumps({"images": [{"utterance": "a dog", "frame_filenames": names, "num_frames": 3}]}),
        "hashes.txt": "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in names),
    }
    for file, text in forms.items():
        Path(file).write_text(text, newline="")
        assert levels(babycli, file, "--within", "2") == expected, file
    Path("utf16.txt").write_bytes("\r\n".join(names).encode("utf-16"))
    assert levels(babycli, "utf16.txt", "--within", "2") == expected


@pytest.mark.parametrize(
    "entry",
    [
        {"meta": {"image": "NAME"}},
        {"messages": [{"role": "user", "content": "<image>", "images": ["NAME"]}]},
        {"messages": [{"role": "user", "content": {"type": "image", "image": "NAME"}}]},
        {"messages": [{"role": "user", "content": [{"type": "video", "video": ["NAME", "other.jpg"]}]}]},
        {"prompt": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://host/NAME"}]}]},
        {"query": "Picture 1: <img>NAME</img>\nwhat?", "response": "a dog"},
        {"file_name": "NAME", "coco_url": "http://host/1.jpg", "source": "S_20140420_1803_01.mp4"},
        {"images": [{"path": "NAME", "bytes": None}], "messages": []},
    ],
)
def test_pictures_are_read_where_kin_of_llava_have_them(babycli: Babycli, entry: dict[str, Any]) -> None:
    write_frames()
    content = json.dumps(entry).replace("NAME", NAMES[0])
    for text in (f"[{content}]", f'{content}\n{{"image": "q.jpg"}}\n'):
        Path("train.json").write_text(text)
        assert levels(babycli, "train.json", "--level", "name") == {"t0": {"name"}}


def test_one_line_of_pictures_as_objects_is_one_entry(babycli: Babycli) -> None:
    write_frames()
    Path("one.jsonl").write_text(json.dumps({"images": [{"path": name} for name in NAMES[:2]], "messages": []}))
    assert levels(babycli, "one.jsonl", "--level", "name") == {"t0": {"name"}, "t1": {"name"}}


def test_films_in_messages_are_films(babycli: Babycli) -> None:
    write_frames()
    part = {"type": "video", "video": "S_20140420_1803_02.mp4"}
    entries = [{"messages": [{"content": [part]}]}, {"image": "q.jpg"}, {"text": "ball.jpg"}]
    Path("train.json").write_text(json.dumps(entries))
    ran = babycli("data", "overlap", "train.json", *TASK)
    assert "1 film is named" in ran.err
    assert "1 of 3 entries is text alone" in ran.err
    assert set(levels(babycli, "train.json")) == {"t4", "t5", "t6", "t7"}


def test_lists_of_old_macs_and_addresses_with_escapes_are_read(babycli: Babycli) -> None:
    write_frames()
    Path("list.txt").write_bytes(f"{NAMES[0]}\rhttps://host/a%20b/{NAMES[4].replace('_', '%5F')}?w=1\r".encode())
    assert levels(babycli, "list.txt", "--level", "name") == {"t0": {"name"}, "t4": {"name"}}


def test_a_name_that_stands_twice_is_one_picture(babycli: Babycli) -> None:
    write_frames()
    assert "list.txt: list of names, 2 pictures" in babycli("data", "overlap", in_list([*NAMES[:2]] * 3), *TASK).out


def test_pictures_with_absolute_names_are_read_below_images(babycli: Babycli) -> None:
    write_frames()
    names = [str(IMAGES.resolve() / NAMES[0]), f"file://{IMAGES.resolve()}/{NAMES[1]}"]
    Path("train.json").write_text(json.dumps([{"image": name} for name in names]))
    for folder in (IMAGES, Path("/"), IMAGES.parent):
        of = levels(babycli, "train.json", "--images", folder, "--level", "sha256")
        assert of == {"t0": {"sha256"}, "t1": {"sha256"}}, folder


def test_the_training_set_itself_is_not_written_over(babycli: Babycli) -> None:
    write_frames()
    before = in_list(NAMES).read_bytes()
    ran = babycli("data", "overlap", "list.txt", *TASK, "-o", "./list.txt")
    assert (ran.code, ran.out) == (2, "")
    assert "list.txt is the training set itself" in ran.err
    assert Path("list.txt").read_bytes() == before


def test_nothing_is_called_clean_where_nothing_can_be_told(babycli: Babycli) -> None:
    write_frames()
    ran = babycli("data", "overlap", in_list(NAMES), *TASK, "--level", "sha256")
    assert ["frames", "8", "-"] in [line.split() for line in ran.out.splitlines()]


def test_what_a_folder_has_behind_a_link_is_told_where_nothing_else_is(babycli: Babycli) -> None:
    write_frames()
    Path("training").mkdir()
    Path("training/more").symlink_to(IMAGES.resolve())
    ran = babycli("data", "overlap", "training", *TASK)
    assert ran.code == 3
    assert "training/more: a link to a folder" in ran.err


def test_checksums_tell_bytes_without_the_pictures(babycli: Babycli) -> None:
    write_frames()
    Path("training").mkdir()
    shutil.copy(IMAGES / NAMES[2], "training/a.jpg")
    assert babycli("data", "manifest", "training", "-o", "sha256.txt").code == 0
    shutil.rmtree("training")
    assert levels(babycli, "sha256.txt") == {"t2": {"sha256"}}


def test_checksums_of_blake3_are_compared_by_it(babycli: Babycli) -> None:
    blake3 = pytest.importorskip("blake3", reason="the package blake3 is not installed")
    write_frames()
    digest = blake3.blake3((IMAGES / NAMES[2]).read_bytes()).hexdigest()
    for line in (f"{digest}  a.jpg", f"BLAKE3 (a.jpg) = {digest}"):
        Path("b3.txt").write_text(f"{line}\n")
        assert levels(babycli, "b3.txt") == {"t2": {"sha256"}}


def test_a_zip_tells_what_its_folder_tells(babycli: Babycli) -> None:
    write_frames()
    shutil.copytree(IMAGES, "training/deep")
    drawn(77).save("training/x.png")
    with zipfile.ZipFile("training.zip", "w") as archive:
        for path in sorted(Path("training").rglob("*.*g")):
            archive.write(path)
    of_folder, of_zip = found(babycli, "training"), found(babycli, "training.zip")
    assert {trial: set(of) for trial, of in of_folder.items()} == {trial: set(of) for trial, of in of_zip.items()}
    assert all("sha256" in of for of in of_zip.values())


def test_the_pictures_of_training_data_are_read_where_they_lie(babycli: Babycli) -> None:
    write_frames()
    Path("pictures/deep").mkdir(parents=True)
    shutil.copy(IMAGES / NAMES[0], "pictures/deep/a.jpg")
    shutil.copy(IMAGES / NAMES[1], "pictures/deep/unused.jpg")
    names = ["deep/a.jpg", "deep/gone.jpg", "../dataset/frames/images/" + NAMES[2]]
    Path("train.json").write_text(json.dumps([{"id": name, "image": name} for name in names]))
    of = levels(babycli, "train.json", "--images", "pictures", "--level", "sha256")
    assert of == {"t0": {"sha256"}}
    with zipfile.ZipFile("pictures.zip", "w") as archive:
        archive.write("pictures/deep/a.jpg", "top/deep/a.jpg")
    assert levels(babycli, "train.json", "--images", "pictures.zip", "--level", "sha256") == of
    ran = babycli("data", "overlap", "train.json", "--images", "pictures", *TASK)
    assert "train.json: 2 pictures are not in pictures (the first: deep/gone.jpg)" in ran.err
    ran = babycli("data", "overlap", "train.json", "--images", "dataset", *TASK)
    assert (ran.code, ran.out) == (3, "")
    assert "dataset has none of the pictures that train.json names; the first is 'deep/a.jpg'" in ran.err
    ran = babycli("data", "overlap", "pictures", "--images", "pictures", *TASK)
    assert (ran.code, ran.out) == (2, "")


def test_several_trainings_are_one_and_each_is_named(babycli: Babycli) -> None:
    write_frames()
    Path("one.txt").write_text(f"{NAMES[0]}\n")
    Path("two.txt").write_text(f"{NAMES[4]}\n")
    of = found(babycli, "one.txt", "two.txt", "--level", "name")
    assert {trial: by["name"]["training"] for trial, by in of.items() if by} == {
        "t0": f"[1] {NAMES[0]}",
        "t4": f"[2] {NAMES[4]}",
    }


def test_a_second_time_no_picture_is_read(babycli: Babycli, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames()
    shutil.copytree(IMAGES, "training")
    for path in [*IMAGES.iterdir(), *Path("training").iterdir()]:
        os.utime(path, (1e9, 1e9))
    monkeypatch.setattr("babycli.data.examine._RACY_NS", 0)
    first = found(babycli, "training")
    with monkeypatch.context() as patch:
        patch.setattr("babycli.data.images.FolderStore.read", lambda *_: pytest.fail("it was read"))
        patch.setattr("babycli.data.images.FolderStore.digests", lambda *_: pytest.fail("it was read"))
        assert found(babycli, "training") == first
    drawn(999).save(f"training/{NAMES[0]}")
    assert set(found(babycli, "training")["t0"]) == {"name", "within", "recording"}


def test_pictures_of_the_demo_are_not_read_for_their_bytes(
    babycli: Babycli, dataset: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path("training/a.png")
    copy.parent.mkdir()
    shutil.copy(downloads / "saycam_images" / "demo_frame_007.png", copy)
    listed = hashlib.sha256(copy.read_bytes()).hexdigest()
    Path("list.txt").write_text(f"{listed}  a.png\n")
    monkeypatch.setattr("babycli.data.images.FolderStore.read", lambda *_: pytest.fail("it was read"))
    ran = babycli("data", "overlap", "list.txt", "-t", "vtwt", "--data", dataset, "--json")
    (task,) = json.loads(ran.out)["tasks"]
    assert [t["found"][0]["picture"] for t in task["trials"] if t["found"]] == ["demo_frame_007.png"]


def test_names_with_folders_are_compared_whole_where_their_last_parts_are_the_same(babycli: Babycli) -> None:
    write_frames(["ball/1.jpg", "cup/1.jpg", "cup/2.jpg"])
    names = ["x/cup/1.png", "1.jpg", "elsewhere/2.jpg"]
    assert levels(babycli, in_list(names)) == {"t1": {"name"}, "t2": {"name"}}


def test_accents_in_two_forms_are_one_name(babycli: Babycli) -> None:
    write_frames(["bébé.jpg"])
    assert levels(babycli, in_list(["be\u0301be\u0301.jpg"])) == {"t0": {"name"}}


@pytest.mark.parametrize(
    ("name", "seconds", "is_within"),
    [
        ("S_20140420_1803_01_007_05.jpg", 1, True),
        ("S_20140420_1803_01_007_06.jpg", 1, False),
        ("S_20140420_1803_01_006_00.jpg", 1_000_000, False),  # another utterance
        ("S_20140420_1803_02_007_00.jpg", 1_000_000, False),  # another recording
        ("S_20140420_1803_01_007_00_neg.jpeg", 1_000_000, False),  # made of a frame, and none
    ],
)
def test_seconds_are_told_within_an_utterance_alone(babycli: Babycli, name: str, seconds: int, is_within: bool) -> None:
    write_frames(["S_20140420_1803_01_007_00.jpg"])
    of = levels(babycli, in_list([name]), "--within", seconds)
    assert ("within" in of.get("t0", ())) == is_within


def test_a_film_tells_the_recording(babycli: Babycli) -> None:
    write_frames()
    Path("v.json").write_text(json.dumps([{"video": "clips/S_20140420_1803_02.mp4", "conversations": []}]))
    assert levels(babycli, "v.json") == {trial: {"recording"} for trial in ("t4", "t5", "t6", "t7")}


def test_the_table_says_what_was_assumed_and_what_cannot_be_told(babycli: Babycli) -> None:
    write_frames(linked=False)
    ran = babycli("data", "overlap", in_list([*NAMES[:2], "README.txt"]), *TASK, "--within", "1", "-o", "o.json")
    out = " ".join(ran.out.split())
    assert ran.code == 0
    assert "task trials name within 1 s leaked recording frames 8 2 2 2 4 sha256" not in out
    assert "frames 8 2 2 2 4" in out
    assert "left out: names alone are known of the training: sha256." in out
    assert "5 frames are a second" in out
    assert "1 line is no name of a picture (line 3 'README.txt')" in ran.err
    assert "babycli report LOGS --overlap o.json --by overlap" in ran.err


BROKEN = {
    "empty.txt": (b"", "is empty"),
    "words.txt": (b"hello\nworld\n", "words.txt, line 1: 'hello' is no name of a picture"),
    "table.csv": (b"image,text\na.jpg,a dog\n", "table.csv, line 1: this is a table"),
    "table.tsv": (b"a.jpg\ta dog\n", "table.tsv, line 1: this is a table"),
    "ls.txt": (b"-rw-r--r-- 1 me us 23 Nov 30 12:00 a.jpg\n", "ls.txt, line 1: this is a table"),
    "sizes.txt": (b"2300 S_20140420_1803_01_007_00.jpg\n", "sizes.txt, line 1: this is a table"),
    "md5.txt": (b"d41d8cd98f00b204e9800998ecf8427e  a.jpg\n", "its digests are of MD5"),
    "cut.json": (b'[{"image": "a.jpg"}, {"ima', "cut.json, line 1: no sound JSON"),
    "nan.json": (b'[{"image": "a.jpg", "w": NaN}]', "no sound JSON"),
    "cut.jsonl": (b'{"image": "a.jpg"}\n{"image": \n{"image": "b.jpg"}\n', "cut.jsonl, line 2: no sound JSON"),
    "number.json": (b'[{"image": "a.jpg"}, {"image": 5}]', "number.json, entry 2: image is 5"),
    "inner.json": (b'[{"image": ["a.jpg", null]}]', "inner.json, entry 1: image is ['a.jpg', None]"),
    "entry.json": (b'[{"image": "a.jpg"}, "b.jpg"]', "entry.json, entry 2: expected an object, got 'b.jpg'"),
    "key.json": (b'[{"img": "a.jpg"}]', "key.json, entry 1: a picture stands under 'img': 'a.jpg'"),
    "texts.json": (b'[{"conversations": []}]', "texts.json names no picture in 1 entries"),
    "object.json": (b'{"model": {"a": 1}}', "object.json is an object with the keys 'model'"),
    "nothing.json": (b"[]", "nothing.json names no picture"),
    "deep.json": (b"[" * 300 + b"]" * 300, "no sound JSON"),
    "archive.gz": (b"\x1f\x8b\x08\x00rest", "archive.gz is a gzip file"),
    "nested.json": (
        b'[{"image": "a.jpg"}, {"meta": {"frames": [["b.jpg"]]}}]',
        "entry 2: a picture stands under 'frames'",
    ),
    "second.json": (b'[{"image": "a.jpg"}, {"views": ["none", "b.jpg"]}]', "entry 2: a picture stands under 'views'"),
    "film.json": (b'[{"image": "a.jpg"}, {"clip": "b.mp4"}]', "entry 2: a film stands under 'clip': 'b.mp4'"),
    "part.json": (
        b'[{"image": "a.jpg"}, {"messages": [{"content": [{"type": "image", "source": {"key": "b.jpg"}}]}]}]',
        "entry 2: a picture stands under 'key'",
    ),
    "tabs.tsv": (b"x\ty\n1\ta.jpg\n", "cut -f2 tabs.tsv > names.txt"),
    "commas.csv": (b"x,y\n1,a.jpg\n", "cut -d, -f2 commas.csv > names.txt"),
    "unzip.txt": (b"Archive: x.zip\n  123  2020-01-01 10:00   a/b.jpg\n", "unzip.txt, line 2: this is a table"),
    "cut.zip": (b"PK\x03\x04" + b"0" * 99, "it was cut off: download it again"),
    "hash.txt": (b"0" * 64 + b"  a.jpg\nnothing\n", "hash.txt, line 2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_other_files_are_named_with_the_place_and_what_is_taken(babycli: Babycli, name: str) -> None:
    write_frames()
    content, said = BROKEN[name]
    Path(name).write_bytes(content)
    ran = babycli("data", "overlap", name, *TASK, "-o", "o.json")
    assert (ran.code, ran.out, Path("o.json").exists()) == (3, "", False)
    assert said in ran.err
    assert "mend: " in ran.err or name == "hash.txt"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gone.txt",), 3, "there is no gone.txt"),
        ((".",), 3, "holds no picture"),
        (("list.txt", "--within", "-1"), 2, "--within must be a whole number from 0"),
        (("list.txt", "--within", "1.5"), 2, "--within must be a whole number from 0"),
        (("list.txt", "--distance", "100"), 2, "--distance 100 would take any two pictures for alike"),
        (("list.txt", "--level", "sha"), 2, "unknown --level 'sha'"),
        (("list.txt", "--level", ","), 2, "--level names no level"),
    ],
)
def test_wrong_words_are_named(babycli: Babycli, words: tuple[str, ...], code: int, said: str) -> None:
    write_frames(linked=False)
    in_list(NAMES)
    ran = babycli("data", "overlap", *words, *TASK)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_damaged_pictures_are_counted_and_named(babycli: Babycli) -> None:
    write_frames()
    Path("training").mkdir()
    Path("training/bad.jpg").write_bytes(b"no picture")
    Path("training/empty.jpg").write_bytes(b"")
    shutil.copy(IMAGES / NAMES[0], "training/a.jpg")
    ran = babycli("data", "overlap", "training", *TASK)
    assert ran.code == 0
    assert "1 picture cannot be read, so names alone are compared (Empty: training/empty.jpg: 0 bytes)" in ran.err
    assert ("1 picture is not compared by look (NotAnImage: training/bad.jpg" in ran.err) == has_hashes()
