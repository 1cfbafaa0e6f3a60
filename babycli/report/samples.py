"""Samples files, ours and lmms-eval's: rows with their scores out, and trials decided from them.

Owns putting rows back where the label file has them, and which trials are whole. Never looks at a results file, never
judges a number, and decides no trial itself: the tasks do. A line that cannot be read is a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babycli.data.manifest import manifests
from babycli.domain import Outcome, Row, Score, Trial
from babycli.report.findings import Finding, Kind
from babycli.report.sample_lines import LAYOUTS, Sample, decoded, metric_field, parse_line, tag_of
from babycli.report.trials import TaskTrials, from_outcomes
from babycli.tasks import all_tasks
from babycli.wording import Scoring, listed


def rows_per_trial(task: str) -> int:
    return LAYOUTS[task].rows_per_trial


@dataclass(frozen=True, slots=True)
class Samples:
    """A samples file as far as it can be read."""

    task: str
    lines: tuple[Sample, ...]  # in the order of the file, repeated rows included
    n_unread: int  # lines left out: not readable, or of rows that no label file has
    findings: tuple[Finding, ...]

    def tidy(self) -> list[Sample]:
        """Each row once, in the order of the label file: several GPUs log rank by rank, and repeat rows."""
        return sorted(self.each_once(), key=lambda sample: sample.doc_id)

    def each_once(self) -> list[Sample]:
        """Each row once, in the order of the file."""
        once: dict[int, Sample] = {}
        for sample in self.lines:
            once.setdefault(sample.doc_id, sample)
        return list(once.values())


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A trial that cannot be decided."""

    trial_id: str
    why: str
    n_lacking: int  # rows that it lacks
    is_text: bool  # it has all rows, but a score holds no number


@dataclass(frozen=True, slots=True)
class Decided:
    """The trials that are whole, with their outcomes and all of their scores; and the others."""

    task: str
    rows: Sequence[Row]  # what the trials point into
    trials: Sequence[Trial]
    outcomes: Sequence[Outcome]
    scores: Sequence[Sequence[Score]]
    left_out: Sequence[LeftOut]

    def as_trials(self) -> TaskTrials | None:
        """For a report; None where no trial is whole."""
        if not self.trials:
            return None
        columns = [column for column in manifests()[self.task].columns if column != "image"]
        if all(column in row for row in self.rows for column in columns):
            return from_outcomes(all_tasks()[self.task], self.trials, self.rows, self.outcomes)
        # Without the phrases nothing tells which word differs.
        blank = [{**dict.fromkeys(columns, ""), **row} for row in self.rows]
        return replace(from_outcomes(all_tasks()[self.task], self.trials, blank, self.outcomes), groups={})


def read_samples(path: Path, task: str, n_rows: int, label_rows: Sequence[Row] | None = None) -> Samples:
    """Reads a samples file of one of the tasks of LAYOUTS.

    ``n_rows`` is how many rows its label file has. ``label_rows`` give what a log lacks, image names above all, where
    they agree with what it has.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        kind = Kind.SAMPLES_MISSING if isinstance(error, FileNotFoundError) else Kind.UNREADABLE
        return Samples(task, (), 0, (Finding(task, kind, f"{path}: {error.strerror}"),))
    samples: list[Sample] = []
    wrong: list[tuple[int, str]] = []
    unknown: list[int] = []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            sample = parse_line(decoded(raw), task)
        except ValueError as error:
            wrong.append((number, str(error)))
            continue
        if 0 <= sample.doc_id < n_rows:
            samples.append(sample)
        else:
            unknown.append(sample.doc_id)
    findings: list[Finding] = []
    if label_rows is not None and not all("image" in sample.row for sample in samples):
        samples, finding = _joined(samples, task, n_rows, label_rows)
        findings += finding
    needed = LAYOUTS[task].needed
    lost = [sample.doc_id for sample in samples if not all(column in sample.row for column in needed)]
    placed = [sample for sample in samples if all(column in sample.row for column in needed)] if lost else samples
    if lost:
        what = f"{path}: nothing tells {', '.join(needed)} of rows {listed(lost)}; label files would"
        findings.append(Finding(task, Kind.UNREADABLE, what))
    if wrong:
        (line, why), more = wrong[0], len(wrong) - 1
        also = f"; so are lines {listed(n for n, _ in wrong[1:])}" if more else ""
        findings.append(Finding(task, Kind.UNREADABLE, f"{path}:{line}: {why}{also}"))
    if unknown:
        detail = f"doc_id {listed(unknown)}, and the label file has {n_rows} rows; left out"
        findings.append(Finding(task, Kind.ROWS_UNKNOWN, detail))
    n_unread = len(wrong) + len(unknown) + len(lost)
    read = Samples(task, tuple(placed), n_unread, ())
    return replace(read, findings=tuple(findings + _repeated(read) + _texts(read)))


def looks_like_ours(path: Path) -> bool | None:
    """Whether the first line of a Winoground samples file is of BabyVLM's task; None where nothing can be read."""
    try:
        with path.open("rb") as stream:
            line = decoded(stream.readline())
    except (OSError, ValueError):
        return None
    return tag_of(metric_field(line, "baby_winoground")) != ""


def decide(samples: Samples, scoring: Scoring) -> Decided:
    """Every trial that is whole, rows in the order of the label file, each counted once."""
    return _decide(samples.task, samples.tidy(), scoring)


def decide_as_logged(samples: Samples) -> Decided:
    """As the original does it: rows in the order of the file, and one that is logged twice is a trial twice."""
    in_order = samples.each_once() if rows_per_trial(samples.task) > 1 else samples.lines
    return _decide(samples.task, in_order, Scoring.REFERENCE)


def _decide(name: str, samples: Sequence[Sample], scoring: Scoring) -> Decided:
    task, single = all_tasks()[name], rows_per_trial(name) == 1
    rows = [sample.row for sample in samples]
    decided = Decided(name, rows, trials := [], outcomes := [], scores := [], left_out := [])
    for found in task.trials(rows):
        members = [samples[i] for i in found.row_indices]
        # One that is a row is called after its place in the label file, which is not its place here.
        trial = Trial(str(members[0].doc_id), found.row_indices) if single else found
        if lacking := _not_whole(name, trial, members):
            left_out.append(lacking)
            continue
        answers = [sample.scores for sample in members]
        trials.append(trial)
        outcomes.append(task.outcome(trial, [sample.row for sample in members], answers, scoring))
        scores.append([score for of_row in answers for score in of_row])
    return decided


def _not_whole(task: str, trial: Trial, members: Sequence[Sample]) -> LeftOut | None:
    due, rows = rows_per_trial(task), [sample.row for sample in members]
    if len(rows) != due:
        why = f"has {len(rows)} rows, should have {due}"
        return LeftOut(trial.trial_id, why, max(0, due - len(rows)), False)
    if task == "labeled_s":
        right = sum(row["real_category"] == row["target_category"] for row in rows)
        if right != 1:
            return LeftOut(trial.trial_id, f"has {right} rows with the right picture, should have 1", 0, False)
    if task == "baby_winoground" and {row["image_tag"] for row in rows} != {"positive", "negative"}:
        return LeftOut(trial.trial_id, "should have one positive and one negative picture", 0, False)
    if not all(sample.scores for sample in members):
        return LeftOut(trial.trial_id, "has scores that hold no number", 0, True)
    return None


def _repeated(samples: Samples) -> list[Finding]:
    first: dict[int, Sample] = {}
    repeated: dict[int, bool] = {}  # whether the scores are others the second time
    for sample in samples.lines:
        kept = first.setdefault(sample.doc_id, sample)
        if kept is not sample:
            differs = repr(kept.scores) != repr(sample.scores)  # repr, because NaN is not NaN
            repeated[sample.doc_id] = repeated.get(sample.doc_id, False) or differs
    if not repeated:
        return []
    n_other = sum(repeated.values())
    other = f"; {n_other} of them with other scores, of which the first count" if n_other else ""
    which = listed(sorted(repeated))
    detail = f"{len(repeated)} rows are logged more than once, {which}; each counts once{other}"
    return [Finding(samples.task, Kind.ROWS_REPEATED, detail)]


def _texts(samples: Samples) -> list[Finding]:
    texts = [sample for sample in samples.lines if sample.is_text]
    if not texts:
        return []
    lost = sum(not sample.scores for sample in texts)
    rest = f"; in {lost} of them no number can be found" if lost else "; the losses can be read back from them"
    detail = f"{len(texts)} of {len(samples.lines)} rows hold text, so the logged score compares letters{rest}"
    return [Finding(samples.task, Kind.STRINGS, detail)]


def _joined(
    samples: Sequence[Sample], task: str, n_rows: int, label_rows: Sequence[Row]
) -> tuple[list[Sample], list[Finding]]:
    """With the rows of the label file, if they are those that the log was made with."""
    if len(label_rows) != n_rows:
        detail = f"the label file in the dataset folder has {len(label_rows)} rows, the log's has {n_rows}; not used"
        return list(samples), [Finding(task, Kind.LABELS_DIFFER, detail)]
    other = [s.doc_id for s in samples if any(label_rows[s.doc_id].get(k) != v for k, v in s.row.items())]
    if other:
        which = listed(sorted(other))
        detail = f"rows {which} are not those of the label file in the dataset folder, which is not used"
        return list(samples), [Finding(task, Kind.LABELS_DIFFER, detail)]
    return [Sample(s.doc_id, label_rows[s.doc_id], s.scores, s.is_text) for s in samples], []
