"""The sheet of `babycli report --audit`: every run with its findings, logged numbers beside those of fair scoring.

Owns which files are audited and how it is told. The checks are those of audit.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from babycli.errors import DataError, UntrustedResultError
from babycli.report import values
from babycli.report.audit import AuditedMetric, RunAudit, audit
from babycli.report.documents import read_document
from babycli.report.findings import Finding, Kind
from babycli.report.grid import Grid, Line
from babycli.report.load import load_logs, nothing_to_report
from babycli.report.logged import OURS, Labels, why_no_run
from babycli.report.places import results_of
from babycli.report.runs import Unread, short_name
from babycli.report.sheet import Sheet
from babycli.report.tables import heading
from babycli.tasks.about import metric_of
from babycli.wording import any_of, printable

_NAMED = 10  # runs in a message


@dataclass(frozen=True, slots=True)
class AuditedLogs:
    """The runs that were audited, and the files that are none."""

    runs: tuple[RunAudit, ...]
    passed_over: tuple[Unread, ...]


def audit_logs(places: Sequence[Path], labels: Labels) -> AuditedLogs:
    """Audits every run below folders, or that of a file. Raises DataError where there is none."""
    files, without = results_of(places)
    reasons = {file: why_no_run(read_document(file)) for file in files}
    runs = [file for file in files if not reasons[file]]
    passed_over = [*without, *(Unread(file, f"{reasons[file]}; passed over") for file in files if reasons[file])]
    if not runs:
        raise nothing_to_report(places, passed_over)
    return AuditedLogs(tuple(_with_outcomes(audit(file, labels)) for file in runs), tuple(passed_over))


def _with_outcomes(audited: RunAudit) -> RunAudit:
    """Adds, of a run of ours, whether a report can read it: its outcomes are in a file of their own."""
    if audited.run.program != OURS or any(finding.kind == Kind.UNREADABLE for finding in audited.findings):
        return audited
    try:
        load_logs(audited.run.path)
    except DataError as error:
        why = error.message.splitlines()[-1].strip().removeprefix(f"{audited.run.path}: ")
        finding = Finding("", Kind.UNREADABLE, f"the run {why}, so it is in no report")
        return replace(audited, findings=(finding, *audited.findings))
    return audited


def sheet(audited: Sequence[RunAudit]) -> Sheet:
    """Makes a table per run, sound ones included: that nothing was found is an answer too."""
    return Sheet(
        tuple(_grid(of_run) for of_run in audited),
        tuple(record for of_run in audited for record in _records(of_run)),
    )


def raise_if_untrusted(audited: Sequence[RunAudit]) -> None:
    """Raises UntrustedResultError if anything was found that makes a number untrustworthy, or was not looked at."""
    grave = [[finding for finding in of_run.findings if finding.is_grave] for of_run in audited]
    faulty = [of_run for of_run, findings in zip(audited, grave, strict=True) if findings]
    findings = [finding for of_run in grave for finding in of_run]
    if faulty and all(finding.kind == Kind.UNKNOWN_TASK and finding.task for finding in findings):
        names = any_of(dict.fromkeys(finding.task for finding in findings))
        in_full = " in full" if any(of_run.run.tasks for of_run in faulty) else ""
        raise UntrustedResultError(
            f"{len(faulty)} of {len(audited)} runs were not audited{in_full}: no task {names} is known here",
            "install the package that has the task; one in a file is named by  --tasks FILE:TASK,  trials of your own "
            "by  --tasks FILE.jsonl:PICTURES",
        )
    if faulty:
        which = [f"\n  {printable(str(of_run.run.path))}: {_kinds(of_run)}" for of_run in faulty[:_NAMED]]
        which += [f"\n  and {len(faulty) - _NAMED} more"] if len(faulty) > _NAMED else []
        raise UntrustedResultError(
            f"{len(faulty)} of {len(audited)} runs have numbers that must not be trusted as they are:{''.join(which)}",
            _mend(faulty, {finding.kind for finding in findings}),
        )


def _kinds(audited: RunAudit) -> str:
    """Lists what makes its numbers untrustworthy."""
    return ", ".join(dict.fromkeys(str(finding.kind) for finding in audited.findings if finding.is_grave))


def _mend(faulty: Sequence[RunAudit], kinds: AbstractSet[StrEnum]) -> str:
    """Says what to do: fair scoring helps where it has a number, and not where a model gave no answers."""
    if Kind.REPLIES in kinds:
        return "read the replies in the samples files, mend the model, and evaluate again:  babycli eval"
    metrics = [metric for of_run in faulty for metric in of_run.metrics]
    if any(metric.fair is not None and _is_alarming(metric) for metric in metrics):
        return "use the fair column, or evaluate again:  babycli eval"
    of_parts = "evaluate all trials, without --limit, or say of which ones the numbers are:  babycli eval"
    if kinds <= {Kind.LIMIT}:
        return of_parts
    left_out = "get the images that are named:  babycli data verify"
    if kinds <= {Kind.LIMIT, Kind.SKIPPED}:
        return f"{left_out} ; {of_parts}" if Kind.LIMIT in kinds else f"{left_out}, and evaluate again:  babycli eval"
    return "get the files that are named, or evaluate again:  babycli eval"


def _grid(audited: RunAudit) -> Grid:
    run = audited.run
    lines = tuple(_line(metric) for metric in audited.metrics if not _is_as_its_twin(metric, audited.metrics))
    notes = [f"{'' if not f.task else f.task + ': '}{f.kind}: {f.detail}" for f in audited.findings]
    heads = (("", "logged"), ("fair", "scoring"), ("", "n"))
    is_of_model = run.is_control and not run.model.startswith("control:")
    named = f" (control: {run.control})" if run.control else ", a control"
    model = f"{run.model}{named}" if is_of_model else run.model
    told = [f"{model} ({run.program}, {run.date})"] if run.tasks or run.unknown_tasks else []
    title = "\n".join(map(printable, (*told, str(run.path))))
    return Grid("task", heads, (lines,) if lines else (), tuple(notes or ["nothing found"]), title)


def _is_as_its_twin(metric: AuditedMetric, others: Sequence[AuditedMetric]) -> bool:
    """Tells whether a metric is the twin of another and equal to it here, so that its line would say nothing."""
    twin = metric_of(metric.task, metric.metric).twin_of
    alike = (o for o in others if (o.task, o.metric) == (metric.task, twin))
    return any((o.logged, o.fair) == (metric.logged, metric.fair) for o in alike)


def _line(metric: AuditedMetric) -> Line:
    name = " ".join(heading((metric.task, metric.metric)))
    return Line(name, (*_texts(metric), str(metric.n_trials)), "alarm" if _is_alarming(metric) else "")


def _texts(metric: AuditedMetric) -> tuple[str, str]:
    """Writes the logged number and the fair one."""
    known = metric_of(metric.task, metric.metric)
    logged, fair = ("?" if v is None else values.number(known, v) for v in (metric.logged, metric.fair))
    return logged, fair


def _is_alarming(metric: AuditedMetric) -> bool:
    """Tells whether fair scoring shows another number than the log."""
    logged, fair = _texts(metric)
    return logged != fair


def _records(audited: RunAudit) -> list[dict[str, object]]:
    """Makes a record per metric and one per finding."""
    run = audited.run
    about: dict[str, object] = {
        "model": printable(short_name(run.model)),
        "path": run.model,
        "program": run.program,
        "date": run.date,
        "results": str(run.path),
    }
    empty: dict[str, object] = dict.fromkeys(("metric", "logged", "fair", "n_units", "finding", "detail", "grave"))
    numbers = [
        about
        | {"task": metric.task}
        | empty
        | {"metric": metric.metric, "logged": metric.logged, "fair": metric.fair, "n_units": metric.n_trials}
        for metric in audited.metrics
    ]
    findings = [
        about
        | {"task": finding.task or None}
        | empty
        | {"finding": str(finding.kind), "detail": finding.detail, "grave": finding.is_grave}
        for finding in audited.findings
    ]
    return numbers + findings
