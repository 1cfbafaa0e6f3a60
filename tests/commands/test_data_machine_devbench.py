"""`babycli data link --machine-devbench`: forms in which it comes, what is refused and where, and what is linked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Babycli
from tests.data.machine_devbench_set import draw, manifests, noun
from tests.data.zipped import zip_folder

pytestmark = pytest.mark.usefixtures("empty_folder")

DATASET = Path("dataset")
NOUNS = "Lexical/Nouns/manifest_nouns_realistic.json"
NEGATION = "Grammatical/gram_negation/manifest_grammatical_negation_cartoon.json"
TASKS = {"lex_nouns", "lex_adjectives", "gram_negation", "gram_counting"}
Made = dict[str, dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw(tmp_path / "MachineDevBench")


def rows(task: str) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads((DATASET / f"machine_devbench/{task}.json").read_bytes())
    return read


# --- what is linked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "parent", "zip", "zip of the parent"])
def test_each_form_gives_the_same_label_files(form: str, folder: Path, babycli: Babycli, tmp_path: Path) -> None:
    given = folder
    if form == "parent":
        given = folder.parent
    elif form.startswith("zip"):
        inside = folder if form == "zip" else folder.parent
        given = zip_folder(inside, tmp_path.parent / f"{tmp_path.name}.zip")
    ran = babycli("data", "link", "--machine-devbench", given)
    assert ran.code == 0, ran.err
    assert {path.stem for path in (DATASET / "machine_devbench").glob("*.json")} == TASKS
    first = rows("lex_nouns")[0]
    assert first == {"style": "realistic"} | noun("realistic", 0) | {
        "image_positive": "Lexical/Nouns/realistic/ball.png",
        "image_negative": "Lexical/Nouns/realistic/star.png",
    }
    assert [row["style"] for row in rows("gram_negation")] == ["realistic"] * 4 + ["cartoon"] * 4
    assert "no manifest of lex_verbs, gram_subject_verb" in ran.err
    assert "12 of 12 items have all of their pictures" in ran.out
    for command in ("status", "verify"):
        assert babycli("data", command).code == 0
    told = json.loads(babycli("data", "status", "--json").out)
    assert {name: of["data"] for name, of in told.items()} == dict.fromkeys(TASKS, "machine_devbench")


def test_a_single_style_is_said(babycli: Babycli, tmp_path: Path) -> None:
    ran = babycli("data", "link", "--machine-devbench", draw(tmp_path / "m", manifests(["cartoon"])))
    assert ran.code == 0, ran.err
    assert "lex_nouns has no manifest of the style realistic: all its trials are cartoon" in ran.err
    assert {row["style"] for row in rows("lex_nouns")} == {"cartoon"}


def test_other_files_are_named_and_left_out(folder: Path, babycli: Babycli) -> None:
    other = "Grammatical/gram_irony/manifest_grammatical_irony_realistic.json"
    (folder / other).parent.mkdir()
    (folder / other).write_text("{}")
    (folder / "Lexical/Nouns/manifest_nouns_sketch.json").write_text("{}")
    (folder / "Lexical/Nouns/word_list.json").write_text("{}")
    ran = babycli("data", "link", "--machine-devbench", folder)
    assert ran.code == 0, ran.err
    assert f"not read, as no task has a manifest of that name: {other}, Lexical/Nouns/manifest_nouns_sketch" in ran.err


def test_a_link_to_a_folder_is_not_followed_and_is_said(folder: Path, babycli: Babycli, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    for name in ("Lexical", "Grammatical"):
        (tmp_path / "linked" / name).symlink_to(folder / name)
    ran = babycli("data", "link", "--machine-devbench", tmp_path / "linked")
    assert (ran.code, "has no manifest" in ran.err, "a link to a folder" in ran.err) == (3, True, True)
    (tmp_path / "linked/Lexical").unlink()
    shutil.copytree(folder / "Lexical", tmp_path / "linked/Lexical")
    ran = babycli("data", "link", "--machine-devbench", tmp_path / "linked")
    assert ran.code == 0, ran.err
    assert f"not looked into: {tmp_path / 'linked/Grammatical'} (a link to a folder" in ran.err


def test_tasks_choose_what_is_linked(folder: Path, babycli: Babycli) -> None:
    assert babycli("data", "link", "--machine-devbench", folder, "--tasks", "lex_nouns").code == 0
    assert [path.name for path in (DATASET / "machine_devbench").glob("*.json")] == ["lex_nouns.json"]
    ran = babycli("data", "link", "--machine-devbench", folder, "--tasks", "lex_verbs")
    assert ran.code == 3
    assert "has no manifest of lex_verbs" in ran.err
    assert "--tasks may name lex_nouns, lex_adjectives, gram_negation, gram_counting" in ran.err
    ran = babycli("data", "link", "--machine-devbench", folder, "--tasks", "vtwt")
    assert (ran.code, "names no task of machine_devbench" in ran.err) == (2, True)


def test_linking_again_changes_nothing_and_another_folder_wants_all_tasks(
    folder: Path, babycli: Babycli, tmp_path: Path
) -> None:
    assert babycli("data", "link", "--machine-devbench", folder).code == 0
    before = (DATASET / "babycli.lock").read_bytes()
    ran = babycli("data", "link", "--machine-devbench", folder)
    assert (ran.code, "unchanged" in ran.out) == (0, True)
    assert (DATASET / "babycli.lock").read_bytes() == before
    few = {NOUNS: manifests()[NOUNS]}
    ran = babycli("data", "link", "--machine-devbench", draw(tmp_path / "few", few))
    assert ran.code == 3
    assert "has lex_adjectives, gram_negation, gram_counting too, with pictures in" in ran.err
    assert "babycli data unlink --tasks lex_adjectives,gram_negation,gram_counting" in ran.err


def test_unlink_takes_it_away_but_for_what_was_changed(folder: Path, babycli: Babycli) -> None:
    assert babycli("data", "link", "--machine-devbench", folder).code == 0
    ran = babycli("data", "unlink", "--tasks", "lex_nouns")
    assert (ran.code, "for the other tasks of its set" in ran.out) == (0, True)
    assert babycli("data", "unlink").code == 0
    assert not (DATASET / "machine_devbench").exists()
    assert folder.is_dir()


def test_what_changes_later_is_exit_4(folder: Path, babycli: Babycli) -> None:
    assert babycli("data", "link", "--machine-devbench", folder).code == 0
    shutil.copy(folder / "Lexical/Nouns/realistic/cup.png", folder / "Lexical/Nouns/realistic/ball.png")
    ran = babycli("data", "verify")
    assert ran.code in (3, 4)
    assert "ChecksumMismatch" in ran.out + ran.err
    path = DATASET / "machine_devbench/gram_counting.json"
    path.write_text(path.read_text().replace("red", "rot"))
    ran = babycli("eval", "--model", "control:constant", "--tasks", "gram_counting")
    assert (ran.code, "LabelsChecksumMismatch" in ran.err) == (4, True)
    assert "babycli data link --machine-devbench DIR" in ran.err


def test_nothing_of_it_is_there_unless_it_is_linked(babycli: Babycli) -> None:
    ran = babycli("data", "status")
    assert "lex_nouns" not in ran.out + ran.err
    ran = babycli("eval", "--model", "control:constant", "--tasks", "machine_devbench")
    assert (ran.code, "babycli data link --machine-devbench DIR" in ran.err) == (3, True)
    ran = babycli("data", "labels", "--tasks", "lex_nouns")
    assert "come with their pictures:  babycli data link --machine-devbench DIR" in ran.err


def test_a_set_of_devcv_does_not_bring_it_along(folder: Path, babycli: Babycli, tmp_path: Path) -> None:
    from tests.data.devcv_sets import count, make_set

    make_set(tmp_path / "ego4d", {"count_test.json": [count(i) for i in range(2)]})
    ran = babycli("data", "link", "--machine-devbench", folder, "--devcv", tmp_path / "ego4d")
    assert ran.code == 0, ran.err
    assert set(json.loads(babycli("data", "status", "--json", "--set", "ego4d").out)) == {"baby_count@ego4d"}
    assert set(json.loads(babycli("data", "status", "--json").out)) == {"baby_count@ego4d", *TASKS}


# --- what is refused -------------------------------------------------------------------------------------------------


def item(path: str, n: int, **changes: object) -> Callable[[Made], object]:
    def change(made: Made) -> None:
        made[path]["items"][n] |= changes

    return change


def without(path: str, n: int, key: str) -> Callable[[Made], object]:
    return lambda made: made[path]["items"][n].pop(key)


def whole(path: str, **changes: object) -> Callable[[Made], object]:
    return lambda made: made[path].update(changes)


REFUSED: dict[str, tuple[Callable[[Made], object], str]] = {
    "no caption": (without(NOUNS, 2, "caption_positive"), f"item 3 of FOLDER/{NOUNS}: 'house', lacks caption_positive"),
    "no picture": (without(NEGATION, 0, "image_1"), f"item 1 of FOLDER/{NEGATION}: 'ball', lacks image_1"),
    "a misspelt key": (
        lambda made: made[NOUNS]["items"][0].update(categry=made[NOUNS]["items"][0].pop("category")),
        "has 'categry' and no 'category'",
    ),
    "another's bin": (
        lambda made: made[NOUNS]["items"][0].update(freq_bin=made[NOUNS]["items"][0].pop("frequency_bin")),
        "has 'freq_bin' and no 'frequency_bin'",
    ),
    "a style of its own": (item(NOUNS, 0, style="cartoon"), "has a style of its own"),
    "a caption that is none": (item(NOUNS, 5, caption_positive=7), f"item 6 of FOLDER/{NOUNS}: 'cup', has the caption"),
    "an empty caption": (item(NOUNS, 0, caption_positive=" "), "should be a text that is not empty"),
    "a list for a picture": (item(NOUNS, 0, image_positive=["a.png"]), "has the image_positive ['a.png']"),
    "a bin of truth": (item(NOUNS, 0, frequency_bin=True), "has the frequency_bin True"),
    "a bin of nothing": (item(NOUNS, 0, frequency_bin=None), "has the frequency_bin None"),
    "a count below 0": (item(NOUNS, 0, frequency_count=-1), "has the frequency_count -1, should be a number"),
    "a word of numbers": (item(NEGATION, 0, word=3), "has the word 3, should be a text"),
    "half of a character": (item(NOUNS, 0, caption_positive="\ud800"), "has half of a character"),
    "a picture outside": (
        item(NOUNS, 1, image_positive="../../../x.png"),
        f"UnsafeName ../../../x.png: in item 2 of FOLDER/{NOUNS}",
    ),
    "an absolute picture": (item(NOUNS, 1, image_negative="/etc/x.png"), "UnsafeName /etc/x.png"),
    "an address": (item(NOUNS, 1, image_negative="https://x/y.png"), "UnsafeName https://x/y.png"),
    "a backslash": (item(NOUNS, 1, image_negative="realistic\\x.png"), "UnsafeName realistic\\x.png"),
    "a picture that is missing": (
        item(NOUNS, 1, image_negative="realistic/no.png"),
        "missing: Lexical/Nouns/realistic/no.png",
    ),
    "no items": (whole(NOUNS, items=[]), "it has no items"),
    "items of another kind": (whole(NOUNS, items={"a": 1}), 'its items are {"a": 1}'),
    "an item of another kind": (
        lambda made: made[NOUNS]["items"].append("x"),
        f'item 7 of FOLDER/{NOUNS}: is "x", should be an object',
    ),
    "another style": (whole(NOUNS, style="cartoon"), "its style is 'cartoon', and its name says realistic"),
}  # fmt: skip


def test_keys_that_nothing_reads_are_named(babycli: Babycli, tmp_path: Path) -> None:
    def change(made: Made) -> None:
        made[NOUNS] |= {"licence": "CC"}
        made[NOUNS]["items"][0] |= {"sense": ["a", 1], "frequency": 12, "style": "realistic"}

    ran = babycli("data", "link", "--machine-devbench", draw(tmp_path / "m", change=change))
    assert ran.code == 0, ran.err
    assert f"{NOUNS} that nothing reads: licence" in ran.err
    assert "lex_nouns: keys of items that nothing reads: sense" in ran.err
    assert babycli("data", "verify", "--tasks", "machine_devbench").code == 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_manifest_is_refused_with_its_item(name: str, babycli: Babycli, tmp_path: Path) -> None:
    change, told = REFUSED[name]
    folder = draw(tmp_path / "m", change=change)
    ran = babycli("data", "link", "--machine-devbench", folder)
    assert ran.code == 3
    assert told.replace("FOLDER", str(folder)) in ran.err + ran.out
    assert not (DATASET / "machine_devbench/lex_nouns.json").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Expecting value in line 1, column 1"),
        (b"[]", "it is [], should be an object with items"),
        (b'{"items": [1, }', "Expecting value in line 1"),
        (b'{"items": [{"word": "a", "word": "b"}]}', "the key 'word' stands twice in one object"),
        (b'{"items": [{"frequency_quantile": NaN}]}', "NaN is no number that JSON knows"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "too many levels deep"),
        (b'{"items": ' + b"[" * 300 + b"]" * 300 + b"}", "too many levels deep"),
        (b'{"items": [{"frequency_count": 1e999}]}', "lacks"),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, told: str, folder: Path, babycli: Babycli) -> None:
    (folder / NOUNS).write_bytes(content)
    ran = babycli("data", "link", "--machine-devbench", folder)
    assert ran.code == 3
    assert told in ran.err
    assert str(folder / NOUNS) in ran.err


def test_a_place_without_it_is_refused(babycli: Babycli, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = babycli("data", "link", "--machine-devbench", tmp_path / "empty")
    assert (ran.code, "has no manifest of Machine-DevBench" in ran.err) == (3, True)
    ran = babycli("data", "link", "--machine-devbench", tmp_path / "nowhere")
    assert (ran.code, "there is no folder" in ran.err) == (3, True)
    archive = tmp_path / "MachineDevBench.tar"
    shutil.make_archive(str(archive.with_suffix("")), "tar", folder)
    ran = babycli("data", "link", "--machine-devbench", archive)
    assert (ran.code, "tar" in ran.err) == (3, True)
    shutil.copytree(folder, tmp_path / "again")
    ran = babycli("data", "link", "--machine-devbench", tmp_path)
    assert (ran.code, "holds Machine-DevBench several times" in ran.err) == (3, True)
    assert not DATASET.exists()


def test_bins_may_be_missing_empty_or_numbers_and_words_of_any_script(babycli: Babycli, tmp_path: Path) -> None:
    def change(made: Made) -> None:
        items = made[NOUNS]["items"]
        items[0].pop("frequency_bin")
        items[1].pop("category")
        items[2]["frequency_bin"] = ""
        items[3]["frequency_bin"] = 4
        items[4]["caption_positive"] = "木 \U0001f333 e\u0301"

    folder = draw(tmp_path / "m", change=change)
    (folder / NOUNS).write_bytes(b"\xef\xbb\xbf" + (folder / NOUNS).read_bytes())
    ran = babycli("data", "link", "--machine-devbench", folder)
    assert ran.code == 0, ran.err
    assert babycli("eval", "--model", "control:constant", "--tasks", "lex_nouns").code == 0
    found = json.loads(babycli("report", "--by", "frequency_bin", "--format", "json").out)
    assert {each["group"] for each in found} == {"unknown", "(empty)", "4", "[1,4)", "[4,8)", "[16,32)"}
    assert {each["value"] for each in found} == {0.5}
