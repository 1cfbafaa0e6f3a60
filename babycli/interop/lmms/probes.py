"""Questions with which a wrapper is examined: drawn pictures that notice who reads them, and documents of DevCV's form.

Owns the questions, and faults that are planted in them. Never asks a wrapper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from babycli.domain import IMAGE_PLACE, PICTURE, ask
from babycli.interop.lmms.questions import Document, Question, Talk

EDGE = 224
MOST_TOKENS = 8
_INK = ("#d02020", "#20a020", "#2040d0", "#e0c020", "#a020a0", "#20b0b0", "#806040", "#f0f0f0")
_GROUND = ("#ffffff", "#202020", "#f0d8b0", "#b0c8f0", "#304030", "#f0b0c0", "#c0f0c0", "#606080")

FOUR = "Which of these is a ball? (A) <image> (B) <image> (C) <image> (D) <image>"
ONE = "<image> How many {balls} do you see?"
FIRST = "Touch the new image. (A) <image>"
NEXT = "Let's try more. Touch the new image. (A) <image> (B) <image>"


def picture(n: int) -> Image.Image:
    """Draws a picture; each number below 64 gives another one."""
    drawn = Image.new("RGB", (EDGE, EDGE), _GROUND[n // 8 % 8])
    edge = EDGE // 8
    left, top = edge * (1 + n % 4), edge * (1 + n // 2 % 4)
    ImageDraw.Draw(drawn).ellipse((left, top, left + 3 * edge, top + 3 * edge), fill=_INK[n % 8])
    return drawn


@dataclass(slots=True)
class Readings:
    """Which pictures of a question were read, in the order of their first reading, and in that of their last."""

    places: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)  # it may turn copies around before it gives them to its network

    def watched(self, pictures: Sequence[Image.Image]) -> tuple[Image.Image, ...]:
        """Gives pictures whose copies tell when their pixels are read. Pillow's methods call load() before all else."""
        return tuple(_copied_as(shown, partial(self._watch, place)) for place, shown in enumerate(pictures))

    def _watch(self, place: int, copy: Image.Image) -> None:
        load = copy.load

        def watched_load() -> Any:
            if place not in self.places:
                self.places.append(place)
            self.last = [*(each for each in self.last if each != place), place]
            return load()

        copy.load = watched_load  # type: ignore[method-assign]
        _copied_as(copy, partial(self._watch, place))  # convert("RGB") gives a copy of what is RGB


class PlantedError(OSError):
    """What a planted fault raises."""


def broken(n: int) -> Image.Image:
    """Draws a picture whose copies cannot be read, and whose file is none of a picture."""

    def plant(copy: Image.Image) -> None:
        def load() -> Any:
            raise PlantedError("image file is truncated (planted by babycli)")

        copy.load = load  # type: ignore[method-assign]

    def save(path: Any, **kwargs: Any) -> None:
        Path(path).write_bytes(b"planted by babycli: no picture")

    planted = _copied_as(picture(n), plant)
    planted.save = save  # type: ignore[method-assign, assignment]
    return planted


def _copied_as(original: Image.Image, change: Callable[[Image.Image], None]) -> Image.Image:
    """Gives the picture with copies that are changed; their type stays that of all pictures."""
    copy = original.copy

    def changed_copy() -> Image.Image:
        made = copy()
        change(made)
        return made

    original.copy = changed_copy  # type: ignore[method-assign]
    return original


# ---------------------------------------------------------------- questions


class Probes:
    """Makes questions, each about a document of its own."""

    def __init__(self) -> None:
        self._n = 0

    def question(self, words: str, pictures: Sequence[Image.Image], answer: str = "", right: str = "A") -> Question:
        """Makes a question of one turn: to be scored with an answer, else to be written to."""
        document = self._document("probe_one_turn", [(words, right)], len(pictures))
        wording = ask(words, *[PICTURE] * (words.count(IMAGE_PLACE) or len(pictures)))  # impossible ones included
        return Question(document, tuple(pictures), wording, answer, 0 if answer else MOST_TOKENS)

    def talk(
        self,
        pictures: Sequence[Image.Image],
        turns: Sequence[str] = (FIRST, NEXT),
        rights: Sequence[str] = ("A", "B"),
        most: int = MOST_TOKENS,
    ) -> Talk:
        """Makes a conversation."""
        document = self._document("probe_turns", list(zip(turns, rights, strict=True)), len(pictures))
        return Talk(document, tuple(pictures), most)

    def _document(self, task: str, turns: Sequence[tuple[str, str]], n_pictures: int) -> Document:
        said = [[{"from": "human", "value": words}, {"from": "gpt", "value": right}] for words, right in turns]
        row: dict[str, Any] = {
            "id": f"{task}_{self._n}",
            "conversations": [part for pair in said for part in pair],
            "image": [f"images/probe_{self._n}_{k}.png" for k in range(n_pictures)],
        }
        self._n += 1
        return Document(task, self._n - 1, row)
