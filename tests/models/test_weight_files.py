"""Which files of a folder are its weights: transformers' own choice, in every family; and folders that are no model."""

from __future__ import annotations

import fnmatch
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from babycli.errors import ModelError
from babycli.models.base import Model
from babycli.models.parts.checkpoint import read_weights
from babycli.models.parts.weight_files import find_weights
from tests.checkpoints import write_checkpoint
from tests.conftest import Babycli
from tests.hf_checkpoints import write_hf
from tests.llava_checkpoints import as_transformers, clip_weights, weights_in, write_llava, write_tower
from tests.models import test_clip, test_cvcl
from tests.models.conftest import Evaluate
from tests.models.loading import WORDS as BABY_WORDS
from tests.models.loading import asked, edit_json, features_of, load, pictures, save, tokenize, write_json
from tests.models.test_bad_checkpoints import assert_explained

Weights = Mapping[str, Tensor]
INDEX = ".index.json"


def write_shards(weights: Weights, folder: Path, single: str) -> list[Path]:
    """Two shards of the name that save_pretrained gives them, and their index, which is the last of the files."""
    stem, suffix = single.split(".")
    names = sorted(weights)
    places = {name: f"{stem}-{1 + 2 * i // len(names):05d}-of-00002.{suffix}" for i, name in enumerate(names)}
    for file in set(places.values()):
        save({name: weights[name] for name in names if places[name] == file}, folder / file)
    write_json(folder / f"{single}{INDEX}", {"metadata": {"total_size": 1}, "weight_map": places})
    return [folder / file for file in sorted(set(places.values()))] + [folder / f"{single}{INDEX}"]


def halved(weights: Weights) -> dict[str, Tensor]:
    return {name: w * 0.5 if w.is_floating_point() else w for name, w in weights.items()}


# ---------------------------------------------------------------- transformers' choice

SAVED = (
    *("model.safetensors", "shards", f"model.safetensors{INDEX}", "pytorch_model.bin", "bin shards"),
    *(f"pytorch_model.bin{INDEX}", "model.fp16.safetensors"),
)


@pytest.fixture(scope="module")
def every_save(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The files of each way to save a network, whose weights are all 1 in the first, all 2 in the second, ..."""
    folder = tmp_path_factory.mktemp("saved")
    config = CLIPVisionConfig(hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1)
    CLIPVisionModel(config).save_pretrained(folder)
    own = load_file(folder / "model.safetensors")

    def filled(value: float) -> dict[str, Tensor]:
        return {name: torch.full_like(w, value) if w.is_floating_point() else w for name, w in own.items()}

    safe = write_shards(filled(2), folder, "model.safetensors")
    bins = write_shards(filled(4), folder, "pytorch_model.bin")
    for name, value in (("model.safetensors", 1), ("pytorch_model.bin", 3), ("model.fp16.safetensors", 5)):
        save(filled(value), folder / name)
    files = {name: [folder / name] for name in SAVED} | {"shards": safe[:-1], "bin shards": bins[:-1]}
    return files | {"config": [folder / "config.json"]}


def chosen_by(read: Callable[[], Weights]) -> float | None:
    """The value that all weights have which were read; None if they were not."""
    try:
        values = {float(w.flatten()[0]) for w in read().values() if w.is_floating_point()}
    except (ModelError, OSError):
        return None
    (value,) = values
    return value


@pytest.mark.parametrize("most", [2, pytest.param(len(SAVED), marks=pytest.mark.long)])
def test_the_choice_is_that_of_transformers(most: int, every_save: dict[str, list[Path]], tmp_path: Path) -> None:
    """Over every combination of what save_pretrained may have left in a folder, of so many at most."""
    read: Any = CLIPVisionModel.from_pretrained
    chosen = []
    for number, present in enumerate(product([False, True], repeat=len(SAVED))):
        if sum(present) > most:
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in ["config", *(name for name, is_there in zip(SAVED, present, strict=True) if is_there)]:
            for file in every_save[name]:
                (folder / file.name).hardlink_to(file)
        expected = chosen_by(lambda: read(folder, local_files_only=True).state_dict())  # noqa: B023
        assert chosen_by(lambda: read_weights(find_weights(folder).paths)) == expected, sorted(folder.iterdir())  # noqa: B023
        chosen.append(expected)
    assert set(chosen) == {None, 1, 2, 3, 4}


def test_a_file_that_the_config_names(every_save: dict[str, list[Path]], tmp_path: Path) -> None:
    for name in ("config", "model.safetensors", "model.fp16.safetensors"):
        for file in every_save[name]:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    edit_json(tmp_path / "config.json", transformers_weights="model.fp16.safetensors")
    read: Any = CLIPVisionModel.from_pretrained
    assert chosen_by(lambda: read(tmp_path).state_dict()) == 5
    assert chosen_by(lambda: read_weights(find_weights(tmp_path).paths)) == 5
    for wrong in ("../model.safetensors", "model.bin", "other.safetensors", 3):
        edit_json(tmp_path / "config.json", transformers_weights=wrong)
        with pytest.raises(ModelError, match="transformers_weights"):
            find_weights(tmp_path)


# ---------------------------------------------------------------- every family


def _llava(folder: Path) -> Path:
    write_tower(folder.parent / "openai" / "clip-small")
    return write_llava(folder)


def _llava_hf(folder: Path) -> Path:
    tower = write_tower(folder.parent / "openai" / "clip-small")
    return as_transformers(write_llava(folder.parent / "original"), tower, folder)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "babyllava": lambda folder: write_checkpoint(folder, BABY_WORDS),
    "llava": _llava,
    "llava of transformers": _llava_hf,
    "clip": lambda folder: test_clip.write(folder, "clip"),
    "hf": lambda folder: write_hf(folder, "llava"),
}


# What takes weights as babycli's own networks do, and what transformers reads by itself.
SOME_FAMILIES = [
    family if family in ("babyllava", "hf") else pytest.param(family, marks=pytest.mark.long) for family in FAMILIES
]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(family: str, tmp_path: Path) -> Path:
    return FAMILIES[family](tmp_path / "model")


def number_of(model: Model) -> float:
    """A score that depends on all weights."""
    (features,) = features_of(model, 1)
    prompt = asked("" if model.info.family == "clip" else "What is it?")
    tokens = [tokenize(model, prompt, "red ball")]
    if model.info.abilities.scores == ("similarity",):
        return model.similarity(pictures([features]), tokens)[0].value
    (scored,) = model.loglikelihood(pictures([features]), tokens)
    return float(sum(scored.token_logprobs))  # type: ignore[union-attr]


@pytest.mark.parametrize("family", SOME_FAMILIES, indirect=True)
def test_a_second_set_of_weights_is_named_and_not_read(folder: Path) -> None:
    alone = load(folder)
    write_shards(halved(load_file(folder / "model.safetensors")), folder, "model.safetensors")
    model = load(folder)
    assert number_of(model) == number_of(alone)
    assert model.info.fingerprint == alone.info.fingerprint
    (note,) = [note for note in model.info.notes if "model.safetensors; not read: model-00001-of-00002" in note]
    assert "model.safetensors.index.json" in note
    for shard in folder.glob("model-*"):  # save_pretrained takes them and leaves their index
        shard.unlink()
    assert number_of(load(folder)) == number_of(alone)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks 2 of its weight files.*model-00001-of-00002\.safetensors"):
        load(folder)


@pytest.fixture(scope="module")
def cvcl_weights() -> dict[str, Tensor]:
    return test_cvcl.weights_of(0)


@pytest.mark.parametrize("kind", ["tower", "cvcl"])
def test_second_sets_elsewhere(kind: str, cvcl_weights: Weights, tmp_path: Path) -> None:
    if kind == "tower":
        folder = _llava(tmp_path / "llava")
        tower = tmp_path / "openai" / "clip-small"
        expected = number_of(load(folder))
        write_shards(halved(weights_in(tower)), tower, "pytorch_model.bin")
        model = load(folder)
        assert number_of(model) == expected
        assert "of the vision tower the weights are pytorch_model.bin; not read: pytorch_model-" in model.info.notes[-1]
    else:
        test_cvcl.save(tmp_path / "cvcl" / "cvcl.ckpt", dict(cvcl_weights))
        write_json(tmp_path / "cvcl" / "vocab.json", test_cvcl.VOCAB)
        (tmp_path / "cvcl" / "model.safetensors").write_bytes(b"")
        assert load(tmp_path / "cvcl").info.notes == ("the weights are cvcl.ckpt; not read: model.safetensors",)


# ---------------------------------------------------------------- what a training puts around weights


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """Saves the weights again, changed; what is no plain dict of tensors goes into a .bin."""
    weights = load_file(folder / "model.safetensors")
    changed = change(weights)
    (folder / "model.safetensors").unlink()
    if all(isinstance(value, Tensor) for value in changed.values()):
        save(changed, folder / "model.safetensors")
    else:
        torch.save(changed, folder / "pytorch_model.bin")


def behind(prefix: str, weights: Weights) -> dict[str, Tensor]:
    return {prefix + name: w for name, w in weights.items()}


WRAPPED: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "DataParallel": (functools.partial(behind, "module."), "module."),
    "compile": (functools.partial(behind, "_orig_mod."), "_orig_mod."),
    "PEFT": (functools.partial(behind, "base_model.model."), "base_model.model."),
    "several": (functools.partial(behind, "module._orig_mod."), "module._orig_mod."),
    "DeepSpeed": (lambda weights: {"module": weights, "global_steps": 3}, "module"),
    "Lightning": (lambda weights: {"state_dict": behind("module.", weights), "epoch": 1}, "module."),
}


@pytest.mark.parametrize(
    ("family", "how"),
    [
        pytest.param(family, how, marks=[] if family == "babyllava" or how == "Lightning" else pytest.mark.long)
        for family in FAMILIES
        for how in WRAPPED
    ],
    indirect=["family"],
)
def test_what_a_training_wrapped_around_weights(how: str, family: str, folder: Path, evaluate: Evaluate) -> None:
    """It is taken off; transformers does not do so, and what it reads by itself is refused with the reason."""
    expected = number_of(load(folder)) if family != "hf" else 0
    wrap, name = WRAPPED[how]
    rewrite(folder, wrap)
    if family == "hf":
        assert_explained(evaluate("--model", folder), 5, folder, "transformers does not", name)
    else:
        assert number_of(load(folder)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.long
def test_what_a_training_wrapped_around_other_weights(cvcl_weights: Weights, tmp_path: Path) -> None:
    """A CVCL, and the towers of both LLaVAs."""
    plain = test_cvcl.save(tmp_path / "plain" / "cvcl.ckpt", dict(cvcl_weights))
    wrapped = test_cvcl.save(tmp_path / "wrapped" / "cvcl.ckpt", behind("module._orig_mod.", cvcl_weights))
    for file in (plain, wrapped):
        write_json(file.parent / "vocab.json", test_cvcl.VOCAB)
    assert test_cvcl.score(load(wrapped), 1, "red ball") == test_cvcl.score(load(plain), 1, "red ball")
    folder = _llava(tmp_path / "llava")
    expected = number_of(load(folder))
    torch.save({"module": behind("_orig_mod.", clip_weights(1))}, tmp_path / "openai/clip-small/pytorch_model.bin")
    assert number_of(load(folder)) == pytest.approx(expected, abs=1e-5)


def test_a_wrapper_inside_names_is_named(evaluate: Evaluate, tmp_path: Path) -> None:
    """One part of the model was compiled by itself."""
    folder = test_clip.write(tmp_path / "model", "clip")
    rewrite(folder, lambda ws: {name.replace("text_model.", "text_model._orig_mod."): w for name, w in ws.items()})
    assert_explained(evaluate("--model", folder), 5, "'_orig_mod.' in the name")


@pytest.mark.parametrize("prefix", ["model.", "module."])
def test_a_prefix_that_is_not_taken_off_is_named(prefix: str, evaluate: Evaluate, tmp_path: Path) -> None:
    """One that no wrapper is known for, or one that not every name has."""
    folder = test_clip.write(tmp_path / "model", "clip")
    kept = {"logit_scale"} if prefix == "module." else set()
    rewrite(folder, lambda ws: {name if name in kept else prefix + name: w for name, w in ws.items()})
    assert_explained(evaluate("--model", folder), 5, f"{prefix!r} in front of the name")


def test_weights_with_an_adapter_that_is_not_merged(folder: Path, evaluate: Evaluate) -> None:
    more = {"layers.0.q_proj.lora_A.default.weight": torch.ones(2, 32)}
    rewrite(folder, lambda weights: behind("base_model.model.", weights | more))
    assert_explained(evaluate("--model", folder), 5, folder, "not merged", "lora_A")


# ---------------------------------------------------------------- folders that are no whole model


def adapter(folder: Path, suffix: str = "safetensors", **more: object) -> None:
    """What PEFT saves: into a folder of its own, or into that of its base."""
    folder.mkdir(exist_ok=True)
    names = {"base_model.model.q_proj.lora_A.weight": torch.ones(2, 32)}
    save(names, folder / f"adapter_model.{suffix}")
    says = {"peft_type": "LORA", "base_model_name_or_path": "someone/base", "r": 2}
    write_json(folder / "adapter_config.json", says | more)


def test_an_adapter_beside_the_weights(folder: Path, evaluate: Evaluate, babycli: Babycli) -> None:
    adapter(folder)
    names = (folder, "a LoRA adapter of someone/base", "beside")
    assert_explained(evaluate("--model", folder), 5, *names)
    assert_explained(babycli("models", "show", folder), 5, *names)
    (folder / "adapter_model.safetensors").unlink()
    model = load(folder)  # nothing is there that could be added
    assert any("not read: adapter_config.json" in note for note in model.info.notes)


def test_an_adapter_beside_the_weights_of_a_tower(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = _llava(tmp_path / "llava")
    adapter(tmp_path / "openai" / "clip-small")
    assert_explained(evaluate("--model", folder), 5, tmp_path / "openai" / "clip-small", "LoRA adapter")


def _lora_of_llava(folder: Path) -> None:
    adapter(_llava(folder), "bin")
    torch.save({"base_model.model.model.mm_projector.0.bias": torch.ones(2)}, folder / "non_lora_trainables.bin")
    (folder / "model.safetensors").unlink()


def _projector_alone(folder: Path) -> None:
    edit_json(_llava(folder) / "config.json", _name_or_path="lmsys/vicuna-7b-v1.5")
    torch.save({"model.mm_projector.0.bias": torch.ones(2)}, folder / "mm_projector.bin")
    (folder / "model.safetensors").unlink()


def _remaining(*kept: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        adapter(write_checkpoint(folder, BABY_WORDS))
        for file in folder.iterdir():
            if file.name not in kept:
                file.unlink()

    return write


PARTS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "an adapter alone": (adapter, ["is a LoRA adapter of someone/base, not a whole model"]),
    "of another kind": (lambda f: adapter(f, peft_type="IA3"), ["an adapter (IA3) of someone/base"]),
    "of no named base": (lambda f: adapter(f, base_model_name_or_path=None), ["a model that it does not name"]),
    "without its config": (_remaining("adapter_model.safetensors", "config.json"), ["adapter_model.safetensors"]),
    "LLaVA's LoRA": (_lora_of_llava, ["is a LoRA adapter of someone/base"]),
    "LLaVA's projector": (_projector_alone, ["mm_projector.bin is a projector", "lmsys/vicuna-7b-v1.5"]),
}


@pytest.mark.parametrize("what", PARTS)
def test_a_part_of_a_model_is_called_what_it_is(
    what: str, evaluate: Evaluate, babycli: Babycli, tmp_path: Path
) -> None:
    write, names = PARTS[what]
    folder = tmp_path / "part"
    write(folder)
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, folder, *names)
    assert "merge" in ran.err
    assert_explained(babycli("models", "show", folder), 5, *names)
    assert_explained(evaluate("--model", "llava", "--model-args", f"pretrained={folder}"), 5, *names)


def test_an_adapter_config_that_is_no_json(evaluate: Evaluate, tmp_path: Path) -> None:
    adapter(tmp_path / "part")
    (tmp_path / "part" / "adapter_config.json").write_text("{")
    assert_explained(evaluate("--model", tmp_path / "part"), 5, "adapter_config.json is not JSON")


NO_WEIGHTS = {
    "a variant": ("model.fp16.safetensors", ["no weights", "model.fp16.safetensors"]),
    "another library's": ("tf_model.h5", ["no weights", "tf_model.h5"]),
    "of a distributed training": (
        "shard-00001-model-00001-of-00001.safetensors",
        ["distributed", "shard-00001-model-00001-of-00001.safetensors"],
    ),
}


@pytest.mark.parametrize("what", NO_WEIGHTS)
def test_weights_by_other_names(what: str, evaluate: Evaluate, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", BABY_WORDS)
    name, names = NO_WEIGHTS[what]
    (folder / "model.safetensors").rename(folder / name)
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, folder, *names)
    assert ("mv " in ran.err) == (what == "a variant")


def test_a_pointer_of_git_lfs(folder: Path, evaluate: Evaluate) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, folder / "model.safetensors", "pointer of Git LFS")
    assert "lfs pull" in ran.err


# ---------------------------------------------------------------- models show


def test_show_says_what_is_read(family: str, folder: Path, babycli: Babycli) -> None:
    weights = {n: w.to(torch.float16) if w.is_floating_point() else w for n, w in weights_in(folder).items()}
    save(weights, folder / "model.safetensors")
    write_shards(halved(weights), folder, "pytorch_model.bin")
    ran = babycli("models", "show", folder, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    reads = {origin["what"]: origin for origin in found["reads"]}
    assert reads["weights"] == {"what": "weights", "where": "float16", "files": [str(folder / "model.safetensors")]}
    assert found["stored_dtype"] == "float16"
    assert "pytorch_model.bin.index.json" in found["left_out"]
    assert any(Path(file).name.startswith("token") for file in reads["tokenizer"]["files"])
    assert str(folder / "config.json") in reads["settings"]["files"]
    towers = {
        "babyllava": "in the weights",
        "llava": f"{folder.parent / 'openai/clip-small'}, as mm_vision_tower in config.json says",
        "llava of transformers": "in the weights, its shape in config.json",
    }
    assert reads.get("vision tower", {}).get("where") == towers.get(family)
    templates = {"clip": None, "hf": "the checkpoint's own", "babyllava": "plain, the default"}
    assert reads.get("template", {}).get("where") == templates.get(family, "llava, the default")
    text = babycli("models", "show", folder).out
    assert "weights          model.safetensors (float16)" in text
    assert "not read         pytorch_model-00001-of-00002.bin" in text


def test_show_of_a_tuned_tower(babycli: Babycli, tmp_path: Path) -> None:
    write_tower(tmp_path / "openai" / "clip-small")
    folder = write_llava(tmp_path / "llava", own_tower=clip_weights(5), unfreeze_mm_vision_tower=True)
    text = babycli("models", "show", folder).out
    assert "vision tower     in the weights, as unfreeze_mm_vision_tower in config.json says" in text
    edit_json(folder / "config.json", unfreeze_mm_vision_tower=False)
    text = babycli("models", "show", folder).out
    assert "as mm_vision_tower in config.json says; the one in the weights is not read" in text
    (folder / "model.safetensors").unlink()
    ran = babycli("models", "show", folder)
    assert ran.code == 0, ran.err
    assert "none that can be read: the checkpoint" in ran.out


def test_show_of_a_model_on_the_hub(babycli: Babycli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_checkpoint(tmp_path / "model", BABY_WORDS)
    shards = write_shards(load_file(folder / "model.safetensors"), folder, "model.safetensors")
    for file in [folder / "model.safetensors", *shards[:-1]]:
        file.unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo_id, **options: str(folder))
    ran = babycli("models", "show", "someone/model")
    assert ran.code == 0, ran.err
    assert "not fetched from the hub yet; the index names model-00001-of-00002.safetensors, model-00002" in ran.out


def test_shards_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what will be read is asked for: the shards of the index, and no other set of weights."""
    folder = write_checkpoint(tmp_path / "model", BABY_WORDS)
    weights = load_file(folder / "model.safetensors")
    expected = number_of(load(folder))
    (folder / "model.safetensors").unlink()
    shards = write_shards(weights, folder, "model.safetensors")
    for name in ("consolidated.safetensors", "pytorch_model.bin", "model.fp16.safetensors"):
        save(halved(weights), folder / name)
    cache = tmp_path / "cache"
    cache.mkdir()

    def snapshot_download(repo_id: str, allow_patterns: Sequence[str], **options: object) -> str:
        for file in folder.iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                (cache / file.name).write_bytes(file.read_bytes())
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert number_of(load("someone/model")) == expected
    edit_json(folder / "config.json", transformers_weights="consolidated.safetensors")
    named = load("someone/model")
    assert number_of(named) != expected
    assert number_of(named) == number_of(load(folder))
    for file in (folder / "config.json", cache / "config.json", cache / "consolidated.safetensors"):
        edit_json(file, transformers_weights=None) if file.suffix == ".json" else file.unlink()
    assert {file.name for file in cache.iterdir() if file.suffix != ".json"} == {shard.name for shard in shards[:-1]}


def test_show_looks_at_the_names_of_a_babys_tower(babycli: Babycli, tmp_path: Path) -> None:
    """The weights tell what the tower is, not the name of where it came from."""
    folder = write_checkpoint(tmp_path / "model", BABY_WORDS, config={"mm_vision_tower": "someone/dino_vitl16"})
    ran = babycli("models", "show", folder)
    assert ran.code == 0, ran.err
    assert "ResNeXt, stages of (1, 1, 1, 1)" in ran.out
    assert "vision tower     in the weights\n" in ran.out
    rewrite(folder, lambda weights: {name: w for name, w in weights.items() if ".vision_tower." not in name})
    edit_json(folder / "config.json", mm_vision_tower="someone/dino_resnext50")
    text = babycli("models", "show", folder).out
    assert "vision tower     someone/dino_resnext50, as config.json says: it is not in the weights" in text
