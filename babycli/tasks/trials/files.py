"""The trials file that a user names, read and checked.

Owns the name of its task, and where its pictures lie: in its own folder, unless another is named.
"""

from __future__ import annotations

import re
from pathlib import Path

from babycli.data.labels import MAX_LABEL_BYTES
from babycli.data.problems import Problem, ProblemKind, raise_for
from babycli.data.rows import parse_rows
from babycli.errors import DataError, UsageError
from babycli.files import in_memory, raise_limit, read_file
from babycli.tasks.trials.named import NamedTrials
from babycli.tasks.trials.task import TrialsTask, read_trials

_ODD = re.compile(r"[^A-Za-z0-9_.-]+")


def task_in(named: NamedTrials) -> TrialsTask:
    """Makes the task of a trials file.

    Raises UsageError for a name that no task can have, and DataError with the lines that are wrong.
    """
    path = named.path
    name = _ODD.sub("_", path.stem).strip("_.-")
    if not name:
        raise UsageError(f"no task can be named after {path}", "name that file with letters from a to z and digits")
    if not path.exists():
        raise DataError(f"there is no trials file {path}", "name one that is there:  --trials FILE.jsonl")
    raw = content_of(path)
    with in_memory(path):
        parsed = parse_rows(raw, TrialsTask.label_format, TrialsTask.columns)
        rows = [placed.row for placed in parsed.rows]
        places = [placed.place for placed in parsed.rows]
        read = read_trials(rows, places)
        wrong = [*parsed.wrong, *(f"{places[at]} {fault}" for at, fault in read.faults.items())]
    if not rows and not wrong:
        wrong = ["it has no trials"]
    problems = [Problem(name, ProblemKind.LABELS_MALFORMED, str(path), detail) for detail in wrong]
    raise_for(
        problems, f"mend {'that line' if len(wrong) == 1 else 'those lines'}; docs/trials.md says what a line has"
    )
    return TrialsTask(name, path, named.images or path.parent, read.sound)


def content_of(path: Path) -> bytes:
    """Reads a file of trials, also of other forms. Raises DataError."""
    try:
        return read_file(path, MAX_LABEL_BYTES)
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read {path}: {error.strerror}", "name a file of trials that can be read") from error
