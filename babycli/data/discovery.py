"""Finding several sources of pictures below one folder: each by what it holds, whatever it is called.

Owns which places are looked at, and that of two that hold the same nobody guesses. Never reads a picture.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from babycli.data.finding import candidates
from babycli.data.images import ImageStore, ZipStore, is_folder, n_probes_found, open_archive, open_store
from babycli.data.labels import Labels
from babycli.data.manifest import links_of
from babycli.data.root import DatasetRoot
from babycli.data.set_files import is_label_file
from babycli.data.sources import MAIN, source_named
from babycli.data.zips import is_zip
from babycli.errors import DataError, UsageError
from babycli.wording import all_of

_MOST_ENTRIES = 500  # of a folder that are looked at: those of pictures have hundreds of thousands
_DEPTH = 3  # of folders in one that label files may lie in: test/count/data.json
_PICTURES = (".jpg", ".jpeg", ".png")


def discover_others(
    root: DatasetRoot, parent: Path, all_labels: Sequence[Labels], given: Mapping[str, Path]
) -> dict[str, Path]:
    """Gives the places below a folder, given for the main source, of sources that no folder is given for.

    The main source is looked for, too, if its pictures are neither in the folder nor in one directly in it; so is one
    that may lie inside it. Raises UsageError where two places hold the same.
    """
    if not parent.is_dir():
        return {}
    names: dict[str, set[str]] = {}
    for labels in all_labels:
        for link in links_of(labels.task):
            if source_named(link.source).option and (link.source == MAIN or link.source not in given):
                names.setdefault(link.source, set()).update(labels.image_names(link.path))
    near = candidates(parent, root.index_folder)
    wanted = {
        source: sorted(of_source)
        for source, of_source in names.items()
        if of_source and not (MAIN in (source, source_named(source).inside) and _is_near(near, of_source, root))
    }
    return discover(parent, wanted, root.index_folder) if wanted else {}


def _is_near(near: Sequence[Path], names: Collection[str], root: DatasetRoot) -> bool:
    return any(_n_found(place, sorted(names), root.index_folder) for place in near)


def discover(parent: Path, names: Mapping[str, Sequence[str]], index_folder: Path) -> dict[str, Path]:
    """Gives the place of each source whose pictures lie below a folder; ``names`` are those of the pictures.

    Raises UsageError where two places hold as many of them.
    """
    places = list(dict.fromkeys(_places(parent)))
    found: dict[str, Path] = {}
    for source, of_source in names.items():
        counted = [(_n_found(place, of_source, index_folder), place) for place in places]
        most = max((n for n, _ in counted), default=0)
        best = _distinct([place for n, place in counted if n == most]) if most else []
        if len(best) > 1:
            raise UsageError(
                f"{all_of(map(str, best))} hold the same pictures, of {source}",
                "give the folder that is meant, or move the other away",
            )
        if best:
            found[source] = best[0]
    return found


def discover_sets(parent: Path, tasks: Collection[str], index_folder: Path) -> list[Path]:
    """Gives the folders and zips in a folder that have label files of a benchmark of sets, told by their names.

    The folder itself is one if they lie directly in it. Of a folder with many files only the first are seen.
    """
    if not parent.is_dir():
        return []
    found = []
    for place in _places(parent):
        names = _jsons(place, 0 if place == parent else _DEPTH) if place.is_dir() else _members(place, index_folder)
        if any(is_label_file(name, place.stem if is_zip(place) else place.name, tasks) for name in names):
            found.append(place)
    return [found[0]] if found[:1] == [parent] else _distinct(found)


def _jsons(folder: Path, depth: int) -> Iterator[str]:
    """Gives the names of JSON files in a folder, and in folders in it down to a depth."""
    for entry in _first_entries(folder):
        if entry.name.lower().endswith(".json"):
            yield entry.name
        elif depth and not entry.name.startswith(".") and is_folder(entry):
            yield from (f"{entry.name}/{name}" for name in _jsons(folder / entry.name, depth - 1))


def _members(archive: Path, index_folder: Path) -> list[str]:
    try:
        return ZipStore(open_archive(archive, index_folder), "").scan()[0]
    except DataError:  # one that cannot be read is said when it is the one
        return []


def _n_found(place: Path, names: Sequence[str], index_folder: Path) -> int:
    try:
        store: ImageStore = open_store(place, names, index_folder)
        return n_probes_found(store, names)
    except DataError:  # a zip that cannot be read is said when it is the one
        return 0


def _distinct(places: Sequence[Path]) -> list[Path]:
    """Leaves out places that lead to one that is there already."""
    return list({os.path.realpath(place): place for place in reversed(places)}.values())[::-1]


def _places(folder: Path) -> Iterator[Path]:
    """Gives a folder, and the folders and zips in it, sorted; of a folder with many files only the first are seen."""
    yield folder
    for entry in _first_entries(folder):
        path = folder / entry.name
        is_hidden, is_picture = entry.name.startswith("."), entry.name.lower().endswith(_PICTURES)
        if not is_hidden and (is_folder(entry) or (not is_picture and is_zip(path))):
            yield path


def _first_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Gives the first entries of a folder, sorted; none of one that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(itertools.islice(entries, _MOST_ENTRIES), key=lambda entry: entry.name)
    except OSError:
        return []
