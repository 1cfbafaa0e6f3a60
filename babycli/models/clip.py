"""CLIP and SigLIP: an image encoder and a text encoder whose vectors are compared.

    openai/clip-vit-large-patch14, google/siglip-base-patch16-224, google/siglip2-base-patch16-224, ...
    laion/CLIP-ViT-B-32-laion2B-s34B-b79K and other folders of open_clip

Owns which checkpoints are of this family. Never scores anything: parts/clip_model.py does. SigLIP 2 at a fixed
resolution is a SigLIP to transformers and to us; its NaFlex variant (model_type siglip2) is of the family dual.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli import bibliography
from babycli.errors import ModelError
from babycli.models.base import BASE_HELP, PLACES, Abilities, Family, ModelInfo, ModelSpec, Outline
from babycli.models.parts.prompts import prompt_text

if TYPE_CHECKING:
    from babycli.models.parts.clip_model import ClipModel
    from babycli.models.parts.clip_sources import Encoders

_KINDS = ("clip", "siglip")  # model_type of a whole model; its halves alone have others
ABILITIES = Abilities(scores=("similarity",), shares_pixels=True, matches=True)


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether a config is a CLIP or SigLIP with both encoders, or the folder is open_clip's."""
    from babycli.models.parts.weight_files import is_of_open_clip

    if is_of_open_clip(folder):
        return True
    # Null or nothing means the settings under text_config_dict or vision_config_dict, as early versions wrote them, or
    # transformers' own defaults. An encoder alone has another model_type.
    return config.get("model_type") in _KINDS and all(
        isinstance(config.get(f"{part}_config"), dict | None) for part in ("text", "vision")
    )


def load(spec: ModelSpec, place: Path) -> ClipModel:
    """Reads a checkpoint folder; see babycli.models.base.Loader. Weights are read last."""
    from babycli.models.parts import adapters, checkpoint
    from babycli.models.parts.clip_model import ClipModel
    from babycli.models.parts.precision import full_precision, torch_dtype
    from babycli.models.parts.weight_files import find_weights

    found = find_weights(place)
    encoders = _open(place)
    texts, images = encoders.texts(), encoders.images()
    weights = checkpoint.read_weights(found.paths)
    merged = adapters.merge(spec.adapter, weights, torch_dtype(spec.dtype)).notes if spec.adapter else ()
    filled = encoders.fill(weights, spec.dtype)
    notes = (*merged, *filled.notes, *encoders.notes, *images.notes)
    network = filled.network.to(spec.device).eval()
    checkpoint.copy_from_files(network)
    if spec.dtype == "float32":
        full_precision()
    files = [*found.paths, *_setting_files(place), *adapters.files_of(spec.adapter)]
    info = ModelInfo(
        family=FAMILY.name,
        source=spec.source,
        fingerprint=checkpoint.fingerprint(dict.fromkeys(files)),
        n_parameters=checkpoint.n_parameters(network),
        dtype=spec.dtype,
        device=spec.device,
        template="none",
        abilities=ABILITIES,
        notes=(*notes, *found.notes()),
        model_type=encoders.model_type,
    )
    return ClipModel(network, texts, images, info)


def _setting_files(folder: Path) -> list[Path]:
    """Lists the files of a folder, beside its weights, that a similarity depends on."""
    patterns = ("*config.json", "*token*", "vocab.json", "merges.txt", "spiece.model")
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; see babycli.models.base.Outliner."""
    from babycli.models.parts import checkpoint
    from babycli.models.parts.origins import glimpse, of_settings
    from babycli.models.parts.picture_settings import find_picture_settings

    encoders = _open(place)
    encoders.texts()  # one that cannot be read, or is not there, is refused here too
    config = checkpoint.read_json_object(place / "config.json", missing_ok=True)
    pictures = find_picture_settings(place)
    notes = encoders.notes + (pictures.notes if pictures else ())
    stored = config.get("torch_dtype") or config.get("dtype")
    seen = glimpse(place, spec.source)
    return Outline(
        family=FAMILY.name,
        parts=encoders.parts(),
        stored_dtype=seen.dtype or (stored if isinstance(stored, str) else None),
        template="none",
        abilities=ABILITIES,
        render=prompt_text,
        origins=(seen.origin, *of_settings(_setting_files(place))),
        left_out=seen.left_out,
        notes=notes,
    )


def _open(folder: Path) -> Encoders:
    from babycli.models.parts.clip_sources import of_open_clip, of_transformers
    from babycli.models.parts.weight_files import is_of_open_clip

    return of_open_clip(folder) if is_of_open_clip(folder) else of_transformers(folder, _read_config(folder))


def _read_config(folder: Path) -> dict[str, Any]:
    from babycli.models.parts import checkpoint

    config = checkpoint.read_config(folder)
    if not recognises(folder, config):
        raise ModelError(
            f"{folder / 'config.json'}: model_type {config.get('model_type')!r} is not a whole CLIP or SigLIP model; "
            f"expected is model_type {' or '.join(_KINDS)} with an image encoder (vision_config) and a text encoder "
            "(text_config)",
            "name the folder of the whole model, not of one of its encoders",
        )
    return config


FAMILY = Family(
    name="clip",
    summary="CLIP, folders of open_clip, and SigLIP (SigLIP 2 at a fixed resolution): similarity of image and text",
    abilities=ABILITIES,
    arguments={"pretrained": "folder or hub id of the checkpoint", "base": BASE_HELP},
    papers=(bibliography.CLIP, bibliography.SIGLIP),
    papers_of={"clip": (bibliography.CLIP,), "siglip": (bibliography.SIGLIP,)},
    without_effect=PLACES,
    recognises=recognises,
    load=load,
    outline=outline,
)
