"""Damaged settings of checkpoints: config.json, and how pictures are prepared and answers written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

from fuzz_checkpoint import attempt, checkpoints, damage_one, pack
from fuzz_target import Target
from fuzz_values import damaged_json

_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "*.index.json",
)
_GENERATION = {
    "eos_token_id": 3,
    "repetition_penalty": 1.2,
    "no_repeat_ngram_size": 2,
    "suppress_tokens": [1],
    "max_length": 20,
}
_GENERATION |= {"num_beams": 2, "do_sample": True, "temperature": 0.5, "bad_words_ids": [[3]], "forced_bos_token_id": 1}
_SPARE = (
    *("llava", "llava_llama", "qwen2_vl", "gemma3", "gpt2", "llama", "clip", "siglip", "bert", "t5", "timm_wrapper"),
    *("gelu", "relu", "nope", "float16", "bfloat16", "int8", "eager", "flash_attention_2", "linear", "mlp9x_gelu"),
    *("pad", "anyres", "cls_patch", "full_attention", "default", "yarn", {"rope_type": "yarn", "factor": 0}),
    *({"model_type": "llama"}, {"model_type": "bert"}, {"quant_method": "gptq"}, {"height": 0, "width": -1}),
)


def _samples() -> Sequence[bytes]:
    samples = []
    for files in checkpoints().values():
        more = {"model/generation_config.json": json.dumps(_GENERATION).encode()}
        weights = files["model/model.safetensors"]
        names = _names(weights)
        index = json.dumps(
            {"metadata": {"total_size": len(weights)}, "weight_map": dict.fromkeys(names, "a.safetensors")}
        )
        sharded = {"model/model.safetensors.index.json": index.encode(), "model/a.safetensors": weights}
        rest = {name: content for name, content in files.items() if name != "model/model.safetensors"}
        samples += [pack(files), pack({**more, **files}), pack(rest | sharded)]
    return samples


def _names(weights: bytes) -> list[str]:
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    return [name for name in header if name != "__metadata__"]


def _damaged(rng: Random, name: str, content: bytes) -> bytes:
    return damaged_json(rng, content, _SPARE)


TARGET = Target("configs", _samples, attempt, damage_one(_FILES, _damaged, bytes_too=0.05))
