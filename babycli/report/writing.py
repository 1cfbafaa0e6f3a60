"""A report from end to end: read the logs, make what was asked for, write it.

Owns the order of these steps and nothing of what happens inside one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babycli.data.datasets import data_set_named
from babycli.data.root import DatasetRoot
from babycli.errors import DataError
from babycli.files import write_atomically
from babycli.report import audit_sheet, breakdown, differences, item_sheets, overlap_scores, seeds, summary
from babycli.report.baselines import read_baselines
from babycli.report.choosing import MAIN, Choice, chosen, columns_of, tasks_of
from babycli.report.compare import Comparison, compare, find_rows, rows_of
from babycli.report.forms import (
    LATEX,
    Everything,
    Form,
    ModelForm,
    PageForm,
    SheetForm,
    Terminal,
    form_of_file,
    json_in,
)
from babycli.report.humans import Beside, beside_people
from babycli.report.humans_file import People, read_people
from babycli.report.humans_sheet import as_grid as as_people_grid
from babycli.report.humans_sheet import file_notes, left_out
from babycli.report.item_sheets import ItemList
from babycli.report.load import label_rows_of, load_places, unfinished_runs
from babycli.report.notes import parts_left_out
from babycli.report.overlapped import Against, held_against
from babycli.report.rows import TableRow
from babycli.report.runs import Logs
from babycli.report.same_runs import latest_of_equal
from babycli.report.sheet import Sheet
from babycli.report.tables import Table, make_tables
from babycli.report.trackers import Destination, send
from babycli.tasks.about import offered_groupings
from babycli.tasks.groups import OVERLAP
from babycli.wording import all_of, one_of, printable


@dataclass(frozen=True, slots=True)
class Wanted:
    """The user's wishes for a report; the command has checked that they go together."""

    places: Sequence[Path]  # of runs
    form: Form
    output: Path | None
    compared: Sequence[str]
    items: bool
    wrong: bool  # list the items that each row got wrong
    by: str | None
    model: str | None  # the rows that a form for one model is to have; None: all
    baselines: str | None
    plot: Path | None
    sent_to: Destination | None  # an experiment tracker
    audit: bool
    choice: Choice
    with_notes: bool  # all that the legend of a table has in short
    with_images: bool
    root: DatasetRoot
    terminal: Terminal
    all_runs: bool = False  # also where runs are the same
    humans: Path | None = None  # what people chose
    against: Against | None = None  # a training set that trials are held against
    seeds: bool = False  # the means over seeds, in the place of the table


def write(wanted: Wanted, say: Callable[[str], None]) -> None:
    """Writes a report to standard output or a file; notes go to ``say``.

    Raises UsageError, DataError or, of an audit that found something, UntrustedResultError.
    """
    if wanted.audit:
        _write_audit(wanted, say)
        return
    people = None if wanted.humans is None else read_people(wanted.humans)  # before the logs, which may take longer
    logs = _load(wanted)
    if wanted.against is not None:
        logs = replace(
            logs, runs=tuple(held_against(logs.runs, wanted.against, tasks_of(logs.runs, wanted.choice), say))
        )
    every = make_tables(logs.runs, read_baselines(wanted.baselines) if wanted.baselines else None)
    tables = chosen(every, wanted.choice)
    rows = [row for table in tables for row in table.rows]
    columns = [column for table in tables for column in table.columns]
    nameable = [row for table in chosen(every, replace(wanted.choice, with_parts=True)) for row in table.rows]
    comparisons = compare(find_rows(wanted.compared, nameable, say), columns) if wanted.compared else []
    items = _items(tables, wanted)
    labels = functools.cache(lambda: label_rows_of(wanted.root))
    beside = [] if people is None else beside_people(tables, people, labels)
    match wanted.form:
        case SheetForm():
            text = wanted.form.write(_sheet(tables, comparisons, items, wanted, people, beside), wanted.terminal)
            is_summary = not (comparisons or items or wanted.by or wanted.seeds)
            if wanted.form == LATEX and is_summary and (too_wide := summary.too_wide(tables)):
                say(too_wide)
        case PageForm():
            if wanted.items:
                items += [listed for each in comparisons for listed in item_sheets.of_comparison(each)]
            pictures_of = wanted.root if wanted.with_images else None
            grids = [] if people is None else [as_people_grid(each, people) for each in beside]
            text = wanted.form.write(Everything(tables, comparisons, items, logs.unread, pictures_of, grids), say)
        case ModelForm():
            text = wanted.form.write(_of_model(wanted.model, rows, nameable), rows, say)
    _put(text, wanted, say)
    if wanted.plot is not None:
        from babycli.report import plots  # which no other report need wait for

        plots.draw(wanted.plot, tables, comparisons, wanted.by)
        say(f"drew {wanted.plot}")
    if wanted.sent_to is not None:
        send(wanted.sent_to, rows, say)
    for unread in logs.unread:
        say(printable(f"note: {unread.path} {unread.why}"))
    if people is not None:
        untold = [] if _has_notes(wanted) else [note for each in beside for note in left_out(each, people)]
        for told in (*file_notes(beside, people), *untold):
            say(printable(f"note: {people.path}: {told}"))
    _say_where_baselines_belong(every, wanted, say)
    if not (comparisons or _has_notes(wanted)):
        for note in (note for table in tables for note in parts_left_out(table)):
            say(f"note: {note}")


def _of_model(name: str | None, rows: Sequence[TableRow], nameable: Sequence[TableRow]) -> Sequence[TableRow]:
    """Gives the rows of the model of that name; those that are not shown where no other fits, without a name all."""
    if name is None:
        return rows
    shown, found = {row.label for row in rows}, rows_of(name, nameable)
    return [row for row in found if row.label in shown] or found


def _has_notes(wanted: Wanted) -> bool:
    """Tells whether what is written has the notes of its tables in it."""
    is_of_text = isinstance(wanted.form, SheetForm) and wanted.form.extension not in ("csv", "json")
    others = wanted.items or wanted.wrong or wanted.by or wanted.seeds
    return isinstance(wanted.form, PageForm) or (is_of_text and not others)


def _say_where_baselines_belong(tables: Sequence[Table], wanted: Wanted, say: Callable[[str], None]) -> None:
    """Says why published rows that were asked for stand nowhere."""
    if wanted.baselines is not None and not any(table.baselines for table in tables):
        of = data_set_named(read_baselines(wanted.baselines).data_set).title
        here = all_of(data_set_named(table.data).title for table in tables)
        say(f"note: no published row is shown: those of the {wanted.baselines} are of {of}, these runs of {here}")


def _write_audit(wanted: Wanted, say: Callable[[str], None]) -> None:
    assert isinstance(wanted.form, SheetForm)
    audited = audit_sheet.audit_logs(wanted.places, functools.cache(lambda: label_rows_of(wanted.root)))
    _put(wanted.form.write(audit_sheet.sheet(audited.runs), wanted.terminal), wanted, say)
    unfinished = unfinished_runs(wanted.places, [each.run.path for each in audited.runs])
    for unread in (*audited.passed_over, *unfinished):
        say(printable(f"note: {unread.path} {unread.why}"))
    audit_sheet.raise_if_untrusted(audited.runs)


def _load(wanted: Wanted) -> Logs:
    """Reads the logs. Raises UsageError for a kind of group that neither babycli nor they know, DataError for none."""
    try:
        logs = load_places(wanted.places, functools.cache(lambda: label_rows_of(wanted.root)))
    except DataError:
        _check_grouping(wanted.by)
        raise
    _check_grouping(wanted.by)
    return logs if wanted.all_runs else replace(logs, runs=tuple(latest_of_equal(logs.runs)))


def _check_grouping(by: str | None) -> None:
    """Raises UsageError for a kind of group that no task has; logs may tell of tasks that babycli does not have."""
    if by is not None:
        one_of(by, offered_groupings(), "--by")


def _items(tables: Sequence[Table], wanted: Wanted) -> list[ItemList]:
    """Lists the items of each model alone, where they are asked for: of the main metrics, if none were chosen."""
    if wanted.compared or not (wanted.items or wanted.wrong):
        return []
    columns = columns_of(tables, wanted.choice if wanted.choice.metrics else replace(wanted.choice, metrics=(MAIN,)))
    return item_sheets.wrong_of(tables, columns, with_right=not wanted.wrong)


def _sheet(
    tables: Sequence[Table],
    comparisons: Sequence[Comparison],
    items: Sequence[ItemList],
    wanted: Wanted,
    people: People | None,
    beside: Sequence[Beside],
) -> Sheet:
    if comparisons:
        return differences.sheet(comparisons, wanted.items)
    if items:
        return item_sheets.sheet(items)
    if wanted.by == OVERLAP.name and wanted.against is not None:
        return overlap_scores.sheet([row for table in tables for row in table.rows])
    if wanted.by is not None:
        return breakdown.sheet([row for table in tables for row in table.rows], wanted.by)
    if wanted.seeds:
        return seeds.sheet(tables)
    return summary.sheet(tables, wanted.with_notes, people, beside)


def put(text: str, output: Path | None, say: Callable[[str], None]) -> None:
    """Writes to standard output, or to a file and says so."""
    if output is None:
        sys.stdout.write(text)
        return
    write_atomically(output, text.encode(errors="backslashreplace"))
    say(f"wrote {output}")


def _put(text: str, wanted: Wanted, say: Callable[[str], None]) -> None:
    if wanted.output is None and wanted.form.extension == "json":
        text = json_in(text, wanted.terminal.encoding)
    put(text, wanted.output, say)
    if wanted.output is None:
        return
    other = form_of_file(wanted.output)
    if other is not None and other.extension != wanted.form.extension:
        say(f"note: it holds the format {wanted.form.name}, as --format says; its name is that of {other.name}")
