"""Single items: all candidates with their scores, what was right, and what each model chose or said."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from babycli import tasks
from tests.conftest import Babycli
from tests.tasks.own_trials import write_trials

TASKS = "labeled_s,vtwt,baby_winoground,saycam_caption"


@pytest.fixture(scope="module")
def logs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models that guess, on the demo's items. Do not write."""
    from babycli.cli import main

    folder = tmp_path_factory.mktemp("items") / "logs"
    for seed in (1, 2):
        words = ["--data", str(dataset), "--tasks", TASKS, "--limit", "6", "--output-path", str(folder)]
        assert main(["eval", "--model", f"control:random?seed={seed}", *words]) == 0
    return folder


def samples(logs: Path, task: str) -> Iterator[list[dict[str, Any]]]:
    """The lines of the samples of each run, in the order of their names."""
    for path in sorted(logs.rglob(f"*_samples_{task}.jsonl")):
        yield [json.loads(line) for line in path.read_text().splitlines()]


def lists(babycli: Babycli, logs: Path, *words: str) -> dict[tuple[str, str], Any]:
    found = json.loads(babycli("report", logs, "--format", "json", *words).out)
    return {(record["label"], record["task"]): record["items"] for record in found}


def test_all_candidates_are_there_with_what_was_right_and_chosen(logs: Path, babycli: Babycli) -> None:
    """Against the samples file: similarities, the right phrase first, the right picture that of the category."""
    found = lists(babycli, logs, "--items")
    label = next(label for label, task in found if "seed=1" in label)
    (line,) = [line for line in next(iter(samples(logs, "vtwt"))) if line["doc_id"] == 0]
    item = found[label, "vtwt"][0]
    assert item["positive_phrase"] == line["doc"]["positive_phrase"]
    texts = [(c["candidate"], c["right"], c["score"]) for c in item["candidates"]]
    assert texts == [
        (line["doc"]["positive_phrase"], True, pytest.approx(line["resps"][0][0])),
        (line["doc"]["negative_phrase"], False, pytest.approx(line["resps"][1][0])),
    ]


def test_pictures_are_candidates(logs: Path, babycli: Babycli) -> None:
    (lines, _) = samples(logs, "labeled_s")
    items = lists(babycli, logs, "--items", "--models", "*seed=1*", "--tasks", "labeled_s")
    (of_model,) = items.values()
    for item in of_model:
        of_item = [line for line in lines if str(line["doc"]["trial_id"]) == item["trial"]]
        scores = [line["resps"][0][0] for line in of_item]
        best = max(scores) if "similarity" in of_item[0]["acc"] else min(scores)
        for candidate, line in zip(item["candidates"], of_item, strict=True):
            assert candidate["candidate"] == line["doc"]["image"]
            assert candidate["right"] == (line["doc"]["real_category"] == line["doc"]["target_category"])
            assert candidate["chosen"] == (line["resps"][0][0] == best)
        chosen_right = any(candidate["chosen"] and candidate["right"] for candidate in item["candidates"])
        assert item["value"] == float(chosen_right)


def test_of_two_pictures_and_two_phrases_the_pairs_are_right(logs: Path, babycli: Babycli) -> None:
    (of_model,) = lists(babycli, logs, "--items", "--models", "*seed=1*", "--tasks", "baby_winoground").values()
    for item in of_model:
        right = [candidate["right"] for candidate in item["candidates"]]
        assert right == [True, False, False, True]
        assert [candidate["chosen"] for candidate in item["candidates"]].count(True) == 2  # one for each picture


def test_only_what_a_model_got_wrong(logs: Path, babycli: Babycli) -> None:
    every = lists(babycli, logs, "--items", "--tasks", "vtwt")
    for key, wrong in lists(babycli, logs, "--wrong", "--tasks", "vtwt").items():
        assert wrong == [item for item in every[key] if item["value"] < 1]
    captions = lists(babycli, logs, "--wrong", "--tasks", "saycam_caption").values()
    for of_model in captions:
        values = [item["value"] for item in of_model]
        assert len(values) == 6
        assert values == sorted(values)


def test_two_models_stand_side_by_side(logs: Path, babycli: Babycli) -> None:
    words = ("report", logs, "--compare", "seed=1", "seed=2", "--items")
    out = babycli(*words).out
    assert "(right)" in out
    assert "> " in out
    rows = list(csv.DictReader(io.StringIO(babycli(*words, "--format", "csv").out)))
    candidates = [row for row in rows if row["task"] == "labeled_s"]
    assert len(candidates) % 4 == 0
    assert {row["right"] for row in candidates} == {"True", "False"}
    of_texts = [row for row in rows if row["task"] == "saycam_caption"]
    said = [{line["doc_id"]: line for line in of_run} for of_run in samples(logs, "saycam_caption")]
    assert of_texts
    for row in of_texts:
        for name, head, of_run in zip(("first_said", "second_said"), "AB", said, strict=True):
            line = of_run[int(row["trial"])]
            assert row[name] == line["resps"][0][0].strip()
            assert row["right"] == line["doc"]["text"]
            assert f"{head}: “{row[name]}”" in " ".join(out.split())
        assert f"reference: {row['right']}" in " ".join(out.split())


@pytest.mark.parametrize("words", [("--wrong",), ("--compare", "seed=1", "seed=2", "--items")], ids=" ".join)
def test_a_page_has_the_candidates_with_and_without_pictures(
    words: tuple[str, ...], logs: Path, dataset: Path, babycli: Babycli
) -> None:
    page = babycli("report", logs, *words, "--format", "html").out
    assert '<table class="candidates">' in page
    assert "(right)" in page
    assert "data:image/jpeg" not in page
    with_pictures = babycli("report", logs, *words, "--format", "html", "--with-images", "--data", dataset).out
    assert with_pictures.count("data:image/jpeg") > 4
    assert "no picture" not in with_pictures


def test_the_heading_of_all_answers_does_not_say_that_they_are_wrong(logs: Path, babycli: Babycli) -> None:
    words = ("report", logs, "--tasks", "vtwt", "--models", "*seed=1*")
    title, legend, blank, head, *_ = babycli(*words, "--items").out.splitlines()
    assert title == "VTWT acc: answers of control:random?seed=1 (demo, limit 6) (6 trials)"
    assert legend == "similarity, more is nearer; > what the model chose, (right) what is right."
    assert (blank, head.split()) == ("", ["trial", "item", "score"])
    shown = [line.split()[-1] for line in babycli(*words, "--items").out.splitlines() if ".png" in line]
    assert set(shown) == {"right", "wrong"}
    wrong = babycli(*words, "--wrong").out
    assert wrong.startswith("VTWT acc: wrong by control:random?seed=1 (demo, limit 6)")
    assert [line.split()[-1] for line in wrong.splitlines() if ".png" in line] == ["wrong"] * shown.count("wrong")
    assert "Trials with what a model gave." in babycli(*words, "--items", "--format", "html").out


def test_items_of_a_task_that_is_not_known_say_how_to_name_it(tmp_path: Path, babycli: Babycli) -> None:
    write_trials(tmp_path / "words.jsonl", [{"id": 0, "images": ["a.png"], "options": ["ball", "cup"], "answer": 0}])
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    logs = tmp_path / "logs"
    ran = babycli("eval", "--model", "control:random?seed=1", "--trials", tmp_path / "words.jsonl", "-o", logs)
    assert ran.code == 0, ran.err
    words = ("report", logs, "--items")
    assert "ball (right)" in babycli(*words).out
    (line, *_) = csv.DictReader(io.StringIO(babycli(*words, "--format", "csv").out))
    assert line["id"] == "0"  # a number, which is not nothing
    tasks._registered.clear()  # as in a process of its own
    assert "No task words is known here" in (without := babycli(*words).out)
    assert "--tasks FILE.jsonl" in without
    audit = babycli("report", logs, "--audit")
    assert audit.code == 7
    assert "trials of your own by  --tasks FILE.jsonl:PICTURES" in audit.err
    page = babycli("report", logs, "--items", "--with-images", "--format", "html")
    assert "trials of your own are named by  --tasks FILE.jsonl:PICTURES" in page.err
    named = babycli(*words, "--tasks", tmp_path / "words.jsonl")
    assert "ball (right)" in named.out
    assert "is known here" not in named.out
