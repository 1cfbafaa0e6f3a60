"""Sets of data: label files and pictures whose scores may stand in one table.

Owns the description of each, and which may be evaluated together. Never looks at a dataset folder: the digest of a
label file tells its set, see manifest.py.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from babycli.bibliography import Paper
from babycli.data.sources import source_modules

OWN = "own"  # of tasks whose label files nobody has published
DEMO = "demo"


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set of data. The ``DATA_SET`` of a file in babycli/data/sources/ is one; ``DATA_SETS`` are several."""

    name: str  # as logs have it: "saycam"
    title: str  # "SAYCam"
    note: str = ""  # what a report of its scores must say; "" for nothing
    papers: tuple[Paper, ...] = ()  # to cite with scores on it
    is_demo: bool = False  # drawn pictures that stand in for the real ones
    order: int = 100  # its place among tables; equal ones by name


@functools.cache
def all_data_sets() -> Mapping[str, DataSet]:
    """Gives every set of data by name, in the order of tables."""
    sets = [module.DATA_SET for module in source_modules() if "DATA_SET" in vars(module)]
    sets += [known for module in source_modules() if "DATA_SETS" in vars(module) for known in module.DATA_SETS]
    return {known.name: known for known in sorted([*sets, DataSet(OWN, "Own data", order=2)], key=_order)}


def data_set_named(name: str) -> DataSet:
    """Gives the set of that name; a set with nothing but the name for one that only a log knows."""
    return all_data_sets().get(name) or DataSet(name, name)


def joint_data_set(names: Iterable[str]) -> DataSet | None:
    """Gives the set that label files of these sets make up together; None for a mix of the demo and other sets.

    The user's own label files go with any set. Of several published sets it is the first in the order of tables.
    """
    known = [data_set_named(name) for name in set(names) - {OWN}]
    if len({data_set.is_demo for data_set in known}) > 1:
        return None
    return min(known, key=_order, default=data_set_named(OWN))


def _order(data_set: DataSet) -> tuple[int, str]:
    return data_set.order, data_set.name
