"""Putting label files into a dataset folder: fetched from upstream, or copied from a folder of the user's.

Owns where they come from, and keeping the files that they replace. Never puts a file in place that is not sound.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from babycli.data.datasets import data_set_named, joint_data_set
from babycli.data.labels import MAX_LABEL_BYTES, Labels, parse_labels, read_labels, why_not, with_item_problems
from babycli.data.manifest import LabelledTask, Published, Upstream, published
from babycli.data.problems import ProblemKind, raise_for
from babycli.errors import ChecksumError, DataError
from babycli.files import keep_old, read_file, write_atomically
from babycli.wording import all_of

FETCH_TIMEOUT_S = 30


def get_labels(dataset: Path, tasks: Sequence[LabelledTask], source: Path | None, replace: bool) -> Mapping[str, str]:
    """Puts label files into a dataset folder, from upstream or from ``source``: all that are needed, or none.

    Without ``source``, missing files are fetched and, with ``replace``, those that are not the published ones. With
    ``source``, every file that differs is taken from there. A replaced file is kept beside the new one as
    ``<name>.old``. A label file that has no upstream is taken from ``source`` if it is there, else left to the user.
    Gives by task what was done: "already there", "fetched", "copied" or "not there". Raises ChecksumError for a file
    that differs from its manifest, DataError for one that cannot be fetched or read.
    """
    current = {task.name: read_labels(dataset / task.label_path, task) for task in tasks}
    contents: dict[str, bytes] = {}
    for task in tasks:
        known = published(task.name)
        if known is None or known.upstream is None:
            path = _own_file(source, task) if source is not None else None
            contents |= {task.name: _sound(path, task)} if path is not None else {}
        elif source is not None:
            contents[task.name] = _checked_content(_import(source, task, known.upstream), task, known, str(source))
        elif _must_fetch(current[task.name], known, current.values(), replace):
            contents[task.name] = _checked_content(_fetch(task, known.upstream, tasks), task, known, "upstream")
    _check_joint(dataset, [_data_set(contents.get(task.name), current[task.name]) for task in tasks])
    done = {name: "not there" if _is_missing(labels) else "already there" for name, labels in current.items()}
    for task in tasks:
        content = contents.get(task.name)
        if content is None or current[task.name].sha256 == hashlib.sha256(content).hexdigest():
            continue
        keep_old(dataset / task.label_path)
        write_atomically(dataset / task.label_path, content)
        done[task.name] = "fetched" if source is None else "copied"
    return done


def _is_missing(labels: Labels) -> bool:
    return any(problem.kind == ProblemKind.LABELS_MISSING for problem in labels.problems)


def _must_fetch(labels: Labels, known: Published, all_labels: Iterable[Labels], replace: bool) -> bool:
    of_published = [other.data_set for other in all_labels if published(other.task.name) is not None]
    all_demo = set(of_published) == {"demo"}
    return _is_missing(labels) or (replace and not all_demo and labels.data_set != known.data_set)


def _data_set(content: bytes | None, labels: Labels) -> str | None:
    """Tells which set of data a task's label file will belong to; None for one that is missing or unknown."""
    known = published(labels.task.name)
    if content is None or known is None:
        return labels.data_set
    return known.data_set_of(hashlib.sha256(content).hexdigest())


def _check_joint(dataset: Path, names: Iterable[str | None]) -> None:
    """Checks that the demo's label files do not lie beside published ones. Raises DataError."""
    known = {name for name in names if name is not None}
    if joint_data_set(known) is None:
        others = sorted(data_set_named(name).title for name in known if not data_set_named(name).is_demo)
        raise DataError(
            f"{dataset} would mix label files of the demo with those of {' and '.join(others)}",
            "use another dataset folder:  --data DIR",
        )


def _checked_content(raw: bytes, task: LabelledTask, known: Published, origin: str) -> bytes:
    if known.data_set_of(hashlib.sha256(raw).hexdigest()) is None:
        mend = ""
        if known.upstream is not None:
            upstream = known.upstream
            mend = f"take {upstream.path} of {upstream.repository} at commit {upstream.commit[:7]}"
        raise ChecksumError(
            f"the label file {task.label_path} from {origin} is not the published: {why_not(raw, known)}", mend
        )
    return raw


def _sound(path: Path, task: LabelledTask) -> bytes:
    """Reads a label file that has no upstream. Raises DataError or ChecksumError where anything is wrong with it."""
    raw = _read_bytes(path)
    raise_for(with_item_problems(parse_labels(raw, path, task)).problems, f"mend {path}")
    return raw


def _read_bytes(path: Path) -> bytes:
    try:
        return read_file(path, MAX_LABEL_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "get that label file again") from error


def _own_file(source: Path, task: LabelledTask) -> Path | None:
    """Finds a task's label file in a dataset folder or a folder of label files; None if it is in neither."""
    places = (source / task.label_path, source / PurePosixPath(task.label_path).name)
    return next((place for place in places if _is_there(place)), None)


def _is_there(place: Path) -> bool:
    """Tells whether a place is taken by what should be a label file, so that a pipe there is named."""
    return os.path.exists(place) and not os.path.isdir(place)


def _import(source: Path, task: LabelledTask, upstream: Upstream) -> bytes:
    """Reads a label file from a folder of label files, a dataset folder, or a checkout of the upstream repository."""
    name = PurePosixPath(task.label_path).name
    for candidate in (source / task.label_path, source / upstream.path, source / name):
        if _is_there(candidate):
            return _read_bytes(candidate)
    raise DataError(
        f"no label file {name} in {source}: looked for {task.label_path}, {upstream.path} and {name}",
        f"give the dataset folder of a checkout of {upstream.repository}",
    )


def _fetch(task: LabelledTask, upstream: Upstream, tasks: Sequence[LabelledTask]) -> bytes:
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(upstream.url, timeout=FETCH_TIMEOUT_S) as response:
            raw: bytes = response.read()
            return raw
    except (OSError, HTTPException) as error:  # URLError and TimeoutError are OSErrors
        named = all_of(other.label_path for other in tasks if _has_upstream(other))
        raise DataError(
            f"cannot fetch the label file {task.label_path} from {upstream.url}: {getattr(error, 'reason', error)}",
            f"without network: clone {upstream.repository} elsewhere, and give this command the checkout, or a folder "
            f"that holds {named}:  --from PATH",
        ) from error


def _has_upstream(task: LabelledTask) -> bool:
    known = published(task.name)
    return known is not None and known.upstream is not None
