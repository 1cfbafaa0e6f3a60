"""Refusals that must give the true reason: a package that is lacking or broken, a config that says nothing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints import write_checkpoint
from tests.conftest import Babycli
from tests.hf_checkpoints import LIBRARY, VISION, make_tokenizer, text_settings
from tests.llava_checkpoints import write_llava, write_tower
from tests.models import test_clip
from tests.models.conftest import Evaluate
from tests.models.loading import WORDS, edit_json, write_json
from tests.models.test_bad_checkpoints import assert_explained


def write_mistral3(folder: Path) -> Path:
    """Mistral Small 3.1 in small: its processor is Pixtral's."""
    tokenizer = make_tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]", eos="</s>")
    config = LIBRARY.Mistral3Config(
        text_config={"model_type": "mistral"} | text_settings(tokenizer, head_dim=8),
        vision_config={"model_type": "pixtral", "head_dim": 8, "image_size": 56, "patch_size": 7} | VISION,
        spatial_merge_size=2,
        vision_feature_layer=-1,
        image_token_id=tokenizer.convert_tokens_to_ids("[IMG]"),
    )
    torch.manual_seed(0)
    LIBRARY.Mistral3ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    LIBRARY.PixtralImageProcessorPil(size={"longest_edge": 28}, patch_size=14).save_pretrained(folder)
    says = {"processor_class": "PixtralProcessor", "patch_size": 7, "spatial_merge_size": 2}
    write_json(folder / "processor_config.json", says)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% for p in m['content'] %}"
        "{% if p['type'] == 'image' %}[IMG]{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endfor %}\n"
    )
    return folder


@pytest.mark.parametrize("named", [True, False], ids=["by the files", "by the model_type"])
def test_a_processor_that_wants_torchvision(named: bool, evaluate: Evaluate, tmp_path: Path) -> None:
    folder = write_mistral3(tmp_path / "model")
    if not named:
        edit_json(folder / "processor_config.json", processor_class=None)
    ran = evaluate("--model", folder)
    if importlib.util.find_spec("torchvision") is not None:
        assert ran.code == 0, ran.err
        return
    assert_explained(ran, 5, folder, "transformers has its processor, a PixtralProcessor", "Torchvision")
    assert "pip install torchvision" in ran.err


@pytest.mark.parametrize("family", ["babyllava", "clip"])
def test_a_broken_torchvision(
    family: str, evaluate: Evaluate, babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As doctor says it, before transformers trips over it; what needs no transformers goes on."""
    folder = tmp_path / "model"
    write_checkpoint(folder, WORDS) if family == "babyllava" else test_clip.write(folder, "clip")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "torchvision.py").write_text("raise AttributeError('module torch has no attribute library')")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    for ran in (evaluate("--model", folder), babycli("models", "show", folder)):
        assert_explained(ran, 5, "torchvision", "is broken", "module torch has no attribute library")
        assert "pip uninstall torchvision" in ran.err
    ran = babycli("doctor")
    assert ran.code == 5
    assert "module torch has no attribute library" in ran.out
    assert evaluate("--model", "control:constant").code == 0


@pytest.mark.parametrize("older", [True, False], ids=["with vision_config_dict", "without"])
def test_a_clip_tower_whose_config_says_nothing(older: bool, evaluate: Evaluate, tmp_path: Path) -> None:
    tower = write_tower(tmp_path / "openai" / "clip-small")
    config: dict[str, Any] = json.loads((tower / "config.json").read_text())
    more = {"vision_config_dict": config["vision_config"]} if older else {}
    edit_json(tower / "config.json", vision_config=None, **more)
    ran = evaluate("--model", write_llava(tmp_path / "llava"))
    assert_explained(ran, 5, tower / "config.json", "vision_config is null")
    assert "expected is CLIP" not in ran.err
    assert ("vision_config_dict" in ran.err) == older


def test_a_clip_of_the_default_shape(tmp_path: Path, evaluate: Evaluate) -> None:
    """For transformers, null means its own defaults; weights of another shape do not fit them."""
    folder = test_clip.write(tmp_path / "model", "clip")
    edit_json(folder / "config.json", vision_config=None)
    ran = evaluate("--model", folder)
    assert ran.code == 5
    assert "Traceback" not in ran.err
    assert "model_type" not in ran.err
