"""Samples files of the bridge's tasks: a line is a trial, with all of its answers in the order in which it asks.

Owns reading such a line, and laying its answers back beside the label rows that they are about. Decides no trial. What
is wrong with a line is a finding.

    resps of a trial of Baby Winoground     frame: positive, negative phrase; synthetic picture: positive, negative
    of any other task                       the rows in the order of the label file, each with its answers

Besides, lmms-eval logs what babycli's scorer gave for it: ``trial_id``, ``is_tie``, ``is_finite``, and each metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babycli.domain import Answer, Item, Loglikelihood, Row, Text
from babycli.errors import TaskError
from babycli.foreign import explained_for
from babycli.interop.lmms.findings import LmmsKind
from babycli.interop.lmms.sample_lines import answers_of, text_of, turned_around
from babycli.interop.lmms.sign import Sign
from babycli.interop.lmms.trial_documents import places_asked
from babycli.logs.fields import number, text
from babycli.logs.samples import Sample, doc_id_of
from babycli.report.findings import Finding, Kind
from babycli.report.samples import Samples, decide, read_samples
from babycli.tasks.base import Task, choose
from babycli.wording import Scoring, listed

_AGREES = 1e-9
_TAGS = ("positive", "negative")  # of the rows of an instance of Baby Winoground, as they are asked about


@dataclass(frozen=True, slots=True)
class TrialLine(Sample):
    """A line: the trial's place among the trials is its ``doc_id``; its scores are taken for losses at first."""

    trial_id: str
    target: str | None  # of its first row; None where the line does not say it
    credit: Mapping[str, float]  # by metric, as the bridge's scorer gave it
    right: int | None  # the candidate that is right, where the line says it
    is_finite: bool  # the scorer found all of its numbers finite, or the line does not say


def read_bridged_samples(
    path: Path, task: Task, n_rows: int | None, label_rows: Sequence[Row] | None, sign: str
) -> Samples:
    """Reads a samples file. ``sign`` is what the log's configs say of its numbers, "" for nothing."""
    n_trials = None if n_rows is None else n_rows // task.rows_per_item
    read = read_samples(path, task, n_trials, lambda line, of: (_parse(line, of),))
    trials = [line for line in read.lines if isinstance(line, TrialLine)]
    trials, of_sign = _as_losses(trials, task, sign)
    items, of_labels = _items(trials, task, n_trials, label_rows)
    samples: list[Sample] = []
    lost: dict[str, list[int]] = {}
    for trial in trials:
        try:
            samples += _rows(trial, task, None if items is None else items[trial.doc_id])
        except ValueError as error:
            lost.setdefault(str(error), []).append(trial.doc_id)
    unread = [Finding(task.name, Kind.UNREADABLE, f"{path}: trials {listed(of)}: {why}") for why, of in lost.items()]
    n_lost = read.n_unread + sum(len(of) for of in lost.values())
    found = Samples(task, tuple(samples), n_lost * task.rows_per_item, ())
    findings = (*read.findings, *of_sign, *of_labels, *unread, *_other_credit(found, trials))
    return replace(found, findings=findings, is_comparable=not of_sign)


def _parse(line: Mapping[str, Any], task: Task) -> TrialLine:
    """Reads a line. Raises ValueError."""
    doc_id = doc_id_of(line)
    doc = line.get("doc")
    told = {**(doc if isinstance(doc, dict) else {}), **line}
    right = told.get("right")
    if task.needs.answer == "write":
        answers: tuple[Answer, ...] = (Text(text_of(line), (), True),)
    else:
        due = task.rows_per_item * (task.n_row_answers or 1)
        answers = tuple(answers_of(line))
        if len(answers) != due:
            raise ValueError(f"holds {len(answers)} scores, should hold {due}")
    credit = {metric.name: number(line.get(metric.name)) for metric in task.metrics}
    return TrialLine(
        doc_id,
        {},
        answers,
        trial_id=text(told.get("trial_id")) or str(doc_id),
        target=text(told["target"]) if told.get("target") is not None else None,
        credit={name: float(value) for name, value in credit.items() if value is not None},
        right=right if isinstance(right, int) and 0 <= right < len(answers) else None,
        is_finite=line.get("is_finite") is not False,
    )


def _as_losses(trials: list[TrialLine], task: Task, sign: str) -> tuple[list[TrialLine], list[Finding]]:
    """Turns log-probabilities into losses. Where the log does not say which they are, the numbers do.

    The bridge lets no other numbers pass: a loss is at least 0, and a log-probability at most.
    """
    values = [a.mean_loss for trial in trials for a in trial.answers if isinstance(a, Loglikelihood)]
    n_above, n_below = sum(value > 0 for value in values), sum(value < 0 for value in values)
    stated = sign if sign in tuple(Sign) else ""
    meant = stated or (Sign.LOGPROB if n_below and not n_above else Sign.LOSS)
    n_wrong = n_above if meant == Sign.LOGPROB else n_below
    findings = []
    if n_wrong:
        side = "above" if meant == Sign.LOGPROB else "below"
        said = f"the log says {meant}" if stated else "some numbers are above 0"
        findings = [Finding(task.name, LmmsKind.SIGN, f"{said}, and {n_wrong} of {len(values)} are {side} 0")]
    if meant == Sign.LOSS:
        return trials, findings
    return [replace(trial, answers=tuple(map(turned_around, trial.answers))) for trial in trials], findings


def _items(
    trials: Sequence[TrialLine], task: Task, n_trials: int | None, label_rows: Sequence[Row] | None
) -> tuple[list[Item] | None, list[Finding]]:
    """Gives the items of the label file, if the log was made with these; None for none."""
    if label_rows is None:
        return None, []
    with explained_for(task, f"{task.name}: items() fails for the rows of its label file", TaskError):
        items = list(task.items(label_rows))
    if n_trials is not None and len(items) != n_trials:
        detail = f"the label file in the dataset folder has {len(items)} trials, the log's has {n_trials}; not used"
        return None, [Finding(task.name, Kind.LABELS_DIFFER, detail, is_grave=False)]
    other = [trial.doc_id for trial in trials if trial.doc_id >= len(items) or _differs(trial, task, items)]
    if other:
        which = listed(sorted(other))
        detail = f"trials {which} are not those of the label file in the dataset folder, which is not used"
        return None, [Finding(task.name, Kind.LABELS_DIFFER, detail)]
    return items, []


def _differs(trial: TrialLine, task: Task, items: Sequence[Item]) -> bool:
    item = items[trial.doc_id]
    first = item.rows[places_asked(task, item)[0]]
    with explained_for(task, f"{task.name}: target() fails for item {item.item_id}", TaskError):
        target = task.target(first)
    return trial.trial_id != item.item_id or trial.target not in (None, target)


def _rows(trial: TrialLine, task: Task, item: Item | None) -> list[Sample]:
    """Lays the answers of a trial beside its rows. Raises ValueError where nothing tells what the rows are."""
    n = len(trial.answers) // task.rows_per_item
    if item is not None:
        if len(item.rows) != task.rows_per_item:
            raise ValueError(f"the label file has {len(item.rows)} rows of it, should have {task.rows_per_item}")
        places = places_asked(task, item)
        rows: Sequence[Row] = [item.rows[place] for place in places]
        doc_ids = [item.row_indices[place] for place in places]
    else:
        rows = _rows_told(trial, task)
        doc_ids = [trial.doc_id * task.rows_per_item + i for i in range(len(rows))]
    empty: dict[str, Any] = dict.fromkeys(task.columns, "")
    answers = [trial.answers[i * n : (i + 1) * n] for i in range(len(rows))]
    return [Sample(doc_ids[i], empty | {**row}, answers[i]) for i, row in enumerate(rows)]


def _rows_told(trial: TrialLine, task: Task) -> list[dict[str, Any]]:
    """Makes the rows of a trial as far as its line tells of them, in the order of its answers. Raises ValueError."""
    target = {} if trial.target is None else {"target": trial.target}
    match task.name, target:
        case "vtwt", _:
            return [{"positive_phrase": target.get("target", "")}]
        case "baby_winoground", _:
            return [{"instance_id": trial.trial_id, "image_tag": tag} for tag in _TAGS]
        case "labeled_s", {"target": word}:
            right = _right(trial)
            real = [word if i == right else "" for i in range(len(trial.answers))]
            return [{"trial_id": trial.trial_id, "target_category": word, "real_category": each} for each in real]
        case "saycam_caption", {"target": caption}:
            return [{"text": caption}]
    raise ValueError("nothing in the log tells of its label rows; give the dataset folder with  --data DIR")


def _right(trial: TrialLine) -> int:
    """Finds the candidate that is right: as the line says or, where it does not, by the credit that it was given.

    Raises ValueError for a credit that no candidate can have got.
    """
    if trial.right is not None:
        return trial.right
    losses = [answer.mean_loss for answer in trial.answers if isinstance(answer, Loglikelihood)]
    credits = [choose(losses, place).credit for place in range(len(losses))]
    given = trial.credit.get("acc", math.nan)
    fitting = [place for place, credit in enumerate(credits) if abs(credit - given) <= _AGREES]
    if not fitting:
        raise ValueError(f"its acc is {given:g}, and none of its candidates gets that from its answers")
    return fitting[0]


def _other_credit(samples: Samples, trials: Sequence[TrialLine]) -> list[Finding]:
    """Finds trials of a choice task whose logged credit is not what their answers give."""
    task = samples.task
    if task.needs.answer == "write":
        return []  # the mean tells, and METEOR takes its time
    decided = {outcome.item_id: outcome for outcome in decide(samples, Scoring.FAIR).outcomes}
    known = [(trial, decided[trial.trial_id]) for trial in trials if trial.trial_id in decided]
    wrong = [trial.trial_id for trial, outcome in known if _is_other(trial, outcome.values)]
    lost = [trial.trial_id for trial, outcome in known if outcome.is_finite and not trial.is_finite]
    findings = []
    if wrong:
        detail = f"in {len(wrong)} of {len(trials)} trials the credit is not what the answers give: {listed(wrong)}"
        findings.append(Finding(task.name, Kind.LOGGED_DIFFERS, detail))
    if lost:
        detail = f"the log calls {len(lost)} of {len(trials)} trials not finite whose answers are: {listed(lost)}"
        findings.append(Finding(task.name, Kind.NONFINITE, detail))
    return findings


def _is_other(trial: TrialLine, values: Mapping[str, float]) -> bool:
    return any(abs(values[name] - given) > _AGREES for name, given in trial.credit.items())
