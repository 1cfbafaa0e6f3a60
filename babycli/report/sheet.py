"""A report in the shape that all of its parts share: tables of text and records.

Owns this shape. The parts (summary, differences, breakdown, audit) make sheets, forms.py writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from babycli.report.grid import Grid

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Lines:
    """Records of which all values are simple; one that lacks a name has nothing there."""

    names: tuple[str, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One report. ``records`` carry full precision, and may hold lists."""

    grids: tuple[Grid, ...]
    records: tuple[Record, ...]
    latex: Callable[[], str] | None = None  # makes what a plain table of the grids will not do for
    lines: Lines | None = None  # says line by line what records have in lists, where a form has no lists
