"""Visual Two-Word Test: which of two two-word phrases fits the frame (Wang et al. 2025, section 4).

A trial is one row. The model scores both phrases for the frame; the lower loss wins. In the label file the
right phrase is always the first, so who wins a tie decides what a model that ignores the frame gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babycli.domain import ImageRef, Outcome, Row, Score, ScoreRequest, Trial
from babycli.tasks.base import Need, StructureProblem, choose, choose_first_of_lowest, loss_of, one_per_row
from babycli.tasks.phrases import differing_word, joined
from babycli.tasks.prompts import CHOICE
from babycli.tasks.sessions import session_of
from babycli.wording import Scoring


class VisualTwoWordTest:
    name = "vtwt"
    title = "Visual Two-Word Test"
    question = "which of 2 two-word phrases fits the frame"
    version = 1
    unit = "trials"
    chance: Mapping[str, float | None] = {"acc": 1 / 2}
    prompts = CHOICE
    needs: Need = "score"
    integer_columns: frozenset[str] = frozenset()
    cluster = "session"
    reference_is_float32 = False

    def trials(self, rows: Sequence[Row]) -> list[Trial]:
        return one_per_row(rows)

    def structure_problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        return [
            StructureProblem(str(i), f"row {i} offers the same phrase twice: {row['positive_phrase']!r}")
            for i, row in enumerate(rows)
            if row["positive_phrase"] == row["negative_phrase"]
        ]

    def requests(self, row: Row, prompt: str) -> tuple[ScoreRequest, ...]:
        image = ImageRef("vtwt/images", row["image"])
        return tuple(ScoreRequest(image, prompt, row[column]) for column in ("positive_phrase", "negative_phrase"))

    def target(self, row: Row) -> str:
        return row["positive_phrase"]

    def outcome(
        self, trial: Trial, rows: Sequence[Row], scores: Sequence[Sequence[Score]], scoring: Scoring
    ) -> Outcome:
        losses = [loss_of(score, scoring) for score in scores[0]]
        choice = (choose if scoring == Scoring.FAIR else choose_first_of_lowest)(losses, 0)
        return Outcome(trial.trial_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)

    def groups(self, rows: Sequence[Row]) -> Mapping[str, str]:
        (row,) = rows
        phrases = row["positive_phrase"], row["negative_phrase"]
        return {
            "session": session_of(row.get("image", "")),
            "word": differing_word(*phrases),
            "phrases": joined(*phrases),
        }

    def sample_fields(self, row: Row, scores: Sequence[Score], outcome: Outcome) -> dict[str, Any]:
        return {"acc": outcome.values["acc"]}


TASK = VisualTwoWordTest()
