"""LLaVA-NeXT and LLaVA-OneVision in their authors' format, and LLaVA with Mistral, Qwen2 or SigLIP in that format.

    liuhaotian/llava-v1.6-mistral-7b, lmms-lab/llava-onevision-qwen2-7b-ov, ...

Owns which configs these are. Never builds anything: parts/llava_next_loading.py makes of them the classes that
transformers has for the same models, so that equal weights give equal numbers.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli import bibliography
from babycli.models.base import BASE_HELP, DEVICE_MAP_HELP, PLACES, Family, ModelSpec, Outline
from babycli.models.parts.hf_abilities import ABILITIES

if TYPE_CHECKING:
    from babycli.models.parts.hf_model import HfModel


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether a config is one of LLaVA's authors that the family llava cannot read."""
    from babycli.models.babyllava import recognises as is_babyllava
    from babycli.models.parts.llava_next_config import is_next

    return is_next(config) and not is_babyllava(folder, config)


def load(spec: ModelSpec, place: Path) -> HfModel:
    """Reads a checkpoint folder; see babycli.models.base.Loader."""
    from babycli.models.parts import llava_next_loading

    return llava_next_loading.load(spec, place)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; see babycli.models.base.Outliner."""
    from babycli.models.parts import llava_next_loading

    return llava_next_loading.outline(spec, place)


FAMILY = Family(
    name="llava_next",
    papers=(bibliography.LLAVA, bibliography.LLAVA_1_5),
    summary="LLaVA-NeXT and LLaVA-OneVision in their authors' format; LLaVA with Mistral, Qwen2 or SigLIP",
    abilities=ABILITIES,
    arguments={
        "pretrained": "folder or hub id of the checkpoint",
        "vision_tower": "folder or hub id of the tower, instead of the one that config.json names",
        "chat_template": "file with a chat template (Jinja), instead of that of the language model's kind",
        "base": BASE_HELP,
        "device_map": DEVICE_MAP_HELP,
    },
    without_effect=PLACES,
    recognises=recognises,
    load=load,
    outline=outline,
)
