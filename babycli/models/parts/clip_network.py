"""The network of a CLIP or SigLIP checkpoint: transformers' own modules, filled from the checkpoint's weights.

Owns the module tree and the errors for a config and weights that do not fit. Never reads a file, never computes a
score. A weight that is missing, left over or of a wrong shape is an error: transformers only warns, and goes on with
random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from babycli.errors import ModelError
from babycli.models.base import Part
from babycli.models.parts import checkpoint
from babycli.models.parts.precision import in_dtype, notes_on_broken, torch_dtype
from babycli.models.parts.transformers_calls import reading

_CLASSES: Mapping[str, tuple[Any, Any]] = {"clip": (CLIPConfig, CLIPModel), "siglip": (SiglipConfig, SiglipModel)}
_LEGACY_BUFFER = "embeddings.position_ids"  # 0, 1, 2, ...: saved by early versions, computed anew


def build(folder: Path, config: Mapping[str, Any]) -> Any:
    """Builds the network that config.json describes; parameters are on the meta device, buffers are real."""
    config_class, model_class = _CLASSES[config["model_type"]]
    with reading(f"{folder / 'config.json'} does not describe a {config['model_type']} model"), init_empty_weights():
        return model_class(config_class.from_dict(dict(config)))


def fill(folder: Path, network: Any, weights: Mapping[str, Tensor], dtype: str) -> tuple[str, ...]:
    """Puts the weights into the network, in ``dtype``; gives notes for the reader of the numbers. Raises ModelError."""
    kept = {name: tensor for name, tensor in weights.items() if not name.endswith(_LEGACY_BUFFER)}
    given = in_dtype(kept, torch_dtype(dtype))
    try:
        checkpoint.check_names(network, given, f"{network.config.model_type} model", frozenset())
    except ModelError as error:
        raise ModelError(f"{folder}: {error.message}", error.mend) from error
    network.load_state_dict(given, assign=True)
    return notes_on_broken(given.values())


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
