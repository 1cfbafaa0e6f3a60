"""LLaVA as transformers saves it: heads and projectors of every kind against transformers' own class."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.llava_checkpoints import as_transformers, write_llava, write_tower
from tests.models.conftest import Evaluate
from tests.models.loading import edit_json, load, picture, save, score, tokenize
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_llava import PROMPT, TEXTS, direct, expand, pixels_of

HEAD, EMBEDDINGS = "lm_head.weight", "model.language_model.embed_tokens.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tower = write_tower(tmp_path / "openai" / "clip-small")
    return as_transformers(write_llava(tmp_path / "llava"), tower, tmp_path / "hf", "model.language_model.")


def change(folder: Path, how: Callable[[dict[str, Tensor]], None], **config: object) -> None:
    weights = load_file(folder / "model.safetensors")
    how(weights)
    save(weights, folder / "model.safetensors")
    edit_json(folder / "config.json", **config)


def assert_as_transformers(folder: Path) -> None:
    slow, model = direct(folder), load(folder)
    for seed, text in enumerate(TEXTS):
        tokens = tokenize(model, PROMPT, text)
        ids = torch.tensor([expand(tokens.ids, slow.config.image_token_id)])
        with torch.inference_mode():
            logits = slow(input_ids=ids, pixel_values=pixels_of(picture(seed))).logits[0].log_softmax(-1)
        expected = [float(logits[i - 1, ids[0, i]]) for i in range(ids.shape[1] - tokens.n_answer, ids.shape[1])]
        assert score(model, text, seed, PROMPT).token_logprobs == pytest.approx(expected, abs=1e-5)


def drop(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.__delitem__(name)


def both(weights: dict[str, Tensor]) -> None:
    """Leaves the two as they are: they differ."""


def same_twice(weights: dict[str, Tensor]) -> None:
    weights[HEAD] = weights[EMBEDDINGS].clone()


@pytest.mark.parametrize("place", ["at the top", pytest.param("in text_config", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "how", [drop(HEAD), drop(EMBEDDINGS), same_twice, both], ids=["no head", "head", "same", "both"]
)
def test_a_head_that_is_the_embeddings(how: Callable[[dict[str, Tensor]], None], place: str, folder: Path) -> None:
    """Of two that differ, transformers believes the weights and not the config."""
    change(folder, how)
    if place == "at the top":
        edit_json(folder / "config.json", tie_word_embeddings=True)
    else:
        config = json.loads((folder / "config.json").read_text())
        edit_json(folder / "config.json", text_config=config["text_config"] | {"tie_word_embeddings": True})
    assert_as_transformers(folder)
    notes = load(folder).info.notes
    assert any("lm_head" in note for note in notes) == (how is both)


def test_no_head_and_no_word_of_it(folder: Path, evaluate: Evaluate) -> None:
    change(folder, drop(HEAD))
    assert_explained(evaluate("--model", folder), 5, "1 missing", HEAD)


def test_a_projector_without_biases(folder: Path, evaluate: Evaluate) -> None:
    def without_biases(weights: dict[str, Tensor]) -> None:
        for name in [name for name in weights if "multi_modal_projector" in name and name.endswith("bias")]:
            del weights[name]

    change(folder, without_biases)
    assert_explained(evaluate("--model", folder), 5, "projector", "2 missing", "bias")
    edit_json(folder / "config.json", multimodal_projector_bias=False)
    assert_as_transformers(folder)
    edit_json(folder / "config.json", multimodal_projector_bias="no")
    assert_explained(evaluate("--model", folder), 5, "config.json", 'multimodal_projector_bias "no"')
