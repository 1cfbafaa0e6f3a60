"""The summary of all runs as a sheet: its tables, its records, and its LaTeX.

Owns nothing but that they belong together.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.report import latex, tables
from babycli.report.sheet import Sheet
from babycli.report.tables import Table


def sheet(made: Sequence[Table]) -> Sheet:
    """A table per edition of the data."""
    return Sheet(
        tuple(tables.as_grid(table) for table in made),
        tuple(record for table in made for record in tables.records(table)),
        lambda: "\n".join([*latex.PREAMBLE, *(latex.as_environment(table, i) for i, table in enumerate(made, 1))]),
    )
