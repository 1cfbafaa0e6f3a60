"""What `babycli eval` says while it runs, and of a run that has ended.

Owns the reporter on the terminal, the table of the results, and the errors of models that were passed over.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from babycli.commands.options import has_colours, say, terminal_encoding, terminal_width
from babycli.commands.progress import progress_bar
from babycli.errors import ExitCode, ModelError, ResumeError
from babycli.evaluation.conclusion import Evaluated
from babycli.evaluation.options import Count
from babycli.evaluation.suite import Failed
from babycli.evaluation.timings import as_table
from babycli.wording import printable

if TYPE_CHECKING:
    from babycli.report.gain import Suspicion


class TerminalReporter:
    """The reporter that writes to stderr; see babycli.evaluation.options.Reporter."""

    def say(self, message: str) -> None:
        say(message)

    def bar(
        self, what: str, total: int | None, unit: str = "", whole: float | None = None
    ) -> AbstractContextManager[Count]:
        return progress_bar(what, total, unit, whole=whole)


def show(done: Sequence[Evaluated], with_profile: bool) -> list[Suspicion]:
    """Shows the results, and gives the control runs among them that are above chance."""
    from babycli.report import forms, summary
    from babycli.report.control_notes import control_notes
    from babycli.report.load import load_logs
    from babycli.report.tables import make_tables

    runs = [run for evaluated in done for run in load_logs(evaluated.results_path).runs]
    tables = make_tables(runs)
    sys.stdout.write(
        forms.TABLE.write(summary.sheet(tables), forms.Terminal(terminal_width(), has_colours(), terminal_encoding()))
    )
    for run in runs:
        if run.applied_control:
            # The runs of one model lie in one folder.
            beside = load_logs(run.path.parent.parent).runs
            for note in control_notes(run, beside):
                say(printable(note if len(done) == 1 else f"{run.shown}, {note}"))
    for evaluated in done:
        say(f"results: {evaluated.results_path}")
        if with_profile:
            say(as_table(evaluated.timings))
    return [suspicion for table in tables for suspicion in table.suspicions]


def show_each(done: Sequence[Evaluated], with_profile: bool) -> None:
    """Shows the results of one checkpoint of a watch, at once also where stdout is a file."""
    show(done, with_profile)
    sys.stdout.flush()


def raise_if_failed(failed: Sequence[Failed], n_models: int) -> None:
    """Raises ModelError if a model failed for its own sake, ResumeError if all conflict with a log.

    Why each of them failed has been said when it failed.
    """
    if failed:
        names = ", ".join(failure.model for failure in failed)
        kind = ModelError if any(failure.exit_code == ExitCode.MODEL for failure in failed) else ResumeError
        raise kind(f"{len(failed)} of {n_models} models could not be evaluated: {names}", "see above why")
