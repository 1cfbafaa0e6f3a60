"""Building vision towers from a config and weights: BabyLLaVA's own, and CLIP's as LLaVA uses it.

Owns which tower a config means, and its number of positions. Never reads a file: weights come in as a state dict.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import init_empty_weights
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn

from babycli.errors import ModelError
from babycli.models.parts import checkpoint
from babycli.models.parts.known_keys import CLIP_VISION, used_by
from babycli.models.parts.vision import ResNeXt, ResNeXtSpec, ViT, ViTSpec, other_tokens, torchvision_names
from babycli.wording import listed, one_line

# The errors of PyTorch and transformers for settings that describe no model.
BAD_SETTINGS = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    StrictDataclassError,
)


@dataclass(frozen=True, slots=True)
class Tower:
    """A vision tower: (n, 3, height, width) -> (n, n_positions, size)."""

    module: nn.Module
    n_positions: int
    size: int
    what: str  # for people
    settings: str  # all that its output depends on, besides weights and picture
    notes: tuple[str, ...] = ()  # for a reader of the numbers


def baby_tower(config: Mapping[str, Any], weights: Mapping[str, Tensor] | None, names: Collection[str] = ()) -> Tower:
    """Builds a ResNeXt-50 or ViT-L/16 from weights with torchvision's or timm's names; without any, on the meta device.

    The names of the weights tell which of the two it is, and whether it has LayerScale; without them, config.json has
    to: its ``mm_vision_tower``, or the width of the tower. Raises ModelError.
    """
    # babycli's own extension, for the bundled small model: the shape of a tower other than the published one.
    shape = config.get("mm_vision_tower_shape", {})
    renamed = None if weights is None else torchvision_names(weights)
    given = names if weights is None else weights
    seen = torchvision_names(dict.fromkeys(given))
    is_vit = "class_token" in seen if seen else _means_vit(config)
    try:
        with torch.device("meta"):  # its sizes are not to be believed before the weights were looked at
            if is_vit:
                vit = ViTSpec(**shape)
                name = "ViT-L/16" if vit == ViTSpec() else f"ViT, {vit.layers} layers"
                if any(name.endswith(".ls_1.gamma") for name in seen):
                    vit, name = replace(vit, is_scaled=True), f"{name} with LayerScale"
                parts: tuple[nn.Module, int, int, str] = (ViT(vit), vit.positions, vit.hidden_size, name)
            else:
                resnext = ResNeXtSpec.from_config(shape)
                name = "ResNeXt-50 32x4d" if resnext == ResNeXtSpec() else f"ResNeXt, stages of {resnext.depths}"
                parts = (ResNeXt(resnext), 49, resnext.out_channels, name)
    except BAD_SETTINGS as error:
        raise ModelError(
            f"config.json: mm_vision_tower_shape {shape!r} describes no tower: {one_line(error)}"
        ) from error
    module, n_positions, size, name = parts
    settings = f"{name} {shape}"
    if renamed is not None:
        counters = frozenset(name for name in module.state_dict() if name.endswith("num_batches_tracked"))
        checkpoint.check_names(module, renamed, "vision tower", counters)
        module.load_state_dict(checkpoint.with_counters(module, renamed), assign=True)
    notes = _on_other_tokens(given)
    return Tower(module, n_positions, size, f"{name}, {n_positions} positions of {size}", settings, notes)


def _means_vit(config: Mapping[str, Any]) -> bool:
    """Tells whether config.json means a ViT: by the tower's name, or where that says nothing by its width."""
    name = str(config.get("mm_vision_tower")).lower()
    if "resnext" in name or "vit" in name:
        return "resnext" not in name
    return config.get("mm_hidden_size") == ViTSpec().hidden_size


def _on_other_tokens(names: Collection[str]) -> tuple[str, ...]:
    others = other_tokens(names)
    return (f"of the vision tower's weights not used, as in the original: {listed(others)}",) if others else ()


class ClipFeatures(nn.Module):
    """The output of CLIP's vision transformer at a chosen layer: (n, 3, size, size) -> (n, positions, hidden)."""

    def __init__(self, clip: nn.Module, layer: int, keeps_class_token: bool) -> None:
        super().__init__()
        self.clip = clip
        self.layer = layer  # index into the hidden states: 0 embeddings, -1 the last layer
        self.start = 0 if keeps_class_token else 1

    def forward(self, pixels: Tensor) -> Tensor:
        states = self.clip(pixels, output_hidden_states=True).hidden_states
        out: Tensor = states[self.layer][:, self.start :]
        return out


def clip_tower(
    vision_config: Mapping[str, Any], layer: int, feature: str, weights: Mapping[str, Tensor] | None
) -> Tower:
    """Builds CLIP's vision transformer as LLaVA reads it.

    ``layer`` -2 is the penultimate one, ``feature`` is "patch" or "cls_patch", ``weights`` are those of a CLIP model or
    of its vision part alone. Raises ModelError. Source: clip_encoder.py in llava/model/multimodal_encoder of LLaVA 1.5.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel

    if feature not in ("patch", "cls_patch"):
        raise ModelError(f"config.json: mm_vision_select_feature {feature!r} is not one of patch, cls_patch")
    try:
        config = CLIPVisionConfig(**used_by(CLIPVisionConfig, vision_config, CLIP_VISION))
        with torch.device("meta"):
            clip = CLIPVisionModel(config)
    except BAD_SETTINGS as error:
        raise ModelError(f"the vision tower's config.json describes no CLIP: {one_line(error)}") from error
    if not -config.num_hidden_layers - 1 <= layer <= config.num_hidden_layers:
        raise ModelError(f"config.json: the vision tower has no layer {layer}, only {config.num_hidden_layers}")
    if weights is not None:
        # Versions of transformers differ in whether the names of a vision model begin with "vision_model.".
        own = {name.removeprefix("vision_model."): name for name in clip.state_dict()}
        given = {
            own.get(name, name): tensor
            for name, tensor in clip_vision_weights(weights).items()
            if not name.endswith("position_ids")
        }
        checkpoint.check_names(clip, given, "vision tower", frozenset())
        with init_empty_weights():  # buffers are real: those of positions are in no checkpoint
            clip = CLIPVisionModel(config)
        clip.load_state_dict(given, assign=True)
    n_patches = (int(vision_config.get("image_size", 224)) // int(vision_config.get("patch_size", 32))) ** 2
    n_positions = n_patches + (feature == "cls_patch")
    what = f"CLIP ViT, {config.num_hidden_layers} layers, patch {config.patch_size}, {config.image_size} pixels"
    return Tower(
        ClipFeatures(clip, layer, feature == "cls_patch"),
        n_positions,
        config.hidden_size,
        f"{what}, layer {layer}, {n_positions} positions of {config.hidden_size}",
        f"CLIP {layer} {feature} {sorted(vision_config.items())}",
    )


def clip_vision_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gives the vision transformer's weights in a CLIP checkpoint, with names without ``vision_model.``."""
    share = {
        re.sub(r"^vision_model\.", "", name): tensor
        for name, tensor in weights.items()
        if name.startswith("vision_model.")
    }
    return share or dict(weights)
