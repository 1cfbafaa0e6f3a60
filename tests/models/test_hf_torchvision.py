"""Models whose processors transformers makes with torchvision alone: against transformers itself where that is there.

Without it they are refused, and the mend names it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.hf_checkpoints import LIBRARY, START, TEXT, VISION, chatml, ids_of, make_tokenizer, text_settings
from tests.models.conftest import Evaluate
from tests.models.loading import load, loglikelihood, picture, tokenize, written
from tests.models.test_bad_checkpoints import assert_explained

pytestmark = pytest.mark.usefixtures("one_thread")

IS_HERE = importlib.util.find_spec("torchvision") is not None
SIZES = ((40, 30), (60, 30), (30, 60), (28, 28))
PROMPT = "What is in the image?"


@dataclass(frozen=True, slots=True)
class Made:
    network: Any
    tokenizer: Any
    images: Any  # the name of the image processor's class, and its settings
    settings: dict[str, Any]
    processor: str
    keys: dict[str, Any]
    mark: str  # how a template writes a picture


def mistral3() -> Made:
    """Pixtral's tower with rows and their ends among the tokens; Mistral Small 3.1 and its successors."""
    tokenizer = make_tokenizer(START, "[IMG]", "[IMG_BREAK]", "[IMG_END]")
    config = LIBRARY.Mistral3Config(
        text_config={"model_type": "mistral"} | text_settings(tokenizer, head_dim=8),
        vision_config={"model_type": "pixtral", "image_size": 56, "patch_size": 7, "head_dim": 8} | VISION,
        spatial_merge_size=2,
        tie_word_embeddings=False,
        **ids_of(tokenizer, image_token_index="[IMG]"),
    )
    settings = {"size": {"longest_edge": 56}, "patch_size": {"height": 14, "width": 14}}
    network = LIBRARY.Mistral3ForConditionalGeneration(config)
    keys = {"patch_size": 7, "spatial_merge_size": 2}
    return Made(network, tokenizer, "PixtralImageProcessorPil", settings, "PixtralProcessor", keys, "[IMG]")


def pixtral() -> Made:
    """Pixtral 12B: a LLaVA with Pixtral's tower."""
    tokenizer = make_tokenizer(START, "[IMG]", "[IMG_BREAK]", "[IMG_END]")
    config = LIBRARY.LlavaConfig(
        text_config={"model_type": "mistral"} | text_settings(tokenizer, head_dim=8),
        vision_config={"model_type": "pixtral", "image_size": 56, "patch_size": 7, "head_dim": 8} | VISION,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=False,
        **ids_of(tokenizer, image_token_index="[IMG]"),
    )
    settings = {"size": {"longest_edge": 56}, "patch_size": {"height": 7, "width": 7}}
    network = LIBRARY.LlavaForConditionalGeneration(config)
    return Made(
        network, tokenizer, "PixtralImageProcessorPil", settings, "PixtralProcessor", {"patch_size": 7}, "[IMG]"
    )


def cohere2_vision() -> Made:
    tokenizer = make_tokenizer(
        START,
        boi_token="<|START_OF_IMG|>",
        eoi_token="<|END_OF_IMG|>",
        image_token="<|IMG_PATCH|>",
        img_line_break_token="<|IMG_LINE_BREAK|>",
    )
    config = LIBRARY.Cohere2VisionConfig(
        text_config={"model_type": "cohere2"} | text_settings(tokenizer, sliding_window=64),
        vision_config={"model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7}
        | {"vision_use_head": False}
        | VISION,
        downsample_factor=2,
        alignment_intermediate_size=48,
        **ids_of(tokenizer, image_token_id="<|IMG_PATCH|>"),
    )
    settings = {"size": {"height": 28, "width": 28}, "patch_size": 2, "min_patches": 1, "max_patches": 4}
    network = LIBRARY.Cohere2VisionForConditionalGeneration(config)
    name = "Cohere2VisionImageProcessor"
    return Made(network, tokenizer, name, settings, "Cohere2VisionProcessor", {}, "<|IMG_PATCH|>")


def lfm2_vl() -> Made:
    tags = [f"<|img_row_{r}_col_{c}|>" for r in range(1, 11) for c in range(1, 11)]
    tokenizer = make_tokenizer(
        START,
        "<|img_thumbnail|>",
        *tags,
        image_token="<image>",
        image_start_token="<|image_start|>",
        image_end_token="<|image_end|>",
    )
    text = text_settings(tokenizer, full_attn_idxs=[1], block_ff_dim=48, block_auto_adjust_ff_dim=False)
    config = LIBRARY.Lfm2VlConfig(
        text_config={"model_type": "lfm2"} | text,
        vision_config={"model_type": "siglip2_vision_model", "patch_size": 7, "num_patches": 64} | VISION,
        projector_hidden_size=48,
        **ids_of(tokenizer, image_token_id="<image>"),
    )
    settings = {"tile_size": 28, "encoder_patch_size": 7, "min_image_tokens": 1, "max_image_tokens": 4} | {
        "min_tiles": 2,
        "max_tiles": 4,
        "max_num_patches": 16,
    }
    network = LIBRARY.Lfm2VlForConditionalGeneration(config)
    return Made(network, tokenizer, "Lfm2VlImageProcessor", settings, "Lfm2VlProcessor", {}, "<image>")


def llama4() -> Made:
    tokenizer = make_tokenizer(
        START,
        "<|image|>",
        "<|image_start|>",
        "<|image_end|>",
        "<|patch|>",
        "<|tile_x_separator|>",
        "<|tile_y_separator|>",
    )
    text = text_settings(tokenizer, head_dim=8, intermediate_size_mlp=48, num_local_experts=2, attention_chunk_size=64)
    vision = (
        TEXT
        | {"image_size": 28, "patch_size": 7, "vision_output_dim": 32, "projector_input_dim": 32}
        | {
            "projector_output_dim": 32,
            "intermediate_size": 128,
        }
    )
    config = LIBRARY.Llama4Config(
        text_config=text,
        vision_config={key: value for key, value in vision.items() if key != "max_position_embeddings"},
        **ids_of(tokenizer, image_token_index="<|patch|>"),
    )
    settings = {"size": {"height": 28, "width": 28}, "max_patches": 4}
    network = LIBRARY.Llama4ForConditionalGeneration(config)
    keys = {"patch_size": 7}
    return Made(network, tokenizer, "Llama4ImageProcessor", settings, "Llama4Processor", keys, "<|image|>")


KINDS: dict[str, Callable[[], Made]] = {
    "mistral3": mistral3,
    "pixtral": pixtral,
    "cohere2_vision": cohere2_vision,
    "lfm2_vl": lfm2_vl,
    "llama4": llama4,
}


def write(folder: Path, kind: str) -> Path:
    """A small checkpoint; the settings of its image processor are written by hand, which needs no torchvision."""
    torch.manual_seed(0)
    made = KINDS[kind]()
    made.network.generation_config.eos_token_id = made.tokenizer.eos_token_id
    made.network.generation_config.pad_token_id = made.tokenizer.pad_token_id
    with torch.no_grad():
        for parameter in made.network.parameters():
            if not parameter.any() or parameter.isnan().any():
                parameter.normal_(std=0.3)
    made.network.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    kind_of_images = {"image_processor_type": made.images.removesuffix("Pil")}
    (folder / "preprocessor_config.json").write_text(json.dumps(kind_of_images | made.settings))
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": made.processor} | made.keys))
    (folder / "chat_template.jinja").write_text(chatml(made.mark))
    return folder


def images() -> list[Image.Image]:
    return [
        Image.blend(picture(i, *size), Image.new("RGB", size, (i * 60, 90, 200 - i * 50)), 0.5)
        for i, size in enumerate(SIZES)
    ]


def in_float32(inputs: Any) -> dict[str, Any]:
    """Llama 4's processor gives pixels in bfloat16."""
    return {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}


@pytest.mark.skipif(not IS_HERE, reason="torchvision is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_captions_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", kind)
    model, made = load(folder), KINDS[kind]()
    network = type(made.network).from_pretrained(folder).eval()
    processor = LIBRARY.AutoProcessor.from_pretrained(folder, **({"backend": "pil"} if "Pil" in made.images else {}))
    conversation = f"{START}user\n{made.mark}{PROMPT}<|im_end|>\n{START}assistant\n"
    features = model.encode([model.preprocess(image) for image in images()])
    found = loglikelihood(model, features, [tokenize(model, PROMPT, "red cat")] * len(features), PROMPT)
    captions = written(model, features, PROMPT, 5)
    n = len(made.tokenizer("red cat", add_special_tokens=False)["input_ids"])
    for image, score, caption in zip(images(), found, captions, strict=True):
        whole = processor(text=[conversation + "red cat"], images=[[image]], return_tensors="pt")
        with torch.inference_mode():
            logprobs = network(**in_float32(whole)).logits[0].log_softmax(-1)
            asked = in_float32(processor(text=[conversation], images=[[image]], return_tensors="pt"))
            out = network.generate(**asked, max_new_tokens=5, do_sample=False)
        ids = whole["input_ids"][0]
        expected = [float(logprobs[i - 1, ids[i]]) for i in range(len(ids) - n, len(ids))]
        assert score.token_logprobs == pytest.approx(expected, abs=2e-5)
        assert list(caption.token_ids) == out[0, asked["input_ids"].shape[1] :].tolist()
    assert len({score.token_logprobs for score in found}) > 1


@pytest.mark.skipif(IS_HERE, reason="torchvision is installed")
@pytest.mark.parametrize(
    "kind", [kind if kind in ("mistral3", "lfm2_vl") else pytest.param(kind, marks=pytest.mark.long) for kind in KINDS]
)
def test_without_torchvision_they_are_refused(kind: str, tmp_path: Path, evaluate: Evaluate) -> None:
    ran = evaluate("--model", write(tmp_path / "model", kind))
    assert_explained(ran, 5, tmp_path / "model", "torchvision")
    assert "pip install torchvision" in ran.err
