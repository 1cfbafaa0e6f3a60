"""The base class of the DevCV tasks: a conversation over pictures, whose answers are of a closed set.

Owns how an entry is played and decided, turn by turn, in both ways of answering:

    written   the model writes a reply, which is read (answers.py); its own words go into the conversation
    chosen    each answer of the closed set is scored behind the same words; the lowest mean loss is the answer

Both are asked in one round, so that what stands before them is read once. A dual encoder, which neither writes nor
reads a conversation, is asked where nearness is an answer: of pictures to a word, or to another picture.

Never reads a reply itself, and never knows which letters are right: an entry says it.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from babycli import bibliography
from babycli.data.sets import set_folder
from babycli.domain import (
    Answer,
    CannotAnswer,
    Context,
    Exchange,
    ImageRef,
    Item,
    Metric,
    Outcome,
    Request,
    Row,
    Score,
    Text,
    Write,
)
from babycli.tasks.base import (
    Asking,
    Benchmark,
    Needs,
    Play,
    StructureProblem,
    Task,
    is_unanswered,
)
from babycli.tasks.devcv.answers import Kind
from babycli.tasks.devcv.clusters import SHARED, recording_of, shared_groups
from babycli.tasks.devcv.entries import Question, faults, pictures_of, questions_of
from babycli.tasks.devcv.turns import Credits, Turn, replies_of
from babycli.tasks.groups import SESSION, Grouping
from babycli.tasks.replies import Reply
from babycli.tasks.sessions import day_of
from babycli.wording import AnswerWay, History, Scoring

DEVCV = Benchmark("devcv", "DevCV Toolbox", "Wang et al. 2025, arXiv 2512.10932", has_sets=True)
_REFERENCE, _CHOSEN = "_reference", "_chosen"  # behind the name of a metric
_LETTERS_ONLY = 32  # tokens that a reply to a question of one turn may have
SCORED = (
    "A written reply counted for the one answer of its question that it names, and a reply that names none or several "
    "as wrong; a chosen answer was that of the lowest mean loss per token among the answers of the question."
)
Compares = Literal["", "similarity", "match"]


def counted(name: str, title: str, short: str, chance: float | None, is_main: bool = False) -> tuple[Metric, ...]:
    """Makes the metrics of one quantity: as it is written, the same by the authors' rules, and as it is chosen."""
    written = Metric(name, "share", title, short, chance, is_main)
    return (
        written,
        replace(written, name=name + _REFERENCE, title=f"{title} by the authors' rules", short=f"{short} (ref.)",
                is_main=False, twin_of=name),
        replace(written, name=name + _CHOSEN, title=f"{title}, chosen", short=f"{short} (chosen)", is_main=False),
    )  # fmt: skip


class DevCVTask(Task):
    """A task of the DevCV Toolbox. Its class says the kind of answers, and how they are counted."""

    benchmark = DEVCV
    papers = (bibliography.BABYVLM_V2,)
    data_set = "ego4d"
    label_format = "json"
    columns = ("id", "conversations", "image")
    groupings: tuple[Grouping, ...] = (SHARED, SESSION)
    cluster = SHARED.name
    item_columns = ("id",)
    scored = SCORED
    tie_rule = "chosen answers that share the lowest loss share the credit"
    ways: tuple[AnswerWay, ...] = (AnswerWay.WRITTEN, AnswerWay.CHOSEN)
    kind: Kind
    max_new_tokens = _LETTERS_ONLY
    n_images = 1
    n_turns = 1
    dual: Compares = ""  # the ability with which a dual encoder answers it; "": it cannot
    compares: Compares = ""  # the same, once it is fitted to one

    def __init__(self) -> None:
        self._bind(type(self).data_set)

    def _bind(self, data_set: str) -> None:
        folder = set_folder(DEVCV.name, data_set)
        self.data_set, self.source = data_set, f"{DEVCV.name}_{data_set}"
        self.label_path, self.links = f"{folder}/{self.name}.json", {self.source: f"{folder}/images"}
        self.needs = self._needs(self.ways, ("loglikelihood", "generate"))

    def of_set(self, data_set: str) -> Self:
        bound = copy.copy(self)
        bound._bind(data_set)
        return bound

    def fitted(self, ways: Sequence[AnswerWay] | None, abilities: Collection[str]) -> Self:
        fitted = copy.copy(self)
        given = ways or ((AnswerWay.WRITTEN,) if "generate" in abilities else (AnswerWay.CHOSEN,))
        fitted.ways = tuple(way for way in AnswerWay if way in given)
        fitted.needs = self._needs(fitted.ways, abilities)
        need = fitted.needs.answer
        fitted.compares = need if need == "similarity" or need == "match" else ""
        writes, chooses = AnswerWay.WRITTEN in given, AnswerWay.CHOSEN in given
        of_ways = [m for m in type(self).metrics if (chooses if m.name.endswith(_CHOSEN) else writes)]
        main = type(self).main_metric_name() + ("" if writes else _CHOSEN)
        fitted.metrics = tuple(replace(metric, is_main=metric.name == main) for metric in of_ways)
        return fitted

    @classmethod
    def main_metric_name(cls) -> str:
        return next(metric.name for metric in cls.metrics if metric.is_main)

    def _needs(self, ways: Collection[AnswerWay], abilities: Collection[str]) -> Needs:
        if AnswerWay.CHOSEN not in ways:
            return Needs("write", self.n_images, self.n_turns)
        writes = AnswerWay.WRITTEN in ways
        is_dual = not {"loglikelihood", "generate"} & set(abilities)
        if is_dual and not writes and self.dual and self.dual in abilities:
            return Needs(self.dual, 1 if self.dual == "similarity" else 2)
        is_scored_anyhow = "similarity" in abilities and "generate" in abilities  # a control
        return Needs("score" if is_scored_anyhow else "loglikelihood", self.n_images, self.n_turns, writes)

    # ------------------------------------------------------------ items

    def items(self, rows: Sequence[Row]) -> list[Item]:
        groups = shared_groups(rows)
        return [
            Item(
                str(i),
                (i,),
                (row,),
                tuple(ImageRef(self.source, name) for name in pictures_of(row)),
                {SHARED.name: group, SESSION.name: _session(row)} | self.more_groups(row),
            )
            for i, (row, group) in enumerate(zip(rows, groups, strict=True))
        ]

    def more_groups(self, row: Row) -> dict[str, str]:
        """Gives the groups of an entry that only this task has."""
        return {}

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        return [
            StructureProblem(str(i), f"item {i} (from 0), {row.get('id')!r:.60}, {fault}")
            for i, row in enumerate(rows)
            for fault in self._faults(row)
        ]

    def _faults(self, row: Row) -> Iterator[str]:
        of_form = list(faults(row))
        yield from of_form
        if not of_form:
            questions = questions_of(row)
            for n, question in enumerate(questions, 1):
                for fault in self.question_faults(question):
                    yield fault if len(questions) == 1 else f"in turn {n} {fault}"
            yield from self.structure_faults(questions)

    def question_faults(self, question: Question) -> Iterator[str]:
        """Finds what is wrong with a turn."""
        closed_set, right = self.closed_set(question), self.right(question)
        if len(closed_set) == 0:
            yield f"offers no answers: {question.text!r:.80}"
        elif right not in closed_set:
            yield f"has the answer {question.right!r:.40}, should have one of {', '.join(closed_set)}"
        elif self.kind_of(question).read(question.right, question) != right:  # "A or B", "3.5"
            yield f"has the answer {question.right!r:.40}, should have one alone of {', '.join(closed_set)}"
        letters = [letter for letter, _ in question.options_in_places]
        again = [letter for letter in dict.fromkeys(letters) if letters.count(letter) > 1]
        if again:
            yield f"offers {again[0]} for {letters.count(again[0])} pictures: {question.text!r:.80}"
        options = list(question.pictured_options.values())
        twice = [name for name in dict.fromkeys(options) if options.count(name) > 1]
        if twice:
            yield f"offers the same picture twice: {twice[0]!r:.80}"

    def structure_faults(self, questions: Sequence[Question]) -> Iterator[str]:
        """Finds what is wrong with the turns together."""
        if len(questions) != 1:
            yield f"has {len(questions)} turns, should have 1"

    def distinct(self, item: Item) -> list[list[ImageRef]]:
        """Gives the options of each turn: a query may be its right option, and memory shows old pictures again."""
        return [
            [ImageRef(self.source, name) for name in question.pictured_options.values()]
            for question in questions_of(item.rows[0])
        ]

    def why_undecidable(self, rows: Sequence[Row]) -> str:
        return super().why_undecidable(rows) or next((fault for row in rows for fault in self._faults(row)), "")

    def n_turns_of(self, row: Row) -> int:
        return len(questions_of(row))

    def target(self, row: Row) -> str:
        return " ".join(question.right for question in questions_of(row))

    def options(self, item: Item) -> tuple[str, ...]:
        """Names the answers of the closed set, as they are scored; none of a conversation, or where all is written."""
        questions = [question for row in item.rows for question in questions_of(row)]
        is_choice = len(questions) == 1 and AnswerWay.CHOSEN in self.ways
        return self.closed_set(questions[0]) if is_choice else ()

    def replies(self, place: int, row: Row, texts: Sequence[str | None]) -> list[Reply]:
        return [
            Reply(place, text, self.right(question) or "", self.kind_of(question).read(text, question) or "")
            for question, text in zip(questions_of(row), texts, strict=False)
            if text is not None
        ]

    # ------------------------------------------------------------ answers

    def kind_of(self, question: Question) -> Kind:
        """Gives the kind of answer that a question asks for."""
        return self.kind

    def closed_set(self, question: Question) -> tuple[str, ...]:
        return self.kind_of(question).closed_set(question)

    def right(self, question: Question) -> str | None:
        return self.kind_of(question).right(question)

    @abstractmethod
    def count(self, credits: Credits, questions: Sequence[Question]) -> dict[str, float]:
        """Counts what was answered; gives the value of each quantity."""

    @abstractmethod
    def count_as_authors(
        self, replies: Sequence[str | None], questions: Sequence[Question], row: Row
    ) -> dict[str, float]:
        """Counts replies as the authors' code does: None for one that is null, and as many as there are."""

    # ------------------------------------------------------------ play

    def play(self, item: Item, asking: Asking) -> Play:
        (row,) = item.rows
        questions, turns = questions_of(row), list[Turn]()
        context: Context | None = None
        reply = ""
        for question in questions:
            context = question.context(self.source, context, reply)
            requests = self._requests(question, context, asking)
            answers = yield requests
            turns.append(self._turn(question, requests, answers, asking.is_recorded))
            if is_unanswered(answers):  # what comes later is longer still
                break
            reply = question.right if asking.history == History.GOLD else turns[-1].reply
        return self._outcome(item, questions, turns, asking)

    def _requests(self, question: Question, context: Context, asking: Asking) -> list[Request]:
        if self.compares:
            pairs = self.comparisons(question)
            # What nearness cannot answer is asked in a way that no dual encoder can take: a miss that is counted apart.
            return pairs or [Write(context, 1)]
        writes = AnswerWay.WRITTEN in self.ways
        requests: list[Request] = [Write(context, asking.max_new_tokens or self.max_new_tokens)] if writes else []
        if AnswerWay.CHOSEN in self.ways:
            requests += [Score(context, answer) for answer in self.closed_set(question)]
        return requests

    def comparisons(self, question: Question) -> list[Request]:
        """Gives the requests to a dual encoder, one for each answer of the closed set; none if it cannot answer."""
        return []

    def _turn(
        self, question: Question, requests: Sequence[Request], answers: Sequence[Answer], is_recorded: bool
    ) -> Turn:
        writes = isinstance(requests[0], Write) and not self.compares
        written = answers[0] if writes else None
        return Turn(question, self.closed_set(question), written, tuple(answers[writes:]), is_recorded)

    def _outcome(self, item: Item, questions: Sequence[Question], turns: Sequence[Turn], asking: Asking) -> Outcome:
        values: dict[str, float] = {}
        if AnswerWay.WRITTEN in self.ways:
            by_authors = self.count_as_authors(replies_of(turns, len(questions)), questions, item.rows[0])
            fair = self.count(_padded([self._credit(turn) for turn in turns], questions), questions)
            values |= by_authors if asking.scoring == Scoring.REFERENCE else fair
            values |= {name + _REFERENCE: value for name, value in by_authors.items()}
        if AnswerWay.CHOSEN in self.ways:
            chosen = self.count(_padded([turn.chosen for turn in turns], questions), questions)
            values |= {name + _CHOSEN: value for name, value in chosen.items()}
        answers = [answer for turn in turns for answer in (turn.written, *turn.scores) if answer is not None]
        return Outcome(
            item.item_id,
            values,
            is_tie=any(len(turn.chosen) > 1 and self.right(turn.question) in turn.chosen for turn in turns),
            is_finite=all(answer.is_finite for answer in answers),
            is_answered=not is_unanswered(answers) and len(turns) == len(questions) > 0,
            n_no_answer=sum(self._lacks_answer(turn, asking.scoring) for turn in turns),
        )

    def _credit(self, turn: Turn) -> dict[str, float]:
        """Gives the credit of what was written, as a careful person reads it."""
        read = self.read(turn)
        return {} if read is None else {read: 1.0}

    def read(self, turn: Turn) -> str | None:
        """Gives the answer that a careful person reads in what was written; None where there is none."""
        if not isinstance(turn.written, Text) or not turn.written.is_finite:
            return None
        return self.kind_of(turn.question).read(turn.written.text, turn.question)

    def extract(self, turn: Turn) -> str | None:
        """Gives the answer that the authors' code takes from what was written."""
        return self.kind_of(turn.question).extract(turn.words)

    def _lacks_answer(self, turn: Turn, scoring: Scoring) -> bool:
        if turn.written is None or isinstance(turn.written, CannotAnswer) or not turn.written.is_finite:
            return False
        return (self.extract(turn) if scoring == Scoring.REFERENCE else self.read(turn)) is None

    # ------------------------------------------------------------ logs

    def sample_fields(self, row: Row, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        turns, n_turns = self._turns_of(row, exchanges), self.n_turns_of(row)
        places = [self.place(i, n_turns) for i in range(len(turns))]
        written = [place | self._written_field(turn) for place, turn in zip(places, turns, strict=True)]
        chosen = [place | self._chosen_field(turn) for place, turn in zip(places, turns, strict=True)]
        return {
            name: {"score": value, "turns": chosen if name.endswith(_CHOSEN) else written}
            for name, value in outcome.values.items()
        }

    def place(self, turn: int, n_turns: int) -> dict[str, Any]:
        """Gives the place of a turn, counted from 0, for the log."""
        return {"turn": turn + 1}

    def _turns_of(self, row: Row, exchanges: Sequence[Exchange]) -> list[Turn]:
        """Gathers the exchanges of an item by turn."""
        questions = questions_of(row)
        by_turn: list[list[Exchange]] = [[] for _ in questions]
        for exchange in exchanges:
            by_turn[exchange.request.context.n_turns - 1].append(exchange)
        return [
            self._turn(question, [e.request for e in of_turn], [e.answer for e in of_turn], _are_recorded(of_turn))
            for question, of_turn in zip(questions, by_turn, strict=True)
            if of_turn
        ]

    def _written_field(self, turn: Turn) -> dict[str, Any]:
        right = self.right(turn.question)
        return {
            "gold": right,
            "reply": turn.words,
            "extracted": self.read(turn),
            "extracted_reference": self.extract(turn),
            "hit": self._credit(turn).get(right or "", 0.0),
            "hit_reference": float(right is not None and self.extract(turn) == right),
        }

    def _chosen_field(self, turn: Turn) -> dict[str, Any]:
        right = self.right(turn.question)
        return {
            "gold": right,
            "chosen": list(turn.chosen),
            "losses": turn.losses,
            "hit": turn.chosen.get(right or "", 0.0),
        }


def _are_recorded(exchanges: Sequence[Exchange]) -> bool:
    """Tells whether answers were recorded elsewhere: they belong to a row then, and so do their requests."""
    return any(isinstance(e.request, Write) and e.request.place is not None for e in exchanges)


def _session(row: Row) -> str:
    recording = recording_of(row)
    return recording if day_of(recording) else ""


def _padded(credits: Credits, questions: Sequence[Question]) -> Credits:
    """Gives the credits of all turns, none for those that were not reached."""
    return [*credits, *({} for _ in questions[len(credits) :])]
