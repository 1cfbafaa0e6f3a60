"""Runs of a model that plays back what was recorded elsewhere: the tasks that it has answers for.

Owns the choice of these tasks, what the model learns of a run, and what makes no sense with it. Never reads what was
recorded: the model does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from babycli.errors import DataError, UsageError
from babycli.evaluation.inputs import Inputs, TaskInput
from babycli.models.base import AskedTask, Model
from babycli.tasks import all_tasks
from babycli.tasks.base import Task
from babycli.wording import ControlKind


def check_control(model: str, control: ControlKind | None) -> None:
    """Raises UsageError for a control by other pictures: what was recorded does not depend on them."""
    if control in (ControlKind.BLIND, ControlKind.SHUFFLED):
        raise UsageError(
            f"--control {control} shows other pictures, and {model} plays back the same answers whatever is shown",
            "leave it out; for a control, show whatever gave these answers the other pictures, and record that too",
        )


def recorded_tasks(
    tasks: Sequence[Task], were_named: bool, name: str, model: Model, say: Callable[[str], None]
) -> list[Task]:
    """Chooses the tasks that a model has answers for, and tells the user which are left out.

    Raises DataError if there are none, or not for all tasks that the user named; UsageError for a task on two sets.
    """
    recorded = model.recorded_tasks(all_tasks())
    kept = [task for task in tasks if recorded is None or task.name in recorded]
    names = ", ".join(dict.fromkeys(task.name for task in tasks if task not in kept))
    if not kept or (names and were_named):
        able = ",".join(dict.fromkeys(task.name for task in kept)) or ",".join(sorted(recorded or ()))
        raise DataError(f"{name} has no line of {names}", f"add them; or  --tasks {able}")
    if names:
        say(f"note: left out {names}: {name} has no line of it")
    twice = [task_name for task_name, n in Counter(task.name for task in kept).items() if n > 1]
    if twice:
        sets = [task.data_set for task in kept if task.name == twice[0]]
        raise UsageError(
            f"{name} does not say of which set its items are, and {twice[0]} is asked on {', '.join(sets)}",
            f"name one:  --set {sets[0]}",
        )
    return kept


def begin(model: Model, inputs: Inputs, say: Callable[[str], None]) -> None:
    """Tells a model of the tasks and rows of a run. Raises DataError for answers that belong to none of them."""
    for note in model.begin([_asked(task_input) for task_input in inputs.tasks]):
        say(f"note: {note}")


def _asked(task_input: TaskInput) -> AskedTask:
    task = task_input.task
    n_turns = tuple(map(task.n_turns_of, task_input.labels.rows))
    return AskedTask(task.name, n_turns, tuple(task_input.row_indices))
