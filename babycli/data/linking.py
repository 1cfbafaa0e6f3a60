"""From the folders or zips a user gives to links in the dataset folder: look, count, and only then link.

Owns finding the place that holds the named images. Never copies or changes an image, never follows a name out
of the folder that was given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babycli.data.images import n_probes_found, open_archive, open_store
from babycli.data.labels import Labels
from babycli.data.manifest import SOURCE_TITLES, Link, Source
from babycli.data.root import DatasetRoot
from babycli.data.zips import is_zip
from babycli.errors import DataError


@dataclass(frozen=True, slots=True)
class Found:
    """The best folder or zip for a link, and which of its names are not there."""

    folder: Path
    n_names: int
    missing: tuple[str, ...]

    @property
    def n_found(self) -> int:
        return self.n_names - len(self.missing)


LinkAction = Literal["linked", "unchanged", "incomplete", "wanted", "kept", "withheld"]


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What became of one link.

    linked, unchanged   it points to ``found.folder``
    incomplete          images are missing there, so nothing was linked
    withheld            its own images are all there, but another link of its task is incomplete
    kept                a real folder is in its place and was left alone
    wanted              no folder was given for it
    """

    task: str
    link: Link
    action: LinkAction
    found: Found | None
    was_given: bool  # a folder was named in which its images are looked for


def check_source(given: Path) -> None:
    """Raises DataError where a path is neither a folder nor a zip that can be read."""
    if not os.path.exists(given):  # unlike Path.exists, false for a name that is too long
        raise DataError(f"there is no folder {given}", "check the path")
    if given.is_dir():
        return
    if not is_zip(given):
        raise DataError(
            f"{given} is neither a folder of images nor a zip",
            "check the path; if it should be a zip (Databrary's frames.txt is one), it was cut off: download it again",
        )
    open_archive(given)


def candidates(given: Path) -> list[Path]:
    """The zip, or the folder itself and those directly in it, sorted. Raises DataError where it is neither."""
    check_source(given)
    if given.is_file():
        return [given]
    try:
        with os.scandir(given) as entries:  # 600,285 frames: no stat for each
            inside = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError as error:
        raise DataError(f"cannot read the folder {given}: {error.strerror}") from error
    return [given, *(given / name for name in inside)]


def find_images(places: Sequence[Path], names: Sequence[str]) -> Found:
    """The place where most of the names are files. The first of equals; ``names`` must not be empty."""
    stores = {place: open_store(place, names) for place in places}
    best = max(places, key=lambda place: n_probes_found(stores[place], names))
    store = stores[best]
    return Found(best, len(names), tuple(name for name in names if store.problem(name) is not None))


def link_images(
    root: DatasetRoot, labels: Sequence[Labels], given: Mapping[Source, Path], allow_missing: bool
) -> list[LinkReport]:
    """Checks every link of every task against the given folders and zips, then sets those links that may be set.

    Labeled-S images are looked for in the SAYCam folder when none is given for them. A task of which a given
    folder lacks images gets no link at all, unless ``allow_missing``. Raises DataError for a folder that is none or
    in which nothing is found.
    """
    folders = {source: candidates(path) for source, path in given.items()}
    # All is looked up before anything is linked: a wrong folder for one task leaves the others as they were.
    found = [[_find(root, link, of_task, folders) for link in of_task.manifest.links] for of_task in labels]
    for link in (link for of_task in labels for link in of_task.manifest.links):
        root.check_place(link.path)
    reports = []
    for of_task, of_links in zip(labels, found, strict=True):
        incomplete = any(f is not None and f.missing for f in of_links)
        for link, f in zip(of_task.manifest.links, of_links, strict=True):
            action = _set(root, link, f, incomplete, allow_missing)
            was_given = link.source in folders or (f is not None and action != "kept")
            reports.append(LinkReport(of_task.manifest.task, link, action, f, was_given))
    return reports


def _find(root: DatasetRoot, link: Link, labels: Labels, folders: Mapping[Source, list[Path]]) -> Found | None:
    names = labels.image_names(link)
    if root.link_state(link.path) == "folder":
        return find_images([root.path / link.path], names)  # it stays, so it is what counts
    if link.source in folders:
        found = find_images(folders[link.source], names)
        if not found.n_found:
            given = folders[link.source][0]
            raise DataError(
                f"{given} does not hold the {SOURCE_TITLES[link.source]}: none of {len(names)} names was found in it "
                f"or in the folders directly in it, for instance {names[0]}",
                "check the path",
            )
        return found
    if link.source == "labeled_s" and "saycam" in folders:
        found = find_images(folders["saycam"], names)
        return found if found.n_found else None
    return None


def _set(root: DatasetRoot, link: Link, found: Found | None, incomplete: bool, allow_missing: bool) -> LinkAction:
    if root.link_state(link.path) == "folder":
        return "kept"
    if found is None:
        return "unchanged" if root.link_state(link.path) == "link" else "wanted"
    if incomplete and not allow_missing:
        return "incomplete" if found.missing else "withheld"
    return "linked" if root.set_link(link.path, found.folder) else "unchanged"
