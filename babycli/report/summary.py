"""The summary of all runs as a sheet: its tables, its records, and its LaTeX.

Owns that they belong together, and what of them is one table of a paper.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli import __version__
from babycli.report import humans_sheet
from babycli.report.choosing import with_columns
from babycli.report.grid import as_latex
from babycli.report.humans import Beside
from babycli.report.humans_file import People
from babycli.report.latex import MANY, PREAMBLE, as_environment
from babycli.report.records import records
from babycli.report.sheet import Sheet
from babycli.report.table_grid import as_grid
from babycli.report.tables import Table
from babycli.tasks.about import about


def sheet(
    tables: Sequence[Table],
    with_notes: bool = False,
    people: People | None = None,
    beside: Sequence[Beside] = (),
) -> Sheet:
    """Makes the summary: a table for each set of data, with a legend of one line or with all notes.

    Below it, a table for each task that people answered, too.
    """
    under = [] if people is None else [humans_sheet.as_grid(each, people) for each in beside]
    found = [record for table in tables for record in records(table)]
    if people is not None:
        empty = dict.fromkeys([*(found[0] if found else ()), *humans_sheet.FIELDS])
        found = [empty | record for record in [*found, *humans_sheet.records(beside)]]
    made_by = f"babycli {__version__}"
    return Sheet(
        (*(as_grid(table, with_notes) for table in tables), *under),
        tuple(found),
        lambda: "\n".join(
            [
                *PREAMBLE,
                *(as_environment(table, i) for i, table in enumerate(_in_parts(tables), 1)),
                *(as_latex(each, made_by) for each in under),
            ]
        ),
    )


def _in_parts(tables: Sequence[Table]) -> list[Table]:
    """Gives a table with more columns than a page has room for as one for each benchmark."""
    parts = []
    for table in tables:
        if len(table.columns) <= MANY:
            parts.append(table)
            continue
        for benchmark in dict.fromkeys(about(task).benchmark for task in table.tasks):
            parts.append(with_columns(table, [c for c in table.columns if about(c[0]).benchmark == benchmark]))
    return parts


def too_wide(tables: Sequence[Table]) -> str:
    """Says of LaTeX whose tables are shrunk beyond reading what to leave out; "" where none is."""
    widest = max((len(part.columns) for part in _in_parts(tables)), default=0)
    if widest <= MANY:
        return ""
    return f"note: a table of {widest} columns is made too small to read; choose some:  --metrics main  or  --tasks A,B"
