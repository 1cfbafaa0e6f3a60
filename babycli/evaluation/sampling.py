"""The order in which `--sample N` takes the items of a task, and what the chosen items cover.

Owns both. Never reads a picture: the same label file and seed give the same items with every model, process and
Python.

The items of a group get numbers that are spread evenly over [0, 1): a group of m items has (0 + u) / m, (1 + u) / m and
so on, with a u that is drawn for the group. The items with the N smallest numbers of all groups are the sample:

    group of 4, u = 0.5     0.125   0.375   0.625   0.875        of 6 in all, N = 3:  0.1  0.125  0.375
    group of 2, u = 0.2     0.1             0.6                  2 of the 4, and 1 of the 2

So each group has its share to within one item, and a larger N holds the smaller one. Which item comes first in its
group follows from its first picture, so that tasks about the same frames (VTWT and Baby Winoground) take the same ones
first, whose scores they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from babycli.domain import Item
from babycli.errors import UsageError
from babycli.logs.identity import Coverage, Sample
from babycli.tasks.base import Task
from babycli.tasks.groups import Grouping


def sampled(task: Task, items: Sequence[Item], sample: Sample) -> tuple[Item, ...]:
    """Takes a sample of the items, in the order of the label file; all of them where there are no more."""
    kind = stratum_of(task)
    groups: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault("" if kind is None else item.groups.get(kind.name, ""), []).append(place)
    numbered: list[tuple[float, tuple[bytes, bytes], int]] = []
    for name, places in groups.items():
        begin = int.from_bytes(_drawn(sample, "group", name)[:8], "big") / 2**64
        drawn = sorted((_of_item(sample, items[place]), place) for place in places)
        numbered += [((rank + begin) / len(places), digest, place) for rank, (digest, place) in enumerate(drawn)]
    chosen = sorted(place for _, _, place in sorted(numbered)[: sample.n])
    return tuple(items[place] for place in chosen)


def stratum_of(task: Task) -> Grouping | None:
    """Gives the kind of group over which a sample is even: what its scores are told by, else what hangs together."""
    drawn = (kind for kind in task.groupings if kind.is_drawn and not kind.is_derived and not kind.is_of_turns)
    return next(drawn, None) or next((kind for kind in task.groupings if kind.name == task.cluster), None)


def coverage_of(task: Task, chosen: Sequence[Item], items: Sequence[Item]) -> Coverage | None:
    """Says what a part of the items covers; None for all of them."""
    if len(chosen) == len(items):
        return None
    kind = stratum_of(task)
    known, there = (
        {name for item in of if kind is not None and (name := item.groups.get(kind.name, ""))} for of in (items, chosen)
    )
    is_told = kind is not None and kind.is_offered and bool(known)
    return Coverage(len(items), kind.name if kind is not None and is_told else "", len(there), len(known))


def _of_item(sample: Sample, item: Item) -> tuple[bytes, bytes]:
    """Draws the place of an item in its group; the item's own name decides among items with one first picture."""
    first = f"{item.images[0].source} {item.images[0].name}" if item.images else ""
    return _drawn(sample, "picture", first), _drawn(sample, "item", item.item_id)


def _drawn(sample: Sample, kind: str, name: str) -> bytes:
    """Draws bytes for a name, always the same ones for a seed."""
    return sha256(f"{sample.seed} {kind} {name}".encode("utf-8", "surrogatepass")).digest()


def sample_of(n: int | None, seed: int | None, limit: int | None) -> Sample | None:
    """Gives the sample that is asked for. Raises UsageError where the options contradict each other."""
    if n is None:
        if seed is not None:
            raise UsageError("--seed is of --sample, which was not given", "add  --sample N")
        return None
    if limit is not None:
        raise UsageError(
            "--limit and --sample choose different trials: the first ones, or some of all groups", "leave out one"
        )
    return Sample(n, seed or 0)
