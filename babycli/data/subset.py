"""A dataset of its own with just the images that tasks read, for a cluster.

Owns what is in it. How files get there is copying.py's.

    DEST/labeled_s/labeled_s.csv …         the label files
    DEST/saycam_images/ …                  the images, one folder for each source
    DEST/vtwt/images -> ../saycam_images   links, relative: the folder may be moved
    DEST/babycli.lock                      their digests, for verify and eval
    DEST/manifest-sha256.txt               the same for `sha256sum -c`, run there
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babycli.data.checksums import checksum_text
from babycli.data.copying import assembling, lacking, put_images
from babycli.data.hashing import hash_each
from babycli.data.images import ImageError, ImageStore
from babycli.data.labels import Labels
from babycli.data.lock import LOCK_NAME, Lock, LockedLink, lock_problem, read_lock
from babycli.data.manifest import Link, Source
from babycli.data.problems import Problem, raise_for
from babycli.data.root import DatasetRoot
from babycli.data.verify import link_problem, open_link
from babycli.errors import DataError
from babycli.files import explained, write_atomically
from babycli.wording import LinkMode

MANIFEST_NAME = "manifest-sha256.txt"


@dataclass(frozen=True, slots=True)
class _Part:
    """The images that one link leads to."""

    link: Link
    store: ImageStore
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Made:
    """What make_subset() did."""

    n_images: int
    n_written: int  # the others were there
    was_there: bool


def make_subset(root: DatasetRoot, all_labels: Sequence[Labels], folder: Path, progress: Callable[[int], None]) -> Made:
    """Copies what the tasks read into a folder that is absent or empty.

    A subset of the same that is there is checked and mended. ``progress`` gets counts of images, each read once and
    written once. Raises DataError or ChecksumError where an image cannot be had or is not the one that was linked,
    DataError for a folder in use.
    """
    parts = _read(root, all_labels, progress)
    of_sources = _by_source(parts)
    listing = {f"{_folder_of(source)}/{name}": sha256[name] for source, sha256 in of_sources.items() for name in sha256}
    # In the order in which they are moved into a folder that is there: the first say what is being made.
    files = {MANIFEST_NAME: checksum_text(dict(sorted(listing.items()))), LOCK_NAME: _lock(parts, of_sources).content}
    own = dict(files)
    files |= {labels.manifest.label_path: labels.path.read_bytes() for labels in all_labels}
    links = {part.link.path: f"../{_folder_of(part.link.source)}" for part in parts}
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
    """Whether a folder is the subset with this manifest and lock; a killed command may have left only the manifest."""
    manifest, lock = _content(folder / MANIFEST_NAME), _content(folder / LOCK_NAME)
    return manifest == own[MANIFEST_NAME] and lock in (None, own[LOCK_NAME])


def _content(path: Path) -> bytes | None:
    with explained(path):
        return path.read_bytes() if path.is_file() else None


def _read(root: DatasetRoot, all_labels: Sequence[Labels], progress: Callable[[int], None]) -> list[_Part]:
    locked = read_lock(root).links
    opened: list[tuple[str, Link, ImageStore]] = []
    wanted: dict[str, tuple[ImageStore, Sequence[str]]] = {}
    for labels in all_labels:
        task = labels.manifest.task
        for link in labels.manifest.links:
            broken = link_problem(root, task, link)
            mend = f"babycli data link SAYCAM-FOLDER{root.words}   (or choose other tasks than {task} with --tasks)"
            raise_for([broken] if broken is not None else [], mend)
            names = labels.image_names(link)
            store = open_link(root, link, names)
            opened.append((task, link, store))
            wanted[link.path] = (store, names)
    digests = hash_each(wanted, progress)
    problems: list[Problem] = []
    for task, link, store in opened:
        recorded = locked[link.path].sha256 if link.path in locked else {}
        for name, digest in digests[link.path].items():
            if isinstance(digest, ImageError):
                problems.append(Problem(task, digest.kind, store.place(name), digest.detail))
            else:
                problem = lock_problem(task, store.place(name), recorded.get(name), digest)
                problems += [problem] if problem is not None else []
    raise_for(sorted(problems), f"babycli data verify{root.words}   shows all of them")
    return [
        _Part(link, store, {name: str(digest) for name, digest in digests[link.path].items()})
        for _, link, store in opened
    ]


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


def _lock(parts: Sequence[_Part], of_sources: Mapping[Source, Mapping[str, str]]) -> Lock:
    links = {}
    for part in parts:
        folder = _folder_of(part.link.source)
        n_files = len(of_sources[part.link.source])
        links[part.link.path] = LockedLink(f"../{folder}", folder, n_files, part.sha256)
    return Lock(links)
