"""The network of a CLIP or SigLIP checkpoint: transformers' own modules, filled from the checkpoint's weights.

Owns the module tree and the errors for a config and weights that do not fit. Never reads a file, never computes a
score. A weight that is missing, left over or of a wrong shape is an error: transformers only warns, and goes on with
random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from babycli.errors import ModelError
from babycli.models.base import Part
from babycli.models.parts import checkpoint
from babycli.models.parts.known_keys import (
    CLIP,
    CLIP_TEXT,
    CLIP_VISION,
    SIGLIP,
    SIGLIP_TEXT,
    SIGLIP_VISION,
    Table,
    check_keys,
    note_on_unknown,
    used_by,
)
from babycli.models.parts.precision import in_dtype, notes_on_broken, torch_dtype
from babycli.models.parts.transformers_calls import reading

_CLASSES: Mapping[str, tuple[Any, Any]] = {"clip": (CLIPConfig, CLIPModel), "siglip": (SiglipConfig, SiglipModel)}
# The tables of the whole config, of its text encoder and of its image encoder.
_TABLES: Mapping[str, tuple[Table, Table, Table]] = {
    "clip": (CLIP, CLIP_TEXT, CLIP_VISION),
    "siglip": (SIGLIP, SIGLIP_TEXT, SIGLIP_VISION),
}
_LEGACY_BUFFER = "embeddings.position_ids"  # 0, 1, 2, ...: saved by early versions, computed anew


def build(file: Path, config: Mapping[str, Any]) -> Any:
    """Builds the network that ``file`` describes on the meta device: its sizes are not to be believed yet."""
    config_class, model_class = _CLASSES[config["model_type"]]
    plain = used_by(config_class, config, _TABLES[config["model_type"]][0])
    with reading(f"{file} does not describe a {config['model_type']} model"), torch.device("meta"):
        for part, table, part_class in _parts(config["model_type"], config_class):
            plain |= {part: used_by(part_class, plain[part], table)} if isinstance(plain.get(part), dict) else {}
        return model_class(config_class(**plain))


def notes_on_keys(file: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Checks the keys of ``file``, and gives a note on those that no table has. Raises ModelError."""
    kind = config["model_type"]
    unknown = check_keys(file, config, _TABLES[kind][0])
    for part, table, _ in _parts(kind, _CLASSES[kind][0]):
        if isinstance(config.get(part), dict):
            unknown += check_keys(file, config[part], table, part)
    return note_on_unknown(file, unknown)


def _parts(kind: str, config_class: Any) -> list[tuple[str, Table, Any]]:
    """Lists the parts of a whole config, as early and later versions name them, each with its table and its class."""
    _, text, vision = _TABLES[kind]
    classes = config_class.sub_configs
    return [
        (f"{name}{ending}", table, classes[name])
        for name, table in (("text_config", text), ("vision_config", vision))
        for ending in ("", "_dict")
    ]


@dataclass(frozen=True, slots=True)
class Filled:
    """A network with its weights, and notes for the reader of the numbers."""

    network: Any
    notes: tuple[str, ...]


def fill(folder: Path, outline: Any, weights: Mapping[str, Tensor], dtype: str) -> Filled:
    """Makes the network of ``outline``, one that ``build`` gave, with these weights in ``dtype``. Raises ModelError."""
    kept = {name: tensor for name, tensor in weights.items() if not name.endswith(_LEGACY_BUFFER)}
    given = in_dtype(kept, torch_dtype(dtype))
    try:
        checkpoint.check_names(outline, given, f"{outline.config.model_type} model", frozenset())
    except ModelError as error:
        raise ModelError(f"{folder}: {error.message}", error.mend) from error
    with init_empty_weights():  # buffers are real: those of positions are in no checkpoint
        network = type(outline)(outline.config)
    network.load_state_dict(given, assign=True)
    return Filled(network, notes_on_broken(given.values()))


def parts_of(network: Any) -> tuple[Part, ...]:
    """Describes the parts of a network."""
    vision, text = network.config.vision_config, network.config.text_config
    size = checkpoint.n_parameters
    parts = [
        Part(
            "image encoder",
            f"ViT, {vision.num_hidden_layers} layers, {vision.hidden_size} wide, patch {vision.patch_size}, "
            f"{vision.image_size} pixels",
            size(network.vision_model),
        ),
        Part(
            "text encoder",
            f"{text.num_hidden_layers} layers, {text.hidden_size} wide, {text.vocab_size} tokens, "
            f"{text.max_position_embeddings} positions",
            size(network.text_model),
        ),
    ]
    if network.config.model_type == "clip":  # in a SigLIP the text encoder's last layer is the projection
        what = f"{vision.hidden_size} and {text.hidden_size} to {network.config.projection_dim}"
        parts.append(Part("projections", what, size(network.visual_projection) + size(network.text_projection)))
    rest = size(network) - sum(part.n_parameters or 0 for part in parts)
    name = "logit scale" if rest == 1 else "logit scale and bias"
    return (*parts, Part(name, "part of the checkpoint; changes no order of cosines", rest))
