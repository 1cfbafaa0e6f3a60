"""Any vision-language model that transformers itself can read, asked through its own chat template.

Owns which checkpoints these are. Never scores anything: parts/hf_model.py does. Never builds a prompt: parts/hf_chat.py
does.

torch and transformers are imported on use, so that listing families stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babycli.errors import ModelError
from babycli.models.base import BASE_HELP, DEVICE_MAP_HELP, PLACES, Family, ModelSpec, Outline
from babycli.models.parts.hf_abilities import ABILITIES
from babycli.models.parts.hf_papers import PAPERS_OF
from babycli.wording import one_of

if TYPE_CHECKING:
    from babycli.models.parts.hf_chat import Chat
    from babycli.models.parts.hf_model import HfModel


# Of model types that transformers knows, those that cannot be asked through a chat template, and why.
REFUSED: Mapping[str, str] = {
    "got_ocr2": "it reads what is printed in a picture, and its processor writes all that it is asked",
    "idefics": "its processor takes pictures inside a text and no conversation; Idefics3 is read",
}


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Tells whether transformers' AutoModelForImageTextToText knows the model_type, in transformers' own format.

    LLaVA's authors use model types of transformers with a format of their own, which ``mm_vision_tower`` reveals.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    kind = config.get("model_type")
    if not isinstance(kind, str) or is_of_authors(config) or kind not in CONFIG_MAPPING:
        return False
    return CONFIG_MAPPING[kind] in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING


def is_of_authors(config: Mapping[str, Any]) -> bool:
    """Tells whether a config is in the format of LLaVA's authors, which names the tower and does not describe it."""
    return "mm_vision_tower" in config or ("vision_tower" in config and "vision_config" not in config)


def load(spec: ModelSpec, place: Path) -> HfModel:
    """Reads a checkpoint folder; see babycli.models.base.Loader."""
    from babycli.models.parts import hf_model

    config, chat = config_and_chat(spec, place)
    return hf_model.load(spec, place, config, chat)


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Describes a checkpoint; see babycli.models.base.Outliner."""
    from babycli.models.parts import hf_model

    config, chat = config_and_chat(spec, place)
    return hf_model.outline(spec, place, config, chat)


def config_and_chat(spec: ModelSpec, place: Path) -> tuple[Any, Chat]:
    """Reads the config and the chat of a checkpoint: all but its weights."""
    from babycli.models.parts import checkpoint, hf_chat
    from babycli.models.parts.hf_prefix_chat import PrefixChat

    declared = checkpoint.read_config(place)
    if not recognises(place, declared):
        tower = ", in the format of LLaVA's authors" if is_of_authors(declared) else ""
        raise ModelError(
            f"{place / 'config.json'} says model_type {declared.get('model_type')!r}{tower}; expected is a model that "
            "reads an image and writes text, of a type that transformers' AutoModelForImageTextToText knows, "
            "as qwen2_vl, smolvlm, internvl, llava or gemma3",
            "give --model the folder alone, and the family that reads it is found",
        )
    if why := REFUSED.get(declared["model_type"]):
        raise ModelError(
            f"{place / 'config.json'}: a {declared['model_type']} is not read: {why}",
            "ask it in a file of your own: docs/model_guide.md",
        )
    config = hf_chat.read_config(place)
    cuts = one_of(spec.args.get("tiles", "true"), ("true", "false"), "tiles") == "true"
    kind = PrefixChat if config.model_type == "paligemma" else hf_chat.Chat
    return config, hf_chat.read_chat(place, config, spec.args.get("chat_template"), cuts, kind)


FAMILY = Family(
    name="hf",
    summary="any image-text-to-text model of transformers with a chat template: Qwen2-VL, SmolVLM, InternVL, Gemma 3",
    abilities=ABILITIES,
    arguments={
        "pretrained": "folder or hub id of the checkpoint",
        "base": BASE_HELP,
        "device_map": DEVICE_MAP_HELP,
        "chat_template": "file with a chat template (Jinja), instead of the checkpoint's",
        "load_in_4bit": "true: weights in 4 bits, by bitsandbytes (fp4, as in transformers; or say which: fp4, nf4)",
        "load_in_8bit": "true: weights in 8 bits, by bitsandbytes",
        "tiles": "false: no picture is cut into tiles (SmolVLM, Idefics3, InternVL), so that more of them fit",
    },
    without_effect=PLACES,
    recognises=recognises,
    load=load,
    outline=outline,
    papers_of=PAPERS_OF,
    is_general=True,
)
