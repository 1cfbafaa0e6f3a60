"""docs/devcv.md: the tables of what is read in replies are true."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from babycli.tasks.devcv.answers import DIRECTION, LETTER, NUMBER, Kind
from babycli.tasks.devcv.entries import Question
from tests.conftest import REPOSITORY

KINDS = {"A letter": LETTER, "A number": NUMBER, "A direction": DIRECTION}


def rows() -> Iterator[tuple[Kind, str, str, str, str]]:
    """A kind of answers, a reply, what is said of the question, and what the fair and the authors' reading give."""
    heading = ""
    for line in (REPOSITORY / "docs" / "devcv.md").read_text().splitlines():
        heading = line.removeprefix("### ") if line.startswith("#") else heading
        if heading in KINDS and line.startswith("| `"):
            replies, fair, authors = (cell.strip() for cell in line.strip("|").split(" | ")[:3])
            said, _, where = replies.partition(" where ")
            of_row = re.findall("`([^`]+)`", said)
            for i, reply in enumerate(of_row):
                yield KINDS[heading], reply, where, _nth(fair, i, len(of_row)), _nth(authors, i, len(of_row))


def _nth(cell: str, i: int, n: int) -> str:
    each = cell.split(", ")
    return each[i] if len(each) == n else cell


def question(where: str) -> Question:
    offered = "(A) <image> (B) <image>" if "A and B" in where else "(A) <image> (B) <image> (C) <image> (D) <image>"
    if "`" in where:
        offered = "".join(re.findall("`([^`]+)`", where))
    wish = " Answer with a number." if "with a number" in where else ""
    return Question(f"Which?{wish} {offered}", (), "")


@pytest.mark.parametrize(("kind", "reply", "where", "fair", "authors"), list(rows()))
def test_the_tables_are_true(kind: Kind, reply: str, where: str, fair: str, authors: str) -> None:
    assert (kind.read(reply, question(where)) or "none") == fair
    assert (kind.extract(reply) or "none") == authors


def test_the_tables_are_found() -> None:
    assert len(list(rows())) > 40
