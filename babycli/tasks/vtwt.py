"""Visual Two-Word Test: which of two two-word phrases fits the frame (Wang et al. 2025, section 4).

An item is one row. The model scores both phrases for the frame; the lower loss wins. In the label file the
right phrase is always the first, so the rule for ties decides the score of a model that ignores the frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from babycli import bibliography
from babycli.domain import ImageRef, Item, Metric, Outcome, Row, Score, ask
from babycli.tasks.babyvlm import BABYVLM, CHOICE, CHOICE_SCORED, SHARED_CREDIT, SHARED_CREDIT_NOTE, phrase_groups
from babycli.tasks.base import (
    Asking,
    Needs,
    Play,
    StructureProblem,
    Task,
    choose,
    choose_first_of_lowest,
    is_unanswered,
    loss_of,
)
from babycli.tasks.groups import PHRASES, SESSION, WORD
from babycli.wording import Scoring


class VisualTwoWordTest(Task):
    name = "vtwt"
    title = "Visual Two-Word Test"
    short = "VTWT"
    question = "which of 2 two-word phrases fits the frame"
    unit = "trials"
    metrics = (Metric("acc", "share", "acc", "acc", chance=1 / 2, is_main=True),)
    needs = Needs("score")
    prompts = CHOICE
    benchmark = BABYVLM
    papers = (bibliography.BABYVLM,)
    order = 2
    label_path = "vtwt/vtwt.csv"
    columns = ("image", "positive_phrase", "negative_phrase")
    links: Mapping[str, str] = {"saycam": "vtwt/images"}
    groupings = (SESSION, WORD, PHRASES)
    cluster = "session"
    item_columns = ("positive_phrase", "negative_phrase", "image")
    scored = CHOICE_SCORED
    tie_rule = SHARED_CREDIT
    tie_note = SHARED_CREDIT_NOTE
    n_row_answers = 2

    def items(self, rows: Sequence[Row]) -> list[Item]:
        return [Item(str(i), (i,), (row,), (_image(row),), phrase_groups(row)) for i, row in enumerate(rows)]

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        return [
            StructureProblem(str(i), f"row {i} offers the same phrase twice: {row['positive_phrase']!r}")
            for i, row in enumerate(rows)
            if row["positive_phrase"] == row["negative_phrase"]
        ]

    def play(self, item: Item, asking: Asking) -> Play:
        (row,) = item.rows
        context = ask(asking.prompt, _image(row))
        answers = yield [Score(context, row[column]) for column in ("positive_phrase", "negative_phrase")]
        if is_unanswered(answers):
            return self.miss(item)
        losses = [loss_of(answer, asking.scoring) for answer in answers]
        choice = (choose if asking.scoring == Scoring.FAIR else choose_first_of_lowest)(losses, 0)
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)

    def options(self, item: Item) -> tuple[str, ...]:
        return tuple(str(row[column]) for row in item.rows for column in ("positive_phrase", "negative_phrase"))

    def target(self, row: Row) -> str:
        return str(row["positive_phrase"])


def _image(row: Row) -> ImageRef:
    return ImageRef("saycam", row.get("image", ""))


TASK = VisualTwoWordTest()
