"""Fields of a JSON file that another program, or an older babycli, may have written: nothing about them is certain.

Owns what is taken for a field of another type than expected. Never raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDEST = 1 << 53  # floats hold every whole number up to this one; len() and range() can take it, too


def mapping(value: object) -> Mapping[str, Any]:
    """Gives an object of JSON; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """Gives a text or number of JSON as text; "" for anything else."""
    return "" if value is None or isinstance(value, dict | list) else str(value)


def number(value: object) -> int | float | None:
    """Gives a number of JSON; None for anything else, and for a whole number that is beyond all floats and counts."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if isinstance(value, float) or abs(value) < _WIDEST else None


def count(value: object) -> int | None:
    """Gives a number of things; None for anything else, and for more than can be counted."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _WIDEST else None
