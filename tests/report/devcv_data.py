"""A small dataset folder of the DevCV Toolbox, made for tests of reports: all eleven tasks, drawn pictures.

Owns what is in it, and a model that sees it. Its label files have the published form; what they ask is made up, and the
first pixel of an entry's first picture tells the answer: its red is 16 times the place of the answer among its kind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

Entry = dict[str, Any]
_CORNERS = ("top left", "top right", "bottom left", "bottom right")
_WAYS = ("top", "bottom", "left", "right", "top right", "top left", "bottom right", "bottom left")
_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def write_set(root: Path, name: str, n: int, tasks: Sequence[str] = (), n_turns: int = 15) -> None:
    """Writes ``root/devcv/<name>`` with n entries for each task; of memory, conversations of so many turns."""
    folder = root / "devcv" / name
    (folder / "images").mkdir(parents=True)
    made = {task: [make(i) for i in range(n)] for task, make in _MAKERS.items() if not tasks or task in tasks}
    if not tasks or "baby_memory" in tasks:
        made["baby_memory"] = [_memory(i, n_turns) for i in range(n)]
    for task, entries in made.items():
        (folder / f"{task}.json").write_text(json.dumps(entries))
        for entry in entries:
            for picture in entry["image"]:
                _draw(folder / "images" / picture, _place(entry["conversations"][1]["value"]))


def right_answers(root: Path, name: str) -> Mapping[str, list[list[str]]]:
    """The right answers of each entry, turn by turn, by task."""
    found = {}
    for path in sorted((root / "devcv" / name).glob("*.json")):
        entries = json.loads(path.read_text())
        found[path.stem] = [[m["value"] for m in entry["conversations"][1::2]] for entry in entries]
    return found


def _place(answer: str) -> int:
    return next(kind.index(answer) for kind in (tuple("ABCD"), _WAYS, tuple(map(str, range(1, 13)))) if answer in kind)


def _draw(path: Path, place: int) -> None:
    if not path.exists():
        digest = hashlib.sha256(path.name.encode()).digest()
        image = Image.new("RGB", (8, 8), (128, 128, 128))
        image.putpixel((0, 0), (16 * place, digest[0], digest[1]))
        image.save(path)


def _entry(task: str, i: int, n_pictures: int, text: str, answer: str) -> Entry:
    return {
        "id": f"{task}_{i}",
        "image": [f"{task}_{i}_{k}.png" for k in range(n_pictures)],
        "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": answer}],
    }


def _pv(i: int) -> Entry:
    text = f"Touch the image of '{('cup', 'dog', 'ball')[i % 3]}' (A)<image> (B)<image> (C)<image> (D)<image>"
    return _entry("pv", i, 4, text, "ABCD"[i % 4])


def _localize(i: int) -> Entry:
    places = " or ".join(f"({letter}) {place}" for letter, place in zip("ABCD", _CORNERS, strict=True))
    return _entry("localize", i, 1, f"<image> Point at the {{box}}. Is it in the {places} of the image?", "ABCD"[i % 4])


def _leftright(i: int) -> Entry:
    text = "<image> Which of the following is the same as this? (A) <image> (B) <image> (C) <image>"
    return _entry("leftright", i, 4, text, "ABC"[i % 3])


def _spatial(i: int) -> Entry:
    text = (
        "<image> Which of the following contains exactly this object? (A) <image> (B) <image> (C) <image>. Pay "
        "attention to details and give a letter A-C."
    )
    return _entry("spatial", i, 4, text, "ABC"[i % 3])


def _vdr_binary(i: int) -> Entry:
    way = ("left", "right", "top", "bottom")[i % 4]
    text = f"<image><image><image> Where does it leave? Respond only with '{way}' or '{_OPPOSITE[way]}'."
    return _entry("vdr_binary", i, 3, text, way)


def _vdr_open(i: int) -> Entry:
    named = ", ".join(f"'{way}'" for way in _WAYS)
    return _entry(
        "vdr_open", i, 3, f"<image><image><image> Where does it leave? Respond only with {named}.", _WAYS[i % 8]
    )


def _compare(name: str, i: int) -> Entry:
    return _entry(name, i, 2, "Who has more {cups}? (A) <image> or (B) <image>", "AB"[i % 2])


def _count(name: str, i: int) -> Entry:
    return _entry(name, i, 1, "<image> How many {cups} do you see?", str(1 + i % (12 if name == "count" else 4)))


def _memory(i: int, n_turns: int) -> Entry:
    """Learning turns show the picture of the turn before and a new one; then each comes back twice beside a new one."""
    n = n_turns // 3
    names = [f"thing{k}" for k in range(3 * n)]
    pictures = [f"memory_{i}_{k}.png" for k in range(3 * n)]
    shown = [(0,), *((k - 1, k) for k in range(1, n)), *((k % n, n + k) for k in range(2 * n))]
    messages, labels, images = [], [], []
    for turn, things in enumerate(shown):
        ordered = things if (turn + i) % 2 or len(things) == 1 else things[::-1]
        new = "AB"[ordered.index(max(things))]
        options = " or ".join(f"({letter}) <image>" for letter, _ in zip("AB", ordered, strict=False))
        messages += [{"from": "human", "value": f"Touch the new one. {options}"}, {"from": "gpt", "value": new}]
        labels.append([names[k] for k in ordered])
        images += [pictures[k] for k in ordered]
    return {"id": f"memory_{i}", "image": images, "conversations": messages, "labels": labels}


_MAKERS: Mapping[str, Callable[[int], Entry]] = {
    "baby_pv": _pv,
    "baby_localize": _localize,
    "baby_leftright": _leftright,
    "baby_spatialdetails": _spatial,
    "baby_vdr_binary": _vdr_binary,
    "baby_vdr_open": _vdr_open,
    "baby_compare_real": lambda i: _compare("real", i),
    "baby_compare_synthetic": lambda i: _compare("synthetic", i),
    "baby_count": lambda i: _count("count", i),
    "baby_subitize": lambda i: _count("subitize", i),
}


# A model that reads the answer off the first picture, but every n-th of them wrongly; of memory, it knows what is new.
SEER = '''
WAYS = ("top", "bottom", "left", "right", "top right", "top left", "bottom right", "bottom left")


class Seer:
    """``says`` is written around each answer; ``{}`` stands for it."""

    max_images = max_turns = None

    def __init__(self, device, dtype, misses="4", says="{}"):
        self.misses, self.says = int(misses), says

    def encode(self, images):
        return [image.getpixel((0, 0)) for image in images]

    def generate(self, images, prompts, max_new_tokens):
        return [self.says.format(self.answer(*asked)) for asked in zip(images, prompts)]

    def answer(self, seen, prompt):
        turns = [("user", prompt)] if isinstance(prompt, str) else prompt
        text = turns[-1][1]
        red, green, blue = seen[0]
        place = red // 16 + (not green % self.misses)
        if "new one" in text:
            shown = seen[-text.count("<image>"):]
            new = [picture not in seen[: len(seen) - len(shown)] for picture in shown]
            return "AB"[new.index(True) if any(new) and shown[-1][2] % self.misses else 0]
        if "How many" in text:
            return str(1 + place)
        return WAYS[place % 8] if "leave" in text else "ABCD"[place % 4]


class Scorer(Seer):
    """The same, and the losses of answers."""

    def loglikelihood(self, images, prompts, texts):
        said = [self.answer(*asked).lower() for asked in zip(images, prompts)]
        return [[-0.5 if answer == text.strip().lower() else -1.5] for answer, text in zip(said, texts)]
'''
