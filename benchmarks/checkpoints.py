"""Checkpoints of published shapes with seeded random weights, for benchmarks: no hub is needed.

BabyLLaVA: ResNeXt-50 32x4d, a two-layer projector and a GPT-2 of 8 layers and 256 units (7.18 million parameters with a
vocabulary of 2,350 words, as in arXiv 2504.09426). BabyLLaVA-V2: ViT-L/16 and TinyLlama's Llama. LLaVA-1.5-7B: CLIP
ViT-L/14 at 336 pixels and Vicuna's Llama.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from babycli.models.parts.vision import ResNeXt, ResNeXtSpec, ViT, ViTSpec, projector

SPECIAL = ("<pad>", "<unk>", "<sos>", "<eos>")
BABY_TEXT: dict[str, Any] = {"n_embd": 256, "n_layer": 8, "n_head": 8, "n_positions": 1024}
N_WORDS = 2350


@dataclass(frozen=True, slots=True)
class LlavaShape:
    """Sizes of a LLaVA-1.5; the defaults are those of the 7B."""

    hidden: int = 4096
    inner: int = 11008
    layers: int = 32
    heads: int = 32
    n_tokens: int = 32000
    vision_hidden: int = 1024
    vision_inner: int = 4096
    vision_layers: int = 24
    vision_heads: int = 16
    image_size: int = 336
    patch: int = 14


@dataclass(frozen=True, slots=True)
class BabyShape:
    """Sizes of a BabyLLaVA-V2's language model; the defaults are those of the published one."""

    hidden: int = 2048
    inner: int = 5632
    layers: int = 22
    heads: int = 32
    kept_heads: int = 4  # whose keys and values are shared by the others

    @classmethod
    def cut_to(cls, hidden: int) -> BabyShape:
        """A narrower one: as many layers, heads as wide, eight of which share keys and values."""
        heads = hidden // 64
        return cls(hidden, hidden * 11 // 4, heads=heads, kept_heads=max(1, heads // 8))


SMALL_LLAVA = LlavaShape(128, 352, 2, 4, 400, 64, 256, 3, 4, 56, 14)


def write_babyllava(folder: Path, words: Sequence[str], seed: int) -> Path:
    """A BabyLLaVA with the words of some label files in its vocabulary, in the format that its authors publish.

    The tower is the same whatever the seed, as in checkpoints of one training run that does not touch it.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    vocabulary = [*SPECIAL, *dict.fromkeys(words)]
    vocabulary += [f"w{i}" for i in range(N_WORDS - len(vocabulary))]
    text: dict[str, Any] = BABY_TEXT | {"vocab_size": len(vocabulary), "bos_token_id": 2, "eos_token_id": 3}
    torch.manual_seed(0)
    tower = ResNeXt(ResNeXtSpec())
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.8, 1.2)  # type: ignore[union-attr]
    torch.manual_seed(seed)
    parts: dict[str, nn.Module] = {
        "transformer.vision_tower.vision_tower.": tower,
        "transformer.mm_projector.": projector("mlp2x_gelu", 2048, 256),
        "": GPT2LMHeadModel(GPT2Config(**text)),
    }
    weights = {prefix + name: t for prefix, part in parts.items() for name, t in part.state_dict().items()}
    del weights["lm_head.weight"]  # tied
    _write(folder, weights)
    _json(
        folder / "config.json",
        text
        | {"model_type": "llava_gpt2", "image_aspect_ratio": "pad", "mm_hidden_size": 2048}
        | {"mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": False, "mm_vision_tower": "x/resnext50"},
    )
    added: list[dict[str, Any]] = [
        {"id": i, "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for i, token in enumerate(SPECIAL)
    ]
    model = {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(vocabulary)}, "unk_token": "<unk>"}
    tokenizer: dict[str, Any] = {"version": "1.0", "added_tokens": added, "model": model}
    nothing: dict[str, Any] = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    _json(folder / "tokenizer.json", tokenizer | nothing | {"pre_tokenizer": {"type": "Whitespace"}})
    names: dict[str, Any] = {"bos_token": "<sos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _json(folder / "tokenizer_config.json", names | {"tokenizer_class": "PreTrainedTokenizerFast"})
    return folder


SMALL_TOWER: dict[str, Any] = {"hidden_size": 64, "layers": 2, "heads": 4}  # of as many positions as ViT-L/16


def write_babyllava_v2(
    folder: Path, texts: Iterable[str], shape: BabyShape, dtype: torch.dtype, has_small_tower: bool = False
) -> Path:
    """A BabyLLaVA-V2 with a byte-level BPE of some texts, in the format that its authors publish."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(list(texts), trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<sos> $A", special_tokens=[("<sos>", 2)])
    text: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "hidden_size": shape.hidden} | {
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kept_heads,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "tie_word_embeddings": False,
    }
    torch.manual_seed(0)
    tower = ViTSpec(**SMALL_TOWER) if has_small_tower else ViTSpec()
    parts: dict[str, nn.Module] = {
        "model.vision_tower.vision_tower.": ViT(tower),
        "model.mm_projector.": projector("mlp2x_gelu", tower.hidden_size, shape.hidden),
        "": LlamaForCausalLM(LlamaConfig(**text)),
    }
    weights = {prefix + name: t.to(dtype) for prefix, part in parts.items() for name, t in part.state_dict().items()}
    _write(folder, weights)
    settings: dict[str, Any] = {"model_type": "llava_llama", "image_aspect_ratio": "pad"}
    settings |= {"mm_hidden_size": tower.hidden_size, "mm_vision_tower_shape": SMALL_TOWER if has_small_tower else {}}
    settings |= {"mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": False, "mm_vision_tower": "vit_scratch"}
    _json(folder / "config.json", text | settings | {"tokenizer_model_max_length": 8192})
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    names: dict[str, Any] = {"bos_token": "<sos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _json(folder / "tokenizer_config.json", names | {"tokenizer_class": "PreTrainedTokenizerFast"})
    return folder


def write_llava(folder: Path, texts: Iterable[str], shape: LlavaShape, seed: int, dtype: torch.dtype) -> Path:
    """A LLaVA-1.5 in the original's format, its CLIP tower beside it; made on the device that is there, in shards."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(seed)

    def random(*size: int) -> Tensor:
        tensor: Tensor = torch.randn(size, generator=generator, device=device) * size[-1] ** -0.5
        return tensor.to(dtype).cpu()

    tower = folder.parent / "clip" / "tower"
    vision: dict[str, Any] = {"hidden_size": shape.vision_hidden, "intermediate_size": shape.vision_inner}
    vision |= {"num_hidden_layers": shape.vision_layers, "num_attention_heads": shape.vision_heads}
    vision |= {"image_size": shape.image_size, "patch_size": shape.patch, "projection_dim": 64}
    _write(tower, {name: random(*size) for name, size in _clip_sizes(vision).items()})
    _json(tower / "config.json", {"model_type": "clip", "vision_config": vision | {"hidden_act": "quick_gelu"}})
    _json(tower / "preprocessor_config.json", {"size": shape.image_size, "crop_size": shape.image_size})

    text: dict[str, Any] = {"vocab_size": shape.n_tokens, "hidden_size": shape.hidden, "intermediate_size": shape.inner}
    text |= {"num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.heads}
    text |= {"max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 2, "rms_norm_eps": 1e-5}
    h, inner = shape.hidden, shape.inner
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, str] = {}

    def shard(name: str, tensors: dict[str, Tensor]) -> None:
        save_file(tensors, folder / name, {"format": "pt"})
        index.update(dict.fromkeys(tensors, name))

    for i in range(shape.layers):
        prefix = f"model.layers.{i}."
        sizes: dict[str, tuple[int, int]] = {f"self_attn.{p}_proj.weight": (h, h) for p in "qkvo"}
        sizes |= {
            "mlp.gate_proj.weight": (inner, h),
            "mlp.up_proj.weight": (inner, h),
            "mlp.down_proj.weight": (h, inner),
        }
        norms = {f"{prefix}{n}_layernorm.weight": torch.ones(h, dtype=dtype) for n in ("input", "post_attention")}
        shard(f"layer{i:02}.safetensors", {prefix + n: random(*size) for n, size in sizes.items()} | norms)
    ends = {"model.embed_tokens.weight": random(shape.n_tokens, h), "lm_head.weight": random(shape.n_tokens, h)}
    ends |= {"model.norm.weight": torch.ones(h, dtype=dtype)}
    ends |= {"model.mm_projector.0.weight": random(h, shape.vision_hidden), "model.mm_projector.2.weight": random(h, h)}
    ends |= {f"model.mm_projector.{i}.bias": torch.zeros(h, dtype=dtype) for i in (0, 2)}
    shard("ends.safetensors", ends)
    _json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": index})
    settings: dict[str, Any] = {"model_type": "llava", "mm_vision_tower": str(tower), "mm_projector_type": "mlp2x_gelu"}
    settings |= {"mm_vision_select_layer": -2, "mm_vision_select_feature": "patch", "image_aspect_ratio": "pad"}
    _json(folder / "config.json", text | settings | {"mm_use_im_patch_token": False})
    (folder / "tokenizer.model").write_bytes(_pieces(texts))
    names: dict[str, Any] = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "tokenizer_class": "LlamaTokenizer",
    }
    _json(folder / "tokenizer_config.json", names | {"legacy": False, "add_bos_token": True})
    return folder


def _clip_sizes(vision: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    with torch.device("meta"):
        model = CLIPVisionModel(CLIPVisionConfig(**vision))
    return {
        f"vision_model.{name.removeprefix('vision_model.')}": tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.endswith("position_ids")
    }


def _pieces(texts: Iterable[str]) -> bytes:
    """A sentencepiece model of some texts' letters: what matters here is that there is one."""
    from sentencepiece import SentencePieceTrainer

    lines = sorted(set(texts))
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        vocab_size=259 + len(set("".join(lines).replace(" ", "▁")) | {"▁"}),
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        pad_id=-1,
        minloglevel=2,
    )
    return written.getvalue()


def _write(folder: Path, weights: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
