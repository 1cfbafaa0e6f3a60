"""The kinds of dual encoders that the family dual reads. Never imports torch: families are listed without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babycli.models.base import Abilities

SIMILARITY = Abilities(scores=("similarity",), matches=True)
PAIRS = Abilities(scores=("similarity",))  # picture and text are read together, so that pictures have no vector


@dataclass(frozen=True, slots=True)
class Kind:
    """A model_type, and what its processor does to texts."""

    network: str  # the name of its class in transformers
    padded_to: int | None = None  # positions; None: not padded, for nothing but rounding would change


KINDS: Mapping[str, Kind] = {
    "align": Kind("AlignModel"),
    "altclip": Kind("AltCLIPModel"),
    "blip": Kind("BlipForImageTextRetrieval"),
    "chinese_clip": Kind("ChineseCLIPModel"),
    "flava": Kind("FlavaModel"),
    "metaclip_2": Kind("MetaClip2Model"),
    "siglip2": Kind("Siglip2Model", padded_to=64),  # it learned with its padding in sight
}


def kind_of(config: Mapping[str, Any]) -> Kind | None:
    """Gives the kind of a config.json; None for another model. Most BLIPs write captions, and few compare."""
    kind = KINDS.get(str(config.get("model_type")))
    if kind is not None and config.get("model_type") == "blip":
        return kind if config.get("architectures") == [kind.network] else None
    return kind
