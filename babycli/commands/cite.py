"""`babycli cite`: BibTeX of the papers behind some runs, and of babycli.

Owns the command. What is cited is decided in report/citations.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.options import say
from babycli.wording import listed, printable


def cite(
    logs: Annotated[
        Path | None,
        typer.Argument(metavar="LOGS", help="Folder of runs, or one results file; default logs.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to a file.", show_default=False),
    ] = None,
) -> None:
    """Write BibTeX of the papers behind the tasks, data, models and statistics of some runs, and of babycli.

    Examples:
    # the runs in logs
    babycli cite
    # the runs of a table, into a file for LaTeX
    babycli cite path/to/logs -o babycli.bib
    # those of one run
    babycli cite logs/babyllava-tiny
    """
    from babycli.report.citations import cite as cited
    from babycli.report.load import load_logs
    from babycli.report.writing import put

    default = Path("logs")
    if logs is None and not default.exists():
        say(f"note: there are no {default}, so this is babycli alone; name a folder of runs for their papers")
        found = cited([])
    else:
        read = load_logs(logs or default)
        for unread in read.unread:
            say(printable(f"note: {unread.path} {unread.why}"))
        found = cited(read.runs)
    put(found.bibtex, output, say)
    if found.unknown:
        say(f"note: babycli knows no paper of {printable(listed(found.unknown))}; look on their own pages")
