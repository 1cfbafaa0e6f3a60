"""The tasks that a command means: those of --tasks, each on the sets of data of --set.

Owns the choice, and what is said of tasks that are left out. Never reads a label file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from babycli.data.root import DatasetRoot
from babycli.data.sets import checked_name, linked_sets
from babycli.errors import DataError
from babycli.tasks import select_tasks
from babycli.tasks.base import Task
from babycli.wording import did_you_mean

SetOption = Annotated[
    str | None,
    typer.Option(
        "--set",
        metavar="A,B",
        help="The sets of data of DevCV tasks, as they were linked; default all that are linked.",
        show_default=False,
    ),
]


def chosen_tasks(root: DatasetRoot, names: str | None, sets: str | None = None) -> list[Task]:
    """Gives the tasks of --tasks, on the sets of --set; without them, all for which there may be data.

    A task of a benchmark with several sets is there once for each set. Unless it is named itself, it is left out of a
    set that has no label file for it. Raises UsageError for an unknown name, DataError for a set that is not linked.
    """
    wanted = None if sets is None else _wanted(sets)
    tasks: list[Task] = []
    named = set() if names is None else {name.strip() for name in names.split(",")}
    selected = select_tasks(names)
    for task in selected:
        if task.benchmark is not None and task.benchmark.has_sets:
            on_sets = list(_on_sets(root, task, wanted))
            there = [bound for bound in on_sets if (root.path / bound.label_path).exists()]
            tasks += on_sets if task.name in named else there
        else:
            tasks.append(task)
    if names is None and any(task.data_set for task in tasks):
        # Who has linked nothing but such sets does not want the others.
        others = [task for task in tasks if not task.data_set]
        if not any((root.path / task.label_path).exists() for task in others):
            tasks = [task for task in tasks if task.data_set]
    # If nothing is linked at all, the first that is missed is told with the command that links it.
    return tasks or selected


def _wanted(sets: str) -> list[str]:
    return [checked_name(name.strip()) for name in dict.fromkeys(sets.split(","))]


def _on_sets(root: DatasetRoot, task: Task, wanted: Sequence[str] | None) -> Iterator[Task]:
    """Gives the task on each set: those wanted or, without a wish, those that are linked, else its own."""
    assert task.benchmark is not None
    linked = linked_sets(root, task.benchmark.name)
    for name in wanted or ():
        if name not in linked:
            there = f"; linked are {', '.join(linked)}" if linked else ""
            raise DataError(
                f"there is no set {name!r} in {root.path / task.benchmark.name}{there}.{did_you_mean(name, linked)}",
                f"babycli data link --{task.benchmark.name} {name}=DIR{root.words}",
            )
    for name in wanted if wanted is not None else linked or [task.data_set]:
        yield task.of_set(name)
