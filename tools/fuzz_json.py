"""Damage to JSON that leaves it JSON: other values and types, numbers beyond all bounds, depth, keys that stand twice.

Owns what suits any JSON. Never knows what the keys mean: a target gives values of its own format as ``spare``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.0, 1e-9, 1e308, float("nan"), float("inf"), -float("inf")),
    *(255, 65_536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), 10**9, 10**18, 10**400),
    *("", " ", "x", "0", "-1", "1e400", "auto", "null", "true", "/", "..", ".", "\0", "\n", "\ud800", "\u202e", "é"),
    *("\x1b]52;c;eA==\x07", "{{ x }}", "{% for %}", "%s", "{}", "\U0001f600" * 3, "x" * 5000, "a/../../b", "/dev/zero"),
    *([], {}, [[]], [None], [{}], {"": None}, {"a": {}}, [0], [1, 2], [-1, 0.5], ["x"], [True, "x", None], [0] * 500),
)
_DEEP = "deep below"  # stands in a text for what json.dumps could not write


def damaged_json(rng: Random, content: bytes, spare: Sequence[Any] = ()) -> bytes:
    """Damages a JSON text in one to three places; of what is no JSON, nothing."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return content
    box = [whole]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _damage_once(rng, box, spare)
    text = json.dumps(box[0])
    if _DEEP in text:
        n = rng.choice((5, 100, 3_000, 100_000))
        opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
        text = text.replace(f'"{_DEEP}"', opened * n + "1" + closed * n)
    if rng.random() < 0.03:
        text = _with_key_twice(rng, text)
    return text.encode()


def _damage_once(rng: Random, box: list[Any], spare: Sequence[Any]) -> None:
    """Changes one value somewhere in a JSON value, which is all that the box holds."""
    places = list(_places(box))
    holder, key = rng.choice(places)
    if rng.random() < 0.5:  # large vocabularies do not get all the damage
        shallow = [(box, 0)]
        for _ in range(rng.randrange(1, 5)):
            inner, at = shallow[-1]
            value = inner[at]
            keys = (
                list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
            )
            if not keys:
                break
            shallow.append((value, rng.choice(keys)))
        holder, key = shallow[-1]
    value = holder[key]
    match rng.randrange(10):
        case 0 | 1 | 2:
            holder[key] = rng.choice((*_ODD, *spare, *spare, _DEEP))
        case 3:
            if len(holder) > 1:
                del holder[key]
        case 4:
            inner, at = rng.choice(places)
            holder[key] = json.loads(json.dumps(inner[at]))
        case 5:
            holder[key] = rng.choice(([value], {"type": value}, [value] * 3, str(value)))
        case 6:
            holder[key] = _changed(rng, value)
        case 7 if isinstance(holder, dict):
            names = [name for inner, name in places if isinstance(inner, dict)]
            holder[rng.choice((*names, "", "x", "\ud800"))] = holder.pop(key)
        case 8 if isinstance(holder, list) and holder is not box:
            holder.insert(rng.randrange(len(holder) + 1), rng.choice((value, *_ODD, *spare)))
        case _:
            holder[key] = _changed(rng, value)


def _changed(rng: Random, value: Any) -> Any:
    """Changes a value a little: a number by its size or sign, a text by a letter, a list by its order."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return rng.choice((value + 1, value - 1, -value, value * 2, value * 1000, value / 2, str(value), value + 0.5))
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        letter = rng.choice(("", " ", "\0", "/", "é", "\ud800", "\n", "x", "<", "{", "1"))
        return rng.choice((value[:at] + letter + value[at + 1 :], value * 2, value[:at], value.upper(), f" {value}"))
    if isinstance(value, list):
        return rng.choice((value[::-1], value * 2, value[:1], value[1:]))
    return dict(list(value.items())[1:])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Gives every place of a value: what holds it, and the key or index there."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _with_key_twice(rng: Random, text: str) -> str:
    """Gives the object another value for its first key, or a key of its own twice."""
    name, _, _ = text.partition(":")
    return f"{name}: {json.dumps(rng.choice(_ODD))}, {text[1:]}" if text.startswith('{"') else text
