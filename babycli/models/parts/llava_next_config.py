"""LLaVA's later checkpoints in its authors' format, in the words of transformers.

    image_aspect_ratio   anyres         tiles beside the whole picture: LLaVA-NeXT
                         anyres_max_9   at most 9 of them: LLaVA-OneVision
                         pad, square    one picture: LLaVA
    model_type           llava, llava_llama, llava_mistral, llava_qwen
    mm_vision_tower      or vision_tower: a CLIP or a SigLIP, in the weights or in a repository of its own

Owns which of transformers' classes a config.json means, its settings, and the names of the weights there. Never reads a
weight. A setting that none of the classes has is refused by its name.

Source: llava_arch.py and multimodal_encoder/ of LLaVA-NeXT, and the conversions of llava_next and llava_onevision in
transformers 5.23.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from babycli.errors import ModelError
from babycli.models.parts.known_keys import MOST_PIXELS, is_whole, shown
from babycli.models.parts.pictures import MAX_PREPARED

Thing = TypeVar("Thing")
TEXT_KINDS = {"llava": "llama", "llava_llama": "llama", "llava_mistral": "mistral", "llava_qwen": "qwen2"}
_MOST_TILES = re.compile(r"anyres_max_\d+")
# What config.json must say, if it says it at all: all else would compute something else.
_ONLY: Mapping[str, tuple[object, ...]] = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_resampler_type": (None,),
    "mm_use_im_start_end": (False, None),
    "s2": (False, None),
    "quantization_config": (None,),
    "mm_newline_position": (None, "grid", "one_token"),  # of videos
}
_TOWER = "model.vision_tower.vision_tower."
_NAMES = (
    (r"^model\.mm_projector\.0\.", "model.multi_modal_projector.linear_1."),
    (r"^model\.mm_projector\.2\.", "model.multi_modal_projector.linear_2."),
    (r"^model\.vision_tower\.vision_tower\.(vision_model\.)?", "model.vision_tower."),
    (r"^model\.(?=embed_tokens\.|layers\.|norm\.)", "model.language_model."),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a config.json means: a class of transformers, and all that it needs."""

    network: str  # its name, as "LlavaNext"
    text: Mapping[str, Any]
    tower: Mapping[str, Any]
    layer: int
    keeps_class: bool  # of the tower, the position that stands for the whole picture
    has_class: bool
    aspect: str
    grid: tuple[tuple[int, int], ...]

    @property
    def strategy(self) -> str:
        return "full" if self.keeps_class or not self.has_class else "default"

    @property
    def edge(self) -> int:
        return int(self.tower["image_size"])

    @property
    def n_patches(self) -> int:
        return int((self.edge // int(self.tower["patch_size"])) ** 2)


def is_next(config: Mapping[str, Any]) -> bool:
    """Tells whether a config.json is one of LLaVA's authors that only the later classes of transformers can be."""
    kind, tower = config.get("model_type"), tower_name(config)
    if not isinstance(kind, str) or kind not in TEXT_KINDS or tower is None or "vision_config" in config:
        return False
    is_first = TEXT_KINDS[kind] == "llama" and "mm_vision_tower" in config and "siglip" not in tower.lower()
    return not is_first or str(config.get("image_aspect_ratio")).startswith("anyres")


def tower_name(config: Mapping[str, Any]) -> str | None:
    """Gives the name of the tower, which stands under either of two keys."""
    name = config.get("mm_vision_tower") or config.get("vision_tower")
    return name if isinstance(name, str) else None


def make_plan(file: Path, config: Mapping[str, Any], tower_file: Path, tower: Mapping[str, Any]) -> Plan:
    """Reads what ``file`` means, with the config of its tower in ``tower_file``. Raises ModelError."""
    for key, allowed in _ONLY.items():
        if key in config and config[key] not in allowed:
            raise ModelError(f"{file}: {key} {shown(config[key])} is not supported; expected is {shown(allowed[0])}")
    aspect, merge = config.get("image_aspect_ratio") or "square", config.get("mm_patch_merge_type") or "flat"
    tiles = str(aspect).startswith("anyres")
    if not (aspect in ("pad", "square", "anyres") or _MOST_TILES.fullmatch(str(aspect))):
        raise ModelError(f"{file}: image_aspect_ratio {shown(aspect)} is not pad, square, anyres or anyres_max_N")
    if merge != ("spatial_unpad" if tiles else "flat"):
        raise ModelError(
            f"{file}: mm_patch_merge_type {shown(merge)} with image_aspect_ratio {shown(aspect)} is not supported; "
            f"transformers' classes have {'spatial_unpad' if tiles else 'flat'} there"
        )
    vision = tower.get("vision_config", tower)
    kind = next((kind for kind in ("clip", "siglip") if str(tower.get("model_type")).startswith(kind)), None)
    if kind is None or not isinstance(vision, dict):
        raise ModelError(f"{tower_file}: model_type {shown(tower.get('model_type'))}: expected is a CLIP or a SigLIP")
    defaults = {"image_size": 224, "patch_size": 32 if kind == "clip" else 16, "num_hidden_layers": 12}
    vision = defaults | vision | {"model_type": f"{kind}_vision_model"}
    for key in defaults:
        if not is_whole(vision[key]) or not 0 < vision[key] <= MOST_PIXELS:
            raise ModelError(f"{tower_file}: {key} {shown(vision[key])}: expected is a whole number above 0")
    feature, layer = config.get("mm_vision_select_feature", "patch"), config.get("mm_vision_select_layer", -2)
    if kind == "siglip":  # LLaVA takes the last layer away, and then reads the last
        vision |= {"num_hidden_layers": vision["num_hidden_layers"] - 1, "vision_use_head": False}
        feature, layer = "patch", -1
    if feature not in ("patch", "cls_patch") or not is_whole(layer):
        raise ModelError(f"{file}: mm_vision_select_feature {shown(feature)} or mm_vision_select_layer {shown(layer)}")
    network = "Llava" if not tiles else "LlavaNext" if aspect == "anyres" else "LlavaOnevision"
    text = {key: value for key, value in config.items() if not key.startswith(("mm_", "image_", "vision_"))}
    text["model_type"] = TEXT_KINDS[config["model_type"]]
    grid = _grid(file, config) if tiles else ()
    return Plan(network, text, vision, layer, feature == "cls_patch", kind == "clip", str(aspect), grid)


def _grid(file: Path, config: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    given = config.get("image_grid_pinpoints")
    pairs = given if isinstance(given, list) else []
    are_pairs = all(isinstance(p, list) and len(p) == 2 and all(is_whole(n) and n > 0 for n in p) for p in pairs)
    if not pairs or not are_pairs or any(height * width > MAX_PREPARED for height, width in pairs):
        raise ModelError(f"{file}: image_grid_pinpoints {shown(given)}: expected is a list of heights and widths")
    return tuple((height, width) for height, width in pairs)


def is_of_tower(name: str) -> bool:
    return name.startswith(_TOWER)


def as_in_checkpoint(tower: Mapping[str, Thing]) -> dict[str, Thing]:
    """Gives the weights of a tower's own repository the names that they would have in the checkpoint."""
    share = {n.removeprefix("vision_model."): t for n, t in tower.items() if n.startswith("vision_model.")}
    return {f"{_TOWER}vision_model.{name}": thing for name, thing in (share or tower).items()}


def renamed(plan: Plan, by_name: Mapping[str, Thing]) -> dict[str, Thing]:
    """Gives the weights transformers' names, without those of the tower that LLaVA takes away."""
    out = {}
    layers = re.compile(r"^model\.vision_tower\.encoder\.layers\.(\d+)\.")
    for name, thing in by_name.items():
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        match = layers.match(name)
        is_beyond = match is not None and int(match[1]) >= plan.tower["num_hidden_layers"]
        is_head = name.startswith("model.vision_tower.head.") and not plan.has_class
        if not (is_beyond or is_head or name.endswith((".position_ids", ".rotary_emb.inv_freq"))):
            out[name] = thing
    return out
