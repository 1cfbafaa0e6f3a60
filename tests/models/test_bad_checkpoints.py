"""Checkpoints that cannot be right: exit code 5, one message that names the file or weight, no traceback, no score.

Each line of a table breaks a good checkpoint in one way and says what the message must name.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.checkpoints import weights_of, write_checkpoint
from tests.conftest import Ran
from tests.models.conftest import Evaluate
from tests.models.loading import N_TOKENS, WORDS, edit_json, filler, save, write_json

Break = Callable[[Path], object]
EMBEDDINGS = "transformer.wte.weight"


def good(folder: Path, trunk: str = "transformer") -> Path:
    return write_checkpoint(folder, WORDS, trunk=trunk)


def assert_explained(ran: Ran, code: int, *names: object) -> None:
    """One message, short enough to read, that names what is wrong; nothing on stdout."""
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    messages = [line for line in ran.err.splitlines() if line.startswith("babycli: ")]
    assert len(messages) == 1
    assert len(re.sub(r"popen-gw\d+/", "", messages[0])) < 700  # pytest-xdist's folders make paths longer
    for name in names:
        assert str(name) in messages[0]


def test_the_checkpoint_that_is_broken_below_is_good(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--model", good(tmp_path / "model")).code == 0
    assert evaluate("--model", good(tmp_path / "llama", "model")).code == 0


# ---------------------------------------------------------------- files


def truncate(name: str, keep: float) -> Break:
    def cut(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * keep)])

    return cut


def remove(name: str) -> Break:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: str | bytes) -> Break:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def as_bin(folder: Path) -> dict[str, Tensor]:
    """Turns the checkpoint's weights into pytorch_model.bin, and gives them."""
    weights = load_file(folder / "model.safetensors")
    save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return weights


def bin_holding(value: object) -> Break:
    def replace(folder: Path) -> None:
        as_bin(folder)
        torch.save(value, folder / "pytorch_model.bin")

    return replace


def bin_of_bytes(content: bytes) -> Break:
    def replace(folder: Path) -> None:
        as_bin(folder)
        (folder / "pytorch_model.bin").write_bytes(content)

    return replace


def bin_with(make: Callable[[Tensor], Tensor]) -> Break:
    def replace(folder: Path) -> None:
        weights = as_bin(folder)
        torch.save(weights | {EMBEDDINGS: make(weights[EMBEDDINGS])}, folder / "pytorch_model.bin")

    return replace


def truncated_bin(folder: Path) -> None:
    as_bin(folder)
    truncate("pytorch_model.bin", 0.7)(folder)


def in_shards(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    names = list(weights)
    places = {name: f"model-{1 + i % 2:05d}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        save({name: weights[name] for name in names if places[name] == file}, folder / file)
    write_json(folder / "model.safetensors.index.json", {"weight_map": places})
    (folder / "model.safetensors").unlink()


def without_a_shard(folder: Path) -> None:
    in_shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def a_shard_as_a_pipe(folder: Path) -> None:
    without_a_shard(folder)
    os.mkfifo(folder / "model-00002-of-00002.safetensors")


def instead(name: str, make: Callable[[Path], object]) -> Break:
    def replace(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return replace


def beside_a_bin(spoil: Break) -> Break:
    def both(folder: Path) -> None:
        as_bin(folder)
        spoil(folder)

    return both


def two_words_as_one(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["cat"] = vocabulary["ball"]
    write_json(folder / "tokenizer.json", content)


def at_random(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"] = {
        "type": "BPE",
        "vocab": {letter: i for i, letter in enumerate(("<pad>", "<unk>", "<sos>", "<eos>", "a", "b", "ab"))},
        "merges": [["a", "b"]],
        "dropout": 0.5,
    }
    write_json(folder / "tokenizer.json", content)


def with_index(content: str) -> Break:
    def replace(folder: Path) -> None:
        in_shards(folder)
        (folder / "model.safetensors.index.json").write_text(content)

    return replace


FILES: dict[str, tuple[Break, list[str]]] = {
    "no config": (remove("config.json"), ["config.json"]),
    "empty config": (write("config.json", ""), ["config.json"]),
    "config is no JSON": (write("config.json", "{'model_type': 1}"), ["config.json"]),
    "config is cut off": (truncate("config.json", 0.5), ["config.json"]),
    "config is a list": (write("config.json", "[1, 2]"), ["config.json"]),
    "no tokenizer": (remove("tokenizer.json"), ["no tokenizer", "tokenizer.json"]),
    "tokenizer is cut off": (truncate("tokenizer.json", 0.5), ["tokenizer.json"]),
    "tokenizer is no JSON": (write("tokenizer.json", "hello"), ["tokenizer.json"]),
    "two words have one id": (two_words_as_one, ["tokenizer.json", "'ball' and 'cat' have one id"]),
    "tokenizer splits words at random": (at_random, ["tokenizer.json", "at random"]),
    "tokenizer is other JSON": (write("tokenizer.json", "{}"), ["tokenizer.json"]),
    "tokenizer config is cut off": (truncate("tokenizer_config.json", 0.5), ["tokenizer_config.json"]),
    "tokenizer config lists tokens": (
        write("tokenizer_config.json", '{"added_tokens_decoder": ["<sos>"]}'),
        ["tokenizer_config.json"],
    ),
    "special tokens are cut off": (write("special_tokens_map.json", '{"bos_'), ["special_tokens_map.json"]),
    "tokenizer.model is text": (write("tokenizer.model", "hello"), []),
    # A ModelProto of one piece, b"\xff", which is not UTF-8, and of <unk>.
    "tokenizer.model is not UTF-8": (
        write("tokenizer.model", b"\x0a\x03\x0a\x01\xff\x0a\x09\x0a\x05<unk>\x18\x02"),
        [],
    ),
    "generation config is cut off": (write("generation_config.json", '{"eos_token'), ["generation_config.json"]),
    "no weights": (remove("model.safetensors"), ["no weights"]),
    "safetensors cut off in the header": (truncate("model.safetensors", 0.001), ["model.safetensors"]),
    "safetensors cut off in the tensors": (truncate("model.safetensors", 0.9), ["model.safetensors"]),
    "safetensors is empty": (write("model.safetensors", ""), ["model.safetensors"]),
    "safetensors is text": (write("model.safetensors", "version https://git-lfs.github.com"), ["model.safetensors"]),
    "a shard is missing": (without_a_shard, ["model-00002-of-00002.safetensors"]),
    "index is no JSON": (with_index("{"), ["model.safetensors.index.json"]),
    "index without a map": (with_index("{}"), ["model.safetensors.index.json"]),
    "index is a list": (with_index("[]"), ["model.safetensors.index.json"]),
    "index maps to numbers": (with_index('{"weight_map": {"a": 1}}'), ["model.safetensors.index.json"]),
    "bin is text": (bin_of_bytes(b"version https://git-lfs.github.com/spec/v1\n"), ["pytorch_model.bin"]),
    "bin is empty": (bin_of_bytes(b""), ["pytorch_model.bin"]),
    "bin is another zip": (bin_of_bytes(b"PK\x05\x06" + bytes(18)), ["pytorch_model.bin"]),
    "bin is a plain pickle": (bin_of_bytes(pickle.dumps({"a": [1]}, protocol=2)), ["pytorch_model.bin"]),
    "bin is cut off": (truncated_bin, ["pytorch_model.bin"]),
    "bin holds an object": (bin_holding({"model": Path("x")}), ["pytorch_model.bin"]),
    "bin holds a list": (bin_holding([torch.zeros(1)]), ["pytorch_model.bin", "list"]),
    "a sparse weight": (bin_with(Tensor.to_sparse), ["pytorch_model.bin", EMBEDDINGS, "sparse_coo"]),
    "a nested weight": (
        bin_with(lambda weight: torch.nested.nested_tensor([weight])),
        ["pytorch_model.bin", EMBEDDINGS, "a nested tensor"],
    ),
    "a weight that was offloaded": (
        bin_with(lambda weight: weight.to("meta")),
        ["pytorch_model.bin", f"the shape of {EMBEDDINGS}, and not its numbers"],
    ),
    "bin holds a tensor": (bin_holding(torch.zeros(1)), ["pytorch_model.bin", "Tensor"]),
    "weights are a pipe": (instead("model.safetensors", os.mkfifo), ["model.safetensors", "a pipe"]),
    "weights are a folder": (instead("model.safetensors", Path.mkdir), ["model.safetensors", "a folder"]),
    "weights are a link to nothing": (
        instead("model.safetensors", lambda file: file.symlink_to("../blobs/1")),
        ["model.safetensors", "a link to ../blobs/1, and nothing is there"],
    ),
    "weights are a link to nothing, beside others": (
        beside_a_bin(instead("model.safetensors", lambda file: file.symlink_to("../blobs/1"))),
        ["model.safetensors", "a link to ../blobs/1, and nothing is there"],
    ),
    "a shard is a pipe": (a_shard_as_a_pipe, ["model-00002-of-00002.safetensors", "a pipe"]),
    "tokenizer is a pipe": (instead("tokenizer.json", os.mkfifo), ["tokenizer.json", "a pipe"]),
    "tokenizer is a folder": (instead("tokenizer.json", Path.mkdir), ["tokenizer.json", "a folder"]),
    "config is a link to itself": (
        instead("config.json", lambda file: file.symlink_to(file.name)),
        ["config.json", "leads back to itself"],
    ),
    "generation config is a link to nothing": (
        instead("generation_config.json", lambda file: file.symlink_to("../blobs/1")),
        ["generation_config.json", "nothing is there"],
    ),
}


@pytest.mark.parametrize("how", FILES)
def test_a_broken_file(how: str, evaluate: Evaluate, tmp_path: Path) -> None:
    folder = good(tmp_path / "model")
    spoil, names = FILES[how]
    if how.startswith("tokenizer.model"):
        (folder / "tokenizer.json").unlink()
        names = ["tokenizer.model"]
    spoil(folder)
    assert_explained(evaluate("--model", folder), 5, folder, *names)


def test_an_empty_folder(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_explained(evaluate("--model", tmp_path / "empty"), 5, tmp_path / "empty", "config.json")


class Trap:
    """Pickled, it asks whoever unpickles it to make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("place", ["weights", "tower"])
def test_a_checkpoint_never_runs_code(place: str, evaluate: Evaluate, tmp_path: Path) -> None:
    folder, sprung = good(tmp_path / "model"), tmp_path / "sprung"
    if place == "weights":
        bin_holding({"lm_head.weight": Trap(sprung)})(folder)
        ran = evaluate("--model", folder)
        assert_explained(ran, 5, "pytorch_model.bin")
    else:
        torch.save({"teacher": Trap(sprung)}, tmp_path / "tower.pth")
        ran = evaluate("--model", folder, "--model-args", f"vision_tower={tmp_path / 'tower.pth'}")
        assert_explained(ran, 5, "tower.pth")
    assert not sprung.exists()


def test_unreadable_weights(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = good(tmp_path / "model")
    (folder / "model.safetensors").chmod(0)
    if os.access(folder / "model.safetensors", os.R_OK):
        pytest.skip("this user may read every file")
    assert_explained(evaluate("--model", folder), 5, "model.safetensors")


# ---------------------------------------------------------------- weights

TOWER = "transformer.vision_tower.vision_tower."


def reshaped(name: str, *shape: int) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.update({name: torch.zeros(shape)})


def without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.__delitem__(name)


def with_extra(name: str) -> Callable[[dict[str, Tensor]], None]:
    return reshaped(name, 3)


WEIGHTS: dict[str, tuple[Callable[[dict[str, Tensor]], None], list[str]]] = {
    "missing, language model": (without("transformer.h.1.ln_1.bias"), ["missing", "transformer.h.1.ln_1.bias"]),
    "missing, embeddings": (without("transformer.wte.weight"), ["missing", "transformer.wte.weight"]),
    "missing, projector": (without("transformer.mm_projector.2.weight"), ["missing", "projector", "2.weight"]),
    "missing, tower": (without(TOWER + "layer2.0.bn2.running_var"), ["missing", "tower", "layer2.0.bn2.running_var"]),
    "unexpected, language model": (
        with_extra("transformer.h.2.ln_1.bias"),
        ["unexpected", "transformer.h.2.ln_1.bias"],
    ),
    "unexpected, elsewhere": (with_extra("resampler.query"), ["unexpected", "resampler.query"]),
    "unexpected, projector": (with_extra("transformer.mm_projector.4.bias"), ["unexpected", "projector", "4.bias"]),
    "unexpected, tower": (with_extra(TOWER + "layer5.0.bn1.bias"), ["unexpected", "tower", "layer5.0.bn1.bias"]),
    "shape, language model": (
        reshaped("transformer.ln_f.weight", 31),
        ["shape", "transformer.ln_f.weight", "(31,)", "(32,)"],
    ),
    "shape, embeddings": (reshaped("transformer.wte.weight", 3, 32), ["shape", "transformer.wte.weight", "(3, 32)"]),
    "shape, projector": (reshaped("transformer.mm_projector.0.weight", 32, 65), ["shape", "projector", "(32, 65)"]),
    "shape, tower": (reshaped(TOWER + "conv1.weight", 8, 3, 5, 5), ["shape", "tower", "conv1.weight", "(8, 3, 5, 5)"]),
    "shape, transposed": (
        reshaped("transformer.h.0.attn.c_attn.weight", 96, 32),
        ["shape", "transformer.h.0.attn.c_attn.weight", "(96, 32)", "(32, 96)"],
    ),
    "a number for a vector": (reshaped("transformer.ln_f.bias"), ["shape", "transformer.ln_f.bias", "()"]),
}


@pytest.mark.parametrize("how", WEIGHTS)
def test_weights_that_do_not_fit(how: str, evaluate: Evaluate, tmp_path: Path) -> None:
    weights = weights_of("transformer", N_TOKENS, 0)
    spoil, names = WEIGHTS[how]
    spoil(weights)
    folder = write_checkpoint(tmp_path / "model", WORDS, weights=weights)
    assert_explained(evaluate("--model", folder), 5, *names)


def test_a_llama_without_its_head(evaluate: Evaluate, tmp_path: Path) -> None:
    weights = weights_of("model", N_TOKENS, 0)
    del weights["lm_head.weight"]
    folder = write_checkpoint(tmp_path / "model", WORDS, trunk="model", weights=weights)
    assert_explained(evaluate("--model", folder), 5, "missing", "lm_head.weight")


def test_many_missing_weights_are_counted_and_the_first_are_named(evaluate: Evaluate, tmp_path: Path) -> None:
    weights = {n: w for n, w in weights_of("transformer", N_TOKENS, 0).items() if ".h.0." not in n}
    folder = write_checkpoint(tmp_path / "model", WORDS, weights=weights)
    assert_explained(evaluate("--model", folder), 5, "12 missing", "transformer.h.0.attn.c_attn.bias", "more")


def test_weights_of_another_text_model(evaluate: Evaluate, tmp_path: Path) -> None:
    """A Llama's weights under a GPT-2's config."""
    folder = good(tmp_path / "model")
    save(weights_of("model", N_TOKENS, 0), folder / "model.safetensors")
    (tmp_path / "here").mkdir()
    ran = evaluate("--model", folder, "--model-args", f"vision_tower={tmp_path / 'here'}")
    assert ran.code == 5
    assert "Traceback" not in ran.err


# ---------------------------------------------------------------- config.json

GPT2, LLAMA = "transformer", "model"
SETTINGS: list[tuple[str, str, Any]] = [
    (GPT2, "model_type", "gpt2"),
    (GPT2, "model_type", None),
    (GPT2, "model_type", ["llava_gpt2"]),
    (GPT2, "mm_projector_type", "resampler"),
    (GPT2, "mm_projector_type", 2),
    (GPT2, "image_aspect_ratio", "anyres"),
    (GPT2, "image_aspect_ratio", ["pad"]),
    (GPT2, "n_embd", "thirty-two"),
    (GPT2, "n_embd", "32"),
    (GPT2, "n_embd", None),
    (GPT2, "n_embd", 10**9),
    (GPT2, "n_head", 3),
    (GPT2, "n_head", 0),
    (GPT2, "n_layer", 3),
    (GPT2, "n_layer", -1),
    (GPT2, "n_positions", 10),
    (GPT2, "n_positions", -10),
    (GPT2, "n_positions", None),
    (GPT2, "vocab_size", "ten"),
    (GPT2, "vocab_size", 99),
    (GPT2, "layer_norm_epsilon", "small"),
    (GPT2, "activation_function", "gelu_newer"),
    (GPT2, "resid_pdrop", 5),
    (GPT2, "eos_token_id", "<eos>"),
    (GPT2, "mm_vision_tower_shape", {"widht": 8}),
    (GPT2, "mm_vision_tower_shape", "small"),
    (LLAMA, "hidden_size", "thirty-two"),
    (LLAMA, "num_attention_heads", 3),
    (LLAMA, "num_attention_heads", 0),
    (LLAMA, "hidden_act", "silly"),
    (LLAMA, "rms_norm_eps", "small"),
    (LLAMA, "rope_scaling", {"type": "unheard-of", "factor": 2.0}),
    (LLAMA, "attention_bias", True),
    (GPT2, "layer_norm_epsilon", math.inf),
    (GPT2, "layer_norm_epsilon", math.nan),
    (GPT2, "layer_norm_epsilon", 1e30),
    (LLAMA, "rms_norm_eps", -1.0),
    (LLAMA, "rope_theta", math.inf),
    (LLAMA, "rope_theta", -1.0),
    (LLAMA, "rope_scaling", {"type": "linear", "factor": math.inf}),
    (LLAMA, "rope_scaling", {"type": "linear", "factor": -2.0}),
]


@pytest.mark.parametrize(
    ("trunk", "key", "value"), SETTINGS, ids=[f"{key}={json.dumps(value)}" for _, key, value in SETTINGS]
)
def test_a_config_that_cannot_be(trunk: str, key: str, value: object, evaluate: Evaluate, tmp_path: Path) -> None:
    folder = good(tmp_path / "model", trunk)
    edit_json(folder / "config.json", **{key: value})
    assert_explained(evaluate("--model", folder), 5, "config.json" if key not in ("image_aspect_ratio",) else key)


@pytest.mark.parametrize(
    ("key", "value"), [("model_type", "gpt2"), ("mm_projector_type", "resampler"), ("image_aspect_ratio", "anyres")]
)
def test_what_a_config_says_wrongly_is_named(key: str, value: str, evaluate: Evaluate, tmp_path: Path) -> None:
    folder = good(tmp_path / "model")
    edit_json(folder / "config.json", **{key: value})
    assert_explained(evaluate("--model", folder), 5, key, value)


def test_a_family_that_was_named_does_not_read_other_models(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = good(tmp_path / "model")
    edit_json(folder / "config.json", model_type="bert")
    ran = evaluate("--model", "babyllava", "--model-args", f"pretrained={folder}")
    assert_explained(ran, 5, folder, "model_type", "bert")


# ---------------------------------------------------------------- requests that do not fit


@pytest.mark.long
def test_an_answer_longer_than_the_models_positions(evaluate: Evaluate, tmp_path: Path) -> None:
    """50 positions: the picture takes 49, and a phrase of two words one too many."""
    weights = weights_of("transformer", N_TOKENS, 0)
    weights["transformer.wpe.weight"] = weights["transformer.wpe.weight"][:50].clone()
    folder = write_checkpoint(tmp_path / "model", WORDS, weights=weights, config={"n_positions": 50})
    assert evaluate("--model", folder).code == 0
    for task, units, n in (("vtwt", "trials", 51), ("saycam_caption", "captions", 49 + 25)):
        ran = evaluate("--model", folder, "--tasks", task)
        assert ran.code == 7
        assert "Traceback" not in ran.err
        why = f"a sequence of {n} positions does not fit the model's 50"
        assert f"{task}: 1 of 1 {units} could not be answered and count as misses: {why}" in ran.err
        (message,) = [line for line in ran.err.splitlines() if line.startswith("babycli: ")]
        assert f"could not take a single one of the requests of {task}" in message
    together = evaluate("--model", folder, "--tasks", "labeled_s,vtwt")  # what can be answered is
    assert together.code == 7
    assert "requests of vtwt, so the score says nothing" in together.err


def test_a_tokenizer_of_another_checkpoint(evaluate: Evaluate, tmp_path: Path) -> None:
    """Its ids reach beyond the vocabulary that the weights have."""
    folder = good(tmp_path / "model")
    other = write_checkpoint(tmp_path / "other", [*filler(40), "ball", "car", "cat", "fish", "boat", "tree", "house"])
    (folder / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    assert_explained(evaluate("--model", folder), 5, "tokenizer", "10")


@pytest.mark.parametrize(
    "settings",
    [
        {"eos_token_id": "<eos>"},
        {"eos_token_id": [3, None]},
        {"eos_token_id": 10**30},
        {"eos_token_id": []},
        {"repetition_penalty": -1},
        {"bad_words_ids": 3},
    ],
    ids=json.dumps,
)
def test_settings_for_captions_that_cannot_be(settings: dict[str, Any], evaluate: Evaluate, tmp_path: Path) -> None:
    folder = good(tmp_path / "model")
    write_json(folder / "generation_config.json", settings)
    ran = evaluate("--model", folder, "--tasks", "saycam_caption")
    assert_explained(ran, 5, "generation_config.json", *settings)


# ---------------------------------------------------------------- no tower, or not one


@pytest.fixture
def without_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint without its tower; the hub cannot be reached."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    def snapshot_download(repo_id: str, **options: object) -> str:
        raise LocalEntryNotFoundError(f"no network for {repo_id}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    weights = {n: w for n, w in weights_of("transformer", N_TOKENS, 0).items() if not n.startswith(TOWER)}
    return write_checkpoint(tmp_path / "model", WORDS, weights=weights)


def test_a_checkpoint_without_its_tower(without_tower: Path, evaluate: Evaluate) -> None:
    """The original would go on with random weights."""
    assert_explained(evaluate("--model", without_tower), 5, "test/resnext50_small")


@pytest.mark.parametrize("says", ["null", "absent", "empty"])
def test_a_checkpoint_that_names_no_tower_either(
    says: str, without_tower: Path, evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not be looked for in the folder where the user happens to be."""

    config = json.loads((without_tower / "config.json").read_text())
    del config["mm_vision_tower"]
    if says != "absent":
        config["mm_vision_tower"] = None if says == "null" else ""
    write_json(without_tower / "config.json", config)
    here = tmp_path / "here"
    here.mkdir()
    weights = weights_of("transformer", N_TOKENS, 0)
    save({n.removeprefix(TOWER): w for n, w in weights.items() if n.startswith(TOWER)}, here / "stray.pth")
    monkeypatch.chdir(here)
    assert_explained(evaluate("--model", without_tower), 5, "vision tower", without_tower)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("a folder without one", [".pth", "none"]),
        ("a folder with two", ["a.pth", "b.pth"]),
        ("a text", ["tower.pth"]),
        ("another tower", ["tower", "missing", "unexpected"]),
        ("nothing", ["nowhere"]),
    ],
)
def test_a_vision_tower_that_is_none(
    kind: str, names: list[str], without_tower: Path, evaluate: Evaluate, tmp_path: Path
) -> None:
    towers = tmp_path / "towers"
    towers.mkdir()
    place = towers
    if kind == "a folder with two":
        (towers / "a.pth").touch()
        (towers / "b.pth").touch()
    elif kind == "a text":
        place = towers / "tower.pth"
        place.write_text("hello")
    elif kind == "another tower":
        place = towers / "tower.pth"
        torch.save({"teacher": {"backbone.layers.0.weight": torch.zeros(3)}}, place)
    elif kind == "nothing":
        place = tmp_path / "nowhere"
    assert_explained(evaluate("--model", without_tower, "--model-args", f"vision_tower={place}"), 5, *names)


# ---------------------------------------------------------------- NaN: loads, runs, and must not be believed


@pytest.mark.parametrize("trunk", [GPT2, LLAMA])
def test_nan_weights(trunk: str, evaluate: Evaluate, tmp_path: Path) -> None:
    weights = weights_of(trunk, N_TOKENS, 0)
    weights[f"{trunk}.mm_projector.0.bias"].fill_(math.nan)
    folder = write_checkpoint(tmp_path / "model", WORDS, trunk=trunk, weights=weights)
    tasks = ("labeled_s", "vtwt", "baby_winoground", "saycam_caption")
    ran = evaluate("--model", folder, "--tasks", ",".join(tasks), "--limit", 2)
    assert ran.code == 7
    assert "Traceback" not in ran.err
    assert "NaN" in ran.err
    (message,) = [line for line in ran.err.splitlines() if line.startswith("babycli: ")]
    assert "not finite" in message
    (file,) = (tmp_path / "logs").rglob("*_results.json")
    results = json.loads(file.read_text())
    assert results["nonfinite"] == dict.fromkeys(tasks, 2)
    assert results["results"]["labeled_s"]["acc,none"] == 0
    assert results["results"]["vtwt"]["acc,none"] == 0
    assert results["results"]["baby_winoground"]["group_score,none"] == 0
    assert len(list((tmp_path / "logs").rglob("*_samples_*.jsonl"))) == len(tasks)


def test_nan_weights_in_reference_scoring_are_reported_too(evaluate: Evaluate, tmp_path: Path) -> None:
    weights = weights_of("transformer", N_TOKENS, 0)
    weights["transformer.ln_f.weight"].fill_(math.inf)
    folder = write_checkpoint(tmp_path / "model", WORDS, weights=weights)
    ran = evaluate("--model", folder, "--scoring", "reference", "--tasks", "labeled_s,vtwt")
    assert ran.code == 7
    assert "labeled_s in 1 of 1" in ran.err
