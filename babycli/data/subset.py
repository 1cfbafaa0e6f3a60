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
from babycli.data.copying import assembling, is_in_use, lacking, put_images
from babycli.data.hashing import hash_each
from babycli.data.images import ImageError, ImageStore
from babycli.data.labels import Labels
from babycli.data.lock import LOCK_NAME, Lock, LockedLink, read_lock
from babycli.data.manifest import Link, Source
from babycli.data.problems import Problem, ProblemKind, raise_for
from babycli.data.root import DatasetRoot, explained, write_atomically
from babycli.data.verify import link_problem, open_link
from babycli.errors import DataError

MANIFEST_NAME = "manifest-sha256.txt"


@dataclass(frozen=True, slots=True)
class _Part:
    """The images that one link leads to."""

    link: Link
    store: ImageStore
    sha256: Mapping[str, str]


def make_subset(
    root: DatasetRoot, all_labels: Sequence[Labels], folder: Path, progress: Callable[[int], None]
) -> int | None:
    """Copies what the tasks read into a folder that is absent or empty; the number of images, None if all was there.

    A subset of the same that is there is checked and mended. ``progress`` gets counts of images, each read once and
    written once. Raises DataError or ChecksumError where an image cannot be had or is not the one that was linked,
    DataError for a folder in use.
    """
    parts = _read(root, all_labels, progress)
    of_sources = _by_source(parts)
    listing = {
        f"{_folder_of(source)}/{name}": digest
        for source, sha256 in of_sources.items()
        for name, digest in sha256.items()
    }
    files = {labels.manifest.label_path: labels.path.read_bytes() for labels in all_labels}
    files |= {MANIFEST_NAME: checksum_text(dict(sorted(listing.items()))), LOCK_NAME: _lock(parts, of_sources).content}
    links = {part.link.path: f"../{_folder_of(part.link.source)}" for part in parts}
    was_there = is_in_use(folder)
    if was_there and any(_content(folder / name) != files[name] for name in (MANIFEST_NAME, LOCK_NAME)):
        raise DataError(f"{folder} is not empty, and is not the subset of these images", "name another folder")
    with assembling(folder) as assembly:
        missing = listing if assembly.is_whole else lacking(assembly.folder, listing)
        assembly.clear({*missing, *files}, links)
        progress(len(listing) - len(missing))
        for part in parts:
            prefix = f"{_folder_of(part.link.source)}/"
            own = {name: digest for name, digest in part.sha256.items() if prefix + name in missing}
            put_images(part.store, own, assembly.staging / prefix, "copy", progress)
        for path, content in files.items():
            write_atomically(assembly.staging / path, content)
        DatasetRoot(assembly.staging).set_links(links)
        assembly.finish({*missing, *files, *links})
    return None if was_there else len(listing)


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
    problems = []
    for task, link, store in opened:
        recorded = locked[link.path].sha256 if link.path in locked else {}
        for name, digest in digests[link.path].items():
            if isinstance(digest, ImageError):
                problems.append(Problem(task, digest.kind, store.place(name), digest.detail))
            elif recorded.get(name, digest) != digest:
                detail = f"its digest is {digest[:16]}…, was {recorded[name][:16]}… when it was linked"
                problems.append(Problem(task, ProblemKind.CHECKSUM, store.place(name), detail))
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
