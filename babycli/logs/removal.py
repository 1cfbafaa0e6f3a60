"""Removing a run: the files that babycli has written into its folder, and the folder if nothing else is in it.

Owns what may be removed: nothing outside a folder of logs, nothing through a link, no run that a process is writing.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from babycli.errors import DataError, OutputError, ResumeError
from babycli.files import lock_now, open_to_read
from babycli.logs.answers import is_planted
from babycli.logs.schema import NAME_FORMAT, RUN_FILE, read_run

_SCORES = re.compile(r"scores\.rank[0-9]+\.jsonl")


def check_removable(folder: Path, logs: Path) -> None:
    """Checks that a folder is a run of babycli below ``logs``, with no link on the way. Raises DataError."""
    place, within = folder.absolute(), logs.absolute()
    if within not in place.parents:
        raise DataError(f"{folder} is not below {logs}", "name the folder of its logs:  --logs DIR")
    links = [step for step in (place, *place.parents) if within in step.parents and step.is_symlink()]
    if links or ".." in place.relative_to(within).parts:
        raise DataError(
            f"{folder} is reached through a link, {links[0] if links else folder}", "remove the link itself"
        )
    if not _is_run(folder):
        raise DataError(f"{folder} is no run of babycli: it has no {RUN_FILE} of one", "remove it yourself:  rm -r")


def remove_run(folder: Path) -> list[str]:
    """Removes the files of a run, and gives the names of others that are kept.

    Raises ResumeError for a run that a process is writing, OutputError where the system refuses.
    """
    with _locked(folder):
        try:
            with os.scandir(folder) as entries:
                own = {entry.name: _is_own(entry, folder.name) for entry in entries}
            for name in sorted((name for name, is_own in own.items() if is_own), key=lambda name: name == RUN_FILE):
                (folder / name).unlink()
            kept = sorted(name for name, is_own in own.items() if not is_own)
            if not kept:
                folder.rmdir()
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()  # where it was the last run of its model
        except OSError as error:
            raise OutputError(f"cannot remove {folder}: {error.strerror}", "make that place writable") from error
    return kept


def _is_own(entry: os.DirEntry[str], stamp: str) -> bool:
    is_named_so = entry.name == RUN_FILE or entry.name.startswith(f"{stamp}_") or _SCORES.fullmatch(entry.name)
    return bool(is_named_so) and not entry.is_dir(follow_symlinks=False)


def _is_run(folder: Path) -> bool:
    """Tells whether a folder is a run's by its run.json; a damaged one counts in a folder that is named as runs are."""
    if is_planted(folder / RUN_FILE) or not (folder / RUN_FILE).is_file():
        return False
    run = read_run(folder)
    if run is not None:
        return "schema_version" in run
    try:
        return bool(datetime.strptime(folder.name, NAME_FORMAT))
    except ValueError:
        return False


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the locks of a run's score files for the block, so that no process begins to write them."""
    with contextlib.ExitStack() as held:
        for path in sorted(folder.glob("scores.rank*.jsonl")):
            if not is_planted(path) and not lock_now(held.enter_context(open_to_read(path)).fileno()):
                raise ResumeError(f"{folder} is being written by another process", "wait for it, or end it first")
        yield
