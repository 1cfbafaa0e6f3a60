"""The grammatical tasks of Machine-DevBench: which of two pictures is of which of two sentences (Lin et al. 2026).

An item has two captions that differ in their grammar alone, and a picture of each. A model is right if both pictures
with their own captions score more, together, than with the other's.

                 caption_a   caption_b
    image_0         p           q            right:  p + s better than q + r
    image_1         r           s

Source: MachineDevBenchEvalModule in evaluation/multimodal/machine_devbench/base.py of facebookresearch/egobabyvlm @
33ce498, which adds in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from babycli.domain import Exchange, Item, Outcome, Row, Score, ask
from babycli.tasks.base import Asking, Play, as_float32, choose, is_unanswered, loss_field, loss_of
from babycli.tasks.machine_devbench.common import KEY_OF_STYLE, MachineDevBenchTask
from babycli.tasks.machine_devbench.lexical import choose_strictly
from babycli.wording import Scoring

_CAPTIONS = ("caption_a", "caption_b")
_PICTURES = ("image_0", "image_1")


class Grammatical(MachineDevBenchTask):
    """A match of two pictures with two captions."""

    columns = (KEY_OF_STYLE, *_CAPTIONS, *_PICTURES)
    item_columns = (*_CAPTIONS, KEY_OF_STYLE)
    bin_key = "freq_bin"
    words = ("word",)
    texts = _CAPTIONS
    pictures = _PICTURES
    optional = ("seq", "category")
    n_row_answers = 4
    scored = (
        "Two pictures and two captions are matched: the mean log-likelihoods per token of the captions given the "
        "pictures or, of a dual encoder, their similarities, are added for the right and for the crossed pairs, and "
        "the larger sum is the answer."
    )
    tie_rule = "in grammatical tasks equal sums get 1/2"
    tie_note = "equal scores, or equal sums, get 1/2 (under reference they are a miss)"

    def __init__(self, kind: str, title: str, short: str, order: int) -> None:
        super().__init__(
            f"gram_{kind}", f"Grammatical {title}", short, f"match 2 images with 2 captions: {title}", order
        )
        self.manifest = f"Grammatical/{self.name}/manifest_grammatical_{kind}_{{style}}.json"

    def play(self, item: Item, asking: Asking) -> Play:
        (row,) = item.rows
        answers = yield [
            Score(ask(asking.prompt, self.picture(row, key)), row[caption])
            for key in self.pictures
            for caption in _CAPTIONS
        ]
        if is_unanswered(answers):
            return self.miss(item)
        p, q, r, s = (loss_of(answer, asking.scoring) for answer in answers)
        if asking.scoring == Scoring.FAIR:
            choice = choose([p + s, q + r], 0)
        else:
            choice = choose_strictly(as_float32(p + s), as_float32(q + r))
        return Outcome(item.item_id, {"acc": choice.credit}, choice.is_tie, choice.is_finite)

    def target(self, row: Row) -> str:
        return " | ".join(str(row.get(caption, "")) for caption in _CAPTIONS)

    def score_fields(self, exchanges: Sequence[Exchange]) -> dict[str, Any]:
        pairs = [(key, caption) for key in self.pictures for caption in _CAPTIONS]
        scores = zip(pairs, (loss_field(exchange.answer) for exchange in exchanges), strict=True)
        return {f"{key}_{caption}_{name}": value for (key, caption), (name, value) in scores}


TASKS = (
    Grammatical("subject_verb", "subject and verb", "Subj-verb", 41),
    Grammatical("subject_adjective", "subject and adjective", "Subj-adj", 42),
    Grammatical("negation", "negation", "Negation", 43),
    Grammatical("order_matters", "word order", "Order", 44),
    Grammatical("prepositions", "prepositions", "Prepos.", 45),
    Grammatical("comparatives", "comparatives", "Compar.", 46),
    Grammatical("counting", "counting", "Counting", 47),
    Grammatical("embedded_relative", "embedded relatives", "Relative", 48),
)
