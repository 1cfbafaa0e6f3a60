"""Scores by turn: which share of conversations has the right answer in their first turn, in their second, and so on.

Owns reading the turns from the samples of a run, where tasks of several turns log each of them. A turn that was not
reached counts as wrong. Never decides a turn: the samples say what was read in each reply.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babycli.logs.content import read_content
from babycli.logs.fields import mapping, number
from babycli.logs.samples import decoded
from babycli.report.documents import stamp
from babycli.wording import Scoring


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """What a samples file says of a turn."""

    question: str
    right: str
    said: str  # the reply; "" where an answer was chosen, and nothing written
    read: str  # the answer that was found in it; "" for none
    credit: float  # what it counted, from 0 to 1


@dataclass(frozen=True, slots=True)
class TurnScore:
    turn: int  # from 1
    value: float
    n: int  # conversations that have so many turns


def turn_scores(
    results: Path, task: str, metric: str, scoring: str, among: Collection[str] | None = None
) -> list[TurnScore]:
    """Gives the score of each turn, by what the metric counts; nothing where the samples do not tell of turns.

    With ``among``, only of the conversations that are these trials.
    """
    logged = logged_turns(results, task, metric, scoring)
    conversations = [turns for trial, turns in logged.items() if among is None or trial in among]
    longest = max((len(turns) for turns in conversations), default=0)
    of_turns = [[turns[i].credit for turns in conversations if len(turns) > i] for i in range(longest)]
    return [TurnScore(i, sum(credits) / len(credits), len(credits)) for i, credits in enumerate(of_turns, 1)]


@functools.lru_cache(maxsize=64)
def logged_turns(results: Path, task: str, metric: str, scoring: str) -> Mapping[str, Sequence[LoggedTurn]]:
    """Reads the turns of each item, by its place in the label file; damaged lines are passed over."""
    try:
        content = read_content(results.with_name(f"{stamp(results)}_samples_{task}.jsonl"))
    except (OSError, ValueError):  # the second for a name of a task that no file can have
        return {}
    found = {}
    for raw in content.split(b"\n"):
        try:
            line = decoded(raw)
        except ValueError:
            continue
        turns = mapping(line.get(metric)).get("turns")
        if isinstance(turns, list):
            asked = [*_questions(line), *("" for _ in turns)]
            reached = [_turn(q, mapping(turn), scoring) for q, turn in zip(asked, turns, strict=False)]
            lost = [LoggedTurn(question, "", "", "", 0.0) for question in _questions(line)[len(reached) :]]
            found[str(line.get("doc_id"))] = [*reached, *lost]
    return found


def _turn(question: str, logged: Mapping[str, Any], scoring: str) -> LoggedTurn:
    right, chosen = _text(logged.get("gold")), logged.get("chosen")
    if isinstance(chosen, list):
        return LoggedTurn(question, right, "", " or ".join(map(_text, chosen)), _credit(logged.get("hit")))
    by_authors = "_reference" if scoring == Scoring.REFERENCE else ""
    read, hit = _text(logged.get(f"extracted{by_authors}")), logged.get(f"hit{by_authors}")
    return LoggedTurn(question, right, _text(logged.get("reply")), read, _credit(hit))


def _credit(logged: object) -> float:
    value = number(logged)
    return float(value) if value is not None and 0 <= value <= 1 else 0.0


def _questions(line: Mapping[str, Any]) -> list[str]:
    """Lists what the user says in an item, in the form of its label row; nothing where that does not tell."""
    messages = mapping(line.get("doc")).get("conversations")
    humans = (
        (mapping(each) for each in messages if mapping(each).get("from") == "human")
        if isinstance(messages, list)
        else ()
    )
    return [_text(human.get("value")) for human in humans]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
