"""`babycli report`: tables, comparisons, plots and pages of the runs below a folder.

Owns the options and which of them go together. The work is done in babycli/report/.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from babycli.commands.options import OUTPUT, DataOption, has_colours, say, terminal_encoding, terminal_width
from babycli.commands.report_overlap import SHOWN, LevelOption, OnlyOption, OverlapOption, against, check_overlap
from babycli.data.root import DatasetRoot
from babycli.errors import UsageError
from babycli.report.forms import (
    EGOBABYVLM,
    MODEL_CARD,
    TABLE,
    Form,
    ModelForm,
    PageForm,
    SheetForm,
    Terminal,
    form_of_file,
    forms,
    results_on_hub,
)
from babycli.tasks import is_file, select_tasks
from babycli.tasks.groups import KINDS, OVERLAP
from babycli.wording import all_of, any_of, one_of

_SHOWN, _INSTEAD = SHOWN, "Other than the table"
_FIGURES = (".pdf", ".svg", ".png")
_KINDS = [kind.name for kind in KINDS if kind.is_offered]


def report(
    logs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="LOGS",
            help="Folders of runs, results files, or patterns of them; default logs.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            metavar="A,B",
            help="Show these rows, in this order; * is any text.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            "-t",
            metavar="A,B",
            help="Show these tasks, in this order; FILE:TASK is one of your own.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="main|all|A,B",
            help="Show these metrics; default all.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--rename",
            metavar="OLD=NEW",
            help="Call a model so; or a file of such lines. May be repeated.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            "--baselines",
            metavar="paper",
            help="Add published rows, marked as such.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    humans: Annotated[
        Path | None,
        typer.Option(
            "--humans",
            metavar="FILE",
            help="Hold models against what people chose: a CSV of trial, option, share, n, age.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    no_controls: Annotated[
        bool, typer.Option("--no-controls", help="Leave out the rows of controls.", rich_help_panel=_SHOWN)
    ] = False,
    all_runs: Annotated[
        bool,
        typer.Option("--all-runs", help="Show all of equal runs, and parts of whole ones.", rich_help_panel=_SHOWN),
    ] = False,
    overlap: OverlapOption = None,
    only: OnlyOption = None,
    level: LevelOption = None,
    notes: Annotated[
        bool, typer.Option("--notes", help="Say all about the numbers below a table.", rich_help_panel=_SHOWN)
    ] = False,
    compared: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="A B...",
            help="Differences between these models on the same items: interval, test, smallest difference seen.",
            show_default=False,
            rich_help_panel=_INSTEAD,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="|".join(_KINDS),
            help="Break scores down by group; tasks of your own may have other kinds.",
            show_default=False,
            rich_help_panel=_INSTEAD,
        ),
    ] = None,
    seeds: Annotated[
        bool,
        typer.Option(
            "--seeds",
            help="Gather models whose names differ in seed-N alone: mean and standard deviation.",
            rich_help_panel=_INSTEAD,
        ),
    ] = False,
    items: Annotated[
        bool,
        typer.Option("--items", help="Show items; with --compare, those only one got right.", rich_help_panel=_INSTEAD),
    ] = False,
    wrong: Annotated[
        bool,
        typer.Option("--wrong", help="Show the items that each model got wrong.", rich_help_panel=_INSTEAD),
    ] = False,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images",
            help="With html, and --items or --wrong: show the images of the items.",
            rich_help_panel=_INSTEAD,
        ),
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Look for what makes numbers untrustworthy; exit code 7 if there is any.",
            rich_help_panel=_INSTEAD,
        ),
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(forms()),
            help="How to write it; default: as --output ends, else a table.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write to a file instead of the screen.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Also draw it, as .pdf, .svg or .png.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Which model the forms of one model (hf, eee, egobabyvlm) write, as the table calls it.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    hub_dataset: Annotated[
        str | None,
        typer.Option(
            "--hub-dataset",
            metavar="ID",
            help="With --format hf: write results of this benchmark of the hub.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    entry: Annotated[
        list[str] | None,
        typer.Option(
            "--entry",
            metavar="KEY=VALUE",
            help="With --format egobabyvlm: a field of the board's entry, as team or training_data.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TRACKER:NAME",
            help="Also send the numbers to wandb:PROJECT or mlflow:EXPERIMENT.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Show all evaluated models in one table: tasks across, 95 % intervals, chance in its own row.

    Reads runs of babycli, and of other programs that docs/report.md names. With --compare, --by or --audit that is
    shown instead.

    Examples:
    # all runs below logs, and the numbers of the paper beside them
    babycli report --baselines paper
    # a table for a paper, of two models and the main metric of each task
    babycli report logs --models a,b --metrics main -o table.tex
    # how two models differ, and the items that only one of them got right
    babycli report --compare a b --items -o difference.html
    """
    wanted_form = _form_of(output) if form is None else forms()[one_of(form, forms(), "format")]
    _check(wanted_form, compared, items, wrong, by, audit, with_images, plot, baselines)
    if humans is not None:
        _check_humans(wanted_form, bool(compared or items or wrong), by is not None or audit)
    check_overlap(wanted_form, overlap, only, level, by, baselines, audit, to)
    if model is not None and not isinstance(wanted_form, ModelForm):
        names = any_of(other.name for other in forms().values() if isinstance(other, ModelForm)) or "(none is here)"
        raise UsageError(
            "--model is for forms of one model's scores", f"add  --format {names};  rows are chosen by  --models"
        )
    if hub_dataset is not None:
        if wanted_form is not MODEL_CARD:
            raise UsageError("--hub-dataset is of results for the hub", f"add  --format {MODEL_CARD.name}")
        wanted_form = results_on_hub(hub_dataset)
    if entry and wanted_form is not EGOBABYVLM:
        raise UsageError("--entry is of the board's entry", f"add  --format {EGOBABYVLM.name}")
    if wanted_form is EGOBABYVLM:
        from babycli.report.egobabyvlm import form_with, read_entry

        wanted_form = form_with(read_entry(entry or (), output))
    if seeds:
        _check_seeds(wanted_form, plot, any((compared, items, wrong, by, audit, baselines, to, humans, overlap)))
    if to is not None and audit:
        raise UsageError("--to sends the numbers of a report, and --audit has none", "leave out one of them")
    # They read numbers with NumPy, which other commands need not wait for.
    from babycli.report.choosing import Choice, names_in
    from babycli.report.places import places_of
    from babycli.report.trackers import parse_destination
    from babycli.report.writing import Wanted, write

    choice = Choice(
        models=tuple(models or ()),
        tasks=_tasks(names_in(tasks or ""), audit),
        metrics=tuple(names_in(metrics or "")),
        renamed=tuple(rename or ()),
        with_controls=not no_controls,
        with_parts=all_runs,
    )
    if audit and choice != Choice(with_parts=all_runs):
        raise UsageError("--audit looks at all that is in the logs", "leave out what chooses models, tasks and metrics")

    named = names_in(compared[0]) if compared and len(compared) == 1 else list(compared or ())
    places = list(logs or ())
    while not logs and len(named) > 2 and _holds_logs(Path(named[-1])):
        places.insert(0, Path(named.pop()))
    wanted = Wanted(
        places=places_of(places or [Path("logs")]),
        form=wanted_form,
        output=output,
        compared=named,
        items=items,
        wrong=wrong,
        by=by,
        model=model,
        baselines=baselines,
        plot=plot,
        sent_to=parse_destination(to) if to is not None else None,
        audit=audit,
        choice=choice,
        with_notes=notes,
        with_images=with_images,
        root=DatasetRoot.find(data),
        terminal=Terminal(
            terminal_width(), has_colours() and output is None, terminal_encoding() if output is None else "utf-8"
        ),
        all_runs=all_runs,
        humans=humans,
        against=None if overlap is None else against(overlap, only, level),
        seeds=seeds,
    )
    write(wanted, say)


def _form_of(output: Path | None) -> Form:
    """Gives the form that a file's name stands for, or a table. Raises UsageError for an ending that none has."""
    found = None if output is None else form_of_file(output)
    if found is None and output is not None and output.suffix:
        endings = any_of(dict.fromkeys(f".{known.extension}" for known in forms().values()))
        mend = f"name it {endings}, or add --format"
        if output.suffix in _FIGURES:
            mend = f"a figure is drawn with  --plot {shlex.quote(str(output))}"
        raise UsageError(f"no form of report ends in {output.suffix}", mend)
    return found or TABLE


def _tasks(words: Sequence[str], is_audit: bool) -> tuple[str, ...]:
    """Gives the tasks that were chosen; one in a file is known from now on, which is all that an audit needs."""
    found: list[str] = []
    for word in words:
        of_file = [task.name for task in select_tasks(word)] if is_file(word) else []
        found += of_file or word.split()
    return () if is_audit and all(map(is_file, words)) else tuple(found)


def _holds_logs(path: Path) -> bool:
    """Tells whether the last word of ``--compare A B LOGS`` is a folder of logs, and not a run in the default one."""
    return path.exists() and Path("logs").absolute() not in path.absolute().parents


def _check(
    form: Form,
    compared: Sequence[str] | None,
    items: bool,
    wrong: bool,
    by: str | None,
    audit: bool,
    with_images: bool,
    plot: Path | None,
    baselines: str | None,
) -> None:
    """Checks that the options go together. Raises UsageError."""
    if sum((bool(compared), by is not None, audit)) > 1:
        raise UsageError("--compare, --by and --audit are reports of their own", "give one of them")
    if audit and (plot is not None or not _takes_audits(form)):
        names = any_of(other.name for other in forms().values() if _takes_audits(other))
        raise UsageError(f"--audit is written as {names}", "leave out --plot, or choose another --format")
    if isinstance(form, PageForm) and by and plot is None:
        from babycli.tasks.about import drawn_groupings

        if by == OVERLAP.name:
            raise UsageError("a page shows leaked and clean trials in any case", "leave out  --by overlap")
        kinds = all_of(f"by {kind}" for kind in drawn_groupings())
        raise UsageError(f"a page has scores {kinds} in any case", "leave out --by, or choose another --format")
    if baselines and (by or audit or (compared and not isinstance(form, PageForm))):
        raise UsageError("--baselines adds rows to the summary", "leave out --by, --compare and --audit")
    if isinstance(form, ModelForm) and (compared or by):
        raise UsageError(f"--format {form.name} is for one model's scores", "leave out --compare and --by")
    if wrong and compared:
        raise UsageError("--wrong shows what each model got wrong", "with --compare A B, write  --items")
    has_page = isinstance(form, PageForm)
    if (items or wrong) and (by or audit or (baselines and not has_page) or isinstance(form, ModelForm)):
        raise UsageError(
            "--items and --wrong show single items",
            "leave out --by, --audit and --baselines, or choose another --format",
        )
    if with_images and not (isinstance(form, PageForm) and (items or wrong)):
        raise UsageError(
            "--with-images shows the items of a page",
            "add  --format html --compare A B --items,  or  --format html --wrong",
        )
    if plot is not None and plot.suffix not in _FIGURES:
        raise UsageError(f"cannot draw {plot}: its name must end in {any_of(_FIGURES)}", "name it so")


def _check_humans(form: Form, is_of_pairs_or_items: bool, is_of_groups_or_audit: bool) -> None:
    """Checks that a form has the summary, below which people stand. Raises UsageError."""
    if isinstance(form, ModelForm):
        names = any_of(other.name for other in forms().values() if not isinstance(other, ModelForm))
        raise UsageError(f"--format {form.name} has no place for people", f"choose {names}")
    if is_of_groups_or_audit or (is_of_pairs_or_items and not isinstance(form, PageForm)):
        raise UsageError(
            "--humans adds to the summary", "leave out --compare, --items, --wrong, --by and --audit, or leave it out"
        )


def _check_seeds(form: Form, plot: Path | None, has_others: bool) -> None:
    """Checks that nothing else is asked for beside --seeds. Raises UsageError."""
    if isinstance(form, PageForm):
        raise UsageError("a page has the means over seeds in any case", "leave out --seeds, or choose another --format")
    if isinstance(form, ModelForm):
        raise UsageError(f"--format {form.name} is for one model's scores", "leave out --seeds")
    if has_others or plot is not None:
        raise UsageError(
            "--seeds is a report of its own",
            "leave out --compare, --by, --audit, --items, --wrong, --baselines, --humans, --overlap, --plot and --to",
        )


def _takes_audits(form: Form) -> bool:
    return isinstance(form, SheetForm) and form.takes_audits
