"""What the label files and images of each task must be: the JSON files in manifests/, read once.

Owns the format of manifests/. Never looks at a dataset folder: it says what should be there, verify.py what is.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Source = Literal["saycam", "labeled_s", "synthetic"]
Edition = Literal["saycam", "demo"]  # the published data, or the drawn pictures that come with babycli

SOURCE_TITLES: Mapping[Source, str] = {
    "saycam": "SAYCam frames",
    "labeled_s": "Labeled-S images",
    "synthetic": "synthetic images",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the dataset folder that points to images, and which label rows look there."""

    path: str  # "baby_winoground/positive_images"
    source: Source
    where: Mapping[str, str]  # column -> value of the rows concerned; empty for all
    n_images: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The label file of one task."""

    task: str
    label_path: str  # inside the dataset folder
    sha256: str
    n_rows: int
    columns: tuple[str, ...]
    links: tuple[Link, ...]
    repository: str
    commit: str
    upstream_path: str
    demo_sha256: str | None = None  # None for a task that the demo has no data for
    demo_n_rows: int | None = None

    @property
    def url(self) -> str:
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.upstream_path}"

    def edition_of(self, sha256: str) -> Edition | None:
        """Which data a label file with this digest belongs to; None for neither."""
        if sha256 == self.sha256:
            return "saycam"
        return "demo" if sha256 == self.demo_sha256 else None


def manifests_folder() -> Path:
    """manifests/ as installed with the package or, in a checkout, beside it."""
    inside = Path(__file__).parent.parent / "manifests"
    return inside if inside.is_dir() else inside.parent.parent / "manifests"


@functools.cache
def manifests() -> Mapping[str, Manifest]:
    """Every task's manifest by task name."""
    demo = _read("demo")["labels"]
    found = {}
    for path in sorted(manifests_folder().glob("*.json")):
        if path.stem in ("demo", "baselines"):  # of the demo's data; of babycli/report/baselines.py
            continue
        raw = _read(path.stem)
        links = tuple(
            Link(entry["path"], entry["source"], entry.get("where", {}), entry["images"]) for entry in raw["links"]
        )
        found[raw["task"]] = Manifest(
            task=raw["task"],
            label_path=raw["label_path"],
            sha256=raw["sha256"],
            n_rows=raw["rows"],
            columns=tuple(raw["columns"]),
            links=links,
            repository=raw["upstream"]["repository"],
            commit=raw["upstream"]["commit"],
            upstream_path=raw["upstream"]["path"],
            demo_sha256=demo.get(raw["task"], {}).get("sha256"),
            demo_n_rows=demo.get(raw["task"], {}).get("rows"),
        )
    return found


def demo_image_digests() -> Mapping[str, str]:
    """SHA-256 of every demo image, by ``<source>/<name>``."""
    digests: dict[str, str] = _read("demo")["images"]
    return digests


def _read(name: str) -> Any:
    return json.loads((manifests_folder() / f"{name}.json").read_bytes())
