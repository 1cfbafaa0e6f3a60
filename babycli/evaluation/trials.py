"""The first requests of a run, with which a family may try a model before the run begins.

Owns which they are: those of the first item of the first task of each kind of answer, with the prompt that the run
will have. So a model is tried with what it will be asked, and for nothing else. Never asks a model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from babycli.domain import Request, Score, Write
from babycli.evaluation.inputs import Inputs
from babycli.evaluation.prompts import choose_prompt
from babycli.evaluation.rounds import Rounds
from babycli.models.base import Trial, TrialKind
from babycli.tasks.base import Task
from babycli.wording import AnswerWay, Scoring


def trials_of(
    of_sets: Sequence[Inputs], prompts: Mapping[str, str], scoring: Scoring, ways: Sequence[AnswerWay] | None
) -> Callable[[str, Collection[str]], list[Trial]]:
    """Gives the function that makes the trials for a family's name and the words of a model's abilities.

    ``prompts`` are those of the user, by task; ``ways`` are those in which answers are to be given.
    """

    def trials(prompts_like: str, abilities: Collection[str]) -> list[Trial]:
        fitted = [
            replace(inputs, tasks=(replace(of_task, task=of_task.task.fitted(ways, abilities)),))
            for inputs in of_sets
            for of_task in inputs.tasks
        ]
        firsts: dict[TrialKind, Inputs] = {}
        for of_task in sorted(fitted, key=lambda of_task: not _is_simple(of_task.tasks[0].task)):
            for kind in _kinds(of_task.tasks[0].task):
                firsts.setdefault(kind, of_task)
        return [_trial(first, kind, prompts_like, prompts, scoring) for kind, first in firsts.items()]

    return trials


def _is_simple(task: Task) -> bool:
    """Tells whether a task shows one picture at a time, in one turn."""
    return task.needs.n_images == task.needs.n_turns == 1


def _kinds(task: Task) -> Iterator[TrialKind]:
    """Gives the kinds of answer that a task asks for. Those that are scored in a conversation are not tried."""
    needs = task.needs
    if needs.answer == "write" or needs.writes_too:
        yield "write" if needs.n_turns == 1 else "converse"
    if needs.answer in ("score", "loglikelihood") and needs.n_turns == 1:
        yield "score"


def _trial(inputs: Inputs, kind: TrialKind, prompts_like: str, prompts: Mapping[str, str], scoring: Scoring) -> Trial:
    """Makes the trial of the only task of some inputs."""
    (of_task,) = inputs.tasks
    prompt = choose_prompt(of_task.task, "", {}, prompts_like, prompts)
    first = replace(of_task, items=of_task.items[:1], prompt=prompt)
    expected: type[Request] = Score if kind == "score" else Write
    row_requests = [
        row_request
        for row_request in Rounds(replace(inputs, tasks=(first,)), scoring).row_requests
        if isinstance(row_request.request, expected)
    ]
    return Trial(of_task.task.name, kind, tuple(row_requests), inputs.open_image, of_task.dialogue.history)
