"""Labeled-S: which of four pictures shows the word (Vong et al. 2024; Wang et al. 2025).

A trial is four rows of one ``trial_id``: the same target word with four pictures, of which one is of its
category. The model scores the word for each picture; the lowest loss wins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from babycli.domain import ImageRef, Outcome, Row, Score, ScoreRequest, Trial
from babycli.tasks.base import Choice, Need, StructureProblem, choose, group_by, loss_field, loss_of
from babycli.tasks.prompts import CHOICE
from babycli.wording import Scoring

PICTURES_PER_TRIAL = 4


class LabeledS:
    name = "labeled_s"
    title = "Labeled-S"
    question = "which of 4 images shows the word"
    version = 1
    unit = "trials"
    chance: Mapping[str, float | None] = {"acc": 1 / PICTURES_PER_TRIAL}
    prompts = CHOICE
    needs: Need = "score"
    integer_columns = frozenset({"trial_id"})
    cluster = "category"
    reference_is_float32 = False

    def trials(self, rows: Sequence[Row]) -> list[Trial]:
        return group_by(rows, "trial_id")

    def structure_problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        problems = []
        for trial in self.trials(rows):
            members = [rows[i] for i in trial.row_indices]
            right = sum(_is_right(row) for row in members)
            if len(members) != PICTURES_PER_TRIAL:
                detail = f"has {len(members)} rows, should have {PICTURES_PER_TRIAL}"
            elif len({row["target_category"] for row in members}) != 1:
                detail = "asks for more than one target_category"
            elif right != 1:
                detail = f"has {right} rows whose real_category is the target, should have 1"
            elif len({row["image"] for row in members}) != PICTURES_PER_TRIAL:
                detail = "shows an image twice"
            else:
                continue
            problems.append(StructureProblem(trial.trial_id, f"trial {trial.trial_id} {detail}"))
        return problems

    def requests(self, row: Row, prompt: str) -> tuple[ScoreRequest, ...]:
        return (ScoreRequest(ImageRef("labeled_s/images", row["image"]), prompt, row["target_category"]),)

    def target(self, row: Row) -> str:
        return row["target_category"]

    def outcome(
        self, trial: Trial, rows: Sequence[Row], scores: Sequence[Sequence[Score]], scoring: Scoring
    ) -> Outcome:
        losses = [loss_of(score, scoring) for (score,) in scores]
        right = next(i for i, row in enumerate(rows) if _is_right(row))
        choice = choose(losses, right) if scoring == Scoring.FAIR else _choose_as_original(losses, right)
        return Outcome(trial.trial_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)

    def groups(self, rows: Sequence[Row]) -> Mapping[str, str]:
        return {"category": rows[0]["target_category"]}

    def sample_fields(self, row: Row, scores: Sequence[Score], outcome: Outcome) -> dict[str, Any]:
        name, value = loss_field(scores[0])
        fields = {
            name: value,
            "trial_id": int(row["trial_id"]) if row["trial_id"].isdigit() else row["trial_id"],
        }
        return {"acc": fields | {key: row[key] for key in ("target_category", "real_category")}}


def _is_right(row: Row) -> bool:
    return row["real_category"] == row["target_category"]


def _choose_as_original(losses: Sequence[float], right: int) -> Choice:
    """The first of the lowest in file order wins, compared strictly from infinity on, so NaN never wins.

    Where all four are NaN the original stops with an error; here such a trial counts as wrong.
    Source: labeled_s_aggregate_acc in lmms_eval/tasks/labeled_s/utils.py of babylmms-eval @ 82118a8.
    """
    fair = choose(losses, right)
    best, picked = math.inf, -1
    for i, loss in enumerate(losses):
        if loss < best:
            best, picked = loss, i
    return Choice(float(picked == right), fair.is_tie, fair.is_finite)


TASK = LabeledS()
