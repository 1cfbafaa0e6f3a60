"""Kinds of findings: what makes a logged number untrustworthy, and what a reader of it should know besides.

Owns the words. Never looks at a log: samples.py, logged.py and audit.py do, and readers of other programs' logs, which
have kinds of their own besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    UNREADABLE = "unreadable"
    UNKNOWN_TASK = "task not known here"
    NOT_LOOKED_AT = "numbers that were not looked at"
    SAMPLES_MISSING = "no samples"
    NO_NUMBER = "no number in the results"
    LABELS_DIFFER = "label rows differ"
    ROWS_MISSING = "rows missing"
    ROWS_REPEATED = "rows repeated"
    ROWS_UNKNOWN = "rows that no label file has"
    INCOMPLETE = "incomplete trials"
    SKIPPED = "trials left out"
    LIMIT = "a limit in force"
    SAMPLE = "a sample of the trials"
    SIGN = "losses below 0"
    CONSTANT = "constant losses"
    NONFINITE = "non-finite losses"
    REPLIES = "odd replies"
    TIES = "ties won by position"
    LOGGED_DIFFERS = "logged number differs from its own samples"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a log, or that a reader should know."""

    task: str  # "" where it concerns the whole run
    kind: StrEnum
    detail: str  # what it is and what it does, without a full stop
    is_grave: bool = True  # the numbers must not be trusted as they are
