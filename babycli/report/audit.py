"""What makes a run's numbers untrustworthy, and what they would be under fair scoring: `babycli report --audit`.

Owns the checks of one run, ours or lmms-eval's. Never compares runs, never renders, never changes a file. What reading
a log brings up (samples.py, lmms.py) is found there; here is what takes the trials as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babycli.domain import Generation, Row, Score
from babycli.report.findings import Finding, Kind
from babycli.report.lmms import OURS, ForeignRun, ForeignTask, read_results, samples_of
from babycli.report.samples import Decided, LeftOut, Samples, decide, decide_as_logged, rows_per_trial
from babycli.stats import mean
from babycli.tasks import all_tasks
from babycli.tasks.base import loss_of
from babycli.wording import Scoring, listed

__all__ = ["AuditedMetric", "Finding", "Kind", "RunAudit", "audit"]

# How far a logged number may be from the recomputed one. The original averages Winoground in float32; and an older NLTK
# takes quoted words apart differently, which moves METEOR by less than a table shows.
_TOLERANCE = 1e-6
_TOLERANCE_METEOR = 5e-4


@dataclass(frozen=True, slots=True)
class AuditedMetric:
    task: str
    metric: str
    logged: float | None
    fair: float | None  # None where the samples do not give it
    n_trials: int  # that fair is the mean of


@dataclass(frozen=True, slots=True)
class RunAudit:
    run: ForeignRun  # its trials are those under fair scoring
    metrics: tuple[AuditedMetric, ...]
    findings: tuple[Finding, ...]  # of the run, then task by task


@dataclass(frozen=True, slots=True)
class _Evidence:
    """One task of a run, and its trials as they are, fairly decided, and as the original decides them."""

    run: ForeignRun
    task: ForeignTask
    samples: Samples
    fair: Decided
    as_logged: Decided | None  # None where the same rules led to the log
    n_missing: int  # rows that should be there

    @property
    def n_due(self) -> int:
        return _rows_due(self.run, self.task)

    @property
    def is_text(self) -> bool:
        return any(finding.kind == Kind.STRINGS for finding in self.samples.findings)

    @property
    def is_blind_to_nonfinite(self) -> bool:
        """A run of ours says how many captions came of NaN, but not which."""
        return self.task.nonfinite > 0 and not _is_choice(self.task.task)


def audit(path: Path, label_rows: Mapping[str, Sequence[Row]] | None = None) -> RunAudit:
    """Audits the run of a results file. Never raises for what the files hold."""
    run = read_results(path)
    findings, metrics, tasks = list(run.faults), [], {}
    for name, task in run.tasks.items():
        samples = samples_of(task, label_rows)
        fair = decide(samples, Scoring.FAIR)
        n_there = len({sample.doc_id for sample in samples.lines})
        # For captions both ways agree, unless a row counts twice; METEOR takes its time.
        is_other = run.scoring == "reference" and (_is_choice(name) or n_there < len(samples.lines))
        as_logged = decide_as_logged(samples) if is_other else None
        evidence = _Evidence(run, task, samples, fair, as_logged, max(0, _rows_due(run, task) - n_there))
        of_task = [*task.faults, *samples.findings, *_of_the_log(evidence), *_of_the_scores(evidence)]
        findings += of_task
        metrics += _values(evidence)
        tasks[name] = replace(task, trials=fair.as_trials(), faults=tuple(of_task))
    return RunAudit(replace(run, tasks=tasks), tuple(metrics), tuple(findings))


def _is_choice(task: str) -> bool:
    return all_tasks()[task].needs == "score"


def _rows_due(run: ForeignRun, task: ForeignTask) -> int:
    """How many rows the samples should have."""
    if task.n_evaluated is not None:
        return task.n_evaluated
    left = task.limit if task.limit is not None else task.n_rows
    return min(left * rows_per_trial(task.task), task.n_rows) if run.program == OURS and task.limit else left


def _values(evidence: _Evidence) -> list[AuditedMetric]:
    task, fair = evidence.task, evidence.fair
    is_whole = bool(fair.trials) and not any(left.is_text for left in fair.left_out)
    found = []
    for metric in all_tasks()[task.task].chance:
        logged = task.metrics.get(metric)
        value = mean([outcome.values[metric] for outcome in fair.outcomes]) if is_whole else None
        if evidence.is_blind_to_nonfinite:
            value = logged if evidence.run.scoring == "fair" else None
        found.append(AuditedMetric(task.task, metric, logged, value, len(fair.trials)))
    return found


def _of_the_log(evidence: _Evidence) -> list[Finding]:
    """What the results file says of the run, and which rows and trials are not there."""
    return [
        finding
        for check in (_limit, _skipped, _missing, _incomplete, _prompt)
        if (finding := check(evidence)) is not None
    ]


def _of_the_scores(evidence: _Evidence) -> list[Finding]:
    if not evidence.fair.trials:
        return []
    checks = (_constant, _nonfinite, _ties, _logged)
    return [finding for check in checks if (finding := check(evidence)) is not None]


def _limit(evidence: _Evidence) -> Finding | None:
    task = evidence.task
    if task.limit is None:
        return None
    if evidence.run.program == OURS:
        detail = f"only the first {task.limit} of {task.n_rows // rows_per_trial(task.task)} trials"
    else:
        detail = f"only the first {task.limit} of {task.n_rows} rows"
        if _cut(evidence):
            detail += "; the last trial is cut in two and left out"
    return Finding(task.task, Kind.LIMIT, detail)


def _cut(evidence: _Evidence) -> int:
    """How many rows of its last trial a limit cut off."""
    task = evidence.task
    is_cut = task.limit is not None and evidence.run.program != OURS
    return -evidence.n_due % rows_per_trial(task.task) if is_cut else 0


def _skipped(evidence: _Evidence) -> Finding | None:
    skipped = evidence.task.skipped
    detail = f"{len(skipped)} trials lack an image: {listed(skipped)}"
    return Finding(evidence.task.task, Kind.SKIPPED, detail) if skipped else None


def _missing(evidence: _Evidence) -> Finding | None:
    """Lines that are there but cannot be read, or belong to no row, have been named already."""
    n_missing = evidence.n_missing - evidence.samples.n_unread
    if n_missing <= 0 or any(f.kind == Kind.SAMPLES_MISSING for f in evidence.samples.findings):
        return None
    detail = f"{n_missing} of {evidence.n_due} rows"
    if not evidence.task.skipped and not evidence.samples.n_unread:  # else nobody can tell which they are
        seen = {sample.doc_id for sample in evidence.samples.lines}
        detail += f": {listed(i for i in range(evidence.n_due) if i not in seen)}"
    lost = [left for left in evidence.fair.left_out if left.n_lacking]
    if lost and _explained(evidence):
        detail += f"; trials that lack one are left out: {listed(left.trial_id for left in lost)}"
    return Finding(evidence.task.task, Kind.ROWS_MISSING, detail)


def _broken(evidence: _Evidence) -> list[LeftOut]:
    return [left for left in evidence.fair.left_out if not left.is_text]


def _explained(evidence: _Evidence) -> bool:
    """Whether the trials that are not whole lack no more than the rows that are missing, or cut off by a limit."""
    broken = _broken(evidence)
    lacking = sum(left.n_lacking for left in broken)
    return all(left.n_lacking for left in broken) and lacking <= evidence.n_missing + _cut(evidence)


def _incomplete(evidence: _Evidence) -> Finding | None:
    broken = _broken(evidence)
    if not broken or _explained(evidence):
        return None
    told = listed(f"{left.trial_id} {left.why}" for left in broken)
    return Finding(evidence.task.task, Kind.INCOMPLETE, f"{len(broken)} trials are left out: {told}")


def _prompt(evidence: _Evidence) -> Finding | None:
    prompt = evidence.task.prompt
    if prompt is None or not prompt.fell_back:
        return None
    family = evidence.run.family or "this model"
    detail = f"the task has no wording for {family}, so it was asked with no words but the answers"
    if all_tasks()[evidence.task.task].prompts.get(evidence.run.family):
        detail = f"{family} was asked with the empty default, and not with its own wording"
    return Finding(evidence.task.task, Kind.PROMPT, detail)


def _losses(scores: Sequence[Score], scoring: Scoring) -> list[float]:
    return [loss_of(score, scoring) for score in scores if not isinstance(score, Generation)]


def _is_constant(scores: Sequence[Score], scoring: Scoring) -> bool:
    losses = _losses(scores, scoring)
    return len(losses) > 1 and len(set(losses)) == 1 and math.isfinite(losses[0])


def _n_constant(evidence: _Evidence) -> int:
    """Trials in which all candidates are equal, where they are so many that it is no chance; else 0."""
    n = sum(_is_constant(scores, evidence.run.scoring) for scores in evidence.fair.scores)
    return n if 2 * n >= len(evidence.fair.trials) else 0


def _constant(evidence: _Evidence) -> Finding | None:
    n = _n_constant(evidence)
    if not n:
        return None
    detail = f"in {n} of {len(evidence.fair.trials)} trials all candidates have the same loss"
    won = sum(_won_by_position(evidence))
    if evidence.run.is_control and not won:
        return None  # it was meant not to see, and has what that gives
    if won:
        detail += f"; the log counts {won} of them as right, because the right one comes first"
    return Finding(evidence.task.task, Kind.CONSTANT, detail)


def _nonfinite(evidence: _Evidence) -> Finding | None:
    n = max(evidence.task.nonfinite, sum(not outcome.is_finite for outcome in evidence.fair.outcomes))
    detail = f"NaN or infinite in {n} of {len(evidence.fair.trials)} trials; fair scoring never counts them as right"
    return Finding(evidence.task.task, Kind.NONFINITE, detail) if n else None


def _won_by_position(evidence: _Evidence) -> list[bool]:
    """Of the trials as the original decides them: whether the right candidate won only by coming first."""
    if evidence.as_logged is None or "acc" not in all_tasks()[evidence.task.task].chance:
        return []  # ours shares the credit, and Winoground compares strictly
    return [outcome.is_tie and outcome.values["acc"] == 1.0 for outcome in evidence.as_logged.outcomes]


def _ties(evidence: _Evidence) -> Finding | None:
    """Ties of a constant model are named as that."""
    won = _won_by_position(evidence)
    n = sum(won)
    if n <= _n_constant(evidence):
        return None
    share = f"{100 * n / len(won):.1f}"
    logged = evidence.task.metrics.get("acc")
    of_score = f"{share} points of the logged {100 * logged:.1f}" if logged is not None else f"{share} points"
    detail = f"in {n} of {len(won)} trials the right candidate ties and counts as right for coming first: {of_score}"
    return Finding(evidence.task.task, Kind.TIES, detail)


def _logged(evidence: _Evidence) -> Finding | None:
    """Whether the logged numbers are what the samples give; only asked where these are all there and numbers."""
    task, fair = evidence.task, evidence.fair
    is_partial = evidence.n_missing or evidence.samples.n_unread or fair.left_out
    if is_partial or evidence.is_text or evidence.is_blind_to_nonfinite:
        return None
    decided = [fair]
    if evidence.run.scoring == "reference" and _is_choice(task.task):
        decided = [decide(evidence.samples, Scoring.REFERENCE)]
    if evidence.as_logged is not None:
        decided.append(evidence.as_logged)
    wrong = []
    for metric, logged in task.metrics.items():
        tolerance = _TOLERANCE_METEOR if metric == "meteor" else _TOLERANCE
        values = [mean([outcome.values[metric] for outcome in each.outcomes]) for each in decided]
        if all(abs(value - logged) > tolerance for value in values):
            wrong.append(f"{metric} is logged as {logged:.4f}, its samples give {values[0]:.4f}")
    return Finding(task.task, Kind.LOGGED_DIFFERS, "; ".join(wrong)) if wrong else None
