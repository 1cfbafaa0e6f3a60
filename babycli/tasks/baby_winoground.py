"""Baby Winoground: match two pictures with two phrases (Wang et al. 2025, after Thrush et al. 2022).

An instance is two rows of one ``instance_id``: a SAYCam frame (``positive``) and a synthetic picture
(``negative``), each scored with both phrases. All comparisons are strict: a tie is a miss.

                 positive phrase   negative phrase
    frame             a                 b              text:   a < b and d < c
    synthetic         c                 d              image:  a < c and d < b

Source: baby_winoground_aggregate_* in lmms_eval/tasks/baby_winoground/utils.py of babylmms-eval @ 82118a8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babycli.domain import ImageRef, Outcome, Row, Score, ScoreRequest, Trial
from babycli.tasks.base import Need, StructureProblem, finite, group_by, loss_field, loss_of
from babycli.tasks.phrases import differing_word, joined
from babycli.tasks.prompts import CHOICE
from babycli.tasks.sessions import session_of
from babycli.wording import Scoring

_LINKS = {"positive": "baby_winoground/positive_images", "negative": "baby_winoground/negative_images"}


class BabyWinoground:
    name = "baby_winoground"
    title = "Baby Winoground"
    question = "match 2 images with 2 phrases"
    version = 1
    unit = "instances"
    # Four independent losses: of their 24 orders, 6 have a and d right for the images, and so on.
    chance: Mapping[str, float | None] = {
        "image_score": 1 / 4,
        "text_score": 1 / 4,
        "group_score": 1 / 6,
        "positive_context_group_score": 1 / 3,
        "negative_context_group_score": 1 / 3,
    }
    prompts = CHOICE
    needs: Need = "score"
    integer_columns = frozenset({"instance_id"})
    cluster = "session"
    reference_is_float32 = True

    def trials(self, rows: Sequence[Row]) -> list[Trial]:
        return group_by(rows, "instance_id")

    def structure_problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        problems = []
        for trial in self.trials(rows):
            members = [rows[i] for i in trial.row_indices]
            tags = sorted(row["image_tag"] for row in members)
            if tags != ["negative", "positive"]:
                detail = f"has image_tag {', '.join(tags)}, should have one positive and one negative"
            elif len({(row["positive_phrase"], row["negative_phrase"]) for row in members}) != 1:
                detail = "has other phrases in its second row"
            else:
                continue
            problems.append(StructureProblem(trial.trial_id, f"instance {trial.trial_id} {detail}"))
        return problems

    def requests(self, row: Row, prompt: str) -> tuple[ScoreRequest, ...]:
        image = ImageRef(_LINKS[row["image_tag"]], row["image"])
        return tuple(ScoreRequest(image, prompt, row[column]) for column in ("positive_phrase", "negative_phrase"))

    def target(self, row: Row) -> str:
        return row["image_tag"]

    def outcome(
        self, trial: Trial, rows: Sequence[Row], scores: Sequence[Sequence[Score]], scoring: Scoring
    ) -> Outcome:
        losses = {
            row["image_tag"]: [loss_of(score, scoring) for score in of_row]
            for row, of_row in zip(rows, scores, strict=True)
        }
        (a, b), (c, d) = losses["positive"], losses["negative"]
        hits = {
            "image_score": a < c and d < b,
            "text_score": a < b and d < c,
            "group_score": a < c and d < b and a < b and d < c,
            "positive_context_group_score": a < c and a < b,
            "negative_context_group_score": d < b and d < c,
        }
        is_tie = a in (b, c) or d in (b, c)
        values = {metric: float(hit) for metric, hit in hits.items()}
        return Outcome(trial.trial_id, values, is_tie, finite([s for of_row in scores for s in of_row]))

    def groups(self, rows: Sequence[Row]) -> Mapping[str, str]:
        frame = next((row for row in rows if row["image_tag"] == "positive"), rows[0])
        phrases = frame["positive_phrase"], frame["negative_phrase"]
        return {
            "session": session_of(frame.get("image", "")),
            "word": differing_word(*phrases),
            "phrases": joined(*phrases),
        }

    def sample_fields(self, row: Row, scores: Sequence[Score], outcome: Outcome) -> dict[str, Any]:
        picture = {"positive": "img0", "negative": "img1"}[row["image_tag"]]
        fields: dict[str, Any] = {}
        for i, score in enumerate(scores):
            name, value = loss_field(score)
            fields[f"{picture}_phrase{i}_{name}"] = value
        fields["instance_id"] = int(row["instance_id"]) if row["instance_id"].isdigit() else row["instance_id"]
        return dict.fromkeys(self.chance, fields)


TASK = BabyWinoground()
