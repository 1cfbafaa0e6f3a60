"""Runs that are the same, wholly or in some tasks, and the names that tell different ones apart.

Owns which of equal numbers a report shows, and how much of a model's path is its name. Never reads a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from babycli.report.runs import Run

_PARTS = 2  # of a path that a name has at least: "lab/model", and no bare "checkpoint-10"
_DIGITS = 6  # of numbers that count as equal


def latest_of_equal(runs: Iterable[Run]) -> list[Run]:
    """Gives the runs without what a later one has too, with how many there are of each task.

    What is equal are tasks of runs with one identity, one name and equal numbers. A run of which nothing is left goes;
    of another, the tasks that are left share a row with the later run. Where a task that two runs have in common has
    other numbers, both stay whole: there is something to see.
    """
    alike: dict[object, list[Run]] = {}
    for run in runs:
        alike.setdefault(_what_is_alike(run), []).append(run)
    return [run for of in alike.values() for run in _without_repeated(of)]


def _without_repeated(runs: Sequence[Run]) -> list[Run]:
    """Goes from the latest of alike runs to the first, each without the tasks that those before it have too.

    Such a task is counted where it is shown: what two runs have in common that both stay whole is counted nowhere.
    """
    kept: list[tuple[Run, dict[str, object], dict[str, int]]] = []  # with all of their tasks, and n of those left
    for run in sorted(runs, key=lambda run: (run.date, str(run.path)), reverse=True):
        tasks = _what_was_asked(run)
        repeated: set[str] = set()
        for _, of_later, n_equal in kept:
            both = tasks.keys() & of_later.keys()
            if all(tasks[task] == of_later[task] for task in both):
                for task in (both - repeated) & n_equal.keys():
                    n_equal[task] += 1
                repeated |= both
        if tasks.keys() - repeated:
            kept.append((run, tasks, {task: 1 for task in tasks if task not in repeated}))
    return [
        replace(run.only({column for column in run.cells if column[0] in n_equal}), n_equal=n_equal)
        for run, _, n_equal in reversed(kept)
    ]


def _what_is_alike(run: Run) -> object:
    """Gives what alike runs have in common besides tasks; of another program's, or one without identity, its place."""
    if run.identity is None or not run.fingerprint:
        return run.path
    whole = run.identity.to_document()
    question, data = whole["question"] | {"tasks": None}, whole["data"]["name"]
    parts = [whole["model"], question, data, whole["software"]]
    return run.model, run.name, run.args, orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


def _what_was_asked(run: Run) -> dict[str, object]:
    """Gives of each task what must be equal in another run, so that it has nothing else to say.

    The numbers are a part of it: the weights of a user's own model may change without its identity.
    """
    tasks = list(dict.fromkeys(task for task, _ in run.cells))
    if run.identity is None:
        return dict.fromkeys(tasks)
    question, data = run.identity.question, run.identity.data
    return {
        task: (
            str(question.tasks.get(task)),
            data.labels_sha256.get(task),
            data.images_sha256.get(task),
            tuple(sorted((m, round(cell.value, _DIGITS)) for (of, m), cell in run.cells.items() if of == task)),
        )
        for task in tasks
    }


def titled(runs: Sequence[Run]) -> list[Run]:
    """Gives the runs with the titles of their models: the shortest ends of their paths that tell them apart."""
    titles = _titles({run.model for run in runs})
    return [replace(run, title=titles[run.model]) for run in runs]


def _titles(models: Iterable[str]) -> dict[str, str]:
    parts = {model: model.strip("/").split("/") for model in models}
    longest = max(map(len, parts.values()), default=0)
    titles = {model: _end(of, _PARTS) for model, of in parts.items()}
    for n in range(_PARTS + 1, longest + 1):
        shown = list(titles.values())
        titles = {m: _end(parts[m], n) if shown.count(t) > 1 else t for m, t in titles.items()}
    return titles


def _end(parts: Sequence[str], n: int) -> str:
    return "/".join(parts[-n:])
