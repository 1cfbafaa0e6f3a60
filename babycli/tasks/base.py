"""What a task is, and the rules by which scores become credit.

Owns the protocol and the two ways of deciding a choice: ours (fair) and the original's (reference). Never
imports torch, never reads a file: rows and scores come in, outcomes go out.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from babycli.domain import Generation, Loglikelihood, Outcome, Request, Row, Score, Similarity, Trial
from babycli.wording import Scoring

Need = Literal["score", "generate"]  # what a task asks a model for; a score is a loglikelihood or a similarity

GROUP_KINDS = ("category", "session", "word")  # by which trials can be told apart in a report


@dataclass(frozen=True, slots=True)
class StructureProblem:
    """A trial that the label file does not hold whole, or that contradicts itself."""

    trial_id: str
    detail: str


class Task(Protocol):
    """One file in babycli/tasks/ with a module-level ``TASK``. Rows are indexed by their place in the label file."""

    name: str
    title: str
    question: str  # one line: what is asked
    version: int
    unit: str  # what one trial is called, in the plural
    chance: Mapping[str, float | None]  # every metric, in the order of the table
    needs: Need
    prompts: Mapping[str, str]  # what a model is asked, by family; tasks/prompts.py
    integer_columns: frozenset[str]  # ids that are logged as numbers
    cluster: str  # the group whose trials are not independent: one of those that ``groups`` names
    reference_is_float32: bool  # the original averages this task's outcomes in float32

    def trials(self, rows: Sequence[Row]) -> list[Trial]:
        """The trials in the order of their first rows, incomplete ones included."""

    def structure_problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        """What is wrong with the trials; empty for a sound file."""

    def requests(self, row: Row, prompt: str) -> tuple[Request, ...]:
        """What the model is asked about a row, in the order in which answers are logged."""

    def target(self, row: Row) -> str:
        """The right answer, for the log."""

    def outcome(
        self, trial: Trial, rows: Sequence[Row], scores: Sequence[Sequence[Score]], scoring: Scoring
    ) -> Outcome:
        """Decides a trial: ``rows`` and ``scores`` (one per request of a row) of its ``row_indices``."""

    def groups(self, rows: Sequence[Row]) -> Mapping[str, str]:
        """What a trial with these rows belongs to, by kind of group; "" where nothing tells.

        Kinds: "category", "session", "word" (by which word the phrases differ), "phrases" (right and wrong one).
        """

    def sample_fields(self, row: Row, scores: Sequence[Score], outcome: Outcome) -> dict[str, Any]:
        """The metric's own field of a row's line in the samples log, named as the original names it."""


def group_by(rows: Sequence[Row], column: str) -> list[Trial]:
    """Trials of the rows that share a column's value, in the order of first appearance."""
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row[column], []).append(index)
    return [Trial(trial_id, tuple(indices)) for trial_id, indices in groups.items()]


def groups_of(task: Task, trials: Sequence[Trial], rows: Sequence[Row]) -> dict[str, list[str]]:
    """The group of every trial, by kind of group; without the kinds that are not known for all of them."""
    of_trials = [task.groups([rows[i] for i in trial.row_indices]) for trial in trials]
    kinds = of_trials[0] if of_trials else {}
    return {kind: [groups[kind] for groups in of_trials] for kind in kinds if all(groups[kind] for groups in of_trials)}


def one_per_row(rows: Sequence[Row]) -> list[Trial]:
    return [Trial(str(index), (index,)) for index in range(len(rows))]


def loss_of(score: Score, scoring: Scoring) -> float:
    """The number that decides, lower is better: mean loss per token (nats), or a similarity's negative.

    The original keeps it in float32, and so does ``reference``: two losses that differ less are a tie there.
    """
    assert isinstance(score, Loglikelihood | Similarity)
    loss = score.mean_loss if isinstance(score, Loglikelihood) else -score.value
    return as_float32(loss) if scoring == Scoring.REFERENCE else loss


def loss_field(score: Score) -> tuple[str, float]:
    """How a score is called in a row's line of the samples log, and its value."""
    if isinstance(score, Similarity):
        return "similarity", score.value
    return "loss", loss_of(score, Scoring.FAIR)


def as_float32(value: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


@dataclass(frozen=True, slots=True)
class Choice:
    credit: float
    is_tie: bool  # the right candidate shares the lowest loss
    is_finite: bool  # all losses are


def choose(losses: Sequence[float], right: int) -> Choice:
    """Credit for the right candidate: 1 when its loss is the lowest, 1/k when k candidates share the lowest, else 0.

    A loss that is not finite is never the lowest, so never right.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    lowest = min(finite, default=math.nan)
    sharing = finite.count(lowest)
    won = losses[right] == lowest
    return Choice(1 / sharing if won else 0.0, won and sharing > 1, len(finite) == len(losses))


def choose_first_of_lowest(losses: Sequence[float], right: int) -> Choice:
    """The original's way on VTWT (Python's ``min``): the first of equals wins, and nothing beats a leading NaN.

    Source: vtwt_process_results in lmms_eval/tasks/vtwt/utils.py of babylmms-eval @ 82118a8.
    """
    picked = min(range(len(losses)), key=lambda i: losses[i])
    fair = choose(losses, right)
    return Choice(float(picked == right), fair.is_tie, fair.is_finite)


def generated_text(score: Score) -> str:
    assert isinstance(score, Generation)
    return score.text


def finite(scores: Sequence[Score]) -> bool:
    return all(score.is_finite for score in scores)
