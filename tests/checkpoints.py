"""Small checkpoints in the published format, made by tests: seeded random weights, a few hundred kilobytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from babycli.models.parts.vision import ResNeXt, ResNeXtSpec, projector

SPECIAL = ("<pad>", "<unk>", "<sos>", "<eos>")
# The words of the demo's labels.
_DEMO_OBJECTS = ("ball", "star", "house", "fish", "tree", "cup", "car", "boat")
DEMO_WORDS = (*_DEMO_OBJECTS, "red", "blue", "green", "yellow", "pink", "black")
TOWER_SHAPE: dict[str, Any] = {"depths": [1, 1, 1, 1], "stem_channels": 8, "width": 8, "groups": 2, "expansion": 1.0}
VISION_SIZE = 64
HIDDEN = 32


def word_tokenizer(words: Sequence[str]) -> dict[str, Any]:
    """tokenizer.json of a word-level tokenizer: the special tokens, then the words."""
    vocab = {word: i for i, word in enumerate([*SPECIAL, *dict.fromkeys(words)])}
    added = [
        {"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        | {"special": True}
        for i, s in enumerate(SPECIAL)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    }


def weights_of(
    trunk: str, n_tokens: int, seed: int, mean_scale: float = 1.0, tower: Mapping[str, Any] = TOWER_SHAPE
) -> dict[str, Tensor]:
    """The state dict of a small BabyLLaVA whose language model is "transformer" (GPT-2) or "model" (Llama)."""
    torch.manual_seed(seed)
    text: Any = GPT2LMHeadModel(GPT2Config(**gpt2_settings(n_tokens)))
    if trunk == "model":
        text = LlamaForCausalLM(LlamaConfig(**llama_settings(n_tokens)))
    parts = {
        f"{trunk}.vision_tower.vision_tower.": ResNeXt(ResNeXtSpec.from_config(tower)),
        f"{trunk}.mm_projector.": projector("mlp2x_gelu", VISION_SIZE, HIDDEN),
        "": text,
    }
    weights = {prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.state_dict().items()}
    for name, tensor in weights.items():  # larger than initial weights, so that answers differ by more than rounding
        if tensor.dim() > 1:
            weights[name] = tensor * 5 * mean_scale
    if trunk == "transformer":
        del weights["lm_head.weight"]  # tied
    return weights


def gpt2_settings(n_tokens: int) -> dict[str, Any]:
    return {"vocab_size": n_tokens, "n_positions": 128, "n_embd": HIDDEN, "n_layer": 2, "n_head": 2} | {
        "bos_token_id": 2,
        "eos_token_id": 3,
    }


def llama_settings(n_tokens: int) -> dict[str, Any]:
    return {
        "vocab_size": n_tokens,
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "tie_word_embeddings": False,
    }


def write_checkpoint(
    folder: Path,
    words: Sequence[str],
    *,
    trunk: str = "transformer",
    seed: int = 0,
    tower: Mapping[str, Any] = TOWER_SHAPE,
    config: Mapping[str, Any] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    tokenizer_config: Mapping[str, Any] | None = None,
) -> Path:
    """A whole checkpoint; ``config`` and ``tokenizer_config`` override single keys, ``weights`` all tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = word_tokenizer(words)
    n_tokens = len(tokenizer["model"]["vocab"])
    kind = "llava_gpt2" if trunk == "transformer" else "llava_llama"
    text = gpt2_settings(n_tokens) if trunk == "transformer" else llama_settings(n_tokens)
    settings = text | {
        "model_type": kind,
        "image_aspect_ratio": "pad",
        "mm_hidden_size": VISION_SIZE,
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_vision_tower": "test/resnext50_small",
        "mm_vision_tower_shape": dict(tower),
    }
    token_names = {"bos_token": "<sos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    files = {
        "config.json": settings | dict(config or {}),
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": token_names
        | {"tokenizer_class": "PreTrainedTokenizerFast"}
        | dict(tokenizer_config or {}),
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    tensors = weights_of(trunk, n_tokens, seed, tower=tower) if weights is None else weights
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


ROOM = 512  # positions for several pictures, 49 each, and the words of several turns


def roomy_settings(trunk: str) -> dict[str, Any]:
    return {"n_positions": ROOM} if trunk == "transformer" else {"max_position_embeddings": ROOM}


def write_roomy(folder: Path, words: Sequence[str], *, trunk: str, **more: Any) -> Path:
    """A checkpoint with ROOM positions, whose answers depend on the order of pictures, as those of a trained one do.

    Random weights attend to everything alike, and GPT-2's places are then lost in what is seen.
    """
    n_tokens = len(SPECIAL) + len(dict.fromkeys(words))
    weights = weights_of(trunk, n_tokens, 3 if trunk == "transformer" else 6, 0.5 if trunk == "transformer" else 1.0)
    if trunk == "transformer":
        for name in weights:
            weights[name] = weights[name] * (20 if ".attn.c_" in name and name.endswith("weight") else 1)
        weights["transformer.wpe.weight"] = torch.randn(ROOM, HIDDEN, generator=torch.Generator().manual_seed(1)) * 0.3
    config = roomy_settings(trunk) | more.pop("config", {})
    return write_checkpoint(folder, words, trunk=trunk, weights=weights, config=config, **more)
