"""Items that are played with replies from elsewhere.

Owns how a list of replies becomes answers: a reply for each turn, None for null, and what is beyond with the last turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from babycli.domain import Answer, Exchange, NoReply, Outcome, Row, RowPlace, Text, Write
from babycli.tasks.base import Asking, Task
from babycli.wording import AnswerWay, History, Scoring


def answers_of(replies: Sequence[str | None], n_turns: int) -> list[Answer]:
    answers: list[Answer] = []
    for n in range(n_turns):
        extra = tuple(replies[n_turns:]) if n + 1 == n_turns else ()
        reply = replies[n] if n < len(replies) else None
        answers.append(NoReply(n >= len(replies), extra) if reply is None else Text(reply, (), True, extra))
    return answers


def played(
    task: Task,
    row: Row,
    replies: Sequence[str | None],
    scoring: Scoring = Scoring.FAIR,
    history: History = History.OWN,
) -> tuple[Outcome, list[Exchange]]:
    """The outcome of an item, and what was asked and answered."""
    asked = task.fitted((AnswerWay.WRITTEN,), ("generate",))
    (item,) = asked.items([row])
    play = asked.play(item, Asking(scoring=scoring, history=history, is_recorded=True))
    exchanges: list[Exchange] = []
    left = answers_of(replies, asked.n_turns_of(row))
    try:
        requests = next(play)
        while True:
            (request,) = requests
            assert isinstance(request, Write)
            placed = Write(request.context, request.max_new_tokens, place=RowPlace(task.name, 0, len(exchanges)))
            exchanges.append(Exchange(placed, left.pop(0)))
            requests = play.send([exchanges[-1].answer])
    except StopIteration as end:
        outcome: Outcome = end.value
    assert not left
    return outcome, exchanges


def extracted(task: Task, row: Row, outcome: Outcome, exchanges: Sequence[Exchange]) -> list[str | None]:
    """The answers that the authors' code takes from the replies, as a samples file has them."""
    asked = task.fitted((AnswerWay.WRITTEN,), ("generate",))
    fields = asked.sample_fields(row, exchanges, outcome)
    return [turn["extracted_reference"] for turn in fields[asked.main_metric.name]["turns"]]
