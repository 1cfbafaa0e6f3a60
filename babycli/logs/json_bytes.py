"""JSON of values in which there may be names of files that are not UTF-8.

Owns how such a name is told. Never knows what the values are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from babycli.wording import as_utf8


def json_bytes(value: Any, option: int | None = None) -> bytes:
    """Writes JSON as orjson does; what is no Unicode in a name, as of a file that is not UTF-8, as ``\\udcff``."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        return orjson.dumps(_in_unicode(value), option=option)


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return as_utf8(value).encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_in_unicode(key): _in_unicode(inner) for key, inner in value.items()}
    return [_in_unicode(inner) for inner in value] if isinstance(value, list | tuple) else value
