"""The DevCV tasks of one turn, by the kind of their answers.

Owns how letters, numbers and directions of one question are counted. The tasks themselves are in files of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from babycli.domain import Context, ImageRef, Item, Match, Metric, Request, Row, Score, Turn, ask
from babycli.tasks.devcv import reference
from babycli.tasks.devcv.answers import DIRECTION, LETTER, NUMBER, Kind
from babycli.tasks.devcv.dialogue import SCORED, DevCVTask
from babycli.tasks.devcv.entries import Question, questions_of
from babycli.tasks.devcv.turns import Credits
from babycli.tasks.groups import NUMBER as TRUE_NUMBER

_WORD = re.compile(r"image of '(.+?)'", re.IGNORECASE | re.DOTALL)


class OneAnswer(DevCVTask):
    """A question with one right answer."""

    leaves_out_missing = False  # the authors' code for this task counts only replies that are there

    def count(self, credits: Credits, questions: Sequence[Question]) -> dict[str, float]:
        hits = [credit.get(self.right(q) or "", 0.0) for credit, q in zip(credits, questions, strict=True)]
        return {"acc": sum(hits) / len(hits) if hits else 0.0}

    def count_as_authors(
        self, replies: Sequence[str | None], questions: Sequence[Question], row: Row
    ) -> dict[str, float]:
        given = [self.kind.extract(reply) for reply in replies]
        share = reference.share_right_of_pairs if self.leaves_out_missing else reference.share_right
        return {"acc": share(given, [self.right(question) for question in questions])}


class LetterTask(OneAnswer):
    """A question that offers letters."""

    kind = LETTER


class PictureWord(LetterTask):
    """Which picture shows a word: a dual encoder compares each with the word."""

    dual = "similarity"

    def comparisons(self, question: Question) -> list[Request]:
        word, pictures = _WORD.search(question.text), question.pictured_options
        if word is None or len(pictures) != len(question.letters):
            return []
        return [Score(ask("", ImageRef(self.source, pictures[letter])), word[1]) for letter in question.letters]


class SamePicture(LetterTask):
    """Which picture is like the first: a dual encoder compares each with it."""

    dual = "match"

    def comparisons(self, question: Question) -> list[Request]:
        pictures = question.pictured_options
        if len(pictures) != len(question.letters) or len(question.pictures) != len(pictures) + 1:
            return []
        query, *_ = question.pictures
        pairs = [(ImageRef(self.source, query), ImageRef(self.source, pictures[letter])) for letter in question.letters]
        return [Match(Context((Turn("user", pair),))) for pair in pairs]


class Counting(OneAnswer):
    """How many there are. Chance is what the number that is right most often gives: who guesses can do no better."""

    kind = NUMBER
    groupings = (*DevCVTask.groupings, TRUE_NUMBER)

    def chance_of(self, metric: Metric, items: Sequence[Item]) -> float | None:
        numbers = [item.groups[TRUE_NUMBER.name] for item in items]
        return max(map(numbers.count, set(numbers))) / len(numbers) if numbers else None

    def more_groups(self, row: Row) -> dict[str, str]:
        return {TRUE_NUMBER.name: next((self.right(question) or "" for question in questions_of(row)), "")}


class Leaving(DevCVTask):
    """Where something leaves the frame. The originals of the NIH offer letters instead, which are counted as such."""

    kind = DIRECTION
    scored = f"{SCORED} Blanks around a written direction were dropped first, which is not published."
    legend = "exact: the direction itself; adjac.: that or one beside it"

    def kind_of(self, question: Question) -> Kind:
        return LETTER if question.letters else DIRECTION

    def count(self, credits: Credits, questions: Sequence[Question]) -> dict[str, float]:
        exact = adjacent = 0.0
        for credit, question in zip(credits, questions, strict=True):
            right = self.right(question) or ""
            exact += credit.get(right, 0.0)
            adjacent += sum(credit.get(near, 0.0) for near in reference.around(right))
        n = len(questions) or 1
        return {"acc_exact": exact / n, "acc_adjacent": adjacent / n}

    def count_as_authors(
        self, replies: Sequence[str | None], questions: Sequence[Question], row: Row
    ) -> dict[str, float]:
        right = [self.right(question) or "" for question in questions]
        if any(question.letters for question in questions):
            share = reference.share_right([LETTER.extract(reply) for reply in replies], right)
            return {"acc_exact": share, "acc_adjacent": share}
        exact, adjacent = reference.directions(replies, right)
        return {"acc_exact": exact, "acc_adjacent": adjacent}
