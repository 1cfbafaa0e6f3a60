"""Damage that knows JSON: values of other types and of any size, keys that are lost or stand twice, lines in disorder.

Owns this damage, of a whole file and of one with a line for each object. Never knows what a key means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

TEXTS = (
    *("", " ", "nan", "-inf", "1e400", "0x10", "²", "٣", "1_000", "9" * 5000, "../../x", "/etc/passwd", "a\x00b"),
    *("\x1b]52;c;AAAA\x07", "\x9b2J", "\u202eabc", "a\u200bb", "a\nb", "a\rb", "\t=1+1", "=1+1", "a|b", "x" * 20_000),
    *("<script>alert(1)</script>", "$\\frac{1$", "\\input{x}", "`a`[b](c)", "\ud800", "a\n\nb", "\b\b\b", "{{7*7}}"),
)
_TOKENS = (
    *(b"null", b"true", b"false", b"0", b"-1", b"1", b"0.5", b"-0.0", b"3", b"1e400", b"-1e400", b"1e-400"),
    *(b"NaN", b"Infinity", b"-Infinity", b"9223372036854775808", b"18446744073709551616", b"1e308", b"3.5e38"),
    *(b"1" + b"0" * 400, b"9" * 5000, b"-" + b"9" * 5000, b"1." + b"9" * 5000, b"[]", b"{}", b"[[]]", b"[null]"),
    *(b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b'{"":{}}', b'[{"a":[1,"b",null]}]'),
    *(b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"[" * 100_000),
    *(b"[" * depth + b"]" * depth for depth in (150, 250, 930, 970, 1000, 1010)),
)


_LARGE = 1 << 20  # bytes that are not damaged again


@dataclass(frozen=True, slots=True)
class _Token:
    """A value as it stands in the file, JSON or not."""

    text: bytes


@dataclass(slots=True)
class _Object:
    """An object of JSON, whose keys may stand twice."""

    pairs: list[list[Any]]  # key and value


def damaged_json(rng: Random, content: bytes, spare: Sequence[Any] = ()) -> bytes:
    """Damages values of a file of JSON, or lines of one that has several; gives other files back as they are.

    ``spare``: values that mean something in this format, some of which are put in the place of others.
    """
    lines = content.splitlines(keepends=True)
    try:
        if len(lines) > 1 and json.loads(lines[0]):
            return _with_damaged_lines(rng, lines, spare)
    except ValueError:
        pass  # one object on several lines
    return _with_damaged_values(rng, content, spare)


def _with_damaged_lines(rng: Random, lines: list[bytes], spare: Sequence[Any]) -> bytes:
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(9):
        case 0:
            lines[at], lines[other] = lines[other], lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            del lines[at]
        case 3:
            lines.insert(at, rng.choice((b"\n", b"[]\n", b"null\n", b"{}\n", b"\xff\n", b"\x00" * 100 + b"\n")))
        case _:
            lines[at] = _with_damaged_values(rng, lines[at].rstrip(b"\n"), spare) + b"\n"
    return b"".join(lines)


def _with_damaged_values(rng: Random, content: bytes, spare: Sequence[Any]) -> bytes:
    try:
        root = [json.loads(content, object_pairs_hook=lambda pairs: _Object([list(pair) for pair in pairs]))]
    except (ValueError, RecursionError):
        return content
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _damage_one(rng, root, spare)
        content = _written(root[0])
        if len(content) > _LARGE:  # a long value in a hundred of a hundred members fills the memory
            break
    return content


def _damage_one(rng: Random, root: list[Any], spare: Sequence[Any]) -> None:
    """Damages one value; each key is as likely as any other, however long the lists beside it are."""
    places: list[tuple[list[Any], int]] = [(root, 0)]
    values: list[Any] = [root[0]]
    while rng.random() < 0.9:  # a way down
        inner = _places_in(values[-1])
        if not inner:
            break
        places.append(rng.choice(inner))
        values.append(places[-1][0][places[-1][1]])
    (holder, i), value = places[-1], values[-1]
    match rng.randrange(10):
        case 0 | 1:
            holder[i] = _Token(rng.choice(_TOKENS))
        case 2:
            holder[i] = _Token(json.dumps(rng.choice(spare)).encode() if spare else rng.choice(_TOKENS))
        case 3:
            holder[i] = rng.choice(TEXTS)
        case 7 | 8 if isinstance(value, int | float | str):
            holder[i] = _changed(rng, value)
        case 4:
            holder[i] = rng.choice((_Object([["a", value]]), [value], [value, value]))
        case 5:
            holder[i] = value if isinstance(value, list | _Object) else str(value)
        case 6:
            _damage_members(rng, value)
        case _:
            holder[i] = _Token(_written(rng.choice(values)))  # a copy, as a value cannot hold itself


def _changed(rng: Random, value: float | str) -> float | str:
    """Changes a value a little: a number by its size or sign, a text by a letter."""
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        letter = rng.choice(("", " ", "\0", "/", "é", "\ud800", "\n", "x", "<", "{", "1"))
        return rng.choice((value[:at] + letter + value[at + 1 :], value * 2, value[:at], value.upper(), f" {value}"))
    return rng.choice((value + 1, value - 1, -value, value * 2, value * 1000, value / 2, value + 0.5))


def _places_in(value: Any) -> list[tuple[list[Any], int]]:
    if isinstance(value, _Object):
        return [(pair, 1) for pair in value.pairs]
    return [(value, i) for i in range(len(value))] if isinstance(value, list) else []


def _damage_members(rng: Random, value: Any) -> None:
    """Loses, doubles, moves or renames a member of an object or a list."""
    members = value.pairs if isinstance(value, _Object) else value if isinstance(value, list) else []
    if not members:
        return
    at = rng.randrange(len(members))
    ways: tuple[Callable[[], object], ...] = (
        lambda: members.pop(at),
        lambda: members.append(members[at]),
        members.reverse,
        lambda: members.extend([members[at]] * 100),
        lambda: members[at].__setitem__(0, rng.choice(TEXTS)) if isinstance(value, _Object) else None,
    )
    rng.choice(ways)()


def _written(value: Any) -> bytes:
    if isinstance(value, _Token):
        return value.text
    if isinstance(value, _Object):
        return b"{" + b",".join(_written(key) + b":" + _written(inner) for key, inner in value.pairs) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_written, value)) + b"]"
    return json.dumps(value).encode()
