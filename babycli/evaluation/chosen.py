"""The tasks that words mean: those of --tasks, each on the sets of data of --set.

Owns the choice. Never reads a label file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from babycli.data.root import DatasetRoot
from babycli.data.sets import checked_name, linked_sets
from babycli.errors import DataError
from babycli.tasks import names_in, select_tasks
from babycli.tasks.base import Task
from babycli.wording import did_you_mean


def chosen_tasks(root: DatasetRoot, names: str | None, sets: str | None = None) -> list[Task]:
    """Gives the tasks of --tasks, on the sets of --set; without them, all for which there may be data.

    A task of a benchmark with several sets is there once for each set that has a label file for it. One that is named
    itself is there on all sets of --set and, without that, where no set has a label file for it. Raises UsageError for
    an unknown name, DataError for a set that is not linked.
    """
    named = set() if names is None else set(names_in(names))
    bound = all_bound_tasks(root, names, sets)
    there = {(task.name, task.data_set) for task in bound if (root.path / task.label_path).exists()}
    wanted = named if sets is not None else named - {name for name, _ in there}
    tasks = [task for task in bound if not task.data_set or task.name in wanted or (task.name, task.data_set) in there]
    if names is None and sets is not None:
        tasks = [task for task in tasks if task.sets_of or not task.data_set]  # those of other benchmarks are no sets
    if names is None and any(task.data_set for task in tasks):
        # Who has linked nothing but such sets does not want the others.
        others = [task for task in tasks if not task.data_set]
        if sets is not None or not any((root.path / task.label_path).exists() for task in others):
            tasks = [task for task in tasks if task.data_set]
    # If nothing is linked at all, the first that is missed is told with the command that links it.
    return tasks or select_tasks(names)


def all_bound_tasks(root: DatasetRoot, names: str | None, sets: str | None = None) -> list[Task]:
    """Gives the tasks of --tasks, each on every set of --set or, without it, on every set that is linked.

    A set need not have a label file for a task. Where none is linked, a task is there on its own set. Raises UsageError
    for an unknown name, DataError for a set that is not linked.
    """
    wanted = None if sets is None else [checked_name(name.strip()) for name in dict.fromkeys(sets.split(","))]
    tasks: list[Task] = []
    for task in select_tasks(names):
        if task.sets_of:
            tasks += _on_sets(root, task, wanted)
        else:
            tasks.append(task)
    return tasks


def _on_sets(root: DatasetRoot, task: Task, wanted: Sequence[str] | None) -> Iterator[Task]:
    """Gives the task on each set: those wanted or, without a wish, those that are linked, else its own."""
    linked = linked_sets(root, task.sets_of)
    for name in wanted or ():
        if name not in linked:
            there = f"; linked are {', '.join(linked)}" if linked else ""
            with root.named():
                raise DataError(
                    f"there is no set {name!r} in {root.path / task.sets_of}{there}.{did_you_mean(name, linked)}",
                    f"babycli data link --{task.sets_of} {name}=DIR{root.words}",
                )
    for name in wanted if wanted is not None else linked or [task.data_set]:
        yield task.of_set(name)
