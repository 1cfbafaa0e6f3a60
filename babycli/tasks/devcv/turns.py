"""The turns of a conversation as they were played: each question with what the model answered.

Owns what follows from the answers of a turn alone: its words, its losses, the answer chosen. Never reads an answer out
of words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from babycli.domain import Answer, Loglikelihood, NoReply, Similarity, Text
from babycli.tasks.base import choose, loss_of, text_of
from babycli.tasks.devcv.entries import Question
from babycli.wording import Scoring

# What was answered in each turn: the credit that each answer gets, nothing where there was none.
Credits = Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with what the model answered, in the ways that it was asked in."""

    question: Question
    closed_set: tuple[str, ...]
    written: Answer | None  # None: it was not asked to write
    scores: tuple[Answer, ...]  # of the closed set
    is_recorded: bool  # what is written was said elsewhere

    @property
    def words(self) -> str | None:
        """What was written; None for a reply that a recorded conversation lacks, "" for one that was not possible.

        The decoder of a model puts blanks around its words. What was said elsewhere is taken as it was said.
        """
        if self.written is None or isinstance(self.written, NoReply):
            return None
        text = text_of(self.written)
        return text if self.is_recorded else text.strip()

    @property
    def reply(self) -> str:
        """The words with which the conversation goes on: those written or, if none were asked for, those chosen."""
        if self.written is not None:
            return text_of(self.written).strip()
        return next(iter(self.chosen), "")

    @property
    def losses(self) -> dict[str, float]:
        """The loss of each answer of the closed set; none where the model could not give all of them."""
        scores = [score for score in self.scores if isinstance(score, Loglikelihood | Similarity)]
        if len(scores) < len(self.scores):
            return {}
        return {answer: loss_of(score, Scoring.FAIR) for answer, score in zip(self.closed_set, scores, strict=False)}

    @property
    def chosen(self) -> dict[str, float]:
        """The credit of each answer of the closed set: 1 for the lowest loss, shared if several have it."""
        losses = self.losses
        credits = {answer: choose([*losses.values()], i).credit for i, answer in enumerate(losses)}
        return {answer: credit for answer, credit in credits.items() if credit}


def replies_of(turns: Sequence[Turn], n_turns: int) -> list[str | None]:
    """Gives the replies as the authors' code is given them: as many as there are, also more or fewer than turns."""
    replies = [t.words for t in turns if not (isinstance(t.written, NoReply) and t.written.is_beyond)]
    unreached = [""] * (n_turns - len(turns))  # an exception in the original, whose reply is empty
    extra = [text for t in turns if isinstance(t.written, Text | NoReply) for text in t.written.extra]
    return [*replies, *unreached, *extra]
