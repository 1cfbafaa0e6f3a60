"""The authors' numbers for 1,500 recorded conversations, played back through the command line.

Some of them here, all of them in the tests that are long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Babycli
from tests.evaluation.logs import only_run, read_json, samples

TASKS = {
    "baby_pv": ("picture_vocabulary", "picture_vocab", "picture_vocab_selected"),
    "baby_localize": ("localize",),
    "baby_leftright": ("leftright",),
    "baby_spatialdetails": ("spatialdetails", "spatial"),
    "baby_vdr_binary": ("vdr-binary", "vdr"),
    "baby_vdr_open": ("vdr-open",),
    "baby_compare_real": ("compare_real", "who_has_more"),
    "baby_compare_synthetic": ("compare_synthetic", "whohasmore_synthetic"),
    "baby_count": ("count",),
    "baby_memory": ("memory",),
    "baby_subitize": ("subitize",),
}
# What babycli calls what the authors' functions return.
NAMES = {
    "accuracy": "acc",
    "accuracy_exact": "acc_exact",
    "accuracy_adjacent": "acc_adjacent",
    "learning_accuracy": "acc_learning",
    "testing_raw_accuracy": "acc_testing_raw",
    "testing_adjusted_accuracy": "acc_testing_adjusted",
}


@dataclass(frozen=True)
class Line:
    """What somebody said about a published item, and what the authors' code made of it."""

    entry: Mapping[str, Any]
    replies: Sequence[str | None]
    result: Mapping[str, Any]

    @property
    def n_turns(self) -> int:
        return sum(message["from"] == "human" for message in self.entry["conversations"])


@cache
def entries(file: Path) -> list[Mapping[str, Any]]:
    read: list[Mapping[str, Any]] = json.loads(file.read_text())
    return read


def golden_lines(devcv: Path, task: str) -> Iterator[Line]:
    """The lines of a task whose replies a file can hold: texts and null."""
    for raw in map(json.loads, (devcv / "golden" / "scoring.jsonl").read_text().splitlines()):
        if raw["task"] in TASKS[task] and all(reply is None or isinstance(reply, str) for reply in raw["responses"]):
            file = devcv / "data" / raw["source"] / raw["split"] / f"{raw['task']}.json"
            yield Line(entries(file)[raw["item"]], raw["responses"], raw["result"])


def lay_out(task: str, lines: Sequence[Line]) -> None:
    """Writes the label file of a set, the pictures that it names, all different, and the file of replies."""
    folder = Path("dataset/devcv/told")
    names = {name: None for line in lines for name in line.entry["image"]}
    for n, name in enumerate(names):
        place = folder / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as stream:
            Image.new("RGB", (2, 2), (n >> 8, n & 255, 0)).save(stream, "PNG")
    (folder / f"{task}.json").write_text(json.dumps([line.entry for line in lines]))
    told = (json.dumps({"task": task, "item": n, "replies": line.replies}) for n, line in enumerate(lines))
    Path("told.jsonl").write_text("\n".join(told))


@pytest.fixture
def devcv(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reference data; the test runs in a new folder."""
    folder = shared / "reference" / "devcv"
    if not folder.is_dir():
        pytest.skip("the reference data of the DevCV Toolbox are absent")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("task", TASKS)
def test_recorded_replies_get_the_authors_numbers(task: str, step: int, devcv: Path, babycli: Babycli) -> None:
    whole = list(golden_lines(devcv, task))
    assert len(whole) > 60
    lines = whole[::step]
    folder = played(babycli, task, lines)
    (path,) = folder.glob("*_outcomes.json")
    values = read_json(path)["tasks"][task]["values"]
    wrong = []
    for n, (line, sample) in enumerate(zip(lines, samples(folder, task), strict=True)):
        given = {name: column[n] for name, column in values.items()}
        wrong += [(n, line.replies, given, line.result)] if differs(line, given, sample) else []
    assert not wrong, f"{len(wrong)} of {len(lines)}: {wrong[:3]}"


def played(babycli: Babycli, task: str, lines: Sequence[Line]) -> Path:
    """Plays the lines back; gives the folder of the run."""
    lay_out(task, lines)
    ran = babycli("eval", "--model", "replay:told.jsonl", "--tasks", task, "--set", "told", "--scoring", "reference")
    assert ran.code == 0, ran.err
    return only_run()


def differs(line: Line, given: Mapping[str, float], sample: Mapping[str, Any]) -> bool:
    if "error" in line.result:
        return False
    due = {NAMES[key]: value for key, value in line.result.items() if key in NAMES}
    if "acc_exact" in given and "acc" in due:  # of the NIH's questions, which offer letters
        due["acc_exact"] = due.pop("acc")
    extracted = [turn["extracted_reference"] for turn in sample[next(iter(due))]["turns"]]
    their_own = [None if answer is None else str(answer) for answer in line.result.get("extracted", ())]
    n = len(their_own)
    return any(given[key] != value for key, value in due.items()) or extracted[:n] != their_own[: len(extracted)]


def test_no_line_is_passed_over(devcv: Path) -> None:
    """But those with replies that are numbers or lists, which no file can hold."""
    assert sum(len(list(golden_lines(devcv, task))) for task in TASKS) == 1500 - 7


@pytest.mark.parametrize(
    ("task", "key", "folder"),
    [("baby_compare_real", "letter", "saycam_data_sample/test"), ("baby_count", "number", "saycam_data_sample/test")],
)
def test_recorded_texts_hold_what_the_authors_extract(
    task: str, key: str, folder: str, devcv: Path, babycli: Babycli
) -> None:
    entry = entries(devcv / "data" / folder / f"{TASKS[task][0]}.json")[0]
    raw = [json.loads(line) for line in (devcv / "golden" / "scoring_extract.jsonl").read_text().splitlines()]
    assert len(raw) == 372
    texts = [each["text"] for each in raw]
    run = played(babycli, task, [Line(entry, [text], {}) for text in texts])
    turns = [sample["acc"]["turns"] for sample in samples(run, task)]
    assert [turn["reply"] for (turn,) in turns] == texts
    their_own = [None if each[key] is None else str(each[key]) for each in raw]
    assert [turn["extracted_reference"] for (turn,) in turns] == their_own
