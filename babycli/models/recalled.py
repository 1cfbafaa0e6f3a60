"""A model that an earlier run has logged, taken for the one that loading would give now.

Owns when that is certain: its files are the same, by name and by digest. Never loads a model. A model whose weights are
not in files that babycli hashes is never recalled: a user's own, or one that another program's code reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babycli.errors import ModelError
from babycli.files import in_home
from babycli.models import Resolved, read_places
from babycli.models.base import ModelInfo, ModelSpec
from babycli.models.parts.unchanged import listing_of
from babycli.typed import read_as

_OF_THE_RUN = ("name", "args")  # in the log of a model, beside its ModelInfo


def recall(resolved: Resolved, spec: ModelSpec, logged: Mapping[str, Any]) -> ModelInfo | None:
    """Gives the model of a log if the same files would be read now in the same way; None where that is not certain.

    The files' bytes are not compared: ``is_still`` does that.
    """
    try:
        info = read_as(ModelInfo, {key: value for key, value in logged.items() if key not in _OF_THE_RUN})
    except (TypeError, ValueError):
        return None
    if info.files is None or info.source != spec.source or info.dtype != spec.dtype or info.n_parameters is None:
        return None
    place = in_home(resolved.source)
    if not place.exists():
        from babycli.models.parts.hub import fetch

        place = fetch(resolved.source)
    places = read_places(place, spec)
    is_same = info.files.places == tuple(map(str, places)) and info.files.listing == listing_of(places)
    return info if is_same else None


def is_still(info: ModelInfo) -> bool:
    """Tells whether the files of a recalled model have the bytes that they had."""
    from babycli.models.parts.checkpoint import fingerprint  # which imports torch

    assert info.files is not None
    try:
        return fingerprint([Path(file) for file in info.files.hashed]) == info.fingerprint
    except ModelError:
        return False
