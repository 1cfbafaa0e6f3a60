"""Small LLaVA-1.5 checkpoints in both formats, and CLIP towers, made by tests: seeded random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from babycli.models.parts.vision import projector
from tests.checkpoints import llama_settings
from tests.models.loading import letter_pieces

EDGE, PATCH, VISION = 28, 7, 48  # 16 patches
HIDDEN = 32
SENTENCES = ["USER: What's the object in the image? ASSISTANT: ball red cat blue", "A chat between a curious user."]
N_TOKENS = 3 + 256 + len(set("".join(SENTENCES).replace(" ", "▁")) | {"▁"})  # special, bytes, letters
TOWER = "openai/clip-small"


def vision_settings() -> dict[str, Any]:
    return {"hidden_size": VISION, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3} | {
        "image_size": EDGE,
        "patch_size": PATCH,
        "hidden_act": "quick_gelu",
        "projection_dim": 16,
    }


def clip_weights(seed: int) -> dict[str, Tensor]:
    """A vision transformer's weights, named as CLIP checkpoints name them."""
    torch.manual_seed(seed)
    state = CLIPVisionModel(CLIPVisionConfig(**vision_settings())).state_dict()
    return {f"vision_model.{name.removeprefix('vision_model.')}": tensor * 3 for name, tensor in state.items()}


def write_tower(folder: Path, seed: int = 1, **settings: Any) -> Path:
    """A CLIP checkpoint, with some of what a vision tower ignores."""
    folder.mkdir(parents=True, exist_ok=True)
    extra = {"logit_scale": torch.tensor(4.6), "visual_projection.weight": torch.zeros(16, VISION)}
    torch.save(clip_weights(seed) | extra, folder / "pytorch_model.bin")
    config = {"model_type": "clip", "vision_config": vision_settings() | {"model_type": "clip_vision_model"}}
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"crop_size": EDGE, "size": EDGE, "resample": 3} | settings
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def write_llava(folder: Path, *, seed: int = 0, own_tower: Mapping[str, Tensor] | None = None, **config: Any) -> Path:
    """The original's format; ``own_tower`` puts tower weights into the checkpoint as well."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(letter_pieces(SENTENCES))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names | {"legacy": False, "add_bos_token": True}))
    text = llama_settings(N_TOKENS) | {"bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 256}
    torch.manual_seed(seed)
    weights = {n: w * 4 if w.dim() > 1 else w for n, w in LlamaForCausalLM(LlamaConfig(**text)).state_dict().items()}
    weights |= {f"model.mm_projector.{n}": w for n, w in projector("mlp2x_gelu", VISION, HIDDEN).state_dict().items()}
    weights |= {f"model.vision_tower.vision_tower.{n}": w for n, w in (own_tower or {}).items()}
    save_file({n: w.contiguous() for n, w in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    settings = text | {
        "model_type": "llava",
        "mm_vision_tower": TOWER,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_patch_token": False,
        "image_aspect_ratio": "pad",
    }
    (folder / "config.json").write_text(json.dumps(settings | config))
    return folder


def as_transformers(source: Path, tower: Path, folder: Path, naming: str = "language_model.model.") -> Path:
    """The same model as transformers saves it; ``naming`` of its version 4.3x, or "model.language_model." of 4.5x.

    Weights may be in .bin shards or in safetensors.
    """
    folder.mkdir()
    outer = "model." if naming.startswith("model.") else ""
    weights: dict[str, Tensor] = {}
    for name, tensor in weights_in(source).items():
        if ".mm_projector." in name:
            layer = "linear_1" if ".mm_projector.0." in name else "linear_2"
            weights[f"{outer}multi_modal_projector.{layer}.{name.rsplit('.', 1)[1]}"] = tensor
        elif name == "lm_head.weight":
            weights["lm_head.weight" if outer else "language_model.lm_head.weight"] = tensor
        elif "vision_tower" not in name and "inv_freq" not in name:
            weights[naming + name.removeprefix("model.")] = tensor
    for name, tensor in weights_in(tower).items():
        if name.startswith("vision_model.") and not name.endswith("position_ids"):
            weights[f"{outer}vision_tower.{name}"] = tensor
    save_file({n: w.contiguous() for n, w in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
        if (source / name).is_file():
            (folder / name).write_bytes((source / name).read_bytes())
    (folder / "preprocessor_config.json").write_bytes((tower / "preprocessor_config.json").read_bytes())
    own = json.loads((source / "config.json").read_text())
    text = {k: v for k, v in own.items() if not k.startswith(("mm_", "model_type", "architectures", "image_"))}
    vision = json.loads((tower / "config.json").read_text())["vision_config"]
    config = {"model_type": "llava", "text_config": text | {"model_type": "llama"}, "vision_config": vision}
    (folder / "config.json").write_text(json.dumps(config | {"vision_feature_layer": -2, "image_token_index": 5}))
    return folder


def weights_in(folder: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        weights |= load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    return weights
