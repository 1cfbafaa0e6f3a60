"""Labeled-S: which of four pictures shows the word (Vong et al. 2024; Wang et al. 2025).

An item is four rows of one ``trial_id``: the same target word with four pictures, of which one is of its
category. The model scores the word for each picture; the lowest loss wins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from babycli import bibliography
from babycli.domain import Exchange, ImageRef, Item, Metric, Outcome, Row, Score, ask
from babycli.tasks.babyvlm import BABYVLM, CHOICE, CHOICE_SCORED, SHARED_CREDIT, SHARED_CREDIT_NOTE
from babycli.tasks.base import (
    Asking,
    Choice,
    Needs,
    Play,
    StructureProblem,
    Task,
    choose,
    group_by,
    is_unanswered,
    loss_field,
    loss_of,
)
from babycli.tasks.groups import CATEGORY
from babycli.wording import Scoring, number_or_text

PICTURES_PER_ITEM = 4


class LabeledS(Task):
    name = "labeled_s"
    title = "Labeled-S"
    question = "which of 4 images shows the word"
    unit = "trials"
    metrics = (Metric("acc", "share", "acc", "acc", chance=1 / PICTURES_PER_ITEM, is_main=True),)
    needs = Needs("score")
    prompts = CHOICE
    benchmark = BABYVLM
    papers = (bibliography.BABYVLM, bibliography.CVCL, bibliography.ORHAN)
    order = 1
    label_path = "labeled_s/labeled_s.csv"
    columns = ("trial_id", "target_category", "real_category", "image")
    links: Mapping[str, str] = {"labeled_s": "labeled_s/images"}
    integer_columns = frozenset({"trial_id"})
    groupings = (CATEGORY,)
    cluster = "category"
    item_columns = ("target_category", "image")
    scored = CHOICE_SCORED
    tie_rule = SHARED_CREDIT
    tie_note = SHARED_CREDIT_NOTE
    rows_per_item = PICTURES_PER_ITEM
    n_row_answers = 1

    def items(self, rows: Sequence[Row]) -> list[Item]:
        items = []
        for trial_id, indices in group_by(rows, "trial_id").items():
            members = tuple(rows[i] for i in indices)
            images = tuple(_image(row) for row in members if "image" in row)
            groups = {"category": members[0].get("target_category", "")}
            items.append(Item(trial_id, indices, members, images, groups))
        return items

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        problems = []
        for item in self.items(rows):
            members = item.rows
            right = sum(_is_right(row) for row in members)
            if len(members) != PICTURES_PER_ITEM:
                detail = f"has {len(members)} rows, should have {PICTURES_PER_ITEM}"
            elif len({row["target_category"] for row in members}) != 1:
                detail = "asks for more than one target_category"
            elif right != 1:
                detail = f"has {right} rows whose real_category is the target, should have 1"
            elif len(set(item.images)) != PICTURES_PER_ITEM:
                detail = "shows an image twice"
            else:
                continue
            problems.append(StructureProblem(item.item_id, f"trial {item.item_id} {detail}"))
        return problems

    def why_undecidable(self, rows: Sequence[Row]) -> str:
        right = sum(_is_right(row) for row in rows)
        return super().why_undecidable(rows) or (
            f"has {right} rows with the right picture, should have 1" if right != 1 else ""
        )

    def play(self, item: Item, asking: Asking) -> Play:
        answers = yield [Score(ask(asking.prompt, _image(row)), row["target_category"]) for row in item.rows]
        if is_unanswered(answers):
            return self.miss(item)
        losses = [loss_of(answer, asking.scoring) for answer in answers]
        right = next(i for i, row in enumerate(item.rows) if _is_right(row))
        choice = choose(losses, right) if asking.scoring == Scoring.FAIR else _choose_as_original(losses, right)
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)

    def options(self, item: Item) -> tuple[str, ...]:
        return tuple(str(row.get("image", "")) for row in item.rows)

    def target(self, row: Row) -> str:
        return str(row["target_category"])

    def sample_fields(self, row: Row, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        name, value = loss_field(exchanges[0].answer)
        fields = {
            name: value,
            "trial_id": number_or_text(row["trial_id"]),
        }
        return {"acc": fields | {key: row[key] for key in ("target_category", "real_category")}}

    def row_of_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {key: fields[key] for key in ("trial_id", "target_category", "real_category") if key in fields}


def _image(row: Row) -> ImageRef:
    return ImageRef("labeled_s", row.get("image", ""))


def _is_right(row: Row) -> bool:
    return bool(row["real_category"] == row["target_category"])


def _choose_as_original(losses: Sequence[float], right: int) -> Choice:
    """Decides as the original: the first of the lowest losses in file order wins, compared strictly, so NaN never wins.

    If all four are NaN, the original stops with an error; here such a trial counts as wrong.
    Source: labeled_s_aggregate_acc in lmms_eval/tasks/labeled_s/utils.py of babylmms-eval @ 82118a8.
    """
    fair = choose(losses, right)
    best, picked = math.inf, -1
    for i, loss in enumerate(losses):
        if loss < best:
            best, picked = loss, i
    return Choice(float(picked == right), fair.is_tie, fair.is_finite)


TASK = LabeledS()
