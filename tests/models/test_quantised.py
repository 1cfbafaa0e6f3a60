"""Weights of 4 and 8 bits: against transformers with bitsandbytes where that is installed, and what is refused."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.hf_checkpoints import LIBRARY, TEXT, VISION, write_hf
from tests.models.conftest import Evaluate
from tests.models.loading import edit_json, load, score
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_hf import PROMPT, Slow, tinted
from tests.models.test_hf import ask as ask_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose matrices can be cut into blocks of 64. Do not write into it."""
    with pytest.MonkeyPatch.context() as patch:
        wide = {"hidden_size": 64, "intermediate_size": 128}
        patch.setattr("tests.hf_checkpoints.TEXT", TEXT | wide)
        patch.setattr("tests.hf_checkpoints.VISION", VISION | wide)
        return write_hf(tmp_path_factory.mktemp("hf") / "llava", "llava")


ASKED: dict[str, dict[str, Any]] = {
    "load_in_4bit=true": {"load_in_4bit": True},
    "load_in_4bit=nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "load_in_8bit=true": {"load_in_8bit": True},
}


@pytest.mark.long
@pytest.mark.parametrize("is_saved", [False, True], ids=["while they are read", "in the checkpoint"])
@pytest.mark.parametrize("words", ASKED)
def test_scores_are_those_of_transformers(words: str, is_saved: bool, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    settings = LIBRARY.BitsAndBytesConfig(**ASKED[words], **({"bnb_4bit_compute_dtype": torch.float32}))
    network = LIBRARY.LlavaForConditionalGeneration.from_pretrained(
        folder, quantization_config=settings, dtype=torch.float32, device_map={"": "cpu"}
    )
    slow = Slow("llava", folder)
    slow.network = network.eval()
    name, _, value = words.partition("=")
    given: dict[str, Any] = {name: value}
    if is_saved:
        small = Path(shutil.copytree(folder, tmp_path / "small"))
        (small / "model.safetensors").unlink()
        network.save_pretrained(small)
        model = load(small)
    else:
        model = load(folder, **given)
    for image in [tinted(seed, (28, 28)) for seed in range(3)]:
        (found,) = ask_model(model, [image], PROMPT, "red cat")  # of 8 bits, a score depends on its batch
        assert found.token_logprobs == pytest.approx(slow.logprobs(image, PROMPT, "red cat"), abs=1e-4)
    assert score(model, "ball").token_logprobs != pytest.approx(score(load(folder), "ball").token_logprobs, abs=1e-4)
    assert any("bits" in note and "bitsandbytes" in note for note in model.info.notes)
    assert model.info.n_parameters == load(folder).info.n_parameters


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_without_the_package(folder: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    for words in ASKED:
        ran = evaluate("--model", folder, "--model-args", words)
        assert_explained(ran, 5, "bitsandbytes, which is not installed")
        assert "pip install bitsandbytes" in ran.err
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    edit_json(copy / "config.json", quantization_config={"load_in_8bit": True})
    assert_explained(evaluate("--model", copy), 5, copy / "config.json", "bitsandbytes, which is not installed")


@pytest.mark.parametrize("method", ["gptq", "fp8"])
def test_other_methods(method: str, folder: Path, evaluate: Evaluate, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    edit_json(copy / "config.json", quantization_config={"quant_method": method, "bits": 4})
    ran = evaluate("--model", copy)
    assert_explained(ran, 5, copy / "config.json", f"'{method}'", "expected is bitsandbytes")
    assert "load_in_4bit=true" in ran.err
    edit_json(copy / "config.json", quantization_config="small")
    assert_explained(evaluate("--model", copy), 5, copy / "config.json")


def test_arguments_that_cannot_be(folder: Path, evaluate: Evaluate) -> None:
    for words, says in (
        ("load_in_4bit=true,load_in_8bit=true", "exclude each other"),
        ("load_in_4bit=int4", "load_in_4bit"),
        ("load_in_8bit=yes", "load_in_8bit"),
    ):
        assert_explained(evaluate("--model", folder, "--model-args", words), 2, says)
