"""`babycli report`: a table of the runs below a folder.

Owns the options. The work is done in babycli/report/.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.options import say, terminal_width
from babycli.data.root import write_atomically
from babycli.errors import UsageError, did_you_mean
from babycli.report.load import load_logs
from babycli.report.tables import FORMATS, make_tables, render


def report(
    logs: Annotated[Path, typer.Argument(metavar="LOGS", help="Folder of runs, or one results file.")] = Path("logs"),
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="How to write the table.")] = "table",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write to a file instead of the screen.", show_default=False),
    ] = None,
) -> None:
    """Show one table of all evaluated models: tasks across, chance in its own row."""
    if form not in FORMATS:
        raise UsageError(
            f"unknown format {form!r}.{did_you_mean(form, list(FORMATS))}", f"one of: {', '.join(FORMATS)}"
        )
    found = load_logs(logs)
    text = render(make_tables(found.runs), form, terminal_width())
    if output is None:
        sys.stdout.write(text)
    else:
        write_atomically(output, text.encode())
        say(f"wrote {output}")
    for path in found.unfinished:
        say(f"note: {path} has no results: the run was stopped or is still going")
    for path in found.foreign:
        say(f"note: {path} was not written by babycli and is not in the table")
