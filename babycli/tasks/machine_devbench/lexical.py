"""The lexical tasks of Machine-DevBench: which of two pictures shows what the words say (Lin et al. 2026).

An item has a caption and two pictures, the first of which shows it. Accuracy is the mean over frequency bins of the
accuracy in each, so that rare words count as much as common ones.

Source: MachineDevBenchEvalModule and ResultAggregator in evaluation/multimodal/machine_devbench/ of
facebookresearch/egobabyvlm @ 33ce498.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from babycli.domain import Exchange, Item, Metric, Outcome, Row, Score, ask
from babycli.tasks.base import Asking, Choice, Play, choose, is_unanswered, loss_field, loss_of
from babycli.tasks.groups import CATEGORY, FREQUENCY, STYLE, Grouping
from babycli.tasks.machine_devbench.common import KEY_OF_STYLE, WORD_ASKED, MachineDevBenchTask, named
from babycli.wording import Scoring

_PICTURES = ("image_positive", "image_negative")


class Lexical(MachineDevBenchTask):
    """A choice between two pictures of one text."""

    metrics = (Metric("acc", "share", "accuracy", "acc", chance=1 / 2, is_main=True, mean_over=FREQUENCY.name),)
    columns = (KEY_OF_STYLE, "word", "caption_positive", *_PICTURES)
    item_columns = ("caption_positive", KEY_OF_STYLE)
    bin_key = "frequency_bin"
    words = ("word",)
    texts = ("caption_positive", "caption_negative")
    pictures = _PICTURES
    optional = ("negative_word", "category")
    n_row_answers = 2
    scored = (
        "The score of a picture is the mean log-likelihood per token of the caption given it or, of a dual encoder, "
        "their similarity; the highest score is the answer. Accuracy is the mean over frequency bins."
    )
    tie_rule = "in lexical tasks equal scores of both pictures get 1/2"
    tie_note = "equal scores, or equal sums, get 1/2 (under reference they are a miss)"
    legend = "acc: the mean over frequency bins, those of [1,2) and [2,4) as one"

    def __init__(self, kind: str, short: str, order: int) -> None:
        name = f"lex_{kind}"
        super().__init__(
            name,
            f"Lexical {kind}",
            short,
            f"which of 2 images shows the caption of a{'n' * (kind[0] == 'a')} {kind[:-1]}",
            order,
        )
        self.manifest = f"Lexical/{kind.capitalize()}/manifest_{kind}_{{style}}.json"
        if kind == "nouns":
            self.groupings: tuple[Grouping, ...] = (STYLE, FREQUENCY, CATEGORY, WORD_ASKED)

    def groups(self, row: Row) -> dict[str, str]:
        of_nouns = {CATEGORY.name: named(row, "category")} if CATEGORY in self.groupings else {}
        return super().groups(row) | of_nouns

    def play(self, item: Item, asking: Asking) -> Play:
        (row,) = item.rows
        answers = yield [
            Score(ask(asking.prompt, self.picture(row, key)), row["caption_positive"]) for key in self.pictures
        ]
        if is_unanswered(answers):
            return self.miss(item)
        losses = [loss_of(answer, asking.scoring) for answer in answers]
        choice = choose(losses, 0) if asking.scoring == Scoring.FAIR else choose_strictly(*losses)
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)

    def options(self, item: Item) -> tuple[str, ...]:
        return tuple(image.name for image in item.images)

    def target(self, row: Row) -> str:
        return str(row.get("caption_positive", ""))

    def score_fields(self, exchanges: Sequence[Exchange]) -> dict[str, Any]:
        scores = zip(self.pictures, (loss_field(exchange.answer) for exchange in exchanges), strict=True)
        return {f"{key}_{name}": value for key, (name, value) in scores}


def choose_strictly(right: float, wrong: float) -> Choice:
    """Decides between two losses as the original: right is less, and nothing else. NaN is less than nothing."""
    fair = choose([right, wrong], 0)
    return Choice(float(right < wrong), right == wrong, fair.is_finite)


TASKS = (
    Lexical("nouns", "Nouns", 31),
    Lexical("verbs", "Verbs", 32),
    Lexical("adjectives", "Adject.", 33),
)
