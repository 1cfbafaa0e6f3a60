"""The base class of tasks: how an item is played, and the rules by which answers become credit.

Owns the base class and the two ways of deciding a choice: ours (fair) and the original's (reference). Never imports
torch, never reads a file: rows and answers come in, requests and outcomes go out.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from babycli.bibliography import Paper
from babycli.domain import (
    Answer,
    CannotAnswer,
    Exchange,
    ImageRef,
    Item,
    Loglikelihood,
    Metric,
    NoReply,
    Outcome,
    Request,
    Row,
    Similarity,
    Text,
)
from babycli.tasks.groups import Grouping
from babycli.tasks.replies import Reply
from babycli.wording import AnswerWay, History, Scoring, number_or_text

DEFAULT = "default"  # the wording for a model family that a task has none for

LabelFormat = Literal["csv", "json", "jsonl"]
Need = Literal["score", "loglikelihood", "similarity", "match", "write"]
# Yields requests, gets their answers in the same order, and then yields again or returns the outcome.
Play = Generator[Sequence[Request], Sequence[Answer], Outcome]


@dataclass(frozen=True, slots=True)
class StructureProblem:
    """An item that the label file does not hold whole, or that contradicts itself."""

    item_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Needs:
    """The abilities that a task needs in a model."""

    answer: Need  # a score is a loglikelihood or a similarity
    n_images: int = 1  # in one context, at most
    n_turns: int = 1  # of the user, at most
    writes_too: bool = False  # besides a score, a text


@dataclass(frozen=True, slots=True)
class Asking:
    """The way an item is to be played."""

    prompt: str = ""  # for the model; a task that brings its own words does not use it
    scoring: Scoring = Scoring.FAIR
    history: History = History.OWN  # what a conversation goes on with
    max_new_tokens: int | None = None  # of each text; None: as many as the task says
    is_recorded: bool = False  # what is written was said elsewhere: no decoder put blanks around it


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The collection that a task comes from."""

    name: str  # as --tasks takes it, for all of its tasks: "babyvlm"
    title: str  # "BabyVLM"
    citation: str  # "Wang et al. 2025, arXiv 2504.09426"
    has_sets: bool = False  # its tasks are asked on several sets of data, of which the user chooses: --set


class Task(ABC):
    """A task: a file in babycli/tasks/ with a module-level ``TASK``, a file of the user's, or an entry point.

    Its class attributes hold all that other parts of babycli know of it: reports, audits and bridges list no tasks.
    """

    name: str
    title: str
    short: str = ""  # for the head of a column, if the title is too long for it
    question: str  # one line: what is asked
    version: int = 1  # must change when equal answers begin to give other outcomes
    unit: str = "items"  # the name of its items, in the plural
    metrics: tuple[Metric, ...]  # in the order of the table
    needs: Needs
    prompts: Mapping[str, str] = {}  # by model family; none: the task brings its own words
    benchmark: Benchmark | None = None
    data_set: str = ""  # the set of data that it is bound to, of a benchmark with several; see of_set()
    ways: tuple[AnswerWay, ...] = ()  # in which its answers can be given; (): there is no choice
    papers: tuple[Paper, ...] = ()  # to cite with its numbers
    order: int = 100  # its place in lists and tables; equal ones by name

    # The label file and the pictures.
    label_path: str  # inside the dataset folder
    label_format: LabelFormat = "csv"
    columns: tuple[str, ...]  # that every row must have; of JSON, keys
    links: Mapping[str, str]  # source of pictures -> the link in the dataset folder behind which they lie
    integer_columns: frozenset[str] = frozenset()  # ids that are logged as numbers

    # For reports.
    groupings: tuple[Grouping, ...] = ()  # the kinds of groups that its items have
    cluster: str = ""  # the kind whose items are not independent; "": all are
    item_columns: tuple[str, ...] = ()  # columns by which a reader recognises an item
    scored: str = ""  # a sentence for a paper: how an answer is scored
    tie_rule: str = ""  # half a sentence: "in Baby Winoground a tie is a miss"
    tie_note: str = ""  # the same for the foot of a table, if shorter or longer there
    legend: str = ""  # the meaning of its metrics' short names: "pos, neg: positive and negative context"
    reference_is_float32: bool = False  # the original averages this task's outcomes in float32
    rows_per_item: int = 1
    n_row_answers: int | None = None  # answers logged with a row; None: any number

    @abstractmethod
    def items(self, rows: Sequence[Row]) -> list[Item]:
        """Makes the items, in the order of their first rows, incomplete ones included."""

    @abstractmethod
    def play(self, item: Item, asking: Asking) -> Play:
        """Asks about an item and decides it.

            answers = yield [Score(context, "ball"), Score(context, "cup")]
            return Outcome(item.item_id, {"acc": ...})

        With the same answers it must make the same requests: a continued run plays it again from the log.
        """

    def of_set(self, data_set: str) -> Self:
        """Gives the same task for another set of data: with its label file, and the link to its pictures.

        Raises ValueError for a task that has one set only.
        """
        raise ValueError(f"{self.name} has one set of data")

    def fitted(self, ways: Sequence[AnswerWay] | None, abilities: Collection[str]) -> Self:
        """Gives the same task as a model is asked in it: its needs and metrics are those of the ways of answering.

        ``abilities`` are the words of what the model can do ("generate", "loglikelihood", "similarity", "match");
        without ``ways``, the task chooses.
        """
        return self

    def problems(self, rows: Sequence[Row]) -> list[StructureProblem]:
        """Finds the faults of the items of a label file; empty for a sound file."""
        return []

    def distinct(self, item: Item) -> Sequence[Sequence[ImageRef]]:
        """Gives groups of an item's pictures, in each of which no two may have the same bytes."""
        return (item.images,)

    def why_undecidable(self, rows: Sequence[Row]) -> str:
        """Tells why rows of a log, which may lack rows and columns, are no whole item; "" if they are one."""
        if len(rows) != self.rows_per_item:
            return f"has {len(rows)} rows, should have {self.rows_per_item}"
        return ""

    def target(self, row: Row) -> str:
        """Gives the right answer, for the log."""
        return ""

    def options(self, item: Item) -> tuple[str, ...]:
        """Names the candidates of a choice, in the order in which play() asks for their scores.

        () for an item that is no single choice, or whose candidates are not scored. What people chose among the same
        candidates is held against their scores.
        """
        return ()

    def replies(self, place: int, row: Row, texts: Sequence[str | None]) -> list[Reply]:
        """Gives what was written for the row in that place of the label file, in the order asked, to be counted.

        None stands for a text that a recorded conversation does not have.
        """
        return [Reply(place, text, self.target(row)) for text in texts if text is not None]

    def sample_fields(self, row: Row, exchanges: Sequence[Exchange], outcome: Outcome) -> dict[str, Any]:
        """Gives the fields that a row's line in the samples log has for each metric."""
        return dict(outcome.values)

    def row_of_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Gives what a metric's own field of a samples line tells about its row, column -> text."""
        return {}

    def metric(self, name: str) -> Metric:
        """Gives the metric of that name. Raises KeyError."""
        return {metric.name: metric for metric in self.metrics}[name]

    @property
    def sets_of(self) -> str:
        """The benchmark on whose sets of data it is asked; "" where it has one set only."""
        return self.benchmark.name if self.benchmark is not None and self.benchmark.has_sets else ""

    @property
    def main_metric(self) -> Metric:
        return next((metric for metric in self.metrics if metric.is_main), self.metrics[0])

    def n_turns_of(self, row: Row) -> int:
        """Tells how many turns of the user there are in the item of a row."""
        return self.needs.n_turns

    def chance_of(self, metric: Metric, items: Sequence[Item]) -> float | None:
        """Gives what guessing gives in a metric on these items; None where nothing can be guessed.

        A task overrides it if that depends on the items; its metric then has no chance of its own.
        """
        return metric.chance

    def why_no_reference(self, abilities: Collection[str]) -> str:
        """Tells why a model with these abilities cannot be scored as the original does; "" if it can."""
        return ""

    def miss(self, item: Item) -> Outcome:
        """Gives the outcome of an item with a request that could not be answered."""
        return Outcome(item.item_id, dict.fromkeys((m.name for m in self.metrics), 0.0), is_answered=False)


class ReplayError(ValueError):
    """Known answers do not fit what a play asks: it takes another way than when they were given."""


def group_by(rows: Sequence[Row], column: str) -> dict[str, tuple[int, ...]]:
    """Gives, for each value of a column, the indices of its rows; in the order of first appearance."""
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row[column], []).append(index)
    return {value: tuple(indices) for value, indices in groups.items()}


def row_as_logged(task: Task, row: Row) -> dict[str, Any]:
    """Gives a label row as samples have it, and as lmms-eval reads it: the ids that ``integer_columns`` name as int."""
    return {
        column: number_or_text(value) if column in task.integer_columns and isinstance(value, str) else value
        for column, value in row.items()
    }


def groups_of(items: Sequence[Item]) -> dict[str, list[str]]:
    """Gives the group of every item, by kind of group; without the kinds that some items do not have."""
    kinds = items[0].groups if items else {}
    return {
        kind: [item.groups[kind] for item in items] for kind in kinds if all(item.groups.get(kind) for item in items)
    }


@dataclass(frozen=True, slots=True)
class Played:
    """The play of an item from its beginning to its end."""

    outcome: Outcome
    rounds: tuple[tuple[Exchange, ...], ...]


def replay(task: Task, item: Item, asking: Asking, answers: Sequence[Answer]) -> Outcome:
    """Plays an item as ``play_again`` does; gives its outcome."""
    return play_again(task, item, asking, answers).outcome


def play_again(task: Task, item: Item, asking: Asking, answers: Sequence[Answer]) -> Played:
    """Plays an item with known answers, in the order in which they were given.

    Raises ReplayError if the play asks for more answers, or for fewer.
    """
    play = task.play(item, asking)
    left = list(answers)
    rounds: list[tuple[Exchange, ...]] = []
    try:
        requests = next(play)
        while True:
            if len(left) < len(requests):
                raise ReplayError(f"{task.name} {item.item_id} has {len(answers)} answers, and asks for more")
            batch, left = left[: len(requests)], left[len(requests) :]
            rounds.append(tuple(Exchange(*both) for both in zip(requests, batch, strict=True)))
            requests = play.send(batch)
    except StopIteration as end:
        if left:
            raise ReplayError(f"{task.name} {item.item_id} has {len(left)} answers more than it asks for") from None
        return Played(end.value, tuple(rounds))


def by_row(item: Item, exchanges: Sequence[Exchange]) -> list[Sequence[Exchange]]:
    """Divides an item's exchanges among its rows: equally many for each, in the order of the rows.

    If the rows cannot have equally many, or one exchange goes on from another, all of them belong to the first row.
    """
    n_rows = len(item.row_indices)
    n, rest = divmod(len(exchanges), n_rows)
    if rest or any(exchange.request.context.parent for exchange in exchanges):
        return [exchanges, *[()] * (n_rows - 1)]
    return [exchanges[i * n : (i + 1) * n] for i in range(n_rows)]


def is_unanswered(answers: Sequence[Answer]) -> bool:
    """Tells whether the model could not give one of the answers."""
    return any(isinstance(answer, CannotAnswer) for answer in answers)


def loss_of(answer: Answer, scoring: Scoring) -> float:
    """Gives the number that decides, lower is better: the mean loss per token (nats), or the negative similarity.

    The original keeps it in float32, and so does ``reference``: losses that are equal in float32 are a tie there.
    """
    assert isinstance(answer, Loglikelihood | Similarity)
    loss = answer.mean_loss if isinstance(answer, Loglikelihood) else -answer.value
    return as_float32(loss) if scoring == Scoring.REFERENCE else loss


def loss_field(answer: Answer) -> tuple[str, float | None]:
    """Gives the name of a score in a line of the samples log, and its value; None if the model gave no score."""
    if isinstance(answer, CannotAnswer):
        return "loss", None
    if isinstance(answer, Similarity):
        return "similarity", answer.value
    return "loss", loss_of(answer, Scoring.FAIR)


def as_float32(value: float) -> float:
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:  # too large a number becomes infinite, as on a device
        return math.copysign(math.inf, value)
    return rounded


@dataclass(frozen=True, slots=True)
class Choice:
    credit: float
    is_tie: bool  # a right candidate shares the lowest loss with a wrong one
    is_finite: bool  # all losses are finite


def choose(losses: Sequence[float], right: int) -> Choice:
    """Decides a choice. The credit is 1 if the right candidate has the lowest loss, 1/k if k share it, else 0.

    A loss that is not finite is never the lowest, so never right.
    """
    return choose_any(losses, (right,))


def choose_any(losses: Sequence[float], right: Collection[int]) -> Choice:
    """Decides a choice as ``choose`` does where several candidates are right: the credit is their part of a tie."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    lowest = min(finite, default=math.nan)
    sharing = [i for i, loss in enumerate(losses) if loss == lowest]
    n_right = sum(i in right for i in sharing)
    credit = n_right / len(sharing) if n_right else 0.0
    return Choice(credit, 0 < n_right < len(sharing), len(finite) == len(losses))


def choose_first_of_lowest(losses: Sequence[float], right: int) -> Choice:
    """Decides a choice as the original does for VTWT (Python's ``min``): the first of equal losses wins.

    No loss beats a NaN that comes first.

    Source: vtwt_process_results in lmms_eval/tasks/vtwt/utils.py of babylmms-eval @ 82118a8.
    """
    picked = min(range(len(losses)), key=lambda i: losses[i])
    fair = choose(losses, right)
    return Choice(float(picked == right), fair.is_tie, fair.is_finite)


def text_of(answer: Answer) -> str:
    """Gives the text that a model wrote; "" if it could not answer."""
    if isinstance(answer, CannotAnswer | NoReply):
        return ""
    assert isinstance(answer, Text)
    return answer.text


def texts_of(answers: Sequence[Answer]) -> list[str | None]:
    """Gives the texts among the answers of a row; None for one that a recorded conversation does not have."""
    return [
        answer.text if isinstance(answer, Text) else None for answer in answers if isinstance(answer, Text | NoReply)
    ]


def finite(answers: Sequence[Answer]) -> bool:
    return all(answer.is_finite for answer in answers)
