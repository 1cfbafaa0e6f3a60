"""Programs whose runs a report reads: babycli, and those that register.

Owns finding results files and who reads which. Never imports what is slow to import: registering happens whenever
babycli starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from babycli.bibliography import Paper
from babycli.logs.content import plain_name
from babycli.logs.schema import RUN_FILE

if TYPE_CHECKING:
    from babycli.report.documents import Document
    from babycli.report.logged import Labels, LoggedRun

OWN_NAMES = ("*_results.json",)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the runs of another program."""

    program: str  # as a report names it
    names: tuple[str, ...]  # patterns of its results files
    recognises: Callable[[Document], bool]  # a results file that is not babycli's: is it that program's?
    read: Callable[[Document, Labels], LoggedRun]  # the labels give what its samples lack
    papers: tuple[Paper, ...] = ()  # to cite with its numbers


_registered: list[Reader] = []


def register_reader(reader: Reader) -> None:
    """Lets reports and audits read that program's runs too."""
    if reader not in _registered:
        _registered.append(reader)


def results_files(folder: Path) -> list[Path]:
    """Finds the files below a folder that have the name of a results file, of any program, sorted.

    A packed one counts where the plain one is not there. What lies under such a name need not be a run. Links to
    folders are not followed, for they may lead back.
    """
    return sorted(path for place, entries, _ in _folders(folder) for path in _named_so(place, entries))


def run_folders(folder: Path) -> list[Path]:
    """Finds the folders with a run.json, the folder itself and those below it, sorted."""
    return sorted(place for place, entries, _ in _folders(folder) if any(entry.name == RUN_FILE for entry in entries))


def closed_folders(folder: Path) -> list[tuple[Path, str]]:
    """Finds the folders, that one or below it, which cannot be looked into, sorted, and why: runs may lie there."""
    return sorted((place, why) for place, _, why in _folders(folder) if why)


def results_files_in(folder: Path) -> list[Path]:
    """Finds the same in the folder itself, not below it."""
    return sorted(_named_so(folder, _looked_into(folder)[0]))


def _named_so(folder: Path, entries: Iterable[os.DirEntry[str]]) -> list[Path]:
    patterns = {*OWN_NAMES, *(name for reader in _registered for name in reader.names)}
    there = {entry.name: entry for entry in entries}
    plain = {name: plain_name(folder / name) for name in there}
    named = [name for name in there if any(fnmatchcase(plain[name], pattern) for pattern in patterns)]
    return [folder / n for n in named if there[n].is_file() and (plain[n] == n or plain[n] not in there)]


def _folders(folder: Path) -> Iterator[tuple[Path, list[os.DirEntry[str]], str]]:
    """Gives a folder and all below it with what _looked_into() tells, however deep: pathlib's own walk recurses."""
    folders = [folder]
    while folders:
        place = folders.pop()
        entries, why_closed = _looked_into(place)
        yield place, entries, why_closed
        folders += [place / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _looked_into(folder: Path) -> tuple[list[os.DirEntry[str]], str]:
    """Lists what is in a folder; nothing where it cannot be read, and then why, but for one that is not there."""
    try:
        with os.scandir(folder) as entries:
            return list(entries), ""
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError as error:
        return [], error.strerror or str(error)


def reader_of(document: Document) -> Reader | None:
    """Finds the program that a results file is of, if it is not babycli's; None for one that nobody knows."""
    return next((reader for reader in _registered if reader.recognises(document)), None)


def programs() -> tuple[str, ...]:
    """Names the programs, besides babycli, whose runs are read."""
    return tuple(reader.program for reader in _registered)


def papers_of(program: str) -> tuple[Paper, ...]:
    """Gives what to cite for a program whose runs are read."""
    return next((reader.papers for reader in _registered if reader.program == program), ())
