"""The authors' way of counting answers, to the number, its traps included.

Owns the reading of letters and numbers out of replies, and the accuracies over them, as the functions ``extract_*`` and
``calc_*`` of the original do both. Never decides what a careful person would count: reading.py does. Replies may be of
any type here, as the original is given what a model's code returns.

Source: utils.py of ShawnKing98/BabyLLaVA-V2 @ 5634e58. Where the original stops with an error (a reply that is no text,
an item without labels), these functions count what cannot be counted as wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LETTER = re.compile(r"\b([A-Da-d])\b")
_NUMBER_OR_WORD = re.compile(r"\d+|[a-zA-Z]+")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_AROUND = ("top", "top right", "right", "bottom right", "bottom", "bottom left", "left", "top left")  # clockwise


def extract_letter(reply: object) -> str | None:
    """Gives the first of A to D that stands alone, in either case, the article "a" included; None without one."""
    found = _LETTER.search(reply) if isinstance(reply, str) else None
    return found[1].upper() if found else None


def extract_number(reply: object) -> int | None:
    """Gives the first number in digits or, up to ten, in words; None without one, and for a number that is zero."""
    if not reply:
        return None
    if isinstance(reply, int | float):
        return as_whole(reply)
    if not isinstance(reply, str):
        return None
    for token in _NUMBER_OR_WORD.findall(reply.lower()):
        if token.isdigit():
            return as_whole(token)
        if token in _WORDS:
            return _WORDS.index(token)
    return None


def as_whole(number: str | float) -> int | None:
    """Gives a number without its fraction; None for NaN, infinity, and more digits than Python takes (4,300)."""
    try:
        return int(number)
    except (ValueError, OverflowError):
        return None


def around(direction: str) -> tuple[str, ...]:
    """Gives a direction and its two neighbours, for which an answer still counts as adjacent."""
    if direction not in _AROUND:
        return (direction,)
    at = _AROUND.index(direction)
    return tuple(_AROUND[(at + step) % len(_AROUND)] for step in (-1, 0, 1))


def share_right(given: Sequence[object], right: Sequence[object]) -> float:
    """Gives the share of answers that are right, of all that are due: missing ones are wrong, others beyond ignored."""
    return sum(a == b for a, b in zip(given, right, strict=False)) / len(right) if right else 0.0


def share_right_of_pairs(given: Sequence[object], right: Sequence[object]) -> float:
    """Gives the share of answers that are right, of those that were given: a missing one is left out."""
    pairs = list(zip(given, right, strict=False))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0


def directions(given: Sequence[str | None], right: Sequence[str]) -> tuple[float, float]:
    """Gives the shares of directions that are exactly right, and that are right or adjacent, of those that were given.

    Replies are compared as they are, but for their case.
    """
    pairs = [(a.lower() if isinstance(a, str) else "", b.strip().lower()) for a, b in zip(given, right, strict=False)]
    if not pairs:
        return 0.0, 0.0
    exact = sum(a == b for a, b in pairs) / len(pairs)
    return exact, sum(a in around(b) for a, b in pairs) / len(pairs)


@dataclass(frozen=True, slots=True)
class Memory:
    """The three accuracies of a memory item."""

    learning: float
    raw: float  # of the testing turns
    adjusted: float  # of the objects, each of which is asked about in two testing turns


def last_letter(answer: str) -> str | None:
    """Gives the letter that a label's answer ends in."""
    words = answer.split()
    return extract_letter(words[-1]) if words else None


def memory(
    letters: Sequence[str | None], right: Sequence[str | None], labels: Sequence[Sequence[str]] | None
) -> Memory:
    """Counts a memory item. The number of the replies, and not that of the turns, says where the testing begins.

    Where several labels of a turn were learnt, the original takes any; here it is the first in the alphabet. Without
    labels for all learning turns it stops with an error; here no object counts as remembered.
    """
    n_learning = (len(letters) + 1) // 3
    hits = [a == b for a, b in zip(letters, right, strict=False)]
    learning, testing = hits[:n_learning], hits[n_learning:]
    n_tested = len(right[n_learning:])
    return Memory(
        sum(learning) / len(right[:n_learning]) if right[:n_learning] else 0.0,
        sum(testing) / n_tested if n_tested else 0.0,
        _n_remembered(testing, labels or (), n_learning) / n_learning if n_learning else 0.0,
    )


def _n_remembered(testing: Sequence[bool], labels: Sequence[Sequence[str]], n_learning: int) -> int:
    """Counts the learnt labels that come up in exactly two testing turns, of which both were answered rightly."""
    learnt = {label for of_turn in labels[:n_learning] for label in of_turn}
    turns: dict[str, list[int]] = {}
    for turn, of_turn in enumerate(labels[n_learning:]):
        known = sorted(learnt & set(of_turn))
        if known:
            turns.setdefault(known[0], []).append(turn)
    return sum(
        len(places) == 2 and all(place < len(testing) and testing[place] for place in places)
        for places in turns.values()
    )
