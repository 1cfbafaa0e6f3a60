"""The names of a zip's members, gathered many at once, against each name read by itself."""

from __future__ import annotations

import random
import zlib

import pytest

from babycli.data.names import MAX_DEPTH, MAX_NAME_BYTES, leads_astray, normal_name
from babycli.data.zip_names import ZipNames

PIECES = ["a", "b.jpg", "/", "/", "c", "e" * 9]
ODD_PIECES = [".", "..", "./", "//", "\\", "\0", "\n", "é", "", "/" * (MAX_DEPTH + 1), "g" * MAX_NAME_BYTES]


def gathered(names: list[bytes], at_once: int, may_differ: bool = False) -> ZipNames:
    found = ZipNames()
    for start in range(0, len(names), at_once):
        positions = range(start, min(len(names), start + at_once))
        some = names[start : start + at_once]
        found.add(some, positions, lambda at: normal_name(names[at].decode()), may_differ)
    return found


def drawn(rng: random.Random) -> bytes:
    pieces = PIECES if rng.random() < 0.9 else [*PIECES, *ODD_PIECES]
    return "".join(rng.choices(pieces, k=rng.randrange(1, 7))).encode()


@pytest.mark.parametrize("seed", range(30))
def test_many_names_are_gathered_as_single_ones_are(seed: int) -> None:
    rng = random.Random(seed)
    names = [drawn(rng) for _ in range(rng.choice([1, 3, 40]))]
    at_once, singly, read = gathered(names, 40), gathered(names, 1), gathered(names, 7, may_differ=True)
    forms = [normal_name(name.decode()) for name in names]
    expected = [zlib.crc32(f.encode()) << 40 | i for i, f in enumerate(forms) if not f.endswith("/")]
    members = [form for form in forms if not form.endswith("/") and not leads_astray(form)]
    folders = {form.rpartition("/")[0].encode() for form in members if form.count("/") <= MAX_DEPTH}
    for found in (at_once, singly, read):
        assert (found.keyed, found.folders) == (expected, {b"", *folders})
    is_changed = any(form != name.decode() or leads_astray(form) for form, name in zip(forms, names, strict=True))
    assert at_once.are_plain == singly.are_plain
    if is_changed and all(not form.endswith("/") for form in forms):
        assert not at_once.are_plain
    if not all(name.isascii() for name in names):
        assert not at_once.are_plain
    assert not read.are_plain
