"""Finding the unfinished run that a command continues.

Owns the choice. Two evaluations are the same if their identities are (logs/identity.py). Never reads a score and never
writes.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babycli.errors import ResumeError
from babycli.evaluation.timings import PHASES
from babycli.logs.identity import Identity
from babycli.logs.schema import NAME_FORMAT, RUN_FILE, SCHEMA_VERSION, read_run


def find_unfinished(runs: Path, now: Identity) -> Path | None:
    """Finds the latest run below a model's folder that has no results and the same identity as ``now``.

    Raises ResumeError, showing each difference, if there is no such run, but the last run with these tasks, limit and
    control is unfinished: then something has changed since it began. A run with another control is another
    evaluation, as one with other tasks is.
    """
    conflict: ResumeError | None = None
    is_last = True
    for folder, run in latest_first(runs):
        if _asked(run) != _asked_now(now):
            continue
        if not any(folder.glob("*_results.json")):
            differences = _differences(run, now)
            if not differences:
                _check_run(folder, run)
                return folder
            if is_last:
                conflict = ResumeError(
                    "\n  ".join([f"{folder} is unfinished, and was begun with something else:", *differences]),
                    "undo the change and give the command again; or start anew with  --no-resume",
                )
        is_last = False
    if conflict is not None:
        raise conflict
    return None


def _check_run(folder: Path, run: Mapping[str, Any]) -> None:
    """Checks what a continued run takes over from run.json, which somebody may have edited. Raises ResumeError."""
    try:
        sessions, size = run.get("sessions", []), run.get("batch_size", 1)
        times = [session[key] for session in sessions for key in ("start", "end") if key in session]
        seconds = [session["timings"][phase] for session in sessions if "timings" in session for phase in PHASES]
        is_sound = run["schema_version"] == SCHEMA_VERSION
        is_sound &= all(datetime.fromisoformat(time) for time in [*times, *([run["start"]] if "start" in run else [])])
        is_sound &= all(isinstance(session, dict) and "start" in session for session in sessions)
        is_sound &= isinstance(sessions, list) and isinstance(size, int) and not isinstance(size, bool) and size > 0
        is_sound &= all(isinstance(value, int | float) and math.isfinite(value) for value in seconds)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        is_sound = False
    if not is_sound:
        raise ResumeError(
            f"{folder / RUN_FILE} is damaged: its schema_version, sessions, start or batch_size are not as this "
            "babycli writes them",
            "put the file back as it was; or start anew with  --no-resume",
        )


def latest_first(runs: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Lists the runs of a model, the last begun first."""
    if not os.path.isdir(runs):  # also of a name that is too long, which pathlib would not take
        return []
    there = [(folder, run) for folder in sorted(runs.glob("*/")) if (run := read_run(folder)) is not None]
    return sorted(there, key=lambda pair: (_start(*pair), pair[0]), reverse=True)


def _start(folder: Path, run: Mapping[str, Any]) -> datetime:
    """Gives the time when a run began: as it says, else by its folder's name, which is in local time in 0.1.0."""
    for text, parse in ((str(run.get("start")), datetime.fromisoformat), (folder.name, _time_in_name)):
        with contextlib.suppress(ValueError):
            return parse(text).astimezone(UTC)
    return datetime.min.replace(tzinfo=UTC)


def _time_in_name(name: str) -> datetime:
    return datetime.strptime(name, NAME_FORMAT).replace(tzinfo=UTC)


def _differences(run: Mapping[str, Any], now: Identity) -> list[str]:
    try:
        return Identity.from_document(run["identity"]).differences(now)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return [f"identity: damaged, or of before identities were logged (babycli {run.get('babycli_version')!r:.40})"]


def _asked(run: Mapping[str, Any]) -> tuple[object, ...]:
    """Gives the tasks, limit, sample and kind of control that a run was begun with."""
    tasks, control = run.get("tasks"), run.get("control")
    names = frozenset(tasks) if isinstance(tasks, dict) else frozenset()
    sample = run.get("sample")
    chosen = (sample.get("n"), sample.get("seed")) if isinstance(sample, dict) else None
    return names, run.get("limit"), chosen, control.get("kind") if isinstance(control, dict) else None


def _asked_now(now: Identity) -> tuple[object, ...]:
    question = now.question
    chosen = (question.sample.n, question.sample.seed) if question.sample else None
    return frozenset(question.tasks), question.limit, chosen, question.control.kind if question.control else None
