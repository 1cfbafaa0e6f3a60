"""The texts that a model wrote for a task, counted: those without a word, error messages, and one text for most.

Owns what counts as such, and the words for it; runs, reports and audits all count here. A wrapper that turns each
exception into "" gives a run with numbers and no error; only the texts tell. Never decides an item, reads no file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from babycli.typed import read_as

_SPECIAL_TOKEN = re.compile(r"<\|?[^<>\s]{1,40}?\|?>|\[(?:PAD|UNK|CLS|SEP|MASK|EOS|BOS)\]", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
# "[GENERATION_FAILED] no such file", "Error: timeout", "CUDA error: out of memory", "Traceback (most recent ..."
_ERROR_MESSAGE = re.compile(
    r"\s*(?:\[[A-Z_ ]*(?:ERROR|FAIL)[A-Z_ ]*\]"
    r"|(?:[A-Za-z_]+ )?[\w.]*(?:Error|ERROR|Exception)\b[^.\n]{0,60}:"
    r"|error\s*:"
    r"|CUDA error\b"
    r"|Traceback \(most recent call last\))"
)
_SHOWN = 60  # characters of a text


@dataclass(frozen=True, slots=True)
class Reply:
    """A text that a model wrote."""

    row: int  # the place of its row in the label file, from 0
    text: str
    target: str = ""  # the right answer, where there is one
    answer: str = ""  # what is read in the text, where it is one of a closed set


@dataclass(frozen=True, slots=True)
class Replies:
    """All replies of a task, counted in the order of their rows."""

    n: int
    n_empty: int = 0  # without a word: "", blanks, line ends, punctuation, the rests of special tokens
    n_longest: int = 0  # of them, the most that follow one another
    longest_from: int = 0  # the row of the first of these
    n_errors: int = 0  # that are error messages
    error: str = ""  # the first of them
    error_row: int = 0
    n_same: int = 0  # that are the same text, that of most replies
    n_same_due: int = 0  # of them, those whose right answer it is
    same: str = ""  # that text
    is_same_answer: bool = False  # it is not the text that is the same, but the answer that is read in it

    @property
    def is_broken(self) -> bool:
        """Tells whether half of the replies or more are no replies at all, so that the score says nothing."""
        n_broken = self.n_empty + self.n_errors
        return n_broken > 0 and 2 * n_broken >= self.n

    @property
    def is_constant(self) -> bool:
        """Tells whether all replies say the same, or most do beyond those whose right answer it is."""
        return self.n_same > 1 and (self.n_same == self.n or 2 * (self.n_same - self.n_same_due) > self.n)

    def remarks(self, sees: bool = True) -> tuple[str, ...]:
        """Says what is odd about them, a clause each; that they are the same only of a model that ``sees``."""
        found = []
        if self.n_empty:
            longest = f"; the longest run of them is {self.n_longest}, from row {self.longest_from}"
            found.append(
                f"{self.n_empty} of {self.n} replies are empty, without a word{longest if self.n_longest > 1 else ''}"
            )
        if self.n_errors:
            found.append(
                f"{self.n_errors} of {self.n} replies are error messages; the first, in row {self.error_row}: "
                f"{_shown(self.error)}"
            )
        if sees and self.is_constant:
            what = "give the same answer" if self.is_same_answer else "are the same text"
            found.append(f"{self.n_same} of {self.n} replies {what}: {_shown(self.same)}")
        return tuple(found)

    def to_document(self) -> dict[str, Any]:
        """Gives the counts in values of JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, raw: Mapping[str, Any]) -> Replies:
        """Reads what ``to_document`` gives. Raises TypeError for anything else."""
        return read_as(cls, raw)


def count_replies(replies: Iterable[Reply]) -> Replies:
    """Counts the replies of a task; they are put in the order of their rows first."""
    ordered = sorted(replies, key=lambda reply: reply.row)
    empty = [is_empty(reply.text) for reply in ordered]
    errors = [reply for reply in ordered if is_error_message(reply.text)]
    n_longest, first = _longest_run(empty)
    words = Counter(_said(reply) for reply, lacks in zip(ordered, empty, strict=True) if not lacks)
    ((most, n_same),) = words.most_common(1) or [("", 0)]
    of_most = [reply for reply in ordered if n_same and _said(reply) == most]
    is_same_answer = len({_words(reply.text) for reply in of_most}) > 1
    return Replies(
        n=len(ordered),
        n_empty=sum(empty),
        n_longest=n_longest,
        longest_from=ordered[first].row if n_longest else 0,
        n_errors=len(errors),
        error=errors[0].text if errors else "",
        error_row=errors[0].row if errors else 0,
        n_same=n_same,
        n_same_due=sum(_words(reply.target) == most for reply in of_most),
        same=(of_most[0].answer if is_same_answer else of_most[0].text) if of_most else "",
        is_same_answer=is_same_answer,
    )


def is_empty(text: str) -> bool:
    """Tells whether a text has no word: no letter or digit, special tokens like ``</s>`` left out."""
    return not _WORD.search(_SPECIAL_TOKEN.sub("", text))


def is_error_message(text: str) -> bool:
    """Tells whether a text is the message of an exception that somebody's code wrote in the place of an answer."""
    return _ERROR_MESSAGE.match(text) is not None


def _said(reply: Reply) -> str:
    return _words(reply.answer or reply.text)


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _longest_run(empty: list[bool]) -> tuple[int, int]:
    """Gives the length of the longest run of True and where it begins; the first of equally long ones."""
    longest = begin = length = 0
    for i, lacks in enumerate(empty):
        length = length + 1 if lacks else 0
        if length > longest:
            longest, begin = length, i + 1 - length
    return longest, begin


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}...")
