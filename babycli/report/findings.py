"""What makes a logged number untrustworthy, by kind.

Owns the words. Never looks at a log: samples.py, lmms.py and audit.py find.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    UNREADABLE = "unreadable"
    SAMPLES_MISSING = "no samples"
    NO_NUMBER = "no number in the results"
    OTHER_TASK = "another task of the same name"
    LABELS_DIFFER = "label rows differ"
    ROWS_MISSING = "rows missing"
    ROWS_REPEATED = "rows repeated"
    ROWS_UNKNOWN = "rows that no label file has"
    INCOMPLETE = "incomplete trials"
    SKIPPED = "trials left out"
    LIMIT = "a limit in force"
    STRINGS = "strings where numbers belong"
    CONSTANT = "constant losses"
    NONFINITE = "non-finite losses"
    TIES = "ties won by position"
    PROMPT = "prompt fell back to the default"
    LOGGED_DIFFERS = "logged number differs from its own samples"


@dataclass(frozen=True, slots=True)
class Finding:
    task: str  # "" where it concerns the whole run
    kind: Kind
    detail: str  # what was found and what it does, without a full stop
