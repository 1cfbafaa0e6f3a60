"""Runs that are the same, and the names that tell different ones apart.

Owns which of equal runs a report shows, and how much of a model's path is its name. Never reads a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from babycli.report.runs import Run

_PARTS = 2  # of a path that a name has at least: "lab/model", and no bare "checkpoint-10"
_DIGITS = 6  # of numbers that count as equal


def latest_of_equal(runs: Iterable[Run]) -> list[Run]:
    """Gives the latest of the runs with one identity, one name and equal numbers, with how many there are."""
    equal: dict[object, list[Run]] = {}
    for run in runs:
        equal.setdefault(_what_is_equal(run), []).append(run)
    return [replace(max(same, key=lambda run: (run.date, str(run.path))), n_equal=len(same)) for same in equal.values()]


def _what_is_equal(run: Run) -> object:
    """Gives what equal runs have in common; of another program's run, or one without an identity, its own place.

    Their numbers are a part of it: the weights of a user's own model may change without its identity.
    """
    if run.identity is None or not run.fingerprint:
        return run.path
    identity = orjson.dumps(run.identity.to_document(), option=orjson.OPT_SORT_KEYS)
    numbers = tuple(sorted((column, round(cell.value, _DIGITS)) for column, cell in run.cells.items()))
    return run.model, run.name, run.args, identity, numbers


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
