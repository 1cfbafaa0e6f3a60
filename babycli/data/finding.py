"""Finding the place that holds images: a folder or zip that a user gives, or a folder in it.

Owns which of several places is the best, and why a path is neither a folder nor a zip. Never reads an image, and never
follows a name out of the given folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babycli.data.beginnings import ARCHIVES, ZIP, what_begins
from babycli.data.images import ImageError, ImageStore, is_folder, n_probes_found, open_archive, open_store
from babycli.data.problems import ProblemKind
from babycli.data.zips import is_zip
from babycli.errors import DataError
from babycli.files import open_to_read, raise_limit

_NO_IMAGES = {
    ProblemKind.EMPTY,
    ProblemKind.NOT_AN_IMAGE,
    ProblemKind.TRUNCATED,
    ProblemKind.UNDECODABLE,
    ProblemKind.SUSPICIOUS_SIZE,
}
_HEAD_BYTES = 1024
_SPLIT_MARK = b"PK\x07\x08"  # at the start of the first part
_PART = re.compile(r"\.(?:z\d\d+|\d{3})$", re.IGNORECASE)  # frames.z01 of Info-ZIP, frames.zip.001 of 7-Zip


@dataclass(frozen=True, slots=True)
class Found:
    """The best folder or zip for a link, the names that are no whole images there, and the digests of the others."""

    folder: Path
    names: tuple[str, ...]  # that are looked for
    missing: tuple[str, ...]  # names that are not there as whole images
    why: Mapping[str, ImageError]  # for each of the missing: what is wrong
    store: ImageStore
    sha256: Mapping[str, str]  # of every image that is there; empty until they are read

    def of_names(self, names: Sequence[str]) -> Found:
        """Gives the same place for some of the names: those of one task, where several tasks read it."""
        return replace(self, names=tuple(names), missing=tuple(sorted(set(self.missing).intersection(names))))

    @property
    def broken(self) -> tuple[str, ...]:
        """The missing names under which there is a file, but no whole image."""
        return tuple(name for name in self.missing if self.why[name].kind in _NO_IMAGES)

    @property
    def n_names(self) -> int:
        return len(self.names)

    @property
    def n_found(self) -> int:
        return len(self.names) - len(self.missing)


def check_source(given: Path, index_folder: Path | None = None) -> None:
    """Checks that a path is a folder or a zip that can be read. Raises DataError."""
    if not os.path.exists(given):  # unlike Path.exists, false for a name that is too long
        if os.path.islink(given):
            raise DataError(f"{given} is a link that leads nowhere: {os.readlink(given)}", "check the path")
        raise DataError(f"there is no folder {given}", "check the path")
    if given.is_dir():
        return
    if not is_zip(given):
        raise _no_source(given)
    open_archive(given, index_folder)


def _no_source(given: Path) -> DataError:
    """Explains a path that is neither a folder nor a file that ends as a zip does."""
    try:
        with open_to_read(given) as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise_limit(error)
        return DataError(f"cannot read {given}: {error.strerror}", "give a folder of images or a zip")
    if head.startswith(_SPLIT_MARK) or _PART.search(given.name):
        return DataError(
            f"{given} is one part of a split zip, and not the last",
            "put all parts into one folder and join them:  zip -s 0 NAME.zip --out whole.zip   (of 7-Zip: "
            "cat NAME.zip.0* > whole.zip)",
        )
    what = what_begins(head)
    if what is not None and what != ZIP:  # one of those was cut off
        mend = "unpack it, and give the folder" if what in ARCHIVES else "check the path, or get the file again"
        return DataError(f"{given} is neither a folder of images nor a zip: it is {what}", mend)
    return DataError(
        f"{given} is neither a folder of images nor a zip",
        "check the path; if it should be a zip (Databrary's frames.txt is one), it was cut off: download it again",
    )


def candidates(given: Path, index_folder: Path | None = None) -> list[Path]:
    """Lists the places where images may lie: the zip alone, or the folder and, sorted, the folders in it.

    Raises DataError for what is neither.
    """
    check_source(given, index_folder)
    if given.is_file():
        return [given]
    try:
        with os.scandir(given) as entries:  # 600,285 frames: no stat for each
            inside = sorted(e.name for e in entries if not e.name.startswith(".") and is_folder(e))
    except OSError as error:
        raise_limit(error)
        raise DataError(f"cannot read the folder {given}: {error.strerror}") from error
    return [given, *(given / name for name in inside)]


def find_images(places: Sequence[Path], names: Sequence[str], index_folder: Path) -> Found:
    """Finds the place where most of the names are files, the first of equals. ``names`` must not be empty."""
    stores = {place: open_store(place, names, index_folder) for place in places}
    best = max(places, key=lambda place: n_probes_found(stores[place], names))
    store = stores[best]
    why = {name: problem for name in names if (problem := store.problem(name)) is not None}
    return Found(best, tuple(names), tuple(why), why, store, {})
