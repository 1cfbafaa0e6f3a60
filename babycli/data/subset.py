"""A dataset of its own with just the images that tasks read, for a cluster.

Owns what is in it. How files get there is copying.py's.

    DEST/labeled_s/labeled_s.csv …         the label files
    DEST/saycam_images/ …                  the images, one folder for each source
    DEST/vtwt/images -> ../saycam_images   links, relative: the folder may be moved
    DEST/babycli.lock                      their digests, for verify and eval
    DEST/manifest-sha256.txt               the same for `sha256sum -c`, run there
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.data.checksums import checksum_text
from babycli.data.copying import copy_images, drop_strangers, held, move_into_place, staging_of
from babycli.data.hashing import hash_files
from babycli.data.images import ImageError, ImageStore
from babycli.data.labels import Labels
from babycli.data.lock import LOCK_NAME, Lock, LockedLink, lock_path, read_lock
from babycli.data.manifest import Link, Source
from babycli.data.problems import Problem, ProblemKind, raise_for
from babycli.data.root import DatasetRoot, write_atomically
from babycli.data.verify import link_problem, open_link
from babycli.errors import DataError

MANIFEST_NAME = "manifest-sha256.txt"


@dataclass(frozen=True, slots=True)
class _Part:
    """The images that one link leads to."""

    task: str
    link: Link
    store: ImageStore
    sha256: Mapping[str, str]


def make_subset(
    root: DatasetRoot, all_labels: Sequence[Labels], folder: Path, progress: Callable[[int], None]
) -> int | None:
    """Copies what the tasks read into a folder that is absent or empty; the number of images, None if all was there.

    The folder appears whole, from a staging folder beside it that the next run completes. A subset that is there is
    checked and mended. ``progress`` gets counts of images, each read once and written once. Raises DataError or
    ChecksumError where an image cannot be had or is not the one that was linked, DataError for a folder in use.
    """
    parts = [_read(root, labels, link, progress) for labels in all_labels for link in labels.manifest.links]
    of_sources = _by_source(parts)
    listing = checksum_text(dict(sorted(_listing(of_sources).items())))
    if os.path.lexists(folder) and not folder.is_dir():
        raise DataError(f"{folder} is no folder", "name another")
    if folder.is_dir() and any(folder.iterdir()):
        if not _is_subset(folder, listing):
            raise DataError(f"{folder} is not empty, and is no subset of these images", "name another folder")
        _fill(folder, parts, all_labels, listing, progress)
        return None
    staging = staging_of(folder)
    with held(staging):
        _fill(staging, parts, all_labels, listing, progress)
        drop_strangers(staging, _all_names(parts, all_labels, of_sources))
        move_into_place(staging, folder)
    return sum(len(sha256) for sha256 in of_sources.values())


def _read(root: DatasetRoot, labels: Labels, link: Link, progress: Callable[[int], None]) -> _Part:
    task = labels.manifest.task
    mend = f"babycli data link SAYCAM-FOLDER{root.words}   (or choose other tasks than {task} with --tasks)"
    broken = link_problem(root, task, link)
    raise_for([broken] if broken is not None else [], mend)
    names = labels.image_names(link)
    store = open_link(root, link, names)
    locked = read_lock(root).links.get(link.path)
    sha256, problems = {}, []
    for name, digest in hash_files(store, names, progress):
        if isinstance(digest, ImageError):
            problems.append(Problem(task, digest.kind, digest.path, digest.detail))
            continue
        recorded = locked.sha256.get(name, digest) if locked is not None else digest
        if digest != recorded:
            detail = f"its digest is {digest[:16]}…, was {recorded[:16]}… when it was linked"
            problems.append(Problem(task, ProblemKind.CHECKSUM, store.place(name), detail))
        else:
            sha256[name] = digest
    raise_for(sorted(problems), f"babycli data verify{root.words}   shows all of them")
    return _Part(task, link, store, sha256)


def _by_source(parts: Sequence[_Part]) -> dict[Source, dict[str, str]]:
    found: dict[Source, dict[str, str]] = {}
    for part in parts:
        of_source = found.setdefault(part.link.source, {})
        for name, digest in part.sha256.items():
            if of_source.setdefault(name, digest) != digest:
                raise DataError(
                    f"{part.store.place(name)} has other bytes than the file of that name behind another link",
                    "link all tasks to one folder of each kind:  babycli data link",
                )
    return found


def _folder_of(source: Source) -> str:
    return f"{source}_images"


def _listing(of_sources: Mapping[Source, Mapping[str, str]]) -> dict[str, str]:
    return {
        f"{_folder_of(source)}/{name}": digest
        for source, sha256 in of_sources.items()
        for name, digest in sha256.items()
    }


def _all_names(
    parts: Sequence[_Part], all_labels: Sequence[Labels], of_sources: Mapping[Source, Mapping[str, str]]
) -> set[str]:
    label_paths = [labels.manifest.label_path for labels in all_labels]
    return {*_listing(of_sources), *label_paths, *(part.link.path for part in parts), LOCK_NAME, MANIFEST_NAME}


def _is_subset(folder: Path, listing: bytes) -> bool:
    place = folder / MANIFEST_NAME
    return place.is_file() and place.read_bytes() == listing


def _fill(
    folder: Path, parts: Sequence[_Part], all_labels: Sequence[Labels], listing: bytes, progress: Callable[[int], None]
) -> None:
    root = DatasetRoot(folder)
    for labels in all_labels:
        write_atomically(folder / labels.manifest.label_path, labels.path.read_bytes())
    written: dict[Source, set[str]] = {}
    links, texts = {}, {}
    for part in parts:
        images = folder / _folder_of(part.link.source)
        there = written.setdefault(part.link.source, set())
        new = {name: digest for name, digest in part.sha256.items() if name not in there}
        copy_images(part.store, new, images, "copy", progress)
        there.update(new)
        texts[part.link.path] = root.link_text_to(part.link.path, images, relative=True)
    for part in parts:
        n_files = len(written[part.link.source])
        links[part.link.path] = LockedLink(texts[part.link.path], _folder_of(part.link.source), n_files, part.sha256)
    root.set_links({path: text for path, text in texts.items() if root.link_text(path) != text})
    write_atomically(lock_path(root), Lock(links).content)
    write_atomically(folder / MANIFEST_NAME, listing)
