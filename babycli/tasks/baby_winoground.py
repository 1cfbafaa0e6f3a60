"""Baby Winoground: match two pictures with two phrases (Wang et al. 2025, after Thrush et al. 2022).

An instance is two rows of one ``instance_id``: a SAYCam frame (``positive``) and a synthetic picture
(``negative``), each scored with both phrases. All comparisons are strict: a tie is a miss.

                 positive phrase   negative phrase
    frame             a                 b              text:   a < b and d < c
    synthetic         c                 d              image:  a < c and d < b

That is four scores and no single choice among them, so an instance has no options().

Source: baby_winoground_aggregate_* in lmms_eval/tasks/baby_winoground/utils.py of babylmms-eval @ 82118a8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babycli import bibliography
from babycli.domain import Exchange, ImageRef, Item, Outcome, Row, Score, ask
from babycli.tasks import pairs
from babycli.tasks.babyvlm import BABYVLM, CHOICE, CHOICE_SCORED, phrase_groups
from babycli.tasks.base import (
    Asking,
    Needs,
    Play,
    StructureProblem,
    Task,
    group_by,
    is_unanswered,
    loss_field,
    loss_of,
)
from babycli.tasks.groups import PHRASES, SESSION, WORD
from babycli.tasks.pairs import outcome_of_pair
from babycli.wording import number_or_text

_SOURCES = {"positive": "saycam", "negative": "synthetic"}
_PHRASES = ("positive_phrase", "negative_phrase")
_PICTURES = {"positive": "img0", "negative": "img1"}  # their names in the original's logs


class BabyWinoground(Task):
    name = "baby_winoground"
    title = "Baby Winoground"
    short = "Wino"
    question = "match 2 images with 2 phrases"
    unit = "instances"
    metrics = pairs.METRICS
    needs = Needs("score")
    prompts = CHOICE
    benchmark = BABYVLM
    papers = (bibliography.BABYVLM, bibliography.WINOGROUND)
    order = 3
    label_path = "baby_winoground/baby_winoground.csv"
    columns = ("instance_id", "positive_phrase", "negative_phrase", "image", "image_tag")
    links: Mapping[str, str] = {
        "saycam": "baby_winoground/positive_images",
        "synthetic": "baby_winoground/negative_images",
    }
    integer_columns = frozenset({"instance_id"})
    groupings = (SESSION, WORD, PHRASES)
    cluster = "session"
    item_columns = ("positive_phrase", "negative_phrase", "image")
    scored = CHOICE_SCORED
    tie_rule = "in Baby Winoground a tie is a miss"
    tie_note = "in Winoground a tie is a miss"
    legend = "pos, neg: positive and negative context"
    reference_is_float32 = True
    rows_per_item = 2
    n_row_answers = 2

    def items(self, rows: Sequence[Row]) -> list[Item]:
        items = []
        for instance_id, indices in group_by(rows, "instance_id").items():
            members = tuple(rows[i] for i in indices)
            images = tuple(_image(row) for row in members if row.get("image_tag") in _SOURCES)
            frame = next((row for row in members if row.get("image_tag") == "positive"), members[0])
            items.append(Item(instance_id, indices, members, images, phrase_groups(frame)))
        return items

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        problems = []
        for item in self.items(rows):
            members = item.rows
            tags = sorted(row["image_tag"] for row in members)
            if tags != ["negative", "positive"]:
                detail = f"has image_tag {', '.join(tags)}, should have one positive and one negative"
            elif len({(row["positive_phrase"], row["negative_phrase"]) for row in members}) != 1:
                detail = "has other phrases in its second row"
            else:
                continue
            problems.append(StructureProblem(item.item_id, f"instance {item.item_id} {detail}"))
        return problems

    def why_undecidable(self, rows: Sequence[Row]) -> str:
        is_pair = {row["image_tag"] for row in rows} == set(_SOURCES)
        return super().why_undecidable(rows) or ("" if is_pair else "should have one positive and one negative picture")

    def play(self, item: Item, asking: Asking) -> Play:
        answers = yield [
            Score(context, row.get(column, ""))
            for row in item.rows
            for context in [ask(asking.prompt, _image(row))]
            for column in _PHRASES
        ]
        if is_unanswered(answers):
            return self.miss(item)
        losses = [loss_of(answer, asking.scoring) for answer in answers]
        by_tag = {row["image_tag"]: losses[2 * i : 2 * i + 2] for i, row in enumerate(item.rows)}
        return outcome_of_pair(item, by_tag["positive"], by_tag["negative"], answers)

    def target(self, row: Row) -> str:
        return str(row["image_tag"])

    def sample_fields(self, row: Row, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        picture = _PICTURES[row["image_tag"]]
        fields: dict[str, Any] = {}
        for i, exchange in enumerate(exchanges):
            name, value = loss_field(exchange.answer)
            fields[f"{picture}_phrase{i}_{name}"] = value
        fields["instance_id"] = number_or_text(row["instance_id"])
        return dict.fromkeys((metric.name for metric in self.metrics), fields)

    def row_of_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        if "instance_id" not in fields:
            return {}
        tags = (tag for tag, start in _PICTURES.items() if any(name.startswith(f"{start}_phrase0_") for name in fields))
        tag = next(tags, None)
        return {"instance_id": fields["instance_id"]} | ({} if tag is None else {"image_tag": tag})


def _image(row: Row) -> ImageRef:
    return ImageRef(_SOURCES[row["image_tag"]], row.get("image", ""))


TASK = BabyWinoground()
