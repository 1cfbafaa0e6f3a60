"""Label entries: all that is published is sound, and each way of being broken is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babycli.domain import Row
from babycli.tasks import all_tasks
from tests.conftest import Babycli
from tests.tasks.devcv.samples import devcv_tasks, rows_of, sample_files, task_of


def entry(text: str, answer: str, *images: str) -> dict[str, Any]:
    conversations = [{"from": "human", "value": text}, {"from": "gpt", "value": answer}]
    return {"id": "entry_1", "conversations": conversations, "image": list(images)}


def memory() -> dict[str, Any]:
    """Two objects, of which each is tested twice."""
    turns = [
        (["cup"], "A"),
        (["cup", "ball"], "B"),
        (["hat", "cup"], "A"),
        (["ball", "shoe"], "B"),
        (["cup", "sun"], "B"),
        (["sky", "ball"], "A"),
    ]
    conversations = []
    for objects, letter in turns:
        options = " ".join(f"({x}) <image>" for x in "AB"[: len(objects)])
        conversations += [
            {"from": "human", "value": f"Touch the new image. {options}"},
            {"from": "gpt", "value": letter},
        ]
    names = [f"{n}.jpg" for n in range(11)]
    return {"id": "memory_1", "labels": [o for o, _ in turns], "conversations": conversations, "image": names}


LEFTRIGHT = entry(
    "<image> Which is the same? (A) <image> (B) <image> (C) <image>", "B", "q.jpg", "1.jpg", "2.jpg", "3.jpg"
)
COUNT = entry("<image> How many of cup do you see?", "12", "1.jpg")
VDR = entry("<image><image> does it leave? respond ONLY with 'left' or 'right'.", "left", "1.jpg", "2.jpg")


def change(row: dict[str, Any], how: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    changed = copy.deepcopy(row)
    how(changed)
    return changed


def message(row: dict[str, Any], n: int, **fields: object) -> dict[str, Any]:
    return change(row, lambda r: r["conversations"][n].update(fields))


BROKEN = [
    ("baby_count", COUNT | {"bb": [1, 2, 3]}, "has the bb [1, 2, 3]"),
    ("baby_count", COUNT | {"notes": 3}, "has the notes 3"),
    ("baby_memory", message(memory(), 2, value="(A) <image> <image>"), "shows 2 pictures in turn 2, which offers 1"),
    (
        "baby_leftright",
        change(LEFTRIGHT, lambda r: r["image"].pop()),
        "4 places for pictures in its words, and 3 pictures",
    ),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r["image"].append("5.jpg")), "and 5 pictures"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r.update(image="q.jpg")), "has the image 'q.jpg'"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r.update(image=[1, 2, 3, 4])), "has the image [1, 2, 3, 4]"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r.update(image=[])), "has the image []"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r.update(id=7)), "has the id 7"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r.update(conversations="?")), "has the conversations '?'"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r.update(conversations=["?"])), "has the message 1 '?'"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r["conversations"].pop()), "ends with a message from human"),
    ("baby_leftright", change(LEFTRIGHT, lambda r: r["conversations"].reverse()), "message 1 from 'gpt'"),
    ("baby_leftright", message(LEFTRIGHT, 1, **{"from": "human"}), "message 2 from 'human'"),
    ("baby_leftright", message(LEFTRIGHT, 1, value=2), "has the message 2"),
    ("baby_leftright", message(LEFTRIGHT, 1, value=" "), "has nothing in message 2"),
    ("baby_leftright", message(LEFTRIGHT, 1, value="D"), "has the answer 'D', should have one of A, B, C"),
    ("baby_leftright", message(LEFTRIGHT, 1, value="left"), "has the answer 'left'"),
    ("baby_leftright", message(LEFTRIGHT, 1, value="B <image>"), "a place for a picture in an answer"),
    ("baby_leftright", message(LEFTRIGHT, 0, value="<image><image><image><image> Which?"), "offers no answers"),
    (
        "baby_leftright",
        change(LEFTRIGHT, lambda r: r["image"].__setitem__(3, "1.jpg")),
        "the same picture twice: '1.jpg'",
    ),
    (
        "baby_leftright",
        change(LEFTRIGHT, lambda r: r["conversations"].extend(r["conversations"])),
        "places for pictures",
    ),
    ("baby_count", message(COUNT, 1, value="13"), "has the answer '13', should have one of 1, 2, 3"),
    ("baby_count", message(COUNT, 1, value="0"), "has the answer '0'"),
    ("baby_count", message(COUNT, 1, value="many"), "has the answer 'many'"),
    ("baby_count", message(COUNT, 1, value="-3"), "has the answer '-3', should have one alone of 1, 2, 3"),
    ("baby_count", message(COUNT, 1, value="3.5"), "has the answer '3.5'"),
    ("baby_count", message(COUNT, 1, value="9" * 5_000), "has the answer '9999"),
    ("baby_leftright", message(LEFTRIGHT, 1, value="A or B"), "has the answer 'A or B', should have one alone of A"),
    (
        "baby_leftright",
        message(LEFTRIGHT, 0, value="<image> Which is the same? (A) <image> (B) <image> (B) <image>"),
        "offers B for 2 pictures",
    ),
    ("baby_vdr_binary", message(VDR, 1, value="top"), "has the answer 'top', should have one of left, right"),
    ("baby_vdr_open", message(VDR, 1, value="middle"), "has the answer 'middle'"),
    ("baby_memory", COUNT, "has 1 turns, should have three for each object"),
    ("baby_memory", change(memory(), lambda r: r["labels"].pop()), "has labels for 5 turns, and 6 turns"),
    ("baby_memory", change(memory(), lambda r: r.update(labels="cup")), "has the labels 'cup'"),
    (
        "baby_memory",
        change(memory(), lambda r: r["labels"][3].pop()),
        "has labels for 1 pictures in turn 4, which offers 2",
    ),
    ("baby_memory", message(memory(), 7, value="A"), "has the answer A in turn 4, whose label 'ball' is not new"),
    ("baby_memory", message(memory(), 7, value="C"), "in turn 4 has the answer 'C'"),
    (
        "baby_memory",
        message(memory(), 2, value="Touch the new image. (A) <image> <image>"),
        "offers 1 letters in turn 2",
    ),
]


@pytest.mark.parametrize(("task", "row", "complaint"), BROKEN, ids=[f"{t}-{c}" for t, _, c in BROKEN])
def test_a_broken_entry_is_named(task: str, row: Row, complaint: str) -> None:
    all_tasks()[task].items([row, row])  # makes of it what it can
    sound = {"baby_memory": memory(), "baby_count": COUNT, "baby_vdr_binary": VDR, "baby_vdr_open": VDR}
    problems = all_tasks()[task].problems([sound.get(task, LEFTRIGHT), row])
    assert any(complaint in problem.detail for problem in problems), problems
    assert all(problem.detail.startswith(f"item 1 (from 0), {row.get('id')!r}") for problem in problems)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"id": None, "conversations": None, "image": None},
        {"id": [], "conversations": [None, {}, {"from": 1, "value": {}}], "image": [None, {}]},
        {"id": "x", "conversations": [{"from": "gpt", "value": "A"}], "image": ["a"], "labels": [1, [2]]},
        {"id": "x", "conversations": {"from": "gpt"}, "image": {"a": 1}, "labels": {}},
    ],
)
def test_whatever_an_entry_holds_it_is_a_problem_and_no_exception(row: Row) -> None:
    for task in devcv_tasks():
        (item,) = task.items([row])
        assert task.problems([row])
        assert isinstance(task.target(row), str)
        assert task.why_undecidable(item.rows)


def test_all_published_samples_are_sound(devcv: Path) -> None:
    files = sample_files(devcv)
    assert len(files) == 76
    for file in files:
        rows, task = rows_of(file), task_of(file)
        assert task.problems(rows) == [], file
        items = task.items(rows)
        assert [len(item.images) for item in items] == [len(row["image"]) for row in rows]


def test_eval_names_the_broken_item_and_exits_with_3(babycli: Babycli, tmp_path: Path) -> None:
    folder = tmp_path / "devcv" / "mine"
    folder.mkdir(parents=True)
    (folder / "baby_count.json").write_text(json.dumps([COUNT, message(COUNT, 1, value="13")]))
    ran = babycli("eval", "--model", "control:random", "--tasks", "baby_count", "--data", tmp_path)
    assert ran.code == 3
    assert "item 1 (from 0), 'entry_1', has the answer '13'" in ran.err
    assert str(folder / "baby_count.json") in ran.err
