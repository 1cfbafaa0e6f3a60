"""The lock of a dataset: a record of the images behind each link, by which a later change is noticed; and of the label
files that were linked with their images.

Owns babycli.lock, a JSON file in the dataset folder, which `data link` writes. Never reads an image: digests are given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from babycli.data.manifest import LabelledTask, full_name
from babycli.data.problems import Problem, ProblemKind
from babycli.data.root import LOCK_NAME, DatasetRoot
from babycli.errors import DataError
from babycli.files import raise_limit, read_file
from babycli.wording import all_of

_SCHEMA = 2  # of a lock with label files; without them it is 1, as ever
_KNOWN_SCHEMAS = (1, _SCHEMA)


@dataclass(frozen=True, slots=True)
class LockedLink:
    """A record of the images behind a link when it was made."""

    target: str  # the link as it is written; "" for a real folder
    source: str  # the real path of the folder or zip
    n_files: int  # all that were there
    sha256: Mapping[str, str]  # of every image that a task reads, by name


@dataclass(frozen=True, slots=True)
class LockedLabels:
    """A record of a label file that was linked with its images."""

    sha256: str  # as it was written
    origin: str  # the path of the user's file, perhaps in a zip
    origin_sha256: str  # another one where names of images were rewritten


@dataclass(frozen=True, slots=True)
class Lock:
    links: Mapping[str, LockedLink]  # by the link's place in the dataset folder
    labels: Mapping[str, LockedLabels] = field(default_factory=dict)  # by the label file's place there

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        links = {
            path: {
                "target": link.target,
                "source": link.source,
                "files": link.n_files,
                "images": len(link.sha256),
                "sha256": dict(sorted(link.sha256.items())),
            }
            for path, link in sorted(self.links.items())
        }
        document: dict[str, Any] = {"schema": _SCHEMA if self.labels else 1, "links": links}
        if self.labels:
            document["labels"] = {path: asdict(labels) for path, labels in sorted(self.labels.items())}
        return json.dumps(document, indent=1).encode() + b"\n"


def lock_path(root: DatasetRoot) -> Path:
    return root.path / LOCK_NAME


def lock_problem(task: str, place: str, recorded: str | None, digest: str) -> Problem | None:
    """Gives the problem of an image whose SHA-256 is not the recorded one; None if it is, or nothing was recorded."""
    if recorded is None or recorded == digest:
        return None
    detail = f"its digest is {digest[:16]}…, was {recorded[:16]}… when it was linked"
    return Problem(task, ProblemKind.CHECKSUM, place, detail)


def labels_problem(lock: Lock, task: LabelledTask, path: Path, sha256: str) -> Problem | None:
    """Gives the problem of a label file at ``path`` that is not as it was linked; None if it is, or was not."""
    recorded = lock.labels.get(task.label_path)
    if recorded is None or recorded.sha256 == sha256:
        return None
    detail = f"its SHA-256 is {sha256[:16]}…, was {recorded.sha256[:16]}… when it was linked"
    return Problem(full_name(task), ProblemKind.LABELS_CHECKSUM, str(path), detail)


def read_lock(root: DatasetRoot) -> Lock:
    """Reads the lock of a dataset; a lock without links if there is none. Raises DataError for a damaged one."""
    path = lock_path(root)
    try:
        raw = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return Lock({})
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    try:
        document = json.loads(raw)
        if document["schema"] not in _KNOWN_SCHEMAS:
            raise DataError(
                f"{path} is of schema {document['schema']}, and this babycli knows {all_of(map(str, _KNOWN_SCHEMAS))}",
                "use the babycli that wrote it, or remove it and link again",
            )
        labels = {place: _labels(entry) for place, entry in document.get("labels", {}).items()}
        return Lock({place: _link(entry) for place, entry in document["links"].items()}, labels)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        mend = f"babycli data link SAYCAM-FOLDER{root.words}  (writes it anew; move the damaged one away first)"
        raise DataError(f"{path} is damaged: {error!r}", mend) from error


def _link(entry: Any) -> LockedLink:
    digests = {str(name): str(digest) for name, digest in entry["sha256"].items()}
    if len(digests) != entry["images"]:
        raise ValueError(f"{len(digests)} digests, should be {entry['images']}")
    return LockedLink(str(entry["target"]), str(entry["source"]), int(entry["files"]), digests)


def _labels(entry: Any) -> LockedLabels:
    return LockedLabels(str(entry["sha256"]), str(entry["origin"]), str(entry["origin_sha256"]))
