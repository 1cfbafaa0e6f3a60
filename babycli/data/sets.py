"""The sets of a benchmark that is asked on several sets of data: which of them are linked.

    dataset/devcv/ego4d/baby_pv.json        a label file for each task
    dataset/devcv/ego4d/images              the link to the pictures of the set

Owns the layout, finding the sets of a dataset folder, and the names that sets may have. Never reads a label file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from babycli.data.names import is_plain
from babycli.data.root import DatasetRoot
from babycli.errors import UsageError
from babycli.files import raise_limit


def set_folder(benchmark: str, name: str) -> str:
    """Gives the folder of a set inside the dataset folder."""
    return f"{benchmark}/{name}"


def checked_name(name: str) -> str:
    """Checks the name of a set, and gives it. Raises UsageError."""
    if not is_plain(name):
        raise UsageError(f"{name!r} cannot name a set of data", "use letters, digits and _ only")
    return name


def name_of_folder(folder: str, known: Iterable[str]) -> str:
    """Gives the name of the set that a user's folder of this name is for: a known one that it has in it, else its own.

    Gives "" where no name can be made of it.
    """
    words = folder.lower()
    inside = [name for name in known if re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", words)]
    if len(inside) == 1:
        return inside[0]
    return re.sub(r"[^A-Za-z0-9_]+", "_", folder).strip("_")


def linked_sets(root: DatasetRoot, benchmark: str) -> list[str]:
    """Gives the names of the sets of a benchmark that have a label file in the dataset folder, sorted."""
    folder = root.path / benchmark
    try:
        names = sorted(place.name for place in folder.iterdir())
    except OSError as error:
        raise_limit(error)
        return []
    return [name for name in names if is_plain(name) and any((folder / name).glob("*.json"))]
