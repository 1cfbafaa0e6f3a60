"""Values of JSON, and dataclasses of them: what a log holds has the types that the code says, or is refused.

Owns decoding what is nested within reason, and the check of fields, lists and objects in them. Never knows what a field
means.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import reprlib
import types
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

TOO_DEEP = "has objects in objects, too many levels deep"
_WIDEST = 1 << 63  # whole numbers from here on are no counts, and some are beyond all floats

_HALF = re.compile("[\ud800-\udfff]")  # of a character, which no file of UTF-8 can hold
_DEEPEST = 200  # lists and objects in one another; Python's repr() and json end at about 1,000

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)  # has a hash, though it holds a mapping
class Keywords:
    """Adds to the JSON Schema of a type what the type cannot say."""

    keywords: Mapping[str, Any]


def from_json(raw: bytes) -> Any:
    """Decodes JSON. Raises ValueError for what is none, and for values that lie too deep in others."""
    value = orjson.loads(raw)
    if raw.count(b"[") + raw.count(b"{") > _DEEPEST and is_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def is_deep(value: object) -> bool:
    """Tells whether lists and objects are nested too deep for functions that go down into them."""
    level = [value]
    for _ in range(_DEEPEST):
        inner = (of.values() if isinstance(of, dict) else of for of in level if isinstance(of, dict | list))
        level = [each for of in inner for each in of if isinstance(each, dict | list)]
        if not level:
            return False
    return True


def read_as(kind: type[T], raw: object, passes_over: bool = False) -> T:
    """Makes an object of a dataclass from the object of JSON that has its fields.

    With ``passes_over``, fields that it does not know, as a later version may add them, are left out. Raises TypeError
    or ValueError for anything else, with the name of the field.
    """
    made: T = _read_object(kind, raw, kind.__name__, passes_over)
    return made


def _read_object(kind: Any, raw: object, name: str, passes_over: bool) -> Any:
    if not isinstance(raw, dict):
        raise TypeError(f"{name} is {reprlib.repr(raw)}, should be an object")
    known, needed = _fields(kind)
    lacking = [field for field in needed if field not in raw]
    others = [] if passes_over else [field for field in raw if field not in known]
    if lacking or others:
        raise TypeError(f"{name} has no {lacking[0]}" if lacking else f"{name} has {others[0]!r:.80}, which none has")
    read = {field: _read(known[field], raw[field], field, passes_over) for field in known if field in raw}
    return kind(**read)


@functools.cache
def _fields(kind: Any) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Gives the types of a dataclass's fields by name, and the names of those that have no default."""
    hints, none = get_type_hints(kind), dataclasses.MISSING
    fields = dataclasses.fields(kind)
    needed = (field.name for field in fields if field.default is none and field.default_factory is none)
    return {field.name: hints[field.name] for field in fields}, tuple(needed)


def _read(kind: Any, raw: Any, name: str, passes_over: bool) -> Any:
    """Reads a value as a type: a dataclass, a vocabulary, a plain type, or these in tuples, mappings and unions."""
    of, inner = get_origin(kind), get_args(kind)
    if of in (types.UnionType, Union):
        (other,) = (each for each in inner if each is not type(None))  # only  X | None  is used
        return None if raw is None else _read(other, raw, name, passes_over)
    if of is tuple and isinstance(raw, list):
        if inner[-1] is ...:
            return tuple(_read(inner[0], each, name, passes_over) for each in raw)
        return tuple(_read(each, value, name, passes_over) for each, value in zip(inner, raw, strict=True))
    if of is Mapping and isinstance(raw, dict):
        return {
            _read(str, key, name, passes_over): _read(inner[1], value, f"{name} of {key!r:.80}", passes_over)
            for key, value in raw.items()
        }
    if dataclasses.is_dataclass(kind):
        return _read_object(kind, raw, name, passes_over)
    if isinstance(raw, str) and isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(raw)
    if of is Literal and isinstance(raw, str) and raw in inner:
        return raw
    if kind is float and type(raw) in (int, float) and abs(raw) < _WIDEST:
        return float(raw)
    if kind is str and isinstance(raw, str) and not raw.isascii() and _HALF.search(raw):
        raise ValueError(f"{name} holds half of a character: {raw!r:.80}")
    if kind in (str, bool, int) and type(raw) is kind and (kind is not int or abs(raw) < _WIDEST):
        return raw
    raise TypeError(f"{name} is {reprlib.repr(raw)}, should be {getattr(kind, '__name__', kind)}")
