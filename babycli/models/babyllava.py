"""BabyLLaVA (Wang et al. 2025, arXiv 2504.09426) and BabyLLaVA-V2 (arXiv 2512.10932): a tower, a projector, and a GPT-2
or Llama.

Owns which checkpoints are BabyLLaVA's and where their tower comes from. Never scores anything: parts/llava_model.py
does. Checked against BabyLLaVA @ e783c78 and @ 45d046e, driven by babylmms-eval @ 82118a8, and BabyLLaVA-V2 @ 5634e58,
driven by BabyVLM-Leaderboard-2026 @ f147421.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli import bibliography
from babycli.errors import ModelError
from babycli.models.base import BASE_HELP, DEVICE_MAP_HELP, PLACES, Family, ModelSpec, Origin, Outline
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
# Names of towers that are BabyLLaVA's, and of others that hold "vit" as well.
_TOWER_NAME = re.compile(r"resnext|vit|\.pth$|^wkvong/", re.IGNORECASE)
_OTHER_TOWER_NAME = re.compile(r"clip|eva|^openai/|^laion/", re.IGNORECASE)


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether a checkpoint is LLaVA-style with a tower other than CLIP (with CLIP it would be LLaVA itself).

    The names of the weights tell which tower it is. What config.json calls it is the path of a file on its authors'
    machine, or nothing at all ("vit_scratch"), and counts only where no tower is among the weights that are here.
    """
    kind, name = str(config.get("model_type")), config.get("mm_vision_tower")
    if kind == "llava_gpt2":
        return True
    if kind not in _TEXT_MODELS or (name is None and "vision_config" in config):  # the latter is transformers' format
        return False
    if tower := _tower_names(folder, _TEXT_MODELS[kind]):
        return not any(weight.startswith("vision_model.") for weight in tower)
    return isinstance(name, str) and bool(_TOWER_NAME.search(name)) and not _OTHER_TOWER_NAME.search(name)


def _tower_names(folder: Path, trunk: str) -> list[str]:
    """Gives the names of the tower's weights in the files of a folder; none where these are not here."""
    from babycli.models.parts.llava_network import tower_prefix
    from babycli.models.parts.origins import names_of_weights

    prefix = tower_prefix(trunk)
    return [name.removeprefix(prefix) for name in names_of_weights(folder) if name.startswith(prefix)]


def load(spec: ModelSpec, place: Path) -> LlavaModel:
    """Reads a checkpoint folder; see babycli.models.base.Loader."""
    from babycli.models.parts import checkpoint, llava_loading, llava_network
    from babycli.models.parts.hub import fetch_tower
    from babycli.models.parts.pixels import PixelSpec
    from babycli.models.parts.precision import in_dtype, torch_dtype
    from babycli.models.parts.towers import baby_tower
    from babycli.models.parts.weight_files import config_home, find_weights

    config = checkpoint.read_config(config_home(place, spec.adapter))
    trunk = _trunk(place, config)
    source = llava_loading.read_source("babyllava", spec, place, config, trunk, _table(trunk))
    found = find_weights(place)
    files = list(found.paths)
    dtype = torch_dtype(spec.dtype)
    weights = checkpoint.read_weights(found.paths)
    with llava_loading.naming(spec, place):
        tied = llava_network.tied_weights(config, trunk)
    merged = llava_loading.merge_adapter(spec, weights, trunk, tied)
    config = {**config, "tie_word_embeddings": False} if merged.unties else config
    shares = llava_network.split(weights, source.trunk, dtype)
    del weights
    notes = [*merged.notes, *shares.notes]
    wanted = spec.args.get("vision_tower")
    with llava_loading.naming(spec, place):
        tower_weights = shares.tower
        if wanted or not tower_weights:
            file = fetch_tower(wanted or _tower_name(config), bool(wanted), place)
            tower_weights = in_dtype(checkpoint.read_weights([file]), dtype)
            files = [*files, file]
            notes.append(f"the vision tower is {file}")
        notes += found.notes(*files)
        tower = baby_tower(config, tower_weights)
        notes += tower.notes
        network = llava_network.assemble(config, source.trunk, source.n_tokens, tower, shares)
    return llava_loading.finish(source, network, PixelSpec(pad=source.pads), files, notes)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; see babycli.models.base.Outliner."""
    from babycli.models.parts import checkpoint, llava_loading, llava_network
    from babycli.models.parts.origins import glimpse
    from babycli.models.parts.towers import baby_tower
    from babycli.models.parts.weight_files import config_home

    config = checkpoint.read_config(config_home(place, spec.adapter))
    trunk = _trunk(place, config)
    source = llava_loading.read_source("babyllava", spec, place, config, trunk, _table(trunk))
    seen = glimpse(place, spec.source)
    prefix = llava_network.tower_prefix(source.trunk)
    names = [name.removeprefix(prefix) for name in seen.stored.dtypes if name.startswith(prefix)]
    with llava_loading.naming(spec, place):
        tower = baby_tower(config, None, () if "vision_tower" in spec.args else names)
        network = llava_network.assemble(config, source.trunk, source.n_tokens, tower, None)
    home = _tower_origin(spec, config, bool(seen.stored.dtypes), bool(names))
    return llava_loading.sketch(source, network, tower, seen, [home], tower.notes)


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
    summary="BabyLLaVA and BabyLLaVA-V2: ResNeXt-50 or ViT-L/16 with GPT-2 or Llama, in their authors' format",
    abilities=LLAVA_ABILITIES,
    arguments={
        "pretrained": "folder or hub id of the checkpoint",
        "conv_template": "conversation template: " + ", ".join(TEMPLATES),
        "vision_tower": "folder or file of the tower, where the checkpoint does not hold it",
        "image_aspect_ratio": "pad or square, instead of what config.json says",
        "base": BASE_HELP,
        "device_map": DEVICE_MAP_HELP,
    },
    papers=(bibliography.BABYVLM, bibliography.BABYVLM_V2),
    without_effect=PLACES,
    recognises=recognises,
    load=load,
    outline=outline,
)
