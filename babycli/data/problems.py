"""What can be wrong with a dataset: typed problems that are collected, sorted and shown together.

Owns their kinds, and the exit code and the error of a collection. Never looks for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from babycli.errors import BabycliError, ChecksumError, DataError, ExitCode


class ProblemKind(StrEnum):
    LABELS_MISSING = "LabelsMissing"
    LABELS_CHECKSUM = "LabelsChecksumMismatch"
    LABELS_MALFORMED = "LabelsMalformed"
    TRIAL = "TrialMalformed"
    UNSAFE_NAME = "UnsafeName"
    COLLISION = "NameCollision"
    SUSPICIOUS_SIZE = "SuspiciousSize"
    LINK_MISSING = "LinkMissing"
    LINK_BROKEN = "LinkBroken"
    LINK_CHANGED = "LinkChanged"
    MISSING = "Missing"
    UNEXPECTED = "Unexpected"
    CASE = "CaseMismatch"
    WRONG_FOLDER = "WrongFolder"
    NOT_A_FILE = "NotAFile"
    EMPTY = "Empty"
    UNREADABLE = "Unreadable"
    NOT_AN_IMAGE = "NotAnImage"
    TRUNCATED = "Truncated"
    UNDECODABLE = "Undecodable"
    CHECKSUM = "ChecksumMismatch"
    DUPLICATE = "DuplicateContent"


_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
SHOWN = 5  # so many of a collection stand in an error message
_CHECKSUM_KINDS = frozenset({ProblemKind.LABELS_CHECKSUM, ProblemKind.CHECKSUM})


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    task: str  # "" for a file that no task reads
    kind: ProblemKind
    subject: str  # the path or name it is about
    detail: str = ""

    def __str__(self) -> str:
        of_task = f"{self.task}: " if self.task else ""
        text = f"{of_task}{self.kind} {self.subject}" + (f": {self.detail}" if self.detail else "")
        return text.translate(_CONTROL)  # a name must not end a line, nor speak to the terminal


def exit_code(problems: Iterable[Problem]) -> ExitCode:
    """0 for none, 4 when checksums are all that is wrong, else 3."""
    kinds = {problem.kind for problem in problems}
    if not kinds:
        return ExitCode.DONE
    return ExitCode.CHECKSUM if kinds <= _CHECKSUM_KINDS else ExitCode.DATA


def raise_for(problems: Sequence[Problem], mend: str) -> None:
    """Raises DataError or ChecksumError that shows the first few problems; nothing for none."""
    if not problems:
        return
    lines = [str(problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN} more")
    kind: type[BabycliError] = ChecksumError if exit_code(problems) == ExitCode.CHECKSUM else DataError
    raise kind("\n".join(lines), mend)
