"""The pictures that the label files of a set name: where each lies in the user's folder or zip.

Owns following the names of label files, and rewriting them where they do not lead from the folder that is linked.
Never opens a picture, and never follows a name out of the given folder.

A name is followed from the label file's folder; from a folder beside it that is called as the label file is, or
``images``, as in a dataset folder; and from the given folder. All names of a label file are followed from the same
place: the one from which most of them lead to a file, the first of equals. An absolute path is of another machine: of
its endings, the longest that is a file counts.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from babycli.data.images import ZipStore, open_zip_store
from babycli.data.names import MAX_NAME_BYTES, is_safe_name, normal_name
from babycli.data.set_files import Tree
from babycli.domain import Row
from babycli.errors import DataError

IMAGES_FOLDER = "images"
IMAGES = "image"  # the key of an item under which its pictures are named
_OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:image/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Led:
    """The names of a label file's pictures, and the paths in the tree that they lead to, there or not."""

    paths: Mapping[str, str]
    unsafe: tuple[str, ...]  # names that lead out of the tree, and addresses


def follow(tree: Tree, label_name: str, rows: Sequence[Row]) -> Led:
    """Follows the names of all pictures of a label file, whose own name is relative to its tree or to a like one.

    Raises DataError for an absolute path that leads to two different files.
    """
    names = list(dict.fromkeys(name for row in rows for name in picture_names(row)))
    label = PurePosixPath(label_name)
    above = "" if str(label.parent) == "." else str(label.parent)
    beside = (posixpath.join(above, folder) for folder in (label.stem, IMAGES_FOLDER))
    places = list(dict.fromkeys([above, *beside, "", label.stem, IMAGES_FOLDER]))
    relative = [name for name in names if not _is_absolute(name)]
    place = _best_place(tree, places, relative)
    paths: dict[str, str] = {}
    unsafe = []
    for name in relative:
        path = _path_from(place, name)
        if path is None:
            unsafe.append(name)
        else:
            paths[name] = path
    paths |= {name: _of_ending(tree, places, name) for name in names if name not in relative}
    return Led(paths, tuple(unsafe))


def picture_names(row: Row) -> list[str]:
    """Gives the names of an item's pictures; none where it has no list of texts."""
    names = row.get(IMAGES)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def is_address(name: str) -> bool:
    """Tells whether the name of a picture is an address of the web, or of the picture's own bytes."""
    return _ADDRESS.match(name) is not None


def common_folder(tree: Tree, all_led: Sequence[Led]) -> str | None:
    """Gives the folder of the tree from which all names lead to their pictures as they are; None if there is none."""
    folder: str | None = None
    names: list[str] = []
    for led in all_led:
        for name, path in led.paths.items():
            above = path.removesuffix(name).removesuffix("/")
            if not is_safe_name(name) or name != normal_name(name) or posixpath.join(above, name) != path:
                return None
            if folder not in (None, above):
                return None
            folder = above
            names.append(name)
    if folder is None or not _opens_there(tree, folder, sorted(set(names)), all_led):
        return None
    return folder


def _opens_there(tree: Tree, folder: str, names: Sequence[str], all_led: Sequence[Led]) -> bool:
    """Tells whether this folder of a zip is the one that is taken for these names, all of them or a task's alone."""
    if not isinstance(tree.store, ZipStore):
        return True
    archive = tree.store.archive
    meant = ZipStore(archive, folder).identity
    return all(
        open_zip_store(archive, of_names).identity == meant
        for of_names in (names, *(sorted(led.paths) for led in all_led))
    )


def rewritten(rows: Sequence[Row], led: Led) -> bytes:
    """Gives the bytes of a label file whose names are the paths that they lead to; all else stays as it is."""
    changed: list[dict[str, Any]] = []
    for row in rows:
        names = row.get(IMAGES)
        if isinstance(names, list):
            row = {**row, IMAGES: [led.paths.get(name, name) if isinstance(name, str) else name for name in names]}
        changed.append(dict(row))
    return json.dumps(changed, ensure_ascii=False, indent=1).encode() + b"\n"


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or bool(_OF_WINDOWS.match(name))


def _best_place(tree: Tree, places: Sequence[str], names: Sequence[str]) -> str:
    best, most = places[0], -1
    for place in places:
        paths = [_path_from(place, name) for name in names]
        n_there = sum(path is not None and tree.has(path) for path in paths)
        if n_there > most:
            best, most = place, n_there
        if most == len(names):
            break
    return best


def _path_from(place: str, name: str) -> str | None:
    """Gives the path in the tree to which a relative name leads; None for one that leads out of it, or is none."""
    if "\0" in name or "\\" in name or not name.strip() or is_address(name):
        return None
    path = posixpath.normpath(posixpath.join(place, name))
    return path if is_safe_name(path) and path != "." else None


def _of_ending(tree: Tree, places: Sequence[str], name: str) -> str:
    """Finds the longest ending of an absolute path that is a file below one of the places."""
    plain = posixpath.normpath(name.replace("\\", "/") if _OF_WINDOWS.match(name) else name).replace("\0", "")
    parts = [part for part in plain.split("/") if part not in ("", "..")]
    for start in range(len(parts) if len(name) <= MAX_NAME_BYTES else 0):
        ending = "/".join(parts[start:])
        found = [path for path in dict.fromkeys(posixpath.join(place, ending) for place in places) if tree.has(path)]
        if len({_digest(tree, path) for path in found} if len(found) > 1 else found) > 1:
            raise DataError(
                f"{name} leads to different files in {tree.path}: {' and '.join(found)}",
                "give the folder of the right ones with  --devcv-images DIR",
            )
        if found:
            return found[0]
    return "/".join(parts) or "unnamed"


def _digest(tree: Tree, path: str) -> str:
    return hashlib.sha256(tree.store.read(path)).hexdigest()
