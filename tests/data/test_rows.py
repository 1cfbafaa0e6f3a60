"""Label files of millions of rows that are none: read up to a bound, and that is said."""

from __future__ import annotations

import pytest

from babycli.data.rows import parse_rows


@pytest.mark.parametrize(
    ("form", "content", "last"),
    [
        ("json", b"[" + b"1," * 20_000 + b"1]", "the rest, from item 10001 on, was not read"),
        ("csv", b"a,b\n" + b"1\n" * 20_000, "the rest, from line 10002 on, was not read"),
    ],
)
def test_no_more_faults_are_gathered_than_anybody_reads(form: str, content: bytes, last: str) -> None:
    read = parse_rows(content, form, ["a"])
    assert (read.rows, len(read.wrong), read.wrong[-1]) == ((), 10_001, last)


def test_as_many_faults_as_that_are_all_told() -> None:
    read = parse_rows(b"[" + b"1," * 9_999 + b"1]", "json", ["a"])
    assert (len(read.wrong), read.wrong[-1]) == (10_000, "item 10000 is 1, should be an object")
