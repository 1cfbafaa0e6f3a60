"""Dataclasses from JSON: every field has its type, or is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pytest

from babycli.typed import from_json, read_as


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    n: int
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: Inner
    many: tuple[Inner, ...] = ()
    pair: tuple[float, float] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    colour: Colour = Colour.RED
    is_on: bool = False


WHOLE: dict[str, Any] = {
    "name": "x",
    "inner": {"n": 3, "kind": "b"},
    "many": [{"n": 1}],
    "pair": [0, 1.5],
    "texts": {"a": "b"},
    "colour": "red",
    "is_on": True,
}


def test_a_whole_object_is_read() -> None:
    made = read_as(Outer, WHOLE)
    assert made == Outer("x", Inner(3, "b"), (Inner(1),), (0.0, 1.5), {"a": "b"}, Colour.RED, True)
    assert isinstance(made.colour, Colour)
    assert read_as(Outer, {"name": "x", "inner": {"n": 0}}) == Outer("x", Inner(0))
    assert read_as(Outer, WHOLE | {"pair": None}).pair is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", 3), ("name", None), ("name", ["x"]), ("name", "\ud800"), ("texts", {"\ud800": "b"})),
        *(("inner", {}), ("inner", []), ("inner", {"n": "3"}), ("inner", {"n": True}), ("inner", {"n": 1.0})),
        *(("inner", {"n": 10**400}), ("inner", {"n": 1, "kind": "c"}), ("inner", {"n": 1, "kind": ["a"]})),
        *(("many", {"n": 1}), ("many", [3]), ("many", "xy")),
        *(("pair", [1]), ("pair", [1, 2, 3]), ("pair", [1, float("nan")]), ("pair", [1, 10**400]), ("pair", "ab")),
        *(("texts", []), ("texts", {"a": 1}), ("colour", "blue"), ("colour", []), ("is_on", 1), ("other", 1)),
    ],
    ids=ascii,
)
def test_a_value_of_another_type_is_named(field: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        read_as(Outer, WHOLE | {field: value})


def test_fields_of_a_later_version_may_be_passed_over() -> None:
    later = WHOLE | {"new": [1], "inner": {"n": 3, "new": 1}, "pair": None}
    assert read_as(Outer, later, passes_over=True).inner == Inner(3)
    with pytest.raises(TypeError, match="'new'"):
        read_as(Outer, later)


@pytest.mark.parametrize("around", [b"[%s]", b'{"a": %s}', b'[1, %s, "x"]'])
def test_json_is_read_to_some_depth(around: bytes) -> None:
    raw = b"1"
    for _ in range(200):
        raw = around.replace(b"%s", raw)
    assert from_json(raw) is not None
    with pytest.raises(ValueError, match="deep"):
        from_json(around.replace(b"%s", raw))
    assert from_json(b"[%s 1]" % (b"[1]," * 1000))
