"""The manifests: what is published of the label files of tasks, as JSON files in manifests/; and a task's links.

Owns the format of manifests/. Never looks at a dataset folder: it says what should be there, and verify.py what is
there. Never imports a task: LabelledTask is all that it needs of one.
"""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from babycli.domain import ImageRef, Item, Row

_NO_LABELS = ("demo", "baselines")  # manifests of the demo's data, and of babycli/report/baselines.py


class ItemProblem(Protocol):
    """A fault of an item of a label file."""

    @property
    def detail(self) -> str:
        """The fault in words, with the name of the item."""


class LabelledTask(Protocol):
    """A task as far as babycli/data/ knows it. Every babycli.tasks.base.Task is one."""

    @property
    def name(self) -> str:
        """Its name in logs and messages."""

    @property
    def label_path(self) -> str:
        """The path of its label file inside the dataset folder; absolute if it lies elsewhere, see lies_outside()."""

    @property
    def data_set(self) -> str:
        """The set of data that it is bound to; "" for a task that has one set only."""

    @property
    def label_format(self) -> str:
        """Either csv or json."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns, or keys of JSON objects, that every row must have."""

    @property
    def links(self) -> Mapping[str, str]:
        """The link in the dataset folder behind which the pictures of each source lie."""

    def items(self, rows: Sequence[Row]) -> list[Item]:
        """Makes the items of these rows, with the pictures that they show."""

    def problems(self, rows: Sequence[Row]) -> Sequence[ItemProblem]:
        """Finds the faults of the items of these rows."""

    def distinct(self, item: Item) -> Sequence[Sequence[ImageRef]]:
        """Gives groups of an item's pictures, in each of which no two may have the same bytes."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the dataset folder that points to pictures."""

    path: str  # "baby_winoground/positive_images"
    source: str  # "saycam"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a label file can be fetched."""

    repository: str
    commit: str
    path: str

    @property
    def url(self) -> str:
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"


@dataclass(frozen=True, slots=True)
class Published:
    """The label file of one task as it is published."""

    task: str
    data_set: str
    sha256: str
    n_rows: int
    n_pictures: Mapping[str, int]  # how many its rows name, by source
    upstream: Upstream | None  # None: it comes with its pictures, and cannot be fetched
    demo_sha256: str | None = None  # None for a task that the demo has no data for
    demo_n_rows: int | None = None

    def data_set_of(self, sha256: str) -> str | None:
        """Tells which set of data a label file with this digest belongs to; None for an unknown one."""
        if sha256 == self.sha256:
            return self.data_set
        return "demo" if sha256 == self.demo_sha256 else None


def full_name(task: LabelledTask) -> str:
    """Gives a name that no other task has: of a task that is bound to one of several sets of data ``baby_pv@ego4d``."""
    has_own_set = not task.data_set or task.label_path.startswith(f"{task.data_set}/")
    return task.name if has_own_set else f"{task.name}@{task.data_set}"


def links_of(task: LabelledTask) -> tuple[Link, ...]:
    """Lists the links of a task, in the order in which it names them."""
    return tuple(Link(path, source) for source, path in task.links.items())


def lies_outside(task: LabelledTask) -> bool:
    """Tells whether a task's label file and pictures lie where the user has them, and not in the dataset folder."""
    return Path(task.label_path).is_absolute()


def all_lie_outside(tasks: Collection[LabelledTask]) -> bool:
    """Tells whether these tasks have nothing in the dataset folder."""
    return bool(tasks) and all(map(lies_outside, tasks))


def images_words(label_path: str) -> str:
    """Gives the words with which a user names the pictures of a label file outside of the dataset folder."""
    return f"--tasks {shlex.quote(label_path)}:DIR"


def logged_place(links: Mapping[str, str], source: str) -> str:
    """Gives what logs call the place of a source's pictures: its link or, outside of the dataset folder, the source."""
    path = links.get(source, "")
    return source if Path(path).is_absolute() else path


def published(task_name: str) -> Published | None:
    """Gives what is published of a task's label file; None for a task of the user's own."""
    return manifests().get(task_name)


def manifests_folder() -> Path:
    """Finds manifests/ as installed with the package or, in a checkout, beside it."""
    inside = Path(__file__).parent.parent / "manifests"
    return inside if inside.is_dir() else inside.parent.parent / "manifests"


@functools.cache
def manifests() -> Mapping[str, Published]:
    """Gives all that is published, by task name."""
    demo = _demo_labels()
    known = {}
    for path in sorted(manifests_folder().glob("*.json")):
        if path.stem in _NO_LABELS:
            continue
        raw = _read_manifest(path.stem)
        upstream, of_demo = raw.get("upstream"), demo.get(raw["task"], {})
        known[raw["task"]] = Published(
            task=raw["task"],
            data_set=raw["data_set"],
            sha256=raw["sha256"],
            n_rows=raw["rows"],
            n_pictures=raw["pictures"],
            upstream=Upstream(**upstream) if upstream else None,
            demo_sha256=of_demo.get("sha256"),
            demo_n_rows=of_demo.get("rows"),
        )
    return known


def is_of_demo(task_name: str, sha256: str) -> bool:
    """Tells whether a label file with this digest is the demo's for a task."""
    of_demo = _demo_labels().get(task_name)
    return of_demo is not None and of_demo["sha256"] == sha256


def demo_digests(source: str) -> Mapping[str, str]:
    """Gives the SHA-256 of every picture of the demo that stands in for one of a source, by name."""
    digests: dict[str, str] = _read_manifest("demo")["images"]
    prefix = f"{source}/"
    return {name.removeprefix(prefix): digest for name, digest in digests.items() if name.startswith(prefix)}


def _demo_labels() -> Mapping[str, Mapping[str, Any]]:
    labels: dict[str, dict[str, Any]] = _read_manifest("demo")["labels"]
    return labels


def _read_manifest(name: str) -> Any:
    return json.loads((manifests_folder() / f"{name}.json").read_bytes())
