"""LLaVA-1.5 (Liu et al. 2024, arXiv 2310.03744): a CLIP tower, a projector and a Llama, in both of its formats.

    original       LlavaLlama config, tokenizer.model, the tower in a repository of its own (liuhaotian/llava-v1.5-7b)
    transformers   LlavaForConditionalGeneration, everything in one folder (llava-hf/llava-1.5-7b-hf)

Owns which configs are LLaVA's, where its tower comes from, and the names that the two formats give to the same weights.
Never scores anything: parts/llava_model.py does, for both formats alike, so that equal weights give equal numbers.
Checked against LLaVA as babylmms-eval @ 82118a8 runs it.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from babycli import bibliography
from babycli.errors import ModelError
from babycli.models.babyllava import recognises as is_babyllava
from babycli.models.base import BASE_HELP, DEVICE_MAP_HELP, PLACES, Family, ModelSpec, Origin, Outline
from babycli.models.parts.llava_abilities import LLAVA_ABILITIES
from babycli.models.parts.prompts import TEMPLATES

if TYPE_CHECKING:
    from torch import Tensor

    from babycli.models.parts.llava_loading import Source
    from babycli.models.parts.llava_model import LlavaModel
    from babycli.models.parts.picture_settings import PictureSettings
    from babycli.models.parts.pixels import PixelSpec
    from babycli.models.parts.towers import Tower

Thing = TypeVar("Thing")
_TRUNK = "model"  # Llama's name inside a checkpoint of the original
_TOWER_PREFIX = f"{_TRUNK}.vision_tower.vision_tower."
_HEAD, _EMBEDDINGS = "lm_head.weight", f"{_TRUNK}.embed_tokens.weight"
_OWN_TOWER = "mm_vision_config"  # our name for what only a transformers config holds: that of its own tower
_TUNED = ("unfreeze_mm_vision_tower", "tune_vision_tower")  # keys of config.json that say the tower was trained too
_TUNED_PARTS, _TUNED_PART = (
    "mm_tunable_parts",
    "mm_vision_tower",
)  # a key that lists what was trained, and the tower in it
# From transformers' names of the weights, in its older and newer versions, to the original's.
_NAMES = (
    (r"^model\.(?=vision_tower\.|multi_modal_projector\.|language_model\.)", ""),
    (r"^language_model\.lm_head\.", "lm_head."),
    (r"^language_model\.(model\.)?", f"{_TRUNK}."),
    (r"^multi_modal_projector\.linear_1\.", f"{_TRUNK}.mm_projector.0."),
    (r"^multi_modal_projector\.linear_2\.", f"{_TRUNK}.mm_projector.2."),
    (r"^vision_tower\.(vision_model\.)?", f"{_TOWER_PREFIX}vision_model."),
)


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether a config is a LLaVA with a CLIP tower and a Llama, in either format."""
    kind = config.get("model_type")
    if _is_transformers(config):
        text, vision = config.get("text_config") or {}, config["vision_config"]
        return (
            kind == "llava"
            and isinstance(text, dict)
            and text.get("model_type", "llama") == "llama"
            and vision.get("model_type", "clip_vision_model") == "clip_vision_model"
        )
    from babycli.models.parts.llava_next_config import is_next

    tower = config.get("mm_vision_tower")
    if is_next(config):
        return False
    return kind in ("llava", "llava_llama") and isinstance(tower, str) and not is_babyllava(folder, config)


def _is_transformers(config: Mapping[str, Any]) -> bool:
    return "mm_vision_tower" not in config and isinstance(config.get("vision_config"), dict)


def load(spec: ModelSpec, place: Path, held: Mapping[str, Tensor] | None = None) -> LlavaModel:
    """Reads a checkpoint folder; see babycli.models.base.Loader.

    ``held`` are weights that are in memory already: then the folder has all but them.
    """
    from babycli.models.parts import checkpoint, llava_loading, llava_network
    from babycli.models.parts.precision import torch_dtype
    from babycli.models.parts.weight_files import WeightFiles, find_weights

    source = _source(spec, place)
    found = find_weights(place) if held is None else WeightFiles((), ())
    weights = checkpoint.read_weights(found.paths) if held is None else dict(held)
    notes: list[str] = []
    in_model: Callable[[str], str] = str
    if _OWN_TOWER in source.config:
        weights, in_model = _from_transformers(weights), _original_name
        if not _share_head(source.config, weights):
            source = replace(source, config={**source.config, "tie_word_embeddings": False})
            notes += ["config.json ties lm_head to the embeddings, but their weights differ, and both are used"]
    with llava_loading.naming(spec, place):
        tied = llava_network.tied_weights(source.config, _TRUNK)
    merged = llava_loading.merge_adapter(spec, weights, _TRUNK, tied, in_model)
    if merged.unties:
        source = replace(source, config={**source.config, "tie_word_embeddings": False})
    with llava_loading.naming(spec, place):
        own = _tower_weights(weights)
        home = _tower_home(source, own, has_own=bool(own), reads=True)
        shares = llava_network.split({**weights, **home.weights}, _TRUNK, torch_dtype(spec.dtype))
        del weights, own  # the weights of a 7B model need not be held twice
        tower = _tower(source, home, shares.tower)
        network = llava_network.assemble(source.config, _TRUNK, source.n_tokens, tower, shares)
    pixels = _pixels(source, home)
    notes = [*notes, *merged.notes, *shares.notes, *home.notes, *found.notes()]
    return llava_loading.finish(source, network, pixels, [*found.paths, *home.files], notes)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; see babycli.models.base.Outliner."""
    from babycli.models.parts import llava_loading, llava_network
    from babycli.models.parts.origins import glimpse, of_settings

    source = _source(spec, place)
    seen = glimpse(place, spec.source)
    names = _from_transformers(seen.stored.dtypes) if _OWN_TOWER in source.config else seen.stored.dtypes
    home = _tower_home(source, {}, has_own=bool(_tower_weights(names)), reads=False)
    tower = _tower(source, home, None)
    _pixels(source, home)  # settings of pictures that cannot be followed are refused here too
    with llava_loading.naming(spec, place):
        network = llava_network.assemble(source.config, _TRUNK, source.n_tokens, tower, None)
    pictures = of_settings(file for file in home.files if file == home.pictures.file)
    return llava_loading.sketch(source, network, tower, seen, [home.origin, *pictures], home.notes)


def _tower_weights(by_name: Mapping[str, Thing]) -> dict[str, Thing]:
    return {name: thing for name, thing in by_name.items() if name.startswith(_TOWER_PREFIX)}


def _share_head(config: Mapping[str, Any], weights: dict[str, Tensor]) -> bool:
    """Tells whether a config that ties the head to the embeddings is right about it; adds embeddings to ``weights``.

    If only the head is there, it serves for both. If both are there and differ, transformers uses both.
    Source: tie_weights in modeling_utils.py of transformers 5.23.
    """
    from babycli.models.parts.precision import is_same

    if not config["tie_word_embeddings"] or _HEAD not in weights:
        return True
    return is_same(weights.setdefault(_EMBEDDINGS, weights[_HEAD]), weights[_HEAD])


def _source(spec: ModelSpec, place: Path) -> Source:
    """Reads the checkpoint's settings, with the config in the original's names."""
    from babycli.models.parts import checkpoint, llava_loading
    from babycli.models.parts.known_keys import CLIP_VISION, LLAMA, LLAVA, LLAVA_WHOLE, check_keys
    from babycli.models.parts.tokenizer import load_tokenizer
    from babycli.models.parts.weight_files import config_home

    home = config_home(place, spec.adapter)
    config, file = checkpoint.read_config(home), home / "config.json"
    if not recognises(place, config):
        raise ModelError(
            f"{file}: model_type {config.get('model_type')!r} is not a LLaVA with CLIP and Llama",
            "let babycli find the family:  --model " + spec.name,
        )
    if not _is_transformers(config):
        return llava_loading.read_source("llava", spec, place, config, _TRUNK, LLAVA)
    unknown = check_keys(file, config, LLAVA_WHOLE, mend="try  --model hf")
    unknown += check_keys(file, config.get("text_config") or {}, LLAMA, "text_config")
    unknown += check_keys(file, config["vision_config"], CLIP_VISION, "vision_config")
    renamed = _as_original(place, config)
    return llava_loading.make_source(
        "llava", spec, place, renamed, _TRUNK, load_tokenizer(place), n_tokens=None, unknown_keys=unknown
    )


def _as_original(place: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Translates a transformers config into the original's names.

    transformers' image processor crops pictures unless it is told to pad them. LLaVA-1.5 was trained, and is
    evaluated, with pictures padded to squares, so they are padded here unless preprocessor_config.json says
    ``do_pad: false``.
    """
    from babycli.models.parts.picture_settings import find_picture_settings

    text = dict(config.get("text_config") or {})
    bias = config.get("multimodal_projector_bias", True)
    layer = config.get("vision_feature_layer", -2)
    strategy = config.get("vision_feature_select_strategy", "default")
    pictures = find_picture_settings(place)
    crops = pictures is not None and pictures.settings.get("do_pad") in (False, 0)
    return text | {
        "tie_word_embeddings": bool(config.get("tie_word_embeddings") or text.get("tie_word_embeddings")),
        "mm_projector_type": "mlp2x_gelu",
        "mm_projector_bias": bias,
        "mm_vision_select_layer": layer[0] if isinstance(layer, list) else layer,
        "mm_vision_select_feature": "patch" if strategy == "default" else "cls_patch",
        _OWN_TOWER: config["vision_config"],
        "image_aspect_ratio": "square" if crops else "pad",
        "torch_dtype": config.get("dtype") or config.get("torch_dtype"),
    }


def _from_transformers(by_name: Mapping[str, Thing]) -> dict[str, Thing]:
    """Gives the weights, or what is known of them, under the original's names."""
    return {_original_name(name): thing for name, thing in by_name.items()}


def _original_name(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


@dataclass(frozen=True, slots=True)
class _TowerHome:
    """The origin of the tower: its settings, weights and files."""

    config: Mapping[str, Any]  # of the vision transformer
    pictures: PictureSettings
    weights: Mapping[str, Tensor]  # in the checkpoint's names; empty where the checkpoint's own are used
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    origin: Origin  # for models show


def _tower_home(source: Source, own: Mapping[str, Tensor], has_own: bool, reads: bool) -> _TowerHome:
    """Finds the tower; ``own`` are the tower weights in the checkpoint, not needed if no weights are to be read.

    The original reads the tower from the repository that ``mm_vision_tower`` names, and ignores tower weights in the
    checkpoint. babycli does the same, unless config.json says that the tower was tuned: then only the checkpoint has
    the right weights.
    """
    from babycli.models.parts import checkpoint
    from babycli.models.parts.hub import fetch_tower_folder
    from babycli.models.parts.known_keys import CLIP, CLIP_VISION, check_keys, note_on_unknown
    from babycli.models.parts.origins import glimpse
    from babycli.models.parts.picture_settings import read_picture_settings
    from babycli.models.parts.weight_files import find_weights

    config, folder = source.config, source.folder
    wanted = source.spec.args.get("vision_tower")
    if _OWN_TOWER in config and not wanted:
        pictures = read_picture_settings(folder)
        origin = Origin("vision tower", "in the weights, its shape in config.json")
        return _TowerHome(config[_OWN_TOWER], pictures, {}, (pictures.file,), pictures.notes, origin)
    tuned = _tuned(config)
    uses_own = bool(tuned and has_own and not wanted)
    name = wanted or str(config["mm_vision_tower"])
    home = fetch_tower_folder(name, bool(wanted), folder, with_weights=reads and not uses_own)
    whole = checkpoint.read_config(home)
    vision = _vision_settings(home, whole)
    unknown = [] if "vision_config" not in whole else check_keys(home / "config.json", whole, CLIP)
    unknown += check_keys(
        home / "config.json", vision, CLIP_VISION, "vision_config" if "vision_config" in whole else ""
    )
    pictures = read_picture_settings(home)
    on_settings = (*note_on_unknown(home / "config.json", unknown), *pictures.notes)
    settings = (home / "config.json", pictures.file)
    if uses_own:
        note = f"the vision tower is the checkpoint's own: its config.json says {tuned}"
        origin = Origin("vision tower", f"in the weights, as {tuned} in config.json says; its shape in {home}")
        return _TowerHome(vision, pictures, {}, settings, (note, *on_settings), origin)
    says = f"{home}, as {'vision_tower=' if wanted else 'mm_vision_tower in config.json'} says"
    if not reads:
        seen = glimpse(home, str(home) if (folder.parent / name).exists() else name)
        if has_own:
            says += "; the one in the weights is not read"
        elif tuned and not wanted:
            says += f", unless the weights hold one: {tuned} in config.json says that it was tuned"
        says += "" if seen.origin.files else f"; weights: {seen.origin.where}"
        origin = Origin("vision tower", says, seen.origin.files)
        return _TowerHome(vision, pictures, {}, settings, on_settings, origin)
    from babycli.models.parts.towers import clip_vision_weights

    found = find_weights(home)
    tower = clip_vision_weights(checkpoint.read_weights(found.paths))
    weights = {f"{_TOWER_PREFIX}vision_model.{name}": tensor for name, tensor in tower.items()}
    note = f"the vision tower is {home}"
    if own and not _same_weights(own, weights):
        note += "; the checkpoint holds another, which is not used: its config.json does not say that it was tuned"
    notes = (note, *on_settings, *(f"of the vision tower {text}" for text in found.notes()))
    origin = Origin("vision tower", says, found.paths)
    return _TowerHome(vision, pictures, weights, (*settings, *found.paths), notes, origin)


def _vision_settings(home: Path, whole: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the vision transformer's settings in a CLIP's config, which may be its own alone. Raises ModelError."""
    vision = whole.get("vision_config") if "vision_config" in whole else dict(whole)
    if not str(whole.get("model_type")).startswith("clip"):
        raise ModelError(
            f"the vision tower {home} is a {whole.get('model_type')!r}, expected is CLIP",
            "say where it is:  --model-args vision_tower=PATH",
        )
    if not isinstance(vision, dict):
        older = isinstance(whole.get("vision_config_dict"), dict)
        raise ModelError(
            f"{home / 'config.json'}: vision_config is {'null' if vision is None else repr(vision)}: it does not say "
            "what the vision tower is",
            "give vision_config what stands under vision_config_dict"
            if older
            else "copy config.json from where that CLIP was published",
        )
    return vision


def _tuned(config: Mapping[str, Any]) -> str | None:
    """Gives the key of config.json that says that the tower was tuned; None if none does.

    LLaVA-NeXT's trainer writes the parts that it tuned as "mm_vision_tower,mm_mlp_adapter,...". Source:
    llava/model/multimodal_encoder/clip_encoder.py of LLaVA-NeXT, which looks for the name in that text.
    """
    if _TUNED_PART in (config.get(_TUNED_PARTS) or ()):
        return _TUNED_PARTS
    return next((key for key in _TUNED if config.get(key)), None)


def _same_weights(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Tells whether two sets of weights are the same, apart from the rounding of the dtype they are saved in."""
    import torch

    return all(
        name in other and torch.equal(tensor, other[name].to(tensor.dtype))
        for name, tensor in own.items()
        if tensor.is_floating_point()
    )


def _tower(source: Source, home: _TowerHome, weights: Mapping[str, Tensor] | None) -> Tower:
    from babycli.models.parts.towers import clip_tower

    layer = source.config.get("mm_vision_select_layer", -2)
    feature = source.config.get("mm_vision_select_feature", "patch")
    return clip_tower(home.config, layer, feature, weights)


def _pixels(source: Source, home: _TowerHome) -> PixelSpec:
    from babycli.models.parts.picture_settings import pixel_spec

    is_original = _OWN_TOWER not in source.config
    return pixel_spec(home.pictures, int(home.config.get("image_size", 224)), source.pads, any_class=is_original)


FAMILY = Family(
    name="llava",
    summary="LLaVA-1.5: CLIP and Llama, in the original's format or in that of transformers",
    abilities=LLAVA_ABILITIES,
    arguments={
        "pretrained": "folder or hub id of the checkpoint",
        "conv_template": "conversation template: " + ", ".join(TEMPLATES),
        "vision_tower": "folder or hub id of the CLIP tower, instead of the one that config.json names",
        "image_aspect_ratio": "pad or square (cropped), instead of what config.json says",
        "base": BASE_HELP,
        "device_map": DEVICE_MAP_HELP,
    },
    papers=(bibliography.LLAVA, bibliography.LLAVA_1_5, bibliography.CLIP),
    without_effect=PLACES,
    recognises=recognises,
    load=load,
    outline=outline,
)
