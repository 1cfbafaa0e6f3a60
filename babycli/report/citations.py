"""What to cite for some runs: babycli, and the papers behind their tasks, data, models, statistics and software.

Owns which papers these are, and what is said of each. The papers are facts of the tasks, sets of data and families;
those of statistics are found in statistics.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from babycli.bibliography import PYTORCH, TRANSFORMERS, Paper, own_entry
from babycli.data.datasets import data_set_named
from babycli.models import all_families
from babycli.models.base import Family
from babycli.report import statistics
from babycli.report.readers import papers_of
from babycli.report.rows import make_rows
from babycli.report.runs import Run
from babycli.report.tables import make_tables
from babycli.tasks import all_tasks
from babycli.tasks.about import about, in_order
from babycli.wording import printable

WITHOUT_PAPERS = ("control", "replay")  # families that are no models of anybody
_NO_ENTRY = str.maketrans({"@": " at ", "{": "(", "}": ")"})


@dataclass(frozen=True, slots=True)
class Citations:
    """The BibTeX, and the models and tasks whose papers babycli does not know."""

    bibtex: str
    unknown: tuple[str, ...]


def cite(runs: Sequence[Run]) -> Citations:
    """Gives what to cite for these runs; without any, for babycli itself."""
    versions = sorted({run.identity.software.babycli for run in runs if run.identity and run.identity.software.babycli})
    reasons: dict[Paper, dict[str, None]] = {own_entry(versions): {"the evaluation": None}}
    unknown: dict[str, None] = {}
    for papers, reason in _behind(runs):
        if not papers:
            unknown[reason] = None
        for paper in papers:
            reasons.setdefault(paper, {})[reason] = None
    entries = [f"{_remark('for ' + '; '.join(why))}{paper.to_bibtex()}" for paper, why in reasons.items()]
    if unknown:
        entries.append(_remark(f"babycli knows no paper of: {'; '.join(unknown)}"))
    return Citations("\n".join(entries), tuple(unknown))


def _behind(runs: Sequence[Run]) -> Iterator[tuple[Sequence[Paper], str]]:
    """Gives the papers behind each part of some runs, with what they are for."""
    for task in in_order(task for run in runs for task, _ in run.cells):
        known = all_tasks().get(task.name)
        yield (() if known is None else known.papers), about(task.name).title
    for name in dict.fromkeys(run.data for run in runs):
        if papers := data_set_named(name).papers:
            yield papers, f"{data_set_named(name).title} pictures"
    for row in make_rows(runs):
        run = row.runs[0]
        family = run.identity.model.family if run.identity else ""
        if family not in WITHOUT_PAPERS:
            of_model = _papers_of(all_families().get(family), run.model_type)
            yield of_model, f"{row.name}{', if this paper presents it' if len(of_model) > 1 else ''}"
    for program in dict.fromkeys(run.program for run in runs if not run.is_ours):
        if papers := papers_of(program):
            yield papers, f"runs of {program}"
    for table in make_tables(runs):
        if papers := statistics.papers_of(table):
            yield papers, "the statistics of the report"
    if any(_computes(run) for run in runs):
        yield (PYTORCH, TRANSFORMERS), "the software under it"


def _papers_of(family: Family | None, model_type: str) -> Sequence[Paper]:
    """Gives the papers of a model; of a type that tells more than the family, those of the type."""
    return () if family is None else family.papers_of.get(model_type, family.papers)


def _computes(run: Run) -> bool:
    return run.identity is not None and run.identity.model.family not in WITHOUT_PAPERS


def _remark(text: str) -> str:
    """Writes a line that BibTeX passes over: without the sign by which an entry begins, and without braces."""
    return f"% {printable(text).translate(_NO_ENTRY)}\n"
