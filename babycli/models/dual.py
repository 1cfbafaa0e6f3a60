"""Dual encoders of transformers beside CLIP and SigLIP: the vectors of image and text, and the cosine between them.

    kakaobrain/align-base, BAAI/AltCLIP, OFA-Sys/chinese-clip-vit-base-patch16, facebook/flava-full,
    facebook/metaclip-2-worldwide-huge-quickgelu, google/siglip2-base-patch16-naflex, Salesforce/blip-itm-base-coco

Owns which configs are of this family. Never scores anything: parts/dual_model.py does.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli import bibliography
from babycli.errors import ModelError, UsageError
from babycli.models.base import BASE_HELP, PLACES, Family, ModelInfo, ModelSpec, Outline
from babycli.models.parts.dual_abilities import KINDS, PAIRS, SIMILARITY, kind_of
from babycli.models.parts.prompts import prompt_text
from babycli.wording import one_of

if TYPE_CHECKING:
    from babycli.models.parts.dual_model import DualModel

_ITC, _ITM = "itc", "itm"


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether a config is of one of the kinds."""
    return kind_of(config) is not None


def load(spec: ModelSpec, place: Path) -> DualModel:
    """Reads a checkpoint folder; see babycli.models.base.Loader."""
    from babycli.models.parts import adapters, checkpoint, hf_adapters, hf_model
    from babycli.models.parts.dual_model import DualModel, PairModel
    from babycli.models.parts.dual_texts import DualTexts
    from babycli.models.parts.precision import full_precision, notes_on_broken, torch_dtype
    from babycli.models.parts.weight_files import find_weights

    declared, config = _read_config(place)
    pairs = _reads_pairs(spec, declared)
    kind = KINDS[declared["model_type"]]
    texts = DualTexts(place, config, kind.padded_to)
    found = find_weights(place)
    stored = checkpoint.look_into(found.paths)
    checkpoint.check_formats(stored.dtypes, place)
    hf_model.check_readable(place, stored)
    hf_model.check_size(place, _outlined(place, kind.network, config), stored)
    network, notes = hf_model.read_network(_class_of(kind.network), place, config, torch_dtype(spec.dtype))
    if spec.adapter is not None:
        notes += hf_adapters.merge_into(spec.adapter, network, spec.dtype)
    network = network.to(spec.device).eval()
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
        abilities=PAIRS if pairs else SIMILARITY,
        notes=(*notes, *notes_on_broken(network.parameters()), *found.notes()),
        model_type=declared["model_type"],
    )
    return (PairModel if pairs else DualModel)(network, texts, place, info)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; see babycli.models.base.Outliner."""
    from babycli.models.parts import hf_parts
    from babycli.models.parts.dual_texts import DualTexts
    from babycli.models.parts.origins import glimpse, of_settings

    declared, config = _read_config(place)
    pairs = _reads_pairs(spec, declared)
    DualTexts(place, config, KINDS[declared["model_type"]].padded_to)  # refused here too where it cannot be read
    seen = glimpse(place, spec.source)
    network = _outlined(place, KINDS[declared["model_type"]].network, config)
    stored = declared.get("torch_dtype") or declared.get("dtype")
    return Outline(
        family=FAMILY.name,
        parts=tuple(hf_parts.parts_of(network)),
        stored_dtype=seen.dtype or (stored if isinstance(stored, str) else None),
        template="none",
        abilities=PAIRS if pairs else SIMILARITY,
        render=prompt_text,
        origins=(seen.origin, *of_settings(_setting_files(place))),
        left_out=seen.left_out,
        notes=(),
    )


def _reads_pairs(spec: ModelSpec, declared: Mapping[str, Any]) -> bool:
    """Tells whether BLIP's matching head is asked for. Raises UsageError where there is none."""
    if "head" not in spec.args:
        return False
    if declared["model_type"] != "blip":
        raise UsageError(f"head={spec.args['head']}: only a BLIP has two heads", "leave head= out")
    return one_of(spec.args["head"], (_ITC, _ITM), "head") == _ITM


def _setting_files(folder: Path) -> list[Path]:
    """Lists the files of a folder, beside its weights, that a similarity depends on."""
    patterns = ("config.json", "*token*", "vocab.*", "merges.txt", "*.model", "*processor_config.json")
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _outlined(folder: Path, name: str, config: Any) -> Any:
    """Builds the network that config.json describes on the meta device. Raises ModelError."""
    import torch

    from babycli.models.parts.transformers_calls import reading

    with reading(f"{folder / 'config.json'}: it describes no model"), torch.device("meta"):
        return _class_of(name)(copy.deepcopy(config))


def _class_of(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def _read_config(folder: Path) -> tuple[dict[str, Any], Any]:
    """Reads config.json, as it is and as transformers makes it. Raises ModelError."""
    from transformers import AutoConfig

    from babycli.models.parts import checkpoint
    from babycli.models.parts.transformers_calls import reading

    declared = checkpoint.read_config(folder)
    if not recognises(folder, declared):
        raise ModelError(
            f"{folder / 'config.json'}: model_type {declared.get('model_type')!r} is no dual encoder of this family; "
            f"expected is one of {', '.join(KINDS)} (a BLIP as BlipForImageTextRetrieval)",
            "give --model the folder alone, and the family that reads it is found",
        )
    with reading(f"{folder / 'config.json'}: transformers cannot read it"):
        return declared, AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


_PAPERS_OF = {
    "align": (bibliography.ALIGN,),
    "altclip": (bibliography.ALT_CLIP,),
    "blip": (bibliography.BLIP,),
    "chinese_clip": (bibliography.CHINESE_CLIP,),
    "flava": (bibliography.FLAVA,),
    "metaclip_2": (bibliography.META_CLIP_2,),
    "siglip2": (bibliography.SIGLIP_2,),
}
FAMILY = Family(
    name="dual",
    papers=tuple(paper for papers in _PAPERS_OF.values() for paper in papers),
    papers_of=_PAPERS_OF,
    summary="ALIGN, AltCLIP, BLIP (retrieval), Chinese-CLIP, FLAVA, MetaCLIP 2, SigLIP 2 NaFlex: similarity",
    abilities=SIMILARITY,
    arguments={
        "pretrained": "folder or hub id of the checkpoint",
        "base": BASE_HELP,
        "head": "of a BLIP: itc (cosine of two vectors, the default) or itm (picture and text read together)",
    },
    without_effect=PLACES,
    recognises=recognises,
    load=load,
    outline=outline,
)
