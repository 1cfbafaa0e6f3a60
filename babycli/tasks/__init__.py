"""The tasks of babycli, found by looking: every module here with a ``TASK`` is one.

Owns the registry. Adding a task is writing its file and its manifest; no list needs an edit.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module

from babycli.domain import ImageRef, Row
from babycli.errors import UsageError
from babycli.tasks.base import Task
from babycli.wording import did_you_mean

_TABLE_ORDER = (
    "labeled_s",
    "vtwt",
    "baby_winoground",
    "saycam_caption",
)  # as in the paper; new tasks come after


@functools.cache
def all_tasks() -> Mapping[str, Task]:
    """Every task by name."""
    found: dict[str, Task] = {}
    for module_info in pkgutil.iter_modules(__path__):
        task = getattr(import_module(f"{__name__}.{module_info.name}"), "TASK", None)
        if task is not None:
            found[task.name] = task
    order = {name: i for i, name in enumerate(_TABLE_ORDER)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def structure_problems(task: str, rows: Sequence[Row]) -> list[str]:
    """The fault of every malformed trial; what data/verify.py asks for."""
    return [problem.detail for problem in all_tasks()[task].structure_problems(rows)]


def trial_images(task: str, rows: Sequence[Row]) -> dict[str, list[ImageRef]]:
    """The images of every trial by its id, in the order of its rows; what data/verify.py asks for."""
    found = all_tasks()[task]
    return {
        trial.trial_id: [request.image for i in trial.row_indices for request in found.requests(rows[i], "")]
        for trial in found.trials(rows)
    }


def select_tasks(names: str | None) -> list[Task]:
    """The tasks of a comma-separated list, in the list's order without repeats; all for None.

    Raises UsageError for an unknown or empty name.
    """
    known = all_tasks()
    if names is None:
        return list(known.values())
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in wanted:
        if name not in known:
            raise UsageError(f"unknown task {name!r}.{did_you_mean(name, list(known))}", f"one of: {', '.join(known)}")
    return [known[name] for name in wanted]
