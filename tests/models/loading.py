"""Loads checkpoints as `babycli eval` does, and makes the pictures, tokenizers and weight files that tests need."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sentencepiece import SentencePieceTrainer
from torch import Tensor

from babycli.domain import Loglikelihood
from babycli.models import load_model, resolve
from babycli.models.base import Model, ModelSpec, OffersGenerate, OffersLoglikelihood, OffersSimilarity, Tokens
from babycli.wording import Scoring
from tests.checkpoints import SPECIAL, write_checkpoint

WORDS = ("ball", "red", "blue", "a", "cat", ".")
BALL, RED, BLUE, A, CAT, DOT = range(len(SPECIAL), len(SPECIAL) + len(WORDS))
N_TOKENS = len(SPECIAL) + len(WORDS)


class LanguageModel(OffersLoglikelihood, OffersGenerate, Protocol):
    """What most families are."""


DualEncoder = OffersSimilarity


def load(
    folder: Path | str, *, scoring: Scoring = Scoring.FAIR, dtype: str = "float32", device: str = "cpu", **args: object
) -> LanguageModel:
    """What ``babycli eval --model folder --model-args args`` loads, of a family that scores and writes text."""
    return cast(LanguageModel, load_any(folder, scoring=scoring, dtype=dtype, device=device, **args))


def load_any(
    folder: Path | str, *, scoring: Scoring = Scoring.FAIR, dtype: str = "float32", device: str = "cpu", **args: object
) -> Model:
    """The same of any family."""
    given = {key: str(value) for key, value in args.items()}
    resolved = resolve(str(folder), given)
    return load_model(resolved, ModelSpec(resolved.source, str(folder), given, device, dtype, scoring))


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Coloured noise, an own one for each seed."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values, "RGB")


def features_of(model: Model, *seeds: int) -> list[Any]:
    return model.encode([model.preprocess(picture(seed)) for seed in seeds])


def score(model: OffersLoglikelihood, text: str, seed: int = 0, prompt: str = "") -> Loglikelihood:
    """How well ``text`` fits the picture of ``seed``, asked alone."""
    return model.loglikelihood(features_of(model, seed), [model.tokenize(prompt, text)])[0]


def context_and_answer(tokens: Tokens) -> tuple[list[int], list[int]]:
    """The ids that are given, and the ids that are scored."""
    ids = list(tokens.ids)
    return ids[: len(ids) - tokens.n_answer], ids[len(ids) - tokens.n_answer :]


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def edit_json(path: Path, **changes: object) -> None:
    """Sets keys of a JSON object."""
    write_json(path, json.loads(path.read_text()) | changes)


def save(weights: Mapping[str, Tensor], path: Path) -> None:
    """Safetensors or a torch pickle, by the suffix."""
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path, metadata={"format": "pt"})
    else:
        torch.save(tensors, path)


def letter_pieces(sentences: Iterable[str]) -> bytes:
    """A sentencepiece model without merges: a piece for each letter, so that encodings can be written by hand.

    Pieces 0 to 2 are <unk>, <s>, </s>, then come the 256 bytes (a newline is 3 + 10 = 13), then the letters.
    """
    sentences = list(sentences)
    letters = set("".join(sentences).replace(" ", "▁")) | {"▁"}
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=written,
        vocab_size=3 + 256 + len(letters),
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return written.getvalue()


def write_sentencepiece_checkpoint(
    folder: Path, model: bytes, n_tokens: int, tokenizer_config: Mapping[str, Any], seed: int = 0
) -> Path:
    """A small Llama checkpoint whose tokenizer is a tokenizer.model, as the original's are."""
    write_checkpoint(folder, filler(n_tokens), trunk="model", seed=seed, config={"bos_token_id": 1, "eos_token_id": 2})
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(model)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
    write_json(folder / "tokenizer_config.json", names | dict(tokenizer_config))
    return folder


def filler(n_tokens: int) -> list[str]:
    """As many words as make a vocabulary of ``n_tokens``."""
    return [f"w{i}" for i in range(n_tokens - len(SPECIAL))]
