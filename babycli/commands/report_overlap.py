"""The options of `babycli report` about a training set, and which others they go together with.

Owns their words. What is done with them is in babycli/report/overlapped.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babycli.data.overlap_levels import LEAKING, Level, levels_in
from babycli.errors import UsageError
from babycli.report.forms import Form, ModelForm, PageForm
from babycli.tasks.groups import OVERLAP
from babycli.wording import one_of

if TYPE_CHECKING:
    from babycli.report.overlapped import Against

SHOWN = "What the table shows"  # a section of the help page
_ONLY = ("clean", "leaked")
OverlapOption = Annotated[
    Path | None,
    typer.Option(
        "--overlap",
        metavar="FILE",
        help="The list of `data overlap -o`, with --by overlap or --only: which trials are leaked.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]
OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="|".join(_ONLY),
        help="With --overlap: leave the other trials out of all numbers.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]
LevelOption = Annotated[
    str | None,
    typer.Option(
        "--level",
        metavar="|".join(Level),
        help=f"With --overlap: which levels, A,B, count as leaked; default {','.join(LEAKING)}.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]


def against(overlap: Path, only: str | None, level: str | None) -> Against:
    """Reads the list of overlaps, and how it is to be used. Raises DataError, or UsageError for an unknown level."""
    from babycli.data.overlap_file import read_overlap
    from babycli.report.overlapped import Against  # which reads numbers with NumPy

    levels = () if level is None else levels_in(level)
    return Against(read_overlap(overlap), levels, only or "")


def check_overlap(
    form: Form,
    overlap: Path | None,
    only: str | None,
    level: str | None,
    by: str | None,
    baselines: str | None,
    audit: bool,
    to: str | None,
) -> None:
    """Checks that the options about a training set go together, and with the others. Raises UsageError."""
    if only is not None:
        one_of(only, _ONLY, "--only")
    is_by_it = by == OVERLAP.name
    for word, is_there in (("--by overlap", is_by_it), ("--only", only is not None), ("--level", level is not None)):
        if is_there and overlap is None:
            raise UsageError(
                f"{word} needs to know which trials are in a training set",
                "make a list of them:  babycli data overlap TRAINING -o FILE;  and give it with  --overlap FILE",
            )
    if overlap is None:
        return
    if audit:
        raise UsageError("--audit looks at all that is in the logs", "leave out --overlap")
    if only is not None and is_by_it:
        raise UsageError("--only leaves one of the groups that --by overlap shows", "leave out one of them")
    if only is None and not is_by_it and not isinstance(form, PageForm):
        raise UsageError("--overlap alone changes nothing", "add  --by overlap  or  --only clean")
    if only is not None and baselines is not None:
        raise UsageError("published numbers are of all trials, and --only leaves some out", "leave out --baselines")
    if only is not None and (isinstance(form, ModelForm) or to is not None):
        what = f"--format {form.name}" if isinstance(form, ModelForm) else "--to"
        raise UsageError(f"{what} is read as numbers of all trials, and --only leaves some out", "leave out --only")
