"""Playing the items of a run in rounds: all items ask, all get their answers, and those that go on ask again.

Owns the plays. Never computes an answer and never reads a log: the answers are passed in, by request.

    round 1    item 1 asks a, b    item 2 asks a, c         all requests of a round are planned and batched together
    answers    item 1 is decided   item 2 goes on
    round 2                        item 2 asks d            only these requests; a context may begin with one that was
    answers                        item 2 is decided        read before

Conversations are played some at a time, from their first turns to their last, for what is kept of them (keys and values
of all that was read, features of pictures) fills the memory: 250 conversations of 15 turns do not fit into it.

    round 1    all items of one turn, and conversations 1 to 8
    2 to 15    conversations 1 to 8
    16 to 30   conversations 9 to 16

A continued run plays from the beginning, with the answers in its log, until an answer is missing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real

from babycli.domain import (
    Answer,
    Context,
    Exchange,
    ImageRef,
    Item,
    Match,
    Outcome,
    Request,
    RowPlace,
    Score,
    Turn,
    Write,
)
from babycli.errors import TaskError
from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.evaluation.plan import Keys, Plan, make_plan
from babycli.foreign import explained_for
from babycli.logs.answers import Key
from babycli.models.base import Model, RowRequest
from babycli.tasks.base import Play, Task, row_as_logged
from babycli.wording import Scoring, listed

MAX_ROUNDS = 1000  # a task that never ends is a mistake
_MEND = "docs/add_a_task.md has an example"


@dataclass(frozen=True, slots=True)
class Played:
    """An item with its requests, as the model got them, their answers, and its outcome."""

    item: Item
    exchanges: tuple[Exchange, ...]
    outcome: Outcome


@dataclass(slots=True)
class _Game:
    """An item whose play is not over, or has just ended."""

    task: TaskInput
    item: Item
    play: Play
    asked: list[Request] = field(default_factory=list)  # the requests of this round, as the model gets them
    exchanges: list[Exchange] = field(default_factory=list)
    outcome: Outcome | None = None
    n_rounds: int = 0

    @property
    def is_talk(self) -> bool:
        return self.task.task.needs.n_turns > 1


class Rounds:
    """The items of a run, played as far as their answers are known.

    ``n_talks`` conversations are played at a time; None: all.
    """

    def __init__(self, inputs: Inputs, scoring: Scoring, n_talks: int | None = None) -> None:
        self._sha256: Mapping[ImageRef, str] = inputs.sha256
        self._keys = Keys(self._sha256)
        self._games = [
            _Game(task, item, _begun(task, item, scoring)) for task in inputs.tasks for item in _in_file_order(task)
        ]
        self._n_talks = n_talks
        for game in self._games:
            self._advance(game, None)
        self._playing = [game for game in self._games if not game.is_talk and game.outcome is None]
        self._playing += self._next_talks()

    @property
    def is_over(self) -> bool:
        return all(game.outcome is not None for game in self._games)

    @property
    def requests(self) -> list[Request]:
        """All requests of this round."""
        return [request for game in self._playing for request in game.asked]

    @property
    def plan(self) -> Plan:
        """The plan of this round."""
        talks = [game for game in self._games if game.is_talk and game.outcome is None]
        going_on = {request for game in self._playing if game.is_talk for request in game.asked}
        both = {request for game in self._playing for request in _asked_both_ways(game.asked)}
        images = {image for game in talks for image in game.item.images}
        later = frozenset(self._sha256[image] for image in images if image in self._sha256)
        begins = all(request.context.n_turns == 1 for request in going_on)
        return replace(make_plan(self.requests, self._sha256, going_on, both), later=later, begins=begins)

    @property
    def tasks(self) -> dict[Key, str]:
        """The name of the task of each request of this round; of equal ones, of the last that sends it."""
        return {self._keys.of(request): game.task.task.name for game in self._playing for request in game.asked}

    @property
    def n_of_tasks(self) -> Counter[str]:
        """How many distinct requests of this round each task sends; what two tasks send counts for both."""
        sent = {(game.task.task.name, self._keys.of(request)) for game in self._playing for request in game.asked}
        return Counter(task for task, _ in sent)

    @property
    def later(self) -> Iterator[tuple[Request, int]]:
        """The requests of conversations with how often the like of them will be sent after this round, at most."""
        playing = {id(game) for game in self._playing}
        for game in self._games:
            if game.is_talk and game.outcome is None:
                n_turns = max(map(game.task.task.n_turns_of, game.item.rows))
                n_now = game.n_rounds + (id(game) in playing)
                yield from ((request, max(0, n_turns - n_now)) for request in game.asked)

    @property
    def row_requests(self) -> list[RowRequest]:
        """The row of each request of this round, in the same order."""
        return [row_request for game in self._playing for row_request in _row_requests(game, self._sha256)]

    def tell(self, answers: Mapping[Key, Answer]) -> None:
        """Gives every item the answers to its requests, and begins the next round. Raises TaskError."""
        for game in self._playing:
            game.n_rounds += 1
            if game.n_rounds >= MAX_ROUNDS:
                what = f"{game.task.task.name} still asks after {MAX_ROUNDS} rounds"
                raise TaskError(what, "let its play return an outcome")
            own_answers = [answers[self._keys.of(request)] for request in game.asked]
            game.exchanges += [Exchange(r, a) for r, a in zip(game.asked, own_answers, strict=True)]
            self._advance(game, own_answers)
        self._playing = [game for game in self._playing if game.outcome is None]
        if not any(game.is_talk for game in self._playing):
            self._playing += self._next_talks()

    def _next_talks(self) -> list[_Game]:
        """Gives the conversations that begin now, in the order of the files."""
        waiting = [game for game in self._games if game.is_talk and game.outcome is None]
        return waiting[: self._n_talks]

    def played(self, task: TaskInput) -> list[Played]:
        """Gives the played items of a task, in its order."""
        games = {game.item.item_id: game for game in self._games if game.task is task}
        ordered = [games[item.item_id] for item in task.items]
        return [Played(g.item, tuple(g.exchanges), g.outcome) for g in ordered if g.outcome is not None]

    def _advance(self, game: _Game, answers: Sequence[Answer] | None) -> None:
        task = game.task.task
        with explained_for(task, _cannot_play(task, game.item), TaskError):
            try:
                asked = list(next(game.play) if answers is None else game.play.send(answers))
            except StopIteration as end:
                game.asked, game.outcome = [], _checked_outcome(task, game.item, end.value)
            else:
                _check_requests(task, game.item, asked)
                shown = [game.task.shown(request) for request in asked]
                game.asked = _placed(game, shown) if game.task.is_recorded else shown


def talks_at_once(inputs: Inputs, model: Model, most: int) -> int:
    """Gives the number of conversations to be played at a time: ``most``, unless the model can keep fewer."""
    needs = [task_input.task.needs for task_input in inputs.tasks]
    n_images, n_turns = max(n.n_images for n in needs), max(n.n_turns for n in needs)
    room = model.room_for_conversations(n_images, n_turns) if n_turns > 1 else None
    return most if room is None else max(1, min(most, room))


def _asked_both_ways(asked: Sequence[Request]) -> list[Request]:
    """Gives the requests of an item that score answers and write a text behind the same context."""
    scored = {request.context for request in asked if isinstance(request, Score)}
    both = {request.context for request in asked if isinstance(request, Write)} & scored
    return [request for request in asked if request.context in both]


def _begun(task: TaskInput, item: Item, scoring: Scoring) -> Play:
    with explained_for(task.task, _cannot_play(task.task, item), TaskError):
        return task.task.play(item, task.asking(scoring))


def _row_requests(game: _Game, sha256: Mapping[ImageRef, str]) -> Iterator[RowRequest]:
    """Gives the rows of the requests that an item has sent; as in ``by_row``, each row has equally many."""
    item, task = game.item, game.task.task
    (turn,) = game.task.show(Context((Turn("user", item.images),))).turns
    shown = {image: part for image, part in zip(item.images, turn.parts, strict=True) if isinstance(part, ImageRef)}
    for request, (of_row, n_in_row) in zip(game.asked, _shared_by_rows(item, len(game.asked)), strict=True):
        row = row_as_logged(task, item.rows[of_row])
        pictures = tuple(sha256[image] for image in request.context.places)
        yield RowRequest(task.name, item.row_indices[of_row], row, n_in_row, request, pictures, shown)


def _placed(game: _Game, asked: Sequence[Request]) -> list[Request]:
    """Gives the requests of a round with their places: what was recorded belongs to rows, be requests equal."""
    item, before = game.item, [exchange.request for exchange in game.exchanges]
    earlier = Counter(request.place.row_index for request in before if isinstance(request, Write) and request.place)
    placed: list[Request] = []
    for request, (of_row, n_in_row) in zip(asked, _shared_by_rows(item, len(asked)), strict=True):
        row_index = item.row_indices[of_row]
        place = RowPlace(game.task.task.name, row_index, earlier[row_index] + n_in_row)
        placed.append(replace(request, place=place) if isinstance(request, Write) else request)
    return placed


def _shared_by_rows(item: Item, n: int) -> list[tuple[int, int]]:
    """Gives, for each of so many requests, which row of the item it is about, and which of this row's it is."""
    per_row, rest = divmod(n, len(item.rows))
    return [(0, i) if rest or not per_row else divmod(i, per_row) for i in range(n)]


def _cannot_play(task: Task, item: Item) -> str:
    return f"{task.name} cannot play item {item.item_id}"


def _check_requests(task: Task, item: Item, asked: Sequence[Request]) -> None:
    """Raises TaskError for what is no request, or one that nothing could answer."""
    what = _cannot_play(task, item)
    if not asked or not all(isinstance(request, Score | Match | Write) for request in asked):
        raise TaskError(f"{what}: it asks {asked!r:.80}; expected is a list of Score, Match and Write", _MEND)
    for request in asked:
        others = [image.name for image in request.context.images if image not in item.images]
        if others:
            raise TaskError(f"{what}: it shows {listed(others)}, which is not among the item's images", _MEND)
        if isinstance(request, Write):
            if request.max_new_tokens < 1:
                raise TaskError(f"{what}: max_new_tokens is {request.max_new_tokens}; expected is 1 or more", _MEND)
            if not isinstance(request.stop, tuple) or not all(isinstance(s, str) and s for s in request.stop):
                raise TaskError(f"{what}: stop is {request.stop!r}; expected is a tuple of texts, none empty", _MEND)


def _checked_outcome(task: Task, item: Item, outcome: object) -> Outcome:
    """Checks that the outcome of an item has a proper value for each metric, and gives it. Raises TaskError."""
    names = [metric.name for metric in task.metrics]
    expected = f"expected is an Outcome with {', '.join(names)}"
    if not isinstance(outcome, Outcome):
        raise TaskError(f"{task.name} ends item {item.item_id} with a {type(outcome).__name__}; {expected}", _MEND)
    if set(outcome.values) != set(names):
        given = listed(outcome.values) or "no values"
        raise TaskError(f"{task.name} ends item {item.item_id} with {given}; {expected}", _MEND)
    if outcome.item_id != item.item_id:
        raise TaskError(
            f"{task.name} ends item {item.item_id} with the outcome of {outcome.item_id!r}; expected is its own id",
            "write  Outcome(item.item_id, ...)",
        )
    for metric in task.metrics:
        low, high = metric.limits
        value = outcome.values[metric.name]
        if not (isinstance(value, Real) and math.isfinite(value) and low <= value <= high):
            number = f"number from {low:g} to {high:g}" if math.isfinite(high - low) else "finite number"
            raise TaskError(
                f"{task.name} gives item {item.item_id} {value!r:.40} of {metric.name}; expected is a {number}", _MEND
            )
    return replace(outcome, values={name: float(value) for name, value in outcome.values.items()})  # may be numpy's


def _in_file_order(task: TaskInput) -> list[Item]:
    """Gives the items of a task in the order of their first rows in the label file."""
    return sorted(task.items, key=lambda item: item.row_indices[0])
