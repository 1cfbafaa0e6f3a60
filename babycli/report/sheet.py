"""What a report says, in the forms that all of its parts share: tables of text and records.

Owns the choice of the writer for a form. The parts (summary, differences, breakdown, audit) make sheets.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from babycli.report import grid
from babycli.report.grid import Grid
from babycli.wording import Form


@dataclass(frozen=True, slots=True)
class Sheet:
    """``records`` carry full precision; ``latex`` makes what a plain table of the grids will not do for."""

    grids: tuple[Grid, ...]
    records: tuple[Mapping[str, object], ...]
    latex: Callable[[], str] | None = None


def written(sheet: Sheet, form: Form, width: int, is_terminal: bool) -> str:
    """The sheet as text; ``width`` and colours are those of the terminal."""
    match form:
        case Form.TABLE:
            return "\n".join(grid.as_text(each, width, is_terminal) for each in sheet.grids)
        case Form.MD:
            return "\n".join(grid.as_markdown(each) for each in sheet.grids)
        case Form.CSV:
            return _as_csv(sheet.records)
        case Form.JSON:
            return orjson.dumps(sheet.records, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
        case Form.LATEX:
            return sheet.latex() if sheet.latex else "\n".join(grid.as_latex(each) for each in sheet.grids)
    raise AssertionError(form)


def _as_csv(records: Sequence[Mapping[str, object]]) -> str:
    """A line per record; lists in it (the items of a comparison) are for JSON."""
    stream = io.StringIO()
    if records:
        names = [name for name, value in records[0].items() if not isinstance(value, list)]
        writer = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return stream.getvalue()
