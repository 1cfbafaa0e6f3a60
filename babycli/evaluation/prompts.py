"""The choice of a task's prompt for a model, and of the tasks that a model can do.

Owns the choice and the words about it. Never renders a template and never loads a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from babycli.errors import ModelError, UsageError
from babycli.logs.identity import PROMPT_OPTION
from babycli.models.base import Abilities, ModelInfo
from babycli.tasks import all_tasks
from babycli.tasks.base import DEFAULT, Need, Task
from babycli.wording import AnswerWay, Scoring, did_you_mean

OWN_WORDS = "task"
_NEAR_MISS = 0.7  # how like a task's name a word must be to be taken for a misspelt one; "what=" is just a word


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of a task for a model; ``origin`` says whose wording it is."""

    text: str = ""
    origin: str = DEFAULT  # "--prompt", "model", a family's name, OWN_WORDS of a task that brings its words, or DEFAULT


NO_PROMPT = Prompt()


def parse_prompts(given: Sequence[str]) -> dict[str, str]:
    """Reads the prompts by task: ``TASK=TEXT`` is for one task, ``TEXT`` for all.

    The part before the first ``=`` counts as a task only if it is a task's name, so a text may contain ``=``. Raises
    UsageError for a misspelt task, for two prompts of one task, and for a task that brings its own words.
    """
    chosen: dict[str, str] = {}
    tasks = all_tasks()
    for word in given:
        name, equals, text = word.partition("=")
        known = list(tasks)
        if equals and name in known:
            if not tasks[name].prompts:
                raise UsageError(f"--prompt {word!r}: {name} brings its own words", "leave that prompt out")
            wanted = {name: text}
        elif equals and _may_be_a_name(name) and (near := did_you_mean(_as_a_name(name), known, _NEAR_MISS)):
            raise UsageError(
                f"--prompt {word!r}: there is no task {name!r}.{near}",
                f"write  --prompt TASK=TEXT  with one of: {', '.join(known)}",
            )
        else:
            wanted = {name: word for name, task in tasks.items() if task.prompts}
        if twice := sorted(wanted.keys() & chosen.keys()):
            raise UsageError(f"--prompt is given twice for {', '.join(twice)}", "give each task one prompt")
        chosen |= wanted
    return chosen


def _may_be_a_name(text: str) -> bool:
    """Tells whether a text could be meant as a task's name: one word, spelt with a hyphen perhaps."""
    return _as_a_name(text).isidentifier()


def _as_a_name(text: str) -> str:
    return text.strip().replace("-", "_")


def choose_prompt(
    task: Task, family: str, of_model: Mapping[str, str], prompts_like: str, overrides: Mapping[str, str]
) -> Prompt:
    """Chooses the user's wording, else the model's own, else its family's, else the default."""
    if not task.prompts:
        return Prompt("", OWN_WORDS)
    if task.name in overrides:
        return Prompt(overrides[task.name], PROMPT_OPTION)
    if task.name in of_model:
        return Prompt(of_model[task.name], "model")
    like = prompts_like or family
    return Prompt(task.prompts[like], like) if like in task.prompts else Prompt(task.prompts.get(DEFAULT, ""))


_EXPECTED: Mapping[Need, tuple[str, ...]] = {"score": ("loglikelihood", "similarity"), "write": ("generate",)}


def expected_of(task: Task) -> tuple[str, ...]:
    """Gives the words of Abilities that can answer a task; a model needs one of them."""
    return _EXPECTED.get(task.needs.answer, (task.needs.answer,))


def answers_of(task: Task, abilities: Abilities) -> str:
    """Gives how a model answers a task that it can do: "loglikelihood", or "generate+loglikelihood" for two ways."""
    score = next(words for words in abilities.words if words in expected_of(task))
    return f"generate+{score}" if task.needs.writes_too else score


def why_not(task: Task, abilities: Abilities) -> str:
    """Tells why a model with these abilities cannot do a task; "" if it can."""
    needs = task.needs
    if not set(expected_of(task)) & set(abilities.words):
        return f"expected is {' or '.join(expected_of(task))}, it offers {', '.join(abilities.words)}"
    if needs.writes_too and not abilities.writes:
        return f"expected is generate too, it offers {', '.join(abilities.words)}"
    # A model that compares pictures takes two for that, however many it takes in a context with words.
    beyond = "" if needs.answer == "match" else abilities.why_beyond(needs.n_images, needs.n_turns)
    return f"it has up to {beyond}" if beyond else ""


def _way_that_can(tasks: Sequence[Task], abilities: Abilities, ways: Sequence[AnswerWay] | None) -> AnswerWay | None:
    """Gives the way of answering in which a model could do some of the tasks that it cannot do in the given ways."""
    others = [way for way in AnswerWay if ways and tuple(ways) != (way,)]
    return next(
        (w for w in others if any(not why_not(t.fitted((w,), abilities.words), abilities) for t in tasks)), None
    )


def doable_tasks(
    tasks: Sequence[Task],
    were_named: bool,
    model: str,
    abilities: Abilities,
    say: Callable[[str], None],
    ways: Sequence[AnswerWay] | None = None,
    scoring: Scoring = Scoring.FAIR,
) -> list[Task]:
    """Chooses the tasks that a model can do, as it is asked in them, and tells the user which are left out.

    Raises ModelError if it can do none of them, or not all of those that the user named; UsageError likewise for those
    that it can do but cannot be scored in as is asked for.
    """
    tasks = [task.fitted(ways, abilities.words) for task in tasks]
    reasons = {task.name: why_not(task, abilities) for task in tasks}
    doable = [task for task in tasks if not reasons[task.name]]
    beyond = [task for task in tasks if task not in doable]
    names = ", ".join(task.name for task in beyond)
    if beyond and (were_named or not doable):
        able = f"leave it out:  --tasks {','.join(t.name for t in doable)}" if doable else "choose another model"
        if not doable and (way := _way_that_can(beyond, abilities, ways)):
            able = f"{able}; or  --answers {way}"
        why = "; ".join(dict.fromkeys(reasons[task.name] for task in beyond))
        raise ModelError(f"{model} cannot do {names}: {why}", able)
    for why in dict.fromkeys(reasons[task.name] for task in beyond):
        of_reason = ", ".join(task.name for task in beyond if reasons[task.name] == why)
        is_kind = not any(set(expected_of(t)) & set(abilities.words) for t in beyond if reasons[t.name] == why)
        reason = f"{model} offers {', '.join(abilities.words)} only" if is_kind else why
        say(f"note: left out {of_reason}: {reason}")
    return doable if scoring == Scoring.FAIR else _with_reference(doable, were_named, model, abilities, say)


def _with_reference(
    tasks: Sequence[Task], were_named: bool, model: str, abilities: Abilities, say: Callable[[str], None]
) -> list[Task]:
    """Chooses the tasks in which the model can be scored as the original does. Raises UsageError as doable_tasks()."""
    reasons = {task.name: why for task in tasks if (why := task.why_no_reference(abilities.words))}
    scored = [task for task in tasks if task.name not in reasons]
    for why in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, reason in reasons.items() if reason == why)
        if were_named or not scored:
            others = f",  or leave it out:  --tasks {','.join(task.name for task in scored)}" if scored else ""
            raise UsageError(
                f"--scoring reference cannot be had of {model} in {names}: {why}", f"use  --scoring fair{others}"
            )
        say(f"note: left out {names}: --scoring reference cannot be had of {model} there: {why}")
    return scored


def choose_prompts(
    tasks: Sequence[Task], info: ModelInfo, overrides: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, Prompt]:
    """Chooses the prompt of every task; tells the user where a model family has no prompt of its own."""
    chosen = {t.name: choose_prompt(t, info.family, info.prompts, info.prompts_like, overrides) for t in tasks}
    defaults = [task for task, prompt in chosen.items() if prompt.origin == DEFAULT]
    if defaults and not info.abilities.plays_back:
        is_generative = {"loglikelihood", "generate"} & set(info.abilities.words)
        text = "the image and no words" if is_generative else "no words"
        say(
            f"note: {info.family} has no prompt of its own for {', '.join(defaults)}: asked with {text}; "
            "--prompt TEXT changes that"
        )
    return chosen
