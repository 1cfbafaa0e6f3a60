"""Small checkpoints in the format of BabyLLaVA-V2, made by tests.

A ViT in either build, a Llama of grouped queries, and a byte-level BPE that lower-cases.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from tests.checkpoints import SPECIAL

SENTENCES = (
    *("USER: How many of bottle do you see? ASSISTANT: 2", "Touch the new image. (A) (B) ASSISTANT: a"),
    *("Let's try more. left right top bottom one two three", "Which image has more of glove? b c d"),
)
PREFIX = "model.vision_tower.vision_tower."
SHAPE = {"hidden_size": 32, "layers": 2, "heads": 4, "patch_size": 32}  # 49 patches and the class token
N_POSITIONS = 50
HIDDEN = 32
_TIMM = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."),
)


@functools.cache
def tokenizer_json() -> str:
    """As the authors train it, on a few sentences."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator([*SENTENCES, "\n"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<sos> $A", special_tokens=[("<sos>", 2)])
    text: str = tokenizer.to_str()
    return text


def tower_weights(build: str, seed: int = 1) -> dict[str, Tensor]:
    """The weights of a ViT in torchvision's names ("tv") or timm's with LayerScale ("timm")."""
    weights = plain_tower(build, seed)
    return weights if build == "tv" else {_timm_name(name): tensor for name, tensor in weights.items()}


def plain_tower(build: str, seed: int = 1) -> dict[str, Tensor]:
    """The same weights in torchvision's names, which knows no LayerScale: its names stay timm's."""
    draw = torch.Generator().manual_seed(seed)
    wide = SHAPE["hidden_size"]

    def near(centre: float, spread: float, *size: int) -> Tensor:
        return centre + spread * torch.randn(size, generator=draw)

    weights = {
        "class_token": near(0, 0.3, 1, 1, wide),
        "conv_proj.weight": near(0, 0.03, wide, 3, 32, 32),
        "conv_proj.bias": near(0, 0.1, wide),
        "encoder.pos_embedding": near(0, 0.3, 1, N_POSITIONS, wide),
        "encoder.ln.weight": near(1, 0.1, wide),
        "encoder.ln.bias": near(0, 0.1, wide),
    }
    for i in range(SHAPE["layers"]):
        layer = f"encoder.layers.encoder_layer_{i}."
        sizes = {"self_attention.in_proj_": 3, "mlp.0.": 4, "self_attention.out_proj.": 1}
        for name, times in sizes.items():
            weights[f"{layer}{name}weight"] = near(0, 0.3, times * wide, wide)
            weights[f"{layer}{name}bias"] = near(0, 0.1, times * wide)
        weights[f"{layer}mlp.3.weight"], weights[f"{layer}mlp.3.bias"] = (
            near(0, 0.2, wide, 4 * wide),
            near(0, 0.1, wide),
        )
        for norm in ("ln_1", "ln_2"):
            weights[f"{layer}{norm}.weight"], weights[f"{layer}{norm}.bias"] = near(1, 0.2, wide), near(0, 0.1, wide)
        if build == "timm":
            weights |= {f"{layer}ls{k}.gamma": near(0.5, 0.3, wide) for k in (1, 2)}
    return weights


def _timm_name(name: str) -> str:
    for pattern, replacement in _TIMM:
        name = re.sub(pattern, replacement, name)
    return name


def text_settings() -> dict[str, Any]:
    n_tokens = len(json.loads(tokenizer_json())["model"]["vocab"])
    return {"vocab_size": n_tokens, "hidden_size": HIDDEN, "intermediate_size": 48, "num_hidden_layers": 2} | {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }


def v2_weights(tower: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a whole checkpoint, with a tower's weights under their own names."""
    torch.manual_seed(seed)
    text = LlamaForCausalLM(LlamaConfig(**text_settings())).state_dict()
    weights = {name: tensor * 12 if tensor.dim() > 1 else tensor for name, tensor in text.items()}
    weights["lm_head.weight"][3] *= 2  # replies end
    draw = torch.Generator().manual_seed(seed)
    for i, wide in ((0, SHAPE["hidden_size"]), (2, HIDDEN)):
        weights[f"model.mm_projector.{i}.weight"] = torch.randn(HIDDEN, wide, generator=draw) * 0.4
        weights[f"model.mm_projector.{i}.bias"] = torch.randn(HIDDEN, generator=draw) * 0.1
    return weights | {PREFIX + name: tensor for name, tensor in tower.items()}


def write_v2(folder: Path, tower: Mapping[str, Tensor], **config: Any) -> Path:
    """A whole checkpoint; ``config`` overrides single keys, and those that are None are left out."""
    folder.mkdir(parents=True)
    weights = {name: tensor.contiguous() for name, tensor in v2_weights(tower).items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    settings = text_settings() | {
        "model_type": "llava_llama",
        "mm_vision_tower": "/home/somebody/towers/vitl16.pth",
        "mm_vision_tower_shape": SHAPE,
        "mm_hidden_size": SHAPE["hidden_size"],
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_vision_select_layer": -2,
        "image_aspect_ratio": "pad",
        "tokenizer_model_max_length": 8192,
        "unk_token_id": 1,
    }
    kept = {key: value for key, value in (settings | config).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    names = {"bos_token": "<sos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    class_name = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}
    (folder / "tokenizer_config.json").write_text(json.dumps(names | class_name))
    return folder
