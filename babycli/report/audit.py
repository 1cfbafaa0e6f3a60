"""The audit of a run: what makes its numbers untrustworthy, and the numbers of fair scoring beside them.

Owns the checks of one run, of whatever program. Never compares runs, never renders, never changes a file. What reading
a log brings up (logged.py, samples.py, readers of other programs) is found there; here is what takes all items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.domain import Answer, Loglikelihood, Similarity
from babycli.report.findings import Finding, Kind
from babycli.report.logged import Labels, LoggedRun, LoggedTask, read_logged
from babycli.report.samples import Decided, LeftOut, Samples, count_texts, decide, decide_as_logged
from babycli.tasks.base import Task, loss_of
from babycli.wording import Scoring, listed

__all__ = ["AuditedMetric", "Finding", "Kind", "RunAudit", "audit"]

_ROUNDING = 1e-6  # of a mean of logarithms that are almost 0


@dataclass(frozen=True, slots=True)
class AuditedMetric:
    """A logged number beside what it would be under fair scoring."""

    task: str
    metric: str
    logged: float | None
    fair: float | None  # None where the samples do not give it
    n_trials: int  # that fair is the mean of


@dataclass(frozen=True, slots=True)
class RunAudit:
    """All that an audit brought up."""

    run: LoggedRun
    metrics: tuple[AuditedMetric, ...]
    findings: tuple[Finding, ...]  # of the run, then task by task


@dataclass(frozen=True, slots=True)
class _Evidence:
    """One task of a run, and its items as they are, fairly decided, and as the original decides them."""

    run: LoggedRun
    logged: LoggedTask
    samples: Samples
    fair: Decided
    as_logged: Decided | None  # None where the same rules led to the log
    n_missing: int  # rows that should be there

    @property
    def task(self) -> Task:
        return self.logged.task

    @property
    def is_blind_to_nonfinite(self) -> bool:
        """A run of ours says how many texts came of NaN, but not which."""
        return self.logged.nonfinite > 0 and (not _is_choice(self.task) or self.task.needs.n_turns > 1)

    def finding(self, kind: Kind, detail: str, is_grave: bool = True) -> Finding:
        return Finding(self.task.name, kind, detail, is_grave)


def audit(path: Path, labels: Labels = dict) -> RunAudit:
    """Audits the run of a results file. Never raises for what the files hold."""
    run = read_logged(path, labels)
    findings: list[Finding] = [*run.faults, *_unknown(run)]
    metrics: list[AuditedMetric] = []
    for logged in run.tasks.values():
        evidence = _evidence(run, logged)
        findings += [*logged.faults, *evidence.samples.findings, *_of_the_log(evidence), *logged.remarks]
        findings += _of_the_scores(evidence)
        if not evidence.fair.items and not any(finding.task == logged.task.name for finding in findings):
            findings.append(evidence.finding(Kind.SAMPLES_MISSING, f"{logged.samples_path}: holds no whole trial"))
        metrics += _values(evidence)
    return RunAudit(run, tuple(metrics), tuple(findings))


def _unknown(run: LoggedRun) -> list[Finding]:
    """Finds tasks whose numbers nobody has looked at."""
    detail = "no task of that name is known here, so nothing was looked at"
    unknown = [Finding(task, Kind.UNKNOWN_TASK, detail) for task in run.unknown_tasks]
    if unknown or run.tasks or run.faults:
        return unknown
    return [Finding("", Kind.UNKNOWN_TASK, f"{run.path}: holds no task at all")]


def _evidence(run: LoggedRun, logged: LoggedTask) -> _Evidence:
    samples, task = logged.samples(), logged.task
    n_there = len({sample.doc_id for sample in samples.lines})
    # For texts both ways agree, unless a row counts twice; METEOR takes its time.
    is_other = logged.scoring == Scoring.REFERENCE and (_has_two_rules(task) or n_there < len(samples.lines))
    return _Evidence(
        run,
        logged,
        samples,
        fair=decide(samples, Scoring.FAIR),
        as_logged=decide_as_logged(samples) if is_other else None,
        n_missing=max(0, (logged.n_rows_due or 0) - n_there),
    )


def _is_choice(task: Task) -> bool:
    return task.needs.answer != "write"


def _has_two_rules(task: Task) -> bool:
    """Tells whether fair scoring and the original's can differ: in ties, or in what counts as an answer."""
    return _is_choice(task) or bool(task.ways)


def _values(evidence: _Evidence) -> list[AuditedMetric]:
    fair = evidence.fair
    is_whole = bool(fair.items) and not any(left.lacks_numbers for left in fair.left_out)
    audited = []
    for metric in evidence.task.metrics:
        logged = evidence.logged.metrics.get(metric.name)
        if metric.twin_of and logged is None:
            continue  # fair scoring has it beside the other, the log has one number
        value = fair.mean(metric) if is_whole else None
        if evidence.is_blind_to_nonfinite:
            value = logged if evidence.logged.scoring == Scoring.FAIR else None
        audited.append(AuditedMetric(evidence.task.name, metric.name, logged, value, len(fair.items)))
    return audited


def _of_the_log(evidence: _Evidence) -> list[Finding]:
    """Finds contradictions in the results file, and the rows and items that are not there."""
    checks = (_limit, _sample, _skipped, _missing, _incomplete)
    return [finding for check in checks if (finding := check(evidence)) is not None]


def _of_the_scores(evidence: _Evidence) -> list[Finding]:
    """Finds faults of the answers; none where no item is whole, for then nothing can be said."""
    checks = (_sign, _constant, _nonfinite, _ties, _logged) if evidence.fair.items else ()
    return [*_replies(evidence), *(finding for check in checks if (finding := check(evidence)) is not None)]


def _limit(evidence: _Evidence) -> Finding | None:
    logged = evidence.logged
    if logged.limit is None:
        return None
    detail = f"only the first {logged.covers or f'{logged.limit} of {logged.n_items_in_file} trials'}"
    if logged.limit_is_of_rows:
        cut = "; a trial that is cut in two is left out" if logged.n_rows_cut else ""
        detail = f"only {_rows_told(evidence)}{cut}"
    return evidence.finding(Kind.LIMIT, detail)


def _sample(evidence: _Evidence) -> Finding | None:
    """Names a sample, whose numbers may be trusted: it has an interval of its own."""
    logged = evidence.logged
    is_sample = logged.limit is None and bool(logged.covers)
    return evidence.finding(Kind.SAMPLE, logged.covers, is_grave=False) if is_sample else None


def _rows_told(evidence: _Evidence) -> str:
    """Names the rows that were evaluated: those of the samples, where these are others than the log says."""
    logged, due = evidence.logged, evidence.logged.rows_due
    seen = sorted({sample.doc_id for sample in evidence.samples.lines})
    if seen and not all(row in due for row in seen):
        is_unbroken = seen[-1] - seen[0] == len(seen) - 1
        which = f"{seen[0]} to {seen[-1]}" if is_unbroken else listed(seen)
        return f"{len(seen)} of {logged.n_rows} rows: {which}"
    if not due.start:
        return f"the first {len(due)} of {logged.n_rows} rows"
    return f"{len(due)} of {logged.n_rows} rows: {due.start} to {due.stop - 1}"


def _skipped(evidence: _Evidence) -> Finding | None:
    skipped = evidence.logged.skipped
    detail = f"{len(skipped)} trials lack an image: {listed(skipped)}"
    return evidence.finding(Kind.SKIPPED, detail) if skipped else None


def _missing(evidence: _Evidence) -> Finding | None:
    """Finds rows that should be there; lines that cannot be read, or belong to no row, have been named already."""
    samples, n_due = evidence.samples, evidence.logged.n_rows_due or 0
    n_missing = evidence.n_missing - samples.n_unread
    if n_missing <= 0 or any(f.kind == Kind.SAMPLES_MISSING for f in samples.findings):
        return None
    detail = f"{n_missing} of {n_due} rows"
    if not evidence.logged.skipped and not samples.n_unread:  # else nobody can tell which they are
        seen = {sample.doc_id for sample in samples.lines}
        detail += f": {listed((i for i in evidence.logged.rows_due if i not in seen), n_all=n_missing)}"
    lost = [left for left in evidence.fair.left_out if left.n_lacking]
    if lost and _explained(evidence):
        detail += f"; trials that lack one are left out: {listed(left.item_id for left in lost)}"
    return evidence.finding(Kind.ROWS_MISSING, detail)


def _broken(evidence: _Evidence) -> list[LeftOut]:
    return [left for left in evidence.fair.left_out if not left.lacks_numbers]


def _explained(evidence: _Evidence) -> bool:
    """Tells whether the items that are not whole lack no more than the rows that are missing, or cut off by a limit."""
    broken = _broken(evidence)
    lacking = sum(left.n_lacking for left in broken)
    return all(left.n_lacking for left in broken) and lacking <= evidence.n_missing + evidence.logged.n_rows_cut


def _incomplete(evidence: _Evidence) -> Finding | None:
    broken = _broken(evidence)
    if not broken or _explained(evidence):
        return None
    told = listed(f"{left.item_id} {left.why}" for left in broken)
    return evidence.finding(Kind.INCOMPLETE, f"{len(broken)} trials are left out: {told}")


def _replies(evidence: _Evidence) -> list[Finding]:
    """Finds replies without a word, messages of failure, and one text for most pictures."""
    replies = count_texts(evidence.samples)
    if replies is None:
        return []
    sees = not evidence.run.is_control  # a control sees nothing, so it may say the same of every picture
    is_grave = replies.is_broken or (sees and replies.is_constant)
    return [Finding(evidence.task.name, Kind.REPLIES, remark, is_grave) for remark in replies.remarks(sees)]


def _sign(evidence: _Evidence) -> Finding | None:
    """Finds losses that cannot be any: the mean of negative log-probabilities is never below 0."""
    losses = [
        answer.mean_loss for answers in evidence.fair.answers for answer in answers if isinstance(answer, Loglikelihood)
    ]
    wrong = [loss for loss in losses if -math.inf < loss < -_ROUNDING]
    detail = f"{len(wrong)} of {len(losses)}, the lowest {min(wrong, default=0.0):.4g}, and no mean loss is negative"
    return evidence.finding(Kind.SIGN, detail) if wrong else None


def _is_constant(answers: Sequence[Answer], scoring: Scoring) -> bool:
    losses = [loss_of(answer, scoring) for answer in answers if isinstance(answer, Loglikelihood | Similarity)]
    return len(losses) > 1 and len(set(losses)) == 1 and math.isfinite(losses[0])


def _n_constant(evidence: _Evidence) -> int:
    """Counts the items with equal candidates, where they are so many that it is no chance; else 0."""
    n = sum(_is_constant(answers, evidence.logged.scoring) for answers in evidence.fair.answers)
    return n if 2 * n >= len(evidence.fair.items) else 0


def _constant(evidence: _Evidence) -> Finding | None:
    n = _n_constant(evidence)
    if not n:
        return None
    detail = f"in {n} of {len(evidence.fair.items)} trials all candidates have the same loss"
    won = sum(_won_by_position(evidence))
    if evidence.run.is_control and not won:
        return None  # it was meant not to see, and has what that gives
    if won:
        detail += f"; the log counts {won} of them as right, because the right one comes first"
    return evidence.finding(Kind.CONSTANT, detail)


def _nonfinite(evidence: _Evidence) -> Finding | None:
    n = max(evidence.logged.nonfinite, sum(not outcome.is_finite for outcome in evidence.fair.outcomes))
    detail = f"NaN or infinite in {n} of {len(evidence.fair.items)} trials; fair scoring never counts them as right"
    return evidence.finding(Kind.NONFINITE, detail) if n else None


def _won_by_position(evidence: _Evidence) -> list[bool]:
    """Tells of each item as the original decides it whether the right candidate won only by coming first.

    Fair scoring shares the credit, and where all comparisons are strict a tie wins nothing. Nothing can be told of a
    log that was decided from other numbers than these: letters of a text, or log-probabilities taken for losses.
    """
    main = evidence.task.main_metric
    if evidence.as_logged is None or not main.is_share or not evidence.samples.is_comparable:
        return []
    return [outcome.is_tie and outcome.values[main.name] == 1.0 for outcome in evidence.as_logged.outcomes]


def _ties(evidence: _Evidence) -> Finding | None:
    """Finds ties that were won; those of a constant model are named as that."""
    won = _won_by_position(evidence)
    n = sum(won)
    if n <= _n_constant(evidence):
        return None
    share = f"{100 * n / len(won):.1f}"
    logged = evidence.logged.metrics.get(evidence.task.main_metric.name)
    of_score = f"{share} points of the logged {100 * logged:.1f}" if logged is not None else f"{share} points"
    detail = f"in {n} of {len(won)} trials the right candidate ties and counts as right for coming first: {of_score}"
    return evidence.finding(Kind.TIES, detail)


def _logged(evidence: _Evidence) -> Finding | None:
    """Finds logged numbers that the samples do not give; only asked where these are all there and comparable."""
    logged, fair = evidence.logged, evidence.fair
    is_partial = evidence.n_missing or evidence.samples.n_unread or fair.left_out
    if is_partial or not evidence.samples.is_comparable or evidence.is_blind_to_nonfinite:
        return None
    ways = [fair]
    if evidence.logged.scoring == Scoring.REFERENCE and _has_two_rules(evidence.task):
        ways = [decide(evidence.samples, Scoring.REFERENCE)]
    if evidence.as_logged is not None:
        ways.append(evidence.as_logged)
    wrong = []
    for name, value in logged.metrics.items():
        means = [way.mean(evidence.task.metric(name)) for way in ways]
        if all(abs(computed - value) > evidence.task.metric(name).log_tolerance for computed in means):
            wrong.append(f"{name} is logged as {value:.4f}, its samples give {means[0]:.4f}")
    return evidence.finding(Kind.LOGGED_DIFFERS, "; ".join(wrong)) if wrong else None
