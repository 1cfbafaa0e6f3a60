"""Where the parts of a checkpoint are read from, for `babycli models show`.

Owns the words for weights and for the files beside them. Never decides which files those are, and never reads them
whole: weights are seen through their headers.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from babycli.errors import ModelError
from babycli.files import in_home
from babycli.models.base import Origin
from babycli.models.parts import checkpoint
from babycli.models.parts.checkpoint import Stored
from babycli.models.parts.weight_files import (
    SINGLES,
    check_is_whole,
    find_weights,
    index_shards,
    named_by_config,
    weight_map,
)
from babycli.wording import listed

# The kinds of files beside the weights, by their names; the first that fits counts.
_KINDS = (
    ("tokenizer", ("*token*", "vocab.*", "merges.txt", "*.model", "tekken.json")),
    ("pictures", ("*processor_config.json",)),
    ("template", ("chat_template*", "*.jinja")),
    ("settings", ("*",)),
)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The weights of a folder, seen without reading them; all is empty where they are not here."""

    origin: Origin
    stored: Stored
    left_out: tuple[str, ...] = ()

    @property
    def dtype(self) -> str | None:
        return self.stored.dtype or None


def glimpse(folder: Path, source: str) -> Glimpse:
    """Sees which weights of a folder would be read. Raises ModelError for an adapter or another part of a model.

    ``source`` is the name by which the folder was found: of a hub id, perhaps only an index of shards is here.
    """
    check_is_whole(folder)
    try:
        found = find_weights(folder)
    except ModelError as error:
        indexes = [folder / f"{single}.index.json" for single in SINGLES]
        names = next((index_shards(index) for index in indexes if index.is_file()), [])
        named = f"; the index names {listed(names)}" if names else ""
        if not os.path.exists(in_home(source)):  # as in hub.py
            return _none(f"not fetched from the hub yet{named}")
        return _none(f"none that can be read: {error.message}")
    try:
        stored = checkpoint.look_into(found.paths)
    except ModelError as error:
        return _none(f"none that can be read: {error.message}")
    around = [f"without {stored.wrapper!r} in front of their names"] if stored.wrapper else []
    around += [f"under the key {stored.level!r}"] if stored.level else []
    where = ", ".join([*around, stored.dtype])
    left_out = tuple(path.name for path in found.left_out)
    return Glimpse(Origin("weights", where, found.paths), stored, left_out)


def names_of_weights(folder: Path) -> list[str]:
    """Gives the names of all weights of a folder, as far as its files are here and can be read."""
    indexes = [folder / f"{single}.index.json" for single in SINGLES if not (folder / single).is_file()]
    index = next((path for path in indexes if path.is_file()), None)
    try:
        if index is not None and named_by_config(folder) is None:
            return list(checkpoint.unwrapped(dict.fromkeys(weight_map(index))))
        return list(glimpse(folder, str(folder)).stored.dtypes)
    except ModelError:  # the loader will say what is wrong
        return []


def _none(why: str) -> Glimpse:
    return Glimpse(Origin("weights", why), Stored({}, "", "", 0))


def of_settings(files: Iterable[Path]) -> tuple[Origin, ...]:
    """Gathers files beside the weights by what they are for."""
    gathered: dict[str, list[Path]] = {}
    for file in files:
        kind = next(kind for kind, patterns in _KINDS if any(fnmatch.fnmatch(file.name, p) for p in patterns))
        gathered.setdefault(kind, []).append(file)
    return tuple(Origin(kind, "", tuple(found)) for kind, found in gathered.items())
