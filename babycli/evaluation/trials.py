"""The first requests of a run, with which a family may try a model before the run begins.

Owns which they are: those of the first item of the first task of each kind of answer, with the prompt that the run
will have. So a model is tried with what it will be asked, and for nothing else. Never asks a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.evaluation.prompts import choose_prompt
from babycli.evaluation.rounds import Rounds
from babycli.models.base import Trial
from babycli.wording import Scoring


def trials_of(inputs: Inputs, prompts: Mapping[str, str], scoring: Scoring) -> Callable[[str], list[Trial]]:
    """Gives the function that makes the trials for a family's name; ``prompts`` are those of the user, by task."""
    firsts: dict[str, TaskInput] = {}
    for of_task in sorted(inputs.tasks, key=lambda of_task: not _is_simple(of_task)):
        firsts.setdefault(of_task.task.needs.answer, of_task)

    def trials(prompts_like: str) -> list[Trial]:
        return [_trial(inputs, first, prompts_like, prompts, scoring) for first in firsts.values()]

    return trials


def _is_simple(of_task: TaskInput) -> bool:
    """Tells whether a task shows one picture at a time, in one turn."""
    return of_task.task.needs.n_images == of_task.task.needs.n_turns == 1


def _trial(
    inputs: Inputs, of_task: TaskInput, prompts_like: str, prompts: Mapping[str, str], scoring: Scoring
) -> Trial:
    """Makes a trial; that of a task which is not simple has no requests."""
    task, row_requests = of_task.task, []
    if _is_simple(of_task):
        prompt = choose_prompt(task, "", {}, prompts_like, prompts)
        alone = replace(inputs, tasks=(replace(of_task, items=of_task.items[:1], prompt=prompt),))
        row_requests = [
            row_request for row_request in Rounds(alone, scoring).row_requests if len(row_request.pictures) == 1
        ]
    answer: Literal["score", "write"] = "write" if task.needs.answer == "write" else "score"
    return Trial(task.name, answer, tuple(row_requests), inputs.open_image)
