"""SAYCam Caption: say what is in the frame; scored by METEOR against what was said to the child.

A trial is one row. The caption is decoded greedily, at most 25 tokens, as the original does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babycli.domain import GenerateRequest, ImageRef, Outcome, Row, Score, Trial
from babycli.tasks.base import Need, StructureProblem, finite, generated_text, one_per_row
from babycli.tasks.meteor import meteor
from babycli.tasks.prompts import CAPTION
from babycli.tasks.sessions import session_of
from babycli.wording import Scoring

MAX_NEW_TOKENS = 25


class SAYCamCaption:
    name = "saycam_caption"
    title = "SAYCam Caption"
    question = "say what is in the frame"
    version = 1
    unit = "captions"
    chance: Mapping[str, float | None] = {"meteor": None}
    prompts = CAPTION
    needs: Need = "generate"
    integer_columns: frozenset[str] = frozenset()
    cluster = "session"
    reference_is_float32 = False

    def trials(self, rows: Sequence[Row]) -> list[Trial]:
        return one_per_row(rows)

    def structure_problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        return []

    def requests(self, row: Row, prompt: str) -> tuple[GenerateRequest, ...]:
        return (GenerateRequest(ImageRef("SAYCam_caption/images", row["image"]), prompt, MAX_NEW_TOKENS),)

    def target(self, row: Row) -> str:
        return row["text"]

    def outcome(
        self, trial: Trial, rows: Sequence[Row], scores: Sequence[Sequence[Score]], scoring: Scoring
    ) -> Outcome:
        is_finite = finite(scores[0])
        # What a model says whose logits are NaN is not a caption, but the original scores it.
        counts = is_finite or scoring == Scoring.REFERENCE
        value = meteor(rows[0]["text"], generated_text(scores[0][0])) if counts else 0.0
        return Outcome(trial.trial_id, {"meteor": value}, is_finite=is_finite)

    def groups(self, rows: Sequence[Row]) -> Mapping[str, str]:
        return {"session": session_of(rows[0].get("image", ""))}

    def sample_fields(self, row: Row, scores: Sequence[Score], outcome: Outcome) -> dict[str, Any]:
        return {
            "meteor": {
                "gt": row["text"],
                "pred": generated_text(scores[0]),
                "score": outcome.values["meteor"],
            }
        }


TASK = SAYCamCaption()
