"""The scores of one model as others are to have them: the row that is meant, and whether it can be trusted.

Owns the choice, what is refused, and the names under which a model and its software leave this machine: without the
folders of its user. Never writes a form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from babycli.data.datasets import data_set_named
from babycli.errors import DataError, UntrustedResultError, UsageError
from babycli.logs.schema import NAME_FORMAT
from babycli.report.measure import Cell
from babycli.report.provisos import provisos
from babycli.report.rows import TableRow
from babycli.report.runs import Run
from babycli.report.tables import in_table_order
from babycli.tasks.about import About, about
from babycli.wording import Scoring

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Score:
    """One number of a model, with all that is known of it."""

    run: Run
    about: About
    metric: str
    cell: Cell

    @property
    def prompt(self) -> str:
        """What the model was asked; "" where the task or its label file says it."""
        return self.run.prompts.get(self.about.name, "")

    @property
    def answers(self) -> str:
        """What the model was asked for: "similarity", "generate" ...; "" where the log does not say it."""
        asked = self.run.identity.question.tasks.get(self.about.name) if self.run.identity else None
        return asked.answers if asked else ""

    @property
    def data_title(self) -> str:
        return data_set_named(self.run.data).title

    @property
    def remarks(self) -> dict[str, str | int | float]:
        """What a reader must know who sees nothing but the number."""
        run, cell, task = self.run, self.cell, self.about.name
        told: dict[str, str | int | float | None] = {
            "n": cell.n_units,
            "unit": self.about.unit,
            "chance": cell.chance,
            "scoring": str(run.scoring),
            "dtype": run.dtype,
            "limit": run.limit,
            "offset": run.offset,
            "model_args": ", ".join(run.args),
            "answers": self.answers,
            "prompt": run.own_prompts.get(task),
            "ties": cell.n_ties,
            "unanswered": cell.n_unanswered,
            "replies_without_answer": cell.n_no_answer,
            "left_out": cell.n_skipped,
            "labels_sha256": run.labels_sha256.get(task),
            "images_sha256": run.images_sha256.get(task),
        }
        return {key: value for key, value in told.items() if value}


def only_row(rows: Sequence[TableRow], form: str) -> TableRow:
    """Finds the one model among the rows that the user chose; its controls are passed over.

    Raises UsageError for several models, DataError for a control.
    """
    rows = [row for row in rows if not row.control] or rows
    if len(rows) != 1:
        labels = "\n  ".join(row.label for row in rows[:20])
        raise UsageError(
            f"--format {form} is of one row of the table, here are {len(rows)}:\n  {labels}",
            f"name one run's folder:  babycli report logs/MODEL/DATE --format {form},  or choose with --model",
        )
    (row,) = rows
    if row.control:
        raise DataError(f"{row.label} is a control, not a model", "name the folder of the model's own run")
    return row


def trusted_row(rows: Sequence[TableRow], form: str, say: Say) -> TableRow:
    """Finds the one model, and tells ``say`` what a reader of its numbers must know.

    Raises as only_row(), and UntrustedResultError for numbers that nobody should pass on.
    """
    row = only_row(rows, form)
    for score in scores_of(row):
        _check(row, score)
    for note in dict.fromkeys(data_set_named(run.data).note for run in row.runs):
        if note:
            say(f"note: {note}")
    if any(run.limit is not None for run in row.runs):
        say("note: these are numbers on a part of the items, as is said beside them")
    for proviso in provisos(row.runs):
        say(f"note: {proviso}")
    return row


def _check(row: TableRow, score: Score) -> None:
    run, task, cell = score.run, score.about.name, score.cell
    trials = run.trials.get(task)
    are_won = trials is None or any(trials.values[score.metric][place] == 1.0 for place in trials.ties)
    if run.is_ours and run.scoring != Scoring.FAIR and cell.n_ties and are_won:
        raise UntrustedResultError(f"{task} of {row.label} counts ties as right", "evaluate with --scoring fair")
    are_none = task in run.replies and run.replies[task].is_broken
    if cell.n_nonfinite or cell.fair_value is not None or are_none:
        raise UntrustedResultError(
            f"{task} of {row.label} must not be trusted", f"babycli report --audit {run.path}  says why"
        )


def scores_of(row: TableRow) -> Iterator[Score]:
    """Gives the numbers of a row in the order of a table; without a twin that equals its other."""
    cells = row.cells
    for task, metric in (column for column in in_table_order(cells) if column in cells):
        run, described = row.run_of(task), about(task)
        assert run is not None
        twin = cells.get((task, described.metric(metric).twin_of))
        if twin is None or twin.value != cells[task, metric].value:
            yield Score(run, described, metric, cells[task, metric])


def model_id(row: TableRow) -> str:
    """Names the model as a hub does: ``lab/model``; of a path the last two parts."""
    return "/".join(row.runs[0].model.strip("/").split("/")[-2:])


def moment(run: Run) -> str | None:
    """Gives the time of a run in ISO 8601; None where its log has no date in babycli's form."""
    try:
        return datetime.strptime(run.date, NAME_FORMAT).replace(tzinfo=UTC).isoformat()
    except ValueError:
        return None
