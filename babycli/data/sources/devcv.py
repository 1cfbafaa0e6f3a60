"""Pictures of the sets of DevCV (BabyVLM-V2, Wang et al. 2025): a source for each set, also for one that a user names.

A set comes with its label files: `babycli data link --devcv SET=DIR` takes both from one folder or zip.
"""

from __future__ import annotations

from babycli.bibliography import BABYVIEW, EGO4D
from babycli.data.datasets import DataSet, data_set_named
from babycli.data.sources.base import Source

BENCHMARK = "devcv"
_PREFIX = f"{BENCHMARK}_"
DATA_SETS = (
    DataSet("ego4d", "Ego4D", papers=(EGO4D,), order=3),
    DataSet("babyview", "BabyView", papers=(BABYVIEW,), order=4),
    DataSet("nih", "NIH Baby Toolbox", order=5),
)
KNOWN_SETS = ("saycam", *(known.name for known in DATA_SETS))


def source_of_set(name: str) -> str:
    """Gives the name of the source of a set's pictures."""
    return f"{_PREFIX}{name}"


def source_for(name: str) -> Source | None:
    """Describes the source of a set's pictures; None for a name that is no such source's."""
    if not name.startswith(_PREFIX):
        return None
    data_set = name.removeprefix(_PREFIX)
    title = f"pictures of {data_set_named(data_set).title}"
    return Source(name, title, option=f"--{BENCHMARK} {data_set}=DIR", order=50)
