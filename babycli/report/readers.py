"""Programs whose runs a report reads: babycli, and those that register.

Owns finding results files and who reads which. Never imports what is slow to import: registering happens whenever
babycli starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babycli.report.logged import Document, Labels, LoggedRun

OWN_NAMES = ("*_results.json",)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the runs of another program."""

    program: str  # as a report names it
    names: tuple[str, ...]  # patterns of its results files
    recognises: Callable[[Document], bool]  # a results file that is not babycli's: is it that program's?
    read: Callable[[Document, Labels], LoggedRun]  # the labels give what its samples lack


_registered: list[Reader] = []


def register_reader(reader: Reader) -> None:
    """Lets reports and audits read that program's runs too."""
    if reader not in _registered:
        _registered.append(reader)


def results_files(folder: Path) -> list[Path]:
    """Finds the results files below a folder, of any program, sorted."""
    names = dict.fromkeys((*OWN_NAMES, *(name for reader in _registered for name in reader.names)))
    return sorted({path for name in names for path in folder.rglob(name) if path.is_file()})


def reader_of(document: Document) -> Reader | None:
    """Finds the program that a results file is of, if it is not babycli's; None for one that nobody knows."""
    return next((reader for reader in _registered if reader.recognises(document)), None)
