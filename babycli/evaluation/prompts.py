"""Which prompt a task is given for a model, and which tasks a model can do at all.

Owns the choice and the words about it. Never renders a template and never loads a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from babycli.domain import Offer
from babycli.errors import UsageError
from babycli.tasks import all_tasks
from babycli.tasks.base import Need, Task
from babycli.tasks.prompts import DEFAULT
from babycli.wording import did_you_mean

ANSWERED_BY: Mapping[Need, tuple[Offer, ...]] = {
    "score": ("loglikelihood", "similarity"),
    "generate": ("generate",),
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked in a task; ``origin`` says whose wording it is."""

    text: str = ""
    origin: str = DEFAULT  # "--prompt", "model", a family's name, or DEFAULT


NO_PROMPT = Prompt()


def parse_prompts(given: Sequence[str]) -> dict[str, str]:
    """``TASK=TEXT`` for one task, ``TEXT`` for all: the prompts by task.

    What stands before the first ``=`` counts as a task only if it is a task's name, so a text may hold ``=``. Raises
    UsageError for a near miss of a name and for two prompts of one task.
    """
    chosen: dict[str, str] = {}
    for word in given:
        name, equals, text = word.partition("=")
        known = list(all_tasks())
        if equals and name in known:
            wanted = {name: text}
        elif equals and name.isidentifier() and (near := did_you_mean(name, known)):
            raise UsageError(
                f"--prompt {word!r}: there is no task {name!r}.{near}",
                f"write  --prompt TASK=TEXT  with one of: {', '.join(known)}",
            )
        else:
            wanted = dict.fromkeys(known, word)
        if twice := sorted(wanted.keys() & chosen.keys()):
            raise UsageError(f"--prompt is given twice for {', '.join(twice)}", "give each task one prompt")
        chosen |= wanted
    return chosen


def choose_prompt(
    task: Task, family: str, of_model: Mapping[str, str], prompts_like: str, overrides: Mapping[str, str]
) -> Prompt:
    """The user's wording, else the model's own, else its family's, else the default."""
    if task.name in overrides:
        return Prompt(overrides[task.name], "--prompt")
    if task.name in of_model:
        return Prompt(of_model[task.name], "model")
    like = prompts_like or family
    return Prompt(task.prompts[like], like) if like in task.prompts else Prompt(task.prompts[DEFAULT])


def can_do(task: Task, offers: Sequence[Offer]) -> bool:
    """Does a model with these offers have an answer for the task?"""
    return any(offer in offers for offer in ANSWERED_BY[task.needs])
