"""Wording that is the same everywhere, and the closed vocabularies of the command line.

Owns lists of names, first lines of errors, the natural order of names, what may be printed, which words an option
takes, how signs are told in ASCII, and the keys of an object. Never knows what a command does with them.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from babycli.errors import UsageError

SIGNS = {  # that babycli writes itself, and how they are told where only ASCII can be written
    "±": "+-",
    "−": "-",
    "–": "-",
    "×": "x",
    "²": "^2",
    "…": "...",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "→": "->",
    "∞": "inf",
    "─": "-",  # rules and frames of tables and help
    "│": "|",
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╷╵╴╶", "+"),
    "━": "-",
    "█": "#",
}
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_MOST_IN_ALL = 2_000  # characters of a message; a path may be long
_MOST_CHARACTERS = 300  # of another error's text in a message


class Vocabulary(StrEnum):
    """A vocabulary: words of which one is chosen. A member is its text, also in JSON and in messages."""

    def __repr__(self) -> str:
        return repr(self.value)


class Scoring(Vocabulary):
    FAIR = "fair"
    REFERENCE = "reference"


class AnswerWay(Vocabulary):
    """A way in which a model gives an answer of a closed set."""

    WRITTEN = "written"  # greedily, in words that are matched with the set
    CHOSEN = "chosen"  # as the one of the set with the lowest mean loss, or the nearest


class History(Vocabulary):
    """The answers that a conversation goes on with."""

    OWN = "own"
    GOLD = "gold"


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
    """How closely files are looked at; each depth sees all that those before it see."""

    NAMES = "names"
    HEADER = "header"
    CHECKSUM = "checksum"
    DECODE = "decode"


Word = TypeVar("Word", bound=str)


def one_of(value: str, known: Iterable[Word], option: str) -> Word:
    """Gives the word of a vocabulary that the user has typed. Raises UsageError for any other."""
    words = list(known)
    if value not in words:
        raise UsageError(f"unknown {option} {value!r}.{did_you_mean(value, words)}", f"one of: {', '.join(words)}")
    return words[words.index(value)]


def tasks_words(names: str | None) -> str:
    """Gives the words that make another command mean the same tasks: `` --tasks NAMES``; "" for all tasks."""
    return f" --tasks {shlex.quote(names)}" if names is not None else ""


def did_you_mean(word: str, known: Sequence[str], alike: float = 0.5) -> str:
    """Gives `` Did you mean 'x'?`` for the most similar of ``known``; "" if all are less than ``alike`` (0 to 1)."""
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), known, n=1, cutoff=alike)
    return f" Did you mean {near[0]!r}?" if near else ""


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes an object of JSON; for ``object_pairs_hook`` of Python's reader, which would take the last of equal keys.

    Raises ValueError for a key that stands there twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made


def natural_order(name: str) -> list[tuple[int, str]]:
    """Makes a key that sorts step 9 before step 10, however many digits there are."""
    parts = re.split(r"([0-9]+)", name)
    numbers = (part.lstrip("0") if i % 2 else part for i, part in enumerate(parts))
    return [(len(part), part) if i % 2 else (-1, part) for i, part in enumerate(numbers)]


def whole_number(text: str) -> int | None:
    """Reads a whole number in the digits 0 to 9; None for other texts, and for more digits than any count has."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None  # isdigit() is true of "²", which int() refuses


def number_or_text(text: str) -> int | str:
    """Reads a whole number as whole_number does; any other text stays one."""
    number = whole_number(text)
    return text if number is None else number


def printable(text: str) -> str:
    """Gives a text on one line; what would steer a terminal or turn the text around is written as ``\\x1b``."""
    return text if text.isprintable() else "".join(map(_printable, as_utf8(text)))


def as_utf8(text: str) -> str:
    """Reads a word of the command line or a file's name as UTF-8, where a system without it gave its bytes one by one.

    What is no UTF-8 stays as it is.
    """
    if not text.isascii() and not text.isprintable():
        with contextlib.suppress(UnicodeEncodeError):
            return text.encode(errors="surrogateescape").decode(errors="surrogateescape")
    return text


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def written_in(text: str, encoding: str) -> str:
    """Gives a text in the characters of an encoding: its signs in ASCII, others as ``\\u4e2d`` or ``\\xe9``."""
    try:
        text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        text = as_utf8(text)
        signed = "".join(SIGNS.get(c, c) if not _fits(c, encoding) else c for c in text)
        return signed.encode(encoding, "backslashreplace").decode(encoding)
    return text


def _fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def without_middle(text: str) -> str:
    """Leaves out the middle of a text that nobody reads to its end: a value out of a file, a name in an archive."""
    half = _MOST_IN_ALL // 2
    return text if len(text) <= _MOST_IN_ALL else f"{text[:half]} [...] {text[-half:]}"


def printable_lines(text: str) -> str:
    """Does as printable for each line of a text."""
    return "\n".join(map(printable, text.split("\n")))


def listed(things: Iterable[object], most: int = 5, n_all: int | None = None) -> str:
    """Writes a list, cut off after ``most``: ``3, 17, 20, 21, 22 and 12 more``.

    With ``n_all``, which is how many there are, no more of them are made than are shown.
    """
    texts = [
        without_middle(printable(str(thing))) for thing in (things if n_all is None else itertools.islice(things, most))
    ]
    n, shown = len(texts) if n_all is None else n_all, ", ".join(texts[:most])
    return f"{shown} and {n - most} more" if n > most else shown


def plural(noun: str) -> str:
    """Writes the plural of a noun: ``sessions``, ``categories``."""
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


def all_of(things: Iterable[str]) -> str:
    """Writes ``a``, ``a and b``, or ``a, b and c``."""
    return _joined(things, "and")


def any_of(things: Iterable[str]) -> str:
    """Writes ``a``, ``a or b``, or ``a, b or c``."""
    return _joined(things, "or")


def _joined(things: Iterable[str], last_by: str) -> str:
    *firsts, last = [*things] or [""]
    return f"{', '.join(firsts)} {last_by} {last}" if firsts else last


def first_line(error: BaseException, otherwise: str = "") -> str:
    """Gives the first line of an error's text; for an empty text ``otherwise``, else its name and arguments."""
    return (str(error).strip() or otherwise or repr(error)).splitlines()[0]


def one_line(error: BaseException) -> str:
    """Gives an error's text on one line, no longer than a message may be."""
    return shortened(str(error)) or repr(error)


def shortened(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Gives a text on one line, no longer than a message may be."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
