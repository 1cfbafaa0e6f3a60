"""Kinds of findings that only logs of lmms-eval have.

Owns the words.
"""

from __future__ import annotations

from enum import StrEnum


class LmmsKind(StrEnum):
    OTHER_TASK = "another task of the same name"
    TWICE = "the same task twice"
    SIGN = "log-probabilities in the place of losses"
    STRINGS = "strings where numbers belong"
    EXCEPTIONS = "exceptions turned into empty replies"
    PROMPT = "prompt fell back to the default"
