"""A subset of a dataset: a dataset folder with just the images that tasks read, for a cluster.

Owns what is in it. copying.py owns how files get there.

    DEST/labeled_s/labeled_s.csv …         the label files
    DEST/saycam_images/ …                  the images, one folder for each source
    DEST/vtwt/images -> ../saycam_images   links, relative: the folder may be moved
    DEST/babycli.lock                      their digests, for verify and eval
    DEST/manifest-sha256.txt               the same digests, for `sha256sum -c` in DEST
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from babycli.data.checksums import checksum_text
from babycli.data.copying import assembling, lacking, put_images
from babycli.data.hashing import hash_each
from babycli.data.images import ImageError, ImageStore
from babycli.data.labels import MAX_LABEL_BYTES, Labels
from babycli.data.lock import Lock, LockedLink, lock_problem, read_lock
from babycli.data.manifest import Link, full_name, links_of
from babycli.data.problems import Problem, raise_for
from babycli.data.root import LOCK_NAME, DatasetRoot
from babycli.data.verify import link_problem, link_words, open_link
from babycli.errors import ChecksumError, DataError
from babycli.files import explained, read_file, write_atomically
from babycli.wording import LinkMode

MANIFEST_NAME = "manifest-sha256.txt"


@dataclass(frozen=True, slots=True)
class _Part:
    """The images that tasks read through one link."""

    link: Link
    store: ImageStore
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Made:
    """The result of make_subset()."""

    n_images: int
    n_written: int  # the others were there
    was_there: bool


def make_subset(root: DatasetRoot, all_labels: Sequence[Labels], folder: Path, progress: Callable[[int], None]) -> Made:
    """Copies label files and images of the tasks into a folder that is absent or empty.

    If the folder is this subset already, it is checked and mended. ``progress`` gets counts of images, each read once
    and written once. Raises DataError or ChecksumError for an image that cannot be read or is not the one that was
    linked, DataError for a folder in use.
    """
    parts = _read_parts(root, all_labels, progress)
    of_sources = _by_source(parts)
    listing = {f"{_folder_of(source)}/{name}": sha256[name] for source, sha256 in of_sources.items() for name in sha256}
    # In the order in which they are moved into an existing folder: the first two tell what it is going to be.
    files = {
        MANIFEST_NAME: checksum_text(dict(sorted(listing.items()))),
        LOCK_NAME: _lock_of(root, parts, of_sources, all_labels).content,
    }
    own = dict(files)
    files |= {labels.task.label_path: _label_bytes(labels) for labels in all_labels}
    links = {part.link.path: _relative_target(part.link) for part in parts}
    with assembling(folder) as assembly:
        was_there = assembly.is_in_use
        if was_there and not _is_this(assembly.folder, own):
            raise DataError(f"{folder} is not empty, and is not the subset of these images", "name another folder")
        missing = lacking(assembly.folder, listing)
        assembly.begin({*missing, *files}, links)
        progress(len(listing) - len(missing))
        for part in parts:
            prefix = f"{_folder_of(part.link.source)}/"
            wanted = {name: digest for name, digest in part.sha256.items() if prefix + name in missing}
            put_images(part.store, wanted, assembly.staging / prefix, LinkMode.COPY, progress)
        for path, content in files.items():
            write_atomically(assembly.staging / path, content)
        DatasetRoot(assembly.staging).set_links(links)
        assembly.finish([*files, *links, *sorted(missing)])
    return Made(len(listing), len(missing), was_there)


def _is_this(folder: Path, own: Mapping[str, bytes]) -> bool:
    """Tells whether a folder is the subset with this manifest and lock; a killed command may leave no lock."""
    manifest, lock = _file_content(folder / MANIFEST_NAME), _file_content(folder / LOCK_NAME)
    return manifest == own[MANIFEST_NAME] and lock in (None, own[LOCK_NAME])


def _label_bytes(labels: Labels) -> bytes:
    """Reads a label file again: its bytes must be those that were checked. Raises DataError or ChecksumError."""
    try:
        content = read_file(labels.path, MAX_LABEL_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {labels.path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != labels.sha256:
        raise ChecksumError(f"{labels.path} has changed since this command began", "give the same command again")
    return content


def _file_content(path: Path) -> bytes | None:
    with explained(path):
        return read_file(path) if path.is_file() else None


def _read_parts(root: DatasetRoot, all_labels: Sequence[Labels], progress: Callable[[int], None]) -> list[_Part]:
    locked = read_lock(root).links
    stores: dict[str, ImageStore] = {}
    links: dict[str, Link] = {}
    names: dict[str, set[str]] = {}
    readers: dict[tuple[str, str], str] = {}  # path and name -> the first task that reads it
    asked = [labels.task for labels in all_labels]
    for labels in all_labels:
        task = labels.task
        for link in links_of(task):
            broken = link_problem(root, full_name(task), link)
            again = link_words(root, [task], asked, asked, root.words)
            mend = f"{again}   (or choose other tasks than {full_name(task)} with --tasks)"
            raise_for([broken] if broken is not None else [], mend)
            own = labels.image_names(link.path)
            links.setdefault(link.path, link)
            names.setdefault(link.path, set()).update(own)
            for name in own:
                readers.setdefault((link.path, name), full_name(task))
    for path, link in links.items():
        stores[path] = open_link(root, link, sorted(names[path]))
    digests = hash_each({path: (stores[path], sorted(names[path])) for path in links}, progress)
    problems: list[Problem] = []
    for path, of_path in digests.items():
        recorded = locked[path].sha256 if path in locked else {}
        for name, digest in of_path.items():
            task_name, place = readers[path, name], stores[path].place(name)
            if isinstance(digest, ImageError):
                problems.append(Problem(task_name, digest.kind, place, digest.detail))
            else:
                problem = lock_problem(task_name, place, recorded.get(name), digest)
                problems += [problem] if problem is not None else []
    raise_for(sorted(problems), f"babycli data verify{root.words}   shows all of them")
    return [
        _Part(link, stores[path], {name: str(digest) for name, digest in digests[path].items()})
        for path, link in links.items()
    ]


def _by_source(parts: Sequence[_Part]) -> dict[str, dict[str, str]]:
    by_source: dict[str, dict[str, str]] = {}
    for part in parts:
        of_source = by_source.setdefault(part.link.source, {})
        for name, digest in part.sha256.items():
            if of_source.setdefault(name, digest) != digest:
                raise DataError(
                    f"{part.store.place(name)} has other bytes than the file of that name behind another link",
                    "link all tasks to one folder of each kind:  babycli data link",
                )
    return by_source


def _folder_of(source: str) -> str:
    return f"{source}_images"


def _relative_target(link: Link) -> str:
    """Gives the relative path from a link to the folder of its source."""
    return os.path.relpath(_folder_of(link.source), PurePosixPath(link.path).parent)


def _lock_of(
    root: DatasetRoot,
    parts: Sequence[_Part],
    of_sources: Mapping[str, Mapping[str, str]],
    all_labels: Sequence[Labels],
) -> Lock:
    links = {}
    for part in parts:
        folder = _folder_of(part.link.source)
        n_files = len(of_sources[part.link.source])
        links[part.link.path] = LockedLink(_relative_target(part.link), folder, n_files, part.sha256)
    copied = [labels.task.label_path for labels in all_labels]
    recorded = read_lock(root).labels
    return Lock(links, {path: recorded[path] for path in copied if path in recorded})
