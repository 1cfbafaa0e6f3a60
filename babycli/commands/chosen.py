"""The tasks that a command means, and what is said of tasks that are left out.

Owns the option --set. Never reads a label file.
"""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from babycli.commands.options import DATA, say
from babycli.data.root import DatasetRoot
from babycli.data.verify import can_be_fetched
from babycli.errors import UsageError
from babycli.evaluation import chosen
from babycli.tasks import names_in, select_tasks
from babycli.tasks.base import Task
from babycli.tasks.trials.named import named_trials

SetOption = Annotated[
    str | None,
    typer.Option(
        "--set",
        metavar="A,B",
        help="The sets of data of DevCV tasks, as they were linked; default all that are linked.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]


def check_inside(names: str | None) -> None:
    """Checks that --tasks names no trials file: nothing of it lies in the dataset folder. Raises UsageError."""
    for name in names_in(names or ""):
        if named_trials(name) is not None:
            raise UsageError(
                f"{name} and its pictures stay where they are, outside of the dataset folder",
                f"leave it out here, and give it to  babycli eval --tasks {shlex.quote(name)}",
            )


def chosen_tasks(
    root: DatasetRoot, names: str | None, sets: str | None = None, needs_labels: bool = False
) -> list[Task]:
    """Gives the tasks of --tasks on the sets of --set; see babycli.evaluation.chosen.

    With ``needs_labels`` every task of one set of data that is not named is left out if its label file is not there and
    cannot be fetched, which is said.
    """
    tasks = chosen.chosen_tasks(root, names, sets)
    if needs_labels and names is None:
        absent = [task for task in tasks if not can_be_fetched(task) and not (root.path / task.label_path).exists()]
        for task in absent:
            say(f"{task.name} is left out: there is no {root.path / task.label_path}")
        tasks = [task for task in tasks if task not in absent]
    return tasks or select_tasks(names)
