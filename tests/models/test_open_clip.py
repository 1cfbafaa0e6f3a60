"""Folders of open_clip: against numbers that open_clip itself gave, and what is refused.

The numbers below are the cosines of open_clip 3.3 for the folders that this file writes; where that package is
installed, they are computed again.
"""

from __future__ import annotations

import fnmatch
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from babycli.models.base import Model
from tests.conftest import Babycli
from tests.models.conftest import Evaluate
from tests.models.loading import load, picture, save, similarity, tokenize, write_json
from tests.models.test_bad_checkpoints import assert_explained

WORDS = ["a", "photo", "of", "red", "ball", "cat", "blue", "&"]
SPECIAL = ["<pad>", "<unk>"]
N_TOKENS = len(SPECIAL) + len(WORDS) + 2  # the end has the largest id
START, END = N_TOKENS - 2, N_TOKENS - 1
TEXTS = ("ball", "a photo  of a red cat", "cat &amp; ball")
SIZES = ((40, 30), (61, 30), (30, 67))  # of which an even and an odd number of pixels is cut off
VISION = {"image_size": 24, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8}
TEXT = {"context_length": 12, "vocab_size": N_TOKENS, "width": 24, "heads": 4, "layers": 2}

# By open_clip 3.3.0, torch 2.13; a row for each picture.
RECORDED: dict[str, list[list[float]]] = {
    "plain": [
        [0.2656721, -0.2257483, 0.0887352],
        [0.2022614, -0.2005214, 0.0435782],
        [0.2075063, -0.2528924, 0.0198759],
    ],
    "quick": [[0.2684585, -0.22223, 0.0884874], [0.2009676, -0.2001721, 0.0397326], [0.2095935, -0.2496768, 0.0210021]],
    "longest": [
        [0.5055788, 0.2449135, 0.3416406],
        [0.5484468, 0.343098, 0.4227981],
        [0.3585139, -0.1252641, 0.1478356],
    ],
    "squash": [
        [0.2879697, -0.2447935, 0.1349083],
        [0.258763, -0.3331731, 0.0661888],
        [-0.060756, -0.3510667, -0.1909659],
    ],
}


def write(folder: Path, *, prefix: str = "", preprocess: dict[str, object] | None = None, **model: object) -> Path:
    """A small folder as open_clip writes it; ``prefix`` "text." is that of a text encoder in a module of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT} | model
    pictures = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]} | (preprocess or {})
    write_json(folder / "open_clip_config.json", {"model_cfg": settings, "preprocess_cfg": pictures})
    save(weights(prefix), folder / "open_clip_model.safetensors")
    tokenizer = Tokenizer(WordLevel(vocabulary(), unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    marks = [("<start>", START), ("<end>", END)]
    tokenizer.post_processor = TemplateProcessing(single="<start> $A <end>", special_tokens=marks)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "<end>", "bos_token": "<start>"}
    write_json(folder / "tokenizer_config.json", names | {"tokenizer_class": "PreTrainedTokenizerFast"})
    return folder


def vocabulary() -> dict[str, int]:
    return {word: i for i, word in enumerate([*SPECIAL, *WORDS, "<start>", "<end>"])}


def weights(prefix: str) -> dict[str, Tensor]:
    """All weights under open_clip's names, from numpy's generator, which is the same in all versions."""
    numbers = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (12, 24),
        "text_projection": (24, 16),
        "token_embedding.weight": (N_TOKENS, 24),
        "ln_final.weight": (24,),
        "ln_final.bias": (24,),
        **blocks("transformer.", 24),
        "visual.class_embedding": (32,),
        "visual.positional_embedding": (10, 32),
        "visual.proj": (32, 16),
        "visual.conv1.weight": (32, 3, 8, 8),
        **{f"visual.ln_{x}.{kind}": (32,) for x in ("pre", "post") for kind in ("weight", "bias")},
        **blocks("visual.transformer.", 32),
    }
    made = {"logit_scale": torch.tensor(2.66)}
    for name, shape in shapes.items():
        values = torch.from_numpy(numbers.standard_normal(shape).astype(np.float32))
        full = name if name.startswith("visual.") else prefix + name
        made[full] = 1 + values / 5 if "ln_" in name and name.endswith("weight") else values * 0.3
    return made


def blocks(place: str, width: int) -> dict[str, tuple[int, ...]]:
    one = {
        **{f"ln_{i}.{kind}": (width,) for i in (1, 2) for kind in ("weight", "bias")},
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
    }
    return {f"{place}resblocks.{i}.{name}": shape for i in range(2) for name, shape in one.items()}


def images() -> list[Image.Image]:
    return [picture(seed, *size) for seed, size in enumerate(SIZES)]


def cosines(model: Model) -> list[list[float]]:
    features = model.encode([model.preprocess(image) for image in images()])
    return [[similarity(model, [f], [tokenize(model, "", text)])[0].value for text in TEXTS] for f in features]


FOLDERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quick": {"quick_gelu": True},
    "own text module": {"prefix": "text.", "custom_text": True},
    "longest": {"preprocess": {"resize_mode": "longest", "interpolation": "bilinear"}},
    "squash": {"preprocess": {"resize_mode": "squash"}},
}


@pytest.mark.parametrize("case", FOLDERS)
def test_cosines_are_those_of_open_clip(case: str, tmp_path: Path) -> None:
    found = cosines(load(write(tmp_path / "model", **FOLDERS[case])))
    recorded = RECORDED["plain" if case == "own text module" else case]
    assert np.array(found) == pytest.approx(np.array(recorded), abs=2e-6)


@pytest.mark.long
@pytest.mark.parametrize("case", [*FOLDERS, "resnet"])
def test_cosines_are_those_of_the_package(case: str, tmp_path: Path) -> None:
    package = pytest.importorskip("open_clip")
    folder = write(tmp_path / "model", **FOLDERS.get(case, {}))
    if case == "resnet":
        vision = VISION | {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32, "head_width": 64}
        write(folder, vision_cfg=vision, text_cfg=TEXT | {"hf_tokenizer_name": "its own"})
        torch.manual_seed(0)
        made = package.create_model(f"local-dir:{folder}", load_weights=False)
        save(made.state_dict(), folder / "open_clip_model.safetensors")
    assert np.array(cosines(load(folder))) == pytest.approx(np.array(by_package(folder)), abs=2e-6)


def by_package(folder: Path) -> list[list[float]]:
    """open_clip itself; the ids are written by hand."""
    import open_clip

    network, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    network.eval()
    ids = torch.zeros(len(TEXTS), 12, dtype=torch.long)
    for i, text in enumerate(TEXTS):
        words = text.replace("&amp;", "&").split()
        row = [START, *(vocabulary()[word] for word in words), END]
        ids[i, : len(row)] = torch.tensor(row)
    with torch.inference_mode():
        seen = network.encode_image(torch.stack([prepare(image) for image in images()]), normalize=True)
        read = network.encode_text(ids, normalize=True)
    found: list[list[float]] = (seen @ read.T).tolist()
    return found


def test_the_command_and_show(tmp_path: Path, evaluate: Evaluate, babycli: Babycli) -> None:
    folder = write(tmp_path / "model")
    ran = evaluate("--model", folder)
    assert ran.code == 0, ran.err
    shown = babycli("models", "show", folder, "--json")
    assert shown.code == 0, shown.err
    told = json.loads(shown.out)
    assert told["n_parameters"] == sum(tensor.numel() for tensor in weights("").values())
    assert "open_clip_model.safetensors" in shown.out


@pytest.mark.parametrize(
    "name", [pytest.param("open_clip_model.safetensors", marks=pytest.mark.long), "open_clip_pytorch_model.bin"]
)
def test_a_folder_on_the_hub(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "model")
    expected = cosines(load(folder))
    save(weights(""), folder / "unused.bin")
    (folder / "open_clip_model.safetensors").unlink()
    save(weights(""), folder / name)
    fetched = tmp_path / "hub"
    fetched.mkdir()

    def snapshot_download(repo_id: str, allow_patterns: list[str], **options: object) -> str:
        for file in folder.iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, fetched)
        return str(fetched)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert cosines(load("someone/clip")) == expected
    assert {file.suffix for file in fetched.iterdir()} == {".json", Path(name).suffix}


def test_beside_a_checkpoint_of_transformers_it_is_not_read(tmp_path: Path) -> None:
    """Many repositories hold one model for both."""
    from tests.models.test_clip import write as write_clip

    folder = write(tmp_path / "model")
    write_clip(folder, "clip")
    notes = load(folder).info.notes
    assert any("not read: open_clip_model.safetensors" in note for note in notes), notes


def test_a_network_that_needs_the_package(tmp_path: Path, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babycli.models.parts.open_clip_package.is_installed", lambda: False)
    for changes, why in (
        ({"vision_cfg": VISION | {"layers": [1, 1, 1, 1]}}, "vision_cfg.layers is [1, 1, 1, 1]"),
        ({"vision_cfg": {"timm_model_name": "vit_base_patch16_siglip_224"}}, "timm_model_name"),
        ({"multimodal_cfg": {"width": 32}}, "multimodal_cfg"),
        ({"text_cfg": {"hf_model_name": "roberta-base"}}, "hf_model_name"),
        ({"vision_cfg": VISION | {"pool_type": "avg"}}, 'vision_cfg.pool_type is "avg"'),
        ({"vision_cfg": VISION | {"patch_size": 0}}, "vision_cfg.patch_size is 0"),
        ({"text_cfg": TEXT | {"no_causal_mask": True}}, "text_cfg.no_causal_mask is true"),
    ):
        folder = write(tmp_path / "model", **changes)
        ran = evaluate("--model", folder)
        assert_explained(ran, 5, why, "open_clip_torch")
        assert "pip install open_clip_torch" in ran.err
    write(folder)
    (folder / "tokenizer.json").unlink()
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, "has no tokenizer", "open_clip_torch")
    assert "copy tokenizer.json" in ran.err


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"preprocess": {"resize_mode": "tile"}}, ["preprocess_cfg.resize_mode"]),
        ({"preprocess": {"interpolation": "nearest"}}, ["preprocess_cfg.interpolation"]),
        ({"preprocess": {"interpolation": ["bicubic"]}}, ["preprocess_cfg.interpolation"]),
        ({"preprocess": {"fill_color": 10**40, "resize_mode": "longest"}}, ["preprocess_cfg.fill_color"]),
        ({"preprocess": {"fill_color": -1}}, ["preprocess_cfg.fill_color"]),
        ({"quick_gelu": "false"}, ["model_cfg.quick_gelu"]),
        ({"preprocess": {"std": [0, 1, 1]}}, ["preprocess_cfg.std"]),
        ({"preprocess": {"mean": math.nan}}, ["preprocess_cfg.mean"]),
        ({"preprocess": {"mean": "grey"}}, ["preprocess_cfg.mean"]),
        ({"preprocess": {"size": 48}}, ["preprocess_cfg.size"]),
        ({"embed_dim": "wide"}, ["embed_dim"]),
        ({"vision_cfg": VISION | {"image_size": 10**6}}, ["open_clip_config.json", "image_size 1000000"]),
        ({"vision_cfg": VISION | {"head_width": 99}}, ["open_clip_config.json"]),
        ({"text_cfg": TEXT | {"layers": 3}}, ["missing", "text_model.encoder.layers.2"]),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], names: list[str], tmp_path: Path, evaluate: Evaluate) -> None:
    assert_explained(evaluate("--model", write(tmp_path / "model", **changes)), 5, *names)


def test_no_settings_at_all(tmp_path: Path, evaluate: Evaluate) -> None:
    folder = write(tmp_path / "model")
    write_json(folder / "open_clip_config.json", {"model": {}})
    assert_explained(evaluate("--model", folder), 5, "open_clip_config.json", "model_cfg")


def test_settings_of_pictures_that_are_not_known_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", preprocess={"sharpen": True})
    assert any("preprocess_cfg.sharpen" in note for note in load(folder).info.notes)
