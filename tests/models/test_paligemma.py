"""PaliGemma against transformers: its own processor's prefix and suffix, and its own class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from babycli.domain import PICTURE, CannotAnswer, Context, Turn
from tests.hf_checkpoints import LIBRARY, TEXT, VISION, ids_of, make_tokenizer, text_settings
from tests.models.conftest import Evaluate
from tests.models.loading import load, loglikelihood, picture, tokenize, written

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPT = "What is in the image?"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A folder, and transformers' network and processor."""
    folder = tmp_path_factory.mktemp("paligemma")
    torch.manual_seed(0)
    tokenizer = make_tokenizer("<image>", "<bos>", eos="<eos>")  # it puts nothing in front of a text, as PaliGemma's
    tokenizer.bos_token = "<bos>"
    images = LIBRARY.SiglipImageProcessorPil(size={"height": 28, "width": 28})
    images.image_seq_length = 16
    processor = LIBRARY.PaliGemmaProcessor(images, tokenizer)
    assert TEXT["hidden_size"] == VISION["hidden_size"] == 32
    config = LIBRARY.PaliGemmaConfig(
        text_config={"model_type": "gemma"} | text_settings(processor.tokenizer, head_dim=8),
        vision_config={"model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7}
        | {"vision_use_head": False, "projection_dim": 32}
        | VISION,
        projection_dim=32,
        hidden_size=32,
        **ids_of(processor.tokenizer, image_token_index="<image>"),
    )
    network = LIBRARY.PaliGemmaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, network, processor


def images() -> list[Image.Image]:
    return [Image.blend(picture(i, 40, 30), Image.new("RGB", (40, 30), (i * 80, 90, 9)), 0.5) for i in range(3)]


def test_scores_and_captions_are_those_of_transformers(made: tuple[Path, Any, Any]) -> None:
    folder, network, processor = made
    model = load(folder)
    features = model.encode([model.preprocess(image) for image in images()])
    found = loglikelihood(model, features, [tokenize(model, PROMPT, "red cat")] * 3, PROMPT)
    captions = written(model, features, PROMPT, 4)
    for image, score, caption in zip(images(), found, captions, strict=True):
        whole = processor(text=[f"<image>{PROMPT}"], images=[image], suffix=["red cat"], return_tensors="pt")
        ids, types = whole["input_ids"][0, :-1], whole["token_type_ids"][:, :-1]  # without the <eos> behind it
        n = int(types.sum())
        with torch.inference_mode():
            logits = network(
                input_ids=ids[None],
                attention_mask=torch.ones_like(ids)[None],
                token_type_ids=types,
                pixel_values=whole["pixel_values"],
            ).logits[0]
            prefix = processor(text=[f"<image>{PROMPT}"], images=[image], return_tensors="pt")
            prefix.pop("labels", None)
            out = network.generate(**prefix, max_new_tokens=4, do_sample=False)
        logprobs = logits.log_softmax(-1)
        expected = [float(logprobs[i - 1, ids[i]]) for i in range(len(ids) - n, len(ids))]
        assert score.token_logprobs == pytest.approx(expected, abs=1e-5)
        assert list(caption.token_ids) == out[0, prefix["input_ids"].shape[1] :].tolist()
    assert len({score.token_logprobs for score in found}) == 3


def test_a_conversation_gets_no_answer(made: tuple[Path, Any, Any]) -> None:
    model = load(made[0])
    turns = (Turn("user", (PICTURE, "Where?")), Turn("model", ("Here.",)), Turn("user", ("Why?",)))
    refused = model.read(Context(turns), 4)
    assert isinstance(refused, CannotAnswer)
    assert "no conversation" in refused.why


def test_the_command(made: tuple[Path, Any, Any], evaluate: Evaluate) -> None:
    ran = evaluate("--model", made[0], "--tasks", "labeled_s,vtwt")
    assert ran.code == 0, ran.err
