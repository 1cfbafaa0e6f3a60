"""The kinds of answers that DevCV tasks ask for: a letter, a number, a direction.

Owns, for each kind, the closed set of a question, the answer that a careful person reads in a reply, and the one that
the authors' code extracts. Never plays an item and counts nothing.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from babycli.tasks.devcv import reading, reference
from babycli.tasks.devcv.entries import Question

DIRECTIONS = ("top", "bottom", "left", "right", "top right", "top left", "bottom right", "bottom left")
NUMBERS = tuple(str(number) for number in range(1, 13))
_WISHED = re.compile(r"respond only with\b(.*)", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r"'([a-z]+(?: [a-z]+)?)'")


class Kind(ABC):
    """A kind of answers."""

    @abstractmethod
    def closed_set(self, question: Question) -> tuple[str, ...]:
        """Lists the answers that a question can have, each as its label writes it."""

    @abstractmethod
    def right(self, question: Question) -> str | None:
        """Gives the right answer; None where the label holds none of the kind."""

    @abstractmethod
    def read(self, reply: str, question: Question) -> str | None:
        """Gives the answer that a careful person reads in a reply; None if it holds none, or several."""

    @abstractmethod
    def extract(self, reply: str | None) -> str | None:
        """Gives the answer that the authors' code takes from a reply, as a text."""


class Letter(Kind):
    """One of the letters that the question offers."""

    def closed_set(self, question: Question) -> tuple[str, ...]:
        return question.letters

    def right(self, question: Question) -> str | None:
        return reference.last_letter(question.right)

    def read(self, reply: str, question: Question) -> str | None:
        return reading.letter_in(reply, question.letters, question.worded_options, "with a number" in question.text)

    def extract(self, reply: str | None) -> str | None:
        return reference.extract_letter(reply)


class Number(Kind):
    """A number from 1 to 12. The questions name no range; those of the published labels are in this one."""

    def closed_set(self, question: Question) -> tuple[str, ...]:
        return NUMBERS

    def right(self, question: Question) -> str | None:
        return _as_text(reference.extract_number(question.right))

    def read(self, reply: str, question: Question) -> str | None:
        return _as_text(reading.number_in(reply))

    def extract(self, reply: str | None) -> str | None:
        return _as_text(reference.extract_number(reply))


class Direction(Kind):
    """A side or corner of the frame."""

    def closed_set(self, question: Question) -> tuple[str, ...]:
        wished = _WISHED.search(question.text)
        named = tuple(dict.fromkeys(_QUOTED.findall(wished[1]))) if wished else ()
        return tuple(name for name in named if name in DIRECTIONS) or DIRECTIONS

    def right(self, question: Question) -> str | None:
        return question.right.strip().lower() or None

    def read(self, reply: str, question: Question) -> str | None:
        return reading.direction_in(reply)

    def extract(self, reply: str | None) -> str | None:
        return reply.lower() if reply and reply.lower() in DIRECTIONS else None


LETTER, NUMBER, DIRECTION = Letter(), Number(), Direction()


def _as_text(number: int | None) -> str | None:
    return None if number is None else str(number)


def kind_of(question: Question, kinds: Sequence[Kind]) -> Kind:
    """Gives the kind of answer that a question asks for: a letter where it offers letters, else the task's own."""
    return LETTER if question.letters else kinds[-1]
