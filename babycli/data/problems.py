"""The problems of a dataset: typed, collected, sorted and shown together.

Owns their kinds, and the lines, the exit code and the error of a collection of them. Never looks for a problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from babycli.errors import BabycliError, ChecksumError, DataError, ExitCode
from babycli.wording import without_middle


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
    PAYLOAD = "PayloadMismatch"


_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
SHOWN = 5  # problems in an error message
SHOWN_OF_A_CAUSE = 20  # problems with the same cause, in a list
SHOWN_IN_ALL = 1_000  # problems, in a list
_CHECKSUM_KINDS = frozenset({ProblemKind.LABELS_CHECKSUM, ProblemKind.CHECKSUM, ProblemKind.PAYLOAD})


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    task: str  # "" for a file that no task reads
    kind: ProblemKind
    subject: str  # the path or name that it is about
    detail: str = ""

    def __str__(self) -> str:
        of_task = f"{self.task}: " if self.task else ""
        text = f"{of_task}{self.kind} {self.subject}" + (f": {self.detail}" if self.detail else "")
        return without_middle(text.translate(_CONTROL))  # a name must not end a line, nor control the terminal


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Gives each problem once, sorted; a key spares hundreds of thousands of them comparisons in Python."""
    return sorted(set(problems), key=attrgetter("task", "kind", "subject", "detail"))


def told(problems: Sequence[Problem], in_full: Collection[ProblemKind] = ()) -> Iterator[str]:
    """Gives the line of each problem; a cause that many share is told with the first of them only.

    Of the kinds ``in_full`` each problem has its line, however many there are.
    """
    causes = Counter((problem.task, problem.kind, problem.detail) for problem in problems)
    shown: Counter[tuple[str, str, str]] = Counter()
    for problem in problems:
        cause = problem.task, problem.kind, problem.detail
        shown[cause] += 1
        if problem.kind in in_full or causes[cause] <= SHOWN_OF_A_CAUSE or shown[cause] < SHOWN_OF_A_CAUSE:
            yield str(problem)
        elif shown[cause] == SHOWN_OF_A_CAUSE:
            yield f"{problem}; and {causes[cause] - SHOWN_OF_A_CAUSE} more of this kind"


def exit_code(problems: Iterable[Problem]) -> ExitCode:
    """Gives the exit code: 0 for no problem, 4 if checksums are all that is wrong, else 3."""
    kinds = {problem.kind for problem in problems}
    if not kinds:
        return ExitCode.DONE
    return ExitCode.CHECKSUM if kinds <= _CHECKSUM_KINDS else ExitCode.DATA


def raise_for(problems: Sequence[Problem], mend: str) -> None:
    """Raises a DataError or ChecksumError that shows the first few problems; does nothing if there are none."""
    if not problems:
        return
    lines = [str(problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN} more")
    kind: type[BabycliError] = ChecksumError if exit_code(problems) == ExitCode.CHECKSUM else DataError
    raise kind("\n".join(lines), mend)
