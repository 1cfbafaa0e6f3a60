"""Words that are put together the same way everywhere, and the closed vocabularies of the command line.

Owns lists of names, first lines of errors, the natural order of names, and which words an option takes. Never knows
what a command does with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeVar

from babycli.errors import UsageError

_MOST_CHARACTERS = 300  # of an error that becomes part of a message


class Vocabulary(StrEnum):
    """Words of which one is chosen. A member is its text, also in JSON and in messages."""

    def __repr__(self) -> str:
        return repr(self.value)


class Scoring(Vocabulary):
    FAIR = "fair"
    REFERENCE = "reference"


class ControlKind(Vocabulary):
    BLIND = "blind"
    SHUFFLED = "shuffled"
    CONSTANT = "constant"


class Dtype(Vocabulary):
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class LinkMode(Vocabulary):
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    COPY = "copy"
    REFLINK = "reflink"


class Depth(Vocabulary):
    """How closely files are looked at; each sees what those before it see."""

    NAMES = "names"
    HEADER = "header"
    CHECKSUM = "checksum"
    DECODE = "decode"


class Form(Vocabulary):
    """How a report is written."""

    TABLE = "table"
    MD = "md"
    CSV = "csv"
    JSON = "json"
    LATEX = "latex"
    HTML = "html"
    LEADERBOARD = "leaderboard"


class Sign(Vocabulary):
    """What a model's loglikelihood() returns in lmms-eval."""

    LOGPROB = "logprob"
    LOSS = "loss"


Word = TypeVar("Word", bound=str)


def one_of(value: str, known: Iterable[Word], option: str) -> Word:
    """Gives the word of a vocabulary that the user has typed. Raises UsageError for any other."""
    words = list(known)
    if value not in words:
        raise UsageError(f"unknown {option} {value!r}.{did_you_mean(value, words)}", f"one of: {', '.join(words)}")
    return words[words.index(value)]


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`` Did you mean 'x'?`` for the nearest of ``known``, or an empty string when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def natural_order(name: str) -> list[tuple[int, str]]:
    """Makes a key that sorts step 9 before step 10."""
    parts = re.split(r"([0-9]+)", name)  # \d and isdigit() take digits that int() does not, as in "v1²"
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)]


def listed(things: Iterable[object], most: int = 5) -> str:
    """``3, 17, 20, 21, 22 and 12 more``."""
    texts = [str(thing) for thing in things]
    shown = ", ".join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown


def first_line(error: BaseException, otherwise: str = "") -> str:
    """The first line of what an error says; ``otherwise``, or its name and arguments, of one that says nothing."""
    return (str(error).strip() or otherwise or repr(error)).splitlines()[0]


def one_line(error: BaseException) -> str:
    """All that an error says, on one line and no longer than a message may be."""
    text = " ".join(str(error).split()) or repr(error)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."
