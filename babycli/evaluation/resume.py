"""Finding the run that a command goes on with, and telling whether it is the same evaluation.

Owns which settings make two evaluations the same. Never reads a score and never writes. The number of processes, the
device and the batch size are not among them: they change a score by rounding alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babycli.errors import ResumeError
from babycli.evaluation.runlog import NAME_FORMAT, read_run
from babycli.models.base import args_with_effect

_SHOWN = 16  # characters of a digest


def find_unfinished(runs: Path, now: Mapping[str, Any]) -> Path | None:
    """The latest run below a model's folder that has no results and asks what ``now``, as in run.json, describes.

    Raises ResumeError, showing each difference, if there is none but the last of the runs on these very tasks, with the
    same control or none, is unfinished: then something has changed under it. A run of another control is another
    evaluation, as one of other tasks is.
    """
    conflict: ResumeError | None = None
    is_last = True
    begun = {folder: run for folder in runs.glob("*/") if (run := read_run(folder)) is not None}
    for folder in sorted(begun, key=lambda folder: (_start(folder, begun[folder]), folder), reverse=True):
        run = begun[folder]
        if _question(run) != _question(now):
            continue
        if not any(folder.glob("*_results.json")):
            differences = list(_differences("", _identity(run), _identity(now)))
            if not differences:
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


def _start(folder: Path, run: Mapping[str, Any]) -> datetime:
    """When a run was begun; of one that does not say, what its name says. Older runs are named in local time."""
    for text, parse in ((str(run.get("start")), datetime.fromisoformat), (folder.name, _named)):
        with contextlib.suppress(ValueError):
            return parse(text).astimezone(UTC)
    return datetime.min.replace(tzinfo=UTC)


def _named(name: str) -> datetime:
    return datetime.strptime(name, NAME_FORMAT).replace(tzinfo=UTC)


def _question(run: Mapping[str, Any]) -> tuple[object, ...]:
    """What was asked for, whatever it was asked about."""
    return set(run.get("tasks", ())), run.get("limit"), (run.get("control") or {}).get("kind")


def _identity(run: Mapping[str, Any]) -> dict[str, Any]:
    model = run.get("model", {})
    args = args_with_effect(model.get("args", {}))
    return {
        "babycli": run.get("babycli_version"),
        "model": {key: model.get(key) for key in ("family", "fingerprint", "dtype", "template")} | {"args": args},
        "control": run.get("control"),
        "scoring": run.get("scoring"),
        "tasks": {
            name: {
                key: task.get(key)
                for key in ("version", "labels_sha256", "n_units", "skipped", "prompt", "rendered_prompt")
            }
            for name, task in run.get("tasks", {}).items()
        },
        "images": run.get("images"),
    }


def _differences(where: str, logged: Any, now: Any) -> Iterator[str]:
    if isinstance(logged, dict) and isinstance(now, dict):
        for key in sorted(logged.keys() | now.keys()):
            yield from _differences(f"{where}{' ' if where else ''}{key}", logged.get(key), now.get(key))
    elif logged != now:
        yield f"{where}: {_text(logged)} in the log, {_text(now)} now"


def _text(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else value
    is_digest = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return f"{text[:_SHOWN]}..." if is_digest else repr(value)
