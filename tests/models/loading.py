"""Loads checkpoints as `babycli eval` does, and makes the pictures, tokenizers and weight files that tests need."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sentencepiece import SentencePieceTrainer
from torch import Tensor

from babycli.domain import PICTURE, CannotAnswer, Context, Loglikelihood, Similarity, Text, ask
from babycli.models import load_model, resolve
from babycli.models.base import Features, Model, ModelSpec, Pictures, Tokens
from babycli.wording import Scoring
from tests.checkpoints import SPECIAL, write_checkpoint

WORDS = ("ball", "red", "blue", "a", "cat", ".")
BALL, RED, BLUE, A, CAT, DOT = range(len(SPECIAL), len(SPECIAL) + len(WORDS))
N_TOKENS = len(SPECIAL) + len(WORDS)


def load(
    folder: Path | str, *, scoring: Scoring = Scoring.FAIR, dtype: str = "float32", device: str = "cpu", **args: object
) -> Model:
    """What ``babycli eval --model folder --model-args args`` loads."""
    given = {key: str(value) for key, value in args.items()}
    resolved = resolve(str(folder), given)
    return load_model(resolved, ModelSpec(resolved.source, str(folder), given, device, dtype, scoring))


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Coloured noise, an own one for each seed."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values, "RGB")


def features_of(model: Model, *seeds: int) -> list[Features]:
    return model.encode([model.preprocess(picture(seed)) for seed in seeds])


def asked(prompt: str | Context = "") -> Context:
    """One picture and a prompt, as a model is asked; a context stays as it is."""
    return ask(prompt, PICTURE) if isinstance(prompt, str) else prompt


def tokenize(model: Model, prompt: str | Context, text: str) -> Tokens:
    """The ids of a request, which must be one that the model can take."""
    tokens = model.tokenize(asked(prompt), text)
    assert isinstance(tokens, Tokens), tokens
    return tokens


def read(model: Model, prompt: str | Context, max_new_tokens: int) -> Tokens:
    tokens = model.read(asked(prompt), max_new_tokens)
    assert isinstance(tokens, Tokens), tokens
    return tokens


def pictures(features: Sequence[Features], prompt: str | Context = "") -> list[Pictures]:
    """For each of some requests with one picture: what is seen of it, in every place that the prompt has."""
    n_places = len(asked(prompt).places)
    return [(seen,) * n_places for seen in features]


def loglikelihood(
    model: Model, features: Sequence[Features], tokens: Sequence[Tokens], prompt: str | Context = ""
) -> list[Loglikelihood]:
    """The scores of a batch of requests with one picture each, all of them answered; ``prompt`` says its places."""
    scores = list(model.loglikelihood(pictures(features, prompt), tokens))
    assert not any(isinstance(score, CannotAnswer) for score in scores), scores
    return [score for score in scores if isinstance(score, Loglikelihood)]


def branches(
    model: Model, features: Sequence[Features], rows: Sequence[Sequence[Tokens]], prompt: str | Context = ""
) -> list[list[Loglikelihood]]:
    """The same behind prefixes that are read once."""
    return model.loglikelihood_of_branches(pictures(features, prompt), rows)


def similarity(model: Model, features: Sequence[Features], tokens: Sequence[Tokens]) -> list[Similarity]:
    return model.similarity(pictures(features), tokens)


def written(model: Model, features: Sequence[Features], prompt: str | Context, max_new_tokens: int) -> list[Text]:
    """What a model writes behind one prompt for each picture."""
    tokens = [read(model, prompt, max_new_tokens)] * len(features)
    texts = list(model.generate(pictures(features, prompt), tokens, max_new_tokens))
    assert not any(isinstance(text, CannotAnswer) for text in texts), texts
    return [text for text in texts if isinstance(text, Text)]


def score(model: Model, text: str, seed: int = 0, prompt: str | Context = "") -> Loglikelihood:
    """How well ``text`` fits the picture of ``seed``, asked alone."""
    return loglikelihood(model, features_of(model, seed), [tokenize(model, prompt, text)], prompt)[0]


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
