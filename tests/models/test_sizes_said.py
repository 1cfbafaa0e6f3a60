"""Sizes that a checkpoint's files say and its weights do not bear out: refused before anything of that size is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hf_checkpoints import write_hf
from tests.llava_checkpoints import write_llava, write_tower
from tests.models.conftest import Evaluate
from tests.models.loading import write_json
from tests.models.test_bad_checkpoints import assert_explained
from tests.models.test_clip import write as write_clip

pytestmark = pytest.mark.usefixtures("one_thread")


def with_tower(folder: Path) -> Path:
    return write_llava(folder, mm_vision_tower=str(write_tower(folder.parent / "tower")))


WRITE: dict[str, Callable[[Path], object]] = {
    "clip": lambda folder: write_clip(folder, "clip"),
    "siglip": lambda folder: write_clip(folder, "siglip"),
    "llava": with_tower,
    "qwen2_vl": lambda folder: write_hf(folder, "qwen2_vl"),
    "idefics3": lambda folder: write_hf(folder, "idefics3"),
}
CONFIG, PICTURES = "config.json", "preprocessor_config.json"
# Which checkpoint, which file, which key, its value, and what the message names.
SAID: list[tuple[str, str, str, Any, list[str]]] = [
    ("clip", CONFIG, "vision_config.image_size", 8 * 10**5, [CONFIG, "image_size 800000", "4,096"]),
    ("siglip", CONFIG, "text_config.max_position_embeddings", 10**11, ["position_embedding.weight", "wrong shape"]),
    ("llava", "../tower/config.json", "vision_config.image_size", 7 * 10**5, [CONFIG, "image_size 700000", "4,096"]),
    ("qwen2_vl", CONFIG, "text_config.vocab_size", 10**9, [CONFIG, "numbers, and the weight files hold"]),
    ("clip", PICTURES, "size.shortest_edge", 10**6, [PICTURES, "size", "1000000", "4,096"]),
    ("siglip", PICTURES, "size.height", 10**6, [PICTURES, "size", "4,096"]),
    ("llava", f"../tower/{PICTURES}", "size", 10**6, [PICTURES, "size", "4,096"]),
    ("qwen2_vl", PICTURES, "min_pixels", 10**9, [PICTURES, "min_pixels", "16,777,216"]),
    ("qwen2_vl", PICTURES, "patch_size", 10**6, [PICTURES, "patch_size"]),
    ("idefics3", "processor_config.json", "image_processor.size.longest_edge", 10**6, ["image_processor.size"]),
    ("idefics3", "processor_config.json", "image_seq_len", 10**9, ["processor_config.json", "image_seq_len"]),
]


@pytest.mark.parametrize(("kind", "name", "key", "value", "names"), SAID, ids=[f"{s[0]} {s[2]}" for s in SAID])
def test_a_size_beyond_all_bounds(
    kind: str, name: str, key: str, value: Any, names: list[str], evaluate: Evaluate, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    WRITE[kind](folder)
    file = folder / name
    whole = json.loads(file.read_text())
    settings, (*way, last) = whole, key.split(".")
    for step in way:
        settings = settings[step]
    settings[last] = value
    write_json(file, whole)
    task = ("--tasks", "vtwt") if kind in ("clip", "siglip") else ()
    assert_explained(evaluate("--model", folder, *task), 5, *names)


def test_a_bound_from_above_on_all_pixels_is_none_on_pictures(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_hf(folder, "qwen2_vl")
    settings = json.loads((folder / PICTURES).read_text())
    write_json(folder / PICTURES, settings | {"max_pixels": 10**8, "size": settings["size"] | {"longest_edge": 10**8}})
    assert evaluate("--model", folder).code == 0
