"""Numbers that others have published, to stand beside those measured here.

Owns the format of manifests/baselines.json. A published row is marked as such wherever it is shown; it has no trials,
so no interval and no test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from babycli.data.manifest import manifests_folder
from babycli.errors import UsageError
from babycli.wording import did_you_mean


@dataclass(frozen=True, slots=True)
class PublishedRow:
    label: str
    values: Mapping[tuple[str, str], float]  # by task and metric, as a fraction


@dataclass(frozen=True, slots=True)
class Baselines:
    """The rows of one publication."""

    title: str
    source: str
    note: str
    about: Mapping[str, str]  # by the label of a row, what its model is, where its name does not say it
    data_set: str  # that they were measured on
    rows: tuple[PublishedRow, ...]

    @property
    def told(self) -> str:
        """Where the rows are from and what they are, in a sentence."""
        return f"{self.title}, {self.source}; {self.note}{self.models_told}"

    def source_of(self, label: str) -> str:
        """Where a row is from, and what its model is."""
        return "; ".join([self.source, *([self.about[label]] if label in self.about else [])])

    @property
    def models_told(self) -> str:
        """What models are whose names do not say it, as the end of a sentence."""
        return "".join(f"; {label} is {what}" for label, what in self.about.items())


def read_baselines(name: str) -> Baselines:
    """Reads the published rows of that name. Raises UsageError for a name that is not there."""
    known = json.loads((manifests_folder() / "baselines.json").read_bytes())
    if name not in known:
        raise UsageError(
            f"there are no baselines {name!r}.{did_you_mean(name, list(known))}", f"one of: {', '.join(known)}"
        )
    raw = known[name]
    columns = [(task, metric) for task, metric in raw["columns"]]
    rows = tuple(
        PublishedRow(label, {c: value for c, value in zip(columns, values, strict=True) if value is not None})
        for label, values in raw["rows"].items()
    )
    return Baselines(raw["title"], raw["source"], raw["note"], raw["about"], raw["data_set"], rows)
