"""Tokens that a checkpoint declares beside its vocabulary, and rows that the original's loader adds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from babycli.models.parts.llava_model import LlavaModel
from babycli.models.parts.tokenizer import load_tokenizer
from tests.checkpoints import SPECIAL, weights_of, write_checkpoint
from tests.models.loading import load, written

WORDS = ["red", "ball", "cup", "car", "blue", "tree", "fish", "house"]
N_TOKENS = len(SPECIAL) + len(WORDS)


def test_captions_that_end_at_different_places_need_no_row_for_the_padding_token(tmp_path: Path) -> None:
    """A late [PAD] has no embedding; a row that has stopped must not be filled up with it."""
    late_pad = {"pad_token": "[PAD]"}
    folder = write_checkpoint(tmp_path / "model", WORDS, seed=4, tokenizer_config=late_pad)
    pictures = [
        Image.effect_noise((30, 30), 90 + n).convert("RGB").point(lambda x, n=n: (x * (n + 3)) % 256) for n in range(12)
    ]
    model = load(folder)
    features = model.encode([model.preprocess(picture) for picture in pictures])
    free = [written(model, [f], "", 8)[0].token_ids for f in features]
    stop = next(t for t in range(N_TOKENS) if 0 < sum(t in ids for ids in free) < len(free))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stop}))
    stopping = load(folder)
    together = [g.token_ids for g in written(stopping, features, "", 8)]
    assert together == [ids[: ids.index(stop) + 1] if stop in ids else ids for ids in free]


@pytest.mark.parametrize(
    ("declares", "size"),
    [
        ({}, N_TOKENS),
        ({"sep_token": "[SEP]", "cls_token": "[CLS]", "mask_token": "[MASK]"}, N_TOKENS + 3),
        ({"additional_special_tokens": ["<a>", {"content": "<b>"}]}, N_TOKENS + 2),
        ({"extra_special_tokens": {"image_token": "<im>"}}, N_TOKENS + 1),
        ({"added_tokens_decoder": {"12": {"content": "<plain>", "special": False}}}, N_TOKENS + 1),
        ({"added_tokens_decoder": {"1": {"content": "<unk>", "special": True}}}, N_TOKENS),
    ],
)
def test_declared_tokens_count(declares: dict[str, object], size: int, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", WORDS, tokenizer_config=declares)
    assert load_tokenizer(folder).size == size


@pytest.mark.parametrize(
    ("settings", "n_rows"),
    [
        ({"mm_use_im_patch_token": False}, N_TOKENS),
        ({"mm_use_im_patch_token": True}, N_TOKENS + 1),
        ({"mm_use_im_patch_token": False, "mm_use_im_start_end": True}, N_TOKENS + 2),
        ({"mm_use_im_patch_token": True, "mm_use_im_start_end": True}, N_TOKENS + 3),
    ],
)
def test_rows_of_tokens_that_the_originals_loader_adds_are_kept(
    settings: dict[str, object], n_rows: int, tmp_path: Path
) -> None:
    weights = weights_of("transformer", N_TOKENS + 5, seed=2)
    config = {"vocab_size": N_TOKENS + 5} | settings
    model = load(write_checkpoint(tmp_path / "model", WORDS, weights=weights, config=config))
    assert isinstance(model, LlavaModel)
    assert model._network.n_rows == n_rows
