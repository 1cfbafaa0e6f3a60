"""A report from end to end: read the logs, make what was asked for, write it.

Owns the order of these steps and nothing of what happens inside one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.data.root import DatasetRoot
from babycli.files import write_atomically
from babycli.report import audit_sheet, breakdown, differences, html, leaderboard, plots, summary
from babycli.report.baselines import read_baselines
from babycli.report.compare import Comparison, compare, find_rows
from babycli.report.lmms import label_rows_of
from babycli.report.load import load_logs, unfinished_runs
from babycli.report.rows import TableRow
from babycli.report.sheet import Sheet, written
from babycli.report.tables import Table, make_tables
from babycli.wording import Form


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; the command has checked that it goes together."""

    logs: Path
    form: Form
    output: Path | None
    compared: Sequence[str]
    items: bool
    by: str | None
    baselines: str | None
    plot: Path | None
    audit: bool
    with_images: bool
    root: DatasetRoot
    width: int
    has_colours: bool


def write(wanted: Wanted, say: Callable[[str], None]) -> None:
    """Writes a report to standard output or a file; notes go to ``say``.

    Raises UsageError, DataError or, of an audit that found something, UntrustedResultError.
    """
    if wanted.audit:
        audited = audit_sheet.audit_logs(wanted.logs, label_rows_of(wanted.root))
        _put(written(audit_sheet.sheet(audited), wanted.form, wanted.width, wanted.has_colours), wanted, say)
        for each in unfinished_runs(wanted.logs, [each.run.path for each in audited]):
            say(f"note: {each.path} {each.why}")
        audit_sheet.raise_if_untrusted(audited)
        return
    found = load_logs(wanted.logs, functools.cache(lambda: label_rows_of(wanted.root)))
    made = make_tables(found.runs, read_baselines(wanted.baselines) if wanted.baselines else None)
    rows = [row for table in made for row in table.rows]
    comparisons = compare(find_rows(wanted.compared, rows)) if wanted.compared else []
    if wanted.form == Form.HTML:
        images = html.Images(wanted.root) if wanted.with_images else None
        page = html.page(made, comparisons, wanted.items, found.unread, images)
        text = page.text
        if page.has_pictures:
            say(f"warning: {html.IMAGES_WARNING}")
        elif images is not None:
            say("note: no picture could be shown; the page says why beside each item")
    elif wanted.form == Form.LEADERBOARD:
        text = _leaderboard(rows, say)
    else:
        text = written(_sheet(made, comparisons, wanted), wanted.form, wanted.width, wanted.has_colours)
    _put(text, wanted, say)
    if wanted.plot is not None:
        plots.draw(wanted.plot, made, comparisons, wanted.by)
        say(f"drew {wanted.plot}")
    for each in found.unread:
        say(f"note: {each.path} {each.why}")


def _sheet(made: Sequence[Table], comparisons: Sequence[Comparison], wanted: Wanted) -> Sheet:
    if comparisons:
        return differences.sheet(comparisons, wanted.items)
    if wanted.by is not None:
        return breakdown.sheet([row for table in made for row in table.rows], wanted.by)
    return summary.sheet(made)


def _leaderboard(rows: Sequence[TableRow], say: Callable[[str], None]) -> str:
    models = [row for row in rows if not row.control] or rows
    text = leaderboard.scores(models)
    if any(task == leaderboard.OTHER_TASK for row in models for task, _ in row.cells):
        say(f"note: {leaderboard.WHY_LEFT_OUT}")
    return text


def _put(text: str, wanted: Wanted, say: Callable[[str], None]) -> None:
    if wanted.output is None:
        sys.stdout.write(text)
    else:
        write_atomically(wanted.output, text.encode())
        say(f"wrote {wanted.output}")
