"""LoRA adapters: against PEFT's merge_and_unload where that package is installed, and by hand where it is not."""

from __future__ import annotations

import fnmatch
import itertools
import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from babycli.models.base import Model
from babycli.models.parts import adapters
from tests import checkpoints
from tests.conftest import Babycli
from tests.hf_checkpoints import LIBRARY, write_hf
from tests.llava_checkpoints import as_transformers, write_llava, write_tower
from tests.models import test_clip
from tests.models.conftest import Evaluate
from tests.models.loading import WORDS, edit_json, load, save, score, write_json
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_llava_next import CASES, reference
from tests.models.test_llava_next import write as write_next

pytestmark = pytest.mark.usefixtures("one_thread")

PREFIX = "base_model.model."
PROMPT = "USER: What's the object in the image? <image> ASSISTANT:"


def adapt(base: Path, folder: Path, targets: str, **settings: Any) -> Path:
    """What PEFT saves for the base's weights that ``targets`` names: rank 2, or 3 where the name holds a 0."""
    numbers = torch.Generator().manual_seed(5)
    folder.mkdir(parents=True, exist_ok=True)
    is_transposed = settings.pop("transposed", False)
    saved: dict[str, Tensor] = {}
    for name, weight in load_file(base / "model.safetensors").items():
        if re.search(targets, name) and name.endswith(".weight"):
            n_out, n_in = weight.T.shape if is_transposed else weight.shape
            module, rank = PREFIX + name.removesuffix(".weight"), 3 if ".0." in name else 2
            saved[f"{module}.lora_A.weight"] = torch.randn(rank, n_in, generator=numbers) / 2
            saved[f"{module}.lora_B.weight"] = torch.randn(n_out, rank, generator=numbers) / 2
            if settings.get("use_dora"):
                saved[f"{module}.lora_magnitude_vector"] = 1 + torch.rand(n_out, generator=numbers)
    save_file(saved, folder / "adapter_model.safetensors")
    says = {"peft_type": "LORA", "base_model_name_or_path": str(base), "r": 2, "lora_alpha": 3, "lora_dropout": 0.05}
    says |= {"rank_pattern": {r"layers\.0\..*": 3}, "target_modules": targets, "init_lora_weights": True}
    write_json(folder / "adapter_config.json", says | settings)
    return folder


def merged(base: Path, adapter: Path, folder: Path, is_transposed: bool = False) -> Path:
    """The base with the changes added by hand, W + B A alpha / rank, as a whole checkpoint."""
    shutil.copytree(base, folder)
    weights, changes = load_file(base / "model.safetensors"), load_file(adapter / "adapter_model.safetensors")
    for name, down in changes.items():
        if name.endswith(".lora_A.weight"):
            place = name.removeprefix(PREFIX).replace(".lora_A", "")
            added = changes[name.replace("lora_A", "lora_B")] @ down * 3 / len(down)
            weights[place] = weights[place] + (added.T if is_transposed else added)
    save(weights, folder / "model.safetensors")
    return folder


def answers(model: Model, prompt: str = "", text: str = "ball") -> list[float]:
    return [value for seed in range(3) for value in score(model, text, seed, prompt).token_logprobs]


# ---------------------------------------------------------------- each family


def test_an_adapter_of_llavas_trainer(tmp_path: Path) -> None:
    """A LoRA on the language model, a new projector beside it, and the config of the whole; the base is a Llama."""
    write_tower(tmp_path / "openai" / "clip-small")
    whole = write_llava(tmp_path / "whole")
    adapter = adapt(whole, tmp_path / "adapter", r"model\.layers\..*(q_proj|v_proj|down_proj)")
    expected = merged(whole, adapter, tmp_path / "merged")
    weights = load_file(whole / "model.safetensors")
    projector = {name: w for name, w in weights.items() if "mm_projector" in name}
    torch.save({PREFIX + name: w for name, w in projector.items()}, adapter / "non_lora_trainables.bin")
    (adapter / "config.json").write_bytes((whole / "config.json").read_bytes())
    base = Path(shutil.copytree(whole, tmp_path / "vicuna"))
    save({name: w for name, w in weights.items() if name not in projector}, base / "model.safetensors")
    config = json.loads((base / "config.json").read_text())
    plain = {key: value for key, value in config.items() if not key.startswith(("mm_", "image_"))}
    write_json(base / "config.json", plain | {"model_type": "llama"})
    model = load(adapter, base=base)
    assert model.info.family == "llava"
    assert answers(model, PROMPT) == pytest.approx(answers(load(expected), PROMPT), abs=1e-5)
    assert answers(model, PROMPT) != pytest.approx(answers(load(whole), PROMPT), abs=1e-2)
    assert any("is merged into its base" in note for note in model.info.notes)


@pytest.mark.parametrize("trunk", ["transformer", "model"])
def test_an_adapter_of_babyllava(trunk: str, tmp_path: Path) -> None:
    """GPT-2's weights are (in, out); of the square ones no shape tells it."""
    base = checkpoints.write_checkpoint(tmp_path / "base", WORDS, trunk=trunk)
    targets = r"\.h\.\d\.(attn|mlp)\.c_" if trunk == "transformer" else "_proj"
    is_gpt2 = trunk == "transformer"
    adapter = adapt(base, tmp_path / "adapter", targets, transposed=is_gpt2)
    expected = answers(load(merged(base, adapter, tmp_path / "merged", is_gpt2)))
    assert answers(load(adapter)) == pytest.approx(expected, abs=5e-6)
    assert expected != pytest.approx(answers(load(base)), abs=1e-4)  # its layers count little behind its embeddings


def test_an_adapter_of_a_clip(tmp_path: Path) -> None:
    base = test_clip.write(tmp_path / "base", "clip")
    adapter = adapt(base, tmp_path / "adapter", r"layers.*(q_proj|fc1)")
    expected = load(merged(base, adapter, tmp_path / "merged"))
    found = test_clip.scores(load(adapter), range(3), test_clip.TEXTS, 3)
    assert found == pytest.approx(test_clip.scores(expected, range(3), test_clip.TEXTS, 3), abs=1e-6)
    assert found != pytest.approx(test_clip.scores(load(base), range(3), test_clip.TEXTS, 3), abs=1e-3)


@pytest.mark.parametrize(
    "are_older",
    [pytest.param(False, marks=pytest.mark.long, id="names of today"), pytest.param(True, id="names of version 4.4x")],
)
def test_an_adapter_of_a_model_of_transformers(are_older: bool, tmp_path: Path) -> None:
    base = write_hf(tmp_path / "base", "llava")
    adapter = adapt(base, tmp_path / "adapter", r"language_model\..*(q_proj|up_proj)")
    network = LIBRARY.LlavaForConditionalGeneration.from_pretrained(base)
    changes = load_file(adapter / "adapter_model.safetensors")
    inside = {name for name, _ in network.named_modules()}
    for name in {name.removeprefix(PREFIX).rpartition(".lora_")[0] for name in changes}:
        (place,) = [m for m in inside if "language_model" in m and m.endswith(name.partition("layers")[2])]
        down, up = (changes[f"{PREFIX}{name}.lora_{x}.weight"] for x in "AB")
        network.get_submodule(place).weight.data += up @ down * 3 / len(down)
    shutil.copytree(base, tmp_path / "merged")
    network.save_pretrained(tmp_path / "merged")
    old, new = (f"{PREFIX}{name}." for name in ("language_model.model", "model.language_model"))
    names = {name: name.replace(new, old) if are_older else name.replace(old, new) for name in changes}
    assert all(name.startswith(old if are_older else new) for name in names.values())
    renamed = {names[name]: tensor for name, tensor in changes.items()}
    save_file(renamed, adapter / "adapter_model.safetensors")
    expected = answers(load(tmp_path / "merged"))
    assert answers(load(adapter)) == pytest.approx(expected, abs=1e-5)
    assert expected != pytest.approx(answers(load(base)), abs=1e-2)


# ---------------------------------------------------------------- each setting, against PEFT itself

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": ["q_proj", "fc2"]},
    "rank-stabilised": {"target_modules": ["q_proj"], "use_rslora": True},
    "patterns": {
        "target_modules": ["q_proj", "k_proj"],
        "rank_pattern": {"layers.0.self_attn.q_proj": 4},
        "alpha_pattern": {"k_proj": 7},
    },
    "whole modules": {"target_modules": ["q_proj"], "modules_to_save": ["visual_projection"]},
    "biases": {"target_modules": ["q_proj"], "bias": "all"},
    "lengths": {"target_modules": ["q_proj", "fc1"], "use_dora": True},
    "embeddings and convolutions": {"target_modules": ["token_embedding", "patch_embedding"]},
}


@pytest.mark.long
@pytest.mark.parametrize("case", SETTINGS)
def test_weights_are_those_of_peft(case: str, tmp_path: Path) -> None:
    peft: Any = pytest.importorskip("peft")
    base = test_clip.write(tmp_path / "base", "clip")
    network = LIBRARY.CLIPModel.from_pretrained(base)
    wrapped = peft.get_peft_model(network, peft.LoraConfig(r=3, lora_alpha=5, **SETTINGS[case]))
    torch.manual_seed(1)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) / 5
    wrapped.save_pretrained(tmp_path / "adapter")
    whole = wrapped.merge_and_unload().state_dict()
    edit_json(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=str(base))
    ours: Any = load(tmp_path / "adapter")
    found = ours._network.state_dict()
    assert found.keys() == whole.keys()
    for name, tensor in whole.items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name


def change(folder: Path, **settings: object) -> Mapping[str, Tensor]:
    """Reads what the adapter of a small CLIP adds with other settings."""
    from babycli.models.parts.adapters import read_adapter

    edit_json(folder / "adapter_config.json", **settings)
    return {
        name: one.on(torch.zeros(one.up.shape[0], one.down.shape[1]), False)
        for name, one in read_adapter(folder).changes.items()
    }


def test_how_large_a_change_is(tmp_path: Path) -> None:
    """alpha / rank, alpha / sqrt(rank), and an alpha of its own; worked by hand."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    up, down = torch.tensor([[1.0, 0], [2, 1]]), torch.tensor([[1.0, 1, 1], [0, 2, 0]])
    saved = {f"{PREFIX}layers.0.q_proj.lora_A.weight": down, f"{PREFIX}layers.0.q_proj.lora_B.weight": up}
    save_file(saved, folder / "adapter_model.safetensors")
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "lora_alpha": 4})
    product = np.array([[1, 1, 1], [2, 4, 2]])
    for settings, factor in (
        ({}, 2),
        ({"use_rslora": True}, 4 / math.sqrt(2)),
        ({"use_rslora": False, "alpha_pattern": {"q_proj": 6}}, 3),
        ({"alpha_pattern": {"k_proj": 6}}, 2),
    ):
        assert change(folder, **settings)["layers.0.q_proj.weight"].numpy() == pytest.approx(product * factor)


# ---------------------------------------------------------------- what is refused


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    base = test_clip.write(tmp_path / "base", "clip")
    return base, adapt(base, tmp_path / "adapter", "q_proj")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"peft_type": "IA3"}, '"IA3"'),
        ({"lora_bias": True}, "lora_bias true"),
        ({"target_parameters": ["x"]}, "target_parameters"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"a_setting_of_tomorrow": 2}, "a_setting_of_tomorrow"),
        ({"lora_alpha": "large"}, "lora_alpha"),
        ({"lora_alpha": math.inf}, "lora_alpha"),
        ({"lora_alpha": 0}, "lora_alpha is 0"),
        ({"use_rslora": "false"}, 'use_rslora "false"'),
        ({"alpha_pattern": {"q_proj": None}}, "q_proj"),
        ({"alpha_pattern": {"(": 2}}, "alpha_pattern"),
        ({"alpha_pattern": "q_proj"}, "alpha_pattern"),
        ({"alpha_pattern": {"x{99999999999}": 2}}, "repetition number is too large"),
        ({"use_dora": True}, "lora_magnitude_vector"),
    ],
)
def test_other_kinds_of_adapters(
    settings: dict[str, object], says: str, pair: tuple[Path, Path], evaluate: Evaluate
) -> None:
    edit_json(pair[1] / "adapter_config.json", **settings)
    assert_explained(evaluate("--model", pair[1]), 5, pair[1], says)


def test_a_pattern_that_takes_years_to_match(
    pair: tuple[Path, Path], evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "MATCHING_S", 1)
    edit_json(pair[1] / "adapter_config.json", alpha_pattern={r"(\w+\.?)+!": 2})
    assert_explained(evaluate("--model", pair[1]), 5, pair[1], "alpha_pattern", "after 1 s")


def test_another_base(pair: tuple[Path, Path], evaluate: Evaluate, tmp_path: Path) -> None:
    other = checkpoints.write_checkpoint(tmp_path / "other", WORDS)
    ran = evaluate("--model", pair[1], "--model-args", f"base={other}")
    assert_explained(ran, 5, pair[1], "weights that its base does not have")
    saved = load_file(pair[1] / "adapter_model.safetensors")
    wider = {n: torch.ones(2, 99) if "lora_A" in n else t[:, :2].contiguous() for n, t in saved.items()}
    save_file(wider, pair[1] / "adapter_model.safetensors")
    assert_explained(evaluate("--model", pair[1]), 5, pair[1], "in its base it is")


def test_a_whole_weight_that_no_base_has(evaluate: Evaluate, tmp_path: Path) -> None:
    """The adapter's file is to blame, not the base."""
    for kind, base in tied_bases(tmp_path).items():
        adapter = adapt(base, tmp_path / f"adapter of {kind}", ATTENTION)
        file = adapter / "adapter_model.safetensors"
        save_file(load_file(file) | {f"{PREFIX}score.weight": torch.ones(2, 4)}, file)
        assert_explained(evaluate("--model", adapter), 5, file, "score.weight (2, 4)", "its base has none")
    adapter = adapt(base, tmp_path / "of LLaVA's trainer", ATTENTION)
    torch.save({"model.norm.gain": torch.ones(2)}, adapter / "non_lora_trainables.bin")
    assert_explained(evaluate("--model", adapter), 5, adapter / "non_lora_trainables.bin", "model.norm.gain (2,)")


# ---------------------------------------------------------------- a head that is the embeddings

ATTENTION = r"layers\.0\.self_attn\.q_proj|h\.0\.attn\.c_attn"


def tied_bases(tmp_path: Path) -> dict[str, Path]:
    """A checkpoint of each family with a language model, whose head is its embeddings."""
    bases = {"babyllava": checkpoints.write_checkpoint(tmp_path / "babyllava", WORDS)}
    write_tower(tmp_path / "openai" / "clip-small")
    bases["llava"] = write_llava(tmp_path / "llava", tie_word_embeddings=True)
    weights = load_file(bases["llava"] / "model.safetensors")
    save({n: w for n, w in weights.items() if n != "lm_head.weight"}, bases["llava"] / "model.safetensors")
    tower = tmp_path / "openai" / "clip-small"
    bases["llava of transformers"] = as_transformers(bases["llava"], tower, tmp_path / "transformers")
    edit_json(tmp_path / "transformers" / "config.json", tie_word_embeddings=True)
    bases["llava_next"] = tmp_path / "llava_next"
    case = CASES["qwen, padded"]
    write_next(bases["llava_next"], case, reference(case)[0])
    bases["hf"] = write_hf(tmp_path / "hf", "llava")
    return bases


KINDS = ["babyllava", "llava", "llava of transformers", "llava_next", "hf"]


def embeddings_in(base: Path) -> tuple[str, Tensor]:
    (found,) = ((n, w) for n, w in load_file(base / "model.safetensors").items() if re.search("wte|embed_tokens", n))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_the_adapter_parts_from_the_embeddings(kind: str, tmp_path: Path) -> None:
    """As PEFT does: each of the two that is in the adapter is its own, and the other stays the base's."""
    base = tied_bases(tmp_path)[kind]
    name, old = embeddings_in(base)
    head, embeddings = (torch.randn(old.shape, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    seen = []
    for i, (given, has_embeddings, has_head) in enumerate(
        (
            ({"lm_head.weight": head}, old, head),
            ({name: embeddings}, embeddings, old),
            ({"lm_head.weight": head, name: embeddings}, embeddings, head),
            ({"lm_head.weight": head, name: head}, head, head),
        )
    ):
        adapter = adapt(base, tmp_path / f"adapter {i}", "nothing")
        save_file({PREFIX + n: w.clone() for n, w in given.items()}, adapter / "adapter_model.safetensors")
        whole = Path(shutil.copytree(base, tmp_path / f"whole {i}"))
        weights = load_file(base / "model.safetensors")
        save(weights | {name: has_embeddings, "lm_head.weight": has_head.clone()}, whole / "model.safetensors")
        edit_json(whole / "config.json", tie_word_embeddings=False)
        model = load(adapter)
        seen.append(answers(model, "red"))
        assert seen[-1] == pytest.approx(answers(load(whole), "red"), abs=1e-5)
        assert any("are one weight in the base, and not with" in n for n in model.info.notes) == (i < 3)
    assert all(
        a != pytest.approx(b, abs=1e-5, rel=0)
        for a, b in itertools.combinations([answers(load(base), "red"), *seen], 2)
    )


@pytest.mark.parametrize(
    "held",
    [
        {"model.norm.weight": 3.0},
        {"model.norm.weight": [torch.ones(2)]},
        {3: torch.ones(2)},
        {"queue.weight": 3.0},
        {"schedule_encoder": {"weight": torch.ones(2)}},
    ],
    ids=repr,
)
def test_what_was_trained_beside_an_adapter_is_not_passed_over(
    held: dict[Any, Any], evaluate: Evaluate, tmp_path: Path
) -> None:
    """What has no weight's name or form; a file that is empty says that nothing was trained."""
    base = tied_bases(tmp_path)["babyllava"]
    adapter = adapt(base, tmp_path / "adapter", ATTENTION, transposed=True)
    file = adapter / "non_lora_trainables.bin"
    torch.save(held, file)
    assert_explained(evaluate("--model", adapter), 5, f"{file} holds no weights by name")
    norm = load_file(base / "model.safetensors")["transformer.ln_f.weight"]
    torch.save({"transformer.ln_f.weight": norm, **held}, file)  # beside a weight
    assert_explained(
        evaluate("--model", adapter), 5, f"{file} holds weights by name, and {next(iter(held))!r} in another"
    )
    torch.save(
        {
            "transformer.ln_f.weight": norm,
            "epoch": 3,
            "optimizer_state": {"state": [torch.ones(2)]},
            "ema": {"a": torch.ones(2)},
        },
        file,
    )
    assert evaluate("--model", adapter).code == 0
    torch.save({}, file)
    assert evaluate("--model", adapter).code == 0
    file.unlink()
    file.mkdir()
    assert_explained(evaluate("--model", adapter), 5, str(file))


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_of_llavas_trainer_are_the_head_too(kind: str, tmp_path: Path) -> None:
    """Its loader copies them into the weight that both are."""
    base = tied_bases(tmp_path)[kind]
    name, old = embeddings_in(base)
    new = torch.randn(old.shape, generator=torch.Generator().manual_seed(1))
    adapter = adapt(base, tmp_path / "adapter", ATTENTION, transposed=kind == "babyllava")
    torch.save({PREFIX + name: new}, adapter / "non_lora_trainables.bin")
    expected = merged(base, adapter, tmp_path / "merged", kind == "babyllava")
    save(load_file(expected / "model.safetensors") | {name: new}, expected / "model.safetensors")
    found = answers(load(adapter))
    assert found == pytest.approx(answers(load(expected)), abs=1e-4)
    assert found != pytest.approx(answers(load(base)), abs=1e-2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["head", "embeddings", "of the trainer"])
def test_changes_of_a_weight_that_is_two(kind: str, which: str, tmp_path: Path, evaluate: Evaluate) -> None:
    """PEFT adds them to both when it merges, and not before."""
    base = tied_bases(tmp_path)[kind]
    name, old = embeddings_in(base)
    adapter = adapt(base, tmp_path / "adapter", "nothing")
    n, wide = old.shape
    if which == "of the trainer":
        torch.save({name: old + 1, "lm_head.weight": old + 2}, adapter / "non_lora_trainables.bin")
        assert_explained(evaluate("--model", adapter), 5, adapter / "non_lora_trainables.bin", "one weight in its base")
        return
    module = PREFIX + (name.removesuffix(".weight") if which == "embeddings" else "lm_head")
    infix = "_embedding_{}" if which == "embeddings" else "_{}.weight"
    a, b = torch.ones(2, wide if which == "head" else n), torch.ones(n if which == "head" else wide, 2)
    saved = {f"{module}.lora{infix.format('A')}": a, f"{module}.lora{infix.format('B')}": b}
    save_file(saved, adapter / "adapter_model.safetensors")
    assert_explained(evaluate("--model", adapter), 5, adapter, "is the same weight, which would change too")


def test_changes_of_embeddings_with_the_weight_that_they_are_added_to(tmp_path: Path) -> None:
    """PEFT saves embeddings whole where they are changed; the whole one is not what counts then."""
    write_tower(tmp_path / "openai" / "clip-small")
    base = write_llava(tmp_path / "base")
    adapter = adapt(base, tmp_path / "adapter", "lm_head")
    expected = answers(load(merged(base, adapter, tmp_path / "merged")), PROMPT)
    old = load_file(base / "model.safetensors")["lm_head.weight"]
    file = adapter / "adapter_model.safetensors"
    save_file(load_file(file) | {f"{PREFIX}lm_head.base_layer.weight": old}, file)
    assert answers(load(adapter), PROMPT) == pytest.approx(expected, abs=1e-5)
    assert expected != pytest.approx(answers(load(base), PROMPT), abs=1e-2)


@pytest.mark.parametrize("kind", ["babyllava", "llava", "llava_next"])
def test_a_head_in_the_weights_that_is_not_read(kind: str, tmp_path: Path) -> None:
    base = tied_bases(tmp_path)[kind]
    expected, (_, old) = answers(load(base)), embeddings_in(base)
    for head, is_noted in ((old.clone(), False), (old + 1, True)):
        save(load_file(base / "model.safetensors") | {"lm_head.weight": head}, base / "model.safetensors")
        model = load(base)
        assert any("which differs, is not used" in note for note in model.info.notes) == is_noted
        assert answers(model) == expected


@pytest.mark.long
@pytest.mark.parametrize("modules", [["lm_head"], ["embed_tokens"], ["embed_tokens", "lm_head"]])
def test_heads_are_those_of_peft(modules: list[str], tmp_path: Path) -> None:
    peft: Any = pytest.importorskip("peft")
    base = write_hf(tmp_path / "base", "llava")
    network = LIBRARY.LlavaForConditionalGeneration.from_pretrained(base)
    settings = peft.LoraConfig(r=3, target_modules=["q_proj"], modules_to_save=modules)
    wrapped = peft.get_peft_model(network, settings)
    torch.manual_seed(1)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) / 5
    wrapped.save_pretrained(tmp_path / "adapter")
    edit_json(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=str(base))
    shutil.copytree(base, tmp_path / "merged")
    wrapped.merge_and_unload().save_pretrained(tmp_path / "merged")
    expected = answers(load(tmp_path / "merged"))
    assert answers(load(tmp_path / "adapter")) == pytest.approx(expected, abs=1e-5)
    assert expected != pytest.approx(answers(load(base)), abs=1e-2)


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("rank", "turned", "n_lengths", "says"),
    [
        (0, False, None, "of rank 0"),
        (2, True, None, "in its base it is"),
        (2, False, 0, "a lora_magnitude_vector of 0 numbers"),
        (2, False, 1, "a lora_magnitude_vector of 1 numbers"),
    ],
)
def test_weights_that_do_not_fit(
    rank: int, turned: bool, n_lengths: int | None, says: str, tmp_path: Path, evaluate: Evaluate
) -> None:
    """None is spread over a weight of another shape, or folded into one of as many numbers."""
    base = test_clip.write(tmp_path / "base", "clip")
    adapter = adapt(base, tmp_path / "adapter", "text_model.*0.*fc1", use_dora=n_lengths is not None)
    (name,) = (name for name in load_file(adapter / "adapter_model.safetensors") if "lora_A" in name)
    module = name.removesuffix(".lora_A.weight")
    n_out, n_in = load_file(base / "model.safetensors")[f"{module.removeprefix(PREFIX)}.weight"].shape
    assert n_out != n_in
    n_out, n_in = (n_in, n_out) if turned else (n_out, n_in)
    saved = {name: torch.ones(rank, n_in), f"{module}.lora_B.weight": torch.ones(n_out, rank)}
    if n_lengths is not None:
        saved[f"{module}.lora_magnitude_vector"] = torch.ones(n_lengths)
    save_file(saved, adapter / "adapter_model.safetensors")
    assert_explained(evaluate("--model", adapter), 5, adapter, says)


def test_a_rank_that_is_not_that_of_its_weights(tmp_path: Path, evaluate: Evaluate) -> None:
    """It is of another training, and so may be the alpha; PEFT refuses the shapes."""
    base = test_clip.write(tmp_path / "base", "clip")
    adapter = adapt(base, tmp_path / "adapter", "text_model.*1.*fc1", r=4, rank_pattern={})
    assert_explained(evaluate("--model", adapter), 5, adapter, "has the rank 2, and adapter_config.json says r 4")


def test_a_base_that_is_not_here(pair: tuple[Path, Path], evaluate: Evaluate, babycli: Babycli) -> None:
    shutil.rmtree(pair[0])
    for ran in (evaluate("--model", pair[1]), babycli("models", "show", pair[1])):
        assert_explained(ran, 5, pair[1], f"a LoRA adapter of {pair[0]}")
        assert "--model-args base=" in ran.err


def test_a_base_of_a_name_that_no_file_has(pair: tuple[Path, Path], evaluate: Evaluate) -> None:
    edit_json(pair[1] / "adapter_config.json", base_model_name_or_path="x" * 300)
    assert_explained(evaluate("--model", pair[1]), 5, pair[1], "a LoRA adapter of")


def test_an_adapter_without_weights(pair: tuple[Path, Path], evaluate: Evaluate) -> None:
    save_file({}, pair[1] / "adapter_model.safetensors")
    assert_explained(evaluate("--model", pair[1]), 5, pair[1] / "adapter_model.safetensors", "no weights of an adapter")


def test_the_base_of_a_whole_model(pair: tuple[Path, Path], evaluate: Evaluate) -> None:
    assert_explained(evaluate("--model", pair[0], "--model-args", f"base={pair[0]}"), 2, "but a whole model")


def test_an_adapter_on_the_hub(pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own files are fetched, and then its base, both at the revisions that are named."""
    expected = load(pair[1]).info.fingerprint
    edit_json(pair[1] / "adapter_config.json", base_model_name_or_path="someone/base")
    places = {"someone/adapter": pair[1], "someone/base": pair[0]}
    asked = []

    def snapshot_download(repo_id: str, allow_patterns: list[str], revision: str | None) -> str:
        asked.append((repo_id, revision))
        home = tmp_path / "hub" / repo_id / "snapshots" / "abc"
        home.mkdir(parents=True, exist_ok=True)
        for file in places[repo_id].iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, home)
        return str(home)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    model = load("someone/adapter@v2", base="someone/base@main")
    assert model.info.commit == "abc"
    assert set(asked) == {("someone/adapter", "v2"), ("someone/base", "main")}
    edit_json(pair[1] / "adapter_config.json", base_model_name_or_path=str(pair[0]))
    assert load(pair[1]).info.fingerprint == expected


def test_the_command(pair: tuple[Path, Path], evaluate: Evaluate, babycli: Babycli, tmp_path: Path) -> None:
    """The adapter counts for the identity of a run, and where the base lies does not."""
    ran = evaluate("--model", pair[1], "--tasks", "vtwt")
    assert ran.code == 0, ran.err
    assert babycli("models", "show", pair[1]).code == 0
    moved = Path(shutil.copytree(pair[0], tmp_path / "moved"))
    assert load(pair[1], base=moved).info.fingerprint == load(pair[1]).info.fingerprint
    before = load(pair[1]).info.fingerprint
    edit_json(pair[1] / "adapter_config.json", lora_alpha=4)
    assert load(pair[1]).info.fingerprint != before != load(pair[0]).info.fingerprint
