"""Small checkpoints of six architectures of transformers: seeded random weights, a tokenizer, a chat template.

Each has another way from a picture to tokens: patches in a grid (Qwen2-VL), tiles with tags (Idefics3, SmolVLM), tiles
(InternVL), a fixed number in brackets (Gemma 3), a fixed number (LLaVA with Qwen2).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

LIBRARY: Any = transformers  # many of its functions have no types
SENTENCES = ["What is in the image? It is a ball. It is a red cat. The baby sees a blue car."] * 4
START, END = "<|im_start|>", "<|im_end|>"
TEXT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4} | {
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.3,
}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4} | {
    "initializer_range": 0.3
}


def chatml(picture: str) -> str:
    """A chat template that writes ``picture`` for each picture."""
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + picture + "{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


# Without a newline in front of the answer, and with a BOS of its own.
COLON = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ 'Assistant:' if message['role'] == 'assistant' else 'User:' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def make_tokenizer(*specials: str, bos: str | None = None, eos: str = END, **named: str) -> Any:
    """Byte-level BPE with some merges; ``bos`` is put in front of every text, as Llama's tokenizers do."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    every = [s for s in ("<pad>", bos, eos, *specials, *named.values()) if s]
    trainer = trainers.BpeTrainer(
        vocab_size=310,
        special_tokens=list(dict.fromkeys(every)),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(SENTENCES, trainer)
    if bos:
        from tokenizers.processors import TemplateProcessing

        core.post_processor = TemplateProcessing(f"{bos} $A", f"{bos} $A {bos} $B", [(bos, core.token_to_id(bos))])
    begin = {"bos_token": bos} if bos else {}
    extra = {"extra_special_tokens": named} if named else {}
    return LIBRARY.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token=eos,
        additional_special_tokens=list(specials),
        **begin,
        **extra,
    )


def ids_of(tokenizer: Any, **keys: str) -> dict[str, int]:
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in keys.items()}


def text_settings(tokenizer: Any, **more: Any) -> dict[str, Any]:
    marks = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id}
    return TEXT | {"vocab_size": len(tokenizer) + 3} | marks | {"eos_token_id": tokenizer.eos_token_id} | more


@dataclass(frozen=True, slots=True)
class Kind:
    """An architecture, and its conversation written out."""

    make: Callable[[], tuple[Any, Any, Any, dict[str, Any]]]  # network, tokenizer, image processor, processor's keys
    processor: str  # the name of its class
    template: str
    before: str  # the conversation up to the message
    picture: str  # how the template writes a picture
    after: str  # from the message to the answer
    gap: str = ""  # what stands between the template's end and the answer
    adds_bos: bool = False  # the tokenizer puts a BOS in front of it
    all_in_one: bool = True  # it is saved as transformers 5 saves it


def qwen_parts() -> tuple[Any, dict[str, Any], Any]:
    """The tokenizer, the settings of text and marks, and the image processor of Qwen2-VL and its successor."""
    tokenizer = make_tokenizer(START, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    marks = ids_of(
        tokenizer,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    settings = {"text_config": text_settings(tokenizer, rope_parameters=rope)} | marks
    images = LIBRARY.Qwen2VLImageProcessorPil(patch_size=7, min_pixels=14 * 14, max_pixels=14 * 14 * 12)
    return tokenizer, settings, images


def qwen2_vl() -> tuple[Any, Any, Any, dict[str, Any]]:
    tokenizer, settings, images = qwen_parts()
    config = LIBRARY.Qwen2VLConfig(
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "patch_size": 7, "mlp_ratio": 2},
        **settings,
    )
    return LIBRARY.Qwen2VLForConditionalGeneration(config), tokenizer, images, {}


def idefics3() -> tuple[Any, Any, Any, dict[str, Any]]:
    tags = [f"<row_{r}_col_{c}>" for r in range(1, 4) for c in range(1, 4)]
    tokenizer = make_tokenizer(
        "<image>", "<fake_token_around_image>", "<global-img>", *tags, bos="<s>", eos="<end_of_utterance>"
    )
    config = LIBRARY.Idefics3Config(
        text_config={"model_type": "llama"} | text_settings(tokenizer),
        vision_config=VISION | {"image_size": 28, "patch_size": 7},
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
        **ids_of(tokenizer, image_token_id="<image>"),
    )
    images = LIBRARY.Idefics3ImageProcessorPil(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})
    return LIBRARY.Idefics3ForConditionalGeneration(config), tokenizer, images, {"image_seq_len": 4}


def smolvlm() -> tuple[Any, Any, Any, dict[str, Any]]:
    tags = [f"<row_{r}_col_{c}>" for r in range(1, 4) for c in range(1, 4)]
    tokenizer = make_tokenizer(
        *tags,
        bos="<s>",
        eos="<end_of_utterance>",
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
    )
    config = LIBRARY.SmolVLMConfig(
        text_config={"model_type": "llama"} | text_settings(tokenizer),
        vision_config=VISION | {"image_size": 28, "patch_size": 7},
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
        **ids_of(tokenizer, image_token_id="<image>"),
    )
    images = LIBRARY.SmolVLMImageProcessorPil(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})
    return LIBRARY.SmolVLMForConditionalGeneration(config), tokenizer, images, {"image_seq_len": 4}


def internvl() -> tuple[Any, Any, Any, dict[str, Any]]:
    tokenizer = make_tokenizer(
        START,
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = LIBRARY.InternVLConfig(
        text_config={"model_type": "qwen2"} | text_settings(tokenizer),
        vision_config=VISION | {"image_size": [28, 28], "patch_size": [7, 7]},
        image_seq_length=4,
        downsample_ratio=0.5,
        **ids_of(tokenizer, image_token_id="<IMG_CONTEXT>"),
    )
    images = LIBRARY.GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    return LIBRARY.InternVLForConditionalGeneration(config), tokenizer, images, {"image_seq_length": 4}


def gemma3() -> tuple[Any, Any, Any, dict[str, Any]]:
    tokenizer = make_tokenizer(
        START, bos="<bos>", boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>"
    )
    layers = ["sliding_attention", "full_attention"]
    config = LIBRARY.Gemma3Config(
        tie_word_embeddings=False,
        text_config=text_settings(tokenizer, head_dim=8, sliding_window=16, layer_types=layers),
        vision_config=VISION | {"image_size": 28, "patch_size": 7},
        mm_tokens_per_image=4,
        **ids_of(tokenizer, boi_token_index="<start_of_image>", eoi_token_index="<end_of_image>"),
        **ids_of(tokenizer, image_token_id="<image_soft_token>"),
    )
    images = LIBRARY.Gemma3ImageProcessorPil(size={"height": 28, "width": 28})
    return LIBRARY.Gemma3ForConditionalGeneration(config), tokenizer, images, {"image_seq_length": 4}


def llava_qwen2() -> tuple[Any, Any, Any, dict[str, Any]]:
    tokenizer = make_tokenizer(START, "<image>")
    config = LIBRARY.LlavaConfig(
        text_config={"model_type": "qwen2"} | text_settings(tokenizer),
        vision_config={"model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7} | VISION,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=16,
        tie_word_embeddings=True,
        **ids_of(tokenizer, image_token_id="<image>"),
    )
    images = LIBRARY.SiglipImageProcessorPil(size={"height": 28, "width": 28})
    return (
        LIBRARY.LlavaForConditionalGeneration(config),
        tokenizer,
        images,
        {"patch_size": 7, "vision_feature_select_strategy": "full"},
    )


def qwen2_5_vl() -> tuple[Any, Any, Any, dict[str, Any]]:
    """As Qwen2-VL, with attention in windows of the picture."""
    tokenizer, settings, images = qwen_parts()
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "patch_size": 7}
    config = LIBRARY.Qwen2_5_VLConfig(
        vision_config=vision | {"window_size": 28, "out_hidden_size": 32, "fullatt_block_indexes": [1]},
        **settings,
    )
    return LIBRARY.Qwen2_5_VLForConditionalGeneration(config), tokenizer, images, {}


def llava_onevision() -> tuple[Any, Any, Any, dict[str, Any]]:
    """A picture alone is cut into tiles; of several, each is one tile."""
    tokenizer = make_tokenizer(START, "<image>", "<video>")
    grid = [[28, 56], [56, 28], [56, 56]]
    config = LIBRARY.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2"} | text_settings(tokenizer),
        vision_config={"model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7}
        | {"vision_use_head": False}
        | VISION,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_grid_pinpoints=grid,
        **ids_of(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    images = LIBRARY.LlavaOnevisionImageProcessorPil(size={"height": 28, "width": 28}, image_grid_pinpoints=grid)
    keys = {"num_image_tokens": 16, "vision_feature_select_strategy": "full"}
    return LIBRARY.LlavaOnevisionForConditionalGeneration(config), tokenizer, images, keys


# The templates of published checkpoints, as far as they decide where words and pictures go.

# Qwen2.5-VL: a system prompt if there is none.
WITH_SYSTEM = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# SmolVLM and Idefics3: a space behind the name, unless a picture comes first.
COLON_SPACE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
# Gemma 3: sides must alternate, and each piece of words is stripped.
STRIPPED = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}"
    "{% endif %}<|im_start|>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<start_of_image>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
# LLaVA-OneVision and LLaVA-NeXT: of each message first all pictures, then all words, each piece on a line.
PICTURES_FIRST = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + part['text'] }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


USER, ASSISTANT = f"{START}user\n", f"{END}\n{START}assistant\n"
QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
KINDS = {
    "qwen2_vl": Kind(
        qwen2_vl, "Qwen2VLProcessor", chatml(QWEN_PICTURE), USER, QWEN_PICTURE, ASSISTANT, all_in_one=False
    ),
    "idefics3": Kind(
        idefics3, "Idefics3Processor", COLON, "<s>User:", "<image>", "<end_of_utterance>\nAssistant:", gap=" "
    ),
    "smolvlm": Kind(
        smolvlm,
        "SmolVLMProcessor",
        COLON,
        "<s>User:",
        "<image>",
        "<end_of_utterance>\nAssistant:",
        gap=" ",
        all_in_one=False,
    ),
    "internvl": Kind(
        internvl, "InternVLProcessor", chatml("<IMG_CONTEXT>\n"), USER, "<IMG_CONTEXT>\n", ASSISTANT, all_in_one=False
    ),
    "gemma3": Kind(
        gemma3, "Gemma3Processor", chatml("<start_of_image>"), USER, "<start_of_image>", ASSISTANT, adds_bos=True
    ),
    "llava": Kind(llava_qwen2, "LlavaProcessor", chatml("<image>\n"), USER, "<image>\n", ASSISTANT),
}


# Further ones, which only the tests of several pictures need.
MORE_KINDS = {
    "qwen2_5_vl": Kind(qwen2_5_vl, "Qwen2_5_VLProcessor", WITH_SYSTEM, USER, QWEN_PICTURE, ASSISTANT, all_in_one=False),
    "llava_onevision": Kind(
        llava_onevision, "LlavaOnevisionProcessor", PICTURES_FIRST, USER, "<image>", ASSISTANT, all_in_one=False
    ),
}


def write_hf(folder: Path, kind: str, seed: int = 0, template: str = "") -> Path:
    """A checkpoint folder as transformers saves it, with a chat template instead of the kind's own if one is given.

    Where no video processor is needed, the processor writes its own files: all in one, as transformers 5 does. For the
    others they are written one by one, as older versions did.
    """
    one = (KINDS | MORE_KINDS)[kind]
    template = template or one.template
    torch.manual_seed(seed)
    network, tokenizer, images, keys = one.make()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():  # biases, and Gemma's projector: as they are, no picture would count
                parameter.normal_(std=0.3)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.generation_config.pad_token_id = tokenizer.pad_token_id
    network.save_pretrained(folder)
    if one.all_in_one:
        tokenizer.chat_template = template
        getattr(LIBRARY, one.processor)(image_processor=images, tokenizer=tokenizer, **keys).save_pretrained(folder)
    else:
        tokenizer.save_pretrained(folder)
        images.save_pretrained(folder)
        (folder / "processor_config.json").write_text(json.dumps({"processor_class": one.processor} | keys))
    (folder / "chat_template.jinja").write_text(template)
    return folder
