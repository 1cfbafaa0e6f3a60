"""The use of controls: the visual gain of a model, and the words and labels that give answers away.

Owns both. A control sees no image or the wrong one: what it gets above chance, it gets from words, prompts or labels.

The gain is the score less what the same model gets with wrong pictures (`--control shuffled`). A model that learns
nothing from pictures does as well with these, whatever it prefers of words and pictures, and however it answers.
Without that run, it is the score less the better of the blind run and chance. Chance counts because a blind model may
be unable to be right by luck: its pictures tie, so that it gets 0 in Baby Winoground. Of some metrics the two tell
nothing, as preferences alone may beat both (Metric.bias_beats_chance; METEOR, which has no chance level): they have no
gain then.

tests/report/test_gain.py simulates models that see nothing, and counts how often they have a gain.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from babycli.domain import Metric
from babycli.errors import UntrustedResultError
from babycli.report.compare import Paired, is_significant, paired, pairing_problem
from babycli.report.measure import Cell
from babycli.report.rows import Column, TableRow, controls_of
from babycli.report.runs import Run
from babycli.report.trials import TaskTrials
from babycli.report.values import goodness
from babycli.stats import holm
from babycli.tasks.about import about, metric_of
from babycli.tasks.groups import Grouping
from babycli.wording import ControlKind

N_SHOWN = 5
_UNREADING = ("letter", "pixels")  # controls that answer without reading
_LUCKY = "random"  # a seed of control:random is above its interval once in 40 by luck: that tells nothing of the labels


Baseline = Literal["shuffled", "blind", "chance"]


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of a model from seeing: its score less what it gets without the right pictures, on the same trials."""

    label: str
    by_column: Mapping[Column, Paired]
    over: Mapping[Column, Baseline]  # what the score was held against
    untold: tuple[Column, ...]  # metrics whose gain a blind run does not tell

    def p_holm(self, column: Column) -> float:
        """The p value, adjusted for the metrics of the model."""
        adjusted = holm([pair.p_value for pair in self.by_column.values()])
        return dict(zip(self.by_column, adjusted, strict=True))[column]

    def is_significant(self, column: Column) -> bool:
        """Tells whether it is surely a gain. A loss is none: noise in what is seen makes a model worse than blind."""
        pair = self.by_column[column]
        return goodness(metric_of(*column), pair.difference) > 0 and is_significant(pair, self.p_holm(column))


@dataclass(frozen=True, slots=True)
class GiveAway:
    """Trials in which a control does better than chance: those of a group, or those with a word in one phrase."""

    what: str
    n_trials: int
    n_right: int  # trials in which the word is in the right phrase; of a group all
    score: float  # of the control, in these trials
    excess: float  # above chance, summed over these trials


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A control above chance, beyond its interval."""

    label: str
    task: str
    metric: str
    cell: Cell
    give_aways: tuple[GiveAway, ...]  # the words or groups that the excess comes from, largest first
    by: Grouping | None  # the kind of group that they are; None where the trials are not known, or have none
    is_unread: bool  # the control answers without the question
    is_by_ties: bool  # most of its trials are ties, which only the original's rules count as right


def visual_gain(row: TableRow, rows: Sequence[TableRow]) -> Gain | None:
    """Measures what a model gets from the images; None for one that has no such control on the same trials."""
    found: dict[Column, Paired] = {}
    over: dict[Column, Baseline] = {}
    untold: list[Column] = []
    shuffled, blind = (
        [run for other in controls_of(row, rows, kind) for run in other.runs]
        for kind in (ControlKind.SHUFFLED, ControlKind.BLIND)
    )
    for run in row.runs if shuffled or blind else ():
        for task in run.trials:
            seeing_wrong, unseeing = (_control_of(run, task, runs) for runs in (shuffled, blind))
            for column, cell in run.cells.items():
                if column[0] != task or metric_of(*column).twin_of:
                    continue
                baseline = _baseline(run.trials[task], seeing_wrong, unseeing, column[1], cell.chance)
                if baseline is not None:
                    over[column], trials = baseline
                    found[column] = paired(run.trials[task], trials, column[1])
                elif seeing_wrong or unseeing:
                    untold.append(column)
    return Gain(row.label, found, over, tuple(untold)) if found or untold else None


def _control_of(run: Run, task: str, controls: Sequence[Run]) -> TaskTrials | None:
    """Gives the trials of the last control that was asked the same about the same trials; None where there is none."""
    fitting = (control for control in reversed(controls) if _is_control_of(control, run, task))
    return next((control.trials[task] for control in fitting), None)


def _baseline(
    seeing: TaskTrials, shuffled: TaskTrials | None, blind: TaskTrials | None, metric: str, chance: float | None
) -> tuple[Baseline, TaskTrials] | None:
    """Gives what the score is held against, with what it gives in each trial; None where nothing tells the gain."""
    described = metric_of(seeing.task, metric)
    if metric not in seeing.values:
        return None
    if shuffled is not None and metric in shuffled.values:
        return "shuffled", shuffled
    if blind is None or metric not in blind.values or chance is None or described.bias_beats_chance:
        return None
    if goodness(described, blind.mean(metric) - chance) > 0:
        return "blind", blind
    return "chance", replace(blind, values={metric: np.full(blind.n, chance)})


def _is_control_of(control: Run, run: Run, task: str) -> bool:
    """Tells whether it was asked the same about the same trials."""
    asked = [prompt for of in (control, run) if (prompt := of.prompts.get(task)) is not None]
    is_there = task in control.trials and task in run.trials
    return is_there and len(set(asked)) < 2 and pairing_problem(task, run, control) is None


def suspicions(rows: Sequence[TableRow]) -> list[Suspicion]:
    """Finds every control that beats chance by more than its interval; one metric in 40 does by luck."""
    found = []
    for row in rows:
        if not row.control or row.control == _LUCKY:
            continue
        for (task, metric), cell in row.cells.items():
            described = metric_of(task, metric)
            if (
                described.twin_of
                or cell.chance is None
                or cell.interval_beyond is None
                or not is_above(described, cell)
            ):
                continue
            trials = row.trials(task)
            is_by_ties = 2 * cell.n_ties > cell.n_units
            by = None if trials is None else giving_away(trials)
            is_unread = row.control in _UNREADING
            away: list[GiveAway] = []
            if trials is not None and by is not None and not (is_unread or is_by_ties):
                away = give_aways(trials, metric, by, cell.chance)[:N_SHOWN]
            found.append(Suspicion(row.label, task, metric, cell, tuple(away), by, is_unread, is_by_ties))
    return found


def is_above(metric: Metric, cell: Cell) -> bool:
    """Tells whether all of the interval is better than chance."""
    assert cell.interval_beyond is not None
    assert cell.chance is not None
    low, high = cell.interval_beyond
    return low > cell.chance if metric.higher_is_better else high < cell.chance


def giving_away(trials: TaskTrials) -> Grouping | None:
    """Gives the kind of group in which answers may be given away: phrases where there are some, else the drawn one."""
    kinds = [kind for kind in about(trials.task).groupings if kind.name in trials.groups]
    phrases = (kind for kind in kinds if kind.halves is not None)
    return next(phrases, None) or next((kind for kind in kinds if kind.is_drawn and not kind.is_derived), None)


def give_aways(trials: TaskTrials, metric: str, by: Grouping, chance: float) -> list[GiveAway]:
    """Gives the words, or the groups, in whose trials the excess over chance adds up to most; none without excess."""
    described = metric_of(trials.task, metric)
    of_right: dict[str, list[float]] = {}
    of_wrong: dict[str, list[float]] = {}
    for value, group in zip(trials.values[metric].tolist(), trials.groups[by.name], strict=True):
        right, wrong = (frozenset({group}), frozenset[str]()) if by.halves is None else by.halves(group)
        for words, values in ((right, of_right), (wrong, of_wrong)):
            for word in words:
                values.setdefault(word, []).append(value)
    ways = []
    for what in of_right.keys() | of_wrong.keys():
        of_both = [*of_right.get(what, ()), *of_wrong.get(what, ())]
        excess = goodness(described, sum(of_both) - chance * len(of_both))
        if excess > 0:
            n_right = len(of_right.get(what, ()))
            ways.append(GiveAway(what, len(of_both), n_right, sum(of_both) / len(of_both), excess))
    return sorted(ways, key=lambda way: (-way.excess, way.what))


def raise_if_above_chance(found: Sequence[Suspicion], logs: Path) -> None:
    """Raises UntrustedResultError if there are any; ``logs`` is the folder that the error tells to look into."""
    if found:
        named = ", ".join(f"{suspicion.label} on {suspicion.task} {suspicion.metric}" for suspicion in found)
        if all(suspicion.is_unread for suspicion in found):
            raise UntrustedResultError(
                f"a control that never reads the question is above chance: {named}",
                "hold the scores of models on that task against those of this control",
            )
        raise UntrustedResultError(
            f"a control is above chance, so the labels or prompts may give answers away: {named}",
            f"babycli report {shlex.quote(str(logs))}  tells which words do",
        )
