"""From the folders or zips a user gives to links in the dataset folder: look, count, read, and only then link.

Owns finding the place that holds the named images, and what the lock says of them. Never changes an image, never
follows a name out of the folder that was given.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from babycli.data.copying import assembling, lacking, put_images
from babycli.data.hashing import hash_each
from babycli.data.images import ImageError, ImageStore, is_folder, n_probes_found, open_archive, open_store
from babycli.data.labels import Labels
from babycli.data.lock import Lock, LockedLink, lock_path, read_lock
from babycli.data.manifest import SOURCE_TITLES, Link, Source
from babycli.data.problems import ProblemKind
from babycli.data.root import DatasetRoot
from babycli.data.zips import is_zip
from babycli.errors import DataError, UsageError
from babycli.files import locked, written_aside
from babycli.wording import LinkMode

_NO_IMAGES = {ProblemKind.EMPTY, ProblemKind.NOT_AN_IMAGE, ProblemKind.TRUNCATED, ProblemKind.UNDECODABLE}
_IMAGES = "images"  # in the dataset folder: where images are put that are not merely linked
_OWN_FOLDER = re.compile(r"\.?(?:saycam|labeled_s|synthetic)-[0-9a-f]{12}(?:\.babycli-partial)?")


@dataclass(frozen=True, slots=True)
class Found:
    """The best folder or zip for a link, which of its names are no images there, and the bytes of those that are."""

    folder: Path
    names: tuple[str, ...]  # those that are looked for
    missing: tuple[str, ...]  # those that are not there as whole images
    why: Mapping[str, ImageError]  # of those that are missing: what is wrong
    store: ImageStore
    sha256: Mapping[str, str]  # of every image that is there; empty until they are read

    @property
    def broken(self) -> tuple[str, ...]:
        """Those of the missing that are there, and are no whole images."""
        return tuple(name for name in self.missing if self.why[name].kind in _NO_IMAGES)

    @property
    def n_names(self) -> int:
        return len(self.names)

    @property
    def n_found(self) -> int:
        return len(self.names) - len(self.missing)


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


@dataclass(frozen=True, slots=True)
class LinkChoices:
    """How links are made."""

    allow_missing: bool
    mode: LinkMode
    relative: bool  # a symlink says the way from its folder, not from the root


@dataclass(frozen=True, slots=True)
class Linked:
    """What link_images() did."""

    reports: tuple[LinkReport, ...]
    unused: tuple[Path, ...]  # folders of images that an earlier link made and no link leads to
    changed: tuple[str, ...]  # images that had other bytes when they were linked before


def check_source(given: Path, index_folder: Path | None = None) -> None:
    """Raises DataError where a path is neither a folder nor a zip that can be read."""
    if not os.path.exists(given):  # unlike Path.exists, false for a name that is too long
        if os.path.islink(given):
            raise DataError(f"{given} is a link that leads nowhere: {os.readlink(given)}", "check the path")
        raise DataError(f"there is no folder {given}", "check the path")
    if given.is_dir():
        return
    if not is_zip(given):
        raise DataError(
            f"{given} is neither a folder of images nor a zip",
            "check the path; if it should be a zip (Databrary's frames.txt is one), it was cut off: download it again",
        )
    open_archive(given, index_folder)


def candidates(given: Path, index_folder: Path | None = None) -> list[Path]:
    """The zip, or the folder itself and those directly in it, sorted. Raises DataError where it is neither."""
    check_source(given, index_folder)
    if given.is_file():
        return [given]
    try:
        with os.scandir(given) as entries:  # 600,285 frames: no stat for each
            inside = sorted(e.name for e in entries if not e.name.startswith(".") and is_folder(e))
    except OSError as error:
        raise DataError(f"cannot read the folder {given}: {error.strerror}") from error
    return [given, *(given / name for name in inside)]


def find_images(places: Sequence[Path], names: Sequence[str], index_folder: Path) -> Found:
    """The place where most of the names are files. The first of equals; ``names`` must not be empty."""
    stores = {place: open_store(place, names, index_folder) for place in places}
    best = max(places, key=lambda place: n_probes_found(stores[place], names))
    store = stores[best]
    why = {name: problem for name in names if (problem := store.problem(name)) is not None}
    return Found(best, tuple(names), tuple(why), why, store, {})


def link_images(
    root: DatasetRoot,
    labels: Sequence[Labels],
    given: Mapping[Source, Path],
    choices: LinkChoices,
    progress: Callable[[int], None],
) -> Linked:
    """Checks every link of every task against the given folders and zips, then sets those links that may be set.

    Labeled-S images are looked for in the SAYCam folder when none is given for them. A task of which a given
    folder lacks images gets no link at all, unless ``allow_missing``; an image that cannot be read, is cut off or is
    none at all is lacking. Then the lock is written. ``progress`` gets counts of images read. Raises DataError for a
    folder that is none or in which nothing is found.
    """
    with locked(root.path):
        earlier = read_lock(root)
        folders = {source: candidates(path, root.index_folder) for source, path in given.items()}
        # All is looked up before anything is linked: a wrong folder for one task leaves the others as they were.
        found = {link.path: _find(root, link, each, folders) for each in labels for link in each.manifest.links}
        for path in found:
            root.check_place(path)
        found = _read(found, progress)
        actions: dict[str, LinkAction] = {}
        for of_task in labels:
            links = of_task.manifest.links
            is_lacking = any((each := found[link.path]) is not None and each.missing for link in links)
            for link in links:
                actions[link.path] = _action(root, link, found[link.path], is_lacking and not choices.allow_missing)
        to_set = {
            link.path: (link, each)
            for of_task in labels
            for link in of_task.manifest.links
            if actions[link.path] == "linked" and (each := found[link.path]) is not None
        }
        texts = _texts(root, to_set, choices, progress)
        reports = []
        for of_task in labels:
            for link in of_task.manifest.links:
                action, each = actions[link.path], found[link.path]
                if action == "linked" and root.link_text(link.path) == texts[link.path]:
                    action = "unchanged"
                was_given = link.source in folders or (each is not None and action != "kept")
                reports.append(LinkReport(of_task.manifest.task, link, action, each, was_given))
        lock = _lock(root, reports, texts, earlier)
        with written_aside(lock_path(root), lock.content) as put_lock_in_place:
            root.set_links({path: text for path, text in texts.items() if root.link_text(path) != text})
            if lock != earlier:
                put_lock_in_place()
        changed = tuple(
            f"{path}/{name}"
            for path, now in lock.links.items()
            if path in earlier.links
            for name, digest in now.sha256.items()
            if earlier.links[path].sha256.get(name, digest) != digest
        )
        return Linked(tuple(reports), _unused(root), changed)


def _find(root: DatasetRoot, link: Link, labels: Labels, folders: Mapping[Source, list[Path]]) -> Found | None:
    names = labels.image_names(link)
    if root.link_state(link.path) == "folder":
        return find_images([root.path / link.path], names, root.index_folder)  # it stays, so it is what counts
    if link.source in folders:
        found = find_images(folders[link.source], names, root.index_folder)
        if not found.n_found:
            given = folders[link.source][0]
            raise DataError(
                f"{given} does not hold the {SOURCE_TITLES[link.source]}: none of {len(names)} names was found in it "
                f"or in the folders directly in it, for instance {names[0]}",
                "check the path",
            )
        return found
    if link.source == "labeled_s" and "saycam" in folders:
        found = find_images(folders["saycam"], names, root.index_folder)
        return found if found.n_found else None
    return None


def _read(found: Mapping[str, Found | None], progress: Callable[[int], None]) -> dict[str, Found | None]:
    """Reads the images behind all links, each once. One that cannot be read or is no whole image is missing."""
    there = {path: each for path, each in found.items() if each is not None}
    wanted = {path: (each.store, sorted(set(each.names).difference(each.missing))) for path, each in there.items()}
    digests = hash_each(wanted, progress, checks=True)
    read: dict[str, Found | None] = dict.fromkeys(found)
    for path, each in there.items():
        sha256 = {name: digest for name, digest in digests[path].items() if isinstance(digest, str)}
        found_now = {name: error for name, error in digests[path].items() if isinstance(error, ImageError)}
        missing = tuple(name for name in each.names if name not in sha256)
        read[path] = replace(each, missing=missing, why={**each.why, **found_now}, sha256=sha256)
    return read


def _action(root: DatasetRoot, link: Link, found: Found | None, is_held_back: bool) -> LinkAction:
    if root.link_state(link.path) == "folder":
        return "kept"
    if found is None:
        return "unchanged" if root.link_state(link.path) == "link" else "wanted"
    if is_held_back:
        return "incomplete" if found.missing else "withheld"
    return "linked"


def _texts(
    root: DatasetRoot, to_set: Mapping[str, tuple[Link, Found]], choices: LinkChoices, progress: Callable[[int], None]
) -> dict[str, str]:
    """What each link must say. In the modes that are no symlinks, its images are put into the dataset folder first."""
    if choices.mode == LinkMode.SYMLINK:
        return {path: _text(root, path, found, choices.relative) for path, (_, found) in to_set.items()}
    of_source: dict[tuple[Source, str], list[str]] = {}
    for path, (link, found) in to_set.items():
        if choices.mode != LinkMode.COPY and found.folder.is_file():
            raise UsageError(f"--mode {choices.mode} is for folders, and {found.folder} is a zip", "use --mode copy")
        of_source.setdefault((link.source, found.store.identity), []).append(path)
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
                if choices.mode != LinkMode.COPY:  # what a copy has done, the next one need not do again
                    assembly.begin(())
                raise
            assembly.finish(sorted(left))
        texts |= {path: root.link_text_to(path, folder, relative=True) for path in paths}
    return texts


def _text(root: DatasetRoot, path: str, found: Found, relative: bool) -> str:
    if not relative and root.leads_to(path, found.folder):
        return root.link_text(path)  # by another way, but there
    return root.link_text_to(path, found.folder, relative)


def _own_folder(root: DatasetRoot, source: Source, mode: LinkMode, sha256: Mapping[str, str]) -> Path:
    """Named after what is in it, so that another set of images never takes the place of one that is in use."""
    listing = f"{mode}\n" + "".join(f"{name}\0{digest}\n" for name, digest in sorted(sha256.items()))
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    return root.path / _IMAGES / f"{source}-{digest[:12]}"


def _lock(root: DatasetRoot, reports: Sequence[LinkReport], texts: Mapping[str, str], earlier: Lock) -> Lock:
    """What is known of every link now. A link that was left alone keeps what was recorded of it."""
    n_files: dict[str, int] = {}
    links = {}
    for report in reports:
        path, found = report.link.path, report.found
        if found is not None and (path in texts or report.action == "kept"):
            identity = found.store.identity
            if identity not in n_files:
                n_files[identity] = len(found.store.scan()[0])
            links[path] = LockedLink(texts.get(path, ""), identity, n_files[identity], found.sha256)
        elif path in earlier.links and earlier.links[path].target == root.link_text(path):
            links[path] = earlier.links[path]
    return Lock(links)


def _unused(root: DatasetRoot) -> tuple[Path, ...]:
    """They are not removed: the images in them may be the only ones."""
    links = [place for place in root.path.glob("*/*") if place.is_symlink()]
    used = {os.path.realpath(place) for place in links}
    own = [folder for folder in root.path.glob(f"{_IMAGES}/*") if _OWN_FOLDER.fullmatch(folder.name)]
    return tuple(sorted(folder for folder in own if os.path.realpath(folder) not in used))
