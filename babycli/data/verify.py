"""Is this dataset what it should be? Labels against manifests, images against labels; all problems, collected.

Owns the checks and their depths. Never stops at the first problem and never mends one.

    names      a file of that name is there and not empty; does not see what is in it
    header     it begins and ends as an image; does not see damage in between
    checksum   its bytes are those of a manifest, which must name it (the demo data bring theirs)
    decode     it can be decoded whole; does not see that it is another picture

Where a manifest is given, header and decode compare the checksums of the images that it names, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from babycli.data.checksums import Digests
from babycli.data.images import ImageError, ImageStore, check_header, decode, open_archive, open_store
from babycli.data.labels import Labels, read_labels
from babycli.data.manifest import Edition, Link, Manifest, demo_image_digests
from babycli.data.problems import Problem, ProblemKind
from babycli.data.root import DatasetRoot
from babycli.data.zips import is_zip
from babycli.domain import Row
from babycli.errors import DataError

Depth = Literal["names", "header", "checksum", "decode"]
DEPTHS: tuple[Depth, ...] = ("names", "header", "checksum", "decode")

# (task name, rows) -> what is wrong with each malformed trial; the tasks know what makes a trial
StructureCheck = Callable[[str, Sequence[Row]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class LinkSummary:
    link: Link
    target: Path
    n_images: int
    n_sound: int
    n_listed: int  # images that a checksum was given for


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """What verify found about one task."""

    task: str
    edition: Edition | None
    n_rows: int
    links: tuple[LinkSummary, ...]
    problems: tuple[Problem, ...]
    images_checked: bool  # not done while the label file is in doubt


def open_link(root: DatasetRoot, link: Link, names: Sequence[str]) -> ImageStore:
    """The images behind a link that has no link_problem; the names decide which folder of a zip is meant."""
    return open_store(root.path / link.path, names)


def link_problem(root: DatasetRoot, task: str, link: Link) -> Problem | None:
    """Why nothing can be read through a link; None when something can."""
    state = root.link_state(link.path)
    place = root.path / link.path
    if state == "missing":
        return Problem(task, ProblemKind.LINK_MISSING, str(place), "no images are linked there yet")
    if state == "broken":
        return Problem(
            task,
            ProblemKind.LINK_BROKEN,
            str(place),
            f"it points to {root.link_target(link.path)}, which is gone",
        )
    if place.is_dir():
        return None
    if not is_zip(place):
        return Problem(task, ProblemKind.LINK_BROKEN, str(place), "it leads neither to a folder nor to a whole zip")
    try:
        open_archive(place)
    except DataError as error:
        return Problem(task, ProblemKind.LINK_BROKEN, str(place), error.message)
    return None


def checked_labels(root: DatasetRoot, manifest: Manifest, structure: StructureCheck) -> Labels:
    """A task's labels with the problems of its trials added to those of its file."""
    labels = read_labels(root.path / manifest.label_path, manifest)
    malformed = [
        Problem(manifest.task, ProblemKind.TRIAL, str(labels.path), detail)
        for detail in (structure(manifest.task, labels.rows) if labels.rows else ())
    ]
    return replace(labels, problems=(*labels.problems, *malformed))


def verify_task(
    root: DatasetRoot,
    manifest: Manifest,
    structure: StructureCheck,
    depth: Depth,
    digests: Digests | None,
    progress: Callable[[int], None],
) -> TaskSummary:
    """Checks one task to a depth. ``digests`` maps image names to SHA-256; ``progress`` gets counts of images."""
    labels = checked_labels(root, manifest, structure)
    problems = list(labels.problems)
    summaries = []
    trusted = not labels.problems
    for link in manifest.links:
        names = labels.image_names(link) if trusted else []
        broken = link_problem(root, manifest.task, link)
        if broken is not None:
            problems.append(broken)
            summaries.append(LinkSummary(link, root.path / link.path, len(names), 0, 0))
            continue
        before = len(problems)
        expected = _expected(digests, labels.edition, link)
        if trusted and depth == "checksum" and expected is None:
            raise DataError(
                "checksums of SAYCam images are not published, so there is nothing to compare with",
                "give your own:  babycli data verify --depth checksum --manifest FILE  (as sha256sum writes it)",
            )
        problems += _image_problems(manifest.task, open_link(root, link, names), names, depth, expected, progress)
        n_sound = len(names) - (len(problems) - before)
        n_listed = sum(bool(expected.of(name)) for name in names) if expected else 0
        summaries.append(LinkSummary(link, root.link_target(link.path), len(names), n_sound, n_listed))
    return TaskSummary(
        manifest.task, labels.edition, len(labels.rows), tuple(summaries), tuple(sorted(problems)), trusted
    )


def _expected(digests: Digests | None, edition: Edition | None, link: Link) -> Digests | None:
    """The checksums for a link; the demo's own where the user gives none."""
    if digests is not None or edition != "demo":
        return digests
    prefix = f"{link.source}/"
    return Digests({k.removeprefix(prefix): v for k, v in demo_image_digests().items() if k.startswith(prefix)})


def _image_problems(
    task: str,
    store: ImageStore,
    names: Sequence[str],
    depth: Depth,
    expected: Digests | None,
    progress: Callable[[int], None],
) -> Iterator[Problem]:
    for name in names:
        progress(1)
        try:
            _check(store, name, depth, expected)
        except ImageError as problem:
            yield Problem(task, problem.kind, problem.path, problem.detail)


def _check(store: ImageStore, name: str, depth: Depth, expected: Digests | None) -> None:
    if depth == "names":
        problem = store.problem(name)
        if problem is not None:
            raise problem
        return
    content = store.read(name)
    place = store.place(name)
    if depth == "decode":
        decode(content, place)
    check_header(content, place)
    if expected is None:
        return
    digest, wanted = hashlib.sha256(content).hexdigest(), expected.of(name)
    if not wanted and depth == "checksum":
        raise ImageError(ProblemKind.CHECKSUM, place, "the manifest does not name it")
    if wanted and digest not in wanted:
        raise ImageError(ProblemKind.CHECKSUM, place, f"SHA-256 is {digest[:16]}…, should be {min(wanted)[:16]}…")
