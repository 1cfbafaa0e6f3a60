"""The name that a user gives to a run, instead of its model's path.

Owns which texts are names. The name lies in run.json alone: it is no part of a run's identity, and no folder's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from babycli.errors import UsageError
from babycli.wording import as_utf8, shortened

NAME = "name"  # the field of run.json
_MOST = 80  # characters


def checked_name(text: str) -> str:
    """Gives a name as it is meant. Raises UsageError for one that is blank, too long, or would steer a terminal."""
    text = as_utf8(text)
    if not text.strip() or text != text.strip():
        raise UsageError(f"{text!r:.40} is no name for a run", "give some letters, without blanks around them")
    if len(text) > _MOST:
        raise UsageError(f"the name {shortened(text, 40)!r} has {len(text)} characters", f"give up to {_MOST}")
    if not text.isprintable():
        raise UsageError(f"the name {text!r:.80} has characters that cannot be shown", "leave them out")
    return text


def name_of(run: Mapping[str, Any]) -> str:
    """Gives the name in a run.json; "" where there is none, or one that nobody could have given."""
    name = run.get(NAME)
    try:
        return checked_name(name) if isinstance(name, str) else ""
    except UsageError:
        return ""
