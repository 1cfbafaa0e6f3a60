"""How a model scored the candidates of every choice of a task, read from the samples of a run.

Owns reading that, from runs of babycli and of other programs whose samples have scores. Never looks at what people
chose, and never decides a choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from babycli.domain import Answer, Exchange, Item, Loglikelihood, Match, Score, Similarity
from babycli.errors import TaskError
from babycli.foreign import explained_for
from babycli.report.items import right_candidates
from babycli.report.logged import Labels, read_logged
from babycli.report.runs import Run
from babycli.report.samples import Samples, decide
from babycli.tasks import all_tasks
from babycli.tasks.base import Task, play_again
from babycli.wording import Scoring

NO_CHOICE = "is no single choice among scored candidates"
WRITTEN = "has answers that are written only, and so no distribution"
NO_SAMPLES = "has no samples that tell its scores"
UNKNOWN = "is of a task that is not here: name its file:  --tasks FILE.py:TASK  or  FILE.jsonl"


@dataclass(frozen=True, slots=True)
class ScoredChoice:
    """A trial. What people are held against is a score of which more is better."""

    options: tuple[str, ...]
    scores: tuple[
        float, ...
    ]  # the mean log-likelihood per token, which is the loss with its sign turned, or similarity
    is_right: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """The choices of a task in a run, by trial; none, and why, where it has no scores of single choices."""

    choices: Mapping[str, ScoredChoice]
    without_scores: tuple[str, ...] = ()  # trials of which some score is missing or not finite
    left_out: tuple[str, ...] = ()  # trials that the numbers of the run are not of, as they are leaked
    why_none: str = ""


def scored_choices(run: Run, name: str, labels: Labels) -> ScoredTask:
    """Reads the scores of a task of a run; ``labels`` give the logs of other programs the rows that they lack."""
    known = all_tasks().get(name)
    if known is None:
        return ScoredTask({}, why_none=UNKNOWN)
    if known.needs.answer == "write":  # captions are not even decided for it: METEOR takes its time
        return ScoredTask({}, why_none=NO_CHOICE)
    logged = read_logged(run.path, labels).tasks.get(name)
    samples = None if logged is None else logged.samples()
    decided = None if samples is None else decide(samples, Scoring(run.scoring))
    if samples is None or decided is None or not decided.items:
        return ScoredTask({}, why_none=NO_SAMPLES)
    choices: dict[str, ScoredChoice] = {}
    without: list[str] = []
    for item, answers in zip(decided.items, decided.answers, strict=True):
        options = _options(decided.task, item)
        scored = _scored(samples, decided.task, item, answers, Scoring(run.scoring)) if options else []
        if not scored:
            continue
        candidates = [exchange for exchange in scored if isinstance(exchange.request, Score | Match)]
        if len(candidates) != len(options):
            raise TaskError(
                f"{name}: options() names {len(options)} candidates of item {item.item_id}, and play() asks for "
                f"{len(candidates)} scores",
                "name them in the order of play(), or give () where there is no single choice",
            )
        scores = [_score(exchange.answer) for exchange in candidates]
        known_scores = tuple(score for score in scores if score is not None)
        if len(known_scores) < len(scores):
            without.append(item.item_id)
            continue
        with explained_for(decided.task, f"{name}: play() fails for item {item.item_id} of a log", TaskError):
            is_right = right_candidates(decided.task, item, scored)
        choices[item.item_id] = ScoredChoice(options, known_scores, is_right)
    if choices or without:
        return _of_numbers(ScoredTask(choices, tuple(without)), run, name)
    is_choice = any(_options(known, item) for item in decided.items)
    return ScoredTask({}, why_none=WRITTEN if is_choice else NO_CHOICE)


def _of_numbers(scored: ScoredTask, run: Run, name: str) -> ScoredTask:
    """Leaves out the trials that the numbers of a run are not of: its samples have the leaked and the clean ones."""
    if run.overlap is None or not run.overlap.only:
        return scored
    trials = run.trials.get(name)
    kept = set[str]() if trials is None else set(trials.trial_ids)
    return ScoredTask(
        {trial: choice for trial, choice in scored.choices.items() if trial in kept},
        tuple(trial for trial in scored.without_scores if trial in kept),
        tuple(trial for trial in (*scored.choices, *scored.without_scores) if trial not in kept),
    )


def _options(task: Task, item: Item) -> tuple[str, ...]:
    """Asks a task for the candidates of an item. Raises TaskError for what are no texts."""
    with explained_for(task, f"{task.name}: options() fails for item {item.item_id}", TaskError):
        options: object = task.options(item)
    if not isinstance(options, tuple | list) or not all(isinstance(option, str) for option in options):
        raise TaskError(
            f"{task.name}: options() gives {options!r:.60} for item {item.item_id}; expected is a tuple of texts",
            "docs/add_a_task.md has an example",
        )
    return tuple(options)


def _scored(
    samples: Samples, task: Task, item: Item, answers: Iterable[Answer], scoring: Scoring
) -> tuple[Exchange, ...]:
    """Gives the exchanges of the one round of an item; none where it has several rounds, or nothing was scored."""
    with explained_for(task, f"{task.name}: play() fails for item {item.item_id} of a log", TaskError):
        rounds = play_again(task, item, replace(samples.asking, scoring=scoring), tuple(answers)).rounds
    is_scored = len(rounds) == 1 and any(isinstance(exchange.request, Score | Match) for exchange in rounds[0])
    return rounds[0] if is_scored else ()


def _score(answer: Answer) -> float | None:
    """Gives a score of which more is better; None for one that is not there, or is not finite."""
    if isinstance(answer, Similarity):
        score = answer.value
    elif isinstance(answer, Loglikelihood):
        score = -answer.mean_loss
    else:
        return None
    return score if math.isfinite(score) else None
