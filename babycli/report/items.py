"""The items of a task as a person looks at them: what was offered, what was right, and what each model gave.

Owns reading that from the samples of runs. Which candidates are right is found by playing the item again, each of them
being the best once: those that give most credit are right. Never decides an item itself, never lays anything out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babycli import domain
from babycli.domain import Answer, Exchange, ImageRef, Loglikelihood, Match, Score, Similarity
from babycli.report.logged import logged_items, read_logged
from babycli.report.rows import TableRow
from babycli.report.samples import decide
from babycli.report.turns import LoggedTurn, logged_turns
from babycli.tasks import all_tasks
from babycli.tasks.about import about
from babycli.tasks.base import Asking, Task, is_unanswered, loss_of, play_again, texts_of
from babycli.wording import Scoring

_BEST, _OTHER = Loglikelihood((-1.0,), False), Loglikelihood((-2.0,), False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a model could choose: words, a picture, or both."""

    text: str
    image: ImageRef | None
    is_right: bool


@dataclass(frozen=True, slots=True)
class Given:
    """What one model gave in one round."""

    scores: tuple[float | None, ...] = ()  # of each candidate: mean loss or similarity; None: it could not answer
    is_similarity: bool = False  # more is better; else it is a loss
    chosen: tuple[bool, ...] = ()  # whether it is the best of the candidates, or of those for the same picture
    said: str = ""  # what it wrote
    read: str = ""  # the answer that was found in that, where answers are of a closed set


@dataclass(frozen=True, slots=True)
class Round:
    """A question with what could be answered, and what each model did answer; None for one that was not asked."""

    question: str  # "" where it is the same for all items
    right: str  # the answer, where it is to be written
    candidates: tuple[Candidate, ...]
    given: tuple[Given | None, ...]
    is_of_closed_set: bool  # a reply is read for one of several answers

    @property
    def is_told(self) -> bool:
        """Tells whether the logs say anything of it."""
        return bool(self.candidates) or any(given is not None for given in self.given)


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item with what some models gave for it."""

    trial_id: str
    about: Mapping[str, str]  # what of its label row tells a reader which it is
    images: tuple[ImageRef, ...]  # those that a reader needs: of candidates and of turns all, else the first
    rounds: tuple[Round, ...]
    values: tuple[float, ...]  # of the metric, for each model


@dataclass(frozen=True, slots=True)
class _Answered:
    """An item of a run, and how it was played."""

    item: domain.Item
    task: Task | None  # as the model was asked in it; None for one that only runs know
    rounds: tuple[tuple[Exchange, ...], ...]


def shown_items(rows: Sequence[TableRow], task: str, metric: str, places: Sequence[int]) -> list[ShownItem]:
    """Gives the items in these places of the trials, which are the same for all of these rows."""
    runs = [run for row in rows if (run := row.run_of(task)) is not None]
    trials = [run.trials[task] for run in runs]
    ids = trials[0].trial_ids
    wanted = frozenset(ids[place] for place in places)
    answered = [_answered(run.path, task, Scoring(run.scoring), ids, wanted) for run in runs]
    turns = [logged_turns(run.path, task, metric, run.scoring) for run in runs]
    found = []
    for place in places:
        trial_id = ids[place]
        of_runs = [of_run.get(trial_id) for of_run in answered]
        item = next((each.item for each in of_runs if each is not None), None)
        rounds = _rounds(task, of_runs, [of_run.get(trial_id, ()) for of_run in turns])
        values = tuple(float(of_run.values[metric][place]) for of_run in trials)
        found.append(ShownItem(trial_id, _about(task, item), _images(task, item, rounds), rounds, values))
    return found


@functools.lru_cache(maxsize=16)
def _answered(
    results: Path, task: str, scoring: Scoring, ids: tuple[str, ...], wanted: frozenset[str]
) -> dict[str, _Answered]:
    """Plays the items of a run again, as far as its samples tell; kept, as a task has several metrics."""
    if task not in all_tasks():
        return {
            name: _Answered(item, None, ()) for name, item in logged_items(results, task, ids).items() if name in wanted
        }
    logged = read_logged(results).tasks.get(task)
    if logged is None:
        return {}
    samples = logged.samples()
    decided = decide(samples, scoring)
    asking = replace(samples.asking, scoring=scoring)
    found = {}
    for item, answers in zip(decided.items, decided.answers, strict=True):
        if item.item_id in wanted:
            rounds = play_again(decided.task, item, asking, answers).rounds
            found[item.item_id] = _Answered(item, decided.task, rounds)
    return found


def _about(task: str, item: domain.Item | None) -> dict[str, str]:
    row = item.rows[0] if item is not None else {}
    return {column: str(row[column]) for column in about(task).item_columns if row.get(column) not in (None, "")}


def _images(task: str, item: domain.Item | None, rounds: Sequence[Round]) -> tuple[ImageRef, ...]:
    if item is None:
        return ()
    named = tuple(dict.fromkeys(image for image in item.images if image.name))
    benchmark = about(task).benchmark
    are_needed = any(candidate.image for of_round in rounds for candidate in of_round.candidates)
    return named if are_needed or (benchmark is not None and benchmark.has_sets) else named[:1]


def _rounds(
    task: str, answered: Sequence[_Answered | None], turns: Sequence[Sequence[LoggedTurn]]
) -> tuple[Round, ...]:
    """Puts together what the runs have of each round."""
    has_turns = any(turns)
    n = max([len(each.rounds) for each in answered if each is not None] + [len(of_run) for of_run in turns], default=0)
    found = []
    for i in range(n):
        exchanges = [each.rounds[i] if each is not None and i < len(each.rounds) else () for each in answered]
        of_turn = [of_run[i] if i < len(of_run) else None for of_run in turns]
        scored = [tuple(e for e in of_run if isinstance(e.request, Score | Match)) for of_run in exchanges]
        first = next((place for place, of_run in enumerate(scored) if of_run), None)
        right = next((turn.right for turn in of_turn if turn is not None and turn.right), "")
        candidates: tuple[Candidate, ...] = ()
        if first is not None:
            each = answered[first]
            assert each is not None
            rights = _rights(each) if n == 1 else ()
            candidates = _candidates(scored[first], rights, right)
        if not right and not has_turns:
            right = _target(answered)
        question = next((turn.question for turn in of_turn if turn is not None and turn.question), "")
        given = tuple(map(_given, scored, exchanges, of_turn))
        found.append(Round(question, right, candidates, given, has_turns))
    return tuple(of_round for of_round in found if of_round.is_told)


def _target(answered: Sequence[_Answered | None]) -> str:
    """Gives the right text; "" where something is to be chosen, and its rows may have several right answers."""
    known = next((each for each in answered if each is not None and each.task is not None), None)
    writes = known is not None and known.task is not None and known.task.needs.answer == "write"
    return known.task.target(known.item.rows[0]) if known and known.task and writes else ""


def _given(scored: Sequence[Exchange], exchanges: Sequence[Exchange], turn: LoggedTurn | None) -> Given | None:
    texts = [text for text in texts_of([exchange.answer for exchange in exchanges]) if text is not None]
    if not scored and not exchanges and turn is None:
        return None
    scores = tuple(_score(exchange.answer) for exchange in scored)
    said, read = (" ".join(texts).strip(), "") if turn is None else (turn.said, turn.read)
    is_similarity = any(isinstance(exchange.answer, Similarity) for exchange in scored)
    return Given(scores, is_similarity, _chosen(scored), said, read)


def _score(answer: Answer) -> float | None:
    """Gives what a model said of a candidate: the mean loss, less of which is better, or the similarity."""
    if isinstance(answer, Similarity):
        return answer.value
    return answer.mean_loss if isinstance(answer, Loglikelihood) else None


def _chosen(scored: Sequence[Exchange]) -> tuple[bool, ...]:
    """Tells which candidates have the best score; of several phrases for each of several pictures, for each picture."""
    if is_unanswered([exchange.answer for exchange in scored]):
        return tuple(False for _ in scored)
    losses = [loss_of(exchange.answer, Scoring.FAIR) for exchange in scored]
    contexts = [exchange.request.context for exchange in scored]
    is_by_picture = 1 < len(set(contexts)) < len(contexts)

    def best(i: int) -> float:
        rivals = zip(losses, contexts, strict=True)
        of_rivals = (loss for loss, context in rivals if not is_by_picture or context == contexts[i])
        return min((loss for loss in of_rivals if math.isfinite(loss)), default=math.nan)

    return tuple(loss == best(i) for i, loss in enumerate(losses))


def _candidates(scored: Sequence[Exchange], rights: Sequence[bool], right: str) -> tuple[Candidate, ...]:
    """Names the candidates by that in which they differ: their words, their pictures, or both."""
    words = [exchange.request.answer if isinstance(exchange.request, Score) else "" for exchange in scored]
    shown = [exchange.request.context.images for exchange in scored]
    in_all = set(shown[0]).intersection(*shown)
    own = [next((image for image in images if image not in in_all), None) for images in shown]
    is_by_words = len(set(words)) > 1 or not any(own)
    found = []
    for i, (word, image) in enumerate(zip(words, own, strict=True)):
        parts = [*([image.name] if image is not None else []), *([word] if is_by_words else [])]
        is_right = rights[i] if i < len(rights) else bool(right) and word == right
        found.append(Candidate(": ".join(parts), image, is_right))
    return tuple(found)


def _rights(answered: _Answered) -> tuple[bool, ...]:
    """Tells which candidates are right: each is the best once, and those that bring most credit then are.

    Of Baby Winoground that is a frame with its phrase, and the other picture with the other one.
    """
    (exchanges,) = answered.rounds
    return () if answered.task is None else right_candidates(answered.task, answered.item, exchanges)


def right_candidates(task: Task, item: domain.Item, exchanges: Sequence[Exchange]) -> tuple[bool, ...]:
    """Tells of each candidate that was scored, in the one round of an item, whether it is right."""
    places = [i for i, exchange in enumerate(exchanges) if isinstance(exchange.request, Score | Match)]
    credits = []
    for best in places:
        answers = [
            (_BEST if i == best else _OTHER) if i in places else exchange.answer for i, exchange in enumerate(exchanges)
        ]
        outcome = play_again(task, item, Asking(), answers).outcome
        credits.append(sum(outcome.values.values()))
    return tuple(credit == max(credits) > min(credits) for credit in credits)
