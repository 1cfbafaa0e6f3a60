"""Pickles that torch chokes on, packed files, settings beyond all bounds: exit code 5, one message."""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints import write_checkpoint
from tests.conftest import Babycli
from tests.hf_checkpoints import write_hf
from tests.llava_checkpoints import TOWER, write_llava, write_tower
from tests.models.conftest import Evaluate
from tests.models.loading import WORDS, edit_json, write_json
from tests.models.test_bad_checkpoints import as_bin, assert_explained
from tests.models.test_clip import write as write_clip


def nested(levels: int) -> bytes:
    """{(((), ()), ((), ())): 1} as a pickle, without making that dictionary; the key takes 2^levels steps to hash."""
    pair: tuple[Any, ...] = ()
    for _ in range(levels):
        pair = (pair, pair)
    return b"\x80\x02}" + pickle.dumps(pair, 2)[2:-1] + b"K\x01s"


def with_pickle(content: bytes, name: str = "data.pkl", packed: bool = False) -> Callable[[Path], None]:
    """Puts a pickle in place of the one in a checkpoint's pytorch_model.bin."""

    def put(folder: Path) -> None:
        as_bin(folder)
        file = folder / "pytorch_model.bin"
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
            for member, held in members.items():
                is_it = member.endswith("data.pkl")
                archive.writestr(member.replace("data.pkl", name), content if is_it else held)

    return put


def zip_behind(content: bytes) -> Callable[[Path], None]:
    """A file of the older form, which torch reads, with an innocent zip behind it."""

    def put(folder: Path) -> None:
        as_bin(folder)
        file = folder / "pytorch_model.bin"
        innocent = file.read_bytes()
        torch.save({}, file, _use_new_zipfile_serialization=False)
        marks = b"".join(pickle.dumps(mark, 2) for mark in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
        assert file.read_bytes().startswith(marks[:10])
        file.write_bytes(marks + content + b"." + innocent)

    return put


ZEROS = b"B" + (1 << 26).to_bytes(4, "little") + bytes(1 << 26)
CALLED = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02tR."
PICKLES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a function of torch with other arguments": (with_pickle(CALLED), "cannot read the weights"),
    "tuples in tuples, and then no pickle": (with_pickle(nested(40) + b"\xff"), "tuples in tuples"),
    "tuples in tuples, in capitals": (with_pickle(nested(40) + b".", "DATA.PKL"), "tuples in tuples"),
    "tuples in tuples, and then a zip": (zip_behind(nested(40)), "tuples in tuples"),
    "a level that lies in itself": (with_pickle(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s."), "without an end"),
    "zeros that are packed": (with_pickle(b"\x80\x02" + ZEROS + b".", packed=True), "would come out of it"),
}


@pytest.mark.parametrize("what", PICKLES)
def test_a_pickle(what: str, evaluate: Evaluate, tmp_path: Path) -> None:
    spoil, why = PICKLES[what]
    spoil(write_checkpoint(tmp_path / "model", WORDS))
    assert_explained(evaluate("--model", tmp_path / "model"), 5, "pytorch_model.bin", why)


SHAPES: dict[str, tuple[Callable[[Path], Path], list[int]]] = {
    "more sizes than any tensor has": (lambda folder: write_checkpoint(folder, WORDS), [1] * 65),
    "nothing, of a size beyond all numbers": (lambda folder: write_checkpoint(folder, WORDS), [0, 2**62, 2**62]),
    "the same where transformers reads": (lambda folder: write_hf(folder, "idefics3"), [0, 2**62, 2**62]),
}


@pytest.mark.parametrize("what", SHAPES)
def test_a_shape(what: str, evaluate: Evaluate, tmp_path: Path) -> None:
    """Safetensors checks no more than that the file holds as many numbers as a shape says."""
    write, shape = SHAPES[what]
    file = write(tmp_path / "model") / "model.safetensors"
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    n_bytes, n_more = len(content) - end, 4 * math.prod(shape)
    odd = {"dtype": "F32", "shape": shape, "data_offsets": [n_bytes, n_bytes + n_more]}
    header = json.dumps(json.loads(content[8:end]) | {"odd": odd}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[end:] + bytes(n_more))
    assert_explained(evaluate("--model", file.parent), 5, file, "no weight has the shape of odd")


def test_a_lightning_checkpoint_is_looked_through_too(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with_pickle(nested(40) + b".")(write_checkpoint(folder, WORDS))
    (folder / "pytorch_model.bin").rename(tmp_path / "cvcl.ckpt")
    assert_explained(evaluate("--model", tmp_path / "cvcl.ckpt"), 5, "cvcl.ckpt", "tuples in tuples")


def write_whole_llava(home: Path) -> Path:
    write_tower(home / TOWER)
    return write_llava(home / "model")


BEYOND = 10**400
SETTINGS: dict[str, tuple[Callable[[Path], Path], str, dict[str, Any]]] = {
    "a colour": (write_whole_llava, f"{TOWER}/preprocessor_config.json", {"image_mean": [BEYOND, 0, 0]}),
    "no number as a colour": (
        write_whole_llava,
        f"{TOWER}/preprocessor_config.json",
        {"image_mean": [float("nan"), 0, 0]},
    ),
    "a factor": (write_whole_llava, f"{TOWER}/preprocessor_config.json", {"rescale_factor": BEYOND}),
    "an edge": (write_whole_llava, f"{TOWER}/preprocessor_config.json", {"size": 10**18}),
    "an edge of CLIP's": (
        lambda home: write_clip(home / "model", "clip"),
        "model/preprocessor_config.json",
        {"size": {"shortest_edge": 10**6}},
    ),
    "positions of a picture": (
        lambda home: write_hf(home / "model", "idefics3"),
        "model/processor_config.json",
        {"image_seq_len": 10**9},
    ),
    "the fewest pixels": (
        lambda home: write_hf(home / "model", "qwen2_vl"),
        "model/preprocessor_config.json",
        {"size": {"shortest_edge": 10**13, "longest_edge": 10**14}},
    ),
    "an id below 0": (
        write_whole_llava,
        "model/tokenizer_config.json",
        {"added_tokens_decoder": {"-7": {"content": "red"}}},
    ),
    "layers as a word": (write_whole_llava, f"{TOWER}/config.json", {"vision_config": {"num_hidden_layers": "x"}}),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_a_setting_beyond_all_bounds(what: str, babycli: Babycli, tmp_path: Path) -> None:
    write, file, changes = SETTINGS[what]
    write(tmp_path)
    edit_json(tmp_path / file, **changes)
    ran = babycli("models", "show", tmp_path / "model")
    assert_explained(ran, 5)


def test_a_tokenizer_of_clip_that_fails(evaluate: Evaluate, tmp_path: Path) -> None:
    """Its unknown token is unknown, as the library finds where it comes to a word that it does not know."""
    folder = write_clip(tmp_path / "model", "clip")
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["model"]["unk_token"] = "<nope>"
    write_json(folder / "tokenizer.json", whole)
    assert_explained(evaluate("--model", folder), 5, folder / "tokenizer.json", "[UNK]")


def test_a_long_value_is_not_told_as_a_whole(babycli: Babycli, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, config={"image_aspect_ratio": "x" * 100_000})
    ran = babycli("models", "show", folder)
    assert ran.code == 5
    assert "image_aspect_ratio" in ran.err
    assert "is not supported" in ran.err
    assert len(ran.err) < 2500


def test_a_nested_weight_where_transformers_reads_has_one_cause(evaluate: Evaluate, tmp_path: Path) -> None:
    """Without numbers, torch cannot load it, and explains at length how to write a kernel."""
    folder = write_hf(tmp_path / "model", "qwen2_vl")
    weights = as_bin(folder)
    name = next(iter(weights))
    file = folder / "pytorch_model.bin"
    torch.save(weights | {name: torch.nested.nested_tensor([weights[name]])}, file)
    ran = evaluate("--model", folder)
    assert_explained(ran, 5, file, "a tensor of a kind that is not read here, as a nested one")
    assert ran.err.endswith("and give that folder\n")
    assert "PT2" not in ran.err
