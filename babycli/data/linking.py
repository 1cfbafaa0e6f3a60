"""Linking the folders or zips that a user gives into the dataset folder: find, count and read images, then link.

Owns which links are set, and what the lock records of the images behind them. Never changes an image.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from babycli.data.copying import assembling, lacking, put_images
from babycli.data.finding import Found, candidates, find_images
from babycli.data.hashing import hash_each
from babycli.data.images import ImageError
from babycli.data.labels import Labels
from babycli.data.lock import Lock, LockedLabels, LockedLink, lock_path, read_lock
from babycli.data.manifest import LabelledTask, Link, full_name, links_of
from babycli.data.problems import ProblemKind
from babycli.data.root import DatasetRoot
from babycli.data.sources import all_sources, source_named
from babycli.errors import DataError, UsageError
from babycli.files import (
    explained,
    keep_old,
    locked,
    read_file,
    write_atomically,
    written_aside,
)
from babycli.wording import LinkMode, all_of

_IMAGES = "images"  # in the dataset folder: where images are put that are not merely linked


LinkAction = Literal["linked", "unchanged", "incomplete", "wanted", "kept", "withheld"]


@dataclass(frozen=True, slots=True)
class LinkReport:
    """The result for one link of a task.

    linked, unchanged   it points to ``found.folder``
    incomplete          images are missing there, so nothing was linked
    withheld            its own images are all there, but another link of its task is incomplete
    kept                a real folder is in its place, and was not touched
    wanted              no folder was given for it
    """

    task: str
    link: Link
    action: LinkAction
    found: Found | None
    was_given: bool  # the user named a folder in which its images are looked for

    @property
    def is_complete(self) -> bool:
        return self.found is not None and not self.found.missing


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label file that comes with its images: it is put in its place when they are linked."""

    labels: Labels
    content: bytes
    record: LockedLabels


@dataclass(frozen=True, slots=True)
class LinkChoices:
    """How links are made."""

    allow_missing: bool
    mode: LinkMode
    relative: bool  # a symlink holds the path from its own folder, not an absolute one


@dataclass(frozen=True, slots=True)
class Linked:
    """The result of link_images()."""

    reports: tuple[LinkReport, ...]
    unused: tuple[Path, ...]  # folders of images that an earlier command made and no link leads to now
    changed: tuple[str, ...]  # images that had other bytes when they were linked before


@dataclass(frozen=True, slots=True)
class _Asked:
    """A link with the names of all images that tasks read through it."""

    link: Link
    names: tuple[str, ...]


def link_images(
    root: DatasetRoot,
    labels: Sequence[Labels],
    given: Mapping[str, Path],
    choices: LinkChoices,
    progress: Callable[[int], None],
    label_files: Sequence[LabelFile] = (),
) -> Linked:
    """Checks every link of every task against the given folders and zips, then sets the links that may be set.

    A source that may lie inside another one is looked for there if no folder is given for it. A task that misses images
    in a given folder gets no link at all, except with ``allow_missing``, or for a link with which another task is
    complete; an image that cannot be read, is cut off or is no image counts as missing. Of ``label_files``, which are
    of tasks in ``labels``, those of complete tasks are written, with ``allow_missing`` all. Then the lock is written.
    ``progress`` gets counts of images read. Raises DataError for a path that is no folder or zip, and for a folder in
    which no image is found.
    """
    with locked(root.path, makes=bool(label_files)):
        earlier = read_lock(root)
        folders = {source: candidates(path, root.index_folder) for source, path in given.items()}
        asked = _all_asked(labels)
        # All images are looked up before anything is linked, so a wrong folder for one task leaves the others alone.
        places = {path: _best_place(root, at, folders, asked.values()) for path, at in asked.items()}
        for path in places:
            root.check_place(path)
        places = _read_images(places, progress)
        reports = _reports(root, labels, places, folders, choices)
        settable = {report.link.path for report in reports if report.action == "linked"}
        to_set = {
            path: (asked[path].link, there) for path, there in places.items() if path in settable and there is not None
        }
        texts = _link_texts(root, to_set, choices, progress)
        as_before = {path for path, text in texts.items() if root.link_text(path) == text}
        complete = {report.task for report in reports if report.is_complete or choices.allow_missing}
        to_write = [file for file in label_files if full_name(file.labels.task) in complete]
        recorded = {**earlier.labels, **{file.labels.task.label_path: file.record for file in to_write}}
        lock = _new_lock(root, places, texts, earlier, recorded)
        with written_aside(lock_path(root), lock.content) as put_lock_in_place:
            for file in to_write:
                _put_labels(root.path / file.labels.task.label_path, file.content)
            root.set_links({path: text for path, text in texts.items() if path not in as_before})
            if lock != earlier:
                put_lock_in_place()
        changed = tuple(
            f"{path}/{name}"
            for path, now in lock.links.items()
            if path in earlier.links
            for name, digest in now.sha256.items()
            if earlier.links[path].sha256.get(name, digest) != digest
        )
        reports = [
            replace(report, action="unchanged") if report.link.path in as_before else report for report in reports
        ]
        return Linked(tuple(reports), _unused(root, {*lock.links, *asked}, asked.values()), changed)


def tasks_that_would_lose(
    root: DatasetRoot, tasks: Iterable[LabelledTask], files: Sequence[LabelFile], images: Path
) -> list[str]:
    """Names the tasks whose label files are not among ``files`` and whose pictures lie behind a link that would move.

    The link is that of the files; it is to lead to ``images``.
    """
    new = {file.labels.task.label_path for file in files}
    links = {path for file in files for path in file.labels.task.links.values()}
    if not any(root.link_state(path) == "link" and not root.leads_to(path, images) for path in links):
        return []
    return [task.name for task in tasks if task.label_path not in new and (root.path / task.label_path).exists()]


def _all_asked(labels: Sequence[Labels]) -> dict[str, _Asked]:
    """Gathers the names that tasks read through each link, by the link's path."""
    links = {link.path: link for of_task in labels for link in links_of(of_task.task)}
    names = {path: sorted({name for of_task in labels for name in of_task.image_names(path)}) for path in links}
    return {path: _Asked(link, tuple(names[path])) for path, link in links.items()}


def _reports(
    root: DatasetRoot,
    labels: Sequence[Labels],
    places: Mapping[str, Found | None],
    folders: Mapping[str, list[Path]],
    choices: LinkChoices,
) -> list[LinkReport]:
    """Decides the action for the links of each task. A link of several tasks may be set if one of them is complete."""
    views: list[tuple[str, Link, Found | None]] = []
    allowed: set[str] = set()
    for of_task in labels:
        own = [(link, _view(places[link.path], of_task, link)) for link in links_of(of_task.task)]
        views += [(full_name(of_task.task), link, view) for link, view in own]
        if choices.allow_missing or not any(view.missing for _, view in own if view is not None):
            allowed.update(link.path for link, _ in own)
    reports = []
    for task, link, view in views:
        action = _action(root, link, view, link.path not in allowed)
        was_given = link.source in folders or (view is not None and action != "kept")
        reports.append(LinkReport(task, link, action, view, was_given))
    return reports


def _view(place: Found | None, labels: Labels, link: Link) -> Found | None:
    return place.of_names(labels.image_names(link.path)) if place is not None else None


def _best_place(
    root: DatasetRoot, asked: _Asked, folders: Mapping[str, list[Path]], every: Iterable[_Asked]
) -> Found | None:
    """Finds the place of a link's images among the folders given; ``every`` link tells what else they may hold."""
    link, names = asked.link, asked.names
    if root.link_state(link.path) == "folder":
        return find_images([root.path / link.path], names, root.index_folder)  # it stays, so its images count
    source = source_named(link.source)
    if link.source in folders:
        best = find_images(folders[link.source], names, root.index_folder)
        if not best.n_found:
            given = folders[link.source][0]
            there = [problem for problem in best.why.values() if problem.kind != ProblemKind.MISSING]
            if there:
                why = there[0]
                raise DataError(
                    f"{given}: none of {len(names)} {source.title} can be read: {why.path}: {why.detail or why.kind}",
                    "unpack it with another program, and give the folder" if given.is_file() else "check the path",
                )
            if others := _other_kinds(root, folders[link.source], link.source, every):
                held = all_of(source_named(other).title for other in others)
                words = " ".join(source_named(n).link_words_of(shlex.quote(str(at))) for n, at in others.items())
                raise DataError(
                    f"{given} holds {held}, and none of {len(names)} {source.title}",
                    f"give it as what it is:  babycli data link {words}{root.words}",
                )
            raise DataError(
                f"{given} does not hold the {source.title}: none of {len(names)} names was found in it "
                f"or in the folders directly in it, for instance {names[0]}",
                "check the path",
            )
        return best
    if source.inside in folders:
        best = find_images(folders[source.inside], names, root.index_folder)
        return best if best.n_found else None
    return None


def _other_kinds(root: DatasetRoot, places: Sequence[Path], wanted: str, every: Iterable[_Asked]) -> dict[str, Path]:
    """Gives the other sources whose images lie where those of the wanted one do not, each with its place."""
    found: dict[str, Path] = {}
    for link, names in ((asked.link, asked.names) for asked in every):
        if link.source != wanted and link.source not in found and names:
            best = find_images(places, names, root.index_folder)
            found |= {link.source: best.folder} if best.n_found else {}
    return found


def _read_images(behind: Mapping[str, Found | None], progress: Callable[[int], None]) -> dict[str, Found | None]:
    """Reads the images behind all links, each once. One that cannot be read or is no whole image is missing."""
    there = {path: place for path, place in behind.items() if place is not None}
    wanted = {path: (place.store, sorted(set(place.names).difference(place.missing))) for path, place in there.items()}
    digests = hash_each(wanted, progress, checks=True)
    read: dict[str, Found | None] = dict.fromkeys(behind)
    for path, place in there.items():
        sha256 = {name: digest for name, digest in digests[path].items() if isinstance(digest, str)}
        unreadable = {name: error for name, error in digests[path].items() if isinstance(error, ImageError)}
        missing = tuple(name for name in place.names if name not in sha256)
        read[path] = replace(place, missing=missing, why={**place.why, **unreadable}, sha256=sha256)
    return read


def _action(root: DatasetRoot, link: Link, place: Found | None, is_held_back: bool) -> LinkAction:
    if root.link_state(link.path) == "folder":
        return "kept"
    if place is None:
        return "unchanged" if root.link_state(link.path) == "link" else "wanted"
    if is_held_back:
        return "incomplete" if place.missing else "withheld"
    return "linked"


def _link_texts(
    root: DatasetRoot, to_set: Mapping[str, tuple[Link, Found]], choices: LinkChoices, progress: Callable[[int], None]
) -> dict[str, str]:
    """Gives the text of each link: the path it leads to. Modes but symlink put images into the dataset folder first."""
    if choices.mode == LinkMode.SYMLINK:
        return {path: _link_text(root, path, place, choices.relative) for path, (_, place) in to_set.items()}
    of_source: dict[tuple[str, str], list[str]] = {}
    for path, (link, place) in to_set.items():
        if choices.mode != LinkMode.COPY and place.folder.is_file():
            raise UsageError(f"--mode {choices.mode} is for folders, and {place.folder} is a zip", "use --mode copy")
        of_source.setdefault((link.source, place.store.identity), []).append(path)
    texts: dict[str, str] = {}
    for (source, _), paths in of_source.items():
        sha256 = {name: digest for path in paths for name, digest in to_set[path][1].sha256.items()}
        folder = _own_folder(root, source, choices.mode, sha256)
        with assembling(folder) as assembly:
            left = lacking(assembly.folder, sha256)
            assembly.begin(left)
            progress(len(sha256) - len(left))
            try:
                put_images(to_set[paths[0]][1].store, left, assembly.staging, choices.mode, progress)
            except DataError:
                if choices.mode != LinkMode.COPY:  # copies that are made stay, for the next try
                    assembly.begin(())
                raise
            assembly.finish(sorted(left))
        texts |= {path: root.link_text_to(path, folder, relative=True) for path in paths}
    return texts


def _link_text(root: DatasetRoot, path: str, place: Found, relative: bool) -> str:
    if not relative and root.leads_to(path, place.folder):
        return root.link_text(path)  # written differently, but it leads there
    return root.link_text_to(path, place.folder, relative)


def _own_folder(root: DatasetRoot, source: str, mode: LinkMode, sha256: Mapping[str, str]) -> Path:
    """Gives a folder named after what is in it, so that no other images ever take the place of those in use."""
    listing = f"{mode}\n" + "".join(f"{name}\0{digest}\n" for name, digest in sorted(sha256.items()))
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    return root.path / _IMAGES / f"{source}-{digest[:12]}"


def _put_labels(place: Path, content: bytes) -> None:
    """Writes a label file; another one that was there is kept beside it."""
    with explained(place):
        is_same = place.is_file() and read_file(place) == content
    if not is_same:
        keep_old(place)
        write_atomically(place, content)


def _new_lock(
    root: DatasetRoot,
    behind: Mapping[str, Found | None],
    texts: Mapping[str, str],
    earlier: Lock,
    labels: Mapping[str, LockedLabels],
) -> Lock:
    """Records the images behind every link now. A link that was not touched keeps its earlier record."""
    n_files: dict[str, int] = {}
    links = {}
    for path in [*behind, *(path for path in earlier.links if path not in behind)]:
        place, before = behind.get(path), earlier.links.get(path)
        if place is not None and (path in texts or root.link_state(path) == "folder"):
            identity = place.store.identity
            if identity not in n_files:
                n_files[identity] = len(place.store.scan()[0])
            sha256 = {**_recorded_besides(before, texts.get(path, ""), place), **place.sha256}
            links[path] = LockedLink(texts.get(path, ""), identity, n_files[identity], sha256)
        elif before is not None and before.target == root.link_text(path):
            links[path] = before
    return Lock(links, labels)


def _recorded_besides(before: LockedLink | None, text: str, place: Found) -> dict[str, str]:
    """Gives the earlier record of other images behind the same link, which tasks that are not linked now may read."""
    if before is None or before.target != text or before.source != place.store.identity:
        return {}
    names = set(place.names)
    return {name: digest for name, digest in before.sha256.items() if name not in names}


def _unused(root: DatasetRoot, known: Iterable[str], asked: Iterable[_Asked]) -> tuple[Path, ...]:
    """Lists folders of images that no link leads to. They are not removed: their images may be the only ones."""
    links = [place for place in (*root.path.glob("*/*"), *(root.path / path for path in known)) if place.is_symlink()]
    used = {os.path.realpath(place) for place in links}
    sources = {*all_sources(), *(at.link.source for at in asked)}
    own_folder = re.compile(rf"\.?(?:{'|'.join(sorted(sources))})-[0-9a-f]{{12}}(?:\.babycli-partial)?")
    own = [folder for folder in root.path.glob(f"{_IMAGES}/*") if own_folder.fullmatch(folder.name)]
    return tuple(sorted(folder for folder in own if os.path.realpath(folder) not in used))
