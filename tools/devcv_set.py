"""The demo's DevCV set: label files and pictures in the form in which the DevCV Toolbox publishes its own.

Owns how many items there are of each task, and the form of the label files. Never writes: build_demo_data.py does.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from devcv_items import ASKERS, Album, Question, Sizes, make_album, memory
from devcv_pictures import draw
from PIL import Image

SEED = "demo:devcv"  # train_devcv_model.py uses others
SIZES = Sizes(portraits=3, crowds=12, mixed=300, places=12, sides=36, walks=3)
ITEMS = {
    "pv": 48,
    "localize": 48,
    "leftright": 36,
    "spatialdetails": 48,
    "vdr_binary": 24,
    "vdr_open": 24,
    "compare_real": 48,
    "compare_synthetic": 48,
    "count": 48,
    "subitize": 40,
}
APART = ("localize", "compare_real", "compare_synthetic", "count", "subitize")  # no picture is in two of their items
N_LEARNED = (5, 5, 1, 5, 5, 2, 5, 5, 1, 5, 5, 1)  # toys to remember in each item of memory: 15, 6 or 3 turns
STEMS = {"pv": "picture_vocabulary", "memory": "memory_task"}


@dataclass(frozen=True, slots=True)
class DevCVSet:
    labels: dict[str, str]  # by file name
    pictures: dict[str, Image.Image]  # by name beside the label files


def build() -> DevCVSet:
    """Makes the set; only the pictures that an item shows are in it."""
    album = make_album(SEED, SIZES)
    questions = {task: _questions(album, task) for task in ASKERS}
    labels = {f"{task}_test.json": _label_file(task, asked) for task, asked in questions.items()}
    shown = sorted({name for asked in questions.values() for question in asked for name in question.pictures})
    return DevCVSet(labels, {name: draw(album.views[name]) for name in shown})


def _questions(album: Album, task: str) -> list[Question]:
    rng = random.Random(f"{SEED}:{task}")
    if task == "memory":
        return [memory(album, n, rng, n_learned) for n, n_learned in enumerate(N_LEARNED)]
    asked: list[Question] = []
    shown: set[str] = set()
    while len(asked) < ITEMS[task]:
        question = ASKERS[task](album, len(asked), rng)
        if task not in APART or shown.isdisjoint(question.pictures):
            asked.append(question)
            shown.update(question.pictures)
    return asked


def _label_file(task: str, questions: list[Question]) -> str:
    return json.dumps([_label(task, n, question) for n, question in enumerate(questions)], indent=1) + "\n"


def _label(task: str, n: int, question: Question) -> dict[str, object]:
    """An item as JSON; only localization has a box, and only memory has labels."""
    said = [(who, text) for turn in question.turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    label: dict[str, object] = {"bb": list(question.box)} if question.box else {}
    label["id"] = question.clip or f"{STEMS.get(task, task)}_{n}"
    if question.labels:
        label["labels"] = [list(shown) for shown in question.labels]
    label["conversations"] = [{"from": who, "value": text} for who, text in said]
    label["image"] = list(question.pictures)
    return label
