"""`babycli report`: tables, comparisons, plots and pages of the runs below a folder.

Owns the options and which of them go together. The work is done in babycli/report/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.options import DataOption, has_colours, say, terminal_width
from babycli.data.root import DatasetRoot
from babycli.errors import UsageError
from babycli.tasks.base import GROUP_KINDS
from babycli.wording import Form, one_of


def report(
    logs: Annotated[
        Path | None,
        typer.Argument(metavar="[LOGS]", help="Folder of runs, or one results file; default logs.", show_default=False),
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="|".join(Form), help="How to write it.")] = Form.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write to a file instead of the screen.", show_default=False),
    ] = None,
    compared: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="A B...",
            help="Differences between these models on the same items: interval, test, smallest difference seen.",
            show_default=False,
        ),
    ] = None,
    items: Annotated[
        bool, typer.Option("--items", help="With --compare: list the items that only one model got right.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="|".join(GROUP_KINDS), help="Break scores down by group.", show_default=False),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option("--baselines", metavar="paper", help="Add published rows, marked as such.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Also draw it, as .pdf, .svg or .png.", show_default=False),
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="Look for what makes numbers untrustworthy; exit code 7 if there is any.")
    ] = False,
    with_images: Annotated[
        bool,
        typer.Option("--with-images", help="With --format html --compare --items: show the images of the items."),
    ] = False,
    data: DataOption = None,
) -> None:
    """Show all evaluated models in one table: tasks across, 95 % intervals, chance in its own row.

    Reads babycli's runs and lmms-eval's. With --compare, --by or --audit that is shown instead.
    """
    wanted_form = one_of(form, Form, "format")
    if by is not None:
        one_of(by, GROUP_KINDS, "--by")
    _check(wanted_form, compared, items, by, audit, with_images, plot, baselines)
    from babycli.report.writing import Wanted, write  # reads numbers with NumPy, which other commands need not wait for

    named = list(compared or ())
    if logs is None and len(named) > 2 and _holds_logs(Path(named[-1])):
        logs = Path(named.pop())
    wanted = Wanted(
        logs=logs or Path("logs"),
        form=wanted_form,
        output=output,
        compared=named,
        items=items,
        by=by,
        baselines=baselines,
        plot=plot,
        audit=audit,
        with_images=with_images,
        root=DatasetRoot.find(data),
        width=terminal_width(),
        has_colours=has_colours(),
    )
    write(wanted, say)


def _holds_logs(path: Path) -> bool:
    """Is the last word of ``--compare A B LOGS`` the folder, and no run in the default one?"""
    return path.exists() and Path("logs").absolute() not in path.absolute().parents


def _check(
    form: Form,
    compared: Sequence[str] | None,
    items: bool,
    by: str | None,
    audit: bool,
    with_images: bool,
    plot: Path | None,
    baselines: str | None,
) -> None:
    """Raises UsageError for options that do not go together."""
    if sum((bool(compared), by is not None, audit)) > 1:
        raise UsageError("--compare, --by and --audit are reports of their own", "give one of them")
    if audit and (plot is not None or form in (Form.HTML, Form.LEADERBOARD, Form.LATEX)):
        raise UsageError("--audit is written as table, md, csv or json", "leave out --plot, or choose another --format")
    if form == Form.HTML and by:
        raise UsageError(
            "a page has scores by category and by word in any case", "--by is for the other formats, and for --plot"
        )
    if baselines and (by or audit or (compared and form != Form.HTML)):
        raise UsageError("--baselines adds rows to the summary", "leave out --by, --compare and --audit")
    if form == Form.LEADERBOARD and (compared or by):
        raise UsageError("--format leaderboard is for one model's scores", "leave out --compare and --by")
    if items and not compared:
        raise UsageError("--items lists what only one of two models got right", "add  --compare A B")
    if with_images and not (form == Form.HTML and items):
        raise UsageError("--with-images shows the items of a page", "add  --format html --compare A B --items")
    if plot is not None and plot.suffix not in (".pdf", ".svg", ".png"):
        raise UsageError(f"cannot draw {plot}: its name must end in .pdf, .svg or .png", "name it so")
