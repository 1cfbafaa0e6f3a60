"""Folders of open_clip: what their config means in transformers' words, and their weights under transformers' names.

    open_clip_config.json         {"model_cfg": {"embed_dim", "vision_cfg", "text_cfg", ...}, "preprocess_cfg": {...}}
    open_clip_model.safetensors   or open_clip_pytorch_model.bin

Owns which of these networks transformers' CLIP can be: a vision transformer and a causal text transformer as OpenAI
made them. Of the others it says why. Never builds a network.

Source: model.py, transformer.py and convert.py of open_clip 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babycli.errors import ModelError
from babycli.models.parts import checkpoint
from babycli.models.parts.known_keys import is_number, is_whole, shown
from babycli.models.parts.weight_files import OPEN_CLIP_CONFIG

_VISION = {"image_size": 224, "layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16}
_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12, "mlp_ratio": 4.0}
# What only training uses, or only other networks, or says where the tokenizer came from: it lies in the folder.
_IDLE = {"patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads", "hf_tokenizer_name"}
_IDLE |= {"hf_model_pretrained", "hf_proj_type", "hf_pooler_type", "embed_cls", "pad_id", "eos_id", "timm_drop"}
_IDLE |= {"timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias", "timm_drop_path"}
# Everything else changes the network: only its default is what transformers' CLIP computes.
_DEFAULTS: Mapping[str, object] = {"pos_embed_type": "learnable", "proj_type": "linear", "block_type": "default"}
_POOLS = {"vision_cfg": "tok", "text_cfg": "argmax"}
_WHOLE_IDLE = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text", "init_logit_scale"}
_WHOLE_IDLE |= {"init_logit_bias", "nonscalar_logit_scale", "cast_dtype", "output_dict"}
_BLOCK = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_VISION_NAMES = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
_TEXT_NAMES = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_PROJECTIONS = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_UNUSED = ("logit_bias", "attn_mask")  # the first changes no order of cosines, the second is computed anew


@dataclass(frozen=True, slots=True)
class OpenClip:
    """A folder of open_clip."""

    file: Path
    settings: Mapping[str, Any]  # of model_cfg
    pictures: Mapping[str, Any]  # of preprocess_cfg
    why_other: str  # why transformers' CLIP cannot be this network; "" if it can


def read_open_clip(folder: Path) -> OpenClip:
    """Reads a folder's settings. Raises ModelError."""
    file = folder / OPEN_CLIP_CONFIG
    whole = checkpoint.read_json_object(file)
    settings, pictures = whole.get("model_cfg"), whole.get("preprocess_cfg", {})
    if not isinstance(settings, dict) or not isinstance(pictures, dict):
        raise ModelError(f"{file} describes no model: expected are the objects model_cfg and preprocess_cfg")
    checkpoint.check_counts(settings, file, "model_cfg.")
    if not isinstance(settings.get("quick_gelu"), bool | None):
        raise ModelError(f"{file}: model_cfg.quick_gelu {shown(settings['quick_gelu'])}: expected is true or false")
    return OpenClip(file, settings, pictures, _why_other(settings))


def _why_other(settings: Mapping[str, Any]) -> str:
    """Tells which setting makes a network that transformers' CLIP cannot be; "" for none."""
    for name, value in settings.items():
        if name not in _WHOLE_IDLE and value is not None:
            return f"{name} is {shown(value)}"
    for part, used in (("vision_cfg", _VISION), ("text_cfg", _TEXT)):
        inner = settings.get(part)
        if not isinstance(inner, dict):
            return f"{part} is {shown(inner)}"
        for name, value in inner.items():
            default = _POOLS[part] if name == "pool_type" else _DEFAULTS.get(name)
            if name in used:
                is_size = is_number(value) and math.isfinite(value) and value > 0
                if not is_size or not (name == "mlp_ratio" or is_whole(value)):
                    return f"{part}.{name} is {shown(value)}"
            elif name not in _IDLE and value not in (None, False, {}, default):
                return f"{part}.{name} is {shown(value)}"
    return ""


def as_transformers(found: OpenClip) -> dict[str, Any]:
    """Gives the config of transformers' CLIP for a folder's settings. Raises ModelError for sizes that cannot be."""
    vision, text = _VISION | found.settings["vision_cfg"], _TEXT | found.settings["text_cfg"]
    activation = "quick_gelu" if found.settings.get("quick_gelu") else "gelu"
    size = found.settings.get("embed_dim")
    if not is_whole(size) or vision["head_width"] < 1:
        raise ModelError(f"{found.file}: embed_dim {shown(size)} and vision_cfg describe no model")
    return {
        "model_type": "clip",
        "projection_dim": size,
        "vision_config": {
            "hidden_size": vision["width"],
            "intermediate_size": int(vision["width"] * vision["mlp_ratio"]),
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_act": activation,
            "projection_dim": size,
        },
        "text_config": {
            "vocab_size": text["vocab_size"],
            "hidden_size": text["width"],
            "intermediate_size": int(text["width"] * text["mlp_ratio"]),
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "hidden_act": activation,
            "projection_dim": size,
            # With this id transformers takes the vector at the largest id, as open_clip does.
            "eos_token_id": 2,
        },
    }


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gives weights under transformers' names; a name that is not open_clip's stays as it is."""
    out: dict[str, Tensor] = {}
    # With custom_text the text encoder is a module of its own.
    for name, tensor in weights.items():
        plain = name.removeprefix("text.")
        if plain in _UNUSED:
            continue
        if plain in _PROJECTIONS and tensor.dim() == 2:
            out[_PROJECTIONS[plain]] = tensor.T.contiguous()
        elif plain == "logit_scale":
            out[plain] = tensor.reshape(())
        elif plain.startswith("visual."):
            out |= _tower("vision_model", plain.removeprefix("visual."), tensor, _VISION_NAMES)
        else:
            out |= _tower("text_model", plain, tensor, _TEXT_NAMES)
    return out


def _tower(tower: str, name: str, tensor: Tensor, names: Mapping[str, str]) -> dict[str, Tensor]:
    if name in names:
        return {f"{tower}.{names[name]}": tensor}
    if not name.startswith("transformer.resblocks."):
        return {name: tensor}
    index, _, inside = name.removeprefix("transformer.resblocks.").partition(".")
    layer = f"{tower}.encoder.layers.{index}"
    if inside in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = inside.rpartition("_")[2]
        parts = torch.chunk(tensor, 3)
        return {f"{layer}.self_attn.{x}_proj.{kind}": part.clone() for x, part in zip("qkv", parts, strict=False)}
    module, _, kind = inside.rpartition(".")
    return {f"{layer}.{_BLOCK.get(module, module)}.{kind}": tensor}
