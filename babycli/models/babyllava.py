"""BabyLLaVA (Wang et al. 2025, arXiv 2504.09426): a vision tower, a projector, and a GPT-2 or Llama.

Owns which configs are BabyLLaVA's and where its tower comes from. Never scores anything: parts/llava_model.py does.
Checked against BabyLLaVA @ e783c78 and @ 45d046e, driven by babylmms-eval @ 82118a8.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli.errors import ModelError
from babycli.models.base import DEVICE_MAP_HELP, Family, ModelSpec, Origin, Outline
from babycli.models.parts.known_keys import BABYLLAVA_GPT2, BABYLLAVA_LLAMA, Table
from babycli.models.parts.llava_abilities import LLAVA_ABILITIES
from babycli.models.parts.prompts import TEMPLATES

if TYPE_CHECKING:
    from babycli.models.parts.llava_model import LlavaModel

_TEXT_MODELS = {
    "llava_gpt2": "transformer",
    "llava_llama": "model",
    "llava": "model",
}  # model_type -> trunk name
_TOWER_NAME = re.compile(r"resnext50|vitl16|^wkvong/")


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether a config is LLaVA-style with a tower other than CLIP (with CLIP it would be LLaVA itself)."""
    kind = str(config.get("model_type"))
    if kind == "llava_gpt2":
        return True
    return kind in _TEXT_MODELS and bool(_TOWER_NAME.search(str(config.get("mm_vision_tower", ""))))


def load(spec: ModelSpec, place: Path) -> LlavaModel:
    """Reads a checkpoint folder; see babycli.models.base.Loader."""
    from babycli.models.parts import checkpoint, llava_loading, llava_network
    from babycli.models.parts.hub import fetch_tower
    from babycli.models.parts.pixels import PixelSpec
    from babycli.models.parts.precision import in_dtype, torch_dtype
    from babycli.models.parts.towers import baby_tower
    from babycli.models.parts.weight_files import find_weights

    config = checkpoint.read_config(place)
    trunk = _trunk(place, config)
    source = llava_loading.read_source("babyllava", spec, place, config, trunk, _table(trunk))
    found = find_weights(place)
    files = list(found.paths)
    dtype = torch_dtype(spec.dtype)
    shares = llava_network.split(checkpoint.read_weights(files), source.trunk, dtype)
    notes = list(shares.notes)
    wanted = spec.args.get("vision_tower")
    try:
        tower_weights = shares.tower
        if wanted or not tower_weights:
            file = fetch_tower(wanted or _tower_name(config), bool(wanted), place)
            tower_weights = in_dtype(checkpoint.read_weights([file]), dtype)
            files = [*files, file]
            notes.append(f"the vision tower is {file}")
        notes += found.notes(*files)
        tower = baby_tower(config, tower_weights)
        network = llava_network.assemble(config, source.trunk, source.n_tokens, tower, shares)
    except ModelError as error:  # the parts do not know the name of the checkpoint
        raise ModelError(f"{place}: {error.message}", error.mend) from error
    return llava_loading.finish(source, network, PixelSpec(pad=source.pads), files, notes)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; see babycli.models.base.Outliner."""
    from babycli.models.parts import checkpoint, llava_loading, llava_network
    from babycli.models.parts.origins import glimpse
    from babycli.models.parts.towers import baby_tower

    config = checkpoint.read_config(place)
    trunk = _trunk(place, config)
    source = llava_loading.read_source("babyllava", spec, place, config, trunk, _table(trunk))
    seen = glimpse(place, spec.source)
    prefix = llava_network.tower_prefix(source.trunk)
    names = [name.removeprefix(prefix) for name in seen.stored.dtypes if name.startswith(prefix)]
    tower = baby_tower(config, None, () if "vision_tower" in spec.args else names)
    network = llava_network.assemble(config, source.trunk, source.n_tokens, tower, None)
    home = _tower_origin(spec, config, bool(seen.stored.dtypes), bool(names))
    return llava_loading.sketch(source, network, tower, seen, [home], [])


def _tower_origin(spec: ModelSpec, config: Mapping[str, Any], is_known: bool, is_there: bool) -> Origin:
    """Tells where the tower would be read from; ``is_known`` if the weights are here, ``is_there`` if they hold one."""
    named = f"{config.get('mm_vision_tower')}, as config.json says"
    if wanted := spec.args.get("vision_tower"):
        where = f"{wanted}, as vision_tower= says"
    elif is_there:
        where = "in the weights"
    else:
        where = f"{named}: it is not in the weights" if is_known else f"in the weights, else {named}"
    return Origin("vision tower", where)


def _trunk(folder: Path, config: Mapping[str, Any]) -> str:
    trunk = _TEXT_MODELS.get(str(config.get("model_type")))
    if trunk is None:
        raise ModelError(f"{folder / 'config.json'}: model_type {config.get('model_type')!r} is not a BabyLLaVA")
    return trunk


def _table(trunk: str) -> Table:
    """Gives the keys of config.json that are known for a language model."""
    return BABYLLAVA_GPT2 if trunk == "transformer" else BABYLLAVA_LLAMA


def _tower_name(config: Mapping[str, Any]) -> str:
    name = config.get("mm_vision_tower")
    if not isinstance(name, str) or not name:
        raise ModelError(
            "there is no vision tower in the weights, and config.json names none in mm_vision_tower",
            "say where it is:  --model-args vision_tower=PATH",
        )
    return name


FAMILY = Family(
    name="babyllava",
    summary="BabyLLaVA: ResNeXt-50 or ViT-L/16 with GPT-2 or Llama, in the format its authors publish",
    abilities=LLAVA_ABILITIES,
    arguments={
        "pretrained": "folder or hub id of the checkpoint",
        "conv_template": "conversation template: " + ", ".join(TEMPLATES),
        "vision_tower": "folder or file of the tower, where the checkpoint does not hold it",
        "image_aspect_ratio": "pad or square, instead of what config.json says",
        "device_map": DEVICE_MAP_HELP,
    },
    recognises=recognises,
    load=load,
    outline=outline,
)
