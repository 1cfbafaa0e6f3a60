"""Checkpoints that are odd on purpose: exit code 5 and one message, in bounded time and memory, and no code is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints import write_checkpoint
from tests.hf_checkpoints import write_hf
from tests.models.conftest import Evaluate
from tests.models.loading import WORDS, edit_json, write_json, write_sentencepiece_checkpoint
from tests.models.test_bad_checkpoints import Break, as_bin, assert_explained, good
from tests.models.test_clip import write as write_clip

INDEX = "model.safetensors.index.json"


def with_dtype(name: str, dtype: torch.dtype) -> Break:
    def store(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights[name] = weights[name].to(dtype)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return store


def with_index(weight_map: object) -> Break:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "one.safetensors")
        write_json(folder / INDEX, {"weight_map": weight_map})

    return write


def as_text(folder: Path) -> None:
    as_bin(folder)
    (folder / "pytorch_model.bin").write_text("hello")


def outside(name: Callable[[Path], str]) -> Break:
    """The weights in another folder, where the index says they are."""

    def move(folder: Path) -> None:
        elsewhere = folder.parent / "elsewhere"
        elsewhere.mkdir()
        names = list(load_file(folder / "model.safetensors"))
        shutil.move(folder / "model.safetensors", elsewhere / "one.safetensors")
        write_json(folder / INDEX, {"weight_map": dict.fromkeys(names, name(elsewhere / "one.safetensors"))})

    return move


def through_a_link(folder: Path) -> None:
    outside(lambda file: "one.safetensors")(folder)
    (folder / "one.safetensors").symlink_to(folder.parent / "elsewhere" / "one.safetensors")


def with_tokenizer(*path: str | int, value: object) -> Break:
    def edit(folder: Path) -> None:
        whole: Any = json.loads((folder / "tokenizer.json").read_text())
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        write_json(folder / "tokenizer.json", whole)

    return edit


def sparse(name: str) -> Break:
    def make(folder: Path) -> None:
        with (folder / name).open("ab") as stream:
            os.truncate(stream.fileno(), 1 << 40)

    return make


def bomb(folder: Path) -> None:
    """A key that takes 2^40 steps to hash."""
    pair: tuple[Any, ...] = ()
    for _ in range(40):
        pair = (pair, pair)
    as_bin(folder)
    content = _pickled_key(pair)
    weights = folder / "pytorch_model.bin"
    torch.save({"a": torch.zeros(1)}, weights)
    import zipfile

    with zipfile.ZipFile(weights) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(weights, "w") as archive:
        for name, old in members.items():
            archive.writestr(name, content if name.endswith("data.pkl") else old)


def _pickled_key(pair: object) -> bytes:
    """{pair: 1} as a pickle, written without making that dictionary."""
    import pickle

    return b"\x80\x02}" + pickle.dumps(pair, 2)[2:-1] + b"K\x01s."


DEEP = "[" * 100_000 + "]" * 100_000
PANICS = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
LACKING = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "Q", "type_id": 0}}], "pair": []}
HEAD = "transformer.h.0.attn.c_attn.weight"
ODD: dict[str, tuple[Break, list[str]]] = {
    "a weight of whole numbers": (with_dtype(HEAD, torch.int64), ["model.safetensors", HEAD, "int64"]),
    "a weight of truth values": (with_dtype(HEAD, torch.bool), ["model.safetensors", HEAD, "bool"]),
    "a weight of complex numbers": (with_dtype(HEAD, torch.complex64), ["model.safetensors", HEAD, "complex64"]),
    "a weight of eight bits": (with_dtype(HEAD, torch.float8_e4m3fn), ["model.safetensors", HEAD, "float8_e4m3fn"]),
    "a bias of whole numbers": (
        with_dtype("transformer.h.0.attn.c_attn.bias", torch.int16),
        ["no floating-point numbers", "c_attn.bias is int16"],
    ),
    "an index that is deep": (lambda folder: (with_index({})(folder), (folder / INDEX).write_text(DEEP)), [INDEX]),
    "an index of nothing": (with_index({}), [INDEX, "names no file"]),
    "an index that names a folder": (with_index({"a": "."}), [INDEX, "'.' is no name of a file of weights"]),
    "an index that names what is not there": (with_index({"a": "two.safetensors"}), ["two.safetensors"]),
    "an index with too long a name": (with_index({"a": "x" * 5000 + ".bin"}), ["lacks 1 of its weight files"]),
    "an index that names notes": (with_index({"a": "notes.txt"}), [INDEX, "notes.txt"]),
    "an index with a zero byte": (with_index({"a": "a\0b"}), [INDEX]),
    "an index with half a character": (with_index({"a": "\ud800"}), [INDEX]),
    "shards one folder up": (outside(lambda file: f"../elsewhere/{file.name}"), [INDEX, "outside the checkpoint"]),
    "shards anywhere": (outside(str), [INDEX, "outside the checkpoint"]),
    "shards behind a link": (through_a_link, [INDEX, "outside the checkpoint"]),
    "shards by number": (with_index({"a": 5}), [INDEX, "5 is no name of a file of weights"]),
    "shards in a list": (with_index(["a"]), [INDEX, "no weight_map by name"]),
    "layers in words": (
        lambda folder: edit_json(folder / "config.json", n_layer="2"),
        ["/model: config.json does not describe a gpt2 model", "n_layer"],
    ),
    "weights that are cut off": (
        lambda folder: os.truncate(folder / "model.safetensors", 4),
        ["model.safetensors", "header too small"],
    ),
    "a text for weights": (as_text, ["pytorch_model.bin: it is no sound pickle"]),
    "a tokenizer that panics": (with_tokenizer("normalizer", value=PANICS), ["tokenizer.json"]),
    "a tokenizer that lacks a token": (
        with_tokenizer("post_processor", value=LACKING | {"special_tokens": {}}),
        ["tokenizer.json"],
    ),
    "a tokenizer without a vocabulary": (with_tokenizer("model", "vocab", value={}), ["tokenizer.json"]),
    "a tokenizer whose unknown token is unknown": (
        with_tokenizer("model", "unk_token", value="<nope>"),
        ["tokenizer.json"],
    ),
    "extra tokens that are a number": (
        lambda folder: edit_json(folder / "tokenizer_config.json", extra_special_tokens=3),
        ["extra_special_tokens", "3"],
    ),
    "half a character as a token": (
        lambda folder: edit_json(folder / "tokenizer_config.json", unk_token="\ud800"),
        ["half of a character"],
    ),
    "an id of a token that is infinite": (
        lambda folder: (folder / "added_tokens.json").write_text('{"<image>": Infinity}'),
        ["added_tokens.json", "infinity"],
    ),
    "settings of a terabyte": (sparse("generation_config.json"), ["generation_config.json"]),
    "a vocabulary file of a terabyte": (sparse("more_tokens.bin"), ["more_tokens.bin", "hole"]),
    "weights of a terabyte": (sparse("model.safetensors"), ["model.safetensors", "hole"]),
    "a billion layers": (lambda folder: edit_json(folder / "config.json", n_layer=10**9), ["n_layer", "1,000 layers"]),
    "-2 heads": (lambda folder: edit_json(folder / "config.json", n_head=-2), ["n_head is -2"]),
    "a deep tower": (
        lambda folder: edit_json(folder / "config.json", mm_vision_tower_shape={"depths": [10**7, 1, 1, 1]}),
        ["mm_vision_tower_shape.depths", "1,000 layers"],
    ),
    "a deep projector": (
        lambda folder: edit_json(folder / "config.json", mm_projector_type="mlp100000x_gelu"),
        ["mm_projector_type"],
    ),
    "a key that takes days to hash": (bomb, ["pytorch_model.bin", "tuples in tuples"]),
}


@pytest.mark.parametrize("how", ODD)
def test_an_odd_checkpoint(how: str, evaluate: Evaluate, tmp_path: Path) -> None:
    spoil, names = ODD[how]
    spoil(good(tmp_path / "model"))
    assert_explained(evaluate("--model", tmp_path / "model"), 5, *names)


def test_torchs_advice_to_run_what_is_in_a_file_is_not_passed_on(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = good(tmp_path / "model")
    as_bin(folder)
    torch.save({"a": Path("code")}, folder / "pytorch_model.bin")
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, "pytorch_model.bin", "more than weights")
    assert "weights_only" not in ran.err
    assert "trust" not in ran.err


def test_nor_is_that_of_files_that_are_no_pickles(evaluate: Evaluate, tmp_path: Path) -> None:
    """Torch takes a file of zeros for an old archive, and recommends another setting."""
    folder = good(tmp_path / "model")
    as_bin(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\0" * 1024)
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, "pytorch_model.bin", "no pickle")
    assert "weights_only" not in ran.err


def write_spelling_clip(folder: Path) -> Path:
    """A CLIP whose tokenizer is vocab.json and merges.txt, which transformers reads."""
    (write_clip(folder, "clip") / "tokenizer.json").unlink()
    tokens = [*"abcdefghijklmnopqrstuvwxyz", *(f"{x}</w>" for x in "abcdefghijklmnopqrstuvwxyz"), "<start>", "<end>"]
    write_json(folder / "vocab.json", {token: i for i, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.mark.parametrize(
    ("write", "name"),
    [
        pytest.param(write_spelling_clip, "merges.txt", id="merges of a CLIP"),
        pytest.param(lambda folder: write_hf(folder, "llava"), "merges.txt", id="merges"),
        pytest.param(lambda folder: write_hf(folder, "llava"), "chat_template.jinja", id="template"),
        pytest.param(lambda folder: write_hf(folder, "llava"), "additional_chat_templates/a.jinja", id="named"),
        pytest.param(lambda folder: write_hf(folder, "llava"), "tokenizer.model", id="pieces"),
    ],
)
def test_a_file_that_transformers_would_read_whole(
    write: Callable[[Path], Path], name: str, evaluate: Evaluate, tmp_path: Path
) -> None:
    folder = write(tmp_path / "model")
    (folder / name).parent.mkdir(exist_ok=True)
    sparse(name)(folder)
    assert_explained(evaluate("--model", folder), 5, folder / name, "at most")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        pytest.param(good, "config.json", id="settings"),
        pytest.param(good, "tokenizer.json", id="tokenizer"),
        pytest.param(write_spelling_clip, "vocab.json", id="vocabulary"),
        pytest.param(write_spelling_clip, "merges.txt", id="merges"),
        pytest.param(lambda folder: write_sentencepiece_checkpoint(folder, b"", 9, {}), "tokenizer.model", id="pieces"),
        pytest.param(lambda folder: write_hf(folder, "llava"), "tokenizer.json", id="tokenizer of transformers"),
    ],
)
def test_a_pointer_of_git_lfs_is_named(
    write: Callable[[Path], Path], name: str, evaluate: Evaluate, tmp_path: Path
) -> None:
    folder = write(tmp_path / "model")
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, folder / name, "pointer of Git LFS")
    assert f"git -C {folder} lfs pull" in ran.err


def test_old_files_of_weights_are_looked_through_too(evaluate: Evaluate, tmp_path: Path) -> None:
    """The form of torch before 1.6 is a row of pickles, with the numbers behind them."""
    folder = good(tmp_path / "model")
    torch.save(as_bin(folder), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert evaluate("--model", folder).code == 0


FOLLOWED = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2}
OTHERS: dict[str, Any] = {
    "guidance_scale": 3.0,
    "num_return_sequences": 2,
    "forced_bos_token_id": 3,
    "watermarking_config": {"greenlist_ratio": 0.5},
    "cache_implementation": "nope",
    "penalty_alpha": 0.6,
}


@pytest.mark.parametrize("kind", ["babyllava", "hf"])
def test_only_what_greedy_search_follows_is_taken(kind: str, evaluate: Evaluate, tmp_path: Path) -> None:
    """The captions are those of the settings that are followed; the others are named, and change nothing."""
    written = []
    for name, settings in (("plain", FOLLOWED), ("odd", FOLLOWED | OTHERS | {"num_beams": 4, "temperature": 0})):
        folder = tmp_path / name
        if kind == "hf":
            write_hf(folder, "qwen2_vl")
        else:
            write_checkpoint(folder, WORDS, trunk="model")
        path = folder / "generation_config.json"
        write_json(path, (json.loads(path.read_text()) if path.exists() else {}) | settings)
        ran = evaluate("--model", folder, "--tasks", "saycam_caption")
        assert ran.code == 0, ran.err
        assert "Warning" not in ran.err
        (samples,) = (tmp_path / "logs").glob(f"*{name}/*/*_samples_saycam_caption.jsonl")
        written.append([json.loads(line)["resps"] for line in samples.read_text().splitlines()])
    assert written[0] == written[1]
    assert all(f"{name} " in ran.err for name in OTHERS)
    assert not any(f"{name} " in ran.err for name in ("num_beams", "temperature", *FOLLOWED))


def test_a_tokenizer_is_tried_within_the_limits_of_this_process(tmp_path: Path) -> None:
    """A limit that is lower than that of the trial cannot be raised by it."""
    folder = good(tmp_path / "model")
    code = (
        "import resource, sys; from pathlib import Path; limit = 6 << 30; "
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); "
        "from babycli.models.parts.tokenizer_trial import try_tokenizer; try_tokenizer(Path(sys.argv[1]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, folder / "tokenizer.json"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
