"""An entry of a label file of the DevCV Toolbox: a conversation over pictures, with the right answers.

Owns the form of the entries: what they say is read here and nowhere else. Reading never fails, whatever an entry holds;
``faults`` says what is wrong with it. Never decides whether a reply is right.

    {"id": "leftright_44", "image": ["a.jpeg", ...],
     "conversations": [{"from": "human", "value": "<image> Which ..."}, {"from": "gpt", "value": "B"}]}

A memory entry has several turns, and in ``labels`` the objects of each turn, in the order of its options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from babycli.domain import IMAGE_PLACE, Context, ImageRef, Row, ask

_LETTER = re.compile(r"\(([A-D])\)")
_OPTION = re.compile(r"\(([A-D])\)\s*(.*?)(?:\s+or)?[\s.,?]*(?=\([A-D]\)|$)", re.DOTALL)
_PICTURE_OF_OPTION = re.compile(r"\(([A-D])\)\s*$")
_BY_PLACE = ("the first image", "the second image", "the third image", "the fourth image")
_OF_THE_IMAGE = re.compile(r"\s+of the image$")


@dataclass(frozen=True, slots=True)
class Question:
    """What the human says in a turn, with the right answer."""

    text: str
    pictures: tuple[str, ...]  # those that are shown in this turn, as the entry names them
    right: str  # "" where the entry has no answer
    objects: tuple[str, ...] = ()  # of memory: what the options show

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters that the text offers."""
        return tuple(dict.fromkeys(_LETTER.findall(self.text)))

    @property
    def worded_options(self) -> dict[str, str]:
        """The words of each letter, "A" -> "top left"; only of those that have words."""
        found = {letter: _OF_THE_IMAGE.sub("", words) for letter, words in _OPTION.findall(self.text)}
        return {letter: words for letter, words in found.items() if words and not words.startswith(IMAGE_PLACE)}

    @property
    def options_in_places(self) -> list[tuple[str, str]]:
        """The letters that stand before the place of a picture, each with that picture; a broken entry repeats one."""
        before = self.text.split(IMAGE_PLACE)[:-1]
        return [
            (letter[1], name)
            for text, name in zip(before, self.pictures, strict=False)
            if (letter := _PICTURE_OF_OPTION.search(text))
        ]

    @property
    def pictured_options(self) -> dict[str, str]:
        """The picture of each letter; only of those that have a picture of their own."""
        found = dict(self.options_in_places)
        by_place = {letter: words for letter, words in self.worded_options.items() if words in _BY_PLACE}
        return found or {
            letter: self.pictures[place]
            for letter, words in by_place.items()
            if (place := _BY_PLACE.index(words)) < len(self.pictures)
        }

    def context(self, source: str, before: Context | None = None, reply: str = "") -> Context:
        """Gives what a model reads: this turn or, behind the conversation before, its reply and this turn.

        Raises ValueError for other places than pictures.
        """
        context = ask(self.text, *(ImageRef(source, name) for name in self.pictures))
        return context if before is None else before.followed_by(reply, *context.turns[0].parts)


def questions_of(row: Row) -> tuple[Question, ...]:
    """Gives the turns of an entry as far as they can be read."""
    messages = list(_messages(row))
    pictures = pictures_of(row)
    has_places = any(IMAGE_PLACE in text for role, text in messages if role == "human")
    objects = objects_of(row) or ()
    questions: list[Question] = []
    for role, text in messages:
        if role == "human":
            n = text.count(IMAGE_PLACE) if has_places or questions else len(pictures)
            of_turn = objects[len(questions)] if len(questions) < len(objects) else ()
            questions.append(Question(text, tuple(pictures[:n]), "", of_turn))
            pictures = pictures[n:]
        elif role == "gpt" and questions and not questions[-1].right:
            questions[-1] = Question(questions[-1].text, questions[-1].pictures, text.strip(), questions[-1].objects)
    return tuple(questions)


def pictures_of(row: Row) -> list[str]:
    """Gives the names of an entry's pictures, as many as are names."""
    names = row.get("image")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def objects_of(row: Row) -> tuple[tuple[str, ...], ...] | None:
    """Gives the objects of each turn; None for an entry that does not tell them."""
    labels = row.get("labels")
    if not isinstance(labels, list):
        return None
    return tuple(
        tuple(name for name in of_turn if isinstance(name, str)) if isinstance(of_turn, list) else ()
        for of_turn in labels
    )


def _messages(row: Row) -> Iterator[tuple[str, str]]:
    conversations = row.get("conversations")
    for message in conversations if isinstance(conversations, list) else ():
        if isinstance(message, Mapping):
            role, text = message.get("from"), message.get("value")
            if isinstance(role, str) and isinstance(text, str):
                yield role, text


def faults(row: Row) -> Iterator[str]:
    """Finds what is wrong with the form of an entry, each in half a sentence behind the entry's name."""
    if not isinstance(row.get("id"), str) or not row["id"].strip():
        yield f"has the id {row.get('id')!r:.40}, should have a text"
    names, conversations = row.get("image"), row.get("conversations")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        yield f"has the image {names!r:.60}, should have a list of names"
        return
    if not isinstance(conversations, list) or not conversations:
        yield f"has the conversations {conversations!r:.60}, should have a list of messages"
        return
    for n, message in enumerate(conversations, 1):
        due = "human" if n % 2 else "gpt"
        if not isinstance(message, Mapping) or not isinstance(message.get("value"), str):
            yield f"has the message {n} {message!r:.60}, should have an object with from and value, both texts"
            return
        if message.get("from") != due:
            yield f"has message {n} from {message.get('from')!r:.40}, should be from {due}: they take turns"
            return
        if not message["value"].strip():
            yield f"has nothing in message {n}"
    if len(conversations) % 2:
        yield "ends with a message from human, should end with its answer"
    n_places = sum(text.count(IMAGE_PLACE) for role, text in _messages(row) if role == "human")
    if n_places != len(names) and (n_places or len(conversations) > 2):
        yield f"has {n_places} places for pictures in its words, and {len(names)} pictures"
    if any(IMAGE_PLACE in text for role, text in _messages(row) if role != "human"):
        yield "has a place for a picture in an answer"
    yield from _label_faults(row, len(conversations) // 2)
    for key in ("notes", "split", "gif"):
        if not isinstance(row.get(key), str | None):
            yield f"has the {key} {row[key]!r:.40}, should have a text"
    if not _is_box(row.get("bb")):
        yield f"has the bb {row['bb']!r:.60}, should have four numbers"


def _is_box(value: object) -> bool:
    """Tells whether a value is a bounding box, or there is none. Nothing reads it."""
    return value is None or (
        isinstance(value, list) and len(value) == 4 and all(type(number) in (int, float) for number in value)
    )


def _label_faults(row: Row, n_turns: int) -> Iterator[str]:
    labels = row.get("labels")
    if labels is None and "labels" not in row:
        return
    is_whole = isinstance(labels, list) and all(
        isinstance(of_turn, list) and all(isinstance(name, str) and name for name in of_turn) for of_turn in labels
    )
    if not isinstance(labels, list) or not is_whole:
        yield f"has the labels {labels!r:.60}, should have a list of texts for each turn"
    elif labels and len(labels) != n_turns:
        yield f"has labels for {len(labels)} turns, and {n_turns} turns"
