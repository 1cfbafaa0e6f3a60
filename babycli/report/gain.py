"""What controls say of a model and of the labels: the visual gain, and what gives answers away.

Owns both. A control sees no image or the wrong one: what it gets above chance, it gets from words, prompts or labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from babycli.report.compare import Paired, paired, pairing_problem
from babycli.report.load import Run
from babycli.report.measure import Cell
from babycli.report.rows import Column, TableRow, controls_of
from babycli.report.trials import TaskTrials
from babycli.tasks.phrases import only_in

N_SHOWN = 5
_LUCKY = "random"  # a seed of control:random is above its interval once in 40 by luck: that tells nothing of the labels


@dataclass(frozen=True, slots=True)
class Gain:
    """What a model gets from the images: its score less that of its blind control, on the same trials."""

    label: str
    by_column: Mapping[Column, Paired]


@dataclass(frozen=True, slots=True)
class GiveAway:
    """Trials in which a control does better than chance: those of a category, or those with a word in one phrase."""

    what: str
    n_trials: int
    n_right: int  # trials in which the word is in the right phrase; of a category all
    score: float  # of the control, in these trials
    excess: float  # above chance, summed over these trials


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A control above chance, beyond its interval."""

    label: str
    task: str
    metric: str
    cell: Cell
    give_aways: tuple[GiveAway, ...]  # the groups that the excess comes from, largest first
    is_by_ties: bool  # most of its trials are ties, which only the original's rules count as right


def visual_gain(row: TableRow, rows: Sequence[TableRow]) -> Gain | None:
    """None for a model that has no blind control on the same trials."""
    found: dict[Column, Paired] = {}
    blind = [each for other in controls_of(row, rows, "blind") for each in other.runs]
    for run in row.runs if blind else ():
        for task in run.trials:
            other = next((each for each in reversed(blind) if _is_control_of(each, run, task)), None)
            if other is not None:
                metrics = [metric for of, metric in run.cells if of == task]
                found |= {(task, metric): paired(run.trials[task], other.trials[task], metric) for metric in metrics}
    return Gain(row.label, found) if found else None


def _is_control_of(control: Run, run: Run, task: str) -> bool:
    """Was it asked the same about the same trials?"""
    asked = [prompt for of in (control, run) if (prompt := of.prompts.get(task)) is not None]
    is_there = task in control.trials and task in run.trials
    return is_there and len(set(asked)) < 2 and pairing_problem(task, run, control) is None


def suspicions(rows: Sequence[TableRow]) -> list[Suspicion]:
    """Every control that beats chance by more than its interval; one metric in 40 does by luck."""
    found = []
    for row in rows:
        if not row.control or row.control == _LUCKY:
            continue
        for (task, metric), cell in row.cells.items():
            if cell.chance is None or cell.interval is None or cell.interval[0] <= cell.chance:
                continue
            trials = row.trials(task)
            is_by_ties = 2 * cell.n_ties > cell.n_units
            away = give_aways(trials, metric, cell.chance) if trials is not None and not is_by_ties else []
            found.append(Suspicion(row.label, task, metric, cell, tuple(away[:N_SHOWN]), is_by_ties))
    return found


def give_aways(trials: TaskTrials, metric: str, chance: float) -> list[GiveAway]:
    """The words, or the categories, in whose trials the excess over chance adds up to most; none without excess."""
    values = trials.values[metric].tolist()
    of_right: dict[str, list[float]] = {}
    of_wrong: dict[str, list[float]] = {}
    for value, phrases in zip(values, trials.groups.get("phrases", ()), strict=False):
        right, wrong = only_in(phrases)
        for words, found in ((right, of_right), (wrong, of_wrong)):
            for word in words:
                found.setdefault(word, []).append(value)
    if not of_right:
        for value, category in zip(values, trials.groups.get("category", ()), strict=False):
            of_right.setdefault(category, []).append(value)
    ways = []
    for what in of_right.keys() | of_wrong.keys():
        of_both = [*of_right.get(what, ()), *of_wrong.get(what, ())]
        excess = sum(of_both) - chance * len(of_both)
        if excess > 0:
            n_right = len(of_right.get(what, ()))
            ways.append(GiveAway(what, len(of_both), n_right, sum(of_both) / len(of_both), excess))
    return sorted(ways, key=lambda way: (-way.excess, way.what))
