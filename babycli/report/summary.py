"""The summary of all runs as a sheet: its tables, its records, and its LaTeX.

Owns nothing but that they belong together.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.report.latex import PREAMBLE, as_environment
from babycli.report.records import records
from babycli.report.sheet import Sheet
from babycli.report.table_grid import as_grid
from babycli.report.tables import Table


def sheet(tables: Sequence[Table], with_notes: bool = False) -> Sheet:
    """Makes the summary: a table for each set of data, with a legend of one line or with all notes."""
    return Sheet(
        tuple(as_grid(table, with_notes) for table in tables),
        tuple(record for table in tables for record in records(table)),
        lambda: "\n".join([*PREAMBLE, *(as_environment(table, i) for i, table in enumerate(tables, 1))]),
    )
