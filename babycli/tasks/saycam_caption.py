"""SAYCam Caption: say what is in the frame; scored by METEOR against what was said to the child.

An item is one row. The caption is decoded greedily, at most 25 tokens, as the original does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babycli import bibliography
from babycli.domain import Exchange, ImageRef, Item, Metric, Outcome, Row, Write, ask
from babycli.tasks.babyvlm import BABYVLM, CAPTION
from babycli.tasks.base import Asking, Needs, Play, Task, finite, is_unanswered, text_of
from babycli.tasks.groups import SESSION
from babycli.tasks.meteor import meteor
from babycli.tasks.sessions import session_of
from babycli.wording import Scoring

MAX_NEW_TOKENS = 25


class SAYCamCaption(Task):
    name = "saycam_caption"
    title = "SAYCam Caption"
    short = "Caption"
    question = "say what is in the frame"
    unit = "captions"
    # An older NLTK splits quoted words differently, which changes METEOR by less than a table shows.
    metrics = (
        Metric("meteor", "score", "METEOR", "METEOR", is_main=True, scale=100.0, bounds=(0.0, 1.0), log_tolerance=5e-4),
    )
    needs = Needs("write")
    prompts = CAPTION
    benchmark = BABYVLM
    papers = (bibliography.BABYVLM, bibliography.METEOR)
    order = 4
    label_path = "SAYCam_caption/SAYCam_caption.csv"
    columns = ("image", "text")
    links: Mapping[str, str] = {"saycam": "SAYCam_caption/images"}
    groupings = (SESSION,)
    cluster = "session"
    item_columns = ("text", "image")
    scored = "Captions were scored with METEOR (Banerjee & Lavie 2005)."
    n_row_answers = 1

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return [
            Item(str(i), (i,), (row,), (_image(row),), {"session": session_of(row.get("image", ""))})
            for i, row in enumerate(rows)
        ]

    def play(self, item: Item, asking: Asking) -> Play:
        (row,) = item.rows
        answers = yield [Write(ask(asking.prompt, _image(row)), MAX_NEW_TOKENS)]
        if is_unanswered(answers):
            return self.miss(item)
        is_finite = finite(answers)
        # The text of a model whose logits are NaN is not a caption, but the original scores it.
        counts = is_finite or asking.scoring == Scoring.REFERENCE
        value = meteor(row["text"], text_of(answers[0])) if counts else 0.0
        return Outcome(item.item_id, {"meteor": value}, is_finite=is_finite)

    def target(self, row: Row) -> str:
        return str(row["text"])

    def sample_fields(self, row: Row, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        return {
            "meteor": {
                "gt": row["text"],
                "pred": text_of(exchanges[0].answer),
                "score": outcome.values["meteor"],
            }
        }

    def row_of_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": fields["gt"]} if "gt" in fields else {}


def _image(row: Row) -> ImageRef:
    return ImageRef("saycam", row.get("image", ""))


TASK = SAYCamCaption()
