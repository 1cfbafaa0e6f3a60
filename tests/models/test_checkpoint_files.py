"""The ways in which a checkpoint may keep its weights, all read to the same numbers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from babycli.models.base import Model
from babycli.models.parts.vision import ResNeXt, ResNeXtSpec, ViT, ViTSpec
from tests.checkpoints import TOWER_SHAPE, VISION_SIZE, weights_of, write_checkpoint
from tests.models import slow_path
from tests.models.loading import (
    BALL,
    CAT,
    N_TOKENS,
    RED,
    WORDS,
    edit_json,
    features_of,
    letter_pieces,
    load,
    picture,
    save,
    score,
    tokenize,
    write_json,
    write_sentencepiece_checkpoint,
    written,
)
from tests.models.slow_path import IMAGE, SlowPath

TRUNKS = ("transformer", "model")
Weights = dict[str, Tensor]


def checkpoint(folder: Path, trunk: str = "transformer", **kwargs: Any) -> Path:
    return write_checkpoint(folder, WORDS, trunk=trunk, seed=3, **kwargs)


def weights_in(folder: Path) -> Weights:
    return load_file(folder / "model.safetensors")


def losses(model: Model) -> list[float]:
    return [-x for x in score(model, "red cat", seed=1).token_logprobs]


# ---------------------------------------------------------------- files


def shards(weights: Weights, folder: Path, suffix: str) -> None:
    """Three files and their index, the names dealt out in turn."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    names = [f"{stem}-{i:05d}-of-00003.{suffix}" for i in (1, 2, 3)]
    places = {name: names[i % 3] for i, name in enumerate(weights)}
    for file in names:
        save({name: weights[name] for name, place in places.items() if place == file}, folder / file)
    write_json(folder / f"{stem}.{suffix}.index.json", {"metadata": {"total_size": 1}, "weight_map": places})


LAYOUTS: dict[str, Callable[[Weights, Path], None]] = {
    "one .bin": lambda weights, folder: save(weights, folder / "pytorch_model.bin"),
    "sharded safetensors": lambda weights, folder: shards(weights, folder, "safetensors"),
    "sharded .bin": lambda weights, folder: shards(weights, folder, "bin"),
}


@pytest.mark.parametrize("trunk", ["transformer", pytest.param("model", marks=pytest.mark.long)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_files_gives_the_same_numbers(layout: str, trunk: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", trunk)
    expected = losses(load(folder))
    weights = weights_in(folder)
    (folder / "model.safetensors").unlink()
    LAYOUTS[layout](weights, folder)
    assert losses(load(folder)) == expected


def test_safetensors_are_read_where_both_kinds_are_present(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    expected = losses(load(folder))
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert losses(load(folder)) == expected


@pytest.mark.parametrize("trunk", ["transformer", pytest.param("model", marks=pytest.mark.long)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", ["safetensors", "bin"])
def test_half_precision_weights_are_computed_with_in_float32(
    layout: str, dtype: torch.dtype, trunk: str, tmp_path: Path
) -> None:
    weights = weights_of(trunk, N_TOKENS, 3, mean_scale=0.4)
    halves = {name: w.to(dtype) if w.is_floating_point() else w for name, w in weights.items()}
    rounded = {name: w.float() if w.is_floating_point() else w for name, w in halves.items()}
    expected = losses(load(checkpoint(tmp_path / "rounded", trunk, weights=rounded)))
    folder = checkpoint(tmp_path / "halves", trunk, weights=halves)
    if layout == "bin":
        save(halves, folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    assert losses(load(folder)) == expected


# ---------------------------------------------------------------- the head and the vocabulary


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_tied_head_may_be_left_out(trunk: str, present: bool, tmp_path: Path) -> None:
    weights = weights_of(trunk, N_TOKENS, 3)
    table = weights["transformer.wte.weight" if trunk == "transformer" else "model.embed_tokens.weight"]
    weights.pop("lm_head.weight", None)
    if present:
        weights["lm_head.weight"] = table.clone()
    tied = {"tie_word_embeddings": True}
    model = load(checkpoint(tmp_path / "model", trunk, weights=weights, config=tied))
    slow = SlowPath.of(weights, trunk, N_TOKENS, **tied)
    expected = slow.token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT])
    assert losses(model) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_head_of_its_own(trunk: str, tmp_path: Path) -> None:
    torch.manual_seed(8)
    weights = weights_of(trunk, N_TOKENS, 3) | {"lm_head.weight": torch.randn(N_TOKENS, 32)}
    own = {"tie_word_embeddings": False}
    model = load(checkpoint(tmp_path / "model", trunk, weights=weights, config=own))
    slow = SlowPath.of(weights, trunk, N_TOKENS, **own)
    expected = slow.token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT])
    assert losses(model) == pytest.approx(expected, abs=1e-5)


def extended(weights: Weights, trunk: str, n_more: int) -> Weights:
    """The weights with more rows of vocabulary, all of them likelier than any word."""
    names = ["transformer.wte.weight"] if trunk == "transformer" else ["model.embed_tokens.weight", "lm_head.weight"]
    return weights | {name: torch.cat([weights[name], 3 * weights[name][:n_more]]) for name in names}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_rows_beyond_the_tokenizer_take_no_probability(trunk: str, tmp_path: Path) -> None:
    """A vocabulary filled up to a multiple of eight: scores are those of the checkpoint without the filling."""
    exact = weights_of(trunk, N_TOKENS, 3)
    model = load(checkpoint(tmp_path / "exact", trunk, weights=exact))
    longer = extended(exact, trunk, 6)
    config = {"vocab_size": N_TOKENS + 6}
    filled = load(checkpoint(tmp_path / "filled", trunk, weights=longer, config=config))
    assert losses(filled) == pytest.approx(losses(model), abs=1e-6)
    features = features_of(model, 1)
    assert written(filled, features_of(filled, 1), "", 10) == written(model, features, "", 10)
    uncut = SlowPath.of(longer, trunk, N_TOKENS + 6)
    with_filling = uncut.token_losses(model.preprocess(picture(1)), [IMAGE], [RED, CAT])
    assert sum(with_filling) > sum(losses(model)) + 1e-3  # the rows would have counted


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_pad_token_among_the_cut_rows_does_no_harm(trunk: str, tmp_path: Path) -> None:
    exact = weights_of(trunk, N_TOKENS, 3)
    expected = losses(load(checkpoint(tmp_path / "exact", trunk, weights=exact)))
    config = {"vocab_size": N_TOKENS + 6, "pad_token_id": N_TOKENS + 2}
    folder = checkpoint(tmp_path / "filled", trunk, weights=extended(exact, trunk, 6), config=config)
    assert losses(load(folder)) == pytest.approx(expected, abs=1e-6)


def test_a_row_for_a_token_that_only_the_config_declares_counts(tmp_path: Path) -> None:
    """[PAD] behind a sentencepiece vocabulary: transformers gives it the next id, the original keeps its row."""
    sentences = ["a red ball", "a blue cat"]
    n_pieces = 3 + 256 + 10
    pad = {"legacy": False, "pad_token": "[PAD]"}
    folder = write_sentencepiece_checkpoint(tmp_path / "model", letter_pieces(sentences), n_pieces + 1, pad)
    model = load(folder)
    ids = list(tokenize(model, "", "red").ids)
    slow = SlowPath.of(weights_in(folder), "model", n_pieces + 1)
    expected = slow.token_losses(model.preprocess(picture(1)), ids[:-4], ids[-4:])
    assert [-x for x in score(model, "red", seed=1).token_logprobs] == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------- what older versions saved beside the weights


@pytest.mark.parametrize(
    ("trunk", "names"),
    [
        ("transformer", ["transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias"]),
        ("model", ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.1.self_attn.rotary_emb.inv_freq"]),
    ],
)
def test_constants_that_older_versions_saved_are_ignored(trunk: str, names: list[str], tmp_path: Path) -> None:
    weights = weights_of(trunk, N_TOKENS, 3)
    expected = losses(load(checkpoint(tmp_path / "exact", trunk, weights=weights)))
    old = weights | {name: torch.full((3,), math.pi) for name in names}
    assert losses(load(checkpoint(tmp_path / "old", trunk, weights=old))) == expected


def test_counters_of_the_norms_may_be_missing(tmp_path: Path) -> None:
    weights = weights_of("transformer", N_TOKENS, 3)
    expected = losses(load(checkpoint(tmp_path / "exact", weights=weights)))
    fewer = {name: w for name, w in weights.items() if not name.endswith("num_batches_tracked")}
    assert len(fewer) < len(weights)
    assert losses(load(checkpoint(tmp_path / "fewer", weights=fewer))) == expected


# ---------------------------------------------------------------- the tower's own file


@pytest.fixture
def without_tower(tmp_path: Path) -> tuple[Path, Weights, list[float]]:
    """A checkpoint without its tower, the tower, and the losses of both together."""
    folder = checkpoint(tmp_path / "model")
    expected = losses(load(folder))
    weights = weights_in(folder)
    prefix = "transformer.vision_tower.vision_tower."
    tower = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    save({name: w for name, w in weights.items() if not name.startswith(prefix)}, folder / "model.safetensors")
    return folder, tower, expected


def dino_file(tower: Weights, path: Path) -> Path:
    """As eminorhan/dino_* publishes a tower: the teacher with its projection head, one level down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    teacher = {f"module.backbone.{name}": w for name, w in tower.items()}
    teacher |= {"module.head.mlp.0.weight": torch.zeros(8, 8), "module.head.last_layer.weight_g": torch.ones(8, 1)}
    torch.save({"teacher": teacher, "epoch": 100, "arch": "resnext50_32x4d"}, path)
    return path


def test_a_tower_from_a_file(without_tower: tuple[Path, Weights, list[float]], tmp_path: Path) -> None:
    folder, tower, expected = without_tower
    file = dino_file(tower, tmp_path / "towers" / "any_name.pth")
    model = load(folder, vision_tower=file)
    assert losses(model) == expected
    assert any(str(file) in note for note in model.info.notes)


@pytest.mark.parametrize(
    "others", [[], ["other.pth", "backup.pth"], ["readme.txt"]], ids=["alone", "among others", "beside a text"]
)
def test_a_tower_from_a_folder(
    others: list[str], without_tower: tuple[Path, Weights, list[float]], tmp_path: Path
) -> None:
    """The one .pth file, or the one that is named as its folder."""
    folder, tower, expected = without_tower
    towers = tmp_path / "dino_resnext50"
    dino_file(tower, towers / "dino_resnext50.pth")
    for name in others:
        (towers / name).write_bytes(b"not this one")
    assert losses(load(folder, vision_tower=towers)) == expected


def test_a_tower_that_the_config_names_by_path(
    without_tower: tuple[Path, Weights, list[float]], tmp_path: Path
) -> None:
    folder, tower, expected = without_tower
    file = dino_file(tower, tmp_path / "towers" / "resnext50.pth")
    for place in (file, file.parent):
        edit_json(folder / "config.json", mm_vision_tower=str(place))
        assert losses(load(folder)) == expected


def test_a_tower_that_the_config_names_by_hub_id(
    without_tower: tuple[Path, Weights, list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tower, expected = without_tower
    dino_file(tower, tmp_path / "fetched" / "dino_resnext50.pth")
    asked = []

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.append(repo_id)
        return str(tmp_path / "fetched")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    edit_json(folder / "config.json", mm_vision_tower="someone/dino_resnext50")
    assert losses(load(folder)) == expected
    assert asked == ["someone/dino_resnext50"]


def test_the_checkpoints_own_tower_is_used_although_the_config_names_another(
    without_tower: tuple[Path, Weights, list[float]], tmp_path: Path
) -> None:
    """The original uses what the checkpoint holds; only the user's word comes before that."""
    _, tower, _ = without_tower
    whole = checkpoint(tmp_path / "whole")
    own = losses(load(whole))
    other = dino_file({name: w * 2 if w.is_floating_point() else w for name, w in tower.items()}, tmp_path / "x.pth")
    edit_json(whole / "config.json", mm_vision_tower=str(other))
    assert losses(load(whole)) == own
    assert losses(load(whole, vision_tower=other)) != own


# ---------------------------------------------------------------- other parts


@pytest.mark.parametrize(
    ("kind", "layers"), [("linear", [""]), ("mlp1x_gelu", ["0."]), ("mlp3x_gelu", ["0.", "2.", "4."])]
)
def test_other_projectors(kind: str, layers: list[str], tmp_path: Path) -> None:
    torch.manual_seed(4)
    weights = {n: w for n, w in weights_of("transformer", N_TOKENS, 3).items() if ".mm_projector." not in n}
    for i, layer in enumerate(layers):
        weights[f"transformer.mm_projector.{layer}weight"] = torch.randn(32, 32 if i else VISION_SIZE)
        weights[f"transformer.mm_projector.{layer}bias"] = torch.randn(32)
    model = load(checkpoint(tmp_path / "model", weights=weights, config={"mm_projector_type": kind}))
    assert score(model, "ball").is_finite


def test_an_identity_projector(tmp_path: Path) -> None:
    """Possible where the tower is as wide as the language model."""
    shape = TOWER_SHAPE | {"expansion": 0.5}
    prefix = "transformer.vision_tower.vision_tower."
    weights = {n: w for n, w in weights_of("transformer", N_TOKENS, 3).items() if not n.startswith("transformer.mm_")}
    weights = {n: w for n, w in weights.items() if not n.startswith(prefix)}
    tower = ResNeXt(ResNeXtSpec.from_config(shape))
    weights |= {prefix + name: w for name, w in tower.state_dict().items()}
    config = {"mm_projector_type": "identity", "mm_vision_tower_shape": shape, "mm_hidden_size": 32}
    model = load(checkpoint(tmp_path / "model", weights=weights, config=config))
    assert score(model, "ball").is_finite


def vit_checkpoint(folder: Path, trunk: str) -> tuple[Path, Weights]:
    torch.manual_seed(11)
    shape: dict[str, Any] = {"hidden_size": VISION_SIZE, "layers": 2, "heads": 4}
    prefix = f"{trunk}.vision_tower.vision_tower."
    weights = {n: w for n, w in weights_of(trunk, N_TOKENS, 3).items() if not n.startswith(prefix)}
    weights |= {prefix + name: torch.randn_like(w) * 0.2 for name, w in ViT(ViTSpec(**shape)).state_dict().items()}
    config = {"mm_vision_tower": "test/vitl16_small", "mm_vision_tower_shape": shape}
    positions = {"n_positions": 256} if trunk == "transformer" else {"max_position_embeddings": 256}
    if trunk == "transformer":
        weights["transformer.wpe.weight"] = torch.randn(256, 32)
    return checkpoint(folder, trunk, weights=weights, config=config | positions), weights


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_vit_tower_gives_197_positions(trunk: str, tmp_path: Path) -> None:
    """196 patches and the class token, all of them in the sequence."""
    folder, weights = vit_checkpoint(tmp_path / "model", trunk)
    model = load(folder)
    positions = {"n_positions": 256} if trunk == "transformer" else {"max_position_embeddings": 256}
    slow = SlowPath.of(weights, trunk, N_TOKENS, **positions)
    pixels = model.preprocess(picture(1))
    own = slow_path.under(weights, f"{trunk}.vision_tower.vision_tower.")
    seen = slow_path.vit(own, pixels, layers=2, heads=4, patch_size=16)
    assert len(seen) == 197
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slow_path, "resnext", lambda *_: seen)
        expected = slow.token_losses(pixels, [IMAGE], [RED, BALL])
    got = [-x for x in score(model, "red ball", seed=1).token_logprobs]
    assert got == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------- what is said of a loaded model


def test_the_fingerprint_changes_with_any_file_that_makes_the_numbers(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    first = load(folder).info.fingerprint
    assert len(first) == len(hashlib.sha256().hexdigest())
    assert load(checkpoint(tmp_path / "copy")).info.fingerprint == first
    seen = {first}
    edit_json(folder / "config.json", layer_norm_epsilon=1e-4)
    seen.add(load(folder).info.fingerprint)
    edit_json(folder / "tokenizer_config.json", clean_up_tokenization_spaces=False)
    seen.add(load(folder).info.fingerprint)
    write_json(folder / "generation_config.json", {"repetition_penalty": 1.2})
    seen.add(load(folder).info.fingerprint)
    weights = weights_in(folder)
    weights["transformer.ln_f.bias"][0] += 1
    save(weights, folder / "model.safetensors")
    seen.add(load(folder).info.fingerprint)
    assert len(seen) == 5


def test_what_is_said_of_a_model(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    info = load(folder, conv_template="baby_v1").info
    # n_parameters: everything but the statistics of the norms
    weights = weights_in(folder)
    parameters = [w.numel() for name, w in weights.items() if not name.endswith(("mean", "var", "tracked"))]
    assert (info.family, info.source, info.template) == ("babyllava", str(folder), "baby_v1")
    assert (info.device, info.dtype, info.notes) == ("cpu", "float32", ())
    assert info.n_parameters == sum(parameters)
