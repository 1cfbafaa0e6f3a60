"""The registry of tasks: every module here, or in a package here, with a ``TASK`` is one, and so is every entry point.

A module with ``TASKS`` has several.

Owns the registry, and finding the tasks that a user names. To add a task, write its file (and its manifest, if its
labels are published); no list needs an edit. A user's own task is a file, ``path/to/file.py:TASK``, or an entry point
of an installed package in the group ``babycli.tasks``; see docs/add_a_task.md. A file of trials, ``words.jsonl``, is a
task without any code; see docs/trials.md.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from babycli.errors import TaskError, UsageError
from babycli.foreign import explained, import_file, named_file
from babycli.tasks.base import Task
from babycli.tasks.checked import MEND, checked_task
from babycli.tasks.trials.named import named_trials
from babycli.wording import did_you_mean

GROUP = "babycli.tasks"
_registered: dict[str, Task] = {}  # files that this process was asked to evaluate


def all_tasks() -> Mapping[str, Task]:
    """Gives every task by name, in the order of the table."""
    tasks = {**_built_in(), **_installed(), **_registered}
    return dict(sorted(tasks.items(), key=lambda item: (item[1].order, item[0])))


@functools.cache
def _built_in() -> Mapping[str, Task]:
    modules = [import_module(info.name) for info in pkgutil.walk_packages(__path__, f"{__name__}.")]
    own = [module.TASK for module in modules if "TASK" in vars(module)]
    own += [task for module in modules if "TASKS" in vars(module) for task in module.TASKS]
    return {task.name: task for task in own}


@functools.cache
def _installed() -> Mapping[str, Task]:
    """Gives the tasks of installed packages. Raises TaskError for an entry point that is no task."""
    from importlib.metadata import entry_points  # slow to import, and every command imports this module

    tasks: dict[str, Task] = {}
    for point in entry_points(group=GROUP):
        what = f"the entry point {point.name} = {point.value} of {GROUP}"
        with explained(f"cannot load {what}", None, TaskError):
            loaded = point.load()
        task = checked_task(loaded, what)
        if task.name in _built_in() or task.name in tasks:
            raise TaskError(f"{what} has the name of another task, {task.name!r}", "give it a name of its own")
        tasks[task.name] = task
    return tasks


def register(task: Task) -> None:
    """Makes a task known to this process; it replaces a registered task of the same name.

    Raises TaskError for the name of a built-in or installed task, and for what is no proper task.
    """
    checked_task(task, f"the task {type(task).__qualname__}")
    _register(task)


def _register(task: Task) -> None:
    if task.name in _built_in() or task.name in _installed():
        raise TaskError(f"there is a task {task.name!r} already", "give yours a name of its own")
    _registered[task.name] = task


def select_tasks(names: str | None) -> list[Task]:
    """Gives the tasks of a list, in its order, each once; for None all tasks. Names stand between commas or spaces.

    A name is a task, a benchmark (for all of its tasks), ``path/to/file.py:TASK``, or a trials file with its pictures,
    ``path/to/words.jsonl:PICTURES``. Raises UsageError for an unknown or empty name and for two files of one name,
    TaskError for a file without a task, DataError for a trials file that is broken.
    """
    if names is None:
        return list(all_tasks().values())
    wanted: dict[str, Task] = {}
    for name in dict.fromkeys(names_in(names)):
        for task in _tasks_named(name):
            if wanted.setdefault(task.name, task) is not task:
                raise UsageError(f"{names!r:.200} names two tasks {task.name!r}", "rename one of them")
    return list(wanted.values())


def names_in(text: str) -> list[str]:
    """Gives the names in a list with commas or spaces; the path of a file of one's own may have spaces."""
    names: list[str] = []
    for part in map(str.strip, text.split(",")):
        file = named_file(part) or named_trials(part)
        is_one = file is not None and (file.path.is_file() or not all(map(is_known, part.split())))
        names += [part] if is_one or not part else part.split()
    return names


def is_known(name: str) -> bool:
    """Tells whether a name is that of a task or benchmark, or of a file as a task of one's own is named."""
    return name in all_tasks() or name in benchmarks() or is_file(name)


def is_file(name: str) -> bool:
    """Tells whether a name is that of a file of one's own: of a task, or of trials."""
    return named_file(name) is not None or named_trials(name) is not None


def benchmarks() -> list[str]:
    """Gives the names of the benchmarks that tasks belong to, each once."""
    return list(dict.fromkeys(task.benchmark.name for task in all_tasks().values() if task.benchmark))


def _tasks_named(name: str) -> list[Task]:
    file = named_file(name)
    if file is not None:
        task = _in_file(file.path, file.name, name)
        register(task)
        return [task]
    trials = named_trials(name)
    if trials is not None:
        from babycli.tasks.trials.files import task_in  # which knows METEOR; few commands need it

        of_trials = task_in(trials)
        _register(of_trials)
        return [of_trials]
    known = all_tasks()
    if name in known:
        return [known[name]]
    of_benchmark = [task for task in known.values() if task.benchmark and task.benchmark.name == name]
    if of_benchmark:
        return of_benchmark
    words = [*known, *benchmarks()]
    raise UsageError(
        f"unknown task {name!r}.{did_you_mean(name, words)}",
        f"one of: {', '.join(known)}; all of {' or '.join(benchmarks())}; or path/to/file.py:TASK or FILE.jsonl",
    )


def _in_file(path: Path, name: str | None, words: str) -> Task:
    if not path.is_file():
        raise UsageError(f"unknown task {words!r}: there is no file {path}", "write  --tasks path/to/file.py:TASK")
    module = import_file(path, TaskError)
    tasks = {key: value for key, value in vars(module).items() if isinstance(value, Task)}
    wanted = name or ("TASK" if "TASK" in tasks else next(iter(tasks)) if len(tasks) == 1 else "TASK")
    if wanted not in vars(module):
        raise TaskError(
            f"{path} has no {wanted!r}; its tasks: {', '.join(tasks) or 'none'}.{did_you_mean(wanted, list(tasks))}",
            f"write  --tasks {path}:NAME;  {MEND}",
        )
    return checked_task(vars(module)[wanted], f"{wanted} of {path}")
